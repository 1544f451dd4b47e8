"""Periodic orbits of a map that is one step of length dt of a flow, by shooting.

The period is no multiple of dt, so k steps of length T/k are taken, k = round(T/dt), with T unknown (shortening only
the last step would not be smooth); k follows the orbit along the branch. The state may have hundreds of unknowns:
products with the monodromy matrix M come from forward derivatives. A block Arnoldi method started from the leading
modes of the point before spans a space Q of 20 to 30 dimensions outside of which M is nearly zero: Q^T M Q has the
multipliers, and the Jacobian with M Q Q^T in place of M preconditions GMRES and is the first Jacobian of Broyden's
method at the next point. M is far from normal (its norm is in the hundreds where its multipliers are below 1), so that
plain block iteration is not enough.
Source: Kuznetsov (1998), sec. 10.1.4, for shooting; K. Lust & D. Roose, SIAM J. Sci. Comput. 19, 1188 (1998), for the
use of the leading modes.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from largen.numerics.continuation.corrector import NotConverged
from largen.numerics.continuation.floquet import BLOCK, MODES, Leading, leading_multipliers, without_trivial
from largen.numerics.continuation.kinds import CYCLE, BranchKind, Stop
from largen.numerics.continuation.linear import AbstractJacobian, Krylov
from largen.numerics.continuation.problem import AbstractProblem, Equations, Rejection, Start

REVERSED = 0.7
"""An orbit has shrunk through a point when the flow at its start is reversed: a cosine of less than -REVERSED."""
SAME_HALVES = 0.4
"""The halves of an orbit are one when they differ by less than this part of a step."""
PHASES = 24
"""Phases at which the speed of the flow is compared."""
FAST = 3.0
"""The start of an orbit moves to where the flow is slowest when it is this many times as fast there."""


class Repeated(eqx.Module):
    """A step f(x, p, dt) taken many times; one with its own method `advance` does so itself."""

    rhs: Callable

    def __call__(self, x: Any, period: Any, p: Any, count: Any) -> Any:
        """The state after `count` steps of length period/count."""
        if hasattr(self.rhs, "advance"):
            return self.rhs.advance(x, p, period / count, count)
        return jax.lax.fori_loop(0, count, lambda _, y: self.rhs(y, p, period / count), x)


@eqx.filter_jit
def _flow(steps: Repeated, x: Any, period: Any, p: Any, count: Any) -> Any:
    return steps(x, period, p, count)


@eqx.filter_jit
def _product(steps: Repeated, x: Any, period: Any, p: Any, count: Any, change: Any) -> Any:
    """Derivative along a change of (x, T, p), shape (m,)."""
    return jax.jvp(
        lambda x, period, p: steps(x, period, p, count), (x, period, p), (change[:-2], change[-2], change[-1])
    )[1]


@eqx.filter_jit
def _products(steps: Repeated, x: Any, period: Any, p: Any, count: Any, changes: Any) -> Any:
    """The same along many changes, shape (m + 2, many) -> (m, many)."""
    return jax.vmap(lambda change: _product(steps, x, period, p, count, change), in_axes=-1, out_axes=-1)(changes)


def steps_in(period: float, dt: float) -> int:
    """The number of steps per period."""
    return max(round(period / dt), 2)


def initial_modes(equations: Equations, directions: list[np.ndarray]) -> np.ndarray:
    """Vectors from which the Arnoldi method starts where no modes are known: the directions, and random ones.

    Args:
        equations: One step of a flow.
        directions: Where the orbit is known to extend, shape (m,) each.

    Returns:
        Vectors, shape (m, at most MODES).
    """
    count, size = equations.conserved.shape
    modes = np.random.default_rng(0).standard_normal((size, min(MODES, size - count))) * equations.scale[:, None]
    for k, direction in enumerate(directions):
        modes[:, k] = direction
    return modes


class Shooting(AbstractProblem):
    """Periodic orbits of a step in z = (x, T, p), x a state on the orbit."""

    discrete = True
    rediscretises = True
    switches = False
    tolerance = 1e-6
    branch_kind = BranchKind.CYCLE

    def __init__(
        self,
        equations: Equations,
        reference: np.ndarray,
        direction: np.ndarray,
        period: float,
        *,
        period_scale: float | None = None,
        conserved_value: np.ndarray | None = None,
        modes: np.ndarray | None = None,
        leading: Leading | None = None,
    ):
        """State the problem.

        Args:
            equations: One step f(x, p, dt).
            reference: State whose neighbourhood the orbit passes, shape (m,).
            direction: Direction of the flow there, for the phase condition, shape (m,).
            period: Period nearby; it decides the number of steps.
            period_scale: Length by which changes of the period are measured; by default the period.
            conserved_value: Values of the conserved quantities, shape (c,); by default those of the reference.
            modes: Approximate leading modes, shape (m, at most MODES).
            leading: What is known of the monodromy matrix here or at a point nearby.
        """
        self.equations, self.rhs = equations, Repeated(equations.rhs)
        self.scale, self.conserved = equations.scale, equations.conserved
        self.kinds = {"": CYCLE}
        self.count = steps_in(period, equations.dt)
        self.period_scale = period if period_scale is None else period_scale
        self.weights = np.concatenate([1.0 / self.scale, [1.0 / self.period_scale, 1.0 / equations.span]])
        self.reference = reference
        phase = direction / self.scale**2
        self.phase = phase / np.linalg.norm(phase * self.scale)
        self.conserved_value = self.conserved @ reference if conserved_value is None else conserved_value
        # What conservation adds goes where there is something already, not into empty parts of the state.
        held = (np.abs(reference) + 1e-12 * self.scale)[:, None] * self.conserved.T
        self.spread = np.linalg.solve(self.conserved @ held, held.T).T if len(self.conserved) else held
        self.modes = initial_modes(equations, [direction]) if modes is None else modes
        self.leading = leading

    def _project(self, vectors: np.ndarray) -> np.ndarray:
        """Project conserved quantities out."""
        return vectors - self.spread @ (self.conserved @ vectors)

    def residual(self, z: np.ndarray) -> np.ndarray:
        """Return minus start (with what conservation adds), and the phase condition."""
        x = z[:-2]
        back = np.asarray(_flow(self.rhs, x, z[-2], z[-1], np.asarray(self.count)))
        gap = back - x + self.conserved.T @ (self.conserved @ x - self.conserved_value)
        return np.append(gap, self.phase @ (x - self.reference))

    def linearise(self, z: np.ndarray) -> tuple[np.ndarray, AbstractJacobian]:
        """Residual and Jacobian."""
        leading = self._monodromy(z)

        def apply(v: np.ndarray) -> np.ndarray:
            moved = np.asarray(_product(self.rhs, z[:-2], z[-2], z[-1], np.asarray(self.count), v))
            dx = v[:-2]
            return np.append(moved - dx + self.conserved.T @ (self.conserved @ dx), self.phase @ dx)

        return self.residual(z), Krylov(apply, len(z), lambda row: self._solver(leading, row), tolerance=1e-5)

    def approximate_solver(self, row: np.ndarray) -> Callable[[np.ndarray], np.ndarray] | None:
        """Solve with the Jacobian from what is known of the monodromy matrix."""
        return None if self.leading is None else self._solver(self.leading, row)

    def _solver(self, leading: Leading, row: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Solve with the bordered matrix in which M Q Q^T stands for the monodromy matrix."""
        size = len(self.reference)
        matrix = np.zeros((size + 2, size + 2))
        matrix[:size, :size] = (leading.image * self.scale[:, None]) @ (leading.basis / self.scale[:, None]).T
        matrix[:size, :size] += 2.0 * self.conserved.T @ self.conserved - np.eye(size)  # C M = C
        matrix[:size, size:] = leading.sides * self.scale[:, None]
        matrix[size, :size] = self.phase
        matrix[size + 1] = row
        factors = scipy.linalg.lu_factor(matrix, check_finite=False)
        return lambda v: scipy.linalg.lu_solve(factors, v, check_finite=False)

    def _monodromy(self, z: np.ndarray) -> Leading:
        """What is known of the monodromy matrix at z, computed once."""
        if self.leading is not None and np.array_equal(self.leading.at, z):
            return self.leading
        size, scale = len(self.reference), self.scale[:, None]

        def product(changes: np.ndarray) -> np.ndarray:
            changes = np.vstack([changes[:size] * scale, changes[size:]])
            moved = _products(self.rhs, z[:-2], z[-2], z[-1], np.asarray(self.count), jnp.asarray(changes))
            return np.asarray(moved / scale)

        def project(vectors: np.ndarray) -> np.ndarray:
            return self._project(vectors * scale) / scale

        start, rank = self._project(self.modes) / scale, size - len(self.conserved)
        found = leading_multipliers(product, project, start, z, rank)
        if found is None:
            raise NotConverged(np.nan, 0)
        # The trivial multiplier is 1: what it misses is what the others may miss; near a fold, its root.
        missed = np.append(np.sort(np.abs(found.values - 1.0)), 1.0)
        self.eigenvalue_error = max(found.error, float(missed[0] * min(missed[1], 1.0)))
        self.modes = found.real_modes()[:, : min(MODES, rank)] * scale
        self.leading = found
        return found

    def spectrum(self, z: np.ndarray, jacobian: AbstractJacobian) -> dict[str, np.ndarray]:
        """Leading multipliers; the one that is 1 along the orbit is set apart."""
        return without_trivial(self._monodromy(z).values[: MODES + 1])

    def adapted(
        self, z: np.ndarray, tangent: np.ndarray, step: float
    ) -> tuple[AbstractProblem, np.ndarray, np.ndarray]:
        """Phase condition at this point, and the number of steps that suits the period after the step.

        Where the start of the orbit has come into its fast part (a burst), it moves to the slowest: states change
        less there along the branch, so that steps may be longer.
        """
        later = self._slowest(z)
        if not later:
            return self._suited(z, tangent, step, self.modes, self.leading)
        size, share, count, many = len(self.reference), later / self.count, np.asarray(later), self.modes.shape[1]
        changes = np.zeros((size + 2, BLOCK))
        changes[:size, :many] = self.modes
        changes[:, -1] = np.append(tangent[:-2], [share * tangent[-2], tangent[-1]])
        x, time = z[:-2], np.asarray(share * z[-2])
        moved = np.asarray(_products(self.rhs, x, time, z[-1], count, jnp.asarray(changes)))
        x = np.asarray(_flow(self.rhs, x, time, z[-1], count))
        along = np.append(moved[:, -1], tangent[-2:])
        return self._suited(np.append(x, z[-2:]), along, step, moved[:, :many], None)

    def _slowest(self, z: np.ndarray) -> int:
        """Steps from the start of the orbit to where the flow is slowest; 0 if that is not much slower."""
        stride, x, speeds = max(self.count // PHASES, 1), z[:-2], []
        one, far = np.asarray(z[-2] / self.count), np.asarray(stride * z[-2] / self.count)
        for _ in range(PHASES):
            ahead = np.asarray(_flow(self.rhs, x, one, z[-1], np.asarray(1)))
            speeds.append(np.linalg.norm((ahead - x) / self.scale))
            x = np.asarray(_flow(self.rhs, x, far, z[-1], np.asarray(stride)))
        best = int(np.argmin(speeds))
        return best * stride if speeds[0] > FAST * speeds[best] else 0

    def _suited(
        self, z: np.ndarray, tangent: np.ndarray, step: float, modes: np.ndarray, leading: Leading | None
    ) -> tuple["Shooting", np.ndarray, np.ndarray]:
        """The problem with its phase condition at z, with z and the tangent."""
        x = z[:-2]
        ahead = np.asarray(_flow(self.rhs, x, np.asarray(z[-2] / self.count), z[-1], np.asarray(1)))
        period = max(z[-2] + step * tangent[-2], 0.5 * z[-2])
        if leading is not None and steps_in(period, self.equations.dt) != self.count:
            leading = leading._replace(at=np.full(len(z), np.nan))  # known for another number of steps
        new = Shooting(
            self.equations, x, ahead - x, period, period_scale=self.period_scale,
            conserved_value=self.conserved_value, modes=modes, leading=leading,
        )  # fmt: skip
        # The tangent must obey the new phase condition: shifts along the orbit leave it a tangent.
        along = tangent.copy()
        along[:-2] -= (new.phase @ tangent[:-2]) / (new.phase @ (ahead - x)) * (ahead - x)
        return new, z, along

    def rediscretised(self, z: np.ndarray) -> AbstractProblem:
        """The problem with the number of steps that suits this period; it matters where digits count."""
        if round(z[-2] / self.equations.dt) == self.count:
            return self
        return self._suited(z, np.zeros(len(z)), 0.0, self.modes, self.leading)[0]

    def rejects_step(self, before: np.ndarray, after: np.ndarray) -> Rejection | None:
        """A period that jumps or is not positive, or a flow that has turned away."""
        one, two = before[-2], after[-2]
        if not (two > 0 and abs(np.log(two / one)) < 0.1):
            return Rejection.PERIOD
        return Rejection.PHASE if -REVERSED < self._cosine(after) <= 0 else None

    def _cosine(self, z: np.ndarray) -> float:
        """Cosine of the angle between the flow at the start and the direction of the phase condition."""
        change = self._moved(z, 1)
        return float((self.phase * self.scale) @ change / max(np.linalg.norm(change), 1e-300))

    def ends_between(self, before: np.ndarray, after: np.ndarray) -> Stop | None:
        """The orbit shrinks to a point (the flow at its start is reversed), or its halves become one."""
        if self._cosine(after) <= -REVERSED:
            return Stop.HOPF
        one, two = self._halves(before), self._halves(after)
        first, last, quarter = (np.linalg.norm(part) for part in (one, two, self._moved(after, self.count // 4)))
        same = last < first and last < SAME_HALVES * np.linalg.norm(self._moved(after, 1))
        crossed = one @ two <= 0 and min(first, last) < 0.5 * quarter
        return Stop.PERIOD_DOUBLING if same or crossed else None

    def _halves(self, z: np.ndarray) -> np.ndarray:
        """How far the orbit's halves are apart; between two steps if their number is odd."""
        less, more = self.count // 2, (self.count + 1) // 2
        apart = self._moved(z, less)
        return apart if more == less else 0.5 * (apart + self._moved(z, more))

    def _moved(self, z: np.ndarray, count: int) -> np.ndarray:
        """How far the state is after some steps, in scaled unknowns."""
        time, steps = np.asarray(z[-2] * count / self.count), np.asarray(count)
        return (np.asarray(_flow(self.rhs, z[:-2], time, z[-1], steps)) - z[:-2]) / self.scale

    def period(self, z: np.ndarray) -> float:
        """The period T."""
        return float(z[-2])

    def doubled(self, z: np.ndarray) -> Start:
        """Orbits of twice the period, along the Floquet mode of the multiplier -1."""
        leading = self._monodromy(z)
        mode = np.real(leading.modes[:, np.argmin(np.abs(leading.values + 1.0))]) * self.scale
        problem = Shooting(
            self.equations, z[:-2], self.phase * self.scale**2, 2.0 * z[-2], period_scale=2.0 * self.period_scale,
            conserved_value=self.conserved_value, modes=self.modes,
        )  # fmt: skip
        start = np.concatenate([z[:-2], [2.0 * z[-2], z[-1]]])
        return Start(problem, start, np.append(mode, [0.0, 0.0]), leave=True)


def near_hopf(equations: Equations, z: np.ndarray, mode: np.ndarray, angle: float) -> Start:
    """Where the curve of orbits begins that are born where a pair exp(± i angle) of multipliers of a step crosses.

    Args:
        equations: One step f(x, p, dt).
        z: Fixed point and parameter, shape (m + 1,).
        mode: Eigenvector, shape (m,).
        angle: Angle per step.
    """
    period, direction = 2.0 * np.pi * equations.dt / angle, np.real(1j * mode)
    modes = initial_modes(equations, [np.real(mode), np.imag(mode)])
    problem = Shooting(equations, z[:-1], direction, period, modes=modes)
    return Start(problem, np.concatenate([z[:-1], [period, z[-1]]]), np.append(np.real(mode), [0.0, 0.0]), leave=True)
