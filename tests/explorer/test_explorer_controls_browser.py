"""Every control of a page in a real browser, and from its start to the exported file by the keyboard alone."""

import re
import urllib.parse

import numpy as np
import pytest
from page_layout import wrong_layout
from playwright.sync_api import expect
from test_explorer_browser import (  # noqa: F401
    DRAWN,
    PATIENCE,
    asked,
    axe_of,
    browser,
    downloaded,
    drawn,
    server,
    visit,
    wait_until,
)  # fmt: skip
from test_explorer_views_browser import tab_to

import largen as ln

VERDICT = re.compile("TOLERANCE|UNDECIDED|DIFFERS|EFFECT")
SETTLED = "want => location.search === want"


@pytest.fixture
def page(visit):  # noqa: F811
    made = visit("rate?n=200&networks=3")
    made.set_default_timeout(PATIENCE)
    made.get_by_text("Limit:").wait_for()
    return made


def value(page, name):
    return page.get_by_role("slider", name=name).get_attribute("aria-valuetext")


@pytest.mark.long
def test_undo_redo_reset_typed_values_help_and_n(page):
    box = page.get_by_role("textbox", name="gamma", exact=True)
    box.fill("0.25")
    box.press("Enter")
    page.wait_for_function(SETTLED, arg="?gamma=0.25&n=200&networks=3")
    assert value(page, "gamma") == "0.25"
    page.get_by_role("slider", name="Neurons n").press("ArrowRight")
    page.wait_for_function(SETTLED, arg="?gamma=0.25&n=210&networks=3")
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function(SETTLED, arg="?gamma=0.25&n=200&networks=3")
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function(SETTLED, arg="?n=200&networks=3")
    page.get_by_role("button", name="Redo").click()
    page.wait_for_function(SETTLED, arg="?gamma=0.25&n=200&networks=3")
    page.keyboard.press("Control+z")
    page.wait_for_function(SETTLED, arg="?n=200&networks=3")
    page.keyboard.press("Control+Shift+z")
    page.wait_for_function(SETTLED, arg="?gamma=0.25&n=200&networks=3")
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function(SETTLED, arg="")
    assert value(page, "gamma") == "0.7"
    box.fill("7")
    box.press("Enter")
    page.get_by_text("must be at most 1").wait_for()
    assert box.get_attribute("aria-invalid") == "true"
    page.get_by_role("button", name="Run the network").click()
    page.get_by_text("Mend the box `gamma` first.").wait_for()
    ask = page.get_by_role("button", name="What is gamma?")
    ask.click()
    assert ask.get_attribute("aria-expanded") == "true"
    page.get_by_text("In files and in Python gamma.").wait_for()


@pytest.mark.long
def test_the_picture_opens_the_sliders_of_what_is_clicked_and_the_equations_unfold(visit):  # noqa: F811
    page = visit("spiking")
    page.set_default_timeout(PATIENCE)
    arrow = page.locator("[data-pick='[e,i]']").first
    arrow.focus()
    page.keyboard.press("Enter")
    page.get_by_role("slider", name="strength[e,e]").wait_for(state="hidden")
    assert arrow.get_attribute("aria-pressed") == "true"
    before = arrow.evaluate("one => one.outerHTML")
    slider = page.get_by_role("slider", name="strength[e,i]")
    for _ in range(3):
        slider.press("PageUp")
    page.wait_for_url(lambda address: "strength" in address)
    wait_until(lambda: arrow.evaluate("one => one.outerHTML") != before)  # the arrow moves with its slider
    page.locator("[data-pick='[e,i]']").first.focus()
    page.keyboard.press("Enter")
    page.get_by_role("slider", name="strength[e,e]").wait_for()
    page.get_by_text("The limit's equations with these numbers").click()
    page.locator(".katex").first.wait_for()


