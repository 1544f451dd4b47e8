"""The network without its weights: the input drawn from its law given the rates so far, exact in law.

Averaged over the weights, the inputs G_t = J f_t of one network (all times and all replicas that share J) are jointly
Gaussian given the rates. The formula is that of the limit, with the network's own averages (eq. R12 of docs/rate.md):

    E G_t = Jbar (1/N) sum_j f^j_t,    cov(G^0_s, G^k_t) = sum_l Lambda(k, l) (1/N) sum_j f^j_s f^{j+l}_t.

Each new input is drawn given the earlier ones, from a Cholesky factor that grows by one row: O(N T) memory and
O(N T^2) time, without the N x N weights. Rates that are a combination of earlier ones get no new noise. With several
populations (eq. P23 of docs/rate-populations.md) each block of the weights is a field of its own, with averages over
its source; targets whose weights are filtered alike along the source share its Cholesky factor.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import fft

from largen.numerics.compiled import njit
from largen.systems.rate.kernels import AbstractKernel, TableKernel, UncorrelatedKernel
from largen.systems.rate.weights import product

_DEPENDENT = 1e-14  # of the squared length: a residual of 1e-7, below what any sample can show
_BANDWIDTH = 1e10  # bytes per second, for estimates only
_STEP = 1.2e-7  # seconds per neuron and input beside it, likewise


def integrated(
    kernel: AbstractKernel, n: int, mean_weight: float, rng: np.random.Generator, inputs: int, dtype: type = np.float64
) -> "IntegratedWeights":
    """The input of one ring without its weights.

    Args:
        kernel: The kernel, checked on this ring.
        n: Neurons.
        mean_weight: n times the mean weight.
        rng: Generator of the weights' stream.
        inputs: Number of inputs (evaluations times replicas) that the run will need.
        dtype: Type of what is stored.
    """
    return IntegratedWeights([[kernel]], np.array([[mean_weight]]), [n], lambda a, b: rng, inputs, dtype)


def cost(
    kernels: Sequence[Sequence[AbstractKernel]], sizes: Sequence[int], inputs: int, itemsize: int
) -> tuple[float, float]:
    """Bytes and CPU seconds that `IntegratedWeights` will take."""
    size = float(sum(sizes))
    memory, seconds = size * 6.0 * itemsize, 0.0
    for b, source in enumerate(sizes):
        for kind, targets in _alike([row[b] for row in kernels]):
            if kind is None:
                for a in targets:
                    half = sizes[a] // 2 + 1
                    memory += source * inputs * 2.0 * itemsize + half * 16.0 * (inputs * (inputs + 1) / 2 + 8)
            rows = 0.5 * (source + sum(sizes[a] for a in targets))
            memory += 0.0 if kind is None else 2.0 * rows * inputs * itemsize
            seconds += rows * inputs * (inputs * itemsize / _BANDWIDTH + _STEP)
    return memory, seconds


def _alike(column: Sequence[AbstractKernel]) -> Iterator[tuple[Any, list[int]]]:
    """Targets of one source by how their weights are filtered along it; None and one target for a general table."""
    groups: dict[Any, list[int]] = {}
    for a, kernel in enumerate(column):
        if isinstance(kernel, TableKernel):
            yield None, [a]
        elif float(kernel.variance) > 0.0:  # pyright: ignore[reportAttributeAccessIssue]
            key = "flat" if isinstance(kernel, UncorrelatedKernel) else float(kernel.pre)  # pyright: ignore[reportAttributeAccessIssue]
            groups.setdefault(key, []).append(a)
    yield from groups.items()


class IntegratedWeights:
    """J times a vector, for one vector after the other, without J.

    Args:
        kernels: Kernels by block, [target][source], checked on these rings.
        mean_weight: Neurons of the source times the mean weight, shape (population, population).
        sizes: Neurons by population.
        rng: Gives the generator of block (target, source).
        inputs: Number of vectors that will come.
        dtype: Type of what is stored.
    """

    def __init__(
        self,
        kernels: Sequence[Sequence[AbstractKernel]],
        mean_weight: np.ndarray,
        sizes: Sequence[int],
        rng: Callable[[int, int], np.random.Generator],
        inputs: int,
        dtype: type = np.float64,
    ):
        self.sizes, self.mean_weight, self.dtype = [int(size) for size in sizes], mean_weight, dtype
        self.ends = np.concatenate([[0], np.cumsum(self.sizes)])
        self._blocks: list[list[_Tables | _Factors]] = []
        for b, source in enumerate(self.sizes):
            blocks: list[_Tables | _Factors] = []
            for kind, targets in _alike([row[b] for row in kernels]):
                fields = [_Field(a, self.sizes[a], kernels[a][b], rng(a, b)) for a in targets]
                blocks.append((_Tables if kind is None else _Factors)(source, fields, inputs, dtype))
            self._blocks.append(blocks)

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """J times each column in turn; shape (n, vector) in and out."""
        return np.stack([self._next(np.ascontiguousarray(column)) for column in vectors.T], axis=1)

    def _next(self, vector: np.ndarray) -> np.ndarray:
        parts: list[Any] = [0.0] * len(self.sizes)
        for b, blocks in enumerate(self._blocks):
            part = vector[self.ends[b] : self.ends[b + 1]]
            for block in blocks:
                for a, noise in block.next(part):
                    parts[a] = parts[a] + noise
            average = float(part.mean(dtype=np.float64))
            for a in range(len(parts)):
                parts[a] = parts[a] + float(self.mean_weight[a][b]) * average
        rows = [np.broadcast_to(part, size).astype(self.dtype) for part, size in zip(parts, self.sizes, strict=True)]
        return rows[0] if len(rows) == 1 else np.concatenate(rows)


class _Field(NamedTuple):
    """The weights of one block: population and neurons of the target, kernel, generator."""

    target: int
    size: int
    kernel: AbstractKernel
    rng: np.random.Generator


class _Factors:
    """Blocks of one source with spectra A(p) B(q), B common to all: one Cholesky factor for all frequencies."""

    def __init__(self, source: int, fields: list[_Field], inputs: int, dtype: type):
        self.source, self.fields, self.dtype, self.count = source, fields, dtype, 0
        self.past, self.factor = np.empty((inputs, source), dtype), np.zeros((inputs, inputs))
        self.white = [np.empty((inputs, field.size), dtype) for field in fields]
        self.scales, self.posts = [], []
        for field in fields:
            factors, variance = field.kernel.factors(field.size), float(field.kernel.variance)  # pyright: ignore[reportAttributeAccessIssue]
            assert factors is not None
            self.scales.append(math.sqrt(variance / source))
            root = np.sqrt(factors[0][: field.size // 2 + 1] / max(variance, 1e-300)).astype(dtype)
            self.posts.append(None if isinstance(field.kernel, UncorrelatedKernel) else root)
        along = fields[0].kernel.factors(source)
        assert along is not None
        flat = isinstance(fields[0].kernel, UncorrelatedKernel)
        self.pre = None if flat else np.sqrt(along[1][: source // 2 + 1]).astype(dtype)

    def next(self, rates: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Target and noise of each block."""
        c = self.count
        self.past[c] = rates if self.pre is None else _filtered(self.pre, rates)
        gram = product(self.past[: c + 1], self.past[c : c + 1])[0].astype(np.float64)
        fresh = _real_row(self.factor, gram, c, _DEPENDENT)
        row = self.factor[c, : c + 1].astype(self.dtype)
        self.count += 1
        for field, white, scale, post in zip(self.fields, self.white, self.scales, self.posts, strict=True):
            if fresh:
                field.rng.standard_normal(out=white[c], dtype=self.dtype)
            else:
                white[c] = 0.0
            noise = _combine(row, white[: c + 1])
            yield field.target, self.dtype(scale) * (noise if post is None else _filtered(post, noise))


