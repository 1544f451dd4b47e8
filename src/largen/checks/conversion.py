"""What a user gives, as plain arrays: units converted, labels put in order, and the rest refused by name.

A number may come with a unit (quantities, pint, timedelta), labels (pandas, xarray) or a mask (`numpy.ma`). None of
these is dropped: units are converted to that of the argument, labels are put in the order of the model's, and what has
no meaning as a real number (a mask, an imaginary part, a truth value, a date, text) is an error with its name.
"""

import array as builtin
import datetime
import decimal
import numbers
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from largen.checks.errors import InputError, require, sentence, shown

Labels = Sequence[Any]

_PLAIN = (int, float, np.integer, np.floating)
_ARRAYS = (range, builtin.array, memoryview)
_TIMES = {"s": "s", "ms": "ms", "us": "us", "min": "m", "h": "h"}
"""Units of time by the letters that NumPy knows them by."""
_FOREIGN = ("astropy", "brian2", "unyt")


class Axes(NamedTuple):
    """What the axes of an argument mean.

    Attributes:
        dims: Names of its dimensions, such as ("population", "source").
        labels: Labels along each, or None where it has none.
    """

    dims: tuple[str, ...] = ()
    labels: tuple[Labels | None, ...] = ()


NO_LABELS = Axes()


def array(name: str, value: Any, *, unit: str = "", axes: Axes = NO_LABELS, booleans: bool = False) -> np.ndarray:
    """Turn what a user gives for an argument into an array of numbers, of any number of dimensions.

    Args:
        name: The argument.
        value: Numbers, nested lists of them, an array, a Series, a DataFrame, a DataArray, a quantity.
        unit: Unit of the argument, empty where it is a pure number.
        axes: Meaning of the argument's axes, for values with labels.
        booleans: Whether truth values are meant.

    Returns:
        Array of integers, floating-point numbers or (with `booleans`) truth values; of Python's integers where these
        are too large for NumPy's.

    Raises:
        InputError: The value has another dimension, other labels, a mask, an imaginary part, or is no number at all.
    """
    try:
        found = _array(name, value, unit, axes)
    except RecursionError as error:
        raise InputError(f"Argument `{name}` must be an array of numbers, but is lists within lists.") from error
    if found.dtype.kind == "b":
        require(booleans, name, "be a number", value, "If a truth value is meant as one, give 0 or 1.")
    return found


def _array(name: str, value: Any, unit: str, axes: Axes) -> np.ndarray:
    package = _package(value)
    if package in ("quantities", "pint"):
        return _array(name, _magnitude(name, value, unit, package), "", axes)
    if package == "pandas" and hasattr(value, "axes"):
        return _of_pandas(name, value, unit, axes)
    if package == "xarray":
        return _of_xarray(name, value, unit, axes)
    require(package not in _FOREIGN, name, "be plain numbers", value, f"Give the numbers alone{_in(unit)}.")
    if isinstance(value, datetime.timedelta | np.timedelta64):
        return _durations(name, np.asarray(value), unit, value)
    if isinstance(value, list | tuple):
        return _of_sequence(name, value, unit, axes)
    _refuse_other_kinds(name, value)
    if isinstance(value, np.ma.MaskedArray):
        masked = int(np.ma.count_masked(value))
        if masked:
            raise InputError(
                f"Argument `{name}` must have no masked entries, but has {masked}: fill them or cut them out."
            )
        value = value.data
    if type(value) not in (np.ndarray, np.matrix) and isinstance(value, np.ndarray):
        require(type(value) is np.memmap, name, "be plain numbers", value, f"Give the numbers alone{_in(unit)}.")
    try:
        found = np.asarray(value)
    except Exception as error:  # traced by JAX, or with a conversion of its own that fails
        raise InputError(f"Argument `{name}` must hold numbers: {sentence(error)}.") from error
    return _numbers(name, found, unit, value)


def _package(value: Any) -> str:
    """The package that defines a value's kind, where it is one whose values mean more than their numbers."""
    if isinstance(value, _PLAIN) or type(value) in (np.ndarray, list, tuple, str):
        return ""
    known = ("quantities", "pint", "pandas", "xarray", *_FOREIGN)
    roots = [cls.__module__.partition(".")[0] for cls in type(value).__mro__]
    return next((root for root in roots if root in known), "")


def _in(unit: str) -> str:
    return f", in {unit}" if unit else ""


def _refuse_other_kinds(name: str, value: Any) -> None:
    other = value is None or isinstance(value, str | bytes | bytearray | Mapping | Set | datetime.date | datetime.time)
    known = hasattr(value, "__array__") or isinstance(value, _ARRAYS)
    other = other or not (known or isinstance(value, numbers.Number | decimal.Decimal))
    require(not other, name, "hold numbers", value)


def _numbers(name: str, found: np.ndarray, unit: str, value: Any) -> np.ndarray:
    """Check the kind of an array's entries."""
    kind = found.dtype.kind
    if kind == "m":
        return _durations(name, found, unit, value)
    require(kind != "M", name, "be numbers", value, f"Give the time since the start{_in(unit)}.")
    require(kind != "c", name, "be real", value, "Give its real part, if that is meant.")
    require(kind not in "USTa", name, "hold numbers, not text", value)
    if kind == "O":
        for entry in found.ravel().tolist():
            good = isinstance(entry, numbers.Real | decimal.Decimal) and not isinstance(entry, bool)
            require(good, name, "hold numbers", value)
    small = found.dtype.name.startswith(("bfloat", "float"))  # those of machine learning have a kind of their own
    require(kind in "iufbO" or small, name, "hold numbers", value)
    return found.astype(np.float64) if kind == "V" else found


