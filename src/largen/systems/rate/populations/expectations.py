"""Gaussian expectations of a population's activation and of its derivative.

With normalised Hermite coefficients a_n of phi at mean m and variance v (numerics.bivariate), and two states of
correlation rho (eqs. P10 and P11 of docs/rate-populations.md):

    cov(phi, phi) = sum_{n>=1} a_n^2 rho^n,    E phi' phi' = (1/v) sum_{n>=1} n a_n^2 rho^(n-1),    E phi' = a_1/sqrt v.

The rectified line (relu) has closed forms, since its series converges like n^(-3/2) only.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from largen.checks import InputError, LimitError
from largen.numerics.bivariate import MOST_INTERVALS, MOST_TERMS, Expansion, rule
from largen.numerics.gaussian import trapezoid
from largen.numerics.gaussian_pairs import probit_covariance
from largen.systems.rate.activations import Activation, is_formula, jax_function
from largen.systems.rate.populations.series import expansion, power_series

_FEWEST_NODES, _MOST_NODES = 768, 768 * 2**9
_SQRT_2PI = math.sqrt(2.0 * math.pi)
_RESOLVED = ((64, 240), (512, 480), (MOST_TERMS, 960))  # terms, and intervals that resolve so many
_LEAST = 1e-22  # variance of a rate that does not count


class Response(Activation):
    """The activation of one population, phi(x) = activation(gain x), with its derivative."""

    _intervals = 240  # of the trapezoidal rule, doubled where the activation needs it

    def expand(self, mean: float, variance: float, terms: int, tolerance: float) -> Expansion:
        """Normalised Hermite coefficients at one Gaussian law."""
        if self.kind == "relu":
            return _expand_relu(self.gain, mean, variance, terms)
        if self.scale or self.kind == "linear" or variance <= 0.0:
            return super().expand(mean, variance, terms, tolerance)
        spread, fewest = math.sqrt(variance), next(n for most, n in _RESOLVED if terms <= most)
        while self._intervals <= MOST_INTERVALS:
            xi, weights = rule(max(self._intervals, fewest))
            found = expansion(xi, weights, self(mean + spread * xi), terms, tolerance)
            if found[0]:
                return Expansion(*found[1:])
            if not math.isfinite(found[1]):
                break
            self._intervals *= 2
        return super().expand(mean, variance, terms, tolerance)  # which says what is wrong

    def covariance(
        self,
        means: tuple[np.ndarray, np.ndarray],
        variances: tuple[np.ndarray, np.ndarray],
        r: np.ndarray,
        allowed: float,
    ) -> tuple[np.ndarray, float]:
        """Covariance of phi(x), phi(y) at any correlation, and an error estimate; shapes (pair,)."""
        if self.kind == "relu":
            return relu_covariance(self.gain, means, variances, r), 1e-14
        return super().covariance(means, variances, r, allowed)

    def derivative(self, x: np.ndarray) -> np.ndarray:
        """Derivative at states x, any shape."""
        return self.gain * _derivative(self.kind)(self.gain * np.asarray(x))

    def slope_square(self, mean: float, variance: float) -> float:
        """E phi'^2."""
        if self.kind == "relu":
            return self.gain**2 * float(special.ndtr(math.copysign(1.0, self.gain) * _ratio(mean, variance)))
        if variance <= 0.0:
            return float(self.derivative(np.array([mean]))[0] ** 2)
        if self.scale:
            return self.scale**2 * _probit_slopes(self.slope, mean, variance, np.ones(1))[0]
        return average(lambda x: self.derivative(x) ** 2, mean, variance)[0]


