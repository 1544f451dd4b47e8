"""Compiled JAX programs kept on disk between processes (Numba keeps its own beside the source), and messages."""

import atexit
import contextlib
import hashlib
import importlib
import os
import platform
import shutil
import tempfile
import warnings
import zlib
from importlib.metadata import version
from pathlib import Path

QUICK = 0.1
"""Programs that compile in less than this many seconds are not worth a file."""

ANNOUNCE = "LARGEN_ANNOUNCES_COMPILATION"
"""Environment variable with the id of the process that says when kernels are compiled (not its workers)."""


def keep_compiled_programs() -> None:
    """Have JAX keep compiled programs of this process, and of those it starts, in the user's cache folder.

    For a process that largen owns (the command line, its workers), before JAX is imported. Variables that the user
    has set keep their values. Equinox's run-time checks would call back into Python, and a program with such a call
    cannot be kept: they give NaN instead, which largen refuses to return.
    """
    try:
        folder = Path(os.environ.get("JAX_COMPILATION_CACHE_DIR") or _folder())
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # a home that is not there, or cannot be written to
        return
    if not os.access(folder, os.W_OK):
        return  # every process compiles for itself
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(QUICK))
    os.environ.setdefault("EQX_ON_ERROR", "nan")


UNREADABLE = "Error reading persistent compilation cache entry"
"""How the warning begins with which JAX passes over a kept program that it cannot read."""


def forget_damaged_programs() -> None:
    """Remove the kept programs that cannot be read, such as one that a killed process was writing: JAX keeps them."""
    for file in Path(os.environ.get("JAX_COMPILATION_CACHE_DIR", os.devnull)).glob("*-cache"):
        with contextlib.suppress(OSError):
            if not _readable(file.read_bytes()):
                file.unlink()


def _readable(content: bytes) -> bool:
    """Whether compressed content is whole."""
    try:
        if content.startswith(b"\x28\xb5\x2f\xfd"):
            importlib.import_module("zstandard").ZstdDecompressor().decompress(content)  # JAX's, where it is installed
        else:
            zlib.decompress(content)
    except ImportError:
        return True
    except Exception:
        return False
    return True


def temporary_folder(variable: str) -> str | None:
    """A folder for compiled code that lives as long as this process, where no other can be written; with a note.

    Args:
        variable: Environment variable that tells this folder to worker processes.

    Returns:
        The folder, or None where not even a temporary one can be made: then nothing is kept.
    """
    why = "Neither the folder of largen nor that of the user can be written, so that compiled code is kept"
    try:
        folder = tempfile.mkdtemp(prefix="largen-compiled-")
    except OSError:
        _note(f"{why} nowhere: every process compiles for itself.")
        return None
    os.environ[variable] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _note(f"{why} until this process ends only. Set {variable} to a folder that can be written to keep it.")
    return folder


def _note(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=4)


def announce_compilation() -> None:
    """Have this process say on standard error when Numba compiles kernels; before any of them is imported."""
    os.environ[ANNOUNCE] = str(os.getpid())


def _folder() -> Path:
    """One folder for each version of JAX and each processor: compiled code runs only where it was made."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    machine = hashlib.sha256((platform.machine() + _processor()).encode()).hexdigest()[:12]
    return Path(base) / "largen" / f"jax-{version('jax')}-{machine}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))}))
