"""What a curve is made of: the problem, its points, and Newton's method back onto the curve.

A problem has m equations for m unknowns u and one parameter p; z = (u, p). Lengths along the curve are measured by
weights: |dz|^2 = sum (weight dz)^2, so that unknowns of different size and the parameter count alike.
"""

import abc
import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

MOST_ITERATIONS = 10
MOST_BROYDEN = 14
"""Iterations with the Jacobian of another point; more than that, and its own is worth its price."""
SLOW = 2
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


class AbstractProblem(abc.ABC):
    """m equations for z = (u, p), and the spectrum that decides stability.

    Attributes:
        weights: Inverse lengths of the unknowns and the parameter, shape (m + 1,).
        discrete: Whether the spectrum holds multipliers (stable inside the unit circle), else eigenvalues.
        kinds: Names of the special points by group of the spectrum: "fold", "branch", "minus" (multiplier -1),
            "complex".
        tolerance: Length of the last Newton step.
        doubt: Error of the eigenvalues or multipliers found last.
        renumbered: Whether the curve depends a little on a number that changes along it (steps per period); a fold is
            then where a multiplier passes 1, and not where the parameter turns.
        vertical: Whether a curve is followed on where the parameter has stopped changing.
    """

    weights: np.ndarray
    discrete: bool
    kinds: Mapping[str, Mapping[str, str]]
    tolerance: float = 1e-8
    doubt: float = 0.0
    renumbered: bool = False
    vertical: bool = True

    @abc.abstractmethod
    def linearise(self, z: np.ndarray) -> tuple[np.ndarray, Any]:
        """The residual, shape (m,), and the Jacobian in one of the forms of `linear`."""

    @abc.abstractmethod
    def residual(self, z: np.ndarray) -> np.ndarray:
        """The residual, shape (m,)."""

    @abc.abstractmethod
    def spectrum(self, z: np.ndarray, linear: Any) -> dict[str, np.ndarray]:
        """Eigenvalues or multipliers by group, without those that conservation or the phase fix."""

    def nearby(self, row: np.ndarray) -> Callable[[np.ndarray], np.ndarray] | None:
        """Solve the bordered system with the Jacobian of a point nearby, where one is known and a new one is dear."""
        return None

    def adapted(
        self, z: np.ndarray, tangent: np.ndarray, step: float
    ) -> tuple["AbstractProblem", np.ndarray, np.ndarray]:
        """The problem for a step of this length (phase condition, mesh), with z and the tangent in its unknowns."""
        return self, z, tangent

    def tuned(self, z: np.ndarray) -> "AbstractProblem":
        """The problem in which a special point near z is to be located."""
        return self

    def objection(self, before: np.ndarray, after: np.ndarray) -> str:
        """Why a step from one point to the next cannot be trusted; empty if it can."""
        return ""

    def end(self, before: np.ndarray, after: np.ndarray) -> str:
        """Why the curve ends between two points; empty if it goes on."""
        return ""

    def growth(self, values: np.ndarray) -> np.ndarray:
        """Rate of growth of each mode: the real part, or the logarithm of the modulus."""
        if not self.discrete:
            return np.real(values)
        return np.log(np.maximum(np.abs(values), 1e-300))

    def sort(self, values: np.ndarray) -> np.ndarray:
        """Fastest growing first, conjugates side by side."""
        values = np.asarray(values, dtype=complex)
        growth = self.growth(values)
        return values[np.lexsort((-np.imag(values), np.abs(np.imag(values)), -np.round(growth, 12)))]

    def length(self, change: np.ndarray) -> float:
        """Length of a change of z."""
        return float(np.linalg.norm(self.weights * change))


