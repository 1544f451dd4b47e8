"""Stationary states of flows, fixed points of maps and of steps, and constrained stationary states.

Right-hand sides are JAX callables (pytrees: their arrays are traced, so that new values never compile again), compiled
once per structure. Conserved quantities C x are held by adding C^T (C x - c) to the equations: as C J = 0 for their
Jacobian J and the rows of C are orthonormal, J + C^T C is regular, and only the eigenvalues 0 that conservation fixes
are moved (to 1); they are left out of the spectrum.
"""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np
import scipy.linalg
import scipy.sparse.linalg

from largen.numerics.continuation.kinds import FLOW, MAP, BranchKind, Kinds, Stop
from largen.numerics.continuation.linear import AbstractJacobian, Dense, Krylov
from largen.numerics.continuation.problem import AbstractProblem, Equations, Start

MAX_DENSE = 1000
"""Unknowns up to which the Jacobian is an array."""
MIN_BROYDEN = 60
"""Unknowns from which on a Jacobian is expensive to recompute."""
LEADING = 12
"""Eigenvalues computed where the Jacobian is no array."""


@eqx.filter_jit
def _value(rhs: Callable, x: Any, p: Any) -> Any:
    return rhs(x, p)


@eqx.filter_jit
def _value_and_jacobians(rhs: Callable, x: Any, p: Any) -> tuple[Any, Any, Any]:
    """The right-hand side, shape (m,), and its derivatives by x, shape (m, m), and by p, shape (m,)."""
    return rhs(x, p), jax.jacfwd(rhs)(x, p), jax.jacfwd(rhs, 1)(x, p)


@eqx.filter_jit
def _product(rhs: Callable, x: Any, p: Any, dx: Any, dp: Any) -> Any:
    """The derivative of the right-hand side along a change of x and p, shape (m,)."""
    return jax.jvp(rhs, (x, p), (dx, dp))[1]


class Iterated(eqx.Module):
    """A map applied `times` times."""

    rhs: Callable
    times: int = eqx.field(static=True)

    def __call__(self, x: Any, p: Any) -> Any:
        """The image of x."""
        return jax.lax.fori_loop(0, self.times, lambda _, y: self.rhs(y, p), x)


