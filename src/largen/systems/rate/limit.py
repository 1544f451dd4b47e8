"""The thermodynamic limit: mean, covariance at every lag, and the part of it frozen by the weights."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.checks import InputError, LimitError, integer, one_of, real, require
from largen.runtime.memory import require_memory
from largen.system import Arrays
from largen.systems.rate.activations import Activation
from largen.systems.rate.input_covariance import InputCovariance
from largen.systems.rate.kernels import Coupling
from largen.systems.rate.recursion import (
    Grid,
    Moments,
    Problem,
    continuous_grid,
    discrete_grid,
    fixed_point,
    forward,
    grid_points,
)

if TYPE_CHECKING:
    from largen.systems.rate.model import RateNetwork

METHODS = ("recursion", "fixed_point")
_MOST_LEVELS = 9
_MOST_POINTS = 20_000


class Options(NamedTuple):
    """How the limit is solved.

    Attributes:
        lags: Largest lag on the ring of the covariances.
        rtol: Relative tolerance (time step and expectations).
        atol: Absolute tolerance.
        method: "recursion" (forward in time) or "fixed_point" (the source's iteration on the whole horizon).
        step: Largest time step to start from in continuous time, or None.
    """

    lags: int = 2
    rtol: float = 1e-8
    atol: float = 1e-10
    method: str = "recursion"
    step: float | None = None


class Solution(NamedTuple):
    """The limit at the output times.

    Attributes:
        mean: Mean, shape (time,).
        covariance: Covariance, shape (lag, time, time).
        frozen: The part frozen by the weights, shape (lag, time, time).
        error: Estimated largest error of the time discretisation (0 in discrete time).
        tail: Largest error bound of a Gaussian expectation.
        points: Grid points of the finest grid.
        changes: Change of the law in each sweep of the fixed point, shape (sweep,), empty for the recursion.
    """

    mean: np.ndarray
    covariance: np.ndarray
    frozen: np.ndarray
    error: float
    tail: float
    points: int
    changes: np.ndarray


def discrete_times(times: np.ndarray) -> None:
    """Refuse times that are not consecutive integers."""
    good = np.all(times == np.round(times)) and np.all(np.diff(times) == 1.0)
    require(good, "times", "be consecutive integers in discrete time", times, "For example np.arange(21.0).")


def solve(model: "RateNetwork", times: np.ndarray, options: Options) -> Arrays:
    """Solve the limit of a RateNetwork; see `RateNetwork.limit`."""
    options = options._replace(lags=integer("lags", options.lags, low=0))
    one_of("method", options.method, METHODS)
    found = moments(model, times, model.kernel.coupling(), options)
    attrs = {
        "method": "forward recursion" if options.method == "recursion" else "fixed point",
        "error_estimate": found.error,
        "expectation_tail": found.tail,
        "grid_points": found.points,
    }
    if options.method == "fixed_point":
        attrs |= {"sweeps": len(found.changes), "sweep_changes": found.changes}
    values = {"mean": found.mean, "covariance": found.covariance, "frozen_covariance": found.frozen}
    return Arrays(values, {"lag": np.arange(options.lags + 1), "time_": times}, attrs)


def moments(model: "RateNetwork", times: np.ndarray, coupling: Coupling, options: Options) -> Solution:
    """Mean and covariances at the output times, for a given coupling (the model's own, or a test's wrong one)."""
    if model.dynamics == "discrete":
        require(options.step is None, "step", "be left out in discrete time", options.step)
        discrete_times(times)
        return _on_grid(model, discrete_grid(len(times), float(model.gamma), float(model.noise)), coupling, options)
    return _extrapolated(model, times, coupling, options)


def _on_grid(model: "RateNetwork", grid: Grid, coupling: Coupling, options: Options) -> Solution:
    """Solve on one grid, and read full symmetric covariances at the output times and lags."""
    outputs, lags, points = len(grid.output), options.lags, grid.points
    needed = 8.0 * (points**2 * (2 * len(coupling.total) + 3) + 4.0 * outputs**2 * (lags + 1))
    remedy = "Take fewer output times, fewer lags or a smaller kernel table."
    require_memory(needed, f"The limit on {points} grid points", remedy)
    inputs = InputCovariance(Activation.of(model), coupling, points, options.rtol, options.atol)
    if options.method == "recursion":
        law = forward(Problem.of(model), grid, inputs)
    else:
        law = fixed_point(Problem.of(model), grid, inputs, 1e-2 * options.atol)
    return _on_output(grid, law, coupling, lags, inputs.tail)


def _on_output(grid: Grid, law: Moments, coupling: Coupling, lags: int, tail: float) -> Solution:
    at = np.ix_(grid.output, grid.output)
    own, shared = law.private[at], law.shared[at]
    return Solution(
        law.mean[grid.output],
        by_lag([_symmetric(field[at]) for field in law.driven], own, coupling.beyond, lags),
        by_lag([_symmetric(field[at]) for field in law.frozen], shared, coupling.beyond, lags),
        0.0,
        tail,
        grid.points,
        law.changes,
    )


def _symmetric(lower: np.ndarray) -> np.ndarray:
    return np.tril(lower) + np.tril(lower, -1).T


def by_lag(fields: list[np.ndarray], own: np.ndarray, beyond: float, lags: int) -> np.ndarray:
    """Covariance at lags 0..lags from the driven covariance of the fields and the neuron's own part at lag 0."""
    out = np.zeros((lags + 1, *own.shape))
    out[0] = fields[0] + own
    for k in range(1, lags + 1):
        if len(fields) == 1:
            out[k] = beyond**k * fields[0]
        elif k < len(fields):
            out[k] = fields[k]
    return out


def _extrapolated(model: "RateNetwork", times: np.ndarray, coupling: Coupling, options: Options) -> Solution:
    """Richardson extrapolation in even powers of the step, which is halved until two extrapolates agree."""
    tau, rtol, atol = float(model.tau), options.rtol, options.atol
    widest = min(float(np.diff(times).max()), 0.5 * tau)
    widest = widest if options.step is None else min(real("step", options.step, above=0.0), widest)
    table: list[Solution] = []
    error = np.inf
    for level in range(_MOST_LEVELS):
        points = grid_points(times, widest, 2**level)
        if points > _MOST_POINTS and level == 0:
            raise InputError(
                f"Argument `times` must take at most {_MOST_POINTS} time steps of tau/2 (or of `step`), but takes "
                f"{points:.6g}. Take shorter times."
            )
        if points > _MOST_POINTS:
            break
        grid = continuous_grid(times, tau, float(model.noise), widest, 2**level)
        latest = [_on_grid(model, grid, coupling, options)]
        for power, coarse in enumerate(table, start=1):
            latest.append(_combine(latest[-1], coarse, 4.0**power))
        if level >= 2:
            error, allowed = _distance(latest[-1], table[-1], rtol, atol)
            if error <= allowed:
                return latest[-1]._replace(error=error)
        table = latest
    raise LimitError(
        f"The limit was not reached to rtol = {rtol:g}, atol = {atol:g}: with {points:.0f} grid points the error is "
        f"still about {error:.1e}. Loosen the tolerances or shorten the times."
    )


def _combine(fine: Solution, coarse: Solution, factor: float) -> Solution:
    """One step of Richardson extrapolation: (factor fine - coarse)/(factor - 1)."""
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
