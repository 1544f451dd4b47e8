"""One step of the reduction with delta synapses (numba).

In a step the neurons of bin k, of which number and mean are known, move by the affine image of the bin under the
neuron's own flow (S24, S26, S27), then by what arrives (`arrivals`): V - V_I times a factor, a shift, and Gaussian
noise. Between the bins they are moved by the finite-volume scheme of `step` in the folder above, with its integrals
(S12). What is above the threshold spikes; it comes back to the reset after its refractory period. Adaptation w has one
mean per bin: it shifts the bin, moves with its neurons, decays, and grows by its step at a spike.
"""

import numpy as np
from numba import uint64

from largen.numerics.compiled import entry, inlined, part
from largen.systems.spiking.discretisation import MIN_OCCUPANCY, MIN_OCCUPANCY_FLUX
from largen.systems.spiking.reduction.direct.arrivals import DRIFT, FIRST, NOISE, SECOND, gather_alike, take
from largen.systems.spiking.reduction.step import due, occupied_blocks
from largen.systems.spiking.reduction.transfer import (
    G0,
    INVERSE_NUMBER,
    INVERSE_SIGMA,
    LANES,
    LENGTH,
    LOWER,
    MEAN,
    MEAN_DRIFTED,
    NUMBER,
    SIGMA,
    SIGMA_OVER_LENGTH,
    TAIL,
    TILT,
    UPPER,
    U,
    edge_integrals,
    reconstruct,
)


@part
def _moved(layout, a, v):
    """The table of a flow at v, linear between its points and beyond them."""
    table = layout.table[a]
    place = (v - layout.table_first[a]) / layout.table_by[a]
    cell = int(min(max(place, 0.0), float(len(table) - 2)))
    return table[cell] + (place - cell) * (table[cell + 1] - table[cell])


@part
def _along_table(layout, x, a, k, v):
    """Mean and length of the image of a bin with mean v; its tilt is changed.

    The ends of the support are moved as the flow moves them, and the tilt is what gives the mean of the image (by
    Simpson's rule): second order in the bin. A line between the images of the bin's ends would lie above a convex flow.
    """
    tilt, length = x[TILT + k], x[LENGTH + k]
    lower = v - (tilt * (1.0 / 6.0) + 0.5) * length
    low, middle, high = (
        _moved(layout, a, lower),
        _moved(layout, a, lower + 0.5 * length),
        _moved(layout, a, lower + length),
    )
    mean = (low + 4.0 * middle + high + tilt * (high - low)) * (1.0 / 6.0)
    length = max(high - low, layout.min_support)
    tilt = min(max(6.0 * (mean - 0.5 * (low + high)) / length, -1.0), 1.0)
    x[TILT + k] = tilt
    return 0.5 * (low + high) + tilt * length * (1.0 / 6.0), length


@part
def flow_bins(layout, state, work, a, moments, drift):
    """Mean, length and variance of every bin after the flow and the inhibition that is a conductance."""
    x, reversal, tabulated = work.bins, layout.reversal[a], layout.table.shape[1] > 0
    first, spread = moments[FIRST], max(moments[SECOND] - moments[FIRST] ** 2, 0.0)
    for k in range(uint64(layout.bins)):
        v = float(k) + 0.5 + x[MEAN + k]
        if tabulated:
            v, length = _along_table(layout, x, a, k, v)
        else:
            v, length = layout.keep[a] * v + layout.back[a], x[LENGTH + k] * layout.keep[a]
        v += drift
        if layout.adapts:
            v -= layout.adaptation[a, 2] * state.adaptation[a, k] * x[INVERSE_NUMBER + k]
        work.mean[k] = reversal + (v - reversal) * first
        work.variance[k] = (v - reversal) ** 2 * spread
        work.length[k] = length * first


@part
def set_jump(layout, work, a, jump, moments):
    """The bins' densities after one number of large kicks: support, mean and noise.

    A bin that is moved far above the threshold is put right above it: its neurons spike anyhow.
    """
    x, reversal, bins = work.bins, layout.reversal[a], float(layout.bins)
    factor, shift, least = jump[0], moments[DRIFT] + jump[1], 0.1 * layout.min_support
    for k in range(uint64(layout.bins)):
        mean = reversal + (work.mean[k] - reversal) * factor + shift
        sigma = max(np.sqrt(moments[NOISE] + jump[2] + work.variance[k] * factor * factor), least)
        length = max(work.length[k] * factor, layout.min_support)
        lower = mean - (x[TILT + k] * (1.0 / 6.0) + 0.5) * length
        excess = max(lower - (bins + 1.0 + (TAIL + 1.0) * sigma), 0.0)
        centre = float(k) + 0.5
        lower, mean = lower - excess - centre, mean - excess - centre
        x[MEAN_DRIFTED + k] = mean
        x[LOWER + k] = lower
        x[UPPER + k] = lower + length
        x[SIGMA + k] = sigma
        x[INVERSE_SIGMA + k] = 1.0 / sigma
        x[SIGMA_OVER_LENGTH + k] = sigma / length


