"""Pictures of the rate system: covariance surfaces, correlation against lag, the fixed point, the chaotic variance."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from largen.checks import InputError, dataset, require
from largen.plot.common import axis_label, page, tidy

SOURCES = ("limit", "network", "difference")
_PART_COLOURS = {"all": "black", "frozen": "#0072B2", "dynamic": "#D55E00"}
_PART_STYLES = {"all": ("-", "o"), "frozen": ("--", "s"), "dynamic": ("-.", "D")}
"""Line of the limit, marker of the network."""
_COVARIANCE = {"covariance": ("lag", "time", "time_")}
_FROZEN = {"frozen_covariance": ("lag", "time", "time_")}


def surface(covariance: xr.DataArray, *, ax: Axes, title: str = "", scale: float | None = None) -> Axes:
    """Draw a covariance over (time, time_); realisations are averaged, a signed scale is symmetric about 0."""
    data = _middle(covariance)
    top = float(np.abs(data).max()) if scale is None else scale
    data = data.transpose("time_", "time")
    image = ax.pcolormesh(data["time"], data["time_"], data, cmap="RdBu_r", vmin=-top, vmax=top)
    assert ax.figure is not None
    ax.figure.colorbar(image, ax=ax, shrink=0.9)
    ax.set_box_aspect(1.0)
    tidy(ax, title=title, x="time s", y="time t")
    return ax


def _middle(part: xr.DataArray) -> xr.DataArray:
    return part.mean("realisation") if "realisation" in part.dims else part


def covariance_surfaces(network: xr.Dataset, limit: xr.Dataset, *, lags: tuple[int, ...] = (0, 1)) -> Figure:
    """Make the seed paper's Figure 1: covariance over (s, t), one row a lag; limit, network, difference."""
    for name, run in (("network", network), ("limit", limit)):
        dataset(name, run, arrays=_COVARIANCE)
    figure = page(len(lags), 3, height=3.2 * len(lags))
    _surfaces(network, limit, lags, figure.subplots(len(lags), 3, squeeze=False))
    return figure


def _surfaces(network: xr.Dataset, limit: xr.Dataset, lags: tuple[int, ...], axes: np.ndarray) -> None:
    for row, lag in zip(axes, lags, strict=True):
        for ax, source in zip(row, SOURCES, strict=True):
            one_surface(limit["covariance"], network["covariance"], source, lag, ax=ax)


def one_surface(limit: xr.DataArray, network: xr.DataArray, source: str, lag: int, *, ax: Axes) -> Axes:
    """Draw a covariance of limit, network or their difference at one lag, the first two on one scale."""
    for name, run in (("limit", limit), ("network", network)):
        require(lag in run["lag"].values, name, f"have the lag {lag}", run["lag"].values)
    theory, found = limit.sel(lag=lag), network.sel(lag=lag)
    if source == "difference":
        return surface(_middle(found) - theory, ax=ax, title="network - limit")
    top = float(np.abs(theory).max()) or float(np.abs(_middle(found)).max())
    who = "one neuron" if lag == 0 else f"lag {lag}"
    return surface(theory if source == "limit" else found, ax=ax, title=f"{source}: {who}", scale=top)


def against_lag(network: xr.Dataset, limit: xr.Dataset, *, ax: Axes) -> Axes:
    """Draw the covariance at the last time against the lag: all, its frozen and its dynamic part.

    Lines are the limit, points the network with two standard errors.
    """
    for name, run in (("network", network), ("limit", limit)):
        frozen = _FROZEN if "frozen_covariance" in getattr(run, "variables", ()) else {}
        dataset(name, run, arrays=_COVARIANCE | frozen)
    theory, found = _parts(limit), _parts(network)
    for name, colour in _PART_COLOURS.items():
        if name not in theory:
            continue
        line, marker = _PART_STYLES[name]
        drawn = {"color": colour, "ls": line, "lw": 0.8, "marker": "_", "ms": 12}
        ax.plot(theory[name]["lag"], theory[name], label=f"limit, {name}", **drawn)
        if name in found:
            last = found[name]
            error = 2 * last.std("realisation", ddof=1) / np.sqrt(last.sizes["realisation"]) if len(last) > 1 else None
            ax.errorbar(
                last["lag"],
                last.mean("realisation"),
                yerr=error,
                fmt=marker,
                color=colour,
                mfc="white",
                label=f"network, {name}",
            )
    ax.set_xticks(limit["lag"].values)
    ax.legend(fontsize=7, frameon=False)
    return tidy(ax, title="at the last time, against the lag", x="lag on the ring", y="covariance")


