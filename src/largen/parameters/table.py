"""The parameter table: each field of a model is declared once, with `parameter(...)`.

That one table feeds checks, names, files, the command line and the documentation. Numeric fields are read-only NumPy
arrays in double precision (traced as arrays by `equinox.filter_jit`, so that new values never recompile); inside a JAX
transformation they may be tracers, and then checks are skipped.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer

from largen.checks import LARGEST_COUNT, Axes, InputError, array, float64, one_of, require, shown
from largen.parameters.labels import Labels
from largen.parameters.text import written


class ParameterInfo(NamedTuple):
    """One row of a model's parameter table (see `parameter`)."""

    name: str
    default: Any
    unit: str
    symbol: str
    dims: tuple[str, ...]
    kind: str
    low: float | None
    above: float | None
    high: float | None
    infinite: bool
    scalar: bool
    function: bool
    choices: tuple[str, ...]
    components: tuple[type, ...]
    doc: str
    optional: bool = False
    quiet: bool = False
    quantities: tuple[str, ...] = ()


WIDEST_LINE = 100
"""Characters of a model's `repr` above which each field has a line of its own."""

_DTYPES = {"real": np.float64, "integer": np.int64, "flag": np.bool_}


class Converter:
    """Turns what a user gives for a field into a read-only array, or leaves it for the check to report.

    Attributes:
        name: The field's name, said by the class that has it.
        kind: "real", "integer" or "flag".
        unit: The field's unit.
        dims: The field's dimensions.
    """

    def __init__(self, kind: str, unit: str, dims: tuple[str, ...]):
        self.name, self.kind, self.unit, self.dims = "value", kind, unit, dims

    def __call__(self, value: Any) -> Any:
        """The field's array; what JAX traces, functions and None stay as they are."""
        return self.convert(value, (None,) * len(self.dims))

    def convert(self, value: Any, labels: tuple[tuple[str, ...] | None, ...]) -> Any:
        """Convert a value; one with labels is put in the order of these, which belong to the field's dimensions."""
        if isinstance(value, Tracer) or callable(value) or value is None:
            return value
        unit = "" if self.unit == "1" else self.unit
        axes = Axes(self.dims, labels)
        given = array(self.name, value, unit=unit, axes=axes, booleans=self.kind == "flag")
        found = float64(self.name, given, value)
        if self.kind != "real":
            with np.errstate(invalid="ignore"):
                whole = found.astype(_DTYPES[self.kind])
            noun = {"integer": "integers", "flag": "booleans"}[self.kind]
            require(np.array_equal(whole, found), self.name, f"hold {noun}", value)
            require(np.all(np.abs(found) <= LARGEST_COUNT), self.name, f"be at most {LARGEST_COUNT}", value)
            found = whole
        found.flags.writeable = False
        return found


class Chooser:
    """Checks that a word is one of a field's, before Equinox looks at it.

    Attributes:
        name: The field's name, said by the class that has it.
        choices: The words.
    """

    def __init__(self, choices: tuple[str, ...]):
        self.name, self.choices = "value", choices

    def __call__(self, value: Any) -> Any:
        """The word."""
        return one_of(self.name, value, self.choices)


def parameter(
    default: Any,
    *,
    unit: str = "",
    symbol: str = "",
    dims: tuple[str, ...] = (),
    kind: str = "real",
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    infinite: bool = False,
    scalar: bool = False,
    function: bool = False,
    choices: tuple[str, ...] = (),
    components: tuple[type, ...] = (),
    doc: str = "",
    optional: bool = False,
    quiet: bool = False,
    filled: bool = False,
    quantities: tuple[str, ...] = (),
) -> Any:
    """Declare one field of a model.

    Args:
        default: Default value; nested tuples become arrays.
        unit: Unit, empty where dimensionless.
        symbol: The field's symbol in the papers, as LaTeX without dollar signs.
        dims: Dimensions; `population` and `source` have one entry per population.
        kind: "real", "integer", "flag" (booleans), "choice" (one of `choices`, static), "labels" (words, one per
            population, static) or "component" (an instance of one of `components`; a tuple of one per population where
            dims is `("population",)`, and of such tuples, [target][source], where it is `("population", "source")`).
        low: Smallest value allowed.
        above: Value that must be exceeded.
        high: Largest value allowed.
        infinite: Whether infinity is allowed.
        scalar: Whether one number may stand for all entries.
        function: Whether a function of time (scalar time in, shape `dims` out) may stand for the constant.
        choices: The words a "choice" may take.
        components: The classes a "component" may have, or that may stand for a function.
        doc: One sentence.
        optional: Whether None is a value; then files leave the field out.
        quiet: Whether files, `repr` and the explorer leave the field out while it has its default.
        filled: Whether the class itself fills in the default, knowing the other fields, where None is given.
        quantities: What the numbers are: "potential", "current", "capacitance", "drift" (potential per time), "noise"
            (potential per root of time), "time", "rate" (by default what the unit says). Files may say their unit.
    """
    info = ParameterInfo(
        "",
        default,
        unit,
        symbol,
        dims,
        kind,
        low,
        above,
        high,
        infinite,
        scalar,
        function,
        choices,
        components,
        doc,
        optional,
        quiet,
        quantities,
    )
    metadata = {"parameter": info}
    if kind == "choice":
        return eqx.field(default=default, converter=Chooser(choices), static=True, metadata=metadata)
    if kind == "labels":
        return eqx.field(default=default, converter=Labels(), static=True, metadata=metadata)
    if kind == "component":
        return eqx.field(default=default, metadata=metadata)
    return eqx.field(default=None if filled else default, converter=Converter(kind, unit, dims), metadata=metadata)


