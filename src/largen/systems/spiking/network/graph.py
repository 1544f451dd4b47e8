"""The fixed random graph of a quenched network: bit rows, stored or made again at every spike.

Bit i of row j: neuron j reaches neuron i; self-links are kept. Both ways give the same graph to the bit.
"""

from typing import NamedTuple

import numpy as np

from largen.numerics.bits import EIGHT, PLANES, add_eight, draw_row, expand, fraction_bits, seed_row
from largen.numerics.compiled import kernel
from largen.numerics.xoshiro import LANES


class Graph(NamedTuple):
    """The graph and what the spikes of the last step bring.

    Attributes:
        key: The graph's name, uint64, shape (2,).
        edge: First neuron of each population, and N.
        fractions: Probabilities by source and target, see `bits.fraction_bits`, shape (P, P).
        stored: Rows, and one without links, uint64, shape (N + 1, words); no rows if they are made again.
        arrivals: Spikes that reach each neuron, by source population, int32, shape (P, 64 words).
        planes: Counts by bit planes, shape (PLANES, words).
        made: Room for eight rows, and one without links, shape (EIGHT + 1, words).
        eight: Numbers of eight rows.
        room: Room for `add_eight`, shape (4, words).
        lanes: Lanes of one row.
        work: Room for `draw_row`.
    """

    key: np.ndarray
    edge: np.ndarray
    fractions: np.ndarray
    stored: np.ndarray
    arrivals: np.ndarray
    planes: np.ndarray
    made: np.ndarray
    eight: np.ndarray
    room: np.ndarray
    lanes: np.ndarray
    work: np.ndarray


def empty_graph(edge: np.ndarray, probability: np.ndarray, key: np.ndarray, *, rows: int, words: int) -> Graph:
    """Make room for a graph with so many stored rows of so many words; (0, 0) for an annealed network."""
    return Graph(
        key=key,
        edge=edge,
        fractions=np.ascontiguousarray(fraction_bits(probability).T),
        stored=np.zeros((rows + 1 if rows else 0, words), np.uint64),
        arrivals=np.zeros((len(probability), 64 * words), np.int32),
        planes=np.zeros((PLANES, words), np.uint64),
        made=np.zeros((EIGHT + 1, words), np.uint64),
        eight=np.empty(EIGHT, np.int64),
        room=np.empty((4, words), np.uint64),
        lanes=np.empty((4, LANES), np.uint64),
        work=np.empty((2, LANES), np.uint64),
    )


@kernel
def make_row(g: Graph, source: int, row: np.ndarray) -> None:
    """Make the row of one neuron."""
    b = 0
    while source >= g.edge[b + 1]:
        b += 1
    seed_row(g.key, source, g.lanes)
    draw_row(g.lanes, g.edge, g.fractions[b], row, g.work)


@kernel
def store_rows(g: Graph, first: int, last: int) -> None:
    """Store the rows first..last - 1."""
    for source in range(first, last):
        make_row(g, source, g.stored[source])


@kernel
def count_arrivals(g: Graph, fired: np.ndarray, b: int) -> None:
    """Count in g.arrivals[b] how many of the neurons that fired, all of population b, reach each neuron."""
    depth = 3
    while fired.size >> depth > 0:
        depth += 1
    g.planes[:depth] = 0
    rows = g.stored if g.stored.shape[0] > 0 else g.made
    for start in range(0, fired.size, EIGHT):
        for k in range(EIGHT):
            if start + k >= fired.size:
                g.eight[k] = rows.shape[0] - 1
            elif g.stored.shape[0] > 0:
                g.eight[k] = fired[start + k]
            else:
                make_row(g, fired[start + k], g.made[k])
                g.eight[k] = k
        add_eight(rows, g.eight, g.planes, depth, g.room)
    expand(g.planes, depth, g.arrivals[b])
