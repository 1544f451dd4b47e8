"""Stationary states with their stability, labelled."""

from typing import Any

import numpy as np
import xarray as xr

from largen.checks import InputError
from largen.system import AbstractSystem


def fixed_points(system: AbstractSystem, *, n: int | None = None) -> xr.Dataset:
    """Find all stationary states of a balanced network's limit, or of its equations at n neurons.

    Args:
        system: A BalancedNetwork with constant drive and input.
        n: Total number of neurons; None is the limit.

    Returns:
        Dataset with dim `state`: mean, variance, third_cumulant, rate (state, population); the eigenvalues `fast`
        (times sqrt(n) they are rates) and `slow` (on the balanced manifold), each as `_real` and `_imag`; `stable`.

    Raises:
        InputError: The system is of another kind, or its drive depends on time.
        LimitError: No stationary state was found.
    """
    if system.system != "balanced":
        raise InputError(f"analysis.fixed_points is for a BalancedNetwork, but the model is a {type(system).__name__}.")
    model: Any = system
    found = model.fixed_points(n)
    variables: dict[str, Any] = {
        name: (("state", "population"), getattr(found, name), {"units": "1", "long_name": f"stationary {name}"})
        for name in ("mean", "variance", "third_cumulant", "rate")
    }
    for name in ("fast", "slow"):
        values = np.asarray(getattr(found, name))
        for part, numbers in (("real", np.real(values)), ("imag", np.imag(values))):
            about = {"units": "1", "long_name": f"{name} eigenvalue, {part} part"}
            variables[f"{name}_{part}"] = (("state", f"{name}_mode"), numbers, about)
    variables["stable"] = ("state", found.stable, {"long_name": "whether all real parts are negative"})
    attrs = {"kind": "fixed points", "system": system.system, "n": float("inf") if n is None else n}
    return xr.Dataset(variables, {"population": list(system.populations)}, attrs)
