"""The balanced manifold: where the strong inputs cancel, how fast a network falls onto it, and when it cannot.

With A = [s_b alpha_ab q_b] = R Q^T of rank r and h = R htilde, the manifold is Q^T F(v, K) + htilde = 0. The fast
flow dv/ds = A F(v, K) + h leads to it; its eigenvalues there are those of Q^T D R, D = diag(dF/dv). MV 2024, sec. 2.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax.core import Tracer

from largen.checks import InputError
from largen.numerics.gaussian import node_count
from largen.numerics.ode import Outcome, integrate
from largen.numerics.roots import implicit_root

RANK_TOLERANCE = 1e-10
DEGENERATE = 1e-8
RESTING = 1e-7
MOST_STEPS = 16_384

FOUND, ESCAPED, RESTLESS, UNSTABLE, DEGENERATE_START, OUT_OF_RANGE = 0, 1, 2, 3, 4, 5
"""Outcomes of `project`."""


class Structure(NamedTuple):
    """What is decided once, outside jit, and shared by all parameter sets of one vmap.

    Attributes:
        columns: Columns of the coupling that span its range; their number is the rank.
        nodes: Number of quadrature nodes.
    """

    columns: tuple[int, ...]
    nodes: int


class Balance(NamedTuple):
    """Arrays of the model in the form in which the equations need them (P populations, rank r).

    Attributes:
        first: A = [s_b alpha_ab q_b], shape (P, P).
        second: [q_b alpha_ab^2], shape (P, P); zero with shared synapses.
        third: [s_b q_b alpha_ab^3], shape (P, P).
        directions: R, shape (P, r).
        weights: Q^T, shape (r, P).
    """

    first: jax.Array
    second: jax.Array
    third: jax.Array
    directions: jax.Array
    weights: jax.Array


class Projection(NamedTuple):
    """A start on the manifold, shape (P,), and one of the outcomes above."""

    mean: jax.Array
    code: jax.Array


def shares(model: Any, sizes: Any = None) -> Any:
    """q_b: sizes of the populations relative to their mean, shape (P,)."""
    relative = model.fractions if sizes is None else sizes
    relative = jnp.broadcast_to(relative, (len(model.gain),))
    return relative / jnp.mean(relative)


def at(value: Any, time: Any) -> jax.Array:
    """A constant or a function of time, at one time."""
    return jnp.asarray(value(time) if callable(value) else value)


def check_functions(model: Any, times: np.ndarray) -> None:
    """Refuse a drive or input function whose value has another shape or is not finite."""
    count = len(model.gain)
    for name in ("drive", "input"):
        value = getattr(model, name)
        if callable(value):
            first, last = (np.asarray(at(value, jnp.asarray(t))) for t in (times[0], times[-1]))
            if first.shape != (count,) or not np.all(np.isfinite([first, last])):
                raise InputError(
                    f"Argument `{name}` must be a function of time with {count} finite values, one per population, "
                    f"but gives {first.tolist()} at time {times[0]:g} and {last.tolist()} at {times[-1]:g}."
                )


def structure(model: Any) -> Structure:
    """Rank and quadrature of a model with known numbers; see `Structure`."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(model)):
        raise InputError(
            "Argument `structure` must be given inside a JAX transformation: it fixes the rank of the coupling. "
            "Compute it outside with manifold.structure(model)."
        )
    weights = np.abs(model.coupling) * np.asarray(model.sign) * (np.broadcast_to(model.fractions, len(model.gain)))
    weights = weights / np.mean(np.broadcast_to(model.fractions, len(model.gain)))
    singular = np.linalg.svd(weights, compute_uv=False)
    rank = int(np.sum(singular > RANK_TOLERANCE * singular[0])) if singular[0] > 0 else 0
    if rank == len(weights):
        return Structure(tuple(range(rank)), _nodes(model))
    *_, pivots = scipy.linalg.qr(weights, mode="r", pivoting=True)
    return Structure(tuple(sorted(int(k) for k in pivots[:rank])), _nodes(model))


def _nodes(model: Any) -> int:
    """Nodes enough for the largest variance that the model can reach."""
    from largen.systems.balanced.gains import Probit

    bound = np.array([float(gain.bound) for gain in model.gain])
    share = np.broadcast_to(model.fractions, bound.shape) / np.mean(np.broadcast_to(model.fractions, bound.shape))
    input_noise = model.coupling**2 @ (share * bound) + np.broadcast_to(model.noise, bound.shape) ** 2
    largest = np.maximum(model.initial_variance, 0.5 * np.broadcast_to(model.tau, bound.shape) * input_noise)
    steep = [
        float(gain.steepness) * float(np.sqrt(variance))
        for gain, variance in zip(model.gain, largest, strict=True)
        if not isinstance(gain, Probit)  # closed form
    ]
    return node_count(max(steep, default=0.0))


