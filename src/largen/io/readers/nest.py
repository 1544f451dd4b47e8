"""Spikes of NEST: events of a spike_recorder, the recorder itself, or the text files that it writes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from largen.checks import InputError, require, sentence
from largen.io.readers.found import Asked, Found, no_trial_column, no_trials_table, one_trial, own_unit, root


def is_events(value: Any) -> bool:
    """Whether it is what `spike_recorder.events` gives: times and senders."""
    return isinstance(value, Mapping) and {"times", "senders"} <= set(value)


def is_recorder(value: Any) -> bool:
    """Whether it is a NodeCollection."""
    return root(value) == "nest" and hasattr(value, "get")


def read(source: Any, asked: Asked) -> Found:
    """Read events, or the recorders that have them."""
    own_unit("NEST", asked, "ms")
    no_trials_table("NEST", asked)
    no_trial_column("NEST", asked)
    events = source.get("events") if is_recorder(source) else source
    events = list(events) if isinstance(events, list | tuple) else [events]
    for one in events:
        require(is_events(one), "source", "be a spike_recorder or its events", one)
        steps = "in steps (time_in_steps=True)"
        require("offsets" not in one, "source", "have times in ms", steps, "Record with time_in_steps=False.")
    times, senders = (np.concatenate([np.asarray(one[key]) for one in events]) for key in ("times", "senders"))
    return one_trial("spike_recorder", times, senders, "ms", origin="NEST")


def read_text(paths: list[Path], asked: Asked) -> Found:
    """Read the files of one recorder, one a thread: .dat with `sender` and `time_ms`, .gdf without a header."""
    own_unit("NEST", asked, "ms")
    no_trials_table("NEST", asked)
    no_trial_column("NEST", asked)
    found = [_columns(path) for path in paths]
    times, senders = (np.concatenate(column) for column in zip(*found, strict=True))
    return one_trial(paths[0].name, times, senders, "ms", origin=f"NEST, {paths[0].name}")


def _columns(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Times (ms) and senders."""
    import pandas as pd

    try:
        with open(path, encoding="utf-8") as file:
            head = [line for line in (file.readline() for _ in range(20)) if line.strip() and not line.startswith("#")]
        words = head[0].split() if head else []
        named = bool(words) and not words[0].lstrip("-").isdigit()
        names = words if named else ["sender", "time_ms", *words[2:]]
        table = pd.read_csv(path, sep=r"\s+", comment="#", names=names, header=0 if named else None, usecols=[0, 1])
    except pd.errors.EmptyDataError:  # no spike
        return np.zeros(0), np.zeros(0, np.int64)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"File `{path}` is no spike_recorder's: {sentence(error)}.") from error
    good = names == ["sender", "time_ms"]
    must = "have the columns sender and time_ms alone"
    require(good, str(path), must, ", ".join(names), "Record with time_in_steps=False.")
    return table["time_ms"].to_numpy(), table["sender"].to_numpy()
