"""The spiking network's steps, in chunks of neurons that stay in the first cache.

One step of length dt, for all neurons (numbers as in docs/spiking.md):

1. The spikes nf_b of the step before arrive, H <- H + Bin(nf_b, p_ab), drawn afresh (annealed) or counted along one
   fixed graph (quenched). During the step R = Bin(H, 1 - exp(-dt/tau)) of the pending spikes are released      (S1).
2. Each acts for its own time: C = sum s min(T, dt)/tau, T exponential of mean tau, is the charge that the pending
   spikes bring in the step. V relaxes exponentially under the charges, the leak and the external drive        (S2).
3. A neuron above threshold spikes, is reset to 0 and waits for a geometric number of steps                      (S3).

State is single precision (V is double where a step is too small for that) and 32-bit integers; every discrete
draw is one 32-bit word against an alias row. tests/systems/spiking/plain_kernel.py has the same law in plain loops.

Source: Chang, Li, Wang, Tao & Xiao 2024 (arXiv 2411.14801), sec. 2; the release within a step is largen's own.
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
from largen.systems.spiking.network.tables import Arrivals, Release, make_arrivals

FIRST, BITS, START, BEFORE = 0, 1, 2, 3
"""Of `Scratch.share`: what every neuron of the population gets for certain; bits of the row of what it gets by chance,
0 for none; where this row starts; largest number of pending spikes before the step."""
MOST, TOTAL = 0, 1
"""Of `State.reach`."""

_LONGEST = 2.0**31 - 1.0
_BLOCK = 32  # neurons that are searched for spikes together
_TOGETHER = 16  # lifetimes whose logarithm is taken together
GENTLE = 0.05
"""Up to this relaxation of V in a step its factors are polynomials, with errors below 1e-5."""


@kernel
def _prepare(c: Constants, s: State, arrivals: Arrivals, share, nf: np.ndarray, a: int) -> None:
    """Prepare what population a gets from each source b in this step, share[b]; nf: spikes of the step before."""
    for b in range(nf.size):
        share[b, FIRST], share[b, BITS], share[b, BEFORE] = 0, 0, s.reach[a, b, MOST]
        if c.probability[a, b] > 0.0 and nf[b] > 0 and not c.quenched:
            share[b, FIRST], share[b, BITS], share[b, START] = make_arrivals(arrivals, a, b, nf[b])
        s.reach[a, b, MOST], s.reach[a, b, TOTAL] = 0, 0


@kernel
def clear(values: np.ndarray, count: int) -> None:
    """Set the first `count` to 0."""
    for i in range(uint64(count)):
        values[i] = 0


@kernel
def draw_releases(release: Release, r: int, most: int, lanes: np.ndarray, k: Scratch, count: int) -> None:
    """Draw k.released[i] from Bin(k.rest[i], q), i < count; most: the largest rest. The rests are used up."""
    digit, rest, high, draw, released = release.digit[r], k.rest, k.high, k.draw, k.released
    beyond, last = most >> digit > 0, release.first.shape[1] - 1
    if beyond:
        clear(released, count)
    while most >> digit > 0:  # the upper digit, again where it does not hold all
        shift, first = int32(digit), release.first[r]
        for i in range(uint64(count)):
            high[i] = min(int32(rest[i] >> shift), int32(last))
            rest[i] -= int32(high[i] << shift)
        fill(lanes, k.lanes, count)
        draw_each(k.words, high, release.high, release.start[r, 1], release.bits[r, 1], draw, k.entry, count)
        for i in range(uint64(count)):
            released[i] += int32(draw[i] + first[uint32(high[i])])
        most -= min(most >> digit, last) << digit
    fill(lanes, k.lanes, count)
    target = draw if beyond else released
    draw_each(k.words, rest, release.low, release.start[r, 0], release.bits[r, 0], target, k.entry, count)
    if beyond:
        for i in range(uint64(count)):
            released[i] += draw[i]


@kernel
def _arrive(pending: np.ndarray, b: int, low: int, count: int, k: Scratch, first: int) -> tuple[int, int]:
    """H <- H + arrived + first, also in k.rest; returns the largest H and the sum (S1)."""
    arrived, rest, certain, start = k.arrived, k.rest, int32(first), uint64(low)
    most, total = int32(0), 0
    for i in range(uint64(count)):
        h = int32(int32(pending[b, start + i] + arrived[i]) + certain)
        pending[b, start + i] = h
        rest[i] = h
        most = max(most, h)
        total += h
    return int(most), int(total)


@kernel
def _add(counted: np.ndarray, b: int, low: int, count: int, arrived: np.ndarray) -> None:
    """Add what arrives at a chunk along the graph."""
    start = uint64(low)
    for i in range(uint64(count)):
        arrived[i] += counted[b, start + i]


@kernel
def _act(pending: np.ndarray, b: int, low: int, count: int, released: np.ndarray, stay, leave, charge) -> None:
    """H <- H - R, and the charge: `stay` by a spike that stays pending, `leave` by one that is released (S1)."""
    start, by_staying, by_leaving = uint64(low), float32(stay), float32(leave)
    for i in range(uint64(count)):
        r = released[i]
        h = int32(pending[b, start + i] - r)
        pending[b, start + i] = h
        charge[i] += by_staying * float32(h) + by_leaving * float32(r)


@kernel
def lifetimes(count: int, q: float, lanes: np.ndarray) -> float:
    """Sum of so many lifetimes in units of tau, each exponential given that it ends within the step (q: the chance)."""
    total = 0.0
    while count > 0:
        product = 1.0
        for _ in range(min(count, _TOGETHER)):
            word = next_word(lanes[0], lanes[1], lanes[2], lanes[3], uint64(0))
            product *= 1.0 - q * ((float(word >> uint64(11)) + 0.5) * 2.0**-53)
        total -= math.log(product)
        count -= _TOGETHER
    return total


@kernel
def spread_charges(released: np.ndarray, count: int, q: float, strength: float, leave: float, lanes, charge) -> None:
    """Give what was released the charges of its own lifetimes in place of their mean (S1)."""
    for i in range(count):
        if released[i] > 0:
            charge[i] += float32(strength * lifetimes(released[i], q, lanes) - leave * released[i])


@kernel
def _move(s: State, low: int, count: int, k: Scratch, kicks: tuple[float, float], leak: float, form: tuple) -> None:
    """V <- V + phi(kappa) (excitation - g(V) inhibition - leak V + drift) + noise, unless refractory (S2).

    kappa is the relaxation of V in the step, by leak and inhibition; phi(x) = (1 - exp(-x))/x, and the noise is
    multiplied by the root of phi(2 kappa). Here kappa is at most GENTLE; see `_move_steep`.

    Args:
        s: State.
        low: First neuron of the chunk.
        count: Its neurons.
        k: Charges and normal numbers.
        kicks: Mean and standard deviation of the external kicks.
        leak: dt/tau_m.
        form: (reversal, 1/(threshold - reversal)).
    """
    voltage, wait, excitation, inhibition, z = s.voltage, s.wait, k.excitation, k.inhibition, k.normal
    drift, noise, loss, start = float32(kicks[0]), float32(kicks[1]), float32(leak), uint64(low)
    reversal, slope = float32(form[0]), float32(form[1])
    one, half, sixth, rest = float32(1.0), float32(0.5), float32(1.0 / 6.0), float32(1.0 / 24.0)
    for i in range(uint64(count)):
        v = float32(voltage[start + i])
        pull = slope * inhibition[i]
        kappa = pull + loss
        phi = one - kappa * (half - sixth * kappa)
        root = phi + rest * kappa * kappa
        change = phi * (excitation[i] + drift + reversal * pull - v * kappa) + root * noise * z[i]
        free = wait[start + i] == int32(0)
        voltage[start + i] += change if free else float32(0.0)
        wait[start + i] -= int32(0) if free else int32(1)


@kernel
def _move_steep(s: State, low: int, count: int, k: Scratch, kicks, leak: float, form: tuple) -> None:
    """As `_move` for any kappa: 1 - exp(-kappa) from an eighth of it by doubling; V never passes its reversal."""
    voltage, wait, excitation, inhibition, z = s.voltage, s.wait, k.excitation, k.inhibition, k.normal
    drift, noise, loss, start = float32(kicks[0]), float32(kicks[1]), float32(leak), uint64(low)
    reversal, slope = float32(form[0]), float32(form[1])
    one, half = float32(1.0), float32(0.5)
    for i in range(uint64(count)):
        v = float32(voltage[start + i])
        pull = slope * inhibition[i]
        kappa = pull + loss
        x = min(float32(0.125) * kappa, float32(3.0))
        square = x * x
        even = one + square * (float32(1.0 / 12.0) + square * (float32(-1.0 / 720.0) + square * float32(1.0 / 30240.0)))
        phi = one / (even + half * x)
        ended = x * phi
        for _ in range(3):
            phi *= one - half * ended
            ended *= float32(2.0) - ended
        phi = min(phi, one / max(kappa, float32(1e-30)))
        root = np.sqrt(max(phi * (one - half * ended), float32(0.0)))
        change = phi * (excitation[i] - (v - reversal) * pull - loss * v + drift) + root * noise * z[i]
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
    integer part of an exponential time. A fixed period between two integer numbers of steps is either, at random, so
    that its mean is right.
    """
    if fixed and (mean == np.floor(mean) or mean >= _LONGEST):
        return int(min(mean, _LONGEST))
    word = next_word(lanes[0], lanes[1], lanes[2], lanes[3], uint64(0))
    u = (float(word >> uint64(11)) + 0.5) * 2.0**-53
    return int(mean + u) if fixed else int(min(-mean * math.log(u), _LONGEST))


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
    form = (c.reversal, 1.0 / (c.threshold - c.reversal))
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
            _prepare(c, s, arrivals, share, nf, a)
            for low in range(c.edge[a], c.edge[a + 1], CHUNK):
                high = min(low + CHUNK, c.edge[a + 1])
                count, steepest = high - low, c.leak[a]
                clear(k.excitation, count)
                clear(k.inhibition, count)
                for b in range(populations):
                    if c.probability[a, b] == 0.0 or share[b, BEFORE] + nf[b] == 0:
                        continue
                    bits = share[b, BITS]
                    if bits > 0:
                        fill(streams.synapses, k.lanes, count)
                        draw_all(k.words, arrivals.rows, share[b, START], bits, k.arrived, k.entry, count)
                    else:
                        clear(k.arrived, count)
                    if c.quenched and nf[b] > 0:
                        _add(graph.arrivals, b, low, count, k.arrived)
                    most, total = _arrive(s.pending, b, low, count, k, share[b, FIRST])
                    reach[a, b, MOST] = max(reach[a, b, MOST], most)
                    reach[a, b, TOTAL] += total
                    if most == 0 or step >= stop:
                        continue
                    draw_releases(release, c.table[a, b], most, streams.synapses, k, count)
                    charge, leave = k.inhibition if c.inhibitory[b] else k.excitation, c.leave[a, b]
                    _act(s.pending, b, low, count, k.released, c.stay[a, b], leave, charge)
                    if c.spread[a, b]:
                        q, strength = c.release[a, b], c.strength[a, b]
                        spread_charges(k.released, count, q, strength, leave, streams.synapses, charge)
                    if c.inhibitory[b]:
                        steepest += form[1] * c.stay[a, b] * most
                if step < stop:
                    if kicks[1] > 0.0:
                        fill(streams.noise, k.lanes, count)
                        normals(k.words, k.normal, count)
                    else:
                        clear(k.normal, count)
                    if steepest <= GENTLE:
                        _move(s, low, count, k, kicks, c.leak[a], form)
                    else:
                        _move_steep(s, low, count, k, kicks, c.leak[a], form)
                    fired = _fire(c, s, a, low, high, fired, streams.refractory)
            s.fired_to[a + 1] = fired

        if out.steps[out.cursor[0] - 1] == step:
            record_pending(s, out)
        if step >= stop:
            return step
        step += 1
        record_spikes(s, out, step)
        if step == out.steps[out.cursor[0]]:
            sample(c.edge, s.wait, s.voltage, out)
    return step
