"""The explorer's server: one page per system, sessions that never see each other, jobs that end with their tab."""

import contextlib
import functools
import logging
import math
import os
import signal
import socket
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import panel as pn
import xarray as xr
from bokeh.server.session import current_time
from panel.io.resources import LOCAL_DIST
from panel.theme import DarkTheme, DefaultTheme, Native
from tornado.ioloop import PeriodicCallback
from tornado.iostream import StreamClosedError
from tornado.web import ErrorHandler
from tornado.websocket import WebSocketClosedError

from largen.checks import InputError, integer, require
from largen.explorer.beginnings import Beginning
from largen.explorer.examples import gallery_html
from largen.explorer.jobs import Jobs
from largen.explorer.layout import roots_of
from largen.explorer.opening import open_at_once, opening_html, scripts_of, theme_of, title_of
from largen.explorer.page import Page
from largen.explorer.recording import Recording, recording_of
from largen.explorer.solvers import Solvers
from largen.explorer.store import Store
from largen.explorer.stories import stories_html
from largen.explorer.words import Words
from largen.io.model_files import read_model
from largen.system import AbstractSystem
from largen.systems import SYSTEMS

LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLL = 150
"""ms between two looks at running jobs and at closed tabs."""
WARM = 5.0
"""Seconds after which the processes that solve limits start, unless a page has been open for `DRAWN` before."""
DRAWN = 1.0
"""Seconds after which a page that is open has been drawn: what is compiled then takes no time of it."""
CLOSED = 5_000
"""ms after which a tab that has gone does not come back: its session ends, and its jobs with it."""
REST = 60.0
"""Seconds without a page after which the processes that solve limits end, until the next page is asked for."""
UNOPENED = 120_000
"""ms that a page has to load. A session that ends before its tab connects is made again, without largen's own files."""
STOPPED = (
    "The explorer's server has stopped. Every finished network and diagram is kept: start `largen explore` again and "
    "reload this page, whose address holds the parameters."
)


TEMPLATE = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
REPORT = "please report it with the address."
LARGEST_MESSAGE = 20_000_000
"""Bytes of one message of a browser; a model file of more than 1 MB is refused before it is sent."""


class Template(pn.Template):
    """Panel's template, which would read the link by itself, and end the page at a theme that it does not know."""

    @staticmethod
    def _get_theme_from_query_args() -> None:
        return None


class Served(NamedTuple):
    """What the sessions of a server share.

    Attributes:
        jobs: The jobs.
        solver: Who solves limits.
        store: Where what was computed is kept.
        beginnings: With what the page of every system begins.
        recording: What was recorded.
    """

    jobs: Jobs
    solver: Any
    store: Store
    beginnings: Mapping[str, Beginning]
    recording: Recording | None = None


def serve(
    model: Any = None,
    *,
    port: int = 5006,
    address: str = "127.0.0.1",
    show: bool = False,
    functions: bool = False,
    recording: xr.Dataset | None = None,
    say: Any = print,
) -> None:
    """Serve the explorer until SIGINT or SIGTERM.

    Args:
        model: A model, a model file or an example; it takes the place of its system's example.
        port: Port; 0 takes a free one.
        address: Address to listen at; anything but this machine's own is said.
        show: Whether to open a browser.
        functions: Whether a model file may name functions.
        recording: What was recorded (as `read_recording` returns it), or simulated, to be shown beside models of its
            system; the model must be of it. Its attribute `name`, if any, is what the page calls it.
        say: Where the address is said.

    Raises:
        InputError: The port is taken, or an argument cannot be used.
    """
    port = integer("port", port, low=0)
    require(port < 65536, "port", "be at most 65535", port)
    store, jobs = Store(), Jobs()
    beginnings = {system: Beginning(system, store) for system in SYSTEMS}
    first = next(iter(beginnings))
    if model is not None:
        chosen = model if isinstance(model, AbstractSystem) else read_model(model, functions=functions)
        first = chosen.system
        beginnings[first] = Beginning(first, store, chosen, Path(model).stem if isinstance(model, str) else first)
    seen = None if recording is None else recording_of(_name_of(recording), recording, beginnings[first].model)
    solver = Solvers(max(1, min(2, os.cpu_count() or 1)))
    try:
        shared = Served(jobs, solver, store, beginnings, seen)
        pages = {f"/{system}": one for system, one in beginnings.items()}
        _serve(pages | {"/": beginnings[first]}, shared, port, address, show, say)
    finally:
        jobs.close()
        solver.close()


