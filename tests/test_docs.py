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
NO_CODE = ("text", "{include}", "{results}", "{toctree}", "{eval-rst}", "{math}", "{automodule}", "{glossary}")
"""Kinds of blocks without code."""
README_RUN = "python3 -m venv .venv && .venv/bin/pip install -q"
RUN_ELSEWHERE = {
    ("README", f"{README_RUN} . && .venv/bin/largen run gamma"): (".ci/run", "$(command_of run)"),
    ("README", f"{README_RUN} -e '.[test]' && .venv/bin/python -m pytest -q -n 2 --dist loadfile "
     "--no-loadscope-reorder --max-worker-restart=0"): (".ci/run", "$(command_of test)"),
    ("README", "import numpy as np"): ("tests/test_readme.py", "def test_the_python_block_runs_as_printed"),
    # Installs; the README's command with other names of folders.
    ("get-started", "python3 -m venv .venv && .venv/bin/pip install ."): (".ci/run", "$(command_of run)"),
    # Serves until it is stopped.
    ("explorer", "pip install 'largen[explorer]'"):
        ("tests/explorer/test_explorer_browser.py", '"largen.commands.main", "explore"'),
    ("explorer", "largen explore model.yaml --recording control.nwb --populations cell_type --trials trials"):
        ("tests/explorer/test_explorer_recording_browser.py", '"--recording", str(table)'),
}  # fmt: skip
"""Page and first line of a block that is not run when its page is built, and the file that runs it."""
MODELS = {"spiking": largen.SpikingNetwork, "balanced": largen.BalancedNetwork, "rate": largen.RateNetwork}


API = "".join(text for name, text in PAGES.items() if name.startswith("api-"))


def test_the_public_names_are_those_of_the_reference():
    listed = re.findall(r"auto(?:class|function|exception):: largen\.(\w+)\n", API)
    assert sorted([*listed, "__version__", "analysis", "plot", "priors"]) == sorted(largen.__all__) == dir(largen)
    for module in (analysis, plot):
        assert f"automodule:: {module.__name__}" in API
    for name in largen.__all__:
        getattr(largen, name)
    for name in analysis.__all__:
        assert getattr(analysis, name).__doc__, name


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


def blocks(text):
    """Language or directive, options and content of every fenced block."""
    found = re.findall(r"^ *(`{3,}|~{3,}) *([^\n]*)\n(.*?)^ *\1 *$", text, re.S | re.M)
    for _, first, content in found:
        options = re.match(r"---\n.*?\n---\n|(?::.*\n)*", content, re.S)[0]
        yield first.strip(), options, content[len(options) :].strip()


@pytest.mark.parametrize("name", [*sorted(PAGES), "README", "CHANGELOG", "CONTRIBUTING", "SCOPE"])
def test_every_block_of_code_is_run(name):
    """A block is a cell, the text of a script that the tests run, or one of the few that are run elsewhere."""
    text = PAGES[name] if name in PAGES else (ROOT / f"{name}.md").read_text()
    for kind, options, content in blocks(text):
        if kind == "{code-cell} python":
            assert name in MADE_HERE
            assert not re.search("skip-execution|raises-exception", options), content
            if not re.search(r"^[!%]", content, re.M):
                ast.parse(content)
        elif kind.startswith("{literalinclude}"):
            assert kind.split()[1].startswith(("../examples/", "../CITATION.cff")), kind
        elif not kind.startswith(NO_CODE):
            where, needle = RUN_ELSEWHERE[name, content.splitlines()[0]]
            assert needle in (ROOT / where).read_text(), needle


def test_the_list_of_what_is_run_elsewhere_holds_nothing_else():
    texts = PAGES | {"README": (ROOT / "README.md").read_text()}
    assert all(re.search(rf"^ *{re.escape(line)}$", texts[page], re.M) for page, line in RUN_ELSEWHERE)


def test_a_page_that_fails_ends_its_build():
    conf = (DOCS / "conf.py").read_text()
    assert 'nb_execution_mode = "cache"\n' in conf
    assert "nb_execution_raise_on_error = True\n" in conf
    assert "nb_execution_excludepatterns" not in conf


def test_a_command_that_fails_ends_its_page(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(DOCS))
    from shell import run

    run("echo here; echo there >&2")
    assert capsys.readouterr().out.split() == ["here", "there"]
    with pytest.raises(RuntimeError, match="ended with status 3"):
        run("exit 3")
    assert '"shell"' in (DOCS / "_ipython" / "profile_default" / "ipython_kernel_config.py").read_text()


