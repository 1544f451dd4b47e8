"""The noise of a finite population in one step of a family's potentials (numba, over cells).

The coefficients u of (S62) are means over N neurons, u_i = (1/N) sum psi_i(V), with psi_i = phi_l on its cell. A step
takes them to A u in the mean. What is random about the new ones, given the old ones, is

    eta = (1/N) sum [psi'(V') - E(psi'(V') | u)],   N Cov(eta) = E[psi' psi'^T] - A E[psi psi^T] A^T,             (S75)

where E[psi psi^T] is the mass of the cell times the unit matrix if the density is level in it: noise of the same size
as what a step damps, so that N independent neurons have the variance of N independent neurons at all times.

External noise. For a cell of mass 1 the matrix (S75) depends on sigma/w alone. It is factored once for each sigma,
with as many columns as hold all but `REST` of its trace.

Drift. An image of a cell is cut in two by an edge. With y from the cut on, the moments (1, y, y^2) of the neurons of
the lower and of the upper part, given those of the cell, vary by eta and by -eta,

    N Cov(eta) = (C_h^-1 + C_g^-1)^-1,                                                                          (S76)

C_h and C_g being the moment matrices of the masses h and g of the two parts, level within each. The inverse of such a
matrix is known (Hilbert's, scaled), and eta is drawn by the Cholesky factor of the sum.

Both move neurons only: the mass stays, exactly.

Few neurons. Masses fluctuate as the noise that is drawn, so that a family's mass in a cell where it has less than a
neuron is negative at times. Its noise would be that of the positive part alone, whose mean is too large. So what could
not be drawn is owed: the mass that counts is the present one with all that is owed, where their sum is positive, and
in the mean over time it is the mean mass, exactly. It counts as level within a cell, but in the last one, where the
density falls towards the threshold: there it has the shape of the mean of the last steps.

Source: largen's own (fluctuation and dissipation on the discrete states), derived in docs/quadrature.md.
"""

from typing import NamedTuple

import numpy as np
from numba import uint64

from largen.numerics.compiled import entry, inlined, part
from largen.systems.spiking.reduction.quadrature.cells import (
    _NODES,
    _ROOT3,
    _ROOT5,
    _WEIGHTS,
    DEGREES,
    DOWN0,
    DOWN1,
    DOWN2,
    HOME0,
    HOME1,
    HOME2,
    POSITION,
    RESULT0,
    RESULT1,
    RESULT2,
    SMOOTH0,
    SMOOTH1,
    SMOOTH2,
    SOURCE0,
    SOURCE1,
    SOURCE2,
    UP0,
    UP1,
    UP2,
    basis,
)
from largen.systems.spiking.reduction.quadrature.drive import TAIL

REST = 1e-3
"""Share of the external noise's variance that may be left out."""
NOBODY = 1e-3
"""Fewer neurons than this have no noise: its deviation, their root, would be many times their number."""
MOST_COLUMNS = 24
_FOUR, _FOUR_WEIGHTS = np.polynomial.legendre.leggauss(4)
_FOUR, _FOUR_WEIGHTS = 0.5 * (1.0 + _FOUR), 0.5 * _FOUR_WEIGHTS
_NEAR, _LEAST = 1e-6, 1e-18
"""A part of a cell shorter than this, or of less mass, has no noise of its own."""


class External(NamedTuple):
    """The external noise of P populations, what `fill_factor` writes; L = 3 (2 reach + 1) rows.

    Attributes:
        factor: Factors of (S75) for a level cell of mass 1, shape (P, column, L).
        columns: Their columns, shape (P,).
        squares: N Cov of (S75) for the densities phi_0, phi_1, phi_2, shape (P, 3, L, L).
        sd: Standard deviation for which they were made, in cells, shape (P,).
        scratch: Scratch space, shape (L, L).
        own: Factors for the last cell of every family, of mass 1, shape (P, F, column, L).
        kept: Their columns, shape (P, F).
    """

    factor: np.ndarray
    columns: np.ndarray
    squares: np.ndarray
    sd: np.ndarray
    scratch: np.ndarray
    own: np.ndarray
    kept: np.ndarray


def new_external(populations: int, families: int, reach: int) -> External:
    """Room for `fill_factor`."""
    rows = DEGREES * (2 * reach + 1)
    return External(
        factor=np.zeros((populations, MOST_COLUMNS, rows)),
        columns=np.zeros(populations, np.int64),
        squares=np.zeros((populations, DEGREES, rows, rows)),
        sd=np.full(populations, -1.0),
        scratch=np.zeros((rows, rows)),
        own=np.zeros((populations, families, MOST_COLUMNS, rows)),
        kept=np.zeros((populations, families), np.int64),
    )


