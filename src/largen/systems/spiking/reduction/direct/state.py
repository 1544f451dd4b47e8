"""What a step of the reduction with delta synapses reads and writes (numba)."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtr

from largen.systems.spiking import constants
from largen.systems.spiking.reduction.direct.layout import DirectLayout, Grid, edges_of
from largen.systems.spiking.reduction.transfer import (
    BIN_ROWS,
    EDGE_ROWS,
    INVERSE_SIGMA,
    ROW,
    SIGMA,
    SIGMA_OVER_LENGTH,
    UPPER,
)

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

MOST_JUMPS = 512
"""Numbers of large kicks, over all classes together, that a step tells apart."""


class State(NamedTuple):
    """State between two steps; P populations, K bins, potentials in bins.

    Attributes:
        number: Neurons per bin, shape (P, K).
        moment: Sum of v - centre over a bin's neurons, shape (P, K).
        adaptation: Sum of w over a bin's neurons, shape (P, K).
        refractory: The refractory pool, shape (P,).
        refractory_adaptation: Sum of w over it, where its period is exponential, shape (P,).
        spikes: Spikes of the last step, shape (P,).
        queue: Spikes by step, of as many steps as a fixed refractory period needs, shape (P, steps).
        queue_adaptation: Sum of w over them as it was then, shape (P, steps).
        sent: Spikes per neuron by step, of as many steps as the delays need, shape (P, steps).
        clock: Steps done, shape (1,).
        deviation: Shape (0, K); shared parts look at it.
    """

    number: np.ndarray
    moment: np.ndarray
    adaptation: np.ndarray
    refractory: np.ndarray
    refractory_adaptation: np.ndarray
    spikes: np.ndarray
    queue: np.ndarray
    queue_adaptation: np.ndarray
    sent: np.ndarray
    clock: np.ndarray
    deviation: np.ndarray


class Work(NamedTuple):
    """Scratch space of a step; `lowest` and `coarse` outlive one.

    Attributes:
        bins: Table of the bins of one population; rows in `transfer`.
        edge: Integrals at one edge, shape (1, rows); rows in `transfer`.
        flux: Number, U and adaptation through the edges, shape (3, 3 K + 1); potential 0 is at K.
        new: The new number, moment and adaptation of a population, shape (3, K).
        mean: Of each bin, the mean after flow and inhibition, from potential 0, shape (K,).
        length: Length of its support then, shape (K,).
        variance: Variance that it gains beyond what all gain, shape (K,).
        jumps: Factor of v - V_I, shift, variance and probability of each number of large kicks, shape (jump, 4).
        more: Room for as many, shape (jump, 4).
        mean_of: Mean of the arrivals by class, shape (J,).
        variance_of: Their variance, shape (J,).
        lowest: Neurons of the lowest bin, summed over the steps, shape (P,).
        coarse: Steps in which a class had kicks too large for a Gaussian, but was taken as one, shape (1,).
        channels: Shape (0, 0); shared parts look at it, as at the next two.
        spiking_deviation: Shape (0,).
        residual: Shape (0,).
    """

    bins: np.ndarray
    edge: np.ndarray
    flux: np.ndarray
    new: np.ndarray
    mean: np.ndarray
    length: np.ndarray
    variance: np.ndarray
    jumps: np.ndarray
    more: np.ndarray
    mean_of: np.ndarray
    variance_of: np.ndarray
    lowest: np.ndarray
    coarse: np.ndarray
    channels: np.ndarray
    spiking_deviation: np.ndarray
    residual: np.ndarray


class Output(NamedTuple):
    """What a run records at T times.

    Attributes:
        steps: Steps at which it records, increasing from 0, shape (T,).
        spikes: Spikes since the time before, shape (P, T).
        number: Neurons per bin, shape (P, K, T), or (P, K, 0) if not wanted.
        refractory: Refractory neurons, shape (P, T) or (P, 0).
    """

    steps: np.ndarray
    spikes: np.ndarray
    number: np.ndarray
    refractory: np.ndarray


def new_state(
    model: "SpikingNetwork", layout: DirectLayout, grid: Grid, steps: int, rng: np.random.Generator | None = None
) -> State:
    """The first state: potentials by the model's initial law, nobody refractory, nothing on its way.

    Args:
        model: The network, scaled to its number of neurons.
        layout: Constants.
        grid: Bins.
        steps: Steps of the run: a fixed refractory period beyond them needs no room.
        rng: Draws integer numbers of neurons; None for their means.
    """
    count, bins = len(layout.size), layout.bins
    longest = min(max(int(layout.delay.max()), 0) + 2, steps + 1)
    share, mean = initial_law(model, grid)
    number = share * layout.size[:, None]
    if rng is not None:
        number = np.array(
            [rng.multinomial(int(n), p / p.sum()) for n, p in zip(layout.size, share, strict=True)], float
        )
    delays = layout.shares.shape[1] if layout.shares.size else 1
    return State(
        number=number,
        moment=number * mean,
        adaptation=np.zeros((count, bins)),
        refractory=np.zeros(count),
        refractory_adaptation=np.zeros(count),
        spikes=np.zeros(count),
        queue=np.zeros((count, longest)),
        queue_adaptation=np.zeros((count, longest)),
        sent=np.zeros((count, delays)),
        clock=np.zeros(1, np.int64),
        deviation=np.zeros((0, bins)),
    )


def initial_law(model: "SpikingNetwork", grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Share of the neurons that start in each bin, and their mean from its centre in bins, each of shape (P, K).

    A normal potential at or above the threshold is put right below it; one below the lowest bin, into that.
    """
    edges = edges_of(model, grid)
    first = model.reset if model.initial_mean is None else model.initial_mean
    mean, sd = constants.per_population(model, first), constants.per_population(model, model.initial_spread)
    share, place = np.zeros((len(edges), edges.shape[1] - 1)), np.zeros((len(edges), edges.shape[1] - 1))
    for a, row in enumerate(edges):
        unit, top = row[1] - row[0], row[-1] - 1e-9 * (row[-1] - row[0])
        if sd[a] > 0.0:
            z = (row - mean[a]) / sd[a]
            below, density = ndtr(z), np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
            share[a] = np.diff(below)
            moment = mean[a] * share[a] - sd[a] * np.diff(density)
            share[a, 0], moment[0] = share[a, 0] + below[0], moment[0] + below[0] * row[0]
            above = ndtr(-z[-1])
            share[a, -1], moment[-1] = share[a, -1] + above, moment[-1] + above * top
            filled = share[a] > 1e-300
            inside = np.where(filled, moment / np.where(filled, share[a], 1.0), 0.5 * (row[1:] + row[:-1]))
        else:
            at = float(np.clip(mean[a], row[0], top))
            k = int(np.clip(np.searchsorted(row, at + 1e-9 * unit, side="right") - 1, 0, len(row) - 2))
            share[a, k] = 1.0
            inside = np.where(np.arange(len(row) - 1) == k, at, 0.5 * (row[1:] + row[:-1]))
        place[a] = np.clip((inside - 0.5 * (row[1:] + row[:-1])) / unit, -0.5, 0.5)
    return share, place


