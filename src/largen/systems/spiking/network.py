"""The finite spiking network, exact in law at its time step; the plain kernel that reads like the model.

Source: Chang, Li, Wang, Tao & Xiao 2024 (arXiv 2411.14801), sec. 2, and the conventions of shared/spec/spiking.md.
One step of length dt, for all neurons at once:

1. `_fire`: V moves by the current of the pending spikes of the step before, the leak and the external drive; a
   neuron above threshold spikes, is reset to 0 and waits.
2. `_release`: of H pending spikes Poisson(H dt/tau) are released, H of them at most.
3. `_arrive`: every spike of this step reaches each neuron of population a with probability p_ab: Bin(nf_b, p_ab)
   new pending spikes, drawn afresh (annealed) or along one fixed graph (quenched).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from largen.checks import InputError, one_of, real
from largen.system import Arrays, Plan
from largen.systems.spiking.drive import sample_drive
from largen.systems.spiking.tables import (
    DIGITS,
    GUIDES,
    Rows,
    binomial,
    guide_into,
    look_up,
    look_up_row,
    poisson_rows,
    poisson_rows_bytes,
)

RECORDABLE = ("spikes", "voltage", "voltage_density")
VOLTAGES = 10  # neurons per population whose voltage is recorded
BINS = 25  # voltage bins between reset and threshold
_CHUNK = 4_000_000  # neuron-steps between two ticks: about .2 s
_TABLES = 128e6  # bytes for release tables; beyond (very many distinct decays) Poisson is drawn without
_ROOM = 1 << 16  # spikes recorded between two returns to Python


class Constants(NamedTuple):
    """The model as the kernels read it.

    Attributes:
        edge: Population a has the neurons edge[a] to edge[a + 1] - 1, shape (P + 1,).
        inhibitory: Shape (P,).
        kick: strength/decay, [target][source], per ms.
        probability: [target][source].
        release: dt/decay, [target][source].
        table: Position of each release rate in the release tables, -1 for none, [target][source].
        leak: dt/membrane_time, shape (P,).
        kick_external: Size of one external kick: 1, or 1/membrane_time, shape (P,).
        wait: refractory_time/dt, shape (P,).
        fixed_wait: Whether the refractory period is fixed rather than exponential.
        quenched: Whether the graph is fixed.
        threshold: M.
        reversal: V_I.
        dt: Step (ms).
    """

    edge: np.ndarray
    inhibitory: np.ndarray
    kick: np.ndarray
    probability: np.ndarray
    release: np.ndarray
    table: np.ndarray
    leak: np.ndarray
    kick_external: np.ndarray
    wait: np.ndarray
    fixed_wait: bool
    quenched: bool
    threshold: float
    reversal: float
    dt: float


class State(NamedTuple):
    """The network's state, all populations in one row; starts at rest (all zero).

    Attributes:
        voltage: V, shape (N,).
        pending: H by source population, shape (P, N), int32.
        wait: Steps for which a neuron stays refractory, shape (N,), int32.
        fired: The neurons that spiked in this step, by number, shape (N,), int32.
        fired_to: Those of population b are fired[fired_to[b]:fired_to[b + 1]], shape (P + 1,).
        graph: Bit i of row j: neuron j reaches neuron i, shape (N, ceil(N/64)), uint64; (0, 0) if annealed.
    """

    voltage: np.ndarray
    pending: np.ndarray
    wait: np.ndarray
    fired: np.ndarray
    fired_to: np.ndarray
    graph: np.ndarray


class Streams(NamedTuple):
    """One generator per purpose."""

    noise: np.random.Generator
    synapses: np.random.Generator
    refractory: np.random.Generator


class Output(NamedTuple):
    """What is recorded; arrays of length 0 where nothing is asked for.

    Attributes:
        steps: Steps after which to sample, shape (time,), steps[0] = 0.
        spikes: Spikes since the sample before, shape (P, time), int64.
        pending: Sum of H over the target neurons, shape (target, source, time), int64.
        histogram: Neurons per voltage bin, shape (P, bin, time), int32.
        refractory: Refractory neurons, shape (P, time), int32.
        bins: (width, index of the bin that holds 0) of the histogram.
        chosen: Neurons whose voltage is recorded, by number.
        voltage: Their V, shape (neuron, time).
        spike_step: Step of each spike recorded since Python looked last, shape (room,), int64.
        spike_neuron: Its neuron, by number, shape (room,), int32.
        cursor: (next sample, spikes recorded), int64.
    """

    steps: np.ndarray
    spikes: np.ndarray
    pending: np.ndarray
    histogram: np.ndarray
    refractory: np.ndarray
    bins: tuple[float, int]
    chosen: np.ndarray
    voltage: np.ndarray
    spike_step: np.ndarray
    spike_neuron: np.ndarray
    cursor: np.ndarray


@njit(cache=True, error_model="numpy")
def _fire(c: Constants, s: State, rates: np.ndarray, streams: Streams) -> None:
    """Move every voltage by one step; lists the spikes in `fired`. rates: external kicks per ms, shape (P,)."""
    populations = c.inhibitory.size
    count = 0
    for a in range(populations):
        drift = rates[a] * c.dt * c.kick_external[a]
        noise = np.sqrt(rates[a] * c.dt) * c.kick_external[a]
        for i in range(c.edge[a], c.edge[a + 1]):
            if s.wait[i] > 0:
                s.wait[i] -= 1
                continue
            excitation, inhibition = 0.0, 0.0
            for b in range(populations):
                if c.inhibitory[b]:
                    inhibition += c.kick[a, b] * s.pending[b, i]
                else:
                    excitation += c.kick[a, b] * s.pending[b, i]
            v = s.voltage[i]
            g = (v - c.reversal) / (c.threshold - c.reversal)
            v += c.dt * (excitation - g * inhibition) - c.leak[a] * v + drift
            if noise > 0.0:
                v += noise * streams.noise.standard_normal()
            if v > c.threshold:
                v = 0.0
                s.wait[i] = _refractory_steps(c.wait[a], c.fixed_wait, streams.refractory)
                s.fired[count] = i
                count += 1
            s.voltage[i] = v
        s.fired_to[a + 1] = count


@njit(cache=True, error_model="numpy")
def _refractory_steps(mean: float, fixed: bool, rng: np.random.Generator) -> int:
    """Steps that a neuron misses after its spike.

    Leaving with probability q = 1 - exp(-dt/tau_r) a step, first in the spike step itself, is geometric: the whole
    part of an exponential time. A fixed period is rounded to whole steps, 1 at least.
    """
    steps = max(np.rint(mean), 1.0) if fixed else mean * rng.standard_exponential()
    return int(min(steps, 2147483647.0))


@njit(cache=True, error_model="numpy")
def _release(c: Constants, s: State, rows: Rows, rng: np.random.Generator) -> None:
    """Release Poisson(H dt/tau) of the pending spikes of every neuron and class."""
    for a in range(c.inhibitory.size):
        for b in range(c.inhibitory.size):
            if c.probability[a, b] == 0.0:
                continue
            rate, table = c.release[a, b], c.table[a, b]
            pending, row = s.pending[b], 2 * DIGITS * table
            for i in range(c.edge[a], c.edge[a + 1]):
                h = pending[i]
                if h == 0:
                    continue
                if h >= DIGITS * DIGITS or table < 0:
                    released = rng.poisson(h * rate)
                else:
                    released = look_up_row(rng.random(), row + h % DIGITS, rows)
                    if h >= DIGITS:
                        released += look_up_row(rng.random(), row + DIGITS + h // DIGITS, rows)
                pending[i] = max(h - released, 0)


@njit(cache=True, error_model="numpy")
def _arrive_annealed(c: Constants, s: State, rng: np.random.Generator) -> None:
    """Give every neuron its Bin(nf, p) new pending spikes: one table per class, shared by its neurons."""
    guide = np.empty(GUIDES, np.int32)
    for a in range(c.inhibitory.size):
        for b in range(c.inhibitory.size):
            p = c.probability[a, b]
            nf = s.fired_to[b + 1] - s.fired_to[b]
            if p == 0.0 or nf == 0:
                continue
            pending = s.pending[b]
            if p == 1.0:
                for i in range(c.edge[a], c.edge[a + 1]):
                    pending[i] += nf
                continue
            first, cdf = binomial(nf, p)
            guide_into(cdf, guide)
            for i in range(c.edge[a], c.edge[a + 1]):
                pending[i] += first + look_up(rng.random(), cdf, guide)


@njit(cache=True, error_model="numpy")
def _arrive_quenched(c: Constants, s: State) -> None:
    """Send every spike of this step to its neuron's targets on the graph."""
    neurons = s.voltage.size
    for b in range(c.inhibitory.size):
        pending = s.pending[b]
        for k in range(s.fired_to[b], s.fired_to[b + 1]):
            row = s.graph[s.fired[k]]
            for word in range(row.size):
                bits = row[word]
                base = 64 * word
                for bit in range(min(64, neurons - base)):
                    pending[base + bit] += np.int32((bits >> np.uint64(bit)) & np.uint64(1))


