"""The constants of a reduction (numba): bins, synapse classes merged into channels, what a step needs of the model."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.systems.spiking.discretisation import Discretisation, bin_edges, reset_bin
from largen.systems.spiking.time_step import refractory_steps, release

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

PAPER, WHITE, JOINT = 0, 1, 2
CODES = {"paper": PAPER, "white": WHITE, "joint": JOINT}
PAPER_BELOW = 40.0
"""The reference implementation's bins reach to -40 for a threshold of 100."""
MOST_STEPS = 2.0**62
"""Longer refractory periods than this many steps end in no run."""


class Layout(NamedTuple):
    """The constants of a reduction: P populations, K bins, C channels, J classes (target, source).

    Attributes:
        size: Neurons, shape (P,).
        leak: 1/tau_m (1/ms), shape (P,).
        drive_mean: Mean of V per external kick, shape (P,).
        drive_variance: Variance of V per external kick, shape (P,).
        leave: Probability of leaving the refractory pool in a step, shape (P,).
        delay: Steps in the refractory pool if its period is fixed, else -1, shape (P,).
        longer: Fraction that stays one step more, shape (P,).
        channels: First channel of each population, shape (P + 1,).
        rate: Part of its charge that a pending spike brings in a step, (1 - exp(-dt/tau))/dt (1/ms), shape (C,).
        spread: Variance of this part, over dt, shape (C,).
        cospread: Covariance of this part with staying pending, over exp(-dt/tau), shape (C,).
        inhibitory: 1 or 0, shape (C,).
        classes: First class of each channel, shape (C + 1,).
        source: Population that spikes, shape (J,).
        target: Population that receives, shape (J,).
        probability: p, shape (J,).
        strength: s, in units of the potential, shape (J,).
        dt: Step (ms).
        bins: K.
        width: Width w of the bins, in units of the potential like the next ones.
        lowest: Lowest edge.
        reset: Bin that starts at the reset potential.
        span: Threshold minus reversal potential of inhibition.
        reversal: Reversal potential of inhibition.
        min_support: Shortest support of the density in a bin, in units of the potential.
        closure: PAPER, WHITE or JOINT.
        linear_in_bin: Whether deviations are linear within a bin.
        affine_drift: Whether the drift is linear within a bin, else constant.
    """

    size: np.ndarray
    leak: np.ndarray
    drive_mean: np.ndarray
    drive_variance: np.ndarray
    leave: np.ndarray
    delay: np.ndarray
    longer: np.ndarray
    channels: np.ndarray
    rate: np.ndarray
    spread: np.ndarray
    cospread: np.ndarray
    inhibitory: np.ndarray
    classes: np.ndarray
    source: np.ndarray
    target: np.ndarray
    probability: np.ndarray
    strength: np.ndarray
    dt: float
    bins: int
    width: float
    lowest: float
    reset: int
    span: float
    reversal: float
    min_support: float
    closure: int
    linear_in_bin: bool
    affine_drift: bool


def edges_of(model: "SpikingNetwork", discretisation: Discretisation) -> np.ndarray:
    """Bin edges, shape (bin + 1,), in units of the potential."""
    width = discretisation.bin_width
    assert width is not None
    threshold = float(model.threshold)
    edges = bin_edges(threshold, width, discretisation.below)
    if discretisation.closure == "paper":
        edges = edges[edges > -PAPER_BELOW / 100.0 * threshold - 1e-9 * threshold]
    return edges


def build_layout(model: "SpikingNetwork", discretisation: Discretisation) -> Layout:
    """Return the constants of a reduction.

    Args:
        model: The network, already scaled to its number of neurons.
        discretisation: With a bin width.
    """
    size = np.array(model.size, dtype=np.float64)
    P, dt, code = len(size), discretisation.dt, CODES[discretisation.closure]
    edges = edges_of(model, discretisation)
    leak = 1.0 / np.broadcast_to(model.membrane_time, (P,))
    gain = np.where(leak > 0.0, leak, 1.0)
    refractory = np.broadcast_to(model.refractory_time, (P,))
    fixed = model.refractory == "fixed" and code != PAPER
    steps = np.minimum(refractory_steps(model, dt), MOST_STEPS)
    delay = np.floor(steps).astype(np.int64) if fixed else np.full(P, -1)
    leave = dt / refractory if code == PAPER else -np.expm1(-dt / refractory)
    target, source, starts = merge_classes(model)
    first = starts[:-1]
    decay, strength, probability = (
        np.array(x)[target, source] for x in (model.decay, model.strength, model.probability)
    )
    spike = release(dt, decay[first])
    if code == PAPER:  # explicit Euler steps
        spike = spike._replace(probability=spike.stay, variance=0.0 * spike.stay)
    return Layout(
        size=size,
        leak=np.array(leak),
        drive_mean=np.array(gain),
        drive_variance=gain**2,
        leave=leave,
        delay=delay,
        longer=steps - np.floor(steps),
        channels=np.searchsorted(target[first], np.arange(P + 1)),
        rate=spike.probability / dt,
        spread=spike.variance / dt,
        cospread=spike.stay - spike.probability,
        inhibitory=np.array(model.inhibitory)[source[first]].astype(np.int64),
        classes=starts,
        source=source,
        target=target,
        probability=probability,
        strength=strength,
        dt=float(dt),
        bins=len(edges) - 1,
        width=float(edges[1] - edges[0]),
        lowest=float(edges[0]),
        reset=reset_bin(edges),
        span=float(model.threshold - model.reversal),
        reversal=float(model.reversal),
        min_support=float(discretisation.min_support * model.threshold / 100.0),
        closure=code,
        linear_in_bin=bool(discretisation.linear_in_bin and code == JOINT),
        affine_drift=bool(discretisation.affine_drift and code == JOINT),
    )


def merge_classes(model: "SpikingNetwork") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes that can ever hold a spike, sorted by channel.

    Returns:
        Targets and sources, shape (class,), and the first class of every channel, shape (channel + 1,).
    """
    target, source = np.nonzero(np.array(model.probability) > 0.0)
    decay = np.array(model.decay)[target, source]
    sign = np.array(model.inhibitory)[source]
    order = np.lexsort((source, decay, sign, target))
    target, source, decay, sign = (x[order] for x in (target, source, decay, sign))
    new = np.ones(len(target), dtype=bool)
    new[1:] = (np.diff(target) != 0) | (np.diff(decay) != 0) | (sign[1:] != sign[:-1])
    return target, source, np.append(np.flatnonzero(new), len(target)).astype(np.int64)
