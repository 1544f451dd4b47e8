"""The explorer, measured in the browser.

What:     a server of its own and Chromium. (first_view) the command until the model's
          picture is painted, and until the page is live with the limit's curves. (latency) a key press on a
          slider's handle until the frame after the one in which the new limit was drawn, 30 moves a system. (sizes) the
          distance against n, from its button to the first point and to the last. (heap) 500 moves of a slider. (pages)
          20 pages of the three systems open, a slider of each moved one right after the other, four times: the time
          until each has its new limit, and the memory of the server with its workers; the pages' figures are hidden,
          since twenty users have twenty machines to draw on. (diagram) that of the spiking page, followed from its
          button to its end on a machine that has compiled nothing yet, and a click on one of its points.
Run time: 1 minute (first_view, latency), 2 (heap, pages), 3 (sizes), 5 (diagram). Needs the extra `test` and Debian's
          chromium.
Command:  python benchmarks/explorer.py first_view|latency|sizes|heap|pages|diagram
"""

import contextlib
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "validation"))
from study import Results, main

from largen.explorer.beginnings import Beginning
from largen.explorer.server import REST
from largen.explorer.store import Store

BROWSER = "/usr/bin/chromium"
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
SOURCE = {"spiking": "rate limite", "balanced": "mean limite", "rate": "mean limit"}
WHAT = {
    "spiking": "reduction, w = 10, 500 ms in steps of 0.1 ms",
    "balanced": "limit, 10 time constants, 200 times",
    "rate": "limit, 20 steps, 6 lags",
}
FIND = """name => {
  const source = Bokeh.documents.map(d => d.get_model_by_name(name)).find(m => m);
  const handles = [];
  const walk = root => { for (const e of root.querySelectorAll("*")) {
    if (e.classList.contains("slider")) handles.push(e);
    if (e.shadowRoot) walk(e.shadowRoot); } };
  walk(document);
  return [source, handles];
}"""
"""Finds a figure's source by its name, and the sliders of the page."""
PRESS = """([name, count, pause]) => new Promise(resolve => {
  const [source, handles] = (FIND)(name);
  const found = [];
  let begun = 0;
  const press = () => {
    begun = performance.now();
    handles[0].dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight", bubbles: true}));
  };
  source.properties.data.change.connect(() => requestAnimationFrame(() => requestAnimationFrame(() => {
    if (!begun) return;
    found.push(performance.now() - begun);
    begun = 0;
    if (found.length >= count) resolve(found); else setTimeout(press, pause);
  })));
  press();
})""".replace("FIND", FIND)


class Server:
    """A server on a free port, and what its processes weigh."""

    def __init__(self, fresh=False, port=0):
        command = [sys.executable, "-u", "-m", "largen.commands.main", "explore", "--port", str(port)]
        self.kept = tempfile.TemporaryDirectory()
        environment = os.environ | ({"XDG_CACHE_HOME": self.kept.name} if fresh else {})
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for line in self.process.stdout:
            if found := re.search(r"http://127.0.0.1:(\d+)/", line):
                self.url = found[0]
                return
        raise SystemExit("The server did not start.")

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.kept.cleanup()

    def memory(self):
        """Proportional resident memory (MB) of the server and its children."""
        table = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True).stdout.split()[2:]
        parents = dict(zip(map(int, table[::2]), map(int, table[1::2]), strict=True))
        own = [pid for pid in parents if pid == self.process.pid or parents[pid] == self.process.pid]
        total = 0
        for pid in own:
            with contextlib.suppress(ProcessLookupError):  # one that ends just now weighs nothing
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
        return total / 1024


def opened(browser, url, system):
    page = browser.new_page(viewport={"width": 1400, "height": 1050})
    page.set_default_timeout(200_000)
    page.goto(url + system)
    page.get_by_text("Limit:").wait_for(timeout=120_000)
    ready = "name => Bokeh.documents.some(d => d.get_model_by_name(name)?.data.y.length > 0)"
    page.wait_for_function(ready, arg=SOURCE[system], timeout=120_000)
    return page


@contextlib.contextmanager
def opened_browser(fresh=False):
    """A browser and a server; the server has compiled nothing yet where `fresh`."""
    server = Server(fresh=fresh)
    try:
        with sync_playwright() as tool:
            browser = tool.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
            yield browser, server
            browser.close()
    finally:
        server.close()


def latency(results: Results, small: bool) -> None:
    """From a key pressed on a slider until the frame after the one that shows the new limit."""
    table = results.table(
        "latency", "page", "drawn", ("median (ms)", ".0f"), ("95 % (ms)", ".0f"), ("the limit itself (ms)", ".0f")
    )
    with opened_browser() as (browser, server):
        for system in ["rate"] if small else SOURCE:
            page = opened(browser, server.url, system)
            page.wait_for_timeout(2000)
            page.evaluate(PRESS, [SOURCE[system], 5, 150])
            solved, found = [], []
            for _ in range(1 if small else 6):
                found += page.evaluate(PRESS, [SOURCE[system], 5, 150])
                solved.append(float(re.search(r"solved in (\d+) ms", page.get_by_text("Limit:").inner_text())[1]))
            late = statistics.quantiles(found, n=20)[-1]
            table.add(system, WHAT[system], statistics.median(found), late, statistics.median(solved))
            page.close()


