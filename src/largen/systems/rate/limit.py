"""The thermodynamic limit: mean, covariance at every lag, and the part of it frozen by the weights."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.checks import integer, require
from largen.runtime.memory import require_memory
from largen.system import Arrays
from largen.systems.rate.activations import Activation
from largen.systems.rate.extrapolation import extrapolate
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
)

if TYPE_CHECKING:
    from largen.systems.rate.model import RateNetwork

METHODS = ("recursion", "fixed_point")


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
    tau, noise = float(model.tau), float(model.noise)

    def on_grid(widest: float, refine: int) -> Solution:
        return _on_grid(model, continuous_grid(times, tau, noise, widest, refine), coupling, options)

    names, step = ("mean", "covariance", "frozen"), options.step
    return extrapolate(on_grid, names, times, tau, step=step, rtol=options.rtol, atol=options.atol)


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
        by_lag([symmetric(field[at]) for field in law.driven], own, coupling.beyond, lags),
        by_lag([symmetric(field[at]) for field in law.frozen], shared, coupling.beyond, lags),
        0.0,
        tail,
        grid.points,
        law.changes,
    )


def symmetric(lower: np.ndarray) -> np.ndarray:
    """The symmetric matrix with this lower triangle."""
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
