"""Roots of JAX functions, differentiable by the implicit function theorem."""

from collections.abc import Callable
from typing import Any

import jax
import optimistix as optx


def implicit_root(function: Callable[[Any, Any], Any], guess: Any, args: Any) -> jax.Array:
    """Root of function(y, args) = 0 near a guess, by Newton's method.

    Derivatives with respect to `args` follow from the implicit function theorem; the guess carries none. Where
    Newton's method fails the value is not a root: the caller checks the residual.

    Args:
        function: Maps (y, args) to a value of y's shape.
        guess: Starting point, close to the root wanted.
        args: Everything differentiable that the function needs.
    """
    solver = optx.Newton(rtol=1e-12, atol=1e-12)
    return optx.root_find(function, solver, jax.lax.stop_gradient(guess), args, max_steps=20, throw=False).value
