"""How far parameters are from the data, as a sum of independent squares: what profiles and posteriors go by."""

from typing import NamedTuple

import numpy as np

from largen.fitting.errors import Identifiability


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
    response: np.ndarray,
    covariance: np.ndarray,
    found: Identifiability,
    *,
    independent: bool,
    factor: float = 1.0,
) -> Distance | None:
    """The distance whose parabola at the fitted values is the fit's covariance.

    Of independent data with known errors it is the weighted residuals themselves (chi2). Of realisations, whose data
    are correlated, it is the fit's own estimating functions: where the residuals would move each parameter, in units
    of the parameters' covariance. These lose nothing as long as the limit is a straight line within the errors, and
    unlike a covariance of all data they can be known from few realisations.
    Source: Alsing & Wandelt, MNRAS 476 (2018) L60, eqs. 4 to 8 (compression to the score).

    Args:
        residual: Weighted residuals at the fitted values, shape (datum,).
        response: How parameters follow the weighted data, shape (p, datum).
        covariance: Of the parameters, shape (p, p); infinite where one is not fixed.
        found: What the data say about the parameters.
        independent: Whether the weights are known errors of independent data.
        factor: Errors are multiplied by it.

    Returns:
        None where no errors are known, or they are not finite.
    """
    if independent:
        matrix = np.eye(len(residual))
    else:
        fixed = ~found.unfixed
        spread = covariance[np.ix_(fixed, fixed)]
        if not fixed.any() or not np.all(np.isfinite(spread)):
            return None
        size = np.sqrt(np.diag(spread))
        if not np.all(size > 0):
            return None
        variance, axes = np.linalg.eigh(spread / np.outer(size, size))
        kept = variance > 1e-12 * variance[-1]
        root = (axes[:, kept] / np.sqrt(variance[kept])).T / size
        matrix = root @ response[fixed]
    if not np.isfinite(factor):
        return None
    matrix = matrix / factor
    return Distance(matrix, matrix @ residual)
