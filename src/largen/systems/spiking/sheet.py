"""A spiking network on a ring or a sheet: what its space makes of the model, for network and reduction alike."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from largen.checks import InputError, real, require, shown
from largen.space.geometry import AbstractSpace
from largen.space.patches import PatchProbability, by_pair, named, patch_probability, warn_of_wide_patches
from largen.space.place import AtPlaces, of_place, over_patches

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

PERTURBED = 50.0
"""Time from the start (ms) in which a perturbation acts on what arrives."""


class Sheet(NamedTuple):
    """A model in patches; A kinds (its populations).

    Attributes:
        space: The ring or sheet.
        model: One patch of it, at the sheet's in-degrees: the model without space.
        probability: P by offset (target - source), [target][source], shape (A, A, n0, n1); n0 = 1 on a ring.
        clipped: Share of the in-degree lost where a probability would exceed 1, [target][source].
        perturbation: Amplitude and mode, or None.
        matrix: P and P (1 - P) by target and source patch in place of those by offset, shape (A, A, 2, M, M), or None.
        first: Factor of what arrives at every patch in the first steps, in place of the perturbation's, or None.
        uneven: The constant drive by patch where it depends on place, or None; `model` has its mean over the patches.
        apart: Its departures from that mean at every step, shape (step or 1, A, M), once times are known, or None.
    """

    space: AbstractSpace
    model: "SpikingNetwork"
    probability: np.ndarray
    clipped: np.ndarray
    perturbation: tuple[float, tuple[int, ...]] | None = None
    matrix: np.ndarray | None = None
    first: np.ndarray | None = None
    uneven: AtPlaces | None = None
    apart: np.ndarray | None = None

    def at_steps(self, start: float, steps: int, dt: float) -> "Sheet":
        """With the departures of the drive at the start of every step."""
        return self if self.uneven is None else self._replace(apart=departures(self.uneven, start, steps, dt))

    def by_patch(self) -> Any:
        """Departures of the drive as of populations counted patch by patch, shape (step or 1, M A); 0 without any."""
        if self.apart is None:
            return np.zeros((1, 1))
        return np.moveaxis(self.apart, 2, 1).reshape(len(self.apart), -1)

    def pattern(self, dt: float) -> tuple[np.ndarray, int]:
        """Factor of what arrives at every patch, shape (M,), and the number of first steps for which it acts."""
        if self.first is not None:
            return self.first, round(PERTURBED / dt)
        if self.perturbation is None:
            return np.ones(self.space.count), 0
        amplitude, mode = self.perturbation
        return 1.0 + amplitude * self.space.wave(mode), round(PERTURBED / dt)


def sheet_of(model: "SpikingNetwork", perturbation: Any = None) -> Sheet:
    """The sheet of a model with space; warns of patches that are wide against a kernel.

    Args:
        model: The network, scaled to its number of neurons.
        perturbation: (amplitude, mode), or None.
    """
    space, labels, count = model.space, model.populations, len(model.size)
    p = np.broadcast_to(np.asarray(model.probability, np.float64), (count, count))
    kernels = named(model.kernel, labels)
    warn_of_wide_patches(kernels, space)
    values, clipped = np.zeros((count, count, *space.shape)), np.zeros((count, count))
    known: dict[tuple[int, float], PatchProbability] = {}
    for a, row in enumerate(by_pair(model.kernel, count)):
        for b, kernel in enumerate(row):
            key = (id(kernel), float(p[a, b]))
            if key not in known:
                label = f"kernel[{labels[a]},{labels[b]}]"
                known[key] = patch_probability(kernel, space, p[a, b], clip=bool(model.clip), name=label)
            values[a, b], clipped[a, b] = known[key]
    shape = (1, *space.shape) if space.dimensions == 1 else space.shape
    changes: dict[str, Any] = {"space": None, "kernel": None, "connectivity": "annealed", "clip": False}
    uneven = None
    if of_place(model.external_mean):
        uneven = over_patches("external_mean", model.external_mean, count, space)
        changes["external_mean"] = _mean_of(uneven)
    push, local = checked_perturbation(space, perturbation), model.replace(**changes)
    return Sheet(space, local, values.reshape(count, count, *shape), clipped, push, uneven=uneven)


def _mean_of(uneven: AtPlaces) -> Any:
    """Mean over the patches by population, constant or as a function of time."""
    return (lambda time: uneven(time).mean(1)) if uneven.moves else np.asarray(uneven(0.0)).mean(1)


def departures(drive: AtPlaces, start: float, steps: int, dt: float) -> np.ndarray:
    """Values less their mean over the places, at the start of every step, shape (step or 1, A, place)."""
    times = start + dt * np.arange(steps if drive.moves else 1)
    values = np.stack([np.asarray(drive(float(time))) for time in times])
    if not np.all(np.isfinite(values)):
        raise InputError(f"Argument `{drive.name}` must be finite at all places and times, but is not.")
    return values - values.mean(2, keepdims=True)


def distinct_modes(sheet: Sheet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Modes with different K(q), by wave number, and K(q), Q(q): waves (mode, axis) and spectra (mode, A, A)."""
    space, p = sheet.space, sheet.probability
    size = (np.asarray(sheet.model.size) / space.count)[:, None]
    mean = np.fft.fft2(p).reshape(*p.shape[:2], -1) * size
    variance = np.fft.fft2(p * (1.0 - p)).reshape(*p.shape[:2], -1) * size
    waves = space.modes()
    length = np.sqrt(np.sum((waves / space.lengths) ** 2, axis=1))
    positive = np.array([tuple(w) >= (0,) * len(w) for w in waves.tolist()])
    order = np.lexsort((*(-waves.T[::-1]), ~positive, np.round(length, 9)))
    digits = np.round(np.concatenate([mean, variance]) / np.abs(mean).max(), 11)
    seen: set[bytes] = set()
    kept = [x for x in order if not ((key := (digits[:, :, x] + 0.0).tobytes()) in seen or seen.add(key))]
    return waves[kept], np.moveaxis(mean, 2, 0)[kept], np.moveaxis(variance, 2, 0)[kept]


