"""The reduction of delta synapses with its bins held fixed: a smooth function of the model's numbers."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from largen.checks import real
from largen.systems.spiking.discretisation import MAX_LOWEST, Discretisation
from largen.systems.spiking.drive import drive_of
from largen.systems.spiking.reduction.direct.layout import build_layout
from largen.systems.spiking.reduction.direct.solve import check, check_run, grid_of, run_once, runs_of
from largen.systems.spiking.time_step import check_step, output_steps

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork


def fix(
    model: "SpikingNetwork", times: np.ndarray, discretisation: Discretisation
) -> tuple[Callable[["SpikingNetwork"], np.ndarray], Callable[["SpikingNetwork"], bool]]:
    """Choose the bins from one model, scaled to its number of neurons.

    Args:
        model: The network.
        times: Every step (ms).
        discretisation: Width of the bins (None for the rule) and step.

    Returns:
        A function of a scaled model that gives the spikes per neuron in each step, shape (step, population), not finite
        where its potentials lie below the bins; and one that says whether it has the same form, which all have.
    """
    check(model, discretisation, False, "auto", 1, ())
    dt = check_step(model, discretisation.dt) if model.neuron == "leaky" else real("dt", discretisation.dt, above=0.0)
    steps = output_steps(times, dt)
    width = None if discretisation.bin_width is None else real("bin_width", discretisation.bin_width, above=0.0)
    drive = drive_of(model, float(times[0]), int(steps[-1]), dt)
    grid = grid_of(model, drive, dt, width)
    grid = runs_of(model, drive, steps, dt, grid, None, False)[2]
    grid = grid._replace(below=grid.below + grid.below // 2)

    def counts(other: "SpikingNetwork") -> np.ndarray:
        layout = build_layout(other, dt, grid)
        given = drive_of(other, float(times[0]), int(steps[-1]), dt)
        done = run_once(other, given, steps, layout, grid, None, False)
        check_run(done, layout, steps)
        spikes = done.output.spikes[:, 1:].T / layout.size
        deep = np.all(done.work.lowest <= MAX_LOWEST * layout.size * max(int(steps[-1]), 1))
        return spikes if deep else np.full_like(spikes, np.nan)

    return counts, lambda other: True
