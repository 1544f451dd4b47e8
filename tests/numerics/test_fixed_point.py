"""Anderson-accelerated iteration."""

import numpy as np

from largen.numerics.fixed_point import Status, iterate


def test_a_slow_linear_map_is_solved_in_its_dimension():
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    a = rotation @ np.diag([0.999, 0.99, 0.9, -0.95, 0.5, 0.1]) @ rotation.T
    b = rng.standard_normal(6)
    exact = np.linalg.solve(np.eye(6) - a, b)
    fast = iterate(lambda x: a @ x + b, np.zeros(6), tolerance=1e-11)
    assert fast.status is Status.CONVERGED
    assert len(fast.residuals) <= 12
    np.testing.assert_allclose(fast.value, exact, atol=1e-8)
    plain = iterate(lambda x: a @ x + b, np.zeros(6), tolerance=1e-11, memory=0, most=500)
    assert plain.status is Status.NOT_CONVERGED
    assert len(plain.residuals) == 500


def test_a_nonlinear_map_with_every_residual_recorded():
    found = iterate(np.cos, np.array([0.1, 1.0]), tolerance=1e-13)
    np.testing.assert_allclose(found.value, 0.7390851332151607, atol=1e-12)
    assert found.residuals[-1] <= 1e-13 < found.residuals[-2]


def test_damping_makes_an_oscillating_iteration_converge():
    def steep(x):
        return -1.5 * np.tanh(x) + 0.4

    plain = iterate(steep, np.array([1.0]), tolerance=1e-10, memory=0, most=200)
    damped = iterate(steep, np.array([1.0]), tolerance=1e-10, memory=0, damping=0.5, most=200)
    assert plain.status is Status.NOT_CONVERGED
    assert damped.status is Status.CONVERGED
    np.testing.assert_allclose(steep(damped.value), damped.value, atol=1e-9)


def test_leaving_the_domain_is_reported():
    with np.errstate(over="ignore", invalid="ignore"):
        found = iterate(lambda x: np.exp(x) + 1, np.array([2.0]), tolerance=1e-10, memory=0)
    assert found.status is Status.NOT_FINITE
    assert "not finite" in found.status.value
