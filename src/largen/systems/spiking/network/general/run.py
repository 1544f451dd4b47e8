"""The finite network of any integrate-and-fire model: from a model and times to the arrays of one realisation.

The network is exact in law at its time step dt; `step` has the step. Annealed: one draw for each neuron and class of
what arrives, no synapse stored. Quenched: lists of targets (4 bytes a synapse, 6 with a spread of strengths).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from largen.checks import InputError, one_of
from largen.numerics.xoshiro import lanes
from largen.space.place import arguments, of_place
from largen.system import Arrays, Plan
from largen.systems.spiking import constants as derived
from largen.systems.spiking.drive import Drive, drive_of
from largen.systems.spiking.network.general import space
from largen.systems.spiking.network.general.arrivals import Classes, class_bytes, classes
from largen.systems.spiking.network.general.assemble import (
    Rows,
    connections,
    constants,
    pulled,
    sort_rows,
)
from largen.systems.spiking.network.general.links import build
from largen.systems.spiking.network.general.spray import Spray, no_spray
from largen.systems.spiking.network.general.state import (
    CONDUCTANCE,
    CURRENT,
    PENDING,
    RELEASE,
    Constants,
    Scratch,
    State,
    Uneven,
    scratch,
)
from largen.systems.spiking.network.general.step import advance
from largen.systems.spiking.network.general.wiring import (
    Links,
    expected,
    most_groups,
    most_synapses,
    nothing,
    wiring,
)
from largen.systems.spiking.network.run import (
    BINS,
    GRAPHS,
    HELD_SPIKES,
    VOLTAGES,
    check_pending,
    output_for,
    resolve,
    to_arrays,
)
from largen.systems.spiking.network.state import Output, Streams, sample
from largen.systems.spiking.network.tables import Release as ReleaseRows
from largen.systems.spiking.network.tables import release_bytes, release_rows

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

_CHUNK = 10_000_000  # neuron-steps between two ticks: about .2 s
_BUILT = 10e-9  # s a synapse, for `plan`; four times that for in-degrees
_RATE = 10.0  # Hz, for `plan`


class Network(NamedTuple):
    """All that the kernels need, in their order."""

    constants: Constants
    state: State
    streams: Streams
    release: ReleaseRows
    classes: Classes
    links: Links
    spray: Spray
    scratch: Scratch
    drive: Drive
    uneven: Uneven


def require_possible(model: "SpikingNetwork", graph: str) -> None:
    """Refuse what this network cannot hold: a spread of strengths where spikes are counted, graphs made again."""
    one_of("graph", graph, GRAPHS)
    if model.space is not None:
        space.require_possible(model)
    if model.connectivity != "annealed" and graph == "regenerated":
        raise InputError(
            'Argument `graph` must be "auto" or "stored" for a network with delays, in-degrees or synapses other than '
            "pending ones, whose targets are lists, but is 'regenerated'."
        )
    counted = model.synapse in ("pending", "release")
    shrunk = model.synapse == "delta" and bool(np.any(pulled(model)))
    if np.any(np.asarray(model.strength_spread) > 0.0) and (counted or shrunk):
        what = f"synapse={model.synapse!r}" + ("" if counted else " and inhibition='conductance'")
        raise InputError(
            f"Argument `strength_spread` must be 0 with {what}, where spikes are counted and all alike, but is "
            f"{float(np.max(model.strength_spread)):g}. Take exponential synapses, or delta synapses and "
            'inhibition="current".'
        )


def plan(
    model: "SpikingNetwork", times: np.ndarray, *, record: tuple[str, ...], dt: float, graph: str = "auto"
) -> Plan:
    """Check a run's options and estimate what one realisation takes.

    Args:
        model: A `SpikingNetwork`, scaled to the network's size.
        times: Output times (ms), shape (time,).
        record: Any of "spikes", "voltage", "voltage_density".
        dt: Step (ms); every times[i] - times[0] must be a multiple.
        graph: "auto" or "stored": a quenched graph is always stored here.

    Raises:
        InputError: An unknown word in `record` or `graph`, a bad dt, a time that is not a multiple of dt, or fields
            that this network cannot hold together.
    """
    require_possible(model, graph)
    dt, steps = resolve(model, times, record, dt)
    size = np.asarray(model.size, np.int64)
    populations, neurons, total = len(size), int(size.sum()), float(steps[-1])
    rows, law = sort_rows(model), derived.delays(model, dt)
    most = rows.kind.shape[1]
    state = 2.0**18 + neurons * (28.0 + 8.0 * most)
    seconds = 1e-9 * total * neurons * (4.0 + 3.0 * float(rows.count.max()))
    edge = np.concatenate([[0], np.cumsum(size)])
    synapses, _ = expected(edge, connections(model))
    if model.connectivity != "annealed":
        spread = bool(np.any(np.asarray(model.strength_spread) > 0.0))
        groups = float(most_groups(law.shares, connections(model)[1], _brings(model, rows)))
        state += (6.0 if spread else 4.0) * most_synapses(edge, connections(model))
        state += 4.0 * neurons * (groups + 2.0 + (populations if model.synapses is not None else 0))
        state += 4.0 * neurons * (most + 1.0 + law.shares.shape[2])
        state += 28.0 * (neurons if model.probability is not None else 2.0 * synapses / neurons)  # one row
        seconds += _BUILT * synapses * (4.0 if model.in_degree is not None else 1.0)
        seconds += 3e-9 * synapses * _RATE * 1e-3 * total * dt
    elif model.space is not None:
        seconds += 2e-8 * synapses * _RATE * 1e-3 * total * dt
    else:
        state += class_bytes(populations, 64.0 + 13.0 * np.sqrt(float(size.max())))
        seconds += 3e-9 * total * neurons * populations
    if model.synapse in ("pending", "release"):
        distinct = np.unique(np.exp(-dt / derived.per_pair(model, model.decay)))
        state += release_bytes(distinct, int(size.max()))
    outputs, kept = _output_bytes(model, steps, record, dt)
    if model.space is not None:
        by_patch = 8.0 * len(steps) * populations * model.space.count
        state, outputs, kept = state + 40.0 * neurons, outputs + 2.0 * by_patch, kept + by_patch
        if of_place(model.external_mean):
            moments = total if "t" in arguments(model.external_mean) else 1.0
            state += 20.0 * moments * populations * model.space.count
    return Plan("time_step", state + outputs, seconds, kept)


def _brings(model: "SpikingNetwork", rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By [target][source]: row of what arrives, what a spike adds there, and the relative spread of that."""
    return rows.source, rows.brings, derived.per_pair(model, model.strength_spread)


