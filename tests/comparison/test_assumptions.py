"""What is said of the runs' values: skewed and bistable samples are named, normal ones hardly ever (rates stated)."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import largen as ln
from largen.comparison import assumptions
from largen.comparison.assumptions import Shape, shape_of
from statistics_tools import assert_at_most, assert_frequency
from toy import Toy


def best_split(samples):
    """Share of the variance that the best split of each row explains, from the sums of squares within the groups."""
    ordered, count = np.sort(samples, axis=1), samples.shape[1]
    within = [count * ordered.var(1)]
    for k in range(2, count - 1):
        within.append(k * ordered[:, :k].var(1) + (count - k) * ordered[:, k:].var(1))
    return 1 - np.min(within, axis=0) / within[0]


def counts(draw, size, samples, seed=1):
    rng = np.random.default_rng(seed)
    found = [shape_of(draw(rng, size)) for _ in range(samples)]
    return {shape: found.count(shape) for shape in Shape}


def normal(rng, size):
    return rng.normal(3.0, 0.2, size)


@pytest.mark.parametrize("size", [8, 11, 40])
def test_the_critical_share_is_exceeded_by_one_normal_sample_in_a_thousand(size):
    """20 000 samples; the test fails by chance with probability 1e-6."""
    shares = best_split(np.random.default_rng(size).normal(size=(20_000, size)))
    assert_frequency(int(np.sum(shares > assumptions.critical_share(size))), 20_000, 1e-3)


@pytest.mark.parametrize("size", [8, 16, 64])
def test_normal_values_are_hardly_ever_called_bistable(size):
    """At most 0.1 %: more than 9 of 2000 have probability 5e-5 or less."""
    assert counts(normal, size, 2000)[Shape.BISTABLE] <= 9


@pytest.mark.parametrize("size", [16, 32])
def test_two_states_of_run_are_named(size):
    """Groups of ten standard deviations apart, each run in either with probability 1/2: at least 95 % at 16."""
    found = counts(lambda rng, size: rng.normal(size=size) + 10 * (rng.random(size) < 0.5), size, 500)
    assert found[Shape.BISTABLE] >= 475


def test_two_values_are_bistable_whatever_their_unit():
    values = np.array([0.0] * 5 + [1.0] * 3)
    assert shape_of(values) is Shape.BISTABLE
    assert shape_of(1e-9 * values) is Shape.BISTABLE
    assert shape_of(-1e6 * values[::-1]) is Shape.BISTABLE


def test_equal_values_are_neither():
    assert shape_of(np.full(20, 0.1)) is Shape.NORMAL
    assert shape_of(np.zeros(20)) is Shape.NORMAL
    assert shape_of(np.full(20, np.nan)) is Shape.NORMAL


def test_skewed_values_are_named():
    """Exponential values of 32 runs: their sample skewness is above 1, and no chance, in at least 80 %."""
    found = counts(lambda rng, size: rng.exponential(size=size), 32, 500)
    assert found[Shape.SKEWED] + found[Shape.BISTABLE] >= 400
    assert found[Shape.BISTABLE] <= 25
    values = np.random.default_rng(2).exponential(size=40)
    assert abs(stats.skew(values)) > 1
    assert shape_of(values) is shape_of(-values) is Shape.SKEWED


def test_a_table_of_normal_rows_names_one_as_skewed_in_at_most_one_of_twenty():
    """30 rows of 16 runs, 200 tables: 5 % of them, and 3 % for bistable rows; it fails by chance in 1e-6."""
    rng, named = np.random.default_rng(5), 0
    for _ in range(200):
        named += assumptions.assumptions(16, {str(k): rng.normal(size=16) for k in range(30)})[1] != ""
    assert_at_most(named, 200, 0.08)


@pytest.mark.parametrize("draw", [lambda rng, size: rng.random(size), lambda rng, size: rng.standard_t(5, size)])
def test_evenly_spread_and_heavy_tailed_values_are_not_called_bistable(draw):
    assert counts(draw, 64, 500)[Shape.BISTABLE] <= 5


def test_few_runs_say_that_nothing_could_be_checked():
    two = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    assert shape_of(two) is Shape.NORMAL
    text, against = assumptions.assumptions(6, {"rate[e]": two})
    assert text.endswith("(cannot be checked with 6 realisations)")
    assert against == ""
    assert "this one network" in assumptions.assumptions(1, {"rate[e]": two[:1]})[0]


def test_what_is_named_is_what_was_found():
    rng = np.random.default_rng(6)
    normal, exponential = rng.normal(size=40), rng.exponential(size=40) ** 2
    text, against = assumptions.assumptions(40, {"rate[e]": normal})
    assert (text, against) == ("realisations independent; run values roughly normal", "")
    two = rng.permutation(np.repeat([0.0, 1.0], 20)) + 0.01 * normal
    runs = {"rate[e]": exponential, "rate[i]": two, "power": -exponential, "mean": normal}
    text, against = assumptions.assumptions(40, runs)
    assert "rate[e], power are skewed: the level is not kept there" in against
    assert "rate[i] is bistable: the level is not kept there; take longer runs" in against
    assert "mean" not in against
    assert "..." in assumptions.assumptions(40, {str(k): two for k in range(9)})[1]


def test_a_comparison_names_a_bistable_row():
    """Half of the networks start elsewhere: their means are of two kinds."""
    times = np.arange(0.0, 3.0, 0.25)
    kinds = [Toy(start=(level, 1.0), noise=0.01) for level in (1.0, 2.0)]
    runs = [ln.simulate(model, times, n=200, realisations=8, seed=k) for k, model in enumerate(kinds)]
    runs[1] = runs[1].assign_coords(realisation=8 + runs[1]["realisation"])
    network = xr.concat(runs, "realisation", combine_attrs="override")
    report = ln.compare(network, ln.solve_limit(kinds[0], times))
    assert "mean[a], second[a] are bistable" in report.attrs["unusual"]
    assert report.attrs["assumptions"].endswith(report.attrs["unusual"])
    plain = ln.compare(network.isel(realisation=slice(8)), ln.solve_limit(kinds[0], times))
    assert plain.attrs["unusual"] == ""
