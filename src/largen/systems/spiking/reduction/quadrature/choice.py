"""Which orders and which cells the quadrature takes where they are not given, from a short trial run.

With the rates r of the trial a channel has the noise intensity q_c = sum s^2 kappa r (half of it for exponential
synapses of area s), which is tau times the variance of its current, and the external drive lambda'/2 (lambda' is the
rate of kicks times their size squared, and the white noise). A potential remembers for t_e, the shorter of tau_m and
the interval between spikes, so that its variance is about

    var V = lambda' t_e/2 + sum_c q_c t_e^2/(tau_c + t_e),   half of that without leak;                          (S66)

the cells are at most 0.8 of its root wide, at most 1/12.5 of the span from reset to threshold, and no wider than the
slope of an exponential neuron's spike or the bottleneck of a quadratic neuron. The orders minimise

    sum_c share_c/(N_c + 1)^1.5,   share_c = q_c/(lambda'/2 + sum q),                                            (S67)

with at most 20 families where a sign has one decay time, and sqrt(2) times as many for every further one. A channel of
order 0 has no noise, and counts three times as much. Both rules are largen's own, from 22 random networks; their power
is measured, not derived.

Synapses that kick at release need orders only for arrivals that are not Poisson. With a probability p of connection
the pending spikes of a class have 1 - p/2 times the variance of a Poisson number. Every order leaves at most p/2 of the
error before it (of seven networks up to p = 0.4 the largest part was 0.06); how large that of order 0 is depends on the
network: 0.15 p/2 at high rates, 5 p/2 where a population fires at half a hertz. So orders begin where the former leaves
0.25 %, and are raised, in trial runs, until p/2 times the last change is as little.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.systems.spiking import constants
from largen.systems.spiking.drive import Drive
from largen.systems.spiking.reduction.quadrature.channels import (
    MOST_FAMILIES,
    Channels,
    channel_orders,
    families_of,
    groups_of,
)
from largen.systems.spiking.reduction.quadrature.kicks import HIGHEST_OF_RELEASE

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

TRIAL = 300.0
"""Length of the trial run (ms); rates are those of its second half."""
TRIAL_CELLS = 13
"""Its cells between reset and threshold."""
FAMILIES = 20
"""Families of a population that the rule takes at most where every sign has one decay time."""
NO_NOISE = 3.0
"""What a channel of order 0 counts for in (S67)."""
HIGHEST = 8
"""Highest order that the rule takes."""
QUIET = 0.03
"""A sign with a smaller share of the noise gets an order of at most 1."""
WIDEST, OF_SPREAD = 12.5, 0.8
FEW, OF_RELEASE, LEFT, HEARD = 1e-3, 0.15, 2.5e-3, 0.1
"""Of synapses that kick at release: p up to which order 0 will do; the relative error at order 0 is at least this times
p/2; the error of a rate that may be left by the orders, and the rate (Hz) from which on it is relative."""
OF_DEGREE = 0.1
"""Fixed numbers of inputs count as this p: of a step's spikes few are from neurons that have spiked in it."""
MOST_CELLS_ABOVE = 200
"""Cells between reset and threshold that the rule takes at most."""


class Noise(NamedTuple):
    """The noise of a network at given rates.

    Attributes:
        share: Largest share of every group of channels over the populations, shape (G,).
        spread: Smallest standard deviation of V over the populations (S66), in spans from reset to threshold.
        soft: What a neuron's own flow needs of cells, in spans; infinite with a leak.
    """

    share: np.ndarray
    spread: float
    soft: float = np.inf


def measure(model: "SpikingNetwork", channels: Channels, rates: np.ndarray, drive: Drive) -> Noise:
    """The noise at rates (Hz), shape (P,), and under a drive."""
    P, rates = len(model.size), np.maximum(rates, 1e-3)
    membrane = constants.per_population(model, model.membrane_time)
    leaky, kick = np.isfinite(membrane), constants.external_kicks(model).size
    outside = constants.per_population(model, model.external_decay) > 0.0
    memory = np.minimum(membrane, 1000.0 / rates)
    external = np.where(outside, 0.0, kick**2 * drive.rate.mean(0)) + (drive.sd**2).mean(0)
    group, counts = groups_of(channels)
    variance, intensity = 0.5 * external * memory, np.zeros((P, sum(counts)))
    flow = constants.in_degrees(model) * rates / 1000.0
    area, spread = constants.weights(model), constants.per_pair(model, model.strength_spread)
    for c, target in enumerate(channels.target.tolist()):
        sources = channels.class_source[channels.classes[c] : channels.classes[c + 1]]
        brings = area[target, sources] ** 2 * (1.0 + spread[target, sources] ** 2)
        q = float(np.sum(brings * flow[target, sources]))
        if channels.outside[c]:
            q += float(kick[target] ** 2 * drive.rate.mean(0)[target])
        if not channels.counts[c]:  # the current of one spike is w exp(-t/tau), of area w tau
            q *= 0.5 * float(channels.decay[c]) ** 2
        intensity[target, group[c]] += q
        variance[target] += q * memory[target] ** 2 / (channels.decay[c] + memory[target])
    whole = 0.5 * external + intensity.sum(1)
    share = intensity / np.where(whole > 0.0, whole, 1.0)[:, None]
    variance = np.where(leaky, variance, 0.5 * variance)
    span = constants.per_population(model, model.threshold) - constants.per_population(model, model.reset)
    spread_of = np.sqrt(variance[variance > 0.0]) / span[variance > 0.0]
    return Noise(share.max(0), float(spread_of.min(initial=np.inf)), _soft_width(model, whole) / span.max())


