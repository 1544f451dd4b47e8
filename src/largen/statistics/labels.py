"""What the labels of a Dataset say after a selection: its populations and realisations among those of the run.

Sizes, and the populations and realisations of recorded spikes, are kept as in the whole run; labels say which of them a
selection still has.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.checks import InputError, require
from largen.checks import dataset as checked
from largen.system import labels_of

SLACK = 1e-3
"""Share of the spacing of times within which a spike counts as being at a time."""


class Spikes(NamedTuple):
    """Recorded spikes of the realisations, populations and times of a Dataset.

    Attributes:
        populations: Labels of the Dataset's populations, in its order.
        sizes: Their neurons, shape (population,).
        realisations: Labels of the Dataset's realisations, in its order.
        run: Label of each spike's realisation, shape (spike,).
        population: Each spike's population as an index of `populations`, shape (spike,).
        neuron: Its neuron, within the population, shape (spike,).
        time: Its time, within the Dataset's times, shape (spike,).
        source: Label of the population that it comes from, shape (spike,), or None where each is of its own neuron.
        start: First time.
        stop: Last time.
    """

    populations: list[str]
    sizes: np.ndarray
    realisations: list[int]
    run: np.ndarray
    population: np.ndarray
    neuron: np.ndarray
    time: np.ndarray
    source: np.ndarray | None
    start: float
    stop: float


def population_labels(dataset: xr.Dataset) -> list[str]:
    """Labels of the Dataset's populations, in its order; one after `isel(population=0)`."""
    known = "population" in dataset.coords
    require(known, "dataset", "keep its coordinate `population`", list(map(str, dataset.coords)), "Select by label.")
    return [str(label) for label in np.atleast_1d(dataset["population"].values)]


def dims_with_population(dataset: Any, name: str, *dims: str) -> tuple[str, ...]:
    """These dims, and `population` before them unless one population was selected: what a variable is to have.

    Args:
        dataset: What a user gave; checked elsewhere.
        name: The variable.
        dims: The other dims.
    """
    there = getattr(dataset, "variables", {})
    return ("population", *dims) if name in there and "population" in there[name].dims else dims


def realisation_labels(dataset: xr.Dataset) -> list[int]:
    """Numbers of the Dataset's realisations, in its order; one after `isel(realisation=0)`."""
    known = "realisation" in dataset.coords
    require(known, "dataset", "keep its coordinate `realisation`", list(map(str, dataset.coords)), "Select by label.")
    return [int(label) for label in np.atleast_1d(dataset["realisation"].values)]


def populations_of_run(dataset: xr.Dataset) -> list[str]:
    """Labels of all populations of the run from which a Dataset comes, in the order of its `sizes`."""
    if "populations" in dataset.attrs:
        return str(dataset.attrs["populations"]).split(", ")
    mine = population_labels(dataset)  # a Dataset of another maker, or an older one
    parameters = parameters_of(dataset)
    signs = parameters.get("sign", [])
    flags = parameters.get("inhibitory", np.asarray(signs) < 0 if isinstance(signs, list) else [])
    for labels in (list(labels_of(np.atleast_1d(flags))), mine):
        if set(mine) <= set(labels) and len(labels) == len(np.atleast_1d(dataset.attrs.get("sizes", labels))):
            return labels
    raise InputError(
        f"Argument `dataset` must say which of its run's populations are {', '.join(mine)}: give it the attribute "
        "`populations` with all labels in their order, such as 'e, i'."
    )


def parameters_of(dataset: xr.Dataset) -> dict[str, Any]:
    """The model's parameters as plain values, or none of them in a Dataset made by hand."""
    try:
        found = json.loads(dataset.attrs.get("parameters", "{}"))
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def places(dataset: xr.Dataset) -> np.ndarray:
    """Of each of the Dataset's populations, its place among those of the run, shape (population,)."""
    whole, mine = populations_of_run(dataset), population_labels(dataset)
    unknown = [label for label in mine if label not in whole]
    require(not unknown, "dataset", f"have populations of its run, {', '.join(whole)}", mine)
    return np.array([whole.index(label) for label in mine], dtype=np.int64)


