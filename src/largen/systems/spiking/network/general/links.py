"""The fixed graph of a quenched network as lists: one row of targets for each neuron, sorted by delay.

Synapses of a row that reach their targets after the same number of steps and bring the same are a group; they lie one
after another: they act in the same step (see `delivery`), and neither delay nor strength is stored with a synapse.
Where strengths are spread, a group is of those with the same mean, and each synapse has two bytes for its own. A row is
drawn from random words of its own, seeded by (key, row):

- `probability`: the bits of `graph.make_row`, so that the graph is the one of today's bit rows;
- `synapses`: the sources share the M synapses of a pair of populations by a multinomial draw, and each synapse has any
  target with the same chance;
- `in_degree`: the rows are those of the targets, each of which draws K sources. They are drawn twice, first to count
  and then to fill, which needs neither room nor sorting.

Source of the rules: NEST's `fixed_total_number` and `fixed_indegree`. An integer below m is drawn as (word m) >> 32
from 32 random bits, which makes chances that differ by m/2^32 at most, relatively.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import int32, uint16, uint32, uint64

from largen.numerics.alias import draw_all
from largen.numerics.bits import draw_row, places, seed_row
from largen.numerics.compiled import inner, kernel
from largen.numerics.normal_numbers import normals
from largen.numerics.xoshiro import LANES, WORDS, fill, next_word
from largen.systems.spiking.network.general.wiring import IN_DEGREE, LEVELS, PROBABILITY, SYNAPSES, Links, Wiring

_DRAWN = 20_000_000  # synapses drawn between two ticks


class Room(NamedTuple):
    """Room for drawing one row: bits, random words, targets, groups, levels, cursors."""

    bits: np.ndarray
    lanes: np.ndarray
    bit_work: np.ndarray
    buffer: np.ndarray
    words: np.ndarray
    entry: np.ndarray
    drawn: np.ndarray
    target: np.ndarray
    group: np.ndarray
    normal: np.ndarray
    level: np.ndarray
    cursor: np.ndarray


def build(w: Wiring, empty: Links, most: int, tick: Callable[[], None]) -> Links:
    """Draw all rows.

    Args:
        w: What to draw.
        empty: Lists without synapses, from `wiring`.
        most: Synapses for which there is room.
        tick: Called about every .2 s; may raise to stop.
    """
    neurons = int(w.edge[-1])
    x = empty._replace(
        start=np.zeros(neurons + 1, np.int64),
        offset=np.zeros((neurons, empty.offset.shape[1]), np.int32),
        target=np.empty(most, np.int32),
        level=np.empty(most if w.spread.size else 0, np.uint16),
    )
    k = room(w, x.offset.shape[1] - 1)
    block = max(1, int(_DRAWN * neurons / max(most, neurons)))
    chunks = [(first, min(first + block, neurons)) for first in range(0, neurons, block)]
    if w.rule != IN_DEGREE:
        for first, last in chunks:
            if not list_sources(w, x, k, first, last):
                raise RuntimeError("The graph has more synapses than chance allows.")
            tick()
        return x
    for first, last in chunks:
        count_targets(w, x, k, first, last)
        tick()
    end_count(x)
    for first, last in chunks:
        fill_targets(w, x, k, first, last)
        tick()
    return x


def room(wiring: Wiring, groups: int) -> Room:
    """Room for the longest row."""
    neurons = int(wiring.edge[-1])
    if wiring.rule == SYNAPSES:
        longest = int(wiring.shared.sum(axis=0, dtype=np.int64).max(initial=0))
    elif wiring.rule == IN_DEGREE:
        longest = int(wiring.degree.max(initial=0))
    else:
        longest = neurons
    buffer = np.empty((longest + 2 * WORDS) // WORDS * LANES, np.uint64)
    return Room(
        bits=np.zeros(-(-neurons // 64), np.uint64),
        lanes=np.empty((4, LANES), np.uint64),
        bit_work=np.empty((2, LANES), np.uint64),
        buffer=buffer,
        words=buffer.view(np.uint32),
        entry=np.empty(longest, np.uint32),
        drawn=np.empty(longest, np.int32),
        target=np.empty(longest, np.int32),
        group=np.empty(longest, np.int32),
        normal=np.empty(longest + 2, np.float32),
        level=np.empty(longest if wiring.spread.size else 0, np.uint16),
        cursor=np.empty(groups + 1, np.int32),
    )


@inner
def _draw_below(limit: int, first: int, k: Room, start: int, count: int) -> None:
    """Draw k.target[start : start + count] from first..first + limit - 1."""
    fill(k.lanes, k.buffer, count)
    begin, m, shift = uint64(start), uint64(limit), int32(first)
    for i in range(uint64(count)):
        k.target[begin + i] = int32((uint64(k.words[i]) * m) >> uint64(32)) + shift


@inner
def _draw_groups(w: Wiring, a: int, b: int, k: Room, start: int, count: int) -> None:
    """Draw the delays of k's synapses from start on, from b to a, and note their groups."""
    of, begin = w.group_of[a, b], uint64(start)
    if w.delay_bits[a, b] == 0:
        group = of[w.delay_first[a, b]]
        for i in range(uint64(count)):
            k.group[begin + i] = group
        return
    fill(k.lanes, k.buffer, count)
    draw_all(k.words, w.delay_rows[a, b], 0, w.delay_bits[a, b], k.drawn, k.entry, count)
    for i in range(uint64(count)):
        k.group[begin + i] = of[uint32(k.drawn[i])]


