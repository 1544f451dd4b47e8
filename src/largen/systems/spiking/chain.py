"""The coarse-grained Markov chain of a finite network: the reduction's transfers as moves of integer counts.

From the same state the chain moves in the mean exactly as `markov.step`. Neurons of a bin are drawn into their new
bins by a multinomial: one by one where they are few, else by sequential binomials. Given the counts, the first
moments of V and X that the movers carry are drawn from their conditional law (`landing`), holding fixed what the bin
knew: its own first moments. Neurons leave the refractory pool by a binomial; the mean pending spikes of a class have
the noise of N targets. The cost does not depend on N.

The input noise of a class is not drawn bin by bin, although it belongs to the chain in principle: with it the chain
is too noisy, probably because positions within a bin are drawn afresh in every step (docs/spiking-truth.md has the
measurements, and says how this choice was made). Source: largen's own, beyond CLWTX 2024 (arXiv 2411.14801).
"""

from typing import NamedTuple

import numpy as np
from numba import int64, uint64

from largen.numerics.binomial_numbers import binomial
from largen.numerics.compiled import entry, inlined, part
from largen.numerics.xoshiro import fill, lanes
from largen.systems.spiking.drift import shift
from largen.systems.spiking.landing import MOVERS, ROOM, Landing, draw_normals, land, new_landing
from largen.systems.spiking.layout import JOINT, Layout
from largen.systems.spiking.markov import due, leaving, look, occupied, refract, sample, sum_classes
from largen.systems.spiking.transfer import COUNT, CROSSED, EDGE_ROWS, LANES, ROW, cross_squares, reach

FEW = 64
"""Up to so many neurons of a bin are drawn one by one."""
BYTES = 8
"""And if they may go to so many cells."""
RARE = 6.25
"""Normal tails beyond this many standard deviations (2e-10) are below the resolution of a draw, and count as 0."""
WORDS = 2048
"""Random words made at a time."""


class Moves(NamedTuple):
    """Scratch space: what crosses every edge, where the neurons of one bin went, and random words in store."""

    edges: np.ndarray  # (edges + 1, rows) what crosses every edge of the band; `transfer` has the rows; nothing in 0
    below: np.ndarray  # (edges + 1, ROW) probability of ending below every edge of the band; 0 in 0
    movers: np.ndarray  # (2 K + 3,) by cell of the band
    upper: np.ndarray  # (2 K + 3,) of one bin, probability of ending below the upper edge of a cell
    landing: Landing
    lanes: np.ndarray  # generators of random words
    words: np.ndarray  # uint64
    halves: np.ndarray  # the same as uint32
    next: np.ndarray  # (1,) next of the halves


