"""The network without its weights: the input drawn from its law given the rates so far, exact in law.

Averaged over the weights, the inputs G_t = J f_t of one network (all times and all replicas that share J) are jointly
Gaussian given the rates. The formula is that of the limit, with the network's own averages (eq. R12 of docs/rate.md):

    E G_t = Jbar (1/N) sum_j f^j_t,    cov(G^0_s, G^k_t) = sum_l Lambda(k, l) (1/N) sum_j f^j_s f^{j+l}_t.

Each new input is drawn given the earlier ones, from a Cholesky factor that grows by one row: O(N T) memory and
O(N T^2) time, without the N x N weights. Rates that are a combination of earlier ones get no new noise.
"""

import abc
import math
from typing import Any

import numpy as np
from scipy import fft

from largen.numerics.compiled import njit
from largen.systems.rate.kernels import AbstractKernel, TableKernel, UncorrelatedKernel
from largen.systems.rate.weights import product

_DEPENDENT = 1e-14  # of the squared length: a residual of 1e-7, below what any sample can show


def integrated(
    kernel: AbstractKernel, n: int, mean_weight: float, rng: np.random.Generator, inputs: int, dtype: type = np.float64
) -> "_Integrated":
    """The input of a network without its weights.

    Args:
        kernel: The kernel, checked on this ring.
        n: Neurons.
        mean_weight: n times the mean weight.
        rng: Generator of the weights' stream.
        inputs: Number of inputs (evaluations times replicas) that the run will need.
        dtype: Type of what is stored.
    """
    factors = kernel.factors(n)
    if factors is not None:
        return _Factored(kernel, n, mean_weight, rng, inputs, dtype)
    return _Tabled(kernel, n, mean_weight, rng, inputs, dtype)


