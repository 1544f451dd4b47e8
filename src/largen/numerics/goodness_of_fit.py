"""Goodness of fit: can what a least-squares fit leaves over be chance?"""

import enum
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from largen.numerics.distributions import chi2_sf, f_sf
from largen.numerics.hypothesis_tests import hotelling


class Law(enum.StrEnum):
    """The law that judges what is left over."""

    CONTRASTS = "contrasts"
    ESTIMATED_ERRORS = "estimated errors"
    KNOWN_ERRORS = "known errors"
    NOTHING_LEFT = "no data left"


class GoodnessOfFit(NamedTuple):
    """A test that a model's expectation goes through the data.

    Attributes:
        law: The law of the statistic.
        statistic: T2 of the contrasts, or chi2, the sum of squared residuals; NaN where no data are left.
        dof: Data less fitted parameters.
        p_value: Probability of a larger statistic if the model is right; NaN where no data are left.
        misfit: Square root of statistic/dof: what is left over, in errors of the data; NaN where no data are left.
    """

    law: Law
    statistic: float
    dof: int
    p_value: float
    misfit: float


def goodness_of_fit(
    residual: np.ndarray,
    jacobian: np.ndarray,
    fitted: int,
    *,
    samples: Sequence[np.ndarray] = (),
    error_dof: float = np.inf,
) -> GoodnessOfFit:
    """Test what a least-squares fit leaves over.

    A combination of the data that no parameter moves, a contrast, has the mean 0 if the model is right, whatever the
    weights of the fit. Where at least 2 dof + 2 realisations tell the covariance of the dof contrasts, Hotelling's
    T2 of all of them has an exact law for Gaussian data: F = T2 (R - dof)/(dof (R - 1)) with (dof, R - dof) degrees of
    freedom, correlations and estimated weights included. Fewer realisations see next to nothing this way (a misfit of
    10 standard errors in 5 % of cases at R = dof + 1), and chi2/dof is referred to F with (dof, R - 1), which is
    approximate (0 to 2 % false alarms at a level of 1 %, see `validation/fitting.py goodness`); with known errors of
    independent data, chi2 has its own law.
    Source: Hotelling, Ann. Math. Statist. 2 (1931) 360.

    Args:
        residual: Model less data in units of the data's errors, shape (datum,).
        jacobian: Its derivatives by the parameters at the optimum, shape (datum, parameter).
        fitted: Number of parameters that the data fix.
        samples: Independent samples in the same units, shape (realisation, datum) each, whose means add up to the
            residual; none where only standard errors are known.
        error_dof: Degrees of freedom of the errors; infinite for known ones.
    """
    dof = len(residual) - fitted
    if dof <= 0:
        return GoodnessOfFit(Law.NOTHING_LEFT, np.nan, 0, np.nan, np.nan)
    count = min((len(rows) for rows in samples), default=0)
    if count >= 2 * dof + 2:
        contrasts = _left_null_space(jacobian, fitted)
        spread = sum(np.atleast_2d(np.cov(rows @ contrasts, rowvar=False)) / len(rows) for rows in samples)
        found = hotelling(residual @ contrasts, np.asarray(spread), count - 1.0)
        law, statistic, dof, p = Law.CONTRASTS, float(found.statistic), found.dimension or dof, float(found.p_value)
    else:
        statistic = float(residual @ residual)
        known = bool(np.isinf(error_dof))
        law = Law.KNOWN_ERRORS if known else Law.ESTIMATED_ERRORS
        p = float(chi2_sf(statistic, dof) if known else f_sf(statistic / dof, dof, error_dof))
    return GoodnessOfFit(law, statistic, dof, p, float(np.sqrt(statistic / dof)))


def _left_null_space(jacobian: np.ndarray, fitted: int) -> np.ndarray:
    """Orthonormal combinations of the rows that no column moves, shape (datum, datum - fitted)."""
    norm = np.linalg.norm(jacobian, axis=0)
    vectors, _, _ = np.linalg.svd(jacobian / np.where(norm > 0, norm, 1.0), full_matrices=True)
    return vectors[:, fitted:]


def pooled_dof(variances: Sequence[np.ndarray], dofs: Sequence[float]) -> float:
    """Degrees of freedom of standard errors that add up several variances (Welch 1947, Satterthwaite 1946).

    Args:
        variances: Variances of the data from each source, shape (datum,) each.
        dofs: Degrees of freedom of each source; infinite for known ones.

    Returns:
        The harmonic mean over the data.
    """
    total = np.sum(variances, axis=0)
    inverse = sum((v / total) ** 2 / dof for v, dof in zip(variances, dofs, strict=True))
    mean = float(np.mean(inverse))
    return 1.0 / mean if mean > 0 else np.inf
