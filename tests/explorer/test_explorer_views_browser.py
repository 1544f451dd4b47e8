"""Views of a page in a real browser: an uploaded recording, a ring and a sheet, a system of another package, layout."""

import os
import re
import shutil

import numpy as np
import pytest
from page_layout import WIDTHS, WRONG, wrong_layout
from test_explorer_browser import DRAWN, FOCUSED, PATIENCE, Server, axe_of, browser, downloaded, drawn  # noqa: F401

import largen as ln
from largen.explorer.export import LARGEST
from largen.systems import SYSTEMS

OWN = "examples/own_system/wilson_cowan"
TABLE = """name => [...document.querySelectorAll("*")].flatMap(e => [e, ...(e.shadowRoot?.querySelectorAll("*") ?? [])])
  .flatMap(e => [e, ...(e.shadowRoot?.querySelectorAll("*") ?? [])])
  .find(e => e.ariaLabel === name)?.innerText.trim().split(/\\s*[\\n\\t]+\\s*/) ?? []"""
"""Words of the table in a region, also of one within a component."""
TYPE = """() => { let e = document.activeElement;
                  while (e && e.shadowRoot && e.shadowRoot.activeElement) e = e.shadowRoot.activeElement;
                  return e?.type; }"""
IMAGE = """name => { const image = Bokeh.documents.map(d => d.get_model_by_name(name)).find(m => m)?.data.image[0];
                     return image ? [Array.from(image), image.shape] : [[], [0, 0]]; }"""


@pytest.fixture(scope="module")
def server(tmp_path_factory, request):
    """A server beside which another package with a system is installed."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(request.config.rootpath / OWN, folder / "wilson_cowan")
    about = folder / "wilson_cowan-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: wilson-cowan\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[largen.systems]\nwilson_cowan = wilson_cowan:WilsonCowan\n")
    paths = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", paths)
        made = Server(tmp_path_factory.mktemp("cache"))
    yield made
    made.process.kill()
    made.process.wait()
    made.process.stdout.close()


@pytest.fixture
def visit(server, browser):  # noqa: F811
    """Open pages of which nothing is said on the console and from which nothing leaves the machine."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    complaints, away = [], []
    context.on(
        "request", lambda one: None if one.url.startswith((server.url, "data:", "blob:")) else away.append(one.url)
    )

    def opened(address):
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(server.url + address)
        page.get_by_text("Limit:").wait_for()
        return page

    yield opened
    context.close()
    assert (complaints, away) == ([], [])


def tab_to(page, words, kind="", most=120):
    """Press Tab until something with these words has the focus, of a type of input if one is said."""
    for _ in range(most):
        if page.evaluate(FOCUSED).startswith(words) and (not kind or page.evaluate(TYPE) == kind):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{words} is not reached")


# A recording ---------------------------------------------------------------------------------------------------------


def table_of_spikes(path):
    rng = np.random.default_rng(3)
    rows = [f"{time:.3f},{k},{'e' if k < 30 else 'i'}\n" for k in range(40) for time in rng.uniform(0, 1500, 30)]
    path.write_text("time_ms,neuron,population\n" + "".join(rows))
    return path


def upload(page, path, **words):
    page.get_by_label("A recording to compare with").set_input_files(path)
    for name, text in words.items():
        page.locator(f"#recording-{name}").fill(text)
    page.get_by_role("button", name="Compare with it").click()


