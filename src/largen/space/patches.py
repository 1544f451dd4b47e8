"""Averages of kernels over pairs of patches, their clipping at probability 1, and their spectra.

With a target uniform in one patch and a source uniform in another at offset D, an average over both is, along each
axis, int du tri(u) f(D + w u), tri(u) = 1 - |u| on [-1, 1]. Averaging multiplies the spectrum by sinc^2(q w/2) and so
widens the kernel: its variance along an axis grows by w^2/6.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from largen.checks import InputError
from largen.space.geometry import AbstractSpace
from largen.space.kernels import AbstractRadialKernel, AbstractSpatialKernel, CosineKernel, GaussianKernel

NODES = 40
"""Gauss nodes on each side of a patch's centre, along each axis."""
WIDEST_PATCH = 0.24
"""w^2/6 over a kernel's variance, above which patches are called wide: 1.2 widths of a Gaussian."""
MOST_CLIPPED = 0.01


class PatchProbability(NamedTuple):
    """Probabilities of a synapse between two patches.

    Attributes:
        values: P(D), by offset target - source, shape (patches along each axis).
        clipped: Share of the in-degree that is lost where the probability would exceed 1.
    """

    values: np.ndarray
    clipped: float


def check_kernels(kernels: Mapping[str, AbstractSpatialKernel], space: AbstractSpace) -> None:
    """Refuse kernels that cannot be on a ring or sheet; keys are their names in messages, such as `kernel[e,i]`."""
    for name, kernel in kernels.items():
        kernel.check(name, space)


def warn_of_wide_patches(kernels: Mapping[str, AbstractSpatialKernel], space: AbstractSpace) -> None:
    """Warn where the patches are wide against a kernel, and so change it."""
    side = float(space.sides.max())
    narrow = {name: kernel.spread(space.dimensions) for name, kernel in kernels.items()}
    if not narrow:
        return
    name, spread = min(narrow.items(), key=lambda item: item[1])
    excess = side**2 / (6.0 * spread**2)
    if excess > WIDEST_PATCH * (1.0 + 1e-9):
        needed = math.ceil(float(space.lengths.max()) / (math.sqrt(6.0 * WIDEST_PATCH) * spread) - 1e-9)
        warnings.warn(
            f"Patches of side {side:.3g} widen `{name}`: its variance grows by {100 * excess:.0f} %. "
            f"From {needed} patches a side it grows by at most 24 %.",
            stacklevel=3,
        )


def patch_profile(kernel: AbstractSpatialKernel, space: AbstractSpace) -> np.ndarray:
    """The kernel's profile averaged over patches, by offset target - source; its mean is 1.

    Args:
        kernel: The kernel.
        space: The ring or sheet.

    Returns:
        Shape (patches along each axis), offset 0 first as the FFT has it.
    """
    return _averages(kernel, space, None)[0]


def patch_probability(
    kernel: AbstractSpatialKernel,
    space: AbstractSpace,
    probability: float,
    *,
    clip: bool = False,
    name: str = "kernel",
) -> PatchProbability:
    """P(D): the probability min(1, p profile(d)) averaged over two patches.

    It is clipped point by point before it is averaged, and rescaled by the integral of what is not clipped, so that
    sum_D P(D) n_b is the in-degree p N_b exactly where nothing is clipped.

    Args:
        kernel: The kernel.
        space: The ring or sheet.
        probability: The mean probability p.
        clip: Whether more than 1 % of the in-degree may be lost by clipping.
        name: The kernel's name in messages, such as `kernel[e,i]`.

    Raises:
        InputError: More than 1 % is lost.
    """
    p = float(probability)
    if p == 0.0:
        return PatchProbability(np.zeros(space.shape), 0.0)
    _, kept = _averages(kernel, space, 1.0 / p)
    clipped = max(0.0, 1.0 - float(kept.mean()))
    if clipped > MOST_CLIPPED and not clip:
        top = p * float(np.max(kernel.profile(space, np.zeros((1, space.dimensions)))))
        raise InputError(
            f"Argument `{name}` must be wide enough for the probability {p:g}, but near its centre it asks for "
            f"{top:.3g} and loses {100 * clipped:.3g} % of its synapses at 1. Widen it, lower the probability, or say "
            "clip=True."
        )
    return PatchProbability(p * kept, clipped)


def spectrum(values: np.ndarray) -> np.ndarray:
    """Fourier multipliers sum_D values(D) e^{-iq.D} of a symmetric kernel's averages, real, in the FFT's order."""
    return np.fft.fftn(values).real


