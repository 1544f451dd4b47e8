"""Sheets whose patches all start alike: one patch stands for all, with the small waves of a sheet beside it.

Patches that start alike and see the same drive stay alike, so that one patch with the sheet's in-degrees is the whole
reduction. Whether that state is stable is seen from copies of the patch. With a mode's multipliers K_q of the kernels
copy k receives

    K_0 nf_0 + K_q (nf_k - nf_0),

nf_0 being the spikes of the patch that stands for all: a small deviation of copy k grows as the wave q of the sheet
does. So one run of a few patches gives the growth of every mode, with any closure. Source: largen's own.
"""

from typing import NamedTuple

import numpy as np

from largen.space.geometry import AbstractSpace, Ring
from largen.system import Arrays
from largen.systems.spiking.sheet import PERTURBED, Sheet, coordinates, distinct_modes

PUSH = 1e-9
"""Share by which more spikes arrive at a copy in the first steps."""
SEEN = 600.0
"""Length of the run from which growth is read (ms)."""
SHORTEST = 100.0
"""Runs from this length on (ms) are asked whether a wave would grow."""
LEAST = 1.0
"""Growth (1/s) that is told."""
MODES = 50
"""Distinct modes of the lowest wave numbers, beyond the uniform one, that are looked at."""
_SMALL, _LOST = 1e-3, 1e-13


class Growth(NamedTuple):
    """The wave that grows fastest.

    Attributes:
        mode: Waves around each axis, shape (axis,).
        rate: Its growth rate (1/s); negative if all decay.
        waves: Whether it oscillates.
    """

    mode: np.ndarray
    rate: float
    waves: bool

    @property
    def kind(self) -> str:
        """What it is called."""
        return "wave" if self.waves else "stationary pattern"


def one_patch(sheet: Sheet) -> Sheet:
    """The sheet as one patch that holds all its neurons."""
    return _copies(sheet, np.zeros((0, *sheet.probability.shape[:2], 2)))


def for_all(found: Arrays, space: AbstractSpace) -> Arrays:
    """The result of one patch as that of all."""
    values = dict(found.values)
    values["patch_rate"] = np.repeat(values["patch_rate"], space.count, axis=1)
    coords = {name: value for name, value in found.coords.items() if name not in ("patch", "x", "y")}
    return found._replace(values=values, coords=coords | coordinates(space))


def with_waves(sheet: Sheet) -> tuple[Sheet, np.ndarray]:
    """One patch for all and a copy of it for every mode, pushed; with these modes, shape (mode, axis)."""
    waves, mean, variance = distinct_modes(sheet)
    other = np.any(waves != 0, axis=1)
    waves, size = waves[other][:MODES], np.asarray(sheet.model.size, np.float64)
    found = np.real(np.stack([mean, variance], axis=-1))[other][:MODES] / size[:, None]
    return _copies(sheet, found), waves


def _copies(sheet: Sheet, of_modes: np.ndarray) -> Sheet:
    """One patch for all, and copies; of_modes: means over the offsets of P and P (1 - P) times a wave, by mode."""
    p, count = sheet.probability, 1 + len(of_modes)
    flat = np.stack([p.mean(axis=(2, 3)), (p * (1.0 - p)).mean(axis=(2, 3))], axis=-1)
    matrix = np.zeros((*flat.shape, count, count))
    matrix[..., 0, 0] = flat
    for k, values in enumerate(of_modes, start=1):
        matrix[..., k, 0], matrix[..., k, k] = flat - values, values
    first = np.full(count, 1.0 + PUSH)
    first[0] = 1.0
    empty = np.zeros((*p.shape[:2], 1, count))
    return Sheet(Ring(count), sheet.model, empty, sheet.clipped, None, count * matrix, first)


def fastest(rates: np.ndarray, times: np.ndarray, waves: np.ndarray) -> Growth:
    """The wave that grows fastest, from a run of `with_waves`.

    Args:
        rates: Shape (population, copy, time), the patch that stands for all first.
        times: Output times from the start (ms), shape (time,).
        waves: Waves around each axis, shape (mode, axis).
    """
    apart = rates[:, 1:] - rates[:, :1]
    whole = float(np.sqrt(np.mean(np.sum(rates[:, 0] ** 2, axis=0))))
    if whole == 0.0:  # nobody spikes
        return Growth(waves[0], -np.inf, False)
    share = np.sqrt(np.sum(apart**2, axis=0)) / whole
    found = np.array([_rate(one, times) for one in share])
    k = int(np.argmax(found))
    late = apart[int(np.argmax(np.abs(apart[:, k]).max(axis=1))), k, times > 0.5 * times[-1]]
    return Growth(waves[k], float(found[k]), bool(np.any(late[1:] * late[:-1] < 0.0)))


def _rate(share: np.ndarray, times: np.ndarray) -> float:
    """Growth rate (1/s) of a deviation between two parts of the time in which it is small, the first half left out."""
    large = np.flatnonzero(share > _SMALL)
    end = len(share) - 1 if not len(large) else int(large[0])
    begin = int(np.searchsorted(times, max(0.5 * times[end], PERTURBED)))
    middle = (begin + end) // 2
    if middle - begin < 2:  # it has grown large at once
        return np.log(_SMALL / PUSH) * 1e3 / max(float(times[end]), 1.0)
    early, late = (float(np.sqrt(np.mean(share[i:j] ** 2))) for i, j in ((begin, middle), (middle, end)))
    if late < _LOST:
        return -np.inf
    return 1e3 * np.log(late / early) / float(times[(middle + end) // 2] - times[(begin + middle) // 2])
