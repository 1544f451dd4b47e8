"""Gauss nodes of a Poisson law: zeros, weights, and how families mix when spikes are released and arrive."""

import numpy as np
import plain_quadrature as plain
import pytest
from scipy import stats

from largen.systems.spiking.reduction.quadrature import nodes
from largen.systems.spiking.reduction.quadrature.nodes import MOST_NODES, floor_of

LAWS = [(1, 3.0), (4, 0.01), (8, 0.5), (8, 40.0), (5, 1e8), (12, 7.0), (8, floor_of(8))]


def law(order, nu):
    """Nodes, weights and polynomials by the kernels."""
    z, weight, values = np.zeros(MOST_NODES), np.zeros(MOST_NODES), np.zeros((MOST_NODES, MOST_NODES))
    nodes.find_nodes(z, order + 1, 1.0 / np.sqrt(nu))
    nodes.fill_polynomials(z, weight, values, order + 1, 1.0 / np.sqrt(nu))
    return z[: order + 1], weight[: order + 1], values[: order + 1, : order + 1]


@pytest.mark.parametrize(("order", "nu"), LAWS)
def test_nodes_are_the_eigenvalues_of_the_jacobi_matrix(order, nu):
    for ours, other in zip(law(order, nu), plain.nodes(order, 1.0 / np.sqrt(nu)), strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize(("order", "nu"), [(4, 0.3), (8, 12.0)])
def test_weights_integrate_polynomials_of_a_poisson_number_exactly(order, nu):
    z, weight, _ = law(order, nu)
    counts = np.arange(200)
    mass = stats.poisson.pmf(counts, nu)
    for power in range(2 * order + 2):
        exact = np.sum(mass * ((counts - nu) / np.sqrt(nu)) ** power)
        np.testing.assert_allclose(np.sum(weight * z**power), exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("change", [0.999, 1.01, 1.3])
@pytest.mark.parametrize(("order", "nu"), LAWS[:-1])
def test_nodes_are_followed_to_rounding(order, nu, change):
    z = np.append(law(order, nu)[0], np.zeros(MOST_NODES - order - 1))
    found = nodes.follow_nodes(z, order + 1, 1.0 / np.sqrt(nu * change))
    exact = law(order, nu * change)[0]
    assert found or change == 1.3
    if found:
        np.testing.assert_allclose(z[: order + 1], exact, rtol=1e-12, atol=1e-12 * np.abs(exact).max())


def mixing(order, old, new, stay):
    """W of the kernels, for nu from old to new while a share `stay` of the spikes stays."""
    w, (_, _, before), (_, weight, after) = np.zeros((order + 1,) * 2), law(order, old), law(order, new)
    nodes.fill_mixing(w, order + 1, stay * np.sqrt(old / new), before, weight, after)
    return w


def test_families_mix_as_pending_spikes_do():
    """Binomial release and Poisson arrivals: moments of the new number given the old one, up to the order."""
    order, old, stay, arriving = 4, 2.0, 0.9, 0.7
    new = stay * old + arriving
    w = mixing(order, old, new, stay)
    before, after = old + np.sqrt(old) * law(order, old)[0], new + np.sqrt(new) * law(order, new)[0]
    np.testing.assert_allclose(w.sum(0), 1.0, atol=1e-14)
    np.testing.assert_allclose(w @ law(order, old)[1], law(order, new)[1], atol=1e-12)
    mean = stay * before + arriving
    np.testing.assert_allclose(after @ w, mean, rtol=1e-10)
    np.testing.assert_allclose(after**2 @ w, mean**2 + stay * (1 - stay) * before + arriving, rtol=1e-10)


def test_mixing_keeps_mass_at_every_law():
    for order, nu in LAWS:
        for ratio in (0.98, 1.0, 1.5, 30.0):
            w = mixing(order, nu, nu * ratio, 0.97)
            np.testing.assert_allclose(w.sum(0), 1.0, atol=1e-14 * max(1.0, np.abs(w).max()))
