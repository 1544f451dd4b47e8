"""Errors of averages over a correlated time series: correlation times."""

import numpy as np


def integrated_time(series: np.ndarray) -> float:
    """Integrated correlation time in samples, 1 + 2 sum rho (signed), of a series of shape (realisation, time); >= 1.

    The sum runs to the first window of five times its own value (Madras & Sokal 1988). It is the factor by which the
    variance of a time mean exceeds that of independent samples.
    """
    centred = series - series.mean()
    length = series.shape[-1]
    spectrum = np.abs(np.fft.rfft(centred, 2 * length, axis=-1)) ** 2
    covariance = np.fft.irfft(spectrum.mean(axis=0))[:length]
    if covariance[0] <= 0:
        return 1.0
    sums = np.maximum(2 * np.cumsum(covariance / covariance[0]) - 1, 1.0)
    inside = np.flatnonzero(np.arange(length) >= 5 * sums)
    return float(sums[inside[0] if len(inside) else -1])
