"""Fixed points x = G(x): plain, damped, or Anderson-accelerated iteration; all residuals are returned."""

import enum
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Status(enum.Enum):
    """How an iteration ended; the value is the message shown."""

    CONVERGED = "The fixed point was reached to the tolerance."
    NOT_CONVERGED = "The fixed point was not reached in the iterations allowed."
    NOT_FINITE = "The iteration left the domain: a value was not finite."


class FixedPoint(NamedTuple):
    """Where an iteration ended.

    Attributes:
        value: The last iterate, shape (component,).
        residuals: Largest |G(x) - x| over the components, shape (iteration,).
        status: How it ended.
    """

    value: np.ndarray
    residuals: np.ndarray
    status: Status


def iterate(
    function: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    *,
    tolerance: float,
    most: int = 1000,
    memory: int = 8,
    damping: float = 1.0,
) -> FixedPoint:
    """Solve x = G(x) by Anderson's mixing of the last iterates (type II); memory 0 is plain damped iteration.

    After a step that makes the residual more than ten times larger, the earlier iterates are dropped.

    Args:
        function: G, shape (component,) in and out.
        start: First iterate.
        tolerance: Largest |G(x) - x| allowed.
        most: Most iterations.
        memory: How many earlier iterates are mixed.
        damping: Share of the step that is taken, in (0, 1].

    Source: Walker & Ni, SIAM J. Numer. Anal. 49 (2011) 1715.
    """
    x = np.array(start, dtype=np.float64)
    steps: list[np.ndarray] = []
    changes: list[np.ndarray] = []
    residuals: list[float] = []
    last_x = last_r = np.zeros(0)
    for _ in range(most):
        r = function(x) - x
        size = float(np.abs(r).max())
        residuals.append(size)
        if not np.isfinite(size):
            return FixedPoint(x, np.array(residuals), Status.NOT_FINITE)
        if size <= tolerance:
            return FixedPoint(x + r, np.array(residuals), Status.CONVERGED)
        if len(residuals) > 1 and memory:
            steps.append(x - last_x)
            changes.append(r - last_r)
            del steps[:-memory], changes[:-memory]
            if size > 10.0 * residuals[-2]:
                steps.clear()
                changes.clear()
        last_x, last_r = x, r
        x = x + damping * r
        if steps:
            mix, *_ = np.linalg.lstsq(np.stack(changes, axis=1), r, rcond=1e-12)
            x = x - np.stack([s + damping * c for s, c in zip(steps, changes, strict=True)], axis=1) @ mix
    return FixedPoint(x, np.array(residuals), Status.NOT_CONVERGED)
