"""convergence(): networks of several sizes against their limit."""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.checks import InputError, LimitError, array, dataset, increasing_times, integer, known_keys
from largen.comparison.report import after_layer, compare
from largen.comparison.rows import yardsticks
from largen.comparison.samples import as_series
from largen.comparison.statements import headline_of, sentences, statements, verdict_of
from largen.datasets import class_name, code_version, component_labels, netcdf_attrs, versions
from largen.parameters.plain import to_plain
from largen.runtime.progress import showing
from largen.simulation import Interrupted, simulate, solve_limit
from largen.system import AbstractSystem, options_of, require_model

LEVEL = 0.05
ROWS = (
    *("network", "theory", "difference", "standard_error", "dof", "ci_low", "ci_high", "scale", "tolerance"),
    *("p_within", "p_beyond", "label", "cause", "finite_difference", "finite_ci_low", "finite_ci_high"),
)
"""What is kept of a comparison at one size."""
OWN = ("realisations", "verdict", "network_distance", "network_bias", "predicted")
"""What is kept of one size besides."""
WORDS = ("observable_of", "unit", "scale_words")
"""What is said of a row at all sizes."""


class OtherStudy(InputError):
    """What had finished before belongs to other arguments."""


def convergence(
    system: AbstractSystem,
    times: Any,
    *,
    n: Sequence[int],
    realisations: int | Sequence[int] = 16,
    seed: int = 0,
    method: str | None = None,
    observable: str | None = None,
    tolerance: float | Mapping[str, float] | None = None,
    scale: Mapping[str, float] | None = None,
    finished: xr.Dataset | None = None,
    workers: int = 1,
    progress: Any = None,
    **options: Any,
) -> xr.Dataset:
    """Measure how the network approaches its limit as it grows.

    At every n the networks are compared with their theory as `compare` does. Where there is an infinite limit four
    statements follow, each with a 95 % interval, from the times that count at every n:

    1. a single network's distance from the limit ~ n^-a: the root mean square of its difference over components and
       times, each component in units of its scale; with a test of the power law from three sizes on;
    2. the mean of networks minus the limit ~ n^-b, for the time mean of each component; an end of its interval at 0 or
       3 is no bound, and where no bias is seen it is said what it is below;
    3. what is left at infinite n, by extrapolation with n to the minus `system.bias_order`: its label, by the
       tolerances of `compare`, is the verdict on the limit. Undecided where the extrapolation does not fit;
    4. noise: the standard deviation of one network about the mean of networks ~ n^-a'.

    A wrong limit shows in 3, not in 1, whose distance holds noise and bias alike. The headline is about the system's
    first observable. A spiking system's reduction is one of finite networks: it is solved at each n, and no exponent is
    claimed. Source: `comparison.power_laws` has every formula.

    Args:
        system: The model.
        times: Output times, shape (time,).
        n: Total numbers of neurons, at least two, increasing.
        realisations: Realisations at every n, or one number per n; two at least.
        seed: Seed of the networks.
        method: One of the system's network methods, or None for its default.
        observable: Only this observable; None takes all.
        tolerance: As in `compare`.
        scale: As in `compare`.
        finished: What an interrupted call with the same arguments left in `.partial`: its sizes are not run again.
            Refused where an argument, a version or the system's source differs.
        workers: Spawned processes.
        progress: As in `simulate`.
        options: The system's own options, for the network, the limit, or both.

    Returns:
        Dataset with `attrs["verdict"]`, `attrs["sentences"]`, at each n the rows of `compare` (n, component):
        difference, ci_low, ci_high, label, cause and so on, and its verdict (n). With an infinite limit also distance,
        distance_low, distance_high (n, observable) and network_distance (n, realisation, observable), in units of the
        scale; distance_exponent, _low, _high, distance_lack_of_fit (observable), distance_exponent_between (observable,
        step); predicted, the difference of the theory of n neurons from the limit (n, component), network_bias (n,
        realisation, component); bias_exponent, _low, _high, bias_p_value, bias_bound, offset, offset_low, offset_high,
        offset_lack_of_fit, offset_p_within, offset_p_beyond, offset_label, offset_needed, offset_scale,
        offset_tolerance, noise_exponent, _low, _high, noise_lack_of_fit (component).

    Raises:
        InputError: An argument cannot be used.
        LimitError: There is no limit.
        Interrupted: Ctrl-C; the sizes that had finished are in `.partial`.
    """
    times = increasing_times("times", times, unit=require_model("system", system).time_unit)
    ns = [integer("n", value, low=1) for value in np.atleast_1d(array("n", n)).ravel().tolist()]
    if len(ns) < 2 or any(a >= b for a, b in itertools.pairwise(ns)):
        raise InputError(f"Argument `n` must hold at least two increasing sizes, but is {ns}.")
    counts = _counts(realisations, len(ns))
    names = [o.name for o in system.observables if not o.on_request and "time" in o.dims]
    if observable is not None:
        known_keys("observable", [observable], names)
        names = [observable]
    for_network, for_limit = (options_of(system, verb) for verb in ("network", "limit"))
    known_keys(f"option of the {system.system} system", options, {**for_network, **for_limit})
    theirs = {key: value for key, value in options.items() if key in for_limit}
    limit = solve_limit(system, times, n=None, **theirs) if system.reference_size is None else None
    counted = None if limit is None else _counted_at_all(limit, ns)
    from_time = float(times[0] if counted is None else times[counted][0])
    sticks = {"tolerance": tolerance, "scale": scale}
    plain = json.dumps(to_plain(system, strict=False))
    judged, code = yardsticks(**sticks), code_version(class_name(system))
    asked = _digest(plain, times.tolist(), observable, seed, method, judged, options, from_time, code)
    study = _Study(system, times, observable, names, seed, theirs, sticks, from_time, asked)
    parts = _finished(study, finished, dict(zip(ns, counts, strict=True)))
    with showing(progress, "convergence") as tick:
        try:
            for k, size in enumerate(ns):
                tick(k / len(ns))
                if size in parts:
                    continue
                network = simulate(
                    system,
                    times,
                    n=size,
                    realisations=counts[k],
                    seed=seed,
                    method=method,
                    workers=workers,
                    progress=lambda done, k=k: tick((k + done) / len(ns)),
                    **{key: value for key, value in options.items() if key in for_network},
                )
                parts[size] = _part(study, network, limit, counted)
        except KeyboardInterrupt as stop:
            done = [parts[size] for size in ns if size in parts]
            partial = _whole(study, done) if len(done) >= 2 else None
            raise Interrupted(f"{len(done)} of {len(ns)} sizes", partial) from stop
    return _whole(study, [parts[size] for size in ns])


