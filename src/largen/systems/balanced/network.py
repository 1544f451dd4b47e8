"""The finite balanced network: from a model and times to the arrays of one realisation."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError, integer, one_of, real, require
from largen.numerics.lanes import lanes
from largen.system import Arrays, Plan
from largen.systems.balanced import fast, kernels, limit, manifold
from largen.systems.balanced.circuit import check_bound, circuit_of, evaluate, response_bytes, response_of, tabulate
from largen.systems.balanced.gains import CustomGain
from largen.systems.balanced.kernels import Circuit, Response, Spikes, State

RECORDABLE = ("spikes", "state")
AUTO_SECONDS = 10.0
"""`method="auto"` is exact where one realisation takes less than this."""

_CANDIDATE, _UPDATE, _POISSON = 1e-7, 4e-8, 5e-8  # CPU seconds: a candidate, a neuron's step, a Poisson number
_FAST = 2.5e-8, 4e-9, 2e-9  # the same with the kernels of `fast`
_BUDGET = 2_000_000
_ROOM = 1 << 16


def plan(
    model: Any,
    times: np.ndarray,
    *,
    n: int,
    method: str | None,
    record: tuple[str, ...],
    dt: float | None,
    neurons: int | Sequence[int],
    time_limit: float,
) -> Plan:
    """Check a run's options, choose the method, and estimate what one realisation takes.

    Args:
        model: A BalancedNetwork.
        times: Output times, shape (time,).
        n: Total number of neurons.
        method: "exact", "tau_leap", or None or "auto": exact where that is possible and takes less than 10 s.
        record: Any of "spikes", "state".
        dt: Step of tau-leaping, or None for one that suits n.
        neurons: Whom to record: the first so many of each population, or indices from 0 to n - 1.
        time_limit: CPU seconds that an exact realisation may take by the estimate made beforehand.

    Raises:
        InputError: An option cannot be used, or the exact method would take longer than `time_limit`.
    """
    for word in record:
        one_of("record", word, RECORDABLE)
    sizes = model.sizes(n)
    chosen = _chosen(neurons, sizes)
    if dt is not None:
        dt = real("dt", dt, above=0.0)
    time_limit = real("time_limit", time_limit, above=0.0)
    with jax.enable_x64(True):
        limit.check_functions(model, times)
        wild = [b for b, gain in enumerate(model.gain) if isinstance(gain, CustomGain) and tabulate(gain) is None]
    wanted = "auto" if method is None else one_of("method", method, ("exact", "tau_leap", "auto"))
    count, span = len(sizes), float(times[-1] - times[0])
    plain = model.synapses == "shared" or np.any(np.asarray(model.noise) > 0)
    plain = plain or any(isinstance(gain, CustomGain) for gain in model.gain)
    candidate, update, number = (_CANDIDATE, _UPDATE, _POISSON) if plain else _FAST
    exact = candidate * _pace(model, sizes) * span + 2.0 * _UPDATE * n * len(times)
    if wanted == "auto":
        wanted = "exact" if exact < AUTO_SECONDS and not wild and dt is None else "tau_leap"
    if wanted == "exact":
        require(dt is None, "dt", "be left out of an exact simulation", dt, 'Say method="tau_leap".')
        _refuse_exact(model, wild, exact, time_limit)
        seconds = exact
    else:
        steps = sum(_substeps(model, times, sizes, dt))
        numbers = 0 if model.synapses == "shared" else count
        seconds = steps * n * (update + number * numbers)
    size = 32.0 * n + 2e5 * count + response_bytes(model, times) + 40.0 * count * len(times)
    size += 8.0 * len(chosen) * len(times) * ("state" in record)
    if "spikes" in record:
        size += n + 24.0 * len(chosen) * span * _pace(model, sizes) / n
    return Plan(wanted, size, seconds)


def _refuse_exact(model: Any, wild: list[int], seconds: float, time_limit: float) -> None:
    if wild:
        raise InputError(
            f"Argument `method` must be 'tau_leap' for this model, but is 'exact': the gain of population "
            f"{model.populations[wild[0]]} is not monotone, and thinning needs a monotone function."
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
    whole = chosen.dtype.kind in "iu" and chosen.ndim == 1 and len(chosen) > 0
    require(whole, "neurons", "be a whole number or a list of neurons", neurons)
    require(np.all((chosen >= 0) & (chosen < first[-1])), "neurons", f"lie in 0 to {first[-1] - 1}", neurons)
    return np.unique(chosen)


def _pace(model: Any, sizes: np.ndarray) -> float:
    """Candidates per unit time."""
    bound = np.array([float(gain.bound) for gain in model.gain])
    return float(sizes @ bound) * (1.0 if model.synapses == "shared" else float(sizes.sum()))


def _substeps(model: Any, times: np.ndarray, sizes: np.ndarray, dt: float | None) -> list[int]:
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
        first, rate, drive = map(np.asarray, _at_the_start(model, sizes.astype(np.float64), times[0], nodes))
    pull = np.abs(first @ rate + drive)
    size = float(np.max(np.abs(first) @ rate, initial=0.0))
    fastest = float(np.max(np.abs(first) @ steepest, initial=0.0))
    unit = min(1.0, 3.0 / fastest) if fastest > 0 else 1.0
    layer = 40.0 / np.sqrt(n) if np.max(pull) > 3.0 * size / np.sqrt(n) else 0.0
    shortest = float(np.min(model.tau)) / 20.0
    return [
        int(np.ceil(gap / min(shortest, unit * (0.03 if start < layer else 0.1) / np.sqrt(n))))
        for start, gap in zip(times[:-1] - times[0], np.diff(times), strict=True)
    ]


@eqx.filter_jit
def _at_the_start(model: Any, sizes: Any, time: Any, nodes: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A, the mean intensities and the drive of the initial state."""
    parts = manifold.balance(model, tuple(range(len(model.gain))), sizes)
    rate = manifold.rates(model.gain, model.initial_mean, model.initial_variance, nodes)
    return parts.first, rate, manifold.at(model.drive, time)


