"""What the fields of a spiking network must be together, and which of them an engine needs to know."""

from typing import TYPE_CHECKING, Any

import numpy as np

from largen.checks import InputError, require, shown
from largen.parameters import ParameterInfo, indexed_name, is_default, parameters, traced
from largen.space.patches import check_kernels, named
from largen.space.place import check as check_place
from largen.space.place import of_place

if TYPE_CHECKING:
    from largen.systems.spiking.fields import AbstractIntegrateAndFire

CONNECTIONS = ("probability", "in_degree", "synapses")
"""Fields of which exactly one says how populations are connected."""
LARGEST = 1e15
"""Largest potential, strength and drive: a thousandfold of what any model needs, and still exact enough."""
_SIZES = (
    "strength", "threshold", "reversal", "external_rate", "rest", "reset", "soft_threshold", "slope",
    "external_strength", "external_mean", "external_sd", "initial_mean", "initial_spread", "adaptation_step",
)  # fmt: skip


def check(model: "AbstractIntegrateAndFire") -> None:
    """Refuse fields that do not belong together; the message names one of them, its value and the remedy."""
    require_one([name for name in CONNECTIONS if getattr(model, name) is not None])
    _check_potentials(model)
    _check_neuron(model)
    _check_currents(model)
    _check_space(model)


def require_one(given: list[str]) -> None:
    """Refuse more than one of `CONNECTIONS`."""
    if len(given) > 1:
        raise InputError(f"Argument `{given[0]}` must not be given together with `{given[1]}`: give one of them.")


def require_moderate(model: "AbstractIntegrateAndFire") -> None:
    """Refuse potentials and drives so large that single precision (network) and squares (reduction) lose them."""
    for name in _SIZES:
        value = getattr(model, name)
        if value is not None and not callable(value):
            require(np.all(np.abs(value) <= LARGEST), name, f"be at most {LARGEST:g} in size", value)


def _check_potentials(model: "AbstractIntegrateAndFire") -> None:
    _require_entries(model, "reset", model.reset < model.threshold, "be less than the threshold")
    if model.inhibition == "current" or not np.any(model.inhibitory):
        return
    remedy = 'Or let inhibition be a current: inhibition="current".'
    good = np.all(model.reversal <= model.reset)
    require(good, "reversal", "be at most the reset", float(model.reversal), remedy)
    if model.synapse in ("release", "delta"):  # else a kick would pass the reversal potential
        span = np.broadcast_to(model.threshold - model.reversal, (len(model.size),))
        kicks = np.where(model.inhibitory, model.strength, 0.0)
        _require_entries(model, "strength", kicks <= span[:, None], "be at most threshold - reversal")


def _check_neuron(model: "AbstractIntegrateAndFire") -> None:
    for name in ("soft_threshold", "slope"):
        value = getattr(model, name)
        if model.neuron == "leaky":
            remedy = 'Or say neuron="exponential".'
            require(value is None, name, "be absent with a leaky neuron", value, remedy)
        else:
            require(value is not None, name, f"be given with neuron={model.neuron!r}", value)
    if model.neuron == "leaky":
        return
    finite = np.isfinite(model.membrane_time)
    _require_entries(model, "membrane_time", finite, f"be finite with neuron={model.neuron!r}")
    if callable(model.external_mean):
        raise InputError(f"Argument `external_mean` must be constant with neuron={model.neuron!r}, but is a function.")
    below = model.soft_threshold < model.threshold
    _require_entries(model, "soft_threshold", below, "be less than the threshold")
    if model.neuron == "quadratic":
        _require_entries(model, "rest", model.rest <= model.soft_threshold, "be at most the soft_threshold")


