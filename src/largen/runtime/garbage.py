"""Garbage collection: paused while largen imports, and rare in processes of largen's own.

JAX, xarray and Numba make 300 000 objects that live as long as the process does. Walking over them again and again
takes a fifth of the time in which largen starts, and most of the time in which a short command ends.
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Pause garbage collection; objects made meanwhile go to the oldest generation, and all else is restored."""
    if not gc.isenabled():
        yield
        return
    frozen = gc.get_freeze_count()
    gc.disable()
    try:
        yield
    finally:
        if frozen == 0:  # whoever froze objects wants them left alone
            gc.freeze()
            gc.unfreeze()
        gc.enable()


def collect_rarely() -> None:
    """Have this process collect garbage once in 50 000 new objects, and not when it exits.

    Only for a process that largen owns: in a user's process an object in a cycle, such as an open file, may have to
    be finalised at exit.
    """
    gc.set_threshold(50_000, 20, 100)
    atexit.register(gc.freeze)
