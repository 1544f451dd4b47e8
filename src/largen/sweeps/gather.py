"""From task files to one labelled Dataset, and that Dataset to zarr or netCDF: whole or not at all."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from largen.checks import InputError
from largen.io.folders import kept_aside
from largen.io.results import load, save
from largen.sweeps.points import Table
from largen.sweeps.store import Block, Status, Store, Variable
from largen.sweeps.tasks import Task
from largen.system import AbstractSystem


def gather(
    model: AbstractSystem,
    table: Table,
    blocks: Iterable[tuple[Task, Block | None, str]],
    seeds: np.ndarray | None,
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """Put all tasks together.

    Args:
        model: The base model.
        table: The points.
        blocks: Each task with what it found, or None and why it is missing.
        seeds: Seeds of the points' networks, shape (point,), or None.
        attrs: Attributes.

    Returns:
        Dataset with the sweep's dims (a grid's parameters, or `point`), a coordinate for every parameter, `status`
        and `message` for every point; NaN where a point has no value, and its status says why.
    """
    count = len(table)
    statuses = [Status.COMPLETED] * count
    messages: list[dict[str, list[str]]] = [{} for _ in range(count)]  # message -> the kinds of tasks that gave it
    columns: dict[str, tuple[Variable, np.ndarray]] = {}
    coords: dict[str, Variable] = {}
    for task, block, why in blocks:
        if block is None:
            block = Block((Status.MISSING,) * len(task.points), (why,) * len(task.points), {}, {})
        for k, status, message in zip(task.points, block.status, block.message, strict=True):
            statuses[k] = max(statuses[k], status, key=lambda one: one.rank)
            if message:
                messages[k].setdefault(message, []).append(task.kind)
        places = {name: _placed(coords, name, coord) for name, coord in block.coords.items()}
        for name, variable in block.variables.items():
            _fill(columns, name, variable, task.points, count, places)
    variables: dict[str, Any] = {}
    for name, (variable, data) in sorted(columns.items()):
        data = _padded(data, [len(coords[dim].data) if dim in coords else 0 for dim in variable.dims])
        data = data.astype(np.str_) if data.dtype == object else data
        variables[name] = (
            (*table.dims, *variable.dims),
            data.reshape(*table.shape, *data.shape[1:]),
            dict(variable.attrs),
        )
    texts = [" ".join(f"{', '.join(kinds)}: {text}" for text, kinds in found.items()) for found in messages]
    variables["status"] = (
        table.dims,
        np.array([s.value for s in statuses]).reshape(table.shape),
        {"long_name": "status"},
    )
    variables["message"] = (table.dims, np.array(texts, dtype=np.str_).reshape(table.shape), {"long_name": "message"})
    return xr.Dataset(variables, _coords(model, table, coords, seeds), dict(attrs))


def _placed(coords: dict[str, Variable], name: str, coord: Variable) -> np.ndarray:
    """Enter one task's coordinate among the known ones; where its entries stand in the whole, shape (entry,).

    Labels are found by their words, for a point may lack some (as a network without rhythm lacks events), and numbers
    by their position.
    """
    known = coords.get(name)
    if known is None or (coord.data.dtype.kind != "U" and len(coord.data) > len(known.data)):
        coords[name] = known = coord
    if coord.data.dtype.kind != "U":
        return np.arange(len(coord.data))
    words = known.data.tolist()
    new = [word for word in coord.data.tolist() if word not in words]
    if new:
        words += new
        coords[name] = known._replace(data=np.array(words, dtype=np.str_))
    return np.array([words.index(word) for word in coord.data.tolist()], dtype=int)


def _fill(
    columns: dict[str, tuple[Variable, np.ndarray]],
    name: str,
    part: Variable,
    points: tuple[int, ...],
    count: int,
    places: Mapping[str, np.ndarray],
) -> None:
    """Enter one task's array where its labels stand; what a point lacks is NaN."""
    at = [places.get(dim, np.arange(size))[:size] for dim, size in zip(part.dims, part.data.shape[1:], strict=True)]
    shape = tuple(int(place.max(initial=-1)) + 1 for place in at)
    words = part.data.dtype.kind == "U"
    if name not in columns:
        empty = np.full((count, *shape), "" if words else np.nan, dtype=object if words else np.float64)
        columns[name] = part, empty
    known, data = columns[name]
    if known.dims != part.dims:
        raise InputError(
            f"Observable `{name}` must have the same dims at every point, but has {known.dims}, {part.dims}."
        )
    data = _padded(data, shape)
    columns[name] = known, data
    data[np.ix_(list(points), *(place.tolist() for place in at))] = part.data


def _padded(data: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The array with its dims after the first at least as large as `shape`: NaN, or no words, in what is new."""
    larger = np.maximum(shape, data.shape[1:]).astype(int)
    if tuple(larger) == data.shape[1:]:
        return data
    more = np.full((len(data), *larger), "" if data.dtype == object else np.nan, dtype=data.dtype)
    more[tuple(slice(size) for size in data.shape)] = data
    return more


def _coords(
    model: AbstractSystem, table: Table, coords: Mapping[str, Variable], seeds: np.ndarray | None
) -> dict[str, Any]:
    made: dict[str, Any] = {name: (coord.dims, coord.data, dict(coord.attrs)) for name, coord in coords.items()}
    for name, column in zip(table.names, table.columns, strict=True):
        info = model.locate(name).info
        about = {"units": info.unit or "1", "long_name": info.doc.rstrip(".") or name}
        if info.symbol:
            about["symbol"] = info.symbol
        values = table.axes[name] if name in table.dims else column
        made[name] = ((name,) if name in table.dims else table.dims, values, about)
    for dim in table.dims:
        if dim not in made:
            made[dim] = (dim, table.axes[dim], {"long_name": dim, "units": "1"})
    if seeds is not None:
        made["seed"] = (table.dims, seeds.reshape(table.shape), {"long_name": "seed of the point's network"})
    return made


def write(dataset: xr.Dataset, path: Path) -> None:
    """Write the result as zarr (a folder) or netCDF (a file); what stood there before survives any failure."""
    try:
        save(dataset, path)
    except InputError as error:
        if not Store(path).folder.is_dir():
            raise
        raise InputError(f"{error} The finished tasks are kept: run the same again to go on.") from error


def read(path: Path) -> xr.Dataset:
    """Read a result that `write` wrote."""
    if not (path.exists() or kept_aside(path).exists()):
        raise InputError(f"Store `{path}` has no result yet: run the sweep.")
    return load(path)
