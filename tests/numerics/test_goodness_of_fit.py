"""Goodness of fit: the law of what is left over, its false alarms and its power, and a second route to every number."""

import numpy as np
import pytest
from scipy import linalg, stats

from largen.numerics.goodness_of_fit import Law, goodness_of_fit, pooled_dof

DATA, PARAMETERS, LEVEL = 8, 3, 0.01


def judged(samples, jacobian, known=False):
    """A linear model fitted to the mean of samples with their standard errors, and the test of what is left over."""
    error = samples.std(0, ddof=1) / np.sqrt(len(samples))
    weighted, mean = jacobian / error[:, None], samples.mean(0) / error
    residual = weighted @ np.linalg.lstsq(weighted, mean, rcond=None)[0] - mean
    if known:
        return goodness_of_fit(residual, weighted, jacobian.shape[1])
    rows = [samples / error]
    return goodness_of_fit(residual, weighted, jacobian.shape[1], samples=rows, error_dof=len(samples) - 1.0)


def draws(realisations, correlation, repetitions, wrong=0.0, seed=1):
    """Samples of 8 data about a linear model of 3 parameters; `wrong` moves one datum, in errors of the mean."""
    rng = np.random.default_rng([seed, realisations, int(10 * correlation)])
    jacobian = rng.standard_normal((DATA, PARAMETERS))
    root = np.linalg.cholesky((1 - correlation) * np.eye(DATA) + correlation)
    contrast = linalg.null_space(jacobian.T)[:, 0]
    for _ in range(repetitions):
        noise = rng.standard_normal((realisations, DATA)) @ root.T
        yield jacobian, noise + jacobian @ [1.0, -2.0, 0.5] + wrong * contrast / np.sqrt(realisations)


def alarms(realisations, correlation, wrong=0.0, repetitions=1000, known=False):
    """How often a model is said not to fit."""
    found = (judged(x, jacobian, known) for jacobian, x in draws(realisations, correlation, repetitions, wrong))
    return sum(test.p_value < LEVEL for test in found)


def too_many(hits, repetitions=1000, allowed=LEVEL):
    """Whether hits are more than chance gives at this rate (false alarm 1e-6)."""
    return stats.binom.sf(hits - 1, repetitions, allowed) < 1e-6


@pytest.mark.parametrize("correlation", [0.0, 0.6])
@pytest.mark.parametrize("realisations", [4, 8, 16])
def test_a_true_model_is_accused_at_the_level_at_most(realisations, correlation):
    assert not too_many(alarms(realisations, correlation))


@pytest.mark.parametrize(("realisations", "correlation"), [(4, 0.0), (8, 0.0), (16, 0.6)])
def test_chi_squared_of_estimated_errors_would_accuse_it_too_often(realisations, correlation):
    """The law that `goodness_of_fit` does not use there: the assertion above finds it."""
    assert too_many(alarms(realisations, correlation, known=True))


@pytest.mark.parametrize(("realisations", "wrong"), [(4, 40.0), (8, 12.0), (12, 12.0), (16, 12.0)])
@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_an_injected_misfit_is_found(realisations, wrong, correlation):
    hits = alarms(realisations, correlation, wrong, repetitions=200)
    assert stats.binom.cdf(hits, 200, 0.9) > 1e-6  # at least 9 of 10


def test_the_contrasts_are_hotellings_test_by_another_route():
    """Contrasts of the unweighted derivatives, T2 by a linear solver: weights and basis do not matter."""
    for jacobian, samples in draws(14, 0.6, 20, wrong=3.0):
        contrasts = samples @ linalg.null_space(jacobian.T)
        mean, spread = contrasts.mean(0), np.cov(contrasts.T) / len(samples)
        t2, dof, count = mean @ np.linalg.solve(spread, mean), DATA - PARAMETERS, len(samples)
        p = stats.f.sf(t2 * (count - dof) / (dof * (count - 1)), dof, count - dof)
        found = judged(samples, jacobian)
        assert found.law is Law.CONTRASTS
        np.testing.assert_allclose([found.statistic, found.p_value], [t2, p], rtol=1e-11)
        assert found.misfit == pytest.approx(np.sqrt(t2 / dof), rel=1e-12)


def test_one_contrast_is_students_test():
    rng = np.random.default_rng(4)
    jacobian, samples = rng.standard_normal((4, 3)), rng.standard_normal((5, 4))
    contrast = linalg.null_space(jacobian.T)[:, 0]
    student = stats.ttest_1samp(samples @ contrast, 0.0)
    found = judged(samples, jacobian)
    np.testing.assert_allclose([found.statistic, found.p_value], [student.statistic**2, student.pvalue], rtol=1e-12)


def test_which_law_judges():
    rng = np.random.default_rng(5)
    jacobian, residual = rng.standard_normal((DATA, PARAMETERS)), rng.standard_normal(DATA)
    square = float(residual @ residual)
    for count, law in ((11, Law.ESTIMATED_ERRORS), (12, Law.CONTRASTS)):  # 2 dof + 2 = 12
        rows = [rng.standard_normal((count, DATA))]
        assert goodness_of_fit(residual, jacobian, PARAMETERS, samples=rows, error_dof=count - 1.0).law is law
    few = goodness_of_fit(residual, jacobian, PARAMETERS, error_dof=3.0)
    assert few.p_value == pytest.approx(stats.f.sf(square / 5, 5, 3), rel=1e-12)
    known = goodness_of_fit(residual, jacobian, PARAMETERS)
    assert known[:4] == (Law.KNOWN_ERRORS, square, 5, pytest.approx(stats.chi2.sf(square, 5), rel=1e-12))
    full = goodness_of_fit(residual[:3], jacobian[:3], PARAMETERS)
    assert (full.law, full.dof) == (Law.NOTHING_LEFT, 0)
    assert np.isnan([full.statistic, full.p_value, full.misfit]).all()


def test_errors_from_two_sources_have_the_degrees_of_freedom_of_welch():
    one, two = np.array([1.0, 4.0]), np.array([3.0, 1.0])
    welch = [(a + b) ** 2 / (a**2 / 5 + b**2 / 9) for a, b in zip(one, two, strict=True)]
    assert pooled_dof([one, two], [5.0, 9.0]) == pytest.approx(stats.hmean(welch), rel=1e-12)
    assert pooled_dof([one, two], [np.inf, np.inf]) == np.inf
    assert pooled_dof([one], [7.0]) == pytest.approx(7.0)
