"""Errors of averages over a correlated time series: block means, the moving-block bootstrap, correlation times."""

import itertools

import numpy as np


def block_means(series: np.ndarray, blocks: int) -> np.ndarray:
    """Means over contiguous blocks of nearly equal length, shape (..., time) -> (..., blocks)."""
    edges = np.linspace(0, series.shape[-1], blocks + 1).round().astype(int)
    return np.stack([series[..., a:b].mean(axis=-1) for a, b in itertools.pairwise(edges)], axis=-1)


def block_bootstrap(series: np.ndarray, blocks: int = 20) -> tuple[np.ndarray, float]:
    """Covariance of the mean over time by the moving-block bootstrap, and its degrees of freedom.

    No resampling is needed: for a mean its covariance is that of the overlapping block means, divided by
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
