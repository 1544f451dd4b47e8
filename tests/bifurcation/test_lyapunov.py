"""Lyapunov exponents against exact answers: linear maps, logistic map, Lorenz, eigenvalues, Floquet multipliers."""

import functools
import math

import jax.numpy as jnp
import numpy as np
import pytest

import largen as ln
from largen import analysis
from largen.checks import InputError, LimitError
from largen.numerics.streams import stream
from largen.systems.rate.weights import draw

MATRIX = np.array([[0.5, 0.3, 0.0], [0.0, -1.2, 0.4], [0.1, 0.0, 0.3]])


def linear(x):
    return jnp.asarray(MATRIX) @ x


def logistic(x):
    return 4.0 * x * (1.0 - x)


def lorenz(y):
    return jnp.stack([10.0 * (y[1] - y[0]), y[0] * (28.0 - y[2]) - y[1], y[0] * y[1] - 8.0 / 3.0 * y[2]])


def test_a_linear_map_has_the_logarithms_of_its_eigenvalues():
    # The orbit itself stays at its fixed point 0.
    found = analysis.lyapunov(linear, kind="map", state=np.zeros(3), duration=400, exponents=3)
    exact = np.sort(np.log(np.abs(np.linalg.eigvals(MATRIX))))[::-1]
    np.testing.assert_allclose(found["exponent"][0], exact, atol=1e-9)
    assert found["exponent"].attrs["units"] == "1/step"


def test_the_logistic_map_has_ln_2():
    found = analysis.lyapunov(logistic, kind="map", state=[0.3], duration=20_000)
    error = float(found["mean_exponent_se"][0])
    assert error < 1e-3
    assert abs(float(found["mean_exponent"][0]) - math.log(2)) < 5 * error


@pytest.mark.parametrize(("rate", "critical"), [(2.0, 1), (1.0 + math.sqrt(5.0), 2), (3.4985616993277, 4)])
def test_a_superstable_orbit_has_minus_infinity(rate, critical):
    """The logistic map where the critical point 1/2 lies on the orbit of period 1, 2, 4; beside it ln |f'|."""
    family = analysis.Map(lambda x, q: q["r"] * x * (1.0 - x), [0.3], {"r": rate})
    found = analysis.lyapunov(family, duration=1000)
    for name in ("exponent", "mean_exponent", "exponent_of_block"):
        assert np.all(np.isneginf(found[name])), name
    for name in ("exponent_se", "mean_exponent_se"):
        assert np.all(found[name] == 0), name
    assert "superstable" in found.attrs["status"]
    beside = analysis.Map(family.function, [0.3], {"r": rate + 1e-6})
    near = analysis.lyapunov(beside, duration=1000, transient=1000)
    assert near.attrs["status"] == "completed"
    if critical == 1:
        assert float(near["exponent"][0, 0]) == pytest.approx(math.log(1e-6), rel=1e-6)


def test_a_strong_contraction_and_a_singular_map_are_told_apart():
    strong = analysis.lyapunov(lambda x: 1e-20 * x + 1.0, kind="map", state=[0.3], duration=200)
    assert float(strong["exponent"][0, 0]) == pytest.approx(math.log(1e-20))
    henon = {"kind": "map", "state": [0.1, 0.1], "duration": 1000, "exponents": 2}
    flat = analysis.lyapunov(lambda x: jnp.array([1.0 - 1.2 * x[0] ** 2 + x[1], 0.0 * x[0]]), **henon)
    assert np.isfinite(flat["exponent"][0, 0])
    assert np.isneginf(flat["exponent"][0, 1])
    assert flat.attrs["status"].startswith("mode 1: minus infinity")


