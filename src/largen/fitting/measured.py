"""What a fit aims at: observables of a Dataset or a dict, with their standard errors, as one vector."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.checks import SAMPLES, InputError, known_keys, require, shown
from largen.comparison.report import after_layer
from largen.datasets import component_labels
from largen.statistics.labels import ordered
from largen.system import AbstractSystem, FitData

FEWEST = 3
"""Fewest realisations from which errors are estimated."""


def measure(system: AbstractSystem, dataset: xr.Dataset, names: Iterable[str] | None = None) -> FitData:
    """Take the observables that a fit may use out of a network's or a limit's Dataset.

    Args:
        system: The model.
        dataset: What `simulate` or `solve_limit` returned.
        names: Observables; all that are there if None.
    """
    sampled = "realisation" in dataset.dims
    if sampled:
        count = dataset.sizes["realisation"]
        remedy = "Simulate more, or give a dict of values with standard errors."
        require(count >= FEWEST, "target", f"have at least {FEWEST} realisations, for its errors", count, remedy)
    own = system.fit_data(dataset)
    if own is not None:
        return own
    found = {str(name): v for name, v in dataset.data_vars.items() if "time" in v.dims and "neuron" not in v.dims}
    chosen = found if names is None else {name: found[name] for name in names if name in found}
    if not sampled:
        return FitData({name: v.values.astype(float) for name, v in chosen.items()}, None)
    samples = {
        name: v.transpose("realisation", ...).values.astype(float)
        for name, v in chosen.items()
        if "realisation" in v.dims
    }
    return FitData({name: rows.mean(0) for name, rows in samples.items()}, samples)


def in_order(system: AbstractSystem, target: xr.Dataset) -> xr.Dataset:
    """A target with its populations, lags and dims in the order in which the model's limit has them.

    Raises:
        InputError: A population or a lag was selected away.
    """
    target = ordered(target, system.populations, "target")
    if "lag" in target.indexes:
        target = target.sortby("lag")
        lags = target["lag"].values.tolist()
        require(lags == list(range(len(lags))), "target", "have all lags from 0 on", lags)
    dims = {o.name: ("realisation", *o.dims) for o in system.observables if o.name in target and "time" in o.dims}
    turned = {name: target[name].transpose(*order, missing_dims="ignore") for name, order in dims.items()}
    return target.assign(turned)


# Targets ------------------------------------------------------------------------------------------------------


class Data(NamedTuple):
    """A target as one vector.

    Attributes:
        labels: What each datum is, such as `mean[e] at 0.5`.
        index: Which entries of each observable, flattened, in order of the observables' names.
        value: Values, shape (datum,).
        error: Standard errors, shape (datum,), or None where the target has none.
        samples: Values for each realisation, shape (realisation, datum), or None.
    """

    labels: tuple[str, ...]
    index: dict[str, np.ndarray]
    value: np.ndarray
    error: np.ndarray | None
    samples: np.ndarray | None

    def take(self, measured: FitData) -> np.ndarray:
        """The same entries of other observables: of each realisation, shape (realisation, datum)."""
        source = measured.samples or {name: value[None] for name, value in measured.values.items()}
        return np.concatenate([source[n].reshape(len(source[n]), -1)[:, i] for n, i in self.index.items()], axis=1)


def from_dataset(
    limit: xr.Dataset, target: xr.Dataset, measured: FitData, names: tuple[str, ...], asked: tuple[str, ...] | None
) -> Data:
    """Turn a target Dataset into a vector.

    Args:
        limit: The limit of the starting model at the same times (for the boundary layer).
        target: The target.
        measured: What `measure` found in it.
        names: Observables that the theory has.
        asked: Observables or components wanted, or None for all.
    """
    _require_present(measured, asked)
    there = {name: value for name, value in measured.values.items() if name in names and name not in measured.absent}
    require(there, "target", f"have one of the observables {', '.join(names)}", list(measured.values))
    series = any(_in_time(name, value.shape, target) for name, value in there.items())
    late = np.ones(target.sizes["time"], bool)
    if target.attrs.get("kind") in SAMPLES and series:
        late = after_layer(target, limit)
    index, labels = {}, []
    chosen = _chosen(target, there, asked)
    for name in sorted(chosen):
        keep = chosen[name].copy()
        words = _labels(name, there[name].shape, target)
        if _in_time(name, there[name].shape, target):
            own = [dim for dim in target[name].dims if dim != "realisation"]
            keep &= _on(late, own.index("time"), there[name].shape)
            if "time_" in own:
                keep &= _on(late, own.index("time_"), there[name].shape)
                keep &= _lower(own, there[name].shape)
        index[name] = np.flatnonzero(keep)
        labels += [words[k] for k in index[name]]
    data = Data(tuple(labels), index, np.empty(0), None, None)
    rows = data.take(measured)
    if measured.samples is None:
        return data._replace(value=rows[0])
    value = data.take(FitData(measured.values, None))[0]
    error = rows.std(0, ddof=1) / np.sqrt(len(rows))
    return _without_certain(data._replace(value=value, error=error, samples=rows))


def _require_present(measured: FitData, asked: tuple[str, ...] | None) -> None:
    """Refuse an observable that was asked for by name and that the target does not have."""
    for name in asked or ():
        if name in measured.absent:
            raise InputError(f"Argument `observables` must leave out `{name}`: {measured.absent[name]}")


def _without_certain(data: Data) -> Data:
    """Leave out data without any error: they are the model's initial values, not measurements."""
    assert data.error is not None
    kept = data.error > 1e-12 * np.maximum(np.abs(data.value), data.error.max())
    if kept.all():
        return data
    require(kept.any(), "target", "have observables that vary over realisations", "none")
    index, start = {}, 0
    for name, entries in data.index.items():
        index[name] = entries[kept[start : start + len(entries)]]
        start += len(entries)
    labels = tuple(word for word, keep in zip(data.labels, kept, strict=True) if keep)
    assert data.samples is not None
    return Data(labels, index, data.value[kept], data.error[kept], data.samples[:, kept])


