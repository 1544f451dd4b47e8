"""Floquet multipliers of periodic orbits: the trivial one, and the leading ones of a large monodromy matrix."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

MIXED = 0.5
"""Distance from 1 within which a second multiplier is mixed with the trivial one."""
MODES = 8
"""Modes from which the Arnoldi method starts at the next point."""
BLOCK = MODES + 2
"""Vectors multiplied at once."""
SWEEPS = 5
CONVERGED = 1e-4
"""Error with which the multipliers above `RELEVANT` are accepted."""
RELEVANT = 0.02


def without_trivial(multipliers: np.ndarray) -> dict[str, np.ndarray]:
    """Set the trivial multiplier, that along the orbit, apart (`_trivial`): the one nearest to 1.

    Near a fold of cycles it is mixed with the one that becomes 1 there (a Jordan block): an error e moves both by its
    root, even into the complex plane, but their product, the determinant of the block, by e only. So there one is set
    to 1 and the other to the product.
    """
    multipliers = np.asarray(multipliers, dtype=complex)
    away = np.abs(multipliers - 1.0)
    k = int(np.argmin(away))
    real = np.flatnonzero(np.abs(np.imag(multipliers)) < 1e-12)
    if len(real) and away[real].min() < 2.0 * away[k]:
        k = int(real[np.argmin(away[real])])
    trivial, others = multipliers[k : k + 1], np.delete(multipliers, k)
    if len(others):
        target = np.conj(multipliers[k]) if np.imag(multipliers[k]) else 1.0
        partner = int(np.argmin(np.abs(others - target)))
        product = others[partner] * trivial[0]
        if abs(others[partner] - 1.0) < MIXED and abs(product.imag) < 1e-12:
            others[partner], trivial = product.real, np.ones(1, dtype=complex)
    return {"": others, "_trivial": trivial}


class Leading(NamedTuple):
    """What is known of the monodromy matrix M at one point, all in the scaled unknowns.

    Attributes:
        at: The point, shape (m + 2,).
        basis: Orthonormal vectors Q, shape (m, q).
        image: M Q, shape (m, q).
        sides: Derivatives of the return map by the period and the parameter, shape (m, 2).
        values: Multipliers, largest first, shape (q,).
        modes: Their eigenvectors, shape (m, q).
        error: Largest error of those above `RELEVANT`.
    """

    at: np.ndarray
    basis: np.ndarray
    image: np.ndarray
    sides: np.ndarray
    values: np.ndarray
    modes: np.ndarray
    error: float

    def real_modes(self) -> np.ndarray:
        """Real vectors that span the modes in their order, shape (m, q): of a pair each part once."""
        second = np.imag(self.values) > 0.0  # the conjugate came before
        order = np.arange(len(self.values))
        parts = np.column_stack([np.real(self.modes), np.imag(self.modes)])
        return parts[:, np.where(second, order + len(order), order)]


def leading_multipliers(
    product: Callable[[np.ndarray], np.ndarray],
    project: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    at: np.ndarray,
    rank: int,
) -> Leading | None:
    """Block Arnoldi iteration on the monodromy matrix until its leading multipliers have converged.

    Source: Y. Saad, Numerical Methods for Large Eigenvalue Problems (2011), sec. 6.5.

    Args:
        product: Derivatives of the return map along changes of (x, T, p), shape (m + 2, BLOCK) -> (m, BLOCK).
        project: Projects conserved quantities out of vectors, shape (m, any).
        start: Approximate leading modes, free of conserved quantities, shape (m, at most MODES).
        at: The point, shape (m + 2,).
        rank: Dimension of the space in which the modes lie, at most m.

    Returns:
        What was found; None where the derivatives are not finite.
    """
    size = len(at) - 2
    basis, image, sides = np.zeros((size, 0)), np.zeros((size, 0)), np.zeros((size, 2))
    values, vectors, error = np.zeros(0, complex), np.zeros((0, 0)), 0.0
    block = start
    for sweep in range(SWEEPS):
        block = _complement(block, basis)[:, : rank - basis.shape[1]]
        if not block.shape[1]:  # nothing is left
            break
        changes = np.zeros((size + 2, BLOCK))
        changes[:size, : block.shape[1]] = block
        if sweep == 0:
            changes[size, -2] = changes[size + 1, -1] = 1.0
        moved = product(changes)
        if not np.all(np.isfinite(moved)):
            return None
        if sweep == 0:
            sides = moved[:, -2:]
        basis = np.column_stack([basis, block])
        image = np.column_stack([image, moved[:, : block.shape[1]]])
        values, vectors, error = _ritz(basis, image)
        if error < CONVERGED:
            break
        block = project(moved if sweep == 0 else moved[:, : block.shape[1]])
    return Leading(at.copy(), basis, image, sides, values, basis @ vectors, error)


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
    """Ritz values in the span of the basis, largest first, their vectors in it, and the error of those above 1/50.

    To first order the error of a value is at most its residual times its condition number.
    Source: J. Wilkinson, The Algebraic Eigenvalue Problem (1965), ch. 2.
    """
    values, vectors = np.linalg.eig(basis.T @ image)
    order = np.lexsort((np.imag(values), -np.abs(values)))
    values, vectors = values[order].astype(complex), vectors[:, order]
    left = np.linalg.norm(image @ vectors - (basis @ vectors) * values, axis=0)
    condition = np.linalg.norm(np.linalg.pinv(vectors), axis=1)
    return values, vectors, float(np.max((left * condition)[np.abs(values) > RELEVANT], initial=0.0))