def balance(model: Any, columns: tuple[int, ...], sizes: Any = None) -> Balance:
    """The model's couplings and their rank factorisation A = R Q^T; R holds the given columns of A."""
    coupling, share = jnp.asarray(model.coupling), shares(model, sizes)
    first = coupling * model.sign * share
    second = coupling**2 * share if model.synapses == "independent" else jnp.zeros_like(first)
    third = coupling**3 * model.sign * share
    if len(columns) == len(model.gain):
        return Balance(first, second, third, first, jnp.eye(len(columns)))
    directions = first[:, np.array(columns, dtype=int)]
    return Balance(first, second, third, directions, coordinates(directions, first))


def coordinates(directions: jax.Array, vectors: jax.Array) -> jax.Array:
    """Coordinates of vectors of the range in the basis R (least squares), shape (r, ...)."""
    rank = directions.shape[1]
    if rank == 0:
        return jnp.zeros((0, *vectors.shape[1:]))
    if rank == directions.shape[0]:
        return jnp.linalg.solve(directions, vectors)
    orthonormal, triangle = jnp.linalg.qr(directions)
    return jax.scipy.linalg.solve_triangular(triangle, orthonormal.T @ vectors)


def rates(gain: tuple[Any, ...], mean: Any, variance: Any, nodes: int, order: int = 0) -> jax.Array:
    """F(v, K) of each population, or its derivative of the given order in v, shape (P,).

    Gains of one kind are evaluated together.
    """
    groups: dict[Any, list[int]] = {}
    for k, one in enumerate(gain):
        functions = tuple(id(leaf) for leaf in jax.tree.leaves(one) if callable(leaf))
        groups.setdefault((jax.tree.structure(one), functions), []).append(k)
    result = jnp.zeros(len(gain))
    for (form, _), members in groups.items():
        columns = list(zip(*(jax.tree.leaves(gain[k]) for k in members), strict=True))
        fixed = [column[0] if callable(column[0]) else None for column in columns]
        stacked = [None if callable(column[0]) else jnp.stack([jnp.asarray(x) for x in column]) for column in columns]

        def one_rate(arrays: Any, v: Any, k: Any, form: Any = form, fixed: Any = fixed) -> jax.Array:
            leaves = [array if function is None else function for array, function in zip(arrays, fixed, strict=True)]
            return jax.tree.unflatten(form, leaves).mean_rate(v, k, nodes, order)

        chosen = np.array(members)
        result = result.at[chosen].set(jax.vmap(one_rate)(stacked, mean[chosen], variance[chosen]))
    return result


def fast_matrix(parts: Balance, slope: jax.Array) -> jax.Array:
    """Q^T D R, shape (r, r)."""
    return (parts.weights * slope) @ parts.directions