WATCH = """(() => {
  const now = () => performance.timeOrigin + performance.now();
  const after = (there, kept) => {
    const look = () => there() ? requestAnimationFrame(() => requestAnimationFrame(() => { window[kept] = now(); }))
                               : requestAnimationFrame(look);
    requestAnimationFrame(look);
  };
  after(() => document.getElementById("first-picture")?.shadowRoot?.querySelector("svg circle")
    ?.getBoundingClientRect().width, "painted");
  after(() => window.Bokeh?.documents?.some(d => d.get_model_by_name("NAME")?.data.y.length > 0)
    && !document.getElementById("first-picture"), "live");
})()""".replace("NAME", SOURCE["spiking"])
"""Notes when the frame was drawn that shows the model's picture, and the one that shows the limit's curves."""


def first_view(results: Results, small: bool) -> None:
    """From the command that starts the server until a browser, already running, has drawn its page.

    Picture: the frame after the one with the model's picture, that of the address, as the server sent it. Live: the
    frame after the one in which Bokeh drew the limit's curves and the page answers its reader. The machine is warm: the
    limit is kept on disk and the scripts in the browser, by a start before that is not counted.
    """
    columns = (("server answers (s)", ".2f"), ("picture painted (s)", ".2f"), ("live (s)", ".2f"))
    table = results.table("first_view", "start", *columns)
    port = free_port()
    with sync_playwright() as tool, tempfile.TemporaryDirectory() as folder:
        browser = tool.chromium.launch_persistent_context(
            folder, executable_path=BROWSER, args=ARGUMENTS, viewport={"width": 1400, "height": 1050}
        )
        browser.add_init_script(WATCH)
        for k in range(2 if small else 6):
            begun = time.time()
            server = Server(port=port)
            answers = time.time() - begun
            try:
                page = browser.new_page()
                page.goto(server.url, wait_until="commit", timeout=120_000)
                page.wait_for_function("() => window.live", polling=50, timeout=120_000)
                painted, live = (page.evaluate(f"() => window.{name} / 1e3") - begun for name in ("painted", "live"))
                if k:
                    table.add(k, answers, painted, live)
                else:
                    wait_for_limit()
                page.close()
            finally:
                server.close()
            time.sleep(0 if small else 3)
        browser.close()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for_limit() -> None:
    """Wait until the limit of the first page is kept on disk."""
    deadline = time.monotonic() + 300
    while Beginning("spiking", Store()).limit is None:
        if time.monotonic() > deadline:
            raise SystemExit("The first limit is not kept.")
        time.sleep(1)


def sizes(results: Results, small: bool) -> None:
    """The distance against n of the page's own model, from its tab's button to the first point and to the last."""
    table = results.table("sizes", "page", ("first point (s)", ".1f"), ("complete (s)", ".1f"), "in words")
    there = "() => Bokeh.documents.some(d => d.get_model_by_name('sizes dots')?.data.x.length > 0)"
    with opened_browser() as (browser, server):
        for system in ["rate"] if small else SOURCE:
            page = opened(browser, server.url, system)
            if small:
                page.goto(f"{server.url}rate?duration=10")
                page.get_by_text("Limit:").wait_for(timeout=120_000)
            page.wait_for_timeout(1000)
            begun = time.perf_counter()
            page.get_by_role("button", name="Distance and n").click()
            page.wait_for_function(there, polling=50, timeout=120_000)
            first = time.perf_counter() - begun
            page.get_by_text("networks a size").wait_for(timeout=120_000)
            page.get_by_text("on their way").wait_for(state="hidden", timeout=240_000)
            took, words = time.perf_counter() - begun, page.get_by_text("networks a size").inner_text()
            table.add(system, first, took, words)
            page.close()


def heap(results: Results, small: bool) -> None:
    """The browser's heap after many moves of a slider, garbage collected, beside what it was after 50."""
    table = results.table(
        "heap", "page", "moves", ("before (MB)", ".1f"), ("after (MB)", ".1f"), ("change (%)", "+.0f")
    )
    count = 20 if small else 500
    with opened_browser() as (browser, server):
        for system in ["rate"] if small else SOURCE:
            page = opened(browser, server.url, system)
            tool = page.context.new_cdp_session(page)

            def used(tool=tool):
                for _ in range(3):
                    tool.send("HeapProfiler.collectGarbage")
                return tool.send("Runtime.getHeapUsage")["usedSize"] / 1e6

            page.evaluate(SWING, [SOURCE[system], 10 if small else 50])
            page.wait_for_timeout(1000)
            before = used()
            page.evaluate(SWING, [SOURCE[system], count])
            page.wait_for_timeout(1000)
            after = used()
            table.add(system, count, before, after, 100 * (after / before - 1))
            page.close()


