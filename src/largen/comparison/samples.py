"""The numbers of a network or a theory that a comparison is about, each with its error.

Every realisation gives one number: the time mean of each observable, and the statistics that its system declares. They
are never averaged before a nonlinear statistic. From a single realisation the error comes from the system's own theory
of fluctuations where it has one; else from groups of times left out in turn (delete-one-group jackknife): groups of
whole cycles where there is a rhythm, else blocks that outlast the correlations.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from largen.checks import InputError
from largen.comparison.decisions import Differences
from largen.numerics.time_averages import integrated_time
from largen.parameters.plain import from_plain
from largen.statistics.errors import pseudo_values
from largen.system import AbstractSystem, Feature, options_of
from largen.systems import SYSTEMS, class_of, system_class

STRETCHES = 5
"""Stretches of time in which the course of an observable is compared."""
ROUNDING = 1e-12
"""Relative range of run values up to which they are equal."""
BLOCKS = 8
LONG = 5.0
"""Integrated correlation times that a block of time must outlast."""


class Side(NamedTuple):
    """One side of a comparison.

    Attributes:
        dataset: Network or theory, with the labels of the other side.
        counted: Which of its times count, shape (time,).
        parts: Of a single realisation, groups of times that are nearly independent, shape (group, time); else None.
        lengthening: How many times as long a single realisation must be to be cut into such groups; 1 otherwise.
        law: Standard errors of a single realisation's time means by the system's theory of fluctuations, by observable.
    """

    dataset: xr.Dataset
    counted: np.ndarray
    parts: np.ndarray | None = None
    lengthening: float = 1.0
    law: Mapping[str, np.ndarray] = {}

    @property
    def sampled(self) -> bool:
        """Whether it is a sample, and not a deterministic theory."""
        return "realisation" in self.dataset.dims

    @property
    def single(self) -> bool:
        """Whether it is one realisation."""
        return self.sampled and self.dataset.sizes["realisation"] == 1


class Sample(NamedTuple):
    """One quantity of one side.

    Attributes:
        measured: Value, standard error and degrees of freedom, shape (entry,) each.
        runs: Value in each realisation, or jackknife pseudo-values, shape (run, entry).
        stretches: Mean in each stretch of time minus the run's own mean, shape (run, entry, stretch); None for
            what has no course in time, or for a single realisation.
        zero: Where it is 0 throughout, shape (entry,).
        same: Where the whole series are the same in all realisations, shape (entry,).
        feature: The statistic that the system declares, or None for an observable's time mean.
    """

    measured: Differences
    runs: np.ndarray
    stretches: np.ndarray | None
    zero: np.ndarray
    same: np.ndarray
    feature: Feature | None = None


def as_series(variable: xr.DataArray) -> np.ndarray:
    """Shape (realisation, component, time); a second time axis is averaged up to the first."""
    data = variable if "realisation" in variable.dims else variable.expand_dims("realisation")
    if "time_" in data.dims:
        data = data.where(data["time_"] <= data["time"]).mean("time_")
    rest = [dim for dim in data.dims if dim not in ("realisation", "time")]
    data = data.transpose("realisation", *rest, "time")
    return data.values.reshape(data.sizes["realisation"], -1, data.sizes["time"]).astype(float)


def network_side(network: xr.Dataset, names: Sequence[str], counted: np.ndarray) -> Side:
    """The network, or another sampled side; of a single realisation with what its errors come from."""
    side = Side(network, counted)
    if not side.single:
        return side
    if law := _law(network, names, counted):
        return side._replace(law=law)
    parts, lengthening = _parts(network, names, counted)
    return side._replace(parts=parts, lengthening=lengthening)


def _parts(network: xr.Dataset, names: Sequence[str], counted: np.ndarray) -> tuple[np.ndarray | None, float]:
    """Groups of times of a single realisation, or by how much it is too short for them."""
    system = class_of(network.attrs)
    if system is not None:
        try:
            parts = system.independent_parts(network)
        except InputError:  # its times are too coarse to see a cycle: blocks of time then
            parts = None
        if parts is not None:
            return parts & counted, 1.0
    longest = max(_longest(as_series(network[name])[..., counted]) for name in names)
    steps = int(counted.sum())
    if steps < BLOCKS * LONG * longest:
        return None, BLOCKS * LONG * longest / steps
    parts = np.zeros((BLOCKS, counted.size), bool)
    for k, block in enumerate(np.array_split(np.flatnonzero(counted), BLOCKS)):
        parts[k, block] = True
    return parts, 1.0


def _longest(series: np.ndarray) -> float:
    return max(integrated_time(series[:, k]) for k in range(series.shape[1]))


def _law(network: xr.Dataset, names: Sequence[str], counted: np.ndarray) -> dict[str, np.ndarray]:
    """Standard errors of one realisation's time means by the system's own theory, by observable; empty without one."""
    if str(network.attrs["system"]) not in SYSTEMS or not _is_whole(network):
        return {}
    kind = system_class(str(network.attrs["system"]))
    if kind.covariance_of_averages is AbstractSystem.covariance_of_averages:
        return {}
    try:
        model = from_plain(kind, json.loads(network.attrs["parameters"]))
    except (InputError, KeyError, TypeError, ValueError):
        return {}  # made by hand, or with a user's own function, which a file's words must not import
    options = options_of(model, "network")
    options |= {key: network.attrs[key] for key in options if key in network.attrs}
    weights = {name: _mean_weights(network[name], counted) for name in names}
    found = model.covariance_of_averages(network["time"].values, weights, n=int(network.attrs["n"]), options=options)
    return {name: np.sqrt(np.maximum(np.diag(covariance), 0.0)) for name, covariance in found.items()}


def _is_whole(network: xr.Dataset) -> bool:
    """Whether all lags are there in their order, and the start of the run, as a theory of fluctuations has them."""
    if network.attrs.get("start_time", network["time"].values[0]) != network["time"].values[0]:
        return False
    return "lag" not in network.dims or network["lag"].values.tolist() == list(range(network.sizes["lag"]))


def _mean_weights(variable: xr.DataArray, counted: np.ndarray) -> np.ndarray:
    """What the time mean of `as_series` does to one realisation, as a matrix: shape (component, *dims)."""
    rest = [dim for dim in variable.dims if dim not in ("realisation", "time", "time_")]
    sizes = [variable.sizes[dim] for dim in rest]
    components = int(np.prod(sizes))
    share = counted / counted.sum()
    order = [*rest, "time"]
    if "time_" in variable.dims:
        share = share[:, None] * np.tri(share.size) / np.arange(1, share.size + 1)[:, None]
        order.append("time_")
    weights = np.eye(components).reshape(components, *sizes, *[1] * share.ndim) * share
    return weights.transpose(0, *(1 + order.index(dim) for dim in variable.dims if dim != "realisation"))


def time_mean(side: Side, name: str) -> Sample:
    """The time mean of an observable, and its course in time."""
    series = as_series(side.dataset[name])
    counted = series[..., side.counted]
    zero = (counted == 0).all((0, 2))
    if not side.sampled:
        mean = counted.mean(-1)
        return Sample(_exact(mean[0]), mean, _stretches(counted), zero, np.ones(zero.shape, bool))
    if side.single:
        return _of_one(side, name, series, zero)
    runs = counted.mean(-1)
    same = (counted == counted[:1]).all((0, 2))
    return Sample(_of_runs(runs, same), runs, _stretches(counted), zero, same)


def _of_one(side: Side, name: str, series: np.ndarray, zero: np.ndarray) -> Sample:
    """The time mean of a single realisation."""
    whole = series[0][:, side.counted].mean(-1)
    constant = np.ptp(series[0], axis=-1) == 0
    if name in side.law:
        known = Differences(whole, side.law[name], np.full(len(whole), np.inf))
        return Sample(known, whole[None], None, zero, constant)
    if side.parts is None:
        return Sample(_of_runs(whole[None], constant), whole[None], None, zero, constant)
    used = side.parts.any(0)
    whole = series[0][:, used].mean(-1)
    without = np.stack([series[0][:, used & ~part].mean(-1) for part in side.parts])
    runs = pseudo_values(whole, without)
    return Sample(_of_runs(runs, constant)._replace(value=whole), runs, None, zero, constant)


def _exact(value: np.ndarray) -> Differences:
    return Differences(value, np.zeros(value.shape), np.full(value.shape, np.inf))


def spread(runs: np.ndarray) -> np.ndarray:
    """Standard error of the mean of (run, entry); exactly 0 where the runs are equal up to rounding."""
    count = len(runs)
    error = runs.std(0, ddof=1) / np.sqrt(count)
    return np.where(np.ptp(runs, axis=0) <= ROUNDING * np.abs(runs).max(0), 0.0, error)


def _of_runs(runs: np.ndarray, same: np.ndarray) -> Differences:
    """Mean over runs with its error, which is not known where values are equal by chance only.

    Args:
        runs: Shape (run, entry).
        same: Where the whole series are the same in all runs, shape (entry,).
    """
    count = len(runs)
    dof = np.full(runs.shape[1], max(count - 1.0, 1.0))
    if count < 2:
        return Differences(runs.mean(0), np.where(same, 0.0, np.nan), dof)
    error = spread(runs)
    error = np.where(error == 0, np.where(same, 0.0, np.nan), error)
    return Differences(runs.mean(0), error, dof)


def _stretches(series: np.ndarray) -> np.ndarray | None:
    """Mean in each stretch of time minus the mean of the whole, shape (run, entry, stretch)."""
    length = series.shape[-1]
    count = min(STRETCHES, length)
    if count < 2:
        return None
    edges = np.round(np.linspace(0, length, count + 1)).astype(int)
    means = np.stack([series[..., a:b].mean(-1) for a, b in itertools.pairwise(edges)], axis=-1)
    return means - series.mean(-1)[..., None]


def features(side: Side) -> tuple[dict[str, Sample], dict[str, str]]:
    """The statistics that the system declares, and by name why others are not there."""
    system = class_of(side.dataset.attrs)
    if system is None:
        return {}, {}
    try:
        found: Mapping[str, Feature | str] = system.features(side.dataset, side.parts)
    except InputError as error:
        found = {"further statistics": str(error)}
    samples = {name: _of_feature(side, feature) for name, feature in found.items() if isinstance(feature, Feature)}
    return samples, {name: reason for name, reason in found.items() if isinstance(reason, str)}


def _of_feature(side: Side, feature: Feature) -> Sample:
    values, zero = feature.values, (feature.values == 0).all(0)
    if not side.sampled:
        return Sample(_exact(feature.estimate), values, None, zero, np.ones(zero.shape, bool), feature)
    varied = np.zeros(zero.shape, bool)
    measured = _of_runs(values, varied)._replace(value=feature.estimate)
    return Sample(measured, values, None, zero, varied, feature)
