"""Activations: the rate f(x) = activation(gain x) of a neuron in state x, and its moments under a Gaussian law."""

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from largen.checks import require
from largen.numerics import expressions
from largen.numerics.bivariate import Expansion, expand, expand_probit
from largen.numerics.gaussian_pairs import covariance_by_smoothing, probit_covariance

if TYPE_CHECKING:
    from largen.systems.rate.model import RateNetwork

_FORMULAS = {
    "logistic": r"\frac{1}{1 + e^{-%s}}",
    "probit": r"\Phi(%s)",
    "tanh": r"\tanh(%s)",
    "erf": r"\mathrm{erf}(%s)",
    "linear": "%s",
    "relu": r"\max(%s, 0)",
}
NAMES = ("logistic", "probit", "tanh", "erf", "linear")


def check(activation: Any, name: str = "activation", names: tuple[str, ...] = NAMES) -> None:
    """Refuse what is neither a known name, nor a formula, nor a function."""
    if isinstance(activation, str) and activation not in names and not activation.isidentifier():
        expressions.parse(activation, name)
        return
    good = callable(activation) or (isinstance(activation, str) and activation in names)
    listed = ", ".join(repr(name) for name in names)
    must = f"be one of {listed} or a formula such as 'x / sqrt(1 + x**2)', or a JAX function of one number"
    require(good, name, must, activation)


def is_formula(kind: Any) -> bool:
    """Whether an activation is a formula of x."""
    return isinstance(kind, str) and kind not in _FORMULAS


def latex(kind: str | Callable, inside: str) -> str:
    """The activation of `inside` as LaTeX."""
    if not isinstance(kind, str):
        name = getattr(kind, "__name__", "f").replace("_", r"\_").replace("<", "").replace(">", "")
        return rf"\mathrm{{{name}}}({inside})"
    return expressions.latex(kind, inside) if is_formula(kind) else _FORMULAS[kind] % inside


class Activation:
    """f(gain x), evaluated with NumPy.

    Args:
        kind: One of `NAMES`, a formula of x, or a JAX function.
        gain: Factor on the state.
    """

    def __init__(self, kind: str | Callable, gain: float):
        self.kind, self.gain = kind, float(gain)
        # probit and erf are offset + scale Phi(slope x)
        self.scale, self.offset, self.slope = {
            "probit": (1.0, 0.0, self.gain),
            "erf": (2.0, -1.0, math.sqrt(2.0) * self.gain),
        }.get(kind if isinstance(kind, str) else "", (0.0, 0.0, 0.0))
        self._function = _function(kind)

    @classmethod
    def of(cls, model: "RateNetwork") -> "Activation":
        """That of a model."""
        return cls(model.activation, float(model.gain))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Rates at states x, any shape; a network checks its states itself."""
        return self._function(self.gain * x if self.gain != 1.0 else x)

    def expand(self, mean: float, variance: float, terms: int, tolerance: float) -> Expansion:
        """Normalised Hermite coefficients at one Gaussian law, in closed form for linear, probit and erf."""
        if self.kind == "linear":
            first = np.zeros(terms)
            first[0] = self.gain * math.sqrt(variance)
            rest = np.zeros(terms + 1)
            rest[0] = first[0] ** 2
            return Expansion(self.gain * mean, rest[0], first, rest)
        if self.scale:
            part = expand_probit(self.slope, mean, variance, terms)
            squared = self.scale**2
            return Expansion(
                self.offset + self.scale * part.mean,
                squared * part.variance,
                self.scale * part.coefficients,
                squared * part.remainder,
            )
        return expand(self, mean, variance, terms, tolerance)

    def covariance(
        self,
        means: tuple[np.ndarray, np.ndarray],
        variances: tuple[np.ndarray, np.ndarray],
        r: np.ndarray,
        allowed: float,
    ) -> tuple[np.ndarray, float]:
        """Covariance of f(x), f(y) at correlations near ±1, and an error estimate; shapes (pair,).

        In closed form for probit and erf; otherwise the rule is refined until the error is allowed, or it is the
        finest.
        """
        if self.scale:
            widths = [np.sqrt(1.0 + self.slope**2 * variance) for variance in variances]
            a, b = (self.slope * mean / width for mean, width in zip(means, widths, strict=True))
            joint = self.slope**2 * r * np.sqrt(variances[0] * variances[1]) / (widths[0] * widths[1])
            return self.scale**2 * probit_covariance(a, b, joint), 1e-14
        laws = zip(*np.broadcast_arrays(*means, *variances, r), strict=True)
        found = [covariance_by_smoothing(self, law[:2], law[2:4], law[4], allowed) for law in laws]
        value, error = (np.array(part) for part in zip(*found, strict=True)) if found else (np.zeros(0), np.zeros(0))
        return value, float(np.max(error, initial=0.0))


def _function(kind: str | Callable) -> Callable[[np.ndarray], np.ndarray]:
    if not isinstance(kind, str):
        return _compiled(kind)
    if is_formula(kind):
        return expressions.numpy_function(kind)
    return {
        "logistic": special.expit,
        "probit": special.ndtr,
        "tanh": np.tanh,
        "erf": special.erf,
        "linear": lambda x: np.array(x),
        "relu": lambda x: np.maximum(x, 0.0),
    }[kind]


@functools.lru_cache(maxsize=32)
def _compiled(function: Callable) -> Callable[[np.ndarray], np.ndarray]:
    """A user's JAX function of one number, vectorised and compiled, from and to NumPy in the precision given."""
    import jax
    import jax.numpy as jnp

    compiled = jax.jit(jnp.vectorize(function))

    def call(x: np.ndarray) -> np.ndarray:
        with jax.enable_x64(True):
            values = np.asarray(compiled(np.asarray(x)))
        return values.astype(np.asarray(x).dtype, copy=False)

    return call


def jax_function(kind: str | Callable) -> Callable:
    """The activation at gain 1 as a JAX function."""
    import jax
    import jax.numpy as jnp

    if not isinstance(kind, str):
        return jnp.vectorize(kind)
    if is_formula(kind):
        return expressions.jax_function(kind)
    return {
        "logistic": jax.nn.sigmoid,
        "probit": jax.scipy.special.ndtr,
        "tanh": jnp.tanh,
        "erf": jax.scipy.special.erf,
        "linear": lambda x: x,
        "relu": jax.nn.relu,
    }[kind]
