"""The decisions of a comparison, against scipy.stats, enumeration of the closed test, and simulation."""

import itertools

import numpy as np
import pytest
from scipy import stats

from largen.comparison.decisions import (
    Cause,
    Differences,
    Label,
    causes_of,
    detectable,
    headline_of,
    interval,
    labels_of,
    needed,
    p_beyond,
    p_within,
    welch,
)
from largen.numerics.hypothesis_tests import hochberg, holm


def of_sample(x: np.ndarray, target: float) -> Differences:
    """Differences of the columns of (realisation, row) from a number."""
    rows = np.ones(x.shape[1])
    return Differences(x.mean(0) - target, x.std(0, ddof=1) / np.sqrt(len(x)), (len(x) - 1) * rows)


def test_one_sample_p_values_and_intervals_are_those_of_scipy() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(1.0, 0.3, (7, 1))
    tau = 0.4
    found = of_sample(x, 0.8)
    above = stats.ttest_1samp(x[:, 0], 0.8 + tau, alternative="less").pvalue
    below = stats.ttest_1samp(x[:, 0], 0.8 - tau, alternative="greater").pvalue
    assert p_within(found, np.array([tau]))[0] == pytest.approx(max(above, below), abs=1e-12)
    far = of_sample(x, 0.3)
    beyond = stats.ttest_1samp(x[:, 0], 0.3 + tau, alternative="greater").pvalue
    other = stats.t.sf((abs(far.value[0]) + tau) / far.error[0], 6)
    assert p_beyond(far, np.array([tau]))[0] == pytest.approx(beyond + other, abs=1e-12)
    low, high = stats.ttest_1samp(x[:, 0], 0.8).confidence_interval(0.95)
    assert np.concatenate(interval(found)) == pytest.approx([low - 0.8, high - 0.8], abs=1e-12)


def test_two_samples_are_compared_as_by_welch_in_scipy() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(1.0, 0.3, (5, 1)), rng.normal(0.9, 1.0, (9, 1))
    found = welch(of_sample(x, 0.0), of_sample(y, 0.0))
    for tau in (0.01, 0.5):
        above = stats.ttest_ind(x[:, 0] - tau, y[:, 0], equal_var=False, alternative="less").pvalue
        below = stats.ttest_ind(x[:, 0] + tau, y[:, 0], equal_var=False, alternative="greater").pvalue
        assert p_within(found, np.array([tau]))[0] == pytest.approx(max(above, below), abs=1e-12)
    low, high = stats.ttest_ind(x[:, 0], y[:, 0], equal_var=False).confidence_interval(0.95)
    assert np.concatenate(interval(found)) == pytest.approx([low, high], abs=1e-12)


@pytest.mark.parametrize(("ours", "theirs"), [(2, 8), (3, 12), (8, 2), (4, 4), (5, 9), (8, 32)])
def test_two_samples_of_any_sizes_keep_the_level(ours: int, theirs: int) -> None:
    """40 000 pairs whose true difference is the tolerance: above 0.029 at 0.025 by chance in 1 of 1000 runs."""
    rng = np.random.default_rng(9)
    tau = np.ones(40_000)
    x, y = rng.normal(1.0, 0.1, (ours, 40_000)), rng.normal(0.0, 0.1, (theirs, 40_000))
    found = welch(of_sample(x, 0.0), of_sample(y, 0.0))
    for p in (p_within(found, tau), p_beyond(found, tau)):
        assert np.mean(p <= 0.025) <= 0.029
        assert np.mean(p <= 0.001) <= 0.0025


def closed_test(p: np.ndarray, level: float, rejects) -> np.ndarray:
    """Rejection of each hypothesis by the closure principle: every intersection with it must be rejected."""
    m = len(p)
    sets = [np.array(s) for k in range(1, m + 1) for s in itertools.combinations(range(m), k)]
    bad = [s for s in sets if not rejects(np.sort(p[s]), level)]
    return np.array([all(k not in s for s in bad) for k in range(m)])


def test_holm_and_hochberg_are_the_closed_tests_of_their_intersections_and_hochberg_is_within_simes() -> None:
    rng = np.random.default_rng(3)
    different = 0
    for _ in range(200):
        p = rng.uniform(0, 0.06, 5)
        by_bonferroni = closed_test(p, 0.05, lambda s, a: s[0] <= a / len(s))
        by_simes = closed_test(p, 0.05, lambda s, a: np.any(s <= a * np.arange(1, len(s) + 1) / len(s)))
        assert np.array_equal(holm(p) <= 0.05, by_bonferroni)
        by_steps = closed_test(p, 0.05, lambda s, a: np.any(s <= a / (len(s) - np.arange(len(s)))))
        assert np.array_equal(hochberg(p) <= 0.05, by_steps)
        assert np.all(by_simes | ~by_steps)
        different += int(np.any((hochberg(p) <= 0.05) != (holm(p) <= 0.05)))
    assert different > 5  # Hochberg rejects more than Holm


def test_hochberg_is_the_step_up_rule_as_it_is_written() -> None:
    rng = np.random.default_rng(4)
    for _ in range(200):
        p = rng.uniform(0, 0.1, 6)
        ordered = np.sort(p)
        passing = [k for k in range(6) if ordered[k] <= 0.05 / (6 - k)]
        expected = p <= ordered[passing[-1]] if passing else np.zeros(6, bool)
        assert np.array_equal(hochberg(p) <= 0.05, expected)


