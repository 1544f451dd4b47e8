"""Sweeps: the same bytes however they ran, nothing lost, nothing done twice, a message for every failure mode."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import failure_modes
import largen as ln
from largen.commands import main as cli
from largen.sweeps import executors, status
from largen.sweeps.gather import gather
from largen.sweeps.store import Block, Status, Store, Variable, encode
from largen.sweeps.tasks import Task
from largen.sweeps.work import CODES

TIMES = np.arange(0.0, 2.0, 0.1)
OVER = ln.Grid({"tau[a]": [0.5, 1.0, 2.0, 4.0], "noise": [0.5, 1.0]})
ALL = {"times": TIMES, "run": ("limit", "network"), "n": 20, "realisations": 2, "seed": 7}


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv(failure_modes.FOLDER, str(tmp_path))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    store = tmp_path_factory.mktemp("undisturbed") / "s.zarr"
    return store, ln.sweep(failure_modes.Failing(), OVER, store=store, **ALL)


def content(store):
    """Every file of a store by name."""
    tops = (store, store.with_name(store.name + ".tasks"))
    return {path.relative_to(top): path.read_bytes() for top in tops for path in top.rglob("*") if path.is_file()}


def tasks(store):
    return sorted(Path(f"{store}.tasks").glob("*.task"))


def test_a_sweep_is_what_its_points_are_alone(undisturbed):
    _, found = undisturbed
    assert found.sizes["tau[a]"] == 4
    assert set(found["status"].values.ravel()) == {"completed"}
    point = found.sel({"tau[a]": 2.0, "noise": 1.0})
    model = failure_modes.Failing().replace(**{"tau[a]": 2.0, "noise": 1.0})
    network = ln.simulate(model, TIMES, n=20, realisations=2, seed=int(point["seed"]))
    late = network["mean"].sel(time=slice(TIMES[0] + 0.25 * (TIMES[-1] - TIMES[0]), None)).mean("time")
    np.testing.assert_allclose(point["network_mean"], late.mean("realisation"), rtol=1e-13)
    np.testing.assert_allclose(point["network_mean_se"], late.std("realisation", ddof=1) / np.sqrt(2))
    limit = ln.solve_limit(model, TIMES)["mean"].sel(time=slice(0.475, None))
    np.testing.assert_allclose(point["limit_mean"], limit.mean("time"), rtol=1e-13)
    assert found["tau[a]"].attrs["units"] == "ms"
    assert len(np.unique(found["seed"])) == 8


def test_the_result_on_disk_is_the_result(undisturbed, tmp_path):
    store, found = undisturbed
    assert ln.load(store).identical(found)
    assert xr.open_zarr(store, chunks=None).load().equals(found)
    as_file = tmp_path / "s.nc"
    assert ln.sweep(failure_modes.Failing(), OVER, store=as_file, **ALL).identical(found)
    assert ln.load(as_file).identical(found)


def test_a_point_s_bytes_depend_on_nothing_else(undisturbed, tmp_path):
    _, found = undisturbed
    alone = ln.Grid({"noise": [1.0], "tau[a]": [2.0]})  # another order, another place
    one = ln.sweep(failure_modes.Failing(), alone, store=tmp_path / "one.nc", **ALL)
    point = found.sel({"tau[a]": 2.0, "noise": 1.0})
    for name in found.data_vars:
        assert one[name].values.tobytes() == point[name].values.tobytes()
    assert int(one["seed"].item()) == int(point["seed"])


def test_only_what_is_missing_cut_or_foreign_is_done_again(undisturbed, tmp_path):
    _, found = undisturbed
    store = tmp_path / "s.zarr"
    ln.sweep(failure_modes.Failing(), OVER, store=store, **ALL)
    before = content(store)
    files = tasks(store)
    assert len(files) == 9  # one batch of limits, eight networks
    files[0].write_bytes(files[0].read_bytes()[:-7])
    files[1].write_bytes(files[2].read_bytes())  # whole, but another task's
    files[3].unlink()
    kept = {path: path.stat().st_ino for path in [files[2], *files[4:]]}
    next(store.rglob("*mean/0.0.0")).write_bytes(b"junk")
    assert ln.sweep(failure_modes.Failing(), OVER, store=store, **ALL).identical(found)
    assert content(store) == before
    assert {path: path.stat().st_ino for path in kept} == kept


def test_another_sweep_in_the_same_store_is_refused_or_extends_it(tmp_path):
    store = tmp_path / "s.nc"
    few, many = (ln.Grid({"tau[a]": values}) for values in ([1.0, 2.0], [1.0, 2.0, 3.0]))
    ln.sweep(failure_modes.Failing(), few, store=store, **ALL)
    networks = {path: path.stat().st_ino for path in tasks(store)}
    with pytest.raises(ln.InputError, match="holds another sweep: its over is"):
        ln.sweep(failure_modes.Failing(), many, store=store, **ALL)
    found = ln.sweep(failure_modes.Failing(), many, store=store, extend=True, **ALL)
    assert found.sizes["tau[a]"] == 3
    assert len(tasks(store)) == len(networks) + 2  # a network and the new batch of limits
    assert {path: path.stat().st_ino for path in networks} == networks


def test_a_failure_at_a_point_is_its_status(tmp_path):
    kinds = [failure_modes.FINE, failure_modes.RAISES, failure_modes.NO_MEMORY, failure_modes.FAILS_ONCE]
    over = ln.Grid({"failure": [float(kind) for kind in kinds], "tau[a]": [1.0, -1.0]})
    given = {"store": tmp_path / "s.nc", **ALL}
    found = ln.sweep(failure_modes.Failing(), over, **given)
    first = found.isel({"tau[a]": 0})
    assert first["status"].values.tolist() == ["completed", "failed", "failed", "failed"]
    words = ["", "network: ValueError: injected", "out of memory", "OSError: injected once"]
    assert all(word in text for word, text in zip(words, first["message"].values.tolist(), strict=True))
    assert np.isfinite(first["limit_mean"]).all()  # the limit is no worse for it
    assert np.isnan(first["network_mean"][1:]).all()
    assert "limit, network: Argument `tau[a]` must be greater than 0" in found["message"].values[0, 1]
    now = status(tmp_path / "s.nc")
    assert now["points"] == {"completed": 5, "stopped": 0, "failed": 11, "missing": 0}
    assert ln.sweep(failure_modes.Failing(), over, **given).identical(found), "failed points wait for retry_failed"
    again = ln.sweep(failure_modes.Failing(), over, retry_failed=True, **given).isel({"tau[a]": 0})
    assert again["status"].values.tolist() == ["completed", "failed", "failed", "completed"]


def test_a_limit_lost_on_the_way_is_stopped(tmp_path):
    over = ln.Grid({"tau[a]": [1.0]})
    names = ["mean", "mean.series", "mean.last"]
    found = ln.sweep(
        failure_modes.Failing(), over, times=TIMES, store=tmp_path / "s.nc", stop=1.0, start=0.0, observables=names
    )
    assert found["status"].item() == "stopped"
    assert "lost at t = 1" in found["message"].item()
    series = found["limit_mean_series"].isel({"tau[a]": 0, "population": 0})
    assert np.isfinite(series).values.tolist() == [True] * 11 + [False] * 9
    assert float(found["limit_mean_last"][0, 0]) == float(series[10])


def test_ctrl_c_keeps_what_is_done(undisturbed, tmp_path):
    whole = ln.Grid({"failure": [0.0, float(failure_modes.INTERRUPTED_ONCE)], "tau[a]": [1.0, 2.0]})
    store = tmp_path / "s.nc"
    with pytest.raises(ln.Interrupted, match="of 5 tasks") as stop:
        ln.sweep(failure_modes.Failing(), whole, store=store, **ALL)
    kept = {path: path.stat().st_ino for path in tasks(store)}
    assert 3 <= len(kept) < 5
    assert stop.value.partial is not None
    assert "missing" in stop.value.partial["status"].values
    assert ln.load(store).identical(stop.value.partial)
    found = ln.sweep(failure_modes.Failing(), whole, store=store, **ALL)
    assert set(found["status"].values.ravel()) == {"completed"}
    assert {path: path.stat().st_ino for path in kept} == kept


def test_a_full_disk_gives_a_message_and_loses_nothing(undisturbed, tmp_path, monkeypatch):
    store, _ = undisturbed
    other = tmp_path / "s.zarr"
    free = iter(range(5))

    def fsync(handle, real=os.fsync):
        if next(free, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fsync)
        with pytest.raises(ln.InputError, match=r"No space left on device.*free some space"):
            ln.sweep(failure_modes.Failing(), OVER, store=other, **ALL)
    assert len(tasks(other)) == 4  # the record of the sweep took one of the five
    assert not list(Path(f"{other}.tasks").glob(".*.part"))
    ln.sweep(failure_modes.Failing(), OVER, store=other, **ALL)
    assert content(other) == content(store)


@pytest.mark.long
def test_workers_that_die_and_workers_that_do_not(undisturbed, tmp_path):
    """Two processes: one dies once (its task is done again), one point kills every worker (it is named)."""
    store, found = undisturbed
    other = tmp_path / "s.zarr"
    with executors.local_client(2) as client:
        assert set(client.run(os.getenv, "MALLOC_TRIM_THRESHOLD_").values()) == {None}  # it would cost time
        assert ln.sweep(failure_modes.Failing(), OVER, store=other, client=client, **ALL).identical(found)
        assert content(other) == content(store)
        kinds = [failure_modes.FINE, failure_modes.DIES_ONCE, failure_modes.DIES, failure_modes.NO_MEMORY]
        over = ln.Grid({"failure": [float(kind) for kind in kinds]})
        hurt = ln.sweep(failure_modes.Failing(), over, store=tmp_path / "hurt.nc", client=client, **ALL)
    assert hurt["status"].values.tolist() == ["completed", "completed", "missing", "failed"]
    assert "The worker died each time" in hurt["message"].values[2]
    assert len(tasks(tmp_path / "hurt.nc")) == 4  # three networks and the limits: a dead worker leaves no file


@pytest.mark.long
def test_a_killed_sweep_goes_on_where_it_was(undisturbed, tmp_path):
    """The whole process group is killed while two workers are busy; another process finishes."""
    over = ln.Grid({"tau[a]": np.linspace(1.0, 2.0, 12)})
    slow = failure_modes.Failing(pause=0.02)
    code = """
