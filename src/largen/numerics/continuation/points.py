"""Stationary states of flows, fixed points of maps and of steps, and constrained stationary states.

The laws are JAX callables (pytrees: their arrays are traced, so that new values never compile again), compiled once
per structure. Conserved quantities C x are held by adding C^T (C x - c) to the equations: this makes the Jacobian
regular and moves only the eigenvalues that conservation fixes, which are then left out of the spectrum.
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.sparse.linalg

from largen.numerics.continuation.collocation import merged
from largen.numerics.continuation.core import AbstractProblem
from largen.numerics.continuation.linear import Dense, Krylov

MOST_DENSE = 1000
"""Unknowns up to which the Jacobian is a matrix."""
LEAST_BROYDEN = 60
"""Unknowns from which on a new Jacobian is worth avoiding."""
LEADING = 12
"""Eigenvalues computed where it is not."""

FLOW = {"fold": "fold", "branch": "branch_point", "minus": "", "complex": "hopf"}
MAP = {"fold": "fold", "branch": "branch_point", "minus": "period_doubling", "complex": "neimark_sacker"}
STEPS = MAP | {"complex": "hopf"}


@eqx.filter_jit
def _value(law: Any, x: Any, p: Any) -> Any:
    return law(x, p)


@eqx.filter_jit
def _jacobians(law: Any, x: Any, p: Any) -> tuple[Any, Any, Any]:
    return law(x, p), jax.jacfwd(law)(x, p), jax.jacfwd(law, 1)(x, p)


@eqx.filter_jit
def _product(law: Any, x: Any, p: Any, dx: Any, dp: Any) -> Any:
    return jax.jvp(law, (x, p), (dx, dp))[1]


class Iterated(eqx.Module):
    """A map applied `times` times."""

    law: Any
    times: int = eqx.field(static=True)

    def __call__(self, x: Any, p: Any) -> Any:
        """The image of x."""
        return jax.lax.fori_loop(0, self.times, lambda _, y: self.law(y, p), x)


class Stationary(AbstractProblem):
    """Zeros of a vector field, or fixed points of a map, in z = (x, p)."""

    vertical = False

    def __init__(
        self,
        law: Any,
        start: np.ndarray,
        span: float,
        *,
        discrete: bool = False,
        scale: np.ndarray | None = None,
        conserved: np.ndarray | None = None,
        kinds: Mapping[str, Mapping[str, str]] | None = None,
        spectra: Any = None,
        dense: bool | None = None,
    ):
        """State the problem.

        Args:
            law: field(x, p), shape (m,), or map(x, p) if discrete.
            start: State whose conserved quantities hold, shape (m,).
            span: Length of the parameter's range.
            discrete: Whether the law is a map.
            scale: Sizes of the unknowns, shape (m,): |dx/scale| is 1 when x changes altogether.
            conserved: Rows C, shape (c, m), with C x conserved.
            kinds: Names of the special points by group of the spectrum.
            spectra: Function (x, p, Jacobian) -> eigenvalues by group; by default those of the law.
            dense: Whether to hold the Jacobian as a matrix; by default up to `MOST_DENSE` unknowns.
        """
        start = np.asarray(start, dtype=float)
        size = len(start)
        self.law, self.discrete = law, discrete
        self.rows = np.zeros((0, size)) if conserved is None else scipy.linalg.orth(np.asarray(conserved).T).T
        self.kept = self.rows @ start
        free = scipy.linalg.null_space(self.rows) if len(self.rows) else None
        self.free = free
        scale = default_scale(start) if scale is None else np.broadcast_to(scale, size)
        self.weights = np.append(1.0 / scale, 1.0 / span)
        self.kinds = kinds or {"": MAP if discrete else FLOW}
        self.spectra = spectra
        self.dense = size <= MOST_DENSE if dense is None else dense
        self.last: Dense | None = None

    def _complete(self, value: np.ndarray, x: np.ndarray) -> np.ndarray:
        if self.discrete:
            value = value - x
        return value + self.rows.T @ (self.rows @ x - self.kept)

    def residual(self, z: np.ndarray) -> np.ndarray:
        """The law's value (minus x for a map) and what conservation adds."""
        return self._complete(np.asarray(_value(self.law, z[:-1], z[-1])), z[:-1])

    def linearise(self, z: np.ndarray) -> tuple[np.ndarray, Any]:
        """Residual and Jacobian."""
        x, p = z[:-1], z[-1]
        if not self.dense:
            return self.residual(z), Krylov(lambda v: self._along(z, v), tolerance=1e-6, most=min(len(x) + 1, 200))
        value, by_x, by_p = (np.asarray(part) for part in _jacobians(self.law, x, p))
        matrix = by_x - np.eye(len(x)) if self.discrete else by_x
        linear = Dense(np.column_stack([matrix + self.rows.T @ self.rows, by_p]))
        linear.law = by_x  # type: ignore[attr-defined]
        self.last = linear
        return self._complete(value, x), linear

    def nearby(self, row: np.ndarray) -> Any:
        """The last matrix, where it is large."""
        last = self.last
        if last is None or len(row) < LEAST_BROYDEN:
            return None
        return lambda right: last.solve(row, right)

    def _along(self, z: np.ndarray, v: np.ndarray) -> np.ndarray:
        moved = np.asarray(_product(self.law, z[:-1], z[-1], v[:-1], v[-1]))
        if self.discrete:
            moved = moved - v[:-1]
        return moved + self.rows.T @ (self.rows @ v[:-1])

    def spectrum(self, z: np.ndarray, linear: Any) -> dict[str, np.ndarray]:
        """All eigenvalues off the conserved directions, or the leading ones of a large system."""
        if self.spectra is not None:
            return self.spectra(z[:-1], z[-1], getattr(linear, "law", None))
        if not self.dense:
            return {"": self._leading(z)}
        matrix = linear.law if self.free is None else self.free.T @ linear.law @ self.free
        return {"": np.linalg.eigvals(matrix)}

    def end(self, before: np.ndarray, after: np.ndarray) -> str:
        """A cycle of an iterated map merges with the one of half its period."""
        if not isinstance(self.law, Iterated) or self.law.times % 2:
            return ""
        half = Iterated(self.law.law, self.law.times // 2)
        one, two = (np.asarray(_value(half, z[:-1], z[-1])) - z[:-1] for z in (before, after))
        return merged(after[-1]) if one @ two <= 0 and np.any(one) else ""

    def _leading(self, z: np.ndarray) -> np.ndarray:
        """Leading eigenvalues by Arnoldi's method; conserved directions are projected out."""
        rows = self.rows

        def apply(v: np.ndarray) -> np.ndarray:
            v = np.ravel(v)
            v = v - rows.T @ (rows @ v)
            moved = np.asarray(_product(self.law, z[:-1], z[-1], v, np.zeros(())))
            return moved - rows.T @ (rows @ moved)

        size = len(z) - 1
        whole: Any = scipy.sparse.linalg.LinearOperator
        operator = whole((size, size), matvec=apply, dtype=float)
        which = "LM" if self.discrete else "LR"
        start = np.random.default_rng(0).standard_normal(size)
        found: Any = scipy.sparse.linalg.eigs(operator, k=LEADING, which=which, v0=start, return_eigenvectors=False)
        return found


def default_scale(start: np.ndarray) -> np.ndarray:
    """Sizes of unknowns about which nothing is known, shape (m,)."""
    return np.maximum(np.abs(start), 1.0) * np.sqrt(len(start))


def eigenvector(problem: Stationary, z: np.ndarray, linear: Any, value: complex) -> np.ndarray:
    """Eigenvector of the law's Jacobian for the eigenvalue nearest to a value, shape (m,), of unit length."""
    values, vectors = np.linalg.eig(linear.law)
    vector = vectors[:, np.argmin(np.abs(values - value))]
    return vector / np.linalg.norm(problem.weights[:-1] * vector)


def newton(law: Any, x: np.ndarray, p: float, *, discrete: bool, conserved: np.ndarray | None = None) -> np.ndarray:
    """Damped Newton's method for one stationary state at a fixed parameter; NaN where it fails."""
    problem = Stationary(law, x, 1.0, discrete=discrete, conserved=conserved)
    row = np.zeros(len(x) + 1)
    row[-1] = 1.0
    z = np.append(np.asarray(x, dtype=float), p)
    residual, linear = problem.linearise(z)
    size = np.linalg.norm(residual)
    for _ in range(60):
        step = linear.solve(row, np.append(-residual, 0.0))
        for share in 0.5 ** np.arange(12.0):
            new = z + share * step
            residual, linear = problem.linearise(new)
            if np.linalg.norm(residual) < (1.0 - 0.1 * share) * size or problem.length(share * step) < 1e-11:
                break
        else:
            return np.full(len(x), np.nan)
        z, size = new, np.linalg.norm(residual)
        if not np.isfinite(size):
            break
        if problem.length(share * step) < 1e-10 and share == 1.0:
            return z[:-1]
    return np.full(len(x), np.nan)


def jacobians(law: Any, x: Any, p: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The law's value and its derivatives in x and p, compiled once per structure."""
    value, by_x, by_p = _jacobians(law, jnp.asarray(x), jnp.asarray(p))
    return np.asarray(value), np.asarray(by_x), np.asarray(by_p)
