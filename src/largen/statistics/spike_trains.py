"""Statistics of single neurons' spike trains: irregularity, variability of counts, correlations, spread of rates."""

from typing import NamedTuple

import numpy as np
import xarray as xr

from largen.checks import integer, real, require
from largen.statistics.labels import spikes_of
from largen.statistics.signals import labelled

_GROUPS = 10  # groups of neurons or of windows that are left out in turn for the error of one realisation


class Trains(NamedTuple):
    """The spikes of one population in one realisation, sorted by neuron, then by time.

    Attributes:
        neuron: Within the population, shape (spike,).
        time: After the start (ms), shape (spike,).
        size: Neurons, also silent ones.
        duration: Length of the recording (ms).
    """

    neuron: np.ndarray
    time: np.ndarray
    size: int
    duration: float


def spike_trains(
    dataset: xr.Dataset,
    *,
    start: float | None = None,
    window: float = 100.0,
    bin_width: float = 2.0,
    fewest: int = 10,
    refractoriness: float = 5.0,
) -> xr.Dataset:
    """Measure what recorded spike trains are quoted for.

    Args:
        dataset: What `simulate` returned with `record="spikes"`, or recorded spikes.
        start: Time (ms) after which spikes are taken; None for a tenth of the run after its start.
        window: Length (ms) of the windows in which spikes are counted for the Fano factor and the counting noise.
        bin_width: Length (ms) of the bins whose counts are correlated.
        fewest: Intervals that a neuron must have for its CV and LvR; few bias the CV downwards.
        refractoriness: R of LvR (ms).

    Returns:
        Dataset with dims (population,), each with its standard error in `<name>_se`:
        `cv`, standard deviation over mean of a neuron's intervals, mean over neurons; `lvr`, its local variation
        revised for refractoriness (Shinomoto et al. 2009, PLoS Comput. Biol. 5:e1000433, eq. 3); `fano_factor`,
        variance over mean of a neuron's counts in windows, mean over neurons that spike; `rate`, mean over neurons
        (Hz); `rate_spread`, standard deviation of the neurons' rates without the counting noise, of which the
        windows tell the variance (Hz); `correlation`, mean correlation of the counts of two neurons in bins, over
        all pairs that spike, exact; `neurons`, those that have a CV. NaN where nothing can be said.
        Errors are over realisations, or, of one, by leaving out a tenth of neurons (of time, for `correlation`).

    Raises:
        InputError: No recorded spikes, or windows that do not fit.
    """
    window, bin_width = real("window", window, above=0.0), real("bin_width", bin_width, above=0.0)
    fewest, refractoriness = integer("fewest", fewest, low=2), real("refractoriness", refractoriness, low=0.0)
    populations, trains = read_trains(dataset, start)
    for name, length in (("window", window), ("bin_width", bin_width)):
        require(2.0 * length <= trains[0][0].duration, name, "fit twice into the run after `start`", length)
    rows = [[_of_one(train, window, bin_width, fewest, refractoriness) for train in part] for part in trains]
    names = {
        "cv": ("1", "coefficient of variation of the intervals"),
        "lvr": ("1", "local variation, revised"),
        "fano_factor": ("1", "Fano factor of the spike counts"),
        "rate": ("Hz", "mean firing rate of a neuron"),
        "rate_spread": ("Hz", "spread of the neurons' rates, without counting noise"),
        "correlation": ("1", "mean pairwise correlation of spike counts"),
    }
    variables = {}
    for name, (unit, text) in names.items():
        values = np.array([[row[name] for row in part] for part in rows])  # (realisation, population)
        if len(values) > 1:
            error = values.std(0, ddof=1) / np.sqrt(len(values))
        else:
            error = np.array([row[f"{name}_se"] for row in rows[0]])
        variables[name] = (("population",), values.mean(0), unit, text)
        variables[f"{name}_se"] = (("population",), error, unit, f"standard error of the {text}")
    count = np.array([[row["neurons"] for row in part] for part in rows]).sum(0)
    variables["neurons"] = (("population",), count, "1", "neurons whose intervals were measured")
    attrs = {"kind": "spike_trains", "window": window, "bin_width": bin_width, "fewest": fewest}
    return labelled(variables, {"population": (np.array(populations), "", "population")}, attrs)


def read_trains(dataset: xr.Dataset, start: float | None) -> tuple[list[str], list[list[Trains]]]:
    """The labels of the populations, and the spikes after `start` by realisation and population."""
    spikes = spikes_of(dataset)
    begin = spikes.start + 0.1 * (spikes.stop - spikes.start) if start is None else real("start", start, unit="ms")
    words = f"lie from {spikes.start:g} to before {spikes.stop:g} ms"
    require(spikes.start <= begin < spikes.stop, "start", words, begin, "Choose another.")
    found = []
    for run in spikes.realisations:
        part = []
        for k, size in enumerate(np.atleast_1d(spikes.sizes).tolist()):
            mine = (spikes.run == run) & (spikes.population == k) & (spikes.time > begin)
            order = np.lexsort((spikes.time[mine], spikes.neuron[mine]))
            neuron, time = spikes.neuron[mine][order], spikes.time[mine][order] - begin
            part.append(Trains(neuron.astype(np.int64), time, int(size), spikes.stop - begin))
        found.append(part)
    return spikes.populations, found


