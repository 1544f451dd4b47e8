"""Dwell times on two-state signals that are known; false-alarm probability 1e-6 each unless said otherwise."""

import numpy as np
import pytest
from test_spiking_statistics import LIMIT

from largen import analysis
from largen.checks import InputError
from largen.numerics import hidden_markov
from largen.statistics import states
from spiking_datasets import dataset
from statistics_tools import assert_mean

DWELL = np.array([40.0, 60.0])  # ms, quiet and bursting
LEVEL = np.array([20.0, 100.0])  # Hz


def telegraph(realisations, duration, seed, step=0.1):
    """Stationary two-state Markov process in steps, shape (realisation, time)."""
    rng = np.random.default_rng(seed)
    leave = step / DWELL
    uniform = rng.random((round(duration / step), realisations))
    path = np.empty(uniform.shape, np.int64)
    state = (rng.random(realisations) < DWELL[1] / DWELL.sum()).astype(np.int64)
    for row, draw in zip(path, uniform, strict=True):
        row[:] = state
        state = np.where(draw < leave[state], 1 - state, state)
    return path.T


def run_of(path, **about):
    """A Dataset whose rates switch between two levels; the first sample carries no step."""
    rate = LEVEL[path]
    return dataset(np.stack([rate, rate], axis=1), **about)


@pytest.fixture(scope="module")
def short():
    """300 runs of 100 ms, as short as a dwell: half of the dwells are cut off."""
    return telegraph(300, 100.0, 1)


def test_dwell_times_of_a_telegraph_in_runs_as_short_as_a_dwell(short):
    """Exponential dwells known in law: value and jackknife error; the mean of whole dwells is far too short."""
    found = analysis.metastability(run_of(short), thresholds=(40.0, 80.0), gap=0.0, smoothing=0.05, start=0.0)
    assert np.all(np.abs(found["dwell"] - DWELL) < LIMIT * found["dwell_se"])
    assert np.all(np.abs(found["fraction"] - DWELL / DWELL.sum()) < LIMIT * found["fraction_se"])
    assert np.all(found["dwell_se"] < 0.1 * DWELL)
    np.testing.assert_allclose(found["switching_rate"], 1000.0 / found["dwell"])
    whole = found.isel(visit=found["visit_complete"].values)
    for state in (0, 1):
        seen = whole["visit_duration"].values[whole["visit_state"].values == state]
        assert seen.mean() < 0.8 * DWELL[state]  # the bias of counting only whole dwells


def test_errors_are_those_of_many_repetitions(short):
    """The jackknife's error against the scatter of 15 groups of 20 runs (chi-squared at 1e-6)."""
    groups = [
        analysis.metastability(run_of(part), thresholds=(40.0, 80.0), gap=0.0, smoothing=0.05, start=0.0)
        for part in short.reshape(15, 20, -1)
    ]
    scatter = np.std([one["dwell"].values for one in groups], axis=0, ddof=1)
    claimed = np.sqrt(np.mean([one["dwell_se"].values ** 2 for one in groups], axis=0))
    assert np.all((scatter / claimed > 0.4) & (scatter / claimed < 2.1))
    for state in (0, 1):
        rates = [float(one["switching_rate"][state]) for one in groups]
        assert_mean(rates, 1000.0 / DWELL[state], what="switching rate")


def test_survival_is_exponential_though_dwells_are_cut_off(short):
    found = analysis.metastability(run_of(short), thresholds=(40.0, 80.0), gap=0.0, smoothing=0.05, start=0.0)
    for state in (0, 1):
        curve, time = found["survival"].values[state], found["duration"].values
        middle = (time > 5) & (time < 60)
        exact = np.exp(-time[middle] / DWELL[state])
        assert np.abs(curve[middle] - exact).max() < 0.1  # 300 dwells: Kolmogorov's distance at 1e-6 is 0.15


def test_a_run_lasts_from_the_first_burst_to_the_end_of_the_last():
    """Bursts of 2 ms every 20 ms, five in a run, runs 100 ms apart: exact, and isolated bursts with gap=0."""
    path = np.zeros((1, 20_001), np.int64)
    for run in range(10):
        for burst in range(5):
            onset = 500 + run * 1820 + burst * 200
            path[0, onset : onset + 20] = 1
    about = {"thresholds": (40.0, 80.0), "smoothing": 0.02, "start": 0.0}
    found = analysis.metastability(run_of(path[:1]), **about)
    assert float(found["gap"]) == pytest.approx(30.0)
    runs = found["visit_duration"].values[found["visit_state"].values == 1]
    np.testing.assert_allclose(runs, 82.0, atol=0.21)
    whole = found["visit_complete"].values & (found["visit_state"].values == 0)
    np.testing.assert_allclose(found["visit_duration"].values[whole], 100.0, atol=0.21)
    single = analysis.metastability(run_of(path[:1]), gap=0.0, **about)
    assert int(single["exits"].sel(state="bursting")) == 50


def test_hysteresis_ignores_a_dip_between_the_thresholds():
    rate = np.repeat([10.0, 90.0, 60.0, 90.0, 30.0, 60.0, 10.0], 10)
    onset, end = states.bursts(rate, 40.0, 80.0)
    assert (onset.tolist(), end.tolist()) == ([10], [40])