def memory(kernel: AbstractKernel, n: int, inputs: int, itemsize: int) -> float:
    """Bytes that `integrated` will take."""
    if isinstance(kernel, TableKernel):
        return n * inputs * (2.0 * itemsize) + (n // 2 + 1) * 16.0 * (inputs * (inputs + 1) / 2 + 8)
    return n * (2.0 * inputs + 6.0) * itemsize


class _Integrated(abc.ABC):
    """The input of each replica in turn, with the rates so far in `past`, shape (input, n)."""

    def __init__(self, kernel, n, mean_weight, rng, inputs, dtype):
        self.n, self.mean_weight, self.rng, self.dtype = n, mean_weight, rng, dtype
        self.count = 0
        self.past = np.empty((inputs, n), dtype)

    def __call__(self, rates: np.ndarray) -> np.ndarray:
        """Input of all replicas, one after the other; rates and input have shape (n, replica)."""
        return np.stack([self._next(np.ascontiguousarray(column)) for column in rates.T], axis=1)

    @abc.abstractmethod
    def _next(self, rates: np.ndarray) -> np.ndarray:
        """Input of one replica from its rates, shape (n,) each."""


class _Factored(_Integrated):
    """Spectra A(p) B(q): one Cholesky factor for all frequencies."""

    def __init__(self, kernel, n, mean_weight, rng, inputs, dtype):
        super().__init__(kernel, n, mean_weight, rng, inputs, dtype)
        post, pre = kernel.factors(n)
        self.flat = isinstance(kernel, UncorrelatedKernel)
        self.scale = math.sqrt(float(kernel.variance) / n)
        half = n // 2 + 1
        self.post = np.sqrt(post[:half] / max(float(kernel.variance), 1e-300)).astype(dtype)
        self.pre = np.sqrt(pre[:half]).astype(dtype)
        self.factor = np.zeros((inputs, inputs))
        self.white = np.empty((inputs, n), dtype)

    def _filter(self, root: np.ndarray, x: np.ndarray) -> np.ndarray:
        return x if self.flat else _filtered(root, x)

    def _next(self, rates: np.ndarray) -> np.ndarray:
        c = self.count
        self.past[c] = self._filter(self.pre, rates)
        gram = product(self.past[: c + 1], self.past[c : c + 1])[0].astype(np.float64)
        fresh = _real_row(self.factor, gram, c, _DEPENDENT)
        if fresh:
            self.rng.standard_normal(out=self.white[c], dtype=self.dtype)
        else:
            self.white[c] = 0.0
        noise = _combine(self.factor[c, : c + 1].astype(self.dtype), self.white[: c + 1])
        self.count += 1
        mean = self.dtype(self.mean_weight * rates.mean(dtype=np.float64))
        return self.dtype(self.scale) * self._filter(self.post, noise) + mean


class _Tabled(_Integrated):
    """A general table: one Cholesky factor for each post frequency."""

    def __init__(self, kernel, n, mean_weight, rng, inputs, dtype):
        super().__init__(kernel, n, mean_weight, rng, inputs, dtype)
        self.table = np.array(kernel.values)
        self.reach = kernel.reach
        half = n // 2 + 1
        lags = np.arange(-self.reach[0], self.reach[0] + 1)
        turns = (np.arange(half)[:, None] * lags) % n
        self.phase = np.exp(-2j * np.pi * turns / n)
        self.factor = np.zeros((inputs * (inputs + 1) // 2, half), np.complex128)
        self.white = np.empty((inputs, half), np.complex128)

    def _next(self, rates: np.ndarray) -> np.ndarray:
        c, n, reach = self.count, self.n, self.reach[1]
        self.past[c] = rates
        shifted = np.stack([np.roll(rates, -l) for l in range(-reach, reach + 1)])
        products = product(self.past[: c + 1], shifted).T.astype(np.float64) / n  # (s, l)
        rows = products @ self.table.T  # K^k_st, shape (s, k)
        spectra = self.phase @ rows.T  # shape (frequency, s)
        self.white[c] = np.fft.rfft(self.rng.standard_normal(n))
        _complex_row(self.factor, np.ascontiguousarray(spectra.T), c, _DEPENDENT)
        start = c * (c + 1) // 2
        noise = np.einsum("up,up->p", self.factor[start : start + c + 1], self.white[: c + 1])
        self.count += 1
        mean = self.mean_weight * rates.mean(dtype=np.float64)
        return (fft.irfft(noise, n) + mean).astype(self.dtype)


def _filtered(root: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Circular convolution with a filter given by its transform, in place where it can be."""
    spectrum: Any = fft.rfft(x)
    spectrum *= root
    return np.asarray(fft.irfft(spectrum, len(x)))


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _combine(coefficients, vectors):
    """Linear combination of the rows of `vectors`."""
    out = coefficients[0] * vectors[0]
    for s in range(1, len(coefficients)):
        a = coefficients[s]
        for i in range(out.size):
            out[i] += a * vectors[s, i]
    return out


@njit(cache=True, error_model="numpy")
def _real_row(factor, gram, c, least):
    """Append row c of the Cholesky factor of the Gram matrix; false if the row depends on the earlier ones."""
    rest = gram[c]
    for s in range(c):
        value = gram[s]
        for u in range(s):
            value -= factor[c, u] * factor[s, u]
        factor[c, s] = value / factor[s, s] if factor[s, s] > 0.0 else 0.0
        rest -= factor[c, s] ** 2
    fresh = rest > least * gram[c]
    factor[c, c] = math.sqrt(rest) if fresh else 0.0
    return fresh


@njit(cache=True, error_model="numpy")
def _complex_row(factor, gram, c, least):
    """The same for every frequency; row s, column u of the factor is at s (s + 1)/2 + u."""
    start = c * (c + 1) // 2
    for p in range(gram.shape[1]):
        rest = gram[c, p].real
        whole = rest
        for s in range(c):
            base = s * (s + 1) // 2
            pivot = factor[base + s, p].real
            value = gram[s, p]
            for u in range(s):
                value -= factor[start + u, p] * factor[base + u, p].conjugate()
            value = value / pivot if pivot > 0.0 else 0.0j
            factor[start + s, p] = value
            rest -= value.real**2 + value.imag**2
        factor[start + c, p] = math.sqrt(rest) if rest > least * whole else 0.0
