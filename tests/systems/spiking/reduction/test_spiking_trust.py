"""Where closure="joint" warns of itself: neurons driven to their spikes by synaptic noise."""

import warnings

import numpy as np
import pytest

import largen as ln
from largen.comparison.words import lines
from largen.systems.spiking.reduction.trust import drive_of_rate
from spiking_networks import SPARSE, network

TIMES = np.arange(0.0, 201.0)


OFF = {
    # case: (model, "joint" less the quadrature, in per cent, from 300 to 600 ms)
    "60 and 20 inputs with leak": (SPARSE, 26.0),
    "inhibition alone": (network([True], [8.4], [40.0], [3.65], 7.3, 140.0), 18.7),
}
RIGHT = {
    "no leak, 83 and 63 inputs": network(
        [False, True], [0.98126, 3.792, 0.80776, 4.27006], [82.924, 62.659], [2.09382, 10.04174], np.inf, 4.7533
    ),
    "driven by its mean": network([False], [0.0631], [1592.439], [4.90293], 9.8312, 111.7949),
    "gamma": ln.SpikingNetwork.gamma(),
    "asynchronous": ln.SpikingNetwork.asynchronous(),
}


@pytest.mark.parametrize("case", OFF)
def test_it_warns_where_it_is_off(case):
    model, _ = OFF[case]
    with pytest.warns(UserWarning, match="rates driven by synaptic noise"):
        result = ln.solve_limit(model, TIMES)
    assert "closure='joint' may be off" in result.attrs["flags"]


@pytest.mark.parametrize("case", RIGHT)
def test_it_is_silent_where_it_is_right(case):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "flags" not in ln.solve_limit(RIGHT[case], TIMES).attrs


def test_short_runs_and_other_closures_have_nothing_to_warn_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "flags" not in ln.solve_limit(SPARSE, TIMES[:50]).attrs
        assert "flags" not in ln.solve_limit(SPARSE, TIMES, closure="white").attrs


def test_the_two_numbers_by_hand():
    """10 Hz, 40 inputs of strength 8, decay 3 ms, leak 10 ms, 100 kicks per ms."""
    model = network([True], [8.0], [40.0], [3.0], 10.0, 100.0)
    pull = 8.0 * 40.0 * 0.01 / 166.0
    memory = 1.0 / (0.1 + pull)
    synaptic, external = 64.0 * 40.0 * 0.01 * memory**2 / (3.0 + memory), 0.5 * memory
    few, share = drive_of_rate(model, np.array([10.0]), np.array([100.0]))
    np.testing.assert_allclose(few, 0.01 * memory)
    np.testing.assert_allclose(share, synaptic / (synaptic + external))


def test_a_comparison_says_so():
    times = np.arange(0.0, 201.0, 20.0)
    with pytest.warns(UserWarning, match="rates driven by synaptic noise"):
        limit = ln.solve_limit(SPARSE, times)
    report = ln.compare(ln.simulate(SPARSE, times, realisations=2, seed=0), limit)
    assert report.attrs["limit_flags"] == limit.attrs["flags"]
    assert lines(report)[-1] == f"The limit warns of itself: {limit.attrs['flags']}."
