"""Scalars, counts, seeds and vectors of numbers, each checked by name."""

from typing import Any

import numpy as np

from largen.checks.conversion import Axes, array
from largen.checks.errors import InputError, require

LARGEST_COUNT = 2**53
"""Counts up to here are exact as floating-point numbers; nothing larger fits into a machine."""


def integer(
    name: str, value: Any, *, low: int | None = None, high: int | None = LARGEST_COUNT, remedy: str = ""
) -> int:
    """Check that a value is an integer between `low` and `high` and return it as int.

    Args:
        name: The argument.
        value: An integer of Python or NumPy, or a floating-point number without a fraction.
        low: Smallest value.
        high: Largest value, None for none.
        remedy: What to do instead.
    """
    number = _scalar(name, value, "", "be an integer").item()
    whole = isinstance(number, int) or (np.isfinite(float(number)) and number == int(number))
    require(whole, name, "be an integer", value, remedy)
    number = int(number)
    require(low is None or number >= low, name, f"be at least {low}", value, remedy)
    require(high is None or number <= high, name, f"be at most {high}", value, remedy)
    return number


def seed_number(name: str, value: Any) -> int:
    """Check that a value is a seed, a non-negative integer of any size, and return it as int."""
    return integer(name, value, low=0, high=None)


def flag(name: str, value: Any) -> bool:
    """Check that a value is True or False and return it as bool; words and numbers are neither."""
    require(isinstance(value, bool | np.bool_), name, "be True or False", value)
    return bool(value)


def real(name: str, value: Any, *, unit: str = "", low: float | None = None, above: float | None = None) -> float:
    """Check that a value is a finite real number within bounds and return it as float, in the argument's unit."""
    number = float(float64(name, _scalar(name, value, unit, "be a finite number"), value))
    require(np.isfinite(number), name, "be a finite number", value)
    if low is not None:
        require(number >= low, name, f"be at least {low:g}", value)
    if above is not None:
        require(number > above, name, f"be greater than {above:g}", value)
    return number


def _scalar(name: str, value: Any, unit: str, must: str) -> np.ndarray:
    require(not isinstance(value, str | bytes | bool | None | list | tuple | dict), name, must, value)
    found = array(name, value, unit=unit)
    require(found.ndim == 0, name, must, value)
    return found


def vector(name: str, value: Any, *, unit: str = "", axes: Axes | None = None, dims: int | None = 1) -> np.ndarray:
    """Check that a value is an array of finite numbers with `dims` dimensions (None: any), and return it as float64."""
    found = float64(name, array(name, value, unit=unit, axes=Axes() if axes is None else axes), value)
    words = {0: "a number", 1: "a vector of numbers", 2: "a matrix of numbers", None: ""}
    require(dims is None or found.ndim == dims, name, f"be {words.get(dims, f'an array of {dims} axes')}", value)
    require(np.all(np.isfinite(found)), name, "be finite", value)
    return found


def increasing_times(name: str, value: Any, *, unit: str = "") -> np.ndarray:
    """Check that times are a finite, strictly increasing vector of at least two; return it as float64, in `unit`."""
    times = float64(name, array(name, value, unit=unit), value)
    require(times.ndim == 1 and times.size >= 2, name, "be a vector of at least two times", value)
    require(np.all(np.isfinite(times)), name, "be finite", value)
    steps = np.diff(times)
    if not np.all(steps > 0):
        i = int(np.argmin(steps))
        raise InputError(
            f"Argument `{name}` must be strictly increasing, but times[{i}] = {times[i]:g} is followed by "
            f"times[{i + 1}] = {times[i + 1]:g}."
        )
    return times


def float64(name: str, found: np.ndarray, value: Any) -> np.ndarray:
    """A copy in double precision; numbers beyond its range are refused, not made infinite."""
    try:
        with np.errstate(over="raise"):
            return np.array(found, dtype=np.float64)
    except (OverflowError, FloatingPointError) as error:
        raise InputError(f"Argument `{name}` must be at most {np.finfo(float).max:.3g}, but is larger.") from error
