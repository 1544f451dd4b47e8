"""The constants of a reduction with delta synapses (numba).

Potentials are counted in bins: v = K + (V - threshold)/w, where each population has a width w of its own and all have K
bins. So the threshold is the edge K of every population, and its reset an edge below.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.systems.spiking import constants
from largen.systems.spiking.discretisation import MIN_SUPPORT
from largen.systems.spiking.flow import flow_tables
from largen.systems.spiking.reduction.layout import WHITE
from largen.systems.spiking.reduction.patches import Patches, no_patches
from largen.systems.spiking.time_step import refractory_steps

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

MOST_STEPS = 2.0**62
"""Longer refractory periods than this many steps end in no run."""


class Grid(NamedTuple):
    """The bins.

    Attributes:
        above: Bins from reset to threshold.
        below: Bins below the lowest reset.
    """

    above: int
    below: int


class DirectLayout(NamedTuple):
    """Constants: P populations, K bins, J classes of synapses (target, source); potentials in bins.

    Attributes:
        size: Neurons, shape (P,).
        bins: K.
        width: Width of a bin: 1.
        unit: Width of the bins in units of the potential, shape (P,).
        reset: Bin whose lower end is the reset, shape (P,).
        keep: With a leak the flow of a step is v -> keep v + back, shape (P,).
        back: See `keep`.
        table: Else its values at equidistant points, shape (P, point); (P, 0) with a leak.
        table_first: First point, shape (P,).
        table_by: Distance of the points, shape (P,).
        relaxation: Time in which a potential forgets, the membrane's (ms), shape (P,).
        drive: Bins per unit/ms of a drive that is not in the flow, shape (P,).
        noise: Bins^2 per unit^2/ms of white noise, shape (P,).
        kick: Size of an external kick, shape (P,).
        diffuse: 1 where external kicks are a drift with noise during the step, 0 where they come after it, shape (P,).
        poisson: Whether external kicks have Poisson's law.
        gaussian: Whether large kicks are Gaussian noise too, as diffusion theories take them.
        reversal: Reversal potential of inhibition, shape (P,).
        classes: First class of each population, shape (P + 1,).
        source: Population that spikes, shape (J,).
        inputs: Mean in-degree kappa, shape (J,).
        weight: Jump per spike, with its sign, shape (J,).
        pull: s/(threshold - V_I) of inhibition that is a conductance, else 0, shape (J,).
        chance: p of `probability`, which thins the number of arrivals, else 0, shape (J,).
        degree: K of `in_degree`, else infinite, shape (J,).
        spread: Squared relative spread of strengths, shape (J,).
        alike: First class of the same target with the same jump, pull and spread, shape (J,).
        shares: Shares of the delays of 1, 2, ... steps, shape (J, D).
        leave: Probability of leaving the refractory pool in a step, shape (P,).
        delay: Steps in the refractory pool if its period is fixed, else -1, shape (P,).
        longer: Fraction that stays one step more, shape (P,).
        adaptation: Step of w, what is left of w after dt, bins per w and step, shape (P, 3).
        adapts: Whether any population adapts.
        dt: Step (ms).
        min_support: Shortest support of the density in a bin.
        closure: Says to what it shares with other reductions that there are no deviations.
        channels: Likewise, zeros, shape (P + 1,).
        patches: How spikes travel between patches.
    """

    size: np.ndarray
    bins: int
    width: float
    unit: np.ndarray
    reset: np.ndarray
    keep: np.ndarray
    back: np.ndarray
    table: np.ndarray
    table_first: np.ndarray
    table_by: np.ndarray
    relaxation: np.ndarray
    drive: np.ndarray
    noise: np.ndarray
    kick: np.ndarray
    diffuse: np.ndarray
    poisson: bool
    gaussian: bool
    reversal: np.ndarray
    classes: np.ndarray
    source: np.ndarray
    inputs: np.ndarray
    weight: np.ndarray
    pull: np.ndarray
    chance: np.ndarray
    degree: np.ndarray
    spread: np.ndarray
    alike: np.ndarray
    shares: np.ndarray
    leave: np.ndarray
    delay: np.ndarray
    longer: np.ndarray
    adaptation: np.ndarray
    adapts: bool
    dt: float
    min_support: float
    closure: int
    channels: np.ndarray
    patches: Patches


def edges_of(model: "SpikingNetwork", grid: Grid) -> np.ndarray:
    """Edges of the bins of every population in units of the potential, shape (P, K + 1)."""
    high, low = (constants.per_population(model, value) for value in (model.threshold, model.reset))
    return low[:, None] + np.arange(-grid.below, grid.above + 1) * ((high - low) / grid.above)[:, None]


def build_layout(model: "SpikingNetwork", dt: float, grid: Grid, *, gaussian: bool = False) -> DirectLayout:
    """Return the constants of a reduction; `model` is scaled to its number of neurons."""
    count, bins = constants.count(model), grid.above + grid.below
    threshold, reset = (constants.per_population(model, value) for value in (model.threshold, model.reset))
    unit = (threshold - reset) / grid.above
    step = constants.propagators(model, dt)
    fixed = model.refractory == "fixed"
    steps = np.minimum(refractory_steps(model, dt), MOST_STEPS)
    with np.errstate(divide="ignore"):
        leave = -np.expm1(-dt / constants.per_population(model, model.refractory_time))
        leak = 1.0 / constants.per_population(model, model.membrane_time)
    lost = constants.per_population(model, model.adaptation_time)
    takes = constants.channel_charge(dt, leak if model.neuron == "leaky" else 0.0 * leak, lost)
    jump = constants.per_population(model, model.adaptation_step)
    return DirectLayout(
        size=np.array(model.size, np.float64),
        bins=bins,
        width=1.0,
        unit=unit,
        reset=np.full(count, grid.below),
        **_flow(model, dt, edges_of(model, grid), step),
        relaxation=constants.per_population(model, model.membrane_time),
        drive=step.drive / unit,
        noise=step.noise / unit**2,
        kick=constants.external_kicks(model).size / unit,
        diffuse=np.full(count, int(model.external_strength is None and model.external == "gaussian")),
        poisson=model.external == "poisson",
        gaussian=gaussian,
        reversal=bins + (model.reversal - threshold) / unit,
        **_classes(model, dt, unit),
        leave=leave,
        delay=np.floor(steps).astype(np.int64) if fixed else np.full(count, -1),
        longer=steps - np.floor(steps),
        adaptation=np.stack([jump, np.exp(-dt / lost), takes / unit], axis=1),
        adapts=bool(np.any(jump != 0.0)),
        dt=float(dt),
        min_support=MIN_SUPPORT / 100.0 * grid.above,
        closure=WHITE,
        channels=np.zeros(count + 1, np.int64),
        patches=no_patches(),
    )


def _flow(model: "SpikingNetwork", dt: float, edges: np.ndarray, step: constants.Propagators) -> dict[str, np.ndarray]:
    """One step of the neuron's own flow in bins: v -> keep v + back with a leak (S24), else a table (S26, S27)."""
    unit, bins = edges[:, 1] - edges[:, 0], edges.shape[1] - 1
    if model.neuron == "leaky":
        rest = bins + (constants.per_population(model, model.rest) - edges[:, -1]) / unit
        empty = np.zeros((len(unit), 0))
        return {
            "keep": step.membrane, "back": rest * (1.0 - step.membrane),
            "table": empty, "table_first": 0.0 * unit, "table_by": 0.0 * unit,
        }  # fmt: skip
    flow = flow_tables(model, dt, edges[:, 0] - unit)
    return {
        "keep": 0.0 * unit, "back": 0.0 * unit,
        "table": bins + (flow.values - edges[:, -1:]) / unit[:, None],
        "table_first": bins + (flow.first - edges[:, -1]) / unit, "table_by": flow.by / unit,
    }  # fmt: skip


