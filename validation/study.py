"""What the studies of validation/ and benchmarks/ share: their command line and their results as data.

A part of a study is a function `part(results, small)`: it adds rows to tables of `results`; with `small` it does the
same at a size that takes seconds. Its docstring's first line says what it shows.

Command: python validation/NAME.py PART [PART ...] [--small] [--out FILE]
Each part writes a file of docs/data, such as docs/data/validation/NAME/PART.json, which the pages render when the site
is built: its tables, command, commit, machine, date and CPU seconds. With `--small` nothing is written unless `--out`
names a file.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DATA = ROOT / "docs" / "data"
PACKAGES = ("largen", "numpy", "scipy", "jax", "numba")

Part = Callable[["Results", bool], None]


def estimate(value: float, error: float) -> dict[str, float]:
    """A cell of a table: a value with its standard error."""
    return {"value": float(value), "error": float(error)}


class Table:
    """Rows of cells under named columns; a row is printed when it is added.

    Args:
        columns: Each a name, or (name, format), or (name, format of the value, format of its error), with the formats
            of `format`, such as ".2f". Numbers are kept as they are; the format is for who reads them.
    """

    def __init__(self, *columns: str | tuple[str, ...]):
        names = [(column,) if isinstance(column, str) else column for column in columns]
        self.columns = [dict(zip(("name", "format", "error_format"), column, strict=False)) for column in names]
        self.rows: list[list[Any]] = []
        print("\n" + " | ".join(column["name"] for column in self.columns), flush=True)

    def add(self, *cells: Any) -> None:
        """Add a row: a cell is text, a number, a truth value, None, an `estimate`, or a list of these."""
        if len(cells) != len(self.columns):
            raise ValueError(f"A row must have {len(self.columns)} cells, but has {len(cells)}.")
        self.rows.append([plain(cell) for cell in cells])
        print(" | ".join(map(shown, self.rows[-1], self.columns)), flush=True)


class Results(dict[str, Table]):
    """The tables of one part, by name."""

    def table(self, name: str, *columns: str | tuple[str, ...]) -> Table:
        """A new table (see `Table`)."""
        self[name] = Table(*columns)
        return self[name]


def plain(cell: Any) -> Any:
    """A cell as JSON has it; a number that is not finite is None."""
    if hasattr(cell, "tolist"):
        cell = cell.tolist()
    if isinstance(cell, dict):
        return {name: plain(value) for name, value in cell.items()}
    if isinstance(cell, list | tuple):
        return [plain(value) for value in cell]
    if isinstance(cell, float) and not abs(cell) < float("inf"):
        return None
    return cell


def shown(cell: Any, column: dict[str, str]) -> str:
    """A cell as a person reads it."""
    form = column.get("format", "")
    if cell is None:
        return ""
    if isinstance(cell, list):
        return ", ".join(shown(value, column) for value in cell)
    if isinstance(cell, dict):
        value = shown(cell["value"], column)
        error = shown(cell["error"], {"format": column.get("error_format", form)})
        return f"{value} ± {error}" if value and error else value
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return format(cell, form) if isinstance(cell, int | float) else str(cell)


def machine() -> dict[str, Any]:
    """Processor, its vector set, cores, and versions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = set(next((line for line in lines if line.startswith("flags")), "").split())
    vectors = next((label for flag, label in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "")
    versions = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    return {
        "cpu": names[0] if names else platform.processor(),
        "vectors": vectors,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
    }


def commit() -> str:
    """The commit that ran, with `-dirty` where files differ from it, other than results of this and other parts."""
    name = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    if name.returncode != 0:
        return "unknown"
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", ".", ":!docs/data"], cwd=ROOT).returncode
    return name.stdout.strip() + "-dirty" * (changed != 0)


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in parts)


def run(script: Path, part: Part, *, small: bool = False) -> dict[str, Any]:
    """Run one part: its tables and where they come from, ready for JSON."""
    began, results, state = cpu_seconds(), Results(), commit()
    part(results, small)
    return {
        "command": f"python {script.resolve().relative_to(ROOT)} {part.__name__}{' --small' if small else ''}",
        "commit": state,
        "date": date.today().isoformat(),
        "machine": machine(),
        "cpu_seconds": round(cpu_seconds() - began, 1),
        "tables": {name: {"columns": table.columns, "rows": table.rows} for name, table in results.items()},
    }


def lines_of(record: dict[str, Any]) -> str:
    """JSON with one column and one row of a table a line, so that a change of one number is a change of one line."""
    marks = {}
    shape: dict[str, Any] = {name: {} for name in record["tables"]}
    for name, table in record["tables"].items():
        for key, entries in table.items():
            shape[name][key] = [f"@{name}@{key}@{k}@" for k in range(len(entries))]
            marks |= dict(zip(shape[name][key], entries, strict=True))
    text = json.dumps(record | {"tables": shape}, indent=1, ensure_ascii=False)
    for mark, entry in marks.items():
        text = text.replace(f'"{mark}"', json.dumps(entry, ensure_ascii=False), 1)
    return text + "\n"


def write(record: dict[str, Any], path: Path) -> None:
    """Write results whole or not at all."""
    text = lines_of(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def main(parts: Iterable[Part], about: str | None) -> None:
    """The command line of a study: run the parts that are named and write what they found.

    Args:
        parts: The study's parts.
        about: Its docstring.
    """
    known = {part.__name__: part for part in parts}
    words = {"description": about, "formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(**words)
    parser.add_argument("parts", nargs="+", choices=list(known), metavar="PART", help=", ".join(known))
    parser.add_argument("--small", action="store_true", help="the same at a size that takes seconds")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write; by default in docs/data")
    given = parser.parse_args()
    if given.out and len(given.parts) > 1:
        parser.error("--out takes one part.")
    script = Path(sys.argv[0])
    for name in given.parts:
        record = run(script, known[name], small=given.small)
        out = given.out or (None if given.small else DATA / script.resolve().parent.name / script.stem / f"{name}.json")
        if out:
            write(record, out)
            print(f"\n{out}: {record['cpu_seconds']} CPU s", flush=True)
