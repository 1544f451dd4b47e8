"""Graphs on rings and sheets, pair by pair against the probabilities asked for; positions.

Statistical tests have fixed seeds and a false-alarm probability of 1e-6 each.
"""

import numpy as np
import pytest
from scipy import stats

from largen.checks import InputError
from largen.space import BoxKernel, CosineKernel, CustomKernel, GaussianKernel, Ring, Torus, bounds, graph

FALSE_ALARM = 1e-6
SHEET, RING = Torus((4, 4), (1.0, 1.5)), Ring(6)
CASES = {
    "cut": (GaussianKernel(0.15, cutoff=3.0), SHEET, 0.1),
    "summed": (GaussianKernel(0.3), SHEET, 0.2),
    "nearest": (GaussianKernel(0.15, cutoff=3.0), Torus((4, 4), (1.0, 1.5), images="nearest"), 0.1),
    "clipped": (GaussianKernel(0.1, cutoff=3.0), SHEET, 0.3),
    "box": (BoxKernel(0.2), RING, 0.3),
    "cosine": (CosineKernel((0.3, 0.1)), RING, 0.2),
    "line": (GaussianKernel(0.2), RING, 0.1),
}


def positions(space, seed=5):
    rng = np.random.default_rng(seed)
    return graph.random_positions(space, 25, rng), graph.random_positions(space, 30, rng)


def counts(draw, pairs, graphs=150):
    """How often each pair is connected, shape (target, source), and whether ever twice in one graph."""
    total, twice = np.zeros(pairs), False
    for seed in range(graphs):
        rows = draw(np.array([seed + 1, 977], np.uint64))
        source = np.repeat(np.arange(pairs[1]), np.diff(rows.start))
        one = np.zeros(pairs)
        np.add.at(one, (rows.target, source), 1.0)
        twice |= bool(one.max() > 1.0)
        total += one
    return total, twice


def agrees(total, p, graphs=150):
    """Whether the counts are those of independent draws: each pair's binomial number, and their total."""
    certain = (p == 0.0) | (p == 1.0)
    exact = np.array_equal(total[certain], graphs * p[certain])
    p, total = p[~certain], total[~certain]
    tails = np.minimum(stats.binom.cdf(total, graphs, p), stats.binom.sf(total - 1, graphs, p))
    z = (total.sum() - graphs * p.sum()) / np.sqrt(graphs * np.sum(p * (1.0 - p)))
    return exact and tails.min() * len(p) * 4.0 > FALSE_ALARM and 4.0 * stats.norm.sf(abs(z)) > FALSE_ALARM


@pytest.mark.parametrize("name", CASES)
def test_each_pair_is_connected_with_the_probability_of_its_distance(name):
    kernel, space, p = CASES[name]
    target, source = positions(space)
    exact = np.minimum(1.0, p * kernel.profile(space, target[:, None] - source[None]))
    total, twice = counts(
        lambda key: graph.by_distance(kernel, space, p, (target, source), key, 3), exact.shape
    )  # fmt: skip
    assert not twice
    assert agrees(total, exact)
    assert not agrees(total, np.minimum(1.0, 1.1 * exact))


@pytest.mark.parametrize("name", CASES)
def test_tables_of_bounds_leave_the_graph_as_it_is(name, monkeypatch):
    """They only spare evaluations of p: without them every candidate is decided by p itself."""
    kernel, space, p = CASES[name]
    key = np.array([3, 4], np.uint64)
    rows = graph.by_distance(kernel, space, p, positions(space), key, 0)
    monkeypatch.setattr(graph, "bounds_of", lambda *_: np.array([[[0.0, np.inf]]]))
    decided = graph.by_distance(kernel, space, p, positions(space), key, 0)
    np.testing.assert_array_equal(rows.start, decided.start)
    np.testing.assert_array_equal(rows.target, decided.target)


@pytest.mark.parametrize("name", CASES)
def test_tables_of_bounds_hold_the_probability(name):
    kernel, space, p = CASES[name]
    table = bounds.bounds_of(kernel, space, p)
    d = np.random.default_rng(8).random((20_000, space.dimensions)) * space.lengths
    turns = np.pad(np.minimum(d, space.lengths - d) / space.lengths, ((0, 0), (2 - space.dimensions, 0)))
    low, high = table[tuple((2.0 * turns * table.shape[:2]).astype(int).T)].T
    exact = np.minimum(1.0, p * kernel.profile(space, d))
    assert np.all(low <= exact)
    assert np.all(exact <= high)
    if name != "cosine":
        assert np.mean(high - low) < 0.1 * np.mean(exact)


def test_each_pair_is_connected_with_the_probability_of_its_patches():
    p = np.array([[1.0, 0.3, 0.0], [0.05, 0.5, 0.2]])
    at, source = np.arange(20) % 6, (np.arange(31) * 5) % 6
    offset = (at[:, None] // 3 - source // 3) % 2, (at[:, None] % 3 - source % 3) % 3
    total, twice = counts(lambda key: graph.by_patch(p, (at, source), key, 0), (20, 31))
    assert not twice
    assert agrees(total, p[offset])
    assert not agrees(total, p.T.reshape(2, 3)[offset])


def test_draws_of_different_pairs_are_independent():
    """The number of synapses of a graph has the variance of independent draws, within a chi-squared bound."""
    kernel, space, p = CASES["cut"]
    target, source = positions(space)
    exact = np.minimum(1.0, p * kernel.profile(space, target[:, None] - source[None]))
    sizes = [
        len(graph.by_distance(kernel, space, p, (target, source), np.array([k, 5], np.uint64), 0).target)
        for k in range(150)
    ]
    chi = np.sum((np.array(sizes) - exact.sum()) ** 2) / np.sum(exact * (1.0 - exact))
    assert stats.chi2.cdf(chi, 150) > FALSE_ALARM / 2
    assert stats.chi2.sf(chi, 150) > FALSE_ALARM / 2


def test_a_row_depends_on_its_own_number_alone():
    kernel, space, p = CASES["cut"]
    target, source = positions(space)
    key = np.array([7, 8], np.uint64)
    whole = graph.by_distance(kernel, space, p, (target, source), key, 0)
    part = graph.by_distance(kernel, space, p, (target, source[12:]), key, 12)
    np.testing.assert_array_equal(part.target, whole.target[whole.start[12] :])


@pytest.mark.parametrize("count", [90, 100, 173 * 173, 30_000, 10_007])
def test_a_grid_has_as_many_points_as_neurons_and_nearly_square_cells(count):
    space = Torus((4, 4), (1.0, 1.5))
    at = graph.grid_positions(space, count, np.random.default_rng(1))
    assert at.shape == (count, 2)
    assert len(np.unique(np.round(at, 12), axis=0)) == count
    sides = [length / len(np.unique(np.round(at[:, axis], 12))) for axis, length in enumerate(space.lengths)]
    assert max(sides) <= 2.0 * min(sides) * (1.0 + 1e-9)


def test_a_kernel_that_rises_is_refused():
    kernel = CustomKernel(f"{__name__}:rising", cutoff=0.3)
    target, source = positions(RING)
    with pytest.raises(InputError, match="must fall with distance"):
        graph.by_distance(kernel, RING, 0.1, (target, source), np.array([1, 1], np.uint64), 0)


def rising(d):
    """A kernel with its maximum away from 0."""
    return 1.0 + d
