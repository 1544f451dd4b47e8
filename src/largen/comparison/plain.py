"""Comparisons as plain values, for JSON."""

from pathlib import Path
from typing import Any

import xarray as xr

from largen.datasets import json_attrs
from largen.parameters.plain import finite_or_word


def report_as_plain(report: xr.Dataset) -> dict[str, Any]:
    """A comparison as plain values: one entry per observable and per component."""
    observables = {}
    for name in report["observable"].values.tolist():
        row = report.sel(observable=name)
        observables[name] = {
            str(key): finite_or_word(row[key].item()) for key in report.data_vars if report[key].dims == ("observable",)
        }
    components = {}
    for name in report["component"].values.tolist():
        row = report.sel(component=name)
        components[name] = {
            str(key): finite_or_word(row[key].item()) for key in report.data_vars if report[key].dims == ("component",)
        }
    return json_attrs(report) | {"observables": observables, "components": components}


def convergence_as_plain(study: xr.Dataset, folder: Path) -> dict[str, Any]:
    """A convergence study as plain values."""
    plain = json_attrs(study) | {"n": study["n"].values.tolist(), "folder": str(folder)}
    for name, variable in study.data_vars.items():
        plain[str(name)] = variable.values.tolist()
    return plain
