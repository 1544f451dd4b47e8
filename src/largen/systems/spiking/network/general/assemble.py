"""From a model and a step to the arrays that the general network's kernels read."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.systems.spiking import constants as derived
from largen.systems.spiking.flow import Flow, flow_tables
from largen.systems.spiking.network.general.state import (
    CONDUCTANCE,
    CURRENT,
    KICK,
    LEAKY,
    PENDING,
    RELEASE,
    SHRINK,
    TABULATED,
    Constants,
)
from largen.systems.spiking.network.general.wiring import IN_DEGREE, PROBABILITY, SYNAPSES
from largen.systems.spiking.network.tables import LONG_STEP, release_probabilities
from largen.systems.spiking.time_step import refractory_steps, release

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

_LEAST_FACTOR = -100.0
"""Logarithm that stands for a factor of 0: a kick that takes V to its reversal potential."""


class Rows(NamedTuple):
    """What arrives, sorted into rows; P populations, C rows at most.

    Attributes:
        count: Rows of each target, shape (P,).
        kind: Shape (P, C).
        decay: Time constant of a row (ms), shape (P, C).
        source: Row of what comes from each source, [target][source].
        brings: What one spike adds to that row, [target][source].
        external: Row of external kicks, -1 for V itself, shape (P,).
    """

    count: np.ndarray
    kind: np.ndarray
    decay: np.ndarray
    source: np.ndarray
    brings: np.ndarray
    external: np.ndarray


def connections(model: "SpikingNetwork") -> tuple[int, np.ndarray]:
    """The rule of the connections, and its numbers by [target][source]."""
    if model.in_degree is not None:
        return IN_DEGREE, derived.per_pair(model, model.in_degree)
    if model.synapses is not None:
        return SYNAPSES, derived.per_pair(model, model.synapses)
    return PROBABILITY, derived.per_pair(model, model.probability)


def pulled(model: "SpikingNetwork") -> np.ndarray:
    """Whether a source's inhibition is multiplied by g(V), shape (P,)."""
    return np.asarray(model.inhibitory, bool) & (model.inhibition == "conductance")


def kick_factor(model: "SpikingNetwork") -> np.ndarray:
    """Logarithm of the factor by which an inhibitory kick multiplies V - V_I, [target][source]."""
    span = derived.per_population(model, model.threshold) - model.reversal
    share = np.minimum(derived.per_pair(model, model.strength) / span[:, None], 1.0)
    with np.errstate(divide="ignore"):
        return np.maximum(np.log1p(-share), _LEAST_FACTOR)


def sort_rows(model: "SpikingNetwork") -> Rows:
    """Sort what arrives into rows: a channel for each decay time, or jumps, or counts by source; external kicks too."""
    count = len(model.size)
    weight, decay = derived.weights(model), derived.per_pair(model, model.decay)
    outside = derived.per_population(model, model.external_decay)
    shrinking, brings, source = pulled(model), weight.copy(), np.zeros((count, count), np.int64)
    keys: list[list[tuple[int, float]]] = []
    for a in range(count):
        mine: list[tuple[int, float]] = []
        for b in range(count):
            if model.synapse == "exponential":
                key = (CONDUCTANCE if shrinking[b] else CURRENT, float(decay[a, b]))
                brings[a, b] = abs(weight[a, b]) if shrinking[b] else weight[a, b]
            elif model.synapse == "delta":
                key = (SHRINK if shrinking[b] else KICK, 1.0)
                brings[a, b] = kick_factor(model)[a, b] if shrinking[b] else weight[a, b]
            else:
                mine.append((PENDING if model.synapse == "pending" else RELEASE, float(decay[a, b])))
                source[a, b], brings[a, b] = b, 1.0
                continue
            mine += [] if key in mine else [key]
            source[a, b] = mine.index(key)
        if outside[a] > 0.0 and (CURRENT, float(outside[a])) not in mine:
            mine.append((CURRENT, float(outside[a])))
        keys.append(mine)
    most = max(len(mine) for mine in keys)
    kind, times = np.full((count, most), KICK, np.int64), np.ones((count, most))
    for a, mine in enumerate(keys):
        kind[a, : len(mine)], times[a, : len(mine)] = np.array(mine).T
    external = [keys[a].index((CURRENT, float(outside[a]))) if outside[a] > 0.0 else -1 for a in range(count)]
    return Rows(np.array([len(mine) for mine in keys]), kind, times, source, brings, np.array(external, np.int64))


