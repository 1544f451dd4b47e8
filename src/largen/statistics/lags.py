"""Correlation of the rate system against the lag on the ring and against time, split into frozen and dynamic parts."""

import numpy as np
import xarray as xr

from largen.checks import InputError, real, require
from largen.checks import dataset as checked

_PARTS = {
    "correlation": "correlation",
    "frozen": "part frozen by the weights and thresholds",
    "dynamic": "part that fluctuates in time",
}


_STATIONARY: dict[str, tuple[str, ...]] = {"covariance": ("lag", "time"), "frozen_covariance": ("lag",)}


def correlation_against_lag(dataset: xr.Dataset, *, time: float | None = None) -> xr.Dataset:
    """Correlation of two neurons against their lag on the ring, and its frozen and dynamic parts.

    Each is divided by the variance of a neuron, so that frozen + dynamic = correlation, which is 1 at lag 0. Correlated
    weights leave all three away from 0 at lag 1 however large the network; independent weights leave nothing there.

    Args:
        dataset: What `solve_limit`, `simulate` (with two replicas or more) or `analysis.stationary` returned for a
            RateNetwork.
        time: At which output time; None is the last. Left out for a stationary regime.

    Returns:
        Dataset with dim `lag`: correlation, frozen, dynamic; of a network each with `_se` over realisations.

    Raises:
        InputError: Another system, no frozen covariance, or a time that is no output time.
    """
    remedy = "Pass a limit, a stationary regime, or a network of replicas=2 or more of a RateNetwork."
    both: dict[str, tuple[str, ...]] = dict.fromkeys(_STATIONARY, ("lag", "time", "time_"))
    needed = _STATIONARY if getattr(dataset, "attrs", {}).get("kind") == "stationary" else both
    checked("dataset", dataset, arrays=needed, attrs=("system",), remedy=remedy)
    whole, frozen = dataset["covariance"], dataset["frozen_covariance"]
    if dataset.attrs.get("kind") == "stationary":
        require(time is None, "time", "be left out for a stationary regime", time)
        whole = whole.isel(time=0)
    else:
        times = dataset["time"].values
        time = None if time is None else real("time", time)
        at = len(times) - 1 if time is None else int(np.argmin(np.abs(times - time)))
        if time is not None and abs(times[at] - time) > 1e-9 * (1 + abs(time)):
            raise InputError(
                f"Argument `time` must be one of the output times, but is {time:g}. The nearest is {times[at]:g}."
            )
        whole, frozen = (part.isel(time=at, time_=at) for part in (whole, frozen))
    runs = "realisation" in whole.dims
    variance = (whole.mean("realisation") if runs else whole).sel(lag=0)
    require(float(variance) > 0, "dataset", "have a positive variance", float(variance))
    parts = dict(zip(_PARTS, (whole / variance, frozen / variance, (whole - frozen) / variance), strict=True))
    variables = {}
    for name, part in parts.items():
        about = {"units": "1", "long_name": _PARTS[name]}
        value = part.mean("realisation") if runs else part
        variables[name] = ("lag", value.values, about)
        if runs and part.sizes["realisation"] > 1:
            error = part.std("realisation", ddof=1) / np.sqrt(part.sizes["realisation"])
            variables[f"{name}_se"] = (
                "lag",
                error.values,
                {"units": "1", "long_name": f"standard error: {about['long_name']}"},
            )
    attrs = {"kind": "correlation against lag", "system": dataset.attrs["system"], "variance": float(variance)}
    return xr.Dataset(variables, {"lag": dataset["lag"].values}, attrs)


def autocorrelation_time(stationary: xr.Dataset) -> xr.Dataset:
    """Autocorrelation time of the stationary regime: the integral over t > 0 of the dynamic part's autocorrelation.

    The frozen part never decays and is left out; `frozen_share` says how much of the variance it is. For a neuron
    without coupling the time is tau (continuous), or (1 + gamma)/(2(1 - gamma)) steps (discrete; the sum with half
    of the first term).

    Args:
        stationary: What `analysis.stationary` returned.

    Returns:
        Dataset: `autocorrelation_time` (lag), NaN where a lag has no dynamic part, and `frozen_share`.
    """
    good = isinstance(stationary, xr.Dataset) and stationary.attrs.get("kind") == "stationary"
    require(good, "stationary", "be what `analysis.stationary` returned", type(stationary).__name__)
    checked("stationary", stationary, variables=("time",), arrays=_STATIONARY, attrs=("dynamics", "system"))
    dynamic = (stationary["covariance"] - stationary["frozen_covariance"]).transpose("lag", "time").values
    time = stationary["time"].values
    from scipy import integrate  # slow to import

    rule = integrate.trapezoid if stationary.attrs["dynamics"] == "discrete" else integrate.simpson
    whole = np.array([float(rule(row, x=time)) for row in dynamic])
    varying = np.abs(dynamic[:, 0]) > 1e-12 * abs(dynamic[0, 0])
    found = np.divide(whole, dynamic[:, 0], out=np.full(len(whole), np.nan), where=varying)
    share = float(stationary["frozen_covariance"][0] / stationary["covariance"][0, 0])
    return xr.Dataset(
        {
            "autocorrelation_time": ("lag", found, {"units": "1", "long_name": "autocorrelation time"}),
            "frozen_share": ((), share, {"units": "1", "long_name": "frozen share of the variance"}),
        },
        {"lag": stationary["lag"].values},
        {"kind": "autocorrelation time", "system": stationary.attrs["system"]},
    )
