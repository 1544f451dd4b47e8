"""A page as one HTML file that opens without a server and without a network."""

import html
import json
from typing import TYPE_CHECKING

from bokeh.embed import components
from bokeh.resources import Resources

from largen.datasets import versions
from largen.explorer.sizes import DistanceAgainstN
from largen.explorer.stage import SIZES
from largen.explorer.verdict import verdict_html
from largen.explorer.view import View
from largen.io.model_files import model_text

if TYPE_CHECKING:
    from largen.explorer.page import Page

LARGEST = 3_000_000
"""Bytes of a file; tabs that would make it larger are left out, and the file says which."""
SHEET = """
body { font-family: system-ui, sans-serif; max-width: 1200px; margin: 1rem auto; padding: 0 1rem; }
figure { margin: 1rem 0; } pre { overflow-x: auto; background: #f3f3f3; padding: 0.6rem; }
"""


def page_html(page: "Page") -> str:
    """The figures, the table, the model and where they come from.

    Args:
        page: A page whose limit is that of its state.
    """
    bokeh = Resources(mode="inline", components=["bokeh"], minified=True)
    scripts = "".join(f"<script>{raw}</script>" for raw in bokeh.js_raw)  # alone: `render` adds a file of Panel's
    parts, left, size = [], [], len(scripts)
    for title, made in _figures(page):
        if size + len(made) > LARGEST - 100_000:
            left.append(title)
            continue
        size += len(made)
        parts.append(made)
    title = f"{page.title}: the {page.own.system} system"
    shown = page.runner.shown
    report = shown.report if shown is not None else None
    verdict = verdict_html(report) if report is not None else "<p>No network was compared with this limit.</p>"
    run = json.dumps((shown.state if shown is not None else page.state).run._asdict())
    missing = f"<p>Left out, for the file's size: {html.escape(', '.join(left))}.</p>" if left else ""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{SHEET}{page.sheet}</style>{scripts}</head>
<body><main><h1>{html.escape(title)}</h1>
{verdict}{page.beside.html()}
{"".join(parts)}{missing}
<h2>Model</h2><pre id="model">{html.escape(model_text(page.model))}</pre>
<h2>Where this comes from</h2>
<p>Run: <code>{html.escape(run)}</code>. Made with largen: <code>{html.escape(str(versions()))}</code>.</p>
</main></body></html>
"""


def _figures(page: "Page") -> list[tuple[str, str]]:
    """Every tab with its figures, drawn anew: one figure cannot stand in two documents."""
    tabs: dict[str, list[View]] = {}
    assert page.limit is not None
    for title, maker in page.stage.makers.items():
        tabs[title] = maker()
        for view in tabs[title]:
            view.draw(page.limit, page.runner.runs)
        tabs[title] = [view for view in tabs[title] if view.question is None or _answered(page, view)]
    if page.stage.sizes.belongs:
        tabs[SIZES] = [again := DistanceAgainstN()]
        again.show(page.stage.sizes.curve)
        again.mark(page.state.run.n)
    sections = []
    for title, views in tabs.items():
        kept = [view for view in views if not view.is_empty]
        if not kept:
            continue
        script, boxes = components([view.figure for view in kept])
        about = [f"<figure>{box}<figcaption>{html.escape(view.about)}</figcaption></figure>"
                 for view, box in zip(kept, boxes, strict=True)]  # fmt: skip
        sections.append((title, f"<section><h2>{html.escape(title)}</h2>{''.join(about)}{script}</section>"))
    return sections


def _answered(page: "Page", view: View) -> bool:
    """Show what came of a figure's question where the page has it; whether it has."""
    limit, found, words = page.stage.answers.get(view.key, (None, None, ""))
    if limit is None or limit is not page.limit or found is None:
        return False
    view.show_answer(found, words)
    return True
