"""Exponential and logarithm without branch or call to a library, so that loops over them become vector instructions.

Both to 3e-16 relative. A float64 is sign, exponent (11 bits, biased by 1023) and mantissa (52 bits). The exponential is
2^(x log2 e) = 2^m 2^r with an integer m and |r| <= 1/2: m is found by adding a number so large that the sum keeps no
fraction, and 2^m is made by moving m to the place of the exponent. The logarithm separates exponent and mantissa by
the same bits; the mantissa's logarithm is the series of artanh.
"""

from typing import Any

import numpy as np

from largen.numerics.compiled import inlined

EXP2 = (
    1.0,
    0.6931471805599453,
    0.24022650695910167,
    0.05550410866482176,
    0.009618129107585693,
    0.0013333558146399742,
    0.000154035304653082,
    1.5252733834995405e-05,
    1.3215431842183989e-06,
    1.0178062970211954e-07,
    7.074304401536817e-09,
    4.4546529428165133e-10,
)
"""Coefficients of 2^r on (-1/2, 1/2) to 4e-18, interpolated at the Chebyshev points; lowest power first."""
ROUND = 1.5 * 2.0**52 + 1023.0
"""Added to a float64 it leaves the nearest integer plus the bias of the exponent in the lowest bits of the sum."""

_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11 = EXP2
_LOG2_E = 1.0 / np.log(2.0)
_LN2 = np.log(2.0)
_ROOT_HALF = np.int64(0x3FE6A09E667F3BCD)  # the bits of sqrt(1/2)
_BELOW_ONE = np.int64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
_MANTISSA = np.int64(2**52 - 1)


@inlined
def exp(x: Any) -> Any:
    """Exponential of x, for |x| < 700."""
    power = x * _LOG2_E
    rounded = power + ROUND
    r = power - (rounded - ROUND)
    scale = np.int64(np.float64(rounded).view(np.int64) << 52).view(np.float64)
    high = _C6 + r * (_C7 + r * (_C8 + r * (_C9 + r * (_C10 + r * _C11))))
    return (_C0 + r * (_C1 + r * (_C2 + r * (_C3 + r * (_C4 + r * (_C5 + r * high)))))) * scale


@inlined
def minus_log(u: Any) -> Any:
    """-ln(u), for a normal number u in (0, 1]."""
    bits = np.int64(np.float64(u).view(np.int64) + _BELOW_ONE)
    exponent = np.float64((bits >> 52) - np.int64(1023))
    m = np.int64((bits & _MANTISSA) + _ROOT_HALF).view(np.float64)  # the mantissa, moved to sqrt(1/2)..sqrt(2)
    s = (m - 1.0) / (m + 1.0)
    q = s * s
    series = 1.0 / 11.0 + q * (1.0 / 13.0 + q * (1.0 / 15.0 + q * (1.0 / 17.0 + q * (1.0 / 19.0 + q / 21.0))))
    series = 1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * series))))
    return -exponent * _LN2 - 2.0 * s * series
