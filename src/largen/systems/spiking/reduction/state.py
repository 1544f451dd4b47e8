"""What a step of the reduction reads and writes (numba): its state, its scratch space and what a run records."""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from largen.systems.spiking.reduction.drift import CHANNEL_ROWS
from largen.systems.spiking.reduction.layout import PAPER, Layout
from largen.systems.spiking.reduction.transfer import (
    BIN_ROWS,
    EDGE_ROWS,
    INVERSE_SIGMA,
    ROW,
    SIGMA,
    SIGMA_OVER_LENGTH,
    UPPER,
)


class State(NamedTuple):
    """State between two steps; `step.step` and `markov_chain.chain_step` change it in place.

    Numbers are in neurons, potentials V in units of the model, X = sum of s H in units of the potential; P
    populations, K bins, C channels, J classes.

    Attributes:
        number: Neurons n per bin, shape (P, K).
        moment: First moment S, the sum of V - centre over a bin's neurons, shape (P, K).
        refractory: The refractory pool, shape (P,).
        deviation: Deviation c, the sum of X - mean over a bin's neurons, shape (C, K).
        refractory_deviation: The same over the refractory pool, shape (C,).
        pending: Mean of the pending spikes H, shape (J,).
        variance: Variance of X, shape (C,).
        spikes: Spikes of the last step, shape (P,).
        queue: Spikes by step, of as many steps as a fixed refractory period needs, shape (P, steps).
        queue_deviation: The deviation that they carried, shape (C, steps).
        clock: Steps done, shape (1,).
    """

    number: np.ndarray
    moment: np.ndarray
    refractory: np.ndarray
    deviation: np.ndarray
    refractory_deviation: np.ndarray
    pending: np.ndarray
    variance: np.ndarray
    spikes: np.ndarray
    queue: np.ndarray
    queue_deviation: np.ndarray
    clock: np.ndarray


class Work(NamedTuple):
    """Scratch space of a step; what outlives one: `lowest`, `sampling`, `fluctuation`.

    Attributes:
        bins: Table of the bins of one population; rows in `transfer`.
        edge: Integrals at one edge, shape (1, rows); rows in `transfer`.
        channels: Table of the bins by channel, shape (most channels of a population, rows); rows in `drift`.
        flux: Number, U and deviations through the edges, shape (2 + most channels, 3 K + 1); potential 0 is at K.
        mean: Mean of X, shape (C,).
        square: Sum of s^2 E[H], shape (C,).
        residual: Variance R of X within bins, shape (C,).
        spiking_deviation: Sum of X - mean over the spiking neurons, shape (C,).
        previous_spikes: Spikes of the step before, shape (P,).
        lowest: Neurons of the lowest bin, summed over the steps, shape (P,).
        sampling: First step, last step and every how many `step.run_steps` samples the fluctuations, shape (3,).
        fluctuation: Sums over the samples of noise intensity (per ms) and relaxation rate (1/ms) of V, shape (2, P).
    """

    bins: np.ndarray
    edge: np.ndarray
    channels: np.ndarray
    flux: np.ndarray
    mean: np.ndarray
    square: np.ndarray
    residual: np.ndarray
    spiking_deviation: np.ndarray
    previous_spikes: np.ndarray
    lowest: np.ndarray
    sampling: np.ndarray
    fluctuation: np.ndarray


class Output(NamedTuple):
    """What a run records at T times.

    Attributes:
        steps: Steps at which it records, increasing from 0, shape (T,).
        spikes: Spikes since the time before, shape (P, T).
        pending: Mean of the pending spikes, [target, source], shape (P, P, T); in patches the sources are kinds.
        number: Neurons per bin, shape (P, K, T), or (P, K, 0) if not wanted.
        refractory: Refractory neurons, shape (P, T) or (P, 0).
    """

    steps: np.ndarray
    spikes: np.ndarray
    pending: np.ndarray
    number: np.ndarray
    refractory: np.ndarray


