"""The pages agree with the package: names, parameters, links, blocks. The site itself is built in .ci/run."""

import ast
import re
from pathlib import Path

import pytest

import largen
from largen import analysis, plot
from largen.parameters import parameters

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {path.stem: path.read_text() for path in sorted(DOCS.glob("*.md"))}
MADE_HERE = [name for name, text in PAGES.items() if "kernelspec" in text]
MODELS = {"spiking": largen.SpikingNetwork, "balanced": largen.BalancedNetwork, "rate": largen.RateNetwork}


def test_every_public_name_is_in_the_reference():
    for name in {*largen._HOME, *largen.__all__} - {"__version__", "analysis", "plot"}:
        assert re.search(rf"auto\w+:: largen\.{name}\n", PAGES["api"]), name
    for room in (analysis, plot):
        assert f"automodule:: {room.__name__}" in PAGES["api"]


def test_every_page_is_in_the_table_of_contents():
    entries = [
        line
        for block in re.findall(r"```\{toctree\}\n(.*?)```", PAGES["index"], re.S)
        for line in block.splitlines()
        if line and not line.startswith(":")
    ]
    for name in set(PAGES) - {"index"}:
        assert any(Path(name).match(entry) for entry in entries), name


@pytest.mark.parametrize("name", MODELS)
def test_a_page_of_a_system_names_every_parameter_beside_its_symbol(name):
    page = PAGES[name]
    assert f"parameter_table(ln.{MODELS[name].__name__}" in page
    tables = page[page.index("| equation | symbol | code name |") : page.index("## Parameters and observables")]
    left_out = {"size", "inhibitory", "connectivity", "synapses"}
    for info in parameters(MODELS[name]).values():
        assert info.name in left_out or f"`{info.name}`" in tables or f"`{info.name}=" in tables, info.name


@pytest.mark.parametrize("name", MADE_HERE)
def test_code_of_a_page_that_runs_is_run(name):
    """No block of Python or of shell stands on such a page without being a cell, but for the installation."""
    shown = re.findall(r"^```(?:\{code-block\} *)?(python|sh|bash|console)\b.*$", PAGES[name], re.M)
    assert len(shown) == (1 if name == "get-started" else 0)
    cells = re.findall(r"```\{code-cell\} python\n(?:(?::.*\n)*)\n?(.*?)```", PAGES[name], re.S)
    assert cells
    for cell in cells:
        if not re.search(r"^[!%]", cell, re.M):
            ast.parse(cell)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_what_a_page_points_to_exists(name):
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", PAGES[name]):
        assert (DOCS / target).exists(), target
    for target in re.findall(r"```\{(?:include|literalinclude)\} (\S+)", PAGES[name]):
        assert (DOCS / target).exists(), target


def test_parts_of_measured_pages_are_where_they_are_looked_for():
    for text in PAGES.values():
        for target, options in re.findall(r"```\{(?:literal)?include\} (\S+)\n((?::.*\n)*)", text):
            found = (DOCS / target).read_text()
            for marker in re.findall(r':(?:start-after|end-before|start-at): "(.*)"', options):
                assert found.count(marker) == 1, (target, marker)


def test_every_figure_of_the_gallery_is_a_script():
    scripts = {path.stem for path in (ROOT / "examples").glob("*.py")}
    shown = set(re.findall(r"^(\w+)\.figure\(\)$", PAGES["figures"], re.M))
    assert shown == scripts
    for name in shown:
        assert f"literalinclude}} ../examples/{name}.py" in PAGES["figures"]


def test_the_papers_are_cited():
    for words in ("2411.14801", "2412.17273", "there\n  is no propagation of chaos"):
        assert words in PAGES["cite"]
    assert (ROOT / "CITATION.cff").read_text().count("type: article") == 2


def test_the_picture_of_the_readme_is_one_that_the_pages_make():
    assert "](docs/gamma.png)" in (ROOT / "README.md").read_text()
    assert "gamma.figure()" in PAGES["index"]
