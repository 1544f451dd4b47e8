"""Long work in processes of its own: some run, some wait, no more are taken."""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import xarray as xr

from largen.checks import InputError, LimitError
from largen.explorer.store import Store, key
from largen.runtime.memory import require_memory
from largen.runtime.workers import start
from largen.system import AbstractFlowSystem, AbstractSystem

DIAGRAM_BYTES = 1.2e9
"""Memory that following branches may take: compiled derivatives of the reduction, mostly."""


class Progress(NamedTuple):
    """The fraction of a job that is done."""

    fraction: float


class Realisation(NamedTuple):
    """One realisation of a network."""

    run: xr.Dataset


class AllRealisations(NamedTuple):
    """All realisations of a network, in one Dataset."""

    network: xr.Dataset


class Comparison(NamedTuple):
    """The network's comparison with its limit, as plain values (see `report_as_plain`).

    Its key `next` says how many networks in all would decide what is open, and what that is; None if nothing is.
    """

    report: dict[str, Any]


class Point(NamedTuple):
    """One point of a branch, as `follow` gives it."""

    row: dict[str, Any]


class FinishedDiagram(NamedTuple):
    """A bifurcation diagram."""

    diagram: xr.Dataset


class Sized(NamedTuple):
    """The distance at the sizes so far, as `largen.explorer.sizes.curve_of` gives it."""

    curve: dict[str, Any]


class Failure(NamedTuple):
    """Why a job ended without a result."""

    message: str


Event = Progress | Realisation | AllRealisations | Comparison | Point | FinishedDiagram | Sized | Failure
"""News of a job."""


class Task(Protocol):
    """What a job does."""

    @property
    def bytes(self) -> float:
        """Memory it takes."""
        ...

    @property
    def words(self) -> str:
        """What it is, as the beginning of a message."""
        ...

    def run(self, send: Callable[[Event], None]) -> None:
        """Do it, in the worker, sending events."""
        ...


class Network(NamedTuple):
    """A network to run beside a limit.

    Attributes:
        model: The model.
        times: Output times, shape (time,).
        n: Total number of neurons.
        realisations: Number of realisations.
        seed: Seed.
        record: More to record in the first realisation.
        limit: The limit that the page shows.
        options: Options of the limit.
        network_options: Options of the network.
        store: Where every realisation is kept.
    """

    model: AbstractSystem
    times: np.ndarray
    n: int
    realisations: int
    seed: int
    record: tuple[str, ...]
    limit: xr.Dataset
    options: Mapping[str, Any]
    network_options: Mapping[str, Any] = {}
    store: Store | None = None

    @property
    def bytes(self) -> float:
        """Memory of the worker and of what it sends."""
        plan = self.model.plan(self.times, n=self.n, method=None, record=self.record, **self.network_options)
        return plan.bytes * (1 + self.realisations / 4)

    @property
    def words(self) -> str:
        """What needs the memory."""
        return f"A network of {self.n} neurons"

    def run(self, send: Callable[[Event], None]) -> None:
        """Run the realisations one by one, then the theory of this size and the comparison."""
        from largen.comparison.plain import report_as_plain
        from largen.comparison.report import compare
        from largen.comparison.words import next_step

        parts = []
        for r in range(self.realisations):
            part = self._realisation(send, r)
            send(Realisation(part))
            parts.append(part.drop_vars([name for name, v in part.data_vars.items() if "realisation" not in v.dims]))
        asked = [observable.name for observable in self.model.observables if observable.on_request]
        parts = [part.drop_vars(asked, errors="ignore") for part in parts]
        dims = {dim for variable in parts[0].data_vars.values() for dim in variable.dims}
        whole = xr.concat(
            parts, "realisation", data_vars="minimal", coords="minimal", compat="override", join="override"
        )
        network = whole.drop_vars([name for name in whole.coords if name not in dims])
        send(AllRealisations(network))
        report = compare(network, self.limit, finite=self._finite())
        send(Comparison({**report_as_plain(report), "next": next_step(report)}))

    def _realisation(self, send: Callable[[Event], None], r: int) -> xr.Dataset:
        """One realisation, from the store where it was run before."""
        from largen.datasets import label
        from largen.simulation import NetworkRun

        model, record = self.model, self.record if r == 0 else ()
        options = dict(self.network_options)
        plan = model.plan(self.times, n=self.n, method=None, record=record, **options)
        asked = ("network", model, self.times, self.n, self.seed, r, plan.method, list(record), options)
        name = key(*asked) if self.store else None
        found = self.store.get(name) if self.store else None
        if found is not None:
            return found
        tick = lambda done: send(Progress((r + done) / self.realisations))  # noqa: E731
        run = NetworkRun(model, self.times, self.n, self.seed, plan.method, record, options)
        part = run.realisation(r, tick)
        about = {"kind": "network", "n": self.n, "seed": self.seed, "method": plan.method, "attrs": options}
        found = label(model, self.times, [part], realisations=True, **about).assign_coords(realisation=[r])
        if self.store:
            self.store.put(name, found)
        return found

    def _finite(self) -> xr.Dataset | None:
        """The theory of this size, where there is one."""
        from largen.simulation import solve_limit

        try:
            options = {**self.options, **self.model.finite_options(realisations=self.realisations, seed=self.seed)}
            return solve_limit(self.model, self.times, n=self.n, strict=False, **options)
        except (InputError, LimitError):  # the network is then compared with its limit alone
            return None


