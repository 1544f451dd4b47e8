"""Where the parts of a page stand."""

from typing import TYPE_CHECKING, Any

import panel as pn

if TYPE_CHECKING:
    from largen.explorer.page import Page

WIDE: Any = "stretch_width"


def roots_of(page: "Page") -> dict[str, Any]:
    """The parts of a page by the name at which its template puts them."""
    steps = pn.FlexBox(page.steps.undo, page.steps.redo, page.reset, page.pin_button)
    model = pn.Column(page.picture, page.equations, steps, page.form, sizing_mode=WIDE)
    runner = page.runner
    buttons = pn.FlexBox(runner.run, runner.stop_run, runner.decide)
    run = pn.Column(
        page.boxes, buttons, runner.progress, page.status, page.wave.button, runner.verdict, sizing_mode=WIDE
    )
    files = pn.Card(
        *page.sharing.layout(),
        *page.recording_file.layout(),
        title="Files, text and link",
        collapsed=True,
        sizing_mode=WIDE,
        margin=(8, 0),
    )
    stage = pn.Column(page.stage.tab, page.stage.box, page.beside.pane, files, sizing_mode=WIDE)
    return {"browser": page.browser, "story": page.telling.box, "model": model, "run": run, "stage": stage}
