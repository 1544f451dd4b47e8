"""The coarse-grained Markov chain of a finite network: the reduction's transfers as moves of integer counts.

From the same state the chain moves in the mean exactly as `markov.step`. Neurons of a bin are drawn into their new
bins by a multinomial: one by one where they are few, else by sequential binomials. Given the counts, the first
moments of V and X that the movers carry are drawn from their conditional law, holding fixed what the bin knew: its
own first moments. Neurons leave the refractory pool by a binomial; the mean pending spikes of a class have the noise
of N targets. The cost does not depend on N.

The input noise of a class is not drawn bin by bin, although it belongs to the chain in principle: with it the chain
is too noisy, probably because positions within a bin are drawn afresh in every step (docs/spiking-truth.md has the
measurements, and says how this choice was made). Source: largen's own, beyond CLWTX 2024 (arXiv 2411.14801).
"""

from typing import NamedTuple

import numpy as np
from numba import njit, uint64

from largen.numerics.compiled import entry, part
from largen.numerics.lanes import fill, lanes
from largen.numerics.normal import normals
from largen.systems.spiking.drift import ALONG, OFFSET, PLACE, WIDEN, shift
from largen.systems.spiking.layout import JOINT, Layout
from largen.systems.spiking.markov import leaving, occupied, refract, sample, sum_classes
from largen.systems.spiking.transfer import (
    BEYOND,
    COUNT,
    CROSSED,
    DENSITY,
    EDGE_ROWS,
    LANES,
    LOWER,
    MOVED,
    NOISE,
    PER,
    ROW,
    SLOPE,
    SQUARE,
    TILT,
    UPPER,
    cross_squares,
    reach,
)

NEGLIGIBLE = 1e-9
"""Of moves with less than this probability the conditional moments are lost in rounding."""
FEW = 64
"""Up to so many neurons of a bin are drawn one by one."""
WORDS = 2048
"""Random words, and normal numbers, made at a time."""


inlined = njit(error_model="numpy", inline="always")


class Moves(NamedTuple):
    """Scratch space: what crosses every edge, where the neurons of one bin went, and random numbers in store."""

    edges: np.ndarray  # (edges, rows) what crosses every edge of the band; `transfer` has the rows
    below: np.ndarray  # (2 K + 3,) probability of moving into a lower cell than each
    movers: np.ndarray  # (2 K + 3,) by cell of the band
    noise: np.ndarray  # (2 K + 3,) noise of a first moment they carry
    ahead: np.ndarray  # (2 K + 3,) mean of their V less that of the bin, before the noise of this step
    count: np.ndarray  # (K + 1,) the new counts of one population; above the last bin: the spikes
    moment: np.ndarray  # (K + 1,)
    deviation: np.ndarray  # (most channels of a population, K + 1)
    lanes: np.ndarray  # generators of random words
    words: np.ndarray  # uint64
    halves: np.ndarray  # the same as uint32
    normals: np.ndarray  # float32
    next: np.ndarray  # (2,) next of the halves and of the normals


