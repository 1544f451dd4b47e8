"""The systems, one folder each. A new system costs its folder and one line here."""

import importlib
from typing import Any

SYSTEMS = {
    "balanced": "largen.systems.balanced:BalancedNetwork",
    "rate": "largen.systems.rate:RateNetwork",
    "spiking": "largen.systems.spiking:SpikingNetwork",
}


def system_class(name: str) -> Any:
    """Import the model class of a system by the system's name."""
    where, what = SYSTEMS[name].split(":")
    return getattr(importlib.import_module(where), what)
