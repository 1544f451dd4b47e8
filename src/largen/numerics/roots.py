"""Roots of JAX functions, differentiable by the implicit function theorem."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

_STEPS = 6


def implicit_root(function: Callable[[Any, Any], Any], guess: Any, args: Any) -> jax.Array:
    """Root of function(y, args) = 0 near a guess, by six steps of Newton's method.

    Derivatives of any order with respect to `args` follow from the implicit function theorem; the guess carries
    none. Where Newton's method fails the value is not a root: the caller must check it.

    Args:
        function: Maps (y, args) to a value of y's shape, () or (r,).
        guess: Starting point, close to the root wanted.
        args: Everything that the function needs and with respect to which derivatives are taken.
    """

    def newton(residual: Callable, start: Any) -> Any:
        def step(_: int, y: Any) -> Any:
            return y - solve_small(jax.jacfwd(residual)(y), residual(y))

        return jax.lax.fori_loop(0, _STEPS, step, start)

    def tangent(linear: Callable, vector: Any) -> Any:
        return solve_small(jax.jacfwd(linear)(jnp.zeros_like(vector)), vector)

    start = jax.lax.stop_gradient(jnp.asarray(guess))
    return jax.lax.custom_root(lambda y: function(y, args), start, newton, tangent)


def solve_small(matrix: Any, vector: Any) -> Any:
    """Solve a linear system whose size may be 1, where a division does."""
    if matrix.size == 1:
        return vector / matrix.reshape(())
    return jnp.linalg.solve(matrix, vector)
