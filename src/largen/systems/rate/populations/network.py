"""The finite network: one draw of weights, loadings and thresholds, several replicas, averages over populations."""

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from largen.checks import InputError, integer, one_of, real, require
from largen.system import Arrays, Plan
from largen.systems.rate.integrated_weights import IntegratedWeights, cost
from largen.systems.rate.limit import discrete_times
from largen.systems.rate.network import WEIGHTS, Choice, Options, averages, chosen, samples
from largen.systems.rate.populations.expectations import Response, responses_of
from largen.systems.rate.populations.numbers import input_at, is_steady, kernels_of, loadings_of, signals_at, spread
from largen.systems.rate.populations.weights import draw
from largen.systems.rate.weights import product

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations

_BANDWIDTH = 1e10  # bytes per second, for estimates only
_DRAW = 2e-8  # seconds per weight, likewise
_TRANSIENT = 0.2  # share of the run before the exponent is averaged


class Steps(NamedTuple):
    """How the time axis is cut.

    Attributes:
        counts: Steps in each output interval, int64, shape (time - 1,).
        widths: Their width, shape (time - 1,); 1 in discrete time.
        stages: Evaluations of the input in a step.
    """

    counts: np.ndarray
    widths: np.ndarray
    stages: int


def _method(model: "RatePopulations", method: str | None) -> str:
    if model.dynamics == "discrete":
        if method not in (None, "map"):
            raise InputError(f"Argument `method` must be 'map' in discrete time, but is {method!r}.")
        return "map"
    still = not np.any(np.asarray(model.noise))
    if method == "map":
        raise InputError("Argument `method` must be 'rk4' or 'heun' in continuous time, but is 'map'.")
    if method == "rk4" and not still:
        raise InputError("Argument `method` must be 'heun' with noise, but is 'rk4'. Leave it out.")
    return method or ("rk4" if still else "heun")


def _steps(model: "RatePopulations", times: np.ndarray, method: str, dt: float | None) -> Steps:
    if method == "map":
        require(dt is None, "dt", "be left out in discrete time", dt)
        discrete_times(times)
        one = np.ones(len(times) - 1, np.int64)
        return Steps(one, one.astype(float), 1)
    fastest = float(np.min(model.tau))
    dt = fastest / (5.0 if method == "rk4" else 50.0) if dt is None else real("dt", dt, above=0.0)
    require(dt <= 0.5 * fastest, "dt", f"be at most min(tau)/2 = {0.5 * fastest:g}", dt)
    gaps = np.diff(times)
    counts = np.maximum(np.ceil(gaps / dt - 1e-9), 1).astype(np.int64)
    return Steps(counts, gaps / counts, 4 if method == "rk4" else 2)


def plan(model: "RatePopulations", times: np.ndarray, n: int, options: Options) -> Plan:
    """Check the options and estimate memory and time."""
    lags, replicas = integer("lags", options.lags, low=0), integer("replicas", options.replicas, low=1)
    sizes = model.sizes(n)
    require(2 * lags < sizes.min(), "lags", f"be less than half the smallest ring ({sizes.min()} neurons)", lags)
    one_of("weights", options.weights, WEIGHTS)
    one_of("precision", options.precision, ("float64", "float32"))
    for name in options.record:
        one_of("record", name, ("state", "lyapunov"))
    method = _method(model, options.method)
    steps = _steps(model, times, method, options.dt)
    choice = choose(model, sizes, steps, options)
    kept = 8.0 * (
        3.0 * len(sizes) * (lags + 1) * len(times) ** 2 + len(times) * (4.0 + n * ("state" in options.record))
    )
    size = 4.0 if options.precision == "float32" else 8.0
    states = n * replicas * len(times) * (size + 8.0) + 24.0 * n * len(times)
    return Plan(method, choice.bytes + states + kept, choice.seconds, kept)


def choose(model: "RatePopulations", sizes: np.ndarray, steps: Steps, options: Options) -> Choice:
    """Explicit or integrated weights: what was asked for, else the cheaper."""
    size = 4.0 if options.precision == "float32" else 8.0
    vectors, n = options.replicas + ("lyapunov" in options.record), int(sizes.sum())
    evaluations = steps.stages * int(steps.counts.sum())
    correlated = 1.0 if model.kernels is None else 3.0
    product_of_all = size * evaluations * (1.0 + 0.2 * (vectors - 1)) / _BANDWIDTH
    explicit = Choice(False, correlated * size * n**2, n**2 * (_DRAW * correlated + product_of_all))
    without = Choice(True, *cost(kernels_of(model), sizes.tolist(), _inputs(steps, options), int(size)))
    return chosen(options.weights, explicit, without)


