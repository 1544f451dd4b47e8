"""Exponential and uniform random numbers from random words, in vectorised loops."""

import numpy as np
from numba import uint64

from largen.numerics.compiled import kernel
from largen.numerics.elementary import minus_log


@kernel
def exponentials(words: np.ndarray, out: np.ndarray, count: int) -> None:
    """Fill out[:count] with exponential numbers of mean 1 from 53 bits of each word (uint64), at most 37.4."""
    for i in range(uint64(count)):
        out[i] = minus_log((np.float64(words[i] >> uint64(11)) + 0.5) * 2.0**-53)


@kernel
def uniforms(words: np.ndarray, scale: float, out: np.ndarray, count: int) -> None:
    """Fill out[:count] with uniform numbers in [0, scale) from 53 bits of each word (uint64)."""
    for i in range(uint64(count)):
        out[i] = np.float64(words[i] >> uint64(11)) * (2.0**-53 * scale)
