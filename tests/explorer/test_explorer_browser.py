"""The explorer in a real browser: Debian's Chromium, driven by playwright, and a server of its own."""

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import axe_playwright_python
import numpy as np
import pytest
from playwright.sync_api import sync_playwright

import largen as ln
from largen.explorer.settings import opening_of
from largen.io.model_files import model_text, read_model, time_grid
from largen.systems import system_class

BROWSER = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
PAGES = {
    "spiking": ("gamma", "strength[e,e]", "rate", "rate limit{}"),
    "balanced": ("balanced", "coupling[e,e]", "mean", "mean limit{}"),
    "rate": ("correlated", "gamma", "mean", "mean limit"),
}
"""Example, first slider, observable and the names of its data in the browser."""
TABS = {
    "spiking": {"Spectra": "spectrum limite", "Orbit": "plane limit", "Voltage": "density limite"},
    "balanced": {"Rates": "rate limite", "Manifold": "portrait stable state", "Fast eigenvalues": "eigenvalues path"},
    "rate": {"Correlation and lag": "lags limit frozen"},
}
"""Further tabs, and data that is drawn there."""
DRAWN = """name => { const m = Bokeh.documents.map(d => d.get_model_by_name(name)).find(m => m);
                     return m ? [Array.from(m.data.x), Array.from(m.data.y)] : [[], []]; }"""
PLACE = """([name, x, y]) => { const views = [...Object.values(Bokeh.index)];
  for (const view of views) for (const one of view.children?.() ?? []) views.push(one);
  const view = views.find(v => v.model.name === name), box = view.canvas_view.el.getBoundingClientRect();
  const frame = view.frame;
  return [box.x + frame.x_scale.compute(x), box.y + frame.y_scale.compute(y)]; }"""
"""Where a figure shows a point, in the browser's pixels."""
FOCUSED = """() => { let e = document.activeElement;
                     while (e && e.shadowRoot && e.shadowRoot.activeElement) e = e.shadowRoot.activeElement;
                     return e ? (e.ariaLabel || e.textContent.trim()).slice(0, 30) : ""; }"""
TOO_WIDE = """() => {
  const wide = [], most = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > most) wide.push(["page", document.documentElement.scrollWidth]);
  const walk = root => { for (const e of root.querySelectorAll("*")) {
    const box = e.getBoundingClientRect();
    if (box.width && box.right > most + 1 && !e.closest("canvas, .wide, .skip, .bk-GlyphRenderer"))
      wide.push([e.tagName, e.className, box.right]);
    if (e.shadowRoot) walk(e.shadowRoot); } };
  walk(document.body);
  return wide; }"""
"""What stands out of the page at its right."""
PATIENCE = 90_000  # ms


class Server:
    """The command that a user types, on a free port; what it says in the terminal is kept."""

    def __init__(self, cache, *more, code=None):
        command = [sys.executable, "-u", "-m", "largen.commands.main", "explore", "--port", "0", *more]
        if code is not None:
            command[2:4] = ["-c", code]
        environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
        self.store = cache / "largen" / "explorer"
        self.terminal = cache / "terminal"
        cache.mkdir(exist_ok=True)
        with self.terminal.open("w") as terminal:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=terminal, text=True, env=environment
            )
        self.said = []
        for line in self.process.stdout:
            self.said.append(line)
            if found := re.search(r"http://127.0.0.1:(\d+)/", line):
                self.url = found[0]
                return
        raise AssertionError((self.said, self.terminal.read_text()))

    def children(self):
        """Processes that the server has started and that still run, with their state."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                state, parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(parent) == self.process.pid and state != "Z":
                found[int(entry.name)] = state
        return set(found)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("cache"))
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait()
    made.process.stdout.close()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as tool:
        made = tool.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield made
        made.close()


@pytest.fixture
def visit(server, browser):
    """Open pages in a context of their own; at the end nothing was said on the console and nothing left the machine."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    requests, complaints = [], []
    context.on("request", lambda request: requests.append(request.url))

    def opened(address):
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(server.url + address, timeout=PATIENCE)
        page.get_by_role("button", name="Run the network").wait_for(timeout=PATIENCE)
        return page

    yield opened
    context.close()
    away = {url for url in requests if not url.startswith(("data:", "blob:"))}
    assert {urllib.parse.urlsplit(url).hostname for url in away} == {"127.0.0.1"}
    assert complaints == []


def drawn(page, name):
    page.wait_for_function(f"name => ({DRAWN})(name)[1].length > 0", arg=name, timeout=PATIENCE)
    return np.array(page.evaluate(DRAWN, name))


