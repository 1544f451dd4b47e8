"""Which orders and which cells the quadrature takes where they are not given, from a short trial run.

With the rates r of the trial a channel has the noise intensity q_c = sum s^2 p N r, which is Var X/tau, and the
external drive lambda'/2 (lambda' = lambda, divided by tau_m^2 where there is a leak). A potential remembers for t_e,
the shorter of tau_m and the interval between spikes, so that its variance is about

    var V = lambda' t_e/2 + sum_c q_c t_e^2/(tau_c + t_e),   half of that without leak;                          (S66)

the cells are at most 0.8 of its root wide, and at most M/12.5. The orders minimise

    share_E/(N_E + 1)^1.5 + share_I/(N_I + 1)^1.5,   share = q_c/(lambda'/2 + sum q),                            (S67)

with at most 20 families. Both rules are largen's own, from 22 random networks; their power is measured, not derived.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.systems.spiking.reduction.quadrature.layout import Channels, channel_orders, families_of

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

TRIAL = 300.0
"""Length of the trial run (ms); rates are those of its second half."""
TRIAL_CELLS = 13
"""Its cells between reset and threshold."""
FAMILIES = 20
"""Families of a population that the rule takes at most."""
HIGHEST = 8
"""Highest order that the rule takes."""
QUIET = 0.03
"""A sign with a smaller share of the noise gets an order of at most 1."""
WIDEST, OF_SPREAD = 12.5, 0.8
MOST_CELLS_ABOVE = 200
"""Cells between reset and threshold that the rule takes at most."""


class Noise(NamedTuple):
    """The noise of a network at given rates.

    Attributes:
        share: Largest share of excitation and of inhibition over the populations, shape (2,).
        spread: Smallest standard deviation of V over the populations (S66).
    """

    share: np.ndarray
    spread: float


def measure(model: "SpikingNetwork", channels: Channels, rates: np.ndarray, kicks: np.ndarray) -> Noise:
    """The noise at rates (Hz) and external kicks per ms, shape (P,)."""
    P = len(model.size)
    membrane = np.broadcast_to(np.asarray(model.membrane_time, np.float64), (P,))
    leaky = np.isfinite(membrane)
    external = np.where(leaky, kicks / np.where(leaky, membrane, 1.0) ** 2, kicks)
    rates = np.maximum(rates, 1e-3)
    memory = np.minimum(membrane, 1000.0 / rates)
    variance, intensity = 0.5 * external * memory, np.zeros((P, 2))
    strength, probability = np.array(model.strength), np.array(model.probability)
    for c, target in enumerate(channels.target.tolist()):
        sources = channels.class_source[channels.classes[c] : channels.classes[c + 1]]
        inputs = probability[target, sources] * np.array(model.size)[sources]
        q = float(np.sum(strength[target, sources] ** 2 * inputs * rates[sources])) / 1000.0
        intensity[target, int(channels.inhibitory[c])] += q
        variance[target] += q * memory[target] ** 2 / (channels.decay[c] + memory[target])
    whole = 0.5 * external + intensity.sum(1)
    share = intensity / np.where(whole > 0.0, whole, 1.0)[:, None]
    variance = np.where(leaky, variance, 0.5 * variance)
    positive = variance[variance > 0.0]
    return Noise(share.max(0), float(np.sqrt(positive.min())) if len(positive) else np.inf)


def choose_cells(threshold: float, noise: Noise) -> int:
    """Number of cells between reset and threshold by (S66)."""
    wanted = np.ceil(threshold / min(threshold / WIDEST, OF_SPREAD * noise.spread) - 1e-9)
    return int(min(wanted, MOST_CELLS_ABOVE))


def choose_orders(channels: Channels, noise: Noise, populations: int) -> tuple[int, int]:
    """Orders of excitation and inhibition by (S67)."""
    best, least = (0, 0), np.inf
    present = [bool(np.any((channels.inhibitory == sign) & ~channels.silent)) for sign in (False, True)]
    highest = [
        (1 if share < QUIET else HIGHEST) if there else 0 for share, there in zip(noise.share, present, strict=True)
    ]
    for excitatory in range(highest[0] + 1):
        for inhibitory in range(highest[1] + 1):
            orders = channel_orders(channels, excitatory, inhibitory)
            if families_of(channels, orders, populations).max(initial=1) > FAMILIES:
                continue
            rest = noise.share[0] / (excitatory + 1) ** 1.5 + noise.share[1] / (inhibitory + 1) ** 1.5
            if rest < least:
                best, least = (excitatory, inhibitory), rest
    return best


def one_less(orders: tuple[int, int], noise: Noise) -> tuple[int, int]:
    """One order less for the sign with the larger share of the noise, or for the other where that has none."""
    first = int(noise.share[1] > noise.share[0])
    lower = list(orders)
    for sign in (first, 1 - first):
        if lower[sign] > 0:
            lower[sign] -= 1
            break
    return lower[0], lower[1]
