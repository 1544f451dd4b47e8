"""The finite network: one draw of the weights, several noise replicas, neuron averages."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from largen.checks import InputError, integer, one_of, real, require
from largen.numerics.streams import stream
from largen.system import Arrays, Plan
from largen.systems.rate.activations import Activation
from largen.systems.rate.integrated_weights import cost, integrated
from largen.systems.rate.limit import discrete_times
from largen.systems.rate.weights import ExplicitWeights, draw, product

if TYPE_CHECKING:
    from largen.systems.rate.model import RateNetwork

WEIGHTS = ("auto", "explicit", "integrated")
_BANDWIDTH = 1e10  # bytes per second, for estimates only
_DRAW = 5e-8  # seconds per weight, likewise
_NEURONS = 8192  # neurons whose products are summed at a time, so that they stay in the cache


class Options(NamedTuple):
    """Options of a network run; see `RateNetwork.network`.

    Attributes:
        method: "map", "heun", of populations "rk4", or None.
        record: May hold "state", of populations "lyapunov".
        lags: Largest lag on the ring of the covariances.
        replicas: Runs of one draw of the weights.
        weights: "explicit", "integrated" or "auto".
        precision: "float64" or "float32".
        dt: Largest time step in continuous time, or None.
    """

    method: str | None
    record: tuple[str, ...]
    lags: int
    replicas: int
    weights: str
    precision: str
    dt: float | None


class _Steps(NamedTuple):
    """How the time axis is cut.

    Attributes:
        counts: Steps in each output interval, int64, shape (time - 1,).
        widths: Their width, shape (time - 1,); 1 in discrete time.
        evaluations: Evaluations of the input in all.
    """

    counts: np.ndarray
    widths: np.ndarray
    evaluations: int


def _steps(model: "RateNetwork", times: np.ndarray, dt: float | None) -> _Steps:
    if model.dynamics == "discrete":
        require(dt is None, "dt", "be left out in discrete time", dt)
        discrete_times(times)
        one = np.ones(len(times) - 1, np.int64)
        return _Steps(one, one.astype(float), len(one))
    dt = float(model.tau) / 50.0 if dt is None else real("dt", dt, above=0.0)
    require(dt <= 0.5 * float(model.tau), "dt", f"be at most tau/2 = {0.5 * float(model.tau):g}", dt)
    gaps = np.diff(times)
    counts = np.maximum(np.ceil(gaps / dt - 1e-9), 1).astype(np.int64)
    return _Steps(counts, gaps / counts, 2 * int(counts.sum()))


def checked(options: Options) -> Options:
    """The options with integers as Python's own."""
    lags, replicas = integer("lags", options.lags, low=0), integer("replicas", options.replicas, low=1)
    return options._replace(lags=lags, replicas=replicas)


def plan(model: "RateNetwork", times: np.ndarray, n: int, options: Options) -> Plan:
    """Check the options, choose between explicit and integrated weights, and estimate memory and time."""
    options = checked(options)
    lags = options.lags
    require(2 * lags < n, "lags", f"be less than half the ring ({n} neurons)", lags)
    one_of("weights", options.weights, WEIGHTS)
    one_of("precision", options.precision, ("float64", "float32"))
    for name in options.record:
        one_of("record", name, ("state",))
    method = "map" if model.dynamics == "discrete" else "heun"
    if options.method not in (None, method):
        raise InputError(f"Argument `method` must be {method!r} in {model.dynamics} time, but is {options.method!r}.")
    chosen = choose(model, times, n, options)
    kept = 8.0 * (3.0 * (lags + 1) * len(times) ** 2 + len(times) * (1.0 + n * ("state" in options.record)))
    return Plan(method, chosen.bytes, chosen.seconds, kept)


class Choice(NamedTuple):
    """Whether the weights are integrated out, and what that takes: memory in bytes, CPU time in seconds."""

    integrated: bool
    bytes: float
    seconds: float


