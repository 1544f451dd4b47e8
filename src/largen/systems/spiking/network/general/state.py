"""What the kernels of the general network read and write, as tuples of arrays.

Potentials are counted from the rest E of their population: U = V - E. What arrives at a neuron is sorted into rows, a
few for each target population, by what they do (`CURRENT` and so on); a row of target a has one kind, one decay time.
"""

from typing import NamedTuple

import numpy as np

from largen.numerics.compiled import inner
from largen.systems.spiking.network.state import Output

CHUNK = 1024
PIECES = 4096
"""Pieces of the lists that are gone through together."""

CURRENT, CONDUCTANCE, KICK, SHRINK, PENDING, RELEASE = 0, 1, 2, 3, 4, 5
"""Kinds of rows: an exponential current; an exponential inhibition times g(V); a jump of V; a factor of V - V_I (the
row holds its logarithm); counts of spikes that are pending, and act while they are or when they are released."""
MOST, TOTAL = 0, 1
"""Of `State.reach`."""
LEAKY, TABULATED = 0, 1
"""How a neuron moves by itself."""


class Constants(NamedTuple):
    """The model as the kernels read it; P populations, C rows at most.

    Attributes:
        edge: Population a has the neurons edge[a] to edge[a + 1] - 1, shape (P + 1,).
        neuron: LEAKY or TABULATED.
        keep: exp(-dt/tau_m), shape (P,); 1 for a tabulated neuron.
        leak: dt/tau_m, shape (P,).
        drive: What a constant drive of 1 per ms brings in a step (ms), shape (P,).
        noise: Variance that white noise of 1 per root ms brings (ms), shape (P,).
        flow: U after a step without input, at flow_from + k flow_by, shape (P, points).
        flow_from: Shape (P,).
        flow_by: Shape (P,).
        rest: E less the potential at the lower edge of bin `Output.bins[1]`, shape (P,).
        reset: Shape (P,).
        limit: Largest U that is no spike, shape (P,).
        reversal: V_I - E, shape (P,).
        slope: 1/(threshold - V_I), shape (P,).
        wait: Refractory period in steps, shape (P,).
        fixed_wait: Whether it is fixed rather than exponential.
        rows: Rows of each target, shape (P,).
        kind: Shape (P, C).
        row_keep: What is left of a channel or of the pending spikes after a step, shape (P, C).
        row_act: What a channel of 1 per ms brings in a step (ms), shape (P, C).
        inhibitory: Whether the row inhibits, shape (P, C).
        stay: Charge of a pending spike in a step in which it stays, shape (P, C).
        leave: Mean charge in a step in which it is released; of a release row its jump, or the logarithm of its factor.
        strength: Shape (P, C).
        spread: Whether the charges of released spikes are drawn one by one, shape (P, C).
        table: Position in the release rows, shape (P, C).
        conductance: Whether inhibition is multiplied by g(V).
        kick_row: Row that external Gaussian kicks join, -1 for V itself, shape (P,).
        kick: Size of one external kick, shape (P,).
        diffuse: Whether external kicks are white noise within the step (no size given), shape (P,).
        gaussian: Whether external kicks are Gaussian.
        adaptation: (step, what is left after a step, what w = 1 takes in a step), shape (P, 3).
        quenched: Whether spikes go from neuron to neuron, along a fixed graph or between annealed patches.
        gentle: Whether a small relaxation may be taken to third order, in single precision.
        dt: Step (ms).
    """

    edge: np.ndarray
    neuron: int
    keep: np.ndarray
    leak: np.ndarray
    drive: np.ndarray
    noise: np.ndarray
    flow: np.ndarray
    flow_from: np.ndarray
    flow_by: np.ndarray
    rest: np.ndarray
    reset: np.ndarray
    limit: np.ndarray
    reversal: np.ndarray
    slope: np.ndarray
    wait: np.ndarray
    fixed_wait: bool
    rows: np.ndarray
    kind: np.ndarray
    row_keep: np.ndarray
    row_act: np.ndarray
    inhibitory: np.ndarray
    stay: np.ndarray
    leave: np.ndarray
    strength: np.ndarray
    spread: np.ndarray
    table: np.ndarray
    conductance: bool
    kick_row: np.ndarray
    kick: np.ndarray
    diffuse: np.ndarray
    gaussian: bool
    adaptation: np.ndarray
    quenched: bool
    gentle: bool
    dt: float


