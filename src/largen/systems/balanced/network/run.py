"""One realisation of the finite balanced network: check the options, choose the method, run, record."""

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError, integer, one_of, real, require
from largen.numerics.xoshiro import lanes
from largen.system import Arrays, Plan
from largen.systems.balanced import manifold
from largen.systems.balanced.gains import CustomGain
from largen.systems.balanced.network import (
    alias_tau_leaping,
    batched_thinning,
    state,
    tau_leaping,
    thinning,
)
from largen.systems.balanced.network.constants import (
    check_bound,
    constants_of,
    drive_response_of,
    evaluate,
    response_bytes,
    tabulate,
)
from largen.systems.balanced.network.state import Constants, DriveResponse, Spikes, State

if TYPE_CHECKING:
    from largen.systems.balanced.model import BalancedNetwork

RECORDABLE = ("spikes", "state")
AUTO_SECONDS = 10.0
"""`method="auto"` is exact where one realisation takes less than this."""

_BUDGET = 2_000_000  # candidates, or updates of a neuron, between two reports of progress
_CAPACITY = 1 << 16  # spikes in the buffer


class Options(NamedTuple):
    """Options of a network run.

    Attributes:
        method: "exact", "tau_leap", or None or "auto": exact where that is possible and takes less than 10 s.
        record: Any of "spikes", "state".
        dt: Step of tau-leaping, or None for one that suits n.
        neurons: Whom to record: the first so many of each population, or indices from 0 to n - 1.
        time_limit: CPU seconds that an exact realisation may take by the estimate made beforehand.
    """

    method: str | None
    record: tuple[str, ...]
    dt: float | None = None
    neurons: int | Sequence[int] = 5
    time_limit: float = 3600.0


class _Seconds(NamedTuple):
    """CPU seconds of a candidate of thinning, of a neuron's update, and of a Poisson number; for estimates only."""

    candidate: float
    update: float
    number: float


_PLAIN = _Seconds(1e-7, 4e-8, 5e-8)
_VECTORISED = _Seconds(2.5e-8, 4e-9, 2e-9)


def plan(model: "BalancedNetwork", times: np.ndarray, n: int, options: Options) -> Plan:
    """Check a run's options, choose the method, and estimate what one realisation takes.

    Args:
        model: The model.
        times: Output times, shape (time,).
        n: Total number of neurons.
        options: See `Options`.

    Raises:
        InputError: An option cannot be used, or the exact method would take longer than `time_limit`.
    """
    record, dt = options.record, options.dt
    for word in record:
        one_of("record", word, RECORDABLE)
    sizes = model.sizes(n)
    chosen = _chosen(options.neurons, sizes)
    if dt is not None:
        dt = real("dt", dt, above=0.0)
    time_limit = real("time_limit", options.time_limit, above=0.0)
    with jax.enable_x64(True):
        manifold.check_functions(model, times)
        not_monotone = [
            b for b, gain in enumerate(model.gain) if isinstance(gain, CustomGain) and tabulate(gain) is None
        ]
    method = "auto" if options.method is None else one_of("method", options.method, ("exact", "tau_leap", "auto"))
    count, span = len(sizes), float(times[-1] - times[0])
    plain = model.synapses == "shared" or np.any(np.asarray(model.noise) > 0)
    plain = plain or any(isinstance(gain, CustomGain) for gain in model.gain)
    cost = _PLAIN if plain else _VECTORISED
    candidate_rate = _candidate_rate(model, sizes)
    exact = cost.candidate * candidate_rate * span + 2.0 * _PLAIN.update * n * len(times)
    if method == "auto":
        method = "exact" if exact < AUTO_SECONDS and not not_monotone and dt is None else "tau_leap"
    if method == "exact":
        require(dt is None, "dt", "be left out of an exact simulation", dt, 'Say method="tau_leap".')
        _refuse_exact(model, not_monotone, exact, time_limit)
        seconds = exact
    else:
        if dt is not None:
            _check_step(model, sizes, dt, float(np.max(np.diff(times))))
        steps = sum(_substeps(model, times, sizes, dt))
        numbers = 0 if model.synapses == "shared" else count
        seconds = steps * n * (cost.update + cost.number * numbers)
    size = 32.0 * n + 2e5 * count + response_bytes(model, times) + 40.0 * count * len(times)
    kept = 32.0 * count * len(times) + 8.0 * len(chosen) * len(times) * ("state" in record)
    size += 8.0 * len(chosen) * len(times) * ("state" in record)
    if "spikes" in record:
        size += n + 24.0 * len(chosen) * span * candidate_rate / n
        kept += 24.0 * len(chosen) * span * candidate_rate / n
    return Plan(method, size, seconds, kept)


