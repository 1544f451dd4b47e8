"""A network and its theory brought to the same labels, dims and times before they are subtracted."""

from typing import Any

import numpy as np
import xarray as xr

from largen.checks import InputError, require, shown

TIMES = ("time", "time_")
_OWN = ("realisation", "spike", "neuron")


def aligned(network: xr.Dataset, theory: xr.Dataset, name: str) -> xr.Dataset:
    """The theory's observables with the network's labels, in the network's order of labels and dims.

    Args:
        network: What `simulate` returned, or a selection from it.
        theory: What `solve_limit` returned, or a selection from it.
        name: Which argument the theory is.

    Raises:
        InputError: The two have different labels, or one twice; an axis cannot be matched, or times differ.
    """
    shared = [key for key in network.data_vars if key in theory and not {"spike", "neuron"} & set(network[key].dims)]
    for dim in sorted({str(dim) for key in shared for dim in (*network[key].dims, *theory[key].dims)}):
        if dim not in (*TIMES, *_OWN):
            theory = _along(network, theory, dim, name)
    for dim in TIMES:
        if dim in network.dims and dim in theory.dims:
            _require_times(network, theory, dim, name)
    return theory.assign({key: _in_order(network[key], theory[key], name) for key in shared})


def _along(network: xr.Dataset, theory: xr.Dataset, dim: str, name: str) -> xr.Dataset:
    """The theory with the network's labels along one dim."""
    ours, theirs = _labels(network, dim), _labels(theory, dim)
    if ours is None or theirs is None:
        same = (
            ours is theirs
            and network.sizes.get(dim, 1) == theory.sizes.get(dim, 1)
            and (dim in network.dims) == (dim in theory.dims)
        )
        must = f"have the network's dim `{dim}`, with its labels in both"
        require(same, name, must, dict(theory.sizes), "Keep labels when you select.")
        return theory
    if dim not in network.dims and dim not in theory.dims:
        places = _places(ours, theirs)
        require(places is not None, name, f"have the network's `{dim}` {shown(ours)}", theirs)
        return theory
    if dim not in theory.dims:
        theory = theory.expand_dims(dim)
    places = _places(ours, theirs)
    if places is None or len(ours) != len(theirs):
        raise InputError(
            f"Argument `{name}` must have the network's labels along `{dim}`, {shown(ours)}, but has {shown(theirs)}. "
            "Select the same ones from both."
        )
    return theory.isel({dim: places if dim in network.dims else places[0]})


def _labels(dataset: xr.Dataset, dim: str) -> list[Any] | None:
    """Labels along a dim, or the one that a selection left; None without."""
    return np.atleast_1d(dataset[dim].values).tolist() if dim in dataset.coords else None


def _places(ours: list[Any], theirs: list[Any]) -> list[int] | None:
    """Where each of our labels stands among theirs; None where one is missing or stands there twice."""
    places = []
    for label in ours:
        found = [k for k, other in enumerate(theirs) if other == label or _close(other, label)]
        if len(found) != 1:
            return None
        places.append(found[0])
    return places


def _close(a: Any, b: Any) -> bool:
    return isinstance(a, float) and isinstance(b, float) and abs(a - b) <= 1e-9 * (1 + abs(a))


def _require_times(network: xr.Dataset, theory: xr.Dataset, dim: str, name: str) -> None:
    """The theory's times must be the network's first ones: a limit that is lost on the way ends earlier."""
    same = network.sizes[dim] >= theory.sizes[dim] >= 2 and dim in network.coords and dim in theory.coords
    if same:
        a, b = (np.asarray(part[dim].values, float)[: theory.sizes[dim]] for part in (network, theory))
        same = bool(np.all(np.abs(a - b) <= 1e-9 * (1 + np.abs(a))) and np.all(np.diff(a) > 0))
    if not same:
        raise InputError(f"The network and `{name}` must share their times: solve at the network's times.")


def _in_order(ours: xr.DataArray, theirs: xr.DataArray, name: str) -> xr.DataArray:
    """One observable of the theory with its dims in the network's order, both of finite numbers."""
    dims = [dim for dim in ours.dims if dim != "realisation"]
    rest = {dim for dim in theirs.dims if dim != "realisation"}
    require(
        set(dims) == rest, name, f"have `{ours.name}` with the dims {', '.join(map(str, dims))}", tuple(theirs.dims)
    )
    for part, role in ((ours, "network"), (theirs, name)):
        numeric = part.dtype.kind in "iuf"
        require(part.size > 0, role, f"have entries in `{ours.name}`", "empty")
        require(numeric, role, f"have numbers in `{ours.name}`", str(part.dtype))
        require(bool(np.isfinite(part.values).all()), role, f"have finite values in `{ours.name}`", "nan or infinity")
    lead = ("realisation",) if "realisation" in theirs.dims else ()
    return theirs.transpose(*lead, *dims)


def not_recorded(network: xr.Dataset, limit: xr.Dataset) -> str:
    """What one side has and the other, a recording, does not hold."""
    lacking: dict[str, None] = {}
    for part, other in ((network, limit), (limit, network)):
        if part.attrs["kind"] == "recording":
            timed = [name for name, variable in other.data_vars.items() if "time" in variable.dims]
            lacking |= {str(name): None for name in timed if name not in part}
    return f"{', '.join(lacking)} (not in the recording)" if lacking else ""