def _of_one(train: Trains, window: float, bin_width: float, fewest: int, refractoriness: float) -> dict[str, float]:
    """All statistics of one population in one realisation, with their errors."""
    cv, lvr = intervals(train, fewest, refractoriness)
    counts = count_in_windows(train, window)
    fano = _fano(counts)
    rates = counts.mean(1) * 1000.0 / window
    noise = counts.var(1, ddof=1) / counts.shape[1] * (1000.0 / window) ** 2
    pair, pair_error = _correlation(train, bin_width)
    return {
        **_mean("cv", cv),
        **_mean("lvr", lvr),
        **_mean("fano_factor", fano),
        **_mean("rate", rates),
        "rate_spread": _spread(rates, noise),
        "rate_spread_se": _jackknife(rates, noise),
        "correlation": pair,
        "correlation_se": pair_error,
        "neurons": len(cv),
    }


def _mean(name: str, values: np.ndarray) -> dict[str, float]:
    count = len(values)
    error = float(values.std(ddof=1) / np.sqrt(count)) if count > 1 else np.nan
    return {name: float(values.mean()) if count else np.nan, f"{name}_se": error}


def intervals(train: Trains, fewest: int, refractoriness: float) -> tuple[np.ndarray, np.ndarray]:
    """CV and LvR of every neuron with enough intervals, each of shape (neuron,)."""
    same = np.diff(train.neuron) == 0
    interval, owner = np.diff(train.time)[same], train.neuron[1:][same]
    count = np.bincount(owner, minlength=train.size)
    enough = count >= fewest
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(owner, interval, minlength=train.size) / count
        square = np.bincount(owner, (interval - mean[owner]) ** 2, minlength=train.size) / count
        cv = np.sqrt(square) / mean
        next_to = np.diff(owner) == 0
        first, second = interval[:-1][next_to], interval[1:][next_to]
        total = first + second
        term = (1.0 - 4.0 * first * second / total**2) * (1.0 + 4.0 * refractoriness / total)
        lvr = 3.0 * np.bincount(owner[1:][next_to], term, minlength=train.size) / (count - 1)
    return cv[enough], lvr[enough]


def count_in_windows(train: Trains, window: float) -> np.ndarray:
    """Spikes of every neuron in each whole window, shape (neuron, window)."""
    many = int(train.duration / window + 1e-9)
    place = np.ceil(train.time / window - 1e-9).astype(np.int64) - 1  # windows end with their last step
    inside = (place >= 0) & (place < many)
    flat = np.bincount(train.neuron[inside] * many + place[inside], minlength=train.size * many)
    return flat.reshape(train.size, many).astype(np.float64)


def _fano(counts: np.ndarray) -> np.ndarray:
    mean = counts.mean(1)
    spikes = mean > 0.0
    return counts[spikes].var(1, ddof=1) / mean[spikes]


def _spread(rates: np.ndarray, noise: np.ndarray) -> float:
    """Standard deviation over neurons less the counting noise (analysis of variance); 0 where none is left."""
    if len(rates) < 2:
        return np.nan
    return float(np.sqrt(max(rates.var(ddof=1) - noise.mean(), 0.0)))


def _jackknife(rates: np.ndarray, noise: np.ndarray) -> float:
    """Error of the spread, from leaving out groups of neurons."""
    groups = min(_GROUPS, len(rates) // 2)
    if groups < 2:
        return np.nan
    group = np.arange(len(rates)) % groups
    left = np.array([_spread(rates[group != k], noise[group != k]) for k in range(groups)])
    return float(np.sqrt((groups - 1) * left.var()))


def _correlation(train: Trains, width: float) -> tuple[float, float]:
    """Mean correlation over all pairs of neurons that spike, and its error by leaving out tenths of the time.

    With every neuron's counts standardised, the mean over pairs is (the variance of their sum less n)/(n (n - 1)).
    """
    many = int(train.duration / width + 1e-9)
    place = np.ceil(train.time / width - 1e-9).astype(np.int64) - 1
    inside = (place >= 0) & (place < many)
    place, owner = place[inside], train.neuron[inside]
    if len(owner) == 0:
        return np.nan, np.nan
    key, number = np.unique(owner * many + place, return_counts=True)
    square = np.bincount(key // many, number.astype(np.float64) ** 2, minlength=train.size)
    mean = np.bincount(owner, minlength=train.size) / many
    variance = square / many - mean**2
    spikes = variance > 0.0
    n = int(spikes.sum())
    if n < 2:
        return np.nan, np.nan
    weight = np.where(spikes, 1.0 / np.sqrt(np.where(spikes, variance, 1.0)), 0.0)
    total = np.bincount(place, weight[owner], minlength=many) - np.sum(weight * mean)
    pair = (total**2 - n) / (n * (n - 1.0))  # its mean over bins is the mean correlation
    parts = np.array([part.mean() for part in np.array_split(pair, min(_GROUPS, many))])
    return float(pair.mean()), float(parts.std(ddof=1) / np.sqrt(len(parts)))
