"""The rules for the bins of a reduction with delta synapses: how wide, and how far down.

The width is at most half the standard deviation that the noise alone would give a potential without threshold (S23),
at most a quarter of the slope of an exponential neuron's spike, and at most a quarter of the width of a quadratic
neuron's bottleneck: of the distance of its fixed points, or of (sigma^2 tau_m Delta_T)^(1/3), where noise and parabola
balance.
"""

from typing import TYPE_CHECKING

import numpy as np

from largen.checks import InputError
from largen.systems.spiking import constants
from largen.systems.spiking.discretisation import MOST_BINS
from largen.systems.spiking.reduction.direct.layout import DirectLayout, Grid

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

DEFAULT = 25
"""Bins between reset and threshold unless the rule wants more."""
MOST = 200
DEPTH = 0.6
"""How far the bins reach below the lowest of reset, rest and first potentials to begin with, in spans."""


def given_grid(model: "SpikingNetwork", width: float | None, depth: float) -> Grid:
    """The bins of a given width, or 25 between reset and threshold.

    Args:
        model: The network.
        width: Width in units of the potential; it must divide the span from reset to threshold of every population.
        depth: How far they reach below the lowest potential without noise, in spans.
    """
    span = spans(model)
    above = DEFAULT
    if width is not None:
        counts = np.rint(span / width)
        bad = (counts < 1) | (np.abs(counts * width - span) > 1e-9 * span) | (counts != counts[0])
        if np.any(bad):
            a = int(np.argmax(bad))
            raise InputError(
                f"Argument `bin_width` must be the {span[a]:g} from reset to threshold divided by an integer"
                f"{', the same for all populations' if np.any(span != span[0]) else ''}, but is {width!r}. The nearest "
                f"is {span[a] / max(counts[a], 1):g}."
            )
        above = int(counts[0])
    return with_depth(model, above, depth)


def with_depth(model: "SpikingNetwork", above: int, depth: float) -> Grid:
    """So many bins above the reset, and those below it down to `depth` spans below the lowest potential."""
    return checked(Grid(above, below_of(model, above, depth)))


def below_of(model: "SpikingNetwork", above: int, depth: float) -> int:
    """Number of bins below the reset that reach `depth` spans below the lowest potential; `above` it so many."""
    reset, span = constants.per_population(model, model.reset), spans(model)
    first = model.reset if model.initial_mean is None else model.initial_mean
    start = constants.per_population(model, first) - 4.0 * constants.per_population(model, model.initial_spread)
    lowest = np.minimum(np.minimum(constants.per_population(model, model.rest), reset), start)
    return max(int(np.ceil(np.max((reset - lowest) / span + depth) * above - 1e-9)), 1)


def checked(grid: Grid) -> Grid:
    """The bins, if they are not too many."""
    if grid.above + grid.below >= MOST_BINS:
        raise InputError(
            f"Argument `bin_width` must give fewer than {MOST_BINS} bins, but gives {grid.above + grid.below}: the "
            f"potentials fall to {grid.below / grid.above:.3g} times the span from reset to threshold below the reset. "
            "Choose wider bins or weaker inhibition."
        )
    return grid


def spans(model: "SpikingNetwork") -> np.ndarray:
    """Threshold minus reset, shape (P,)."""
    return constants.per_population(model, model.threshold) - constants.per_population(model, model.reset)


def widest_good(model: "SpikingNetwork", layout: DirectLayout, noise: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """The widest good bins, in spans, shape (P,); infinite where nothing is known to be resolved.

    Args:
        model: The network.
        layout: Its constants.
        noise: External variance (unit^2/ms), shape (P,).
        rates: Spikes per neuron and ms, shape (P,).
    """
    relaxation = 1.0 / constants.per_population(model, model.membrane_time)
    intensity = np.array(noise, np.float64)
    target = np.repeat(np.arange(len(layout.size)), np.diff(layout.classes))
    flow = layout.inputs * rates[layout.source]
    jumps = (layout.weight * layout.unit[target]) ** 2 * (1.0 - layout.chance + layout.spread)
    np.add.at(intensity, target, jumps * flow)
    np.add.at(relaxation, target, layout.pull * flow)
    free = np.full(len(intensity), np.inf)
    known = (intensity > 0.0) & (relaxation > 0.0)
    free[known] = np.sqrt(intensity[known] / (2.0 * relaxation[known]))
    widest = 0.5 * free
    if model.neuron == "exponential":
        widest = np.minimum(widest, 0.25 * constants.per_population(model, model.slope))
    if model.neuron == "quadratic":
        slope = constants.per_population(model, model.slope)
        scale = np.cbrt(intensity * constants.per_population(model, model.membrane_time) * slope)
        apart = constants.per_population(model, model.soft_threshold) - constants.per_population(model, model.rest)
        widest = np.minimum(0.25 * np.where(apart > 0.0, apart, np.inf), 0.25 * np.where(scale > 0.0, scale, np.inf))
    return widest / spans(model)