def sizes_of(dataset: xr.Dataset) -> np.ndarray:
    """Neurons of each of the Dataset's populations, shape (population,)."""
    must, held = "have the attribute `sizes`, the neurons of each population", list(dataset.attrs)
    require("sizes" in dataset.attrs, "dataset", must, held)
    return _counts(dataset, "sizes")


def network_sizes_of(dataset: xr.Dataset) -> np.ndarray:
    """Neurons of each of the populations in the network, of which those of a recording may be a sample only."""
    return _counts(dataset, "network_sizes") if is_sample(dataset) else sizes_of(dataset)


def is_sample(dataset: xr.Dataset) -> bool:
    """Whether its neurons are a sample of its network's."""
    return "network_sizes" in dataset.attrs


def _counts(dataset: xr.Dataset, name: str) -> np.ndarray:
    sizes, here = np.atleast_1d(np.asarray(dataset.attrs[name])), places(dataset)
    good = sizes.dtype.kind in "iu" and len(sizes) == len(populations_of_run(dataset)) and np.all(sizes > 0)
    require(good, "dataset", f"have one positive integer for each population of its run as `{name}`", sizes)
    return sizes[here]


def ordered(dataset: xr.Dataset, populations: Sequence[str], name: str) -> xr.Dataset:
    """The Dataset with all populations of a model, in the model's order.

    Args:
        dataset: A Dataset with the dim `population`, or one without populations, which is returned as it is.
        populations: The model's labels.
        name: Argument that it is, for the message.
    """
    if "population" not in dataset.coords and "population" not in dataset.dims:
        return dataset
    labels = population_labels(dataset)
    good = "population" in dataset.dims and sorted(labels) == sorted(populations)
    require(good, name, f"have the model's populations {', '.join(populations)}", labels, "Give the whole Dataset.")
    both = {dim: list(populations) for dim in ("population", "source") if dim in dataset.indexes}
    return dataset.sel(both)


def spikes_of(dataset: xr.Dataset) -> Spikes:
    """The recorded spikes of a Dataset's realisations, populations and times, by label.

    A spike within rounding of the first or last time is put onto it.

    Raises:
        InputError: No spikes were recorded, or a selection took a label or the times away.
    """
    names = ("spike_time", "spike_population", "spike_neuron", "spike_realisation")
    known = isinstance(dataset, xr.Dataset) and all(name in dataset for name in names)
    known = known and all(dataset[name].dtype.kind in "iu" or name == "spike_time" for name in names)
    what = list(dataset.data_vars) if isinstance(dataset, xr.Dataset) else type(dataset).__name__
    require(known, "network", "hold spikes", what, 'Simulate with record="spikes".')
    times = np.atleast_1d(np.asarray(checked("network", dataset, variables=("time",))["time"].values, float))
    require(times.size >= 2, "network", "have at least two times", times.size, "Select a range of times.")
    first, last = float(times[0]), float(times[-1])
    slack = SLACK * float(np.diff(times).min())
    runs, order = realisation_labels(dataset), places(dataset)
    run, owner, neuron = (dataset[f"spike_{name}"].values for name in ("realisation", "population", "neuron"))
    time = dataset["spike_time"].values.astype(float)
    here = np.isin(run, runs) & np.isin(owner, order) & (time >= first - slack) & (time <= last + slack)
    whole = populations_of_run(dataset)
    at = np.full(len(whole), -1)
    at[order] = np.arange(len(order))
    source = np.array(whole)[dataset["spike_source"].values[here]] if "spike_source" in dataset else None
    return Spikes(
        population_labels(dataset), sizes_of(dataset), runs, run[here].astype(np.int64), at[owner[here]],
        neuron[here].astype(np.int64), np.clip(time[here], first, last), source, first, last,
    )  # fmt: skip
