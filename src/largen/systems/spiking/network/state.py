"""What the kernels of the spiking network read and write, as tuples of arrays."""

from typing import NamedTuple

import numpy as np

from largen.numerics.compiled import kernel

CHUNK = 1024


class Constants(NamedTuple):
    """The model as the kernels read it.

    Attributes:
        edge: Population a has the neurons edge[a] to edge[a + 1] - 1, shape (P + 1,).
        inhibitory: Shape (P,).
        strength: [target][source].
        stay: Charge of a pending spike in a step in which it stays pending, [target][source].
        leave: Mean charge in a step in which it is released, [target][source].
        spread: Whether the charges of released spikes are drawn one by one, [target][source].
        probability: [target][source].
        release: Probability that a pending spike is released in a step, [target][source].
        table: Position of each such probability in the release rows, [target][source].
        leak: dt/membrane_time, shape (P,).
        kick_external: Size of one external kick: 1, or 1/membrane_time, shape (P,).
        wait: Refractory period in steps, shape (P,).
        fixed_wait: Whether the refractory period is fixed rather than exponential.
        quenched: Whether the graph is fixed.
        threshold: M.
        reversal: V_I.
        dt: Step (ms).
    """

    edge: np.ndarray
    inhibitory: np.ndarray
    strength: np.ndarray
    stay: np.ndarray
    leave: np.ndarray
    spread: np.ndarray
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
        voltage: V, shape (N,), float32 or float64.
        pending: H by source population, without the last step's arrivals, shape (P, N), int32.
        reach: Largest and summed H of each class, the arrivals included, int64, shape (target, source, 2).
        wait: Steps for which a neuron stays refractory, shape (N,), int32.
        fired: The neurons that spiked in the last step, by number, shape (N,), int32.
        fired_to: Those of population b are fired[fired_to[b]:fired_to[b + 1]], shape (P + 1,).
    """

    voltage: np.ndarray
    pending: np.ndarray
    reach: np.ndarray
    wait: np.ndarray
    fired: np.ndarray
    fired_to: np.ndarray


class Streams(NamedTuple):
    """Lanes of random words by purpose."""

    noise: np.ndarray
    synapses: np.ndarray
    refractory: np.ndarray


class Scratch(NamedTuple):
    """Room for one chunk, and for what a population gets in one step.

    Attributes:
        lanes: Random words, uint64.
        words: The same memory as 32-bit words.
        entry: For `alias.draw_each`.
        rest: H whose release is still to be drawn; int32 like the next four.
        high: Its upper digit.
        draw: A draw.
        released: Spikes released.
        arrived: Spikes that arrive.
        excitation: Charge in this step, float32.
        inhibition: The same.
        normal: Standard normal numbers, float32.
        share: What a population gets from each source, int64, shape (P, 4); see `step`.
        nf: Spikes of the step before, int64, shape (P,).
    """

    lanes: np.ndarray
    words: np.ndarray
    entry: np.ndarray
    rest: np.ndarray
    high: np.ndarray
    draw: np.ndarray
    released: np.ndarray
    arrived: np.ndarray
    excitation: np.ndarray
    inhibition: np.ndarray
    normal: np.ndarray
    share: np.ndarray
    nf: np.ndarray


class Output(NamedTuple):
    """What is recorded; arrays of length 0 where nothing is asked for.

    Attributes:
        steps: Steps after which to sample, shape (time,), steps[0] = 0.
        spikes: Spikes since the sample before, shape (P, time), int64.
        pending: Sum of H over the target neurons, shape (target, source, time), int64.
        histogram: Neurons per voltage bin, shape (P, bin, time), int32.
        refractory: Refractory neurons, shape (P, time), int32.
        bins: (width, index of the bin that holds 0) of the histogram.
        shift: What is added to a voltage before it is put into a bin, shape (P,).
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
    shift: np.ndarray
    chosen: np.ndarray
    voltage: np.ndarray
    spike_step: np.ndarray
    spike_neuron: np.ndarray
    cursor: np.ndarray


def scratch(populations: int) -> Scratch:
    """Room for one chunk."""
    lanes = np.empty(CHUNK // 2, np.uint64)
    integers, floats = np.empty((5, CHUNK), np.int32), np.empty((3, CHUNK), np.float32)
    return Scratch(
        lanes=lanes,
        words=lanes.view(np.uint32),
        entry=np.empty(CHUNK, np.uint32),
        rest=integers[0],
        high=integers[1],
        draw=integers[2],
        released=integers[3],
        arrived=integers[4],
        excitation=floats[0],
        inhibition=floats[1],
        normal=floats[2],
        share=np.zeros((populations, 4), np.int64),
        nf=np.zeros(populations, np.int64),
    )


@kernel
def sample(edge: np.ndarray, wait: np.ndarray, voltage: np.ndarray, out: Output) -> None:
    """Record the state after a step that is to be sampled; its pending spikes are recorded apart.

    Args:
        edge: First neuron of each population, and N.
        wait: Steps for which a neuron stays refractory, shape (N,).
        voltage: Shape (N,).
        out: What is recorded.
    """
    k = out.cursor[0]
    if out.histogram.size:
        width, origin = out.bins
        top = out.histogram.shape[1] - 1
        for a in range(edge.size - 1):
            for i in range(edge[a], edge[a + 1]):
                if wait[i] > 0:
                    out.refractory[a, k] += 1
                else:
                    cell = np.floor((voltage[i] + out.shift[a]) / width) + origin
                    out.histogram[a, int(min(max(cell, 0.0), float(top))), k] += 1
    for j in range(out.chosen.size):
        out.voltage[j, k] = voltage[out.chosen[j]]
    out.cursor[0] = k + 1


@kernel
def record_spikes(s: State, out: Output, step: int) -> None:
    """Count the step's spikes and, where asked for, list them."""
    k = out.cursor[0]
    for a in range(out.spikes.shape[0]):
        out.spikes[a, k] += s.fired_to[a + 1] - s.fired_to[a]
    if out.spike_step.size:
        for j in range(s.fired_to[-1]):
            out.spike_step[out.cursor[1]] = step
            out.spike_neuron[out.cursor[1]] = s.fired[j]
            out.cursor[1] += 1


@kernel
def record_pending(s: State, out: Output) -> None:
    """Record the sums of H for the last sample."""
    k = out.cursor[0] - 1
    for a in range(out.pending.shape[0]):
        for b in range(out.pending.shape[1]):
            out.pending[a, b, k] = s.reach[a, b, 1]
