"""Vectorised exponential and logarithm against NumPy's, and exponential numbers against their law."""

import numpy as np
from scipy import stats

from largen.numerics import exponential
from largen.numerics.compiled import kernel

FALSE_ALARM = 1e-6


@kernel
def _apply(x, logs, exps):
    for i in range(x.size):
        logs[i] = exponential.minus_log(x[i])
        exps[i] = exponential.exp(x[i])


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


def test_exponential_numbers_follow_the_law():
    count = 2**21
    words = np.random.default_rng(2).integers(0, 2**64, count, dtype=np.uint64)
    out = np.empty(count)
    exponential.exponentials(words, out, count)
    cells = np.bincount((500 * stats.expon.cdf(out)).astype(int), minlength=500)
    assert stats.chisquare(cells).pvalue > FALSE_ALARM
    assert stats.binomtest(int(np.sum(out > 10.0)), count, np.exp(-10.0)).pvalue > FALSE_ALARM
    biased = np.bincount((500 * stats.expon.cdf(1.03 * out)).astype(int), minlength=500)
    assert stats.chisquare(biased).pvalue < FALSE_ALARM
    exponential.exponentials(np.array([0, 2**64 - 1], np.uint64), out, 2)
    np.testing.assert_allclose(out[:2], [37.42994775, 0.0], atol=1e-8)


def test_uniform_numbers():
    words = np.array([0, 2**63, 2**64 - 1], np.uint64)
    out = np.empty(3)
    exponential.uniforms(words, 4.0, out, 3)
    assert out.tolist() == [0.0, 2.0, 4.0 * (1 - 2.0**-53)]
