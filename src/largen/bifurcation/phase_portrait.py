"""The plane of excitation and inhibition: orbits, nullclines and stationary states."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from largen.checks import InputError, dataset, integer, known_keys, neurons_of, require, vector
from largen.numerics.contours import along, crossings, on_grid, zero_curves
from largen.system import AbstractSystem, Portrait, check_options
from largen.system.values import COMPLETED

_ARROWS = 25


def phase_portrait(
    system: AbstractSystem | Callable[[Any], Any],
    *,
    network: xr.Dataset | None = None,
    limit: xr.Dataset | None = None,
    finite: xr.Dataset | None = None,
    n: int | None = None,
    window: Any = None,
    points: int = 201,
    start: float | None = None,
    **options: Any,
) -> xr.Dataset:
    """Draw up the phase portrait in the plane of excitation (abscissa) and inhibition.

    - A BalancedNetwork of two populations, in the plane of their means, with the variances held fixed: the balanced
      manifold, where the strong inputs cancel (a curve at rank one, single points at full rank), with the real part of
      its rightmost fast eigenvalue (negative: the sheet attracts; times sqrt(n) it is a rate) and its folds, where
      that eigenvalue vanishes; the stationary states; with n, the nullclines of the means' equations.
    - A SpikingNetwork, in the plane of the smoothed rates: orbits only. Its state has hundreds of dimensions, so that
      there are no nullclines.
    - A system of your own that offers one (`AbstractSystem.phase_portrait`).
    - A JAX function of a point, shape (2,), to its velocity: nullclines and equilibria in a `window`.

    Args:
        system: The model, or the function.
        network: What `simulate` returned; its orbit is drawn.
        limit: What `solve_limit` returned.
        finite: What `solve_limit(..., n=...)` returned.
        n: Total number of neurons for the nullclines; by default the network's.
        window: ((lowest, highest), (lowest, highest)) of the two axes.
        points: Points of the grid in each direction, on which curves are first traced.
        start: Time from which orbits are drawn; by default the first.
        options: `variance` of a balanced network: variances at which the manifold is cut, shape (population,); by
            default their mean over the orbits given after `start`, else those of the first stationary state, else the
            initial ones. `smoothing` of a spiking network: s.d. (ms) of the Gaussian that smooths its rates.

    Returns:
        Dataset with the dim `axis` (two labels) and, where they exist: `network_orbit` (realisation, axis,
        network_time), `limit_orbit` and `finite_orbit` (axis, ..._time); `nullcline` (vertex, axis) with `nullcline_of`
        (the axis whose velocity vanishes) and `nullcline_piece`; `manifold` (point, axis) with `manifold_margin`,
        `manifold_stable`, `manifold_piece`; `fold` (fold, axis); `state` (state, axis) with `state_stable`; `velocity`
        (axis, grid_y, grid_x) for arrows. `attrs["status"]` says what does not exist.

    Raises:
        InputError: A system without a portrait, or a function without a window.
    """
    points = integer("points", points, low=16)
    runs = {"network": network, "limit": limit, "finite": finite}
    runs = {name: dataset(name, run, dims=("time",)) for name, run in runs.items() if run is not None}
    for name, run in runs.items():
        empty = [str(dim) for dim in ("realisation", "population") if run.sizes.get(dim, 1) == 0]
        require(not empty, name, f"have entries along `{(empty or [''])[0]}`", "empty")
    edges = None if window is None else _window(window)
    with jax.enable_x64(True):
        if isinstance(system, AbstractSystem):
            check_options(system, "phase_portrait", options)
            size = None if network is None else int(integer("network.n", neurons_of("network", network)))
            size = size if n is None else integer("n", n, low=1)
            found = system.phase_portrait(runs, n=size, window=edges, points=points, start=start, **options)
            return _labelled(found, points, system.system)
        known_keys("option of a function", options, ())
        require(callable(system), "system", "be a model or a function of a point", system)
        require(not runs, "network", "be left out for a function", list(runs))
        if edges is None:
            raise InputError("Argument `window` must be given for a function.")
        _check_field(system)
        return _labelled(Portrait(("x", "y"), edges, unit="", field=system), points, "function")


def _window(window: Any) -> np.ndarray:
    edges = vector("window", window, dims=None)
    good = edges.shape == (2, 2) and np.all(np.isfinite(edges)) and np.all(edges[:, 0] < edges[:, 1])
    require(good, "window", "be ((lowest, highest), (lowest, highest))", window)
    return edges


# What a field says ---------------------------------------------------------------------------------------------


def _first(point: Any, field: Any) -> Any:
    return jnp.asarray(field(point))[0]


def _second(point: Any, field: Any) -> Any:
    return jnp.asarray(field(point))[1]


def _both(point: Any, field: Any) -> Any:
    return jnp.asarray(field(point))


def _jacobian(point: Any, field: Any) -> Any:
    return jax.jacfwd(lambda p: jnp.asarray(field(p)))(point)


def _check_field(function: Callable[[Any], Any]) -> None:
    shape = jax.eval_shape(lambda p: jnp.asarray(function(p)), np.zeros(2)).shape
    require(shape == (2,), "system", "return two velocities, shape (2,)", shape)


def _of_field(portrait: Portrait, points: int) -> tuple[dict[str, Any], tuple[np.ndarray, np.ndarray]]:
    """Nullclines and arrows, and the stationary states with their stability."""
    field, window = portrait.field, portrait.window
    x, y = (np.linspace(edges[0], edges[1], points) for edges in window)
    curves = [zero_curves(part, x, y, field) for part in (_first, _second)]
    variables = _nullclines(curves) | _velocity(window, field)
    if portrait.states is not None:
        return variables, portrait.states
    states = crossings(_both, curves[0], _second, field)
    if not len(states):
        return variables, (states, np.zeros(0, bool))
    eigenvalues = np.linalg.eigvals(along(_jacobian, states, field))
    return variables, (states, np.all(eigenvalues.real < 0, axis=1))


def _nullclines(curves: list[list[np.ndarray]]) -> dict[str, Any]:
    pieces = [(line, axis) for axis, lines in enumerate(curves) for line in lines]
    if not pieces:
        return {}
    which = np.repeat([axis for _, axis in pieces], [len(line) for line, _ in pieces])
    piece = np.repeat(np.arange(len(pieces)), [len(line) for line, _ in pieces])
    return {
        "nullcline": (("vertex", "axis"), np.concatenate([line for line, _ in pieces]), "points of the nullclines"),
        "nullcline_of": (("vertex",), which, "number of the axis whose velocity vanishes"),
        "nullcline_piece": (("vertex",), piece, "number of the connected piece"),
    }


def _states(states: np.ndarray, stable: np.ndarray) -> dict[str, Any]:
    return {
        "state": (("state_number", "axis"), states, "stationary states"),
        "state_stable": (("state_number",), stable, "whether the stationary state is stable"),
    }


def _velocity(window: np.ndarray, field: Any) -> dict[str, Any]:
    x, y = (np.linspace(edges[0], edges[1], _ARROWS) for edges in window)
    return {
        "grid_x": (("grid_x",), x, "first axis of the grid"),
        "grid_y": (("grid_y",), y, "second axis of the grid"),
        "velocity": (("axis", "grid_y", "grid_x"), np.asarray(on_grid(_both, x, y, field)), "velocity"),
    }


# Labels --------------------------------------------------------------------------------------------------------


def _orbit(name: str, orbit: np.ndarray, times: np.ndarray) -> dict[str, Any]:
    lead = ("realisation",) if orbit.ndim == 3 else ()
    return {
        f"{name}_orbit": ((*lead, "axis", f"{name}_time"), orbit, f"orbit of the {name}"),
        f"{name}_time": ((f"{name}_time",), times, "time"),
    }


def _labelled(portrait: Portrait, points: int, system: str) -> xr.Dataset:
    """Find what the field says, and label."""
    table: dict[str, Any] = {}
    for name, (orbit, times) in portrait.orbits.items():
        table |= _orbit(name, orbit, times)
    states = portrait.states
    if portrait.field is not None:
        found, states = _of_field(portrait, points)
        table |= found
    if states is not None and len(states[0]):
        table |= _states(*states)
    variables: dict[str, Any] = {}
    coords: dict[str, Any] = {"axis": ("axis", list(portrait.axes), {"long_name": "axis of the plane"})}
    for name, (dims, values, text) in table.items():
        in_plane = "axis" in dims and name != "velocity"
        unit = portrait.unit if in_plane else portrait.time_unit if name.endswith("_time") else "1"
        (coords if dims == (name,) else variables)[name] = (dims, values, {"units": unit, "long_name": text})
    for name, (dims, values, unit, text) in portrait.more.items():
        variables[name] = (dims, values, {"units": unit, "long_name": text})
    about = {"units": portrait.unit, "long_name": "window shown"}
    variables["window"] = (("axis", "edge"), portrait.window, about)
    attrs = {"kind": "phase portrait", "system": system, "status": "; ".join(portrait.missing) or COMPLETED}
    return xr.Dataset(variables, coords, attrs | {"quantity": portrait.quantity} | dict(portrait.attrs))
