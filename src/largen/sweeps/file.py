"""Sweep files: a model file with a block `sweep` that says over which points, with which runs, and what to keep."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from largen.checks import InputError, known_keys, require
from largen.io.model_files import RunSettings, read_blocks
from largen.sweeps.points import AbstractPoints, from_plain
from largen.system import AbstractSystem

KEYS = ("over", "run", "observables", "start", "tolerance", "family", "options")


class SweepFile(NamedTuple):
    """What a sweep file says.

    Attributes:
        model: The base model.
        over: The points.
        arguments: Keyword arguments of `sweep` that it gives.
    """

    model: AbstractSystem
    over: AbstractPoints
    arguments: dict[str, Any]


def read_sweep(path: str | os.PathLike, *, functions: bool = False) -> SweepFile:
    """Read a sweep file. It names no place to write to: the store is the caller's choice.

    Args:
        path: The file, with the keys system, parameters, run and sweep.
        functions: Whether `module:name` may be imported, which runs code: only for a file you trust.

    Raises:
        InputError: No such file, not plain YAML, or a wrong key or value.
    """
    model, settings, blocks = read_blocks(path, functions=functions)
    try:
        plain = blocks.get("sweep")
        require(isinstance(plain, Mapping), "sweep", "be a block of the file, with the key over", plain)
        assert isinstance(plain, Mapping)
        known_keys("key of `sweep`", map(str, plain), KEYS)
        require("over" in plain, "sweep.over", "be given", None)
        _no_functions(plain.get("observables"), functions)
        over = from_plain(plain["over"])
        over.table(model)
        arguments = {key: plain[key] for key in KEYS[1:-1] if plain.get(key) is not None}
        options = plain.get("options") or {}
        require(isinstance(options, Mapping), "sweep.options", "be a mapping", options)
        known_keys("option", [str(key) for key in options if key in _RESERVED], ())
        return SweepFile(model, over, arguments | _of_run(settings) | {str(k): v for k, v in options.items()})
    except InputError as error:
        raise InputError(f"File `{os.fspath(path)}`: {error}") from error


_RESERVED = (
    "store", "workers", "client", "times", "run", "over", "observables", "progress", "extend", "retry_failed",
    "tolerance", "family",
)  # fmt: skip


def _of_run(settings: RunSettings) -> dict[str, Any]:
    return {key: value for key, value in settings._asdict().items() if value is not None}


def _no_functions(observables: Any, allowed: bool) -> None:
    entries = observables if isinstance(observables, list) else [observables]
    for entry in entries:
        require(entry is None or isinstance(entry, str), "sweep.observables", "hold names", entry)
        if isinstance(entry, str) and ":" in entry and not allowed:
            raise InputError(
                f"Key `sweep.observables` names the function {entry!r}; importing it runs code. If you trust this "
                "file, read it with functions=True (command line: --functions)."
            )
