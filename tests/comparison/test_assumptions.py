"""What is said of the runs' values: skewed and bistable samples are named, normal ones hardly ever (rates stated)."""

import numpy as np
import pytest
from scipy import stats

from largen.comparison import assumptions
from largen.comparison.assumptions import Shape, shape_of
from statistics_tools import assert_frequency


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
    """At most 0.1 %: more than 13 of 4000 have probability 1e-4 or less."""
    assert counts(normal, size, 4000)[Shape.BISTABLE] <= 13


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
    """Exponential values of 32 runs: their sample skewness is above 1 in at least 80 %."""
    found = counts(lambda rng, size: rng.exponential(size=size), 32, 500)
    assert found[Shape.SKEWED] + found[Shape.BISTABLE] >= 400
    assert found[Shape.BISTABLE] <= 25
    values = np.random.default_rng(2).exponential(size=40)
    assert abs(stats.skew(values)) > 1
    assert shape_of(values) is shape_of(-values) is Shape.SKEWED


def test_normal_values_are_seldom_called_skewed():
    """The sample skewness of 32 normal values is above 1 in 1.3 % of samples: 10 to 45 of 2000."""
    assert 10 <= counts(normal, 32, 2000)[Shape.SKEWED] <= 45


@pytest.mark.parametrize("draw", [lambda rng, size: rng.random(size), lambda rng, size: rng.standard_t(5, size)])
def test_evenly_spread_and_heavy_tailed_values_are_not_called_bistable(draw):
    assert counts(draw, 64, 500)[Shape.BISTABLE] <= 5


def test_few_runs_say_that_nothing_could_be_checked():
    two = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    assert shape_of(two) is Shape.NORMAL
    assert assumptions.assumptions(4, {"rate[e]": Shape.NORMAL}).endswith("(cannot be checked with 4 realisations)")


def test_what_is_named_is_what_was_found():
    plain = assumptions.assumptions(16, {"rate[e]": Shape.NORMAL})
    assert plain == "realisations independent; run values roughly normal"
    named = {"rate[e]": Shape.SKEWED, "rate[i]": Shape.BISTABLE, "power": Shape.SKEWED, "mean": Shape.NORMAL}
    text = assumptions.assumptions(16, named)
    assert "rate[e] and power are skewed: the level is not kept there" in text
    assert "rate[i] is bistable: the level is not kept there, take longer runs" in text
    assert "mean" not in text
