"""Covariances of functions of jointly Gaussian variables: Mehler's series, with closed forms where they exist.

For f(x), f(y) with (x, y) Gaussian of correlation r, cov(f(x), f(y)) = sum_{n>=1} a_n(x) a_n(y) r^n, where a_n are
the normalised Hermite coefficients of f at each variable's own mean and variance. The variance left after N terms
bounds the tail: |tail| <= |r|^(N+1) sqrt(R_N(x) R_N(y)), R_N = Var f - sum_{n<=N} a_n^2.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from largen.checks import InputError
from largen.numerics.compiled import njit
from largen.numerics.gaussian_pairs import evaluated, probit_covariance

MOST_TERMS = 2048
_REACH = 12.0
_INTERVALS = 480
MOST_INTERVALS = _INTERVALS * 2**10


class Expansion(NamedTuple):
    """A function of one Gaussian variable in normalised Hermite polynomials.

    Attributes:
        mean: Mean of f(x).
        variance: Variance of f(x).
        coefficients: a_1 ... a_N, shape (N,).
        remainder: Variance left after 0 ... N terms, shape (N + 1,).
    """

    mean: float
    variance: float
    coefficients: np.ndarray
    remainder: np.ndarray


@functools.lru_cache(maxsize=8)
def rule(intervals: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of the trapezoidal rule for the standard Gaussian law and its normalised weights."""
    xi = np.linspace(-_REACH, _REACH, intervals + 1)
    weights = np.exp(-0.5 * xi**2)
    return xi, weights / math.fsum(weights)


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _hermite(xi, even, odd, variance, terms, enough):
    """Coefficients of a function given on xi >= 0 by its even and odd halves, and the variance left after each.

    Stops where the variance left is at most `enough`: the coefficients beyond are 0.

    Args:
        xi: Nodes from 0 up, shape (node,).
        even: Sum of the weighted, centred values at xi and -xi (at 0 the value itself), shape (node,).
        odd: Their difference.
        variance: Variance of the function.
        terms: Largest number of terms.
        enough: Variance that may be left out.
    """
    coefficients = np.zeros(terms)
    remainder = np.empty(terms + 1)
    remainder[0] = variance
    below = np.ones_like(xi)
    here = xi.copy()
    for n in range(1, terms + 1):
        b = 1.0 / math.sqrt(n + 1.0)
        a = math.sqrt(n) * b
        half = odd if n % 2 else even
        total = 0.0
        for i in range(xi.size):
            total += half[i] * here[i]
        for i in range(xi.size):
            below[i] = b * (xi[i] * here[i]) - a * below[i]
        coefficients[n - 1] = total
        remainder[n] = max(remainder[n - 1] - total * total, 1e-17 * variance)
        below, here = here, below
        if remainder[n] <= enough:
            remainder[n:] = remainder[n]
            break
    return coefficients, remainder


