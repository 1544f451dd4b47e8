"""The balanced network: its law against the finite-size equations, exact against steps, records, refusals."""

import re
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import solve_ivp

from largen.checks import InputError
from largen.numerics.streams import stream
from largen.parameters import TimeSeries
from largen.simulation import simulate, solve_limit
from largen.systems.balanced import BalancedNetwork, CustomGain, Logistic
from largen.systems.balanced.network import batched_thinning, constants, run, state
from statistics_tools import FALSE_ALARM, assert_mean

S1 = BalancedNetwork.rank_one()
S3 = BalancedNetwork.off_manifold()
TIMES = np.array([0.0, 0.05, 0.1, 0.3, 0.6, 1.0])
OBSERVABLES = ("mean", "variance", "third_cumulant", "rate")


def replicates(model, method, count, seed, n=400, times=TIMES):
    return simulate(model, times, n=n, realisations=count, seed=seed, method=method)


def distance(network, finite, names):
    """p-value of the Mahalanobis distance between the mean over realisations and the equations."""
    samples = np.concatenate([network[o].values.reshape(network.sizes["realisation"], -1) for o in names], axis=1)
    error = samples.mean(0) - np.concatenate([finite[o].values.ravel() for o in names])
    count, size = samples.shape
    statistic = count * error @ np.linalg.solve(np.cov(samples.T), error)
    return stats.f.sf(statistic * (count - size) / (size * (count - 1)), size, count - size)


@pytest.mark.parametrize("model", [S1, S3], ids=["S1", "S3"])
@pytest.mark.parametrize("method", ["exact", "tau_leap"])
def test_law_against_the_finite_size_equations(model, method):
    network = replicates(model, method, 150, seed=4)
    finite = solve_limit(model, TIMES, n=400)
    for name in OBSERVABLES:
        assert distance(network, finite, [name]) > FALSE_ALARM, name


def test_a_wrong_coupling_is_caught():
    network = replicates(S3, "tau_leap", 150, seed=4)
    wrong = solve_limit(S3.replace(**{"coupling[e,i]": 2.2}), TIMES, n=400)
    assert distance(network, wrong, ["mean"]) < FALSE_ALARM


def test_exact_and_tau_leap_agree_in_law():
    exact, leaps = (replicates(S3, method, 150, seed=9) for method in ("exact", "tau_leap"))
    for name in OBSERVABLES:
        for time in (0.1, 1.0):
            x, y = exact[name].sel(time=time).values, leaps[name].sel(time=time).values
            for a in range(2):
                assert stats.ks_2samp(x[:, a], y[:, a]).pvalue > FALSE_ALARM, (name, time, a)
                assert stats.ttest_ind(x[:, a], y[:, a], equal_var=False).pvalue > FALSE_ALARM, (name, time, a)


@pytest.mark.parametrize("method", [pytest.param("exact", marks=pytest.mark.long), "tau_leap"])
@pytest.mark.long
def test_three_populations_with_unequal_fractions_and_noise(method):
    model = BalancedNetwork(
        coupling=((1.0, 2.0, 0.5), (1.2, 1.8, 0.9), (0.7, 0.3, 1.1)),
        sign=(1, -1, -1),
        tau=(1.0, 0.7, 1.6),
        gain=(Logistic(1.5, 2.0, 0.5), S3.gain[1], Logistic(1.8, 1.0, 0.2)),
        drive=(0.4, 0.5, 0.2),
        input=(0.1, -0.2, 0.3),
        initial_mean=(0.0, 0.0, 0.0),
        initial_variance=(0.2, 0.6, 0.4),
        fractions=(0.5, 0.3, 0.2),
        noise=(0.8, 0.0, 0.5),
    )
    network = replicates(model, method, 100, seed=2, n=300, times=np.array([0.0, 0.2, 0.5]))
    finite = solve_limit(model, network.time.values, n=300)
    for name in ("mean", "variance"):
        assert distance(network, finite, [name]) > FALSE_ALARM, name


