"""Multiple-firing events and the orbit that the network makes through them in the E-I rate plane."""

from typing import NamedTuple

import numpy as np
import xarray as xr

from largen.checks import integer, real
from largen.statistics.rates import network_rate, upward_crossings
from largen.statistics.signals import FINEST, SMOOTHING, Signals, labelled, read, smooth, smoothing_used

DEFINITION = (
    f"rate of all neurons, smoothed by a Gaussian of s.d. {SMOOTHING:g} ms, above its mean over time; "
    "a cycle lasts from one onset to the next"
)


class Cycles(NamedTuple):
    """The complete cycles of one realisation.

    Attributes:
        onset: Step in which the event begins, shape (cycle,).
        end: First step after the event, shape (cycle,).
        following: Onset of the next event, shape (cycle,).
        size: Spikes per neuron in the event, shape (population, cycle).
        height: Largest smoothed rate in the cycle (Hz), shape (population, cycle).
        area: Signed area of the cycle in the E-I plane (Hz^2), shape (cycle,); empty without both kinds.
    """

    onset: np.ndarray
    end: np.ndarray
    following: np.ndarray
    size: np.ndarray
    height: np.ndarray
    area: np.ndarray


def find_cycles(signals: Signals) -> Cycles:
    """Find the events of the first realisation; see `firing_events`."""
    rate, smoothed = signals.rate[0], smooth(signals.rate[0], signals.step)
    smooth_signals = signals._replace(rate=smoothed[None])  # smoothing is linear: pooled rates need none of their own
    network = network_rate(smooth_signals)[0]
    onsets = upward_crossings(network)
    onset, following = onsets[:-1], onsets[1:]
    below = np.flatnonzero(network <= network.mean())
    end = below[np.searchsorted(below, onset)] if onset.size else onset
    spikes = np.concatenate([np.zeros((len(rate), 1)), np.cumsum(rate, axis=1)], axis=1) * signals.step / 1000.0
    last = following[-1] if onset.size else 0  # each cycle begins where the one before it ends
    height = np.maximum.reduceat(smoothed[:, :last], onset, axis=1) if onset.size else np.empty((len(rate), 0))
    area = np.empty(0)
    if has_both(signals):
        e, i = (smooth_signals.pooled(kind)[0] for kind in (False, True))
        area = _areas(e, i, onset, following)
    return Cycles(onset, end, following, spikes[:, end] - spikes[:, onset], height, area)


def has_both(signals: Signals) -> bool:
    """Whether there are excitatory and inhibitory populations, and so an E-I plane."""
    return bool(np.any(signals.inhibitory) and not np.all(signals.inhibitory))


def signed_area(x: np.ndarray, y: np.ndarray) -> float:
    """Area of the closed polygon through the points (x, y); positive if it is run counter-clockwise."""
    return float(_areas(x, y, np.array([0]), np.array([len(x)]))[0])