def new_moves(layout: Layout, bins: int, rng: np.random.Generator) -> Moves:
    """Scratch space for `chain_step`, with random numbers of their own seeded from `rng`."""
    words = np.zeros(WORDS // 2, dtype=np.uint64)
    return Moves(
        edges=np.zeros((2 * bins + 3, EDGE_ROWS * ROW)),  # only rows within reach are ever touched
        below=np.zeros((2 * bins + 3, ROW)),
        movers=np.zeros(2 * bins + 3),
        upper=np.zeros(2 * bins + 3),
        landing=new_landing(layout, bins, rng),
        lanes=lanes(rng),
        words=words,
        halves=words.view(np.uint32),
        next=np.full(1, WORDS),
    )


@inlined
def _cross_all(layout, work, moves, first, blocks, begin, end, usual):
    """Everything that crosses every edge of the band, at rows counted from `begin` - 1."""
    for e in range(begin, end):
        side = 1.0 if e <= usual else -1.0
        cross_squares(work.bins, moves.edges, e - begin + 1, first, blocks, (e - 0.5) * layout.width, side)


@part
def _probabilities(edges, below, first, blocks, begin, end, usual):
    """P(V' < edge) for every bin and edge of the band, which may not fall by rounding from one edge to the next."""
    for e in range(begin, end):
        row, passed = e - begin + 1, 0.0 if e <= usual else 1.0
        for k in range(uint64(first), uint64(first) + uint64(blocks) * LANES):
            below[row, k] = max(below[row - 1, k], edges[row, CROSSED + k] + passed)


@part
def _draw_few(words, upper, n, cells):
    """Draw the movers one by one: a neuron passes an edge if its uniform number is not below P(V' < edge).

    Returns their numbers by cell, a byte each, the first one lowest.
    """
    movers = uint64(0)
    for i in range(uint64(n)):
        u, place = (words[i] + 0.5) * 2.0**-32, uint64(0)
        for cell in range(uint64(cells - 1)):
            place += uint64(8) * uint64(u >= upper[cell])
        movers += uint64(1) << place
    return movers


@part
def _draw_many(rng, upper, movers, left, cells):
    """Draw the movers by sequential binomials, by cell."""
    lower = 0.0
    for cell in range(cells - 1):
        share = min((upper[cell] - lower) / (1.0 - lower), 1.0) if lower < 1.0 else 0.0
        movers[cell] = binomial(rng, left, share)
        left -= movers[cell]
        lower = upper[cell]
    movers[cells - 1] = left


@part
def _note(landing, noted, k, cell, movers):
    """Note a move unless nobody makes it, without a branch, which would often be guessed wrong; returns the number."""
    landing.table[MOVERS + uint64(noted)] = movers
    landing.origin[noted] = k
    landing.cell[noted] = cell
    return noted + int(movers > 0.0)


@inlined
def _clear(state, work, a, first, channels):
    """Everybody has left: the table of bins knows where they were."""
    state.spikes[a] = 0.0
    for k in range(state.count.shape[1]):
        state.count[a, k] = state.moment[a, k] = 0.0
    for c in range(first, first + channels):
        work.brought[c] = 0.0
        for k in range(state.count.shape[1]):
            state.deviation[c, k] = 0.0


@inlined
def _scatter(layout, state, work, moves, a, rng):
    """Draw where the neurons of all bins of a population go; in the mean as `markov.step` moves them."""
    x, edges, bins, landing = work.bins, moves.edges, state.count.shape[1], moves.landing
    first, blocks = occupied(x, bins, 0.0)
    begin, end, by = reach(x, first, min(first + blocks * int(LANES), bins), layout.width, bins, RARE)
    channel = layout.channels[a]
    channels = layout.channels[a + 1] - channel if layout.closure == JOINT else 0
    _cross_all(layout, work, moves, first, blocks, begin, end, by)
    _probabilities(edges, moves.below, first, blocks, begin, end, by)
    _clear(state, work, a, channel, channels)
    noted = int64(0)  # a plain 0 would be a type of its own
    for k in range(bins):
        n = x[COUNT + uint64(k)]
        if not n > 0.0:
            continue
        # Nothing crosses the lowest edge, and above the threshold there is none.
        low = min(max(begin, 1 - k), bins - k + 1)
        high = min(max(end, low), bins - k + 1)
        cells, usual = high - low + 1, min(max(by, low - 1), high - 1) - low + 1
        if noted + cells > ROOM:
            land(state, work, edges, landing, noted, begin, a, channel, channels, layout.width)
            noted = int64(0)
        landing.low[k], landing.last[k], landing.usual[k] = low, cells - 1, usual
        for cell in range(cells - 1):
            moves.upper[cell] = moves.below[low - begin + 1 + cell, k]
        if n <= FEW and cells <= BYTES:
            if moves.next[0] + FEW > len(moves.halves):
                fill(moves.lanes, moves.words, len(moves.halves))
                moves.next[0] = 0
            drawn = _draw_few(moves.halves[moves.next[0] :], moves.upper, int(n), cells)
            moves.next[0] += int(n)
            for cell in range(cells):
                noted = _note(landing, noted, k, cell, float(drawn & uint64(255)))
                drawn >>= uint64(8)
        else:
            _draw_many(rng, moves.upper, moves.movers, n, cells)
            for cell in range(cells):
                noted = _note(landing, noted, k, cell, moves.movers[cell])
    land(state, work, edges, landing, noted, begin, a, channel, channels, layout.width)


@inlined
def _receive(layout, state, work, landing):
    """Pending spikes as in the mean, with the noise of their mean over the N neurons of the target."""
    draw_normals(landing, len(layout.source))
    for a in range(len(layout.size)):
        for c in range(layout.channels[a], layout.channels[a + 1]):
            part = layout.dt * layout.rate[c]
            fresh = 0.0
            for j in range(layout.classes[c], layout.classes[c + 1]):
                p, s = layout.probability[j], layout.strength[j]
                arrived = p * state.spikes[layout.source[j]]
                fresh += s * s * (1.0 - p) * arrived
                released = part * state.pending[j]
                noise = np.sqrt(((1.0 - p) * arrived + released) / layout.size[a]) * float(landing.normals[j])
                state.pending[j] = max(state.pending[j] + arrived - released + noise, 0.0)
            state.variance[c] += (work.square[c] - 2.0 * state.variance[c]) * part + fresh


@inlined
def _step(layout, state, work, moves, drive, rng):
    sum_classes(layout, state, work)
    for a in range(len(layout.size)):
        shift(layout, state, work, a, drive[a])
        _scatter(layout, state, work, moves, a, rng)
        if layout.delay[a] > 0:
            back = leaving(layout, state, a)
        else:
            back = binomial(rng, state.pool[a] + state.spikes[a], layout.leave[a])
        refract(layout, state, work, a, back)
    _receive(layout, state, work, moves.landing)
    state.clock[0] += 1


@entry
def chain_step(layout, state, work, moves, drive, rng):
    """Advance the chain by one step; arguments as for `markov.step`, more scratch space and a Generator."""
    _step(layout, state, work, moves, drive, rng)


@entry
def run_chain(layout, state, work, moves, drive, steps, spikes, pending, occupied, refractory, rng):
    """Run one realisation of the chain; arguments as for `markov.run_steps` and `chain_step`."""
    done = 0
    for i in range(len(steps)):
        while done < steps[i]:
            _step(layout, state, work, moves, drive[min(done, len(drive) - 1)], rng)
            for a in range(len(state.spikes)):
                spikes[a, i] += state.spikes[a]
            done += 1
            if due(work.looks, done):
                look(layout, state, work, drive[min(done, len(drive) - 1)])
        sample(layout, state, i, pending, occupied, refractory)