class State(NamedTuple):
    """The network's state, all populations in one row.

    Attributes:
        voltage: U, shape (N,).
        current: Channels, by row, shape (C, N), float32; no rows where there are none.
        pending: Pending spikes, by row, shape (C, N), int32; no rows where there are none.
        reach: Largest and summed number of pending spikes of each row, int64, shape (P, C, 2).
        adaptation: w, shape (N,), float32; or (0,).
        wait: Steps for which a neuron stays refractory, shape (N,), int32.
        fired: The neurons that spiked in the last step, shape (N,), int32.
        fired_to: Those of population b are fired[fired_to[b]:fired_to[b + 1]], shape (P + 1,).
        arriving: What arrives in this step along the fixed graph, by row, float32, shape (C, N).
        sent: The neurons that spiked in the last R steps, a slot for each step, int32, shape (R, N).
        sent_to: Those of population b are sent[slot, sent_to[slot, b]:sent_to[slot, b + 1]], shape (R, P + 1).
        history: Numbers of spikes of the last steps, annealed, int64, shape (R, P).
    """

    voltage: np.ndarray
    current: np.ndarray
    pending: np.ndarray
    reach: np.ndarray
    adaptation: np.ndarray
    wait: np.ndarray
    fired: np.ndarray
    fired_to: np.ndarray
    arriving: np.ndarray
    sent: np.ndarray
    sent_to: np.ndarray
    history: np.ndarray


class Uneven(NamedTuple):
    """What a drive that depends on place adds to the flow; no neuron where it does not.

    Attributes:
        value: Added in a step (unit), by cell, float32, shape (step or 1, cell).
        cell: Cell of every neuron, int32, shape (N,) or (0,).
    """

    value: np.ndarray
    cell: np.ndarray


class Scratch(NamedTuple):
    """Room for one chunk.

    Attributes:
        lanes: Random words, uint64.
        words: The same memory as 32-bit words.
        entry: For `alias.draw_each`.
        rest: H whose release is still to be drawn; int32 like the next four.
        high: Its upper digit.
        draw: A draw.
        released: Spikes released.
        arrived: What arrives, by row, float32, shape (C, CHUNK).
        push: What the flow takes up in the step, float32 like the next four.
        kicks: Jumps at its end.
        pull: Relaxation towards the reversal potential in the step.
        shrink: Logarithm of a factor of V - V_I.
        normal: Standard normal numbers.
        moved: U after the flow, float64.
        first: First synapse of each piece of the lists that acts in this step, int64, shape (PIECES,).
        last: One beyond its last.
        row: Row to which it adds.
        brings: What each of its synapses adds, or a level of it, float32.
        before: Largest number of pending spikes of each row before the step, int64, shape (C,).
    """

    lanes: np.ndarray
    words: np.ndarray
    entry: np.ndarray
    rest: np.ndarray
    high: np.ndarray
    draw: np.ndarray
    released: np.ndarray
    arrived: np.ndarray
    push: np.ndarray
    kicks: np.ndarray
    pull: np.ndarray
    shrink: np.ndarray
    normal: np.ndarray
    moved: np.ndarray
    first: np.ndarray
    last: np.ndarray
    row: np.ndarray
    brings: np.ndarray
    before: np.ndarray


def scratch(rows: int) -> Scratch:
    """Room for one chunk, with so many rows."""
    lanes = np.empty(CHUNK // 2 + 32, np.uint64)
    integers, floats = np.empty((4, CHUNK), np.int32), np.zeros((5, CHUNK + 2), np.float32)
    return Scratch(
        lanes=lanes,
        words=lanes.view(np.uint32),
        entry=np.empty(CHUNK, np.uint32),
        rest=integers[0],
        high=integers[1],
        draw=integers[2],
        released=integers[3],
        arrived=np.zeros((rows, CHUNK), np.float32),
        push=floats[0],
        kicks=floats[1],
        pull=floats[2],
        shrink=floats[3],
        normal=floats[4],
        moved=np.empty(CHUNK),
        first=np.empty(PIECES, np.uint64),
        last=np.empty(PIECES, np.uint64),
        row=np.empty(PIECES, np.int64),
        brings=np.empty(PIECES, np.float32),
        before=np.zeros(rows, np.int64),
    )


@inner
def record_pending(c: Constants, s: State, out: Output, before: bool) -> None:
    """Record the sums of H for the last sample: of pending synapses before the next step, of release ones after it."""
    k, kind = out.cursor[0] - 1, PENDING if before else RELEASE
    for a in range(out.pending.shape[0]):
        for b in range(out.pending.shape[1]):
            if c.kind[a, b] == kind:
                out.pending[a, b, k] = s.reach[a, b, TOTAL]
