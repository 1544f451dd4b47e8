"""Names and paths, checked by the name of their argument."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from largen.checks.errors import require


def names(name: str, value: Any, *, like: str = "") -> tuple[str, ...]:
    """Check that a value is one word or several, and return them as a tuple; None is an error."""
    remedy = f"Such as {like}." if like else ""
    several = isinstance(value, Iterable) and not isinstance(value, bytes | Mapping) and getattr(value, "ndim", 1) == 1
    require(isinstance(value, str) or several, name, "be a name or several", value, remedy)
    found = (value,) if isinstance(value, str) else tuple(value)
    require(all(isinstance(word, str) for word in found), name, "be a name or several", value, remedy)
    return tuple(str(word) for word in found)


def path_of(name: str, value: Any) -> Path:
    """Check that a value is a path of the file system (`~` is the home folder) and return it as a `Path`."""
    good = isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str)
    require(good, name, "be a path", value)
    text = os.fspath(value)
    short = all(len(part.encode("utf-8", "surrogatepass")) <= 255 for part in Path(text).parts)
    require(text and "\x00" not in text and short, name, "be a path", value)
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no such home folder: a file of that name is meant
        return Path(text)
