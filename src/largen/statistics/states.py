"""Which of two states a run is in at every step: thresholds with hysteresis, or a hidden Markov model."""

from typing import NamedTuple

import numpy as np

from largen.checks import InputError
from largen.numerics.hidden_markov import HiddenMarkov, fit, most_likely_path, otsu
from largen.statistics.signals import Signals, smooth

QUIET, BURSTING = 0, 1
GAP = 1.5
"""Bursts belong together up to so many median intervals."""


class Rule(NamedTuple):
    """What tells the states apart.

    Attributes:
        low: Rate (Hz) below which a burst ends.
        high: Rate (Hz) above which one begins.
        gap: Bursts whose onsets are at most this far apart (ms) belong together.
        between: Share of the peaks that lie in the middle third between the two kinds of peak; 0 where they are
            clearly two kinds, 0.17 to 0.21 where they are one (uniform or Gaussian).
    """

    low: float
    high: float
    gap: float
    between: float


def activity(signals: Signals, smoothing: float) -> np.ndarray:
    """Smoothed rate of the excitatory populations (of all where none is), shape (realisation, time)."""
    excitatory = not np.all(signals.inhibitory)
    return smooth(signals.pooled(not excitatory), signals.step, smoothing)


def peaks(rate: np.ndarray) -> np.ndarray:
    """Heights of all local maxima of (realisation, time), shape (peak,)."""
    inner = (rate[:, 1:-1] > rate[:, :-2]) & (rate[:, 1:-1] >= rate[:, 2:])
    return rate[:, 1:-1][inner]


def find_rule(
    rate: np.ndarray, step: float, thresholds: tuple[float, float] | None, gap: float | None, *, needed: bool = True
) -> Rule:
    """Choose what was not given: Otsu's threshold on the peaks, half of it, 3/2 of the median interval.

    Thresholds that cannot be found are an error where they are needed, else NaN.
    """
    heights = peaks(rate)
    heights = heights[heights > 1e-9 * max(heights.max(initial=0.0), 1e-300)]
    distinct = heights.size >= 2 and np.ptp(heights) > 1e-9 * heights.max()
    high = low = between = np.nan
    if distinct:
        high = otsu(heights)
        low = 0.5 * high
        centres = np.array([heights[heights <= high].mean(), heights[heights > high].mean()])
        third = np.diff(centres)[0] / 3.0
        between = float(np.mean((heights > centres[0] + third) & (heights < centres[1] - third)))
    if thresholds is not None:
        low, high = thresholds
    elif not distinct and needed:
        raise InputError(
            "Argument `thresholds` must be given for this Dataset: its rate has no two kinds of peak to choose "
            "them from. It may have one state only: look at its rate, and give a pair of rates (Hz)."
        )
    if gap is None:
        intervals = np.concatenate([np.diff(bursts(row, low, high)[0]) for row in rate])
        gap = GAP * float(np.median(intervals)) * step if intervals.size else 0.0
    return Rule(float(low), float(high), float(gap), between)


def bursts(rate: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """First step of every burst and first step after it; a burst begins above `high` and ends below `low`.

    A rate that starts between the two is taken to be outside a burst.
    """
    signal = np.where(rate > high, 1, np.where(rate < low, -1, 0))
    signal[0] = 1 if signal[0] > 0 else -1
    decided = np.maximum.accumulate(np.where(signal != 0, np.arange(rate.size), 0))
    on = np.concatenate([[False], signal[decided] > 0, [False]])
    change = np.diff(on.astype(np.int8))
    return np.flatnonzero(change > 0), np.flatnonzero(change < 0)


def by_thresholds(rate: np.ndarray, step: float, rule: Rule) -> np.ndarray:
    """State at every step, shape (realisation, time): from a run's first burst to the end of its last, 1."""
    state = np.full(rate.shape, QUIET, np.int64)
    for row, found in zip(rate, state, strict=True):
        onset, end = bursts(row, rule.low, rule.high)
        for k in range(onset.size):
            joined = k + 1 < onset.size and (onset[k + 1] - onset[k]) * step <= rule.gap
            found[onset[k] : onset[k + 1] if joined else end[k]] = BURSTING
    return state


def window_maxima(rate: np.ndarray, width: int) -> np.ndarray:
    """Largest rate in each window of `width` steps, shape (realisation, window); an incomplete window is left out."""
    count = rate.shape[1] // width
    return rate[:, : count * width].reshape(len(rate), count, width).max(-1)


def by_hidden_markov(rate: np.ndarray, width: int) -> tuple[np.ndarray, HiddenMarkov, np.ndarray]:
    """Most likely states of the windows' maxima, the model, and the maxima; shape (realisation, window)."""
    maxima = window_maxima(rate, width)
    if maxima.shape[1] < 10 or np.ptp(maxima) <= 1e-9 * maxima.max():
        raise InputError(
            "Argument `dataset` must hold at least ten windows whose rates differ for a hidden Markov model, "
            f"but it has {maxima.shape[1]}. Simulate for longer, or give a shorter `window`."
        )
    model = fit(maxima)
    if not model.converged:
        raise InputError(
            "The hidden Markov model did not converge on this Dataset: it may have one state only. "
            "Use states='thresholds' with `thresholds`."
        )
    return most_likely_path(maxima, model), model, maxima
