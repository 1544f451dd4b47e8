"""Finite-size equations: against an independent solver, towards the limit, the folded oscillation."""

import jax
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import ndtr

from largen.checks import InputError
from largen.systems.balanced import BalancedNetwork, finite_size, limit

S3 = BalancedNetwork.balanced()
TIMES = np.linspace(0.0, 2.0, 6)  # as many as in test_balanced_network: one compilation


def by_hand(n, skewness):
    """S3 with n neurons a population, by scipy."""
    a, h = np.array([[1.0, -2.0], [1.2, -1.8]]), np.array([0.65, 0.48])
    top, slope, threshold = np.array([1.5, 2.0]), np.array([1.0, 1.5]), np.array([0.5, 0.3])

    def field(t, y):
        v, k, c = y.reshape(3, 2)
        scale = slope / np.sqrt(1 + slope**2 * k)
        z = scale * (v - threshold)
        third = top * scale**3 * (z**2 - 1) * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
        rate = top * ndtr(z) + c / 6 * third
        return np.concatenate(
            [-v + np.sqrt(n) * (a @ rate + h), -2 * k + a**2 @ rate, -3 * c + skewness * a**3 @ rate / np.sqrt(n)]
        )

    start = np.concatenate([S3.initial_mean, S3.initial_variance, [0, 0]])
    return solve_ivp(field, (0, 2), start, t_eval=TIMES, rtol=1e-11, atol=1e-12).y.reshape(3, 2, -1)


@pytest.mark.parametrize("skewness", [True, pytest.param(False, marks=pytest.mark.long)])
def test_against_an_independent_solver(skewness):
    result = finite_size.solve(S3, TIMES, n=400, rtol=1e-10, atol=1e-12, skewness=skewness)
    expected = by_hand(200, float(skewness))
    for name, value in zip(("mean", "variance", "third_cumulant"), expected, strict=True):
        np.testing.assert_allclose(result.values[name], value, atol=2e-8, err_msg=name)
    assert np.any(result.values["third_cumulant"]) == skewness


@pytest.mark.long
def test_tends_to_the_limit_as_the_root_of_n():
    exact = limit.solve(S3, TIMES, rtol=1e-10, atol=1e-10).values
    error = [
        np.max(np.abs(finite_size.solve(S3, TIMES, n=n, rtol=1e-9, atol=1e-11).values["mean"] - exact["mean"]))
        for n in (20_000, 2_000_000, 200_000_000)
    ]
    np.testing.assert_allclose(np.log10(error[0] / error[1]), 1.0, atol=0.05)
    np.testing.assert_allclose(np.log10(error[1] / error[2]), 1.0, atol=0.05)


def test_uses_the_sizes_that_the_network_has():
    """An odd n splits unevenly, which moves the balance at order n^(-1/2)."""
    even, odd = (finite_size.solve(S3, TIMES, n=n, rtol=1e-9, atol=1e-11).values["mean"] for n in (200, 201))
    assert np.max(np.abs(even - odd)) > 1e-3


@pytest.mark.long
@pytest.mark.parametrize(("n", "period"), [pytest.param(2_000, 2.43, marks=pytest.mark.long), (2_000_000, 0.93)])
def test_folded_manifold_oscillates_at_finite_n(n, period):
    times = np.arange(0.0, 30.0, 0.002)
    mean = finite_size.solve(BalancedNetwork.folded(), times, n=n, rtol=1e-8, atol=1e-10).values["mean"][0]
    mean = mean - mean.mean()
    rises = times[1:][(mean[1:] > 0) & (mean[:-1] <= 0)]
    np.testing.assert_allclose(np.diff(rises[-5:]), period, atol=0.006)


@pytest.mark.long
def test_gradient_through_the_finite_size_equations():
    sizes = np.array([200.0, 200.0])

    def end(theta):
        path, _ = finite_size.trajectory(S3.replace(**{"gain[i].slope": theta}), TIMES, sizes, nodes=193)
        return path.values[0][-1, 0]

    with jax.enable_x64(True):
        slope = jax.jit(jax.grad(end))(1.5)
        up, down = (
            finite_size.solve(S3.replace(**{"gain[i].slope": 1.5 + d}), TIMES, n=400, rtol=1e-10, atol=1e-10)
            for d in (1e-4, -1e-4)
        )
        expected = (up.values["mean"][0, -1] - down.values["mean"][0, -1]) / 2e-4
        np.testing.assert_allclose(float(slope), expected, rtol=1e-4)


def test_shared_synapses_are_refused():
    with pytest.raises(InputError, match="shared synapses"):
        finite_size.solve(BalancedNetwork.shared(), TIMES, n=400, rtol=1e-8, atol=1e-10)
