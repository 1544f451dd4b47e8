"""Theories of the rate network as tables with names, units and meanings."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from largen.checks import require, vector
from largen.system import Table
from largen.systems.rate.chaos_onset import Onset
from largen.systems.rate.fluctuations import Fluctuations
from largen.systems.rate.large_deviations import RateFunction
from largen.systems.rate.stationary import Stationary
from largen.systems.rate.stationary import chaotic_variance as of_one


def of_fluctuations(found: Fluctuations, times: np.ndarray, n: int) -> Table:
    """Variances of averages over n neurons: all, the part frozen by the weights, and the Monte Carlo error."""
    variables: dict[str, Any] = {}
    square = ("lag", "time", "time_")
    for name, dims in (("mean", ("time",)), ("covariance", square), ("second_moment", square)):
        for part, words in (("", ""), ("_frozen", ", part frozen by the weights"), ("_error", ", Monte Carlo error")):
            text = f"variance of the {name.replace('_', ' ')} over neurons{words}"
            variables[name + part] = (dims, getattr(found, name + part) / n, "1", text)
    lags = np.arange(found.covariance.shape[0])
    coords = {"time": (times, "1", "time"), "time_": (times, "1", "other time"), "lag": (lags, "1", "lag on the ring")}
    return Table(variables, coords)


def of_stationary(found: Stationary, dynamics: str) -> Table:
    """The stationary regime: covariance (lag, time), its frozen part (lag), mean."""
    variables = {
        "mean": ((), found.mean, "1", "mean state"),
        "covariance": (("lag", "time"), found.covariance, "1", "stationary covariance"),
        "frozen_covariance": (("lag",), found.frozen, "1", "covariance frozen by the weights"),
    }
    lags = np.arange(len(found.frozen))
    coords = {"lag": (lags, "1", "lag on the ring"), "time": (found.time, "1", "time between the two states")}
    return Table(variables, coords, {"dynamics": dynamics, "error": found.error, "iterations": len(found.residuals)})


def of_rate_function(found: RateFunction) -> Table:
    """The rate function and its two parts."""
    texts = {
        "total": "rate function per neuron",
        "covariance_part": "part of the covariance",
        "mean_part": "part of the mean",
    }
    return Table({name: ((), getattr(found, name), "1", text) for name, text in texts.items()})


def of_onset(found: Onset, gains: np.ndarray | None, variance: np.ndarray | None) -> Table:
    """The onset of chaos and, at some gains, the variance of the chaotic state."""
    words = "standard deviation of a weight times sqrt(n)"
    variables: dict[str, Any] = {
        "onset": ((), found.gain, "1", f"{words} at the onset of chaos"),
        "static_mean": ((), found.mean, "1", "mean of the static state at the onset"),
        "static_variance": ((), found.variance, "1", "variance of the static state at the onset"),
    }
    if gains is None:
        return Table(variables)
    variables["variance"] = (("gain",), variance, "1", "variance of the chaotic state")
    return Table(variables, {"gain": (gains, "1", words)})


def chaotic_variance(gains: float | Sequence[float]) -> xr.Dataset:
    """Variance Delta_0 of the noiseless network of independent weights with tanh, against the gain g.

    From the energy condition of Sompolinsky, Crisanti & Sommers 1988; 0 up to the transition at g = 1.

    Args:
        gains: Standard deviation of a weight times sqrt(N), one or several.
    """
    values = np.atleast_1d(vector("gains", gains, dims=None))
    require(values.ndim == 1, "gains", "be one number or a row of them", values.shape)
    about = {"units": "1", "long_name": "stationary variance Delta_0"}
    coords = {"gain": ("gain", values, {"units": "1", "long_name": "gain g"})}
    attrs = {"kind": "chaotic variance", "system": "rate"}
    return xr.Dataset({"variance": ("gain", [of_one(float(g)) for g in values], about)}, coords, attrs)