class _Tables:
    """A block with a general table: one Cholesky factor for each post frequency."""

    def __init__(self, source: int, fields: list[_Field], inputs: int, dtype: type):
        (self.field,) = fields
        kernel, size = self.field.kernel, self.field.size
        assert isinstance(kernel, TableKernel)
        self.source, self.count = source, 0
        self.past = np.empty((inputs, source), dtype)
        self.table, self.reach = np.array(kernel.values), kernel.reach
        half = size // 2 + 1
        lags = np.arange(-self.reach[0], self.reach[0] + 1)
        turns = (np.arange(half)[:, None] * lags) % size
        self.phase = np.exp(-2j * np.pi * turns / size)
        self.factor = np.zeros((inputs * (inputs + 1) // 2, half), np.complex128)
        self.white = np.empty((inputs, half), np.complex128)

    def next(self, rates: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Target and noise."""
        c, reach = self.count, self.reach[1]
        self.past[c] = rates
        shifted = np.stack([np.roll(rates, -l) for l in range(-reach, reach + 1)])
        products = product(self.past[: c + 1], shifted).T.astype(np.float64) / self.source  # (s, l)
        rows = products @ self.table.T  # K^k_st, shape (s, k)
        spectra = self.phase @ rows.T  # shape (frequency, s)
        self.white[c] = np.fft.rfft(self.field.rng.standard_normal(self.field.size))
        _complex_row(self.factor, np.ascontiguousarray(spectra.T), c, _DEPENDENT)
        start = c * (c + 1) // 2
        noise = np.einsum("up,up->p", self.factor[start : start + c + 1], self.white[: c + 1])
        self.count += 1
        yield self.field.target, np.asarray(fft.irfft(noise, self.field.size))


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