@pytest.mark.parametrize("method", ["exact", "tau_leap"])
@pytest.mark.long
def test_without_coupling_it_is_an_ornstein_uhlenbeck_process(method):
    model = S3.replace(coupling=np.zeros((2, 2)), drive=(0.0, 0.0), input=(0.5, -0.5), tau=(1.0, 2.0), noise=(1.0, 0.5))
    network = simulate(model, [0.0, 1.5], n=400, realisations=80, seed=3, method=method)
    tau, power = np.array([1.0, 2.0]), np.array([1.0, 0.25])
    mean = np.array([0.5, -0.5]) * tau * (1 - np.exp(-1.5 / tau))
    k = 0.5 * tau * power + (model.initial_variance - 0.5 * tau * power) * np.exp(-3.0 / tau)
    for a in range(2):
        assert_mean(network["mean"].values[:, a, -1], mean[a])
        assert_mean(network["variance"].values[:, a, -1], k[a])
        assert_mean(network["third_cumulant"].values[:, a, -1], 0.0)


@pytest.mark.parametrize("method", ["exact", "tau_leap"])
def test_shared_synapses_keep_differences_between_neurons(method):
    network = simulate(BalancedNetwork.shared(), TIMES, n=400, seed=1, method=method)
    k = network["variance"].values[0]
    np.testing.assert_allclose(k, k[:, :1] * np.exp(-2 * TIMES), rtol=1e-9)
    assert np.ptp(network["mean"].values) > 0.01


def test_shared_and_independent_synapses_have_the_same_mean_input():
    mean = [
        simulate(model, [0.0, 0.05], n=400, realisations=150, seed=8, method="exact")["mean"].values[:, :, -1]
        for model in (S3, S3.replace(synapses="shared"))
    ]
    for a in range(2):
        assert stats.ttest_ind(mean[0][:, a], mean[1][:, a], equal_var=False).pvalue > FALSE_ALARM


@pytest.mark.parametrize("method", ["exact", "tau_leap"])
def test_recorded_spikes_explain_the_recorded_states(method):
    times = np.linspace(0, 1, 5)
    network = simulate(S3, times, n=400, seed=5, method=method, record=("spikes", "state"), neurons=[0, 7, 200, 399])
    assert network.neuron.values.tolist() == ["e0", "e7", "i0", "i199"]
    jump = np.array([[1.0, -2.0], [1.2, -1.8]]) / np.sqrt(200)
    drive = np.sqrt(200) * np.array([0.65, 0.48])
    for row, (a, j) in enumerate([(0, 0), (0, 7), (1, 0), (1, 199)]):
        mine = (network.spike_population.values == a) & (network.spike_neuron.values == j)
        when, source = network.spike_time.values[mine], network.spike_source.values[mine]
        rebuilt = [
            network["state"].values[0, row, 0] * np.exp(-t)
            + drive[a] * (1 - np.exp(-t))
            + np.sum(jump[a, source] * np.exp(when - t) * (when <= t))
            for t in times
        ]
        # Within a step of tau-leaping jumps are spread evenly, but recorded at uniform times.
        tolerance = 1e-9 if method == "exact" else 0.02
        np.testing.assert_allclose(network["state"].values[0, row], rebuilt, atol=tolerance)
    assert np.all(np.diff(network.spike_time.values) >= 0)


def test_spike_counts_are_the_integrated_rates():
    times = np.linspace(0, 1, 201)
    for model in (S3, BalancedNetwork.shared()):
        network = simulate(model, times, n=400, seed=6, method="exact", record="spikes", neurons=np.arange(0, 400, 2))
        rate = np.trapezoid(network["rate"].values[0], times, axis=-1)
        for b in range(2):
            count = int(np.sum(network.spike_source.values == b))
            expected = rate[b] * (200 * 200 if model is S3 else 100)
            low, high = stats.poisson.interval(1 - FALSE_ALARM, expected)
            assert low <= count <= high


