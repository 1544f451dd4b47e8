"""compare(): the distance between a network and its limit, with an error bar."""

import enum
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy import stats

from largen.checks import InputError, dataset, flag, neurons_of, real, require
from largen.comparison.alignment import aligned
from largen.comparison.difference import Difference, as_series, difference_of, own_laws
from largen.datasets import component_labels, versions
from largen.numerics.hypothesis_tests import holm
from largen.system.values import COMPLETED


class Verdict(enum.StrEnum):
    """What a comparison finds for an observable, from the worst to the best; the values are what people read."""

    THEORY_OFF = "theory off"
    NOT_SEPARATED = "differs; finite size not separated"
    FINITE_SIZE = "differs by a finite-size effect"
    TOO_SHORT = "simulation too short to tell"
    AGREES = "agrees"


DIFFERENT = (Verdict.THEORY_OFF, Verdict.NOT_SEPARATED, Verdict.FINITE_SIZE)
"""Verdicts that speak of a difference."""


class _Tested(NamedTuple):
    """Differences of a network from its theories.

    Attributes:
        network: The network.
        limit: The limit.
        names: The observables that both have.
        inside: Which of the limit's times count, shape (time,).
        against_limit: Difference from the limit, by observable.
        against_finite: Difference from the theory at the network's size, by observable; the same object as
            `against_limit` where the limit is that theory, None without a theory.
        level: Chance of a verdict against a true theory, over all observables.
        precision: Relative half-width of an interval above which no difference seen is no agreement.
    """

    network: xr.Dataset
    limit: xr.Dataset
    names: list[str]
    inside: np.ndarray
    against_limit: list[Difference]
    against_finite: list[Difference] | None
    level: float
    precision: float

    @property
    def tables(self) -> dict[str, list[Difference]]:
        """The differences by the prefix of their names in the report."""
        if self.against_finite is None or self.against_finite is self.against_limit:
            return {"": self.against_limit}
        return {"": self.against_limit, "finite_": self.against_finite}


def compare(
    network: xr.Dataset,
    limit: xr.Dataset,
    *,
    finite: xr.Dataset | None = None,
    level: float = 0.05,
    precision: float = 0.1,
    strict: bool = True,
) -> xr.Dataset:
    """Measure the distance between a network and its limit, with an error bar.

    For every observable that both have, the realisations' differences from the theory are averaged over at most
    10 blocks of time; one Mahalanobis distance (Hotelling's test, covariance over the realisations) says whether
    they could be chance, with Holm's correction over the observables. Few realisations test fewer blocks, then averages
    over components. With one the error is that of the system's own theory of fluctuations where it has one (the rate
    system in discrete time), else a block bootstrap along time. A theory that is itself sampled (the finite-size
    chain of the spiking system) brings its own error in.

    The verdict of an observable is one of: "agrees"; "differs by a finite-size effect" (the limit differs, the
    theory at the network's size does not); "theory off" (the theory at the network's size differs too);
    "differs; finite size not separated" (no theory at the network's size was given); "simulation too short to
    tell" (no difference seen, but one of `precision` of the observable's size would not have been seen either).

    Args:
        network: What `simulate` returned.
        limit: What `solve_limit` returned, at the same times.
        finite: The limit equations at the network's n, `solve_limit(..., n=N)`. A `limit` whose n is the
            network's serves for both.
        level: Chance of a verdict against a true theory, over all observables.
        precision: Relative half-width of the 95 % interval above which no difference seen is no agreement.
        strict: Refuse datasets of different parameters; otherwise compare them all the same.

    Returns:
        Dataset with dims `component` (one row per observable and population, such as `rate[e]`): network, limit,
        bias, standard_error, ci_low, ci_high, z and, against `finite`, finite_bias, finite_standard_error,
        finite_z; `observable`: statistic, p_value, p_adjusted, verdict, sentence; and, for plots, pointwise
        `<observable>_bias`, `<observable>_standard_error` and `<observable>_z` in the observable's own dims.

    A selection is compared by its labels: populations, lags and realisations in any order, or fewer of them.

    Raises:
        InputError: Different systems, parameters, times, labels or sizes; nothing in common; a network without
            realisations.
    """
    strict = flag("strict", strict)
    level = real("level", level, above=0.0)
    require(level < 1, "level", "be below 1", level)
    precision = real("precision", precision, above=0.0)
    network = _with_realisations(network)
    limit = _checked_pair(network, limit, "limit", strict)
    size = float(network.attrs["n"])
    own_size = float(limit.attrs["n"]) == size
    if not own_size and np.isfinite(float(limit.attrs["n"])):
        raise InputError(
            f"The limit was solved at n = {limit.attrs['n']:g}, but the network has n = {size:g}: "
            f"solve it with n=None or n={size:g}."
        )
    if finite is not None:
        finite = _checked_pair(network, finite, "finite", strict)
        if float(finite.attrs["n"]) != size:
            raise InputError(
                f"Argument `finite` was solved at n = {finite.attrs['n']:g}, but the network has n = {size:g}: "
                f"use solve_limit(model, times, n={size:g})."
            )
    names = _shared(network, limit)
    inside = after_layer(network, limit)
    laws = own_laws(network, limit.sizes["time"], names)
    against_limit = [difference_of(network, limit, name, inside, laws.get(name)) for name in names]
    if finite is None and own_size:
        against_finite: list[Difference] | None = against_limit
    elif finite is None:
        against_finite = None
    else:
        missing = [name for name in names if name not in finite]
        require(not missing, "finite", "have the limit's observables", missing)
        everywhere = np.ones(network.sizes["time"], bool)
        against_finite = [difference_of(network, finite, name, everywhere, laws.get(name)) for name in names]
    return _report(_Tested(network, limit, names, inside, against_limit, against_finite, level, precision))


