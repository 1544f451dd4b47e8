"""Where a sweep keeps what is done: one immutable file per task, a lock, and the record of what is being swept.

A task file is plain bytes: magic line, checksum, JSON header, arrays of numbers. Nothing in it can run code, and a
file that is cut, foreign or renamed fails its checksum or names another task: it is never read, and done again.
"""

import contextlib
import enum
import hashlib
import json
import math
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from largen.checks import InputError, path_of
from largen.io.atomic import remove_if_left, write_atomically

_MAGIC = b"largen sweep task 1\n"
_DIGEST = 32
_DTYPES = {"<f8", "<i8", "|b1"}


class Status(enum.StrEnum):
    """What can become of a point, from the best to the worst.

    A point of several tasks has the worst of their statuses.
    """

    COMPLETED = "completed"
    STOPPED = "stopped"  # a limit lost on the way
    MISSING = "missing"  # not done yet
    FAILED = "failed"  # an exception

    @property
    def rank(self) -> int:
        """Place in this order."""
        return list(Status).index(self)


class Variable(NamedTuple):
    """One labelled array of a task.

    Attributes:
        dims: Dimensions after the leading one, which is the task's points (without it for a coordinate).
        data: Numbers or words.
        attrs: Unit and long name.
    """

    dims: tuple[str, ...]
    data: np.ndarray
    attrs: Mapping[str, str]


class Block(NamedTuple):
    """What one task found.

    Attributes:
        status: What became of each of its points.
        message: A message for each, empty where there is nothing to say.
        variables: Arrays by name, with a leading axis for the task's points.
        coords: Coordinates of their dimensions, by name.
    """

    status: tuple[Status, ...]
    message: tuple[str, ...]
    variables: Mapping[str, Variable]
    coords: Mapping[str, Variable]


class Damaged(ValueError):
    """Bytes that are not the whole file of this task."""


def encode(key: str, block: Block) -> bytes:
    """Write a task's results as bytes, the same for the same results."""
    chunks: list[bytes] = []
    header: dict[str, Any] = {"key": key, "status": block.status, "message": block.message}
    for part in ("variables", "coords"):
        header[part] = {}
        for name, variable in sorted(getattr(block, part).items()):
            entry: dict[str, Any] = {"dims": variable.dims, "attrs": dict(variable.attrs), "shape": variable.data.shape}
            if variable.data.dtype.kind == "U":
                entry["words"] = variable.data.ravel().tolist()
            else:
                data = np.ascontiguousarray(variable.data, _stored_type(variable.data))
                entry["dtype"] = data.dtype.str
                chunks.append(data.tobytes())
            header[part][name] = entry
    text = json.dumps(header, sort_keys=True, ensure_ascii=False).encode()
    body = b"".join([len(text).to_bytes(8, "little"), text, *chunks])
    return _MAGIC + hashlib.blake2b(body, digest_size=_DIGEST).digest() + body


def _stored_type(data: np.ndarray) -> str:
    return {"f": "<f8", "i": "<i8", "u": "<i8", "b": "|b1"}[data.dtype.kind]


def decode(key: str, data: bytes) -> Block:
    """Read what `encode` wrote for this task.

    Raises:
        Damaged: The bytes are cut, changed, or of another task.
    """
    start = len(_MAGIC) + _DIGEST
    body = memoryview(data)[start:]
    whole = data.startswith(_MAGIC) and len(body) >= 8
    if not whole or hashlib.blake2b(body, digest_size=_DIGEST).digest() != data[len(_MAGIC) : start]:
        raise Damaged("its checksum is wrong")
    end = 8 + int.from_bytes(body[:8], "little")
    try:
        header = json.loads(bytes(body[8:end]))
        if header["key"] != key:
            raise Damaged("it belongs to another task")
        parts: dict[str, dict[str, Variable]] = {"variables": {}, "coords": {}}
        for part, found in parts.items():
            for name in sorted(header[part]):
                entry = header[part][name]
                shape = tuple(int(size) for size in entry["shape"])
                if "words" in entry:
                    array = np.array(entry["words"], dtype=np.str_).reshape(shape)
                else:
                    array, end = _numbers(body, end, entry["dtype"], shape)
                found[str(name)] = Variable(tuple(entry["dims"]), array, dict(entry["attrs"]))
        return Block(tuple(map(Status, header["status"])), tuple(header["message"]), **parts)
    except (KeyError, TypeError, ValueError, RecursionError, AttributeError) as error:
        raise Damaged(str(error)) from error


