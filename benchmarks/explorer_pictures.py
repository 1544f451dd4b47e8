"""The pictures of the explorer, for its page in the documentation and for its gallery.

What:     (pictures) docs/explorer-*.png, by a server of its own and Chromium. (thumbnails)
          src/largen/explorer/thumbnails.json: pictures of the examples that have none there yet.
Run time: 4 minutes (pictures), 3 (thumbnails). Needs the extra `test` and Debian's chromium.
Command:  python benchmarks/explorer_pictures.py pictures|thumbnails
"""

import io
import json
import re
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "validation"))
from study import ROOT, Results, main

from explorer import opened_browser
from largen import simulate
from largen.checks import InputError, LimitError, require
from largen.explorer.settings import opening_of, run_of
from largen.explorer.solvers import limit_of
from largen.io.model_files import examples, read_model, time_grid
from largen.system import pictures as pictures_of


class Shot(NamedTuple):
    """A picture of a page.

    Attributes:
        name: What it is called, docs/explorer-NAME.png.
        address: The page.
        run: Whether a network is run first.
        tab: The tab that is opened.
        done: Words that end the work of the tab.
        size: Width and height of the window (pixels).
        below: Whether the end of the page is shown.
        recorded: Whether a recording is compared: independent neurons of 20 Hz.
        lecture: Whether the type is that of a lecture.
    """

    name: str
    address: str
    run: bool = False
    tab: str = ""
    done: str = ""
    size: tuple[int, int] = (1280, 900)
    below: bool = False
    recorded: bool = False
    lecture: bool = False


SHOTS = (
    Shot("spiking-light", "spiking"),
    Shot("spiking-orbit-dark", "spiking?theme=dark", tab="Orbit"),
    Shot("balanced-dark", "balanced?initial_mean[e]=-0.2&theme=dark", run=True, tab="Manifold"),
    Shot("balanced-bifurcations-light", "balanced", tab="Bifurcations", done="followed to the end"),
    Shot("rate-surfaces-light", "rate", run=True, tab="Surfaces"),
    Shot("rate-correlation-light", "rate", run=True, tab="Correlation and lag"),
    Shot("rate-populations-light", "rate_populations", run=True),
    Shot("sizes-light", "rate", tab="Distance and n", done="networks a size"),
    Shot("story-light", "spiking?story=gamma_and_its_loss&step=2"),
    Shot("gallery-light", "balanced", below=True),
    Shot("phone-light", "balanced", size=(390, 844)),
    Shot("space-light", "spiking?example=ring&networks=1&duration=200", run=True, tab="Space", size=(1280, 1250)),
    Shot("recording-light", "spiking", recorded=True, size=(1280, 1350)),
    Shot("lecture-light", "spiking?story=gamma_and_its_loss&step=1", lecture=True),
)


def pictures(results: Results, small: bool) -> None:
    """The pictures of the explorer's page."""
    table = results.table("pictures", "picture", ("kB", ".0f"))
    with opened_browser() as (browser, server):
        for shot in SHOTS[9:10] if small else sorted(SHOTS, key=lambda one: one.run):
            name, image = f"explorer-{shot.name}.png", smaller(picture(browser, server, shot))
            table.add(name, len(image) / 1000)
            if not small:
                (ROOT / "docs" / name).write_bytes(image)


def picture(browser, server, shot):
    """A picture as PNG."""
    page = browser.new_page(viewport=dict(zip(("width", "height"), shot.size, strict=True)))
    page.goto(server.url + shot.address)
    page.get_by_text("Limit:").wait_for(timeout=60_000)
    page.wait_for_timeout(2500)
    if shot.run:
        page.get_by_role("button", name="Run the network").click()
        page.get_by_text(re.compile("TOLERANCE|UNDECIDED|DIFFERS|EFFECT")).wait_for(timeout=240_000)
    if shot.recorded:
        compare_recording(page)
    if shot.tab:
        page.get_by_role("button", name=shot.tab, exact=True).click()
    if shot.tab == "Bifurcations":
        page.get_by_role("button", name="Follow the branches").click()
    if shot.done:
        page.get_by_text(shot.done).wait_for(timeout=240_000)
        page.get_by_text("on their way").wait_for(state="hidden", timeout=240_000)
    if shot.lecture:
        page.get_by_role("button", name="Lecture mode").click()
    if shot.below:
        page.evaluate("document.querySelector('.below').scrollIntoView()")
    page.wait_for_timeout(2500)
    image = page.screenshot()
    page.close()
    return image


