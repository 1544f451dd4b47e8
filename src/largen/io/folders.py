"""Folders that appear whole: written beside, then exchanged; what a crash left in between is mended by the next start.

A folder cannot be exchanged in one step as a file can: between two renames the old one stands beside its place as
`.NAME.old`.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from largen.io.atomic import clear_leftovers, take_lock


def kept_aside(path: Path) -> Path:
    """Where the old folder stands between two renames."""
    return path.with_name(f".{path.name}.old")


def exchange(aside: Path, path: Path, ours: Callable[[str], bool] = lambda name: True) -> None:
    """Put a folder that was written beside in its place; what was not ours in the old one moves along.

    Args:
        aside: The new folder.
        path: Its place.
        ours: Whether an entry of the old folder of this name goes with it.
    """
    synchronise(aside)
    with _alone(path.parent):
        _mend(path, ours)
        if path.exists():
            os.rename(path, kept_aside(path))
        try:
            os.rename(aside, path)
        finally:
            _mend(path, ours)


def mend(path: Path, ours: Callable[[str], bool] = lambda name: True) -> None:
    """Finish or take back an exchange that a crash interrupted, and remove what killed processes left of it."""
    if not path.parent.is_dir():
        return
    if kept_aside(path).exists():
        with _alone(path.parent), contextlib.suppress(OSError):
            _mend(path, ours)
    clear_leftovers(path)


def _mend(path: Path, ours: Callable[[str], bool]) -> None:
    old = kept_aside(path)
    if not old.exists():
        return
    if not path.exists():  # the crash came between the two renames
        os.rename(old, path)
        return
    for entry in list(old.iterdir()):
        if not ours(entry.name) and not (path / entry.name).exists():
            os.rename(entry, path / entry.name)
    shutil.rmtree(old)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time exchanges folders within a folder, where the file system has locks."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        take_lock(handle, wait=True)
        yield
    finally:
        os.close(handle)


def synchronise(folder: Path) -> None:
    """Have all files of a folder on the disk."""
    for root, _, names in os.walk(folder):
        for name in names:
            with open(Path(root, name), "rb") as file:
                os.fsync(file.fileno())
