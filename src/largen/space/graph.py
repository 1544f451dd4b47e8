"""Graphs on a ring or sheet in a time proportional to their synapses: positions of neurons, cells, rows of targets.

Source j reaches target i with the probability p(d_ij), each pair by itself. Targets are sorted into cells. Over a cell
p has an upper bound, so that every target there is met with at most that chance; an exponential clock E runs down by
-log(1 - bound) at every target, cell after cell, and the target at which it ends is a candidate, for which a new clock
is drawn: P(no candidate among these) = prod (1 - bound). A candidate is kept with p(d_ij)/bound. So no pair is looked
at that is not met, and the law is that of independent draws, exactly. Source of the skipping: L. Devroye, Non-Uniform
Random Variate Generation (1986), X.2; V. Batagelj & U. Brandes, Phys. Rev. E 71:036113 (2005).

Random numbers are keyed by (graph, projection, source): any row can be drawn again by itself.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import uint64

from largen.checks import InputError
from largen.numerics.bits import seed_row
from largen.numerics.compiled import kernel
from largen.numerics.xoshiro import LANES, next_word
from largen.space.geometry import AbstractSpace
from largen.space.kernels import AbstractRadialKernel, AbstractSpatialKernel, CosineKernel, CustomKernel

_CELLS_A_SPREAD = 2.0
"""Cells in one spread of a kernel along an axis."""
_MOST_CELLS = 128
"""Cells along an axis at most."""
_BLOCK = 1_000_000
"""Candidates that are looked at together, about."""


class Rows(NamedTuple):
    """Targets of every source, row by row.

    Attributes:
        start: First target of each row, and the number of all, int64, shape (source + 1,).
        target: Number of the target, int32, shape (synapses,).
    """

    start: np.ndarray
    target: np.ndarray


class Cells(NamedTuple):
    """Targets in cells, C of them along two axes.

    Attributes:
        shape: Cells along both axes, int64, shape (2,).
        start: First place of each cell, and the number of all, int64, shape (C + 1,).
        order: Target at every place, int32.
    """

    shape: np.ndarray
    start: np.ndarray
    order: np.ndarray


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


# Positions --------------------------------------------------------------------------------------------------------


def grid_positions(space: AbstractSpace, count: int, rng: np.random.Generator) -> np.ndarray:
    """Positions on a rectangular grid with as many points as neurons, shape (neuron, axis).

    On a sheet its cells are as near to squares as the divisors of `count` allow, their sides differing by a factor of
    two at most; where none are, surplus points of the next larger such grid are dropped at random.
    """
    if space.dimensions == 1:
        return ((np.arange(count) + 0.5) / count * space.lengths[0])[:, None]
    total = count
    while (best := _sides(total, float(space.lengths[0] / space.lengths[1]))) is None:
        total += 1
    axes = [(np.arange(m) + 0.5) / m * length for m, length in zip(best, space.lengths, strict=True)]
    points = np.stack([part.ravel() for part in np.meshgrid(*axes, indexing="ij")], axis=1)
    if total == count:
        return points
    return points[np.sort(rng.permutation(total)[:count])]


def _sides(count: int, aspect: float) -> tuple[int, int] | None:
    """Points along both axes whose product is `count` and whose cells are most like squares; None beyond two to one."""
    best, least = None, 2.0 * (1.0 + 1e-12)
    for m in range(1, count + 1):
        if m * m > 4.0 * aspect * count:
            break
        if count % m == 0:
            ratio = aspect * (count // m) / m  # side along the first axis over that along the second
            ratio = max(ratio, 1.0 / ratio)
            if ratio <= least:
                best, least = (m, count // m), ratio
    return best


def random_positions(space: AbstractSpace, count: int, rng: np.random.Generator) -> np.ndarray:
    """Positions drawn uniformly, shape (neuron, axis)."""
    return rng.random((count, space.dimensions)) * space.lengths


def cell_of(position: np.ndarray, space: AbstractSpace, shape: tuple[int, ...]) -> np.ndarray:
    """Number of the cell in which each position lies, with so many cells along each axis, shape (neuron,)."""
    index = np.floor(position / space.lengths * np.array(shape)).astype(np.int64)
    return np.asarray(np.ravel_multi_index(tuple(np.clip(index, 0, np.array(shape) - 1).T), shape))


# Rows -------------------------------------------------------------------------------------------------------------


def by_distance(
    kernel: AbstractSpatialKernel,
    space: AbstractSpace,
    probability: float,
    positions: tuple[np.ndarray, np.ndarray],
    key: np.ndarray,
    first_row: int,
    tick: Callable[[], None] = lambda: None,
) -> Rows:
    """Draw p(d) = min(1, probability profile(d)) between positions.

    Args:
        kernel: The kernel.
        space: The ring or sheet.
        probability: The mean probability.
        positions: Those of the targets and of the sources, shape (neuron, axis) each.
        key: The graph's name, uint64, shape (2,).
        first_row: Number of the first source's stream of random numbers.
        tick: Called now and then; may raise to stop.
    """
    target, source = positions
    shape = _cells_for(kernel, space, len(target))
    cells = _sort(cell_of(target, space, shape), shape)
    stencil = _stencil(kernel, space, probability, shape)

    def kept(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        return np.minimum(1.0, probability * kernel.profile(space, target[i] - source[j]))

    return _draw(cells, stencil, cell_of(source, space, shape), key, first_row, kept, tick)


def by_patch(
    probability: np.ndarray,
    patches: tuple[np.ndarray, np.ndarray],
    key: np.ndarray,
    first_row: int,
    tick: Callable[[], None] = lambda: None,
) -> Rows:
    """Draw with a probability for every pair of patches.

    Args:
        probability: P by offset (target - source), shape (n0, n1).
        patches: Patches of the targets and of the sources, shape (neuron,) each.
        key: The graph's name, uint64, shape (2,).
        first_row: Number of the first source's stream of random numbers.
        tick: Called now and then; may raise to stop.
    """
    cells = _sort(patches[0], probability.shape)
    stencil = _sorted_stencil(np.minimum(probability, 1.0))
    return _draw(cells, stencil, patches[1], key, first_row, None, tick)


def _sort(cell: np.ndarray, shape: tuple[int, ...]) -> Cells:
    whole = (1, *shape) if len(shape) == 1 else shape
    order = np.argsort(cell, kind="stable").astype(np.int32)
    start = np.searchsorted(cell[order], np.arange(int(np.prod(shape)) + 1)).astype(np.int64)
    return Cells(np.array(whole, np.int64), start, order)


def _cells_for(kernel: AbstractSpatialKernel, space: AbstractSpace, count: int) -> tuple[int, ...]:
    """Cells of about half a spread of the kernel, and no more cells than neurons."""
    spread = kernel.spread(space.dimensions)
    most = max(int(count ** (1.0 / space.dimensions)), 1)
    wanted = [max(int(np.ceil(_CELLS_A_SPREAD * length / spread)), 1) for length in space.lengths]
    return tuple(min(m, most, _MOST_CELLS) for m in wanted)


def _stencil(
    kernel: AbstractSpatialKernel, space: AbstractSpace, probability: float, shape: tuple[int, ...]
) -> Stencil:
    """Bounds of p over every cell: that of each periodic image at its nearest point, for kernels that fall."""
    if not isinstance(kernel, AbstractRadialKernel):
        assert isinstance(kernel, CosineKernel)
        d = np.linspace(0.0, 1.0, 64 * 64 + 1)[:, None] * space.lengths
        top = float(np.max(kernel.profile(space, d))) * (1.0 + 1e-3) + 1e-9
        return _sorted_stencil(np.full((1, 1) if space.dimensions == 1 else shape, min(1.0, probability * top)))
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
    return _sorted_stencil(bound.reshape(1, -1) if bound.ndim == 1 else bound)


def _sorted_stencil(bound: np.ndarray) -> Stencil:
    flat = bound.ravel()
    order = np.argsort(-flat, kind="stable")
    order = order[flat[order] > 0.0]
    with np.errstate(divide="ignore"):
        rate = -np.log1p(-flat[order])
    return Stencil(np.stack(np.unravel_index(order, bound.shape), axis=1).astype(np.int64), rate, flat[order])


def _draw(
    cells: Cells,
    stencil: Stencil,
    cell: np.ndarray,
    key: np.ndarray,
    first_row: int,
    kept: Callable[[np.ndarray, np.ndarray], np.ndarray] | None,
    tick: Callable[[], None],
) -> Rows:
    """Draw all rows, some at a time."""
    expected = _expected(cells, stencil, cell)
    lanes = np.empty((4, LANES), np.uint64)
    counts, targets = np.zeros(len(cell), np.int64), []
    begin = 0
    while begin < len(cell):
        end = int(np.searchsorted(np.cumsum(expected[begin:]), _BLOCK)) + begin + 1
        end = min(end, len(cell))
        mean = float(expected[begin:end].sum())
        room = int(mean + 12.0 * np.sqrt(mean) + 100.0)
        target, source, level = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room)
        found = candidates(
            cells, stencil, cell, key, first_row, begin, end, lanes, target, source, level, kept is not None
        )  # fmt: skip
        if found < 0:
            raise RuntimeError("The graph has more synapses than chance allows.")
        target, source = target[:found], source[:found]
        if kept is not None:
            good = level[:found] < kept(target, source)
            target, source = target[good], source[good]
        counts[begin:end] = np.bincount(source - begin, minlength=end - begin)
        targets.append(target)
        begin = end
        tick()
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Rows(start, np.concatenate(targets) if targets else np.zeros(0, np.int32))


def _expected(cells: Cells, stencil: Stencil, cell: np.ndarray) -> np.ndarray:
    """Mean number of candidates of every source, shape (source,)."""
    shape = tuple(int(m) for m in cells.shape)
    bound = np.zeros(shape)
    bound[tuple(stencil.offset.T)] = stencil.bound
    number = np.diff(cells.start).reshape(shape).astype(np.float64)
    mean = np.fft.ifft2(np.fft.fft2(number) * np.conj(np.fft.fft2(bound))).real
    return np.maximum(mean.ravel(), 0.0)[cell]


@kernel
def candidates(
    cells: Cells, stencil: Stencil, cell: np.ndarray, key: np.ndarray, first_row: int, begin: int, end: int,
    lanes: np.ndarray, target: np.ndarray, source: np.ndarray, level: np.ndarray, levels: bool,
) -> int:  # fmt: skip
    """Meet targets.

    Args:
        cells: The targets.
        stencil: Bounds.
        cell: Cell of every source.
        key: The graph's name.
        first_row: Number of the stream of source 0.
        begin: First source.
        end: One beyond the last.
        lanes: Room for a generator.
        target: Is filled with the targets that are met.
        source: With their sources.
        level: With a uniform number times the bound there.
        levels: Whether levels are wanted.

    Returns:
        Number of targets met; -1 where there is no room for them.
    """
    count, a, b, c, d = 0, lanes[0], lanes[1], lanes[2], lanes[3]
    for j in range(begin, end):
        seed_row(key, first_row + j, lanes)
        at0, at1 = cell[j] // cells.shape[1], cell[j] % cells.shape[1]
        clock = -np.log((float(next_word(a, b, c, d, uint64(0)) >> uint64(11)) + 0.5) * 2.0**-53)
        for k in range(stencil.rate.size):
            x = (at0 + stencil.offset[k, 0]) % cells.shape[0]
            y = (at1 + stencil.offset[k, 1]) % cells.shape[1]
            place, last, rate = (
                cells.start[x * cells.shape[1] + y],
                cells.start[x * cells.shape[1] + y + 1],
                stencil.rate[k],
            )
            while (last - place) * rate > clock if rate < np.inf else place < last:
                if rate < np.inf:
                    passed = min(int(clock / rate), last - place - 1)
                    place += passed
                if count == target.size:
                    return -1
                target[count], source[count] = cells.order[place], j
                if levels:
                    word = next_word(a, b, c, d, uint64(1))
                    level[count] = float(word >> uint64(11)) * 2.0**-53 * stencil.bound[k]
                count += 1
                place += 1
                clock = -np.log((float(next_word(a, b, c, d, uint64(0)) >> uint64(11)) + 0.5) * 2.0**-53)
            if rate < np.inf:
                clock -= (last - place) * rate
    return count
