"""Annealed spikes between patches: every spike draws its targets anew, at the cost of the targets that it reaches.

A spike of kind b in patch y reaches each neuron of kind a in patch x with the probability P_ab(x - y), by itself. The
offsets of a pair of kinds are sorted into bands in which the probabilities differ by a factor of two at most. The
neurons of a band's patches, for all spikes of the step one after another, form one long list, a neuron for each stretch
of length 1, and marks fall onto it as a Poisson process of rate -log(1 - P), P the band's largest probability. A neuron
is reached if a mark falls into the first part of its stretch, of length log(1 - P_ab)/log(1 - P): that has the
probability P_ab. So the draws skip from mark to mark, and each takes one exponential number. Source of the skipping:
L. Devroye, Non-Uniform Random Variate Generation (1986), X.2.
"""

from typing import NamedTuple

import numpy as np
from numba import float32

from largen.numerics.compiled import inner
from largen.numerics.exponential_numbers import exponentials
from largen.numerics.xoshiro import fill
from largen.systems.spiking.network.general.state import State

_BAND = 0.5
"""Smallest probability of a band over its largest."""
_BLOCK = 256
"""Exponential numbers drawn at a time."""


class Spray(NamedTuple):
    """Where annealed spikes go; M patches, B bands.

    Attributes:
        shape: Patches along both axes, int64, shape (2,); (0, 0) without annealed patches.
        edge: First neuron of every patch of every kind, shape (A, M + 1).
        source: Source kind of a band, shape (B,).
        target: Target kind, shape (B,).
        delay: Steps after which its spikes act, shape (B,).
        row: Row of what arrives, shape (B,).
        brings: What a spike adds there, float32, shape (B,).
        gap: Mean distance of marks, -1/log(1 - largest probability), shape (B,); 0 where that is 1.
        first: First offset of each band, shape (B + 1,).
        offset0: Offset along the first axis, shape (offsets,).
        offset1: Offset along the second axis.
        part: Part of a neuron's stretch in which a mark reaches it, shape (offsets,).
        most: Neurons of the fullest patch of a kind, shape (A,).
        words: Buffer of random words, uint64, shape (_BLOCK,).
        drawn: Buffer of exponential numbers, shape (_BLOCK,).
    """

    shape: np.ndarray
    edge: np.ndarray
    source: np.ndarray
    target: np.ndarray
    delay: np.ndarray
    row: np.ndarray
    brings: np.ndarray
    gap: np.ndarray
    first: np.ndarray
    offset0: np.ndarray
    offset1: np.ndarray
    part: np.ndarray
    most: np.ndarray
    words: np.ndarray
    drawn: np.ndarray


def no_spray() -> Spray:
    """Without annealed patches."""
    none, real = np.zeros(0, np.int64), np.zeros(0)
    return Spray(
        np.zeros(2, np.int64), np.zeros((0, 1), np.int64), none, none, none, none, real.astype(np.float32), real,
        np.zeros(1, np.int64), none, none, real, none, none.astype(np.uint64), real,
    )  # fmt: skip


