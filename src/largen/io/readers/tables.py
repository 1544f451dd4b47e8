"""Spikes of plain tables, one row a spike: NPZ, CSV, parquet, a DataFrame, a mapping of columns."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from largen.checks import InputError, require, sentence
from largen.io.readers.found import MILLISECONDS, Asked, Found, column_missing, no_trial_column, no_trials_table, scaled
from largen.io.recorded_populations import ids_of
from largen.io.recorded_trials import Spikes, trials_of_spikes

_TIME = ("time", "times", "spike_time", "spike_times", "t")
_NEURON = ("neuron", "neurons", "sender", "senders", "id", "ids", "neuron_id", "unit_id", "spike_neuron", "i")
_TRIAL = ("trial", "trials", "realisation", "spike_realisation", "trial_id")
_POPULATION = ("population", "populations", "spike_population")
SUFFIXES = (".npz", ".csv", ".tsv", ".parquet")


def is_table(value: Any) -> bool:
    """Whether it is a DataFrame or a mapping of columns, one of which is the times."""
    keys = value if isinstance(value, Mapping) else getattr(value, "columns", ())
    return any(_unit_of(str(key)) is not None for key in keys)


def read_file(path: Path, asked: Asked) -> Found:
    """Read a table from a file.

    Raises:
        InputError: It cannot be read, or lacks a column.
    """
    try:
        columns = _columns(path)
    except InputError:
        raise
    except ImportError as error:
        raise InputError(f"File `{path}` needs the package pyarrow: pip install pyarrow.") from error
    except Exception as error:  # of the format, each of its own kind
        raise InputError(f"File `{path}` is no table that can be read: {sentence(error)}.") from error
    return read(columns, asked, path.name)


def _columns(path: Path) -> Any:
    import pandas as pd

    suffix = path.suffix.lower()
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    if suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, sep="\t" if suffix == ".tsv" else ",", skipinitialspace=True, comment="#")


def read(table: Any, asked: Asked, origin: str = "a table") -> Found:
    """Read a table: a column of times, one of neurons, and perhaps of trials and populations."""
    import pandas as pd

    no_trials_table("a table", asked)
    columns = {str(name): table[name] for name in (table if isinstance(table, Mapping) else table.columns)}
    times = _chosen(columns, [name for name in columns if _unit_of(name) is not None], "time", origin)
    unit = _unit_of(times) or asked.unit
    must = f"be given: the column `{times}` of {origin} has no unit"
    require(unit is not None, "unit", must, asked.unit, "Such as unit='ms', or name the column time_ms.")
    clash = f"be left out, or be that of the column `{times}`"
    require(asked.unit in (None, unit), "unit", clash, asked.unit)
    time, rounding = scaled(f"{origin}: {times}", _plain(columns[times]), str(unit))
    neurons = _chosen(columns, [name for name in columns if name in _NEURON], "neuron", origin)
    neuron = ids_of(f"{origin}: {neurons}", _plain(columns[neurons]))
    require(len(neuron) == len(time), f"{origin}: {neurons}", f"have {len(time)} entries, one a spike", len(neuron))
    trials, trial = [0], np.zeros(len(time), np.int64)
    if found := [name for name in columns if name in _TRIAL]:
        own = _plain(columns[_chosen(columns, found, "trial", origin)])
        trials, trial = trials_of_spikes(own, asked.realisations, len(time))
    else:
        no_trial_column(origin, asked)
    spikes = Spikes(time, neuron, trial, rounding)
    key = asked.populations if isinstance(asked.populations, str) else None
    if key is not None and key not in columns:
        raise column_missing(f"The table {origin}", key, list(columns), "Name a column with the populations.")
    if key is None and asked.populations is None:
        listed = [name for name in columns if name in _POPULATION]
        key = _chosen(columns, listed, "population", origin) if listed else None
    if key is None:
        return Found(spikes, trials, None, None, origin)
    entries = _plain(columns[key])
    must = f"have {len(time)} entries, one a spike"
    require(len(entries) == len(time), f"{origin}: {key}", must, len(entries))
    missing = int(pd.isna(entries).sum())
    require(missing == 0, f"{origin}: {key}", "have the label of each spike's population", f"empty in {missing} rows")
    words = np.array([str(entry) for entry in entries.tolist()])
    return _apart(spikes, words, trials, origin)


def _apart(spikes: Spikes, words: np.ndarray, trials: list[Any], origin: str) -> Found:
    """Ids that may count from 0 in every population, made different; those that spiked are known, no others."""
    neuron, known, first = np.empty_like(spikes.neuron), {}, 0
    for word in sorted(set(words.tolist())):
        mine = words == word
        ids, place = np.unique(spikes.neuron[mine], return_inverse=True)
        neuron[mine] = first + place
        known[word] = first + np.arange(len(ids))
        first += len(ids)
    return Found(spikes._replace(neuron=neuron), trials, known, None, origin, seen=True)


def _chosen(columns: Mapping[str, Any], found: list[str], what: str, origin: str) -> str:
    if len(found) != 1:
        kinds = {"time": _TIME, "neuron": _NEURON, "trial": _TRIAL, "population": _POPULATION}
        listed = ", ".join(found) if found else f"none among {', '.join(columns) or 'no columns'}"
        raise InputError(
            f"The table {origin} must have one column of the {what} of each spike, but has {listed}. Call it "
            f"{' or '.join(kinds[what][:2])}."
        )
    return found[0]


def _unit_of(name: str) -> str | None:
    """Of a column of times, its unit by its name, or the empty word; None of another column."""
    if name in _TIME:
        return ""
    stem, _, unit = name.rpartition("_")
    return unit if stem in _TIME and unit in MILLISECONDS else None


def _plain(column: Any) -> np.ndarray:
    return column.to_numpy() if hasattr(column, "to_numpy") else np.asarray(column)
