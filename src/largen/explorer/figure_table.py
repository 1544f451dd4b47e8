"""The numbers behind a figure as a table, for those who do not see it and for those who want to read a value."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import panel as pn

from largen.explorer.buttons import Toggle
from largen.explorer.view import View

MOST_ROWS = 40
"""Rows of a table; of longer series every so many is shown, first and last with them."""
MOST_LINES = 12
"""Lines of a bundle, and rows and columns of a map, that a table shows."""
ORDINATES = {"y": "", "low": ", low", "high": ", high"}
LOOK = """
table { border-collapse: collapse; font-size: 0.85rem; margin: 0.2rem 0 0.6rem; }
caption { text-align: left; font-weight: 600; padding: 0.2rem 0; }
th, td { text-align: right; padding: 0.1rem 0.8rem 0.1rem 0; border-bottom: 1px solid var(--line, #767676);
  font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; max-width: 100%; }
.wide:focus-visible { outline: 3px solid var(--focus, #005a9c); }
"""


class FigureTable:
    """A button under a figure, and the table that it unfolds."""

    def __init__(self, view: View):
        self.view, view.table = view, self
        self.button = Toggle("Table", margin=0)
        self.pane = pn.pane.HTML("", sizing_mode="stretch_width", margin=0, visible=False, stylesheets=[LOOK])
        self.button.param.watch(lambda event: self.refresh(), "value")

    def refresh(self) -> None:
        """Write the table anew, where it is unfolded."""
        self.pane.visible = shown = bool(self.button.value)
        text = table_html(self.view) if shown else ""
        if self.pane.object != text:
            self.pane.object = text


def table_html(view: View) -> str:
    """The tables of a figure: one for all curves over the same points, one for each map and bundle of lines."""
    title = str(view.figure.title.text)
    x, y = view.figure.xaxis[0].axis_label or "x", view.figure.yaxis[0].axis_label or "y"
    found = []
    for points, columns in _curves(view):
        heads = [x, *columns] if len(columns) > 1 else [x, f"{y}, {next(iter(columns))}"]
        found.append(_table(title, heads, [points, *columns.values()]))
    for name, source in view.sources.items():
        data: Any = source.data
        if "image" in data and len(data["image"]):
            found.append(_map(f"{title}: {view.words.get(name, name)}", data, x, y))
        elif "xs" in data and len(data["xs"]):
            found += [
                _table(f"{title}: {view.words.get(name, name)}", [x, y], [np.asarray(u, float), np.asarray(v, float)])
                for u, v in list(zip(data["xs"], data["ys"], strict=True))[:MOST_LINES]
            ]
    return "".join(found) or "<p>The figure is empty.</p>"


def _curves(view: View) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Abscissae with the curves over them, by name."""
    found: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
    for name, source in view.sources.items():
        data: Any = source.data
        if "x" not in data or "image" in data or not len(data["x"]):
            continue
        points = np.asarray(data["x"], float)
        columns = next((one for at, one in found if np.array_equal(at, points)), None)
        if columns is None:
            found.append((points, columns := {}))
        for key, words in ORDINATES.items():
            if key in data:
                columns[f"{view.words.get(name, name)}{words}"] = np.asarray(data[key], float)
    return [(points, columns) for points, columns in found if columns]


def _table(title: str, heads: Sequence[str], columns: Sequence[np.ndarray]) -> str:
    count = len(columns[0])
    kept = np.unique(np.linspace(0, count - 1, min(count, MOST_ROWS)).round().astype(int))
    caption = title + (f" ({len(kept)} of {count} rows)" if len(kept) < count else "")
    rows = [[f"{column[k]:.6g}" for column in columns] for k in kept]
    return _html(caption, heads, rows)


def _map(title: str, data: Mapping[str, Any], x: str, y: str) -> str:
    """A map as a table: a column for an abscissa, a row for an ordinate, each at the middle of its cell."""
    values = np.asarray(data["image"][0], float)
    kept = [np.unique(np.linspace(0, size - 1, min(size, MOST_LINES)).round().astype(int)) for size in values.shape]
    at = [float(data[key][0]) + float(data[span][0]) * (index + 0.5) / size
          for key, span, index, size in zip("yx", ("dh", "dw"), kept, values.shape, strict=True)]  # fmt: skip
    heads = [f"{y} \\ {x}", *(f"{one:.4g}" for one in at[1])]
    rows = [[f"{one:.4g}", *(f"{values[j, k]:.4g}" for k in kept[1])] for one, j in zip(at[0], kept[0], strict=True)]
    return _html(title, heads, rows)


def _html(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{html.escape(one)}</th>' for one in heads)
    body = "".join(
        f'<tr><th scope="row">{html.escape(first)}</th>{"".join(f"<td>{html.escape(one)}</td>" for one in rest)}</tr>'
        for first, *rest in rows
    )
    label = html.escape(caption, quote=True)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{label}"><table><caption>{html.escape(caption)}'
        f"</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
