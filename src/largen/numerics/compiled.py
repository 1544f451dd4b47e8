"""How kernels are compiled."""

from collections.abc import Callable
from typing import Any

import numba

_njit: Any = numba.njit  # `_nrt` is an option that its type stubs do not know


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that works on arrays it is given and makes none.

    Such functions need no reference counts, and numba's cost more than the work of a small loop: two atomic
    operations per array, argument and slice. So a kernel may take slices but not allocate, nor call what allocates;
    room for its work is an argument. Floating-point arithmetic is strict, so that equal input gives equal bytes.
    """
    return _njit(cache=True, error_model="numpy", _nrt=False)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a small function into each kernel that calls it."""
    return _njit(cache=True, error_model="numpy", _nrt=False, inline="always")(function)
