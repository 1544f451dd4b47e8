"""Visits in a real browser: slow answers, a session that has expired, reload, back and two tabs during a run."""

import re
import time
import urllib.parse

import numpy as np
import pytest
from test_explorer_browser import (  # noqa: F401
    PATIENCE,
    Server,
    asked,
    axe_of,
    browser,
    drawn,
    expected,
    same_as_limit,
    server,
    visit,
    wait_until,
)

import largen as ln

VERDICT = re.compile("TOLERANCE|UNDECIDED|DIFFERS|EFFECT")
DONE = re.compile("^[1-9][0-9]* of 64 networks are done")
SHORT = (
    "import sys, largen.explorer.server as s; s.UNOPENED = 1000; from largen.commands.main import main; "
    "sys.exit(main(sys.argv[1:]))"
)
"""The command, with sessions that expire a second after the page was asked for."""


class Slow:
    """A context of the browser in which every static file is late and nothing comes from elsewhere."""

    def __init__(self, browser, delay):  # noqa: F811
        self.context, self.delay = browser.new_context(), delay
        self.waiting, self.foreign, self.released = [], [], 0
        self.context.route("**/static/**", lambda route: self.waiting.append((time.monotonic(), route)))
        self.context.route(lambda url: urllib.parse.urlsplit(url).hostname not in ("127.0.0.1", None), self.refuse)

    def refuse(self, route):
        self.foreign.append(route.request.url)
        route.abort()

    def open(self, address, seen, patience=240):
        """Open a page, and wait until something is seen of it."""
        page = self.context.new_page()
        page.goto(address, wait_until="commit", timeout=PATIENCE)
        until = time.monotonic() + patience
        while not seen(page):
            assert time.monotonic() < until
            for one in [one for one in self.waiting if time.monotonic() - one[0] >= self.delay]:
                self.waiting.remove(one)
                self.released += 1
                one[1].continue_()
            page.wait_for_timeout(100)
        return page


@pytest.mark.long
@pytest.mark.parametrize("delay", [0.0, 3.0, 8.0, 20.0])
def test_nothing_is_asked_of_a_foreign_host_however_late_every_static_file_is(server, browser, delay):  # noqa: F811
    slow = Slow(browser, delay)
    page = slow.open(f"{server.url}rate", lambda page: page.get_by_role("button", name="Run the network").is_visible())
    page.get_by_role("slider", name="gamma").press("ArrowRight")
    page.wait_for_url(lambda address: "gamma=0.705" in address, timeout=PATIENCE)
    slow.context.close()
    assert slow.released > 2
    assert slow.foreign == []


@pytest.mark.long
def test_a_session_that_has_expired_asks_nothing_of_a_foreign_host_and_works(browser, tmp_path):  # noqa: F811
    made = Server(tmp_path, code=SHORT)
    try:
        slow = Slow(browser, 6.0)  # when the tab connects, its session has ended, and is made again
        page = slow.open(
            f"{made.url}rate?gamma=0.25", lambda page: page.get_by_role("slider", name="gamma").is_visible()
        )
        slow.open(f"{made.url}rate", lambda other: slow.released > 8 and not slow.waiting).close()  # what is still late
        slider = page.get_by_role("slider", name="gamma")
        assert slider.get_attribute("aria-valuetext") == "0.25"
        slider.press("ArrowRight")
        page.wait_for_url(lambda address: "gamma=0.255" in address, timeout=PATIENCE)
        slow.context.close()
        assert slow.foreign == []
        assert "Traceback" not in made.terminal.read_text()
    finally:
        made.process.kill()
        made.process.wait()
        made.process.stdout.close()


def run(page):
    page.get_by_role("button", name="Run the network").click()
    page.get_by_text(DONE).wait_for(timeout=PATIENCE)
    return int(page.get_by_text(DONE).inner_text().split()[0])


@pytest.mark.long
def test_a_reload_during_a_run_ends_it_and_finds_what_was_finished(visit, server):  # noqa: F811
    page = visit("rate?n=8000&networks=64&seed=91")
    own = server.children()
    done = run(page)
    page.reload()
    page.get_by_text("Limit:").wait_for(timeout=PATIENCE)
    assert asked(page) == {"n": "8000", "networks": "64", "seed": "91"}
    assert page.get_by_text(DONE).count() == 0
    wait_until(lambda: len(server.children()) <= len(own))
    run(page)
    wait_until(lambda: int(page.get_by_text(DONE).inner_text().split()[0]) >= done, 30)  # from the store, one by one
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text(re.compile("^Cancelled; [1-9]")).wait_for(timeout=PATIENCE)


