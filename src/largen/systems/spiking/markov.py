"""One step of the discrete-state reduction (numba).

Populations keep, per voltage bin, the number of neurons and the first moment of V about the bin's centre; synapse
classes keep the mean of the pending spikes. Classes of one target that share the decay time and the sign act through
their sum X = sum s H alone: they are merged, exactly, into channels with the mean and variance of X and, per bin, the
deviation c = sum over the bin's neurons of (X - mean). `step` is a map of the `State`, smooth where the
reconstruction is; `chain` draws the same transfers as multinomial moves of integer counts.

A step is a finite-volume scheme: the neurons of a population move by a whole number of bins together, then bins
exchange number, first moment and deviations by fluxes through the few edges that the noise can reach. Mass is
conserved whatever the fluxes are.

Source: CLWTX 2024 (arXiv 2411.14801); the `joint` closure and the linear density are largen's own.
"""

from numba import uint64

from largen.numerics.compiled import entry, inlined, part
from largen.systems.spiking.drift import ALONG, OFFSET, PLACE, WIDEN, shift
from largen.systems.spiking.layout import CLOSURES as CLOSURES
from largen.systems.spiking.layout import JOINT, PAPER
from largen.systems.spiking.layout import Layout as Layout
from largen.systems.spiking.layout import State as State
from largen.systems.spiking.layout import new_state as new_state
from largen.systems.spiking.layout import new_work as new_work
from largen.systems.spiking.transfer import BEYOND, CENTRE, COUNT, CROSSED, DENSITY, LANES, MOVED, REACH, cross, reach

FAINT = 1e-16
"""Bins with at most this fraction, at either end, move with the others but exchange nothing."""


@part(fastmath={"contract", "reassoc"})
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


@part
def occupied(x, bins, least):
    """First bin with more than `least` neurons, rounded down to a block, and number of blocks up to the last."""
    first, last = 0, bins - 1
    while last > 0 and not x[COUNT + uint64(last)] > least:
        last -= 1
    while first < last and not x[COUNT + uint64(first)] > least:
        first += 1
    lanes = int(LANES)
    return first // lanes * lanes, last // lanes - first // lanes + 1


@part
def _gather(x, y, flux, first, stop, shift):
    """Add what crosses one edge of every bin to the fluxes through the edges where they are."""
    for k in range(uint64(first), uint64(stop)):
        n = x[COUNT + k]
        flux[0, k + uint64(shift)] += n * y[0, CROSSED + k]
        flux[1, k + uint64(shift)] += n * y[0, BEYOND + k]


@part
def _gather_channel(h, q, y, flux, first, stop, shift, edge):
    """The same for the deviations of a channel."""
    for k in range(uint64(first), uint64(stop)):
        carried = (h[q, PLACE + k] + edge * h[q, ALONG + k]) * y[0, CROSSED + k]
        flux[q + 2, k + uint64(shift)] += (
            carried + h[q, WIDEN + k] * y[0, DENSITY + k] - h[q, ALONG + k] * y[0, BEYOND + k]
        )


@part
def _settle(x, count, moment, a, flux, width, by):
    """New numbers and moments, from moves by whole bins and fluxes; returns the spikes.

    The flux through the lowest end of bin 0 stands at `bins`; nothing crosses it.
    """
    bins = count.shape[1]
    base = uint64(bins)
    flux[0, base] = flux[1, base] = 0.0
    for k in range(base):
        lower, upper = flux[0, base + k], flux[0, base + k + uint64(1)]
        count[a, k] = upper - lower
        moment[a, k] = 0.5 * width * (lower + upper) - (flux[1, base + k + uint64(1)] - flux[1, base + k])
    for k in range(max(0, -by), min(bins, bins - by)):
        n = x[COUNT + uint64(k)]
        count[a, k + by] += n
        moment[a, k + by] += n * (x[MOVED + uint64(k)] - by * width)
    for k in range(min(bins, -by)):
        n = x[COUNT + uint64(k)]
        count[a, 0] += n
        moment[a, 0] += n * (x[MOVED + uint64(k)] + k * width)
    for k in range(base):
        count[a, k] = max(count[a, k], 0.0)
    spikes = -flux[0, 2 * bins]
    for k in range(max(0, bins - by), bins):
        spikes += x[COUNT + uint64(k)]
    return max(spikes, 0.0)


