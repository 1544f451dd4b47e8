"""Kernels: the covariance of two synaptic weights as a function of the lags between their neurons on the ring.

cov(J_ij, J_kl) = Lambda(k - i, l - j)/N (eq. R3 of docs/rate.md); the first index of Lambda is the lag between the two
postsynaptic neurons, the second that between the presynaptic ones. Lambda is even, Lambda(-k, -l) = Lambda(k, l), and
positive definite.
"""

import abc
import functools
import math
from typing import Any, NamedTuple

import numpy as np

from largen.checks import InputError, require
from largen.numerics.bivariate import MOST_TERMS
from largen.parameters import AbstractComponent, parameter
from largen.runtime.memory import require_memory

_NEGATIVE = 1e-12
_GRID = 256


class Coupling(NamedTuple):
    """A kernel as the limit equations see it.

    The covariance K^k of the input at post lag k drives field k, the covariance of the state at that lag; the lags
    beyond the last field follow from `beyond`. With the Mehler series (eqs. R9 and R10 of docs/rate.md)

        S_i = sum_n V_i(n) a_n(s) a_n(t) rho_i^n,    K^k_st = sum_i mix[k, i] S_i + total[k] E f_s E f_t,

    where rho_i is the correlation of the field that series i takes.

    Attributes:
        mix: Weights of the series, shape (field, series).
        field: The field whose correlation a series takes, shape (series,); the first series is lag 0.
        weights: V_i(n) for n = 1, 2, ..., shape (series, MOST_TERMS).
        total: Sum of Lambda(k, l) over ALL l, shape (field,).
        beyond: C at lag k >= 1 is beyond^k times the first field where there is one field, else 0 beyond the last.
        pair: (pre, post), the two ratios of a geometric kernel, or None.
    """

    mix: np.ndarray
    field: np.ndarray
    weights: np.ndarray
    total: np.ndarray
    beyond: float
    pair: tuple[float, float] | None


