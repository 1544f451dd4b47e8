"""What was computed, kept on disk under the hash of what was asked, so that neither a restart nor a reload loses it."""

import atexit
import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from largen.checks import InputError
from largen.datasets import versions
from largen.io.atomic import remove_if_left
from largen.io.results import read, save
from largen.parameters.plain import to_plain
from largen.system import AbstractSystem

MOST_BYTES = 2_000_000_000
"""Size of the folder beyond which the files longest unused are removed."""
REMEMBERED = 32
"""Diagrams that the server keeps in memory."""


def writable_folder() -> Path:
    """The user's cache folder, or a temporary one, with a note, where that cannot be written."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "largen" / "explorer"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):  # a home that is not there, or cannot be written to
        temporary = tempfile.mkdtemp(prefix="largen-explorer-")
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        warnings.warn(
            "What the explorer computes is kept until it ends only, for the user's cache folder cannot be written: set "
            "XDG_CACHE_HOME to another to keep it.",
            RuntimeWarning,
            stacklevel=3,
        )
        return Path(temporary)


def key(kind: str, model: AbstractSystem, *asked: Any) -> str | None:
    """Hash of a model and of what is asked of it; None for a model with functions, which have no content to hash."""
    try:
        plain = to_plain(model)
    except InputError:
        return None
    words = [kind, model.system, plain, versions(), *asked]
    return hashlib.sha256(json.dumps(words, sort_keys=True, default=_plain).encode()).hexdigest()[:32]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [list(value.shape), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    return dict(value) if hasattr(value, "keys") else value.item()


class Store:
    """A folder of Datasets by key; every file is written whole or not at all."""

    def __init__(self, folder: Path | None = None, most_bytes: float = MOST_BYTES):
        self.folder, self.most_bytes = folder or writable_folder(), most_bytes
        self._memory: OrderedDict[str, xr.Dataset] = OrderedDict()
        self.folder.mkdir(parents=True, exist_ok=True)
        for aside in self.folder.glob(".*.part"):
            remove_if_left(aside)

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.folder, self.most_bytes)  # a worker needs the folder only

    def recall(self, name: str | None) -> xr.Dataset | None:
        """What was kept under a name, from memory if it was asked for before."""
        if name is None:
            return None
        found = self._memory.pop(name, None)
        found = self.get(name) if found is None else found
        if found is not None:
            self._memory[name] = found
        while len(self._memory) > REMEMBERED:
            self._memory.popitem(last=False)
        return found

    def get(self, name: str | None) -> xr.Dataset | None:
        """What was kept under a name, if anything, from disk."""
        if name is None or not (path := self._path(name)).is_file():
            return None
        try:
            found, note = read(path)
            os.utime(path)
        except (InputError, OSError):
            return None
        return None if note else found

    def put(self, name: str | None, dataset: xr.Dataset) -> None:
        """Keep a Dataset; a full disk costs only that."""
        if name is None:
            return
        with contextlib.suppress(InputError):
            save(dataset, self._path(name))
        self.trim()

    def trim(self) -> None:
        """Remove the files longest unused until the folder fits."""
        files = []
        for entry in os.scandir(self.folder):
            with contextlib.suppress(FileNotFoundError):  # another process may trim too
                files.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
        files.sort(reverse=True)
        total = 0
        for _, size, path in files:
            total += size
            if total > self.most_bytes:
                with contextlib.suppress(OSError):
                    os.unlink(path)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.nc"
