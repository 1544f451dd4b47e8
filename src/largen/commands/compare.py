"""`largen compare`: a saved network against its saved limit."""

from pathlib import Path
from typing import Annotated

import typer

from largen.commands.options import AllRows, AsJson, OutFile, Overwrite, Scale, Tolerance
from largen.commands.output import Output, check_file


def compare(
    network: Annotated[Path, typer.Argument(help="What `largen simulate` wrote.")],
    limit: Annotated[Path, typer.Argument(help="What `largen limit` wrote, or another network.")],
    finite: Annotated[Path | None, typer.Option("--finite", help="The limit equations at the network's n.")] = None,
    tolerance: Tolerance = None,
    scale: Scale = None,
    everything: AllRows = False,
    out: OutFile = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Compare a network with its limit, or with another network."""
    from largen.commands.job import tolerances_of
    from largen.commands.tables import show_comparison
    from largen.comparison import compare
    from largen.comparison.plain import report_as_plain
    from largen.io.results import load, save

    out = check_file(out, overwrite)
    asked = tolerances_of(tolerance, scale)
    report = compare(load(network), load(limit), finite=load(finite) if finite else None, **asked)
    if out:
        save(report, out)
    Output(as_json).result(report_as_plain(report), lambda: show_comparison(report, everything))
