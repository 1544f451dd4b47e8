"""One step of the discrete-state reduction (numba).

Per voltage bin k a population has the number n_k of its neurons and their first moment S_k = sum of V about the bin's
centre. Synapse classes have the mean of the pending spikes. Classes of one target that share the decay time and the
sign act through their sum X = sum s H alone: they are merged, exactly, into channels with the mean and variance of X
and, per bin, the deviation c_k = sum over the bin's neurons of (X - mean). `step` is a map of the `State`, smooth where
the reconstruction is; `markov_chain` draws the same transfers as integers by multinomial sampling.

A step is a finite-volume scheme: the neurons of a population move by an integer number of bins together, then bins
exchange number, first moment and deviations by fluxes through the few edges that the noise can reach. With G0 and U of
`transfer`, the flux through an edge l changes n by n G0 and S, about a cell's centre c, by n ((l - c) G0 - U)     (S9).
Mass is conserved whatever the fluxes are.

A step of the pending spikes, nf being the spikes of the source:
    m <- (1 - q) m + p nf,   v <- (1 - q)^2 v + q (1 - q) m + p (1 - p) nf,   q = 1 - exp(-dt/tau)               (S10)
and the refractory pool r gains the spikes, then loses the fraction 1 - exp(-dt/tau_r)                           (S11).

Source: CLWTX 2024 (arXiv 2411.14801) for (S10), (S11); `joint` and the linear density are largen's own. All of it is
derived in docs/spiking.md.
"""

from numba import uint64

from largen.numerics.compiled import entry, inlined, part
from largen.systems.spiking.discretisation import MIN_OCCUPANCY_FLUX
from largen.systems.spiking.reduction.drift import ALONG, AT_CENTRE, BY_DENSITY, MEAN_DEVIATION, prepare_bins
from largen.systems.spiking.reduction.layout import JOINT, PAPER
from largen.systems.spiking.reduction.patches import gather_counts
from largen.systems.spiking.reduction.transfer import (
    CENTRE,
    G0,
    LANES,
    MEAN_DRIFTED,
    NUMBER,
    TAIL,
    F,
    U,
    band,
    edge_integrals,
)


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
def occupied_blocks(x, bins, least):
    """First bin with more than `least` neurons, rounded down to a block, and number of blocks up to the last."""
    first, last = 0, bins - 1
    while last > 0 and not x[NUMBER + uint64(last)] > least:
        last -= 1
    while first < last and not x[NUMBER + uint64(first)] > least:
        first += 1
    lanes = int(LANES)
    return first // lanes * lanes, last // lanes - first // lanes + 1


@part
def _add_flux(x, y, flux, first, stop, shift):
    """Add what crosses one edge of every bin to the fluxes through the edges where they are (S9)."""
    for k in range(uint64(first), uint64(stop)):
        n = x[NUMBER + k]
        flux[0, k + uint64(shift)] += n * y[0, G0 + k]
        flux[1, k + uint64(shift)] += n * y[0, U + k]


@part
def _add_deviation_flux(h, q, y, flux, first, stop, shift, edge):
    """The same for the deviations of a channel (S13 of `drift`)."""
    for k in range(uint64(first), uint64(stop)):
        carried = (h[q, AT_CENTRE + k] + edge * h[q, ALONG + k]) * y[0, G0 + k]
        flux[q + 2, k + uint64(shift)] += carried + h[q, BY_DENSITY + k] * y[0, F + k] - h[q, ALONG + k] * y[0, U + k]


@part
def _into_bins(x, number, moment, a, flux, width, by):
    """New numbers and moments, from moves by an integer number of bins and fluxes; returns the spikes.

    The flux through the lowest end of bin 0 stands at `bins`; nothing crosses it.
    """
    bins = number.shape[1]
    base = uint64(bins)
    flux[0, base] = flux[1, base] = 0.0
    for k in range(base):
        lower, upper = flux[0, base + k], flux[0, base + k + uint64(1)]
        number[a, k] = upper - lower
        moment[a, k] = 0.5 * width * (lower + upper) - (flux[1, base + k + uint64(1)] - flux[1, base + k])
    for k in range(max(0, -by), min(bins, bins - by)):
        n = x[NUMBER + uint64(k)]
        number[a, k + by] += n
        moment[a, k + by] += n * (x[MEAN_DRIFTED + uint64(k)] - by * width)
    for k in range(min(bins, -by)):
        n = x[NUMBER + uint64(k)]
        number[a, 0] += n
        moment[a, 0] += n * (x[MEAN_DRIFTED + uint64(k)] + k * width)
    for k in range(base):
        number[a, k] = max(number[a, k], 0.0)
    spikes = -flux[0, 2 * bins]
    for k in range(max(0, bins - by), bins):
        spikes += x[NUMBER + uint64(k)]
    return max(spikes, 0.0)


