"""The scripts of validation/ and benchmarks/, the data they wrote, and the pages that show it agree.

Every script is imported; every command that a page names exists; every file of docs/data is shown by a page. Every part
is run at a small size: the quick ones here, the others with `-m long` (both in .ci/nightly).
"""

import importlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).parent.parent
DATA = ROOT / "docs" / "data"
HELPERS = {"study", "random_inputs", "spiking_inputs", "diagrams", "memory", "networks", "stores", "timing"}
SCRIPTS = sorted(
    path for folder in ("validation", "benchmarks") for path in (ROOT / folder).glob("*.py") if path.stem not in HELPERS
)
PAGES = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "docs").glob("*.md")}
PAGES |= {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "docs" / "validation").glob("*.md")}
PAGES |= {name: ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")}
QUICK = {
    "validation/rate_theory.py": {"extrapolation", "one_draw", "stay_correlated", "fixed_point", "figures"},
    "validation/rate_transition.py": {"theory", "networks"},
    "validation/spiking_network.py": {"sets", "sizes"},
}
"""Parts that take a few seconds at their small size, compilation included."""


@pytest.fixture(autouse=True)
def folders_of_the_scripts(monkeypatch):
    """What Python adds for a script: its own folder, from which it imports its helpers."""
    for folder in ("validation", "benchmarks"):
        monkeypatch.syspath_prepend(str(ROOT / folder))


def imported(path):
    """A script as a module that worker processes can import, too: they look where this process does."""
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    module = importlib.import_module(f"{path.parent.name}.{path.stem}")
    assert Path(module.__file__) == path
    return module


def label(path):
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", SCRIPTS, ids=label)
def test_a_script_can_be_imported_and_says_what_its_parts_show(path):
    module = imported(path)
    assert f"python {path.relative_to(ROOT).as_posix()} " in module.__doc__
    for part in module.PARTS:
        assert part.__doc__, part
        assert getattr(module, part.__name__) is part


def parts_of(script):
    return {part.__name__ for part in imported(ROOT / script).PARTS}


def named_commands():
    """(page, script, parts) of every `python validation/NAME.py PART ...` of a page, its words in a row."""
    for name, path in sorted(PAGES.items()):
        for quoted in re.findall(r"`([^`]+)`", path.read_text()):
            if found := re.search(r"python ((?:validation|benchmarks)/\w+\.py)((?: \w+)*)", " ".join(quoted.split())):
                yield name, found[1], found[2].split()


def test_every_script_that_a_page_names_has_the_parts_that_it_names():
    found = list(named_commands())
    assert found
    for page, script, parts in found:
        assert (ROOT / script).is_file(), f"{page}: {script}"
        assert set(parts) - {"PART"} <= parts_of(script), f"{page}: {script} {parts}"


def test_no_page_names_a_script_that_is_gone():
    for name, path in PAGES.items():
        for script in re.findall(r"(?:validation|benchmarks)/\w+\.py", path.read_text()):
            assert (ROOT / script).is_file(), f"{name}: {script}"


def test_every_test_that_a_page_names_exists():
    files = list((ROOT / "tests").rglob("test_*.py"))
    known = {name for path in files for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)}
    known |= {path.stem for path in files}
    for name, path in PAGES.items():
        named = set(re.findall(r"\b(test_\w+)", " ".join(re.findall(r"`([^`]+)`", path.read_text()))))
        assert named <= known, f"{name}: {named - known}"
    page = PAGES["docs/validation/inputs.md"].read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| what")]
    assert len(rows) > 30
    assert all(re.search(r"`test_\w+`", row) for row in rows)


def test_every_command_line_that_a_page_names_can_be_parsed():
    from largen.commands.main import app

    command = typer.main.get_command(app)
    checked = 0
    for name, path in PAGES.items():
        for quoted in re.findall(r"`(largen [^`]+)`", path.read_text()):
            words = " ".join(quoted.split()).split()[1:]
            if words[0].startswith("-") or not re.fullmatch(r"[a-z]+", words[0]):
                continue
            assert words[0] in command.commands, f"{name}: {quoted}"
            known = {option for one in command.commands[words[0]].params for option in (*one.opts, *one.secondary_opts)}
            options = {word.split("=")[0] for word in words[1:] if re.fullmatch(r"--?[a-z][\w-]*(=.*)?", word)}
            assert options <= known | {"--help"}, f"{name}: {quoted}"
            checked += 1
    assert checked > 10


def shown():
    """Names of the results that pages show, with the table where one is named."""
    for path in PAGES.values():
        for name, options in re.findall(r"```\{results\} (\S+)\n((?::.*\n)*)", path.read_text()):
            yield name, dict(re.findall(r":([\w-]+): ?(.*)", options)).get("table")


def test_every_file_of_data_is_shown_by_a_page_and_every_table_of_it():
    files = {
        path.relative_to(DATA).with_suffix("").as_posix(): json.loads(path.read_text()) for path in DATA.rglob("*.json")
    }
    found = set(shown())
    assert {name for name, _ in found} == set(files)
    for name, record in files.items():
        tables = set(record["tables"])
        if (name, None) not in found:
            assert {table for one, table in found if one == name} == tables, name