def test_a_users_gain_takes_the_same_path_as_the_gain_it_copies(monkeypatch):
    monkeypatch.setattr(run, "_vectorised", lambda constants: False)  # a copy is served by the plain kernels
    copy = CustomGain(lambda x: 1.5 * jax.nn.sigmoid(2.0 * (x - 0.5)), maximum=1.5, steepest=0.75)
    for method in ("exact", "tau_leap"):
        a, b = (
            simulate(S3.replace(**{"gain[e]": gain}), TIMES, n=60, seed=3, method=method)
            for gain in (copy, Logistic(1.5, 2.0, 0.5))
        )
        for name in OBSERVABLES:
            np.testing.assert_allclose(a[name], b[name], atol=1e-9)


def falling(x):
    return 1.2 * jax.nn.sigmoid(-3.0 * x)


@pytest.mark.long
def test_falling_gain_by_thinning():
    model = S3.replace(**{"gain[i]": CustomGain(falling, maximum=1.2, steepest=0.9)})
    network = simulate(model, [0.0, 0.1], n=100, realisations=60, seed=1, method="exact")
    finite = solve_limit(model, [0.0, 0.1], n=100)
    for a in range(2):
        assert_mean(network["rate"].values[:, a, -1], float(finite["rate"].values[a, -1]))


@pytest.mark.parametrize(
    ("gain", "message"),
    [
        (CustomGain(lambda x: 2.0 * jax.nn.sigmoid(x), maximum=1.5, steepest=0.5), "`maximum` must bound the gain"),
        (CustomGain(lambda x: jax.nn.sigmoid(x) - 0.1, maximum=1.0, steepest=0.25), "`maximum` must bound the gain"),
        (CustomGain(lambda x: jax.nn.sigmoid(4.0 * x), maximum=1.0, steepest=0.5), "`steepest` must be at least"),
        (CustomGain(lambda x: jnp.exp(-(x**2)), maximum=1.0, steepest=0.9), "not monotone"),
    ],
)
def test_gains_that_are_not_what_they_claim(gain, message):
    with pytest.raises(InputError, match=message):
        simulate(S3.replace(**{"gain[e]": gain}), TIMES, n=60, method="exact")


def test_a_gain_that_is_not_monotone_runs_by_steps():
    gain = CustomGain(lambda x: jnp.exp(-(x**2)), maximum=1.0, steepest=0.9)
    model = S3.replace(**{"gain[e]": gain})
    network = simulate(model, TIMES, n=200, seed=1)
    assert network.attrs["method"] == "tau_leap"
    bad = S3.replace(**{"gain[e]": CustomGain(lambda x: 2.0 * jnp.exp(-(x**2)), maximum=1.0, steepest=2.0)})
    with pytest.raises(InputError, match="must bound the gain"):
        simulate(bad, TIMES, n=200)


def test_response_to_a_moving_drive():
    model = S3.replace(
        drive=lambda t: jnp.array([jnp.sin(t), jnp.cos(3 * t)]),
        input=TimeSeries([0.0, 1.0, 3.0], [[0.0, 1.0], [2.0, 1.0], [0.0, 0.0]]),
        tau=(0.5, 2.0),
    )
    times = np.linspace(0, 3, 31)
    with jax.enable_x64(True):
        response = constants.drive_response_of(model, times, 100.0)

    def field(t, g):
        m = [np.interp(t, [0, 1, 3], [0, 2, 0]), np.interp(t, [0, 1, 3], [1, 1, 0])]
        return -g / [0.5, 2.0] + m + 10 * np.array([np.sin(t), np.cos(3 * t)])

    exact = solve_ivp(field, (0, 3), [0, 0], t_eval=times, rtol=1e-10, atol=1e-10, max_step=0.05).y
    found = [[state.drive_response(response, t, a) for t in times] for a in range(2)]
    np.testing.assert_allclose(found, exact, atol=2e-6)