def new_state(
    layout: Layout,
    steps: int | None = None,
    first: tuple[np.ndarray, np.ndarray] | None = None,
    rng: np.random.Generator | None = None,
) -> State:
    """All neurons at rest: V = 0 in the bin above reset, no spike pending.

    Args:
        layout: Constants.
        steps: Steps of the run, or None: a fixed refractory period beyond them needs no room.
        first: Mean and standard deviation of normal first potentials, shape (P,) each; None for rest.
        rng: Draws integer numbers of neurons for them; None for mean numbers.
    """
    P, C, J = len(layout.size), len(layout.rate), len(layout.source)
    longest = max(int(layout.delay.max()), 0) + 2
    longest = longest if steps is None else min(longest, steps + 1)
    shapes = ((P, layout.bins), (P, layout.bins), P, (C, layout.bins), C, J, C, P, (P, longest), (C, longest))
    state = State(*[*map(np.zeros, shapes), np.zeros(1, dtype=np.int64)])
    state.number[:, layout.reset] = layout.size
    state.moment[:, layout.reset] = -0.5 * layout.width * layout.size
    if first is not None:
        _spread_potentials(layout, state, first, rng)
    if layout.closure == PAPER:  # the reference starts with a sum of potentials of 1e-4
        state.moment[:, layout.reset] += 1e-4
    return state


def _spread_potentials(
    layout: Layout, state: State, first: tuple[np.ndarray, np.ndarray], rng: np.random.Generator | None
) -> None:
    """Normal first potentials; below the lowest and above the highest edge they are put right inside."""
    edges = layout.lowest + np.arange(layout.bins + 1) * layout.width
    centre = 0.5 * (edges[1:] + edges[:-1])
    for a, (mean, sd) in enumerate(zip(*first, strict=True)):
        if sd > 1e-6 * layout.width:
            z = (edges - mean) / sd
            below, density = ndtr(z), np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
            share = np.diff(below)
            moment = (mean - centre) * share - sd * np.diff(density)
            share[0], share[-1] = share[0] + below[0], share[-1] + 1.0 - below[-1]
            moment[0] -= 0.5 * layout.width * below[0]
            moment[-1] += 0.5 * layout.width * (1.0 - below[-1])
        else:
            at = min(max(mean, edges[0]), np.nextafter(edges[-1], -np.inf))
            k = min(max(int(np.searchsorted(edges, at, side="right")) - 1, 0), layout.bins - 1)
            share, moment = np.zeros(layout.bins), np.zeros(layout.bins)
            share[k], moment[k] = 1.0, at - centre[k]
        number = layout.size[a] * share
        if rng is not None:
            number = rng.multinomial(int(layout.size[a]), share / share.sum()).astype(np.float64)
        state.number[a] = number
        state.moment[a] = number * moment / np.where(share > 0.0, share, 1.0)


def new_work(layout: Layout) -> Work:
    """Scratch space for `step.step` and `markov_chain.chain_step`."""
    C, most = len(layout.rate), int(np.diff(layout.channels).max(initial=0))
    table = np.zeros((BIN_ROWS, ROW))
    table[0, : layout.bins] = layout.lowest + (np.arange(layout.bins) + 0.5) * layout.width
    # Loops run in blocks of lanes: beyond the last bin stand no neurons, with a density that is one.
    for row in (UPPER, SIGMA, INVERSE_SIGMA, SIGMA_OVER_LENGTH):
        table[int(row) // ROW] = 1.0
    return Work(
        bins=table.ravel(),
        edge=np.zeros((1, EDGE_ROWS * ROW)),
        channels=np.zeros((max(most, 1), CHANNEL_ROWS * ROW)),
        flux=np.zeros((2 + most, 3 * layout.bins + 1)),
        mean=np.zeros(C),
        square=np.zeros(C),
        residual=np.zeros(C),
        spiking_deviation=np.zeros(C),
        previous_spikes=np.zeros(len(layout.size)),
        lowest=np.zeros(len(layout.size)),
        sampling=np.array([0, -1, 1]),
        fluctuation=np.zeros((2, len(layout.size))),
    )


def new_output(layout: Layout, steps: np.ndarray, *, density: bool = False) -> Output:
    """Room for what a run records at `steps`; with the density, also numbers per bin and refractory neurons."""
    P, T = len(layout.size), len(steps)
    kept = T if density else 0
    return Output(
        steps=steps,
        spikes=np.zeros((P, T)),
        pending=np.zeros((P, layout.patches.kinds or P, T)),
        number=np.zeros((P, layout.bins, kept)),
        refractory=np.zeros((P, kept)),
    )
