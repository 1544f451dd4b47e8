"""The command line: the main job end to end, JSON everywhere, one message for every mistake."""

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

import largen as ln
from largen.commands.main import main

SHORT = ["--times", "0:40:0.1", "--realisations", "6"]


def called(capsys, *arguments):
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of a small finished run."""
    folder = tmp_path_factory.mktemp("run") / "gamma"
    assert main(["run", "gamma", *SHORT, "--out", str(folder)]) == 0
    return folder


def test_a_run_leaves_everything_behind(finished):
    names = {"model.yaml", "limit.nc", "finite.nc", "network.nc", "report.nc", "report.json", "figure.png"}
    assert set(os.listdir(finished)) == names
    report = json.loads((finished / "report.json").read_text())
    assert {row["observable_of"] for row in report["components"].values()} >= {"rate", "pending", "synchrony"}
    assert report["said"][0] == f"{report['verdict'].upper()}: {report['headline']}"
    assert report["realisations"] == 6
    assert report["components"]["rate[e]"]["standard_error"] > 0
    assert (finished / "figure.png").read_bytes().startswith(b"\x89PNG")
    network, limit, finite = (ln.load(finished / f"{name}.nc") for name in ("network", "limit", "finite"))
    assert "spike_time" in network
    again = ln.compare(network, limit, finite=finite)
    assert again.identical(ln.load(finished / "report.nc"))
    assert ln.read_model(finished / "model.yaml").reference_size == 400


def test_results_are_never_written_over_unasked(finished, capsys):
    before = {name: (finished / name).read_bytes() for name in os.listdir(finished)}
    code, _, err = called(capsys, "run", "gamma", *SHORT, "--out", str(finished))
    assert code == 2
    assert "already holds results" in err
    assert {name: (finished / name).read_bytes() for name in os.listdir(finished)} == before


def test_the_default_folder_counts_up(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert called(capsys, "run", "gamma", "--times", "0:5:0.1", "--realisations", "6")[0] == 0
    assert sorted(os.listdir("largen-results")) == ["gamma", "gamma-2"]


def test_simulate_limit_compare_on_the_command_line(tmp_path, capsys):
    net, lim, fin, rep = (str(tmp_path / f"{name}.nc") for name in ("net", "lim", "fin", "rep"))
    assert called(capsys, "simulate", "gamma", *SHORT, "--seed", "3", "--record", "spikes", "-o", net)[0] == 0
    assert called(capsys, "limit", "gamma", "--times", "0:40:0.1", "-o", lim)[0] == 0
    chain = ["--option", "finite_size=true", "--option", "realisations=6"]
    assert called(capsys, "limit", "gamma", "--times", "0:40:0.1", *chain, "-o", fin)[0] == 0
    code, out, _ = called(capsys, "compare", net, lim, "--finite", fin, "-o", rep, "--json")
    assert code == 0
    assert set(json.loads(out)["components"]) >= {"rate[e]", "rate[i]", "pending[e,i]"}
    code, out, _ = called(capsys, "compare", net, lim, "--all", "--tolerance", "rate=0.2", "--tolerance", "pending=0.3")
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("rate[e]"))
    assert line.split("]")[2].split()[0] == "20"
    assert max(map(len, out.splitlines()[1:20])) <= 100
    code, out, _ = called(capsys, "compare", net, net)
    assert code == 0
    assert "second network" in out
    assert called(capsys, "compare", net, lim, "--tolerance", "rat=0.2")[0] == 2
    assert "spike_time" in ln.load(net)


@pytest.mark.parametrize(
    "command", ["examples", "show gamma", "limit gamma --times 0:5:0.1", "simulate leaky --times 0:5:0.1"]
)
def test_json_everywhere(command, capsys):
    code, out, err = called(capsys, *command.split(), "--json")
    assert code == 0
    assert json.loads(out)
    assert err == ""


def test_convergence_on_the_command_line(tmp_path, capsys):
    folder = tmp_path / "study"
    code, out, _ = called(capsys, "convergence", "gamma", "--n", "100,200", *SHORT, "--out", str(folder), "--json")
    assert code == 0
    plain = json.loads(out)
    assert plain["n"] == [100, 200]
    assert "observables" not in plain
    assert len(plain["components"]["rate[e]"]["label"]) == 2
    assert set(os.listdir(folder)) == {"model.yaml", "convergence.nc", "convergence.json", "figure.png"}


def test_sizes_that_had_finished_before_ctrl_c_are_taken_over(tmp_path, capsys, monkeypatch):
    words = f"convergence correlated --n 20,40,80 -r 3 --times 0:4:1 --out {tmp_path / 'c'}".split()
    run = []

    def simulated(*args, **given):
        run.append(given["n"])
        if run == [20, 40, 80]:
            raise KeyboardInterrupt
        return ln.simulate(*args, **given)

    monkeypatch.setattr("largen.comparison.scaling.simulate", simulated)
    code, _, err = called(capsys, *words)
    assert code == 130
    assert "2 of 3 sizes are finished" in err
    code, out, err = called(capsys, *words, "--json")
    assert code == 0
    assert run == [20, 40, 80, 80]
    (tmp_path / "d.stopped").mkdir()
    (tmp_path / "c" / "convergence.nc").rename(tmp_path / "d.stopped" / "convergence.nc")
    words[-1] = str(tmp_path / "d")
    assert called(capsys, *words, "--seed", "2")[0] == 0  # another study: nothing is taken over
    assert run[4:] == [20, 40, 80]
    plain = json.loads(out)
    assert plain["components"]["mean"]["offset_label"] in ("within tolerance", "undecided", "beyond tolerance")
    assert plain["observables"]["mean"]["distance_exponent_low"] < plain["observables"]["mean"]["distance_exponent"]


def test_parameters_and_options_can_be_changed(capsys):
    code, out, _ = called(
        capsys, "limit", "gamma", "--times", "0:5:0.05", "--set", "external_rate=0.0", "--option", "dt=0.05", "--json"
    )
    assert code == 0
    plain = json.loads(out)
    assert plain["dt"] == 0.05
    assert plain["time_means"]["rate[e]"]["mean"] == 0.0


HOSTILE = "system: spiking\nparameters: {external_rate: !!python/object/apply:os.system ['touch hacked']}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run nosuch", "no file 'nosuch' and no example"),
        ("run gama", "Did you mean `gamma`"),
        ("run hostile.yaml", "not allowed: write the value alone"),
        ("run unknown.yaml", "Did you mean `strength`"),
        ("run other.yaml", "Key `system` must be one of"),
        ("limit gamma --set strenght[e,i]=1", "Did you mean `strength`"),
        ("limit gamma --set strength[e,i]=-1", "must be at least 0, but is -1.0"),
        ("limit gamma --set strength=[1,2]", "must have shape"),
        ("limit gamma --set decay[e,e]=-1", "must be greater than 0"),
        ("limit gamma --set probability[e,e]=1.5", "must be at most 1"),
        ("limit gamma --set external_rate=.nan", "must be a number, but is nan"),
        ("limit gamma --set external_rate", "must look like name=value"),
        ("limit gamma --option clsure=white", "Did you mean `closure`"),
        ("limit gamma --option closure=whit", "Did you mean `white`"),
        ("limit gamma --option bin_width=7", "bin_width"),
        ("simulate gamma --n 1", "At least 4 neurons are needed"),
        ("simulate gamma --times 5:0:1", "be beyond the start"),
        ("simulate gamma --times 0:1", "must look like START:STOP:STEP"),
        ("simulate gamma --times 0:1:0.15", "times"),
        ("simulate gamma --option dt=0.15", "dt"),
        ("simulate gamma --record spike", "Did you mean `spikes`"),
        ("simulate gamma --n 2000000 --set connectivity=quenched --option graph=stored", "GB of memory"),
        ("simulate gamma --out no/such/folder/x.nc", "Make the folder first"),
        ("simulate gamma --out unknown.yaml", "already exists"),
        ("run gamma --out unknown.yaml", "already holds results"),
        ("compare unknown.yaml unknown.yaml", "Two models cannot be compared"),
        ("convergence gamma --n 200,100", "at least two increasing sizes"),
        ("convergence gamma --n a,b", "must look like 200,600,2000"),
        ("convergence gamma --n 200,400 -r 4,4,4", "one number or 2 of them"),
        ("convergence gamma --n 200,400 -r many", "must look like 16 or 400,400,60"),
        ("convergence gamma --n 200,400 --method anneal", "must be one of"),
        ("frobnicate", "No such command"),
        ("run gamma --frobnicate", "No such option"),
    ],
)
def test_bad_input_gives_one_message_and_status_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("hostile.yaml").write_text(HOSTILE)
    Path("unknown.yaml").write_text("system: spiking\nparameters: {stregth: 1}\n")
    Path("other.yaml").write_text("system: wilson-cowan\n")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    code, out, err = called(capsys, *arguments.split())
    assert code == 2
    assert out == ""
    assert message in err
    assert err.startswith("largen: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_a_folder_that_cannot_be_written_gives_a_message(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, _, err = called(capsys, "run", "gamma", "--out", str(tmp_path / "file" / "results"))
    assert code == 2
    assert "cannot be made" in err


def test_a_full_disk_gives_a_message_and_the_old_file_survives(tmp_path):
    # A real full disk: a file-size limit on the process stands in for the quota (no root or mount needed).
    old = tmp_path / "net.nc"
    assert main(["simulate", "gamma", "--times", "0:5:0.1", "--out", str(old)]) == 0
    before = old.read_bytes()
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "import largen as ln, numpy as np, sys; d = ln.simulate(ln.SpikingNetwork(), np.arange(2000) * .1, seed=1);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
        "\ntry: ln.save(d, sys.argv[1])\nexcept ln.InputError as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(old)], capture_output=True, text=True, timeout=300)
    assert "could not be written" in done.stdout, done.stderr
    assert old.read_bytes() == before
    assert os.listdir(tmp_path) == ["net.nc"]


def test_ctrl_c_leaves_what_was_finished_readable(tmp_path):
    folder = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "largen.commands.main",
        "run",
        "gamma",
        "--realisations",
        "2000",
        "--times",
        "0:200:0.1",
    ]
    with subprocess.Popen([*command, "--out", str(folder)], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("Simulating"):
            assert process.poll() is None
        time.sleep(4)
        process.send_signal(signal.SIGINT)
        err = process.stderr.read()
    assert process.returncode == 130, err
    assert re.search(r"\d+ of 2000 realisations are in", err), err
    assert os.listdir(tmp_path) == ["out.stopped"]
    folder = tmp_path / "out.stopped"
    network = ln.load(folder / "network.nc")
    assert 1 <= network.sizes["realisation"] < 2000
    assert np.isfinite(network["rate"]).all()
    assert isinstance(ln.load(folder / "limit.nc"), xr.Dataset)
