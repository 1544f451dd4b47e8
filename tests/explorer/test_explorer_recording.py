"""A recording beside the limit: its curves, its statistics, and what is said where it does not fit."""

import html
import math

import numpy as np
import pytest

import largen as ln
from largen.checks import InputError
from largen.commands.main import main
from largen.explorer.export import page_html
from largen.explorer.jobs import Jobs
from largen.explorer.page import Page
from largen.explorer.recording import recording_of, statistics_of, table_html
from largen.explorer.view import blocks
from largen.io.model_files import read_model

STEP, STOP = 0.5, 300.0


@pytest.fixture(scope="module")
def model():
    return read_model("gamma")


@pytest.fixture(scope="module")
def recorded():
    """Poisson spikes of 30 and 10 neurons in three trials, of 40 and 80 Hz."""
    rng, rows = np.random.default_rng(5), []
    for trial in range(3):
        for neuron in range(40):
            count = rng.poisson((40.0 if neuron < 30 else 80.0) * STOP / 1000)
            rows += [(time, neuron, trial) for time in rng.uniform(0, STOP, count)]
    times, neurons, trials = np.array(rows).T
    return ln.recording(
        times, neurons.astype(int), trials=trials.astype(int), populations={"i": range(30, 40), "e": range(30)},
        t_start=0, t_stop=STOP, step=STEP,
    )  # fmt: skip


@pytest.fixture(scope="module")
def limit(model):
    """Two flat rates with a rhythm of 40 Hz, as a limit gives them."""
    times = np.arange(0, 200 + STEP / 2, STEP)
    made = ln.solve_limit(model, times[:3], bin_width=10.0)
    rate = 20 + 10 * np.cos(2 * np.pi * 0.04 * times)
    again = made.drop_vars([name for name, one in made.variables.items() if "time" in one.dims])
    return again.assign(rate=(("population", "time"), np.stack([rate, 2 * rate]), made["rate"].attrs)).assign_coords(
        time=("time", times, made["time"].attrs)
    )


@pytest.fixture(scope="module")
def page(model, limit, recorded):
    made = Page("gamma", model, Jobs(), limit=limit, recording=recording_of("<b>mine</b>.nwb", recorded, model))
    yield made
    made.close()


def test_statistics_are_those_of_an_independent_count(recorded):
    found = statistics_of(recorded)
    late = recorded["time"].values > STOP / 4 + 1e-9
    for label in ("e", "i"):
        rates = recorded["rate"].sel(population=label).values[:, late].mean(-1)
        assert found[f"rate[{label}]"].value == pytest.approx(rates.mean())
        assert found[f"rate[{label}]"].error == pytest.approx(rates.std(ddof=1) / math.sqrt(3))
    without = ln.analysis.summary(recorded, self_count="removed")["synchrony"].sel(population="i").item()
    assert found["synchrony[i]"].value == pytest.approx(without)
    assert found["rate[e]"].unit == "Hz"


def test_the_curve_is_the_mean_over_trials_in_the_blocks_of_the_networks(page, recorded):
    view = page.stage.tabs["Rates"][0]
    for label in ("e", "i"):
        drawn = view.sources[f"recording{label}"].data
        inside = (recorded["time"].values > 0) & (recorded["time"].values <= 200)
        mean = recorded["rate"].sel(population=label).values.mean(0)[inside]
        x, y = blocks(recorded["time"].values[inside], mean)
        np.testing.assert_allclose(drawn["x"], x)
        np.testing.assert_allclose(drawn["y"], y)
        assert any(item.label.value == f"recording {label}" and item.visible for item in view.figure.legend[0].items)
    lines = len(view.figure.renderers)
    view.pin()
    assert len(view.figure.renderers) == lines + 2  # the limit's two; what was recorded stays as it is
    view.unpin()
    page.stage.tab.value = "Spectra"
    spectrum = page.stage.tabs["Spectra"][0].sources["recordingi"].data
    power = ln.analysis.power_spectrum(recorded)
    at = (power["frequency"].values >= 1) & (power["frequency"].values <= 200)
    np.testing.assert_allclose(
        spectrum["y"], power["power"].sel(population="i").values.reshape(-1, at.size).mean(0)[at]
    )


def test_the_table_holds_the_recording_beside_the_limit_and_says_by_how_much_they_differ(page, limit):
    assert "&lt;b&gt;mine&lt;/b&gt;.nwb: 3 runs of 300 ms, 10 of i, 30 of e." in page.beside.pane.object
    own, theirs = page.beside.recording.statistics["rate[e]"], statistics_of(limit)["rate[e]"]
    mean = limit["rate"].sel(population="e", time=limit["time"] > 50).mean().item()
    assert theirs.value == pytest.approx(mean)
    row = f"<td>{own.value:.4g} ± {own.error:.2g}</td><td>{mean:.4g}</td><td>{100 * (mean / own.value - 1):+.1f} %</td>"
    assert f'<tr><th scope="row">rate[e] (Hz)</th>{row}' in page.beside.pane.object
    assert html.unescape(page.beside.pane.object) in html.unescape(page_html(page))
    nothing = table_html(page.beside.recording, {}, {})
    assert "nan" not in nothing
    assert nothing.count("<tr>") == page.beside.pane.object.count("<tr>")


def test_a_page_without_these_populations_says_so(page, model, limit):
    other = limit.assign_coords(population=["a", "b"])
    assert page.beside.of(other) is None
    assert "populations i, e, and this model a, b: it is not shown" in page.beside.recording.why_not(other)
    rate = Page("correlated", read_model("correlated"), Jobs(), recording=page.beside.recording)
    assert not rate.beside.pane.visible
    assert rate.beside.html() == ""


def test_a_recording_that_does_not_fit_is_refused(model, recorded, capsys):
    with pytest.raises(InputError, match="`recording` must be of the rate system"):
        recording_of("r", recorded, read_model("correlated"))
    named = recorded.assign_coords(population=["x", "y"]).assign_attrs(populations="x, y", inhibitory="x")
    with pytest.raises(InputError, match="have the populations of the model, e, i"):
        recording_of("r", named, model)
    with pytest.raises(InputError, match="Pass what read_recording"):
        recording_of("r", 3, model)
    for words, said in (
        (["--populations", "cell_type"], "add --recording"),
        (["--recording", "gamma"], "must be a recording"),
        (["--recording", "none.nwb"], "none.nwb"),
        (["--recording", "none.nc", "--stretch", "500"], "leave out the options"),
    ):
        assert main(["explore", *words]) == 2
        assert said in capsys.readouterr().err
