"""The explorer's page without a browser: sliders, links, files, the network in its own process."""

import functools
import re
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from tornado.ioloop import IOLoop

import largen as ln
from largen.checks import InputError
from largen.commands.main import main
from largen.explorer.beginnings import Beginning
from largen.explorer.diagrams import rows_of
from largen.explorer.examples import example_model
from largen.explorer.form import numbers, run_groups, symbol
from largen.explorer.jobs import Jobs, Network
from largen.explorer.links import read_link, write_link
from largen.explorer.page import Page
from largen.explorer.solvers import Solvers
from largen.explorer.state import first_state
from largen.explorer.store import Store, key
from largen.explorer.view import CLEAR, DYNAMIC, FADED, FROZEN, LIMIT, NETWORK, thin
from largen.io.model_files import model_text, read_model
from largen.plot.common import EXCITATORY, INHIBITORY
from largen.systems import SYSTEMS


@pytest.fixture
def jobs():
    made = Jobs(running=1, waiting=1)
    yield made
    made.close()


@pytest.fixture(scope="module")
def rate_page():
    return Page("correlated", read_model("correlated"), Jobs())


def data(page, key):
    views = [view for views in page.stage.tabs.values() for view in views]
    return next(v.sources[name].data for v in views for name in v.sources if f"{v.key} {name}" == key)


def test_every_number_of_the_model_has_a_slider_that_reaches_it():
    for example in ("gamma", "balanced", "correlated"):
        model = read_model(example)
        for number in numbers(model):
            assert number.low <= number.value <= number.high
            assert number.value == model.value(number.name)
            model.replace(**{number.name: number.high})


def test_a_moved_slider_shows_what_solve_limit_gives(rate_page):
    rate_page.take({"name": "gamma", "text": "0.5"})
    model = read_model("correlated").replace(gamma=0.5)
    limit = ln.solve_limit(model, np.arange(21.0), lags=5)
    np.testing.assert_array_equal(data(rate_page, "mean limit")["y"], limit["mean"].values)
    assert rate_page.search == "?gamma=0.5"
    rate_page.load(rate_page.own)
    assert rate_page.search == ""


def test_without_a_limit_nothing_uses_the_model_before_and_everything_says_so(jobs):
    page = Page("correlated", read_model("correlated"), jobs)
    before = data(page, "mean limit")["y"].copy()
    page.take({"name": "mean_weight", "text": "1e300"})
    assert page.status.object.startswith("No limit here.")
    assert page.stage.box.styles == FADED
    np.testing.assert_array_equal(data(page, "mean limit")["y"], before)
    assert "mean_weight: 1.0e+300" in page.sharing.yaml().getvalue().decode()
    assert page.search == "?mean_weight=1e%2B300"
    page.runner.start()
    assert page.runner.job is None
    assert page.runner.words.startswith("These parameters have no limit to compare networks with")
    for callback in (page.sharing.limit, page.sharing.network, page.sharing.pdf, page.sharing.html):
        with pytest.raises(InputError, match="There is no"):
            callback()
    page.steps.step(-1)
    assert page.status.object.startswith("Limit: completed")
    assert page.stage.box.styles == CLEAR


def test_a_diagram_is_followed_from_the_numbers_of_the_page_where_these_have_no_limit(jobs, monkeypatch):
    """Not from the last model that had one."""
    page, asked = Page("balanced", read_model("balanced"), jobs), []
    page.take({"name": "drive[i]", "text": "9"})
    assert page.status.object.startswith("No limit here.")
    monkeypatch.setattr(jobs, "submit", lambda task, tell: asked.append(task) or SimpleNamespace(cancel=lambda: None))
    page.stage.tab.value = "Bifurcations"
    page.stage.diagrams.parameter.value = "drive[e]"
    page.stage.diagrams.start()
    assert [(task.model.value("drive[i]"), task.model.value("drive[e]")) for task in asked] == [(9.0, 0.65)]


