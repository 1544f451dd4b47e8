"""Curves, special points and orbits against normal forms, whose answers are exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from largen.numerics.continuation import linear
from largen.numerics.continuation.branch import Steps, trace
from largen.numerics.continuation.corrector import NotConverged
from largen.numerics.continuation.floquet import without_trivial
from largen.numerics.continuation.kinds import Ending, SpecialKind, Stop
from largen.numerics.continuation.problem import Equations, Point, Start
from largen.numerics.continuation.stationary import Stationary, default_scale, newton


def fold(x, p):
    return p - x * x


def hopf(x, p):
    return jnp.array([p * x[0] - 2.0 * x[1], 2.0 * x[0] + p * x[1]]) - x * (x @ x)


def pitchfork(x, p):
    return p * x - x**3


def transcritical(x, p):
    return p * x - x * x


def logistic(x, p):
    return p * x * (1 - x)


def fold_map(x, p):
    return x + p - x * x


def rotation(x, p):
    c, s = jnp.cos(1.1), jnp.sin(1.1)
    return (1 + p - x @ x) * jnp.array([c * x[0] - s * x[1], s * x[0] + c * x[1]])


def equations(f, x, span, *, scale=None, conserved=None):
    """A right-hand side f(x, p) with scales fit for states of the size of x."""
    rows = np.zeros((0, len(x))) if conserved is None else conserved
    return Equations(f, default_scale(x) if scale is None else scale, rows, span)


def follow(f, x, p, low, high, *, discrete=False, sign=1.0, problem=None, **steps):
    x = np.atleast_1d(np.array(x, dtype=float))
    with jax.enable_x64(True):
        problem = problem or Stationary(equations(f, x, high - low), x, discrete=discrete)
        direction = np.zeros(len(x) + 1)
        direction[-1] = sign
        items = list(trace(Start(problem, np.append(x, p), direction), low, high, Steps(**steps)))
    assert isinstance(items[-1], Ending)
    points = items[:-1]
    assert all(isinstance(point, Point) for point in points)
    return points, [point for point in points if point.special], items[-1]


@pytest.mark.parametrize(
    ("f", "x", "p", "sign", "discrete", "kind", "where", "value"),
    [
        (fold, 1.0, 1.0, -1.0, False, "fold", 0.0, 0.0),
        (hopf, [0.0, 0.0], -1.0, 1.0, False, "hopf", 0.0, 2.0j),
        (pitchfork, 0.0, -1.0, 1.0, False, "branch_point", 0.0, 0.0),
        (pitchfork, 1.0, 1.0, -1.0, False, "branch_point", 0.0, 0.0),
        (transcritical, 0.0, -1.0, 1.0, False, "branch_point", 0.0, 0.0),
        (fold_map, 1.0, 1.0, -1.0, True, "fold", 0.0, 1.0),
        (rotation, [0.0, 0.0], -0.5, 1.0, True, "neimark_sacker", 0.0, np.exp(1.1j)),
    ],
)
def test_normal_forms(f, x, p, sign, discrete, kind, where, value):
    _, special, ending = follow(f, x, p, -1.0, 1.1, sign=sign, discrete=discrete)
    assert [point.special.kind.value for point in special] == [kind]
    point = special[0]
    assert point.special.uncertainty < 1e-6
    assert abs(point.parameter - where) <= point.special.uncertainty + 1e-9
    assert abs(point.special.value - value) < 1e-5
    assert ending.stop is Stop.REACHED


def test_the_logistic_map_doubles_its_period_at_three():
    points, special, _ = follow(logistic, 1 / 3, 1.5, 0.5, 3.5, discrete=True)
    assert [point.special.kind for point in special] == [SpecialKind.PERIOD_DOUBLING]
    assert abs(special[0].parameter - 3.0) < 1e-6
    assert abs(special[0].z[0] - 2 / 3) < 1e-6
    for point in points:
        assert point.special or point.unstable == (point.parameter > 3.0)


def test_a_curve_turns_at_its_fold_and_counts_its_unstable_modes():
    points, _, _ = follow(fold, 1.0, 1.0, -1.0, 1.0, sign=-1.0)
    for point in points:
        assert abs(point.parameter - point.z[0] ** 2) < 1e-9
        assert point.special or point.unstable == (point.z[0] < 0)
    assert points[-1].z[0] == pytest.approx(-1.0)


def test_conserved_quantities_are_held_and_leave_no_zero_eigenvalue():
    # x <-> y with an autocatalytic return: x + y is conserved, so that the Jacobian alone is singular.
    def f(x, p):
        flow = p * x[0] - x[1] * (1 + x[1] ** 2)
        return jnp.array([-flow, flow])

    x = np.array([0.5, 1.5])
    with jax.enable_x64(True):
        reaction = equations(f, x, 1.0, conserved=np.full((1, 2), 0.5**0.5))
        start = newton(reaction, x, 1.0, discrete=False)
        problem = Stationary(reaction, start)
    assert start.sum() == pytest.approx(2.0, abs=1e-12)
    points, special, _ = follow(f, start, 1.0, 1.0, 2.0, problem=problem)
    assert not special
    for point in points:
        assert point.z[:2].sum() == pytest.approx(2.0, abs=1e-9)
        assert len(point.spectrum[""]) == 1
        slope = -point.parameter - 1 - 3 * point.z[1] ** 2
        assert point.spectrum[""][0].real == pytest.approx(slope, abs=1e-9)


def rate_network(size, seed):
    """x' = -x + W tanh(p x): at x = 0 an eigenvalue p w - 1 per eigenvalue w of W."""
    weights = np.random.default_rng(seed).standard_normal((size, size)) / np.sqrt(size)
    return weights, lambda x, p: -x + jnp.asarray(weights) @ jnp.tanh(p * x)