# Running ------------------------------------------------------------------------------------------------------


class _Recorder:
    """Gathers what a realisation shows at the output times."""

    def __init__(self, model: Any, circuit: Circuit, times: np.ndarray, record: tuple[str, ...], chosen: np.ndarray):
        self.model, self.circuit, self.record, self.chosen = model, circuit, record, chosen
        self.values = np.zeros((4, len(model.gain), len(times)))
        self.state = np.zeros((len(chosen), len(times) if "state" in record else 0))
        wanted = "spikes" in record
        watched = np.zeros(circuit.first[-1] if wanted else 0, np.bool_)
        watched[chosen if wanted else []] = True
        room = _ROOM if wanted else 0
        self.spikes = Spikes(
            watched, np.zeros(room), np.zeros(room, np.int64), np.zeros(room, np.int64), np.zeros(1, np.int64)
        )
        self.kept: list[tuple[np.ndarray, ...]] = []

    def sample(self, i: int, z: np.ndarray, intensity: np.ndarray) -> None:
        """Take cumulants, rates and chosen states at the i-th output time."""
        for a, (low, high) in enumerate(itertools.pairwise(self.circuit.first)):
            self.values[:3, a, i] = kernels.cumulants(z[low:high])
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
        first, labels = self.circuit.first, self.model.populations
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


def run(
    model: Any,
    times: np.ndarray,
    *,
    n: int,
    rng: Callable[..., np.random.Generator],
    method: str,
    record: tuple[str, ...],
    tick: Callable[[float], None],
    dt: float | None,
    neurons: int | Sequence[int],
    time_limit: float,
) -> Arrays:
    """Run one realisation; see `plan` for the options.

    Args:
        model: A BalancedNetwork.
        times: Output times, shape (time,); the network starts at times[0].
        n: Total number of neurons.
        rng: Gives the generator of a named stream: "initial", "spikes", "noise".
        method: "exact" or "tau_leap".
        record: Any of "spikes", "state".
        tick: Called now and then with the fraction done.
        dt: Step of tau-leaping, or None.
        neurons: Whom to record.
        time_limit: Checked by `plan`.

    Returns:
        `mean`, `variance`, `third_cumulant` (unbiased k-statistics over a population's neurons) and `rate` (mean
        intensity), each (population, time); `state` (neuron, time); `spike_population`, `spike_neuron`,
        `spike_source`, `spike_time`: the jumps that the chosen neurons receive and their source population, or
        with shared synapses the spikes that they emit.
    """
    sizes = model.sizes(n)
    with jax.enable_x64(True):
        circuit = circuit_of(model, sizes, tables=method == "exact")
        curve = response_of(model, times, float(np.mean(sizes)))
        recorder = _Recorder(model, circuit, times, record, _chosen(neurons, sizes))
        noisy = bool(np.any(circuit.noise > 0))
        z = np.empty(n)
        start = rng("initial")
        for a, (low, high) in enumerate(itertools.pairwise(circuit.first)):
            spread = np.sqrt(model.initial_variance[a])
            z[low:high] = model.initial_mean[a] + spread * start.standard_normal(high - low)
        if method == "exact":
            _run_exact(circuit, curve, z, times, (rng("spikes"), rng("noise")), recorder, tick, noisy)
            return recorder.arrays({})
        steps = _substeps(model, times, sizes, dt)
        _run_leaps(circuit, curve, z, times, steps, (rng("spikes"), rng("noise")), recorder, tick)
    return recorder.arrays({"largest_step": float(np.max(np.diff(times) / steps))})


