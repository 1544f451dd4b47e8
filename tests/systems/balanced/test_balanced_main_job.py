"""The main job on the balanced system: the truth is accepted, every coupling changed by a tenth is rejected."""

import json

import numpy as np
import pytest

import largen as ln
from largen.commands.main import main

S3 = ln.BalancedNetwork()
TIMES = np.linspace(0.0, 6.0, 21)


def theories(model):
    return ln.solve_limit(model, TIMES), ln.solve_limit(model, TIMES, n=400)


@pytest.fixture(scope="module")
def network():
    return ln.simulate(S3, TIMES, n=400, realisations=24, seed=1, method="tau_leap")


@pytest.mark.long
def test_the_theory_of_this_size_is_accepted(network):
    limit, finite = theories(S3)
    report = ln.compare(network, limit, finite=finite, level=1e-6)
    assert report.attrs["verdict"] in ("within tolerance", "finite-size effect", "undecided")


@pytest.mark.parametrize("name", ["coupling[e,e]", "coupling[e,i]", "coupling[i,e]", "coupling[i,i]"])
def test_a_coupling_changed_by_a_tenth_is_rejected(network, name):
    limit, finite = theories(S3.replace(**{name: 1.1 * S3.value(name)}))
    with pytest.raises(ln.InputError, match="same parameters, but differ in `coupling`"):
        ln.compare(network, limit, finite=finite)
    report = ln.compare(network, limit, finite=finite, strict=False, level=1e-6)
    assert report.attrs["verdict"] == "theory differs"


def test_a_limit_that_ends_within_the_boundary_layer_still_gives_a_report(tmp_path, capsys):
    folder = tmp_path / "results"
    arguments = ["run", "unstable", "--n", "400", "-r", "6", "--times", "0:2:0.1", "--out", str(folder)]
    assert main(arguments) == 0
    words = capsys.readouterr().err
    assert "lost its stability at time 0.327" in words
    assert "Compared with the theory of 400 neurons alone" in words
    report = json.loads((folder / "report.json").read_text())
    assert "the limit ends before that, so take n above" in report["note"]
    assert report["limit_n"] == 400
    for name in report["files"]:
        assert (folder / name).stat().st_size > 0
