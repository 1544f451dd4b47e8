"""The limit's equations as pure JAX functions: index-reduced for any rank, in closed form for full rank.

MV 2024, theorem 2.1. `limit.solve` calls them for one model; they are also there to be vmapped and differentiated.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from largen.checks import InputError, one_of
from largen.numerics import ode
from largen.numerics.roots import solve_small
from largen.parameters import TimeSeries
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
    return leak - parts.directions @ solve_small(manifold.fast_matrix(parts, slope), bracket), change


def variance_change(model: Any, parts: manifold.Balance, k: jax.Array, rate: jax.Array) -> jax.Array:
    """dK/dt = -2K/tau + sum_b q_b alpha_ab^2 F_b + sigma^2, shape (P,)."""
    return -2.0 * k / model.tau + parts.second @ rate + jnp.asarray(model.noise) ** 2


def trajectory(
    model: Any,
    times: Any,
    *,
    rtol: Any = 1e-8,
    atol: Any = 1e-10,
    structure: Structure | None = None,
    route: str = "auto",
    derivative: Literal["reverse", "forward"] = "reverse",
    max_steps: int = manifold.MOST_STEPS,
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
        max_steps: Steps after which the flow to the manifold counts as restless, or the solver gives up.
    """
    require_double()
    shape = manifold.structure(model) if structure is None else structure
    times = jnp.asarray(times)
    variance = jnp.asarray(model.initial_variance)
    start = manifold.project(model, shape, model.initial_mean, variance, times[0], max_steps)
    route = choose_route(model, shape, route)
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
        max_steps=max_steps,
    )
    code = jnp.where(
        path.code == ode.Outcome.EVENT,
        LOST,
        jnp.where(path.code == ode.Outcome.MAX_STEPS_REACHED, GAVE_UP, COMPLETED),
    )
    slope = rates(model.gain, path.last[0], path.last[1], shape.nodes, 1)
    _, imaginary = manifold.rightmost(manifold.fast_matrix(parts, slope))
    return _finish(model, parts, shape, times, path.values, start.code, code, path.stopped_at, imaginary > 0)


def choose_route(model: Any, shape: Structure, route: str) -> str:
    """The route that "auto" means for this model; refuses "explicit" where there is no closed form."""
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
    return _margin(parts, rates(model.gain, state[0], state[1], nodes, 1))


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
        v, k = state(time)
        return manifold.rightmost(manifold.fast_matrix(parts, rates(model.gain, v, k, shape.nodes, 1)))[0]

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
