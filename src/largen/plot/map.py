"""Pictures of sweeps: an observable against one or two parameters, with special points and the points that failed."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from largen.checks import InputError, known_keys
from largen.checks import dataset as checked
from largen.plot.common import EXCITATORY, INHIBITORY, axis_label, colours, tidy


def map(
    dataset: xr.Dataset,
    name: str | None = None,
    *,
    ax: Axes,
    special: Any = None,
    curves: Mapping[str, Any] | None = None,
    **select: Any,
) -> Axes:
    """Draw a sweep: lines with error bands against one parameter, colours over two.

    Points that failed or are missing are crosses; a limit lost on the way is a ring.

    Args:
        dataset: What `sweep` returned.
        name: Variable to draw; None for the first.
        ax: Where to draw.
        special: Special points on the (first) parameter's axis: what `analysis.follow` returned for that parameter,
            or (kind, value) pairs.
        curves: Lines to lay over a map of two parameters: by name, an array (point, 2) of values of the two.
        select: Entries of other dims, such as `population="e"`; a line for each entry of one dim that is left.
    """
    checked("dataset", dataset, variables=("status",), remedy="Pass what sweep(...) returned.")
    numbers = [str(key) for key, variable in dataset.data_vars.items() if variable.dtype.kind == "f"]
    if not numbers:
        raise InputError("The sweep has no numbers to draw yet: see its `status` and `message`.")
    name = name or numbers[0]
    known_keys("variable of the sweep", [name], numbers)
    sel = {key: value for key, value in select.items() if key in dataset[name].dims}
    known_keys("dimension", select, [str(dim) for dim in dataset[name].dims])
    part = dataset[[key for key in (name, f"{name}_se", "status") if key in dataset]].sel(sel)
    over = [str(dim) for dim in dataset["status"].dims]
    if over == ["point"]:
        over = _scatter(part, name, ax)
        _mark(_pairs(special, over[0]), ax)
        _lay(curves, ax)
        return tidy(ax, x=_label(part, over[0]), y=_label(part, over[1]) if over[1:] else axis_label(part[name]))
    if len(over) == 1:
        _lines(part, name, over[0], ax)
        _mark(_pairs(special, over[0]), ax)
        return tidy(ax, x=_label(dataset, over[0]), y=axis_label(dataset[name]))
    if len(over) > 2:
        raise InputError(f"A map has one or two parameters, but this sweep has {', '.join(over)}: select some.")
    _colours(part, name, over, ax)
    _mark(_pairs(special, over[0]), ax)
    _lay(curves, ax)
    return tidy(ax, x=_label(dataset, over[0]), y=_label(dataset, over[1]))


def _label(dataset: xr.Dataset, name: str) -> str:
    unit = dataset[name].attrs.get("units", "")
    return f"{name} ({unit})" if unit and unit != "1" else name


def _lines(part: xr.Dataset, name: str, over: str, ax: Axes) -> None:
    """A line for each entry of the one other dim, a band of two standard errors, marks where there is no value."""
    rest = [str(dim) for dim in part[name].dims if dim != over]
    if len(rest) > 1:
        raise InputError(f"Variable `{name}` has the dims {', '.join(rest)} too: choose entries of all but one.")
    x = part[over].values
    words = [str(word) for word in part[rest[0]].values] if rest else [""]
    palette = colours(words) if rest == ["population"] else {}
    cycle, markers = [hue for pair in zip(EXCITATORY, INHIBITORY, strict=True) for hue in pair], "osD^vP"
    for k, word in enumerate(words):
        row = part.isel({rest[0]: k}) if rest else part
        colour = palette.get(word, cycle[k % len(cycle)])
        ax.plot(x, row[name].values, color=colour, marker=markers[k % len(markers)], ms=3, lw=1.2, label=word or None)
        if f"{name}_se" in part:
            low, high = (row[name] + sign * 2 * row[f"{name}_se"] for sign in (-1, 1))
            ax.fill_between(x, low, high, color=colour, alpha=0.3, lw=0)
    if rest:
        ax.legend(fontsize=7, frameon=False)
    bottom = ax.get_ylim()[0]
    for mark, chosen in _without_value(part):
        if chosen.any():
            ax.plot(x[chosen], np.full(int(chosen.sum()), bottom), ls="", color="0.4", clip_on=False, **mark)


def _without_value(part: xr.Dataset) -> list[tuple[dict[str, Any], np.ndarray]]:
    status = part["status"].values
    cross: dict[str, Any] = {"marker": "x", "ms": 4}
    ring: dict[str, Any] = {"marker": "o", "ms": 4, "mfc": "none"}
    return [(cross, np.isin(status, ("failed", "missing"))), (ring, status == "stopped")]


def _colours(part: xr.Dataset, name: str, over: list[str], ax: Axes) -> None:
    part = _first(part, name, over, ax).transpose(*over)
    x, y = (part[dim].values for dim in over)
    if any(axis.dtype.kind not in "fi" for axis in (x, y)):
        raise InputError("A map of two parameters needs numbers on both axes: select one entry of the other.")
    order = np.argsort(x), np.argsort(y)
    values = part[name].values[np.ix_(*order)]
    image = ax.pcolormesh(x[order[0]], y[order[1]], values.T, cmap="viridis", shading="nearest")
    assert ax.figure is not None
    ax.figure.colorbar(image, ax=ax, shrink=0.9, label=axis_label(part[name]))
    for mark, chosen in _without_value(part):
        where = np.nonzero(chosen)
        ax.plot(x[where[0]], y[where[1]], ls="", color="0.4", **mark)


def _first(part: xr.Dataset, name: str, over: list[str], ax: Axes) -> xr.Dataset:
    """The first entry of each dim that is left, which the title then names."""
    entry = {str(dim): part[dim].values[0] for dim in part[name].dims if dim not in over}
    if entry:
        ax.set_title(", ".join(str(value) for value in entry.values()), loc="left", fontsize=10)
    return part.sel(entry)


def _scatter(part: xr.Dataset, name: str, ax: Axes) -> list[str]:
    """Points of a sample in the plane of its first two parameters, or against its one; the names of these."""
    names = [str(key) for key in part.coords if part[key].dims == ("point",) and key not in ("point", "seed")]
    part = _first(part, name, ["point"], ax)
    if len(names) == 1:
        ax.plot(part[names[0]], part[name], ls="", marker=".", color=EXCITATORY[0])
        return names
    image = ax.scatter(part[names[0]], part[names[1]], c=part[name], s=14, cmap="viridis", plotnonfinite=False)
    assert ax.figure is not None
    ax.figure.colorbar(image, ax=ax, shrink=0.9, label=axis_label(part[name]))
    for mark, chosen in _without_value(part):
        ax.plot(part[names[0]].values[chosen], part[names[1]].values[chosen], ls="", color="0.4", **mark)
    return names[:2]


def _lay(curves: Mapping[str, Any] | None, ax: Axes) -> None:
    """Lay lines over a map."""
    for label, curve in (curves or {}).items():
        line = np.asarray(curve, dtype=float)
        ax.plot(line[:, 0], line[:, 1], color="black", lw=1.2, label=label)
        ax.legend(fontsize=7, frameon=False)


def _pairs(special: Any, parameter: str) -> list[tuple[str, float]]:
    """Kinds and values of special points, from `follow`'s Dataset or as given."""
    if special is None:
        return []
    if isinstance(special, xr.Dataset):
        mine = str(special.attrs.get("parameter", parameter))
        if mine != parameter:
            raise InputError(f"The special points are those of `{mine}`, but the sweep is over `{parameter}`.")
        if "special_kind" not in special:
            raise InputError("Argument `special` must be what `analysis.follow` returned, or (kind, value) pairs.")
        kinds, values = special["special_kind"].values, special["special_parameter"].values
        return [(str(kind), float(value)) for kind, value in zip(kinds, values, strict=True)]
    pairs: Iterable[Any] = special.items() if isinstance(special, Mapping) else special
    return [(str(kind), float(value)) for kind, value in pairs]


def _mark(pairs: list[tuple[str, float]], ax: Axes) -> None:
    """Mark special points by a vertical line with their kind."""
    for kind, value in pairs:
        ax.axvline(value, color="0.3", lw=0.8, ls="--")
        ax.annotate(
            kind,
            (value, 1.0),
            xycoords=("data", "axes fraction"),
            rotation=90,
            fontsize=7,
            ha="right",
            va="top",
            color="0.3",
        )
