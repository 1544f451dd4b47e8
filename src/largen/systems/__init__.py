"""The systems, one folder each. A new system costs its folder and one line here.

A system in a package of its own costs its folder and one line in that package's pyproject.toml:

    [project.entry-points."largen.systems"]
    wilson_cowan = "wilson_cowan:WilsonCowan"
"""

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

_OWN = {
    "spiking": "largen.systems.spiking:SpikingNetwork",
    "balanced": "largen.systems.balanced:BalancedNetwork",
    "rate": "largen.systems.rate:RateNetwork",
    "rate_populations": "largen.systems.rate:RatePopulations",
}
SYSTEMS = _OWN | {entry.name: entry.value for entry in entry_points(group="largen.systems") if entry.name not in _OWN}

RECORDED = "spiking"
"""The system as whose network spikes from elsewhere are labelled, for its statistics and comparisons."""


def system_class(name: str) -> Any:
    """Import the model class of a system by the system's name."""
    where, what = SYSTEMS[name].split(":")
    return getattr(importlib.import_module(where), what)


def class_of(attrs: Mapping[Any, Any]) -> Any:
    """The model class behind a Dataset with these attributes; None where its system is not registered."""
    name = str(attrs.get("system", ""))
    return system_class(name) if name in SYSTEMS else None
