"""The pictures that a system declares, drawn into Matplotlib axes: one function a kind."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from largen.checks import dataset
from largen.plot import covariance, space, spikes
from largen.plot.common import EXCITATORY, axis_label, bands, colours, distance, tidy
from largen.statistics.events import orbit
from largen.statistics.spectra import power_spectrum
from largen.system import pictures
from largen.system.pictures import Picture


class Run(NamedTuple):
    """What a figure of a run is about.

    Attributes:
        network: What `simulate` returned.
        limit: What `solve_limit` returned.
        finite: The limit equations at the network's n, or None.
        report: What `compare` returned, or None.
    """

    network: xr.Dataset
    limit: xr.Dataset
    finite: xr.Dataset | None
    report: xr.Dataset | None


def drawable(picture: Picture, run: Run) -> bool:
    """Whether a figure knows this kind of picture, and the run has what it shows."""
    return type(picture) in _KINDS and _KINDS[type(picture)][0](picture, run)


def panel(picture: Picture, run: Run, ax: Axes) -> None:
    """Draw one picture."""
    _KINDS[type(picture)][1](picture, run, ax)


def _series(picture: pictures.Series, run: Run, ax: Axes) -> None:
    network, limit, finite = (_smoothed(one, picture.smoothing) for one in run[:3])
    name, time = picture.observable, network["time"].values
    window = (float(time[0]), min(float(run.network["time"][0]) + picture.shown, float(time[-1])))
    if "population" in network[name].dims:
        bands(network, limit, name, finite=finite, ax=ax, window=window)
        ax.set(xlim=window)
        if picture.smoothing:  # a rate
            ax.set_ylim(0, None)
        title = picture.title or axis_label(limit[name])
        ax.set_title(title, loc="left", fontsize=10)
        return
    _check(run, name, "time")
    of_all(network[name], limit[name], ax)


def _check(run: Run, name: str, *dims: str) -> None:
    """Check that network and limit have an observable over these dims."""
    for role, one in (("network", run.network), ("limit", run.limit)):
        dataset(role, one, arrays={name: dims})


def of_all(network: xr.DataArray, limit: xr.DataArray, ax: Axes) -> None:
    """Draw an observable of all neurons together."""
    middle = network.mean("realisation")
    if network.sizes["realisation"] > 1:
        error = 2 * network.std("realisation", ddof=1) / np.sqrt(network.sizes["realisation"])
        label = "network (2 s.e.)"
        ax.fill_between(network["time"], middle - error, middle + error, color="0.6", alpha=0.5, lw=0, label=label)
    else:
        ax.plot(network["time"], middle, color="0.6", label="network")
    ax.plot(limit["time"], limit, color=EXCITATORY[0], label="limit")
    ax.legend(fontsize=7, frameon=False)
    tidy(ax, title=axis_label(limit), x="time")


def _smoothed(dataset: xr.Dataset | None, smoothing: float) -> Any:
    return orbit(dataset, smoothing=smoothing) if dataset is not None and smoothing else dataset


def _raster(picture: pictures.Raster, run: Run, ax: Axes) -> None:
    first, last = (float(run.network["time"].values[k]) for k in (0, -1))
    spikes.raster(run.network, ax=ax, window=(first, min(first + picture.shown, last)))
    ax.set_title("raster of one realisation", loc="left", fontsize=10)


def _spectrum(picture: pictures.Spectrum, run: Run, ax: Axes) -> None:
    found = {name: power_spectrum(dataset) for name, dataset in _sources(run).items()}
    spikes.spectrum(found, ax=ax)
    first = run.network["population"].values[0]
    ax.set_title(f"power spectrum of {first}", loc="left", fontsize=10)


def _sources(run: Run) -> dict[str, xr.Dataset]:
    finite = {} if run.finite is None else {"theory at this n": run.finite}
    return {"network": run.network, "limit": run.limit} | finite


def _orbit(picture: pictures.Orbit, run: Run, ax: Axes) -> None:
    first, last = (float(run.network["time"].values[k]) for k in (0, -1))
    found = {"network": _smoothed(run.network, picture.smoothing), "limit": _smoothed(run.limit, picture.smoothing)}
    window = (max(first, last - picture.shown), last)
    spikes.orbit(found, picture.observable, ax=ax, window=window).set_title("orbit", loc="left", fontsize=10)


def _surface(picture: pictures.Surface, run: Run, ax: Axes) -> None:
    _check(run, picture.observable, "lag", "time", "time_")
    theory, found = (one[picture.observable] for one in (run.limit, run.network))
    covariance.one_surface(theory, found, picture.source, picture.lag, ax=ax)


def _against_lag(picture: pictures.AgainstLag, run: Run, ax: Axes) -> None:
    covariance.against_lag(run.network, run.limit, ax=ax)


def _curves(picture: pictures.Curves, run: Run, ax: Axes) -> None:
    network = picture.of(run.network.isel(realisation=0))
    limit = picture.of(run.limit)
    palette = colours(list(limit))
    for label, colour in palette.items():
        if label in network:
            ax.plot(*network[label], color=colour, lw=0.8, alpha=0.6, label=f"{label} network")
        ax.plot(*limit[label], color=colour, lw=1.4, label=f"{label} limit")
    ax.legend(fontsize=7, frameon=False)
    tidy(ax, title=picture.title, x=picture.x, y=picture.y)


def _activity_map(picture: pictures.ActivityMap, run: Run, ax: Axes) -> None:
    whole = _source(picture, run)
    times = whole["time"].values
    late = whole.isel(time=slice(int(np.searchsorted(times, times[-1] - picture.shown)), None))
    space.activity_map(late, ax=ax, quantity=picture.observable)
    of = "theory at this n" if picture.source == "finite" else picture.source
    ax.set_title(f"{whole['population'].values[0]}, {of}", loc="left", fontsize=10)


def _source(picture: pictures.ActivityMap, run: Run) -> Any:
    return {"network": run.network, "limit": run.limit, "finite": run.finite}[picture.source]


def _has_map(picture: pictures.ActivityMap, run: Run) -> bool:
    of = _source(picture, run)
    return of is not None and picture.observable in of and "patch" in of[picture.observable].dims


def _distance(picture: pictures.Distance, run: Run, ax: Axes) -> None:
    assert run.report is not None
    distance(run.report, ax=ax).set_title("distance", loc="left", fontsize=10)


def _has(run: Run, *names: str) -> bool:
    return all(name in one for name in names for one in (run.network, run.limit))


_KINDS: dict[type, tuple[Callable[[Any, Run], bool], Callable[[Any, Run, Axes], None]]] = {
    pictures.Series: (lambda picture, run: _has(run, picture.observable), _series),
    pictures.Raster: (lambda picture, run: "spike_time" in run.network, _raster),
    pictures.Spectrum: (lambda picture, run: _has(run, "rate"), _spectrum),
    pictures.Orbit: (
        lambda picture, run: _has(run, picture.observable) and run.network.sizes.get("population", 0) > 1,
        _orbit,
    ),
    pictures.Surface: (
        lambda picture, run: _has(run, picture.observable) and picture.lag in run.limit["lag"],
        _surface,
    ),
    pictures.AgainstLag: (lambda picture, run: _has(run, picture.whole), _against_lag),
    pictures.Curves: (lambda picture, run: bool(picture.of(run.limit)), _curves),
    pictures.ActivityMap: (_has_map, _activity_map),
    pictures.Distance: (lambda picture, run: run.report is not None, _distance),
}
"""By kind: whether the run has what the picture shows, and how it is drawn."""
