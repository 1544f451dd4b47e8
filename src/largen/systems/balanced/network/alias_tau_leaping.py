"""Tau-leaping where all targets draw their counts from alias tables: independent synapses, built-in gains, no noise.

The step and its law are those of `tau_leaping` (eq. B15 of docs/balanced.md), which also serves the other cases. In
one step the counts N_ab of all targets have one Poisson distribution per source population, so that it is tabulated
once (Walker's alias method, `numerics.alias`) and each count costs one look-up.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import uint64

from largen.numerics.alias import Law, bits_for, draw_all, fill_row, law, poisson, to_integers
from largen.numerics.compiled import entry, inlined, part
from largen.numerics.elementary import exp
from largen.numerics.normal_distribution import normal_pair
from largen.numerics.xoshiro import fill
from largen.systems.balanced.network.state import LOGISTIC, Constants, DriveResponse, drive_response

CHUNK = 1024
_SUMS = 16


class Workspace(NamedTuple):
    """Arrays for a chunk of neurons, shape (CHUNK,) unless said otherwise; P populations.

    Attributes:
        words: Random words, uint64.
        halves: The same memory as 32-bit words, shape (2 CHUNK,).
        entry: For `alias.draw_all`, uint32.
        draw: Numbers of spikes that the neurons receive, int32.
        jumps: What they add up to.
        rate: Gains of the chunk.
        sums: Partial sums, shape (16,).
        rows: Alias rows of the Poisson laws of a step, uint32, shape (P, column).
        bits: Their bits, and smallest values, int64, shape (P, 2).
        law: Workspace for making them.
        total: sum_k f_b(Z_b^k), shape (P,).
    """

    words: np.ndarray
    halves: np.ndarray
    entry: np.ndarray
    draw: np.ndarray
    jumps: np.ndarray
    rate: np.ndarray
    sums: np.ndarray
    rows: np.ndarray
    bits: np.ndarray
    law: Law
    total: np.ndarray


def workspace(constants: Constants, largest_mean: float) -> Workspace:
    """Make the arrays; largest_mean: the largest mean number of spikes of a population in a step."""
    count = len(constants.leak)
    words = np.empty(CHUNK, np.uint64)
    columns = 1 << bits_for(int(64 + 13 * math.sqrt(largest_mean)))
    return Workspace(
        words=words,
        halves=words.view(np.uint32),
        entry=np.empty(CHUNK, np.uint32),
        draw=np.empty(CHUNK, np.int32),
        jumps=np.zeros(CHUNK),
        rate=np.zeros(CHUNK),
        sums=np.zeros(_SUMS),
        rows=np.empty((count, columns), np.uint32),
        bits=np.zeros((count, 2), np.int64),
        law=law(largest_mean),
        total=np.zeros(count),
    )


@inlined
def gain_fraction(kind: int, x: float) -> float:
    """A built-in gain as a fraction of its bound at x = slope (z - threshold), by vector instructions, to 1e-15."""
    if kind == LOGISTIC:
        small = exp(-min(abs(x), 700.0))
        part = small / (1.0 + small)
        return 1.0 - part if x > 0.0 else part
    return normal_pair(x)[0]


@part
def _add_jumps(draw: np.ndarray, first: int, jump: float, jumps: np.ndarray, count: int) -> None:
    for i in range(uint64(count)):
        jumps[i] += jump * (draw[i] + first)


@part
def _step(z: np.ndarray, low: int, count: int, w: Workspace, step: tuple, gain: tuple) -> float:
    """Z = kept Z + pushed + share jumps for a chunk; returns the sum of f afterwards.

    Args:
        z: States of all neurons, shape (N,).
        low: First neuron of the chunk.
        count: Its neurons.
        w: Sums of its jumps, set to 0.
        step: (kept, pushed, share).
        gain: (kind, bound, slope, threshold).
    """
    kept, pushed, share = step
    kind, bound, slope, threshold = gain
    start, jumps, rate, sums = uint64(low), w.jumps, w.rate, w.sums
    for i in range(uint64(count)):  # one pass, so that loads from memory overlap with computing the gain
        x = kept * z[start + i] + pushed + share * jumps[i]
        z[start + i], jumps[i] = x, 0.0
        rate[i] = gain_fraction(kind, slope * (x - threshold))
    for i in range(count, (count + _SUMS - 1) // _SUMS * _SUMS):
        rate[i] = 0.0
    for j in range(uint64(_SUMS)):
        sums[j] = 0.0
    for first in range(0, count, _SUMS):  # sixteen sums side by side: a fixed order that vector instructions can take
        block = rate[first : first + _SUMS]
        for j in range(uint64(_SUMS)):
            sums[j] += block[j]
    total = 0.0
    for j in range(_SUMS):
        total += sums[j]
    return bound * total


@entry
def leaps(
    constants: Constants, response: DriveResponse, z: np.ndarray, past: np.ndarray, w: Workspace,
    start: float, dt: float, step: int, end: int, lanes: np.ndarray,
) -> int:  # fmt: skip
    """Steps `step` to `end` - 1 of length dt after `start`; see `tau_leaping.leap` for the arguments.

    `w.total` holds the sums of f over the populations.
    """
    populations = constants.leak.size
    while step < end:
        time = start + step * dt
        ahead = 0.5 * dt / past[populations] if past[populations] > 0.0 else 0.0
        for b in range(populations):
            total, change = w.total[b], 1.0
            if total > 0.0:
                change = max(1.0 + ahead * (total - past[b]) / total, 0.0)
            past[b] = total
            poisson(w.law, dt * total * change)
            to_integers(w.law)
            w.bits[b, 0], w.bits[b, 1] = bits_for(w.law.extent[1]), w.law.extent[0]
            fill_row(w.law, w.law.extent[0], w.rows[b], w.bits[b, 0])
        past[populations] = dt
        for a in range(populations):
            kept = math.exp(-dt * constants.leak[a])
            pushed = drive_response(response, time + dt, a) - kept * drive_response(response, time, a)
            share = (1.0 - kept) / (dt * constants.leak[a])
            gain = (constants.kind[a], constants.bound[a], constants.slope[a], constants.threshold[a])
            w.total[a] = 0.0
            for low in range(constants.first[a], constants.first[a + 1], CHUNK):
                count = min(CHUNK, constants.first[a + 1] - low)
                for b in range(populations):
                    fill(lanes, w.words, count)
                    draw_all(w.halves, w.rows[b], 0, w.bits[b, 0], w.draw, w.entry, count)
                    _add_jumps(w.draw, w.bits[b, 1], constants.jump[a, b], w.jumps, count)
                w.total[a] += _step(z, low, count, w, (kept, pushed, share), gain)
        step += 1
    return step
