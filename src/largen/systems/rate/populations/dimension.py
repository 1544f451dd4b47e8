"""Dimension of the activity: the participation ratio of the covariance matrix of rates, by the two-site cavity.

With S_a(w) = E phi_a'/(1/tau_a + iw) and C_a(w) the transform of the dynamic covariance of rates (eq. P21)

    PR/N -> [sum_a f_a C_a(tau = 0)]^2 / int int dw1 dw2/(2 pi)^2 sum_c f_c^-1 C_c(w1) C_c(w2) |(f^T T)_c|^2,
    T = (1 - diag(S_a(w1) S_a(w2)) [g_ab^2])^-1.

Source: Clark, Abbott & Litwin-Kumar 2023 (Phys. Rev. Lett. 131:118401) for one population.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import fft

from largen.checks import InputError, LimitError
from largen.runtime.memory import require_memory
from largen.systems.rate.populations import stationary

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations

_FROZEN = 1e-8  # static share of the variance that does not count
_DECAY = 25.0  # time constants of the slowest pair of modes in the window
_SMALL = 1e-11  # spectral density, relative to its maximum, beyond which frequencies are left out
_MOST = 20_000  # frequencies


class Dimension(NamedTuple):
    """The dimension.

    Attributes:
        rates: Of the rates, PR/N.
        states: Of the states, for one population; else NaN.
    """

    rates: float
    states: float


def solve(model: "RatePopulations", *, start: Any = None, rtol: float = 1e-8) -> Dimension:
    """Find the dimension in the stationary regime.

    Raises:
        InputError: Discrete time, noise, or correlated weights: not derived or not verified.
        LimitError: A static state, or a frozen part of the activity.
    """
    if model.dynamics == "discrete":
        raise InputError(
            "Argument `dynamics` must be 'continuous' for the dimension: in discrete time it is unverified."
        )
    if np.any(np.asarray(model.noise)):
        raise InputError("Argument `noise` must be 0 for the dimension: with noise it is not verified.")
    regime = stationary.solve(model, start=start, rtol=rtol)
    numbers = regime.sweep.still.numbers
    if not numbers.independent:
        raise InputError(
            "Argument `kernels` must be independent weights for the dimension: it is not derived for others."
        )
    if regime.static:
        raise LimitError("The activity is static: it has no dimension.")
    if np.any(regime.frozen() > _FROZEN * regime.covariance()[:, 0]):
        raise LimitError(
            "The activity has a frozen part (means, thresholds or a latent variable): its dimension is not verified. "
            "Take a model without mean weights, thresholds and low rank, or a symmetric start."
        )
    return of_regime(regime)


def of_regime(regime: stationary.Stationary) -> Dimension:
    """The dimension from the covariances of a regime without frozen part."""
    still, law = regime.sweep.still, regime.law
    numbers, step = still.numbers, regime.sweep.step
    laws = regime.sweep.laws(law, still.own(still.filtered(law.latent)))
    states = regime.covariance()
    correlations = [one.correlations(row) for one, row in zip(laws, states, strict=True)]
    for r in correlations:
        r[0] = 1.0
    rates = np.array([one.pairs(r) for one, r in zip(laws, correlations, strict=True)])
    slopes = np.array([one.slope for one in laws])
    gain = numbers.variances * (slopes * numbers.decay)[:, None] * (slopes * numbers.decay)[:, None]
    slack = 1.0 - float(np.abs(np.linalg.eigvals(gain)).max())
    if slack <= 1e-6:
        raise LimitError("The dimension vanishes: the activity is at the onset of chaos. Go further from it.")
    window = _DECAY * float(numbers.decay.max()) / (2.0 * slack)
    count = max(regime.sweep.count, math.ceil(window / step))
    frequency = np.pi * np.arange(count + 1) / (count * step)
    spectra = np.array([_spectrum(row, count, step) for row in rates])
    kept = np.flatnonzero(np.any(spectra > _SMALL * spectra.max(axis=1, keepdims=True), axis=0))[-1] + 1
    if kept > _MOST:
        raise LimitError("The activity is too near to the onset of chaos for its dimension. Go further from it.")
    frequency, spectra = frequency[:kept], spectra[:, :kept]
    width = float(frequency[1])
    shares = numbers.fractions
    response = slopes[:, None] / (1.0 / numbers.decay[:, None] + 1j * frequency)
    whole = _pairs(response, spectra, numbers.variances, shares, width)
    dimension = float((shares @ rates[:, 0]) ** 2 / whole)
    if len(shares) > 1:
        return Dimension(dimension, math.nan)
    spectrum = _spectrum(states[0], count, step)[:kept]
    return Dimension(
        dimension, float(states[0, 0] ** 2 / _states(response[0], spectrum, numbers.variances[0, 0], width))
    )


def _spectrum(covariance: np.ndarray, count: int, step: float) -> np.ndarray:
    """Transform of an even covariance, zero beyond its window, shape (count + 1,)."""
    padded = np.zeros(count + 1)
    padded[: len(covariance)] = covariance
    return step * np.asarray(fft.dct(padded, type=1))


def _pairs(response: np.ndarray, spectra: np.ndarray, variance: np.ndarray, shares: np.ndarray, width: float) -> float:
    """The double integral of the rates; T depends on S_a(w1) S_a(w2) alone."""
    populations = len(shares)

    def density(pair: np.ndarray) -> np.ndarray:
        if populations == 1:
            return np.abs(shares[0] / (1.0 - variance[0, 0] * pair)) ** 2
        matrix = np.eye(populations) - np.einsum("aij,ab->ijba", pair, variance)  # its transpose
        right = np.broadcast_to(shares[:, None], (*matrix.shape[:-1], 1))
        return np.abs(np.linalg.solve(matrix, right)[..., 0].transpose(2, 0, 1)) ** 2

    return float(np.sum(_integrals(density, response, spectra, width) / shares))


def _states(response: np.ndarray, spectrum: np.ndarray, variance: float, width: float) -> float:
    """The same for the states of one population: C C (2 - |s|^2)/|1 - s|^2."""

    def density(pair: np.ndarray) -> np.ndarray:
        return (2.0 - np.abs(variance * pair) ** 2) / np.abs(1.0 - variance * pair) ** 2

    return float(_integrals(density, response[None], spectrum[None], width)[0])


def _integrals(
    density: Callable[[np.ndarray], np.ndarray], response: np.ndarray, spectra: np.ndarray, width: float
) -> np.ndarray:
    """The integrals of C_c(w1) C_c(w2) density_c(S(w1) S(w2)) over dw1 dw2/(2 pi)^2, shape (c,).

    The density is the same when w1 and w2 are exchanged, or both change their signs: sums are over w2 >= w1 >= 0, with
    w2 of both signs.
    """
    populations, count = spectra.shape
    rows = max(1, 2**19 // (count * populations**2))
    require_memory(16.0 * 4.0 * rows * count * populations**2, "The pairs of frequencies of the dimension", "")
    whole = np.zeros(populations)
    weighted = spectra * np.where(np.arange(count) > 0, 2.0, 1.0)  # w and -w
    for start in range(0, count, rows):
        stop = min(start + rows, count)
        later = 0.5 * weighted[:, start:]  # w2 and -w2 come one by one
        later[:, stop - start :] *= 2.0  # w2 > w1, and the other way round
        for other in (response, response.conj()):
            found = density(response[:, start:stop, None] * other[:, None, start:])
            whole += np.einsum("cij,ci,cj->c", found, weighted[:, start:stop], later, optimize=True)
    return whole * (width / (2.0 * np.pi)) ** 2
