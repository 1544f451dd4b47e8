"""One step of the discrete-state reduction, and of the coarse-grained Markov chain behind it (numba).

Populations keep, per voltage bin, the number of neurons and the first moment of V about the bin's centre; synapse
classes keep the mean of the pending spikes. Classes of one target that share the decay time and the sign act through
their sum X = sum s H alone: they are merged, exactly, into channels with the mean and variance of X and, per bin, the
deviation c = sum over the bin's neurons of (X - mean). `step` is a map of the `State`, smooth where the
reconstruction is; `chain` draws the same transfers as multinomial moves of integer counts.

Source: CLWTX 2024 (arXiv 2411.14801); the `joint` closure, the linear density and the chain's noise are largen's own.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from largen.systems.spiking.transfer import REACH, moments, normal_pairs, reconstruct

PAPER, WHITE, JOINT = 0, 1, 2
CLOSURES = {"paper": PAPER, "white": WHITE, "joint": JOINT}
EMPTY = 1e-20
"""A bin with at most this fraction of the population tells nothing of pending spikes: a mean over it is rounding."""
SPARSE = 1e-8
"""A bin with less than this fraction of the population has no slope of the pending spikes."""
LEAST_STRETCH = 0.1
"""A step may not press a bin together more than this."""


class Layout(NamedTuple):
    """The constants of a reduction: P populations, K bins, C channels, J classes (target, source)."""

    size: np.ndarray  # (P,) neurons
    leak: np.ndarray  # (P,) 1/tau_m
    drive_mean: np.ndarray  # (P,) mean of V per external kick
    drive_variance: np.ndarray  # (P,) variance of V per external kick
    leave: np.ndarray  # (P,) probability of leaving the refractory pool in a step
    delay: np.ndarray  # (P,) steps in the refractory pool if fixed, else 0
    channels: np.ndarray  # (P + 1,) first channel of each population
    rate: np.ndarray  # (C,) 1/tau
    inhibitory: np.ndarray  # (C,) 1 or 0
    classes: np.ndarray  # (C + 1,) first class of each channel
    source: np.ndarray  # (J,)
    target: np.ndarray  # (J,)
    probability: np.ndarray  # (J,)
    strength: np.ndarray  # (J,)
    dt: float
    width: float
    lowest: float  # lowest edge
    reset: int  # bin that starts at the reset potential
    span: float  # threshold minus reversal potential of inhibition
    reversal: float
    narrowest: float  # shortest support of a density in a bin
    closure: int
    sloped: bool  # pending spikes linear within a bin (`linear_in_bin`)
    stretched: bool  # drift linear within a bin, else constant


class State(NamedTuple):
    """State between two steps; `step` and `chain_step` change it in place."""

    count: np.ndarray  # (P, K) neurons per bin
    moment: np.ndarray  # (P, K) sum of V - centre
    pool: np.ndarray  # (P,) refractory neurons
    deviation: np.ndarray  # (C, K) sum of X - mean over a bin's neurons
    pool_deviation: np.ndarray  # (C,)
    pending: np.ndarray  # (J,) mean of H
    variance: np.ndarray  # (C,) variance of X
    spikes: np.ndarray  # (P,) spikes of the last step
    queue: np.ndarray  # (P, longest delay) refractory neurons by the step of their spike
    queue_deviation: np.ndarray  # (C, longest delay) what they carried
    clock: np.ndarray  # (1,) steps done


class Work(NamedTuple):
    """Scratch space of a step; nothing in it outlives one."""

    mean: np.ndarray  # (C,) mean of X
    square: np.ndarray  # (C,) sum of s^2 E[H]
    unexplained: np.ndarray  # (C,) variance of X within bins
    offset: np.ndarray  # (C, K) mean of X - mean in a bin
    slope: np.ndarray  # (C, K) its slope in V
    bins: np.ndarray  # (6, K) per source bin: left, length, tilt, centre of mass, noise, gate
    edges: np.ndarray  # (2, K) first edge within reach, and the first above
    z: np.ndarray  # (pairs,) standardised edges
    cdf: np.ndarray
    pdf: np.ndarray
    count: np.ndarray  # (K + 1,) the new counts of one population; above the last bin: the spikes
    moment: np.ndarray  # (K + 1,)
    deviation: np.ndarray  # (C, K + 1)
    lost: np.ndarray  # (1,) largest fraction of a population in bins that inhibition folds


def new_state(layout: Layout, bins: int) -> State:
    """All neurons at rest: V = 0 in the bin above reset, no spike pending."""
    P, C, J = len(layout.size), len(layout.rate), len(layout.source)
    longest = max(int(layout.delay.max()), 1)
    shapes = ((P, bins), (P, bins), P, (C, bins), C, J, C, P, (P, longest), (C, longest))
    state = State(*[*map(np.zeros, shapes), np.zeros(1, dtype=np.int64)])
    state.count[:, layout.reset] = layout.size
    state.moment[:, layout.reset] = -0.5 * layout.width * layout.size
    if layout.closure == PAPER:  # the reference starts with a sum of potentials of 1e-4
        state.moment[:, layout.reset] += 1e-4
    return state


def new_work(layout: Layout, bins: int) -> Work:
    """Scratch space for `step` and `chain_step`."""
    C, pairs, cells = len(layout.rate), 2 * bins * bins, bins + 1
    before = [np.zeros(shape) for shape in (C, C, C, (C, bins), (C, bins), (6, bins))]
    after = [np.zeros(shape) for shape in (pairs, pairs, pairs, cells, cells, (C, cells), 1)]
    return Work(*[*before, np.zeros((2, bins), dtype=np.int64), *after])


@njit(cache=True, error_model="numpy")
def sum_classes(layout, state, work):
    """Mean of X and sum of s^2 E[H] per channel."""
    for c in range(len(layout.rate)):
        mean = square = 0.0
        for j in range(layout.classes[c], layout.classes[c + 1]):
            sm = layout.strength[j] * state.pending[j]
            mean += sm
            square += layout.strength[j] * sm
        work.mean[c] = mean
        work.square[c] = square


@njit(cache=True, error_model="numpy")
def explain(layout, state, work, a):
    """Part of X that the bin tells: its mean per bin, its slope, and the variance that is left."""
    bins = state.count.shape[1]
    count, moment = state.count[a], state.moment[a]
    empty = EMPTY * layout.size[a]
    for c in range(layout.channels[a], layout.channels[a + 1]):
        between = 0.0
        offset, slope = work.offset[c], work.slope[c]
        for k in range(bins):
            offset[k] = state.deviation[c, k] / count[k] if count[k] > empty else 0.0
            between += offset[k] * state.deviation[c, k]
            slope[k] = 0.0
        if state.pool[a] > empty:
            between += state.pool_deviation[c] ** 2 / state.pool[a]
        work.unexplained[c] = max(state.variance[c] - between / layout.size[a], 0.0)
    if layout.sloped:
        _van_leer(layout, count, moment, work, a)


@njit(cache=True, error_model="numpy")
def _van_leer(layout, count, moment, work, a):
    """Slope of the offset over V: harmonic mean of the left and right differences where their signs agree."""
    w = layout.width
    sparse = SPARSE * layout.size[a]
    for k in range(1, len(count) - 1):
        if count[k - 1] < sparse or count[k] < sparse or count[k + 1] < sparse:
            continue
        here = moment[k] / count[k]
        left = max(w + here - moment[k - 1] / count[k - 1], 0.25 * w)
        right = max(w + moment[k + 1] / count[k + 1] - here, 0.25 * w)
        for c in range(layout.channels[a], layout.channels[a + 1]):
            offset = work.offset[c]
            below = (offset[k] - offset[k - 1]) / left
            above = (offset[k + 1] - offset[k]) / right
            if below * above > 0.0:
                work.slope[c, k] = 2.0 * below * above / (below + above)


@njit(cache=True, error_model="numpy")
def shift(layout, state, work, a, drive):
    """Drift and noise of every bin: the density after the drift, and the edges within reach of the noise.

    Returns:
        Number of standardised edges in `work.z`, two per edge and bin.
    """
    dt, w = layout.dt, layout.width
    bins = state.count.shape[1]
    first, stop = work.edges[0], work.edges[1]
    filled = 0
    for k in range(bins):
        n = state.count[a, k]
        first[k] = stop[k] = 0
        if n <= 0.0:
            continue
        mean = min(max(state.moment[a, k] / n, -0.5 * w), 0.5 * w)
        left, length, tilt = reconstruct(mean, w, layout.closure == PAPER, layout.narrowest)
        centre = layout.lowest + (k + 0.5) * w
        potential = centre + mean
        gate = (potential - layout.reversal) / layout.span
        drift = drive * layout.drive_mean[a] - layout.leak[a] * potential
        variance = drive * layout.drive_variance[a]
        pull, steepening = 1.0 - dt * layout.leak[a], 0.0
        for c in range(layout.channels[a], layout.channels[a + 1]):
            rate = layout.rate[c]
            current = rate * (work.mean[c] + work.offset[c, k])
            sign = -gate if layout.inhibitory[c] else 1.0
            drift += sign * current
            if layout.closure == JOINT:
                variance += dt * sign * sign * work.unexplained[c] * rate * rate
            else:
                variance += sign * sign * state.variance[c] * rate * rate
            if layout.stretched:
                steepening += dt * sign * rate * work.slope[c, k]
                if layout.inhibitory[c]:
                    pull -= dt * current / layout.span
        if pull < LEAST_STRETCH:
            work.lost[0] = max(work.lost[0], n / layout.size[a])
        stretch = max(pull + steepening, LEAST_STRETCH)
        moved = mean + dt * drift
        left = moved + stretch * (left - mean)
        length *= stretch
        noise = max(np.sqrt(dt * variance), 0.1 * layout.narrowest)
        work.bins[0, k] = left
        work.bins[1, k] = length
        work.bins[2, k] = tilt / stretch
        work.bins[3, k] = moved
        work.bins[4, k] = noise
        work.bins[5, k] = gate
        # Edge j is the left end of bin j, at (j - k - 1/2) w from the centre of bin k. The lowest is no edge:
        # what falls below it stays in the lowest bin.
        low = int(np.ceil((left - REACH * noise) / w + k + 0.5))
        high = int(np.floor((left + length + REACH * noise) / w + k + 0.5)) + 1
        first[k] = min(max(low, 1), bins + 1)
        stop[k] = max(min(high, bins + 1), first[k])
        for j in range(first[k], stop[k]):
            from_left = ((j - k - 0.5) * w - left) / noise
            work.z[filled] = from_left
            work.z[filled + 1] = from_left - length / noise
            filled += 2
    return filled


@njit(cache=True, error_model="numpy")
def transfer(layout, state, work, a, k, j, slot):
    """Mass, first moment and density below edge j of the neurons that were in bin k, per neuron."""
    left, length, tilt = work.bins[0, k], work.bins[1, k], work.bins[2, k]
    edge = (j - k - 0.5) * layout.width
    z, cdf, pdf = work.z, work.cdf, work.pdf
    return moments(
        edge, left, length, tilt, work.bins[4, k],
        z[slot], z[slot + 1], cdf[slot], cdf[slot + 1], pdf[slot], pdf[slot + 1],
    )  # fmt: skip


@njit(cache=True, error_model="numpy")
def deviation_below(layout, work, c, k, g0, g1, f):
    """Deviation of X carried below an edge, per neuron of bin k."""
    noise, gate = work.bins[4, k], work.bins[5, k]
    sign = -gate if layout.inhibitory[c] else 1.0
    shared = sign * work.unexplained[c] * layout.dt * layout.rate[c]  # covariance of X and V'
    within = g1 - work.bins[3, k] * g0 + noise * noise * f
    return work.offset[c, k] * g0 - shared * f + work.slope[c, k] * within


@njit(cache=True, error_model="numpy")
def _move(layout, state, work, a):
    """Move mass, first moment and deviations of all bins of a population into `work.count`, ... ."""
    bins = state.count.shape[1]
    w = layout.width
    joint = layout.closure == JOINT
    low, high = layout.channels[a], layout.channels[a + 1]
    work.count[:] = 0.0
    work.moment[:] = 0.0
    work.deviation[low:high] = 0.0
    slot = 0
    for k in range(bins):
        n = state.count[a, k]
        if n <= 0.0:
            continue
        below0 = below1 = below_f = 0.0
        first, stop = work.edges[0, k], work.edges[1, k]
        for j in range(first, stop + 1):
            if j < stop:
                g0, g1, f = transfer(layout, state, work, a, k, j, slot)
                g0 = min(max(g0, below0), 1.0)
                slot += 2
            else:
                g0, g1, f = 1.0, work.bins[3, k], 0.0
            cell = min(j - 1, bins)
            mass = n * (g0 - below0)
            work.count[cell] += mass
            work.moment[cell] += n * (g1 - below1) + mass * (k - cell) * w
            if joint:
                for c in range(low, high):
                    work.deviation[c, cell] += n * (
                        deviation_below(layout, work, c, k, g0, g1, f)
                        - deviation_below(layout, work, c, k, below0, below1, below_f)
                    )
            below0, below1, below_f = g0, g1, f


@njit(cache=True, error_model="numpy")
def leaving(layout, state, work, a):
    """Mean number of neurons that leave the refractory pool in this step; its spikes are in `work.count`."""
    spikes = work.count[-1]
    pool = state.pool[a] + spikes
    if layout.delay[a] > 0:
        return state.queue[a, state.clock[0] % layout.delay[a]]
    if layout.closure == PAPER:
        return abs((spikes - pool * layout.leave[a] / layout.dt) * layout.dt)
    return pool * layout.leave[a]


@njit(cache=True, error_model="numpy")
def refract(layout, state, work, a, back):
    """The refractory pool takes the spikes and returns `back` neurons to the reset potential."""
    bins = state.count.shape[1]
    spikes = work.count[bins]
    delay = layout.delay[a]
    place = state.clock[0] % max(delay, 1)
    pool = state.pool[a] + spikes
    if delay > 0:
        state.queue[a, place] = spikes
    state.pool[a] = pool - back
    for c in range(layout.channels[a], layout.channels[a + 1]):
        brought = work.deviation[c, bins]
        carried = state.pool_deviation[c] + brought
        if delay > 0:
            returned = state.queue_deviation[c, place] * (1.0 - layout.dt * layout.rate[c]) ** delay
            state.queue_deviation[c, place] = brought
        else:
            returned = carried * back / pool if pool > 0.0 else 0.0
        state.pool_deviation[c] = carried - returned
        work.deviation[c, layout.reset] += returned
    work.count[layout.reset] += back
    work.moment[layout.reset] -= 0.5 * layout.width * back
    state.spikes[a] = spikes


@njit(cache=True, error_model="numpy")
def store(layout, state, work, a):
    """Write the new counts back; deviations decay with the mean they deviate from."""
    bins = state.count.shape[1]
    for k in range(bins):
        state.count[a, k] = work.count[k]
        state.moment[a, k] = work.moment[k]
    for c in range(layout.channels[a], layout.channels[a + 1]):
        stay = 1.0 - layout.dt * layout.rate[c]
        state.pool_deviation[c] *= stay
        for k in range(bins):
            state.deviation[c, k] = work.deviation[c, k] * stay


@njit(cache=True, error_model="numpy")
def _receive(layout, state, work, arrivals):
    """Pending spikes: release from the old mean, then this step's arrivals."""
    for c in range(len(layout.rate)):
        part = layout.dt * layout.rate[c]
        fresh = 0.0
        for j in range(layout.classes[c], layout.classes[c + 1]):
            p, s = layout.probability[j], layout.strength[j]
            arrived = p * arrivals[layout.source[j]]
            fresh += s * s * (1.0 - p) * arrived
            state.pending[j] += arrived - part * state.pending[j]
        state.variance[c] += (work.square[c] - 2.0 * state.variance[c]) * part + fresh


