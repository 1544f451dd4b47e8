"""From a simulated turn of a flow to its periodic orbit: states where they are needed, and as many intervals.

A relaxation oscillation spends almost all its time beside a curve and jumps in between, up to 1e4 times as fast. So the
turn is sampled at equal lengths of its path, not of time, and the orbit is solved on meshes of 30 to 480 intervals
until the multiplier along it, which must be 1, is.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.interpolate

from largen.bifurcation.branches import equations_of, states
from largen.checks import LimitError
from largen.numerics import ode
from largen.numerics.continuation import collocation
from largen.numerics.continuation.corrector import NotConverged, correct
from largen.numerics.continuation.problem import Point, point_at
from largen.numerics.continuation.stationary import Stationary
from largen.system import Dynamics

SAMPLES = 4000
"""States at which a simulated flow is sampled."""
INTERVALS = (collocation.INTERVALS, 60, 120, 240, 480)
"""Numbers of intervals that are tried in turn."""
EXACT, ACCEPTED = 1e-5, 1e-2
"""Error of the multiplier along the orbit at which more intervals are not needed, and beyond which it is refused."""
NOT_ISOLATED = 1e-7
"""Distance of a second multiplier from 1 below which an orbit is one of a family."""
TURNS = 3
"""Turns in which the period is made exact, and the state comes nearer to the orbit."""
SAME_RATE = 0.2
"""Relative difference within which a decay is that of a stationary state's slowest mode."""


class Turn(NamedTuple):
    """One turn of a flow.

    Attributes:
        times: From 0 to the period, shape (SAMPLES,), dense where the flow is fast.
        states: States there, shape (SAMPLES, m).
        slopes: Their derivatives in time, shape (SAMPLES, m).
    """

    times: np.ndarray
    states: np.ndarray
    slopes: np.ndarray

    @property
    def period(self) -> float:
        """Its length in time."""
        return float(self.times[-1])


@eqx.filter_jit
def _sampled(rhs: Callable, x: Any, p: Any, times: Any) -> tuple[Any, Any]:
    path = ode.integrate(
        lambda t, y, args: args[0](y, args[1]), x, times, (rhs, p), rtol=1e-8, atol=1e-10, solver="kvaerno5",
        max_steps=200_000,
    )  # fmt: skip
    return path.values, path.code


@eqx.filter_jit
def _slopes(rhs: Callable, x: Any, p: Any) -> Any:
    return jax.vmap(lambda y: rhs(y, p))(x)


def integrated(dynamics: Dynamics, x: np.ndarray, times: np.ndarray, p: float) -> np.ndarray:
    """States of a flow at SAMPLES times from x.

    Raises:
        LimitError: The solver does not get there.
    """
    path, code = _sampled(dynamics.rhs, jnp.asarray(x), jnp.asarray(float(p)), jnp.asarray(times))
    path = np.asarray(path)
    if int(code) != ode.Outcome.COMPLETED or not np.all(np.isfinite(path)):
        raise LimitError(
            f"The equations could not be integrated over {times[-1] - times[0]:g}: the state leaves to infinity, or "
            "they are too stiff. Give another `start`."
        )
    return path


def widths(dynamics: Dynamics, path: np.ndarray) -> np.ndarray:
    """How far each component of a path moves, shape (m,); a thousandth of the scaled whole at least."""
    reach = np.ptp(path, axis=0) / dynamics.scale
    return np.maximum(reach, max(1e-3 * float(reach.max()), 1e-300)) * dynamics.scale


def sampled_along(dynamics: Dynamics, x: np.ndarray, duration: float, p: float) -> tuple[np.ndarray, np.ndarray]:
    """Times and states over a duration, at equal lengths of a path in state and time."""
    times = np.linspace(0.0, duration, SAMPLES)
    path = integrated(dynamics, x, times, p)
    for _ in range(2):
        length = np.linalg.norm(np.diff(path / widths(dynamics, path), axis=0), axis=1)
        total = np.append(0.0, np.cumsum(length / max(length.sum(), 1e-300) + 0.5 * np.diff(times) / duration))
        times = np.interp(np.linspace(0.0, total[-1], SAMPLES), total, times)
        path = integrated(dynamics, x, times, p)
    return times, path


