"""The opening of a page: its head, its title and the model as a picture, sent before there is a session.

A browser draws it while the server makes the session, and reads the scripts meanwhile; the rest of the page follows in
the same answer (`page.html`).
"""

import logging
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from panel.io.resources import JS_VERSION, Resources, bundle_resources
from panel.io.server import DocHandler
from panel.util import parse_query

from largen.explorer.beginnings import Beginning
from largen.explorer.examples import example_model
from largen.explorer.links import THEMES
from largen.explorer.picture import picture_of
from largen.explorer.state import first_state
from largen.explorer.stories import opening_state

HERE = Path(__file__).parent
SENTENCE = (
    "Networks of n neurons, exact and noisy, beside the equations of infinitely many. The question: how far "
    "apart are they?"
)
TEMPLATE = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(
    (HERE / "opening.html").read_text(encoding="utf-8")
)
SHEET, PICTURE_SHEET = ((HERE / name).read_text(encoding="utf-8") for name in ("style.css", "picture.css"))
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",  # Bokeh compiles what its pages hold
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)
"""What the browser lets a page do: nothing that leaves the server."""


def theme_of(query: Mapping[str, str]) -> str:
    """The theme that a link asks for; the light one where it asks for none that there is."""
    return THEMES.get(query.get("theme", "default").strip("'\""), "default")


def title_of(system: str) -> str:
    """The title of a system's page."""
    return f"largen: the {system.replace('_', ' ')} system"


def opening_html(beginning: Beginning, systems: Sequence[str], scripts: Sequence[str], query: Mapping[str, str]) -> str:
    """The opening of the page that a link asks for.

    Args:
        beginning: With what the page begins.
        systems: All systems that have a page.
        scripts: Addresses of the scripts that the page needs.
        query: What the link asks for.
    """
    dark = theme_of(query) == "dark"
    return TEMPLATE.render(
        title=title_of(beginning.system), sheet=SHEET, picture_sheet=PICTURE_SHEET, scripts=scripts, dark=dark,
        systems=systems, system=beginning.system, theme_query="?theme=dark" if dark else "", sentence=SENTENCE,
        heading=f"The {beginning.system.replace('_', ' ')} system", picture=_picture(beginning, query),
    )  # fmt: skip


def _picture(beginning: Beginning, query: Mapping[str, str]) -> str:
    try:
        model = beginning.model
        state = opening_state(query, model, lambda name: example_model(model.system, name)) or first_state(model)
        return picture_of(state.model, state.run.n)
    except Exception:  # the page that follows says what is wrong
        logging.getLogger("largen.explorer").exception("The picture of a page could not be made")
        return ""


def scripts_of(server: Any) -> list[str]:
    """Addresses of the scripts that every page of a server needs, with versions: a browser keeps those for good."""
    bundle = bundle_resources(None, Resources.from_bokeh(server._tornado.resources()))
    found = [str(file.url) for file in bundle.js_files]
    return [address if "?v=" in address else f"{address}?v={JS_VERSION}" for address in found]


class PageHandler(DocHandler):
    """Answers with the opening at once, and with the rest of the page when its session is there."""

    def initialize(self, *args: Any, opening: Callable[[Mapping[str, str]], str], **kwargs: Any) -> None:
        """Take what makes the opening of a link."""
        self.opening = opening

    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Send a page."""
        path, query = self.request.path, self.request.query
        if path.endswith("/") and path != "/":  # addresses in a page are relative
            self.redirect(f"../{path.split('/')[-2]}{'?' if query else ''}{query}")
            return
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Cache-Control", "no-store")
        said = {name: str(value) for name, value in parse_query(f"?{query}").items()}
        self.write(self.opening(said))
        if "bokeh-" not in urllib.parse.unquote(query).lower() and "Bokeh-Session-Id" not in self.request.headers:
            await self.flush()  # a session that is asked for by name may be refused, with another status
        answer: Any = super().get  # its decorator hides that it is to be awaited
        await answer(*args, **kwargs)


def open_at_once(server: Any, openings: Mapping[str, Callable[[Mapping[str, str]], str]]) -> None:
    """Have a server of Bokeh answer with openings first.

    Args:
        server: The server.
        openings: What makes the opening of a link, by the path of its page.
    """
    tornado = server._tornado
    rules = [
        (
            f"{'' if path == '/' else path}/?",
            PageHandler,
            {
                "application_context": tornado._applications[path],
                "bokeh_websocket_path": f"{'' if path == '/' else path}/ws",
                "opening": opening,
            },
        )
        for path, opening in openings.items()
    ]
    tornado.add_handlers(".*", rules)
