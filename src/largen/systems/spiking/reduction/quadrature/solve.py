"""`closure="quadrature"` of the reduction: its orders and cells, a run, and an estimate of its error.

The estimate compares three runs: A, the result; B with one order less where there is more noise; C as B with cells
1.6 times as wide. It is max(|A - B|, |B - C|) of the mean rates over the second half of the run.
"""

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from largen.checks import InputError, flag, one_of, real, require
from largen.runtime.memory import require_memory
from largen.system import Arrays
from largen.systems.spiking import constants
from largen.systems.spiking.discretisation import MAX_LOWEST, Discretisation
from largen.systems.spiking.drive import Drive, drive_of
from largen.systems.spiking.reduction.direct import bins as rules
from largen.systems.spiking.reduction.quadrature.channels import (
    MOST_FAMILIES,
    Channels,
    by_sign,
    channel_orders,
    channels_of,
    given_orders,
)
from largen.systems.spiking.reduction.quadrature.choice import (
    MOST_CELLS_ABOVE,
    TRIAL,
    TRIAL_CELLS,
    Noise,
    choose_cells,
    choose_orders,
    choose_orders_of_release,
    measure,
    most_families,
    one_less,
)
from largen.systems.spiking.reduction.quadrature.layout import Grid, edges_of, fits
from largen.systems.spiking.reduction.quadrature.run import Run, run
from largen.systems.spiking.sheet import coordinates as patch_coordinates
from largen.systems.spiking.sheet import split_patches
from largen.systems.spiking.time_step import check_step, output_steps

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork
    from largen.systems.spiking.sheet import Sheet

