"""What a sweep keeps of a run: time means and other reductions of observables, statistics, a user's own functions."""

import enum
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.checks import InputError, known_keys, nearest, shown
from largen.sweeps.store import Variable
from largen.system import AbstractSystem, Observable
from largen.system.values import COMPLETED

REDUCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda data: data.mean(-1),
    "sd": lambda data: data.std(-1),
    "min": lambda data: data.min(-1),
    "max": lambda data: data.max(-1),
    "last": lambda data: data[..., -1],
}
_WORDS = {"mean": "time mean", "sd": "standard deviation over time", "min": "least", "max": "greatest", "last": "last"}


class Source(enum.StrEnum):
    """Where a kept number comes from; the words stand in stores."""

    OBSERVABLE = "observable"
    STATISTIC = "statistic"
    FUNCTION = "function"


class Wanted(NamedTuple):
    """One thing to keep.

    Attributes:
        name: Name of the variable in the result.
        source: Observable, statistic or `module:function`.
        kind: Where it comes from.
        reduction: A key of `REDUCTIONS`, or "series" for the whole time course.
    """

    name: str
    source: str
    kind: Source
    reduction: str = ""


def choose(system: AbstractSystem, given: Any) -> tuple[Wanted, ...]:
    """Read the `observables` argument.

    Args:
        system: The model.
        given: None (the time mean of every standard observable), or names: `rate` (its time mean), `rate.last`,
            `rate.max`, `rate.min`, `rate.sd`, `rate.series`; a statistic of `analysis`, such as `synchrony`; or an
            importable function of a Dataset, itself or as `module:name`.
    """
    offered = [o.name for o in system.observables if "time" in o.dims]
    if given is None:
        return tuple(Wanted(o.name, o.name, Source.OBSERVABLE, "mean") for o in _standard(system))
    entries = [given] if isinstance(given, str) or callable(given) else list(given)
    chosen = [_one(entry, offered, statistics_of(system)) for entry in entries]
    names = [wanted.name for wanted in chosen]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"Argument `observables` must name everything once, but has `{name}` twice.")
    return tuple(chosen)


def _standard(system: AbstractSystem) -> list[Observable]:
    return [o for o in system.observables if "time" in o.dims and not o.on_request]


def statistics_of(system: AbstractSystem) -> tuple[str, ...]:
    """Statistics that the system offers beyond its observables."""
    return system.statistic_names()


def _one(entry: Any, offered: Sequence[str], statistics: Sequence[str]) -> Wanted:
    if callable(entry):
        where = f"{getattr(entry, '__module__', '?')}:{getattr(entry, '__qualname__', '?')}"
        if where.startswith("__main__") or "<" in where or function_at(where) is not entry:
            raise InputError(
                f"Argument `observables` must name importable functions, but has {where}. Put it into a module."
            )
        entry = where
    if not isinstance(entry, str):
        raise InputError(f"Argument `observables` must hold names, but has {shown(entry)}.")
    if ":" in entry:
        function_at(entry)
        return Wanted(entry.rsplit(":", 1)[1], entry, Source.FUNCTION)
    source, _, reduction = entry.partition(".")
    if source in offered:
        known_keys("reduction", [reduction or "mean"], [*REDUCTIONS, "series"])
        name = source if reduction in ("", "mean") else f"{source}_{reduction}"
        return Wanted(name, source, Source.OBSERVABLE, reduction or "mean")
    if source in statistics and not reduction:
        return Wanted(source, source, Source.STATISTIC)
    valid = [*offered, *statistics]
    raise InputError(f"Unknown observable `{entry}`.{nearest(source, valid)} Valid: {', '.join(valid)}.")


def function_at(where: str) -> Callable[[xr.Dataset], Any]:
    """Import a user's function `module:name`."""
    module, _, name = where.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"Observable `{where}` must be an importable function, but is not: {error}.") from error
    if not callable(found):
        raise InputError(f"Observable `{where}` must be a function, but is {shown(found)}.")
    return found


