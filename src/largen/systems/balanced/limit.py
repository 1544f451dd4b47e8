"""The hydrodynamic limit of the balanced network: means and variances on the balanced manifold.

MV 2024, theorem 2.1; general rank by the index-reduced equations, full rank in closed form.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError, LimitError, one_of
from largen.numerics import ode
from largen.system import Arrays, TimeSeries
from largen.systems.balanced import manifold
from largen.systems.balanced.gains import Logistic, Probit
from largen.systems.balanced.manifold import Structure, at, rates

COMPLETED, LOST, GAVE_UP = 0, 10, 11
"""Codes of a trajectory beyond those of `manifold.project`: to the end, balance lost on the way, solver stuck."""

_GRID = 1024


class Trajectory(NamedTuple):
    """A solution of the limit; infinite at times after `stopped_at`.

    Attributes:
        mean: v, shape (time, P).
        variance: K, shape (time, P).
        rate: F(v, K), shape (time, P).
        fast: Q^T D R, shape (time, r, r).
        imbalance: Largest entry of A F + h relative to its parts, shape (time,); zero but for the solver's error.
        code: COMPLETED, LOST, GAVE_UP or an outcome of `manifold.project` other than FOUND.
        stopped_at: Time at which balance was lost, else infinite.
        oscillates: Whether a complex pair lost its stability there (else the manifold folds).
    """

    mean: jax.Array
    variance: jax.Array
    rate: jax.Array
    fast: jax.Array
    imbalance: jax.Array
    code: jax.Array
    stopped_at: jax.Array
    oscillates: jax.Array


def require_double() -> None:
    """Refuse single precision: the equations are needed to 1e-10."""
    if jnp.result_type(float) != jnp.float64:
        raise InputError(
            "The balanced limit must be solved in double precision, but JAX is in single precision here. "
            "Wrap the call in `with jax.enable_x64(True):`."
        )


def field(time: Any, state: Any, args: Any) -> tuple[jax.Array, jax.Array]:
    """Index-reduced limit equations, (dv/dt, dK/dt).

    dv/dt = -v/tau + m + R lambda, dK/dt = -2K/tau + [q alpha^2] F + sigma^2, and lambda keeps the constraint
    c = Q^T F + htilde: dc/dt = -c/min(tau), where the right side, zero on the manifold, lets rounding errors decay.

    Args:
        time: Time.
        state: (v, K), each of shape (P,).
        args: (model, Balance, nodes).
    """
    v, k = state
    model, parts, nodes = args
    rate, slope, curvature = (rates(model.gain, v, k, nodes, order) for order in range(3))
    leak = -v / model.tau + at(model.input, time)
    change = variance_change(model, parts, k, rate)
    if parts.weights.shape[0] == 0:
        return leak, change

    def strong(t: Any) -> Any:
        return manifold.coordinates(parts.directions, at(model.drive, t))

    tilde, moving = (
        (strong(time), 0.0) if not callable(model.drive) else jax.jvp(strong, (time,), (jnp.ones_like(time),))
    )
    constraint = parts.weights @ rate + tilde
    bracket = parts.weights @ (slope * leak + 0.5 * curvature * change) + moving + constraint / jnp.min(model.tau)
    return leak - parts.directions @ _solve_small(manifold.fast_matrix(parts, slope), bracket), change


def variance_change(model: Any, parts: manifold.Balance, k: jax.Array, rate: jax.Array) -> jax.Array:
    """dK/dt = -2K/tau + sum_b q_b alpha_ab^2 F_b + sigma^2, shape (P,)."""
    return -2.0 * k / model.tau + parts.second @ rate + jnp.asarray(model.noise) ** 2


def _solve_small(matrix: jax.Array, vector: jax.Array) -> jax.Array:
    return vector / matrix[0] if matrix.shape[0] == 1 else jnp.linalg.solve(matrix, vector)


def trajectory(
    model: Any,
    times: Any,
    *,
    rtol: Any = 1e-8,
    atol: Any = 1e-10,
    structure: Structure | None = None,
    route: str = "auto",
    derivative: str = "reverse",
) -> Trajectory:
    """Solve the limit as a pure JAX function: jit, vmap over models, and gradients work through it.

    Derivatives are along changes of parameters that keep the rank.

    Args:
        model: A BalancedNetwork; its numbers may be traced.
        times: Output times, shape (time,).
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        structure: From `manifold.structure(model)`, computed outside the transformation.
        route: "reduced" (any rank), "explicit" (full rank, constant drive, built-in gains) or "auto".
        derivative: "reverse" for jax.grad, "forward" for jax.jvp and jax.jacfwd.
    """
    require_double()
    shape = manifold.structure(model) if structure is None else structure
    times = jnp.asarray(times)
    variance = jnp.asarray(model.initial_variance)
    start = manifold.project(model, shape, model.initial_mean, variance, times[0])
    route = _choose(model, shape, route)
    if route == "explicit":
        return _explicit(model, times, start, shape)
    parts = manifold.balance(model, shape.columns)
    safe = jax.lax.cond(start.code == manifold.FOUND, lambda: times, lambda: times[0] + 1e-12 * (times - times[0]))
    args = (model, parts, shape.nodes)
    path = ode.integrate(
        field,
        (start.mean, variance),
        safe,
        args,
        rtol=rtol,
        atol=atol,
        event=_balance_lost if shape.columns else None,
        breaks=breaks(model),
        derivative=derivative,
    )
    code = jnp.where(path.code == ode.EVENT, LOST, jnp.where(path.code == ode.GAVE_UP, GAVE_UP, COMPLETED))
    slope = rates(model.gain, path.last[0], path.last[1], shape.nodes, 1)
    _, imaginary = manifold.rightmost(manifold.fast_matrix(parts, slope))
    return _finish(model, parts, shape, times, path.values, start.code, code, path.stopped_at, imaginary > 0)


def _choose(model: Any, shape: Structure, route: str) -> str:
    one_of("route", route, ("auto", "reduced", "explicit"))
    possible = (
        len(shape.columns) == len(model.gain)
        and not callable(model.drive)
        and all(isinstance(gain, Logistic | Probit) for gain in model.gain)
    )
    if route == "explicit" and not possible:
        raise InputError(
            "Argument `route` must be 'reduced' or 'auto' here, but is 'explicit': the closed form needs a coupling "
            "of full rank, a constant drive, and Logistic or Probit gains."
        )
    return ("explicit" if possible else "reduced") if route == "auto" else route


def breaks(model: Any) -> Any:
    """Times at which a drive or an input has a kink."""
    series = [value.times for value in (model.drive, model.input) if isinstance(value, TimeSeries)]
    return jnp.sort(jnp.concatenate([jnp.asarray(s) for s in series])) if series else None


def _margin(parts: manifold.Balance, slope: jax.Array) -> jax.Array:
    """Real part of the rightmost fast eigenvalue; at a fold it vanishes as a square root, so a little before."""
    real, imaginary = manifold.rightmost(manifold.fast_matrix(parts, slope))
    return real + jnp.where(imaginary == 0, 1e-5, 0.0) * manifold.stiffness(parts, slope)


def _balance_lost(time: Any, state: Any, args: Any) -> jax.Array:
    model, parts, nodes = args
    return _margin(parts, rates(model.gain, *state, nodes, 1))


def _explicit(model: Any, times: jax.Array, start: manifold.Projection, shape: Structure) -> Trajectory:
    """Full rank: F = -A^(-1) h is pinned, K relaxes linearly, v_b = F_b^(-1)(phi_b; K_b)."""
    parts = manifold.balance(model, shape.columns)
    pinned = -manifold.coordinates(parts.first, jnp.asarray(model.drive))
    tau = jnp.broadcast_to(model.tau, pinned.shape)
    final = 0.5 * tau * (parts.second @ pinned + jnp.asarray(model.noise) ** 2)

    def state(time: Any) -> tuple[jax.Array, jax.Array]:
        k = final + (model.initial_variance - final) * jnp.exp(-2.0 * (time - times[0]) / tau)
        each = [gain.inverse(pinned[b], k[b], shape.nodes) for b, gain in enumerate(model.gain)]
        return jnp.stack(each), k

    def margin(time: Any) -> jax.Array:
        return manifold.rightmost(manifold.fast_matrix(parts, rates(model.gain, *state(time), shape.nodes, 1)))[0]

    stopped_at = _first_rise(margin, times, jnp.min(tau))
    lost = jnp.isfinite(stopped_at)
    values = jax.vmap(state)(times)
    values = jax.tree.map(lambda x: jnp.where((times > stopped_at)[:, None], jnp.inf, x), values)
    code = jnp.where(lost, LOST, COMPLETED)
    return _finish(model, parts, shape, times, values, start.code, code, stopped_at, jnp.array(True))


def _first_rise(function: Any, times: jax.Array, tau: Any) -> jax.Array:
    """First time at which a function of time rises through zero, by a grid and bisection; infinite without one."""
    span = times[-1] - times[0]
    early = times[0] + jnp.minimum(span, tau * jnp.geomspace(1e-3, 50.0, _GRID // 2))
    grid = jnp.sort(jnp.concatenate([jnp.linspace(times[0], times[-1], _GRID // 2), early]))
    above = jax.vmap(function)(grid) > 0
    k = jnp.argmax(above)

    def halve(_: int, bracket: Any) -> Any:
        low, high = bracket
        middle = 0.5 * (low + high)
        up = function(middle) > 0
        return jnp.where(up, low, middle), jnp.where(up, middle, high)

    _, time = jax.lax.fori_loop(0, 60, halve, (grid[jnp.maximum(k - 1, 0)], grid[k]))
    return jnp.where(jnp.any(above), time, jnp.inf)


def _finish(
    model: Any,
    parts: manifold.Balance,
    shape: Structure,
    times: jax.Array,
    values: tuple[jax.Array, jax.Array],
    start: jax.Array,
    code: jax.Array,
    stopped_at: jax.Array,
    oscillates: jax.Array,
) -> Trajectory:
    mean, variance = values

    def derived(t: Any, v: Any, k: Any) -> Any:
        rate = rates(model.gain, v, k, shape.nodes)
        drive = at(model.drive, t)
        size = jnp.max(jnp.abs(parts.first) @ rate + jnp.abs(drive))
        matrix = manifold.fast_matrix(parts, rates(model.gain, v, k, shape.nodes, 1))
        return rate, matrix, jnp.max(jnp.abs(parts.first @ rate + drive)) / jnp.where(size == 0, 1.0, size)

    rate, fast, imbalance = jax.vmap(derived)(times, mean, variance)
    found = start == manifold.FOUND
    return Trajectory(
        mean,
        variance,
        rate,
        fast,
        imbalance,
        jnp.where(found, code, start),
        jnp.where(found, stopped_at, times[0]),
        oscillates,
    )


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
        check_functions(model, times)
        shape = manifold.structure(model)
        route = _choose(model, shape, route)
        result = _trajectory(model, times, rtol=np.array(rtol), atol=np.array(atol), structure=shape, route=route)
        result = jax.tree.map(np.asarray, result)
        code = int(result.code)
        if code in _REFUSALS:
            raise LimitError(_REFUSALS[code] + _balanced_state(model, times[0], shape, code), t=float(times[0]))
    return _arrays(result, times, shape, route, rtol, code)


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


def check_functions(model: Any, times: np.ndarray) -> None:
    """Refuse a drive or input function whose value has another shape or is not finite."""
    count = len(model.gain)
    for name in ("drive", "input"):
        value = getattr(model, name)
        if callable(value):
            first, last = (np.asarray(at(value, jnp.asarray(t))) for t in (times[0], times[-1]))
            if first.shape != (count,) or not np.all(np.isfinite([first, last])):
                raise InputError(
                    f"Argument `{name}` must be a function of time with {count} finite values, one per population, "
                    f"but gives {first.tolist()} at time {times[0]:g} and {last.tolist()} at {times[-1]:g}."
                )


def _arrays(result: Trajectory, times: np.ndarray, shape: Structure, route: str, rtol: float, code: int) -> Arrays:
    stopped = float(result.stopped_at) if code != COMPLETED else None
    kept = times <= (np.inf if stopped is None else stopped)
    kept &= np.all(np.isfinite(result.mean), axis=1)
    kept[0] = True
    worst = float(np.max(result.imbalance[kept]))
    if not worst < max(1e-6, 1e3 * rtol):
        raise LimitError(
            f"The limit left the balanced manifold (relative imbalance {worst:.1e}): the drive must be a continuous "
            "function of time. Give a TimeSeries, or solve piece by piece, each with its own start."
        )
    eigenvalues = np.linalg.eigvals(result.fast[kept])
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
        return f"the balanced manifold folds at time {stopped:.10g}: a fast eigenvalue reached zero and the mean jumps there"
    if code == GAVE_UP:
        return f"the solver made no progress beyond time {stopped:.10g}"
    return "completed"
