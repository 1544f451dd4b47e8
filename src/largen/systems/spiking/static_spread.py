"""The static spread of a quenched network: neurons of a population whose mean inputs differ for good.

A neuron of a fixed graph has its own number of inputs and its own strengths. Its mean drift is off by a number that is
normal over the population, of variance

    Delta_a^2 = sum_b s_ab^2 kappa_ab X_ab,                                                                     (S30)
    X = (1 + c^2) q_b with `synapses`, (1 + c^2 - p) q_b with `probability`, (1 + c^2) q_b - nu_b^2 with `in_degree`,

where a spike brings the potential s in all, kappa is the mean in-degree, c the relative spread of strengths, and nu_b
and q_b are mean and mean square of the rates of the source's neurons (1/ms). The reduction carries it with
sub-populations of every population, at Gauss-Hermite nodes x_h with an offset Delta x_h of their drift, until nu and q
are what these do.
Source: D. J. Amit & N. Brunel, Network 8 (1997), section 3.3; van Vreeswijk & Sompolinsky, Neural Comput. 10 (1998).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from largen.checks import InputError, require
from largen.parameters import parameters
from largen.system import Arrays
from largen.systems.spiking import constants

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

PARTS = 3
"""Sub-populations of each population, Gauss-Hermite nodes 0 and ± sqrt(3): 5 and 7 change rates by 0.002 Hz."""
ROUNDS = 4
"""Runs until rates and spread agree; each brings them about five times nearer."""


def require_possible(model: "SpikingNetwork", finite_size: bool, record: tuple[str, ...]) -> None:
    """Refuse what has no static spread here."""
    remedy = "Sources that are drawn afresh at every spike leave no spread."
    quenched = model.connectivity == "quenched"
    require(quenched, "connectivity", "be 'quenched' with static_spread=True", model.connectivity, remedy)
    if model.inhibition == "conductance" and np.any(model.inhibitory):
        raise InputError(
            "Argument `inhibition` must be 'current' with static_spread=True, but is 'conductance', which is no drift "
            "of a neuron's own."
        )
    require(not finite_size, "finite_size", "be False with static_spread=True", finite_size)
    require(not record, "record", "be empty with static_spread=True", record)
    for name in ("external_rate", "external_mean", "external_sd"):
        if callable(getattr(model, name)):
            raise InputError(f"Argument `{name}` must be constant with static_spread=True, but is a function.")
    small = np.asarray(model.size) < 2 * PARTS
    require(
        not np.any(small), "size", f"be at least {2 * PARTS} with static_spread=True", np.asarray(model.size)[small]
    )


def deviation(model: "SpikingNetwork", mean: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Delta of (S30) in units of the potential per ms, from nu and q of every population, each of shape (P,)."""
    jump = constants.weights(model)
    if model.synapse == "exponential":
        jump = jump * constants.per_pair(model, model.decay)
    spread = 1.0 + constants.per_pair(model, model.strength_spread) ** 2
    if model.probability is not None:
        spread = spread - constants.per_pair(model, model.probability)
    found = spread * square - (mean**2 if model.in_degree is not None else 0.0)
    return np.sqrt(np.maximum((jump**2 * constants.in_degrees(model) * found).sum(axis=1), 0.0))


def divided(model: "SpikingNetwork", offsets: np.ndarray) -> "SpikingNetwork":
    """The model with PARTS sub-populations for each population, annealed, with these offsets of the drift, (P, PARTS).

    In-degrees become numbers of synapses, which need not be shared out in whole inputs of a neuron.
    """
    count = len(model.size)
    owner = np.repeat(np.arange(count), PARTS)
    outer = np.maximum(np.rint(np.asarray(model.size) / 6.0).astype(np.int64), 1)  # weights 1/6, 2/3, 1/6
    sizes = np.stack([outer, np.asarray(model.size) - 2 * outer, outer], axis=1).ravel()
    shares = sizes / np.asarray(model.size, np.float64)[owner]
    fields: dict[str, Any] = {}
    for name, info in parameters(model).items():
        value = getattr(model, name)
        if isinstance(value, np.ndarray) and value.ndim and info.dims == ("population",):
            fields[name] = value[owner]
        elif isinstance(value, np.ndarray) and value.ndim and info.dims == ("population", "source"):
            fields[name] = value[np.ix_(owner, owner)]
    fields |= {"size": sizes, "names": [label for name in model.populations for label in _labels(name)]}
    if model.probability is None:
        whole = constants.in_degrees(model) * np.asarray(model.size, np.float64)[:, None]
        parts = whole[np.ix_(owner, owner)] * shares[:, None] * shares
        fields |= {"synapses": np.rint(parts).astype(np.int64)}
        fields.pop("in_degree", None)
    fields["external_mean"] = constants.per_population(model, model.external_mean)[owner] + offsets.ravel()
    return model.replace(**fields, connectivity="annealed")


def _labels(name: str) -> list[str]:
    return [f"{name}.{k}" for k in range(PARTS)]


def solve(model: "SpikingNetwork", times: np.ndarray, run: Callable[["SpikingNetwork"], Arrays]) -> Arrays:
    """Solve the reduction with the static spread.

    Args:
        model: The quenched network, scaled to its number of neurons.
        times: Output times (ms); rates are averaged over the second half of them for nu and q.
        run: Solves the reduction of a model at these times.

    Returns:
        `rate` (population, time), Hz; attributes `rate_spread`, the standard deviation of the rates over the neurons of
        each population (Hz), and `static_spread`, Delta (unit/ms), each a list.
    """
    late = times > 0.5 * (times[0] + times[-1])
    count, x = len(model.size), np.sqrt(3.0) * np.array([-1.0, 0.0, 1.0])
    found = run(model.replace(connectivity="annealed"))
    mean = 1e-3 * found.values["rate"][:, late].mean(axis=1)
    delta, square, weights = np.zeros(count), mean**2, np.ones((count, 1))
    rates = mean[:, None]
    for _ in range(ROUNDS):
        delta = deviation(model, mean, square)
        part = divided(model, delta[:, None] * x)
        found = run(part)
        weights = np.asarray(part.size, np.float64).reshape(count, PARTS)
        weights /= weights.sum(axis=1, keepdims=True)
        rates = 1e-3 * found.values["rate"][:, late].mean(axis=1).reshape(count, PARTS)
        mean, square = (weights * rates).sum(axis=1), (weights * rates**2).sum(axis=1)
    rate = (weights[:, :, None] * found.values["rate"].reshape(count, PARTS, -1)).sum(axis=1)
    spread = 1e3 * np.sqrt(np.maximum(square - mean**2, 0.0))
    attrs = {name: value for name, value in found.attrs.items() if np.size(value) != count * PARTS}
    attrs |= {"rate_spread": spread.tolist(), "static_spread": delta.tolist()}
    return Arrays({"rate": rate}, {}, attrs)
