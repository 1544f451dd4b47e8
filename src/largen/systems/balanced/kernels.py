"""The balanced network's kernels in numba: thinning, tau-leaping, and the cumulants of a population.

The state of neuron j of population a is kept as Z = g_a(t) + (W_j + S_a) exp(-(t - t0)/tau_a): g_a is the response
to drive and input (the same for all neurons), W_j holds the neuron's own jumps and S_a those that all share, both
as seen from the time t0. Between jumps nothing has to be updated.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

LOGISTIC, PROBIT, TABLE = 0, 1, 2
DONE, PAUSED, FULL, UNDECIDED = 0, 1, 2, 3
"""Why `thin` returned: at the end, after its budget of candidates, spike buffer full, gain needed."""


class Circuit(NamedTuple):
    """The network's constants; P populations, N neurons."""

    first: np.ndarray  # first neuron of each population, and N at the end, shape (P + 1,)
    jump: np.ndarray  # s_b alpha_ab/sqrt(n), shape (P, P)
    leak: np.ndarray  # 1/tau_a
    noise: np.ndarray  # stationary standard deviation of the intrinsic noise alone, sigma_a sqrt(tau_a/2)
    kind: np.ndarray  # LOGISTIC, PROBIT or TABLE
    bound: np.ndarray  # bound of the gain
    slope: np.ndarray  # slope of a built-in gain; steps per unit of state of a table
    threshold: np.ndarray  # threshold of a built-in gain; first state of a table
    table: np.ndarray  # values of a monotone gain on its grid, shape (P, entries)
    shared: bool


class Response(NamedTuple):
    """g_a on a grid, for cubic interpolation."""

    start: float
    step: float
    value: np.ndarray  # shape (grid, P)
    derivative: np.ndarray  # shape (grid, P)


class State(NamedTuple):
    """What changes during a run.

    `clock` holds (t, t0); `pending` (source population, neuron, state, height) of an undecided candidate, with
    source -1 where there is none.
    """

    own: np.ndarray  # W, shape (N,)
    common: np.ndarray  # S, shape (P,)
    seen: np.ndarray  # time up to which a neuron's intrinsic noise was drawn, shape (N,) or (0,)
    clock: np.ndarray
    pending: np.ndarray


class Spikes(NamedTuple):
    """Recorded spikes and whom to record."""

    watched: np.ndarray  # whether a neuron is recorded, shape (N,) or (0,)
    time: np.ndarray
    neuron: np.ndarray
    source: np.ndarray
    count: np.ndarray  # shape (1,)


@njit(cache=True, inline="always")
def gain(circuit: Circuit, b: int, z: float) -> float:
    """Intensity of a built-in gain at state z."""
    x = circuit.slope[b] * (z - circuit.threshold[b])
    if circuit.kind[b] == LOGISTIC:
        return circuit.bound[b] / (1.0 + math.exp(-x))
    return circuit.bound[b] * 0.5 * math.erfc(-x / math.sqrt(2.0))


@njit(cache=True, inline="always")
def response(curve: Response, time: float, a: int) -> float:
    """g_a(t) by cubic Hermite interpolation."""
    x = (time - curve.start) / curve.step
    i = min(max(int(x), 0), curve.value.shape[0] - 2)
    s = x - i
    rest = 1.0 - s
    left, right = curve.value[i, a], curve.value[i + 1, a]
    slope_left, slope_right = curve.step * curve.derivative[i, a], curve.step * curve.derivative[i + 1, a]
    return rest * rest * ((1.0 + 2.0 * s) * left + s * slope_left) + s * s * (
        (3.0 - 2.0 * s) * right - rest * slope_right
    )


@njit(cache=True, inline="always")
def draw_noise(circuit: Circuit, state: State, a: int, k: int, time: float, noise: np.random.Generator) -> None:
    """Add the intrinsic noise that neuron k gathered since it was last seen."""
    passed = math.exp(-2.0 * (time - state.seen[k]) * circuit.leak[a])
    grown = math.exp((time - state.clock[1]) * circuit.leak[a])
    state.own[k] += grown * circuit.noise[a] * math.sqrt(1.0 - passed) * noise.standard_normal()
    state.seen[k] = time


@njit(cache=True, inline="always")
def potential(circuit: Circuit, curve: Response, state: State, a: int, k: int, time: float) -> float:
    """State Z of neuron k of population a."""
    decayed = math.exp(-(time - state.clock[1]) * circuit.leak[a])
    return response(curve, time, a) + (state.own[k] + state.common[a]) * decayed


@njit(cache=True, inline="always")
def accepts(circuit: Circuit, b: int, z: float, height: float) -> int:
    """Whether height < f_b(z): 1 or 0, or -1 where the table's bracket cannot tell."""
    if circuit.kind[b] != TABLE:
        return 1 if height < gain(circuit, b, z) else 0
    x = circuit.slope[b] * (z - circuit.threshold[b])
    last = circuit.table.shape[1] - 1
    rising = circuit.table[b, last] >= circuit.table[b, 0]
    if x < 0 or x >= last:  # beyond the table, between its end and 0 or the bound
        end = circuit.table[b, 0] if x < 0 else circuit.table[b, last]
        low, high = (0.0, end) if (x < 0) == rising else (end, circuit.bound[b])
    else:
        i = int(x)
        low, high = circuit.table[b, i], circuit.table[b, i + 1]
        if not rising:
            low, high = high, low
    if height < low:
        return 1
    return 0 if height >= high else -1


