"""Which neurons were recorded: populations as a user gives them, their ids, their sizes, which inhibit."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from largen.checks import InputError, array, integer, known_keys, names, require, shown
from largen.checks.conversion import Axes
from largen.runtime.memory import require_memory

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


def populations_of(given: Any, sizes: Any, complete: bool = False) -> tuple[list[Population], np.ndarray]:
    """The populations in their order, and how many neurons each has.

    Args:
        given: Ids by label, or labels of neurons.
        sizes: As `recording` takes it.
        complete: Whether ids that come as a list are those of all neurons.
    """
    everyone = _by_label(given, complete) if isinstance(given, Mapping) else _by_neuron(given)
    require(everyone, "populations", "have a population", given, _LIKE)
    for label in (one.label for one in everyone):
        good = label == label.strip() and label and "," not in label
        require(good, "populations", "have labels that are words without commas", label)
    ids, count = np.unique(np.concatenate([one.ids for one in everyone]), return_counts=True)
    twice = ids[count > 1]
    require(not len(twice), "populations", "have each neuron once", twice, "These ids stand there twice.")
    return everyone, sizes_of(everyone, sizes)


def _by_label(given: Mapping[Any, Any], complete: bool) -> list[Population]:
    for label in given:
        require(isinstance(label, str), "populations", "map labels to ids", dict(given), _LIKE)
    found = []
    for label, value in given.items():
        name = f"populations[{label}]"
        whole = isinstance(value, range | slice)
        ids = ids_of(name, _as_range(name, value) if whole else value)
        require(len(ids), name, "have a neuron", value)
        found.append(Population(str(label), ids, whole or complete))
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
    known = (isinstance(given, list | tuple | np.ndarray) or of_pandas) and axes_of(given) == 1
    labels = np.asarray(given) if known else np.zeros(0)
    words = known and all(isinstance(word, str) for word in labels.tolist())
    require(words, "populations", "be a mapping from label to ids, or the label of each neuron", given, _LIKE)
    own = getattr(given, "index", None) if of_pandas else None
    ids = np.arange(len(labels)) if own is None else ids_of("populations.index", np.asarray(own))
    return [Population(str(label), ids[labels == label], True) for label in dict.fromkeys(labels.tolist())]


def ids_of(name: str, value: Any) -> np.ndarray:
    """Integers as a vector of int64."""
    require(axes_of(value) == 1, name, "be a vector of integers", value, _LIKE if name.startswith("pop") else "")
    found = array(name, value)
    if found.dtype.kind not in "iu":
        exact = found.astype(np.float64)
        good = bool(np.all(np.isfinite(exact) & (exact == np.rint(exact)) & (np.abs(exact) < 2**53)))
        require(good, name, "be integers", value)
    require(not found.size or int(found.max()) < 2**63, name, "be below 2^63", value)
    return found.astype(np.int64)


def sizes_of(everyone: list[Population], given: Any) -> np.ndarray:
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


def network_sizes_of(labels: list[str], recorded: np.ndarray, given: Any) -> np.ndarray | None:
    """Neurons of each population of the network of which those recorded are a sample; None where they are all."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        known_keys("population in `network_sizes`", given, labels)
        wanted = [given.get(label, count) for label, count in zip(labels, recorded.tolist(), strict=True)]
    else:
        found = np.atleast_1d(array("network_sizes", given, axes=Axes(("population",), (labels,))))
        good = found.shape == (len(labels),)
        require(good, "network_sizes", f"have an entry for each of {', '.join(labels)}", given)
        wanted = found.tolist()
    sizes = [integer(f"network_sizes[{label}]", size, low=1) for label, size in zip(labels, wanted, strict=True)]
    for label, size, count in zip(labels, sizes, recorded.tolist(), strict=True):
        require(size >= count, f"network_sizes[{label}]", f"be at least {count}, the neurons recorded", size)
    return None if sizes == recorded.tolist() else np.array(sizes, dtype=np.int64)


def inhibitory_of(labels: list[str], given: Any) -> np.ndarray:
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


def axes_of(value: Any) -> int:
    """Number of axes; 2 for lists of unequal lengths."""
    try:
        return np.ndim(value)
    except ValueError:
        return 2