class Point(NamedTuple):
    """A point on a curve.

    Attributes:
        problem: The problem it solves.
        z: Unknowns and parameter, shape (m + 1,).
        tangent: Unit tangent, shape (m + 1,).
        spectrum: Eigenvalues or multipliers by group, fastest growing first.
        orientation: Sign of the bordered determinant (NaN if unknown).
        special: What is special here, or None.
    """

    problem: AbstractProblem
    z: np.ndarray
    tangent: np.ndarray
    spectrum: dict[str, np.ndarray]
    orientation: float
    special: Any = None

    @property
    def parameter(self) -> float:
        """The parameter's value."""
        return float(self.z[-1])

    @property
    def unstable(self) -> int:
        """Number of growing modes."""
        return sum(int(np.sum(self.problem.growth(self.spectrum[group]) > 0)) for group in groups(self))


def groups(point: Point) -> list[str]:
    """Groups of the spectrum that decide stability; a name with an underscore first is a mere check."""
    return [group for group in point.spectrum if not group.startswith("_")]


def correct(
    problem: AbstractProblem, z: np.ndarray, row: np.ndarray, *, most: int = MOST_ITERATIONS
) -> tuple[np.ndarray, Any, int]:
    """Newton's method on the problem and the hyperplane row (z - z0) = 0.

    Where a new Jacobian is dear, Broyden's method is tried first, with that of a point nearby, then with the one at z.

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
        near = problem.nearby(row)
        if near is None:
            break
        if renewed:
            problem.linearise(z)
            near = problem.nearby(row)
        with np.errstate(over="ignore", invalid="ignore"):  # it may run away
            found = _broyden(problem, z, row, near) if near else None
        if found:
            return found[0], problem.linearise(found[0])[1], found[1] + 2 * renewed
    start, size, best, slow = z, np.inf, np.inf, 0
    for iteration in range(most + 1):
        residual, linear = problem.linearise(z)
        largest = float(np.max(np.abs(residual)))
        if not np.isfinite(largest) or largest > 1e3 * best + 1e-12:
            raise NotConverged(largest, iteration)
        best = min(best, largest)
        if size < problem.tolerance:
            return z, linear, iteration
        step = linear.solve(row, np.append(-residual, -row @ (z - start)))
        before, size = size, problem.length(step)
        slow += size > 0.7 * before
        if not np.isfinite(size) or slow > SLOW:
            raise NotConverged(largest, iteration)
        z = z + step
    raise NotConverged(best, most)


def _broyden(
    problem: AbstractProblem, z: np.ndarray, row: np.ndarray, near: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, int] | None:
    """Broyden's method, its first Jacobian that of a point nearby; None where it does not converge fast.

    The update is kept as the list of steps. Iterations are counted as half a Newton step each.
    Source: C. T. Kelley, Iterative Methods for Linear and Nonlinear Equations (1995), algorithm `brsola`.
    """
    start, steps, before, slow = z, [], np.inf, 0
    for iteration in range(MOST_BROYDEN):
        right = np.append(-problem.residual(z), -row @ (z - start))
        step = problem.weights * near(right)
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


def tangent_at(problem: AbstractProblem, linear: Any, along: np.ndarray) -> np.ndarray:
    """Unit tangent of the curve, on the side of the direction `along`."""
    row = problem.weights**2 * along
    right = np.zeros(len(row))
    right[-1] = 1.0
    tangent = linear.solve(row, right)
    if not np.all(np.isfinite(tangent)):
        raise NotConverged(np.nan, 0)
    return tangent / problem.length(tangent)


def land(problem: AbstractProblem, z: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray, Any, int]:
    """Correct in the hyperplane normal to `along`: z, tangent, Jacobian, iterations."""
    z, linear, iterations = correct(problem, z, problem.weights**2 * along)
    return z, tangent_at(problem, linear, along), linear, iterations


def point_at(problem: AbstractProblem, z: np.ndarray, tangent: np.ndarray, linear: Any, special: Any = None) -> Point:
    """Complete a point with its spectrum."""
    spectrum = {group: problem.sort(values) for group, values in problem.spectrum(z, linear).items()}
    return Point(problem, z, tangent, spectrum, linear.orientation(problem.weights**2 * tangent), special)
