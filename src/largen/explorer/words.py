"""Sentences on a page, shown as they are: some hold what a link or a file said."""

import html
from typing import Any

import panel as pn

SAID = ":host pre { font: inherit; white-space: pre-wrap; margin: 0 }"
ASIDE = SAID + " :host pre { font-size: 0.85em; opacity: 0.75 }"


class Words(pn.pane.Str):
    """Plain text. Panel's own pane would have the browser read its text as HTML, scripts included."""

    def __init__(self, text: str = "", aside: bool = False, **options: Any):
        look: dict[str, Any] = {"sizing_mode": "stretch_width", "margin": (4, 0)} | options
        super().__init__(text, stylesheets=[ASIDE if aside else SAID], **look)

    def _transform_object(self, obj: Any) -> dict[str, Any]:
        return super()._transform_object(html.escape(str(obj)) if obj else obj)
