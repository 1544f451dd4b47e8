"""A bifurcation diagram as plain values, for JSON."""

from typing import Any

import numpy as np
import xarray as xr

KEYS = ("parameter", "uncertainty", "frequency", "period", "branch")


def diagram_as_plain(found: xr.Dataset) -> dict[str, Any]:
    """A diagram as plain values: its branches and special points."""
    branches = [
        {
            "kind": str(found["branch_kind"].values[k]),
            "points": int(np.sum(found["on_branch"].values == k)),
            "ending": str(found["branch_ending"].values[k]),
        }
        for k in range(found.sizes["branch"])
    ]
    return {
        "parameter": str(found.attrs["parameter"]),
        "from": float(found.attrs["from"]),
        "to": float(found.attrs["to"]),
        "resolution": float(found.attrs["resolution"]),
        "searched": str(found.attrs["searched"]),
        "branches": branches,
        "special": [_special(found, k) for k in range(len(found["special_kind"]))],
    }


def _special(found: xr.Dataset, k: int) -> dict[str, Any]:
    """One special point; None where a value does not exist."""
    row: dict[str, Any] = {"kind": str(found["special_kind"].values[k])}
    for key in KEYS:
        value = found[f"special_{key}"].values[k].item()
        row[key] = None if isinstance(value, float) and not np.isfinite(value) else value
    for key in found.data_vars:
        if str(key).startswith("special_shift_"):
            shift = float(found[key].values[k])
            row[str(key).removeprefix("special_")] = shift if np.isfinite(shift) else None
    return row | {"meaning": str(found["special_meaning"].values[k])}
