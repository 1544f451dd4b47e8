"""The rule for the bin width: at most half the stationary standard deviation of V that the noise alone makes."""

from typing import Any

import numpy as np

from largen.systems.spiking.channels import build_layout
from largen.systems.spiking.layout import Work
from largen.systems.spiking.markov import new_state, new_work, run_steps

DEFAULT_BINS = 25
"""Bins between reset and threshold unless the rule wants more: a width of 4 for a threshold of 100."""
MOST_BINS = 200
TRIAL = 200.0
"""Time for which the rule looks at the network, from rest (ms); it averages over the second half."""


def automatic_width(model: Any, drive: np.ndarray, dt: float) -> float:
    """Width by the rule, the threshold divided by a whole number from 25 to 200.

    Args:
        model: A SpikingNetwork, scaled to its number of neurons.
        drive: External kicks per ms at every step, shape (step, P), or (1, P) for a constant.
        dt: Step (ms).
    """
    threshold = float(model.threshold)
    wanted = np.ceil(threshold / widest_good(model, drive, dt) - 1e-9)
    return threshold / float(np.clip(wanted, DEFAULT_BINS, MOST_BINS))


def widest_good(model: Any, drive: np.ndarray, dt: float) -> float:
    """Half the stationary standard deviation of V, the smallest over populations; infinite without inhibition.

    Around its mean a potential relaxes at the rate kappa = 1/tau_m + sum_inh (release of s H)/(M - V_I), and is
    driven by white noise of intensity D = external + sum g^2 2 Var[s H]/tau: its standard deviation would be
    sqrt(D / (2 kappa)) if there were no threshold. Both are averages over a short trial of the reduction.
    """
    layout, edges = build_layout(model, dt, 0.04 * float(model.threshold))
    P, bins = len(model.size), len(edges) - 1
    state, work = new_state(layout, bins), new_work(layout, bins)
    end = watch(work, dt)
    none = np.zeros((P, bins, 0)), np.zeros((P, 0))
    run_steps(layout, state, work, drive, np.array([end]), np.zeros((P, 1)), np.zeros((P, P, 1)), *none)
    return watched(work)


def watch(work: Work, dt: float) -> int:
    """Let a run from rest look at its fluctuations for the rule; returns the number of steps that it must have."""
    every = max(round(1.0 / dt), 1)
    end = round(TRIAL / dt) // every * every
    work.looks[:] = -(-(end // 2) // every) * every, end, every
    return end


def watched(work: Work) -> float:
    """The widest good bin, as `widest_good`, from a run that was watched."""
    first, last, every = work.looks
    intensity, relaxation = work.fluctuation / ((last - first) // every + 1)
    # A population without noise has no width to resolve; without relaxation its width knows no bound.
    spread = np.full(len(intensity), np.inf)
    np.divide(intensity, 2.0 * relaxation, out=spread, where=(intensity > 0.0) & (relaxation > 0.0))
    return float(np.min(0.5 * np.sqrt(spread)))
