"""sweep(): visit many parameters, keep every task as it is done, and put all together."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.checks import InputError, increasing_times, integer, known_keys, one_of, real, require, seed_number, shown
from largen.datasets import class_name, code_version, digits
from largen.io.folders import mend
from largen.io.model_files import time_grid
from largen.io.zarr import need_zarr
from largen.parameters.plain import to_plain
from largen.runtime.progress import showing
from largen.simulation import Interrupted
from largen.sweeps import executors, gather
from largen.sweeps.family import Family
from largen.sweeps.observables import choose
from largen.sweeps.points import AbstractPoints, Table
from largen.sweeps.store import Block, Status, Store
from largen.sweeps.tasks import RUNS, Settings, Task, payload, plan, seed_of
from largen.sweeps.work import run_task
from largen.system import AbstractSystem, options_of

NOT_YET = "not done yet: run the same again"
LEVEL = 0.05
FAMILIES = ("point", "sweep")


class Request(NamedTuple):
    """What `sweep` was asked for, unchecked; see there."""

    model: AbstractSystem
    over: AbstractPoints
    times: Any
    run: str | Sequence[str]
    observables: Any
    start: float | None
    n: int | None
    realisations: int
    seed: int
    method: str | None
    rtol: float
    atol: float
    tolerance: Any
    family: str
    options: Mapping[str, Any]


class Execution(NamedTuple):
    """How the tasks of a sweep are done.

    Attributes:
        workers: Spawned worker processes; 1 is this process.
        client: A Dask client, or None.
        retry_failed: Whether failed points are done again.
        progress: As in `sweep`.
    """

    workers: int
    client: Any
    retry_failed: bool
    progress: Any


class Design(NamedTuple):
    """A sweep, checked and cut into tasks.

    Attributes:
        model: The base model.
        table: The points.
        values: Values of the changing parameters at every point.
        settings: What all tasks share.
        family: The models.
        tasks: The tasks.
        about: What a reader of the store's record sees.
    """

    model: AbstractSystem
    table: Table
    values: list[tuple[Any, ...]]
    settings: Settings
    family: Family
    tasks: list[Task]
    about: dict[str, Any]


def sweep(
    model: AbstractSystem,
    over: AbstractPoints,
    *,
    times: Any = None,
    run: str | Sequence[str] = "limit",
    observables: Any = None,
    start: float | None = None,
    n: int | None = None,
    realisations: int = 1,
    seed: int = 0,
    method: str | None = None,
    rtol: float = 1e-8,
    atol: float = 1e-10,
    tolerance: float | Mapping[str, float] | None = None,
    family: str = "point",
    store: Any = "sweep.zarr",
    workers: int = 1,
    client: Any = None,
    retry_failed: bool = False,
    extend: bool = False,
    progress: Any = None,
    **options: Any,
) -> xr.Dataset:
    """Visit many parameters with limits, networks and comparisons; whatever stops it, run the same again to go on.

    Every finished task is one file in `<store>.tasks`; the result at `store` is put together from these files. The
    result has the same bytes whatever the number of workers and however often it was stopped.

    Args:
        model: The base model.
        over: `Grid`, `Random` or `Sobol` over parameters of the model.
        times: Output times of every run (ms for the spiking system), shape (time,); None for the system's default.
        run: Any of "limit" (the model's own size), "network", "compare" (network against limit and theory at n).
        observables: What to keep: None for the time mean of every standard observable, or names such as "rate",
            "rate.max", "rate.series", a statistic such as "synchrony", or importable functions of a Dataset.
        start: Time from which means are taken; None for a quarter into the run.
        n: Total number of neurons of a network; None for the model's own.
        realisations: Realisations of each network.
        seed: Seed; a network's own seed (coordinate `seed`) follows from it and its parameters alone.
        method: Network method.
        rtol: Relative tolerance of limits.
        atol: Absolute tolerance of limits.
        tolerance: Tolerated shares of comparisons, as in `compare`.
        family: What a comparison's level of 0.05 is the chance of a false label in: each "point", or the whole "sweep",
            whose points then share it (other points make other comparisons).
        store: Name of the result, ending in .zarr or .nc.
        workers: Spawned worker processes of one thread each; 1 runs in this process.
        client: A Dask client, whose workers are then used.
        retry_failed: Do points again that failed.
        extend: Allow a store that holds another sweep: what is the same is kept, the rest is done.
        progress: None, True for a bar with rate and time left, or a function of the fraction done.
        options: The system's own options.

    Returns:
        Dataset: `limit_<name>`, `network_<name>` (with `_se` over realisations), `status` and `message` for every
        point, with coordinates for every parameter. A point that failed is NaN with status "failed" and the message
        why; a limit lost on the way is "stopped". Of a comparison `compare_label` (the verdict of the point),
        `compare_label_code` (0 within tolerance to 4 theory differs), `compare_worst` (the row whose difference is the
        largest in tolerances), `compare_worst_ratio` (how many), `compare_needed` (realisations in all that would
        decide what is undecided), and its rows as `compare_row_<name>`.

    Raises:
        InputError: An argument cannot be used; the store is in use, full, unwritable, or holds another sweep.
        Interrupted: Ctrl-C; what had finished is kept in the store and in `.partial`.
    """
    request = Request(
        model, over, times, run, observables, start, n, realisations, seed, method, rtol, atol, tolerance, family,
        options,
    )  # fmt: skip
    design = prepare(request)
    execution = Execution(integer("workers", workers, low=1), client, retry_failed, progress)
    place = Store(store)
    _check_packages(place, design, execution)
    with place.locked():
        mend(place.path)
        _same_sweep(place, design, extend)
        return _carry_out(place, design, execution)


def _check_packages(place: Store, design: Design, execution: Execution) -> None:
    if place.path.suffix == ".zarr":
        need_zarr()
    if execution.client is not None or execution.workers > 1:
        executors.need_dask()
        if type(design.model).__module__ == "__main__":
            raise InputError("Argument `model` must be of a class in a module that workers can import: move it there.")


def _carry_out(place: Store, design: Design, execution: Execution) -> xr.Dataset:
    """Do what is not done yet and put all together; after Ctrl-C put together what there is."""
    waiting = _waiting(place, design, execution.retry_failed)
    lost: dict[str, str] = {}
    stopped: KeyboardInterrupt | None = None
    try:
        with showing(execution.progress, "sweep", len(design.tasks), "tasks") as tick:
            tick(1 - len(waiting) / len(design.tasks))
            _work(place, design, waiting, execution, tick, lost)
    except KeyboardInterrupt as stop:
        stopped = stop
    result = collect(place, design, lost)
    gather.write(result, place.path)
    if stopped is not None:
        raise Interrupted(_so_far(place, design), result) from stopped
    return result


def prepare(request: Request) -> Design:
    """Check a sweep and cut it into tasks."""
    model, over = request.model, request.over
    require(isinstance(model, AbstractSystem), "model", "be a model, such as SpikingNetwork()", model)
    require(isinstance(over, AbstractPoints), "over", "be a Grid, Random or Sobol", over)
    settings, times = _settings(request)
    table = over.table(model)
    if request.family == "sweep":
        settings = settings._replace(level=LEVEL / len(table))
    settings = settings._replace(names=table.names)
    family = Family(model, table.names)
    values = list(zip(*(column.tolist() for column in table.columns), strict=True))
    tasks = plan(settings, family, values)
    return Design(model, table, values, settings, family, tasks, _about(settings, table, times, tasks))


def _settings(request: Request) -> tuple[Settings, np.ndarray]:
    """Check what all tasks share, but for the names of the parameters; and the output times."""
    model, runs = request.model, _runs(request.run)
    times = increasing_times("times", time_grid(*model.default_times) if request.times is None else request.times)
    first = times[0] + 0.25 * (times[-1] - times[0]) if request.start is None else real("start", request.start)
    require(first <= times[-1], "start", f"be at most the last time {times[-1]:g}", request.start)
    if request.method is not None:
        one_of("method", request.method, model.methods)
    one_of("family", request.family, FAMILIES)
    if "compare" in runs:
        require(request.realisations >= 2, "realisations", "be at least 2 for a comparison", request.realisations)
    else:
        given = request.tolerance if request.family == "point" else request.family
        name = "tolerance" if request.family == "point" else "family"
        require(given is None, name, 'go with run="compare"', given)
    offered = {key for verb in ("network", "limit") for key in options_of(model, verb)}
    known_keys(f"option of the {model.system} system", request.options, offered - {"seed", "realisations", "record"})
    settings = Settings(
        system=class_name(model),
        parameters=to_plain(model),
        names=(),
        run=runs,
        n=_size(model, request.n, runs),
        realisations=integer("realisations", request.realisations, low=1),
        seed=digits(seed_number("seed", request.seed)),
        method=request.method,
        rtol=real("rtol", request.rtol, above=0.0),
        atol=real("atol", request.atol, above=0.0),
        start=float(first),
        options=_plain_options(request.options),
        observables=choose(model, request.observables),
        level=LEVEL,
        tolerance=_plain_tolerance(request.tolerance),
        times=times.tobytes().hex(),
        code=code_version(class_name(model)),
    )
    return settings, times


def _runs(given: str | Sequence[str]) -> tuple[str, ...]:
    """The runs of each point, in the order of `RUNS`."""
    names = (given,) if isinstance(given, str) else tuple(given)
    require(names, "run", f"name some of {', '.join(RUNS)}", given)
    for name in names:
        one_of("run", name, RUNS)
    return tuple(name for name in RUNS if name in names)


def _size(model: AbstractSystem, n: int | None, runs: Sequence[str]) -> int | None:
    if n is not None:
        return integer("n", n, low=1)
    if model.reference_size is None and set(runs) & {"network", "compare"}:
        raise InputError(f"Argument `n` must be given: a {type(model).__name__} has no size of its own. Try n=2000.")
    return None


def _plain_tolerance(given: Any) -> Any:
    """Tolerances as plain numbers; whether a name is compared, the comparison itself says."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {str(name): real(f"tolerance[{name}]", share, above=0.0) for name, share in given.items()}
    return real("tolerance", given, above=0.0)


def _plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    plain = {}
    for key, value in options.items():
        value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        good = value is None or isinstance(value, bool | int | float | str)
        if not good and not (isinstance(value, list | tuple) and all(isinstance(v, int | float | str) for v in value)):
            raise InputError(f"Option `{key}` must be a number, a word or a list of these, but is {shown(value)}.")
        plain[key] = list(value) if isinstance(value, tuple) else value
    return plain


def _about(settings: Settings, table: Table, times: np.ndarray, tasks: Sequence[Task]) -> dict[str, Any]:
    """The record's readable part: equal for equal sweeps, and each entry names what may differ."""
    points = hashlib.blake2b(digest_size=8)
    for column in table.columns:
        points.update(json.dumps(column.tolist()).encode())
    compares = "compare" in settings.run
    return {
        "system": settings.system.rpartition(":")[2],
        "parameters": json.dumps(settings.parameters, sort_keys=True),
        "over": f"{', '.join(table.names)} ({' x '.join(map(str, table.shape))} points, {points.hexdigest()})",
        "run": ", ".join(settings.run),
        "times": f"{len(times)} from {times[0]:g} to {times[-1]:g} ({hashlib.sha256(times.data).hexdigest()[:16]})",
        "start": settings.start,
        "observables": ", ".join(f"{w.source}.{w.reduction}".rstrip(".") for w in settings.observables),
        "n": settings.n,
        "realisations": settings.realisations,
        "seed": settings.seed,
        "method": settings.method,
        "tolerances": [settings.rtol, settings.atol],
        "options": json.dumps(settings.options, sort_keys=True),
        "level": settings.level if compares else None,
        "tolerance": None if settings.tolerance is None else json.dumps(settings.tolerance, sort_keys=True),
        "code": settings.code,
        "tasks": len(tasks),
    }


# The store ------------------------------------------------------------------------------------------------------------


def _same_sweep(store: Store, design: Design, extend: bool) -> None:
    """Refuse a store that holds another sweep; keep the record."""
    about = store.record().get("about", design.about)
    differs = [key for key in design.about if about.get(key) != design.about[key]]
    if differs and not extend:
        key = differs[0]
        raise InputError(
            f"Store `{store.path}` holds another sweep: its {key} is {str(about.get(key))[:200]}, but yours is "
            f"{str(design.about[key])[:200]}. Choose another store, or say extend=True (--extend) to go on in this "
            "one: tasks that are the same are kept."
        )
    store.keep_record({"about": design.about, "tasks": [[task.key, len(task.points)] for task in design.tasks]})


def _waiting(store: Store, design: Design, retry_failed: bool) -> list[Task]:
    """Tasks that have no whole file, or with `retry_failed` one with a failed point; each key once."""
    found = {}
    for task in design.tasks:
        block = store.read(task.key)
        fits = block is not None and len(block.status) == len(task.points)
        if not fits or (retry_failed and block is not None and Status.FAILED in block.status):
            found[task.key] = task
    return list(found.values())


def _work(
    store: Store,
    design: Design,
    waiting: Sequence[Task],
    execution: Execution,
    tick: Callable[[float], None],
    lost: dict[str, str],
) -> None:
    """Do the waiting tasks and keep each as it comes."""
    text = payload(design.settings)
    calls = [(text, task.key, task.kind, [design.values[k] for k in task.points]) for task in waiting]
    done = len(design.tasks) - len(waiting)

    def keep(results: Iterator[tuple[int, Any]]) -> None:
        for count, (index, result) in enumerate(results, start=done + 1):
            if isinstance(result, executors.Lost):
                lost[waiting[index].key] = str(result)
            else:
                store.write(waiting[index].key, result)
            tick(count / len(design.tasks))

    if not calls:
        return
    if execution.client is not None:
        keep(executors.on_client(execution.client, run_task, calls))
    elif execution.workers > 1:
        with executors.local_client(min(execution.workers, len(calls))) as own:
            keep(executors.on_client(own, run_task, calls))
    else:
        keep(executors.in_process(run_task, calls))


def collect(store: Store, design: Design, lost: Mapping[str, str] | None = None) -> xr.Dataset:
    """Put together what is in the store."""

    def blocks() -> Iterator[tuple[Task, Block | None, str]]:
        for task in design.tasks:
            yield task, store.read(task.key), (lost or {}).get(task.key, NOT_YET)

    seeds = None
    if set(design.settings.run) & {"network", "compare"}:
        texts = (design.family.text(point) for point in design.values)
        seeds = np.array([seed_of(design.settings, text) for text in texts], dtype=np.int64)
    attrs = {key: value for key, value in design.about.items() if value is not None and key not in ("tasks",)}
    attrs |= {"kind": "sweep", "system": design.model.system, "versions": attrs.pop("code")}
    return gather.gather(design.model, design.table, blocks(), seeds, attrs)


def _so_far(store: Store, design: Design) -> str:
    count = sum(store.file(task.key).exists() for task in design.tasks)
    return f"{count} of {len(design.tasks)} tasks of `{store.path}` (run the same again to go on)"


def status(store: Any) -> dict[str, Any]:
    """Say how far the sweep in a store has come.

    Args:
        store: The name given to `sweep`.

    Returns:
        `tasks`, `done`, and how many points of its tasks are "completed", "stopped", "failed" or "missing"; `busy`,
        who sweeps into it now; `messages`, how often each message of a failed point came; `labels`, how many points
        have each verdict of a comparison; and the record of the sweep.

    Raises:
        InputError: There is no sweep in this store.
    """
    place = Store(store)
    record = place.record()
    if not record:
        raise InputError(f"There is no sweep in `{place.path}`: it has no `{Path(place.folder.name, 'sweep.json')}`.")
    counts: dict[str, int] = {str(each): 0 for each in Status}
    messages: dict[str, int] = {}
    labels: dict[str, int] = {}
    done = 0
    for key, points in _listed(record):
        block = place.read(key)
        if block is None or len(block.status) != points:
            counts[Status.MISSING] += points
            continue
        done += 1
        for word, message in zip(block.status, block.message, strict=True):
            counts[word] += 1
            if word is Status.FAILED:
                messages[message] = messages.get(message, 0) + 1
        if "compare_label" in block.variables:
            for label in block.variables["compare_label"].data.tolist():
                labels[label] = labels.get(label, 0) + 1
    most = sorted(messages.items(), key=lambda item: (-item[1], item[0]))[:10]
    return {
        "store": str(place.path),
        "tasks": len(record["tasks"]),
        "done": done,
        "points": counts,
        "busy": place.busy(),
        "messages": dict(most),
        "labels": dict(sorted(labels.items())),
        "about": record["about"],
    }


def _listed(record: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Keys and sizes of a record's tasks; a key is no path."""
    listed = []
    for entry in record["tasks"]:
        good = isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str) and isinstance(entry[1], int)
        if not (good and len(entry[0]) == 32 and all(letter in "0123456789abcdef" for letter in entry[0])):
            raise InputError(f"The record of this store is not one that largen wrote: {shown(entry)}.")
        listed.append((entry[0], entry[1]))
    return listed
