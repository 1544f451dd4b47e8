"""Power laws in the number of neurons: four statements about networks of several sizes and their limit.

Arrays in, tuples out. K sizes n_k, R_k independent networks each. For one component of an observable x_kr is a
network's time mean, T the limit's, beta_k = mean over r of x_kr - T, s_k^2 the variance of x_kr over r, and
nu_k = R_k - 1. With x = log n:

1. `distance_law`: the distance D_kr of single networks from the limit falls as n^-a;
2. `noise_law`: the standard deviation of a network about the mean of networks falls as n^-a', and with it what the
   errors of the other statements are made of;
3. `bias_law`: the mean of networks approaches the limit as n^-b;
4. `offset_at_infinity`: what is left of beta_k at infinite n.

The bias is a part of D: a limit that is wrong shows in 4, not in 1.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, special

from largen.numerics.distributions import f_ppf, f_sf, t_ppf
from largen.numerics.streams import stream

STEEPEST = 3.0
"""Largest exponent of a bias that is looked for; the smallest is 0."""
DRAWS = 100_000
"""Draws for the quantiles of a noise exponent: their probabilities are known to 0.0005."""


class DistanceLaw(NamedTuple):
    """Distance of a single network from the limit, D ~ n^-exponent.

    Attributes:
        exponent: a.
        low: Lower end of its 95 % interval.
        high: Upper end.
        lack_of_fit: p-value of the power law; NaN with two sizes, which cannot be off a line.
        between: Exponents between neighbouring sizes, shape (size - 1,).
    """

    exponent: float
    low: float
    high: float
    lack_of_fit: float
    between: np.ndarray


class NoiseLaw(NamedTuple):
    """Standard deviation of a network's time mean over networks, s ~ n^-exponent.

    Attributes:
        exponent: a'.
        low: Lower end of its 95 % interval.
        high: Upper end.
        lack_of_fit: p-value of the power law; NaN with two sizes.
        variance: Variances by the law with its exponent drawn towards 1/2, shape (size,).
        dof: Degrees of freedom of these.
    """

    exponent: float
    low: float
    high: float
    lack_of_fit: float
    variance: np.ndarray
    dof: float


class BiasLaw(NamedTuple):
    """Mean of networks minus the limit, beta ~ n^-exponent.

    Attributes:
        exponent: b.
        low: Lower end of its 95 % interval; 0 stands for any exponent below `high`.
        high: Upper end; `STEEPEST` stands for any exponent above `low`.
        p_value: That no size has a bias; above 0.05 the exponent is not resolved.
        bound: What the bias is below at every size, by the 95 % intervals.
    """

    exponent: float
    low: float
    high: float
    p_value: float
    bound: float


class Offset(NamedTuple):
    """What is left of the bias at infinite n.

    Attributes:
        value: C.
        standard_error: Its standard error.
        lack_of_fit: p-value of beta = C + A n^-order; NaN with two sizes.
    """

    value: float
    standard_error: float
    lack_of_fit: float


def distance_law(n: np.ndarray, distances: list[np.ndarray]) -> DistanceLaw:
    """Regression of log D_kr on log n_k, with the scatter between networks of one size as its error.

    Under a power law the whole distribution of D scales, so that log D has one variance at all sizes: sigma^2, pooled
    within sizes with nu = sum of nu_k degrees of freedom. The slope of the means of log D, weights R_k, has the
    variance sigma^2/sum of R_k (x_k - x)^2; the residuals of the K means over it are F-distributed with (K - 2, nu)
    degrees of freedom. Source: lack of fit against pure error, Draper & Smith, Applied Regression Analysis (1998), 2.1.

    Args:
        n: Sizes, shape (size,).
        distances: Distances of the networks of each size, each of shape (realisation,); all above 0, else the law is
            NaN.
    """
    if any(np.any(one <= 0.0) for one in distances):
        nothing = np.full(len(n) - 1, np.nan)
        return DistanceLaw(np.nan, np.nan, np.nan, np.nan, nothing)
    logs = [np.log(one) for one in distances]
    x, count = np.log(n), np.array([len(one) for one in logs], float)
    mean = np.array([one.mean() for one in logs])
    dof = float(np.sum(count - 1))
    pooled = sum(float(np.sum((one - one.mean()) ** 2)) for one in logs) / dof
    slope, residuals, spread = _line(x, mean, count)
    half = float(t_ppf(0.975, dof)) * np.sqrt(pooled / spread)
    misfit = float(np.sum(count * residuals**2))
    return DistanceLaw(-slope, -slope - half, -slope + half, _f_test(misfit, len(n) - 2, pooled, dof),
                       -np.diff(mean) / np.diff(x))  # fmt: skip


def noise_law(n: np.ndarray, variance: np.ndarray, dof: np.ndarray) -> NoiseLaw:
    """Power law of variances s_k^2 that have chi-squared laws with nu_k degrees of freedom.

    y_k = log s_k^2 - psi(nu_k/2) + log(nu_k/2) has the expectation log of the true variance and the variance
    psi'(nu_k/2), psi being the digamma function (Bartlett & Kendall 1946, Suppl. J. R. Stat. Soc. 8:128). Its slope c
    on x_k, weights 1/psi'(nu_k/2), gives a' = -c/2. The error of c is the sum over k of a_k (log chi2_k - its mean),
    a_k the weights of the slope: its quantiles are those of `DRAWS` draws, always the same ones.

    What the other statements weigh with is less noisy: V_k = V n_k^c', c' between c and -1, where independent neurons
    have it. c' = -w + (1 - w) c, w = se^2/(se^2 + max((c + 1)^2 - se^2, 0)): the posterior mean of a normal law about
    -1 whose variance is estimated from c itself (empirical Bayes, Efron & Morris 1973, J. Am. Stat. Assoc. 68:117).
    V is the average of s_k^2 n_k^-c', weights nu_k; two numbers are estimated, which leaves sum of nu_k - 2 degrees.

    Args:
        n: Sizes, shape (size,).
        variance: Variances over realisations, shape (size,); all above 0, else the law is NaN.
        dof: Their degrees of freedom, shape (size,).
    """
    left = float(np.sum(dof) - 2)
    if np.any(variance <= 0.0):
        return NoiseLaw(np.nan, np.nan, np.nan, np.nan, np.full(len(n), np.nan), left)
    x, weight = np.log(n / n[0]), 1.0 / special.polygamma(1, dof / 2)
    slope, residuals, spread = _line(x, np.log(variance) - _mean_log(dof), weight)
    low, high, misfits = _noise_errors(tuple(x.tolist()), tuple(dof.tolist()))
    above = DRAWS - int(np.searchsorted(misfits, np.sum(weight * residuals**2)))
    p_value = (1 + above) / (1 + DRAWS) if len(n) > 2 else np.nan
    prior = max((slope + 1.0) ** 2 - 1.0 / spread, 0.0)
    drawn = 1.0 / (1.0 + prior * spread)
    shrunk = (1.0 - drawn) * slope - drawn
    smooth = np.average(variance * np.exp(-shrunk * x), weights=dof) * np.exp(shrunk * x)
    return NoiseLaw(-slope / 2, (low - slope) / 2, (high - slope) / 2, p_value, smooth, left)


def bias_law(n: np.ndarray, bias: np.ndarray, standard_error: np.ndarray, dof: float) -> BiasLaw:
    """Exponent b of beta_k = A n_k^-b with its profile interval.

    chi2(b) is the least sum over k of (beta_k - A n_k^-b)^2/se_k^2 over A. The interval holds all b in [0, `STEEPEST`]
    at which chi2(b) exceeds its minimum by at most the 95 % quantile of F(1, dof) (profile likelihood: Bates & Watts,
    Nonlinear Regression Analysis and Its Applications (1988), 6.1); where these are several pieces, from the first end
    to the last. No bias at any size: sum of beta_k^2/se_k^2 over K is F(K, dof).

    Args:
        n: Sizes, shape (size,).
        bias: beta_k, shape (size,).
        standard_error: Of beta_k by the noise law, shape (size,).
        dof: Their degrees of freedom; below 1 nothing can be said.
    """
    if not (dof >= 1 and np.all(np.isfinite(standard_error))):
        return BiasLaw(np.nan, np.nan, np.nan, np.nan, np.nan)
    x, weight = np.log(n / n[0]), standard_error**-2.0

    def misfit(b: float | np.ndarray) -> np.ndarray:
        shape = np.exp(-np.multiply.outer(b, x))
        size = (shape @ (weight * bias)) / (shape**2 @ weight)
        return (bias - size[..., None] * shape) ** 2 @ weight

    grid = np.linspace(0.0, STEEPEST, 121)
    values = misfit(grid)
    least = int(np.argmin(values))
    cell = (float(grid[max(least - 1, 0)]), float(grid[min(least + 1, len(grid) - 1)]))
    found: Any = optimize.minimize_scalar(misfit, bounds=cell, method="bounded", options={"xatol": 1e-10})
    best = min((float(found.x), *cell), key=lambda b: float(misfit(b)))
    level = float(misfit(best)) + float(f_ppf(0.95, 1, dof))
    inside = np.append(grid[values <= level], best)
    first, last = float(inside.min()), float(inside.max())
    low = _crossing(misfit, level, first, grid[grid < first][-1:])
    high = _crossing(misfit, level, last, grid[grid > last][:1])
    bound = np.max(np.abs(bias) + t_ppf(0.975, dof) * standard_error)
    return BiasLaw(best, low, high, _f_test(float(np.sum(weight * bias**2)), len(n), 1.0, dof), float(bound))


def offset_at_infinity(n: np.ndarray, bias: np.ndarray, standard_error: np.ndarray, dof: float, order: float) -> Offset:
    """Weighted least squares of beta_k = C + A n_k^-order: the mean of networks minus the limit at infinite n.

    `order` comes from theory: a wrong one moves C by much more than its error, and the residuals do not show it.

    Args:
        n: Sizes, shape (size,).
        bias: beta_k, shape (size,).
        standard_error: Of beta_k by the noise law, shape (size,).
        dof: Their degrees of freedom.
        order: Exponent of the leading bias.
    """
    if not (dof >= 1 and np.all(np.isfinite(standard_error))):
        return Offset(np.nan, np.nan, np.nan)
    # The line in n^-order, with its value at 0.
    x, weight = (n / n[0]) ** -order, standard_error**-2.0
    slope, residuals, spread = _line(x, bias, weight)
    centre = np.average(x, weights=weight)
    value = np.average(bias, weights=weight) - slope * centre
    error = np.sqrt(1.0 / weight.sum() + centre**2 / spread)
    return Offset(float(value), float(error), _f_test(float(np.sum(weight * residuals**2)), len(n) - 2, 1.0, dof))


def _line(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Slope of a weighted line, residuals, and sum of weight (x - mean)^2, the inverse variance of the slope."""
    centred = x - np.average(x, weights=weight)
    spread = float(np.sum(weight * centred**2))
    slope = float(np.sum(weight * centred * y)) / spread
    return slope, y - np.average(y, weights=weight) - slope * centred, spread