def checked_perturbation(space: AbstractSpace, given: Any) -> tuple[float, tuple[int, ...]] | None:
    """(amplitude, mode) as a number and one integer per axis."""
    if given is None:
        return None
    if not (isinstance(given, tuple | list) and len(given) == 2):
        must = "be None or (amplitude, mode), such as (1e-3, 2) or (1e-3, (1, 0))"
        raise InputError(f"Argument `perturbation` must {must}, but is {shown(given)}.")
    amplitude = real("perturbation", given[0])
    require(abs(amplitude) < 1.0, "perturbation", "have an amplitude below 1", amplitude)
    return amplitude, space.mode(given[1])


def require_neurons(model: "SpikingNetwork") -> None:
    """Refuse patches without a neuron of each population, where neurons are counted."""
    fewest, count = int(np.min(model.size)), model.space.count
    if fewest < count:
        raise InputError(
            f"Argument `space.patches` must give every patch a neuron of each population, but {count} patches share "
            f"{fewest}. Take fewer patches or more neurons."
        )


def patch_edges(neurons: int, patches: int) -> np.ndarray:
    """First neuron of every patch, and their number; patches differ by one neuron at most, shape (M + 1,)."""
    return np.arange(patches + 1) * neurons // patches


def coordinates(space: AbstractSpace, size: np.ndarray | None = None) -> dict[str, Any]:
    """Coordinates of the dim `patch`: its number, the centre x (and y) of every patch, and its neurons where counted.

    Args:
        space: The ring or sheet.
        size: Neurons of every patch, shape (population, patch), or None.
    """
    centres, names = space.centres(), "xy"
    note = {"units": "length", "long_name": "centre of a patch along an axis"}
    found: dict[str, Any] = {"patch": np.arange(space.count)}
    for axis in range(space.dimensions):
        found[names[axis]] = ("patch", np.ascontiguousarray(centres[:, axis]), note)
    if size is not None:
        note = {"units": "1", "long_name": "neurons of a patch"}
        found["patch_size"] = (("population", "patch"), size.astype(np.int64), note)
    return found


def split_patches(values: np.ndarray, space: AbstractSpace) -> np.ndarray:
    """Rows counted patch by patch, shape (M A, ...), as (population, patch, ...)."""
    return np.ascontiguousarray(np.moveaxis(values.reshape(space.count, -1, *values.shape[1:]), 0, 1))
