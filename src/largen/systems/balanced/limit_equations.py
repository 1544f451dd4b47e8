"""The limit's equations as pure JAX functions: index-reduced for any rank, in closed form for full rank.

`limit.solve` calls them for one model; they can also be vmapped and differentiated. Source: MacLaurin & Vilanova 2024;
derived in docs/balanced.md (eqs. B5, B8, B9, and B11 for full rank).
"""

import enum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from largen.checks import InputError, one_of
from largen.numerics import ode
from largen.numerics.roots import solve_small
from largen.parameters import TimeSeries
from largen.systems.balanced import manifold
from largen.systems.balanced.gains import Logistic, Probit
from largen.systems.balanced.manifold import Structure, at, rates

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork

_GRID = 1024


class Outcome(enum.IntEnum):
    """How a trajectory from a start on the manifold ended; the values differ from those of `manifold.Outcome`."""

    COMPLETED = 0
    BALANCE_LOST = 10
    MAX_STEPS_REACHED = 11


class Trajectory(NamedTuple):
    """A solution of the limit; infinite at times after `stopped_at`.

    Attributes:
        mean: v, shape (time, P).
        variance: K, shape (time, P).
        rate: F(v, K), shape (time, P).
        fast_matrix: Q^T D R, shape (time, r, r).
        imbalance: Largest entry of A F + h relative to its parts, shape (time,); zero but for the solver's error.
        code: A value of `Outcome`, or one of `manifold.Outcome` other than FOUND where there is no start.
        stopped_at: Time at which balance was lost, else infinite.
        oscillates: Whether a complex pair lost its stability there (else the manifold folds).
    """

    mean: jax.Array
    variance: jax.Array
    rate: jax.Array
    fast_matrix: jax.Array
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


def rhs(time: Any, state: Any, args: Any) -> tuple[jax.Array, jax.Array]:
    """Right-hand side of the index-reduced limit (eqs. B5 and B9), (dv/dt, dK/dt).

        dv/dt = -v/tau + m + R lambda,    dK/dt = -2K/tau + [q alpha^2] F + sigma^2,

    and lambda keeps the constraint c = Q^T F + htilde: dc/dt = -c/min(tau). The right-hand side of this is 0 on the
    manifold; it lets rounding errors decay.

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
    if parts.conditions.shape[0] == 0:
        return leak, change

    def strong(t: Any) -> Any:
        return manifold.coordinates(parts.basis, at(model.drive, t))

    tilde, moving = (
        (strong(time), 0.0) if not callable(model.drive) else jax.jvp(strong, (time,), (jnp.ones_like(time),))
    )
    constraint = parts.conditions @ rate + tilde
    bracket = parts.conditions @ (slope * leak + 0.5 * curvature * change) + moving + constraint / jnp.min(model.tau)
    return leak - parts.basis @ solve_small(manifold.fast_matrix(parts, slope), bracket), change


def variance_change(model: "BalancedNetwork", parts: manifold.Balance, k: jax.Array, rate: jax.Array) -> jax.Array:
    """dK/dt = -2K/tau + sum_b q_b alpha_ab^2 F_b + sigma^2 (eq. B5), shape (P,)."""
    return -2.0 * k / model.tau + parts.variance_coupling @ rate + jnp.asarray(model.noise) ** 2


def trajectory(
    model: "BalancedNetwork",
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
        max_steps: Steps after which the flow to the manifold counts as not converged, or the solver stops.
    """
    require_double()
    structure = manifold.structure(model) if structure is None else structure
    times = jnp.asarray(times)
    variance = jnp.asarray(model.initial_variance)
    start = manifold.project(model, structure, model.initial_mean, variance, times[0], max_steps)
    route = choose_route(model, structure, route)
    if route == "explicit":
        return _explicit(model, times, start, structure)
    parts = manifold.balance(model, structure.columns)
    safe = jax.lax.cond(
        start.code == manifold.Outcome.FOUND, lambda: times, lambda: times[0] + 1e-12 * (times - times[0])
    )
    args = (model, parts, structure.nodes)
    path = ode.integrate(
        rhs,
        (start.mean, variance),
        safe,
        args,
        rtol=rtol,
        atol=atol,
        event=_balance_lost if structure.columns else None,
        breaks=breaks(model),
        derivative=derivative,
        max_steps=max_steps,
    )
    code = jnp.where(
        path.code == ode.Outcome.EVENT,
        Outcome.BALANCE_LOST,
        jnp.where(path.code == ode.Outcome.MAX_STEPS_REACHED, Outcome.MAX_STEPS_REACHED, Outcome.COMPLETED),
    )
    slope = rates(model.gain, path.last[0], path.last[1], structure.nodes, 1)
    _, imaginary = manifold.rightmost(manifold.fast_matrix(parts, slope))
    return _finish(model, parts, structure, times, path.values, start.code, code, path.stopped_at, imaginary > 0)