@njit(cache=True, error_model="numpy")
def _draw_graph(c: Constants, graph: np.ndarray, first: int, last: int, rng: np.random.Generator) -> None:
    """Draw the rows first..last-1 of the graph: independent links, self-links kept."""
    populations = c.inhibitory.size
    b = 0
    for j in range(first, last):
        while j >= c.edge[b + 1]:
            b += 1
        for a in range(populations):
            p = c.probability[a, b]
            for i in range(c.edge[a], c.edge[a + 1]):
                if rng.random() < p:
                    graph[j, i >> 6] |= np.uint64(1) << np.uint64(i & 63)


@njit(cache=True, error_model="numpy")
def _sample(c: Constants, s: State, out: Output) -> None:
    """Record the state after a step that is to be sampled."""
    k = out.cursor[0]
    populations = c.inhibitory.size
    for a in range(populations):
        for b in range(populations):
            pending, total = s.pending[b], 0
            for i in range(c.edge[a], c.edge[a + 1]):
                total += pending[i]
            out.pending[a, b, k] = total
        if out.histogram.size:
            width, origin = out.bins
            top = out.histogram.shape[1] - 1
            for i in range(c.edge[a], c.edge[a + 1]):
                if s.wait[i] > 0:
                    out.refractory[a, k] += 1
                else:
                    cell = np.floor(s.voltage[i] / width) + origin
                    out.histogram[a, int(min(max(cell, 0.0), float(top))), k] += 1
    for j in range(out.chosen.size):
        out.voltage[j, k] = s.voltage[out.chosen[j]]
    out.cursor[0] = k + 1


