"""Labelled theory: stationary states, fluctuations, asynchrony, the stationary regime and large deviations."""

import numpy as np
import pytest

import largen as ln
from largen import analysis


def test_fixed_points_of_the_worked_network():
    # The preset `balanced`: reference values of an independent implementation.
    found = analysis.fixed_points(ln.BalancedNetwork())
    assert found.sizes["state"] == 1
    np.testing.assert_allclose(found["mean"].values[0], [-0.5735178741, -0.5278504981], atol=1e-9)
    np.testing.assert_allclose(found["variance"].values[0], [1.175, 1.062], atol=1e-9)
    np.testing.assert_allclose(found["fast_real"].values[0], [-0.31037, -0.31037], atol=1e-5)
    np.testing.assert_allclose(np.abs(found["fast_imag"].values[0]), [0.01988, 0.01988], atol=1e-5)
    assert bool(found["stable"].values[0])


def test_balanced_fluctuations_are_those_of_the_spec():
    # n Var(M) at n = 1000 a population (linear noise): S3 1.215, .501, covariance .484.
    found = analysis.fluctuations(ln.BalancedNetwork(), n=2000)
    np.testing.assert_allclose(1000 * found["mean_covariance"], [[1.215, 0.484], [0.484, 0.501]], atol=1e-3)
    assert found["pair_correlation"].dims == ("population", "source")


def test_asynchrony_agrees_with_linear_noise_and_finds_gaussian_neurons():
    model = ln.BalancedNetwork()
    times = np.array([0.0, 4.0, 4.5, 5.0])
    networks = [
        ln.simulate(model, times, n=n, realisations=60, seed=1, method="tau_leap", record="state") for n in (200, 800)
    ]
    found = analysis.asynchrony(networks, resamples=200)
    assert found["n"].values.tolist() == [200, 800]
    theory = analysis.fluctuations(model, n=800)["pair_correlation"]
    z = (found["pair_correlation"].sel(n=800) - theory) / found["pair_correlation_se"].sel(n=800)
    assert float(np.abs(z).max()) < 6  # about 4 nearly independent t variables of 59 degrees of freedom: 1e-6
    skewed = found["skewness"] / found["skewness_se"]
    assert float(np.abs(skewed).max()) < 6
    assert float(found["ks_p_value"].min()) > 1e-4
    assert set(found["exponent"].dims) == {"population", "source"}


def test_fluctuations_and_rate_function_of_the_rate_system():
    model = ln.RateNetwork(
        gamma=0.3, mean_weight=0.8, kernel=ln.UncorrelatedKernel(1.5), activation="tanh", threshold_mean=-0.1,
        threshold_variance=0.0, noise=0.3, initial_mean=0.3, initial_variance=0.5,
    )  # fmt: skip
    times = np.arange(3.0)
    found = analysis.fluctuations(model, n=10, times=times, samples=4000)
    np.testing.assert_allclose(10 * found["mean"].values[1:], [0.919715, 1.473243], rtol=0.02)
    limit = ln.solve_limit(model, times, lags=3)
    h = analysis.rate_function(model, limit["mean"].values, limit["covariance"].values)
    assert abs(float(h["total"])) < 1e-12
    assert float(analysis.rate_function(model, limit["mean"].values + 0.1, limit["covariance"].values)["total"]) > 1e-3


def test_the_stationary_regime_of_the_worked_network():
    found = analysis.stationary(ln.RateNetwork())
    np.testing.assert_allclose(found["covariance"].values[0, :2], [16.6604355581, 16.5059148317], atol=1e-7)
    assert float(found["frozen_covariance"][0]) == pytest.approx(16.0178283544, abs=1e-7)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: analysis.fluctuations(ln.SpikingNetwork(), n=400), "has no fluctuation theory"),
        (lambda: analysis.fixed_points(ln.RateNetwork()), "needs a system whose limit is a flow or a map"),
        (lambda: analysis.stationary(ln.BalancedNetwork()), "balanced system has no theory of a stationary regime"),
        (
            lambda: analysis.asynchrony(ln.solve_limit(ln.RateNetwork(), np.arange(3.0))),
            "must have the variable `state`",
        ),
    ],
)
def test_refusals(call, sentence):
    with pytest.raises(ln.InputError, match=sentence):
        call()