import numpy as np, failure_modes, largen as ln
if __name__ == "__main__":
    ln.sweep(failure_modes.Failing(pause=0.02), ln.Grid({"tau[a]": np.linspace(1.0, 2.0, 12)}), workers=2,
             times=np.arange(0.0, 2.0, 0.1), run=("limit", "network"), n=20, realisations=2, seed=7, store="s.zarr")
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    search = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    store, said = tmp_path / "s.zarr", tmp_path / "stderr"
    environment = os.environ | {"PYTHONPATH": search}
    with said.open("w") as out:
        child = subprocess.Popen(
            [sys.executable, str(script)], cwd=tmp_path, env=environment, start_new_session=True, stderr=out
        )
        while len(tasks(store)) < 3 and child.poll() is None:
            time.sleep(0.01)
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, said.read_text()
    kept = {path: path.stat().st_ino for path in tasks(store)}
    assert len(kept) >= 3
    ln.sweep(slow, over, store=store, **ALL)
    assert {path: path.stat().st_ino for path in kept} == kept
    quiet = tmp_path / "quiet.zarr"
    ln.sweep(slow, over, store=quiet, **ALL)
    assert content(store) == content(quiet)


def test_comparisons_and_a_function_of_one_s_own(tmp_path):
    over = ln.Sobol({"tau[a]": (1.0, 2.0)}, count=4)
    given = {**ALL, "run": ("network", "compare"), "realisations": 8}
    found = ln.sweep(
        failure_modes.Failing(),
        over,
        store=tmp_path / "s.nc",
        observables=["second.max", failure_modes.largest],
        **given,
    )
    assert found["network_largest"].dims == ("point",)
    assert found["network_second_max"].dims == ("point", "population")
    assert found["tau[a]"].dims == ("point",)
    check_verdicts(found, level=0.05)


