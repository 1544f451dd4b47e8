"""Spikes from anywhere, of another simulator or of an experiment, as the Dataset that `simulate` gives."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.checks import InputError, real, require
from largen.datasets import label_recording
from largen.io.recorded_populations import Population, inhibitory_of, network_sizes_of, populations_of
from largen.io.recorded_trials import Spikes, spikes_given
from largen.runtime.memory import require_memory
from largen.statistics.labels import SLACK
from largen.system import Arrays
from largen.systems import RECORDED, system_class

_ROUNDING = 1e-6
"""Share of a step up to which a spike after an output time counts as being at it: times in double precision round."""


def recording(
    times: Any,
    neurons: Any,
    *,
    populations: Any,
    sizes: Any = None,
    network_sizes: Any = None,
    t_start: Any,
    t_stop: Any,
    trials: Any = None,
    realisations: Any = None,
    inhibitory: str | Iterable[str] | None = None,
    stretch: Any = None,
    step: Any = 0.1,
    origin: str = "",
) -> xr.Dataset:
    """Turn spikes from anywhere into the Dataset that `simulate(SpikingNetwork(), ..., record="spikes")` gives.

    Statistics, drawings, `to_neo`, `fit`, `compare` and files take it as they take a simulated network. It has no
    parameters and no pending spikes; its attribute `kind` is "recording". `read_recording` takes objects and files of
    other programs.

    Args:
        times: Times of the spikes (ms, or with a unit), shape (spike,), in any order; or a list of such, one a trial.
        neurons: Id of each spike's neuron, any integers, in the shape of `times`.
        populations: Ids of the neurons of each population, silent ones included, by label, such as
            {"e": range(0, 300), "i": range(300, 400)}: ranges, slices, lists or arrays. Or the label of each neuron,
            shape (neuron,), where ids count from 0 (a Series of pandas is indexed by ids).
        sizes: Neurons of each population, by label or in their order. Needed where ids come as a list with gaps, which
            may lack silent neurons, or where others have no ids.
        network_sizes: Neurons of each population of the network, by label or in their order, where those recorded are a
            random sample of it; populations left out are recorded as a whole. None: all are recorded.
        t_start: Start of the recording (ms), of each trial.
        t_stop: Its end (ms), a multiple of `step` later.
        trials: Trial of each spike, integers or words, shape (spike,). Where `times` is a list of trials: their labels.
            None: one trial, or those of the list.
        realisations: Number of trials, or their labels: needed where a trial may have no spikes.
        inhibitory: Labels of the populations that inhibit. None: those that begin with i or I, where all others begin
            with e or E.
        stretch: Length (ms), a multiple of `step`: every trial is cut into as many stretches of it as fit, each a
            realisation whose times begin at 0; the rest at the end is left out. None: trials are not cut.
        step: Spacing of the output times (ms), at most 0.5 for the statistics of `analysis.summary`.
        origin: Where the spikes come from, in words, kept in `attrs`.

    Returns:
        Dataset with dims (realisation, population, time): `rate` (Hz) per neuron, of the spikes after the time before
        and up to each time (a spike at `t_start` counts to the first step); per spike `spike_time` (ms),
        `spike_population`, `spike_neuron` (its place among the ids of its population) and `spike_realisation`, sorted
        by realisation and time. The coordinate `trial` has the labels of the trials where they do not count from 0;
        of stretches, `begin` has the time (ms) at which each begins. `attrs["left_out"]` counts spikes after the last
        whole stretch; `attrs["sizes"]` are the neurons recorded, and `attrs["network_sizes"]` those of the network of
        which they are a sample, `attrs["n"]` in all.

    Raises:
        InputError: An argument cannot be used, spikes lie outside the recording, belong to no population or are there
            twice, or it is unclear how many neurons or trials there are; the message says what to give.
    """
    window = real("t_start", t_start, unit="ms"), real("t_stop", t_stop, unit="ms")
    grid = grid_of(*window, real("step", step, unit="ms", above=0.0))
    length = None if stretch is None else real("stretch", stretch, unit="ms", above=0.0)
    populated = populated_by(populations, sizes, inhibitory, network_sizes)
    require(isinstance(origin, str), "origin", "be words", origin)
    spikes, labels = spikes_given(times, neurons, trials, realisations)
    return recorded(spikes, labels, populated, grid, length, {"origin": origin} if origin else {})


class Populated(NamedTuple):
    """Who was recorded.

    Attributes:
        everyone: The populations.
        size: How many neurons each has, shape (population,).
        inhibits: Whether it inhibits, shape (population,).
        network: How many the network has of which they are a sample, shape (population,); None where they are all.
    """

    everyone: list[Population]
    size: np.ndarray
    inhibits: np.ndarray
    network: np.ndarray | None


def populated_by(
    populations: Any, sizes: Any, inhibitory: Any, network_sizes: Any, complete: bool = False
) -> Populated:
    """Who was recorded, from what a user gives; see `populations_of`."""
    return populated_of(*populations_of(populations, sizes, complete), inhibitory, network_sizes)


def populated_of(everyone: list[Population], size: np.ndarray, inhibitory: Any, network_sizes: Any) -> Populated:
    """Who was recorded, from populations and what a user says of them."""
    labels = [one.label for one in everyone]
    return Populated(everyone, size, inhibitory_of(labels, inhibitory), network_sizes_of(labels, size, network_sizes))


def recorded(
    spikes: Spikes,
    labels: list[Any],
    populated: Populated,
    grid: np.ndarray,
    stretch: float | None,
    about: Mapping[str, Any],
    begin: np.ndarray | None = None,
    lengths: np.ndarray | None = None,
) -> xr.Dataset:
    """The Dataset of spikes that are there as arrays; see `recording`.

    Args:
        spikes: The spikes, times within the grid.
        labels: Label of each trial.
        populated: Who was recorded.
        grid: Output times (ms) of a trial, shape (time,).
        stretch: Length (ms) of the stretches into which trials are cut, or None.
        about: More attributes.
        begin: Time (ms) at which each trial began in the source, where its times begin at 0, shape (trial,).
        lengths: How long each trial is (ms), where not all are as long as the grid, shape (trial,).
    """
    everyone, size, inhibits, network = populated
    about = dict(about)
    _require_within(spikes, grid)
    _require_memory(len(labels), len(size), grid, len(spikes.time))
    if stretch is not None:
        start = np.full(len(labels), grid[0]) if begin is None else begin
        lengths = np.full(len(labels), grid[-1] - grid[0]) if lengths is None else lengths
        spikes, labels, grid, begin, lost = _cut(spikes, labels, grid, stretch, start, lengths)
        about["stretch"] = stretch
        about["left_out"] = int(about.get("left_out", 0)) + lost

    order, place = _located(spikes, everyone)
    spikes = spikes.of(order)
    _require_once(spikes)
    parts = _parts(spikes, place[order], everyone, size, grid, len(labels))
    attrs = {"method": "recorded spikes", "sizes": size, "inhibitory": inhibits.astype(np.int64)} | about
    if network is not None:
        attrs["network_sizes"] = network
    made = label_recording(system_class(RECORDED), [one.label for one in everyone], grid, parts, attrs)
    if begin is not None:
        made = made.assign_coords(begin=("realisation", begin, {"units": "ms", "long_name": "begin in the recording"}))
    if labels == list(range(len(labels))):
        return made
    return made.assign_coords(trial=("realisation", np.array(labels), {"units": "1", "long_name": "trial"}))


# Times -----------------------------------------------------------------------------------------------------------


def grid_of(begin: float, end: float, step: float) -> np.ndarray:
    """Output times from begin to end, shape (time,)."""
    require(end > begin, "t_stop", f"be after t_start = {begin:g}", end)
    count = (end - begin) / step
    require(count < 2**53, "step", f"divide a recording of {end - begin:g} ms into steps", step)
    whole = max(round(count), 1)
    if abs(count - whole) > SLACK:
        raise InputError(
            f"Argument `t_stop` must be a multiple of step = {step:g} ms after t_start = {begin:g}, but is {end:.10g}. "
            f"Take t_stop={begin + step * int(np.ceil(count)):.10g}, or cut the spikes after "
            f"{begin + step * int(count):.10g} and take that, or another `step`."
        )
    _require_memory(1, 1, range(whole + 1), 0)
    return np.linspace(begin, end, whole + 1)


def _require_memory(trials: int, populations: int, grid: Sequence[float] | np.ndarray, spikes: int) -> None:
    """Refuse a recording that does not fit; the message names what would."""

    def needed(trials: int, times: int) -> float:
        return 24.0 * trials * populations * times + 120.0 * spikes

    shape = trials, len(grid)
    what = f"A recording of {_several(trials, 'trial')} of {_several(populations, 'population')} at {len(grid)} times"
    smaller: Mapping[str, tuple[int, Callable[[int], float]]] = {
        "{} trials": (shape[0], lambda k: needed(k, shape[1])),
        "{} times": (shape[1], lambda k: needed(shape[0], k)),
    }
    require_memory(needed(*shape), what, "Take a longer `step`, fewer trials, or a part of the time.", smaller=smaller)


def _several(count: int, word: str) -> str:
    return f"{count} {word}" + ("s" if count != 1 else "")


def _steps_of(time: np.ndarray, grid: np.ndarray, rounding: float) -> np.ndarray:
    """Index of the output time at which, or before which, a spike occurs: 1 at the earliest."""
    step = (grid[-1] - grid[0]) / (len(grid) - 1)
    slack = _ROUNDING + rounding / step
    return np.clip(np.ceil((time - grid[0]) / step - slack), 1, len(grid) - 1).astype(np.int64)


def _require_within(spikes: Spikes, grid: np.ndarray) -> None:
    step = (grid[-1] - grid[0]) / (len(grid) - 1)
    if spikes.rounding > 0.5 * step:
        raise InputError(
            f"Argument `times` must be exact to half a step of {step:g} ms, but in single precision they are exact to "
            f"{spikes.rounding:.2g} ms. Give them in double precision, or take a longer `step`."
        )
    slack = SLACK * step + spikes.rounding
    outside = (spikes.time < grid[0] - slack) | (spikes.time > grid[-1] + slack)
    if outside.any():
        first = spikes.time[outside][0]
        raise InputError(
            f"Argument `times` must lie within t_start = {grid[0]:g} and t_stop = {grid[-1]:g} ms, but "
            f"{int(outside.sum())} of {len(outside)} do not, the first at {first:.10g}. Is it in another unit? Else "
            "leave these spikes out, or take another t_start and t_stop."
        )


def _cut(
    spikes: Spikes, labels: list[Any], grid: np.ndarray, stretch: float, start: np.ndarray, lengths: np.ndarray
) -> tuple[Spikes, list[Any], np.ndarray, np.ndarray, int]:
    """Trials cut into stretches: (spikes, labels, output times, begins, spikes left out)."""
    step = (grid[-1] - grid[0]) / (len(grid) - 1)
    own = round(stretch / step)
    good = own >= 1 and abs(stretch / step - own) <= SLACK
    remedy = f"Take stretch={max(own, 1) * step:.10g}."
    require(good, "stretch", f"be a multiple of step = {step:g} ms", stretch, remedy)
    count = np.floor(lengths / (own * step) + SLACK / own).astype(np.int64)
    require(count.min() >= 1, "stretch", f"be at most {lengths.min():.10g} ms, what was recorded", stretch)
    first = np.concatenate([[0], np.cumsum(count)])
    which = (_steps_of(spikes.time, grid, spikes.rounding) - 1) // own
    kept = which < count[spikes.trial]
    time = spikes.time[kept] - grid[0] - which[kept] * own * step
    cut = Spikes(
        np.clip(time, 0.0, own * step),
        spikes.neuron[kept],
        first[spikes.trial[kept]] + which[kept],
        max(spikes.rounding, 4.0 * float(np.spacing(np.abs(grid).max()))),
    )
    begin = np.repeat(start, count) + (np.arange(first[-1]) - np.repeat(first[:-1], count)) * own * step
    counted = labels == list(range(len(labels)))
    repeated = [label for label, k in zip(labels, count.tolist(), strict=True) for _ in range(k)]
    made = list(range(len(begin))) if counted else repeated
    return cut, made, np.linspace(0.0, own * step, own + 1), begin, int((~kept).sum())


# To arrays -------------------------------------------------------------------------------------------------------


def _located(spikes: Spikes, everyone: list[Population]) -> tuple[np.ndarray, np.ndarray]:
    """The order of spikes by trial, time and neuron, and each one's place among the neurons of all populations."""
    ids = np.concatenate([one.ids for one in everyone])
    order = np.argsort(ids)
    at = np.minimum(np.searchsorted(ids, spikes.neuron, sorter=order), len(ids) - 1)
    place = order[at]
    unknown = ids[place] != spikes.neuron
    if unknown.any():
        strange = np.unique(spikes.neuron[unknown])
        raise InputError(
            f"Argument `neurons` must hold ids of `populations`, but {int(unknown.sum())} of {len(unknown)} spikes are "
            f"of {_several(len(strange), 'other neuron')}, such as {strange[0]}. Add them to a population, or leave "
            "their spikes out."
        )
    return np.lexsort((place, spikes.time, spikes.trial)), place


