"""Recordings and models as the sides of a comparison at the command line."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from largen.checks import InputError, real, require
from largen.commands.job import pairs
from largen.commands.options import RecordingOptions
from largen.commands.output import Output
from largen.io.results import load
from largen.io.typed import typed_populations

if TYPE_CHECKING:
    import xarray as xr

    from largen.system import AbstractSystem

WARM_UP = 500.0
"""Time (ms) from a model's start to a recording's first time, unless said otherwise."""


def sides(
    first: str, second: str, said: RecordingOptions, warm_up: float | None, output: Output
) -> tuple["xr.Dataset", "xr.Dataset"]:
    """The two sides of a comparison, a sample of a network first."""
    kinds = [_kind(name) for name in (first, second)]
    if kinds == ["model", "model"]:
        raise InputError("Two models cannot be compared: simulate one (largen simulate) and give what it wrote.")
    if "recording" not in kinds and not _silent(said):
        raise InputError("Options of a recording were given, but neither side is one: leave them out.")
    if "model" not in kinds and warm_up is not None:
        raise InputError("Option --warm-up goes with a model, but neither side is one: leave it out.")
    read = {"recording": lambda path: _read(path, said), "dataset": load}
    if "model" in kinds:
        model, other = (first, second) if kinds[0] == "model" else (second, first)
        network = read[next(kind for kind in kinds if kind != "model")](other)
        return network, _limit(model, network, warm_up, output)
    ours, theirs = (read[kind](name) for kind, name in zip(kinds, (first, second), strict=True))
    return (theirs, ours) if ours.attrs.get("kind") == "limit" != theirs.attrs.get("kind") else (ours, theirs)


def recorded(name: str | None, said: RecordingOptions) -> "xr.Dataset | None":
    """What the option --recording names; its file's name becomes the attribute `name`."""
    if name is None:
        if not _silent(said):
            raise InputError("Options of a recording were given, but none is named: add --recording.")
        return None
    kind = _kind(name)
    require(kind != "model", "--recording", "be a recording, or what `largen simulate` wrote", name)
    if kind == "dataset" and not _silent(said):
        raise InputError(f"{name} says itself what it holds: leave out the options of a recording.")
    found = _read(name, said) if kind == "recording" else load(name)
    return found.assign_attrs(name=Path(name).name)


def _silent(said: RecordingOptions) -> bool:
    """Whether nothing is said."""
    return said == RecordingOptions()


def _read(path: str, said: RecordingOptions) -> "xr.Dataset":
    """Read a recording as it is said to be."""
    from largen.io.reading import read_recording

    options = {name: value for name, value in dataclasses.asdict(said).items() if value is not None}
    if said.populations:
        options["populations"] = typed_populations("Option --populations", said.populations)
    if said.sizes:
        options["sizes"] = pairs("--sizes", said.sizes, like="e=300")
    if said.network_sizes:
        options["network_sizes"] = pairs("--network-sizes", said.network_sizes, like="e=800")
    return read_recording(path, **options)


def _kind(name: str) -> str:
    """What a side is, by its name."""
    from largen.io.model_files import examples

    suffix = Path(name).suffix.lower()
    if suffix in (".yaml", ".yml") or name in examples():
        return "model"
    return "dataset" if suffix in (".nc", ".zarr") else "recording"


def _limit(name: str, network: "xr.Dataset", warm_up: float | None, output: Output) -> "xr.Dataset":
    """The limit of a model at a network's size and times, its first `warm_up` ms left out."""
    from largen.io.model_files import read_file
    from largen.simulation import solve_limit

    model, _ = read_file(name)
    must = f"be of the {network.attrs.get('system')} system"
    require(model.system == network.attrs.get("system"), name, must, model.system)
    times = network["time"].values
    recorded = network.attrs.get("kind") == "recording"
    before = real("--warm-up", WARM_UP * recorded if warm_up is None else warm_up, unit=model.time_unit, low=0.0)
    step = (times[-1] - times[0]) / (len(times) - 1)
    steps = round(before / step)
    _require_sizes(name, model, network)
    if recorded:
        output.say(f"The model starts {steps * step:g} {model.time_unit} before the recording (--warm-up).")
    early = times[0] - step * np.arange(steps, 0, -1)
    limit = solve_limit(model, np.concatenate([early, times]), n=int(network.attrs["n"]))
    return limit.isel(time=slice(steps, None))


def _require_sizes(name: str, model: "AbstractSystem", network: "xr.Dataset") -> None:
    """Refuse a model whose populations are others."""
    counts = network.attrs.get("network_sizes", network.attrs["sizes"])
    theirs = dict(zip(str(network.attrs["populations"]).split(", "), np.atleast_1d(counts).tolist(), strict=True))
    same = sorted(theirs) == sorted(model.populations)
    must = f"have the populations {', '.join(theirs)}"
    require(same, name, must, ", ".join(model.populations), "Name those of the recording with --populations.")
    sizes = dict(zip(model.populations, np.atleast_1d(model.sizes(int(network.attrs["n"]))).tolist(), strict=True))
    must = f"have {', '.join(f'{count} neurons of {label}' for label, count in theirs.items())}"
    held = ", ".join(f"{sizes[label]} of {label}" for label in theirs)
    require(sizes == theirs, name, must, held, f"Change the model's sizes, as in a copy of {name}, or say with "
            "--network-sizes of how many neurons the recorded ones are a sample.")  # fmt: skip
