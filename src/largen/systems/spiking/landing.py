"""What the neurons of a population carry when they change bins: the noise of the first moments of V and X (numba).

`chain` draws how many neurons of a bin move into each cell and notes every such move in a table, one column each.
`land` then draws the first moments that the movers carry, from their law given the numbers of movers and what the bin
knew, its own first moments, and adds them to the new state. Potentials are relative to the centre of the bin that is
left unless said otherwise. Loops run over the columns of one array, so that they become vector instructions.
"""

from typing import NamedTuple

import numpy as np
from numba import uint64

from largen.numerics.compiled import part
from largen.numerics.normal_numbers import normals
from largen.numerics.xoshiro import WORDS, fill, lanes
from largen.systems.spiking.drift import ALONG, OFFSET, PLACE, WIDEN
from largen.systems.spiking.layout import Layout
from largen.systems.spiking.transfer import (
    BEYOND,
    CROSSED,
    DENSITY,
    LANES,
    LOWER,
    MOST_BINS,
    MOVED,
    NOISE,
    PER,
    SLOPE,
    SQUARE,
    TILT,
    UPPER,
)

NEGLIGIBLE = 1e-9
"""Of moves with less than this probability the conditional moments are lost in rounding."""
ROOM = 2 * MOST_BINS + int(LANES)
"""Columns of the table of moves: no bin has more cells."""

# The rows of the table of moves: the movers and one over the number in the bin; 1 if this is the usual move, else 0.
MOVERS, SHARE, USUAL = (uint64(row * ROOM) for row in range(3))
# What crosses the edges of the cell that is entered, upper less lower or their sum, and how the bin moves.
(INTO, SURPLUS, SURPLUS_SUM, SQUARES, EDGE, EDGE_SUM, STEEP, INTO_SUM, BEGIN, SHIFT, LENGTH, LEAN, SIGMA) = (
    uint64(row * ROOM) for row in range(3, 16)
)
# What is drawn: the mean of V' from the centre of the cell; the noise of their sum; the mean of V less that of the
# bin; the sum of V less its mean over the bin; the root of the movers; one over the probability of the move; and of
# one channel, the mean of X - mean that they carry and the noise of its sum.
AFTER, SCATTER, AHEAD, EXCESS, ROOT, RARITY, CARRIED, FLUTTER = (uint64(row * ROOM) for row in range(16, 24))
MOVE_ROWS = 24


class Landing(NamedTuple):
    """The moves of one population, and random numbers."""

    table: np.ndarray  # rows of ROOM moves
    origin: np.ndarray  # (ROOM,) bin that they leave
    cell: np.ndarray  # (ROOM,) cell that they enter, from 0
    to: np.ndarray  # (ROOM,) the bin which that is; above the last one they spike
    low: np.ndarray  # (K,) lowest edge that is crossed from a bin, in bins from its own: the upper one of its cell 0
    last: np.ndarray  # (K,) the last cell
    usual: np.ndarray  # (K,) the cell of the usual move
    excess: np.ndarray  # (K,) sum over the moves out of a bin, of V or of X
    lanes: np.ndarray  # generators of random words
    words: np.ndarray  # uint64
    halves: np.ndarray  # the same as uint32
    normals: np.ndarray  # float32


