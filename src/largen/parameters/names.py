"""Entries of a model by name: `tau`, `tau[e]`, `probability[e,i]` (target, source), `gain[i].slope`."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from largen.checks import InputError, known_keys, require
from largen.parameters.table import ParameterInfo, converter, parameters


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
    match = _NAME.match(name.strip())
    if match is None:
        raise InputError(f"Parameter name must look like `tau`, `tau[e]` or `probability[e,i]`, but is {name!r}.")
    field, inside, rest = match.groups()
    return field, tuple(part.strip() for part in inside.split(",")) if inside is not None else (), rest or ""


def index_in(info: ParameterInfo, inside: Sequence[str], labels: tuple[str, ...]) -> tuple[int, ...]:
    """Positions of labels or numbers in a field's array."""
    if inside and len(inside) != len(info.dims):
        raise InputError(
            f"Parameter `{info.name}` has {len(info.dims)} indices ({', '.join(info.dims) or 'none'}), "
            f"but `{info.name}[{','.join(inside)}]` has {len(inside)}."
        )
    index = []
    for part, dim in zip(inside, info.dims, strict=False):
        words = labels if dim in ("population", "source") else ()
        if part in words:
            index.append(words.index(part))
        elif part.isdecimal() and not (words and int(part) >= len(words)):
            index.append(int(part))
        else:
            listed = ", ".join(words)
            raise InputError(f"Unknown {dim} `{part}` in `{info.name}[{','.join(inside)}]`. Valid: {listed}.")
    return tuple(index)


def info_of(component: Any, field: str) -> ParameterInfo:
    """Row of the parameter table; an unknown name is an error that lists the known ones."""
    table = parameters(component)
    known_keys("parameter", [field], table)
    return table[field]


def get(component: Any, field: str, inside: tuple[str, ...], rest: str, labels: tuple[str, ...]) -> Any:
    """Value of a parameter, its name parsed by `parse`."""
    info = info_of(component, field)
    value = getattr(component, field)
    if inside and not callable(value):
        index = index_in(info, inside, labels)
        if isinstance(value, tuple):
            value = value[index[0]]
        elif not (info.scalar and np.ndim(value) == 0):
            value = value[index]
    if rest:
        return get(value, *parse(rest), labels)
    return value


def set_to(component: Any, field: str, inside: tuple[str, ...], rest: str, value: Any, labels: tuple[str, ...]) -> Any:
    """The component with one parameter replaced, its name parsed by `parse`."""
    info = info_of(component, field)
    old = getattr(component, field)
    if rest:
        value = set_to(get(component, field, inside, "", labels), *parse(rest), value, labels)
    if inside:
        index = index_in(info, inside, labels)
        if callable(old):
            raise InputError(f"Parameter `{field}` is a function of time: give the whole of it, not one entry.")
        if isinstance(old, tuple):
            value = tuple(value if i == index[0] else entry for i, entry in enumerate(old))
        elif isinstance(value, jax.Array) or isinstance(old, jax.Array):
            value = _every_entry(jax.numpy, info, old, labels).at[index].set(value)
        else:
            number = converter(info.kind)(value)
            require(isinstance(number, np.ndarray) and number.ndim == 0, info.name, "be set to one number", value)
            array = np.array(_every_entry(np, info, old, labels))
            array[index] = number
            value = array
    fields = {name: getattr(component, name) for name in parameters(component)}
    return type(component)(**(fields | {field: value}))


def _every_entry(numpy: Any, info: ParameterInfo, value: Any, labels: tuple[str, ...]) -> Any:
    """One number that stands for all entries, written out; other arrays as they are."""
    if info.scalar and np.ndim(value) == 0:
        return numpy.broadcast_to(value, (len(labels),) * len(info.dims))
    return numpy.asarray(value)
