"""The hydrodynamic limit of the balanced network: solve it for one model, check it, or say why there is none."""

from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import LimitError
from largen.system import Arrays
from largen.system.values import COMPLETED
from largen.systems.balanced import manifold
from largen.systems.balanced.gains import Logistic, Probit
from largen.systems.balanced.limit_equations import Outcome, Trajectory, choose_route, trajectory
from largen.systems.balanced.manifold import Structure, at, rates

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork

_trajectory = eqx.filter_jit(trajectory)

_REFUSALS = {
    manifold.Outcome.OUT_OF_RANGE: (
        "There is no balanced limit: the drive lies outside the range of the coupling, so that no rates can cancel it "
        "and means grow as sqrt(n).",
        "Change the drive into that range, or the coupling to full rank.",
    ),
    manifold.Outcome.ESCAPED: (
        "There is no balanced limit from this start: the fast flow dv/ds = A F(v, K) + h escapes to infinity, and the "
        "network's means grow as sqrt(n).",
        "Change the initial means, the coupling or the drive, or solve at finite n.",
    ),
    manifold.Outcome.NOT_CONVERGED: (
        "There is no balanced limit from this start: the fast flow dv/ds = A F(v, K) + h does not come to rest.",
        "Change the initial means, or solve at finite n.",
    ),
    manifold.Outcome.UNSTABLE: (
        "There is no balanced limit from this start: the balanced state is unstable (a fast eigenvalue has a positive "
        "real part, as at a saddle), and the network leaves it at a speed of order sqrt(n).",
        "Change the initial means or the coupling, or solve at finite n.",
    ),
    manifold.Outcome.DEGENERATE: (
        "There is no deterministic limit: a fast eigenvalue is zero, as in a network whose populations are alike, so "
        "that nothing holds the balance.",
        "Make couplings, gains or time constants differ.",
    ),
}
"""Why there is no limit, and what to do."""


def solve(model: "BalancedNetwork", times: np.ndarray, *, rtol: float, atol: float, route: str = "auto") -> Arrays:
    """Solve the limit of one model and check what came out.

    Args:
        model: A BalancedNetwork.
        times: Output times, shape (time,), increasing.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        route: See `trajectory`.

    Raises:
        LimitError: No limit exists from this start; the message says why.
    """
    with jax.enable_x64(True):
        manifold.check_functions(model, times)
        structure = manifold.structure(model)
        route = choose_route(model, structure, route)
        options = {"rtol": np.array(rtol), "atol": np.array(atol), "structure": structure, "route": route}
        result = jax.tree.map(np.asarray, _trajectory(model, times, **options))
        return finished(model, result, times, structure, route, rtol)


def finished(
    model: "BalancedNetwork", result: Trajectory, times: np.ndarray, structure: Structure, route: str, rtol: float
) -> Arrays:
    """Check and label a trajectory, or raise the reason why there is none; inside `jax.enable_x64(True)`."""
    code = int(result.code)
    if code in _REFUSALS:
        reason, remedy = _REFUSALS[manifold.Outcome(code)]
        state = _balanced_state(model, times[0], structure, code)
        raise LimitError(f"{reason}{state} {remedy}", t=float(times[0]))
    return _arrays(model, result, times, structure, route, rtol)


def worst_imbalance(rtol: float) -> float:
    """Largest relative imbalance of a solution that is still on the manifold."""
    return max(1e-6, 1e3 * rtol)


def _balanced_state(model: "BalancedNetwork", time: float, structure: Structure, code: int) -> str:
    """At full rank, what is wrong with the only balanced state."""
    if len(structure.columns) < len(model.gain) or code in (manifold.Outcome.DEGENERATE, manifold.Outcome.OUT_OF_RANGE):
        return ""
    parts = manifold.balance(model, structure.columns)
    pinned = np.asarray(-manifold.coordinates(parts.coupling, at(model.drive, time)))
    bound = np.array([float(gain.bound) for gain in model.gain])
    if not np.all((pinned > 0) & (pinned < bound)):
        return f" Balance needs the rates {pinned.round(4).tolist()}, which must lie between 0 and {bound.tolist()}."
    if not all(isinstance(gain, Logistic | Probit) for gain in model.gain):
        return ""
    k = model.initial_variance
    v = jnp.stack([gain.inverse(pinned[b], k[b], structure.nodes) for b, gain in enumerate(model.gain)])
    fast = np.linalg.eigvals(np.asarray(manifold.fast_matrix(parts, rates(model.gain, v, k, structure.nodes, 1))))
    kind = (
        "a saddle" if np.any(fast.real < 0) and np.any(fast.real > 0) else "unstable" if np.any(fast.real > 0) else ""
    )
    shown = ", ".join(f"{x.real:.4g}" + (f"{x.imag:+.4g}i" if x.imag else "") for x in sorted(fast, key=_order))
    return f" The only balanced state is {kind}: its fast eigenvalues are {shown}." if kind else ""


def _layer(model: "BalancedNetwork", result: Trajectory, eigenvalues: np.ndarray) -> float:
    """Duration times sqrt(N) of the boundary layer in which a network that starts off the manifold falls onto it.

    The fast flow relaxes at the rate sqrt(n) |Re fast|, n = N/P; ten such times leave 5e-5 of the gap.
    """
    gap = np.max(np.abs(result.mean[0] - model.initial_mean))
    if gap < 1e-6:
        return 0.0
    return float(10.0 * np.sqrt(len(model.gain)) / np.min(np.abs(np.real(eigenvalues[:, 0]))))


def _arrays(
    model: "BalancedNetwork", result: Trajectory, times: np.ndarray, structure: Structure, route: str, rtol: float
) -> Arrays:
    """The trajectory by observable, up to where it stopped."""
    code = int(result.code)
    stopped = float(result.stopped_at) if code != Outcome.COMPLETED else None
    kept = times <= (np.inf if stopped is None else stopped)
    kept &= np.all(np.isfinite(result.mean), axis=1)
    kept[0] = True
    worst = float(np.max(result.imbalance[kept]))
    if not worst < worst_imbalance(rtol):
        raise LimitError(
            f"The limit left the balanced manifold (relative imbalance {worst:.1e}): the drive must be a continuous "
            "function of time. Give a TimeSeries, or solve piece by piece, each with its own start."
        )
    eigenvalues = np.asarray(np.linalg.eigvals(result.fast_matrix[kept]))
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
            raise LimitError(f"The limit's {name} is not finite. Take smaller tolerances.", t=stopped)
    attrs = {
        "route": route,
        "rank": len(structure.columns),
        "quadrature_nodes": structure.nodes,
        "max_imbalance": worst,
    }
    attrs["layer"] = _layer(model, result, eigenvalues)
    coords = {"mode": np.arange(len(structure.columns))}
    return Arrays(values, coords, attrs, _status(result, code, stopped), stopped)


def _order(eigenvalue: complex) -> tuple[float, float]:
    return (-eigenvalue.real, -eigenvalue.imag)


def _status(result: Trajectory, code: int, stopped: float | None) -> str:
    if code == Outcome.BALANCE_LOST and result.oscillates:
        return (
            f"balance lost its stability at time {stopped:.10g}: a pair of fast eigenvalues crossed the imaginary axis"
        )
    if code == Outcome.BALANCE_LOST:
        return f"the balanced manifold folds at time {stopped:.10g}: a fast eigenvalue reached zero, the mean jumps"
    if code == Outcome.MAX_STEPS_REACHED:
        return f"the solver made no progress beyond time {stopped:.10g}"
    return COMPLETED
