"""Loaded first in every worker of a sweep on this machine: what tasks need; Ctrl-C is the parent's to handle."""

import atexit
import contextlib
import os
import signal
import sys
import threading

from largen.runtime import garbage

with garbage.paused():
    import largen.sweeps.work  # noqa: F401  (before the first task, and without walking over every new object)


def dask_setup(worker: object) -> None:
    """Ignore the interrupt that a terminal sends to all processes, and leave at once when asked to."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    atexit.register(_leave)


def _leave() -> None:
    """End without freeing every object one by one, which takes most of a second: a worker keeps nothing."""
    for out in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            out.flush()
    os._exit(0)
