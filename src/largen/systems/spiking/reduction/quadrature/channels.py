"""The channels of a model: what reaches one population through synapses of one kind and decay time.

Excitation and inhibition that is a conductance are channels of their own; where inhibition is a current, both share the
channels of their decay times, with signs. External kicks that pass an exponential synapse join such a channel, or make
one.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from largen.checks import InputError, integer, require, shown
from largen.systems.spiking import constants

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

MOST_FAMILIES = 128
"""Families of a population at most: the product of nodes over its channels."""


class Channels(NamedTuple):
    """The channels of a model, C of them, and the classes of synapses (target, source) in them, J.

    Attributes:
        target: Population that receives, shape (C,).
        inhibitory: Whether all that it brings inhibits, shape (C,).
        pulls: Whether it is a conductance, shape (C,).
        counts: Whether its spikes are pending or a current decays, shape (C,).
        decay: Time constant tau (ms), shape (C,).
        outside: Whether external kicks pass it, shape (C,).
        silent: Whether every strength is 0, shape (C,).
        classes: First class of each channel, shape (C + 1,).
        class_target: Target of every class, shape (J,).
        class_source: Source of every class, shape (J,).
    """

    target: np.ndarray
    inhibitory: np.ndarray
    pulls: np.ndarray
    counts: np.ndarray
    decay: np.ndarray
    outside: np.ndarray
    silent: np.ndarray
    classes: np.ndarray
    class_target: np.ndarray
    class_source: np.ndarray


def channels_of(model: "SpikingNetwork") -> Channels:
    """The channels of a model, sorted by target, conductance and decay time."""
    weight, decay = constants.weights(model), constants.per_pair(model, model.decay)
    inhibitory, conductance = np.asarray(model.inhibitory, bool), model.inhibition == "conductance"
    counts = model.synapse != "exponential"
    one_size, size = model.synapse == "release", constants.per_pair(model, model.strength)
    members: dict[tuple[int, bool, float, bool, float], list[int]] = {}
    for a, b in np.argwhere(constants.in_degrees(model) > 0.0).tolist():
        sign = float(inhibitory[b]) - 0.5
        own = sign * float(size[a, b]) if one_size else 0.0
        members.setdefault((a, bool(inhibitory[b]) and conductance, float(decay[a, b]), counts, own), []).append(b)
    outside = constants.per_population(model, model.external_decay)
    kick, external = constants.external_kicks(model), set()
    for a in np.flatnonzero((outside > 0.0) & (kick.size != 0.0) & (not _never(kick.rate))).tolist():
        external.add(key := (a, False, float(outside[a]), False, 0.0))
        members.setdefault(key, [])
    keys = sorted(members)
    sources = [members[key] for key in keys]
    return Channels(
        target=np.array([key[0] for key in keys], np.int64),
        inhibitory=np.array([key not in external and bool(np.all(inhibitory[members[key]])) for key in keys], bool),
        pulls=np.array([key[1] for key in keys], bool),
        counts=np.array([key[3] for key in keys], bool),
        decay=np.array([key[2] for key in keys], np.float64),
        outside=np.array([key in external for key in keys], bool),
        silent=np.array([key not in external and not np.any(weight[key[0], members[key]]) for key in keys], bool),
        classes=np.cumsum([0] + [len(mine) for mine in sources]).astype(np.int64),
        class_target=np.array([key[0] for key in keys for _ in members[key]], np.int64),
        class_source=np.array([b for mine in sources for b in mine], np.int64),
    )


def _never(rate: np.ndarray | None) -> bool:
    return rate is not None and not np.any(rate > 0.0)


def groups_of(channels: Channels) -> tuple[np.ndarray, tuple[int, int]]:
    """What has one order: the channels of one sign with the shortest decay time of their target, with the next, ...

    Returns:
        Group of every channel, shape (C,), excitatory groups first; number of groups of each sign, at least 1.
    """
    rank, seen = np.zeros(len(channels.target), np.int64), {}
    for c in np.argsort(channels.decay, kind="stable").tolist():
        key = int(channels.target[c]), bool(channels.inhibitory[c])
        rank[c] = seen[key] = seen.get(key, -1) + 1
    count = [1 + int(rank[channels.inhibitory == sign].max(initial=0)) for sign in (False, True)]
    return rank + count[0] * channels.inhibitory, (count[0], count[1])


def given_orders(channels: Channels, orders: Any) -> tuple[int, ...] | None:
    """The orders of all groups from what a user gave: one for each sign, or for each group; None for "auto"."""
    excitatory, inhibitory = groups_of(channels)[1]
    must = "be 'auto' or (excitatory, inhibitory)"
    if excitatory + inhibitory > 2:
        must += f", or one for each decay time, the shortest first: {excitatory} excitatory, {inhibitory} inhibitory"
    if isinstance(orders, str):
        require(orders == "auto", "orders", must, orders)
        return None
    if np.shape(orders) not in ((2,), (excitatory + inhibitory,)):
        raise InputError(f"Argument `orders` must {must}, but is {shown(orders)}.")
    return group_orders(channels, tuple(integer("orders", order, low=0) for order in orders))


def group_orders(channels: Channels, orders: tuple[int, ...]) -> tuple[int, ...]:
    """The order of every group, from one for each group or one for each sign."""
    counts = groups_of(channels)[1]
    if len(orders) == sum(counts):
        return orders
    return (orders[0],) * counts[0] + (orders[1],) * counts[1]


def by_sign(channels: Channels, orders: tuple[int, ...]) -> tuple[int, ...]:
    """Orders of groups as (excitatory, inhibitory), where all of one sign have the same."""
    first = groups_of(channels)[1][0]
    signs = set(orders[:first]), set(orders[first:])
    return (orders[0], orders[-1]) if all(len(sign) == 1 for sign in signs) else orders


def channel_orders(channels: Channels, orders: tuple[int, ...]) -> tuple[int, ...]:
    """The order of every channel, from those of `group_orders`; a channel without strength has order 0."""
    by_channel = np.array(group_orders(channels, orders))[groups_of(channels)[0]]
    return tuple(int(order) for order in np.where(channels.silent, 0, by_channel))


def families_of(channels: Channels, orders: tuple[int, ...], populations: int) -> np.ndarray:
    """Number of families of every population, shape (P,)."""
    families = np.ones(populations, np.int64)
    for target, order in zip(channels.target.tolist(), orders, strict=True):
        families[target] *= order + 1
    return families
