"""The parameter table: each field of a model is declared once, with `parameter(...)`.

That one table feeds checks, names, files, the command line and the documentation. Numeric fields are read-only NumPy
arrays in double precision (traced as arrays by `equinox.filter_jit`, so that new values never recompile); inside a JAX
transformation they may be tracers, and then checks are skipped. The end of the file reads and writes entries by name.
"""

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer

from largen.checks import InputError, known_keys, one_of, require, shown


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


_DTYPES = {"real": np.float64, "integer": np.int64, "flag": np.bool_}


def _converter(kind: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if isinstance(value, Tracer) or callable(value) or value is None:
            return value
        try:
            array = np.array(value, dtype=np.float64)
            if kind != "real":
                whole = array.astype(_DTYPES[kind])
                if not np.array_equal(whole, array):
                    return value
                array = whole
        except (TypeError, ValueError, OverflowError):
            return value  # reported with the field's name by the check
        array.flags.writeable = False
        return array

    return convert


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
) -> Any:
    """Declare one field of a model.

    Args:
        default: Default value; nested tuples become arrays.
        unit: Unit, empty where dimensionless.
        symbol: The field's symbol in the papers, as LaTeX without dollar signs.
        dims: Dimensions; `population` and `source` have one entry per population.
        kind: "real", "integer", "flag" (booleans), "choice" (one of `choices`, static) or "component" (an
            instance of one of `components`, or a tuple of one per population where dims is `("population",)`).
        low: Smallest value allowed.
        above: Value that must be exceeded.
        high: Largest value allowed.
        infinite: Whether infinity is allowed.
        scalar: Whether one number may stand for all entries.
        function: Whether a function of time (scalar time in, shape `dims` out) may stand for the constant.
        choices: The words a "choice" may take.
        components: The classes a "component" may have, or that may stand for a function.
        doc: One sentence.
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
    )
    metadata = {"parameter": info}
    if kind == "choice":
        return eqx.field(default=default, static=True, metadata=metadata)
    if kind == "component":
        return eqx.field(default=default, metadata=metadata)
    return eqx.field(default=default, converter=_converter(kind), metadata=metadata)


def parameters(component: Any) -> dict[str, ParameterInfo]:
    """Return the parameter table of a component or its class, by field name, in order."""
    return {
        field.name: field.metadata["parameter"]._replace(name=field.name)
        for field in dataclasses.fields(component)
        if "parameter" in field.metadata
    }


def traced(value: Any) -> bool:
    """Whether a value is being traced by JAX, so that it cannot be looked at."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value))


class AbstractComponent(eqx.Module):
    """A parametrised part of a model: a gain, a kernel, a drive, or the model itself."""

    def __check_init__(self):
        table = parameters(self)
        if any(traced(getattr(self, name)) for name in table):
            return
        count = self._population_count()
        for info in table.values():
            check_form(info, getattr(self, info.name), count)
        for info in table.values():
            check_bounds(info, getattr(self, info.name), self._labels())

    def _population_count(self) -> int | None:
        """Length of the first field with a `population` dimension (None without one)."""
        for info in parameters(self).values():
            value = getattr(self, info.name)
            if info.dims[:1] == ("population",) and not callable(value) and np.ndim(value) >= 1:
                return len(value)
        return None

    def _labels(self) -> tuple[str, ...]:
        return tuple(str(i) for i in range(self._population_count() or 0))


def check_form(info: ParameterInfo, value: Any, count: int | None) -> None:
    """Check kind and shape."""
    name = info.name
    if info.kind == "choice":
        one_of(name, value, info.choices)
        return
    if info.kind == "component":
        _check_component(info, value, count)
        return
    if callable(value):
        if not info.function:
            raise InputError(f"Argument `{name}` must be a constant, but is the function {shown(value)}.")
        return
    noun = {"real": "numbers", "integer": "whole numbers", "flag": "booleans"}[info.kind]
    require(isinstance(value, np.ndarray) and value.dtype == _DTYPES[info.kind], name, f"hold {noun}", value)
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
    many = info.dims == ("population",)
    if many:
        require(isinstance(value, tuple), info.name, "be a tuple with one entry per population", value)
        require(
            count is None or len(value) == count,
            info.name,
            f"have {count} entries, one per population",
            value,
        )
    names = " or ".join(cls.__name__ for cls in info.components)
    for entry in value if many else (value,):
        right = isinstance(entry, info.components) or (info.function and callable(entry))
        require(right, info.name, f"be {'made of ' if many else ''}{names}", entry)


def check_bounds(info: ParameterInfo, value: Any, labels: tuple[str, ...]) -> None:
    """Check every entry; the sentence names the first wrong one, as `strength[e,i]`."""
    if info.kind in ("choice", "component", "flag") or callable(value):
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


def indexed_name(info: ParameterInfo, index: tuple[int, ...], labels: tuple[str, ...]) -> str:
    """Name one entry of a field: `decay[e,i]` is (target e, source i)."""
    if not index:
        return info.name
    inside = (
        labels[i] if dim in ("population", "source") and i < len(labels) else str(i)
        for i, dim in zip(index, info.dims, strict=True)
    )
    return f"{info.name}[{','.join(inside)}]"


class TimeSeries(AbstractComponent):
    """A function of time given by samples, linear between them.

    Asking for a time outside [times[0], times[-1]] gives the value at the nearer end.

    Attributes:
        times: Sample times in the system's time unit, strictly increasing, shape (time,).
        values: Samples, shape (time, population).
    """

    times: Any = parameter((0.0, 1.0), dims=("time",), doc="Sample times.")
    values: Any = parameter(((0.0,), (0.0,)), dims=("time", "any"), doc="Samples, one row per time.")

    def __check_init__(self):
        if traced((self.times, self.values)):
            return
        require(np.all(np.diff(self.times) > 0), "times", "be strictly increasing", self.times)
        rows = len(self.times)
        require(len(self.values) == rows, "values", f"have one row per time ({rows})", np.shape(self.values))

    def __call__(self, time: Any) -> jax.Array:
        """Value at one time, shape (population,)."""
        return jax.vmap(lambda column: jax.numpy.interp(time, self.times, column), in_axes=1)(
            jax.numpy.asarray(self.values)
        )


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
            number = _converter(info.kind)(value)
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
