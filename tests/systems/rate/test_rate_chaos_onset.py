"""The onset of chaos by theory."""

import numpy as np
import pytest

import largen as ln
from largen import analysis
from largen.checks import InputError


def chaotic(**changes):
    return ln.RateNetwork.chaotic().replace(**changes)


def test_tanh_becomes_chaotic_at_one():
    """By loss of stability, and by extrapolating Delta_0(g) from above: two independent equations."""
    near = np.array([1.002, 1.004, 1.006, 1.008, 1.010])
    found = analysis.chaos_onset(chaotic(), gains=[0.9, 1.5, 2.0, *near])
    assert abs(float(found["onset"]) - 1.0) < 1e-6
    variance = found["variance"].values
    np.testing.assert_allclose(variance[:3], [0.0, 0.7476863806, 1.9248054137], atol=1e-9)
    extrapolated = np.polynomial.Polynomial.fit(variance[3:], near, 4)(0.0)
    assert abs(extrapolated - 1.0) < 1e-6


def test_gain_time_constant_and_discrete_time_scale_the_onset():
    assert float(analysis.chaos_onset(chaotic(gain=2.0, tau=0.7))["onset"]) == pytest.approx(1 / 1.4, abs=1e-9)
    assert float(analysis.chaos_onset(chaotic(dynamics="discrete", gamma=0.3))["onset"]) == pytest.approx(0.7, abs=1e-9)
    scaled = analysis.chaos_onset(chaotic(gain=2.0, tau=0.5), gains=[1.5])
    assert float(scaled["variance"][0]) == pytest.approx(0.7476863806 / 4, abs=1e-9)


def test_random_thresholds_delay_chaos_and_the_condition_holds_there():
    """g^2 E f'^2 = 1 with the static variance g^2 E f^2 + s_theta^2, by Gauss-Hermite quadrature."""
    found = analysis.chaos_onset(chaotic(threshold_variance=0.3))
    g, variance = float(found["onset"]), float(found["static_variance"])
    x, weight = np.polynomial.hermite_e.hermegauss(120)
    weight = weight / weight.sum()
    rate = np.tanh(np.sqrt(variance) * x)
    assert g > 1.1
    assert variance == pytest.approx(g**2 * weight @ rate**2 + 0.3, abs=1e-8)
    assert g**2 * (weight @ (1 - rate**2) ** 2) == pytest.approx(1.0, abs=1e-8)


def test_only_independent_weights_without_noise():
    with pytest.raises(InputError, match="`kernel` must be an UncorrelatedKernel"):
        analysis.chaos_onset(ln.RateNetwork(noise=0.0))
    with pytest.raises(InputError, match="`noise` must be 0"):
        analysis.chaos_onset(ln.RateNetwork())
    with pytest.raises(InputError, match="balanced system has no theory of the onset of chaos"):
        analysis.chaos_onset(ln.BalancedNetwork())
    with pytest.raises(InputError, match="`gains` must be left out"):
        analysis.chaos_onset(chaotic(threshold_mean=0.1), gains=[1.5])