@part
def _settle_channel(x, h, q, deviation, c, flux, by):
    """The same for the deviations of a channel; returns what the spiking neurons carry."""
    bins, row = deviation.shape[1], q + 2
    base = uint64(bins)
    flux[row, base] = 0.0
    for k in range(base):
        deviation[c, k] = flux[row, base + k + uint64(1)] - flux[row, base + k]
    for k in range(max(0, -by), min(bins, bins - by)):
        deviation[c, k + by] += x[COUNT + uint64(k)] * h[q, OFFSET + uint64(k)]
    for k in range(min(bins, -by)):
        deviation[c, 0] += x[COUNT + uint64(k)] * h[q, OFFSET + uint64(k)]
    brought = -flux[row, 2 * bins]
    for k in range(max(0, bins - by), bins):
        brought += x[COUNT + uint64(k)] * h[q, OFFSET + uint64(k)]
    return brought


@inlined
def _exchange(layout, state, work, a):
    """Move the neurons of a population to their new bins."""
    x, y, bins = work.bins, work.edge, state.count.shape[1]
    low = layout.channels[a]
    high = layout.channels[a + 1] if layout.closure == JOINT else low
    for row in range(2 + high - low):
        for k in range(work.flux.shape[1]):
            work.flux[row, k] = 0.0
    first, blocks = occupied(x, bins, FAINT * layout.size[a])
    stop = min(first + blocks * int(LANES), bins)
    begin, end, by = reach(x, first, stop, layout.width, bins, REACH)
    for e in range(begin, end):
        edge = (e - 0.5) * layout.width
        cross(x, y, 0, first, blocks, edge, 1.0 if e <= by else -1.0)
        _gather(x, y, work.flux, first, stop, bins + e)
        for c in range(low, high):
            _gather_channel(work.channels, c - low, y, work.flux, first, stop, bins + e, edge)
    state.spikes[a] = _settle(x, state.count, state.moment, a, work.flux, layout.width, by)
    for c in range(low, high):
        work.brought[c] = _settle_channel(x, work.channels, c - low, state.deviation, c, work.flux, by)


@inlined
def leaving(layout, state, a):
    """Mean number of neurons that leave the refractory pool in this step, this step's spikes included."""
    pool = state.pool[a] + state.spikes[a]
    if layout.delay[a] > 0:
        return state.queue[a, state.clock[0] % layout.delay[a]]
    if layout.closure == PAPER:
        return abs((state.spikes[a] - pool * layout.leave[a] / layout.dt) * layout.dt)
    return pool * layout.leave[a]


@inlined
def refract(layout, state, work, a, back):
    """The refractory pool takes the spikes and returns `back` neurons to the reset potential; deviations decay."""
    delay = layout.delay[a]
    place = state.clock[0] % max(delay, 1)
    pool = state.pool[a] + state.spikes[a]
    if delay > 0:
        state.queue[a, place] = state.spikes[a]
    state.pool[a] = pool - back
    state.count[a, layout.reset] += back
    state.moment[a, layout.reset] -= 0.5 * layout.width * back
    if layout.closure != JOINT:
        return
    for c in range(layout.channels[a], layout.channels[a + 1]):
        stay = 1.0 - layout.dt * layout.rate[c]
        carried = state.pool_deviation[c] + work.brought[c]
        if delay > 0:
            returned = state.queue_deviation[c, place] * stay**delay
            state.queue_deviation[c, place] = work.brought[c]
        else:
            returned = carried * back / pool if pool > 0.0 else 0.0
        state.pool_deviation[c] = (carried - returned) * stay
        state.deviation[c, layout.reset] += returned
        for k in range(state.deviation.shape[1]):
            state.deviation[c, k] *= stay