def _with_realisations(network: xr.Dataset) -> xr.Dataset:
    """The network, checked, with its dims in their usual order; where one realisation was selected its dim is back."""
    dataset("network", network, kinds=("network",), dims=("time",), attrs=("system", "parameters", "n"))
    neurons_of("network", network)
    if "lag" in network.indexes:
        network = network.sortby("lag")
    timed = {key: network[key] for key in network.data_vars if "time" in network[key].dims}
    if "realisation" not in network.dims and "realisation" in network.coords:
        timed = {key: variable.expand_dims("realisation") for key, variable in timed.items()}
    usual = ("realisation", "population", "source", ...)
    network = network.assign(
        {key: variable.transpose(*usual, missing_dims="ignore") for key, variable in timed.items()}
    )
    return dataset("network", network, dims=("realisation",), remedy="Select it with isel(realisation=[0]).")


def _checked_pair(network: xr.Dataset, theory: xr.Dataset, name: str, strict: bool) -> xr.Dataset:
    """The theory with the network's labels, if it is one of this network."""
    dataset(name, theory, kinds=("limit",), dims=("time",), attrs=("system", "parameters", "n", "status"))
    neurons_of(name, theory)
    for key, what in (("system", "systems"), ("parameters", "parameters")):
        if network.attrs[key] != theory.attrs[key] and (strict or key == "system"):
            detail = _first_difference(network, theory) if key == "parameters" else ""
            remedy = " Compare all the same with strict=False." if key == "parameters" else ""
            raise InputError(f"The network and `{name}` must be of the same {what}, but differ{detail}.{remedy}")
    return aligned(network, theory, name)


def _first_difference(a: xr.Dataset, b: xr.Dataset) -> str:
    try:
        one, two = dict(json.loads(a.attrs["parameters"])), dict(json.loads(b.attrs["parameters"]))
    except (TypeError, ValueError):  # made by hand
        return ""
    for key in one:
        if one[key] != two.get(key):
            return f" in `{key}`: {one[key]} and {two.get(key)}"
    return ""


def _shared(network: xr.Dataset, limit: xr.Dataset) -> list[str]:
    """Observables with a time axis that both have, in the network's order."""
    names = [
        str(name)
        for name, variable in network.data_vars.items()
        if name in limit
        and "time" in variable.dims
        and "realisation" in variable.dims
        and "neuron" not in variable.dims
    ]
    if not names:
        ours, theirs = (", ".join(map(str, part.data_vars)) or "none" for part in (network, limit))
        raise InputError(f"The network and the limit have no observable in common: {ours} and {theirs}.")
    return names


def after_layer(network: xr.Dataset, limit: xr.Dataset) -> np.ndarray:
    """Times that count: those after the boundary layer, whose length is attrs["layer"]/sqrt(n)."""
    times = limit["time"].values
    layer = float(limit.attrs.get("layer", 0.0))
    if layer == 0.0 or np.isfinite(float(limit.attrs["n"])):
        return np.ones(len(times), bool)
    width = layer / np.sqrt(float(network.attrs["n"]))
    inside = times >= float(limit.attrs.get("start_time", times[0])) + width
    if inside.sum() < 2:
        ended = limit.attrs["status"] != COMPLETED
        enough = (layer / (times[-2] - times[0])) ** 2 if len(times) > 2 else np.inf
        remedy = (
            (f"the limit ends before that, so take n above {enough:.3g}" if np.isfinite(enough) else "take a larger n")
            if ended
            else f"give times beyond {times[0] + width:.3g}, or a larger n"
        )
        raise InputError(
            f"At n = {network.attrs['n']:g} the network reaches the limit only {width:.3g} after its start: {remedy}."
        )
    return inside


