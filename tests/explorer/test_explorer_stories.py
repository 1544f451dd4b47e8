"""Stories, the picture of the model, text to copy, the exported page, and the distance against n; no browser."""

import base64
import functools
import gzip
import logging
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from tornado.websocket import WebSocketClosedError

import largen as ln
from largen.commands.main import main
from largen.explorer.copying import KINDS, text_of
from largen.explorer.examples import example_model, gallery
from largen.explorer.export import LARGEST
from largen.explorer.jobs import Jobs, Sized
from largen.explorer.links import read_link
from largen.explorer.page import Page
from largen.explorer.picture import picture_of, synapses_of
from largen.explorer.server import _names, _without_closed_tabs
from largen.explorer.settings import opening_of
from largen.explorer.sizes import SizesTab
from largen.explorer.sizes import _bare as sizes_bare
from largen.explorer.stage import SIZES
from largen.explorer.state import first_state
from largen.explorer.stories import stories
from largen.explorer.verdict import remedy, verdict_html
from largen.io.model_files import examples, read_model


@pytest.fixture(scope="module")
def rate_page():
    return Page("correlated", read_model("correlated"), Jobs())


def test_every_step_of_every_story_is_a_state_of_its_page_and_every_example_is_linked():
    assert len(stories()) == 4
    for story in stories().values():
        own = read_model(opening_of(ln.systems.system_class(story.system)).example)
        for step in story.steps:
            state = read_link(step.query, own, functools.partial(example_model, story.system))
            assert state.model.system == story.system
            assert len(step.text.splitlines()) == 3
            assert step.tab == "Distance and n" or step.tab in type(own).views
    assert set(gallery()) == set(examples())


def test_a_story_goes_step_by_step_and_a_wrong_one_gives_a_message(rate_page):
    telling = rate_page.telling
    assert "no story 'x'" in telling.begin("x", "1")
    assert telling.begin("neurons_that_stay_correlated", "2") == ""
    assert rate_page.stage.tab.value == "Correlation and lag"
    assert rate_page.state.run.networks == 16
    rate_page.told({"key": "next"})
    assert rate_page.model.value("kernel.post") == 0.01
    rate_page.told({"key": "next"})  # the last one
    assert telling.place == 2
    assert "step=3" in rate_page.search
    told = []
    rate_page.browser.do = lambda what, **more: told.append((what, more.get("search")))
    telling.end()
    assert "step" not in rate_page.search
    assert ("replace", rate_page.search) in told  # the address no longer leads to the story
    del rate_page.browser.do
    rate_page.load(rate_page.own)


@pytest.mark.parametrize("name", ["gamma", "balanced", "excitatory_inhibitory", "microcircuit", "correlated"])
def test_the_picture_has_a_circle_for_every_population_and_an_arrow_for_every_synapse(name):
    model = read_model(name)
    root = ET.fromstring(picture_of(model, model.reference_size or 1000))
    picks = [one.get("data-pick") for one in root.iter() if one.get("data-pick")]
    for label in model.populations:
        assert picks.count(f"[{label}]") == 1
    if model.populations:
        synapses = synapses_of(model)
        arrows = {pick for pick in picks if "," in pick and "|" not in pick}
        assert len(arrows) == np.count_nonzero(synapses.strength)
        one = next(
            one for one in root.iter() if one.get("data-pick") == f"[{model.populations[0]},{model.populations[1]}]"
        )
        assert "inhibitory" in one.get("aria-label")
        assert all(one.get("aria-label") for one in root.iter() if one.get("role") == "button")


def _copied(page, monkeypatch, folder):
    state, opening = first_state(page.own), page.opening
    for name, value in {"gamma": 0.5, "n": 60, "networks": 2, "duration": 10.0}.items():
        state = state.moved(name, value)
    monkeypatch.chdir(folder)
    limit = ln.solve_limit(state.model, np.arange(11.0), lags=5)
    return {kind: text_of(kind, state, opening, "model") for kind in KINDS}, limit


def test_what_is_copied_gives_the_same_numbers(rate_page, tmp_path, monkeypatch):
    texts, limit = _copied(rate_page, monkeypatch, tmp_path)
    scope = {}
    exec(texts["Python"], scope)
    assert scope["limit"].identical(limit)
    assert scope["network"].attrs["n"] == 60
    (tmp_path / "model.yaml").write_text(texts["YAML"])
    assert ln.read_model("model.yaml").value("gamma") == 0.5
    assert r"0.5\,U^j_t" in texts["LaTeX"]


@pytest.mark.long
def test_the_copied_command_runs_the_same_model(rate_page, tmp_path, monkeypatch):
    texts, limit = _copied(rate_page, monkeypatch, tmp_path)
    (tmp_path / "model.yaml").write_text(texts["YAML"])
    command = texts["Command line"].splitlines()[-1].split()
    assert main([*command[1:], "--out", "results"]) == 0
    assert ln.load(next(tmp_path.glob("results/**/limit*.nc")))["mean"].equals(limit["mean"])