def new_work(layout: DirectLayout) -> Work:
    """Scratch space for a step."""
    bins, classes = layout.bins, len(layout.source)
    table = np.zeros((BIN_ROWS, ROW))
    # Loops run in blocks of lanes: beyond the last bin stand no neurons, with a density that is one.
    for row in (UPPER, SIGMA, INVERSE_SIGMA, SIGMA_OVER_LENGTH):
        table[int(row) // ROW] = 1.0
    return Work(
        bins=table.ravel(),
        edge=np.zeros((1, EDGE_ROWS * ROW)),
        flux=np.zeros((3, 3 * bins + 1)),
        new=np.zeros((3, bins)),
        mean=np.zeros(bins),
        length=np.zeros(bins),
        variance=np.zeros(bins),
        jumps=np.zeros((MOST_JUMPS, 4)),
        more=np.zeros((MOST_JUMPS, 4)),
        mean_of=np.zeros(classes),
        variance_of=np.zeros(classes),
        lowest=np.zeros(len(layout.size)),
        coarse=np.zeros(1, np.int64),
        channels=np.zeros((0, 0)),
        spiking_deviation=np.zeros(0),
        residual=np.zeros(0),
    )


def new_output(layout: DirectLayout, steps: np.ndarray, *, density: bool) -> Output:
    """Room for what a run records at `steps`; with the density, also numbers per bin and refractory neurons."""
    count, kept = len(layout.size), len(steps) if density else 0
    shapes = ((count, len(steps)), (count, layout.bins, kept), (count, kept))
    return Output(steps, *map(np.zeros, shapes))
