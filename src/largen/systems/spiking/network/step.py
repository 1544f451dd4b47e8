"""The spiking network's steps, in chunks of neurons that stay in the first cache.

One step of length dt, for all neurons (numbers as in docs/spiking.md):

1. Of H pending spikes Poisson(H dt/tau) are released, H of them at most; then the spikes nf_b of the step before
   arrive: H' = max(H - Poisson(H dt/tau), 0) + Bin(nf_b, p_ab), drawn afresh (annealed) or counted along one fixed
   graph (quenched)                                                                                             (S1).
2. V moves by the current of the pending spikes, the leak and the external drive:
   V' = V + dt (sum_exc s H'/tau - g(V) sum_inh s H'/tau - V/tau_m) + normal of mean and variance lambda dt       (S2).
3. A neuron above threshold spikes, is reset to 0 and waits for a geometric number of steps                      (S3).

State is single precision (V is double where a step is too small for that) and 32-bit integers; every discrete
draw is one 32-bit word against an alias row. tests/systems/spiking/plain_kernel.py has the same law in plain loops.

Source: Chang, Li, Wang, Tao & Xiao 2024 (arXiv 2411.14801), sec. 2.
"""

import math

import numpy as np
from numba import float32, int32, uint32, uint64

from largen.numerics.alias import draw_all, draw_each
from largen.numerics.compiled import kernel
from largen.numerics.normal_numbers import normals
from largen.numerics.xoshiro import fill, next_word
from largen.systems.spiking.network.graph import Graph, count_arrivals
from largen.systems.spiking.network.state import (
    CHUNK,
    Constants,
    Output,
    Scratch,
    State,
    Streams,
    record_pending,
    record_spikes,
    sample,
)
from largen.systems.spiking.network.tables import HIGH, NEVER, Arrivals, Release, make_arrivals

BASE, FIRST, BITS, START, MOST = 0, 1, 2, 3, 4
"""Of `Scratch.share`: pending spikes of all neurons of the population, released in one draw with the arrivals; what
every neuron gets for certain; bits of the row of what it gets by chance, 0 for none; where this row starts; largest
number of pending spikes before the step."""

_LONGEST = 2.0**31 - 1.0
_BLOCK = 32  # neurons that are searched for spikes together
_SHARED = 4096  # neurons of a population from which on a row is made for what all have pending


@kernel
def _base(c: Constants, s: State, release: Release, a: int, b: int) -> int:
    """Pending spikes that all neurons of population a have from b, 0 where a row for them does not pay."""
    r, size, least, most = c.table[a, b], c.edge[a + 1] - c.edge[a], s.reach[a, b, 0], s.reach[a, b, 1]
    if size < _SHARED or most >> release.digit[r] == 0 or least < release.safe[r]:
        return 0
    # The room for the row holds the law of a release with this mean.
    return min(least, int((c.edge[b + 1] - c.edge[b]) / c.release[a, b]))


@kernel
def _prepare(c: Constants, s: State, release: Release, arrivals: Arrivals, share, nf: np.ndarray, a: int) -> None:
    """Prepare what population a gets from each source b in this step, share[b]; nf: spikes of the step before."""
    for b in range(nf.size):
        base = _base(c, s, release, a, b)
        spikes = 0 if c.quenched else nf[b]
        share[b, BASE], share[b, FIRST], share[b, BITS], share[b, MOST] = base, 0, 0, s.reach[a, b, 1]
        if c.probability[a, b] > 0.0 and spikes + base > 0:
            first, bits, start = make_arrivals(arrivals, a, b, spikes, base * c.release[a, b])
            share[b, FIRST], share[b, BITS], share[b, START] = first, bits, start
        s.reach[a, b, 0], s.reach[a, b, 1], s.reach[a, b, 2] = NEVER, 0, 0


@kernel
def _clear(values: np.ndarray, count: int) -> None:
    for i in range(uint64(count)):
        values[i] = 0


