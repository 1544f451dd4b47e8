"""The spiking network's alias rows: releases by H, arrivals by the number of spikes.

Poisson variables add, so that a release Poisson(H dt/tau) may be drawn in parts: H = digit + 2^k high, and
everything below `base`, a number of pending spikes that all neurons of a population have, is released in one draw
with the arrivals: Bin(nf, p) - Poisson(base dt/tau) is one law for the population. No normal approximation anywhere.
"""

from typing import NamedTuple

import numpy as np

from largen.numerics.alias import Law, binomial, binomial_less_poisson, bits_for, fill_row, law, poisson, to_integers
from largen.numerics.compiled import kernel

HIGH = 32  # rows of the upper digit; what exceeds both digits is drawn in several parts
NEVER = 2**40
CERTAIN = 25.0  # at dt/tau = 25 a pending spike stays with probability 1e-11, below the resolution of a draw
_MOST_DIGIT, _LEAST_DIGIT = 10, 4
_ROOM = 2**18  # bytes for the lower digit's rows of one rate: they stay in the second cache
_ALL_ROOM = 2**26
_CACHED = 1024  # spikes in a step up to which the rows of Bin(nf, p) are kept
_CACHE_BYTES = 2**27
_VARIANCE = 1.25  # per source: Bin(n, p) has n/4 at most, and a release with mean n is subtracted at most


class Release(NamedTuple):
    """Alias rows of Poisson(h dt/tau) for each distinct dt/tau.

    Attributes:
        low: Rows of h = 0, 1, ..., 2^digit - 1, uint32, all rates one after another.
        high: Rows of h = 0, 1, ..., HIGH - 1 times 2^digit, less `first`.
        start: Where a rate's rows start in (low, high), shape (rate, 2).
        bits: Bits of a rate's rows in (low, high), shape (rate, 2).
        digit: Shape (rate,).
        first: Smallest value of each upper row, int32, shape (rate, HIGH).
        safe: From this H on no draw exceeds H, shape (rate,).
    """

    low: np.ndarray
    high: np.ndarray
    start: np.ndarray
    bits: np.ndarray
    digit: np.ndarray
    first: np.ndarray
    safe: np.ndarray


class Arrivals(NamedTuple):
    """Alias rows of what a population gets in one step.

    Attributes:
        probability: The distinct p, shape (q,).
        which: Position of p_ab there, [target][source].
        rows: First the rows of Bin(nf, p), made when they are first needed, 2^kept columns each; then one row of
            2^own columns per source for what is needed in this step only; uint32.
        bits: Bits in use of the kept rows, 0 where not yet made, shape (q, nf), int32.
        first: Smallest value of the kept rows, shape (q, nf), int32.
        kept: See `rows`.
        own: See `rows`.
        law: Room for making a row.
    """

    probability: np.ndarray
    which: np.ndarray
    rows: np.ndarray
    bits: np.ndarray
    first: np.ndarray
    kept: int
    own: int
    law: Law


@kernel
def _columns(x: Law, mean: float) -> tuple[int, int]:
    """Make integers of Poisson(mean); returns the number of its values and one more than the largest."""
    poisson(x, mean)
    to_integers(x)
    return x.extent[1], x.extent[0] + x.extent[1]


def _shape(x: Law, rate: float, room: int) -> tuple[int, int, int, int]:
    """Return (digit, bits of a lower row, bits of an upper row, safe H) of one rate."""
    digit, bits = _LEAST_DIGIT, 0
    for digit in range(_MOST_DIGIT, _LEAST_DIGIT - 1, -1):
        bits = bits_for(_columns(x, rate * ((1 << digit) - 1))[1])
        if 4 << (digit + bits) <= room:
            break
    upper = bits_for(_columns(x, rate * ((HIGH - 1) << digit))[0])
    safe = next((h for h in (1 << np.arange(_MOST_DIGIT + 1)).tolist() if _columns(x, rate * h)[1] <= h + 1), NEVER)
    return digit, bits, upper, safe


@kernel
def _fill_release(
    x: Law, rate: float, digit: int, bits: int, upper: int, low: np.ndarray, high: np.ndarray, first
) -> None:
    for h in range(1 << digit):
        poisson(x, rate * h)
        to_integers(x)
        fill_row(x, 0, low[h << bits :], bits)
    for h in range(HIGH):
        poisson(x, rate * (h << digit))
        to_integers(x)
        first[h] = x.extent[0]
        fill_row(x, x.extent[0], high[h << upper :], upper)