def _inputs(steps: Steps, options: Options) -> int:
    """Vectors that the weights are applied to in a run."""
    return steps.stages * int(steps.counts.sum()) * (options.replicas + ("lyapunov" in options.record))


def run(
    model: "RatePopulations",
    times: np.ndarray,
    n: int,
    options: Options,
    *,
    rng: Callable[..., np.random.Generator],
    tick: Callable[[float], None],
) -> Arrays:
    """Run one draw with all its replicas; see `RatePopulations.network`."""
    options = options._replace(lags=integer("lags", options.lags, low=0))
    options = options._replace(replicas=integer("replicas", options.replicas, low=1))
    method = _method(model, options.method)
    steps = _steps(model, times, method, options.dt)
    choice = choose(model, model.sizes(n), steps, options)
    dtype = np.float32 if options.precision == "float32" else np.float64
    network = Network(model, n, rng, dtype, _inputs(steps, options) if choice.integrated else None)
    found = _Run(network, times, steps, method, options, rng).all(tick)
    coords: dict[str, Any] = {"lag": np.arange(options.lags + 1), "time_": times}
    if "latent" in found:
        coords["rank"] = np.arange(len(found["latent"]))
    attrs: dict[str, Any] = {"weights": "integrated" if choice.integrated else "explicit"}
    attrs["precision"] = options.precision
    if method != "map":
        attrs["dt"] = float(steps.widths.max())
    return Arrays(found, coords, attrs)


def sampled_limit(
    model: "RatePopulations", times: np.ndarray, n: int, *, lags: int, realisations: int, replicas: int, seed: int
) -> Arrays:
    """The law of n neurons, averaged over draws of the network; the values carry a realisation axis."""
    options = Options(None, (), lags, replicas, "auto", "float64", None)
    plan(model, times, n, options)
    return samples(lambda rng: run(model, times, n, options, rng=rng, tick=lambda done: None), n, realisations, seed)


class Network:
    """One draw: weights, loadings, thresholds.

    Args:
        model: The model.
        n: Neurons.
        rng: Gives the generator of a named stream.
        dtype: np.float64 or np.float32, of weights and states.
        inputs: Vectors that the weights will be applied to, where they are integrated out; None to draw them.

    Attributes:
        sizes: Neurons by population, shape (population,).
        of: Population of each neuron, shape (n,).
        weights: J without the low-rank part, shape (n, n); without entries where it is integrated out.
        loadings: (m^1..m^R, h, w^1..w^p, n^1..n^R) of each neuron, shape (n, loading).
    """

    def __init__(
        self,
        model: "RatePopulations",
        n: int,
        rng: Callable[..., np.random.Generator],
        dtype: type,
        inputs: int | None = None,
    ):
        self.model, self.n, self.dtype = model, n, dtype
        self.sizes = model.sizes(n)
        self.of = np.repeat(np.arange(len(self.sizes)), self.sizes)
        self.ends = np.concatenate([[0], np.cumsum(self.sizes)])
        self.responses = responses_of(model)
        self.weights = draw(model, self.sizes, rng, dtype) if inputs is None else np.empty((0, 0), dtype)
        self._apply: Callable[[np.ndarray], np.ndarray] = self._product
        if inputs is not None:
            means = np.asarray(model.mean_weight, dtype=float)
            draws = functools.partial(rng, "weights")
            self._apply = IntegratedWeights(kernels_of(model), means, self.sizes.tolist(), draws, inputs, dtype)
        law = loadings_of(model)
        self.rank = law.rank
        means = np.concatenate([law.mean, law.right_mean], axis=1)
        generator = rng("loadings")
        parts = []
        for mean, covariance, size in zip(means, law.whole, self.sizes, strict=True):
            values, vectors = np.linalg.eigh(covariance)
            root = vectors * np.sqrt(np.maximum(values, 0.0))
            parts.append(mean + generator.standard_normal((int(size), len(mean))) @ root.T)
        self.loadings = np.concatenate(parts)
        driving = law.mean.shape[1]
        self.left = self.loadings[:, : self.rank].astype(dtype)
        self.right = self.loadings[:, driving:].astype(dtype)
        self.threshold = self.loadings[:, self.rank : self.rank + 1].astype(dtype)
        self.patterns = self.loadings[:, self.rank + 1 : driving]
        count = len(self.sizes)
        decay = spread(model.gamma if model.dynamics == "discrete" else 1.0 / np.asarray(model.tau), count)
        self.decay = decay[self.of, None].astype(dtype)  # gamma, or 1/tau
        self.noise = spread(model.noise, count)[self.of, None].astype(dtype)
        self.steady = is_steady(model)

    def drive(self, times: np.ndarray) -> np.ndarray:
        """Thresholds, common input and patterns at some times, shape (time, n, 1)."""
        if self.steady:
            times = times[:1]
        outside = input_at(self.model, times)[self.of].T[:, :, None]
        outside = outside + (self.patterns @ signals_at(self.model, times)).T[:, :, None]
        return outside.astype(self.dtype) + self.threshold

    def rates(self, x: np.ndarray) -> np.ndarray:
        """phi(x), shape (n, replica) in and out."""
        return self._each(x, lambda response, part: response(part))

    def slopes(self, x: np.ndarray) -> np.ndarray:
        """phi'(x), shape (n,) in and out."""
        return self._each(x, lambda response, part: response.derivative(part))

    def _each(self, x: np.ndarray, function: Callable[[Response, np.ndarray], np.ndarray]) -> np.ndarray:
        if len(self.responses) == 1:
            return function(self.responses[0], x).astype(self.dtype, copy=False)
        out = np.empty_like(x)
        for a, response in enumerate(self.responses):
            rows = slice(self.ends[a], self.ends[a + 1])
            out[rows] = function(response, x[rows])
        return out

    def _product(self, vectors: np.ndarray) -> np.ndarray:
        return product(self.weights, vectors.T).T

    def couple(self, rates: np.ndarray) -> np.ndarray:
        """J rates, the low-rank part included, shape (n, vector) in and out."""
        out = self._apply(rates)
        if self.rank:
            out = out + self.left @ ((self.right.T @ rates) / self.dtype(self.n))
        return out


