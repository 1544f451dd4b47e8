"""Observables of a stationary state, and their mean and extremes over a periodic orbit."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.numerics.continuation.collocation import Cycles
from largen.numerics.continuation.problem import Point
from largen.numerics.continuation.shooting import Shooting
from largen.numerics.continuation.stationary import Iterated, Stationary
from largen.system import AbstractSystem, Dynamics

Values = dict[str, np.ndarray]


class Observed(NamedTuple):
    """Observables of a point.

    Attributes:
        mean: Mean over the orbit by name, shape (component,) each.
        low: Lowest value over the orbit.
        high: Highest value over the orbit.
        fault: Code of what is wrong with the equations there, or 0.
    """

    mean: Values
    low: Values
    high: Values
    fault: int


@eqx.filter_jit
def evaluate(observe: Callable[..., Any], x: Any, p: Any, step: tuple[Any, ...]) -> dict[str, Any]:
    """The observables of one state."""
    return observe(x, p, *step)


@eqx.filter_jit
def _evaluate_many(observe: Callable[..., Any], x: Any, p: Any) -> dict[str, Any]:
    return jax.vmap(lambda one: observe(one, p))(x)


@eqx.filter_jit
def _over_steps(observe: Callable[..., Any], rhs: Callable[..., Any], x: Any, p: Any, dt: Any, count: Any) -> Any:
    """Mean, lowest and highest observables over `count` steps."""
    first = observe(x, p, dt)

    def once(_: Any, carry: Any) -> Any:
        x, total, low, high = carry
        seen = observe(x, p, dt)
        added = (jax.tree.map(jnp.add, total, seen), jax.tree.map(jnp.minimum, low, seen))
        return rhs(x, p, dt), *added, jax.tree.map(jnp.maximum, high, seen)

    start = (x, jax.tree.map(jnp.zeros_like, first), first, first)
    _, total, low, high = jax.lax.fori_loop(0, count, once, start)
    return jax.tree.map(lambda a: a / count, total), low, high


def observe(dynamics: Dynamics, point: Point) -> Observed:
    """The observables of a stationary state or over a periodic orbit."""
    problem = point.problem
    if isinstance(problem, Cycles):
        mean, low, high = _over_orbit(dynamics, problem, point.z)
    elif isinstance(problem, Shooting):
        dt, count = np.asarray(point.z[-2] / problem.count), np.asarray(problem.count)
        p = np.asarray(point.z[-1])
        parts = _over_steps(dynamics.observe, dynamics.rhs, point.z[:-2], p, dt, count)
        mean, low, high = ({name: np.asarray(value) for name, value in part.items()} for part in parts)
    else:
        assert isinstance(problem, Stationary)
        mean, low, high = _over_images(dynamics, problem, point.z)
    return Observed(mean, low, high, int(np.max(high.get("_fault", 0.0))))


def _over_orbit(dynamics: Dynamics, problem: Cycles, z: np.ndarray) -> tuple[Values, Values, Values]:
    """Mean over time and extremes at the collocation states."""
    orbit = problem.parts(z)[0]
    found = _evaluate_many(dynamics.observe, orbit.states, np.asarray(z[-1]))
    every = {name: np.asarray(value) for name, value in found.items()}
    weights = orbit.time_weights()
    mean = {name: weights @ value for name, value in every.items()}
    low, high = ({name: f(value, axis=0) for name, value in every.items()} for f in (np.min, np.max))
    return mean, low, high


def _over_images(dynamics: Dynamics, problem: Stationary, z: np.ndarray) -> tuple[Values, Values, Values]:
    """The state's observables; over its images if the map is iterated."""
    x, p = z[:-1], np.asarray(z[-1])
    images = [x]
    if isinstance(problem.rhs, Iterated):
        for _ in range(problem.rhs.times - 1):
            images.append(np.asarray(evaluate(problem.rhs.rhs, images[-1], p, ())))
    every = [evaluate(dynamics.observe, image, p, dynamics.step) for image in images]
    stacked = {name: np.stack([np.asarray(one[name]) for one in every]) for name in every[0]}
    mean, low, high = ({name: f(value, axis=0) for name, value in stacked.items()} for f in (np.mean, np.min, np.max))
    return mean, low, high


def common_attrs(kind: str, system: Any, dynamics: Dynamics, n: int | None) -> dict[str, Any]:
    """Attributes of a Dataset: what it is, of which system, and what was decided on the way."""
    name = system.system if isinstance(system, AbstractSystem) else type(system).__name__.lower()
    attrs = {"kind": kind, "system": name, "n": float("inf") if n is None else n}
    return attrs | {
        key: str(value).lower() if isinstance(value, bool) else value for key, value in dynamics.note.items()
    }
