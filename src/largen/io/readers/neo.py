"""Spikes of neo: a Block, a Segment, a list of SpikeTrains, and every file that neo reads."""

from pathlib import Path
from typing import Any

import numpy as np

from largen.checks import InputError, require, sentence, shown
from largen.io.readers.found import WAY, Asked, Found, by_label, no_trial_column, no_trials_table, root
from largen.io.recorded_trials import Spikes, rounding_of

_UNSAFE = (".pkl", ".pickle", ".p")


def is_train(value: Any) -> bool:
    """Whether it is a SpikeTrain."""
    return root(value) == "neo" and type(value).__name__ == "SpikeTrain"


def is_trains(value: Any) -> bool:
    """Whether it is a list of SpikeTrains."""
    if root(value) == "neo":
        return type(value).__name__ == "SpikeTrainList"
    return isinstance(value, list | tuple) and len(value) > 0 and all(map(is_train, value))


def is_container(value: Any) -> bool:
    """Whether it is a Block or a Segment."""
    return root(value) == "neo" and type(value).__name__ in ("Block", "Segment")


def read(source: Any, asked: Asked, origin: str = "neo") -> Found:
    """Read a Block (each Segment a trial), a Segment, or a list of SpikeTrains (each a neuron)."""
    if is_trains(source):
        segments = [list(source)]
    elif type(source).__name__ == "Segment":
        segments = [list(source.spiketrains)]
    else:
        segments = [list(segment.spiketrains) for segment in source.segments]
    no_trials_table("neo", asked)
    no_trial_column("neo", asked)
    require(asked.unit is None, "unit", "be left out: neo has times with units", asked.unit)
    require(segments, "source", "be a Block with a Segment", "one without")
    count = len(segments[0])
    for k, trains in enumerate(segments):
        must = f"have the same {count} spike trains in each Segment, one a neuron"
        require(len(trains) == count, "source", must, f"{len(trains)} in Segment {k}")
    require(count > 0, "source", "have spike trains", "none")
    parts = [_times(trains, asked) for trains in segments]
    spikes = Spikes(
        np.concatenate([time for time, _, _ in parts]),
        np.concatenate([neuron for _, neuron, _ in parts]),
        np.repeat(np.arange(len(parts)), [len(time) for time, _, _ in parts]),
        max(rounding for _, _, rounding in parts),
    )
    return Found(spikes, list(range(len(parts))), _known(segments, asked), _windows(segments), origin)


def _times(trains: list[Any], asked: Asked) -> tuple[np.ndarray, np.ndarray, float]:
    """Times (ms), the neuron of each, and how exactly they are known, of one Segment."""
    found, rounding = [], 0.0
    for k, train in enumerate(trains):
        require(is_train(train), "source", "hold SpikeTrains", type(train).__name__)
        found.append(_ms(train, f"spike train {k}"))
        require(bool(np.isfinite(found[-1]).all()), f"spike train {k}", "have finite times", found[-1])
        rounding = max(rounding, rounding_of(train.magnitude, found[-1]))
    counts = [len(time) for time in found]
    return np.concatenate(found), np.repeat(np.arange(len(trains)), counts), rounding


def _ms(value: Any, name: str) -> np.ndarray:
    try:
        factor = float(value.units.rescale("ms"))
    except ValueError as error:
        raise InputError(f"Argument `source` must have times, but {name} is in {value.dimensionality}.") from error
    return np.asarray(value.magnitude, float) * factor


def _windows(segments: list[list[Any]]) -> np.ndarray | None:
    """Begin and end of each Segment (ms); None where its trains disagree."""
    found = []
    for trains in segments:
        ends = np.array(
            [[float(_ms(train.t_start, "t_start")), float(_ms(train.t_stop, "t_stop"))] for train in trains]
        )
        if np.ptp(ends, axis=0).max() > 1e-6 * (1 + np.abs(ends).max()):
            return None
        found.append(ends[0])
    return np.array(found)


def _known(segments: list[list[Any]], asked: Asked) -> dict[str, np.ndarray]:
    """The trains of each population, by their annotation; under the empty word where the user names them."""
    ids = np.arange(len(segments[0]))
    if asked.populations is not None and not isinstance(asked.populations, str):
        return {"": ids}
    key = "population" if asked.populations is None else asked.populations
    names = [[train.annotations.get(key) for train in trains] for trains in segments]
    if any(name is None for name in names[0]):
        if asked.populations is None and all(name is None for name in names[0]):
            return {"": ids}
        every = [set(map(str, train.annotations)) for train in segments[0]]
        raise InputError(
            f"Argument `populations` must be an annotation of all spike trains, but is {shown(key)}; they have "
            f"{', '.join(sorted(set.intersection(*every))) or 'none in common'}. Or give their places, such as {WAY}."
        )
    for k, mine in enumerate(names):
        must = "have the spike trains of the same populations at the same places in each Segment"
        require(mine == names[0], "source", must, f"others in Segment {k}")
    return by_label(names[0], ids)


def read_file(path: Path, asked: Asked) -> Found:
    """Read a file of a format that neo knows.

    Raises:
        InputError: neo is not there, knows no such format, or cannot read the file; a pickle, which can run code.
    """
    must = "be a file of data, not a pickle, which could run code"
    require(path.suffix.lower() not in _UNSAFE, "source", must, str(path))
    try:
        from neo.io import get_io
    except ImportError as error:
        raise InputError(f"Reading `{path}` needs the package neo: pip install 'largen[neo]'.") from error
    try:
        reader: Any = get_io(str(path))
        require("Pickle" not in type(reader).__name__, "source", must, str(path))
        blocks = reader.read(lazy=False)
    except InputError:
        raise
    except Exception as error:  # of the format, each of its own kind
        raise InputError(
            f"File `{path}` is none that neo can read ({sentence(error)}). largen itself reads .nwb, .npz, .csv, .tsv, "
            ".parquet, and .dat and .gdf of NEST."
        ) from error
    require(len(blocks) == 1, "source", "hold one Block", f"{len(blocks)} in {path}", "Read it with neo; pass one.")
    return read(blocks[0], asked, origin=path.name)
