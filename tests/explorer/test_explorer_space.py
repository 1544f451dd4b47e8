"""The view of space shows the observable of the patches; small pictures of the examples."""

import xml.etree.ElementTree as ET

import numpy as np
import xarray as xr

import largen as ln
from largen.explorer.examples import gallery, thumbnail_svg, thumbnails
from largen.explorer.jobs import Jobs, Network, Realisation
from largen.explorer.page import Page
from largen.explorer.settings import limit_options_of
from largen.explorer.views import views_of
from largen.explorer.views_space import ActivityMap
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