@kernel
def _release(release: Release, r: int, most: int, lanes: np.ndarray, k: Scratch, count: int) -> None:
    """Draw k.released[i] from Poisson(k.rest[i] dt/tau), i < count; most: the largest rest. The rests are used up."""
    digit, rest, high, draw, released = release.digit[r], k.rest, k.high, k.draw, k.released
    if most >> digit == 0:
        fill(lanes, k.lanes, count)
        draw_each(k.words, rest, release.low, release.start[r, 0], release.bits[r, 0], released, k.entry, count)
        return
    _clear(released, count)
    while most >> digit > 0:  # the upper digit, again where it does not hold all
        shift, first = int32(digit), release.first[r]
        for i in range(uint64(count)):
            high[i] = min(int32(rest[i] >> shift), int32(HIGH - 1))
            rest[i] -= int32(high[i] << shift)
        fill(lanes, k.lanes, count)
        draw_each(k.words, high, release.high, release.start[r, 1], release.bits[r, 1], draw, k.entry, count)
        for i in range(uint64(count)):
            released[i] += int32(draw[i] + first[uint32(high[i])])
        most -= min(most >> digit, HIGH - 1) << digit
    fill(lanes, k.lanes, count)
    draw_each(k.words, rest, release.low, release.start[r, 0], release.bits[r, 0], draw, k.entry, count)
    for i in range(uint64(count)):
        released[i] += draw[i]


@kernel
def _subtract(pending: np.ndarray, b: int, low: int, count: int, base: int, rest: np.ndarray) -> None:
    """What a chunk has pending from b beyond the base."""
    all_have, start = int32(base), uint64(low)
    for i in range(uint64(count)):
        rest[i] = int32(pending[b, start + i] - all_have)


@kernel
def _add(counted: np.ndarray, b: int, low: int, count: int, arrived: np.ndarray) -> None:
    """Add what arrives at a chunk along the graph."""
    start = uint64(low)
    for i in range(uint64(count)):
        arrived[i] += counted[b, start + i]


@kernel
def _update(
    pending: np.ndarray,
    b: int,
    low: int,
    count: int,
    k: Scratch,
    first: int,
    kick: float,
    current: np.ndarray,
) -> tuple[int, int, int]:
    """H = max(H - released, 0) + arrived + first (S1), and its current; returns least, most and sum of H."""
    released, arrived, start = k.released, k.arrived, uint64(low)
    certain, strength = int32(first), float32(kick)
    least, most, total = int32(2**31 - 1), int32(0), 0
    for i in range(uint64(count)):
        h = int32(max(int32(pending[b, start + i] - released[i]), int32(0)))
        h = int32(max(int32(h + arrived[i] + certain), int32(0)))
        pending[b, start + i] = h
        current[i] += strength * float32(h)
        least, most = min(least, h), max(most, h)
        total += h
    return int(least), int(most), int(total)


@kernel
def _move(s: State, low: int, count: int, k: Scratch, kicks: tuple[float, float], leak: float, form: tuple) -> None:
    """V += dt (excitation - g(V) inhibition) - leak V + external kicks (S2), unless the neuron is refractory.

    Args:
        s: State.
        low: First neuron of the chunk.
        count: Its neurons.
        k: Currents and normal numbers.
        kicks: Mean and standard deviation of the external kicks.
        leak: dt/tau_m.
        form: (dt, reversal, 1/(threshold - reversal)).
    """
    voltage, wait, excitation, inhibition, z = s.voltage, s.wait, k.excitation, k.inhibition, k.normal
    drift, noise, loss, start = float32(kicks[0]), float32(kicks[1]), float32(leak), uint64(low)
    dt, reversal, slope = float32(form[0]), float32(form[1]), float32(form[2])
    for i in range(uint64(count)):
        v = float32(voltage[start + i])
        g = (v - reversal) * slope
        change = dt * (excitation[i] - g * inhibition[i]) - loss * v + (drift + noise * z[i])
        free = wait[start + i] == int32(0)
        voltage[start + i] += change if free else float32(0.0)
        wait[start + i] -= int32(0) if free else int32(1)


@kernel
def _fire(c: Constants, s: State, a: int, low: int, high: int, fired: int, lanes: np.ndarray) -> int:
    """List the neurons low..high - 1 above threshold, reset them and let them wait; returns the spikes listed."""
    voltage, threshold = s.voltage, s.voltage.dtype.type(c.threshold)
    for start in range(low, high, _BLOCK):
        first, above = uint64(start), int32(0)
        for i in range(uint64(min(_BLOCK, high - start))):
            above += int32(voltage[first + i] > threshold)
        if above > 0:
            for i in range(start, min(start + _BLOCK, high)):
                if voltage[i] > threshold:
                    voltage[i] = 0.0
                    s.wait[i] = refractory_steps(c.wait[a], c.fixed_wait, lanes)
                    s.fired[fired] = i
                    fired += 1
    return fired


