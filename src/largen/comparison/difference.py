"""The difference of one observable between a network and a theory, tested as a whole and with its error.

The error comes from the scatter of realisations; from one realisation, from the system's own theory of fluctuations
where it has one, else from a block bootstrap along time.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from largen.checks import InputError
from largen.numerics.hypothesis_tests import MeanTest, hotelling
from largen.numerics.time_averages import block_bootstrap, block_means, correlation_time
from largen.parameters.plain import from_plain
from largen.system import AbstractSystem, options_of
from largen.systems import SYSTEMS, system_class

MOST_BLOCKS = 10
MOST_GROUPS = 10
THEORY_BLOCKS = 3
BOOTSTRAP_BLOCKS = 20
FEWEST_BLOCKS = 8
MOST_BYTES = 1e9
"""Memory of the weights for which a theory of fluctuations is asked; its covariance matrices are as large."""
_AVERAGED = ("realisation", "time", "time_")


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


def as_series(variable: xr.DataArray, length: int) -> np.ndarray:
    """Shape (realisation, component, time); a second time axis is averaged up to the first."""
    data = variable if "realisation" in variable.dims else variable.expand_dims("realisation")
    if "time_" in data.dims:
        data = data.where(data["time_"] <= data["time"]).mean("time_")
    rest = [dim for dim in data.dims if dim not in ("realisation", "time")]
    data = data.transpose("realisation", *rest, "time")
    return data.values.reshape(data.sizes["realisation"], -1, data.sizes["time"])[..., :length].astype(float)


def own_laws(network: xr.Dataset, length: int, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Covariance of each observable's series of one realisation by the system's own theory, where it has one.

    Shape (component times time, component times time); empty with several realisations, whose scatter is the error.
    """
    system = str(network.attrs["system"])
    if network.sizes["realisation"] > 1 or system not in SYSTEMS or not _is_whole(network):
        return {}
    try:
        model = from_plain(system_class(system), json.loads(network.attrs["parameters"]))
    except (
        InputError,
        TypeError,
        ValueError,
    ):  # made by hand, or with a user's own function, which a file's words must not import
        return {}
    options = options_of(model, "network")
    options |= {key: network.attrs[key] for key in options if key in network.attrs}
    if type(model).covariance_of_averages is AbstractSystem.covariance_of_averages:
        return {}
    small = [name for name in names if _weights_bytes(network[name], length) <= MOST_BYTES]
    weights = {name: _series_weights(network[name], length) for name in small}
    times = network["time"].values[:length]
    return model.covariance_of_averages(times, weights, n=int(network.attrs["n"]), options=options)


def _weights_bytes(variable: xr.DataArray, length: int) -> float:
    """Memory that `_series_weights` takes."""
    cells = float(length) * np.prod([size for dim, size in variable.sizes.items() if dim not in _AVERAGED], dtype=float)
    return 8.0 * cells**2 * (length if "time_" in variable.dims else 1)


def _is_whole(network: xr.Dataset) -> bool:
    """Whether all lags are there in their order, and the start of the run, as a theory of fluctuations has them."""
    if network.attrs.get("start_time", network["time"].values[0]) != network["time"].values[0]:
        return False
    return "lag" not in network.dims or network["lag"].values.tolist() == list(range(network.sizes["lag"]))


def _series_weights(variable: xr.DataArray, length: int) -> np.ndarray:
    """What `as_series` does to one realisation, as a matrix: shape (component times time, *dims)."""
    rest = [dim for dim in variable.dims if dim not in ("realisation", "time", "time_")]
    sizes = [variable.sizes[dim] for dim in rest]
    cells = int(np.prod(sizes)) * length
    weights = np.eye(cells).reshape(cells, *sizes, length)
    order = [*rest, "time"]
    if "time_" in variable.dims:
        weights = weights[..., None] * (np.tri(length) / np.arange(1, length + 1)[:, None])
        order.append("time_")
    return weights.transpose(0, *(1 + order.index(dim) for dim in variable.dims if dim != "realisation"))


def difference_of(
    network: xr.Dataset, theory: xr.Dataset, name: str, inside: np.ndarray, law: np.ndarray | None = None
) -> Difference:
    """Difference of one observable, at the times `inside` where the theory is to hold.

    Args:
        network: Network, dims with `realisation` and `time`.
        theory: Limit, or a sampled finite-size theory with `realisation`.
        name: The observable.
        inside: Which times count, shape (time,).
        law: Covariance of one realisation by theory (see `own_laws`), or None.
    """
    length = theory.sizes["time"]
    inside = inside[:length]
    ours, theirs = as_series(network[name], length), as_series(theory[name], length)
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
