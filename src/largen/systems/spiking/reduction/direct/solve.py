"""The reduction of networks with delta synapses: options, bins, runs, labelled arrays."""

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from largen.checks import InputError, flag, integer, one_of, real, require, seed_number
from largen.numerics.streams import stream
from largen.runtime.memory import require_memory
from largen.system import Arrays
from largen.systems.spiking import constants
from largen.systems.spiking.discretisation import MAX_LOWEST, Discretisation
from largen.systems.spiking.drive import Drive, drive_of
from largen.systems.spiking.reduction.direct import bins as rules
from largen.systems.spiking.reduction.direct.chain import run_chain
from largen.systems.spiking.reduction.direct.layout import DirectLayout, Grid, build_layout, edges_of
from largen.systems.spiking.reduction.direct.state import (
    Output,
    Work,
    new_output,
    new_state,
    new_work,
)
from largen.systems.spiking.reduction.direct.step import run_steps
from largen.systems.spiking.reduction.markov_chain import new_chain_work
from largen.systems.spiking.relations import refuse
from largen.systems.spiking.time_step import check_step, output_steps

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

RECORDABLE = ("voltage_density",)
TRIAL = 200.0
"""Time for which a run looks at the network before it chooses the bins (ms); the second half counts."""


def solve(
    model: "SpikingNetwork",
    times: np.ndarray,
    discretisation: Discretisation = Discretisation(),  # noqa: B008 (immutable)
    *,
    finite_size: bool = False,
    engine: str = "auto",
    seed: int = 0,
    realisations: int = 1,
    record: tuple[str, ...] = (),
) -> Arrays:
    """Solve the reduction of a network with delta synapses; arguments as of `systems.spiking.solve.solve`.

    Returns:
        `rate` (population, time), Hz: spikes in (times[i-1], times[i]] per neuron and second, 0 at times[0]; on request
        `voltage_density` (population, bin, time) with `refractory_fraction` (population, time). With `finite_size` a
        leading axis of realisations.

    Raises:
        InputError: A field or an option that this reduction does not have.
    """
    check(model, discretisation, finite_size, engine, realisations, record)
    dt = check_step(model, discretisation.dt) if model.neuron == "leaky" else real("dt", discretisation.dt, above=0.0)
    steps = output_steps(times, dt)
    seed, realisations = seed_number("seed", seed), integer("realisations", realisations, low=1)
    width = None if discretisation.bin_width is None else real("bin_width", discretisation.bin_width, above=0.0)
    drive = drive_of(model, float(times[0]), int(steps[-1]), dt)
    _require_memory(model, steps, width, realisations if finite_size else 1, record)
    grid = grid_of(model, drive, dt, width)
    chain = (seed, realisations) if finite_size else None
    values, layout, grid = runs_of(model, drive, steps, dt, grid, chain, "voltage_density" in record)
    attrs: dict[str, Any] = {
        "method": "Markov chain" if finite_size else "discrete-state reduction",
        "dt": dt,
        "bin_width": float(layout.unit[0]) if np.ptp(layout.unit) == 0.0 else layout.unit,
        "finite_size": bool(finite_size),
        "engine": "numba",
    }
    if finite_size:
        attrs["realisations"] = realisations
    edges = edges_of(model, grid)[0]
    return Arrays(values, {"bin": 0.5 * (edges[1:] + edges[:-1])} if record else {}, attrs)


# Checks -----------------------------------------------------------------------------------------------------------


def check(
    model: "SpikingNetwork",
    discretisation: Discretisation,
    finite_size: bool,
    engine: str,
    realisations: int,
    record: tuple[str, ...],
) -> None:
    """Refuse what this reduction does not have."""
    if model.synapse == "pending":
        refuse(model, model.extensions, "The reduction of pending synapses with closure='joint'")
    must, remedy = "be 'delta' or 'pending' for this reduction", "Take closure='quadrature', or run its network."
    require(model.synapse == "delta", "synapse", must, model.synapse, remedy)
    through = not np.any(np.asarray(model.external_decay) > 0.0)
    require(through, "external_decay", "be 0 for the reduction", model.external_decay)
    one_of("engine", engine, ("auto", "numba", "jax"))
    require(engine != "jax", "engine", "be 'numba' for this network", engine)
    joint = discretisation.closure == "joint"
    remedy = "Delta synapses have no pending spikes to close over."
    require(joint, "closure", "be 'joint', the default, with delta synapses", discretisation.closure, remedy)
    plain = flag("linear_in_bin", discretisation.linear_in_bin)
    require(plain, "linear_in_bin", "be True, the default, with delta synapses", plain, remedy)
    for word in record:
        one_of("record", word, RECORDABLE)
    if flag("finite_size", finite_size):
        still = not np.any(np.asarray(model.adaptation_step) != 0.0)
        remedy = "The chain does not know adaptation."
        require(still, "adaptation_step", "be 0 with finite_size=True", model.adaptation_step, remedy)
    else:
        require(realisations == 1, "realisations", "be 1 without finite_size", realisations,
                "Only the chain (finite_size=True) is random.")  # fmt: skip
    if record:
        same = all(np.ptp(constants.per_population(model, x)) == 0.0 for x in (model.threshold, model.reset))
        must = "be empty where thresholds or resets differ between populations"
        require(same, "record", must, record, "Their bins differ.")