def _require_once(spikes: Spikes) -> None:
    """Refuse a spike that is there twice; spikes are sorted by trial, time and neuron."""
    same = (np.diff(spikes.trial) == 0) & (np.diff(spikes.time) == 0) & (np.diff(spikes.neuron) == 0)
    if same.any():
        k = int(np.argmax(same))
        raise InputError(
            f"Argument `times` must have each spike of a neuron once, but neuron {spikes.neuron[k]} has one at "
            f"{spikes.time[k]:.10g} ms twice ({int(same.sum())} such spikes in all). Say in `trials` of which trial "
            "each is, or leave out what was recorded twice."
        )


def _parts(
    spikes: Spikes, place: np.ndarray, everyone: list[Population], size: np.ndarray, grid: np.ndarray, count: int
) -> list[Arrays]:
    """The arrays of each trial, as a simulated network gives them."""
    edge = np.concatenate([[0], np.cumsum([len(one.ids) for one in everyone])])
    owner = np.searchsorted(edge, place, side="right") - 1
    step, seconds = _steps_of(spikes.time, grid, spikes.rounding), (grid[-1] - grid[0]) / (len(grid) - 1) / 1000.0
    bounds = np.searchsorted(spikes.trial, np.arange(count + 1))
    parts = []
    for first, last in itertools.pairwise(bounds.tolist()):
        mine = slice(first, last)
        cells = np.bincount(owner[mine] * len(grid) + step[mine], minlength=len(size) * len(grid))
        parts.append(
            Arrays(
                {
                    "rate": cells.reshape(len(size), len(grid)) / (size[:, None] * seconds),
                    "spike_population": owner[mine].astype(np.int32),
                    "spike_neuron": (place[mine] - edge[owner[mine]]).astype(np.int32),
                    "spike_time": np.clip(spikes.time[mine], grid[0], grid[-1]),
                }
            )
        )
    return parts
