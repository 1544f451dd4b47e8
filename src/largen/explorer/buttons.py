"""Buttons of a page: with a border, so that they look like what they are."""

from typing import Any

import panel as pn

from largen.explorer.locked import Locked

LOOK = """
:host { margin-left: 0 !important; margin-right: 8px !important; max-width: 100% }
.bk-btn { white-space: normal !important; max-width: 100%; overflow-wrap: anywhere; height: auto !important }
.bk-btn-default { border: 1px solid var(--line, #767676) !important; background: var(--field, #fff) !important;
  color: var(--ink, #1b1b1b) !important }
.bk-btn-default.bk-active { background: var(--ink, #1b1b1b) !important; color: var(--ground, #fff) !important }
.bk-btn-default:disabled { opacity: 0.6 }
"""


class Button(Locked, pn.widgets.Button):
    """A button of the page."""

    def __init__(self, label: str, **options: Any):
        super().__init__(label=label, stylesheets=[LOOK], **options)


class Toggle(Locked, pn.widgets.Toggle):
    """A button that stays down."""

    def __init__(self, label: str, **options: Any):
        super().__init__(label=label, stylesheets=[LOOK], **options)