def _parts(dataset: xr.Dataset) -> dict[str, xr.DataArray]:
    """Covariance at the last time: all of it and, where the frozen part is known, both parts."""
    last = {
        name: dataset[name].isel(time=-1, time_=-1) for name in ("covariance", "frozen_covariance") if name in dataset
    }
    parts = {"all": last["covariance"]}
    if "frozen_covariance" in last:
        parts |= {"frozen": last["frozen_covariance"], "dynamic": last["covariance"] - last["frozen_covariance"]}
    return parts


def correlation_against_lag(theory: xr.Dataset, *, network: xr.Dataset | None = None, ax: Axes) -> Axes:
    """Draw what `analysis.correlation_against_lag` returned: of a limit as lines, of a network as points."""
    remedy = "Pass what analysis.correlation_against_lag(...) returned."
    names = {"correlation": "all", "frozen": "frozen", "dynamic": "dynamic"}
    for role, one in (("theory", theory), ("network", network)):
        if one is not None:
            dataset(role, one, arrays=dict.fromkeys(names, ("lag",)), remedy=remedy)
    for name, word in names.items():
        line, marker = _PART_STYLES[word]
        drawn = {"color": _PART_COLOURS[word], "ls": line, "lw": 0.8, "marker": "_", "ms": 12}
        ax.plot(theory["lag"], theory[name], label=f"limit, {word}", **drawn)
        if network is not None:
            error = 2 * network[f"{name}_se"] if f"{name}_se" in network else None
            ax.errorbar(
                network["lag"],
                network[name],
                yerr=error,
                fmt=marker,
                color=_PART_COLOURS[word],
                mfc="white",
                label=f"network, {word}",
            )
    ax.axhline(0.0, color="0.7", lw=0.8)
    ax.set_xticks(theory["lag"].values)
    ax.legend(fontsize=7, frameon=False)
    return tidy(ax, title="two neurons, against their lag", x="lag on the ring", y="correlation")


def fixed_point(limit: xr.Dataset, *, ax: Axes) -> Axes:
    """Draw the change of the law in every sweep of the paper's iteration, `solve_limit(..., method="fixed_point")`."""
    dataset("limit", limit)
    if "sweep_changes" not in limit.attrs:
        raise InputError('Argument `limit` must come from solve_limit(..., method="fixed_point").')
    changes = np.atleast_1d(limit.attrs["sweep_changes"]).astype(float)
    shown = changes > 0
    sweeps = np.arange(1, len(changes) + 1)
    ax.semilogy(sweeps[shown], changes[shown], color="black", marker="o", ms=3, lw=0.8)
    return tidy(ax, title="convergence of the fixed point", x="sweep", y="largest change of the law")


def chaotic_variance(curve: xr.Dataset, *, ax: Axes) -> Axes:
    """Draw Delta_0 against g, what `analysis.chaotic_variance` returned, with the transition at g = 1."""
    remedy = "Pass what analysis.chaotic_variance(...) returned."
    dataset("curve", curve, arrays=dict.fromkeys(("gain", "variance"), ("gain",)), remedy=remedy)
    ax.plot(curve["gain"], curve["variance"], color="black")
    ax.axvline(1.0, color="0.6", lw=0.8, ls=":")
    return tidy(ax, title="chaos of independent weights", x=axis_label(curve["gain"]), y=axis_label(curve["variance"]))
