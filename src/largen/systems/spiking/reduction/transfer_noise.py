"""The transfer noise of the finite chain: what neurons carry when they change bins, given how many do (numba).

`markov_chain` draws how many neurons of a bin go into each cell and lists every such transfer in a table, one column
each. This module draws the first moments of V and of X that these neurons carry, and adds them to the new state.

Within a step, Y is a neuron's potential after the drift and V' = Y + e the new one, e normal with variance sigma^2.
Potentials are relative to the centre of the cell (l, r), of width w. With F, G0, U, W, F' of `transfer`, D x =
x(r) - x(l) and S x = x(r) + x(l), the conditional law of Y and V' given V' in the cell has

    P        = D G0                                                    probability of the cell
    E[V']    = (w/2 S G0 - D U) / P                                                             (S14)
    E[V'^2]  = (D W - w S U + w^2/4 D G0) / P                                                   (S15)
    E[e]     = -sigma^2 D F / P                                                                 (S16)
    E[e V']  = sigma^2 (P - w/2 S F) / P                                                        (S17)
    E[e^2]   = sigma^2 (P + sigma^2 D F') / P                                                   (S18)
    E[Y]     = E[V'] - E[e],   Cov(Y, V') = Var V' - Cov(e, V'),
    Var Y    = Var V' - 2 Cov(e, V') + Var e                                                    (S19)

Their sums over M neurons that go into the cell are drawn as normal variables with M times these means and this
covariance. The sum of Y - E Y over all neurons of a bin is 0, because the chain knows the bin's first moment: every
neuron of a transfer is moved by -(Z - m)/n, where n is the number in the bin, Z the drawn sum over all of them and m
the mean of Y - E Y in this cell. Averaged over the multinomial numbers of transfers this correction vanishes     (S20).

The sum of X - mean over the M neurons has the mean of the deterministic flux (`drift`, S13), and independent noise of
variance M R, R being the variance of X that the bins do not explain; the bin's sum of it is again taken off      (S21).

All of it is derived in docs/spiking.md ("The noise of the finite chain"). Loops run over the columns of one array, so
that they become vector instructions.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import uint64

from largen.numerics.compiled import part
from largen.numerics.normal_numbers import normals
from largen.numerics.xoshiro import WORDS, fill, lanes
from largen.systems.spiking.reduction.drift import ALONG, AT_CENTRE, BY_DENSITY, MEAN_DEVIATION
from largen.systems.spiking.reduction.layout import Layout
from largen.systems.spiking.reduction.transfer import (
    DF,
    G0,
    INVERSE_NUMBER,
    LANES,
    LOWER,
    MEAN_DRIFTED,
    MOST_BINS,
    SIGMA,
    TILT,
    UPPER,
    F,
    U,
    W,
)

if TYPE_CHECKING:
    from largen.systems.spiking.reduction.direct.layout import DirectLayout

NEGLIGIBLE = 1e-9
"""Of transfers with less than this probability the conditional moments are lost in rounding."""
CAPACITY = 2 * MOST_BINS + int(LANES)
"""Columns of the table of transfers: no bin has more cells."""

# The rows of the table of transfers. M; 1/n of the bin that is left; 1 if the bin as a whole, moved by the
# population's number of bins, is this cell, else 0.
TRANSFERRED, INVERSE_N, TRANSLATED = (uint64(row * CAPACITY) for row in range(3))
# D and S of the integrals at the edges of the cell. Each edge is seen from its nearer side (see `transfer`), so that
# in the translated cell D G0 is P - 1, and the formulas gain the whole moment of V'.
D_G0, S_G0, D_U, S_U, D_W, D_F, S_F, D_DF = (uint64(row * CAPACITY) for row in range(3, 11))
# Lower edge of the cell from the centre of the bin that is left; E Y from the centre of the cell; length and tilt of
# the density of Y; sigma.
LOWER_EDGE, MEAN_Y, LENGTH_Y, TILT_Y, SIGMA_Y = (uint64(row * CAPACITY) for row in range(11, 16))
# What is drawn: E[V' | cell] and the noise of the sum of V'; E[Y | cell] - E Y and the sum of Y - E Y; the root of M;
# 1/P; of one channel, the mean of X - mean that one neuron carries and the noise of the sum.
NEW_MEAN, NEW_NOISE, OLD_MEAN, OLD_SUM, ROOT, INVERSE_P, X_MEAN, X_NOISE = (
    uint64(row * CAPACITY) for row in range(16, 24)
)
ROWS = 24


class TransferNoise(NamedTuple):
    """The transfers of one population, and random numbers.

    Attributes:
        table: Rows of CAPACITY transfers; potentials as in the model.
        origin: Bin that they leave, shape (CAPACITY,).
        cell: Cell that they enter, counted from 0 among those of the bin, shape (CAPACITY,).
        to: The bin which that is; above the last one they spike, shape (CAPACITY,).
        low: By bin, the lowest edge that is crossed, in bins from its own: the upper one of its cell 0, shape (K,).
        last: By bin, its last cell, shape (K,).
        translated: By bin, the cell of the bin as a whole, shape (K,).
        sums: By bin, sum over the transfers that leave it, of Y - E Y or of X, shape (K,).
        lanes: Generators of random words.
        words: Random words, uint64.
        halves: The same as uint32.
        normals: Standard normal numbers, float32.
    """

    table: np.ndarray
    origin: np.ndarray
    cell: np.ndarray
    to: np.ndarray
    low: np.ndarray
    last: np.ndarray
    translated: np.ndarray
    sums: np.ndarray
    lanes: np.ndarray
    words: np.ndarray
    halves: np.ndarray
    normals: np.ndarray


def new_transfer_noise(layout: "Layout | DirectLayout", bins: int, rng: np.random.Generator) -> TransferNoise:
    """Room for the transfers of a population, with random numbers of their own seeded from `rng`."""
    most = int(np.diff(layout.channels).max(initial=0))
    numbers = max((2 + most) * CAPACITY, len(layout.source)) + WORDS  # only what is used is ever touched
    words = np.zeros(numbers // 2, dtype=np.uint64)
    return TransferNoise(
        table=np.zeros(ROWS * CAPACITY),
        origin=np.zeros(CAPACITY, dtype=np.int64),
        cell=np.zeros(CAPACITY, dtype=np.int64),
        to=np.zeros(CAPACITY, dtype=np.int64),
        low=np.zeros(bins, dtype=np.int64),
        last=np.zeros(bins, dtype=np.int64),
        translated=np.zeros(bins, dtype=np.int64),
        sums=np.zeros(bins),
        lanes=lanes(rng),
        words=words,
        halves=words.view(np.uint32),
        normals=np.zeros(numbers, dtype=np.float32),
    )


@part
def draw_normals(noise, count):
    """Draw standard normal numbers into `noise.normals`."""
    fill(noise.lanes, noise.words, count + 1)
    normals(noise.halves, noise.normals, count)


@part
def read_integrals(x, y, noise, transfers, begin, width):
    """D and S of the integrals at the edges of the cells that are entered, and the density of Y.

    Args:
        x: Table of the bins of a population; rows in `transfer`.
        y: Integrals at every edge of the band; rows in `transfer`.
        noise: The transfers, of which `origin` and `cell` are known.
        transfers: How many are listed.
        begin: First edge of the band, that of row 1.
        width: Width of the bins.
    """
    p = noise.table
    for i in range(uint64(transfers)):
        k, cell, low = uint64(noise.origin[i]), noise.cell[i], noise.low[noise.origin[i]]
        by, row = float(low - 1 + cell) * width, low - begin + cell
        # Nothing crosses the edge of row 0.
        below = uint64(row if cell > 0 else 0)
        above = uint64(row + 1 if cell < noise.last[k] else 0)
        noise.to[i] = int(k) + low - 1 + cell
        p[TRANSLATED + i] = 1.0 if cell == noise.translated[k] else 0.0
        low, high = y[below, G0 + k], y[above, G0 + k]
        p[D_G0 + i], p[S_G0 + i] = high - low, high + low
        low, high = y[below, U + k], y[above, U + k]
        p[D_U + i], p[S_U + i] = high - low, high + low
        low, high = y[below, F + k], y[above, F + k]
        p[D_F + i], p[S_F + i] = high - low, high + low
        p[D_W + i] = y[above, W + k] - y[below, W + k]
        p[D_DF + i] = y[above, DF + k] - y[below, DF + k]
        p[LOWER_EDGE + i] = by - 0.5 * width
        p[MEAN_Y + i] = x[MEAN_DRIFTED + k] - by
        p[LENGTH_Y + i] = x[UPPER + k] - x[LOWER + k]
        p[TILT_Y + i] = x[TILT + k]
        p[SIGMA_Y + i] = x[SIGMA + k]
        p[INVERSE_N + i] = x[INVERSE_NUMBER + k]


@part
def draw_potentials(p, z, transfers, width):
    """Draw the sums of Y and V' over the neurons of every transfer (S14 to S19).

    Args:
        p: Table of transfers.
        z: Standard normal numbers, two a transfer: all first ones, then all second ones.
        transfers: How many are listed.
        width: Width of the bins.
    """
    half = 0.5 * width
    for i in range(uint64(transfers)):
        whole, mean_y, length, tilt = p[TRANSLATED + i], p[MEAN_Y + i], p[LENGTH_Y + i], p[TILT_Y + i]
        d_g0 = p[D_G0 + i]
        variance = p[SIGMA_Y + i] * p[SIGMA_Y + i]
        probability = d_g0 + whole
        inverse_p, known = (1.0 / probability, 1.0) if probability > NEGLIGIBLE else (0.0, 0.0)
        square = variance + length * length * (1.0 - tilt * tilt * (1.0 / 3.0)) * (1.0 / 12.0) + mean_y * mean_y
        e_new = (half * p[S_G0 + i] - p[D_U + i] + whole * mean_y) * inverse_p
        e_new_square = (p[D_W + i] - width * p[S_U + i] + half * half * d_g0 + whole * square) * inverse_p
        e_kick = -variance * p[D_F + i] * inverse_p
        e_kick_new = variance * (known - half * p[S_F + i] * inverse_p)
        e_kick_square = variance * (known + variance * p[D_DF + i] * inverse_p)
        var_new = max(e_new_square - e_new * e_new, 0.0)
        cov_kick_new = e_kick_new - e_new * e_kick
        var_old = max(var_new - 2.0 * cov_kick_new + e_kick_square - e_kick * e_kick, 0.0)
        # The Cholesky factor of the covariance of V' and Y.
        deviation = np.sqrt(var_new)
        along = (var_new - cov_kick_new) / deviation if var_new > 0.0 else 0.0
        across = np.sqrt(max(var_old - along * along, 0.0))
        transferred = p[TRANSFERRED + i]
        root = np.sqrt(transferred)
        first, second = float(z[i]), float(z[uint64(transfers) + i])
        e_old = known * (e_new - e_kick - mean_y)
        p[NEW_MEAN + i] = e_new
        p[NEW_NOISE + i] = root * deviation * first
        p[OLD_MEAN + i] = e_old
        p[OLD_SUM + i] = transferred * e_old + root * (along * first + across * second)
        p[ROOT + i] = root
        p[INVERSE_P + i] = inverse_p


@part
def _sum_by_origin(origin, values, sums, transfers):
    for k in range(len(sums)):
        sums[k] = 0.0
    for i in range(uint64(transfers)):
        sums[origin[i]] += values[i]


@part
def _add_potentials(p, origin, to, sums, number, moment, transfers, width):
    """Add the neurons and their first moment of V to their new bins, with the correction of (S20).

    Returns the spikes: neurons that go above the last bin.
    """
    bins, spikes = len(number), 0.0
    _sum_by_origin(origin, p[OLD_SUM:], sums, transfers)
    for i in range(uint64(transfers)):
        transferred = p[TRANSFERRED + i]
        if to[i] == bins:
            spikes += transferred
            continue
        # A mean over next to nobody is all rounding: it is kept within the cell.
        mean = min(p[NEW_MEAN + i], 0.5 * width)
        mean = max(mean, -0.5 * width) if to[i] > 0 else mean
        correction = (sums[origin[i]] - p[OLD_MEAN + i]) * p[INVERSE_N + i]
        number[to[i]] += transferred
        moment[to[i]] += transferred * (mean - correction) + p[NEW_NOISE + i]
    return spikes


@part
def _draw_deviations(p, h, origin, z, spread, transfers, width):
    """The mean of X - mean that a neuron carries, by the flux (S13) between the edges of its cell; the noise (S21)."""
    for i in range(uint64(transfers)):
        k = uint64(origin[i])
        upper = 0.5 * (p[D_G0 + i] + p[S_G0 + i])
        along = p[LOWER_EDGE + i] * p[D_G0 + i] + width * upper - p[D_U + i]
        flux = h[AT_CENTRE + k] * p[D_G0 + i] + h[ALONG + k] * along + h[BY_DENSITY + k] * p[D_F + i]
        p[X_MEAN + i] = (flux * p[INVERSE_N + i] + p[TRANSLATED + i] * h[MEAN_DEVIATION + k]) * p[INVERSE_P + i]
        p[X_NOISE + i] = spread * p[ROOT + i] * float(z[i])


@part
def _add_deviations(p, origin, to, sums, deviation, transfers):
    """As `_add_potentials` for the deviations of a channel; returns what the spiking neurons carry."""
    bins, spiking = len(deviation), 0.0
    _sum_by_origin(origin, p[X_NOISE:], sums, transfers)
    for i in range(uint64(transfers)):
        correction = sums[origin[i]] * p[INVERSE_N + i]
        carried = p[TRANSFERRED + i] * (p[X_MEAN + i] - correction) + p[X_NOISE + i]
        if to[i] == bins:
            spiking += carried
        else:
            deviation[to[i]] += carried
    return spiking


@part
def transfer_with_noise(state, work, edges, noise, transfers, begin, a, first, channels, width):
    """Put the transferred neurons into their bins, with the first moments that they carry.

    Args:
        state: Its `number`, `moment`, `deviation` and `spikes` are added to.
        work: Tables of the bins, by channel too; its `spiking_deviation` is added to.
        edges: Integrals at every edge of the band; `transfer` has the rows.
        noise: The transfers.
        transfers: How many are listed.
        begin: First edge of the band, that of row 1.
        a: The population.
        first: Its first channel.
        channels: Number of its channels.
        width: Width of the bins.
    """
    p, origin, to, sums = noise.table, noise.origin, noise.to, noise.sums
    draw_normals(noise, (2 + channels) * transfers)
    read_integrals(work.bins, edges, noise, transfers, begin, width)
    draw_potentials(p, noise.normals, transfers, width)
    state.spikes[a] += _add_potentials(p, origin, to, sums, state.number[a], state.moment[a], transfers, width)
    for q in range(channels):
        z, spread = noise.normals[(2 + q) * transfers :], np.sqrt(work.residual[first + q])
        _draw_deviations(p, work.channels[q], origin, z, spread, transfers, width)
        work.spiking_deviation[first + q] += _add_deviations(p, origin, to, sums, state.deviation[first + q], transfers)
