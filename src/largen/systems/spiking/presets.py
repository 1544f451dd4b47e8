"""Published networks as the fields of a `SpikingNetwork`: Brunel's, the cortical microcircuit, and two of the gamma's.

Potentials of the first two are in mV. Sources: N. Brunel, J. Comput. Neurosci. 8 (2000), network A; T. C. Potjans & M.
Diesmann, Cereb. Cortex 24 (2014), with the numbers of its code at INM-6; Cai et al., J. Comput. Neurosci. (2021); the
two-dimensional sheet of Chang et al., averaged over space.
"""

import warnings
from typing import Any

import numpy as np

from largen.checks import integer, one_of, real, require
from largen.space import GaussianKernel, Ring, Torus

Fields = dict[str, Any]

LABELS = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
SIZES = (20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948)
CONNECTION = (
    (0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0),
    (0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0),
    (0.0077, 0.0059, 0.0497, 0.135, 0.0067, 0.0003, 0.0453, 0.0),
    (0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0),
    (0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0),
    (0.0548, 0.0269, 0.0257, 0.0022, 0.06, 0.3158, 0.0086, 0.0),
    (0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252),
    (0.0364, 0.001, 0.0034, 0.0005, 0.0277, 0.008, 0.0658, 0.1443),
)
"""Probability that a pair is connected at least once, [target][source] (Potjans & Diesmann, table 5)."""
EXTERNAL_INPUTS = (1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100)
EXTERNAL_RATE = 8e-3
"""Spikes per ms of one external input."""
PUBLISHED_RATES = (0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829)
"""Hz; what the code at INM-6 gives with a Poisson background."""
INITIAL_MEANS = (-68.28, -63.16, -63.33, -63.45, -63.11, -61.66, -66.72, -61.43)
INITIAL_SPREADS = (5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48)
MEMBRANE, SYNAPTIC, CAPACITANCE = 10.0, 0.5, 250.0
THRESHOLD, REST = -50.0, -65.0


