"""Paths of files and folders to make."""

from pathlib import Path
from typing import Any

from largen.checks import path_of, require


def target_of(name: str, value: Any) -> Path:
    """Return the path of a file or folder to make.

    Raises:
        InputError: It is no path, has no name of its own (`.`, `..`, `/`), or its folder is not there.
    """
    path = path_of(name, value)
    own = path.name not in ("", "..")
    require(own, name, "name a file in a folder", str(value), "Give it a name, such as result.nc.")
    require(path.parent.is_dir(), name, "lie in an existing folder", str(value), "Make the folder first.")
    return path
