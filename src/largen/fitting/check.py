"""The fitted model's network against the target, and what its networks are simulated with."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from largen.checks import SAMPLES, InputError, LimitError, integer, known_keys
from largen.comparison.decisions import (
    Cause,
    Differences,
    Label,
    headline_of,
    interval,
    labels_of,
    p_beyond,
    p_within,
    welch,
)
from largen.comparison.report import compare
from largen.comparison.rows import tolerance_of, yardsticks
from largen.comparison.words import headline
from largen.datasets import seed_of
from largen.fitting.measured import FEWEST, Data, measure
from largen.simulation import simulate, solve_limit
from largen.system import AbstractSystem, Feature, FitData, options_of

DEFAULT_N = 2000
DEFAULT_REALISATIONS = 16
LEVEL = 0.05
_CARRIED = ("dt", "weights", "replicas")


class Networks(NamedTuple):
    """How networks are simulated.

    Attributes:
        times: Output times, shape (time,).
        n: Total number of neurons.
        realisations: Realisations.
        seed: Seed, which is not the target's.
        method: Method, or None for the system's choice.
        options: The system's own options, as the target was made with.
    """

    times: np.ndarray
    n: int
    realisations: int
    seed: int
    method: str | None
    options: dict[str, Any]


class Check(NamedTuple):
    """The fitted model's network against the target.

    Attributes:
        value: Observables of the network, shape (datum,).
        error: Their standard errors, shape (datum,).
        z: Differences from the target in combined standard errors, shape (datum,).
        verdict: As in `compare`: within or beyond tolerance, or undecided.
        message: The same in words.
    """

    value: np.ndarray
    error: np.ndarray
    z: np.ndarray
    verdict: str
    message: str


class Tolerated(NamedTuple):
    """What differences are tolerated.

    Attributes:
        given: A share of each scale, shares by observable, or None for the usual ones.
        scale: Natural size of a difference of each datum, shape (datum,).
    """

    given: Any
    scale: np.ndarray


def networks_like(
    system: AbstractSystem,
    target: xr.Dataset | Mapping[str, Any],
    times: np.ndarray,
    n: int | None,
    realisations: int | None,
    seed: int,
) -> Networks:
    """Networks as the target was made with, as far as it was."""
    attrs: Mapping[Any, Any] = {}
    made = DEFAULT_REALISATIONS
    if isinstance(target, xr.Dataset):
        attrs = target.attrs
        made = max(int(target.sizes.get("realisation", DEFAULT_REALISATIONS)), FEWEST)
    known = attrs.get("n")
    own = int(known) if known is not None and np.isfinite(known) else system.reference_size
    size = next(size for size in (n, own, DEFAULT_N) if size is not None)
    count = made if realisations is None else realisations
    valid = options_of(system, "network")
    options = {key: attrs[key] for key in _CARRIED if key in valid and key in attrs and attrs[key] != "none"}
    if "lags" in valid and isinstance(target, xr.Dataset) and "lag" in target.sizes:
        options["lags"] = target.sizes["lag"] - 1
    method = str(attrs["method"]) if attrs.get("method") in system.methods else None
    return Networks(
        times,
        integer("n", size, low=1),
        integer("realisations", count, low=FEWEST),
        seed + 1 if isinstance(target, xr.Dataset) and seed_of(target) == seed else seed,
        method,
        options,
    )


def simulated(model: AbstractSystem, networks: Networks, fresh: int = 0) -> xr.Dataset:
    """Simulate a model's networks; another `fresh` gives independent ones."""
    seed = networks.seed + 1_000_003 * fresh
    return simulate(
        model,
        networks.times,
        n=networks.n,
        realisations=networks.realisations,
        seed=seed,
        method=networks.method,
        **networks.options,
    )


