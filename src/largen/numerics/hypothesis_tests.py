"""Hypothesis tests: Hotelling's test of a mean vector, and the corrections of Holm and Hochberg for several tests."""

from typing import NamedTuple

import numpy as np

from largen.numerics.distributions import chi2_sf, f_sf


class MeanTest(NamedTuple):
    """A test that a vector's expectation is zero.

    Attributes:
        statistic: Squared Mahalanobis distance of the mean from zero (Hotelling's T squared).
        p_value: Probability of a larger one if the expectation is zero.
        dimension: Number of directions tested.
    """

    statistic: float
    p_value: float
    dimension: int


def hotelling(mean: np.ndarray, covariance: np.ndarray, dof: float) -> MeanTest:
    """Test that the expectation of a Gaussian vector is zero (Hotelling 1931).

    With T2 = mean' covariance^-1 mean and the covariance of the mean estimated with dof degrees of freedom,
    T2 (dof - d + 1)/(dof d) has the F distribution with (d, dof - d + 1) degrees of freedom. Directions without
    any variance are tested exactly: a difference there cannot be a fluctuation.

    Args:
        mean: Estimated vector, shape (d,).
        covariance: Estimated covariance of that estimate, shape (d, d).
        dof: Degrees of freedom of the covariance's estimate; infinite where it is known.
    """
    scale = np.sqrt(np.diag(covariance))
    varying = scale > 1e-12 * np.maximum(np.abs(mean), scale.max(initial=0.0))
    if np.any(np.abs(mean[~varying]) > 1e-9 * (1.0 + np.abs(mean).max(initial=0.0))):
        return MeanTest(np.inf, 0.0, len(mean))
    if not varying.any():
        return MeanTest(0.0, 1.0, 0)
    z = mean[varying] / scale[varying]
    values, vectors = np.linalg.eigh(covariance[np.ix_(varying, varying)] / np.outer(scale[varying], scale[varying]))
    kept = values > 1e-10 * values[-1]
    projected = vectors.T @ z
    d = int(kept.sum())
    statistic = float(np.sum(projected[kept] ** 2 / values[kept]))
    if np.isinf(dof):
        return MeanTest(statistic, float(chi2_sf(statistic, d)), d)
    return MeanTest(statistic, float(f_sf(statistic * (dof - d + 1) / (dof * d), d, dof - d + 1)), d)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjust p-values for several tests so that the probability of any false rejection is bounded (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def hochberg(p_values: np.ndarray) -> np.ndarray:
    """Adjust p-values for several tests, step by step from the largest (Hochberg 1988, Biometrika 75:800).

    Bounds the probability of any false rejection where Simes' inequality holds, and rejects all if all are at most the
    level. The k-th smallest of m becomes the least of (m - j + 1) p_(j) over j >= k.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum.accumulate((p_values[order] * factors)[::-1])[::-1]
    return np.minimum(adjusted, 1.0)