@pytest.mark.long
def test_an_uploaded_recording_is_compared_drawn_and_exported_into_a_file_that_opens_alone(visit, browser, tmp_path):  # noqa: F811
    spikes = table_of_spikes(tmp_path / "spikes.csv")
    page = visit("spiking")
    page.get_by_role("button", name="Files, text and link").click()
    assert page.get_by_role("button", name="Take the recording away").is_hidden()
    upload(page, spikes)
    page.get_by_text("Not compared. Argument `sizes` must be given").wait_for()
    page.get_by_text("What the file holds").click()
    upload(page, spikes, sizes="e=30 i=10", t_start="0", t_stop="1500", stretch="500")
    page.get_by_text("spikes.csv is compared with what the page shows").wait_for()
    page.get_by_text("3 runs of 500 ms, 30 of e, 10 of i.").wait_for()
    page.get_by_role("row", name="rate[e] (Hz)").get_by_text("%").first.wait_for()
    page.evaluate("Bokeh.documents.forEach(d => d._recompute_all_models())")  # else figures of before are found, too
    recorded = ln.read_recording(spikes, sizes={"e": 30, "i": 10}, t_start=0.0, t_stop=1500.0, stretch=500.0)
    y = drawn(page, "rate recordinge")[1]
    want = recorded["rate"].sel(population="e").mean("realisation").values[1:].reshape(-1, 10)
    np.testing.assert_allclose(y, want.mean(-1))
    assert wrong_layout(page) == []
    assert axe_of(page) == []
    names = ["rate limite", "rate limiti", "rate recordinge", "rate recordingi"]
    curves = {name: drawn(page, name) for name in names}
    words = page.evaluate(TABLE, "Statistics of the recording")
    assert len(words) > 40
    path = downloaded(page, "Download the page (HTML)", tmp_path / "page.html")
    assert path.stat().st_size <= LARGEST
    alone, asked = browser.new_context(offline=True), []
    alone.on("request", lambda one: asked.append(one.url))
    copy = alone.new_page()
    copy.on("console", lambda m: asked.append(m.text) if m.type in ("error", "warning") else None)
    copy.goto(f"file://{path}")
    for name, curve in curves.items():
        np.testing.assert_array_equal(drawn(copy, name), curve)
    assert len(drawn(copy, "spectrum recordingi")[0]) > 50  # of a tab that was never opened
    assert copy.evaluate(TABLE, "Statistics of the recording") == words
    assert "strength:" in copy.locator("#model").inner_text()
    assert asked == [f"file://{path}"]
    alone.close()
    page.get_by_role("button", name="Take the recording away").click()
    page.get_by_text("The recording is taken away.").wait_for()
    page.get_by_text("3 runs of 500 ms").wait_for(state="hidden")
    gone = "d => { d._recompute_all_models(); return !d.get_model_by_name('rate recordinge'); }"
    page.wait_for_function(f"() => Bokeh.documents.every({gone})")


@pytest.mark.long
def test_a_recording_that_is_too_large_or_hostile_gives_a_sentence_and_the_page_goes_on(visit):
    page = visit("spiking")
    page.get_by_role("button", name="Files, text and link").click()
    page.get_by_role("button", name="Compare with it").click()
    page.get_by_text("Choose the file of a recording first.").wait_for()
    for name, image, words in (
        ("big.csv", b"#" * 13_000_000, "must be at most 12 MB, but has 13.0 MB"),
        ("large.csv", b"#" * 11_900_000, "Not compared. File `large.csv` is no table that can be read"),
        ("../x.npz", b"\x80\x04junk", "is no table that can be read"),
        ("<img src=x onerror=window.hacked=1>.nwb", b"junk", "is no HDF5 file that can be read"),
        ("x.sh", b"touch /tmp/hacked", "must end in"),
    ):
        upload(page, {"name": name, "mimeType": "text/plain", "buffer": image})
        page.get_by_text(words).wait_for()
    assert page.evaluate("window.hacked") is None
    page.get_by_role("slider", name="strength[e,e]").press("ArrowRight")
    page.wait_for_url(lambda address: "strength" in address)


# Space ---------------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_ring_runs_by_the_keyboard_alone_and_its_map_is_that_of_the_network(visit, theme):
    page = visit(f"spiking?example=ring&networks=1&duration=60&theme={theme}")
    tab_to(page, "Run the network")
    page.keyboard.press("Enter")
    page.get_by_text(re.compile("TOLERANCE|UNDECIDED|DIFFERS|EFFECT")).wait_for()
    tab_to(page, "Space")
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => ({IMAGE})('map network map')[0].length")
    values, shape = page.evaluate(IMAGE, "map network map")
    model = ln.read_model("ring")
    network = ln.simulate(model, np.arange(0, 60.05, 0.1), realisations=1, seed=1)
    rates = network["patch_rate"].values[0, 0, :, 1:]
    wide = rates.shape[1] // shape[1]
    np.testing.assert_allclose(
        np.reshape(values, shape), rates[:, : shape[1] * wide].reshape(24, shape[1], wide).mean(-1), atol=1e-9
    )
    assert len(page.evaluate(IMAGE, "map limit map")[0]) == len(values)
    assert wrong_layout(page) == []
    assert axe_of(page) == []
    page.get_by_role("combobox", name="Population").first.select_option("i")
    page.wait_for_function(f"old => ({IMAGE})('map limit map')[0].some((v, k) => v !== old[k])", arg=values)
    page.get_by_role("button", name="Table").first.focus()
    page.keyboard.press("Enter")
    page.get_by_role("columnheader", name="x \\ time (ms)").first.wait_for()
    assert wrong_layout(page, WIDTHS[:1]) == []


@pytest.mark.long
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_sheet_is_a_movie_that_plays_stops_and_goes_to_a_time_by_the_keyboard(visit, theme):
    page = visit(f"spiking?example=sheet&networks=1&duration=50&theme={theme}")
    tab_to(page, "Space")
    page.keyboard.press("Enter")
    title = "() => Bokeh.documents.map(d => d.get_model_by_name('map limit figure')).find(m => m)?.title.text"
    page.wait_for_function(f"() => ({title})()?.includes('at 50 ms')")
    tab_to(page, "Play")
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => !({title})().includes('at 50 ms')")
    assert axe_of(page) == []
    tab_to(page, "Play")
    page.keyboard.press("Enter")
    page.wait_for_timeout(1000)
    stopped = page.evaluate(title)
    page.wait_for_timeout(600)
    assert page.evaluate(title) == stopped
    box = page.get_by_role("textbox", name="Time (ms)").first
    box.fill("20")
    box.press("Enter")
    page.wait_for_function(f"() => ({title})().includes('at 20 ms')")
    page.get_by_role("button", name="Run the network").click()
    page.get_by_text(re.compile("TOLERANCE|UNDECIDED|DIFFERS|EFFECT")).wait_for()
    page.wait_for_function(f"() => ({IMAGE})('map network map')[1][0] === 11")
    assert wrong_layout(page) == []
    assert axe_of(page) == []


# A system of another package -----------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_system_of_another_package_has_its_page(visit):
    page = visit("wilson_cowan")
    assert "wilson_cowan" not in SYSTEMS  # it is not installed here
    assert page.get_by_role("link", name="wilson cowan").get_attribute("aria-current") == "page"
    for tab in ("Activity", "Phase plane", "Distance and n"):
        page.get_by_role("button", name=tab, exact=True).wait_for()
    before = drawn(page, "active limite")
    page.get_by_role("slider", name="coupling[e,e]").press("ArrowRight")
    page.wait_for_url(lambda address: "coupling" in address)
    page.wait_for_function(f"old => ({DRAWN})('active limite')[1].some((y, k) => y !== old[k])", arg=before[1].tolist())
    page.get_by_role("button", name="Run the network").click()
    page.get_by_text(re.compile("TOLERANCE|UNDECIDED|DIFFERS|EFFECT")).wait_for()
    assert len(drawn(page, "active networke")[1]) > 10
    assert len(drawn(page, "curves inhibitory share of the activity networkshare")[1]) > 10
    page.get_by_role("button", name="Phase plane", exact=True).click()
    page.wait_for_function(
        "() => Bokeh.documents.some(d => d.get_model_by_name('portrait nullcline0')?.data.xs.length)"
    )
    assert wrong_layout(page) == []
    assert axe_of(page) == []


# Layout --------------------------------------------------------------------------------------------------------------

TABS = {
    "spiking": ("Rates", "Spectra", "Orbit", "Voltage", "Bifurcations"),
    "balanced": ("Means and variances", "Rates", "Manifold", "Fast eigenvalues", "Bifurcations"),
    "rate": ("Mean", "Correlation and lag", "Surfaces", "Distance and n"),
    "rate_populations": ("Mean", "Variance", "Eigenvalues"),
    "wilson_cowan": ("Activity", "Phase plane"),
}


@pytest.mark.long
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("system", TABS)
def test_nothing_overlaps_is_cut_off_or_scrolls_sideways_on_any_tab(visit, system, theme):
    page = visit(f"{system}?theme={theme}")
    page.get_by_role("button", name="Files, text and link").click()
    page.get_by_text("What the file holds").click()
    for ask in page.get_by_role("button", name="What is").all()[:6]:
        ask.click()
    for tab in TABS[system]:
        page.get_by_role("button", name=tab, exact=True).click()
        page.wait_for_timeout(500)
        assert wrong_layout(page) == [], tab


def test_what_is_wrong_with_a_layout_is_found(browser):  # noqa: F811
    page = browser.new_page(viewport={"width": 600, "height": 400})
    page.set_content("<p style='width: 300px'>one</p><button style='width: 200px'>two</button>")
    assert page.evaluate(WRONG) == []
    for more, what in (
        ("<button style='position: absolute; left: 9px; top: 20px'>over</button>", "overlap"),
        ("<p style='width: 900px'>wide</p>", "scrolls sideways"),
        ("<button style='width: 30px; overflow: hidden; white-space: nowrap'>much too long</button>", "clipped"),
        ("<p style='position: absolute; left: -50px; top: 200px'>away</p>", "out of the page"),
        ("<label style='display: block; width: 20px'>toolongaword</label>", "text stands out"),
    ):
        page.set_content(f"<p style='width: 300px'>one</p>{more}")
        assert what in {one[0] for one in page.evaluate(WRONG)}
    page.close()
