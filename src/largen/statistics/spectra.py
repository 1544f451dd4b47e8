"""Power spectra of rates, and the gamma frequency."""

from collections.abc import Callable

import numpy as np
import xarray as xr

from largen.checks import real, require
from largen.statistics.errors import jackknife, pseudo_values
from largen.statistics.rates import network_rate
from largen.statistics.signals import Signals, labelled, read

SEGMENT = 500.0  # ms


def power_spectrum(
    dataset: xr.Dataset, *, start: float | None = None, segment: float = SEGMENT, highest: float = 500.0
) -> xr.Dataset:
    """Power spectral density of the firing rates (Welch: Hann window, half overlapping segments, mean removed).

    Args:
        dataset: What `simulate` or `solve_limit` returned for the spiking system, on a uniform time grid.
        start: Time (ms) after which it is taken; by default 500 ms, or a quarter of the run if that is less.
        segment: Length of a segment (ms), the whole run where that is shorter; 1000/segment is the spacing of
            frequencies in Hz. The length used stands in `attrs`.
        highest: Largest frequency (Hz) returned.

    Returns:
        `power` (population, frequency) in Hz^2/Hz: one-sided, its integral over frequencies is the variance of
        the rate; `power_se`, its standard error; `frequency` in Hz.

    Raises:
        InputError: The Dataset is not of the spiking system, or its times are not uniform.
    Source: Welch 1967, IEEE Trans. Audio Electroacoust. 15:70.
    """
    signals = read(dataset, start)
    segment = real("segment", segment, above=0.0)
    highest = real("highest", highest, above=0.0)
    require(segment >= 8 * signals.step, "segment", f"hold at least 8 steps of {signals.step:g} ms", segment)
    length = segment_steps(signals.rate, signals.step, segment)
    frequency, rows = densities(signals.rate, signals.step, length)
    keep = frequency <= highest
    count = len(rows)
    error = rows.std(0, ddof=1) * _overlap(signals) / np.sqrt(count) if count > 1 else np.full(rows.shape[1:], np.nan)
    if not signals.stochastic:
        error = np.zeros(rows.shape[1:])
    dims = ("population", "frequency")
    return labelled(
        {
            "power": (dims, rows.mean(0)[:, keep], "Hz^2/Hz", "power spectral density of the firing rate"),
            "power_se": (dims, error[:, keep], "Hz^2/Hz", "standard error of the power spectral density"),
        },
        {"population": (signals.populations, "1", "population"), "frequency": (frequency[keep], "Hz", "frequency")},
        {"method": "Welch, Hann window", "segment": length * signals.step, "standard_error": _method(signals, count)},
    )


def segment_steps(rate: np.ndarray, step: float, segment: float) -> int:
    """Steps in a segment of this length (ms): at most all of (..., time)."""
    return min(round(segment / step), rate.shape[-1])


def densities(rate: np.ndarray, step: float, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (Hz) and one-sided power spectral densities along the last axis of (realisation, ..., time).

    Welch 1967: Hann window, segments of `length` steps that overlap by half, means removed.
    The first axis of the densities counts the realisations (each averaged over its segments, Welch 1967) or,
    where there is one realisation, its segments.
    """
    pieces = np.lib.stride_tricks.sliding_window_view(rate, length, axis=-1)[..., :: max(length // 2, 1), :]
    window = np.hanning(length + 1)[:-1]  # periodic
    spectrum = np.fft.rfft((pieces - pieces.mean(-1, keepdims=True)) * window)
    density = np.abs(spectrum) ** 2 * (2e-3 * step / np.sum(window**2))
    density[..., 0] /= 2
    if length % 2 == 0:
        density[..., -1] /= 2
    rows = np.moveaxis(density[0], -2, 0) if len(rate) == 1 else density.mean(-2)
    return np.fft.rfftfreq(length, step / 1000.0), rows


def _overlap(signals: Signals) -> float:
    """Factor of an error over segments: half overlapping Hann segments have correlation 1/36 in power."""
    return np.sqrt(1 + 1 / 18) if len(signals.rate) == 1 else 1.0


def _method(signals: Signals, count: int) -> str:
    if not signals.stochastic:
        return "deterministic: 0"
    if len(signals.rate) > 1:
        return f"over {count} realisations"
    return f"over {count} segments of one realisation" if count > 1 else "not available: one segment (NaN)"


def gamma_frequency(signals: Signals, event_rate: float) -> tuple[float, float]:
    """Frequency (Hz) of the network's rhythm and its standard error; NaN where there is none.

    The highest peak of the spectrum of the whole network's rate between 2/3 and 3/2 of the rate of
    multiple-firing events. The highest of all frequencies can be the subharmonic of a rhythm in which strong and
    weak events alternate. The error is a delete-one jackknife over realisations, or over
    segments where there is one realisation.
    """
    peak, rows = _peak_near(signals, event_rate)
    error = jackknife(rows, peak) * _overlap(signals) if signals.stochastic else 0.0
    return (peak(rows.mean(0)), error) if np.isfinite(event_rate) else (np.nan, np.nan)


def gamma_frequency_values(signals: Signals, event_rate: float) -> tuple[float, np.ndarray]:
    """The gamma frequency and its jackknife pseudo-values, shape (run,).

    A run is a realisation, or a segment of the only one; the scatter of the latter is widened for their overlap.
    """
    peak, rows = _peak_near(signals, event_rate)
    whole, total = peak(rows.mean(0)), rows.sum(0)
    if len(rows) < 2:
        return whole, np.full(1, whole)
    pseudo = pseudo_values(np.asarray(whole), np.array([peak((total - row) / (len(rows) - 1)) for row in rows]))
    return whole, whole + (pseudo - whole) * _overlap(signals)


def _peak_near(signals: Signals, event_rate: float) -> tuple[Callable[[np.ndarray], float], np.ndarray]:
    """The peak of a spectrum between 2/3 and 3/2 of the rate of events, and the spectra, shape (run, frequency)."""
    segment = SEGMENT if signals.stochastic else signals.times.size * signals.step
    rate = network_rate(signals)
    frequency, rows = densities(rate, signals.step, segment_steps(rate, signals.step, segment))

    def peak(power: np.ndarray) -> float:
        if not np.isfinite(event_rate):
            return np.nan
        return _peak(frequency, power, 2.0 / 3.0 * event_rate, 1.5 * event_rate)

    return peak, rows


def _peak(frequency: np.ndarray, power: np.ndarray, low: float, high: float) -> float:
    """Highest local maximum in [low, high], by a parabola through the logarithms of three neighbours."""
    with np.errstate(divide="ignore"):
        level = np.log(power)
    middle = np.arange(1, frequency.size - 1)
    is_peak = (level[middle] > level[middle - 1]) & (level[middle] >= level[middle + 1])
    found = middle[is_peak & (frequency[middle] >= low) & (frequency[middle] <= high)]
    if not found.size:
        return np.nan
    k = found[np.argmax(level[found])]
    left, top, right = level[k - 1 : k + 2]
    curvature = left - 2 * top + right
    shift = 0.5 * (left - right) / curvature if np.isfinite(curvature) and curvature < 0 else 0.0
    return float(frequency[k] + shift * (frequency[1] - frequency[0]))
