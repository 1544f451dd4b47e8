"""The distance between network and limit against the number of neurons, filled in size by size in the background."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import panel as pn
import xarray as xr
from bokeh.models import FixedTicker, PrintfTickFormatter, Range1d, Span

from largen.checks import InputError, LimitError
from largen.explorer.figure_table import FigureTable
from largen.explorer.job_tab import JobTab
from largen.explorer.jobs import Event, Failure, Sized
from largen.explorer.state import State, same
from largen.explorer.view import CLEAR, FADED, LIMIT, NETWORK, View
from largen.explorer.words import Words
from largen.system import AbstractSystem

if TYPE_CHECKING:
    from largen.explorer.page import Page

SMALLEST, MOST_SIZES, NETWORKS = 50, 8, 8
ENOUGH = 60.0
"""Seconds after which no further size is begun."""


class Sizes(NamedTuple):
    """Networks of growing size beside their limit.

    Attributes:
        model: The model.
        times: Output times, shape (time,).
        seed: Seed.
        options: Options of limit and network.
        most: Largest size.
    """

    model: AbstractSystem
    times: np.ndarray
    seed: int
    options: Mapping[str, Any]
    most: int

    @property
    def sizes(self) -> list[int]:
        """50, 100, 200, ... neurons, those that the model can be split into."""
        found = []
        for n in (SMALLEST * 2**k for k in range(MOST_SIZES)):
            with contextlib.suppress(InputError):
                self.model.sizes(n)
                found += [n] if n <= self.most else []
        return found

    @property
    def bytes(self) -> float:
        """Memory of the worker."""
        return self.model.plan(self.times, n=self.sizes[-1], method=None, record=()).bytes * (1 + NETWORKS / 4)

    @property
    def words(self) -> str:
        """What needs the memory."""
        return "The distance at every size"

    def run(self, send: Callable[[Event], None]) -> None:
        """Run size after size; what every size costs says whether there is time for the next."""
        from largen.comparison.scaling import convergence

        name = next(one.name for one in self.model.observables if not one.on_request and "time" in one.dims)
        begun, sizes, study, k = time.monotonic(), self.sizes, None, 2
        while k <= len(sizes):
            before = time.monotonic()
            try:
                study = convergence(
                    self.model, self.times, n=sizes[:k], realisations=NETWORKS, seed=self.seed, observable=name,
                    finished=study, **self.options,
                )  # fmt: skip
            except InputError:
                if study is not None or len(sizes) <= 2:
                    raise
                sizes = sizes[1:]  # a network so small that it never reaches the limit
                continue
            send(Sized(curve_of(study, name)))
            took, k = time.monotonic() - before, k + 1
            if time.monotonic() - begun + 2 * took > ENOUGH:
                return


def curve_of(study: xr.Dataset, name: str) -> dict[str, Any]:
    """A convergence study as the figure shows it: n, distance with the ends of its 95 % interval, and the power law.

    With an infinite limit the distance is that of a single network, over the course in time; else that of the mean of
    the networks from the reduction of the same size, over the time means.
    """
    n = study["n"].values.tolist()
    if "distance" in study:
        one = study.sel(observable=name)
        low, high = (one[f"distance_exponent_{end}"].item() for end in ("low", "high"))
        return {
            "n": n, "distance": one["distance"].values.tolist(), "low": one["distance_low"].values.tolist(),
            "high": one["distance_high"].values.tolist(), "exponent": one["distance_exponent"].item(),
            "exponent_low": low, "exponent_high": high, "name": name,
        }  # fmt: skip
    rows = [not str(row).endswith("(time)") for row in study["component"].values]
    rows = [row and str(owner) == name for row, owner in zip(rows, study["observable_of"].values, strict=True)]
    part = study.isel(component=np.flatnonzero(rows))
    share = part["difference"] / part["scale"]
    half = (part["ci_high"] - part["ci_low"]) / (2 * part["scale"])
    distance = np.sqrt((share**2).mean("component").values)
    error = np.sqrt((half**2).mean("component").values) / np.sqrt(max(len(part["component"]), 1))
    return {"n": n, "distance": distance.tolist(), "low": np.maximum(distance - error, distance / 10).tolist(),
            "high": (distance + error).tolist(), "name": name}  # fmt: skip


TICKS = [float(f"{lead}e{power}") for power in range(-8, 8) for lead in (1, 2, 5)]
"""Marks of the logarithmic axes."""


class DistanceAgainstN(View):
    """Distance against n on two logarithmic axes, with the power law and the n of the page."""

    about = (
        "dots with their 95 % intervals: distance from the limit in units of its natural size; the line is the power "
        "law through them, the dotted line the n of the page"
    )

    def __init__(self) -> None:
        super().__init__(
            "sizes", "distance from the limit against n", "neurons n", "distance", height=380,
            x_axis_type="log", y_axis_type="log",
            x_range=Range1d(start=30, end=10_000), y_range=Range1d(start=0.01, end=1),
        )  # fmt: skip
        bars = self.source("bars", "x", "low", "high")
        self.figure.segment("x", "low", "x", "high", source=bars, color=LIMIT, line_width=2)
        dots = self.figure.scatter("x", "y", source=self.source("dots", "x", "y"), size=9, color=LIMIT)
        line = self.figure.line("x", "y", source=self.source("law", "x", "y"), color=NETWORK, line_width=2)
        self.words["bars"] = "95 % interval"
        self.entry("networks", "dots", dots)
        self.entry("power law", "law", line)
        for of in (self.figure.xaxis, self.figure.yaxis):
            of.ticker, of.formatter = FixedTicker(ticks=TICKS), PrintfTickFormatter(format="%g")
        self.here = Span(location=1, dimension="height", line_color=NETWORK, line_dash="dotted", line_width=2)
        self.figure.add_layout(self.here)
        self.legend()

    def draw(self, limit: xr.Dataset, runs: Any) -> None:
        """Nothing here depends on the limit that is shown."""

    def show(self, curve: Mapping[str, Any] | None) -> None:
        """Show a curve as `curve_of` gives it, or none."""
        self._show(curve)
        self.drawn()

    def _show(self, curve: Mapping[str, Any] | None) -> None:
        if curve is None:
            for name in self.sources:
                self.empty(name)
            return
        n, distance = np.array(curve["n"], float), np.array(curve["distance"])
        self.fill("dots", x=n, y=distance)
        self.fill("bars", x=n, low=curve["low"], high=curve["high"])
        for axis, values in (
            (self.figure.x_range, n),
            (self.figure.y_range, np.array([*curve["low"], *curve["high"]])),
        ):
            low, high = float(values[values > 0].min()) / 1.4, float(values.max()) * 1.4
            axis.update(start=low, end=high, reset_start=low, reset_end=high)
        exponent = curve.get("exponent", np.nan)
        if np.isfinite(exponent) and len(n) > 2:
            level = np.exp(np.mean(np.log(distance) + exponent * np.log(n)))
            self.fill("law", x=n, y=level * n**-exponent)
        else:
            self.empty("law")

    def mark(self, n: int) -> None:
        """Mark the n of the page."""
        self.here.location = float(n)


class SizesTab(JobTab):
    """The tab: the figure, and at most one job."""

    def __init__(self, page: "Page"):
        super().__init__(page.jobs, "Fill in the figure", "Stop filling in")
        self.page, self._failed = page, ""
        self.state: State | None = None
        self.curve: dict[str, Any] | None = None
        self.view = DistanceAgainstN()
        self.pane = pn.pane.Bokeh(self.view.figure, sizing_mode="stretch_width")

    def layout(self) -> list[Any]:
        """What stands on the tab."""
        about, table = Words(self.view.about, aside=True), FigureTable(self.view)
        buttons = pn.FlexBox(self.start_button, self.cancel_button)
        return [buttons, self.words, self.pane, about, table.button, table.pane]

    def start(self) -> None:
        """Queue the networks of every size."""
        self.cancel()
        page = self.page
        try:
            state = page.asked()
            opening, known = page.opening, {**page.options, **page.network_options}
            task = Sizes(state.model, page.times, state.run.seed, known, opening.most)
            if len(task.sizes) < 2:
                raise InputError("The model cannot be split into networks of two sizes.")
            job = self.jobs.submit(task, page.later(page.poll))
        except (InputError, LimitError) as error:
            self.words.object = str(error)
            return
        self.begun(job, f"Running {NETWORKS} networks of {task.sizes[0]}, {task.sizes[1]}, ... neurons ...")
        self.state, self.curve, self._failed = _bare(state), None, ""
        self.view.show(None)
        self.view.mark(state.run.n)
        self.pane.styles = CLEAR

    def take(self, events: Sequence[Event], done: bool) -> None:
        """Show the sizes that have come."""
        for event in events:
            if isinstance(event, Sized):
                self.curve = event.curve
                self.view.show(self.curve)
                self.words.object = f"{self.said()} Further sizes are on their way ..."
            elif isinstance(event, Failure):
                self._failed = event.message
        if done:
            self.words.object = self._failed or self.said()

    def said(self) -> str:
        """The curve in words."""
        if self.curve is None:
            return ""
        n, distance, low = self.curve["n"], self.curve["distance"], self.curve["low"]
        words = f"From {n[0]} to {n[-1]} neurons the distance goes from {distance[0]:.3g} to {distance[-1]:.3g}"
        exponent = self.curve.get("exponent", np.nan)
        if len(low) > 2 and np.isfinite(exponent):
            ends = f"[{self.curve['exponent_low']:.2f}, {self.curve['exponent_high']:.2f}]"
            words += f", as n to the minus {exponent:.2f} {ends}"
        return f"{words} ({self.curve['name'].replace('_', ' ')}, {NETWORKS} networks a size)."

    def stopped(self) -> str:
        """What is said when the reader has stopped it."""
        return f"Stopped. {self.said()}".strip()

    @property
    def belongs(self) -> bool:
        """Whether there is a curve, and it is that of the page's model."""
        return self.curve is not None and same(self.state, _bare(self.page.state))

    def mark(self) -> None:
        """Mark the n of the page, and grey what belongs to another model."""
        self.view.mark(self.page.state.run.n)
        old = self.state is not None and not same(self.state, _bare(self.page.state))
        if old and self.job is not None:
            self.cancel()
        styles = FADED if old and self.curve is not None else CLEAR
        if self.pane.styles != styles:
            self.pane.styles = styles
            self.words.object = "The figure is that of the model before: fill it in again." if old else self.said()


def _bare(state: State) -> State:
    """A state without what the figure does not depend on."""
    return state._replace(run=state.run._replace(n=0, networks=0))