def choose(model: "RateNetwork", times: np.ndarray, n: int, options: Options) -> Choice:
    """Explicit or integrated weights: what was asked for, else the cheaper."""
    steps = _steps(model, times, options.dt)
    size = 4.0 if options.precision == "float32" else 8.0
    replicas, inputs = options.replicas, steps.evaluations * options.replicas
    states = n * replicas * (len(times) * size + 6.0 * size) + 3.0 * 8.0 * n * len(times)
    covariances = 8.0 * 4.0 * (options.lags + 1) * len(times) ** 2
    explicit = Choice(
        False,
        size * n**2 + states + covariances,
        n**2 * (_DRAW + size * steps.evaluations * (1.0 + 0.2 * (replicas - 1)) / _BANDWIDTH),
    )
    memory, seconds = cost([[model.kernel]], [n], inputs, int(size))
    without = Choice(True, memory + states + covariances, seconds)
    return chosen(options.weights, explicit, without)


def chosen(weights: str, explicit: Choice, without: Choice) -> Choice:
    """The choice that was asked for, else the cheaper."""
    if weights == "auto":
        return min(explicit, without, key=lambda choice: choice.seconds)
    return without if weights == "integrated" else explicit


def run(
    model: "RateNetwork",
    times: np.ndarray,
    n: int,
    options: Options,
    *,
    rng: Callable[..., np.random.Generator],
    tick: Callable[[float], None],
) -> Arrays:
    """Run one draw of the weights with all its replicas; see `RateNetwork.network`."""
    options = checked(options)
    dtype = np.float32 if options.precision == "float32" else np.float64
    choice = choose(model, times, n, options)
    steps = _steps(model, times, options.dt)
    weights_rng, mean_weight = rng("weights"), float(model.mean_weight)
    if choice.integrated:
        inputs = steps.evaluations * options.replicas
        couple = integrated(model.kernel, n, mean_weight, weights_rng, inputs, dtype)
    else:
        couple = ExplicitWeights(draw(model.kernel, n, mean_weight, weights_rng, dtype))
    states = trajectories(model, times, n, options.replicas, couple, steps, rng=rng, tick=tick, dtype=dtype)
    values = averages(states.astype(np.float64, copy=False), options.lags)
    if "state" in options.record:
        values["state"] = np.ascontiguousarray(states[0].T, dtype=np.float64)
    attrs: dict[str, Any] = {"weights": "integrated" if choice.integrated else "explicit"}
    if model.dynamics == "continuous":
        attrs["dt"] = float(steps.widths.max())
    coords = {"lag": np.arange(options.lags + 1), "time_": times}
    return Arrays(values, coords, attrs)


def trajectories(
    model: "RateNetwork",
    times: np.ndarray,
    n: int,
    replicas: int,
    couple: Callable[[np.ndarray], np.ndarray],
    steps: _Steps,
    *,
    rng: Callable[..., np.random.Generator],
    tick: Callable[[float], None],
    dtype: type = np.float64,
) -> np.ndarray:
    """States at the output times, shape (replica, time, neuron).

    The thresholds are shared by the replicas, which belong to the weights' draw; each replica has its own streams
    of noise and initial states.
    """
    activation = Activation.of(model)
    threshold = float(model.threshold_mean) + math.sqrt(float(model.threshold_variance)) * rng(
        "threshold"
    ).standard_normal((n, 1))
    threshold = threshold.astype(dtype)
    noises = [rng("noise", r) for r in range(replicas)]
    sigma, gamma, tau = float(model.noise), dtype(model.gamma), dtype(model.tau)

    def kicks(scale: float) -> np.ndarray | float:
        if sigma == 0.0:
            return 0.0
        drawn = np.stack([noise.standard_normal(n, dtype=dtype) for noise in noises], axis=1)
        return dtype(sigma * scale) * drawn

    def field(x: np.ndarray) -> np.ndarray:
        return couple(activation(x)) + threshold - x / tau

    starts = [rng("initial", r).standard_normal(n) for r in range(replicas)]
    start = float(model.initial_mean) + math.sqrt(float(model.initial_variance)) * np.stack(starts, axis=1)
    state = start.astype(dtype)
    out = np.empty((replicas, len(times), n), dtype)
    out[:, 0] = state.T
    done, total = 0, int(steps.counts.sum())
    for i, (count, width) in enumerate(zip(steps.counts, steps.widths, strict=True)):
        for _ in range(count):
            if model.dynamics == "discrete":
                state = gamma * state + couple(activation(state)) + threshold + kicks(1.0)
            else:
                h, kick = dtype(width), kicks(math.sqrt(width))
                slope = field(state)
                state = state + dtype(0.5) * h * (slope + field(state + h * slope + kick)) + kick
            done += 1
            tick(done / total)
        _check_finite(state, activation, times[i + 1])
        out[:, i + 1] = state.T
    return out


