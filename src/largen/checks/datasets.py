"""Datasets that a user hands back: what an earlier call returned, or one made by hand."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from largen.checks.errors import InputError, require, shown

SAMPLES = ("network", "recording")
"""Kinds of Datasets that are samples of a network: what is asked of a network is asked of a recording, too."""
_MAKERS = {"network": "simulate", "limit": "solve_limit"}


def dataset(
    name: str,
    value: Any,
    *,
    kinds: Iterable[str] = (),
    variables: Iterable[str] = (),
    numbers: Iterable[str] = (),
    dims: Iterable[str] = (),
    arrays: Mapping[str, Iterable[str]] | None = None,
    attrs: Iterable[str] = (),
    remedy: str = "",
) -> Any:
    """Check that a value is an `xarray.Dataset` with what is needed from it, and return it.

    Args:
        name: The argument.
        value: What was given.
        kinds: Valid values of its attribute `kind`, where "network" includes "recording"; any if empty.
        variables: Variables it must have.
        numbers: Variables it must have and that must hold real numbers.
        dims: Dimensions it must have, each with at least one entry.
        arrays: Variables it must have, with real numbers of which none is infinite, and the dims of each, in any
            order; `realisation` may be one more.
        attrs: Attributes it must have.
        remedy: What to pass instead; made from `kinds` if empty.
    """
    import xarray as xr

    kinds, arrays = tuple(kinds), {word: tuple(over) for word, over in (arrays or {}).items()}
    numbers = (*numbers, *arrays)
    dims = tuple(dict.fromkeys([*dims, *(dim for over in arrays.values() for dim in over)]))
    makers = " or ".join(f"{_MAKERS[kind]}(...)" for kind in kinds if kind in _MAKERS)
    remedy = remedy or (f"Pass what {makers} returned." if makers else "")
    if not isinstance(value, xr.Dataset):
        path = isinstance(value, str) or hasattr(value, "__fspath__")
        remedy = "Open a file with largen.load(...)." if path else remedy
        shape = shown(value) if path or value is None else f"a {type(value).__name__}"
        raise InputError(f"Argument `{name}` must be a Dataset, but is {shape}.{' ' + remedy if remedy else ''}")
    kind = str(value.attrs.get("kind", "a Dataset of unknown kind"))
    functions = " or ".join(f"`{_MAKERS.get(one, one)}`" for one in kinds)
    allowed = {*kinds, *(SAMPLES if "network" in kinds else ())}
    require(not kinds or kind in allowed, name, f"be what {functions} returned", kind)
    for what, wanted, there in (
        ("variable", (*variables, *numbers), value.variables),
        ("dim", dims, value.sizes),
        ("attribute", attrs, value.attrs),
    ):
        missing = [str(word) for word in wanted if word not in there]
        listed = ", ".join(map(str, there)) or "none"
        if missing:
            raise InputError(
                f"Argument `{name}` must have the {what} `{missing[0]}`, but has {listed[:200]}. {remedy}".strip()
            )
    for word in numbers:
        kind = value[word].dtype
        require(kind.kind in "biuf", name, f"have real numbers in `{word}`", kind, remedy)
    for word, over in arrays.items():
        _check_array(name, word, value[word], over, remedy)
    for dim in (dim for dim in dims if dim in value.indexes):
        repeated = value.indexes[dim][value.indexes[dim].duplicated()].tolist()
        require(not repeated, name, f"have each entry of `{dim}` once", repeated, remedy)
    for dim in (dim for dim in dims if f"{dim}_" in dims):  # both axes of a covariance
        one, other = (value[axis].values for axis in (dim, f"{dim}_"))
        found = f"{len(one)} and {len(other)} entries" if len(one) != len(other) else "entries that differ"
        require(np.array_equal(one, other), name, f"have the same entries along `{dim}` and `{dim}_`", found, remedy)
    if "lag" in dims:
        require(0 in value["lag"].values, name, "have the lag 0", value["lag"].values, remedy)
    empty = [str(dim) for dim in dims if value.sizes[dim] == 0]
    require(not empty, name, f"have entries along `{(empty or [''])[0]}`", "empty", remedy)
    return value


def _check_array(name: str, word: str, array: Any, over: tuple[str, ...], remedy: str) -> None:
    """Check that a variable of a Dataset has these dims, with or without `realisation`, and no infinite numbers."""
    found = tuple(map(str, array.dims))
    good = set(over) <= set(found) <= {*over, "realisation"}
    words = ", ".join(over) or "nothing"
    require(good, name, f"have `{word}` over the dims {words}", ", ".join(found) or "no dims", remedy)
    infinite = array.dtype.kind == "f" and bool(np.isinf(array.values).any())
    require(not infinite, name, f"have finite numbers in `{word}`", "infinite", remedy)


def neurons_of(name: str, given: Any) -> float:
    """The number of neurons of a Dataset, its attribute `n`; infinite for a limit."""
    n = given.attrs.get("n")
    good = isinstance(n, int | float | np.integer | np.floating) and not isinstance(n, bool) and float(n) >= 1
    require(good, name, "have a number of neurons, of at least 1, as its attribute `n`", n)
    return float(n)


def several(name: str, value: Any) -> list[Any]:
    """Check that a value is a Dataset or a list of them, and return the list."""
    import xarray as xr

    if isinstance(value, xr.Dataset):
        return [value]
    require(isinstance(value, list | tuple), name, "be a Dataset or a list of them", value)
    require(len(value) > 0, name, "hold at least one Dataset", value)
    return [dataset(name, one) for one in value]
