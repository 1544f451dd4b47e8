"""Assertions with a stated false-alarm probability, and the test that they catch an injected bias."""

import numpy as np
from scipy import stats

FALSE_ALARM = 1e-6


def assert_mean(samples: np.ndarray, expected: float, *, false_alarm: float = FALSE_ALARM, what: str = "mean") -> None:
    """Assert that independent samples have the expected mean (Student's t, two-sided)."""
    samples = np.asarray(samples, float)
    error = samples.std(ddof=1) / np.sqrt(len(samples))
    z = (samples.mean() - expected) / error
    p = 2 * stats.t.sf(abs(z), len(samples) - 1)
    assert p > false_alarm, (
        f"{what}: {samples.mean():.6g} ± {error:.2g}, expected {expected:.6g} (z = {z:.1f}, p = {p:.1e})"
    )


def assert_frequency(hits: int, trials: int, probability: float, *, false_alarm: float = FALSE_ALARM) -> None:
    """Assert that a number of hits is compatible with a probability (exact binomial test, two-sided)."""
    p = stats.binomtest(hits, trials, probability).pvalue
    assert p > false_alarm, f"{hits} of {trials} hits, expected {probability:.4g} of them (p = {p:.1e})"


def assert_at_most(hits: int, trials: int, probability: float, *, false_alarm: float = FALSE_ALARM) -> None:
    """Assert that a number of hits is compatible with at most a probability (exact binomial test, one-sided)."""
    p = stats.binomtest(hits, trials, probability, alternative="greater").pvalue
    assert p > false_alarm, f"{hits} of {trials} hits, expected at most {probability:.4g} of them (p = {p:.1e})"
