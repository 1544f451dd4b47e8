"""What a step of the quadrature reads and writes (numba): its state, its scratch space and what a run records."""

from typing import NamedTuple

import numpy as np

from largen.systems.spiking.reduction.quadrature.cells import new_table, padded
from largen.systems.spiking.reduction.quadrature.kicks import COUNTED, HIGHEST_OF_RELEASE, ROOM_OF_ORDERS
from largen.systems.spiking.reduction.quadrature.layout import Layout
from largen.systems.spiking.reduction.quadrature.nodes import MOST_NODES

MEAN, SECOND, THIRD, VARIANCE, SPREAD, SKEW = range(6)
"""Columns of `State.moments`: mu, m_2, m_3 and v of (S63), the standard deviation of X and g of (S60).

Of a current that decays, THIRD is its third cumulant, and SECOND is not used.
"""


class State(NamedTuple):
    """State between two steps, changed in place; P populations, F families, C channels, J classes.

    Attributes:
        families: u_l of cell k at l * row + k, the refractory pool (or its slots by step) at 3 * row, shape (P, F, L);
            of a population they add up to 1.
        moments: Moments of X by channel, shape (C, 6).
        nodes: Nodes z, shape (C, node).
        weights: Their weights, shape (C, node).
        values: The polynomials at the nodes, shape (C, order, node).
        pending: Mean number of pending spikes, shape (J,).
        spikes: Spikes of the last step per neuron, shape (P,).
        sent: Spikes per neuron by step, of as many steps as the delays need, shape (P, steps).
        clock: Steps done, shape (1,).
    """

    families: np.ndarray
    moments: np.ndarray
    nodes: np.ndarray
    weights: np.ndarray
    values: np.ndarray
    pending: np.ndarray
    spikes: np.ndarray
    sent: np.ndarray
    clock: np.ndarray


class Work(NamedTuple):
    """Scratch space of a step; what outlives one: `noise`, `near`, `drawn`, `lowest`, `coarse`.

    Attributes:
        table: Table of one family; rows in `cells`.
        rows: The rows of the families that mix, flat.
        mixing: W of (S61), shape (new node, old node).
        values: The polynomials at the old nodes.
        push: What the channels add to the potential of every family with the leak alone, in cells, shape (F,).
        pull: What conductances take of V - V_I, shape (F,).
        mean_of: Mean of the arrivals by class, shape (J,).
        variance_of: Their variance, shape (J,).
        spikes: Spikes of every family, shape (F,).
        fired: Spikes of every population, shape (P,).
        noise: Matrices of the external noise, shape (P, shift, 3, 3).
        near: Cells that it reaches, shape (P,).
        kicks: Of `release`: coefficients of the powers of one kick, shape (power, number).
        powers: Of `release`: what an order takes of another, shape (order, order, power).
        weights: Of `release`: weights of the numbers of kicks, shape (order, order, number).
        largest: The largest of them, shape (order, order).
        kernel: Of `release`: the matrices of kicks that only shift, shape (order, order, shift, 9).
        orders: Of `release`: the density of all orders of a channel, flat.
        moved: A row that has been moved, shape (L,).
        still: The matrix of no noise, shape (1, 3, 3).
        coarse: Steps in which there were more kicks than can be told apart, shape (1,).
        drawn: The standard deviation, in cells, and the number and relative size of kicks, that it is made for;
            shape (P, 3).
        lowest: Mass of the lowest cell, summed over the steps, shape (P,).
    """

    table: np.ndarray
    rows: np.ndarray
    mixing: np.ndarray
    values: np.ndarray
    push: np.ndarray
    pull: np.ndarray
    mean_of: np.ndarray
    variance_of: np.ndarray
    spikes: np.ndarray
    fired: np.ndarray
    noise: np.ndarray
    near: np.ndarray
    kicks: np.ndarray
    powers: np.ndarray
    weights: np.ndarray
    largest: np.ndarray
    kernel: np.ndarray
    orders: np.ndarray
    moved: np.ndarray
    still: np.ndarray
    coarse: np.ndarray
    drawn: np.ndarray
    lowest: np.ndarray