@pytest.mark.parametrize(("example", "label"), [("gamma", "Duration (ms)"), ("balanced", "Duration")])
def test_the_duration_has_its_unit(example, label):
    rows = run_groups(read_model(example))[0]["rows"]
    assert next(row["label"] for row in rows if row["name"] == "duration") == label


def test_what_is_compiled_does_not_count_against_the_patience_with_a_limit():
    """An answer that took 60 s, 55 of them to compile, is waited for; the same without compiling is given up."""
    solvers, loop, found = Solvers(count=1, patience=30.0), IOLoop(make_current=False), []
    try:
        solvers.attach(loop)
        solvers.wake()
        worker = solvers._workers[0]
        worker.since, worker.take, worker.compiled = time.monotonic() - 60.0, found.append, 55.0
        solvers._end_slow()
        assert found == []
        worker.compiled = 0.0
        solvers._end_slow()
        assert "takes more than 30 s here and was given up" in found[0].message
    finally:
        solvers.close()
        loop.close()


def test_a_bad_value_stays_in_its_box_with_its_error_and_nothing_is_run_or_saved_until_it_is_mended(rate_page):
    rate_page.load(rate_page.own)
    for name, text, words in (
        ("gamma", "7", "must be at most 1"), ("networks", "8x", "must be an integer"), ("n", "nan", "must be at most"),
        ("networks", "1e300", "must be at most 64"), ("seed", "9" * 23, "must be at most"), ("duration", "", "number"),
    ):  # fmt: skip
        state = rate_page.state
        rate_page.take({"name": name, "text": text})
        assert words in rate_page.form.errors[name]
        assert rate_page.state is state
        rate_page.runner.start()
        assert "Mend the box" in rate_page.runner.words
        with pytest.raises(InputError, match="Mend the box"):
            rate_page.sharing.yaml()
        rate_page.take({"name": name, "text": str(state.value(name))})
        assert rate_page.errors == {}


def test_undo_redo_and_the_browsers_back_bring_the_whole_state_back(rate_page):
    rate_page.load(rate_page.own)
    steps = len(rate_page.steps.history.states)
    rate_page.take({"name": "gamma", "text": "0.25"})
    place = max(rate_page.steps.places)
    rate_page.take({"name": "n", "text": "500"})
    assert rate_page.search == "?gamma=0.25&n=500"
    assert len(rate_page.steps.history.states) == steps + 2
    rate_page.told({"key": "undo"})
    assert (rate_page.search, rate_page.boxes.values["n"]) == ("?gamma=0.25", 1000)
    rate_page.told({"key": "undo"})
    assert (rate_page.search, rate_page.form.values["gamma"]) == ("", 0.7)
    rate_page.told({"key": "redo"})
    assert rate_page.form.values["gamma"] == 0.25
    rate_page.take({"name": "gamma", "text": "0.9"})
    rate_page.told({"went": place, "search": "?gamma=0.25"})
    assert rate_page.form.values["gamma"] == 0.25
    rate_page.told({"went": None, "search": "?gamma=0.125&networks=4"})  # an entry of a session before
    assert (rate_page.model.value("gamma"), rate_page.state.run.networks) == (0.125, 4)
    limit = ln.solve_limit(rate_page.model, rate_page.times, lags=5)
    np.testing.assert_array_equal(data(rate_page, "mean limit")["y"], limit["mean"].values)
    rate_page.load(rate_page.own)


def test_only_what_a_model_uses_has_a_slider():
    rate = read_model("correlated")
    assert {"gamma", "tau"} & {row.name for row in numbers(rate)} == {"gamma"}
    assert {"gamma", "tau"} & {row.name for row in numbers(rate.replace(dynamics="continuous"))} == {"tau"}


