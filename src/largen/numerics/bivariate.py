"""Covariances of functions of jointly Gaussian variables: Mehler's series, with closed forms where they exist.

For f(x), f(y) with (x, y) Gaussian of correlation r, cov(f(x), f(y)) = sum_{n>=1} a_n(x) a_n(y) r^n, where a_n are
the normalised Hermite coefficients of f at each variable's own mean and variance. The variance left after N terms
bounds the tail: |tail| <= |r|^(N+1) sqrt(R_N(x) R_N(y)), R_N = Var f - sum_{n<=N} a_n^2.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from largen.checks import InputError
from largen.numerics.compiled import njit

MOST_TERMS = 2048
_REACH = 12.0
_NEAR = 1e-8
"""Distance of a correlation from 0 or ±1 that needs no grid of its own."""
_MOST_NODES = 2**20
_LONG = 256
"""Nodes of a window beyond which a convolution is a product of Fourier transforms."""
_INTERVALS = 480
MOST_INTERVALS = _INTERVALS * 2**10
_SQRT_2PI = math.sqrt(2.0 * math.pi)


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
        value = float(_values(function, np.array([mean]))[0])
        return Expansion(value, 0.0, np.zeros(terms), np.zeros(terms + 1))
    intervals, spread, coarse = 2 * _INTERVALS, math.sqrt(variance), None
    while intervals <= MOST_INTERVALS:
        xi, weights = rule(intervals)
        values = _values(function, mean + spread * xi)
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


def _values(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        values = np.asarray(function(x), dtype=np.float64)
    if not np.all(np.isfinite(values)):
        bad = np.flatnonzero(~np.isfinite(values))[0]
        where = float(x[bad])
        raise InputError(
            f"The activation must be finite, but is {float(values[bad])} at x = {where:.6g}. "
            "Use one that is finite everywhere."
        )
    return values


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


def probit_covariance(a: Any, b: Any, r: Any) -> np.ndarray:
    """Covariance of the events X <= a and Y <= b for standard Gaussian X, Y with correlation r, to 1e-14.

    It is (1/2pi) int_0^{arcsin r} exp(-(a^2 - 2ab sin x + b^2)/(2 cos^2 x)) dx, by Gauss nodes; unlike Owen's T it has
    no 0/0 at a = 0. Near r = ±1 the integrand falls to 0 within |a - b| (a + b for r < 0) of x = ±pi/2, and the nodes
    are spread over the logarithm of the distance from there.
    For Phi(s x): a = s m_x/sqrt(1 + s^2 C_xx), r = s^2 C_xy/sqrt((1 + s^2 C_xx)(1 + s^2 C_yy)).

    Args:
        a: Threshold of X, any shape.
        b: Threshold of Y, broadcast against a.
        r: Correlation in [-1, 1], broadcast likewise.
    """
    a, b, r = np.broadcast_arrays(*(np.asarray(part, float) for part in (a, b, r)))
    angle = np.arcsin(np.clip(r, -1.0, 1.0))
    near = np.abs(r) > _STEEP
    # for r near ±1: as far as a distance of 1 from pi/2, and from there on
    whole = np.asarray(_arc(a, b, np.where(near, np.sign(r) * (np.pi / 2 - 1.0), angle)))
    if np.any(near):
        side = np.sign(r[near])
        whole[near] += side * _arc_near_the_end(a[near], side * b[near], np.pi / 2 - np.abs(angle[near]))
    return whole / (2.0 * np.pi)


_STEEP = 0.995
"""Correlation up to which 40 Gauss nodes are enough."""


def _arc(a: np.ndarray, b: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """The integral from 0 to an angle that is not near ±pi/2."""
    nodes, weights = _gauss(40)
    x = 0.5 * angle[..., None] * (nodes + 1.0)
    return 0.5 * angle * (_density(a, b, 1.0 - np.sin(x)) @ weights)


def _arc_near_the_end(a: np.ndarray, b: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The integral over distances from pi/2 between `end` and 1, shape (pair,)."""
    nodes, weights = _gauss(96)
    vanishes = np.clip(np.abs(a - b) / 9.0, 1e-17, 1.0)  # below, the integrand is less than exp(-40)
    low = np.log(np.maximum(end, vanishes))
    distance = np.exp(0.5 * low[:, None] * (1.0 - nodes))
    inside = _density(a, b, 2.0 * np.sin(0.5 * distance) ** 2) * distance
    return -0.5 * low * (inside @ weights)