def reduced(observable: Observable, data: np.ndarray, times: np.ndarray, start: float, wanted: Wanted) -> Variable:
    """Reduce one observable without realisations over the times from `start` on.

    An observable of two times is taken at equal times, except as a series.
    """
    attrs = {"units": observable.unit, "long_name": observable.long_name}
    if wanted.reduction == "series":
        return Variable(observable.dims, data, attrs)
    dims = observable.dims
    if "time_" in dims:
        data = np.diagonal(data, axis1=dims.index("time"), axis2=dims.index("time_"))
        dims = (*(d for d in dims if d not in ("time", "time_")), "time")
    if dims[-1] != "time":
        data = np.moveaxis(data, dims.index("time"), -1)
    data = data[..., times.searchsorted(start) :]
    if data.shape[-1] == 0:
        raise InputError(f"`{observable.name}` has no values from the time {start:g} on: give a smaller `start`.")
    attrs["long_name"] = f"{_WORDS[wanted.reduction]}: {observable.long_name}"
    return Variable(tuple(d for d in dims if d != "time"), REDUCTIONS[wanted.reduction](data), attrs)


def over_realisations(parts: Sequence[Variable], name: str) -> dict[str, Variable]:
    """Mean over realisations and, from two on, its standard error in `<name>_se`."""
    data = np.stack([part.data for part in parts])
    found = {name: parts[0]._replace(data=data.mean(0))}
    if len(parts) > 1:
        attrs = {**parts[0].attrs, "long_name": f"standard error: {parts[0].attrs['long_name']}"}
        found[f"{name}_se"] = Variable(parts[0].dims, data.std(0, ddof=1) / np.sqrt(len(parts)), attrs)
    return found


def of_dataset(
    dataset: xr.Dataset, system: AbstractSystem, wanted: Sequence[Wanted], start: float
) -> tuple[dict[str, Variable], str]:
    """What is kept of a labelled run, and a remark."""
    found: dict[str, Variable] = {}
    observables = {o.name: o for o in system.observables}
    remark = ""
    summary = None
    for want in wanted:
        if want.kind == Source.OBSERVABLE:
            if want.source not in dataset:
                continue
            data, times = dataset[want.source], dataset["time"].values
            rows = data.values if "realisation" in data.dims else data.values[None]
            parts = [reduced(observables[want.source], row, times, start, want) for row in rows]
            found |= over_realisations(parts, want.name)
        elif want.kind == Source.STATISTIC:
            if summary is None:
                summary = system.statistics(dataset, start=start)
                status = str(summary.attrs.get("status", COMPLETED))
                remark = "" if status == COMPLETED else status
            for name in (want.source, f"{want.source}_se"):
                if name in summary:
                    found[name] = _variable(summary[name])
        else:
            found |= _own(function_at(want.source)(dataset), want)
    return found, remark


def _variable(array: xr.DataArray) -> Variable:
    attrs = {key: str(array.attrs[key]) for key in ("units", "long_name") if key in array.attrs}
    return Variable(tuple(map(str, array.dims)), np.asarray(array.values, dtype=np.float64), attrs)


def _own(value: Any, want: Wanted) -> dict[str, Variable]:
    """What a user's function returned: a number, a DataArray, a Dataset or a mapping of these."""
    if isinstance(value, xr.Dataset):
        value = {f"{want.name}_{name}": part for name, part in value.data_vars.items()}
    elif not isinstance(value, Mapping):
        value = {want.name: value}
    found = {}
    for name, part in value.items():
        try:
            array = part if isinstance(part, xr.DataArray) else xr.DataArray(np.asarray(part, dtype=np.float64))
            found[str(name)] = _variable(array)
        except (TypeError, ValueError) as error:
            raise InputError(f"Observable `{want.source}` must return numbers, but gave {shown(part)}.") from error
        if not isinstance(part, xr.DataArray) and array.ndim:
            raise InputError(f"Observable `{want.source}` must return a number or a DataArray with named dims.")
    return found


def coords_of(dataset: xr.Dataset, variables: Mapping[str, Variable]) -> dict[str, Variable]:
    """The Dataset's own coordinates of the dims that are kept."""
    dims = {dim for variable in variables.values() for dim in variable.dims}
    found = {}
    for dim in sorted(dims & set(map(str, dataset.coords))):
        array = dataset[dim]
        data = np.asarray(array.values)
        data = data.astype(np.str_) if data.dtype.kind not in "fib" else data
        attrs = {key: str(array.attrs[key]) for key in ("units", "long_name") if key in array.attrs}
        found[dim] = Variable((dim,), data, attrs)
    return found