def spray(
    probability: np.ndarray,
    edge: np.ndarray,
    shares: np.ndarray,
    row: np.ndarray,
    brings: np.ndarray,
) -> Spray:
    """Where annealed spikes go.

    Args:
        probability: P by offset (target - source), [target][source], shape (A, A, n0, n1).
        edge: First neuron of every patch of every kind, shape (A, M + 1).
        shares: Share of the synapses with a delay of 1, 2, ... steps, [target][source][delay].
        row: Row of what arrives, [target][source].
        brings: What a spike adds there, [target][source].
    """
    shape, found, offsets, parts = probability.shape[2:], [], [], []
    for a, b, d in np.argwhere(shares > 0.0).tolist():
        flat = (probability[a, b] * shares[a, b, d]).ravel()
        order = np.argsort(-flat, kind="stable")
        order = order[flat[order] > 0.0]
        while len(order):
            top = flat[order[0]]
            least = 1.0 if top >= 1.0 else _BAND * top
            count = int(np.searchsorted(-flat[order], -least, side="right"))
            band, order = order[:count], order[count:]
            with np.errstate(divide="ignore"):
                rate = -np.log1p(-np.minimum(flat[band], 1.0))
            found.append((b, a, d + 1, row[a, b], brings[a, b], 1.0 / rate[0], count))
            offsets.append(band)
            parts.append(np.ones(count) if top >= 1.0 else rate / rate[0])
    columns = list(zip(*found, strict=True)) if found else [()] * 7
    place = np.concatenate(offsets) if offsets else np.zeros(0, np.int64)
    at0, at1 = np.unravel_index(place, shape)
    return Spray(
        shape=np.array(shape, np.int64),
        edge=np.ascontiguousarray(edge, np.int64),
        source=np.array(columns[0], np.int64),
        target=np.array(columns[1], np.int64),
        delay=np.array(columns[2], np.int64),
        row=np.array(columns[3], np.int64),
        brings=np.array(columns[4], np.float32),
        gap=np.array(columns[5], np.float64),
        first=np.concatenate([[0], np.cumsum(columns[6])]).astype(np.int64),
        offset0=at0.astype(np.int64),
        offset1=at1.astype(np.int64),
        part=np.concatenate(parts) if parts else np.zeros(0),
        most=np.diff(edge, axis=1).max(axis=1).astype(np.int64),
        words=np.zeros(_BLOCK, np.uint64),
        drawn=np.zeros(_BLOCK),
    )


@inner
def _patch_of(edge: np.ndarray, neuron: int) -> int:
    """The patch of a neuron of one kind, whose patches differ by one neuron at most."""
    patches = edge.size - 1
    guess = int((neuron - edge[0]) * patches / (edge[patches] - edge[0]))
    while neuron < edge[guess]:
        guess -= 1
    while neuron >= edge[guess + 1]:
        guess += 1
    return guess


@inner
def scatter(s: State, x: Spray, lanes: np.ndarray, step: int) -> None:
    """Let the spikes arrive whose delay ends with this step."""
    slots, left = s.sent.shape[0], 0
    for band in range(x.source.size):
        slot = (step - x.delay[band] + slots) % slots
        begin, end = s.sent_to[slot, x.source[band]], s.sent_to[slot, x.source[band] + 1]
        a, first, gap = x.target[band], x.first[band], x.gap[band]
        most, out, brings = x.most[a], s.arriving[x.row[band]], float32(x.brings[band])
        each = (x.first[band + 1] - first) * most  # neurons, and places that a smaller patch leaves empty
        total, place, spike, passed = (end - begin) * each, 0, -1, 0
        patch0 = patch1 = 0
        while place < total:
            if left == 0:
                fill(lanes, x.words, 2 * _BLOCK)
                exponentials(x.words, x.drawn, _BLOCK)
                left = _BLOCK
            left -= 1
            away = x.drawn[left] * gap
            if away >= total - place:
                break
            whole = int(away)
            place += whole
            if place >= passed:  # where the list of another spike begins
                spike = place // each
                passed = (spike + 1) * each
                patch = _patch_of(x.edge[x.source[band]], s.sent[slot, begin + spike])
                patch0, patch1 = patch // x.shape[1], patch % x.shape[1]
            within = place - (passed - each)
            offset = within // most
            number, offset = within - offset * most, first + offset
            at0, at1 = patch0 + x.offset0[offset], patch1 + x.offset1[offset]
            at0, at1 = at0 - x.shape[0] * (at0 >= x.shape[0]), at1 - x.shape[1] * (at1 >= x.shape[1])
            at = at0 * x.shape[1] + at1
            low = x.edge[a, at]
            if low + number < x.edge[a, at + 1] and away - whole < x.part[offset]:
                out[low + number] += brings
            place += 1
