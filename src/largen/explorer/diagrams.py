"""The bifurcation diagram of a page: followed in the background, kept, and a click loads a point."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import panel as pn
import xarray as xr
from bokeh.models import HoverTool, Range1d, Span, TapTool

from largen.checks import InputError, LimitError, real
from largen.explorer.buttons import Button
from largen.explorer.figure_table import FigureTable
from largen.explorer.form import numbers
from largen.explorer.job_tab import JobTab
from largen.explorer.jobs import Diagram, Event, Failure, FinishedDiagram, Jobs, Point
from largen.explorer.store import Store
from largen.explorer.view import DYNAMIC, LIMIT, NETWORK, View
from largen.numerics.continuation.kinds import SpecialKind
from largen.plot.bifurcation import MARKERS
from largen.system import AbstractFlowSystem, AbstractSystem

BOKEH = {
    "o": "circle",
    "D": "diamond",
    "s": "square",
    "^": "triangle",
    "P": "plus",
    "v": "inverted_triangle",
    "<": "hex",
    "x": "x",
}
"""Bokeh's names of Matplotlib's markers of special points."""


class Branches(View):
    """Branches of stationary states and orbits against a parameter."""

    about = "solid where stable, dashed where not; thin lines are an orbit's extremes; a click on a point loads it"

    def __init__(self) -> None:
        super().__init__(
            "branches",
            "branches: none followed yet",
            "parameter",
            "observable",
            height=380,
            x_range=Range1d(start=0, end=1),
            y_range=Range1d(start=0, end=1),
        )
        for name, dash, width in (("stable", "solid", 2.5), ("unstable", "dashed", 1.5), ("extremes", "solid", 0.8)):
            colour = NETWORK if name == "extremes" else LIMIT
            source = self.source(name, "xs", "ys")
            line = self.figure.multi_line("xs", "ys", source=source, color=colour, line_dash=dash, width=width)
            self.entry(name, name, line)
        source = self.source("points", "x", "y", "row")
        dots = self.figure.scatter("x", "y", source=source, size=7, color=LIMIT, fill_alpha=0.15, line_alpha=0.3)
        columns = ("x", "y", "row", "marker", "kind", "meaning")
        special = self.figure.scatter(
            "x", "y", source=self.source("special", *columns), marker="marker", size=13, color=DYNAMIC, line_width=1.5,
            fill_alpha=0.5,
        )  # fmt: skip
        tips = [("", "@kind at @x{0.0000}"), ("", "@meaning")]
        self.figure.add_tools(TapTool(renderers=[dots, special]), HoverTool(renderers=[special], tooltips=tips))
        self.here = Span(location=0, dimension="height", line_color=NETWORK, line_dash="dotted", visible=False)
        self.figure.add_layout(self.here)
        self.legend()

    def draw(self, limit: xr.Dataset, runs: Any) -> None:
        """Nothing here depends on the limit."""

    def show(self, rows: list[dict[str, Any]], name: str, component: int) -> None:
        """Show points, each a row as `follow` sends them, by one component of an observable."""
        x = np.array([row["parameter"] for row in rows])
        y = np.array([row[name][component] for row in rows])
        self.sources["points"].selected.indices = []
        self.sources["special"].selected.indices = []
        self.fill("points", x=x, y=y, row=np.arange(len(rows)))
        if not rows:
            for name in self.sources:
                self.empty(name)
            return
        ends = [np.array([row[end][name][component] for row in rows]) for end in ("low", "high") if "low" in rows[0]]
        _reach(self.figure.x_range, x)
        _reach(self.figure.y_range, np.concatenate([y, *ends]))
        self._show_lines(rows, x, y, name, component)
        self._show_special(rows, x, y)

    def _show_lines(self, rows: list[dict[str, Any]], x: np.ndarray, y: np.ndarray, name: str, component: int) -> None:
        lines: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"stable": [], "unstable": [], "extremes": []}
        for part in _pieces(rows):
            lines["stable" if rows[part[-1]]["stable"] else "unstable"].append((x[part], y[part]))
            if rows[part[-1]].get("low") is not None and rows[part[-1]]["period"] is not None:
                for end in ("low", "high"):
                    lines["extremes"].append((x[part], np.array([rows[k][end][name][component] for k in part])))
        for kind, many in lines.items():
            self.sources[kind].data = {"xs": [a.tolist() for a, _ in many], "ys": [b.tolist() for _, b in many]}
            for item, of in self._items:
                if of == kind:
                    item.visible = bool(many)

    def _show_special(self, rows: list[dict[str, Any]], x: np.ndarray, y: np.ndarray) -> None:
        at = [k for k, row in enumerate(rows) if row.get("special")]
        kinds = [SpecialKind(rows[k]["special"]) for k in at]
        self.sources["special"].data = {
            "x": x[at], "y": y[at], "row": np.array(at, int),
            "kind": [kind.value.replace("_", " ") for kind in kinds],
            "marker": [BOKEH[MARKERS[kind]] for kind in kinds],
            "meaning": [kind.meaning for kind in kinds],
        }  # fmt: skip


def _reach(axis: Range1d, values: np.ndarray) -> None:
    """Have an axis show all values."""
    low, high = float(values.min()), float(values.max())
    spare = 0.05 * (high - low) or 0.05 * max(abs(high), 1.0)
    axis.update(start=low - spare, end=high + spare, reset_start=low - spare, reset_end=high + spare)


def _pieces(rows: list[dict[str, Any]]) -> list[np.ndarray]:
    """Indices of the points between changes of branch or stability; each piece begins at the end of the last."""
    if not rows:
        return []
    branch, stable = np.array([row["branch"] for row in rows]), np.array([row["stable"] for row in rows])
    cuts = np.flatnonzero((np.diff(branch) != 0) | (np.diff(stable.astype(int)) != 0)) + 1
    parts = np.split(np.arange(len(rows)), cuts)
    return [np.append(p[0] - 1, p) if p[0] and branch[p[0]] == branch[p[0] - 1] else p for p in parts]


def rows_of(diagram: xr.Dataset) -> list[dict[str, Any]]:
    """A whole diagram as the rows that `follow` sent, with the extremes of its orbits."""
    names = [str(name) for name in diagram.data_vars if f"{name}_low" in diagram]
    special = dict(zip(diagram["special_point"].values.tolist(), diagram["special_kind"].values.tolist(), strict=True))
    period = diagram["period"].values
    rows = []
    for k in range(diagram.sizes["point"]):
        row: dict[str, Any] = {name: diagram[name].values[k].tolist() for name in names}
        row |= {
            "branch": int(diagram["on_branch"].values[k]),
            "parameter": float(diagram["parameter"].values[k]),
            "stable": bool(diagram["stable"].values[k]),
            "period": float(period[k]) if np.isfinite(period[k]) else None,
            "special": special.get(k),
        }
        for end in ("low", "high"):
            row[end] = {name: diagram[f"{name}_{end}"].values[k].tolist() for name in names}
        rows.append(row)
    return rows


class Diagrams(JobTab):
    """The tab: a form, the figure, and at most one job."""

    def __init__(
        self,
        model: AbstractSystem,
        jobs: Jobs,
        store: Store | None,
        *,
        first: tuple[str, float],
        options: Mapping[str, Any],
        current: Callable[[], AbstractFlowSystem],
        load: Callable[[dict[str, float]], None],
        tell: Callable[[], Callable[[], Any]],
    ):
        super().__init__(
            jobs, "Follow the branches", "Stop following",
            "Nothing followed yet. The model's limit is followed as one parameter changes.",
        )  # fmt: skip
        self.store, self.options = store, options
        self.current, self.load, self.tell = current, load, tell
        self.populations = model.populations
        self.rows: list[dict[str, Any]] = []
        self.followed = ""
        self.asked: str | None = None
        self.view = Branches()
        names = [number.name for number in numbers(model) if not number.name.startswith("initial")]
        name = first[0] if first[0] in names else names[0]
        self.parameter = pn.widgets.Select(label="Parameter", options=names, value=name, width=200)
        self.begin = pn.widgets.FloatInput(label="From", value=model.value(name), width=110)
        self.end = pn.widgets.FloatInput(label="To", value=first[1], width=110)
        self.shown = pn.widgets.Select(label="Observable", options={}, width=160)
        self.special = pn.widgets.Select(label="Special points", options={}, width=260)
        self.load_button = Button("Load this point", disabled=True, align="end")
        self.parameter.param.watch(self._chosen, "value")
        self.shown.param.watch(lambda event: self._show(), "value")
        self.load_button.on_click(lambda event: self._load(self.special.value))
        for name in ("points", "special"):
            source = self.view.sources[name]
            source.selected.on_change("indices", lambda attr, old, new, source=source: self._tapped(source, new))

    def layout(self) -> list[Any]:
        """What stands on the tab."""
        asked = pn.FlexBox(self.parameter, self.begin, self.end, self.start_button, self.cancel_button)
        chosen = pn.FlexBox(self.shown, self.special, self.load_button)
        table = FigureTable(self.view)
        pane = pn.pane.Bokeh(self.view.figure, sizing_mode="stretch_width")
        return [asked, self.words, pane, chosen, table.button, table.pane]

    def _chosen(self, event: Any) -> None:
        """Begin where the model is, and go as far as the sliders do."""
        try:
            number = next((one for one in numbers(self.current()) if one.name == event.new), None)
            if number is None:
                raise InputError(f"The model has no `{event.new}` now.")
        except InputError as error:
            self.words.object = str(error)
            return
        self.begin.value, self.end.value = number.value, number.high

    def start(self) -> None:
        """Show the diagram that is kept, or queue it."""
        self.cancel()
        name = str(self.parameter.value)
        try:
            begin, end = real("from", self.begin.value), real("to", self.end.value)
            task = Diagram(self.current().replace(**{name: begin}), name, end, self.options, self.store)
            self.followed, self.asked = name, task.name
            kept = self.store.recall(self.asked) if self.store else None
            if kept is not None:
                self._take(FinishedDiagram(kept))
                return
            job = self.jobs.submit(task, self.tell())
        except (InputError, LimitError) as error:
            self.words.object = str(error)
            return
        self.rows = []
        self._show()
        self.begun(job, "Starting a process; the first point takes some seconds, for the derivatives are compiled ...")

    def take(self, events: Sequence[Event], done: bool) -> None:
        """Show the points that have come, or the whole diagram."""
        whole = [event for event in events if not isinstance(event, Point)]
        self.rows += [event.row for event in events if isinstance(event, Point)]
        if len(whole) < len(events):
            self._show()
            last = self.rows[-1]
            self.words.object = (
                f"{len(self.rows)} points; now at {last['parameter']:.5g} on branch {last['branch']} ..."
            )
        for event in whole:
            self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, FinishedDiagram):
            found = event.diagram
            if self.store:
                self.store.recall(self.asked)  # into memory, for the next who asks
            self.rows = rows_of(found)
            self._show()
            branches, special = found.sizes["branch"], found.sizes["special"]
            endings = "\n".join(f"branch {k}: {text}" for k, text in enumerate(found["branch_ending"].values.tolist()))
            self.words.object = (
                f"{branches} branch{'es' if branches != 1 else ''} with {special} special points, followed to the end "
                f"and kept; the other parameters are as they were then.\n{endings}"
            )
        elif isinstance(event, Failure):
            self.words.object = event.message

    def stopped(self) -> str:
        """What is said when the reader has stopped it."""
        return f"Stopped; {len(self.rows)} points are shown, and none is kept."

    def mark(self, model: AbstractSystem) -> None:
        """Mark where the page's model stands."""
        with contextlib.suppress(InputError):
            self._mark(model)

    def _mark(self, model: AbstractSystem) -> None:
        if self.followed:
            self.view.here.update(location=float(model.value(self.followed)), visible=True)

    def _show(self) -> None:
        names = [name for name, value in self.rows[0].items() if isinstance(value, list)] if self.rows else []
        options = {f"{name} {label}": (name, k) for name in names for k, label in enumerate(self.populations)}
        if options and options != self.shown.options:
            first = options.get("rate " + self.populations[0]) if len(names) == 1 else next(iter(options.values()))
            self.shown.param.update(options=options, value=first)
        name, component = self.shown.value or ("", 0)
        if name:
            self.view.show(self.rows, name, component)
            self.view.figure.yaxis.axis_label = f"{name} {self.populations[component]}"
        self.view.figure.xaxis.axis_label = self.followed
        self.view.figure.title.text = f"branches in {self.followed}"
        self.view.drawn()
        special = {
            f"{row['special'].replace('_', ' ')} at {row['parameter']:.5g}": k
            for k, row in enumerate(self.rows)
            if row.get("special")
        }
        if special != self.special.options:
            self.special.options = special
        self.load_button.disabled = not special
        with contextlib.suppress(InputError):  # the page's model has other populations by now, or a bad box
            self.mark(self.current())

    def _tapped(self, source: Any, indices: list[int]) -> None:
        if indices:
            self._load(int(source.data["row"][indices[0]]))

    def _load(self, row: int | None) -> None:
        """Put the parameters of a point on the page; a balanced model also starts at the stationary state."""
        if row is None or row >= len(self.rows):
            return
        point = self.rows[row]
        values = {self.followed: point["parameter"]}
        if "mean" in point and "variance" in point and point["period"] is None:
            for k, label in enumerate(self.populations):
                values |= {
                    f"initial_mean[{label}]": point["mean"][k],
                    f"initial_variance[{label}]": point["variance"][k],
                }
        try:
            self.load(values)
        except InputError as error:
            self.words.object = str(error)
