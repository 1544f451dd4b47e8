"""A recording in a real browser, and the view of eigenvalues; what many visits cost the server."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_explorer_browser import PATIENCE, TOO_WIDE, Server, axe_of, browser, drawn  # noqa: F401

import largen as ln

SIZES = ["--sizes", "e=30", "--sizes", "i=10", "--t-start", "0", "--t-stop", "1500", "--stretch", "500"]


@pytest.fixture
def table(tmp_path):
    """Poisson spikes of 30 excitatory and 10 inhibitory neurons, 20 Hz."""
    rng = np.random.default_rng(3)
    rows = [(time, k, "e" if k < 30 else "i") for k in range(40) for time in rng.uniform(0, 1500, 30)]
    pd.DataFrame(rows, columns=["time_ms", "neuron", "population"]).to_csv(tmp_path / "spikes.csv", index=False)
    return tmp_path / "spikes.csv"


@pytest.fixture
def server(table, tmp_path):
    made = Server(tmp_path / "cache", "--recording", str(table), *SIZES)
    yield made
    made.process.kill()
    made.process.wait()
    made.process.stdout.close()


@pytest.mark.long
def test_a_recording_stands_beside_the_limit_and_eigenvalues_are_drawn(server, browser):  # noqa: F811
    complaints = []
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.goto(f"{server.url}spiking")
    x, y = drawn(page, "rate recordinge")
    assert 0 < x.min() < x.max() <= 500
    assert y.mean() == pytest.approx(20, rel=0.15)
    page.get_by_text("3 runs of 500 ms, 30 of e, 10 of i.").wait_for()
    page.get_by_role("row", name="rate[e] (Hz)").get_by_text("%").first.wait_for()
    for width in (390, 768, 1440, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(500)
        assert page.evaluate(TOO_WIDE) == []
        assert axe_of(page) == []
    page.get_by_role("button", name="Table").first.focus()
    page.keyboard.press("Enter")
    page.get_by_role("columnheader", name="recording e").first.wait_for()
    page.goto(f"{server.url}rate_populations?example=rank_one")
    page.get_by_role("button", name="Eigenvalues").click()
    page.get_by_text("The static state is").wait_for()
    assert axe_of(page) == []
    page.close()
    assert complaints == []


@pytest.mark.long
def test_latent_variables_are_those_of_the_limit_and_of_every_network(tmp_path, browser):  # noqa: F811
    low_rank = ln.LowRank(((1.2,),), ((1.0,),), (((0.3, 0.2), (0.2, 0.3)),))
    model = ln.RatePopulations.rank_one().replace(weight_variance=((0.25,),), low_rank=low_rank)
    path = ln.write_model(model, tmp_path / "latent.yaml")
    made = Server(tmp_path / "cache", str(path))
    try:
        complaints = []
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.goto(f"{made.url}rate_populations?n=200&networks=3")
        page.get_by_role("button", name="Latent").click()
        x, y = drawn(page, "curves latent variable limitrank 0")
        limit = ln.solve_limit(model, x, lags=0, rtol=1e-5)
        np.testing.assert_allclose(y, limit["latent"].sel(rank=0), rtol=1e-9, atol=1e-12)
        page.get_by_role("button", name="Run the network").click()
        lines = """name => { const m = Bokeh.documents.map(d => d.get_model_by_name(name)).find(m => m);
                     return m.data.ys.map(y => Array.from(y)); }"""
        name = "curves latent variable networkrank 0"
        page.wait_for_function(f"name => ({lines})(name).length === 3", arg=name)
        network = ln.simulate(model, x, n=200, realisations=3, seed=1)
        np.testing.assert_allclose(page.evaluate(lines, name), network["latent"].sel(rank=0), rtol=1e-9, atol=1e-12)
        assert axe_of(page) == []
        page.close()
        assert complaints == []
    finally:
        made.process.kill()
        made.process.wait()
        made.process.stdout.close()


@pytest.mark.long
def test_ten_visits_leave_the_memory_of_the_server_where_one_left_it(server, browser):  # noqa: F811
    def visit():
        page = browser.new_page()
        page.goto(f"{server.url}spiking")
        drawn(page, "rate limite")
        page.close()

    def resident():
        """MB that the server alone takes once its closed tabs have ended."""
        probe = browser.new_page()
        probe.wait_for_timeout(9000)
        probe.close()
        lines = Path(f"/proc/{server.process.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) / 1024

    for _ in range(10):  # until then the process still takes memory that it keeps for the next pages
        visit()
    before = resident()
    for _ in range(10):
        visit()
    assert resident() - before < 20  # a page that is not given back is 3 MB and more, with its figures
