"""The main job behind the command line: a model file in, a results folder out."""

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.checks import InputError, LimitError, Stopped, integer, known_keys, require
from largen.commands.tables import statistics_as_plain
from largen.comparison.plain import convergence_as_plain, report_as_plain
from largen.comparison.report import compare
from largen.comparison.scaling import convergence
from largen.io.atomic import write_atomically
from largen.io.model_files import read_file, time_grid, write_model
from largen.io.results import save
from largen.parameters.plain import json_safe, to_plain
from largen.simulation import Interrupted, simulate, solve_limit
from largen.system import AbstractSystem, options_of

DEFAULT_N = 2000
DEFAULT_REALISATIONS = 16
MOST_NEURONS_DRAWN = 20_000


class Job(NamedTuple):
    """A model and how to run it.

    Attributes:
        name: Name of the file or example, for folders and titles.
        model: The model.
        times: Output times, shape (time,).
        n: Total number of neurons, or None for the model's own.
        realisations: Realisations of the network.
        seed: Seed.
        method: Network method, or None.
        options: The system's own options.
    """

    name: str
    model: AbstractSystem
    times: np.ndarray
    n: int | None
    realisations: int
    seed: int
    method: str | None
    options: dict[str, Any]


class RunResult(NamedTuple):
    """What `run` made.

    Attributes:
        folder: The results folder.
        report: What `compare` returned.
        summary: The contents of report.json.
    """

    folder: Path
    report: xr.Dataset
    summary: dict[str, Any]


def read_job(
    model: str,
    *,
    functions: bool = False,
    n: int | None = None,
    realisations: int | None = None,
    seed: int | None = None,
    times: str | None = None,
    method: str | None = None,
    changes: Sequence[str] = (),
    options: Sequence[str] = (),
    verbs: tuple[str, ...] = ("network",),
    of_file: bool = True,
) -> Job:
    """Read a model file or example; what is given here goes before what the file's `run` block says.

    Args:
        model: File or example.
        functions: Whether the file may name functions.
        n: Total number of neurons.
        realisations: Realisations.
        seed: Seed.
        times: START:STOP:STEP.
        method: Network method.
        changes: Parameter changes, `name=value`.
        options: The system's options, `name=value`.
        verbs: Which of the system's `network` and `limit` take the options.
        of_file: Whether the file's n counts (a limit is solved at its own size unless one is asked for).
    """
    system, settings = read_file(model, functions=functions)
    name = Path(model).stem
    pairs = [_pair("--set", change) for change in changes]
    system = system.replace(**{key: _number(value) for key, value in pairs})
    shared = () if "dynamics" in verbs else ("limit",)
    valid = {key for verb in (*verbs, *shared) if hasattr(system, verb) for key in options_of(system, verb)}
    chosen = {key: _number(value) for key, value in (_pair("--option", option) for option in options)}
    known_keys(f"option of the {system.system} system", chosen, valid)
    if times is not None:
        grid = _time_range(times)
    else:
        grid = time_grid(*system.default_times) if settings.times is None else settings.times
    return Job(
        name,
        system,
        grid,
        n if n is not None else (settings.n if of_file else None),
        realisations or settings.realisations or DEFAULT_REALISATIONS,
        seed if seed is not None else (settings.seed or 0),
        method or settings.method,
        chosen,
    )


def _pair(flag: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"Option {flag} must look like name=value, but is {text!r}.")
    return key.strip(), value.strip()


def _number(text: str) -> Any:
    """Read a number, a truth value, a nested list of numbers, or leave the word."""
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"The value {text!r} is neither a number, a list of numbers nor a word.") from error
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _time_range(text: str) -> np.ndarray:
    try:
        start, stop, step = (float(part) for part in text.split(":"))
    except ValueError as error:
        raise InputError(
            f"Option --times must look like START:STOP:STEP, such as 0:1000:0.1, but is {text!r}."
        ) from error
    return time_grid(start, stop, step)


