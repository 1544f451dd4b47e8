"""Spike synchrony index.

Source: Chang, Li, Wang, Tao & Xiao 2024 (arXiv 2411.14801): the mean over spikes of the fraction of the
population that fires within ±0.5 ms of the spike.
"""

import numpy as np

from largen.statistics.signals import Signals

WINDOW = 0.5  # ms on either side of the step in which a spike falls
SOURCE_STEP = 0.1  # ms, of the source
HALF_WIDTH = WINDOW + 0.5 * SOURCE_STEP


def window_steps(step: float) -> tuple[int, tuple[float, ...]]:
    """The window on a grid: whole steps on either side of a spike's own, and weights of the steps beyond them.

    On every grid it is 1.1 ms wide, as the 11 steps of 0.1 ms of the source. Where it cuts a step, two weights are
    such that the index is exact for a correlation of spikes that is a parabola of their distance: the sum of all
    weights and their second moment are those of the source, a step being blurred by the spread of its spikes.
    Two spikes of one step always see each other.

    Args:
        step: Spacing of the grid (ms).
    """
    many = step / SOURCE_STEP
    reach = max(HALF_WIDTH / step - 0.5, 0.0)
    whole = int(reach + 1e-6)
    share, edge = reach - whole, whole + 1
    inner = np.arange(1, whole + 1)
    blur = (1 + 2 * whole + 2 * share) * (many**2 - 1) / 6
    moment = many * (blur + 2 * many**2 * (np.sum(inner**2) + share * edge**2))
    outward = (moment - 110.0) / (2 * many**3 * (2 * edge + 1))  # 110 = 2 (1 + 4 + ... + 25)
    weights = (share + outward, -outward)
    return whole, tuple(map(float, weights)) if max(map(abs, weights)) > 1e-6 else ()


def window_note(step: float) -> str:
    """The window used on a grid, for `attrs`."""
    text = f"±{WINDOW:g} ms around the spike's step of {SOURCE_STEP:g} ms, {2 * HALF_WIDTH:g} ms in all"
    return f"{text}; interpolated on this grid of {step:.6g} ms" if window_steps(step)[1] else text


def synchrony_index(signals: Signals, *, self_count: str = "included") -> np.ndarray:
    """Spike synchrony index (SSI) per population of the first realisation, shape (population,).

    The window is 1.1 ms wide on every grid: the spike's own step of 0.1 ms and those up to 0.5 ms away on either side
    (11 steps). Steps nearer than that to either end are left out. Independent Poisson neurons of rate r give r times
    the window, plus 1/n for the spike itself.

    Args:
        signals: Rates on a grid of at most 0.5 ms.
        self_count: "included" counts the spike itself, as the source does; "removed" subtracts its share 1/n. A
            deterministic limit has no self-count, so nothing is removed there.

    Returns:
        The index; NaN for a population without spikes. Of a sample of m of N neurons it is an estimate of the
        network's: a spike meets each of the m - 1 others as often as each of all N - 1 others, so that what is left
        without the spike itself is multiplied by (m/(m - 1)) (N - 1)/N; NaN for one neuron of several.
    """
    whole, beyond = window_steps(signals.step)
    cut = whole + len(beyond)
    counts = signals.rate[0] * signals.step / 1000.0  # spikes per neuron and step
    if counts.shape[-1] < 2 * cut + 1:
        return np.full(len(signals.size), np.nan)
    last = counts.shape[-1] - cut
    window = counts[:, cut:last].copy()
    for k in range(1, whole + 1):
        window += counts[:, cut - k : last - k]
        window += counts[:, cut + k : last + k]
    for k, weight in enumerate(beyond, whole + 1):
        window = window + weight * (counts[:, cut - k : last - k] + counts[:, cut + k : last + k])
    inner = counts[:, cut:last]
    spikes = inner.sum(-1)
    with np.errstate(invalid="ignore"):
        index = (inner * window).sum(-1) / np.where(spikes > 0, spikes, np.nan)
    if np.any(signals.network != signals.size):
        return _of_network(index, signals.size, signals.network, self_count)
    if self_count == "removed" and signals.stochastic:
        index = index - 1.0 / signals.size
    return index


def _of_network(index: np.ndarray, m: np.ndarray, n: np.ndarray, self_count: str) -> np.ndarray:
    """The network's index, estimated from that of samples of m of n neurons, shape (population,) each."""
    pairs = np.where(m > 1, m / np.maximum(m - 1.0, 1.0) * (n - 1.0) / n, np.where(n > 1, np.nan, 0.0))
    return pairs * (index - 1.0 / m) + (1.0 / n if self_count == "included" else 0.0)
