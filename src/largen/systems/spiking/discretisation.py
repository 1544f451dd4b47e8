"""How the reduction is discretised, for both engines: its options, its voltage bins, its smallest numbers."""

from typing import NamedTuple

import numpy as np

from largen.checks import InputError, require

CLOSURES = ("paper", "white", "joint", "quadrature")
BELOW_RESET = 0.6
"""How far the bins reach below the reset before a run asks for more, in thresholds."""
MAX_LOWEST = 1e-5
"""Fraction of a population that the lowest bin may hold, averaged over a run: mass cannot leave it downwards."""
MOST_BINS = 2048

MIN_SUPPORT = 0.05
"""Shortest support of the density in a bin, for a threshold of 100: wide enough that the map of a step is smooth."""

# Minimum occupancies, as fractions of a population. What is below means nothing for the rest of the state.
MIN_OCCUPANCY = 1e-20
"""A bin, or a refractory pool, with at most this fraction has no mean potential and no mean deviation."""
MIN_OCCUPANCY_FLUX = 1e-16
"""Bins with at most this fraction move with the others, but how far their noise reaches is not asked."""
MIN_OCCUPANCY_VARIABLE = 1e-9
"""A bin with less than this fraction is no variable of its own in a continuation."""
MIN_OCCUPANCY_SLOPE = 1e-8
"""A bin with less than this fraction has no slope of the deviation."""
MIN_CONTRACTION = 0.1
"""A step contracts the density of a bin to this fraction at most: a shorter support would not be resolved."""


class Discretisation(NamedTuple):
    """The options of the reduction that both engines and all its uses share.

    Attributes:
        closure: "joint" carries the coloured synaptic noise with the potentials; "white" whitens it; "paper" is the
            published reference implementation with all its conventions (numba engine only); "quadrature" has families
            of neurons at Gauss nodes of the pending input (`reduction.quadrature`).
        bin_width: Width of the voltage bins, the threshold divided by an integer; None before the rule of
            `reduction.bin_width` has chosen it.
        linear_in_bin: Whether the deviations of pending spikes are linear within a bin ("joint" only): second order
            in the bin width.
        affine_drift: Whether the drift is linear within a bin ("joint" only), else it is constant there.
        min_support: Shortest support of the density in a bin, for a threshold of 100.
        dt: Step (ms).
        below: How far the bins reach below the reset, in thresholds; None for BELOW_RESET.
    """

    closure: str = "joint"
    bin_width: float | None = None
    linear_in_bin: bool = True
    affine_drift: bool = True
    min_support: float = MIN_SUPPORT
    dt: float = 0.1
    below: float | None = None


def bin_edges(threshold: float, width: float, depth: float | None = None) -> np.ndarray:
    """Edges of the voltage bins, shape (bin + 1,).

    The bins reach `depth` thresholds below the reset, rounded up to a bin (BELOW_RESET by default); mass that would go
    further down stays in the lowest bin. 0 and the threshold are edges, exactly.

    Raises:
        InputError: The width is not the threshold divided by an integer, or the bins are too many.
    """
    above = round(threshold / width) if np.isfinite(width) and width > 0 else 0
    if above < 1 or abs(above * width - threshold) > 1e-9 * threshold:
        raise InputError(
            f"Argument `bin_width` must be the threshold {threshold:g} divided by an integer, "
            f"but is {width!r}. The nearest is {threshold / max(above, 1):g}."
        )
    below = int(np.ceil((BELOW_RESET if depth is None else depth) * above - 1e-9))
    bins = f"{width:g} ({above + below} bins)"
    require(above + below < MOST_BINS, "bin_width", f"give fewer than {MOST_BINS} bins", bins, _too_many(depth))
    return np.arange(-below, above + 1) * threshold / above


def reset_bin(edges: np.ndarray) -> int:
    """Index of the bin that starts at the reset potential 0."""
    return int(np.searchsorted(edges, 0.0))


def _too_many(depth: float | None) -> str:
    if depth is None or depth <= BELOW_RESET:
        return ""
    return f"The potentials fall to {depth:g} thresholds below the reset: choose wider bins or weaker inhibition."
