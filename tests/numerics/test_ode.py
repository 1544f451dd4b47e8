"""Initial value problems and implicit roots: exact solutions, events, breaks, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from largen.numerics import ode
from largen.numerics.ode import Outcome, integrate
from largen.numerics.roots import implicit_root


def oscillator(time, state, omega):
    return omega * jnp.stack([state[1], -state[0]])


def solve(*args, **options):
    """The path as NumPy arrays (comparing JAX arrays outside the double-precision context warns)."""
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, ode.integrate(*args, **options))


START, TIMES = np.array([1.0, 0.0]), np.linspace(0.0, 10.0, 101)


@pytest.mark.parametrize("solver", ["tsit5", "dopri8", "kvaerno5"])
def test_oscillator_to_tolerance(solver):
    path = solve(oscillator, START, TIMES, np.array(1.0), rtol=1e-9, atol=1e-9, solver=solver)
    assert path.code == Outcome.COMPLETED
    assert path.stopped_at == np.inf
    np.testing.assert_allclose(path.values[:, 0], np.cos(TIMES), atol=3e-7)
    np.testing.assert_allclose(path.last, path.values[-1], atol=1e-14)


def test_stiff_right_hand_side():
    def field(time, y, rate):
        return -rate * (y - jnp.cos(time))

    path = solve(field, np.array(2.0), TIMES, np.array(1e4), rtol=1e-9, atol=1e-9, solver="kvaerno5")
    exact = np.cos(TIMES) + np.sin(TIMES) / 1e4
    np.testing.assert_allclose(path.values[1:], exact[1:], atol=1e-6)
    assert path.steps < 4000


def test_event_stops_where_it_first_rises_through_zero_and_carries_derivatives():
    with jax.enable_x64(True):

        def stop(omega):
            path = integrate(
                oscillator, START, TIMES, omega, rtol=1e-11, atol=1e-11, event=lambda t, y, args: -y[0] - 0.5
            )
            return path.stopped_at, path

        (time, path), slope = jax.value_and_grad(stop, has_aux=True)(jnp.array(1.0))
        time, path, slope = jax.tree.map(np.asarray, (time, path, slope))
    assert path.code == Outcome.EVENT
    np.testing.assert_allclose(time, 2 * np.pi / 3, rtol=1e-10)
    np.testing.assert_allclose(slope, -2 * np.pi / 3, rtol=1e-7)
    np.testing.assert_allclose(path.last[0], -0.5, atol=1e-10)
    assert np.all(np.isinf(path.values[time < TIMES]))
    assert np.all(np.isfinite(path.values[time > TIMES]))


def test_a_solution_that_blows_up_ends_where_it_does():
    path = solve(lambda t, y, args: y**2, np.array(1.0), TIMES, rtol=1e-8, atol=1e-8, max_steps=500)
    assert path.code == Outcome.MAX_STEPS_REACHED
    np.testing.assert_allclose(path.stopped_at, 1.0, atol=1e-3)


def test_steps_end_at_breaks():
    path = solve(
        lambda t, y, args: jnp.where((t > 1.5) & (t < 4.0), 1.0, 0.0),
        np.array(0.0),
        TIMES,
        rtol=1e-10,
        atol=1e-10,
        breaks=np.array([-1.0, 1.5, 4.0]),
    )
    np.testing.assert_allclose(path.values, np.clip(TIMES - 1.5, 0, 2.5), atol=1e-9)
    assert path.steps < 60


@pytest.mark.parametrize("derivative", [pytest.param("reverse", marks=pytest.mark.long), "forward"])
def test_derivatives_through_the_solution(derivative):
    with jax.enable_x64(True):

        def end(omega):
            path = integrate(oscillator, START, TIMES, omega, rtol=1e-10, atol=1e-10, derivative=derivative)
            return path.last[0]

        found = (jax.grad if derivative == "reverse" else jax.jacfwd)(end)(jnp.array(1.2))
    np.testing.assert_allclose(found, -10 * np.sin(12.0), rtol=1e-6)


def test_implicit_root_and_its_derivatives():
    with jax.enable_x64(True):

        def root(a):
            return implicit_root(lambda y, a: y**3 - a, jnp.array(1.9), a)

        np.testing.assert_allclose(root(8.0), 2.0, rtol=1e-14)
        np.testing.assert_allclose(jax.grad(root)(8.0), 1 / 12, rtol=1e-12)
        np.testing.assert_allclose(jax.grad(jax.grad(root))(8.0), -2 / 9 / 32, rtol=1e-10)


def follow(flow, start, at_rest, horizon, rtol, max_steps=10_000):
    with jax.enable_x64(True):
        options = {"rtol": rtol, "atol": 1e-14, "max_steps": max_steps}
        rest = ode.follow_to_rest(flow, jnp.asarray(start), at_rest, horizon, **options)
        return jax.tree.map(np.asarray, rest)


def never(x):
    return jnp.array(False)


def test_the_way_to_rest_is_that_of_the_flow():
    matrix, start = np.array([[-0.2, 3.0], [-2.0, -0.1]]), np.array([1.0, -0.5])
    passed = follow(lambda x: matrix @ x, start, never, 3.0, 1e-9)
    np.testing.assert_allclose(passed.state, scipy.linalg.expm(3.0 * matrix) @ start, rtol=1e-7)
    assert not passed.reached
    np.testing.assert_allclose(passed.time, 3.0, rtol=1e-8)
    rest = follow(jnp.sin, start, lambda x: jnp.max(jnp.abs(jnp.sin(x))) < 1e-6, 1e3, 1e-9)
    assert rest.reached
    np.testing.assert_allclose(rest.state, [np.pi, -np.pi], atol=2e-6)
    away = follow(lambda x: x**3, start, never, 1e3, 1e-9, max_steps=300)  # infinite at s = 1/2
    assert not away.reached
    assert away.steps == 300
    assert 0.49 < away.time <= 0.5


def test_the_way_to_rest_is_of_order_five():
    """An error of a step that is 1/32 costs twice the steps, besides the short ones of the beginning."""
    fine, middle, coarse = (
        int(follow(lambda x: -x, np.ones(1), never, 4.0, rtol).steps) for rtol in (1e-11, 32e-11, 1024e-11)
    )
    assert 1.9 < (fine - middle) / (middle - coarse) < 2.1
