"""Model files: read_model() and write_model(), YAML or JSON, never anything that runs code unasked."""

import importlib.resources
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from largen.checks import (
    InputError,
    increasing_times,
    integer,
    known_keys,
    mapping,
    nearest,
    path_of,
    real,
    require,
    seed_number,
    shown,
)
from largen.io.atomic import write_atomically
from largen.io.plain_files import parse_plain, read_text
from largen.parameters.plain import from_plain, to_plain
from largen.system import AbstractSystem, require_model
from largen.systems import SYSTEMS, system_class

BLOCKS = ("sweep", "fit")
"""Keys of a model file that other commands read; `read_model` ignores them."""


class RunSettings(NamedTuple):
    """What a model file says about a run; None where it says nothing.

    Attributes:
        times: Output times, shape (time,).
        n: Total number of neurons.
        realisations: Number of realisations.
        seed: Seed.
        method: Network method.
    """

    times: np.ndarray | None = None
    n: int | None = None
    realisations: int | None = None
    seed: int | None = None
    method: str | None = None


def read_model(path: str | os.PathLike, *, functions: bool = False) -> AbstractSystem:
    """Read a model from a YAML file with the keys `system`, `parameters` and, ignored here, `run`.

    Args:
        path: The file, or the name of an example (see `largen examples`).
        functions: Whether functions written as `module:name` may be imported. That runs code: only for a file
            you trust.

    Raises:
        InputError: No such file, not YAML, or an unknown or wrong key; the message names the nearest valid one.
    """
    return read_file(path, functions=functions)[0]


def read_file(path: str | os.PathLike, *, functions: bool = False) -> tuple[AbstractSystem, RunSettings]:
    """Read a model and its run settings; see `read_model`."""
    return read_blocks(path, functions=functions)[:2]


def read_blocks(
    path: str | os.PathLike, *, functions: bool = False
) -> tuple[AbstractSystem, RunSettings, dict[str, Any]]:
    """Read a model, its run settings, and the blocks of `BLOCKS` that the file has, as plain values."""
    where, text = _text(path)
    return parse_model(text, where, functions=functions)


def parse_model(
    text: str, where: str, *, functions: bool = False
) -> tuple[AbstractSystem, RunSettings, dict[str, Any]]:
    """Read what `read_blocks` does from the text of a model file; `where` names it in errors."""
    try:
        plain = parse_plain(text)
        require(isinstance(plain, Mapping), "file", "hold a mapping with the keys system and parameters", plain)
        known_keys("key", plain, ("system", "parameters", "run", *BLOCKS))
        name = plain.get("system")
        if not isinstance(name, str) or name not in SYSTEMS:
            hint = nearest(name, SYSTEMS) if isinstance(name, str) else ""
            raise InputError(f"Key `system` must be one of {', '.join(SYSTEMS)}, but is {shown(name)}.{hint}")
        given, run = (mapping(key, plain.get(key)) for key in ("parameters", "run"))
        model = from_plain(system_class(name), given, functions=functions)
        return model, _run_settings(run), {key: plain[key] for key in BLOCKS if key in plain}
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _text(path: str | os.PathLike) -> tuple[str, str]:
    file = path_of("path", path)
    name = os.fspath(path)
    if name in examples():
        return f"Example {name}", importlib.resources.files("largen.examples").joinpath(f"{name}.yaml").read_text()
    if not file.is_file():
        raise InputError(
            f"There is no file {name!r} and no example of that name (examples: {', '.join(examples())})."
            f"{nearest(name, examples())}"
        )
    return f"File `{name}`", read_text(file)


def examples() -> dict[str, str]:
    """Names of the examples in the package, with their first comment line."""
    found = {}
    for entry in sorted(importlib.resources.files("largen.examples").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".yaml"):
            first = entry.read_text().splitlines()[0]
            found[entry.name.removesuffix(".yaml")] = first.removeprefix("#").strip()
    return found


def _run_settings(plain: Mapping[str, Any]) -> RunSettings:
    """Check the `run` block."""
    known_keys("key of `run`", plain, RunSettings._fields)
    given = {key: value for key, value in plain.items() if value is not None}
    found: dict[str, Any] = {}
    if "times" in given:
        found["times"] = _times(given["times"])
    for key in ("n", "realisations"):
        if key in given:
            found[key] = integer(f"run.{key}", given[key], low=1)
    if "seed" in given:
        found["seed"] = seed_number("run.seed", given["seed"])
    if "method" in given:
        require(isinstance(given["method"], str), "run.method", "be a word", given["method"])
        found["method"] = given["method"]
    return RunSettings(**found)


def _times(given: Any) -> np.ndarray:
    """Output times: a list, or a range of start (0 if absent), stop and step."""
    if not isinstance(given, Mapping):
        return increasing_times("run.times", given)
    known_keys("key of `run.times`", given, ("start", "stop", "step"))
    for key in ("stop", "step"):
        require(key in given, f"run.times.{key}", "be given", given)
    return time_grid(*(real(f"run.times.{key}", given.get(key, 0.0)) for key in ("start", "stop", "step")))


def time_grid(start: float, stop: float, step: float) -> np.ndarray:
    """Times from start to stop (included where the step divides the span), without accumulated rounding."""
    for name, value in (("start", start), ("stop", stop), ("step", step)):
        require(np.isfinite(value), f"times.{name}", "be finite", value)
    require(step > 0, "times.step", "be positive", step)
    require(stop > start, "times.stop", f"be beyond the start {start:g}", stop)
    count = np.floor((stop - start) / step + 1e-9)
    require(count <= 10_000_000, "times.step", "give at most 10 million times", step)
    return np.round(start + step * np.arange(int(count) + 1), 12)


def write_model(model: AbstractSystem, path: str | os.PathLike, *, run: Mapping[str, Any] | None = None) -> Path:
    """Write a model to a YAML file; `read_model` gives it back exactly.

    Raises:
        InputError: A function that cannot be imported by name (the message names the field), or the folder is
            not writable; an old file survives.
    """
    path = path_of("path", path)
    text = model_text(model, run)
    return write_atomically(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def model_text(model: AbstractSystem, run: Mapping[str, Any] | None = None) -> str:
    """Return the text that `write_model` writes."""
    import yaml

    plain: dict[str, Any] = {"system": require_model("model", model).system, "parameters": to_plain(model)}
    settings = mapping("run", run)
    if settings:
        _run_settings(settings)
        plain["run"] = _without_numpy(settings)
    return yaml.safe_dump(plain, sort_keys=False, default_flow_style=None, width=110)


def _without_numpy(value: Any) -> Any:
    """Numbers and arrays of NumPy as Python's numbers and lists."""
    if isinstance(value, Mapping):
        return {str(key): _without_numpy(part) for key, part in value.items()}
    return value if isinstance(value, str) else np.asarray(value).tolist()
