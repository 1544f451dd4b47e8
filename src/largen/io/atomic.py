"""Files written whole or not at all, and what killed processes left half-written removed by the next."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from largen.checks import InputError, require
from largen.io.paths import target_of


def write_atomically(path: str | os.PathLike, write: Callable[[Path], Any], *, clear: bool = True) -> Path:
    """Write a file aside and rename it into place, so that an old file survives any failure.

    Args:
        path: The file to make or replace.
        write: Called with the path of the temporary file, in the same folder.
        clear: Whether to remove what killed processes left of this file.
    """
    path = target_of("path", path)
    require(not path.is_dir(), "path", "name a file", str(path), "There is a folder of this name.")
    if clear:
        clear_leftovers(path)
    with being_written(path, folder=False) as aside:
        try:
            write(aside)
            with open(aside, "rb+") as file:
                os.fsync(file.fileno())
            os.chmod(aside, 0o666 & ~umask())
            os.replace(aside, path)
        except OSError as error:
            raise InputError(
                f"File `{path}` could not be written: {error.strerror or error}. "
                "What stood there before is untouched; free some space or choose another folder."
            ) from error
    return path


@contextlib.contextmanager
def being_written(path: Path, *, folder: bool) -> Iterator[Path]:
    """Make `.NAME.xxxxxxxx.part` beside a path, and remove it in the end if it was not renamed.

    It is locked as long as this process lives, so that `clear_leftovers` tells it from what a killed process left.

    Raises:
        InputError: The folder around it cannot be written.
    """
    try:
        aside, handle = _make(path, folder)
    except OSError as error:
        raise InputError(
            f"Folder `{path.parent}` must be writable, but is not: {error.strerror}. Choose another."
        ) from error
    try:
        yield aside
    finally:
        remove(aside)
        os.close(handle)


def clear_leftovers(path: Path) -> None:
    """Remove what killed processes left half-written of a file or folder; what another process writes now stays."""
    form = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}\.part")
    with contextlib.suppress(OSError):
        for name in [entry.name for entry in os.scandir(path.parent) if entry.name.endswith(".part")]:
            if form.fullmatch(name):
                remove_if_left(path.with_name(name))


def remove_if_left(aside: Path) -> None:
    """Remove a `.part` file or folder unless a process holds its lock (or this file system has none)."""
    try:
        handle = os.open(aside, os.O_RDONLY if aside.is_dir() else os.O_RDWR)
    except OSError:
        return
    try:
        if take_lock(handle, wait=False):
            remove(aside)
    finally:
        os.close(handle)


def take_lock(handle: int, *, wait: bool) -> bool:
    """Lock an open file or folder for this process; whether that could be done."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (OSError, ImportError):
        return False
    return True


def _make(path: Path, folder: bool) -> tuple[Path, int]:
    """Make a locked file or folder beside a path; again, should another process have removed it before it was."""
    name: dict[str, Any] = {"prefix": f".{path.name}.", "suffix": ".part", "dir": path.parent}
    while True:
        if folder:
            aside = Path(tempfile.mkdtemp(**name))
            handle = os.open(aside, os.O_RDONLY)
        else:
            handle, made = tempfile.mkstemp(**name)
            aside = Path(made)
        take_lock(handle, wait=True)
        if aside.exists():
            return aside, handle
        os.close(handle)


def remove(aside: Path) -> None:
    """Remove a file or folder, if it is there."""
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def umask() -> int:
    """Read the process's umask without changing it."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1], 8) for line in file if line.startswith("Umask"))
    except (OSError, StopIteration):
        return 0o022
