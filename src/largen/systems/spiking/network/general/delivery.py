"""Spikes along the lists of a fixed graph, in the step in which they act.

The spikes of the last steps are remembered, and in every step those pieces of the lists are gone through whose delay is
over. So all that is written lies in one row of N numbers, which stays in the second cache, and the pieces, which lie
anywhere in the lists, are asked for some pieces ahead. A ring of future input would be written all over instead: with
77 169 neurons and delays of up to 6 ms that takes two to three times as long.
"""

from numba import float32, uint64

from largen.numerics.compiled import inner
from largen.numerics.prefetch import prefetch
from largen.systems.spiking.network.general.state import Scratch, State
from largen.systems.spiking.network.general.wiring import Links

_AHEAD = 4  # pieces
_LINE = uint64(16)  # numbers of four bytes in a cache line


@inner
def _ask(x: Links, low: int, high: int) -> None:
    """Ask for the targets and levels of a piece."""
    for e in range(low, high + _LINE, _LINE):
        prefetch(x.target, e)
    if x.level.size:
        for e in range(low, high + uint64(2) * _LINE, uint64(2) * _LINE):
            prefetch(x.level, e)


@inner
def _add_pieces(s: State, x: Links, k: Scratch, count: int) -> None:
    """Add so many pieces to what arrives."""
    for p in range(min(_AHEAD, count)):
        _ask(x, k.first[p], k.last[p])
    for p in range(count):
        if p + _AHEAD < count:
            _ask(x, k.first[p + _AHEAD], k.last[p + _AHEAD])
        out, each = s.arriving[k.row[p]], k.brings[p]
        if x.level.size:
            for e in range(k.first[p], k.last[p]):
                out[uint64(x.target[e])] += each * float32(x.level[e])
        else:
            for e in range(k.first[p], k.last[p]):
                out[uint64(x.target[e])] += each


@inner
def deliver(s: State, x: Links, k: Scratch, step: int) -> None:
    """Let the spikes arrive whose delay ends with this step."""
    slots, count = s.sent.shape[0], 0
    for b in range(x.groups.size):
        for g in range(x.groups[b]):
            slot = (step - x.delay[b, g] + slots) % slots
            for j in range(s.sent_to[slot, b], s.sent_to[slot, b + 1]):
                source = s.sent[slot, j]
                start, offset = uint64(x.start[source]), x.offset[source]
                if offset[g + 1] == offset[g]:
                    continue
                k.first[count], k.last[count] = start + uint64(offset[g]), start + uint64(offset[g + 1])
                k.row[count], k.brings[count] = x.row[b, g], x.brings[b, g]
                count += 1
                if count == k.first.size:
                    _add_pieces(s, x, k, count)
                    count = 0
    _add_pieces(s, x, k, count)


@inner
def remember(s: State, step: int) -> None:
    """Remember who spiked in this step."""
    slot = step % s.sent.shape[0]
    for b in range(s.fired_to.size):
        s.sent_to[slot, b] = s.fired_to[b]
    for j in range(s.fired_to[-1]):
        s.sent[slot, j] = s.fired[j]
