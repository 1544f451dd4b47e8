"""From a system's equations to curves: what starts where, what a point's observables are, where curves end."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError
from largen.numerics.continuation import AbstractProblem, Point, collocation, shooting, switching
from largen.numerics.continuation.points import FLOW, MAP, STEPS, Iterated, Stationary, eigenvector, newton
from largen.system import Dynamics, Form

MEANING = {
    "fold": "Two stationary states meet and vanish: beyond it the system jumps elsewhere.",
    "branch_point": "Another branch crosses this one; they exchange stability.",
    "hopf": "A stationary state changes its stability and a periodic orbit is born.",
    "period_doubling": "An orbit changes its stability and one of twice the period is born.",
    "neimark_sacker": "A fixed point changes its stability and a closed curve of quasi-periodic motion is born.",
    "fold_of_cycles": "Two periodic orbits meet and vanish: beyond it the oscillation ends or jumps.",
    "torus": "A periodic orbit changes its stability and a torus of quasi-periodic motion is born.",
    "manifold_fold": "The branch passes a fold of the balanced manifold: a fast eigenvalue is zero.",
    "balance_lost": "A pair of fast eigenvalues crosses the imaginary axis: balance is lost by oscillation.",
    "unclassified": "Something changes sign here that could not be named: look closer with smaller steps.",
    "not_smooth": "Stability jumps here: the equations are not smooth at this point.",
}
UNFOLLOWED = {
    "branch_point": "Another branch of orbits crosses this one. It is not followed: give `follow` an orbit on it "
    "(`limit_cycle` from a state beside this orbit) as `start`.",
    "torus": "A periodic orbit changes its stability and a torus of quasi-periodic motion is born. Tori are not "
    "followed: simulate the limit beyond this point to see them.",
    "neimark_sacker": "A fixed point changes its stability and a closed curve of quasi-periodic motion is born. Such "
    "curves are not followed: simulate the limit beyond this point to see them.",
}
"""What special points mean from which no branch is started."""


class Curve(NamedTuple):
    """A branch to follow.

    Attributes:
        problem: What is on it.
        z: Where it starts.
        along: In which direction.
        leave: Whether z is a special point from which to step away.
        kind: "stationary" or "cycle".
        origin: Index of the special point from which it comes, or -1.
    """

    problem: AbstractProblem
    z: np.ndarray
    along: np.ndarray
    leave: bool
    kind: str
    origin: int


class OneStep(eqx.Module):
    """A step at its own dt, as a map."""

    rhs: Any
    dt: Any

    def __call__(self, x: Any, p: Any) -> Any:
        """The next state."""
        return self.rhs(x, p, self.dt)


def rhs_of(dynamics: Dynamics) -> Any:
    """The right-hand side as a function of state and parameter."""
    return dynamics.rhs if dynamics.dt is None else OneStep(dynamics.rhs, np.array(dynamics.dt))


def stationary(dynamics: Dynamics, x: np.ndarray, span: float) -> Stationary:
    """The problem of stationary states through x."""
    kinds = dynamics.kinds or {"": {Form.FLOW: FLOW, Form.MAP: MAP, Form.STEP: STEPS}[dynamics.form]}
    return Stationary(
        rhs_of(dynamics), x, span, discrete=dynamics.form.discrete, scale=dynamics.scale, conserved=dynamics.conserved,
        kinds=kinds, spectra=dynamics.spectra,
    )  # fmt: skip


def states(dynamics: Dynamics, p: float, guesses: list[np.ndarray]) -> list[np.ndarray]:
    """Distinct stationary states to which Newton's method leads from the guesses."""
    found: list[np.ndarray] = []
    for guess in guesses:
        if np.shape(guess) != dynamics.scale.shape:
            raise InputError(
                f"Argument `start` must be a state of {len(dynamics.scale)} numbers, but has shape {np.shape(guess)}."
            )
        x = newton(rhs_of(dynamics), guess, p, discrete=dynamics.form.discrete, conserved=dynamics.conserved)
        same = any(np.linalg.norm((x - y) / dynamics.scale) < 1e-6 for y in found)
        if np.all(np.isfinite(x)) and not same:
            found.append(x)
    return found


