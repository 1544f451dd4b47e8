"""Statistics of multiple-firing events: distributions of size and interval, and whether strong and weak alternate."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from largen.checks import integer, real, seed_number
from largen.statistics.errors import estimate, method
from largen.statistics.events import DEFINITION, find_cycles
from largen.statistics.signals import FINEST, Signals, labelled, read
from largen.system.values import COMPLETED

EQUAL = 0.01  # contrast below which the events of a deterministic orbit count as equal
_FEWEST = 8  # events of a sequence


def alternation(size: np.ndarray) -> np.ndarray:
    """How strictly strong and weak events alternate: minus the correlation of an event's size with the next one's.

    1 where every strong event is followed by a weak one and conversely (period 2), 0 for independent events (the
    bias -1/(number of events) of a serial correlation is taken off), negative where sizes persist.

    Args:
        size: Sizes in order, shape (..., event); NaN with fewer than eight, 0 where all are equal.
    """
    count = size.shape[-1]
    if count < _FEWEST:
        return np.full(size.shape[:-1], np.nan)
    centred = size - size.mean(-1, keepdims=True)
    square = np.sum(centred**2, axis=-1)
    equal = square <= count * (1e-12 * np.abs(size).max(-1)) ** 2
    lagged = np.sum(centred[..., 1:] * centred[..., :-1], axis=-1) / np.where(equal, 1.0, square)
    return np.where(equal, 0.0, -lagged - 1.0 / count)


def contrast(size: np.ndarray) -> float:
    """Mean of |x_k+1 - x_k|/(x_k+1 + x_k): 0 for equal events, 1/3 where every other event is twice as large."""
    if size.size < 2:
        return np.nan
    total = size[1:] + size[:-1]
    return float(np.mean(np.abs(np.diff(size)) / np.where(total > 0, total, 1.0)))


def false_alarm(sequences: list[np.ndarray], surrogates: int, rng: np.random.Generator) -> tuple[float, float]:
    """Mean alternation of sequences, and the probability of one as large among shuffled sequences.

    Under the null hypothesis (sizes in random order) a p-value of at most p has probability at most p, because the
    sequence itself is counted as one of its surrogates.
    """
    usable = [sizes for sizes in sequences if sizes.size >= _FEWEST]
    if not usable:
        return np.nan, np.nan
    weight = np.array([sizes.size for sizes in usable], np.float64)
    measured = np.average([alternation(sizes) for sizes in usable], weights=weight)
    shuffled = [alternation(rng.permuted(np.tile(sizes, (surrogates, 1)), axis=1)) for sizes in usable]
    as_large = np.sum(np.average(shuffled, axis=0, weights=weight) >= measured - 1e-12)
    return float(measured), float((1 + as_large) / (1 + surrogates))


def event_statistics(
    dataset: xr.Dataset,
    *,
    start: float | None = None,
    bins: int = 40,
    surrogates: int = 999,
    level: float = 1e-3,
    seed: int = 0,
) -> xr.Dataset:
    """Measure the multiple-firing events of a spiking run: how large, how far apart, and whether they alternate.

    For the events themselves see `firing_events`.

    Args:
        dataset: What `simulate` or `solve_limit` returned for the spiking system, times at most 0.5 ms apart.
        start: Time (ms) after which events count; by default 500 ms, or a quarter of the run if that is less.
        bins: Bins of the distributions.
        surrogates: Shuffled sequences that the alternation is compared with.
        level: Probability of calling events in random order alternating.
        seed: Seed of the shuffling.

    Returns:
        `size_density` (population, size) per (spike per neuron), `interval_density` (interval) per ms, each with
        `_se` over realisations (or blocks of the only one); `size`, `interval` and their quartiles `size_quantile`
        (population, quantile), `interval_quantile` (quantile); `alternation` of the sizes of all neurons' events (1 in
        strict period 2, 0 in random order), `alternation_se`, `alternation_p`, the share of shuffled sequences that
        alternate as much; `contrast`, the mean of |difference|/sum of successive sizes, with `_se`; `alternates`,
        whether p is at most `level` and the sizes differ by more than 1 %; `events`, their number.

    Raises:
        InputError: Not a spiking run with uniform times, or `level` cannot be reached with so few surrogates.
    """
    signals = read(dataset, start, finest=FINEST)
    bins, seed = integer("bins", bins, low=2), seed_number("seed", seed)
    level = real("level", level, above=0.0)
    remedy = f"A level of {level:g} needs as many, so that a p-value can be so small."
    surrogates = integer("surrogates", surrogates, low=max(int(np.ceil(1.0 / level - 1e-9)) - 1, 1), remedy=remedy)

    found = [find_cycles(signals.realisation(r)) for r in range(len(signals.rate))]
    sizes = np.concatenate([one.size for one in found], axis=-1)
    intervals = np.concatenate([one.following - one.onset for one in found]) * signals.step
    edges = {"size": _edges(sizes, bins), "interval": _edges(intervals, bins)}
    results = estimate(signals, lambda part: _statistics(part, edges))
    sequences = [_network_size(one.size, signals) for one in found]
    _, p_value = false_alarm(sequences, surrogates, np.random.default_rng(seed))
    variables = _distributions(results, edges, sizes, intervals)
    differ = float(results.value["contrast"]) > EQUAL
    alternates = bool(np.isfinite(p_value) and p_value <= level and differ)
    scalars = {
        "alternation": (results.value["alternation"], "alternation of strong and weak events"),
        "alternation_se": (results.error["alternation"], "standard error: alternation"),
        "alternation_p": (np.array(p_value), "share of shuffled sequences that alternate as much"),
        "contrast": (results.value["contrast"], "mean of |difference|/sum of successive event sizes"),
        "contrast_se": (results.error["contrast"], "standard error: contrast"),
        "alternates": (np.array(alternates), "whether strong and weak events alternate"),
        "events": (np.array(intervals.size), "number of events"),
    }
    variables |= {name: ((), values, "1", text) for name, (values, text) in scalars.items()}
    attrs = {
        "definition": DEFINITION,
        "standard_error": method(signals),
        "surrogates": surrogates,
        "false_alarm": level,
        "status": COMPLETED if np.isfinite(p_value) else f"fewer than {_FEWEST} events in every realisation",
    }
    coords = {
        "population": (signals.populations, "1", "population"),
        "size": (0.5 * (edges["size"][1:] + edges["size"][:-1]), "1", "spikes per neuron in the event"),
        "interval": (0.5 * (edges["interval"][1:] + edges["interval"][:-1]), "ms", "time to the next onset"),
        "quantile": (np.array([0.25, 0.5, 0.75]), "1", "quantile"),
    }
    return labelled(variables, coords, attrs)


def _network_size(size: np.ndarray, signals: Signals) -> np.ndarray:
    """Spikes per neuron of the whole network in each event, shape (event,)."""
    return signals.size @ size / signals.size.sum()


def _edges(values: np.ndarray, bins: int) -> np.ndarray:
    top = float(values.max(initial=0.0))
    return np.linspace(0.0, 1.05 * top if top > 0 else 1.0, bins + 1)


def _statistics(signals: Signals, edges: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Densities and alternation of the first realisation."""
    cycles = find_cycles(signals)
    network = _network_size(cycles.size, signals)
    interval = (cycles.following - cycles.onset) * signals.step
    return {
        "size_density": np.array([_density(row, edges["size"]) for row in cycles.size]),
        "interval_density": _density(interval, edges["interval"]),
        "alternation": alternation(network),
        "contrast": np.array(contrast(network)),
    }


def _density(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Histogram whose integral is 1, NaN without values."""
    if not values.size:
        return np.full(edges.size - 1, np.nan)
    return np.histogram(values, edges)[0] / (values.size * np.diff(edges))


def _distributions(results, edges, sizes, intervals):
    """Labelled densities and quartiles."""
    quantiles = [0.25, 0.5, 0.75]

    def quartiles(values: np.ndarray) -> np.ndarray:
        return np.quantile(values, quantiles, axis=-1) if values.shape[-1] else np.full((3, *values.shape[:-1]), np.nan)

    texts = {
        "size_density": (("population", "size"), "1", "density of the event size"),
        "interval_density": (("interval",), "1/ms", "density of the interval between events"),
    }
    variables = {}
    for name, (dims, unit, text) in texts.items():
        variables[name] = (dims, results.value[name], unit, text)
        variables[f"{name}_se"] = (dims, results.error[name], unit, f"standard error: {text}")
    variables["size_quantile"] = (("population", "quantile"), quartiles(sizes).T, "1", "quartiles of the event size")
    variables["interval_quantile"] = (("quantile",), quartiles(intervals), "ms", "quartiles of the interval")
    return variables
