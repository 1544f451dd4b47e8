"""Parts of the page that are written for the browser: a form, a picture to click, and what only the browser can do."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import param
from panel.custom import JSComponent

from largen.explorer.locked import Locked
from largen.io.plain_files import LARGEST_FILE

HERE = Path(__file__).parent


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


class _Told(Locked, JSComponent):
    """A component that hands what the browser says to `take`."""

    __abstract = True

    def __init__(self, take: Callable[[Any], None] = lambda said: None, **options: Any):
        super().__init__(**options)
        self.take = take

    def _handle_msg(self, data: Any) -> None:
        if isinstance(data, dict):
            self.take(data)


class Form(_Told):
    """Rows of sliders with boxes, and lists; says {name, text, serial} of what a reader changes."""

    _esm: ClassVar = _text("form.js")
    _stylesheets: ClassVar = [_text("form.css")]
    groups = param.List(default=[])
    values = param.Dict(default={})
    errors = param.Dict(default={})
    picked = param.String(default="")
    prefix = param.String(default="form")
    heard = param.Integer(default=0)
    """Serial number of the last change whose consequences are in `values` and `errors`."""

    def _handle_msg(self, data: Any) -> None:
        try:
            super()._handle_msg(data)
        finally:
            serial = data.get("serial") if isinstance(data, dict) else None
            if isinstance(serial, int) and self.heard < serial < 2**31:
                self.heard = serial


class Browser(_Told):
    """History, keys and clipboard; says {went, search}, {key} or {copied}."""

    _esm: ClassVar = _text("browser.js")
    session = param.String(default="")
    lecture = param.Boolean(default=False)

    def do(self, what: str, **more: Any) -> None:
        """Have the browser do something."""
        self._send_msg({"do": what, **more})


class Upload(_Told):
    """A model file; says {text}, or {fault} of one that cannot be read."""

    _esm: ClassVar = _text("upload.js")
    _stylesheets: ClassVar = [_text("form.css")]
    most = param.Integer(default=LARGEST_FILE)


class Downloads(_Told):
    """Buttons that save files, by the keyboard too, unlike those of Panel; says {label} of the one that was pressed."""

    _esm: ClassVar = _text("downloads.js")
    _stylesheets: ClassVar = [_text("form.css")]
    labels = param.List(default=[])

    def save(self, name: str, content: bytes) -> None:
        """Have the browser save a file."""
        self._send_msg({"name": name, "content": base64.b64encode(content).decode()})


class RecordingUpload(_Told):
    """A recording; says {name, content, words}, {away}, or {fault} of one that cannot be read."""

    _esm: ClassVar = _text("recording.js")
    _stylesheets: ClassVar = [_text("form.css")]
    fields = param.List(default=[])
    endings = param.List(default=[])
    most = param.Integer(default=0)
    there = param.Boolean(default=False)


class Picture(_Told):
    """The model as a picture; says {pick}: words of which the names of sliders hold one."""

    _esm: ClassVar = _text("picture.js")
    _stylesheets: ClassVar = [_text("picture.css")]
    svg = param.String(default="")
    picked = param.String(default="")
