import numpy as np
import pytest

from statistics_tools import assert_frequency, assert_mean


def test_an_injected_bias_of_seven_standard_errors_is_caught():
    samples = np.random.default_rng(1).normal(size=400)
    assert_mean(samples, 0.0)
    with pytest.raises(AssertionError, match="z = "):
        assert_mean(samples + 7 / np.sqrt(400), 0.0)


def test_a_wrong_frequency_is_caught():
    assert_frequency(950, 1000, 0.95)
    with pytest.raises(AssertionError, match="hits"):
        assert_frequency(900, 1000, 0.95)
