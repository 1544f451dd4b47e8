"""The finite spiking network: from a model and times to the arrays of one realisation.

The network is exact in law at its time step dt; `step` has the step. Annealed: O(N) a step, no synapse
stored. Quenched: one bit per ordered pair of neurons, stored or made again at every spike.
"""

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from largen.checks import InputError, one_of
from largen.numerics.xoshiro import lanes
from largen.runtime.memory import available_memory
from largen.system import Arrays, Plan
from largen.systems.spiking.drive import sample_drive
from largen.systems.spiking.network.graph import Graph, empty_graph, store_rows
from largen.systems.spiking.network.state import Constants, Output, Scratch, State, Streams, sample, scratch
from largen.systems.spiking.network.step import advance
from largen.systems.spiking.network.tables import (
    LONG_STEP,
    Arrivals,
    Release,
    arrival_bytes,
    arrival_rows,
    release_bytes,
    release_probabilities,
    release_rows,
)
from largen.systems.spiking.time_step import check_step, output_steps, refractory_steps, release

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

GRAPHS = ("auto", "stored", "regenerated")
RECORDABLE = ("spikes", "voltage", "voltage_density")
VOLTAGES = 10  # neurons per population whose voltage is recorded
BINS = 25  # voltage bins between reset and threshold
_CHUNK = 20_000_000  # neuron-steps between two ticks: about .2 s
_LINKS = 1_000_000_000  # synapses drawn between two ticks
HELD_SPIKES = 1 << 16  # spikes recorded between two returns to Python


def resolve(model: "SpikingNetwork", times: np.ndarray, record: tuple[str, ...], dt: float) -> tuple[float, np.ndarray]:
    """Check the options of a run; returns (dt, step of each time)."""
    for word in record:
        one_of("record", word, RECORDABLE)
    dt = check_step(model, dt)
    return dt, output_steps(times, dt)


def plan(
    model: "SpikingNetwork", times: np.ndarray, *, record: tuple[str, ...], dt: float, graph: str = "auto"
) -> Plan:
    """Check a run's options and estimate what one realisation takes.

    Args:
        model: A `SpikingNetwork`, scaled to the network's size.
        times: Output times (ms), shape (time,).
        record: Any of "spikes", "voltage", "voltage_density".
        dt: Step (ms); every times[i] - times[0] must be a multiple.
        graph: See `run`.

    Raises:
        InputError: An unknown word in `record` or `graph`, a bad dt, or a time that is not a multiple of dt.
    """
    dt, steps = resolve(model, times, record, dt)
    populations, neurons = len(model.size), int(np.sum(model.size))
    distinct, _ = release_probabilities(release(dt, model.decay).probability, np.asarray(model.probability))
    tables = release_bytes(distinct, int(np.max(model.size))) + arrival_bytes(model.size, model.probability)
    state = neurons * (8.0 + 4.0 * populations + 4.0 + 4.0)
    stored, words = _graph_rows(model, graph)
    bits = 8.0 * words * (stored + 64.0) + 256.0 * words * populations
    kept = 8.0 * len(steps) * populations * (1 + populations)
    outputs = 2.0 * kept
    if "voltage_density" in record:
        cells = float(len(steps)) * populations * _bins(model)[0]
        outputs, kept = outputs + 12.0 * cells, kept + 8.0 * cells
    if "voltage" in record:
        outputs += 8.0 * len(steps) * populations * VOLTAGES
        kept += 8.0 * len(steps) * populations * VOLTAGES
    if "spikes" in record:  # at most one spike per refractory period; half of that is a lively network
        spikes = 0.5 * neurons * steps[-1] * dt / float(np.mean(model.refractory_time))
        outputs += 40.0 * spikes + 12.0 * max(HELD_SPIKES, 2 * neurons)
        kept += 6.0 * spikes  # a quarter of those
    if callable(model.external_rate):
        outputs += 8.0 * steps[-1] * populations
    seconds = 1e-9 * float(steps[-1]) * neurons * (3.0 + 3.0 * populations)
    return Plan("time_step", state + bits + outputs + tables, seconds, kept)


