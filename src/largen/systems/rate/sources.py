"""The covariance of the input: K^k_st = sum_l Lambda(k, l) E f(U^0_s) f(U^l_t), one row (all s up to t) at a time."""

import math

import numpy as np
from numba import njit

from largen.checks import InputError
from largen.numerics.bivariate import Expansion, ExpansionTable, series_rows
from largen.systems.rate.activations import Activation
from largen.systems.rate.kernels import Coupling

_SHARE = 1e-5  # of the tolerance that one expectation may take
_MARGIN = 0.01  # of that, what an expansion may leave, so that a correlation of 1 converges at any pair of times


class Sources:
    """Expectations over the limit law along a grid of times.

    Times are set one by one (`set`) with the mean and variance of the state; then `row(t, ...)` gives the input
    covariance between t and all s up to t, from the covariance of the fields.

    Args:
        activation: The activation.
        coupling: The kernel as the limit sees it.
        points: Number of times.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
    """

    def __init__(self, activation: Activation, coupling: Coupling, points: int, rtol: float, atol: float):
        self.activation, self.coupling = activation, coupling
        self.rtol, self.atol = rtol, atol
        self.mean, self.variance = np.zeros(points), np.zeros(points)
        self.table = ExpansionTable(points, self._expand)
        bounds = np.abs(coupling.weights)
        self._bounds = np.ascontiguousarray(np.maximum.accumulate(bounds[:, ::-1], axis=1)[:, ::-1])
        self.tail = 0.0
        self._wanted = 0.0

    def set(self, t: int, mean: float, variance: float) -> float:
        """Set the state's law at a time and return the mean rate."""
        self.mean[t], self.variance[t] = mean, variance
        guess = self.table.variance[max(t - 1, 0)]
        self._wanted = max(_MARGIN * self.tolerance(guess), 2e-16 * guess)
        self.table.set(t, float(mean), float(variance), self._wanted)
        return float(self.table.mean[t])

    def _expand(self, mean: float, variance: float, terms: int) -> Expansion:
        return self.activation.expand(mean, variance, terms, self._wanted)

    def tolerance(self, variance: float) -> float:
        """Largest error allowed of one covariance of rates whose variance is given."""
        return max(_SHARE * (self.rtol * variance + self.atol), 1e-15 * variance)

    def row(self, t: int, driven: np.ndarray, private: np.ndarray, same: bool) -> np.ndarray:
        """Input covariance K_st for s = 0..t, shape (field, t + 1).

        Args:
            t: The later time.
            driven: Covariance of the fields at (t, s), shape (field, t + 1).
            private: What the neuron itself adds at lag 0, shape (t + 1,).
            same: Whether s = t at lag 0 is one and the same variable (false for two replicas).
        """
        coupling, count = self.coupling, t + 1
        r = _correlations(driven, private, coupling.field, self.variance[:count], t)
        if same:
            r[0, t] = 1.0 if self.variance[t] > 0 else 0.0
        sums = self._series(t, np.arange(count), r)
        if same:
            sums[0, t] = self.table.variance[t]
        means = self.table.mean[:count] * self.table.mean[t]
        return coupling.mix @ sums + coupling.total[:, None] * means

    def _series(self, t: int, rows: np.ndarray, r: np.ndarray) -> np.ndarray:
        table = self.table
        sums, short = np.empty_like(r), np.zeros(r.shape, np.bool_)
        tolerance = self.tolerance(table.variance[t])
        last = rows[-1]
        partial = len(rows) <= last
        coefficients = table.coefficients[:, rows] if partial else table.coefficients
        if partial:
            coefficients = np.concatenate([coefficients, table.coefficients[:, t : t + 1]], axis=1)
            remainder = np.repeat(table.remainder[:, t : t + 1], len(rows) + 1, axis=1)
        else:
            remainder = table.remainder
        column = len(rows) if partial else t
        worst = series_rows(
            coefficients,
            remainder,
            table.envelope,
            column,
            r,
            self.coupling.weights,
            self._bounds,
            tolerance,
            sums,
            short,
        )
        self.tail = max(self.tail, worst)
        if short.any():
            for i in np.flatnonzero(short.any(axis=1)):
                some = np.flatnonzero(short[i])
                sums[i, some] = self.slow(t, rows[some], r[i, some], geometric=bool(i == 1 and self.coupling.pair))
        return sums

    def slow(self, t: int, rows: np.ndarray, r: np.ndarray, geometric: bool = False) -> np.ndarray:
        """What the series cannot reach: the covariance by other means, or a geometric series lag by lag."""
        if geometric:
            pre, post = self.coupling.pair or (0.0, 0.0)
            total, lag = np.zeros(len(rows)), 1
            while 2.0 * abs(pre * post) ** lag * self.table.variance[t] > self.tolerance(self.table.variance[t]):
                stacked = np.stack([r * post**lag, np.zeros_like(r)])
                total += 2.0 * pre**lag * self._series(t, rows, stacked)[0]
                lag += 1
            return total
        later = np.full(len(rows), t)
        pairs = [(array[rows], array[later]) for array in (self.mean, self.variance)]
        allowed = 1e3 * self.tolerance(self.table.variance[t])
        value, error = self.activation.covariance(pairs[0], pairs[1], r, allowed)
        if error > allowed:
            raise InputError(
                f"The activation is too steep for its covariances at variance {self.variance[t]:.3g} "
                f"(error {error:.1e}, wanted {allowed:.1e}). Loosen rtol and atol, or use the probit or erf activation."
            )
        self.tail = max(self.tail, error)
        return value


@njit(cache=True, error_model="numpy")
def _correlations(driven, private, field, variance, t):
    """Correlation of each series at (s, t), shape (series, t + 1); 0 where a variance is 0."""
    r = np.empty((field.size, t + 1))
    for i in range(field.size):
        for s in range(t + 1):
            scale = math.sqrt(variance[s] * variance[t])
            covariance = driven[field[i], s]
            if i == 0:
                covariance += private[s]
            value = covariance / scale if scale > 0.0 else 0.0
            r[i, s] = min(max(value, -1.0), 1.0)
    return r
