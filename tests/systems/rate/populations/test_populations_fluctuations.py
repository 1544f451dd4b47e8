"""Fluctuations of neuron averages over draws: known numbers, a closed form, networks."""

import numpy as np
import pytest
from scipy import stats

import largen as ln

MODEL = ln.RatePopulations(
    dynamics="discrete", fractions=(0.6, 0.4), weight_variance=((1.4, 0.9), (0.8, 1.1)),
    mean_weight=((0.8, -1.2), (1.0, -0.6)), gamma=(0.3, 0.5), initial_mean=(0.4, -0.2), initial_variance=(0.5, 0.4),
    threshold_mean=(0.1, -0.2), threshold_variance=(0.1, 0.2), noise=(0.3, 0.2),
    low_rank=ln.LowRank(((0.9,), (0.3,)), ((0.6,), (-0.5,)), (((0.4, 0.2), (0.2, 0.5)), ((0.3, -0.1), (-0.1, 0.4)))),
)  # fmt: skip
TIMES = np.arange(4.0)
KNOWN = {"mean": (11.524, 5.504), "second_moment": (38.51, 48.81), "latent": (0.5218,)}
SHARE = 2e-3  # error of the known numbers, from 2 million samples


def ends(found):
    """The entries whose numbers are known."""
    return {
        "mean": found["mean"].isel(time=-1).values,
        "second_moment": found["second_moment"].isel(time=-1, time_=-1).values,
        "latent": found["latent"].isel(time=2).values,
    }


def test_fluctuations_have_the_known_variances():
    found = ln.analysis.fluctuations(MODEL, n=100, times=TIMES, samples=40_000) * 100
    errors = {
        "mean": found["mean_error"].isel(time=-1).values,
        "second_moment": found["second_moment_error"].isel(time=-1, time_=-1).values,
        "latent": found["latent_error"].isel(time=2).values,
    }
    for name, values in ends(found).items():
        known = np.array(KNOWN[name])
        assert np.all(np.abs(values - known) < 6 * np.hypot(errors[name], SHARE * known)), name  # 1e-6 with 19 dof
    frozen = found["mean_frozen"].isel(time=-1).values
    assert np.all((frozen > 0) & (frozen < ends(found)["mean"]))


def test_without_coupling_they_are_those_of_independent_neurons():
    alone = MODEL.replace(weight_variance=np.zeros((2, 2)), mean_weight=np.zeros((2, 2)), low_rank=None)
    found = ln.analysis.fluctuations(alone, n=10, times=TIMES, samples=20_000)
    variance = ln.solve_limit(alone, TIMES, lags=0)["covariance"].values[:, 0]
    exact = np.diagonal(variance, axis1=1, axis2=2) / (10 * np.array([[0.6], [0.4]]))
    assert found["mean"].values == pytest.approx(exact, rel=0.05)
    assert found["mean"].values == pytest.approx(found["mean_field"].values, rel=1e-12)


@pytest.mark.long
def test_networks_scatter_as_predicted():
    draws, n = 1500, 200
    network = ln.simulate(MODEL, TIMES, n=n, realisations=draws, replicas=1, lags=0, seed=4)
    second = network["covariance"].isel(lag=0, time=-1, time_=-1) + network["mean"].isel(time=-1) ** 2
    scatter = {
        "mean": n * network["mean"].isel(time=-1).var("realisation", ddof=1).values,
        "second_moment": n * second.var("realisation", ddof=1).values,
        "latent": n * network["latent"].isel(time=2).var("realisation", ddof=1).values,
    }
    theory = ends(ln.analysis.fluctuations(MODEL, n=100, times=TIMES, samples=100_000) * 100)
    error = np.sqrt(2.0 / draws)
    bound = stats.norm.isf(1e-6 / 10) * error + 0.06  # 0.06: the bias of order 1/n seen at n = 200
    for name, values in scatter.items():
        assert np.all(np.abs(values / theory[name] - 1.0) < bound), name
    without = 3.489
    assert abs(scatter["mean"][0] / without - 1.0) > bound  # without feedback they would be rejected


@pytest.mark.parametrize(
    ("model", "times", "message"),
    [
        (ln.RatePopulations(), TIMES, "be 'discrete' for fluctuations"),
        (ln.RatePopulations.correlated_blocks(), TIMES, "must be independent weights"),
        (MODEL, np.arange(50.0), "at most 1500 order parameters"),
    ],
)
def test_what_is_not_known_is_refused(model, times, message):
    with pytest.raises(ln.InputError, match=message):
        ln.analysis.fluctuations(model, n=10, times=times)
