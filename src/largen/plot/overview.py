"""One page about a run: the system's own panels, its observables, and the distance."""

import textwrap

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from largen.plot import rate, spiking
from largen.plot.common import bands, distance, page

# A system may draw panels of its own: a function (figure, grid, network, limit, finite) -> None and the rows it takes.
PANELS = {"rate": rate.panels, "spiking": spiking.panels}


def overview(
    network: xr.Dataset,
    limit: xr.Dataset,
    *,
    finite: xr.Dataset | None = None,
    report: xr.Dataset | None = None,
    title: str = "",
) -> Figure:
    """Draw network and limit side by side, and the distance between them.

    Args:
        network: What `simulate` returned (with spikes, for a raster).
        limit: What `solve_limit` returned.
        finite: The limit equations at the network's n.
        report: What `compare` returned.
        title: First words of the title.

    Returns:
        A Matplotlib figure; `figure.savefig("figure.png")`.
    """
    own = PANELS.get(str(network.attrs["system"]))
    if own is not None and _uniform(network["time"].values):
        figure = own(network, limit, finite, report)
    else:
        names = [str(n) for n, v in limit.data_vars.items() if n in network and v.dims == ("population", "time")]
        count = len(names) + (report is not None)
        rows = (count + 1) // 2
        figure = page(rows, 2)
        axes = figure.subplots(rows, 2, squeeze=False).ravel()
        for ax, name in zip(axes, names, strict=False):
            bands(network, limit, name, finite=finite, ax=ax)
            ax.set_title(ax.get_ylabel(), loc="left", fontsize=10)
            ax.set_ylabel("")
            if ax is axes[0]:
                ax.legend(fontsize=7, frameon=False)
            else:
                ax.get_legend().remove()
        if report is not None:
            distance(report, ax=axes[len(names)])
        for ax in axes[count:]:
            ax.set_axis_off()
    count = network.sizes["realisation"]
    words = f"{title + ': ' if title else ''}{network.attrs['system']}, n = {network.attrs['n']}, {count} realisations"
    if report is not None:
        words += f"\n{report.attrs['verdict']}"
    figure.suptitle(textwrap.fill(words, 110, replace_whitespace=False), fontsize=11)
    return figure


def _uniform(times: np.ndarray) -> bool:
    """Spectra and orbits need a uniform grid; without one the general page is drawn."""
    steps = np.diff(times)
    return len(steps) >= 4 and float(np.ptp(steps)) <= 1e-6 * float(steps.max())
