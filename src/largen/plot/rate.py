"""Pictures of the rate system: covariance surfaces over two times, and correlation against lag."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from largen.plot.common import axis_label, distance, page, tidy


def surface(covariance: xr.DataArray, *, ax: Axes, title: str = "", scale: float | None = None) -> Axes:
    """Draw a covariance over (time, time_); realisations are averaged, a signed scale is symmetric about 0."""
    data = covariance.mean("realisation") if "realisation" in covariance.dims else covariance
    top = float(np.abs(data).max()) if scale is None else scale
    data = data.transpose("time_", "time")
    image = ax.pcolormesh(data["time"], data["time_"], data, cmap="RdBu_r", vmin=-top, vmax=top)
    assert ax.figure is not None
    ax.figure.colorbar(image, ax=ax, shrink=0.9)
    ax.set_aspect("equal")
    tidy(ax, title=title, x="time s", y="time t")
    return ax


def against_lag(network: xr.Dataset, limit: xr.Dataset, *, ax: Axes) -> Axes:
    """Draw the covariance at the last time against the lag: all of it, and the part frozen by the weights."""
    for name, colour, word in (("covariance", "black", "all"), ("frozen_covariance", "#0072B2", "frozen")):
        if name not in limit:
            continue
        theory = limit[name].isel(time=-1, time_=-1)
        ax.plot(theory["lag"], theory, color=colour, marker="_", ms=12, ls="-", lw=0.8, label=f"limit, {word}")
        if name in network:
            last = network[name].isel(time=-1, time_=-1)
            error = last.std("realisation", ddof=1) / np.sqrt(max(last.sizes["realisation"], 2))
            ax.errorbar(
                last["lag"],
                last.mean("realisation"),
                yerr=2 * error,
                fmt="o",
                color=colour,
                mfc="white",
                label=f"network, {word}",
            )
    ax.set_xticks(limit["lag"].values)
    ax.legend(fontsize=7, frameon=False)
    return tidy(ax, title="at the last time, against the lag", x="lag on the ring", y="covariance")


def panels(network: xr.Dataset, limit: xr.Dataset, finite: xr.Dataset | None, report: xr.Dataset | None) -> Figure:
    """Make the page of a rate run: covariance over (s, t) of a neuron and of two neighbours, mean, lags, distance."""
    lags = limit["lag"].values[:2]
    figure = page(len(lags) + 1, 3, height=3.2 * (len(lags) + 1))
    axes = figure.subplots(len(lags) + 1, 3)
    for row, lag in enumerate(lags):
        theory, found = limit["covariance"].sel(lag=lag), network["covariance"].sel(lag=lag)
        top = float(np.abs(theory).max())
        who = "one neuron" if lag == 0 else f"two neurons at lag {lag}"
        surface(theory, ax=axes[row, 0], title=f"limit: {who}", scale=top)
        surface(found, ax=axes[row, 1], title=f"network: {who}", scale=top)
        surface(found.mean("realisation") - theory, ax=axes[row, 2], title="difference")
    ax = axes[-1, 0]
    mean = network["mean"]
    error = mean.std("realisation", ddof=1) / np.sqrt(max(mean.sizes["realisation"], 2))
    middle = mean.mean("realisation")
    ax.fill_between(
        mean["time"], middle - 2 * error, middle + 2 * error, color="0.6", alpha=0.5, lw=0, label="network (2 s.e.)"
    )
    ax.plot(limit["time"], limit["mean"], color="#D55E00", label="limit")
    ax.legend(fontsize=7, frameon=False)
    tidy(ax, title=axis_label(limit["mean"]), x="time")
    against_lag(network, limit, ax=axes[-1, 1])
    if report is not None:
        distance(report, ax=axes[-1, 2])
    else:
        axes[-1, 2].set_axis_off()
    return figure
