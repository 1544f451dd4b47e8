"""What every reader of recorded spikes returns, and what they share."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from largen.checks import InputError, array, require
from largen.io.recorded_populations import ids_of
from largen.io.recorded_trials import Spikes, rounding_of

MILLISECONDS = {"ms": 1.0, "s": 1000.0, "us": 0.001, "min": 60_000.0}
"""What a unit of time is in ms."""
WAY = "populations={'e': range(0, 300), 'i': range(300, 400)}"


class Asked(NamedTuple):
    """What a user says that a reader may need.

    Attributes:
        populations: As `read_recording` takes it.
        unit: Unit of time of a source that has none of its own, or None.
        trials: Name of a table of trials in the source, or None.
        realisations: Number of trials of a table with a column of them, or their labels, or None.
    """

    populations: Any = None
    unit: str | None = None
    trials: str | None = None
    realisations: Any = None


class Found(NamedTuple):
    """What a source holds.

    Attributes:
        spikes: Its spikes, times in ms as they stand in the source.
        trials: Number of trials, or their labels.
        known: Ids of all neurons by population, where the source says so. Of a source without populations that knows
            its neurons: those under the empty word. None where it does not know them.
        windows: Begin and end of each trial (ms), shape (trial, 2), or None where the source does not say.
        origin: Where the spikes come from, in words.
        seen: Whether `known` are only the neurons that spiked.
    """

    spikes: Spikes
    trials: list[Any]
    known: Mapping[str, np.ndarray] | None
    windows: np.ndarray | None
    origin: str
    seen: bool = False


def root(value: Any) -> str:
    """The package that defines a value's kind."""
    return type(value).__module__.partition(".")[0]


def scaled(name: str, times: Any, unit: str) -> tuple[np.ndarray, float]:
    """Times of a unit in ms, in double precision, and how exactly they are known (ms)."""
    raw = array(name, times)
    time = raw.astype(np.float64) * MILLISECONDS[unit]
    require(time.ndim == 1, name, "be a vector of times", times)
    require(bool(np.isfinite(time).all()), name, "be finite", times)
    return time, rounding_of(raw, time)


def one_trial(
    source: str,
    times: Any,
    neurons: Any,
    unit: str,
    *,
    known: Mapping[str, np.ndarray] | None = None,
    window: tuple[float, float] | None = None,
    origin: str = "",
    seen: bool = False,
) -> Found:
    """What a source of one trial holds."""
    time, rounding = scaled(f"{source}: times", times, unit)
    neuron = ids_of(f"{source}: neurons", neurons)
    require(len(neuron) == len(time), f"{source}: neurons", f"be {len(time)}, one a spike", len(neuron))
    spikes = Spikes(time, neuron, np.zeros(len(time), np.int64), rounding)
    windows = None if window is None else np.array([window], float)
    return Found(spikes, [0], known, windows, origin, seen)


def by_label(labels: Sequence[Any], ids: np.ndarray) -> dict[str, np.ndarray]:
    """Ids by population, in the order in which labels appear."""
    words = np.array([str(label) for label in labels])
    return {str(word): ids[words == word] for word in dict.fromkeys(words.tolist())}


def own_unit(source: str, asked: Asked, unit: str) -> None:
    """Refuse a unit that contradicts the source's own."""
    must = f"be left out: {source} has times in {unit}"
    require(asked.unit in (None, unit), "unit", must, asked.unit)


def no_trials_table(source: str, asked: Asked) -> None:
    """Refuse a table of trials where the source has none."""
    require(asked.trials is None, "trials", f"be left out: {source} has no table of trials", asked.trials)


def no_trial_column(source: str, asked: Asked) -> None:
    """Refuse the labels of all trials where the source has no column of them."""
    must = f"be left out: {source} has no column of trials"
    require(asked.realisations is None, "realisations", must, asked.realisations)


def column_missing(what: str, name: str, columns: Sequence[str], remedy: str) -> InputError:
    """The error where a source has no such column."""
    listed = ", ".join(columns) or "none"
    return InputError(f"{what} has no `{name}`; it has {listed}. {remedy}".strip())
