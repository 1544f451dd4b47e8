"""simulate() and solve_limit(): the finite network of a system, and its limit equations."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

import largen.numerics.compiled  # noqa: F401 (loaded with largen, not by the first kernel)
from largen.checks import InputError, LimitError, flag, increasing_times, integer, names, one_of, real, seed_number
from largen.datasets import label
from largen.numerics.streams import stream
from largen.runtime.memory import require_memory
from largen.runtime.progress import showing
from largen.runtime.workers import interrupts_between_steps, run_tasks
from largen.system import AbstractSystem, Arrays, Plan, check_options, finite_arithmetic, in_own_units, require_model


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during long work; what had finished is kept.

    Attributes:
        partial: Dataset of what had finished (realisations of `simulate`, sizes of `convergence`), or None.
    """

    def __init__(self, finished: str, partial: xr.Dataset | None):
        super().__init__(f"Interrupted with {finished} finished; they are in `.partial`.")
        self.partial = partial


def simulate(
    system: AbstractSystem,
    times: Any,
    *,
    n: int | None = None,
    realisations: int = 1,
    seed: int = 0,
    method: str | None = None,
    record: str | Sequence[str] = (),
    progress: Any = None,
    workers: int = 1,
    **options: Any,
) -> xr.Dataset:
    """Simulate the finite network of a system.

    Args:
        system: The model, such as `SpikingNetwork()`.
        times: Output times (ms for the spiking system, or with a unit), shape (time,), strictly increasing. The
            network starts at times[0].
        n: Total number of neurons; None is the model's own reference size where it has one.
        realisations: Independent realisations, each with its own random streams.
        seed: Non-negative integer of any size; the same seed gives the same bytes, whatever `workers` is.
        method: One of the system's methods, or None for its default.
        record: More to record, such as "spikes"; a name or several.
        progress: None, True for a bar with the time left, or a function of the fraction done.
        workers: Spawned processes that share the realisations.
        options: The system's own options, such as dt.

    Returns:
        Dataset with the system's observables, dims (realisation, population, time).

    Raises:
        InputError: An argument cannot be used; the message names it and the remedy.
        Interrupted: Ctrl-C; the finished realisations are in `.partial`.
    """
    times = increasing_times("times", times, unit=require_model("system", system).time_unit)
    realisations = integer("realisations", realisations, low=1)
    seed = seed_number("seed", seed)
    workers = integer("workers", workers, low=1)
    record = names("record", record, like="record='spikes'")
    if method is not None:
        method = one_of("method", method, system.methods)
    n = _network_size(system, n)
    check_options(system, "network", options)
    options = in_own_units(system, options)

    with finite_arithmetic(system):
        work = NetworkWork(system, times, n, realisations, workers, method, record, options)
        plan = work.plan()
        work.require_memory(plan)
    run = NetworkRun(system, times, n, seed, plan.method, record, options)
    what = f"network, n = {n}" + (f", {realisations} realisations" if realisations > 1 else "")
    with showing(progress, what) as tick, finite_arithmetic(system):
        finished = _run_all(run, realisations, workers, tick)

    def labelled(parts: Sequence[Arrays]) -> xr.Dataset:
        about = {"kind": "network", "n": n, "seed": seed, "method": plan.method, "attrs": options}
        with finite_arithmetic(system):
            return label(system, times, parts, realisations=True, **about)

    if len(finished) < realisations:
        whole = [finished[r] for r in sorted(finished)]
        raise Interrupted(f"{len(whole)} of {realisations} realisations", labelled(whole) if whole else None)
    return labelled([finished[r] for r in range(realisations)])