class Output(NamedTuple):
    """What a run records at T times.

    Attributes:
        steps: Steps at which it records, increasing from 0, shape (T,).
        spikes: Spikes per neuron since the time before, shape (P, T).
        pending: Mean number of pending spikes, [target, source], shape (P, P, T); in patches the sources are kinds.
        density: Mass per cell, shape (P, K, T), or (P, K, 0) if not wanted.
        refractory: Fraction of refractory neurons, shape (P, T) or (P, 0).
    """

    steps: np.ndarray
    spikes: np.ndarray
    pending: np.ndarray
    density: np.ndarray
    refractory: np.ndarray


def new_state(layout: Layout) -> State:
    """An empty state; `step.start` fills it."""
    P, C, F = len(layout.size), len(layout.nodes), int(layout.families.max())
    length = 3 * layout.row + padded(layout.slots)
    return State(
        families=np.zeros((P, F, length)),
        moments=np.zeros((C, 6)),
        nodes=np.zeros((C, MOST_NODES)),
        weights=np.zeros((C, MOST_NODES)),
        values=np.zeros((C, MOST_NODES, MOST_NODES)),
        pending=np.zeros(len(layout.source)),
        spikes=np.zeros(P),
        sent=np.zeros((P, layout.shares.shape[1] if layout.shares.size else 1)),
        clock=np.zeros(1, np.int64),
    )


def new_work(layout: Layout) -> Work:
    """Scratch space for `step.run_steps`."""
    P, F = len(layout.size), int(layout.families.max())
    length = 3 * layout.row + padded(layout.slots)
    orders = int(layout.nodes.max(initial=0)) if layout.releases else 0
    return Work(
        table=new_table(layout.reach),
        rows=np.zeros(int(layout.nodes.max(initial=1)) * length),
        mixing=np.zeros((MOST_NODES, MOST_NODES)),
        values=np.zeros((MOST_NODES, MOST_NODES)),
        push=np.zeros(F),
        pull=np.zeros(F),
        mean_of=np.zeros(len(layout.source)),
        variance_of=np.zeros(len(layout.source)),
        spikes=np.zeros(F),
        fired=np.zeros(P),
        noise=np.zeros((P, 2 * layout.reach + 1, 3, 3)),
        near=np.zeros(P, np.int64),
        kicks=np.zeros((2 * HIGHEST_OF_RELEASE + 1, COUNTED)),
        powers=np.zeros((HIGHEST_OF_RELEASE + 1, HIGHEST_OF_RELEASE + 1, 2 * HIGHEST_OF_RELEASE + 1)),
        weights=np.zeros((orders, orders, COUNTED)),
        largest=np.zeros((orders, orders)),
        kernel=np.zeros((orders, orders, 2 * layout.cells + 4, 9)),
        orders=np.zeros(ROOM_OF_ORDERS if layout.releases else 0),
        moved=np.zeros(length),
        still=np.eye(3)[None],
        coarse=np.zeros(1, np.int64),
        drawn=np.full((P, 3), -1.0),
        lowest=np.zeros(P),
    )


def new_output(layout: Layout, steps: np.ndarray, *, density: bool = False) -> Output:
    """Room for what a run records at `steps`; with the density, also mass per cell and refractory neurons."""
    P, T = len(layout.size), len(steps)
    sources = layout.patches.kinds or P
    kept = T if density else 0
    return Output(
        steps=np.ascontiguousarray(steps, np.int64),
        spikes=np.zeros((P, T)),
        pending=np.zeros((P, sources, T)),
        density=np.zeros((P, layout.cells, kept)),
        refractory=np.zeros((P, kept)),
    )
