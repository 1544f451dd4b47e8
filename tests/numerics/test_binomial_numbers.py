"""Binomial numbers against the exact law: chi-square with a false-alarm rate of 1e-6 over all cases."""

import numba
import numpy as np
import pytest
from scipy import stats

from largen.numerics.binomial_numbers import binomial

DRAWS = 100_000
CASES = [
    (1, 0.3),
    (7, 0.5),
    (40, 0.2),
    (40, 0.9),
    (21, 0.49),
    (1000, 0.0099),
    (1000, 0.0101),
    (1000, 0.5),
    (10**6, 0.7),
]


@numba.njit
def draw(rng, n, p, count):
    out = np.empty(count)
    for i in range(count):
        out[i] = binomial(rng, n, p)
    return out


def p_value(found, law):
    """Chi-square with cells of 20 expected draws at least, both tails whole."""
    low, high = law.ppf(1e-12), law.isf(1e-12)
    edges = [-np.inf]
    for k in range(int(low), int(high) + 1):
        if DRAWS * (law.cdf(k) - law.cdf(edges[-1])) >= 20 and DRAWS * law.sf(k) >= 20:
            edges.append(k)
    edges.append(np.inf)
    expected = DRAWS * np.diff([law.cdf(edge) for edge in edges])
    counts = np.histogram(found, np.array(edges) + 0.5)[0]
    return stats.chisquare(counts, expected).pvalue


@pytest.mark.parametrize(("n", "p"), CASES)
def test_the_distribution(n, p):
    found = draw(np.random.default_rng(7), float(n), p, DRAWS)
    assert found.min() >= 0
    assert found.max() <= n
    assert np.all(found == np.floor(found))
    assert p_value(found, stats.binom(n, p)) > 1e-6 / len(CASES)


def test_an_injected_bias_is_caught():
    found = draw(np.random.default_rng(7), 1000.0, 0.5, DRAWS)
    assert p_value(found, stats.binom(1000, 0.501)) < 1e-6


@pytest.mark.parametrize(
    ("n", "p", "value"), [(0.0, 0.3, 0.0), (9.0, 0.0, 0.0), (9.0, 1.0, 9.0), (9.0, 1e-300, 0.0), (99.0, np.nan, 0.0)]
)
def test_limiting_cases(n, p, value):
    assert np.all(draw(np.random.default_rng(1), n, p, 100) == value)