def test_shares_keep_their_sum_when_one_is_moved():
    state = first_state(read_model("excitatory_inhibitory")).moved("fractions[e]", 0.6)
    np.testing.assert_allclose(state.model.fractions, [0.6, 0.4], atol=1e-15)
    with pytest.raises(InputError, match="fractions"):
        state.moved("fractions[e]", 1.5)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"gamma": "0.25"}, None),
        ({"gamma": "__import__('os')"}, "must be a number"),
        ({"no_such": "1"}, "no parameter of this page"),
        ({"gamma": "7"}, "must be"),
        ({"gamma": "nan"}, "must be"),
        ({"dynamics": "sideways"}, "must be one of"),
        ({"n": "1e9"}, "For more use `largen run`"),
        ({"networks": "2.5"}, "must be an integer"),
        ({"networks": "1e300"}, "must be at most 64"),
        ({"seed": "99999999999999999999999"}, "must be at most"),
        ({"seed": "inf"}, "must be at most"),
        ({"duration": "inf"}, "finite"),
        ({"theme": "light", "gamma": "0.25"}, None),
        ({"theme": "pink"}, "there are default, light, dark"),
        ({"example": "folded"}, "no example 'folded' of this system"),
    ],
)
def test_a_link_is_checked_like_a_file(query, words):
    model, example = read_model("correlated"), functools.partial(example_model, "rate")
    if words is None:
        state = read_link(query, model, example)
        assert write_link(state, model, example) == {"gamma": "0.25"}
    else:
        with pytest.raises(InputError, match=re.escape(words)):
            read_link(query, model, example)


def test_a_link_to_an_example_opens_it_and_its_changes():
    model, example = read_model("correlated"), functools.partial(example_model, "rate")
    query = {"example": "chaotic", "gain": "0.5", "n": "200"}
    state = read_link(query, model, example)
    assert state.model.value("kernel.variance") == 2.25
    assert write_link(state, model, example) == query
    page = Page("correlated", model, Jobs(), query=query)
    assert page.status.object.startswith("Limit: completed")
    assert page.form.values["tau"] == 1.0
    assert page.search == "?example=chaotic&gain=0.5&n=200"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            b"system: rate\nparameters: {gamma: !!python/object/apply:os.system [ls]}",
            "not allowed: write the value alone",
        ),
        (b"system: spiking\n", "open that system's page"),
    ],
)
def test_a_hostile_file_gives_a_message(rate_page, text, words):
    rate_page.sharing.take({"text": text.decode()})
    assert words in rate_page.status.object


def test_a_file_is_loaded_and_given_back(rate_page):
    model = read_model("correlated").replace(gamma=0.3, noise=0.7)
    rate_page.sharing.take({"text": model_text(model)})
    assert rate_page.form.values["noise"] == 0.7
    assert rate_page.sharing.yaml().getvalue().decode() == model_text(model)


VERDICTS = {
    "WITHIN TOLERANCE",
    "UNDECIDED",
    "FINITE-SIZE EFFECT",
    "THEORY DIFFERS",
    "BEYOND TOLERANCE, CAUSE UNDECIDED",
}


def wait_for(page, condition, seconds=180):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, page.runner.words
        page.poll()
        time.sleep(0.05)


@pytest.mark.long
def test_a_network_arrives_one_by_one_is_compared_and_kept(jobs, tmp_path):
    page = Page("correlated", read_model("correlated"), jobs, store=Store(tmp_path))
    page.set_values({"n": 200, "networks": 4})
    page.runner.start()
    wait_for(page, lambda: page.runner.job is None)
    assert page.runner.words.split(":")[0] in VERDICTS
    whole = ln.simulate(page.model, page.times, n=200, realisations=4, seed=1, lags=5)
    np.testing.assert_array_equal(page.runner.now.network["mean"], whole["mean"])
    assert page.runner.now.network.attrs["n"] == whole.attrs["n"]
    shown = data(page, "mean network")["y"]
    np.testing.assert_allclose(shown, whole["mean"].mean("realisation"), atol=1e-14)
    kept = sorted(tmp_path.glob("*.nc"))
    assert len(kept) == 4
    written = [path.stat().st_ino for path in kept]
    page.set_values({"networks": 5})  # four of the five are on disk
    page.runner.start()
    wait_for(page, lambda: page.runner.now.network is not None)
    process = page.runner.job.process
    page.take({"name": "networks", "text": "many"})  # does not touch what runs
    page.poll()
    page.runner.cancel()
    process.join(10)
    assert not process.is_alive()
    assert page.runner.words.startswith("Cancelled; 5 networks are shown")
    assert [path.stat().st_ino for path in kept] == written
    assert len(list(tmp_path.glob("*.nc"))) == 5
    np.testing.assert_array_equal(page.runner.now.network["mean"][:4], whole["mean"])


