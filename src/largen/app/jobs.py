"""Networks in processes of their own, one at a time per page and a few at a time per server."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.checks import InputError, LimitError
from largen.memory import require_memory
from largen.system import AbstractSystem
from largen.workers import start


class Task(NamedTuple):
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
    """

    model: AbstractSystem
    times: np.ndarray
    n: int
    realisations: int
    seed: int
    record: tuple[str, ...]
    limit: xr.Dataset
    options: Mapping[str, Any]


class Event(NamedTuple):
    """News of a job.

    Attributes:
        kind: `progress`, `realisation`, `network`, `verdict` or `failed`.
        content: A fraction; a Dataset of one realisation; one of all of them; a report; a sentence.
    """

    kind: str
    content: Any


def run_task(send: Any, task: Task) -> None:
    """Run in the worker: realisations one by one, the theory of this size, the comparison."""
    from largen.comparison import compare
    from largen.limits import solve_limit
    from largen.presentation import report_as_plain
    from largen.results import label
    from largen.simulation import run_realisation

    model, parts = task.model, []
    plan = model.plan(task.times, n=task.n, method=None, record=task.record)
    asked = {observable.name for observable in model.observables if observable.on_request}

    def labelled(some: Sequence[Any]) -> xr.Dataset:
        about = {"kind": "network", "n": task.n, "seed": task.seed, "method": plan.method, "attrs": {}}
        return label(model, task.times, some, realisations=True, **about)

    try:
        for r in range(task.realisations):
            tick = lambda done, r=r: send(Event("progress", (r + done) / task.realisations))  # noqa: E731
            record = task.record if r == 0 else ()
            part = run_realisation(model, task.times, task.n, task.seed, plan.method, record, {}, r, tick)
            send(Event("realisation", labelled([part])))
            values = {name: array for name, array in part.values.items() if name not in asked}
            parts.append(part._replace(values=values))
        network = labelled(parts)
        send(Event("network", network))
        try:
            options = {**task.options, **model.finite_options(realisations=task.realisations, seed=task.seed)}
            finite = solve_limit(model, task.times, n=task.n, strict=False, **options)
        except (InputError, LimitError):  # a network without such a theory is still compared with its limit
            finite = None
        send(Event("verdict", report_as_plain(compare(network, task.limit, finite=finite))))
    except (InputError, LimitError) as error:
        send(Event("failed", str(error)))


class Job:
    """One network on its way: waiting, running, then done."""

    def __init__(self, task: Task):
        self.task = task
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

    def news(self) -> list[Event]:
        """What has come since the last call; the latest progress only."""
        found: list[Event] = []
        while self.connection is not None and not self.done and self.connection.poll():
            try:
                event = self.connection.recv()
            except EOFError:
                self._close()
                break
            if found and event.kind == "progress" == found[-1].kind:
                found.pop()
            found.append(event)
        if self.process is not None and not self.done and not self._alive():
            if self.process.exitcode:
                found.append(Event("failed", f"The network's process ended with status {self.process.exitcode}."))
            self._close()
        return found

    def _alive(self) -> bool:
        """Whether more may come."""
        return self.process.is_alive() or (self.connection is not None and self.connection.poll())

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

    def submit(self, task: Task) -> Job:
        """Queue a network.

        Raises:
            InputError: It would take too much memory, or too many are waiting.
        """
        plan = task.model.plan(task.times, n=task.n, method=None, record=task.record)
        needed = plan.bytes * (1 + task.realisations / 4)
        require_memory(needed, f"A network of {task.n} neurons")
        if needed > self.most_bytes:
            raise InputError(
                f"Argument `n` must let the network fit in {self.most_bytes / 1e9:.1f} GB here, but n = {task.n} needs "
                f"{needed / 1e9:.1f} GB. Use `largen simulate` for larger ones."
            )
        if sum(job.waiting for job in self._jobs) >= self.waiting:
            raise InputError(f"The server has {self.waiting} networks waiting already. Try again in a minute.")
        job = Job(task)
        self._jobs.append(job)
        self.advance()
        return job

    def advance(self) -> None:
        """Forget jobs that are done and start those whose turn it is."""
        self._jobs = [job for job in self._jobs if not job.done]
        for job in self._jobs[: self.running]:
            if job.waiting:
                job.begin()

    def position(self, job: Job) -> int:
        """How many jobs stand before this one."""
        return self._jobs.index(job) if job in self._jobs else 0

    def close(self) -> None:
        """End every job."""
        for job in self._jobs:
            job.cancel()
        self._jobs = []
