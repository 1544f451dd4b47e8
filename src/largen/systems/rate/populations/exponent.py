"""The largest Lyapunov exponent of the limit in its stationary regime, with the noise frozen (eqs. P19 and P20).

Two nearby states separate as exp(lambda t) where the operator

    K_lambda: psi_a -> filter_a(lambda) applied to sum_b g_ab^2 E[phi_b'(x_0) phi_b'(x_tau)] psi_b(tau)

has spectral radius 1. It is positive and decreases with lambda, so that one root search gives the exponent for any
number of populations, with or without noise, in continuous and in discrete time. With one population this is the ground
state of Sompolinsky, Crisanti & Sommers 1988 (Phys. Rev. Lett. 61:259).
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import optimize
from scipy.sparse import linalg

from largen.checks import LimitError
from largen.systems.rate.kernels import SeparableKernel
from largen.systems.rate.populations import stationary
from largen.systems.rate.populations.numbers import is_independent, kernels_of
from largen.systems.rate.populations.sweep import filter_of

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations
    from largen.systems.rate.populations.stationary import Stationary

_NEGLIGIBLE = 1e-13
_SMALL = 1e-7  # tangent correlation at the end of the window, relative to its start
_FLAT = 0.5  # likewise where it does not decay at all
_WIDEST = 2**17


class Exponent(NamedTuple):
    """The exponent.

    Attributes:
        value: Largest Lyapunov exponent per unit of time; minus infinity where perturbations vanish at once.
        collective: What was checked beyond random directions, in words.
        regime: The stationary regime.
    """

    value: float
    collective: str
    regime: "Stationary"


def solve(
    model: "RatePopulations", *, start: Any = None, rtol: float = 1e-8, atol: float = 1e-10, **options: Any
) -> Exponent:
    """Find the exponent in the stationary regime that `stationary.solve` finds with the same arguments.

    Raises:
        LimitError: Correlated weights in more than one block, or in a table: no theory of it was checked.
    """
    _require_known(model)
    regime = stationary.solve(model, start=start, rtol=rtol, atol=atol, **options)
    if regime.static:
        if regime.state is None:
            raise LimitError("The exponent of a static state of correlated weights is not derived.")
        return Exponent(regime.state.exponent, "included", regime)
    none = regime.sweep.still.numbers
    words = "none exist" if not np.any(none.mean_weight) and not none.loadings.rank else "not checked"
    if not regime.levels:
        return Exponent(of_regime(regime), words, regime)
    table: list[float] = []
    for level in regime.levels:
        latest = [of_regime(level)]
        for power, coarse in enumerate(table, start=1):
            latest.append((4.0**power * latest[-1] - coarse) / (4.0**power - 1.0))
        table = latest
    return Exponent(table[-1], words, regime)


def _require_known(model: "RatePopulations") -> None:
    kernels = kernels_of(model)
    if all(is_independent(kernel) for row in kernels for kernel in row):
        return
    first: Any = kernels[0][0]
    if len(kernels) > 1 or not isinstance(first, SeparableKernel):
        raise LimitError(
            "The Lyapunov exponent with correlated weights is known for one population and a SeparableKernel only. "
            'Measure that of a network instead: simulate(..., record="lyapunov").'
        )


def multipliers(regime: "Stationary") -> np.ndarray:
    """Lambda_ab times E phi_b'(x_0) phi_b'(x_tau), summed over lags on the ring, shape (target, source, time)."""
    still, law = regime.sweep.still, regime.law
    laws = regime.sweep.laws(law, still.own(still.filtered(law.latent)))
    whole = regime.covariance()
    slopes = np.zeros_like(whole)
    for b, one in enumerate(laws):
        r = one.correlations(whole[b])
        r[0] = 1.0
        slopes[b] = one.slopes(r)
    found = still.numbers.variances[:, :, None] * slopes
    kernel: Any = still.numbers.kernels[0][0]
    if still.numbers.independent or not isinstance(kernel, SeparableKernel):
        return found
    ratio, lag = float(kernel.post) * float(kernel.pre), 1
    while abs(ratio) ** lag > _NEGLIGIBLE:
        r = laws[0].correlations(regime.covariance(lag)[0])
        found[0, 0] += 2.0 * float(kernel.variance) * ratio**lag * laws[0].slopes(r)
        lag += 1
    return found


def of_regime(regime: "Stationary") -> float:
    """The exponent on one grid; the window is made longer while the tangent correlation has not decayed at its end."""
    numbers, step = regime.sweep.still.numbers, regime.sweep.step
    multiplier = multipliers(regime)
    first = multiplier.shape[2]
    while True:
        operator = _Operator(numbers, multiplier, step)
        value = operator.root()
        if value == -math.inf or operator.end <= _SMALL or multiplier.shape[2] > _WIDEST:
            return value
        if multiplier.shape[2] > 8 * first and operator.end > _FLAT:
            raise LimitError(
                "The tangent correlation does not decay: the regime is static, or too near to it. Give a smaller rtol, "
                "or look at static_states."
            )
        longer = np.repeat(multiplier[:, :, -1:], multiplier.shape[2] - 1, axis=2)  # its static level
        multiplier = np.concatenate([multiplier, longer], axis=2)


class _Operator:
    """K_lambda on even functions of the time between, whose spectral radius falls with lambda."""

    def __init__(self, numbers: Any, multiplier: np.ndarray, step: float):
        self.numbers, self.multiplier, self.step = numbers, multiplier, step
        self.populations, self.count = multiplier.shape[0], multiplier.shape[2] - 1
        self.vector = np.ones((self.populations, self.count + 1)) * multiplier.sum(0)
        self.vector += 1e-6 * np.abs(self.vector).max()
        self.end = 0.0

    def log_radius(self, exponent: float) -> float:
        """Logarithm of the spectral radius."""
        pairs = range(self.populations)
        response = np.array([filter_of(self.numbers, a, self.count, self.step, exponent).response for a in pairs])

        def apply(x: np.ndarray) -> np.ndarray:
            psi = x.reshape(self.populations, self.count + 1)
            source = np.einsum("abt,bt->at", self.multiplier, psi)
            whole = np.concatenate([source, source[:, -2:0:-1]], axis=1)
            answer = np.fft.irfft(np.fft.rfft(whole, axis=1) * response, 2 * self.count, axis=1)
            return answer[:, : self.count + 1].ravel()

        size = self.vector.size
        operator = linalg.LinearOperator((size, size), matvec=apply, dtype=float)  # type: ignore[call-arg]
        found: Any = linalg.eigs(operator, k=1, which="LR", v0=self.vector.ravel(), tol=1e-13, ncv=24)  # type: ignore[arg-type]
        values, vectors = found
        self.vector = np.abs(vectors[:, 0].real).reshape(self.vector.shape)
        self.end = float(self.vector[:, -1].max() / self.vector[:, 0].max())
        return math.log(max(float(values[0].real), 1e-300))

    def root(self) -> float:
        """Where the spectral radius is 1; minus infinity if it is less everywhere."""
        if self.numbers.discrete:
            largest = float(self.numbers.decay.max())
            low = max(math.log(largest) if largest > 0.0 else -math.inf, -20.0) + 1e-6
        else:
            low = -1.0 / float(self.numbers.decay.max()) + 1e-6
        if not np.any(self.multiplier) or self.log_radius(low) < 0.0:
            return -math.inf
        span = 1.0 if self.numbers.discrete else 1.0 / float(self.numbers.decay.min())
        high = max(0.0, low) + span
        while self.log_radius(high) >= 0.0:
            high += 4.0 * span
        root: Any = optimize.brentq(self.log_radius, low, high, xtol=1e-12, rtol=1e-12)  # type: ignore[arg-type]
        self.log_radius(float(root))
        return float(root)