def _classes(model: "SpikingNetwork", dt: float, unit: np.ndarray) -> dict[str, np.ndarray]:
    """Synapses that can ever act, by target and source."""
    weight, kappa = constants.weights(model), constants.in_degrees(model)
    target, source = map(np.ascontiguousarray, np.nonzero((weight != 0.0) & (kappa > 0.0)))
    pairs = (target, source)
    span = constants.per_population(model, model.threshold) - model.reversal
    pulls = np.asarray(model.inhibitory)[source] & (model.inhibition == "conductance")
    chance = constants.per_pair(model, model.probability if model.probability is not None else 0.0)
    pull = np.where(pulls, -weight[pairs] / span[target], 0.0)
    spread = constants.per_pair(model, model.strength_spread)[pairs] ** 2
    keys = np.stack([target, weight[pairs], pull, spread], axis=1)
    degree = kappa if model.in_degree is not None else np.full_like(kappa, np.inf)
    return {
        "classes": np.searchsorted(target, np.arange(constants.count(model) + 1)),
        "source": source,
        "inputs": kappa[pairs],
        "weight": weight[pairs] / unit[target],
        "pull": pull,
        "chance": chance[pairs],
        "degree": degree[pairs],
        "spread": spread,
        "alike": np.array([np.flatnonzero(np.all(keys == key, axis=1))[0] for key in keys], np.int64),
        "shares": constants.delays(model, dt).shares[pairs],
    }