def _averages(kernel: AbstractSpatialKernel, space: AbstractSpace, top: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Patch averages of the profile, of mean 1, and of the profile cut at `top` with the same factor."""
    if isinstance(kernel, CosineKernel):
        index = np.stack(np.meshgrid(*map(np.arange, space.shape), indexing="ij"), axis=-1)
        values = np.maximum(kernel.profile(space, index * space.sides), 0.0)
        values /= values.mean()
        return values, values if top is None else np.minimum(values, top)
    assert isinstance(kernel, AbstractRadialKernel)
    at_zero = float(kernel.profile(space, np.zeros((1, space.dimensions)))[0])
    if isinstance(kernel, GaussianKernel) and kernel.cutoff is None and (top is None or at_zero <= top):
        axes = [_gaussian(float(kernel.width), m, length) for m, length in zip(space.shape, space.lengths, strict=True)]
        values = axes[0] if len(axes) == 1 else np.multiply.outer(*axes)
        values = values / values.mean()
        return values, values
    whole, cut = _by_quadrature(kernel, space, top)
    return whole / whole.mean(), cut / whole.mean()


def _gaussian(s: float, patches: int, length: float) -> np.ndarray:
    """Length times the average of a periodic Gaussian over two intervals, by offset, in closed form, shape (patches,).

    The second difference of psi(u) = u Phi(u/s) + s phi(u/s) over w^2; with psi(u) = max(u, 0) + tail(|u|) its large
    part is taken exactly.
    """
    w = length / patches
    images = math.ceil(9.0 * s / length) + 1
    offset = np.arange(patches)[:, None] * w + np.arange(-images, images + 1) * length

    def tail(u: np.ndarray) -> np.ndarray:
        z = np.abs(u) / s
        return s * (np.exp(-0.5 * z**2) / math.sqrt(2.0 * np.pi) - z * ndtr(-z))

    inner = np.sum(tail(offset + w) - 2.0 * tail(offset) + tail(offset - w), axis=1)
    inner[0] += w
    return (inner / w**2 * length)[np.minimum(np.arange(patches), patches - np.arange(patches))]


def _by_quadrature(
    kernel: AbstractRadialKernel, space: AbstractSpace, top: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Averages of the profile and of its part below `top`; offsets beyond half the ring follow by symmetry."""
    halves = [m // 2 + 1 for m in space.shape]
    axes = [_triangle(kernel, space, axis, half, top) for axis, half in enumerate(halves)]
    whole, cut = np.zeros(halves), np.zeros(halves)
    reach = kernel.reach(space.dimensions)
    for first in range(halves[0]):
        u, wu = axes[0][first]
        if space.dimensions == 1:
            value = kernel.profile(space, u[:, None])
            whole[first] = wu @ value
            cut[first] = wu @ np.minimum(value, top) if top is not None else whole[first]
            continue
        for second in range(halves[1]):
            nearest = np.maximum(np.array([first, second]) - 1, 0) * space.sides
            if math.hypot(*nearest) > reach:
                continue
            v, wv = axes[1][second]
            value = kernel.profile(space, np.stack(np.broadcast_arrays(u[:, None], v), axis=-1))
            whole[first, second] = wu @ value @ wv
            cut[first, second] = wu @ np.minimum(value, top) @ wv if top is not None else whole[first, second]
    index = np.ix_(*[np.minimum(np.arange(m), m - np.arange(m)) for m in space.shape])
    return whole[index], cut[index]


def _triangle(
    kernel: AbstractRadialKernel, space: AbstractSpace, axis: int, offsets: int, top: float | None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Nodes (displacements) and weights for the triangle about each offset.

    Gauss's rule on both sides of the centre, where the triangle has its kink. On a ring the panels also end where the
    kernel jumps or has a kink, so that a rule of the smooth parts is used.
    """
    w, length = float(space.sides[axis]), float(space.lengths[axis])
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    breaks = np.zeros(0)
    if space.dimensions == 1:
        reach = kernel.reach(1)
        radii = [0.0] + ([reach] if kernel.ends else []) + _crossings(kernel, space, top)
        count = math.ceil(reach / length) + 2
        shifts = np.arange(-count, count + 1) * length
        breaks = np.concatenate([shifts + sign * r for r in radii for sign in (-1.0, 1.0)])
    found = []
    for k in range(offsets):
        centre = k * w
        inside = breaks[(breaks > centre - w) & (breaks < centre + w)]
        edges = np.unique(np.concatenate([[centre - w, centre, centre + w], inside]))
        edges = edges[np.concatenate([[True], np.diff(edges) > 1e-14 * length])]
        half = 0.5 * np.diff(edges)[:, None]
        u = (edges[:-1, None] + half * (1.0 + nodes)).ravel()
        weight = (half * weights).ravel() * np.maximum(1.0 - np.abs(u - centre) / w, 0.0) / w
        found.append((u, weight))
    return found


def _crossings(kernel: AbstractRadialKernel, space: AbstractSpace, top: float | None) -> list[float]:
    """Distances on a ring at which the profile passes `top`."""
    if top is None:
        return []
    length = float(space.lengths[0])
    d = np.linspace(0.0, 0.5 * length, 2049)
    above = kernel.profile(space, d[:, None]) > top
    found = []
    for k in np.flatnonzero(above[1:] != above[:-1]):
        low, high = d[k], d[k + 1]
        for _ in range(60):
            middle = 0.5 * (low + high)
            if (kernel.profile(space, np.array([[middle]]))[0] > top) == above[k]:
                low = middle
            else:
                high = middle
        found.append(0.5 * (low + high))
    return found


def widths_in_attrs(kernels: Mapping[str, AbstractSpatialKernel], space: AbstractSpace) -> dict[str, Any]:
    """What a Dataset's attributes keep of kernels: the factors that normalise a user's own."""
    return {
        f"{name} factor": kernel.factor(space.dimensions)  # type: ignore[attr-defined]
        for name, kernel in kernels.items()
        if hasattr(kernel, "factor")
    }


def named(kernel: Any, labels: Sequence[str]) -> dict[str, AbstractSpatialKernel]:
    """The kernels of a model by name, `kernel[e,i]`, one that stands for all as `kernel`."""
    if not isinstance(kernel, tuple):
        return {"kernel": kernel}
    return {f"kernel[{labels[a]},{labels[b]}]": part for a, row in enumerate(kernel) for b, part in enumerate(row)}


def by_pair(kernel: Any, count: int) -> tuple[tuple[AbstractSpatialKernel, ...], ...]:
    """The kernels [target][source], where one may stand for all."""
    return kernel if isinstance(kernel, tuple) else ((kernel,) * count,) * count
