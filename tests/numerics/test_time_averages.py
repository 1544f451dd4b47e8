"""Integrated correlation times of series whose answer is known."""

import numpy as np
import pytest
import scipy.signal

from largen.numerics.time_averages import integrated_time


@pytest.mark.parametrize("rho", [0.0, 0.8, -0.5])
def test_the_time_of_an_autoregression_is_one_plus_rho_over_one_minus_rho(rho):
    rng = np.random.default_rng(1)
    series = scipy.signal.lfilter([1.0], [1.0, -rho], rng.standard_normal((20, 20_000)))
    assert integrated_time(series) == pytest.approx(max((1 + rho) / (1 - rho), 1.0), rel=0.05)


def test_an_oscillation_has_no_long_time_and_a_constant_has_one():
    rng = np.random.default_rng(2)
    times = np.arange(10_000)
    assert integrated_time(np.sin(0.3 * times)[None] + 0.1 * rng.standard_normal((1, 10_000))) < 30
    assert integrated_time(np.ones((1, 100))) == 1.0