class Law:
    """A population's activation at one Gaussian law of its states, mean m and variance v.

    Args:
        response: The activation.
        mean: m.
        variance: v.
        tolerance: Relative tolerance of the expansion.

    Attributes:
        rate: E phi.
        spread: Variance of phi.
        squares: a_n^2, n = 1, 2, ..., shape (term,).
        rest: Variance left after the last term.
    """

    def __init__(self, response: Response, mean: float, variance: float, tolerance: float = 1e-15):
        self.response, self.mean, self.variance = response, mean, max(variance, 0.0)
        terms, found = 64, response.expand(mean, self.variance, 64, _LEAST)
        if response.kind == "relu":
            terms = MOST_TERMS  # the closed form is taken
        while found.remainder[-1] > max(tolerance * found.variance, _LEAST) and terms < MOST_TERMS:
            terms *= 2
            found = response.expand(mean, self.variance, terms, max(tolerance * found.variance, _LEAST))
        self.rate, self.spread = found.mean, found.variance
        self.coefficients = found.coefficients
        self.squares = np.ascontiguousarray(found.coefficients**2)
        self.rest = float(found.remainder[-1])

    def correlations(self, covariance: np.ndarray) -> np.ndarray:
        """Correlations at these covariances of two states, in [-1, 1]."""
        if self.variance <= 0.0:
            return np.zeros_like(covariance)
        return np.clip(covariance / self.variance, -1.0, 1.0)

    def pairs(self, r: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """sum_n weights_n a_n^2 r^n: with weights 1 the covariance of two rates, shape of r."""
        if self.variance <= 0.0:
            return np.zeros_like(r)
        if self._closed and weights is None:
            both = [np.full(r.shape, x) for x in (self.mean, self.variance)]
            return self.response.covariance((both[0], both[0]), (both[1], both[1]), r, 1e-12)[0]
        coefficients = self.squares if weights is None else self.squares * weights[: len(self.squares)]
        found = power_series(coefficients, np.ascontiguousarray(r), 1e-16 * self.spread)
        if weights is None:  # at a correlation of 1 the variance itself, which holds the terms left out
            found[r >= 1.0] = self.spread
            self._refuse_short(self.rest * np.max(np.abs(r[np.abs(r) < 1.0]), initial=0.0) ** len(self.squares))
        return found

    def slopes(self, r: np.ndarray, lag_zero: bool = True) -> np.ndarray:
        """E phi'(x) phi'(y) at correlations r, shape of r."""
        if self.variance <= 0.0:
            return np.full(r.shape, self.response.slope_square(self.mean, 0.0))
        if self.response.kind == "relu":
            return _relu_slopes(self.response.gain, self.mean, self.variance, r)
        if self.response.scale:
            return self.response.scale**2 * _probit_slopes(self.response.slope, self.mean, self.variance, r)
        squares = self._finest
        n = np.arange(1.0, len(squares) + 1.0)
        found = squares[0] + power_series((squares * n)[1:], np.ascontiguousarray(r), 1e-16 * float(squares @ n))
        return np.where(r >= 1.0, self.slope_square, found / self.variance)

    @property
    def _closed(self) -> bool:
        return bool(self.response.scale) or self.response.kind == "relu"

    def _refuse_short(self, left: float) -> None:
        if left > 1e-7 * self.spread:
            raise LimitError(
                f"The activation is too steep for its covariances at variance {self.variance:.3g}. Take a smaller "
                "gain, or the probit or erf activation (exact at any slope)."
            )

    @functools.cached_property
    def _finest(self) -> np.ndarray:
        """a_n^2 with enough terms for the derivative, whose series converges more slowly."""
        terms = min(max(4 * len(self.squares), 512), MOST_TERMS)
        return self.response.expand(self.mean, self.variance, terms, _LEAST).coefficients ** 2

    @functools.cached_property
    def slope_square(self) -> float:
        """E phi'^2."""
        return self.response.slope_square(self.mean, self.variance)

    @functools.cached_property
    def slope(self) -> float:
        """E phi' = a_1/sqrt(v)."""
        if self.variance <= 0.0:
            return float(self.response.derivative(np.array([self.mean]))[0])
        return float(self.coefficients[0]) / math.sqrt(self.variance)

    @functools.cached_property
    def derivatives(self) -> "Derivatives":
        """What the stability of a static state needs."""
        v = max(self.variance, 1e-10)
        base = self if self.variance >= 1e-10 else Law(self.response, self.mean, v)
        a2, a3 = base.coefficients[1:3]
        second, third = a2 * math.sqrt(2.0) / v, a3 * math.sqrt(6.0) / v**1.5
        if self.response.kind == "relu":
            return Derivatives(self.slope, second, third, self.response.gain * self.rate, self.slope_square)
        phi, slope = self.response, self.response.derivative
        spread = math.sqrt(v)
        a, b = average(lambda x: np.stack([phi(x) * slope(x), phi(x) * slope(x) * (x - self.mean) / v]), self.mean, v)
        return Derivatives(self.slope, second, third, a, b) if spread else Derivatives(self.slope, 0.0, 0.0, a, b)


class Derivatives(NamedTuple):
    """Averages over a population.

    Attributes:
        first: E phi'.
        second: E phi''.
        third: E phi'''.
        product: E phi phi'.
        curvature: E (phi'^2 + phi phi''), by integration by parts E phi phi' (x - m)/v.
    """

    first: float
    second: float
    third: float
    product: float
    curvature: float


def average(function: Callable[[np.ndarray], np.ndarray], mean: float, variance: float) -> np.ndarray:
    """E f(x) for Gaussian x by the trapezoidal rule, refined until it no longer changes; f may give several rows.

    Args:
        function: Function of states, shape (node,), to (node,) or (row, node).
        mean: Mean of x.
        variance: Variance of x.

    Raises:
        InputError: The function is not finite, or too steep.
    """
    spread, nodes, before = math.sqrt(max(variance, 0.0)), _FEWEST_NODES, None
    while nodes <= _MOST_NODES:
        xi, weights = trapezoid(nodes + 1)
        value = np.atleast_2d(function(mean + spread * xi)) @ weights
        if not np.all(np.isfinite(value)):
            raise InputError("The activation or its derivative is not finite. Use one that is finite everywhere.")
        if before is not None and np.all(np.abs(value - before) <= 1e-13 * (np.abs(value) + 1e-3)):
            return value
        before = value
        nodes *= 2
    raise InputError("The activation is too steep for quadrature. Take a smaller gain, or probit or erf.")


# Closed forms ----------------------------------------------------------------------------------------------------


def _ratio(mean: Any, variance: Any) -> Any:
    """m/sqrt(v), infinite where v = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.asarray(mean) / np.sqrt(variance)
    return np.where(np.isnan(found), 0.0, found)


def _expand_relu(gain: float, mean: float, variance: float, terms: int) -> Expansion:
    """Expand max(gain x, 0): a_n = s (-1)^n He_{n-2}(m/s) density(m/s)/sqrt(n!), n >= 2, by Stein's identity."""
    sign, m, s = math.copysign(1.0, gain), gain * mean, abs(gain) * math.sqrt(variance)
    if s == 0.0:
        return Expansion(max(m, 0.0), 0.0, np.zeros(terms), np.zeros(terms + 1))
    a = m / s
    upper, density = float(special.ndtr(a)), math.exp(-0.5 * a * a) / _SQRT_2PI
    value = m * upper + s * density
    second = max((m * m + s * s) * upper + m * s * density - value**2, 0.0)
    coefficients = np.zeros(terms)
    coefficients[0] = s * upper
    below, here = 0.0, density / math.sqrt(2.0)  # He_{k}(a) density/sqrt((k + 2)!), k = n - 2
    for n in range(2, terms + 1):
        coefficients[n - 1] = s * here * (1.0 if n % 2 == 0 else -1.0)
        k = n - 2
        below, here = here, (a * here - k * below / math.sqrt(n)) / math.sqrt(n + 1.0)
    coefficients *= sign ** np.arange(1, terms + 1)
    remainder = second - np.concatenate([[0.0], np.cumsum(coefficients**2)])
    return Expansion(value, second, coefficients, np.maximum(remainder, 1e-17 * second))


def relu_covariance(
    gain: float, means: tuple[np.ndarray, np.ndarray], variances: tuple[np.ndarray, np.ndarray], r: np.ndarray
) -> np.ndarray:
    """Covariance of max(gain x, 0) and max(gain y, 0) at correlation r, in closed form (eq. P12)."""
    m1, m2 = (gain * np.asarray(mean) for mean in means)
    s1, s2 = (abs(gain) * np.sqrt(variance) for variance in variances)
    a1, a2 = _ratio(m1, s1**2), _ratio(m2, s2**2)
    r = np.clip(r, -1.0, 1.0)
    q = np.sqrt(np.maximum((1.0 - r) * (1.0 + r), 0.0))
    density1, density2 = (np.exp(-0.5 * a * a) / _SQRT_2PI for a in (a1, a2))
    upper1, upper2 = special.ndtr(a1), special.ndtr(a2)
    both = probit_covariance(a1, a2, r) + upper1 * upper2
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (a2 - r * a1) / q, (a1 - r * a2) / q
    first, second = (np.where(np.isnan(x), 0.0, x) for x in (first, second))
    joint = np.where(q > 0.0, density1 * np.exp(-0.5 * np.where(q > 0.0, first, 0.0) ** 2) / _SQRT_2PI, 0.0)
    product = (m1 * m2 + r * s1 * s2) * both + m2 * s1 * density1 * special.ndtr(first)
    product += m1 * s2 * density2 * special.ndtr(second) + s1 * s2 * q * joint
    return product - (m1 * upper1 + s1 * density1) * (m2 * upper2 + s2 * density2)


def _relu_slopes(gain: float, mean: float, variance: float, r: np.ndarray) -> np.ndarray:
    a = math.copysign(1.0, gain) * float(_ratio(mean, variance))
    upper = float(special.ndtr(a))
    return gain**2 * (probit_covariance(np.full(r.shape, a), np.full(r.shape, a), r) + upper**2)


def _probit_slopes(slope: float, mean: float, variance: float, r: np.ndarray) -> np.ndarray:
    """E of the product of the derivatives of Phi(slope x): the bivariate normal density at the thresholds."""
    width2 = 1.0 + slope**2 * variance
    a, joint = slope * mean / math.sqrt(width2), slope**2 * variance * np.asarray(r) / width2
    exponent = -(a**2) / (1.0 + joint)
    return slope**2 / width2 * np.exp(exponent) / (2.0 * math.pi * np.sqrt((1.0 - joint) * (1.0 + joint)))


@functools.lru_cache(maxsize=32)
def _derivative(kind: str | Callable) -> Callable[[np.ndarray], np.ndarray]:
    """Derivative of the activation at gain 1."""
    if not isinstance(kind, str) or is_formula(kind):
        import jax

        function = jax_function(kind)

        def slope(x: np.ndarray) -> np.ndarray:
            with jax.enable_x64(True):
                return np.asarray(jax.jvp(function, (x,), (np.ones_like(x),))[1])

        return slope
    return {
        "logistic": lambda x: special.expit(x) * special.expit(-x),
        "probit": lambda x: np.exp(-0.5 * x * x) / _SQRT_2PI,
        "tanh": lambda x: 1.0 / np.cosh(np.clip(x, -350.0, 350.0)) ** 2,
        "erf": lambda x: 2.0 / math.sqrt(math.pi) * np.exp(-x * x),
        "linear": np.ones_like,
        "relu": lambda x: (x > 0.0).astype(float),
    }[kind]


def responses_of(model: Any) -> tuple[Response, ...]:
    """The activation of every population."""
    count = len(model.fractions)
    kinds = model.activation if isinstance(model.activation, tuple) else (model.activation,) * count
    gains = np.broadcast_to(np.asarray(model.gain, dtype=float), (count,))
    return tuple(Response(kind, float(gain)) for kind, gain in zip(kinds, gains, strict=True))
