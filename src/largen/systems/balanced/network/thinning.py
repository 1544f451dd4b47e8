"""The exact method, one candidate at a time, for every network that the model allows (Lewis & Shedler 1979).

Candidates come at the rate of the gains' bounds; a candidate of neuron (b, k) is a spike if a uniform height below
the bound lies below f_b(Z_b^k). `batched_thinning` draws many candidates at once where that is possible; this plain
loop is its reference.
"""

import math

import numpy as np

from largen.numerics.compiled import njit
from largen.systems.balanced.network.state import (
    TABLE,
    Constants,
    DriveResponse,
    Spikes,
    State,
    built_in_gain,
    neuron_state,
)

DONE, PAUSED, FULL, UNDECIDED = 0, 1, 2, 3
"""Why `thin` returned: at the end, after its budget of candidates, spike buffer full, the gain itself is needed."""


@njit(cache=True, inline="always")
def draw_noise(constants: Constants, state: State, a: int, k: int, time: float, noise: np.random.Generator) -> None:
    """Add the intrinsic noise of neuron k since it was last seen: an exact step of the Ornstein-Uhlenbeck process."""
    passed = math.exp(-2.0 * (time - state.seen[k]) * constants.leak[a])
    grown = math.exp((time - state.clock[1]) * constants.leak[a])
    state.own[k] += grown * constants.noise[a] * math.sqrt(1.0 - passed) * noise.standard_normal()
    state.seen[k] = time


@njit(cache=True, inline="always")
def accepts(constants: Constants, b: int, z: float, height: float) -> int:
    """Whether height < f_b(z): 1 or 0, or -1 where the two entries of the table around z leave it open."""
    if constants.kind[b] != TABLE:
        return 1 if height < built_in_gain(constants, b, z) else 0
    x = constants.slope[b] * (z - constants.threshold[b])
    last = constants.table.shape[1] - 1
    rising = constants.table[b, last] >= constants.table[b, 0]
    if x < 0 or x >= last:  # beyond the table the gain lies between its end and 0 or the bound
        end = constants.table[b, 0] if x < 0 else constants.table[b, last]
        low, high = (0.0, end) if (x < 0) == rising else (end, constants.bound[b])
    else:
        i = int(x)
        low, high = constants.table[b, i], constants.table[b, i + 1]
        if not rising:
            low, high = high, low
    if height < low:
        return 1
    return 0 if height >= high else -1


@njit(cache=True, inline="always")
def fire(constants: Constants, state: State, b: int, k: int, spikes: np.random.Generator, record: Spikes) -> None:
    """Neuron (b, k) spikes: one jump of one uniformly chosen target, or of all with shared synapses (eq. B2)."""
    time = state.clock[0]
    elapsed = time - state.clock[1]
    reached = k
    if constants.shared:
        for a in range(constants.leak.size):
            state.common[a] += constants.jump[a, b] * math.exp(elapsed * constants.leak[a])
    else:
        reached = int(spikes.random() * constants.first[-1])
        a = 0
        while reached >= constants.first[a + 1]:
            a += 1
        state.own[reached] += constants.jump[a, b] * math.exp(elapsed * constants.leak[a])
    if record.watched.size > 0 and record.watched[reached]:
        i = record.count[0]
        record.time[i], record.neuron[i], record.source[i] = time, reached, b
        record.count[0] += 1


@njit(cache=True)
def thin(
    constants: Constants,
    response: DriveResponse,
    state: State,
    end: float,
    budget: int,
    spikes: np.random.Generator,
    noise: np.random.Generator,
    record: Spikes,
) -> int:
    """Advance exactly to time `end` by thinning.

    With independent synapses each of the N pairs of a source has its own process: the candidates of the source come
    N times as fast, and a spike reaches one target.

    Returns:
        DONE, PAUSED, FULL or UNDECIDED; call again to go on.
    """
    count = constants.leak.size
    noisy = state.seen.size > 0
    weight = np.empty(count)
    for b in range(count):
        weight[b] = (constants.first[b + 1] - constants.first[b]) * constants.bound[b]
    total = weight.sum()
    candidate_rate = total if constants.shared else total * constants.first[-1]
    for _ in range(budget):
        if record.watched.size > 0 and record.count[0] >= record.time.size:
            return FULL
        time = state.clock[0] + spikes.standard_exponential() / candidate_rate
        if time >= end:
            state.clock[0] = end  # the process has no memory: what comes after `end` is drawn anew
            return DONE
        state.clock[0] = time
        share = spikes.random() * total
        b = 0
        while b < count - 1 and share >= weight[b]:
            share -= weight[b]
            b += 1
        size = constants.first[b + 1] - constants.first[b]
        k = constants.first[b] + min(int(spikes.random() * size), size - 1)
        if noisy:
            draw_noise(constants, state, b, k, time, noise)
        z = neuron_state(constants, response, state, b, k, time)
        height = constants.bound[b] * spikes.random()
        accepted = accepts(constants, b, z, height)
        if accepted == 1:
            fire(constants, state, b, k, spikes, record)
        elif accepted < 0:
            state.pending[0], state.pending[1], state.pending[2], state.pending[3] = b, k, z, height
            return UNDECIDED
    return PAUSED


@njit(cache=True)
def rebase(constants: Constants, state: State, noise: np.random.Generator) -> None:
    """Move t0 to the present, so that W and S stay of order one; draws the noise of all neurons up to now."""
    time = state.clock[0]
    for a in range(constants.leak.size):
        decayed = math.exp(-(time - state.clock[1]) * constants.leak[a])
        for k in range(constants.first[a], constants.first[a + 1]):
            if state.seen.size > 0:
                draw_noise(constants, state, a, k, time, noise)
            state.own[k] *= decayed
        state.common[a] *= decayed
    state.clock[1] = time