class Owed(NamedTuple):
    """What the noise knows of the steps before, of P populations and F families.

    Attributes:
        mass: Mass of cells that is owed to the noise: external, of the drift, and of the input, shape (3, P, F, cells).
        last: Means of the last steps of the last cell's coefficients before the external noise and before the drift,
            shape (2, P, F, 3).
        fresh: Weight of a step in these means.
    """

    mass: np.ndarray
    last: np.ndarray
    fresh: float


MEMORY = 5.0
"""Time over which the density within the last cell is averaged (ms)."""
RENEWED = 5
"""Steps between two factors of its external noise, in which that mean hardly moves."""


def new_owed(populations: int, families: int, cells: int, dt: float) -> Owed:
    """Nothing owed."""
    shape = (populations, families)
    return Owed(np.zeros((3, *shape, cells)), np.zeros((2, *shape, DEGREES)), min(dt / MEMORY, 1.0))


@part
def settle_debt(x, first, owed, out, cells, size):
    """The masses x[first:] that count for the noise, with what is owed, into `out`."""
    least = NOBODY / size
    for k in range(uint64(cells)):
        mass = owed[k] + x[uint64(first) + k]
        counts = mass > least
        out[k] = mass if counts else 0.0
        owed[k] = 0.0 if counts else mass


@inlined
def deviation(mass, size):
    """Standard deviation of a mean over N independent neurons, of whom a share `mass` counts; 0 for hardly a neuron."""
    return np.sqrt(mass / size) if mass > NOBODY / size else 0.0


@part
def _products(low, start, stop, sd, squares, reach):
    """Add E[psi' psi'^T] for shifts from start to stop, between `low` and the next whole cell; returns the weight.

    squares[j] is that of the density phi_j in the cell.
    """
    total = 0.0
    for i in range(len(_NODES)):
        shift = start + (stop - start) * _NODES[i]
        weight = (stop - start) * _WEIGHTS[i] * np.exp(-0.5 * (shift / sd) ** 2)
        total += weight
        cut = min(max(low + 1.0 - shift, 0.0), 1.0)  # what is below stays in the lower of two cells
        for half in range(2):
            begin, length = (0.0, cut) if half == 0 else (cut, 1.0 - cut)
            first = (low + half + reach) * DEGREES
            for point in range(len(_FOUR)):
                y = begin + length * _FOUR[point]
                moved, part_of = y + shift - low - half, weight * length * _FOUR_WEIGHTS[point]
                for j in range(DEGREES):
                    share = part_of * basis(j, y)
                    for l in range(DEGREES):
                        for m in range(DEGREES):
                            squares[j, first + l, first + m] += share * basis(l, moved) * basis(m, moved)
    return total


