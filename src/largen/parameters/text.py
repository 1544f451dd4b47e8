"""Values of parameters as a person writes them."""

import re
from typing import Any

import numpy as np

MOST_ENTRIES = 36
"""Entries of an array that are written out; of a larger one the range is."""


def written(value: Any) -> str:
    """Write a value: 0.65 for an array whose entries all are, [[0.8, 0.5], [1, 0]], a function as `module:name`."""
    if value is None or isinstance(value, str):
        return str(value)
    if isinstance(value, tuple):
        parts = [written(entry) for entry in value]
        return parts[0] if len(set(parts)) == 1 else f"({', '.join(parts)})"
    if hasattr(value, "__array__") or isinstance(value, bool | int | float):
        return _array(value)
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}:{value.__qualname__}"
    return repr(value)


def _array(value: Any) -> str:
    try:
        array = np.asarray(value)
    except Exception:  # traced by JAX: it has a shape and no numbers
        return f"{value.dtype}{list(value.shape)}"
    if array.size == 0:
        return "[]"
    if np.all(array == array.flat[0]):
        return _number(array.flat[0])
    if array.size <= MOST_ENTRIES:
        return _nested(array)
    shape = " x ".join(map(str, array.shape))
    return f"{shape} numbers from {_number(array.min())} to {_number(array.max())}"


def _nested(array: np.ndarray) -> str:
    if array.ndim == 0:
        return _number(array[()])
    return f"[{', '.join(_nested(row) for row in array)}]"


def _number(value: Any) -> str:
    """A number in at most ten digits: 4 for 4.0, 1e-5 for 1e-05."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    return re.sub(r"e([+-])0*(\d)", lambda m: f"e{m[1].lstrip('+')}{m[2]}", f"{value:.10g}")
