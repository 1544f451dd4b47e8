"""The balanced network's usual case at speed: independent synapses, built-in gains, no intrinsic noise.

The law and the state are those of `kernels`, whose plain loops serve the other cases and are the reference. Exact:
random numbers, decays and drives are computed for a batch of candidates at once; f lies between two knots of a
table, and is evaluated only where the uniform height falls between them, so that the acceptance stays exact.
Tau-leaping: all targets draw from one alias row per population and step.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import uint64

from largen.numerics.alias import Law, bits_for, draw_all, fill_row, law, poisson, to_whole
from largen.numerics.compiled import entry, inlined, kernel, part
from largen.numerics.erf import normal_pair
from largen.numerics.exponential import exp, exponentials, uniforms
from largen.numerics.lanes import fill
from largen.systems.balanced.kernels import DONE, FULL, LOGISTIC, PAUSED, Circuit, Response, Spikes, State, response

BATCH = 512
CHUNK = 1024
KNOTS = 1024
_PARTS = 16
_WIDTH = 8.0  # the knots span so many units of 1/slope on either side of the threshold


class Work(NamedTuple):
    """Room for a batch of candidates and for a chunk of neurons.

    Attributes:
        words: Random words, uint64, shape (CHUNK,).
        narrow: The same memory as 32-bit words.
        time: Times of the candidates.
        height: Heights, as fractions of the gain's bound.
        place: Positions of the sources in the sum of all bounds.
        target: Positions of the targets among all neurons.
        source: Populations of the sources, int64.
        neuron: The sources, int64.
        shift: Argument of the source's gain is shift + scale W.
        scale: See `shift`.
        decay: exp(-(t - t0)/tau_a) at the candidates, shape (P, BATCH).
        level: Response to drive and input at the candidates, shape (P, BATCH).
        knot: Gains at the knots, as fractions of the bound, shape (P, KNOTS + 1).
        entry: For `alias.draw_all`.
        draw: Numbers of spikes that a chunk receives, int32.
        jumps: What they add up to.
        rate: Gains of the chunk.
        parts: Sixteen partial sums.
        rows: Alias rows of the Poisson laws of a step, shape (P, columns), uint32.
        bits: Their bits, and smallest values, int64, shape (P, 2).
        law: Room for making them.
        total: Sums over the populations, shape (P,).
    """

    words: np.ndarray
    narrow: np.ndarray
    time: np.ndarray
    height: np.ndarray
    place: np.ndarray
    target: np.ndarray
    source: np.ndarray
    neuron: np.ndarray
    shift: np.ndarray
    scale: np.ndarray
    decay: np.ndarray
    level: np.ndarray
    knot: np.ndarray
    entry: np.ndarray
    draw: np.ndarray
    jumps: np.ndarray
    rate: np.ndarray
    parts: np.ndarray
    rows: np.ndarray
    bits: np.ndarray
    law: Law
    total: np.ndarray


def work(circuit: Circuit, largest_mean: float) -> Work:
    """Make room; largest_mean: the largest mean number of spikes in a step of tau-leaping, 0 without steps."""
    count = len(circuit.leak)
    words = np.empty(CHUNK, np.uint64)
    knot = np.empty((count, KNOTS + 1))
    for b in range(count):
        fill_knots(circuit, b, knot[b])
    columns = 1 << bits_for(int(64 + 13 * math.sqrt(largest_mean)))
    return Work(
        words=words,
        narrow=words.view(np.uint32),
        time=np.empty(BATCH),
        height=np.empty(BATCH),
        place=np.empty(BATCH),
        target=np.empty(BATCH),
        source=np.empty(BATCH, np.int64),
        neuron=np.empty(BATCH, np.int64),
        shift=np.empty(BATCH),
        scale=np.empty(BATCH),
        decay=np.empty((count, BATCH)),
        level=np.empty((count, BATCH)),
        knot=knot,
        entry=np.empty(CHUNK, np.uint32),
        draw=np.empty(CHUNK, np.int32),
        jumps=np.zeros(CHUNK),
        rate=np.zeros(CHUNK),
        parts=np.zeros(_PARTS),
        rows=np.empty((count, columns), np.uint32),
        bits=np.zeros((count, 2), np.int64),
        law=law(largest_mean),
        total=np.zeros(count),
    )


@inlined
def fraction(kind: int, x: float) -> float:
    """Gain as a fraction of its bound at x = slope (z - threshold), by vector instructions; absolute error 1e-15."""
    if kind == LOGISTIC:
        small = exp(-min(abs(x), 700.0))
        part = small / (1.0 + small)
        return 1.0 - part if x > 0.0 else part
    return normal_pair(x)[0]


@kernel
def _exact_fraction(kind: int, x: float) -> float:
    """The same by the C library."""
    if kind == LOGISTIC:
        return 1.0 / (1.0 + math.exp(-x))
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


@kernel
def fill_knots(circuit: Circuit, b: int, knot: np.ndarray) -> None:
    """Tabulate a built-in gain from x = -_WIDTH to _WIDTH."""
    for i in range(knot.size):
        knot[i] = _exact_fraction(circuit.kind[b], _WIDTH * (2.0 * i / KNOTS - 1.0))


@kernel
def _prepare(circuit: Circuit, curve: Response, state: State, w: Work, count: int) -> None:
    """Decays and responses at the times of the candidates."""
    first, span = w.time[0], w.time[count - 1] - w.time[0]
    for a in range(circuit.leak.size):
        decay, level, leak = w.decay[a], w.level[a], circuit.leak[a]
        start = math.exp(-(first - state.clock[1]) * leak)
        if span > curve.step:
            for i in range(count):
                decay[i] = math.exp(-(w.time[i] - state.clock[1]) * leak)
                level[i] = response(curve, w.time[i], a)
            continue
        # Within a cell of the curve: a cubic through four points, error 1e-13; the decay's series to x^5, 1e-17.
        p0, p3 = response(curve, first, a), response(curve, first + span, a)
        p1, p2 = response(curve, first + span / 3.0, a), response(curve, first + span * (2.0 / 3.0), a)
        c1 = -5.5 * p0 + 9.0 * p1 - 4.5 * p2 + p3
        c2 = 9.0 * p0 - 22.5 * p1 + 18.0 * p2 - 4.5 * p3
        c3 = -4.5 * p0 + 13.5 * p1 - 13.5 * p2 + 4.5 * p3
        unit = 1.0 / span if span > 0.0 else 0.0
        for i in range(uint64(count)):
            passed = w.time[i] - first
            x, s = passed * leak, passed * unit
            decay[i] = start * (1.0 - x * (1.0 - x * (0.5 - x * (1.0 / 6.0 - x * (1.0 / 24.0 - x * (1.0 / 120.0))))))
            level[i] = p0 + s * (c1 + s * (c2 + s * c3))


@kernel
def _sources(circuit: Circuit, w: Work, count: int) -> None:
    """Source of each candidate, by its position in the sum of all bounds, and its gain's argument."""
    below = 0.0
    for b in range(circuit.leak.size):
        decay, level, slope, threshold = w.decay[b], w.level[b], circuit.slope[b], circuit.threshold[b]
        first, last, unit = circuit.first[b], circuit.first[b + 1] - 1, 1.0 / circuit.bound[b]
        for i in range(uint64(count)):
            mine = w.place[i] >= below
            w.source[i] = b if mine else w.source[i]
            w.neuron[i] = min(first + np.int64((w.place[i] - below) * unit), last) if mine else w.neuron[i]
            w.shift[i] = slope * (level[i] - threshold) if mine else w.shift[i]
            w.scale[i] = slope * decay[i] if mine else w.scale[i]
        below += w.total[b]


