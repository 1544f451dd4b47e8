"""Graphs on a ring or sheet in a time proportional to their synapses: positions of neurons, cells, rows of targets.

Source j reaches target i with the probability p(d_ij), each pair by itself. Targets are sorted into cells. Over a cell
p has an upper bound, so that every target there is met with at most that chance; an exponential clock E runs down by
-log(1 - bound) at every target, cell after cell, and the target at which it ends is a candidate, for which a new clock
is drawn: P(no candidate among these) = prod (1 - bound). A candidate is kept with p(d_ij)/bound. So no pair is looked
at that is not met, and the law is that of independent draws, exactly. Source of the skipping: L. Devroye, Non-Uniform
Random Variate Generation (1986), X.2; V. Batagelj & U. Brandes, Phys. Rev. E 71:036113 (2005).

Whether a candidate is kept is mostly known from two tables, of bounds of p from below and from above over small cells
of the displacement; p itself is evaluated for the few that lie between (the squeeze of Devroye, II.3.3).

Random numbers are keyed by (graph, projection, source): any row can be drawn again by itself.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import uint64

from largen.numerics.bits import seed_row
from largen.numerics.compiled import inner, kernel
from largen.numerics.xoshiro import LANES, next_word
from largen.space.bounds import Squeeze, Stencil, bounds_of, sorted_stencil, stencil_of
from largen.space.geometry import AbstractSpace
from largen.space.kernels import AbstractSpatialKernel

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
    stencil = stencil_of(kernel, space, probability, shape)

    def kept(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        return np.minimum(1.0, probability * kernel.profile(space, target[i] - source[j]))

    squeeze = Squeeze(
        _fractions(target[cells.order], space), _fractions(source, space), bounds_of(kernel, space, probability)
    )
    return _draw(cells, stencil, squeeze, cell_of(source, space, shape), key, first_row, kept, tick)


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
    stencil = sorted_stencil(np.minimum(probability, 1.0))
    nothing = Squeeze(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros((0, 0, 2)))
    return _draw(cells, stencil, nothing, patches[1], key, first_row, None, tick)


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


def _fractions(position: np.ndarray, space: AbstractSpace) -> np.ndarray:
    """Positions over lengths, with a first axis of zeros on a ring, shape (neuron, 2)."""
    share = position / space.lengths
    return np.ascontiguousarray(np.pad(share, ((0, 0), (2 - space.dimensions, 0))))


def _draw(
    cells: Cells,
    stencil: Stencil,
    squeeze: Squeeze,
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
        found = candidates(cells, stencil, squeeze, cell, key, first_row, begin, end, lanes, target, source, level)
        if found < 0:
            raise RuntimeError("The graph has more synapses than chance allows.")
        target, source = target[:found], source[:found]
        if kept is not None:
            open_ = np.flatnonzero(level[:found] >= 0.0)
            lost = open_[level[open_] >= kept(target[open_], source[open_])]
            target, source = np.delete(target, lost), np.delete(source, lost)
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


@inner
def _uniform(lanes: np.ndarray, lane: int) -> float:
    """A number in [0, 1)."""
    return float(next_word(lanes[0], lanes[1], lanes[2], lanes[3], uint64(lane)) >> uint64(11)) * 2.0**-53


@inner
def _clock(lanes: np.ndarray) -> float:
    """An exponential number of mean 1."""
    return -np.log(_uniform(lanes, 0) + 2.0**-54)


@inner
def _between(squeeze: Squeeze, place: int, j: int) -> tuple[float, float]:
    """Bounds of p between the target at a place and source j."""
    bounds = squeeze.bounds
    u = abs(squeeze.target[place, 0] - squeeze.source[j, 0])
    v = abs(squeeze.target[place, 1] - squeeze.source[j, 1])
    x = min(int(2.0 * min(u, 1.0 - u) * bounds.shape[0]), bounds.shape[0] - 1)
    y = min(int(2.0 * min(v, 1.0 - v) * bounds.shape[1]), bounds.shape[1] - 1)
    return bounds[x, y, 0], bounds[x, y, 1]


@kernel
def candidates(
    cells: Cells, stencil: Stencil, squeeze: Squeeze, cell: np.ndarray, key: np.ndarray, first_row: int, begin: int,
    end: int, lanes: np.ndarray, target: np.ndarray, source: np.ndarray, level: np.ndarray,
) -> int:  # fmt: skip
    """Meet targets, and list those which are kept or may be.

    Args:
        cells: The targets.
        stencil: Bounds.
        squeeze: Closer bounds.
        cell: Cell of every source.
        key: The graph's name.
        first_row: Number of the stream of source 0.
        begin: First source.
        end: One beyond the last.
        lanes: Room for a generator.
        target: Is filled with targets.
        source: With their sources.
        level: With -1 for a target that is kept, else with the number below which p must not lie.

    Returns:
        Number of targets listed; -1 where there is no room for them.
    """
    count, rows, columns = 0, cells.shape[0], cells.shape[1]
    squeezed = squeeze.bounds.size > 0
    for j in range(begin, end):
        seed_row(key, first_row + j, lanes)
        at0, at1 = cell[j] // columns, cell[j] % columns
        clock = _clock(lanes)
        for k in range(stencil.rate.size):
            x, y = at0 + stencil.offset[k, 0], at1 + stencil.offset[k, 1]
            home = (x - rows if x >= rows else x) * columns + (y - columns if y >= columns else y)
            place, last, rate = cells.start[home], cells.start[home + 1], stencil.rate[k]
            while (last - place) * rate > clock if rate < np.inf else place < last:
                if rate < np.inf:
                    place += min(int(clock / rate), last - place - 1)
                listed, open_level = True, -1.0
                if squeezed:
                    u = _uniform(lanes, 1) * stencil.bound[k]
                    low, high = _between(squeeze, place, j)
                    listed, open_level = u < high, -1.0 if u < low else u
                if listed:
                    if count == target.size:
                        return -1
                    target[count], source[count], level[count] = cells.order[place], j, open_level
                    count += 1
                place += 1
                clock = _clock(lanes)
            if rate < np.inf:
                clock -= (last - place) * rate
    return count
