"""The constants of a reduction (numba): bins, synapse classes merged into channels, what a step needs of the model."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.systems.spiking.constants import external_kicks, per_population
from largen.systems.spiking.discretisation import Discretisation, bin_edges, reset_bin
from largen.systems.spiking.drive import sample_drive
from largen.systems.spiking.reduction.patches import Patches, no_patches, patches_of, repeat
from largen.systems.spiking.sheet import patch_edges
from largen.systems.spiking.time_step import refractory_steps, release

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork
    from largen.systems.spiking.sheet import Sheet

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
        patches: How spikes travel between patches; with them `source` counts kinds.
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
    patches: Patches


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
    mean, variance = drive_moments(model)
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
        drive_mean=mean,
        drive_variance=variance,
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
        patches=no_patches(),
    )


def drive_moments(model: "SpikingNetwork") -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of V per unit of the drive (`drive_of`), shape (P,) each."""
    count = len(model.size)
    size = external_kicks(model).size
    if not has_current(model):
        return np.array(size), size**2
    rate, mean, sd = (
        per_population(model, value) for value in (model.external_rate, model.external_mean, model.external_sd)
    )
    return (size * rate + mean) * np.ones(count), (size**2 * rate + sd**2) * np.ones(count)


def has_current(model: "SpikingNetwork") -> bool:
    """Whether there is a drive beside the external kicks."""
    return any(callable(x) or bool(np.any(np.asarray(x) != 0.0)) for x in (model.external_mean, model.external_sd))


def drive_of(model: "SpikingNetwork", start: float, steps: int, dt: float) -> np.ndarray:
    """Units of the drive at every step, (step, P) or (1, P) for a constant: kicks per ms, or 1 with a current."""
    if has_current(model):
        return np.ones((1, len(model.size)))
    return sample_drive(model.external_rate, start, steps, dt, len(model.size))


AXES = dict.fromkeys(
    (
        "size", "leak", "drive_mean", "drive_variance", "leave", "delay", "longer", "rate", "spread", "cospread",
        "inhibitory", "source", "probability", "strength",
    ),
    "all",
) | {"channels": "first", "classes": "first", "target": "population"}  # fmt: skip
"""First axes of the constants that every patch has; see `patches.repeat`."""


def in_patches(layout: Layout, sheet: "Sheet", *, whole: bool = False) -> Layout:
    """The constants of a sheet from those of one patch, spikes counted; `whole`: numbers of neurons are integers."""
    count, pairs = sheet.space.count, (layout.target, layout.source)
    shares = np.ones((len(layout.source), 1))
    patches = patches_of(
        sheet.probability, np.ones(len(layout.size)), pairs, shares, sheet.pattern(layout.dt), sheet.matrix
    )
    found = repeat(layout._replace(size=layout.size / count), patches, AXES)
    found = found._replace(drive_mean=found.drive_mean + sheet.by_patch()[0])
    if not whole:
        return found
    sizes = [np.diff(patch_edges(int(neurons), count)) for neurons in layout.size]
    return found._replace(size=np.stack(sizes, axis=1).ravel().astype(np.float64))


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
