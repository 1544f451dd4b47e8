"""The flow of a quadratic or exponential neuron over a step, as a matrix between cells.

The density of a cell (S62) moves along the flow phi of (S26, S27), and is projected onto the cells where it comes to
lie: integrals by Gauss points between the places that reach an edge, which keep mass exactly. Cells go on above the
threshold, for the potential may still come back within the step; what flows beyond them is put into the last one.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.systems.spiking.flow import flow_tables
from largen.systems.spiking.reduction.quadrature.start import legendre

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(6)
_POINTS, _WEIGHTS = 0.5 * (1.0 + _POINTS), 0.5 * _WEIGHTS
_BEYOND = 4


class FlowMatrix(NamedTuple):
    """The flow of every population, from K cells; no entries with a leaky neuron.

    Attributes:
        above: Cells above the threshold to which it goes; 0 with a leaky neuron.
        first: Lowest cell that a cell reaches, shape (P, K).
        start: Its first entry, and the number of all, shape (P, K + 1).
        entries: What goes to degree l' from degree l, at 3 l' + l, cell by cell, shape (P, entry, 9).
    """

    above: int
    first: np.ndarray
    start: np.ndarray
    entries: np.ndarray


def flow_matrix(model: "SpikingNetwork", dt: float, edges: np.ndarray, reach: int) -> FlowMatrix:
    """The matrix of a step dt (ms) on cells with these edges, shape (P, K + 1); noise reaches `reach` cells."""
    P, K = edges.shape[0], edges.shape[1] - 1
    if model.neuron == "leaky":
        return FlowMatrix(0, np.zeros((P, 0), np.int64), np.zeros((P, 1), np.int64), np.zeros((P, 0, 9)))
    above, unit = reach + _BEYOND, edges[:, 1] - edges[:, 0]
    table = flow_tables(model, dt, edges[:, 0])
    found = []
    for a in range(P):
        points = np.linspace(0.0, K, table.values.shape[1])
        found.append(_one(points, (table.values[a] - edges[a, 0]) / unit[a], K, K + above))
    most = max(len(entries) for _, _, entries in found)
    entries = np.zeros((P, most, 9))
    for a, (_, _, own) in enumerate(found):
        entries[a, : len(own)] = own
    return FlowMatrix(above, np.array([x[0] for x in found]), np.array([x[1] for x in found]), entries)


def _one(points: np.ndarray, moved: np.ndarray, cells: int, top: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrix of one population: lowest cells, first entries, and the entries.

    Args:
        points: Places, in cells.
        moved: Where they come to lie, not decreasing.
        cells: Cells that move.
        top: Cells in all.
    """
    first, start, entries = np.zeros(cells, np.int64), np.zeros(cells + 1, np.int64), []
    for k in range(cells):
        low, high = np.interp([k, k + 1.0], points, moved)
        lowest = int(np.clip(np.floor(low), 0, top - 1))
        highest = int(np.clip(np.ceil(high) - 1, lowest, top - 1))
        inner = np.interp(np.arange(lowest + 1, highest + 1.0), moved, points) - k
        breaks = np.concatenate([[0.0], np.clip(np.maximum.accumulate(inner), 0.0, 1.0), [1.0]])
        first[k], start[k + 1] = lowest, start[k] + highest - lowest + 1
        for to in range(lowest, highest + 1):
            begin, end = breaks[to - lowest], breaks[to - lowest + 1]
            y = begin + (end - begin) * _POINTS
            z = np.clip(np.interp(k + y, points, moved) - to, 0.0, 1.0)
            entries.append(np.einsum("my,ly,y->ml", legendre(z), legendre(y), (end - begin) * _WEIGHTS))
        lost = np.array([1.0, 0.0, 0.0]) - np.sum([one[0] for one in entries[start[k] :]], axis=0)
        entries[start[k]][0] += lost  # mass is kept to rounding over any number of steps
    return first, start, np.array(entries).reshape(-1, 9)
