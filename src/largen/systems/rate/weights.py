"""The weights: one exact draw of the matrix J by circulant embedding, and its product with the rates."""

import math

import numpy as np
from numba import njit
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
    factors = kernel.factors(n)
    roots = (
        None if factors is None else [np.sqrt(factor).astype(dtype) for factor in (factors[0] * (n / 2), factors[1])]
    )
    for start in range(0, n, _ROWS):
        rows = slice(start, min(start + _ROWS, n))
        if roots is not None:
            root = roots[0][rows, None] * roots[1][: n // 2 + 1]
        else:
            values = kernel.spectrum(n, np.arange(rows.start, rows.stop))
            root = np.sqrt(np.maximum(values, 0.0) * (n / 2)).astype(dtype)  # n of the noise, 1/n of the weights
        spectrum[rows] *= root
    spectrum[0, 0] += dtype(mean_weight * n)
    spectrum = fft.ifft(spectrum, axis=0, overwrite_x=True)
    weights = np.empty((n, n), dtype)
    for start in range(0, n, _ROWS):
        rows = slice(start, min(start + _ROWS, n))
        weights[rows] = fft.irfft(spectrum[rows], n, axis=1)
    return weights


def _white(n: int, rng: np.random.Generator, dtype: type) -> np.ndarray:
    """The transform of white noise on the n x n torus, times sqrt(2)/n, shape (n, n // 2 + 1)."""
    half = n // 2 + 1
    white = np.empty((n, half), np.complex128 if dtype is np.float64 else np.complex64)
    rng.standard_normal(out=white.view(dtype), dtype=dtype)
    for column in (0, n // 2) if n % 2 == 0 else (0,):  # these hold their own mirror images
        white[:, column] = np.fft.fft(rng.standard_normal(n, dtype=dtype)) * math.sqrt(2.0 / n)
    return white


def product(matrix: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Products of vectors (vector, n) with the rows of a matrix (row, n), shape (vector, row).

    Written out because a library's product is slower here, and because its bytes depend on the number of threads: one
    vector runs at the speed of the memory, and several share each row, four times cheaper than one by one.
    """
    vectors = np.ascontiguousarray(vectors, dtype=matrix.dtype)
    out = np.empty((len(vectors), len(matrix)), matrix.dtype)
    paired = len(vectors) - len(vectors) % 2
    if paired:
        _product_of_pairs(matrix, vectors[:paired], out[:paired])
    if paired < len(vectors):
        _product(matrix, vectors[-1], out[-1])
    return out


class ExplicitWeights:
    """The input J f, with the matrix in memory.

    Args:
        matrix: J[post, pre], shape (n, n).
    """

    def __init__(self, matrix: np.ndarray):
        self.matrix = matrix

    def __call__(self, rates: np.ndarray) -> np.ndarray:
        """Input of all replicas in one product; rates and input have shape (n, replica)."""
        return product(self.matrix, rates.T).T


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _product(matrix, x, out):
    """Four rows at a time, so that as many streams of memory are open."""
    n, columns = matrix.shape
    zero = matrix.dtype.type(0)
    for j in range(0, n - n % 4, 4):
        a = b = c = d = zero
        for i in range(columns):
            v = x[i]
            a += matrix[j, i] * v
            b += matrix[j + 1, i] * v
            c += matrix[j + 2, i] * v
            d += matrix[j + 3, i] * v
        out[j], out[j + 1], out[j + 2], out[j + 3] = a, b, c, d
    for j in range(n - n % 4, n):
        a = zero
        for i in range(columns):
            a += matrix[j, i] * x[i]
        out[j] = a


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _product_of_pairs(matrix, x, out):
    """Four rows and two replicas at a time: eight sums in registers, each element of the matrix read once."""
    n, columns = matrix.shape
    zero = matrix.dtype.type(0)
    for j in range(0, n - n % 4, 4):
        for r in range(0, x.shape[0], 2):
            a0 = a1 = b0 = b1 = c0 = c1 = d0 = d1 = zero
            for i in range(columns):
                u, v = x[r, i], x[r + 1, i]
                a0 += matrix[j, i] * u
                a1 += matrix[j, i] * v
                b0 += matrix[j + 1, i] * u
                b1 += matrix[j + 1, i] * v
                c0 += matrix[j + 2, i] * u
                c1 += matrix[j + 2, i] * v
                d0 += matrix[j + 3, i] * u
                d1 += matrix[j + 3, i] * v
            out[r, j], out[r, j + 1], out[r, j + 2], out[r, j + 3] = a0, b0, c0, d0
            out[r + 1, j], out[r + 1, j + 1], out[r + 1, j + 2], out[r + 1, j + 3] = a1, b1, c1, d1
    for j in range(n - n % 4, n):
        for r in range(x.shape[0]):
            a0 = zero
            for i in range(columns):
                a0 += matrix[j, i] * x[r, i]
            out[r, j] = a0