def new_landing(layout: Layout, bins: int, rng: np.random.Generator) -> Landing:
    """Room for the moves of a population, with random numbers of their own seeded from `rng`."""
    most = int(np.diff(layout.channels).max(initial=0))
    numbers = max((2 + most) * ROOM, len(layout.source)) + WORDS  # only what is used is ever touched
    words = np.zeros(numbers // 2, dtype=np.uint64)
    return Landing(
        table=np.zeros(MOVE_ROWS * ROOM),
        origin=np.zeros(ROOM, dtype=np.int64),
        cell=np.zeros(ROOM, dtype=np.int64),
        to=np.zeros(ROOM, dtype=np.int64),
        low=np.zeros(bins, dtype=np.int64),
        last=np.zeros(bins, dtype=np.int64),
        usual=np.zeros(bins, dtype=np.int64),
        excess=np.zeros(bins),
        lanes=lanes(rng),
        words=words,
        halves=words.view(np.uint32),
        normals=np.zeros(numbers, dtype=np.float32),
    )


@part
def draw_normals(landing, count):
    """Draw standard normal numbers into `landing.normals`."""
    fill(landing.lanes, landing.words, count + 1)
    normals(landing.halves, landing.normals, count)


@part
def _read(x, y, landing, moves, begin, width):
    """What crosses the edges of the cells that are entered, and how the bins that are left move."""
    p = landing.table
    for i in range(uint64(moves)):
        k, cell, low = uint64(landing.origin[i]), landing.cell[i], landing.low[landing.origin[i]]
        by, row = float(low - 1 + cell) * width, low - begin + cell
        # Nobody crosses the edge of row 0.
        below = uint64(row if cell > 0 else 0)
        above = uint64(row + 1 if cell < landing.last[k] else 0)
        landing.to[i] = int(k) + low - 1 + cell
        p[USUAL + i] = 1.0 if cell == landing.usual[k] else 0.0
        low, high = y[below, CROSSED + k], y[above, CROSSED + k]
        p[INTO + i], p[INTO_SUM + i] = high - low, high + low
        low, high = y[below, BEYOND + k], y[above, BEYOND + k]
        p[SURPLUS + i], p[SURPLUS_SUM + i] = high - low, high + low
        low, high = y[below, DENSITY + k], y[above, DENSITY + k]
        p[EDGE + i], p[EDGE_SUM + i] = high - low, high + low
        p[SQUARES + i] = y[above, SQUARE + k] - y[below, SQUARE + k]
        p[STEEP + i] = y[above, SLOPE + k] - y[below, SLOPE + k]
        p[BEGIN + i] = by - 0.5 * width
        p[SHIFT + i] = x[MOVED + k] - by
        p[LENGTH + i] = x[UPPER + k] - x[LOWER + k]
        p[LEAN + i] = x[TILT + k]
        p[SIGMA + i] = x[NOISE + k]
        p[SHARE + i] = x[PER + k]


@part
def _draw(p, z, moves, width):
    """Draw the sums of V, before and after the noise of this step, over the movers into each cell.

    Given their number, V and V' of those who move into one cell have known means and covariance; over many movers
    the sums are normal. With e the noise, E[e; cell] and its like follow by parts from the density at the edges.
    """
    half = 0.5 * width
    for i in range(uint64(moves)):
        inside, moved, length, lean = p[USUAL + i], p[SHIFT + i], p[LENGTH + i], p[LEAN + i]
        crossed = p[INTO + i]
        spread = p[SIGMA + i] * p[SIGMA + i]
        share = crossed + inside
        rarity, known = (1.0 / share, 1.0) if share > NEGLIGIBLE else (0.0, 0.0)
        whole = spread + length * length * (1.0 - lean * lean * (1.0 / 3.0)) * (1.0 / 12.0) + moved * moved
        after = (half * p[INTO_SUM + i] - p[SURPLUS + i] + inside * moved) * rarity
        second = (p[SQUARES + i] - width * p[SURPLUS_SUM + i] + half * half * crossed + inside * whole) * rarity
        kick = -spread * p[EDGE + i] * rarity
        with_kick = spread * (known - half * p[EDGE_SUM + i] * rarity)
        of_kick = spread * (known + spread * p[STEEP + i] * rarity)
        var_after = max(second - after * after, 0.0)
        common = with_kick - after * kick
        var_before = max(var_after - 2.0 * common + of_kick - kick * kick, 0.0)
        deviation = np.sqrt(var_after)
        along = (var_after - common) / deviation if var_after > 0.0 else 0.0
        across = np.sqrt(max(var_before - along * along, 0.0))
        movers = p[MOVERS + i]
        root = np.sqrt(movers)
        first, other = float(z[i]), float(z[uint64(moves) + i])
        ahead = known * (after - kick - moved)
        p[AFTER + i] = after
        p[SCATTER + i] = root * deviation * first
        p[AHEAD + i] = ahead
        p[EXCESS + i] = movers * ahead + root * (along * first + across * other)
        p[ROOT + i] = root
        p[RARITY + i] = rarity


@part
def _sum_by_origin(origin, values, excess, moves):
    for k in range(len(excess)):
        excess[k] = 0.0
    for i in range(uint64(moves)):
        excess[origin[i]] += values[i]


@part
def _put(p, origin, to, excess, count, moment, moves, width):
    """Add the movers and their first moment of V, so that its sum over the neurons of every bin stays what it was.

    Returns the spikes: movers to above the last bin.
    """
    bins, spikes = len(count), 0.0
    _sum_by_origin(origin, p[EXCESS:], excess, moves)
    for i in range(uint64(moves)):
        movers = p[MOVERS + i]
        if to[i] == bins:
            spikes += movers
            continue
        # A mean over next to nobody is all rounding: it is kept within the cell.
        place = min(p[AFTER + i], 0.5 * width)
        place = max(place, -0.5 * width) if to[i] > 0 else place
        back = (excess[origin[i]] - p[AHEAD + i]) * p[SHARE + i]
        count[to[i]] += movers
        moment[to[i]] += movers * (place - back) + p[SCATTER + i]
    return spikes


@part
def _carry(p, h, origin, z, spread, moves, width):
    """The mean of X - mean that the movers carry, as in `markov` between the two edges of a cell; and its noise."""
    for i in range(uint64(moves)):
        k = uint64(origin[i])
        upper = 0.5 * (p[INTO + i] + p[INTO_SUM + i])
        along = p[BEGIN + i] * p[INTO + i] + width * upper - p[SURPLUS + i]
        sum_ = h[PLACE + k] * p[INTO + i] + h[ALONG + k] * along + h[WIDEN + k] * p[EDGE + i]
        p[CARRIED + i] = (sum_ * p[SHARE + i] + p[USUAL + i] * h[OFFSET + k]) * p[RARITY + i]
        p[FLUTTER + i] = spread * p[ROOT + i] * float(z[i])


@part
def _put_channel(p, origin, to, excess, deviation, moves):
    """As `_put` for the first moment of X of a channel; returns what the spiking neurons carry."""
    bins, brought = len(deviation), 0.0
    _sum_by_origin(origin, p[FLUTTER:], excess, moves)
    for i in range(uint64(moves)):
        back = excess[origin[i]] * p[SHARE + i]
        carried = p[MOVERS + i] * (p[CARRIED + i] - back) + p[FLUTTER + i]
        if to[i] == bins:
            brought += carried
        else:
            deviation[to[i]] += carried
    return brought


@part
def land(state, work, edges, landing, moves, begin, a, first, channels, width):
    """Put movers into their bins, with the first moments that they carry.

    Args:
        state: Its `count`, `moment`, `deviation` and `spikes` are added to.
        work: Tables of the bins, by channel too; its `brought` is added to.
        edges: What crosses every edge of the band; `transfer` has the rows.
        landing: The moves.
        moves: How many are noted.
        begin: First edge of the band, that of row 1.
        a: The population.
        first: Its first channel.
        channels: Number of its channels.
        width: Width of the bins.
    """
    p, origin, to, excess = landing.table, landing.origin, landing.to, landing.excess
    draw_normals(landing, (2 + channels) * moves)
    _read(work.bins, edges, landing, moves, begin, width)
    _draw(p, landing.normals, moves, width)
    state.spikes[a] += _put(p, origin, to, excess, state.count[a], state.moment[a], moves, width)
    for q in range(channels):
        z, spread = landing.normals[(2 + q) * moves :], np.sqrt(work.unexplained[first + q])
        _carry(p, work.channels[q], origin, z, spread, moves, width)
        work.brought[first + q] += _put_channel(p, origin, to, excess, state.deviation[first + q], moves)