@pytest.mark.long
def test_pin_and_theme_keep_what_they_should(page):
    lines = """name => Bokeh.documents.map(d => d.get_model_by_name(name)).find(m => m).renderers
      .filter(r => r.level === "underlay").map(r => Array.from(r.data_source.data.y))"""
    before = drawn(page, "mean limit")[1]
    page.get_by_role("button", name="Pin as A").click()
    page.get_by_role("button", name="A is pinned: faint lines").wait_for()
    page.get_by_role("slider", name="gamma").press("PageDown")
    page.wait_for_function(f"old => ({DRAWN})('mean limit')[1].some((y, k) => y !== old[k])", arg=before.tolist())
    assert any(np.array_equal(line, before) for line in page.evaluate(lines, "mean figure"))
    page.get_by_role("button", name="A is pinned: faint lines").click()
    page.wait_for_function(f"name => !({lines})(name).length", arg="mean figure")
    page.wait_for_url(lambda address: "gamma" in address)
    kept = asked(page)
    page.get_by_role("link", name="dark theme").click()
    page.wait_for_url(lambda address: "theme=dark" in address)
    page.get_by_text("Limit:").wait_for()
    assert asked(page) == {"theme": "dark"} | kept
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(24, 24, 24)"
    page.get_by_role("link", name="balanced", exact=True).first.click()
    page.get_by_role("heading", name="The balanced system").wait_for()
    assert page.evaluate("document.body.className").startswith("dark")


@pytest.mark.long
def test_every_download_is_a_file_and_every_copy_is_in_the_clipboard(page, tmp_path):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Files, text and link").click()
    page.get_by_text("Download the network (netCDF)").click()
    page.get_by_text("There is no finished network of these parameters yet").wait_for()
    page.get_by_role("button", name="Run the network").click()
    page.get_by_text(VERDICT).wait_for()
    for label, ending, start in (
        ("Save the model (YAML)", "yaml", b"system: rate"), ("Download the limit (netCDF)", "nc", b"\x89HDF"),
        ("Download the network (netCDF)", "nc", b"\x89HDF"), ("Download the figure (PDF)", "pdf", b"%PDF"),
        ("Download the figure (SVG)", "svg", b"<?xml"), ("Download the page (HTML)", "html", b"<!DOCTYPE html>"),
    ):  # fmt: skip
        path = downloaded(page, label, tmp_path / f"file.{ending}")
        assert path.read_bytes().startswith(start), label
    found = ln.solve_limit(ln.read_model(tmp_path / "file.yaml"), np.arange(21.0), lags=5)["mean"].values
    np.testing.assert_allclose(drawn(page, "mean limit")[1], found)
    for kind, words in (
        ("Python", "ln.solve_limit"),
        ("Command line", "largen run"),
        ("YAML", "system: rate"),
        ("LaTeX", "U^j"),
    ):
        page.get_by_label("Copy as").select_option(kind)
        page.get_by_role("button", name="Copy", exact=True).click()
        page.wait_for_function("async words => (await navigator.clipboard.readText()).includes(words)", arg=words)
        page.get_by_text("Copied.").wait_for()
        expect(page.get_by_label("Text to copy")).to_have_value(re.compile(re.escape(words)))


@pytest.mark.long
def test_a_story_goes_by_buttons_and_arrow_keys_in_large_type_and_ends(visit):  # noqa: F811
    page = visit("rate")
    page.set_default_timeout(PATIENCE)
    page.get_by_role("link", name="Neurons that stay correlated").click()
    page.wait_for_url(lambda address: "story=" in address)
    page.get_by_role("button", name="Next").wait_for()
    first = page.locator(".story h2").inner_text()
    page.get_by_role("button", name="Next").click()
    page.wait_for_url(lambda address: "step=2" in address)
    page.get_by_role("button", name="Lecture mode").click()
    page.wait_for_function("() => document.body.classList.contains('lecture')")
    assert page.evaluate("getComputedStyle(document.body).fontSize") == "20px"
    assert axe_of(page) == []
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda address: "step=3" in address)
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(lambda address: "step=2" in address)
    page.get_by_role("button", name="Back", exact=True).click()
    page.wait_for_url(lambda address: "step=2" not in address)
    assert page.locator(".story h2").inner_text() == first
    page.evaluate("document.body.classList.remove('lecture')")
    assert wrong_layout(page) == []
    page.get_by_role("button", name="End the story").click()
    page.locator(".story").wait_for(state="hidden")
    page.wait_for_url(lambda address: "story" not in address)


