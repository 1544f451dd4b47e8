"""Bifurcation diagrams: branches, orbits, special points, and the finite network beside them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from largen.checks import InputError, dataset, known_keys, one_of
from largen.numerics.continuation.kinds import SpecialKind
from largen.plot.common import axis_label, colours, tidy
from largen.statistics.labels import population_labels

MARKERS = {
    SpecialKind.FOLD: "o",
    SpecialKind.BRANCH_POINT: "D",
    SpecialKind.HOPF: "s",
    SpecialKind.PERIOD_DOUBLING: "^",
    SpecialKind.NEIMARK_SACKER: "P",
    SpecialKind.FOLD_OF_CYCLES: "o",
    SpecialKind.TORUS: "P",
    SpecialKind.MANIFOLD_FOLD: "v",
    SpecialKind.BALANCE_LOST: "<",
    SpecialKind.UNCLASSIFIED: "x",
    SpecialKind.NOT_SMOOTH: "x",
}
"""Matplotlib's markers of special points; those of cycles are open."""

_NEEDED = ("parameter", "on_branch", "stable")
_REMEDY = "Pass what analysis.follow(...) returned."


def bifurcation(
    diagram: xr.Dataset,
    name: str | None = None,
    *,
    ax: Axes,
    component: str | int = 0,
    networks: Mapping[float, xr.Dataset] | None = None,
    start: float | None = None,
) -> Axes:
    """Draw what `analysis.follow` found, one observable of one component against the parameter.

    Solid lines are stable, dashed ones unstable; a periodic orbit is drawn by its mean (line) and by its lowest and
    highest values (thin lines, with the range shaded where it is stable). Networks stand at their parameter values:
    the mean (dot), a histogram over time and realisations (grey), and the heights of the peaks (ticks).

    Args:
        diagram: What `follow` returned.
        name: Observable; by default `rate`, else the first.
        ax: Where to draw.
        component: Label or index of the population or component.
        networks: What `simulate` returned, by value of the parameter, with the observable, shape (realisation,
            population, time).
        start: Time before which networks are left out (their unit); by default the first fifth.

    Raises:
        InputError: The observable or the component is unknown, or a network lacks the observable.
    """
    dataset("diagram", diagram, numbers=_NEEDED, dims=("point", "branch"), remedy=_REMEDY)
    names = [str(key) for key in diagram.data_vars if f"{key}_low" in diagram]
    name = ("rate" if "rate" in names else names[0]) if name is None else name
    known_keys("observable of the diagram", [name], names)
    variable = diagram[name]
    dim = str(variable.dims[1])
    labels = [str(label) for label in diagram[dim].values]
    if isinstance(component, str):
        known_keys(dim, [component], labels)
        component = labels.index(component)
    palette = colours(labels)
    colour = palette[labels[component]]
    for branch in range(diagram.sizes["branch"]):
        rows = np.flatnonzero(diagram["on_branch"].values == branch)
        if len(rows):
            _branch(diagram.isel({"point": rows, dim: component}), name, ax, colour)
    for value, network in (networks or {}).items():
        _network(network, name, labels[component], float(value), diagram, ax, start)
    _special(diagram.isel({dim: component}), name, ax)
    label = axis_label(diagram["parameter"])
    return tidy(ax, x=label, y=f"{axis_label(variable)}, {labels[component]}")


def _branch(part: xr.Dataset, name: str, ax: Axes, colour: str) -> None:
    """One branch, cut where its stability changes."""
    p, stable = part["parameter"].values, part["stable"].values
    cuts = np.flatnonzero(np.diff(stable.astype(int))) + 1
    oscillates = np.any(np.isfinite(part["period"].values))
    for piece in np.split(np.arange(len(p)), cuts):
        chosen = np.arange(piece[0], min(piece[-1] + 2, len(p)))
        solid = bool(stable[piece[0]])
        style: dict[str, Any] = {"color": colour, "ls": "-" if solid else "--"}
        ax.plot(p[chosen], part[name].values[chosen], lw=1.6 if solid else 1.0, **style)
        if oscillates:
            low, high = part[f"{name}_low"].values[chosen], part[f"{name}_high"].values[chosen]
            ax.plot(p[chosen], low, lw=0.7, **style)
            ax.plot(p[chosen], high, lw=0.7, **style)
            if solid and np.all(np.diff(p[chosen]) > 0) | np.all(np.diff(p[chosen]) < 0):
                ax.fill_between(p[chosen], low, high, color=colour, alpha=0.08, lw=0)


def _special(part: xr.Dataset, name: str, ax: Axes) -> None:
    """Special points, one entry of the legend per kind."""
    seen: set[SpecialKind] = set()
    for k, value in enumerate(part["special_kind"].values.tolist()):
        kind = SpecialKind(value)
        ax.plot(
            part["special_parameter"].values[k],
            part[name].values[int(part["special_point"].values[k])],
            MARKERS[kind],
            color="black",
            mfc="white" if kind in (SpecialKind.FOLD_OF_CYCLES, SpecialKind.TORUS) else "black",
            ms=5,
            label=None if kind in seen else value.replace("_", " "),
            zorder=5,
        )
        seen.add(kind)
    if seen:
        ax.legend(frameon=False, fontsize=7)


def _network(
    network: xr.Dataset, name: str, label: str, at: float, diagram: xr.Dataset, ax: Axes, start: float | None
) -> None:
    """Mean, histogram and heights of the peaks of a network at one parameter value."""
    if name not in network:
        raise InputError(f"Argument `networks` must hold the observable `{name}`, but one has {list(network)}.")
    one_of("component", label, population_labels(network))
    part = network[name].sel(population=label) if "population" in network[name].dims else network[name]
    time = part["time"].values
    first = time[0] + 0.2 * (time[-1] - time[0]) if start is None else start
    values = np.atleast_2d(part.sel(time=slice(first, None)).values)
    counts, edges = np.histogram(values.ravel(), bins=40)
    reach = diagram["parameter"].values
    width = 0.05 * float(np.ptp(reach)) / max(int(counts.max()), 1)
    middles = 0.5 * (edges[1:] + edges[:-1])
    ax.fill_betweenx(middles, at, at + width * counts, color="0.6", alpha=0.5, lw=0, step="mid")
    inner = values[:, 1:-1]
    peaks = inner[(inner > values[:, :-2]) & (inner >= values[:, 2:]) & (inner > values.mean() + values.std())]
    ax.plot(np.full(len(peaks), at), peaks, "_", color="0.3", ms=4, alpha=0.3)
    ax.plot(at, values.mean(), "o", color="black", ms=3.5, mfc="0.9", zorder=6)


def diagram_page(diagram: xr.Dataset, *, title: str = "") -> Any:
    """A figure with one observable of every component, one under the other."""
    dataset("diagram", diagram, numbers=_NEEDED, dims=("point", "branch"), remedy=_REMEDY)
    from largen.plot.common import page

    names = [str(key) for key in diagram.data_vars if f"{key}_low" in diagram]
    name = "rate" if "rate" in names else names[0]
    labels = [str(label) for label in diagram[diagram[name].dims[1]].values][:4]
    figure = page(len(labels), 1, width=7.0, height=3.2 * len(labels))
    for ax, label in zip(np.atleast_1d(figure.subplots(len(labels), 1)), labels, strict=True):
        bifurcation(diagram, name, ax=ax, component=label)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure
