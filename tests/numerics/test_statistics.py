import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from largen.numerics.statistics import block_bootstrap, block_means, correlation_time, holm, hotelling
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


def test_block_means_keep_the_mean():
    series = np.random.default_rng(3).normal(size=(2, 5, 120))
    means = block_means(series, 8)
    assert means.shape == (2, 5, 8)
    np.testing.assert_allclose(means.mean(-1), series.mean(-1), atol=1e-14)


def test_the_closed_form_is_the_moving_block_bootstrap():
    # The bootstrap itself, 20 000 resamples: its variance is estimated within 1 % (one standard error).
    rng = np.random.default_rng(4)
    noise = rng.normal(size=400)
    series = noise + 0.6 * np.roll(noise, 1)
    covariance, _ = block_bootstrap(series[None, None], blocks=20)
    starts = rng.integers(0, 381, size=(20_000, 20))
    windows = np.lib.stride_tricks.sliding_window_view(series, 20).mean(-1)
    resampled = windows[starts].mean(-1)
    closed = covariance[0, 0] * 19 / 20
    assert abs(np.mean((resampled - series.mean()) ** 2) / closed - 1) < 0.05


def test_the_block_bootstrap_finds_the_known_variance_of_a_correlated_mean():
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(300, 1, 2001))
    series = noise[..., 1:] + 0.5 * noise[..., :-1]
    each = [block_bootstrap(series[k : k + 1])[0][0, 0] for k in range(300)]
    exact = 1.5**2 / 2000
    assert abs(np.mean(each) / exact - 1) < 0.05


def test_the_correlation_time_of_known_series():
    rng = np.random.default_rng(6)
    noise = rng.normal(size=(4, 20_000))
    assert abs(correlation_time(noise) - 1.0) < 0.2
    slow = np.empty_like(noise)
    slow[:, 0] = noise[:, 0]
    for k in range(1, noise.shape[1]):
        slow[:, k] = 0.8 * slow[:, k - 1] + noise[:, k]
    assert abs(correlation_time(slow) / 9.0 - 1) < 0.15  # (1 + .8)/(1 - .8)
    assert correlation_time(np.cos(np.arange(2000) * 0.3)[None]) > 200, "an oscillation counts for as long as it lasts"
    assert correlation_time(np.zeros((1, 10))) == 1.0