@pytest.mark.long
def test_decide_runs_the_networks_that_it_names_and_a_link_of_the_gallery_opens_its_example(page):
    page.get_by_role("button", name="Run the network").click()
    page.get_by_text(VERDICT).wait_for()
    button = page.get_by_role("button", name=re.compile("^Decide"))
    words = button.inner_text()
    many = int(re.search(r"about (\d+) networks", words)[1])
    button.click()
    page.wait_for_url(lambda address: f"networks={min(many, 64)}" in address)
    every = ln.simulate(ln.read_model("correlated"), np.arange(21.0), n=200, realisations=min(many, 64), seed=1, lags=5)
    mean = every["mean"].mean("realisation").values.tolist()
    close = f"want => ({DRAWN})('mean network')[1].every((y, k) => Math.abs(y - want[k]) < 1e-12)"
    page.wait_for_function(close, arg=mean)
    page.get_by_role("link", name="chaotic").click()
    page.wait_for_url(lambda address: "example=chaotic" in address)
    page.get_by_text("Limit:").wait_for()
    assert page.locator("[id='model-kernel.variance']").input_value() == "2.25"
    assert page.locator("a[aria-current=true]").inner_text() == "chaotic"


@pytest.mark.long
def test_from_the_start_to_the_exported_page_by_the_keyboard_alone(visit, tmp_path):  # noqa: F811
    page = visit("rate?n=200&networks=3")
    page.set_default_timeout(PATIENCE)
    page.get_by_text("Limit:").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    tab_to(page, "gamma", "range")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda address: "gamma=0.705" in address)
    tab_to(page, "Run the network")
    page.keyboard.press("Enter")
    page.get_by_text(VERDICT).wait_for()
    files = page.get_by_role("button", name="Files, text and link")
    for _ in range(120):
        page.keyboard.press("Tab")
        if files.evaluate("one => one.getRootNode().activeElement === one"):
            break
    page.keyboard.press("Enter")
    tab_to(page, "Download the page")
    with page.expect_download(timeout=PATIENCE) as waiting:
        page.keyboard.press("Enter")
    waiting.value.save_as(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "gamma: 0.705" in text
    assert VERDICT.search(text)


@pytest.mark.long
@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("rate?seed=99999999999999999999999", "Link not used"),
        ("rate?networks=1e300", "must be at most 64"),
        ("rate?mean_weight=1e300", "No limit here."),
        ("rate?n=nan", "Link not used"),
        ("rate?story=../../etc/passwd", "There is no story"),
        ("rate?example=%3Cscript%3Ewindow.hacked%3D1%3C%2Fscript%3E", "no example"),
        ("balanced?example=saddle", "No limit here."),
        ("balanced?example=folded", "Limit:"),
    ],
)
def test_a_link_that_asks_for_what_cannot_be_gets_a_sentence_and_never_a_traceback(visit, link, words):  # noqa: F811
    page = visit(link)
    page.get_by_text(words).first.wait_for(timeout=PATIENCE)
    said = page.evaluate("document.documentElement.outerHTML") + page.locator("body").inner_text()
    assert "Traceback" not in said
    assert "site-packages" not in said
    assert page.evaluate("window.hacked") is None
    assert wrong_layout(page, (390, 1440)) == []


@pytest.mark.long
def test_a_phone_gets_a_page_of_its_own_width(browser, server):  # noqa: F811
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page = context.new_page()
    page.goto(f"{server.url}rate", timeout=PATIENCE)
    page.get_by_role("button", name="Run the network").wait_for(timeout=PATIENCE)
    assert page.evaluate("document.documentElement.clientWidth") == 390
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    context.close()


@pytest.mark.long
def test_plots_have_names_and_the_focus_is_seen(page):
    page.wait_for_function("() => Bokeh.documents[0].get_model_by_name('mean figure')")
    page.get_by_role("img", name="mean").first.wait_for()
    look = "name => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"
    colours = [page.evaluate(look, name) for name in ("--focus", "--ground")]

    def luminance(colour):
        colour = colour if len(colour) == 7 else "#" + "".join(2 * c for c in colour[1:])
        parts = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
        return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    dark, light = sorted(map(luminance, colours))
    assert (light + 0.05) / (dark + 0.05) >= 3
    tab_to(page, "gamma", "range")
    outline = """() => { let e = document.activeElement;
                         while (e.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
                         return getComputedStyle(e).outlineWidth; }"""
    assert page.evaluate(outline) == "3px"
    assert urllib.parse.urlsplit(page.url).path == "/rate"
