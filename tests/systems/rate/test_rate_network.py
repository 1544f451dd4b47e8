"""The finite network against the limit: bias, convergence, replicas, precision, bytes, refusals."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from largen.checks import InputError
from largen.numerics.streams import stream
from largen.simulation import simulate, solve_limit
from largen.systems.rate import RateNetwork, SeparableKernel, TableKernel, UncorrelatedKernel
from largen.systems.rate.network import averages
from statistics_tools import assert_mean

TIMES = np.arange(9.0)


def second_moments(network, lag):
    """Second moment at the last time and one lag, one per realisation."""
    last = {"time": -1, "time_": -1}
    return (network["covariance"].sel(lag=lag).isel(last) + network["mean"].isel(time=-1) ** 2).values


@pytest.mark.long
def test_second_moments_extrapolated_in_one_over_n_agree_with_the_limit():
    model, limit = RateNetwork(), solve_limit(RateNetwork(), TIMES)
    sizes, draws = np.array([64, 128, 256]), 500  # the study with 3000 draws is in validation/rate_theory.py
    sets = [simulate(model, TIMES, n=int(n), realisations=draws, seed=3, weights="explicit", replicas=1) for n in sizes]
    for lag, bound in ((0, 40.0), (1, 40.0), (2, 40.0)):
        samples = [second_moments(found, lag) for found in sets]
        means = np.array([s.mean() for s in samples])
        errors = np.array([s.std(ddof=1) for s in samples]) / np.sqrt(draws)
        design = np.stack([np.ones(3), 1.0 / sizes], axis=1) / errors[:, None]
        covariance = np.linalg.inv(design.T @ design)
        value, slope = covariance @ design.T @ (means / errors)
        expected = float(limit["covariance"].sel(lag=lag)[-1, -1] + limit["mean"][-1] ** 2)
        assert abs(value - expected) < 3.0 * np.sqrt(covariance[0, 0])
        assert abs(slope) < bound
        assert abs(means[0] - expected) < 1.5


def test_explicit_weights_agree_with_the_limit_too():
    model = RateNetwork(activation="logistic", kernel=TableKernel([[0.1, 0.2, 0.1], [0.3, 1.0, 0.3], [0.1, 0.2, 0.1]]))
    times = np.arange(5.0)
    network = simulate(model, times, n=400, realisations=200, seed=1, weights="explicit", replicas=2)
    limit = solve_limit(model, times)
    assert network.attrs["weights"] == "explicit"
    for name in ("covariance", "frozen_covariance"):
        for lag in (0, 1, 2):
            sample = network[name].sel(lag=lag).isel(time=-1, time_=-1).values
            expected = float(limit[name].sel(lag=lag)[-1, -1])
            # a bias of order 1/n is allowed for: 4/n of the variance
            bias = 4.0 / 400 * float(limit["covariance"][0, -1, -1])
            z = (abs(sample.mean() - expected) - bias) / (sample.std(ddof=1) / np.sqrt(len(sample)))
            assert z < 5.0


def test_one_draw_converges_with_the_square_root_of_n():
    model, limit = RateNetwork(), solve_limit(RateNetwork(), TIMES)
    sizes, draws = [250, 500, 1000, 2000], 60  # up to 4000 with explicit weights in validation/rate_theory.py
    errors = []
    for n in sizes:
        found = simulate(model, TIMES, n=n, realisations=draws, seed=5, weights="integrated", replicas=1)
        distance = np.abs(found["covariance"] - limit["covariance"]).max(("lag", "time", "time_")).values
        errors.append(np.log(distance))
    x = np.log(np.repeat(sizes, draws))
    fit = stats.linregress(x, np.concatenate(errors))
    assert abs(fit.slope + 0.5) < stats.norm.isf(0.5e-6) * fit.stderr
    assert fit.stderr < 0.05


def test_heun_agrees_with_the_continuous_limit():
    model, times = RateNetwork.diffusion(), np.array([0.0, 0.5, 1.0])
    limit = solve_limit(model, times)
    n, draws = 200, 300
    network = simulate(model, times, n=n, realisations=draws, seed=2, dt=0.02, weights="explicit", replicas=2)
    for name, lag in (("covariance", 0), ("covariance", 1), ("frozen_covariance", 1)):
        sample = network[name].sel(lag=lag).isel(time=-1, time_=-1).values
        error = sample.std(ddof=1) / np.sqrt(draws)
        assert abs(sample.mean() - float(limit[name].sel(lag=lag)[-1, -1])) < 4.0 * error + 1.0 / n
    assert_mean(network["mean"].isel(time=-1).values, float(limit["mean"][-1]), false_alarm=1e-9)


def test_heun_is_of_second_order_without_noise():
    model = RateNetwork.diffusion().replace(noise=0.0)
    times = np.array([0.0, 1.0])
    ends = [
        simulate(model, times, n=20, seed=4, dt=dt, weights="explicit", replicas=1)["mean"].values[0, -1]
        for dt in (0.04, 0.02, 0.01)
    ]
    assert 3.5 < (ends[0] - ends[1]) / (ends[1] - ends[2]) < 4.7


def test_averages_are_the_plain_sums():
    states = stream(0, "s").standard_normal((3, 4, 11))
    found = averages(states, 2)
    mean = states.mean(2)
    for k in range(3):
        own, both = np.zeros((4, 4)), np.zeros((4, 4))
        for s in range(4):
            for t in range(4):
                for a in range(3):
                    for b in range(3):
                        shifted = [np.roll(states[b, x], -k) - mean[b, x] for x in (s, t)]
                        plain = [states[a, x] - mean[a, x] for x in (s, t)]
                        value = 0.5 * (np.mean(plain[0] * shifted[1]) + np.mean(plain[1] * shifted[0]))
                        if a == b:
                            own[s, t] += value / 3
                        else:
                            both[s, t] += value / 6
        np.testing.assert_allclose(found["covariance"][k], own, atol=1e-13)
        np.testing.assert_allclose(found["frozen_covariance"][k], both, atol=1e-13)
    np.testing.assert_allclose(found["mean"], mean.mean(0))
    assert "frozen_covariance" not in averages(states[:1], 1)


def test_neurons_stay_correlated_in_the_network_and_independent_weights_decorrelate_them():
    kept = simulate(RateNetwork.correlated(), TIMES, n=2000, realisations=10, seed=1, replicas=2)
    lost = simulate(RateNetwork.independent(), TIMES, n=2000, realisations=10, seed=1, replicas=2)
    at = {"time": -1, "time_": -1}
    for name in ("covariance", "frozen_covariance"):
        assert kept[name].sel(lag=1).isel(at).values.min() > 3.0
        assert abs(lost[name].sel(lag=1).isel(at).mean()) < 0.2


def test_replicas_are_the_same_runs_whatever_their_number():
    few = simulate(RateNetwork(), TIMES, n=30, seed=1, weights="explicit", record="state", replicas=1)
    more = simulate(RateNetwork(), TIMES, n=30, seed=1, weights="explicit", record="state", replicas=3)
    np.testing.assert_allclose(few["state"], more["state"], rtol=1e-10)
    assert few["state"].dims == ("realisation", "neuron", "time")


@pytest.mark.parametrize("weights", ["explicit", "integrated"])
def test_same_seed_same_bytes_and_single_precision_is_near(weights):
    runs = [simulate(RateNetwork(), TIMES, n=50, realisations=2, seed=8, weights=weights, replicas=2) for _ in range(2)]
    assert runs[0]["covariance"].values.tobytes() == runs[1]["covariance"].values.tobytes()
    single = simulate(RateNetwork(), TIMES, n=500, realisations=60, seed=8, weights=weights, precision="float32")
    sample = single["covariance"].sel(lag=0).isel(time=-1, time_=-1).values
    error = sample.std(ddof=1) / np.sqrt(60)
    assert abs(sample.mean() - 13.9875) < 5 * error + 0.1


@pytest.mark.parametrize(("weights", "n"), [("integrated", 30_000), ("explicit", 1500)])
def test_the_bytes_do_not_depend_on_threads(weights, n):
    # workers run with one thread, this process with as many as there are cores
    one = simulate(RateNetwork(), np.arange(12.0), n=n, realisations=2, seed=8, weights=weights)
    two = simulate(RateNetwork(), np.arange(12.0), n=n, realisations=2, seed=8, weights=weights, workers=2)
    for name in one.data_vars:
        assert one[name].values.tobytes() == two[name].values.tobytes()


@pytest.mark.long
def test_heun_without_its_weights_has_the_same_law():
    model, times = RateNetwork.diffusion(), np.array([0.0, 0.4])
    found = {}
    for weights in ("explicit", "integrated"):
        runs = simulate(model, times, n=24, realisations=1500, seed=6, weights=weights, dt=0.1, lags=1)
        mean, last = runs["mean"].values[:, -1], {"time": -1, "time_": -1}
        parts = [runs[name].isel(last).values for name in ("covariance", "frozen_covariance")]
        found[weights] = np.column_stack([mean, mean**2, *parts, *(part**2 for part in parts)])
    a, b = found.values()
    z = (a.mean(0) - b.mean(0)) / np.sqrt((a.var(0, ddof=1) + b.var(0, ddof=1)) / 1500)
    assert z.shape == (10,)
    assert np.abs(z).max() < stats.norm.isf(0.5e-4 / 10)


def test_the_cheaper_way_is_chosen_and_said():
    few_steps = simulate(RateNetwork(), TIMES, n=1000, seed=0)
    assert few_steps.attrs["weights"] == "integrated"
    many_steps = simulate(RateNetwork(), np.arange(200.0), n=50, seed=0, replicas=4)
    assert many_steps.attrs["weights"] == "explicit"


def own(x):
    return jnp.tanh(x) + 0.1 * x


def test_a_users_function_runs_in_the_network():
    model = RateNetwork(activation=own, kernel=SeparableKernel(0.5, 0.3, 0.3))
    network = simulate(model, np.arange(4.0), n=2000, realisations=30, seed=0, weights="integrated")
    limit = solve_limit(model, np.arange(4.0))
    sample = network["covariance"].sel(lag=0).isel(time=-1, time_=-1).values
    assert_mean(sample, float(limit["covariance"].sel(lag=0)[-1, -1]))


def test_refusals():
    model = RateNetwork()
    with pytest.raises(InputError, match="`lags` must be less than half the ring"):
        simulate(model, TIMES, n=8, lags=4)
    with pytest.raises(InputError, match="`method` must be 'map' in discrete time"):
        simulate(model, TIMES, n=8, method="heun")
    with pytest.raises(InputError, match="`weights` must be one of 'auto', 'explicit', 'integrated'"):
        simulate(model, TIMES, n=8, weights="implicit")
    with pytest.raises(InputError, match=r"needs about .* TB of memory"):
        simulate(model, TIMES, n=2_000_000, weights="explicit")
    with pytest.raises(InputError, match="`times` must be consecutive integers"):
        simulate(model, np.arange(0, 2, 0.5), n=8)
    with pytest.raises(InputError, match="`dt` must be at most tau/2"):
        simulate(RateNetwork.diffusion(), TIMES, n=8, dt=1.0)
    with pytest.raises(InputError, match="activation returned NaN or the states grow"):
        simulate(RateNetwork(activation=jnp.log), TIMES, n=8)
    with pytest.raises(InputError, match="states grow without bound"), np.errstate(over="ignore", invalid="ignore"):
        simulate(RateNetwork(activation="linear", kernel=UncorrelatedKernel(1e60)), np.arange(40.0), n=8)
