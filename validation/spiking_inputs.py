"""Random fields of integrate-and-fire networks, for random_inputs.py: all of them, mostly such as belong together.

Potentials are in the hundredths of the threshold of the small model, or, in a file, in mV throughout.
"""

import random
from typing import Any

UNITS = {
    "strength": ("mV", "pA"), "threshold": ("mV",), "reversal": ("mV",), "rest": ("mV",), "reset": ("mV",),
    "soft_threshold": ("mV",), "slope": ("mV",), "initial_mean": ("mV",), "initial_spread": ("mV",),
    "external_strength": ("mV", "pA"), "external_mean": ("mV/ms",), "external_sd": ("mV/sqrt(ms)",),
    "adaptation_step": ("mV/ms",), "capacitance": ("pF",), "decay": ("ms",), "delay": ("ms",),
    "membrane_time": ("ms",), "refractory_time": ("ms",), "external_decay": ("ms",), "adaptation_time": ("ms",),
    "external_rate": ("kHz",),
}  # fmt: skip
"""Units of the fields: where there are two, the second with a capacitance."""
WRONG: dict[str, tuple[Any, ...]] = {
    "names": ((), ("e",), ("e", "e"), ("1", "2"), ("", "x"), ("a b", "c"), "ei", ("e", "i", "x")),
    "neuron": ("Leaky", "izhikevich", 1), "synapse": ("alpha", ["delta", "pending"], None),
    "inhibition": ("shunting", True), "external": ("shot", 0), "connectivity": ("fixed", "frozen"),
    "rest": ("60 s", float("inf"), [1.0]), "reset": (100.0, 1e9, "x"), "threshold": (0.0, -1.0, [100.0, -5.0]),
    "soft_threshold": (150.0, -1e3), "slope": (0.0, -1.0), "delay": (-1.0, 1e9, [[1.0]]), "delay_spread": (-0.1, 50.0),
    "strength_spread": (-1.0, 1e6), "in_degree": (-1, 2.5, 10**12, [[1, 2]]), "synapses": (-5, 0.5, 10**13, 7),
    "capacitance": (0.0, -1.0, "250 mV"), "external_strength": ("3 pF", float("nan")), "external_decay": (-1.0, 1e12),
    "external_mean": ("1 mV", 1e18), "external_sd": (-1.0, 1e17), "initial_mean": ([1.0, 2.0, 3.0], "5 ms"),
    "initial_spread": (-2.0, 1e12), "adaptation_step": (float("nan"), -1e9), "adaptation_time": (0.0, -3.0),
    "refractory_time": (-1.0, 1e12), "membrane_time": (0.0, -20.0),
}  # fmt: skip
"""Values that a field refuses, or that people mean for something else."""


def widened(rng: random.Random) -> dict[str, Any]:
    """Fields of a small network of 12 + 4 neurons, beyond those of the small model."""
    fields: dict[str, Any] = {"synapse": rng.choice(("pending", "release", "exponential", "delta"))}
    if rng.random() < 0.7:
        fields["inhibition"] = rng.choice(("current", "conductance"))
    _connections(rng, fields)
    for name, value in (
        ("delay", rng.choice((0.5, 1.5, [[1.5, 0.8], [1.5, 0.7]]))),
        ("refractory_time", rng.choice((0.0, 2.0, [2.0, 3.0]))),
        ("refractory", "fixed"),
        ("membrane_time", rng.choice((20.0, [20.0, 10.0]))),
        ("rest", rng.choice((-5.0, [0.0, 3.0]))),
        ("reset", rng.choice((10.0, [0.0, 20.0]))),
        ("threshold", rng.choice((90.0, [100.0, 95.0]))),
        ("external_mean", rng.choice((1.0, [4.0, 5.0], -0.5))),
        ("external_sd", rng.choice((1.0, [0.5, 2.0]))),
        ("initial_mean", rng.choice((20.0, [10.0, 150.0]))),
        ("initial_spread", rng.choice((5.0, [0.0, 10.0]))),
        ("names", rng.choice((["exc", "inh"], ["L2.3", "PV+"]))),
    ):
        if rng.random() < 0.3:
            fields[name] = value
    if "delay" in fields and rng.random() < 0.5:
        fields["delay_spread"] = rng.choice((0.1, 0.5, [[0.5, 0.0], [0.2, 0.5]]))
    if rng.random() < 0.25:
        fields |= {"adaptation_step": rng.choice((0.2, [0.1, 0.0])), "adaptation_time": rng.choice((30.0, 200.0))}
    _outside(rng, fields)
    if rng.random() < 0.25:
        fields |= {"neuron": rng.choice(("exponential", "quadratic")), "soft_threshold": 60.0, "slope": 5.0}
        fields["membrane_time"] = 20.0
    return fields


def _connections(rng: random.Random, fields: dict[str, Any]) -> None:
    rule = rng.choice(("probability", "in_degree", "synapses"))
    if rule == "in_degree":
        fields["in_degree"] = rng.choice((6, [[8, 3], [9, 0]]))
    elif rule == "synapses":
        fields["synapses"] = [[90, 30], [40, 10]]
    if rng.random() < 0.5:
        fields["connectivity"] = "quenched"
    if rng.random() < 0.3:
        fields["strength_spread"] = rng.choice((0.1, [[0.1, 0.0], [0.3, 0.1]]))


def _outside(rng: random.Random, fields: dict[str, Any]) -> None:
    """External kicks."""
    if rng.random() < 0.4:
        fields["external_strength"] = rng.choice((1.0, [1.0, 5.0], 20.0, -1.0))
        if rng.random() < 0.5:
            fields["external_decay"] = rng.choice((1.5, [2.0, 3.0]))
    if rng.random() < 0.4:
        fields["external"] = "poisson"
    if fields["synapse"] == "exponential" and rng.random() < 0.3:
        fields["capacitance"] = rng.choice((1.0, [1.0, 2.0]))


def misfit(rng: random.Random, fields: dict[str, Any]) -> str:
    """Give one field, any of all, a value that it refuses or that does not belong to the others; returns its name."""
    name = rng.choice(sorted(WRONG))
    fields[name] = rng.choice(WRONG[name])
    return name


def with_units(rng: random.Random, plain: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a file as text with units, all of them, or, sometimes, with one left out or of the wrong kind."""
    currents = plain.get("capacitance") is not None
    said = dict(plain)
    skip = rng.choice(sorted(UNITS)) if rng.random() < 0.3 else None
    for name, units in UNITS.items():
        if name in said and name != skip:
            unit = units[-1] if currents else units[0]
            if rng.random() < 0.03:
                unit = rng.choice(("mV", "s", "nA", "Hz", "furlong", "m"))
            said[name] = _said(said[name], unit)
    return said


def _said(value: Any, unit: str) -> Any:
    if isinstance(value, list):
        return [_said(entry, unit) for entry in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return f"{value} {unit}"