@pytest.mark.long
def test_a_spiking_network_brings_its_raster_and_density(jobs):
    page = Page("gamma", read_model("gamma"), jobs)
    page.set_values({"duration": 60.0, "networks": 2})
    page.runner.start()
    wait_for(page, lambda: page.runner.job is None)
    assert page.runner.words.split(":")[0] in VERDICTS
    assert len(data(page, "raster e")["x"]) > 0
    page.stage.tab.value = "Voltage"
    assert len(data(page, "density networke")["y"]) > 0


def test_too_many_or_too_large_networks_are_refused_with_a_message(rate_page):
    rate_page.load(rate_page.own)
    rate_page.jobs, before = Jobs(most_bytes=1e4), rate_page.jobs
    runner = rate_page.runner
    runner.start()
    assert "must fit in" in runner.words
    rate_page.jobs = full = Jobs(running=0, waiting=1)
    runner.start()
    runner.poll()
    assert runner.words.startswith("Waiting: 0 jobs")
    task = runner.job.task
    assert isinstance(task, Network)
    with pytest.raises(InputError, match="waiting already"):
        full.submit(task)
    runner.cancel()
    assert runner.words == "Cancelled before the first network was finished."
    rate_page.jobs = before


@pytest.mark.parametrize(
    ("box", "value", "words"),
    [("n", "10000000", "from 4 to 20000 neurons"), ("duration", "1e6", "from 10 to 100"), ("networks", "0", "from 1")],
)
def test_a_session_has_caps_that_say_what_is_allowed(rate_page, box, value, words):
    rate_page.load(rate_page.own)
    rate_page.take({"name": box, "text": value})
    assert words in rate_page.boxes.errors[box]
    rate_page.runner.start()
    assert words in rate_page.runner.words
    assert rate_page.runner.job is None
    rate_page.take({"name": box, "text": str(rate_page.state.value(box))})


@pytest.mark.long
def test_the_manifold_is_drawn_with_its_fold():
    page = Page("folded", read_model("folded"), Jobs())
    page.stage.tab.value = "Manifold"
    portrait = ln.analysis.phase_portrait(page.model, limit=page.limit, points=101)
    np.testing.assert_array_equal(data(page, "portrait fold")["x"], portrait["fold"].values[:, 0])
    drawn = {tuple(p) for kind in ("attracting", "repelling") for p in lines(page, f"portrait {kind}")}
    assert drawn == {tuple(p) for p in portrait["manifold"].values.tolist()}


def lines(page, name):
    found = data(page, name)
    return [p for xs, ys in zip(found["xs"], found["ys"], strict=True) for p in zip(xs, ys, strict=True)]


