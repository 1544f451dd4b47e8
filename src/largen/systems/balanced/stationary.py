"""Stationary states of the balanced limit (eq. B12 of docs/balanced.md) and at finite n, with their eigenvalues."""

from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from largen.checks import InputError
from largen.systems.balanced import finite_size, limit_equations, manifold
from largen.systems.balanced.manifold import Structure, at, rates

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork

TAIL = 1e-4
"""Roots where a rate is nearer to 0 or to its bound than this share of the bound are spurious: the gain is flat."""

_STARTS = 255
_SAME = 1e-7


class FixedPoints(NamedTuple):
    """All stationary states found, S of them, sorted by the mean of the first population.

    Attributes:
        mean: v, shape (S, P).
        variance: K, shape (S, P).
        third_cumulant: kappa, 0 in the limit, shape (S, P).
        rate: F, shape (S, P).
        fast: Fast eigenvalues (those of Q^T D R), shape (S, r); times sqrt(n) they are rates per unit time.
        slow: Eigenvalues on the tangent space of the manifold, shape (S, 2P - r).
        stable: Whether all real parts are negative, shape (S,).
    """

    mean: np.ndarray
    variance: np.ndarray
    third_cumulant: np.ndarray
    rate: np.ndarray
    fast: np.ndarray
    slow: np.ndarray
    stable: np.ndarray


def residual(unknown: Any, args: Any) -> jax.Array:
    """The equations -v/tau + m + R lambda = 0, dK/dt = 0, Q^T F + htilde = 0 in (v, K, lambda) (eq. B12).

    The index-reduced right-hand side cannot be used: it does not contain h, and adds r zero eigenvalues.
    """
    model, parts, nodes = args
    count = len(model.gain)
    v, k, force = unknown[:count], unknown[count : 2 * count], unknown[2 * count :]
    rate = rates(model.gain, v, k, nodes)
    strong = manifold.coordinates(parts.basis, at(model.drive, 0.0))
    return jnp.concatenate(
        [
            -v / model.tau + at(model.input, 0.0) + parts.basis @ force,
            limit_equations.variance_change(model, parts, k, rate),
            parts.conditions @ rate + strong,
        ]
    )


@eqx.filter_jit
def _newton(starts: jax.Array, model: "BalancedNetwork", structure: Structure) -> tuple[jax.Array, jax.Array]:
    """Damped Newton's method from every start: the points and the size of their residuals."""
    parts = manifold.balance(model, structure.columns)
    args = (model, parts, structure.nodes)
    count = len(model.gain)

    def size(x: Any) -> jax.Array:
        return jnp.max(jnp.abs(residual(x, args)))

    def step(_: int, x: Any) -> Any:
        move = jnp.linalg.solve(jax.jacfwd(residual)(x, args), residual(x, args))
        tries = x - 0.5 ** jnp.arange(8.0)[:, None] * move
        tries = tries.at[:, count : 2 * count].set(jnp.maximum(tries[:, count : 2 * count], 1e-12))
        sizes = jax.vmap(size)(tries)
        return tries[jnp.argmin(jnp.where(jnp.isfinite(sizes), sizes, jnp.inf))]

    found = jax.vmap(lambda x: jax.lax.fori_loop(0, 40, step, x))(starts)
    return found, jax.vmap(size)(found)


