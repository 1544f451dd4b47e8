"""Kernels: how the probability (or strength) of a synapse falls with the distance between its neurons.

A kernel is a density of the distance, with integral 1 over the line or the plane. On a ring or sheet it is summed over
the periodic images and multiplied by the length or area: the profile, whose mean is 1. Amplitudes stand apart, in the
model.
"""

import abc
import functools
import importlib
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from largen.checks import InputError, require, sentence
from largen.parameters import AbstractComponent, parameter
from largen.space.geometry import AbstractSpace

NEGLIGIBLE = 1e-16
"""Share of a kernel beyond its reach."""


class AbstractSpatialKernel(AbstractComponent):
    """A kernel of distance; `smooth` says whether its profile has no jump and no kink."""

    smooth: ClassVar[bool] = False

    @abc.abstractmethod
    def profile(self, space: AbstractSpace, displacement: np.ndarray) -> np.ndarray:
        """The profile at displacements, shape (..., axis): its mean over the ring or sheet is 1."""

    def check(self, name: str, space: AbstractSpace) -> None:
        """Refuse a ring or sheet on which this kernel cannot be."""

    def spread(self, dimensions: int) -> float:
        """Standard deviation along one axis; infinite for a kernel that patches hold exactly."""
        return math.inf


class AbstractRadialKernel(AbstractSpatialKernel):
    """A kernel that is a density of the distance alone."""

    @abc.abstractmethod
    def density(self, distance: np.ndarray, dimensions: int) -> np.ndarray:
        """The density at a distance, with integral 1 over the line or plane."""

    @abc.abstractmethod
    def reach(self, dimensions: int) -> float:
        """The distance beyond which nothing is left, or less than `NEGLIGIBLE`."""

    @property
    @abc.abstractmethod
    def ends(self) -> bool:
        """Whether nothing at all is left beyond `reach`."""

    @property
    @abc.abstractmethod
    def size(self) -> float:
        """What must not exceed the ring or sheet: the width."""

    def check(self, name: str, space: AbstractSpace) -> None:
        """Refuse a kernel wider than the ring or sheet, or one beyond the nearest image where that is all."""
        shortest = float(space.lengths.min())
        require(
            self.size <= shortest,
            f"{name}.width",
            f"be at most the length {shortest:g} of the {space.word}",
            self.size,
            "A kernel as wide as that is flat: leave `space` out, or take a longer one.",
        )
        reach = self.reach(space.dimensions) if self.ends else math.inf
        if space.images == "nearest" and reach > 0.5 * shortest * (1.0 + 1e-12):
            raise InputError(
                f"Argument `space.images` must be 'sum' for `{name}`, which reaches {reach:g} and so beyond half the "
                f"length {shortest:g}, but is 'nearest'. Or give the kernel a smaller cutoff."
            )

    def profile(self, space: AbstractSpace, displacement: np.ndarray) -> np.ndarray:
        """The density summed over the periodic images in reach, times length or area."""
        lengths, reach = space.lengths, self.reach(space.dimensions)
        near = displacement - lengths * np.rint(displacement / lengths)
        counts = [math.floor(reach / length + 0.5) for length in lengths]
        total = np.zeros(near.shape[:-1])
        for shift in np.ndindex(*[2 * count + 1 for count in counts]):
            image = near + (np.array(shift) - counts) * lengths
            distance = np.sqrt(np.sum(image**2, axis=-1))
            total += np.where(distance <= reach, self.density(distance, space.dimensions), 0.0)
        return total * space.volume


_WIDTH: dict[str, Any] = {"above": 0.0}
_CUTOFF: dict[str, Any] = {"above": 0.0, "optional": True}


