"""Progress of long work: a callable that takes the fraction done, or a bar with the time left."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from largen.checks import require


@contextlib.contextmanager
def showing(progress: Any, what: str) -> Iterator[Callable[[float], None]]:
    """Yield a function of the fraction done.

    Args:
        progress: None (silent), True (a bar on standard error), or a callable that takes the fraction done.
        what: The words beside the bar.
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
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=1.0)
            yield lambda fraction: bar.update(task, completed=fraction)
    else:
        require(callable(progress), "progress", "be None, True or a function of the fraction done", progress)
        yield progress