@eqx.filter_jit
def _linear(
    points: jax.Array, model: "BalancedNetwork", structure: Structure
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """F, Q^T D R, the Jacobian of the limit's right-hand side, and that of the constraint, at each point (v, K)."""
    parts = manifold.balance(model, structure.columns)
    count = len(model.gain)

    def one(y: Any) -> Any:
        def flow(y: Any) -> Any:
            return jnp.concatenate(limit_equations.rhs(0.0, (y[:count], y[count:]), (model, parts, structure.nodes)))

        def constraint(y: Any) -> Any:
            return parts.conditions @ rates(model.gain, y[:count], y[count:], structure.nodes)

        slope = rates(model.gain, y[:count], y[count:], structure.nodes, 1)
        rate = rates(model.gain, y[:count], y[count:], structure.nodes)
        return rate, manifold.fast_matrix(parts, slope), jax.jacfwd(flow)(y), jax.jacfwd(constraint)(y)

    return jax.vmap(one)(points)


def fixed_points(model: "BalancedNetwork") -> FixedPoints:
    """All stationary states of the limit that Newton's method finds from many starts; roots in gain tails are removed.

    Args:
        model: A BalancedNetwork with constant drive and input.

    Raises:
        InputError: The drive or the input is a function of time.
    """
    _require_constant(model)
    with jax.enable_x64(True):
        structure = manifold.structure(model)
        parts = manifold.balance(model, structure.columns)
        if bool(manifold.out_of_range(parts, jnp.asarray(model.drive))):
            points = np.zeros((0, 2 * len(model.gain)))
        else:
            found, sizes = _newton(jnp.asarray(_starts(model, np.asarray(parts.basis))), model, structure)
            points = _distinct(model, np.asarray(found), np.asarray(sizes), structure)
        rate, fast, flow, constraint = (np.asarray(x) for x in _linear(jnp.asarray(points), model, structure))
    count, rank = len(model.gain), len(structure.columns)
    fast = _sorted(np.linalg.eigvals(fast)) if len(points) else np.zeros((0, rank), complex)
    slow = [_on_tangent(f, c) for f, c in zip(flow, constraint, strict=True)]
    slow = _sorted(np.array(slow, dtype=complex).reshape(len(points), 2 * count - rank))
    stable = np.all(np.real(fast) < 0, axis=1) & np.all(np.real(slow) < 0, axis=1)
    mean, variance = points[:, :count], points[:, count:]
    return FixedPoints(mean, variance, np.zeros_like(mean), rate, fast, slow, stable)


def _require_constant(model: "BalancedNetwork") -> None:
    for name in ("drive", "input"):
        if callable(getattr(model, name)):
            raise InputError(
                f"Argument `{name}` must be constant for a stationary state, but is a function of time. "
                "Take its value at one time."
            )


def _starts(model: "BalancedNetwork", directions: np.ndarray) -> np.ndarray:
    """Starts (v, K, lambda): v spread over the states where some gain varies, K between zero and its bound."""
    count, rank = directions.shape
    bound = np.array([float(gain.bound) for gain in model.gain])
    tau = np.broadcast_to(model.tau, (count,))
    share = np.broadcast_to(model.fractions, (count,)) / np.mean(np.broadcast_to(model.fractions, (count,)))
    most = 0.5 * tau * (model.coupling**2 @ (share * bound) + np.broadcast_to(model.noise, (count,)) ** 2) + 1e-3
    width = 1.0 / np.array([float(gain.steepness) for gain in model.gain])
    middle = np.array([float(np.asarray(getattr(gain, "threshold", 0.0))) for gain in model.gain])
    reach = 5.0 * np.sqrt(most + width**2)
    from scipy.stats import qmc  # slow to import

    sample = qmc.Sobol(2 * count, scramble=False).random(_STARTS + 1)[1:]
    v = middle + reach * (2.0 * sample[:, :count] - 1.0)
    k = most * sample[:, count:]
    force = (v / tau - model.input) @ np.linalg.pinv(directions).T if rank else np.zeros((_STARTS, 0))
    return np.concatenate([v, k, force], axis=1)


def _distinct(model: "BalancedNetwork", found: np.ndarray, sizes: np.ndarray, structure: Structure) -> np.ndarray:
    """Roots that converged, lie outside the tails, and differ from one another; shape (S, 2P), sorted."""
    count = len(model.gain)
    good = found[(sizes < 1e-9) & np.all(np.isfinite(found), axis=1)][:, : 2 * count]
    bound = np.array([float(gain.bound) for gain in model.gain])
    kept: list[np.ndarray] = []
    for y in good[np.argsort(good[:, 0], kind="stable")]:
        rate = np.asarray(rates(model.gain, jnp.asarray(y[:count]), jnp.asarray(y[count:]), structure.nodes)) / bound
        if np.all((rate > TAIL) & (rate < 1 - TAIL)) and not any(np.max(np.abs(y - z)) < _SAME for z in kept):
            kept.append(y)
    return np.array(kept).reshape(len(kept), 2 * count)


def _on_tangent(flow: np.ndarray, constraint: np.ndarray) -> np.ndarray:
    """Eigenvalues of the flow's Jacobian on the tangent space of the manifold, which it leaves invariant."""
    rank = len(constraint)
    tangent = np.linalg.svd(constraint)[2][rank:].T if rank else np.eye(flow.shape[0])
    return np.linalg.eigvals(tangent.T @ flow @ tangent)


def _sorted(values: Any) -> np.ndarray:
    order = np.lexsort((-values.imag, -values.real), axis=-1)
    return np.take_along_axis(values.astype(complex), order, axis=-1)


def finite_fixed_points(model: "BalancedNetwork", n: int) -> FixedPoints:
    """Stationary states of the finite-size equations near those of the limit.

    `fast` holds all 3P eigenvalues of the moment equations, `slow` is empty.

    Args:
        model: A BalancedNetwork with constant drive and input.
        n: Total number of neurons.
    """
    limiting = fixed_points(model)
    count = len(model.gain)
    points, values = [], []
    with jax.enable_x64(True):
        nodes = manifold.structure(model).nodes
        sizes = jnp.asarray(model.sizes(n).astype(np.float64))
        for v, k in zip(limiting.mean, limiting.variance, strict=True):
            start = np.concatenate([v, k, np.zeros(count)])
            root = scipy.optimize.root(
                lambda y: np.asarray(_moments(y, model, sizes, nodes)[0]),
                start,
                jac=lambda y: np.asarray(_moments(y, model, sizes, nodes)[1]),
                tol=1e-13,
            ).x
            size, jacobian = (np.asarray(x) for x in _moments(root, model, sizes, nodes))
            if np.max(np.abs(size)) < 1e-8 and not any(np.max(np.abs(root - other)) < _SAME for other in points):
                points.append(root)
                values.append(np.linalg.eigvals(jacobian))
        points = np.array(points).reshape(len(points), 3, count)
        rate = [np.asarray(finite_size.corrected_rate(model, point[0], point[1], point[2], nodes)) for point in points]
    fast = _sorted(np.array(values, dtype=complex).reshape(len(points), 3 * count))
    return FixedPoints(
        points[:, 0],
        points[:, 1],
        points[:, 2],
        np.array(rate).reshape(len(points), count),
        fast,
        np.zeros((len(points), 0), complex),
        np.all(np.real(fast) < 0, axis=1),
    )


@eqx.filter_jit
def _moments(y: Any, model: "BalancedNetwork", sizes: Any, nodes: int) -> tuple[jax.Array, jax.Array]:
    """The finite-size right-hand side at y = (v, K, kappa), and its Jacobian."""
    count = len(model.gain)
    parts = manifold.balance(model, tuple(range(count)), sizes)
    args = (model, parts, jnp.mean(sizes), 1.0, nodes)

    def flow(y: Any) -> jax.Array:
        return jnp.concatenate(finite_size.rhs(0.0, tuple(y.reshape(3, count)), args))

    y = jnp.asarray(y)
    return flow(y), jax.jacfwd(flow)(y)
