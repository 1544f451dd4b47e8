"""The statistics of rhythm that a comparison tests: one value of each realisation, and how large a difference matters.

From one realisation the errors come from groups of whole cycles, left out in turn (delete-one-group jackknife):
windows of time would cut cycles at their edges and make the errors up to three times too large.
"""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from scipy.special import stdtrit

from largen.statistics.errors import pseudo_values
from largen.statistics.events import Cycles, find_cycles, has_both
from largen.statistics.rates import network_rate
from largen.statistics.signals import FINEST, SMOOTHING, Signals, read, smooth
from largen.statistics.spectra import SEGMENT, densities, gamma_frequency, gamma_frequency_values, segment_steps
from largen.statistics.switching import switching
from largen.statistics.synchrony import synchrony_index
from largen.system import Feature

BANDS = ((2.0, 30.0), (30.0, 90.0), (90.0, 200.0))
"""Bands of frequency (Hz) of the power rows; the lower edge belongs to the band."""
GROUPS = 8
FEWEST_CYCLES = 24
"""Cycles of one realisation from which groups of them are made: three a group."""
COVERED = 0.5
"""Share of the window that complete cycles of a deterministic limit cover at least, if it has a rhythm."""
RIPPLE = 0.01
"""Relative s.d. of its smoothed rate in the second half of the window, at least, if it has a rhythm."""
PIECES = 8
"""Pieces of time, at least, whose agreement shows a rhythm."""
REMEMBERED = 0.1
"""Share of the variance of the smoothed rate, at least, that a rhythm brings back after a period."""
CHANCE = 0.01
"""Chance that independent neurons are said to have a rhythm, at most."""
_EVENTS = {  # name: (unit, share of the scale that is the tolerance, whose size is the scale; none for its own)
    "event_rate": ("Hz", 0.05, ""),
    "event_size": ("1", 0.10, ""),
    "event_size_sd": ("1", 0.05, "event_size"),
    "event_height": ("Hz", 0.10, ""),
    "event_interval_sd": ("ms", 0.03, "the mean interval"),
    "orbit_area": ("Hz^2", 0.01, "2 pi sd_e sd_i"),
}


def rhythm(dataset: xr.Dataset, parts: np.ndarray | None = None) -> dict[str, Feature]:
    """The statistics of rhythm of every realisation.

    `event_rate`, `gamma_frequency`, `synchrony` (without the spike itself), `event_size`, `event_size_sd`,
    `event_height` by population, `event_interval_sd`, `orbit_area`, and `power` of the whole network's rate in three
    bands. Values are NaN where a run has no events; a deterministic limit has them only if its rhythm lasts, and a
    sample has a gamma frequency only if it `shows_rhythm`. Where runs switch between bursts and quiet also `dwell` and
    `switching_rate`; see `statistics.switching`.

    Args:
        dataset: What `simulate` or `solve_limit` returned for the spiking system.
        parts: Of a single realisation, groups of its times that are nearly independent, shape (group, time) of truth
            values (see `cycle_groups`); None for several realisations, or a deterministic limit.

    Raises:
        InputError: The times are not uniform, or more than 0.5 ms apart.
    """
    signals = read(dataset, None, finest=FINEST)
    found = [find_cycles(signals.realisation(r)) for r in range(len(signals.rate))]
    rows = [_values(signals.realisation(r), cycles) for r, cycles in enumerate(found)]
    if not signals.stochastic and not lasts(signals, found[0]):
        rows[0] = {name: np.full(value.shape, np.nan) if name in _EVENTS else value for name, value in rows[0].items()}
    estimate = {name: np.mean([row[name] for row in rows], axis=0) for name in rows[0]}
    values = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    if signals.stochastic and len(rows) == 1:
        values = _left_out(signals, found[0], estimate, parts, dataset["time"].values)
    estimate["gamma_frequency"], values["gamma_frequency"] = _gamma(signals, estimate, values, parts is not None)
    shown = not signals.stochastic or shows_rhythm(signals, float(estimate["event_rate"][0]))
    if not shown:
        for columns in (estimate, values):
            columns["gamma_frequency"] = np.full(columns["gamma_frequency"].shape, np.nan)
    return _features(signals, estimate, values, shown) | switching(signals)


