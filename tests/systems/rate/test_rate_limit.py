"""The thermodynamic limit: worked numbers, closed forms, and a second solver written with explicit lags."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special

import systems.rate.reference as reference
from largen.checks import InputError, LimitError
from largen.simulation import solve_limit
from largen.systems.rate import RateNetwork, SeparableKernel, TableKernel, UncorrelatedKernel
from largen.systems.rate import limit as rate_limit

ZERO = {"mean_weight": 0.0, "threshold_mean": 0.0, "threshold_variance": 0.0}
D3 = RateNetwork(
    gamma=0.0,
    activation="tanh",
    kernel=UncorrelatedKernel(2.25),
    noise=0.1,
    initial_mean=0.5,
    initial_variance=1.0,
    **ZERO,
)
C3 = RateNetwork(
    dynamics="continuous",
    activation="linear",
    tau=0.5,
    noise=0.6,
    initial_mean=0.4,
    initial_variance=0.2,
    kernel=SeparableKernel(1.0, 0.5, 0.3),
    **ZERO,
)


def test_worked_numbers_in_discrete_time():
    found = solve_limit(RateNetwork(), np.arange(9.0))
    assert abs(found["mean"].values[-1] + 0.0030962421) < 1e-9
    np.testing.assert_allclose(
        found["covariance"].values[:, -1, -1], [13.9875341048, 5.7611249292, 2.8805624646], rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(
        found["frozen_covariance"].values[:2, -1, -1], [13.2413340699, 5.6339700649], rtol=0, atol=1e-9
    )
    assert found.attrs["expectation_tail"] < 1e-12
    found = solve_limit(D3, np.arange(9.0))
    assert abs(found["covariance"].values[0, -1, -1] - 0.8144171011) < 1e-9
    assert not found["covariance"].values[1:].any()


def test_everything_agrees_with_explicit_lags_and_owens_t():
    found = solve_limit(RateNetwork(), np.arange(7.0), lags=4)
    mean, covariance, frozen = reference.discrete(
        6,
        lambda k, l: 1.5 * 0.5**k * (1.4 / 0.6 if l is None else 0.4**l),
        reference.probit_bivariate,
        lambda m, v: special.ndtr(m / np.sqrt(1 + v)),
        18,
        gamma=0.7,
        jbar=-0.8,
        theta=0.4,
        s_theta2=0.2,
        sigma=0.5,
        mu0=-0.3,
        v0=1.0,
    )
    np.testing.assert_allclose(found["mean"], mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["covariance"], covariance[:5], rtol=0, atol=1e-11)
    np.testing.assert_allclose(found["frozen_covariance"], frozen[:5], rtol=0, atol=1e-11)


TABLE = np.array([[0.1, 0.1, 0.05], [0.35, 1.0, 0.35], [0.05, 0.1, 0.1]])


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_a_table_agrees_with_explicit_lags_and_tensor_quadrature(activation):
    function = np.tanh if activation == "tanh" else special.expit
    model = RateNetwork(
        kernel=TableKernel(TABLE), activation=activation, gamma=0.4, mean_weight=0.7, initial_mean=0.2, noise=0.3
    )
    found = solve_limit(model, np.arange(4.0), lags=3)
    z = np.linspace(-11, 11, 801)
    w = np.exp(-0.5 * z * z)
    w /= w.sum()

    def kernel(k, l):
        if k > 1:
            return 0.0
        row = TABLE[1 + k]
        if l is None:
            return row.sum()
        return 0.5 * (row[1 + l] + row[1 - l]) if l <= 1 else 0.0

    mean, covariance, frozen = reference.discrete(
        3,
        kernel,
        reference.tensor_product(function),
        lambda m, v: w @ function(m + np.sqrt(v) * z),
        3,
        gamma=0.4,
        jbar=0.7,
        theta=0.4,
        s_theta2=0.2,
        sigma=0.3,
        mu0=0.2,
        v0=1.0,
    )
    np.testing.assert_allclose(found["mean"], mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["covariance"], covariance, rtol=0, atol=1e-11)
    np.testing.assert_allclose(found["frozen_covariance"], frozen, rtol=0, atol=1e-11)
    assert not found["covariance"].values[2:].any()


def test_a_separable_kernel_and_its_table_agree():
    lags = np.arange(-30, 31)
    table = 0.8 * np.outer((-0.3) ** np.abs(lags), 0.25 ** np.abs(lags))
    times = np.arange(12.0)
    one = solve_limit(RateNetwork(kernel=SeparableKernel(0.8, -0.3, 0.25)), times, lags=5)
    two = solve_limit(RateNetwork(kernel=TableKernel(table)), times, lags=5)
    for name in ("mean", "covariance", "frozen_covariance"):
        np.testing.assert_allclose(one[name], two[name], rtol=0, atol=1e-11)
    assert one["covariance"].values[1, -1, -1] < 0 < one["covariance"].values[2, -1, -1]


def test_recursion_and_fixed_point_agree():
    for model, count in ((RateNetwork(), 9), (D3, 30), (RateNetwork(activation="logistic"), 101)):
        times = np.arange(float(count))
        one = rate_limit.solve(model, times, rate_limit.Options())
        two = rate_limit.solve(model, times, rate_limit.Options(method="fixed_point"))
        for name in ("mean", "covariance", "frozen_covariance"):
            np.testing.assert_allclose(one.values[name], two.values[name], rtol=0, atol=1e-12)
        changes = two.attrs["sweep_changes"]
        assert two.attrs["sweeps"] == len(changes) <= count - 1
        assert np.all(np.diff(changes[2:]) < 0)
        if count == 9:
            assert len(changes) == 8
        if count == 101:
            assert np.sum(changes > 1e-10) <= 20


def bessel(model, s, t, lag):
    """Closed form of the linear network in continuous time: covariance at one lag; and the mean at t."""
    tau, sigma, mu0, v0 = (float(model.value(name)) for name in ("tau", "noise", "initial_mean", "initial_variance"))
    s2, post, pre = (float(x) for x in (model.kernel.variance, model.kernel.post, model.kernel.pre))
    c = s2 * (1 + post * pre) / (1 - post * pre)
    a = s2 * post**lag

    def g(x):
        return (special.iv(0, 2 * np.sqrt(x * c)) - 1) / c

    own = 1.0 if lag == 0 else 0.0
    start = v0 * (own + a * g(s * t)) + mu0**2 * (1 + a * (1 + pre) / (1 - pre) * g(s * t))

    def kick(u):
        return np.exp(2 * u / tau) * (own + a * g((s - u) * (t - u)))

    noise = sigma**2 * integrate.quad(kick, 0, min(s, t), epsabs=1e-13, epsrel=1e-13)[0]
    mean = mu0 * np.exp(-np.array([s, t]) / tau)
    return np.exp(-(s + t) / tau) * (start + noise) - mean[0] * mean[1]


def test_worked_numbers_and_bessel_functions_in_continuous_time():
    times = np.array([0.0, 0.3, 1.0, 1.37, 2.0])
    found = solve_limit(C3, times)
    assert abs(found["mean"].values[-1] - 0.0073262556) < 1e-10
    np.testing.assert_allclose(
        found["covariance"].values[:, -1, -1], [0.1067082359, 0.0083356675, 0.0041678337], rtol=0, atol=1e-9
    )
    for lag in range(3):
        exact = np.array([[bessel(C3, s, t, lag) for t in times] for s in times])
        np.testing.assert_allclose(found["covariance"].values[lag], exact, rtol=0, atol=1e-9)
    assert found.attrs["error_estimate"] < 1e-7
    loose = solve_limit(C3, times, rtol=1e-4, atol=1e-5)
    assert loose.attrs["grid_points"] < found.attrs["grid_points"]
    distance = np.abs(loose["covariance"] - found["covariance"]).max()
    assert distance <= loose.attrs["error_estimate"] < 1e-3


def test_continuous_time_is_the_limit_of_small_discrete_steps():
    model = RateNetwork.diffusion()
    times = np.array([0.0, 0.5, 1.0])
    found = solve_limit(model, times)
    coarse = []
    for steps in (40, 80, 160):
        h = 1.0 / steps
        euler = model.replace(
            dynamics="discrete",
            gamma=1 - h / 0.5,
            mean_weight=h * model.mean_weight,
            threshold_mean=h * model.threshold_mean,
            threshold_variance=h**2 * model.threshold_variance,
            noise=np.sqrt(h) * model.noise,
            kernel=SeparableKernel(h**2 * model.kernel.variance, model.kernel.post, model.kernel.pre),
        )
        pick = {"time": [0, steps // 2, steps], "time_": [0, steps // 2, steps]}
        coarse.append(solve_limit(euler, np.arange(steps + 1.0)).isel(pick))
    for name in ("mean", "covariance", "frozen_covariance"):
        a, b, c = (part[name].values for part in coarse)
        first = [2 * b - a, 2 * c - b]
        second = (4 * first[1] - first[0]) / 3
        np.testing.assert_allclose(found[name].values, second, rtol=0, atol=2e-5)


def test_fixed_point_in_continuous_time():
    times = np.linspace(0.0, 1.0, 6)
    loose = rate_limit.Options(lags=1, rtol=1e-6, atol=1e-8)
    one = rate_limit.solve(RateNetwork.diffusion(), times, loose)
    two = rate_limit.solve(RateNetwork.diffusion(), times, loose._replace(method="fixed_point"))
    for name in ("mean", "covariance", "frozen_covariance"):
        np.testing.assert_allclose(one.values[name], two.values[name], rtol=0, atol=1e-9)


def logistic(x):
    return 1 / (1 + jnp.exp(-x))


def test_a_function_of_the_users_and_the_gain():
    times = np.arange(6.0)
    words = solve_limit(RateNetwork(activation="logistic", gain=1.7), times)
    for function, gain in ((logistic, 1.7), (lambda x: jax.nn.sigmoid(1.7 * x), 1.0)):
        own = solve_limit(RateNetwork(activation=function, gain=gain), times)
        np.testing.assert_allclose(own["covariance"], words["covariance"], rtol=0, atol=1e-11)
    # erf(x) = 2 Phi(sqrt 2 x) - 1
    one = solve_limit(RateNetwork(activation="erf"), times)
    two = solve_limit(
        RateNetwork(
            gain=np.sqrt(2.0),
            mean_weight=-1.6,
            threshold_mean=0.4 + 0.8,
            kernel=SeparableKernel(6.0, 0.5, 0.4),
        ),
        times,
    )
    # the constant -1 has a random row sum of its own: only the one-step law at s = t = 1 without it is compared
    row = 6.0 * (1.4 / 0.6)
    rate = special.ndtr(np.sqrt(2) * -0.3 / np.sqrt(1 + 2))
    shift = row * (0.25 - rate)
    difference = one["covariance"].values[0, 1, 1] - two["covariance"].values[0, 1, 1]
    assert abs(difference - shift) < 1e-12
    assert abs(one["mean"].values[1] - two["mean"].values[1]) < 1e-12


def test_independent_weights_leave_neurons_independent_and_correlated_ones_do_not():
    times = np.arange(21.0)
    correlated = solve_limit(RateNetwork.correlated(), times)
    independent = solve_limit(RateNetwork.independent(), times)
    at = {"time": -1, "time_": -1}
    assert correlated["covariance"].sel(lag=1).isel(at) > 5.0
    share = correlated["frozen_covariance"].sel(lag=1).isel(at) / correlated["covariance"].sel(lag=1).isel(at)
    assert 0.9 < share < 1.0
    for name in ("covariance", "frozen_covariance"):
        assert not independent[name].sel(lag=[1, 2]).values.any()
    frozen_at_eight = correlated.isel(time=8, time_=8)
    assert round(float(frozen_at_eight["frozen_covariance"][1] / frozen_at_eight["covariance"][1]), 3) == 0.978


def test_covariances_are_symmetric_and_positive():
    found = solve_limit(RateNetwork(activation="tanh", gain=2.0), np.arange(15.0), lags=1)
    for name in ("covariance", "frozen_covariance"):
        for lag in range(2):
            matrix = found[name].values[lag]
            np.testing.assert_array_equal(matrix, matrix.T)
        assert np.linalg.eigvalsh(found[name].values[0]).min() > -1e-10
    rest = found["covariance"].values[0] - found["frozen_covariance"].values[0]
    assert np.linalg.eigvalsh(rest).min() > -1e-10


def test_without_noise_and_spread_everything_is_frozen():
    model = RateNetwork(noise=0.0, initial_variance=0.0, activation="tanh")
    found = solve_limit(model, np.arange(9.0))
    np.testing.assert_allclose(found["covariance"], found["frozen_covariance"], rtol=0, atol=1e-10)
    assert found["covariance"].values[0, -1, -1] > 0.1


def test_steep_activations_reach_correlation_one_by_other_means():
    steep = {"gain": 25.0, "noise": 0.05, "mean_weight": 0.0, "threshold_mean": 0.1, "threshold_variance": 0.0}
    times = np.arange(6.0)
    found = solve_limit(RateNetwork(activation="tanh", gamma=0.9, **steep), times, rtol=1e-6, atol=1e-8)
    # the probit of nearest shape bounds nothing, but an exact check exists for erf, whose series is as long
    erf = solve_limit(RateNetwork(activation="erf", gamma=0.9, **steep), times)
    own = solve_limit(RateNetwork(activation=jax.scipy.special.erf, gamma=0.9, **steep), times, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(own["covariance"], erf["covariance"], rtol=0, atol=1e-7)
    np.testing.assert_allclose(own["frozen_covariance"], erf["frozen_covariance"], rtol=0, atol=1e-7)
    assert found["covariance"].values[0, -1, -1] > 1.0


def test_a_truncated_row_sum_gives_another_theory():
    model, times = RateNetwork(), np.arange(9.0)
    coupling = model.kernel.coupling()
    cut = coupling._replace(total=np.array([1.5 * (1 + 2 * (0.4 + 0.4**2))]))
    wrong = rate_limit.moments(model, times, cut, rate_limit.Options())
    assert abs(wrong.covariance[0, -1, -1] - 13.9875341048) > 0.5


def test_bad_input_has_a_message():
    with pytest.raises(InputError, match="`times` must be consecutive integers"):
        solve_limit(RateNetwork(), np.arange(0.0, 2.0, 0.5))
    with pytest.raises(InputError, match="`activation` must be one of 'logistic'"):
        RateNetwork(activation="sigmoid")
    with pytest.raises(InputError, match=r"activation must be finite, but is nan at x = "):
        solve_limit(RateNetwork(activation=jnp.log), np.arange(3.0))
    with pytest.raises(InputError, match=r"needs about .* GB of memory, but .* GB are free"):
        solve_limit(RateNetwork(), np.arange(100_000.0))
    with pytest.raises(InputError, match="`step` must be left out"):
        solve_limit(RateNetwork(), np.arange(3.0), step=0.1)
    with pytest.raises(LimitError, match="grows without bound"):
        solve_limit(RateNetwork(activation="linear", kernel=UncorrelatedKernel(1e30)), np.arange(30.0))