def check_verdicts(found, **options):
    """Every point of a sweep has the verdict of its network against its limit."""
    for k in range(found.sizes["point"]):
        point = found.isel(point=k)
        model = failure_modes.Failing().replace(**{"tau[a]": float(point["tau[a]"])})
        network = ln.simulate(model, TIMES, n=20, realisations=8, seed=int(point["seed"]))
        finite = ln.solve_limit(model, TIMES, n=20)
        report = ln.compare(network, ln.solve_limit(model, TIMES), finite=finite, **options)
        ratio = np.abs(report["difference"]) / (report["tolerance"] * report["scale"])
        assert point["compare_label"] == report.attrs["verdict"]
        assert CODES[int(point["compare_label_code"])] in report.attrs["verdict"]
        assert point["compare_worst"] == report["component"].values[int(np.argmax(ratio.values))]
        assert float(point["compare_worst_ratio"]) == pytest.approx(float(ratio.max()), rel=1e-12)
        np.testing.assert_equal(float(point["compare_needed"]), float(report["needed"].max()))
        for name in ("label", "cause", "difference", "p_within"):
            np.testing.assert_array_equal(point[f"compare_row_{name}"], report[name])


def test_a_tolerance_and_the_sweep_as_the_family_reach_every_comparison(tmp_path):
    over = ln.Sobol({"tau[a]": (1.0, 2.0)}, count=4)
    given = {**ALL, "run": "compare", "realisations": 8, "tolerance": {"mean": 0.2, "second": 0.5}}
    model, store = failure_modes.Failing(), tmp_path / "s.nc"
    found = ln.sweep(model, over, store=store, family="sweep", **given)
    check_verdicts(found, tolerance=given["tolerance"], level=0.05 / 4)
    about = status(store)
    assert about["about"]["level"] == 0.05 / 4
    assert sum(about["labels"].values()) == 4
    with pytest.raises(ln.InputError, match="holds another sweep: its level is"):
        ln.sweep(model, over, store=store, **given)


