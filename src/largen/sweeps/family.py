"""Models that differ in a few entries: built and named quickly, with the checks that `replace` makes."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from largen.parameters import AbstractComponent, Place
from largen.parameters.plain import to_plain
from largen.parameters.table import check_bounds, check_form
from largen.system import AbstractSystem

_MARK = "\ue000largen\ue000"


class Family:
    """All models that a sweep can meet: a base model and the names of the parameters that change.

    Args:
        model: The base model.
        names: Names of the changing parameters.
    """

    def __init__(self, model: AbstractSystem, names: Sequence[str]):
        for name in names:  # one number that stands for all entries is written out where an entry is to change
            if np.ndim(model.locate(name).value) < len(model.locate(name).index):
                model = model.replace(**{name: model.value(name)})
        self.base, self.names = model, tuple(names)
        self.places = [model.locate(name) for name in names]
        self.numeric = all(
            place.info.kind in ("real", "integer") and isinstance(place.value, np.ndarray) for place in self.places
        )
        self._owners = [_owner(model, place) for place in self.places]
        above = {place.steps[:k] for place in self.places for k in range(len(place.steps))}
        self._changed = sorted(above, key=len, reverse=True)  # the innermost first, as they are made
        self._pieces = self._template()

    def at(self, values: Sequence[Any]) -> AbstractSystem:
        """Return the model at one point, checked.

        Raises:
            InputError: A value is out of bounds; the message names the parameter.
        """
        plain = [isinstance(value, int | float) and not isinstance(value, bool) for value in values]
        if not (self.numeric and all(plain)):
            return self.base.replace(**dict(zip(self.names, values, strict=True)))
        model: Any = self.base
        for place, owner, value in zip(self.places, self._owners, values, strict=True):
            array = np.array(_part(model, place.steps), dtype=np.float64)
            array[place.index] = value
            if place.info.kind == "integer":
                whole = array.astype(np.int64)
                array = whole if np.array_equal(whole, array) else array  # else refused by the check
            array.flags.writeable = False
            check_form(place.info, array, owner.count)
            check_bounds(place.info, array, owner.labels)
            model = _with(model, place.steps, array)
        for steps in self._changed:
            _check_rules(_part(model, steps))
        return model

    def text(self, values: Sequence[Any]) -> str:
        """Name one point: all parameters of its model as JSON, exactly, whatever parameters are swept."""
        parts = [self._pieces[0]]
        for k, following in self._pieces[1]:
            parts += [json.dumps(_as_stored(self.places[k], values[k])), following]
        return "".join(parts)

    def _template(self) -> tuple[str, list[tuple[int, str]]]:
        plain = to_plain(self.base)
        for k, place in enumerate(self.places):
            owner: Any = plain
            steps = [*place.steps, *place.index]
            for step in steps[:-1]:
                owner = owner[step]
            owner[steps[-1]] = f"{_MARK}{k}{_MARK}"
        first, *rest = json.dumps(plain, sort_keys=True, ensure_ascii=False).split(f'"{_MARK}')
        cuts = [piece.split(f'{_MARK}"', 1) for piece in rest]
        return first, [(int(number), following) for number, following in cuts]


def _as_stored(place: Place, value: Any) -> Any:
    """The value as the model holds it: an integer given for a real parameter is a real number."""
    return float(value) if place.info.kind == "real" and isinstance(value, int) else value


class _Owner(NamedTuple):
    """Of the component that owns a parameter: how many populations it has, and their labels."""

    count: int | None
    labels: tuple[str, ...]


def _owner(model: Any, place: Place) -> _Owner:
    component = _part(model, place.steps[:-1])
    return _Owner(component._population_count(), component._labels())


def _part(component: Any, steps: Sequence[Any]) -> Any:
    for step in steps:
        component = component[step] if isinstance(step, int) else getattr(component, step)
    return component


def _with(component: Any, steps: Sequence[Any], array: np.ndarray) -> Any:
    """A component with one field changed, unchecked."""
    if not steps:
        return array
    step, *rest = steps
    if isinstance(component, tuple):
        return tuple(_with(entry, rest, array) if k == step else entry for k, entry in enumerate(component))
    copy = object.__new__(type(component))
    for name, field in vars(component).items():
        object.__setattr__(copy, name, _with(field, rest, array) if name == step else field)
    return copy


def _check_rules(component: Any) -> None:
    """The rules of a component's own classes; its fields have been checked."""
    for cls in type(component).__mro__:
        if cls is not AbstractComponent and "__check_init__" in vars(cls):
            vars(cls)["__check_init__"](component)