def _output_bytes(
    model: "SpikingNetwork", steps: np.ndarray, record: tuple[str, ...], dt: float
) -> tuple[float, float]:
    """Memory that recording takes while the network runs, and what is kept of it."""
    populations, neurons, samples = len(model.size), float(np.sum(model.size)), float(len(steps))
    kept = 8.0 * samples * populations * (1 + populations)
    outputs = 2.0 * kept
    if "voltage_density" in record:
        outputs += 12.0 * samples * populations * _bins(model)[0]
        kept += 8.0 * samples * populations * _bins(model)[0]
    if "voltage" in record:
        outputs += 8.0 * samples * populations * VOLTAGES
        kept += 8.0 * samples * populations * VOLTAGES
    if "spikes" in record:  # half the largest rate is a lively network; without a refractory period 100 Hz are
        shortest = np.maximum(derived.per_population(model, model.refractory_time), 5.0)
        spikes = 0.5 * neurons * steps[-1] * dt / float(np.mean(shortest))
        outputs += 40.0 * spikes + 12.0 * max(HELD_SPIKES, 2.0 * neurons)
        kept += 6.0 * spikes
    functions = sum(callable(value) for value in (model.external_rate, model.external_mean, model.external_sd))
    return outputs + 8.0 * steps[-1] * populations * functions, kept


def _bins(model: "SpikingNetwork") -> tuple[int, int, float, float]:
    """Voltage bins: their number, how many lie below the lowest reset, that reset, and their width."""
    below = int(np.ceil(0.6 * BINS))
    lowest = float(np.min(model.reset))
    return BINS + below, below, lowest, (float(np.max(model.threshold)) - lowest) / BINS


def _first_potentials(model: "SpikingNetwork", c: Constants, rng: np.random.Generator) -> np.ndarray:
    """U at the start: normal, and just below the threshold where it would be above."""
    size = np.asarray(model.size)
    mean = model.reset if model.initial_mean is None else model.initial_mean
    mean = derived.per_population(model, mean) - c.rest
    spread = np.repeat(derived.per_population(model, model.initial_spread), size)
    drawn = rng.standard_normal(int(size.sum())) if np.any(spread > 0.0) else 0.0
    below = np.repeat(c.limit - 1e-9 * (c.limit - c.reset), size)
    return np.minimum(np.repeat(mean, size) + spread * drawn, below)