@kernel
def refractory_steps(mean: float, fixed: bool, lanes: np.ndarray) -> int:
    """Steps that a neuron misses after its spike (S3).

    Leaving with probability q = 1 - exp(-dt/tau_r) a step, first in the spike step itself, is geometric: the
    integer part of an exponential time. A fixed period is rounded to an integer number of steps, 1 at least.
    """
    if fixed:
        return int(min(max(np.rint(mean), 1.0), _LONGEST))
    word = next_word(lanes[0], lanes[1], lanes[2], lanes[3], uint64(0))
    return int(min(-mean * math.log((float(word >> uint64(11)) + 0.5) * 2.0**-53), _LONGEST))


@kernel
def advance(
    c: Constants, s: State, streams: Streams, release: Release, arrivals: Arrivals, graph: Graph, k: Scratch,
    drive: np.ndarray, out: Output, step: int, stop: int, last: bool,
) -> int:  # fmt: skip
    """Take the steps step + 1..stop, fewer if the space for spikes runs out; returns the last step taken.

    Args:
        c: The model; likewise the other tuples.
        s: State.
        streams: Random numbers.
        release: Rows of the releases.
        arrivals: Rows of the arrivals.
        graph: The fixed graph.
        k: Room for a chunk.
        drive: External kicks per ms, shape (steps, P), or (1, P) for a constant.
        out: What is recorded.
        step: Step that was taken last.
        stop: Step to reach.
        last: Whether to let the last step's spikes arrive, which ends the run.
    """
    populations, nf, share, reach = c.inhibitory.size, k.nf, k.share, s.reach
    form = (c.dt, c.reversal, 1.0 / (c.threshold - c.reversal))
    while step < stop or last:
        if out.spike_step.size and out.spike_step.size - out.cursor[1] < s.voltage.size:
            return step
        for b in range(populations):
            nf[b] = s.fired_to[b + 1] - s.fired_to[b]
            if c.quenched and nf[b] > 0:
                count_arrivals(graph, s.fired[s.fired_to[b] : s.fired_to[b + 1]], b)

        fired = 0
        for a in range(populations):
            rate = drive[min(step, drive.shape[0] - 1), a]
            kicks = (rate * c.dt * c.kick_external[a], np.sqrt(rate * c.dt) * c.kick_external[a])
            _prepare(c, s, release, arrivals, share, nf, a)
            for low in range(c.edge[a], c.edge[a + 1], CHUNK):
                high = min(low + CHUNK, c.edge[a + 1])
                count = high - low
                _clear(k.excitation, count)
                _clear(k.inhibition, count)
                for b in range(populations):
                    base, most, bits = share[b, BASE], share[b, MOST], share[b, BITS]
                    if c.probability[a, b] == 0.0 or most + nf[b] == 0:
                        reach[a, b, 0] = 0
                        continue
                    _subtract(s.pending, b, low, count, base, k.rest)
                    if most > base:
                        _release(release, c.table[a, b], most - base, streams.synapses, k, count)
                    else:
                        _clear(k.released, count)
                    if bits > 0:
                        fill(streams.synapses, k.lanes, count)
                        draw_all(k.words, arrivals.rows, share[b, START], bits, k.arrived, k.entry, count)
                    else:
                        _clear(k.arrived, count)
                    if c.quenched and nf[b] > 0:
                        _add(graph.arrivals, b, low, count, k.arrived)
                    first, strength = share[b, FIRST], c.kick[a, b]
                    if c.inhibitory[b]:
                        extent = _update(s.pending, b, low, count, k, first, strength, k.inhibition)
                    else:
                        extent = _update(s.pending, b, low, count, k, first, strength, k.excitation)
                    reach[a, b, 0] = min(reach[a, b, 0], extent[0])
                    reach[a, b, 1] = max(reach[a, b, 1], extent[1])
                    reach[a, b, 2] += extent[2]
                if step < stop:
                    if kicks[1] > 0.0:
                        fill(streams.noise, k.lanes, count)
                        normals(k.words, k.normal, count)
                    else:
                        _clear(k.normal, count)
                    _move(s, low, count, k, kicks, c.leak[a], form)
                    fired = _fire(c, s, a, low, high, fired, streams.refractory)
            s.fired_to[a + 1] = fired

        if out.steps[out.cursor[0] - 1] == step:
            record_pending(s, out)
        if step >= stop:
            return step
        step += 1
        record_spikes(s, out, step)
        if step == out.steps[out.cursor[0]]:
            sample(c, s, out)
    return step
