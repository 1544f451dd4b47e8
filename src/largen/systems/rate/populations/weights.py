"""The weights: one exact draw of the whole matrix, block by block, by circulant embedding on rectangular tori.

The block onto a ring of N_a from one of N_b is a stationary Gaussian field on the torus N_a x N_b (eq. P3 of
docs/rate-populations.md): white noise times the root of the spectrum of Lambda_ab, transformed back.
"""

import math
from typing import Any

import numpy as np
from scipy import fft

from largen.checks import InputError, require
from largen.systems.rate.kernels import AbstractKernel, SeparableKernel, TableKernel, UncorrelatedKernel
from largen.systems.rate.populations.numbers import kernels_of, variance_of

_NEGATIVE = 1e-12
_ROWS = 512


def spectrum(kernel: AbstractKernel, shape: tuple[int, int], rows: np.ndarray) -> np.ndarray:
    """S(p, q) = sum_kl Lambda(k, l) cos(2 pi (pk/N_a + ql/N_b)) at post frequencies p, shape (row, N_b // 2 + 1)."""
    post, pre = shape
    half = pre // 2 + 1
    if isinstance(kernel, TableKernel):
        k, l = (np.arange(-reach, reach + 1) for reach in kernel.reach)
        p = 2.0 * np.pi * ((rows[:, None] * k) % post) / post
        q = 2.0 * np.pi * ((np.arange(half)[:, None] * l) % pre) / pre
        return (np.cos(p) @ kernel.values) @ np.cos(q).T - (np.sin(p) @ kernel.values) @ np.sin(q).T
    left, right = kernel.factors(post), kernel.factors(pre)
    assert left is not None
    assert right is not None
    return left[0][rows, None] * right[1][:half]


def check_block(kernel: AbstractKernel, shape: tuple[int, int], name: str) -> None:
    """Refuse a kernel that is no covariance on its torus; the message names the block.

    Args:
        kernel: The kernel.
        shape: Neurons of the target and of the source.
        name: The block, such as `kernels[e,i]`.
    """
    if isinstance(kernel, UncorrelatedKernel):
        return
    if isinstance(kernel, TableKernel):
        for size, wanted, ring in zip(shape, kernel.values.shape, ("target", "source"), strict=True):
            require(
                wanted <= size,
                "n",
                f"give the {ring} of `{name}` at least {wanted} neurons, the width of its table",
                size,
                "Take more neurons or a smaller table.",
            )
        for start in range(0, shape[0], _ROWS):
            values = spectrum(kernel, shape, np.arange(start, min(start + _ROWS, shape[0])))
            _refuse_negative(values, float(np.abs(kernel.values).sum()), name, shape)
        return
    assert isinstance(kernel, SeparableKernel)
    for rho, size in ((kernel.post, shape[0]), (kernel.pre, shape[1])):
        values = _geometric(float(rho), size)
        _refuse_negative(values, float(values.max()), name, shape)


def _geometric(rho: float, n: int) -> np.ndarray:
    """Spectrum of rho^distance on a ring of n, before it is cut at zero."""
    distance = np.minimum(np.arange(n), n - np.arange(n))
    return np.fft.rfft(float(rho) ** distance).real


def _refuse_negative(values: np.ndarray, largest: float, name: str, shape: tuple[int, int]) -> None:
    if values.min() < -_NEGATIVE * largest:
        raise InputError(
            f"Argument `{name}` must be positive definite on rings of {shape[0]} and {shape[1]} neurons, but its "
            f"spectrum is {values.min():.3g} (largest {largest:.3g}). Make the entries away from lag (0, 0) smaller, "
            "or take another number of neurons."
        )


def draw(model: Any, sizes: np.ndarray, rng: Any, dtype: type = np.float64) -> np.ndarray:
    """Draw the weights J[post, pre] of all neurons, means included, the low-rank part left out.

    Args:
        model: The model, its kernels checked on these rings.
        sizes: Neurons by population, shape (population,).
        rng: Gives the generator of a named stream.
        dtype: np.float64 or np.float32.
    """
    ends = np.concatenate([[0], np.cumsum(sizes)])
    weights = np.empty((ends[-1], ends[-1]), dtype)
    for a, row in enumerate(kernels_of(model)):
        for b, kernel in enumerate(row):
            block = weights[ends[a] : ends[a + 1], ends[b] : ends[b + 1]]
            _fill(kernel, block, rng("weights", a, b), dtype)
            mean = float(model.mean_weight[a][b]) / int(sizes[b])
            if mean != 0.0:
                block += dtype(mean)
    return weights


def _fill(kernel: AbstractKernel, block: np.ndarray, rng: np.random.Generator, dtype: type) -> None:
    """Fill a block with weights of mean zero."""
    post, pre = block.shape
    if variance_of(kernel) == 0.0:
        block[...] = 0.0
        return
    if isinstance(kernel, UncorrelatedKernel):
        scale = dtype(math.sqrt(float(kernel.variance) / pre))
        for start in range(0, post, _ROWS):
            rows = slice(start, min(start + _ROWS, post))
            block[rows] = rng.standard_normal((rows.stop - rows.start, pre), dtype=dtype)  # type: ignore[arg-type]
            block[rows] *= scale
        return
    white = rng.standard_normal((post, pre), dtype=dtype)  # type: ignore[arg-type]
    noise = np.asarray(fft.rfft2(white))
    for start in range(0, post, _ROWS):
        rows = np.arange(start, min(start + _ROWS, post))
        noise[rows] *= np.sqrt(np.maximum(spectrum(kernel, (post, pre), rows), 0.0) / pre).astype(dtype)
    block[...] = fft.irfft2(noise, (post, pre))
