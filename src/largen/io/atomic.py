"""Files written whole or not at all."""

import os
import tempfile
from pathlib import Path
from typing import Any

from largen.checks import InputError, require


def write_atomically(path: str | os.PathLike, write: Any) -> Path:
    """Write a file aside and rename it into place, so that an old file survives any failure.

    Args:
        path: The file to make or replace.
        write: Called with the path of the temporary file, in the same folder.
    """
    path = Path(path)
    folder = path.parent
    require(folder.is_dir(), "path", "lie in an existing folder", str(path), "Make the folder first.")
    try:
        handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=folder)
        os.close(handle)
    except OSError as error:
        raise InputError(
            f"Folder `{folder}` must be writable, but is not: {error.strerror}. Choose another."
        ) from error
    try:
        write(Path(aside))
        with open(aside, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(aside, 0o666 & ~_umask())
        os.replace(aside, path)
    except OSError as error:
        raise InputError(
            f"File `{path}` could not be written: {error.strerror or error}. "
            "What stood there before is untouched; free some space or choose another folder."
        ) from error
    finally:
        if os.path.exists(aside):
            os.unlink(aside)
    return path


def _umask() -> int:
    """Read the process's umask without changing it."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1], 8) for line in file if line.startswith("Umask"))
    except (OSError, StopIteration):
        return 0o022
