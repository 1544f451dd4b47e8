"""Cells with a quadratic density: external noise, drift and spikes of one family, against many-point integrals."""

import numpy as np
import plain_quadrature as plain
import pytest

from largen.systems.spiking.reduction.quadrature.cells import fill_noise, move, new_table, padded

CELLS = 11


def moved(u, sd, contraction, shift, reach=None):
    """Coefficients and spikes by the kernels."""
    reach = int(np.ceil(6.5 * sd)) if reach is None else reach
    noise = np.zeros((2 * reach + 1, 3, 3))
    near = fill_noise(noise, sd, 0.0, 0.0, reach)
    width = padded(CELLS)
    row = np.zeros(3 * width)
    for degree in range(3):
        row[degree * width : degree * width + CELLS] = u[degree]
    above = move(new_table(reach), row, noise, near, CELLS, width, reach, contraction, shift)
    return row.reshape(3, width)[:, :CELLS], above


@pytest.fixture
def family():
    rng = np.random.default_rng(0)
    u = rng.normal(size=(3, CELLS))
    u[0] = np.abs(u[0]) + 1.0
    return u / u[0].sum()


@pytest.mark.parametrize(
    ("sd", "contraction", "shift"),
    [
        (0.05, 0.99, 0.02), (0.05, 0.99, 0.3), (0.4, 0.97, -0.2), (0.0, 1.0, 0.0), (0.02, 1.0, 0.4),
        (0.1, 0.95, 3.7), (0.1, 0.95, -2.2), (0.3, 0.6, 1.1), (0.1, 0.3, 30.0), (0.2, 0.9, -40.0),
    ],
)  # fmt: skip
def test_a_family_moves_as_integrals_say(family, sd, contraction, shift):
    reach = int(np.ceil(6.5 * sd))
    for room in (reach, reach + 2):  # a run has room for its strongest noise
        u, above = moved(family, sd, contraction, shift, room)
        exact, spikes = plain.move(family, sd, contraction, shift, reach)
        np.testing.assert_allclose(u, exact, atol=1e-10)
        np.testing.assert_allclose(above, spikes, atol=1e-10)
        np.testing.assert_allclose(u[0].sum() + above, 1.0, rtol=1e-14)


def test_noise_keeps_mean_and_adds_variance():
    """Over all cells the noise is a normal shift: its matrices give mean 0 and its variance to every density."""
    sd, reach = 0.3, 4
    noise = np.zeros((2 * reach + 1, 3, 3))
    assert fill_noise(noise, sd, 0.0, 0.0, reach) == 2
    shift = np.arange(-reach, reach + 1)
    mass, mean = noise[:, 0, :], noise[:, 1, :] / np.sqrt(12.0)
    np.testing.assert_allclose(mass.sum(0), [1, 0, 0], atol=1e-15)
    np.testing.assert_allclose((shift[:, None] * mass + mean).sum(0), [0, 1 / np.sqrt(12), 0], atol=1e-12)
    second = (shift[:, None] + 0.5) ** 2 * mass + 2 * (shift[:, None] + 0.5) * mean
    second += noise[:, 2, :] / np.sqrt(180.0) + mass / 12.0
    np.testing.assert_allclose(second.sum(0)[0], 1 / 3 + sd**2, rtol=1e-8)