def release_bytes(rates: np.ndarray) -> float:
    """Memory that `release_rows` takes, in bytes, at most."""
    most = HIGH * float(np.max(np.minimum(rates, CERTAIN), initial=0.0)) * 2**_MOST_DIGIT
    return len(rates) * (
        max(min(_ROOM, _ALL_ROOM / max(len(rates), 1)), 2**16) + 4.0 * HIGH * (64 + 26 * np.sqrt(most))
    )


def release_rows(rates: np.ndarray) -> Release:
    """Tabulate Poisson(h * rate) for a few rates, shape (rate,)."""
    rates = np.minimum(rates, CERTAIN)
    room = int(min(_ROOM, _ALL_ROOM / max(len(rates), 1)))
    x = law(HIGH * 2**_MOST_DIGIT * float(np.max(rates, initial=0.0)))
    shapes = np.array([_shape(x, rate, room) for rate in rates.tolist()], dtype=np.int64).reshape(-1, 4)
    digit, bits, upper, safe = (np.array(column) for column in shapes.T)
    sizes = np.stack([1 << (digit + bits), HIGH << upper], axis=1)
    start = np.cumsum(sizes, axis=0) - sizes
    low, high = (np.empty(int(sizes[:, k].sum()), np.uint32) for k in range(2))
    first = np.empty((len(rates), HIGH), np.int32)
    for r, rate in enumerate(rates.tolist()):
        _fill_release(x, rate, *shapes[r, :3].tolist(), low[start[r, 0] :], high[start[r, 1] :], first[r])
    return Release(low, high, start, np.stack([bits, upper], axis=1), digit, first, safe)


def arrival_rows(size: np.ndarray, probability: np.ndarray) -> Arrivals:
    """Make room for the rows of Bin(nf, p): sizes of the populations, p [target][source]."""
    distinct, which = np.unique(probability, return_inverse=True)
    cached, kept, own = _capacity(size, len(distinct))
    return Arrivals(
        probability=distinct,
        which=which.reshape(probability.shape).astype(np.int64),
        rows=np.empty((len(distinct) * cached << kept) + (len(size) << own), np.uint32),
        bits=np.zeros((len(distinct), cached), np.int32),
        first=np.zeros((len(distinct), cached), np.int32),
        kept=kept,
        own=own,
        law=law(2.0 * _VARIANCE * float(np.max(size))),
    )


def arrival_bytes(size: np.ndarray, probability: np.ndarray) -> float:
    """Memory that `arrival_rows` takes, in bytes, with what making the largest row takes."""
    distinct = len(np.unique(probability))
    cached, kept, own = _capacity(size, distinct)
    return 4.0 * (distinct * cached << kept) + (4.0 * len(size) + 96.0) * (1 << own)


def _capacity(size: np.ndarray, distinct: int) -> tuple[int, int, int]:
    """Spike counts whose rows are kept, bits of a kept row and of another one."""
    most = int(np.max(size))
    cached = min(most, _CACHED) + 1
    kept = bits_for(int(16 + 13 * np.sqrt(0.25 * cached)))
    if 4.0 * (distinct * cached << kept) > _CACHE_BYTES:
        cached = 1
    return cached, kept, bits_for(int(64 + 13 * np.sqrt(_VARIANCE * most)))


@kernel
def make_arrivals(arrivals: Arrivals, a: int, b: int, nf: int, less: float) -> tuple[int, int, int]:
    """Make the row of Bin(nf, p_ab) - Poisson(less), unless it is kept.

    Args:
        arrivals: The rows.
        a: The target.
        b: The source.
        nf: Spikes of the source.
        less: Mean of what is released of the base, 0 if none.

    Returns:
        Smallest value, bits of the row and where it starts; no bits where this value is certain.
    """
    q, count, x = arrivals.which[a, b], arrivals.bits.shape[1], arrivals.law
    keep = less == 0.0 and nf < count
    start = (q * count + nf) << arrivals.kept if keep else arrivals.rows.size - ((b + 1) << arrivals.own)
    if keep and arrivals.bits[q, nf] > 0:
        return arrivals.first[q, nf], arrivals.bits[q, nf], start
    if less > 0.0:
        binomial_less_poisson(x, nf, arrivals.probability[q], less)
    else:
        binomial(x, nf, arrivals.probability[q])
    to_integers(x)
    if x.extent[1] == 1:
        return x.extent[0], 0, start
    bits = bits_for(x.extent[1])
    fill_row(x, x.extent[0], arrivals.rows[start:], bits)
    if keep:
        arrivals.first[q, nf], arrivals.bits[q, nf] = x.extent[0], bits
    return x.extent[0], bits, start
