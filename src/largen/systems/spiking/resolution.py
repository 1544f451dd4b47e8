"""The rule for the bin width: at most half the stationary standard deviation of V that the noise alone makes."""

from typing import Any

import numpy as np

from largen.systems.spiking.channels import build_layout
from largen.systems.spiking.markov import Layout, State, new_state, new_work, run_steps

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
    P = len(model.size)
    layout, edges = build_layout(model, dt, 0.04 * float(model.threshold))
    state, work = new_state(layout, len(edges) - 1), new_work(layout, len(edges) - 1)
    looks = np.arange(0, round(TRIAL / dt) + 1, max(round(1.0 / dt), 1))
    looks = looks[looks >= looks[-1] // 2]
    intensity, relaxation = np.zeros(P), np.zeros(P)
    none = np.zeros((P, len(edges) - 1, 0)), np.zeros((P, 0))
    done = 0
    for look in looks:
        rates = np.ascontiguousarray(drive[min(done, len(drive) - 1) :])
        run_steps(layout, state, work, rates, np.array([look - done]), np.zeros((P, 1)), np.zeros((P, P, 1)), *none)
        done = look
        noise, pull = _fluctuation(layout, state, edges, drive[min(done, len(drive) - 1)])
        intensity += noise / len(looks)
        relaxation += pull / len(looks)
    # A population without noise has no width to resolve; without relaxation its width knows no bound.
    spread = np.full(P, np.inf)
    np.divide(intensity, 2.0 * relaxation, out=spread, where=(intensity > 0.0) & (relaxation > 0.0))
    return float(np.min(0.5 * np.sqrt(spread)))


def _fluctuation(layout: Layout, state: State, edges: np.ndarray, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Noise intensity (per ms) and relaxation rate (1/ms) of V, shape (P,) each."""
    centres = 0.5 * (edges[1:] + edges[:-1])
    mean = (state.moment.sum(1) + state.count @ centres) / np.maximum(state.count.sum(1), 1e-300)
    gate = (mean - layout.reversal) / layout.span
    noise, pull = rates * layout.drive_variance, layout.leak.copy()
    for a in range(len(layout.size)):
        for c in range(layout.channels[a], layout.channels[a + 1]):
            weight = gate[a] ** 2 if layout.inhibitory[c] else 1.0
            noise[a] += 2.0 * weight * state.variance[c] * layout.rate[c]
            if layout.inhibitory[c]:
                classes = slice(layout.classes[c], layout.classes[c + 1])
                current = layout.strength[classes] @ state.pending[classes] * layout.rate[c]
                pull[a] += current / layout.span
    return noise, pull
