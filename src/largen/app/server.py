"""The explorer's server: one page per system, sessions that never see each other, jobs that end with their tab."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import panel as pn
from panel.theme import fast

from largen.app.jobs import Jobs
from largen.app.page import POLL, SETTINGS, Page
from largen.checks import InputError, integer, require
from largen.files import read_model
from largen.system import AbstractSystem

EXAMPLES = {"spiking": "gamma", "balanced": "balanced", "rate": "correlated"}
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Fast(fast.Fast):
    """Panel's design of that name, by which it finds its files, without its web font: the explorer works offline."""

    _resources: ClassVar = {kind: value for kind, value in fast.Fast._resources.items() if kind != "font"}


def serve(
    model: Any = None,
    *,
    port: int = 5006,
    address: str = "127.0.0.1",
    show: bool = False,
    functions: bool = False,
    say: Any = print,
) -> None:
    """Serve the explorer until SIGINT or SIGTERM.

    Args:
        model: A model, a model file or an example; it takes the place of its system's example.
        port: Port; 0 takes a free one.
        address: Address to listen at; anything but this machine's own is said.
        show: Whether to open a browser.
        functions: Whether a model file may name functions.
        say: Where the address is said.

    Raises:
        InputError: The port is taken, or an argument cannot be used.
    """
    port = integer("port", port, low=0)
    require(port < 65536, "port", "be at most 65535", port)
    models = {system: read_model(example) for system, example in EXAMPLES.items()}
    names = dict(EXAMPLES)
    if model is not None:
        chosen = model if isinstance(model, AbstractSystem) else read_model(model, functions=functions)
        models[chosen.system] = chosen
        names[chosen.system] = Path(model).stem if isinstance(model, str) else chosen.system
    jobs = Jobs()
    say("Preparing the three limits (a first run compiles for some seconds) ...")
    for system, one in models.items():
        Page(names[system], one, jobs)
    pages: dict[str, Any] = {system: _maker(names[system], one, jobs) for system, one in models.items()}
    first = chosen.system if model is not None else "spiking"
    pages["/"] = pages[first]
    if address not in LOOPBACK:
        say(f"Listening at {address}: everyone who can reach this machine can run networks on it.")
    try:
        server: Any = pn.serve(
            pages, port=port, address=address, show=show, start=False, title="largen", threaded=False,
            websocket_max_message_size=2_000_000, check_unused_sessions_milliseconds=2000,
            unused_session_lifetime_milliseconds=5000,
        )  # fmt: skip
    except OSError as error:
        raise InputError(
            f"Argument `port` must be free, but {port} is taken ({error.strerror}). Try --port 0."
        ) from error
    say(f"largen explores at http://{address}:{server.port}/ (Ctrl-C ends it).")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.io_loop.add_callback_from_signal(server.io_loop.stop))
    try:
        server.start()
        server.io_loop.start()
    finally:
        jobs.close()
        server.stop()


def _maker(name: str, model: AbstractSystem, jobs: Jobs) -> Callable[[], Any]:
    return lambda: _page(name, model, jobs)  # Panel serves plain functions only


def _page(name: str, model: AbstractSystem, jobs: Jobs) -> Any:
    """Make the page of one session."""
    page = Page(name, model, jobs)
    query = {key: str(value) for key, value in (pn.state.location.query_params if pn.state.location else {}).items()}
    page.read_link(query)
    pn.state.add_periodic_callback(page.poll, period=POLL)
    pn.state.on_session_destroyed(lambda context: page.cancel())
    template: Any = pn.template.FastListTemplate(
        title=f"largen: the {model.system} system", sidebar_width=380, theme_toggle=True,
        design=Fast, font="system-ui, sans-serif", font_url="",
    )  # fmt: skip
    links = [pn.pane.HTML(f'<a href="{system}" style="color: inherit">{system}</a>') for system in SETTINGS]
    template.header.append(pn.Row(*links))
    template.sidebar.extend(page.sidebar())
    template.main.extend(page.main())
    return template
