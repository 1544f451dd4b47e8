"""Pictures of the spiking system: rasters, spectra, the excitatory-inhibitory orbit, and the page that joins them."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from largen.plot.common import axis_label, bands, colours, distance, page, tidy

SHOWN = 300.0  # ms of a run shown in detail


def raster(
    network: xr.Dataset, *, ax: Axes, realisation: int = 0, window: tuple[float, float] | None = None, most: int = 400
) -> Axes:
    """Draw the spikes of one realisation, populations stacked, at most `most` neurons in proportion to size.

    Needs `simulate(..., record="spikes")`.
    """
    here = network["spike_realisation"].values == realisation
    times, owner = network["spike_time"].values[here], network["spike_population"].values[here]
    neuron = network["spike_neuron"].values[here]
    labels = network["population"].values.tolist()
    palette = colours(labels)
    sizes = [int(neuron[owner == k].max(initial=0)) + 1 for k in range(len(labels))]
    base, ticks = 0, []
    for k, label in enumerate(labels):
        shown = max(1, min(sizes[k], round(most * sizes[k] / sum(sizes))))
        mine = (owner == k) & (neuron < shown)
        if window:
            mine &= (times >= window[0]) & (times <= window[1])
        ax.plot(times[mine], base + neuron[mine], ls="", marker=".", ms=1.2, color=palette[label], rasterized=True)
        ticks.append(base + shown / 2)
        base += shown
    ax.set_yticks(ticks, labels)
    ax.set_ylim(0, base)
    if window:
        ax.set_xlim(*window)
    return tidy(ax, x=axis_label(network["time"]), y="neurons")


def spectrum(
    spectra: dict[str, xr.Dataset], *, ax: Axes, population: str | None = None, highest: float = 200.0
) -> Axes:
    """Draw power spectra of the rate (from `analysis.power_spectrum`), one line per source."""
    styles = {"network": ("black", "-", 1.4), "limit": ("#D55E00", "-", 1.2), "theory at this n": ("0.5", "--", 1.2)}
    for name, dataset in spectra.items():
        label = population or str(dataset["population"].values[0])
        line = dataset["power"].sel(population=label)
        line = line.sel(frequency=slice(1.0, highest))
        line = line.mean("realisation") if "realisation" in line.dims else line
        colour, dash, width = styles.get(name, ("0.3", ":", 1.0))
        ax.semilogy(line["frequency"], np.maximum(line, 1e-12), color=colour, ls=dash, lw=width, label=name)
    top = max(ax.get_ylim()[1], 1e-9)
    ax.set_ylim(max(ax.get_ylim()[0], top * 1e-7), top)
    ax.legend(fontsize=7, frameon=False, loc="lower right")
    some = next(iter(spectra.values()))["power"]
    return tidy(ax, x="frequency (Hz)", y=f"power ({some.attrs['units']})")


def orbit(orbits: dict[str, xr.Dataset], *, ax: Axes, window: tuple[float, float] | None = None) -> Axes:
    """Draw orbits in the plane of two rates (from `analysis.orbit`), one line per source."""
    styles = {"network": ("0.55", 0.7), "limit": ("#D55E00", 1.6)}
    for name, dataset in orbits.items():
        rate = dataset["rate"]
        rate = rate.isel(realisation=0) if "realisation" in rate.dims else rate
        rate = rate.sel(time=slice(*window)) if window else rate
        colour, width = styles.get(name, ("#0072B2", 1.0))
        ax.plot(rate.isel(population=0), rate.isel(population=1), color=colour, lw=width, label=name)
    labels = next(iter(orbits.values()))["population"].values
    ax.legend(fontsize=7, frameon=False)
    return tidy(ax, x=f"rate of {labels[0]} (Hz)", y=f"rate of {labels[1]} (Hz)")


def panels(network: xr.Dataset, limit: xr.Dataset, finite: xr.Dataset | None, report: xr.Dataset | None) -> Figure:
    """Make the page of a spiking run: raster, rates with a band, spectra, orbit, distance."""
    from largen import analysis

    first, last = (float(network["time"].values[k]) for k in (0, -1))
    window = (first, min(first + SHOWN, last))
    late = (max(first, last - SHOWN), last)
    figure = page(3, 2, height=9.5)
    grid = figure.add_gridspec(3, 2)
    if "spike_time" in network:
        wide = figure.add_subplot(grid[0, :])
        raster(network, ax=wide, window=window).set_title("raster of one realisation", loc="left", fontsize=10)
    smooth = analysis.orbit(network), analysis.orbit(limit), analysis.orbit(finite) if finite is not None else None
    rates = figure.add_subplot(grid[1, :])
    bands(smooth[0], smooth[1], "rate", finite=smooth[2], ax=rates, window=window)
    rates.set(xlim=window, ylim=(0, None))
    rates.set_title("rates: mean over realisations", loc="left", fontsize=10)
    sources = {"network": network, "limit": limit} | ({"theory at this n": finite} if finite is not None else {})
    below = grid[2, :].subgridspec(1, 3 if report is not None else 2)
    spectra = {name: analysis.power_spectrum(dataset) for name, dataset in sources.items()}
    spectrum(spectra, ax=figure.add_subplot(below[0, 0])).set_title("power spectrum of e", loc="left", fontsize=10)
    if network.sizes["population"] > 1:
        orbits = {"network": smooth[0], "limit": smooth[1]}
        orbit(orbits, ax=figure.add_subplot(below[0, 1]), window=late).set_title("orbit", loc="left", fontsize=10)
    if report is not None:
        distance(report, ax=figure.add_subplot(below[0, 2])).set_title("distance", loc="left", fontsize=10)
    return figure
