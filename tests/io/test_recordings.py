"""Spikes from anywhere as the Dataset that `simulate` gives: the same numbers, and what is unclear refused."""

import datetime

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure

import largen as ln
from largen import analysis, plot
from largen.fitting.problem import times_of
from largen.io import recordings
from largen.runtime import memory

POPULATIONS = {"e": range(300), "i": range(300, 400)}
WINDOW = {"t_start": 0.0, "t_stop": 10.0}
TWO = {"populations": {"e": range(3), "i": range(3, 5)}} | WINDOW


@pytest.fixture(scope="module")
def network():
    return ln.simulate(ln.SpikingNetwork(), np.arange(4001) * 0.1, realisations=3, seed=1, record="spikes")


def spikes_of(network):
    """Times, ids that count through the populations, and realisations."""
    first = np.concatenate([[0], np.cumsum(network.attrs["sizes"])])
    ids = first[network["spike_population"].values] + network["spike_neuron"].values
    return network["spike_time"].values, ids, network["spike_realisation"].values


def spiked(dataset):
    return list(
        zip(*(dataset[f"spike_{name}"].values.tolist() for name in ("time", "population", "neuron")), strict=True)
    )


# A simulated network comes back ----------------------------------------------------------------------------------


def test_a_recorded_network_is_the_simulated_one_to_the_last_bit(network):
    times, ids, trials = spikes_of(network)
    rec = ln.recording(times, ids, populations=POPULATIONS, trials=trials, t_start=0, t_stop=400)
    for name in rec.variables:
        assert rec[name].identical(network[name].reset_coords(drop=True)), name
    assert {"system", "kind", "n", "populations", "status", "start_time", "versions"} <= set(rec.attrs)
    assert "parameters" not in rec.attrs
    assert rec.attrs["kind"] == "recording"
    for key in ("system", "n", "populations", "start_time"):
        assert rec.attrs[key] == network.attrs[key]


