"""All statistics of one run in one Dataset, each with its standard error."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from largen.checks import one_of
from largen.statistics.errors import estimate, method
from largen.statistics.events import DEFINITION, find_cycles, has_both
from largen.statistics.rates import mean_rates
from largen.statistics.sampling import choice_errors
from largen.statistics.signals import FINEST, SMOOTHING, Signals, labelled, read
from largen.statistics.spectra import gamma_frequency
from largen.statistics.synchrony import synchrony_index, window_note
from largen.system.values import COMPLETED

NAMES = {  # name: (dims, unit, long name)
    "rate": (("population",), "Hz", "mean firing rate"),
    "synchrony": (("population",), "1", "spike synchrony index"),
    "gamma_frequency": ((), "Hz", "gamma frequency"),
    "event_rate": ((), "Hz", "rate of multiple-firing events"),
    "event_interval": ((), "ms", "mean interval between multiple-firing events"),
    "event_interval_sd": ((), "ms", "s.d. of the interval between multiple-firing events"),
    "event_size": (("population",), "1", "mean spikes per neuron in an event"),
    "event_size_sd": (("population",), "1", "s.d. of spikes per neuron in an event"),
    "event_height": (("population",), "Hz", "mean largest smoothed rate of a cycle"),
    "orbit_area": ((), "Hz^2", "signed area per cycle in the E-I plane"),
}


def summary(dataset: xr.Dataset, *, start: float | None = None, self_count: str = "included") -> xr.Dataset:
    """Compute the statistics of a run of the spiking system: network, finite-size chain or deterministic limit.

    Args:
        dataset: What `simulate` or `solve_limit` returned, with `rate` on a uniform grid of at most 0.5 ms.
        start: Time (ms) after which statistics are taken; by default 500 ms after the first time, or a quarter
            of the run if that is less.
        self_count: Whether the synchrony index counts the spike itself ("included", as the paper does) or not
            ("removed": 1/n less; a deterministic limit has none to remove). Use "removed" to compare the index
            of a network with that of a deterministic limit.

    Returns:
        Each of these with its standard error in `<name>_se`: `rate` and `synchrony` (spike synchrony index), per
        population; `gamma_frequency`; `event_rate`, `event_interval`, `event_interval_sd`, and per population
        `event_size`, `event_size_sd`, `event_height` of multiple-firing events; `orbit_area`, the signed area per
        cycle in the plane of excitatory (abscissa) and inhibitory rate, positive counter-clockwise, that is where
        excitation leads. `attrs` say how the errors were found and, in `status`, which statistics are NaN because
        the run does not have them (no event, no spike), and in `sample` which are the network's where only a sample
        of its neurons was recorded.

    Raises:
        InputError: The Dataset is not of the spiking system, or its times are not uniform or too far apart.
    Source: Chang, Li, Wang, Tao & Xiao 2024 (arXiv 2411.14801).
    """
    one_of("self_count", self_count, ("included", "removed"))
    signals = read(dataset, start, finest=FINEST)
    found = estimate(signals, lambda part: _statistics(part, self_count))
    gamma = gamma_frequency(signals, float(found.value["event_rate"]))
    if (choice := choice_errors(dataset)) is not None:
        found.error["rate"] = np.hypot(found.error["rate"], choice)
    value = found.value | {"gamma_frequency": np.array(gamma[0])}
    error = found.error | {"gamma_frequency": np.array(gamma[1])}
    variables = {}
    for name, (dims, unit, text) in NAMES.items():
        if name in value:
            variables[name] = (dims, value[name], unit, text)
            variables[f"{name}_se"] = (dims, error[name], unit, f"standard error: {text}")
    missing = [name for name, (_, values, *_) in variables.items() if not np.all(np.isfinite(values))]
    attrs = {
        "start": float(signals.times[0] - signals.step),
        "stop": float(signals.times[-1]),
        "standard_error": method(signals),
        "self_count": self_count,
        "synchrony_window": window_note(signals.step),
        "event_definition": DEFINITION,
        "smoothing": SMOOTHING,
        "n": int(signals.network.sum()),
        "status": f"NaN, because there are too few spikes, cycles or steps: {', '.join(missing)}"
        if missing
        else COMPLETED,
    }
    if np.any(signals.network != signals.size):
        attrs["sample"] = sampled(signals)
    return labelled(variables, {"population": (signals.populations, "1", "population")}, attrs)


def sampled(signals: Signals) -> str:
    """What of a sample's statistics are the network's."""
    pairs = zip(signals.size.tolist(), signals.network.tolist(), signals.populations.tolist(), strict=True)
    return (
        f"a sample ({', '.join(f'{m} of {n} {label}' for m, n, label in pairs)}): rate and synchrony estimate the "
        "network's (the error of the rate holds the choice of neurons), all others depend on how many are recorded"
    )


def _statistics(signals: Signals, self_count: str) -> Mapping[str, np.ndarray]:
    """All statistics of the first realisation but the gamma frequency."""
    cycles = find_cycles(signals)
    interval = (cycles.following - cycles.onset) * signals.step
    values = {
        "rate": mean_rates(signals),
        "synchrony": synchrony_index(signals, self_count=self_count),
        "event_rate": 1000.0 / _mean(interval),
        "event_interval": _mean(interval),
        "event_interval_sd": _spread(interval),
        "event_size": _mean(cycles.size),
        "event_size_sd": _spread(cycles.size),
        "event_height": _mean(cycles.height),
    }
    if has_both(signals):
        values["orbit_area"] = _mean(cycles.area)
    return {name: np.asarray(value) for name, value in values.items()}


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over events, NaN without one."""
    return values.mean(-1) if values.shape[-1] else np.full(values.shape[:-1], np.nan)


def _spread(values: np.ndarray) -> np.ndarray:
    """S.d. over events, NaN with fewer than two."""
    return values.std(-1, ddof=1) if values.shape[-1] > 1 else np.full(values.shape[:-1], np.nan)