@pytest.mark.long
def test_back_and_twenty_five_moves_during_a_run_end_it_and_leave_what_the_page_says(visit, server):  # noqa: F811
    page = visit("rate?n=8000&networks=64&seed=92")
    own = server.children()
    run(page)
    slider = page.get_by_role("slider", name="gamma")
    slider.press("PageDown")  # networks of other parameters are of no use: they end
    page.wait_for_url(lambda address: "gamma=0.65" in address, timeout=PATIENCE)
    wait_until(lambda: len(server.children()) <= len(own))
    run(page)
    page.go_back()
    page.wait_for_function("() => !location.search.includes('gamma')", timeout=PATIENCE)
    wait_until(lambda: slider.get_attribute("aria-valuetext") == "0.7")
    wait_until(lambda: len(server.children()) <= len(own))
    same_as_limit(page, "rate", expected("rate", {})[1])
    run(page)
    for _ in range(25):
        slider.press("ArrowLeft")
    page.wait_for_url(lambda address: "gamma=0.575" in address, timeout=PATIENCE)
    same_as_limit(page, "rate", expected("rate", {"gamma": "0.575"})[1])
    assert page.evaluate("Bokeh.documents[0].get_model_by_name('mean network').data.y.length") == 0
    wait_until(lambda: len(server.children()) <= len(own))
    page.get_by_text("Press “Run the network”").wait_for(timeout=PATIENCE)


@pytest.mark.long
def test_two_tabs_run_side_by_side_and_each_has_its_own_networks(visit, server):  # noqa: F811
    tabs = {seed: visit(f"rate?n=200&networks=4&seed={seed}") for seed in (3, 4)}
    for page in tabs.values():
        page.get_by_role("button", name="Run the network").click()
    for seed, page in tabs.items():
        page.get_by_text(VERDICT).wait_for(timeout=PATIENCE)
        network = ln.simulate(ln.read_model("correlated"), np.arange(21.0), n=200, realisations=4, seed=seed, lags=5)
        np.testing.assert_allclose(drawn(page, "mean network")[1], network["mean"].mean("realisation"), atol=1e-12)
    tabs[3].close()
    assert len(drawn(tabs[4], "mean network")[1]) == 21
    assert "Traceback" not in server.terminal.read_text()


@pytest.mark.long
def test_a_model_without_a_limit_opens_a_page_that_says_so(browser, tmp_path):  # noqa: F811
    made = Server(tmp_path, "saddle")
    try:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(made.url)
        page.get_by_text("No limit here.").wait_for()
        page.get_by_text("The only balanced state is a saddle").first.wait_for()
        assert axe_of(page) == []  # a page without any figure
        page.get_by_role("link", name="rate", exact=True).first.click()
        page.get_by_text("Limit:").wait_for()
        page.close()
    finally:
        made.process.kill()
        made.process.wait()
        made.process.stdout.close()


SHIFTS = """window.shifts = 0;
new PerformanceObserver(list => { for (const one of list.getEntries()) window.shifts += one.value; })
  .observe({type: "layout-shift", buffered: true});"""
FIRST = """() => { const svg = document.getElementById("first-picture").shadowRoot.querySelector("svg");
  const {x, y, width, height} = svg.getBoundingClientRect(); return [svg.outerHTML, [x, y, width, height]]; }"""
LIVE = """() => { let found = null;
  const walk = root => { for (const e of root.querySelectorAll("*")) {
    if (e.matches(".picture > svg")) found = e;
    if (e.shadowRoot) walk(e.shadowRoot); } };
  walk(document);
  const {x, y, width, height} = found.getBoundingClientRect(); return [found.outerHTML, [x, y, width, height]]; }"""


@pytest.mark.long
@pytest.mark.parametrize("width", [390, 1440])
def test_the_picture_of_the_address_is_there_before_any_script_and_stays_where_it_is(server, browser, width):  # noqa: F811
    context = browser.new_context(viewport={"width": width, "height": 900})
    context.add_init_script(SHIFTS)
    held = []
    context.route("**/*.js*", lambda route: route.continue_() if held is None else held.append(route))
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{server.url}spiking?strength[e,i]=1.5&n=800", wait_until="commit")
    page.wait_for_function("() => document.querySelector('#first-picture')?.shadowRoot?.querySelector('svg circle')")
    page.wait_for_function("() => document.getElementById('figures')")
    assert page.evaluate("() => window.Bokeh") is None
    picture, place = page.evaluate(FIRST)
    assert ">600<" in picture  # 800 neurons, three quarters of them excitatory
    waiting, held = held, None
    for route in waiting:
        route.continue_()
    page.wait_for_function("() => !document.getElementById('first-picture')")
    page.get_by_text("Limit:").wait_for()
    live, there = page.evaluate(LIVE)
    for name in re.findall(r'data-pick="([^"]+)"', picture):
        assert f'data-pick="{name}"' in live
    assert live.count("<path") == picture.count("<path")
    assert re.findall(r">(\d+)<", live) == re.findall(r">(\d+)<", picture)
    np.testing.assert_allclose(there, place, atol=1.0)
    page.wait_for_timeout(1000)
    assert page.evaluate("() => window.shifts") < 0.15
    context.close()
