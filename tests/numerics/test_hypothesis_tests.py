"""Hotelling's test and Holm's correction: level, power, and limits that are known."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from largen.numerics.hypothesis_tests import holm, hotelling
from statistics_tools import assert_frequency


def test_hotelling_has_its_stated_level_and_power():
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(3, 3))
    rejected = {0.0: 0, 1.5: 0}
    for shift in rejected:
        for _ in range(2000):
            sample = rng.normal(size=(12, 3)) @ mixing.T + shift * mixing[:, 0]
            test = hotelling(sample.mean(0), np.cov(sample.T) / 12, 11)
            rejected[shift] += test.p_value < 0.05
    assert_frequency(rejected[0.0], 2000, 0.05)
    assert rejected[1.5] > 1800


def test_hotelling_in_one_dimension_is_student():
    sample = np.random.default_rng(2).normal(size=9)
    test = hotelling(np.array([sample.mean()]), np.array([[sample.var(ddof=1) / 9]]), 8)
    np.testing.assert_allclose(test.p_value, stats.ttest_1samp(sample, 0.0).pvalue, rtol=1e-12)


def test_a_difference_without_any_variance_cannot_be_chance():
    assert hotelling(np.array([1.0, 0.0]), np.zeros((2, 2)), 5).p_value == 0.0
    assert hotelling(np.array([0.0, 0.0]), np.zeros((2, 2)), 5).p_value == 1.0
    assert hotelling(np.array([0.0, 0.1]), np.diag([0.0, 1.0]), 5).dimension == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_bounds(p_values):
    p = np.array(p_values)
    adjusted = holm(p)
    assert np.all(adjusted >= p)
    assert np.all(adjusted <= np.minimum(len(p) * p, 1) + 1e-15)
    assert adjusted[np.argmin(p)] == min(len(p) * p.min(), 1.0)
