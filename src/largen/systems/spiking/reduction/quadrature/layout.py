"""The constants of the quadrature: cells, channels with their families, what a step needs of the model (numba).

Potentials are counted in cells from the lowest edge, where every population has a width of its own and all have as many
cells: x = (V - lowest)/width. So the threshold is the edge K of every population, and its reset an edge below.
"""

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.checks import InputError, require
from largen.systems.spiking import constants
from largen.systems.spiking.drive import Drive
from largen.systems.spiking.reduction.patches import Patches, no_patches, patches_of, repeat
from largen.systems.spiking.reduction.quadrature.cells import MOST_CELLS, padded
from largen.systems.spiking.reduction.quadrature.channels import (
    MOST_FAMILIES,
    Channels,
    channel_orders,
    channels_of,
    families_of,
)
from largen.systems.spiking.reduction.quadrature.drive import MOST_LOST, in_cells, poisson_kicks, reach_of
from largen.systems.spiking.reduction.quadrature.flow import FlowMatrix, flow_matrix
from largen.systems.spiking.reduction.quadrature.kicks import HIGHEST_OF_RELEASE, Kicks, no_kicks, tabulate
from largen.systems.spiking.reduction.quadrature.nodes import MOST_NODES, floor_of
from largen.systems.spiking.reduction.quadrature.start import first_density
from largen.systems.spiking.time_step import refractory_steps, release

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork
    from largen.systems.spiking.sheet import Sheet

__all__ = ["Channels", "Grid", "Layout", "build_layout", "channel_orders", "channels_of", "edges_of", "families_of"]


class Grid(NamedTuple):
    """What a run is computed on.

    Attributes:
        orders: Order of every channel, in the order of `Channels`; see `channel_orders`.
        above: Cells from reset to threshold.
        below: Cells below the reset.
        dt: Step (ms).
    """

    orders: tuple[int, ...]
    above: int
    below: int
    dt: float


class Layout(NamedTuple):
    """The constants of a run: P populations, K cells, C channels, J classes (target, source), F families.

    Attributes:
        size: Neurons, shape (P,).
        unit: Width of the cells in units of the potential, shape (P,); what follows is in cells.
        leak: dt/tau_m; 0 where the neuron's own flow is tabulated, shape (P,).
        keep: exp(-dt/tau_m), shape (P,).
        rest: Potential to which the leak goes, shape (P,).
        reversal: Reversal potential of inhibition, shape (P,).
        reset: Cell that starts at the reset potential, shape (P,).
        kick: Size of Poisson kicks before the leak, 0 without such, shape (P,).
        relaxes: Whether conductances relax the potential during a step (S64), else they act as it was before.
        flow: The neuron's own flow, where it is tabulated.
        leave: Probability of leaving the refractory pool in a step, shape (P,).
        delay: Steps in the pool if its period is fixed, else -1, shape (P,).
        longer: Fraction that stays one step more, shape (P,).
        channels: First channel of each population, shape (P + 1,).
        releases: Whether synapses kick when they release: then a family is an order of `release`, and its nodes are
            orders.
        early: 1 where a channel is released before the flow, shape (C,).
        kicks: Where kicks of a release take the density of a cell; tables of the channels of one patch.
        families: Families of each population, shape (P,).
        shown: Those of them that add up to the population, shape (P,).
        nodes: Nodes of each channel, shape (C,).
        stride: Families between two nodes of a channel, shape (C,).
        counts: 1 where spikes are pending, 0 where a current decays, shape (C,).
        pulls: 1 where the channel is a conductance, shape (C,).
        stay: What is left of a pending spike or of a current after a step, shape (C,).
        charge: What X = 1 adds to the potential in a step with the leak alone, or to the pull of a conductance:
            2 q/(2 - q) of pending spikes (S65), T of a current (S24); the kick of a release, shape (C,).
        steepest: Largest |g|, shape (C,).
        jump: Typical size of a jump of X, smallest and largest, shape (C, 3).
        outside: What an external kick adds to X, shape (C,).
        poisson: Whether external kicks have Poisson's law.
        classes: First class of each channel, shape (C + 1,).
        source: Population that spikes, shape (J,).
        target: Population that receives, shape (J,).
        counted: Whether any class has pending spikes.
        inputs: Mean in-degree kappa, shape (J,).
        chance: p of `probability`, which thins the number of arrivals, else 0, shape (J,).
        degree: K of `in_degree`, else infinite, shape (J,).
        alike: Every class is counted by itself, shape (J,).
        shares: Shares of the delays of 1, 2, ... steps, shape (J, D).
        weight: What a spike adds to X, in cells or, to a conductance, in units of the span from V_I to the threshold,
            shape (J,).
        spread: Squared relative spread of strengths, shape (J,).
        halfway: Probability 1 - q/2 that a pending spike is there halfway through its first step, else 1, shape (J,).
        dt: Step (ms).
        cells: K.
        row: Length of a family's row for one degree of the density.
        slots: Slots of the refractory pool: 1, or the steps of a fixed period.
        reach: Cells that the external noise reaches at most.
        first: Density at the start, as rows of families, shape (P, 3 row).
        patches: How spikes travel between patches; with them `source` counts kinds.
    """

    size: np.ndarray
    unit: np.ndarray
    leak: np.ndarray
    keep: np.ndarray
    rest: np.ndarray
    reversal: np.ndarray
    reset: np.ndarray
    kick: np.ndarray
    relaxes: bool
    flow: FlowMatrix
    leave: np.ndarray
    delay: np.ndarray
    longer: np.ndarray
    channels: np.ndarray
    releases: bool
    early: np.ndarray
    kicks: Kicks
    families: np.ndarray
    shown: np.ndarray
    nodes: np.ndarray
    stride: np.ndarray
    counts: np.ndarray
    pulls: np.ndarray
    stay: np.ndarray
    charge: np.ndarray
    steepest: np.ndarray
    jump: np.ndarray
    outside: np.ndarray
    poisson: bool
    classes: np.ndarray
    source: np.ndarray
    target: np.ndarray
    counted: bool
    inputs: np.ndarray
    chance: np.ndarray
    degree: np.ndarray
    alike: np.ndarray
    shares: np.ndarray
    weight: np.ndarray
    spread: np.ndarray
    halfway: np.ndarray
    dt: float
    cells: int
    row: int
    slots: int
    reach: int
    first: np.ndarray
    patches: Patches


