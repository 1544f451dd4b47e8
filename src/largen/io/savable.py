"""What a file can hold of a Dataset, checked before anything is written."""

from typing import Any

import numpy as np
import xarray as xr

from largen.checks import InputError, dataset, shown

_VARIABLES = "fiubcSUmM"
"""Kinds of NumPy's types that a variable may have; objects may be words."""


def require_savable(given: Any) -> xr.Dataset:
    """Return what is to be saved, a Dataset of named arrays of numbers or words with plain attributes.

    Raises:
        InputError: It is something else; the message names the variable or the attribute.
    """
    remedy = "Make it one with .to_dataset(name=...)." if isinstance(given, xr.DataArray) else ""
    checked: xr.Dataset = dataset("dataset", given, remedy=remedy)
    for name, variable in given.variables.items():
        _require_name(name, "variable")
        words = variable.dtype == object and all(isinstance(word, str) for word in variable.values.ravel())
        if not words and not (isinstance(variable.dtype, np.dtype) and variable.dtype.kind in _VARIABLES):
            raise InputError(f"Variable `{name}` must hold numbers or words to be saved, but holds {variable.dtype}.")
        _require_attrs(variable.attrs, f" of `{name}`")
    for dim in given.dims:
        _require_name(dim, "dim")
    _require_attrs(given.attrs, "")
    return checked


def _require_name(name: Any, what: str) -> None:
    if not isinstance(name, str) or not name or "/" in name or "\x00" in name:
        raise InputError(f"The {what} {shown(name)} must have a word without '/' as its name to be saved.")


def _require_attrs(attrs: Any, where: str) -> None:
    for key, value in attrs.items():
        _require_name(key, "attribute")
        flat = np.asarray(value) if isinstance(value, list | tuple | np.ndarray | np.generic) else np.array(value)
        numbers = flat.dtype.kind in "iuf" and flat.ndim <= 1 and not isinstance(value, bool)
        if not (numbers or isinstance(value, str)):
            raise InputError(
                f"Attribute `{key}`{where} must be a word, a number or a vector of numbers to be saved, but is "
                f"{shown(value)}. Write it as text, such as {str(value)[:40].lower()!r}."
            )