class Stationary(AbstractProblem):
    """Zeros of a vector field f, or fixed points of a map f, in z = (x, p)."""

    follows_vertical = False
    branch_kind = BranchKind.STATIONARY

    def __init__(
        self,
        equations: Equations,
        start: np.ndarray,
        *,
        discrete: bool = False,
        kinds: Mapping[str, Kinds] | None = None,
        spectra: Callable[..., dict[str, np.ndarray]] | None = None,
        dense: bool | None = None,
    ):
        """State the problem.

        Args:
            equations: The right-hand side f(x, p).
            start: State whose conserved quantities hold, shape (m,).
            discrete: Whether f is a map.
            kinds: Special points by group of the spectrum.
            spectra: Function (x, p, df/dx) -> eigenvalues by group; by default those of f.
            dense: Whether to hold the Jacobian as an array; by default up to `MAX_DENSE` unknowns.
        """
        start = np.asarray(start, dtype=float)
        self.equations, self.discrete = equations, discrete
        self.rhs, self.conserved = equations.rhs, equations.conserved
        self.conserved_value = self.conserved @ start
        self.free = scipy.linalg.null_space(self.conserved) if len(self.conserved) else None
        self.weights = np.append(1.0 / equations.scale, 1.0 / equations.span)
        self.kinds = kinds or {"": MAP if discrete else FLOW}
        self.spectra = spectra
        self.dense = len(start) <= MAX_DENSE if dense is None else dense
        self.last: Dense | None = None

    def _completed(self, value: np.ndarray, x: np.ndarray) -> np.ndarray:
        if self.discrete:
            value = value - x
        return value + self.conserved.T @ (self.conserved @ x - self.conserved_value)

    def residual(self, z: np.ndarray) -> np.ndarray:
        """f(x, p), for a map minus x, and what conservation adds."""
        return self._completed(np.asarray(_value(self.rhs, z[:-1], z[-1])), z[:-1])

    def linearise(self, z: np.ndarray) -> tuple[np.ndarray, AbstractJacobian]:
        """Residual and Jacobian."""
        x, p = z[:-1], z[-1]
        if not self.dense:
            most = min(len(x) + 1, 200)
            return self.residual(z), Krylov(lambda v: self._product(z, v), len(z), tolerance=1e-6, most=most)
        value, by_x, by_p = (np.asarray(part) for part in _value_and_jacobians(self.rhs, x, p))
        matrix = by_x - np.eye(len(x)) if self.discrete else by_x
        jacobian = Dense(np.column_stack([matrix + self.conserved.T @ self.conserved, by_p]), by_x)
        self.last = jacobian
        return self._completed(value, x), jacobian

    def approximate_solver(self, row: np.ndarray) -> Callable[[np.ndarray], np.ndarray] | None:
        """Solve with the last Jacobian, where it is large."""
        last = self.last
        if last is None or len(row) < MIN_BROYDEN:
            return None
        return lambda right: last.solve(row, right)

    def _product(self, z: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The Jacobian times a vector."""
        moved = np.asarray(_product(self.rhs, z[:-1], z[-1], v[:-1], v[-1]))
        if self.discrete:
            moved = moved - v[:-1]
        return moved + self.conserved.T @ (self.conserved @ v[:-1])

    def spectrum(self, z: np.ndarray, jacobian: AbstractJacobian) -> dict[str, np.ndarray]:
        """All eigenvalues off the conserved directions, or the leading ones of a large system."""
        if self.spectra is not None:
            return self.spectra(z[:-1], z[-1], jacobian.derivative)
        if jacobian.derivative is None:
            return {"": self._leading(z)}
        matrix = jacobian.derivative if self.free is None else self.free.T @ jacobian.derivative @ self.free
        return {"": np.linalg.eigvals(matrix)}

    def ends_between(self, before: np.ndarray, after: np.ndarray) -> Stop | None:
        """A cycle of an iterated map rejoins the one of half its period where their difference changes sign."""
        if not isinstance(self.rhs, Iterated) or self.rhs.times % 2:
            return None
        half = Iterated(self.rhs.rhs, self.rhs.times // 2)
        one, two = (np.asarray(_value(half, z[:-1], z[-1])) - z[:-1] for z in (before, after))
        return Stop.PERIOD_DOUBLING if one @ two <= 0 and np.any(one) else None

    def period(self, z: np.ndarray) -> float:
        """Iterations of a map after which its point returns; NaN for a stationary state."""
        return float(self.rhs.times) if isinstance(self.rhs, Iterated) else np.nan

    def doubled(self, z: np.ndarray) -> Start:
        """Fixed points of the map applied twice as often, along the eigenvector of the multiplier -1."""
        mode = np.real(self.eigenvector(z, -1.0))
        rhs, times = (self.rhs.rhs, self.rhs.times) if isinstance(self.rhs, Iterated) else (self.rhs, 1)
        twice = self.equations._replace(rhs=Iterated(rhs, 2 * times))
        return Start(Stationary(twice, z[:-1], discrete=True, kinds={"": MAP}), z, np.append(mode, 0.0), leave=True)

    def eigenvector(self, z: np.ndarray, value: complex) -> np.ndarray:
        """Eigenvector of df/dx for the eigenvalue nearest to a value, shape (m,), of unit length."""
        derivative = self.linearise(z)[1].derivative
        assert derivative is not None
        values, vectors = np.linalg.eig(derivative)
        vector = vectors[:, np.argmin(np.abs(values - value))]
        return vector / np.linalg.norm(self.weights[:-1] * vector)

    def _leading(self, z: np.ndarray) -> np.ndarray:
        """Leading eigenvalues by Arnoldi's method; conserved directions are projected out."""
        rows = self.conserved

        def apply(v: np.ndarray) -> np.ndarray:
            v = np.ravel(v)
            v = v - rows.T @ (rows @ v)
            moved = np.asarray(_product(self.rhs, z[:-1], z[-1], v, np.zeros(())))
            return moved - rows.T @ (rows @ moved)

        size = len(z) - 1
        make: Any = scipy.sparse.linalg.LinearOperator
        operator = make((size, size), matvec=apply, dtype=float)
        which = "LM" if self.discrete else "LR"
        start = np.random.default_rng(0).standard_normal(size)
        found: Any = scipy.sparse.linalg.eigs(operator, k=LEADING, which=which, v0=start, return_eigenvectors=False)
        return found


def default_scale(start: np.ndarray) -> np.ndarray:
    """Sizes of unknowns about which nothing is known, shape (m,)."""
    return np.maximum(np.abs(start), 1.0) * np.sqrt(len(start))


LEAST_RATIO, MOST_RATIO = 0.4, 0.97
"""Ratios of successive steps between which Newton's method is taken to converge to a degenerate root."""
NEWTON_STEPS = 60


def newton(equations: Equations, x: np.ndarray, p: float, *, discrete: bool) -> np.ndarray:
    """Damped Newton's method for one stationary state at a fixed parameter; NaN where it fails.

    A step is halved until the residual falls by a tenth of its share. At a root of multiplicity k, where the Jacobian
    is singular, steps shrink by (k - 1)/k only: the whole series of them is then taken at once where that comes nearer.
    Where the Jacobian itself is singular the step is the shortest that solves the linear equations best.
    Source: C. T. Kelley, Iterative Methods for Linear and Nonlinear Equations (1995), sec. 8.1 (Armijo rule); G. W.
    Reddien, SIAM J. Numer. Anal. 15, 993 (1978), for singular roots.
    """
    problem = Stationary(equations._replace(scale=default_scale(x), span=1.0), x, discrete=discrete)
    z = np.append(np.asarray(x, dtype=float), p)
    residual, jacobian = problem.linearise(z)
    size, before = np.linalg.norm(residual), np.inf
    for _ in range(NEWTON_STEPS):
        if size == 0.0:
            return z[:-1]
        step = _newton_step(jacobian, residual)
        if not np.all(np.isfinite(step)):
            break
        length = problem.length(step)
        shares = 0.5 ** np.arange(12.0)
        if LEAST_RATIO < length / before < MOST_RATIO:
            shares = np.append(1.0 / (1.0 - length / before), shares)
        for share in shares:
            new = z + share * step
            residual, jacobian = problem.linearise(new)
            nearer = np.linalg.norm(residual) < (1.0 - 0.1 * min(share, 1.0)) * size
            if nearer or (share <= 1.0 and problem.length(share * step) < 1e-11):
                break
        else:
            break
        z, size, before = new, np.linalg.norm(residual), length
        if not np.isfinite(size):
            break
        if problem.length(share * step) < 1e-10 and share >= 1.0:
            return z[:-1]
    return np.full(len(x), np.nan)


def _newton_step(jacobian: AbstractJacobian, residual: np.ndarray) -> np.ndarray:
    """The step at a fixed parameter, shape (m + 1,); NaN where there is none."""
    row = np.zeros(len(residual) + 1)
    row[-1] = 1.0
    step = jacobian.solve(row, np.append(-residual, 0.0))
    if np.all(np.isfinite(step)) or not isinstance(jacobian, Dense) or not np.all(np.isfinite(jacobian.matrix)):
        return step
    matrix = jacobian.matrix[:, :-1]
    shortest = np.linalg.lstsq(matrix, -residual, rcond=None)[0]
    solves = np.linalg.norm(matrix @ shortest + residual) < 0.5 * np.linalg.norm(residual)
    return np.append(shortest, 0.0) if solves else step
