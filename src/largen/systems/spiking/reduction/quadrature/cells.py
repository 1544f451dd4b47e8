"""Potentials of one family in cells with a quadratic density: external noise, drift, spikes (numba, over cells).

In a cell of width w, with y in (0, 1) across it, the density of the potential is

    (1/w) sum_l u_l phi_l(y),   phi = 1, sqrt(3) (2y - 1), sqrt(5) (6y^2 - 6y + 1),                              (S62)

orthonormal, so that u_0 is the mass of the cell. A step first convolves the density with the normal law of the external
noise and projects it (an exact integral, the matrices D), then moves it by the affine map x' = a x + b of the family
and projects it again: the image of a cell, no longer than a cell because a <= 1, lies on two cells at most, and its
moments over the two parts are integrals of a polynomial. Both keep mass. Nothing is cut off: u may be
negative in places, and the scheme stays linear.

What a family needs stands in one table of rows of `ROW` numbers, as in `reduction.transfer`.

Source: discontinuous Galerkin with exact evolution, also called Lagrange-Galerkin (Morton, Priestley & Suli, RAIRO
Modelisation 22:625, 1988); derived in docs/quadrature.md.
"""

import math

import numpy as np
from numba import uint64

from largen.numerics.compiled import entry, part
from largen.systems.spiking.reduction.quadrature.drive import RARE, TAIL

DEGREES = 3
LANES = 8
MOST_CELLS = 1000
ROW = MOST_CELLS + 40
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_NODES, _WEIGHTS = 0.5 * (1.0 + _NODES), 0.5 * _WEIGHTS
_THREE, _THREE_WEIGHTS = np.polynomial.legendre.leggauss(3)
_THREE, _THREE_WEIGHTS = 0.5 * (1.0 + _THREE), 0.5 * _THREE_WEIGHTS
_ROOT3, _ROOT5 = float(np.sqrt(3.0)), float(np.sqrt(5.0))
(
    POSITION,
    SOURCE0, SOURCE1, SOURCE2,
    SMOOTH0, SMOOTH1, SMOOTH2,
    HOME0, HOME1, HOME2,
    DOWN0, DOWN1, DOWN2,
    UP0, UP1, UP2,
    RESULT0, RESULT1, RESULT2,
) = (uint64(row * ROW) for row in range(19))  # fmt: skip
_ROWS = 19


def new_table(reach: int) -> np.ndarray:
    """The table of a family; `reach` is how many cells the external noise reaches."""
    table = np.zeros(_ROWS * ROW)
    table[:ROW] = np.arange(ROW) - float(reach)
    return table


