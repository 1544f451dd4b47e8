"""Arrays -> labelled `xarray.Dataset`, and Datasets to and from files. Nothing else in largen makes labels."""

import functools
import hashlib
import importlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import largen
from largen.parameters.plain import finite_or_word, to_plain
from largen.system import AbstractSystem, Arrays, Observable
from largen.system.values import COMPLETED

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


SOURCES = (
    "comparison", "datasets", "numerics", "parameters", "simulation", "space", "statistics", "sweeps", "system",
    "systems",
)  # fmt: skip
"""Parts of largen on which computed numbers depend."""


def class_name(model: AbstractSystem) -> str:
    """The model's class as `module:name`."""
    return f"{type(model).__module__}:{type(model).__qualname__}"


@functools.cache
def code_version(system: str) -> str:
    """Versions of everything that computed numbers depend on, with a hash of largen's (and the system's) own source.

    Args:
        system: The class of the system, as `class_name` gives it.
    """
    root = Path(largen.__file__).parent
    files = [path for name in SOURCES for path in [*root.glob(f"{name}.py"), *(root / name).rglob("*.py")]]
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(files):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    module = importlib.import_module(system.partition(":")[0])
    if not module.__name__.startswith("largen.") and getattr(module, "__file__", None):
        digest.update(Path(str(module.__file__)).read_bytes())
    return f"{versions()}, source {digest.hexdigest()}"


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
    variables = _variables(system.observables, parts, realisations)
    stop = len(times) if first.stopped_at is None else int(np.searchsorted(times, first.stopped_at, side="right"))
    coords = _coords(system, system.populations, times[:stop], first, variables)
    about = {
        "system": system.system,
        "kind": kind,
        "parameters": json.dumps(to_plain(system, strict=False)),
        "n": n,
        "method": method,
        "status": first.status,
        "start_time": float(times[0]),
        "versions": versions(),
    }
    if seed is not None:
        about |= netcdf_attrs({"seed": seed})
    if np.isfinite(n):
        about["sizes"] = system.sizes(int(n))
    if system.populations:  # in the order of `sizes` and of recorded spikes, whatever is selected later
        about["populations"] = ", ".join(system.populations)
    about |= netcdf_attrs(attrs) | netcdf_attrs(first.attrs)
    return xr.Dataset(_bare(variables), _bare(coords), about)


