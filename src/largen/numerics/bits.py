"""Random bit rows of a given probability, and counts over many rows: 64 places at a time.

A row is the fixed random links of one source, one bit per target. Its bits come from xoshiro256++ lanes that are
seeded by (key, source): a stored row, and one made again when it is needed, are the same to the bit.

Three methods work on the 64 bits of a word side by side.

Bits of probability p: a uniform random fraction is below p if, at the first binary digit where the two differ, that
of p is 1. The digits of 64 fractions are the bits of successive random words (Knuth & Yao 1976).

Counts: the k-th binary digits of 64 counts are one word of a bit plane. A full adder turns three planes into a sum
plane (two exclusive-ors) and a carry plane; seven of them add eight rows (Warren 2013, Hacker's Delight, sec. 5-1).

Seeds: SplitMix64 (Steele, Lea & Flood 2014), whose increment is 2^64 (sqrt(5) - 1)/2, rounded to an odd integer.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import int32, int64, types, uint32, uint64
from numba.extending import intrinsic

from largen.numerics.compiled import kernel
from largen.numerics.xoshiro import LANES, next_word

EIGHT = 8
PLANES = 32
"""Bits of a count: the number of bit planes."""

_LANES = uint64(LANES)
_INCREMENT = uint64(0x9E3779B97F4A7C15)
_ALL = uint64(0xFFFFFFFFFFFFFFFF)


def fraction_bits(probability: np.ndarray) -> np.ndarray:
    """Binary digits of probabilities: round(p 2^63), uint64; p = 1 is 2^63."""
    return np.rint(np.ldexp(np.asarray(probability, dtype=np.float64), 63)).astype(np.uint64)


@kernel
def seed_row(key: np.ndarray, source: int, state: np.ndarray) -> None:
    """Seed the lanes (state, shape (4, LANES)) of one source's row; key: uint64, shape (2,)."""
    start = key[0] + uint64(source) * uint64(4 * LANES) * _INCREMENT
    for k in range(uint64(4)):
        row = state[k]
        for lane in range(_LANES):  # SplitMix64; each source has a part of its sequence to itself
            x = start + (_LANES * k + lane + uint64(1)) * _INCREMENT
            x = (x ^ (x >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
            x = (x ^ (x >> uint64(27))) * uint64(0x94D049BB133111EB)
            row[lane] = (x ^ (x >> uint64(31))) ^ key[1]


@kernel
def draw_links(state: np.ndarray, fraction: int, links: np.ndarray, undecided: np.ndarray) -> None:
    """Draw 64 LANES independent bits, each 1 with the probability of `fraction_bits`.

    All fractions are compared with p digit by digit until none is undecided: after about 11 digits.

    Args:
        state: The lanes' state, shape (4, LANES), advanced.
        fraction: p 2^63.
        links: Output, uint64, shape (LANES,).
        undecided: Workspace, uint64, shape (LANES,).
    """
    a, b, c, d = state[0], state[1], state[2], state[3]
    certain = fraction >> uint64(63)
    for lane in range(_LANES):
        links[lane] = _ALL * certain
        undecided[lane] = _ALL * (uint64(1) - certain)
    digit = uint64(62)
    open_bits = uint64(1) - certain
    while open_bits != uint64(0):
        one = uint64(0) - ((fraction >> digit) & uint64(1))  # the digit of p, in all 64 places
        open_bits = uint64(0)
        for lane in range(_LANES):
            x = next_word(a, b, c, d, lane)
            links[lane] |= undecided[lane] & ~x & one
            undecided[lane] &= ~(x ^ one)
            open_bits |= undecided[lane]
        if digit == uint64(0):
            break
        digit -= uint64(1)


@kernel
def draw_row(state: np.ndarray, edge: np.ndarray, fractions: np.ndarray, row: np.ndarray, work: np.ndarray) -> None:
    """Draw one source's row: the targets edge[a] to edge[a + 1] - 1 with probability fractions[a].

    Args:
        state: The lanes' state, from `seed_row`.
        edge: First target of each population, and the number of targets, shape (P + 1,).
        fractions: See `fraction_bits`, shape (P,).
        row: Output, one bit per target, uint64.
        work: Workspace, uint64, shape (2, LANES).
    """
    links, undecided = work[0], work[1]
    row[:] = 0
    for a in range(fractions.size):
        if fractions[a] == uint64(0):
            continue
        first, last = edge[a] >> 6, (edge[a + 1] + 63) >> 6
        head = _ALL << uint64(edge[a] & 63)
        tail = _ALL >> uint64((-edge[a + 1]) & 63)
        for start in range(first, last, LANES):
            draw_links(state, fractions[a], links, undecided)
            if start == first:
                links[0] &= head
            count = min(LANES, last - start)
            if start + count == last:
                links[count - 1] &= tail
            part = row[start : start + count]
            for i in range(uint64(count)):
                part[i] |= links[i]


def _trailing_zeros(context: Any, word: Any) -> Any:
    """Zeros below the lowest 1 of a uint64 that is not 0."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


_lowest: Any = intrinsic(_trailing_zeros)


@kernel
def places(row: np.ndarray, first: int, last: int, found: np.ndarray, start: int) -> int:
    """List the places first..last - 1 of a bit row that hold a 1.

    Args:
        row: Bits, uint64.
        first: First place.
        last: One beyond the last.
        found: Output, int32.
        start: Where in `found` the list starts.

    Returns:
        Where it ends.
    """
    count = uint64(start)
    for q in range(uint64(first >> 6), uint64((last + 63) >> 6)):
        word = row[q]
        if q == uint64(first >> 6):
            word &= _ALL << uint64(first & 63)
        if q == uint64((last - 1) >> 6):
            word &= _ALL >> uint64((-last) & 63)
        while word != uint64(0):
            found[count] = int32(uint64(q << uint64(6)) + _lowest(word))
            word &= word - uint64(1)
            count += uint64(1)
    return int64(count)  # pyright: ignore[reportReturnType]


@kernel
def _add(total: np.ndarray, x: np.ndarray, y: np.ndarray, carry: np.ndarray) -> None:
    """Full adder in the 64 places of each word: the old total + x + y = 2 carry + the new total."""
    for i in range(uint64(carry.size)):
        both = total[i] ^ x[i]
        carry[i] = (total[i] & x[i]) | (both & y[i])
        total[i] = both ^ y[i]


@kernel
def add_eight(rows: np.ndarray, eight: np.ndarray, planes: np.ndarray, depth: int, work: np.ndarray) -> None:
    """Add eight bit rows to counts held in bit planes: bit k of all counts is planes[k].

    Args:
        rows: Bit rows, uint64, shape (rows, words).
        eight: Numbers of the rows to add.
        planes: uint64, shape (PLANES, words).
        depth: Planes that the counts may reach; the others are not changed.
        work: Workspace, uint64, shape (4, words).
    """
    two_a, two_b, four, carry = work[0], work[1], work[2], work[3]
    ones, twos, fours = planes[0], planes[1], planes[2]
    _add(ones, rows[eight[0]], rows[eight[1]], two_a)
    _add(ones, rows[eight[2]], rows[eight[3]], two_b)
    _add(twos, two_a, two_b, four)
    _add(ones, rows[eight[4]], rows[eight[5]], two_a)
    _add(ones, rows[eight[6]], rows[eight[7]], two_b)
    _add(twos, two_a, two_b, carry)
    _add(fours, four, carry, two_a)
    carry, over = two_a, two_b
    for k in range(3, depth):
        plane = planes[k]
        for i in range(uint64(carry.size)):
            over[i] = plane[i] & carry[i]
            plane[i] ^= carry[i]
        carry, over = over, carry


@kernel
def expand(planes: np.ndarray, depth: int, counts: np.ndarray) -> None:
    """Write the counts held in bit planes, int32, shape (64 words,)."""
    for q in range(counts.size // 64):
        part = counts[64 * q : 64 * q + 64]
        for j in range(uint64(64)):
            part[j] = 0
        for k in range(depth):
            word, weight = planes[k, q], uint32(k)
            for j in range(uint64(64)):
                part[j] |= int32(uint32(uint32(word >> j) & uint32(1)) << weight)
