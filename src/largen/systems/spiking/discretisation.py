"""How the reduction is discretised, for both engines: its options, its voltage bins, its smallest numbers."""

from typing import NamedTuple

import numpy as np

from largen.checks import InputError

CLOSURES = ("paper", "white", "joint")
BELOW_RESET = 60.0
"""The lowest bin reaches this far below the reset, for a threshold of 100."""

MIN_SUPPORT = 0.01
"""Shortest support of the density in a bin, for a solution in time (`solve_limit`)."""
MIN_SUPPORT_OF_MAP = 0.05
"""The same for the map of one step (`analysis.follow`): wide enough that its derivatives are smooth."""

# Minimum occupancies, as fractions of a population. What is below means nothing for the rest of the state.
MIN_OCCUPANCY = 1e-20
"""A bin, or a refractory pool, with at most this fraction has no mean potential and no mean deviation."""
MIN_OCCUPANCY_FLUX = 1e-16
"""Bins with at most this fraction move with the others, but how far their noise reaches is not asked."""
MIN_OCCUPANCY_FAULT = 1e-12
"""Bins with at most this fraction are not asked whether dt is too large for them (JAX engine)."""
MIN_OCCUPANCY_VARIABLE = 1e-9
"""A bin with less than this fraction is no variable of its own in a continuation."""
MIN_OCCUPANCY_SLOPE = 1e-8
"""A bin with less than this fraction has no slope of the deviation."""
MIN_CONTRACTION = 0.1
"""Where a step contracts a bin to less than this fraction, or reverses its orientation, dt is too large."""


class Discretisation(NamedTuple):
    """The options of the reduction that both engines and all its uses share.

    Attributes:
        closure: "joint" carries the coloured synaptic noise with the potentials; "white" whitens it; "paper" is the
            published reference implementation with all its conventions (numba engine only).
        bin_width: Width of the voltage bins, the threshold divided by an integer; None before the rule of
            `reduction.bin_width` has chosen it.
        linear_in_bin: Whether the deviations of pending spikes are linear within a bin ("joint" only): second order
            in the bin width.
        affine_drift: Whether the drift is linear within a bin ("joint" only), else it is constant there.
        min_support: Shortest support of the density in a bin, in units of the potential.
        dt: Step (ms).
    """

    closure: str = "joint"
    bin_width: float | None = None
    linear_in_bin: bool = True
    affine_drift: bool = True
    min_support: float = MIN_SUPPORT
    dt: float = 0.1


def bin_edges(threshold: float, width: float) -> np.ndarray:
    """Edges of the voltage bins, shape (bin + 1,).

    The lowest edge is -w ceil(60/w) for a threshold of 100 and in proportion for others; mass that would go
    below it stays in the lowest bin. 0 and the threshold are edges, exactly.

    Raises:
        InputError: The width is not the threshold divided by an integer.
    """
    above = round(threshold / width) if np.isfinite(width) and width > 0 else 0
    if above < 1 or abs(above * width - threshold) > 1e-9 * threshold:
        raise InputError(
            f"Argument `bin_width` must be the threshold {threshold:g} divided by an integer, "
            f"but is {width!r}. The nearest is {threshold / max(above, 1):g}."
        )
    below = int(np.ceil(BELOW_RESET / 100.0 * above - 1e-9))
    return np.arange(-below, above + 1) * threshold / above


def reset_bin(edges: np.ndarray) -> int:
    """Index of the bin that starts at the reset potential 0."""
    return int(np.searchsorted(edges, 0.0))