class Diagram(NamedTuple):
    """Branches to follow.

    Attributes:
        model: The model, at the value of the parameter from which branches start.
        parameter: The parameter's name.
        to: Where to stop.
        options: Options of the system's equations.
        store: Where the diagram is kept.
    """

    model: AbstractFlowSystem
    parameter: str
    to: float
    options: Mapping[str, Any]
    store: Store | None = None

    POINTS = 150
    BRANCHES = 6

    @property
    def bytes(self) -> float:
        """Memory of the worker."""
        return DIAGRAM_BYTES

    @property
    def words(self) -> str:
        """What needs the memory."""
        return "A bifurcation diagram"

    @property
    def name(self) -> str | None:
        """Where it is kept."""
        settings = (self.parameter, self.to, dict(self.options), self.POINTS, self.BRANCHES)
        return key("diagram", self.model, *settings)

    def run(self, send: Callable[[Event], None]) -> None:
        """Follow the branches, sending every point as it comes."""
        from largen.analysis import follow

        found = follow(
            self.model, self.parameter, to=self.to, points=self.POINTS, most_branches=self.BRANCHES,
            progress=lambda done: send(Progress(done)), each=lambda point: send(Point(point)),
            **self.options,
        )  # fmt: skip
        if self.store:
            self.store.put(self.name, found)
        send(FinishedDiagram(found))


def run_task(send: Callable[[Any], None], task: Task) -> None:
    """Run in the worker, behind the limits of every session; an error becomes a `Failure`."""
    os.nice(10)
    try:
        task.run(send)
    except (InputError, LimitError) as error:
        send(Failure(str(error)))


class Job:
    """A task on its way: waiting, running, then done."""

    def __init__(self, task: Task, tell: Callable[[], Any]):
        self.task, self.tell = task, tell
        self.process: Any = None
        self.connection: Any = None
        self.done = False

    def begin(self) -> None:
        """Start the process."""
        self.process, self.connection = start(run_task, self.task)

    @property
    def waiting(self) -> bool:
        """Whether the job has not started yet."""
        return self.process is None and not self.done

    @property
    def has_news(self) -> bool:
        """Whether its page should look."""
        if self.done or self.process is None:
            return not self.done
        return self.connection.poll() or not self.process.is_alive()

    def news(self) -> list[Event]:
        """What has come since the last call; the latest progress only."""
        found: list[Event] = []
        if self.process is None or self.done:
            return found
        ended = not self.process.is_alive()  # asked first: what it sent before it ended is read below
        while self.connection.poll():
            try:
                event = self.connection.recv()
            except EOFError:
                break
            if found and isinstance(event, Progress) and isinstance(found[-1], Progress):
                found.pop()
            found.append(event)
        if ended:
            if self.process.exitcode:
                found.append(Failure(f"The process ended with status {self.process.exitcode}."))
            self._close()
        return found

    def cancel(self) -> None:
        """End the job now."""
        if self.process is not None and self.process.is_alive():
            self.process.terminate()
        self._close()

    def _close(self) -> None:
        self.done = True
        if self.connection is not None:
            self.connection.close()


class Jobs:
    """The server's jobs: some run, some wait, no more are taken."""

    def __init__(self, running: int = 2, waiting: int = 16, most_bytes: float = 2e9):
        self.running, self.waiting, self.most_bytes = running, waiting, most_bytes
        self._jobs: list[Job] = []

    def submit(self, task: Task, tell: Callable[[], Any] = lambda: None) -> Job:
        """Queue a task; `tell` is called by `look` when there is news of it.

        Raises:
            InputError: It would take too much memory, or too many are waiting.
        """
        needed = task.bytes
        require_memory(needed, task.words)
        if needed > self.most_bytes:
            raise InputError(
                f"{task.words} must fit in {self.most_bytes / 1e9:.1f} GB here, but needs {needed / 1e9:.1f} GB. Take "
                "fewer neurons, networks or a shorter duration, or use `largen simulate`."
            )
        if sum(job.waiting for job in self._jobs) >= self.waiting:
            raise InputError(f"The server has {self.waiting} jobs waiting already. Try again in a minute.")
        job = Job(task, tell)
        self._jobs.append(job)
        self.advance()
        return job

    def advance(self) -> None:
        """Forget jobs that are done and start those whose turn it is."""
        self._jobs = [job for job in self._jobs if not job.done]
        for job in self._jobs[: self.running]:
            if job.waiting:
                job.begin()

    def look(self) -> None:
        """Start those whose turn it is, and tell the pages of which there is news: idle pages cost nothing."""
        self.advance()
        for job in list(self._jobs):
            if job.has_news:
                job.tell()

    def position(self, job: Job) -> int:
        """How many jobs stand before this one."""
        return self._jobs.index(job) if job in self._jobs else 0

    def close(self) -> None:
        """End every job."""
        for job in self._jobs:
            job.cancel()
        for job in self._jobs:
            if job.process is not None:
                job.process.join(5)
        self._jobs = []
