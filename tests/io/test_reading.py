"""Recordings of other programs: the same spikes through every route, and what is unclear refused."""

import neo
import numpy as np
import pandas as pd
import pytest
import quantities as pq

import largen as ln
from largen import analysis

DATA = __file__.rpartition("io/")[0] + "data/"
STOP, SIZES, TRIALS = 400.0, {"e": 30, "i": 10}, 3
IDS = {"e": range(30), "i": range(30, 40)}
WINDOW = {"t_start": 0.0, "t_stop": STOP}


def made_up():
    """Times (ms), neurons and trials: rhythmic, unsorted, at the begin and the end of a trial too, some silent."""
    rng = np.random.default_rng(5)
    cycle, neuron, trial = rng.integers(1, 15, 9000), rng.integers(0, 39, 9000), rng.integers(0, 3, 9000)
    time = np.clip(np.round(cycle * 25.0 + rng.normal(0.0, 3.0, 9000) + 2.0 * (neuron >= 30), 1), 0.0, STOP)
    _, once = np.unique(np.stack([time, neuron, trial]), axis=1, return_index=True)
    once = rng.permutation(once)
    time, neuron, trial = time[once], neuron[once], trial[once]
    edges = [0.0, STOP, 0.0, STOP], [0, 0, 31, 31], [0, 0, 1, 1]
    kept = ~np.isin(time, (0.0, STOP)) & (neuron != 7)
    return tuple(
        np.concatenate([column[kept], edge]) for column, edge in zip((time, neuron, trial), edges, strict=True)
    )


TIME, NEURON, TRIAL = made_up()


@pytest.fixture(scope="module")
def expected():
    return ln.recording(TIME, NEURON, trials=TRIAL, populations=IDS, **WINDOW)


def trains_of(trial, unit=pq.ms, **more):
    """A SpikeTrain of every neuron, silent ones too."""
    factor = float((1 * pq.ms).rescale(unit))
    mine = trial == TRIAL
    return [
        neo.SpikeTrain(
            TIME[mine & (k == NEURON)] * factor, units=unit, t_start=0 * unit, t_stop=STOP * factor * unit,
            population="e" if k < 30 else "i", kind="pyramidal" if k < 30 else "inhibitory", **more,
        )
        for k in range(40)
    ]  # fmt: skip


def block_of(unit):
    block = neo.Block()
    for trial in range(TRIALS):
        segment = neo.Segment()
        for train in trains_of(trial, unit):
            segment.spiketrains.append(train)
        block.segments.append(segment)
    return block


def events_of(trial):
    mine = trial == TRIAL
    return {"times": TIME[mine], "senders": NEURON[mine] + 5}


class Monitor:
    """What a SpikeMonitor of Brian2 offers, as `validation/exported.py` shows with the real one."""

    def __init__(self, population, trial):
        ids = IDS[population]
        mine = (trial == TRIAL) & np.isin(NEURON, ids)
        self.t_, self.i = (TIME[mine] - 0.1) / 1000.0, NEURON[mine] - ids.start
        self.source, self.clock = ids, type("Clock", (), {"dt_": 1e-4, "t_": 0.4})


Monitor.__module__, Monitor.__name__ = "brian2.monitors.spikemonitor", "SpikeMonitor"


def unrun(path):
    """A monitor before the run: no spikes, and the clock at 0."""
    monitor = Monitor("e", 0)
    monitor.t_, monitor.i, monitor.clock.t_ = TIME[:0], NEURON[:0], 0.0
    return {"e": monitor}


def without_times(path):
    """A monitor with record=False."""
    monitor = Monitor("e", 0)
    del monitor.t_
    return {"e": monitor}


def units_twice(path):
    import h5py

    with h5py.File(nwb_of(path / "twice.nwb"), "r+") as file:
        file["units/id"][1] = 0
    return path / "twice.nwb"


def nest_file(path, trial):
    lines = [f"{i}\t{t:.3f}\n" for t, i in zip(events_of(trial)["times"], events_of(trial)["senders"], strict=True)]
    head = "# NEST version: 3.10.0\n# RecordingBackendASCII version: 2\nsender\ttime_ms\n"
    half = len(lines) // 2
    for thread, part in enumerate((lines[:half], lines[half:], [])):
        (path / f"s{trial}-41-{thread}.dat").write_text(head + "".join(part))
    return f"{path}/s{trial}-41-*.dat"


