"""Random words from 16 xoshiro256++ generators side by side, at the speed of vector instructions.

Source: Blackman & Vigna 2021, Scrambled linear pseudorandom number generators (ACM Trans. Math. Softw. 47:36):
xoshiro256++, period 2^256 - 1. Each generator is a lane; the lanes advance together, so that one step of all of them
is a few vector instructions, and the words are the same on every machine.
"""

import numpy as np
from numba import uint64

from largen.numerics.compiled import inlined, kernel

LANES = 16
WORDS = 2 * LANES
"""32-bit words that one step of all lanes gives."""

_LANES = uint64(LANES)


def lanes(rng: np.random.Generator) -> np.ndarray:
    """Return the state of the lanes of one named stream, shape (4, LANES), uint64.

    The lanes are seeded by a child of the generator's seed sequence: they are independent of what the generator
    itself draws, and a second call gives other lanes, as `rng.spawn` would.

    Args:
        rng: The generator of the stream; its own draws are not changed.
    """
    (child,) = rng.bit_generator.seed_seq.spawn(1)  # pyright: ignore[reportAttributeAccessIssue]
    return child.generate_state(4 * LANES, np.uint64).reshape(4, LANES)


@inlined
def next_word(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray, lane: int) -> int:
    """Return the next 64 bits of one lane, xoshiro256++; a, b, c, d: the four rows of the state."""
    s0, s1, s2, s3 = a[lane], b[lane], c[lane], d[lane]
    x = s0 + s3
    x = ((x << uint64(23)) | (x >> uint64(41))) + s0
    t = s1 << uint64(17)
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= t
    s3 = (s3 << uint64(45)) | (s3 >> uint64(19))
    a[lane], b[lane], c[lane], d[lane] = s0, s1, s2, s3
    return x


@kernel
def fill(state: np.ndarray, words: np.ndarray, count: int) -> None:
    """Fill the first `count` 32-bit words of a buffer with random bits, rounded up to a multiple of WORDS.

    Args:
        state: The lanes' state, shape (4, LANES); advanced.
        words: Buffer, uint64, size a multiple of LANES; read it through `words.view(np.uint32)`.
        count: 32-bit words that are needed.
    """
    a, b, c, d = state[0], state[1], state[2], state[3]
    for block in range(uint64((count + WORDS - 1) // WORDS)):
        start = _LANES * block
        for lane in range(_LANES):
            words[start + lane] = next_word(a, b, c, d, lane)