class GaussianKernel(AbstractRadialKernel):
    """exp(-d^2/(2 width^2)), normalised; zero beyond `cutoff` widths where a cutoff is given."""

    short: ClassVar[str] = "gaussian"

    width: Any = parameter(0.1, symbol="s", doc="Standard deviation along one axis, before the cutoff.", **_WIDTH)
    cutoff: Any = parameter(None, symbol="c", doc="Widths beyond which the kernel is zero; none: nowhere.", **_CUTOFF)

    @property
    def ends(self) -> bool:
        """Whether there is a cutoff."""
        return self.cutoff is not None

    @property
    def size(self) -> float:
        """The width."""
        return float(self.width)

    def reach(self, dimensions: int) -> float:
        """The cutoff, or nine widths."""
        return float(self.width) * (9.0 if self.cutoff is None else float(self.cutoff))

    def spread(self, dimensions: int) -> float:
        """The width."""
        return float(self.width)

    def density(self, distance: np.ndarray, dimensions: int) -> np.ndarray:
        """Normalised by the share within the cutoff: 1 - exp(-c^2/2) in the plane, erf(c/sqrt 2) on the line."""
        s = float(self.width)
        value = np.exp(-0.5 * (distance / s) ** 2) / (2.0 * np.pi * s**2) ** (dimensions / 2)
        if self.cutoff is None:
            return value
        c = float(self.cutoff)
        return value / (math.erf(c / math.sqrt(2.0)) if dimensions == 1 else -math.expm1(-0.5 * c**2))


class ExponentialKernel(AbstractRadialKernel):
    """exp(-d/width), normalised; zero beyond `cutoff` widths where a cutoff is given."""

    short: ClassVar[str] = "exponential"

    width: Any = parameter(0.1, symbol="s", doc="Distance in which the kernel falls by 1/e.", **_WIDTH)
    cutoff: Any = parameter(None, symbol="c", doc="Widths beyond which the kernel is zero; none: nowhere.", **_CUTOFF)

    @property
    def ends(self) -> bool:
        """Whether there is a cutoff."""
        return self.cutoff is not None

    @property
    def size(self) -> float:
        """The width."""
        return float(self.width)

    def reach(self, dimensions: int) -> float:
        """The cutoff, or forty widths."""
        return float(self.width) * (40.0 if self.cutoff is None else float(self.cutoff))

    def spread(self, dimensions: int) -> float:
        """The width times sqrt 2 on the line, sqrt 3 in the plane."""
        return float(self.width) * math.sqrt(1.0 + dimensions)

    def density(self, distance: np.ndarray, dimensions: int) -> np.ndarray:
        """Normalised by the share within the cutoff: 1 - e^-c on the line, 1 - (1 + c) e^-c in the plane."""
        s = float(self.width)
        value = np.exp(-distance / s) / (2.0 * s if dimensions == 1 else 2.0 * np.pi * s**2)
        if self.cutoff is None:
            return value
        c = float(self.cutoff)
        return value / (1.0 - math.exp(-c) * (1.0 if dimensions == 1 else 1.0 + c))


class BoxKernel(AbstractRadialKernel):
    """The same at every distance below `width`, zero beyond."""

    short: ClassVar[str] = "box"

    width: Any = parameter(0.1, symbol="s", doc="Distance beyond which the kernel is zero.", **_WIDTH)

    @property
    def ends(self) -> bool:
        """It does."""
        return True

    @property
    def size(self) -> float:
        """The width."""
        return float(self.width)

    def reach(self, dimensions: int) -> float:
        """The width."""
        return float(self.width)

    def spread(self, dimensions: int) -> float:
        """width/sqrt 3 on the line, width/2 in the plane."""
        return float(self.width) / math.sqrt(2.0 + dimensions if dimensions == 1 else 4.0)

    def density(self, distance: np.ndarray, dimensions: int) -> np.ndarray:
        """1/(2 width) on the line, 1/(pi width^2) in the plane."""
        s = float(self.width)
        return np.where(distance < s, 1.0 / (2.0 * s if dimensions == 1 else np.pi * s**2), 0.0)