def _areas(x: np.ndarray, y: np.ndarray, first: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Signed areas of the closed polygons through the points first..after-1, shape (polygon,), each of two or more.

    Half the sum of x_k y_{k+1} - x_{k+1} y_k over the edges, the last of which leads back to the first point.
    """
    if not first.size:
        return np.empty(0)
    edges = np.append(x[:-1] * y[1:] - x[1:] * y[:-1], 0.0)
    inner = np.add.reduceat(edges, np.stack([first, after - 1], axis=1).ravel())[::2]
    last = after - 1
    return 0.5 * (inner + x[last] * y[first] - x[first] * y[last])


def firing_events(dataset: xr.Dataset, *, start: float | None = None) -> xr.Dataset:
    """Find the multiple-firing events: the bursts in which many neurons fire together.

    An event lasts while the rate of all neurons, smoothed by a Gaussian of s.d. 1.5 ms, is above its mean over
    time. Listed are the events after which the next one begins within the run, so that each has its interval.

    Args:
        dataset: What `simulate` or `solve_limit` returned for the spiking system, times at most 0.5 ms apart.
        start: Time (ms) after which events count; by default 500 ms, or a quarter of the run if that is less.

    Returns:
        Per event: `event_realisation`, `onset` (ms), `duration` (ms), `interval` to the next onset (ms), `size`
        (population, event) in spikes per neuron, `height` (population, event) in Hz, and, where there are both
        excitatory and inhibitory populations, `area` of the cycle in the E-I plane (Hz^2). No event is an empty
        Dataset, not an error.

    Raises:
        InputError: The Dataset is not of the spiking system, or its times are not uniform or too far apart.
    """
    signals = read(dataset, start, finest=FINEST)
    found = [find_cycles(signals.realisation(r)) for r in range(len(signals.rate))]

    def joined(rows: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(rows, axis=-1)

    owner = np.repeat(np.arange(len(found)), [c.onset.size for c in found])
    # A step ends at times[k]: an event that begins with step k begins at times[k] - step.
    onset = joined([signals.times[c.onset] for c in found]) - signals.step
    duration = joined([c.end - c.onset for c in found]) * signals.step
    interval = joined([c.following - c.onset for c in found]) * signals.step
    both = ("population", "event")
    variables = {
        "event_realisation": (("event",), owner, "1", "realisation of the event"),
        "onset": (("event",), onset, "ms", "onset of the event"),
        "duration": (("event",), duration, "ms", "duration of the event"),
        "interval": (("event",), interval, "ms", "time to the next onset"),
        "size": (both, joined([c.size for c in found]), "1", "spikes per neuron in the event"),
        "height": (both, joined([c.height for c in found]), "Hz", "largest smoothed rate of the cycle"),
    }
    if has_both(signals):
        text = "signed area of the cycle in the E-I plane"
        variables["area"] = (("event",), joined([c.area for c in found]), "Hz^2", text)
    coords = {"population": (signals.populations, "1", "population")}
    return labelled(variables, coords, {"definition": DEFINITION, "smoothing": SMOOTHING})


def orbit(dataset: xr.Dataset, *, start: float | None = None, smoothing: float = 1.0, phases: int = 64) -> xr.Dataset:
    """Smooth the orbit of the rates, to be drawn in the E-I plane, and average it over cycles.

    Args:
        dataset: What `simulate` or `solve_limit` returned for the spiking system, on a uniform time grid.
        start: Time (ms) after which the orbit is taken; by default the whole run, and the mean cycle after
            500 ms, or a quarter of the run if that is less.
        smoothing: S.d. of the Gaussian (ms); below half a step of the grid nothing is smoothed, and `attrs` say 0.
        phases: Points of the mean cycle.

    Returns:
        `rate` (realisation, population, time), smoothed (Hz); and, if there is a complete cycle (one onset of a
        multiple-firing event to the next, see `firing_events`), `cycle` (population, phase), the mean of the
        smoothed rate over all cycles at equal phase. `attrs` hold the number of cycles.

    Raises:
        InputError: The Dataset is not of the spiking system, or its times are not uniform.
    """
    smoothing = real("smoothing", smoothing, unit="ms", above=0.0)
    phases = integer("phases", phases, low=3)
    whole = read(dataset, start, whole=True)
    late = read(dataset, start)
    fine = whole.step <= 2 * SMOOTHING  # so that events can be told apart
    rate = smooth(whole.rate, whole.step, smoothing)
    skipped = whole.times.size - late.times.size
    phase = np.arange(phases) / phases
    cycles = []
    for r in range(len(whole.rate) if fine else 0):
        found = find_cycles(late.realisation(r))
        for a, b in zip(found.onset + skipped, found.following + skipped, strict=True):
            steps = np.arange(a, b + 1)
            cycles.append([np.interp(a + phase * (b - a), steps, line[steps]) for line in rate[r]])
    dims: tuple[str, ...] = ("realisation", "population", "time")
    if "realisation" not in dataset["rate"].dims:
        dims, rate = dims[1:], rate[0]
    variables: dict[str, tuple[tuple[str, ...], np.ndarray, str, str]]
    variables = {"rate": (dims, rate, "Hz", "smoothed firing rate")}
    coords = {
        "population": (whole.populations, "1", "population"),
        "time": (whole.times, "ms", "time"),
    }
    if cycles:
        variables["cycle"] = (
            ("population", "phase"),
            np.asarray(cycles).mean(0),
            "Hz",
            "smoothed rate of the mean cycle",
        )
        coords["phase"] = (phase, "1", "phase of the cycle")
    about = {"cycles": len(cycles), "smoothing": smoothing_used(smoothing, whole.step), "definition": DEFINITION}
    return labelled(variables, coords, about)