# Leaving special points ----------------------------------------------------------------------------------------


def curves_from(dynamics: Dynamics, point: Point, near: Point, index: int, span: float) -> list[Curve]:
    """The curves that leave a special point; none where there are none, or none are known."""
    kind = point.special.kind
    if kind == "hopf" and dynamics.form.has_cycles:
        return [Curve(*_from_hopf(dynamics, point, span), True, "cycle", index)]
    if kind == "period_doubling":
        return [_from_doubling(dynamics, point, index)]
    if kind == "branch_point" and isinstance(point.problem, Stationary | collocation.Cycles):
        along = switching.crossing_direction(point, near)
        sort = "stationary" if isinstance(point.problem, Stationary) else "cycle"
        return [Curve(point.problem, point.z, sign * along, True, sort, index) for sign in (1.0, -1.0)]
    return []


def meaning(point: Point) -> str:
    """The sentence about a special point."""
    kind = point.special.kind
    followed = kind == "branch_point" and not isinstance(point.problem, shooting.Shooting)
    return MEANING[kind] if followed else UNFOLLOWED.get(kind, MEANING[kind])


def _from_hopf(dynamics: Dynamics, point: Point, span: float) -> tuple[AbstractProblem, np.ndarray, np.ndarray]:
    problem, value = point.problem, point.special.value
    assert isinstance(problem, Stationary)
    mode = eigenvector(problem, point.z, problem.linearise(point.z)[1], value)
    if dynamics.form is Form.FLOW:
        return collocation.near_hopf(
            dynamics.rhs, point.z, mode, value.imag, span, dynamics.scale, problem.rows if len(problem.rows) else None
        )
    assert dynamics.dt is not None
    angle = abs(float(np.angle(value)))
    return shooting.near_hopf(dynamics.rhs, point.z, mode, angle, dynamics.dt, span, dynamics.scale, problem.rows)


def _from_doubling(dynamics: Dynamics, point: Point, index: int) -> Curve:
    problem = point.problem
    if isinstance(problem, shooting.Shooting):
        return Curve(*shooting.doubled(problem, point.z), True, "cycle", index)
    if isinstance(problem, collocation.Cycles):
        return Curve(*collocation.doubled(problem, point.z), True, "cycle", index)
    assert isinstance(problem, Stationary)
    mode = np.real(eigenvector(problem, point.z, problem.linearise(point.z)[1], -1.0))
    law, times = (problem.law.law, problem.law.times) if isinstance(problem.law, Iterated) else (problem.law, 1)
    twice = Stationary(
        Iterated(law, 2 * times), point.z[:-1], 1.0 / problem.weights[-1], discrete=True, scale=dynamics.scale,
        conserved=dynamics.conserved, kinds={"": MAP},
    )  # fmt: skip
    return Curve(twice, point.z, np.append(mode, 0.0), True, "stationary", index)


# Observables ---------------------------------------------------------------------------------------------------


@eqx.filter_jit
def _observe(observe: Any, x: Any, p: Any, step: tuple[Any, ...]) -> dict[str, Any]:
    return observe(x, p, *step)


@eqx.filter_jit
def _observe_many(observe: Any, x: Any, p: Any) -> dict[str, Any]:
    return jax.vmap(lambda one: observe(one, p))(x)


@eqx.filter_jit
def _observe_steps(observe: Any, law: Any, x: Any, p: Any, dt: Any, count: Any) -> Any:
    """Mean, lowest and highest observables over `count` steps, and after them the state."""
    first = observe(x, p, dt)

    def once(_: Any, carry: Any) -> Any:
        x, total, low, high = carry
        seen = observe(x, p, dt)
        added = (jax.tree.map(jnp.add, total, seen), jax.tree.map(jnp.minimum, low, seen))
        return law(x, p, dt), *added, jax.tree.map(jnp.maximum, high, seen)

    start = (x, jax.tree.map(jnp.zeros_like, first), first, first)
    _, total, low, high = jax.lax.fori_loop(0, count, once, start)
    return jax.tree.map(lambda a: a / count, total), low, high