# Files and folders --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def results_folder(out: Path | None, name: str, overwrite: bool) -> Iterator[Path]:
    """Choose and make the results folder; a folder with results is never written over unasked.

    Without `out` it is largen-results/NAME, or NAME-2, NAME-3 and so on if that holds results. What fails before it
    leaves a result leaves no folder either.
    """
    stem = Path(name).stem
    if out is None:
        base = Path("largen-results")
        candidates = [base / stem, *(base / f"{stem}-{k}" for k in range(2, 10_000))]
        folder = candidates[0] if overwrite else next(path for path in candidates if not _holds_results(path))
    else:
        folder = out
        if _holds_results(folder) and not overwrite:
            raise InputError(f"Folder `{folder}` already holds results: choose another --out, or say --overwrite.")
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"Results folder `{folder}` cannot be made: {error.strerror}. Choose another --out."
        ) from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"Results folder `{folder}` must be writable, but is not. Choose another --out.")
    try:
        yield folder
    except BaseException:
        for path in made:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        raise


def _holds_results(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def check_file(out: Path | None, overwrite: bool) -> None:
    """Refuse an output file that is already there, or whose folder is not, before any work is done."""
    if out is None:
        return
    if out.exists() and not overwrite:
        raise InputError(f"File `{out}` already exists: choose another --out, or say --overwrite.")
    require(out.parent.is_dir(), "out", "lie in an existing folder", str(out), "Make the folder first.")
    require(os.access(out.parent, os.W_OK), "out", "lie in a writable folder", str(out))


def _write_json(plain: Any, path: Path) -> None:
    import json

    text = json.dumps(plain, indent=1, allow_nan=False) + "\n"
    write_atomically(path, lambda aside: aside.write_text(text, encoding="utf-8"))


# The work -----------------------------------------------------------------------------------------------------


def _options(job: Job, verb: str) -> dict[str, Any]:
    valid = options_of(job.model, verb)
    return {key: value for key, value in job.options.items() if key in valid}


def simulate_and_keep(
    job: Job, out: Path | None, *, record: tuple[str, ...] = (), workers: int = 1, progress: Any = None
) -> xr.Dataset:
    """Simulate; after Ctrl-C keep the realisations that had finished, then pass the interrupt on."""
    try:
        network = simulate(
            job.model,
            job.times,
            n=job.n if job.n is not None or job.model.reference_size is not None else DEFAULT_N,
            realisations=job.realisations,
            seed=job.seed,
            method=job.method,
            record=record,
            progress=progress,
            workers=workers,
            **_options(job, "network"),
        )
    except Interrupted as stop:
        if stop.partial is None or out is None:
            raise
        save(stop.partial, out)
        count = stop.partial.sizes["realisation"]
        raise Stopped(f"{count} of {job.realisations} realisations are in {out}.") from stop
    if out is not None:
        save(network, out)
    return network


def solve_and_keep(job: Job, out: Path | None, **options: Any) -> xr.Dataset:
    """Solve the limit and save it."""
    solution = solve_limit(job.model, job.times, n=job.n, **_options(job, "limit"), **options)
    if out is not None:
        save(solution, out)
    return solution


def run(job: Job, folder: Path, *, workers: int = 1, progress: Any = None, say: Callable[[str], None]) -> RunResult:
    """Solve the limit, simulate, solve the theory of n neurons, compare, draw; keep each as it comes."""
    from largen import plot

    clock = {"start": time.perf_counter()}

    def timed(name: str) -> None:
        clock[name] = time.perf_counter()

    model = job.model
    n = job.n or model.reference_size or DEFAULT_N
    job = job._replace(n=n)
    say(f"Solving the limit of {job.name} (a first run compiles for some seconds) ...")
    own = job if model.reference_size is not None else job._replace(n=None)
    limit = solve_and_keep(own, folder / "limit.nc", strict=False)
    if limit.attrs["status"] != "completed":
        say(f"The limit ends early: {limit.attrs['status']}.")
    write_model(job.model, folder / "model.yaml")
    timed("limit")
    say(f"Simulating {job.realisations} networks of {n} neurons ...")
    record = model.default_record if n <= MOST_NEURONS_DRAWN else ()
    network = simulate_and_keep(job, folder / "network.nc", record=record, workers=workers, progress=progress)
    timed("network")
    say(f"Solving the theory of {n} neurons ...")
    options = model.finite_options(realisations=job.realisations, seed=job.seed)
    files = ["model.yaml", "limit.nc", "finite.nc", "network.nc", "report.nc", "report.json", "figure.png"]
    try:
        finite = solve_and_keep(job, folder / "finite.nc", strict=False, **options)
    except (InputError, LimitError) as error:  # a network without such a theory is still compared with its limit
        say(f"No theory of {n} neurons: {error}")
        finite = None
        files.remove("finite.nc")
    timed("finite")
    note = None
    try:
        report = compare(network, limit, finite=finite)
    except InputError as error:  # a limit that ends while the network is still falling onto it
        if finite is None:
            raise
        note = f"Compared with the theory of {n} neurons alone, for there is no comparison with the limit. {error}"
        say(note)
        report = compare(network, finite)
    summary = report_as_plain(report) | {"model": json_safe(to_plain(model, strict=False))}
    if note is not None:
        summary["note"] = note
    sources = {"network": network, "limit": limit} | ({} if finite is None else {"theory at this n": finite})
    statistics = statistics_as_plain(job.model, sources)
    if statistics:
        summary["statistics"] = statistics
    summary["files"] = files
    names = list(clock)
    summary["seconds"] = {b: round(clock[b] - clock[a], 3) for a, b in itertools.pairwise(names)}
    save(report, folder / "report.nc")
    figure = plot.overview(network, limit, finite=finite, report=report, title=job.name)
    write_atomically(folder / "figure.png", lambda aside: figure.savefig(aside, format="png", dpi=150))
    _write_json(summary, folder / "report.json")
    return RunResult(folder, report, summary)


def _whole_numbers(flag: str, text: str, example: str) -> list[int]:
    try:
        return [integer(flag, float(part), low=1) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"Option --{flag} must look like {example}, but is {text!r}.") from error


def converge(
    job: Job, sizes: str, folder: Path, *, realisations: str | None = None, workers: int, progress: Any
) -> xr.Dataset:
    """Run `convergence`, keep the study and its log-log figure.

    Args:
        job: What to run.
        sizes: Total numbers of neurons, separated by commas; the default is four sizes about the model's own.
        folder: Where the results go.
        realisations: One number, or one for each size, separated by commas; None is the job's.
        workers: Spawned processes.
        progress: As in `simulate`.
    """
    from largen import plot

    counts = _whole_numbers("realisations", realisations, "16 or 400,400,60") if realisations else [job.realisations]
    if sizes:
        n = _whole_numbers("n", sizes, "200,600,2000")
    else:
        base = job.model.reference_size or DEFAULT_N // 10
        n = (
            [base // 2, base, 2 * base, 4 * base]
            if job.model.reference_size
            else [base, 3 * base, 10 * base, 30 * base]
        )
    try:
        study = convergence(
            job.model,
            job.times,
            n=n,
            realisations=counts,
            seed=job.seed,
            method=job.method,
            workers=workers,
            progress=progress,
            **job.options,
        )
    except Interrupted as stop:
        if stop.partial is None:
            raise
        save(stop.partial, folder / "convergence.nc")
        raise Stopped(f"{stop.partial.sizes['n']} of {len(n)} sizes are in {folder}.") from stop
    save(study, folder / "convergence.nc")
    write_model(job.model, folder / "model.yaml")
    _write_json(convergence_as_plain(study, folder), folder / "convergence.json")
    figure = plot.figure_of(plot.convergence, study)
    write_atomically(folder / "figure.png", lambda aside: figure.savefig(aside, format="png", dpi=150))
    return study
