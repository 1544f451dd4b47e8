"""The stationary regime of the limit: covariance against the time between, with its static (frozen) part.

In frequency (eq. R11 of docs/rate.md)

    C(w) = (K(w) + sigma^2)/|e^{iw} - gamma|^2 in discrete time,    (K(w) + sigma^2)/(w^2 + 1/tau^2) in continuous time,

where K is the covariance of the input at the stationary law. K and C both hold a static part, a delta function at
w = 0, which the weights and thresholds freeze; it is kept apart.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import optimize

from largen.checks import LimitError, integer, real, require
from largen.numerics.bivariate import MOST_TERMS
from largen.numerics.fixed_point import Status, iterate
from largen.numerics.gaussian import trapezoid
from largen.systems.rate.activations import Activation
from largen.systems.rate.input_covariance import InputCovariance
from largen.systems.rate.recursion import Problem, continuous_grid, discrete_grid, forward

if TYPE_CHECKING:
    from largen.systems.rate.model import RateNetwork

_LONGEST = 2**17


class Stationary(NamedTuple):
    """The stationary law.

    Attributes:
        mean: Mean state.
        time: Time between the two states, shape (time,).
        covariance: Covariance at lags 0.. on the ring and this time apart, shape (lag, time).
        frozen: Static part, shared by two runs of one network, shape (lag,).
        residuals: Residual of every iteration, on the last grid, shape (iteration,).
        error: Estimated error of the time discretisation (0 in discrete time).
    """

    mean: float
    time: np.ndarray
    covariance: np.ndarray
    frozen: np.ndarray
    residuals: np.ndarray
    error: float


class _Filter(NamedTuple):
    """The linear neuron as a filter of its input.

    Attributes:
        static: Response to a constant input of 1: 1/(1 - gamma) or tau.
        noise: Autocovariance of the state under the noise alone, shape (time,).
        response: Fourier transform of the map from the input's to the state's autocovariance, shape (time,), real.
    """

    static: float
    noise: np.ndarray
    response: np.ndarray


def _filter(model: "RateNetwork", count: int, step: float) -> _Filter:
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


class Setting(NamedTuple):
    """What stays the same on every window of times.

    Attributes:
        model: The model.
        lags: Largest lag on the ring.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        horizon: Time for which the forward recursion runs first.
    """

    model: "RateNetwork"
    lags: int
    rtol: float
    atol: float
    horizon: float


class Sweep:
    """One sweep: the law of the state whose input is that of another law.

    The unknowns are the mean, the static parts and the dynamic covariances.

    Args:
        setting: The model and the tolerances.
        count: Intervals of the window of times.
        step: Their length.
    """

    def __init__(self, setting: Setting, count: int, step: float):
        model = setting.model
        self.model, self.coupling, self.count = model, model.kernel.coupling(), count
        self.filter = _filter(model, count, step)
        self.fields = len(self.coupling.total)
        self.inputs = InputCovariance(Activation.of(model), self.coupling, 1, setting.rtol, setting.atol)
        self.threshold = float(model.threshold_variance) * self.filter.static**2

    def unpack(self, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Mean, static driven parts (field,), dynamic driven parts (field, time)."""
        return float(x[0]), x[1 : 1 + self.fields], x[1 + self.fields :].reshape(self.fields, self.count + 1)

    def pack(self, mean: float, static: np.ndarray, dynamic: np.ndarray) -> np.ndarray:
        """The inverse of `unpack`."""
        return np.concatenate([[mean], static, dynamic.ravel()])

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The law of the state whose input is that of the law x."""
        mean, static, dynamic = self.unpack(x)
        own = self.filter.noise
        variance = max(static[0] + self.threshold + dynamic[0, 0] + own[0], 0.0)
        rate = self.inputs.set(0, mean, variance)
        still = self._input(static[:, None], np.array([self.threshold]), variance)[:, 0]
        moving = self._input(static[:, None] + dynamic, self.threshold + own, variance, at_zero=True) - still[:, None]
        still = still + self.coupling.total * rate**2
        whole = np.concatenate([moving, moving[:, -2:0:-1]], axis=1)
        answer = np.fft.irfft(np.fft.rfft(whole, axis=1) * self.filter.response, 2 * self.count, axis=1)
        drive = float(self.model.mean_weight) * rate + float(self.model.threshold_mean)
        return self.pack(drive * self.filter.static, still * self.filter.static**2, answer[:, : self.count + 1])

    def _input(self, driven: np.ndarray, own: np.ndarray, variance: float, at_zero: bool = False) -> np.ndarray:
        """Input covariance without the product of the means, shape (field, time)."""
        table, coupling = self.inputs.table, self.coupling
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
        for i, t in np.argwhere(left > self.inputs.tolerance(table.variance[0])):
            if coupling.pair and i == 1:
                raise LimitError(
                    "The activation is too steep for the stationary regime of this kernel. Take a smaller gain, or "
                    "solve the limit up to a late time (solve_limit)."
                )
            sums[i, t] = self.inputs.without_series(0, np.zeros(1, np.int64), r[i, t : t + 1])[0]
        if at_zero:
            sums[0, 0] = table.variance[0]
        return coupling.mix @ sums


def solve(
    model: "RateNetwork", *, lags: int = 2, rtol: float = 1e-8, atol: float = 1e-10, horizon: float | None = None
) -> Stationary:
    """Solve the stationary regime that the network's law approaches from its initial state.

    The forward recursion gives the starting law, Anderson's mixing makes it exact; the window of times doubles until
    the dynamic part has decayed to 0 at its end.

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
    rtol, atol = real("rtol", rtol, above=0.0), real("atol", atol, above=0.0)
    if model.dynamics == "discrete":
        if float(model.gamma) >= 1.0:
            raise LimitError("There is no stationary regime at gamma = 1: take gamma below 1.")
        return _on_window(
            Setting(model, lags, rtol, atol, 60.0 if horizon is None else integer("horizon", horizon, low=1)), 1.0
        )
    horizon = 25.0 * float(model.tau) if horizon is None else real("horizon", horizon, above=0.0)
    setting = Setting(model, lags, rtol, atol, horizon)
    step = float(model.tau) / 8.0
    table: list[Stationary] = []
    error = np.inf
    for level in range(7):
        latest = [_on_window(setting, step / 2**level)]
        for power, coarse in enumerate(table, start=1):
            latest.append(_combine(latest[-1], coarse, 4.0**power))
        if level >= 2:
            error = _distance(latest[-1], table[-1])
            if error <= 10.0 * rtol * float(latest[-1].covariance[0, 0]) + atol:
                return latest[-1]._replace(error=error)
        table = latest
    raise LimitError(
        f"The stationary regime was not reached to rtol = {rtol:g}: the error is still about {error:.1e}. "
        "Loosen rtol and atol."
    )


