"""The quadrature in JAX: equal to the Numba engine, its derivatives to differences; `smooth` and `dynamics`."""

import jax
import numpy as np
import pytest

import largen as ln
from largen import analysis
from largen.checks import InputError
from largen.systems.spiking.discretisation import Discretisation
from largen.systems.spiking.quadrature_jax.run import choose_form, numbers_of, run
from largen.systems.spiking.quadrature_jax.step import law, noise_matrices
from largen.systems.spiking.reduction.quadrature.cells import fill_noise
from largen.systems.spiking.reduction.quadrature.nodes import find_nodes

BOTH = ln.SpikingNetwork(
    size=(3000, 1000), strength=((0.5, 4.0), (0.8, 4.5)), probability=((0.03, 0.03), (0.03, 0.03)),
    decay=((3.0, 6.0), (3.0, 6.0)), external_rate=120.0, membrane_time=15.0, refractory_time=2.0,
)  # fmt: skip
"""Two populations with leak and both signs, 90 and 30 inputs; settles to about 9 and 12 Hz."""
OPTIONS = {"closure": "quadrature", "orders": (1, 2), "bin_width": 12.5}


@pytest.mark.long
def test_a_run_is_the_numba_engines():
    """To rounding, from rest over a volley; one population has no leak and another drive."""
    model = BOTH.replace(membrane_time=(15.0, np.inf), external_rate=(120.0, 6.0))
    times = np.arange(601) * 0.1
    expected = ln.solve_limit(model, times, error=False, **OPTIONS)["rate"].values[:, 1:].T * 1e-4
    with jax.enable_x64(True):
        form, orders = choose_form(model, Discretisation("quadrature", 12.5), (1, 2))
        drive = np.array([[120.0, 6.0]])
        found, state, good = run(numbers_of(model, 0.1), drive, steps=600, form=form)
    assert orders == (1, 2)
    assert bool(good)
    assert expected.max() > 0.002
    np.testing.assert_allclose(found, expected, atol=1e-13)
    families, pool = ([np.asarray(x) for x in part] for part in state[:2])
    mass = [np.sum(u[..., 0, :]) + np.sum(r) for u, r in zip(families, pool, strict=True)]
    np.testing.assert_allclose(mass, 1.0, atol=1e-12)


def test_the_pieces_are_those_of_the_numba_engine():
    with jax.enable_x64(True):
        noise = np.zeros((7, 3, 3))
        fill_noise(noise, 0.31, 0.0, 0.0, 3)
        np.testing.assert_allclose(noise_matrices(0.31, 3), noise, atol=1e-13)
        for g in (0.02, 0.9, 31.0):
            z = np.zeros(5)
            find_nodes(z, 5, g)
            np.testing.assert_allclose(law(g, 5)[0], z, rtol=1e-11, atol=1e-11)


def differences(function, value, step):
    """The derivative by central differences of fourth order, and a bound on their error from twice the step."""

    def slope(h):
        near, far = function(value + h) - function(value - h), function(value + 2 * h) - function(value - 2 * h)
        return (8.0 * near - far) / (12.0 * h)

    found = slope(step)
    return found, np.abs(found - slope(2.0 * step))


NAMES = ("strength[e,e]", "probability[e,i]", "decay[i,i]", "external_rate[e]", "membrane_time[i]", "reversal")


@pytest.mark.long
def test_derivatives_are_those_of_differences():
    """Spikes of 4 ms from a state at 40 ms, by six parameters: relative 1e-6, and the error of the differences."""
    model = BOTH.replace(external_rate=(120.0, 118.0), membrane_time=(15.0, 14.0))
    values = np.array([float(model.value(name)) for name in NAMES])
    with jax.enable_x64(True):
        form, _ = choose_form(model, Discretisation("quadrature", 12.5), (1, 2))
        state = run(numbers_of(model, 0.1), np.array([[120.0, 118.0]]), steps=400, form=form)[1]

        def spikes(p):
            varied = model
            for name, value in zip(NAMES, p, strict=True):
                varied = varied.varied(name, value, model.populations)
            rates = jax.numpy.broadcast_to(jax.numpy.asarray(varied.external_rate, float), (2,))[None]
            return run(numbers_of(varied, 0.1), rates, steps=40, form=form, state=state)[0].sum(0)

        slopes = np.asarray(jax.jit(jax.jacfwd(spikes))(values)).T
        quick = jax.jit(spikes)
        for k, slope in enumerate(slopes):
            along = np.eye(len(values))[k]
            by_differences, error = differences(
                lambda x, e=along: np.asarray(quick(values + x * e)), 0.0, 1e-4 * abs(values[k])
            )
            assert np.all(np.abs(slope) > 0.0), NAMES[k]
            assert np.all(error < 1e-4 * np.abs(slope).max()), NAMES[k]
            off = np.abs(slope - by_differences)
            np.testing.assert_array_less(off, 1e-6 * np.abs(slope).max() + 2.0 * error, NAMES[k])