@part
def _band(x, first, stop, bins):
    """The edges that neurons can cross, as `transfer.band`; of those beyond the threshold or the lowest edge none."""
    low, high = np.inf, -np.inf
    for k in range(first, stop):
        tail, here = TAIL * x[SIGMA + uint64(k)], float(k)
        low = min(low, max(x[LOWER + uint64(k)] - tail, -here - 0.25))
        high = max(high, min(x[UPPER + uint64(k)] + tail, bins - here - 0.25))
    if not (low >= -np.inf and high <= np.inf):
        return 1, 1, 0
    low = np.ceil(min(max(low + 0.5, 1.0 - bins), bins + 1.0))
    high = np.floor(min(max(high + 0.5, low - 1.0), float(bins)))
    begin, end = int(low), int(high) + 1
    return begin, end, (begin + end - 1) // 2


@part
def _add_flux(x, y, flux, first, stop, shift):
    """Number and U through one edge of every bin (S9)."""
    for k in range(uint64(first), uint64(stop)):
        n = x[NUMBER + k]
        flux[0, k + uint64(shift)] += n * y[0, G0 + k]
        flux[1, k + uint64(shift)] += n * y[0, U + k]


@part
def _add_adaptation_flux(adaptation, y, flux, first, stop, shift):
    for k in range(uint64(first), uint64(stop)):
        flux[2, k + uint64(shift)] += adaptation[k] * y[0, G0 + k]


@part
def _into_bins(x, new, adaptation, flux, by, chance):
    """Add to the new bins what moved by an integer number of bins and through edges; returns spikes and their w."""
    bins = new.shape[1]
    base = uint64(bins)
    flux[0, base] = flux[1, base] = flux[2, base] = 0.0
    for k in range(base):
        lower, upper = flux[0, base + k], flux[0, base + k + uint64(1)]
        new[0, k] += chance * (upper - lower)
        new[1, k] += chance * (0.5 * (lower + upper) - (flux[1, base + k + uint64(1)] - flux[1, base + k]))
        new[2, k] += chance * (flux[2, base + k + uint64(1)] - flux[2, base + k])
    for k in range(max(0, -by), min(bins, bins - by)):
        n = chance * x[NUMBER + uint64(k)]
        new[0, k + by] += n
        new[1, k + by] += n * (x[MEAN_DRIFTED + uint64(k)] - by)
        new[2, k + by] += chance * adaptation[k]
    for k in range(min(bins, -by)):
        n = chance * x[NUMBER + uint64(k)]
        new[0, 0] += n
        new[1, 0] += n * (x[MEAN_DRIFTED + uint64(k)] + k)
        new[2, 0] += chance * adaptation[k]
    spikes, carried = -flux[0, 2 * bins], -flux[2, 2 * bins]
    for k in range(max(0, bins - by), bins):
        spikes += x[NUMBER + uint64(k)]
        carried += adaptation[k]
    return chance * spikes, chance * carried


@part
def transfer(layout, state, work, a, moments, count):
    """Move the neurons of population a to their new bins; returns the w that the spiking ones carry."""
    x, y, bins = work.bins, work.edge, layout.bins
    spikes = carried = 0.0
    for row in range(3):
        for k in range(bins):
            work.new[row, k] = 0.0
    first, blocks = occupied_blocks(x, bins, MIN_OCCUPANCY_FLUX * layout.size[a])
    stop = min(first + blocks * int(LANES), bins)
    for i in range(count):
        set_jump(layout, work, a, work.jumps[i], moments)
        for row in range(3):
            for k in range(work.flux.shape[1]):
                work.flux[row, k] = 0.0
        begin, end, by = _band(x, first, stop, bins)
        for e in range(begin, end):
            edge_integrals(x, y, 0, first, blocks, e - 0.5, 1.0 if e <= by else -1.0)
            _add_flux(x, y, work.flux, first, stop, bins + e)
            if layout.adapts:
                _add_adaptation_flux(state.adaptation[a], y, work.flux, first, stop, bins + e)
        more, w = _into_bins(x, work.new, state.adaptation[a], work.flux, by, work.jumps[i, 3])
        spikes, carried = spikes + more, carried + w
    for k in range(bins):
        state.number[a, k] = max(work.new[0, k], 0.0)
        state.moment[a, k] = work.new[1, k]
        state.adaptation[a, k] = work.new[2, k]
    state.spikes[a] = max(spikes, 0.0)
    return carried