def _combine(fine: Stationary, coarse: Stationary, factor: float) -> Stationary:
    """One step of Richardson extrapolation, on the coarse grid's times."""
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


def _on_window(setting: Setting, step: float) -> Stationary:
    """Solve with one time step, with a window that doubles until the dynamic part is 0 at its end."""
    rtol, atol = setting.rtol, setting.atol
    mean, static, dynamic = _late(setting, step)
    count = 64
    while count <= _LONGEST:
        sweep = Sweep(setting, count, step)
        start = np.zeros((len(static), count + 1))
        kept = min(dynamic.shape[1], count + 1)
        start[:, :kept] = dynamic[:, :kept]
        scale = abs(mean) + abs(static[0]) + abs(dynamic[0, 0]) + sweep.filter.noise[0] + sweep.threshold
        found = iterate(sweep, sweep.pack(mean, static, start), tolerance=1e-2 * (1e-2 * rtol * scale + atol), most=600)
        if found.status is not Status.CONVERGED:
            raise LimitError(
                f"{found.status.value} Its residual is {found.residuals[-1]:.1e}: the law may have no stationary "
                "regime. Look at the limit at late times (solve_limit)."
            )
        mean, static, dynamic = sweep.unpack(found.value)
        end = max(np.abs(dynamic[:, -1]).max(), sweep.filter.noise[-1])
        if end <= 1e-2 * (rtol * scale + atol):
            return _labelled(sweep, found.value, step, setting.lags, found.residuals)
        count *= 2
    raise LimitError(
        "The stationary covariance does not decay to 0: the correlation time is longer than the longest window. "
        "Add noise, or take a smaller gamma or tau."
    )


def _late(setting: Setting, step: float) -> tuple[float, np.ndarray, np.ndarray]:
    """The law late in the forward recursion: mean, static and dynamic driven parts against the time apart."""
    model, horizon = setting.model, setting.horizon
    require(horizon >= 2 * step, "horizon", f"be at least {2 * step:g}", horizon)
    if model.dynamics == "discrete":
        grid = discrete_grid(int(horizon) + 1, float(model.gamma), float(model.noise))
    else:
        coarse = max(step, float(model.tau) / 8.0)
        grid = continuous_grid(np.array([0.0, horizon]), float(model.tau), float(model.noise), coarse, 1)
    inputs = InputCovariance(Activation.of(model), model.kernel.coupling(), grid.points, 1e-6, 1e-8)
    law = forward(Problem.of(model), grid, inputs)
    driven, frozen = law.driven[:, -1, ::-1], law.frozen[:, -1, -1]
    moving = driven - frozen[:, None]
    if model.dynamics == "continuous":
        times = horizon - np.linspace(0.0, horizon, grid.points)[::-1]
        fine = np.arange(0.0, horizon, step)
        moving = np.stack([np.interp(fine, times[::-1] if times[0] > times[-1] else times, row) for row in moving])
    half = max(moving.shape[1] // 2, 2)
    fade = np.clip(2.0 - np.arange(moving.shape[1]) / half, 0.0, 1.0)
    return float(law.mean[-1]), frozen, moving * fade


def _labelled(sweep: Sweep, law: np.ndarray, step: float, lags: int, residuals: np.ndarray) -> Stationary:
    """The law by lag on the ring."""
    mean, static, dynamic = sweep.unpack(law)
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

    From the conserved energy of the autocovariance's motion (eq. R17 of docs/rate.md)

        Delta_0^2/2 = g^2 (E L^2 - (E L)^2),    L(z) = log cosh(sqrt(Delta_0) z),    z ~ N(0, 1).

    It is 0 up to g = 1. Source: Sompolinsky, Crisanti & Sommers 1988 (Phys. Rev. Lett. 61:259).

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
