"""The coarse-grained Markov chain of a finite network: the reduction's transfers with integer numbers of neurons.

From one state the chain moves in the mean exactly as `step.step`. The neurons of a bin are distributed over their new
bins by multinomial sampling: one by one where they are few, else by sequential binomials. Given these numbers, the
first moments of V and X that the neurons carry are drawn from their conditional law (`transfer_noise`). Neurons leave
the refractory pool by a binomial draw. The mean pending spikes of a class have the noise of N targets. The cost does
not depend on N.

The noise of the pending spikes is not drawn bin by bin, although it belongs to the chain in principle: with it the
chain is too noisy, probably because positions within a bin are drawn afresh in every step
(docs/validation/spiking-reduction.md has the measurements, and says how this choice was made).

Source: largen's own, beyond CLWTX 2024 (arXiv 2411.14801); derived in docs/spiking.md ("The noise of the finite
chain").
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import int64, uint64

from largen.numerics.binomial_numbers import binomial
from largen.numerics.compiled import entry, inlined, part
from largen.numerics.xoshiro import fill, lanes
from largen.systems.spiking.reduction.drift import prepare_bins
from largen.systems.spiking.reduction.layout import JOINT, Layout
from largen.systems.spiking.reduction.patches import gather_counts
from largen.systems.spiking.reduction.step import (
    is_sampled,
    occupied_blocks,
    record,
    refract,
    sample_fluctuations,
    sum_classes,
    update_variance,
    watch_lowest,
)
from largen.systems.spiking.reduction.transfer import (
    EDGE_ROWS,
    G0,
    LANES,
    NUMBER,
    ROW,
    band,
    edge_integrals_second,
)
from largen.systems.spiking.reduction.transfer_noise import (
    CAPACITY,
    TRANSFERRED,
    TransferNoise,
    draw_normals,
    new_transfer_noise,
    transfer_with_noise,
)

if TYPE_CHECKING:
    from largen.systems.spiking.reduction.direct.layout import DirectLayout

FEW = 64
"""Up to so many neurons of a bin are drawn one by one."""
BYTES = 8
"""And if they may go to so many cells."""
COARSE_TAIL = 6.25
"""Normal tails beyond this many standard deviations (2e-10) are below the resolution of a draw, and count as 0."""
WORDS = 2048
"""Random words made at a time."""


class ChainWork(NamedTuple):
    """Scratch space: integrals at every edge, where the neurons of one bin went, and random words in store.

    Attributes:
        edges: Integrals at every edge of the band, shape (edge + 1, rows); `transfer` has the rows; row 0 is 0.
        below: P(V' < edge) for every edge of the band, shape (edge + 1, ROW); row 0 is 0.
        transferred: Neurons of one bin by cell of the band, shape (2 K + 3,).
        upper: Of one bin, P(V' < upper edge of a cell), shape (2 K + 3,).
        noise: What the transferred neurons carry.
        lanes: Generators of random words.
        words: Random words, uint64.
        halves: The same as uint32.
        next: Next of the halves, shape (1,).
    """

    edges: np.ndarray
    below: np.ndarray
    transferred: np.ndarray
    upper: np.ndarray
    noise: TransferNoise
    lanes: np.ndarray
    words: np.ndarray
    halves: np.ndarray
    next: np.ndarray


def new_chain_work(layout: "Layout | DirectLayout", rng: np.random.Generator) -> ChainWork:
    """Scratch space for `chain_step`, with random numbers of its own seeded from `rng`."""
    words = np.zeros(WORDS // 2, dtype=np.uint64)
    bins = layout.bins
    return ChainWork(
        edges=np.zeros((2 * bins + 3, EDGE_ROWS * ROW)),  # only rows within the band are ever touched
        below=np.zeros((2 * bins + 3, ROW)),
        transferred=np.zeros(2 * bins + 3),
        upper=np.zeros(2 * bins + 3),
        noise=new_transfer_noise(layout, bins, rng),
        lanes=lanes(rng),
        words=words,
        halves=words.view(np.uint32),
        next=np.full(1, WORDS),
    )


@inlined
def _band_integrals(layout, work, chain, first, blocks, begin, end, by):
    """The integrals at every edge of the band, at rows counted from `begin` - 1."""
    for e in range(begin, end):
        side = 1.0 if e <= by else -1.0
        edge_integrals_second(work.bins, chain.edges, e - begin + 1, first, blocks, (e - 0.5) * layout.width, side)


@part
def _probabilities(edges, below, first, blocks, begin, end, by):
    """P(V' < edge) for every bin and edge of the band, which may not fall by rounding from one edge to the next."""
    for e in range(begin, end):
        row, passed = e - begin + 1, 0.0 if e <= by else 1.0
        for k in range(uint64(first), uint64(first) + uint64(blocks) * LANES):
            below[row, k] = max(below[row - 1, k], edges[row, G0 + k] + passed)


@part
def _draw_few(words, upper, n, cells):
    """Draw the cells one by one: a neuron passes an edge if its uniform number is not below P(V' < edge).

    Returns the numbers by cell, a byte each, the first one lowest.
    """
    transferred = uint64(0)
    for i in range(uint64(n)):
        u, place = (words[i] + 0.5) * 2.0**-32, uint64(0)
        for cell in range(uint64(cells - 1)):
            place += uint64(8) * uint64(u >= upper[cell])
        transferred += uint64(1) << place
    return transferred


@part
def _draw_many(rng, upper, transferred, left, cells):
    """Draw the numbers by cell by sequential binomials."""
    lower = 0.0
    for cell in range(cells - 1):
        share = min((upper[cell] - lower) / (1.0 - lower), 1.0) if lower < 1.0 else 0.0
        transferred[cell] = binomial(rng, left, share)
        left -= transferred[cell]
        lower = upper[cell]
    transferred[cells - 1] = left


@part
def _list_transfer(noise, listed, k, cell, transferred):
    """List a transfer unless it is of no neuron, without a branch, which would often be predicted wrong.

    Returns how many are listed.
    """
    noise.table[TRANSFERRED + uint64(listed)] = transferred
    noise.origin[listed] = k
    noise.cell[listed] = cell
    return listed + int(transferred > 0.0)


@inlined
def clear(state, work, a, first, channels):
    """All neurons have left: the table of bins knows where they were."""
    state.spikes[a] = 0.0
    for k in range(state.number.shape[1]):
        state.number[a, k] = state.moment[a, k] = 0.0
    for c in range(first, first + channels):
        work.spiking_deviation[c] = 0.0
        for k in range(state.number.shape[1]):
            state.deviation[c, k] = 0.0


@inlined
def transfer_neurons(layout, state, work, chain, a, rng):
    """Draw where the neurons of all bins of a population go; in the mean as `step` transfers them."""
    channel = layout.channels[a]
    clear(state, work, a, channel, layout.channels[a + 1] - channel if layout.closure == JOINT else 0)
    add_neurons(layout, state, work, chain, a, rng)


@inlined
def add_neurons(layout, state, work, chain, a, rng):
    """Draw where the neurons of the table of bins go, and add them there."""
    x, edges, bins, noise = work.bins, chain.edges, state.number.shape[1], chain.noise
    first, blocks = occupied_blocks(x, bins, 0.0)
    begin, end, by = band(x, first, min(first + blocks * int(LANES), bins), layout.width, bins, COARSE_TAIL)
    channel = layout.channels[a]
    channels = layout.channels[a + 1] - channel if layout.closure == JOINT else 0
    _band_integrals(layout, work, chain, first, blocks, begin, end, by)
    _probabilities(edges, chain.below, first, blocks, begin, end, by)
    listed = int64(0)  # a plain 0 would be a type of its own
    for k in range(bins):
        n = x[NUMBER + uint64(k)]
        if not n > 0.0:
            continue
        # Nothing crosses the lowest edge, and above the threshold there is none.
        low = min(max(begin, 1 - k), bins - k + 1)
        high = min(max(end, low), bins - k + 1)
        cells, translated = high - low + 1, min(max(by, low - 1), high - 1) - low + 1
        if listed + cells > CAPACITY:
            transfer_with_noise(state, work, edges, noise, listed, begin, a, channel, channels, layout.width)
            listed = int64(0)
        noise.low[k], noise.last[k], noise.translated[k] = low, cells - 1, translated
        for cell in range(cells - 1):
            chain.upper[cell] = chain.below[low - begin + 1 + cell, k]
        if n <= FEW and cells <= BYTES:
            if chain.next[0] + FEW > len(chain.halves):
                fill(chain.lanes, chain.words, len(chain.halves))
                chain.next[0] = 0
            drawn = _draw_few(chain.halves[chain.next[0] :], chain.upper, int(n), cells)
            chain.next[0] += int(n)
            for cell in range(cells):
                listed = _list_transfer(noise, listed, k, cell, float(drawn & uint64(255)))
                drawn >>= uint64(8)
        else:
            _draw_many(rng, chain.upper, chain.transferred, n, cells)
            for cell in range(cells):
                listed = _list_transfer(noise, listed, k, cell, chain.transferred[cell])
    transfer_with_noise(state, work, edges, noise, listed, begin, a, channel, channels, layout.width)


@inlined
def _update_pending(layout, state, work, noise):
    """Pending spikes as in the mean (S10), with the noise of their mean over the N neurons of the target (S22)."""
    draw_normals(noise, len(layout.source))
    patches, classes = layout.patches, len(layout.patches.mean)
    if patches.count > 0:
        gather_counts(patches, state.spikes, state.clock[0])
    for a in range(len(layout.size)):
        for c in range(layout.channels[a], layout.channels[a + 1]):
            part = layout.dt * layout.rate[c]
            fresh = 0.0
            for j in range(layout.classes[c], layout.classes[c + 1]):
                p, s = layout.probability[j], layout.strength[j]
                if patches.count > 0:
                    arrived, own = patches.mean[j % classes, j // classes], patches.variance[j % classes, j // classes]
                    fresh += s * s * own
                else:
                    arrived = p * state.spikes[layout.source[j]]
                    own = (1.0 - p) * arrived
                    fresh += s * s * (1.0 - p) * arrived
                released = part * state.pending[j]
                variance = own + (1.0 - part) * released
                kick = np.sqrt(variance / layout.size[a]) * float(noise.normals[j])
                state.pending[j] = max(state.pending[j] + arrived - released + kick, 0.0)
            update_variance(layout, state, work, c, part, fresh)


@inlined
def due_neurons(layout, state, a, rng):
    """Neurons whose fixed refractory period ends in this step; between two steps each takes either at random (S3)."""
    queue, clock, delay, back = state.queue[a], state.clock[0], layout.delay[a], 0.0
    length = len(queue)
    queue[clock % length] = state.spikes[a]
    if delay < length:
        place = (clock - delay) % length
        longer = binomial(rng, queue[place], layout.longer[a]) if layout.longer[a] > 0.0 else 0.0
        back += queue[place] - longer
        queue[place] = longer
    if layout.longer[a] > 0.0 and delay + 1 < length:
        back += queue[(clock - delay - 1) % length]
    return back


@inlined
def _step(layout, state, work, chain, drive, rng):
    sum_classes(layout, state, work)
    for a in range(len(layout.size)):
        prepare_bins(layout, state, work, a, drive[a])
        transfer_neurons(layout, state, work, chain, a, rng)
        if layout.delay[a] >= 0:
            back = due_neurons(layout, state, a, rng)
        else:
            back = binomial(rng, state.refractory[a] + state.spikes[a], layout.leave[a])
        refract(layout, state, work, a, back)
    _update_pending(layout, state, work, chain.noise)
    watch_lowest(state, work)
    state.clock[0] += 1


@entry
def chain_step(layout, state, work, chain, drive, rng):
    """Advance the chain by one step; arguments as for `step.step`, more scratch space and a Generator."""
    _step(layout, state, work, chain, drive, rng)


@entry
def run_chain(layout, state, work, chain, drive, output, rng):
    """Run one realisation of the chain; arguments as for `step.run_steps` and `chain_step`."""
    done = 0
    for i in range(len(output.steps)):
        while done < output.steps[i]:
            _step(layout, state, work, chain, drive[min(done, len(drive) - 1)], rng)
            for a in range(len(state.spikes)):
                output.spikes[a, i] += state.spikes[a]
            done += 1
            if is_sampled(work.sampling, done):
                sample_fluctuations(layout, state, work, drive[min(done, len(drive) - 1)])
        record(layout, state, i, output)