@part(fastmath={"contract", "reassoc"})
def _receive(layout, state, work, arrivals):
    """Pending spikes: release from the old mean, then the arrivals."""
    for c in range(len(layout.rate)):
        part = layout.dt * layout.rate[c]
        fresh = 0.0
        for j in range(layout.classes[c], layout.classes[c + 1]):
            p, s = layout.probability[j], layout.strength[j]
            arrived = p * arrivals[layout.source[j]]
            fresh += s * s * (1.0 - p) * arrived
            state.pending[j] += arrived - part * state.pending[j]
        state.variance[c] += (work.square[c] - 2.0 * state.variance[c]) * part + fresh


@inlined
def _step(layout, state, work, drive):
    for a in range(len(layout.size)):
        work.before[a] = state.spikes[a]
    sum_classes(layout, state, work)
    for a in range(len(layout.size)):
        shift(layout, state, work, a, drive[a])
        _exchange(layout, state, work, a)
        refract(layout, state, work, a, leaving(layout, state, a))
    _receive(layout, state, work, work.before if layout.closure == PAPER else state.spikes)
    state.clock[0] += 1


@entry
def step(layout, state, work, drive):
    """Advance the deterministic reduction by one step.

    Args:
        layout: Constants.
        state: State, changed in place; its `spikes` are then those of this step.
        work: Scratch space.
        drive: External kicks per ms, shape (P,).
    """
    _step(layout, state, work, drive)


@inlined
def sample(layout, state, i, pending, occupied, refractory):
    """Write the state to the i-th output; `occupied` and `refractory` may have no outputs at all."""
    for j in range(len(layout.source)):
        pending[layout.target[j], layout.source[j], i] = state.pending[j]
    if refractory.shape[1] > 0:
        for a in range(len(state.pool)):
            refractory[a, i] = state.pool[a]
            for k in range(state.count.shape[1]):
                occupied[a, k, i] = state.count[a, k]


@part
def due(looks, done):
    """Whether to look after so many steps."""
    return looks[0] <= done <= looks[1] and done % looks[2] == 0


@part
def look(layout, state, work, drive):
    """Add the noise intensity and the relaxation rate of V in every population; `resolution` says what they are for."""
    for a in range(len(layout.size)):
        total, moment = 0.0, 0.0
        for k in range(state.count.shape[1]):
            total += state.count[a, k]
            moment += state.moment[a, k] + state.count[a, k] * work.bins[CENTRE + uint64(k)]
        gate = (moment / max(total, 1e-300) - layout.reversal) / layout.span
        work.fluctuation[0, a] += drive[a] * layout.drive_variance[a]
        work.fluctuation[1, a] += layout.leak[a]
        for c in range(layout.channels[a], layout.channels[a + 1]):
            weight = gate * gate if layout.inhibitory[c] > 0 else 1.0
            work.fluctuation[0, a] += 2.0 * weight * state.variance[c] * layout.rate[c]
            if layout.inhibitory[c] > 0:
                for j in range(layout.classes[c], layout.classes[c + 1]):
                    work.fluctuation[1, a] += layout.strength[j] * state.pending[j] * layout.rate[c] / layout.span


@entry
def run_steps(layout, state, work, drive, steps, spikes, pending, occupied, refractory):
    """Run the deterministic reduction.

    Args:
        layout: Constants.
        state: Where to start; changed in place.
        work: Scratch space, with what is wanted of the fluctuations.
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
            _step(layout, state, work, drive[min(done, len(drive) - 1)])
            for a in range(len(state.spikes)):
                spikes[a, i] += state.spikes[a]
            done += 1
            if due(work.looks, done):
                look(layout, state, work, drive[min(done, len(drive) - 1)])
        sample(layout, state, i, pending, occupied, refractory)