def choose_route(model: "BalancedNetwork", structure: Structure, route: str) -> str:
    """The route that "auto" means for this model; refuses "explicit" where there is no closed form."""
    one_of("route", route, ("auto", "reduced", "explicit"))
    possible = (
        len(structure.columns) == len(model.gain)
        and not callable(model.drive)
        and all(isinstance(gain, Logistic | Probit) for gain in model.gain)
    )
    if route == "explicit" and not possible:
        raise InputError(
            "Argument `route` must be 'reduced' or 'auto' here, but is 'explicit': the closed form needs a coupling "
            "of full rank, a constant drive, and Logistic or Probit gains."
        )
    return ("explicit" if possible else "reduced") if route == "auto" else route


def breaks(model: "BalancedNetwork") -> Any:
    """Times at which a drive or an input has a kink."""
    series = [value.times for value in (model.drive, model.input) if isinstance(value, TimeSeries)]
    return jnp.sort(jnp.concatenate([jnp.asarray(s) for s in series])) if series else None


def _margin(parts: manifold.Balance, slope: jax.Array) -> jax.Array:
    """Real part of the rightmost fast eigenvalue; at a fold, where it vanishes as a square root, a little more."""
    real, imaginary = manifold.rightmost(manifold.fast_matrix(parts, slope))
    return real + jnp.where(imaginary == 0, 1e-5, 0.0) * manifold.stiffness(parts, slope)


def _balance_lost(time: Any, state: Any, args: Any) -> jax.Array:
    model, parts, nodes = args
    return _margin(parts, rates(model.gain, state[0], state[1], nodes, 1))


def _explicit(
    model: "BalancedNetwork", times: jax.Array, start: manifold.Projection, structure: Structure
) -> Trajectory:
    """Full rank (eq. B11): F = -A^(-1) h is pinned, K relaxes linearly, v_b = F_b^(-1)(phi_b; K_b)."""
    parts = manifold.balance(model, structure.columns)
    pinned = -manifold.coordinates(parts.coupling, jnp.asarray(model.drive))
    tau = jnp.broadcast_to(model.tau, pinned.shape)
    final = 0.5 * tau * (parts.variance_coupling @ pinned + jnp.asarray(model.noise) ** 2)

    def state(time: Any) -> tuple[jax.Array, jax.Array]:
        k = final + (model.initial_variance - final) * jnp.exp(-2.0 * (time - times[0]) / tau)
        each = [gain.inverse(pinned[b], k[b], structure.nodes) for b, gain in enumerate(model.gain)]
        return jnp.stack(each), k

    def margin(time: Any) -> jax.Array:
        v, k = state(time)
        return manifold.rightmost(manifold.fast_matrix(parts, rates(model.gain, v, k, structure.nodes, 1)))[0]

    stopped_at = _first_rise(margin, times, jnp.min(tau))
    lost = jnp.isfinite(stopped_at)
    values = jax.vmap(state)(times)
    values = jax.tree.map(lambda x: jnp.where((times > stopped_at)[:, None], jnp.inf, x), values)
    code = jnp.where(lost, Outcome.BALANCE_LOST, Outcome.COMPLETED)
    return _finish(model, parts, structure, times, values, start.code, code, stopped_at, jnp.array(True))


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
    model: "BalancedNetwork",
    parts: manifold.Balance,
    structure: Structure,
    times: jax.Array,
    values: tuple[jax.Array, jax.Array],
    start: jax.Array,
    code: jax.Array,
    stopped_at: jax.Array,
    oscillates: jax.Array,
) -> Trajectory:
    mean, variance = values

    def derived(t: Any, v: Any, k: Any) -> Any:
        rate = rates(model.gain, v, k, structure.nodes)
        drive = at(model.drive, t)
        size = jnp.max(jnp.abs(parts.coupling) @ rate + jnp.abs(drive))
        matrix = manifold.fast_matrix(parts, rates(model.gain, v, k, structure.nodes, 1))
        return rate, matrix, jnp.max(jnp.abs(parts.coupling @ rate + drive)) / jnp.where(size == 0, 1.0, size)

    rate, fast, imbalance = jax.vmap(derived)(times, mean, variance)
    found = start == manifold.Outcome.FOUND
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