def _check_finite(state: np.ndarray, activation: Activation, time: float) -> None:
    if not np.all(np.isfinite(state)):
        raise InputError(
            f"The network's states are not finite by time {time:g}: the activation returned NaN or the "
            "states grow without bound. Check the activation, or lower the gain or the kernel's variance."
        )


def averages(states: np.ndarray, lags: int) -> dict[str, np.ndarray]:
    """Neuron averages of one draw: mean, covariance at lags 0..lags and, with replicas, the overlap's covariance.

    The covariance is that of the neurons' empirical law, symmetrised in time, averaged over the replicas. The
    frozen covariance is the mean over pairs of different replicas: no noise of one replica enters twice.

    Args:
        states: Shape (replica, time, neuron).
        lags: Largest lag.
    """
    replicas, times, n = states.shape
    mean = states.mean(axis=2, dtype=np.float64)  # (replica, time)
    own = np.zeros((lags + 1, times, times))
    both = np.zeros_like(own)
    total = np.zeros((times, n))
    for replica in range(replicas):
        centred = states[replica] - mean[replica][:, None]
        own += _lagged(centred, lags)
        total += centred
    values = {"mean": mean.mean(0), "covariance": own / (replicas * n)}
    if replicas > 1:
        both = _lagged(total, lags) - own
        values["frozen_covariance"] = both / (replicas * (replicas - 1) * n)
    return values


def _lagged(x: np.ndarray, lags: int) -> np.ndarray:
    """Sum over neurons of x^j_s x^{j+k}_t, symmetrised, for k = 0..lags; shape (lag, time, time)."""
    out = np.zeros((lags + 1, len(x), len(x)))
    for k in range(lags + 1):
        shifted = np.roll(x, -k, axis=1)
        for start in range(0, x.shape[1], _NEURONS):
            part = slice(start, start + _NEURONS)
            out[k] += product(np.ascontiguousarray(x[:, part]), shifted[:, part])
        out[k] = 0.5 * (out[k] + out[k].T)
    return out


def sampled_limit(
    model: "RateNetwork", times: np.ndarray, n: int, *, lags: int, realisations: int, replicas: int, seed: int
) -> Arrays:
    """The law of n neurons averaged over the weights, by samples of the network without its weights.

    Exact in law, so its distance from a simulated network is chance alone; the values carry a realisation axis.
    """
    options = Options(None, (), lags, replicas, "auto", "float64", None)
    plan(model, times, n, options)
    return samples(lambda rng: run(model, times, n, options, rng=rng, tick=lambda done: None), n, realisations, seed)


def samples(
    one: Callable[[Callable[..., np.random.Generator]], Arrays], n: int, realisations: int, seed: int
) -> Arrays:
    """Networks of n neurons as the theory of that size, from generators that no simulated network has."""
    realisations = integer("realisations", realisations, low=1)

    def generator(r: int) -> Callable[..., np.random.Generator]:
        return lambda *names: stream(seed, "theory", "n", n, "realisation", r, *names)

    parts = [one(generator(r)) for r in range(realisations)]
    values = {name: np.stack([part.values[name] for part in parts]) for name in parts[0].values}
    attrs = {"method": "samples of the finite network", "realisations": realisations} | dict(parts[0].attrs)
    return Arrays(values, parts[0].coords, attrs)
