"""Sorted spikes of an NWB file (Neurodata Without Borders 2, HDF5): the table of its units.

Source: NWB Format Specification 2, Units and TimeIntervals; a ragged column is its data with the ends of its rows in
`<name>_index` (HDMF common, VectorIndex).
"""

from pathlib import Path
from typing import Any

import numpy as np

from largen.checks import InputError, require, sentence
from largen.io.readers.found import WAY, Asked, Found, by_label, column_missing, no_trial_column, own_unit, scaled
from largen.io.recorded_trials import Spikes


def read(path: Path, asked: Asked) -> Found:
    """Read the units of an NWB file; with `asked.trials`, the spikes of each trial of that table.

    Raises:
        InputError: It is no NWB file in HDF5, has no sorted spikes, or lacks what was asked for.
    """
    own_unit("NWB", asked, "s")
    no_trial_column("NWB", asked)
    try:
        import h5py
    except ImportError as error:
        raise InputError("NWB files need the package h5py: pip install 'h5netcdf[h5py]'.") from error
    try:
        with h5py.File(path, "r") as file:
            require("nwb_version" in file.attrs, "source", "be an NWB file", str(path), "It names no NWB version.")
            return _read(file, path, asked)
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        remedy = " Stores of zarr are not read." if path.is_dir() else ""
        raise InputError(f"File `{path}` is no NWB file that can be read: {sentence(error)}.{remedy}") from error


def _read(file: Any, path: Path, asked: Asked) -> Found:
    there = "units" in file and "spike_times" in file["units"]
    require(there, "source", "have sorted spikes, `units/spike_times`", ", ".join(file), "Sort its spikes first.")
    units = file["units"]
    ids = units["id"][()].astype(np.int64)
    require(len(np.unique(ids)) == len(ids), f"{path.name}: units/id", "have each unit once", ids)
    seconds, unit = _ragged(units, "spike_times", len(ids))
    time, rounding = scaled(f"{path.name}: units/spike_times", seconds, "s")
    spikes = Spikes(time, ids[unit], np.zeros(len(time), np.int64), rounding)
    known = _known(file, units, ids, asked)
    if asked.trials is None:
        return Found(spikes, [0], known, _observed(units, len(ids)), path.name)
    return _cut_at_trials(spikes, known, _intervals(file, asked.trials), path.name)


def _ragged(table: Any, name: str, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Data of a ragged column and the row of each entry."""
    ends = table[f"{name}_index"][()].astype(np.int64)
    data = table[name][()]
    counts = np.diff(ends, prepend=0)
    good = len(ends) == rows and (counts >= 0).all() and (not rows or ends[-1] == len(data))
    require(bool(good), "source", f"have a `{name}_index` that ends each unit's `{name}`", ends)
    return data, np.repeat(np.arange(rows), counts)


def _known(file: Any, units: Any, ids: np.ndarray, asked: Asked) -> dict[str, np.ndarray]:
    """Units of each population, by a column; under the empty word where the user names them."""
    if asked.populations is not None and not isinstance(asked.populations, str):
        return {"": ids}
    key = asked.populations or "population"
    columns = sorted(name for name in units if units[name].shape == ids.shape and not name.endswith("_index"))
    if key not in columns:
        if asked.populations is None:
            return {"": ids}
        raise column_missing("The table of units", key, columns, f"Name one of these, or give ids, such as {WAY}.")
    return by_label([_word(file, value) for value in units[key][()]], ids)


def _word(file: Any, value: Any) -> str:
    """An entry as a word: text, a number, or the name of the object that it points to."""
    if isinstance(value, bytes):
        return value.decode()
    if type(value).__name__ == "Reference":
        return str(file[value].name).rpartition("/")[2]
    return str(value)


def _observed(units: Any, rows: int) -> np.ndarray | None:
    """The interval (ms) in which all units were observed, where it is one and the same."""
    if "obs_intervals" not in units:
        return None
    intervals, unit = _ragged(units, "obs_intervals", rows)
    if len(intervals) != rows or len(np.unique(unit)) != rows or np.ptp(intervals, axis=0).max(initial=0.0) > 1e-9:
        return None
    return np.asarray(intervals[:1], float) * 1000.0


def _intervals(file: Any, name: str) -> np.ndarray:
    """Begin and end of each trial (ms), shape (trial, 2)."""
    tables = sorted(file["intervals"]) if "intervals" in file else []
    if name not in tables:
        raise column_missing("The file", f"intervals/{name}", tables, "Name one of these as `trials`.")
    table = file["intervals"][name]
    found = 1000.0 * np.stack([table[key][()].astype(float) for key in ("start_time", "stop_time")], axis=1)
    good = len(found) > 0 and bool((np.isfinite(found).all(1) & (found[:, 1] > found[:, 0])).all())
    require(good, "trials", "be a table of intervals that end after they start", name)
    return found


def _cut_at_trials(spikes: Spikes, known: dict[str, np.ndarray], windows: np.ndarray, origin: str) -> Found:
    """The spikes of each trial, which may overlap; a spike at its beginning or end counts to it."""
    order = np.argsort(spikes.time, kind="stable")
    time = spikes.time[order]
    slack = 1e-9 * (1.0 + np.abs(windows))
    low = np.searchsorted(time, windows[:, 0] - slack[:, 0], side="left")
    high = np.searchsorted(time, windows[:, 1] + slack[:, 1], side="right")
    rows = [order[a:b] for a, b in zip(low, high, strict=True)]
    trial = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    chosen = np.concatenate(rows)
    cut = Spikes(spikes.time[chosen], spikes.neuron[chosen], trial, spikes.rounding)
    return Found(cut, list(range(len(rows))), known, windows, origin)
