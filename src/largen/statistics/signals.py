"""From a labelled Dataset to the arrays of the statistics: rates per step, pooled and smoothed."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from largen.checks import InputError, real, require, vector
from largen.checks import dataset as checked
from largen.statistics.labels import (
    dims_with_population,
    network_sizes_of,
    parameters_of,
    places,
    population_labels,
    populations_of_run,
    sizes_of,
)

FINEST = 0.5  # ms: the coarsest grid on which events within ±0.5 ms can be told apart
SMOOTHING = 1.5  # ms: s.d. of the Gaussian that smooths rates for events and orbits


class Signals(NamedTuple):
    """Rates after the start of the statistics.

    Attributes:
        times: Ends of the steps (ms), shape (time,).
        step: Grid spacing (ms).
        rate: Spikes in the step that ends at each time, per neuron and second, shape (realisation, population,
            time); one realisation where the Dataset has none.
        populations: Labels, shape (population,).
        size: Neurons per population, shape (population,).
        inhibitory: Whether a population is inhibitory, shape (population,).
        stochastic: Whether the rates are those of a network or a finite-size chain, and not of a deterministic
            limit.
        network: Neurons per population of the network, of which `size` may be a sample, shape (population,).
    """

    times: np.ndarray
    step: float
    rate: np.ndarray
    populations: np.ndarray
    size: np.ndarray
    inhibitory: np.ndarray
    stochastic: bool
    network: np.ndarray

    def pooled(self, inhibitory: bool) -> np.ndarray:
        """Rate per neuron of all excitatory or all inhibitory populations together, shape (realisation, time)."""
        mine = self.inhibitory == inhibitory
        return np.einsum("rpt,p->rt", self.rate[:, mine], self.network[mine] / self.network[mine].sum())

    def part(self, first: int, last: int) -> "Signals":
        """The same signals on the steps first..last-1 only."""
        return self._replace(times=self.times[first:last], rate=self.rate[..., first:last])

    def realisation(self, index: int) -> "Signals":
        """The same signals for one realisation."""
        return self._replace(rate=self.rate[index : index + 1])


def read(dataset: xr.Dataset, start: float | None, *, finest: float = np.inf, whole: bool = False) -> Signals:
    """Take the rates out of a Dataset and check them.

    Args:
        dataset: What `simulate` or `solve_limit` returned for the spiking system, or another with `rate` (realisation,
            population, time) with or without realisations, in Hz, on a uniform grid of `time` in ms, and `sizes` among
            its attributes (of all populations of the run, also where some were selected). Which populations inhibit
            say the parameter or the attribute `inhibitory` or, without these, labels with i.
        start: Time (ms) after which statistics are taken; None for 500 ms after the first time, or a quarter of
            the run if that is less.
        finest: Largest spacing of the grid that is allowed (ms).
        whole: Whether None for `start` stands for the whole run instead.

    Raises:
        InputError: The Dataset is of another kind, the grid is not uniform or too coarse, or nothing is left
            after `start`.
    """
    if not isinstance(dataset, xr.Dataset) or "rate" not in dataset or dataset["rate"].attrs.get("units") != "Hz":
        raise InputError(
            "Argument `dataset` must be a Dataset with the variable `rate` in Hz, as of the spiking system, "
            f"but is {_about(dataset)}. Pass what simulate(...) or solve_limit(...) returned."
        )
    checked("dataset", dataset, arrays={"rate": dims_with_population(dataset, "rate", "time")})
    for dim in ("realisation", "population"):
        require(dataset.sizes.get(dim, 1) > 0, "dataset", f"have entries along `{dim}`", "empty")
    times = vector("dataset.time", dataset["time"].values, dims=None)
    require(times.size >= 3, "dataset", "have at least three times", times.size)
    step = (times[-1] - times[0]) / (times.size - 1)
    if np.abs(np.diff(times) - step).max() > 1e-3 * step:
        raise InputError(
            f"Argument `dataset` must have uniformly spaced times, but they are {np.diff(times).min():.6g} to "
            f"{np.diff(times).max():.6g} ms apart. Simulate with times such as np.arange(0, 5000, 0.1)."
        )
    if step > finest * (1 + 1e-9):
        raise InputError(
            f"Argument `dataset` must have times at most {finest:g} ms apart for this statistic, but they are "
            f"{step:.6g} ms apart. Simulate with times such as np.arange(0, 5000, 0.1)."
        )
    duration = times[-1] - times[0]
    if start is None:
        start = times[0] + (0.0 if whole else min(500.0, duration / 4))
    start = real("start", start, unit="ms", low=float(times[0]))
    # The rate at times[i] belongs to (times[i-1], times[i]], so that the first time carries nothing.
    keep = times > start + 1e-6 * step
    keep[0] = False
    require(keep.sum() >= 3, "start", f"lie before the end of the run at {times[-1]:g} ms", start)
    rate = dataset["rate"]
    if "population" not in rate.dims:  # one was selected
        rate = rate.expand_dims("population")
    lead = ("realisation",) if "realisation" in rate.dims else ()
    values = rate.transpose(*lead, "population", "time").values.astype(np.float64)[..., keep]
    require(np.all(np.isfinite(values)), "dataset", "hold finite rates", "not")
    populations = np.array(population_labels(dataset))
    size = sizes_of(dataset)
    inhibitory = _inhibitory(dataset)
    stochastic = dataset.attrs.get("kind") != "limit" or str(dataset.attrs.get("finite_size")).lower() == "true"
    values = values if lead else values[None]
    network = network_sizes_of(dataset)
    return Signals(times[keep], step, values, populations, size, inhibitory, stochastic, network)


def _about(dataset: object) -> str:
    if not isinstance(dataset, xr.Dataset):
        return type(dataset).__name__
    system = dataset.attrs.get("system", "an unknown system")
    return f"a Dataset of {system} with the variables {', '.join(map(str, dataset.data_vars)) or 'none'}"


def _inhibitory(dataset: xr.Dataset) -> np.ndarray:
    """Which populations inhibit: the parameter or attribute of that name says so, or else labels that begin with i."""
    flags = np.atleast_1d(parameters_of(dataset).get("inhibitory", dataset.attrs.get("inhibitory", [])))
    if flags.dtype.kind not in "biu" or len(flags) != len(populations_of_run(dataset)):
        return np.array([label.startswith("i") for label in population_labels(dataset)])
    return flags[places(dataset)].astype(bool)


def smooth(rate: np.ndarray, step: float, width: float = SMOOTHING) -> np.ndarray:
    """Rates smoothed along the last axis by a Gaussian of s.d. `width` (ms), cut at 4 s.d.; see `smoothing_used`."""
    if not smoothing_used(width, step):
        return rate
    span = step * rate.shape[-1]
    require(width <= span, "smoothing", f"be at most the length of the run, {span:g}", width)
    from scipy.ndimage import gaussian_filter1d  # slow to import

    return gaussian_filter1d(rate, width / step, axis=-1, mode="nearest", truncate=4.0)


def smoothing_used(width: float, step: float) -> float:
    """The s.d. (ms) with which rates on a grid are smoothed: 0 below half a step, over which they are means anyway."""
    return width if width >= 0.5 * step * (1 - 1e-9) else 0.0


def labelled(
    variables: Mapping[str, tuple[tuple[str, ...], np.ndarray, str, str]],
    coords: Mapping[str, tuple[np.ndarray, str, str]],
    attrs: Mapping[str, object],
) -> xr.Dataset:
    """A Dataset from (dims, values, units, long_name) per variable and (values, units, long_name) per coordinate."""
    return xr.Dataset(
        {
            name: (dims, values, {"units": units, "long_name": text})
            for name, (dims, values, units, text) in variables.items()
        },
        {dim: (dim, values, {"units": units, "long_name": text}) for dim, (values, units, text) in coords.items()},
        attrs,
    )