@pytest.mark.long
def test_a_diagram_is_followed_kept_and_a_click_loads_a_point(jobs, tmp_path):
    store = Store(tmp_path)
    page = Page("balanced", read_model("balanced"), jobs, store=store)
    page.stage.tab.value = "Bifurcations"
    panel = page.stage.diagrams
    panel.parameter.value, panel.end.value = "drive[e]", 0.7
    panel.start()
    wait_for(page, lambda: panel.job is None)
    assert "followed to the end" in panel.words.object
    diagram = ln.load(next(tmp_path.glob("*.nc")))
    assert rows_of(diagram) == panel.rows
    source = panel.view.sources["points"]
    np.testing.assert_array_equal(source.data["x"], diagram["parameter"])
    row = len(panel.rows) // 2
    source.selected.indices = [row]
    assert page.model.value("drive[e]") == panel.rows[row]["parameter"]
    assert page.limit["mean"].values[:, -1] == pytest.approx(panel.rows[row]["mean"], abs=1e-6)  # it stays there
    again = Page("balanced", read_model("balanced"), Jobs(running=0), store=store)
    again.stage.tab.value = "Bifurcations"
    again.stage.diagrams.end.value = 0.7
    again.stage.diagrams.start()  # from the store, for no job runs here
    assert again.stage.diagrams.rows == panel.rows
    page.set_values({"drive[e]": 0.66})
    panel.start()
    wait_for(page, lambda: panel.job.process is not None)
    process = panel.job.process
    page.close()
    process.join(10)
    assert not process.is_alive()


def test_what_is_kept_is_named_by_everything_it_depends_on_and_old_files_go(tmp_path):
    model = read_model("correlated")
    names = [
        key("network", model, np.arange(3.0), 1), key("network", model, np.arange(3.0), 2),
        key("network", model, np.arange(4.0), 1), key("network", model.replace(gamma=0.1), np.arange(3.0), 1),
    ]  # fmt: skip
    assert len(set(names)) == 4
    assert names[0] == key("network", read_model("correlated"), np.arange(3.0), 1)
    store = Store(tmp_path, most_bytes=40_000)
    limit = ln.solve_limit(model, np.arange(3.0))
    for name in "abcdefgh":
        store.put(name, limit)
    assert store.get("h").identical(limit)
    assert store.get("a") is None
    assert store.get(None) is None


def test_a_link_to_a_model_from_a_file_carries_it_or_says_that_it_does_not(rate_page):
    rate_page.load(rate_page.own)
    assert rate_page.search == ""
    rate_page.set_values({"gamma": 0.25, "networks": 4})
    assert rate_page.search == "?gamma=0.25&networks=4"
    rate_page.sharing.take({"text": model_text(rate_page.own.replace(gamma=0.3))})
    assert rate_page.search == "?gamma=0.3"
    rate_page.sharing.take({"text": model_text(ln.RateNetwork(activation="erf"))})
    assert rate_page.search == ""
    assert "No link carries this model" in rate_page.sharing.link.object
    rate_page.load(rate_page.own)


def test_a_thinned_line_keeps_its_extremes():
    y = np.random.default_rng(1).normal(size=50_001)
    kept = thin(y)
    assert len(kept) <= 6000
    assert y[kept].max() == y[:50_000].max()
    assert y[kept].min() == y[:50_000].min()


def test_symbols_are_written_as_the_papers_do():
    assert symbol(r"\tau_{ab}") == "<i>τ<sub>ab</sub></i>"
    assert symbol(r"\bar J") == "<i>J&#772;</i>"
    assert symbol(r"\bar\theta") == "<i>θ&#772;</i>"
    assert symbol("<b>") == "<i>&lt;b&gt;</i>"


def luminance(colour):
    parts = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def test_lines_are_of_the_palette_of_okabe_and_ito_and_are_seen_on_white_and_on_black():
    palette = {"#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"}
    assert {LIMIT, FROZEN, DYNAMIC, EXCITATORY[1], INHIBITORY[1]} <= palette
    for colour in (LIMIT, FROZEN, NETWORK):
        for ground in ("#ffffff", "#181818"):
            light, dark = sorted([luminance(colour), luminance(ground)], reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 3  # as WCAG 2 asks of graphics


def test_every_registered_system_has_a_page(tmp_path):
    store = Store(tmp_path)
    assert [Beginning(system, store).model.system for system in SYSTEMS] == list(SYSTEMS)


def test_without_the_extra_the_command_names_the_line_that_installs_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "panel", None)
    assert main(["explore"]) == 2
    assert "pip install 'largen[explorer]'" in capsys.readouterr().err