def test_rows_that_a_point_lacks_leave_the_others_at_their_labels():
    """Points whose comparisons have other rows, as networks with and without a rhythm."""

    def block(words, values):
        rows = {"compare_row_difference": Variable(("component",), np.array([values]), {})}
        rows["compare_row_label"] = Variable(("component",), np.array([[word.upper() for word in words]]), {})
        return Block((Status.COMPLETED,), ("",), rows, {"component": Variable(("component",), np.array(words), {})})

    model = failure_modes.Failing()
    table = ln.Grid({"noise": [0.5, 1.0, 1.5]}).table(model)
    blocks = [block(["a", "c"], [1.0, 3.0]), block(["a", "b", "c"], [1.0, 2.0, 3.0]), block(["b"], [2.0])]
    tasks = [Task(str(k), "network", (k,)) for k in range(3)]
    found = gather(model, table, zip(tasks, blocks, [""] * 3, strict=True), None, {})
    expected = {"a": [1, 1, np.nan], "b": [np.nan, 2, 2], "c": [3, 3, np.nan]}
    for word, values in expected.items():
        row = found.sel(component=word)
        np.testing.assert_array_equal(row["compare_row_difference"], values)
        said = [word.upper() if np.isfinite(value) else "" for value in values]
        assert row["compare_row_label"].values.tolist() == said