def test_the_exported_page_needs_no_server_and_holds_curves_table_and_model(rate_page):
    rate_page.load(rate_page.own)
    text = rate_page.sharing.html().getvalue().decode()
    assert len(text.encode()) <= LARGEST
    assert re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=", text) == []
    assert "gamma: 0.7" in text
    assert "Made with largen" in text
    assert text.count("<figure>") >= 3
    mean = rate_page.limit["mean"].values
    assert base64.b64encode(np.ascontiguousarray(mean).tobytes()).decode() in text


def test_the_exported_page_holds_the_distance_against_n_of_its_model_and_no_empty_figure(rate_page):
    rate_page.load(rate_page.own)
    assert SIZES not in rate_page.sharing.html().getvalue().decode()
    sizes = rate_page.stage.sizes
    distance = [0.3, 0.2, 0.1]
    sizes.curve = {"n": [50, 100, 200], "distance": distance, "low": distance, "high": distance, "name": "mean"}
    sizes.state = sizes_bare(rate_page.state)
    text = rate_page.sharing.html().getvalue().decode()
    assert f"<h2>{SIZES}</h2>" in text
    packed = re.findall(r'"data":"([^"]+)"', text.split("sizes dots")[1])[1]  # of y
    np.testing.assert_array_equal(np.frombuffer(gzip.decompress(base64.b64decode(packed))), distance)
    rate_page.take({"name": "gamma", "text": "0.25"})  # the figure is that of the model before
    assert SIZES not in rate_page.sharing.html().getvalue().decode()
    sizes.curve = sizes.state = None
    rate_page.load(rate_page.own)


@pytest.mark.long
def test_the_exported_page_holds_what_was_answered_for_a_figure_that_asks():
    page = Page("balanced", read_model("balanced"), Jobs())
    before = page.sharing.html().getvalue().decode().count("<figure>")
    page.stage.tab.value = "Manifold"
    text = page.sharing.html().getvalue().decode()
    assert text.count("<figure>") == before + 1
    assert "<h2>Manifold</h2>" in text


def test_a_pinned_curve_stays_while_another_is_explored(rate_page):
    rate_page.load(rate_page.own)
    rate_page.stage.tab.value = "Mean"
    view = rate_page.stage.tabs["Mean"][0]
    before = view.sources["limit"].data["y"].copy()
    rate_page.pin(True)
    rate_page.take({"name": "gamma", "text": "0.1"})
    faint = [one for one in view._pinned if len(one.data_source.data["y"])]
    np.testing.assert_array_equal(faint[0].data_source.data["y"], before)
    assert not np.array_equal(view.sources["limit"].data["y"], before)
    rate_page.pin(False)
    assert view._pinned == []
    rate_page.load(rate_page.own)


def test_the_verdict_is_escaped_and_says_how_many_networks_decide():
    row = {"network": 1.0, "theory": 1.1, "difference": -0.1, "scale": 1.0, "ci_low": -0.2, "ci_high": 0.0,
           "tolerance": 0.05, "label": "undecided", "cause": "", "needed": 56.0, "needed_is_bound": False}  # fmt: skip
    report = {
        "verdict": "undecided",
        "headline": "<b>",
        "components": {"<i>": row},
        "realisations": 8,
        "next": (56, "x"),
    }
    text = verdict_html(report, "old")
    assert "<b>" not in text
    assert "<i>" not in text
    assert remedy(report, 0.5, 64) == (56, "Decide x: about 56 networks in all, 24 s")
    assert remedy({**report, "next": (900, "x")}, 0.5, 64)[0] == 64
    assert remedy({**report, "next": None}, 0.5, 64) is None


def test_the_server_answers_to_its_own_names_only():
    names = _names("127.0.0.1", 5006)
    assert {"127.0.0.1:5006", "localhost:5006", "[::1]:5006"} <= names
    assert not {"evil.example:5006", "localhost:80", "127.0.0.1"} & names


def test_a_closed_tab_prints_no_traceback_and_other_errors_still_do():
    closed, other = (
        logging.makeLogRecord({"exc_info": (kind, kind(), None)}) for kind in (WebSocketClosedError, OSError)
    )
    assert not _without_closed_tabs(closed)
    assert _without_closed_tabs(other)
    assert _without_closed_tabs(logging.makeLogRecord({}))


def test_the_distance_against_n_is_that_of_convergence(rate_page):
    rate_page.load(rate_page.own)
    rate_page.set_values({"duration": 10.0})
    rate_page.jobs, kept = Jobs(running=0), rate_page.jobs
    tab = SizesTab(rate_page)
    tab.start()
    task, sent = tab.job.task, []
    task = task._replace(most=100)
    task.run(sent.append)
    tab.cancel()
    rate_page.jobs = kept
    study = ln.convergence(
        rate_page.own, rate_page.times, n=[50, 100], realisations=8, seed=1, observable="mean", lags=5
    )
    assert [type(one) for one in sent] == [Sized]
    np.testing.assert_array_equal(sent[0].curve["distance"], study["distance"].sel(observable="mean"))
    tab.view.show(sent[0].curve)
    assert tab.view.sources["dots"].data["x"].tolist() == [50.0, 100.0]
    rate_page.load(rate_page.own)