@part
def _deviations_into_bins(x, h, q, deviation, c, flux, by):
    """The same for the deviations of a channel; returns what the spiking neurons carry."""
    bins, row = deviation.shape[1], q + 2
    base = uint64(bins)
    flux[row, base] = 0.0
    for k in range(base):
        deviation[c, k] = flux[row, base + k + uint64(1)] - flux[row, base + k]
    for k in range(max(0, -by), min(bins, bins - by)):
        deviation[c, k + by] += x[NUMBER + uint64(k)] * h[q, MEAN_DEVIATION + uint64(k)]
    for k in range(min(bins, -by)):
        deviation[c, 0] += x[NUMBER + uint64(k)] * h[q, MEAN_DEVIATION + uint64(k)]
    spiking = -flux[row, 2 * bins]
    for k in range(max(0, bins - by), bins):
        spiking += x[NUMBER + uint64(k)] * h[q, MEAN_DEVIATION + uint64(k)]
    return spiking


@inlined
def _transfer(layout, state, work, a):
    """Move the neurons of a population to their new bins."""
    x, y, bins = work.bins, work.edge, state.number.shape[1]
    low = layout.channels[a]
    high = layout.channels[a + 1] if layout.closure == JOINT else low
    for row in range(2 + high - low):
        for k in range(work.flux.shape[1]):
            work.flux[row, k] = 0.0
    first, blocks = occupied_blocks(x, bins, MIN_OCCUPANCY_FLUX * layout.size[a])
    stop = min(first + blocks * int(LANES), bins)
    begin, end, by = band(x, first, stop, layout.width, bins, TAIL)
    for e in range(begin, end):
        edge = (e - 0.5) * layout.width
        edge_integrals(x, y, 0, first, blocks, edge, 1.0 if e <= by else -1.0)
        _add_flux(x, y, work.flux, first, stop, bins + e)
        for c in range(low, high):
            _add_deviation_flux(work.channels, c - low, y, work.flux, first, stop, bins + e, edge)
    state.spikes[a] = _into_bins(x, state.number, state.moment, a, work.flux, layout.width, by)
    for c in range(low, high):
        work.spiking_deviation[c] = _deviations_into_bins(x, work.channels, c - low, state.deviation, c, work.flux, by)


@inlined
def due(queue, clock, delay, longer):
    """What a fixed refractory period returns in this step; of a period between two steps the rest waits one more."""
    length, back = len(queue), 0.0
    if delay < length:
        place = (clock - delay) % length
        back = (1.0 - longer) * queue[place]
        queue[place] *= longer
    if longer > 0.0 and delay + 1 < length:
        back += queue[(clock - delay - 1) % length]
    return back


@inlined
def leaving(layout, state, a):
    """Mean number of neurons that leave the refractory pool in this step, this step's spikes included (S11)."""
    pool = state.refractory[a] + state.spikes[a]
    if layout.delay[a] >= 0:
        queue = state.queue[a]
        queue[state.clock[0] % len(queue)] = state.spikes[a]
        return due(queue, state.clock[0], layout.delay[a], layout.longer[a])
    if layout.closure == PAPER:
        return abs((state.spikes[a] - pool * layout.leave[a] / layout.dt) * layout.dt)
    return pool * layout.leave[a]


@inlined
def _deviation_back(layout, state, work, a, c, stay):
    """What the neurons of a fixed refractory period that return in this step carry of a channel.

    The queue holds every deviation as it was at its spike; it decays by `stay` in each step.
    """
    queue, clock, delay, longer = state.queue_deviation[c], state.clock[0], layout.delay[a], layout.longer[a]
    queue[clock % len(queue)] = work.spiking_deviation[c]
    later = queue[(clock - delay - 1) % len(queue)] if longer > 0.0 and delay + 1 < len(queue) else 0.0
    back = due(queue, clock, delay, longer)
    return ((back - later) + later * stay) * stay**delay


@inlined
def refract(layout, state, work, a, back):
    """The refractory pool takes the spikes and returns `back` neurons to the reset potential; deviations decay."""
    delay = layout.delay[a]
    pool = state.refractory[a] + state.spikes[a]
    state.refractory[a] = pool - back
    state.number[a, layout.reset] += back
    state.moment[a, layout.reset] -= 0.5 * layout.width * back
    if layout.closure != JOINT:
        return
    for c in range(layout.channels[a], layout.channels[a + 1]):
        stay = 1.0 - layout.dt * layout.rate[c]
        carried = state.refractory_deviation[c] + work.spiking_deviation[c]
        if delay >= 0:
            returned = _deviation_back(layout, state, work, a, c, stay)
        else:
            returned = carried * back / pool if pool > 0.0 else 0.0
        state.refractory_deviation[c] = (carried - returned) * stay
        state.deviation[c, layout.reset] += returned
        for k in range(state.deviation.shape[1]):
            state.deviation[c, k] *= stay


@inlined
def watch_lowest(state, work):
    """Add what the lowest bins hold to its sum over the steps."""
    for a in range(len(state.spikes)):
        work.lowest[a] += state.number[a, 0]