@njit(cache=True, error_model="numpy")
def _advance(
    c: Constants, s: State, rates: np.ndarray, rows: Rows, streams: Streams, out: Output, step: int, stop: int
):
    """Take the steps step + 1..stop, fewer if the room for spikes runs out; returns the last step taken."""
    while step < stop:
        if out.spike_step.size and out.spike_step.size - out.cursor[1] < s.voltage.size:
            return step
        _fire(c, s, rates[min(step, rates.shape[0] - 1)], streams)
        _release(c, s, rows, streams.synapses)
        if c.quenched:
            _arrive_quenched(c, s)
        else:
            _arrive_annealed(c, s, streams.synapses)
        step += 1
        k = out.cursor[0]
        for a in range(c.inhibitory.size):
            out.spikes[a, k] += s.fired_to[a + 1] - s.fired_to[a]
        if out.spike_step.size:
            for j in range(s.fired_to[-1]):
                out.spike_step[out.cursor[1]] = step
                out.spike_neuron[out.cursor[1]] = s.fired[j]
                out.cursor[1] += 1
        if step == out.steps[k]:
            _sample(c, s, out)
    return step


def _sample_steps(times: np.ndarray, dt: float) -> np.ndarray:
    """Return the step at which each time is reached; refuses a time between two steps."""
    exact = (times - times[0]) / dt
    steps = np.rint(exact)
    # Times such as np.arange(0, 5000, .1) are multiples of dt up to rounding.
    off = np.abs(exact - steps) > 1e-6 + 4.0 * np.spacing(np.abs(times).max()) / dt
    if np.any(off):
        i = int(np.argmax(off))
        raise InputError(
            f"Argument `times` must be times[0] plus multiples of dt = {dt:g} ms, "
            f"but times[{i}] - times[0] = {times[i] - times[0]:.10g} ms is {exact[i]:.6g} steps. "
            "Choose other times, or a dt that divides their spacing."
        )
    return steps.astype(np.int64)