RECORDABLE = ("voltage_density",)
DEPTH = 0.66
"""How far the cells reach at first below the lowest of reset, rest and first potentials, in spans."""
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
        drive: The external drive.
        steps: Steps at which to record, increasing from 0, shape (T,).
        dt: Step (ms).
        sheet: The sheet of which `model` is a patch, or None.
    """

    model: "SpikingNetwork"
    channels: Channels
    drive: Drive
    steps: np.ndarray
    dt: float
    sheet: "Sheet | None" = None


class Choice(NamedTuple):
    """What to compute with.

    Attributes:
        orders: Of every group of channels (see `groups_of`).
        given: Whether the orders were given.
        cells: Cells from reset to threshold.
        fixed: Whether their width was given.
        depth: How far they reach at first below the lowest potential, in spans.
        noise: The noise of the trial run; None without one.
        error: Whether to estimate the error.
    """

    orders: tuple[int, ...]
    given: bool
    cells: int
    fixed: bool
    depth: float
    noise: Noise | None
    error: bool


class Solution(NamedTuple):
    """A run on cells that hold it.

    Attributes:
        run: The run.
        grid: What it was computed on.
        depth: How far its cells reach below the lowest potential, in spans.
        halved: Whether they had to be finer than was wanted.
        deep: Whether they reach as low as the potentials.
    """

    run: Run
    grid: Grid
    depth: float
    halved: bool
    deep: bool


def solve(
    model: "SpikingNetwork",
    times: np.ndarray,
    discretisation: Discretisation,
    *,
    engine: str,
    record: tuple[str, ...],
    orders: Any,
    error: bool,
    sheet: "Sheet | None" = None,
) -> Arrays:
    """Solve the quadrature from rest.

    Args:
        model: The network, scaled to its number of neurons.
        times: Output times (ms), shape (time,).
        discretisation: Width of the cells, the span from reset to threshold divided by an integer, or None for the
            rule of `choice`; step.
        engine: "numba" or "auto".
        record: Any of "voltage_density".
        orders: (excitatory, inhibitory), one for every decay time of each sign (see `given_orders`), or "auto".
        error: Whether to estimate the error, which takes two more runs.
        sheet: The sheet of which `model` is a patch, or None.

    Returns:
        `rate` (population, time), Hz: spikes in (times[i-1], times[i]] per neuron and second, 0 at times[0]; with
        pending synapses `pending` (population, source, time); on request `voltage_density` (population, bin, time)
        with `refractory_fraction` (population, time). Of a sheet, means over it, with `patch_rate` (population, patch,
        time).

    Raises:
        InputError: A field or an option that it does not have, or potentials diverge.
    """
    problem = prepare(model, times, discretisation, engine, record, sheet)
    choice = choose(problem, discretisation.bin_width, orders, error)
    density, fixed = "voltage_density" in record, choice.fixed
    best = settle(problem, choice.orders, choice.cells, choice.depth, density=density, fixed=fixed)
    about = {"method": "quadrature of the pending input"} | describe(problem, choice, best) | {"finite_size": False}
    return Arrays(values_of(problem, best.run, record), coordinates(problem, best.grid, record), about)


def prepare(
    model: "SpikingNetwork",
    times: np.ndarray,
    discretisation: Discretisation,
    engine: str,
    record: tuple[str, ...],
    sheet: "Sheet | None" = None,
) -> Problem:
    """Check what every run needs; arguments as of `solve`."""
    remedy = "Take closure='joint' for that." if model.is_basic else "Run the network with `simulate` for that."
    _check_options(engine, discretisation.linear_in_bin, record, remedy)
    _check_model(model, record)
    dt = check_step(model, discretisation.dt) if model.neuron == "leaky" else real("dt", discretisation.dt, above=0.0)
    steps = output_steps(times, dt)
    count = 1 if sheet is None else sheet.space.count
    channels, cells = channels_of(model), _given_cells(model, discretisation.bin_width)
    _require_memory(model, steps, cells, record, most_families(channels), count)
    drive = drive_of(model, float(times[0]), int(steps[-1]), dt)
    return Problem(model, channels, drive, steps, dt, sheet)


def _given_cells(model: "SpikingNetwork", width: float | None) -> int | None:
    """Cells from reset to threshold of a given width."""
    return None if width is None else rules.given_grid(model, real("bin_width", width, above=0.0), 0.0).above


def choose(problem: Problem, bin_width: float | None, orders: Any, error: bool) -> Choice:
    """Check the options of the method, and choose what was not given from a trial run; arguments as of `solve`."""
    given, error = given_orders(problem.channels, orders), flag("error", error)
    cells = _given_cells(problem.model, bin_width)
    depth, noise = DEPTH, None
    if given is None or cells is None or error:
        trial = _trial(problem)
        noise, depth = _noise(problem, trial), min(trial.depth, 2.0 * DEPTH)
    chosen = given or _orders(problem, noise)
    wanted = cells if cells is not None else choose_cells(_known(noise))
    return Choice(chosen, given is not None, wanted, cells is not None, depth, noise, error)


def _orders(problem: Problem, noise: Noise | None) -> tuple[int, ...]:
    """The orders that were not given."""
    model, channels = problem.model, problem.channels
    if model.synapse != "release":
        return choose_orders(channels, _known(noise), len(model.size))
    return choose_orders_of_release(model, channels, lambda orders: _late_rates(problem, _trial(problem, orders)))


def describe(problem: Problem, choice: Choice, best: Solution) -> dict[str, Any]:
    """What a result was computed with, and the estimate of its error; warns of what it flags."""
    about: dict[str, Any] = {"dt": problem.dt, "closure": "quadrature", "engine": "numba"}
    about |= {"orders": np.array(by_sign(problem.channels, choice.orders))} | _cells_of(problem, best)
    flags = _flags(best)
    if choice.error:
        about["rate_error"], more = _estimate(problem, best, choice.orders, _known(choice.noise))
        flags += more
    for text in flags:
        warnings.warn(f"closure='quadrature': {text}.", stacklevel=2)
    return about | {"flags": "; ".join(flags)}


def coordinates(problem: Problem, grid: Grid, record: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Middles of the cells, where the density is recorded."""
    edges = edges_of(problem.model, grid)[0]
    patches = {} if problem.sheet is None else patch_coordinates(problem.sheet.space)
    return ({"bin": 0.5 * (edges[1:] + edges[:-1])} if record else {}) | patches


def values_of(problem: Problem, done: Run, record: tuple[str, ...]) -> dict[str, np.ndarray]:
    """What a run recorded; of a sheet means over its patches, and the rate of every patch."""
    values = _recorded(problem, done, record)
    if problem.sheet is None:
        return values
    space = problem.sheet.space
    split = {name: split_patches(array, space) for name, array in values.items()}
    return {name: array.mean(axis=1) for name, array in split.items()} | {"patch_rate": split["rate"]}


