"""The reduction of the networks of Chang et al. with its bins held fixed: a smooth function of the model's numbers."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from largen.systems.spiking.discretisation import BELOW_RESET, Discretisation
from largen.systems.spiking.reduction.bin_width import deeper, reaches_too_low, with_bins
from largen.systems.spiking.reduction.layout import build_layout, drive_of, merge_classes
from largen.systems.spiking.reduction.run import run
from largen.systems.spiking.time_step import output_steps

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

ROOM = 1.5
"""Depth of the bins over the one that the first model needs."""
DEEPEST = 16.0
"""Thresholds below the reset at which the search for this depth ends."""


def fix(
    model: "SpikingNetwork", times: np.ndarray, discretisation: Discretisation
) -> tuple[Callable[["SpikingNetwork"], np.ndarray], Callable[["SpikingNetwork"], bool]]:
    """Choose the bins from one model, scaled to its number of neurons.

    Args:
        model: The network.
        times: Every step (ms).
        discretisation: Closure "joint" or "white", width of the bins (None for the rule) and step.

    Returns:
        A function of a scaled model that gives the spikes per neuron in each step, shape (step, population), not finite
        where its potentials lie below the bins; and one that says whether it has the same channels.
    """
    dt = discretisation.dt
    steps = output_steps(times, dt)
    lost = np.full((len(times) - 1, len(model.size)), np.nan)

    def on(other: "SpikingNetwork", chosen: Discretisation) -> np.ndarray:
        layout = build_layout(other, chosen)
        drive = drive_of(other, float(times[0]), int(steps[-1]), dt)
        output, work = run(layout, drive, steps)
        spikes = output.spikes[:, 1:].T / layout.size
        good = np.all(np.isfinite(spikes)) and np.all(spikes <= 1.001)  # at most one spike a step
        return spikes if good and not reaches_too_low(work, layout, int(steps[-1])) else lost

    chosen = with_bins(discretisation, model, drive_of(model, float(times[0]), int(steps[-1]), dt))
    while on(model, chosen) is lost and (chosen.below or BELOW_RESET) < DEEPEST:
        chosen = chosen._replace(below=deeper(chosen.below))
    chosen = chosen._replace(below=ROOM * (chosen.below or BELOW_RESET))
    merged = merge_classes(model)

    def same(other: "SpikingNetwork") -> bool:
        return all(np.array_equal(a, b) for a, b in zip(merge_classes(other), merged, strict=True))

    def counts(other: "SpikingNetwork") -> np.ndarray:
        return on(other, chosen) if same(other) else lost

    return counts, same
