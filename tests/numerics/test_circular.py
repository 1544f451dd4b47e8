"""Circular convolutions by matrices and by Fourier transforms against NumPy's transform and sums written out."""

import numpy as np
import pytest

from largen.numerics.circular import FOURIER, MATRIX, circular, convolve
from largen.numerics.compiled import entry


@entry
def _run(c, fields, first, second):
    convolve(c, fields, first, second)


def by_hand(kernels, field, fields):
    n0, n1 = kernels.shape[2:]
    out = np.zeros((len(kernels), 2, n0, n1))
    for k, x0, x1, y0, y1 in np.ndindex(len(kernels), n0, n1, n0, n1):
        source = fields[field[k]].reshape(n0, n1)[y0, y1]
        out[k, :, x0, x1] += kernels[k, :, (x0 - y0) % n0, (x1 - y1) % n1] * source
    return out.reshape(len(kernels), 2, -1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 12), (3, 5), (8, 6), (11, 11), (16, 4), (7, 1)])
@pytest.mark.parametrize("method", [MATRIX, FOURIER])
def test_both_methods_give_the_sum_over_all_sources(shape, method):
    rng = np.random.default_rng(1)
    kernels, field = rng.normal(size=(3, 2, *shape)), np.array([1, 0, 1])
    fields = rng.normal(size=(2, shape[0] * shape[1]))
    first, second = np.zeros((2, 3, fields.shape[1]))
    _run(circular(kernels, field, method), fields, first, second)
    np.testing.assert_allclose(np.stack([first, second], axis=1), by_hand(kernels, field, fields), atol=1e-12)


def test_many_places_are_transformed_and_few_are_not():
    def method(shape):
        return circular(np.ones((4, 2, *shape)), np.array([0, 1, 0, 1])).method

    assert method((1, 12)) == method((5, 5)) == method((11, 11)) == MATRIX
    assert method((20, 20)) == method((64, 64)) == FOURIER
