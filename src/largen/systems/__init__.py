"""The systems, one folder each. A new system costs its folder and one line here.

A system in a package of its own costs its folder and one line in that package's pyproject.toml:

    [project.entry-points."largen.systems"]
    wilson_cowan = "wilson_cowan:WilsonCowan"
"""

import importlib
from importlib.metadata import entry_points
from typing import Any

SYSTEMS = {entry.name: entry.value for entry in entry_points(group="largen.systems")} | {
    "balanced": "largen.systems.balanced:BalancedNetwork",
    "rate": "largen.systems.rate:RateNetwork",
    "spiking": "largen.systems.spiking:SpikingNetwork",
}


def system_class(name: str) -> Any:
    """Import the model class of a system by the system's name."""
    where, what = SYSTEMS[name].split(":")
    return getattr(importlib.import_module(where), what)
