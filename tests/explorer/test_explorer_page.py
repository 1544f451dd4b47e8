"""The explorer's page without a browser: sliders, links, files, the network in its own process."""

import sys
import time

import numpy as np
import pytest

import largen as ln
from largen.checks import InputError
from largen.commands.main import main
from largen.explorer.diagrams import rows_of
from largen.explorer.form import numbers, symbol
from largen.explorer.jobs import Jobs, Network
from largen.explorer.page import Page
from largen.explorer.server import first_models
from largen.explorer.store import Store, key
from largen.explorer.view import DYNAMIC, FROZEN, LIMIT, NETWORK, thin
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
    views = [view for views in page.tabs.values() for view in views]
    return next(v.sources[name].data for v in views for name in v.sources if f"{v.key} {name}" == key)


def test_every_number_of_the_model_has_a_slider_that_reaches_it():
    for example in ("gamma", "balanced", "correlated"):
        model = read_model(example)
        for number in numbers(model):
            assert number.low <= number.value <= number.high
            assert number.value == model.value(number.name)
            model.replace(**{number.name: number.high})


def test_a_moved_slider_shows_what_solve_limit_gives(rate_page):
    rate_page.sliders["gamma"].value = 0.5
    model = read_model("correlated").replace(gamma=0.5)
    limit = ln.solve_limit(model, np.arange(21.0), lags=5)
    np.testing.assert_array_equal(data(rate_page, "mean limit")["y"], limit["mean"].values)
    assert rate_page.changes() == {"gamma": 0.5}
    rate_page.load(rate_page.base)
    assert rate_page.changes() == {}


def test_a_model_without_a_limit_keeps_the_picture_and_says_why(jobs):
    page = Page("balanced", read_model("balanced"), jobs)
    before = data(page, "mean limite")["y"].copy()
    page.sliders["drive[e]"].value = 60.0
    assert page.status.object.startswith("No limit here.")
    np.testing.assert_array_equal(data(page, "mean limite")["y"], before)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"gamma": "0.25"}, None),
        ({"gamma": "__import__('os')"}, "not a number"),
        ({"no_such": "1"}, "no parameter of this page"),
        ({"gamma": "7"}, "must be"),
        ({"gamma": "nan"}, "must be"),
        ({"dynamics": "sideways"}, "must be one of"),
        ({"n": "1e9"}, "For more use `largen run`"),
        ({"networks": "2.5"}, "not an integer"),
        ({"duration": "inf"}, "finite"),
        ({"theme": "light", "gamma": "0.25"}, None),
        ({"theme": "pink"}, "there are default, light, dark"),
    ],
)
def test_a_link_is_checked_like_a_file(rate_page, query, words):
    rate_page.load(rate_page.base)
    rate_page.sharing.read_link(query)
    if words is None:
        assert rate_page.changes() == {"gamma": 0.25}
    else:
        assert words in rate_page.status.object
        assert rate_page.changes() == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            b"system: rate\nparameters: {gamma: !!python/object/apply:os.system [ls]}",
            "not allowed: write the value alone",
        ),
        (b"system: spiking\n", "open that system's page"),
        (b"\xff\xfe", "Not loaded"),
        (b"#" * 1_000_002, "at most 1 MB"),
    ],
)
def test_a_hostile_file_gives_a_message(rate_page, text, words):
    rate_page.sharing.upload.value = text
    assert words in rate_page.status.object


def test_a_file_is_loaded_and_given_back(rate_page):
    model = read_model("correlated").replace(gamma=0.3, noise=0.7)
    rate_page.sharing.upload.value = model_text(model).encode()
    assert rate_page.base.value("noise") == 0.7
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
        assert time.monotonic() < until, page.verdict.object
        page.poll()
        time.sleep(0.05)


