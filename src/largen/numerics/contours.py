"""Zero curves of functions on a plane, their crossings, and points where a second function vanishes on them."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from contourpy import contour_generator

_NEWTON = 8
_NEAR = 1e-9


@eqx.filter_jit
def on_grid(function: Callable[[Any, Any], Any], x: Any, y: Any, args: Any) -> jax.Array:
    """Values on a grid, shape (..., y, x), of a function of a point of shape (2,)."""
    across, up = jnp.meshgrid(x, y)
    points = jnp.stack([across.ravel(), up.ravel()], axis=1)
    values = jax.vmap(lambda point: function(point, args))(points)
    return jnp.moveaxis(values.reshape(len(y), len(x), *values.shape[1:]), (0, 1), (-2, -1))


@eqx.filter_jit
def _polish(function: Callable[[Any, Any], Any], points: Any, args: Any) -> Any:
    """Points moved onto the zero set along the gradient (minimum-norm Newton steps)."""

    def one(point: Any) -> Any:
        def step(_: int, p: Any) -> Any:
            value = jnp.atleast_1d(function(p, args))
            jacobian = jax.jacfwd(lambda p: jnp.atleast_1d(function(p, args)))(p)
            if len(value) == 2:
                return p - jnp.linalg.solve(jacobian, value)
            slope = jacobian[0]
            return p - value[0] * slope / jnp.maximum(slope @ slope, 1e-300)

        return jax.lax.fori_loop(0, _NEWTON, step, point)

    return jax.vmap(one)(points)


def zero_curves(
    function: Callable[[Any, Any], Any], x: np.ndarray, y: np.ndarray, args: Any, values: np.ndarray | None = None
) -> list[np.ndarray]:
    """The curves function(point, args) = 0 in a window, each of shape (vertex, 2), in order along the curve.

    They are traced on the grid, and every vertex is then moved onto the curve by Newton's method.

    Args:
        function: Pure JAX function of a point, shape (2,), to a number.
        x: Grid, increasing, shape (x,).
        y: Grid, increasing, shape (y,).
        args: What the function needs.
        values: The function on the grid, shape (y, x), if it is known.
    """
    z = np.asarray(on_grid(function, x, y, args)) if values is None else values
    cell = np.array([x[1] - x[0], y[1] - y[0]])
    curves = []
    for line in contour_generator(x, y, z).lines(0.0):
        line = np.asarray(line)
        better = np.asarray(_polish(function, jnp.asarray(_padded(line)), args))[: len(line)]
        stray = ~np.all(np.abs(better - line) <= cell, axis=1)
        curves.append(np.where(stray[:, None], line, better))
    return curves


def crossings(
    pair: Callable[[Any, Any], Any], curves: list[np.ndarray], second: Callable[[Any, Any], Any], args: Any
) -> np.ndarray:
    """Points, shape (point, 2), on the curves where a second function changes sign; by Newton's method on both.

    Args:
        pair: Function of a point to both values, shape (2,).
        curves: From `zero_curves` of the first.
        second: The second alone.
        args: What they need.
    """
    starts = []
    for line in curves:
        values = np.asarray(along(second, line, args))
        change = np.flatnonzero(values[:-1] * values[1:] <= 0)
        share = np.abs(values[change]) / np.maximum(np.abs(values[change]) + np.abs(values[change + 1]), 1e-300)
        starts.extend(line[change] + share[:, None] * (line[change + 1] - line[change]))
    if not starts:
        return np.zeros((0, 2))
    start = np.array(starts)
    found = np.asarray(_polish(pair, jnp.asarray(_padded(start)), args))[: len(start)]
    scale = 1.0 + np.abs(start).max()
    good = found[np.all(np.isfinite(found), axis=1) & np.all(np.abs(found - start) < 0.1 * scale, axis=1)]
    kept: list[np.ndarray] = []
    for point in good[np.lexsort(good.T[::-1])] if len(good) else good:
        if not any(np.max(np.abs(point - other)) < _NEAR * scale for other in kept):
            kept.append(point)
    return np.array(kept).reshape(len(kept), 2)


def along(function: Callable[[Any, Any], Any], line: np.ndarray, args: Any) -> np.ndarray:
    """Values of a function at the points of a line, shape (point, ...)."""
    return np.asarray(_mapped(function, jnp.asarray(_padded(line)), args))[: len(line)]


@eqx.filter_jit
def _mapped(function: Callable[[Any, Any], Any], points: Any, args: Any) -> Any:
    return jax.vmap(lambda point: function(point, args))(points)


def _padded(points: np.ndarray) -> np.ndarray:
    """Points with the last repeated up to a power of two, so that few programs are compiled."""
    size = max(16, 1 << (len(points) - 1).bit_length())
    return np.concatenate([points, np.repeat(points[-1:], size - len(points), axis=0)])
