"""`largen fit`: the parameters at which a limit gives the observables of a target."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from largen.checks import InputError, known_keys, path_of, require
from largen.commands.limit import COMPILES
from largen.commands.options import AsJson, JobOptions, OutFolder, Overwrite, Tolerance, takes_job
from largen.commands.output import Output, Results, results_folder

if TYPE_CHECKING:
    import xarray as xr

    from largen.system import AbstractSystem

FILES = ("fit.nc", "fit.json", "model.yaml")


@takes_job("n", "seed", "times", "changes", "options")
def fit(
    asked: JobOptions,
    target: Annotated[Path, typer.Argument(help="A Dataset (.nc, .zarr) or observables in YAML.")],
    free: Annotated[list[str] | None, typer.Option("--free", help="A free parameter, such as 'tau[e]'; repeatable.")],
    out: OutFolder = None,
    observables: Annotated[list[str] | None, typer.Option("--observable", help="Use this one; repeatable.")] = None,
    through: Annotated[str, typer.Option("--through", help="limit, finite (equations at n) or network.")] = "limit",
    starts: Annotated[int, typer.Option("--starts", help="Starting points.")] = 4,
    model_error: Annotated[
        list[str] | None,
        typer.Option("--model-error", help="The theory's own error: a share such as 0.05, or rate=0.05; repeatable."),
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option("--profile", help="Interval of this parameter from a profile; 'all', 'none'; repeatable."),
    ] = None,
    errors: Annotated[str, typer.Option("--errors", help="data, or scaled (by a small misfit).")] = "data",
    tolerance: Tolerance = None,
    check: Annotated[bool, typer.Option(help="Simulate the fitted network and compare it.")] = True,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Fit parameters to observables, by derivatives through the limit; Ctrl-C keeps the best so far in OUT.stopped."""
    import xarray as xr

    from largen.checks import FitError, Stopped
    from largen.commands.job import read_job, shares
    from largen.fitting import fit
    from largen.simulation import Interrupted

    output, job = Output(as_json), read_job(asked, ("smooth", "limit"), size_of_file=False)
    with results_folder(out, f"{Path(asked.model).stem}-fit", overwrite) as results:
        require(bool(free), "free", "name at least one parameter", free, "Such as --free 'tau[e]'.")
        aim = read_target(target)
        with output.doing(f"Fitting {', '.join(free or ())} of {job.name} {COMPILES} ..."):
            try:
                result = fit(
                    job.model,
                    aim,
                    free=free or (),
                    observables=observables or None,
                    through=through,
                    times=None if isinstance(aim, xr.Dataset) else job.times,
                    n=job.n,
                    starts=starts,
                    seed=job.seed,
                    model_error=shares("--model-error", model_error),
                    errors=errors,
                    check=check,
                    tolerance=shares("--tolerance", tolerance),
                    profile=profiles_of(profile),
                    progress=output.progress,
                    keep=results.folder / "fit.nc",
                    **job.options,
                )
            except FitError as error:
                result = error.partial
            except Interrupted as stop:
                if stop.partial is not None:
                    keep(stop.partial, job.model, results)
                raise Stopped("" if stop.partial is None else f"The fit: {stop.partial.attrs['status']}.") from stop
        plain = keep(result, job.model, results)
    output.result(plain, lambda: show_fit(plain))


def keep(result: "xr.Dataset", model: "AbstractSystem", results: Results) -> dict[str, Any]:
    """Save a fit and the fitted model; return the fit as plain values."""
    from largen.fitting.plain import fit_as_plain
    from largen.io.model_files import write_model
    from largen.io.plain_files import write_json
    from largen.io.results import save

    folder = results.folder
    save(result, folder / "fit.nc")
    values = dict(zip(result["parameter"].values.tolist(), result["value"].values.tolist(), strict=True))
    write_model(model.replace(**values), folder / "model.yaml")
    plain = fit_as_plain(result) | {"folder": str(results.path), "files": list(FILES)}
    write_json(plain, folder / "fit.json")
    return plain


def profiles_of(given: list[str] | None) -> bool | list[str] | None:
    """What `--profile` asks for, as `fit` takes it."""
    if not given:
        return None
    return {"all": True, "none": False}.get(given[0], given) if len(given) == 1 else given


def read_target(path: Path) -> "xr.Dataset | dict[str, Any]":
    """Read a target: a Dataset, or YAML with a value or `{value: ..., error: ...}` by observable or component."""
    from largen.io.plain_files import parse_plain, read_text
    from largen.io.results import load

    path = path_of("target", path)
    if path.suffix in (".nc", ".zarr"):
        return load(path)
    require(path.is_file(), "target", "name an existing file", str(path))
    try:
        plain = parse_plain(read_text(path))
    except InputError as error:
        raise InputError(f"File `{path}` is neither a Dataset (.nc, .zarr) nor YAML: {error}") from error
    require(isinstance(plain, Mapping), "target", "hold a mapping of observables", plain)
    return {str(key): _entry(str(key), entry) for key, entry in plain.items()}


def _entry(key: str, entry: Any) -> Any:
    """A value, or (value, standard error)."""
    if not isinstance(entry, Mapping):
        return entry
    known_keys(f"key of target `{key}`", map(str, entry), ("value", "error"))
    require("value" in entry, f"target {key}", "have a value", dict(entry))
    return (entry["value"], entry["error"]) if "error" in entry else entry["value"]


def show_fit(plain: dict[str, Any]) -> None:
    """Print a fit."""
    from largen.commands.tables import console, plus_minus, table, unit

    out = console()
    refused = plain["verdict"] == "does not fit"
    if refused:
        print(plain["fit_message"])
    columns = table("parameter", "least bad" if refused else "fitted", "start", "unit")
    for name, row in plain["parameters"].items():
        value, error, start = (float(row[key]) for key in ("value", "standard_error", "start"))
        columns.add_row(name, plus_minus(value, error, digits=6), f"{start:.6g}", unit(row["unit"]))
    out.print(columns)
    if not refused:
        print(plain["fit_message"])
    if "profile" in plain:
        print(plain["profile"])
    print(f"{plain['status'].capitalize()}; standard errors: {plain['standard_errors']}.")
    print(plain["identifiability"])
    print(plain["other_minima"])
    if "left_out" in plain:
        print(plain["left_out"])
    if "check" in plain:
        print(plain["check"])
    print(f"Results: {plain['folder']}/ ({', '.join(plain['files'])})")