def _resolve(model: Any, times: np.ndarray, record: tuple[str, ...], dt: float) -> tuple[float, np.ndarray]:
    """Check the options of a run; returns (dt, step of each time)."""
    for word in record:
        one_of("record", word, RECORDABLE)
    dt = real("dt", dt, above=0.0)
    fastest = float(np.min(model.membrane_time))
    if dt >= fastest:
        raise InputError(
            f"Argument `dt` must be less than the membrane time constant {fastest:g} ms, but is {dt:g} ms."
        )
    return dt, _sample_steps(times, dt)


def _release_tables(release: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct release rates that get a table, and for each class its position there (-1: none)."""
    rates, where = np.unique(np.where(probability > 0, release, 0.0), return_inverse=True)
    where = where.reshape(release.shape)
    if poisson_rows_bytes(rates) > _TABLES:
        return rates[:0], np.full(release.shape, -1)
    return rates, where


def plan(model: Any, times: np.ndarray, *, record: tuple[str, ...], dt: float) -> Plan:
    """Check a run's options and estimate what one realisation takes.

    Args:
        model: A `SpikingNetwork`, scaled to the network's size.
        times: Output times (ms), shape (time,).
        record: Any of "spikes", "voltage", "voltage_density".
        dt: Step (ms); every times[i] - times[0] must be a multiple.

    Raises:
        InputError: An unknown word in `record`, a bad dt, or a time that is not a multiple of dt.
    """
    dt, steps = _resolve(model, times, record, dt)
    populations, neurons = len(model.size), int(np.sum(model.size))
    release = dt / model.decay
    tables = poisson_rows_bytes(_release_tables(release, model.probability)[0])
    state = neurons * (8.0 + 4.0 * populations + 4.0 + 4.0)
    graph = neurons * 8.0 * np.ceil(neurons / 64) if model.connectivity == "quenched" else 0.0
    outputs = 16.0 * len(steps) * populations * (1 + populations)
    if "voltage_density" in record:
        outputs += 12.0 * len(steps) * populations * _bins(model)[0]
    if "voltage" in record:
        outputs += 8.0 * len(steps) * populations * VOLTAGES
    if "spikes" in record:  # at most one spike per refractory period; half of that is a lively network
        spikes = 0.5 * neurons * steps[-1] * dt / float(np.mean(model.refractory_time))
        outputs += 16.0 * spikes + 12.0 * max(_ROOM, 2 * neurons)
    if callable(model.external_rate):
        outputs += 8.0 * steps[-1] * populations
    seconds = 1e-9 * float(steps[-1]) * neurons * (16.0 + 14.0 * populations)
    return Plan("time_step", state + graph + outputs + tables, seconds)


def _bins(model: Any) -> tuple[int, int]:
    """Number of voltage bins, and how many of them lie below 0: from about -0.6 M to M."""
    below = int(np.ceil(0.6 * BINS))
    return BINS + below, below


def _constants(model: Any, dt: float) -> tuple[Constants, Rows]:
    populations = len(model.size)
    membrane = np.array(np.broadcast_to(model.membrane_time, (populations,)))
    probability = np.array(model.probability)
    release = dt / model.decay
    rates, table = _release_tables(release, probability)
    constants = Constants(
        edge=np.concatenate([[0], np.cumsum(model.size)]).astype(np.int64),
        inhibitory=np.array(model.inhibitory),
        kick=model.strength / model.decay,
        probability=probability,
        release=release,
        table=table.astype(np.int64),
        leak=dt / membrane,
        kick_external=np.where(np.isfinite(membrane), 1.0 / membrane, 1.0),
        wait=np.array(np.broadcast_to(model.refractory_time, (populations,))) / dt,
        fixed_wait=model.refractory == "fixed",
        quenched=model.connectivity == "quenched",
        threshold=float(model.threshold),
        reversal=float(model.reversal),
        dt=dt,
    )
    return constants, poisson_rows(rates)


def _rest(constants: Constants) -> State:
    """The network at rest: V = 0, nothing pending, nobody refractory."""
    populations, neurons = constants.inhibitory.size, int(constants.edge[-1])
    rows = neurons if constants.quenched else 0
    return State(
        voltage=np.zeros(neurons),
        pending=np.zeros((populations, neurons), np.int32),
        wait=np.zeros(neurons, np.int32),
        fired=np.zeros(neurons, np.int32),
        fired_to=np.zeros(populations + 1, np.int64),
        graph=np.zeros((rows, -(-rows // 64)), np.uint64),
    )


def _output(model: Any, constants: Constants, steps: np.ndarray, record: tuple[str, ...]) -> Output:
    populations, neurons = constants.inhibitory.size, int(constants.edge[-1])
    samples = len(steps)
    bins, below = _bins(model)
    density = samples if "voltage_density" in record else 0
    edge = constants.edge
    chosen = [
        np.arange(low, min(low + VOLTAGES, high)) for low, high in zip(edge[:-1], edge[1:], strict=True)
    ]
    chosen = np.concatenate(chosen) if "voltage" in record else np.zeros(0, np.int64)
    room = max(_ROOM, 2 * neurons) if "spikes" in record else 0
    return Output(
        steps=steps,
        spikes=np.zeros((populations, samples), np.int64),
        pending=np.zeros((populations, populations, samples), np.int64),
        histogram=np.zeros((populations, bins, density), np.int32),
        refractory=np.zeros((populations, density), np.int32),
        bins=(constants.threshold / BINS, below),
        chosen=chosen,
        voltage=np.zeros((len(chosen), samples)),
        spike_step=np.zeros(room, np.int64),
        spike_neuron=np.zeros(room, np.int32),
        cursor=np.zeros(2, np.int64),
    )


def run(
    model: Any,
    times: np.ndarray,
    *,
    rng: Callable[..., np.random.Generator],
    record: tuple[str, ...],
    tick: Callable[[float], None],
    dt: float,
) -> Arrays:
    """Run one realisation of the network from rest.

    Args:
        model: A `SpikingNetwork`, scaled to the network's size.
        times: Output times (ms), shape (time,); the network starts at times[0].
        rng: Gives the generator of a named stream.
        record: Any of "spikes", "voltage", "voltage_density".
        tick: Called about every .2 s of CPU time with the fraction done; may raise to stop.
        dt: Step (ms).

    Returns:
        `rate` (population, time), Hz: spikes in (times[i-1], times[i]] per neuron and second, 0 at times[0];
        `pending` (population, source, time): mean of H over the target population; on request
        `spike_population`, `spike_neuron` (within its population), `spike_time` (ms), sorted by time;
        `voltage_density` (population, bin, time), fraction of the population per bin, which with
        `refractory_fraction` (population, time) adds up to 1; `voltage` (neuron, time) of the first 10 neurons
        of every population.
    """
    dt, steps = _resolve(model, times, record, dt)
    constants, rows = _constants(model, dt)
    state = _rest(constants)
    neurons, total = int(constants.edge[-1]), int(steps[-1])
    if constants.quenched:
        generator = rng("graph")
        block = max(1, _CHUNK // neurons)
        for first in range(0, neurons, block):
            _draw_graph(constants, state.graph, first, min(first + block, neurons), generator)
            tick(0.0)
    rates = sample_drive(model.external_rate, float(times[0]), total, dt, len(model.size))
    streams = Streams(rng("noise"), rng("synapses"), rng("refractory"))
    out = _output(model, constants, steps, record)
    _sample(constants, state, out)
    heard: list[tuple[np.ndarray, np.ndarray]] = []
    chunk = max(1, _CHUNK // neurons)
    step = 0
    while step < total:
        _check_room(state, chunk)
        step = _advance(constants, state, rates, rows, streams, out, step, min(step + chunk, total))
        heard.append((out.spike_step[: out.cursor[1]].copy(), out.spike_neuron[: out.cursor[1]].copy()))
        out.cursor[1] = 0
        tick(step / total)
    return _arrays(model, times, constants, out, heard, record)


def _check_room(state: State, steps: int) -> None:
    """Refuse to go on where counts of pending spikes could pass the range of 32 bits."""
    most = int(state.pending.max())
    if most + steps * state.voltage.size >= 2**31:
        raise InputError(
            f"Argument `decay` must be short enough that fewer than 2^31 spikes are pending, but a neuron has {most}."
        )


def _arrays(
    model: Any,
    times: np.ndarray,
    constants: Constants,
    out: Output,
    heard: list[tuple[np.ndarray, np.ndarray]],
    record: tuple[str, ...],
) -> Arrays:
    """Turn counts into rates, means and fractions."""
    size = np.diff(constants.edge)
    values: dict[str, np.ndarray] = {}
    coords: dict[str, Any] = {}
    seconds = np.concatenate([[1.0], np.diff(out.steps) * constants.dt / 1000.0])
    values["rate"] = out.spikes / (size[:, None] * seconds)
    values["pending"] = out.pending / size[:, None, None]
    if "voltage_density" in record:
        values["voltage_density"] = out.histogram / size[:, None, None]
        values["refractory_fraction"] = out.refractory / size[:, None]
        width, below = out.bins
        coords["bin"] = width * (np.arange(out.histogram.shape[1]) - below + 0.5)
    if "voltage" in record:
        values["voltage"] = out.voltage
        coords["neuron"] = _neuron_labels(model.populations, size)
    if "spikes" in record:
        neuron = np.concatenate([pair[1] for pair in heard])
        population = np.searchsorted(constants.edge, neuron, side="right") - 1
        values["spike_population"] = population.astype(np.int32)
        values["spike_neuron"] = (neuron - constants.edge[population]).astype(np.int32)
        values["spike_time"] = times[0] + constants.dt * np.concatenate([pair[0] for pair in heard])
    attrs = {"dt": constants.dt}
    if "voltage_density" in record:
        attrs["bin_width"] = out.bins[0]
    return Arrays(values, coords, attrs)


def _neuron_labels(populations: tuple[str, ...], size: np.ndarray) -> np.ndarray:
    """Labels such as e0, or e1:0 where population labels end in a digit."""
    labels = []
    for population, count in zip(populations, size.tolist(), strict=True):
        colon = ":" if population[-1].isdigit() else ""
        labels += [f"{population}{colon}{i}" for i in range(min(count, VOLTAGES))]
    return np.array(labels)
