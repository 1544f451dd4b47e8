"""Where the kicks of one step take the density of a cell: tables made once for synapses that kick at release.

j kicks of a channel map V affinely, x' = a x + b in cells, with a <= 1: the image of a cell is no longer than a cell
and lies on two cells at most, a lower and an upper one. What the degrees of the density (S62) become there are
integrals of a polynomial, which three Gauss points a part do exactly.

Kicks that only shift (excitation, inhibition that is a current) do the same in every cell: one image for every j. With
those of a conductance every cell has one of its own. They are kept by what differs between the cell from which and the
cell to which density goes, so that a step runs along cells; as many j as there is room for.
"""

from typing import NamedTuple

import numpy as np

from largen.systems.spiking.reduction.quadrature.cells import LANES, ROW, padded
from largen.systems.spiking.reduction.quadrature.start import legendre

HIGHEST_OF_RELEASE = 4
"""Highest order of synapses that kick when they release."""
MOST_KICKS = 160
"""Kicks of one class in a step that `release` tells apart at most."""
COUNTED = MOST_KICKS + 2 * HIGHEST_OF_RELEASE + 1
"""Numbers of kicks with a weight: y^r has r more."""
ROOM = 32_824
"""Cells of all images of conductances; far from a power of 2, at which nine rows would share a part of the cache."""
ROOM_OF_ORDERS = 3 * (HIGHEST_OF_RELEASE + 2) * 3 * ROW
"""Size of the scratch space for the density of all orders of a channel, with a sum, and room on both sides."""
NARROWEST = 1e-6
"""Share of its width that kicks of a conductance leave of a cell at least."""
_MOST_IMAGES = 48
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(3)
_POINTS, _WEIGHTS = 0.5 * (1.0 + _POINTS), 0.5 * _WEIGHTS


class Kicks(NamedTuple):
    """Images of cells under j kicks; C channels of a patch, nothing without synapses that kick at release.

    Attributes:
        low: Cells by which j kicks of a shift move, rounded down, shape (C, COUNTED); the upper part goes one further.
        image: What goes to degree l' from degree l, at 3 l' + l, in the lower part, at 9 + 3 l' + l in the upper one,
            shape (C, COUNTED, 18).
        known: Numbers j of kicks of a conductance that have an image, 1 with a shift, shape (C,).
        first: First piece of j kicks of a conductance, shape (C, most + 1).
        delta: Cells from where a piece takes its density less cells to which it brings it, shape (piece,).
        start: First cell to which it brings density, shape (piece,).
        blocks: Cells to which it does in LANES, shape (piece,).
        place: Where its values begin, shape (piece,).
        values: What goes to degree l' from degree l at (3 l' + l) ROOM + place + cell - start, flat.
    """

    low: np.ndarray
    image: np.ndarray
    known: np.ndarray
    first: np.ndarray
    delta: np.ndarray
    start: np.ndarray
    blocks: np.ndarray
    place: np.ndarray
    values: np.ndarray


def affine(size: float, conductance: bool, reversal: float, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Contraction and shift of j kicks of a channel, in cells."""
    if not conductance:
        return np.ones_like(j, np.float64), j * size
    contraction = np.maximum((1.0 - size) ** j, NARROWEST)
    return contraction, reversal * (1.0 - contraction)


def images(contraction: np.ndarray, shift: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower cells of the images of cells, and what goes to both parts of them, shape (..., 2, to, source)."""
    edge = contraction * cell + shift
    low = np.floor(edge)
    split = np.clip((low + 1.0 - edge) / contraction, 0.0, 1.0)
    found = np.zeros((*edge.shape, 2, 3, 3))
    for half, start, stop in ((0, np.zeros_like(split), split), (1, split, np.ones_like(split))):
        y = start[..., None] + (stop - start)[..., None] * _POINTS
        z = contraction[..., None] * y + (edge - low)[..., None] - half
        weight = (stop - start)[..., None] * _WEIGHTS
        found[..., half, :, :] = np.einsum("m...p,l...p,...p->...ml", legendre(z), legendre(y), weight)
    found[..., 0, 0, :] = np.array([1.0, 0.0, 0.0]) - found[..., 1, 0, :]  # mass is kept to rounding
    return low.astype(np.int64), found


def no_kicks() -> Kicks:
    """The tables of a model whose synapses do not kick."""
    none = np.zeros(0, np.int64)
    return Kicks(none[:, None], np.zeros((0, 0, 0)), none, none[:, None], none, none, none, none, np.zeros(0))


def tabulate(charge: np.ndarray, conductance: np.ndarray, reversal: np.ndarray, cells: int) -> Kicks:
    """The tables of all channels.

    Args:
        charge: The kick of every channel, in cells, or what a conductance takes of V - V_I, shape (C,).
        conductance: Whether it is one, shape (C,).
        reversal: Where it draws, in cells, shape (C,).
        cells: Number of cells.
    """
    C, j = len(charge), np.arange(COUNTED)
    low, image = np.zeros((C, COUNTED), np.int64), np.zeros((C, COUNTED, 18))
    known, first = np.ones(C, np.int64), np.zeros((C, _MOST_IMAGES + 1), np.int64)
    pieces: list[tuple[int, int, int, int]] = []
    values, used, pulling = np.zeros((9, ROOM)), 0, int(np.count_nonzero(conductance))
    for c in range(C):
        if not conductance[c]:
            low[c], image[c] = _shifts(float(charge[c]), j, cells)
            continue
        share, before = ROOM // pulling, used
        for k in range(1, _MOST_IMAGES):
            own = _pieces(float(charge[c]), float(reversal[c]), k, cells)
            if used - before + sum(padded(block.shape[1]) for _, _, block in own) > share:
                break
            first[c, k] = len(pieces)
            for delta, start, block in own:
                values[:, used : used + block.shape[1]] = block
                pieces.append((delta, start, padded(block.shape[1]) // LANES, used))
                used += padded(block.shape[1])
            known[c], first[c, k + 1] = k + 1, len(pieces)
    delta, start, blocks, place = np.array(pieces, np.int64).reshape(-1, 4).T.copy()
    return Kicks(low, image, known, first, delta, start, blocks, place, values.ravel())


def _shifts(size: float, j: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Lower cells and images of j shifts; beyond all cells only mass counts."""
    low, found = images(*affine(size, False, 0.0, j), np.zeros(len(j)))
    far = (low >= cells) | (low < -cells)
    found[far] = 0.0
    found[far, 0, 0, 0] = 1.0
    return np.clip(low, -cells - 1, cells), found.reshape(len(j), 18)


def _pieces(size: float, reversal: float, j: int, cells: int) -> list[tuple[int, int, np.ndarray]]:
    """Image of j kicks of a conductance: by shift the first cell to which density goes and what goes there, (9, cell).

    What falls below the lowest cell is put into it, at its mass.
    """
    k = np.arange(cells)
    contraction, shift = affine(size, True, reversal, np.full(cells, float(j)))
    low, found = images(contraction, shift, k.astype(np.float64))
    to = np.stack([low, low + 1], axis=1)
    found[to < 0, 1:] = 0.0
    to = np.clip(to, 0, cells - 1)
    delta, out = k[:, None] - to, []
    for one in np.unique(delta):
        source, half = np.nonzero(delta == one)
        start, stop = int((source - one).min()), int((source - one).max()) + 1
        block = np.zeros((stop - start, 9))
        np.add.at(block, source - one - start, found[source, half].reshape(-1, 9))
        if np.any(block):
            out.append((int(one), start, block.T))
    return out