def expand(
    function: Callable[[np.ndarray], np.ndarray], mean: float, variance: float, terms: int, tolerance: float
) -> Expansion:
    """Expand a function of a Gaussian variable by the trapezoidal rule, refined until it no longer changes.

    Args:
        function: Vectorised function of NumPy arrays.
        mean: Mean of the variable.
        variance: Variance of the variable.
        terms: Number of terms N.
        tolerance: Absolute tolerance of the mean and the variance of f; coefficients beyond it are 0.

    Raises:
        InputError: The function is not finite, or too steep or rough for the rule.
    """
    if variance <= 0.0:
        value = float(evaluated(function, np.array([mean]))[0])
        return Expansion(value, 0.0, np.zeros(terms), np.zeros(terms + 1))
    intervals, spread, coarse = 2 * _INTERVALS, math.sqrt(variance), None
    while intervals <= MOST_INTERVALS:
        xi, weights = rule(intervals)
        values = evaluated(function, mean + spread * xi)
        if coarse is None:
            coarse = _centred(*rule(intervals // 2), values[::2])
        fine = _centred(xi, weights, values)
        change = max(
            abs(fine.second - coarse.second),
            (fine.centre - coarse.centre) ** 2,
            1e-3 * abs(fine.centre - coarse.centre),
        )
        if change <= max(tolerance, 1e-14 * (fine.second + 1e-2 * abs(fine.centre))):
            # for the coefficients the coarser rule is as good, at half the cost
            halves = _halves(coarse.xi, coarse.weighted)
            return Expansion(fine.centre, fine.second, *_hermite(*halves, fine.second, terms, tolerance))
        coarse = fine
        intervals *= 2
    raise InputError(
        f"The activation is too steep or rough for quadrature at mean {mean:.3g} and variance {variance:.3g}. "
        "Loosen rtol and atol, or use the probit or erf activation (exact at any slope)."
    )


class _Rule(NamedTuple):
    """A function on the nodes of one rule.

    Attributes:
        xi: Nodes, shape (node,).
        centre: Mean.
        second: Variance.
        weighted: Centred values times weights, shape (node,).
    """

    xi: np.ndarray
    centre: float
    second: float
    weighted: np.ndarray


def _centred(xi: np.ndarray, weights: np.ndarray, values: np.ndarray) -> _Rule:
    centre = float(weights @ values)
    values = values - centre
    weighted = weights * values
    return _Rule(xi, centre, float(weighted @ values), weighted)


def _halves(xi: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes from 0 up, and the even and odd halves of values on symmetric nodes."""
    middle = len(xi) // 2
    right, left = values[middle:], values[middle::-1]
    even = right + left
    even[0] = values[middle]
    return xi[middle:], even, right - left


def expand_probit(slope: float, mean: float, variance: float, terms: int) -> Expansion:
    """Expand Phi(slope x), in closed form: a_n = q^n (-1)^(n-1) He_{n-1}(a) phi(a)/sqrt(n!).

    Here q = slope sqrt(variance)/sqrt(1 + slope^2 variance) and a = slope mean/sqrt(1 + slope^2 variance).
    """
    width = math.sqrt(1.0 + slope**2 * variance)
    a, q = slope * mean / width, slope * math.sqrt(variance) / width
    value = 0.5 * math.erfc(-a / math.sqrt(2.0))
    if variance <= 0.0:
        return Expansion(value, 0.0, np.zeros(terms), np.zeros(terms + 1))
    second = float(probit_covariance(a, a, q * q))
    return Expansion(value, second, *_hermite_probit(a, q, second, terms))


@njit(cache=True, error_model="numpy")
def _hermite_probit(a, q, variance, terms):
    coefficients = np.empty(terms)
    remainder = np.empty(terms + 1)
    remainder[0] = variance
    below, here, power = 0.0, math.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi), q
    for n in range(1, terms + 1):
        value = power * here / math.sqrt(n)
        coefficients[n - 1] = value
        remainder[n] = max(remainder[n - 1] - value * value, 1e-17 * variance)
        below, here = here, (a * here - math.sqrt(n - 1.0) * below) / math.sqrt(n * 1.0)
        power *= -q
    return coefficients, remainder


# Many pairs ---------------------------------------------------------------------------------------------------


class ExpansionTable:
    """Expansions at many times, all with the same number of terms, in the order of memory of `series_rows`.

    The number of terms doubles, up to `MOST_TERMS`, until the remainder at every time is within its tolerance; earlier
    times are then expanded again, because the product of two expansions is as short as the shorter one.

    Args:
        times: Number of times.
        expand: Maps (mean, variance, terms) to an `Expansion`.

    Attributes:
        mean: Means of f, shape (time,).
        variance: Variances of f, shape (time,).
        coefficients: a_n by term and time, shape (term, time).
        remainder: Variance left after n terms, shape (term + 1, time).
        envelope: Largest remainder over the times set so far, shape (term + 1,).
    """

    def __init__(self, times: int, expand: Callable[[float, float, int], Expansion]):
        self._expand = expand
        self._laws: dict[int, tuple[float, float]] = {}
        self.mean, self.variance = np.zeros(times), np.zeros(times)
        self._resize(16)

    def _resize(self, terms: int) -> None:
        times = len(self.mean)
        self.coefficients = np.zeros((terms, times))
        self.remainder = np.zeros((terms + 1, times))
        self.envelope = np.zeros(terms + 1)

    def set(self, t: int, mean: float, variance: float, tolerance: float) -> None:
        """Set the law at one time; setting it again replaces it (the envelope only grows).

        Args:
            t: The time.
            mean: Mean of the argument of f.
            variance: Its variance.
            tolerance: Variance of f that may be left out.
        """
        self._laws[t] = (mean, variance)
        terms = len(self.coefficients)
        expansion = self._expand(mean, variance, terms)
        grown = terms
        while expansion.remainder[-1] > tolerance and grown < MOST_TERMS:
            grown *= 2
            expansion = self._expand(mean, variance, grown)
        if grown > terms:
            self._resize(grown)
            for earlier, law in self._laws.items():
                self._put(earlier, self._expand(*law, grown))
        self._put(t, expansion)

    def _put(self, t: int, expansion: Expansion) -> None:
        self.mean[t], self.variance[t] = expansion.mean, expansion.variance
        self.coefficients[:, t] = expansion.coefficients
        self.remainder[:, t] = expansion.remainder
        np.maximum(self.envelope, expansion.remainder, out=self.envelope)


_BLOCK = 32


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def series_rows(coefficients, remainder, envelope, t, r, weights, bounds, tolerance, out, short):
    """Sum weights[i, n] a_n(s) a_n(t) r[i, s]^n over n, each with as many terms as its tail bound requires.

    Several sets of correlations may be stacked in r: they share the weights, row i taking those of i modulo series.

    Args:
        coefficients: See `ExpansionTable`.
        remainder: Likewise.
        envelope: Likewise.
        t: The column's time.
        r: Correlations, shape (any multiple of series, row).
        weights: Weights of the terms, shape (series, >= term).
        bounds: Largest absolute weight after n terms, shape (series, >= term).
        tolerance: Largest tail allowed.
        out: Sums, shape of r.
        short: Set where even all terms leave a larger tail, shape of r.

    Returns:
        The largest tail bound of what is not marked in `short`, and whether anything is.
    """
    most, rows = coefficients.shape[0], r.shape[1]
    sums = np.empty(_BLOCK)
    spread = np.sqrt(envelope * remainder[:, t])
    worst, any_short = 0.0, False
    for start in range(0, rows, _BLOCK):
        stop = min(start + _BLOCK, rows)
        for i in range(r.shape[0]):
            j, largest = i % weights.shape[0], 0.0
            for s in range(start, stop):
                largest = max(largest, abs(r[i, s]))
            power, terms, bound = largest, most, 0.0
            for n in range(most + 1):
                weight = bounds[j, min(n, most - 1)]
                bound = weight * power * spread[n]
                if bound <= tolerance:
                    terms = n
                    break
                power *= largest
            if bound > tolerance:
                ratio = bounds[j, most - 1] * spread[most]
                for s in range(start, stop):
                    tail = ratio * abs(r[i, s]) ** (most + 1)
                    short[i, s] = tail > tolerance
                    if tail <= tolerance:
                        worst = max(worst, tail)
                    else:
                        any_short = True
            else:
                worst = max(worst, bound)
                short[i, start:stop] = False
            for k in range(stop - start):
                sums[k] = 0.0
            for n in range(terms - 1, -1, -1):
                a = coefficients[n, t] * weights[j, n]
                for k in range(stop - start):
                    sums[k] = sums[k] * r[i, start + k] + a * coefficients[n, start + k]
            for k in range(stop - start):
                out[i, start + k] = sums[k] * r[i, start + k]
    return worst, any_short
