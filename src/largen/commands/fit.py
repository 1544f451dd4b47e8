"""The commands `largen fit` and `largen equations`: files in, a results folder out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from largen.checks import InputError, known_keys, require
from largen.commands.runs import Job
from largen.fitting.fits import fit
from largen.io.model_files import write_model
from largen.io.plain_files import parse_yaml, read_text, write_json
from largen.io.results import load, save
from largen.parameters.plain import json_safe
from largen.system import AbstractSystem


def run(
    job: Job,
    target: Path,
    folder: Path,
    *,
    free: Sequence[str],
    observables: Sequence[str],
    through: str,
    starts: int,
    check: bool,
) -> dict[str, Any]:
    """Fit and keep fit.nc, fit.json and the fitted model.yaml; return the fit as plain values.

    Args:
        job: Model, times, size, seed and options.
        target: A Dataset (.nc, .zarr) or a YAML file of observables.
        folder: Where results go.
        free: Free parameters.
        observables: Observables, all if empty.
        through: As in `fit`.
        starts: Starting points.
        check: Whether to simulate the fitted network.
    """
    require(len(free) > 0, "free", "name at least one parameter", list(free), "Such as --free 'tau[e]'.")
    aim = read_target(target)
    times = None if isinstance(aim, xr.Dataset) else job.times
    result = fit(
        job.model,
        aim,
        free=list(free),
        observables=list(observables) or None,
        through=through,
        times=times,
        n=job.n,
        starts=starts,
        seed=job.seed,
        check=check,
        **job.options,
    )
    save(result, folder / "fit.nc")
    write_model(fitted_model(job.model, result), folder / "model.yaml")
    plain = as_plain(result) | {"folder": str(folder), "files": ["fit.nc", "fit.json", "model.yaml"]}
    write_json(plain, folder / "fit.json")
    return plain


def fitted_model(model: AbstractSystem, result: xr.Dataset) -> AbstractSystem:
    """The model with the fitted values."""
    return model.replace(**dict(zip(result["parameter"].values.tolist(), result["value"].values.tolist(), strict=True)))


def read_target(path: Path) -> xr.Dataset | dict[str, Any]:
    """Read a target: a Dataset, or YAML with a value or `{value: ..., error: ...}` by observable or component."""
    if path.suffix in (".nc", ".zarr"):
        return load(path)
    require(path.is_file(), "target", "name an existing file", str(path))
    try:
        plain = parse_yaml(read_text(path))
    except InputError as error:
        raise InputError(f"File `{path}` is neither a Dataset (.nc, .zarr) nor YAML: {error}") from error
    require(isinstance(plain, Mapping), "target", "hold a mapping of observables", plain)
    found: dict[str, Any] = {}
    for key, entry in plain.items():
        if isinstance(entry, Mapping):
            known_keys(f"key of target `{key}`", map(str, entry), ("value", "error"))
            require("value" in entry, f"target {key}", "have a value", dict(entry))
            found[str(key)] = (entry["value"], entry["error"]) if "error" in entry else entry["value"]
        else:
            found[str(key)] = entry
    return found


def as_plain(result: xr.Dataset) -> dict[str, Any]:
    """A fit as plain values."""
    rows = {}
    for name in result["parameter"].values.tolist():
        row = result.sel(parameter=name)
        keys = ("value", "standard_error", "ci_low", "ci_high", "start")
        rows[name] = {key: json_safe(float(row[key])) for key in keys} | {"unit": str(row["unit"].item())}
    keep = [key for key in result.attrs if key != "parameters"]
    attrs = {str(key): json_safe(_python(result.attrs[key])) for key in keep}
    return attrs | {"parameters": rows, "model": json_safe(json.loads(result.attrs["parameters"]))}


def _python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def show(plain: dict[str, Any]) -> None:
    """Print a fit."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for column in ("parameter", "fitted", "+-", "start", "unit"):
        table.add_column(column, justify="left" if column == "parameter" else "right", no_wrap=True)
    for name, row in plain["parameters"].items():
        fitted, error, start = (float(row[key]) for key in ("value", "standard_error", "start"))
        table.add_row(name, f"{fitted:.6g}", f"{error:.2g}", f"{start:.6g}", row["unit"])
    console.print(table)
    console.print(f"{plain['status'].capitalize()}; standard errors {plain['standard_errors']}.")
    console.print(plain["identifiability"])
    if "check" in plain:
        console.print(plain["check"])
    console.print(f"Results: {plain['folder']}/ ({', '.join(plain['files'])})")
