"""Random integers from a tabulated distribution, one 32-bit word each: Walker's alias method in one packed row.

Source: Walker 1977 (ACM Trans. Math. Softw. 3:253) and Vose 1991 (IEEE Trans. Softw. Eng. 17:972) for the method.

Probabilities are rounded to integer multiples of 2^-32, so that the table is exact in integers: the probability of
every value is off by 2^-33 at most (the likeliest value takes the rest). The table of a distribution is a row of 2^bits
columns, one uint32 each: the threshold in the upper 32 - bits bits, the alias in the lower ones. Of a random word the
upper bits choose the column; the lower bits are a fraction that is compared with the threshold. If it is below, the
value is the column, else the alias.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import uint32, uint64

from largen.numerics.compiled import inlined, kernel

_ONE = 2**32


class Law(NamedTuple):
    """Workspace for making distributions of a limited width, and the one made last.

    Attributes:
        pmf: Probabilities, float64, shape (width,).
        less: Probabilities of what is subtracted, float64, shape (width,).
        weight: Probabilities as integers with sum 2^32, int64, shape (width,).
        left: Weights by column, int64, shape (column,), a power of two.
        short: Columns that hold less than their share, int64, shape (column,).
        long: Columns that hold more, int64, shape (column,).
        extent: (smallest value, number of values), int64, shape (2,).
    """

    pmf: np.ndarray
    less: np.ndarray
    weight: np.ndarray
    left: np.ndarray
    short: np.ndarray
    long: np.ndarray
    extent: np.ndarray


def law(variance: float) -> Law:
    """Make a workspace for distributions whose variance is at most this one."""
    width = int(2 * _reach(variance)) + 2
    columns = 1 << bits_for(width)
    return Law(
        pmf=np.empty(width),
        less=np.empty(width),
        weight=np.empty(width, np.int64),
        left=np.empty(columns, np.int64),
        short=np.empty(columns, np.int64),
        long=np.empty(columns, np.int64),
        extent=np.zeros(2, np.int64),
    )


@inlined
def _reach(variance: float) -> int:
    """Distance from the mean beyond which the probability is below 1e-20 (Bernstein's inequality)."""
    return int(32.0 + 10.0 * np.sqrt(variance))


@kernel
def _panjer(x: Law, a: float, b: float, mode: int, top: int, variance: float) -> None:
    """Make the distribution with pmf(k + 1)/pmf(k) = a + b/(k + 1) on 0..top, from its mode outwards (Panjer)."""
    low = max(mode - _reach(variance), 0)
    high = min(mode + _reach(variance), top)
    pmf, middle = x.pmf, mode - low
    pmf[middle], total = 1.0, 1.0
    first, last = middle, middle
    while first > 0 and pmf[first] > 1e-14:
        pmf[first - 1] = pmf[first] / (a + b / (first + low))
        first -= 1
        total += pmf[first]
    while last < high - low and pmf[last] > 1e-14:
        pmf[last + 1] = pmf[last] * (a + b / (last + 1 + low))
        last += 1
        total += pmf[last]
    for j in range(last - first + 1):
        pmf[j] = pmf[first + j] / total
    x.extent[0], x.extent[1] = first + low, last - first + 1


@kernel
def binomial(x: Law, n: int, p: float) -> None:
    """Make Bin(n, p), without the values below 1e-14 of the likeliest."""
    if p >= 1.0:
        x.pmf[0] = 1.0
        x.extent[0], x.extent[1] = n, 1
        return
    odds = p / (1.0 - p)
    _panjer(x, -odds, (n + 1) * odds, min(int((n + 1) * p), n), n, n * p * (1.0 - p))


@kernel
def poisson(x: Law, mean: float) -> None:
    """Make Poisson(mean), without the values below 1e-14 of the likeliest."""
    _panjer(x, 0.0, mean, int(mean), 2**62, mean)


@kernel
def _convolve(x: Law, first_less: int, count_less: int) -> None:
    """Convolve x.pmf with x.less, which has so many values from first_less on; the result is in x.pmf."""
    first, count = x.extent[0], x.extent[1]
    for i in range(count, count + count_less - 1):
        x.pmf[i] = 0.0
    for i in range(count - 1, -1, -1):  # from above, in place, so that no entry is read after it was written
        weight, shifted = x.pmf[i], x.pmf[i:]
        shifted[0] = 0.0
        for j in range(uint64(count_less)):
            shifted[j] += weight * x.less[j]
    x.extent[0], x.extent[1] = first + first_less, count + count_less - 1


@kernel
def binomial_less_poisson(x: Law, n: int, p: float, mean: float) -> None:
    """Make the distribution of Bin(n, p) - Poisson(mean), the two independent."""
    poisson(x, mean)
    first_less, count_less = x.extent[0], x.extent[1]
    for j in range(count_less):
        x.less[count_less - 1 - j] = x.pmf[j]
    binomial(x, n, p)
    _convolve(x, -(first_less + count_less - 1), count_less)


@kernel
def nothing(x: Law) -> None:
    """Make the distribution that is 0 for certain."""
    x.pmf[0] = 1.0
    x.extent[0], x.extent[1] = 0, 1


@kernel
def _hold(x: Law) -> tuple[int, int]:
    """Put the distribution into x.less, without the values below 1e-16 at its ends; returns where it lies."""
    low, high = 0, x.extent[1]
    while high - low > 1 and x.pmf[high - 1] < 1e-16:
        high -= 1
    while high - low > 1 and x.pmf[low] < 1e-16:
        low += 1
    for j in range(low, high):
        x.less[j - low] = x.pmf[j]
    return x.extent[0] + low, high - low


@kernel
def add_binomial(x: Law, n: int, p: float) -> None:
    """Make the distribution of what it is now plus an independent Bin(n, p)."""
    first, count = _hold(x)
    binomial(x, n, p)
    _convolve(x, first, count)


@kernel
def add_poisson(x: Law, mean: float) -> None:
    """Make the distribution of what it is now plus an independent Poisson(mean)."""
    first, count = _hold(x)
    poisson(x, mean)
    _convolve(x, first, count)


@kernel
def to_integers(x: Law) -> None:
    """Round the probabilities to multiples of 2^-32, x.weight, and drop the values at the ends that become 0."""
    left, mode, count = _ONE, 0, x.extent[1]
    low, high = count, 0
    for j in range(count):
        weight = int(x.pmf[j] * _ONE + 0.5)
        x.weight[j] = weight
        left -= weight
        if x.pmf[j] > x.pmf[mode]:
            mode = j
        if weight > 0:
            low, high = min(low, j), j + 1
    x.weight[mode] += left
    for j in range(low, high):
        x.weight[j - low] = x.weight[j]
    x.extent[0] += low
    x.extent[1] = high - low


@kernel
def bits_for(columns: int) -> int:
    """Return the bits of a row with at least so many columns; 1 or more."""
    bits = 1
    while 1 << bits < columns:
        bits += 1
    return bits


@kernel
def alias_row(x: Law, row: np.ndarray) -> tuple[int, int]:
    """Fill the alias row of the distribution; returns its smallest value and its bits, 0 where that value is certain.

    Args:
        x: The distribution; what is in it is used up.
        row: Output, uint32, with room for it; a draw gives the value less the smallest.
    """
    to_integers(x)
    if x.extent[1] == 1:
        return x.extent[0], 0
    bits = bits_for(x.extent[1])
    fill_row(x, x.extent[0], row, bits)
    return x.extent[0], bits


@kernel
def fill_row(x: Law, offset: int, row: np.ndarray, bits: int) -> None:
    """Fill the alias row of a distribution after `to_integers`.

    Args:
        x: The distribution.
        offset: Value of column 0: a draw gives the value less this.
        row: Output, uint32, shape (2^bits,).
        bits: So many that all values fit.
    """
    columns, capacity = 1 << bits, _ONE >> bits
    left, shorts, longs = x.left, 0, 0
    for j in range(columns):
        left[j] = 0
    for j in range(x.extent[1]):
        left[x.extent[0] - offset + j] = x.weight[j]
    for j in range(columns):
        row[j] = j  # a full column needs no threshold: its alias is the column itself
        if left[j] < capacity:
            x.short[shorts] = j
            shorts += 1
        elif left[j] > capacity:
            x.long[longs] = j
            longs += 1
    while shorts > 0:  # in integers: while one column is short, another is long
        shorts -= 1
        j, giver = x.short[shorts], x.long[longs - 1]
        row[j] = (left[j] << bits) | giver
        left[giver] -= capacity - left[j]
        if left[giver] <= capacity:
            longs -= 1
            if left[giver] < capacity:
                x.short[shorts] = giver
                shorts += 1


@inlined
def decide(word: np.uint32, entry: np.uint32, bits: Any) -> Any:
    """Value of a draw: the column of the word, or the alias if the fraction is not below the threshold."""
    mask = uint32((uint32(1) << bits) - uint32(1))
    own = uint32(word >> uint32(uint32(32) - bits))
    return own if uint32(word << bits) < uint32(entry & ~mask) else uint32(entry & mask)


@kernel
def draw_all(
    words: np.ndarray, rows: np.ndarray, start: int, bits: int, value: np.ndarray, entry: np.ndarray, count: int
) -> None:
    """Draw value[i], i < count, all from one row.

    Args:
        words: Random words, uint32, shape (>= count,).
        rows: Alias rows, uint32.
        start: Where the row starts.
        bits: The row has 2^bits columns.
        value: Draws, int32, shape (>= count,).
        entry: Workspace, uint32, shape (>= count,). The look-ups have a loop of their own, so that the other one is
            vectorised.
        count: Number of draws.
    """
    width, origin = uint32(bits), uint64(start)
    shift = uint32(uint32(32) - width)
    for i in range(uint64(count)):
        entry[i] = rows[origin + uint32(words[i] >> shift)]
    for i in range(uint64(count)):
        value[i] = decide(words[i], entry[i], width)


@kernel
def draw_each(
    words: np.ndarray,
    which: np.ndarray,
    rows: np.ndarray,
    start: int,
    bits: int,
    value: np.ndarray,
    entry: np.ndarray,
    count: int,
) -> None:
    """Draw value[i] from row which[i] (int32) of equally long rows that lie one after another; see `draw_all`."""
    width, origin = uint32(bits), uint64(start)
    shift = uint32(uint32(32) - width)
    for i in range(uint64(count)):
        entry[i] = rows[origin + uint32((uint32(which[i]) << width) | uint32(words[i] >> shift))]
    for i in range(uint64(count)):
        value[i] = decide(words[i], entry[i], width)
