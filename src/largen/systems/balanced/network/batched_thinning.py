"""The exact method, a batch of candidates at a time: independent synapses, built-in gains, no intrinsic noise.

The law and the state are those of `thinning`, which also serves the other cases. Random numbers, decays and drives
are computed for a batch of candidates at once. The gain lies between two entries of a table; it is evaluated only
where the uniform height falls between them, so that the acceptance stays exact.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import uint64

from largen.numerics.compiled import kernel
from largen.numerics.exponential_numbers import exponentials, uniforms
from largen.numerics.xoshiro import fill
from largen.systems.balanced.network.state import LOGISTIC, Constants, DriveResponse, Spikes, State, drive_response
from largen.systems.balanced.network.thinning import DONE, FULL, PAUSED

BATCH = 512
KNOTS = 1024
WIDTH = 8.0
"""The table of a gain spans this many units of 1/slope on either side of the threshold."""


class Workspace(NamedTuple):
    """Arrays for a batch of candidates, float64 of shape (BATCH,) unless said otherwise; P populations.

    Attributes:
        words: Random words, uint64, shape (BATCH,).
        time: Times of the candidates.
        height: Uniform heights, as fractions of the gain's bound.
        place: Positions of the sources in the sum of all bounds.
        target: Positions of the targets among all neurons.
        source: Populations of the sources, int64.
        neuron: The sources among all neurons, int64.
        shift: The argument of the source's gain is shift + scale W.
        scale: See `shift`.
        decay: exp(-(t - t0)/tau_a) at the candidates, shape (P, BATCH).
        level: g_a at the candidates, shape (P, BATCH).
        knot: Gains at the knots, as fractions of the bound, shape (P, KNOTS + 1).
        total: Number of neurons times bound, shape (P,).
    """

    words: np.ndarray
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
    total: np.ndarray


def workspace(constants: Constants) -> Workspace:
    """Make the arrays, and tabulate the gains."""
    count = len(constants.leak)
    knot = np.empty((count, KNOTS + 1))
    for b in range(count):
        fill_knots(constants, b, knot[b])
    return Workspace(
        words=np.empty(BATCH, np.uint64),
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
        total=np.zeros(count),
    )


@kernel
def gain_fraction(kind: int, x: float) -> float:
    """A built-in gain as a fraction of its bound at x = slope (z - threshold), by the C library."""
    if kind == LOGISTIC:
        return 1.0 / (1.0 + math.exp(-x))
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


@kernel
def fill_knots(constants: Constants, b: int, knot: np.ndarray) -> None:
    """Tabulate a built-in gain from x = -WIDTH to WIDTH."""
    for i in range(knot.size):
        knot[i] = gain_fraction(constants.kind[b], WIDTH * (2.0 * i / KNOTS - 1.0))


@kernel
def _prepare(constants: Constants, response: DriveResponse, state: State, w: Workspace, count: int) -> None:
    """Decays and drive responses at the times of the candidates."""
    first, span = w.time[0], w.time[count - 1] - w.time[0]
    for a in range(constants.leak.size):
        decay, level, leak = w.decay[a], w.level[a], constants.leak[a]
        start = math.exp(-(first - state.clock[1]) * leak)
        if span > response.step:
            for i in range(count):
                decay[i] = math.exp(-(w.time[i] - state.clock[1]) * leak)
                level[i] = drive_response(response, w.time[i], a)
            continue
        # Within a cell of the grid: a cubic through four points, error 1e-13; the decay's series to x^5, 1e-17.
        p0, p3 = drive_response(response, first, a), drive_response(response, first + span, a)
        p1 = drive_response(response, first + span / 3.0, a)
        p2 = drive_response(response, first + span * (2.0 / 3.0), a)
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
def _sources(constants: Constants, w: Workspace, count: int) -> None:
    """Source of each candidate, by its position in the sum of all bounds, and its gain's argument."""
    below = 0.0
    for b in range(constants.leak.size):
        decay, level, slope, threshold = w.decay[b], w.level[b], constants.slope[b], constants.threshold[b]
        first, last, unit = constants.first[b], constants.first[b + 1] - 1, 1.0 / constants.bound[b]
        for i in range(uint64(count)):
            mine = w.place[i] >= below
            w.source[i] = b if mine else w.source[i]
            w.neuron[i] = min(first + np.int64((w.place[i] - below) * unit), last) if mine else w.neuron[i]
            w.shift[i] = slope * (level[i] - threshold) if mine else w.shift[i]
            w.scale[i] = slope * decay[i] if mine else w.scale[i]
        below += w.total[b]


@kernel
def thin(
    constants: Constants,
    response: DriveResponse,
    state: State,
    w: Workspace,
    end: float,
    budget: int,
    lanes: np.ndarray,
    record: Spikes,
) -> int:
    """Advance exactly to time `end` by thinning, a batch of candidates at a time; see `thinning.thin`.

    Returns:
        DONE, PAUSED or FULL; call again to go on.
    """
    populations, neurons, watching = constants.leak.size, float(constants.first[-1]), record.watched.size > 0
    total = 0.0
    for b in range(populations):
        w.total[b] = (constants.first[b + 1] - constants.first[b]) * constants.bound[b]
        total += w.total[b]
    candidate_rate = total * neurons
    while budget > 0:
        if watching and record.count[0] + BATCH > record.time.size:
            return FULL
        # Few enough candidates to lie within a cell of the grid, and not many more than are left.
        expected = min(0.5 * response.step, end - state.clock[0]) * candidate_rate
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
        time, mean = state.clock[0], 1.0 / candidate_rate
        for i in range(count):
            time += mean * w.time[i]
            w.time[i] = time
        _prepare(constants, response, state, w, count)
        _sources(constants, w, count)
        if _accept(constants, state, w, end, count, record):
            state.clock[0] = end  # the process has no memory: what comes after `end` is drawn anew
            return DONE
        state.clock[0] = time
    return PAUSED


@kernel
def _accept(constants: Constants, state: State, w: Workspace, end: float, count: int, record: Spikes) -> bool:
    """Let the accepted candidates jump; returns whether the end was reached."""
    populations, last = constants.leak.size, constants.first[-1] - 1
    for i in range(count):
        if w.time[i] >= end:
            return True
        b = w.source[i]
        x = w.shift[i] + w.scale[i] * state.own[w.neuron[i]]
        height, knot = w.height[i], (x + WIDTH) * (0.5 * KNOTS / WIDTH)
        if knot >= 0.0 and knot < KNOTS:
            j = int(knot)
            if height >= w.knot[b, j + 1]:
                continue
            if height >= w.knot[b, j] and height >= gain_fraction(constants.kind[b], x):
                continue
        elif height >= gain_fraction(constants.kind[b], x):
            continue
        reached, a = min(int(w.target[i]), last), 0
        for other in range(1, populations):
            a += reached >= constants.first[other]
        state.own[reached] += constants.jump[a, b] / w.decay[a, i]
        if record.watched.size > 0 and record.watched[reached]:
            r = record.count[0]
            record.time[r], record.neuron[r], record.source[r] = w.time[i], reached, b
            record.count[0] += 1
    return False
