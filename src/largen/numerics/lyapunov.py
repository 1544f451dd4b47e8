"""Lyapunov exponents of maps and flows: tangent vectors carried along by automatic differentiation, orthonormalised.

Source: G. Benettin, L. Galgani, A. Giorgilli & J.-M. Strelcyn, Meccanica 15, 9 and 21 (1980).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree


class Exponents(NamedTuple):
    """Exponents per step of the map.

    Attributes:
        value: The largest exponents, in the order of the tangent vectors, shape (exponent,); minus infinity where a
            derivative along the orbit vanishes (superstable).
        error: Standard errors, from the standard deviation over time blocks, shape (exponent,); 0 of an infinite one.
        blocks: Exponents of each block of time, shape (block, exponent).
        last: The state at the end, in the form in which it was given.
        finite: Whether the orbit stayed finite.
    """

    value: np.ndarray
    error: np.ndarray
    blocks: np.ndarray
    last: Any
    finite: bool


class TangentMap(NamedTuple):
    """A map with its start, whose tangent vectors can be carried along.

    Attributes:
        step: The map (state, args) -> state.
        state: Start.
        args: What the map needs.
        dt: Time that one application takes.
        every: Applications between two orthonormalisations.
        unit: Unit of time.
        method: How the equations are solved, in words.
        project: See `exponents`.
        scale: Likewise.
        inner: Time step inside one application, where it is another.
        observe: Function of (state, parameter, step) that knows a fault of the equations, or None.
        faults: Messages by code of that fault.
        random: Whether something was drawn at random, so that realisations differ.
    """

    step: Callable[[Any, Any], Any]
    state: Any
    args: Any
    dt: float
    every: int
    unit: str
    method: str
    project: Callable[[Any, Any, Any], Any] | None = None
    scale: Any = None
    inner: float | None = None
    observe: Any = None
    faults: Mapping[int, str] = {}
    random: bool = False


def runge_kutta(rhs: Callable[[Any, Any], Any], dt: Any) -> Callable[[Any, Any], Any]:
    """One step of the classical fourth-order Runge-Kutta method for dy/dt = rhs(y, args), as a map.

    Source: E. Hairer, S. Norsett & G. Wanner, Solving Ordinary Differential Equations I (1993), table II.1.2.
    """

    def step(y: Any, args: Any) -> Any:
        def stage(carry: Any, shares: Any) -> Any:
            slope, total = carry
            ahead, weight = shares
            slope = rhs(jax.tree.map(lambda a, b: a + ahead * dt * b, y, slope), args)
            return (slope, jax.tree.map(lambda a, b: a + weight * b, total, slope)), None

        zero = jax.tree.map(jnp.zeros_like, y)
        shares = (jnp.array([0.0, 0.5, 0.5, 1.0]), jnp.array([1.0, 2.0, 2.0, 1.0]) / 6.0)
        # A loop: the right-hand side is compiled once, not four times.
        (_, total), _ = jax.lax.scan(stage, (zero, zero), shares)
        return jax.tree.map(lambda a, b: a + dt * b, y, total)

    return step


def exponents(
    step: Callable[[Any, Any], Any],
    state: Any,
    args: Any = None,
    *,
    count: int = 1,
    skip: int = 0,
    blocks: int = 20,
    rounds: int = 50,
    every: int = 1,
    project: Callable[[Any, Any, Any], Any] | None = None,
    scale: Any = None,
    seed: int = 0,
) -> Exponents:
    """Measure the `count` largest Lyapunov exponents of the map state -> step(state, args).

    Tangent vectors start in random directions and are orthonormalised (QR) after every interval of `every` steps. The
    logarithms of their growth, the diagonal of R, are averaged over `blocks` blocks of `rounds` intervals each.

    Args:
        step: The map, a pure JAX function. The same function object does not compile twice.
        state: Where the orbit starts, an array or a pytree; integer leaves have no tangents.
        args: What the map needs, arrays or None.
        count: Number of exponents.
        skip: Intervals that are run first and not counted.
        blocks: Blocks of time for the error, at least 2.
        rounds: Intervals per block.
        every: Steps per interval, within which the vectors must neither overflow nor align.
        project: Maps (state, tangent, args) to a tangent that leaves unchanged what the map conserves.
        scale: Sizes of the first directions' entries, shaped as the state; None for 1.
        seed: Seed of the first directions.
    """
    moving, fixed = eqx.partition(state, eqx.is_inexact_array)
    flat, _ = ravel_pytree(moving)
    count = min(count, flat.size)
    directions = np.random.default_rng(seed).standard_normal((flat.size, count))
    if scale is not None:
        directions *= np.asarray(ravel_pytree(eqx.filter(scale, eqx.is_inexact_array))[0])[:, None]
    sizes = (jnp.asarray(every), jnp.asarray(skip))
    carry = (moving, fixed, jnp.asarray(directions))
    logs, smallest, end, finite = _run(step, project, carry, args, sizes, blocks, rounds)
    means = np.array(logs) / (rounds * every)
    good = bool(finite) and bool(np.all(means < np.inf))
    means = means if good else np.full(means.shape, np.nan)
    smallest = np.asarray(smallest)
    vanishing = np.isneginf(means).any(0)
    if good and np.any((smallest < TINY) & ~vanishing):
        vanishing |= np.asarray(_vanishes(step, project, end, args, sizes[0], min(rounds * blocks, PROBED)))
    means[:, vanishing] = -np.inf
    error = np.where(vanishing, 0.0, np.where(vanishing, 0.0, means).std(0, ddof=1) / np.sqrt(blocks))
    last = eqx.combine(end[0], end[1])
    return Exponents(means.mean(0), error, means, jax.tree.map(np.asarray, last), good)


TINY = -25.0
"""Logarithm of a growth that may be a rounded zero."""
PROBED = 500
"""Intervals in which it is looked at again."""
UNCERTAIN = 0.1
"""Change of the logarithm of a tiny growth, when the state moves in its last digits, that shows it to be rounding."""


@eqx.filter_jit
def _run(
    step: Callable[[Any, Any], Any], project: Any, carry: Any, args: Any, sizes: Any, blocks: int, rounds: int
) -> tuple[jax.Array, jax.Array, Any, jax.Array]:
    """Growth per block, shape (block, exponent), the smallest in an interval (logarithms), the end, whether finite."""
    every, skip = sizes
    interval, orthonormalised = _interval(step, project, carry, args, every)

    def block(carry: Any, _: Any) -> Any:
        carry, logs = jax.lax.scan(interval, carry, None, length=rounds)
        return carry, (logs.sum(0), logs.min(0))

    carry = (*carry[:2], orthonormalised(carry[0], carry[2])[0])
    carry = jax.lax.fori_loop(0, skip, lambda _, carry: interval(carry, None)[0], carry)
    carry, (logs, smallest) = jax.lax.scan(block, carry, None, length=blocks)
    return logs, smallest.min(0), carry, jnp.all(jnp.isfinite(ravel_pytree(carry[0])[0]))


@eqx.filter_jit
def _vanishes(
    step: Callable[[Any, Any], Any], project: Any, carry: Any, args: Any, every: Any, rounds: int
) -> jax.Array:
    """Whether a tiny growth of each exponent is a zero in rounded numbers, shape (exponent,).

    It is if it changes when the state moves by some of its last digits. A growth that is tiny but no zero does not.
    """
    interval, _ = _interval(step, project, carry, args, every)

    def look(carry: Any, _: Any) -> Any:
        moved = jax.tree.map(lambda a: a * (1.0 + 4.0 * jnp.finfo(a.dtype).eps), carry[0])
        after, logs = interval(carry, None)
        others = interval((moved, *carry[1:]), None)[1]
        return after, (logs < TINY) & ~(jnp.abs(logs - others) < UNCERTAIN)

    return jax.lax.scan(look, carry, None, length=rounds)[1].any(0)


def _interval(step: Callable[[Any, Any], Any], project: Any, carry: Any, args: Any, every: Any) -> Any:
    """The function of (state, constants, vectors) that runs an interval, and the one that orthonormalises vectors."""
    _, back = ravel_pytree(carry[0])

    def orthonormalised(moving: Any, vectors: Any) -> tuple[jax.Array, jax.Array]:
        """Orthonormal vectors and the logarithms of their growth."""
        if project is not None:

            def projected(vector: Any) -> Any:
                return ravel_pytree(project(moving, back(vector), args))[0]

            vectors = jax.vmap(projected, in_axes=1, out_axes=1)(vectors)
        vectors, triangle = jnp.linalg.qr(vectors)
        return vectors, jnp.log(jnp.abs(jnp.diagonal(triangle)))

    def one_step(_: Any, carry: Any) -> Any:
        moving, fixed, vectors = carry

        def advance(moving: Any) -> Any:
            return eqx.partition(step(eqx.combine(moving, fixed), args), eqx.is_inexact_array)

        def push(vector: Any) -> Any:
            new, tangent, rest = jax.jvp(advance, (moving,), (back(vector),), has_aux=True)
            return new, ravel_pytree(tangent)[0], rest

        new, vectors, rest = jax.vmap(push, in_axes=1, out_axes=(None, 1, None))(vectors)
        return new, rest, vectors

    def interval(carry: Any, _: Any) -> Any:
        moving, fixed, vectors = jax.lax.fori_loop(0, every, one_step, carry)
        vectors, logs = orthonormalised(moving, vectors)
        return (moving, fixed, vectors), logs

    return interval, orthonormalised


# Equations with a parameter that is not used, as maps ---------------------------------------------------------------

_TOGETHER = 10  # steps of a map that is one step of a flow, between two orthonormalisations


def _ahead(x: Any, args: Any) -> Any:
    f, dt, _ = args
    from largen.numerics.continuation.shooting import Repeated  # with much of SciPy, for exponents only

    return Repeated(f)(x, _TOGETHER * dt, jnp.zeros(()), _TOGETHER)


def _image(x: Any, args: Any) -> Any:
    return args[0](x, jnp.zeros(()))


def _flow(x: Any, args: Any) -> Any:
    f, dt, _ = args
    return runge_kutta(lambda x, _: f(x, jnp.zeros(())), dt)(x, None)


def _conserving(x: Any, tangent: Any, args: Any) -> Any:
    """The tangent without changes of what is conserved; they go where there is something, not into empty entries."""
    rows = args[2]
    held = (jnp.abs(x) + 1e-12)[:, None] * rows.T
    return tangent - held @ jnp.linalg.solve(rows @ held, rows @ tangent)


def _made(
    step: Any, f: Any, state: np.ndarray, conserved: np.ndarray, dt: float, together: int, **about: Any
) -> TangentMap:
    project = _conserving if len(conserved) else None
    args = (f, jnp.asarray(dt), jnp.asarray(conserved))
    scale = np.abs(state) + 1e-12
    return TangentMap(step, state, args, together * dt, project=project, scale=scale, inner=dt, **about)


def of_map(f: Any, state: np.ndarray, conserved: np.ndarray, unit: str) -> TangentMap:
    """The map x -> f(x, p).

    Args:
        f: Pure JAX function; a pytree.
        state: Start, shape (m,).
        conserved: Rows C, shape (c, m), with C x conserved.
        unit: Unit of time.
    """
    return _made(_image, f, state, conserved, 1.0, 1, every=1, unit=unit, method="map")


def of_steps(f: Any, state: np.ndarray, conserved: np.ndarray, dt: float, unit: str) -> TangentMap:
    """The map x -> f(x, p, dt), one step of length dt; ten steps are taken together. Arguments as of `of_map`."""
    return _made(_ahead, f, state, conserved, dt, _TOGETHER, every=1, unit=unit, method="map")


def of_flow(f: Any, state: np.ndarray, conserved: np.ndarray, dt: float, every: int, unit: str) -> TangentMap:
    """The flow dx/dt = f(x, p) in Runge-Kutta steps of length dt. Arguments as of `of_map`."""
    return _made(_flow, f, state, conserved, dt, 1, every=every, unit=unit, method="Runge-Kutta")
