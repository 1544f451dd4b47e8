"""compare(): the distance between a network and its limit, with an error bar."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy import stats

from largen.checks import InputError, real, require
from largen.numerics.statistics import MeanTest, block_bootstrap, block_means, correlation_time, holm, hotelling
from largen.options import options_of
from largen.plain import from_plain
from largen.results import versions
from largen.systems import SYSTEMS, system_class

AGREES = "agrees"
FINITE_SIZE = "differs by a finite-size effect"
THEORY_OFF = "theory off"
TOO_SHORT = "simulation too short to tell"
NOT_SEPARATED = "differs; finite size not separated"

MOST_BLOCKS = 10
MOST_GROUPS = 10
THEORY_BLOCKS = 3
BOOTSTRAP_BLOCKS = 20
FEWEST_BLOCKS = 8


class Difference(NamedTuple):
    """One observable of the network minus that of a theory.

    Attributes:
        mean: Time means of the difference per component, shape (component,).
        error: Standard errors, shape (component,).
        dof: Degrees of freedom of the errors.
        statistic: Squared Mahalanobis distance over block means.
        p_value: Its probability if the theory is exact; 1 where the run was too short for a test.
        pointwise: Difference at every time, shape (component, time).
        pointwise_error: Its standard error over realisations, shape (component, time), or None.
        long_enough: Whether one realisation held enough blocks of time for its error to be trusted.
        method: Where the error comes from.
    """

    mean: np.ndarray
    error: np.ndarray
    dof: float
    statistic: float
    p_value: float
    pointwise: np.ndarray
    pointwise_error: np.ndarray | None
    long_enough: bool
    method: str


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

    Raises:
        InputError: Different systems, parameters, times or sizes; nothing in common; a network without
            realisations.
    """
    level = real("level", level, above=0.0)
    require(level < 1, "level", "be below 1", level)
    precision = real("precision", precision, above=0.0)
    _check_pair(network, limit, "limit", strict)
    size = float(network.attrs["n"])
    own_size = float(limit.attrs["n"]) == size
    if not own_size and np.isfinite(float(limit.attrs["n"])):
        raise InputError(
            f"The limit was solved at n = {limit.attrs['n']:g}, but the network has n = {size:g}: "
            f"solve it with n=None or n={size:g}."
        )
    if finite is not None:
        _check_pair(network, finite, "finite", strict)
        if float(finite.attrs["n"]) != size:
            raise InputError(
                f"Argument `finite` was solved at n = {finite.attrs['n']:g}, but the network has n = {size:g}: "
                f"use solve_limit(model, times, n={size:g})."
            )
    names = _shared(network, limit)
    inside = after_layer(network, limit)
    laws = _own_laws(network, limit.sizes["time"], names)
    against_limit = [_difference(network, limit, name, inside, laws.get(name)) for name in names]
    if finite is None and own_size:
        against_finite: list[Difference] | None = against_limit
    elif finite is None:
        against_finite = None
    else:
        missing = [name for name in names if name not in finite]
        require(not missing, "finite", "have the limit's observables", missing)
        everywhere = np.ones(network.sizes["time"], bool)
        against_finite = [_difference(network, finite, name, everywhere, laws.get(name)) for name in names]
    return _report(network, limit, finite, names, inside, against_limit, against_finite, level, precision)


def _check_pair(network: xr.Dataset, theory: xr.Dataset, name: str, strict: bool) -> None:
    for dataset, role, kind in ((network, "network", "network"), (theory, name, "limit")):
        require(
            dataset.attrs.get("kind") == kind,
            role,
            f"be what `{'simulate' if kind == 'network' else 'solve_limit'}` returned",
            dataset.attrs.get("kind", "a Dataset of unknown kind"),
        )
    for key, what in (("system", "systems"), ("parameters", "parameters")):
        if network.attrs[key] != theory.attrs[key] and (strict or key == "system"):
            detail = _first_difference(network, theory) if key == "parameters" else ""
            remedy = " Compare all the same with strict=False." if key == "parameters" else ""
            raise InputError(f"The network and `{name}` must be of the same {what}, but differ{detail}.{remedy}")
    same = network.sizes["time"] >= theory.sizes["time"] >= 2
    if same:
        a, b = network["time"].values[: theory.sizes["time"]], theory["time"].values
        same = bool(np.all(np.abs(a - b) <= 1e-9 * (1 + np.abs(a))))
    if not same:
        raise InputError(f"The network and `{name}` must share their times: solve at the network's times.")


