"""Datasets to and from files: netCDF-4, or zarr where the name ends in `.zarr`."""

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from largen.checks import InputError, Unverified, path_of, require, sentence
from largen.checks import dataset as checked
from largen.io.atomic import write_atomically
from largen.io.checksums import require_intact, seal, stamped, verify
from largen.io.paths import target_of
from largen.io.savable import require_savable
from largen.io.zarr import load_zarr, save_zarr


def save(dataset: xr.Dataset, path: str | os.PathLike) -> Path:
    """Save a Dataset as netCDF-4, or as a zarr store where the name ends in `.zarr`; whole or not at all.

    A checksum goes with it, which `load` verifies: attribute `checksum`, SHA-256 over data, coordinates and attributes.

    Args:
        dataset: What `simulate`, `solve_limit`, `compare`, `convergence` or an analysis returned.
        path: File name, by custom ending in `.nc`; a name that ends in `.zarr` makes a zarr store (extra `sweep`).

    Returns:
        The path.

    Raises:
        InputError: Not a Dataset, or one with objects, truth values or None among its attributes; the folder does
            not exist or is not writable, or the disk is full; an old file survives.
    """
    checked("dataset", dataset, remedy="Of one array, save array.to_dataset(name=...).")
    require_savable(dataset)
    path = target_of("path", path)
    if path.suffix == ".zarr":
        return save_zarr(dataset, path)
    # The file is made in memory: HDF5 cannot be trusted to report a full disk, a plain write can.
    image = netcdf_image(dataset)
    return write_atomically(path, lambda aside: aside.write_bytes(image.getbuffer()))


def netcdf_image(dataset: xr.Dataset) -> io.BytesIO:
    """Return a Dataset as the bytes of a netCDF-4 file, with its checksums."""
    _need_h5netcdf()
    encoding: dict[Any, dict[str, Any]] = {}
    for name, variable in dataset.variables.items():
        encoding[name] = {"_FillValue": None} if variable.dtype.kind == "f" else {}
        if variable.dtype.kind in "fiu" and variable.size > 1000 and name in dataset.data_vars:
            encoding[name] |= {"zlib": True, "complevel": 1, "shuffle": True}
    image = io.BytesIO()
    stamped(dataset).to_netcdf(image, engine="h5netcdf", encoding=encoding)
    with image.getbuffer() as written:
        line = seal(written)
    image.seek(0, io.SEEK_END)
    image.write(line)
    image.seek(0)
    return image


def load(path: str | os.PathLike) -> xr.Dataset:
    """Load a Dataset that `save` wrote; `load(save(x))` is identical to x.

    Its checksum is verified. A file without one (of another program, or of largen 0.1.0) is loaded with a warning of
    class `Unverified`.

    Raises:
        InputError: There is no such file, it is not a whole netCDF file or zarr store, or its content is not what was
            saved.
    """
    dataset, note = read(path)
    if note:
        warnings.warn(Unverified(note), stacklevel=2)
    return dataset


def read(path: str | os.PathLike) -> tuple[xr.Dataset, str]:
    """What `load` does, with a note on what could not be verified, or the empty string."""
    path = path_of("path", path)
    dataset, intact = load_zarr(path) if path.suffix == ".zarr" else _load_netcdf(path)
    dataset.encoding = {}
    for key in {"sizes", "inhibitory"} & set(dataset.attrs):  # netCDF does not tell a vector of one from a number
        dataset.attrs[key] = np.atleast_1d(dataset.attrs[key])
    for name, variable in dataset.variables.items():
        variable.encoding = {}
        if variable.dtype == object:
            dataset[name] = variable.astype(str)
    return dataset, verify(dataset, path, intact)


def _load_netcdf(path: Path) -> tuple[xr.Dataset, bool | None]:
    """A netCDF file as it is, and whether its bytes are those that were written."""
    _need_h5netcdf()
    require(path.is_file(), "path", "name an existing file", str(path))
    try:
        intact = require_intact(path)  # before HDF5 reads it, which damaged files can crash
        with xr.open_dataset(path, engine="h5netcdf", decode_times=False) as file:
            return file.load(), intact
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"File `{path}` is not a netCDF file that largen can read, or is damaged: {sentence(error)}."
        ) from error


def _need_h5netcdf() -> None:
    try:
        import h5netcdf  # noqa: F401
    except ImportError as error:
        raise InputError("Saving and loading need the package h5netcdf: pip install 'h5netcdf[h5py]'.") from error