@pytest.mark.long
def test_a_network_arrives_one_by_one_is_compared_and_kept(jobs, tmp_path):
    page = Page("correlated", read_model("correlated"), jobs, store=Store(tmp_path))
    page.n.value, page.realisations.value = 200, 4
    page.start()
    wait_for(page, lambda: page.job is None)
    assert page.verdict.object.split(":")[0] in VERDICTS
    whole = ln.simulate(page.model, page.times, n=200, realisations=4, seed=1, lags=5)
    np.testing.assert_array_equal(page.network["mean"], whole["mean"])
    assert page.network.attrs["n"] == whole.attrs["n"]
    shown = data(page, "mean network")["y"]
    np.testing.assert_allclose(shown, whole["mean"].mean("realisation"), atol=1e-14)
    kept = sorted(tmp_path.glob("*.nc"))
    assert len(kept) == 4
    written = [path.stat().st_ino for path in kept]
    page.realisations.value = 5  # four of the five are on disk
    page.start()
    wait_for(page, lambda: page.network is not None)
    process = page.job.process
    page.cancel()
    process.join(10)
    assert not process.is_alive()
    assert page.verdict.object.startswith("Cancelled")
    assert [path.stat().st_ino for path in kept] == written
    assert len(list(tmp_path.glob("*.nc"))) == 5
    np.testing.assert_array_equal(page.network["mean"][:4], whole["mean"])


@pytest.mark.long
def test_a_spiking_network_brings_its_raster_and_density(jobs):
    page = Page("gamma", read_model("gamma"), jobs)
    page.duration.value, page.realisations.value = 60.0, 2
    page.start()
    wait_for(page, lambda: page.job is None)
    assert page.verdict.object.split(":")[0] in VERDICTS
    assert len(data(page, "raster e")["x"]) > 0
    page.tab.value = "Voltage"
    assert len(data(page, "density networke")["y"]) > 0


def test_too_many_or_too_large_networks_are_refused_with_a_message(rate_page):
    rate_page.load(rate_page.base)
    rate_page.jobs, before = Jobs(most_bytes=1e4), rate_page.jobs
    rate_page.start()
    assert "must fit in" in rate_page.verdict.object
    rate_page.jobs = full = Jobs(running=0, waiting=1)
    rate_page.start()
    rate_page.poll()
    assert rate_page.verdict.object.startswith("Waiting: 0 jobs")
    task = rate_page.job.task
    assert isinstance(task, Network)
    with pytest.raises(InputError, match="waiting already"):
        full.submit(task)
    rate_page.close()
    rate_page.jobs = before


@pytest.mark.parametrize(
    ("box", "value", "words"),
    [("n", 10**7, "from 4 to 20000 neurons"), ("networks", 1000, "from 1 to 64"), ("duration", 1e6, "from 10 to 100")],
)
def test_a_session_has_caps_that_say_what_is_allowed(rate_page, box, value, words):
    before = rate_page.boxes[box].value
    rate_page.boxes[box].value = value
    assert words in rate_page.status.object
    rate_page.start()
    assert words in rate_page.verdict.object
    assert rate_page.job is None
    rate_page.boxes[box].value = before


@pytest.mark.long
def test_the_manifold_is_drawn_with_its_fold():
    page = Page("folded", read_model("folded"), Jobs())
    page.tab.value = "Manifold"
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
    page.tab.value = "Bifurcations"
    panel = page.diagrams
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
    again.tab.value = "Bifurcations"
    again.diagrams.end.value = 0.7
    again.diagrams.start()  # from the store, for no job runs here
    assert again.diagrams.rows == panel.rows
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
    sharing = rate_page.sharing
    rate_page.load(rate_page.origin)
    assert sharing.asked() == {}
    rate_page.set_values({"gamma": 0.25, "networks": 4})
    assert sharing.asked() == {"gamma": "0.25", "networks": "4"}
    sharing.upload.value = model_text(rate_page.origin.replace(gamma=0.3)).encode()
    assert sharing.asked() == {"gamma": "0.3", "networks": "4"}
    sharing.upload.value = model_text(ln.RateNetwork(activation="erf")).encode()
    assert sharing.asked() is None
    rate_page.load(rate_page.origin)


def test_a_thinned_line_keeps_its_extremes():
    y = np.random.default_rng(1).normal(size=50_001)
    kept = thin(y)
    assert len(kept) <= 6000
    assert y[kept].max() == y[:50_000].max()
    assert y[kept].min() == y[:50_000].min()


def test_symbols_are_written_as_the_papers_do():
    assert symbol(r"\tau_{ab}") == "<i>τ<sub>ab</sub></i>"
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


def test_every_registered_system_has_a_page():
    models, names = first_models()
    assert list(models) == list(names) == list(SYSTEMS)
    assert all(model.system == system for system, model in models.items())


def test_without_the_extra_the_command_names_the_line_that_installs_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "panel", None)
    assert main(["explore"]) == 2
    assert "pip install 'largen[explorer]'" in capsys.readouterr().err
