"""The thermodynamic limit: mean, covariance at every lag, and the part of it frozen by the weights."""

from typing import Any, NamedTuple

import numpy as np

from largen.checks import LimitError, integer, one_of, real, require
from largen.runtime.memory import require_memory
from largen.system import Arrays
from largen.systems.rate.activations import Activation
from largen.systems.rate.input_covariance import Sources
from largen.systems.rate.kernels import Coupling
from largen.systems.rate.recursion import Grid, Moments, Problem, continuous_grid, discrete_grid, fixed_point, forward

METHODS = ("recursion", "fixed_point")
_MOST_LEVELS = 9
_MOST_POINTS = 20_000


class Solution(NamedTuple):
    """The limit at the output times.

    Attributes:
        mean: Mean, shape (time,).
        covariance: Covariance, shape (lag, time, time).
        frozen: The part frozen by the weights, likewise.
        error: Estimated largest error of the time discretisation (0 in discrete time).
        tail: Largest error bound of a Gaussian expectation.
        points: Grid points of the finest grid.
        changes: Change of the law in each sweep of the fixed point, empty for the recursion.
    """

    mean: np.ndarray
    covariance: np.ndarray
    frozen: np.ndarray
    error: float
    tail: float
    points: int
    changes: np.ndarray


def discrete_times(times: np.ndarray) -> None:
    """Refuse times that are not consecutive whole numbers."""
    good = np.all(times == np.round(times)) and np.all(np.diff(times) == 1.0)
    require(good, "times", "be consecutive whole numbers in discrete time", times, "For example np.arange(21.0).")


def solve(
    model: Any,
    times: np.ndarray,
    *,
    rtol: float,
    atol: float,
    lags: int,
    method: str = "recursion",
    step: float | None = None,
) -> Arrays:
    """Solve the limit of a RateNetwork; see `RateNetwork.limit`."""
    lags = integer("lags", lags, low=0)
    one_of("method", method, METHODS)
    coupling = model.kernel.coupling()
    found = moments(model, times, coupling, lags, rtol=rtol, atol=atol, method=method, step=step)
    attrs = {
        "method": "forward recursion" if method == "recursion" else "fixed point",
        "error_estimate": found.error,
        "expectation_tail": found.tail,
        "grid_points": found.points,
    }
    if method == "fixed_point":
        attrs |= {"sweeps": len(found.changes), "sweep_changes": found.changes}
    values = {"mean": found.mean, "covariance": found.covariance, "frozen_covariance": found.frozen}
    return Arrays(values, {"lag": np.arange(lags + 1), "time_": times}, attrs)


def moments(
    model: Any,
    times: np.ndarray,
    coupling: Coupling,
    lags: int,
    *,
    rtol: float,
    atol: float,
    method: str = "recursion",
    step: float | None = None,
) -> Solution:
    """Mean and covariances at the output times, for a given coupling (the model's own, or a test's wrong one)."""
    if model.dynamics == "discrete":
        require(step is None, "step", "be left out in discrete time", step)
        discrete_times(times)
        grid = discrete_grid(len(times), float(model.gamma), float(model.noise))
        law, tail = _law(model, grid, coupling, len(times), lags, rtol, atol, method)
        return _on_output(grid, law, coupling, lags, tail, grid.points)
    return _extrapolated(model, times, coupling, lags, rtol, atol, method, step)


def _law(
    model: Any, grid: Grid, coupling: Coupling, outputs: int, lags: int, rtol: float, atol: float, method: str
) -> tuple[Moments, float]:
    fields, points = len(coupling.total), grid.points
    needed = 8.0 * (points**2 * (2 * fields + 3) + 4.0 * outputs**2 * (lags + 1))
    remedy = "Take fewer output times, fewer lags or a smaller kernel table."
    require_memory(needed, f"The limit on {points} grid points", remedy)
    activation = Activation(model.activation, float(model.gain))
    sources = Sources(activation, coupling, points, rtol, atol)
    problem = Problem(
        float(model.mean_weight),
        float(model.threshold_mean),
        float(model.threshold_variance),
        float(model.initial_mean),
        float(model.initial_variance),
    )
    if method == "recursion":
        law = forward(problem, grid, sources)
    else:
        law = fixed_point(problem, grid, sources, 1e-2 * atol)
    return law, sources.tail


def _on_output(grid: Grid, law: Moments, coupling: Coupling, lags: int, tail: float, points: int) -> Solution:
    """Full symmetric covariances at the output times and lags."""
    at = np.ix_(grid.output, grid.output)
    own, shared = law.private[at], law.shared[at]
    return Solution(
        law.mean[grid.output],
        by_lag([_symmetric(field[at]) for field in law.driven], own, coupling.beyond, lags),
        by_lag([_symmetric(field[at]) for field in law.frozen], shared, coupling.beyond, lags),
        0.0,
        tail,
        points,
        law.changes,
    )


def _symmetric(lower: np.ndarray) -> np.ndarray:
    return np.tril(lower) + np.tril(lower, -1).T


def by_lag(fields: list[np.ndarray], own: np.ndarray, beyond: float, lags: int) -> np.ndarray:
    """Covariance at lags 0..lags from the driven covariance of the fields and the neuron's own part."""
    out = np.zeros((lags + 1, *own.shape))
    out[0] = fields[0] + own
    for k in range(1, lags + 1):
        if len(fields) == 1:
            out[k] = beyond**k * fields[0]
        elif k < len(fields):
            out[k] = fields[k]
    return out


def _extrapolated(
    model: Any,
    times: np.ndarray,
    coupling: Coupling,
    lags: int,
    rtol: float,
    atol: float,
    method: str,
    step: float | None,
) -> Solution:
    """Richardson extrapolation in even powers of the step, which is halved until two extrapolates agree."""
    tau = float(model.tau)
    widest = min(float(np.diff(times).max()), 0.5 * tau)
    widest = widest if step is None else min(real("step", step, above=0.0), widest)
    table: list[Solution] = []
    error = np.inf
    for level in range(_MOST_LEVELS):
        grid = continuous_grid(times, tau, float(model.noise), widest, 2**level)
        if grid.points > _MOST_POINTS:
            break
        law, tail = _law(model, grid, coupling, len(times), lags, rtol, atol, method)
        latest = [_on_output(grid, law, coupling, lags, tail, grid.points)]
        for power, coarse in enumerate(table, start=1):
            latest.append(_combine(latest[-1], coarse, 4.0**power))
        if level >= 2:
            error, allowed = _distance(latest[-1], table[-1], rtol, atol)
            if error <= allowed:
                return latest[-1]._replace(error=error)
        table = latest
    raise LimitError(
        f"The limit was not reached to rtol = {rtol:g}, atol = {atol:g}: with {grid.points} grid points the error is "
        f"still about {error:.1e}. Loosen the tolerances or shorten the times."
    )


def _combine(fine: Solution, coarse: Solution, factor: float) -> Solution:
    parts = {
        name: (factor * getattr(fine, name) - getattr(coarse, name)) / (factor - 1.0)
        for name in ("mean", "covariance", "frozen")
    }
    return fine._replace(**parts)


def _distance(one: Solution, two: Solution, rtol: float, atol: float) -> tuple[float, float]:
    """Largest difference and what is allowed, relative to the largest mean or variance."""
    names = ("mean", "covariance", "frozen")
    error = max(float(np.abs(getattr(one, name) - getattr(two, name)).max()) for name in names)
    scale = max(float(np.abs(one.mean).max()), float(np.abs(one.covariance).max()))
    return error, 10.0 * rtol * scale + atol
