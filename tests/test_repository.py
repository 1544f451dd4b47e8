"""What surrounds the code: one version, short README, workflows and templates that name what exists, the archive."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import largen

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def test_the_version_stands_in_one_place():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "src/largen/__init__.py"
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == largen.__version__
    assert f"## {largen.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 350
    assert len(re.search(r"```python\n(.*?)```", text, re.S)[1].split("\n\n")[1].splitlines()) <= 8


def test_every_python_that_is_claimed_is_run():
    claimed = {word.split(":: ")[-1] for word in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", word)}
    run = yaml.safe_load(WORKFLOWS[0].read_text())["jobs"]["run"]["strategy"]["matrix"]
    assert set(run["python"]) == claimed == {"3.11", "3.12", "3.13"}
    assert {system.split("-")[0] for system in run["os"]} == {"ubuntu", "macos"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_a_script_of_this_repository(path):
    jobs = yaml.safe_load(path.read_text())["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert commands
    for command in commands:
        assert (ROOT / re.fullmatch(r"bash (\S+)", command)[1]).is_file(), command


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_an_issue_template_asks_for_something(path):
    template = yaml.safe_load(path.read_text())
    if path.stem != "config":
        assert template["name"]
        assert template["description"]
        assert all(field["attributes"]["label"] for field in template["body"])


def test_extras_for_users_have_a_name_and_its_alias():
    extras = PROJECT["project"]["optional-dependencies"]
    assert extras["app"] == ["largen[explorer]"]
    assert any(requirement.startswith("panel") for requirement in extras["explorer"])


def test_the_archive_holds_what_the_tests_read():
    held = {
        entry.strip("/").split("/")[0] for entry in PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    }
    held |= {"pyproject.toml"}  # always there
    texts = [path.read_text() for path in (ROOT / "tests").rglob("*.py")]
    read = {name for text in texts for name in re.findall(r"\bROOT / \"([\w.-]+)", text)}
    assert "docs" in read
    assert {name for name in read if (ROOT / name).exists()} <= held


def test_the_tour_of_the_code_names_files_and_functions_that_exist():
    tour = (ROOT / "CONTRIBUTING.md").read_text().split("## A tour")[1]
    tables = [block for block in tour.split("\n\n") if block.startswith("|")]
    assert len(tables) == 5
    for table in tables:
        stops = re.findall(r"^\| `([\w/]+\.py)`: `(\w+)`", table, re.M)
        assert len(stops) == len(table.splitlines()) - 2
        assert len({file for file, _ in stops}) <= 6
        for file, name in stops:
            tree = ast.parse((ROOT / "src" / "largen" / file).read_text())
            kinds = ast.FunctionDef | ast.ClassDef
            assert name in {node.name for node in ast.walk(tree) if isinstance(node, kinds)}, (file, name)
