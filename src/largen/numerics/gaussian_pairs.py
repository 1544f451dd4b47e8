"""Covariances of functions of two Gaussian variables at one correlation: probit in closed form, others by smoothing.

They need no series, and so are for correlations near ±1 and for steep functions (see `bivariate`).
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from largen.checks import InputError

_REACH = 12.0
"""Widths of a Gaussian beyond which it is 0."""
_COARSEST = 0.05
"""Largest spacing of nodes, in widths."""
_NEAR = 1e-8
"""Distance of a correlation from 0 or ±1 that needs no grid of its own."""
_MOST_NODES = 2**20
_LONG = 256
"""Nodes of a window beyond which a convolution is a product of Fourier transforms."""


def evaluated(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """A function's values, shape of x; one that is not finite is an error that says where."""
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
    h = min(_COARSEST, 0.8 * common, 0.8 * own or np.inf)  # on a Gaussian 0.8 errs by 1e-13
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
        value = _convolved(evaluated(function, mean + side * math.sqrt(variance) * grid), weights)
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
