"""Expectations over a Gaussian variable: the trapezoidal rule, its derivatives, and Hermite coefficients."""

import functools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError

REACH = 9.5
"""The rule covers [-REACH, REACH] standard deviations; the mass beyond is 2e-21."""

_INTERVALS = 192
_MOST_INTERVALS = _INTERVALS * 2**10


def node_count(steepness: float) -> int:
    """Number of nodes with which the trapezoidal rule is exact to rounding for a sigmoid.

    The step is at most min(0.1, 0.25/(1 + steepness)) standard deviations. Counts come in powers of two, so that
    nearby parameters share one compiled program.

    Args:
        steepness: Slope beta of the sigmoid (1/(1 + exp(-beta x)) or alike) times the standard deviation.
    """
    needed = 2 * REACH / min(0.1, 0.25 / (1.0 + steepness))
    if not (math.isfinite(steepness) and needed <= _MOST_INTERVALS):
        raise InputError(
            f"A gain whose slope times the standard deviation of its argument is {steepness:.3g} is too steep for "
            f"quadrature. Use a Probit gain (exact at any slope), or a slope below {_MOST_INTERVALS / 76:.0f} "
            "divided by the standard deviation."
        )
    intervals = _INTERVALS
    while intervals < needed:
        intervals *= 2
    return intervals + 1


@functools.lru_cache(maxsize=16)
def trapezoid(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and normalised weights of the standard Gaussian law, each of shape (nodes,).

    The trapezoidal rule converges geometrically here; Gauss-Hermite is poor for steep sigmoids.
    """
    xi = np.linspace(-REACH, REACH, nodes)
    weights = np.exp(-0.5 * xi**2)
    return xi, weights / math.fsum(weights)


class Derivative(eqx.Module):
    """The derivative of an elementwise function, as a function."""

    function: Callable

    def __call__(self, x: Any) -> Any:
        """Derivative at x, same shape."""
        return jax.jvp(self.function, (x,), (jnp.ones_like(x),))[1]


class _Perturbation(eqx.Module):
    """Directional derivative of a function with respect to its own parameters."""

    function: Callable
    direction: Any

    def __call__(self, x: Any) -> Any:
        return eqx.filter_jvp(lambda f: f(x), (self.function,), (self.direction,))[1]


@eqx.filter_custom_jvp
def expectation(function: Callable, mean: Any, variance: Any, nodes: int) -> jax.Array:
    """E f(mean + sqrt(variance) xi) for a standard Gaussian xi, by the trapezoidal rule.

    Differentiable to any order in the mean, the variance and the parameters of the function, also at variance 0:
    the rule for derivatives is d/dv E f = E f' and d/dK E f = E f''/2.

    Args:
        function: Elementwise JAX function; a pytree if it has parameters.
        mean: Mean v, any shape.
        variance: Variance K >= 0, same shape.
        nodes: Number of nodes, from `node_count`.
    """
    xi, weights = trapezoid(nodes)
    x = jnp.asarray(mean)[..., None] + jnp.sqrt(variance)[..., None] * xi
    return jnp.sum(weights * function(x), axis=-1)


@expectation.def_jvp
def _expectation_jvp(primals: Any, tangents: Any) -> Any:
    function, mean, variance, nodes = primals
    in_function, in_mean, in_variance, _ = tangents
    value = expectation(function, mean, variance, nodes)
    change = jnp.zeros_like(value)
    if in_mean is not None:
        change += expectation(Derivative(function), mean, variance, nodes) * in_mean
    if in_variance is not None:
        change += 0.5 * expectation(Derivative(Derivative(function)), mean, variance, nodes) * in_variance
    if any(leaf is not None for leaf in jax.tree.leaves(in_function)):
        change += expectation(_Perturbation(function, in_function), mean, variance, nodes)
    return value, change


def hermite_coefficients(function: Callable, mean: float, variance: float, nodes: int, degree: int) -> np.ndarray:
    """E f(mean + sqrt(variance) xi) He_j(xi) / sqrt(j!) for j = 0..degree, shape (degree + 1,).

    By Stein's identity the j-th is variance^(j/2)/sqrt(j!) times the j-th derivative of E f in the mean.
    """
    xi, weights = trapezoid(nodes)
    values = weights * np.asarray(function(mean + math.sqrt(variance) * xi))
    below, here = np.zeros_like(xi), np.ones_like(xi)
    coefficients = []
    for j in range(degree + 1):
        coefficients.append(float(values @ here))
        below, here = here, (xi * here - math.sqrt(j) * below) / math.sqrt(j + 1)
    return np.array(coefficients)