@njit(cache=True, inline="always")
def fire(circuit: Circuit, state: State, b: int, k: int, spikes: np.random.Generator, record: Spikes) -> None:
    """Neuron (b, k) spikes: one jump of one uniformly chosen target, or of all with shared synapses."""
    time = state.clock[0]
    elapsed = time - state.clock[1]
    reached = k
    if circuit.shared:
        for a in range(circuit.leak.size):
            state.common[a] += circuit.jump[a, b] * math.exp(elapsed * circuit.leak[a])
    else:
        reached = int(spikes.random() * circuit.first[-1])
        a = 0
        while reached >= circuit.first[a + 1]:
            a += 1
        state.own[reached] += circuit.jump[a, b] * math.exp(elapsed * circuit.leak[a])
    if record.watched.size > 0 and record.watched[reached]:
        i = record.count[0]
        record.time[i], record.neuron[i], record.source[i] = time, reached, b
        record.count[0] += 1


@njit(cache=True)
def thin(
    circuit: Circuit,
    curve: Response,
    state: State,
    end: float,
    budget: int,
    spikes: np.random.Generator,
    noise: np.random.Generator,
    record: Spikes,
) -> int:
    """Advance exactly to time `end` by thinning.

    Candidates come at the rate of the gains' bounds; a candidate of neuron (b, k) is a spike if a uniform height
    below the bound lies below f_b(Z). With independent synapses each of the N pairs of a source is a process of
    its own: the source's candidates come N times as fast and a spike reaches one target.

    Returns:
        DONE, PAUSED, FULL or UNDECIDED; call again to go on.
    """
    count = circuit.leak.size
    noisy = state.seen.size > 0
    weight = np.empty(count)
    for b in range(count):
        weight[b] = (circuit.first[b + 1] - circuit.first[b]) * circuit.bound[b]
    total = weight.sum()
    pace = total if circuit.shared else total * circuit.first[-1]
    for _ in range(budget):
        if record.watched.size > 0 and record.count[0] >= record.time.size:
            return FULL
        time = state.clock[0] + spikes.standard_exponential() / pace
        if time >= end:
            state.clock[0] = end  # the process has no memory: what comes after `end` is drawn anew
            return DONE
        state.clock[0] = time
        share = spikes.random() * total
        b = 0
        while b < count - 1 and share >= weight[b]:
            share -= weight[b]
            b += 1
        size = circuit.first[b + 1] - circuit.first[b]
        k = circuit.first[b] + min(int(spikes.random() * size), size - 1)
        if noisy:
            draw_noise(circuit, state, b, k, time, noise)
        z = potential(circuit, curve, state, b, k, time)
        height = circuit.bound[b] * spikes.random()
        verdict = accepts(circuit, b, z, height)
        if verdict == 1:
            fire(circuit, state, b, k, spikes, record)
        elif verdict < 0:
            state.pending[0], state.pending[1], state.pending[2], state.pending[3] = b, k, z, height
            return UNDECIDED
    return PAUSED


@njit(cache=True)
def rebase(circuit: Circuit, curve: Response, state: State, noise: np.random.Generator) -> None:
    """Move t0 to the present, so that W and S stay of order one; draws the noise of all neurons up to now."""
    time = state.clock[0]
    for a in range(circuit.leak.size):
        decayed = math.exp(-(time - state.clock[1]) * circuit.leak[a])
        for k in range(circuit.first[a], circuit.first[a + 1]):
            if state.seen.size > 0:
                draw_noise(circuit, state, a, k, time, noise)
            state.own[k] *= decayed
        state.common[a] *= decayed
    state.clock[1] = time


@njit(cache=True)
def states(circuit: Circuit, curve: Response, state: State, out: np.ndarray) -> None:
    """Z of all neurons at the present, into `out`, shape (N,); call `rebase` first."""
    for a in range(circuit.leak.size):
        shift = response(curve, state.clock[0], a) + state.common[a]
        for k in range(circuit.first[a], circuit.first[a + 1]):
            out[k] = state.own[k] + shift


@njit(cache=True)
def intensities(circuit: Circuit, a: int, z: np.ndarray, out: np.ndarray) -> None:
    """f_a of the states of one population with a built-in gain."""
    for k in range(z.size):
        out[k] = gain(circuit, a, z[k])


