"""sensitivity(): the derivatives of a limit's observables with respect to all parameters, by name."""

import re
from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
import numpy as np
import xarray as xr

from largen.checks import InputError, LimitError, increasing_times, integer, known_keys, names
from largen.fitting.evaluation import evaluate
from largen.fitting.measured import measure
from largen.fitting.unknowns import unknowns
from largen.io.model_files import time_grid
from largen.parameters import AbstractComponent, entries, indexed_name, parameters
from largen.simulation import solve_limit
from largen.system import AbstractSmoothLimit, AbstractSystem, check_options, options_of, require_model


def sensitivity(
    model: AbstractSystem,
    observable: str | Iterable[str] | None = None,
    *,
    times: Any = None,
    n: int | None = None,
    free: str | Iterable[str] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Differentiate a limit's observables with respect to all parameters at once, exactly (automatic differentiation).

    Args:
        model: The model.
        observable: One or several observables; all that the limit has if None. Balanced system: mean, variance, rate;
            rate system: mean, covariance; spiking system: the statistics rate, synchrony and gamma_frequency.
        times: Output times, shape (time,); the system's default if None.
        n: Total number of neurons for the theory of n neurons, where there is one; None for the model's own size.
        free: Names of parameters; all real ones that the limit can vary if None.
        options: The limit's own options, such as `bin_width`.

    Returns:
        Each observable and `<observable>_derivative`, which has a first dim `parameter` with names such as
        `strength[e,i]`; `value` and `unit` of each parameter.

    Raises:
        InputError: An argument cannot be used.
        LimitError: The limit does not exist, or not to the last time.
    """
    check_options(require_model("model", model), "smooth", options)
    unit = model.time_unit
    times = time_grid(*model.default_times) if times is None else increasing_times("times", times, unit=unit)
    n = None if n is None else integer("n", n, low=1)
    asked = None if observable is None else names("observable", observable)
    shared = {key: value for key, value in options.items() if key in options_of(model, "limit")}
    reference = solve_limit(model, times, n=n, **shared)
    limit = model.smooth(times, n=n, **(_gamma(model, reference, asked) | options))
    known_keys("observable", asked or (), limit.names)
    chosen = sorted(asked or limit.names)
    model, free_ones = unknowns(model, limit, _all(model, limit) if free is None else free, inside=False)

    with jax.enable_x64(True):
        shapes = {key: value.shape for key, value in eqx.filter_eval_shape(limit, model)[0].items()}
    index = {name: np.arange(int(np.prod(shapes[name]))) for name in chosen}
    found = evaluate(limit, model, free_ones, index, free_ones.value[None])
    value, derivative = found.value[0], found.derivative[0]
    if not np.all(np.isfinite(value)):
        raise LimitError(
            "The limit cannot be differentiated at these parameters: it is lost on the way to the last time."
        )
    for k, name in enumerate(free_ones.names):
        if not np.all(np.isfinite(derivative[:, k])):
            raise LimitError(
                f"The limit has no derivative with respect to `{name}` at {free_ones.value[k]:g}: leave it out of "
                "`free`."
            )

    dims = {o.name: o.dims for o in model.observables}
    variables: dict[str, Any] = {}
    start = 0
    for name in chosen:
        count = len(index[name])
        own = (
            dims[name]
            if name in dims and len(dims[name]) == len(shapes[name])
            else ("population",)[: len(shapes[name])]
        )
        part = slice(start, start + count)
        start += count
        variables[name] = (own, value[part].reshape(shapes[name]))
        rows = derivative[part].T.reshape(-1, *shapes[name])
        about = {"long_name": f"derivative of {name} by each parameter"}
        variables[f"{name}_derivative"] = (("parameter", *own), rows, about)
    variables["value"] = ("parameter", free_ones.value, {"long_name": "value of the parameter"})
    coords: dict[str, Any] = {"parameter": list(free_ones.names), "unit": ("parameter", list(free_ones.units))}
    used = {dim for spec in variables.values() for dim in np.atleast_1d(spec[0]).tolist()}
    for dim in ("population", "time", "time_", "lag"):
        if dim in used:
            coords[dim] = reference[dim] if dim in reference.coords else np.arange(shapes[chosen[0]][0])
    kept = ("system", "parameters", "n", "method", "versions")
    return xr.Dataset(variables, coords, {"kind": "sensitivity"} | {key: reference.attrs[key] for key in kept})


def _gamma(model: AbstractSystem, reference: xr.Dataset, asked: tuple[str, ...] | None) -> dict[str, float]:
    """The frequency at which the spiking system's gamma peak is sought: that of the limit itself."""
    if "gamma" not in options_of(model, "smooth") or (asked is not None and "gamma_frequency" not in asked):
        return {}
    try:
        found = measure(model, reference).values.get("gamma_frequency")
    except InputError:  # times too coarse for a spectrum
        found = None
    if found is None and asked is not None:
        raise InputError(
            "The limit shows no gamma frequency at these times. Give times one step (0.1 ms) apart, a longer run, or "
            "the option gamma= with the frequency (Hz) to look at."
        )
    return {} if found is None else {"gamma": float(found)}


def _all(model: AbstractSystem, limit: AbstractSmoothLimit) -> list[str]:
    """Names of all real, finite numbers that the limit can vary."""
    labels = model.populations
    names: list[str] = []

    def collect(component: Any, stem: str) -> None:
        for info in parameters(component).values():
            name, value = stem + info.name, getattr(component, info.name)
            if re.sub(r"\[[^]]*\]", "", name) in limit.fixed:
                continue
            if isinstance(value, tuple) and info.kind == "component":
                for index, part in entries(value):
                    if isinstance(part, AbstractComponent):
                        collect(part, f"{stem}{indexed_name(info, index, labels)}.")
            elif isinstance(value, AbstractComponent):
                if info.kind == "component":
                    collect(value, f"{name}.")
            elif info.kind == "real" and not (value is None or callable(value)) and np.all(np.isfinite(value)):
                names.append(name)

    collect(model, "")
    return names