def label_recording(
    system: type[AbstractSystem],
    populations: Sequence[str],
    times: np.ndarray,
    parts: Sequence[Arrays],
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """Label recorded spikes and rates as a network of a system, which has no parameters.

    Args:
        system: Class of the system whose observables they are.
        populations: Labels of the populations.
        times: Output times.
        parts: One `Arrays` per realisation.
        attrs: More attributes, the vector `sizes` among them, and of a sample `network_sizes`.
    """
    variables = _variables(system.observables, parts, True)
    coords = _coords(system, populations, times, parts[0], variables)
    whole = attrs.get("network_sizes", attrs["sizes"])
    about = {"system": system.system, "kind": "recording", "n": int(np.sum(whole)), "status": COMPLETED}
    about |= {"start_time": float(times[0]), "versions": versions(), "populations": ", ".join(populations)}
    return xr.Dataset(_bare(variables), _bare(coords), about | netcdf_attrs(attrs))


def _variables(observables: Sequence[Observable], parts: Sequence[Arrays], realisations: bool) -> dict[str, Any]:
    """Dims, data and attributes of what there is of a system's observables, and the realisation of each spike."""
    first = parts[0]
    own = bool(first.attrs.get("realisations"))  # a limit that carries a realisation axis itself
    lead = ("realisation",) if realisations or own else ()
    variables: dict[str, Any] = {}
    for observable in observables:
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
    ragged = [observable.name for observable in observables if "spike" in observable.dims]
    if realisations and ragged and ragged[0] in first.values:
        counts = [len(part.values[ragged[0]]) for part in parts]
        variables["spike_realisation"] = (
            ("spike",),
            np.repeat(np.arange(len(parts), dtype=np.int32), counts),
            {"units": "", "long_name": "realisation of a spike"},
        )
    return variables


def _bare(variables: Mapping[str, Any]) -> dict[str, xr.Variable]:
    """Variables of NumPy arrays as they are: asked to look, xarray imports dask to see that they are none of its."""
    return {
        name: xr.Variable(dims, np.asarray(data), *attrs, fastpath=True)
        for name, (dims, data, *attrs) in variables.items()
    }


def _coords(
    system: AbstractSystem | type[AbstractSystem],
    populations: Sequence[str],
    times: np.ndarray,
    first: Arrays,
    variables: Mapping[str, Any],
) -> dict[str, Any]:
    dims = {dim for spec in variables.values() for dim in spec[0]}
    coords: dict[str, Any] = {"time": ("time", times, {"units": system.time_unit, "long_name": "time"})}
    labels = np.array(populations)
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
        raise FloatingPointError(f"Observable `{observable.name}` is not finite ({part.status})")


def netcdf_attrs(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as netCDF can hold them: numbers, words and vectors."""
    plain = {}
    for key, value in attrs.items():
        if isinstance(value, bool | np.bool_):
            value = str(bool(value)).lower()
        elif value is None:
            value = "none"
        elif isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value):
            value = ", ".join(value)
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:  # a seed of any size
            value = str(digits(value))
        plain[key] = value
    return plain


def digits(number: int) -> int | str:
    """An integer of any size as it can be written: hexadecimal where Python writes no decimal digits."""
    return number if number.bit_length() < 10_000 else hex(number)


def seed_of(dataset: xr.Dataset) -> int | None:
    """The seed among a Dataset's attributes, where one too large for netCDF is kept as text."""
    seed = dataset.attrs.get("seed")
    return int(seed, 0) if isinstance(seed, str) else seed


# Plain values ----------------------------------------------------------------------------------------------------


def component_labels(variable: xr.DataArray) -> list[str]:
    """Name the components of an observable, in the order of its dims: `rate[e]`, `pending[e,i]`."""
    dims = [dim for dim in variable.dims if dim not in ("realisation", "time", "time_")]
    words = [
        [str(v) for v in (variable[dim].values if dim in variable.coords else range(variable.sizes[dim]))]
        for dim in dims
    ]
    labels = [""]
    for column in words:
        labels = [f"{label},{word}" if label else word for label in labels for word in column]
    return [f"{variable.name}[{label}]" if label else str(variable.name) for label in labels]


def json_attrs(dataset: xr.Dataset) -> dict[str, Any]:
    """Attributes as JSON can hold them, without the parameters."""
    keys = [key for key in dataset.attrs if key != "parameters"]
    return {str(key): finite_or_word(dataset.attrs[key]) for key in keys if np.ndim(dataset.attrs[key]) == 0}


def describe(dataset: xr.Dataset, out: Path | None) -> dict[str, Any]:
    """A network or limit as plain values: attributes and time means (with standard errors over realisations)."""
    means = {}
    for variable in dataset.data_vars.values():
        if "time" not in variable.dims:
            continue
        sampled = "realisation" in variable.dims
        average = variable.mean([d for d in ("time", "time_") if d in variable.dims])
        centre = average.mean("realisation") if sampled else average
        for k, label in enumerate(component_labels(variable)):
            means[label] = {"mean": float(centre.values.ravel()[k]), "unit": variable.attrs.get("units", "")}
            if sampled and variable.sizes["realisation"] > 1:
                spread = average.std("realisation", ddof=1) / np.sqrt(variable.sizes["realisation"])
                means[label]["standard_error"] = float(spread.values.ravel()[k])
    return json_attrs(dataset) | {"time_means": means, "file": str(out) if out else None}


def describe_statistics(table: xr.Dataset) -> dict[str, Any]:
    """Statistics with their standard errors in `<name>_se` as plain values: value, standard error and unit by name."""
    rows: dict[str, Any] = {}
    for key, variable in table.data_vars.items():
        if str(key).endswith("_se"):
            continue
        values, errors = variable.values.ravel().tolist(), table[f"{key}_se"].values.ravel().tolist()
        for label, value, error in zip(component_labels(variable), values, errors, strict=True):
            rows[label] = {
                "value": value if np.isfinite(value) else None,
                "standard_error": error if np.isfinite(error) else None,
                "unit": str(variable.attrs["units"]),
            }
    return rows
