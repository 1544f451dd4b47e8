"""Recordings of other programs and in files, as the Dataset that `simulate` gives."""

import glob
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.checks import InputError, known_keys, real, require
from largen.io.readers import brian2, neo, nest, nwb, tables
from largen.io.readers.found import MILLISECONDS, WAY, Asked, Found, root
from largen.io.recorded_populations import Population, populations_of, sizes_of
from largen.io.recorded_trials import Spikes
from largen.io.recordings import Populated, grid_of, populated_by, populated_of, recorded
from largen.statistics.labels import SLACK

_TEXT = (".dat", ".gdf")
_KINDS = (
    "a path, a neo Block, Segment or list of SpikeTrains, events of NEST, a SpikeMonitor of Brian2, a table of spikes, "
    "a mapping from population to such, or a list of such, one a trial"
)


def read_recording(
    source: Any,
    *,
    populations: Any = None,
    sizes: Any = None,
    network_sizes: Any = None,
    t_start: Any = None,
    t_stop: Any = None,
    trials: str | None = None,
    realisations: Any = None,
    stretch: Any = None,
    unit: str | None = None,
    inhibitory: str | Iterable[str] | None = None,
    step: Any = 0.1,
    origin: str = "",
) -> xr.Dataset:
    """Read spikes of another program, from its object or its file, as `recording` makes them of arrays.

    | source | neurons | populations | begin and end |
    |---|---|---|---|
    | neo: Block (a Segment each trial), Segment, list of SpikeTrains | each spike train | annotation | its own |
    | .nwb: table of units (HDF5) | each unit | column of the table | trials, intervals of observation, or given |
    | NEST: `events`, spike_recorder, .dat, .gdf | `senders` | given | given |
    | Brian2: SpikeMonitor | of its group | given | given |
    | .npz, .csv, .tsv, .parquet, DataFrame: a row each spike | column | column or given | given |
    | any other file that neo reads | as of neo | as of neo | its own |

    Args:
        source: An object or a path of the table above (where a pattern such as `spikes-*.dat` names several files of
            one recorder). Or a mapping from the label of each population to such. Or a list, each entry a trial.
        populations: Name of the annotation or column that has the label of each neuron (of tables: of each spike); by
            default "population". Or ids of the neurons by label, as `recording` takes them: ids of units and senders,
            places of spike trains. Not needed where `source` maps labels to groups that know their neurons.
        sizes: Neurons of each population, by label or in their order: needed where the source knows only those that
            spiked, of which it may name populations without any.
        network_sizes: Neurons of each population of the network, where those recorded are a sample, as of `recording`.
        t_start: Begin (ms) of each trial in the source's times. None: the source's own.
        t_stop: Its end (ms), a multiple of `step` after a `t_start` that is given too. None: the source's own. Spikes
            before and after are left out and counted in `attrs["left_out"]`, as are those after the last whole `step`
            of a source's own end.
        trials: Of NWB: the table of intervals whose rows are the trials, such as "trials". None: one trial.
        realisations: Of a table with a column of trials: their number, or all labels, where one may have no spikes.
        stretch: Length (ms) of each realisation: a trial is cut into as many stretches of it as fit, whose times begin
            at 0. Of trials of unequal lengths the first `stretch` ms each is one.
        unit: Unit of time ("s", "ms", "us", "min") of a table whose columns do not say it (`time_s` does).
        inhibitory: Labels of the populations that inhibit, as of `recording`.
        step: Spacing of the output times (ms).
        origin: Where the spikes come from, in words. By default the program or file.

    Returns:
        Dataset of kind "recording", as of `recording`. Trials that begin at different times each begin at 0, and the
        coordinate `begin` (ms) says when in the source.

    Raises:
        InputError: The source cannot be read, or does not say what is needed; the message says what to give.
    """
    require(unit is None or unit in MILLISECONDS, "unit", f"be one of {', '.join(MILLISECONDS)}", unit)
    require(trials is None or isinstance(trials, str), "trials", "name a table of trials", trials)
    spacing = real("step", step, unit="ms", above=0.0)
    length = None if stretch is None else real("stretch", stretch, unit="ms", above=0.0)
    require(isinstance(origin, str), "origin", "be words", origin)
    found = _read(source, Asked(populations, unit, trials, realisations), sizes)
    populated, lost = _who(found, populations, sizes, inhibitory, network_sizes)
    if lost is not None:
        found = found._replace(spikes=found.spikes.of(~lost))
    windows = _windows(found, t_start, t_stop, spacing)
    placed = _placed(found, windows, spacing, length)
    about = {"origin": origin or found.origin, "left_out": placed.left_out}
    return recorded(placed.spikes, found.trials, populated, placed.grid, length, about, placed.begin, placed.lengths)


