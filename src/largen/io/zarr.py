"""Datasets as zarr stores: folders that appear whole, and what stood there before survives any failure."""

import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from largen.checks import InputError, require, sentence
from largen.io.atomic import being_written
from largen.io.checksums import LIST, list_of, require_intact_files, stamped
from largen.io.folders import exchange, kept_aside, mend


def save_zarr(dataset: xr.Dataset, path: Path) -> Path:
    """Write a zarr store aside and rename it into place; `load_zarr` finds the old one after a crash at that moment.

    Raises:
        InputError: zarr is not installed, the folder is not writable, or something else stands there.
    """
    need_zarr()
    free = not path.exists() or _is_store(path)
    require(free, "path", "be new or name a zarr store", str(path), "Choose another name.")
    mend(path)
    with being_written(path, folder=True) as aside:
        try:
            for name, content in _files(dataset).items():
                (aside / name).parent.mkdir(exist_ok=True)
                (aside / name).write_bytes(content)
            os.chmod(aside, path.stat().st_mode if path.exists() else path.parent.stat().st_mode & 0o777)
            exchange(aside, path)
        except OSError as error:
            raise InputError(
                f"Store `{path}` could not be written: {error.strerror or error}. "
                "What stood there before is untouched; free some space or choose another folder."
            ) from error
    return path


def _files(dataset: xr.Dataset) -> dict[str, bytes]:
    """The files of a store by name, with their checksums; one chunk a variable."""
    from zarr.storage import MemoryStore

    encoding: dict[Hashable, dict[str, Any]] = {name: {} for name in dataset.variables}
    for name, variable in dataset.variables.items():
        if variable.size:
            encoding[name]["chunks"] = variable.shape
        if variable.dtype.kind == "f":
            encoding[name]["_FillValue"] = None
    made: dict[str, Any] = {}
    stamped(dataset).to_zarr(MemoryStore(made), mode="w", zarr_format=2, consolidated=True, encoding=encoding)
    files = {name: content.to_bytes() for name, content in made.items()}
    return files | {LIST: list_of(files)}


def load_zarr(path: Path) -> tuple[xr.Dataset, bool | None]:
    """Load a zarr store, and say whether its files are those that `save_zarr` wrote (None: nothing says so).

    Raises:
        InputError: zarr is not installed, or there is no whole zarr store.
    """
    need_zarr()
    found = path if path.exists() else kept_aside(path)
    require(found.is_dir(), "path", "name an existing zarr store", str(path))
    try:
        files = {file.relative_to(found).as_posix(): file.read_bytes() for file in found.rglob("*") if file.is_file()}
        intact = require_intact_files(files, path)
        require(_is_store(found), "path", "name an existing zarr store", str(path))
        dataset = _read(files)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"Folder `{path}` is not a zarr store that largen can read, or is damaged: {sentence(error)}."
        ) from error
    for key, value in dataset.attrs.items():
        if isinstance(value, list):  # JSON knows no arrays
            dataset.attrs[key] = np.array(value)
    return dataset, intact


def _read(files: Mapping[str, bytes]) -> xr.Dataset:
    from zarr.core.buffer import default_buffer_prototype
    from zarr.storage import MemoryStore

    buffer = default_buffer_prototype().buffer
    store = MemoryStore({name: buffer.from_bytes(content) for name, content in files.items()}, read_only=True)
    with xr.open_dataset(store, engine="zarr", decode_times=False, chunks=None) as opened:  # pyright: ignore
        return opened.load()


def _is_store(path: Path) -> bool:
    return (path / ".zgroup").is_file()


def need_zarr() -> None:
    """Refuse where zarr is not installed."""
    try:
        import zarr  # noqa: F401
    except ImportError as error:
        raise InputError("A zarr store needs the package zarr: pip install 'largen[sweep]', or use .nc.") from error
