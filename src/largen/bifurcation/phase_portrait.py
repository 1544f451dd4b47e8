"""The plane of excitation and inhibition: orbits, nullclines, stationary states, and the balanced manifold."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from largen.checks import InputError, integer, real, require
from largen.numerics.contours import along, crossings, on_grid, zero_curves
from largen.statistics.signals import read, smooth
from largen.system import AbstractSystem

_MARGIN = 3.0  # the window reaches so many widths of a gain beyond its threshold
_ARROWS = 25


def phase_portrait(
    system: AbstractSystem | Callable[[Any], Any],
    *,
    network: xr.Dataset | None = None,
    limit: xr.Dataset | None = None,
    finite: xr.Dataset | None = None,
    n: int | None = None,
    variance: Any = None,
    window: Any = None,
    points: int = 201,
    start: float | None = None,
    smoothing: float = 1.0,
) -> xr.Dataset:
    """Draw up the phase portrait in the plane of excitation (abscissa) and inhibition.

    - A BalancedNetwork of two populations, in the plane of their means, with the variances held fixed: the balanced
      manifold, where the strong inputs cancel (a curve at rank one, single points at full rank), with the real part of
      its rightmost fast eigenvalue (negative: the sheet attracts; times sqrt(n) it is a rate) and its folds, where
      that eigenvalue vanishes; the stationary states; with n, the nullclines of the means' equations.
    - A SpikingNetwork, in the plane of the smoothed rates: orbits only. Its state has hundreds of dimensions, so that
      there are no nullclines.
    - A JAX function of a point, shape (2,), to its velocity: nullclines and equilibria in a `window`.

    Args:
        system: The model, or the function.
        network: What `simulate` returned; its orbit is drawn.
        limit: What `solve_limit` returned.
        finite: What `solve_limit(..., n=...)` returned.
        n: Total number of neurons for the nullclines; by default the network's.
        variance: Variances at which the balanced manifold is cut, shape (population,); by default their mean over the
            orbits given after `start`, else those of the first stationary state, else the initial ones.
        window: ((lowest, highest), (lowest, highest)) of the two axes.
        points: Points of the grid in each direction, on which curves are first traced.
        start: Time from which orbits are drawn; by default the first.
        smoothing: S.d. (ms) of the Gaussian that smooths the rates of a spiking system.

    Returns:
        Dataset with the dim `axis` (two labels) and, where they exist: `network_orbit` (realisation, axis,
        network_time), `limit_orbit` and `finite_orbit` (axis, ..._time); `nullcline` (vertex, axis) with `nullcline_of`
        (the axis whose velocity vanishes) and `nullcline_piece`; `manifold` (point, axis) with `manifold_margin`,
        `manifold_stable`, `manifold_piece`; `fold` (fold, axis); `state` (state, axis) with `state_stable`; `velocity`
        (axis, grid_y, grid_x) for arrows. `attrs["status"]` says what does not exist.

    Raises:
        InputError: Another system or number of populations, or a function without a window.
    """
    points = integer("points", points, low=16)
    runs = {"network": network, "limit": limit, "finite": finite}
    runs = {name: run for name, run in runs.items() if run is not None}
    if not isinstance(system, AbstractSystem):
        require(callable(system), "system", "be a model or a function of a point", system)
        require(not runs, "network", "be left out for a function", list(runs))
        require(window is not None, "window", "be given for a function", window)
        with jax.enable_x64(True):
            return _of_function(system, _window(window), points)
    if system.system == "spiking":
        return _of_spiking(runs, start, real("smoothing", smoothing, above=0.0))
    if system.system != "balanced":
        raise InputError(
            f"analysis.phase_portrait needs an excitatory and an inhibitory population, but the model is a "
            f"{type(system).__name__}. Give it a SpikingNetwork, a BalancedNetwork or a function of the plane."
        )
    require(len(system.populations) == 2, "system", "have two populations", list(system.populations))
    size = n if n is not None or network is None else int(network.attrs["n"])
    with jax.enable_x64(True):
        return _of_balanced(system, runs, size, variance, window, points, start)


def _window(window: Any) -> np.ndarray:
    edges = np.asarray(window, np.float64)
    good = edges.shape == (2, 2) and np.all(np.isfinite(edges)) and np.all(edges[:, 0] < edges[:, 1])
    require(good, "window", "be ((lowest, highest), (lowest, highest))", window)
    return edges


# A function of the plane ---------------------------------------------------------------------------------------


def _first(point: Any, args: Any) -> Any:
    return jnp.asarray(args(point))[0]


def _second(point: Any, args: Any) -> Any:
    return jnp.asarray(args(point))[1]


def _both(point: Any, args: Any) -> Any:
    return jnp.asarray(args(point))


def _jacobian(point: Any, args: Any) -> Any:
    return jax.jacfwd(lambda p: jnp.asarray(args(p)))(point)


def _of_function(function: Callable[[Any], Any], window: np.ndarray, points: int) -> xr.Dataset:
    x, y = (np.linspace(edges[0], edges[1], points) for edges in window)
    shape = jax.eval_shape(lambda p: jnp.asarray(function(p)), np.zeros(2)).shape
    require(shape == (2,), "system", "return two velocities, shape (2,)", shape)
    curves = [zero_curves(part, x, y, function) for part in (_first, _second)]
    states = crossings(_both, curves[0], _second, function)
    variables = _nullclines(curves)
    if len(states):
        eigenvalues = np.linalg.eigvals(along(_jacobian, states, function))
        variables |= _states(states, np.all(eigenvalues.real < 0, axis=1))
    variables |= _velocity(_both, window, function)
    return _dataset(variables, ["x", "y"], window, "function", "", [])


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


def _velocity(field: Callable[[Any, Any], Any], window: np.ndarray, args: Any) -> dict[str, Any]:
    x, y = (np.linspace(edges[0], edges[1], _ARROWS) for edges in window)
    return {
        "grid_x": (("grid_x",), x, "first axis of the grid"),
        "grid_y": (("grid_y",), y, "second axis of the grid"),
        "velocity": (("axis", "grid_y", "grid_x"), np.asarray(on_grid(field, x, y, args)), "velocity"),
    }


# The spiking system --------------------------------------------------------------------------------------------


def _of_spiking(runs: dict[str, xr.Dataset], start: float | None, smoothing: float) -> xr.Dataset:
    require(len(runs) > 0, "network", "be given, or `limit`: a spiking system has orbits only", None)
    variables: dict[str, Any] = {}
    for name, run in runs.items():
        signals = read(run, start, whole=True)
        inhibitory = signals.inhibitory
        both = bool(np.any(inhibitory) and not np.all(inhibitory))
        require(both, name, "have excitatory and inhibitory populations", list(signals.populations))
        orbit = np.stack([smooth(signals.pooled(kind), signals.step, smoothing) for kind in (False, True)], axis=1)
        if "realisation" not in run["rate"].dims:
            orbit = orbit[0]
        variables |= _orbit(name, orbit, signals.times)
    low = np.array([[np.nanmin(variables[f"{name}_orbit"][1]) for name in runs]]).min()
    top = max(float(np.nanmax(variables[f"{name}_orbit"][1])) for name in runs)
    doubts = ["no nullclines: the reduction has hundreds of dimensions, of which this plane shows two"]
    window = np.array([[min(low, 0.0), 1.05 * top]] * 2)
    return _dataset(variables, ["e", "i"], window, "spiking", "Hz", doubts)


def _orbit(name: str, orbit: np.ndarray, times: np.ndarray) -> dict[str, Any]:
    lead = ("realisation",) if orbit.ndim == 3 else ()
    return {
        f"{name}_orbit": ((*lead, "axis", f"{name}_time"), orbit, f"orbit of the {name}"),
        f"{name}_time": ((f"{name}_time",), times, "time"),
    }


# The balanced network ------------------------------------------------------------------------------------------


def _imbalance(point: Any, args: Any) -> Any:
    """Q^T F(v, K) + htilde, shape (rank,)."""
    from largen.systems.balanced import manifold

    model, parts, k, strong, nodes, _ = args
    return parts.weights @ manifold.rates(model.gain, point, k, nodes) + strong


def _balance_first(point: Any, args: Any) -> Any:
    return _imbalance(point, args)[0]


def _balance_second(point: Any, args: Any) -> Any:
    return _imbalance(point, args)[1]


def _fast(point: Any, args: Any) -> Any:
    """Real part of the rightmost fast eigenvalue."""
    from largen.systems.balanced import manifold

    model, parts, k, _, nodes, _ = args
    return manifold.rightmost(manifold.fast_matrix(parts, manifold.rates(model.gain, point, k, nodes, 1)))[0]


def _fold(point: Any, args: Any) -> Any:
    return jnp.stack([_balance_first(point, args), _fast(point, args)])


def _means(point: Any, args: Any) -> Any:
    """Velocity of the means at finite n, variances fixed and no skewness."""
    from largen.systems.balanced import finite_size

    model, parts, k, _, nodes, n = args
    return finite_size.field(0.0, (point, k, jnp.zeros(2)), (model, parts, n, 0.0, nodes))[0]


def _means_first(point: Any, args: Any) -> Any:
    return _means(point, args)[0]


def _means_second(point: Any, args: Any) -> Any:
    return _means(point, args)[1]


def _of_balanced(
    model: Any,
    runs: dict[str, xr.Dataset],
    n: int | None,
    variance: Any,
    window: Any,
    points: int,
    start: float | None,
) -> xr.Dataset:
    from largen.systems.balanced import manifold

    for name in ("drive", "input"):
        require(not callable(getattr(model, name)), name, "be constant for a portrait", getattr(model, name))
    orbits = {name: _late(run, name, start) for name, run in runs.items()}
    stationary = model.fixed_points(None)
    k, origin = _variance(model, orbits, stationary, variance)
    shape = manifold.structure(model)
    parts = manifold.balance(model, shape.columns)
    drive = jnp.asarray(model.drive)
    edges = _default_window(model, k, orbits, stationary) if window is None else _window(window)
    x, y = (np.linspace(edge[0], edge[1], points) for edge in edges)
    args = (model, parts, jnp.asarray(k), manifold.coordinates(parts.directions, drive), shape.nodes, None)
    doubts = []
    variables: dict[str, Any] = {}
    for name, run in orbits.items():
        variables |= _orbit(name, run["mean"].values, run["time"].values)
    if bool(manifold.out_of_range(parts, drive)) or not shape.columns:
        doubts.append("no balanced manifold: the drive lies outside the range of the coupling")
    else:
        variables |= _manifold(args, len(shape.columns), x, y)
        if "manifold" not in variables:
            doubts.append("no balanced manifold in this window at these variances")
    if len(stationary.mean):
        variables |= _states(stationary.mean, stationary.stable)
    if n is None:
        doubts.append("no nullclines: they belong to a finite n, which was not given")
    else:
        variables |= _finite(model, n, args, edges, x, y)
    found = _dataset(variables, list(model.populations), edges, "balanced", "1", doubts)
    return found.assign_attrs(variance=k, variance_from=origin, n=float("inf") if n is None else n)


def _late(run: xr.Dataset, name: str, start: float | None) -> xr.Dataset:
    known = run.attrs.get("system") == "balanced" and "mean" in run and "variance" in run
    require(known, name, "be a run of a BalancedNetwork", run.attrs.get("system", "another Dataset"))
    part = run.sel(time=slice(start, None)) if start is not None else run
    require(part.sizes["time"] >= 2, "start", "leave two times", start)
    return part.transpose(..., "population", "time")


def _variance(model: Any, orbits: dict[str, xr.Dataset], stationary: Any, given: Any) -> tuple[np.ndarray, str]:
    """Variances at which the manifold is cut, and where they come from."""
    if given is not None:
        k = np.asarray(given, np.float64)
        require(k.shape == (2,) and np.all(k >= 0), "variance", "be two numbers of at least 0", given)
        return k, "given"
    for name in ("finite", "network", "limit"):
        if name in orbits:
            values = orbits[name]["variance"]
            late = values.isel(time=slice(values.sizes["time"] // 2, None))
            return late.mean([dim for dim in late.dims if dim != "population"]).values, f"mean over the {name}'s orbit"
    if len(stationary.variance):
        return stationary.variance[0], "first stationary state"
    return np.array(model.initial_variance), "initial"


def _default_window(model: Any, k: np.ndarray, orbits: dict[str, xr.Dataset], stationary: Any) -> np.ndarray:
    """Around the orbits, with as much again; without any, where the gains vary."""
    places = list(stationary.mean)
    for run in orbits.values():
        values = run["mean"]
        rest = [dim for dim in values.dims if dim != "population"]
        places += [values.min(rest).values, values.max(rest).values]
    if not orbits:
        width = np.sqrt(np.array([1.7 / float(gain.steepness) for gain in model.gain]) ** 2 + k)
        middle = np.array([float(np.asarray(getattr(gain, "threshold", 0.0))) for gain in model.gain])
        places += [middle - _MARGIN * width, middle + _MARGIN * width]
    low, high = np.min(places, axis=0), np.max(places, axis=0)
    spare = 0.5 * np.maximum(high - low, 0.2) if orbits else 0.0
    return np.stack([low - spare, high + spare], axis=1)


def _manifold(args: Any, rank: int, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    curves = zero_curves(_balance_first, x, y, args)
    folds = crossings(_fold, curves, _fast, args) if rank == 1 else np.zeros((0, 2))
    if rank == 2:
        found = crossings(_imbalance, curves, _balance_second, args)
        curves = [point[None] for point in found]
    if not curves:
        return {}
    line = np.concatenate(curves)
    margin = along(_fast, line, args)
    variables = {
        "manifold": (("point", "axis"), line, "balanced manifold at these variances"),
        "manifold_margin": (("point",), margin, "real part of the rightmost fast eigenvalue"),
        "manifold_stable": (("point",), margin < 0, "whether the sheet attracts"),
        "manifold_piece": (
            ("point",),
            np.repeat(np.arange(len(curves)), [len(curve) for curve in curves]),
            "number of the connected piece",
        ),
    }
    if len(folds):
        variables["fold"] = (("fold_number", "axis"), folds, "folds of the balanced manifold")
    return variables


def _finite(model: Any, n: int, args: Any, edges: np.ndarray, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    from largen.systems.balanced import manifold

    sizes = jnp.asarray(model.sizes(n).astype(np.float64))
    mine = (model, manifold.balance(model, (0, 1), sizes), args[2], None, args[4], jnp.mean(sizes))
    curves = [zero_curves(part, x, y, mine) for part in (_means_first, _means_second)]
    return _nullclines(curves) | _velocity(_means, edges, mine)


# Labels --------------------------------------------------------------------------------------------------------


def _dataset(
    table: dict[str, Any], axes: list[str], window: np.ndarray, system: str, unit: str, doubts: list[str]
) -> xr.Dataset:
    """Label; `unit` is that of the plane."""
    time = "ms" if system == "spiking" else "1"
    variables, coords = {}, {"axis": ("axis", axes, {"long_name": "axis of the plane"})}
    for name, (dims, values, text) in table.items():
        in_plane = "axis" in dims and name != "velocity"
        about = {"units": unit if in_plane else time if name.endswith("_time") else "1", "long_name": text}
        (coords if dims == (name,) else variables)[name] = (dims, values, about)
    variables["window"] = (("axis", "edge"), window, {"units": unit, "long_name": "window shown"})
    attrs = {"kind": "phase portrait", "system": system, "status": "; ".join(doubts) or "completed"}
    return xr.Dataset(variables, coords, attrs)