@pytest.mark.long
def test_moving_drive_in_the_network():
    model = S3.replace(drive=lambda t: jnp.array([0.65, 0.48]) * (1 + 0.3 * jnp.sin(6 * t)))
    times = np.array([0.0, 0.2, 0.5])
    finite = solve_limit(model, times, n=300)
    for method in ("exact", "tau_leap"):
        network = replicates(model, method, 80, seed=3, n=300, times=times)
        assert distance(network, finite, ["mean", "variance"]) > FALSE_ALARM


def test_same_seed_same_bytes_and_different_seed_different():
    for method in ("exact", "tau_leap"):
        one, two, other = (simulate(S3, TIMES, n=100, seed=s, method=method) for s in (1, 1, 2))
        assert one.identical(two)
        assert not np.array_equal(one["mean"], other["mean"])


def test_output_times_do_not_change_the_law():
    fine = np.unique(np.concatenate([TIMES, np.linspace(0, 1, 57)]))
    network = replicates(S3, "exact", 100, seed=7, n=200, times=fine)
    finite = solve_limit(S3, TIMES, n=200)
    for a in range(2):
        assert_mean(network["mean"].values[:, a, -1], float(finite["mean"].values[a, -1]))


@pytest.mark.long
def test_saddle_blows_up_as_the_square_root_of_n():
    model = BalancedNetwork.saddle()
    ends = [simulate(model, [0.0, 3.0], n=n, seed=1)["mean"].values[0, 0, -1] for n in (400, 6400)]
    np.testing.assert_allclose(ends[1] / ends[0], 4.0, rtol=0.25)
    assert abs(ends[1]) > 20


