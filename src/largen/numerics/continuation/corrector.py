"""Newton's method back onto a curve, and its tangent there."""

import itertools
from collections.abc import Callable

import numpy as np

from largen.numerics.continuation.linear import AbstractJacobian
from largen.numerics.continuation.problem import AbstractProblem

MAX_NEWTON = 10
"""Newton iterations after which a correction is given up."""
MAX_BROYDEN = 14
"""Iterations with the Jacobian of another point; with more, the one here would be cheaper."""
MAX_SLOW = 2
"""Steps that hardly become shorter after which a correction is given up."""


class NotConverged(RuntimeError):
    """Newton's method did not reach the curve.

    Attributes:
        residual: Size of the equations where it stopped.
        iterations: Iterations made.
    """

    def __init__(self, residual: float, iterations: int, why: str = ""):
        left = f"Newton's method left a residual of {residual:.2g} after {iterations} iterations."
        super().__init__(why or (left if np.isfinite(residual) else "Newton's method meets a singular matrix."))
        self.residual = residual
        self.iterations = iterations


def correct(
    problem: AbstractProblem, z: np.ndarray, row: np.ndarray, *, most: int = MAX_NEWTON
) -> tuple[np.ndarray, AbstractJacobian, int]:
    """Newton's method on the problem and the hyperplane row (z - z0) = 0.

    Where a Jacobian is expensive to recompute, Broyden's method is tried first, with that of a point nearby, then with
    the one at z. Source: Kuznetsov (1998), sec. 10.1.2 and 10.2.1 (pseudo-arclength continuation).

    Args:
        problem: The problem.
        z: Start z0, shape (m + 1,).
        row: Normal of the hyperplane, shape (m + 1,).
        most: Iterations after which it gives up.

    Returns:
        The solution, the Jacobian there, and the number of iterations.

    Raises:
        NotConverged: The steps do not become small.
    """
    for renewed in (False, True):
        solver = problem.approximate_solver(row)
        if solver is None:
            break
        if renewed:
            problem.linearise(z)
            solver = problem.approximate_solver(row)
        with np.errstate(over="ignore", invalid="ignore"):  # it may diverge
            found = _broyden(problem, z, row, solver) if solver else None
        if found:
            return found[0], problem.linearise(found[0])[1], found[1] + 2 * renewed
    return _newton(problem, z, row, most)


def _newton(
    problem: AbstractProblem, z: np.ndarray, row: np.ndarray, most: int
) -> tuple[np.ndarray, AbstractJacobian, int]:
    start, size, best, slow = z, np.inf, np.inf, 0
    for iteration in range(most + 1):
        residual, jacobian = problem.linearise(z)
        largest = float(np.max(np.abs(residual)))
        if not np.isfinite(largest) or largest > 1e3 * best + 1e-12:
            raise NotConverged(largest, iteration)
        best = min(best, largest)
        if size < problem.tolerance:
            return z, jacobian, iteration
        step = jacobian.solve(row, np.append(-residual, -row @ (z - start)))
        before, size = size, problem.length(step)
        slow += size > 0.7 * before
        if not np.isfinite(size) or slow > MAX_SLOW:
            raise NotConverged(largest, iteration)
        z = z + step
    raise NotConverged(best, most)


def _broyden(
    problem: AbstractProblem, z: np.ndarray, row: np.ndarray, solver: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, int] | None:
    """Broyden's method, its first Jacobian that of a point nearby; None where it does not converge fast.

    The update is kept as the list of steps. Iterations are counted as half a Newton step each.
    Source: C. T. Kelley, Iterative Methods for Linear and Nonlinear Equations (1995), ch. 7, algorithm `brsola`.
    """
    start, steps, before, slow = z, [], np.inf, 0
    for iteration in range(MAX_BROYDEN):
        right = np.append(-problem.residual(z), -row @ (z - start))
        step = problem.weights * solver(right)
        for old, new in itertools.pairwise(steps):
            step = step + new * (old @ step) / (old @ old)
        if steps:
            step = step / (1.0 - (steps[-1] @ step) / (steps[-1] @ steps[-1]))
        size = float(np.linalg.norm(step))
        slow += size > 0.7 * before
        if not np.isfinite(size) or slow > 2 or size > 10.0 * before:
            return None
        z, before = z + step / problem.weights, size
        if size < 0.01 * problem.tolerance:
            return z, iteration // 2
        steps.append(step)
    return None


def tangent_at(problem: AbstractProblem, jacobian: AbstractJacobian, direction: np.ndarray) -> np.ndarray:
    """Unit tangent of the curve, on the side of a direction: the null vector of the Jacobian, by the bordered system.

    Source: Kuznetsov (1998), sec. 10.2.1.
    """
    row = problem.weights**2 * direction
    right = np.zeros(len(row))
    right[-1] = 1.0
    tangent = jacobian.solve(row, right)
    if not np.all(np.isfinite(tangent)):
        raise NotConverged(np.nan, 0)
    return tangent / problem.length(tangent)


def correct_across(
    problem: AbstractProblem, z: np.ndarray, direction: np.ndarray
) -> tuple[np.ndarray, np.ndarray, AbstractJacobian, int]:
    """Correct in the hyperplane normal to a direction: z, tangent, Jacobian, iterations."""
    z, jacobian, iterations = correct(problem, z, problem.weights**2 * direction)
    return z, tangent_at(problem, jacobian, direction), jacobian, iterations
