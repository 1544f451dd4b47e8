"""`closure="quadrature"` of the reduction: its orders and cells, a run, and an estimate of its error.

The estimate compares three runs: A, the result; B with one order less where there is more noise; C as B with cells
1.6 times as wide. It is max(|A - B|, |B - C|) of the mean rates over the second half of the run.
"""

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from largen.checks import InputError, flag, integer, require, shown
from largen.systems.spiking.discretisation import MAX_LOWEST, bin_edges
from largen.systems.spiking.reduction.quadrature.choice import (
    TRIAL,
    TRIAL_CELLS,
    Noise,
    choose_cells,
    choose_orders,
    measure,
    one_less,
)
from largen.systems.spiking.reduction.quadrature.layout import Channels, Grid, channel_orders, channels_of, fits
from largen.systems.spiking.reduction.quadrature.run import Run, run

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

DEPTH = 0.66
"""How far the cells reach below the reset at first, in thresholds."""
WIDER = 1.6
_HALVINGS = 4

UPPER_BOUND = "rate below three times its error: only an upper bound is known"
NEGATIVE = "negative mean rate"
ORDER_LIMIT = "order limit reached"
LOWER_EDGE = "lower edge: potentials fall below the lowest cell"
FINER = "cells were halved, because the run diverged on wider ones"


class Problem(NamedTuple):
    """What every run of a solution shares.

    Attributes:
        model: The network, scaled to its number of neurons.
        channels: Its channels.
        drive: External kicks per ms at every step, shape (step, P), or (1, P) for a constant.
        steps: Steps at which to record, increasing from 0, shape (T,).
        dt: Step (ms).
    """

    model: "SpikingNetwork"
    channels: Channels
    drive: np.ndarray
    steps: np.ndarray
    dt: float

    @property
    def threshold(self) -> float:
        """The threshold M."""
        return float(self.model.threshold)


class Solution(NamedTuple):
    """A run on cells that hold it.

    Attributes:
        run: The run.
        cells: Cells between reset and threshold.
        depth: How far they reach below the reset, in thresholds.
        halved: Whether they had to be finer than was wanted.
        deep: Whether they reach as low as the potentials.
    """

    run: Run
    cells: int
    depth: float
    halved: bool
    deep: bool


def solve(
    model: "SpikingNetwork",
    drive: np.ndarray,
    steps: np.ndarray,
    dt: float,
    *,
    orders: Any,
    bin_width: float | None,
    error: bool,
    record: tuple[str, ...],
) -> tuple[dict[str, np.ndarray], dict[str, Any], dict[str, np.ndarray]]:
    """Solve the quadrature from rest.

    Args:
        model: The network, scaled to its number of neurons.
        drive: External kicks per ms at every step, shape (step, P), or (1, P) for a constant.
        steps: Steps at which to record, increasing from 0, shape (T,).
        dt: Step (ms).
        orders: (excitatory, inhibitory), or "auto".
        bin_width: Width of the cells, the threshold divided by an integer; None for the rule of `choice`.
        error: Whether to estimate the error, which takes two more runs.
        record: Any of "voltage_density".

    Returns:
        Values and attributes as those of `spiking.solve.solve`, and coordinates.

    Raises:
        InputError: Orders or cells cannot be used, or potentials diverge on them.
    """
    given, error = _given_orders(orders), flag("error", error)
    problem = Problem(model, channels_of(model), drive, steps, dt)
    cells = None if bin_width is None else len(bin_edges(problem.threshold, bin_width, 0.0)) - 1
    depth, noise = DEPTH, None
    if given is None or cells is None or error:
        trial = _trial(problem)
        noise, depth = _noise(problem, trial), trial.depth
    chosen = given if given is not None else choose_orders(problem.channels, _known(noise), len(model.size))
    wanted = cells if cells is not None else choose_cells(problem.threshold, _known(noise))
    density = "voltage_density" in record
    best = _settle(problem, chosen, wanted, depth, density=density, fixed=cells is not None)
    values = {"rate": _rates(best.run, dt), "pending": best.run.output.pending}
    edges = bin_edges(problem.threshold, problem.threshold / best.cells, best.depth)
    coords = {"bin": 0.5 * (edges[1:] + edges[:-1])} if record else {}
    if density:
        values |= {"voltage_density": best.run.output.density, "refractory_fraction": best.run.output.refractory}
    attrs: dict[str, Any] = {
        "orders": np.array(chosen),
        "bin_width": problem.threshold / best.cells,
        "lower_edge": float(edges[0]),
        "lowest_cell_mass": float(np.max(np.abs(best.run.lowest))),
    }
    estimate, flags = None, _flags(best)
    if error:
        estimate, more = _estimate(problem, best, chosen, _known(noise))
        flags += more
        attrs["rate_error"] = estimate
    attrs["flags"] = "; ".join(flags)
    for text in flags:
        warnings.warn(f"closure='quadrature': {text}.", stacklevel=2)
    return values, attrs, coords