def parameters(component: Any) -> Mapping[str, ParameterInfo]:
    """Return the parameter table of a component or its class, by field name, in order.

    The bounds of a component that depend on its other fields are those of its present values.
    """
    if isinstance(component, type):
        return _declared(component)
    table = _declared(type(component))
    bounds = component._relative_bounds() if isinstance(component, AbstractComponent) else {}
    return {**table, **{name: table[name]._replace(**own) for name, own in bounds.items()}} if bounds else table


@functools.cache
def _declared(component: Any) -> Mapping[str, ParameterInfo]:
    """The parameter table as the class declares it; read-only, since all share it."""
    return MappingProxyType(
        {
            field.name: field.metadata["parameter"]._replace(name=field.name)
            for field in dataclasses.fields(component)
            if "parameter" in field.metadata
        }
    )


def is_default(info: ParameterInfo, value: Any) -> bool:
    """Whether a field has the value that it has when nothing is said; what JAX traces is not known to."""
    if value is None or info.default is None or isinstance(value, str | tuple) or callable(value) or traced(value):
        return value is info.default or (isinstance(value, str | tuple) and value == info.default)
    default = np.asarray(info.default)
    return np.shape(value) == default.shape and bool(np.all(np.asarray(value) == default))


def unsaid(info: ParameterInfo, value: Any) -> bool:
    """Whether files, `repr` and the explorer leave a field with this value out."""
    return (info.optional and value is None) or (info.quiet and is_default(info, value))


def traced(value: Any) -> bool:
    """Whether a value is being traced by JAX, so that it cannot be looked at."""
    if value is None or isinstance(value, np.ndarray | str):  # most fields
        return False
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value))