def constants(model: "SpikingNetwork", rows: Rows, dt: float) -> tuple[Constants, np.ndarray]:
    """Constants of the kernels, and the distinct probabilities of a release."""
    step = derived.propagators(model, dt)
    with np.errstate(divide="ignore"):
        leak = 1.0 / derived.per_population(model, model.membrane_time)
    rest, threshold = (derived.per_population(model, value) for value in (model.rest, model.threshold))
    limit = threshold - rest if model.synapse == "pending" else np.nextafter(threshold - rest, -np.inf)
    stays, leaves, strength, spread, probability = _charges(model, rows, step, dt)
    distinct, table = release_probabilities(probability, probability)
    loss = derived.per_population(model, model.adaptation_time)
    flow = _flow(model, dt)
    found = Constants(
        edge=np.concatenate([[0], np.cumsum(model.size)]).astype(np.int64),
        neuron=LEAKY if model.neuron == "leaky" else TABULATED,
        keep=step.membrane,
        leak=dt * leak,
        drive=step.drive,
        noise=step.noise,
        flow=flow.values - rest[:, None],
        flow_from=flow.first - rest,
        flow_by=flow.by,
        rest=rest,
        reset=derived.per_population(model, model.reset) - rest,
        limit=limit,
        reversal=model.reversal - rest,
        slope=1.0 / np.where(threshold > model.reversal, threshold - model.reversal, np.inf),
        wait=refractory_steps(model, dt),
        fixed_wait=model.refractory == "fixed",
        rows=rows.count,
        kind=rows.kind,
        row_keep=np.exp(-dt / rows.decay),
        row_act=derived.channel_charge(dt, np.where(model.neuron == "leaky", leak, 0.0)[:, None], rows.decay),
        inhibitory=_by_row(rows, np.broadcast_to(model.inhibitory, rows.source.shape)) > 0.0,
        stay=stays,
        leave=leaves,
        strength=strength,
        spread=spread,
        table=table,
        conductance=bool(np.any(pulled(model))),
        kick_row=rows.external,
        kick=derived.external_kicks(model).size,
        diffuse=np.full(len(rest), model.external_strength is None),
        gaussian=model.external == "gaussian",
        adaptation=np.stack(
            [
                derived.per_population(model, model.adaptation_step),
                np.exp(-dt / loss),
                derived.channel_charge(dt, np.where(model.neuron == "leaky", leak, 0.0), loss),
            ],
            axis=1,
        ),
        quenched=model.connectivity != "annealed" or model.space is not None,
        gentle=model.space is not None,
        dt=dt,
    )
    return found, distinct


def _flow(model: "SpikingNetwork", dt: float) -> Flow:
    """The flow of a neuron that is not leaky, tabulated from one span below all that it is set to; else no points."""
    count = len(model.size)
    if model.neuron == "leaky":
        return Flow(np.zeros((count, 0)), np.zeros(count), np.ones(count))
    reset, rest = (derived.per_population(model, value) for value in (model.reset, model.rest))
    lowest = np.minimum(reset, rest)
    if model.initial_mean is not None:
        first = derived.per_population(model, model.initial_mean)
        lowest = np.minimum(lowest, first - 6.0 * derived.per_population(model, model.initial_spread))
    if np.any(pulled(model)):
        lowest = np.minimum(lowest, model.reversal)
    return flow_tables(model, dt, lowest - (derived.per_population(model, model.threshold) - reset))


def _by_row(rows: Rows, values: np.ndarray) -> np.ndarray:
    """Values by [target][source] as values by [target][row]; where sources share a row, they have the same."""
    out = np.zeros(rows.kind.shape)
    for a, b in np.ndindex(*rows.source.shape):
        out[a, rows.source[a, b]] = values[a, b]
    return out


def _charges(model: "SpikingNetwork", rows: Rows, step: derived.Propagators, dt: float) -> tuple[np.ndarray, ...]:
    """What a pending spike brings while it stays and when it leaves, by [target][row].

    Returns:
        Charge of one that stays, of one that leaves, the strength, whether charges are drawn one by one, and the
        probability of leaving; zero where spikes are not counted.
    """
    strength, shrinking = derived.per_pair(model, model.strength), pulled(model)
    signed = np.where(model.inhibitory, -strength, strength)
    spike = release(dt, derived.per_pair(model, model.decay))
    if model.synapse == "pending":
        size = np.where(shrinking, strength, signed * (step.drive / dt)[:, None])
        parts = (size * spike.stay, size * spike.leave, size, spike.stay > LONG_STEP, spike.probability)
    elif model.synapse == "release":
        size = np.where(shrinking, kick_factor(model), signed)
        parts = (0.0 * size, size, size, np.zeros(size.shape), spike.probability)
    else:
        parts = (np.zeros(strength.shape),) * 5
    stays, leaves, sizes, spread, probability = (_by_row(rows, part) for part in parts)
    return stays, leaves, sizes, spread > 0.0, probability