def _recorded(problem: Problem, done: Run, record: tuple[str, ...]) -> dict[str, np.ndarray]:
    """What a run recorded of all its populations."""
    values = {"rate": rates(done, problem.dt)}
    if problem.model.synapse != "exponential":
        values["pending"] = done.output.pending
    if record:
        values |= {"voltage_density": done.output.density, "refractory_fraction": done.output.refractory}
    return values


def _cells_of(problem: Problem, best: Solution) -> dict[str, Any]:
    """Width and lowest edge of the cells, one number where they are the same for all populations."""
    edges = edges_of(problem.model, best.grid)
    width, lowest = edges[:, 1] - edges[:, 0], edges[:, 0]
    same = np.ptp(width) == 0.0 and np.ptp(lowest) == 0.0
    return {
        "bin_width": float(width[0]) if same else width,
        "lower_edge": float(lowest[0]) if same else lowest,
        "lowest_cell_mass": float(np.max(np.abs(best.run.lowest))),
    }


# Checks ----------------------------------------------------------------------------------------------------------


def _check_options(engine: str, linear: bool, record: tuple[str, ...], remedy: str) -> None:
    """Refuse what the quadrature does not have; `remedy`: for what is a matter of another closure."""
    one_of("engine", engine, ("auto", "numba", "jax"))
    require(engine != "jax", "engine", "be 'numba' with closure='quadrature'", engine, remedy)
    require(flag("linear_in_bin", linear), "linear_in_bin", "be absent with closure='quadrature'", linear)
    for word in record:
        one_of("record", word, RECORDABLE)


def _check_model(model: "SpikingNetwork", record: tuple[str, ...]) -> None:
    """Refuse fields that the families cannot have."""
    remedy = "Take closure='joint', which has no pending spikes to close over."
    require(model.synapse != "delta", "synapse", "not be 'delta' with closure='quadrature'", model.synapse, remedy)
    remedy = "Run its network with `simulate`."
    if model.synapse == "release":
        through = not np.any(np.asarray(model.external_decay) > 0.0)
        require(through, "external_decay", "be 0 with synapse='release'", model.external_decay, remedy)
    still = not np.any(np.asarray(model.adaptation_step) != 0.0)
    must = "be 0 with closure='quadrature', which does not know adaptation"
    require(still, "adaptation_step", must, model.adaptation_step, remedy)
    if model.neuron != "leaky" and model.inhibition == "conductance" and np.any(model.inhibitory):
        must = f"be 'current' with closure='quadrature' and neuron={model.neuron!r}"
        require(False, "inhibition", must, model.inhibition)
    if model.synapse != "exponential":
        spread = float(np.max(model.strength_spread))
        must = f"be 0 with synapse={model.synapse!r}, where spikes are counted and all alike"
        require(spread == 0.0, "strength_spread", must, spread, "Take exponential synapses.")
    if record:
        same = all(np.ptp(constants.per_population(model, x)) == 0.0 for x in (model.threshold, model.reset))
        must = "be empty where thresholds or resets differ between populations"
        require(same, "record", must, record, "Their cells differ.")


def _require_memory(
    model: "SpikingNetwork", steps: np.ndarray, cells: int | None, record: tuple[str, ...], most: int, patches: int
) -> None:
    """Refuse a reduction that does not fit; the message names the largest numbers that do."""
    sources, bins = len(model.size), 4.0 * (cells or MOST_CELLS_ABOVE)
    count, families = sources * patches, MOST_FAMILIES if patches == 1 else most
    functions = sum(callable(x) for x in (model.external_rate, model.external_mean, model.external_sd))
    drive = 64.0 * count * float(steps[-1]) * min(functions, 1)

    def size(times: int) -> float:
        outputs = 32.0 * times * count * (1 + sources) + (32.0 * float(times) * count * bins if record else 0.0)
        return 1e6 + 8.0 * families * 3 * count * bins + drive + outputs

    smaller = {"{} output times": (len(steps), lambda k: size(k) if k > 1 else -1.0)}
    what = f"The reduction of {int(np.sum(model.size))} neurons"
    require_memory(size(len(steps)), what, "Take fewer output times or wider bins.", smaller=smaller)


