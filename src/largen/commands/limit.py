"""`largen limit`: the limit equations."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from largen.commands.options import AsJson, JobOptions, OutFile, Overwrite, takes_job
from largen.commands.output import Output, check_file

if TYPE_CHECKING:
    import xarray as xr

    from largen.commands.job import Job

COMPILES = "(the first run on a machine compiles for some seconds)"


@takes_job("n", "times", "changes", "options")
def limit(asked: JobOptions, out: OutFile = None, overwrite: Overwrite = False, as_json: AsJson = False) -> None:
    """Solve the limit equations (at a finite size with --n)."""
    from largen.commands.job import read_job
    from largen.commands.tables import show_dataset
    from largen.datasets import describe

    output, job = Output(as_json), read_job(asked, size_of_file=False)
    out = check_file(out, overwrite)
    with output.doing(f"Solving the limit of {job.name} {COMPILES} ..."):
        solution = solve_and_keep(job, out)
    output.result(describe(solution, out), lambda: show_dataset(solution, out))


def solve_and_keep(job: "Job", out: Path | None, **options: Any) -> "xr.Dataset":
    """Solve the limit and save it."""
    from largen.io.results import save
    from largen.simulation import solve_limit

    solution = solve_limit(job.model, job.times, n=job.n, **job.options_for("limit"), **options)
    if out is not None:
        save(solution, out)
    return solution