def downloaded(page, label, path):
    with page.expect_download(timeout=PATIENCE) as waiting:
        page.get_by_text(label).click()
    waiting.value.save_as(path)
    return path


def asked(page):
    """Parameters in the address bar."""
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(page.url).query))


def expected(system, link):
    """What `solve_limit` gives for the parameters of a link."""
    opening, numbers = opening_of(system_class(system)), {name: float(text) for name, text in link.items()}
    times = time_grid(0.0, numbers.pop("duration", opening.stop), opening.step)
    model = read_model(PAGES[system][0]).replace(**numbers)
    return model, ln.solve_limit(model, times, **opening.options)


def same_as_limit(page, system, limit):
    """The page draws a limit; it may still be solving it."""
    _, _, name, source = PAGES[system]
    labels = limit["population"].values.tolist() if "population" in limit[name].dims else [""]
    wanted, until = np.atleast_2d(limit[name].values), time.monotonic() + PATIENCE / 1000.0
    for k, label in enumerate(labels):
        x, y = drawn(page, source.format(label))
        while not np.allclose(y, wanted[k], rtol=1e-12, atol=1e-14) and time.monotonic() < until:
            page.wait_for_timeout(50)
            x, y = drawn(page, source.format(label))
        np.testing.assert_array_equal(x, limit["time"].values)
        np.testing.assert_allclose(y, wanted[k], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "system",
    ["balanced", pytest.param("spiking", marks=pytest.mark.long), pytest.param("rate", marks=pytest.mark.long)],
)
def test_a_moved_slider_draws_what_solve_limit_gives_and_its_link_brings_it_back(visit, system):
    page = visit(system)
    _, slider, _, source = PAGES[system]
    same_as_limit(page, system, expected(system, {})[1])
    before = page.evaluate(DRAWN, source.format("e"))
    page.locator("input[type=range]").first.press("ArrowRight")
    page.wait_for_url(lambda address: "?" in address, timeout=PATIENCE)
    link = asked(page)
    assert list(link) == [slider]
    model, limit = expected(system, link)
    assert model.value(slider) != read_model(PAGES[system][0]).value(slider)
    same_as_limit(page, system, limit)
    assert page.evaluate(DRAWN, source.format("e")) != before
    shared = visit(page.url.split("/")[-1])
    shared.wait_for_function(f"want => JSON.stringify(({DRAWN})(want[0])) === want[1]", arg=[
        source.format("e"), page.evaluate(f"name => JSON.stringify(({DRAWN})(name))", source.format("e"))
    ], timeout=PATIENCE)  # fmt: skip
    same_as_limit(shared, system, limit)
    shared.locator("input[type=range]").first.press("ArrowRight")  # a session of its own, which the first never sees
    shared.wait_for_url(lambda address: address != page.url, timeout=PATIENCE)
    same_as_limit(shared, system, expected(system, asked(shared))[1])
    assert asked(page) == link
    same_as_limit(page, system, limit)
    for tab, data in TABS[system].items():
        page.get_by_role("button", name=tab).click()
        assert np.all(np.isfinite(drawn(page, data)))


@pytest.mark.long
def test_a_wrong_link_and_a_hostile_file_give_a_message(visit):
    page = visit("rate?theme=%FF")  # Panel itself would end the page here, and at a theme it does not know
    page = visit("rate?theme=light&gamma=<script>window.hacked=1</script><img src=x onerror=window.hacked=1>")
    page.get_by_text("Link not used").wait_for(timeout=PATIENCE)
    page.get_by_text("<script>window.hacked=1</script><img src=x onerror=window.hacked=1>").wait_for(timeout=PATIENCE)
    same_as_limit(page, "rate", expected("rate", {})[1])
    hostile = b"system: rate\nparameters: {gamma: !!python/object/apply:os.system ['touch /tmp/hacked']}\n"
    page.get_by_role("button", name="Files, text and link").click()
    page.locator("input[type=file]").first.set_input_files(
        {"name": "../../x.yaml", "mimeType": "text/yaml", "buffer": hostile}
    )
    page.get_by_text("Not loaded. The file: ").wait_for(timeout=PATIENCE)
    large = {"name": "large.yaml", "mimeType": "text/yaml", "buffer": b"#" * 3_000_000}
    page.locator("input[type=file]").first.set_input_files(large)
    page.get_by_text("Not loaded. The file must be at most 1 MB, but has 3.0 MB.").wait_for(timeout=PATIENCE)
    assert not Path("/tmp/hacked").exists()
    assert page.evaluate("window.hacked") is None
    good = b"system: rate\nparameters: {gamma: 0.25}\n"
    page.locator("input[type=file]").first.set_input_files({"name": "x.yaml", "mimeType": "text/yaml", "buffer": good})
    page.wait_for_url(lambda address: address.endswith("gamma=0.25"), timeout=PATIENCE)


