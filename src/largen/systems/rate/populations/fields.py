"""The fields: the covariances that the inputs bring, block by block and by lag on the ring.

The covariance of population a at ring lag k is C_a^k = sum over its fields f of shape_f(k) D_f, plus at lag 0 the
neuron's own part. A field is one of

- geometric: shape rho^|k|, of the separable kernels onto a with post correlation rho,
- at one lag k: of tables, and of independent weights at lag 0.

What drives the fields is a set of series, each with the correlation of a linear combination of the fields of one source
(eqs. P7 to P9 of docs/rate-populations.md):

    S_i = sum_n V_i(n) a_n(s) a_n(t) rho_i^n,    K_f = sum_i mix[f, i] S_i + sum_b total[f, b] E phi_b E phi_b.
"""

import math
from typing import NamedTuple

import numpy as np

from largen.checks import InputError
from largen.numerics.bivariate import MOST_TERMS
from largen.systems.rate.kernels import AbstractKernel, SeparableKernel, TableKernel
from largen.systems.rate.populations.numbers import variance_of

_NEGLIGIBLE = 1e-12
_MOST_LAGS = 400


class Source(NamedTuple):
    """The series of one source population.

    Attributes:
        reads: Their covariances as combinations of all fields, shape (series, field); series 0 is lag 0, to which the
            neuron's own covariance is added.
        weights: V_i(n), shape (series, MOST_TERMS).
        pair: (pre, post) where series 1 is the geometric sum over all lags beyond 0, else None.
    """

    reads: np.ndarray
    weights: np.ndarray
    pair: tuple[float, float] | None


class Fields(NamedTuple):
    """The fields of a model.

    Attributes:
        target: Population of each field, shape (field,), ascending.
        ratio: rho of a geometric field, NaN of the others, shape (field,).
        lag: Lag of a field at one lag, shape (field,).
        sources: The series by source population.
        mix: By source, shape (field, series).
        total: Sum of Lambda over ALL pre lags, shape (field, source).
        at_zero: What each field contributes to each population's covariance at lag 0, shape (population, field).
    """

    target: np.ndarray
    ratio: np.ndarray
    lag: np.ndarray
    sources: tuple[Source, ...]
    mix: tuple[np.ndarray, ...]
    total: np.ndarray
    at_zero: np.ndarray

    @property
    def count(self) -> int:
        """Number of fields."""
        return len(self.target)

    def of(self, population: int, k: int = 0) -> np.ndarray:
        """The combination of fields that is a population's driven covariance at ring lag k, shape (field,)."""
        if k == 0:
            return self.at_zero[population]
        return np.where(self.target == population, _shape(self.ratio, self.lag, k), 0.0)


def _shape(ratio: np.ndarray, lag: np.ndarray, k: int) -> np.ndarray:
    geometric = np.nan_to_num(ratio) ** k
    return np.where(np.isnan(ratio), (lag == k).astype(float), geometric)


def _kinds(kernel: AbstractKernel) -> list[tuple[float, int]]:
    """The fields that a kernel needs: (rho, 0) if geometric, (NaN, k) at one lag."""
    if isinstance(kernel, TableKernel):
        return [(math.nan, k) for k in range(kernel.reach[0] + 1)]
    if isinstance(kernel, SeparableKernel) and float(kernel.post) != 0.0:
        return [(float(kernel.post), 0)]
    return [(math.nan, 0)]


