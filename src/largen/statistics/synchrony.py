"""Spike synchrony index.

Source: Chang, Li, Wang, Tao & Xiao 2024 (arXiv 2411.14801): the mean over spikes of the fraction of the
population that fires within ±0.5 ms of the spike.
"""

import numpy as np

from largen.statistics.signals import Signals

WINDOW = 0.5  # ms


def synchrony_index(signals: Signals, *, self_count: str = "included") -> np.ndarray:
    """Spike synchrony index (SSI) per population of the first realisation, shape (population,).

    In steps of the grid the window holds the spike's own step and those up to 0.5 ms away on either side (11 steps
    of 0.1 ms); steps nearer than that to either end are left out. Independent Poisson neurons of rate r give
    r times the window, plus 1/n for the spike itself.

    Args:
        signals: Rates on a grid of at most 0.5 ms.
        self_count: "included" counts the spike itself, as the source does; "removed" subtracts its share 1/n. A
            deterministic limit has no self-count, so nothing is removed there.

    Returns:
        The index; NaN for a population without spikes.
    """
    half = int(WINDOW / signals.step + 1e-6)
    counts = signals.rate[0] * signals.step / 1000.0  # spikes per neuron and step
    width = 2 * half + 1
    if counts.shape[-1] < width:
        return np.full(len(signals.size), np.nan)
    window = np.lib.stride_tricks.sliding_window_view(counts, width, axis=-1).sum(-1)
    inner = counts[:, half : counts.shape[-1] - half]
    spikes = inner.sum(-1)
    with np.errstate(invalid="ignore"):
        index = (inner * window).sum(-1) / np.where(spikes > 0, spikes, np.nan)
    if self_count == "removed" and signals.stochastic:
        index = index - 1.0 / signals.size
    return index