def test_a_network_of_twenty_rates_bifurcates_where_its_matrix_says():
    weights, f = rate_network(20, seed=2)
    values = np.linalg.eigvals(weights)
    rightmost = values[np.argmax(values.real)]
    with jax.enable_x64(True):
        scaled = Stationary(equations(f, np.zeros(20), 2.0, scale=np.full(20, 4.0)), np.zeros(20))
    _, special, _ = follow(f, np.zeros(20), 0.1, 0.1, 2.1, problem=scaled)
    expected = sorted({round(1 / w.real, 6): w for w in values if w.real > 1 / 2.1 and w.imag >= 0}.items())
    assert len(special) == len(expected)
    for point, (where, w) in zip(special, expected, strict=True):
        assert abs(point.parameter - where) < 2e-6
        assert point.special.kind is (SpecialKind.HOPF if abs(w.imag) > 1e-9 else SpecialKind.BRANCH_POINT)
    assert special[0].parameter == pytest.approx(1 / rightmost.real, abs=1e-6)


def test_a_matrix_free_branch_equals_the_dense_one():
    _, f = rate_network(20, seed=2)
    found = []
    for dense in (True, False):
        with jax.enable_x64(True):
            problem = Stationary(equations(f, np.zeros(20), 2.0, scale=np.full(20, 4.0)), np.zeros(20), dense=dense)
        points, special, _ = follow(f, np.zeros(20), 0.1, 0.1, 1.3, problem=problem, largest=0.1)
        found.append((special[0].parameter, special[0].special.kind, points[-1].spectrum[""][0]))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-6)
    assert found[0][1] == found[1][1]
    assert found[0][2].real == pytest.approx(found[1][2].real, abs=1e-7)


def test_gmres_solves_what_a_matrix_solves():
    rng = np.random.default_rng(3)
    matrix, right = rng.standard_normal((12, 12)) + 6 * np.eye(12), rng.standard_normal(12)
    solution, left = linear.gmres(lambda v: matrix @ v, right, 1e-12, 12)
    assert left < 1e-12
    np.testing.assert_allclose(matrix @ solution, right, atol=1e-10)
    assert linear.gmres(lambda v: 0 * v, right, 1e-12, 5)[1] == pytest.approx(1.0)