def edges_of(model: "SpikingNetwork", grid: Grid) -> np.ndarray:
    """Edges of the cells of every population in units of the potential, shape (P, K + 1)."""
    high, low = (constants.per_population(model, value) for value in (model.threshold, model.reset))
    return low[:, None] + np.arange(-grid.below, grid.above + 1) * ((high - low) / grid.above)[:, None]


def build_layout(model: "SpikingNetwork", channels: Channels, grid: Grid, drive: Drive) -> Layout:
    """Return the constants of a run.

    Args:
        model: The network, already scaled to its number of neurons.
        channels: Its channels.
        grid: Orders, cells and step.
        drive: The external drive.

    Raises:
        InputError: The cells or the families are too many.
    """
    size, dt = np.array(model.size, np.float64), grid.dt
    P, orders = len(size), np.array(grid.orders, np.int64)
    families = families_of(channels, grid.orders, P)
    _check_families(families, orders, HIGHEST_OF_RELEASE if model.synapse == "release" else MOST_NODES - 1)
    edges, reach = edges_of(model, grid), _reach(model, drive, grid)
    cells, unit, leaky = edges.shape[1] - 1, edges[:, 1] - edges[:, 0], model.neuron == "leaky"
    if not fits(model, drive, grid):
        raise InputError(
            f"Argument `bin_width` must be larger: {unit.min():g} makes {cells} cells, and noise that reaches {reach} "
            f"of them in a step, of {MOST_CELLS} that are possible in all."
        )
    step = constants.propagators(model, dt)
    return Layout(
        size=size,
        unit=unit,
        leak=dt / constants.per_population(model, model.membrane_time) if leaky else np.zeros(P),
        keep=step.membrane,
        rest=(constants.per_population(model, model.rest) - edges[:, 0]) / unit,
        reversal=(model.reversal - edges[:, 0]) / unit,
        reset=np.full(P, grid.below),
        kick=poisson_kicks(model, dt, unit),
        relaxes=model.synapse == "pending",
        flow=flow_matrix(model, dt, edges, reach),
        **_refractory(model, dt),
        **_channels(model, channels, orders, dt, unit, families),
        kicks=_tables(model, channels, edges),
        **_classes(model, channels, dt, unit),
        dt=float(dt),
        cells=cells,
        row=padded(cells),
        reach=reach,
        first=first_density(model, edges, padded(cells)),
        patches=no_patches(),
    )


