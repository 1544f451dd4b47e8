"""The hydrodynamic limit of the balanced network: solve it, and say in a sentence why there is none."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import LimitError
from largen.system import Arrays
from largen.systems.balanced import manifold
from largen.systems.balanced.gains import Logistic, Probit
from largen.systems.balanced.limit_equations import COMPLETED, GAVE_UP, LOST, Trajectory, choose_route, trajectory
from largen.systems.balanced.manifold import Structure, at, rates

_trajectory = eqx.filter_jit(trajectory)

_REFUSALS = {
    manifold.OUT_OF_RANGE: "There is no balanced limit: the drive lies outside the range of the coupling, so that no "
    "rates can cancel it and means grow as sqrt(n). Change the drive into that range, or the coupling to full rank.",
    manifold.ESCAPED: "There is no balanced limit from this start: the fast flow dv/ds = A F(v, K) + h escapes to "
    "infinity, and the network's means grow as sqrt(n).",
    manifold.RESTLESS: "There is no balanced limit from this start: the fast flow dv/ds = A F(v, K) + h does not "
    "come to rest.",
    manifold.UNSTABLE: "There is no balanced limit from this start: the balanced state is unstable (a fast eigenvalue "
    "has a positive real part, as at a saddle), and the network leaves it at a speed of order sqrt(n).",
    manifold.DEGENERATE_START: "There is no deterministic limit: a fast eigenvalue is zero, as in a network whose "
    "populations are alike, so that nothing holds the balance. Make couplings, gains or time constants differ.",
}


def solve(model: Any, times: np.ndarray, *, rtol: float, atol: float, route: str = "auto") -> Arrays:
    """Solve the limit of one model and check what came out.

    Args:
        model: A BalancedNetwork.
        times: Output times, shape (time,), increasing.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        route: See `trajectory`.

    Raises:
        LimitError: No limit exists from this start; the sentence says why.
    """
    with jax.enable_x64(True):
        manifold.check_functions(model, times)
        shape = manifold.structure(model)
        route = choose_route(model, shape, route)
        options = {"rtol": np.array(rtol), "atol": np.array(atol), "structure": shape, "route": route}
        result = jax.tree.map(np.asarray, _trajectory(model, times, **options))
        return finished(model, result, times, shape, route, rtol)


def finished(model: Any, result: Trajectory, times: np.ndarray, shape: Structure, route: str, rtol: float) -> Arrays:
    """Check a trajectory and say in a sentence why there is none; inside `jax.enable_x64(True)`."""
    code = int(result.code)
    if code in _REFUSALS:
        raise LimitError(_REFUSALS[code] + _balanced_state(model, times[0], shape, code), t=float(times[0]))
    return _arrays(model, result, times, shape, route, rtol, code)


def worst_imbalance(rtol: float) -> float:
    """Largest relative imbalance of a solution that is still on the manifold."""
    return max(1e-6, 1e3 * rtol)


def _balanced_state(model: Any, time: float, shape: Structure, code: int) -> str:
    """At full rank, what is wrong with the one balanced state that there is."""
    if len(shape.columns) < len(model.gain) or code in (manifold.DEGENERATE_START, manifold.OUT_OF_RANGE):
        return ""
    parts = manifold.balance(model, shape.columns)
    pinned = np.asarray(-manifold.coordinates(parts.first, at(model.drive, time)))
    bound = np.array([float(gain.bound) for gain in model.gain])
    if not np.all((pinned > 0) & (pinned < bound)):
        return f" Balance needs the rates {pinned.round(4).tolist()}, which must lie between 0 and {bound.tolist()}."
    if not all(isinstance(gain, Logistic | Probit) for gain in model.gain):
        return ""
    k = model.initial_variance
    v = jnp.stack([gain.inverse(pinned[b], k[b], shape.nodes) for b, gain in enumerate(model.gain)])
    fast = np.linalg.eigvals(np.asarray(manifold.fast_matrix(parts, rates(model.gain, v, k, shape.nodes, 1))))
    kind = (
        "a saddle" if np.any(fast.real < 0) and np.any(fast.real > 0) else "unstable" if np.any(fast.real > 0) else ""
    )
    shown = ", ".join(f"{x.real:.4g}" + (f"{x.imag:+.4g}i" if x.imag else "") for x in sorted(fast, key=_order))
    return f" The only balanced state is {kind}: its fast eigenvalues are {shown}." if kind else ""


def _layer(model: Any, result: Trajectory, eigenvalues: np.ndarray) -> float:
    """Length times sqrt(N) of the boundary layer in which a network that starts off the manifold falls onto it.

    The fast flow relaxes at the rate sqrt(n) |Re fast|, n = N/P; ten such times leave 5e-5 of the gap.
    """
    gap = np.max(np.abs(result.mean[0] - model.initial_mean))
    if gap < 1e-6:
        return 0.0
    return float(10.0 * np.sqrt(len(model.gain)) / np.min(np.abs(np.real(eigenvalues[:, 0]))))


def _arrays(
    model: Any, result: Trajectory, times: np.ndarray, shape: Structure, route: str, rtol: float, code: int
) -> Arrays:
    stopped = float(result.stopped_at) if code != COMPLETED else None
    kept = times <= (np.inf if stopped is None else stopped)
    kept &= np.all(np.isfinite(result.mean), axis=1)
    kept[0] = True
    worst = float(np.max(result.imbalance[kept]))
    if not worst < worst_imbalance(rtol):
        raise LimitError(
            f"The limit left the balanced manifold (relative imbalance {worst:.1e}): the drive must be a continuous "
            "function of time. Give a TimeSeries, or solve piece by piece, each with its own start."
        )
    eigenvalues = np.asarray(np.linalg.eigvals(result.fast[kept]))
    order = np.lexsort((-eigenvalues.imag, -eigenvalues.real), axis=-1)
    eigenvalues = np.take_along_axis(eigenvalues, order, axis=-1).T
    values = {
        "mean": result.mean[kept].T,
        "variance": result.variance[kept].T,
        "third_cumulant": np.zeros_like(result.mean[kept].T),
        "rate": result.rate[kept].T,
        "fast_eigenvalues_real": eigenvalues.real.astype(np.float64),
        "fast_eigenvalues_imag": eigenvalues.imag.astype(np.float64),
    }
    for name, array in values.items():
        if not np.all(np.isfinite(array)):
            raise LimitError(f"The limit's {name} is not finite; try smaller tolerances.", t=stopped)
    attrs = {"route": route, "rank": len(shape.columns), "quadrature_nodes": shape.nodes, "max_imbalance": worst}
    attrs["layer"] = _layer(model, result, eigenvalues)
    coords = {"mode": np.arange(len(shape.columns))}
    return Arrays(values, coords, attrs, _status(result, code, stopped), stopped)


def _order(eigenvalue: complex) -> tuple[float, float]:
    return (-eigenvalue.real, -eigenvalue.imag)


def _status(result: Trajectory, code: int, stopped: float | None) -> str:
    if code == LOST and result.oscillates:
        return (
            f"balance lost its stability at time {stopped:.10g}: a pair of fast eigenvalues crossed the imaginary axis"
        )
    if code == LOST:
        return f"the balanced manifold folds at time {stopped:.10g}: a fast eigenvalue reached zero, the mean jumps"
    if code == GAVE_UP:
        return f"the solver made no progress beyond time {stopped:.10g}"
    return "completed"
