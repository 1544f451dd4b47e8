"""`largen sweep`: many parameters, from a sweep file into a store."""

from pathlib import Path
from typing import Annotated, Any

import typer

from largen.checks import InputError, Stopped, path_of
from largen.commands.options import AsJson, Functions, Realisations, Seed, Size, Tolerance
from largen.commands.output import Output, save_figure


def sweep(
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="A model file with a `sweep` block.")] = None,
    store: Annotated[
        Path | None, typer.Option("--store", "-o", help="Result, ending in .zarr or .nc; FILE.zarr if absent.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", "-w", help="Worker processes.")] = 1,
    status: Annotated[bool, typer.Option("--status", help="Only say how far it has come.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Do points again that failed.")] = False,
    extend: Annotated[bool, typer.Option("--extend", help="Go on in a store that holds another sweep.")] = False,
    draw: Annotated[str | None, typer.Option("--map", help="Draw this variable, such as limit_rate.")] = None,
    n: Size = None,
    realisations: Realisations = None,
    seed: Seed = None,
    tolerance: Tolerance = None,
    family: Annotated[
        str | None, typer.Option("--family", help="Level of comparisons: of each point, or of the sweep.")
    ] = None,
    functions: Functions = False,
    as_json: AsJson = False,
) -> None:
    """Visit many parameters; run the same again after whatever stopped it, and it goes on."""
    from largen.commands.job import shares
    from largen.sweeps.study import status as status_of

    output, place = Output(as_json), store_of(file, store)
    if not status:
        how = {"workers": workers, "retry_failed": retry_failed, "extend": extend, "progress": output.progress}
        sizes = {"n": n, "realisations": realisations, "seed": seed, "family": family}
        sizes["tolerance"] = shares("--tolerance", tolerance)
        sweep_file(file or "", functions, place, how | {key: v for key, v in sizes.items() if v is not None})
    found = status_of(place)
    if draw is not None:
        found["map"] = str(draw_map(place, draw))
    output.result(found, lambda: show_status(found))


def store_of(file: str | None, store: Path | None) -> Path:
    """Where the sweep of a file goes: as said, or NAME.zarr in this folder."""
    if store is not None:
        return path_of("store", store)
    if file is None:
        raise InputError("Give a sweep file, or say which store with --store.")
    return Path(f"{Path(file).stem}.zarr")


def sweep_file(file: str, functions: bool, store: Path, given: dict[str, Any]) -> None:
    """Sweep as the file says; the arguments given here take precedence over the file's."""
    from largen.simulation import Interrupted
    from largen.sweeps import read_sweep, status, sweep

    found = read_sweep(file, functions=functions)
    try:
        sweep(found.model, found.over, store=store, **(found.arguments | given))
    except Interrupted as stop:
        now = status(store)
        raise Stopped(
            f"{now['done']} of {now['tasks']} tasks are done and kept in {store}.tasks; run the same again to go on."
        ) from stop


def show_status(found: dict[str, Any]) -> None:
    """Print the status of a store."""
    from largen.sweeps.store import Status

    points = found["points"]
    print(f"{found['store']}: {found['done']} of {found['tasks']} tasks done; {found['about']['over']}")
    counts = [f"{count} {status}" for status, count in points.items() if count]
    print(f"points of these tasks: {', '.join(counts) or 'none'}")
    for message, count in found["messages"].items():
        print(f"  {count} x failed: {message}")
    if found["labels"]:
        print(f"verdicts: {', '.join(f'{count} {label}' for label, count in found['labels'].items())}")
        print(about_level(found["about"]))
    if found["busy"]:
        print(f"being swept now by {found['busy']}")
    elif points[Status.MISSING]:
        print("Run the same sweep again to go on.")
    if points[Status.FAILED]:
        print("Do failed points again with --retry-failed.")
    if "map" in found:
        print(f"Picture: {found['map']}")


def about_level(about: dict[str, Any]) -> str:
    """How many of these verdicts may be false."""
    from largen.sweeps.study import LEVEL

    level, expected = float(about["level"]), round(1 / LEVEL)
    if level < LEVEL:
        return f"At level {LEVEL:g} about 1 of {expected} such sweeps may carry a false label at some point."
    return f"At level {LEVEL:g} about 1 of {expected} points may carry a false label (family: sweep holds it for all)."


def draw_map(store: Path, name: str) -> Path:
    """Draw one variable of the result against its one or two parameters, as a PNG beside the store."""
    from largen import plot
    from largen.sweeps.gather import read

    file = store.with_name(f"{store.stem}-{name}.png".replace("/", "-"))
    save_figure(plot.figure_of(plot.map, read(store), name=name), file)
    return file
