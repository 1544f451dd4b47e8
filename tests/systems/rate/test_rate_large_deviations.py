"""Fluctuations and the rate function: the source's numbers, exact cases, properties."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from largen.checks import InputError
from largen.simulation import simulate, solve_limit
from largen.systems.rate import (
    RateNetwork,
    SeparableKernel,
    TableKernel,
    UncorrelatedKernel,
    fluctuations,
    large_deviations,
    limit_field,
)

NONE = {"mean_weight": 0.0, "threshold_mean": 0.0, "threshold_variance": 0.0}
D3 = RateNetwork(
    gamma=0.0,
    activation="tanh",
    kernel=UncorrelatedKernel(2.25),
    noise=0.1,
    initial_mean=0.5,
    initial_variance=1.0,
    **NONE,
)
SMALL = RateNetwork(
    gamma=0.3,
    mean_weight=0.8,
    threshold_mean=-0.1,
    threshold_variance=0.0,
    noise=0.3,
    initial_mean=0.3,
    initial_variance=0.5,
    activation="tanh",
    kernel=UncorrelatedKernel(1.5),
)


@pytest.fixture(scope="module")
def standard():
    return fluctuations.solve(RateNetwork(), np.arange(9.0), lags=1, samples=6_000)


def test_worked_numbers_of_the_standard_network(standard):
    # the source's values to 1 %, and within five of our standard errors
    for found, error, expected in (
        (standard.mean[-1], standard.mean_error[-1], 24.213),
        (standard.second_moment[0, -1, -1], standard.second_moment_error[0, -1, -1], 1011.7),
        (standard.mean_frozen[-1], standard.mean_error[-1], 23.285),
        (standard.second_moment_frozen[0, -1, -1], standard.second_moment_error[0, -1, -1], 935.7),
    ):
        assert abs(found / expected - 1) < 0.01
        assert abs(found - expected) < 5 * error
    # without feedback the field's own central limit is exact
    assert abs(standard.mean_field[-1] - 37.03) < 0.005
    assert abs(standard.second_moment_field[0, -1, -1] - 568.3) < 0.05


def test_worked_numbers_of_independent_weights():
    found = fluctuations.solve(D3, np.arange(9.0), lags=0, samples=6_000)
    assert abs(found.mean[-1] - 0.8144171) < 1e-6
    assert abs(found.second_moment_field[0, -1, -1] - 1.3266) < 1e-4
    assert abs(found.second_moment[0, -1, -1] / 1.9182 - 1) < 0.015
    assert abs(found.second_moment[0, -1, -1] - 1.9182) < 4 * found.second_moment_error[0, -1, -1]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (1, 0.919715),
        pytest.param(2, 1.473243, marks=pytest.mark.long),
        pytest.param(3, 2.067753, marks=pytest.mark.long),
    ],
)
def test_variance_of_the_mean_by_quadrature_to_five_digits(steps, expected):
    # independent weights: sites are independent, and Var Z(g) is the variance at one site of g + c . order parameters
    times = steps + 1
    limit = limit_field.limit_law(SMALL, times)
    feedback = fluctuations.feedback(SMALL, limit, 0)[steps]  # of the last mean
    driven = limit.moments.driven[0]
    covariance = np.tril(driven) + np.tril(driven, -1).T + limit.moments.private
    points, weights = np.polynomial.hermite_e.hermegauss(26)
    weights = weights / weights.sum()
    grid = np.stack(np.meshgrid(*[points] * times, indexing="ij")).reshape(times, -1)
    mass = np.prod(np.stack(np.meshgrid(*[weights] * times, indexing="ij")), axis=0).ravel()
    x = limit.moments.mean[:, None] + np.linalg.cholesky(covariance) @ grid
    f = np.tanh(x[:steps])
    s, t = np.triu_indices(steps)
    value = x[steps] + feedback @ np.concatenate([f, 1.5 * f[s] * f[t]])
    variance = mass @ value**2 - (mass @ value) ** 2
    assert abs(variance - expected) < 1e-5
    sampled = fluctuations.solve(SMALL, np.arange(float(times)), lags=0, samples=2000)
    assert abs(sampled.mean[-1] - expected) < 5 * sampled.mean_error[-1]


@pytest.mark.long
def test_networks_of_a_thousand_neurons_fluctuate_as_predicted(standard):
    n, draws = 1000, 800
    network = simulate(RateNetwork(), np.arange(9.0), n=n, realisations=draws, seed=11, lags=1, replicas=2)
    mean = network["mean"].isel(time=-1).values
    # two replicas share the weights: Var of their average is frozen + private/2
    expected = 0.5 * (standard.mean[-1] + standard.mean_frozen[-1])
    found = n * mean.var(ddof=1)
    assert abs(found - expected) < 3 * expected * np.sqrt(2 / draws) + 0.01 * expected
    second = (network["covariance"].sel(lag=0) + 0.0).isel(time=-1, time_=-1).values
    expected = 0.5 * (standard.covariance[0, -1, -1] + standard.covariance_frozen[0, -1, -1])
    found = n * second.var(ddof=1)
    kurtosis = np.mean((second - second.mean()) ** 4) / second.var() ** 2
    assert abs(found - expected) < 3 * expected * np.sqrt((kurtosis - 1) / draws) + 0.02 * expected


@pytest.mark.long
def test_a_table_kernels_fluctuations():
    model = RateNetwork(
        kernel=TableKernel([[0.1, 0.1, 0.05], [0.35, 1.0, 0.35], [0.05, 0.1, 0.1]]), activation="tanh", gain=0.7
    )
    times, n, draws = np.arange(5.0), 400, 1000
    found = fluctuations.solve(model, times, lags=1, samples=3000)
    network = simulate(model, times, n=n, realisations=draws, seed=3, lags=1, replicas=1)
    for name, expected in (("mean", found.mean[-1]), ("covariance", found.covariance[1, -1, -1])):
        sample = network["mean"].isel(time=-1) if name == "mean" else network[name].sel(lag=1).isel(time=-1, time_=-1)
        value = n * sample.values.var(ddof=1)
        assert abs(value / expected - 1) < 5 * np.sqrt(2.5 / draws) + 8 / n
    assert np.all(found.mean_frozen <= found.mean + 1e-9)


def gaussian(model, steps, lags=48):
    limit = solve_limit(model, np.arange(steps + 1.0), lags=lags)
    return limit["mean"].values, limit["covariance"].values


@pytest.mark.parametrize(
    ("model", "lags"),
    [(RateNetwork(), 48), (SMALL, 0), (RateNetwork(activation="tanh", kernel=SeparableKernel(0.7, -0.4, 0.5)), 36)],
)
def test_the_rate_function_vanishes_at_the_limit(model, lags):
    found = large_deviations.solve(model, *gaussian(model, 5, lags))
    assert abs(found.total) < 1e-12
    assert abs(found.covariance_part) < 1e-12


def test_the_rate_function_vanishes_at_the_limit_of_a_table():
    model = RateNetwork(
        kernel=TableKernel([[0.1, 0.1, 0.05], [0.35, 1.0, 0.35], [0.05, 0.1, 0.1]]), activation="logistic"
    )
    assert abs(large_deviations.solve(model, *gaussian(model, 4, 1)).total) < 1e-12


@hypothesis.given(seed=st.integers(0, 10_000), size=st.floats(0.01, 0.3))
@hypothesis.settings(max_examples=25)
def test_the_rate_function_is_positive_elsewhere(seed, size):
    mean, covariance = gaussian(SMALL, 3, 1)
    rng = np.random.default_rng(seed)
    push = rng.standard_normal((4, 4)) * size * 0.3
    moved = covariance.copy()
    moved[0] = (np.eye(4) + push) @ covariance[0] @ (np.eye(4) + push).T
    found = large_deviations.solve(SMALL, mean + size * rng.standard_normal(4), moved)
    assert found.mean_part >= 0
    assert found.covariance_part >= -1e-12
    assert found.total > 1e-7


def test_a_linear_networks_mean_costs_what_its_fluctuations_say():
    # N Var of the mean path is the inverse Hessian of H: mean part = r S(0)^-1 r / 2 with r = (1 - DF) (m - m_limit)
    model = SMALL.replace(activation="linear", kernel=SeparableKernel(0.3, 0.4, 0.2))
    mean, covariance = gaussian(model, 3, 40)
    found = fluctuations.solve(model, np.arange(4.0), lags=0, samples=2000)
    step = 1e-4
    hessian = np.zeros((4, 4))
    for i in range(4):
        for j in range(4):
            for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                moved = mean + step * (a * np.eye(4)[i] + b * np.eye(4)[j])
                hessian[i, j] += a * b * large_deviations.solve(model, moved, covariance).mean_part / (4 * step**2)
    variance = np.diag(np.linalg.inv(hessian))
    np.testing.assert_allclose(variance, found.mean, rtol=1e-5)


def test_refusals():
    mean, covariance = gaussian(SMALL, 3, 0)
    with pytest.raises(InputError, match="singular at time 1"):
        large_deviations.solve(SMALL.replace(noise=0.0), mean, covariance)
    with pytest.raises(InputError, match="singular at time 0"):
        large_deviations.solve(SMALL.replace(initial_variance=0.0), mean, covariance)
    wrong = np.concatenate([covariance, 0.9 * covariance])
    with pytest.raises(InputError, match=r"positive definite at every frequency, but at w = 3\.142"):
        large_deviations.solve(SMALL, mean, wrong)
    with pytest.raises(InputError, match=r"must have shape \(lag, 4, 4\)"):
        large_deviations.solve(SMALL, mean, covariance[0])
    with pytest.raises(InputError, match="'discrete' for fluctuations"):
        fluctuations.solve(RateNetwork.diffusion(), np.arange(3.0))
    with pytest.raises(InputError, match="at most 1500 order parameters"):
        fluctuations.solve(SMALL, np.arange(100.0))
