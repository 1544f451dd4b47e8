"""`largen run`: the network, its limit and their comparison, in a results folder."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from largen.checks import InputError, LimitError
from largen.commands.limit import COMPILES, solve_and_keep
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
from largen.commands.output import Output, results_folder, save_figure
from largen.commands.simulate import needs, networks, simulate_and_keep

if TYPE_CHECKING:
    import xarray as xr

    from largen.commands.job import Job
    from largen.system import AbstractSystem

MOST_NEURONS_RECORDED = 20_000
"""Neurons of a network above which only its standard observables are recorded."""
FILES = ("model.yaml", "limit.nc", "finite.nc", "network.nc", "report.nc", "report.json", "figure.png")


@takes_job("n", "realisations", "seed", "times", "method", "changes", "options")
def run(
    asked: JobOptions,
    tolerance: Tolerance = None,
    scale: Scale = None,
    everything: AllRows = False,
    out: OutFolder = None,
    workers: Workers = 1,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Run the network, solve its limit, and compare: a table, a figure and files in a results folder."""
    from largen.commands.job import read_job, tolerances_of
    from largen.commands.tables import show_run

    output, job = Output(as_json), read_job(asked)
    judged = tolerances_of(tolerance, scale)
    with results_folder(out, asked.model, overwrite) as results:
        report, summary = run_into(results.folder, job, workers, output, judged)
    again = f"largen run {asked.model} -r {{}}" if _plain(asked) else "the same command with -r {}"
    output.result(summary, lambda: show_run(report, summary, results.path, everything, again))


def _plain(asked: JobOptions) -> bool:
    """Whether the command says nothing but the model and the realisations."""
    return asked == JobOptions(asked.model, realisations=asked.realisations)


def run_into(
    folder: Path, job: "Job", workers: int, output: Output, judged: Mapping[str, Any] | None = None
) -> tuple["xr.Dataset", dict[str, Any]]:
    """Solve the limit, simulate, solve the theory of n neurons, compare, draw; save each as it comes.

    Args:
        folder: Where the files go.
        job: Model and settings.
        workers: Processes that share the realisations.
        output: Where messages go.
        judged: `tolerance` and `scale` of `compare`.

    Returns:
        What `compare` returned, and the contents of report.json with the seconds that each part took.
    """
    from largen import plot
    from largen.comparison.plain import report_as_plain
    from largen.io.model_files import write_model
    from largen.io.plain_files import write_json
    from largen.io.results import save
    from largen.parameters.plain import json_safe, to_plain

    seconds: dict[str, float] = {}
    model, n = job.model, job.network_size
    with _timed(seconds, "limit"):
        limit = _limit(folder, job, output)
        write_model(model, folder / "model.yaml")
    job = job._replace(n=n)
    with _timed(seconds, "network"):
        record = model.default_record if n <= MOST_NEURONS_RECORDED else ()
        output.say(f"Simulating {networks(job)} ({needs(job, workers, record)}) ...")
        file = folder / "network.nc"
        network = simulate_and_keep(job, file, stopped=file, record=record, workers=workers, output=output)
    with _timed(seconds, "finite"):
        finite = _theory_at_size(folder, job, output)
    report, note = _compared(network, limit, finite, judged or {}, output)
    summary = report_as_plain(report) | {"model": json_safe(to_plain(model, strict=False))}
    if note:
        summary["note"] = note
    sources = {"network": network, "limit": limit} | ({} if finite is None else {"theory at this n": finite})
    if statistics := statistics_as_plain(model, sources):
        summary["statistics"] = statistics
    summary["files"] = [name for name in FILES if finite is not None or name != "finite.nc"]
    save(report, folder / "report.nc")
    figure = plot.overview(network, limit, finite=finite, report=report, title=job.name)
    save_figure(figure, folder / "figure.png")
    write_json(summary, folder / "report.json")
    return report, summary | {"seconds": seconds}  # which differ from run to run, as no file does


def _limit(folder: Path, job: "Job", output: Output) -> "xr.Dataset":
    """Solve the limit: at the size asked for where the system is one of finite networks, else the infinite one."""
    from largen.system.values import COMPLETED

    output.say(f"Solving the limit of {job.name} {COMPILES} ...")
    own = job._replace(n=None if job.model.reference_size is None else job.network_size)
    limit = solve_and_keep(own, folder / "limit.nc", strict=False)
    if limit.attrs["status"] != COMPLETED:
        output.say(f"The limit ends early: {limit.attrs['status']}.")
    return limit


def _theory_at_size(folder: Path, job: "Job", output: Output) -> "xr.Dataset | None":
    """Solve the equations of n neurons; a network without such a theory is still compared with its limit."""
    output.say(f"Solving the theory of {job.n} neurons ...")
    options = job.model.finite_options(realisations=job.realisations, seed=job.seed)
    try:
        return solve_and_keep(job, folder / "finite.nc", strict=False, **options)
    except (InputError, LimitError) as error:
        output.say(f"No theory of {job.n} neurons: {error}")
        return None


def _compared(
    network: "xr.Dataset",
    limit: "xr.Dataset",
    finite: "xr.Dataset | None",
    judged: Mapping[str, Any],
    output: Output,
) -> tuple["xr.Dataset", str]:
    """Compare, and say what could not be compared: a limit may end while the network still approaches it."""
    from largen.comparison.report import compare

    try:
        return compare(network, limit, finite=finite, **judged), ""
    except InputError as error:
        if finite is None:
            raise
        n = network.attrs["n"]
        note = f"Compared with the theory of {n} neurons alone, for there is no comparison with the limit. {error}"
        output.say(note)
        return compare(network, finite, **judged), note


def statistics_as_plain(model: "AbstractSystem", datasets: dict[str, "xr.Dataset"]) -> dict[str, Any]:
    """The system's own statistics of network and theories: value, standard error and unit by name."""
    from largen.datasets import describe_statistics

    if not model.statistic_names():
        return {}
    try:
        return {source: describe_statistics(model.statistics(dataset)) for source, dataset in datasets.items()}
    except InputError as error:  # times that do not allow statistics are no reason to lose the run
        return {"unavailable": {"reason": str(error)}}


@contextlib.contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - begun, 3)
