"""Pictures that every system shares: observables with bands, the distance, convergence."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from largen.checks import dataset, require
from largen.system.colours import EXCITATORY as EXCITATORY
from largen.system.colours import INHIBITORY as INHIBITORY
from largen.system.colours import STYLES as STYLES
from largen.system.colours import colours as colours
from largen.system.colours import line_styles as line_styles


def page(rows: int, columns: int, *, width: float = 11.0, height: float | None = None) -> Figure:
    """Make an empty figure that belongs to no window and no global state."""
    return Figure(figsize=(width, height or 2.6 * rows), layout="constrained")


def figure_of(draw: Callable[..., Axes], *datasets: xr.Dataset, **options: Any) -> Figure:
    """Return a figure with one drawing in it."""
    figure = page(1, 1, width=6.0, height=4.0)
    draw(*datasets, ax=figure.subplots(), **options)
    return figure


def tidy(ax: Axes, *, title: str = "", x: str = "", y: str = "") -> Axes:
    """Label axes and drop the frame's upper and right sides."""
    ax.spines[["top", "right"]].set_visible(False)
    if title:
        ax.set_title(title, loc="left", fontsize=10)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    return ax


def axis_label(variable: xr.DataArray) -> str:
    """Long name with unit."""
    unit = variable.attrs.get("units", "")
    name = str(variable.attrs.get("long_name", variable.name))
    return f"{name} ({unit})" if unit and unit != "1" else name


_OF = {name: f"Pass what {name}(...) returned." for name in ("compare", "convergence")}


def bands(
    network: xr.Dataset,
    limit: xr.Dataset,
    name: str,
    *,
    finite: xr.Dataset | None = None,
    ax: Axes,
    window: tuple[float, float] | None = None,
    most: int = 4,
) -> Axes:
    """Draw an observable of network and limit against time.

    The shaded band holds the mean over realisations plus and minus two standard errors (the path itself where
    there is one realisation); the line is the limit, the dotted line its equations at the network's n.

    Args:
        network: What `simulate` returned.
        limit: What `solve_limit` returned.
        name: Observable with dims (population, time).
        finite: The limit equations at the network's n.
        ax: Where to draw.
        window: First and last time to show.
        most: Populations to show.
    """
    for role, run in (("network", network), ("limit", limit), ("finite", finite)):
        if run is not None:
            dataset(role, run, arrays={name: ("population", "time")})
    labels = [str(label) for label in network["population"].values[:most]]
    for role, run in (("limit", limit), ("finite", finite)):
        if run is not None:
            there = [str(label) for label in run["population"].values]
            require(set(labels) <= set(there), role, f"have the network's populations {', '.join(labels)}", there)
    palette, styles = colours(labels), line_styles(labels)
    for label in labels:
        _band(ax, _part(network, name, label, window), palette[label])
        line = _part(limit, name, label, window)
        ax.plot(line["time"], _mean(line), color=palette[label], ls=styles[label], lw=1.4, label=f"{label} limit")
        if finite is not None:
            dotted = _part(finite, name, label, window)
            ax.plot(dotted["time"], _mean(dotted), color="black", lw=0.8, ls=":", label=f"{label} at this n")
    ax.plot([], [], color="0.6", lw=6, alpha=0.5, label="network (2 s.e.)")
    ax.legend(fontsize=7, ncols=2 * len(labels) + 1, frameon=False, loc="lower right", bbox_to_anchor=(1, 1))
    return tidy(ax, x=axis_label(network["time"]), y=axis_label(network[name]))


def _part(dataset: xr.Dataset, name: str, label: str, window: tuple[float, float] | None) -> xr.DataArray:
    part = dataset[name].sel(population=label)
    return part.sel(time=slice(*window)) if window else part


def _mean(part: xr.DataArray) -> xr.DataArray:
    return part.mean("realisation") if "realisation" in part.dims else part


def _band(ax: Axes, part: xr.DataArray, colour: str) -> None:
    middle = _mean(part)
    if part.sizes.get("realisation", 1) > 1:
        error = part.std("realisation", ddof=1) / np.sqrt(part.sizes["realisation"])
        ax.fill_between(part["time"], middle - 2 * error, middle + 2 * error, color=colour, alpha=0.35, lw=0)
    else:
        ax.plot(part["time"], middle, color=colour, alpha=0.4, lw=0.8)


def distance(report: xr.Dataset, *, ax: Axes, most: int = 24) -> Axes:
    """Draw the difference of every row in tolerances, with its 95 % interval; within the band it is tolerated.

    Filled: against the limit; open: against the theory at the network's size. A row's label stands at its right, so
    that the picture can be read without colours. The rows farthest off are shown where there are more than `most`.
    """
    needed = ("difference", "ci_low", "ci_high", "scale", "tolerance")
    dataset("report", report, numbers=needed, remedy=_OF["compare"])
    if report.sizes["component"] == 0:
        ax.text(0.5, 0.5, report.attrs["headline"], ha="center", transform=ax.transAxes, fontsize=8)
        return tidy(ax)
    tolerance = (report["scale"] * report["tolerance"]).values
    size = np.abs(report["difference"].values) / tolerance
    chosen = np.sort(np.argsort(-size, kind="stable")[:most])
    part, tolerance = report.isel(component=chosen), tolerance[chosen]
    rows = np.arange(len(chosen))
    both = "finite_difference" in part
    ax.axvspan(-1, 1, color="0.9", lw=0, label="tolerance")
    ax.axvline(0, color="0.6", lw=0.8)
    _intervals(ax, part, "", tolerance, rows - (0.14 if both else 0.0), "black", "black", str(report.attrs["other"]))
    if both:
        name = f"theory of {report.attrs['n']:g} neurons"
        _intervals(ax, part, "finite_", tolerance, rows + 0.14, "0.45", "white", name)
    ax.set_yticks(rows, [_named(part.isel(component=k)) for k in rows], fontsize=7)
    for row, label, cause in zip(rows, part["label"].values.tolist(), part["cause"].values.tolist(), strict=True):
        text = (cause or label).removesuffix(" tolerance")
        ax.annotate(text, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=6)
    edge = max(2.0, min(float(np.nanmax(size[chosen])) * 1.3, 50.0))
    ax.set_xlim(-edge, edge)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.legend(fontsize=7, frameon=False, loc="lower right", ncols=3, bbox_to_anchor=(1, 1))
    return tidy(ax, x="network minus theory, in tolerances (95 % interval)")


