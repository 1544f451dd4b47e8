"""Maps of an observable on a ring or sheet, from a labelled Dataset to arrays in bins of time."""

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.checks import InputError, real, require
from largen.checks import dataset as checked
from largen.statistics.labels import population_labels

QUANTITY = "patch_rate"


class Maps(NamedTuple):
    """An observable of patches in bins of time.

    Attributes:
        values: Shape (realisation, population, *patches along each axis, bin).
        times: Middles of the bins, shape (bin,).
        step: Length of a bin.
        lengths: Of each axis, shape (axis,).
        populations: Labels.
        floor: Variance of a map's values that counting spikes alone brings, shape (realisation, population); 0
            where the observable is no count of spikes.
        unit: Unit of the values.
        time_unit: Unit of time.
    """

    values: np.ndarray
    times: np.ndarray
    step: float
    lengths: np.ndarray
    populations: list[str]
    floor: np.ndarray
    unit: str
    time_unit: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Patches along each axis."""
        return self.values.shape[2:-1]

    @property
    def axes(self) -> tuple[int, ...]:
        """Axes of `values` along which space extends."""
        return tuple(range(2, 2 + len(self.shape)))

    def modes(self) -> np.ndarray:
        """Waves around each axis in the FFT's order, shape (*patches, axis)."""
        waves = [np.rint(np.fft.fftfreq(m, 1.0 / m)) for m in self.shape]
        return np.stack(np.meshgrid(*waves, indexing="ij"), axis=-1)

    def amplitudes(self) -> np.ndarray:
        """Fourier amplitudes sum_x r e^{-iq.x}/M of every map, same shape as `values`."""
        return np.fft.fftn(self.values, axes=self.axes) / np.prod(self.shape)


def read_maps(dataset: xr.Dataset, *, quantity: str = QUANTITY, bin: Any = None, start: Any = None) -> Maps:
    """Take maps out of a Dataset.

    Args:
        dataset: What `simulate` or `solve_limit` returned for a model with space.
        quantity: Which observable of patches, such as "patch_rate" or "patch_mean".
        bin: Length of a bin of time, of whole steps of the times; None for one step.
        start: Time after which maps are taken; None for all.

    Raises:
        InputError: No such observable, times that are not uniform, or a bin that is no multiple of the step.
    """
    dims = ("population", "patch", "time")
    if not isinstance(dataset, xr.Dataset) or quantity not in getattr(dataset, "data_vars", {}):
        raise InputError(
            f"Argument `dataset` must hold `{quantity}`, as a network or limit of a model with `space` does. "
            "Give the model a space, such as ln.Ring(16)."
        )
    checked("dataset", dataset, arrays={quantity: dims})
    times = np.asarray(dataset["time"].values, float)
    require(times.size >= 2, "dataset", "have at least two times", times.size)
    step = (times[-1] - times[0]) / (times.size - 1)
    uniform = np.abs(np.diff(times) - step).max() <= 1e-3 * step
    require(uniform, "dataset", "have uniformly spaced times", "not")
    count = 1 if bin is None else round(real("bin", bin, above=0.0) / step)
    if bin is not None:
        whole = count >= 1 and abs(count * step - float(bin)) <= 1e-6 * step * max(count, 1)
        require(whole, "bin", f"be a multiple of the step {step:g}", bin)
    variable = dataset[quantity]
    lead = ("realisation",) if "realisation" in variable.dims else ()
    values = variable.transpose(*lead, *dims).values.astype(float)
    values = values if lead else values[None]
    first = times[0] if start is None else max(real("start", start), times[0])
    keep = times > first + 1e-9 * step  # the value at the first time is of no step
    require(bool(keep.any()), "start", f"lie before the last time {times[-1]:g}", start)
    values, times = values[..., keep], times[keep]
    bins = times.size // count
    require(bins >= 1, "bin", "leave at least one bin", bin)
    values = values[..., : bins * count].reshape(*values.shape[:3], bins, count).mean(-1)
    middles = times[: bins * count].reshape(bins, count).mean(-1) - 0.5 * step
    shape, lengths = geometry_of(dataset)
    unit = str(variable.attrs.get("units", ""))
    floor = _floor(dataset, values, unit, count * step)
    values = values.reshape(*values.shape[:2], *shape, bins)
    time_unit = str(dataset["time"].attrs.get("units", ""))
    return Maps(values, middles, count * step, lengths, population_labels(dataset), floor, unit, time_unit)


def geometry_of(dataset: xr.Dataset) -> tuple[tuple[int, ...], np.ndarray]:
    """Patches along each axis, and the length of each axis, from the centres of the patches.

    Raises:
        InputError: The centres are not there, or are not those of all patches of a ring or sheet.
    """
    axes = [np.asarray(dataset[name].values, float) for name in ("x", "y") if name in dataset.coords]
    counts = tuple(len(np.unique(axis)) for axis in axes)
    whole = len(axes) > 0 and int(np.prod(counts)) == dataset.sizes["patch"]
    require(whole, "dataset", "hold every patch, with the coordinates `x` and, on a sheet, `y`", list(dataset.coords))
    return counts, np.array([2.0 * axis.min() * m for axis, m in zip(axes, counts, strict=True)])


def _floor(dataset: xr.Dataset, values: np.ndarray, unit: str, width: float) -> np.ndarray:
    """Poisson variance of the spike counts behind rates in Hz, averaged over patches and bins."""
    smooth = dataset.attrs.get("kind") == "limit" and str(dataset.attrs.get("finite_size", "")).lower() != "true"
    if unit != "Hz" or "patch_size" not in dataset.coords or smooth:
        return np.zeros(values.shape[:2])
    sizes = dataset["patch_size"].transpose("population", "patch").values.astype(float)
    return np.mean(values.mean(-1) / (sizes * width / 1000.0), axis=-1)
