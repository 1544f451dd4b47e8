"""A model and how to run it, from a model file and the options of a command."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from largen.checks import InputError, integer, known_keys, real, seed_number
from largen.commands.options import JobOptions
from largen.io.model_files import read_file, time_grid
from largen.io.plain_files import parse_value
from largen.io.typed import typed_pairs
from largen.system import AbstractSystem, options_of

DEFAULT_N = 2000
DEFAULT_REALISATIONS = 16


class Job(NamedTuple):
    """A model and how to run it.

    Attributes:
        name: Name of the file or example, for folders and titles.
        model: The model.
        times: Output times, shape (time,).
        n: Total number of neurons, or None for the model's own.
        realisations: Realisations of the network.
        seed: Seed.
        method: Network method, or None.
        options: The system's own options.
    """

    name: str
    model: AbstractSystem
    times: np.ndarray
    n: int | None
    realisations: int
    seed: int
    method: str | None
    options: dict[str, Any]

    @property
    def network_size(self) -> int:
        """Total number of neurons of a network: as asked, else the model's own size, else `DEFAULT_N`."""
        if self.n is not None:
            return self.n
        return DEFAULT_N if self.model.reference_size is None else self.model.reference_size

    def options_for(self, verb: str) -> dict[str, Any]:
        """The options that the system's method of this name takes."""
        valid = options_of(self.model, verb)
        return {key: value for key, value in self.options.items() if key in valid}


def read_job(asked: JobOptions, verbs: tuple[str, ...] = ("network", "limit"), *, size_of_file: bool = True) -> Job:
    """Read a model file or example; options of the command take precedence over the file's `run` block.

    Args:
        asked: The options.
        verbs: Methods of the system that take the system's options.
        size_of_file: Whether the file's n counts (a limit is solved at its own size unless asked otherwise).
    """
    model, settings = read_file(asked.model, functions=asked.functions)
    model = model.replace(**pairs("--set", asked.changes or ()))
    options = pairs("--option", asked.options or ())
    valid = {key for verb in verbs if callable(getattr(model, verb, None)) for key in options_of(model, verb)}
    known_keys(f"option of the {model.system} system", options, valid)
    if asked.times is not None:
        times = _time_range(asked.times)
    else:
        times = time_grid(*model.default_times) if settings.times is None else settings.times
    size = first_given(asked.n, settings.n if size_of_file else None)
    realisations = first_given(asked.realisations, settings.realisations, DEFAULT_REALISATIONS)
    return Job(
        name=Path(asked.model).stem,
        model=model,
        times=times,
        n=None if size is None else integer("n", size, low=1),
        realisations=integer("realisations", realisations, low=1),
        seed=seed_number("seed", first_given(asked.seed, settings.seed, 0)),
        method=first_given(asked.method, settings.method),
        options=options,
    )


def first_given(*values: Any) -> Any:
    """The first value that is not None; 0 is a value."""
    return next((value for value in values if value is not None), None)


def tolerances_of(tolerance: Sequence[str] | None, scale: Sequence[str] | None) -> dict[str, Any]:
    """The arguments `tolerance` and `scale` of `compare` from the options of a command."""
    return {"tolerance": shares("--tolerance", tolerance), "scale": pairs("--scale", scale or ())}


def pairs(
    flag: str, given: Sequence[str], like: str = "name=value", read: Callable[[str], Any] = parse_value
) -> dict[str, Any]:
    """Read `name=value` of a repeatable option; `like` shows a person one such, `read` takes the value."""
    return typed_pairs(f"Option {flag}", given, like, read)


def shares(flag: str, given: Sequence[str] | None) -> Any:
    """Read a repeatable option: one share for all observables, or `observable=share` each; None where it is absent."""
    if not given:
        return None
    if len(given) > 1 or "=" in given[0]:
        return pairs(flag, given)
    return parse_value(given[0])


def _time_range(text: str) -> np.ndarray:
    try:
        start, stop, step = (real("times", parse_value(part)) for part in text.split(":"))
    except ValueError as error:
        raise InputError(
            f"Option --times must look like START:STOP:STEP, such as 0:1000:0.1, but is {text!r}."
        ) from error
    return time_grid(start, stop, step)