def _digest(*asked: Any) -> str:
    """A short text that differs where any argument does."""
    return hashlib.blake2b(repr(asked).encode(), digest_size=16).hexdigest()


def _finished(study: "_Study", finished: xr.Dataset | None, counts: Mapping[int, int]) -> dict[int, xr.Dataset]:
    """The sizes of an earlier call that are asked for again, by n."""
    if finished is None:
        return {}
    dataset("finished", finished, kinds=("convergence",), dims=("n",), attrs=("asked",))
    if finished.attrs["asked"] != study.asked:
        raise OtherStudy(
            "Argument `finished` must come from a call with the same arguments and program. Leave it out to start anew."
        )
    found = {}
    for n, count in counts.items():
        if n in finished["n"].values and int(finished["realisations"].sel(n=n)) == count:
            kept = [key for key in (*ROWS, *OWN) if key in finished]
            part = finished[kept].sel(n=n)
            found[n] = part.isel(realisation=slice(0, count)) if "realisation" in part.dims else part
    return found


class _Study(NamedTuple):
    """What was asked.

    Attributes:
        system: The model.
        times: Output times, shape (time,).
        observable: The one asked for, or None.
        names: The observables that the statements are about.
        seed: Seed of the networks.
        theirs: Options of the limit.
        yardsticks: What `compare` is given.
        from_time: First time that counts at every n.
        asked: Digest of the arguments.
    """

    system: AbstractSystem
    times: np.ndarray
    observable: str | None
    names: list[str]
    seed: int
    theirs: dict[str, Any]
    yardsticks: dict[str, Any]
    from_time: float
    asked: str


def _counts(realisations: Any, sizes: int) -> list[int]:
    given = array("realisations", realisations)
    counts = np.broadcast_to(given, (sizes,)).tolist() if given.ndim < 2 and given.size in (1, sizes) else []
    if not counts:
        raise InputError(f"Argument `realisations` must be one number or {sizes} of them, but is {realisations}.")
    return [integer("realisations", value, low=2, remedy="An error bar needs two.") for value in counts]


def _counted_at_all(limit: xr.Dataset, ns: Sequence[int]) -> np.ndarray:
    """Times that count at every n, shape (time,)."""
    return np.all([after_layer(xr.Dataset(attrs={"n": n}), limit) for n in ns], axis=0)


def _part(study: _Study, network: xr.Dataset, limit: xr.Dataset | None, counted: np.ndarray | None) -> xr.Dataset:
    """What is kept of the networks of one size: rows of `compare`, and each network's numbers if there is a limit."""
    size = int(network.attrs["n"])
    finite = _finite_theory(study, size, network.sizes["realisation"])
    if limit is None or counted is None:
        theory = solve_limit(study.system, study.times, n=size, **study.theirs)
        return _rows(study, compare(network, theory, finite=finite, **study.yardsticks))
    names = [name for name in study.names if name in network and name in limit]
    if study.observable is not None:
        known_keys("observable", [study.observable], names)
    at = np.flatnonzero(counted)
    late = None if finite is None else finite.isel(time=at)
    part = _rows(study, compare(network.isel(time=at), limit.isel(time=at), finite=late, **study.yardsticks))
    theirs = _series(names, limit, counted)
    series = _series(names, network, counted) - theirs
    predicted = None if finite is None else (_series(names, finite, counted) - theirs)[0].mean(-1)
    owners = {label: name for name in names for label in component_labels(limit[name])}
    return _with_networks(part, owners, series, predicted)


