"""Initial value problems of ordinary differential equations, by diffrax."""

import enum
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast

import diffrax
import jax
import jax.numpy as jnp
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


def _rising(event: Callable[[Any, Any, Any], Any], locate: bool) -> diffrax.Event:
    if not locate:
        return diffrax.Event(lambda t, y, args, **_: event(t, y, args) > 0)
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
    locate: bool = True,
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
        event: Real function of (t, y, args); the solution ends where it first rises through zero.
        locate: Whether to find that time to rounding; otherwise the solution ends with the step that passed it,
            which is quicker to compile.
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
        event=None if event is None else _rising(event, locate),
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