def _check_currents(model: "AbstractIntegrateAndFire") -> None:
    through = np.all(model.external_decay > 0.0)
    if model.capacitance is not None:
        must, remedy = "be given with synapse='exponential' only", "Other strengths are potentials."
        require(model.synapse == "exponential", "capacitance", must, model.capacitance, remedy)
        must = "be greater than 0 where `external_strength` is a current, in pA"
        require(model.external_strength is None or through, "external_decay", must, model.external_decay)
    if np.any(model.external_decay > 0.0):
        must = "be given with an `external_decay`"
        require(model.external_strength is not None, "external_strength", must, None, "It is the size of a kick.")


def _check_space(model: "AbstractIntegrateAndFire") -> None:
    for name in ("external_rate", "external_mean", "external_sd"):
        check_place(name, getattr(model, name), model.space)
        if model.space is not None and name != "external_mean" and of_place(getattr(model, name)):
            raise InputError(
                f"Argument `{name}` must be the same everywhere, but is a function of place. Let `external_mean`, the "
                "constant drive, depend on place."
            )
    if model.space is None:
        require(model.kernel is None, "kernel", "be absent without `space`", model.kernel, "Say space=Ring(...).")
        remedy = "Say space=Ring(...) and a kernel."
        require(model.connectivity != "neurons", "connectivity", "be 'annealed' or 'quenched' without `space`",
                model.connectivity, remedy)  # fmt: skip
        require(model.positions == "grid", "positions", "be absent without `space`", model.positions, remedy)
        require(not model.clip, "clip", "be absent without `space`", True, remedy)
        return
    require(model.kernel is not None, "kernel", "be given with `space`", None, "Such as GaussianKernel(width=0.1).")
    for name in CONNECTIONS[1:]:
        must, remedy = "be absent with `space`", "Give `probability`, the in-degree over the number of sources."
        require(getattr(model, name) is None, name, must, getattr(model, name), remedy)
    check_kernels(named(model.kernel, model.populations), model.space)


def _require_entries(model: "AbstractIntegrateAndFire", name: str, good: Any, must: str) -> None:
    """Refuse a field with an entry for which this does not hold; the message names the entry."""
    if not np.all(good):
        value, wrong = np.asarray(getattr(model, name)), np.argwhere(~np.atleast_1d(good))[0]
        index = tuple(int(k) for k in wrong) if value.ndim else ()
        require(False, indexed_name(parameters(model)[name], index, model.populations), must, float(value[index]))


# Which fields are in use ------------------------------------------------------------------------------------------


def extensions(model: "AbstractIntegrateAndFire") -> tuple[str, ...]:
    """Fields in use that Chang et al. do not have, in order; what JAX traces is not looked at."""
    beyond = {
        "threshold": lambda value: np.ndim(value) > 0 or value <= 0.0,
        "refractory_time": lambda value: np.any(value == 0.0),
    }
    found = []
    for name, info in parameters(model).items():
        value = getattr(model, name)
        if name == "names" or traced(value):
            continue
        if (info.quiet and not _means_default(info, value)) or (name in beyond and beyond[name](value)):
            found.append(name)
    return tuple(found)


def _means_default(info: ParameterInfo, value: Any) -> bool:
    """Whether a field is its default, as one number or written out for every entry."""
    plain = isinstance(value, np.ndarray) and isinstance(info.default, int | float)
    return is_default(info, value) or (plain and bool(np.all(value == info.default)))


def refuse(model: "AbstractIntegrateAndFire", fields: tuple[str, ...], engine: str) -> None:
    """Refuse a model for the first of these fields, which an engine does not have; nothing where there is none.

    Args:
        model: The model.
        fields: Fields in use that the engine lacks.
        engine: What it is, at the beginning of a sentence, such as "The JAX engine".
    """
    if fields:
        more = f" (nor {', '.join(f'`{name}`' for name in fields[1:])})" if fields[1:] else ""
        value = getattr(model, fields[0])
        said = shown(value.item() if isinstance(value, np.ndarray) and not value.ndim else value)
        raise InputError(f"{engine} does not know `{fields[0]}` = {said}{more}: give it the default, or use another.")