def _with_networks(
    part: xr.Dataset, owners: Mapping[str, str], series: np.ndarray, predicted: np.ndarray | None
) -> xr.Dataset:
    """Add each network's distance from the limit and its time mean, for the components that were compared.

    Args:
        part: Rows of `compare`.
        owners: Observable of each component.
        series: Network minus limit, shape (realisation, component, time).
        predicted: Theory of n neurons minus limit, time means, shape (component,), or None.
    """
    kept = np.isin(list(owners), part["component"].values)
    components, owner = (np.array(list(words))[kept] for words in (owners.keys(), owners.values()))
    names = list(dict.fromkeys(owner.tolist()))
    scale = part["scale"].sel(component=components).values
    square = np.mean((series[:, kept] / scale[:, None]) ** 2, axis=-1)
    distance = np.sqrt(np.stack([square[:, owner == name].mean(1) for name in names], axis=1))
    own: dict[str, Any] = {"network_bias": (("realisation", "component"), series[:, kept].mean(-1))}
    if predicted is not None:
        own["predicted"] = ("component", predicted[kept])
    rows = xr.Dataset(own, {"component": components}).reindex(component=part["component"].values)
    part = part.assign(rows.data_vars).assign_coords(observable=names, realisation=np.arange(len(series)))
    return part.assign(network_distance=(("realisation", "observable"), distance))


def _series(names: Sequence[str], dataset: xr.Dataset, counted: np.ndarray) -> np.ndarray:
    """Observables at the times that count, shape (realisation, component, time)."""
    return np.concatenate([as_series(dataset[name]) for name in names], axis=1)[..., counted]


def _rows(study: _Study, report: xr.Dataset) -> xr.Dataset:
    """The rows of a comparison that are kept: those of the observable asked for."""
    mine = np.isin(report["observable_of"].values, study.names) | (study.observable is None)
    part = report[[key for key in ROWS if key in report]].isel(component=np.flatnonzero(mine))
    part = part.assign_coords(n=int(report.attrs["n"]))
    return part.assign(realisations=report.attrs["realisations"], verdict=report.attrs["verdict"]).drop_attrs()


def _finite_theory(study: _Study, n: int, realisations: int) -> xr.Dataset | None:
    """The theory of n neurons, None without one; that of an infinite limit only where it is deterministic."""
    own = study.system.finite_options(realisations=realisations, seed=study.seed)
    infinite = study.system.reference_size is None
    if bool(own) == infinite or set(own) & set(study.theirs):
        return None
    try:
        return solve_limit(study.system, study.times, n=n, **study.theirs, **own)
    except (InputError, LimitError):
        return None


def _whole(study: _Study, parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """The study as a labelled Dataset."""
    system, first = study.system, study.names[0]
    order = system.bias_order if system.reference_size is None else None
    bare = [part.drop_vars(WORDS) for part in parts]
    whole = xr.concat(bare, "n", join="outer", fill_value=_fill(bare[0]))
    order_of_rows = dict.fromkeys(row for part in parts for row in part["component"].values.tolist())
    whole = whole.sel(component=list(order_of_rows))
    for key in WORDS:
        words: dict[str, str] = {}
        for part in parts:
            words |= dict(zip(part["component"].values.tolist(), part[key].values.tolist(), strict=True))
        whole = whole.assign_coords({key: ("component", [words[row] for row in whole["component"].values.tolist()])})
    whole["n"].attrs = {"long_name": "number of neurons", "units": "1"}
    whole.attrs = {
        "kind": "convergence",
        "system": system.system,
        "parameters": json.dumps(to_plain(system, strict=False)),
        "observable": first,
        "bias_order": "none" if order is None else order,
        "level": LEVEL,
        "from_time": study.from_time,
        "asked": study.asked,
        "versions": versions(),
        **netcdf_attrs({"seed": study.seed}),
    }
    if system.reference_size is not None:
        none = "no infinite limit, so no exponents; the verdict is that at the largest n"
        return _explained(whole).assign_attrs(verdict=whole["verdict"].values[-1].item(), sentences=none)
    whole = _explained(whole.assign(statements(whole, order, LEVEL)))
    lines = [headline_of(whole, first), *sentences(whole, first)]
    return whole.assign_attrs(verdict=verdict_of(whole, first), sentences="\n".join(lines))


def _fill(rows: xr.Dataset) -> dict[str, Any]:
    """What stands where a row has no value."""
    return {
        str(key): "" if variable.dtype.kind in "UO" else np.nan
        for key, variable in rows.variables.items()
        if key not in rows.dims
    }


def _explained(whole: xr.Dataset) -> xr.Dataset:
    """The study, with a comment at the variables in which numbers are missing."""
    for variable in whole.data_vars.values():
        if variable.dtype.kind == "f" and np.isnan(variable.values).any():
            variable.attrs["comment"] = "NaN: a row or a network that this size has not, or too few of them to tell"
    return whole
