"""The stationary regime: worked numbers, the late forward recursion, closed forms, the chaotic variance."""

import numpy as np
import pytest
from scipy import integrate, optimize

from largen.checks import LimitError
from largen.systems.rate import RateNetwork, SeparableKernel, TableKernel, UncorrelatedKernel
from largen.systems.rate import limit as rate_limit
from largen.systems.rate.stationary import Setting, Sweep, chaotic_variance, solve

STILL = {"mean_weight": 0.0, "threshold_mean": 0.0, "threshold_variance": 0.0}


def test_worked_numbers():
    found = solve(RateNetwork())
    np.testing.assert_allclose(found.covariance[0, :2], [16.6604355581, 16.5059148317], rtol=0, atol=1e-9)
    assert abs(found.frozen[0] - 16.0178283544) < 1e-9
    assert found.mean == 0.0


@pytest.mark.parametrize(
    "model",
    [
        RateNetwork(),
        RateNetwork(activation="tanh", gain=0.6, mean_weight=0.3),
        RateNetwork(kernel=TableKernel([[0.1, 0.1, 0.05], [0.35, 1.0, 0.35], [0.05, 0.1, 0.1]]), activation="logistic"),
        RateNetwork(kernel=UncorrelatedKernel(0.2), activation="tanh", gamma=0.3, noise=0.8, **STILL),
    ],
)
def test_the_late_recursion_arrives_there(model):
    found = solve(model, lags=2)
    late = rate_limit.solve(model, np.arange(801.0), rate_limit.Options(rtol=1e-9, atol=1e-11)).values
    assert abs(late["mean"][-1] - found.mean) < 1e-8
    np.testing.assert_allclose(late["covariance"][:, -1, -1:-31:-1], found.covariance[:, :30], rtol=0, atol=1e-8)
    np.testing.assert_allclose(late["frozen_covariance"][:, -1, -1], found.frozen, rtol=0, atol=1e-8)


def test_the_late_recursion_arrives_there_in_continuous_time():
    model = RateNetwork.diffusion()
    found = solve(model)
    times = np.concatenate([[0.0], np.linspace(14.0, 15.0, 17)])
    late = rate_limit.solve(model, times, rate_limit.Options()).values
    apart = np.round((15.0 - times[1:]) / found.time[1]).astype(int)
    np.testing.assert_allclose(apart * found.time[1], 15.0 - times[1:], atol=1e-12)
    np.testing.assert_allclose(late["covariance"][:, -1, 1:], found.covariance[:, apart], rtol=0, atol=1e-8)
    np.testing.assert_allclose(late["frozen_covariance"][:, -1, -1], found.frozen, rtol=0, atol=1e-8)
    assert found.error < 1e-7


def test_a_linear_network_has_the_closed_form():
    # K = s2 C: C(w) = sigma^2/(|e^{iw} - gamma|^2 - s2), and in continuous time /(w^2 + 1/tau^2 - s2)
    linear = {"activation": "linear", "kernel": UncorrelatedKernel(0.1), "noise": 0.7, "initial_mean": 0.0, **STILL}
    found = solve(RateNetwork(gamma=0.5, **linear))
    exact = [
        integrate.quad(lambda w, k=k: 0.49 * np.cos(k * w) / (1.25 - np.cos(w) - 0.1) / np.pi, 0, np.pi)[0]
        for k in range(4)
    ]
    np.testing.assert_allclose(found.covariance[0, :4], exact, rtol=0, atol=1e-9)
    found = solve(RateNetwork(dynamics="continuous", tau=0.8, **linear))
    rate = np.sqrt(1 / 0.8**2 - 0.1)
    np.testing.assert_allclose(found.covariance[0], 0.49 / (2 * rate) * np.exp(-rate * found.time), rtol=0, atol=1e-8)


def test_chaotic_variance():
    assert abs(chaotic_variance(1.5) - 0.7476863806) < 1e-10
    assert abs(chaotic_variance(2.0) - 1.9248054137) < 1e-10
    assert chaotic_variance(0.9) == chaotic_variance(1.0) == 0.0
    # just above the transition Delta_0 = (g - 1) + O((g - 1)^2): monotone, small, positive
    values = [chaotic_variance(g) for g in (1.001, 1.01, 1.05, 1.2)]
    assert np.all(np.diff([0.0, *values]) > 0)
    assert abs(values[0] / 0.001 - 1.0) < 0.01


def test_the_chaotic_regime_has_the_variance_of_the_energy_condition_and_nothing_frozen():
    # the stationary autocovariance by filtering, against the energy condition: two ways to one number
    found = solve(RateNetwork.chaotic(), lags=1, rtol=1e-6, atol=1e-8)
    assert abs(found.covariance[0, 0] - 0.7476863806) < 1e-7
    assert np.abs(found.frozen).max() < 1e-8
    assert not found.covariance[1].any()


def test_near_the_transition_mixing_saves_hundreds_of_sweeps():
    model = RateNetwork(
        activation="tanh", gamma=0.0, kernel=UncorrelatedKernel(0.98), noise=0.02, initial_mean=0.0, **STILL
    )
    found = solve(model)
    # with gamma = 0 the stationary variance solves v = s2 E tanh(sqrt(v) xi)^2 + sigma^2
    xi = np.linspace(-10, 10, 2001)
    weights = np.exp(-0.5 * xi**2)
    weights /= weights.sum()
    exact = optimize.brentq(lambda v: 0.98 * weights @ np.tanh(np.sqrt(v) * xi) ** 2 + 4e-4 - v, 1e-6, 1.0, xtol=1e-15)
    assert abs(found.covariance[0, 0] - exact) < 1e-9
    assert len(found.residuals) < 30
    sweep = Sweep(Setting(model, 0, 1e-8, 1e-10, 60.0), 64, 1.0)
    x, steps = sweep.pack(0.0, np.zeros(1), np.zeros((1, 65))), 0
    while np.abs(sweep(x) - x).max() > 1e-11:
        x, steps = sweep(x), steps + 1
    assert steps > 100


def test_what_has_no_stationary_regime_is_refused():
    with pytest.raises(LimitError, match="gamma = 1"):
        solve(RateNetwork(gamma=1.0))
    with pytest.raises(LimitError, match="without bound"):
        solve(RateNetwork(activation="linear", kernel=SeparableKernel(3.0, 0.5, 0.4)), horizon=400)
