"""The quadrature with orders, cells and channels held fixed: a smooth function of the model's numbers."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from largen.systems.spiking.discretisation import MAX_LOWEST, Discretisation
from largen.systems.spiking.drive import drive_of
from largen.systems.spiking.reduction.quadrature.channels import Channels, channels_of
from largen.systems.spiking.reduction.quadrature.run import run
from largen.systems.spiking.reduction.quadrature.solve import choose, diverged, prepare, settle

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

ROOM = 1.5
"""Depth of the cells over the one that the first model needs."""


def fix(
    model: "SpikingNetwork", times: np.ndarray, discretisation: Discretisation, orders: Any
) -> tuple[Callable[["SpikingNetwork"], np.ndarray], Callable[["SpikingNetwork"], bool]]:
    """Choose the form from one model, scaled to its number of neurons.

    Args:
        model: The network.
        times: Every step (ms).
        discretisation: Width of the cells (None for the rule) and step.
        orders: (excitatory, inhibitory), one for each group (see `given_orders`), or "auto".

    Returns:
        A function of a scaled model that gives the spikes per neuron in each step, shape (step, population), not finite
        where the form does not hold it; and one that says whether it has the same channels.
    """
    problem = prepare(model, times, discretisation, "auto", ())
    choice = choose(problem, discretisation.bin_width, orders, False)
    needed = settle(problem, choice.orders, choice.cells, choice.depth, density=False, fixed=choice.fixed).depth
    best = settle(problem, choice.orders, choice.cells, ROOM * needed, density=False, fixed=choice.fixed)
    lost = np.full((len(times) - 1, len(model.size)), np.nan)

    def same(other: "SpikingNetwork") -> bool:
        return _same(channels_of(other), problem.channels)

    def counts(other: "SpikingNetwork") -> np.ndarray:
        channels = channels_of(other)
        if not _same(channels, problem.channels):
            return lost
        drive = drive_of(other, float(times[0]), int(problem.steps[-1]), problem.dt)
        done = run(other, channels, best.grid, drive, problem.steps, density=False)
        if diverged(done) or (best.deep and np.any(done.lowest > MAX_LOWEST)):
            return lost
        return done.output.spikes[:, 1:].T

    return counts, same


def _same(one: Channels, two: Channels) -> bool:
    """Whether two sets of channels differ in decay times only."""
    return all(np.array_equal(a, b) for name, a, b in zip(one._fields, one, two, strict=True) if name != "decay")
