"""Periodic orbits of a map that is one step of length dt of a flow, by shooting.

The period is no multiple of dt, so k steps of length T/k are taken, k = round(T/dt), with T unknown (shortening only
the last step would not be smooth); k follows the orbit along the branch. The state may have hundreds of unknowns:
products with the monodromy matrix come from forward derivatives, GMRES is preconditioned by the part of it that a
basis of its leading modes tells, and block iteration keeps that basis and gives the multipliers.
Source: K. Lust & D. Roose, SIAM J. Sci. Comput. 19, 1188 (1998), for the use of the leading modes.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from largen.numerics.continuation.collocation import CYCLES, died, merged, without_trivial
from largen.numerics.continuation.core import AbstractProblem
from largen.numerics.continuation.linear import Krylov

MODES = 8
"""Size of the basis of leading modes."""
PRODUCTS = 24
"""Products with the monodromy matrix remembered for the preconditioner."""
SWEEPS = 6
SETTLED = 1e-4
"""The basis is good when |M v - mu v| < SETTLED |v| for every multiplier above 1/50."""


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


class Shooting(AbstractProblem):
    """Periodic orbits of a step in z = (x, T, p), x a state on the orbit."""

    discrete = True
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
        self.near: tuple[np.ndarray, np.ndarray] | None = None
        self.double = False
        self.products: list[tuple[np.ndarray, np.ndarray]] = []
        self.many = min(MODES, len(reference) - len(rows))
        if basis is None:
            basis = np.random.default_rng(0).standard_normal((len(reference), self.many)) * scale[:, None]
            basis[:, 0] = direction
        self.basis = self._free(basis)

    def _free(self, vectors: np.ndarray) -> np.ndarray:
        """Project conserved quantities out."""
        return vectors - self.rows.T @ (self.rows @ vectors)

    def residual(self, z: np.ndarray) -> np.ndarray:
        """Return minus start (with what conservation adds), and the phase condition."""
        x = z[:-2]
        back = np.asarray(_flow(self.law, x, z[-2], z[-1], np.asarray(self.count)))
        gap = back - x + self.rows.T @ (self.rows @ x - self.kept)
        return np.append(gap, self.phase @ (x - self.reference))

    def linearise(self, z: np.ndarray) -> tuple[np.ndarray, Any]:
        """Residual and Jacobian."""

        def apply(v: np.ndarray) -> np.ndarray:
            moved = np.asarray(_product(self.law, z[:-2], z[-2], z[-1], np.asarray(self.count), v))
            dx = v[:-2]
            self._remember(v, moved)
            return np.append(moved - dx + self.rows.T @ (self.rows @ dx), self.phase @ dx)

        if self.near is None:
            self._sweep(z)
        return self.residual(z), Krylov(apply, self._preconditioner, tolerance=1e-3)

    def _remember(self, change: np.ndarray, moved: np.ndarray) -> None:
        """Keep what a product told of the monodromy matrix, for the next preconditioners."""
        assert self.near is not None
        dx = change[:-2]
        size = float(np.linalg.norm(dx / self.scale))
        if size > 1e-12:
            image = moved - self.near[1][:, -2:] @ change[-2:]
            self.products.append((dx / size, image / size))
            del self.products[:-PRODUCTS]

    def _preconditioner(self, row: np.ndarray) -> Any:
        """Solve with the bordered matrix in which the monodromy matrix is known by its leading modes and products."""
        assert self.near is not None
        size = len(self.reference)
        basis, image = self.near
        # The newest come first: an orthonormal basis of the changes, newest first, with their images.
        pairs = self.products[::-1]
        known = np.column_stack([change for change, _ in pairs] + [basis])
        images = np.column_stack([moved for _, moved in pairs] + [image[:, :-2]])
        known, images = known[:, :size], images[:, :size]
        orthonormal, triangle = np.linalg.qr(known)
        kept = np.abs(np.diag(triangle)) > 1e-2 * np.linalg.norm(triangle, axis=0)
        known, images = known[:, kept], images[:, kept]
        orthonormal, triangle = np.linalg.qr(known)
        monodromy = scipy.linalg.solve_triangular(triangle, images.T, trans=1, lower=False).T @ orthonormal.T
        matrix = np.zeros((size + 2, size + 2))
        matrix[:size, :size] = monodromy - np.eye(size) + 2.0 * self.rows.T @ self.rows  # C M = C
        matrix[:size, size:] = image[:, -2:]
        matrix[size, :size] = self.phase
        matrix[size + 1] = row
        factors = scipy.linalg.lu_factor(matrix, check_finite=False)
        return lambda v: scipy.linalg.lu_solve(factors, v, check_finite=False)

    def _sweep(self, z: np.ndarray) -> np.ndarray:
        """Apply the monodromy matrix to the basis once: the multipliers it shows; the basis turns to its image."""
        scaled, _ = np.linalg.qr(self._free(self.basis) / self.scale[:, None])
        basis = self._free(scaled * self.scale[:, None])
        size = len(self.reference)
        changes = np.zeros((size + 2, self.many + 2))
        changes[:size, : self.many] = basis
        changes[size, self.many] = changes[size + 1, self.many + 1] = 1.0
        image = np.asarray(_products(self.law, z[:-2], z[-2], z[-1], np.asarray(self.count), jnp.asarray(changes)))
        self.near = basis, image
        inside = np.linalg.lstsq(basis / self.scale[:, None], image[:, : self.many] / self.scale[:, None], rcond=None)[
            0
        ]
        values, vectors = np.linalg.eig(inside)
        modes = scaled @ vectors
        left = np.linalg.norm(image[:, : self.many] / self.scale[:, None] @ vectors - modes * values, axis=0)
        left = left / np.linalg.norm(modes, axis=0)
        size = np.abs(values)
        self.unsettled = float(np.max(left * (size > 0.02)))
        self.basis = image[:, : self.many]
        self.modes = values, basis @ vectors
        return values

    def spectrum(self, z: np.ndarray, linear: Any) -> dict[str, np.ndarray]:
        """Leading multipliers; the one that is 1 along the orbit is set apart."""
        values = np.zeros(0)
        for _ in range(SWEEPS):
            values = self._sweep(z)
            if self.unsettled < SETTLED:
                break
        return without_trivial(values)

    def adapted(self, z: np.ndarray, tangent: np.ndarray) -> tuple[AbstractProblem, np.ndarray, np.ndarray]:
        """Phase condition at this point, and the number of steps that suits its period."""
        x, step = z[:-2], z[-2] / self.count
        ahead = np.asarray(_flow(self.law, x, np.asarray(step), z[-1], np.asarray(1)))
        new = Shooting(
            self.law.law, x, ahead - x, z[-2], self.dt, self.span, self.scale, self.rows, self.unit, self.basis
        )
        new.kept, new.near, new.double, new.products = self.kept, self.near, self.double, self.products
        # The tangent must obey the new phase condition: shifts along the orbit leave it a tangent.
        along = tangent.copy()
        along[:-2] -= (new.phase @ tangent[:-2]) / (new.phase @ (ahead - x)) * (ahead - x)
        return new, z, along

    def tuned(self, z: np.ndarray) -> AbstractProblem:
        """The problem with the number of steps that suits this period; it matters where digits count."""
        return self if round(z[-2] / self.dt) == self.count else self.adapted(z, np.zeros(len(z)))[0]

    def objection(self, before: np.ndarray, after: np.ndarray) -> str:
        """A period that jumps or is not positive."""
        one, two = before[-2], after[-2]
        return "" if two > 0 and abs(np.log(two / one)) < 0.1 else "The period jumps."

    def end(self, before: np.ndarray, after: np.ndarray) -> str:
        """The orbit shrinks to a point: the flow at the start vanishes and comes out on the other side."""
        if self.double:
            halves = [self._half(z) for z in (before, after)]
            if halves[0] @ halves[1] <= 0:
                return merged(after[-1])
        step = np.asarray(after[-2] / self.count)
        ahead = np.asarray(_flow(self.law, after[:-2], step, after[-1], np.asarray(1)))
        return died(after[-1]) if self.phase @ (ahead - after[:-2]) <= 0 else ""

    def _half(self, z: np.ndarray) -> np.ndarray:
        """How the state half a period later differs."""
        half = np.asarray(self.count // 2)
        period = np.asarray(z[-2] * (self.count // 2) / self.count)
        return (np.asarray(_flow(self.law, z[:-2], period, z[-1], half)) - z[:-2]) / self.scale


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
    basis = problem.basis.copy()
    basis[:, 0], basis[:, 1] = np.real(mode), np.imag(mode)
    problem.basis = problem._free(basis)
    return problem, np.concatenate([z[:-1], [period, z[-1]]]), np.append(np.real(mode), [0.0, 0.0])


def doubled(problem: Shooting, z: np.ndarray) -> tuple[Shooting, np.ndarray, np.ndarray]:
    """Problem, point and direction for the orbits of twice the period born at a period doubling."""
    problem.spectrum(z, None)
    values, vectors = problem.modes
    mode = np.real(vectors[:, np.argmin(np.abs(values + 1.0))])
    x = z[:-2]
    direction = problem.phase * problem.scale**2
    new = Shooting(
        problem.law.law, x, direction, 2.0 * z[-2], problem.dt, problem.span, problem.scale, problem.rows,
        2.0 * problem.unit, problem.basis,
    )  # fmt: skip
    new.kept, new.double = problem.kept, True
    start = np.concatenate([x, [2.0 * z[-2], z[-1]]])
    return new, start, np.append(mode, [0.0, 0.0])