def _refuse_exact(model: "BalancedNetwork", not_monotone: list[int], seconds: float, time_limit: float) -> None:
    if not_monotone:
        raise InputError(
            f"Argument `method` must be 'tau_leap' for this model, but is 'exact': the gain of population "
            f"{model.populations[not_monotone[0]]} is not monotone, and thinning needs a monotone function."
        )
    if seconds > time_limit:
        raise InputError(
            f"Argument `method` must be 'tau_leap' here, but is 'exact', which would take about {seconds / 3600:.3g} "
            f"hours of CPU time for one realisation. Or raise time_limit, which is {time_limit:g} seconds."
        )


def _chosen(neurons: int | Sequence[int], sizes: np.ndarray) -> np.ndarray:
    """Indices of the neurons to record, sorted."""
    first = np.concatenate([[0], np.cumsum(sizes)])
    if np.ndim(neurons) == 0:
        each = integer("neurons", neurons, low=1)
        return np.concatenate([np.arange(a, min(a + each, b)) for a, b in itertools.pairwise(first)])
    chosen = np.array(neurons)
    integers = chosen.dtype.kind in "iu" and chosen.ndim == 1 and len(chosen) > 0
    require(integers, "neurons", "be an integer or a list of neurons", neurons)
    require(np.all((chosen >= 0) & (chosen < first[-1])), "neurons", f"lie in 0 to {first[-1] - 1}", neurons)
    return np.unique(chosen)


def _candidate_rate(model: "BalancedNetwork", sizes: np.ndarray) -> float:
    """Candidates of thinning per unit time: the sum of all bounds, once for each target with independent synapses."""
    bound = np.array([float(gain.bound) for gain in model.gain])
    return float(sizes @ bound) * (1.0 if model.synapses == "shared" else float(sizes.sum()))


def _substeps(model: "BalancedNetwork", times: np.ndarray, sizes: np.ndarray, dt: float | None) -> list[int]:
    """Number of tau-leaping steps between each output time and the next.

    A step is 0.1/sqrt(n), and 0.03/sqrt(n) while a network started off the balanced manifold falls onto it; both
    are shortened where couplings and gains make the fast eigenvalues large.
    """
    if dt is not None:
        return [int(np.ceil(gap / dt - 1e-9)) for gap in np.diff(times)]
    n = float(np.mean(sizes))
    steepest = np.array([0.25 * float(gain.bound) * float(gain.steepness) for gain in model.gain])
    with jax.enable_x64(True):
        nodes = manifold.structure(model).nodes
        coupling, rate, drive = map(np.asarray, _at_the_start(model, sizes.astype(np.float64), times[0], nodes))
    imbalance = np.abs(coupling @ rate + drive)
    size = float(np.max(np.abs(coupling) @ rate, initial=0.0))
    fastest = float(np.max(np.abs(coupling) @ steepest, initial=0.0))
    unit = min(1.0, 3.0 / fastest) if fastest > 0 else 1.0
    layer = 40.0 / np.sqrt(n) if np.max(imbalance) > 3.0 * size / np.sqrt(n) else 0.0
    shortest = float(np.min(model.tau)) / 20.0
    return [
        int(np.ceil(gap / min(shortest, unit * (0.03 if start < layer else 0.1) / np.sqrt(n))))
        for start, gap in zip(times[:-1] - times[0], np.diff(times), strict=True)
    ]


