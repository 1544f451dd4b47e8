"""The arrays of the discrete-state reduction: its constants, its state and the scratch space of a step."""

from typing import NamedTuple

import numpy as np

from largen.systems.spiking.transfer import BIN_ROWS, EDGE_ROWS, NOISE, RATIO, ROW, STEEPNESS, UPPER

PAPER, WHITE, JOINT = 0, 1, 2
CLOSURES = {"paper": PAPER, "white": WHITE, "joint": JOINT}
CHANNEL_ROWS = 5


class Layout(NamedTuple):
    """The constants of a reduction: P populations, K bins, C channels, J classes (target, source)."""

    size: np.ndarray  # (P,) neurons
    leak: np.ndarray  # (P,) 1/tau_m
    drive_mean: np.ndarray  # (P,) mean of V per external kick
    drive_variance: np.ndarray  # (P,) variance of V per external kick
    leave: np.ndarray  # (P,) probability of leaving the refractory pool in a step
    delay: np.ndarray  # (P,) steps in the refractory pool if fixed, else 0
    channels: np.ndarray  # (P + 1,) first channel of each population
    rate: np.ndarray  # (C,) 1/tau
    inhibitory: np.ndarray  # (C,) 1 or 0
    classes: np.ndarray  # (C + 1,) first class of each channel
    source: np.ndarray  # (J,)
    target: np.ndarray  # (J,)
    probability: np.ndarray  # (J,)
    strength: np.ndarray  # (J,)
    dt: float
    width: float
    lowest: float  # lowest edge
    reset: int  # bin that starts at the reset potential
    span: float  # threshold minus reversal potential of inhibition
    reversal: float
    narrowest: float  # shortest support of a density in a bin
    closure: int
    sloped: bool  # pending spikes linear within a bin (`linear_in_bin`)
    stretched: bool  # drift linear within a bin, else constant


class State(NamedTuple):
    """State between two steps; `markov.step` and `chain.chain_step` change it in place."""

    count: np.ndarray  # (P, K) neurons per bin
    moment: np.ndarray  # (P, K) sum of V - centre
    pool: np.ndarray  # (P,) refractory neurons
    deviation: np.ndarray  # (C, K) sum of X - mean over a bin's neurons
    pool_deviation: np.ndarray  # (C,)
    pending: np.ndarray  # (J,) mean of H
    variance: np.ndarray  # (C,) variance of X
    spikes: np.ndarray  # (P,) spikes of the last step
    queue: np.ndarray  # (P, longest delay) refractory neurons by the step of their spike
    queue_deviation: np.ndarray  # (C, longest delay) what they carried
    clock: np.ndarray  # (1,) steps done


class Work(NamedTuple):
    """Scratch space of a step; what outlives one: `lost`, `looks`, `fluctuation`."""

    bins: np.ndarray  # table of the bins of one population; rows in `transfer`
    edge: np.ndarray  # (1, rows) what crosses one edge; rows in `transfer`
    channels: np.ndarray  # (most channels of a population, rows) table of the bins by channel; rows in `markov`
    flux: np.ndarray  # (2 + most channels, 3 K + 1) number, surplus and deviation through the edges; 0 is at K
    mean: np.ndarray  # (C,) mean of X
    square: np.ndarray  # (C,) sum of s^2 E[H]
    unexplained: np.ndarray  # (C,) variance of X within bins
    brought: np.ndarray  # (C,) sum of X - mean over the spiking neurons
    before: np.ndarray  # (P,) spikes of the step before
    lost: np.ndarray  # (1,) largest fraction of a population in bins that inhibition folds
    looks: np.ndarray  # (3,) first step, last step and every how many `markov.run_steps` looks at the fluctuations
    fluctuation: np.ndarray  # (2, P) sums over the looks: noise intensity (per ms) and relaxation rate (1/ms) of V


def new_state(layout: Layout, bins: int) -> State:
    """All neurons at rest: V = 0 in the bin above reset, no spike pending."""
    P, C, J = len(layout.size), len(layout.rate), len(layout.source)
    longest = max(int(layout.delay.max()), 1)
    shapes = ((P, bins), (P, bins), P, (C, bins), C, J, C, P, (P, longest), (C, longest))
    state = State(*[*map(np.zeros, shapes), np.zeros(1, dtype=np.int64)])
    state.count[:, layout.reset] = layout.size
    state.moment[:, layout.reset] = -0.5 * layout.width * layout.size
    if layout.closure == PAPER:  # the reference starts with a sum of potentials of 1e-4
        state.moment[:, layout.reset] += 1e-4
    return state


def new_work(layout: Layout, bins: int) -> Work:
    """Scratch space for `markov.step` and `chain.chain_step`."""
    C, most = len(layout.rate), int(np.diff(layout.channels).max(initial=0))
    table = np.zeros((BIN_ROWS, ROW))
    table[0, :bins] = layout.lowest + (np.arange(bins) + 0.5) * layout.width
    # Loops run in blocks of lanes: beyond the last bin stand no neurons, with a density that is one.
    for row in (UPPER, NOISE, STEEPNESS, RATIO):
        table[int(row) // ROW] = 1.0
    return Work(
        bins=table.ravel(),
        edge=np.zeros((1, EDGE_ROWS * ROW)),
        channels=np.zeros((max(most, 1), CHANNEL_ROWS * ROW)),
        flux=np.zeros((2 + most, 3 * bins + 1)),
        mean=np.zeros(C),
        square=np.zeros(C),
        unexplained=np.zeros(C),
        brought=np.zeros(C),
        before=np.zeros(len(layout.size)),
        lost=np.zeros(1),
        looks=np.array([0, -1, 1]),
        fluctuation=np.zeros((2, len(layout.size))),
    )
