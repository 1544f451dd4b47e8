"""Do Markov chains agree, and how many independent draws are they worth?

Source: Vehtari, Gelman, Simpson, Carpenter & Bürkner, Bayesian Analysis 16 (2021) 667.
"""

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata


def split(draws: np.ndarray) -> np.ndarray:
    """Every chain as two halves, shape (2 chain, draw // 2); of an odd number the middle draw is left out."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, draws.shape[1] - half :]])


def normal_scores(draws: np.ndarray) -> np.ndarray:
    """Draws replaced by the normal quantiles of their ranks over all chains (eq. 14)."""
    ranks = rankdata(draws, method="average").reshape(draws.shape)
    return ndtri((ranks - 0.375) / (draws.size + 0.25))


def r_hat(draws: np.ndarray) -> float:
    """The larger of the rank-normalised split r-hats of the draws and of their distance from the median.

    Args:
        draws: Shape (chain, draw).
    """
    halves = split(draws)
    folded = np.abs(halves - np.median(halves))
    return max(_r_hat(normal_scores(halves)), _r_hat(normal_scores(folded)))


def _r_hat(chains: np.ndarray) -> float:
    """Eqs. 1 to 4."""
    count = chains.shape[1]
    within = chains.var(1, ddof=1).mean()
    between = count * chains.mean(1).var(ddof=1)
    return float(np.sqrt((count - 1) / count + between / (count * within))) if within > 0 else np.inf


def effective_draws(draws: np.ndarray) -> float:
    """Independent draws that estimate the mean as well: of rank-normalised halves ("bulk", eqs. 10 to 13).

    Args:
        draws: Shape (chain, draw).
    """
    chains = normal_scores(split(draws))
    number, count = chains.shape
    centred = chains - chains.mean(1, keepdims=True)
    padded = np.fft.rfft(centred, 2 * count, axis=1)
    covariance = np.fft.irfft(padded * padded.conj(), axis=1)[:, :count] / count
    within = covariance[:, 0].mean() * count / (count - 1)
    total = within * (count - 1) / count + (chains.mean(1).var(ddof=1) if number > 1 else 0.0)
    if not total > 0:
        return np.nan
    correlation = 1.0 - (within - covariance.mean(0) * count / (count - 1)) / total
    correlation[0] = 1.0
    pairs = correlation[: count // 2 * 2].reshape(-1, 2).sum(1)
    first_negative = np.flatnonzero(pairs < 0)
    pairs = np.minimum.accumulate(pairs[: first_negative[0] if len(first_negative) else None])
    time = max(-1.0 + 2.0 * pairs.sum(), 1.0 / np.log10(number * count))
    return float(number * count / time)