class _Run:
    """The states of all replicas, with a tangent vector of the first where it is asked for."""

    def __init__(
        self,
        network: Network,
        times: np.ndarray,
        steps: Steps,
        method: str,
        options: Options,
        rng: Callable[..., np.random.Generator],
    ):
        self.network, self.times, self.steps, self.method, self.options = network, times, steps, method, options
        model, n, replicas = network.model, network.n, options.replicas
        self.noises = [rng("noise", r) for r in range(replicas)]
        starts = np.stack([rng("initial", r).standard_normal(n) for r in range(replicas)], axis=1)
        count = len(network.sizes)
        mean, variance = (
            spread(value, count)[network.of, None] for value in (model.initial_mean, model.initial_variance)
        )
        self.state = (mean + np.sqrt(variance) * starts).astype(network.dtype)
        self.exponent = "lyapunov" in options.record
        self.tangent = rng("tangent").standard_normal(n).astype(network.dtype) if self.exponent else np.zeros(0)
        self.tangent /= max(float(np.linalg.norm(self.tangent)), 1.0) if self.exponent else 1.0
        self.noisy = bool(np.any(network.noise))

    def all(self, tick: Callable[[float], None]) -> dict[str, np.ndarray]:
        """Run, and average over the neurons of each population."""
        network, times, steps = self.network, self.times, self.steps
        states = np.empty((self.options.replicas, len(times), network.n), network.dtype)
        states[:, 0] = self.state.T
        growth, log, since = np.zeros(len(times)), 0.0, 0.0
        longest = 1.0 if self.method == "map" else float(np.max(network.model.tau))
        done, total = 0, int(steps.counts.sum())
        for i, (count, width) in enumerate(zip(steps.counts, steps.widths, strict=True)):
            drives = self._drives(i, int(count), float(width))
            for k in range(int(count)):
                self._step(drives, k, float(width))
                since += float(width)
                if self.exponent and (since >= longest - 1e-9 or k == count - 1):
                    size = float(np.linalg.norm(self.tangent.astype(np.float64)))
                    log += math.log(size) if size > 0.0 else -math.inf
                    self.tangent /= network.dtype(size if size > 0.0 else 1.0)
                    since = 0.0
                done += 1
                tick(done / total)
            self._check(times[i + 1])
            states[:, i + 1] = self.state.T
            growth[i + 1] = log
        found = self._averages(states)
        if self.exponent:
            found["lyapunov"] = self._exponents(growth)
        return found

    def _exponents(self, growth: np.ndarray) -> np.ndarray:
        """Mean growth rate up to each time: since the start within the first fifth of the run, then since its end."""
        times = self.times
        if not np.all(np.isfinite(growth)):
            raise InputError("The tangent vector vanished: the activation is flat everywhere. No exponent is finite.")
        first = int(np.searchsorted(times, times[0] + _TRANSIENT * (times[-1] - times[0]) - 1e-9))
        start = np.where(np.arange(len(times)) > first, first, 0)
        gaps = times - times[start]
        return np.divide(growth - growth[start], gaps, out=np.zeros(len(times)), where=gaps > 0.0)

    def _drives(self, i: int, count: int, width: float) -> np.ndarray:
        """Outside drive at the stages of all steps of an interval, shape (stage time, n, 1)."""
        start = self.times[i]
        if self.method == "map":
            return self.network.drive(np.array([start]))
        parts = 2 if self.method == "rk4" else 1
        return self.network.drive(start + width / parts * np.arange(parts * count + 1))

    def _step(self, drives: np.ndarray, k: int, width: float) -> None:
        network, steady = self.network, len(drives) == 1

        def drive(j: int) -> np.ndarray:
            return drives[0 if steady else j]

        if self.method == "map":
            inputs, along = self._inputs(self.state, self.tangent)
            if self.exponent:
                self.tangent = network.decay[:, 0] * self.tangent + along
            self.state = network.decay * self.state + inputs + drive(0) + self._kicks(1.0)
            return
        if self.method == "rk4":
            self._runge_kutta([drive(2 * k), drive(2 * k + 1), drive(2 * k + 1), drive(2 * k + 2)], width)
            return
        h, kick = network.dtype(width), self._kicks(math.sqrt(width))
        slope, along = self._slopes(self.state, self.tangent, drive(k))
        ahead = self._slopes(self.state + h * slope + kick, self.tangent + h * along, drive(k + 1))
        self.state = self.state + network.dtype(0.5) * h * (slope + ahead[0]) + kick
        self.tangent = self.tangent + network.dtype(0.5) * h * (along + ahead[1])

    def _runge_kutta(self, drives: list[np.ndarray], width: float) -> None:
        """The classical fourth-order method, with the same steps for the tangent vector."""
        h = self.network.dtype(width)
        state, tangent = self.state, self.tangent
        sums = [np.zeros_like(state), np.zeros_like(tangent)]
        slope, along = np.zeros_like(state), np.zeros_like(tangent)
        for ahead, weight, drive in zip((0.0, 0.5, 0.5, 1.0), (1.0, 2.0, 2.0, 1.0), drives, strict=True):
            step = self.network.dtype(ahead) * h
            slope, along = self._slopes(state + step * slope, tangent + step * along, drive)
            share = self.network.dtype(weight / 6.0)
            sums[0] += share * slope
            sums[1] += share * along
        self.state, self.tangent = state + h * sums[0], tangent + h * sums[1]

    def _slopes(self, x: np.ndarray, tangent: np.ndarray, drive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Time derivatives of states and tangent vector in continuous time."""
        inputs, along = self._inputs(x, tangent)
        slope = inputs + drive - x * self.network.decay
        return slope, (along - tangent * self.network.decay[:, 0]) if self.exponent else along

    def _inputs(self, x: np.ndarray, tangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """J phi(x) of all replicas and J phi'(x) tangent of the first, in one product."""
        network = self.network
        rates = network.rates(x)
        if not self.exponent:
            return network.couple(rates), tangent
        change = network.slopes(np.ascontiguousarray(x[:, 0])) * tangent
        both = network.couple(np.concatenate([rates, change[:, None].astype(network.dtype)], axis=1))
        return both[:, :-1], both[:, -1]

    def _kicks(self, scale: float) -> np.ndarray | float:
        if not self.noisy:
            return 0.0
        network = self.network
        drawn = np.stack([noise.standard_normal(network.n, dtype=network.dtype) for noise in self.noises], axis=1)
        return network.noise * network.dtype(scale) * drawn

    def _check(self, time: float) -> None:
        if not np.all(np.isfinite(self.state)):
            raise InputError(
                f"The network's states are not finite by time {time:g}: the activation returned NaN or the states "
                "grow without bound. Check the activation, or lower the gain or the weights."
            )

    def _averages(self, states: np.ndarray) -> dict[str, np.ndarray]:
        network, lags = self.network, self.options.lags
        parts: dict[str, list[np.ndarray]] = {"mean": [], "rate": [], "covariance": [], "frozen_covariance": []}
        latent = np.zeros((network.rank, len(self.times)))
        for a, response in enumerate(network.responses):
            rows = slice(network.ends[a], network.ends[a + 1])
            part = np.ascontiguousarray(states[:, :, rows], dtype=np.float64)
            for name, value in averages(part, lags).items():
                parts[name].append(value)
            rates = response(part)
            parts["rate"].append(rates.mean(axis=(0, 2)))
            latent += np.einsum("nr,tn->rt", network.right[rows].astype(float), rates.mean(0)) / network.n
        found = {name: np.stack(values) for name, values in parts.items() if values}
        if network.rank:
            found["latent"] = latent
        if "state" in self.options.record:
            found["state"] = np.ascontiguousarray(states[0].T, dtype=np.float64)
        return found
