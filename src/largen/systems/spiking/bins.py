"""The voltage bins of the reduction: reset and threshold are edges, and the lowest bin lies below reset."""

import numpy as np

from largen.checks import InputError

DEFAULT_WIDTH = 4.0
BELOW_RESET = 60.0


def bin_edges(threshold: float, width: float) -> np.ndarray:
    """Edges of the voltage bins, shape (bin + 1,).

    The lowest edge is -w ceil(60/w) for a threshold of 100 and in proportion for others; mass that would go
    below it stays in the lowest bin. 0 and the threshold are edges, exactly.

    Raises:
        InputError: The width is not the threshold divided by a whole number.
    """
    above = round(threshold / width) if np.isfinite(width) and width > 0 else 0
    if above < 1 or abs(above * width - threshold) > 1e-9 * threshold:
        raise InputError(
            f"Argument `bin_width` must be the threshold {threshold:g} divided by a whole number, "
            f"but is {width!r}. The nearest is {threshold / max(above, 1):g}."
        )
    below = int(np.ceil(BELOW_RESET / 100.0 * above - 1e-9))
    return np.arange(-below, above + 1) * threshold / above


def reset_bin(edges: np.ndarray) -> int:
    """Index of the bin that starts at the reset potential 0."""
    return int(np.searchsorted(edges, 0.0))
