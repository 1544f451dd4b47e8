"""One periodic orbit at the model's own parameters, from a simulation of the limit or from a guess."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from largen.bifurcation.branches import equations_of
from largen.bifurcation.equations import Followable, require_followable
from largen.bifurcation.observables import common_attrs, evaluate, observe
from largen.bifurcation.refinement import (
    SAMPLES,
    integrated,
    one_turn,
    refined,
    sampled_along,
    spirals_in,
    trivial_error,
    widths,
)
from largen.checks import LimitError, real, require
from largen.numerics.continuation import collocation, shooting
from largen.numerics.continuation.corrector import NotConverged, correct
from largen.numerics.continuation.problem import Point, point_at
from largen.system import Dynamics, Form

WINDOWS = (1.0, 4.0, 16.0, 64.0)
"""Windows that are tried for a flow where none was given, in default windows."""
ACCEPTED_OF_STEPS = 0.1
"""Error of the multiplier along an orbit of steps beyond which it is refused; more steps need a smaller dt."""
NEAR = 0.08
"""An orbit returns when it comes this close to its start, as a fraction of its size."""
PHASES = 400
"""Phases at which the orbit of a flow is given."""
SHOWN = 8
"""Leading multipliers kept."""


@eqx.filter_jit
def _run_steps(rhs: Callable, x: Any, p: Any, dt: Any, count: Any) -> Any:
    return shooting.Repeated(rhs)(x, count * dt, p, count)


@eqx.filter_jit
def _sample_steps(rhs: Callable, x: Any, p: Any, dt: Any, count: int) -> Any:
    return jax.lax.scan(lambda y, _: (rhs(y, p, dt), y), x, None, length=count)[1]


def limit_cycle(
    system: Followable,
    *,
    start: Any = None,
    n: int | None = None,
    settle: float | None = None,
    window: float | None = None,
    **options: Any,
) -> xr.Dataset:
    """Find the periodic orbit to which the limit settles, and its Floquet multipliers.

    Args:
        system: A SpikingNetwork, a BalancedNetwork (with `n`), a `Flow`, or a `Map` with dt.
        start: State from which to simulate; by default one near the stationary state, or the reduction at rest.
        n: Total number of neurons.
        settle: Time to wait before looking (the system's unit); by default 2000 ms, or 100.
        window: Time in which a period must lie; by default 200 ms, or 50, and for a flow up to 3200 if need be.
        options: As for `follow`.

    Returns:
        Dataset with `period`; the observables' mean over the orbit, `_low` and `_high`; `orbit_<name>` (phase,
        component); multipliers `multiplier_real` and `multiplier_imag`; the `trivial_multiplier` along the orbit (1 up
        to the error made); `stable`; `unknowns` (phase, unknown), from which `follow` can start.

    Raises:
        LimitError: The limit comes to rest, spirals into a stationary state or does not return, Newton's method fails,
            or the multiplier along the orbit shows that it is not exact; the message says which.
    """
    require_followable(system)
    with jax.enable_x64(True):
        dynamics = system.dynamics(None, n=n, **options)
        require(
            dynamics.form.has_cycles, "system", "be a flow or a step of one", dynamics.form.value,
            "The limit of a BalancedNetwork has stationary states only: give `n` for its equations at finite size.",
        )  # fmt: skip
        stepped = dynamics.form is Form.STEP
        settle = (2000.0 if stepped else 100.0) if settle is None else real("settle", settle, low=0.0)
        given = window is not None
        window = (200.0 if stepped else 50.0) if window is None else real("window", window, above=0.0)
        guess = _near_stationary(dynamics) if start is None else np.array(start, dtype=float)
        orbit_of = _orbit_of_steps if stepped else _orbit_of_flow
        return _label(system, dynamics, orbit_of(dynamics, guess, settle, window, given), n)


def _orbit_of_steps(dynamics: Dynamics, guess: np.ndarray, settle: float, window: float, given: bool) -> Point:
    times, path = _path(dynamics, guess, settle, window)
    period, orbit = _returning(dynamics, times, path)
    problem, z = _problem(dynamics, orbit, period, 1.0, 0.0)
    row = np.append(np.zeros(len(z) - 1), 1.0)
    try:
        z, linear, _ = correct(problem, z, row, most=20)
        point = point_at(problem, z, row, linear)
    except NotConverged as failure:
        raise _not_refined(period, failure, "Give a longer `settle`, or a smaller `dt`.") from failure
    if trivial_error(point) > ACCEPTED_OF_STEPS:
        raise LimitError(
            f"The orbit of period {period:.6g} is not exact enough: the multiplier along it, which must be 1, is off "
            f"by {trivial_error(point):.2g}. Give a longer `settle`, or a smaller `dt`."
        )
    return point


def _orbit_of_flow(dynamics: Dynamics, guess: np.ndarray, settle: float, window: float, given: bool) -> Point:
    """The orbit to which a flow settles; a window that was not given grows until it holds a period.

    Raises:
        LimitError: See `limit_cycle`.
    """
    x = integrated(dynamics, guess, np.linspace(0.0, settle, SAMPLES), 0.0)[-1] if settle else guess
    for longer in (1.0,) if given else WINDOWS:
        times, path = sampled_along(dynamics, x, longer * window, 0.0)
        try:
            period, orbit = _returning(dynamics, times, path)
            break
        except _NoReturn:
            if longer == WINDOWS[-1] or given:
                raise
    if spirals_in(dynamics, times, path, period):
        raise LimitError(
            f"There is no orbit: the limit spirals into a stationary state, with turns of {period:.6g}. Give another "
            "`start`."
        )
    try:
        return refined(dynamics, one_turn(dynamics, orbit[0], period, 0.0), 1.0, 0.0)
    except NotConverged as failure:
        remedy = "Give a longer `settle`; or the limit is chaotic or quasi-periodic, which `lyapunov` tells."
        raise _not_refined(period, failure, remedy) from failure


def _not_refined(period: float, failure: NotConverged, remedy: str) -> LimitError:
    return LimitError(f"The orbit of period {period:.6g} was not refined: {failure} {remedy}")


def _near_stationary(dynamics: Dynamics) -> np.ndarray:
    """A state near the stationary one; in a flow off it, but with the same conserved quantities."""
    state = dynamics.starts(0.0)[0]
    if dynamics.form is Form.STEP:
        return state
    push = np.random.default_rng(0).standard_normal(len(state)) * 0.01 * dynamics.scale
    rows = equations_of(dynamics, 1.0).conserved
    return state + push - rows.T @ (rows @ push)


def _path(dynamics: Dynamics, x: np.ndarray, settle: float, window: float) -> tuple[np.ndarray, np.ndarray]:
    """States of steps over the window, after settling."""
    p, dt, step = jnp.zeros(()), np.asarray(dynamics.dt), float(dynamics.dt or 1.0)
    x = np.asarray(_run_steps(dynamics.rhs, x, p, dt, np.asarray(max(round(settle / step), 1))))
    count = max(round(window / step), 4)
    return step * np.arange(count), np.asarray(_sample_steps(dynamics.rhs, x, p, dt, count))


class _NoReturn(LimitError):
    """The limit did not come back within the window."""


def _returning(dynamics: Dynamics, times: np.ndarray, path: np.ndarray) -> tuple[float, np.ndarray]:
    """Period and states of the first return to the start of the path.

    Raises:
        LimitError: The path rests or does not return.
    """
    scaled = path / dynamics.scale
    size = float(np.max(np.linalg.norm(scaled - scaled.mean(axis=0), axis=1)))
    if not np.isfinite(size) or size < 1e-6:
        raise LimitError("There is no orbit: the limit comes to rest. Give another `start`, or a longer `window`.")
    if dynamics.form is Form.FLOW:  # all components count alike, however far they move
        scaled = path / widths(dynamics, path)
        size = float(np.max(np.linalg.norm(scaled - scaled.mean(axis=0), axis=1)))
    # Begin where the flow is fastest, so that a return is sharp.
    speed = np.linalg.norm(np.diff(scaled[: len(scaled) // 2], axis=0), axis=1) / np.diff(times[: len(scaled) // 2])
    first = int(np.argmax(speed))
    away = np.linalg.norm(scaled[first:] - scaled[first], axis=1) / size
    left = int(np.argmax(away > 0.3)) if np.any(away > 0.3) else len(away)
    inner = (away[1:-1] <= away[:-2]) & (away[1:-1] <= away[2:]) & (away[1:-1] < 1.0)
    minima = [int(k) for k in np.flatnonzero(inner) + 1 if k + 1 > left]
    passed = [_passing(scaled[first:], k) for k in minima]
    best = min((distance for distance, _ in passed), default=np.inf) / size
    for k, (distance, late) in zip(minima, passed, strict=True):
        if distance <= size * min(max(3.0 * best, 0.01), NEAR):  # the first return about as close as any
            at = first + k
            step = 0.5 * float(times[at + 1] - times[at - 1])
            return float(times[at] - times[first] - late * step), path[first : at + 1]
    raise _NoReturn(
        f"No orbit was found: within {times[-1] - times[0]:g} the limit does not return to where it was. "
        "Give a longer `window` or `settle`."
    )


def _passing(path: np.ndarray, k: int) -> tuple[float, float]:
    """How closely the path passes its first state near sample k, and by how many samples k is late."""
    along = 0.5 * (path[k + 1] - path[k - 1])
    speed = float(np.linalg.norm(along)) + 1e-300
    gap = path[k] - path[0]
    late = float(gap @ along) / speed
    return float(np.linalg.norm(gap - late * along / speed)), late / speed


def _problem(
    dynamics: Dynamics, orbit: np.ndarray, period: float, span: float, p: float
) -> tuple[collocation.Cycles | shooting.Shooting, np.ndarray]:
    """The problem of cycles near the states of one period, equally spaced in time, and its unknowns."""
    equations = equations_of(dynamics, span)
    if dynamics.form is Form.STEP:
        steps = np.diff(orbit, axis=0)
        slowest = int(np.argmin(np.linalg.norm(steps / dynamics.scale, axis=1)))
        x = orbit[slowest]
        return shooting.Shooting(equations, x, steps[slowest], period), np.concatenate([x, [period, p]])
    closed = orbit.copy()
    share = np.linspace(0.0, 1.0, len(orbit))
    closed += share[:, None] * (orbit[0] - orbit[-1])
    mesh = _mesh(closed / dynamics.scale, share)
    places = collocation.phases(mesh)
    states = np.column_stack([np.interp(places, share, column) for column in closed.T])
    problem = collocation.Cycles(equations, collocation.Orbit(states, mesh), period)
    return problem, np.concatenate([states.ravel(), [period, p]])


def _mesh(path: np.ndarray, share: np.ndarray) -> np.ndarray:
    """A mesh with equal lengths of the path in its intervals, and some of the time."""
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    total = np.append(0.0, np.cumsum(steps / np.sum(steps) + 0.5 * np.diff(share)))
    return np.interp(np.linspace(0.0, total[-1], collocation.INTERVALS + 1), total, share)


def start_at(
    dynamics: Dynamics, orbit: xr.Dataset, span: float
) -> tuple[collocation.Cycles | shooting.Shooting, np.ndarray]:
    """The problem of cycles at a Dataset of `limit_cycle`, and its unknowns."""
    states, period = orbit["unknowns"].values, float(orbit["period"])
    if dynamics.form is Form.FLOW:
        try:
            point = refined(dynamics, one_turn(dynamics, states[0], period, dynamics.value), span, dynamics.value)
        except (LimitError, NotConverged):  # too unstable to be integrated
            pass
        else:
            assert isinstance(point.problem, collocation.Cycles)
            return point.problem, point.z
    closed = np.vstack([states, states[:1]])
    return _problem(dynamics, closed, period, span, dynamics.value)


def _states(dynamics: Dynamics, point: Point) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """States along the orbit, shape (phase, m), and the length of a step where there is one."""
    problem = point.problem
    if isinstance(problem, shooting.Shooting):
        dt = np.asarray(point.period / problem.count)
        return np.asarray(_sample_steps(dynamics.rhs, point.z[:-2], np.zeros(()), dt, problem.count)), (dt,)
    assert isinstance(problem, collocation.Cycles)
    return problem.parts(point.z)[0].at(np.arange(PHASES) / PHASES), ()


def _label(system: Followable, dynamics: Dynamics, point: Point, n: int | None) -> xr.Dataset:
    states, step = _states(dynamics, point)
    every = [evaluate(dynamics.observe, x, np.zeros(()), step) for x in states]
    observed = observe(dynamics, point)
    if observed.fault:
        raise LimitError(dynamics.faults[observed.fault])
    dim = dynamics.observables[0].dims[0]
    values: dict[str, Any] = {"period": ((), point.period, {"units": dynamics.time_unit or "1", "long_name": "period"})}
    for observable in dynamics.observables:
        name, note = observable.name, {"units": observable.unit, "long_name": observable.long_name}
        for suffix, part in (("", "mean"), ("_low", "low"), ("_high", "high")):
            values[name + suffix] = (dim, getattr(observed, part)[name], note)
        values[f"orbit_{name}"] = (("phase", dim), np.array([np.asarray(one[name]) for one in every]), note)
    multipliers = point.spectrum[""][:SHOWN]
    values["multiplier_real"] = ("mode", np.real(multipliers), {"long_name": "multiplier, real part"})
    values["multiplier_imag"] = ("mode", np.imag(multipliers), {"long_name": "multiplier, imaginary part"})
    values["trivial_multiplier"] = ((), float(point.spectrum["_trivial"][0].real), {"long_name": "should be 1"})
    values["stable"] = ((), point.unstable == 0)
    values["unknowns"] = (("phase", "unknown"), states, {"long_name": "states along the orbit"})
    coords = {dim: list(dynamics.coordinates), "phase": np.arange(len(states)) / len(states)}
    return xr.Dataset(values, coords, common_attrs("limit cycle", system, dynamics, n))