@kernel
def thin(
    circuit: Circuit, curve: Response, state: State, w: Work, end: float, budget: int, lanes: np.ndarray, record: Spikes
) -> int:
    """Advance exactly to time `end` by thinning, a batch of candidates at a time; see `kernels.thin`.

    Returns:
        DONE, PAUSED or FULL; call again to go on.
    """
    populations, neurons, watching = circuit.leak.size, float(circuit.first[-1]), record.watched.size > 0
    total = 0.0
    for b in range(populations):
        w.total[b] = (circuit.first[b + 1] - circuit.first[b]) * circuit.bound[b]
        total += w.total[b]
    pace = total * neurons
    while budget > 0:
        if watching and record.count[0] + BATCH > record.time.size:
            return FULL
        # Few enough candidates to lie within a cell of the curve, and not many more than are left.
        expected = min(0.5 * curve.step, end - state.clock[0]) * pace
        count = int(min(max(expected + 3.0 * math.sqrt(expected), 16.0), float(BATCH)))
        budget -= count
        fill(lanes, w.words, 2 * count)
        exponentials(w.words, w.time, count)
        fill(lanes, w.words, 2 * count)
        uniforms(w.words, 1.0, w.height, count)
        fill(lanes, w.words, 2 * count)
        uniforms(w.words, total, w.place, count)
        fill(lanes, w.words, 2 * count)
        uniforms(w.words, neurons, w.target, count)
        time, mean = state.clock[0], 1.0 / pace
        for i in range(count):
            time += mean * w.time[i]
            w.time[i] = time
        _prepare(circuit, curve, state, w, count)
        _sources(circuit, w, count)
        if _accept(circuit, state, w, end, count, record):
            state.clock[0] = end  # the process has no memory: what comes after `end` is drawn anew
            return DONE
        state.clock[0] = time
    return PAUSED


