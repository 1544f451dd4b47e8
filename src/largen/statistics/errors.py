"""Standard errors of statistics: over realisations, or over blocks of time where there is one realisation."""

import itertools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from largen.statistics.signals import Signals

BLOCKS = 10
SHORTEST_BLOCK = 50.0  # ms


class Estimate(NamedTuple):
    """Values and standard errors by name; equal shapes."""

    value: dict[str, np.ndarray]
    error: dict[str, np.ndarray]


def method(signals: Signals) -> str:
    """Describe how the standard errors were computed, for `attrs`."""
    if not signals.stochastic:
        return "deterministic: 0"
    if len(signals.rate) > 1:
        return f"over {len(signals.rate)} realisations"
    count = len(blocks(signals))
    if count < 2:
        return "not available: one realisation, too short for batch means"
    return f"batch means over {count} blocks of one realisation"


def blocks(signals: Signals) -> list[Signals]:
    """Cut the time into at most BLOCKS equal parts of at least SHORTEST_BLOCK."""
    steps = signals.times.size
    count = min(BLOCKS, int(steps * signals.step / SHORTEST_BLOCK))
    edges = [round(k * steps / count) for k in range(count + 1)] if count else []
    return [signals.part(first, last) for first, last in itertools.pairwise(edges)]


def pieces(signals: Signals) -> list[Signals]:
    """Independent parts of the signals: the realisations, or the blocks of the only one."""
    if len(signals.rate) > 1:
        return [signals.realisation(r) for r in range(len(signals.rate))]
    return blocks(signals) if signals.stochastic else []


def estimate(signals: Signals, statistic: Callable[[Signals], Mapping[str, np.ndarray]]) -> Estimate:
    """Evaluate a statistic of one realisation and its standard error.

    With several realisations the value is the mean over them and the error their s.d. over the root of their
    number; with one, the value is that of the whole run and the error that of batch means. NaN marks a statistic
    that is not defined for a part (an interval without events): that part is left out.
    """
    parts = [statistic(part) for part in pieces(signals)]
    whole = statistic(signals) if len(signals.rate) == 1 else parts[0]
    value, error = {}, {}
    for name, shape in ((name, np.shape(of_whole)) for name, of_whole in whole.items()):
        rows = np.array([part[name] for part in parts], dtype=np.float64).reshape(len(parts), *shape)
        mean, error[name] = _mean_and_error(rows)
        value[name] = mean if len(signals.rate) > 1 else np.asarray(whole[name], dtype=np.float64)
        if not signals.stochastic:
            error[name] = np.zeros(shape)
    return Estimate(value, error)


def _mean_and_error(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over rows and its standard error, NaN entries left out."""
    defined = np.isfinite(rows)
    count = defined.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(defined, rows, 0.0).sum(0) / np.where(count > 0, count, np.nan)
        square = (np.where(defined, rows - mean, 0.0) ** 2).sum(0)
        return mean, np.sqrt(square / np.where(count > 1, (count - 1) * count, np.nan))


def jackknife(rows: np.ndarray, statistic: Callable[[np.ndarray], float]) -> float:
    """Delete-one jackknife error of a number computed from the mean over rows; NaN with fewer than two rows."""
    count = len(rows)
    if count < 2:
        return np.nan
    total = rows.sum(0)
    left = np.array([statistic((total - row) / (count - 1)) for row in rows])
    return float(np.sqrt((count - 1) * np.mean((left - left.mean()) ** 2)))


def pseudo_values(whole: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Jackknife pseudo-values G theta - (G - 1) theta_(-g) of a statistic, shape (group, ...).

    Their scatter is that of independent values of which the statistic is a mean (Tukey 1958).

    Args:
        whole: The statistic, shape (...).
        without: The statistic with one group left out, shape (group, ...).
    """
    groups = len(without)
    return groups * whole - (groups - 1) * without
