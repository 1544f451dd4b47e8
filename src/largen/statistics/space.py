"""Activity on a ring or sheet: maps, correlations against distance, power by wave number, the direction of waves."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from largen.checks import InputError, real, require
from largen.statistics.maps import QUANTITY, Maps, read_maps
from largen.statistics.signals import labelled
from largen.system import Feature

SHELL_ROWS = "log_power"
"""Name of the rows about shells: `log_power[e,2]` is the log of the power per mode of |k| = 2."""
SHELLS = 5
"""Shells of wave number whose power a comparison tests, from the lowest above 0 on."""
FEWEST_TIMES = 9
"""Times from which a comparison tests it."""
NOT_RESOLVED = 0.9
"""Share of the variance in the mode of all patches together above which no length of correlation is given."""


def activity_map(
    dataset: xr.Dataset, *, bin: float | None = None, quantity: str = QUANTITY, start: float | None = None
) -> xr.Dataset:
    """Maps of the activity in bins of time.

    Args:
        dataset: A network or limit of a model with space.
        bin: Length of a bin of time (None: one step of the Dataset's times), a multiple of it.
        quantity: Which observable of patches.
        start: Time after which maps are taken.

    Returns:
        `activity` (realisation, population, x, time), on a sheet (realisation, population, x, y, time).

    Raises:
        InputError: No such observable, or a bin that is no multiple of the step.
    """
    maps = read_maps(dataset, quantity=quantity, bin=bin, start=start)
    names = ("x", "y")[: len(maps.shape)]
    lead = ("realisation",) if "realisation" in dataset[quantity].dims else ()
    values = maps.values if lead else maps.values[0]
    coords: dict[str, Any] = {"population": (maps.populations, "1", "population")}
    for name, m, length in zip(names, maps.shape, maps.lengths, strict=True):
        coords[name] = ((np.arange(m) + 0.5) * length / m, "1", name)
    coords["time"] = (maps.times, maps.time_unit, "time")
    words = str(dataset[quantity].attrs.get("long_name", quantity))
    variables = {"activity": ((*lead, "population", *names, "time"), values, maps.unit, words)}
    return labelled(variables, coords, {"bin": maps.step, "quantity": quantity})


def correlation_function(
    dataset: xr.Dataset, *, bin: float | None = None, quantity: str = QUANTITY, start: float | None = None
) -> xr.Dataset:
    """Covariance of the activity of two patches against their distance.

    Deviations are taken from each patch's own mean over time, so that a frozen map counts as no correlation. The
    variance that counting spikes brings is removed at distance 0.

    Returns:
        `covariance` and `correlation` (population, distance), with `covariance_se` over realisations (NaN for one);
        `length` (population), of an exponential fitted to the correlations at distances above 0, NaN where it is longer
        than half the ring or where all patches move together.

    Raises:
        InputError: As `activity_map`.
    """
    maps = read_maps(dataset, quantity=quantity, bin=bin, start=start)
    require(maps.values.shape[-1] >= 2, "bin", "leave at least two bins", bin)
    moving = maps.values - maps.values.mean(-1, keepdims=True)
    power = np.mean(np.abs(np.fft.fftn(moving, axes=maps.axes)) ** 2, axis=-1)
    covariance = np.fft.ifftn(power, axes=maps.axes).real / np.prod(maps.shape)
    covariance *= maps.values.shape[-1] / (maps.values.shape[-1] - 1)
    distance, index = _distances(maps)
    flat = covariance.reshape(*covariance.shape[:2], -1)
    flat[..., 0] -= maps.floor
    rings = np.stack([flat[..., index == k].mean(-1) for k in range(len(distance))], axis=-1)
    whole = power.reshape(*power.shape[:2], -1)
    together = whole[..., 0].mean(0) > NOT_RESOLVED * whole.sum(-1).mean(0)
    mean = rings.mean(0)
    error = rings.std(0, ddof=1) / np.sqrt(len(rings)) if len(rings) > 1 else np.full(mean.shape, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = mean / mean[:, :1]
    lengths = np.array([_length(distance, row, float(maps.lengths.min())) for row in mean])
    lengths[together] = np.nan
    dims, unit = ("population", "distance"), f"{maps.unit}^2" if maps.unit not in ("", "1") else "1"
    variables: dict[str, Any] = {
        "covariance": (dims, mean, unit, "covariance"),
        "covariance_se": (dims, error, unit, "standard error of the covariance"),
        "correlation": (dims, relative, "1", "correlation"),
        "length": (("population",), lengths, "1", "length of correlation"),
    }
    coords = {"population": (maps.populations, "1", "population"), "distance": (distance, "1", "distance")}
    return labelled(variables, coords, {"bin": maps.step, "quantity": quantity})


def _distances(maps: Maps) -> tuple[np.ndarray, np.ndarray]:
    """Distances that occur between patches, and for every offset which of them it has, shape (patch,)."""
    square = np.zeros(maps.shape)
    for axis, (m, length) in enumerate(zip(maps.shape, maps.lengths, strict=True)):
        near = np.minimum(np.arange(m), m - np.arange(m)) * length / m
        square = square + (near**2).reshape([-1 if k == axis else 1 for k in range(len(maps.shape))])
    values = np.round(np.sqrt(square).ravel(), 10)
    return np.unique(values, return_inverse=True)


def _length(distance: np.ndarray, covariance: np.ndarray, shortest: float) -> float:
    """Fit xi of a exp(-d/xi), by least squares of the logarithm up to the first value below a tenth of the first."""
    keep = distance > 0
    d, c = distance[keep], covariance[keep]
    if not len(c) or c[0] <= 0.0:
        return np.nan
    low = np.flatnonzero(c < 0.1 * c[0])
    last = int(low[0]) if len(low) else len(c)
    if last < 2:
        return np.nan
    slope = np.polyfit(d[:last], np.log(c[:last]), 1)[0]
    return float(-1.0 / slope) if slope < 0.0 and -1.0 / slope <= 0.5 * shortest else np.nan


def _segments(maps: Maps, segment: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Power of every mode and frequency, shape (sample, population, mode, frequency >= 0, direction), and frequencies.

    The first of the two directions is that of the mode, x with q.x - 2 pi f t; samples are the realisations, or the
    segments of a single one (Welch: Hann window, half overlapping).
    """
    bins = maps.values.shape[-1]
    wanted = max(8, bins // 4) if segment is None else round(real("segment", segment, above=0.0) / maps.step)
    length = min(bins, wanted)
    require(length >= 4, "segment", f"hold at least four bins of {maps.step:g}", segment)
    moving = maps.amplitudes()
    moving = moving - moving.mean(-1, keepdims=True)
    window = np.hanning(length + 1)[:-1]
    pieces = np.lib.stride_tricks.sliding_window_view(moving, length, axis=-1)[..., :: max(length // 2, 1), :]
    density = np.abs(np.fft.fft(pieces * window, axis=-1)) ** 2 / np.sum(window**2)
    density = np.moveaxis(density, -2, 1)  # realisation, segment, population, *patches, frequency
    sample = density[0] if len(density) == 1 else density.mean(1)
    sample = sample.reshape(*sample.shape[:2], -1, length)
    half = length // 2 + 1
    against = sample[..., :half]
    along = sample[..., -np.arange(half) % length]
    unit = 1000.0 if maps.time_unit == "ms" else 1.0
    return np.stack([along, against], axis=-1), np.arange(half) / (length * maps.step) * unit


def spectrum(
    dataset: xr.Dataset,
    *,
    by: str = "wavenumber",
    bin: float | None = None,
    quantity: str = QUANTITY,
    start: float | None = None,
    segment: float | None = None,
) -> xr.Dataset:
    """Power of the activity by wave number and frequency.

    Args:
        dataset: A network or finite-size chain of a model with space.
        by: "wavenumber": shells of |k| waves around the ring or sheet, rounded.
        bin: Length of a bin of time.
        quantity: Which observable of patches.
        start: Time after which it is taken.
        segment: Length of Welch's segments; None for a quarter of the run.

    Returns:
        `power` (population, shell, frequency), per mode, two-sided: its mean over all frequencies of both signs is the
        variance in time of a mode's amplitude; and `shell_power` (population, shell), that variance, with
        `counting_noise` (population), what counting spikes brings to it. `shell_power_se` over realisations.

    Raises:
        InputError: As `activity_map`.
    """
    require(by == "wavenumber", "by", "be 'wavenumber'", by)
    maps = read_maps(dataset, quantity=quantity, bin=bin, start=start)
    sample, frequency = _segments(maps, segment)
    shells, index = shells_of(maps)
    both = sample.mean(-1)
    power = np.stack([both[:, :, index == k].mean(2) for k in range(len(shells))], axis=2)
    runs = shell_power(maps)
    error = runs.std(0, ddof=1) / np.sqrt(len(runs)) if len(runs) > 1 else np.full(runs.shape[1:], np.nan)
    unit = f"{maps.unit}^2" if maps.unit not in ("", "1") else "1"
    variables: dict[str, Any] = {
        "power": (("population", "shell", "frequency"), power.mean(0), unit, "power per mode"),
        "shell_power": (("population", "shell"), runs.mean(0), unit, "variance in time per mode"),
        "shell_power_se": (("population", "shell"), error, unit, "standard error of the variance per mode"),
        "counting_noise": (("population",), maps.floor.mean(0) / np.prod(maps.shape), unit, "of counting spikes"),
    }
    coords = {
        "population": (maps.populations, "1", "population"),
        "shell": (shells, "1", "waves, rounded"),
        "frequency": (frequency, "Hz" if maps.time_unit == "ms" else "1", "frequency"),
    }
    return labelled(variables, coords, {"bin": maps.step, "quantity": quantity})


def shells_of(maps: Maps) -> tuple[np.ndarray, np.ndarray]:
    """The shells |k|, rounded, and for every mode the one it is in, shape (patch,); k along the longest axis counts."""
    k = maps.modes() / maps.lengths * maps.lengths.max()
    size = np.rint(np.sqrt(np.sum(k**2, axis=-1))).astype(int).ravel()
    return np.unique(size, return_inverse=True)


def shell_power(maps: Maps) -> np.ndarray:
    """Variance in time of a mode's amplitude, mean over the shell's modes, shape (realisation, population, shell)."""
    amplitudes = maps.amplitudes()
    bins = amplitudes.shape[-1]
    moving = amplitudes - amplitudes.mean(-1, keepdims=True)
    power = np.sum(np.abs(moving) ** 2, axis=-1) / max(bins - 1, 1)
    flat = power.reshape(*power.shape[:2], -1)
    shells, index = shells_of(maps)
    return np.stack([flat[..., index == k].mean(-1) for k in range(len(shells))], axis=-1)


def wave(
    dataset: xr.Dataset,
    *,
    bin: float | None = None,
    quantity: str = QUANTITY,
    start: float | None = None,
    segment: float | None = None,
) -> xr.Dataset:
    """Direction and speed of waves, from the asymmetry of the power of q and -q.

    Per mode and frequency the asymmetry is W = [S(q, f) - S(-q, f)]/[S(q, f) + S(-q, f)], S(q, f) the power that
    travels along q; a standing wave has W = 0. The net direction is that of the sum of W S q/|q|.

    Returns:
        `net` (population, axis), the sum of W S q/|q| over that of S, between -1 and 1, with `net_se` and `t`, its
        ratio to the standard error over realisations (over segments of a single one); `direction` (radians from x
        towards y; 0 or pi on a ring) and `speed` (length per unit of time) of the mode and frequency of greatest
        power, whose `wave_x`, `wave_y` and `frequency` are given too.

    Raises:
        InputError: As `activity_map`, or fewer than three patches along every axis.
    """
    maps = read_maps(dataset, quantity=quantity, bin=bin, start=start)
    sample, frequency = _segments(maps, segment)
    modes = maps.modes().reshape(-1, len(maps.shape))
    q = 2.0 * np.pi * modes / maps.lengths
    size = np.sqrt(np.sum(q**2, axis=-1))
    use = size > 0
    for axis, m in enumerate(maps.shape):  # at half the patches q and -q are one mode
        use &= 2.0 * np.abs(modes[:, axis]) < m
    must = "have at least three patches along an axis: in fewer no wave has a direction"
    require(bool(use.any()), "dataset", must, maps.shape)
    unit = (q[use].T / size[use]).T
    along, against = (sample[..., way][:, :, use, 1:] for way in (0, 1))
    flow = np.einsum("spqf,qa->spa", along - against, unit) / np.sum(along + against, axis=(2, 3))[..., None]
    net = flow.mean(0)
    error = flow.std(0, ddof=1) / np.sqrt(len(flow)) if len(flow) > 1 else np.full(net.shape, np.nan)
    total = along.mean(0)
    peaks = [np.unravel_index(int(np.argmax(row)), row.shape) for row in total]
    direction = np.arctan2(net[:, 1], net[:, 0]) if net.shape[1] > 1 else np.where(net[:, 0] >= 0, 0.0, np.pi)
    best = np.array([p[0] for p in peaks]), np.array([p[1] for p in peaks])
    hertz = frequency[1:][best[1]]
    speed = 2.0 * np.pi * hertz / size[use][best[0]] / (1000.0 if maps.time_unit == "ms" else 1.0)
    axes = ("x", "y")[: net.shape[1]]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = net / error
    variables: dict[str, Any] = {
        "net": (("population", "axis"), net, "1", "net share of the power that travels"),
        "net_se": (("population", "axis"), error, "1", "its standard error"),
        "t": (("population", "axis"), ratio, "1", "net share over its standard error"),
        "direction": (("population",), direction, "1", "net direction, radians"),
        "speed": (("population",), speed, f"1/{maps.time_unit}" if maps.time_unit else "1", "phase speed"),
        "frequency": (("population",), hertz, "Hz" if maps.time_unit == "ms" else "1", "frequency"),
    }
    for axis, name in enumerate(axes):
        variables[f"wave_{name}"] = (("population",), modes[use][best[0], axis].astype(int), "1", f"waves along {name}")
    coords = {"population": (maps.populations, "1", "population"), "axis": (list(axes), "1", "axis")}
    return labelled(variables, coords, {"samples": len(flow), "bin": maps.step, "quantity": quantity})


def shell_features(dataset: xr.Dataset, quantity: str = QUANTITY) -> Mapping[str, Feature | str]:
    """Log power of the lowest shells above 0 in each realisation, for a comparison, or why there is none.

    Shell 0 is the mean over the patches, which is compared by itself. Shells are compared with one variance for both
    sides: with few realisations Welch's test of log power calls a difference too often. Empty for a Dataset without
    patches.
    """
    if quantity not in dataset or "x" not in dataset.coords:
        return {}
    if "realisation" not in dataset[quantity].dims:
        return {SHELL_ROWS: "a deterministic theory has no power"}
    if dataset.sizes["realisation"] < 2:
        return {SHELL_ROWS: "it needs several realisations of both sides"}
    if dataset.sizes["time"] < FEWEST_TIMES:
        return {SHELL_ROWS: f"it needs at least {FEWEST_TIMES} times"}
    try:
        maps = read_maps(dataset, quantity=quantity)
    except InputError as error:
        return {SHELL_ROWS: str(error)}
    shells, _ = shells_of(maps)
    chosen = slice(1, 1 + SHELLS)
    power = shell_power(maps)[..., chosen]
    if power.shape[-1] == 0:
        return {}
    if np.any(power <= 0.0):
        return {SHELL_ROWS: "a realisation has no power in a shell"}
    labels = tuple(f"{name},{shell}" for name in maps.populations for shell in shells[chosen].tolist())
    values = np.log(power).reshape(len(power), -1)
    scale = np.ones(values.shape[1])
    return {SHELL_ROWS: Feature(labels, values.mean(0), values, scale, 0.1, "1", "a factor of e", pooled=True)}
