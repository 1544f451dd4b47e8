"""A fit as plain values, for JSON."""

import json
from typing import Any

import numpy as np
import xarray as xr

from largen.parameters.plain import json_safe


def fit_as_plain(result: xr.Dataset) -> dict[str, Any]:
    """A fit as plain values: its attributes, its parameters by name, and the fitted model."""
    rows = {}
    for name in result["parameter"].values.tolist():
        row = result.sel(parameter=name)
        keys = ("value", "standard_error", "ci_low", "ci_high", "start")
        rows[name] = {key: json_safe(float(row[key])) for key in keys} | {"unit": str(row["unit"].item())}
    keep = [key for key in result.attrs if key != "parameters"]
    attrs = {str(key): json_safe(_python(result.attrs[key])) for key in keep}
    return attrs | {"parameters": rows, "model": json_safe(json.loads(result.attrs["parameters"]))}


def _python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
