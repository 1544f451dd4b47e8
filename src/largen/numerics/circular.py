"""Circular convolutions with fixed kernels on a ring or a torus, in compiled code.

out[k, x] = sum_y kernel[k, x - y] field[k's field, y], the difference taken modulo the places, of kernels that come in
pairs: the second may be the first's variance, say. Few places: as products of matrices. Many: by a fast Fourier
transform of any length, Stockham's, which sorts itself (C. Van Loan, Computational Frameworks for the Fast Fourier
Transform, SIAM (1992), sec. 1.7). Both are exact to rounding.
"""

from typing import NamedTuple

import numpy as np

from largen.numerics.compiled import part

MATRIX, FOURIER = 0, 1
_MOST_PLACES = 1500
"""Places from which on matrices would not fit into a cache, however long a transform takes."""


class Circular(NamedTuple):
    """Pairs of kernels, K of them, on n0 by n1 places, and room for their products with S fields.

    Attributes:
        method: MATRIX or FOURIER.
        field: Field that a pair is applied to, shape (K,).
        matrix: Both kernels as matrices, shape (K, 2, M, M), M = n0 n1; no places unless MATRIX.
        real: Real part of the spectrum of (first kernel) + i (second kernel), shape (K, n1, n0); likewise.
        imaginary: Its imaginary part.
        factors0: Factors of n0, whose product it is; likewise of n1.
        factors1: Factors of n1.
        roots0: cos and -sin of 2 pi k/n0, shape (2, n0).
        roots1: The same for n1.
        fields: Spectra of the fields, shape (S, 2, n1, n0).
        here: Room, shape (4, n0, n1).
        there: Room, shape (4, n1, n0).
    """

    method: int
    field: np.ndarray
    matrix: np.ndarray
    real: np.ndarray
    imaginary: np.ndarray
    factors0: np.ndarray
    factors1: np.ndarray
    roots0: np.ndarray
    roots1: np.ndarray
    fields: np.ndarray
    here: np.ndarray
    there: np.ndarray


def circular(kernels: np.ndarray, field: np.ndarray, method: int | None = None) -> Circular:
    """Prepare convolutions.

    Args:
        kernels: By offset (target - source), shape (K, 2, n0, n1).
        field: Field that each pair is applied to, shape (K,).
        method: MATRIX or FOURIER; None for the one with fewer multiplications.
    """
    pairs, _, n0, n1 = kernels.shape
    fields = int(np.max(field, initial=-1)) + 1
    factors0, factors1 = _factors(n0), _factors(n1)
    if method is None:
        fourier = 4.0 * (fields + pairs) * float(factors0.sum() + factors1.sum() + 2.0)
        cheap = 2.0 * pairs * n0 * n1 <= 2.0 * fourier and n0 * n1 <= _MOST_PLACES
        method = MATRIX if cheap else FOURIER
    if method == MATRIX:
        matrix, spectrum = _matrices(kernels), np.zeros((0, 0, 0), np.complex128)
        fields, n0, n1 = 0, 0, 0
    else:
        matrix = np.zeros((0, 2, 0, 0))
        spectrum = np.swapaxes(np.fft.fft2(kernels[:, 0] + 1j * kernels[:, 1]), 1, 2)
    return Circular(
        method=method,
        field=np.asarray(field, np.int64),
        matrix=matrix,
        real=np.ascontiguousarray(spectrum.real),
        imaginary=np.ascontiguousarray(spectrum.imag),
        factors0=factors0,
        factors1=factors1,
        roots0=_roots(n0),
        roots1=_roots(n1),
        fields=np.zeros((fields, 2, n1, n0)),
        here=np.zeros((4, n0, n1)),
        there=np.zeros((4, n1, n0)),
    )


def dense(matrix: np.ndarray, field: np.ndarray) -> Circular:
    """The same for places that are no ring: every pair as two matrices, shape (K, 2, M, M)."""
    nothing = circular(np.zeros((len(field), 2, 0, 0)), field, MATRIX)
    return nothing._replace(matrix=np.ascontiguousarray(matrix, np.float64))


def _matrices(kernels: np.ndarray) -> np.ndarray:
    """Kernels as matrices from source to target places, shape (K, 2, M, M)."""
    n0, n1 = kernels.shape[2:]
    at0 = (np.arange(n0)[:, None] - np.arange(n0)) % n0
    at1 = (np.arange(n1)[:, None] - np.arange(n1)) % n1
    found = kernels[:, :, at0[:, None, :, None], at1[None, :, None, :]]
    return np.ascontiguousarray(found.reshape(*kernels.shape[:2], n0 * n1, n0 * n1))