def at_start(
    model: "SpikingNetwork",
    dt: float,
    rng: Callable[..., np.random.Generator],
    drive: Drive,
    tick: Callable[[], None] = lambda: None,
    places: "space.Places | None" = None,
) -> Network:
    """The network before its first step: no spike on its way, nothing pending, nobody refractory; in its places."""
    rows, law = sort_rows(model), derived.delays(model, dt)
    c, distinct = constants(model, rows, dt)
    populations, neurons, most = len(c.rows), int(c.edge[-1]), rows.kind.shape[1]
    size, slots = np.diff(c.edge), law.shares.shape[2] + 1
    brings = _brings(model, rows)
    links, sprayed = nothing(populations), no_spray()
    if places is not None:
        sprayed = space.annealed(model, places, law.shares, brings)
    if places is not None and model.connectivity != "annealed":
        seed: Any = rng("graph").bit_generator.seed_seq
        links = space.fixed_graph(model, places, law.shares, brings, seed.generate_state(2, np.uint64), tick)
    elif places is None and c.quenched:
        seed: Any = rng("graph").bit_generator.seed_seq
        key = seed.generate_state(2, np.uint64)
        planned, links = wiring(c.edge, connections(model), law.shares, brings, key, rng("shares"))
        links = build(planned, links, most_synapses(c.edge, connections(model)), tick)
    rate = np.max(drive.rate, axis=0) * dt if model.external == "poisson" else np.zeros(populations)
    has = [np.any(np.isin(rows.kind, kinds)) for kinds in ((CURRENT, CONDUCTANCE), (PENDING, RELEASE))]
    return Network(
        c,
        State(
            voltage=_first_potentials(model, c, rng("initial")),
            current=np.zeros((most if has[0] else 0, neurons), np.float32),
            pending=np.zeros((most if has[1] else 0, neurons), np.int32),
            reach=np.zeros((populations, most, 2), np.int64),
            adaptation=np.zeros(neurons if np.any(c.adaptation[:, 0] != 0.0) else 0, np.float32),
            wait=np.zeros(neurons, np.int32),
            fired=np.zeros(neurons, np.int32),
            fired_to=np.zeros(populations + 1, np.int64),
            arriving=np.zeros((most, neurons if c.quenched else 0), np.float32),
            sent=np.empty((slots, neurons) if c.quenched else (1, 0), np.int32),
            sent_to=np.zeros((slots if c.quenched else 1, populations + 1), np.int64),
            history=np.zeros((1 if c.quenched else slots, populations), np.int64),
        ),
        Streams(lanes(rng("noise")), lanes(rng("synapses")), lanes(rng("refractory"))),
        release_rows(distinct, int(size.max())),
        classes(
            size, connections(model), law.shares, brings, (rows.external, c.kick, rate),
            annealed=not c.quenched, constant=len(drive.rate) == 1,
        ),
        links,
        sprayed,
        scratch(most),
        drive,
        Uneven(np.zeros((1, 0), np.float32), np.zeros(0, np.int32)),
    )  # fmt: skip


def _output(model: "SpikingNetwork", c: Constants, steps: np.ndarray, record: tuple[str, ...]) -> Output:
    bins, below, lowest, width = _bins(model)
    counted = model.synapse in ("pending", "release")
    return output_for(c.edge, steps, record, (bins, below, width), c.rest - lowest, counted=counted)


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
    """Run one realisation of the network.

    Args:
        model: A `SpikingNetwork`, scaled to the network's size.
        times: Output times (ms), shape (time,); the network starts at times[0].
        rng: Gives the generator of a named stream.
        record: Any of "spikes", "voltage", "voltage_density".
        tick: Called about every .2 s of CPU time with the fraction done; may raise to stop.
        dt: Step (ms).
        graph: "auto" or "stored".

    Returns:
        `rate` (population, time), Hz: spikes in (times[i-1], times[i]] per neuron and second, 0 at times[0]; with
        pending or release synapses `pending` (population, source, time), mean of H over the target population; on
        request `spike_population`, `spike_neuron` (within its population), `spike_time` (ms), sorted by time;
        `voltage_density` (population, bin, time), fraction of the population per bin, which with
        `refractory_fraction` (population, time) adds up to 1; `voltage` (neuron, time) of the first 10 neurons of
        every population.
    """
    require_possible(model, graph)
    dt, steps = resolve(model, times, record, dt)
    total = int(steps[-1])
    places = None if model.space is None else space.place(model, rng)
    start, of_all = float(times[0]), model if places is None else places.sheet.model
    network = at_start(model, dt, rng, drive_of(of_all, start, total, dt), lambda: tick(0.0), places)
    c = network.constants
    if places is not None and places.sheet.uneven is not None:
        network = network._replace(uneven=space.uneven(model, places, c, start, total, dt))
    out = _output(model, c, steps, record if places is None else (*record, "spikes"))
    counts = None if places is None else space.Counts(places, c.edge, steps)
    sample(c.edge, network.state.wait, network.state.voltage, out)
    heard: list[tuple[np.ndarray, np.ndarray]] = []
    chunk = max(1, _CHUNK // int(c.edge[-1]))
    step, work = 0, np.zeros(4)
    while step < total:
        check_pending(network.state.reach, chunk * int(c.edge[-1]))
        step = advance(*network, out, step, min(step + chunk, total), False, work)
        listed = out.spike_step[: out.cursor[1]], out.spike_neuron[: out.cursor[1]]
        if counts is not None:
            counts.add(*listed)
        if "spikes" in record:
            heard.append((listed[0].copy(), listed[1].copy()))
        out.cursor[1] = 0
        tick(step / total)
    if out.pending.size:
        advance(*network, out, total, total, True, work)
    owner = np.searchsorted(c.edge, out.chosen, side="right") - 1
    out = out._replace(voltage=out.voltage + c.rest[owner, None])
    found = to_arrays(model, times, c.edge, dt, out, heard, record, _bins(model)[2])
    if places is None or counts is None:
        return found
    return found._replace(
        values=dict(found.values) | {"patch_rate": counts.rates(dt)},
        coords=dict(found.coords) | space.describe(places),
    )