@pytest.mark.long
def test_a_drive_that_varies_is_the_numba_engines():
    wave = BOTH.replace(external_rate=lambda t: np.array([120.0 + 20.0 * np.sin(t / 5.0), 120.0]))
    expected = ln.solve_limit(wave, np.arange(401) * 0.1, error=False, **OPTIONS)["rate"].values[:, 1:].T * 1e-4
    with jax.enable_x64(True):
        form, _ = choose_form(wave, Discretisation("quadrature", 12.5), (1, 2))
        drive = np.stack([wave.external_rate(0.1 * k) for k in range(400)])
        found, _, good = run(numbers_of(wave, 0.1), drive, steps=400, form=form)
    assert bool(good)
    np.testing.assert_allclose(found, expected, atol=1e-13)


@pytest.mark.long
def test_the_statistics_of_a_fit_have_derivatives():
    """`smooth`: rates and synchrony and their derivative by a strength, forward and in reverse."""
    times = np.array([0.0, 120.0])
    with jax.enable_x64(True):
        limit = BOTH.smooth(times, start=60.0, **OPTIONS)
        expected = ln.solve_limit(BOTH, np.arange(1201) * 0.1, error=False, **OPTIONS)["rate"].values[:, 601:]

        def rate(s):
            return limit(BOTH.replace(**{"strength[e,e]": s}))[0]["rate"][0]

        values, good = limit(BOTH)
        forward = jax.jvp(rate, (0.5,), (1.0,))[1]
        reverse = jax.grad(rate)(0.5)
        found, error = differences(lambda s: np.asarray(rate(s)), 0.5, 1e-4)
    assert bool(good)
    weights = np.sin(np.pi * (np.arange(600) + 0.5) / 600) ** 2
    np.testing.assert_allclose(values["rate"], expected @ weights / weights.sum(), rtol=1e-9)
    np.testing.assert_allclose(reverse, forward, rtol=1e-9)
    assert abs(float(forward) - found) < 1e-6 * abs(found) + 2.0 * error
    assert limit.names == ("rate", "synchrony")


@pytest.mark.long
def test_a_stationary_state_is_where_a_long_run_ends():
    model, options = BOTH.replace(strength=((0.3, 2.0), (0.5, 2.2))), OPTIONS | {"orders": (0, 1)}
    state = analysis.fixed_points(model, **options)
    late = ln.solve_limit(model, np.arange(0.0, 601.0), error=False, **options)["rate"].values[:, -1]
    np.testing.assert_allclose(state["rate"].values[0], late, rtol=1e-7)
    assert bool(state["stable"].values[0])


def test_what_it_does_not_have_is_refused():
    with pytest.raises(InputError, match="`refractory` must be 'exponential'"):
        BOTH.replace(refractory="fixed").dynamics(None, n=None, **OPTIONS)
    with pytest.raises(InputError, match="`external_rate` must be constant"):
        BOTH.replace(external_rate=lambda t: np.full(2, 100.0)).dynamics(None, n=None, **OPTIONS)
    with pytest.raises(InputError, match="`orders` must be absent with closure='joint'"):
        BOTH.dynamics(None, n=None, orders=(1, 1))
    with pytest.raises(InputError, match="`orders` must be absent with closure='joint'"):
        BOTH.smooth(np.array([0.0, 100.0]), orders=(1, 1))