def test_default_thresholds_and_several_runs():
    """Bursts of 100 Hz among ripples of 15 Hz: Otsu's threshold lies between; several Datasets make a table."""
    time = 0.1 * np.arange(30_001)
    ripple = 15 * np.exp(10 * (np.cos(2 * np.pi * time / 15) - 1))
    long = ((time + 7.5) % 300) < 150
    rate = np.where(long, 100 / 15, 1.0) * ripple
    run = dataset(np.stack([rate, rate])[None])
    found = analysis.metastability(run)
    assert 15 < float(found["high"]) < 100
    assert float(found["between"]) < 0.05
    assert found.attrs["status"] == "completed"
    # Ten bursts 15 ms apart in a run: 135 ms and the width of one; 165 ms less that width quiet.
    assert float(found["dwell"].sum()) == pytest.approx(300.0, rel=0.12)
    table = analysis.metastability([run, run.assign_attrs(kind="limit", finite_size="true")])
    assert table["dwell"].dims == ("run", "state")
    assert table["source"].values.tolist() == ["network", "finite-size chain"]


def test_one_kind_of_peak_is_reported():
    rate = np.abs(np.random.default_rng(5).normal(50, 20, (2, 2, 20_001)))
    found = analysis.metastability(dataset(rate))
    assert "no two clear kinds of peak" in found.attrs["status"]
    with pytest.raises(InputError, match="Argument `thresholds` must be given"):
        analysis.metastability(dataset(np.full((1, 2, 9_000), 50.0)))
    with pytest.raises(InputError, match="the lower first"):
        analysis.metastability(dataset(rate), thresholds=(80.0, 40.0))


def test_a_state_that_is_never_left_has_no_dwell_time():
    path = np.zeros((1, 9_001), np.int64)
    path[0, 4_000:] = 1
    found = analysis.metastability(run_of(path), thresholds=(40.0, 80.0), gap=0.0, start=0.0)
    assert np.isnan(found["dwell"].sel(state="bursting"))
    assert "no exit from the state `bursting`" in found.attrs["status"]


# The hidden Markov model ----------------------------------------------------------------------------------------


def hidden(sequences, steps, seed):
    rng = np.random.default_rng(seed)
    transition = np.array([[0.95, 0.05], [0.1, 0.9]])
    path = np.empty((sequences, steps), np.int64)
    path[:, 0] = rng.random(sequences) < 1 / 3
    for t in range(1, steps):
        path[:, t] = rng.random(sequences) < transition[path[:, t - 1], 1]
    return path, rng.normal(np.array([0.0, 3.0])[path], np.array([1.0, 1.5])[path]), transition


def test_hidden_markov_model_is_recovered():
    """20 000 noisy observations: parameters within five standard errors of the counts behind them."""
    path, series, transition = hidden(20, 1000, 1)
    found = hidden_markov.fit(series)
    assert found.converged
    np.testing.assert_allclose(found.mean, [0.0, 3.0], atol=0.12)
    np.testing.assert_allclose(found.sd, [1.0, 1.5], atol=0.12)
    visits = np.array([13_300, 6_700])
    leaving = np.diag(found.transition[:, ::-1])
    error = np.sqrt(np.diag(transition[:, ::-1]) / visits)
    assert np.all(np.abs(leaving - np.diag(transition[:, ::-1])) < 7 * error)  # unclear states cost some precision
    wrong = np.mean(hidden_markov.most_likely_path(series, found) != path)
    assert wrong < 0.05
    probability = hidden_markov.posterior(series, found)
    assert np.mean((probability > 0.5) != path) < 0.05
    # A better likelihood than the truth's own parameters: it is the maximum.
    true = found._replace(mean=np.array([0.0, 3.0]), sd=np.array([1.0, 1.5]), transition=transition)
    _, _, likelihood = hidden_markov._expect(
        series, hidden_markov._densities(series, true), transition, np.array([2 / 3, 1 / 3])
    )
    assert found.log_likelihood > likelihood


def test_otsu_splits_two_classes():
    assert 1.0 < hidden_markov.otsu(np.array([0.9, 1.0, 0.8, 5.0, 5.2])) < 5.0


def test_hidden_markov_states_of_a_telegraph():
    """A window is quiet if all of it is, so a quiet dwell counts if it holds a whole window, with known probability."""
    window, quiet = 5.0, DWELL[0]
    path = telegraph(20, 3000.0, 3)
    about = {"states": "hidden_markov", "smoothing": 0.05, "start": 0.0}
    found = analysis.metastability(run_of(path), window=window, **about)
    seen = np.exp(-window / quiet) * (1 - np.exp(-window / quiet)) * quiet / window
    error = float(np.hypot(*found["dwell_se"]))
    assert 0 < error < 6.0
    assert abs(float(found["dwell"].sum()) - DWELL.sum() / seen) < LIMIT * error
    assert found.attrs["window"] == window
    one = analysis.metastability(run_of(path[:1]), window=window, **about)
    assert np.all(one["dwell_se"] > found["dwell_se"])
