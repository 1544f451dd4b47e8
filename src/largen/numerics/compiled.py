"""How kernels are compiled, and a message while they are."""

import hashlib
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numba
from numba.core import config, event
from numba.core.registry import cpu_target

from largen.runtime.compilation import ANNOUNCE, temporary_folder
from largen.runtime.garbage import paused
from largen.runtime.progress import EVERY

_settings: Any = config
_numba_njit: Any = numba.njit  # `_nrt` is an option that its type stubs do not know


def _can_be_kept() -> bool:
    """Whether Numba finds a folder for compiled code: the package's, the user's, or else a temporary one."""
    for again in (True, False):
        try:
            _numba_njit(cache=True)(_can_be_kept)
        except RuntimeError:  # the package and the home folder are read-only, as in a container
            if not (again and (folder := temporary_folder("NUMBA_CACHE_DIR"))):
                break
            _settings.CACHE_DIR = folder
        else:
            return True
    return False


KEPT = _can_be_kept()
"""Whether compiled code is kept on disk."""


@lru_cache
def _sources(folder: Path) -> bytes:
    """Digest of every Python file in a folder and below it."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.digest()


def _home(file: str) -> Path:
    """The folder whose files a kernel may be built from, besides this one's: its system's, or its own."""
    path = Path(file)
    return next((folder for folder in path.parents if folder.parent.name == "systems"), path.parent)


def _recompile_with_imports(compiled: Any, function: Callable[..., Any]) -> None:
    """Let compiled code count as old once any file has changed that it may have been built from.

    Numba looks at the kernel's own file only, but compiles in the functions and constants that this file imports:
    after an update of another file it would load, without a word, a kernel of before. A kernel's parts and constants
    come from its own folder (its system's) and from this one; see `tests/test_compilation.py`.
    """
    kept = getattr(compiled._cache, "_cache_file", None)  # none where nothing is kept on disk
    if kept is not None:
        file = function.__code__.co_filename
        kept._source_stamp = (kept._source_stamp, _sources(_home(file)), _sources(Path(__file__).parent))
        kept._load_index = partial(_index, kept._load_index)


def _index(load: Callable[[], dict]) -> dict:
    """What a kernel's folder holds; nothing where it cannot be read.

    Numba reads the types of the arguments before it looks at whether they are of today: after an update that moved or
    renamed one of the tuples that kernels take, that fails.
    """
    try:
        return load()
    except Exception:
        return {}


def njit(*function: Any, cache: bool = False, **options: Any) -> Any:
    """`numba.njit` that keeps what it compiled where it can, until a file changes that this was built from."""
    if not function:
        return partial(njit, cache=cache, **options)
    compiled = _numba_njit(*function, cache=cache and KEPT, **options)
    if cache:
        _recompile_with_imports(compiled, *function)
    return compiled


_njit: Any = njit


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that works on arrays it is given and makes none.

    Such functions need no reference counts, and numba's cost more than the work of a small loop: two atomic
    operations per array, argument and slice. So a kernel may take slices but not allocate, nor call what allocates;
    room for its work is an argument. Floating-point arithmetic is strict, so that equal input gives equal bytes. Said
    explicitly, because numba would else take over what the first caller to compile the kernel has, and cache it.
    """
    return _njit(cache=True, error_model="numpy", fastmath=False, _nrt=False)(function)


def inner(function: Callable[..., Any]) -> Any:
    """As `kernel`, for what is called by kernels only: without the way in from Python it is quicker to compile."""
    options: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return _njit(cache=True, error_model="numpy", fastmath=False, _nrt=False, **options)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a small function into each kernel that calls it."""
    return _njit(cache=True, error_model="numpy", _nrt=False, inline="always")(function)


entry: Any = partial(_njit, cache=True, error_model="numpy", fastmath={"contract"}, no_cfunc_wrapper=True, _nrt=False)
"""Compile a step in which products and sums may fuse; sums keep the order of the source. Otherwise as `kernel`."""
part: Any = partial(entry, no_cpython_wrapper=True)
"""A part of such a step: quicker to compile, callable from compiled code only."""


def _ours(compilation: Any) -> bool:
    return str(compilation.data["dispatcher"].py_func.__module__).startswith("largen.")


class _GarbageCollectionPause(event.Listener):
    """Pause garbage collection while kernels of largen are compiled: it would take a sixth of the time.

    Numba compiles one kernel at a time, in whatever thread, and inside it those that it calls.
    """

    def __init__(self) -> None:
        """Nothing is being compiled."""
        self._depth, self._pause = 0, ExitStack()

    def on_start(self, event: Any) -> None:
        """Pause from the outermost kernel on."""
        if _ours(event):
            if self._depth == 0:
                self._pause.enter_context(paused())
            self._depth += 1

    def on_end(self, event: Any) -> None:
        """Until it is done."""
        if _ours(event):
            self._depth -= 1
            if self._depth == 0:
                self._pause.close()


class _Announcement(event.Listener):
    """Say on standard error that kernels are being compiled: the first run on a machine takes some seconds."""

    def __init__(self) -> None:
        """Nothing has been compiled."""
        self.count, self.said = 0, 0.0

    def on_start(self, event: Any) -> None:
        """Count a kernel that is compiled (one that is loaded from disk is not), and say so now and then."""
        if not _ours(event):
            return
        self.count += 1
        if self.count > 1 and time.monotonic() - self.said < EVERY:
            return
        so_far = f"; {self.count} kernels so far" if self.count > 1 else ""
        print(
            f"Compiling largen's kernels: once on this machine, about half a minute{so_far}.",
            file=sys.stderr,
            flush=True,
        )
        self.said = time.monotonic()

    def on_end(self, event: Any) -> None:
        """Nothing."""


event.register("numba:compile", _GarbageCollectionPause())
if os.environ.get(ANNOUNCE) == str(os.getpid()):  # a process of the command line, not its workers
    event.register("numba:compile", _Announcement())

_cpu: Any = cpu_target  # its type stubs do not know the contexts
_cpu.typing_context.refresh()  # else the first call of a kernel would load what Numba knows of NumPy and
_cpu.target_context.refresh()  # mathematics; here it is part of the import (see `largen.runtime.garbage`)
