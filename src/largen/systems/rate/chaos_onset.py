"""Where a noiseless rate network with independent weights becomes chaotic, by theory (N to infinity).

The static state U = s (J f(U) + theta), s = tau or 1/(1 - gamma), has a Gaussian law (eq. R16 of docs/rate.md):

    m = s (Jbar E f + theta),    Delta = s^2 (g^2 E f^2 + s_theta^2),    weights of variance g^2/N.

A small perturbation grows when the spectral radius g sqrt(E f'^2) of the matrix J diag(f') reaches 1/s: in continuous
time its eigenvalues then reach the imaginary axis, in discrete time the unit circle. Source: Sompolinsky, Crisanti &
Sommers 1988 (Phys. Rev. Lett. 61:259); Rajan & Abbott 2006 (Phys. Rev. Lett. 97:188104) for the radius.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from scipy import optimize

from largen.checks import InputError, LimitError, require
from largen.numerics.fixed_point import Status, iterate
from largen.numerics.gaussian import trapezoid
from largen.systems.rate.activations import Activation, jax_function
from largen.systems.rate.kernels import UncorrelatedKernel
from largen.systems.rate.stationary import chaotic_variance

if TYPE_CHECKING:
    from largen.systems.rate.model import RateNetwork

_NODES = 3073
_STEP = 1.05  # factor from one trial of g to the next
_LARGEST = 1e3


class Onset(NamedTuple):
    """The onset of chaos.

    Attributes:
        gain: Standard deviation g of a weight, times sqrt(N), at which the static state loses its stability.
        mean: Mean of the static state there.
        variance: Its variance over neurons.
    """

    gain: float
    mean: float
    variance: float


class _Static:
    """Law and stability of the static state, with s = `static` and s^2 s_theta^2 = `own`."""

    def __init__(self, model: "RateNetwork"):
        self.model = model
        self.xi, self.weights = trapezoid(_NODES)
        self.rate = Activation.of(model)
        self.slope = _derivative(model.activation, float(model.gain))
        self.static = float(model.tau) if model.dynamics == "continuous" else 1.0 / (1.0 - float(model.gamma))
        self.own = self.static**2 * float(model.threshold_variance)

    def states(self, law: np.ndarray) -> np.ndarray:
        """States at the quadrature nodes, shape (node,)."""
        return law[0] + math.sqrt(max(law[1], 0.0)) * self.xi

    def law(self, g: float, start: np.ndarray) -> np.ndarray:
        """Mean and variance of the static state, shape (2,)."""

        def sweep(law: np.ndarray) -> np.ndarray:
            rate = self.rate(self.states(law))
            drive = float(self.model.mean_weight) * (self.weights @ rate) + float(self.model.threshold_mean)
            return np.array([self.static * drive, self.static**2 * g**2 * (self.weights @ rate**2) + self.own])

        found = iterate(sweep, start, tolerance=1e-14 * (1.0 + float(np.abs(start).max())), most=5000)
        if found.status is not Status.CONVERGED and found.residuals[-1] > 1e-11:
            raise LimitError(
                f"The static state at g = {g:.6g} was not found. {found.status.value} "
                "Change the thresholds or the mean weight, or measure the exponent of the network (analysis.lyapunov)."
            )
        return found.value

    def excess(self, g: float, start: np.ndarray) -> tuple[float, np.ndarray]:
        """Spectral radius times the static gain, less 1, and the law."""
        law = self.law(g, start)
        squared = float(self.weights @ self.slope(self.states(law)) ** 2)
        return g * self.static * math.sqrt(squared) - 1.0, law


def _derivative(kind: str | Callable, gain: float) -> Callable[[np.ndarray], np.ndarray]:
    function = jax_function(kind)

    def slope(x: np.ndarray) -> np.ndarray:
        with jax.enable_x64(True):
            return gain * np.asarray(jax.jvp(function, (gain * x,), (np.ones_like(x),))[1])

    return slope


def find(model: "RateNetwork") -> Onset:
    """Onset of chaos as the standard deviation of the weights grows from zero; the model's own is ignored.

    Args:
        model: A RateNetwork without noise, with independent weights.

    Raises:
        InputError: Noise, or correlated weights.
        LimitError: The static state stays stable, or is lost.
    """
    _check(model)
    require(model.dynamics == "continuous" or float(model.gamma) < 1.0, "gamma", "be below 1", float(model.gamma))
    static = _Static(model)
    law = np.array([0.0, static.own])
    low, high = 0.0, 0.1
    value, law = static.excess(high, law)
    while value <= 0.0:
        low, high = high, high * _STEP
        if high > _LARGEST:
            raise LimitError(
                f"The static state stays stable up to g = {_LARGEST:g}: there is no onset of chaos. "
                "Take an activation that is steeper, or thresholds nearer to its steepest point."
            )
        before = law
        value, law = static.excess(high, law)
        law = law if value <= 0.0 else before
    if low == 0.0:
        low, high = 0.0, 0.1
    gain = float(optimize.brentq(lambda g: static.excess(g, law)[0], low, high, xtol=1e-14, rtol=1e-14))  # type: ignore[arg-type]
    mean, variance = static.law(gain, law)
    return Onset(gain, float(mean), float(variance))


def variances(model: "RateNetwork", gains: np.ndarray) -> np.ndarray:
    """Variance Delta_0 of the chaotic state at weights of standard deviation g/sqrt(N), for tanh without thresholds.

    Args:
        model: A RateNetwork in continuous time without noise, mean weight or thresholds, with independent weights.
        gains: g, shape (any,).

    Raises:
        InputError: The model is of another kind: then there is no closed equation.
    """
    _check(model)
    plain = (
        model.dynamics == "continuous"
        and model.activation == "tanh"
        and all(float(getattr(model, name)) == 0.0 for name in ("mean_weight", "threshold_mean", "threshold_variance"))
    )
    if not plain:
        raise InputError(
            "Argument `gains` must be left out for this model: Delta_0(g) has a closed equation only in continuous "
            "time with tanh, without mean weight and thresholds. Use analysis.stationary for others."
        )
    slope, tau = float(model.gain), float(model.tau)
    return np.array([chaotic_variance(g * abs(slope) * tau) / slope**2 for g in gains.tolist()])


def _check(model: "RateNetwork") -> None:
    require(float(model.noise) == 0.0, "noise", "be 0 for a transition to chaos", float(model.noise))
    if not isinstance(model.kernel, UncorrelatedKernel):
        raise InputError(
            f"Argument `kernel` must be an UncorrelatedKernel for the theory of the onset of chaos, but is a "
            f"{type(model.kernel).__name__}. Measure the exponent of the network instead (analysis.lyapunov)."
        )
