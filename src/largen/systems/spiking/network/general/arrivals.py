"""What arrives by chance in one step, from alias rows: one draw for each neuron and class.

A class is what reaches one row of one target population with one weight: of an annealed network the spikes of all
sources with that weight, and the external Poisson kicks where they have it too. Its law is that of the sum, given the
spikes nf_b of the steps before:

- `probability`: sum over b, d of Bin(nf_b(n - d), p P(d));
- `in_degree`: sum over b of Bin(K, sum over d of P(d) nf_b(n - d)/N_b);
- `synapses`: Poisson with mean sum over b, d of M/N_a P(d) nf_b(n - d)/N_b;
- external kicks: Poisson with mean rate dt.
"""

from typing import NamedTuple

import numpy as np

from largen.numerics.alias import (
    Law,
    add_binomial,
    add_poisson,
    alias_row,
    bits_for,
    law,
    nothing,
)  # fmt: skip
from largen.numerics.compiled import inner, kernel
from largen.systems.spiking.network.general.wiring import IN_DEGREE, PROBABILITY, SYNAPSES
from largen.systems.spiking.network.tables import Arrivals, arrival_rows, make_arrivals

_RESERVE = 64  # values of a law beyond 13 standard deviations


class Classes(NamedTuple):
    """The classes of all targets, and the alias rows of the step.

    Attributes:
        first: Classes of target a are first[a] to first[a + 1] - 1, shape (P + 1,).
        row: Row of what arrives, or -1 for V itself, shape (q,).
        weight: What one spike or kick brings, float32, shape (q,).
        spread: Relative standard deviation of that, shape (q,).
        external: Whether external kicks belong to it, shape (q,).
        part: Sources of class q are source[part[q]:part[q + 1]], shape (q + 1,).
        source: Shape (parts,).
        rule: One of PROBABILITY, IN_DEGREE, SYNAPSES.
        number: p, K or M/N_a, [target][source].
        size: N_b, shape (P,).
        delay: First and last delay in steps, [target][source], shape (P, P, 2).
        shares: Share of the synapses with a delay of 1, 2, ... steps, [target][source][delay].
        still: Whether the law is the same in every step; it is then made once, shape (q,).
        kept: Whether it is a Bin(nf, p) whose rows are kept, shape (q,).
        least: Smallest value in this step, shape (q,).
        bits: Bits of the row, 0 where that value is certain, -1 before a still one is made, shape (q,).
        start: Where the row starts.
        rows: Alias rows, uint32.
        law: Room for making a row.
        arrivals: Rows of Bin(nf, p) that are kept.
    """

    first: np.ndarray
    row: np.ndarray
    weight: np.ndarray
    spread: np.ndarray
    external: np.ndarray
    part: np.ndarray
    source: np.ndarray
    rule: int
    number: np.ndarray
    size: np.ndarray
    delay: np.ndarray
    shares: np.ndarray
    still: np.ndarray
    kept: np.ndarray
    least: np.ndarray
    bits: np.ndarray
    start: np.ndarray
    rows: np.ndarray
    law: Law
    arrivals: Arrivals


def classes(
    size: np.ndarray,
    connections: tuple[int, np.ndarray],
    shares: np.ndarray,
    brings: tuple[np.ndarray, np.ndarray, np.ndarray],
    external: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    annealed: bool,
    constant: bool,
) -> Classes:
    """The classes of a network.

    Args:
        size: Neurons of each population.
        connections: The rule, and by [target][source] its p, K or M.
        shares: Share of the synapses with a delay of 1, 2, ... steps, [target][source][delay].
        brings: By [target][source]: row of what arrives, what a spike adds there, and the relative spread of that.
        external: By population: row of external Poisson kicks (-1 for V itself), their size, and the largest mean
            number in a step, 0 without.
        annealed: Whether spikes arrive by chance.
        constant: Whether the external rate is.
    """
    rule, number = connections
    row, weight, spread = brings
    count = len(size)
    if rule == SYNAPSES:
        number = number / size[:, None]
    found: list[tuple[int, int, float, float, bool, list[int]]] = []
    for a in range(count):
        groups: dict[tuple[int, float, float], list[int]] = {}
        for b in range(count):
            if annealed and number[a, b] > 0:
                groups.setdefault((int(row[a, b]), float(np.float32(weight[a, b])), float(spread[a, b])), []).append(b)
        outside = (int(external[0][a]), float(np.float32(external[1][a])), 0.0)
        if external[2][a] > 0.0:
            groups.setdefault(outside, [])
        found += [(a, *key, external[2][a] > 0.0 and key == outside, group) for key, group in groups.items()]
    there = shares > 0.0
    delay = np.stack([np.argmax(there, axis=2) + 1, shares.shape[2] - np.argmax(there[:, :, ::-1], axis=2)], axis=2)
    kept = [
        rule == PROBABILITY and len(group) == 1 and not outside and delay[a, group[0], 0] == delay[a, group[0], 1]
        for a, _, _, _, outside, group in found
    ]
    widest, broadest = _widths(found, rule, number, size, delay, external[2])
    bits = bits_for(broadest)
    probability = number if any(kept) else np.zeros((1, 1))
    return Classes(
        first=np.searchsorted([entry[0] for entry in found], np.arange(count + 1)).astype(np.int64),
        row=np.array([entry[1] for entry in found], np.int64),
        weight=np.array([entry[2] for entry in found], np.float32),
        spread=np.array([entry[3] for entry in found], np.float32),
        external=np.array([entry[4] for entry in found], np.bool_),
        part=np.cumsum([0] + [len(entry[5]) for entry in found]).astype(np.int64),
        source=np.array([b for entry in found for b in entry[5]], np.int64),
        rule=rule,
        number=np.ascontiguousarray(number, np.float64),
        size=np.asarray(size, np.int64),
        delay=delay.astype(np.int64),
        shares=np.ascontiguousarray(shares),
        still=np.array([constant and not entry[5] for entry in found], np.bool_),
        kept=np.array(kept, np.bool_),
        least=np.zeros(len(found), np.int64),
        bits=np.full(len(found), -1, np.int64),
        start=np.arange(len(found), dtype=np.int64) << bits,
        rows=np.zeros(len(found) << bits, np.uint32),
        law=law((max(widest, 64) / 20.0) ** 2),
        arrivals=arrival_rows(size if any(kept) else np.ones(1, np.int64), probability),
    )