def test_lorenz():
    """.9056, 0 and -14.5723 (Wolf et al. 1985; Viswanath 1998); their sum is the divergence, exactly."""
    found = analysis.lyapunov(lorenz, state=[1.0, 1.0, 20.0], dt=0.01, duration=1000.0, exponents=3, transient=20.0)
    value, error = found["exponent"].values[0], found["exponent_se"].values[0]
    assert np.all(np.abs(value - [0.9056, 0.0, -14.5723]) < 5 * error)
    assert error[0] < 0.02
    assert value.sum() == pytest.approx(-41.0 / 3.0, abs=1e-3)


def test_rate_network_at_rest_has_its_rightmost_eigenvalue():
    """Below the transition the exponent is that of the linearised network, of the very weights of `simulate`."""
    model = ln.RateNetwork.chaotic().replace(kernel=ln.UncorrelatedKernel(0.49))
    found = analysis.lyapunov(model, n=100, duration=300.0, transient=150.0, realisations=2, seed=3)
    for r in range(2):
        rng = functools.partial(stream, 3, "n", 100, "realisation", r)
        exact = np.linalg.eigvals(draw(model.kernel, 100, 0.0, rng("weights"))).real.max() - 1.0
        value, error = (float(found[name].values[r, 0]) for name in ("exponent", "exponent_se"))
        assert abs(value - exact) < 5 * error + 1e-4
    assert float(found["mean_exponent"][0]) < 0


def test_rate_network_beyond_the_transition_is_chaotic():
    model = ln.RateNetwork.chaotic().replace(kernel=ln.UncorrelatedKernel(25.0))
    found = analysis.lyapunov(model, n=100, duration=300.0, transient=150.0, realisations=3, seed=3)
    assert np.all(found["mean_exponent"] > 4 * found["mean_exponent_se"])
    discrete = analysis.lyapunov(model.replace(dynamics="discrete", gamma=0.0), n=100, duration=400, seed=3)
    assert np.all(discrete["exponent"] > 5 * discrete["exponent_se"])


@pytest.mark.long
def test_balanced_network_relaxes_at_its_eigenvalues():
    """At its stable state: the two largest eigenvalues of the moment equations of 200 neurons, from `fixed_points`."""
    found = analysis.lyapunov(ln.BalancedNetwork(), n=200, duration=30.0, transient=20.0, exponents=2, blocks=5)
    np.testing.assert_allclose(found["exponent"][0], [-1.89655106, -2.04093123], atol=0.01)


@pytest.mark.long
def test_spiking_orbit_has_its_floquet_multipliers():
    """P1 at p_ei = 0.65: exponents 0 (phase) and ln(0.1089)/16.2151 ms, from the reference multiplier and period."""
    model = ln.SpikingNetwork().replace(**{"probability[e,i]": 0.65})
    about = {"linear_in_bin": False, "affine_drift": False, "bin_width": 4.0}
    found = analysis.lyapunov(model, duration=325.0, transient=500.0, exponents=2, blocks=4, **about)
    value = found["exponent"].values[0]
    assert value[0] == pytest.approx(0.0, abs=0.01)
    assert value[1] == pytest.approx(math.log(0.1089) / 16.2151, abs=0.01)
    assert found.attrs["dt"] == 0.1


def test_what_cannot_be_measured_says_so():
    with pytest.raises(InputError, match="`noise` must be 0"):
        analysis.lyapunov(ln.RateNetwork(), n=20, duration=100)
    with pytest.raises(InputError, match="`n` must be given"):
        analysis.lyapunov(ln.RateNetwork.chaotic(), duration=100)
    with pytest.raises(InputError, match="`dt` must be given"):
        analysis.lyapunov(lorenz, state=[1.0, 1.0, 20.0], duration=10.0)
    with pytest.raises(InputError, match="`duration` must hold 5 stretches"):
        analysis.lyapunov(logistic, kind="map", state=[0.3], duration=20)
    with pytest.raises(InputError, match="shape"):
        analysis.lyapunov(lambda x: x[0], kind="map", state=[0.3], duration=200)
    with pytest.raises(LimitError, match="does not stay finite"):
        analysis.lyapunov(lambda x: 5.0 * x * (1.0 - x), kind="map", state=[1.3], duration=200)
