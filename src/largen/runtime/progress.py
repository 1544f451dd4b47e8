"""Progress of long work: a function of the fraction done, a bar with the time left, or lines for logs."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

from largen.checks import require

EVERY = 10.0
"""Seconds between lines of progress."""


class _Counter:
    """Text for a fraction done: so many pieces of so many, how many a second, and the time left."""

    def __init__(self, what: str, pieces: int, unit: str, begun: float | None = None):
        self.what, self.pieces, self.unit = what, pieces, unit
        self.begun = None if begun is None else (begun, 0.0)

    def text(self, fraction: float, left: bool = False) -> str:
        now = time.monotonic()
        self.begun = self.begun or (now, fraction)
        seconds, done = now - self.begun[0], fraction - self.begun[1]
        text = self.what
        if self.pieces:
            text += f": {round(fraction * self.pieces)} of {self.pieces} {self.unit}"
            text += f", {done * self.pieces / seconds:.3g} a second" if done > 0 and seconds > 0 else ""
        else:
            text += f": {100 * fraction:.1f} %" if left else ""
        if left and done > 0 and fraction < 1:
            minutes, rest = divmod(round(seconds / done * (1 - fraction)), 60)
            text += f", {minutes // 60}:{minutes % 60:02d}:{rest:02d} left"
        return text


@contextlib.contextmanager
def showing(progress: Any, what: str, pieces: int = 0, unit: str = "") -> Iterator[Callable[[float], None]]:
    """Yield a function of the fraction done.

    Args:
        progress: None (silent), True (a bar on standard error), "lines" (a line there every ten seconds, for logs),
            or a callable that takes the fraction done.
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
        counter = _Counter(what, pieces, unit)
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=1.0)
            yield lambda fraction: bar.update(task, completed=fraction, description=counter.text(fraction))
    elif progress == "lines":
        yield _lines(_Counter(what, pieces, unit))
    else:
        must = "be None, True, 'lines' or a function of the fraction done"
        require(callable(progress), "progress", must, progress)
        yield cast(Callable[[float], None], progress)


@contextlib.contextmanager
def showing_late(progress: Any, what: str, after: float) -> Iterator[Callable[[float], None]]:
    """As `showing`, but on a screen only from `after` seconds of work on."""
    if not (progress is True or progress == "lines"):
        with showing(progress, what) as own:
            yield own
        return
    began, tick = time.monotonic(), None
    with contextlib.ExitStack() as stack:

        def told(fraction: float) -> None:
            nonlocal tick
            if tick is None and time.monotonic() - began >= after:
                if progress == "lines":
                    tick = _lines(_Counter(what, 0, "", began), at_once=True)
                else:
                    tick = stack.enter_context(showing(progress, what))
            if tick is not None:
                tick(fraction)

        yield told


def _lines(counter: _Counter, *, at_once: bool = False) -> Callable[[float], None]:
    """Print a line at most every `EVERY` seconds, and one at the end of work that took longer than that."""
    last, printed = float("-inf") if at_once else time.monotonic(), False

    def tick(fraction: float) -> None:
        nonlocal last, printed
        text = counter.text(fraction, left=True)
        if time.monotonic() - last >= EVERY or (printed and fraction >= 1):
            last, printed = time.monotonic(), True
            with contextlib.suppress(OSError):  # nobody listens any more
                print(text, file=sys.stderr, flush=True)

    return tick
