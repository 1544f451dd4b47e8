"""The rate function of large deviations at a Gaussian field, in discrete time (the method of the source).

The law p_N of the network is q_mu(u)(u), the law of N neurons driven by a Gaussian input whose covariance is made of
the averages of u itself. So H(mu) is the specific relative entropy of mu with respect to Q^mu, the Gaussian field
driven by the order parameters of mu; its only zero is the limit. For a Gaussian mu, with S(w) = sum_k C^k e^{-ikw}
(eq. R15 of docs/rate.md),

    H = 1/2 int dw/2pi [tr(S_Q^-1 S_mu) - log det(S_Q^-1 S_mu) - (T + 1)] + 1/2 (m_mu - m_Q)^T S_Q(0)^-1 (m_mu - m_Q).

All of it is averaged over the weights: for one network most of a deviation is frozen in J. The minimiser under a
constraint is Gaussian only for a linear activation: minimising over Gaussian fields gives an upper bound of the true
exponent. Source: Faugeras & MacLaurin 2015 (Entropy 17:4701) for the method.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.checks import InputError, require
from largen.numerics.bivariate import ExpansionTable
from largen.systems.rate.activations import Activation
from largen.systems.rate.kernels import SeparableKernel, TableKernel

if TYPE_CHECKING:
    from largen.systems.rate.model import RateNetwork

_TAIL = 1e-11


class RateFunction(NamedTuple):
    """H per neuron and its two terms, natural logarithm.

    Attributes:
        total: H.
        covariance_part: The first term, from the covariance.
        mean_part: The second term, from the mean.
    """

    total: float
    covariance_part: float
    mean_part: float


def solve(
    model: "RateNetwork", mean: np.ndarray, covariance: np.ndarray, *, frequencies: int | None = None
) -> RateFunction:
    """Rate function of the Gaussian field with a given mean and covariance.

    Args:
        model: A RateNetwork in discrete time, with noise and an initial variance.
        mean: Mean of the state at times 0 ... T, shape (time,).
        covariance: cov(U^0_s, U^k_t), shape (lag, time, time) for lags 0, 1, ...; C^{-k} is its transpose, and beyond
            the last lag it is 0: give enough lags.
        frequencies: Points of the trapezoidal rule over w; four times the lags, at least 256, if None.

    Raises:
        InputError: The covariance is not positive definite (the message says at which w), or the driven field is
            singular (at which time).
    """
    require(model.dynamics == "discrete", "dynamics", "be 'discrete' for the rate function", model.dynamics)
    mean, covariance = np.array(mean, dtype=np.float64), np.array(covariance, dtype=np.float64)
    times = len(mean)
    require(
        mean.ndim == 1 and times >= 2 and covariance.ndim == 3 and covariance.shape[1:] == (times, times),
        "covariance",
        f"have shape (lag, {times}, {times})",
        covariance.shape,
    )
    require(
        np.allclose(covariance[0], covariance[0].T, rtol=1e-10, atol=1e-13),
        "covariance",
        "be symmetric at lag 0",
        "not",
    )
    if float(model.initial_variance) == 0.0:
        raise InputError("The driven field is singular at time 0: give the model an initial variance above 0.")
    if float(model.noise) == 0.0:
        raise InputError("The driven field is singular at time 1: give the model noise above 0.")
    count = max(256, 4 * len(covariance)) if frequencies is None else frequencies
    w = 2.0 * np.pi * np.arange(count) / count
    own = _spectrum(covariance, w)
    lowest = np.linalg.eigvalsh(own)[:, 0]
    if lowest.min() <= 0.0:
        raise InputError(
            "Argument `covariance` must be positive definite at every frequency, but at "
            f"w = {w[np.argmin(lowest)]:.4g} its smallest eigenvalue is {lowest.min():.3g}. "
            "Give more lags, or the covariance of a stationary field."
        )
    driven_mean, driven = _driven(model, mean, covariance, w)
    ratio = np.linalg.solve(driven, own)
    trace = np.trace(ratio, axis1=1, axis2=2).real
    logs = np.linalg.slogdet(own)[1] - np.linalg.slogdet(driven)[1]
    covariance_part = 0.5 * float(np.mean(trace - logs - times))
    off = mean - driven_mean
    mean_part = 0.5 * float(off @ np.linalg.solve(driven[0].real, off))
    return RateFunction(covariance_part + mean_part, covariance_part, mean_part)


def _spectrum(covariance: np.ndarray, w: np.ndarray) -> np.ndarray:
    """S(w), Hermitian, shape (frequency, time, time)."""
    out = np.repeat(covariance[:1].astype(np.complex128), len(w), axis=0)
    for k in range(1, len(covariance)):
        phase = np.exp(-1j * k * w)[:, None, None]
        out += phase * covariance[k] + phase.conj() * covariance[k].T
    return out


def _driven(
    model: "RateNetwork", mean: np.ndarray, covariance: np.ndarray, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spectrum of the field driven by the order parameters of the one given."""
    times = len(mean)
    rates, products = _rate_covariances(model, mean, covariance)
    gamma = float(model.gamma)
    apart = np.arange(times)[:, None] - 1 - np.arange(times)
    response = np.where(apart >= 0, gamma ** np.maximum(apart, 0), 0.0)
    start = gamma ** np.arange(times)
    private = float(model.initial_variance) * np.outer(start, start) + float(model.noise) ** 2 * response @ response.T
    inputs = _input_spectrum(model, rates, products, w) + float(model.threshold_variance)
    spectrum = response @ inputs @ response.T + private
    drive = float(model.mean_weight) * rates + float(model.threshold_mean)
    return float(model.initial_mean) * start + response @ drive, spectrum


