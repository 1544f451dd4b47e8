"""Pictures: every function draws what it was given, and on no window."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import largen as ln
from largen import plot
from toy import Toy


@pytest.fixture(scope="module")
def run():
    model, times = ln.SpikingNetwork(), np.round(np.arange(2001) * 0.1, 9)
    network = ln.simulate(model, times, realisations=3, seed=1, record="spikes")
    return network, ln.solve_limit(model, times)


def axes():
    return Figure().subplots()


def test_bands_hold_the_mean_and_its_error(run):
    ax = plot.bands(*run, "rate", ax=axes(), window=(0.0, 50.0))
    lines = {line.get_label(): line for line in ax.lines}
    limit = run[1]["rate"].sel(population="e", time=slice(0, 50))
    np.testing.assert_array_equal(lines["e limit"].get_ydata(), limit.values)
    assert ax.get_ylabel() == "firing rate (Hz)"
    assert len(ax.collections) == 2


def test_a_raster_shows_the_spikes_of_one_realisation(run):
    network = run[0]
    ax = plot.raster(network, ax=axes(), realisation=2)
    drawn = sum(len(line.get_xdata()) for line in ax.lines)
    assert drawn == int((network["spike_realisation"] == 2).sum())
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["e", "i"]


def test_the_distance_of_every_row_is_drawn_in_tolerances_with_its_interval_and_label(run):
    report = ln.compare(*run)
    ax = plot.distance(report, ax=axes())
    line, _, (bars,) = ax.containers[0]
    tolerance = (report["tolerance"] * report["scale"]).values
    np.testing.assert_allclose(line.get_xdata(), report["difference"].values / tolerance)
    ends = np.array([segment[:, 0] for segment in bars.get_segments()])
    known = np.isfinite(report["ci_low"].values)
    np.testing.assert_allclose(ends[known, 0], (report["ci_low"].values / tolerance)[known])
    assert [tick.get_text().split(" (")[0] for tick in ax.get_yticklabels()] == report["component"].values.tolist()
    labels = [text.get_text() for text in ax.texts]
    assert labels == [
        (row or label).removesuffix(" tolerance")
        for row, label in zip(report["cause"].values.tolist(), report["label"].values.tolist(), strict=True)
    ]


def test_the_page_of_a_run_has_every_panel(run):
    figure = plot.overview(*run, report=ln.compare(*run), title="gamma")
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == [
        "raster of one realisation",
        "rates: mean over realisations",
        "power spectrum of e",
        "orbit",
        "distance",
    ]
    assert "gamma: spiking, n = 400, 3 realisations" in figure.get_suptitle()


def test_a_system_without_panels_of_its_own_gets_a_page_too():
    model, times = Toy(), np.arange(0.0, 2.0, 0.25)
    network, limit = ln.simulate(model, times, n=100, realisations=8), ln.solve_limit(model, times)
    figure = plot.overview(
        network, limit, finite=ln.solve_limit(model, times, n=100), report=ln.compare(network, limit)
    )
    assert [ax.get_title(loc="left") for ax in figure.axes[:2]] == [
        "population mean (mV)",
        "an independent copy of the mean (mV)",
    ]


def test_a_convergence_study_shows_its_exponent():
    study = ln.convergence(Toy(), np.arange(0.0, 2.0, 0.25), n=[100, 400], realisations=20)
    figure = plot.figure_of(plot.convergence, study)
    ax = figure.axes[0]
    assert ax.get_xscale() == "log"
    assert any("n^-0." in text.get_text() for text in ax.get_legend().get_texts())
    other = plot.figure_of(plot.convergence, study, observable="second").axes[0]
    assert other.get_ylabel().startswith("second")
    with pytest.raises(ln.InputError, match="observable"):
        plot.figure_of(plot.convergence, study, observable="rate")
