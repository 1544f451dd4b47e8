"""Dwells and switching rates in a comparison: where both sides switch between two states, and only there."""

import numpy as np
import pytest

import largen as ln
from largen.statistics.signals import read
from largen.statistics.switching import switching
from spiking_datasets import dataset

STEP = 0.25


def bursting(realisations, dwells, *, seconds=4.0, period=25.0, seed=1):
    """Rates of runs that are quiet and bursting (a burst of 3 ms each period) for exponential times of these means."""
    rng = np.random.default_rng(seed)
    count = round(1000 * seconds / STEP)
    rate = rng.uniform(1.0, 2.0, (realisations, 2, count))
    for run in rate:
        now, on = 0.0, True
        while now < 1000 * seconds:
            stay = period * 1.5 + rng.exponential(dwells[1] - period * 1.5) if on else rng.exponential(dwells[0])
            for begin in np.arange(now, now + stay, period) if on else ():
                run[:, round(begin / STEP) : round((begin + 3.0) / STEP)] += 200.0
            now, on = now + stay, not on
    return dataset(rate, step=STEP)


def features(run):
    return switching(read(run, None))


def test_dwells_are_those_that_were_drawn():
    """Bursts last from the first onset to the end of the last, quiet the rest: sums of both are those drawn."""
    found = features(bursting(16, (300.0, 250.0), seconds=12.0))
    dwell, values = found["dwell"].estimate, found["dwell"].values
    error = values.std(0, ddof=1) / 4
    assert dwell.sum() == pytest.approx(550.0, abs=6 * np.hypot(*error))
    assert 230 < dwell[1] < 280
    assert found["switching_rate"].estimate[0] == pytest.approx(1000 / dwell.sum(), rel=0.02)
    np.testing.assert_allclose(values.mean(0), dwell, rtol=0.05)


def test_a_rhythm_with_a_longer_interval_now_and_then_does_not_switch():
    rng = np.random.default_rng(2)
    rate = np.ones((8, 2, 16_000))
    for run in rate:
        for begin in np.cumsum(rng.choice([25.0, 45.0], 200, p=[0.9, 0.1])):
            run[:, round(begin / STEP) : round((begin + 3.0) / STEP)] += 200.0
    found = features(dataset(rate, step=STEP))
    assert np.isnan(found["dwell"].estimate).all()
    assert found["dwell"].rare


def test_fewer_than_eight_realisations_say_so():
    found = features(bursting(7, (300.0, 250.0)))
    assert np.isnan(found["dwell"].estimate).all()
    assert found["dwell"].lacks == "dwell times (they need 8 realisations)"
    assert not found["dwell"].rare


def test_networks_that_switch_are_compared_in_their_dwells():
    """Two samples of one law, and one of another: dwells of 300 ms against 700."""
    runs = [
        bursting(16, dwells, seconds=12.0, seed=k) for k, dwells in enumerate(((300.0, 250.0),) * 2 + ((700.0, 250.0),))
    ]
    same = ln.compare(runs[0], runs[1], tolerance=0.5)
    assert {"dwell[quiet]", "dwell[bursting]", "switching_rate"} <= set(same["component"].values)
    assert "beyond tolerance" not in same["label"].values
    other = ln.compare(runs[0], runs[2], tolerance=0.2)
    assert other["label"].sel(component="dwell[quiet]") == "beyond tolerance"
    assert other["label"].sel(component="switching_rate") == "beyond tolerance"
    assert float(other["difference"].sel(component="dwell[quiet]")) < 0


def test_where_one_side_does_not_switch_that_is_said():
    steady = np.ones((16, 2, 16_000))
    for begin in np.arange(5.0, 3990.0, 25.0):
        steady[:, :, round(begin / STEP) : round((begin + 3.0) / STEP)] += 200.0
    steady += np.random.default_rng(3).uniform(0, 1, steady.shape)
    report = ln.compare(bursting(16, (300.0, 250.0)), dataset(steady, step=STEP), tolerance=0.5)
    assert "dwell[quiet]" not in report["component"].values
    assert (
        "dwell, switching_rate (the second network has no switching between two states)" in report.attrs["not_compared"]
    )
    assert report.attrs["verdict"] != "within tolerance"
    neither = ln.compare(dataset(steady, step=STEP), dataset(steady[:, :, ::-1].copy(), step=STEP), tolerance=0.5)
    assert "dwell" not in neither.attrs["not_compared"]


@pytest.mark.long
def test_a_metastable_network_and_its_chain_are_compared_in_their_dwells():
    """p_ei = 0.91: the oscillation is about to be lost; an ordinary gamma rhythm has no such rows."""
    times = np.round(np.arange(40_001) * 0.1, 9)
    for probability, switches in ((0.91, True), (0.8, False)):
        model = ln.SpikingNetwork().replace(**{"probability[e,i]": probability})
        network = ln.simulate(model, times, realisations=16, seed=1)
        chain = ln.solve_limit(model, times, finite_size=True, realisations=16, seed=1)
        report = ln.compare(network, chain)
        assert ("dwell[quiet]" in report["component"].values) == switches
        assert ("dwell" in report.attrs["not_compared"]) is False
        if switches:
            row = report.sel(component="dwell[quiet]")
            assert 80 < float(row["network"]) < 110
            assert abs(float(row["difference"])) < 15
            assert float(row["standard_error"]) < 5