def test_a_table_whose_intervals_all_lie_inside_the_tolerances_is_within() -> None:
    rng = np.random.default_rng(5)
    found = of_sample(rng.normal(0, 0.35, (4, 6 * 300)), 0.0)
    within, beyond, low, high = (
        x.reshape(300, 6) for x in (p_within(found, np.ones(1800)), p_beyond(found, np.ones(1800)), *interval(found))
    )
    seen = {True: 0, False: 0}
    for k in range(300):
        inside = bool(np.all((low[k] > -1) & (high[k] < 1)))
        seen[inside] += 1
        if inside:
            assert labels_of(within[k], beyond[k], 0.05) == [Label.WITHIN] * 6
    assert min(seen.values()) > 20


def test_exact_differences_are_decided_and_unknown_errors_never() -> None:
    found = Differences(np.array([0.5, 1.5, 1.0, 0.0]), np.array([0.0, 0.0, 0.0, np.nan]), np.full(4, 3.0))
    tau = np.ones(4)
    assert p_within(found, tau).tolist() == [0, 1, 1, 1]
    assert p_beyond(found, tau).tolist() == [1, 0, 1, 1]
    labels = labels_of(p_within(found, tau), p_beyond(found, tau), 0.05)
    assert labels == [Label.WITHIN, Label.BEYOND, Label.UNDECIDED, Label.UNDECIDED]


@pytest.mark.parametrize("true_difference", [1.0, -1.0])
def test_at_the_tolerance_itself_at_most_five_tables_in_a_hundred_carry_a_false_label(true_difference: float) -> None:
    """4000 tables of 8 rows: above 0.05 + 3 binomial standard errors by chance in 1 of 700 runs."""
    rng = np.random.default_rng(6)
    found = of_sample(rng.normal(true_difference, 0.4, (8, 8 * 4000)), 0.0)
    within, beyond = (p(found, np.ones(8 * 4000)).reshape(4000, 8) for p in (p_within, p_beyond))
    wrong = sum(labels_of(w, b, 0.05) != [Label.UNDECIDED] * 8 for w, b in zip(within, beyond, strict=True))
    assert wrong / 4000 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4000)
    assert wrong / 4000 > 0.01  # the bound is no accident of tests without power


@pytest.mark.parametrize("realisations", [3, 8, 32])
def test_a_detectable_difference_is_called_beyond_with_probability_0_8(realisations: int) -> None:
    """One row, 4000 tables: off by more than 0.025 by chance in 1 of 10 000 runs (the error is known to the plan)."""
    rng = np.random.default_rng(7)
    error = np.array([0.2 / np.sqrt(realisations)])
    size = detectable(error, np.array([realisations - 1.0]), np.ones(1), 0.05, 1)[0]
    found = of_sample(rng.normal(size, 0.2, (realisations, 4000)), 0.0)
    assert np.mean(p_beyond(found, np.ones(4000)) <= 0.025) == pytest.approx(0.8, abs=0.025)


def test_detectable_agrees_with_the_noncentral_t_of_scipy() -> None:
    z = detectable(np.ones(1), np.array([9.0]), np.zeros(1), 0.05, 12)[0]
    assert stats.nct.sf(stats.t.isf(0.025 / 12, 9), 9, z) == pytest.approx(0.8, abs=1e-6)


def test_as_many_networks_as_are_needed_decide_a_row() -> None:
    """A true difference of 0.5 tolerances, 2000 fresh tables: below 0.77 by chance in 1 of 1000 runs."""
    rng = np.random.default_rng(8)
    pilot = Differences(np.array([0.5]), np.array([0.8 / np.sqrt(8)]), np.array([7.0]))
    plan = needed(pilot, np.ones(1), [Label.UNDECIDED], 0.05, 8)
    count = int(plan.count[0])
    assert count > 8
    assert not plan.at_least[0]
    found = of_sample(rng.normal(0.5, 0.8, (count, 2000)), 0.0)
    decided = np.sum(p_within(found, np.ones(2000)) <= 0.025)
    assert 0.77 <= decided / 2000 <= 0.95


def test_a_difference_on_its_tolerance_needs_at_least_that_many() -> None:
    found = Differences(np.array([1.01]), np.array([0.3]), np.array([7.0]))
    plan = needed(found, np.ones(1), [Label.UNDECIDED], 0.05, 8)
    assert plan.at_least[0]
    assert plan.count[0] > 8
    assert np.isnan(needed(found, np.ones(1), [Label.WITHIN], 0.05, 8).count[0])


def test_causes_and_headline_follow_the_rule() -> None:
    labels = [Label.BEYOND, Label.BEYOND, Label.BEYOND, Label.WITHIN, Label.WITHIN]
    within = np.array([1e-9, 1e-9, 0.6, 1e-9, 1.0])
    beyond = np.array([1.0, 1.0, 0.4, 1.0, 1e-9])
    share = np.array([1.2, 0.2, 1.0, np.nan, np.nan])
    causes = causes_of(labels, within, beyond, share, 0.05)
    assert causes == [Cause.FINITE_SIZE, Cause.UNDECIDED, Cause.UNDECIDED, Cause.NONE, Cause.THEORY]
    assert headline_of(labels, causes) == "theory differs"
    assert headline_of(labels[:4], causes[:4]) == "beyond tolerance, cause undecided"
    assert headline_of(labels[:1], causes[:1]) == "finite-size effect"
    assert headline_of([Label.BEYOND], [Cause.NOT_SEPARATED]) == "beyond tolerance, cause not separated"
    assert headline_of([Label.BEYOND], [Cause.NONE]) == "beyond tolerance"
    assert headline_of([Label.WITHIN, Label.UNDECIDED], [Cause.NONE] * 2) == "undecided"
    assert headline_of([Label.WITHIN], [Cause.NONE]) == "within tolerance"
    assert headline_of([Label.WITHIN], [Cause.NONE], complete=False) == "undecided"
