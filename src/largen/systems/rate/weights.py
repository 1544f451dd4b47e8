"""The weights: one exact draw of the matrix J by circulant embedding, and its product with the rates."""

import math

import numpy as np
from scipy import fft

from largen.systems.rate.kernels import AbstractKernel, UncorrelatedKernel

_ROWS = 256


def draw(
    kernel: AbstractKernel, n: int, mean_weight: float, rng: np.random.Generator, dtype: type = np.float64
) -> np.ndarray:
    """Draw the weights J[post, pre] of n neurons: Gaussian, mean mean_weight/n, cov Lambda(lags on the ring)/n.

    White noise is drawn in the half plane of frequencies, multiplied by the root of the spectrum and transformed
    back: exact, and one inverse FFT. Beyond the result there is one temporary of its size.

    Args:
        kernel: The kernel, checked on this ring.
        n: Neurons.
        mean_weight: n times the mean weight.
        rng: Generator.
        dtype: np.float64 or np.float32.
    """
    if isinstance(kernel, UncorrelatedKernel):
        weights = rng.standard_normal((n, n), dtype=dtype)
        weights *= dtype(math.sqrt(float(kernel.variance) / n))
        weights += dtype(mean_weight / n)
        return weights
    spectrum = _white(n, rng, dtype)
    for start in range(0, n, _ROWS):
        rows = np.arange(start, min(start + _ROWS, n))
        root = np.sqrt(np.maximum(kernel.spectrum(n, rows), 0.0) * n)  # n from white noise, 1/n from the weights' scale
        spectrum[rows] *= root.astype(dtype)
    spectrum[0, 0] += dtype(mean_weight * n)
    spectrum = fft.ifft(spectrum, axis=0, overwrite_x=True)
    weights = np.empty((n, n), dtype)
    for start in range(0, n, _ROWS):
        rows = slice(start, min(start + _ROWS, n))
        weights[rows] = fft.irfft(spectrum[rows], n, axis=1)
    return weights


def _white(n: int, rng: np.random.Generator, dtype: type) -> np.ndarray:
    """The transform of white noise on the n x n torus, divided by n, shape (n, n // 2 + 1)."""
    half = n // 2 + 1
    white = np.empty((n, half), np.complex128 if dtype is np.float64 else np.complex64)
    rng.standard_normal(out=white.view(dtype), dtype=dtype)
    white *= dtype(math.sqrt(0.5))
    for column in (0, n // 2) if n % 2 == 0 else (0,):  # these hold their own mirror images
        white[:, column] = np.fft.fft(rng.standard_normal(n, dtype=dtype)) / math.sqrt(n)
    return white


class ExplicitWeights:
    """The input J f, with the matrix in memory.

    Args:
        matrix: J[post, pre], shape (n, n).
    """

    def __init__(self, matrix: np.ndarray):
        self.matrix = matrix

    def __call__(self, rates: np.ndarray) -> np.ndarray:
        """Input of all replicas in one product; rates and input have shape (n, replica)."""
        return self.matrix @ rates