def _density(a: np.ndarray, b: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """exp(-(a^2 - 2ab s + b^2)/(2(1 - s^2))) at s = 1 - gap, without cancellation; a node axis is the last."""
    a, b = a[..., None], b[..., None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exponent = ((a - b) ** 2 / gap + 2.0 * a * b) / (2.0 - gap)
    return np.exp(-0.5 * np.where(np.isnan(exponent), np.inf, exponent))


@functools.lru_cache(maxsize=8)
def _gauss(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(count)


def covariance_by_smoothing(
    function: Callable[[np.ndarray], np.ndarray],
    means: tuple[float, float],
    variances: tuple[float, float],
    r: float,
    allowed: float,
) -> tuple[float, float]:
    """Covariance of f(x), f(y) where Mehler's series is slow: f steep, or the correlation near ±1.

    With x = m_x + sqrt(C_x) (sqrt|r| z + sqrt(1-|r|) e), y likewise with its own e, f is smoothed over e and the
    product integrated over z, both by the trapezoidal rule, near exact on a Gaussian weight. Both rules have the same
    spacing h of x: all nodes lie on one grid, on which f is evaluated once, and smoothing is a convolution.

    Args:
        function: Vectorised function of NumPy arrays.
        means: Means of x and of y.
        variances: Variances of x and of y.
        r: Correlation in [-1, 1].
        allowed: Error at which refinement ends.

    Returns:
        The covariance, and the change at the last halving of h; it is above `allowed` where the finest grid is reached.
    """
    size, sign = min(abs(r), 1.0), math.copysign(1.0, r)
    if size == 0.0:
        return 0.0, 0.0
    if size < _NEAR:  # proportional to r
        value, change = covariance_by_smoothing(function, means, variances, sign * _NEAR, allowed)
        return value * size / _NEAR, change * size / _NEAR
    if 0.0 < 1.0 - size < _NEAR:  # between what r = 1 gives and a little less, linear where f is smooth on that scale
        (at, one), (below, other) = (
            covariance_by_smoothing(function, means, variances, sign * (1.0 - gap), allowed) for gap in (0.0, _NEAR)
        )
        return at + (below - at) * (1.0 - size) / _NEAR, max(one, other) + 0.25 * abs(below - at)
    common, own = math.sqrt(size), math.sqrt(1.0 - size)
    h = min(2.0 * _REACH / _INTERVALS, 0.8 * common, 0.8 * own or np.inf)  # on a Gaussian 0.8 errs by 1e-13
    value, change = np.inf, np.inf
    while 2.0 * _REACH * (common + own) / h <= _MOST_NODES:
        before, value = value, _smoothed_covariance(function, means, variances, sign, (common, own), h)
        change = abs(value - before)
        if change <= allowed:
            break
        h *= 0.5
    return value, change


def _smoothed_covariance(
    function: Callable[[np.ndarray], np.ndarray],
    means: tuple[float, float],
    variances: tuple[float, float],
    sign: float,
    widths: tuple[float, float],
    h: float,
) -> float:
    """The covariance with a spacing h of (x - m_x)/sqrt(C_x); widths: of its common and its own part."""
    (shared, mass), (alone, weights) = (_weights(width, h) for width in widths)
    grid = h * np.arange(-(shared + alone), shared + alone + 1)
    smooth = []
    for mean, variance, side in zip(means, variances, (1.0, sign), strict=True):
        value = _convolved(_values(function, mean + side * math.sqrt(variance) * grid), weights)
        smooth.append(value - mass @ value)
    return float(mass @ (smooth[0] * smooth[1]))


def _weights(width: float, h: float) -> tuple[int, np.ndarray]:
    """How many nodes h apart lie on each side of 0 for a Gaussian of this width, and the weights of all of them."""
    if width == 0.0:
        return 0, np.ones(1)
    count = math.ceil(_REACH * width / h)
    weights = np.exp(-0.5 * (h / width * np.arange(-count, count + 1)) ** 2)
    return count, weights / weights.sum()


def _convolved(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sums over a symmetric window, where it lies within the values."""
    if len(weights) <= _LONG:
        return np.convolve(values, weights, "valid")
    from scipy import fft

    length = fft.next_fast_len(len(values), real=True)
    product = np.asarray(fft.rfft(values, length)) * np.asarray(fft.rfft(weights, length))
    return np.asarray(fft.irfft(product, length))[len(weights) - 1 : len(values)]


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