@pytest.mark.long
def test_back_and_forward_bring_the_state_back_and_no_page_scrolls_sideways(visit):
    page = visit("rate")
    slider = page.get_by_role("slider", name="gamma")
    slider.press("ArrowRight")
    page.wait_for_url(lambda address: address.endswith("?gamma=0.705"), timeout=PATIENCE)
    slider.press("ArrowRight")
    page.wait_for_url(lambda address: address.endswith("?gamma=0.71"), timeout=PATIENCE)
    page.go_back()
    page.wait_for_function("() => location.search === '?gamma=0.705'", timeout=PATIENCE)
    same_as_limit_soon(page, "rate", {"gamma": "0.705"})
    assert slider.get_attribute("aria-valuetext") == "0.705"
    page.go_forward()
    same_as_limit_soon(page, "rate", {"gamma": "0.71"})
    for width in (360, 390, 768, 1024, 1440, 1920, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
        assert page.evaluate(TOO_WIDE) == []
    assert page.locator("h1, main").count() == 2


def same_as_limit_soon(page, system, link):
    want = expected(system, link)[1]["mean"].values
    page.wait_for_function(
        f"want => {{ const y = ({DRAWN})('mean limit')[1]; return y.length && Math.abs(y.at(-1) - want) < 1e-12; }}",
        arg=float(want[-1]), timeout=PATIENCE,
    )  # fmt: skip


@pytest.mark.long
def test_everything_is_reached_with_the_keyboard(visit):
    page = visit("rate")
    page.get_by_role("button", name="Files, text and link").click()
    seen = ""
    for _ in range(90):
        page.keyboard.press("Tab")
        seen += page.evaluate(FOCUSED) + "\n"
    for what in (
        "Run the network",
        "gamma",
        "Surfaces",
        "Reset",
        "Save the model",
        "balanced",
        "chaotic",
    ):
        assert what in seen
    page.get_by_role("button", name="Correlation and lag").focus()
    page.keyboard.press("Enter")
    assert len(drawn(page, "lags limit frozen")[0]) == 6


@pytest.mark.long
def test_a_network_runs_is_downloaded_is_cancelled_and_ends_with_its_tab(visit, server, tmp_path):
    page = visit("rate?n=200&networks=3")
    own = server.children()
    page.get_by_role("button", name="Run the network").click()
    page.get_by_text(re.compile("TOLERANCE|UNDECIDED|DIFFERS|EFFECT")).wait_for(timeout=PATIENCE)
    model = read_model("correlated")
    network = ln.simulate(model, time_grid(0.0, 20.0, 1.0), n=200, realisations=3, seed=1, lags=5)
    np.testing.assert_allclose(drawn(page, "mean network")[1], network["mean"].mean("realisation"), atol=1e-12)
    page.get_by_role("button", name="Files, text and link").click()
    got = downloaded(page, "Download the network (netCDF)", tmp_path / "network.nc")
    np.testing.assert_array_equal(ln.load(got)["mean"], network["mean"])
    got = downloaded(page, "Download the figure (PDF)", tmp_path / "figure.pdf").read_bytes()
    assert got.startswith(b"%PDF")
    assert got.rstrip().endswith(b"%%EOF")
    page.locator("input[type=range]").first.press("ArrowRight")
    page.get_by_text("This verdict is that of the model before").wait_for(timeout=PATIENCE)
    page.keyboard.press("Control+z")
    page.get_by_text("This verdict is that of the model before").wait_for(state="hidden", timeout=PATIENCE)
    assert len(drawn(page, "mean network")[1]) == 21
    page = visit("rate?n=8000&networks=64")
    page.get_by_role("button", name="Run the network").click()
    page.get_by_text("Starting a process").wait_for(timeout=PATIENCE)
    page.get_by_label("Networks", exact=True).fill("4x")
    page.get_by_label("Networks", exact=True).press("Enter")
    page.get_by_text("must be an integer").wait_for(timeout=PATIENCE)
    page.get_by_text(re.compile("^[1-9] of 64 networks are done")).wait_for(timeout=PATIENCE)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled").wait_for(timeout=PATIENCE)
    page.get_by_label("Networks", exact=True).fill("64")
    page.get_by_label("Networks", exact=True).press("Enter")
    page.get_by_text("must be an integer").wait_for(state="hidden", timeout=PATIENCE)
    page.get_by_role("button", name="Run the network").click()
    page.get_by_text("Starting a process").wait_for(timeout=PATIENCE)
    wait_until(lambda: len(server.children()) > len(own))
    page.close()
    wait_until(lambda: len(server.children()) <= len(own), 180)  # a solver that was ended has another number


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1", None, {"page": 200, "socket": 101, "static": 200}),
        ("localhost", "http://localhost", {"page": 200, "socket": 101, "static": 200}),
        ("evil.example", None, {"page": 403, "socket": 403, "static": 403}),
        ("evil.example", "http://evil.example", {"page": 403, "socket": 403, "static": 403}),
        ("127.0.0.1", "http://evil.example", {"page": 403, "socket": 403, "static": 403}),
    ],
)
def test_a_name_of_others_that_leads_here_is_refused(server, host, origin, status):
    port = urllib.parse.urlsplit(server.url).port
    upgrade = {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "bokeh, token",
    }  # fmt: skip
    asked = {"page": ("/rate", {}), "socket": ("/rate/ws", upgrade), "static": ("/static/js/bokeh.min.js", {})}
    for what, (path, more) in asked.items():
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        said = {"Host": f"{host}:{port}", **({"Origin": f"{origin}:{port}"} if origin else {}), **more}
        line.request("GET", path, headers=said)
        assert line.getresponse().status == status[what], what
        line.close()


