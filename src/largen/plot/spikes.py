"""Pictures of spikes and rates: rasters, spectra, orbits in the plane of two populations."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from largen.checks import dataset, integer, one_of, require
from largen.plot.common import axis_label, colours, tidy
from largen.statistics.labels import dims_with_population, population_labels, spikes_of


def raster(
    network: xr.Dataset,
    *,
    ax: Axes,
    realisation: int | None = None,
    window: tuple[float, float] | None = None,
    most: int = 400,
    order: str | None = None,
) -> Axes:
    """Draw the spikes of one realisation, populations stacked, at most `most` neurons in proportion to size.

    On a ring or sheet neurons are ordered by the place of their patch, and those that are shown are spread evenly over
    it; elsewhere they are the first of each population.

    Args:
        network: What `simulate(..., record="spikes")` returned, or a selection of it.
        ax: Where to draw.
        realisation: Label of the realisation; the Dataset's first if None.
        window: First and last time to show.
        most: Neurons to show.
        order: "x" or "y", the axis of a ring or sheet along which neurons are ordered (on a sheet then along the
            other), or "number"; None for "x" where there is one.

    Raises:
        InputError: No spikes were recorded, there is no such realisation, or no such axis.
    """
    spikes = spikes_of(network)
    shown_run = (
        spikes.realisations[0] if realisation is None else one_of("realisation", realisation, spikes.realisations)
    )
    most = integer("most", most, low=1)
    here = spikes.run == shown_run
    times, owner, neuron = spikes.time[here], spikes.population[here], spikes.neuron[here]
    labels = spikes.populations
    palette = colours(labels)
    ranks = _ranks(network, spikes.sizes, order)
    sizes = [int(neuron[owner == k].max(initial=0)) + 1 for k in range(len(labels))]
    if ranks:
        sizes = [len(ranks[label]) for label in labels]
    base, ticks = 0, []
    for k, label in enumerate(labels):
        shown = max(1, min(sizes[k], round(most * sizes[k] / sum(sizes))))
        mine = owner == k
        if window:
            mine &= (times >= window[0]) & (times <= window[1])
        at, row = times[mine], neuron[mine].astype(np.int64)
        if ranks:  # every size/shown-th neuron
            ahead = ranks[label][row] * shown
            row = np.where(ahead % sizes[k] < shown, ahead // sizes[k], shown)
        seen = row < shown
        ax.plot(at[seen], base + row[seen], ls="", marker=".", ms=1.2, color=palette[label], rasterized=True)
        ticks.append(base + shown / 2)
        base += shown
    ax.set_yticks(ticks, labels)
    ax.set_ylim(0, base)
    if window:
        ax.set_xlim(*window)
    return tidy(ax, x=axis_label(network["time"]), y=f"neurons, by {order or 'x'}" if ranks else "neurons")


def _ranks(network: xr.Dataset, sizes: np.ndarray, order: str | None) -> dict[str, np.ndarray]:
    """Place of every neuron among those of its population, by the coordinates of its patch; empty by number.

    The neurons of a population are numbered patch by patch.

    Args:
        network: The network.
        sizes: Neurons of its populations, shape (population,).
        order: As of `raster`.
    """
    axes = [axis for axis in ("x", "y") if axis in network.coords and "patch" in network[axis].dims]
    if order is not None:
        one_of("order", order, ("number", *axes))
    if order == "number" or not axes or "patch_size" not in network.coords:
        return {}
    table = np.atleast_2d(network["patch_size"].transpose(..., "patch").values)
    if np.any(table.sum(1) != sizes):
        require(order is None, "network", "hold every patch, for an order", network.sizes["patch"])
        return {}
    first = order or axes[0]
    keys = [network[axis].values for axis in axes if axis != first]
    path = np.lexsort((*keys, network[first].values))
    found = {}
    for label, counts in zip(np.atleast_1d(network["population"].values), table, strict=True):
        ahead = np.empty(len(counts), np.int64)
        ahead[path] = np.cumsum(counts[path]) - counts[path]
        found[str(label)] = np.arange(int(counts.sum())) + np.repeat(ahead - (np.cumsum(counts) - counts), counts)
    return found


def spectrum(
    spectra: dict[str, xr.Dataset], *, ax: Axes, population: str | None = None, highest: float = 200.0
) -> Axes:
    """Draw power spectra of the rate (from `analysis.power_spectrum`), one line per source."""
    for name, one in spectra.items():
        remedy = "Pass what analysis.power_spectrum(...) returned."
        over = dims_with_population(one, "power", "frequency")
        dataset(f"spectra[{name}]", one, variables=("frequency",), arrays={"power": over}, remedy=remedy)
    styles = {"network": ("black", "-", 1.4), "limit": ("#D55E00", "-", 1.2), "theory at this n": ("0.5", "--", 1.2)}
    first = population_labels(next(iter(spectra.values())))[0]
    for name, one in spectra.items():
        label = one_of("population", population or first, population_labels(one))
        line = one["power"].sel(population=label) if "population" in one["power"].dims else one["power"]
        line = line.sel(frequency=slice(1.0, highest))
        line = line.mean("realisation") if "realisation" in line.dims else line
        colour, dash, width = styles.get(name, ("0.3", ":", 1.0))
        ax.semilogy(line["frequency"], np.maximum(line, 1e-12), color=colour, ls=dash, lw=width, label=name)
    top = max(ax.get_ylim()[1], 1e-9)
    ax.set_ylim(max(ax.get_ylim()[0], top * 1e-7), top)
    ax.legend(fontsize=7, frameon=False, loc="lower right")
    some = next(iter(spectra.values()))["power"]
    return tidy(ax, x="frequency (Hz)", y=f"power ({some.attrs['units']})")


def orbit(
    orbits: dict[str, xr.Dataset],
    observable: str = "rate",
    *,
    ax: Axes,
    window: tuple[float, float] | None = None,
) -> Axes:
    """Draw orbits in the plane of the first two populations, one line per source.

    Args:
        orbits: Datasets by source: of rates from `analysis.orbit`, else what `simulate` or `solve_limit` returned.
        observable: Observable with the dims (population, time).
        ax: Where to draw.
        window: First and last time to show.
    """
    for name, one in orbits.items():
        dataset(f"orbits[{name}]", one, arrays={observable: ("population", "time")})
    styles = {"network": ("0.55", 0.7), "limit": ("#D55E00", 1.6)}
    two = _first_two(orbits)
    for name, one in orbits.items():
        path = one[observable].sel(population=two)
        path = path.isel(realisation=0) if "realisation" in path.dims else path
        path = path.sel(time=slice(*window)) if window else path
        colour, width = styles.get(name, ("#0072B2", 1.0))
        ax.plot(path.isel(population=0), path.isel(population=1), color=colour, lw=width, label=name)
    first = next(iter(orbits.values()))
    unit = first[observable].attrs.get("units", "")
    unit = f" ({unit})" if unit and unit != "1" else ""
    ax.legend(fontsize=7, frameon=False)
    return tidy(ax, x=f"{observable} of {two[0]}{unit}", y=f"{observable} of {two[1]}{unit}")


def _first_two(orbits: dict[str, xr.Dataset]) -> list[str]:
    """Labels of the first two populations of the first source, which all sources must have."""
    named = {name: population_labels(dataset) for name, dataset in orbits.items()}
    two = next(iter(named.values()))[:2]
    for name, labels in named.items():
        good = len(two) == 2 and set(two) <= set(labels)
        require(good, "orbits", f"have two populations in common with the first, but {name!r} has", labels)
    return two