@part
def _know(square, noise, j):
    """Take from E[psi' psi'^T] what the old coefficients know of it, D E[psi psi^T] D^T, at the density phi_j."""
    size = len(square)
    for point in range(len(_FOUR)):
        y = _FOUR[point]
        share = _FOUR_WEIGHTS[point] * basis(j, y)
        p0, p1, p2 = basis(0, y), basis(1, y), basis(2, y)
        for i in range(size):
            a = noise[i // DEGREES, i % DEGREES]
            known = share * (a[0] * p0 + a[1] * p1 + a[2] * p2)
            for k in range(size):
                b = noise[k // DEGREES, k % DEGREES]
                square[i, k] -= known * (b[0] * p0 + b[1] * p1 + b[2] * p2)


@part
def _factor(q, factor, size, most):
    """Columns of the pivoted Cholesky factor of q, most important first, until REST of the trace is left."""
    whole = 0.0
    for i in range(size):
        whole += max(q[i, i], 0.0)
    for column in range(most):
        pivot, left = 0, 0.0
        for i in range(size):
            left += max(q[i, i], 0.0)
            if q[i, i] > q[pivot, pivot]:
                pivot = i
        if left <= REST * whole or q[pivot, pivot] <= 0.0:
            return column
        root = 1.0 / np.sqrt(q[pivot, pivot])
        for i in range(size):
            factor[column, i] = q[i, pivot] * root
        for i in range(size):
            for j in range(size):
                q[i, j] -= factor[column, i] * factor[column, j]
    return most


@part
def _keep_mass(factor, columns, reach):
    """What the columns move adds up to 0, to rounding."""
    for c in range(columns):
        lost = 0.0
        for d in range(2 * reach + 1):
            lost += factor[c, DEGREES * d]
        factor[c, DEGREES * reach] -= lost


@entry
def fill_factor(factor, squares, scratch, noise, sd, reach, near):
    """Factor (S75) of the external noise for a level cell of mass 1.

    Args:
        factor: Shape (MOST_COLUMNS, 3 (2 reach + 1)); [column, 3 (shift + reach) + l], written.
        squares: N Cov of (S75) for each density phi_j in the cell, shape (3, row, row), written.
        scratch: Scratch space, shape (row, row).
        noise: D of `cells.fill_noise`, shape (2 reach + 1, 3, 3).
        sd: Standard deviation, in cells.
        reach: Cells that fit into D.
        near: Cells that the noise reaches.

    Returns:
        Columns of the factor.
    """
    size = DEGREES * (2 * reach + 1)
    factor[:] = 0.0
    squares[:] = 0.0
    if sd <= 0.0:
        return 0
    far, total = TAIL * sd, 0.0
    for low in range(-near, near):
        total += _products(low, max(float(low), -far), min(low + 1.0, far), sd, squares, reach)
    for j in range(DEGREES):
        for i in range(size):
            for k in range(size):
                squares[j, i, k] /= total
        _know(squares[j], noise, j)
    for i in range(size):
        for k in range(size):
            scratch[i, k] = squares[0, i, k]
    columns = _factor(scratch, factor, size, MOST_COLUMNS)
    _keep_mass(factor, columns, reach)
    return columns


@inlined
def _of_last(mass, mean, fresh, u0, u1, u2):
    """Coefficients of the last cell that count for its noise: its mass in the mean's shape. The mean is renewed."""
    mean[0] += fresh * (u0 - mean[0])
    mean[1] += fresh * (u1 - mean[1])
    mean[2] += fresh * (u2 - mean[2])
    per = mass / mean[0] if mean[0] > _LEAST else 0.0
    most1, most2 = _ROOT3 * mass, _ROOT5 * mass
    return mass, min(max(per * mean[1], -most1), most1), min(max(per * mean[2], -most2), most2)


@part
def _factor_last(external, a, f, u0, u1, u2, reach):
    """Factor (S75) of the last cell, of mass 1, whose density is not level: it falls towards the threshold."""
    scratch, squares, per = external.scratch, external.squares[a], 1.0 / max(u0, _LEAST)
    for i in range(len(scratch)):
        for k in range(len(scratch)):
            scratch[i, k] = squares[0, i, k] + per * (u1 * squares[1, i, k] + u2 * squares[2, i, k])
    columns = _factor(scratch, external.own[a, f], len(scratch), MOST_COLUMNS)
    _keep_mass(external.own[a, f], columns, reach)
    external.kept[a, f] = columns


@part
def _draw_last(x, external, owed, a, f, z, mass, cells, reach, size, clock):
    """The external noise of the last cell."""
    own, last, at = external.own[a, f], uint64(cells - 1), uint64(2 * reach + cells - 1)
    u0, u1, u2 = _of_last(mass, owed.last[0, a, f], owed.fresh, x[SOURCE0 + at], x[SOURCE1 + at], x[SOURCE2 + at])
    if clock % RENEWED == 0:
        _factor_last(external, a, f, u0, u1, u2, reach)
    root = np.sqrt(mass / size)
    for c in range(external.kept[a, f]):
        kick = root * float(z[c])
        for d in range(2 * reach + 1):
            to = last + uint64(d)
            x[SMOOTH0 + to] += kick * own[c, DEGREES * d]
            x[SMOOTH1 + to] += kick * own[c, DEGREES * d + 1]
            x[SMOOTH2 + to] += kick * own[c, DEGREES * d + 2]


@part
def draw_external(x, external, owed, a, f, z, mass, amplitude, cells, reach, near, size, clock):
    """Add the external noise to SMOOTH, given SOURCE; what falls below cell 0 goes there.

    Args:
        x: Table of the family.
        external: What `fill_factor` made.
        owed: What the noise is owed.
        a: The population.
        f: The family.
        z: Standard normal numbers: `cells` for each column, and MOST_COLUMNS.
        mass: Scratch space, shape (cells,).
        amplitude: Scratch space, shape (cells,).
        cells: Number of cells.
        reach: Cells that any noise of the run reaches.
        near: Cells that this noise reaches.
        size: Neurons of the population.
        clock: Steps done.
    """
    factor, columns = external.factor[a], external.columns[a]
    if columns == 0:
        return
    settle_debt(x, SOURCE0 + 2 * reach, owed.mass[0, a, f], mass, cells, size)
    for k in range(uint64(cells - 1)):
        mass[k] = np.sqrt(mass[k] / size)
    for c in range(columns):
        start = uint64(c * cells)
        for k in range(uint64(cells - 1)):
            amplitude[k] = mass[k] * float(z[start + k])
        for d in range(-near, near + 1):
            row, to = DEGREES * (d + reach), uint64(reach + d)
            w0, w1, w2 = factor[c, row], factor[c, row + 1], factor[c, row + 2]
            for k in range(uint64(cells - 1)):
                x[SMOOTH0 + to + k] += w0 * amplitude[k]
                x[SMOOTH1 + to + k] += w1 * amplitude[k]
                x[SMOOTH2 + to + k] += w2 * amplitude[k]
    _draw_last(x, external, owed, a, f, z[columns * cells :], mass[cells - 1], cells, reach, size, clock)
    below, first = 0.0, uint64(reach)
    for i in range(first):
        below += x[SMOOTH0 + i]
        x[SMOOTH0 + i] = x[SMOOTH1 + i] = x[SMOOTH2 + i] = 0.0
    x[SMOOTH0 + first] += below


@part
def _count_before_drift(x, owed, mean, fresh, mass, cells, reach, size):
    """The coefficients of SMOOTH that count for the noise of the drift, into SOURCE, which is not needed any more."""
    settle_debt(x, SMOOTH0 + reach, owed, mass, cells, size)
    first = uint64(2 * reach)
    for k in range(uint64(cells)):
        x[SOURCE0 + first + k] = mass[k]
        x[SOURCE1 + first + k] = x[SOURCE2 + first + k] = 0.0
    to, at = first + uint64(cells - 1), uint64(reach + cells - 1)
    x[SOURCE0 + to], x[SOURCE1 + to], x[SOURCE2 + to] = _of_last(
        mass[cells - 1], mean, fresh, x[SMOOTH0 + at], x[SMOOTH1 + at], x[SMOOTH2 + at]
    )


@inlined
def _cut_noise(low, high, cut, z0, z1, z2):
    """Draw eta of (S76) for a cell of masses `low` below the cut and `high` above it; 0 where there is no part."""
    drawn = (low > _LEAST) & (high > _LEAST) & (cut > _NEAR) & (cut < 1.0 - _NEAR)
    y = min(max(cut, _NEAR), 1.0 - _NEAR)
    a, b = 1.0 / max(low, _LEAST), 1.0 / max(high, _LEAST)
    ia, ib = 1.0 / y, 1.0 / (1.0 - y)
    a1, b1 = a * ia, b * ib
    a2, b2 = a1 * ia, b1 * ib
    a3, b3 = a2 * ia, b2 * ib
    # The inverses of the moment matrices of the two parts: Hilbert's, with the signs of the side they lie on.
    l00 = np.sqrt(9.0 * (a + b))
    l10 = 36.0 * (a1 - b1) / l00
    l20 = 30.0 * (a2 + b2) / l00
    l11 = np.sqrt(192.0 * (a2 + b2) - l10 * l10)
    l21 = (180.0 * (a3 - b3) - l10 * l20) / l11
    l22 = np.sqrt(max(180.0 * (a3 * ia + b3 * ib) - l20 * l20 - l21 * l21, 1e-300))
    e2 = z2 / l22
    e1 = (z1 - l21 * e2) / l11
    e0 = (z0 - l10 * e1 - l20 * e2) / l00
    known = 1.0 if drawn else 0.0
    return known * e0, known * e1, known * e2


@part
def draw_drift(x, z, owed, mean, fresh, mass, cells, reach, contraction, slope, shift, size):
    """Add to RESULT the noise of a drift, `cells._drift`, from SMOOTH; arguments as there.

    Args:
        x: Table of the family.
        z: Standard normal numbers, three rows of `cells`.
        owed: Masses that are owed, shape (cells,).
        mean: Mean coefficients of the last cell, shape (3,).
        fresh: Weight of a step in them.
        mass: Scratch space, shape (cells,).
        cells: Number of cells.
        reach: Cells that any external noise of the run reaches.
        contraction: a.
        slope: a - 1.
        shift: b less whole cells.
        size: Neurons of the population.
    """
    root, second, third, first = 1.0 / np.sqrt(size), uint64(cells), uint64(2 * cells), uint64(reach + 2)
    _count_before_drift(x, owed, mean, fresh, mass, cells, reach, size)
    for k in range(uint64(cells)):
        i, source = k + uint64(reach), k + uint64(2 * reach)
        u0, u1, u2 = x[SOURCE0 + source], _ROOT3 * x[SOURCE1 + source], _ROOT5 * x[SOURCE2 + source]
        moved = slope * x[POSITION + i] + shift
        down = moved < 0.0
        y = min(max(((0.0 if down else 1.0) - moved) / contraction, 0.0), 1.0)
        low = y * ((u0 - u1 + u2) + y * ((u1 - 3.0 * u2) + y * (2.0 * u2)))
        e0, e1, e2 = _cut_noise(low, u0 - low, y, float(z[k]), float(z[second + k]), float(z[third + k]))
        e0, e1, e2 = root * e0, root * contraction * e1, root * contraction * contraction * e2
        low1, low2 = _ROOT3 * (2.0 * e1 + e0), _ROOT5 * (6.0 * (e2 + e1) + e0)
        high1, high2 = _ROOT3 * (2.0 * e1 - e0), _ROOT5 * (6.0 * (e2 - e1) + e0)
        x[DOWN0 + k + first] = e0 if down else 0.0
        x[DOWN1 + k + first] = low1 if down else 0.0
        x[DOWN2 + k + first] = low2 if down else 0.0
        x[HOME0 + k + first] = -e0 if down else e0
        x[HOME1 + k + first] = -high1 if down else low1
        x[HOME2 + k + first] = -high2 if down else low2
        x[UP0 + k + first] = 0.0 if down else -e0
        x[UP1 + k + first] = 0.0 if down else -high1
        x[UP2 + k + first] = 0.0 if down else -high2
    for k in range(uint64(cells)):
        to = k + uint64(reach)
        x[RESULT0 + to] += x[DOWN0 + k + first]
        x[RESULT1 + to] += x[DOWN1 + k + first]
        x[RESULT2 + to] += x[DOWN2 + k + first]
    for k in range(uint64(cells)):
        to = k + uint64(reach + 1)
        x[RESULT0 + to] += x[HOME0 + k + first]
        x[RESULT1 + to] += x[HOME1 + k + first]
        x[RESULT2 + to] += x[HOME2 + k + first]
    for k in range(uint64(cells)):
        to = k + uint64(reach + 2)
        x[RESULT0 + to] += x[UP0 + k + first]
        x[RESULT1 + to] += x[UP1 + k + first]
        x[RESULT2 + to] += x[UP2 + k + first]


@part
def draw_far(x, row, z, owed, mean, fresh, mass, cells, width, reach, contraction, shift, size):
    """As `draw_drift` after `cells._drift_far`, into the family's row; returns what it adds to the spikes."""
    root, above = 1.0 / np.sqrt(size), 0.0
    _count_before_drift(x, owed, mean, fresh, mass, cells, reach, size)
    for k in range(cells):
        i = uint64(k + 2 * reach)
        start = contraction * k + shift
        cell = int(np.floor(min(max(start, -2.0), cells + 1.0)))
        y = min(max((cell + 1.0 - start) / contraction, 0.0), 1.0)
        u0, u1, u2 = x[SOURCE0 + i], _ROOT3 * x[SOURCE1 + i], _ROOT5 * x[SOURCE2 + i]
        low = y * ((u0 - u1 + u2) + y * ((u1 - 3.0 * u2) + y * (2.0 * u2)))
        e0, e1, e2 = _cut_noise(low, u0 - low, y, float(z[k]), float(z[cells + k]), float(z[2 * cells + k]))
        e0, e1, e2 = root * e0, root * contraction * e1, root * contraction * contraction * e2
        for half in range(2):
            to, side, sign = cell + half, 1.0 - 2.0 * half, 1.0 - 2.0 * half
            if to >= cells:
                above += sign * e0
            elif to < 0:
                row[0] += sign * e0
            else:
                row[to] += sign * e0
                row[width + to] += sign * _ROOT3 * (2.0 * e1 + side * e0)
                row[2 * width + to] += sign * _ROOT5 * (6.0 * (e2 + side * e1) + e0)
    return above
