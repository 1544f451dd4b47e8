"""Which synapses the fixed graph of a quenched network has, and the groups into which its lists sort them."""

from typing import NamedTuple

import numpy as np

from largen.numerics.alias import bits_for, fill_row, law, to_integers
from largen.numerics.bits import fraction_bits

PROBABILITY, IN_DEGREE, SYNAPSES = 0, 1, 2
"""What the model says of its connections."""
LEVELS = 65535
"""Levels of a strength that has a spread."""


class Wiring(NamedTuple):
    """Which synapses there are to draw.

    Attributes:
        edge: First neuron of each population, and N.
        rule: One of PROBABILITY, IN_DEGREE, SYNAPSES.
        key: The graph's name, uint64, shape (2,).
        fractions: Probabilities by source and target, see `bits.fraction_bits`, shape (P, P).
        degree: K, [target][source], int64.
        shared: Synapses from each neuron to each population, shape (P, N), int32; no columns unless SYNAPSES.
        delay_rows: Alias rows of the delays, [target][source], uint32, shape (P, P, columns).
        delay_bits: Their bits, 0 where there is one delay, shape (P, P).
        delay_first: Column of the smallest delay, shape (P, P).
        group_of: Group of a synapse, [target][source][delay], int32, shape (P, P, D).
        weight: What a spike brings, [target][source].
        spread: Relative standard deviation of that, [target][source]; shape (0, 0) if no levels are stored.
        unit: Part of `weight` that a level is, [target][source].
    """

    edge: np.ndarray
    rule: int
    key: np.ndarray
    fractions: np.ndarray
    degree: np.ndarray
    shared: np.ndarray
    delay_rows: np.ndarray
    delay_bits: np.ndarray
    delay_first: np.ndarray
    group_of: np.ndarray
    weight: np.ndarray
    spread: np.ndarray
    unit: np.ndarray


class Links(NamedTuple):
    """The lists.

    Attributes:
        groups: Groups of a source population's rows, shape (P,).
        delay: Steps until a group acts, shape (P, G).
        row: Row of what arrives to which it adds, shape (P, G).
        brings: What a spike adds there, or a level of what it adds, float32, shape (P, G).
        start: First synapse of each row, and the number of all, int64, shape (N + 1,).
        offset: First synapse of each group within the row, and the length of the row, int32, shape (N, G + 1).
        target: int32, shape (synapses,).
        level: What a synapse brings, in levels of its group, uint16, shape (synapses,); (0,) where all bring the same.
    """

    groups: np.ndarray
    delay: np.ndarray
    row: np.ndarray
    brings: np.ndarray
    start: np.ndarray
    offset: np.ndarray
    target: np.ndarray
    level: np.ndarray


def levels(spread: np.ndarray) -> np.ndarray:
    """Part of the mean strength that one level is, given its relative standard deviation.

    A strength is kept as a number of 1 to 65535 levels, which reach seven standard deviations above the mean: it is
    rounded to 2e-5 of the mean with a spread of 0.1. Without a spread the mean is one level.
    """
    return np.where(spread > 0.0, (1.0 + 7.0 * spread) / LEVELS, 1.0)


def group_table(
    shares: np.ndarray, row: np.ndarray, weight: np.ndarray, connected: np.ndarray
) -> tuple[np.ndarray, Links]:
    """The groups of every source population, and lists without synapses.

    Args:
        shares: Share of the synapses with a delay of 1, 2, ... steps, [target][source][delay].
        row: Row of what arrives, [target][source].
        weight: What a spike adds there, or a level of it, [target][source].
        connected: Whether there are synapses, [target][source].

    Returns:
        Group by [target][source][delay], int32, and the lists.
    """
    populations = len(row)
    group_of = np.zeros(shares.shape, np.int32)
    found: list[list[tuple[int, int, float]]] = []
    for b in range(populations):
        keys = {}
        for a, k in np.argwhere((shares[:, b] > 0.0) & connected[:, b, None]).tolist():
            keys[a, k] = (k + 1, int(row[a, b]), float(np.float32(weight[a, b])))
        mine = sorted(set(keys.values()))
        for (a, k), key in keys.items():
            group_of[a, b, k] = mine.index(key)
        found.append(mine)
    most = max(1, *(len(mine) for mine in found))
    table = np.zeros((populations, most, 3))
    for b, mine in enumerate(found):
        table[b, : len(mine)] = np.array(mine).reshape(-1, 3)
    none = np.zeros(0)
    return group_of, Links(
        groups=np.array([len(mine) for mine in found], np.int64),
        delay=table[:, :, 0].astype(np.int64),
        row=table[:, :, 1].astype(np.int64),
        brings=table[:, :, 2].astype(np.float32),
        start=none.astype(np.int64),
        offset=np.zeros((0, most + 1), np.int32),
        target=none.astype(np.int32),
        level=none.astype(np.uint16),
    )