@kernel
def _accept(circuit: Circuit, state: State, w: Work, end: float, count: int, record: Spikes) -> bool:
    """Let the accepted candidates jump; returns whether the end was reached."""
    populations, last = circuit.leak.size, circuit.first[-1] - 1
    for i in range(count):
        if w.time[i] >= end:
            return True
        b = w.source[i]
        x = w.shift[i] + w.scale[i] * state.own[w.neuron[i]]
        height, knot = w.height[i], (x + _WIDTH) * (0.5 * KNOTS / _WIDTH)
        if knot >= 0.0 and knot < KNOTS:
            j = int(knot)
            if height >= w.knot[b, j + 1]:
                continue
            if height >= w.knot[b, j] and height >= _exact_fraction(circuit.kind[b], x):
                continue
        elif height >= _exact_fraction(circuit.kind[b], x):
            continue
        reached, a = min(int(w.target[i]), last), 0
        for other in range(1, populations):
            a += reached >= circuit.first[other]
        state.own[reached] += circuit.jump[a, b] / w.decay[a, i]
        if record.watched.size > 0 and record.watched[reached]:
            r = record.count[0]
            record.time[r], record.neuron[r], record.source[r] = w.time[i], reached, b
            record.count[0] += 1
    return False


@part
def _add_jumps(draw: np.ndarray, first: int, jump: float, jumps: np.ndarray, count: int) -> None:
    for i in range(uint64(count)):
        jumps[i] += jump * (draw[i] + first)


@part
def _step(z: np.ndarray, low: int, count: int, w: Work, step: tuple, gain: tuple) -> float:
    """Z = kept Z + pushed + share jumps for a chunk; returns the sum of f afterwards.

    Args:
        z: States of all neurons.
        low: First neuron of the chunk.
        count: Its neurons.
        w: Sums of its jumps, set to 0.
        step: (kept, pushed, share).
        gain: (kind, bound, slope, threshold).
    """
    kept, pushed, share = step
    kind, bound, slope, threshold = gain
    start, jumps, rate, parts = uint64(low), w.jumps, w.rate, w.parts
    for i in range(uint64(count)):  # one pass, so that what comes from memory hides behind the gain
        x = kept * z[start + i] + pushed + share * jumps[i]
        z[start + i], jumps[i] = x, 0.0
        rate[i] = fraction(kind, slope * (x - threshold))
    for i in range(count, (count + _PARTS - 1) // _PARTS * _PARTS):
        rate[i] = 0.0
    for j in range(uint64(_PARTS)):
        parts[j] = 0.0
    for first in range(0, count, _PARTS):  # a sum that vector instructions can take, in an order of its own
        block = rate[first : first + _PARTS]
        for j in range(uint64(_PARTS)):
            parts[j] += block[j]
    total = 0.0
    for j in range(_PARTS):
        total += parts[j]
    return bound * total


@entry
def leaps(
    circuit: Circuit, curve: Response, z: np.ndarray, past: np.ndarray, w: Work,
    start: float, dt: float, step: int, end: int, lanes: np.ndarray,
) -> int:  # fmt: skip
    """Steps `step` to `end` - 1 of length dt after `start`; see `kernels.leap`, of which this is the usual case.

    `w.total` holds the sums of f over the populations.
    """
    populations = circuit.leak.size
    while step < end:
        time = start + step * dt
        ahead = 0.5 * dt / past[populations] if past[populations] > 0.0 else 0.0
        for b in range(populations):
            total, change = w.total[b], 1.0
            if total > 0.0:
                change = max(1.0 + ahead * (total - past[b]) / total, 0.0)
            past[b] = total
            poisson(w.law, dt * total * change)
            to_whole(w.law)
            w.bits[b, 0], w.bits[b, 1] = bits_for(w.law.extent[1]), w.law.extent[0]
            fill_row(w.law, w.law.extent[0], w.rows[b], w.bits[b, 0])
        past[populations] = dt
        for a in range(populations):
            kept = math.exp(-dt * circuit.leak[a])
            pushed = response(curve, time + dt, a) - kept * response(curve, time, a)
            share = (1.0 - kept) / (dt * circuit.leak[a])
            gain = (circuit.kind[a], circuit.bound[a], circuit.slope[a], circuit.threshold[a])
            w.total[a] = 0.0
            for low in range(circuit.first[a], circuit.first[a + 1], CHUNK):
                count = min(CHUNK, circuit.first[a + 1] - low)
                for b in range(populations):
                    fill(lanes, w.words, count)
                    draw_all(w.narrow, w.rows[b], 0, w.bits[b, 0], w.draw, w.entry, count)
                    _add_jumps(w.draw, w.bits[b, 1], circuit.jump[a, b], w.jumps, count)
                w.total[a] += _step(z, low, count, w, (kept, pushed, share), gain)
        step += 1
    return step