def _report(tested: _Tested) -> xr.Dataset:
    """The report as a labelled Dataset."""
    network, limit = tested.network, tested.limit
    components, owner, values = _components(tested)
    observables, verdicts = _tests(tested)
    observables["verdict"] = np.array([verdict.value for verdict in verdicts])
    messages = [_message(tested, k, verdict, components, owner, values) for k, verdict in enumerate(verdicts)]
    observables["sentence"] = np.array(messages)
    variables: dict[str, Any] = {key: ("component", column) for key, column in values.items()}
    variables |= {key: ("observable", column) for key, column in observables.items()}
    for name, difference in zip(tested.names, tested.against_limit, strict=True):
        variables |= _pointwise(network[name], name, difference)
    coords = {
        "component": components,
        "observable": tested.names,
        "observable_of": ("component", owner),
        "time": ("time", limit["time"].values, limit["time"].attrs),
    }
    for dim in ("population", "source", "lag", "bin"):
        if dim in network.coords:
            coords[dim] = network[dim]
    attrs = {
        "kind": "comparison",
        "system": network.attrs["system"],
        "parameters": network.attrs["parameters"],
        "n": network.attrs["n"],
        "limit_n": limit.attrs["n"],
        "realisations": network.sizes["realisation"],
        "theory_at_network_size": "yes" if tested.against_finite is not None else "no",
        "level": tested.level,
        "precision": tested.precision,
        "error": tested.against_limit[0].method,
        "from_time": float(limit["time"].values[tested.inside][0]),
        "verdict": _worst(verdicts).value,
        "versions": versions(),
    }
    return _annotated(xr.Dataset(variables, coords, attrs))


def _components(tested: _Tested) -> tuple[list[str], list[str], dict[str, np.ndarray]]:
    """Label and observable of every component, and its estimates by name, each of shape (component,)."""
    rows: dict[str, list[float]] = {}
    labels, owner = [], []
    limit = tested.limit
    for k, name in enumerate(tested.names):
        theirs = as_series(limit[name], limit.sizes["time"])[..., tested.inside].mean((0, 2))
        labels += component_labels(tested.network[name])
        owner += [name] * len(theirs)
        rows.setdefault("limit", []).extend(theirs)
        rows.setdefault("network", []).extend(theirs + tested.against_limit[k].mean)
        for prefix, differences in tested.tables.items():
            for key, column in _estimates(differences[k]).items():
                rows.setdefault(prefix + key, []).extend(column)
    return labels, owner, {key: np.array(column) for key, column in rows.items()}


def _tests(tested: _Tested) -> tuple[dict[str, Any], list[Verdict]]:
    """Statistics and p-values by name, each of shape (observable,), and the verdicts."""
    found: dict[str, Any] = {}
    for prefix, differences in tested.tables.items():
        p = np.array([difference.p_value for difference in differences])
        found[f"{prefix}statistic"] = np.array([difference.statistic for difference in differences])
        found[f"{prefix}p_value"] = p
        found[f"{prefix}p_adjusted"] = holm(p)
    differs = found["p_adjusted"] < tested.level
    if tested.against_finite is None:
        differs_at_size = [None] * len(differs)
    else:
        differs_at_size = found.get("finite_p_adjusted", found["p_adjusted"]) < tested.level
    verdicts = [
        _verdict(differs[k], differs_at_size[k], _too_coarse(difference, tested.limit[name], tested.precision))
        for k, (name, difference) in enumerate(zip(tested.names, tested.against_limit, strict=True))
    ]
    return found, verdicts


def _estimates(difference: Difference) -> dict[str, np.ndarray]:
    half = stats.t.ppf(0.975, difference.dof) * difference.error
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(difference.error > 0, difference.mean / difference.error, np.sign(difference.mean) * np.inf)
    z = np.where(difference.mean == 0, 0.0, z)
    return {
        "bias": difference.mean,
        "standard_error": difference.error,
        "ci_low": difference.mean - half,
        "ci_high": difference.mean + half,
        "z": z,
    }


def _too_coarse(difference: Difference, limit: xr.DataArray, precision: float) -> bool:
    """Whether a difference of `precision` times the observable's root mean square would not be seen."""
    scale = float(np.sqrt(np.mean(limit.values.astype(float) ** 2)))
    half = stats.t.ppf(0.975, difference.dof) * difference.error
    return not difference.long_enough or (scale > 0 and bool(np.any(half > precision * scale)))


def _verdict(differs: bool, differs_at_size: bool | None, coarse: bool) -> Verdict:
    if not differs:
        return Verdict.TOO_SHORT if coarse else Verdict.AGREES
    if differs_at_size is None:
        return Verdict.NOT_SEPARATED
    return Verdict.THEORY_OFF if differs_at_size else Verdict.FINITE_SIZE


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    return next(verdict for verdict in Verdict if verdict in verdicts)