def cycle_groups(dataset: xr.Dataset) -> np.ndarray | None:
    """Groups of consecutive whole cycles of a single realisation, shape (group, time); None with fewer than 24."""
    signals = read(dataset, None, finest=FINEST)
    cycles = find_cycles(signals)
    if not signals.stochastic or cycles.onset.size < FEWEST_CYCLES:
        return None
    skipped = dataset.sizes["time"] - signals.times.size
    groups = np.zeros((GROUPS, dataset.sizes["time"]), bool)
    for k, mine in enumerate(np.array_split(np.arange(cycles.onset.size), GROUPS)):
        groups[k, skipped + cycles.onset[mine[0]] : skipped + cycles.following[mine[-1]]] = True
    return groups


def _values(signals: Signals, cycles: Cycles) -> dict[str, np.ndarray]:
    """Statistics of one realisation, each of shape (entry,); NaN without events."""
    count = cycles.onset.size
    interval = (cycles.following - cycles.onset) * signals.step
    none, nothing = np.full(1, np.nan), np.full(len(signals.size), np.nan)
    values = {
        "synchrony": synchrony_index(signals, self_count="removed"),
        "event_rate": np.array([1000.0 / interval.mean()]) if count else none,
        "event_size": cycles.size.mean(-1) if count else nothing,
        "event_size_sd": cycles.size.std(-1, ddof=1) if count > 1 else nothing,
        "event_height": cycles.height.mean(-1) if count else nothing,
        "event_interval_sd": np.array([interval.std(ddof=1)]) if count > 1 else none,
        "power": _power(signals),
    }
    if has_both(signals):
        values["orbit_area"] = np.array([cycles.area.mean()]) if count else none
    return values


def _power(signals: Signals) -> np.ndarray:
    """Variance of the whole network's rate in each band (Hz^2), shape (band,).

    Welch's densities of segments of 500 ms.
    """
    rate = network_rate(signals)[:1]
    frequency, rows = densities(rate, signals.step, segment_steps(rate, signals.step, SEGMENT))
    density = rows.mean(0)
    inside = [(frequency >= low) & (frequency < high) for low, high in BANDS]
    return np.array([density[band].sum() for band in inside]) * (frequency[1] - frequency[0])