AXES = dict.fromkeys(
    (
        "size", "unit", "leak", "keep", "rest", "reversal", "reset", "kick", "leave", "delay", "longer", "families",
        "shown", "first", "early", "nodes", "stride", "counts", "pulls", "stay", "charge", "steepest", "jump",
        "outside", "source", "inputs", "chance", "degree", "shares", "weight", "spread", "halfway",
    ),
    "all",
) | {"channels": "first", "classes": "first", "target": "population", "alike": "entry"}  # fmt: skip
"""First axes of the constants that every patch has; see `patches.repeat`."""


def in_patches(layout: Layout, sheet: "Sheet") -> Layout:
    """The constants of a sheet from those of one patch; spikes are counted per neuron."""
    size = layout.size / sheet.space.count
    pairs, dt = (layout.target, layout.source), layout.dt
    patches = patches_of(sheet.probability, size, pairs, layout.shares, sheet.pattern(dt), sheet.matrix)
    flow = layout.flow
    rows = (np.concatenate([values] * sheet.space.count) for values in (flow.first, flow.start, flow.entries))
    return repeat(layout._replace(size=size, flow=FlowMatrix(flow.above, *rows)), patches, AXES)


def fits(model: "SpikingNetwork", drive: Drive, grid: Grid) -> bool:
    """Whether there is room for the cells of a grid and for what the noise reaches beyond them."""
    return bool(grid.above + grid.below + 1 + 6 * _reach(model, drive, grid) + 16 <= MOST_CELLS)


def _reach(model: "SpikingNetwork", drive: Drive, grid: Grid) -> int:
    """Cells that the external noise reaches at most."""
    high, low = (constants.per_population(model, value) for value in (model.threshold, model.reset))
    unit = (high - low) / grid.above
    inputs = in_cells(model, drive, grid.dt, unit)
    lost = MOST_LOST if model.synapse == "exponential" and model.inhibition == "conductance" else 1.0
    return min(reach_of(lost * inputs.sd, lost * poisson_kicks(model, grid.dt, unit), inputs.number), MOST_CELLS)


def _check_families(families: np.ndarray, orders: np.ndarray, highest: int) -> None:
    given = tuple(int(order) for order in orders)
    require(np.all(orders <= highest), "orders", f"be at most {highest}", given)
    if families.max() > MOST_FAMILIES:
        raise InputError(
            f"Argument `orders` must give at most {MOST_FAMILIES} families for each population, but gives "
            f"{int(families.max())}: every decay time and sign of synapse multiplies them by its order + 1. "
            "Choose lower orders, equal decay times, or closure='joint'."
        )


def _refractory(model: "SpikingNetwork", dt: float) -> dict:
    """The refractory pool."""
    fixed, steps = model.refractory == "fixed", refractory_steps(model, dt)
    if fixed and float(np.max(steps)) > MOST_CELLS:
        raise InputError(
            f"Argument `refractory_time` must be at most {MOST_CELLS} steps of dt with closure='quadrature' and a "
            f"fixed period, but is {float(np.max(steps)):g} steps."
        )
    delay = np.floor(steps).astype(np.int64) if fixed else np.full(len(steps), -1)
    with np.errstate(divide="ignore"):
        leave = -np.expm1(-dt / constants.per_population(model, model.refractory_time))
    return {
        "leave": leave,
        "delay": delay,
        "longer": steps - np.floor(steps),
        "slots": int(delay.max()) + 2 if fixed else 1,
    }


