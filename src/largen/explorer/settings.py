"""How the explorer begins with a system, and what a session may ask for."""

from typing import Any, NamedTuple

from largen.checks import InputError, integer, real, seed_number, shown
from largen.explorer.waves import checked_wave, first_mode
from largen.system import AbstractSystem, pictures
from largen.system.pictures import Opening

MOST_REALISATIONS = 64
LONGEST = 10.0
"""A system that says nothing may be run for this many times its default duration."""
LARGEST_SEED = 2**53 - 1
"""Largest integer that a browser holds exactly."""


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
        perturbation: Amplitude of a wave over the patches at the start, for models with `space`; 0 is none.
        perturbation_mode: Waves around each axis, such as "2" or "1, 0".
    """

    duration: float
    n: int
    networks: int
    seed: int
    perturbation: float = 0.0
    perturbation_mode: str = ""


def run_of(model: AbstractSystem) -> Run:
    """What is asked for first: the model's own number of neurons, where it has one that the explorer allows."""
    opening = opening_of(model)
    own = model.reference_size
    n = own if own is not None and own <= opening.most else opening.n
    return Run(opening.stop, n, 8, 1, perturbation_mode=first_mode(model))


def limit_options_of(model: AbstractSystem) -> dict[str, Any]:
    """Options of a model's limit with what it records: with `space` the activity of its patches, as networks do."""
    opening, maps = opening_of(model), maps_of(model)
    return {**opening.options, "record": maps} if maps else opening.limit_options


def maps_of(model: AbstractSystem) -> tuple[str, ...]:
    """Observables of patches that a model declares maps of; none where it has no `space`."""
    if getattr(model, "space", None) is None:
        return ()
    shown = (one for row in model.views.values() for one in row if isinstance(one, pictures.ActivityMap))
    return tuple(dict.fromkeys(one.observable for one in shown))


def check_run(
    model: AbstractSystem,
    *,
    duration: Any,
    n: Any,
    networks: Any,
    seed: Any,
    perturbation: Any = 0.0,
    perturbation_mode: str = "",
) -> Run:
    """Check what a session asks for against what this model's system allows it.

    Raises:
        InputError: Too long, too large or too many; the message says how much is allowed and what to use instead.
    """
    opening, unit = opening_of(model), model.time_unit
    duration = real("duration", duration, above=0.0)
    shortest = 10 * opening.step
    allowed = (
        ("duration", duration, shortest, opening.longest, f" {unit}".rstrip()),
        ("n", integer("n", n), 4, opening.most, " neurons"),
        ("networks", integer("networks", networks), 1, MOST_REALISATIONS, ""),
        ("seed", seed_number("seed", seed), 0, LARGEST_SEED, ""),
    )
    for name, value, low, high, noun in allowed:
        if not low <= value <= high:
            ends = f"{low:g} to {high:g}" if name != "seed" else f"{low} to {high}"
            raise InputError(
                f"Argument `{name}` must be from {ends}{noun} in the explorer, but is {shown(value)}. "
                "For more use `largen run`."
            )
    wave = checked_wave(model, perturbation, perturbation_mode)
    return Run(duration, int(n), int(networks), int(seed), *wave)
