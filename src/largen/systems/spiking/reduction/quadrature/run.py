"""One run of the quadrature from rest."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.systems.spiking.reduction.quadrature.layout import Channels, Grid, Layout, build_layout, external_sd
from largen.systems.spiking.reduction.quadrature.state import Output, State, new_output, new_state, new_work
from largen.systems.spiking.reduction.quadrature.step import run_steps, start

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork


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
    model: "SpikingNetwork", channels: Channels, grid: Grid, drive: np.ndarray, steps: np.ndarray, *, density: bool
) -> Run:
    """Run from rest.

    Args:
        model: The network, scaled to its number of neurons.
        channels: Its channels.
        grid: Orders, cells and step.
        drive: External kicks per ms at every step, shape (step, P), or (1, P) for a constant.
        steps: Steps at which to record, increasing from 0, shape (T,).
        density: Whether to record the mass per cell.
    """
    layout = build_layout(model, channels, grid, drive)
    state, work = new_state(layout), new_work(layout)
    output = new_output(layout, steps, density=density)
    start(layout, state)
    kicks = np.array(drive, np.float64)  # writable, so that the kernel is compiled once
    run_steps(layout, state, work, kicks, external_sd(model, kicks, grid.dt), output)
    return Run(layout, output, state, work.lowest / max(int(steps[-1]), 1))
