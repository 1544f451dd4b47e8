"""Event sizes, intervals and their alternation: made sequences, the period-2 orbit, surrogates."""

import numpy as np
import pytest
from scipy import stats

import largen as ln
from largen import analysis
from largen.checks import InputError
from largen.statistics import alternation
from spiking_datasets import dataset
from statistics_tools import assert_frequency


def bursts(size, interval=16.0, width=1.0):
    """Rates with one Gaussian burst of so many spikes per neuron after the other, shape (2, time)."""
    time = 0.1 * np.arange(round(10 * interval * (len(size) + 1))) - 0.05
    centres = interval * (1 + np.arange(len(size)))
    wave = sum(s * np.exp(-((time - c) ** 2) / 2 / width**2) for s, c in zip(size, centres, strict=True))
    return np.stack([1000 * wave / (width * np.sqrt(2 * np.pi))] * 2)


def test_made_alternation_is_exact():
    size = np.tile([1.0, 0.5], 40)
    found = analysis.event_statistics(dataset(bursts(size), kind="limit"), start=10.0)
    assert float(found["alternation"]) == pytest.approx(1.0, abs=0.05)
    # The strong and the weak half above the mean rate: 0.93 and 0.38 of the burst or so, alternating.
    strong, weak = np.sort(found["size_quantile"].sel(population="p0").values)[[2, 0]]
    assert float(found["contrast"]) == pytest.approx((strong - weak) / (strong + weak), abs=1e-3)
    assert found["alternates"]
    assert found["alternation_p"] == 0.001
    widths = found["interval"].values[1] - found["interval"].values[0]
    assert float(found["interval_density"].sum() * widths) == pytest.approx(1.0)


def test_equal_events_do_not_alternate():
    found = analysis.event_statistics(dataset(bursts(np.ones(60)), kind="limit"), start=10.0)
    assert not found["alternates"]
    assert float(found["contrast"]) < 1e-3
    assert found["interval_quantile"].values == pytest.approx(16.0)


def test_false_alarms_come_at_the_stated_rate():
    """2000 sequences in random order, at the level 0.05: as many alarms as that, give or take 1e-6."""
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(2000):
        _, p = alternation.false_alarm([rng.lognormal(0, 0.3, 12)], 39, rng)
        alarms += p <= 0.05
    assert_frequency(alarms, 2000, 0.05)


def test_the_statistic_is_unbiased_and_its_error_is_right():
    rng = np.random.default_rng(2)
    values = np.array([alternation.alternation(rng.normal(size=30)) for _ in range(4000)])
    assert abs(values.mean()) < stats.norm.isf(5e-7) * values.std() / np.sqrt(4000)
    persistent = np.repeat([1.0, 2.0], 50)
    assert alternation.alternation(persistent) < -0.9


def test_period_two_orbit_and_its_shuffled_events():
    """At p_ei = 0.80 the bursts of the reduction alternate (period 2), at 0.65 they do not; shuffled events do not."""
    times = np.arange(8001) * 0.1
    model = ln.SpikingNetwork().replace(**{"probability[e,i]": 0.80})
    orbit = ln.solve_limit(model, times, linear_in_bin=False)
    found = analysis.event_statistics(orbit, start=300.0)
    assert found["alternates"]
    assert float(found["alternation"]) > 0.9
    assert float(found["contrast"]) > 0.3
    intervals = analysis.firing_events(orbit, start=300.0)["interval"].values
    period = float(2 * intervals[: len(intervals) // 2 * 2].mean())
    assert period == pytest.approx(30.44, abs=0.1)  # reference value: 30.4441 ms, with another form of the drift
    sizes = analysis.firing_events(orbit, start=300.0)["size"].sel(population="e").values
    rng = np.random.default_rng(3)
    alarms = sum(alternation.false_alarm([rng.permutation(sizes)], 19, rng)[1] <= 0.05 for _ in range(300))
    assert alarms / 300 < 0.05 + stats.norm.isf(1e-6) * np.sqrt(0.05 * 0.95 / 300)
    single = ln.solve_limit(model.replace(**{"probability[e,i]": 0.65}), times, linear_in_bin=False)
    assert not analysis.event_statistics(single, start=300.0)["alternates"]


def test_too_few_events_and_impossible_levels_say_so():
    found = analysis.event_statistics(dataset(bursts(np.ones(5)), kind="limit"), start=10.0)
    assert "fewer than 8 events" in found.attrs["status"]
    assert not found["alternates"]
    with pytest.raises(InputError, match="needs as many, so that"):
        analysis.event_statistics(dataset(bursts(np.ones(5)), kind="limit"), surrogates=99)
