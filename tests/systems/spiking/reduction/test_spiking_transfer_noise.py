"""The law of what transferred neurons carry, against integration by brute force over both potentials."""

import numpy as np
import pytest
from numba import njit

from largen.systems.spiking.model import SpikingNetwork
from largen.systems.spiking.reduction.transfer import (
    BIN_ROWS,
    DRIFT,
    EDGE_ROWS,
    ROW,
    SLOPE_TERM,
    apply_drift,
    edge_integrals_second,
    reconstruct,
)
from largen.systems.spiking.reduction.transfer_noise import (
    NEW_MEAN,
    NEW_NOISE,
    OLD_MEAN,
    OLD_SUM,
    TRANSFERRED,
    draw_potentials,
    new_transfer_noise,
    read_integrals,
)
from systems.spiking.reduction_tools import reduction

WIDTH, BINS, BIN = 4.0, 8, 3
BEGIN, END = -1, 4  # edges -1 ... 3, in bins from the lower end of the bin: cells 0 ... 5


@njit
def _draw(x, y, noise, transfers, z):
    read_integrals(x, y, noise, transfers, BEGIN, WIDTH)
    draw_potentials(noise.table, z, transfers, WIDTH)


def law_of_the_code(mean, sigma, drift, ka, by):
    """Mean and covariance of (V', Y) by cell, from the cell's centre and from E Y, shape (cell, 2) and (cell, 2, 2)."""
    x, y = np.zeros(BIN_ROWS * ROW), np.zeros((END - BEGIN + 1, EDGE_ROWS * ROW))
    reconstruct(x, BINS, np.ones((1, BINS)), np.full((1, BINS), mean), 0, WIDTH, 1e-2, False, 0.0)
    for row, value in ((DRIFT, drift), (SLOPE_TERM, ka - 1.0)):
        x[int(row) : int(row) + BINS] = value
    apply_drift(x, BINS, 1.0, 0.0, sigma**2, True, 1e-2, 0.1)
    for e in range(BEGIN, END):
        edge_integrals_second(x, y, e - BEGIN + 1, 0, 1, (e - 0.5) * WIDTH, 1.0 if e <= by else -1.0)
    cells = END - BEGIN + 1
    noise = new_transfer_noise(reduction(SpikingNetwork())[0], BINS, np.random.default_rng(0))
    noise.origin[:cells], noise.cell[:cells] = BIN, np.arange(cells)
    noise.low[BIN], noise.last[BIN], noise.translated[BIN] = BEGIN, cells - 1, by - BEGIN + 1
    noise.table[int(TRANSFERRED) : int(TRANSFERRED) + cells] = 1.0
    rows = {}
    for name, pair in (("first", (1.0, 0.0)), ("second", (0.0, 1.0))):
        _draw(x, y, noise, cells, np.repeat(np.array(pair, dtype=np.float32), cells))
        rows[name] = {
            row: noise.table[int(row) : int(row) + cells].copy() for row in (NEW_MEAN, NEW_NOISE, OLD_MEAN, OLD_SUM)
        }
    first, second = rows["first"], rows["second"]
    factor = np.zeros((cells, 2, 2))
    factor[:, 0, 0] = first[NEW_NOISE]
    factor[:, 1, 0] = first[OLD_SUM] - first[OLD_MEAN]
    factor[:, 1, 1] = second[OLD_SUM] - second[OLD_MEAN]
    return np.stack([first[NEW_MEAN], first[OLD_MEAN]], axis=1), factor @ np.swapaxes(factor, 1, 2)


def law_by_brute_force(mean, sigma, drift, ka, cell):
    """The same for one cell by Gauss-Legendre quadrature of the joint density of Y and V', and its probability."""
    # A density linear over the whole bin while the mean is within w/6 of its centre, then a triangle at an edge.
    if abs(mean) <= WIDTH / 6:
        low, high, rise = -WIDTH / 2, WIDTH / 2, 12 * mean / WIDTH**2
    else:
        length = 3 * (WIDTH / 2 - abs(mean))
        low, high = (WIDTH / 2 - length, WIDTH / 2) if mean > 0 else (-WIDTH / 2, length - WIDTH / 2)
        rise = np.sign(mean) * 2 / length
    nodes, weights = np.polynomial.legendre.leggauss(300)
    v = 0.5 * (low + high) + 0.5 * (high - low) * nodes
    of_v = 0.5 * weights * (1 + rise * (v - 0.5 * (low + high)))
    y = mean + drift + ka * (v - mean)
    # Cell i is centred at (BEGIN - 1 + i) w from the bin's centre; the outermost ones reach to infinity.
    centre = (BEGIN - 1 + cell) * WIDTH
    left = centre - WIDTH / 2 if cell > 0 else y.min() - 12 * sigma
    right = centre + WIDTH / 2 if cell < END - BEGIN else y.max() + 12 * sigma
    new = 0.5 * (left + right) + 0.5 * (right - left) * nodes
    joint = of_v[:, None] * np.exp(-0.5 * ((new - y[:, None]) / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
    joint *= 0.5 * (right - left) * weights
    probability = joint.sum()
    pair = np.stack(np.broadcast_arrays(new - centre, y[:, None] - mean - drift))
    first = (pair * joint).sum((1, 2)) / probability
    from_mean = pair - first[:, None, None]
    return probability, first, np.einsum("iab,jab,ab->ij", from_mean, from_mean, joint) / probability


@pytest.mark.parametrize(
    ("mean", "sigma", "drift", "ka", "by"),
    [
        (0.3, 1.5, 0.4, 1.0, 0),
        (0.3, 1.5, 0.4, 1.0, 1),  # the population moves by one bin: other cells are seen from the other side
        (-1.3, 2.5, 2.0, 0.9, 0),
        (1.6, 0.8, 2.5, 1.1, 1),
    ],
)
def test_law_of_the_transferred_neurons(mean, sigma, drift, ka, by):
    means, covariances = law_of_the_code(mean, sigma, drift, ka, by)
    tested = 0
    for cell in range(END - BEGIN + 1):
        probability, first, covariance = law_by_brute_force(mean, sigma, drift, ka, cell)
        if probability < 1e-4:  # the conditional moments divide by it
            continue
        tested += 1
        np.testing.assert_allclose(means[cell], first, atol=1e-9 / probability)
        np.testing.assert_allclose(covariances[cell], covariance, atol=3e-6)  # the draw is in single precision
    assert tested >= 2
