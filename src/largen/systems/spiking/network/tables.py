"""The spiking network's alias rows: releases by H, arrivals by the number of spikes.

Binomial variables of one probability add, so that a release Bin(H, q) may be drawn in parts: H = digit + 2^k high. No
normal approximation anywhere.
"""

from typing import NamedTuple

import numpy as np

from largen.numerics.alias import Law, binomial, bits_for, fill_row, law, to_integers
from largen.numerics.compiled import kernel

_MOST_DIGIT, _LEAST_DIGIT = 8, 6
_FEW, _MANY = 32, 256  # rows of the upper digit; what exceeds both digits is drawn in several parts
_MARGIN = 4
_ROOM = 2**18  # bytes for the lower digit's rows of one probability: they stay in the second cache
_ALL_ROOM = 2**26
_CACHED = 1024  # spikes in a step up to which the rows of Bin(nf, p) are kept
_CACHE_BYTES = 2**27
LONG_STEP = 0.1
"""From this dt/tau on the lifetimes of released spikes are drawn; below, they are all of the mean length. What that
leaves out of the variance of a spike's charge is (dt/tau)^2/12 of it, less than 0.1 %."""
_VARIANCE = 0.25  # per source: Bin(n, p) has n/4 at most


class Release(NamedTuple):
    """Alias rows of Bin(h, q) for each distinct probability q of a release.

    Attributes:
        low: Rows of h = 0, 1, ..., 2^digit - 1, uint32, all probabilities one after another.
        high: Rows of h = 0, 1, 2, ... times 2^digit, less `first`.
        start: Where the rows of a probability start in (low, high), shape (q, 2).
        bits: Bits of the rows of a probability in (low, high), shape (q, 2).
        digit: Shape (q,).
        first: Smallest value of each upper row, int32, shape (q, h).
    """

    low: np.ndarray
    high: np.ndarray
    start: np.ndarray
    bits: np.ndarray
    digit: np.ndarray
    first: np.ndarray


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


def release_probabilities(release: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct probabilities of a release, and for each class its position there."""
    distinct, where = np.unique(np.where(probability > 0, release, 0.0), return_inverse=True)
    return distinct, where.reshape(release.shape).astype(np.int64)


@kernel
def _columns(x: Law, h: int, q: float) -> tuple[int, int]:
    """Smallest value and number of values of a row of Bin(h, q)."""
    binomial(x, h, q)
    to_integers(x)
    return x.extent[0], x.extent[1]


def _shape(x: Law, q: float, most: int, upper: int, room: int) -> tuple[int, int, int]:
    """Return (digit, bits of a lower row, bits of an upper row) of one probability; the last row is the widest."""
    digit, bits = _LEAST_DIGIT, 0
    for digit in range(int(np.clip(bits_for(most), _LEAST_DIGIT, _MOST_DIGIT)), _LEAST_DIGIT - 1, -1):
        bits = bits_for(sum(_columns(x, (1 << digit) - 1, q)))
        if 4 << (digit + bits) <= room:
            break
    return digit, bits, bits_for(_columns(x, (upper - 1) << digit, q)[1] + _MARGIN)


@kernel
def _fill_release(x: Law, q: float, digit: int, bits: int, upper: int, low, high, first) -> None:
    for h in range(1 << digit):
        binomial(x, h, q)
        to_integers(x)
        fill_row(x, 0, low[h << bits :], bits)
    for h in range(first.size):
        binomial(x, h << digit, q)
        to_integers(x)
        first[h] = x.extent[0]
        fill_row(x, x.extent[0], high[h << upper :], upper)


def _entries(probabilities: int) -> int:
    return int(min(_ROOM, _ALL_ROOM / max(probabilities, 1)))


def _upper(most: int) -> int:
    """Number of rows of the upper digit."""
    return _FEW if most <= _FEW << _MOST_DIGIT else _MANY


def release_bytes(probabilities: np.ndarray, most: int) -> float:
    """Memory that `release_rows` takes, in bytes, at most."""
    upper = _upper(most)
    widest = 64 + 13 * np.sqrt(0.25 * upper * 2**_MOST_DIGIT)
    return len(probabilities) * (max(_entries(len(probabilities)), 2**16) + 8.0 * upper * widest)


def release_rows(probabilities: np.ndarray, most: int) -> Release:
    """Tabulate Bin(h, q) for a few q, shape (q,); `most`: counts up to which few draws should do."""
    count, rows = len(probabilities), _upper(most)
    x = law(0.25 * rows * 2**_MOST_DIGIT)
    shapes = [_shape(x, q, most, rows, _entries(count)) for q in probabilities.tolist()]
    shapes = np.array(shapes, dtype=np.int64).reshape(-1, 3)
    digit, bits, upper = (np.array(column) for column in shapes.T)
    sizes = np.stack([1 << (digit + bits), rows << upper], axis=1)
    start = np.cumsum(sizes, axis=0) - sizes
    low, high = (np.empty(int(sizes[:, k].sum()), np.uint32) for k in range(2))
    first = np.empty((count, rows), np.int32)
    for r, q in enumerate(probabilities.tolist()):
        _fill_release(x, q, *shapes[r].tolist(), low[start[r, 0] :], high[start[r, 1] :], first[r])
    return Release(low, high, start, np.stack([bits, upper], axis=1), digit, first)


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
        law=law(_VARIANCE * float(np.max(size))),
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
def make_arrivals(arrivals: Arrivals, a: int, b: int, nf: int) -> tuple[int, int, int]:
    """Make the row of Bin(nf, p_ab), nf spikes of source b for target a, unless it is kept.

    Returns:
        Smallest value, bits of the row and where it starts; no bits where this value is certain.
    """
    q, count, x = arrivals.which[a, b], arrivals.bits.shape[1], arrivals.law
    keep = nf < count
    start = (q * count + nf) << arrivals.kept if keep else arrivals.rows.size - ((b + 1) << arrivals.own)
    if keep and arrivals.bits[q, nf] > 0:
        return arrivals.first[q, nf], arrivals.bits[q, nf], start
    binomial(x, nf, arrivals.probability[q])
    to_integers(x)
    if x.extent[1] == 1:
        return x.extent[0], 0, start
    bits = bits_for(x.extent[1])
    fill_row(x, x.extent[0], arrivals.rows[start:], bits)
    if keep:
        arrivals.first[q, nf], arrivals.bits[q, nf] = x.extent[0], bits
    return x.extent[0], bits, start
