"""The transition of noiseless rate networks to chaos, labelled."""

from typing import Any

import numpy as np
import xarray as xr

from largen.checks import InputError, require
from largen.system import AbstractSystem


def chaos_onset(system: AbstractSystem, *, gains: Any = None) -> xr.Dataset:
    """Find by theory (n to infinity) where a noiseless rate network with independent weights becomes chaotic.

    g is the standard deviation of a weight times sqrt(n); the model's own value is ignored. The onset is where the
    static state of the network loses its stability. For tanh without thresholds, in continuous time with tau = 1, it is
    g = 1, and above it the variance of the chaotic state grows as Delta_0(g). `analysis.lyapunov` measures the exponent
    of a finite network.

    Args:
        system: A RateNetwork without noise, with an UncorrelatedKernel.
        gains: Values of g at which Delta_0 is wanted (tanh without thresholds, continuous time), shape (gain,).

    Returns:
        `onset`, the value of g; `static_mean` and `static_variance` of the static state there; with `gains` also
        `variance` (gain), Delta_0: 0 up to the onset.

    Raises:
        InputError: Another system, noise or correlated weights.
        LimitError: There is no onset.
    """
    if system.system != "rate":
        raise InputError(f"analysis.chaos_onset is for a RateNetwork, but the model is a {type(system).__name__}.")
    from largen.systems.rate import chaos_onset

    found = chaos_onset.find(system)
    table = {
        "onset": (found.gain, "standard deviation of a weight times sqrt(n) at the onset of chaos"),
        "static_mean": (found.mean, "mean of the static state at the onset"),
        "static_variance": (found.variance, "variance of the static state at the onset"),
    }
    variables: dict[str, Any] = {name: ((), x, {"units": "1", "long_name": text}) for name, (x, text) in table.items()}
    coords = {}
    if gains is not None:
        values = np.atleast_1d(np.asarray(gains, np.float64))
        good = values.ndim == 1 and np.all(np.isfinite(values)) and np.all(values >= 0)
        require(good, "gains", "be a vector of numbers of at least 0", gains)
        about = {"units": "1", "long_name": "variance of the chaotic state"}
        variables["variance"] = (("gain",), chaos_onset.variances(system, values), about)
        coords["gain"] = ("gain", values, {"units": "1", "long_name": "standard deviation of a weight times sqrt(n)"})
    return xr.Dataset(variables, coords, {"kind": "chaos onset", "system": system.system})
