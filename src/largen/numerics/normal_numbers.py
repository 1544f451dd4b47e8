"""Standard normal numbers by Box-Muller in single precision, one 32-bit word each, without a call to libm.

Source: Box & Muller 1958 (Ann. Math. Stat. 29:610). The logarithm, sine and cosine are the polynomials of Moshier's
Cephes library (logf, sinf, cosf), so that a loop over them is vectorised and gives the same bits on every machine.
The radius comes from 32 bits, |z| <= 6.77; the angle from 30 bits and two signs.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import float32, int32, types, uint32, uint64
from numba.extending import intrinsic

from largen.numerics.compiled import inlined, kernel

_LN2 = np.float32(np.log(2.0))
_ANGLE = np.float32(np.pi / 4 / 2**31)
_SIGN = np.uint32(2**31)
_MANTISSA = np.uint32(2**23 - 1)
_ROOT_HALF = np.uint32(0x3F3504F3)  # the bits of sqrt(1/2)
_BELOW_ONE = np.uint32(0x3F800000 - 0x3F3504F3)


def _bits_of(context: Any, x: Any) -> Any:
    """The bits of a float32, as uint32."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(32))

    return types.uint32(types.float32), codegen


def _float_of(context: Any, bits: Any) -> Any:
    """The float32 with these bits (uint32)."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.uint32), codegen


bits_of: Any = intrinsic(_bits_of)
float_of: Any = intrinsic(_float_of)


@inlined
def minus_log(word: np.uint32) -> Any:
    """-ln((word + 1/2) 2^-32), float32, relative error 2e-7 (absolute 1e-7 near 0)."""
    bits = uint32(bits_of(float32(word) + float32(0.5)) + _BELOW_ONE)
    exponent = float32(int32(bits >> uint32(23)) - int32(127))
    m = float_of(uint32((bits & _MANTISSA) + _ROOT_HALF)) - float32(1.0)  # of the mantissa in sqrt(1/2)..sqrt(2)
    y = float32(7.0376836292e-2)
    y = y * m - float32(1.1514610310e-1)
    y = y * m + float32(1.1676998740e-1)
    y = y * m - float32(1.2420140846e-1)
    y = y * m + float32(1.4249322787e-1)
    y = y * m - float32(1.6668057665e-1)
    y = y * m + float32(2.0000714765e-1)
    y = y * m - float32(2.4999993993e-1)
    y = y * m + float32(3.3333331174e-1)
    square = m * m
    return (float32(32.0) - exponent) * _LN2 - (y * m * square - float32(0.5) * square + m)


@inlined
def sine_cosine(angle: Any) -> tuple[Any, Any]:
    """Sine and cosine of an angle in [-pi/4, pi/4], float32."""
    square = angle * angle
    sine = float32(-1.9515295891e-4) * square + float32(8.3321608736e-3)
    sine = (sine * square - float32(1.6666654611e-1)) * square * angle + angle
    cosine = float32(2.443315711809948e-5) * square - float32(1.388731625493765e-3)
    cosine = (cosine * square + float32(4.166664568298827e-2)) * square * square - float32(0.5) * square + float32(1.0)
    return sine, cosine


@kernel
def normals(words: np.ndarray, z: np.ndarray, count: int) -> None:
    """Fill z with independent standard normal numbers.

    Args:
        words: Random words, uint32, as many as numbers are wanted.
        z: Output, float32.
        count: Numbers wanted; one more is made if this is odd.
    """
    half = uint64((count + 1) // 2)
    for i in range(half):
        # With y uniform in (-pi/4, pi/4) the point (cos(y + pi/4), sin(y + pi/4)) lies in the first quadrant;
        # two random signs extend it to the whole circle.
        r = np.sqrt(minus_log(words[i]))
        word = words[half + i]
        sine, cosine = sine_cosine(float32(int32(word << uint32(2))) * _ANGLE)
        z[i] = float_of(bits_of(r * (cosine - sine)) ^ (word & _SIGN))
        z[half + i] = float_of(bits_of(r * (cosine + sine)) ^ (uint32(word << uint32(1)) & _SIGN))
