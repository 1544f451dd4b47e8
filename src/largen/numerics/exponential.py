"""Exponential and logarithm without branch or call, for vectorised loops, and exponential random numbers.

Both to 3e-16 relative: 2^r by the polynomial of `erf`, the logarithm by the series of artanh.
"""

from typing import Any

import numpy as np
from numba import uint64

from largen.numerics.compiled import inlined, kernel
from largen.numerics.erf import _POWER

_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11 = _POWER
_LOG2_E = 1.0 / np.log(2.0)
_ROUND = 1.5 * 2.0**52 + 1023.0
"""Added to a float64 it leaves the nearest whole number plus the bias of the exponent in the lowest bits."""
_LN2 = np.log(2.0)
_ROOT_HALF = np.int64(0x3FE6A09E667F3BCD)  # the bits of sqrt(1/2)
_BELOW_ONE = np.int64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
_MANTISSA = np.int64(2**52 - 1)


@inlined
def exp(x: Any) -> Any:
    """Exponential of x, for |x| < 700."""
    power = x * _LOG2_E
    rounded = power + _ROUND
    r = power - (rounded - _ROUND)
    whole = np.int64(np.float64(rounded).view(np.int64) << 52).view(np.float64)
    high = _C6 + r * (_C7 + r * (_C8 + r * (_C9 + r * (_C10 + r * _C11))))
    return (_C0 + r * (_C1 + r * (_C2 + r * (_C3 + r * (_C4 + r * (_C5 + r * high)))))) * whole


@inlined
def minus_log(u: Any) -> Any:
    """-ln(u), for a normal number u in (0, 1]."""
    bits = np.int64(np.float64(u).view(np.int64) + _BELOW_ONE)
    exponent = np.float64((bits >> 52) - np.int64(1023))
    m = np.int64((bits & _MANTISSA) + _ROOT_HALF).view(np.float64)  # the mantissa in sqrt(1/2)..sqrt(2)
    s = (m - 1.0) / (m + 1.0)
    q = s * s
    series = 1.0 / 11.0 + q * (1.0 / 13.0 + q * (1.0 / 15.0 + q * (1.0 / 17.0 + q * (1.0 / 19.0 + q / 21.0))))
    series = 1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * series))))
    return -exponent * _LN2 - 2.0 * s * series


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
