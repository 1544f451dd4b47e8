"""What a curve is made of: the problem that it solves, and its points.

A problem has m equations for m unknowns u and one parameter p; z = (u, p). Lengths along the curve are measured by
weights: |dz|^2 = sum (weight dz)^2, so that unknowns of different size and the parameter count alike.
"""

import abc
import enum
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from largen.numerics.continuation.kinds import BranchKind, Kinds, Special, Stop
from largen.numerics.continuation.linear import AbstractJacobian


class Rejection(enum.Enum):
    """Why a step along a curve is not accepted; the value is the message that the user sees."""

    FAR = "Newton's method ends far from its start."
    SHARP = "The curve turns too sharply."
    PERIOD = "The period jumps."
    PHASE = "The flow at the start of the orbit turns."


class Equations(NamedTuple):
    """A right-hand side f of m unknowns x and a parameter p, and how changes of them are measured.

    Attributes:
        rhs: f(x, p) or, for one step of a flow, f(x, p, dt), shape (m,): a JAX callable and a pytree, so that new
            values never compile again.
        scale: Sizes of the unknowns, shape (m,): |dx / scale| is 1 when x changes altogether.
        conserved: Orthonormal rows C, shape (c, m), with C x conserved.
        span: Length of the parameter's range.
        dt: Length of a step; 1 where there is none.
    """

    rhs: Callable
    scale: np.ndarray
    conserved: np.ndarray
    span: float
    dt: float = 1.0


class AbstractProblem(abc.ABC):
    """m equations for z = (u, p), and the spectrum that decides stability.

    Attributes:
        equations: The right-hand side whose states or orbits they describe.
        weights: Inverse lengths of the unknowns and the parameter, shape (m + 1,).
        discrete: Whether the spectrum holds multipliers (stable inside the unit circle), else eigenvalues.
        kinds: Special points by group of the spectrum.
        branch_kind: What the points are.
        tolerance: Length of the last Newton step.
        eigenvalue_error: Error of the eigenvalues or multipliers found last.
        rediscretises: Whether the curve depends a little on a number that changes along it (steps per period); a fold
            is then where a multiplier passes 1, and not where the parameter turns.
        follows_vertical: Whether a curve is followed on where the parameter has stopped changing.
        switches: Whether the other curve can be followed at a branch point.
    """

    equations: Equations
    weights: np.ndarray
    discrete: bool
    kinds: Mapping[str, Kinds]
    branch_kind: BranchKind
    tolerance: float = 1e-8
    eigenvalue_error: float = 0.0
    rediscretises: bool = False
    follows_vertical: bool = True
    switches: bool = True

    @abc.abstractmethod
    def linearise(self, z: np.ndarray) -> tuple[np.ndarray, AbstractJacobian]:
        """The residual, shape (m,), and the Jacobian, shape (m, m + 1)."""

    @abc.abstractmethod
    def residual(self, z: np.ndarray) -> np.ndarray:
        """The residual, shape (m,)."""

    @abc.abstractmethod
    def spectrum(self, z: np.ndarray, jacobian: AbstractJacobian) -> dict[str, np.ndarray]:
        """Eigenvalues or multipliers by group, without those that conservation or the phase fix."""

    @abc.abstractmethod
    def period(self, z: np.ndarray) -> float:
        """Period of the orbit (iterations of a map); NaN for a stationary state."""

    @abc.abstractmethod
    def doubled(self, z: np.ndarray) -> "Start":
        """Where the curve of orbits of twice the period begins at a period doubling."""

    def approximate_solver(self, row: np.ndarray) -> Callable[[np.ndarray], np.ndarray] | None:
        """Solve with the bordered Jacobian of a point nearby, where one is known and the one here is expensive."""
        return None

    def adapted(
        self, z: np.ndarray, tangent: np.ndarray, step: float
    ) -> tuple["AbstractProblem", np.ndarray, np.ndarray]:
        """The problem for a step of this length (phase condition, mesh), with z and the tangent in its unknowns."""
        return self, z, tangent

    def rediscretised(self, z: np.ndarray) -> "AbstractProblem":
        """The problem with the discretisation that suits z, in which a special point near z is to be located."""
        return self

    def rejects_step(self, before: np.ndarray, after: np.ndarray) -> Rejection | None:
        """Why a step from one point to the next cannot be trusted; None if it can."""
        return None

    def ends_between(self, before: np.ndarray, after: np.ndarray) -> Stop | None:
        """Why the curve ends between two points; None if it goes on."""
        return None

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


class Start(NamedTuple):
    """Where a curve begins.

    Attributes:
        problem: What is on the curve.
        z: A point near it, shape (m + 1,).
        direction: In which to go, shape (m + 1,).
        leave: Whether z is a special point of another curve: the first point of this one is then a step away.
    """

    problem: AbstractProblem
    z: np.ndarray
    direction: np.ndarray
    leave: bool = False


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
    special: Special | None = None

    @property
    def parameter(self) -> float:
        """The parameter's value."""
        return float(self.z[-1])

    @property
    def period(self) -> float:
        """Period of the orbit; NaN for a stationary state."""
        return self.problem.period(self.z)

    @property
    def unstable(self) -> int:
        """Number of growing modes."""
        return sum(int(np.sum(self.problem.growth(self.spectrum[group]) > 0)) for group in groups(self))


def groups(point: Point) -> list[str]:
    """Groups of the spectrum that decide stability; a name with an underscore first is a mere check."""
    return [group for group in point.spectrum if not group.startswith("_")]


def point_at(problem: AbstractProblem, z: np.ndarray, tangent: np.ndarray, jacobian: AbstractJacobian) -> Point:
    """Complete a point with its spectrum."""
    spectrum = {group: problem.sort(values) for group, values in problem.spectrum(z, jacobian).items()}
    return Point(problem, z, tangent, spectrum, jacobian.orientation(problem.weights**2 * tangent))