class Seen(NamedTuple):
    """Observables of a point: mean, lowest and highest over the orbit, by name; the fault of the equations."""

    mean: dict[str, np.ndarray]
    low: dict[str, np.ndarray]
    high: dict[str, np.ndarray]
    fault: int


def observe(dynamics: Dynamics, point: Point) -> Seen:
    """The observables of a stationary state or over a periodic orbit."""
    problem, p = point.problem, np.asarray(point.z[-1])
    if isinstance(problem, collocation.Cycles):
        orbit, _, _ = problem.parts(point.z)
        every = {k: np.asarray(v) for k, v in _observe_many(dynamics.observe, orbit.states, p).items()}
        weights = _weights(orbit)
        parts = ({k: weights @ v for k, v in every.items()},)
        parts += tuple({k: f(v, axis=0) for k, v in every.items()} for f in (np.min, np.max))
    elif isinstance(problem, shooting.Shooting):
        dt, count = np.asarray(point.z[-2] / problem.count), np.asarray(problem.count)
        parts = _observe_steps(dynamics.observe, dynamics.rhs, point.z[:-2], p, dt, count)
        parts = tuple({k: np.asarray(v) for k, v in part.items()} for part in parts)
    else:
        parts = _observe_stationary(dynamics, problem, point.z[:-1], p)
    fault = int(np.max(parts[2].get("_fault", 0.0)))
    mean, low, high = parts
    return Seen(mean, low, high, fault)


def _observe_stationary(dynamics: Dynamics, problem: Any, x: np.ndarray, p: np.ndarray) -> Any:
    """The state's observables; over its images if the map is iterated."""
    times = problem.law.times if isinstance(problem.law, Iterated) else 1
    every = []
    for k in range(times):
        every.append({k: np.asarray(v) for k, v in _observe(dynamics.observe, x, p, dynamics.step).items()})
        if k + 1 < times:
            x = np.asarray(_observe(problem.law.law, x, p, ()))
    stacked = {k: np.stack([one[k] for one in every]) for k in every[0]}
    return tuple({k: f(v, axis=0) for k, v in stacked.items()} for f in (np.mean, np.min, np.max))


def _weights(orbit: collocation.Orbit) -> np.ndarray:
    """Weights of the mean over time of a function known at the orbit's states (Boole's rule in every interval)."""
    boole = np.array([7.0, 32.0, 12.0, 32.0, 7.0]) / 90.0
    weights = np.zeros(len(orbit.states))
    index = (4 * np.arange(len(orbit.mesh) - 1)[:, None] + np.arange(5)) % len(weights)
    np.add.at(weights, index, np.diff(orbit.mesh)[:, None] * boole)
    return weights


def period_of(point: Point) -> float:
    """Period of a cycle; of an iterated map's fixed point, in iterations; NaN for a stationary state."""
    if isinstance(point.problem, Stationary):
        law = point.problem.law
        return float(law.times) if isinstance(law, Iterated) else np.nan
    return float(point.z[-2])


def state_of(point: Point, size: int) -> np.ndarray:
    """A state on the solution, shape (m,)."""
    return point.z[:size].copy()


def frequency_of(dynamics: Dynamics, point: Point) -> float:
    """Frequency of the oscillation born at a Hopf point, per unit of time (Hz where that is ms); NaN elsewhere."""
    if point.special.kind not in ("hopf", "balance_lost"):
        return np.nan
    value = point.special.value
    turn = abs(value.imag) if not dynamics.form.discrete else abs(np.angle(value)) / (dynamics.dt or 1.0)
    return float(turn / (2.0 * np.pi) * (1e3 if dynamics.time_unit == "ms" else 1.0))
