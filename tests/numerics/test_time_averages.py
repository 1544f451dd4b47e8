"""Block means, the moving-block bootstrap and correlation times, against series whose answers are known."""

import numpy as np

from largen.numerics.time_averages import block_bootstrap, block_means, correlation_time


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
    assert abs(correlation_time(slow) / 9.0 - 1) < 0.15  # (1 + 0.8)/(1 - 0.8)
    assert correlation_time(np.cos(np.arange(2000) * 0.3)[None]) > 200, "an oscillation counts for as long as it lasts"
    assert correlation_time(np.zeros((1, 10))) == 1.0
