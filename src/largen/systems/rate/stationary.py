"""The stationary regime of the limit: covariance against the time between, with its static (frozen) part.

In frequency, C(w) = (K(w) + noise)/|e^{iw} - gamma|^2 in discrete time and /(w^2 + 1/tau^2) in continuous time, where
K is the covariance of the input at stationary law; both hold a static part, which the weights and thresholds freeze.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize

from largen.checks import LimitError, integer, real, require
from largen.numerics.bivariate import MOST_TERMS
from largen.numerics.fixed_point import Status, iterate
from largen.numerics.gaussian import trapezoid
from largen.systems.rate.activations import Activation
from largen.systems.rate.input_covariance import Sources
from largen.systems.rate.kernels import Coupling
from largen.systems.rate.recursion import Problem, continuous_grid, discrete_grid, forward

_LONGEST = 2**17


class Stationary(NamedTuple):
    """The stationary law.

    Attributes:
        mean: Mean state.
        time: Time between the two states, shape (time,).
        covariance: Covariance at ring lags 0.. and time apart, shape (lag, time).
        frozen: Static part, shared by two runs of one network, shape (lag,).
        residuals: Residual of every iteration, on the last grid.
        error: Estimated error of the time discretisation (0 in discrete time).
    """

    mean: float
    time: np.ndarray
    covariance: np.ndarray
    frozen: np.ndarray
    residuals: np.ndarray
    error: float


class _Filter(NamedTuple):
    """The linear neuron: what a white or coloured input becomes.

    Attributes:
        static: Gain of a constant input.
        noise: Autocovariance of the state under the noise alone, shape (time,).
        response: Transform of the two-sided response to an input's covariance, shape (time,), real.
    """

    static: float
    noise: np.ndarray
    response: np.ndarray


def _filter(model: Any, count: int, step: float) -> _Filter:
    """The filter on times 0, step, ..., count * step (periodic in 2 count)."""
    k = np.minimum(np.arange(2 * count), 2 * count - np.arange(2 * count)).astype(float)
    sigma2 = float(model.noise) ** 2
    if model.dynamics == "discrete":
        gamma = float(model.gamma)
        shape = gamma**k / (1.0 - gamma**2)
        return _Filter(1.0 / (1.0 - gamma), sigma2 * shape[: count + 1], np.fft.rfft(shape).real)
    tau = float(model.tau)
    z = step / tau
    decay = np.exp(-k * z)
    shape = tau**2 * decay * (np.cosh(z) - 1.0) / z  # exact for an input covariance linear between the points
    shape[0] = tau**2 * (1.0 + np.expm1(-z) / z)
    return _Filter(tau, sigma2 * tau / 2.0 * decay[: count + 1], np.fft.rfft(shape).real)


class _Map:
    """One sweep of the stationary law: unknowns are the mean, the static parts and the dynamic covariances."""

    def __init__(self, model: Any, coupling: Coupling, count: int, step: float, rtol: float, atol: float):
        self.model, self.coupling, self.count = model, coupling, count
        self.filter = _filter(model, count, step)
        self.fields = len(coupling.total)
        activation = Activation(model.activation, float(model.gain))
        self.sources = Sources(activation, coupling, 1, rtol, atol)
        self.threshold = float(model.threshold_variance) * self.filter.static**2

    def unpack(self, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Mean, static driven parts (field,), dynamic driven parts (field, time)."""
        return float(x[0]), x[1 : 1 + self.fields], x[1 + self.fields :].reshape(self.fields, self.count + 1)

    def pack(self, mean: float, static: np.ndarray, dynamic: np.ndarray) -> np.ndarray:
        """The inverse of `unpack`."""
        return np.concatenate([[mean], static, dynamic.ravel()])

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The law whose input is that of the law x."""
        mean, static, dynamic = self.unpack(x)
        own = self.filter.noise
        variance = max(static[0] + self.threshold + dynamic[0, 0] + own[0], 0.0)
        rate = self.sources.set(0, mean, variance)
        still = self._input(static[:, None], np.array([self.threshold]), variance)[:, 0]
        moving = self._input(static[:, None] + dynamic, self.threshold + own, variance, at_zero=True) - still[:, None]
        still = still + self.coupling.total * rate**2
        whole = np.concatenate([moving, moving[:, -2:0:-1]], axis=1)
        answer = np.fft.irfft(np.fft.rfft(whole, axis=1) * self.filter.response, 2 * self.count, axis=1)
        drive = float(self.model.mean_weight) * rate + float(self.model.threshold_mean)
        return self.pack(drive * self.filter.static, still * self.filter.static**2, answer[:, : self.count + 1])

    def _input(self, driven: np.ndarray, own: np.ndarray, variance: float, at_zero: bool = False) -> np.ndarray:
        """Input covariance without the product of the means, shape (field, time)."""
        table, coupling = self.sources.table, self.coupling
        covariance = driven[coupling.field]
        covariance[0] += own
        r = np.clip(covariance / variance, -1.0, 1.0) if variance > 0 else np.zeros_like(covariance)
        squares = table.coefficients[:, 0] ** 2
        sums = np.zeros_like(r)
        terms = len(squares)
        weights = coupling.weights[:, :terms] * squares
        for n in range(terms - 1, -1, -1):
            sums = sums * r + weights[:, n : n + 1]
        sums *= r
        left = (
            table.remainder[-1, 0]
            * np.abs(r) ** (terms + 1)
            * np.abs(coupling.weights[:, min(terms, MOST_TERMS - 1)])[:, None]
        )
        for i, t in np.argwhere(left > self.sources.tolerance(table.variance[0])):
            if coupling.pair and i == 1:
                raise LimitError("The activation is too steep for the stationary regime of this kernel.")
            sums[i, t] = self.sources.slow(0, np.zeros(1, np.int64), r[i, t : t + 1])[0]
        if at_zero:
            sums[0, 0] = table.variance[0]
        return coupling.mix @ sums


def solve(
    model: Any, *, lags: int = 2, rtol: float = 1e-8, atol: float = 1e-10, horizon: float | None = None
) -> Stationary:
    """Solve the stationary regime that the network's law approaches from its initial state.

    The forward recursion gives the starting law, Anderson's mixing makes it exact; the window of times doubles until
    the dynamic part has died out at its end.

    Args:
        model: A RateNetwork.
        lags: Largest lag on the ring.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        horizon: Time for which the forward recursion runs first (steps; or in units of the model's time).

    Raises:
        LimitError: There is no stationary regime, or it was not reached.
    """
    lags = integer("lags", lags, low=0)
    coupling = model.kernel.coupling()
    if model.dynamics == "discrete":
        if float(model.gamma) >= 1.0:
            raise LimitError("There is no stationary regime at gamma = 1: take gamma below 1.")
        return _on_window(model, coupling, lags, 1.0, rtol, atol, 60.0 if horizon is None else horizon)
    horizon = 25.0 * float(model.tau) if horizon is None else real("horizon", horizon, above=0.0)
    step = float(model.tau) / 8.0
    table: list[Stationary] = []
    error = np.inf
    for level in range(7):
        latest = [_on_window(model, coupling, lags, step / 2**level, rtol, atol, horizon)]
        for power, coarse in enumerate(table, start=1):
            latest.append(_combine(latest[-1], coarse, 4.0**power))
        if level >= 2:
            error = _distance(latest[-1], table[-1])
            if error <= 10.0 * rtol * float(latest[-1].covariance[0, 0]) + atol:
                return latest[-1]._replace(error=error)
        table = latest
    raise LimitError(f"The stationary regime was not reached to rtol = {rtol:g}: the error is still about {error:.1e}.")


def _combine(fine: Stationary, coarse: Stationary, factor: float) -> Stationary:
    """Extrapolate on the coarse grid's times."""
    stride = round(coarse.time[1] / fine.time[1])
    count = min(len(coarse.time), (len(fine.time) - 1) // stride + 1)
    covariance = (factor * fine.covariance[:, ::stride][:, :count] - coarse.covariance[:, :count]) / (factor - 1.0)
    frozen = (factor * fine.frozen - coarse.frozen) / (factor - 1.0)
    mean = (factor * fine.mean - coarse.mean) / (factor - 1.0)
    return fine._replace(mean=mean, time=coarse.time[:count], covariance=covariance, frozen=frozen)


def _distance(one: Stationary, two: Stationary) -> float:
    count = min(len(one.time), len(two.time))
    parts = (one.mean - two.mean, one.covariance[:, :count] - two.covariance[:, :count], one.frozen - two.frozen)
    return max(float(np.abs(part).max()) for part in parts)


def _on_window(
    model: Any, coupling: Coupling, lags: int, step: float, rtol: float, atol: float, horizon: float
) -> Stationary:
    """Solve on one time step, with a window that doubles until nothing moves at its end."""
    mean, static, dynamic = _late(model, coupling, step, horizon)
    count = 64
    while count <= _LONGEST:
        sweep = _Map(model, coupling, count, step, rtol, atol)
        start = np.zeros((len(static), count + 1))
        kept = min(dynamic.shape[1], count + 1)
        start[:, :kept] = dynamic[:, :kept]
        scale = abs(mean) + abs(static[0]) + abs(dynamic[0, 0]) + sweep.filter.noise[0] + sweep.threshold
        found = iterate(sweep, sweep.pack(mean, static, start), tolerance=1e-2 * (1e-2 * rtol * scale + atol), most=600)
        if found.status is not Status.CONVERGED:
            raise LimitError(f"{found.status.value} Its residual is {found.residuals[-1]:.1e}: the law may not settle.")
        mean, static, dynamic = sweep.unpack(found.value)
        end = max(np.abs(dynamic[:, -1]).max(), sweep.filter.noise[-1])
        if end <= 1e-2 * (rtol * scale + atol):
            return _labelled(sweep, mean, static, dynamic, step, lags, found.residuals)
        count *= 2
    raise LimitError(
        "The stationary covariance does not die out: the correlation time is longer than the longest window."
    )


def _late(model: Any, coupling: Coupling, step: float, horizon: float) -> tuple[float, np.ndarray, np.ndarray]:
    """The law late in the forward recursion: mean, static and dynamic driven parts against the time apart."""
    problem = Problem(
        float(model.mean_weight),
        float(model.threshold_mean),
        float(model.threshold_variance),
        float(model.initial_mean),
        float(model.initial_variance),
    )
    require(horizon >= 2 * step, "horizon", f"be at least {2 * step:g}", horizon)
    if model.dynamics == "discrete":
        grid = discrete_grid(int(horizon) + 1, float(model.gamma), float(model.noise))
    else:
        coarse = max(step, float(model.tau) / 8.0)
        grid = continuous_grid(np.array([0.0, horizon]), float(model.tau), float(model.noise), coarse, 1)
    sources = Sources(Activation(model.activation, float(model.gain)), coupling, grid.points, 1e-6, 1e-8)
    law = forward(problem, grid, sources)
    driven, frozen = law.driven[:, -1, ::-1], law.frozen[:, -1, -1]
    moving = driven - frozen[:, None]
    if model.dynamics == "continuous":
        times = horizon - np.linspace(0.0, horizon, grid.points)[::-1]
        fine = np.arange(0.0, horizon, step)
        moving = np.stack([np.interp(fine, times[::-1] if times[0] > times[-1] else times, row) for row in moving])
    half = max(moving.shape[1] // 2, 2)
    fade = np.clip(2.0 - np.arange(moving.shape[1]) / half, 0.0, 1.0)
    return float(law.mean[-1]), frozen, moving * fade


def _labelled(
    sweep: _Map, mean: float, static: np.ndarray, dynamic: np.ndarray, step: float, lags: int, residuals: np.ndarray
) -> Stationary:
    covariance, frozen = np.zeros((lags + 1, sweep.count + 1)), np.zeros(lags + 1)
    whole = static[:, None] + dynamic
    covariance[0] = whole[0] + sweep.threshold + sweep.filter.noise
    frozen[0] = static[0] + sweep.threshold
    for k in range(1, lags + 1):
        if len(static) == 1:
            covariance[k], frozen[k] = sweep.coupling.beyond**k * whole[0], sweep.coupling.beyond**k * static[0]
        elif k < len(static):
            covariance[k], frozen[k] = whole[k], static[k]
    time = step * np.arange(sweep.count + 1)
    return Stationary(mean, time, covariance, frozen, residuals, 0.0)


def chaotic_variance(gain: float) -> float:
    """Variance Delta_0 of the noiseless network with independent weights of variance gain^2/N and tanh (tau = 1).

    From the conserved energy of the autocovariance's motion, Delta_0^2/2 = g^2 (E L^2 - (E L)^2) with
    L(z) = log cosh(sqrt(Delta_0) z) (Sompolinsky, Crisanti & Sommers 1988, eq. 10). It is 0 up to g = 1.

    Args:
        gain: Standard deviation g of a weight, times sqrt(N).
    """
    g = real("gain", gain, low=0.0)
    if g <= 1.0:
        return 0.0
    xi, weights = trapezoid(3073)

    def energy(delta: float) -> float:
        x = np.abs(math.sqrt(delta) * xi)
        potential = x + np.log1p(np.exp(-2.0 * x))  # log cosh + log 2
        centred = potential - weights @ potential
        return 0.5 - g**2 * float(weights @ centred**2) / delta**2

    low = 1e-3 * (g - 1.0)
    while energy(low) > 0.0 and low > 1e-12:
        low *= 0.1
    return float(optimize.brentq(energy, low, 2.0 * g**2, xtol=1e-14))  # type: ignore[arg-type]
