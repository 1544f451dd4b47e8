"""Spikes from anywhere, of another simulator or of an experiment, as the Dataset that `simulate` gives."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.checks import InputError, array, integer, known_keys, names, real, require, shown, vector
from largen.checks.conversion import Axes
from largen.datasets import label_recording
from largen.runtime.memory import require_memory
from largen.statistics.labels import SLACK
from largen.system import Arrays
from largen.systems import RECORDED, system_class

_ROUNDING = 1e-6
"""Share of a step up to which a spike after an output time counts as being at it: times in double precision round."""
_LIKE = "Such as populations={'e': range(0, 300), 'i': range(300, 400)}."


class Population(NamedTuple):
    """One recorded population.

    Attributes:
        label: Its label.
        ids: Ids of its neurons in their order, shape (neuron,).
        all_said: Whether it was said that these are all of its neurons, as a range does.
    """

    label: str
    ids: np.ndarray
    all_said: bool

    @property
    def gaps(self) -> bool:
        """Whether ids between the first and the last are missing."""
        return int(self.ids.max()) - int(self.ids.min()) >= len(self.ids)


class Spikes(NamedTuple):
    """Spikes as given, one entry a spike; shape (spike,) each.

    Attributes:
        time: Times (ms).
        neuron: Ids.
        trial: Numbers of the trials, from 0.
        rounding: How exactly times are known (ms), by their own precision.
    """

    time: np.ndarray
    neuron: np.ndarray
    trial: np.ndarray
    rounding: float


def recording(
    times: Any,
    neurons: Any,
    *,
    populations: Any,
    sizes: Any = None,
    t_start: Any,
    t_stop: Any,
    trials: Any = None,
    realisations: Any = None,
    inhibitory: str | Iterable[str] | None = None,
    step: Any = 0.1,
    origin: str = "",
) -> xr.Dataset:
    """Turn spikes from anywhere into the Dataset that `simulate(SpikingNetwork(), ..., record="spikes")` gives.

    Statistics, drawings, `to_neo`, `fit`, `compare` and files take it as they take a simulated network. It has no
    parameters and no pending spikes.

    Args:
        times: Times of the spikes (ms, or with a unit), shape (spike,), in any order; or a list of such, one a trial.
        neurons: Id of each spike's neuron, any integers, in the shape of `times`.
        populations: Ids of the neurons of each population, silent ones included, by label, such as
            {"e": range(0, 300), "i": range(300, 400)}: ranges, slices, lists or arrays. Or the label of each neuron,
            shape (neuron,), where ids count from 0 (a Series of pandas is indexed by ids).
        sizes: Neurons of each population, by label or in their order. Needed where ids come as a list with gaps, which
            may lack silent neurons, or where others have no ids.
        t_start: Start of the recording (ms), of each trial.
        t_stop: Its end (ms), a multiple of `step` later.
        trials: Trial of each spike, integers or words, shape (spike,). Where `times` is a list of trials: their labels.
            None: one trial, or those of the list.
        realisations: Number of trials, or their labels: needed where a trial may have no spikes.
        inhibitory: Labels of the populations that inhibit. None: those that begin with i or I, where all others begin
            with e or E.
        step: Spacing of the output times (ms), at most 0.5 for the statistics of `analysis.summary`.
        origin: Where the spikes come from, in words, kept in `attrs`.

    Returns:
        Dataset with dims (realisation, population, time): `rate` (Hz) per neuron, of the spikes after the time before
        and up to each time (a spike at `t_start` counts to the first step); per spike `spike_time` (ms),
        `spike_population`, `spike_neuron` (its place among the ids of its population) and `spike_realisation`, sorted
        by realisation and time. The coordinate `trial` has the labels of the trials where they do not count from 0.

    Raises:
        InputError: An argument cannot be used, spikes lie outside the recording, belong to no population or are there
            twice, or it is unclear how many neurons or trials there are; the message says what to give.
    """
    begin, end = real("t_start", t_start, unit="ms"), real("t_stop", t_stop, unit="ms")
    grid = _grid(begin, end, real("step", step, unit="ms", above=0.0))
    everyone, size = _populations(populations, sizes)
    inhibits = _inhibitory([one.label for one in everyone], inhibitory)
    require(isinstance(origin, str), "origin", "be words", origin)
    spikes, labels = _spikes(times, neurons, trials, realisations)
    _require_within(spikes, grid)
    _require_memory(len(labels), len(size), grid, len(spikes.time))

    order, place = _located(spikes, everyone)
    spikes = Spikes(spikes.time[order], spikes.neuron[order], spikes.trial[order], spikes.rounding)
    _require_once(spikes)
    parts = _parts(spikes, place[order], everyone, size, grid, len(labels))
    attrs = {"method": "recorded spikes", "sizes": size, "inhibitory": inhibits.astype(np.int64)}
    attrs |= {"origin": origin} if origin else {}
    made = label_recording(system_class(RECORDED), [one.label for one in everyone], grid, parts, attrs)
    if labels == list(range(len(labels))):
        return made
    return made.assign_coords(trial=("realisation", np.array(labels), {"units": "1", "long_name": "trial"}))


# Times -----------------------------------------------------------------------------------------------------------


def _grid(begin: float, end: float, step: float) -> np.ndarray:
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


# Populations -----------------------------------------------------------------------------------------------------


def _populations(given: Any, sizes: Any) -> tuple[list[Population], np.ndarray]:
    """The populations in their order, and how many neurons each has."""
    everyone = _by_label(given) if isinstance(given, Mapping) else _by_neuron(given)
    require(everyone, "populations", "have a population", given, _LIKE)
    for label in (one.label for one in everyone):
        good = label == label.strip() and label and "," not in label
        require(good, "populations", "have labels that are words without commas", label)
    ids, count = np.unique(np.concatenate([one.ids for one in everyone]), return_counts=True)
    twice = ids[count > 1]
    require(not len(twice), "populations", "have each neuron once", twice, "These ids stand there twice.")
    return everyone, _sizes(everyone, sizes)


def _by_label(given: Mapping[Any, Any]) -> list[Population]:
    for label in given:
        require(isinstance(label, str), "populations", "map labels to ids", dict(given), _LIKE)
    found = []
    for label, value in given.items():
        name = f"populations[{label}]"
        whole = isinstance(value, range | slice)
        ids = _ids(name, _as_range(name, value) if whole else value)
        require(len(ids), name, "have a neuron", value)
        found.append(Population(str(label), ids, whole))
    return found


def _as_range(name: str, value: range | slice) -> np.ndarray:
    if isinstance(value, slice):
        start, step = 0 if value.start is None else value.start, 1 if value.step is None else value.step
        good = all(isinstance(part, int | np.integer) and part >= 0 for part in (start, value.stop, step)) and step
        require(good, name, "be a slice with an end, without negative numbers", value)
        value = range(int(start), int(value.stop), int(step))
    require_memory(48.0 * len(value), f"A population of {len(value)} neurons", "Give the ids of its neurons alone.")
    return np.arange(value.start, value.stop, value.step)


def _by_neuron(given: Any) -> list[Population]:
    """Populations from the label of each neuron."""
    of_pandas = hasattr(given, "to_numpy") and not hasattr(given, "coords")
    known = (isinstance(given, list | tuple | np.ndarray) or of_pandas) and _axes(given) == 1
    labels = np.asarray(given) if known else np.zeros(0)
    words = known and all(isinstance(word, str) for word in labels.tolist())
    require(words, "populations", "be a mapping from label to ids, or the label of each neuron", given, _LIKE)
    own = getattr(given, "index", None) if of_pandas else None
    ids = np.arange(len(labels)) if own is None else _ids("populations.index", np.asarray(own))
    return [Population(str(label), ids[labels == label], True) for label in dict.fromkeys(labels.tolist())]


def _ids(name: str, value: Any) -> np.ndarray:
    """Integers as a vector of int64."""
    require(_axes(value) == 1, name, "be a vector of integers", value, _LIKE if name.startswith("pop") else "")
    found = array(name, value)
    if found.dtype.kind not in "iu":
        exact = found.astype(np.float64)
        good = bool(np.all(np.isfinite(exact) & (exact == np.rint(exact)) & (np.abs(exact) < 2**53)))
        require(good, name, "be integers", value)
    require(not found.size or int(found.max()) < 2**63, name, "be below 2^63", value)
    return found.astype(np.int64)


def _sizes(everyone: list[Population], given: Any) -> np.ndarray:
    """Neurons of each population, as given or as its ids say."""
    labels = [one.label for one in everyone]
    if isinstance(given, Mapping):
        known_keys("population in `sizes`", given, labels)
        wanted = {label: integer(f"sizes[{label}]", value, low=1) for label, value in given.items()}
    elif given is not None:
        found = np.atleast_1d(array("sizes", given, axes=Axes(("population",), (labels,))))
        require(found.shape == (len(labels),), "sizes", f"have an entry for each of {', '.join(labels)}", given)
        pairs = zip(labels, found.tolist(), strict=True)
        wanted = {label: integer(f"sizes[{label}]", value, low=1) for label, value in pairs}
    else:
        wanted = {}
    return np.array([_size(one, wanted.get(one.label)) for one in everyone], dtype=np.int64)


def _size(one: Population, given: int | None) -> int:
    count = len(one.ids)
    if given is None:
        if one.all_said or not one.gaps:
            return count
        raise InputError(
            f"Argument `sizes` must say how many neurons `{one.label}` has: its {count} ids have gaps, "
            f"{shown(one.ids[:5])} and so on, so that silent neurons may be missing. If these are all of its neurons, "
            f"give sizes={{'{one.label}': {count}}}."
        )
    name = f"sizes[{one.label}]"
    if one.all_said:
        require(given == count, name, f"be {count}, as in `populations`", given)
    require(given >= count, name, f"be at least {count}, the ids of it in `populations`", given)
    return given


def _inhibitory(labels: list[str], given: Any) -> np.ndarray:
    """Which populations inhibit, shape (population,)."""
    if given is not None:
        chosen = names("inhibitory", given, like="inhibitory='i'")
        known_keys("population in `inhibitory`", chosen, labels)
        return np.array([label in chosen for label in labels])
    first = [label[0].lower() for label in labels]
    unclear = [label for label, letter in zip(labels, first, strict=True) if letter not in "ei"]
    if unclear and len(labels) > 1:
        raise InputError(
            f"Argument `inhibitory` must be given where a label begins with neither e nor i, as `{unclear[0]}` does. "
            f"Such as inhibitory={labels[-1:]!r}, or inhibitory=() for none."
        )
    return np.array([letter == "i" for letter in first])


# Spikes and trials -----------------------------------------------------------------------------------------------


def _spikes(times: Any, neurons: Any, trials: Any, realisations: Any) -> tuple[Spikes, list[Any]]:
    """The spikes of all trials, and the labels of the trials in their order."""
    per_trial = _is_nested(times)
    must = "be a list of trials, as `times` is" if per_trial else "hold one id for each time"
    remedy = "Of a list with one train for each neuron, repeat each id as often as it spikes, and join the trains."
    require(_is_nested(neurons) == per_trial, "neurons", must, neurons, remedy if per_trial else "")
    if not per_trial:
        time, neuron, rounding = _one_train("times", times, "neurons", neurons)
        labels, trial = _trials_of_spikes(trials, realisations, len(time))
        return Spikes(time, neuron, trial, rounding), labels
    require(len(neurons) == len(times), "neurons", f"have {len(times)} trials, as `times` has", len(neurons))
    pairs = enumerate(zip(times, neurons, strict=True))
    trains = [_one_train(f"times[{k}]", one, f"neurons[{k}]", ids) for k, (one, ids) in pairs]
    labels = _labels_of_list(trials, realisations, len(trains))
    time, neuron, rounding = zip(*trains, strict=True)
    trial = np.repeat(np.arange(len(trains)), [len(one) for one in time])
    return Spikes(np.concatenate(time), np.concatenate(neuron), trial, max(rounding)), labels


def _is_nested(value: Any) -> bool:
    """Whether a value is a list of trials and not one of spikes."""
    return isinstance(value, list | tuple | np.ndarray) and len(value) > 0 and _axes(value[0]) > 0


def _axes(value: Any) -> int:
    """Number of axes; 2 for lists of unequal lengths."""
    try:
        return np.ndim(value)
    except ValueError:
        return 2


def _one_train(name: str, times: Any, ids_name: str, neurons: Any) -> tuple[np.ndarray, np.ndarray, float]:
    """Times (ms), ids, and how exactly the times are known (ms)."""
    raw = array(name, times, unit="ms")
    time = vector(name, raw)
    neuron = _ids(ids_name, neurons)
    require(len(neuron) == len(time), ids_name, f"have {len(time)} entries, as `{name}` has", len(neuron))
    single = raw.dtype.kind == "f" and raw.dtype.itemsize < 8
    return time, neuron, float(np.finfo(raw.dtype).eps * np.abs(time).max(initial=0.0)) if single else 0.0


def _trials_of_spikes(trials: Any, realisations: Any, count: int) -> tuple[list[Any], np.ndarray]:
    """Labels of all trials in their order, and the number of each spike's trial."""
    remedy = "Or give `times` as a list of trials."
    if trials is None or _axes(trials) == 0:
        if trials is not None:
            total = integer("trials", trials, low=1)
            require(realisations is None, "realisations", "be left out where `trials` is their number", realisations)
            realisations = total
        labels = _all_trials(1 if realisations is None else realisations, [])
        must = f"say of each spike which of the {len(labels)} trials it is of"
        require(len(labels) == 1 or count == 0, "trials", must, trials, remedy)
        return labels, np.zeros(count, np.int64)
    own = _trial_labels("trials", trials)
    require(len(own) == count, "trials", f"have {count} entries, as `times` has", len(own))
    seen, number = np.unique(np.array(own), return_inverse=True)
    labels = _all_trials(realisations, seen.tolist())
    place = np.array([labels.index(label) for label in seen.tolist()], dtype=np.int64)
    return labels, place[number.reshape(-1)] if count else np.zeros(0, np.int64)


