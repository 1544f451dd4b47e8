"""The constants of the quadrature: cells, channels with their families, what a step needs of the model (numba)."""

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.checks import InputError, require
from largen.systems.spiking.discretisation import bin_edges, reset_bin
from largen.systems.spiking.reduction.layout import merge_classes
from largen.systems.spiking.reduction.quadrature.cells import MOST_CELLS, TAIL, padded
from largen.systems.spiking.reduction.quadrature.nodes import MOST_NODES, floor_of
from largen.systems.spiking.time_step import refractory_steps, release

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

MOST_FAMILIES = 128
"""Families of a population at most: the product of nodes over its channels."""


class Grid(NamedTuple):
    """What a run is computed on.

    Attributes:
        orders: Order of every channel, in the order of `Layout`; see `channel_orders`.
        width: Width of the cells, the threshold divided by an integer.
        depth: How far the cells reach below the reset, in thresholds.
        dt: Step (ms).
    """

    orders: tuple[int, ...]
    width: float
    depth: float
    dt: float


class Channels(NamedTuple):
    """The channels of a model: classes of one target that share the sign and the decay time, C of them.

    Attributes:
        target: Population that receives, shape (C,).
        inhibitory: Whether the sources inhibit, shape (C,).
        decay: Time constant tau (ms), shape (C,).
        silent: Whether every strength is 0, shape (C,).
        classes: First class of each channel, shape (C + 1,).
        class_target: Target of every class, shape (J,).
        class_source: Source of every class, shape (J,).
    """

    target: np.ndarray
    inhibitory: np.ndarray
    decay: np.ndarray
    silent: np.ndarray
    classes: np.ndarray
    class_target: np.ndarray
    class_source: np.ndarray


class Layout(NamedTuple):
    """The constants of a run: P populations, K cells, C channels, J classes (target, source), F families.

    Attributes:
        size: Neurons, shape (P,).
        leak: dt/tau_m, shape (P,).
        gain: Mean of V per external kick, shape (P,).
        leave: Probability of leaving the refractory pool in a step, shape (P,).
        delay: Steps in the pool if its period is fixed, else -1, shape (P,).
        longer: Fraction that stays one step more, shape (P,).
        channels: First channel of each population, shape (P + 1,).
        families: Families of each population, shape (P,).
        nodes: Nodes of each channel, shape (C,).
        stride: Families between two nodes of a channel, shape (C,).
        release: q, shape (C,).
        charge: Part of X that acts in a step, 2 q/(2 - q) (S65), shape (C,).
        floor: Smallest nu, shape (C,).
        inhibitory: 1 or 0, shape (C,).
        classes: First class of each channel, shape (C + 1,).
        source: Population that spikes, shape (J,).
        target: Population that receives, shape (J,).
        arrivals: p N_b, spikes that a neuron receives per spike and neuron of the source, shape (J,).
        halfway: Probability p (1 - q/2) that a spike arrives and is there halfway through the step, shape (J,).
        strength: s, in units of the potential, shape (J,).
        jump: Typical strength of a channel, smallest and largest, shape (C, 3).
        dt: Step (ms).
        cells: K.
        row: Length of a family's row for one degree of the density.
        width: Width w of the cells, in units of the potential like the next ones.
        lowest: Lowest edge.
        reset: Cell that starts at the reset potential.
        span: Threshold minus reversal potential of inhibition.
        reversal: Reversal potential of inhibition.
        slots: Slots of the refractory pool: 1, or the steps of a fixed period.
        reach: Cells that the external noise reaches at most.
    """

    size: np.ndarray
    leak: np.ndarray
    gain: np.ndarray
    leave: np.ndarray
    delay: np.ndarray
    longer: np.ndarray
    channels: np.ndarray
    families: np.ndarray
    nodes: np.ndarray
    stride: np.ndarray
    release: np.ndarray
    charge: np.ndarray
    floor: np.ndarray
    inhibitory: np.ndarray
    classes: np.ndarray
    source: np.ndarray
    target: np.ndarray
    arrivals: np.ndarray
    halfway: np.ndarray
    strength: np.ndarray
    jump: np.ndarray
    dt: float
    cells: int
    row: int
    width: float
    lowest: float
    reset: int
    span: float
    reversal: float
    slots: int
    reach: int


def channels_of(model: "SpikingNetwork") -> Channels:
    """The channels of a model, sorted by target, sign and decay time."""
    target, source, starts = merge_classes(model)
    first = starts[:-1]
    strength = np.array(model.strength)[target, source]
    silent = np.array([not np.any(strength[low:high] > 0.0) for low, high in zip(first, starts[1:], strict=True)], bool)
    return Channels(
        target=target[first],
        inhibitory=np.array(model.inhibitory)[source[first]],
        decay=np.array(model.decay)[target[first], source[first]],
        silent=silent,
        classes=starts,
        class_target=target,
        class_source=source,
    )


def channel_orders(channels: Channels, excitatory: int, inhibitory: int) -> tuple[int, ...]:
    """The order of every channel from one for each sign; a channel without strength has order 0."""
    orders = np.where(channels.inhibitory, inhibitory, excitatory)
    return tuple(int(order) for order in np.where(channels.silent, 0, orders))


def families_of(channels: Channels, orders: tuple[int, ...], populations: int) -> np.ndarray:
    """Number of families of every population, shape (P,)."""
    families = np.ones(populations, np.int64)
    for target, order in zip(channels.target.tolist(), orders, strict=True):
        families[target] *= order + 1
    return families


