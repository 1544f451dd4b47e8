"""`largen bifurcation`: the branches of a limit along a parameter, with their special points."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from largen.checks import InputError
from largen.commands.limit import COMPILES
from largen.commands.options import AsJson, JobOptions, OutFolder, Overwrite, takes_job
from largen.commands.output import Output, Results, results_folder, save_figure

if TYPE_CHECKING:
    import xarray as xr

    from largen.commands.job import Job
    from largen.system import AbstractFlowSystem


@takes_job("n", "changes", "options")
def bifurcation(
    asked: JobOptions,
    parameter: Annotated[str, typer.Option("--parameter", "-p", help="Its name, such as 'probability[e,i]'.")],
    to: Annotated[float, typer.Option("--to", help="Value at which to stop.")],
    begin: Annotated[
        float | None, typer.Option("--from", help="Value at which to begin; the model's if absent.")
    ] = None,
    cycles: Annotated[bool, typer.Option(help="Follow the periodic orbits born at Hopf points.")] = True,
    switch: Annotated[bool, typer.Option(help="Follow branches that cross.")] = True,
    points: Annotated[int, typer.Option("--points", help="Points after which a branch is cut.")] = 300,
    out: OutFolder = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Follow stationary states and orbits of the limit along a parameter, with their special points."""
    from largen.bifurcation.plain import diagram_as_plain
    from largen.commands.job import read_job

    output, job = Output(as_json), read_job(asked, ("dynamics",), size_of_file=False)
    settings = {"cycles": cycles, "switch": switch, "points": points, "progress": output.progress}
    doing = output.doing(f"Following the branches of {job.name} in {parameter} {COMPILES} ...")
    with results_folder(out, f"{Path(asked.model).stem}-bifurcation", overwrite) as results, doing:
        found = follow_and_keep(job, parameter, begin, to, results, settings)
    plain = diagram_as_plain(found) | {"folder": str(results.path)}
    output.result(plain, lambda: show_diagram(found, plain))


def follow_and_keep(
    job: "Job", parameter: str, begin: float | None, to: float, results: Results, settings: dict[str, Any]
) -> "xr.Dataset":
    """Follow the branches of a model's limit and keep everything in a folder.

    Args:
        job: The model and its options.
        parameter: The parameter's name.
        begin: Where to begin; None is the model's own value.
        to: Where to stop.
        results: The folder; gets `points.jsonl` (one point a line, as they come), `diagram.nc`, `diagram.json` and
            `diagram.png`.
        settings: Further arguments of `follow`.
    """
    from largen import plot
    from largen.analysis import follow
    from largen.bifurcation.plain import diagram_as_plain
    from largen.io.plain_files import write_json
    from largen.io.results import save
    from largen.parameters.plain import json_safe
    from largen.system import AbstractFlowSystem

    model, folder = job.model, results.folder
    if not isinstance(model, AbstractFlowSystem):
        raise InputError(f"A {type(model).__name__} has no branches to follow: its limit is a process, not a state.")
    if begin is not None:
        model = begun_at(model, parameter, begin)
    with open(folder / "points.jsonl", "w", encoding="utf-8") as lines:

        def keep(point: dict[str, Any]) -> None:
            lines.write(json.dumps(json_safe(point)) + "\n")
            lines.flush()

        found = follow(model, parameter, to=to, n=job.n, each=keep, **settings, **job.options)
    save(found, folder / "diagram.nc")
    write_json(diagram_as_plain(found) | {"folder": str(results.path)}, folder / "diagram.json")
    save_figure(plot.diagram_page(found, title=f"{job.name}: branches in {parameter}"), folder / "diagram.png")
    return found


def begun_at(model: "AbstractFlowSystem", parameter: str, value: float) -> "AbstractFlowSystem":
    """The model with the value of the parameter from which branches are followed."""
    import jax
    import numpy as np

    if parameter.endswith("*"):
        with jax.enable_x64(True):
            return model.varied(parameter, np.array(value), model.populations)
    return model.replace(**{parameter: value})


def show_diagram(found: "xr.Dataset", plain: dict[str, Any]) -> None:
    """Print branches and special points as tables."""
    from largen.commands.tables import console, table, with_unit

    out = console()
    for k, branch in enumerate(plain["branches"]):
        print(f"branch {k}: {branch['kind']}, {branch['points']} points. {branch['ending']}")
    units = {key: found[f"special_{key}"].attrs.get("units", "") for key in ("parameter", "frequency", "period")}
    heads = (plain["parameter"], "frequency", "period")
    special = table(
        "special point", *map(with_unit, heads, units.values()), "branch", "meaning", left=("special point", "meaning")
    )
    for row in plain["special"]:
        special.add_row(
            row["kind"].replace("_", " "),
            f"{row['parameter']:.8g} ± {row['uncertainty']:.1g}",
            f"{row['frequency']:.5g}" if row["frequency"] else "",
            f"{row['period']:.6g}" if row["period"] else "",
            str(row["branch"]),
            row["meaning"],
        )
    if plain["special"]:
        out.print(special)
    print(plain["searched"].split(" Give ")[0])
    print(f"Results: {plain['folder']}/")