def _labels_of_list(trials: Any, realisations: Any, count: int) -> list[Any]:
    """Labels of the trials of a list."""
    for name, value in (("trials", trials), ("realisations", realisations)):
        if value is not None and _axes(value) == 0:
            given = integer(name, value, low=1)
            require(given == count, name, f"be {count}, the trials in `times`", given)
    listed = [(name, value) for name, value in (("trials", trials), ("realisations", realisations)) if _axes(value)]
    if not listed:
        return list(range(count))
    name, value = listed[0]
    labels = _trial_labels(name, value)
    require(len(labels) == count, name, f"have {count} labels, one a trial in `times`", len(labels))
    require(len(set(labels)) == count, name, "have each label once", labels)
    return labels


def _all_trials(given: Any, seen: list[Any]) -> list[Any]:
    """Labels of all trials, those without spikes included."""
    if given is None:
        gap = next((a + 1 for a, b in itertools.pairwise(seen) if isinstance(a, int) and b - a > 1), None)
        if gap is not None:
            raise InputError(
                f"Argument `realisations` must be given where numbers of trials have gaps: `trials` has no {gap}. Was "
                f"that a trial without spikes? Give their number, realisations={len(seen)} if there are no others, or "
                "all their labels."
            )
        require(seen, "trials", "have a trial", [], "Give `realisations`, the number of trials.")
        return seen
    if _axes(given) == 0:
        total = integer("realisations", given, low=1)
        require(total >= len(seen), "realisations", f"be at least {len(seen)}, the trials in `trials`", total)
        for first in (0, 1):
            if all(isinstance(label, int) and first <= label < first + total for label in seen):
                return list(range(first, first + total))
        require(total == len(seen), "realisations", f"be the labels of all {total} trials", total,
                f"Those in `trials` are {shown(seen)}.")  # fmt: skip
        return seen
    labels = _trial_labels("realisations", given)
    require(len(set(labels)) == len(labels) > 0, "realisations", "have each label once", labels)
    missing = [label for label in seen if label not in labels]
    require(not missing, "realisations", "have the labels of all trials in `trials`", labels,
            f"It lacks {shown(missing[:5])}.")  # fmt: skip
    return labels


def _trial_labels(name: str, value: Any) -> list[Any]:
    """Integers or words."""
    require(_axes(value) == 1, name, "be a vector of labels", value)
    own = np.asarray(value)
    if own.size and all(isinstance(word, str) for word in own.tolist()):
        return [str(word) for word in own.tolist()]
    return _ids(name, value).tolist()


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
