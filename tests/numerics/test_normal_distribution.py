"""The vectorised normal distribution function and density."""

import numpy as np
from numba import njit
from scipy import stats

from largen.numerics.normal_distribution import normal_pair


@njit
def pairs(z):
    found = np.empty((2, len(z)))
    for i in range(len(z)):
        found[0, i], found[1, i] = normal_pair(z[i])
    return found


def test_normal_pair_against_scipy():
    z = np.concatenate([np.linspace(-40.0, 40.0, 4001), [0.0, -0.0, 1e-300, 9.0, -9.0, np.inf, -np.inf]])
    cdf, pdf = pairs(z)
    np.testing.assert_allclose(cdf, stats.norm.cdf(z), rtol=0.0, atol=1e-15)
    np.testing.assert_allclose(pdf, stats.norm.pdf(z), rtol=0.0, atol=1e-15)
    far = np.abs(z) < 37.0
    np.testing.assert_allclose(cdf[far], stats.norm.cdf(z[far]), rtol=1e-5)
    np.testing.assert_allclose(pdf[far], stats.norm.pdf(z[far]), rtol=1e-12)
    assert np.all(np.isnan(pairs(np.array([np.nan]))))
