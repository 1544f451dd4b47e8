"""The linear algebra of a curve: solve with the Jacobian of m equations, shape (m, m + 1), bordered by one more row.

Three forms of one interface: `Dense` for up to some hundred unknowns, `Sparse` for collocation, `Krylov` where only
products with the Jacobian are known. Source: W. Govaerts, Numerical Methods for Bifurcations of Dynamical Equilibria
(2000), ch. 3, for bordered systems.
"""

import abc
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg.lapack
import scipy.sparse
import scipy.sparse.linalg

_lapack: Any = scipy.linalg.lapack
ACCEPTED = 0.05
"""Relative residual of GMRES with which Newton's method still makes progress."""


class AbstractJacobian(abc.ABC):
    """A Jacobian, shape (m, m + 1).

    Attributes:
        derivative: Its part from which the spectrum comes, where that is known as an array: df/dx, shape (m, m), or
            the derivatives of the collocation equations by interval, shape (interval, 4, n, 5, n).
    """

    derivative: np.ndarray | None = None

    @abc.abstractmethod
    def solve(self, row: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Solve [Jacobian; row] x = right, shape (m + 1,); NaN where that is singular."""

    @abc.abstractmethod
    def apply(self, vector: np.ndarray) -> np.ndarray:
        """Product of the Jacobian with a vector, shape (m,)."""

    @abc.abstractmethod
    def as_array(self) -> np.ndarray:
        """The Jacobian as a dense array, shape (m, m + 1)."""

    def orientation(self, row: np.ndarray) -> float:
        """Sign of the determinant of [Jacobian; row]; it changes at a branch point. NaN where it is not known."""
        return np.nan


class Dense(AbstractJacobian):
    """A Jacobian as an array; the factors of the last bordered matrix are kept."""

    def __init__(self, matrix: np.ndarray, derivative: np.ndarray | None = None):
        """Keep the matrix, shape (m, m + 1), and its part from which the spectrum comes."""
        self.matrix, self.derivative = matrix, derivative
        self.row: np.ndarray | None = None
        self.factors: tuple[np.ndarray, np.ndarray, int] | None = None

    def _factors(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        if self.factors is None or self.row is None or not np.array_equal(row, self.row):
            self.row = row.copy()
            self.factors = factors = _lapack.dgetrf(np.vstack([self.matrix, row]))
            return factors
        return self.factors

    def solve(self, row: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Solve [Jacobian; row] x = right, shape (m + 1,)."""
        lu, pivots, info = self._factors(row)
        if info or not np.all(np.isfinite(lu)):  # exactly singular
            return np.full(len(right), np.nan)
        return _lapack.dgetrs(lu, pivots, right)[0]

    def orientation(self, row: np.ndarray) -> float:
        """Sign of the determinant of [Jacobian; row]; it changes at a branch point. NaN where it is not known."""
        known = row if self.row is None else self.row
        lu, pivots, info = self._factors(known)
        if info:
            return float(np.linalg.slogdet(np.vstack([self.matrix, row]))[0])
        swaps = np.sum(pivots != np.arange(len(pivots)))
        sign = np.prod(np.sign(np.diag(lu))) * (-1.0) ** swaps
        last = np.zeros(len(row))
        last[-1] = 1.0
        # det[J; row] = det[J; known] row x, with [J; known] x = (0, ..., 0, 1)
        return float(sign * np.sign(row @ self.solve(known, last)))

    def apply(self, vector: np.ndarray) -> np.ndarray:
        """Product of the Jacobian with a vector, shape (m,)."""
        return self.matrix @ vector

    def as_array(self) -> np.ndarray:
        """The Jacobian itself."""
        return self.matrix


class Sparse(AbstractJacobian):
    """A Jacobian as a sparse matrix."""

    def __init__(self, matrix: scipy.sparse.csr_matrix, derivative: np.ndarray | None = None):
        """Keep the matrix, shape (m, m + 1), and its part from which the spectrum comes."""
        self.matrix, self.derivative = matrix, derivative

    def solve(self, row: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Solve [Jacobian; row] x = right, shape (m + 1,)."""
        whole = scipy.sparse.vstack([self.matrix, scipy.sparse.csr_matrix(row)], format="csc")
        try:
            return scipy.sparse.linalg.splu(whole).solve(right)
        except RuntimeError:  # exactly singular
            return np.full(len(right), np.nan)

    def apply(self, vector: np.ndarray) -> np.ndarray:
        """Product of the Jacobian with a vector, shape (m,)."""
        return self.matrix @ vector

    def as_array(self) -> np.ndarray:
        """The Jacobian as a dense array, shape (m, m + 1)."""
        return self.matrix.toarray()


class Krylov(AbstractJacobian):
    """A Jacobian known by its products with vectors; GMRES with a preconditioner for the bordered matrix."""

    def __init__(
        self,
        product: Callable[[np.ndarray], np.ndarray],
        size: int,
        precondition: Callable[[np.ndarray], Callable[[np.ndarray], np.ndarray]] | None = None,
        tolerance: float = 1e-4,
        most: int = 60,
    ):
        """Keep the product (m + 1,) -> (m,).

        Args:
            product: Jacobian times vector.
            size: Length m + 1 of the vectors.
            precondition: From the bordering row, a function that nearly inverts the bordered matrix.
            tolerance: Relative residual at which GMRES stops.
            most: Largest size of the Krylov space.
        """
        self.product, self.size = product, size
        self.precondition = precondition
        self.tolerance = tolerance
        self.most = most

    def solve(self, row: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Solve [Jacobian; row] x = right, shape (m + 1,); NaN where GMRES does not get there."""
        near = self.precondition(row) if self.precondition else (lambda v: v)
        # The preconditioner acts on the right, so that the residual is the true one.
        inside, left = gmres(lambda v: self._bordered(row, near(v)), right, self.tolerance, self.most)
        return near(inside) if left <= max(self.tolerance, ACCEPTED) else np.full(len(right), np.nan)

    def _bordered(self, row: np.ndarray, vector: np.ndarray) -> np.ndarray:
        return np.append(self.product(vector), row @ vector)

    def apply(self, vector: np.ndarray) -> np.ndarray:
        """Product of the Jacobian with a vector, shape (m,)."""
        return self.product(vector)

    def as_array(self) -> np.ndarray:
        """The Jacobian as a dense array, shape (m, m + 1): a product per column."""
        return np.column_stack([self.product(column) for column in np.eye(self.size)])


def gmres(
    product: Callable[[np.ndarray], np.ndarray], right: np.ndarray, tolerance: float, most: int
) -> tuple[np.ndarray, float]:
    """GMRES without restarts: the solution, and the residual left, relative to the right side.

    Source: Y. Saad & M. Schultz, SIAM J. Sci. Stat. Comput. 7, 856 (1986), algorithm 1.
    """
    size = float(np.linalg.norm(right))
    if size == 0.0:
        return np.zeros_like(right), 0.0
    basis, hessenberg, weights, left = [right / size], np.zeros((most + 1, most)), np.zeros(0), 1.0
    for k in range(most):
        new = product(basis[k])
        for _ in range(2):
            for j, vector in enumerate(basis):
                overlap = vector @ new
                hessenberg[j, k] += overlap
                new = new - overlap * vector
        hessenberg[k + 1, k] = np.linalg.norm(new)
        target = np.zeros(k + 2)
        target[0] = size
        weights = np.linalg.lstsq(hessenberg[: k + 2, : k + 1], target, rcond=None)[0]
        left = float(np.linalg.norm(target - hessenberg[: k + 2, : k + 1] @ weights)) / size
        if left <= tolerance or hessenberg[k + 1, k] <= 1e-14 * size or not np.isfinite(left):
            break
        basis.append(new / hessenberg[k + 1, k])
    return np.array(basis[: len(weights)]).T @ weights, left
