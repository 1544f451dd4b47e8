"""The statistics of a comparison: Hotelling's test, block means, Holm's correction. Arrays only."""

import itertools
from typing import NamedTuple

import numpy as np
from scipy import stats


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
    any variance are tested exactly: a difference there cannot be chance.

    Args:
        mean: Estimated vector, shape (d,).
        covariance: Estimated covariance of that estimate, shape (d, d).
        dof: Degrees of freedom of the covariance's estimate; infinite where it is known.
    """
    scale = np.sqrt(np.diag(covariance))
    alive = scale > 1e-12 * np.maximum(np.abs(mean), scale.max(initial=0.0))
    if np.any(np.abs(mean[~alive]) > 1e-9 * (1.0 + np.abs(mean).max(initial=0.0))):
        return MeanTest(np.inf, 0.0, len(mean))
    if not alive.any():
        return MeanTest(0.0, 1.0, 0)
    z = mean[alive] / scale[alive]
    values, vectors = np.linalg.eigh(covariance[np.ix_(alive, alive)] / np.outer(scale[alive], scale[alive]))
    kept = values > 1e-10 * values[-1]
    projected = vectors.T @ z
    d = int(kept.sum())
    statistic = float(np.sum(projected[kept] ** 2 / values[kept]))
    if np.isinf(dof):
        return MeanTest(statistic, float(stats.chi2.sf(statistic, d)), d)
    return MeanTest(statistic, float(stats.f.sf(statistic * (dof - d + 1) / (dof * d), d, dof - d + 1)), d)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjust p-values for several tests so that the chance of any false rejection is bounded (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def block_means(series: np.ndarray, blocks: int) -> np.ndarray:
    """Means over contiguous blocks of nearly equal length, shape (..., time) -> (..., blocks)."""
    edges = np.linspace(0, series.shape[-1], blocks + 1).round().astype(int)
    return np.stack([series[..., a:b].mean(axis=-1) for a, b in itertools.pairwise(edges)], axis=-1)


def block_bootstrap(series: np.ndarray, blocks: int = 20) -> tuple[np.ndarray, float]:
    """Covariance of the mean over time by the moving-block bootstrap, and its degrees of freedom.

    The bootstrap is not simulated: for a mean its covariance is that of the overlapping block means, divided by
    the number of blocks (Kuensch 1989; the overlapping batch means of Meketon & Schmeiser 1984, with 3/2 as many
    degrees of freedom as separate blocks). Realisations are pooled.

    Args:
        series: Shape (realisation, component, time); stationary differences from the theory.
        blocks: Number of blocks a realisation is cut into; each must outlast the correlations.

    Returns:
        Covariance of the mean over realisations and time, shape (component, component), and degrees of freedom.
    """
    count, components, length = series.shape
    size = max(length // blocks, 1)
    sums = np.concatenate([np.zeros((count, components, 1)), np.cumsum(series, axis=-1)], axis=-1)
    means = (sums[..., size:] - sums[..., :-size]) / size  # (realisation, component, overlapping block)
    centred = means - series.mean(axis=(0, 2), keepdims=True)[..., :1]
    independent = count * length / size
    covariance = np.einsum("rct,rdt->cd", centred, centred) / (count * means.shape[-1])
    return covariance / (independent - 1), 1.5 * (independent - 1)


def correlation_time(series: np.ndarray) -> float:
    """Correlation time in samples, 1 + 2 sum |rho|, of a series of shape (realisation, time).

    The sum runs to the first window of five times its own value (Madras & Sokal 1988); with absolute values an
    oscillation counts for as long as it lasts.
    """
    centred = series - series.mean()
    length = series.shape[-1]
    spectrum = np.abs(np.fft.rfft(centred, 2 * length, axis=-1)) ** 2
    covariance = np.fft.irfft(spectrum.mean(axis=0))[:length]
    if covariance[0] <= 0:
        return 1.0
    sums = 2 * np.cumsum(np.abs(covariance / covariance[0])) - 1
    inside = np.flatnonzero(np.arange(length) >= 5 * sums)
    return float(sums[inside[0] if len(inside) else -1])