class AbstractComponent(eqx.Module):
    """A parametrised part of a model: a gain, a kernel, a drive, or the model itself."""

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        for name, field in vars(cls).items():
            converter = field.metadata.get("converter") if isinstance(field, dataclasses.Field) else None
            if isinstance(converter, Converter | Chooser | Labels):
                converter.name = name

    def __delattr__(self, name: str):
        raise dataclasses.FrozenInstanceError(f"cannot delete field '{name}'")

    def __check_init__(self):
        table = parameters(self)
        values = {name: getattr(self, name) for name in table}
        if any(map(traced, values.values())):
            return
        count = self._population_count()
        for name, value in values.items():
            check_form(table[name], value, count)
        labels = self._labels()
        for name, value in values.items():
            check_bounds(table[name], value, labels)
        self._check_relations()

    def _check_relations(self) -> None:
        """Check what fields must be together, each of them right by itself."""

    def _population_count(self) -> int | None:
        """Length of the first field with a `population` dimension (None without one)."""
        for info in parameters(self).values():
            value = getattr(self, info.name)
            if info.dims[:1] == ("population",) and not callable(value) and np.ndim(value) >= 1:
                return len(value)
        return None

    def _labels(self) -> tuple[str, ...]:
        return tuple(str(i) for i in range(self._population_count() or 0))

    def _relative_bounds(self) -> Mapping[str, dict[str, float]]:
        """Bounds of a field that its other fields decide, such as {"threshold": {"above": 10.0}}."""
        return {}

    def _with(self, fields: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
        """The values of all fields where one is set to another value."""
        return fields | {field: value}

    def _check_quantities(self, said: Mapping[str, Mapping[str, set[str]]]) -> None:
        """Check the units that a file gave together; by field, what the numbers with a unit were, "" those without."""

    def __repr__(self) -> str:
        """The name and the values: on one line where they fit, else one line a field."""
        table = parameters(self)
        values = {name: getattr(self, name) for name in table if not unsaid(table[name], getattr(self, name))}
        plain = {name for name, info in table.items() if info.kind in ("choice", "labels")}
        words = [f"{name}={value!r}" if name in plain else f"{name}={written(value)}" for name, value in values.items()]
        line = f"{type(self).__name__}({', '.join(words)})"
        if len(line) <= WIDEST_LINE:
            return line
        return f"{type(self).__name__}(\n" + "".join(f"    {word},\n" for word in words) + ")"


def check_form(info: ParameterInfo, value: Any, count: int | None) -> None:
    """Check kind and shape."""
    name = info.name
    if info.kind == "choice":
        one_of(name, value, info.choices)
        return
    if info.optional and value is None:
        return
    if info.kind == "labels":
        must = f"have {count} labels, one per population"
        require(isinstance(value, tuple) and len(value) == count, name, must, value)
        return
    if info.kind == "component":
        _check_component(info, value, count)
        return
    if callable(value):
        if not info.function:
            raise InputError(f"Argument `{name}` must be a constant, but is the function {shown(value)}.")
        return
    noun = {"real": "numbers", "integer": "integers", "flag": "booleans"}[info.kind]
    require(isinstance(value, np.ndarray) and value.dtype == _DTYPES[info.kind], name, f"hold {noun}", value)
    assert isinstance(value, np.ndarray)
    if info.scalar and value.ndim == 0:
        return
    sizes = {"population": count, "source": count}
    wanted = tuple(sizes.get(dim) for dim in info.dims)
    fits = value.ndim == len(wanted) and all(w is None or w == s for w, s in zip(wanted, value.shape, strict=True))
    if not fits:
        shape = ", ".join("any" if w is None else str(w) for w in wanted) + ("," if len(wanted) == 1 else "")
        axes = f" ({', '.join(info.dims)})" if info.dims else ""
        raise InputError(f"Argument `{name}` must have shape ({shape}){axes}, but has shape {value.shape}.")


def _check_component(info: ParameterInfo, value: Any, count: int | None) -> None:
    depth = 0 if info.scalar and not isinstance(value, tuple) else len(info.dims)
    names = " or ".join(cls.__name__ for cls in info.components) or "a function"
    for entry in _entries(info, value, count, depth):
        right = isinstance(entry, info.components) or (info.function and callable(entry))
        require(right, info.name, f"be {'made of ' if depth else ''}{names}", entry)


def _entries(info: ParameterInfo, value: Any, count: int | None, depth: int) -> list[Any]:
    """The components in tuples of this depth."""
    if not depth:
        return [value]
    inside = "tuple with one entry" if depth == 1 else "tuple with one tuple"
    require(isinstance(value, tuple), info.name, f"be a {inside} per population", value)
    require(count is None or len(value) == count, info.name, f"have {count} entries, one per population", value)
    return [part for entry in value for part in _entries(info, entry, count, depth - 1)]


def check_bounds(info: ParameterInfo, value: Any, labels: tuple[str, ...]) -> None:
    """Check every entry; the message names the first wrong one, as `strength[e,i]`."""
    if info.kind in ("choice", "component", "flag", "labels") or callable(value) or value is None:
        return
    with np.errstate(invalid="ignore"):
        rules = [(~np.isnan(value), "be a number")]
        if not info.infinite:
            rules.append((np.isfinite(value), "be finite"))
        if info.low is not None:
            rules.append((value >= info.low, f"be at least {info.low:g}"))
        if info.above is not None:
            rules.append((value > info.above, f"be greater than {info.above:g}"))
        if info.high is not None:
            rules.append((value <= info.high, f"be at most {info.high:g}"))
    for good, must in rules:
        if not np.all(good):
            index = tuple(int(i) for i in np.argwhere(~np.atleast_1d(good))[0]) if value.ndim else ()
            require(False, indexed_name(info, index, labels), must, float(value[index]))


def entries(value: Any) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Position and value of every entry of nested tuples; a value that is no tuple has the position ()."""
    if not isinstance(value, tuple):
        yield (), value
        return
    for k, part in enumerate(value):
        for index, entry in entries(part):
            yield (k, *index), entry


def indexed_name(info: ParameterInfo, index: tuple[int, ...], labels: tuple[str, ...]) -> str:
    """Name one entry of a field: `decay[e,i]` is (target e, source i)."""
    if not index:
        return info.name
    inside = (
        labels[i] if dim in ("population", "source") and i < len(labels) else str(i)
        for i, dim in zip(index, info.dims, strict=True)
    )
    return f"{info.name}[{','.join(inside)}]"