def _f_test(misfit: float, count: int, variance: float, dof: float) -> float:
    """p-value of a sum of `count` squares whose variance is estimated; where that is 0 any misfit is real."""
    if count < 1:
        return np.nan
    if variance <= 0.0:
        return 1.0 if misfit < 1e-18 else 0.0
    return float(f_sf(misfit / count / variance, count, dof))


def _mean_log(dof: np.ndarray) -> np.ndarray:
    """Expectation of log(chi2/dof)."""
    return special.digamma(dof / 2) - np.log(dof / 2)


@functools.lru_cache(maxsize=4)
def _noise_errors(x: tuple[float, ...], dof: tuple[float, ...]) -> tuple[float, float, np.ndarray]:
    """2.5 and 97.5 % quantiles of the error of the slope of log variances; misfits about it in order, (draw,)."""
    degrees, position = np.array(dof), np.array(x)
    weight = 1.0 / special.polygamma(1, degrees / 2)
    draws = np.log(stream(0, "noise law").chisquare(degrees, (DRAWS, len(degrees))) / degrees) - _mean_log(degrees)
    centred = position - np.average(position, weights=weight)
    slopes = draws @ (weight * centred) / np.sum(weight * centred**2)
    residuals = draws - np.average(draws, axis=1, weights=weight)[:, None] - slopes[:, None] * centred
    low, high = np.quantile(slopes, [0.025, 0.975])
    return float(low), float(high), np.sort(residuals**2 @ weight)


def _crossing(misfit: Callable[[float], Any], level: float, inside: float, outside: np.ndarray) -> float:
    """Where chi2 crosses a level between an exponent below it and one above; `inside` where there is none above."""
    if not len(outside):
        return inside
    root: Any = optimize.brentq(lambda b: float(misfit(b)) - level, inside, float(outside[0]), xtol=1e-12)
    return float(root)
