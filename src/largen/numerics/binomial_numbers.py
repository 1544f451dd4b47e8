"""Binomial random numbers, exact, in code that compiles quickly (Numba needs seconds for `Generator.binomial`).

Source: Hörmann 1993, The generation of binomial random variates (J. Stat. Comput. Simul. 46:101), algorithm BTRS;
below a mean of 10 inversion.
"""

import math
from typing import Any

from largen.numerics.compiled import part


@part
def _inverted(rng: Any, n: float, p: float) -> float:
    """Inversion: sum the probabilities up to a uniform number; for a mean below 10 nothing is left beyond 110."""
    odds, probability = p / (1.0 - p), math.exp(n * math.log1p(-p))
    u, k = rng.random(), 0.0
    while u > probability and k < min(n, 110.0):
        u -= probability
        k += 1.0
        probability *= (n - k + 1.0) / k * odds
    return k


@part
def _log_weight(n: float, k: float) -> float:
    return -math.lgamma(k + 1.0) - math.lgamma(n - k + 1.0)


@part
def _rejected(rng: Any, n: float, p: float) -> float:
    """Transformed rejection with squeeze, for p <= 1/2 and n p >= 10."""
    spread = math.sqrt(n * p * (1.0 - p))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    alpha = (2.83 + 5.1 / b) * spread
    mode = math.floor((n + 1.0) * p)
    while True:
        u, v = rng.random() - 0.5, rng.random()
        inner = 0.5 - abs(u)
        k = math.floor((2.0 * a / inner + b) * u + n * p + 0.5) if inner > 0.0 else -1.0
        if inner >= 0.07 and v <= 0.92 - 4.2 / b:
            return k
        if 0.0 <= k <= n:
            height = math.log(v * alpha / (a / (inner * inner) + b)) if v > 0.0 else -math.inf
            if height <= _log_weight(n, k) - _log_weight(n, mode) + (k - mode) * math.log(p / (1.0 - p)):
                return k


@part
def binomial(rng: Any, n: float, p: float) -> float:
    """Draw from Bin(n, p).

    Args:
        rng: numpy.random.Generator.
        n: An integer, as float64.
        p: In [0, 1].
    """
    if not (n > 0.0 and p > 0.0):  # also where p is NaN
        return 0.0
    if p >= 1.0:
        return n
    less = min(p, 1.0 - p)
    k = _inverted(rng, n, less) if n * less < 10.0 else _rejected(rng, n, less)
    return k if p <= 0.5 else n - k
