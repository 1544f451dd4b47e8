"""The weights: one exact draw of the matrix J by circulant embedding, and its product with the rates.

By eq. R3 of docs/rate.md the weights are a stationary Gaussian field on a torus, with spectrum
S(p, q) = sum_kl Lambda(k, l) cos(2 pi (pk + ql)/n): white noise times sqrt(S), transformed back, has that covariance.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy import fft

from largen.numerics.compiled import njit
from largen.numerics.normal_numbers import normals
from largen.numerics.xoshiro import LANES, WORDS, lanes
from largen.numerics.xoshiro import fill as fill_words
from largen.systems.rate.kernels import AbstractKernel, UncorrelatedKernel

_ROWS = 64


def draw(
    kernel: AbstractKernel, n: int, mean_weight: float, rng: np.random.Generator, dtype: type = np.float64
) -> np.ndarray:
    """Draw the weights J[post, pre] of n neurons: Gaussian, mean mean_weight/n, cov Lambda(lags on the ring)/n.

    White noise is drawn in the half plane of frequencies, multiplied by the root of the spectrum and transformed
    back: exact, one inverse FFT, and no memory beyond the result's, whose rows take the place of their transforms.

    Args:
        kernel: The kernel, checked on this ring.
        n: Neurons.
        mean_weight: n times the mean weight.
        rng: Generator.
        dtype: np.float64 or np.float32.
    """
    fill = _normals(rng, dtype)
    if isinstance(kernel, UncorrelatedKernel):
        weights = np.empty((n, n), dtype)
        for rows in _blocks(n):
            fill(weights[rows])
            weights[rows] *= dtype(math.sqrt(float(kernel.variance) / n))
            weights[rows] += dtype(mean_weight / n)
        return weights
    spectrum = _coloured(kernel, n, rng, fill, dtype)
    spectrum[0, 0] += dtype(mean_weight * n)
    spectrum = np.asarray(fft.ifft(spectrum, axis=0, overwrite_x=True))
    weights = spectrum.view(dtype).reshape(-1)[: n * n].reshape(n, n)  # each row ends before its transform does
    for rows in _blocks(n):
        weights[rows] = fft.irfft(spectrum[rows], n, axis=1)
    return weights


def _coloured(
    kernel: AbstractKernel, n: int, rng: np.random.Generator, fill: Callable[[np.ndarray], None], dtype: type
) -> np.ndarray:
    """The transform of n times the weights, their mean left out, shape (n, n // 2 + 1), in one pass."""
    half = n // 2 + 1
    spectrum = np.empty((n, half), np.complex128 if dtype is np.float64 else np.complex64)
    mirrored = (0, n // 2) if n % 2 == 0 else (0,)  # these columns hold their own mirror images
    columns = [np.fft.fft(rng.standard_normal(n)) * math.sqrt(2.0 / n) for _ in mirrored]
    factors = kernel.factors(n)
    # n of the noise, 1/n of the weights; a complex number of variance 2 in each frequency
    roots = None if factors is None else [np.sqrt(x).astype(dtype) for x in (factors[0] * (n / 2), factors[1][:half])]
    for rows in _blocks(n):
        part = spectrum[rows]
        fill(part.view(dtype))
        for column, white in zip(mirrored, columns, strict=True):
            part[:, column] = white[rows]
        if roots is not None:
            part *= roots[0][rows, None] * roots[1]
        else:
            values = kernel.spectrum(n, np.arange(rows.start, rows.stop))
            part *= np.sqrt(np.maximum(values, 0.0) * (n / 2)).astype(dtype)
    return spectrum


def _blocks(n: int) -> list[slice]:
    """Rows that fit in the cache together."""
    return [slice(start, min(start + _ROWS, n)) for start in range(0, n, _ROWS)]


def _normals(rng: np.random.Generator, dtype: type) -> Callable[[np.ndarray], None]:
    """A function that fills contiguous arrays with standard normals; in single precision by vectorised Box-Muller."""
    if dtype is np.float64:

        def fill(out: np.ndarray) -> None:
            rng.standard_normal(out=out)

        return fill
    state = lanes(rng)

    def fill_single(out: np.ndarray) -> None:
        words = np.empty(-(-out.size // WORDS) * LANES, np.uint64)
        fill_words(state, words, out.size)  # pyright: ignore[reportCallIssue]
        flat, words = out.reshape(-1), words.view(np.uint32)
        even = out.size - out.size % 2
        normals(words, flat, even)
        if even < out.size:
            flat[-1] = rng.standard_normal(dtype=np.float32)

    return fill_single


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
    """Eight rows at a time, so that as many streams of memory are open."""
    n, columns = matrix.shape
    zero = matrix.dtype.type(0)
    for j in range(0, n - n % 8, 8):
        a = b = c = d = e = f = g = h = zero
        for i in range(columns):
            v = x[i]
            a += matrix[j, i] * v
            b += matrix[j + 1, i] * v
            c += matrix[j + 2, i] * v
            d += matrix[j + 3, i] * v
            e += matrix[j + 4, i] * v
            f += matrix[j + 5, i] * v
            g += matrix[j + 6, i] * v
            h += matrix[j + 7, i] * v
        out[j], out[j + 1], out[j + 2], out[j + 3] = a, b, c, d
        out[j + 4], out[j + 5], out[j + 6], out[j + 7] = e, f, g, h
    for j in range(n - n % 8, n):
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
