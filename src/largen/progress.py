"""Progress of long work: a callable that takes the fraction done, or a bar with the time left."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from largen.checks import require


@contextlib.contextmanager
def showing(progress: Any, what: str, pieces: int = 0, unit: str = "") -> Iterator[Callable[[float], None]]:
    """Yield a function of the fraction done.

    Args:
        progress: None (silent), True (a bar on standard error), or a callable that takes the fraction done.
        what: The words beside the bar.
        pieces: How many pieces the work has, to show how many are done and their rate; 0 to show neither.
        unit: What a piece is called.
    """
    if progress is None or progress is False:
        yield lambda fraction: None
    elif progress is True:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Left

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            Left(),
        )
        clock: list[float] = []

        def counted(fraction: float) -> str:
            """So many of so many, and how many a second since the first call."""
            if not pieces:
                return what
            clock[:] = clock or [time.monotonic(), fraction]
            seconds = time.monotonic() - clock[0]
            rate = f", {(fraction - clock[1]) * pieces / seconds:.3g} a second" if fraction > clock[1] else ""
            return f"{what}: {round(fraction * pieces)} of {pieces} {unit}{rate}"

        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=1.0)
            yield lambda fraction: bar.update(task, completed=fraction, description=counted(fraction))
    else:
        require(callable(progress), "progress", "be None, True or a function of the fraction done", progress)
        yield progress