@pytest.mark.parametrize("path", sorted(DATA.rglob("*.json")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_file_of_data_says_where_it_comes_from(path):
    record = json.loads(path.read_text())
    folder, stem = path.parent.parent.name, path.parent.name
    assert record["command"] == f"python {folder}/{stem}.py {path.stem}"
    assert path.stem in parts_of(f"{folder}/{stem}.py")
    assert re.fullmatch(r"[0-9a-f]{7,}", record["commit"])
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", record["date"])
    assert "taken_over_from" in record or {"machine", "cpu_seconds"} <= record.keys()
    for table in record["tables"].values():
        assert all(len(row) == len(table["columns"]) for row in table["rows"])


def test_a_page_shows_numbers_as_the_file_has_them(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import result_tables

    columns = [{"name": "set"}, {"name": "rate", "format": ".1f"}, {"name": "p", "format": ".0e"}]
    record = {"tables": {"x": {"columns": columns, "rows": [["a|b", {"value": 2.04, "error": 0.31}, [1e-3, None]]]}}}
    assert result_tables.table(record, "x") == [
        "| set | rate | p |",
        "| --- | --- | --- |",
        r"| a\|b | 2.0 ± 0.3 | 1e-03,  |",
    ]


def test_results_are_written_whole_or_not_at_all(tmp_path):
    import study

    def part(results, small):
        """Two rows."""
        table = results.table("t", "n", ("x", ".2f"))
        table.add(1, study.estimate(1.5, 0.25))
        table.add(2, float("nan"))

    record = study.run(ROOT / "validation" / "study.py", part, small=True)
    study.write(record, tmp_path / "folder" / "part.json")
    again = json.loads((tmp_path / "folder" / "part.json").read_text())
    assert again["tables"]["t"]["rows"] == [[1, {"value": 1.5, "error": 0.25}], [2, None]]
    assert again["command"] == "python validation/study.py part --small"
    record["tables"]["t"]["rows"].append([object(), 0])
    with pytest.raises(TypeError):
        study.write(record, tmp_path / "folder" / "part.json")
    assert json.loads((tmp_path / "folder" / "part.json").read_text()) == again
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["part.json"]


NEEDS = {
    ("validation/slurm.py", "trials"): lambda: shutil.which("sbatch"),
    ("validation/failures.py", "root"): lambda: Path("/sys/fs/cgroup").exists() and shutil.which("setpriv") and _root(),
    **{
        ("validation/beside_nest.py", part): lambda: "NEST_PYTHON" in os.environ
        for part in ("brunel", "microcircuit", "scales")
    },
    ("validation/from_data.py", "recordings"): lambda: {"NEST_PYTHON", "NWB_PYTHON"} <= set(os.environ),
    ("validation/bridge_to_sbi.py", "coverage"): lambda: "SBI_PYTHON" in os.environ,
    ("validation/mesoscopic.py", "rates"): lambda: "NEST_PYTHON" in os.environ,
    ("validation/exported.py", "nest"): lambda: "NEST_PYTHON" in os.environ,
    **{("validation/exported.py", part): lambda: "BRIAN2_PYTHON" in os.environ for part in ("brian2", "brian2_more")},
    ("validation/spike_trains.py", "elephant"): lambda: "ELEPHANT_PYTHON" in os.environ,
    ("benchmarks/explorer_pictures.py", "pictures"): lambda: Path("/usr/bin/chromium").exists(),
    **{("benchmarks/explorer.py", part): lambda: Path("/usr/bin/chromium").exists()
       for part in ("first_view", "latency", "sizes", "heap", "pages", "diagram")},
}  # fmt: skip
"""What a part needs of the machine."""


def _root():
    return os.geteuid() == 0


def cases():
    for path in SCRIPTS:
        script = path.relative_to(ROOT).as_posix()
        names = re.findall(r"^def (\w+)\(results: Results, small: bool\)", path.read_text(), re.M)
        for name in names:
            marks = () if name in QUICK.get(script, ()) else pytest.mark.long
            yield pytest.param(path, name, marks=marks, id=f"{label(path)}-{name}")


def test_the_parts_that_are_run_small_are_all():
    found = {(case.values[0], case.values[1]) for case in cases()}
    assert found == {(path, part.__name__) for path in SCRIPTS for part in imported(path).PARTS}


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("path", "name"), list(cases()))
def test_a_part_runs_at_a_small_size_and_fills_the_tables_of_its_data(path, name, tmp_path, monkeypatch):
    import study

    needs = NEEDS.get((path.relative_to(ROOT).as_posix(), name), lambda: True)
    if not needs():
        pytest.skip("what it needs is not on this machine")
    monkeypatch.chdir(tmp_path)
    record = study.run(path, getattr(imported(path), name), small=True)
    study.write(record, tmp_path / "small.json")
    assert record["tables"]
    kept = DATA / path.parent.name / path.stem / f"{name}.json"
    if kept.exists():
        known = json.loads(kept.read_text())["tables"]
        for key in record["tables"].keys() & known.keys():
            now, then = ([column["name"] for column in one[key]["columns"]] for one in (record["tables"], known))
            assert now == then or (path.stem, name) in VARIES, key


VARIES = {
    ("rate_theory", "one_draw"),
    ("bifurcation_spiking", "slopes"),
    *(("rate_populations", part) for part in ("chaos", "excitation_inhibition", "static", "transient")),
    *(("rate_populations", part) for part in ("discrete", "correlated_ring", "outliers")),
}
"""Parts whose columns are sizes or variants, fewer at the small size."""
