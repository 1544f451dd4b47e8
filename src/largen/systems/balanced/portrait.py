"""The plane of the population means: the balanced manifold, its folds, stationary states, nullclines at finite n.

The variances are held fixed. Where the strong inputs cancel is the balanced manifold: a curve at rank one, single
points at full rank.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from largen.checks import require
from largen.numerics.contours import along, crossings, zero_curves
from largen.statistics.labels import ordered
from largen.system import Portrait
from largen.systems.balanced import finite_size, manifold, stationary

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork

_MARGIN = 3.0  # the window reaches so many widths of a gain beyond its threshold


def draw_up(
    model: "BalancedNetwork",
    runs: Mapping[str, xr.Dataset],
    *,
    n: int | None,
    window: np.ndarray | None,
    points: int,
    start: float | None,
    variance: Any,
) -> Portrait:
    """The phase portrait of two populations in the plane of their means.

    Args:
        model: A BalancedNetwork with constant drive and input.
        runs: Datasets by source.
        n: Total number of neurons for the nullclines, or None.
        window: Lowest and highest value of each axis, shape (axis, edge), or None.
        points: Points of the grid in each direction.
        start: Time from which orbits are drawn, or None.
        variance: Variances at which the manifold is cut, shape (population,); None for their mean over the orbits,
            else those of the first stationary state, else the initial ones.
    """
    require(len(model.populations) == 2, "system", "have two populations", list(model.populations))
    for name in ("drive", "input"):
        require(not callable(getattr(model, name)), name, "be constant for a portrait", getattr(model, name))
    orbits = {name: _late(ordered(run, model.populations, name), name, start) for name, run in runs.items()}
    states = stationary.fixed_points(model)
    k, origin = _variance(model, orbits, states, variance)
    structure = manifold.structure(model)
    parts = manifold.balance(model, structure.columns)
    drive = jnp.asarray(model.drive)
    edges = _default_window(model, k, orbits, states) if window is None else window
    x, y = (np.linspace(edge[0], edge[1], points) for edge in edges)
    args = (model, parts, jnp.asarray(k), manifold.coordinates(parts.basis, drive), structure.nodes, None)
    missing = []
    more: dict[str, Any] = {}
    if bool(manifold.out_of_range(parts, drive)) or not structure.columns:
        missing.append("no balanced manifold: the drive lies outside the range of the coupling")
    else:
        more = _manifold(args, len(structure.columns), x, y)
        if not more:
            missing.append("no balanced manifold in this window at these variances")
    if n is None:
        missing.append("no nullclines: they belong to a finite n, which was not given")
    return Portrait(
        axes=(model.populations[0], model.populations[1]),
        window=edges,
        quantity="mean state of {}",
        orbits={name: (run["mean"].values, run["time"].values) for name, run in orbits.items()},
        field=None if n is None else _field(model, n, args),
        states=(states.mean, states.stable),
        more=more,
        missing=tuple(missing),
        attrs={"variance": k, "variance_from": origin, "n": float("inf") if n is None else n},
    )


def _imbalance(point: Any, args: Any) -> Any:
    """Q^T F(v, K) + htilde, shape (rank,)."""
    model, parts, k, strong, nodes, _ = args
    return parts.conditions @ manifold.rates(model.gain, point, k, nodes) + strong


def _balance_first(point: Any, args: Any) -> Any:
    return _imbalance(point, args)[0]


def _balance_second(point: Any, args: Any) -> Any:
    return _imbalance(point, args)[1]


def _fast(point: Any, args: Any) -> Any:
    """Real part of the rightmost fast eigenvalue."""
    model, parts, k, _, nodes, _ = args
    return manifold.rightmost(manifold.fast_matrix(parts, manifold.rates(model.gain, point, k, nodes, 1)))[0]


def _fold(point: Any, args: Any) -> Any:
    return jnp.stack([_balance_first(point, args), _fast(point, args)])


def _means(args: Any, point: Any) -> Any:
    """Velocity of the means at finite n, variances fixed and no skewness."""
    model, parts, k, _, nodes, n = args
    return finite_size.rhs(0.0, (point, k, jnp.zeros(2)), (model, parts, n, 0.0, nodes))[0]


def _field(model: "BalancedNetwork", n: int, args: Any) -> Any:
    sizes = jnp.asarray(model.sizes(n).astype(np.float64))
    mine = (model, manifold.balance(model, (0, 1), sizes), args[2], None, args[4], jnp.mean(sizes))
    return jax.tree_util.Partial(_means, mine)


def _late(run: xr.Dataset, name: str, start: float | None) -> xr.Dataset:
    known = "mean" in run and "variance" in run and "population" in run["mean"].dims
    require(known, name, "be a run with `mean` and `variance` of populations", run.attrs.get("system", "a Dataset"))
    part = run.sel(time=slice(start, None)) if start is not None else run
    require(part.sizes["time"] >= 2, "start", "leave two times", start)
    return part.transpose(..., "population", "time")


def _variance(
    model: "BalancedNetwork", orbits: dict[str, xr.Dataset], states: stationary.FixedPoints, given: Any
) -> tuple[np.ndarray, str]:
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
    if len(states.variance):
        return states.variance[0], "first stationary state"
    return np.array(model.initial_variance), "initial"


def _default_window(
    model: "BalancedNetwork", k: np.ndarray, orbits: dict[str, xr.Dataset], states: stationary.FixedPoints
) -> np.ndarray:
    """Around the orbits, with as much again; without any, where the gains vary."""
    places = list(states.mean)
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
        "manifold": (("point", "axis"), line, "1", "balanced manifold at these variances"),
        "manifold_margin": (("point",), margin, "1", "real part of the rightmost fast eigenvalue"),
        "manifold_stable": (("point",), margin < 0, "1", "whether the sheet attracts"),
        "manifold_piece": (
            ("point",),
            np.repeat(np.arange(len(curves)), [len(curve) for curve in curves]),
            "1",
            "number of the connected piece",
        ),
    }
    if len(folds):
        variables["fold"] = (("fold_number", "axis"), folds, "1", "folds of the balanced manifold")
    return variables
