"""Spawned worker processes: one thread each, results in order, the same whatever their number."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from largen.checks import InputError, sentence
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


NO_GUARD = 71
"""Exit status of a worker that finds itself starting workers, because the script it imports has no main guard."""


def _start_worker() -> None:
    """Run first in every worker: Ctrl-C is the parent's to handle, and JAX is not imported yet."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_compiled_programs()
    collect_rarely()


def _end_with_parent() -> None:
    """End this worker when its parent does, even by SIGKILL: nobody would read what it computes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


@contextlib.contextmanager
def apart_from_the_script() -> Iterator[None]:
    """Start processes here that do not import the script: it may be standard input, or have no main guard."""
    _leave_if_importing()
    script = sys.modules["__main__"]
    kept = {name: vars(script)[name] for name in ("__file__", "__spec__") if name in vars(script)}
    vars(script).pop("__file__", None)
    vars(script)["__spec__"] = None
    try:
        yield
    finally:
        vars(script).update(kept)


def _leave_if_importing() -> None:
    """End a worker whose script would start workers while it is imported; its parent says what to do."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(NO_GUARD)


def _starting(function: Callable[..., Any]) -> contextlib.AbstractContextManager[None]:
    """What processes are started in that are sent this function: they import the script only if they must.

    Raises:
        InputError: The function cannot be sent, or needs a script that cannot be imported.
    """
    try:
        sent = bytes(ForkingPickler.dumps(function))
    except Exception as error:
        raise InputError(
            f"Argument `workers` must be 1 here, for the model cannot be sent to a worker process: {sentence(error)}. "
            "Move the functions that it holds to a module."
        ) from error
    _leave_if_importing()
    if b"__main__" not in sent:
        return apart_from_the_script()
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None or not Path(file).is_file():
        raise InputError(
            "Argument `workers` must be 1 here, for the model uses what a script on standard input (or an interactive "
            "session) defines, which worker processes cannot import. Save it as a module and import it."
        )
    return contextlib.nullcontext()


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
    with _environment(ONE_THREAD), _starting(function):
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

    Raises:
        InputError: The workers cannot be started, or one of them died.
    """
    context = multiprocessing.get_context("spawn")
    starting = _starting(function)
    with _environment(ONE_THREAD):
        pool = ProcessPoolExecutor(min(workers, len(tasks)), mp_context=context, initializer=_start_worker)
        futures: dict[Future, int] = {}
        processes: list[Any] = []
        try:
            with starting:
                futures = {pool.submit(function, *task): index for index, task in enumerate(tasks)}
            processes = list((pool._processes or {}).values())
            pending = set(futures)
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in sorted(finished, key=futures.__getitem__):
                    done(futures[future], future.result())
        except BrokenProcessPool as error:
            raise InputError(_death(processes)) from error
        except BaseException:
            for future in futures:
                future.cancel()
            for process in processes or list((pool._processes or {}).values()):
                process.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _death(processes: Sequence[Any]) -> str:
    """Why workers died, as far as their exit statuses say."""
    for process in processes:
        process.join(1.0)
    if NO_GUARD in [process.exitcode for process in processes]:
        return (
            "Argument `workers` must be 1 here, for the model uses what the script defines, and workers that import it "
            "would start workers again: put what the script does below `if __name__ == '__main__':`."
        )
    return (
        "Argument `workers` must be smaller here: a worker process died, most likely for want of memory. Take fewer "
        "workers, or a smaller network."
    )