def lasts(signals: Signals, cycles: Cycles) -> bool:
    """Whether a deterministic limit has a rhythm, and not a ripple that decays."""
    covered = (cycles.following - cycles.onset).sum() / signals.times.size
    late = smooth(network_rate(signals)[0], signals.step)[signals.times.size // 2 :]
    return bool(covered >= COVERED and late.std() >= RIPPLE * late.mean())


def shows_rhythm(signals: Signals, event_rate: float) -> bool:
    """Whether a sample shows a rhythm near the rate of its events (Hz), and not chance alone.

    The rate of independent neurons crosses its mean, and its spectrum has a highest peak, as any other's. A rhythm
    comes back: the autocorrelation of the smoothed rate of the whole network at the period is larger than at half of
    it. The period, between 2/3 and 3/2 of the mean interval of events, is for each piece of time (a realisation, or a
    part of one) that of all others, so that without a rhythm the differences have mean 0 at most; they must exceed it
    by Student's test at `CHANCE`, and be `REMEMBERED` on average.
    """
    if not np.isfinite(event_rate):
        return False
    longest = round(1500.0 / event_rate / signals.step)
    pieces = _pieces(smooth(network_rate(signals), signals.step), 2 * longest)
    if len(pieces) < 3:
        return True  # a run too short for the test counts as one with a rhythm, as it did before there was a test
    found = np.array([_autocorrelation(piece, longest) for piece in pieces])
    first = max(round(2.0 * longest / 4.5), 2)
    others = found.sum(0) - found
    period = first + np.argmax(others[:, first:], axis=1)
    each = np.arange(len(found))
    back = found[each, period] - found[each, period // 2]
    error = back.std(ddof=1) / np.sqrt(len(back))
    return bool(back.mean() >= REMEMBERED and back.mean() > stdtrit(len(back) - 1, 1.0 - CHANCE) * error)


def _pieces(rate: np.ndarray, shortest: int) -> list[np.ndarray]:
    """Realisations, shape (realisation, time), cut into equal parts of at least so many steps until they are 8."""
    parts = min(-(-PIECES // len(rate)), rate.shape[-1] // max(shortest, 1))
    return [piece for row in rate for piece in np.array_split(row, parts)] if parts else []


def _autocorrelation(series: np.ndarray, longest: int) -> np.ndarray:
    """Autocorrelation at lags of 0 to `longest` steps, shape (lag,); 0 for a constant."""
    centred = series - series.mean()
    spectrum = np.abs(np.fft.rfft(centred, 2 * len(series))) ** 2
    covariance = np.fft.irfft(spectrum)[: longest + 1] / np.arange(len(series), len(series) - longest - 1, -1)
    return covariance / covariance[0] if covariance[0] > 0.0 else np.zeros(longest + 1)


def _left_out(
    signals: Signals,
    cycles: Cycles,
    whole: Mapping[str, np.ndarray],
    parts: np.ndarray | None,
    times: np.ndarray,
) -> dict[str, np.ndarray]:
    """Jackknife pseudo-values of one realisation, shape (group, entry); without groups one row, whose error is unknown.

    A group is left out of the series from which synchrony and power are formed, and of the list of cycles.
    """
    if parts is None:
        return {name: value[None] for name, value in whole.items()}
    groups = parts[:, times.size - signals.times.size :]
    used = np.any(groups, axis=0)
    owner = np.where(used[cycles.onset], groups[:, cycles.onset].argmax(0), -1)
    without = []
    for k in range(len(groups)):
        rest = used & ~groups[k]
        kept = np.flatnonzero((owner >= 0) & (owner != k))
        part = signals._replace(times=signals.times[rest], rate=signals.rate[..., rest])
        without.append(_values(part, Cycles(*(field[..., kept] for field in cycles))))
    part = signals._replace(times=signals.times[used], rate=signals.rate[..., used])
    kept = np.flatnonzero(owner >= 0)
    centre = _values(part, Cycles(*(field[..., kept] for field in cycles)))
    return {name: pseudo_values(centre[name], np.stack([row[name] for row in without])) for name in whole}


def _gamma(
    signals: Signals, estimate: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray], grouped: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The gamma frequency, shape (1,), and its pseudo-values, shape (run, 1)."""
    events = float(estimate["event_rate"][0]) if np.isfinite(values["event_rate"]).all() else np.nan
    if not signals.stochastic or (len(signals.rate) == 1 and not grouped):
        peak = np.array([gamma_frequency(signals, events)[0]])
        return peak, peak[None]
    peak, pseudo = gamma_frequency_values(signals, events)
    return np.array([peak]), pseudo[:, None]


def _features(
    signals: Signals, estimate: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray], shown: bool
) -> dict[str, Feature]:
    populations = tuple(map(str, signals.populations))
    rows = {"synchrony": ("1", 0.10, ""), "gamma_frequency": ("Hz", 0.05, "")} | _EVENTS
    found = {}
    for name, (unit, tolerance, words) in rows.items():
        if name in estimate:
            labels = populations if name in ("synchrony", "event_size", "event_size_sd", "event_height") else ("",)
            scale = _scale(name, signals, estimate)
            lacks = {"synchrony": "", "gamma_frequency": "events" if shown else "rhythm"}.get(name, "events")
            one = Feature(labels, estimate[name], values[name], scale, tolerance, unit, words, lacks)
            found[name] = one._replace(of_any_sample=name == "synchrony")
    bands = tuple(f"{low:g}-{high:g} Hz" for low, high in BANDS)
    size = max(float(estimate["power"].sum()), float(network_rate(signals).mean()) ** 2)
    words = "the larger of the power from 2 to 200 Hz and the squared mean rate"
    found["power"] = Feature(
        bands, estimate["power"], values["power"], np.full(len(bands), size), 0.10, "Hz^2", words, ""
    )
    return found


def _scale(name: str, signals: Signals, estimate: Mapping[str, np.ndarray]) -> np.ndarray:
    """The natural size of a difference in an event statistic, shape (entry,)."""
    if name == "event_size_sd":
        return estimate["event_size"]
    if name == "event_interval_sd":
        return 1000.0 / estimate["event_rate"]
    if name == "orbit_area":  # an ellipse has this area times the sine of the phase between its two rates
        e, i = (smooth(signals.pooled(kind), signals.step, SMOOTHING).std(-1).mean() for kind in (False, True))
        return np.array([2 * np.pi * e * i])
    return np.abs(estimate[name])
