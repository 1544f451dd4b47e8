"""One page about a run: the pictures that its system declares, or its observables and the distance."""

import textwrap

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from largen.checks import dataset, require
from largen.plot.common import bands, distance, page
from largen.plot.panels import Run, drawable, of_all, panel
from largen.system.pictures import ActivityMap, Picture, Series
from largen.systems import class_of


def overview(
    network: xr.Dataset,
    limit: xr.Dataset,
    *,
    finite: xr.Dataset | None = None,
    report: xr.Dataset | None = None,
    title: str = "",
) -> Figure:
    """Draw network and limit side by side, and the distance between them.

    The pictures are those that the system declares (`AbstractSystem.overview`), else one for each observable of the
    populations.

    Args:
        network: What `simulate` returned (with spikes, for a raster).
        limit: What `solve_limit` returned.
        finite: The limit equations at the network's n.
        report: What `compare` returned.
        title: First words of the title.

    Returns:
        A Matplotlib figure; `figure.savefig("figure.png")`.
    """
    dataset("network", network, kinds=("network",), dims=("realisation", "time"), attrs=("system", "n"))
    dataset("limit", limit, kinds=("limit",), dims=("time",))
    for role, one in (("network", network), ("limit", limit)):
        dataset(role, one, numbers=[str(name) for name, part in one.data_vars.items() if "time" in part.dims])
    run = Run(network, limit, finite, report)
    system = class_of(network.attrs)
    declared = system.overview if system is not None and _uniform(network["time"].values) else ()
    rows = [[picture for picture in row if drawable(picture, run)] for row in declared]
    rows = [row for row in rows if row]
    views = system.views if system is not None else {}
    maps = [picture for row in views.values() for picture in row if isinstance(picture, ActivityMap)]
    figure = _declared(rows, run) if rows else _general(run, [picture for picture in maps if drawable(picture, run)])
    count = network.sizes["realisation"]
    words = f"{title + ': ' if title else ''}{network.attrs['system']}, n = {network.attrs['n']}, {count} realisations"
    if report is not None:
        words += f"\n{report.attrs['verdict']}: {report.attrs['headline']}"
    figure.suptitle(textwrap.fill(words, 110, replace_whitespace=False), fontsize=11)
    return figure


def _declared(rows: list[list[Picture]], run: Run) -> Figure:
    figure = page(len(rows), 1, height=3.2 * len(rows))
    grid = figure.add_gridspec(len(rows), 1)
    for k, row in enumerate(rows):
        places = grid[k, 0].subgridspec(1, len(row))
        for column, picture in enumerate(row):
            ax = figure.add_subplot(places[0, column])
            panel(picture, run, ax)
            if len(row) > 1 and isinstance(picture, Series):  # no room for the legend beside the title
                ax.legend(fontsize=7, frameon=False)
    return figure


def _general(run: Run, maps: list[ActivityMap]) -> Figure:
    network, limit, finite, report = run
    courses = (("population", "time"), ("time",))
    names = [str(name) for name, part in limit.data_vars.items() if name in network and part.dims in courses]
    remedy = "Draw it by itself, as `largen.plot` offers."
    require(bool(names), "network", "share an observable over time with the limit", "without one", remedy)
    count = len(names) + len(maps) + (report is not None)
    rows = (count + 1) // 2
    figure = page(rows, 2)
    axes = figure.subplots(rows, 2, squeeze=False).ravel()
    for ax, name in zip(axes, names, strict=False):
        if "population" in limit[name].dims:
            bands(network, limit, name, finite=finite, ax=ax)
        else:
            of_all(network[name], limit[name], ax)
        ax.set_title(ax.get_ylabel(), loc="left", fontsize=10)
        ax.set_ylabel("")
        if ax is axes[0]:
            ax.legend(fontsize=7, frameon=False)
        else:
            ax.get_legend().remove()
    for picture, ax in zip(maps, axes[len(names) :], strict=False):
        panel(picture, run, ax)
    if report is not None:
        distance(report, ax=axes[count - 1])
    for ax in axes[count:]:
        ax.set_axis_off()
    return figure


def _uniform(times: np.ndarray) -> bool:
    """Spectra and orbits need a uniform grid; without one the general page is drawn."""
    steps = np.diff(times)
    return len(steps) >= 4 and float(np.ptp(steps)) <= 1e-6 * float(steps.max())
