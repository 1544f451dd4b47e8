"""Checksums of results: of what a Dataset holds, whatever its format, and of the bytes on the disk.

`save` writes both, `load` verifies. The checksum of the content is the attribute `checksum`: SHA-256 over names, dims,
types, values and attributes in a canonical order. The bytes of a netCDF file are followed by a line with their SHA-256,
which readers of HDF5 ignore; a zarr store has a list of files that `sha256sum -c` understands.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from largen.checks import InputError, shown

ATTRIBUTE = "checksum"
LIST = "checksums.sha256"
_WORD = b"\nlargen sha256 "
_LENGTH = len(_WORD) + 65


def stamped(dataset: xr.Dataset) -> xr.Dataset:
    """A Dataset with the checksum of its content among its attributes."""
    return dataset.assign_attrs({ATTRIBUTE: f"sha256:{checksum(dataset)}"})


def checksum(dataset: xr.Dataset) -> str:
    """SHA-256 of the content of a Dataset: names, dims, types, values and attributes, the same in every format."""
    found = hashlib.sha256()
    for name in sorted(map(str, dataset.variables)):
        variable = dataset.variables[name]
        words = variable.dtype.kind not in "fiubcmM"
        kind = "text" if words else variable.dtype.newbyteorder("<").str
        about = [name, name in dataset.coords, list(map(str, variable.dims)), list(variable.shape), kind]
        found.update(_text([*about, _plain(variable.attrs)]))
        if words:
            found.update(_text([str(word) for word in variable.values.ravel()]))
        else:
            found.update(np.ascontiguousarray(variable.values, kind).reshape(-1).view(np.uint8).data)
    found.update(_text(_plain(dataset.attrs)))
    return found.hexdigest()


def _text(plain: Any) -> bytes:
    return json.dumps(plain).encode() + b"\n"


def _plain(attrs: Any) -> list[Any]:
    """Attributes as plain values; no format tells all types, nor a vector of one entry from a number."""
    return [[key, *_entries(attrs[key])] for key in sorted(map(str, attrs)) if key != ATTRIBUTE]


def _entries(value: Any) -> list[Any]:
    flat = np.asarray(value).ravel()
    if flat.dtype.kind in "iub":
        return ["integers", [int(entry) for entry in flat]]
    if flat.dtype.kind == "f":
        return ["numbers", [float(entry).hex() for entry in flat]]
    return ["text", [str(entry) for entry in flat]]


def verify(dataset: xr.Dataset, path: Path, intact: bool | None) -> str:
    """Take its checksum from a Dataset that was read, and verify it.

    Args:
        dataset: What was read.
        path: Where it was.
        intact: Whether the bytes were those that `save` wrote; None where they say nothing of that.

    Returns:
        A note on what could not be verified, or the empty string.

    Raises:
        InputError: Its content is not what its checksum says.
    """
    said = dataset.attrs.pop(ATTRIBUTE, None)
    if intact:
        return ""
    if said is None:
        return f"`{path}` has no checksum (an older largen or another program wrote it): nothing could be verified."
    if said != f"sha256:{checksum(dataset)}":
        raise damaged(path, "its content is not what its checksum says")
    return f"`{path}` was cut or written by another program after largen; its content agrees with its checksum."


def damaged(path: Path, why: str) -> InputError:
    """The error of a damaged file."""
    return InputError(
        f"`{path}` is damaged, or was changed after largen wrote it: {why}. Take a copy or make it again; "
        "what you changed yourself is read with xarray."
    )


# The bytes of a file --------------------------------------------------------------------------------------------------


def seal(image: bytes | memoryview) -> bytes:
    """The line that follows the bytes of a file."""
    return _WORD + hashlib.sha256(image).hexdigest().encode() + b"\n"


def require_intact(path: Path) -> bool | None:
    """Whether the bytes of a file are those that were written; None where no line says so.

    Raises:
        InputError: They are not.
    """
    size = os.path.getsize(path) - _LENGTH
    if size < 0:
        return None
    found = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        file.seek(size)
        line = file.read(_LENGTH)
        if not line.startswith(_WORD):
            return None
        file.seek(0)
        left, room = size, memoryview(bytearray(1 << 20))
        while left > 0 and (count := file.readinto(room[: min(left, len(room))])):
            found.update(room[:count])
            left -= count
    if line != _WORD + found.hexdigest().encode() + b"\n":
        raise damaged(path, "its bytes are not those that were written")
    return True


# The files of a folder ------------------------------------------------------------------------------------------------


def list_of(files: Mapping[str, bytes]) -> bytes:
    """The list of a folder's files with their checksums, which `sha256sum -c` understands."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(_digests(files).items())).encode()


def require_intact_files(files: Mapping[str, bytes], folder: Path) -> bool | None:
    """Whether these are the files that were written to a folder and no others; None where no list says so.

    Raises:
        InputError: They are not.
    """
    if LIST not in files:
        return None
    pairs = [line.split("  ", 1) for line in files[LIST].decode("utf-8", "replace").splitlines()]
    said, found = {pair[-1]: pair[0] for pair in pairs}, _digests(files)
    wrong = sorted(name for name in said.keys() | found.keys() if said.get(name) != found.get(name))
    if wrong:
        raise damaged(folder, f"its file {shown(wrong[0])} {'differs' if wrong[0] in found else 'is not there'}")
    if files[LIST] != list_of(files):
        raise damaged(folder, f"its file {LIST} differs")
    return True


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name != LIST}