def _of_sequence(name: str, value: Sequence[Any], unit: str, axes: Axes) -> np.ndarray:
    kinds = set(map(type, value))
    if all(issubclass(kind, _PLAIN) and kind is not bool for kind in kinds):
        return _numbers(name, np.array(value) if kinds else np.zeros(0), unit, value)
    inner = Axes(axes.dims[1:], axes.labels[1:])
    parts = [_array(name, part, unit, inner) for part in value]
    mixed = len({part.dtype.kind == "b" for part in parts}) > 1
    require(not mixed, name, "be numbers or truth values throughout", value)
    ragged = len({part.shape for part in parts}) > 1
    require(not ragged, name, "have rows of equal length", value)
    return np.array(parts)


# Units -----------------------------------------------------------------------------------------------------------


def _magnitude(name: str, value: Any, unit: str, package: str) -> Any:
    """The number of a quantity in the argument's unit."""
    wanted = unit if unit not in ("", "1") else "dimensionless"
    try:
        converted = value.rescale(wanted) if package == "quantities" else value.to(wanted)
        return converted.magnitude
    except Exception as error:  # each package has exceptions of its own
        must = f"be convertible to {unit}" if wanted == unit else "be a pure number, without a unit"
        raise InputError(f"Argument `{name}` must {must}, but is {shown(value)}: {sentence(error)}.") from error


def _durations(name: str, found: np.ndarray, unit: str, value: Any) -> np.ndarray:
    """Differences of times of Python, NumPy and pandas, in the argument's unit."""
    require(unit in _TIMES, name, "be a pure number" if unit in ("", "1") else f"be in {unit}", value, "It is no time.")
    if found.dtype.kind == "O":
        found = found.astype("timedelta64[us]")
    require(not np.any(np.isnat(found)), name, "be numbers", value, "NaT is no time.")
    letters = np.datetime_data(found.dtype)[0]
    remedy = f"Say how long its unit is, such as np.timedelta64(5, {unit!r})."
    require(letters not in ("generic", "Y", "M"), name, "have a unit of fixed length", value, remedy)
    return found / np.timedelta64(1, _TIMES[unit])


# Labels ----------------------------------------------------------------------------------------------------------


def _of_pandas(name: str, value: Any, unit: str, axes: Axes) -> np.ndarray:
    parts = [value.iloc[:, k] for k in range(value.shape[1])] if value.ndim == 2 else [value]
    columns = [_array(name, part.array if _package(part.array) != "pandas" else part.to_numpy(), unit, NO_LABELS)
               for part in parts]  # fmt: skip
    found = np.array(columns).T if value.ndim == 2 else columns[0]
    labels = [list(axis) for axis in value.axes]
    return _in_order(name, found, labels, axes, "to_numpy()")


def _of_xarray(name: str, value: Any, unit: str, axes: Axes) -> np.ndarray:
    require(hasattr(value, "dims") and hasattr(value, "transpose") and not hasattr(value, "data_vars"), name,
            "be numbers", f"a {type(value).__name__}", "Give one variable of it.")  # fmt: skip
    own = tuple(map(str, value.dims))
    named = set(own) & set(axes.dims)
    if named and own != axes.dims:
        same = set(own) == set(axes.dims) and len(own) == len(axes.dims)
        require(same, name, f"have the dims {axes.dims}", own, "Or give `.values`, if their order is right.")
        value = value.transpose(*axes.dims)
        own = axes.dims
    word = value.attrs.get("units", "") if isinstance(value.attrs, Mapping) else ""
    factor = _factor(name, word, unit, value)
    found = _array(name, value.data if _package(value.data) else value.values, unit, NO_LABELS)
    found = found if factor == 1.0 else found * factor
    coords = getattr(value, "coords", {})
    labels = [coords[dim].values.tolist() if dim in coords else None for dim in own]
    return _in_order(name, found, labels, axes, "values")


def _factor(name: str, word: Any, unit: str, value: Any) -> float:
    """What the numbers of a DataArray with this attribute `units` are multiplied by."""
    if word in ("", "1", "dimensionless") or word == unit:
        return 1.0
    known = word in _TIMES and unit in _TIMES
    must = f"be in {unit}" if unit not in ("", "1") else "be a pure number"
    require(known, name, must, word, "Convert it, or give `.values`, if they are meant as they are.")
    return float(np.timedelta64(1, _TIMES[word]) / np.timedelta64(1, _TIMES[unit]))


def _in_order(name: str, found: np.ndarray, labels: list[Any], axes: Axes, plain: str) -> np.ndarray:
    """Put the entries in the order of the argument's labels; labels that only count say nothing."""
    for axis, own in enumerate(labels):
        if own is None or _only_counts(own, found):
            continue
        wanted = axes.labels[axis] if axis < len(axes.labels) else None
        remedy = f"Or give `.{plain}`, if their order is right."
        if wanted is None:
            raise InputError(f"Argument `{name}` must have no labels along axis {axis}, but has {shown(own)}. {remedy}")
        words = [str(word) for word in own]
        if sorted(words) != sorted(map(str, wanted)):
            listed = ", ".join(map(str, wanted))
            raise InputError(f"Argument `{name}` must have the labels {listed}, but has {shown(own)}. {remedy}")
        found = np.take(found, [words.index(str(word)) for word in wanted], axis=axis)
    return found


def _only_counts(labels: list[Any], found: np.ndarray) -> bool:
    """Whether labels are positions, or the values themselves (a coordinate such as `dataset.time`)."""
    if labels == list(range(len(labels))):
        return True
    return found.ndim == 1 and labels == found.tolist()
