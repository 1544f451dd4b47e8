"""`largen compare` of recordings: against a model's limit in both orders, against each other, and bad input."""

import json

import numpy as np
import pandas as pd
import pytest

import largen as ln
from largen.commands.main import main

SAID = ["--populations", "e=0-299", "--populations", "i=300-399", "--t-start", "0", "--t-stop", "40"]
NWB = __file__.rpartition("commands/")[0] + "data/recording.nwb"


def called(capsys, *arguments):
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a network's spikes as a table, and the network as largen saves it."""
    folder = tmp_path_factory.mktemp("recorded")
    network = ln.simulate(ln.SpikingNetwork(), np.arange(401) * 0.1, realisations=6, seed=3, record="spikes")
    ids = network["spike_neuron"].values + 300 * (network["spike_population"].values == 1)
    columns = {"time_ms": network["spike_time"], "neuron": ids, "trial": network["spike_realisation"]}
    pd.DataFrame(columns).to_csv(folder / "spikes.csv", index=False)
    ln.save(network, folder / "net.nc")
    ln.write_model(ln.SpikingNetwork(names=("p", "q")), folder / "renamed.yaml")
    (folder / "words.csv").write_text("nothing\nof use\n")
    return folder


def test_a_recording_is_compared_with_a_model_in_both_orders(folder, capsys):
    table, report = str(folder / "spikes.csv"), str(folder / "report.nc")
    code, out, _ = called(capsys, "compare", table, "gamma", *SAID, "--warm-up", "0", "-o", report, "--json")
    assert code == 0
    found = json.loads(out)
    limit = ln.solve_limit(ln.SpikingNetwork(), np.arange(401) * 0.1, n=400)
    expected = ln.compare(ln.load(folder / "net.nc"), limit)
    rows = [name for name in expected["component"].values if not name.startswith("pending")]
    assert {"rate[e]", "rate[i]"} <= set(rows)
    for name in rows:
        assert found["components"][name]["network"] == pytest.approx(float(expected["network"].sel(component=name)))
        assert found["components"][name]["theory"] == pytest.approx(float(expected["theory"].sel(component=name)))
    code, again, _ = called(capsys, "compare", "gamma", table, *SAID, "--warm-up", "0", "--json")
    assert code == 0
    assert json.loads(again) == found
    code, out, err = called(capsys, "compare", table, "gamma", *SAID)
    assert code == 0
    assert "Not compared: pending (not in the recording)" in " ".join(out.split())
    assert "The model starts 500 ms before the recording" in err


def test_two_recordings_are_compared_and_a_network_with_its_model(folder, capsys):
    table, saved = str(folder / "spikes.csv"), str(folder / "net.nc")
    for first, second in ((table, table), (table, saved), (saved, table)):
        code, out, _ = called(capsys, "compare", first, second, *SAID)
        assert code == 0
        assert "second network" in out
    code, out, _ = called(capsys, "compare", saved, "gamma", "--json")
    assert code == 0
    assert "pending[e,i]" in json.loads(out)["components"]
    code, out, _ = called(capsys, "compare", table, table, *SAID[:-1], "30", "--stretch", "20")
    assert code == 0
    assert "Left out:" in out


def test_trials_without_spikes_are_counted(folder, capsys):
    table = pd.read_csv(folder / "spikes.csv")
    table[table["trial"] != 3].to_csv(folder / "silent.csv", index=False)
    pair = [str(folder / "silent.csv"), str(folder / "spikes.csv"), *SAID, "--json"]
    code, _, err = called(capsys, "compare", *pair)
    assert code == 2
    assert "trials` has no 3" in err
    code, out, _ = called(capsys, "compare", *pair, "-r", "6")
    assert code == 0
    one, other = (len(part) for part in (table[table["trial"] != 3], table))
    rates = json.loads(out)["components"]["rate[e]"]
    shares = [np.mean(part["neuron"] < 300) for part in (table[table["trial"] != 3], table)]
    assert rates["network"] / rates["theory"] == pytest.approx(one * shares[0] / (other * shares[1]), rel=0.02)


BAD = {
    "two models": ("gamma leaky", "Two models cannot be compared"),
    "no file": ("none.nwb gamma", "must name an existing file"),
    "a file of no use": ("words.csv gamma", "one column of the time"),
    "no populations": ("spikes.csv gamma --t-start 0 --t-stop 40", "`populations` must be given"),
    "no end": ("spikes.csv gamma --populations e=0-299 --populations i=300-399 --t-start 0", "`t_stop` must be given"),
    "ids that are none": ("spikes.csv gamma --populations e=some --populations i=300-399", "ids such as 1-300"),
    "half a population": ("spikes.csv gamma --populations e= --populations i=3", "ids such as 1-300"),
    "a population twice": ("spikes.csv gamma --populations e=0-9 --populations e=10-299", "e must be given once"),
    "a step without a recording": ("net.nc gamma --step 0.5", "neither side is one"),
    "a size without a label": ("spikes.csv gamma --sizes 300", "must look like e=300"),
    "a unit that contradicts": ("spikes.csv gamma --unit s SAID", "be that of the column `time_ms`"),
    "other names": ("spikes.csv renamed.yaml SAID", "Name those of the recording with --populations"),
    "another system": ("spikes.csv chaotic SAID", "be of the spiking system"),
    "an unknown column": (f"{NWB} gamma --populations layer", "it has cell_type"),
    "no such trials": (f"{NWB} gamma --populations cell_type --trials epochs", "it has trials"),
    "options without a recording": ("net.nc gamma --unit s", "neither side is one"),
    "a start without a model": ("net.nc spikes.csv --warm-up 5 SAID", "--warm-up goes with a model"),
    "a negative start": ("spikes.csv gamma --warm-up -5 SAID", "--warm-up"),
    "sizes that differ": (
        "spikes.csv gamma --populations e=0-199 --populations i=200-399 --t-start 0 --t-stop 40",
        "have 200 neurons of e",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_gives_one_message_and_status_2(what, folder, monkeypatch, capsys):
    line, message = BAD[what]
    monkeypatch.chdir(folder)
    arguments = [part for word in line.split() for part in (SAID if word == "SAID" else [word])]
    code, out, err = called(capsys, "compare", *arguments)
    assert code == 2, err
    assert out == ""
    assert message in err
    assert err.startswith("largen: ")
    assert err.count("\n") == 1
