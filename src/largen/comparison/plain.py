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
    """A convergence study as plain values: numbers by n, and one entry per observable and per component."""
    plain = json_attrs(study) | {"folder": str(folder), "n": study["n"].values.tolist()}
    plain |= {str(key): study[key].values.tolist() for key in study.data_vars if study[key].dims == ("n",)}
    for dim in ("observable", "component"):
        if dim in study.dims:
            plain[f"{dim}s"] = {name: _row(study, dim, name) for name in study[dim].values.tolist()}
    return plain


def _row(study: xr.Dataset, dim: str, name: str) -> dict[str, Any]:
    """The values of one observable or component; a list where there is one for each n or step."""
    row = study.sel({dim: name})
    found = {
        str(key): row[key] for key in study.data_vars if dim in study[key].dims and "realisation" not in row[key].dims
    }
    return {
        key: [finite_or_word(value) for value in one.values.tolist()] if one.ndim else finite_or_word(one.item())
        for key, one in found.items()
    }
