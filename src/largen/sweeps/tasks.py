"""The tasks of a sweep: what each computes, the name it is kept under, and the plain values it is sent as."""

import functools
import hashlib
import importlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from largen.sweeps.family import Family
from largen.sweeps.observables import Wanted
from largen.system import AbstractSystem, options_of

RUNS = ("limit", "network", "compare")


class Settings(NamedTuple):
    """What all tasks of a sweep share, as plain values.

    Attributes:
        system: The model's class as `module:name`.
        parameters: The base model's parameters.
        names: Parameters that change.
        run: Some of `RUNS`.
        n: Total number of neurons, or None for the model's own.
        realisations: Realisations of each network.
        seed: Seed of the sweep; each point derives its own from it.
        method: Network method, or None.
        rtol: Relative tolerance of limits.
        atol: Absolute tolerance of limits.
        start: Time from which observables are averaged.
        options: The system's own options.
        observables: What to keep, see `observables.Wanted`.
        level: Chance of a false label in the comparison of a point.
        tolerance: Tolerated shares, as in `compare`.
        times: Output times, as bytes of float64 in hexadecimal.
        code: Version of the code, see `code_version`.
    """

    system: str
    parameters: dict[str, Any]
    names: tuple[str, ...]
    run: tuple[str, ...]
    n: int | None
    realisations: int
    seed: int | str
    method: str | None
    rtol: float
    atol: float
    start: float
    options: dict[str, Any]
    observables: tuple[Wanted, ...]
    level: float
    tolerance: float | dict[str, float] | None
    times: str
    code: str


class Task(NamedTuple):
    """One unit of work.

    Attributes:
        key: Name of its file: the hash of everything its bytes depend on.
        kind: "limit" (a batch of points) or "network" (one point).
        points: Numbers of its points.
    """

    key: str
    kind: str
    points: tuple[int, ...]


def batch_size(model: AbstractSystem) -> int:
    """How many limits one task solves."""
    return getattr(type(model), "limit_batch", 16)


def plan(settings: Settings, family: Family, values: Sequence[Sequence[Any]]) -> list[Task]:
    """Cut a sweep into tasks: limits in batches of consecutive points, networks one each."""
    texts = [family.text(point) for point in values]
    tasks = []
    if "limit" in settings.run:
        prefix, size = _identity(settings, "limit"), batch_size(family.base)
        for first in range(0, len(texts), size):
            points = tuple(range(first, min(first + size, len(texts))))
            tasks.append(Task(_key(prefix, *(texts[k] for k in points)), "limit", points))
    if {"network", "compare"} & set(settings.run):
        prefix = _identity(settings, "network")
        tasks += [Task(_key(prefix, text), "network", (k,)) for k, text in enumerate(texts)]
    return tasks


def _identity(settings: Settings, kind: str) -> str:
    """What a task's bytes depend on, beside the points: a limit knows nothing of networks."""
    plain = settings._asdict()
    plain = {key: plain[key] for key in plain if key not in ("parameters", "names")} | {"kind": kind}
    plain["run"] = [word for word in settings.run if (word == "limit") == (kind == "limit")]
    if "compare" not in plain["run"]:
        plain |= {"level": None, "tolerance": None}
    if kind == "limit":
        plain |= {"n": None, "realisations": 0, "method": None}
        plain["seed"] = settings.seed if "finite_size" in settings.options else 0
        system = class_at(settings.system)
        plain["options"] = {key: value for key, value in settings.options.items() if key in options_of(system, "limit")}
    return json.dumps(plain, sort_keys=True)


def _key(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def seed_of(settings: Settings, text: str) -> int:
    """The seed of one point: from the sweep's seed and the point's parameters, never from its place."""
    words = f"{settings.seed}\0{settings.system}\0{text}".encode()
    return int.from_bytes(hashlib.blake2b(words, digest_size=6).digest(), "little")


def payload(settings: Settings) -> str:
    """Settings as text, to be sent to a worker."""
    return json.dumps(settings._asdict(), sort_keys=True)


def class_at(where: str) -> Any:
    """The model's class from `module:name`."""
    module, _, name = where.partition(":")
    return functools.reduce(getattr, name.split("."), importlib.import_module(module))
