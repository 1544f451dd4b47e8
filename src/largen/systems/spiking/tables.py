"""Exact draws from discrete laws by inverse CDF: the tables of the spiking network.

Binomial and Poisson laws obey Panjer's recursion, pmf(k + 1)/pmf(k) = a + b/(k + 1), so that a law is
tabulated from its mode outwards without one special function. A table ends where the pmf falls below 1e-20 of
its largest value, less than the resolution 2^-53 of the uniform number that is looked up: no normal
approximation anywhere.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

GUIDES = 64  # slots of the guide that says where a look-up starts
DIGITS = 256  # rows per level of `poisson_rows`


class Rows(NamedTuple):
    """Inverse CDFs of several laws on the whole numbers, one after another.

    Attributes:
        first: Smallest value of each law, shape (row,), int64.
        start: Where the CDF of each law starts in `cdf`, shape (row,), int64.
        guide: Where in its CDF a look-up of u in [g, g + 1)/GUIDES starts, shape (row, GUIDES), int32.
        cdf: P(X <= first + k) for all laws, flat.
    """

    first: np.ndarray
    start: np.ndarray
    guide: np.ndarray
    cdf: np.ndarray


@njit(cache=True, error_model="numpy")
def _tabulate(a: float, b: float, mode: int, top: int, variance: float) -> tuple[int, np.ndarray]:
    """Tabulate the law with pmf(k + 1)/pmf(k) = a + b/(k + 1) on 0..top; returns (first, cdf)."""
    # Bernstein: beyond 32 + 10 standard deviations from the mode less than 1e-20 is left.
    reach = int(32.0 + 10.0 * np.sqrt(variance))
    low = max(mode - reach, 0)
    high = min(mode + reach, top)
    weight = np.empty(high - low + 1)
    weight[mode - low] = 1.0
    first, last = mode, mode
    while first > low and weight[first - low] > 1e-20:
        weight[first - 1 - low] = weight[first - low] / (a + b / first)
        first -= 1
    while last < high and weight[last - low] > 1e-20:
        weight[last + 1 - low] = weight[last - low] * (a + b / (last + 1))
        last += 1
    cdf = np.cumsum(weight[first - low : last - low + 1])
    cdf /= cdf[-1]
    return first, cdf


@njit(cache=True, error_model="numpy")
def binomial(n: int, p: float) -> tuple[int, np.ndarray]:
    """Smallest value and CDF of Bin(n, p), 0 < p < 1."""
    odds = p / (1.0 - p)
    return _tabulate(-odds, (n + 1) * odds, min(int((n + 1) * p), n), n, n * p * (1.0 - p))


@njit(cache=True, error_model="numpy")
def poisson(mean: float) -> tuple[int, np.ndarray]:
    """Smallest value and CDF of Poisson(mean)."""
    return _tabulate(0.0, mean, int(mean), 2**62, mean)


@njit(cache=True, error_model="numpy")
def guide_into(cdf: np.ndarray, guide: np.ndarray) -> None:
    """Fill guide[g] with the smallest k such that cdf[k] > g/len(guide)."""
    k = 0
    for g in range(guide.size):
        while cdf[k] * guide.size <= g:
            k += 1
        guide[g] = k


@njit(cache=True, error_model="numpy")
def look_up(u: float, cdf: np.ndarray, guide: np.ndarray) -> int:
    """Smallest k with cdf[k] > u, for u in [0, 1)."""
    k = guide[int(u * GUIDES)]
    while cdf[k] <= u:
        k += 1
    return k


@njit(cache=True, error_model="numpy")
def _poisson_rows(rates: np.ndarray) -> Rows:
    count = rates.size * 2 * DIGITS
    first = np.empty(count, np.int64)
    start = np.empty(count, np.int64)
    guide = np.empty((count, GUIDES), np.int32)
    cdfs = []
    size = 0
    for row in range(count):
        level, digit = divmod(row % (2 * DIGITS), DIGITS)
        first[row], cdf = poisson(rates[row // (2 * DIGITS)] * digit * DIGITS**level)
        guide_into(cdf, guide[row])
        start[row] = size
        size += cdf.size
        cdfs.append(cdf)
    flat = np.empty(size)
    for row in range(count):
        flat[start[row] : start[row] + cdfs[row].size] = cdfs[row]
    return Rows(first, start, guide, flat)


def poisson_rows_bytes(rates: np.ndarray) -> float:
    """Memory that `poisson_rows` takes at most, in bytes: the CDFs twice while they are put together."""
    widest = 64.0 + 20.0 * np.sqrt(np.asarray(rates) * DIGITS * DIGITS)
    return float(np.sum(2 * DIGITS * (8.0 * widest + 4.0 * GUIDES + 64.0)))


def poisson_rows(rates: np.ndarray) -> Rows:
    """Tabulate Poisson(h * rate) for every whole h < DIGITS^2 and each of a few rates.

    Row (2 r + l) DIGITS + d is the law of Poisson(rates[r] * DIGITS^l * d), for the levels l = 0 and 1 and
    the digits d < DIGITS. With h = DIGITS a + b the sum of a draw from row a of level 1 and one from row b of
    level 0 is Poisson(h * rate), exactly, because Poisson variables add.
    """
    return _poisson_rows(np.array(rates, dtype=np.float64))


@njit(cache=True, error_model="numpy")
def look_up_row(u: float, row: int, rows: Rows) -> int:
    """Value of law `row` at u in [0, 1): the smallest x with P(X <= x) > u."""
    k = rows.start[row] + rows.guide[row, int(u * GUIDES)]
    while rows.cdf[k] <= u:
        k += 1
    return rows.first[row] + k - rows.start[row]