def _given_orders(orders: Any) -> tuple[int, int] | None:
    """Orders as two numbers; None for "auto"."""
    if isinstance(orders, str):
        require(orders == "auto", "orders", "be 'auto' or (excitatory, inhibitory)", orders)
        return None
    if np.shape(orders) != (2,):
        raise InputError(f"Argument `orders` must be 'auto' or (excitatory, inhibitory), but is {shown(orders)}.")
    first, second = (integer("orders", order, low=0) for order in orders)
    return first, second


def _known(noise: Noise | None) -> Noise:
    assert noise is not None
    return noise


# Runs ------------------------------------------------------------------------------------------------------------


def _trial(problem: Problem) -> Solution:
    """A cheap run from which orders and cells are chosen: order 1 in every channel."""
    end = max(round(TRIAL / problem.dt), 2)
    halves = problem._replace(steps=np.array([0, end // 2, end]))
    return _settle(halves, (1, 1), TRIAL_CELLS, DEPTH, density=False, fixed=False)


def _noise(problem: Problem, trial: Solution) -> Noise:
    """The noise at the rates of the trial's second half."""
    steps = trial.run.output.steps
    rates = trial.run.output.spikes[:, -1] * 1000.0 / ((steps[-1] - steps[-2]) * problem.dt)
    kicks = problem.drive[: int(steps[-1])].mean(0)
    return measure(problem.model, problem.channels, rates, kicks)


def _settle(
    problem: Problem, orders: tuple[int, int], cells: int, depth: float, *, density: bool, fixed: bool
) -> Solution:
    """Run on cells that reach low enough and, unless their width is `fixed`, are narrow enough not to diverge."""
    halvings, by_channel = 0, channel_orders(problem.channels, *orders)
    while True:
        grid = Grid(by_channel, problem.threshold / cells, depth, problem.dt)
        done = run(problem.model, problem.channels, grid, problem.drive, problem.steps, density=density)
        if _diverged(done):
            if fixed or halvings == _HALVINGS:
                raise InputError(
                    f"Argument `bin_width` must be smaller for this network, but is {grid.width:g}: its potentials "
                    "diverge. Halve it, or dt, until this passes."
                )
            halvings, cells = halvings + 1, 2 * cells
            continue
        deep = bool(np.all(done.lowest <= MAX_LOWEST))
        if deep or not fits(problem.model, problem.drive, grid._replace(depth=2.0 * depth)):
            return Solution(done, cells, depth, halvings > 0, deep)
        depth *= 2.0


def _diverged(done: Run) -> bool:
    """Whether a result is no number, or more spikes than one a step and neuron."""
    spikes, steps = done.output.spikes, np.diff(done.output.steps, prepend=0)
    return not (np.all(np.isfinite(spikes)) and np.all(np.abs(spikes) <= 1.5 * np.maximum(steps, 1)))


def _rates(done: Run, dt: float) -> np.ndarray:
    """Rates (Hz) between outputs, shape (P, T); 0 at the start."""
    seconds = np.concatenate([[1.0], np.diff(done.output.steps) * dt / 1000.0])
    return done.output.spikes / seconds


# Errors ----------------------------------------------------------------------------------------------------------


def mean_rates(done: Run, dt: float) -> np.ndarray:
    """Rates (Hz) over the second half of a run, shape (P,)."""
    steps = done.output.steps
    first = int(np.searchsorted(steps, 0.5 * steps[-1]))
    first = min(first, len(steps) - 2)
    return done.output.spikes[:, first + 1 :].sum(1) * 1000.0 / ((steps[-1] - steps[first]) * dt)


def _flags(best: Solution) -> list[str]:
    return ([] if best.deep else [LOWER_EDGE]) + ([FINER] if best.halved else [])


def _estimate(problem: Problem, best: Solution, orders: tuple[int, int], noise: Noise) -> tuple[np.ndarray, list[str]]:
    """Error of the mean rates (Hz), shape (P,), and what must be said of them."""
    lower, wide = one_less(orders, noise), max(int(best.cells / WIDER), 2)
    b = _settle(problem, lower, best.cells, best.depth, density=False, fixed=False)
    c = _settle(problem, lower, wide, best.depth, density=False, fixed=False)
    rate, of_b, of_c = (mean_rates(solution.run, problem.dt) for solution in (best, b, c))
    by_order, by_width = np.abs(rate - of_b), np.abs(of_b - of_c)
    error, flags = np.maximum(by_order, by_width), []
    if np.any(rate < 0.0):
        flags.append(NEGATIVE)
    if np.any(rate < 3.0 * error):
        flags.append(UPPER_BOUND)
    if np.any((by_order > by_width) & (by_order > 0.01 * np.abs(rate))):
        flags.append(ORDER_LIMIT)
    return error, flags