def _first_difference(a: xr.Dataset, b: xr.Dataset) -> str:
    one, two = json.loads(a.attrs["parameters"]), json.loads(b.attrs["parameters"])
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
        ours, theirs = (", ".join(map(str, dataset.data_vars)) or "none" for dataset in (network, limit))
        raise InputError(f"The network and the limit have no observable in common: {ours} and {theirs}.")
    return names


def after_layer(network: xr.Dataset, limit: xr.Dataset) -> np.ndarray:
    """Times that count: those after the boundary layer, whose length is attrs["layer"]/sqrt(n)."""
    times = limit["time"].values
    layer = float(limit.attrs.get("layer", 0.0))
    if layer == 0.0 or np.isfinite(float(limit.attrs["n"])):
        return np.ones(len(times), bool)
    width = layer / np.sqrt(float(network.attrs["n"]))
    inside = times >= times[0] + width
    if inside.sum() < 2:
        ended = limit.attrs["status"] != "completed"
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


def _as_series(variable: xr.DataArray, length: int) -> np.ndarray:
    """Shape (realisation, component, time); a second time axis is averaged up to the first."""
    data = variable if "realisation" in variable.dims else variable.expand_dims("realisation")
    if "time_" in data.dims:
        data = data.where(data["time_"] <= data["time"]).mean("time_")
    rest = [dim for dim in data.dims if dim not in ("realisation", "time")]
    data = data.transpose("realisation", *rest, "time")
    return data.values.reshape(data.sizes["realisation"], -1, data.sizes["time"])[..., :length].astype(float)