def _known(noise: Noise | None) -> Noise:
    assert noise is not None
    return noise


# Runs ------------------------------------------------------------------------------------------------------------


def _trial(problem: Problem, orders: tuple[int, ...] | None = None) -> Solution:
    """A short run of order 1 in every channel, 3 where there is one only, 0 of synapses that kick at release."""
    end = max(round(TRIAL / problem.dt), 2)
    halves = problem._replace(steps=np.array([0, end // 2, end]), sheet=None)
    order = 3 if np.bincount(problem.channels.target, minlength=1).max() < 2 else 1
    order *= int(problem.model.synapse != "release")
    return settle(halves, orders or (order, order), TRIAL_CELLS, DEPTH, density=False, fixed=False)


def _late_rates(problem: Problem, trial: Solution) -> np.ndarray:
    """Rates (Hz) of a trial's second half, shape (P,)."""
    steps = trial.run.output.steps
    return trial.run.output.spikes[:, -1] * 1000.0 / ((steps[-1] - steps[-2]) * problem.dt)


def _noise(problem: Problem, trial: Solution) -> Noise:
    """The noise at the rates of the trial's second half."""
    early = Drive(*(values[: int(trial.run.output.steps[-1])] for values in problem.drive))
    return measure(problem.model, problem.channels, _late_rates(problem, trial), early)


def settle(
    problem: Problem, orders: tuple[int, ...], cells: int, depth: float, *, density: bool, fixed: bool
) -> Solution:
    """Run on cells that reach low enough and, unless their width is `fixed`, are narrow enough not to diverge."""
    halvings, by_channel = 0, channel_orders(problem.channels, orders)
    while True:
        bins = rules.with_depth(problem.model, cells, depth)
        grid = Grid(by_channel, bins.above, bins.below, problem.dt)
        asked = (problem.model, problem.channels, grid, problem.drive, problem.steps)
        done = run(*asked, density=density, sheet=problem.sheet)
        if diverged(done):
            if fixed or halvings == _HALVINGS:
                raise InputError(
                    f"Argument `bin_width` must be smaller for this network, but is {done.layout.unit.min():g}: its "
                    "potentials diverge. Halve it, or dt, until this passes."
                )
            halvings, cells = halvings + 1, 2 * cells
            continue
        deep, lower = bool(np.all(done.lowest <= MAX_LOWEST)), rules.below_of(problem.model, cells, 2.0 * depth)
        if deep or not fits(problem.model, problem.drive, grid._replace(below=lower)):
            return Solution(done, grid, depth, halvings > 0, deep)
        depth *= 2.0


def diverged(done: Run) -> bool:
    """Whether a result is no number, or more spikes than one a step and neuron."""
    spikes, steps = done.output.spikes, np.diff(done.output.steps, prepend=0)
    return not (np.all(np.isfinite(spikes)) and np.all(np.abs(spikes) <= 1.5 * np.maximum(steps, 1)))


def rates(done: Run, dt: float) -> np.ndarray:
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


def _estimate(problem: Problem, best: Solution, orders: tuple[int, ...], noise: Noise) -> tuple[np.ndarray, list[str]]:
    """Error of the mean rates (Hz), shape (P,), and what must be said of them."""
    lower, wide = one_less(orders, noise), max(int(best.grid.above / WIDER), 2)
    b = settle(problem, lower, best.grid.above, best.depth, density=False, fixed=False)
    c = settle(problem, lower, wide, best.depth, density=False, fixed=False)
    rate, of_b, of_c = (mean_rates(solution.run, problem.dt) for solution in (best, b, c))
    if problem.sheet is not None:
        rate, of_b, of_c = (split_patches(one, problem.sheet.space).mean(axis=1) for one in (rate, of_b, of_c))
    by_order, by_width = np.abs(rate - of_b), np.abs(of_b - of_c)
    error, flags = np.maximum(by_order, by_width), []
    if np.any(rate < 0.0):
        flags.append(NEGATIVE)
    if np.any(rate < 3.0 * error):
        flags.append(UPPER_BOUND)
    if np.any((by_order > by_width) & (by_order > 0.01 * np.abs(rate))):
        flags.append(ORDER_LIMIT)
    return error, flags
