"""`largen simulate`: the finite network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from largen.commands.options import AsJson, JobOptions, OutFile, Overwrite, Workers, takes_job
from largen.commands.output import Output, check_file

if TYPE_CHECKING:
    import xarray as xr

    from largen.commands.job import Job


@takes_job("n", "realisations", "seed", "times", "method", "changes", "options")
def simulate(
    asked: JobOptions,
    out: OutFile = None,
    record: Annotated[list[str] | None, typer.Option("--record", help="Record more, such as spikes.")] = None,
    workers: Workers = 1,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Simulate the finite network."""
    from largen.commands.job import read_job
    from largen.commands.tables import show_dataset
    from largen.datasets import describe
    from largen.io.atomic import remove

    output, job = Output(as_json), read_job(asked)
    out = check_file(out, overwrite)
    wanted = tuple(record or ())
    with output.doing(f"Simulating {networks(job)} of {job.name} ({needs(job, workers, wanted)}) ..."):
        stopped = None if out is None else out.with_name(f"{out.stem}.stopped{out.suffix}")
        network = simulate_and_keep(
            job, out, stopped=stopped, record=tuple(record or ()), workers=workers, output=output
        )
        if stopped is not None:
            remove(stopped)
    output.result(describe(network, out), lambda: show_dataset(network, out))


def networks(job: "Job") -> str:
    """Say how many networks of how many neurons a job has."""
    count = job.realisations
    return f"{count} network{'' if count == 1 else 's'} of {job.network_size} neurons"


def needs(job: "Job", workers: int, record: tuple[str, ...]) -> str:
    """Say what memory and time a job's networks will take; refuse them if the memory is not there."""
    from largen.checks import integer
    from largen.runtime.memory import in_words
    from largen.simulation import NetworkWork
    from largen.system import finite_arithmetic

    n, count, options = job.network_size, job.realisations, job.options_for("network")
    job.model.sizes(n)
    workers = integer("workers", workers, low=1)
    with finite_arithmetic(job.model):
        work = NetworkWork(job.model, job.times, n, count, workers, job.method, record, options)
        plan = work.plan()
        work.require_memory(plan)
    seconds = work.seconds(plan)
    return f"about {in_words(work.bytes(plan, count))}{'' if seconds is None else f', {_duration(seconds)}'}"


def _duration(seconds: float) -> str:
    """A time in words, without false precision."""
    for word, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {word}"
    return f"{seconds:.2g} seconds" if seconds >= 1 else "less than a second"


def simulate_and_keep(
    job: "Job", out: Path | None, *, stopped: Path | None, record: tuple[str, ...], workers: int, output: Output
) -> "xr.Dataset":
    """Simulate and save; after Ctrl-C save the realisations that had finished in `stopped`, and pass it on."""
    from largen.checks import Stopped
    from largen.io.results import save
    from largen.simulation import Interrupted, simulate

    try:
        network = simulate(
            job.model,
            job.times,
            n=job.network_size,
            realisations=job.realisations,
            seed=job.seed,
            method=job.method,
            record=record,
            progress=output.progress,
            workers=workers,
            **job.options_for("network"),
        )
    except Interrupted as stop:
        if stop.partial is None or stopped is None:
            raise Stopped(f"No realisation of {job.realisations} had finished.") from stop
        save(stop.partial, stopped)
        count = stop.partial.sizes["realisation"]
        raise Stopped(f"{count} of {job.realisations} realisations are in {stopped.name}.") from stop
    if out is not None:
        save(network, out)
    return network
