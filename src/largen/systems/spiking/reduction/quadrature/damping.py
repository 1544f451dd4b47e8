"""How fast the slowest mode of a network's rates decays, and the orders that this needs.

Noise drives the modes of a network, and one that decays at the rate g fluctuates as g^-1/2. A low order damps too much
(on a sparse network 10.0 per s at orders (3, 4), 7.7 at (4, 5), 6.9 at (5, 6)), long after its mean rates are right:
so the chain's orders are raised until the damping of the slowest mode stays.

The modes are read off the rates of a run from rest, a sum of exponentials once it is near its stationary state, by the
matrix pencil: the signal's Hankel matrix has the signal space as its range, and a shift by one sample acts on it as the
matrix whose eigenvalues are exp(-g + 2 pi i f).

Source: Hua & Sarkar, IEEE Trans. Acoust. Speech Signal Process. 38:814 (1990).
"""

from collections.abc import Callable

import numpy as np

MOST_MODES = 20
_SMALLEST = 1e-6
"""Singular values below this part of the largest are left out."""
_HEARD = 1e-3
"""A mode counts if its amplitude is above this part of the mean."""
_CYCLE = 1.0
"""A mode damped by less than this (per s) is a cycle, and says nothing of noise."""
_STEADY = 0.02
"""Rates that vary by less than this part of their mean do not vary."""
FAST = 60.0
"""Modes damped by more than this (per s) hardly show beside the noise of single spikes."""
CLOSE = 0.15
"""Orders will do if the next ones change the damping by less than this part."""


def modes(signal: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decay (per s), frequency (Hz) and largest amplitude of the exponentials of signals.

    Args:
        signal: Shape (signal, time).
        step: Time between samples (ms).
    """
    length = signal.shape[1] // 2
    hankel = np.concatenate([np.lib.stride_tricks.sliding_window_view(row, length) for row in signal], axis=1)
    space, sizes, _ = np.linalg.svd(hankel, full_matrices=False)
    kept = min(int(np.sum(sizes > _SMALLEST * sizes[0])), MOST_MODES)
    space = space[:, :kept]
    roots = np.linalg.eigvals(np.linalg.lstsq(space[:-1], space[1:], rcond=None)[0])
    roots = roots[np.abs(roots) > 1e-12]
    powers = roots[None, :] ** np.arange(signal.shape[1])[:, None]
    amplitude = np.abs(np.linalg.lstsq(powers, signal.T.astype(complex), rcond=None)[0]).max(1)
    per_second = 1000.0 / step
    return -per_second * np.log(np.abs(roots)), per_second * np.angle(roots) / (2.0 * np.pi), amplitude


def damping(spikes: np.ndarray, step: float) -> float | None:
    """Damping (per s) of the slowest mode of a run towards its stationary state.

    Args:
        spikes: Spikes per neuron between samples, late in the run, shape (population, time).
        step: Time between samples (ms).

    Returns:
        None where there is no such mode: the run is silent or constant, or it keeps oscillating.
    """
    mean = np.abs(spikes.mean(1, keepdims=True))
    if not np.all(np.isfinite(spikes)) or not np.any(mean > 0.0):
        return None
    decay, frequency, amplitude = modes(spikes / np.where(mean > 0.0, mean, 1.0), step)
    steady = (np.abs(frequency) < 0.1) & (np.abs(decay) < _CYCLE)
    heard = decay[(amplitude > _HEARD) & ~steady]
    slowest = float(heard.min(initial=np.inf))
    return slowest if _CYCLE <= slowest < np.inf else None


def ends_alike(one: tuple[np.ndarray, float], other: tuple[np.ndarray, float]) -> bool:
    """Whether two runs end alike: at a stationary state with the same damping, or in a cycle of the same size.

    Args:
        one: Spikes per neuron between samples, late in the run, shape (population, time), and the step of samples (ms).
        other: Likewise; the better one.
    """
    first, second = damping(*one), damping(*other)
    if first is not None and second is not None:
        return min(first, second) >= FAST or abs(first - second) <= CLOSE * second
    sizes = []
    for spikes, _ in (one, other):
        mean = np.abs(spikes.mean(1))
        sizes.append(float(np.max(spikes.std(1) / np.where(mean > 0.0, mean, 1.0))))
    return abs(sizes[0] - sizes[1]) <= CLOSE * max(sizes[1], _STEADY)


def raise_orders(
    orders: tuple[int, ...],
    damping_at: Callable[[tuple[int, ...]], float | None],
    possible: Callable[[tuple[int, ...]], bool],
) -> tuple[int, ...]:
    """The orders at which the damping of the slowest mode stays.

    Args:
        orders: Those that the mean rates need.
        damping_at: Damping at given orders.
        possible: Whether orders can be taken.
    """
    before = damping_at(orders)
    while before is not None and before < FAST:
        higher = tuple(order + int(order > 0) for order in orders)
        if higher == orders or not possible(higher):
            break
        after = damping_at(higher)
        if after is None or abs(after - before) <= CLOSE * after:
            break
        orders, before = higher, after
    return orders