@njit(cache=True, error_model="numpy")
def step(layout, state, work, drive):
    """Advance the deterministic reduction by one step.

    Args:
        layout: Constants.
        state: State, changed in place; its `spikes` are then those of this step.
        work: Scratch space.
        drive: External kicks per ms, shape (P,).
    """
    before = state.spikes.copy() if layout.closure == PAPER else state.spikes
    sum_classes(layout, state, work)
    for a in range(len(layout.size)):
        if layout.closure == JOINT:
            explain(layout, state, work, a)
        pairs = shift(layout, state, work, a, drive[a])
        normal_pairs(work.z, pairs, work.cdf, work.pdf)
        _move(layout, state, work, a)
        refract(layout, state, work, a, leaving(layout, state, work, a))
        store(layout, state, work, a)
    _receive(layout, state, work, before)
    state.clock[0] += 1


@njit(cache=True, error_model="numpy")
def sample(layout, state, i, pending, occupied, refractory):
    """Write the state to the i-th output; `occupied` and `refractory` may have no outputs at all."""
    for j in range(len(layout.source)):
        pending[layout.target[j], layout.source[j], i] = state.pending[j]
    if refractory.shape[1] > 0:
        occupied[:, :, i] = state.count
        refractory[:, i] = state.pool


@njit(cache=True, error_model="numpy")
def run_steps(layout, state, work, drive, steps, spikes, pending, occupied, refractory):
    """Run the deterministic reduction.

    Args:
        layout: Constants.
        state: Where to start; changed in place.
        work: Scratch space.
        drive: External kicks per ms at every step, shape (step, P), or (1, P) for a constant.
        steps: Steps at which to write outputs, increasing from 0, shape (T,).
        spikes: Spikes since the output before, shape (P, T).
        pending: Mean pending spikes, shape (P, P, T).
        occupied: Neurons per bin, shape (P, K, T or 0).
        refractory: Refractory neurons, shape (P, T or 0).
    """
    done = 0
    for i in range(len(steps)):
        while done < steps[i]:
            step(layout, state, work, drive[min(done, len(drive) - 1)])
            spikes[:, i] += state.spikes
            done += 1
        sample(layout, state, i, pending, occupied, refractory)