def from_mapping(limit: xr.Dataset, target: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> Data:
    """Turn a dict of values, or of (value, standard error), into a vector.

    Args:
        limit: The limit of the starting model at the target's times.
        target: Values by observable (`mean`, in its own shape) or component (`rate[e]`).
        shapes: Shape of each observable of the theory.
    """
    require(len(target) > 0, "target", "hold at least one observable", target)
    words = {name: _labels(name, shape, limit) for name, shape in shapes.items()}
    components = {name: _components(name, shape, limit) for name, shape in shapes.items()}
    known_keys("observable", target, [*shapes, *(c for names in components.values() for c in names)])
    collected: dict[str, dict[int, tuple[float, float]]] = {}
    for key, entry in target.items():
        value, error = entry if isinstance(entry, tuple) and len(entry) == 2 else (entry, None)
        name = key.split("[")[0]
        entries = np.arange(int(np.prod(shapes[name])))
        if key != name:
            per = len(entries) // len(components[name])
            entries = entries[components[name].index(key) * per :][:per]
        try:
            values = np.asarray(value, float).reshape(-1)
            errors = np.full(len(values), np.nan) if error is None else np.asarray(error, float).reshape(-1)
        except (TypeError, ValueError) as wrong:
            raise InputError(
                f"Target `{key}` must be numbers, or (numbers, standard errors): {shown(entry)}."
            ) from wrong
        errors = np.broadcast_to(errors, values.shape) if errors.size == 1 else errors
        if values.shape != entries.shape or errors.shape != values.shape:
            shape = shapes[name] if key == name else (len(entries),)
            raise InputError(
                f"Target `{key}` must have shape {shape} like the limit's at these times, but has {np.shape(value)}."
            )
        good = np.isfinite(values).all() and (error is None or (np.isfinite(errors) & (errors > 0)).all())
        require(good, f"target[{key!r}]", "hold finite values and positive errors", entry)
        collected.setdefault(name, {}).update({int(k): (v, e) for k, v, e in zip(entries, values, errors, strict=True)})
    index = {name: np.array(sorted(collected[name])) for name in sorted(collected)}
    pairs = np.array([collected[name][k] for name in index for k in index[name].tolist()])
    labels = tuple(words[name][k] for name in index for k in index[name])
    missing = np.isnan(pairs[:, 1])
    require(missing.all() or not missing.any(), "target", "give a standard error to each value or to none", target)
    return Data(labels, index, pairs[:, 0], None if missing.all() else pairs[:, 1], None)


def _chosen(dataset: xr.Dataset, there: Mapping[str, np.ndarray], asked: tuple[str, ...] | None) -> dict[str, Any]:
    """Mask of the wanted entries of each observable, flattened."""
    if asked is None:
        return {name: np.ones(value.size, bool) for name, value in there.items()}
    components = {name: _components(name, value.shape, dataset) for name, value in there.items()}
    known_keys("observable", asked, [*there, *(c for names in components.values() for c in names)])
    masks: dict[str, np.ndarray] = {}
    for key in asked:
        name = key.split("[")[0]
        mask = masks.setdefault(name, np.zeros(there[name].size, bool))
        per = mask.size // len(components[name])
        first = 0 if key == name else components[name].index(key) * per
        mask[first : mask.size if key == name else first + per] = True
    return masks


def _in_time(name: str, shape: tuple[int, ...], dataset: xr.Dataset) -> bool:
    """Whether data of this shape are an observable at the Dataset's times, and not a statistic of it."""
    if name not in dataset or "time" not in dataset[name].dims:
        return False
    sizes = dataset[name].sizes
    return shape == tuple(sizes[dim] for dim in dataset[name].dims if dim != "realisation")


def _components(name: str, shape: tuple[int, ...], dataset: xr.Dataset) -> list[str]:
    """Names of an observable's components: `mean[e]`, `covariance[0]`, `gamma_frequency`."""
    if _in_time(name, shape, dataset):
        return component_labels(dataset[name])
    if len(shape) == 1:
        return [f"{name}[{label}]" for label in dataset["population"].values.tolist()]
    return [name]


def _labels(name: str, shape: tuple[int, ...], dataset: xr.Dataset) -> list[str]:
    """A word for each entry of an observable, flattened."""
    components = _components(name, shape, dataset)
    per = int(np.prod(shape)) // len(components)
    if per == 1:
        return components
    times = [f"{t:g}" for t in dataset["time"].values]
    if per == len(times) ** 2:
        times = [f"({s}, {t})" for s in times for t in times]
    return [f"{component} at {time}" for component in components for time in times]


def _on(mask: np.ndarray, axis: int, shape: tuple[int, ...]) -> np.ndarray:
    spread = np.expand_dims(mask, [k for k in range(len(shape)) if k != axis])
    return np.broadcast_to(spread, shape).reshape(-1)


def _lower(dims: Sequence[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Entries with time_ <= time: the others are the same numbers again."""
    grid = np.indices(shape)
    return (grid[dims.index("time_")] <= grid[dims.index("time")]).reshape(-1)
