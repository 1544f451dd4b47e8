"""What scripts of all simulators share: what no simulator but largen has, and a model's numbers as Python text."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import largen
from largen.checks import InputError, integer, real
from largen.systems.spiking import constants as derived
from largen.systems.spiking.relations import CONNECTIONS

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork


class Run(NamedTuple):
    """How long a script runs, and from which random numbers.

    Attributes:
        duration: Time (ms).
        seed: Seed.
        dt: Time step (ms).
    """

    duration: float
    seed: int
    dt: float


def checked(duration: Any, seed: Any, dt: Any) -> Run:
    """The settings of a run, checked."""
    step = real("dt", dt, unit="ms", above=0.0)
    return Run(real("duration", duration, unit="ms", low=step), integer("seed", seed, low=1, high=2**31), step)


def refuse(model: "SpikingNetwork", simulator: str, more: dict[str, str]) -> None:
    """Refuse what a simulator's script cannot say.

    Args:
        model: The model.
        simulator: Its name.
        more: What else it cannot say: reasons by field.
    """
    reasons = {}
    for name in ("external_rate", "external_mean", "external_sd"):
        if callable(getattr(model, name)):
            reasons[name] = "a drive that varies in time"
    if model.neuron != "leaky":
        reasons["neuron"] = f"{model.neuron} neurons"
    if np.any(np.asarray(model.adaptation_step) != 0.0):
        reasons["adaptation_step"] = "adaptation"
    reasons |= more
    if reasons:
        listed = "; ".join(f"{why} (`{name}`)" for name, why in reasons.items())
        raise InputError(
            f"The script for {simulator} cannot say this network: it has {listed}. Change these, or run it in largen."
        )


def per_population(model: "SpikingNetwork", value: Any) -> str:
    """A field as Python text, one number a population."""
    return text_of(derived.per_population(model, value))


def per_pair(model: "SpikingNetwork", value: Any) -> str:
    """A field as Python text, [target][source]."""
    return text_of(derived.per_pair(model, value))


def whole_pairs(model: "SpikingNetwork", value: Any) -> str:
    """A field of integers as Python text, [target][source]."""
    return text_of(derived.per_pair(model, value).astype(np.int64))


def text_of(values: np.ndarray) -> str:
    """Numbers as Python text that gives the same numbers back; a table has a row a line."""
    found = np.asarray(values)
    if found.ndim == 2:
        rows = ",\n    ".join(_row(row) for row in found)
        return f"[\n    {rows},\n]"
    return _row(found)


def _row(values: np.ndarray) -> str:
    return "[" + ", ".join(repr(value) for value in values.tolist()).replace("inf", "float('inf')") + "]"


def header(simulator: str, run: Run, comments: list[str]) -> str:
    """The head of a script: what it is, how it is run, in what it differs."""
    lines = [
        f'"""A spiking network in {simulator}, written by largen {largen.__version__}.',
        "",
        "Command:  python SCRIPT.py [MILLISECONDS [SEED [SPIKES.npz]]]",
        "          SPIKES.npz gets time_ms and neuron (ids that count through the populations) of every spike;",
        "          largen.read_recording reads it.",
        "Differs:  " + "\n          ".join(comments or ["in nothing."]),
        '"""',
        "",
        "import sys",
        "",
    ]
    return "\n".join(lines)


def settings(run: Run) -> str:
    """Duration, seed, output and step of a script."""
    return (
        f"duration = float(sys.argv[1]) if len(sys.argv) > 1 else {run.duration!r}  # ms\n"
        f"seed = int(sys.argv[2]) if len(sys.argv) > 2 else {run.seed}\n"
        'out = sys.argv[3] if len(sys.argv) > 3 else "spikes.npz"\n'
        f"dt = {run.dt!r}  # ms\n"
    )


def sizes(model: "SpikingNetwork") -> str:
    """Populations of a script."""
    flags = [bool(flag) for flag in np.atleast_1d(model.inhibitory)]
    return (
        "\n# Populations\n"
        f"names = {list(model.populations)!r}\n"
        f"size = {np.asarray(model.size).tolist()!r}\n"
        f"inhibitory = {flags!r}\n"
        f"rest = {per_population(model, model.rest)}\n"
        f"reset = {per_population(model, model.reset)}\n"
        f"threshold = {per_population(model, model.threshold)}\n"
        f"membrane_time = {per_population(model, model.membrane_time)}  # ms\n"
        f"first_mean = {per_population(model, model.reset if model.initial_mean is None else model.initial_mean)}\n"
        f"first_spread = {per_population(model, model.initial_spread)}\n"
    )


def graph_rule(model: "SpikingNetwork") -> str:
    """The field that says how many connections there are: probability, in_degree or synapses."""
    return next(name for name in CONNECTIONS if getattr(model, name) is not None)