def _name_of(recording: Any) -> str:
    return str(getattr(recording, "attrs", {}).get("name", "The recording"))[:200]


def _serve(pages: Mapping[str, Beginning], shared: Served, port: int, address: str, show: bool, say: Any) -> None:
    if address not in LOOPBACK:
        say(
            f"Listening at {address}: everyone who can reach this machine can run networks on it, see no other's "
            "session, and is asked for no password."
        )
    server, looks = made_server(pages, shared, port, address, show)
    say(f"largen explores at http://{address}:{server.port}/ (Ctrl-C ends it).")
    shared.solver.attach(server.io_loop)
    server.io_loop.call_later(0.0, shared.store.trim)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.io_loop.add_callback_from_signal(server.io_loop.stop))
    try:
        server.start()
        server.io_loop.start()
    finally:
        looks.stop()
        server.stop()
        say("Stopped. Finished networks and diagrams are kept for the next time.")


def made_server(
    pages: Mapping[str, Beginning], shared: Served, port: int, address: str, show: bool = False
) -> tuple[Any, PeriodicCallback]:
    """A server that is to be started, and its looks at jobs and closed tabs, which have begun.

    Args:
        pages: With what a page begins, by its path.
        shared: What the sessions share.
        port: Port; 0 takes a free one.
        address: Address to listen at.
        show: Whether a browser is opened.

    Raises:
        InputError: The port is taken.
    """
    pn.extension("katex")
    pn.config.notifications = True
    pn.config.disconnect_notification = STOPPED
    try:
        server: Any = pn.serve(
            {path: _maker(one, shared) for path, one in pages.items()}, port=port, address=address, show=show,
            start=False, title="largen", threaded=False, websocket_max_message_size=LARGEST_MESSAGE,
            check_unused_sessions_milliseconds=2000, unused_session_lifetime_milliseconds=UNOPENED, verbose=False,
        )  # fmt: skip
    except OSError as error:
        raise InputError(
            f"Argument `port` must be free, but {port} is taken ({error.strerror}). Try --port 0."
        ) from error
    systems, scripts = list(shared.beginnings), scripts_of(server)
    open_at_once(server, {path: functools.partial(opening_html, one, systems, scripts) for path, one in pages.items()})
    serve_only(server, _names(address, server.port))
    for name in ("asyncio", "tornado.application", "bokeh.server.session", "bokeh.server.views.ws", "panel"):
        logging.getLogger(name).addFilter(_without_closed_tabs)
    looks = PeriodicCallback(_Looks(server, shared).look, POLL)
    looks.start()
    return server, looks


def _names(address: str, port: int) -> set[str]:
    """What a browser may call this server: this machine's own names, and the address that was asked for."""
    hosts = {"127.0.0.1", "localhost", "[::1]", f"[{address}]" if ":" in address else address}
    if address in ("0.0.0.0", "::", ""):  # every address of this machine: those that it knows by itself
        hosts |= {socket.gethostname().lower(), *_own_addresses()}
    return {f"{host.lower()}:{port}" for host in hosts} | ({host.lower() for host in hosts} if port == 80 else set())


def _own_addresses() -> set[str]:
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(socket.gethostname(), None)
        return {f"[{one[4][0]}]" if ":" in str(one[4][0]) else str(one[4][0]) for one in found}
    return set()


def serve_only(server: Any, names: set[str]) -> None:
    """Refuse requests to any other name, and from pages of any other: a name of others may lead here (DNS rebinding).

    Args:
        server: A server of Bokeh.
        names: `host:port` that are served.
    """
    tornado = server._tornado
    find = tornado.find_handler
    tornado._websocket_origins = names

    def found(request: Any, **options: Any) -> Any:
        origin = request.headers.get("Origin") or request.headers.get("Sec-Websocket-Origin")
        foreign = origin is not None and urllib.parse.urlsplit(origin).netloc.lower() not in names
        if request.host.lower() not in names or foreign:
            return tornado.get_handler_delegate(request, ErrorHandler, {"status_code": 403})
        return find(request, **options)

    tornado.find_handler = found


def _without_closed_tabs(record: logging.LogRecord) -> bool:
    """Whether a record is worth a line in the terminal: a tab that was closed while it was written to is not."""
    kind = record.exc_info[0] if record.exc_info else None
    return not (kind is not None and issubclass(kind, WebSocketClosedError | StreamClosedError))