def _soft_width(model: "SpikingNetwork", intensity: np.ndarray) -> float:
    """How narrow the flow of a neuron is: the slope of a spike, or the bottleneck of a quadratic neuron."""
    if model.neuron == "leaky":
        return np.inf
    slope = constants.per_population(model, model.slope)
    if model.neuron == "exponential":
        return float(slope.min())
    bottleneck = np.cbrt(2.0 * intensity * constants.per_population(model, model.membrane_time) * slope)
    soft, rest = (constants.per_population(model, value) for value in (model.soft_threshold, model.rest))
    widths = np.concatenate([bottleneck[bottleneck > 0.0], (soft - rest)[soft > rest]])
    return float(widths.min(initial=np.inf))


def choose_cells(noise: Noise) -> int:
    """Number of cells between reset and threshold by (S66)."""
    wanted = np.ceil(1.0 / min(1.0 / WIDEST, OF_SPREAD * noise.spread, noise.soft) - 1e-9)
    return int(min(wanted, MOST_CELLS_ABOVE))


def most_families(channels: Channels) -> int:
    """Families of a population that the rule takes at most."""
    further = sum(groups_of(channels)[1]) - 2
    return min(int(FAMILIES * 2.0 ** (0.5 * further)), MOST_FAMILIES)


def choose_orders(channels: Channels, noise: Noise, populations: int) -> tuple[int, ...]:
    """Orders of every group by (S67)."""
    group, counts = groups_of(channels)
    present = np.bincount(group[~channels.silent], minlength=sum(counts)) > 0
    highest = np.where(present, np.where(noise.share < QUIET, 1, HIGHEST), 0)
    best, least = (0,) * sum(counts), np.inf
    most = most_families(channels)

    def search(orders: tuple[int, ...]) -> None:
        nonlocal best, least
        whole = orders + (0,) * (len(highest) - len(orders))
        if families_of(channels, channel_orders(channels, whole), populations).max(initial=1) > most:
            return
        if len(orders) < len(highest):
            for order in range(highest[len(orders)] + 1):
                search((*orders, order))
            return
        number = np.array(orders)
        rest = float(np.sum(noise.share * np.where(number > 0, (number + 1.0) ** -1.5, NO_NOISE)))
        if rest < least:
            best, least = orders, rest

    search(())
    return best


def thinned(model: "SpikingNetwork") -> np.ndarray:
    """Probability p by target and source, by which arrivals vary less than a Poisson number, shape (P, P)."""
    if model.in_degree is not None:
        return np.full((len(model.size),) * 2, OF_DEGREE)
    return constants.per_pair(model, model.probability if model.probability is not None else 0.0)


def choose_orders_of_release(
    model: "SpikingNetwork", channels: Channels, rates_at: Callable[[tuple[int, ...]], np.ndarray]
) -> tuple[int, ...]:
    """Orders of every group where synapses kick at release.

    Args:
        model: The network.
        channels: Its channels.
        rates_at: Rates (Hz) of a trial run at given orders, shape (P,).
    """
    group, counts = groups_of(channels)
    p = np.zeros(sum(counts))
    for c in np.flatnonzero(~channels.silent).tolist():
        classes = slice(channels.classes[c], channels.classes[c + 1])
        of_classes = thinned(model)[channels.class_target[classes], channels.class_source[classes]]
        p[group[c]] = max(p[group[c]], float(np.max(of_classes, initial=0.0)))
    orders = np.where(p > FEW, 1, 0)
    for _ in range(HIGHEST_OF_RELEASE - 1):
        orders += (orders > 0) & (OF_RELEASE * (p / 2.0) ** (orders + 1) > LEFT)

    def possible(orders: np.ndarray) -> bool:
        by_channel = channel_orders(channels, tuple(orders.tolist()))
        return bool(families_of(channels, by_channel, len(model.size)).max(initial=1) <= most_families(channels))

    while orders.max() > 0 and not possible(orders):
        orders[np.flatnonzero(orders == orders.max())[-1]] -= 1
    rates = [rates_at(tuple(np.maximum(orders - less, 0).tolist())) for less in (1, 0)] if orders.max() > 0 else []
    while 0 < orders.max() < HIGHEST_OF_RELEASE:
        change = np.abs(rates[-1] - rates[-2]) / np.maximum(np.abs(rates[-1]), HEARD)
        higher = orders + (orders > 0)
        if change.max() * p.max() / 2.0 <= LEFT or not possible(higher):
            break
        orders = higher
        rates.append(rates_at(tuple(orders.tolist())))
    return tuple(orders.tolist())


def one_less(orders: tuple[int, ...], noise: Noise) -> tuple[int, ...]:
    """One order less for the group with the largest share of the noise of those that have an order."""
    lower = list(orders)
    for group in np.argsort(-noise.share, kind="stable").tolist():
        if lower[group] > 0:
            lower[group] -= 1
            break
    return tuple(lower)