def fields_of(kernels: tuple[tuple[AbstractKernel, ...], ...]) -> Fields:
    """Lay out the fields and series of kernels by block, [target][source]."""
    keys: list[tuple[int, float, int]] = []
    for a, row in enumerate(kernels):
        wanted = {(repr(rho), k): (a, rho, k) for kernel in row for rho, k in _kinds(kernel)}
        keys += [wanted[key] for key in sorted(wanted)]
    target, ratio, lag = (np.array([key[i] for key in keys]) for i in range(3))
    place = {(a, repr(rho), k): f for f, (a, rho, k) in enumerate(keys)}
    total, mixes, sources = np.zeros((len(keys), len(kernels))), [], []
    for b in range(len(kernels)):
        column = [row[b] for row in kernels]
        for a, kernel in enumerate(column):
            for rho, k in _kinds(kernel):
                total[place[a, repr(rho), k], b] += _total(kernel, k)
        pair = _one_pair(kernels[b], column)
        lags = 1 if pair else _reach(kernels[b], column, b)
        reads = np.array([np.where(target == b, _shape(ratio, lag, l), 0.0) for l in range(lags)])
        weights = np.ones((lags, MOST_TERMS))
        if pair:
            power = pair[0] * pair[1] ** np.arange(1.0, MOST_TERMS + 1.0)
            geometric = np.where((target == b) & ~np.isnan(ratio), 1.0, 0.0)
            reads, weights = np.vstack([reads, geometric]), np.vstack([weights, 2.0 * power / (1.0 - power)])
        mix = np.zeros((len(keys), len(reads)))
        for a, kernel in enumerate(column):
            for rho, k in _kinds(kernel):
                mix[place[a, repr(rho), k]] += _by_lag(kernel, k, len(reads), pair)
        mixes.append(mix)
        sources.append(Source(reads, weights, pair))
    shape = _shape(ratio, lag, 0)
    at_zero = np.array([np.where(target == a, shape, 0.0) for a in range(len(kernels))])
    return Fields(target, ratio, lag, tuple(sources), tuple(mixes), total, at_zero)


def _total(kernel: AbstractKernel, k: int) -> float:
    if isinstance(kernel, TableKernel):
        return float(kernel.values[kernel.reach[0] + k].sum())
    if isinstance(kernel, SeparableKernel):
        pre = float(kernel.pre)
        return float(kernel.variance) * (1.0 + pre) / (1.0 - pre)
    return variance_of(kernel)


def _by_lag(kernel: AbstractKernel, k: int, series: int, pair: tuple[float, float] | None) -> np.ndarray:
    """Weights with which the series of a source enter a field, shape (series,): those of lags l and -l together."""
    out = np.zeros(series)
    if isinstance(kernel, TableKernel):
        row, reach = kernel.values[kernel.reach[0] + k], kernel.reach[1]
        count = min(series, reach + 1)
        out[0] = row[reach]
        out[1:count] = (row[reach + 1 :] + row[:reach][::-1])[: count - 1]
        return out
    out[0] = variance_of(kernel)
    if isinstance(kernel, SeparableKernel) and float(kernel.pre) != 0.0:
        if pair:
            out[1] = out[0]  # the geometric sum holds the powers of pre
        else:
            out[1:] = 2.0 * out[0] * float(kernel.pre) ** np.arange(1.0, series)
    return out


def _one_pair(row: tuple[AbstractKernel, ...], column: list[AbstractKernel]) -> tuple[float, float] | None:
    """(pre, post) where the sum over all lags of a source is one geometric series in every term, else None.

    The row's lag covariances must be one power of the lag, and all kernels from the source have one pre correlation.
    """
    if any(isinstance(kernel, TableKernel) for kernel in (*row, *column)):
        return None
    posts = {float(kernel.post) for kernel in row if isinstance(kernel, SeparableKernel)} - {0.0}
    pres = {float(kernel.pre) for kernel in column if isinstance(kernel, SeparableKernel)} - {0.0}
    return (pres.pop(), posts.pop()) if len(posts) == 1 and len(pres) == 1 else None


def _reach(row: tuple[AbstractKernel, ...], column: list[AbstractKernel], b: int) -> int:
    """How many pre lags of a source carry anything: its lag covariance times the kernels onto its targets."""
    post = max([abs(float(kernel.post)) for kernel in row if isinstance(kernel, SeparableKernel)], default=0.0)
    tables = max([kernel.reach[0] for kernel in row if isinstance(kernel, TableKernel)], default=0)
    pre = max([abs(float(kernel.pre)) for kernel in column if isinstance(kernel, SeparableKernel)], default=0.0)
    wide = max([kernel.reach[1] for kernel in column if isinstance(kernel, TableKernel)], default=0)
    reach = min(tables, wide)
    log = math.log(_NEGLIGIBLE)
    if pre > 0.0 and post > 0.0:
        reach = max(reach, math.ceil(log / math.log(pre * post)))
    if pre > 0.0 and tables:
        reach = max(reach, tables)
    if post > 0.0 and wide:
        reach = max(reach, wide)
    if reach > _MOST_LAGS:
        raise InputError(
            f"Argument `kernels` must have correlations whose sum over lags ends within {_MOST_LAGS} lags for several "
            f"different ones, but {reach} are needed for source {b}. Take smaller `post` or `pre`, or equal ones."
        )
    return reach + 1
