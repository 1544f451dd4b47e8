"""A recording to compare with: its statistics beside those of the limit and of the networks."""

import functools
import html
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import panel as pn
import xarray as xr

from largen.checks import dataset, require
from largen.datasets import describe_statistics
from largen.explorer.solvers import Answer
from largen.statistics.labels import population_labels, sizes_of
from largen.system import AbstractSystem
from largen.systems import system_class

if TYPE_CHECKING:
    from largen.explorer.page import Page

SETTLED = 400
"""ms without a new limit after which its statistics are asked for: no slider waits for them."""
KEPT = {"realisation", "population", "time", "patch"}
"""Dimensions of what statistics are formed of."""
LEFT_OUT = "Of each run the first 500 ms are left out, or its first quarter if that is less."


class Statistic(NamedTuple):
    """A number of a run.

    Attributes:
        value: Its value.
        error: Its standard error; 0 of a limit, NaN where it is not known.
        unit: Its unit.
    """

    value: float
    error: float
    unit: str


class Recording(NamedTuple):
    """What was recorded.

    Attributes:
        name: What it is called on the page.
        runs: A Dataset such as `read_recording` or `simulate` return.
        statistics: Its statistics by name.
    """

    name: str
    runs: xr.Dataset
    statistics: Mapping[str, Statistic]

    @property
    def populations(self) -> list[str]:
        """Labels of its populations."""
        return population_labels(self.runs)

    def why_not(self, limit: xr.Dataset) -> str:
        """Why it cannot be drawn beside a limit; empty where it can."""
        ours, theirs = self.populations, population_labels(limit)
        if sorted(ours) == sorted(theirs):
            return ""
        return (
            f"{self.name} has the populations {', '.join(ours)}, and this model {', '.join(theirs)}: it is not shown. "
            "Say in `populations` which of its neurons belong to which."
        )


def recording_of(name: str, runs: Any, model: AbstractSystem) -> Recording:
    """A recording to be shown beside a model.

    Raises:
        InputError: It is of another system or has other populations, or its times allow no statistics.
    """
    dataset("recording", runs, kinds=("network",), remedy="Pass what read_recording(...) or simulate(...) returned.")
    theirs = str(runs.attrs.get("system", "no"))
    must = f"be of the {model.system} system, as the model is"
    require(theirs == model.system, "recording", must, f"of the {theirs} system", "Take a model of that system.")
    found = Recording(name, runs, statistics_of(runs))
    have = sorted(found.populations) == sorted(model.populations)
    remedy = "Say in `populations` which of its neurons belong to which."
    must = f"have the populations of the model, {', '.join(model.populations)}"
    require(have, "recording", must, ", ".join(found.populations), remedy)
    return found


