"""Vectorised exponential and logarithm against NumPy's."""

import numpy as np

from largen.numerics import elementary
from largen.numerics.compiled import kernel


@kernel
def _apply(x, logs, exps):
    for i in range(x.size):
        logs[i] = elementary.minus_log(x[i])
        exps[i] = elementary.exp(x[i])


def test_logarithm_and_exponential():
    u = np.concatenate([2.0**-53 * np.arange(1, 9), np.random.default_rng(1).random(4000), 1 - 2.0**-53 * np.arange(5)])
    logs, exps = np.empty_like(u), np.empty_like(u)
    _apply(u, logs, exps)
    np.testing.assert_allclose(logs, -np.log(u), rtol=6e-16, atol=1e-16)
    x = np.linspace(-690, 690, u.size)  # as many as there is room for: kernels do not check bounds
    _apply(x, np.empty_like(x), exps)
    np.testing.assert_allclose(exps, np.exp(x), rtol=3e-13)  # the rounding of x log2(e) grows with |x|
    _apply(u, logs, exps)
    np.testing.assert_allclose(exps, np.exp(u), rtol=6e-16)
