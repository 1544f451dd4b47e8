"""Every script of examples/ runs at a small size, says what it is, and imports only public names."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import largen
import largen as ln
from largen.sweeps import observables as sweeps_observables
from largen.systems import SYSTEMS, system_class

ROOT = Path(__file__).parent.parent
SCRIPTS = {path.stem: path for path in sorted((ROOT / "examples").glob("*.py"))}


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS[name])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_one_for_every_figure():
    wanted = {
        "gamma", "rate_surfaces", "six_sets", "convergence", "diagram_p_ei", "frozen_and_dynamic", "million_neurons"
    }  # fmt: skip
    assert wanted <= set(SCRIPTS)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] * (name == "convergence")) for name in sorted(SCRIPTS)]
)
def test_a_script_draws_something(name):
    page = loaded(name).figure(small=True)
    assert page.axes
    page.canvas.draw()
    assert all(ax.get_children() for ax in page.axes)


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_script_says_what_it_is(name):
    header = ast.get_docstring(ast.parse(SCRIPTS[name].read_text()))
    assert header is not None
    for word in ("What:", "Source:", "Run time:", f"Command: python examples/{name}.py"):
        assert word in header, word


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_script_uses_public_names_only(name):
    tree = ast.parse(SCRIPTS[name].read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [node.module for node in imports if str(node.module).startswith("largen")]
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ln"
    }
    assert used
    assert used <= {*largen._HOME, *largen._SUBPACKAGES}


def test_a_script_runs_as_its_header_says(tmp_path):
    command = [sys.executable, SCRIPTS["frozen_and_dynamic"], "--small", "--out", "x.png"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_a_system_of_ones_own_costs_a_folder_and_a_line(tmp_path):
    """Installed as pip would: the package, and its line among the entry points; then the command line knows it."""
    import tomllib

    own = ROOT / "examples" / "own_system"
    line = tomllib.loads((own / "pyproject.toml").read_text())["project"]["entry-points"]["largen.systems"]
    about = tmp_path / "wilson_cowan-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: wilson-cowan\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[largen.systems]\n" + "".join(f"{k} = {v}\n" for k, v in line.items()))
    (tmp_path / "own.yaml").write_text("system: wilson_cowan\nrun: {n: 50, realisations: 100, seed: 1}\n")
    paths = os.pathsep.join([str(tmp_path), str(own), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        [sys.executable, "-m", "largen.commands.main", "run", "own.yaml", "--all"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "At n: difference from the theory of 50 neurons." in done.stdout
    assert "level[e]" in done.stdout  # a statistic of its own, with its error
    assert (tmp_path / "largen-results" / "own" / "figure.png").stat().st_size > 10_000


@pytest.fixture
def own_run(monkeypatch):
    """The Wilson-Cowan system, registered: a network of 50 neurons, its limit, and the model."""
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "own_system"))
    monkeypatch.setitem(SYSTEMS, "wilson_cowan", "wilson_cowan:WilsonCowan")
    model, times = system_class("wilson_cowan")(), np.arange(0.0, 200.5, 0.5)
    return model, ln.simulate(model, times, n=50, realisations=4, seed=1), ln.solve_limit(model, times)


def test_a_system_of_ones_own_has_statistics(own_run):
    model, network, _ = own_run
    found = model.statistics(network, start=100.0)
    late = network["active"].sel(time=slice(100, None)).mean("time")
    np.testing.assert_allclose(found["level"], late.mean("realisation"))
    np.testing.assert_allclose(found["level_se"], late.std("realisation", ddof=1) / 2)
    kept = sweeps_observables.choose(model, "level")
    assert [want.kind for want in kept] == ["statistic"]


def test_a_system_of_ones_own_has_a_phase_portrait(own_run):
    """Its stationary state is where the limit settles, and where both velocities vanish; nullclines pass through it."""
    model, network, limit = own_run
    found = ln.analysis.phase_portrait(model, network=network, limit=limit)
    state = found["state"].values
    assert state.shape == (1, 2)
    assert found["state_stable"].values.tolist() == [True]
    settled = ln.solve_limit(model, np.linspace(0.0, 2000.0, 3))["active"].values[:, -1]  # its oscillation dies out
    np.testing.assert_allclose(state[0], settled, atol=1e-6)
    np.testing.assert_allclose(np.subtract(*model.flow(state[0])), 0.0, atol=1e-12)
    for axis in (0, 1):
        line = found["nullcline"].values[found["nullcline_of"].values == axis]
        inside = np.all((line > 0) & (line < 1), axis=1)
        np.testing.assert_allclose(np.subtract(*model.flow(line[inside].T))[axis], 0.0, atol=1e-10)
    np.testing.assert_array_equal(found["limit_orbit"].values, limit["active"].values)
    assert ln.plot.figure_of(ln.plot.phase_portrait, found).axes[0].get_xlabel() == "active fraction of e"


def test_a_system_of_ones_own_has_an_overview_with_its_own_panel(own_run):
    _, network, limit = own_run
    figure = ln.plot.overview(network, limit, report=ln.compare(network, limit))
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["active fraction", "inhibitory share of the activity", "orbit", "distance"]
    e, i = limit["active"].values
    drawn = {line.get_label(): line.get_ydata() for line in figure.axes[1].lines}
    np.testing.assert_allclose(drawn["share limit"], i / (e + i))


def test_a_system_of_ones_own_has_an_explorer_page(own_run):
    pytest.importorskip("panel")
    from largen.explorer.jobs import Jobs
    from largen.explorer.page import Page

    model, network, _ = own_run
    page = Page("wilson_cowan", model, Jobs())
    assert page.stage.tab.options == ["Activity", "Phase plane", "Distance and n"]
    series, share = page.stage.tabs["Activity"]
    np.testing.assert_array_equal(series.sources["limite"].data["y"], page.limit["active"].values[0])
    share.draw(page.limit, [network.isel(realisation=[0])])
    e, i = network["active"].values[0]
    np.testing.assert_allclose(share.sources["networkshare"].data["y"], i / np.maximum(e + i, 1e-9))
    page.take({"name": "coupling[e,i]", "text": "3.0"})
    changed = ln.solve_limit(model.replace(**{"coupling[e,i]": 3.0}), page.times)
    np.testing.assert_array_equal(series.sources["limite"].data["y"], changed["active"].values[0])
    page.stage.tab.value = "Phase plane"
    plane = page.stage.tabs["Phase plane"][0]
    portrait = ln.analysis.phase_portrait(page.model, limit=page.limit, points=101)
    stable = portrait["state"].values[portrait["state_stable"].values]
    np.testing.assert_allclose(plane.sources["stable state"].data["x"], stable[:, 0])
    assert all(len(plane.sources[f"nullcline{k}"].data["xs"]) > 0 for k in (0, 1))


def test_a_system_that_declares_nothing_gets_its_observables_drawn():
    pytest.importorskip("panel")
    from largen.explorer.jobs import Jobs
    from largen.explorer.page import Page
    from toy import Toy

    page = Page("toy", Toy(), Jobs())
    assert page.stage.tab.options == ["Observables", "Distance and n"]
    assert [view.key for view in page.stage.tabs["Observables"]] == ["mean", "second"]
    assert (page.state.run.duration, page.state.run.n) == (5.0, 1000)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda toy: toy.smooth(np.arange(3.0)), "no differentiable limit"),
        (lambda toy: toy.equations(), "no equations"),
        (lambda toy: toy.statistics(None), "no statistics of its own"),
        (lambda toy: ln.analysis.fluctuations(toy, n=10), "no fluctuation theory"),
        (lambda toy: ln.analysis.stationary(toy, lags=2), "no theory of a stationary regime"),
        (lambda toy: ln.analysis.rate_function(toy, [0.0], [[[0.0]]]), "no rate function"),
        (lambda toy: ln.analysis.chaos_onset(toy), "no theory of the onset of chaos"),
        (lambda toy: ln.analysis.phase_portrait(toy), "no phase portrait"),
        (lambda toy: ln.analysis.lyapunov(toy, duration=1.0), "no tangent dynamics"),
    ],
)
def test_what_a_system_does_not_have_is_refused_with_a_message_of_its_own(ask, message):
    from toy import Toy

    with pytest.raises(ln.InputError, match=f"The toy system has {message}"):
        ask(Toy())


def test_what_an_installed_package_offers_does_not_replace_largens_own(tmp_path):
    about = tmp_path / "impostor-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: impostor\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[largen.systems]\nrate = impostor:Rate\n")
    code = "from largen.systems import SYSTEMS; print(SYSTEMS['rate'])"
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stdout.strip() == "largen.systems.rate:RateNetwork", done.stderr