class _Looks:
    """What the server looks at again and again."""

    def __init__(self, server: Any, shared: Served):
        self.server, self.shared = server, shared
        self.began: dict[str, float] = {}
        """Of every session, the time (ms) from which it is counted as unused: it moves when a tab goes."""
        self.seen, self.resting = time.monotonic(), False
        self.due = time.monotonic() + WARM
        """When the processes that solve limits start; infinite once they have."""

    def look(self) -> None:
        """Look at jobs, at closed tabs, and whether anybody is here."""
        self.shared.jobs.look()
        sessions = self.server.get_sessions()
        self._end_closed(sessions)
        now = time.monotonic()
        if sessions:
            self.seen = now
        solver, alone = self.shared.solver, now - self.seen > REST
        if self.due < math.inf:
            self._start_solving(now, sessions)
        if alone != self.resting:
            self.resting = alone
            solver.rest() if alone else solver.wake()

    def _start_solving(self, now: float, sessions: Sequence[Any]) -> None:
        """Have the solving processes compile what pages ask, those that are open first, once a page has been drawn."""
        opened = [session for session in sessions if session.connection_count]
        if opened:
            self.due = min(self.due, now + DRAWN)
        if now < self.due:
            return
        self.due = math.inf
        paths = {session.document.session_context.request.path.strip("/") for session in opened}
        beginnings = self.shared.beginnings
        first = [one for name, one in beginnings.items() if name in paths]
        others = [one for name, one in beginnings.items() if name not in paths]
        self.shared.solver.warm([one.question for one in (*first, *others)])
        self.shared.solver.wake()

    def _end_closed(self, sessions: Iterable[Any]) -> None:
        """End the sessions of tabs that were open, however shortly, and have been closed for some seconds."""
        present = {session.id: session for session in sessions}
        self.began = {name: began for name, began in self.began.items() if name in present}
        for name, session in present.items():
            unused = session.milliseconds_since_last_unsubscribe
            since = current_time() - unused
            began = self.began.setdefault(name, getattr(session, BEGUN, since))
            was_open = since - began > 1.0
            if session.connection_count == 0 and was_open and unused > CLOSED:
                session.request_expiration()


BEGUN = "largen_begun"
"""Attribute of a session: the time (ms) from which it was counted as unused before any tab was there."""


def _note_begin(context: Any) -> None:
    """Note it as soon as the session is there: a tab may be gone again before anybody looks."""
    session = context.session
    if session is not None:
        setattr(session, BEGUN, current_time() - session.milliseconds_since_last_unsubscribe)


def _maker(beginning: Beginning, shared: Served) -> Callable[[], Any]:
    def made() -> Any:  # Panel serves plain functions only
        document = pn.state.curdoc
        if document is not None:  # a session that is made again by its tab would look for Panel's files elsewhere
            document.template_variables["dist_url"] = LOCAL_DIST
        if document is not None and document.session_context is not None:
            document.add_next_tick_callback(functools.partial(_note_begin, document.session_context))
        try:
            return _page(beginning, shared)
        except Exception as error:  # a page of Panel's own would show the traceback, paths and all
            logging.getLogger("largen.explorer").exception("A page could not be made")
            words = f"This page could not be made ({type(error).__name__}). This is a fault of largen: {REPORT}"
            return _templated({"stage": Words(words)}, beginning.system, "default", "")

    return made


def _page(beginning: Beginning, shared: Served) -> Any:
    """Make the page of one session."""
    location = pn.state.location
    query = {key: str(value) for key, value in (location.query_params if location else {}).items()}
    config: Any = pn.config
    config.theme = theme = theme_of(query)  # before anything is made: Panel's own reading may fail
    page = Page(
        beginning.name, beginning.model, shared.jobs, solver=shared.solver, store=shared.store, limit=beginning.limit,
        query=query, recording=shared.recording,
    )  # fmt: skip
    pn.state.on_session_destroyed(lambda context: page.close())
    return _templated(roots_of(page), beginning.system, theme, page.state.origin)


def _templated(roots: Mapping[str, Any], system: str, theme: str, origin: str) -> Any:
    """The rest of a page, which follows its opening."""
    template: Any = Template(TEMPLATE, design=Native, theme=DarkTheme if theme == "dark" else DefaultTheme)
    template.title = title_of(system)
    variables = {"gallery": gallery_html(origin), "stories": stories_html(), "named": list(roots)}
    for word, value in variables.items():
        template.add_variable(word, value)
    for root, content in roots.items():
        template.add_panel(root, content)
    return template