def _numbers(body: memoryview, start: int, dtype: str, shape: tuple[int, ...]) -> tuple[np.ndarray, int]:
    if dtype not in _DTYPES or any(size < 0 for size in shape):
        raise Damaged("it holds something else than numbers")
    end = start + math.prod(shape) * np.dtype(dtype).itemsize
    if end > len(body):
        raise Damaged("it is cut")
    return np.frombuffer(body[start:end], dtype=dtype).reshape(shape), end


class Store:
    """The folder `<path>.tasks` beside a sweep's result at `path`.

    Args:
        path: Where the result goes: a name that ends in .zarr or .nc.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = path_of("store", path)
        self.folder = self.path.with_name(self.path.name + ".tasks")
        if self.path.suffix not in (".zarr", ".nc"):
            raise InputError(f"Argument `store` must end in .zarr or .nc, but is {str(path)!r}.")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store: make its folder, refuse a second sweep, clear away what a killed one left half-written.

        The lock is the kernel's and dies with its process, so that no stale lock is ever left behind.
        """
        if self.path.exists() and not self.folder.exists():
            raise InputError(
                f"Store `{self.path}` already exists, but is not the result of a sweep that can go on (there is no "
                f"`{self.folder.name}`). Choose another store."
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise InputError(
                f"Store `{self.path}` must be in a folder that can be written, but is not: {error.strerror}. "
                "Choose another."
            ) from error
        try:
            self._take(handle)
            for aside in self.folder.glob(".*.part"):
                remove_if_left(aside)
            yield
            with contextlib.suppress(OSError):
                os.ftruncate(handle, 0)
        finally:
            os.close(handle)

    def _take(self, handle: int) -> None:
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"Store `{self.path}` is in use by another sweep ({self._holder()}): wait for it, stop it, or choose "
                "another store."
            ) from error
        except OSError as error:
            raise InputError(
                f"Store `{self.path}` must be on a file system with locks, but is not: {error.strerror}. "
                "Choose another."
            ) from error
        with contextlib.suppress(OSError):  # a full disk is reported where it matters
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def _holder(self) -> str:
        try:
            return (self.folder / "lock").read_text(encoding="utf-8", errors="replace").strip()[:200] or "just started"
        except OSError:
            return "of another user"

    def busy(self) -> str:
        """Who is sweeping into this store now, or the empty string."""
        import fcntl

        try:
            handle = os.open(self.folder / "lock", os.O_RDONLY)
        except OSError:
            return ""
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return self._holder()
        finally:
            os.close(handle)
        return ""

    def file(self, key: str) -> Path:
        """Where the results of a task are."""
        return self.folder / f"{key}.task"

    def read(self, key: str) -> Block | None:
        """Results of a task; None where there is no whole file of it."""
        try:
            return decode(key, self.file(key).read_bytes())
        except (OSError, Damaged):
            return None

    def write(self, key: str, data: bytes) -> None:
        """Keep the results of a task: written aside, synchronised, renamed.

        Raises:
            InputError: The disk is full or the folder cannot be written.
        """
        if self.file(key).is_dir():  # a stranger's folder of this name
            raise InputError(f"`{self.file(key)}` must be a file, but is a folder: remove it.")
        if not self.folder.is_dir():
            raise InputError(
                f"Folder `{self.folder}` was removed while the sweep ran, and with it the tasks that were done: run "
                "the same again."
            )
        try:
            write_atomically(self.file(key), lambda aside: aside.write_bytes(data), clear=False)
        except InputError as error:
            raise InputError(f"{error} The tasks that are done are kept: run the same again to go on.") from error

    def record(self) -> dict[str, Any]:
        """What is being swept, as `keep_record` wrote it; empty where there is none."""
        try:
            found = json.loads((self.folder / "sweep.json").read_bytes())
            good = isinstance(found, dict) and isinstance(found["about"], dict) and isinstance(found["tasks"], list)
            return found if good else {}
        except (OSError, ValueError, KeyError, RecursionError):
            return {}

    def keep_record(self, record: Mapping[str, Any]) -> None:
        """Keep what is being swept."""
        text = json.dumps(record, sort_keys=True, ensure_ascii=False) + "\n"
        write_atomically(self.folder / "sweep.json", lambda aside: aside.write_text(text, encoding="utf-8"))
