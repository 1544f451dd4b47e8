"""The network's constants and state as the compiled kernels see them, and what is read from a state.

The state of neuron j of population a (eqs. B1 and B2 of docs/balanced.md) is kept as

    Z_a^j(t) = g_a(t) + (W_j + S_a) exp(-(t - t0)/tau_a).

g_a is the response to drive and input, the same for all neurons of a population. W_j holds the jumps of the neuron
itself and S_a those that all neurons of the population share, both discounted to the time t0. Between jumps nothing
has to be updated: a state is computed when it is needed.
"""

import math
from typing import NamedTuple

import numpy as np

from largen.numerics.compiled import njit

LOGISTIC, PROBIT, TABLE = 0, 1, 2
"""Kinds of gain: two with a formula, and a user's function, which the exact method reads from a table."""


class Constants(NamedTuple):
    """What does not change during a run; P populations, N neurons in all. Time is in the model's unit.

    Attributes:
        first: First neuron of each population, and N at the end, int64, shape (P + 1,).
        jump: s_b alpha_ab/sqrt(n), shape (P, P), [target, source].
        leak: 1/tau_a, shape (P,).
        noise: Stationary standard deviation of the intrinsic noise alone, sigma_a sqrt(tau_a/2), shape (P,).
        kind: LOGISTIC, PROBIT or TABLE, int64, shape (P,).
        bound: Upper bound of the gain, shape (P,).
        slope: Slope beta of a built-in gain, or grid points per unit of state of a table, shape (P,).
        threshold: Threshold theta of a built-in gain, or first state of a table, shape (P,).
        table: Values of a monotone gain on its grid, shape (P, entry).
        shared: Whether one counting process per source drives all targets.
    """

    first: np.ndarray
    jump: np.ndarray
    leak: np.ndarray
    noise: np.ndarray
    kind: np.ndarray
    bound: np.ndarray
    slope: np.ndarray
    threshold: np.ndarray
    table: np.ndarray
    shared: bool


class DriveResponse(NamedTuple):
    """g_a on a grid of times, for cubic Hermite interpolation.

    Attributes:
        start: First time of the grid.
        step: Its spacing.
        value: g_a, shape (grid, P).
        derivative: dg_a/dt, shape (grid, P).
    """

    start: float
    step: float
    value: np.ndarray
    derivative: np.ndarray


class State(NamedTuple):
    """What changes during a run.

    Attributes:
        own: W_j, shape (N,).
        common: S_a, shape (P,).
        seen: Time up to which a neuron's intrinsic noise was drawn, shape (N,), or (0,) without noise.
        clock: (t, t0), shape (2,).
        pending: (source population, neuron, state, height) of a candidate that the table leaves undecided, with
            source -1 where there is none, shape (4,).
    """

    own: np.ndarray
    common: np.ndarray
    seen: np.ndarray
    clock: np.ndarray
    pending: np.ndarray


class Spikes(NamedTuple):
    """A buffer of recorded spikes.

    Attributes:
        watched: Whether a neuron is recorded, shape (N,), or (0,) where none is.
        time: Times, shape (capacity,).
        neuron: The neuron among all N, int64, shape (capacity,).
        source: Population that sent the spike, int64, shape (capacity,).
        count: Number of spikes in the buffer, shape (1,).
    """

    watched: np.ndarray
    time: np.ndarray
    neuron: np.ndarray
    source: np.ndarray
    count: np.ndarray


@njit(cache=True, inline="always")
def built_in_gain(constants: Constants, b: int, z: float) -> float:
    """Intensity f_b(z) of a built-in gain."""
    x = constants.slope[b] * (z - constants.threshold[b])
    if constants.kind[b] == LOGISTIC:
        return constants.bound[b] / (1.0 + math.exp(-x))
    return constants.bound[b] * 0.5 * math.erfc(-x / math.sqrt(2.0))


@njit(cache=True, inline="always")
def drive_response(response: DriveResponse, time: float, a: int) -> float:
    """g_a(t) by cubic Hermite interpolation."""
    x = (time - response.start) / response.step
    i = min(max(int(x), 0), response.value.shape[0] - 2)
    s = x - i
    rest = 1.0 - s
    left, right = response.value[i, a], response.value[i + 1, a]
    slope_left, slope_right = response.step * response.derivative[i, a], response.step * response.derivative[i + 1, a]
    return rest * rest * ((1.0 + 2.0 * s) * left + s * slope_left) + s * s * (
        (3.0 - 2.0 * s) * right - rest * slope_right
    )


@njit(cache=True, inline="always")
def neuron_state(constants: Constants, response: DriveResponse, state: State, a: int, k: int, time: float) -> float:
    """Z of neuron k of population a."""
    decayed = math.exp(-(time - state.clock[1]) * constants.leak[a])
    return drive_response(response, time, a) + (state.own[k] + state.common[a]) * decayed


@njit(cache=True)
def all_states(constants: Constants, response: DriveResponse, state: State, out: np.ndarray) -> None:
    """Z of all neurons at the present, into `out`, shape (N,); the clock's t0 must be the present."""
    for a in range(constants.leak.size):
        shift = drive_response(response, state.clock[0], a) + state.common[a]
        for k in range(constants.first[a], constants.first[a + 1]):
            out[k] = state.own[k] + shift


@njit(cache=True)
def intensities(constants: Constants, a: int, z: np.ndarray, out: np.ndarray) -> None:
    """f_a of the states of one population with a built-in gain, shape (neuron,)."""
    for k in range(z.size):
        out[k] = built_in_gain(constants, a, z[k])


@njit(cache=True)
def cumulants(z: np.ndarray) -> tuple[float, float, float]:
    """Unbiased k-statistics of order 1, 2 and 3 of a population's states, in two passes."""
    n = z.size
    mean = z.sum() / n
    second, third = 0.0, 0.0
    for k in range(n):
        d = z[k] - mean
        second += d * d
        third += d * d * d
    return mean, second / (n - 1), third * n / ((n - 1.0) * (n - 2.0))