def _intensity(model: Any, circuit: Circuit, z: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Intensity at all states, into `out`; a user's gain is evaluated by JAX and checked against its bound."""
    for a, (low, high) in enumerate(itertools.pairwise(circuit.first)):
        if circuit.kind[a] == kernels.TABLE:
            out[low:high] = np.asarray(evaluate(model.gain[a], z[low:high]))
            check_bound(model.gain[a], out[low:high])
        else:
            kernels.intensities(circuit, a, z[low:high], out[low:high])
    return out


def _usual(circuit: Circuit) -> bool:
    """Whether the kernels of `fast` serve this network."""
    return not (circuit.shared or np.any(circuit.noise > 0) or np.any(circuit.kind == kernels.TABLE))


def _run_exact(
    circuit: Circuit,
    curve: Response,
    z: np.ndarray,
    times: np.ndarray,
    streams: tuple[np.random.Generator, np.random.Generator],
    recorder: _Recorder,
    tick: Callable[[float], None],
    noisy: bool,
) -> None:
    seen = np.full(len(z) if noisy else 0, times[0])
    state = State(z.copy(), np.zeros(len(circuit.leak)), seen, np.full(2, times[0]), np.full(4, -1.0))
    intensity = np.empty_like(z)
    stride = 1.0 / float(np.max(circuit.leak))
    usual, room, words = _usual(circuit), fast.work(circuit, 0.0), lanes(streams[0])
    recorder.sample(0, z, _intensity(recorder.model, circuit, z, intensity))
    for i, target in enumerate(times[1:], start=1):
        while state.clock[0] < target:
            end = min(target, state.clock[1] + stride)
            while True:
                if usual:
                    outcome = fast.thin(circuit, curve, state, room, end, _BUDGET, words, recorder.spikes)
                else:
                    outcome = kernels.thin(circuit, curve, state, end, _BUDGET, *streams, recorder.spikes)
                if outcome == kernels.UNDECIDED:
                    _decide(circuit, state, streams[0], recorder)
                elif outcome == kernels.FULL:
                    recorder.flush()
                elif outcome == kernels.DONE:
                    break
                tick(float((state.clock[0] - times[0]) / (times[-1] - times[0])))
            kernels.rebase(circuit, curve, state, streams[1])
        kernels.states(circuit, curve, state, z)
        recorder.sample(i, z, _intensity(recorder.model, circuit, z, intensity))


def _decide(circuit: Circuit, state: State, spikes: np.random.Generator, recorder: _Recorder) -> None:
    """Settle a candidate that the table of a user's gain left open, by the gain itself."""
    b, k, z, height = int(state.pending[0]), int(state.pending[1]), state.pending[2], state.pending[3]
    value = np.asarray(evaluate(recorder.model.gain[b], jnp.asarray(z)))
    check_bound(recorder.model.gain[b], value)
    if height < value:
        kernels.fire(circuit, state, b, k, spikes, recorder.spikes)


def _run_leaps(
    circuit: Circuit,
    curve: Response,
    z: np.ndarray,
    times: np.ndarray,
    steps: list[int],
    streams: tuple[np.random.Generator, np.random.Generator],
    recorder: _Recorder,
    tick: Callable[[float], None],
) -> None:
    intensity = np.empty_like(z)
    built_in = not np.any(circuit.kind == kernels.TABLE)
    usual = _usual(circuit) and not recorder.spikes.watched.size
    gaps = np.diff(times) / steps
    most = float(np.max(circuit.bound * np.diff(circuit.first))) * gaps.max() * (1.0 + 0.5 * gaps.max() / gaps.min())
    room, words = fast.work(circuit, most if usual else 0.0), lanes(streams[0])
    past = np.zeros(len(circuit.leak) + 1)
    total, done = sum(steps), 0
    chunk = max(_BUDGET // len(z), 1)
    recorder.sample(0, z, _intensity(recorder.model, circuit, z, intensity))
    room.total[:] = np.add.reduceat(intensity, circuit.first[:-1])
    for i, count in enumerate(steps, start=1):
        start, dt, step = times[i - 1], (times[i] - times[i - 1]) / count, 0
        while step < count:
            before = step
            end = min(step + chunk, count)
            if usual:
                step = fast.leaps(circuit, curve, z, past, room, start, dt, step, end, words)
            elif built_in:
                step = kernels.leaps(
                    circuit, curve, z, intensity, past, start, dt, step, end, *streams, recorder.spikes
                )
            else:
                kernels.leap(circuit, curve, z, intensity, past, start + step * dt, dt, *streams, recorder.spikes)
                _intensity(recorder.model, circuit, z, intensity)
                step += 1
            if 2 * recorder.spikes.count[0] > len(recorder.spikes.time):
                recorder.flush()
            done += step - before
            tick(done / total)
        recorder.sample(i, z, _intensity(recorder.model, circuit, z, intensity) if usual else intensity)
