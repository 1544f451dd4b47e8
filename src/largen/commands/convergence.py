"""`largen convergence`: the distance between network and limit against the number of neurons."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from largen.checks import InputError
from largen.commands.limit import COMPILES
from largen.commands.options import (
    AllRows,
    AsJson,
    JobOptions,
    OutFolder,
    Overwrite,
    Scale,
    Tolerance,
    Workers,
    takes_job,
)
from largen.commands.output import Output, Results, results_folder, save_figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from largen.commands.job import Job


@takes_job("seed", "times", "method", "changes", "options")
def convergence(
    asked: JobOptions,
    sizes: Annotated[str, typer.Option("--n", "-n", help="Total numbers of neurons, such as 200,600,2000.")] = "",
    realisations: Annotated[
        str | None, typer.Option("--realisations", "-r", help="Realisations at every n, or one number for each.")
    ] = None,
    tolerance: Tolerance = None,
    scale: Scale = None,
    everything: AllRows = False,
    out: OutFolder = None,
    workers: Workers = 1,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Measure how the network approaches its limit as it grows, and what is left at infinite n."""
    from largen.commands.job import read_job, tolerances_of
    from largen.commands.tables import show_convergence
    from largen.comparison.plain import convergence_as_plain

    output, job = Output(as_json), read_job(asked)
    judged = tolerances_of(tolerance, scale)
    with results_folder(out, f"{Path(asked.model).stem}-convergence", overwrite) as results:
        n = _integers("n", sizes, "200,600,2000") if sizes else default_sizes(job)
        counts = _integers("realisations", realisations, "16 or 400,400,60") if realisations else [job.realisations]
        with output.doing(f"Comparing {job.name} with its limit at n = {', '.join(map(str, n))} {COMPILES} ..."):
            study = measure_and_keep(job, n, counts, results, workers, output, judged)
    output.result(convergence_as_plain(study, results.path), lambda: show_convergence(study, results.path, everything))


def default_sizes(job: "Job") -> list[int]:
    """Four sizes about the model's own, or from 200 to 6000 where it has none."""
    from largen.commands.job import DEFAULT_N

    base = job.model.reference_size
    if base is not None:
        return [base // 2, base, 2 * base, 4 * base]
    return [factor * DEFAULT_N // 10 for factor in (1, 3, 10, 30)]


def measure_and_keep(
    job: "Job",
    n: list[int],
    counts: list[int],
    results: Results,
    workers: int,
    output: Output,
    judged: "Mapping[str, Any]",
) -> "xr.Dataset":
    """Run the study and save it with its figure; sizes that had finished before Ctrl-C are kept, and taken over.

    `judged`: `tolerance` and `scale` of `convergence`.
    """
    from largen import plot
    from largen.checks import Stopped
    from largen.comparison.plain import convergence_as_plain
    from largen.comparison.scaling import OtherStudy, convergence
    from largen.io.model_files import write_model
    from largen.io.plain_files import write_json
    from largen.io.results import save
    from largen.simulation import Interrupted

    folder, earlier = results.folder, _stopped_before(results.stopped / "convergence.nc")

    def measured(finished: "xr.Dataset | None") -> "xr.Dataset":
        return convergence(
            job.model,
            job.times,
            n=n,
            realisations=counts,
            seed=job.seed,
            method=job.method,
            **judged,
            finished=finished,
            workers=workers,
            progress=output.progress,
            **job.options,
        )

    try:
        try:
            study = measured(earlier)
            if earlier is not None:
                output.say(f"Sizes that had finished were taken over from {results.stopped}.")
        except OtherStudy:
            study = measured(None)
    except Interrupted as stop:
        if stop.partial is None:
            raise
        save(stop.partial, folder / "convergence.nc")
        raise Stopped(f"{stop.partial.sizes['n']} of {len(n)} sizes are finished.") from stop
    save(study, folder / "convergence.nc")
    write_model(job.model, folder / "model.yaml")
    write_json(convergence_as_plain(study, results.path), folder / "convergence.json")
    save_figure(plot.figure_of(plot.convergence, study), folder / "figure.png")
    return study


def _stopped_before(file: Path) -> "xr.Dataset | None":
    """The sizes that a stopped run had finished, if there are any that can be read."""
    from largen.io.results import load

    try:
        return load(file) if file.exists() else None
    except InputError:
        return None


def _integers(flag: str, text: str, example: str) -> list[int]:
    from largen.checks import integer
    from largen.io.plain_files import parse_value

    values = [parse_value(part) for part in text.split(",")]
    if not all(isinstance(value, int | float) for value in values):
        raise InputError(f"Option --{flag} must look like {example}, but is {text!r}.")
    return [integer(flag, value, low=1) for value in values]
