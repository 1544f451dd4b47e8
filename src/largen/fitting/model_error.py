"""The theory's own error, as shares of each observable's natural scale."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from largen.checks import known_keys, real, require
from largen.comparison.rows import natural_scale
from largen.fitting.measured import Data
from largen.system import AbstractSystem, Yardstick


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


def model_errors(given: Any, data: Data, scale: np.ndarray) -> np.ndarray:
    """The theory's error of each datum, shape (datum,): its share times the scale.

    Args:
        given: A share for all observables, or shares by observable.
        data: The target; where it has no errors, every observable needs a share.
        scale: Natural size of a difference of each datum, shape (datum,).

    Raises:
        InputError: An unknown observable, no positive share, or an observable without a scale.
    """
    share = shares(given, tuple(data.index))
    known_keys("observable in `model_error`", share, data.index)
    if data.error is None:
        missing = [name for name in data.index if name not in share]
        must = "give a share for each observable of a target without errors"
        require(not missing, "model_error", must, given, f"Missing: {', '.join(missing)}.")
    each = np.concatenate([np.full(len(entries), share.get(name, 0.0)) for name, entries in data.index.items()])
    without = [label for label, size, part in zip(data.labels, scale, each, strict=True) if part > 0 and not size > 0]
    must = f"be a share of a scale, but `{without[0] if without else ''}` is 0 and has none"
    require(not without, "model_error", must, given, "Leave its observable out of a mapping.")
    return each * np.where(each > 0, scale, 0.0)


def natural_scales(model: AbstractSystem, data: Data, limit: xr.Dataset) -> np.ndarray:
    """Natural size of a difference of each datum, as in `compare`, shape (datum,); NaN where there is none.

    Args:
        model: The model.
        data: The target.
        limit: The limit of the starting model at the same times, from which sizes that change in time come.
    """
    sticks = {o.name: o.yardstick for o in model.observables}
    scales, start = [], 0
    for name, entries in data.index.items():
        value = data.value[start : start + len(entries)]
        start += len(entries)
        if name in limit and "time" in limit[name].dims:
            scale = _in_time(sticks.get(name, Yardstick()), limit, name)[entries]
        else:
            scale = np.abs(value)
        scales.append(np.where(scale > 0, scale, np.nan))
    return np.concatenate(scales)


def _in_time(stick: Yardstick, limit: xr.Dataset, name: str) -> np.ndarray:
    """The scale of an observable at all its times, flattened: what the system declares, else its mean size."""
    variable = limit[name]
    over = [dim for dim in ("time", "time_") if dim in variable.dims]
    mean = variable.mean(over)
    own = mean.copy(data=np.abs(mean.values))
    if stick.scale is not None:
        own = own.copy(data=natural_scale(stick, limit, name).reshape(own.shape))
    return (xr.zeros_like(variable) + own).transpose(*variable.dims).values.reshape(-1)
