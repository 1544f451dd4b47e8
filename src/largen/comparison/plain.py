"""Comparisons as plain values, for JSON."""

from pathlib import Path
from typing import Any

import xarray as xr

from largen.comparison.words import lines, rows_of
from largen.datasets import json_attrs
from largen.parameters.plain import finite_or_word


def report_as_plain(report: xr.Dataset) -> dict[str, Any]:
    """A comparison as plain values: its attributes, and one entry per row."""
    every = rows_of(report, range(report.sizes["component"]))
    rows = {row.pop("component"): {key: finite_or_word(value) for key, value in row.items()} for row in every}
    return json_attrs(report) | {"said": lines(report), "components": rows}


def convergence_as_plain(study: xr.Dataset, folder: Path) -> dict[str, Any]:
    """A convergence study as plain values."""
    plain = json_attrs(study) | {"n": study["n"].values.tolist(), "folder": str(folder)}
    for name, variable in study.data_vars.items():
        plain[str(name)] = variable.values.tolist()
    return plain
