"""Units of a spiking network's file taken together: potentials are all in mV, or all in the model's own unit."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from largen.checks import InputError
from largen.parameters import parameters
from largen.parameters.units import quantities_of

if TYPE_CHECKING:
    from largen.systems.spiking.fields import AbstractIntegrateAndFire

_OF_POTENTIAL = ("potential", "drift", "noise", "current")


def check_units(model: "AbstractIntegrateAndFire", said: Mapping[str, Mapping[str, set[str]]]) -> None:
    """Refuse a file in which some potentials are in mV and others have no unit, or strengths are of the wrong kind.

    Args:
        model: The model as read.
        said: By field of the file, the quantities that its numbers had units of; "" for numbers without a unit.
    """
    current = _are_currents(model)
    for name, kinds in said.items():
        for kind in kinds.keys() & {"potential", "current"}:
            wanted = "current" if current.get(name) else "potential"
            if kind != wanted and name in current:
                unit = {"current": "pA", "potential": "mV"}
                why = "with a `capacitance`" if wanted == "current" else "without a `capacitance`"
                raise InputError(f"Argument `{name}` must be in {unit[wanted]} {why}, but is in {unit[kind]}.")
    if not any(kinds.keys() & set(_OF_POTENTIAL) for kinds in said.values()):
        return
    for name, info in parameters(model).items():
        if not set(quantities_of(info)) & set(_OF_POTENTIAL) or _unused(model, name):
            continue
        value = getattr(model, name)
        bare = "" in said[name] if name in said else _has_numbers(value)
        if bare:
            unit = (
                "pA" if current.get(name) else {"drift": "mV/ms", "noise": "mV/sqrt(ms)"}.get(info.quantities[0], "mV")
            )
            none = "has none" if name in said else "is absent, and its default has none"
            raise InputError(f"Argument `{name}` must be in {unit}, as others of this file have a unit, but {none}.")


def _are_currents(model: "AbstractIntegrateAndFire") -> dict[str, bool]:
    """Whether the numbers of the two fields that may be either are currents."""
    given = model.capacitance is not None
    return {"strength": given, "external_strength": given}


def _unused(model: "AbstractIntegrateAndFire", name: str) -> bool:
    """Whether a field has no meaning in this model, so that its unit has none either."""
    return name == "reversal" and (model.inhibition == "current" or not np.any(model.inhibitory))


def _has_numbers(value: Any) -> bool:
    return value is not None and not callable(value) and bool(np.any(np.asarray(value) != 0))
