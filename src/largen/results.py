"""Arrays -> labelled `xarray.Dataset`, and Datasets to and from files. Nothing else in largen makes labels."""

import functools
import importlib.metadata
import io
import json
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import largen
from largen.checks import InputError, require
from largen.plain import to_plain
from largen.stores import load_zarr, save_zarr
from largen.system import AbstractSystem, Arrays, Observable

_DIM_ATTRS = {
    "population": {"long_name": "population", "units": "1"},
    "source": {"long_name": "source population", "units": "1"},
    "realisation": {"long_name": "realisation", "units": "1"},
}


@functools.cache
def versions() -> str:
    """Versions of largen and of what its numbers depend on, on one line."""
    found = [f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "numba", "jax", "diffrax")]
    return ", ".join(
        [f"largen {largen.__version__}", *found, f"python {platform.python_version()}", platform.machine()]
    )


def label(
    system: AbstractSystem,
    times: np.ndarray,
    parts: Sequence[Arrays],
    *,
    kind: str,
    n: float,
    seed: int | None,
    method: str,
    realisations: bool,
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """Label what a system returned.

    Args:
        system: The model.
        times: Output times.
        parts: One `Arrays` per realisation; just one if the limit carries no realisations or carries its own.
        kind: "network" or "limit".
        n: Total number of neurons (infinite for an infinite limit).
        seed: Seed, or None for a deterministic limit.
        method: How it was computed.
        realisations: Whether to stack the parts along a new leading dim `realisation`.
        attrs: More attributes.
    """
    first = parts[0]
    own = bool(first.attrs.get("realisations"))  # a limit that carries a realisation axis itself
    lead = ("realisation",) if realisations or own else ()
    variables: dict[str, Any] = {}
    for observable in system.observables:
        if observable.name not in first.values:
            continue
        note = {"units": observable.unit, "long_name": observable.long_name}
        blocks = [np.asarray(part.values[observable.name]) for part in parts]
        if "spike" in observable.dims:
            variables[observable.name] = (observable.dims, np.concatenate(blocks), note)
        else:
            data = np.stack(blocks) if realisations else blocks[0]
            variables[observable.name] = (lead + observable.dims, data, note)
        _refuse_nan(observable, variables[observable.name][1], first)
    ragged = [observable.name for observable in system.observables if "spike" in observable.dims]
    if realisations and ragged and ragged[0] in first.values:
        counts = [len(part.values[ragged[0]]) for part in parts]
        variables["spike_realisation"] = (
            ("spike",),
            np.repeat(np.arange(len(parts), dtype=np.int32), counts),
            {"units": "", "long_name": "realisation of a spike"},
        )
    stop = len(times) if first.stopped_at is None else int(np.searchsorted(times, first.stopped_at, side="right"))
    coords = _coords(system, times[:stop], first, variables)
    about = {
        "system": system.system,
        "kind": kind,
        "parameters": json.dumps(to_plain(system, strict=False)),
        "n": n,
        "method": method,
        "status": first.status,
        "versions": versions(),
    }
    if seed is not None:
        about["seed"] = seed
    if np.isfinite(n):
        about["sizes"] = system.sizes(int(n))
    about |= _plain_attrs(attrs) | _plain_attrs(first.attrs)
    return xr.Dataset(_bare(variables), _bare(coords), about)


def _bare(variables: Mapping[str, Any]) -> dict[str, xr.Variable]:
    """Variables of NumPy arrays as they are: asked to look, xarray imports dask to see that they are none of its."""
    return {
        name: xr.Variable(dims, np.asarray(data), *attrs, fastpath=True)
        for name, (dims, data, *attrs) in variables.items()
    }


def _coords(system: AbstractSystem, times: np.ndarray, first: Arrays, variables: Mapping[str, Any]) -> dict[str, Any]:
    dims = {dim for spec in variables.values() for dim in spec[0]}
    coords: dict[str, Any] = {"time": ("time", times, {"units": system.time_unit, "long_name": "time"})}
    labels = np.array(system.populations)
    for dim in ("population", "source"):
        if dim in dims:
            coords[dim] = (dim, labels, _DIM_ATTRS[dim])
    if "realisation" in dims:
        count = next(len(spec[1]) for spec in variables.values() if spec[0][:1] == ("realisation",))
        coords["realisation"] = ("realisation", np.arange(count), _DIM_ATTRS["realisation"])
    for dim, given in first.coords.items():
        coords[dim] = given if isinstance(given, tuple) else (dim, np.asarray(given))
    return coords


def _refuse_nan(observable: Observable, data: np.ndarray, part: Arrays) -> None:
    if data.dtype.kind == "f" and not np.all(np.isfinite(data)):
        raise FloatingPointError(
            f"Observable `{observable.name}` is not finite ({part.status}). This is a fault of largen or of a "
            "function you gave: please report it with the model."
        )


def _plain_attrs(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as netCDF can hold them: numbers, words and vectors."""
    plain = {}
    for key, value in attrs.items():
        if isinstance(value, bool | np.bool_):
            value = str(bool(value)).lower()
        elif value is None:
            value = "none"
        elif isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value):
            value = ", ".join(value)
        plain[key] = value
    return plain


# Files --------------------------------------------------------------------------------------------------------


def write_atomically(path: str | os.PathLike, write: Any) -> Path:
    """Write a file aside and rename it into place, so that an old file survives any failure.

    Args:
        path: The file to make or replace.
        write: Called with the path of the temporary file, in the same folder.
    """
    path = Path(path)
    folder = path.parent
    require(folder.is_dir(), "path", "lie in an existing folder", str(path), "Make the folder first.")
    try:
        handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=folder)
        os.close(handle)
    except OSError as error:
        raise InputError(
            f"Folder `{folder}` must be writable, but is not: {error.strerror}. Choose another."
        ) from error
    try:
        write(Path(aside))
        with open(aside, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(aside, 0o666 & ~_umask())
        os.replace(aside, path)
    except OSError as error:
        raise InputError(
            f"File `{path}` could not be written: {error.strerror or error}. "
            "What stood there before is untouched; free some space or choose another folder."
        ) from error
    finally:
        if os.path.exists(aside):
            os.unlink(aside)
    return path


def _umask() -> int:
    """Read the process's umask without changing it."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1], 8) for line in file if line.startswith("Umask"))
    except (OSError, StopIteration):
        return 0o022


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
