"""The theory's own error, as shares of each observable's natural scale."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from largen.checks import known_keys, real, require
from largen.fitting.measured import Data


def shares(given: Any, names: tuple[str, ...] = ()) -> dict[str, float]:
    """Check what was given as `model_error`; shares by observable (a number stands for each of `names`).

    Raises:
        InputError: No positive number, and no mapping from observables to such.
    """
    if isinstance(given, Mapping):
        require(len(given) > 0, "model_error", "name at least one observable", given)
        found = {str(name): real(f"model_error[{name!r}]", share, above=0.0) for name, share in given.items()}
    else:
        found = dict.fromkeys(names, real("model_error", given, above=0.0))
    return found


def model_errors(given: Any, data: Data, limit: xr.Dataset) -> np.ndarray:
    """The theory's error of each datum, shape (datum,): its share times the observable's scale.

    Args:
        given: A share for all observables, or shares by observable.
        data: The target; where it has no errors, every observable needs a share.
        limit: The limit of the starting model at the same times, which gives the scales.

    Raises:
        InputError: An unknown observable, no positive share, or an observable without a scale.
    """
    share = shares(given, tuple(data.index))
    known_keys("observable in `model_error`", share, data.index)
    if data.error is None:
        missing = [name for name in data.index if name not in share]
        must = "give a share for each observable of a target without errors"
        require(not missing, "model_error", must, given, f"Missing: {', '.join(missing)}.")
    errors, start = [], 0
    for name, entries in data.index.items():
        part = data.value[start : start + len(entries)]
        start += len(entries)
        scale = _scale(name, entries, part, limit) if name in share else np.zeros(len(entries))
        if name in share:
            good = bool(np.all(np.isfinite(scale) & (scale > 0)))
            must = f"be a share of a scale, but `{name}` is 0 and has none"
            require(good, "model_error", must, given, f"Leave `{name}` out of a mapping.")
        errors.append(share.get(name, 0.0) * scale)
    return np.concatenate(errors)


def _scale(name: str, entries: np.ndarray, value: np.ndarray, limit: xr.Dataset) -> np.ndarray:
    """Natural scale of some entries of an observable: a neuron's s.d. for means, own size for what else there is."""
    if name not in limit or "time" not in limit[name].dims:
        return np.abs(value)
    variable = limit[name]
    spread = _variance(limit)
    if name in ("mean", "third_cumulant") and spread is not None:
        scale = spread ** (0.5 if name == "mean" else 1.5)
    elif "time_" in variable.dims and spread is not None:
        scale = spread
    else:
        mean = variable.mean([dim for dim in ("time", "time_") if dim in variable.dims])
        scale = xr.where(mean < 0, -mean, mean)
    full = (xr.zeros_like(variable) + scale).transpose(*variable.dims)
    return full.values.reshape(-1)[entries]


def _variance(limit: xr.Dataset) -> xr.DataArray | None:
    """Time mean of a neuron's variance, by population where there are several; None where the limit has none."""
    if "variance" in limit:
        return limit["variance"].mean("time")
    if "covariance" in limit:
        at_once = limit["covariance"].isel(lag=0).values
        return xr.DataArray(np.mean(np.diagonal(at_once)))
    return None
