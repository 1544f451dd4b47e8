"""Where the tasks of a sweep run: in this process, in spawned processes of this machine, or on a Dask cluster."""

import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from largen.checks import InputError, sentence
from largen.runtime.workers import ONE_THREAD, apart_from_the_script, interrupts_between_steps

Call = tuple[Any, ...]
"""Arguments of one task."""

IN_FLIGHT = 4
"""Tasks handed to each worker beforehand."""

PATIENCE = 30.0
"""Seconds between looks at what has finished, should the scheduler not say so."""

DIED = (
    "The worker died each time it tried this point, most likely for want of memory: take fewer workers, or a smaller "
    "network, and run the same again."
)


LOCAL = {
    "distributed.worker.multiprocessing-method": "spawn",
    "distributed.logging.distributed": "critical",
    # Dask makes the allocator hand every freed array back to the kernel: 3 % of a network's time.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
    "distributed.scheduler.allowed-failures": 0,  # once more alone, see `on_client`
    # Without this a worker that needs longer to start again, as on a busy machine, would be given up.
    "distributed.deploy.lost-worker-timeout": "1 day",
    # Nor is a worker dead that cannot speak for minutes, while compiled code runs; its nanny knows when it is.
    "distributed.scheduler.worker-ttl": None,
    # Nobody looks at what Dask shows of itself, and a core that a worker needs is not spent on it.
    "distributed.worker.profile.enabled": False,
    "distributed.worker.http.routes": [],
    "distributed.scheduler.http.routes": [],
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.client.scheduler-info-interval": "30s",
}
"""Settings of Dask for workers on this machine."""


class Lost(Exception):
    """A task whose worker died every time; the message says so."""


def in_process(function: Callable[..., bytes], calls: Sequence[Call]) -> Iterator[tuple[int, bytes | Lost]]:
    """Run the tasks one after another; Ctrl-C acts between them, or where a network says it may."""
    with interrupts_between_steps() as stop_if_asked:
        for index, call in enumerate(calls):
            stop_if_asked()
            yield index, function(*call)


@contextlib.contextmanager
def local_client(workers: int) -> Iterator[Any]:
    """Start spawned worker processes of one thread each on this machine, as a Dask client."""
    distributed = need_dask()
    from dask import config

    with contextlib.ExitStack() as stack:
        stack.enter_context(config.set(LOCAL))
        stack.enter_context(apart_from_the_script())  # for all its time: a worker that dies is started again
        try:
            cluster = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # else port 8787, or a warning that it is taken
                silence_logs="CRITICAL",
                env=ONE_THREAD,
                preload=["largen.sweeps.quiet_worker"],
            )
        except (RuntimeError, OSError) as error:
            raise InputError(
                f"Argument `workers` must be 1 here, for worker processes cannot be started: {sentence(error)}. Or see "
                "that memory, processes and ports of 127.0.0.1 are free."
            ) from error
        stack.enter_context(cluster)
        yield stack.enter_context(distributed.Client(cluster, set_as_default=False))


def need_dask() -> Any:
    """Import dask.distributed, or say how to install it."""
    try:
        import distributed
    except ImportError as error:
        raise InputError(
            "Sweeps with several workers need the package dask: pip install 'largen[sweep]', or take workers=1."
        ) from error
    return distributed


def on_client(client: Any, function: Callable[..., bytes], calls: Sequence[Call]) -> Iterator[tuple[int, bytes | Lost]]:
    """Run the tasks on a Dask client's workers and yield results as they come.

    A task whose worker died several times may be a bystander: it is tried once more, alone, when all others are done.
    """
    suspects: list[int] = []
    for index, result in _windowed(client, function, calls, range(len(calls)), None):
        if isinstance(result, Lost):
            suspects.append(index)
        else:
            yield index, result
    yield from _windowed(client, function, calls, suspects, 1)


def _windowed(
    client: Any, function: Callable[..., bytes], calls: Sequence[Call], order: Sequence[int], most: int | None
) -> Iterator[tuple[int, bytes | Lost]]:
    from distributed import wait
    from distributed.scheduler import KilledWorker

    waiting = iter(order)
    flying: dict[Any, int] = {}

    def launch() -> None:
        room = most or max(IN_FLIGHT * max(len(client.ncores()), 1), 8)
        while len(flying) < room and (index := next(waiting, None)) is not None:
            future = client.submit(function, *calls[index], key=f"largen-{uuid.uuid4().hex}", pure=False)
            flying[future] = index

    try:
        launch()
        while flying:
            with contextlib.suppress(TimeoutError), client.as_current():
                wait(list(flying), timeout=PATIENCE, return_when="FIRST_COMPLETED")
            for future in [future for future in flying if future.done()]:
                try:
                    result: bytes | Lost = future.result(timeout=PATIENCE)
                except TimeoutError:  # its worker died before it handed the result over: it is being done again
                    continue
                except KilledWorker:
                    result = Lost(DIED)
                yield flying.pop(future), result
                future.release()
            launch()
    finally:
        with contextlib.suppress(Exception):
            client.cancel(list(flying))
