"""A fit while it runs: its progress, and the best values so far, which Ctrl-C leaves."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from largen.fitting.problem import End, Problem, conclude
from largen.fitting.quality import Fits
from largen.fitting.report import report
from largen.io.results import save
from largen.numerics.least_squares import Minimum
from largen.runtime.progress import showing_late

SOON = 5.0
"""Seconds from which progress is shown, and between two writes of the best values so far."""
USUAL = 8.0
"""Evaluations that a search usually takes: what the time left is reckoned from."""


class Watch:
    """What is known of a fit on its way.

    Args:
        progress: As `fit` was given it.
        keep: File that holds the best so far, or None.
        through: As `fit` was given it.
    """

    def __init__(self, progress: Any, keep: Path | None, through: str):
        self.progress, self.keep, self.through = progress, keep, through
        self.problem: Problem | None = None
        self.minimum: Minimum | None = None
        self.end: End | None = None
        self.result: xr.Dataset | None = None
        self.doing = "the first evaluation"
        self.written = time.monotonic()
        self.lowest = np.inf

    @contextlib.contextmanager
    def stage(self, what: str) -> Iterator[Callable[[float], None]]:
        """Yield a function of the fraction done of one stage."""
        self.doing = what
        with showing_late(self.progress, f"fit: {what}", SOON) as tick:
            yield tick

    @contextlib.contextmanager
    def search(self, problem: Problem) -> Iterator[Callable[[Minimum], None]]:
        """Yield what a search calls after every evaluation."""
        self.problem = problem
        with self.stage("search") as tick:

            def each(minimum: Minimum) -> None:
                self.minimum = minimum
                tick(1.0 - float(np.exp(-minimum.iterations / USUAL)))
                self._write(float(minimum.cost.min()))

            yield each

    def ended(self, minimum: Minimum, end: End) -> None:
        """Where a search ended; later stages can only better it."""
        self.minimum, self.end = minimum, end
        if self.keep is not None:
            self.save(self.partial("running"))

    def found(self, result: xr.Dataset) -> None:
        """What the fit returns if nothing more comes to it."""
        self.result = result
        self.save(result)

    def save(self, result: xr.Dataset | None) -> None:
        """Write what is known to the file that keeps it, where there are both."""
        if self.keep is not None and result is not None:
            save(result, self.keep)

    def partial(self, why: str = "stopped") -> xr.Dataset | None:
        """The best so far as `fit` returns it; without errors while the search goes on."""
        problem, minimum, end = self.problem, self.minimum, self.end
        until = f"{'stopped before' if why == 'stopped' else 'not yet at'} the end ({self.doing})"
        if self.result is not None:
            return self.result.assign_attrs(status=f"{self.result.attrs['status']}; {until}")
        if problem is None or minimum is None or not np.isfinite(minimum.cost).any():
            return None
        if end is None:
            shift = np.zeros(len(problem.data.value))
            end = _unfinished(conclude(problem, minimum, minimum.best, shift, []), minimum, why)
        else:
            end = end._replace(outcome=f"{end.outcome}; {until}")
        fitted = problem.free.put(problem.model, end.value)
        return report(problem, end, minimum, None, fitted, through=self.through, rounds=0)

    def _write(self, cost: float) -> None:
        if self.keep is None or cost >= self.lowest or time.monotonic() - self.written < SOON:
            return
        self.save(self.partial("running"))
        self.written, self.lowest = time.monotonic(), cost


def _unfinished(end: End, minimum: Minimum, why: str) -> End:
    """The end of a search that has not ended: no test, no errors."""
    count = f"{minimum.iterations} evaluation{'s' if minimum.iterations > 1 else ''}"
    quality = end.quality._replace(
        test=end.quality.test._replace(p_value=np.nan),
        verdict=Fits.NOT_TESTED,
        factor=np.nan,
        message=f"The search had not ended after {count}: the best values so far, not estimates, without errors.",
    )
    return end._replace(outcome=f"{why} after {count}", quality=quality)
