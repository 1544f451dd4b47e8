"""Asynchrony of a balanced network: pair correlations and Gaussianity, each with its standard error."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from largen.checks import dataset, integer, neurons_of, real, require, seed_number
from largen.statistics.labels import dims_with_population, population_labels, sizes_of


def asynchrony(
    networks: xr.Dataset | Sequence[xr.Dataset], *, start: float | None = None, resamples: int = 2000, seed: int = 0
) -> xr.Dataset:
    """Measure propagation of chaos: whether neurons decorrelate as 1/n, and whether their law is Gaussian.

    Pair correlation: M and V being a population's mean and (unbiased) variance in one realisation, the covariance of
    two of its neurons is Var(M) - E[V]/n_a, of neurons of two populations Cov(M_a, M_b), variances over realisations.
    Errors are a jackknife over realisations. Gaussianity, of the recorded states at the last time (a sample of
    neurons x realisations, which are nearly independent): skewness G1 and excess kurtosis G2 without estimator bias,
    with their standard errors under a normal law, and the Kolmogorov-Smirnov distance with its p-value when mean and
    variance are fitted (Lilliefors' law, by simulation).

    Args:
        networks: What `simulate` returned for a BalancedNetwork with at least 3 realisations and `record="state"`; or
            several of these with different n.
        start: Time from which the pair correlations are averaged; None is the second half.
        resamples: Simulated samples for Lilliefors' law.
        seed: Seed of that simulation.

    Returns:
        Dataset with dims (n, population, source): pair_correlation, pair_correlation_se; (n, population): skewness,
        excess_kurtosis, each with `_se`, ks, ks_p_value; with two sizes or more `exponent` (population, source) of
        |pair correlation| against n with `exponent_se`.

    Raises:
        InputError: Another system, too few realisations, or no recorded states.
    """
    many: Any = list(networks) if isinstance(networks, list | tuple) else [networks]
    resamples, seed = integer("resamples", resamples, low=100), seed_number("seed", seed)
    remedy = 'Pass what simulate(BalancedNetwork(...), ..., record="state") returned.'
    require(many, "networks", "hold a Dataset", networks, remedy)
    rows = []
    for network in many:
        over = {"state": ("realisation", "neuron", "time")}
        over |= {name: dims_with_population(network, name, "realisation", "time") for name in ("mean", "variance")}
        dataset("networks", network, arrays=over, attrs=("system", "n"), remedy=remedy)
        count = network.sizes.get("realisation", 1)
        require(count >= 3, "networks", "have 3 realisations", count)
        labels, first = population_labels(network), population_labels(many[0])
        require(sorted(labels) == sorted(first), "networks", f"all have the populations {', '.join(first)}", labels)
        rows.append(_of_one(network, start, resamples, seed))
    found = xr.concat(rows, "n").sortby("n")
    if found.sizes["n"] >= 2:
        found = found.assign(_exponents(found))
    found.attrs = {"kind": "asynchrony", "system": many[0].attrs["system"]}
    return found


def _of_one(network: xr.Dataset, start: float | None, resamples: int, seed: int) -> xr.Dataset:
    if "population" not in network["mean"].dims:  # one was selected
        network = network.expand_dims("population")
    times = network["time"].values
    late = times >= (0.5 * (times[0] + times[-1]) if start is None else real("start", start))
    require(late.any(), "start", f"lie before the end {times[-1]:g}", start)
    ordered = network[["mean", "variance"]].transpose("realisation", "population", "time", ...)
    mean, variance = ordered["mean"].values[..., late], ordered["variance"].values[..., late]
    sizes = sizes_of(network).astype(float)
    correlation = _pair_correlation(mean, variance, sizes)
    count = len(mean)
    left_out = [_pair_correlation(np.delete(mean, r, 0), np.delete(variance, r, 0), sizes) for r in range(count)]
    error = np.sqrt((count - 1) * np.var(left_out, axis=0))
    labels = population_labels(network)
    pair, one = ("population", "source"), ("population",)
    columns = [_gaussianity(_states(network, label), resamples, seed) for label in labels]
    values = {key: (one, [column[key] for column in columns], {"units": "1"}) for key in columns[0]}
    return xr.Dataset(
        {
            "pair_correlation": (
                pair,
                correlation,
                {"units": "1", "long_name": "correlation of two different neurons"},
            ),
            "pair_correlation_se": (pair, error, {"units": "1"}),
            **values,
        },
        {"population": labels, "source": labels, "n": int(neurons_of("networks", network))},
    )


def _pair_correlation(mean: np.ndarray, variance: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Correlation of two neurons, shape (population, population), from (realisation, population, time)."""
    centred = mean - mean.mean(0)
    covariance = np.einsum("rat,rbt->ab", centred, centred) / ((len(mean) - 1) * mean.shape[-1])
    within = variance.mean((0, 2))
    covariance = covariance - np.diag(within / sizes)
    spread = np.sqrt(within + np.diag(covariance))
    return covariance / np.outer(spread, spread)


def _states(network: xr.Dataset, label: str) -> np.ndarray:
    names = network["neuron"].values.astype(str)
    mine = [k for k, name in enumerate(names) if name.rstrip("0123456789").rstrip(":") == label.rstrip(":")]
    return network["state"].isel(neuron=mine, time=-1).values.ravel()


def _gaussianity(sample: np.ndarray, resamples: int, seed: int) -> dict[str, float]:
    from scipy import stats  # slow to import

    n = len(sample)
    require(n >= 8, "networks", "hold at least 8 recorded states per population", n)
    rng = np.random.default_rng(seed)
    fit = stats.goodness_of_fit(stats.norm, sample, statistic="ks", n_mc_samples=resamples, rng=rng)
    skewness_se = np.sqrt(6.0 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))
    return {
        "skewness": float(stats.skew(sample, bias=False)),
        "skewness_se": float(skewness_se),
        "excess_kurtosis": float(stats.kurtosis(sample, bias=False)),
        "excess_kurtosis_se": float(2 * skewness_se * np.sqrt((n * n - 1) / ((n - 3) * (n + 5)))),
        "ks": float(fit.statistic),
        "ks_p_value": float(fit.pvalue),
    }


def _exponents(found: xr.Dataset) -> dict[str, xr.DataArray]:
    """Slope of log |pair correlation| against log n, weighted by the errors."""
    size, error = abs(found["pair_correlation"]), found["pair_correlation_se"]
    x, y, weight = xr.DataArray(np.log(found["n"])), xr.DataArray(np.log(size)), (size / error) ** 2
    centre = (weight * x).sum("n") / weight.sum("n")
    spread = (weight * (x - centre) ** 2).sum("n")
    slope = (weight * (x - centre) * y).sum("n") / spread
    return {"exponent": slope.assign_attrs(units="1"), "exponent_se": (spread**-0.5).assign_attrs(units="1")}
