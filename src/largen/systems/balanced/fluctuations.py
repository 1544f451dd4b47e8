"""Fluctuations of population means and variances: linear noise about the finite-size stationary state.

The empirical law of a population is expanded in Hermite modes c_j = K^(j/2) mean He_j((Z - v)/sqrt(K)), j = 1, 2, ...:
c_1 = M - v, c_2 = V - K. They decay at rate j/tau, the inputs of modes 1 and 2 respond to all modes through the mean
intensity, and the jumps give independent noise (eq. B13 of docs/balanced.md):

    dc_j = (-j c_j/tau + [j = 1] sqrt(n) A df + [j = 2] (q alpha^2) df) dt + noise,
    df_b = sum_j (d^jF_b/dv^j) c_j/j!.

Derived there (not in MacLaurin & Vilanova 2024).
"""

from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
import scipy.linalg

from largen.checks import LimitError, integer
from largen.numerics.gaussian import hermite_coefficients
from largen.systems.balanced import manifold, stationary

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork


class Fluctuations(NamedTuple):
    """Stationary covariances at n neurons in all, over realisations; N_a is the size of population a.

    Attributes:
        mean: Stationary v of the finite-size equations, shape (P,).
        variance: Stationary K, shape (P,).
        sizes: N_a, shape (P,).
        mean_covariance: Covariance of the population means M, shape (P, P).
        variance_covariance: Covariance of the population variances V, shape (P, P).
        mean_variance_covariance: Covariance of M_a (rows) with V_b (columns), shape (P, P).
        pair_correlation: Correlation of two different neurons of populations a and b, shape (P, P).
        eigenvalues: Of the linear drift of all modes, shape (P modes,).
    """

    mean: np.ndarray
    variance: np.ndarray
    sizes: np.ndarray
    mean_covariance: np.ndarray
    variance_covariance: np.ndarray
    mean_variance_covariance: np.ndarray
    pair_correlation: np.ndarray
    eigenvalues: np.ndarray


def linear_noise(model: "BalancedNetwork", n: int, modes: int = 20) -> Fluctuations:
    """Linear-noise covariances about the stable stationary state at n neurons in all.

    Args:
        model: A BalancedNetwork with independent synapses, constant drive and input.
        n: Total number of neurons.
        modes: Number of Hermite modes of each population; 2 alone may be wrong by 28 %.

    Raises:
        LimitError: No stationary state at this n is stable, or several are.
    """
    modes = integer("modes", modes, low=2)
    states = stationary.finite_fixed_points(model, n)
    stable = np.flatnonzero(states.stable)
    if len(stable) != 1:
        raise LimitError(
            f"Linear noise needs one stable stationary state, but at n = {n} there are {len(stable)} "
            f"(of {len(states.stable)} found). An oscillating or bistable network has no small fluctuations."
        )
    v, k = states.mean[stable[0]], states.variance[stable[0]]
    sizes = model.sizes(n)
    drift, noise = _drift_and_noise(model, v, k, sizes, modes)
    covariance = scipy.linalg.solve_continuous_lyapunov(drift, -np.diag(noise))
    count = len(sizes)
    # Modes are scaled by sqrt(K^j j!), so that all are of one size.
    scale_mean, scale_variance = np.sqrt(k), np.sqrt(2.0) * k
    blocks = covariance.reshape(count, modes, count, modes)
    mean = blocks[:, 0, :, 0] * np.outer(scale_mean, scale_mean)
    return Fluctuations(
        v,
        k,
        sizes,
        mean,
        blocks[:, 1, :, 1] * np.outer(scale_variance, scale_variance),
        blocks[:, 0, :, 1] * np.outer(scale_mean, scale_variance),
        pair_correlation(mean, k, sizes),
        np.linalg.eigvals(drift),
    )


def pair_correlation(mean_covariance: np.ndarray, variance: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Correlation of two different neurons from the covariance of population means.

    In a population whose neurons have covariance C and within-population variance K, N Var(M) = K + N C (eq. B14).
    """
    covariance = mean_covariance - np.diag(variance / sizes)
    total = variance + np.diag(covariance)
    return covariance / np.sqrt(np.outer(total, total))


def _drift_and_noise(
    model: "BalancedNetwork", v: np.ndarray, k: np.ndarray, sizes: np.ndarray, modes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Drift matrix and noise intensities of the scaled modes e_j = c_j/sqrt(K^j j!), ordered by population."""
    count = len(sizes)
    n = float(np.mean(sizes))
    tau = np.broadcast_to(model.tau, (count,))
    share = sizes / n
    first = model.coupling * model.sign * share
    second = model.coupling**2 * share
    with jax.enable_x64(True):
        nodes = manifold.structure(model).nodes
        # (d^j F_b/dv^j) c_j/j! = E[f He_j]/sqrt(j!) e_j by Stein's identity.
        coefficients = [
            hermite_coefficients(gain, float(v[b]), float(k[b]), nodes, modes) for b, gain in enumerate(model.gain)
        ]
    response = np.array([c[1:] for c in coefficients])
    rate = np.array([c[0] for c in coefficients])
    power = second @ rate + np.broadcast_to(model.noise, (count,)) ** 2
    order = np.arange(1, modes + 1)
    drift = np.zeros((count, modes, count, modes))
    for a in range(count):
        drift[a, :, a, :] = np.diag(-order / tau[a])
        drift[a, 0] += np.sqrt(n) * first[a][:, None] * response / np.sqrt(k[a])
        drift[a, 1] += second[a][:, None] * response / (np.sqrt(2.0) * k[a])
    # j^2 (j-1)! K^(j-1) power/N_a, divided by K^j j!.
    noise = order[None, :] * (power / (k * sizes))[:, None]
    return drift.reshape(count * modes, count * modes), noise.ravel()