# Sources -----------------------------------------------------------------------------------------------------------


def _read(source: Any, asked: Asked, sizes: Any) -> Found:
    """What a source holds, whatever its kind."""
    for known, read in _READERS:
        if known(source):
            return read(source, asked)
    if isinstance(source, Mapping):
        return _by_population(source, asked, sizes)
    if isinstance(source, list | tuple) and len(source) > 0:
        return _trial_by_trial([_read(one, asked, sizes) for one in source])
    what = source if isinstance(source, list | tuple | str) else type(source).__name__
    raise InputError(f"Argument `source` must be {_KINDS}, but is {what!r}. Arrays go to `recording`.")


def _of_path(source: Any, asked: Asked) -> Found:
    """What a file holds."""
    text = os.fspath(source)
    require(isinstance(text, str) and text, "source", "name a file", source)
    path = Path(text)
    suffix = path.suffix.lower()
    if suffix in _TEXT:
        paths = [Path(name) for name in sorted(glob.glob(text))] if glob.has_magic(text) else [path]
        for one in paths:
            require(one.is_file(), "source", "name an existing file", str(one))
        require(paths, "source", "match a file", text)
        return nest.read_text(paths, asked)
    require(path.exists(), "source", "name an existing file", text)
    if suffix == ".nwb":
        return nwb.read(path, asked)
    require(path.is_file(), "source", "name a file", text, "It is a folder.")
    if suffix in tables.SUFFIXES:
        return tables.read_file(path, asked)
    require(suffix not in (".nc", ".zarr"), "source", "be of another program", text, "Open it with `load`.")
    return neo.read_file(path, asked)


_READERS: tuple[tuple[Callable[[Any], bool], Callable[[Any, Asked], Found]], ...] = (
    (lambda source: isinstance(source, str | os.PathLike), _of_path),
    (lambda source: neo.is_trains(source) or neo.is_container(source), neo.read),
    (lambda source: nest.is_events(source) or nest.is_recorder(source), nest.read),
    (brian2.is_monitor, brian2.read),
    (tables.is_table, tables.read),
)


def _trial_by_trial(found: list[Found]) -> Found:
    """Several sources as the trials of one."""
    first = found[0]
    alone = len(found) == 1 or not any(one.seen for one in found)
    for k, one in enumerate(found):
        same = (one.known is None) == (first.known is None) and (
            one.seen or one.known is None or first.known is None or _same(one.known, first.known)
        )
        require(same, f"source[{k}]", "have the neurons and populations of source[0]", one.origin)
        remedy = "Give the ids of all neurons as `populations`."
        require(alone, f"source[{k}]", "have no column of populations", one.origin, remedy)
        clear = (one.windows is None) == (first.windows is None)
        require(clear, f"source[{k}]", "say when it begins and ends, as source[0] does", one.origin)
    shift = np.cumsum([0, *(len(one.trials) for one in found)])
    moved = [one.spikes._replace(trial=one.spikes.trial + k) for one, k in zip(found, shift, strict=False)]
    windows = None if first.windows is None else np.concatenate([one.windows for one in found])  # pyright: ignore
    return Found(_joined(moved), list(range(int(shift[-1]))), first.known, windows, first.origin)