def _check_step(model: "BalancedNetwork", sizes: np.ndarray, dt: float, gap: float) -> None:
    """Refuse a step of tau-leaping that is coarse against tau, or against the fast eigenvalues.

    In a step dt the jumps of a neuron are spread evenly, which loses (dt/tau)^2/12 of their variance. The means
    return to the manifold at rates up to sqrt(n) |coupling| F', where the slope F' of the mean intensity in the mean is
    at most that of the gain, and at most bound/sqrt(2 pi K) for a variance K of the states; beyond two or three times
    1/rate the steps overshoot.

    Args:
        model: The model.
        sizes: Neurons of each population, shape (population,).
        dt: The step that was asked for.
        gap: The longest interval between output times, which bounds a step too.
    """
    slopes = []
    for gain, variance in zip(model.gain, np.asarray(model.initial_variance, np.float64), strict=True):
        bound, steepest = float(gain.bound), 0.25 * float(gain.bound) * float(gain.steepness)
        slopes.append(min(steepest, bound / np.sqrt(2 * np.pi * variance)) if variance > 0 else steepest)
    n = float(np.mean(sizes))
    rate = float(np.max(np.abs(np.asarray(model.coupling)) @ (np.array(slopes) * sizes / n), initial=0.0))
    fast = min(1.0, 3.0 / rate) / np.sqrt(n) if rate > 0 else np.inf
    largest = min(0.25 * float(np.min(model.tau)), fast)
    require(
        gap / np.ceil(gap / dt - 1e-9) <= largest * (1 + 1e-9),
        "dt",
        f"be at most {largest:.3g} for these time constants, couplings and sizes",
        dt,
        "Leave it out for a step that suits them.",
    )