def _named(row: xr.Dataset) -> str:
    return f"{row['component'].item()} ({100 * float(row['tolerance']):.3g} %)"


def _intervals(
    ax: Axes, part: xr.Dataset, prefix: str, tolerance: np.ndarray, at: np.ndarray, colour: str, face: str, name: str
) -> None:
    """Differences in tolerances with their intervals, one a row."""
    middle = part[f"{prefix}difference"].values / tolerance
    half = (part[f"{prefix}ci_high"] - part[f"{prefix}ci_low"]).values / 2 / tolerance
    ax.errorbar(middle, at, xerr=np.nan_to_num(half), fmt="o", ms=3.5, lw=1.0, color=colour, mfc=face, label=name)


def convergence(study: xr.Dataset, *, observable: str | None = None, ax: Axes) -> Axes:
    """Draw how networks approach their limit as they grow.

    With an infinite limit, on logarithmic axes: distances of single networks (dots), their mean with its 95 % interval
    and the power law where there is one; open marks are the biases of the components. Without one: the differences of
    the components at each n with their intervals, the band being the tolerance.

    Args:
        study: What `convergence` returned.
        observable: Which observable; None is the first.
        ax: Where to draw.
    """
    numbers = ("difference", "scale", "ci_low", "ci_high", "tolerance")
    dataset("study", study, numbers=numbers, dims=("n",), remedy=_OF["convergence"])
    name = str(study.attrs["observable"]) if observable is None else observable
    rows = [str(row) for row in study["component"].values if str(row).partition("[")[0] == name]
    require(bool(rows), "observable", "be one that was compared", observable)
    draw = _power_law if "distance" in study else _differences
    draw(study, name, rows, ax)
    ax.set_xscale("log")
    ax.set_xticks(study["n"].values, [f"{n:g}" for n in study["n"].values])
    ax.set_xticks([], minor=True)
    ax.legend(frameon=False, fontsize=8)
    return ax


def _power_law(study: xr.Dataset, name: str, rows: list[str], ax: Axes) -> None:
    one, n = study.sel(observable=name), study["n"].values.astype(float)
    single = one["network_distance"].values
    ax.plot(np.repeat(n[:, None], single.shape[1], axis=1).ravel(), single.ravel(), ".", color="0.8", ms=2, zorder=0)
    centre, low, high = (one[key].values for key in ("distance", "distance_low", "distance_high"))
    ax.errorbar(n, centre, yerr=[centre - low, high - centre], fmt="o", color="black", label="one network")
    slope, p = one["distance_exponent"].item(), one["distance_lack_of_fit"].item()
    if np.isfinite(slope) and not p < 0.05:
        interval = f"[{one['distance_exponent_low'].item():.2f}, {one['distance_exponent_high'].item():.2f}]"
        level = np.exp(np.mean(np.log(centre) + slope * np.log(n)))
        ax.plot(n, level * n**-slope, color=EXCITATORY[0], label=f"n^-{slope:.2f} {interval}")
    for row, mark, colour in zip(rows, _MARKS * len(rows), _WHEEL * len(rows), strict=False):
        part = study.sel(component=row)
        share = np.abs((part["difference"] / part["scale"]).values)
        error = (part["standard_error"] / part["scale"]).values
        lower = share - np.maximum(share - 2 * error, share / 20)
        ax.errorbar(
            n, share, yerr=[lower, 2 * error], fmt=mark, ls=":", lw=0.8, color=colour, mfc="white",
            label=f"mean of networks, {row}",
        )  # fmt: skip
    ax.set_yscale("log")
    tidy(ax, x="number of neurons n", y=f"{name}: distance from the limit / scale")


def _differences(study: xr.Dataset, name: str, rows: list[str], ax: Axes) -> None:
    n = study["n"].values.astype(float)
    tolerance = 100 * float(study["tolerance"].sel(component=rows[0]).max())
    ax.axhspan(-tolerance, tolerance, color="0.92", label=f"tolerance {tolerance:g} %")
    for row, mark, colour in zip(rows, _MARKS * len(rows), _WHEEL * len(rows), strict=False):
        part = 100 * study.sel(component=row)[["difference", "ci_low", "ci_high"]] / study["scale"].sel(component=row)
        value = part["difference"].values
        ends = [value - part["ci_low"].values, part["ci_high"].values - value]
        ax.errorbar(n, value, yerr=ends, fmt=mark, ls=":", lw=0.8, color=colour, mfc="white", label=row)
    tidy(ax, x="number of neurons n", y="network minus limit (% of its scale)")


_MARKS = ("s", "^", "D", "v")
_WHEEL = (INHIBITORY[0], EXCITATORY[1], EXCITATORY[2], INHIBITORY[2])
