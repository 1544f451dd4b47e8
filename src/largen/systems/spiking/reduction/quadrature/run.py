"""One run of the quadrature from rest."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.checks import InputError
from largen.systems.spiking.constants import propagators
from largen.systems.spiking.drive import Drive
from largen.systems.spiking.reduction.quadrature.chain import new_drawn, run_chain
from largen.systems.spiking.reduction.quadrature.drive import Inputs, in_cells
from largen.systems.spiking.reduction.quadrature.kicks import MOST_KICKS
from largen.systems.spiking.reduction.quadrature.layout import Channels, Grid, Layout, build_layout, in_patches
from largen.systems.spiking.reduction.quadrature.release import run_released
from largen.systems.spiking.reduction.quadrature.state import Output, State, new_output, new_state, new_work
from largen.systems.spiking.reduction.quadrature.step import run_steps, start

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork
    from largen.systems.spiking.sheet import Sheet


class Run(NamedTuple):
    """A run that has ended.

    Attributes:
        layout: Its constants.
        output: What was recorded.
        state: Where it ended.
        lowest: Mass of the lowest cell, averaged over the run, shape (P,).
    """

    layout: Layout
    output: Output
    state: State
    lowest: np.ndarray


def run(
    model: "SpikingNetwork",
    channels: Channels,
    grid: Grid,
    drive: Drive,
    steps: np.ndarray,
    *,
    density: bool,
    rng: np.random.Generator | None = None,
    sheet: "Sheet | None" = None,
) -> Run:
    """Run from rest.

    Args:
        model: The network, scaled to its number of neurons.
        channels: Its channels.
        grid: Orders, cells and step.
        drive: The external drive.
        steps: Steps at which to record, increasing from 0, shape (T,).
        density: Whether to record the mass per cell.
        rng: Generator of the finite-size chain; None for the deterministic reduction.
        sheet: The sheet of which `model` is a patch, or None.
    """
    layout = build_layout(model, channels, grid, drive)
    inputs = in_cells(model, drive, grid.dt, layout.unit)
    if sheet is not None:
        layout_unit, layout = layout.unit, in_patches(layout, sheet)
        inputs = Inputs(*(np.tile(values, (1, sheet.space.count)) for values in inputs))
        if sheet.apart is not None:
            each = np.tile(propagators(model, grid.dt).drive / layout_unit, sheet.space.count)
            inputs = inputs._replace(push=np.ascontiguousarray(inputs.push + each * sheet.by_patch()))
    state, work = new_state(layout), new_work(layout)
    output = new_output(layout, steps, density=density)
    start(layout, state)
    if rng is None:
        advance = run_released if layout.releases else run_steps
        advance(layout, state, work, inputs, output)
    else:
        run_chain(layout, state, work, new_drawn(layout, rng), inputs, output)
    if work.coarse[0]:
        raise InputError(
            f"Argument `dt` must be smaller for this network, but is {grid.dt:g} ms: more than {MOST_KICKS} pending "
            "spikes are released in a step."
        )
    return Run(layout, output, state, work.lowest / max(int(steps[-1]), 1))
