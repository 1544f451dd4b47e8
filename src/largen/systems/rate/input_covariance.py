"""The covariance of the input, one row (all s up to t) at a time.

By eq. R5 of docs/rate.md

    K^k_st = sum_l Lambda(k, l) cov(f(U^0_s), f(U^l_t)) + (sum over ALL l of Lambda(k, l)) E f(U_s) E f(U_t).

The covariances of rates are Mehler series in the correlation (eq. R9, `numerics.bivariate`); the sum over l is done
inside the series, term by term (`kernels.Coupling`, eq. R10).
"""

import math

import numpy as np

from largen.checks import InputError
from largen.numerics.bivariate import Expansion, ExpansionTable, series_rows
from largen.numerics.compiled import njit
from largen.systems.rate.activations import Activation
from largen.systems.rate.kernels import Coupling

_SHARE = 1e-5  # share of the tolerance that the error of one expectation may take
_ROUNDING = 4e-15  # rounding error of a sum of squares, relative to the variance
_MARGIN = 0.01  # share of that which an expansion may leave, so that a correlation of 1 converges at any two times


class InputCovariance:
    """Covariances of the input under the limit law along a grid of times.

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
        self._wanted = max(_MARGIN * self.tolerance(guess), _ROUNDING * guess)
        self.table.set(t, float(mean), float(variance), self._wanted)
        return float(self.table.mean[t])

    def _expand(self, mean: float, variance: float, terms: int) -> Expansion:
        return self.activation.expand(mean, variance, terms, self._wanted)

    def tolerance(self, variance: float) -> float:
        """Largest error allowed of one covariance of rates whose variance is given."""
        return max(_SHARE * (self.rtol * variance + self.atol), 2.0 * _ROUNDING * variance)

    def row(self, t: int, driven: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Input covariance K_st for s = 0..t of several laws at once, shape (law, field, t + 1).

        The first law is that of one network, whose s = t at lag 0 is one and the same variable; further ones are those
        of two replicas.

        Args:
            t: The later time.
            driven: Covariance of the fields at (t, s), shape (law, field, t + 1).
            own: Covariance at lag 0 without coupling, shape (law, t + 1).
        """
        coupling = self.coupling
        r = _correlations(driven, own, coupling.field, self.variance, t)
        r[0, t] = 0.0  # no series: the variance itself
        sums = self._series(t, None, r)
        sums[0, t] = self.table.variance[t]
        return _mixed(coupling.mix, sums, coupling.total, self.table.mean, t)

    def _series(self, t: int, rows: np.ndarray | None, r: np.ndarray) -> np.ndarray:
        """The sums at some earlier times, or all up to t, shape of r: (law times series, time)."""
        table, coupling = self.table, self.coupling
        sums, short = np.empty_like(r), np.zeros(r.shape, np.bool_)
        tolerance = self.tolerance(table.variance[t])
        coefficients, remainder, column = table.coefficients, table.remainder, t
        if rows is not None:
            column = len(rows)
            coefficients = coefficients[:, np.append(rows, t)]
            remainder = np.repeat(remainder[:, t : t + 1], len(rows) + 1, axis=1)
        worst, any_short = series_rows(
            coefficients,
            remainder,
            table.envelope,
            column,
            r,
            coupling.weights,
            self._bounds,
            tolerance,
            sums,
            short,
        )
        self.tail = max(self.tail, worst)
        if any_short:
            for i in np.flatnonzero(short.any(axis=1)):
                some = np.flatnonzero(short[i])
                where = some if rows is None else rows[some]
                geometric = bool(i % len(coupling.weights) == 1 and coupling.pair)
                sums[i, some] = self.without_series(t, where, r[i, some], geometric=geometric)
        return sums

    def without_series(self, t: int, rows: np.ndarray, r: np.ndarray, geometric: bool = False) -> np.ndarray:
        """Where the series converges too slowly: the covariance by quadrature, or a geometric sum lag by lag."""
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
def _correlations(driven, own, field, variance, t):
    """Correlation of each law's series at (s, t), shape (law * series, t + 1); 0 where a variance is 0."""
    laws, series = driven.shape[0], field.size
    r = np.empty((laws * series, t + 1))
    for s in range(t + 1):
        scale = math.sqrt(variance[s] * variance[t])
        inverse = 1.0 / scale if scale > 0.0 else 0.0
        for law in range(laws):
            for i in range(series):
                covariance = driven[law, field[i], s]
                if i == 0:
                    covariance += own[law, s]
                r[law * series + i, s] = min(max(covariance * inverse, -1.0), 1.0)
    return r


@njit(cache=True, error_model="numpy")
def _mixed(mix, sums, total, mean, t):
    """Input covariance, mix of the series plus the means' product times the row sum, shape (law, field, t + 1)."""
    fields, series = mix.shape
    laws = sums.shape[0] // series
    out = np.empty((laws, fields, t + 1))
    for law in range(laws):
        for k in range(fields):
            for s in range(t + 1):
                out[law, k, s] = total[k] * mean[s] * mean[t]
            for i in range(series):
                for s in range(t + 1):
                    out[law, k, s] += mix[k, i] * sums[law * series + i, s]
    return out