STATISTICS = {
    "summary": analysis.summary,
    "self-count removed": lambda run: analysis.summary(run, self_count="removed"),
    "power_spectrum": analysis.power_spectrum,
    "firing_events": analysis.firing_events,
    "orbit": analysis.orbit,
    "event_statistics": lambda run: analysis.event_statistics(run, surrogates=99, level=0.05),
    "metastability": lambda run: analysis.metastability(run, thresholds=(20.0, 60.0)),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_do_not_depend_on_the_order_of_spikes_or_the_names_of_neurons(network, name):
    times, ids, trials = spikes_of(network)
    rng = np.random.default_rng(2)
    order, renamed = rng.permutation(len(ids)), rng.choice(1_000_000, 400, replace=False) - 500
    populations = {"e": renamed[:300], "i": renamed[300:]}
    rec = ln.recording(
        times[order],
        renamed[ids[order]],
        populations=populations,
        sizes={"e": 300, "i": 100},
        trials=trials[order],
        t_start=0,
        t_stop=400,
    )
    assert STATISTICS[name](rec).identical(STATISTICS[name](network))
    assert spiked(rec) == spiked(network)


def test_one_spike_less_is_noticed(network):
    times, ids, trials = (column[1:] for column in spikes_of(network))
    rec = ln.recording(times, ids, populations=POPULATIONS, trials=trials, t_start=0, t_stop=400)
    assert not rec["rate"].equals(network["rate"])


def test_all_ways_to_give_the_same_spikes_give_the_same_dataset(network):
    times, ids, trials = spikes_of(network)
    shared = {"t_start": 0, "t_stop": 400}
    expected = ln.recording(times, ids, populations=POPULATIONS, trials=trials, **shared)
    rows = [trials == k for k in range(3)]
    per_trial = [times[row] for row in rows], [ids[row] for row in rows]
    labels = np.array(["e"] * 300 + ["i"] * 100)
    frame = pd.DataFrame({"time": times, "neuron": ids, "trial": trials})
    series = pd.Series(labels, index=1000 + np.arange(400))
    for made in (
        ln.recording(*per_trial, populations=POPULATIONS, trials=3, **shared),
        ln.recording(*per_trial, populations=labels, realisations=3, **shared),
        ln.recording(frame.time, frame.neuron, populations=labels.tolist(), trials=frame.trial, **shared),
        ln.recording(times, ids + 1000, populations=series, trials=trials, **shared),
        ln.recording(times, ids, populations={"e": slice(300), "i": slice(300, 400)}, trials=trials, **shared),
        ln.recording(
            times, ids, populations={"e": np.arange(300), "i": list(range(300, 400))}, trials=trials, **shared
        ),
        ln.recording(times, ids.astype(float), populations=POPULATIONS, sizes=(300, 100), trials=trials, **shared),
        ln.recording(times, ids, populations=POPULATIONS, trials=trials, realisations=[0, 1, 2], **shared),
    ):
        assert made.identical(expected)


def test_times_come_with_units_and_in_single_precision(network):
    quantities = pytest.importorskip("quantities")
    times, ids, trials = spikes_of(network)
    for seconds, start, stop in (
        (times / 1000 * quantities.s, 0 * quantities.s, 0.4 * quantities.s),
        (np.rint(times * 1000).astype("timedelta64[us]"), datetime.timedelta(0), datetime.timedelta(seconds=0.4)),
        (times.astype(np.float32), 0, np.float32(400)),
    ):
        rec = ln.recording(seconds, ids, populations=POPULATIONS, trials=trials, t_start=start, t_stop=stop)
        assert rec["rate"].identical(network["rate"])


def test_neo_trains_files_and_drawings_take_a_recording(network, tmp_path):
    pytest.importorskip("neo")
    times, ids, trials = spikes_of(network)
    rec = ln.recording(times, ids, populations=POPULATIONS, trials=trials, t_start=0, t_stop=400, origin="NEST 3.6")
    for ours, theirs in zip(ln.to_neo(rec).segments, ln.to_neo(network).segments, strict=True):
        trains = zip(ours.spiketrains, theirs.spiketrains, strict=True)
        assert all(np.array_equal(a.magnitude, b.magnitude) and a.annotations == b.annotations for a, b in trains)
    assert ln.load(ln.save(rec, tmp_path / "run.nc")).identical(rec)
    assert rec.attrs["origin"] == "NEST 3.6"
    drawn = plot.raster(rec, ax=Figure().subplots(), realisation=1)
    assert sum(len(line.get_xdata()) for line in drawn.lines) == int((trials == 1).sum())
    limit = ln.solve_limit(ln.SpikingNetwork(), rec["time"].values)
    assert len(plot.overview(rec, limit).axes) == 4


def test_a_selection_of_a_recording_is_taken_by_its_labels(network):
    times, ids, trials = spikes_of(network)
    rec = ln.recording(times, ids, populations=POPULATIONS, trials=trials, t_start=0, t_stop=400)
    part = rec.sel(population=["i"], realisation=[2])
    np.testing.assert_array_equal(analysis.summary(part)["rate"], analysis.summary(network.sel(part.coords))["rate"])


# Which step, trial and population --------------------------------------------------------------------------------


def test_counts_are_those_of_a_histogram():
    """Times in continuous time, by another route: `numpy.histogram`, whose bins are closed on the other side."""
    rng = np.random.default_rng(3)
    times, ids, trials = rng.uniform(5, 25, 5000), rng.integers(0, 5, 5000), rng.integers(0, 4, 5000)
    rec = ln.recording(times, ids, **TWO | {"t_start": 5, "t_stop": 25}, trials=trials, step=0.25)
    for trial in range(4):
        for label, low, high in (("e", 0, 3), ("i", 3, 5)):
            mine = (trials == trial) & (ids >= low) & (ids < high)
            counts = np.histogram(times[mine], np.linspace(5, 25, 81))[0]
            found = rec["rate"].sel(realisation=trial, population=label) * (high - low) * 0.25e-3
            np.testing.assert_allclose(found, [0, *counts], atol=1e-9)


def test_a_spike_at_an_output_time_belongs_to_the_step_that_ends_there():
    rec = ln.recording([0.0, 0.1, 0.1 * 3, 0.3 + 1e-8, 10.0], [0, 1, 2, 0, 4], **TWO)
    counts = np.rint(rec["rate"].isel(realisation=0) * np.array([[3], [2]]) * 1e-4).astype(int)
    assert np.flatnonzero(counts[0]).tolist() == [1, 3]
    assert counts[0, [1, 3]].values.tolist() == [2, 2]  # the last is 0.3 up to rounding
    assert np.flatnonzero(counts[1]).tolist() == [100]
    later = ln.recording([0.30001], [0], **TWO)
    assert np.flatnonzero(later["rate"].sel(population="e").values.ravel()).tolist() == [4]


def test_a_silent_trial_counts():
    times, ids, trials = [1.0, 2.0, 3.0, 4.0], [0, 1, 2, 0], [0, 0, 2, 2]
    with pytest.raises(ln.InputError, match="`trials` has no 1"):
        ln.recording(times, ids, trials=trials, **TWO)
    for made in (
        ln.recording(times, ids, trials=trials, realisations=3, **TWO),
        ln.recording(times, ids, trials=trials, realisations=[0, 1, 2], **TWO),
        ln.recording([[1.0, 2.0], [], [3.0, 4.0]], [[0, 1], [], [2, 0]], **TWO),
    ):
        assert made["rate"].sum("time").sel(population="e").values.tolist() == pytest.approx([2e4 / 3, 0, 2e4 / 3])
    four = ln.recording(times, ids, trials=trials, realisations=4, **TWO)
    assert four.sizes["realisation"] == 4
    none = ln.recording([], [], trials=5, **TWO)
    assert none["rate"].shape == (5, 2, 101)
    assert not none["rate"].any()
    assert len(ln.to_neo(none).segments) == 5


def test_labels_of_trials_are_kept(tmp_path):
    times, ids = [1.0, 2.0, 3.0], [0, 1, 2]
    words = ln.recording(times, ids, trials=["stim", "base", "stim"], **TWO)
    assert words["trial"].values.tolist() == ["base", "stim"]
    assert words["realisation"].values.tolist() == [0, 1]
    assert words["spike_realisation"].values.tolist() == [0, 1, 1]
    assert ln.load(ln.save(words, tmp_path / "words.nc")).identical(words)
    counted = ln.recording(times, ids, trials=[3, 1, 3], realisations=3, **TWO)
    assert counted["trial"].values.tolist() == [1, 2, 3]
    chosen = ln.recording(times, ids, trials=[7, 2, 7], realisations=[7, 5, 2], **TWO)
    assert chosen["trial"].values.tolist() == [7, 5, 2]
    assert chosen["spike_realisation"].values.tolist() == [0, 0, 2]
    listed = ln.recording([[1.0], []], [[0], []], trials=["a", "b"], **TWO)
    assert listed["trial"].values.tolist() == ["a", "b"]


def test_silent_neurons_count_where_ids_have_gaps():
    populations = {"e": [10, 30, 20], "i": [1, 2]}
    with pytest.raises(ln.InputError, match=r"silent neurons may be missing.*sizes=\{'e': 3\}"):
        ln.recording([1.0], [30], populations=populations, **WINDOW)
    rec = ln.recording([1.0], [30], populations=populations, sizes={"e": 6}, **WINDOW)
    assert rec.attrs["sizes"].tolist() == [6, 2]
    assert rec.attrs["n"] == 8
    assert rec["spike_neuron"].values.tolist() == [1]
    assert float(rec["rate"].sum()) == pytest.approx(1e4 / 6)
    listed = ln.recording([1.0], [1], populations={"e": [0, 1]}, sizes=5, **WINDOW)
    assert float(listed["rate"].sum()) == pytest.approx(1e4 / 5)


def test_populations_inhibit_as_their_labels_say_or_as_is_said():
    rng = np.random.default_rng(4)
    times, ids = np.sort(rng.uniform(0, 400, 4000)), rng.integers(0, 5, 4000)
    window = {"t_start": 0, "t_stop": 400}

    def area(labels, **more):
        populations = dict(zip(labels, (range(3), range(3, 5)), strict=True))
        return analysis.summary(ln.recording(times, ids, populations=populations, **window, **more)).get("orbit_area")

    expected = float(area(["e", "i"]))
    assert float(area(["Exc", "Inh"])) == expected != 0.0
    assert float(area(["Pyr", "PV"], inhibitory="PV")) == expected
    assert float(area(["Pyr", "PV"], inhibitory=["Pyr"])) == pytest.approx(-expected)
    assert area(["Pyr", "PV"], inhibitory=()) is None
    with pytest.raises(ln.InputError, match=r"`inhibitory` must be given .* as `Pyr` does"):
        area(["Pyr", "PV"])
    alone = ln.recording(times, ids, populations={"all": range(5)}, **window)
    assert float(analysis.summary(alone)["rate"].item()) > 0


def test_a_single_population_is_saved_and_loaded(tmp_path):
    alone = ln.recording([1.0], [0], populations={"all": range(5)}, **WINDOW)
    assert ln.load(ln.save(alone, tmp_path / "run.nc")).identical(alone)


def test_a_recording_is_a_target_for_a_fit(network):
    times, ids, trials = spikes_of(network)
    rec = ln.recording(times, ids, populations=POPULATIONS, trials=trials, t_start=0, t_stop=400)
    model = ln.SpikingNetwork()
    np.testing.assert_array_equal(times_of(model, rec, None), network["time"])
    for ours, theirs in zip(model.fit_data(rec), model.fit_data(network), strict=True):
        assert {name: value.tolist() for name, value in ours.items()} == {
            name: value.tolist() for name, value in theirs.items()
        }


# What is refused -------------------------------------------------------------------------------------------------

REFUSED = {
    "a neuron of no population": (
        {"neurons": [0, 9]},
        r"`neurons` must hold ids of `populations`, but 1 of 2 spikes are of 1 other neuron, such as 9\. Add them",
    ),
    "a negative id of no population": ({"neurons": [0, -1]}, "such as -1"),
    "a time after the end": ({"times": [1.0, 10.1]}, r"t_stop = 10 ms, but 1 of 2 do not, the first at 10\.1\."),
    "a time before the start": ({"times": [-0.2, 1.0]}, r"the first at -0\.2\. Is it in another unit"),
    "times in seconds": ({"times": [1000.0, 2.0]}, "Is it in another unit"),
    "NaN": ({"times": [1.0, np.nan]}, "`times` must be finite"),
    "a spike twice": ({"times": [1.0, 1.0], "neurons": [2, 2]}, "neuron 2 has one at 1 ms twice"),
    "lengths that differ": ({"neurons": [0]}, "`neurons` must have 2 entries, as `times` has, but is 1"),
    "lengths of trials that differ": ({"trials": [0]}, "`trials` must have 2 entries, as `times` has, but is 1"),
    "ids with fractions": ({"neurons": [0, 1.5]}, "`neurons` must be integers"),
    "ids that are words": ({"neurons": ["a", "b"]}, "`neurons` must hold numbers"),
    "a train for each neuron": ({"times": [[1.0], [2.0]]}, "repeat each id as often as it spikes"),
    "lists of different numbers of trials": (
        {"times": [[1.0], [2.0]], "neurons": [[0]]},
        "`neurons` must have 2 trials, as `times` has, but is 1",
    ),
    "a number of trials without saying whose": ({"trials": 3}, "which of the 3 trials it is of"),
    "realisations without trials": ({"realisations": 2}, "which of the 2 trials it is of"),
    "fewer realisations than trials": (
        {"trials": [0, 1], "realisations": 1},
        "`realisations` must be at least 2, the trials in `trials`, but is 1",
    ),
    "a number of trials whose labels are unknown": (
        {"trials": [5, 9], "realisations": 3},
        r"`realisations` must be the labels of all 3 trials, but is 3. Those in `trials` are \[5, 9\]",
    ),
    "a label that is missing": ({"trials": ["a", "b"], "realisations": ["a", "c"]}, r"It lacks \['b'\]"),
    "truth values as trials": ({"trials": [True, False]}, "`trials` must be a number"),
    "a mapping to counts": ({"populations": {"e": 3, "i": 2}}, r"`populations\[e\]` must be a vector of integers"),
    "a mapping from ids": ({"populations": {0: "e", 1: "i"}}, "`populations` must map labels to ids"),
    "no mapping": ({"populations": 5}, "`populations` must be a mapping from label to ids"),
    "no population": ({"populations": {}}, "`populations` must have a population"),
    "an empty population": ({"populations": {"e": range(3), "i": range(0)}}, r"`populations\[i\]` must have a neuron"),
    "a neuron of two populations": (
        {"populations": {"e": range(3), "i": range(2, 5)}},
        r"each neuron once, but is \[2\]",
    ),
    "a label with a comma": ({"populations": {"e, i": range(5)}}, "words without commas"),
    "an endless slice": ({"populations": {"e": slice(3, None)}}, "a slice with an end"),
    "sizes that contradict the ids": ({"sizes": (4, 2)}, r"`sizes\[e\]` must be 3, as in `populations`, but is 4"),
    "fewer neurons than ids": (
        {"populations": {"e": [0, 2, 3], "i": [4, 5]}, "sizes": (2, 2)},
        r"`sizes\[e\]` must be at least 3, the ids of it in `populations`, but is 2",
    ),
    "a size of an unknown population": ({"sizes": {"x": 2}}, "Unknown population in `sizes` `x`"),
    "an inhibitory population that is unknown": ({"inhibitory": "x"}, "Unknown population in `inhibitory` `x`"),
    "an end before the start": ({"t_stop": -1.0}, "`t_stop` must be after t_start = 0"),
    "an end between two steps": ({"step": 0.3}, r"Take t_stop=10\.2, or cut the spikes after 9\.9"),
    "a step of 0": ({"step": 0.0}, "`step` must be greater than 0"),
    "single precision far from 0": (
        {"times": np.array([1e7, 1e7 + 1], np.float32), "t_start": 1e7, "t_stop": 1e7 + 10},
        r"in single precision they are exact to 1\.2 ms\. Give them in double precision",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_unclear_is_refused_by_name(what):
    change, message = REFUSED[what]
    given = {"times": [1.0, 2.0], "neurons": [0, 4]} | TWO | change
    with pytest.raises(ln.InputError, match=message):
        ln.recording(given.pop("times"), given.pop("neurons"), **given)


def test_a_recording_that_does_not_fit_says_what_does(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1e5)
    with pytest.raises(ln.InputError, match=r"400 trials of 2 populations at 101 times .* What fits: 20 trials"):
        ln.recording([], [], trials=400, **TWO)
    with pytest.raises(ln.InputError, match=r"at 1000000001 times .* Take a longer `step`"):
        ln.recording([], [], **TWO | {"step": 1e-8})
    with pytest.raises(ln.InputError, match="A population of 1000000000000 neurons"):
        ln.recording([], [], **TWO | {"populations": {"e": range(10**12)}})


def test_the_observables_are_those_of_the_spiking_system():
    system = recordings.system_class(recordings.RECORDED)
    rec = ln.recording([1.0], [0], **TWO)
    known = {observable.name for observable in system.observables} | {"spike_realisation"}
    assert isinstance(rec, xr.Dataset)
    assert set(rec.data_vars) <= known