SWING = """([name, count]) => new Promise(resolve => {
  const [source, handles] = (FIND)(name);
  let moved = 0, waits = false;
  const go = () => {
    const key = Math.floor(moved / 10) % 2 ? "ArrowLeft" : "ArrowRight";
    waits = true;
    handles[0].dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  };
  const seen = () => requestAnimationFrame(() => {
    if (!waits) return;
    waits = false;
    if (++moved >= count) { source.properties.data.change.disconnect(seen); resolve(); } else setTimeout(go, 10);
  });
  source.properties.data.change.connect(seen);
  go();
})""".replace("FIND", FIND)
"""Moves a slider to and fro, each move after the answer to the last."""


MOVE = """name => {
  if (!window.watched) {
    window.watched = true;
    const [source, handles] = (FIND)(name);
    window.handles = handles;
    source.properties.data.change.connect(() => { window.took ??= performance.now() - window.begun; });
  }
  window.took = null;
  window.begun = performance.now();
  handles[0].dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight", bubbles: true}));
}""".replace("FIND", FIND)


def pages(results: Results, small: bool) -> None:
    """Twenty pages open at once, a slider of each moved one right after the other; memory of the server."""
    table = results.table(
        "pages", "round", ("sent within (s)", ".2f"), ("slowest answer (s)", ".2f"), ("median (s)", ".2f")
    )
    count, rounds = (2, 1) if small else (20, 4)
    with opened_browser() as (browser, server):
        begun = server.memory()
        systems = [list(SOURCE)[k % 3] for k in range(count)]
        tabs = [opened(browser, server.url, system) for system in systems]
        there = server.memory()
        for page in tabs:
            page.add_style_tag(content="#main, #content, .main { display: none !important }")
        time.sleep(2)
        for k in range(rounds):
            start = time.perf_counter()
            for page, system in zip(tabs, systems, strict=True):
                page.evaluate(MOVE, SOURCE[system])
            sent = time.perf_counter() - start
            took = []
            for page in tabs:
                page.wait_for_function("() => window.took !== null", polling=50, timeout=30_000)
                took.append(page.evaluate("() => window.took") / 1e3)
            table.add(k + 1, sent, max(took), statistics.median(took))
            time.sleep(1)
        after = server.memory()
        for page in tabs:
            page.close()
        time.sleep(10)
        closed = server.memory()
        if not small:
            time.sleep(REST + 5)
        rested = server.memory()
    table = results.table("memory", "server and its two solving processes", ("MB", ".0f"))
    table.add("before", begun)
    table.add(f"with {count} pages open", there)
    table.add("after the rounds", after)
    table.add("ten seconds after the tabs were closed", closed)
    if not small:
        table.add("a minute later", rested)


PLACE = """([name, row]) => {
  const views = Object.values(Bokeh.index);
  for (const view of views) for (const one of view.children?.() ?? []) views.push(one);
  const view = views.find(v => v.model.name === name), box = view.canvas_view.el.getBoundingClientRect();
  const {x, y} = Bokeh.documents.map(d => d.get_model_by_name("branches points")).find(m => m).data;
  return [box.x + view.frame.x_scale.compute(x[row]), box.y + view.frame.y_scale.compute(y[row]), x[row], x.length];
}"""


def diagram(results: Results, small: bool) -> None:
    """A diagram from its button to its end, and a click on one of its points."""
    table = results.table("diagram", "page", "points", ("s", ".0f"), ("s to the first", ".0f"), "how it ends")
    system, tab = ("balanced", "Bifurcations") if small else ("spiking", "Bifurcations")
    with opened_browser(fresh=not small) as (browser, server):
        page = opened(browser, server.url, system)
        page.set_viewport_size({"width": 1280, "height": 900})
        page.get_by_role("button", name=tab).click()
        page.get_by_role("button", name="Follow the branches").click()
        begun = time.perf_counter()
        some = "() => Bokeh.documents.some(d => d.get_model_by_name('branches points')?.data.x.length > 0)"
        page.wait_for_function(some, timeout=600_000)
        first = time.perf_counter() - begun
        page.get_by_text("followed to the end").wait_for(timeout=3_000_000)
        took, words = time.perf_counter() - begun, page.get_by_text("followed to the end").inner_text()
        page.wait_for_timeout(1000)
        count = page.evaluate(PLACE, ["branches figure", 0])[3]
        table.add(system, count, took, first, ". ".join(line.rstrip(".") for line in words.splitlines()) + ".")
        x, y, value, _ = page.evaluate(PLACE, ["branches figure", count // 3])
        page.mouse.click(x, y)
        page.wait_for_url("**?**", timeout=60_000)
        click = results.table("click", ("a click on the point at", ".6g"), "put into the address")
        click.add(value, page.url.split("?")[1])


PARTS = (first_view, latency, sizes, heap, pages, diagram)

if __name__ == "__main__":
    main(PARTS, __doc__)
