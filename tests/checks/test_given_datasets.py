"""Datasets that a user hands back, with a dim renamed, a variable without a dim, or infinite numbers: one message."""

import functools
import warnings

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import largen as ln
from largen import analysis, plot
from largen.checks import dataset

TABLE = xr.Dataset(
    {"rate": (("realisation", "population", "time"), np.ones((2, 2, 3))), "sizes": ("population", [3, 4])},
    {"population": ["e", "i"], "time": [0.0, 1.0, 2.0]},
)


@pytest.mark.parametrize("dims", [("population", "time"), ("time", "population", "realisation")])
def test_a_variable_has_the_dims_that_are_asked_for(dims):
    assert dataset("data", TABLE, arrays={"rate": dims}) is TABLE
    assert dataset("data", TABLE.isel(realisation=0), arrays={"rate": ("population", "time")}) is not None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (TABLE.assign(rate=TABLE["rate"].rename(time="other")), "have `rate` over the dims population, time, but"),
        (TABLE.assign(rate=TABLE["rate"].expand_dims(other=2)), "other, realisation, population, time"),
        (TABLE.assign(rate=TABLE["rate"].mean("time")), "have `rate` over the dims population, time, but"),
        (TABLE.assign(rate=TABLE["rate"] * np.inf), "have finite numbers in `rate`"),
        (TABLE.rename(time="other"), "must have the dim `time`"),
        (TABLE.drop_vars("rate"), "must have the variable `rate`"),
        (TABLE.assign(rate=TABLE["rate"].astype(str)), "have real numbers in `rate`"),
    ],
)
def test_a_variable_over_other_dims_is_refused_by_name(changed, words):
    with pytest.raises(ln.InputError, match=words) as caught:
        dataset("data", changed, arrays={"rate": ("population", "time")})
    assert "Argument `data`" in str(caught.value)


def test_numbers_that_are_missing_are_no_infinite_ones():
    missing = TABLE.assign(rate=TABLE["rate"] * np.nan)
    assert dataset("data", missing, arrays={"rate": ("population", "time")}) is missing


RUNS = {
    "spiking": (ln.SpikingNetwork(size=[12, 4]), np.arange(0.0, 20.5, 0.5), {"record": "spikes"}),
    "balanced": (ln.BalancedNetwork(), np.linspace(0.0, 1.0, 11), {"n": 20, "method": "tau_leap", "record": "state"}),
    "rate": (ln.RateNetwork(dynamics="discrete"), np.arange(7.0), {"n": 13}),
}


def renamed(data):
    """The Dataset with a dim renamed, in all its variables or in one of them, or with infinite numbers."""
    for dim in data.dims:
        yield f"{dim} renamed", data.rename({dim: "other"})
        yield f"{dim} cut", data.isel({dim: slice(data.sizes[dim] // 2, None)})
        for name in (name for name in data.data_vars if dim in data[name].dims):
            changed = data[name].drop_vars(dim, errors="ignore").rename({dim: "other"})
            yield f"{dim} renamed in {name}", data.assign({name: changed})
    for name, variable in data.data_vars.items():
        if variable.dtype.kind == "f":
            yield f"{name} infinite", data.assign({name: variable + np.inf})


ON_ONE = (
    analysis.summary, functools.partial(analysis.asynchrony, resamples=100), analysis.power_spectrum,
    analysis.firing_events, analysis.orbit, analysis.event_statistics, analysis.correlation_against_lag, ln.to_neo,
    lambda data: plot.raster(data, ax=Figure().subplots()),
    lambda data: plot.orbit({"network": data}, "mean" if "mean" in data else "rate", ax=Figure().subplots()),
    lambda data: plot.fixed_point(data, ax=Figure().subplots()),
)  # fmt: skip


@pytest.mark.parametrize("system", ["spiking", pytest.param("balanced", marks=pytest.mark.long), "rate"])
def test_statistics_and_drawings_give_a_value_or_a_message_whatever_dim_is_renamed(system):
    model, times, options = RUNS[system]
    network, limit = ln.simulate(model, times, realisations=3, seed=1, **options), ln.solve_limit(model, times)
    both = (functools.partial(plot.overview, limit=limit), functools.partial(plot.covariance_surfaces, limit=limit))
    tried = refused = 0
    for words, changed in renamed(network):
        for function in (*ON_ONE, *both):
            tried += 1
            try:
                with warnings.catch_warnings(action="error", category=RuntimeWarning):
                    function(changed)
            except (ln.InputError, ln.LimitError):
                refused += 1
            except Exception as error:
                raise AssertionError(f"{words}: {error!r}") from error
    assert tried > 100
    assert refused > 50
