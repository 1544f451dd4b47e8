"""`largen compare`: a network or a recording against a limit, a model, or another network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from largen.commands.options import (
    AllRows,
    AsJson,
    OutFile,
    Overwrite,
    RecordingOptions,
    Scale,
    Tolerance,
    takes_recording,
)
from largen.commands.output import Output, check_file

if TYPE_CHECKING:
    import xarray as xr

SIDES = (
    "What `largen simulate` or `largen limit` wrote (.nc, .zarr), a recording (.nwb, .csv, .npz, .parquet, .dat, or of "
    "neo), or a model (.yaml or an example), whose limit is solved."
)


@takes_recording
def compare(
    said: RecordingOptions,
    network: Annotated[str, typer.Argument(help=SIDES)],
    limit: Annotated[str, typer.Argument(help="Another such; of two samples the first is called the network.")],
    finite: Annotated[Path | None, typer.Option("--finite", help="The limit equations at the network's n.")] = None,
    tolerance: Tolerance = None,
    scale: Scale = None,
    warm_up: Annotated[
        float | None,
        typer.Option("--warm-up", help="Time (ms) from a model's start to the first that counts; 500 for recordings."),
    ] = None,
    everything: AllRows = False,
    out: OutFile = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Compare a network or a recording with its limit or model, or with another network."""
    from largen.commands.job import tolerances_of
    from largen.commands.recordings import sides
    from largen.comparison.plain import report_as_plain
    from largen.comparison.report import compare
    from largen.io.results import load, save

    out, output = check_file(out, overwrite), Output(as_json)
    asked = tolerances_of(tolerance, scale)
    first, second = sides(network, limit, said, warm_up, output)
    report = compare(first, second, finite=load(finite) if finite else None, **asked)
    if out:
        save(report, out)
    output.result(report_as_plain(report), lambda: _show(report, everything, first, second))


def _show(report: "xr.Dataset", everything: bool, *both: "xr.Dataset") -> None:
    """Print the report, and which spikes of recordings are not in it."""
    from largen.commands.tables import show_comparison

    show_comparison(report, everything)
    for one in both:
        if lost := int(one.attrs.get("left_out", 0)):
            kept = one.sizes["spike"]
            print(f"Left out: {lost} of {lost + kept} spikes, before, after or beyond the last whole stretch.")
