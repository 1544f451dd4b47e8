"""What a fit of a spiking network aims at: mean rates, synchrony and gamma frequency, not the rates in time."""

import jax
import numpy as np
import xarray as xr

from largen.checks import require
from largen.statistics.events import find_cycles
from largen.statistics.rates import mean_rates
from largen.statistics.rhythm import lasts, shows_rhythm
from largen.statistics.sampling import choice_errors
from largen.statistics.signals import FINEST, Signals, read
from largen.statistics.spectra import gamma_frequency
from largen.statistics.synchrony import synchrony_index
from largen.system import FitData
from largen.systems.spiking import smooth

LONGEST = 400.0
"""Of a stationary network the limit is solved over this many ms at most."""
NOT_SHOWN = (
    "its realisations show no rhythm, so that the highest peak of their spectrum is chance. If there is a weak one, "
    "give more or longer realisations."
)
OF_SAMPLE = (
    "only a sample of the network's neurons was recorded, whose noise of counting moves the band in which the peak is "
    "sought. If the rhythm is far above this noise, give rates, synchrony and its frequency as a dict with errors."
)
AT_REST = "this limit has no rhythm. Take one that has, or rates and synchrony alone."


def find(dataset: xr.Dataset) -> FitData:
    """Rates, synchrony (without self-count) and gamma frequency of a run.

    Args:
        dataset: What `simulate` or `solve_limit` returned, its times as far apart as the step it was computed with.
    """
    signals = read(dataset, None, finest=FINEST)
    step = float(dataset.attrs.get("dt", 0.1))
    must = f"have times {step:g} ms apart, the step it was computed with"
    require(abs(signals.step - step) < 1e-6 * step, "target", must, signals.step)
    if not signals.stochastic:
        return _of_limit(signals)
    parts = [signals.realisation(r) for r in range(len(signals.rate))]
    rate = np.stack([mean_rates(part) for part in parts])
    synchrony = np.stack([synchrony_index(part, self_count="removed") for part in parts])
    samples = {"rate": rate, "synchrony": synchrony}
    values = {name: rows.mean(0) for name, rows in samples.items()}
    events = _event_rate(signals)
    gamma = gamma_frequency(signals, events)[0]
    if np.isfinite(gamma):
        count = len(parts)
        others = [signals._replace(rate=np.delete(signals.rate, r, axis=0)) for r in range(count)]
        left_out = np.array([gamma_frequency(part, events)[0] for part in others])
        pseudo = count * gamma - (count - 1) * left_out
        if np.all(np.isfinite(pseudo)):
            values["gamma_frequency"], samples["gamma_frequency"] = np.array(gamma), pseudo
    if np.any(signals.network != signals.size):
        chosen = choice_errors(dataset)
        return FitData(values, samples, {"gamma_frequency": OF_SAMPLE}, {} if chosen is None else {"rate": chosen})
    return FitData(values, samples, {} if shows_rhythm(signals, events) else {"gamma_frequency": NOT_SHOWN})


def _event_rate(signals: Signals) -> float:
    """Multiple-firing events per second, over all realisations; NaN without any."""
    found = [find_cycles(signals.realisation(r)) for r in range(len(signals.rate))]
    intervals = np.concatenate([cycles.following - cycles.onset for cycles in found]) * signals.step
    return 1000.0 / intervals.mean() if intervals.size else np.nan


def _of_limit(signals: Signals) -> FitData:
    gamma = gamma_frequency(signals, _event_rate(signals))[0]
    counts = signals.rate[0].T * signals.step / 1000.0
    known = np.isfinite(gamma)
    points = smooth.grid_points(gamma, len(counts) * signals.step) if known else 0
    with jax.enable_x64(True):
        found = smooth.statistics(
            counts, signals.step, signals.size, gamma=gamma if known else None, frequencies=points
        )
        values = {name: np.asarray(value) for name, value in found.items()}
    absent = {} if lasts(signals, find_cycles(signals)) else {"gamma_frequency": AT_REST}
    return FitData(values, None, absent)