def _message(
    tested: _Tested, k: int, verdict: Verdict, labels: list[str], owner: list[str], values: Mapping[str, np.ndarray]
) -> str:
    """A verdict on observable k in words, with the difference that it is about.

    That is the largest of those that the verdict speaks of: from the theory at the network's size where that is off,
    the least certain one where the run is too short, else from the limit. Where no time mean is off by itself, the
    difference lies in the course over time, and the time at which it is largest is named.
    """
    rows = np.flatnonzero(np.array(owner) == tested.names[k])
    from_finite = verdict is Verdict.THEORY_OFF and "finite_bias" in values
    prefix = "finite_" if from_finite else ""
    if verdict is Verdict.TOO_SHORT:
        size = values["ci_high"] - values["ci_low"]
    else:
        size = np.abs(values[f"{prefix}z"])
    worst = rows[np.argmax(size[rows])]
    said = f"{tested.names[k]}: {verdict}"
    if verdict in DIFFERENT and not _off(values, prefix)[rows].any():
        differences = tested.against_finite if from_finite else tested.against_limit
        assert differences is not None
        where = _largest_in_time(tested, differences[k], labels, rows)
        return f"{said} in its course over time, not in its time mean{where}."
    bias, error, limit = (values[key][worst] for key in ("bias", "standard_error", "limit"))
    relative = f" ({100 * bias / abs(limit):+.2g} %)" if limit != 0 else ""
    which = "least certain" if verdict is Verdict.TOO_SHORT else "largest"
    text = f"{said}; {which} for {labels[worst]}, network - limit = {bias:+.3g} ± {error:.2g}{relative}"
    if "finite_bias" in values:
        bias, error = (values[key][worst] for key in ("finite_bias", "finite_standard_error"))
        text += f", network - theory at this n = {bias:+.3g} ± {error:.2g}"
    return text + "."


def _off(values: Mapping[str, np.ndarray], prefix: str) -> np.ndarray:
    """Which components' 95 % intervals of the difference leave out 0, shape (component,)."""
    return (values[f"{prefix}ci_low"] > 0) | (values[f"{prefix}ci_high"] < 0)


def _largest_in_time(tested: _Tested, difference: Difference, labels: list[str], rows: np.ndarray) -> str:
    """The component and time of the largest difference in standard errors; empty where these are not known."""
    if difference.pointwise_error is None:
        return ""
    error, bias = difference.pointwise_error, difference.pointwise
    z = np.abs(np.divide(bias, error, out=np.zeros(bias.shape), where=error > 0))
    component, at = np.unravel_index(int(np.argmax(z)), z.shape)
    time = tested.network["time"].values[at]
    return (
        f"; largest for {labels[rows[component]]} at {time:.4g}, network - theory = {bias[component, at]:+.3g} ± "
        f"{error[component, at]:.2g}"
    )


def _pointwise(variable: xr.DataArray, name: str, difference: Difference) -> dict[str, Any]:
    """Bias, standard error and z at every time, in the observable's own dims (a second time axis averaged)."""
    dims = [dim for dim in variable.dims if dim not in ("realisation", "time", "time_")]
    shape = (*(variable.sizes[dim] for dim in dims), difference.pointwise.shape[-1])
    note = {"units": variable.attrs.get("units", "")}
    made = {f"{name}_bias": ((*dims, "time"), difference.pointwise.reshape(shape), note)}
    if difference.pointwise_error is not None:
        error = difference.pointwise_error.reshape(shape)
        bias = difference.pointwise.reshape(shape)
        z = np.divide(bias, error, out=np.zeros(shape), where=error > 0)
        made[f"{name}_standard_error"] = ((*dims, "time"), error, note)
        made[f"{name}_z"] = ((*dims, "time"), z, {"units": "1"})
    return made


_NOTES = {
    "network": "time mean in the network",
    "limit": "time mean in the limit",
    "bias": "network minus limit",
    "standard_error": "standard error of the bias",
    "ci_low": "lower end of the 95 % interval of the bias",
    "ci_high": "upper end of the 95 % interval of the bias",
    "z": "bias over its standard error (infinite or NaN where that is 0)",
    "statistic": "squared Mahalanobis distance over block means (infinite or NaN where the realisations do not differ)",
    "p_value": "probability of a larger distance if the theory is exact",
    "p_adjusted": "p-value after Holm's correction over the observables",
    "verdict": "verdict",
    "sentence": "verdict in words",
}


def _annotated(report: xr.Dataset) -> xr.Dataset:
    for name, variable in report.data_vars.items():
        word = str(name).removeprefix("finite_")
        if word in _NOTES:
            at_size = " (theory at the network's n)" if str(name).startswith("finite_") else ""
            variable.attrs = {"long_name": _NOTES[word] + at_size} | variable.attrs
    return report
