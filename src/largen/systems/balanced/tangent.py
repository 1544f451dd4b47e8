"""The balanced limit and its finite-size equations with tangent vectors, for Lyapunov exponents."""

import math
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import LimitError, require
from largen.numerics.lyapunov import TangentMap, runge_kutta
from largen.systems.balanced import limit_equations, manifold

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork


def of_limit(model: "BalancedNetwork", dt: float | None) -> TangentMap:
    """The limit on its manifold, from the model's initial state; dt is a twentieth of the shortest tau if None."""
    for field in ("drive", "input"):
        require(not callable(getattr(model, field)), field, "be constant for an exponent", getattr(model, field))
    structure, variance = manifold.structure(model), jnp.asarray(model.initial_variance)
    start = manifold.project(model, structure, model.initial_mean, variance, 0.0)
    if int(start.code) != manifold.Outcome.FOUND:
        raise LimitError("The limit does not exist from this start; solve_limit(model, times) says why.")
    step = 0.05 * float(np.min(model.tau)) if dt is None else dt
    args = (model, manifold.balance(model, structure.columns), structure.nodes, np.array(step))
    return TangentMap(_step, (start.mean, variance), args, step, 5, "1", "Runge-Kutta", _along_manifold)


def _step(y: Any, args: Any) -> Any:
    model, parts, nodes, dt = args
    return runge_kutta(lambda y, _: limit_equations.rhs(0.0, y, (model, parts, nodes)), dt)(y, None)


def _along_manifold(state: Any, tangent: Any, args: Any) -> Any:
    """The tangent without what leaves the manifold, a direction that the index-reduced equations add."""
    model, parts, nodes, _ = args

    def constraint(v: Any, k: Any) -> Any:
        return parts.conditions @ manifold.rates(model.gain, v, k, nodes)

    _, change = jax.jvp(constraint, state, tangent)
    slope = manifold.rates(model.gain, state[0], state[1], nodes, 1)
    return tangent[0] - parts.basis @ jnp.linalg.solve(manifold.fast_matrix(parts, slope), change), tangent[1]


def slow_and_fast(model: "BalancedNetwork", n: int) -> tuple[float, float]:
    """A time that is short for the slow motion of n neurons, and a step that their fast motion allows."""
    sizes = jnp.asarray(model.sizes(n).astype(np.float64))
    coupling = np.asarray(manifold.balance(model, tuple(range(len(model.gain))), sizes).coupling)
    slopes = np.array([0.25 * float(gain.bound) * float(gain.steepness) for gain in model.gain])
    fastest = math.sqrt(float(jnp.mean(sizes))) * float(np.max(np.abs(coupling) @ slopes))
    slow = 0.05 * float(np.min(model.tau))
    return slow, min(slow, 1.0 / max(fastest, 1e-300))
