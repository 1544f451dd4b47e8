"""The fitted model's network against the target, and what its networks are simulated with."""

import enum
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy import stats

from largen.checks import InputError, LimitError, integer
from largen.comparison.decisions import Cause, Label
from largen.comparison.report import compare
from largen.datasets import seed_of
from largen.fitting.measured import FEWEST, Data, measure
from largen.simulation import simulate, solve_limit
from largen.system import AbstractSystem, FitData, options_of

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


class Agreement(enum.StrEnum):
    """Whether the fitted model's network and the target agree."""

    AGREES = "agrees"
    DIFFERS = "differs"


class Check(NamedTuple):
    """The fitted model's network against the target.

    Attributes:
        value: Observables of the network, shape (datum,).
        error: Their standard errors, shape (datum,).
        z: Differences from the target in combined standard errors, shape (datum,).
        agreement: Whether they agree.
        message: The same in words.
    """

    value: np.ndarray
    error: np.ndarray
    z: np.ndarray
    agreement: Agreement
    message: str


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
) -> Check:
    """Compare the fitted model's network with the target.

    Args:
        model: The fitted model.
        target: The target.
        network: The network's Dataset.
        data: The target as a vector.
        names: The theory's observables.
    """
    rows = rows_of(data, measure(model, network, names))
    value, error = rows.mean(0), rows.std(0, ddof=1) / np.sqrt(len(rows))
    combined = np.sqrt(error**2 + (0.0 if data.error is None else data.error) ** 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(combined > 0, (value - data.value) / combined, 0.0)
    where = f"The fitted model's network ({network.sizes['realisation']} of {network.attrs['n']} neurons)"
    if not isinstance(target, xr.Dataset):
        return Check(value, error, z, *_by_numbers(data, z, len(rows), where))
    return Check(value, error, z, *_by_comparison(model, target, network, where))


def rows_of(data: Data, measured: FitData) -> np.ndarray:
    """The network's data of each realisation, shape (realisation, datum)."""
    missing = [name for name in data.index if measured.samples is None or name not in measured.samples]
    if missing:
        raise LimitError(
            f"The fitted model's network has no {', '.join(missing)} (as a network without rhythm has no gamma "
            "frequency): the limit and the network differ in kind there. Look at both with largen run."
        )
    return data.take(measured)


def _by_numbers(data: Data, z: np.ndarray, count: int, where: str) -> tuple[Agreement, str]:
    """Each datum by itself, with Bonferroni's correction."""
    p = np.minimum(2.0 * stats.t.sf(np.abs(z), count - 1) * len(z), 1.0)
    off = [f"{data.labels[k]} (z = {z[k]:+.1f})" for k in np.argsort(p) if p[k] < LEVEL]
    if not off:
        return (
            Agreement.AGREES,
            f"{where} agrees with the target: the largest difference is {np.abs(z).max():.1f} standard errors.",
        )
    return (
        Agreement.DIFFERS,
        f"{where} differs from the target in {', '.join(off[:4])}{', ...' if len(off) > 4 else ''}.",
    )


def _by_comparison(model: AbstractSystem, target: xr.Dataset, network: xr.Dataset, where: str) -> tuple[Agreement, str]:
    """Whole observables over time, by `compare`."""
    if target.attrs.get("kind") == "network":
        theory, finite = target.assign_attrs(kind="limit", layer=0.0), None
    else:
        theory, finite = target, _at_size(model, target, network)
        theory = theory if finite is None else theory[list(finite.data_vars)]
    found = compare(network, theory, finite=finite, strict=False)
    off = found.attrs["verdict"] not in (Label.WITHIN, Label.UNDECIDED, Cause.FINITE_SIZE)
    said = f"{where}: {found.attrs['verdict']}. {found.attrs['headline']}"
    return Agreement.DIFFERS if off else Agreement.AGREES, said


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
