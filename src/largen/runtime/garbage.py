"""The collector of garbage: at rest while largen imports, and looking rarely in processes of largen's own.

JAX, xarray and Numba make 300 000 objects that live as long as the process does. Walking over them again and again
takes a fifth of the time in which largen starts, and most of the time in which a short command ends.
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_rest() -> Iterator[None]:
    """Collect nothing meanwhile; what was made goes to the oldest generation unseen, and all is as it was before."""
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


def look_rarely() -> None:
    """Have this process look for garbage once in 50 000 new objects, and not as it ends.

    Not for a process of the user's: what ends in a cycle there, such as an open file, may have a last word.
    """
    gc.set_threshold(50_000, 20, 100)
    atexit.register(gc.freeze)