def judge(
    model: AbstractSystem,
    target: xr.Dataset | Mapping[str, Any],
    network: xr.Dataset,
    data: Data,
    names: tuple[str, ...],
    tolerated: Tolerated,
) -> Check:
    """Compare the fitted model's network with the target.

    Args:
        model: The fitted model.
        target: The target; one with realisations is a theory that is itself sampled.
        network: The network's Dataset.
        data: The target as a vector.
        names: The theory's observables.
        tolerated: What differences are tolerated.
    """
    rows = rows_of(data, measure(model, network, names))
    value, error = rows.mean(0), rows.std(0, ddof=1) / np.sqrt(len(rows))
    combined = np.sqrt(error**2 + (0.0 if data.error is None else data.error) ** 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(combined > 0, (value - data.value) / combined, 0.0)
    where = f"The fitted model's network ({network.sizes['realisation']} of {network.attrs['n']} neurons)"
    if isinstance(target, xr.Dataset):
        return Check(value, error, z, *_by_comparison(model, target, network, tolerated.given, where))
    ours = Differences(value, error, np.full(len(value), len(rows) - 1.0))
    return Check(value, error, z, *_by_numbers(model, network, data, ours, tolerated, where))


def rows_of(data: Data, measured: FitData) -> np.ndarray:
    """The network's data of each realisation, shape (realisation, datum)."""
    missing = [name for name in data.index if measured.samples is None or name not in measured.samples]
    if missing:
        raise LimitError(
            f"The fitted model's network has no {', '.join(missing)} (as a network without rhythm has no gamma "
            "frequency): the limit and the network differ in kind there. Look at both with largen run."
        )
    return data.take(measured)


def _by_numbers(
    model: AbstractSystem, network: xr.Dataset, data: Data, ours: Differences, tolerated: Tolerated, where: str
) -> tuple[str, str]:
    """Every number of a target by itself, as `compare` does its rows."""
    known = np.zeros(len(data.value)) if data.error is None else data.error
    found = welch(ours, Differences(data.value, known, np.full(len(known), np.inf)))
    shares, scale = _shares(model, network, data, tolerated), tolerated.scale
    kept = np.flatnonzero(scale > 0)
    if not len(kept):
        return str(Label.UNDECIDED), f"{where} cannot be compared with the target, whose values are all 0."
    found = Differences(*(column[kept] for column in found))
    shares, scale = shares[kept], scale[kept]
    labels = labels_of(p_within(found, shares * scale), p_beyond(found, shares * scale), LEVEL)
    verdict = headline_of(labels, [Cause.NONE] * len(labels))
    within, beyond, undecided = (labels.count(one) for one in (Label.WITHIN, Label.BEYOND, Label.UNDECIDED))
    counted = f"{within} of {len(labels)} within tolerance, {undecided or 'none'} undecided, {beyond or 'none'} beyond"
    worst = int(np.argmax(np.abs(found.value) / (shares * scale)))
    share, low, high = (100 * float(part[worst] / scale[worst]) for part in (found.value, *interval(found)))
    name, tolerance = data.labels[kept[worst]], 100 * shares[worst]
    largest = f"{name} {share:+.1f} % [{low:+.1f}, {high:+.1f}], tolerance {tolerance:.3g} %"
    return verdict, f"{where} against the target: {verdict} ({counted}; largest difference {largest})."


def _shares(model: AbstractSystem, network: xr.Dataset, data: Data, tolerated: Tolerated) -> np.ndarray:
    """The tolerated share of each datum, shape (datum,)."""
    try:
        found = model.features(network)
    except InputError:  # times too coarse for them
        found = {}
    features = {name: one for name, one in found.items() if isinstance(one, Feature)}
    sticks = yardsticks(tolerated.given, None)
    known_keys("observable in `tolerance`", sticks.shares, data.index)
    usual = {name: features[name].tolerance if name in features else tolerance_of(model, name) for name in data.index}
    return np.concatenate([np.full(len(k), sticks.share_of(name, usual[name])) for name, k in data.index.items()])


def _by_comparison(
    model: AbstractSystem, target: xr.Dataset, network: xr.Dataset, tolerance: Any, where: str
) -> tuple[str, str]:
    """Whole observables over time, by `compare`."""
    finite = None
    if target.attrs.get("kind") not in SAMPLES:
        finite = _at_size(model, target, network)
        target = target if finite is None else target[list(finite.data_vars)]
    found = compare(network, target, finite=finite, tolerance=tolerance, strict=False).assign_attrs(other="target")
    said = headline(found)
    return found.attrs["verdict"], f"{where} against the target: {found.attrs['verdict']}. {said[0].upper()}{said[1:]}"


def _at_size(model: AbstractSystem, target: xr.Dataset, network: xr.Dataset) -> xr.Dataset | None:
    """What the target, a limit, would be at the network's size: plus the finite-size effect of the fitted model."""
    n = int(network.attrs["n"])
    if float(target.attrs["n"]) == n:
        return None
    options: dict[str, Any] = {}
    if "lag" in network.sizes and "lags" in options_of(model, "limit"):
        options["lags"] = network.sizes["lag"] - 1
    sampled = model.finite_options(realisations=network.sizes["realisation"], seed=(seed_of(network) or 0) + 7)
    times = network["time"].values
    try:
        finite = solve_limit(model, times, n=n, **(options | sampled))
        limit = solve_limit(model, times, **options)
    except (InputError, LimitError):  # there is no theory of n neurons: the check then cannot set its effect apart
        return None
    names = [str(name) for name in target.data_vars if name in finite and name in limit and name in network]
    return (finite[names] + (target[names] - limit[names])).assign_attrs(finite.attrs)
