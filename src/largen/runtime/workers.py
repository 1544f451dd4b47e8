"""Spawned worker processes: one thread each, results in order, the same whatever their number."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any

from largen.runtime.compilation import keep_compiled_programs
from largen.runtime.garbage import collect_rarely

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}


def _start_worker() -> None:
    """Run first in every worker: Ctrl-C is the parent's to handle, and JAX is not imported yet."""
    keep_compiled_programs()
    collect_rarely()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def interrupts_between_steps() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back until the function that is yielded is called; a second Ctrl-C acts at once.

    An exception raised by the interpreter's own handler may strike while compiled code is being entered, which can
    crash the process (seen with Numba's random generators). Elsewhere than in the main thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    asked = False

    def note(number: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    old = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in old.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def start(function: Callable[..., None], *args: Any) -> tuple[Any, Any]:
    """Run `function(send, *args)` in one spawned process; return the process and the end to receive from.

    `send` takes one picklable object at a time. The process ends with this one.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    with _environment(ONE_THREAD):
        process = context.Process(target=_run_alone, args=(function, sender, args), daemon=True)
        process.start()
    sender.close()
    return process, receiver


def _run_alone(function: Callable[..., None], sender: Any, args: tuple) -> None:
    _start_worker()
    try:
        function(sender.send, *args)
    except BrokenPipeError:
        pass  # nobody listens any more
    finally:
        sender.close()


def run_tasks(
    function: Callable[..., Any], tasks: Sequence[tuple], workers: int, done: Callable[[int, Any], None]
) -> None:
    """Run `function(*task)` for every task in spawned processes, calling `done(index, result)` as they finish.

    An exception in a task, or Ctrl-C, stops the rest and is raised after what had finished was delivered.
    """
    context = multiprocessing.get_context("spawn")
    with _environment(ONE_THREAD):
        pool = ProcessPoolExecutor(min(workers, len(tasks)), mp_context=context, initializer=_start_worker)
        futures: dict[Future, int] = {}
        try:
            futures = {pool.submit(function, *task): index for index, task in enumerate(tasks)}
            pending = set(futures)
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in sorted(finished, key=futures.__getitem__):
                    done(futures[future], future.result())
        except BaseException:
            for future in futures:
                future.cancel()
            for process in list((pool._processes or {}).values()):
                process.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
