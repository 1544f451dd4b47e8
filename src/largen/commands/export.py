"""`largen export`: a model as a script of another simulator, its limit as LaTeX or a file of XPPAUT."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from largen.checks import InputError
from largen.commands.options import AsJson, JobOptions, Overwrite, takes_job
from largen.commands.output import Output, check_file


class Target(StrEnum):
    """What a model is written as."""

    BRIAN2 = "brian2"
    NEST = "nest"
    LATEX = "latex"
    XPPAUTO = "xppauto"


@takes_job("n", "changes")
def export(
    asked: JobOptions,
    to: Annotated[Target, typer.Option("--to", help="What it is written as.")],
    duration: Annotated[
        float | None, typer.Option("--duration", help="Time (ms) that a simulator's script runs; 1000 unless said.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of a simulator's script; 1 unless said.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; standard output if absent.")] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write a network for Brian2 or NEST, or a limit as LaTeX or for XPPAUT."""
    from largen.commands.job import read_job
    from largen.io import scripts
    from largen.io.latex import equations

    path = check_file(out, overwrite)
    said: dict[str, Any] = {
        name: value for name, value in (("duration", duration), ("seed", seed)) if value is not None
    }
    if said and to in (Target.LATEX, Target.XPPAUTO):
        raise InputError(f"Option --{next(iter(said))} goes with --to brian2 and --to nest: leave it out.")
    model = read_job(asked, ()).model
    if to is Target.LATEX:
        text = str(equations(model, n=asked.n)) + "\n"
    elif to is Target.XPPAUTO:
        text = scripts.to_xppauto(model, n=asked.n)
    else:
        write = scripts.to_brian2 if to is Target.BRIAN2 else scripts.to_nest
        text = write(model, n=asked.n, **said)
    if path is not None:
        scripts.write_script(text, path)
    plain = {"system": model.system, "to": to.value} | ({"file": str(path)} if path else {"text": text})
    Output(as_json).result(plain, lambda: print(text, end="") if path is None else print(f"Wrote {path}."))
