"""Networks of populations compared with their limit, swept and drawn."""

import numpy as np
import pytest

import largen as ln
from systems.rate.populations.cases import rank_one

BLOCKS, TIMES = ln.RatePopulations.correlated_blocks(), np.arange(5.0)


@pytest.fixture(scope="module")
def runs():
    return ln.simulate(BLOCKS, TIMES, n=150, realisations=12, seed=1), ln.solve_limit(BLOCKS, TIMES)


def test_a_comparison_has_a_row_for_every_population_and_lag(runs):
    report = ln.compare(*runs)
    names = set(report["component"].values.tolist())
    assert {"mean[a]", "rate[b]", "covariance[a,0]", "frozen_covariance[b,2]", "covariance, in time"} <= names
    assert "beyond tolerance" not in report["label"].values


def test_a_wrong_limit_is_beyond_tolerance(runs):
    wrong = ln.solve_limit(BLOCKS.replace(threshold_mean=(1.4, 0.9)), TIMES)
    report = ln.compare(runs[0], wrong, strict=False)
    assert "beyond tolerance" in report["label"].sel(component=["mean[a]", "mean[b]"]).values


def test_an_unstable_symmetric_limit_is_refused_for_means_and_latent_variables():
    model, times = rank_one(2.5, 0.8, initial_mean=0.0), np.linspace(0.0, 6.0, 7)
    limit = ln.solve_limit(model, times, lags=0, rtol=1e-4)
    assert limit.attrs["symmetric_branch"] == "unstable"
    network = ln.simulate(model, times, n=100, realisations=4, lags=0)
    with pytest.raises(ln.InputError, match="symmetric branch that is unstable"):
        ln.compare(network, limit)
    left = ["mean", "rate", "latent"]
    assert ln.compare(network.drop_vars(left), limit.drop_vars(left)).sizes["component"] > 0
    assert "symmetric_branch" not in ln.solve_limit(rank_one(0.5, 0.5, initial_mean=0.0), times, rtol=1e-3).attrs
    assert "symmetric_branch" not in ln.solve_limit(rank_one(2.5, 0.8), times, rtol=1e-3).attrs


def test_the_overview_shows_populations_and_latent_variables(runs):
    figure = ln.plot.overview(*runs, report=ln.compare(*runs))
    titles = [ax.get_title(loc="left") or ax.get_title() for ax in figure.axes]
    assert "latent variable" not in titles  # there is none
    assert {"variance of a neuron", "covariance with the last state", "distance"} <= set(titles)
    model, times = rank_one(2.5), np.linspace(0.0, 2.0, 5)
    pair = ln.simulate(model, times, n=60, realisations=3), ln.solve_limit(model, times, rtol=1e-4)
    titles = [ax.get_title(loc="left") or ax.get_title() for ax in ln.plot.overview(*pair).axes]
    assert "latent variable" in titles


def test_a_sweep_and_a_convergence_study_know_populations(tmp_path):
    grid = ln.Grid({"kernels[a,b].post": [0.1, 0.3]})
    found = ln.sweep(BLOCKS, grid, run="limit", times=TIMES, observables=["mean.last"], store=tmp_path / "s.nc")
    last = ln.solve_limit(BLOCKS.replace(**{"kernels[a,b].post": 0.1}), TIMES)["mean"].values[:, -1]
    assert found["limit_mean_last"].values[0] == pytest.approx(last)
    study = ln.convergence(BLOCKS, TIMES, n=[60, 120, 240], realisations=[6, 6, 6], seed=2)
    assert study.sizes["n"] == 3


def test_the_command_line_runs_the_example(capsys, tmp_path, monkeypatch):
    from largen.commands.main import main

    monkeypatch.chdir(tmp_path)
    assert main(["run", "excitatory_inhibitory", "-n", "60", "-r", "2", "--times", "0:1:0.5"]) == 0
    assert "within tolerance" in capsys.readouterr().out
    assert main(["limit", "excitatory_inhibitory", "--times", "0:1:0.5", "--set", "activation=bad"]) == 2