def test_a_store_of_the_older_words_is_read(tmp_path):
    """Its verdicts, one an observable, stay what they were."""
    place = Store(tmp_path / "old.nc")
    place.folder.mkdir()
    rows = {"compare_verdict": Variable(("observable",), np.array([["agrees", "theory off"]]), {})}
    names = {"observable": Variable(("observable",), np.array(["mean", "second"]), {})}
    key = "0" * 32
    place.write(key, encode(key, Block((Status.COMPLETED,), ("",), rows, names)))
    about = {"over": "noise (1 points, 0)", "run": "compare", "code": "largen 0.1.0"}
    place.keep_record({"about": about, "tasks": [[key, 1]]})
    now = status(place.path)
    assert (now["done"], now["points"]["completed"], now["labels"]) == (1, 1, {})
    assert cli.main(["sweep", "--store", str(place.path), "--status"]) == 0
    table = ln.Grid({"noise": [0.5]}).table(failure_modes.Failing())
    block = [(Task(key, "network", (0,)), place.read(key), "")]
    old = gather(failure_modes.Failing(), table, block, None, {"kind": "sweep"})
    ln.save(old, tmp_path / "result.nc")
    kept = ln.load(tmp_path / "result.nc")
    assert kept["compare_verdict"].values.tolist() == [["agrees", "theory off"]]


@pytest.mark.parametrize(
    ("family", "said"), [("point", "about 1 of 20 points"), ("sweep", "about 1 of 20 such sweeps")]
)
def test_the_command_line_says_how_many_labels_may_be_false(tmp_path, capsys, family, said):
    store = tmp_path / "s.nc"
    given = {**ALL, "run": "compare", "realisations": 3, "family": family}
    ln.sweep(failure_modes.Failing(), ln.Grid({"tau[a]": [1.0, 2.0]}), store=store, **given)
    assert cli.main(["sweep", "--store", str(store), "--status"]) == 0
    out = capsys.readouterr().out
    assert f"At level 0.05 {said} may carry a false label" in out
    assert re.search(r"^verdicts: \d ", out, re.M)


def test_the_command_line_and_the_file_hand_tolerances_on(tmp_path, monkeypatch, capsys):
    file, asked = tmp_path / "holds.yaml", []
    file.write_text(
        "system: balanced\nrun: {times: {stop: 0.5, step: 0.25}, realisations: 3, n: 60, seed: 1}\n"
        'sweep:\n  over: {kind: grid, values: {"drive[e]": [0.65, 0.7]}}\n  run: [compare]\n  tolerance: 0.5\n'
    )
    words = ["sweep", str(file), "--store", str(tmp_path / "s.nc")]
    assert cli.main([*words, "--tolerance", "-1"]) == 2
    assert "`tolerance` must be greater than 0" in capsys.readouterr().err
    monkeypatch.setattr("largen.sweeps.sweep", lambda *_, **given: asked.append(given))
    cli.main(words)
    cli.main([*words, "--family", "sweep", "--tolerance", "mean=0.5"])
    assert [(given["tolerance"], given.get("family")) for given in asked] == [(0.5, None), ({"mean": 0.5}, "sweep")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observables": ["men"]}, "Did you mean `mean`"),
        ({"observables": ["mean.medain"]}, "median|mean"),
        ({"observables": [lambda dataset: 0.0]}, "importable"),
        ({"observables": ["os:nothing"]}, "importable"),
        ({"observables": ["mean", "mean.mean"]}, "twice"),
        ({"run": "limits"}, "Did you mean 'limit'|`limit`"),
        ({"run": ()}, "name some of"),
        ({"run": "network", "n": None}, "Try n=2000"),
        ({"run": "compare", "realisations": 1}, "at least 2"),
        ({"run": "compare", "family": "table"}, "must be one of 'point', 'sweep'"),
        ({"run": "compare", "tolerance": {"mean": 0.0}}, "must be greater than 0"),
        ({"run": "network", "tolerance": 0.1}, '`tolerance` must go with run="compare"'),
        ({"run": "network", "family": "sweep"}, '`family` must go with run="compare"'),
        ({"start": 3.0}, "at most the last time"),
        ({"stpo": 3.0}, "Did you mean `stop`"),
        ({"store": "x.txt"}, "must end in .zarr or .nc"),
        ({"workers": 0}, "`workers` must be at least 1"),
        ({"over": {"tau": [1.0]}}, "must be a Grid, Random or Sobol"),
    ],
)
def test_what_a_sweep_cannot_use_gives_a_message_before_any_work(tmp_path, change, message):
    given = {"store": tmp_path / "s.nc", "over": OVER, **ALL} | change
    with pytest.raises(ln.InputError, match=message):
        ln.sweep(failure_modes.Failing(), **given)
    assert not list(tmp_path.glob("*.tasks"))


