"""A reduction in patches: the constants of one patch repeated for all, and arrivals as convolutions (numba).

Populations are counted patch by patch: population a of patch x is x A + a, with A kinds. A class (target kind, source
kind) of every patch receives, from the spikes nf_b(y) of all patches,

    mean sum_y P(x - y) nf_b(y),    variance sum_y P(x - y) (1 - P(x - y)) nf_b(y),                              (S80)

two circular convolutions for each pair of kinds. Nothing here grows with the square of the patches but the matrices of
the convolution, where there are few.
"""

from typing import Any, NamedTuple, TypeVar

import numpy as np

from largen.numerics.circular import Circular, circular, convolve, dense
from largen.numerics.compiled import part

Constants = TypeVar("Constants", bound=NamedTuple)


class Patches(NamedTuple):
    """How spikes travel between patches: M patches, A kinds, J classes and C channels of one patch, S fields of spikes.

    Attributes:
        count: M; 0 without space.
        kinds: A.
        kernels: For every class, mean and variance of what one spike of the source brings a target.
        source: Source kind of a field, shape (S,).
        shares: Shares of its delays of 1, 2, ... steps, shape (S, D).
        first: Factor of what arrives at a patch in the first steps, shape (M,).
        until: Number of these steps.
        seen: Room: spikes that act in this step, shape (S, M).
        mean: Room: mean of the arrivals by class, shape (J, M).
        variance: Room: their variance.
    """

    count: int
    kinds: int
    kernels: Circular
    source: np.ndarray
    shares: np.ndarray
    first: np.ndarray
    until: int
    seen: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


def no_patches() -> Patches:
    """Without space."""
    nothing = np.zeros((0, 0))
    kernels = circular(np.zeros((0, 2, 0, 0)), np.zeros(0, np.int64), 0)
    return Patches(0, 0, kernels, np.zeros(0, np.int64), nothing, np.zeros(0), 0, nothing, nothing, nothing)


def patches_of(
    probability: np.ndarray,
    size: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    shares: np.ndarray,
    start: tuple[np.ndarray, int],
    matrix: np.ndarray | None = None,
) -> Patches:
    """How spikes travel.

    Args:
        probability: P by offset (target - source), [target][source], shape (A, A, n0, n1).
        size: Neurons behind one unit of spikes: those of a patch where spikes are counted per neuron, shape (A,).
        pairs: Target and source kind of every class of a patch, shape (J,) each.
        shares: Shares of the delays of every class, shape (J, D).
        start: Factor of the arrivals at every patch, shape (M,), in so many first steps.
        matrix: P and P (1 - P) by target and source patch in place of `probability`, [target][source], shape
            (A, A, 2, M, M).
    """
    target, source = pairs
    p = probability[target, source]
    kernels = np.stack([p, p * (1.0 - p)], axis=1) if matrix is None else matrix[target, source]
    kernels = kernels * size[source][:, None, None, None]
    keys = [(int(b), *row) for b, row in zip(source, shares.tolist(), strict=True)]
    known = sorted(set(keys))
    field = np.array([known.index(key) for key in keys], np.int64)
    count, classes = int(np.prod(p.shape[1:])), len(source)
    return Patches(
        count=count,
        kinds=len(size),
        kernels=circular(kernels, field) if matrix is None else dense(kernels, field),
        source=np.array([key[0] for key in known], np.int64),
        shares=np.array([key[1:] for key in known]).reshape(len(known), -1),
        first=np.ascontiguousarray(start[0], np.float64),
        until=int(start[1]),
        seen=np.zeros((len(known), count)),
        mean=np.zeros((classes, count)),
        variance=np.zeros((classes, count)),
    )


def repeat(layout: Constants, patches: Patches, axes: dict[str, str]) -> Constants:
    """The constants of one patch for all.

    Args:
        layout: Those of a patch.
        patches: How spikes travel.
        axes: By field what its first axis is: "all" (repeated), "first" (places of first entries, with the end),
            "population" (numbers of populations), "entry" (places in the axis itself).
    """
    found: dict[str, Any] = {"patches": patches}
    for name, kind in axes.items():
        values = getattr(layout, name)
        if kind == "first":
            steps = np.arange(patches.count)[:, None] * values[-1] + values[:-1]
            found[name] = np.append(steps.ravel(), patches.count * values[-1])
            continue
        by = {"all": 0, "population": patches.kinds, "entry": len(values)}[kind]
        many = np.concatenate([values] * patches.count)
        found[name] = many + np.repeat(np.arange(patches.count) * by, len(values)) if by else many
    return layout._replace(**found)


@part
def spread(p, step):
    """Fill `mean` and `variance` from `seen`."""
    convolve(p.kernels, p.seen, p.mean, p.variance)
    for j in range(len(p.mean)):
        for x in range(p.count):
            factor = p.first[x] if step < p.until else 1.0
            p.mean[j, x] *= factor
            p.variance[j, x] = max(p.variance[j, x] * factor, 0.0)


@part
def gather_patches(p, sent, clock, mean_of, variance_of):
    """Mean and variance of the arrivals of every class, from the spikes of so many steps ago.

    Args:
        p: How spikes travel.
        sent: Spikes per neuron by step, shape (P, steps).
        clock: Steps done.
        mean_of: Is filled, shape (M J,).
        variance_of: Is filled.
    """
    slots, classes = sent.shape[1], len(p.mean)
    for f in range(len(p.source)):
        for x in range(p.count):
            p.seen[f, x] = 0.0
        for d in range(p.shares.shape[1]):
            share, slot = p.shares[f, d], (clock - d - 1) % slots
            if share > 0.0:
                for x in range(p.count):
                    p.seen[f, x] += share * sent[x * p.kinds + p.source[f], slot]
    spread(p, clock)
    for x in range(p.count):
        for j in range(classes):
            mean_of[x * classes + j] = p.mean[j, x]
            variance_of[x * classes + j] = p.variance[j, x]


@part
def gather_counts(p, spikes, step):
    """Mean and variance of the arrivals, `mean` and `variance`, from the numbers of spikes of a step, shape (P,)."""
    for f in range(len(p.source)):
        for x in range(p.count):
            p.seen[f, x] = spikes[x * p.kinds + p.source[f]]
    spread(p, step)
