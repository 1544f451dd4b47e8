"""Periodic orbits of a map that is one step of length dt of a flow, by shooting.

The period is no multiple of dt, so k steps of length T/k are taken, k = round(T/dt), with T unknown (shortening only
the last step would not be smooth); k follows the orbit along the branch. The state may have hundreds of unknowns:
products with the monodromy matrix M come from forward derivatives. A block Arnoldi method started from the leading
modes of the point before spans a space Q of 20 to 30 dimensions outside of which M is nearly zero: Q^T M Q has the
multipliers, and the Jacobian with M Q Q^T in place of M preconditions GMRES and is the first Jacobian of Broyden's
method at the next point. M is far from normal (its norm is in the hundreds where its multipliers are below 1), so that
plain block iteration is not enough.
Source: K. Lust & D. Roose, SIAM J. Sci. Comput. 19, 1188 (1998), for the use of the leading modes.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from largen.numerics.continuation.collocation import CYCLES, died, merged, without_trivial
from largen.numerics.continuation.core import AbstractProblem, NotConverged
from largen.numerics.continuation.linear import Krylov

MODES = 8
"""Modes from which the Arnoldi method starts at the next point."""
BLOCK = MODES + 2
"""Vectors multiplied at once."""
SWEEPS = 5
DYING = 0.7
"""An orbit has shrunk through a point when the flow at its start is reversed: a cosine of less than -DYING."""
SAME = 0.4
"""The halves of an orbit are one when they differ by less than this part of a step."""
PHASES = 24
"""Phases at which the speed of the flow is looked at."""
FAST = 3.0
"""The start of an orbit moves to where the flow is slowest when it is this many times as fast there."""
SETTLED = 1e-4
"""The multipliers above 1/50 are accepted with this error."""


class Repeated(eqx.Module):
    """A step law(x, p, dt) taken many times; a law with its own method `advance` does so itself."""

    law: Any

    def __call__(self, x: Any, period: Any, p: Any, count: Any) -> Any:
        """The state after `count` steps of length period/count."""
        if hasattr(self.law, "advance"):
            return self.law.advance(x, p, period / count, count)
        return jax.lax.fori_loop(0, count, lambda _, y: self.law(y, p, period / count), x)


@eqx.filter_jit
def _flow(law: Repeated, x: Any, period: Any, p: Any, count: Any) -> Any:
    return law(x, period, p, count)


@eqx.filter_jit
def _product(law: Repeated, x: Any, period: Any, p: Any, count: Any, change: Any) -> Any:
    """Derivative along a change of (x, T, p), shape (m,)."""
    return jax.jvp(
        lambda x, period, p: law(x, period, p, count), (x, period, p), (change[:-2], change[-2], change[-1])
    )[1]


@eqx.filter_jit
def _products(law: Repeated, x: Any, period: Any, p: Any, count: Any, changes: Any) -> Any:
    """The same along many changes, shape (m + 2, many) -> (m, many)."""
    return jax.vmap(lambda change: _product(law, x, period, p, count, change), in_axes=-1, out_axes=-1)(changes)


class Leading(NamedTuple):
    """What is known of the monodromy matrix M at one point, all in the scaled unknowns.

    Attributes:
        at: The point, shape (m + 2,).
        basis: Orthonormal vectors Q, shape (m, q).
        image: M Q, shape (m, q).
        sides: Derivatives of the return by the period and the parameter, shape (m, 2).
        values: Multipliers, largest first.
        modes: Their eigenvectors, shape (m, q).
        error: Largest error of those above 1/50.
    """

    at: np.ndarray
    basis: np.ndarray
    image: np.ndarray
    sides: np.ndarray
    values: np.ndarray
    modes: np.ndarray
    error: float


class Shooting(AbstractProblem):
    """Periodic orbits of a step in z = (x, T, p), x a state on the orbit."""

    discrete = True
    renumbered = True
    tolerance = 1e-6

    def __init__(
        self,
        law: Any,
        reference: np.ndarray,
        direction: np.ndarray,
        period: float,
        dt: float,
        span: float,
        scale: np.ndarray,
        rows: np.ndarray,
        unit: float | None = None,
        basis: np.ndarray | None = None,
    ):
        """State the problem.

        Args:
            law: step(x, p, dt), a JAX callable.
            reference: State whose neighbourhood the orbit passes, shape (m,).
            direction: Direction of the flow there, for the phase condition.
            period: Period nearby; it decides the number of steps.
            dt: Step.
            span: Length of the parameter's range.
            scale: Sizes of the unknowns.
            rows: Orthonormal rows C with C x conserved, shape (c, m).
            unit: Length by which changes of the period are measured.
            basis: Approximate leading modes, shape (m, MODES).
        """
        self.law, self.dt, self.span, self.scale, self.rows = Repeated(law), dt, span, scale, rows
        self.kinds = {"": CYCLES}
        self.count = max(round(period / dt), 2)
        self.unit = period if unit is None else unit
        self.weights = np.concatenate([1.0 / scale, [1.0 / self.unit, 1.0 / span]])
        self.reference = reference
        phase = direction / scale**2
        self.phase = phase / np.linalg.norm(phase * scale)
        self.kept = rows @ reference
        self.leading: Leading | None = None
        # What conservation adds goes where there is something already, not into empty parts of the state.
        held = (np.abs(reference) + 1e-12 * scale)[:, None] * rows.T
        self.spread = np.linalg.solve(rows @ held, held.T).T if len(rows) else held
        self.many = min(MODES, len(reference) - len(rows))
        if basis is None:
            basis = np.random.default_rng(0).standard_normal((len(reference), self.many)) * scale[:, None]
            basis[:, 0] = direction
        self.basis = basis

    def _free(self, vectors: np.ndarray) -> np.ndarray:
        """Project conserved quantities out."""
        return vectors - self.spread @ (self.rows @ vectors)

    def residual(self, z: np.ndarray) -> np.ndarray:
        """Return minus start (with what conservation adds), and the phase condition."""
        x = z[:-2]
        back = np.asarray(_flow(self.law, x, z[-2], z[-1], np.asarray(self.count)))
        gap = back - x + self.rows.T @ (self.rows @ x - self.kept)
        return np.append(gap, self.phase @ (x - self.reference))

    def linearise(self, z: np.ndarray) -> tuple[np.ndarray, Any]:
        """Residual and Jacobian."""
        leading = self._learn(z)

        def apply(v: np.ndarray) -> np.ndarray:
            moved = np.asarray(_product(self.law, z[:-2], z[-2], z[-1], np.asarray(self.count), v))
            dx = v[:-2]
            return np.append(moved - dx + self.rows.T @ (self.rows @ dx), self.phase @ dx)

        return self.residual(z), Krylov(apply, lambda row: self._solver(leading, row), tolerance=1e-5)

    def nearby(self, row: np.ndarray) -> Any:
        """The Jacobian with what is known of the monodromy matrix."""
        return None if self.leading is None else self._solver(self.leading, row)

    def _solver(self, leading: Leading, row: np.ndarray) -> Any:
        """Solve with the bordered matrix in which M Q Q^T stands for the monodromy matrix."""
        size = len(self.reference)
        matrix = np.zeros((size + 2, size + 2))
        matrix[:size, :size] = (leading.image * self.scale[:, None]) @ (leading.basis / self.scale[:, None]).T
        matrix[:size, :size] += 2.0 * self.rows.T @ self.rows - np.eye(size)  # C M = C
        matrix[:size, size:] = leading.sides * self.scale[:, None]
        matrix[size, :size] = self.phase
        matrix[size + 1] = row
        factors = scipy.linalg.lu_factor(matrix, check_finite=False)
        return lambda v: scipy.linalg.lu_solve(factors, v, check_finite=False)

    def _learn(self, z: np.ndarray) -> Leading:
        """Block Arnoldi iteration on the monodromy matrix until its leading multipliers are settled."""
        if self.leading is not None and np.array_equal(self.leading.at, z):
            return self.leading
        size, scale = len(self.reference), self.scale[:, None]
        basis, image, sides = np.zeros((size, 0)), np.zeros((size, 0)), np.zeros((size, 2))
        block = self._free(self.basis) / scale
        for sweep in range(SWEEPS):
            block = _complement(block, basis)[:, : size - len(self.rows) - basis.shape[1]]
            if not block.shape[1]:  # nothing is left
                break
            changes = np.zeros((size + 2, BLOCK))
            changes[:size, : block.shape[1]] = block * scale
            if sweep == 0:
                changes[size, -2] = changes[size + 1, -1] = 1.0
            moved = _products(self.law, z[:-2], z[-2], z[-1], np.asarray(self.count), jnp.asarray(changes)) / scale
            moved = np.asarray(moved)
            if not np.all(np.isfinite(moved)):
                raise NotConverged(np.nan, 0)
            if sweep == 0:
                sides = moved[:, -2:]
            basis = np.column_stack([basis, block])
            image = np.column_stack([image, moved[:, : block.shape[1]]])
            values, vectors, error = _ritz(basis, image)
            if error < SETTLED:
                break
            block = self._free((moved if sweep == 0 else moved[:, : block.shape[1]]) * scale) / scale
        self.leading = Leading(z.copy(), basis, image, sides, values, basis @ vectors, error)
        # The multiplier along the orbit is 1: what it misses is what the others may miss; near a fold, its root.
        missed = np.append(np.sort(np.abs(values - 1.0)), 1.0)
        self.doubt = max(error, float(missed[0] * min(missed[1], 1.0)))
        parts = np.column_stack([np.real(self.leading.modes), np.imag(self.leading.modes)])[:, _pairs(values)]
        self.basis = parts[:, : self.many] * scale
        return self.leading

    def spectrum(self, z: np.ndarray, linear: Any) -> dict[str, np.ndarray]:
        """Leading multipliers; the one that is 1 along the orbit is set apart."""
        return without_trivial(self._learn(z).values[: MODES + 1])

    def adapted(
        self, z: np.ndarray, tangent: np.ndarray, step: float
    ) -> tuple[AbstractProblem, np.ndarray, np.ndarray]:
        """Phase condition at this point, and the number of steps that suits the period after the step.

        Where the start of the orbit has come into its fast part (a burst), it moves to the slowest: states change
        less there along the branch, so that steps may be longer.
        """
        later = self._slowest(z)
        if not later:
            return self._suited(z, tangent, step, self.basis, self.leading)
        size, share, count = len(self.reference), later / self.count, np.asarray(later)
        changes = np.zeros((size + 2, BLOCK))
        changes[:size, : self.many] = self.basis[:, : self.many]
        changes[:, -1] = np.append(tangent[:-2], [share * tangent[-2], tangent[-1]])
        x, time = z[:-2], np.asarray(share * z[-2])
        moved = np.asarray(_products(self.law, x, time, z[-1], count, jnp.asarray(changes)))
        x = np.asarray(_flow(self.law, x, time, z[-1], count))
        along = np.append(moved[:, -1], tangent[-2:])
        return self._suited(np.append(x, z[-2:]), along, step, moved[:, : self.many], None)

    def _slowest(self, z: np.ndarray) -> int:
        """Steps from the start of the orbit to where the flow is slowest; 0 if that is not much slower."""
        stride, x, speeds = max(self.count // PHASES, 1), z[:-2], []
        one, far = np.asarray(z[-2] / self.count), np.asarray(stride * z[-2] / self.count)
        for _ in range(PHASES):
            ahead = np.asarray(_flow(self.law, x, one, z[-1], np.asarray(1)))
            speeds.append(np.linalg.norm((ahead - x) / self.scale))
            x = np.asarray(_flow(self.law, x, far, z[-1], np.asarray(stride)))
        best = int(np.argmin(speeds))
        return best * stride if speeds[0] > FAST * speeds[best] else 0

    def _suited(
        self, z: np.ndarray, tangent: np.ndarray, step: float, basis: np.ndarray, leading: Leading | None
    ) -> tuple["Shooting", np.ndarray, np.ndarray]:
        """The problem with its phase condition at z, with z and the tangent."""
        x = z[:-2]
        ahead = np.asarray(_flow(self.law, x, np.asarray(z[-2] / self.count), z[-1], np.asarray(1)))
        period = max(z[-2] + step * tangent[-2], 0.5 * z[-2])
        new = Shooting(self.law.law, x, ahead - x, period, self.dt, self.span, self.scale, self.rows, self.unit, basis)
        new.kept, new.leading = self.kept, leading
        if leading is not None and new.count != self.count:
            new.leading = leading._replace(at=np.full(len(z), np.nan))
        # The tangent must obey the new phase condition: shifts along the orbit leave it a tangent.
        along = tangent.copy()
        along[:-2] -= (new.phase @ tangent[:-2]) / (new.phase @ (ahead - x)) * (ahead - x)
        return new, z, along

    def tuned(self, z: np.ndarray) -> AbstractProblem:
        """The problem with the number of steps that suits this period; it matters where digits count."""
        if round(z[-2] / self.dt) == self.count:
            return self
        return self._suited(z, np.zeros(len(z)), 0.0, self.basis, self.leading)[0]

    def objection(self, before: np.ndarray, after: np.ndarray) -> str:
        """A period that jumps or is not positive, or a flow that has turned away."""
        one, two = before[-2], after[-2]
        if not (two > 0 and abs(np.log(two / one)) < 0.1):
            return "The period jumps."
        return "The flow at the start of the orbit turns." if -DYING < self._turned(after) <= 0 else ""

    def _turned(self, z: np.ndarray) -> float:
        """Cosine of the angle between the flow at the start and the direction of the phase condition."""
        change = self._moved(z, 1)
        return float((self.phase * self.scale) @ change / max(np.linalg.norm(change), 1e-300))

    def end(self, before: np.ndarray, after: np.ndarray) -> str:
        """The orbit shrinks to a point (the flow at its start turns over), or its halves become one."""
        if self._turned(after) <= -DYING:
            return died(after[-1])
        one, two = self._halves(before), self._halves(after)
        first, last, quarter = (np.linalg.norm(part) for part in (one, two, self._moved(after, self.count // 4)))
        same = last < first and last < SAME * np.linalg.norm(self._moved(after, 1))
        crossed = one @ two <= 0 and min(first, last) < 0.5 * quarter
        return merged(after[-1]) if same or crossed else ""

    def _halves(self, z: np.ndarray) -> np.ndarray:
        """How far the orbit's halves are apart; between two steps if their number is odd."""
        less, more = self.count // 2, (self.count + 1) // 2
        apart = self._moved(z, less)
        return apart if more == less else 0.5 * (apart + self._moved(z, more))

    def _moved(self, z: np.ndarray, count: int) -> np.ndarray:
        """How far the state is after some steps, in scaled unknowns."""
        time, steps = np.asarray(z[-2] * count / self.count), np.asarray(count)
        return (np.asarray(_flow(self.law, z[:-2], time, z[-1], steps)) - z[:-2]) / self.scale