def external_sd(model: "SpikingNetwork", drive: np.ndarray, dt: float) -> np.ndarray:
    """Standard deviation of the external noise of a step before the leak acts on it, shape (..., P).

    A step contracts it by exp(-dt/tau_m), which leaves the variance phi(2 dt/tau_m) of (S2).
    """
    leak = dt / np.broadcast_to(model.membrane_time, (len(model.size),))
    gain = np.where(leak > 0.0, leak / dt, 1.0)
    grown = np.divide(np.expm1(2.0 * leak), 2.0 * leak, out=np.ones_like(leak), where=leak > 0.0)
    return gain * np.sqrt(drive * dt * grown)


def build_layout(model: "SpikingNetwork", channels: Channels, grid: Grid, drive: np.ndarray) -> Layout:
    """Return the constants of a run.

    Args:
        model: The network, already scaled to its number of neurons.
        channels: Its channels.
        grid: Orders, cells and step.
        drive: External kicks per ms at every step, shape (step, P), or (1, P) for a constant.

    Raises:
        InputError: The cells or the families are too many.
    """
    size, dt = np.array(model.size, np.float64), grid.dt
    P, orders = len(size), np.array(grid.orders, np.int64)
    families = families_of(channels, grid.orders, P)
    _check_families(families, orders)
    edges = bin_edges(float(model.threshold), grid.width, grid.depth)
    cells, width, reach = len(edges) - 1, float(edges[1] - edges[0]), _reach(model, drive, grid)
    if not fits(model, drive, grid):
        raise InputError(
            f"Argument `bin_width` must be larger: {width:g} makes {cells} cells, and noise that reaches {reach} of "
            f"them in a step, of {MOST_CELLS} that are possible in all."
        )
    leak = dt / np.broadcast_to(model.membrane_time, (P,))
    fixed, steps = model.refractory == "fixed", refractory_steps(model, dt)
    if fixed and float(np.max(steps)) > MOST_CELLS:
        raise InputError(
            f"Argument `refractory_time` must be at most {MOST_CELLS} steps of dt with closure='quadrature' and a "
            f"fixed period, but is {float(np.max(steps)):g} steps."
        )
    delay = np.floor(steps).astype(np.int64) if fixed else np.full(P, -1)
    target, source = channels.class_target, channels.class_source
    probability, strength = (np.array(x)[target, source] for x in (model.probability, model.strength))
    q = release(dt, channels.decay).probability
    of_class = np.repeat(np.arange(len(q)), np.diff(channels.classes))
    bounds = np.searchsorted(channels.target, np.arange(P + 1))
    return Layout(
        size=size,
        leak=np.array(leak),
        gain=np.where(leak > 0.0, leak / dt, 1.0),
        leave=-np.expm1(-dt / np.array(np.broadcast_to(model.refractory_time, (P,)), np.float64)),
        delay=delay,
        longer=steps - np.floor(steps),
        channels=bounds,
        families=families,
        nodes=orders + 1,
        stride=_strides(bounds, orders + 1),
        release=q,
        charge=2.0 * q / (2.0 - q),
        floor=np.array([floor_of(int(order)) for order in orders]),
        inhibitory=channels.inhibitory.astype(np.int64),
        classes=channels.classes,
        source=source,
        target=target,
        arrivals=probability * size[source],
        halfway=probability * (1.0 - 0.5 * q[of_class]),
        strength=strength,
        jump=_jumps(channels, strength, probability * size[source]),
        dt=float(dt),
        cells=cells,
        row=padded(cells),
        width=width,
        lowest=float(edges[0]),
        reset=reset_bin(edges),
        span=float(model.threshold - model.reversal),
        reversal=float(model.reversal),
        slots=int(delay.max()) + 2 if fixed else 1,
        reach=reach,
    )


def fits(model: "SpikingNetwork", drive: np.ndarray, grid: Grid) -> bool:
    """Whether there is room for the cells of a grid and for what the noise reaches beyond them."""
    cells = (1.0 + grid.depth) * float(model.threshold) / grid.width
    return bool(cells + 1.0 + 4 * _reach(model, drive, grid) + 8 <= MOST_CELLS)


def _reach(model: "SpikingNetwork", drive: np.ndarray, grid: Grid) -> int:
    """Cells that the external noise reaches at most."""
    sd = float(np.max(external_sd(model, drive, grid.dt))) / grid.width
    return int(min(np.ceil(TAIL * sd), MOST_CELLS))


def _check_families(families: np.ndarray, orders: np.ndarray) -> None:
    given = tuple(int(order) for order in orders)
    require(np.all(orders < MOST_NODES), "orders", f"be at most {MOST_NODES - 1}", given)
    if families.max() > MOST_FAMILIES:
        raise InputError(
            f"Argument `orders` must give at most {MOST_FAMILIES} families for each population, but gives "
            f"{int(families.max())}: every decay time and sign of synapse multiplies them by its order + 1. "
            "Choose lower orders, equal decay times, or closure='joint'."
        )


def _strides(bounds: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Families between two nodes of every channel; the last channel of a population varies fastest."""
    stride = np.ones(len(nodes), np.int64)
    for low, high in itertools.pairwise(bounds):
        for c in range(high - 2, low - 1, -1):
            stride[c] = stride[c + 1] * nodes[c + 1]
    return stride


def _jumps(channels: Channels, strength: np.ndarray, arrivals: np.ndarray) -> np.ndarray:
    """Mean strength by arrivals, smallest and largest of every channel, of those that are not 0; shape (C, 3)."""
    jumps = np.ones((len(channels.target), 3))
    for c in np.flatnonzero(~channels.silent):
        chosen = slice(channels.classes[c], channels.classes[c + 1])
        s, weight = strength[chosen], arrivals[chosen]
        s, weight = s[s > 0.0], weight[s > 0.0]
        jumps[c] = np.average(s, weights=weight), s.min(), s.max()
    return jumps
