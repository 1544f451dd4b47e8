"""The balanced manifold: where the strong inputs cancel, how fast a network falls onto it, and when it cannot.

With A = [s_b alpha_ab q_b] = R Q^T of rank r and h = R htilde the manifold is (eq. B8 of docs/balanced.md)

    Q^T F(v, K) + htilde = 0.

The fast flow dv/ds = A F(v, K) + h leads to it (eq. B10). Its eigenvalues there are those of Q^T D R, D = diag(dF/dv).
Source: MacLaurin & Vilanova 2024; derived in docs/balanced.md.
"""

import enum
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax.core import Tracer

from largen.checks import InputError
from largen.numerics import ode
from largen.numerics.gaussian import node_count
from largen.numerics.roots import implicit_root

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork

RANK_TOLERANCE = 1e-10  # of the largest singular value
_DEGENERATE = 1e-8  # |Re| of a fast eigenvalue that counts as 0, relative to `stiffness`
_AT_REST = 1e-7  # imbalance at which the fast flow counts as at rest, relative to its parts
MOST_STEPS = 16_384


class Outcome(enum.IntEnum):
    """How the fast flow from a start ended; only FOUND has a limit."""

    FOUND = 0
    ESCAPED = 1
    NOT_CONVERGED = 2
    UNSTABLE = 3
    DEGENERATE = 4
    OUT_OF_RANGE = 5


class Structure(NamedTuple):
    """What is fixed outside jit, and shared by all parameter sets of one vmap.

    Attributes:
        columns: Columns of the coupling that span its range; their number is the rank.
        nodes: Number of quadrature nodes.
    """

    columns: tuple[int, ...]
    nodes: int


class Balance(NamedTuple):
    """Arrays of the model in the form in which the equations need them (P populations, rank r).

    Attributes:
        coupling: A = [s_b alpha_ab q_b], the coupling of the means (eq. B4), shape (P, P).
        variance_coupling: [q_b alpha_ab^2], that of the variances (eq. B5), shape (P, P); 0 with shared synapses.
        third_coupling: [s_b q_b alpha_ab^3], that of the third cumulants (eq. B6), shape (P, P).
        basis: R, a basis of the range of A, shape (P, r).
        conditions: Q^T, the combinations of the rates in the balance conditions (eq. B8), shape (r, P).
    """

    coupling: jax.Array
    variance_coupling: jax.Array
    third_coupling: jax.Array
    basis: jax.Array
    conditions: jax.Array


class Projection(NamedTuple):
    """A start on the manifold.

    Attributes:
        mean: Means on the manifold, shape (P,).
        code: A value of `Outcome`.
    """

    mean: jax.Array
    code: jax.Array


def shares(model: "BalancedNetwork", sizes: Any = None) -> Any:
    """q_b: sizes of the populations relative to their mean, shape (P,)."""
    relative = model.fractions if sizes is None else sizes
    relative = jnp.broadcast_to(relative, (len(model.gain),))
    return relative / jnp.mean(relative)


def at(value: Any, time: Any) -> jax.Array:
    """A constant or a function of time, at one time."""
    return jnp.asarray(value(time) if callable(value) else value)


def check_functions(model: "BalancedNetwork", times: np.ndarray) -> None:
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


def structure(model: "BalancedNetwork") -> Structure:
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


def _nodes(model: "BalancedNetwork") -> int:
    """Enough quadrature nodes for the largest variance that the model can reach."""
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


def balance(model: "BalancedNetwork", columns: tuple[int, ...], sizes: Any = None) -> Balance:
    """The model's couplings and their rank factorisation A = R Q^T; R holds the given columns of A."""
    coupling, share = jnp.asarray(model.coupling), shares(model, sizes)
    first = coupling * model.sign * share
    second = coupling**2 * share if model.synapses == "independent" else jnp.zeros_like(first)
    third = coupling**3 * model.sign * share
    if len(columns) == len(model.gain):
        return Balance(first, second, third, first, jnp.eye(len(columns)))
    basis = first[:, np.array(columns, dtype=int)]
    return Balance(first, second, third, basis, coordinates(basis, first))


def coordinates(basis: jax.Array, vectors: jax.Array) -> jax.Array:
    """Coordinates of vectors of the range in the basis R (least squares), shape (r, ...)."""
    rank = basis.shape[1]
    if rank == 0:
        return jnp.zeros((0, *vectors.shape[1:]))
    if rank == basis.shape[0]:
        return jnp.linalg.solve(basis, vectors)
    orthonormal, triangle = jnp.linalg.qr(basis)
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
    return (parts.conditions * slope) @ parts.basis


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
    """Max |A| |D|, the scale of the fast eigenvalues."""
    return jnp.max(jnp.abs(parts.coupling) * slope, initial=0.0)