@inner
def _normal(lanes: np.ndarray) -> float:
    """One standard normal number (Box & Muller 1958)."""
    a, b, c, d = lanes[0], lanes[1], lanes[2], lanes[3]
    u = (float(next_word(a, b, c, d, uint64(0)) >> uint64(11)) + 0.5) * 2.0**-53
    v = float(next_word(a, b, c, d, uint64(1)) >> uint64(11)) * 2.0**-53
    return math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * v)


@inner
def _draw_levels(w: Wiring, a: int, b: int, k: Room, start: int, count: int) -> None:
    """Draw the strengths of k's synapses from start on: normal, again where the sign would change."""
    fill(k.lanes, k.buffer, count + 1)
    normals(k.words, k.normal, count)
    spread, by = w.spread[a, b], 1.0 / w.unit[a, b]
    for i in range(count):
        factor = 1.0 + spread * k.normal[i]
        while factor <= 0.0:
            factor = 1.0 + spread * _normal(k.lanes)
        k.level[start + i] = uint16(min(max(factor * by + 0.5, 1.0), float(LEVELS)))


@inner
def _population(edge: np.ndarray, neuron: int) -> int:
    b = 0
    while neuron >= edge[b + 1]:
        b += 1
    return b


@inner
def _draw_source(w: Wiring, source: int, k: Room) -> int:
    """Draw the row of one source: targets, groups, levels; returns their number."""
    b, end = _population(w.edge, source), 0
    seed_row(w.key, source, k.lanes)
    if w.rule == PROBABILITY:
        draw_row(k.lanes, w.edge, w.fractions[b], k.bits, k.bit_work)
    for a in range(w.edge.size - 1):
        start = end
        if w.rule == PROBABILITY:
            if w.fractions[b, a] != uint64(0):
                end = places(k.bits, w.edge[a], w.edge[a + 1], k.target, start)
        else:
            end = start + w.shared[a, source]
            _draw_below(w.edge[a + 1] - w.edge[a], w.edge[a], k, start, end - start)
        if end > start:
            _draw_groups(w, a, b, k, start, end - start)
            if w.spread.size:
                _draw_levels(w, a, b, k, start, end - start)
    return end


@kernel
def list_sources(w: Wiring, x: Links, k: Room, first: int, last: int) -> bool:
    """List the rows of the sources first..last - 1, in this order; returns whether there was room."""
    for source in range(first, last):
        count, start, offset, cursor = _draw_source(w, source, k), x.start[source], x.offset[source], k.cursor
        if start + count > x.target.size:
            return False
        cursor[:] = 0
        for i in range(uint64(count)):
            cursor[uint32(k.group[i])] += int32(1)
        total = int32(0)
        for g in range(cursor.size):
            offset[g] = total
            total += cursor[g]
            cursor[g] = offset[g]
        x.start[source + 1] = start + count
        for i in range(uint64(count)):
            g = uint32(k.group[i])
            place = uint64(start) + uint32(cursor[g])
            cursor[g] += int32(1)
            x.target[place] = k.target[i]
            if x.level.size:
                x.level[place] = k.level[i]
    return True


@inner
def _draw_target(w: Wiring, target: int, a: int, b: int, k: Room) -> int:
    """Draw the sources of one target in one population, and the groups of these synapses; returns their number."""
    count = w.degree[a, b]
    seed_row(w.key, target * (w.edge.size - 1) + b, k.lanes)
    _draw_below(w.edge[b + 1] - w.edge[b], w.edge[b], k, 0, count)
    _draw_groups(w, a, b, k, 0, count)
    return count


@kernel
def count_targets(w: Wiring, x: Links, k: Room, first: int, last: int) -> None:
    """Count the synapses of each group onto the targets first..last - 1, in x.offset one column to the right."""
    for target in range(first, last):
        a = _population(w.edge, target)
        for b in range(w.edge.size - 1):
            count = _draw_target(w, target, a, b, k)
            for i in range(uint64(count)):
                x.offset[uint32(k.target[i]), uint32(k.group[i]) + uint32(1)] += int32(1)


@kernel
def end_count(x: Links) -> None:
    """Turn counts into the first synapse of each group, one column to the right, and of each row."""
    for source in range(x.offset.shape[0]):
        offset, total = x.offset[source], int32(0)
        for g in range(1, offset.size):
            count = offset[g]
            offset[g] = total
            total += count
        x.start[source + 1] = x.start[source] + total


@kernel
def fill_targets(w: Wiring, x: Links, k: Room, first: int, last: int) -> None:
    """Put the targets first..last - 1 into the lists; x.offset[g + 1] moves from the first synapse to the end of g."""
    for target in range(first, last):
        a = _population(w.edge, target)
        for b in range(w.edge.size - 1):
            count = _draw_target(w, target, a, b, k)
            if w.spread.size and count > 0:
                _draw_levels(w, a, b, k, 0, count)
            for i in range(uint64(count)):
                source, g = uint64(uint32(k.target[i])), uint32(k.group[i]) + uint32(1)
                place = uint64(x.start[source]) + uint32(x.offset[source, g])
                x.offset[source, g] += int32(1)
                x.target[place] = int32(target)
                if x.level.size:
                    x.level[place] = k.level[i]