def _own_laws(network: xr.Dataset, length: int, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Covariance of each observable's series of one realisation by the system's own theory, where it has one.

    Shape (component times time, component times time); empty with several realisations, whose scatter is the error.
    """
    system = str(network.attrs["system"])
    if network.sizes["realisation"] > 1 or system not in SYSTEMS:
        return {}
    try:
        model = from_plain(system_class(system), json.loads(network.attrs["parameters"]))
    except InputError:  # a user's own function, which a file's words must not import
        return {}
    options = options_of(model, "network")
    options |= {key: network.attrs[key] for key in options if key in network.attrs}
    weights = {name: _series_weights(network[name], length) for name in names}
    times = network["time"].values[:length]
    return model.covariance_of_averages(times, weights, n=int(network.attrs["n"]), options=options)


def _series_weights(variable: xr.DataArray, length: int) -> np.ndarray:
    """What `_as_series` does to one realisation, as a matrix: shape (component times time, *dims)."""
    rest = [dim for dim in variable.dims if dim not in ("realisation", "time", "time_")]
    sizes = [variable.sizes[dim] for dim in rest]
    cells = int(np.prod(sizes)) * length
    weights = np.eye(cells).reshape(cells, *sizes, length)
    order = [*rest, "time"]
    if "time_" in variable.dims:
        weights = weights[..., None] * (np.tri(length) / np.arange(1, length + 1)[:, None])
        order.append("time_")
    return weights.transpose(0, *(1 + order.index(dim) for dim in variable.dims if dim != "realisation"))


def _difference(
    network: xr.Dataset, theory: xr.Dataset, name: str, inside: np.ndarray, law: np.ndarray | None = None
) -> Difference:
    length = theory.sizes["time"]
    inside = inside[:length]
    ours, theirs = _as_series(network[name], length), _as_series(theory[name], length)
    counted = inside & ~((np.ptp(ours, axis=0) == 0) & (np.ptp(theirs, axis=0) == 0) & (ours[0] == theirs[0])).all(0)
    if not counted.any():
        counted = inside
    ours_now, theirs_now = ours[..., counted], theirs[..., counted]
    long_enough = True
    if len(ours) > 1:
        room = max((min(len(part) for part in (ours, theirs) if len(part) > 1) - 1) // 2, 1)
        groups = [_group(part, min(room, MOST_GROUPS)) for part in (ours_now, theirs_now)]
        blocks = max(min(room // groups[0].shape[1], MOST_BLOCKS, int(counted.sum())), 1)
        parts = [block_means(part, blocks).reshape(len(part), -1) for part in groups]
        test = hotelling(*_mean_and_covariance(*parts))
        mean, covariance, dof = _mean_and_covariance(ours_now.mean(-1), theirs_now.mean(-1))
        method = f"{len(ours)} realisations, {blocks} block{'s' if blocks > 1 else ''} of time"
    elif law is not None:
        test, mean, covariance = _by_law(law, ours_now, theirs_now, counted)
        dof, method = np.inf, f"the {network.attrs['system']} system's theory of fluctuations"
    else:
        blocks, long_enough = _blocks_of(ours_now - theirs_now.mean(0))
        test = hotelling(*_bootstrapped(_group(ours_now, MOST_GROUPS), _group(theirs_now, MOST_GROUPS), blocks))
        mean, covariance, dof = _bootstrapped(ours_now, theirs_now, blocks)
        method = f"block bootstrap along time, {blocks} blocks"
    return Difference(
        mean=mean,
        error=np.sqrt(np.diag(covariance)),
        dof=dof,
        statistic=test.statistic,
        p_value=test.p_value if long_enough else 1.0,
        pointwise=ours.mean(0) - theirs.mean(0),
        pointwise_error=_pointwise_error(ours, theirs, law),
        long_enough=long_enough,
        method=method,
    )


def _by_law(
    law: np.ndarray, ours: np.ndarray, theirs: np.ndarray, counted: np.ndarray
) -> tuple[MeanTest, np.ndarray, np.ndarray]:
    """Test, mean difference and its covariance of one realisation whose covariance is known.

    The test takes few block means: those that hardly vary are known less well than their covariance says.
    """
    components, times = ours.shape[1:]
    kept = np.flatnonzero(np.tile(counted, components))
    covariance = law[np.ix_(kept, kept)] * (1.0 + (1.0 / len(theirs) if len(theirs) > 1 else 0.0))
    difference = (ours[0] - theirs.mean(0)).ravel()
    groups = _group(np.eye(components)[None], MOST_GROUPS)[0]
    blocks = np.kron(groups, block_means(np.eye(times), min(THEORY_BLOCKS, times)).T)
    means = np.kron(np.eye(components), np.full((1, times), 1.0 / times))
    test = hotelling(blocks @ difference, blocks @ covariance @ blocks.T, np.inf)
    return test, means @ difference, means @ covariance @ means.T


def _group(series: np.ndarray, most: int) -> np.ndarray:
    """Average neighbouring components of (realisation, component, time) into at most `most` groups."""
    groups = np.array_split(np.arange(series.shape[1]), min(series.shape[1], most))
    return np.stack([series[:, group].mean(1) for group in groups], axis=1)


def _blocks_of(series: np.ndarray) -> tuple[int, bool]:
    """Blocks for the bootstrap of one realisation, each of four correlation times, and whether there are enough."""
    longest = max(correlation_time(series[:, k]) for k in range(series.shape[1]))
    blocks = min(int(series.shape[-1] / (4.0 * longest)), BOOTSTRAP_BLOCKS)
    return max(blocks, 2), blocks >= FEWEST_BLOCKS


def _mean_and_covariance(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean difference of two samples of vectors, its covariance (pooled) and degrees of freedom."""
    mean = ours.mean(0) - theirs.mean(0)
    scatter = sum((part - part.mean(0)).T @ (part - part.mean(0)) for part in (ours, theirs))
    sampled = len(theirs) > 1
    dof = len(ours) - 1 + (len(theirs) - 1 if sampled else 0)
    weight = 1 / len(ours) + (1 / len(theirs) if sampled else 0.0)
    return mean, np.atleast_2d(scatter / dof * weight), dof


def _bootstrapped(ours: np.ndarray, theirs: np.ndarray, blocks: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean difference of one realisation from a theory over time, its covariance and degrees of freedom."""
    centre = theirs.mean(0)
    covariance, dof = block_bootstrap(ours - centre, blocks)
    if len(theirs) > 1:
        more, dof_more = block_bootstrap(theirs - centre, blocks)
        covariance, dof = covariance + more, min(dof, dof_more)
    return (ours - centre).mean((0, 2)), covariance, dof


def _pointwise_error(ours: np.ndarray, theirs: np.ndarray, law: np.ndarray | None) -> np.ndarray | None:
    if law is not None:
        variance = np.maximum(np.diag(law), 0.0).reshape(ours.shape[1:])
    elif len(ours) < 2:
        return None
    else:
        variance = ours.var(0, ddof=1) / len(ours)
    if len(theirs) > 1:
        variance = variance + theirs.var(0, ddof=1) / len(theirs)
    return np.sqrt(variance)


def component_labels(variable: xr.DataArray) -> list[str]:
    """Name the components of an observable, in the order of its dims: `rate[e]`, `pending[e,i]`."""
    dims = [dim for dim in variable.dims if dim not in ("realisation", "time", "time_")]
    words = [
        [str(v) for v in (variable[dim].values if dim in variable.coords else range(variable.sizes[dim]))]
        for dim in dims
    ]
    labels = [""]
    for column in words:
        labels = [f"{label},{word}" if label else word for label in labels for word in column]
    return [f"{variable.name}[{label}]" if label else str(variable.name) for label in labels]


def _report(
    network: xr.Dataset,
    limit: xr.Dataset,
    finite: xr.Dataset | None,
    names: list[str],
    inside: np.ndarray,
    against_limit: list[Difference],
    against_finite: list[Difference] | None,
    level: float,
    precision: float,
) -> xr.Dataset:
    rows: dict[str, list[float]] = {}
    labels, owner = [], []
    tables = [("", against_limit)]
    if against_finite is not None and against_finite is not against_limit:
        tables.append(("finite_", against_finite))
    for k, name in enumerate(names):
        theirs = _as_series(limit[name], limit.sizes["time"])[..., inside].mean((0, 2))
        labels += component_labels(network[name])
        owner += [name] * len(theirs)
        rows.setdefault("limit", []).extend(theirs)
        rows.setdefault("network", []).extend(theirs + against_limit[k].mean)
        for prefix, table in tables:
            for key, column in _estimates(table[k]).items():
                rows.setdefault(prefix + key, []).extend(column)
    per_observable: dict[str, Any] = {}
    adjusted = {}
    for prefix, table in tables:
        p = np.array([d.p_value for d in table])
        adjusted[prefix] = holm(p)
        per_observable[f"{prefix}statistic"] = np.array([d.statistic for d in table])
        per_observable[f"{prefix}p_value"] = p
        per_observable[f"{prefix}p_adjusted"] = adjusted[prefix]
    coarse = [_too_coarse(d, limit[name], precision) for d, name in zip(against_limit, names, strict=True)]
    at_size = adjusted.get("finite_", adjusted[""] if against_finite is against_limit else None)
    verdicts = [
        _verdict(adjusted[""][k] < level, None if at_size is None else at_size[k] < level, coarse[k])
        for k in range(len(names))
    ]
    per_observable["verdict"] = np.array(verdicts)
    values = {key: np.array(column) for key, column in rows.items()}
    per_observable["sentence"] = np.array(
        [_sentence(n, v, labels, owner, values) for n, v in zip(names, verdicts, strict=True)]
    )
    variables: dict[str, Any] = {key: ("component", column) for key, column in values.items()}
    variables |= {key: ("observable", column) for key, column in per_observable.items()}
    for name, difference in zip(names, against_limit, strict=True):
        variables |= _pointwise(network[name], name, difference)
    coords = {
        "component": labels,
        "observable": names,
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
        "theory_at_network_size": "yes" if against_finite is not None else "no",
        "level": level,
        "precision": precision,
        "error": against_limit[0].method,
        "from_time": float(limit["time"].values[inside][0]),
        "verdict": _overall(verdicts),
        "versions": versions(),
    }
    return _annotated(xr.Dataset(variables, coords, attrs))


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


def _verdict(differs: bool, differs_at_size: bool | None, coarse: bool) -> str:
    if not differs:
        return TOO_SHORT if coarse else AGREES
    if differs_at_size is None:
        return NOT_SEPARATED
    return THEORY_OFF if differs_at_size else FINITE_SIZE


def _overall(verdicts: Sequence[str]) -> str:
    """The worst of the observables' verdicts."""
    order = (THEORY_OFF, NOT_SEPARATED, FINITE_SIZE, TOO_SHORT, AGREES)
    return next(word for word in order if word in verdicts)


def _sentence(name: str, verdict: str, labels: list[str], owner: list[str], values: Mapping[str, np.ndarray]) -> str:
    rows = np.array([k for k, own in enumerate(owner) if own == name])
    worst = rows[np.argmax(np.abs(values["z"][rows]))]
    bias, error, limit = (values[key][worst] for key in ("bias", "standard_error", "limit"))
    relative = f" ({100 * bias / abs(limit):+.2g} %)" if limit != 0 else ""
    text = f"{name}: {verdict}; largest for {labels[worst]}, network - limit = {bias:+.3g} +- {error:.2g}{relative}"
    if "finite_bias" in values:
        bias, error = (values[key][worst] for key in ("finite_bias", "finite_standard_error"))
        text += f", network - theory at this n = {bias:+.3g} +- {error:.2g}"
    return text + "."


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
    "z": "bias over its standard error",
    "statistic": "squared Mahalanobis distance over block means",
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