def padded(count: int) -> int:
    """The next multiple of LANES."""
    return -(-count // LANES) * LANES


@part
def basis(degree, y):
    """phi_l(y) of (S62)."""
    if degree == 0:
        return 1.0
    if degree == 1:
        return _ROOT3 * (2.0 * y - 1.0)
    return _ROOT5 * (6.0 * y * (y - 1.0) + 1.0)


@part
def _overlap(to, source, shift):
    """Integral of phi_to(y + shift) phi_source(y) over 0 < y < 1 - shift."""
    total, length = 0.0, 1.0 - shift
    for i in range(3):
        y = length * _THREE[i]
        total += _THREE_WEIGHTS[i] * basis(to, y + shift) * basis(source, y)
    return total * length


@part
def _add_shift(noise, shift, weight, reach):
    """Add the shift by a number of cells that need not be whole."""
    low = int(np.floor(shift))
    if low < -reach or low + 1 > reach:
        return 0.0
    inside = min(max(shift - low, 0.0), 1.0)
    for to in range(DEGREES):
        for source in range(DEGREES):
            noise[low + reach, to, source] += weight * _overlap(to, source, inside)
            noise[low + 1 + reach, to, source] += weight * _overlap(source, to, 1.0 - inside)
    return weight


@part
def _add_normal(noise, mean, sd, weight, reach):
    """Add a normal shift: 24 Gauss points between every two whole cells, and between its middle and these."""
    if sd <= 0.0:
        nearest = np.rint(mean)
        if abs(mean - nearest) < 1e-12 and abs(nearest) <= reach:
            for degree in range(DEGREES):
                noise[int(nearest) + reach, degree, degree] += weight
            return weight
        return _add_shift(noise, mean, weight, reach)
    far, total = TAIL * sd, 0.0
    factor = weight / (sd * np.sqrt(2.0 * np.pi))
    for low in range(int(np.floor(mean - far)), int(np.ceil(mean + far))):
        for half in range(2):
            start, stop = max(float(low), mean - far), min(low + 1.0, mean + far)
            start, stop = (start, min(stop, mean)) if half == 0 else (max(start, mean), stop)
            if stop <= start:
                continue
            for i in range(len(_NODES)):
                shift = start + (stop - start) * _NODES[i]
                density = factor * (stop - start) * _WEIGHTS[i] * np.exp(-0.5 * ((shift - mean) / sd) ** 2)
                total += _add_shift(noise, shift, density, reach)
    return total


@entry
def fill_noise(noise, sd, kick, number, reach):
    """The matrices D[shift + reach, to, source] of the noise: a normal shift, and Poisson kicks less their mean.

    Args:
        noise: D, shape (2 reach + 1, 3, 3), written.
        sd: Standard deviation of the normal shift, in cells.
        kick: Size of a kick, in cells.
        number: Mean number of kicks.
        reach: Cells that fit into D; see `drive.reach_of`.

    Returns:
        Cells that this noise reaches.
    """
    noise[:] = 0.0
    total = 0.0
    if kick == 0.0 or number <= 0.0:
        total = _add_normal(noise, 0.0, sd, 1.0, reach)
    else:
        for k in range(int(number + 8.0 * np.sqrt(number)) + 12):
            chance = np.exp(k * np.log(number) - number - math.lgamma(k + 1.0))
            if chance > RARE:
                total += _add_normal(noise, (k - number) * kick, sd, chance, reach)
    near = 0
    for d in range(len(noise)):
        for to in range(DEGREES):
            for source in range(DEGREES):
                noise[d, to, source] /= total
                if noise[d, to, source] != 0.0:
                    near = max(near, abs(d - reach))
    for source in range(DEGREES):  # mass is kept to rounding over any number of steps
        lost = 1.0 if source == 0 else 0.0
        for d in range(len(noise)):
            lost -= noise[d, 0, source]
        noise[reach, 0, source] += lost
    return near


@part
def _smooth(x, noise, cells, reach, near):
    """SMOOTH from SOURCE: external noise, on cells -reach to cells + reach - 1; what falls below cell 0 goes there."""
    lanes = uint64((cells + 2 * reach + LANES - 1) // LANES) * uint64(LANES)
    for d in range(-near, near + 1):
        m = noise[d + (len(noise) - 1) // 2]
        a0, a1, a2 = m[0, 0], m[0, 1], m[0, 2]
        b0, b1, b2 = m[1, 0], m[1, 1], m[1, 2]
        c0, c1, c2 = m[2, 0], m[2, 1], m[2, 2]
        add = 0.0 if d == -near else 1.0
        start = uint64(reach - d)
        for i in range(lanes):
            u0, u1, u2 = x[SOURCE0 + i + start], x[SOURCE1 + i + start], x[SOURCE2 + i + start]
            x[SMOOTH0 + i] = add * x[SMOOTH0 + i] + a0 * u0 + a1 * u1 + a2 * u2
            x[SMOOTH1 + i] = add * x[SMOOTH1 + i] + b0 * u0 + b1 * u1 + b2 * u2
            x[SMOOTH2 + i] = add * x[SMOOTH2 + i] + c0 * u0 + c1 * u1 + c2 * u2
    below = 0.0
    for i in range(uint64(reach)):
        below += x[SMOOTH0 + i]
        x[SMOOTH0 + i] = x[SMOOTH1 + i] = x[SMOOTH2 + i] = 0.0
    x[SMOOTH0 + uint64(reach)] += below


@part
def _drift(x, blocks, contraction, slope, shift):
    """RESULT from SMOOTH: the image of every cell, moved by slope * cell + shift, which is between -1 and 1.

    RESULT begins one cell below SMOOTH.
    """
    inverse, square = 1.0 / contraction, contraction * contraction
    for i in range(uint64(blocks) * uint64(LANES)):
        u0, u1, u2 = x[SMOOTH0 + i], _ROOT3 * x[SMOOTH1 + i], _ROOT5 * x[SMOOTH2 + i]
        moved = slope * x[POSITION + i] + shift
        down = moved < 0.0
        y = min(max(((0.0 if down else 1.0) - moved) * inverse, 0.0), 1.0)  # up to here in the lower of two cells
        c0, c1, c2 = u0 - u1 + u2, 2.0 * u1 - 6.0 * u2, 6.0 * u2
        i0 = y * (c0 + y * (0.5 * c1 + y * ((1.0 / 3.0) * c2)))
        i1 = y * y * (0.5 * c0 + y * ((1.0 / 3.0) * c1 + y * (0.25 * c2)))
        i2 = y * y * y * ((1.0 / 3.0) * c0 + y * (0.25 * c1 + y * (0.2 * c2)))
        j1 = 0.5 * u0 + (1.0 / 6.0) * u1
        j2 = (1.0 / 3.0) * u0 + (1.0 / 6.0) * u1 + (1.0 / 30.0) * u2
        h0 = u0 - i0 if down else i0
        h1 = j1 - i1 if down else i1
        h2 = j2 - i2 if down else i2
        g0, g1, g2 = u0 - h0, j1 - h1, j2 - h2
        z1 = contraction * h1 + moved * h0
        z2 = square * h2 + moved * (2.0 * contraction * h1 + moved * h0)
        x[HOME0 + i + uint64(2)] = h0
        x[HOME1 + i + uint64(2)] = _ROOT3 * (2.0 * z1 - h0)
        x[HOME2 + i + uint64(2)] = _ROOT5 * (6.0 * (z2 - z1) + h0)
        away = moved + (1.0 if down else -1.0)
        z1 = contraction * g1 + away * g0
        z2 = square * g2 + away * (2.0 * contraction * g1 + away * g0)
        f1, f2 = _ROOT3 * (2.0 * z1 - g0), _ROOT5 * (6.0 * (z2 - z1) + g0)
        x[DOWN0 + i + uint64(2)] = g0 if down else 0.0
        x[DOWN1 + i + uint64(2)] = f1 if down else 0.0
        x[DOWN2 + i + uint64(2)] = f2 if down else 0.0
        x[UP0 + i + uint64(2)] = 0.0 if down else g0
        x[UP1 + i + uint64(2)] = 0.0 if down else f1
        x[UP2 + i + uint64(2)] = 0.0 if down else f2
    for i in range(uint64(blocks) * uint64(LANES)):
        x[RESULT0 + i] = x[HOME0 + i + uint64(1)] + x[DOWN0 + i + uint64(2)] + x[UP0 + i]
        x[RESULT1 + i] = x[HOME1 + i + uint64(1)] + x[DOWN1 + i + uint64(2)] + x[UP1 + i]
        x[RESULT2 + i] = x[HOME2 + i + uint64(1)] + x[DOWN2 + i + uint64(2)] + x[UP2 + i]


@part
def _settle(x, row, top, cells, width, reach, by):
    """Write RESULT, moved by whole cells, to the family's row; returns what lies above the cells, the spikes."""
    last = top + 2 * reach + 2
    first = by - reach - 1  # cell of RESULT's first entry
    low, high = min(max(first, 0), cells), max(min(first + last, cells), 0)
    below = above = 0.0
    for i in range(uint64(min(max(-first, 0), last))):
        below += x[RESULT0 + i]
    for i in range(uint64(min(max(cells - first, 0), last)), uint64(last)):
        above += x[RESULT0 + i]
    for degree in range(DEGREES):
        start = degree * width
        for k in range(low):
            row[start + k] = 0.0
        for k in range(max(high, low), cells):
            row[start + k] = 0.0
    if high > low:
        source = uint64(low - first)
        for k in range(uint64(high - low)):
            to = k + uint64(low)
            row[to] = x[RESULT0 + source + k]
            row[uint64(width) + to] = x[RESULT1 + source + k]
            row[uint64(2 * width) + to] = x[RESULT2 + source + k]
    row[0] += below
    return above


@part
def _drift_far(x, row, top, cells, width, reach, contraction, shift):
    """As `_drift` and `_settle` where some cells move further than others by a cell or more; one by one."""
    for degree in range(DEGREES):
        for k in range(cells):
            row[degree * width + k] = 0.0
    above = 0.0
    for i in range(reach, top + 2 * reach):
        low = contraction * (i - reach) + shift
        cell = int(np.floor(min(max(low, -2.0), cells + 1.0)))
        split = min(max((cell + 1.0 - low) / contraction, 0.0), 1.0)
        for half in range(2):
            start, stop = (0.0, split) if half == 0 else (split, 1.0)
            to = cell + half
            for point in range(3):
                y = start + (stop - start) * _THREE[point]
                mass = (stop - start) * _THREE_WEIGHTS[point]
                mass *= x[SMOOTH0 + i] + x[SMOOTH1 + i] * basis(1, y) + x[SMOOTH2 + i] * basis(2, y)
                if to >= cells:
                    above += mass
                elif to < 0:
                    row[0] += mass
                else:
                    z = contraction * y + low - to
                    for degree in range(DEGREES):
                        row[degree * width + to] += mass * basis(degree, z)
    return above


@part
def _land(x, row, noise, near, top, cells, width, reach, contraction, shift):
    """Noise, drift and spikes of what SOURCE holds, on `top` cells; returns the spikes."""
    _smooth(x, noise, top, reach, near)
    slope = contraction - 1.0
    end = shift + slope * (top + reach)
    by = np.rint(0.5 * (shift + end))
    if abs(shift - by) < 1.0 and abs(end - by) < 1.0:
        by = min(max(by, -4.0 * MOST_CELLS), 4.0 * MOST_CELLS)
        _drift(x, (top + 2 * reach + 2 + LANES - 1) // LANES, contraction, slope, shift - by)
        return _settle(x, row, top, cells, width, reach, int(by))
    return _drift_far(x, row, top, cells, width, reach, contraction, shift)


@entry
def move(x, row, noise, near, cells, width, reach, contraction, shift):
    """Move one family by a step (S64): noise, then x' = contraction x + shift; returns its spikes.

    Args:
        x: Table.
        row: The family: u_l of cell k at l * width + k, changed in place.
        noise: Matrices D of the external noise, shape (2 near + 1, 3, 3).
        near: Cells that this noise reaches.
        cells: Number of cells.
        width: Length of the family's row for one degree.
        reach: Cells that any noise of the run reaches.
        contraction: a, above 0 and at most 1.
        shift: b, in cells, for x counted from the lowest edge.
    """
    for k in range(uint64(cells)):
        to = k + uint64(2 * reach)
        x[SOURCE0 + to] = row[k]
        x[SOURCE1 + to] = row[uint64(width) + k]
        x[SOURCE2 + to] = row[uint64(2 * width) + k]
    return _land(x, row, noise, near, cells, cells, width, reach, contraction, shift)


@entry
def move_along(x, row, flow, a, noise, near, cells, width, reach, shift):
    """Move one family of population a by its own flow, then by noise and a shift; arguments and result as of `move`."""
    top, first, start = cells + flow.above, flow.first[a], flow.start[a]
    for k in range(uint64(2 * reach), uint64(2 * reach + top)):
        x[SOURCE0 + k] = x[SOURCE1 + k] = x[SOURCE2 + k] = 0.0
    for k in range(cells):
        u0, u1, u2 = row[k], row[width + k], row[2 * width + k]
        for i in range(start[k], start[k + 1]):
            m, to = flow.entries[a, i], uint64(2 * reach + first[k] + i - start[k])
            x[SOURCE0 + to] += m[0] * u0 + m[1] * u1 + m[2] * u2
            x[SOURCE1 + to] += m[3] * u0 + m[4] * u1 + m[5] * u2
            x[SOURCE2 + to] += m[6] * u0 + m[7] * u1 + m[8] * u2
    return _land(x, row, noise, near, top, cells, width, reach, 1.0, shift)