def one_turn(dynamics: Dynamics, x: np.ndarray, period: float, p: float) -> Turn:
    """The turn from x, whose period is nearly known.

    Raises:
        LimitError: The flow does not return to the section through x.
    """
    guess = period
    for _ in range(TURNS):
        end = integrated(dynamics, x, np.linspace(0.0, period, SAMPLES), p)[-1]
        here, there = np.asarray(_slopes(dynamics.rhs, np.stack([x, end]), np.asarray(p))) / dynamics.scale
        late = float(((end - x) / dynamics.scale) @ here / (here @ there)) if here @ there > 0 else 0.0
        if not abs(late) < 0.2 * guess:
            break
        period, x = period - late, end
    times, path = sampled_along(dynamics, x, period, p)
    return Turn(times, path, np.asarray(_slopes(dynamics.rhs, jnp.asarray(path), jnp.asarray(float(p)))))


def refined(dynamics: Dynamics, turn: Turn, span: float, p: float) -> Point:
    """The periodic orbit near a turn, on the fewest intervals that suffice.

    Raises:
        NotConverged: Newton's method reaches none with any number of intervals.
        LimitError: The multiplier along the orbit is not 1.
    """
    states = turn.states + np.linspace(0.0, 1.0, SAMPLES)[:, None] * (turn.states[0] - turn.states[-1])
    spline = scipy.interpolate.CubicHermiteSpline(turn.times / turn.period, states, turn.slopes * turn.period)
    failure, best, missed = NotConverged(np.nan, 0), None, np.inf
    for count in INTERVALS:
        try:
            point = _solved(dynamics, spline, turn.period, count, span, p)
        except NotConverged as error:
            failure = error
            continue
        error_here = trivial_error(point)
        if error_here < missed:
            best, missed = point, error_here
        if missed < EXACT:
            break
    if best is None:
        raise failure
    others = best.spectrum[""]
    if len(others) and np.abs(others - 1.0).min() < NOT_ISOLATED:
        raise LimitError(
            f"The orbit of period {best.period:.6g} is not isolated: a second multiplier is 1 to rounding. It is one "
            "of a family (as of an oscillator without damping), or at a fold."
        )
    if missed > ACCEPTED:
        raise LimitError(
            f"The orbit of period {best.period:.6g} is not exact enough: with {INTERVALS[-1]} intervals the multiplier "
            f"along it, which must be 1, is off by {missed:.2g}."
        )
    return best


def _solved(dynamics: Dynamics, spline: Any, period: float, count: int, span: float, p: float) -> Point:
    """The orbit on `count` intervals, the mesh first from the spline, then from the orbit itself."""
    equations = equations_of(dynamics, span)
    mesh = _mesh(dynamics, spline, count)
    guess = collocation.Orbit(spline(collocation.phases(mesh)), mesh)
    for _ in range(2):
        mesh = collocation.better_mesh(guess, dynamics.scale, count)
        guess = collocation.Orbit(spline(collocation.phases(mesh)), mesh)
    problem = collocation.Cycles(equations, guess, period)
    z = np.concatenate([guess.states.ravel(), [period, p]])
    row = np.append(np.zeros(len(z) - 1), 1.0)
    z, linear, _ = correct(problem, z, row, most=20)
    return point_at(problem, z, row, linear)


def _mesh(dynamics: Dynamics, spline: Any, count: int) -> np.ndarray:
    """Equal lengths of the path and some of the time in each interval."""
    length = np.linalg.norm(np.diff(spline.c[-1] / dynamics.scale, axis=0), axis=1)
    share = spline.x[:-1]
    total = np.append(0.0, np.cumsum(length / length.sum() + 0.5 * np.diff(share)))
    total = np.append(total, total[-1] + (spline.x[-1] - share[-1]))
    return np.interp(np.linspace(0.0, total[-1], count + 1), total, spline.x)


def trivial_error(point: Point) -> float:
    """How far the multiplier along an orbit is from 1."""
    return float(np.abs(point.spectrum["_trivial"][0] - 1.0))


def spirals_in(dynamics: Dynamics, times: np.ndarray, path: np.ndarray, period: float) -> bool:
    """Whether a path falls towards a stationary state, by as much in every turn as that state's slowest mode decays."""
    if times[-1] - times[0] < 2.0 * period:
        return False
    late = times > times[-1] - period
    found = states(dynamics, 0.0, [path[late].mean(axis=0)])
    if not found:
        return False
    away = np.linalg.norm((path - found[0]) / dynamics.scale, axis=1)
    before = float(away[times < times[0] + period].max())
    after = float(away[late].max())
    problem = Stationary(equations_of(dynamics, 1.0), found[0], discrete=False)
    z = np.append(found[0], 0.0)
    rate = float(np.real(problem.spectrum(z, problem.linearise(z)[1])[""]).max())
    decay = np.log(max(after, 1e-300) / max(before, 1e-300))
    expected = rate * (times[-1] - times[0] - period)
    return rate < 0 and decay < 0 and abs(decay - expected) < SAME_RATE * abs(expected)