def nothing(populations: int) -> Links:
    """The lists of a network without a fixed graph."""
    none = np.zeros((populations, populations))
    return group_table(none[:, :, None], none, none, none > 0.0)[1]


def delay_tables(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Alias rows of the delays (column k: k + 1 steps), their bits (0: one delay), and the column of the smallest."""
    populations, _, steps = shares.shape
    most = bits_for(steps)
    rows, bits = np.zeros((populations, populations, 1 << most), np.uint32), np.zeros((populations, populations), int)
    x = law(float(steps) ** 2)
    for a, b in np.ndindex(populations, populations):
        if np.count_nonzero(shares[a, b]) > 1:
            x.pmf[:steps] = shares[a, b]
            x.extent[:] = 0, steps
            to_integers(x)
            fill_row(x, 0, rows[a, b], most)
            bits[a, b] = most
    return rows, bits, np.argmax(shares > 0.0, axis=2)


def wiring(
    edge: np.ndarray,
    connections: tuple[int, np.ndarray],
    shares: np.ndarray,
    brings: tuple[np.ndarray, np.ndarray, np.ndarray],
    key: np.ndarray,
    rng: np.random.Generator,
) -> tuple[Wiring, Links]:
    """What to draw, and empty lists.

    Args:
        edge: First neuron of each population, and N.
        connections: The rule, and by [target][source] its probabilities, in-degrees or numbers of synapses.
        shares: Share of the synapses with a delay of 1, 2, ... steps, [target][source][delay].
        brings: By [target][source]: row of what arrives, what a spike adds there, and the relative spread of that.
        key: The graph's name, uint64, shape (2,).
        rng: Shares the synapses among the sources.
    """
    rule, number = connections
    row, weight, spread = brings
    stored = bool(np.any((spread > 0.0) & (number > 0)))
    rows, bits, first = delay_tables(shares)
    unit = levels(spread)
    group_of, links = group_table(shares, row, weight * unit, number > 0)
    probability = number if rule == PROBABILITY else np.zeros(number.shape)
    found = Wiring(
        edge=edge,
        rule=rule,
        key=key,
        fractions=np.ascontiguousarray(fraction_bits(probability).T),
        degree=np.where(rule == IN_DEGREE, number, 0).astype(np.int64),
        shared=share_out(number, edge, rng) if rule == SYNAPSES else np.zeros((len(number), 0), np.int32),
        delay_rows=rows,
        delay_bits=bits,
        delay_first=first,
        group_of=group_of,
        weight=np.ascontiguousarray(weight, np.float64),
        spread=np.ascontiguousarray(spread, np.float64) if stored else np.zeros((0, 0)),
        unit=unit,
    )
    return found, links


def expected(edge: np.ndarray, connections: tuple[int, np.ndarray]) -> tuple[float, float]:
    """Mean and variance of the number of synapses."""
    rule, number = connections
    size = np.diff(edge).astype(np.float64)
    if rule == PROBABILITY:
        mean = number * size[:, None] * size
        return float(mean.sum()), float((mean * (1.0 - number)).sum())
    return float((number * size[:, None]).sum() if rule == IN_DEGREE else number.sum()), 0.0


def most_groups(
    shares: np.ndarray, number: np.ndarray, brings: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> int:  # fmt: skip
    """Groups of the population that has most; arguments as for `wiring`."""
    row, weight, spread = brings
    return int(group_table(shares, row, weight * levels(spread), number > 0)[1].groups.max())


def most_synapses(edge: np.ndarray, connections: tuple[int, np.ndarray]) -> int:
    """Synapses for which there is room: ten standard deviations above the mean."""
    mean, variance = expected(edge, connections)
    return int(np.ceil(mean + 10.0 * np.sqrt(variance)))


def share_out(total: np.ndarray, edge: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Share the M synapses of every pair among the source's neurons, shape (target, N), int32."""
    size = np.diff(edge)
    shared = np.zeros((len(total), edge[-1]), np.int32)
    for a, b in np.ndindex(*total.shape):
        shared[a, edge[b] : edge[b + 1]] = rng.multinomial(int(total[a, b]), np.full(size[b], 1.0 / size[b]))
    return shared
