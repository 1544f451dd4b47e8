"""Datasets to and from files: netCDF-4, or zarr where the name ends in `.zarr`."""

import io
import os
from pathlib import Path

import numpy as np
import xarray as xr

from largen.checks import InputError, require
from largen.io.atomic import write_atomically
from largen.io.zarr import load_zarr, save_zarr


def save(dataset: xr.Dataset, path: str | os.PathLike) -> Path:
    """Save a Dataset as netCDF-4, or as a zarr store where the name ends in `.zarr`; whole or not at all.

    Args:
        dataset: What `simulate`, `solve_limit`, `compare`, `convergence` or an analysis returned.
        path: File name, by custom ending in `.nc`; a name that ends in `.zarr` makes a zarr store (extra `sweep`).

    Returns:
        The path.

    Raises:
        InputError: The folder does not exist or is not writable, or the disk is full; an old file survives.
    """
    if Path(path).suffix == ".zarr":
        return save_zarr(dataset, Path(path))
    # The file is made in memory: HDF5 cannot be trusted to report a full disk, a plain write can.
    image = netcdf_image(dataset)
    return write_atomically(path, lambda aside: aside.write_bytes(image.getbuffer()))


def netcdf_image(dataset: xr.Dataset) -> io.BytesIO:
    """Return a Dataset as the bytes of a netCDF-4 file."""
    _need_h5netcdf()
    encoding = {
        name: {"zlib": True, "complevel": 1, "shuffle": True}
        for name, variable in dataset.data_vars.items()
        if variable.dtype.kind in "fiu" and variable.size > 1000
    }
    image = io.BytesIO()
    dataset.to_netcdf(image, engine="h5netcdf", encoding=encoding)
    image.seek(0)
    return image


def load(path: str | os.PathLike) -> xr.Dataset:
    """Load a Dataset that `save` wrote; `load(save(x))` is identical to x.

    Raises:
        InputError: There is no such file, or it is not a whole netCDF file or zarr store.
    """
    dataset = load_zarr(Path(path)) if Path(path).suffix == ".zarr" else _load_netcdf(path)
    dataset.encoding = {}
    if "sizes" in dataset.attrs:  # netCDF does not tell a vector of one entry from a number
        dataset.attrs["sizes"] = np.atleast_1d(dataset.attrs["sizes"])
    for name, variable in dataset.variables.items():
        variable.encoding = {}
        if variable.dtype == object:
            dataset[name] = variable.astype(str)
    return dataset


def _load_netcdf(path: str | os.PathLike) -> xr.Dataset:
    _need_h5netcdf()
    require(Path(path).is_file(), "path", "name an existing file", str(path))
    try:
        with xr.open_dataset(path, engine="h5netcdf", decode_times=False) as file:
            return file.load()
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"File `{path}` is not a netCDF file that largen can read: {error}.") from error


def _need_h5netcdf() -> None:
    try:
        import h5netcdf  # noqa: F401
    except ImportError as error:
        raise InputError("Saving and loading need the package h5netcdf: pip install 'h5netcdf[h5py]'.") from error
