"""What the error probabilities of a comparison assume of the runs' values: independent, and roughly normal.

Student's law of the mean of R values holds for normal ones, and well enough for others unless they are very skewed, or
bistable: every run is in one of two states, as where a run is shorter than the dwell times. Both are looked for.
"""

import enum
from collections.abc import Mapping

import numpy as np

FEWEST = 8
"""Runs from which bistable values can be told from normal ones; with fewer nothing can be checked."""
FEWEST_SKEWED = 16
"""Runs from which a skewness is estimated."""
SKEWED = 1.0
"""Sample skewness above which values are called skewed, if that is no chance."""
FALSE_ALARM = 0.05
"""Probability of calling any row of a table skewed whose values are normal."""
_MOST_NAMED = 4
SMALLER_GROUP = 0.125
"""Share of the runs in the smaller of two groups, at least: a few far values are skewness."""
_SMALLEST = 2
_SIZES = np.array([8, 9, 10, 12, 14, 16, 20, 24, 32, 48, 64, 96, 128, 256, 512, np.inf])
_CRITICAL = np.array(
    [0.970, 0.959, 0.948, 0.928, 0.911, 0.895, 0.871, 0.852, 0.824, 0.791, 0.770, 0.746, 0.731, 0.703, 0.684, 2 / np.pi]
)
"""Share of the variance that the best split of so many normal values exceeds with probability 0.001: quantiles of 10^5
to 4 10^6 samples, errors below 0.0006; for infinitely many 2/pi."""


class Shape(enum.StrEnum):
    """How the values of the runs are distributed, where not roughly normally; the values are what people read."""

    NORMAL = ""
    SKEWED = "skewed"
    BISTABLE = "bistable"


def shape_of(values: np.ndarray, level: float = FALSE_ALARM) -> Shape:
    """The shape of a sample, as far as it can be seen.

    Bistable: the best split of the sorted values into two groups explains more of their variance than it does in all
    but 0.1 % of normal samples (Engelman & Hartigan 1969, J. Am. Stat. Assoc. 64:1647), the gap between the groups
    is wider than their standard deviation, so that evenly spread values are not called so, and neither group is small.
    Skewed: a sample skewness above 1 that is no chance at this level (D'Agostino 1970, Biometrika 57:679).

    Args:
        values: One value a run, shape (run,).
        level: Probability of calling normal values skewed.
    """
    count = len(values)
    centred = np.sort(values) - values.mean()
    total = float(np.sum(centred**2))
    if count < FEWEST or not np.isfinite(total) or total <= count * (1e-12 * np.abs(values).max()) ** 2:
        return Shape.NORMAL
    sizes = np.arange(_SMALLEST, count - _SMALLEST + 1)
    between = np.cumsum(centred)[sizes - 1] ** 2 * count / (sizes * (count - sizes))
    best = int(np.argmax(between))
    within = np.sqrt(max(total - between[best], 0.0) / (count - 2))
    gap = centred[sizes[best]] - centred[sizes[best] - 1]
    many = min(sizes[best], count - sizes[best]) >= SMALLER_GROUP * count
    if many and between[best] > critical_share(count) * total and gap > within:
        return Shape.BISTABLE
    skewness = np.mean(centred**3) / np.mean(centred**2) ** 1.5
    if count < FEWEST_SKEWED or abs(skewness) <= SKEWED:
        return Shape.NORMAL
    from scipy.stats import skewtest  # its import takes longer than a comparison

    return Shape.SKEWED if skewtest(values).pvalue < level else Shape.NORMAL


def critical_share(count: int) -> float:
    """Share of the variance of so many normal values that the best split explains in 0.1 % of samples."""
    return float(np.interp(-1 / np.sqrt(count), -1 / np.sqrt(_SIZES), _CRITICAL))


def assumptions(realisations: int, runs: Mapping[str, np.ndarray]) -> tuple[str, str]:
    """What the errors of a table assume, in words, and which rows speak against it (empty if none does).

    Args:
        realisations: Number of runs.
        runs: Values of the runs by the name of their row, shape (run,).
    """
    if realisations == 1:
        return "errors from within this one network; other graphs, weights or thresholds may differ", ""
    text = "realisations independent; run values roughly normal"
    if realisations < FEWEST:
        return f"{text} (cannot be checked with {realisations} realisations)", ""
    shapes = {name: shape_of(values, FALSE_ALARM / len(runs)) for name, values in runs.items()}
    notes = []
    for shape, advice in _ADVICE.items():
        named = [name for name, found in shapes.items() if found is shape]
        if named:
            listed = f"{', '.join(named[:_MOST_NAMED])}{', ...' if len(named) > _MOST_NAMED else ''}"
            notes.append(f"{listed} {'is' if len(named) == 1 else 'are'} {shape}: {advice}")
    return text, "; ".join(notes)


_ADVICE = {
    Shape.SKEWED: "the level is not kept there",
    Shape.BISTABLE: "the level is not kept there; take longer runs, so that each visits both states, or many more",
}