def project(
    model: "BalancedNetwork", structure: Structure, mean: Any, variance: Any, time: Any, max_steps: int = MOST_STEPS
) -> Projection:
    """Follow the fast flow dv/ds = A F(v, K) + h(t) from a mean to its rest point on the manifold.

    The flow is integrated in the coordinates x of v - v(0) in the basis R: dx/ds = Q^T F + htilde. Newton's method
    alone may end on another sheet; here it only refines the rest point, and its derivatives are those of the result
    (implicit function theorem).

    Args:
        model: The model; its numbers may be traced.
        structure: From `structure`.
        mean: Start, shape (P,).
        variance: Variance, which stays as it is, shape (P,).
        time: Time at which the drive is taken.
        max_steps: Steps along the flow after which it counts as not converged.
    """
    parts = balance(model, structure.columns)
    if not structure.columns:
        code = jnp.where(jnp.any(at(model.drive, time) != 0), Outcome.OUT_OF_RANGE, Outcome.FOUND)
        return Projection(jnp.asarray(mean), code)
    strong = coordinates(parts.basis, at(model.drive, time))
    args = (model, parts, strong, jnp.asarray(mean), jnp.asarray(variance))

    def imbalance(x: Any, args: Any) -> Any:
        model, parts, strong, mean, variance = args
        return parts.conditions @ rates(model.gain, mean + parts.basis @ x, variance, structure.nodes) + strong

    x, at_rest, stopped = _follow(imbalance, _without_derivatives(args), structure.nodes, max_steps)
    root = implicit_root(imbalance, x, args)
    new = mean + parts.basis @ root
    slope = rates(model.gain, new, variance, structure.nodes, 1)
    real, _ = rightmost(fast_matrix(parts, slope))
    near = rates(model.gain, mean + parts.basis @ x, variance, structure.nodes, 1)
    near_real, _ = rightmost(fast_matrix(parts, near))
    degenerate = jnp.abs(near_real) < _DEGENERATE * stiffness(parts, near)
    elsewhere = ~jnp.all(jnp.abs(root - x) < 1e-2 * (1.0 + jnp.abs(x)))
    found = Outcome.FOUND
    code = jnp.where(at_rest, found, jnp.where(stopped, Outcome.NOT_CONVERGED, Outcome.ESCAPED))
    code = jnp.where((code == found) & degenerate, Outcome.DEGENERATE, code)
    code = jnp.where((code == found) & elsewhere, Outcome.NOT_CONVERGED, code)
    code = jnp.where((code == found) & (real > 0), Outcome.UNSTABLE, code)
    code = jnp.where(out_of_range(parts, at(model.drive, time)), Outcome.OUT_OF_RANGE, code)
    return Projection(new, code)


def _without_derivatives(tree: Any) -> Any:
    """The same numbers, without derivatives."""
    return jax.tree.map(lambda leaf: leaf if callable(leaf) else jax.lax.stop_gradient(leaf), tree)


def _follow(imbalance: Any, args: Any, nodes: int, max_steps: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Integrate the fast flow until it is at rest: the coordinates, whether it is, whether the steps ran out."""
    model, parts, strong, mean, variance = args

    def at_rest(x: Any) -> jax.Array:
        inputs = jnp.abs(parts.coupling) @ rates(model.gain, mean + parts.basis @ x, variance, nodes)
        size = jnp.max(inputs + jnp.abs(parts.basis @ strong))
        return jnp.max(jnp.abs(parts.basis @ imbalance(x, args))) <= _AT_REST * size

    bound = jnp.stack([jnp.asarray(gain.bound) for gain in model.gain])
    horizon = 1e6 * (1.0 + jnp.max(jnp.abs(mean))) / jnp.max(jnp.abs(parts.coupling) @ bound)
    end = ode.follow_to_rest(
        lambda x: imbalance(x, args),
        jnp.zeros(len(strong)),
        at_rest,
        horizon,
        rtol=1e-8,
        atol=1e-9,
        max_steps=max_steps,
    )
    far = jnp.max(jnp.abs(parts.basis @ end.state)) > 100.0 * (1.0 + jnp.max(jnp.abs(mean)))
    return end.state, end.reached, ~end.reached & (end.steps >= max_steps) & ~far


def out_of_range(parts: Balance, drive: jax.Array) -> jax.Array:
    """Whether a part of the drive lies outside the range of A, so that no rates can cancel it."""
    if parts.basis.shape[0] == parts.basis.shape[1]:
        return jnp.array(False)
    rest = drive - parts.basis @ coordinates(parts.basis, drive)
    return jnp.max(jnp.abs(rest)) > 1e-9 * jnp.max(jnp.abs(drive))
