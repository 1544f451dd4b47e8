"""The limit at the output times: means, rates, latent variables, covariances at every lag, and their frozen part."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from largen.checks import integer, require
from largen.runtime.memory import require_memory
from largen.system import Arrays
from largen.systems.rate.extrapolation import extrapolate
from largen.systems.rate.limit import discrete_times, symmetric
from largen.systems.rate.populations.fields import Fields
from largen.systems.rate.populations.numbers import Numbers, spread
from largen.systems.rate.populations.recursion import Law, Setting, fixed_point, forward, parts_of, prepare
from largen.systems.rate.populations.yardsticks import BRANCH, UNSTABLE

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations

_PUSH = 1e-4  # mean of the states that breaks a symmetry
_ARRAYS = ("mean", "rate", "latent", "covariance", "frozen")


class Options(NamedTuple):
    """How the limit is solved.

    Attributes:
        lags: Largest lag on the ring of the covariances.
        rtol: Relative tolerance (time step and expectations).
        atol: Absolute tolerance.
        step: Largest time step to start from in continuous time, or None.
        method: "recursion" (forward in time) or "fixed_point" (iteration on the whole horizon).
    """

    lags: int = 2
    rtol: float = 1e-8
    atol: float = 1e-10
    step: float | None = None
    method: str = "recursion"


class Solution(NamedTuple):
    """The limit at the output times.

    Attributes:
        mean: Shape (population, time).
        rate: Shape (population, time).
        latent: Shape (rank, time).
        covariance: Shape (population, lag, time, time).
        frozen: The part frozen by weights and loadings, likewise.
        error: Estimated largest error of the time discretisation (0 in discrete time).
        tail: Largest error bound of a Gaussian expectation.
        points: Points of the finest grid.
        changes: Change of the law in each sweep to the fixed point on that grid, shape (sweep,).
    """

    mean: np.ndarray
    rate: np.ndarray
    latent: np.ndarray
    covariance: np.ndarray
    frozen: np.ndarray
    error: float
    tail: float
    points: int
    changes: np.ndarray


def solve(model: "RatePopulations", times: np.ndarray, options: Options) -> Arrays:
    """Solve the limit; see `RatePopulations.limit`."""
    options = options._replace(lags=integer("lags", options.lags, low=0))
    found = moments(model, times, options)
    attrs: dict[str, Any] = {
        "method": "forward recursion" if options.method == "recursion" else "fixed point",
        "error_estimate": found.error,
        "expectation_tail": found.tail,
        "grid_points": found.points,
    }
    if options.method == "fixed_point":
        attrs |= {"sweeps": len(found.changes), "sweep_changes": found.changes}
    if _leaves_symmetry(model, times, found, options):
        attrs[BRANCH] = UNSTABLE
    values = {"mean": found.mean, "rate": found.rate, "covariance": found.covariance}
    values["frozen_covariance"] = found.frozen
    coords = {"lag": np.arange(options.lags + 1), "time_": times}
    if len(found.latent):
        values["latent"] = found.latent
        coords["rank"] = np.arange(len(found.latent))
    return Arrays(values, coords, attrs)


def _leaves_symmetry(model: "RatePopulations", times: np.ndarray, found: Solution, options: Options) -> bool:
    """Whether means that vanish by symmetry grow from a small start: then networks go to one of two sides."""
    structured = model.low_rank is not None or np.any(np.asarray(model.mean_weight))
    if not structured or np.abs(found.mean).max() > 1e-12 or np.abs(found.latent).max(initial=0.0) > 1e-12:
        return False
    count = len(found.mean)
    pushed = model.replace(initial_mean=_PUSH * np.cos(np.arange(1.0, count + 1.0)))
    moved = moments(pushed, times, options._replace(lags=0, rtol=max(options.rtol, 1e-5), atol=1e-4 * _PUSH))
    size = np.abs(moved.mean).max(axis=0)
    return bool(size[-1] > size[0])


def moments(model: "RatePopulations", times: np.ndarray, options: Options) -> Solution:
    """The limit at the output times."""
    parts = parts_of(model)
    if model.dynamics == "discrete":
        require(options.step is None, "step", "be left out in discrete time", options.step)
        discrete_times(times)
        return _on_grid(model, parts, times, options, 1.0, 1)
    tau = float(spread(model.tau, len(model.fractions)).min())

    def on_grid(widest: float, refine: int) -> Solution:
        return _on_grid(model, parts, times, options, widest, refine)

    return extrapolate(on_grid, _ARRAYS, times, tau, step=options.step, rtol=options.rtol, atol=options.atol, soon=True)


def _on_grid(
    model: "RatePopulations",
    parts: tuple[Numbers, Fields],
    times: np.ndarray,
    options: Options,
    step: float,
    refine: int,
) -> Solution:
    """Solve on one grid, and read full symmetric covariances at the output times and lags."""
    setting = prepare(model, times, step=step, refine=refine, rtol=options.rtol, atol=options.atol, parts=parts)
    count, outputs = len(setting.responses), len(times)
    forwards = options.method == "recursion"
    needed = 8.0 * (setting.points**2 * ((2 if forwards else 8) * setting.fields.count + 3 * count))
    needed += 8.0 * 3.0 * outputs**2 * (options.lags + 1) * count
    require_memory(needed, f"The limit on {setting.points} grid points", "Take fewer output times or fewer lags.")
    law = forward(setting) if forwards else fixed_point(setting, 1e-2 * options.atol)
    return _on_output(setting, law, options.lags)


def _on_output(setting: Setting, law: Law, lags: int) -> Solution:
    output = setting.grids[0].output
    at, count = np.ix_(output, output), len(setting.responses)

    def by_lag(fields: np.ndarray, own: np.ndarray) -> np.ndarray:
        driven = np.array([symmetric(field[at]) for field in fields])
        out = np.zeros((count, lags + 1, len(output), len(output)))
        for a in range(count):
            for k in range(lags + 1):
                out[a, k] = np.tensordot(setting.fields.of(a, k), driven, 1)
            out[a, 0] += symmetric(own[a][at])
        return out

    return Solution(
        law.mean[:, output],
        law.rate[:, output],
        law.latent[:, output],
        by_lag(law.fields, law.private),
        by_lag(law.frozen, law.shared),
        0.0,
        law.tail,
        setting.points,
        law.changes,
    )
