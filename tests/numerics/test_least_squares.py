"""Levenberg-Marquardt against minima that are known."""

import numpy as np

from largen.numerics.least_squares import Outcome, minimise


def rosenbrock(x, which=None):
    a, b = x.T
    residual = np.stack([10.0 * (b - a**2), 1.0 - a], axis=1)
    jacobian = np.zeros((len(x), 2, 2))
    jacobian[:, 0, 0], jacobian[:, 0, 1], jacobian[:, 1, 0] = -20.0 * a, 10.0, -1.0
    return residual, jacobian


def test_rosenbrock_from_several_starts_at_once():
    found = minimise(rosenbrock, np.array([[-1.2, 1.0], [3.0, -2.0], [0.0, 0.0]]))
    assert found.outcome == [Outcome.CONVERGED] * 3
    np.testing.assert_allclose(found.x, 1.0, atol=1e-10)
    assert found.iterations < 40


def test_residuals_that_do_not_vanish_end_at_the_minimum_of_their_squares():
    t = np.linspace(0.0, 2.0, 30)
    y = np.exp(-1.3 * t) + 0.1 * np.cos(7.0 * t)

    def evaluate(x, which):
        model = np.exp(-x * t)
        return model - y, (-t * model)[..., None]

    found = minimise(evaluate, np.array([[0.2]]))
    grid = np.linspace(0.5, 2.0, 200_001)
    cost = 0.5 * np.sum((np.exp(-np.outer(grid, t)) - y) ** 2, axis=1)
    assert found.outcome == [Outcome.CONVERGED]
    assert abs(found.x[0, 0] - grid[np.argmin(cost)]) < 1e-4  # a relative offset of 1e-4 ends it


def test_where_it_is_not_defined_a_shorter_step_is_taken():
    def evaluate(x, which):
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(x), (1.0 / x)[..., None]

    found = minimise(evaluate, np.array([[30.0], [-1.0]]))
    assert found.outcome == [Outcome.CONVERGED, Outcome.UNDEFINED]
    assert abs(found.x[0, 0] - 1.0) < 1e-9
    assert np.isinf(found.cost[1])


def test_a_flat_direction_does_no_harm_and_too_few_iterations_are_reported():
    def evaluate(x, which):
        total = x.sum(1, keepdims=True)
        return np.hstack([total - 3.0, total**2 - 9.0]), np.stack([np.ones_like(x), 2.0 * total * np.ones_like(x)], 1)

    found = minimise(evaluate, np.array([[0.5, 0.5]]))
    assert found.outcome == [Outcome.CONVERGED]
    assert abs(found.x.sum() - 3.0) < 1e-9
    assert minimise(rosenbrock, np.array([[-1.2, 1.0]]), iterations=3).outcome == [Outcome.MAX_ITERATIONS_REACHED]


def test_a_search_that_ends_at_a_kink_says_so():
    def evaluate(x, which):
        value = np.hstack([1.0 + np.abs(x - 0.3) + 0.1 * (x - 0.3), 0.01 * x])
        slope = np.stack([np.sign(x - 0.3) + 0.1, np.full_like(x, 0.01)], axis=1)
        return value, slope

    found = minimise(evaluate, np.array([[1.0]]))
    assert found.outcome[0] in (Outcome.KINK, Outcome.CONVERGED)
    assert abs(found.x[0, 0] - 0.3) < 1e-2
    assert found.iterations < 60


def two_minima(x, which=None):
    """A curve through two minima with different residuals, bent between them."""
    a, b = x.T
    residual = np.stack([a**2 - 1.0 + 0.1 * b, 0.1 * (a - 0.5), b + 0.3 * a**2, 0.2 * np.sin(b)], axis=1)
    jacobian = np.zeros((len(x), 4, 2))
    jacobian[:, 0, 0], jacobian[:, 0, 1], jacobian[:, 1, 0] = 2.0 * a, 0.1, 0.1
    jacobian[:, 2, 0], jacobian[:, 2, 1], jacobian[:, 3, 1] = 0.6 * a, 1.0, 0.2 * np.cos(b)
    return residual, jacobian


def test_a_start_that_is_led_to_a_known_minimum_ends_there_and_at_no_other():
    """Against searches that are followed to their ends, from 200 starts around both minima."""
    starts = np.random.default_rng(3).uniform(-3.0, 3.0, (200, 2))
    calls = {False: 0, True: 0}

    def search(same):
        def evaluate(x, which):
            calls[same] += len(x)
            return two_minima(x)

        return minimise(evaluate, starts, same=same)

    alone, together = search(False), search(True)
    assert set(alone.outcome) == {Outcome.CONVERGED}
    assert len(np.unique(np.round(alone.x, 2), axis=0)) == 2
    np.testing.assert_allclose(together.x, alone.x, atol=2e-3)
    led = [s for s, end in enumerate(together.outcome) if end is Outcome.LED]
    assert len(led) > 100
    assert calls[True] < 0.9 * calls[False]
    assert together.outcome[together.best] is Outcome.CONVERGED
    assert together.cost[together.best] == together.cost.min()


def test_a_start_without_residuals_is_moved_towards_the_first():
    seen = []

    def evaluate(x, which):
        seen.append(len(x))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(x), (1.0 / x)[..., None]

    found = minimise(evaluate, np.array([[3.0], [-4.0]]), same=True)
    assert seen[:2] == [2, 1]  # the first one is not evaluated again
    assert set(found.outcome) <= {Outcome.CONVERGED, Outcome.LED}
    np.testing.assert_allclose(found.x, 1.0, atol=1e-9)
