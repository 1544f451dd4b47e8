"""Time-averaged firing rates."""

import numpy as np

from largen.statistics.signals import Signals

FLAT = 1e-6  # relative s.d. of a rate below which it does not oscillate


def mean_rates(signals: Signals) -> np.ndarray:
    """Mean rate (Hz) per population of the first realisation, shape (population,).

    A deterministic rate is averaged over whole cycles, between upward crossings of its mean by the rate of all
    neurons: a window that cuts a cycle moves the mean by up to its share. The number of cycles is even, because
    strong and weak cycles may alternate (period doubling).
    """
    rate = signals.rate[0]
    if not signals.stochastic:
        crossings = upward_crossings(network_rate(signals)[0])
        cycles = crossings.size - 1 if crossings.size == 2 else (crossings.size - 1) // 2 * 2
        if cycles > 0:
            rate = rate[:, crossings[0] : crossings[cycles]]
    return rate.mean(-1)


def network_rate(signals: Signals) -> np.ndarray:
    """Rate per neuron of the whole network, shape (realisation, time)."""
    return np.einsum("rpt,p->rt", signals.rate, signals.network / signals.network.sum())


def upward_crossings(rate: np.ndarray) -> np.ndarray:
    """First indices at which a rate is above its mean again; none where it is constant up to rounding."""
    mean = rate.mean()
    if rate.std() <= FLAT * mean:
        return np.empty(0, np.int64)
    above = rate > mean
    return np.flatnonzero(above[1:] & ~above[:-1]) + 1
