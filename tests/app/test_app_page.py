"""The explorer's page without a browser: sliders, links, files, the network in its own process."""

import time

import numpy as np
import pytest

import largen as ln
from largen.app.form import numbers
from largen.app.jobs import Jobs
from largen.app.page import SETTINGS, Page
from largen.checks import InputError
from largen.files import model_text, read_model


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
    limit = ln.solve_limit(model, np.arange(21.0))
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
        ({"no_such": "1"}, "no number of this model"),
        ({"gamma": "7"}, "must be"),
        ({"gamma": "nan"}, "must be"),
    ],
)
def test_a_link_is_checked_like_a_file(rate_page, query, words):
    rate_page.load(rate_page.base)
    rate_page.read_link(query)
    if words is None:
        assert rate_page.changes() == {"gamma": 0.25}
    else:
        assert words in rate_page.status.object
        assert rate_page.changes() == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"system: rate\nparameters: {gamma: !!python/object/apply:os.system [ls]}", "not a YAML file"),
        (b"system: spiking\n", "open that system's page"),
        (b"\xff\xfe", "Not loaded"),
        (b"#" * 1_000_002, "at most 1 MB"),
    ],
)
def test_a_hostile_file_gives_a_sentence(rate_page, text, words):
    rate_page.upload.value = text
    assert words in rate_page.status.object


def test_a_file_is_loaded_and_given_back(rate_page):
    model = read_model("correlated").replace(gamma=0.3, noise=0.7)
    rate_page.upload.value = model_text(model).encode()
    assert rate_page.base.value("noise") == 0.7
    assert rate_page._yaml().getvalue().decode() == model_text(model)


def wait_for(page, condition, seconds=180):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, page.verdict.object
        page.poll()
        time.sleep(0.05)


def test_a_network_arrives_one_realisation_after_another_and_is_compared(jobs):
    page = Page("correlated", read_model("correlated"), jobs)
    page.n.value, page.realisations.value = 200, 4
    page.start()
    wait_for(page, lambda: page.job is None)
    assert page.verdict.object.startswith("Verdict:")
    whole = ln.simulate(page.model, page.times, n=200, realisations=4, seed=1)
    np.testing.assert_array_equal(page.network["mean"], whole["mean"])
    shown = data(page, "mean network")["y"]
    np.testing.assert_allclose(shown, whole["mean"].mean("realisation"), atol=1e-14)
    page.start()
    wait_for(page, lambda: page.job.process is not None)
    process = page.job.process
    page.cancel()
    process.join(10)
    assert not process.is_alive()
    assert page.verdict.object.startswith("Cancelled")


def test_a_spiking_network_brings_its_raster_and_density(jobs):
    page = Page("gamma", read_model("gamma"), jobs)
    page.stop.value, page.realisations.value = 60.0, 2
    page.start()
    wait_for(page, lambda: page.job is None)
    assert page.verdict.object.startswith("Verdict:")
    assert len(data(page, "raster e")["x"]) > 0
    page.shown.active = list(page.tabs).index("Voltage")
    assert len(data(page, "density networke")["y"]) > 0


def test_too_many_or_too_large_networks_are_refused_with_a_sentence(jobs, rate_page):
    rate_page.load(rate_page.base)
    rate_page.n.value = 100_000
    rate_page.jobs, before = Jobs(most_bytes=1e4), rate_page.jobs
    rate_page.start()
    assert "must let the network fit" in rate_page.verdict.object
    rate_page.jobs = before
    task = type("Task", (), {"model": rate_page.model, "times": rate_page.times, "n": 10, "realisations": 1})
    task.record = ()
    full = Jobs(running=0, waiting=1)
    full.submit(task)
    with pytest.raises(InputError, match="waiting already"):
        full.submit(task)


def test_every_system_has_a_page():
    assert set(SETTINGS) == {"spiking", "balanced", "rate"}