def test_a_missing_package_gives_a_message(tmp_path, monkeypatch):
    for name in ("distributed", "zarr"):
        monkeypatch.setitem(sys.modules, name, None)
    over = ln.Grid({"tau[a]": [1.0]})
    with pytest.raises(ln.InputError, match=r"needs the package zarr: pip install 'largen\[sweep\]'"):
        ln.sweep(failure_modes.Failing(), over, store=tmp_path / "s.zarr", **ALL)
    with pytest.raises(ln.InputError, match=r"need the package dask: pip install 'largen\[sweep\]'"):
        ln.sweep(failure_modes.Failing(), over, store=tmp_path / "s.nc", workers=2, **ALL)
    assert ln.sweep(failure_modes.Failing(), over, store=tmp_path / "s.nc", **ALL)["status"].item() == "completed"


# The command line -----------------------------------------------------------------------------------------------------

FILE = """
system: spiking
parameters: {size: [3, 1]}
run: {times: {stop: 2.0, step: 0.1}, realisations: 2}
sweep:
  over: {kind: grid, values: {"probability[e,i]": {start: 0.5, stop: 1.0, count: 3}, external_rate: [60.0, 70.0]}}
  run: [limit, network]
  observables: [rate]
  options: {bin_width: 25.0}
"""


def test_the_command_line_sweeps_says_how_far_and_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("map.yaml").write_text(FILE)
    assert cli.main(["sweep", "map.yaml", "--json", "--map", "limit_rate", "--seed", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["done"] == found["tasks"] == 7
    assert Path(found["map"]).stat().st_size > 1000
    assert cli.main(["sweep", "map.yaml", "--status"]) == 0
    assert "12 completed" in capsys.readouterr().out
    assert cli.main(["sweep", "map.yaml"]) == 2
    assert "holds another sweep: its seed is 3, but yours is 0" in capsys.readouterr().err
    assert cli.main(["sweep", "--status", "--store", "none.zarr"]) == 2
    assert "There is no sweep in `none.zarr`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "realisations: 2",
            "realisations: !!python/object/apply:os.system ['touch boom']",
            "not allowed: write the value alone",
        ),
        ("count: 3", "count: 1000000000000", "at most 1000000 points"),
        ("external_rate:", '"../../boom":', "must look like"),
        ("[60.0, 70.0]", "&a [60.0, *a]", "aliases (*name) are not allowed"),
        ("run: [limit", "store: ../boom.zarr\n  run: [limit", "Unknown key of `sweep` `store`"),
        ("bin_width: 25.0", "store: ../boom.zarr", "store"),
        ("[rate]", '["os:system"]', "importing it runs code"),
        ("[rate]", "[{rate: 1}]", "must hold names"),
        ("sweep:", "swep:", "Did you mean `sweep`"),
        ("kind: grid", "kind: os", "one of grid, random, sobol"),
    ],
)
def test_a_hostile_file_is_refused(tmp_path, monkeypatch, capsys, old, new, message):
    monkeypatch.chdir(tmp_path)
    assert old in FILE
    Path("map.yaml").write_text(FILE.replace(old, new))
    assert cli.main(["sweep", "map.yaml"]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["map.yaml"]
    assert not (tmp_path.parent / "boom.zarr").exists()


# Maps -----------------------------------------------------------------------------------------------------------------


def test_maps_show_lines_colours_special_points_and_failures(undisturbed, tmp_path):
    _, found = undisturbed
    axes = Figure().subplots(2, 2).ravel()
    line = found.isel(noise=0)
    ln.plot.map(line, "network_mean", ax=axes[0], special=[("Hopf", 1.5), ("fold", 2.5)])
    assert [text.get_text() for text in axes[0].texts] == ["Hopf", "fold"]
    np.testing.assert_array_equal(axes[0].lines[0].get_ydata(), line["network_mean"].values[:, 0])
    assert len(axes[0].collections) == 2  # two bands of two standard errors
    bad = found.copy(deep=True)
    bad["status"][1, 1] = "failed"
    curve = {"transition": [(0.5, 0.5), (4.0, 1.0)]}
    ln.plot.map(bad, "limit_mean", ax=axes[1], population="a", special={"Hopf": 1.5}, curves=curve)
    crosses = next(line for line in axes[1].lines if line.get_marker() == "x")
    assert crosses.get_xydata().tolist() == [[1.0, 1.0]]
    assert axes[1].get_xlabel() == "tau[a] (ms)"
    sample = ln.Random({"tau[a]": (1.0, 2.0), "noise": (0.5, 1.0)}, count=5)
    drawn = ln.sweep(failure_modes.Failing(), sample, times=TIMES, store=tmp_path / "s.nc")
    ln.plot.map(drawn, ax=axes[2], special={"Hopf": 0.7})
    assert axes[2].collections[0].get_offsets().shape == (5, 2)
    assert axes[2].get_title(loc="left") == "a"
    assert axes[2].texts[0].get_text() == "Hopf"
    with pytest.raises(ln.InputError, match="variable of the sweep"):
        ln.plot.map(found, "rate", ax=axes[3])


def test_maps_show_what_follow_found(undisturbed):
    _, found = undisturbed
    pitchfork = ln.analysis.Flow(lambda x, q: (q["tau[a]"] - 1.5) * x - x**3, [0.0], {"tau[a]": 0.5})
    diagram = ln.analysis.follow(pitchfork, "tau[a]", to=3.0)
    axes = Figure().subplots(2)
    for ax, part in zip(axes, (found.isel(noise=0), found), strict=True):
        ln.plot.map(part, "network_mean", ax=ax, special=diagram)
        (mark,) = ax.texts
        assert mark.get_text() == "branch_point"
        assert mark.xy[0] == pytest.approx(1.5, abs=1e-5)
    with pytest.raises(ln.InputError, match=r"are those of `noise`, but the sweep is over `tau.a.`"):
        ln.plot.map(found, "network_mean", ax=axes[0], special=diagram.assign_attrs(parameter="noise"))
    with pytest.raises(ln.InputError, match=r"what `analysis\.follow` returned"):
        ln.plot.map(found, "network_mean", ax=axes[0], special=found.assign_attrs(parameter="tau[a]"))


def test_a_seed_of_any_size_is_kept_with_the_sweep(tmp_path):
    """Also one with more digits than Python writes: it is found again, and another seed is another sweep."""
    seed, how = 10**5000, {"times": np.arange(3.0), "run": "network", "n": 13, "store": tmp_path / "s.nc"}
    first = ln.sweep(ln.RateNetwork(), ln.Grid({"noise": [0.5, 0.6]}), seed=seed, **how)
    again = ln.sweep(ln.RateNetwork(), ln.Grid({"noise": [0.5, 0.6]}), seed=seed, **how)
    assert again.equals(first)
    with pytest.raises(ln.InputError, match="its seed is"):
        ln.sweep(ln.RateNetwork(), ln.Grid({"noise": [0.5, 0.6]}), seed=seed + 1, **how)
