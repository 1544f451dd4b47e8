"""Gains: the intensity of a neuron as a function of its state, and its mean over a Gaussian population (eq. B3)."""

import abc
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr, ndtri

from largen.numerics.gaussian import Derivative, expectation
from largen.numerics.roots import implicit_root
from largen.parameters import AbstractComponent, parameter


class AbstractGain(AbstractComponent):
    """A bounded, smooth function f of the state, with values in [0, bound]."""

    @property
    @abc.abstractmethod
    def bound(self) -> Any:
        """An upper bound of f."""

    @property
    @abc.abstractmethod
    def steepness(self) -> Any:
        """Slope beta of the logistic function that has this bound and the same greatest slope."""

    @abc.abstractmethod
    def __call__(self, x: Any) -> Any:
        """Intensity at state x, elementwise."""

    def mean_rate(self, mean: Any, variance: Any, nodes: int, order: int = 0) -> jax.Array:
        """F(v, K) = E f(v + sqrt(K) xi), or its derivative of the given order in v; scalars in, scalar out."""
        function = self
        for _ in range(order):
            function = Derivative(function)
        return expectation(function, mean, variance, nodes)


class Logistic(AbstractGain):
    """f(x) = maximum / (1 + exp(-slope (x - threshold)))."""

    maximum: Any = parameter(1.0, symbol="f_{max}", above=0.0, doc="Greatest intensity.")
    slope: Any = parameter(1.0, symbol=r"\beta", above=0.0, doc="Slope.")
    threshold: Any = parameter(0.0, symbol=r"\theta", doc="State of half the greatest intensity.")

    @property
    def bound(self) -> Any:
        """The greatest intensity."""
        return self.maximum

    @property
    def steepness(self) -> Any:
        """The slope."""
        return self.slope

    def __call__(self, x: Any) -> Any:
        """Intensity at state x, elementwise."""
        return self.maximum * jax.nn.sigmoid(self.slope * (x - self.threshold))

    def inverse(self, rate: Any, variance: Any, nodes: int) -> jax.Array:
        """The v with F(v, K) = rate, by Newton's method on the probit of F, which is almost linear in v."""
        width = 1.7 / self.slope  # the probit of nearest shape
        target = ndtri(rate / self.maximum)

        def step(_: int, v: Any) -> Any:
            share = self.mean_rate(v, variance, nodes) / self.maximum
            z = ndtri(share)
            density = jnp.exp(-0.5 * z**2) / jnp.sqrt(2 * jnp.pi)
            return v - (z - target) * density * self.maximum / self.mean_rate(v, variance, nodes, 1)

        guess = self.threshold + jnp.sqrt(width**2 + variance) * target
        near = jax.lax.fori_loop(0, 12, step, jax.lax.stop_gradient(guess))
        return implicit_root(
            lambda v, args: args[0].mean_rate(v, args[2], nodes) - args[1], near, (self, rate, variance)
        )


class Probit(AbstractGain):
    """f(x) = maximum Phi(slope (x - threshold)), with Phi the standard Gaussian distribution function."""

    maximum: Any = parameter(1.0, symbol="f_{max}", above=0.0, doc="Greatest intensity.")
    slope: Any = parameter(1.0, symbol=r"\beta", above=0.0, doc="Slope.")
    threshold: Any = parameter(0.0, symbol=r"\theta", doc="State of half the greatest intensity.")

    @property
    def bound(self) -> Any:
        """The greatest intensity."""
        return self.maximum

    @property
    def steepness(self) -> Any:
        """The slope of the logistic function as steep as this: 4/sqrt(2 pi) times the slope."""
        return 4.0 / np.sqrt(2.0 * np.pi) * self.slope

    def __call__(self, x: Any) -> Any:
        """Intensity at state x, elementwise."""
        return self.maximum * ndtr(self.slope * (x - self.threshold))

    def mean_rate(self, mean: Any, variance: Any, nodes: int, order: int = 0) -> jax.Array:
        """F(v, K) = maximum Phi(slope (v - threshold)/sqrt(1 + slope^2 K)), or a derivative in v."""
        slope = self.slope / jnp.sqrt(1.0 + self.slope**2 * variance)
        z = slope * (mean - self.threshold)
        if order == 0:
            return self.maximum * ndtr(z)
        below, here = jnp.zeros_like(z), jnp.ones_like(z)  # Hermite polynomials of degree order - 1, signs included
        for j in range(order - 1):
            below, here = here, -(z * here + j * below)
        density = jnp.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
        return self.maximum * slope**order * here * density

    def inverse(self, rate: Any, variance: Any, nodes: int) -> jax.Array:
        """The v with F(v, K) = rate."""
        return self.threshold + jnp.sqrt(self.slope**-2 + variance) * ndtri(rate / self.maximum)


class CustomGain(AbstractGain):
    """A user's own gain: an elementwise JAX function with its bound and its greatest slope.

    The bound and the slope are checked where they are used: a bound that the function exceeds is an error.
    The exact network needs a monotone function.
    """

    function: Any = parameter(
        jax.nn.sigmoid, symbol="f", kind="component", function=True, doc="JAX function, scalar in and scalar out."
    )
    maximum: Any = parameter(
        1.0, symbol="f_{max}", above=0.0, doc="An upper bound of the function; its lower bound is 0."
    )
    steepest: Any = parameter(0.25, symbol="f'_{max}", above=0.0, doc="An upper bound of the slope's absolute value.")

    @property
    def bound(self) -> Any:
        """The stated bound."""
        return self.maximum

    @property
    def steepness(self) -> Any:
        """Slope of the logistic function with this bound and greatest slope."""
        return 4.0 * self.steepest / self.maximum

    def __call__(self, x: Any) -> Any:
        """Intensity at state x, elementwise."""
        return jnp.vectorize(self.function)(x)