class NetworkWork(NamedTuple):
    """What networks take, known before they start.

    Attributes:
        system: The model.
        times: Output times, shape (time,).
        n: Total number of neurons.
        realisations: Number of networks.
        workers: Processes that share them.
        method: One of the system's methods, or None for its default.
        record: What to record beyond the standard observables.
        options: The system's own options.
    """

    system: AbstractSystem
    times: np.ndarray
    n: int
    realisations: int
    workers: int
    method: str | None
    record: tuple[str, ...]
    options: Mapping[str, Any]

    def plan(self) -> Plan:
        """Plan of one realisation."""
        return self.system.plan(self.times, n=self.n, method=self.method, record=self.record, **self.options)

    def bytes(self, plan: Plan, realisations: int) -> float:
        """Memory of all that run at once, and of the results, which labelling holds twice."""
        kept = result_bytes(self.system, len(self.times)) if plan.kept is None else plan.kept
        return plan.bytes * min(self.workers, realisations) + 2.0 * kept * realisations

    def seconds(self, plan: Plan) -> float | None:
        """Wall-clock time, or None where it is unknown."""
        each = plan.seconds
        return None if each is None else each * -(-self.realisations // self.workers)

    def require_memory(self, plan: Plan) -> None:
        """Refuse networks that do not fit; the message names the largest numbers that do."""
        count = self.realisations
        several = f"{count} realisations of a" if count > 1 else "a"
        smaller = {
            "{} realisations": (count, lambda k: self.bytes(plan, k)),
            "{} neurons": (self.n, lambda k: self._replace(n=k)._bytes_if_possible()),
            "{} output times": (
                len(self.times),
                lambda k: self._replace(times=self.times[: max(k, 2)])._bytes_if_possible(),
            ),
        }
        what = f"A run of {several} network of {self.n} neurons"
        require_memory(self.bytes(plan, count), what, smaller=smaller)

    def _bytes_if_possible(self) -> float:
        """Negative where there is no such network."""
        try:
            self.system.sizes(self.n)
            return self.bytes(self.plan(), self.realisations)
        except InputError:
            return -1.0


def result_bytes(system: AbstractSystem, times: int) -> float:
    """Memory of the standard observables at so many times, in double precision."""
    count = max(len(system.populations), 1)
    sizes = {"population": count, "source": count, "time": times, "time_": times}
    standard = [observable.dims for observable in system.observables if not observable.on_request]
    return 8.0 * sum(float(np.prod([sizes.get(dim, 1) for dim in dims], dtype=float)) for dims in standard)


class NetworkRun(NamedTuple):
    """What every realisation of a network shares.

    Attributes:
        system: The model.
        times: Output times, shape (time,).
        n: Total number of neurons.
        seed: Seed.
        method: One of the system's methods.
        record: What to record beyond the standard observables.
        options: The system's own options.
    """

    system: AbstractSystem
    times: np.ndarray
    n: int
    seed: int
    method: str
    record: tuple[str, ...]
    options: Mapping[str, Any]

    def realisation(self, number: int, tick: Callable[[float], None] = lambda fraction: None) -> Arrays:
        """Run one realisation; its random streams depend on the seed, n and its number alone."""
        rng = functools.partial(stream, self.seed, "n", self.n, "realisation", number)
        asked = {"n": self.n, "rng": rng, "method": self.method, "record": self.record, "tick": tick}
        with finite_arithmetic(self.system):
            return self.system.network(self.times, **asked, **self.options)


def _run_all(run: NetworkRun, realisations: int, workers: int, tick: Callable[[float], None]) -> dict[int, Arrays]:
    """Run the realisations here or in workers; Ctrl-C returns what had finished."""
    finished: dict[int, Arrays] = {}
    try:
        if workers == 1 or realisations == 1:
            with interrupts_between_steps() as stop_if_asked:

                def step(done: float) -> None:
                    tick(done)
                    stop_if_asked()

                for r in range(realisations):
                    finished[r] = run.realisation(r, lambda done, r=r: step((r + done) / realisations))
                    step((r + 1) / realisations)
        else:

            def deliver(index: int, result: Arrays) -> None:
                finished[index] = result
                tick(len(finished) / realisations)

            run_tasks(run.realisation, [(r,) for r in range(realisations)], workers, deliver)
    except KeyboardInterrupt:
        pass  # fewer than asked for: `simulate` raises `Interrupted` with them
    return finished


def _network_size(system: AbstractSystem, n: int | None) -> int:
    if n is None:
        n = system.reference_size
        if n is None:
            raise InputError(
                f"Argument `n` must be given: a {type(system).__name__} has no size of its own. Try n=2000."
            )
    n = integer("n", n, low=1)
    system.sizes(n)
    return n


# The limit -------------------------------------------------------------------------------------------------------


def solve_limit(
    system: AbstractSystem,
    times: Any,
    *,
    n: int | None = None,
    rtol: float = 1e-8,
    atol: float = 1e-10,
    strict: bool = True,
    **options: Any,
) -> xr.Dataset:
    """Solve the large-n limit of a system, or its equations at a finite size.

    Args:
        system: The model, such as `SpikingNetwork()`.
        times: Times (ms for the spiking system), shape (time,), strictly increasing; times[0] is the start.
        n: Total number of neurons. None is the model's own size: infinite for the balanced and rate systems,
            `reference_size` for the spiking system, whose reduction is one of finite networks.
        rtol: Relative tolerance, where the limit is an ODE.
        atol: Absolute tolerance, likewise.
        strict: Raise where the limit is lost on the way; otherwise cut `time` there and say so in
            `attrs["status"]`.
        options: The system's own options, such as closure or bin_width.

    Returns:
        Dataset with the system's observables, dims (population, time).

    Raises:
        InputError: An argument cannot be used; the message names it and the remedy.
        LimitError: The limit does not exist for these parameters, or was lost at `.t` (`.partial` up to then).
    """
    times = increasing_times("times", times, unit=require_model("system", system).time_unit)
    rtol, atol = real("rtol", rtol, above=0.0), real("atol", atol, above=0.0)
    if n is not None:
        n = integer("n", n, low=1)
        system.sizes(n)
    strict = flag("strict", strict)
    check_options(system, "limit", options)
    options = in_own_units(system, options)
    smaller = {"{} output times": (len(times), lambda k: 2.0 * result_bytes(system, k))}
    require_memory(2.0 * result_bytes(system, len(times)), f"A limit at {len(times)} times", "", smaller=smaller)

    size = system.reference_size if n is None else n
    with finite_arithmetic(system):
        arrays = system.limit(times, n=n, rtol=rtol, atol=atol, **options)
        dataset = label(
            system,
            times,
            [arrays],
            kind="limit",
            n=float("inf") if size is None else size,
            seed=options.get("seed"),
            method=str(arrays.attrs.get("method", "limit equations")),
            realisations=False,
            attrs=options,
        )
    if strict and arrays.stopped_at is not None:
        raise LimitError(arrays.status, t=arrays.stopped_at, partial=dataset)
    return dataset
