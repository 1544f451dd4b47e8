"""The normal distribution function and density as one expression without branch or call, for vectorised loops.

Absolute error 3e-16, relative error 4e-6 in the far tails. A loop over `normal_pair` becomes vector instructions
(1.3 ns a pair with AVX-512; the C library needs 20). exp(-z^2/2) is computed as in `elementary`, written out here
because a call would not be vectorised. Source: the tail is Hart's rational function 5666 times the density (G. West,
Better approximations to cumulative normal functions, Wilmott 2005).
"""

import numpy as np

from largen.numerics.compiled import njit
from largen.numerics.elementary import EXP2, ROUND

NUMERATOR = (
    3.52624965998911e-2,
    0.700383064443688,
    6.37396220353165,
    33.912866078383,
    112.079291497871,
    221.213596169931,
    220.206867912376,
)
"""Hart 5666: tail/exp(-z^2/2) = numerator(|z|)/denominator(|z|), highest power first."""
DENOMINATOR = (
    8.83883476483184e-2,
    1.75566716318264,
    16.064177579207,
    86.7807322029461,
    296.564248779674,
    637.333633378831,
    793.826512519948,
    440.413735824752,
)

_A6, _A5, _A4, _A3, _A2, _A1, _A0 = NUMERATOR
_B7, _B6, _B5, _B4, _B3, _B2, _B1, _B0 = DENOMINATOR
_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11 = EXP2

_FARTHEST = 37.0
"""exp(-z^2/2) is a normal number up to here."""
_HALF_LOG2_E = 0.5 / np.log(2.0)
_PEAK = 1.0 / np.sqrt(2.0 * np.pi)


@njit(cache=True, error_model="numpy", fastmath={"contract"}, inline="always")
def normal_pair(z):
    """Return the standard normal distribution function and density at z."""
    x = min(abs(z), _FARTHEST)
    power = -_HALF_LOG2_E * x * x
    rounded = power + ROUND
    r = power - (rounded - ROUND)
    scale = np.int64(np.float64(rounded).view(np.int64) << 52).view(np.float64)
    bell = _C6 + r * (_C7 + r * (_C8 + r * (_C9 + r * (_C10 + r * _C11))))
    bell = _C0 + r * (_C1 + r * (_C2 + r * (_C3 + r * (_C4 + r * (_C5 + r * bell)))))
    bell = bell * scale
    above = (((((_A6 * x + _A5) * x + _A4) * x + _A3) * x + _A2) * x + _A1) * x + _A0
    below = ((((((_B7 * x + _B6) * x + _B5) * x + _B4) * x + _B3) * x + _B2) * x + _B1) * x + _B0
    tail = bell * above / below
    return (1.0 - tail if z > 0.0 else tail), _PEAK * bell
