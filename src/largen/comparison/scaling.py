"""convergence(): the distance between network and limit against the network's size."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from largen.checks import InputError, array, increasing_times, integer, known_keys
from largen.comparison.report import after_layer
from largen.datasets import netcdf_attrs, versions
from largen.parameters.plain import to_plain
from largen.runtime.progress import showing
from largen.simulation import Interrupted, simulate, solve_limit
from largen.system import AbstractSystem, options_of, require_model


def convergence(
    system: AbstractSystem,
    times: Any,
    *,
    n: Sequence[int],
    realisations: int | Sequence[int] = 16,
    seed: int = 0,
    method: str | None = None,
    observable: str | None = None,
    workers: int = 1,
    progress: Any = None,
    **options: Any,
) -> xr.Dataset:
    """Measure how the network approaches its limit as it grows.

    Where there is an infinite limit the error of a realisation is the largest |observable - limit| over
    populations and times (times in the boundary layer left out); `error` is its mean over realisations and
    `exponent` the slope of log error against log n, by weighted least squares.

    A spiking system's reduction is one of finite networks: it is solved at each n, `error` is the largest relative
    error over populations of the time-averaged observable, `relative_bias` the signed one per population, and no
    exponent is claimed.

    Args:
        system: The model.
        times: Output times, shape (time,).
        n: Total numbers of neurons, at least two, increasing.
        realisations: Realisations at every n, or one number per n.
        seed: Seed of the networks.
        method: One of the system's network methods, or None for its default.
        observable: Which observable; None is the system's first.
        workers: Spawned processes.
        progress: As in `simulate`.
        options: The system's own options, for the network, the limit, or both.

    Returns:
        Dataset with dim `n`: error, standard_error, ci_low, ci_high (95 %); exponent with exponent_low and
        exponent_high, or relative_bias(n, population) with relative_standard_error.

    Raises:
        InputError: An argument cannot be used.
        Interrupted: Ctrl-C; the sizes that had finished are in `.partial`.
    """
    times = increasing_times("times", times, unit=require_model("system", system).time_unit)
    ns = [integer("n", value, low=1) for value in np.atleast_1d(array("n", n)).ravel().tolist()]
    if len(ns) < 2 or any(a >= b for a, b in itertools.pairwise(ns)):
        raise InputError(f"Argument `n` must hold at least two increasing sizes, but is {ns}.")
    given = array("realisations", realisations)
    counts = np.broadcast_to(given, (len(ns),)).tolist() if given.ndim < 2 and given.size in (1, len(ns)) else []
    if not counts:
        raise InputError(f"Argument `realisations` must be one number or {len(ns)} of them, but is {realisations}.")
    counts = [integer("realisations", value, low=2, remedy="An error bar needs two.") for value in counts]
    names = [o.name for o in system.observables if not o.on_request and "time" in o.dims]
    name = names[0] if observable is None else observable
    known_keys("observable", [name], names)
    for_network, for_limit = (options_of(system, verb) for verb in ("network", "limit"))
    known_keys(f"option of the {system.system} system", options, {**for_network, **for_limit})
    ours = {key: value for key, value in options.items() if key in for_network}
    theirs = {key: value for key, value in options.items() if key in for_limit}
    infinite = system.reference_size is None
    limit = solve_limit(system, times, n=None, **theirs) if infinite else None

    rows: list[dict[str, Any]] = []
    with showing(progress, "convergence") as tick:
        try:
            for k, size in enumerate(ns):
                tick(k / len(ns))
                network = simulate(
                    system,
                    times,
                    n=size,
                    realisations=counts[k],
                    seed=seed,
                    method=method,
                    workers=workers,
                    progress=lambda done, k=k: tick((k + done) / len(ns)),
                    **ours,
                )
                theory = solve_limit(system, times, n=size, **theirs) if limit is None else limit
                rows.append(_absolute(network, theory, name) if infinite else _relative(network, theory, name))
        except KeyboardInterrupt as stop:
            partial = _collect(system, ns[: len(rows)], rows, name, seed, counts) if len(rows) >= 2 else None
            raise Interrupted(f"{len(rows)} of {len(ns)} sizes", partial) from stop
    return _collect(system, ns, rows, name, seed, counts)


def _absolute(network: xr.Dataset, limit: xr.Dataset, name: str) -> dict[str, Any]:
    inside = after_layer(network, limit)
    difference = abs(network[name] - limit[name])[..., inside]
    error = difference.max([dim for dim in difference.dims if dim != "realisation"]).values
    half = float(stats.t.ppf(0.975, len(error) - 1))
    return _with_interval(error.mean(), error.std(ddof=1) / np.sqrt(len(error)), half)


def _relative(network: xr.Dataset, limit: xr.Dataset, name: str) -> dict[str, Any]:
    means, theory = network[name].mean("time"), limit[name].mean("time")
    sampled = "realisation" in theory.dims
    centre = theory.mean("realisation") if sampled else theory
    if bool((centre == 0).any()):
        raise InputError(f"The limit's `{name}` is 0 in a population: a relative error has no meaning there.")
    variance = means.var("realisation", ddof=1) / means.sizes["realisation"]
    if sampled and theory.sizes["realisation"] > 1:
        variance = variance + theory.var("realisation", ddof=1) / theory.sizes["realisation"]
    bias = ((means.mean("realisation") - centre) / centre).transpose("population", ...)
    error = variance**0.5 / abs(centre)
    worst = int(np.argmax(np.abs(bias.values)))
    half = float(stats.t.ppf(0.975, means.sizes["realisation"] - 1))
    row = _with_interval(np.abs(bias.values).ravel()[worst], error.values.ravel()[worst], half)
    return row | {"relative_bias": bias, "relative_standard_error": error}


def _with_interval(error: float, standard_error: float, half: float) -> dict[str, Any]:
    return {
        "error": error,
        "standard_error": standard_error,
        "ci_low": max(error - half * standard_error, 0.0),
        "ci_high": error + half * standard_error,
    }


def _collect(
    system: AbstractSystem, ns: list[int], rows: list[dict[str, Any]], name: str, seed: int, counts: list[int]
) -> xr.Dataset:
    infinite = system.reference_size is None
    what = f"largest |{name} - limit| over populations and times" if infinite else f"relative error of the mean {name}"
    study = xr.Dataset(
        {key: ("n", [row[key] for row in rows]) for key in ("error", "standard_error", "ci_low", "ci_high")},
        {"n": ("n", ns, {"long_name": "number of neurons", "units": "1"})},
        {
            "kind": "convergence",
            "system": system.system,
            "parameters": json.dumps(to_plain(system, strict=False)),
            "observable": name,
            "versions": versions(),
            **netcdf_attrs({"seed": seed}),
        },
    )
    unit = next(o.unit for o in system.observables if o.name == name) if infinite else "1"
    for key in study.data_vars:
        study[key].attrs = {"units": unit, "long_name": what if key == "error" else f"{key} of the {what}"}
    study["realisations"] = ("n", counts[: len(ns)])
    if not infinite:
        for key in ("relative_bias", "relative_standard_error"):
            study[key] = xr.concat([row[key] for row in rows], "n").assign_attrs(units="1")
        return study
    slope, error = fit_exponent(np.array(ns, float), study["error"].values, study["standard_error"].values)
    half = stats.norm.ppf(0.975) * error
    for key, value in (("exponent", slope), ("exponent_low", slope - half), ("exponent_high", slope + half)):
        study[key] = (
            (),
            value,
            {"units": "1", "long_name": f"{key.replace('_', ', ')} of error ~ n^exponent"},
        )
    return study


def fit_exponent(n: np.ndarray, error: np.ndarray, standard_error: np.ndarray) -> tuple[float, float]:
    """Slope of log error against log n and its standard error, by weighted least squares.

    The weights are the inverse variances of log error, (error/standard_error)^2, shapes (size,).
    """
    x, y, weight = np.log(n), np.log(error), (error / np.maximum(standard_error, 1e-300)) ** 2
    centre = np.average(x, weights=weight)
    spread = np.sum(weight * (x - centre) ** 2)
    return float(np.sum(weight * (x - centre) * y) / spread), float(spread**-0.5)
