"""How far parameters are from the data, as a sum of independent squares: what profiles and posteriors go by."""

from typing import NamedTuple

import numpy as np

from largen.fitting.errors import FLAT


class Distance(NamedTuple):
    """Turns weighted residuals into numbers that are independent and of variance 1 if the model is right.

    Attributes:
        matrix: Shape (number, datum).
        offset: What they are at the fitted values, shape (number,): the squares count from there.
    """

    matrix: np.ndarray
    offset: np.ndarray

    def of(self, residual: np.ndarray) -> np.ndarray:
        """These numbers, shape (..., number), for weighted residuals, shape (..., datum)."""
        return residual @ self.matrix.T

    def excess(self, residual: np.ndarray) -> np.ndarray:
        """Their sum of squares less that at the fitted values, shape (...)."""
        return np.sum(self.of(residual) ** 2, axis=-1) - float(self.offset @ self.offset)


def distance(
    residual: np.ndarray,
    jacobian: np.ndarray,
    spread: np.ndarray,
    *,
    independent: bool,
    factor: float = 1.0,
) -> Distance | None:
    """The distance whose parabola at the fitted values is the fit's covariance.

    Of independent data with known errors it is the weighted residuals themselves (chi2). Of realisations, whose data
    are correlated, it is the part of the residuals that parameters can take away, in units of the covariance that the
    parameters' gives to this part. It loses nothing as long as the limit is a straight line within the errors, unlike
    a covariance of all data it can be known from few realisations, and it holds each combination of parameters that
    the data fix, also where they do not fix the parameters one by one.
    Source: Alsing & Wandelt, MNRAS 476 (2018) L60, eqs. 4 to 8 (compression to the score).

    Args:
        residual: Weighted residuals at the fitted values, shape (datum,).
        jacobian: Weighted derivatives by the parameters there, shape (datum, p).
        spread: Covariance of the parameters within the combinations that the data fix, shape (p, p).
        independent: Whether the weights are known errors of independent data.
        factor: Errors are multiplied by it.

    Returns:
        None where no errors are known, or they are not finite.
    """
    if independent:
        matrix = np.eye(len(residual))
    else:
        norm = np.linalg.norm(jacobian, axis=0)
        left, singular, _ = np.linalg.svd(jacobian / np.where(norm > 0, norm, 1.0), full_matrices=False)
        basis = left[:, singular > FLAT * singular[0]].T  # of all changes of the residuals, shape (combination, datum)
        moved = basis @ jacobian
        part = moved @ spread @ moved.T
        size = np.sqrt(np.diag(part))
        if not np.all(np.isfinite(part)) or not np.all(size > 0):
            return None
        variance, axes = np.linalg.eigh(part / np.outer(size, size))
        kept = variance > 1e-12 * np.max(variance, initial=0.0)
        root = (axes[:, kept] / np.sqrt(variance[kept])).T / size
        matrix = root @ basis
    if not np.isfinite(factor):
        return None
    matrix = matrix / factor
    return Distance(matrix, matrix @ residual)
