"""Entries of a model by name: `tau`, `tau[e]`, `probability[e,i]` (target, source), `gain[i].slope`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from largen.checks import InputError, known_keys, require, shown
from largen.parameters.table import AbstractComponent, Converter, ParameterInfo, parameters


class Place(NamedTuple):
    """Where a parameter stands in a model.

    Attributes:
        steps: Attributes and tuple entries that lead to its array.
        index: The entry of the array, or () for the whole of it.
        info: Its row of the parameter table.
        value: The whole array.
    """

    steps: tuple[str | int, ...]
    index: tuple[int, ...]
    info: ParameterInfo
    value: Any


_NAME = re.compile(r"^(\w+)(?:\[([^\]]*)\])?(?:\.(.+))?$")


def parse(name: str) -> tuple[str, tuple[str, ...], str]:
    """Field, indices and what follows the dot: `gain[e].slope` is (gain, (e,), slope)."""
    match = _NAME.match(name.strip()) if isinstance(name, str) else None
    if match is None:
        raise InputError(f"Parameter name must look like `tau`, `tau[e]` or `probability[e,i]`, but is {shown(name)}.")
    field, inside, rest = match.groups()
    return field, tuple(part.strip() for part in inside.split(",")) if inside is not None else (), rest or ""


def index_in(info: ParameterInfo, inside: Sequence[str], labels: tuple[str, ...]) -> tuple[int, ...]:
    """Positions of labels or numbers in a field's array."""
    count = len(info.dims)
    if inside and len(inside) != count:
        raise InputError(
            f"Parameter `{info.name}` has {count} {'index' if count == 1 else 'indices'} "
            f"({', '.join(info.dims) or 'none'}), but `{info.name}[{','.join(inside)}]` has {len(inside)}."
        )
    index = []
    for part, dim in zip(inside, info.dims, strict=False):
        words = labels if dim in ("population", "source") else ()
        if part in words:
            index.append(words.index(part))
        elif re.fullmatch("[0-9]{1,9}", part) and not (words and int(part) >= len(words)):
            index.append(int(part))
        else:
            listed = ", ".join(words) or "positions from 0"
            raise InputError(f"Unknown {dim} `{part}` in `{info.name}[{','.join(inside)}]`. Valid: {listed}.")
    return tuple(index)


def info_of(component: Any, field: str) -> ParameterInfo:
    """Row of the parameter table; an unknown name is an error that lists the known ones."""
    if not isinstance(component, AbstractComponent):
        raise InputError(f"There is no parameter `{field}` of {shown(component)}: only components have parameters.")
    table = parameters(component)
    known_keys("parameter", [field], table)
    return table[field]


def get(component: Any, field: str, inside: tuple[str, ...], rest: str, labels: tuple[str, ...]) -> Any:
    """Value of a parameter, its name parsed by `parse`."""
    info = info_of(component, field)
    value = getattr(component, field)
    if inside and not callable(value):
        index = index_in(info, inside, labels)
        _require_said(info, value)
        if isinstance(value, tuple):
            value = _component_at(value, index)
        elif not (info.scalar and np.ndim(value) == 0):
            _within(info, index, np.shape(value))
            value = value[index]
    if rest:
        return get(value, *parse(rest), labels)
    return value


def _require_said(info: ParameterInfo, value: Any) -> None:
    if value is None:
        raise InputError(
            f"Parameter `{info.name}` has no entries, for this model does not use it: give all of it first."
        )


def _component_at(value: tuple, index: tuple[int, ...]) -> Any:
    for position in index:
        value = value[position]
    return value


def _with_component(value: tuple, index: tuple[int, ...], new: Any) -> tuple:
    """The (nested) tuple with one entry replaced."""
    first, *rest = index
    inner = _with_component(value[first], tuple(rest), new) if rest else new
    return tuple(inner if i == first else entry for i, entry in enumerate(value))


def _within(info: ParameterInfo, index: tuple[int, ...], shape: tuple[int, ...]) -> None:
    for part, size, dim in zip(index, shape, info.dims, strict=False):
        require(part < size, info.name, f"be indexed by at most {size - 1} along {dim}", part)


def set_to(component: Any, field: str, inside: tuple[str, ...], rest: str, value: Any, labels: tuple[str, ...]) -> Any:
    """The component with one parameter replaced, its name parsed by `parse`."""
    info = info_of(component, field)
    old = getattr(component, field)
    if rest:
        value = set_to(get(component, field, inside, "", labels), *parse(rest), value, labels)
    if not inside:
        value = _whole(info, value, labels)
    else:
        index = index_in(info, inside, labels)
        _require_said(info, old)
        if info.kind == "component" and info.scalar and not isinstance(old, tuple):
            for _ in info.dims:
                old = (old,) * len(labels)
        _within(info, index, np.shape(old) if not isinstance(old, tuple) else (len(old),) * len(index))
        if callable(old):
            raise InputError(f"Parameter `{field}` is a function of time: give the whole of it, not one entry.")
        if isinstance(old, tuple):
            value = _with_component(old, index, value)
        elif isinstance(value, Tracer) or isinstance(old, Tracer):
            value = _every_entry(jax.numpy, info, old, labels).at[index].set(value)
        else:
            require(not isinstance(value, str), info.name, "be set to one number", value)
            number = _converter(info, info.name)(value)
            require(isinstance(number, np.ndarray) and number.ndim == 0, info.name, "be set to one number", value)
            array = np.array(_every_entry(np, info, old, labels))
            array[index] = number
            value = array
    fields = {name: getattr(component, name) for name in parameters(component)}
    return type(component)(**component._with(fields, field, value))


def set_whole(component: Any, values: Mapping[str, Any], labels: tuple[str, ...]) -> Any:
    """The component with whole fields replaced together, so that only the end must be a possible model."""
    fields = {name: getattr(component, name) for name in parameters(component)}
    for field, value in values.items():
        fields = component._with(fields, field, _whole(info_of(component, field), value, labels))
    return type(component)(**fields)


def _converter(info: ParameterInfo, name: str) -> Converter:
    """The converter of a field, or of one entry of it."""
    made = Converter(info.kind, info.unit, info.dims)
    made.name = name
    return made


def _whole(info: ParameterInfo, value: Any, labels: tuple[str, ...]) -> Any:
    """A value for all of a field; one with labels is put in the model's order."""
    if info.kind not in ("real", "integer", "flag"):
        return value
    known = {"population": labels, "source": labels}
    return _converter(info, info.name).convert(value, tuple(known.get(dim) for dim in info.dims))


def _every_entry(numpy: Any, info: ParameterInfo, value: Any, labels: tuple[str, ...]) -> Any:
    """One number that stands for all entries, written out; other arrays as they are."""
    if info.scalar and np.ndim(value) == 0:
        return numpy.broadcast_to(value, (len(labels),) * len(info.dims))
    return numpy.asarray(value)