def _same(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return list(one) == list(other) and all(np.array_equal(one[label], other[label]) for label in one)


def _joined(parts: list[Spikes]) -> Spikes:
    time, neuron, trial = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return Spikes(time, neuron, trial, max(part.rounding for part in parts))


def _by_population(source: Mapping[Any, Any], asked: Asked, sizes: Any) -> Found:
    """Sources by population: neurons of each count from 0 where it knows them, else their ids are those given."""
    require(len(source) > 0, "source", f"be {_KINDS}", "an empty mapping")
    parts, known, first = [], {}, 0
    ids_given = asked.populations is not None
    for label, one in source.items():
        found = _read(one, asked._replace(populations={} if ids_given else None), None)
        mine = found.known
        require(mine is None or len(mine) == 1, f"source[{label}]", "be one population", list(mine or ()))
        parts.append(found)
        if ids_given:
            must = "be left out: the source knows its neurons"
            require(mine is None, "populations", must, asked.populations)
            continue
        if mine is None:  # only those that spiked are known
            ids = np.unique(found.spikes.neuron)
            must = "be given: the source knows only the neurons that spiked"
            require(sizes is not None, "sizes", must, None, f"Or give all ids, such as {WAY}.")
        else:
            ids = next(iter(mine.values()))
        order = np.argsort(ids)
        place = order[np.searchsorted(ids, found.spikes.neuron, sorter=order)]
        parts[-1] = found._replace(spikes=found.spikes._replace(neuron=first + place))
        known[str(label)] = first + np.arange(len(ids))
        first += len(ids)
    one = parts[0]
    for label, part in zip(source, parts, strict=True):
        must = f"have the {len(one.trials)} trials of the first population, and their begins and ends"
        same = part.trials == one.trials and (part.windows is None) == (one.windows is None)
        same = same and (one.windows is None or np.allclose(one.windows, part.windows, rtol=1e-12, atol=1e-9))
        require(same, f"source[{label}]", must, part.origin)
    seen = any(part.known is None or part.seen for part in parts)
    spikes = _joined([part.spikes for part in parts])
    return Found(spikes, one.trials, None if ids_given else known, one.windows, one.origin, seen)


# Populations and times -----------------------------------------------------------------------------------------------


def _who(
    found: Found, populations: Any, sizes: Any, inhibitory: Any, network_sizes: Any
) -> tuple[Populated, np.ndarray | None]:
    """Who was recorded, and which spikes are of neurons that the user left out of the source's."""
    known = found.known
    if populations is not None and not isinstance(populations, str):
        if isinstance(populations, Mapping):  # NEST's own ids of neurons
            populations = {key: ids.tolist() if root(ids) == "nest" else ids for key, ids in populations.items()}
        everyone, size = populations_of(populations, sizes, complete=known is not None)
        chosen = np.concatenate([one.ids for one in everyone])
        if known is not None:
            there = np.concatenate(list(known.values()))
            for one in everyone:
                missing = one.ids[~np.isin(one.ids, there)]
                must = f"have neurons of the source only, which has {len(there)}"
                require(not len(missing), f"populations[{one.label}]", must, missing)
        others = None if known is None else ~np.isin(found.spikes.neuron, chosen)
        return populated_of(everyone, size, inhibitory, network_sizes), others
    if known is None or "" in known:
        raise InputError(
            "Argument `populations` must be given: the source does not say which neuron is of which population. Such "
            f"as {WAY}" + (", or the name of an annotation or column." if known is not None else ".")
        )
    if not found.seen:
        return populated_by(known, sizes, inhibitory, network_sizes, complete=True), None
    counts = {label: len(ids) for label, ids in known.items()}
    if sizes is None:
        raise InputError(
            "Argument `sizes` must be given: the source knows only the neurons that spiked, "
            f"{', '.join(f'{count} of {label}' for label, count in counts.items())}. Such as sizes={counts} if none "
            "was silent."
        )
    if isinstance(sizes, Mapping):  # they name silent populations too, and the order of all
        known_keys("population of the source", known, sizes)
        known = {str(label): known.get(str(label), np.zeros(0, np.int64)) for label in sizes}
    everyone = [Population(label, ids, False) for label, ids in known.items()]
    return populated_of(everyone, sizes_of(everyone, sizes), inhibitory, network_sizes), None


def _windows(found: Found, t_start: Any, t_stop: Any, step: float) -> np.ndarray:
    """Begin and end (ms) of every trial, shape (trial, 2)."""
    count = len(found.trials)
    windows = np.full((count, 2), np.nan) if found.windows is None else found.windows.copy()
    for column, (name, value) in enumerate((("t_start", t_start), ("t_stop", t_stop))):
        if value is not None:
            given = real(name, value, unit="ms")
            slack = 1e-9 * (1.0 + abs(given))
            own = windows if found.windows is not None else np.array([[-np.inf, np.inf]])
            good = bool(((given >= own[:, 0] - slack) & (given <= own[:, 1] + slack)).all())
            must = f"lie within what was recorded, {own[:, 0].max():.10g} to {own[:, 1].min():.10g} ms"
            require(good, name, must, given)
            windows[:, column] = given
        require(bool(np.isfinite(windows[:, column]).all()), name, "be given (ms): the source does not say it", value)
    require(bool((windows[:, 1] > windows[:, 0]).all()), "t_stop", "be after t_start", windows[:, 1].min())
    if t_start is not None and t_stop is not None:
        grid_of(windows[0, 0], windows[0, 1], step)  # a multiple of the step: what was said is not shortened
    return windows


class _Placed(NamedTuple):
    """Spikes in the times of their trials.

    Attributes:
        spikes: The spikes within the output times.
        grid: The output times (ms), shape (time,).
        begin: When each trial begins in the source (ms), where its own times begin at 0, shape (trial,); else None.
        lengths: How long each trial is (ms), where they differ, shape (trial,); else None.
        left_out: Spikes before and after.
    """

    spikes: Spikes
    grid: np.ndarray
    begin: np.ndarray | None
    lengths: np.ndarray | None
    left_out: int


def _placed(found: Found, windows: np.ndarray, step: float, stretch: float | None) -> _Placed:
    """Spikes in the times of their trials: those that begin at the same time keep it, others begin at 0."""
    begin, lengths = windows[:, 0], windows[:, 1] - windows[:, 0]
    uneven = bool(np.ptp(lengths) > SLACK * step)
    if uneven and stretch is None:
        raise InputError(
            f"Argument `stretch` must be given: the trials last between {lengths.min():.10g} and {lengths.max():.10g} "
            f"ms. Such as stretch={np.floor(lengths.min() / step + SLACK) * step:.10g}."
        )
    whole = np.floor(lengths.max() / step + SLACK)
    require(whole >= 1, "step", f"be at most {lengths.max():.10g} ms, a trial", step)
    moved = bool(np.ptp(begin) > SLACK * step)
    first = 0.0 if moved else float(begin[0])
    grid = grid_of(first, first + whole * step, step)
    spikes = found.spikes
    time, rounding = spikes.time, spikes.rounding
    if moved:
        time = time - begin[spikes.trial]
        rounding = max(rounding, 4.0 * float(np.spacing(np.abs(windows).max())))
    slack = SLACK * step + rounding
    kept = (time >= grid[0] - slack) & (time <= grid[-1] + slack)
    if len(time) and not kept.any():
        raise InputError(
            f"Argument `source` must have spikes between {windows[0, 0]:.10g} and {windows[0, 1]:.10g} ms, but its "
            f"{len(time)} lie between {spikes.time.min():.10g} and {spikes.time.max():.10g}. Are t_start and t_stop in "
            "ms?"
        )
    inside = spikes._replace(time=time, rounding=rounding).of(kept)
    return _Placed(inside, grid, begin if moved else None, lengths if uneven else None, int((~kept).sum()))
