"""The plane of the smoothed excitatory and inhibitory rates: orbits of network and reduction."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from largen.checks import real, require
from largen.statistics.signals import read, smooth
from largen.system import Portrait


def draw_up(
    runs: Mapping[str, xr.Dataset], *, window: np.ndarray | None, start: float | None, smoothing: float
) -> Portrait:
    """Orbits of the rates pooled over the excitatory and over the inhibitory populations.

    Args:
        runs: Datasets by source.
        window: Lowest and highest rate (Hz) of each axis, shape (axis, edge), or None for all that the orbits reach.
        start: Time (ms) from which orbits are drawn, or None.
        smoothing: S.d. (ms) of the Gaussian that smooths the rates.
    """
    smoothing = real("smoothing", smoothing, above=0.0)
    require(len(runs) > 0, "network", "be given, or `limit`: a spiking system has orbits only", None)
    orbits: dict[str, Any] = {}
    for name, run in runs.items():
        signals = read(run, start, whole=True)
        inhibitory = signals.inhibitory
        both = bool(np.any(inhibitory) and not np.all(inhibitory))
        require(both, name, "have excitatory and inhibitory populations", list(signals.populations))
        orbit = np.stack([smooth(signals.pooled(kind), signals.step, smoothing) for kind in (False, True)], axis=1)
        orbits[name] = (orbit if "realisation" in run["rate"].dims else orbit[0], signals.times)
    if window is None:
        low = min(float(np.nanmin(points)) for points, _ in orbits.values())
        top = max(float(np.nanmax(points)) for points, _ in orbits.values())
        window = np.array([[min(low, 0.0), 1.05 * top]] * 2)
    missing = "no nullclines: the reduction has hundreds of dimensions, of which this plane shows two"
    return Portrait(("e", "i"), window, "Hz", "rate of {}", "ms", orbits, missing=(missing,))