def _rate_covariances(model: "RateNetwork", mean: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean rates (time,) and cov(f^0_s, f^l_t), shape (lag, time, time)."""
    activation = Activation.of(model)
    times, variance = len(mean), np.diag(covariance[0])
    table = ExpansionTable(times, lambda m, v, terms: activation.expand(m, v, terms, 1e-14))
    for t in range(times):
        table.set(t, mean[t], variance[t], 1e-14)
    r = covariance / np.sqrt(np.outer(variance, variance))
    a, terms = table.coefficients, len(table.coefficients)
    sums = np.zeros_like(r)
    for n in range(terms - 1, -1, -1):
        sums = sums * r + np.outer(a[n], a[n])
    sums = sums * r
    np.fill_diagonal(sums[0], table.variance)
    left = table.remainder[-1]
    largest = np.abs(r)
    np.fill_diagonal(largest[0], 0.0)
    tail = float((largest ** (terms + 1) * np.sqrt(np.outer(left, left))).max())
    require(tail < _TAIL, "gain", f"be smaller: the expectations' error must be below {_TAIL:g}", tail)
    return table.mean, sums


def _input_spectrum(model: "RateNetwork", rates: np.ndarray, products: np.ndarray, w: np.ndarray) -> np.ndarray:
    """sum_k K^k e^{-ikw} with K^k = sum_l Lambda(k, l) cov(f^0_s, f^l_t) + (sum over ALL l) E f_s E f_t."""
    kernel, whole = model.kernel, np.outer(rates, rates)
    if isinstance(kernel, TableKernel):
        above, beside = kernel.reach
        out = np.zeros((len(w), *whole.shape), np.complex128)
        for k in range(-above, above + 1):
            row = kernel.values[above + k]
            lagged = row.sum() * whole
            for l in range(-min(beside, len(products) - 1), min(beside, len(products) - 1) + 1):
                lagged = lagged + row[beside + l] * (products[l] if l >= 0 else products[-l].T)
            out += np.exp(-1j * k * w)[:, None, None] * lagged
        return out
    s2 = float(kernel.variance)
    post, pre = (float(kernel.post), float(kernel.pre)) if isinstance(kernel, SeparableKernel) else (0.0, 0.0)
    lagged = products[0] + (1.0 + pre) / (1.0 - pre) * whole
    for l in range(1, len(products)):
        lagged = lagged + pre**l * (products[l] + products[l].T)
    shape = (1.0 - post**2) / (1.0 - 2.0 * post * np.cos(w) + post**2)
    return s2 * shape[:, None, None] * lagged