@pytest.mark.parametrize(
    "path", sorted([*DOCS.glob("*.md"), *DOCS.glob("validation/*.md")]), ids=lambda path: path.stem
)
def test_what_a_page_points_to_exists(path):
    text = path.read_text()
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
        assert (path.parent / target).exists(), target
    for target in re.findall(r"```\{(?:include|literalinclude)\} (\S+)", text):
        assert (path.parent / target).exists(), target


LINKS = {
    "https://arxiv.org/abs/1711.09672",  # Mastrogiuseppe & Ostojic
    "https://arxiv.org/abs/1901.10248",  # Faugeras, MacLaurin & Tanre
    "https://arxiv.org/abs/2411.14801",  # Chang et al.
    "https://arxiv.org/abs/2412.17273",  # MacLaurin & Vilanova
    "https://jobqueue.dask.org",  # as in its package's metadata
    "https://xarray.dev",  # likewise
}
"""Every address outside: few, and of forms that last. `sphinx -b linkcheck docs OUT` asks for them on a network."""


def test_links_that_leave_the_site_are_few_and_known():
    texts = [*PAGES.values(), *((ROOT / f"{name}.md").read_text() for name in ("README", "CHANGELOG", "CONTRIBUTING"))]
    texts += [(ROOT / name).read_text() for name in ("SCOPE.md", "CITATION.cff", "pyproject.toml")]
    found = {link.rstrip(".,;") for text in texts for link in re.findall(r"https?://[^\s)\]>\"'`]+", text)}
    assert found == LINKS


DRAWS = r"^\w+\.figure\(\)|^ln\.plot\.(?:overview|figure_of|diagram_page)\(|^results\.growth\("
"""A last line of a cell that shows a picture."""


@pytest.mark.parametrize("path", [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"], ids=lambda path: path.stem)
def test_every_picture_has_an_alternative_text(path):
    """Of some words; what a cell draws has it in the cell's options."""
    if "_build" in path.parts:
        return
    text = path.read_text()
    for alternative, target in re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", text):
        assert len(alternative.split()) >= 3, target
    for kind, options, content in blocks(text):
        if kind == "{code-cell} python" and re.search(DRAWS, content, re.M):
            alternative = re.search(r"^    alt: (.+)$", options, re.M)
            assert alternative, content
            assert len(alternative[1].split()) >= 3, content


def test_the_navigation_is_short():
    """A reader finds a page in it: what is generated stands behind the page on validation."""
    assert 20 <= len(set(PAGES) - {"index"}) <= 31
    assert all("orphan: true" in path.read_text() for path in (DOCS / "validation").glob("*.md"))


def test_first_uses_of_terms_are_linked(monkeypatch):
    """The rule; that every built page follows it is checked in a browser by .ci/site."""
    monkeypatch.syspath_prepend(str(DOCS))
    from glossary_links import split

    left = {"closure", "synchrony index", "synchrony", "z", "theory"}
    found = split("Closures, closure; the synchrony\nindex, its synchrony. Z is not z; theories, prehistory", left)
    assert [piece for piece in found if piece[1]] == [
        ("Closures", "closure"),
        ("synchrony\nindex", "synchrony index"),
        ("synchrony", "synchrony"),
        ("z", "z"),
        ("theories", "theory"),
    ]
    assert "".join(piece for piece, _ in found).startswith("Closures, closure; the synchrony\nindex")
    assert not left
    assert split("nothing of it", {"closure"}) == [("nothing of it", None)]
    assert split("closure", set()) == [("closure", None)]


def test_the_glossary_has_what_the_pages_need():
    terms = re.findall(r"^(\S.*)\n  \S", re.search(r"```\{glossary\}\n(.*?)```", PAGES["glossary"], re.S)[1], re.M)
    assert terms == sorted(terms, key=str.lower)
    assert len(terms) == len({term.lower() for term in terms})
    assert {
        "closure", "annealed", "quenched", "tau-leaping", "balanced manifold", "pending spikes", "finite-size theory",
        "finite-size chain", "frozen covariance", "dynamic covariance", "z", "standard error", "Holm's correction",
        "Mahalanobis distance", "Hotelling's test", "block bootstrap", "boundary layer", "propagation of chaos",
        "multiple-firing event", "synchrony index", "Hopf point", "fold", "Floquet multiplier", "Lyapunov exponent",
    } <= set(terms)  # fmt: skip


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
