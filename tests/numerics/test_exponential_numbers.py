"""Exponential and uniform numbers against their law."""

import numpy as np
from scipy import stats

from largen.numerics import exponential_numbers

FALSE_ALARM = 1e-6


def test_exponential_numbers_follow_the_law():
    count = 2**21
    words = np.random.default_rng(2).integers(0, 2**64, count, dtype=np.uint64)
    out = np.empty(count)
    exponential_numbers.exponentials(words, out, count)
    cells = np.bincount((500 * stats.expon.cdf(out)).astype(int), minlength=500)
    assert stats.chisquare(cells).pvalue > FALSE_ALARM
    assert stats.binomtest(int(np.sum(out > 10.0)), count, np.exp(-10.0)).pvalue > FALSE_ALARM
    biased = np.bincount((500 * stats.expon.cdf(1.03 * out)).astype(int), minlength=500)
    assert stats.chisquare(biased).pvalue < FALSE_ALARM
    exponential_numbers.exponentials(np.array([0, 2**64 - 1], np.uint64), out, 2)
    np.testing.assert_allclose(out[:2], [37.42994775, 0.0], atol=1e-8)


def test_uniform_numbers():
    words = np.array([0, 2**63, 2**64 - 1], np.uint64)
    out = np.empty(3)
    exponential_numbers.uniforms(words, 4.0, out, 3)
    assert out.tolist() == [0.0, 2.0, 4.0 * (1 - 2.0**-53)]