AXE = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
  .filter(one => ["serious", "critical"].includes(one.impact))
  .map(one => [one.id, one.nodes.map(node => node.html.slice(0, 200))])"""
"""Serious and critical findings of axe-core."""


@pytest.mark.long
def test_axe_finds_nothing_serious_in_any_state_of_a_page(visit):
    code = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")

    def found(page):
        page.wait_for_timeout(1000)
        page.evaluate(code)
        return page.evaluate(AXE)

    for address in ("rate", "balanced?theme=dark", "rate?story=neurons_that_stay_correlated"):
        page = visit(address)
        page.get_by_text("Limit:").wait_for(timeout=PATIENCE)
        page.get_by_role("button", name="Files, text and link").click()
        for width in (390, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            assert found(page) == [], address
    page.evaluate("document.querySelector('h1').insertAdjacentHTML('afterend', '<button></button><img src=data:,>')")
    assert {one[0] for one in found(page)} == {"button-name", "image-alt"}  # what must be caught is
    page = visit("rate?n=200&networks=3")
    page.get_by_label("Networks", exact=True).fill("x")
    page.get_by_label("Networks", exact=True).press("Enter")
    page.get_by_text("must be an integer").wait_for(timeout=PATIENCE)
    assert found(page) == []
    page.get_by_label("Networks", exact=True).fill("3")
    page.get_by_label("Networks", exact=True).press("Enter")
    page.get_by_role("button", name="Run the network").click()
    page.get_by_text(re.compile("TOLERANCE|UNDECIDED|DIFFERS|EFFECT")).wait_for(timeout=PATIENCE)
    page.get_by_text("comparisons").click()
    assert found(page) == []
    page.get_by_label("mean_weight", exact=True).last.fill("1e300")
    page.get_by_label("mean_weight", exact=True).last.press("Enter")
    page.get_by_text("No limit here.").wait_for(timeout=PATIENCE)
    assert [one for one in found(page) if one[0] != "color-contrast"] == []  # what is greyed is out of date


def axe_of(page):
    """Findings in the present state of a page."""
    page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    return page.evaluate(AXE)


@pytest.mark.long
def test_axe_finds_nothing_serious_while_a_page_solves_runs_is_cancelled_fails_and_is_out_of_date(visit, server):
    page = visit("rate?n=8000&networks=64&seed=77")
    page.get_by_text("Limit:").wait_for(timeout=PATIENCE)
    page.get_by_role("button", name="Table").first.click()
    page.get_by_role("region", name="mean").first.wait_for(timeout=PATIENCE)
    assert axe_of(page) == []
    page.get_by_role("button", name="Table").first.click()
    own = server.children()
    page.get_by_role("button", name="Run the network").click()
    page.get_by_text(re.compile("^[1-9][0-9]* of 64 networks are done")).wait_for(timeout=PATIENCE)
    running = server.children() - own
    for pid in running:
        os.kill(pid, signal.SIGSTOP)  # until the page was looked at
    assert axe_of(page) == []
    for pid in running:
        os.kill(pid, signal.SIGCONT)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled").wait_for(timeout=PATIENCE)
    assert axe_of(page) == []
    page.get_by_role("button", name="Run the network").click()
    wait_until(lambda: server.children() - own)
    for pid in server.children() - own:
        os.kill(pid, signal.SIGKILL)
    page.get_by_text("The process ended with status").wait_for(timeout=PATIENCE)
    assert axe_of(page) == []
    for pid in own:
        os.kill(pid, signal.SIGSTOP)  # a limit that takes long
    try:
        page.get_by_role("slider", name="gamma").press("ArrowRight")
        page.get_by_text("Solving the limit").wait_for(timeout=PATIENCE)
        assert [one for one in axe_of(page) if one[0] != "color-contrast"] == []  # what is greyed is out of date
    finally:
        for pid in own:
            os.kill(pid, signal.SIGCONT)
    page.get_by_text("Limit:").wait_for(timeout=PATIENCE)
    page = visit("rate?n=200&networks=3")
    page.get_by_role("button", name="Run the network").click()
    page.get_by_text("comparisons").wait_for(timeout=PATIENCE)
    page.get_by_role("slider", name="gamma").press("ArrowRight")
    page.get_by_text("This verdict is that of the model before").wait_for(timeout=PATIENCE)
    assert axe_of(page) == []


LONG_NAMES = ("excitatory_neurons_of_layer_4_that_nobody_will_ever_read_to_the_end_of_their_name" * 3, "ünï.ж+-_")


@pytest.mark.long
@pytest.mark.filterwarnings("default")
def test_names_of_populations_of_any_length_and_alphabet_neither_break_nor_widen_the_page(visit):
    page = visit("rate_populations")
    page.get_by_text("Limit:").wait_for(timeout=PATIENCE)
    text = model_text(read_model("excitatory_inhibitory").replace(labels=LONG_NAMES))
    page.get_by_role("button", name="Files, text and link").click()
    page.locator("input[type=file]").first.set_input_files(
        {"name": "x.yaml", "mimeType": "text/yaml", "buffer": text.encode()}
    )
    page.get_by_role("slider", name=f"fractions[{LONG_NAMES[0]}]").wait_for(timeout=PATIENCE)
    page.get_by_text("Limit:").wait_for(timeout=PATIENCE)
    assert len(drawn(page, f"mean limit{LONG_NAMES[1]}")[0]) > 2
    for width in (390, 768, 1440, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(500)
        assert page.evaluate(TOO_WIDE) == []
    assert axe_of(page) == []


@pytest.mark.long
def test_a_click_on_a_point_of_a_diagram_loads_its_parameters(visit):
    page = visit("balanced")
    page.get_by_role("button", name="Bifurcations").click()
    page.get_by_role("textbox", name="To").fill("0.68")
    page.get_by_role("button", name="Follow the branches").click()  # the same click reports what was typed
    page.get_by_text("followed to the end").wait_for(timeout=PATIENCE)
    drive, mean = drawn(page, "branches points")
    k = len(drive) // 2
    page.mouse.click(*page.evaluate(PLACE, ["branches figure", drive[k], mean[k]]))
    page.wait_for_url(lambda address: "?" in address, timeout=PATIENCE)
    assert float(asked(page)["drive[e]"]) == pytest.approx(drive[k], rel=1e-12)
    page.get_by_role("button", name="Means").click()
    page.wait_for_function(f"want => Math.abs(({DRAWN})('mean limite')[1].at(-1) - want) < 1e-6", arg=mean[k])


@pytest.mark.long
def test_sigterm_ends_every_process_and_loses_no_finished_network(visit, server):
    page = visit("rate?n=4000&networks=64&seed=5")
    before = set(server.store.glob("*.nc"))  # networks and diagrams of earlier tests
    page.get_by_role("button", name="Run the network").click()
    page.get_by_text(re.compile("^[2-9] of 64 networks are done")).wait_for(timeout=PATIENCE)
    shown = int(page.get_by_text("networks are done").inner_text().split()[0])
    own = server.children()
    server.process.send_signal(signal.SIGTERM)
    page.close()
    assert server.process.wait(30) == 0
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in own))
    kept = set(server.store.glob("*.nc")) - before
    assert len(kept) >= shown
    assert all(ln.load(path).sizes["realisation"] == 1 for path in kept)
    assert "are kept for the next time" in server.process.stdout.read()


def wait_until(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)