def _channels(
    model: "SpikingNetwork", channels: Channels, orders: np.ndarray, dt: float, unit: np.ndarray, families: np.ndarray
) -> dict:
    """The channels, their families, and what X does in a step."""
    P, target, step = len(unit), channels.target, constants.propagators(model, dt)
    q = release(dt, channels.decay).probability
    leak = dt / constants.per_population(model, model.membrane_time) if model.neuron == "leaky" else np.zeros(P)
    current = constants.channel_charge(dt, leak[target] / dt, channels.decay)
    pending = 2.0 * q / (2.0 - q) * np.where(channels.pulls, 1.0, step.drive[target] / dt)
    bounds, charge, releases = (
        np.searchsorted(target, np.arange(P + 1)),
        np.where(channels.counts, pending, current),
        False,
    )
    if model.synapse == "release":
        releases, charge = True, _kicks(model, channels, unit)
    return {
        "channels": bounds,
        "releases": releases,
        "early": channels.inhibitory.astype(np.int64),
        "families": families,
        "shown": np.ones_like(families) if releases else families,
        "nodes": orders + 1,
        "stride": _strides(bounds, orders + 1),
        "counts": channels.counts.astype(np.int64),
        "pulls": channels.pulls.astype(np.int64),
        "stay": 1.0 - q,
        "charge": charge,
        "steepest": np.array([1.0 / np.sqrt(floor_of(int(order))) for order in orders]),
        "outside": np.where(channels.outside, constants.external_kicks(model).size[target] / unit[target], 0.0),
        "poisson": model.external == "poisson",
    }


def _kicks(model: "SpikingNetwork", channels: Channels, unit: np.ndarray) -> np.ndarray:
    """Size of the kick of every channel, in cells, or what a conductance takes of V - V_I, shape (C,)."""
    first = channels.classes[:-1]
    target, source = channels.class_target[first], channels.class_source[first]
    size = constants.weights(model)[target, source]
    span = constants.per_population(model, model.threshold) - model.reversal
    return np.where(channels.pulls, np.abs(size) / span[target], size / unit[target])


def _tables(model: "SpikingNetwork", channels: Channels, edges: np.ndarray) -> Kicks:
    """Where the kicks of a release take the density of a cell."""
    if model.synapse != "release":
        return no_kicks()
    unit = edges[:, 1] - edges[:, 0]
    reversal = ((model.reversal - edges[:, 0]) / unit)[channels.target]
    return tabulate(_kicks(model, channels, unit), channels.pulls, reversal, edges.shape[1] - 1)


def _classes(model: "SpikingNetwork", channels: Channels, dt: float, unit: np.ndarray) -> dict:
    """The classes of synapses, and the sizes of their jumps of X."""
    target, source = channels.class_target, channels.class_source
    of_class = np.repeat(np.arange(len(channels.target)), np.diff(channels.classes))
    kappa, pulls = constants.in_degrees(model), channels.pulls[of_class]
    span = constants.per_population(model, model.threshold) - model.reversal
    chance = constants.per_pair(model, model.probability if model.probability is not None else 0.0)
    degree = kappa if model.in_degree is not None else np.full_like(kappa, np.inf)
    weight = constants.weights(model)[target, source]
    weight = np.where(pulls, np.abs(weight) / span[target], weight / unit[target])
    inputs = kappa[target, source]
    q = release(dt, channels.decay).probability[of_class]
    return {
        "classes": channels.classes,
        "source": source,
        "target": target,
        "counted": bool(np.any(channels.counts)) if len(source) else False,
        "inputs": inputs,
        "chance": chance[target, source],
        "degree": degree[target, source],
        "alike": np.arange(len(source)),
        "shares": np.ascontiguousarray(constants.delays(model, dt).shares[target, source]),
        "weight": weight,
        "spread": constants.per_pair(model, model.strength_spread)[target, source] ** 2,
        "halfway": np.where(channels.counts[of_class], 1.0 - 0.5 * q, 1.0),
        "jump": _jumps(channels, weight, inputs),
    }


def _strides(bounds: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Families between two nodes of every channel; the last channel of a population varies fastest."""
    stride = np.ones(len(nodes), np.int64)
    for low, high in itertools.pairwise(bounds):
        for c in range(high - 2, low - 1, -1):
            stride[c] = stride[c + 1] * nodes[c + 1]
    return stride


def _jumps(channels: Channels, weight: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Mean jump by arrivals, smallest and largest of every channel, of those that are not 0; shape (C, 3)."""
    jumps = np.ones((len(channels.target), 3))
    for c in range(len(jumps)):
        chosen = slice(channels.classes[c], channels.classes[c + 1])
        s, number = weight[chosen], inputs[chosen]
        s, number = s[s != 0.0], number[s != 0.0]
        if len(s):
            jumps[c] = np.average(s, weights=number), s.min(), s.max()
    return jumps
