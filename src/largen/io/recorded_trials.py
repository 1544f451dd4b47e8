"""Spikes and trials as a user gives them, one entry a spike."""

import itertools
from typing import Any, NamedTuple

import numpy as np

from largen.checks import InputError, array, integer, require, shown, vector
from largen.io.recorded_populations import axes_of, ids_of


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

    def of(self, chosen: np.ndarray) -> "Spikes":
        """Those that a mask or an order chooses."""
        return Spikes(self.time[chosen], self.neuron[chosen], self.trial[chosen], self.rounding)


def spikes_given(times: Any, neurons: Any, trials: Any, realisations: Any) -> tuple[Spikes, list[Any]]:
    """The spikes of all trials, and the labels of the trials in their order."""
    per_trial = _is_nested(times)
    must = "be a list of trials, as `times` is" if per_trial else "hold one id for each time"
    remedy = "Of a list with one train for each neuron, repeat each id as often as it spikes, and join the trains."
    require(_is_nested(neurons) == per_trial, "neurons", must, neurons, remedy if per_trial else "")
    if not per_trial:
        time, neuron, rounding = _one_train("times", times, "neurons", neurons)
        labels, trial = trials_of_spikes(trials, realisations, len(time))
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
    return isinstance(value, list | tuple | np.ndarray) and len(value) > 0 and axes_of(value[0]) > 0


def _one_train(name: str, times: Any, ids_name: str, neurons: Any) -> tuple[np.ndarray, np.ndarray, float]:
    """Times (ms), ids, and how exactly the times are known (ms)."""
    raw = array(name, times, unit="ms")
    time = vector(name, raw)
    neuron = ids_of(ids_name, neurons)
    require(len(neuron) == len(time), ids_name, f"have {len(time)} entries, as `{name}` has", len(neuron))
    return time, neuron, rounding_of(raw, time)


def rounding_of(raw: np.ndarray, time: np.ndarray) -> float:
    """How exactly times (ms) are known (ms) that came as `raw`: in single precision to its spacing at the largest."""
    single = raw.dtype.kind == "f" and raw.dtype.itemsize < 8
    return float(np.finfo(raw.dtype).eps * np.abs(time).max(initial=0.0)) if single else 0.0


def trials_of_spikes(trials: Any, realisations: Any, count: int) -> tuple[list[Any], np.ndarray]:
    """Labels of all trials in their order, and the number of each spike's trial."""
    remedy = "Or give `times` as a list of trials."
    if trials is None or axes_of(trials) == 0:
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
        if value is not None and axes_of(value) == 0:
            given = integer(name, value, low=1)
            require(given == count, name, f"be {count}, the trials in `times`", given)
    listed = [(name, value) for name, value in (("trials", trials), ("realisations", realisations)) if axes_of(value)]
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
    if axes_of(given) == 0:
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
    require(axes_of(value) == 1, name, "be a vector of labels", value)
    own = np.asarray(value)
    if own.size and all(isinstance(word, str) for word in own.tolist()):
        return [str(word) for word in own.tolist()]
    return ids_of(name, value).tolist()