@eqx.filter_jit
def _at_the_start(
    model: "BalancedNetwork", sizes: Any, time: Any, nodes: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A, the mean intensities and the drive of the initial state."""
    parts = manifold.balance(model, tuple(range(len(model.gain))), sizes)
    rate = manifold.rates(model.gain, model.initial_mean, model.initial_variance, nodes)
    return parts.coupling, rate, manifold.at(model.drive, time)


# Recording ----------------------------------------------------------------------------------------------------


class _Recorder:
    """Gathers what a realisation shows at the output times."""

    def __init__(
        self,
        model: "BalancedNetwork",
        constants: Constants,
        times: np.ndarray,
        record: Sequence[str],
        chosen: np.ndarray,
    ):
        self.model, self.constants, self.record, self.chosen = model, constants, record, chosen
        self.values = np.zeros((4, len(model.gain), len(times)))
        self.state = np.zeros((len(chosen), len(times) if "state" in record else 0))
        wanted = "spikes" in record
        watched = np.zeros(constants.first[-1] if wanted else 0, np.bool_)
        watched[chosen if wanted else []] = True
        capacity = _CAPACITY if wanted else 0
        self.spikes = Spikes(
            watched,
            np.zeros(capacity),
            np.zeros(capacity, np.int64),
            np.zeros(capacity, np.int64),
            np.zeros(1, np.int64),
        )
        self.kept: list[tuple[np.ndarray, ...]] = []

    def sample(self, i: int, z: np.ndarray, intensity: np.ndarray) -> None:
        """Take cumulants, rates and chosen states at the i-th output time."""
        for a, (low, high) in enumerate(itertools.pairwise(self.constants.first)):
            self.values[:3, a, i] = state.cumulants(z[low:high])
            self.values[3, a, i] = np.mean(intensity[low:high])
        if "state" in self.record:
            self.state[:, i] = z[self.chosen]

    def flush(self) -> None:
        """Empty the spike buffer."""
        count = int(self.spikes.count[0])
        if count > len(self.spikes.time):
            raise InputError("More spikes came in one step than largen can record: choose fewer `neurons`.")
        self.kept.append(
            tuple(column[:count].copy() for column in (self.spikes.time, self.spikes.neuron, self.spikes.source))
        )
        self.spikes.count[0] = 0

    def arrays(self, attrs: dict[str, Any]) -> Arrays:
        """All of it, by observable."""
        names = ("mean", "variance", "third_cumulant", "rate")
        values: dict[str, np.ndarray] = dict(zip(names, self.values, strict=True))
        coords = {}
        first, labels = self.constants.first, self.model.populations
        if "state" in self.record:
            values["state"] = self.state
            home = np.searchsorted(first, self.chosen, side="right") - 1
            coords["neuron"] = np.array(
                [
                    f"{labels[a]}{':' if labels[a][-1].isdigit() else ''}{j - first[a]}"
                    for a, j in zip(home, self.chosen, strict=True)
                ]
            )
        if "spikes" in self.record:
            self.flush()
            time, neuron, source = (np.concatenate(columns) for columns in zip(*self.kept, strict=True))
            order = np.argsort(time, kind="stable")
            home = np.searchsorted(first, neuron[order], side="right") - 1
            values["spike_population"] = home.astype(np.int32)
            values["spike_neuron"] = (neuron[order] - first[home]).astype(np.int32)
            values["spike_source"] = source[order].astype(np.int32)
            values["spike_time"] = time[order]
        return Arrays(values, coords, attrs)


# Running ------------------------------------------------------------------------------------------------------


class _Run(NamedTuple):
    """One realisation: what the two methods share.

    Attributes:
        model: The model.
        constants: Its numbers as the kernels see them.
        response: Response to drive and input.
        times: Output times, shape (time,).
        spikes: Generator of the jumps.
        noise: Generator of the intrinsic noise.
        recorder: Gathers the results.
        tick: Called now and then with the fraction done.
    """

    model: "BalancedNetwork"
    constants: Constants
    response: DriveResponse
    times: np.ndarray
    spikes: np.random.Generator
    noise: np.random.Generator
    recorder: _Recorder
    tick: Callable[[float], None]

    def intensity(self, z: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Intensity at all states, into `out`; a user's gain is evaluated by JAX and checked against its bound."""
        for a, (low, high) in enumerate(itertools.pairwise(self.constants.first)):
            if self.constants.kind[a] == state.TABLE:
                out[low:high] = np.asarray(evaluate(self.model.gain[a], z[low:high]))
                check_bound(self.model.gain[a], out[low:high])
            else:
                state.intensities(self.constants, a, z[low:high], out[low:high])
        return out


def run(
    model: "BalancedNetwork",
    times: np.ndarray,
    n: int,
    options: Options,
    *,
    rng: Callable[..., np.random.Generator],
    tick: Callable[[float], None],
) -> Arrays:
    """Run one realisation.

    Args:
        model: The model.
        times: Output times, shape (time,); the network starts at times[0].
        n: Total number of neurons.
        options: See `Options`; the method is "exact" or "tau_leap", as `plan` chose it.
        rng: Gives the generator of a named stream: "initial", "spikes", "noise".
        tick: Called now and then with the fraction done.

    Returns:
        `mean`, `variance`, `third_cumulant` (unbiased k-statistics over a population's neurons) and `rate` (mean
        intensity), each (population, time); `state` (neuron, time); `spike_population`, `spike_neuron`,
        `spike_source`, `spike_time`: the jumps that the chosen neurons receive and their source population, or
        with shared synapses the spikes that they emit.
    """
    sizes = model.sizes(n)
    with jax.enable_x64(True):
        constants = constants_of(model, sizes, tables=options.method == "exact")
        response = drive_response_of(model, times, float(np.mean(sizes)))
        recorder = _Recorder(model, constants, times, options.record, _chosen(options.neurons, sizes))
        z = np.empty(n)
        start = rng("initial")
        for a, (low, high) in enumerate(itertools.pairwise(constants.first)):
            spread = np.sqrt(model.initial_variance[a])
            z[low:high] = model.initial_mean[a] + spread * start.standard_normal(high - low)
        whole = _Run(model, constants, response, times, rng("spikes"), rng("noise"), recorder, tick)
        if options.method == "exact":
            _run_exact(whole, z)
            return recorder.arrays({})
        steps = _substeps(model, times, sizes, options.dt)
        _run_leaps(whole, z, steps)
    return recorder.arrays({"largest_step": float(np.max(np.diff(times) / steps))})


def _vectorised(constants: Constants) -> bool:
    """Whether the vectorised kernels serve this network: independent synapses, built-in gains, no intrinsic noise."""
    return not (constants.shared or np.any(constants.noise > 0) or np.any(constants.kind == state.TABLE))


def _run_exact(run: _Run, z: np.ndarray) -> None:
    """Exact: thinning up to each output time, with t0 moved to the present once a time constant."""
    constants, response, recorder = run.constants, run.response, run.recorder
    first, last = run.times[0], run.times[-1]
    noisy = bool(np.any(constants.noise > 0))
    seen = np.full(len(z) if noisy else 0, first)
    now = State(z.copy(), np.zeros(len(constants.leak)), seen, np.full(2, first), np.full(4, -1.0))
    intensity = np.empty_like(z)
    stride = 1.0 / float(np.max(constants.leak))
    vectorised, words = _vectorised(constants), lanes(run.spikes)
    workspace = batched_thinning.workspace(constants)
    recorder.sample(0, z, run.intensity(z, intensity))
    for i, target in enumerate(run.times[1:], start=1):
        while now.clock[0] < target:
            end = min(target, now.clock[1] + stride)
            while True:
                if vectorised:
                    outcome = batched_thinning.thin(
                        constants, response, now, workspace, end, _BUDGET, words, recorder.spikes
                    )
                else:
                    outcome = thinning.thin(
                        constants, response, now, end, _BUDGET, run.spikes, run.noise, recorder.spikes
                    )
                if outcome == thinning.UNDECIDED:
                    _decide(run, now)
                elif outcome == thinning.FULL:
                    recorder.flush()
                elif outcome == thinning.DONE:
                    break
                run.tick(float((now.clock[0] - first) / (last - first)))
            thinning.rebase(constants, now, run.noise)
        state.all_states(constants, response, now, z)
        recorder.sample(i, z, run.intensity(z, intensity))


def _decide(run: _Run, now: State) -> None:
    """Settle a candidate that the table of a user's gain left open, by the gain itself."""
    b, k, z, height = int(now.pending[0]), int(now.pending[1]), now.pending[2], now.pending[3]
    value = np.asarray(evaluate(run.model.gain[b], jnp.asarray(z)))
    check_bound(run.model.gain[b], value)
    if height < value:
        thinning.fire(run.constants, now, b, k, run.spikes, run.recorder.spikes)


def _run_leaps(run: _Run, z: np.ndarray, steps: list[int]) -> None:
    """Tau-leaping with steps[i] equal steps in the i-th output interval."""
    constants, response, recorder, times = run.constants, run.response, run.recorder, run.times
    intensity = np.empty_like(z)
    built_in = not np.any(constants.kind == state.TABLE)
    vectorised = _vectorised(constants) and not recorder.spikes.watched.size
    gaps = np.diff(times) / steps
    most = float(np.max(constants.bound * np.diff(constants.first))) * gaps.max()
    most *= 1.0 + 0.5 * gaps.max() / gaps.min()
    workspace, words = alias_tau_leaping.workspace(constants, most if vectorised else 0.0), lanes(run.spikes)
    past = np.zeros(len(constants.leak) + 1)
    total, done = sum(steps), 0
    chunk = max(_BUDGET // len(z), 1)
    recorder.sample(0, z, run.intensity(z, intensity))
    workspace.total[:] = np.add.reduceat(intensity, constants.first[:-1])
    plain = (run.spikes, run.noise, recorder.spikes)
    for i, count in enumerate(steps, start=1):
        start, dt, step = times[i - 1], (times[i] - times[i - 1]) / count, 0
        while step < count:
            before = step
            end = min(step + chunk, count)
            if vectorised:
                step = alias_tau_leaping.leaps(constants, response, z, past, workspace, start, dt, step, end, words)
            elif built_in:
                step = tau_leaping.leaps(constants, response, z, intensity, past, start, dt, step, end, *plain)
            else:
                tau_leaping.leap(constants, response, z, intensity, past, start + step * dt, dt, *plain)
                run.intensity(z, intensity)
                step += 1
            if 2 * recorder.spikes.count[0] > len(recorder.spikes.time):
                recorder.flush()
            done += step - before
            run.tick(done / total)
        recorder.sample(i, z, run.intensity(z, intensity) if vectorised else intensity)
