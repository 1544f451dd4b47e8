"""Loaded first in every worker of a sweep on this machine: Ctrl-C is the parent's to handle."""

import signal
import threading


def dask_setup(worker: object) -> None:
    """Ignore the interrupt that a terminal sends to all processes."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