def _factors(n: int) -> np.ndarray:
    """Factors of n, fours first, then primes."""
    found = []
    for factor in (4, 2, 3, *range(5, n + 1, 2)):
        while n % factor == 0 and n > 1:
            found.append(factor)
            n //= factor
    return np.array(found, np.int64)


def _roots(n: int) -> np.ndarray:
    angle = 2.0 * np.pi * np.arange(n) / max(n, 1)
    return np.stack([np.cos(angle), -np.sin(angle)])


@part(fastmath={"contract", "reassoc"})
def _product(row, field):
    total = 0.0
    for y in range(len(field)):
        total += row[y] * field[y]
    return total


@part
def _transform(a_real, a_imaginary, b_real, b_imaginary, factors, roots, sign):
    """Transform a along its first axis, in place; b is room; sign 1 forward, -1 back (without 1/n)."""
    total, lanes = a_real.shape
    length, stride = total, 1
    x, y, to_x, to_y = a_real, a_imaginary, b_real, b_imaginary
    for f in range(len(factors)):
        r = factors[f]
        q = length // r
        for p in range(q):
            for j in range(stride):
                for k in range(r):
                    out_x, out_y = to_x[j + stride * (r * p + k)], to_y[j + stride * (r * p + k)]
                    for term in range(r):
                        root = (p * k * stride + term * k * (total // r)) % total
                        c, s = roots[0, root], sign * roots[1, root]
                        in_x, in_y = x[j + stride * (p + q * term)], y[j + stride * (p + q * term)]
                        if term == 0:
                            for i in range(lanes):
                                out_x[i] = in_x[i] * c - in_y[i] * s
                                out_y[i] = in_x[i] * s + in_y[i] * c
                        else:
                            for i in range(lanes):
                                out_x[i] += in_x[i] * c - in_y[i] * s
                                out_y[i] += in_x[i] * s + in_y[i] * c
        x, y, to_x, to_y = to_x, to_y, x, y
        length, stride = q, stride * r
    if len(factors) % 2 == 1:
        for j in range(total):
            for i in range(lanes):
                a_real[j, i], a_imaginary[j, i] = x[j, i], y[j, i]


@part
def _forward(c, fields):
    here, there = c.here, c.there
    n0, n1 = here.shape[1], here.shape[2]
    for f in range(len(c.fields)):
        for i in range(n0):
            for j in range(n1):
                here[0, i, j], here[1, i, j] = fields[f, i * n1 + j], 0.0
        _transform(here[0], here[1], here[2], here[3], c.factors0, c.roots0, 1.0)
        for i in range(n0):
            for j in range(n1):
                c.fields[f, 0, j, i], c.fields[f, 1, j, i] = here[0, i, j], here[1, i, j]
        _transform(c.fields[f, 0], c.fields[f, 1], there[2], there[3], c.factors1, c.roots1, 1.0)


@part
def _back(c, k, first, second):
    here, there = c.here, c.there
    n0, n1, spectrum = here.shape[1], here.shape[2], c.fields[c.field[k]]
    for j in range(n1):
        for i in range(n0):
            x, y = spectrum[0, j, i], spectrum[1, j, i]
            there[0, j, i] = c.real[k, j, i] * x - c.imaginary[k, j, i] * y
            there[1, j, i] = c.real[k, j, i] * y + c.imaginary[k, j, i] * x
    _transform(there[0], there[1], there[2], there[3], c.factors1, c.roots1, -1.0)
    for i in range(n0):
        for j in range(n1):
            here[0, i, j], here[1, i, j] = there[0, j, i], there[1, j, i]
    _transform(here[0], here[1], here[2], here[3], c.factors0, c.roots0, -1.0)
    scale = 1.0 / (n0 * n1)
    for i in range(n0):
        for j in range(n1):
            first[k, i * n1 + j], second[k, i * n1 + j] = scale * here[0, i, j], scale * here[1, i, j]


@part
def convolve(c, fields, first, second):
    """Convolve.

    Args:
        c: The kernels.
        fields: Shape (S, M).
        first: Result with the first kernel of every pair, shape (K, M).
        second: Result with the second.
    """
    if c.method == FOURIER:
        _forward(c, fields)
        for k in range(len(c.field)):
            _back(c, k, first, second)
        return
    for k in range(len(c.field)):
        field, matrix = fields[c.field[k]], c.matrix[k]
        for x in range(len(field)):
            first[k, x] = _product(matrix[0, x], field)
            second[k, x] = _product(matrix[1, x], field)
