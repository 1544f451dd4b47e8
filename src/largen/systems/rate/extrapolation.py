"""Richardson extrapolation of a limit in continuous time, in even powers of the time step."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from largen.checks import InputError, LimitError, real
from largen.systems.rate.recursion import grid_points

_PARTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)  # of the widest step (Bulirsch's sequence)
_MOST_POINTS = 20_000
S = TypeVar("S", bound=Any)


def extrapolate(
    on_grid: Callable[[float, int], S],
    arrays: Sequence[str],
    times: np.ndarray,
    tau: float,
    *,
    step: float | None,
    rtol: float,
    atol: float,
    soon: bool = False,
) -> S:
    """Refine the step until two extrapolates agree (Bulirsch & Stoer 1966).

    Args:
        on_grid: Solves on the grid of steps of at most this width, each cut into so many; returns a NamedTuple with
            the arrays and a field `error`.
        arrays: Names of its arrays, "mean" and "covariance" among them.
        times: Output times, shape (time,).
        tau: Shortest time constant.
        step: Largest step to start from; None for half of `tau`.
        rtol: Relative tolerance, of the largest mean or covariance.
        atol: Absolute tolerance.
        soon: Whether the first extrapolate is enough where the finer of its two grids is within the tolerance already.

    Raises:
        InputError: The times take too many steps.
        LimitError: The tolerances are not reached.
    """
    widest = min(float(np.diff(times).max()), 0.5 * tau)
    widest = widest if step is None else min(real("step", step, above=0.0), widest)
    table: list[S] = []
    error, points = np.inf, 0.0
    for level, parts in enumerate(_PARTS):
        points = grid_points(times, widest, parts)
        if points > _MOST_POINTS and level == 0:
            raise InputError(
                f"Argument `times` must take at most {_MOST_POINTS} time steps of half the shortest tau (or of "
                f"`step`), but takes {points:.6g}. Take shorter times."
            )
        if points > _MOST_POINTS:
            break
        latest = [on_grid(widest, parts)]
        for earlier, coarse in zip(_PARTS[:level][::-1], table, strict=True):
            latest.append(_combine(latest[-1], coarse, (parts / earlier) ** 2, arrays))
        if level >= (1 if soon else 2):
            error, allowed = _distance(latest[-1], table[-1] if level >= 2 else latest[0], arrays, rtol, atol)
            if error <= allowed:
                return latest[-1]._replace(error=error)
        table = latest
    raise LimitError(
        f"The limit was not reached to rtol = {rtol:g}, atol = {atol:g}: with {points:.0f} grid points the error is "
        f"still about {error:.1e}. Loosen the tolerances or shorten the times."
    )


def _combine(fine: S, coarse: S, factor: float, arrays: Sequence[str]) -> S:
    """One step of Richardson extrapolation: (factor fine - coarse)/(factor - 1)."""
    parts = {name: (factor * getattr(fine, name) - getattr(coarse, name)) / (factor - 1.0) for name in arrays}
    return fine._replace(**parts)


def _distance(one: S, two: S, arrays: Sequence[str], rtol: float, atol: float) -> tuple[float, float]:
    """Largest difference and what is allowed, relative to the largest mean or covariance."""
    error = max(float(np.abs(getattr(one, name) - getattr(two, name)).max(initial=0.0)) for name in arrays)
    scale = max(float(np.abs(one.mean).max()), float(np.abs(one.covariance).max()))
    return error, 10.0 * rtol * scale + atol