class CustomKernel(AbstractRadialKernel):
    """A user's own function of the distance, vectorised; it is normalised by quadrature up to the cutoff."""

    short: ClassVar[str] = "custom"

    function: Any = parameter(
        None,
        symbol=r"\kappa",
        kind="component",
        components=(str,),
        function=True,
        doc="Function of an array of distances, not negative, or its name as `module:function`.",
    )
    cutoff: Any = parameter(None, symbol="c", doc="Distance beyond which the kernel is zero.", **_CUTOFF)

    def __check_init__(self):
        require(self.cutoff is not None, "cutoff", "be given for a CustomKernel", None, "Its function ends there.")

    @property
    def ends(self) -> bool:
        """It does."""
        return True

    @property
    def size(self) -> float:
        """The spread along one axis, as of the plane."""
        return self.spread(2)

    def reach(self, dimensions: int) -> float:
        """The cutoff."""
        return float(self.cutoff)

    def call(self, distance: np.ndarray) -> np.ndarray:
        """The function's values, checked."""
        function = _imported(self.function) if isinstance(self.function, str) else self.function
        value = np.asarray(function(distance), float)
        require(value.shape == distance.shape, "function", "return one value per distance", value.shape)
        good = np.all(np.isfinite(value)) and np.all(value >= 0.0)
        require(good, "function", "be finite and not negative up to the cutoff", value)
        return value

    def integral(self, dimensions: int, power: int = 0) -> float:
        """Integral of the function, times distance^power, over line or plane by Gauss's rule in 64 panels of 16."""
        nodes, weights = np.polynomial.legendre.leggauss(16)
        edges = np.linspace(0.0, float(self.cutoff), 65)
        half = 0.5 * np.diff(edges)[:, None]
        r = (edges[:-1, None] + half * (1.0 + nodes)).ravel()
        measure = np.full_like(r, 2.0) if dimensions == 1 else 2.0 * np.pi * r
        return float(np.sum(self.call(r) * r**power * measure * (half * weights).ravel()))

    def factor(self, dimensions: int) -> float:
        """The factor that normalises the function."""
        whole = self.integral(dimensions)
        require(whole > 0.0, "function", "have a positive integral up to the cutoff", whole)
        return 1.0 / whole

    def spread(self, dimensions: int) -> float:
        """From the second moment."""
        return math.sqrt(self.integral(dimensions, 2) * self.factor(dimensions) / dimensions)

    def density(self, distance: np.ndarray, dimensions: int) -> np.ndarray:
        """The function, normalised."""
        inside = distance <= float(self.cutoff)
        return np.where(inside, self.call(np.where(inside, distance, 0.0)), 0.0) * self.factor(dimensions)


@functools.lru_cache(maxsize=64)
def _imported(text: str) -> Callable:
    where, _, what = text.partition(":")
    require(where and what, "function", "be named as `module:function`", text)
    try:
        return getattr(importlib.import_module(where), what)
    except (ImportError, AttributeError) as error:
        raise InputError(f"Argument `function` names {text!r}, which cannot be imported: {sentence(error)}.") from error


class CosineKernel(AbstractSpatialKernel):
    """1 + 2 sum_j e_j cos(2 pi j d/length) along every axis: the waves 1, 2, ... of the kernel, and no others.

    `CosineKernel(e_1, e_2, ...)`. On patches the profile is taken at their centres, so that e_j are the Fourier
    multipliers of the patches' own network.
    """

    short: ClassVar[str] = "cosine"

    smooth: ClassVar[bool] = True

    amplitude: Any = parameter(
        0.25,
        symbol="e_j",
        dims=("wave",),
        scalar=True,
        doc="Multipliers of waves 1, 2, ...; one number is that of wave 1.",
    )

    def __init__(self, *amplitudes: Any, amplitude: Any = None):
        if amplitudes and amplitude is not None:
            raise InputError("Argument `amplitude` must be left out where amplitudes are given one by one.")
        if amplitudes:
            amplitude = amplitudes[0] if len(amplitudes) == 1 else amplitudes
        self.amplitude = 0.25 if amplitude is None else amplitude

    def _check_relations(self) -> None:
        d = np.linspace(0.0, 1.0, 4097)
        lowest = float(self.along(d).min())
        require(lowest >= -1e-9, "amplitude", "keep the kernel from being negative", self.amplitude, "Lower it.")

    @property
    def amplitudes(self) -> np.ndarray:
        """e_1, e_2, ..., shape (wave,)."""
        return np.atleast_1d(np.asarray(self.amplitude, float))

    def along(self, turns: np.ndarray) -> np.ndarray:
        """The profile along one axis, at a displacement in lengths."""
        e = self.amplitudes
        return 1.0 + 2.0 * np.cos(2.0 * np.pi * turns[..., None] * np.arange(1, len(e) + 1)) @ e

    def check(self, name: str, space: AbstractSpace) -> None:
        """Refuse patches that cannot hold the highest wave."""
        highest = len(self.amplitudes)
        for m in space.shape:
            must = f"be at least {2 * highest + 1}, to hold the {highest} waves of `{name}`"
            require(m > 2 * highest, "space.patches", must, m, "Take more patches.")

    def profile(self, space: AbstractSpace, displacement: np.ndarray) -> np.ndarray:
        """The product over the axes."""
        return np.prod(self.along(displacement / space.lengths), axis=-1)
