"""One step of the spiking network: the plain numba kernel that reads like the model, and the law's reference.

Source: Chang, Li, Wang, Tao & Xiao 2024 (arXiv 2411.14801), sec. 2. One step of length dt, for all neurons:

1. `_fire`: V moves by the current of the pending spikes of the step before, the leak and the external drive;
   a neuron above threshold spikes, is reset to 0 and waits.
2. `_release`: of H pending spikes Poisson(H dt/tau) are released, H of them at most.
3. `_arrive_*`: every spike of this step reaches each neuron of population a with probability p_ab, which
   makes Bin(nf_b, p_ab) new pending spikes, drawn afresh (annealed) or along one fixed graph (quenched).
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from largen.systems.spiking.tables import DIGITS, GUIDES, Rows, binomial, guide_into, look_up, look_up_row


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
    """Move every voltage by one step and list the spikes; rates: external kicks per ms, shape (P,)."""
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

    Leaving with probability q = 1 - exp(-dt/tau_r) a step, first in the spike step itself, is geometric: the
    whole part of an exponential time. A fixed period is rounded to whole steps, 1 at least.
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
def draw_graph(c: Constants, graph: np.ndarray, first: int, last: int, rng: np.random.Generator) -> None:
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
def sample(c: Constants, s: State, out: Output) -> None:
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
def advance(c: Constants, s: State, rates: np.ndarray, rows: Rows, streams: Streams, out: Output, step: int, stop: int):
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
            sample(c, s, out)
    return step
