"""Rings and sheets with periodic boundaries, divided into equal patches, and the labels of patches."""

import math
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from largen.checks import InputError, require
from largen.parameters import AbstractComponent, parameter

_LABEL = re.compile(r"^(?P<population>\w[\w.+-]*)\((?P<inside>[^()]*)\)$")


class AbstractSpace(AbstractComponent):
    """A ring or sheet of equal patches, without a boundary.

    Patches are counted in C order: on a sheet patch (i, j) of Mx x My is number i My + j. Lengths are in the unit of
    `length`, which kernels share.
    """

    dimensions: ClassVar[int]

    patches: Any
    length: Any
    images: str

    def _check_relations(self) -> None:
        for name in ("patches", "length"):
            given = np.shape(getattr(self, name))
            good = given in ((), (self.dimensions,))
            require(good, name, f"be one number or {self.dimensions} numbers", getattr(self, name))

    @property
    def shape(self) -> tuple[int, ...]:
        """Patches along each axis."""
        return tuple(int(m) for m in np.broadcast_to(self.patches, self.dimensions))

    @property
    def lengths(self) -> np.ndarray:
        """Length of each axis, shape (axis,)."""
        return np.broadcast_to(np.asarray(self.length, float), self.dimensions)

    @property
    def sides(self) -> np.ndarray:
        """Sides of a patch, shape (axis,)."""
        return self.lengths / np.array(self.shape)

    @property
    def count(self) -> int:
        """Number of patches."""
        return math.prod(self.shape)

    @property
    def volume(self) -> float:
        """Length of the ring, area of the sheet."""
        return float(np.prod(self.lengths))

    def centres(self) -> np.ndarray:
        """Centres of the patches, shape (patch, axis)."""
        axes = [(np.arange(m) + 0.5) * w for m, w in zip(self.shape, self.sides, strict=True)]
        return np.stack([part.ravel() for part in np.meshgrid(*axes, indexing="ij")], axis=1)

    def modes(self) -> np.ndarray:
        """Waves around each axis of every mode that the patches hold, in the order of the FFT, shape (patch, axis)."""
        axes = [np.rint(np.fft.fftfreq(m, 1.0 / m)).astype(np.int64) for m in self.shape]
        return np.stack([part.ravel() for part in np.meshgrid(*axes, indexing="ij")], axis=1)

    def wave(self, mode: Any) -> np.ndarray:
        """cos(q.x) of a mode at every patch, with its crest at patch 0, shape (patch,).

        Args:
            mode: Waves around each axis: an integer, or one per axis (an integer alone is along the first axis).

        Raises:
            InputError: Not integers, or a mode that so many patches cannot hold.
        """
        waves = self.mode(mode)
        index = np.indices(self.shape).reshape(self.dimensions, -1)
        turns = sum(k * i / m for k, i, m in zip(waves, index, self.shape, strict=True))
        return np.cos(2.0 * np.pi * np.asarray(turns))

    def mode(self, mode: Any) -> tuple[int, ...]:
        """Check a mode, given as an integer or as one integer per axis."""
        given = np.asarray(mode if np.ndim(mode) else [mode, *[0] * (self.dimensions - 1)])
        words = "be an integer" if self.dimensions == 1 else "be an integer or a pair of integers"
        good = given.shape == (self.dimensions,) and given.dtype.kind in "iu"
        require(good, "mode", f"{words}, the waves around the {self.word}", mode)
        for k, m in zip(given, self.shape, strict=True):
            require(2 * abs(int(k)) <= m, "mode", f"be at most half of the {m} patches", mode, "Take more patches.")
        return tuple(int(k) for k in given)

    @property
    def word(self) -> str:
        """What it is called in a message."""
        return "ring" if self.dimensions == 1 else "sheet"

    def label(self, population: str, patch: int) -> str:
        """Name a population's patch: `e(3)` on a ring, `e(3,7)` on a sheet."""
        return f"{population}({','.join(map(str, np.unravel_index(patch, self.shape)))})"

    def labels(self, populations: Sequence[str]) -> tuple[str, ...]:
        """Labels of every patch of every population, population by population."""
        return tuple(self.label(name, x) for name in populations for x in range(self.count))

    def patch(self, label: str) -> tuple[str, int]:
        """Population and number of the patch that a label names; indices from 0 count modulo the patches.

        Raises:
            InputError: No label of a patch, or the wrong number of indices.
        """
        found = _LABEL.match(label.strip()) if isinstance(label, str) else None
        inside = [part.strip() for part in found["inside"].split(",")] if found else []
        if not found or not all(re.fullmatch(r"-?\d{1,9}", part) for part in inside):
            example = "e(3)" if self.dimensions == 1 else "e(3,7)"
            raise InputError(f"A patch must be named like `{example}`, but is {label!r}.")
        if len(inside) != self.dimensions:
            raise InputError(
                f"A patch of a {self.word} has {self.dimensions} "
                f"{'index' if self.dimensions == 1 else 'indices'}, but `{label}` has {len(inside)}."
            )
        wrapped = [int(part) % m for part, m in zip(inside, self.shape, strict=True)]
        return found["population"], int(np.ravel_multi_index(wrapped, self.shape))


_IMAGES: dict[str, Any] = {"kind": "choice", "choices": ("sum", "nearest"), "quiet": True}
_IMAGES_DOC = "Periodic images that a kernel sees: all, or the nearest alone, which needs kernels that end within it."


class Ring(AbstractSpace):
    """A ring of equal patches."""

    dimensions: ClassVar[int] = 1
    short: ClassVar[str] = "ring"

    patches: Any = parameter(16, kind="integer", low=1, doc="Number of patches.")
    length: Any = parameter(1.0, above=0.0, doc="Length of the ring, in the unit of the kernels' widths.")
    images: str = parameter("sum", doc=_IMAGES_DOC, **_IMAGES)


class Torus(AbstractSpace):
    """A sheet of equal patches whose opposite edges are joined."""

    dimensions: ClassVar[int] = 2
    short: ClassVar[str] = "torus"

    patches: Any = parameter(
        (16, 16),
        kind="integer",
        dims=("axis",),
        low=1,
        scalar=True,
        doc="Patches along each axis; one number for both.",
    )
    length: Any = parameter(
        1.0, dims=("axis",), above=0.0, scalar=True, doc="Length of each axis; one number for both."
    )
    images: str = parameter("sum", doc=_IMAGES_DOC, **_IMAGES)
