"""Vectorised normal numbers: against double precision word by word, and against the law, tails included.

Statistical tests have fixed seeds and a false-alarm probability of 1e-6 each (FALSE_ALARM).
"""

import numpy as np
from scipy import stats

from largen.numerics.normal_numbers import normals

FALSE_ALARM = 1e-6
COUNT = 2**22


def draw(words):
    z = np.empty(words.size, np.float32)
    normals(words, z, words.size)
    return z.astype(np.float64)


def sample(seed=1, count=COUNT):
    return draw(np.random.default_rng(seed).integers(0, 2**32, count, dtype=np.uint32))


def test_box_muller_in_double_precision():
    words = np.random.default_rng(3).integers(0, 2**32, 2**16, dtype=np.uint32)
    words[:4] = [0, 1, 2**32 - 1, 2**31]  # the largest and the smallest radius
    half = words.size // 2
    radius = np.sqrt(-2.0 * np.log((words[:half] + 0.5) / 2**32))
    word = words[half:]
    angle = ((word << np.uint32(2)).view(np.int32) / 2.0**31 + 1.0) * np.pi / 4  # in the first quadrant
    sign = np.where([word >> np.uint32(31), (word >> np.uint32(30)) & np.uint32(1)], -1.0, 1.0)
    exact = np.concatenate([sign[0] * radius * np.cos(angle), sign[1] * radius * np.sin(angle)])
    rounding = 2e-6 + np.tile(6e-8 / radius, 2)  # of the uniform number near 1, where the radius is small
    assert np.all(np.abs(draw(words) - exact) < rounding)
    assert 6.7 < radius.max() < 6.77


def test_normals_follow_the_law():
    z = sample()
    edges = stats.norm.ppf(np.arange(1, 500) / 500)
    counts = np.bincount(np.searchsorted(edges, z), minlength=500)
    assert stats.chisquare(counts).pvalue > FALSE_ALARM
    for level in (3.0, 4.0, 4.8):
        for tail in (z > level, z < -level):
            assert stats.binomtest(int(tail.sum()), z.size, stats.norm.sf(level)).pvalue > FALSE_ALARM
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        error = (np.mean(z**power) - mean) / np.sqrt(variance / z.size)
        assert abs(error) < stats.norm.isf(FALSE_ALARM / 2)


def test_the_two_numbers_of_a_pair_are_independent():
    z = sample(seed=2)
    a, b = z[: COUNT // 2], z[COUNT // 2 :]
    cells = stats.norm.ppf(np.arange(1, 16) / 16)
    table = np.bincount(16 * np.searchsorted(cells, a) + np.searchsorted(cells, b), minlength=256)
    assert stats.chisquare(table).pvalue > FALSE_ALARM
    assert stats.kstest(np.arctan2(b, a) / (2 * np.pi) + 0.5, "uniform").pvalue > FALSE_ALARM


def test_an_injected_bias_is_caught():
    z = 1.01 * sample()
    counts = np.bincount(np.searchsorted(stats.norm.ppf(np.arange(1, 500) / 500), z), minlength=500)
    assert stats.chisquare(counts).pvalue < FALSE_ALARM


def test_an_odd_number_of_normals_has_a_pair_too_many():
    words = np.arange(1, 7, dtype=np.uint32) * np.uint32(0x9E3779B9)
    z = np.zeros(8, np.float32)
    normals(words, z, 5)
    assert np.count_nonzero(z) == 6