class AbstractKernel(AbstractComponent):
    """A covariance of weights."""

    @abc.abstractmethod
    def coupling(self) -> Coupling:
        """The kernel in the limit; refuses one that is not positive definite."""

    @abc.abstractmethod
    def factors(self, n: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Spectra A(p), B(q) with S(p, q) = A(p) B(q) on a ring of n, shape (n,) each, or None if there are none."""

    @abc.abstractmethod
    def spectrum(self, n: int, rows: np.ndarray) -> np.ndarray:
        """S(p, q) = sum_kl Lambda(k, l) cos(2 pi (pk + ql)/n) at post frequencies p, shape (row, n // 2 + 1)."""

    @abc.abstractmethod
    def check(self, n: int) -> None:
        """Refuse a ring of n neurons on which this is no covariance; the message says at which frequency."""


def _refuse_negative(values: np.ndarray, largest: float, p: np.ndarray, q: np.ndarray, where: str) -> None:
    if values.min() < -_NEGATIVE * largest:
        i, j = np.unravel_index(int(np.argmin(values)), values.shape)
        raise InputError(
            f"Argument `kernel` must be positive definite {where}, but its spectrum is {values.min():.3g} "
            f"(largest {largest:.3g}) at post frequency {p[i]:g} and pre frequency {q[j]:g}. "
            "Make the entries away from lag (0, 0) smaller."
        )


def _require_ring(n: int, needed: float) -> None:
    require_memory(needed, f"The spectrum of the weights of {n} neurons", "Take fewer neurons.")


@functools.lru_cache(maxsize=4)
def _geometric_spectrum(rho: float, n: int) -> np.ndarray:
    """Spectrum of rho^distance on a ring of n, shape (n,)."""
    reach = n // 2 if rho == 0.0 else min(n // 2, int(-750.0 / math.log(abs(rho))))  # beyond, the powers underflow
    powers = rho ** np.arange(reach + 1.0)
    values = np.zeros(n)
    values[: reach + 1] = powers
    values[n - reach :] = powers[:0:-1]
    half = np.fft.rfft(values).real
    return np.concatenate([half, half[(n - 1) // 2 : 0 : -1]])


class SeparableKernel(AbstractKernel):
    """Lambda(k, l) = variance post^|k| pre^|l|."""

    variance: Any = parameter(
        1.5, symbol=r"\Lambda(0,0)", low=0.0, doc="Variance Lambda(0, 0): N times a weight's variance."
    )
    post: Any = parameter(
        0.5, symbol=r"\rho_{out}", low=-0.999, high=0.999, doc="Correlation of weights onto neighbouring neurons."
    )
    pre: Any = parameter(
        0.4, symbol=r"\rho_{in}", low=-0.999, high=0.999, doc="Correlation of weights from neighbouring neurons."
    )

    def coupling(self) -> Coupling:
        """Sum over all presynaptic lags in closed form (eq. R10): V(n) = 2 pre post^n/(1 - pre post^n)."""
        s2, post, pre = float(self.variance), float(self.post), float(self.pre)
        power = pre * post ** np.arange(1.0, MOST_TERMS + 1.0)
        weights = np.stack([np.ones(MOST_TERMS), 2.0 * power / (1.0 - power)])
        count = 1 if post == 0.0 or pre == 0.0 else 2
        return Coupling(
            np.full((1, count), s2),
            np.zeros(count, np.int64),
            weights[:count],
            np.array([s2 * (1.0 + pre) / (1.0 - pre)]),
            post,
            (pre, post) if count == 2 else None,
        )

    def factors(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Spectra of variance * post^distance and of pre^distance on the ring."""
        post, pre = (np.maximum(_geometric_spectrum(float(rho), n), 0.0) for rho in (self.post, self.pre))
        return float(self.variance) * post, pre

    def spectrum(self, n: int, rows: np.ndarray) -> np.ndarray:
        """Product of the two factors."""
        a, b = self.factors(n)
        return a[rows, None] * b[: n // 2 + 1]

    def check(self, n: int) -> None:
        """Check both factors: a negative correlation on a small odd ring may have a negative spectrum."""
        _require_ring(n, 64.0 * n)
        for rho, axis in ((self.post, 0), (self.pre, 1)):
            spectrum = _geometric_spectrum(float(rho), n)
            zero, all_ = np.zeros(1), np.arange(n)
            values, p, q = (spectrum[:, None], all_, zero) if axis == 0 else (spectrum[None], zero, all_)
            _refuse_negative(values, spectrum.max(), p, q, f"on a ring of {n} neurons")


class UncorrelatedKernel(AbstractKernel):
    """Lambda(k, l) = variance where k = l = 0, else 0: independent weights."""

    variance: Any = parameter(2.25, symbol=r"\Lambda(0,0)", low=0.0, doc="N times a weight's variance.")

    def coupling(self) -> Coupling:
        """One series, one field, nothing beyond lag 0."""
        s2 = float(self.variance)
        return Coupling(np.full((1, 1), s2), np.zeros(1, np.int64), np.ones((1, MOST_TERMS)), np.array([s2]), 0.0, None)

    def factors(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Flat spectra."""
        return np.full(n, float(self.variance)), np.ones(n)

    def spectrum(self, n: int, rows: np.ndarray) -> np.ndarray:
        """Flat."""
        return np.full((len(rows), n // 2 + 1), float(self.variance))

    def check(self, n: int) -> None:
        """Every ring is allowed."""


class TableKernel(AbstractKernel):
    """Lambda as a table of odd shape whose centre is lag (0, 0); rows are post lags, columns pre lags."""

    values: Any = parameter(
        ((0.1, 0.2, 0.1), (0.3, 1.0, 0.3), (0.1, 0.2, 0.1)),
        symbol=r"\Lambda",
        dims=("lag", "lag"),
        doc="Lambda(k, l), odd shape, centre at lag (0, 0), row = post lag, column = pre lag.",
    )

    def __check_init__(self):
        if not isinstance(self.values, np.ndarray) or self.values.ndim != 2:
            return  # reported by the general check
        rows, columns = self.values.shape
        require(rows % 2 and columns % 2, "values", "have an odd number of rows and columns", self.values.shape)
        turned = self.values[::-1, ::-1]
        if not np.allclose(self.values, turned, rtol=1e-12, atol=0.0):
            i, j = np.argwhere(~np.isclose(self.values, turned, rtol=1e-12, atol=0.0))[0]
            k, l = int(i) - rows // 2, int(j) - columns // 2
            raise InputError(
                f"Argument `values` must be jointly even, Lambda(-k, -l) = Lambda(k, l), but is {self.values[i, j]:g} "
                f"at lags ({k}, {l}) and {turned[i, j]:g} at ({-k}, {-l})."
            )

    @property
    def reach(self) -> tuple[int, int]:
        """Largest post lag and largest pre lag."""
        rows, columns = self.values.shape
        return rows // 2, columns // 2

    def coupling(self) -> Coupling:
        """One field per post lag; lags beyond the table are uncorrelated."""
        _, reach_pre = self.reach
        grid = max(_GRID, 4 * max(self.values.shape))
        values = self.spectrum(grid, np.arange(grid))
        turns = np.arange(grid) / grid
        _refuse_negative(values, values.max(), turns, turns, "on a large ring (frequencies in cycles per neuron)")
        table = self.values[self.reach[0] :]
        even = table[:, reach_pre:] + table[:, reach_pre::-1]
        even[:, 0] = table[:, reach_pre]
        count = min(len(table), reach_pre + 1)
        return Coupling(
            np.ascontiguousarray(even[:, :count]),
            np.arange(count),
            np.ones((count, MOST_TERMS)),
            table.sum(1),
            0.0,
            None,
        )

    def factors(self, n: int) -> None:
        """A table has no factors."""
        return

    def spectrum(self, n: int, rows: np.ndarray) -> np.ndarray:
        """Direct sum over the table."""
        k, l = (np.arange(-reach, reach + 1) for reach in self.reach)
        post = 2.0 * np.pi * ((rows[:, None] * k) % n) / n
        pre = 2.0 * np.pi * ((np.arange(n // 2 + 1)[:, None] * l) % n) / n
        return (np.cos(post) @ self.values) @ np.cos(pre).T - (np.sin(post) @ self.values) @ np.sin(pre).T

    def check(self, n: int) -> None:
        """Refuse a table wider than the ring, or one whose spectrum on it is negative."""
        widest = max(self.values.shape)
        require(
            widest <= n,
            "n",
            f"be at least {widest}, the width of the kernel's table, so that the ring holds it",
            n,
            "Take more neurons or a smaller table.",
        )
        _require_ring(n, 3.0 * 8.0 * 512 * n)
        for start in range(0, n, 512):
            rows = np.arange(start, min(start + 512, n))
            values = self.spectrum(n, rows)
            _refuse_negative(
                values, float(np.abs(self.values).sum()), rows, np.arange(n // 2 + 1), f"on a ring of {n} neurons"
            )