def brunel(g: float, eta: float, J: float, delay: float, n_e: int, epsilon: float) -> Fields:
    """Brunel's network A: delta synapses, a fixed in-degree, one delay, Poisson input; see `SpikingNetwork.brunel`."""
    g, J = real("g", g, low=0.0), real("J", J, above=0.0)
    eta, epsilon = real("eta", eta, low=0.0), real("epsilon", epsilon, above=0.0)
    n_e = integer("n_e", n_e, low=4)
    require(n_e % 4 == 0, "n_e", "be a multiple of 4, for there are a quarter as many inhibitory neurons", n_e)
    size = np.array([n_e, n_e // 4])
    degree = np.rint(epsilon * size).astype(np.int64)
    require(np.all(degree >= 1), "epsilon", "give every neuron an input of each kind", epsilon)
    membrane, threshold = 20.0, 20.0
    return {
        "names": ("E", "I"),
        "size": size,
        "inhibitory": (False, True),
        "strength": [[J, g * J]] * 2,
        "in_degree": [degree.tolist()] * 2,
        "synapse": "delta",
        "inhibition": "current",
        "delay": delay,
        "membrane_time": membrane,
        "threshold": threshold,
        "reset": 10.0,
        "refractory_time": 2.0,
        "refractory": "fixed",
        "external": "poisson",
        "external_strength": J,
        # eta times the rate that brings the mean input to the threshold (Brunel 2000, eq. 20).
        "external_rate": eta * threshold / (J * membrane),
    }


def current_per_potential() -> float:
    """Current (pA) of an exponential synapse whose potential peaks at 1 mV (Potjans & Diesmann 2014, Methods)."""
    ratio = (MEMBRANE / SYNAPTIC) ** (1.0 / (SYNAPTIC - MEMBRANE))
    peak = MEMBRANE * SYNAPTIC / (CAPACITANCE * (SYNAPTIC - MEMBRANE)) * (ratio**MEMBRANE - ratio**SYNAPTIC)
    return 1.0 / peak


def microcircuit(scale: float, background: str, delays: str) -> Fields:
    """The cortical microcircuit; see `SpikingNetwork.microcircuit`."""
    scale = real("scale", scale, above=0.0)
    require(scale <= 1.0, "scale", "be at most 1", scale)
    background = one_of("background", background, ("poisson", "dc"))
    delays = one_of("delays", delays, ("distributed", "fixed"))
    size, inhibitory = np.array(SIZES), np.array([name.endswith("I") for name in LABELS])
    pairs = size[:, None].astype(np.float64) * size
    synapses = np.log1p(-np.array(CONNECTION)) / np.log1p(-1.0 / pairs)
    excitation = 0.15 * current_per_potential()
    strength = np.where(inhibitory, 4.0 * excitation, excitation) * np.ones((8, 1))
    strength[0, 2] *= 2.0  # from layer 4 to layer 2/3
    drift = np.where(inhibitory, -1.0, 1.0) * strength / CAPACITANCE
    rates, inputs = 1e-3 * np.array(PUBLISHED_RATES), np.array(EXTERNAL_INPUTS)
    from_within = SYNAPTIC * (drift * synapses / size[:, None]) @ rates
    from_outside = SYNAPTIC * inputs * EXTERNAL_RATE * excitation / CAPACITANCE
    # Weights times 1/sqrt(scale) keep the variance of a scaled input; what its mean then lacks comes as a constant
    # (van Albada, Helias & Diesmann, PLoS Comput. Biol. 11 (2015)).
    lacking = (1.0 - np.sqrt(scale)) * from_within
    poisson = background == "poisson"
    mean = lacking + ((1.0 - np.sqrt(scale)) if poisson else 1.0) * from_outside
    if scale < 0.3 and not poisson:
        warnings.warn(
            f"Argument `scale` should be at least 0.3 with background='dc', but is {scale:g}: without the noise of a "
            "Poisson background so small a microcircuit falls silent.",
            stacklevel=3,
        )
    external = {
        "external": "poisson",
        "external_rate": scale * inputs * EXTERNAL_RATE,
        "external_strength": excitation / np.sqrt(scale),
        "external_decay": SYNAPTIC,
    }
    return {
        "names": LABELS,
        "size": np.rint(scale * size).astype(np.int64),
        "inhibitory": inhibitory,
        "strength": strength / np.sqrt(scale),
        "strength_spread": 0.1,
        "synapses": np.rint(scale**2 * synapses).astype(np.int64),
        "decay": np.full((8, 8), SYNAPTIC),
        "synapse": "exponential",
        "inhibition": "current",
        "capacitance": CAPACITANCE,
        "delay": np.where(inhibitory, 0.75, 1.5) * np.ones((8, 1)),
        "delay_spread": 0.5 if delays == "distributed" else 0.0,
        "membrane_time": MEMBRANE,
        "threshold": THRESHOLD,
        "rest": REST,
        "reset": REST,
        "refractory_time": 2.0,
        "refractory": "fixed",
        "connectivity": "quenched",
        "initial_mean": INITIAL_MEANS,
        "initial_spread": INITIAL_SPREADS,
        "external_mean": mean,
    } | (external if poisson else {"external_rate": 0.0})


def kicks() -> Fields:
    """The synchronous network of Cai et al. (2021); see `SpikingNetwork.kicks`."""
    return {
        "strength": ((5.0, 4.91), (2.0, 4.91)),
        "probability": ((0.15, 0.5), (0.5, 0.4)),
        "synapse": "release",
        "refractory_time": 0.0,
    }


READINGS = {"source": ((0.4, 0.1), (0.25, 0.25)), "target": ((0.4, 0.25), (0.1, 0.25))}
"""Widths of the authors' kernels, [target][source], as their reduction and as their network reads one table."""


def sheet(reading: str, patches: int) -> Fields:
    """The sheet of Chang et al.; see `SpikingNetwork.sheet`."""
    widths = READINGS[one_of("reading", reading, tuple(READINGS))]
    kernel = tuple(tuple(GaussianKernel(width, cutoff=3.0) for width in row) for row in widths)
    space = Torus(integer("patches", patches, low=1), length=10.0**0.5, images="nearest")
    return sheet_mean() | {"space": space, "kernel": kernel}


def ring(strength: float, patches: int) -> Fields:
    """A ring with a stationary pattern of two waves; see `SpikingNetwork.ring`."""
    narrow, wide = GaussianKernel(0.06), GaussianKernel(0.2)
    return sheet_mean() | {
        "strength": ((real("strength", strength, low=0.0), 9.0), (5.0, 10.0)),
        "space": Ring(integer("patches", patches, low=1)),
        "kernel": ((narrow, wide), (narrow, wide)),
    }


def sheet_mean() -> Fields:
    """The sheet of Chang et al. with space averaged out; see `SpikingNetwork.sheet_mean`."""
    return {
        "size": (30_000, 10_000),
        "strength": ((3.0, 9.0), (5.0, 10.0)),
        "probability": np.full((2, 2), 0.002),
        "decay": ((3.0, 10.0), (3.0, 10.0)),
        "membrane_time": 20.0,
        "refractory_time": 2.0,
        "refractory": "fixed",
        "external_rate": 0.0,
        "external_mean": 5.0,
        "external_sd": np.sqrt(5.0),
        "initial_mean": 20.0,
        "initial_spread": 10.0,
    }
