"""Initial value problems of ordinary differential equations by diffrax, and the way along a flow to its rest."""

import enum
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx


class Outcome(enum.IntEnum):
    """How a solution ended: at the last time, at the event, or because the solver made no progress."""

    COMPLETED = 0
    EVENT = 1
    MAX_STEPS_REACHED = 2


class Path(NamedTuple):
    """A solution at the times asked for.

    Attributes:
        values: The state at each time, shape (time, ...); infinite after `stopped_at`.
        stopped_at: Time of the event (or of the last step before the solver stopped), infinite when completed.
        last: The state there (at the last time when completed).
        code: A value of `Outcome`.
        steps: Number of steps tried.
    """

    values: Any
    stopped_at: jax.Array
    last: Any
    code: jax.Array
    steps: jax.Array


def _solver(name: str, rtol: float, atol: float) -> diffrax.AbstractSolver:
    if name == "tsit5":
        return diffrax.Tsit5()
    if name == "dopri8":
        return diffrax.Dopri8()
    return diffrax.Kvaerno5(root_finder=optx.Newton(rtol=rtol, atol=atol, norm=optx.max_norm))


def _rising(event: Callable[[Any, Any, Any], Any]) -> diffrax.Event:
    return diffrax.Event(
        lambda t, y, args, **_: event(t, y, args), optx.Bisection(rtol=1e-13, atol=1e-13), direction=True
    )


def integrate(
    rhs: Callable[[Any, Any, Any], Any],
    start: Any,
    times: Any,
    args: Any = None,
    *,
    rtol: Any,
    atol: Any,
    solver: Literal["tsit5", "dopri8", "kvaerno5"] = "tsit5",
    event: Callable[[Any, Any, Any], Any] | None = None,
    breaks: Any = None,
    derivative: Literal["reverse", "forward"] = "reverse",
    max_steps: int = 16_384,
) -> Path:
    """Integrate dy/dt = rhs(t, y, args) from times[0] with an adaptive step; pure, for use inside jit.

    Args:
        rhs: Right-hand side.
        start: State at times[0], an array or a pytree.
        times: Output times, shape (time,), increasing.
        args: What the right-hand side and the event need; derivatives are taken with respect to it.
        rtol: Relative tolerance of a step.
        atol: Absolute tolerance of a step.
        solver: Explicit of order 5 ("tsit5") or 8 ("dopri8", for tight tolerances), or "kvaerno5" for stiff problems.
        event: Real function of (t, y, args); the solution ends where it first rises through zero, found to rounding.
        breaks: Times at which the right-hand side is not smooth, shape (any,), sorted: steps end there.
        derivative: Which derivatives are wanted through the solution: "reverse" (grad) or "forward" (jvp).
        max_steps: Steps after which the solver stops.
    """
    times = jnp.asarray(times)
    controller: Any = diffrax.PIDController(rtol=rtol, atol=atol)
    if breaks is not None:
        controller = diffrax.ClipStepSizeController(controller, jump_ts=breaks)
    end = diffrax.SubSaveAt(t1=True)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(rhs),
        _solver(solver, rtol, atol),
        t0=times[0],
        t1=times[-1],
        dt0=None,
        y0=start,
        args=args,
        saveat=diffrax.SaveAt(subs=(diffrax.SubSaveAt(ts=times), end)),
        stepsize_controller=controller,
        adjoint=diffrax.ForwardMode() if derivative == "forward" else diffrax.RecursiveCheckpointAdjoint(),
        event=None if event is None else _rising(event),
        max_steps=max_steps,
        throw=False,
    )
    stopped = solution.result == diffrax.RESULTS.event_occurred
    failed = ~(stopped | (solution.result == diffrax.RESULTS.successful))
    code = jnp.where(stopped, Outcome.EVENT, jnp.where(failed, Outcome.MAX_STEPS_REACHED, Outcome.COMPLETED))
    saved, times_saved = cast(Any, solution.ys), cast(Any, solution.ts)
    return Path(
        values=saved[0],
        stopped_at=jnp.where(code == Outcome.COMPLETED, jnp.inf, times_saved[1][0]),
        last=jax.tree.map(lambda y: y[0], saved[1]),
        code=code,
        steps=solution.stats["num_steps"],
    )


# Dormand & Prince 1980, table 2: the stages' weights (the last row is the solution of order 5) and the error's.
# A seventh column of zeros, so that every stage is a product with all seven slopes.
_STAGES = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0],
        [1 / 5, 0, 0, 0, 0, 0, 0],
        [3 / 40, 9 / 40, 0, 0, 0, 0, 0],
        [44 / 45, -56 / 15, 32 / 9, 0, 0, 0, 0],
        [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0, 0, 0],
        [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0, 0],
        [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0],
    ]
)
_ERROR = np.array([71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40])


class Rest(NamedTuple):
    """Where a flow was left.

    Attributes:
        state: The state, shape (r,).
        reached: Whether it is at rest.
        time: Time along the flow.
        steps: Number of steps tried.
    """

    state: jax.Array
    reached: jax.Array
    time: jax.Array
    steps: jax.Array


def follow_to_rest(
    flow: Callable[[Any], jax.Array],
    start: jax.Array,
    at_rest: Callable[[Any], jax.Array],
    horizon: Any,
    *,
    rtol: float,
    atol: float,
    max_steps: int,
) -> Rest:
    """Follow dx/ds = flow(x) by the method of Dormand & Prince until at_rest(x), the horizon or the last step.

    Where only the end matters, and no derivative: one stage is traced in place of diffrax's whole solution, whose
    compilation takes longer than that of all the rest of a balanced limit.

    Args:
        flow: Right-hand side, shape (r,); nothing in it may carry derivatives.
        start: Start, shape (r,).
        at_rest: Whether a state counts as at rest.
        horizon: Time along the flow at which to give up.
        rtol: Relative tolerance of a step.
        atol: Absolute tolerance of a step.
        max_steps: Steps after which to give up.
    """
    stages, weights = jnp.asarray(_STAGES), jnp.asarray(_ERROR)

    def slopes(x: jax.Array, h: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(
            0, 7, lambda i, k: k.at[i].set(flow(x + h * (stages[i] @ k))), jnp.zeros((7, len(start)))
        )

    def going(carry: Any) -> jax.Array:
        here, _ = carry
        return ~here.reached & (here.time < horizon) & (here.steps < max_steps)

    def step(carry: Any) -> Any:
        here, h = carry
        k = slopes(here.state, h)
        new = here.state + h * (stages[6] @ k)
        scale = atol + rtol * jnp.maximum(jnp.abs(here.state), jnp.abs(new))
        error = jnp.sqrt(jnp.mean((h * (weights @ k) / scale) ** 2))
        taken = error <= 1.0  # not where it is NaN
        state = jnp.where(taken, new, here.state)
        factor = jnp.where(jnp.isfinite(error), jnp.clip(0.9 * jnp.maximum(error, 1e-10) ** -0.2, 0.2, 10.0), 0.2)
        end = Rest(state, at_rest(state), here.time + jnp.where(taken, h, 0.0), here.steps + 1)
        return end, jnp.minimum(h * factor, jnp.maximum(horizon - end.time, 1e-9 * horizon))

    begin = Rest(start, at_rest(start), jnp.zeros(()), jnp.zeros((), int))
    return jax.lax.while_loop(going, step, (begin, 1e-9 * jnp.asarray(horizon)))[0]