def _graph_rows(model: "SpikingNetwork", graph: str) -> tuple[int, int]:
    """Stored rows and words per row of the graph; (0, 0) for an annealed network."""
    one_of("graph", graph, GRAPHS)
    if model.connectivity == "annealed":
        return 0, 0
    neurons = int(np.sum(model.size))
    words = -(-neurons // 64)
    fits = 8.0 * neurons * words < 0.5 * available_memory()
    return (neurons if graph == "stored" or (graph == "auto" and fits) else 0), words


def _bins(model: "SpikingNetwork") -> tuple[int, int]:
    """Number of voltage bins, and how many of them lie below 0: from about -0.6 M to M."""
    below = int(np.ceil(0.6 * BINS))
    return BINS + below, below


def _constants(model: "SpikingNetwork", dt: float) -> tuple[Constants, np.ndarray]:
    """Constants of the kernels, and the distinct probabilities of a release."""
    populations = len(model.size)
    membrane = np.array(np.broadcast_to(model.membrane_time, (populations,)))
    probability, strength = np.array(model.probability), np.array(model.strength)
    spike = release(dt, model.decay)
    distinct, table = release_probabilities(spike.probability, probability)
    constants = Constants(
        edge=np.concatenate([[0], np.cumsum(model.size)]).astype(np.int64),
        inhibitory=np.array(model.inhibitory),
        strength=strength,
        stay=strength * spike.stay,
        leave=strength * spike.leave,
        spread=spike.stay > LONG_STEP,
        probability=probability,
        release=spike.probability,
        table=table,
        leak=dt / membrane,
        kick_external=np.where(np.isfinite(membrane), 1.0 / membrane, 1.0),
        wait=refractory_steps(model, dt),
        fixed_wait=model.refractory == "fixed",
        quenched=model.connectivity == "quenched",
        threshold=float(model.threshold),
        reversal=float(model.reversal),
        dt=dt,
    )
    return constants, distinct


def _voltage_type(constants: Constants, drive: np.ndarray) -> type:
    """Single precision where the noise of a step is a thousand times its rounding, so that the errors average out."""
    noise = np.sqrt(drive * constants.dt) * constants.kick_external
    return np.float32 if np.min(noise) > 2.0**-14 * constants.threshold else np.float64


class Network(NamedTuple):
    """All that the kernels need, in their order."""

    constants: Constants
    state: State
    streams: Streams
    release: Release
    arrivals: Arrivals
    graph: Graph
    scratch: Scratch


def at_rest(
    model: "SpikingNetwork",
    dt: float,
    rng: Callable[..., np.random.Generator],
    drive: np.ndarray,
    *,
    graph: str = "auto",
) -> Network:
    """The network at rest: V = 0, nothing pending, nobody refractory; a stored graph is not yet drawn."""
    constants, distinct = _constants(model, dt)
    populations, neurons = constants.inhibitory.size, int(constants.edge[-1])
    rows, words = _graph_rows(model, graph)
    key = rng("graph").bit_generator.seed_seq.generate_state(2, np.uint64)  # pyright: ignore[reportAttributeAccessIssue]
    return Network(
        constants,
        State(
            voltage=np.zeros(neurons, _voltage_type(constants, drive)),
            pending=np.zeros((populations, neurons), np.int32),
            reach=np.zeros((populations, populations, 2), np.int64),
            wait=np.zeros(neurons, np.int32),
            fired=np.zeros(neurons, np.int32),
            fired_to=np.zeros(populations + 1, np.int64),
        ),
        Streams(lanes(rng("noise")), lanes(rng("synapses")), lanes(rng("refractory"))),
        release_rows(distinct, int(np.max(model.size))),
        arrival_rows(model.size, constants.probability),
        empty_graph(constants.edge, constants.probability, key, rows=rows, words=words),
        scratch(populations),
    )


def output_for(
    edge: np.ndarray,
    steps: np.ndarray,
    record: tuple[str, ...],
    bins: tuple[int, int, float],
    shift: np.ndarray,
    *,
    counted: bool = True,
) -> Output:
    """Arrays for what is recorded.

    Args:
        edge: First neuron of each population, and N.
        steps: Steps after which to sample, shape (time,).
        record: Any of "spikes", "voltage", "voltage_density".
        bins: Voltage bins, how many lie below the origin, their width.
        shift: What is added to a voltage before it is put into a bin, shape (P,).
        counted: Whether there are pending spikes.
    """
    populations, neurons, samples = len(edge) - 1, int(edge[-1]), len(steps)
    count, below, width = bins
    density = samples if "voltage_density" in record else 0
    chosen = [np.arange(low, min(low + VOLTAGES, high)) for low, high in itertools.pairwise(edge)]
    chosen = np.concatenate(chosen) if "voltage" in record else np.zeros(0, np.int64)
    room = max(HELD_SPIKES, 2 * neurons) if "spikes" in record else 0
    return Output(
        steps=steps,
        spikes=np.zeros((populations, samples), np.int64),
        pending=np.zeros((populations if counted else 0, populations, samples if counted else 0), np.int64),
        histogram=np.zeros((populations, count, density), np.int32),
        refractory=np.zeros((populations, density), np.int32),
        bins=(width, below),
        shift=shift,
        chosen=chosen,
        voltage=np.zeros((len(chosen), samples)),
        spike_step=np.zeros(room, np.int64),
        spike_neuron=np.zeros(room, np.int32),
        cursor=np.zeros(2, np.int64),
    )


def _output(model: "SpikingNetwork", constants: Constants, steps: np.ndarray, record: tuple[str, ...]) -> Output:
    bins = (*_bins(model), constants.threshold / BINS)
    return output_for(constants.edge, steps, record, bins, np.zeros(len(model.size)))


def run(
    model: "SpikingNetwork",
    times: np.ndarray,
    *,
    rng: Callable[..., np.random.Generator],
    record: tuple[str, ...],
    tick: Callable[[float], None],
    dt: float,
    graph: str = "auto",
) -> Arrays:
    """Run one realisation of the network from rest.

    Args:
        model: A `SpikingNetwork`, scaled to the network's size.
        times: Output times (ms), shape (time,); the network starts at times[0].
        rng: Gives the generator of a named stream.
        record: Any of "spikes", "voltage", "voltage_density".
        tick: Called about every .2 s of CPU time with the fraction done; may raise to stop.
        dt: Step (ms).
        graph: How a quenched network keeps its graph: "stored" in N^2 bits, "regenerated" at every spike, or
            "auto": stored if it takes less than half the free memory. The same bytes come out.

    Returns:
        `rate` (population, time), Hz: spikes in (times[i-1], times[i]] per neuron and second, 0 at times[0];
        `pending` (population, source, time): mean of H over the target population; on request
        `spike_population`, `spike_neuron` (within its population), `spike_time` (ms), sorted by time;
        `voltage_density` (population, bin, time), fraction of the population per bin, which with
        `refractory_fraction` (population, time) adds up to 1; `voltage` (neuron, time) of the first 10
        neurons of every population.
    """
    dt, steps = resolve(model, times, record, dt)
    total = int(steps[-1])
    drive = sample_drive(model.external_rate, float(times[0]), total, dt, len(model.size))
    network = at_rest(model, dt, rng, drive, graph=graph)
    constants, neurons = network.constants, int(network.constants.edge[-1])
    stored = neurons if len(network.graph.stored) else 0
    block = max(1, _LINKS // neurons)
    for first in range(0, stored, block):
        store_rows(network.graph, first, min(first + block, stored))
        tick(0.0)
    out = _output(model, constants, steps, record)
    sample(constants.edge, network.state.wait, network.state.voltage, out)
    heard: list[tuple[np.ndarray, np.ndarray]] = []
    chunk = max(1, _CHUNK // neurons)
    step = 0
    while step < total:
        check_pending(network.state.reach, chunk * neurons)
        step = advance(*network, drive, out, step, min(step + chunk, total), False)
        heard.append((out.spike_step[: out.cursor[1]].copy(), out.spike_neuron[: out.cursor[1]].copy()))
        out.cursor[1] = 0
        tick(step / total)
    advance(*network, drive, out, total, total, True)
    return to_arrays(model, times, constants.edge, dt, out, heard, record)


def check_pending(reach: np.ndarray, more: int) -> None:
    """Refuse to go on where counts of pending spikes could pass the range of 32 bits; more: spikes that may come."""
    most = int(reach[:, :, 0].max())
    if most + more >= 2**31:
        raise InputError(f"Argument `decay` must keep the pending spikes of a neuron below 2^31, but one has {most}.")


def to_arrays(
    model: "SpikingNetwork",
    times: np.ndarray,
    edge: np.ndarray,
    dt: float,
    out: Output,
    heard: list[tuple[np.ndarray, np.ndarray]],
    record: tuple[str, ...],
    lowest: float = 0.0,
) -> Arrays:
    """Turn counts into rates, means and fractions.

    Args:
        model: The network.
        times: Output times (ms), shape (time,).
        edge: First neuron of each population, and N.
        dt: Step (ms).
        out: What was recorded; `pending` is left out where nothing was.
        heard: Steps and neurons of the spikes, in the order of the steps.
        record: Any of "spikes", "voltage", "voltage_density".
        lowest: Potential at the lower edge of bin `out.bins[1]`.
    """
    size = np.diff(edge)
    values: dict[str, np.ndarray] = {}
    coords: dict[str, Any] = {}
    seconds = np.concatenate([[1.0], np.diff(out.steps) * dt / 1000.0])
    values["rate"] = out.spikes / (size[:, None] * seconds)
    if out.pending.size:
        values["pending"] = out.pending / size[:, None, None]
    if "voltage_density" in record:
        values["voltage_density"] = out.histogram / size[:, None, None]
        values["refractory_fraction"] = out.refractory / size[:, None]
        width, below = out.bins
        centre = lowest + width * (np.arange(out.histogram.shape[1]) - below + 0.5)
        coords["bin"] = ("bin", centre, {"units": "1", "long_name": "centre of a voltage bin"})
    if "voltage" in record:
        values["voltage"] = out.voltage
        labels = neuron_labels(model.populations, size)
        coords["neuron"] = ("neuron", labels, {"units": "1", "long_name": "neuron"})
    if "spikes" in record:
        neuron = np.concatenate([pair[1] for pair in heard])
        population = np.searchsorted(edge, neuron, side="right") - 1
        values["spike_population"] = population.astype(np.int32)
        values["spike_neuron"] = (neuron - edge[population]).astype(np.int32)
        values["spike_time"] = times[0] + dt * np.concatenate([pair[0] for pair in heard])
    attrs = {"dt": dt}
    if "voltage_density" in record:
        attrs["bin_width"] = out.bins[0]
    return Arrays(values, coords, attrs)


def neuron_labels(populations: tuple[str, ...], size: np.ndarray) -> np.ndarray:
    """Labels such as e0, or e1:0 where population labels end in a digit."""
    labels = []
    for population, count in zip(populations, size.tolist(), strict=True):
        colon = ":" if population[-1].isdigit() else ""
        labels += [f"{population}{colon}{i}" for i in range(min(count, VOLTAGES))]
    return np.array(labels)