@njit(cache=True)
def leap(
    circuit: Circuit,
    curve: Response,
    z: np.ndarray,
    intensity: np.ndarray,
    past: np.ndarray,
    time: float,
    dt: float,
    spikes: np.random.Generator,
    noise: np.random.Generator,
    record: Spikes,
) -> None:
    """One step of tau-leaping: exponential Euler with drive and jumps in the same step.

    Z' = e Z + [drive over the step] + tau (1 - e)/dt sum_b J_ab N_ab, with e = exp(-dt/tau) and N_ab Poisson of mean
    dt lambda_b, independent over targets (or one for all, with shared synapses). lambda_b is sum_k f_b(Z_b^k) in the
    middle of the step, extrapolated from its present and last values (Adams-Bashforth): with the present value alone
    the means lag by dt/2, which a few hundred networks of 2000 neurons show in the boundary layer.

    Args:
        circuit: The network.
        curve: Response to drive and input.
        z: States, shape (N,), changed in place.
        intensity: f of the states, shape (N,).
        past: sum_k f_b before the last step, and that step (0 before the first), shape (P + 1,), changed in place.
        time: Start of the step.
        dt: Step.
        spikes: Generator of the counts.
        noise: Generator of the intrinsic noise.
        record: Spikes of watched neurons, at uniform times within the step.
    """
    count = circuit.leak.size
    ahead = 0.5 * dt / past[count] if past[count] > 0.0 else 0.0
    mean, change = np.empty(count), np.ones(count)
    for b in range(count):
        total = intensity[circuit.first[b] : circuit.first[b + 1]].sum()
        if total > 0.0:
            change[b] = max(1.0 + ahead * (total - past[b]) / total, 0.0)
        mean[b] = dt * total * change[b]
        past[b] = total
    past[count] = dt
    numbers = np.zeros(count)
    if circuit.shared:
        for b in range(count):
            numbers[b] = emitted(circuit, b, intensity, mean[b], change[b], time, dt, spikes, record)
    for a in range(count):
        kept = math.exp(-dt * circuit.leak[a])
        pushed = response(curve, time + dt, a) - kept * response(curve, time, a)
        share = (1.0 - kept) / (dt * circuit.leak[a])
        spread = circuit.noise[a] * math.sqrt(1.0 - kept * kept)
        for k in range(circuit.first[a], circuit.first[a + 1]):
            jumps = 0.0
            for b in range(count):
                number = numbers[b] if circuit.shared else float(spikes.poisson(mean[b]))
                jumps += circuit.jump[a, b] * number
                if not circuit.shared and record.watched.size > 0 and record.watched[k]:
                    note(record, k, b, int(number), time, dt, spikes)
            z[k] = kept * z[k] + pushed + share * jumps
            if spread > 0.0:
                z[k] += spread * noise.standard_normal()


@njit(cache=True)
def leaps(
    circuit: Circuit,
    curve: Response,
    z: np.ndarray,
    intensity: np.ndarray,
    past: np.ndarray,
    start: float,
    dt: float,
    step: int,
    end: int,
    spikes: np.random.Generator,
    noise: np.random.Generator,
    record: Spikes,
) -> int:
    """Steps `step` to `end` - 1 after `start` with built-in gains; returns early when the spike buffer fills.

    Returns:
        The next step to take.
    """
    while step < end and 2 * record.count[0] <= record.time.size:
        leap(circuit, curve, z, intensity, past, start + step * dt, dt, spikes, noise, record)
        for a in range(circuit.leak.size):
            low, high = circuit.first[a], circuit.first[a + 1]
            intensities(circuit, a, z[low:high], intensity[low:high])
        step += 1
    return step


@njit(cache=True)
def emitted(
    circuit: Circuit,
    b: int,
    intensity: np.ndarray,
    mean: float,
    change: float,
    time: float,
    dt: float,
    spikes: np.random.Generator,
    record: Spikes,
) -> float:
    """Number of spikes that population b emits in a step; those of watched neurons are drawn one by one.

    Args:
        circuit: The network.
        b: Population.
        intensity: f of all states, shape (N,).
        mean: Mean of the number.
        change: What the intensities are multiplied by to give that mean.
        time: Start of the step.
        dt: Step.
        spikes: Generator.
        record: Spikes of watched neurons.
    """
    number, rest = 0, mean
    if record.watched.size > 0:
        for k in range(circuit.first[b], circuit.first[b + 1]):
            if record.watched[k]:
                own = dt * change * intensity[k]
                fired = spikes.poisson(own)
                note(record, k, b, fired, time, dt, spikes)
                number += fired
                rest -= own
    return float(number + spikes.poisson(max(rest, 0.0)))


@njit(cache=True)
def note(record: Spikes, k: int, source: int, number: int, time: float, dt: float, spikes: np.random.Generator) -> None:
    """Record a number of spikes at uniform times within a step; beyond the room they are only counted."""
    for _ in range(number):
        i = record.count[0]
        if i < record.time.size:
            record.time[i], record.neuron[i], record.source[i] = time + dt * spikes.random(), k, source
        record.count[0] += 1


@njit(cache=True)
def cumulants(z: np.ndarray) -> tuple[float, float, float]:
    """Unbiased k-statistics of order 1, 2 and 3 of a population, in two passes."""
    n = z.size
    mean = z.sum() / n
    second, third = 0.0, 0.0
    for k in range(n):
        d = z[k] - mean
        second += d * d
        third += d * d * d
    return mean, second / (n - 1), third * n / ((n - 1.0) * (n - 2.0))