def test_no_compilation_along_a_branch():
    traced = []

    def f(x, p):
        traced.append(1)
        return p - x * x

    follow(f, 1.0, 1.0, -1.0, 1.0, sign=-1.0)
    compiled = len(traced)
    follow(f, 1.0, 1.0, -1.0, 1.0, sign=-1.0, first=0.02)
    assert len(traced) == compiled
    assert compiled <= 10  # value and two derivatives, once each


def test_a_branch_that_cannot_be_followed_says_why():
    def corner(x, p):  # the curve x = |p| - 1/2 has a corner at p = 0
        return x - jnp.abs(p) + 0.5 + jnp.where(p > 0, 5 * p, 0.0)

    def gap(x, p):
        return jnp.where(p < 0.5, x - p, x - p - 1.0)

    _, _, ending = follow(gap, 0.0, 0.0, 0.0, 1.0, smallest=1e-4)
    assert ending.stop is Stop.MIN_STEP
    assert "could not be followed beyond 0.49" in ending.message
    assert "smallest_step" in ending.message
    _, _, ending = follow(corner, 0.5, -1.0, -1.0, 1.0)
    assert ending.stop in (Stop.REACHED, Stop.MIN_STEP)
    _, _, ending = follow(fold, 1.0, 1.0, -1.0, 1.0, sign=-1.0, points=5)
    assert ending.stop is Stop.MAX_POINTS
    assert "5 points" in ending.message
    with pytest.raises(NotConverged, match="residual"):
        follow(lambda x, p: 1.0 + x * x + 0 * p, 1.0, 0.0, 0.0, 1.0)


def test_a_closed_curve_is_recognised():
    # The circle x^2 + p^2 = 1/4.
    _, special, ending = follow(lambda x, p: x * x + p * p - 0.25, 0.5, 0.0, -1.0, 1.0, largest=0.05)
    assert ending.stop is Stop.CLOSED
    assert sorted(round(point.parameter, 6) for point in special) == [-0.5, 0.5]
    assert {point.special.kind for point in special} == {SpecialKind.FOLD}


def test_a_branch_that_goes_to_infinity_says_where():
    # x = -log(p - 1/4) has no bound as p falls to 1/4.
    _, special, ending = follow(lambda x, p: p - 0.25 - jnp.exp(-x), 0.0, 1.25, -1.0, 2.0, sign=-1.0, largest=0.5)
    assert ending.stop is Stop.VERTICAL
    assert not special
    assert "approaches 0.25." in ending.message


def test_a_jump_of_stability_is_not_given_a_name():
    def f(x, p):  # the slope in x jumps from -1 to 1 at p = 0 while x = 0 stays
        return jnp.where(p < 0, -x, x)

    with jax.enable_x64(True):
        problem = Stationary(equations(f, np.zeros(1), 2.0), np.zeros(1))
    _, special, _ = follow(f, 0.0, -0.95, -1.0, 1.0, problem=problem)
    assert [point.special.kind for point in special] == [SpecialKind.NOT_SMOOTH]
    assert abs(special[0].parameter) < 1e-6


def test_the_multiplier_along_an_orbit_is_told_from_its_neighbours():
    def parted(*values):
        found = without_trivial(np.array(values))
        return sorted(found[""].tolist(), key=abs), found["_trivial"].tolist()

    assert parted(0.3, 1.00001) == ([0.3], [1.00001])
    # Mixed with the multiplier of a fold: real, or moved by its error into the complex plane. The product is kept.
    assert parted(0.9, 1.1) == ([pytest.approx(0.99)], [1.0])
    assert parted(0.02, 0.98 + 0.2j, 0.98 - 0.2j) == ([0.02, pytest.approx(0.98**2 + 0.04)], [1.0])
    # A pair that turns, beside it.
    assert parted(0.6 + 0.8j, 0.6 - 0.8j, 1.02)[1] == [1.02]