def new_moves(layout: Layout, bins: int, rng: np.random.Generator) -> Moves:
    """Scratch space for `chain_step`, with random numbers of their own seeded from `rng`."""
    words = np.zeros(WORDS // 2, dtype=np.uint64)
    cells, most = 2 * bins + 3, int(np.diff(layout.channels).max(initial=0))
    return Moves(
        edges=np.zeros((2 * bins + 2, EDGE_ROWS * ROW)),  # only rows within reach are ever touched
        below=np.zeros(cells),
        movers=np.zeros(cells),
        noise=np.zeros(cells),
        ahead=np.zeros(cells),
        count=np.zeros(bins + 1),
        moment=np.zeros(bins + 1),
        deviation=np.zeros((most, bins + 1)),
        lanes=lanes(rng),
        words=words,
        halves=words.view(np.uint32),
        normals=np.zeros(WORDS, dtype=np.float32),
        next=np.full(2, WORDS),
    )


@inlined
def _uniform(moves):
    """A number in (0, 1), of 32 bits."""
    if moves.next[0] >= WORDS:
        fill(moves.lanes, moves.words, WORDS)
        moves.next[0] = 0
    word = moves.halves[moves.next[0]]
    moves.next[0] += 1
    return (word + 0.5) * 2.0**-32


@inlined
def _normal(moves):
    """A standard normal number."""
    if moves.next[1] >= WORDS:
        fill(moves.lanes, moves.words, WORDS)
        normals(moves.halves, moves.normals, WORDS)
        moves.next[0] = WORDS
        moves.next[1] = 0
    z = moves.normals[moves.next[1]]
    moves.next[1] += 1
    return float(z)


@njit(cache=True, error_model="numpy")
def _binomial(rng, n, p):
    return float(rng.binomial(int(n), p))


@inlined
def _cross_all(layout, work, moves, first, blocks, begin, end, usual):
    """Everything that crosses every edge of the band, at rows counted from `begin`."""
    for e in range(begin, end):
        side = 1.0 if e <= usual else -1.0
        cross_squares(work.bins, moves.edges, e - begin, first, blocks, (e - 0.5) * layout.width, side)


@inlined
def _draw_movers(moves, k, left, begin, low, high, usual, rng):
    """Draw how many of the neurons of bin k move by low - 1 ... high - 1 bins, into `moves.movers` from 0."""
    cells = high - low + 1
    for cell in range(cells - 1):
        e = low + cell
        moves.below[cell] = moves.edges[e - begin, CROSSED + uint64(k)] + (1.0 if e > usual else 0.0)
    if left <= FEW:
        for cell in range(cells):
            moves.movers[cell] = 0.0
        for _ in range(int(left)):
            u, cell = _uniform(moves), 0
            for edge in range(cells - 1):
                cell += u >= moves.below[edge]
            moves.movers[cell] += 1.0
    else:
        below = 0.0
        for cell in range(cells - 1):
            share = min(max((moves.below[cell] - below) / (1.0 - below), 0.0), 1.0) if below < 1.0 else 0.0
            moves.movers[cell] = _binomial(rng, left, share) if left > 0.0 and share > 0.0 else 0.0
            left -= moves.movers[cell]
            below = max(moves.below[cell], below)
        moves.movers[cells - 1] = left


@inlined
def _between(moves, k, lower, upper, row):
    """Difference of a row between two edges of the band; an edge that cannot be crossed is -1."""
    above = moves.edges[upper, row + k] if upper >= 0 else 0.0
    below = moves.edges[lower, row + k] if lower >= 0 else 0.0
    return above - below, above + below


@inlined
def _draw_place(x, moves, k, cell, lower, upper, by, inside, width):
    """Draw the sums of V, before and after the noise of this step, over the movers into one cell.

    Given their number, V and V' of those who move into one cell have known means and covariance; over many movers
    the sums are normal. With e the noise, E[e; cell] and its like follow by parts from the density at the edges.

    Args:
        x: Table of bins.
        moves: Scratch space.
        k: Bin that they leave.
        cell: Their place in `moves.movers`.
        lower: Row of the cell's lower edge, or -1.
        upper: Row of its upper edge, or -1.
        by: Bins that they move.
        inside: 1 if `by` is the usual move, else 0.
        width: Width of the bins.

    Returns:
        Share of the bin's neurons that move there, mean of V' relative to the centre of the cell, and the sum of V
        less its mean over the whole bin.
    """
    half, noise, moved = 0.5 * width, x[NOISE + k], x[MOVED + k] - by * width
    length, tilt = x[UPPER + k] - x[LOWER + k], x[TILT + k]
    crossed, both = _between(moves, k, lower, upper, CROSSED)
    beyond, both_beyond = _between(moves, k, lower, upper, BEYOND)
    square, _ = _between(moves, k, lower, upper, SQUARE)
    density, both_density = _between(moves, k, lower, upper, DENSITY)
    slope, _ = _between(moves, k, lower, upper, SLOPE)
    spread = noise * noise
    share = crossed + inside
    if not share > NEGLIGIBLE:
        return share, 0.0, 0.0
    whole = spread + length * length * (1.0 - tilt * tilt / 3.0) / 12.0 + moved * moved
    per = 1.0 / share
    after = (half * both - beyond + inside * moved) * per
    second = (square - width * both_beyond + half * half * crossed + inside * whole) * per
    kick = -spread * density * per
    with_kick = spread * (1.0 - half * both_density * per)
    of_kick = spread * (1.0 + spread * slope * per)
    var_after = max(second - after * after, 0.0)
    common = with_kick - after * kick
    var_before = max(var_after - 2.0 * common + of_kick - kick * kick, 0.0)
    product = var_after - common
    movers = moves.movers[cell]
    first, other = _normal(moves), _normal(moves)
    along = product / np.sqrt(var_after) if var_after > 0.0 else 0.0
    moves.noise[cell] = np.sqrt(movers * var_after) * first
    own = np.sqrt(movers) * along * first + np.sqrt(movers * max(var_before - along * along, 0.0)) * other
    moves.ahead[cell] = after - kick - moved
    return share, after, movers * moves.ahead[cell] + own


@inlined
def _carried(x, h, q, moves, k, lower, upper, edge, width, inside):
    """Sum of X - mean carried from bin k into a cell of which `edge` is the lower end."""
    gained = inside * h[q, OFFSET + k] * x[COUNT + k]
    if upper >= 0:
        gained += _below(h, q, moves, k, upper, edge + width)
    if lower >= 0:
        gained -= _below(h, q, moves, k, lower, edge)
    return gained


@inlined
def _below(h, q, moves, k, row, edge):
    """Sum of X - mean that crosses an edge from bin k, as in `markov`."""
    along = h[q, ALONG + k]
    carried = (h[q, PLACE + k] + edge * along) * moves.edges[row, CROSSED + k]
    return carried + h[q, WIDEN + k] * moves.edges[row, DENSITY + k] - along * moves.edges[row, BEYOND + k]


@inlined
def _land(layout, state, work, moves, a, k, begin, low, high, usual):
    """Put the movers of bin k into their cells, with the mean of V and X that they carry."""
    x, h, width, bins = work.bins, work.channels, layout.width, state.count.shape[1]
    excess = 0.0  # of the drawn sum of V, before the noise of this step, over its known value
    first = layout.channels[a]
    channels = layout.channels[a + 1] - first if layout.closure == JOINT else 0
    places = 0
    for cell in range(high - low + 1):
        movers = moves.movers[cell]
        moves.noise[cell] = moves.ahead[cell] = 0.0
        if movers == 0.0:
            continue
        places += 1
        e = low - 1 + cell
        lower, upper = e - begin if e >= low else -1, e + 1 - begin if e + 1 < high else -1
        inside = 1.0 if e == usual else 0.0
        share, place, drawn = _draw_place(x, moves, uint64(k), cell, lower, upper, e, inside, width)
        excess += drawn
        # A mean over next to nobody is all rounding: it is kept within the cell.
        place = min(place, 0.5 * width) if k + e < bins else place
        place = max(place, -0.5 * width) if k + e > 0 else place
        moves.count[k + e] += movers
        moves.moment[k + e] += movers * place
        for q in range(channels):
            mean = h[q, OFFSET + uint64(k)]
            if share > NEGLIGIBLE:
                sum_ = _carried(x, h, q, moves, uint64(k), lower, upper, (e - 0.5) * width, width, inside)
                mean = sum_ * x[PER + uint64(k)] / share
            moves.deviation[q, k + e] += movers * mean
    n = x[COUNT + uint64(k)]
    for cell in range(high - low + 1):
        to = k + low - 1 + cell
        moves.moment[to] += moves.noise[cell] - moves.movers[cell] / n * (excess - moves.ahead[cell])
    if places > 1:
        for q in range(channels):
            _disperse(work.unexplained[first + q], moves, q, k + low - 1, high - low + 1, n)


@inlined
def _disperse(variance, moves, q, to, cells, n):
    """Add the noise of the sum of X over the movers of one bin, so that its sum over all of them stays known."""
    spread, total = np.sqrt(variance), 0.0
    for cell in range(cells):
        noise = 0.0
        if moves.movers[cell] > 0.0:
            noise = spread * np.sqrt(moves.movers[cell]) * _normal(moves)
        moves.noise[cell] = noise
        total += noise
    for cell in range(cells):
        moves.deviation[q, to + cell] += moves.noise[cell] - moves.movers[cell] / n * total


@inlined
def _clear(moves, bins, channels):
    for k in range(bins + 1):
        moves.count[k] = moves.moment[k] = 0.0
        for q in range(channels):
            moves.deviation[q, k] = 0.0


@inlined
def _store(state, work, moves, a, first, channels):
    """The new counts are the state; what is above the last bin has spiked."""
    bins = state.count.shape[1]
    for k in range(bins):
        state.count[a, k] = moves.count[k]
        state.moment[a, k] = moves.moment[k]
        for q in range(channels):
            state.deviation[first + q, k] = moves.deviation[q, k]
    state.spikes[a] = moves.count[bins]
    for q in range(channels):
        work.brought[first + q] = moves.deviation[q, bins]


@part
def _scatter(layout, state, work, moves, a, rng):
    """Draw where the neurons of all bins of a population go; in the mean as `markov.step` moves them."""
    x, bins = work.bins, state.count.shape[1]
    first, blocks = occupied(x, bins, 0.0)
    begin, end, by = reach(x, first, min(first + blocks * int(LANES), bins), layout.width, bins)
    channels = layout.channels[a + 1] - layout.channels[a] if layout.closure == JOINT else 0
    _clear(moves, bins, channels)
    _cross_all(layout, work, moves, first, blocks, begin, end, by)
    for k in range(bins):
        if x[COUNT + uint64(k)] > 0.0:
            # Nothing crosses the lowest edge, and above the threshold there is none.
            low = min(max(begin, 1 - k), bins - k + 1)
            high = min(max(end, low), bins - k + 1)
            usual = min(max(by, low - 1), high - 1)
            _draw_movers(moves, k, x[COUNT + uint64(k)], begin, low, high, usual, rng)
            _land(layout, state, work, moves, a, k, begin, low, high, usual)
    _store(state, work, moves, a, layout.channels[a], channels)


@part
def _receive(layout, state, work, moves):
    """Pending spikes as in the mean, with the noise of their mean over the N neurons of the target."""
    for a in range(len(layout.size)):
        for c in range(layout.channels[a], layout.channels[a + 1]):
            part = layout.dt * layout.rate[c]
            fresh = 0.0
            for j in range(layout.classes[c], layout.classes[c + 1]):
                p, s = layout.probability[j], layout.strength[j]
                arrived = p * state.spikes[layout.source[j]]
                fresh += s * s * (1.0 - p) * arrived
                released = part * state.pending[j]
                noise = np.sqrt(((1.0 - p) * arrived + released) / layout.size[a]) * _normal(moves)
                state.pending[j] = max(state.pending[j] + arrived - released + noise, 0.0)
            state.variance[c] += (work.square[c] - 2.0 * state.variance[c]) * part + fresh


@entry
def chain_step(layout, state, work, moves, drive, rng):
    """Advance the chain by one step; arguments as for `markov.step`, more scratch space and a Generator."""
    sum_classes(layout, state, work)
    for a in range(len(layout.size)):
        shift(layout, state, work, a, drive[a])
        _scatter(layout, state, work, moves, a, rng)
        if layout.delay[a] > 0:
            back = leaving(layout, state, a)
        else:
            back = _binomial(rng, state.pool[a] + state.spikes[a], layout.leave[a])
        refract(layout, state, work, a, back)
    _receive(layout, state, work, moves)
    state.clock[0] += 1


@entry
def run_chain(layout, state, work, moves, drive, steps, spikes, pending, occupied, refractory, rng):
    """Run one realisation of the chain; arguments as for `markov.run_steps` and `chain_step`."""
    done = 0
    for i in range(len(steps)):
        while done < steps[i]:
            chain_step(layout, state, work, moves, drive[min(done, len(drive) - 1)], rng)
            for a in range(len(state.spikes)):
                spikes[a, i] += state.spikes[a]
            done += 1
        sample(layout, state, i, pending, occupied, refractory)