def rightmost(matrix: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Real part and absolute imaginary part of the eigenvalue of largest real part (-inf, 0 without any)."""
    rank = matrix.shape[0]
    if rank == 0:
        return jnp.array(-jnp.inf), jnp.array(0.0)
    if rank == 1:
        return matrix[0, 0], jnp.zeros_like(matrix[0, 0])
    if rank == 2:
        half = 0.5 * (matrix[0, 0] + matrix[1, 1])
        square = (0.5 * (matrix[0, 0] - matrix[1, 1])) ** 2 + matrix[0, 1] * matrix[1, 0]
        root = jnp.sqrt(jnp.where(square == 0, 1.0, jnp.abs(square))) * (square != 0)
        return half + jnp.where(square > 0, root, 0.0), jnp.where(square < 0, root, 0.0)
    eigenvalues = jnp.linalg.eigvals(matrix)
    first = jnp.argmax(eigenvalues.real)
    return eigenvalues.real[first], jnp.abs(eigenvalues.imag[first])


def stiffness(parts: Balance, slope: jax.Array) -> jax.Array:
    """Size max |A| |D| by which the fast eigenvalues are measured."""
    return jnp.max(jnp.abs(parts.first) * slope, initial=0.0)


def project(
    model: Any, shape: Structure, mean: Any, variance: Any, time: Any, max_steps: int = MOST_STEPS
) -> Projection:
    """Follow the fast flow dv/ds = A F(v, K) + h(t) from a mean to its rest point on the manifold.

    Newton's method alone may land on another sheet; here it only sharpens the rest point, and carries the
    derivatives (implicit function theorem).

    Args:
        model: The model; its numbers may be traced.
        shape: From `structure`.
        mean: Start, shape (P,).
        variance: Variance, which stays as it is, shape (P,).
        time: Time at which the drive is taken.
        max_steps: Steps along the flow after which it counts as restless.
    """
    parts = balance(model, shape.columns)
    if not shape.columns:
        code = jnp.where(jnp.any(at(model.drive, time) != 0), OUT_OF_RANGE, FOUND)
        return Projection(jnp.asarray(mean), code)
    strong = coordinates(parts.directions, at(model.drive, time))
    args = (model, parts, strong, jnp.asarray(mean), jnp.asarray(variance))

    def pull(along: Any, args: Any) -> Any:
        model, parts, strong, mean, variance = args
        return parts.weights @ rates(model.gain, mean + parts.directions @ along, variance, shape.nodes) + strong

    along, resting, gave_up = _descend(pull, _frozen(args), shape.nodes, max_steps)
    root = implicit_root(pull, along, args)
    new = mean + parts.directions @ root
    slope = rates(model.gain, new, variance, shape.nodes, 1)
    real, _ = rightmost(fast_matrix(parts, slope))
    near = rates(model.gain, mean + parts.directions @ along, variance, shape.nodes, 1)
    near_real, _ = rightmost(fast_matrix(parts, near))
    degenerate = jnp.abs(near_real) < DEGENERATE * stiffness(parts, near)
    lost = ~jnp.all(jnp.abs(root - along) < 1e-2 * (1.0 + jnp.abs(along)))
    code = jnp.where(resting, FOUND, jnp.where(gave_up, RESTLESS, ESCAPED))
    code = jnp.where((code == FOUND) & degenerate, DEGENERATE_START, code)
    code = jnp.where((code == FOUND) & lost, RESTLESS, code)
    code = jnp.where((code == FOUND) & (real > 0), UNSTABLE, code)
    code = jnp.where(out_of_range(parts, at(model.drive, time)), OUT_OF_RANGE, code)
    return Projection(new, code)


def _frozen(tree: Any) -> Any:
    """The same numbers, without derivatives."""
    return jax.tree.map(lambda leaf: leaf if callable(leaf) else jax.lax.stop_gradient(leaf), tree)


def _descend(pull: Any, args: Any, nodes: int, max_steps: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Integrate the fast flow until it rests: the place in coordinates of R, whether it rests, whether it gave up."""
    model, parts, strong, mean, variance = args

    def calm(_: Any, along: Any, args: Any) -> jax.Array:
        inputs = jnp.abs(parts.first) @ rates(model.gain, mean + parts.directions @ along, variance, nodes)
        size = jnp.max(inputs + jnp.abs(parts.directions @ strong))
        return RESTING * size - jnp.max(jnp.abs(parts.directions @ pull(along, args)))

    start = jnp.zeros(len(strong))
    bound = jnp.stack([jnp.asarray(gain.bound) for gain in model.gain])
    already = calm(0.0, start, args) >= 0
    horizon = 1e6 * (1.0 + jnp.max(jnp.abs(mean))) / jnp.max(jnp.abs(parts.first) @ bound)
    times = jnp.stack([jnp.zeros(()), jnp.where(already, 1e-9, 1.0) * horizon])
    path = integrate(
        lambda s, along, args: pull(along, args),
        start,
        times,
        args,
        rtol=1e-8,
        atol=1e-9,
        event=calm,
        locate=False,
        max_steps=max_steps,
    )
    far = jnp.max(jnp.abs(parts.directions @ path.last)) > 100.0 * (1.0 + jnp.max(jnp.abs(mean)))
    return (
        jnp.where(already, start, path.last),
        already | (path.code == Outcome.EVENT),
        (path.code == Outcome.MAX_STEPS_REACHED) & ~far,
    )


def out_of_range(parts: Balance, drive: jax.Array) -> jax.Array:
    """Whether a part of the drive cannot be cancelled by any rates."""
    if parts.directions.shape[0] == parts.directions.shape[1]:
        return jnp.array(False)
    rest = drive - parts.directions @ coordinates(parts.directions, drive)
    return jnp.max(jnp.abs(rest)) > 1e-9 * jnp.max(jnp.abs(drive))
