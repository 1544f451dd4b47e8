"""Datasets as zarr stores: folders that appear whole, and what stood there before survives any failure."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from largen.checks import InputError, require


def save_zarr(dataset: xr.Dataset, path: Path) -> Path:
    """Write a zarr store aside and rename it into place.

    A folder cannot be exchanged in one step as a file can: between two renames the old store stands beside the new one
    as `.NAME.old`, and `load_zarr` finds it there after a crash at that very moment.

    Raises:
        InputError: zarr is not installed, the folder is not there or not writable, or something else stands there.
    """
    need_zarr()
    require(path.parent.is_dir(), "path", "lie in an existing folder", str(path), "Make the folder first.")
    free = not path.exists() or _is_store(path)
    require(free, "path", "be new or name a zarr store", str(path), "Choose another name.")
    try:
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    except OSError as error:
        raise InputError(
            f"Folder `{path.parent}` must be writable, but is not: {error.strerror}. Choose another."
        ) from error
    try:
        whole = {name: {"chunks": variable.shape} for name, variable in dataset.variables.items() if variable.size}
        dataset.to_zarr(aside, mode="w", zarr_format=2, consolidated=True, encoding=whole)
        _synchronise(aside)
        os.chmod(aside, path.stat().st_mode if path.exists() else path.parent.stat().st_mode & 0o777)
        _exchange(aside, path)
    except OSError as error:
        raise InputError(
            f"Store `{path}` could not be written: {error.strerror or error}. "
            "What stood there before is untouched; free some space or choose another folder."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return path


def load_zarr(path: Path) -> xr.Dataset:
    """Load a zarr store that `save_zarr` wrote.

    Raises:
        InputError: zarr is not installed, or there is no whole zarr store.
    """
    need_zarr()
    found = path if path.exists() else kept_aside(path)
    require(_is_store(found), "path", "name an existing zarr store", str(path))
    try:
        with xr.open_dataset(found, engine="zarr", decode_times=False, chunks=None) as store:
            dataset = store.load()
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"Folder `{path}` is not a zarr store that largen can read: {error}.") from error
    for key, value in dataset.attrs.items():
        if isinstance(value, list):  # JSON knows no arrays
            dataset.attrs[key] = np.array(value)
    return dataset


def _is_store(path: Path) -> bool:
    return (path / ".zgroup").is_file()


def kept_aside(path: Path) -> Path:
    """Where the old store stands between two renames."""
    return path.with_name(f".{path.name}.old")


def _exchange(aside: Path, path: Path) -> None:
    old = kept_aside(path)
    if path.exists():
        if old.exists():
            shutil.rmtree(old)
        os.rename(path, old)
    os.rename(aside, path)
    if old.exists():
        shutil.rmtree(old)


def _synchronise(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in names:
            with open(Path(root, name), "rb") as file:
                os.fsync(file.fileno())


def need_zarr() -> None:
    """Refuse where zarr is not installed."""
    try:
        import zarr  # noqa: F401
    except ImportError as error:
        raise InputError("A zarr store needs the package zarr: pip install 'largen[sweep]', or use .nc.") from error