def compare_recording(page):
    """Give the page the spikes of 30 excitatory and 10 inhibitory neurons."""
    rng = np.random.default_rng(1)
    rows = (f"{time:.2f},{k},{'e' if k < 30 else 'i'}" for k in range(40) for time in rng.uniform(0, 2000, 40))
    text = "\n".join(["time_ms,neuron,population", *rows])
    page.get_by_role("button", name="Files, text and link").click()
    page.get_by_text("What the file holds").click()
    file = {"name": "spikes.csv", "mimeType": "text/csv", "buffer": text.encode()}
    page.get_by_label("A recording to compare with").set_input_files(file)
    for name, words in {"sizes": "e=30 i=10", "t_start": "0", "t_stop": "2000", "stretch": "500"}.items():
        page.locator(f"#recording-{name}").fill(words)
    page.get_by_role("button", name="Compare with it").click()
    page.get_by_text("is compared with what the page shows").wait_for(timeout=60_000)
    page.evaluate("window.scrollTo(0, 0)")


def smaller(image):
    """A PNG in at most 256 colours: a third of its bytes, and no difference that one sees."""
    made = io.BytesIO()
    Image.open(io.BytesIO(image)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        made, "PNG", optimize=True
    )
    return made.getvalue()


def thumbnails(results: Results, small: bool) -> None:
    """The thumbnails of the gallery: curves of the limit, or of one network where there is none."""
    table = results.table("thumbnails", "example", "of", ("s", ".0f"))
    kept = ROOT / "src" / "largen" / "explorer" / "thumbnails.json"
    found = {} if small else json.loads(kept.read_text(encoding="utf-8"))  # only those that are not there yet
    by_size = sorted(examples(), key=lambda one: read_model(one).reference_size or 0)  # what takes long comes last
    for name in ["correlated"] if small else by_size:
        if name in found:
            continue
        begun = time.perf_counter()
        drawn, of = thumbnail(read_model(name))
        found[name] = drawn
        table.add(name, of, time.perf_counter() - begun)
        if small:
            return
        text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
        kept.write_text(text, encoding="utf-8")


def thumbnail(model):
    """Lines by population as SVG paths, or a map of patches; and of what they are."""
    opening = opening_of(model)
    step = max(opening.step, opening.stop / 1000)
    times = time_grid(0.0, min(opening.stop, 300.0), step)
    if getattr(model, "space", None) is not None:
        name = next(one.name for one in model.observables if "patch" in one.dims)
        run, of = limit_of(model, times, {"record": (name,)}, opening.n), "limit"
        if np.ptp(run[name].isel(time=-1).values, axis=-1).max() < 1e-3 * np.abs(run[name].values).max():
            run, of = (
                simulate(model, times, realisations=1, seed=1),
                "network",
            )  # its noise picks a pattern
        values = run[name].isel(population=0, realisation=0, missing_dims="ignore").values[:, 1:]
        if len(model.space.shape) == 1:
            return {"map": cells(values)}, of
        last = values[:, -len(times) // 10 :].mean(axis=-1)
        return {"map": cells(last.reshape(model.space.shape).T[::-1])}, of
    try:
        n = run_of(model).n if model.reference_size is not None else None
        run, of = limit_of(model, times, opening.options, n), "limit"
        require(run.sizes["time"] > 20, "times", "reach further", run.sizes["time"])
        lines = course(model, run)
        require(np.ptp(lines, axis=-1).max() > 0, "limit", "move", lines[:, 0])
    except (InputError, LimitError):
        run, of = simulate(model, times, n=opening.n, realisations=1, seed=1).isel(realisation=0), "network"
        lines = course(model, run)
    labels = run["population"].values.tolist() if "population" in run.dims else [""]
    low, high = np.nanmin(lines), np.nanmax(lines)
    shares = [(line - low) / (high - low or 1.0) for line in lines]
    return {label: path(share) for label, share in zip(labels, shares, strict=True)}, of


def course(model, run):
    """The first observable of the page against time, a row a population."""
    named = [one.observable for row in model.views.values() for one in row if type(one) is pictures_of.Series]
    return np.atleast_2d(next(run[name].values for name in named if name in run))


def path(share):
    """A line from left to right: the lowest and highest of 80 blocks."""
    kept = [k for block in np.array_split(np.arange(len(share)), 80) if len(block)
            for k in sorted({block[np.argmin(share[block])], block[np.argmax(share[block])]})]  # fmt: skip
    points = [f"{4 + 232 * k / (len(share) - 1):.0f} {92 - 88 * share[k]:.0f}" for k in kept]
    return f"M{' '.join(points)}"


def cells(values):
    """Opacities from 0 to 9 of a map of at most 24 x 60 cells, a word a row."""
    blocks = np.array_split(values, min(60, values.shape[1]), axis=1)
    rows = np.stack([block.mean(axis=1) for block in blocks], axis=1)
    low, high = rows.min(), rows.max()
    return ["".join(str(int(9.99 * (value - low) / (high - low or 1.0))) for value in row) for row in rows]


PARTS = (pictures, thumbnails)

if __name__ == "__main__":
    main(PARTS, __doc__)