@inlined
def leaving(layout, state, a):
    """Mean number of neurons that leave the refractory pool in this step, this step's spikes included (S11)."""
    if layout.delay[a] < 0:
        return (state.refractory[a] + state.spikes[a]) * layout.leave[a]
    queue, clock = state.queue[a], state.clock[0]
    queue[clock % len(queue)] = state.spikes[a]
    return due(queue, clock, layout.delay[a], layout.longer[a])


@inlined
def refract(layout, state, a, back):
    """The refractory pool takes the spikes and returns `back` neurons to the reset potential."""
    state.refractory[a] += state.spikes[a] - back
    state.number[a, layout.reset[a]] += back
    state.moment[a, layout.reset[a]] -= 0.5 * back


@part
def adapt(layout, state, a, carried, back):
    """Let w decay; spiking neurons gain a step of it, and those that return bring theirs. Call after `refract`."""
    step, stay, clock, delay = layout.adaptation[a, 0], layout.adaptation[a, 1], state.clock[0], layout.delay[a]
    for k in range(layout.bins):
        state.adaptation[a, k] *= stay
    gained = carried * stay + step * state.spikes[a]
    if delay < 0:
        pool = state.refractory[a] + back
        total = state.refractory_adaptation[a] * stay + gained
        returned = total * back / pool if pool > 0.0 else 0.0
        state.refractory_adaptation[a] = total - returned
    else:
        queue = state.queue_adaptation[a]
        queue[clock % len(queue)] = gained
        longer = layout.longer[a]
        later = queue[(clock - delay - 1) % len(queue)] if longer > 0.0 and delay + 1 < len(queue) else 0.0
        whole = due(queue, clock, delay, longer)
        returned = ((whole - later) + later * stay) * stay**delay
    state.adaptation[a, layout.reset[a]] += returned


@inlined
def prepare(layout, state, work, a, rate, mean, sd, moments):
    """Put densities into the bins of population a and move them by all but large kicks; returns the jumps by those."""
    count = take(layout, work, a, rate, sd, moments)
    empty = MIN_OCCUPANCY * layout.size[a]
    reconstruct(
        work.bins, layout.bins, state.number, state.moment, a, 1.0, layout.min_support, False, empty
    )  # fmt: skip
    drift = mean * layout.drive[a]
    if layout.diffuse[a]:
        drift += layout.kick[a] * rate * layout.drive[a] * layout.unit[a]
    flow_bins(layout, state, work, a, moments, drift)
    return count


@inlined
def send(layout, state, work):
    """Note the spikes per neuron of this step, what the lowest bins hold, and that a step is done."""
    place = state.clock[0] % state.sent.shape[1]
    for a in range(len(layout.size)):
        state.sent[a, place] = state.spikes[a] / layout.size[a]
        work.lowest[a] += state.number[a, 0]
    state.clock[0] += 1


@inlined
def record(state, i, output):
    """Write the state to the i-th output."""
    if output.refractory.shape[1] > 0:
        for a in range(len(state.refractory)):
            output.refractory[a, i] = state.refractory[a]
            for k in range(state.number.shape[1]):
                output.number[a, k, i] = state.number[a, k]


@inlined
def _step(layout, state, work, drive, moments):
    done = state.clock[0]
    gather_alike(layout, state, work)
    for a in range(len(layout.size)):
        rate = drive.rate[min(done, len(drive.rate) - 1), a]
        mean = drive.mean[min(done, len(drive.mean) - 1), a]
        sd = drive.sd[min(done, len(drive.sd) - 1), a]
        count = prepare(layout, state, work, a, rate, mean, sd, moments)
        carried = transfer(layout, state, work, a, moments, count)
        back = leaving(layout, state, a)
        refract(layout, state, a, back)
        if layout.adapts:
            adapt(layout, state, a, carried, back)
    send(layout, state, work)


@entry
def run_steps(layout, state, work, drive, output, moments):
    """Run the deterministic reduction.

    Args:
        layout: Constants.
        state: Where to start; changed in place.
        work: Scratch space.
        drive: External kicks per ms, constant drive and white noise at every step, each of shape (step, P) or (1, P).
        output: What is recorded.
        moments: Room for `arrivals.take`, shape (4,).
    """
    for i in range(len(output.steps)):
        while state.clock[0] < output.steps[i]:
            _step(layout, state, work, drive, moments)
            for a in range(len(state.spikes)):
                output.spikes[a, i] += state.spikes[a]
        record(state, i, output)
