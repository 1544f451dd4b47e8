"""A system's own keyword arguments, read off the signatures of its `network`, `limit` and `smooth`."""

import inspect
from collections.abc import Mapping
from typing import Any

from largen.checks import known_keys
from largen.system import AbstractSystem

_SHARED = {
    "network": {"self", "times", "n", "rng", "method", "record", "tick", "options"},
    "limit": {"self", "times", "n", "rtol", "atol", "options"},
    "smooth": {"self", "times", "n", "options"},
    "dynamics": {"self", "parameter", "n", "options"},
}


def options_of(system: Any, verb: str) -> dict[str, Any]:
    """Return the options of a system's `network`, `limit` or `smooth` with their defaults."""
    signature = inspect.signature(getattr(system, verb))
    return {p.name: p.default for p in signature.parameters.values() if p.name not in _SHARED[verb]}


def check_options(system: AbstractSystem, verb: str, given: Mapping[str, Any]) -> None:
    """Refuse an option that the system does not have; the sentence lists those it has."""
    known_keys(f"option of the {system.system} system's {verb}", given, options_of(system, verb))
