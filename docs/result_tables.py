"""Tables, provenance and figures from the files of `docs/data/`, for pages."""

import json
import sys
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
sys.path.insert(0, str(DATA.parents[1] / "validation"))

from study import shown  # noqa: E402


def load(name: str) -> dict[str, Any]:
    """The record of a part, such as "validation/balanced_theory/law"."""
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def table(record: dict[str, Any], name: str) -> list[str]:
    """Lines of a Markdown table."""
    columns, rows = record["tables"][name]["columns"], record["tables"][name]["rows"]
    cells = [
        [shown(cell, column).replace("|", r"\|") for cell, column in zip(row, columns, strict=True)] for row in rows
    ]
    heads = [column["name"] for column in columns]
    return [f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *cells)]


def provenance(record: dict[str, Any]) -> str:
    """One line: command, commit, date, machine, CPU time; and the page from which old numbers were taken."""
    parts = [f"commit {record['commit']}", record["date"]]
    if about := record.get("machine"):
        words = [about.get("cpu"), about.get("vectors"), f"{about['cores']} cores" if about.get("cores") else ""]
        python = about.get("versions", {}).get("python")
        parts.append(", ".join(filter(None, [*words, f"Python {python}" if python else ""])))
    if record.get("cpu_seconds") is not None:
        parts.append(f"{record['cpu_seconds']:.0f} CPU s")
    if source := record.get("taken_over_from"):
        parts.append(f"taken over from {source}")
    return f"`{record['command']}`: {'; '.join(parts)}."


def growth() -> Any:
    """CPU time against size from the tables of speed, both axes logarithmic, with the powers of the curves."""
    import numpy as np
    from matplotlib.figure import Figure

    panels = (
        ("spiking/spiking", "network", ("annealed", "quenched, stored"), "neurons", "CPU ms per step"),
        ("balanced/balanced", "method", ("exact", "tau_leap"), "neurons", "CPU s per unit of time"),
        ("populations/populations", "engine", ("numba",), "populations", "measured"),
    )
    figure = Figure(figsize=(4.2 * len(panels), 3.8), layout="constrained")
    for axis, (place, key, labels, x_name, y_name) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        part, name = place.split("/")
        data = load(f"benchmarks/speed/{part}")["tables"][name]
        names = [column["name"] for column in data["columns"]]
        rows = [dict(zip(names, row, strict=True)) for row in data["rows"]]
        for marker, label in zip("os", labels, strict=False):
            points = [(row[x_name], row[y_name]) for row in rows if row[key] == label and row[y_name] is not None]
            x, y = np.transpose(sorted(points))
            power = np.polyfit(np.log(x), np.log(y), 1)[0]
            axis.loglog(x, y, marker, linestyle="-", label=f"{label}, power {power:.2f}")
        axis.set(xlabel=x_name, ylabel="CPU s per biological second" if y_name == "measured" else y_name)
        axis.legend()
    return figure