@inlined
def update_variance(layout, state, work, c, part, fresh):
    """Variance of X: a release is binomial, with probability `part`; `fresh` comes with the arrivals (S10)."""
    if layout.closure == PAPER:
        state.variance[c] += (work.square[c] - 2.0 * state.variance[c]) * part + fresh
    else:
        v = state.variance[c]
        state.variance[c] = v + part * ((1.0 - part) * work.square[c] - (2.0 - part) * v) + fresh


@part
def _update_in_patches(layout, state, work):
    """As `_update_pending`, with arrivals from all patches (S80)."""
    p = layout.patches
    classes = len(p.mean)
    for c in range(len(layout.rate)):
        part, fresh = layout.dt * layout.rate[c], 0.0
        for j in range(layout.classes[c], layout.classes[c + 1]):
            arrived, variance = p.mean[j % classes, j // classes], p.variance[j % classes, j // classes]
            fresh += layout.strength[j] ** 2 * variance
            state.pending[j] += arrived - part * state.pending[j]
        update_variance(layout, state, work, c, part, fresh)


@part(fastmath={"contract", "reassoc"})
def _update_pending(layout, state, work, arrivals):
    """Pending spikes: release from the old mean, then the arrivals (S10)."""
    if layout.patches.count > 0:
        gather_counts(layout.patches, arrivals, state.clock[0])
        _update_in_patches(layout, state, work)
        return
    for c in range(len(layout.rate)):
        part = layout.dt * layout.rate[c]
        fresh = 0.0
        for j in range(layout.classes[c], layout.classes[c + 1]):
            p, s = layout.probability[j], layout.strength[j]
            arrived = p * arrivals[layout.source[j]]
            fresh += s * s * (1.0 - p) * arrived
            state.pending[j] += arrived - part * state.pending[j]
        update_variance(layout, state, work, c, part, fresh)


@inlined
def _step(layout, state, work, drive):
    for a in range(len(layout.size)):
        work.previous_spikes[a] = state.spikes[a]
    sum_classes(layout, state, work)
    for a in range(len(layout.size)):
        prepare_bins(layout, state, work, a, drive[a])
        _transfer(layout, state, work, a)
        refract(layout, state, work, a, leaving(layout, state, a))
    _update_pending(layout, state, work, work.previous_spikes if layout.closure == PAPER else state.spikes)
    watch_lowest(state, work)
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
def record(layout, state, i, output):
    """Write the state to the i-th output."""
    for j in range(len(layout.source)):
        output.pending[layout.target[j], layout.source[j], i] = state.pending[j]
    if output.refractory.shape[1] > 0:
        for a in range(len(state.refractory)):
            output.refractory[a, i] = state.refractory[a]
            for k in range(state.number.shape[1]):
                output.number[a, k, i] = state.number[a, k]


@part
def is_sampled(sampling, done):
    """Whether the fluctuations are sampled after so many steps."""
    return sampling[0] <= done <= sampling[1] and done % sampling[2] == 0


@part
def sample_fluctuations(layout, state, work, drive):
    """Add the noise intensity and the relaxation rate of V in every population; `bin_width` says what they are for."""
    for a in range(len(layout.size)):
        total, moment = 0.0, 0.0
        for k in range(state.number.shape[1]):
            total += state.number[a, k]
            moment += state.moment[a, k] + state.number[a, k] * work.bins[CENTRE + uint64(k)]
        g = (moment / max(total, 1e-300) - layout.reversal) / layout.span
        work.fluctuation[0, a] += drive[a] * layout.drive_variance[a]
        work.fluctuation[1, a] += layout.leak[a]
        for c in range(layout.channels[a], layout.channels[a + 1]):
            weight = g * g if layout.inhibitory[c] > 0 else 1.0
            q = layout.dt * layout.rate[c]
            charge = q * (2.0 - q) * state.variance[c] + q * q * work.square[c]
            work.fluctuation[0, a] += weight * charge / layout.dt
            if layout.inhibitory[c] > 0:
                for j in range(layout.classes[c], layout.classes[c + 1]):
                    work.fluctuation[1, a] += layout.strength[j] * state.pending[j] * layout.rate[c] / layout.span


@entry(nogil=True)
def run_steps(layout, state, work, drive, output):
    """Run the deterministic reduction.

    Args:
        layout: Constants.
        state: Where to start; changed in place.
        work: Scratch space, with what is wanted of the fluctuations.
        drive: External kicks per ms at every step, shape (step, P), or (1, P) for a constant.
        output: What is recorded.
    """
    done = 0
    for i in range(len(output.steps)):
        while done < output.steps[i]:
            _step(layout, state, work, drive[min(done, len(drive) - 1)])
            for a in range(len(state.spikes)):
                output.spikes[a, i] += state.spikes[a]
            done += 1
            if is_sampled(work.sampling, done):
                sample_fluctuations(layout, state, work, drive[min(done, len(drive) - 1)])
        record(layout, state, i, output)