def statistics_of(runs: xr.Dataset) -> dict[str, Statistic]:
    """Statistics of a run: those that its system gives, and of these, where `compare` has its own, those of `compare`.

    The two differ for the synchrony, which `compare` takes without the spike itself, and for the rhythm of a limit,
    which has to last.

    Raises:
        InputError: The times allow no statistics.
    """
    system = system_class(str(runs.attrs["system"]))
    described = describe_statistics(system.statistics(runs))
    found = {name: Statistic(_number(row["value"]), _number(row["standard_error"]), row["unit"])
             for name, row in described.items()}  # fmt: skip
    alone = runs.sizes.get("realisation", 1) == 1
    for name, feature in system.features(runs, system.independent_parts(runs) if alone else None).items():
        if isinstance(feature, str):
            continue
        rows = np.asarray(feature.values, float)
        error = rows.std(axis=0, ddof=1) / math.sqrt(len(rows)) if len(rows) > 1 else np.full(rows.shape[1], np.nan)
        for k, label in enumerate(feature.labels):
            words = f"{name}[{label}]" if label else name
            found[words] = Statistic(float(feature.estimate[k]), float(error[k]), feature.unit)
    return found


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def table_html(recording: Recording, limit: Mapping[str, Statistic], networks: Mapping[str, Statistic]) -> str:
    """The recording's statistics beside those of a limit and of networks; what is not there yet is left empty."""
    heads = ["quantity", "recording", "limit", "limit less recording", "networks", "networks less recording"]
    rows = []
    for name, own in recording.statistics.items():
        if not math.isfinite(own.value):
            continue
        cells = [f"{name} ({own.unit})" if own.unit not in ("", "1") else name, _said(own)]
        for of in (limit, networks):
            cells += [_said(of.get(name)), _share(own, of.get(name))]
        first, *rest = (html.escape(cell) for cell in cells)
        rows.append(f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>')
    head = "".join(f'<th scope="col">{word}</th>' for word in heads)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="wide" tabindex="0" role="region" aria-label="Statistics of the recording">{table}</div>'


def _said(one: Statistic | None) -> str:
    if one is None:
        return ""
    if not math.isfinite(one.value):
        return "none"
    return f"{one.value:.4g} ± {one.error:.2g}" if one.error > 0 else f"{one.value:.4g}"


def _share(own: Statistic, other: Statistic | None) -> str:
    if other is None or not math.isfinite(other.value) or own.value == 0:
        return ""
    return f"{100 * (other.value - own.value) / abs(own.value):+.1f} %"


def recording_html(recording: Recording, limit: Mapping[str, Statistic], networks: Mapping[str, Statistic]) -> str:
    """What was recorded in words, with the table folded under it."""
    runs = recording.runs
    count, long = runs.sizes.get("realisation", 1), float(runs["time"][-1] - runs["time"][0])
    split = [f"{size} of {label}" for label, size in zip(recording.populations, sizes_of(runs), strict=True)]
    unit = str(runs["time"].attrs.get("units", ""))
    times = f"{count} runs" if count > 1 else "one run"
    said = f"{recording.name}: {times} of {long:g} {unit}".rstrip() + f", {', '.join(split)}."
    return (
        f'<div class="verdict"><p class="headline"><strong>RECORDING</strong> {html.escape(said)}</p>'
        f"<details open><summary>Its statistics beside those of limit and networks</summary>"
        f'{table_html(recording, limit, networks)}<p class="note">{LEFT_OUT} ± is a standard error.</p></details></div>'
    )


class Beside:
    """The recording's block on a page: its statistics beside those of what the page shows."""

    def __init__(self, page: "Page", recording: Recording | None):
        self.page = page
        self.recording = (
            recording if recording is not None and recording.runs.attrs["system"] == page.own.system else None
        )
        self.pane = pn.pane.HTML("", sizing_mode="stretch_width", margin=0, stylesheets=[page.sheet])
        self.pane.visible = self.recording is not None
        self._of: dict[str, Any] = {}  # the runs by who they are of
        self._found: dict[str, Mapping[str, Statistic]] = {}

    def show(self, recording: Recording | None) -> None:
        """Show another recording, or none."""
        self.recording, self.pane.visible = recording, recording is not None
        self._of, self._found = {}, {}
        self.refresh()

    def of(self, limit: xr.Dataset) -> xr.Dataset | None:
        """The recorded runs, where they can be drawn beside a limit."""
        fits = self.recording is not None and not self.recording.why_not(limit)
        return self.recording.runs if self.recording is not None and fits else None

    def refresh(self) -> None:
        """Bring the table up to the limit and the networks that the page shows."""
        page = self.page
        if self.recording is None:
            return
        shown = page.runner.shown
        now = {
            "limit": page.limit if page.has_limit else None,
            "networks": shown.network if shown is not None else None,
        }
        for who, runs in now.items():
            if runs is self._of.get(who):
                continue
            self._of[who] = runs
            self._found.pop(who, None)
            if runs is not None:
                page.after(SETTLED, functools.partial(self._ask, who, runs))
        self._write()

    def _ask(self, who: str, runs: xr.Dataset) -> None:
        if runs is not self._of.get(who):
            return
        slim = runs.drop_vars([name for name, variable in runs.variables.items() if not KEPT.issuperset(variable.dims)])
        take = self.page.later(functools.partial(self._came, who, runs))
        self.page.solver.ask((self.page, "statistics", who), statistics_of, (slim,), take)

    def _came(self, who: str, runs: xr.Dataset, found: Answer) -> None:
        if runs is self._of.get(who):
            self._found[who] = found.content or {}
            self._write()

    def _write(self) -> None:
        assert self.recording is not None
        text = self.html()
        if self.pane.object != text:
            self.pane.object = text

    def html(self) -> str:
        """The block; empty without a recording."""
        if self.recording is None or self.page.limit is None:
            return ""
        if why := self.recording.why_not(self.page.limit):
            return f'<p class="note">{html.escape(why)}</p>'
        return recording_html(self.recording, self._found.get("limit", {}), self._found.get("networks", {}))

    def close(self) -> None:
        """Drop what is on its way: the tab was closed."""
        self.page.solver.forget(*((self.page, "statistics", who) for who in ("limit", "networks")))
