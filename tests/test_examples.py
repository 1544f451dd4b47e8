"""Every script of examples/ runs at a small size, says what it is, and imports only public names."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import largen

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


@pytest.mark.parametrize("name", sorted(SCRIPTS))
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
        [sys.executable, "-m", "largen.commands.main", "run", "own.yaml"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "network - theory at this n" in done.stdout
    assert (tmp_path / "largen-results" / "own" / "figure.png").stat().st_size > 10_000


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