def _require_memory(
    model: "SpikingNetwork", steps: np.ndarray, width: float | None, realisations: int, record: tuple[str, ...]
) -> None:
    """Refuse a reduction that does not fit; the message names the largest numbers that do."""
    count, bins = constants.count(model), 2.0 * (rules.MOST if width is None else rules.spans(model).max() / width)

    def size(times: int = len(steps), realisations: int = realisations) -> float:
        density = float(times) * count * bins if record else 0.0
        outputs = (16.0 * times * count + 16.0 * density) * realisations
        functions = sum(callable(x) for x in (model.external_rate, model.external_mean, model.external_sd))
        return 1e6 + 8.0 * count * bins * 60.0 + 2.0 * outputs + 16.0 * functions * float(steps[-1]) * count

    smaller = {
        "{} realisations": (realisations, lambda k: size(realisations=k)),
        "{} output times": (len(steps), lambda k: size(times=k) if k > 1 else -1.0),
    }
    what = f"The reduction of {int(np.sum(model.size))} neurons"
    require_memory(size(), what, "Take fewer output times or wider bins.", smaller=smaller)


# Runs -------------------------------------------------------------------------------------------------------------


class _Run(NamedTuple):
    output: Output
    work: Work


def grid_of(model: "SpikingNetwork", drive: Drive, dt: float, width: float | None) -> Grid:
    """The bins: as given, or by the rule, from a trial run that also finds how far down they must reach."""
    grid = rules.given_grid(model, width, rules.DEPTH)
    above = grid.above
    trial = np.array([0, round(0.5 * TRIAL / dt), max(round(TRIAL / dt), 2)])
    for _ in range(3):  # the first bins may be too wide for rates, and so for their own rule
        values, layout, grid = runs_of(model, drive, trial, dt, grid, None, False, check=False)
        rates = 1e-3 * values["rate"][:, -1]
        outside = (layout.kick * layout.unit) ** 2 * drive.rate.mean(axis=0) + (drive.sd**2).mean(axis=0)
        widest = rules.widest_good(model, layout, outside, rates)
        wanted = float(np.max(1.0 / widest))
        if width is not None:
            if above < wanted * (1.0 - 1e-9) / 2.0:
                warnings.warn(
                    f"Argument `bin_width` should be at most {2.0 * width * above / wanted:.3g} to resolve this "
                    f"network's potentials, but is {width:g}: rates may be off by several per cent.",
                    stacklevel=2,
                )
            return grid
        needed = int(np.clip(np.ceil(wanted - 1e-9), rules.DEFAULT, rules.MOST))
        if needed <= above:
            return grid
        depth = grid.below / above
        above = needed
        grid = rules.checked(Grid(above, int(np.ceil(depth * above))))
    return grid


def runs_of(
    model: "SpikingNetwork",
    drive: Drive,
    steps: np.ndarray,
    dt: float,
    grid: Grid,
    chain: tuple[int, int] | None,
    density: bool,
    *,
    check: bool = True,
) -> tuple[dict[str, np.ndarray], DirectLayout, Grid]:
    """The reduction or, with (seed, realisations), the chain, on bins that reach as low as the potentials."""
    while True:
        layout = build_layout(model, dt, grid)
        runs = []
        for r in range(1 if chain is None else chain[1]):
            rng = None if chain is None else stream(chain[0], "realisation", r, "chain")
            run = run_once(model, drive, steps, layout, grid, rng, density)
            if check:
                check_run(run, layout, steps)
            if np.any(run.work.lowest > MAX_LOWEST * layout.size * max(int(steps[-1]), 1)):
                break
            runs.append(_values(run.output, layout, density))
        else:
            stacked = runs[0] if chain is None else {key: np.stack([run[key] for run in runs]) for key in runs[0]}
            return stacked, layout, grid
        grid = rules.checked(Grid(grid.above, 2 * grid.below))


def run_once(
    model: "SpikingNetwork", drive: Drive, steps: np.ndarray, layout: DirectLayout, grid: Grid,
    rng: np.random.Generator | None, density: bool,
) -> _Run:  # fmt: skip
    """One run of the reduction or, with a generator, of the chain."""
    state, work = new_state(model, layout, grid, int(steps[-1]), rng), new_work(layout)
    output, moments = new_output(layout, steps, density=density), np.zeros(4)
    if rng is None:
        run_steps(layout, state, work, drive, output, moments)
    else:
        run_chain(layout, state, work, new_chain_work(layout, rng), drive, output, moments, rng)
    return _Run(output, work)


def check_run(run: _Run, layout: DirectLayout, steps: np.ndarray) -> None:
    """Refuse a result that is no number, more spikes than one a step and neuron, and kicks that were not resolved."""
    spikes = run.output.spikes / layout.size[:, None]
    if not (np.all(np.isfinite(spikes)) and np.all(spikes <= 1.001 * np.diff(steps, prepend=0))):
        raise InputError(
            f"Argument `dt` must be smaller for this network, but is {layout.dt:g} ms: its potentials diverge. Halve "
            "dt until this passes."
        )
    if run.work.coarse[0]:
        raise InputError(
            "Argument `strength` must not make single kicks larger than a bin and than all the noise of a step here, "
            "for there are too many to take them one by one. Run the network with `simulate`."
        )


def _values(output: Output, layout: DirectLayout, density: bool) -> dict[str, np.ndarray]:
    """Rates in Hz, and fractions."""
    seconds = np.concatenate([[1.0], np.diff(output.steps) * layout.dt / 1000.0])
    values = {"rate": output.spikes / (layout.size[:, None] * seconds)}
    if density:
        values["voltage_density"] = output.number / layout.size[:, None, None]
        values["refractory_fraction"] = output.refractory / layout.size[:, None]
    return values
