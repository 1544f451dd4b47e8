"""The view of space shows the observable of the patches; small pictures of the examples."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
import xarray as xr

import largen as ln
from largen.checks import InputError
from largen.explorer.copying import text_of
from largen.explorer.examples import gallery, thumbnail_svg, thumbnails
from largen.explorer.form import run_groups
from largen.explorer.jobs import Jobs, Network, Realisation
from largen.explorer.links import read_link, write_link
from largen.explorer.page import Page
from largen.explorer.settings import limit_options_of, run_of
from largen.explorer.state import same
from largen.explorer.views import views_of
from largen.explorer.views_space import ActivityMap
from largen.explorer.waves import SMALL, perturbation_of
from largen.io.model_files import read_model
from largen.system import pictures


def dataset(counts, lengths, steps=11):
    """Patches of a ring or sheet with two populations."""
    centres = np.meshgrid(
        *[(np.arange(m) + 0.5) * size / m for m, size in zip(counts, lengths, strict=True)], indexing="ij"
    )
    many = int(np.prod(counts))
    values = np.random.default_rng(1).normal(size=(2, many, steps))
    coords = {name: ("patch", at.ravel()) for name, at in zip("xy", centres, strict=False)}
    return xr.Dataset(
        {"patch_rate": (("population", "patch", "time"), values, {"units": "Hz", "long_name": "rate of a patch"})},
        {**coords, "population": ["e", "i"], "time": ("time", 2.0 * np.arange(steps), {"units": "ms"})},
    )  # fmt: skip


def test_a_ring_is_drawn_against_time_population_by_population():
    found = dataset((8,), (2.0,))
    picture = pictures.ActivityMap("patch_rate", "limit")
    assert ActivityMap.fits(picture, found)
    assert not ActivityMap.fits(picture, found.drop_vars("x"))
    view = ActivityMap.of(found, picture)
    view.draw(found, [])
    image = view.sources["map"].data
    np.testing.assert_array_equal(image["image"][0], found["patch_rate"].values[0, :, 1:])
    assert (image["x"], image["dw"], image["dh"]) == ([1.0], [20.0], [2.0])
    view.population.value = "i"
    np.testing.assert_array_equal(view.sources["map"].data["image"][0], found["patch_rate"].values[1, :, 1:])
    assert view.figure.title.text == "limit: rate of a patch, i"


def test_a_sheet_is_a_movie_whose_time_can_be_typed_and_whose_end_leads_to_its_beginning():
    found = dataset((3, 4), (3.0, 4.0))
    view = ActivityMap.of(found, pictures.ActivityMap("patch_rate", "network"))
    view.draw(found, [])
    assert len(view.sources["map"].data["image"]) == 0
    view.draw(found, [found.expand_dims("realisation")])
    assert view.figure.title.text.endswith("at 20 ms")
    view._typed({"name": "time", "text": "7.1"})
    want = found["patch_rate"].values[0, :, 4].reshape(3, 4).T  # at 8 ms; the picture's rows go up in y
    np.testing.assert_array_equal(view.sources["map"].data["image"][0], want)
    assert view.slider.values == {"time": 8.0}
    for text in ("x", "nan", "inf", "1e400", ""):
        view._typed({"name": "time", "text": text})
    assert view.slider.values == {"time": 8.0}
    view._typed({"text": "20"})
    view.step()
    assert view.slider.values == {"time": 2.0}
    view.play.value = True  # without a browser nothing beats
    view.play.value = False


def test_models_with_space_record_their_patches_and_show_them():
    model = ln.SpikingNetwork.ring()
    assert limit_options_of(model)["record"] == ("patch_rate",)
    assert limit_options_of(model.replace(space=None, kernel=None))["record"] == ("voltage_density",)
    found = dataset((24,), (1.0,))
    assert "Space" in views_of(model, found)
    assert "Space" not in views_of(model, found.drop_vars("patch_rate"))


def test_a_ring_runs_from_its_page_and_its_network_has_patches():
    model = ln.BalancedNetwork(space=ln.Ring(4), kernel=((ln.CosineKernel(0.1),) * 2,) * 2)
    page = Page("ring", model, Jobs(running=0))
    page.set_values({"n": 400, "networks": 2, "duration": 1.0})
    page.runner.start()
    assert isinstance(page.runner.job.task, Network), page.runner.words
    sent = []
    page.runner.job.task.run(sent.append)
    page.runner.cancel()
    first = next(one for one in sent if isinstance(one, Realisation))
    view = next(view for view in views_of(model, page.limit)["Space"]() if view.who == "network")
    view.draw(page.limit, [first.run])
    np.testing.assert_array_equal(view.sources["map"].data["image"][0], first.run["patch_mean"].values[0, 0, :, 1:])


def test_examples_have_small_pictures_that_hold_nothing_but_their_lines():
    assert set(thumbnails()) == set(gallery())
    for name, drawn in thumbnails().items():
        root = ET.fromstring(thumbnail_svg(drawn))
        marks = list(root.iter())[1:]
        assert marks, name
        assert {one.tag for one in marks} <= {"path", "rect", "g"}
        looks = {one.get("opacity") for one in marks} if "map" in drawn else set(" ".join(drawn.values()).split()[1::2])
        assert len(looks) > 4, name  # neither blank nor flat
    rows = ["09", "90"]
    assert [one.get("opacity") for one in ET.fromstring(thumbnail_svg({"map": rows})).iter("rect")] == ["1.00", "1.00"]
    assert "<b>" not in thumbnail_svg({"": '"><b>'})
    assert thumbnail_svg({}) == ""


@pytest.fixture(scope="module")
def ring_page():
    return Page("ring", read_model("ring"), Jobs(running=0), query={"duration": "20"})


def test_a_limit_starts_with_the_wave_that_the_page_asks_for_and_every_text_says_so(ring_page):
    page = ring_page
    labels = [row["label"] for row in page.boxes.groups[0]["rows"]]
    assert labels[-2:] == ["Perturbation", "Its mode"]
    assert page.state.run[-2:] == (0.0, "1")
    assert float(page.limit["patch_rate"].std("patch").max()) < 1e-12
    assert "perturbation" not in text_of("Python", page.state, page.opening, "ring")
    page.set_values({"perturbation": 0.1, "perturbation_mode": " 2 "})
    assert page.limit.attrs["perturbation"] == 0.1
    rates = page.limit["patch_rate"].sum("time").isel(population=0).values
    np.testing.assert_allclose(rates[:12], rates[12:], rtol=1e-6)
    assert np.ptp(rates) > 1e-4 * rates.mean()
    opening = page.opening._replace(options=page.options, network_options=page.network_options)
    for kind, words in (
        ("Python", "perturbation=(0.1, 2)"), ("Command line", "--option 'perturbation=[0.1, 2]'"),
        ("YAML", "# with --option perturbation=[0.1, 2]"),
    ):  # fmt: skip
        assert words in text_of(kind, page.state, opening, "ring"), kind
    assert "perturbation" not in page.network_options  # networks of spikes start by themselves
    link = write_link(page.state, page.own, page.example)
    assert {name: link[name] for name in ("perturbation", "perturbation_mode")} == {
        "perturbation": "0.1", "perturbation_mode": "2",
    }  # fmt: skip
    assert same(read_link(link, page.own, page.example), page.state)
    page.set_values({"perturbation": 0.0})
    assert float(page.limit["patch_rate"].std("patch").max()) < 1e-12


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("perturbation", "1", "below 1"),
        ("perturbation", "x", "must be a number"),
        ("perturbation", "nan", "finite"),
        ("perturbation_mode", "2, 0", "an integer, such as 2"),
        ("perturbation_mode", "x", "an integer, such as 2"),
        ("perturbation_mode", "13", "at most half of the 24 patches"),
    ],
)
def test_a_wave_that_the_patches_cannot_hold_is_said_beside_its_box(ring_page, name, text, words):
    before = ring_page.state
    ring_page.take({"name": name, "text": text})
    assert words in ring_page.boxes.errors[name]
    assert ring_page.state is before
    ring_page.show(before)


def test_a_wave_that_would_grow_is_started_by_a_button(ring_page):
    page = ring_page
    page.show(page.state)
    assert not page.wave.button.visible
    page.limit = page.limit.assign_attrs(growing_mode=np.array([2]))
    page.show(page.state)
    assert page.wave.button.visible
    page.wave.start()
    assert page.state.run[-2:] == (SMALL, "2")
    assert page.limit.attrs["perturbation"] == SMALL
    assert not page.wave.button.visible


def test_a_model_without_space_refuses_a_wave_and_has_no_box_for_one():
    model = read_model("gamma")
    assert len(run_groups(model)[0]["rows"]) == 4
    with pytest.raises(InputError, match="`perturbation` must be 0 for a model without `space`"):
        read_link({"perturbation": "0.1"}, model, read_model)


def test_networks_of_a_system_that_takes_a_wave_start_with_it_too():
    model = ln.BalancedNetwork(space=ln.Ring(4), kernel=ln.GaussianKernel(0.2, cutoff=2))
    run = run_of(model)._replace(perturbation=0.01)
    assert perturbation_of(model, run, "network") == perturbation_of(model, run) == {"perturbation": (0.01, 1)}
    torus = model.replace(space=ln.Torus((4, 3), length=(2.0, 1.0)))
    assert run_of(torus).perturbation_mode == "1, 0"
    assert perturbation_of(torus, run_of(torus)._replace(perturbation=0.01)) == {"perturbation": (0.01, (1, 0))}