def test_automatic_method_and_estimates():
    assert S3.plan(TIMES, n=400, method=None, record=()).method == "exact"
    assert S3.plan(TIMES, n=100_000, method="auto", record=()).method == "tau_leap"
    with pytest.raises(InputError, match="hours of CPU time"):
        S3.plan(TIMES, n=1_000_000, method="exact", record=())
    assert S3.plan(TIMES, n=1_000_000, method="exact", record=(), time_limit=1e7).seconds > 3e4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"record": ("voltage",)}, "`record` must be one of"),
        ({"neurons": [0, 400]}, "`neurons` must lie in 0 to 399"),
        ({"neurons": 0}, "`neurons` must be at least 1"),
        ({"neurons": [0.5]}, "`neurons` must be an integer"),
        ({"dt": -1.0}, "`dt` must be greater than 0"),
        ({"dt": 0.1, "method": "exact"}, "`dt` must be left out"),
        ({"time_limit": 0.0}, "`time_limit` must be greater"),
        ({"method": "euler"}, "`method` must be one of"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        simulate(S3, TIMES, n=400, **options)


STEEP = (Logistic(maximum=1.5, slope=15.0, threshold=0.5), Logistic(maximum=2.0, slope=20.0, threshold=0.3))


@pytest.mark.parametrize("model", [BalancedNetwork(), BalancedNetwork(gain=STEEP)], ids=["flat", "steep"])
def test_a_step_that_cannot_hold_the_model_is_refused(model, monkeypatch):
    """The largest step that the refusal names gives the means of a fifth of it; 0.2 is seen to give others."""
    times, n = np.arange(0.0, 4.1, 0.5), 1600
    with pytest.raises(InputError, match=r"`dt` must be at most 0\.0\d+ for these .*, but is 0\.2\. Leave") as caught:
        simulate(model, times, n=n, method="tau_leap", dt=0.2)
    largest = float(re.search(r"at most ([0-9.]+)", str(caught.value))[1])
    monkeypatch.setattr(run, "_check_step", lambda *_: None)
    fine, coarse, beyond = (
        simulate(model, times, n=n, realisations=40, seed=seed, method="tau_leap", dt=dt)["mean"][..., 6:].mean("time")
        for seed, dt in enumerate((0.2 * largest, 0.99 * largest, 0.2))
    )
    for a in range(2):
        assert stats.ttest_ind(fine[:, a], coarse[:, a], equal_var=False).pvalue > FALSE_ALARM
        assert stats.ttest_ind(fine[:, a], beyond[:, a], equal_var=False).pvalue < FALSE_ALARM


def test_a_step_longer_than_the_membrane_remembers_is_refused():
    model, times = BalancedNetwork(tau=0.01, coupling=np.zeros((2, 2))), np.array([0.0, 1.0])
    with pytest.raises(InputError, match=r"`dt` must be at most 0\.0025 "):
        simulate(model, times, n=6, method="tau_leap", dt=0.01)
    simulate(model, np.array([0.0, 0.002]), n=6, method="tau_leap", dt=1.0)  # output times bound the step


def test_memory_is_proportional_to_n():
    n = 400_000
    tracemalloc.start()
    network = S3.network(
        np.array([0.0, 1e-4]),
        n=n,
        rng=lambda *names: stream(1, *names),
        method="tau_leap",
        record=(),
        tick=lambda fraction: None,
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.all(np.isfinite(network.values["mean"]))
    assert peak < 40 * n


def test_tick_can_stop_a_run():
    def stop(fraction):
        assert 0 <= fraction <= 1
        raise KeyboardInterrupt

    for method in ("exact", "tau_leap"):
        with pytest.raises(KeyboardInterrupt):
            S3.network(
                np.array([0.0, 5.0]), n=2000, rng=lambda *names: stream(1, *names), method=method, record=(), tick=stop
            )


def test_unbiased_cumulants():
    z = np.random.default_rng(1).gamma(2.0, size=(4000, 5))
    found = np.array([state.cumulants(row) for row in z])
    for k, expected in enumerate([2.0, 2.0, 4.0]):
        assert_mean(found[:, k], expected)
    np.testing.assert_allclose(found[:, 2], [stats.kstat(row, 3) for row in z], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", [pytest.param("exact", marks=pytest.mark.long), "tau_leap"])
@pytest.mark.parametrize(
    "model",
    [S3, pytest.param(S3.replace(gain=(Logistic(1.5, 2.0, 0.5), Logistic(2.0, 3.0, 0.3))), marks=pytest.mark.long)],
    ids=["probit", "logistic"],
)
def test_vectorised_kernels_have_the_law_of_the_plain_ones(model, method, monkeypatch):
    """Mean, variance, third cumulant and rate of 300 networks each: Welch's t and Kolmogorov-Smirnov."""
    vectorised = replicates(model, method, 300, seed=21)
    monkeypatch.setattr(run, "_vectorised", lambda constants: False)
    plain = replicates(model, method, 300, seed=22)
    for name in OBSERVABLES:
        a, b = (found[name].values[:, :, 1:].reshape(300, -1) for found in (vectorised, plain))
        assert stats.ttest_ind(a, b, axis=0, equal_var=False).pvalue.min() > FALSE_ALARM
        assert min(stats.ks_2samp(x, y).pvalue for x, y in zip(a.T, b.T, strict=True)) > FALSE_ALARM


def test_acceptance_between_knots_is_the_gain_itself():
    """Both sides of a knot's bracket, and beyond the knots, against the C library's erfc and exp."""
    knot = batched_thinning.workspace(constants.constants_of(S3, np.array([5, 5]), tables=False)).knot
    x = np.linspace(-batched_thinning.WIDTH, batched_thinning.WIDTH, batched_thinning.KNOTS + 1)
    np.testing.assert_allclose(knot[0], stats.norm.cdf(x), rtol=1e-13)
    assert np.all(np.diff(knot, axis=1) >= 0)
    assert np.max(np.diff(knot, axis=1)) < 0.01
