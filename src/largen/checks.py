"""One form of error message: the argument, what it must be, what it is, and the remedy, in one sentence.

Every check takes the argument's name first and raises `InputError` with such a message. Standard library and
NumPy only, so that every layer may use it.
"""

import difflib
from collections.abc import Iterable
from typing import Any

import numpy as np


class InputError(ValueError):
    """An argument, file or option that cannot be used; the message is one sentence with the remedy."""


class LimitError(RuntimeError):
    """The limit does not exist for these parameters, or was not reached; the message says which.

    Attributes:
        t: Time at which the limit was lost (the system's unit), or None.
        partial: Dataset up to `t`, or None.
    """

    def __init__(self, message: str, *, t: float | None = None, partial: Any = None):
        super().__init__(message)
        self.t = t
        self.partial = partial


class Stopped(RuntimeError):
    """Work stopped by Ctrl-C after something had been kept; the message says what and where."""


def shown(value: Any) -> str:
    """Show a value in at most 80 characters on one line."""
    text = " ".join(repr(value.tolist() if isinstance(value, np.ndarray) else value).split())
    return text if len(text) <= 80 else text[:77] + "..."


def require(condition: Any, name: str, must: str, value: Any, remedy: str = "") -> None:
    """Raise `InputError` unless the condition holds."""
    if not condition:
        raise InputError(f"Argument `{name}` must {must}, but is {shown(value)}.{' ' + remedy if remedy else ''}")


def nearest(word: str, valid: Iterable[str]) -> str:
    """Return " Did you mean `...`?" for the nearest valid word, or the empty string."""
    close = difflib.get_close_matches(word, list(valid), n=1, cutoff=0.5)
    return f" Did you mean `{close[0]}`?" if close else ""


def one_of(name: str, value: Any, valid: Iterable[Any]) -> Any:
    """Check that a value is one of a few and return it."""
    valid = list(valid)
    if value not in valid:
        hint = nearest(value, [v for v in valid if isinstance(v, str)]) if isinstance(value, str) else ""
        listed = ", ".join(repr(v) for v in valid)
        raise InputError(f"Argument `{name}` must be one of {listed}, but is {shown(value)}.{hint}")
    return value


def known_keys(what: str, given: Iterable[str], valid: Iterable[str]) -> None:
    """Check that all keys are valid; the message names the nearest valid key and lists them all."""
    valid = sorted(valid)
    for key in given:
        if key not in valid:
            listed = ", ".join(valid) or "none"
            raise InputError(f"Unknown {what} `{key}`.{nearest(str(key), valid)} Valid: {listed}.")


def integer(name: str, value: Any, *, low: int | None = None, remedy: str = "") -> int:
    """Check that a value is an integer (at least `low`) and return it as int."""
    whole = (
        not isinstance(value, bool)
        and isinstance(value, int | float | np.integer | np.floating)
        and np.isfinite(value)
        and value == int(value)
    )
    require(whole, name, "be an integer", value, remedy)
    if low is not None:
        require(value >= low, name, f"be at least {low}", value, remedy)
    return int(value)


def real(name: str, value: Any, *, low: float | None = None, above: float | None = None) -> float:
    """Check that a value is a finite real number within bounds and return it as float."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    require(np.isfinite(number), name, "be a finite number", value)
    if low is not None:
        require(number >= low, name, f"be at least {low:g}", value)
    if above is not None:
        require(number > above, name, f"be greater than {above:g}", value)
    return number


def increasing_times(name: str, value: Any) -> np.ndarray:
    """Check that times are a finite, strictly increasing vector of at least two; return it as float64."""
    try:
        times = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"Argument `{name}` must be a vector of numbers, but is {shown(value)}.") from error
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
