"""One form of error message: the argument, what it must be, what it is, and the remedy, in one sentence."""

import difflib
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

WIDEST = 80
"""Characters of a value in a message, at most."""
LONGEST_INTEGER = 200
"""Bits of an integer that is written out in a message."""


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


class FitError(RuntimeError):
    """No parameters give the target, or its errors may not be scaled; the message says what is left over, and where.

    Attributes:
        partial: Dataset with the least bad values, without errors.
    """

    def __init__(self, message: str, *, partial: Any = None):
        super().__init__(message)
        self.partial = partial


class Unverified(UserWarning):
    """A note that a file was read whose integrity could not be verified."""


class Stopped(RuntimeError):
    """Work stopped by Ctrl-C after something had been kept; the message says what and where."""


class _Short(reprlib.Repr):
    """`repr` that looks at the first entries only, and survives integers too long for Python to write."""

    def __init__(self):
        super().__init__()
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdict = 40
        self.maxstring = self.maxother = 2 * WIDEST

    def repr_int(self, x: int, level: int) -> str:
        bits = x.bit_length()
        return repr(x) if bits <= LONGEST_INTEGER else f"an integer of {bits} bits"


def shown(value: Any) -> str:
    """Show a value in at most 80 characters on one line."""
    if isinstance(value, np.ndarray):
        value = value.ravel()[: 2 * WIDEST].tolist() if value.size > 2 * WIDEST else value.tolist()
    try:
        text = " ".join(_Short().repr(value).split())
    except Exception:  # a value that cannot even be shown
        text = f"a {type(value).__name__}"
    return text if len(text) <= WIDEST else text[: WIDEST - 3] + "..."


def sentence(text: Any) -> str:
    """A message of another library as the end of a sentence: one line, without its own full stop."""
    return " ".join(str(text).split()).rstrip(" .:;,") or type(text).__name__


def require(condition: Any, name: str, must: str, value: Any, remedy: str = "") -> None:
    """Raise `InputError` unless the condition holds."""
    if not condition:
        raise InputError(f"Argument `{name}` must {must}, but is {shown(value)}.{' ' + remedy if remedy else ''}")


def nearest(word: str, valid: Iterable[str]) -> str:
    """Return " Did you mean `...`?" for the nearest valid word, or the empty string."""
    close = difflib.get_close_matches(word[:WIDEST], list(valid), n=1, cutoff=0.5)
    return f" Did you mean `{close[0]}`?" if close else ""


def one_of(name: str, value: Any, valid: Iterable[Any]) -> Any:
    """Check that a value is one of a few and return that one."""
    valid = list(valid)
    for word in valid:
        if _is(value, word):
            return word
    hint = nearest(value, [v for v in valid if isinstance(v, str)]) if isinstance(value, str) else ""
    listed = ", ".join(repr(v) for v in valid)
    raise InputError(f"Argument `{name}` must be one of {listed}, but is {shown(value)}.{hint}")


def _is(value: Any, word: Any) -> bool:
    """Whether a value is this word or number; a truth value is no number."""
    if isinstance(word, str):
        return isinstance(value, str) and str(value) == str(word)
    if word is None or isinstance(word, bool):
        return value is word
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(value == word)


def known_keys(what: str, given: Iterable[Any], valid: Iterable[str]) -> None:
    """Check that all keys are valid; the message names the nearest valid key and lists them all."""
    valid = sorted(valid)
    allowed = set(valid)
    for key in given:
        if not isinstance(key, str) or key not in allowed:
            listed = ", ".join(valid) or "none"
            word = key[:WIDEST] if isinstance(key, str) else shown(key)
            raise InputError(f"Unknown {what} `{word}`.{nearest(word, valid)} Valid: {listed}.")


def mapping(name: str, value: Any) -> dict[Any, Any]:
    """Check that a value is a mapping and return it as a dict; None is an empty one."""
    require(value is None or isinstance(value, Mapping), name, "be a mapping", value)
    return {} if value is None else dict(value)