def nwb_of(path):
    """Units and trials as NWB has them: the trials one after the other, half a second apart."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        units = file.create_group("units")
        rows = [np.sort(TIME[k == NEURON] / 1000.0 + 0.5 * TRIAL[k == NEURON]) for k in range(40)]
        units["spike_times"], units["spike_times_index"] = np.concatenate(rows), np.cumsum([len(row) for row in rows])
        units["id"], units["area"] = np.arange(40), ["e"] * 30 + ["i"] * 10
        trials = file.create_group("intervals/trials")
        trials["start_time"] = 0.5 * np.arange(TRIALS)
        trials["stop_time"] = 0.5 * np.arange(TRIALS) + 0.001 * STOP
    return path


def frame():
    return pd.DataFrame({"time_ms": TIME, "neuron": NEURON, "trial": TRIAL})


def local():
    """A table whose neurons count from 0 in each population."""
    labels = np.where(NEURON < 30, "e", "i")
    own = NEURON - 30 * (NEURON >= 30)
    return pd.DataFrame({"t": TIME / 1000, "i": own, "realisation": TRIAL, "population": labels})


def csv(path):
    frame().to_csv(path / "spikes.CSV", index=False)
    return path / "spikes.CSV"


def npz(path):
    np.savez(path / "spikes.npz", times=TIME * 1000, senders=NEURON, trials=TRIAL)
    return path / "spikes.npz"


def parquet(path):
    frame().to_parquet(path / "spikes.parquet")
    return path / "spikes.parquet"


SHIFTED = {"populations": {"e": range(5, 35), "i": range(35, 45)}} | WINDOW
ROUTES = {
    "neo in ms": (lambda path: block_of(pq.ms), {}),
    "neo in s": (lambda path: block_of(pq.s), {}),
    "neo by another annotation": (lambda path: block_of(pq.ms), {"populations": "kind", "inhibitory": "inhibitory"}),
    "neo by places": (lambda path: block_of(pq.s), {"populations": IDS}),
    "trains of neo": (lambda path: [trains_of(k) for k in range(TRIALS)], {}),
    "trains of neo by population": (
        lambda path: [{"e": trains_of(k)[:30], "i": trains_of(k)[30:]} for k in range(TRIALS)],
        {},
    ),
    "events of NEST": (lambda path: [events_of(k) for k in range(TRIALS)], SHIFTED),
    "files of NEST": (lambda path: [nest_file(path, k) for k in range(TRIALS)], SHIFTED),
    "monitors of Brian2": (
        lambda path: [{name: Monitor(name, k) for name in IDS} for k in range(TRIALS)],
        WINDOW,
    ),
    "NWB": (lambda path: nwb_of(path / "spikes.nwb"), {"populations": "area", "trials": "trials"}),
    "a DataFrame": (lambda path: frame(), {"populations": IDS} | WINDOW),
    "neurons that count within populations": (lambda path: local(), {"unit": "s", "sizes": SIZES} | WINDOW),
    "CSV": (csv, {"populations": IDS} | WINDOW),
    "NPZ in us": (npz, {"populations": IDS, "unit": "us"} | WINDOW),
    "parquet": (parquet, {"populations": IDS} | WINDOW),
}


@pytest.mark.parametrize("route", ROUTES)
def test_the_same_spikes_give_the_same_statistics_through_every_route(route, expected, tmp_path):
    source, said = ROUTES[route]
    found = ln.read_recording(source(tmp_path), **said)
    if route == "neo by another annotation":
        names = {"pyramidal": "e", "inhibitory": "i"}
        assert [names[label] for label in found["population"].values] == ["e", "i"]
        found = found.assign_coords(population=["e", "i"])
        found.attrs["populations"] = "e, i"
    assert found.attrs["kind"] == "recording"
    assert found.attrs["sizes"].tolist() == [30, 10]
    assert found.attrs["left_out"] == 0
    found = found.drop_vars("begin", errors="ignore")
    rates = found["rate"].values
    np.testing.assert_allclose(rates, expected["rate"].values, rtol=1e-12, atol=0)
    ours, theirs = (analysis.summary(dataset) for dataset in (found, expected))
    for name in theirs.data_vars:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-12, atol=1e-12, err_msg=str(name))
    if route != "neurons that count within populations":
        np.testing.assert_array_equal(found["spike_neuron"], expected["spike_neuron"])
    np.testing.assert_allclose(found["spike_time"], expected["spike_time"], rtol=1e-12, atol=1e-12)


def test_a_spike_less_through_a_route_is_noticed(expected):
    events = [events_of(k) for k in range(TRIALS)]
    events[1] = {key: value[1:] for key, value in events[1].items()}
    assert not ln.read_recording(events, **SHIFTED)["rate"].equals(expected["rate"])


def test_what_to_neo_writes_comes_back(expected):
    found = ln.read_recording(ln.to_neo(expected))
    for name in expected.variables:
        assert found[name].identical(expected[name]), name


def test_a_neo_block_read_by_neo_from_its_own_file_comes_back(expected, tmp_path):
    pytest.importorskip("scipy.io")
    writer = neo.io.NeoMatlabIO(str(tmp_path / "block.mat"))
    writer.write_block(block_of(pq.ms))
    found = ln.read_recording(tmp_path / "block.mat", populations=IDS)
    np.testing.assert_array_equal(found["rate"], expected["rate"])


def test_segments_that_begin_at_different_times_begin_at_0(expected):
    block = block_of(pq.ms)
    for k, segment in enumerate(block.segments):
        shifted = [train.time_shift(1000.0 * k * pq.ms) for train in segment.spiketrains]
        segment.spiketrains.clear()
        for train in shifted:
            segment.spiketrains.append(train)
    found = ln.read_recording(block)
    np.testing.assert_array_equal(found["rate"], expected["rate"])
    assert found["begin"].values.tolist() == [0.0, 1000.0, 2000.0]
    assert found["time"].values[[0, -1]].tolist() == [0.0, 400.0]


# NWB as pynwb writes it --------------------------------------------------------------------------------------------


def formula(k):
    """Spike times (s) of unit k of tests/data/recording.nwb, which pynwb wrote."""
    return np.sort((np.arange(40) * 0.618033988749895 * (k + 2) * 7.3) % 2.0) if k not in (5, 11) else np.zeros(0)


def test_nwb_of_pynwb_is_read_with_its_units_columns_and_interval():
    found = ln.read_recording(DATA + "recording.nwb", populations="cell_type")
    times = np.concatenate([formula(k) * 1000 for k in range(12)])
    ids = np.repeat(np.arange(12), [len(formula(k)) for k in range(12)])
    made = ln.recording(times, ids, populations={"e": range(9), "i": range(9, 12)}, t_start=0, t_stop=2000)
    np.testing.assert_array_equal(found["rate"], made["rate"])
    assert found.attrs["origin"] == "recording.nwb"
    shanks = ln.read_recording(DATA + "recording.nwb", populations="electrode_group", inhibitory=())
    assert shanks["population"].values.tolist() == ["shank0", "shank1"]
    chosen = ln.read_recording(DATA + "recording.nwb", populations={"e": [100, 104], "i": [110]})
    assert chosen.attrs["sizes"].tolist() == [2, 1]
    assert chosen.sizes["spike"] == 120


def test_trials_of_nwb_that_differ_in_length_are_cut():
    path = DATA + "recording.nwb"
    with pytest.raises(ln.InputError, match=r"trials last between 450 and 500 ms\. Such as stretch=450"):
        ln.read_recording(path, populations="cell_type", trials="trials")
    found = ln.read_recording(path, populations="cell_type", trials="trials", stretch=450)
    assert found["begin"].values.tolist() == [0.0, 500.0, 1000.0, 1500.0]
    for k, begin in enumerate(found["begin"].values):
        counted = sum(int(((formula(u) * 1000 > begin) & (formula(u) * 1000 <= begin + 450)).sum()) for u in range(9))
        rate = found["rate"].sel(realisation=k, population="e")
        at_begin = sum(int((formula(u) * 1000 == begin).sum()) for u in range(9))
        assert float(rate.sum()) * 9 * 1e-4 == pytest.approx(counted + at_begin)
    halves = ln.read_recording(path, populations="cell_type", trials="trials", stretch=225)
    assert halves.sizes["realisation"] == 8
    assert halves["begin"].values.tolist() == [0.0, 225.0, 500.0, 725.0, 1000.0, 1225.0, 1500.0, 1725.0]


# Stretches -----------------------------------------------------------------------------------------------------------


def test_stretches_are_the_recording_cut_at_their_ends():
    rng = np.random.default_rng(6)
    times, ids = rng.uniform(50.0, 1050.0, 3000), rng.integers(0, 40, 3000)
    times[:4] = 50.0, 300.0, 300.0 + 1e-9, 800.0
    long = {"populations": IDS, "t_start": 50, "t_stop": 1070}
    whole, cut = ln.recording(times, ids, **long), ln.recording(times, ids, stretch=250, **long)
    assert cut.sizes["realisation"] == 4
    assert cut["begin"].values.tolist() == [50.0, 300.0, 550.0, 800.0]
    joined = np.concatenate([cut["rate"].values[k][:, 1:] for k in range(4)], axis=1)
    np.testing.assert_allclose(joined, whole["rate"].values[0][:, 1:10_001], rtol=1e-12)
    assert cut.attrs["left_out"] == int((times > 1050).sum())
    total = cut["spike_time"] + cut["begin"].values[cut["spike_realisation"].values]
    np.testing.assert_allclose(np.sort(total), np.sort(times[times <= 1050]), rtol=0, atol=1e-6)
    assert float(cut["spike_time"].max()) <= 250.0
    for stretch, message in ((0.25, "a multiple of step"), (2000, "be at most 1020 ms")):
        with pytest.raises(ln.InputError, match=message):
            ln.recording(times, ids, stretch=stretch, **long)


def test_a_window_within_a_source_leaves_spikes_out_and_counts_them():
    found = ln.read_recording(trains_of(0), t_start=100, t_stop=300)
    mine = TIME[TRIAL == 0]
    assert found.attrs["left_out"] == int(((mine < 100) | (mine > 300)).sum())
    assert found.sizes["spike"] + found.attrs["left_out"] == len(mine)
    assert found["time"].values[[0, -1]].tolist() == [100.0, 300.0]


def test_a_population_without_spikes_counts():
    silent = {"e": {"times": [1.0, 2.0], "senders": [1, 1]}, "i": {"times": [], "senders": []}}
    found = ln.read_recording(silent, sizes={"e": 4, "i": 2}, **WINDOW)
    assert found.attrs["sizes"].tolist() == [4, 2]
    assert float(found["rate"].sel(population="i").sum()) == 0.0
    assert float(found["rate"].sel(population="e").sum()) == pytest.approx(2e4 / 4)
    nothing = ln.read_recording([neo.SpikeTrain([], units="s", t_stop=0.4, population="e")] * 3)
    assert nothing["rate"].shape == (1, 1, 4001)


def text_in(path, text="nothing of use\n"):
    path.write_text(text)
    return path


# What is refused -------------------------------------------------------------------------------------------------

REFUSED = {
    "something else": (lambda path: 5, {}, "`source` must be a path, a neo Block"),
    "no trial": (lambda path: [], {}, "`source` must be a path"),
    "no file": (lambda path: path / "none.nwb", {}, "must name an existing file"),
    "a pattern without files": (lambda path: f"{path}/x-*.dat", {}, "must match a file"),
    "a file of largen": (lambda path: text_in(path / "a.nc"), {}, "Open it with `load`"),
    "a pickle": (lambda path: text_in(path / "a.pkl"), {}, "not a pickle"),
    "no NWB": (lambda path: text_in(path / "a.nwb"), {}, "is no NWB file that can be read"),
    "no format of neo": (lambda path: text_in(path / "a.xyz"), {}, "none that neo can read"),
    "no table": (lambda path: text_in(path / "a.npz"), {}, "is no table that can be read"),
    "a table without times": (lambda path: text_in(path / "a.csv"), {}, "one column of the time of each spike"),
    "a table without a unit": (
        lambda path: {"times": [1.0], "neurons": [0]},
        {"populations": IDS} | WINDOW,
        "`unit` must be given",
    ),
    "an unknown unit": (lambda path: frame(), {"unit": "days"}, "`unit` must be one of ms, s, us, min"),
    "a unit that contradicts": (lambda path: frame(), {"unit": "s"}, "be that of the column `time_ms`"),
    "a unit of neo": (lambda path: trains_of(0), {"unit": "us"}, "`unit` must be left out"),
    "no populations": (lambda path: events_of(0), WINDOW, "`populations` must be given"),
    "an unknown annotation": (
        lambda path: trains_of(0),
        {"populations": "layer"},
        r"an annotation of all spike trains, but is 'layer'; they have kind, population",
    ),
    "an unknown column": (
        lambda path: DATA + "recording.nwb",
        {"populations": "layer"},
        "has no `layer`; it has cell_type, electrode_group, id",
    ),
    "no trials": (
        lambda path: DATA + "recording.nwb",
        {"populations": "cell_type", "trials": "epochs"},
        "it has trials",
    ),
    "units that are not there": (
        lambda path: DATA + "recording.nwb",
        {"populations": {"e": [100, 7]}},
        "have neurons of the source only, which has 12",
    ),
    "spikes without a population": (
        lambda path: frame().assign(population=["e", None] * 4 + ["e"] * (len(TIME) - 8)),
        {"sizes": {"e": 40, "None": 1}} | WINDOW,
        "have the label of each spike's population, but is 'empty in 4 rows'",
    ),
    "trials of a table without a column of them": (
        lambda path: {"time_ms": [1.0], "neuron": [0]},
        {"populations": IDS, "realisations": 3} | WINDOW,
        "`realisations` must be left out",
    ),
    "an end between two steps": (lambda path: events_of(0), SHIFTED | {"t_stop": 400.05}, "be a multiple of step"),
    "steps and offsets of NEST's files": (
        lambda path: text_in(path / "a.gdf", "1 20 -0.05\n3 45 -0.01\n"),
        {"populations": IDS} | WINDOW,
        "the columns sender and time_ms alone",
    ),
    "a monitor before the run": (unrun, WINDOW, "a SpikeMonitor that has recorded"),
    "a monitor that does not record": (without_times, WINDOW, "a SpikeMonitor that has recorded"),
    "two units of one id": (units_twice, {"populations": {"e": [0, 2]}, "trials": "trials"}, "have each unit once"),
    "no begin": (lambda path: events_of(0), {"populations": IDS}, "`t_start` must be given"),
    "an end beyond the source": (lambda path: trains_of(0), {"t_stop": 500}, "`t_stop` must lie within"),
    "no sizes": (
        lambda path: local(),
        {"unit": "s"} | WINDOW,
        r"`sizes` must be given: the source knows only the neurons that spiked, 29 of e, 9 of i",
    ),
    "times in another unit": (
        lambda path: {"times": TIME * 1000 + 1e6, "senders": NEURON},
        {"populations": IDS} | WINDOW,
        "Are t_start and t_stop in ms",
    ),
    "steps of NEST": (
        lambda path: {"times": [1], "senders": [1], "offsets": [0.0]},
        {"populations": IDS} | WINDOW,
        "Record with time_in_steps=False",
    ),
    "a neuron of no population": (lambda path: events_of(0), {"populations": IDS} | WINDOW, "other neuron"),
    "segments of different trains": (lambda path: [trains_of(0), trains_of(1)[:20]], {}, "have the neurons"),
    "trains without populations": (
        lambda path: [neo.SpikeTrain([1.0], units="ms", t_stop=5.0, population=None)],
        {},
        "`populations` must be given",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_unclear_is_refused_by_name(what, tmp_path):
    source, said, message = REFUSED[what]
    with pytest.raises(ln.InputError, match=message):
        ln.read_recording(source(tmp_path), **said)


@pytest.mark.parametrize("route", ["neo in s", "events of NEST", "monitors of Brian2", "NWB", "CSV"])
def test_a_spike_that_is_there_twice_is_refused_by_every_route(route, tmp_path, monkeypatch):
    source, said = ROUTES[route]
    for name, column in (("TIME", TIME), ("NEURON", NEURON), ("TRIAL", TRIAL)):
        monkeypatch.setitem(globals(), name, np.append(column, column[17]))
    with pytest.raises(ln.InputError, match=rf"at {TIME[17]:.10g}.* ms twice \(1 such"):
        ln.read_recording(source(tmp_path), **said)


# Beside a limit ----------------------------------------------------------------------------------------------------


def test_what_a_recording_does_not_hold_is_said_not_to_be_compared(expected, tmp_path):
    model = ln.SpikingNetwork(size=(30, 10))
    limit = ln.solve_limit(model, expected["time"].values, closure="white", bin_width=10.0)
    report = ln.compare(expected, limit)
    assert report.attrs["not_compared"].startswith("pending (not in the recording)")
    assert {"rate[e]", "rate[i]"} <= set(report["component"].values.tolist())
    again = ln.compare(ln.load(ln.save(expected, tmp_path / "rec.nc")), limit)
    assert again.identical(report)
    assert "not in the recording" not in ln.compare(expected, expected).attrs["not_compared"]
