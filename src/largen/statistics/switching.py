"""Switching between two states as a comparison tests it: mean dwells and switching rate, where a run does switch.

A rhythm with pauses has two kinds of peak too. A run counts as switching if its pauses, and the runs of bursts between
them, last at least two intervals between bursts on average: in a rhythm a pause is but a longer interval (1.2 to 1.8 of
the median one), next to the edge of an oscillation it is a state (2.1 and more).
"""

from typing import NamedTuple

import numpy as np

from largen.checks import InputError
from largen.statistics import states
from largen.statistics.errors import pseudo_values
from largen.statistics.signals import SMOOTHING, Signals
from largen.system import Feature

FEWEST = 8
"""Realisations without which dwells have no trustworthy error: those of one run are few, and far from normal."""
FEWEST_EXITS = 2
"""Exits from each state, for each realisation on average."""
LASTING = 2.0
"""Mean dwell, in median intervals between bursts, from which on it is that of a state."""
UNCLEAR = 0.1
"""Share of peaks in the middle third between the two kinds above which there are no two kinds of peak."""
TOLERANCE = 0.1
SWITCHING = "switching between two states"
_NOTHING = np.full(3, np.nan)
_KINDS = (states.QUIET, states.BURSTING)
_LABELS = ("quiet", "bursting")


class _Seen(NamedTuple):
    """What was seen of two states.

    Attributes:
        time: Time in each (ms), shape (realisation, state).
        exits: Exits from each, shape (realisation, state).
        interval: Median interval between bursts (ms).
    """

    time: np.ndarray
    exits: np.ndarray
    interval: float


def switching(signals: Signals) -> dict[str, Feature]:
    """Mean dwell in each of two states, quiet and bursting, and how often both are passed through.

    The states are those of `analysis.metastability` by thresholds, and so is the mean dwell: all time in a state over
    all exits from it. All is NaN where the runs do not switch, or are fewer than eight.
    """
    seen = _seen(signals) if signals.stochastic else None
    if seen is None or not _switches(seen):
        return _features(_NOTHING, _NOTHING[None], SWITCHING)
    runs = len(seen.time)
    if runs < FEWEST:
        lacks = f"dwell times (they need {FEWEST} realisations)"
        return _features(_NOTHING, _NOTHING[None], lacks, rare=False)
    time, exits = seen.time.sum(0), seen.exits.sum(0)
    whole = _estimate(time, exits)
    without = np.stack([_estimate(time - seen.time[r], exits - seen.exits[r]) for r in range(runs)])
    return _features(whole, pseudo_values(whole, without), SWITCHING)


def _seen(signals: Signals) -> _Seen | None:
    """Time in both states, exits from them, and the median interval; None without two clear kinds of peak."""
    rate = states.activity(signals, SMOOTHING)
    try:
        rule = states.find_rule(rate, signals.step, None, None)
    except InputError:  # all peaks are alike
        return None
    if rule.between > UNCLEAR or rule.gap == 0:
        return None
    path = states.by_thresholds(rate, signals.step, rule)
    leaves = path[:, :-1] != path[:, 1:]
    time = np.stack([(path == state).sum(1) for state in _KINDS], axis=1) * signals.step
    exits = np.stack([(leaves & (path[:, :-1] == state)).sum(1) for state in _KINDS], axis=1)
    return _Seen(time, exits, rule.gap / states.GAP)


def _switches(seen: _Seen) -> bool:
    time, exits = seen.time.sum(0), seen.exits.sum(0)
    if np.any(exits < FEWEST_EXITS * len(seen.time)):
        return False
    return bool(np.all(time / exits >= LASTING * seen.interval))


def _estimate(time: np.ndarray, exits: np.ndarray) -> np.ndarray:
    """Mean dwells (ms), and how often per second both states are passed through, shape (3,)."""
    with np.errstate(divide="ignore"):
        return np.append(time / exits, 500.0 * exits.sum() / time.sum())


def _features(whole: np.ndarray, values: np.ndarray, lacks: str, *, rare: bool = True) -> dict[str, Feature]:
    dwell, rate = whole[:2], whole[2:]
    return {
        "dwell": Feature(_LABELS, dwell, values[:, :2], dwell, TOLERANCE, "ms", "", lacks, rare),
        "switching_rate": Feature(("",), rate, values[:, 2:], rate, TOLERANCE, "Hz", "", lacks, rare),
    }
