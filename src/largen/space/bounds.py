"""Upper and lower bounds of the probability of a synapse, over cells of the displacement, for drawing graphs.

A kernel that falls with distance is largest at the nearest point of a cell and smallest at its farthest. On a ring or
sheet these hold for every periodic image, and so for their sum.
"""

from typing import NamedTuple

import numpy as np

from largen.checks import InputError
from largen.space.geometry import AbstractSpace
from largen.space.kernels import AbstractRadialKernel, AbstractSpatialKernel, CosineKernel, CustomKernel

_BOUNDS_A_SPREAD = 16.0
"""Cells of the tables of bounds in one spread of a kernel along an axis."""
_MOST_BOUNDS = (4096, 160)
"""Such cells along an axis at most, on a ring and on a sheet."""
_WIDER = 1e-9
"""Share by which these cells are taken wider, so that no rounding of a displacement matters."""


class Stencil(NamedTuple):
    """Offsets of cells that a source may reach, those with the largest bound first.

    Attributes:
        offset: Offsets (target - source) along both axes, int64, shape (offset, 2).
        rate: -log(1 - bound), shape (offset,).
        bound: Largest probability over the cell, shape (offset,).
    """

    offset: np.ndarray
    rate: np.ndarray
    bound: np.ndarray


class Squeeze(NamedTuple):
    """Where neurons are, as fractions of both lengths, and bounds of p by how far apart they are.

    Attributes:
        target: Of the target at every place of `Cells.order`, shape (target, 2).
        source: Shape (source, 2).
        bounds: Lower and upper bound of p, by cells of |displacement| up to half of each length, shape (m0, m1, 2);
            (0, 0, 2) where every candidate is kept.
    """

    target: np.ndarray
    source: np.ndarray
    bounds: np.ndarray


def stencil_of(
    kernel: AbstractSpatialKernel, space: AbstractSpace, probability: float, shape: tuple[int, ...]
) -> Stencil:
    """Bounds of p over every cell: that of each periodic image at its nearest point, for kernels that fall."""
    if not isinstance(kernel, AbstractRadialKernel):
        assert isinstance(kernel, CosineKernel)
        d = np.linspace(0.0, 1.0, 64 * 64 + 1)[:, None] * space.lengths
        top = float(np.max(kernel.profile(space, d))) * (1.0 + 1e-3) + 1e-9
        return sorted_stencil(np.full((1, 1) if space.dimensions == 1 else shape, min(1.0, probability * top)))
    reach = kernel.reach(space.dimensions)
    if isinstance(kernel, CustomKernel):
        falls = kernel.density(np.linspace(0.0, reach, 10_001), space.dimensions)
        if np.any(np.diff(falls) > 1e-12 * falls.max()):
            raise InputError(
                "Argument `kernel` must fall with distance with connectivity='neurons', but a CustomKernel here rises. "
                "Take connectivity='quenched' or 'annealed'."
            )
    side = space.lengths / np.array(shape)
    counts = [int(np.floor(reach / length + 0.5)) + 1 for length in space.lengths]
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    total = np.zeros(shape)
    for shift in np.ndindex(*[2 * count + 1 for count in counts]):
        image = index + (np.array(shift) - counts) * np.array(shape)
        nearest = np.sqrt(np.sum((np.maximum(np.abs(image) - 1, 0) * side) ** 2, axis=-1))
        inside = np.where(nearest <= reach, kernel.density(nearest, space.dimensions), 0.0)
        total = np.maximum(total, inside) if space.images == "nearest" else total + inside
    bound = np.minimum(1.0, probability * space.volume * total * (1.0 + 1e-12))
    return sorted_stencil(bound.reshape(1, -1) if bound.ndim == 1 else bound)


def sorted_stencil(bound: np.ndarray) -> Stencil:
    """The stencil of bounds by offset, shape (n0, n1), without offsets that cannot be reached."""
    flat = bound.ravel()
    order = np.argsort(-flat, kind="stable")
    order = order[flat[order] > 0.0]
    with np.errstate(divide="ignore"):
        rate = -np.log1p(-flat[order])
    return Stencil(np.stack(np.unravel_index(order, bound.shape), axis=1).astype(np.int64), rate, flat[order])


def bounds_of(kernel: AbstractSpatialKernel, space: AbstractSpace, probability: float) -> np.ndarray:
    """`Squeeze.bounds`: of every periodic image the density at the farthest and at the nearest point of a cell."""
    if not isinstance(kernel, AbstractRadialKernel):
        return np.array([[[0.0, np.inf]]])
    reach, spread, most = (
        kernel.reach(space.dimensions),
        kernel.spread(space.dimensions),
        _MOST_BOUNDS[space.dimensions - 1],
    )
    near, far = [], []
    for length in space.lengths:
        count = min(max(int(np.ceil(_BOUNDS_A_SPREAD * 0.5 * length / spread)), 1), most)
        images = length * np.arange(-int(reach / length + 0.5) - 1, int(reach / length + 0.5) + 2)[:, None]
        low = 0.5 * length / count * (np.arange(count) - _WIDER) + images
        high = low + 0.5 * length / count * (1.0 + 2.0 * _WIDER)
        near.append(np.maximum(np.maximum(low, -high), 0.0) ** 2)
        far.append(np.maximum(np.abs(low), np.abs(high)) ** 2)
    if space.dimensions == 1:
        near.insert(0, np.zeros((1, 1)))
        far.insert(0, np.zeros((1, 1)))
    found = np.zeros((near[0].shape[1], near[1].shape[1], 2))
    for x, y in np.ndindex(len(near[0]), len(near[1])):
        if near[0][x].min() + near[1][y].min() > reach**2:
            continue
        for side, squares in enumerate((far, near)):
            distance = np.sqrt(squares[0][x][:, None] + squares[1][y])
            inside = distance <= reach
            found[inside, side] += kernel.density(distance[inside], space.dimensions)
    return np.minimum(1.0, probability * space.volume * found * (1.0 + 1e-12 * np.array([-1.0, 1.0])))