def _complement(block: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Orthonormal vectors that span, with the basis, what the block spans; shape (m, at most BLOCK)."""
    block = block / np.maximum(np.linalg.norm(block, axis=0), 1e-300)
    for _ in range(2):
        block = block - basis @ (basis.T @ block)
    factors: Any = scipy.linalg.qr(block, mode="economic", pivoting=True)
    orthonormal, triangle, _ = factors
    kept = np.abs(np.diag(triangle)) > 1e-12
    return orthonormal[:, kept]


def _ritz(basis: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Multipliers in the span of the basis, largest first, their vectors in it, and the error of those above 1/50.

    To first order the error of a value is at most its residual times its condition number.
    """
    values, vectors = np.linalg.eig(basis.T @ image)
    order = np.lexsort((np.imag(values), -np.abs(values)))
    values, vectors = values[order].astype(complex), vectors[:, order]
    left = np.linalg.norm(image @ vectors - (basis @ vectors) * values, axis=0)
    condition = np.linalg.norm(np.linalg.pinv(vectors), axis=1)
    return values, vectors, float(np.max((left * condition)[np.abs(values) > 0.02], initial=0.0))


def _pairs(values: np.ndarray) -> np.ndarray:
    """Columns of [real parts, imaginary parts] that span the modes in their order: of a pair each part once."""
    later = np.imag(values) > 0.0  # the conjugate came before
    return np.where(later, np.arange(len(values)) + len(values), np.arange(len(values)))


def near_hopf(
    law: Any, z: np.ndarray, mode: np.ndarray, angle: float, dt: float, span: float, scale: np.ndarray, rows: np.ndarray
) -> tuple[Shooting, np.ndarray, np.ndarray]:
    """Problem, point and direction for the orbits born where a pair exp(+-i angle) of a step's multipliers crosses.

    Args:
        law: step(x, p, dt).
        z: Fixed point and parameter, shape (m + 1,).
        mode: Eigenvector, shape (m,).
        angle: Angle per step.
        dt: Step.
        span: Length of the parameter's range.
        scale: Sizes of the unknowns.
        rows: Orthonormal conserved rows.
    """
    period = 2.0 * np.pi * dt / angle
    problem = Shooting(law, z[:-1], np.real(1j * mode), period, dt, span, scale, rows)
    problem.basis[:, 0], problem.basis[:, 1] = np.real(mode), np.imag(mode)
    return problem, np.concatenate([z[:-1], [period, z[-1]]]), np.append(np.real(mode), [0.0, 0.0])


def doubled(problem: Shooting, z: np.ndarray) -> tuple[Shooting, np.ndarray, np.ndarray]:
    """Problem, point and direction for the orbits of twice the period born at a period doubling."""
    leading = problem._learn(z)
    mode = np.real(leading.modes[:, np.argmin(np.abs(leading.values + 1.0))]) * problem.scale
    x = z[:-2]
    direction = problem.phase * problem.scale**2
    new = Shooting(
        problem.law.law, x, direction, 2.0 * z[-2], problem.dt, problem.span, problem.scale, problem.rows,
        2.0 * problem.unit, problem.basis,
    )  # fmt: skip
    new.kept = problem.kept
    start = np.concatenate([x, [2.0 * z[-2], z[-1]]])
    return new, start, np.append(mode, [0.0, 0.0])
