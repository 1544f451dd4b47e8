"""Alias rows: exact in integers, and their draws against the distributions, tails included.

Statistical tests have fixed seeds and a false-alarm probability of 1e-6 each (FALSE_ALARM).
"""

import numpy as np
import pytest
from scipy import stats

from largen.numerics import alias

FALSE_ALARM = 1e-6
DRAWS = 2**21

LAWS = {
    "Bin(1, .8)": (lambda x: alias.binomial(x, 1, 0.8), stats.binom(1, 0.8)),
    "Bin(7, 1e-9)": (lambda x: alias.binomial(x, 7, 1e-9), stats.binom(7, 1e-9)),
    "Bin(30, .8)": (lambda x: alias.binomial(x, 30, 0.8), stats.binom(30, 0.8)),
    "Bin(400, .03)": (lambda x: alias.binomial(x, 400, 0.03), stats.binom(400, 0.03)),
    "Bin(60000, .31)": (lambda x: alias.binomial(x, 60_000, 0.31), stats.binom(60_000, 0.31)),
    "Bin(5, 1)": (lambda x: alias.binomial(x, 5, 1.0), stats.binom(5, 1.0)),
    "Poisson(0)": (lambda x: alias.poisson(x, 0.0), stats.poisson(0.0)),
    "Poisson(.07)": (lambda x: alias.poisson(x, 0.07), stats.poisson(0.07)),
    "Poisson(3)": (lambda x: alias.poisson(x, 3.0), stats.poisson(3.0)),
    "Poisson(7000)": (lambda x: alias.poisson(x, 7000.0), stats.poisson(7000.0)),
}


def row_of(make):
    """Smallest value, bits and alias row of a law."""
    x = alias.law(1e5)
    make(x)
    alias.to_integers(x)
    bits = alias.bits_for(x.extent[1])
    row = np.zeros(1 << bits, np.uint32)
    alias.fill_row(x, x.extent[0], row, bits)
    return int(x.extent[0]), bits, row


def probabilities(bits, row):
    """The law of a row in multiples of 2^-32, from its thresholds and aliases."""
    threshold, other = row.astype(np.int64) >> bits, row & np.uint32((1 << bits) - 1)
    weight = threshold.copy()
    np.add.at(weight, other, (2**32 >> bits) - threshold)
    return weight


def drawn(first, bits, row, seed=1, draws=DRAWS):
    words = np.random.default_rng(seed).integers(0, 2**32, draws, dtype=np.uint32)
    value, entry = np.empty(draws, np.int32), np.empty(draws, np.uint32)
    alias.draw_all(words, row, 0, bits, value, entry, draws)
    return value + first


def chi_square(sample, law):
    """p-value of integers against a scipy distribution; cells with fewer than 10 expected are merged at the ends."""
    low, high = sample.min(), sample.max()
    values = np.arange(low - 1, high + 1)
    cdf = law.cdf(values)
    inside = (cdf * sample.size >= 10) & ((1 - cdf) * sample.size >= 10)
    edges = np.concatenate([[low - 2], values[inside], [high]])
    expected = np.diff(np.concatenate([[0.0], cdf[inside], [1.0]])) * sample.size
    seen = np.histogram(sample, bins=edges + 0.5)[0]
    return stats.chisquare(seen, expected).pvalue


@pytest.mark.parametrize("name", LAWS)
def test_row_is_the_law_to_the_last_bit(name):
    """Every value's probability is within 2^-33 of the law, that of the likeliest value within the rest."""
    make, law = LAWS[name]
    first, bits, row = row_of(make)
    weight = probabilities(bits, row)
    assert weight.sum() == 2**32
    exact = law.pmf(first + np.arange(weight.size)) * 2.0**32
    error = np.abs(weight - exact)
    mode = int(np.argmax(exact))
    assert np.delete(error, mode).max(initial=0.0) < 0.51
    assert error[mode] < 0.5 * weight.size + 1
    left_out = law.cdf(first - 1) + law.sf(first + weight.size - 1)
    assert left_out < weight.size * 2.0**-33


@pytest.mark.parametrize("name", ["Bin(30, .8)", "Bin(60000, .31)", "Poisson(.07)", "Poisson(3)", "Poisson(7000)"])
def test_draws_follow_the_law(name):
    make, law = LAWS[name]
    sample = drawn(*row_of(make))
    assert chi_square(sample, law) > FALSE_ALARM
    high = law.isf(2e-5)  # some 40 draws are expected in each tail
    for hits, p in (
        (np.sum(sample > high), law.sf(high)),
        (np.sum(sample < law.ppf(2e-5)), law.cdf(law.ppf(2e-5) - 1)),
    ):
        assert stats.binomtest(int(hits), sample.size, p).pvalue > FALSE_ALARM


def test_chi_square_catches_an_injected_bias():
    assert chi_square(drawn(*row_of(LAWS["Poisson(3)"][0])), stats.poisson(3.02)) < FALSE_ALARM


@pytest.mark.parametrize(("n", "p", "mean"), [(30, 0.8, 40.0), (2000, 0.3, 1.5), (5, 1.0, 3000.4), (0, 0.5, 20.0)])
def test_difference_of_two_laws(n, p, mean):
    first, bits, row = row_of(lambda x: alias.binomial_less_poisson(x, n, p, mean))
    weight = probabilities(bits, row)
    values = first + np.arange(weight.size)
    k = np.arange(n + 1)
    exact = (stats.binom(n, p).pmf(k) * stats.poisson(mean).pmf(k - values[:, None])).sum(1) * 2.0**32
    assert np.delete(np.abs(weight - exact), np.argmax(exact)).max() < 0.52


def test_draw_each_takes_its_own_row():
    laws = [2.0, 30.0, 11.0]
    x, bits = alias.law(100.0), 7
    rows = np.zeros(5 + (3 << bits), np.uint32)
    for k, mean in enumerate(laws):
        alias.poisson(x, mean)
        alias.to_integers(x)
        alias.fill_row(x, 0, rows[5 + (k << bits) :], bits)
    rng = np.random.default_rng(2)
    count = 300_000
    words, which = rng.integers(0, 2**32, count, dtype=np.uint32), rng.integers(0, 3, count, dtype=np.int32)
    value, entry = np.empty(count, np.int32), np.empty(count, np.uint32)
    alias.draw_each(words, which, rows, 5, bits, value, entry, count)
    for k, mean in enumerate(laws):
        assert chi_square(value[which == k], stats.poisson(mean)) > FALSE_ALARM
