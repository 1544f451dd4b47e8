"""simulate() and solve_limit(): the finite network of a system, and its limit equations."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

import largen.numerics.compiled  # noqa: F401 (as in `systems.spiking.model`)
from largen.checks import InputError, LimitError, increasing_times, integer, one_of, real, seed_number
from largen.datasets import label
from largen.numerics.streams import stream
from largen.runtime.memory import require_memory
from largen.runtime.progress import showing
from largen.runtime.workers import interrupts_between_steps, run_tasks
from largen.system import AbstractSystem, Arrays, check_options


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
        times: Output times (ms for the spiking system), shape (time,), strictly increasing. The network starts
            at times[0].
        n: Total number of neurons; None is the model's own reference size where it has one.
        realisations: Independent realisations, each with its own random streams.
        seed: Non-negative integer; the same seed gives the same bytes, whatever `workers` is.
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
    times = increasing_times("times", times)
    realisations = integer("realisations", realisations, low=1)
    seed = seed_number("seed", seed)
    workers = integer("workers", workers, low=1)
    record = (record,) if isinstance(record, str) else tuple(record)
    if method is not None:
        one_of("method", method, system.methods)
    n = _network_size(system, n)
    check_options(system, "network", options)

    plan = system.plan(times, n=n, method=method, record=record, **options)
    require_memory(plan.bytes * max(min(workers, realisations), 1), f"A network of {n} neurons")
    run = NetworkRun(system, times, n, seed, plan.method, record, options)
    what = f"network, n = {n}" + (f", {realisations} realisations" if realisations > 1 else "")
    with showing(progress, what) as tick:
        finished = _run_all(run, realisations, workers, tick)

    def labelled(parts: Sequence[Arrays]) -> xr.Dataset:
        return label(
            system,
            times,
            parts,
            kind="network",
            n=n,
            seed=seed,
            method=plan.method,
            realisations=True,
            attrs=options,
        )

    if len(finished) < realisations:
        whole = [finished[r] for r in sorted(finished)]
        raise Interrupted(f"{len(whole)} of {realisations} realisations", labelled(whole) if whole else None)
    return labelled([finished[r] for r in range(realisations)])


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
        return self.system.network(
            self.times,
            n=self.n,
            rng=functools.partial(stream, self.seed, "n", self.n, "realisation", number),
            method=self.method,
            record=self.record,
            tick=tick,
            **self.options,
        )


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
    times = increasing_times("times", times)
    rtol, atol = real("rtol", rtol, above=0.0), real("atol", atol, above=0.0)
    if n is not None:
        n = integer("n", n, low=1)
        system.sizes(n)
    check_options(system, "limit", options)

    arrays = system.limit(times, n=n, rtol=rtol, atol=atol, **options)

    size = n or system.reference_size
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