def _widths(found: list, rule: int, number: np.ndarray, size: np.ndarray, delay: np.ndarray, external: np.ndarray):
    """Values of the widest law while it is made, and of the widest when it is done."""
    widest, broadest = 2.0 * _RESERVE, 2
    for a, _, _, _, outside, group in found:
        variances = [float(external[a])] if outside else []
        for b in group:
            if rule == PROBABILITY:
                variances += [0.25 * float(size[b])] * int(delay[a, b, 1] - delay[a, b, 0] + 1)
            else:
                variances.append(float(number[a, b]) * (1.0 if rule == SYNAPSES else 0.25))
        widest = max(widest, sum(2.0 * _RESERVE + 20.0 * np.sqrt(v) for v in variances))
        if rule == PROBABILITY:
            variances = [float(external[a]) if outside else 0.0] + [0.25 * float(size[b]) for b in group]
        broadest = max(broadest, int(_RESERVE + 13.0 * np.sqrt(sum(variances))))
    return widest, broadest


def class_bytes(populations: int, columns: float) -> float:
    """Memory that `classes` takes, in bytes, about."""
    return 8.0 * populations * (populations + 1) * columns


@inner
def _seen(x: Classes, history: np.ndarray, step: int, a: int, b: int) -> float:
    """Spikes of b that act in this step, weighted with the shares of their delays."""
    slots, total = history.shape[0], 0.0
    for d in range(x.delay[a, b, 0], x.delay[a, b, 1] + 1):
        total += x.shares[a, b, d - 1] * history[(step - d + slots) % slots, b]
    return total


@inner
def _make_law(x: Classes, history: np.ndarray, step: int, a: int, q: int, mean: float) -> None:
    """Make the law of class q of target a; mean: that of the external kicks."""
    nothing(x.law)
    for m in range(x.part[q], x.part[q + 1]):
        b = x.source[m]
        if x.rule == SYNAPSES:
            mean += x.number[a, b] / x.size[b] * _seen(x, history, step, a, b)
        elif x.rule == IN_DEGREE:
            share = _seen(x, history, step, a, b) / x.size[b]
            if share > 0.0:
                add_binomial(x.law, int(x.number[a, b]), min(share, 1.0))
        else:
            slots = history.shape[0]
            for d in range(x.delay[a, b, 0], x.delay[a, b, 1] + 1):
                spikes = history[(step - d + slots) % slots, b]
                if spikes > 0 and x.shares[a, b, d - 1] > 0.0:
                    add_binomial(x.law, spikes, x.number[a, b] * x.shares[a, b, d - 1])
    if mean > 0.0:
        add_poisson(x.law, mean)


@kernel
def make_classes(x: Classes, history: np.ndarray, step: int, a: int, mean: float) -> None:
    """Make the rows of target a for this step; mean: that of its external Poisson kicks."""
    for q in range(x.first[a], x.first[a + 1]):
        if x.kept[q]:
            b = x.source[x.part[q]]
            spikes = history[(step - x.delay[a, b, 0] + history.shape[0]) % history.shape[0], b]
            x.least[q], x.bits[q] = 0, 0
            if spikes > 0:
                x.least[q], x.bits[q], x.start[q] = make_arrivals(x.arrivals, a, b, spikes)
        elif not (x.still[q] and x.bits[q] >= 0):
            _make_law(x, history, step, a, q, mean if x.external[q] else 0.0)
            x.least[q], x.bits[q] = alias_row(x.law, x.rows[x.start[q] :])
