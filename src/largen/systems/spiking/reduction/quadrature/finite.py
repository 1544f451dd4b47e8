"""`closure="quadrature"` with `finite_size=True`: realisations of the chain on the families.

Its noise is Gaussian, and one spike more or less must not matter: every population has at least `FEWEST` neurons, the
fewest that were tried (docs/quadrature.md). Below that the network itself costs less, and the chain of
`closure="joint"` has integer numbers of neurons.

Orders are those that the mean rates need, raised until the damping of the slowest mode stays (`damping`). Orders,
cells and the estimated error are those of the deterministic reduction over the first `SETTLING` ms.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from largen.checks import InputError, flag, integer, require, seed_number
from largen.numerics.streams import stream
from largen.system import Arrays
from largen.systems.spiking import constants
from largen.systems.spiking.discretisation import MAX_LOWEST, Discretisation
from largen.systems.spiking.drive import drive_of
from largen.systems.spiking.reduction.direct import bins as rules
from largen.systems.spiking.reduction.quadrature.channels import MOST_FAMILIES, channel_orders, families_of
from largen.systems.spiking.reduction.quadrature.choice import most_families
from largen.systems.spiking.reduction.quadrature.damping import damping, ends_alike, raise_orders
from largen.systems.spiking.reduction.quadrature.layout import fits
from largen.systems.spiking.reduction.quadrature.run import Run, run
from largen.systems.spiking.reduction.quadrature.solve import (
    WIDER,
    Choice,
    Problem,
    Solution,
    choose,
    coordinates,
    describe,
    diverged,
    prepare,
    settle,
    values_of,
)
from largen.systems.spiking.reduction.quadrature.solve import solve as solve_limit

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork
    from largen.systems.spiking.sheet import Sheet

FEWEST = 25
"""Neurons of a population at least."""
SETTLING = 500.0
"""Length (ms) of the deterministic runs that decide orders and cells; the damping is that of its last 200 ms."""
_LATE, _SAMPLE = 200.0, 1.0
MOST_CELLS = 50
"""Cells between reset and threshold beyond which the rule makes them no narrower."""
MORE = 2.1
"""Families of a population that the rule of the damping takes at most, over those that mean rates take."""


def require_many(model: "SpikingNetwork", patches: int = 1) -> None:
    """Refuse populations of few neurons, in a patch if there are patches."""
    fewest = int(np.min(model.size)) // patches
    if fewest < FEWEST:
        other = "the chain of closure='joint', or " if patches > 1 or model.is_basic else ""
        where = " in a patch" if patches > 1 else ""
        raise InputError(
            f"Argument `n` must give every population at least {FEWEST} neurons{where} with closure='quadrature' and "
            f"finite_size=True, whose noise is Gaussian, but one has {fewest}. Take {other}the network itself "
            "(`simulate`), which is cheap at this size."
        )


def _check_chain(model: "SpikingNetwork") -> None:
    """Refuse what the chain does not have."""
    remedy = "Leave out finite_size, or run the network itself (`simulate`)."
    with_size = "with closure='quadrature' and finite_size=True"
    require(model.synapse != "release", "synapse", f"not be 'release' {with_size}", model.synapse, remedy)
    require(model.neuron == "leaky", "neuron", f"be 'leaky' {with_size}", model.neuron, remedy)
    kicks = model.external == "poisson" and np.any(constants.per_population(model, model.external_decay) == 0.0)
    must = f"be 'gaussian' {with_size}, but through a synapse"
    require(not (kicks and np.any(external_of(model) != 0.0)), "external", must, model.external, remedy)
    if model.synapse == "exponential" and np.any(model.inhibitory):
        require(model.inhibition == "current", "inhibition", f"be 'current' {with_size}", model.inhibition, remedy)


def external_of(model: "SpikingNetwork") -> np.ndarray:
    """Sizes of the external kicks."""
    return np.asarray(constants.external_kicks(model).size)


def solve(
    model: "SpikingNetwork",
    times: np.ndarray,
    discretisation: Discretisation,
    *,
    finite_size: bool = False,
    engine: str = "auto",
    seed: int = 0,
    realisations: int = 1,
    record: tuple[str, ...] = (),
    orders: Any = "auto",
    error: bool = True,
    sheet: "Sheet | None" = None,
) -> Arrays:
    """Solve the quadrature from rest, with `finite_size` realisations of its chain.

    Args:
        model: The network, scaled to its number of neurons.
        times: Output times (ms), shape (time,).
        discretisation: As of `solve.solve`.
        finite_size: Whether to add the noise of a finite network.
        engine: "numba" or "auto".
        seed: Seed of the chain's streams.
        realisations: Number of realisations of the chain; 1 without `finite_size`.
        record: Any of "voltage_density".
        orders: (excitatory, inhibitory), one for each group (see `given_orders`), or "auto".
        error: Whether to estimate the error of the mean rates (with noise of one patch whose input is the mean).
        sheet: The sheet of which `model` is a patch, or None.

    Returns:
        As `solve.solve`, with `finite_size` with a leading axis of realisations.

    Raises:
        InputError: As `solve.solve`, or a population has fewer than `FEWEST` neurons.
    """
    if not flag("finite_size", finite_size):
        must, remedy = "be 1 without finite_size", "Only the chain (finite_size=True) is random."
        require(integer("realisations", realisations, low=1) == 1, "realisations", must, realisations, remedy)
        return solve_limit(
            model, times, discretisation, engine=engine, record=record, orders=orders, error=error, sheet=sheet
        )
    require_many(model, 1 if sheet is None else sheet.space.count)
    _check_chain(model)
    chain = seed_number("seed", seed), integer("realisations", realisations, low=1)
    problem = prepare(model, times, discretisation, engine, record, sheet)
    every = max(round(_SAMPLE / problem.dt), 1)
    steps = np.arange(0, max(round(SETTLING / problem.dt), 2 * every) + 1, every)
    drive = drive_of(model, float(times[0]), int(max(steps[-1], problem.steps[-1])), problem.dt)
    early, problem = problem._replace(steps=steps, drive=drive, sheet=None), problem._replace(drive=drive)
    choice, best = _with_damping(early, choose(early, discretisation.bin_width, orders, error))
    runs, best = _realisations(problem, choice, best, chain, density="voltage_density" in record)
    found = [values_of(problem, done, record) for done in runs]
    values = {name: np.stack([one[name] for one in found]) for name in found[0]}
    about: dict[str, Any] = {"method": "chain on the families of the pending input"} | describe(early, choice, best)
    about |= {"finite_size": True, "realisations": chain[1]}
    return Arrays(values, coordinates(problem, best.grid, record), about)


def _with_damping(problem: Problem, choice: Choice) -> tuple[Choice, Solution]:
    """Raise orders and cells that were not given until the slowest mode is right; returns the run at them, too."""
    found: dict[tuple[tuple[int, ...], int], Solution] = {}

    def solution(orders: tuple[int, ...], cells: int) -> Solution:
        if (orders, cells) not in found:
            fixed = choice.fixed
            found[orders, cells] = settle(problem, orders, cells, choice.depth, density=False, fixed=fixed)
        return found[orders, cells]

    def late_of(orders: tuple[int, ...], cells: int) -> tuple[np.ndarray, float]:
        output = solution(orders, cells).run.output
        step = float(output.steps[1] - output.steps[0]) * problem.dt
        return output.spikes[:, -round(_LATE / _SAMPLE) :], step

    most = min(MORE * most_families(problem.channels), MOST_FAMILIES)

    def possible(orders: tuple[int, ...]) -> bool:
        by_channel = channel_orders(problem.channels, orders)
        return bool(families_of(problem.channels, by_channel, len(problem.model.size)).max() <= most)

    orders, cells = choice.orders, choice.cells
    if all(len(values) == 1 for values in problem.drive):  # else there is no stationary state
        cells = choice.cells if choice.fixed else _narrowed(cells, lambda cells: late_of(orders, cells))
        if not choice.given:
            orders = raise_orders(orders, lambda orders: damping(*late_of(orders, cells)), possible)
    return choice._replace(orders=orders, cells=cells), solution(orders, cells)


def _narrowed(cells: int, late_of: Callable[[int], tuple[np.ndarray, float]]) -> int:
    """Cells on which a run ends as on narrower ones; where these were not the first, the narrower ones.

    Cells that just keep a false rhythm from living let noise start it.
    """
    wanted = cells
    while cells < MOST_CELLS:
        finer = int(np.ceil(WIDER * cells))
        if ends_alike(late_of(cells), late_of(finer)):
            return cells if cells == wanted else finer
        cells = finer
    return cells


def _realisations(
    problem: Problem, choice: Choice, best: Solution, chain: tuple[int, int], *, density: bool
) -> tuple[list[Run], Solution]:
    """All realisations, on cells that reach as low as all of them; with these cells, too."""
    depth, above = best.depth, best.grid.above
    while True:
        below = rules.below_of(problem.model, above, depth)
        grid, runs = best.grid._replace(below=below), []
        deeper = fits(
            problem.model, problem.drive, grid._replace(below=rules.below_of(problem.model, above, 2 * depth))
        )
        for r in range(chain[1]):
            rng = stream(chain[0], "realisation", r, "chain")
            asked = (problem.model, problem.channels, grid, problem.drive, problem.steps)
            done = run(*asked, density=density, rng=rng, sheet=problem.sheet)
            if diverged(done):
                raise InputError(
                    f"Argument `bin_width` must be smaller for this network, but is {done.layout.unit.min():g}: its "
                    "potentials diverge. Halve it, or dt, until this passes."
                )
            low = bool(np.all(np.abs(done.lowest) <= MAX_LOWEST))
            if deeper and not low:
                break
            runs.append(done)
        else:
            lowest = np.mean([done.lowest for done in runs], axis=0)
            deep = bool(np.all(np.abs(lowest) <= MAX_LOWEST))
            return runs, best._replace(grid=grid, depth=depth, deep=deep, run=best.run._replace(lowest=lowest))
        depth *= 2.0
