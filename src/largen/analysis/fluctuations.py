"""Fluctuation theory of the systems that have one, labelled; and the large deviations of the rate system."""

from typing import Any

import numpy as np
import xarray as xr

from largen.checks import InputError, increasing_times, integer
from largen.system import AbstractSystem

_PAIR = ("population", "source")


def fluctuations(system: AbstractSystem, *, n: int, times: Any = None, **options: Any) -> xr.Dataset:
    """Predict the covariances of population or neuron averages of a network of n neurons.

    Balanced system: linear noise about the stationary state (option `modes`): `mean_covariance`,
    `variance_covariance`, `mean_variance_covariance` and `pair_correlation`, dims (population, source).
    Rate system, discrete time (options `lags`, `samples`, `seed`): variances of `mean` (time), `covariance` and
    `second_moment` (lag, time, time_), the part `_frozen` by the weights and the Monte Carlo `_error`. They are those
    of the law averaged over the weights; for one network most of the fluctuation is frozen.

    Args:
        system: A BalancedNetwork or RateNetwork.
        n: Total number of neurons.
        times: Output times of the rate system, shape (time,).
        options: See above.

    Raises:
        InputError: The system has no fluctuation theory.
        LimitError: There is no single stable stationary state.
    """
    n = integer("n", n, low=2)
    if system.system == "balanced":
        return _balanced(system, n, options)
    if system.system == "rate":
        return _rate(system, n, increasing_times("times", times), options)
    raise InputError(
        f"A {type(system).__name__} has no fluctuation theory; its finite-size chain, solve_limit(..., "
        "finite_size=True), samples the fluctuations instead."
    )


def _balanced(system: Any, n: int, options: dict[str, Any]) -> xr.Dataset:
    found = system.fluctuations(n, **options)
    text = {
        "mean_covariance": "covariance of the population means",
        "variance_covariance": "covariance of the population variances",
        "mean_variance_covariance": "covariance of a population's mean with a source population's variance",
        "pair_correlation": "correlation of two different neurons",
    }
    labels = list(system.populations)
    variables: dict[str, Any] = {
        name: (_PAIR, getattr(found, name), {"units": "1", "long_name": words}) for name, words in text.items()
    }
    for name in ("mean", "variance"):
        variables[name] = ("population", getattr(found, name), {"units": "1", "long_name": f"stationary {name}"})
    variables["sizes"] = ("population", found.sizes, {"units": "1", "long_name": "neurons"})
    coords = {"population": labels, "source": labels}
    return xr.Dataset(variables, coords, {"kind": "fluctuations", "system": system.system, "n": n})


def _rate(system: Any, n: int, times: np.ndarray, options: dict[str, Any]) -> xr.Dataset:
    found = system.fluctuations(times, **options)
    variables: dict[str, Any] = {}
    for name, dims in (("mean", ("time",)), ("covariance", ("lag", "time", "time_")), ("second_moment", None)):
        dims = dims or ("lag", "time", "time_")
        for part, words in (("", ""), ("_frozen", ", part frozen by the weights"), ("_error", ", Monte Carlo error")):
            about = {"units": "1", "long_name": f"variance of the {name.replace('_', ' ')} over neurons{words}"}
            variables[name + part] = (dims, getattr(found, name + part) / n, about)
    coords = {"time": times, "time_": times, "lag": np.arange(found.covariance.shape[0])}
    return xr.Dataset(variables, coords, {"kind": "fluctuations", "system": system.system, "n": n})


def stationary(system: AbstractSystem, *, lags: int = 2, **options: Any) -> xr.Dataset:
    """Solve the stationary regime of a rate network: `covariance` (lag, time), `frozen_covariance` (lag), `mean`.

    `time` is the time between the two states. Options: `rtol`, `atol`.

    Raises:
        InputError: Not a RateNetwork.
        LimitError: There is no stationary regime, or it was not reached.
    """
    _require_rate(system, "stationary")
    model: Any = system
    found = model.stationary(lags=lags, **options)
    covariance = {"units": "1", "long_name": "stationary covariance"}
    frozen = {"units": "1", "long_name": "covariance frozen by the weights"}
    return xr.Dataset(
        {
            "mean": ((), found.mean, {"units": "1", "long_name": "mean state"}),
            "covariance": (("lag", "time"), found.covariance, covariance),
            "frozen_covariance": ("lag", found.frozen, frozen),
        },
        {"lag": np.arange(len(found.frozen)), "time": found.time},
        {
            "kind": "stationary",
            "system": system.system,
            "dynamics": model.dynamics,
            "error": found.error,
            "iterations": len(found.residuals),
        },
    )


def rate_function(system: AbstractSystem, mean: Any, covariance: Any) -> xr.Dataset:
    """Rate function of large deviations of a discrete-time rate network, for a Gaussian field.

    H per neuron of the field with this `mean` (time,) and `covariance` (lag, time, time), with its two parts; it is
    zero at the limit alone. Minimising it over Gaussian fields gives an upper bound of the true exponent. It belongs
    to the law averaged over the weights.

    Raises:
        InputError: Not a discrete-time RateNetwork, no noise or initial variance, or a covariance that is none.
    """
    _require_rate(system, "rate_function")
    model: Any = system
    found = model.rate_function(np.asarray(mean, float), np.asarray(covariance, float))
    return xr.Dataset(
        {name: ((), getattr(found, name), {"units": "1"}) for name in found._fields},
        attrs={"kind": "rate function", "system": system.system},
    )


def _require_rate(system: AbstractSystem, name: str) -> None:
    if system.system != "rate":
        raise InputError(f"analysis.{name} is for a RateNetwork, but the model is a {type(system).__name__}.")
