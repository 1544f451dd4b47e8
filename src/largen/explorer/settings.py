"""How the explorer begins with a system, and what a session may ask for."""

from typing import Any, NamedTuple

from largen.checks import InputError, integer, real, seed_number
from largen.system import AbstractSystem
from largen.system.pictures import Opening

MOST_REALISATIONS = 64
LONGEST = 10.0
"""A system that says nothing may be run for this many times its default duration."""


def opening_of(system: type[AbstractSystem] | AbstractSystem) -> Opening:
    """What the system says, else its default times and 1000 neurons."""
    if system.opening is not None:
        return system.opening
    start, stop, step = system.default_times
    return Opening(stop - start, step, LONGEST * (stop - start))


class Run(NamedTuple):
    """What a session asks for beside the model.

    Attributes:
        duration: Last time.
        n: Neurons.
        networks: Realisations.
        seed: Seed.
    """

    duration: float
    n: int
    networks: int
    seed: int


def check_run(opening: Opening, unit: str, duration: Any, n: Any, networks: Any, seed: Any) -> Run:
    """Check what a session asks for against what this system allows it.

    Raises:
        InputError: Too long, too large or too many; the message says how much is allowed and what to use instead.
    """
    duration = real("duration", duration, above=0.0)
    shortest = 10 * opening.step
    allowed = (
        ("duration", duration, shortest, opening.longest, f" {unit}".rstrip()),
        ("n", integer("n", n), 4, opening.most, " neurons"),
        ("networks", integer("networks", networks), 1, MOST_REALISATIONS, ""),
    )
    for name, value, low, high, noun in allowed:
        if not low <= value <= high:
            raise InputError(
                f"Argument `{name}` must be from {low:g} to {high:g}{noun} in the explorer, but is {value:g}. "
                "For more use `largen run`."
            )
    return Run(duration, int(n), int(networks), seed_number("seed", seed))
