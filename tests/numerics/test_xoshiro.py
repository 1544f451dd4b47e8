"""Lanes of random words: the published generator, separate streams, uniform and uncorrelated words.

Statistical tests have fixed seeds and a false-alarm probability of 1e-6 each (FALSE_ALARM).
"""

import numpy as np
from scipy import stats

from largen.numerics import xoshiro
from largen.numerics.streams import stream

FALSE_ALARM = 1e-6

# First ten numbers of the reference implementation of xoshiro256++ from the state (1, 2, 3, 4).
PUBLISHED = [
    41943041,
    58720359,
    3588806011781223,
    3591011842654386,
    9228616714210784205,
    9973669472204895162,
    14011001112246962877,
    12406186145184390807,
    15849039046786891736,
    10450023813501588000,
]


def words(state, count):
    buffer = np.zeros(count // 2, np.uint64)
    xoshiro.fill(state, buffer, count)
    return buffer


def test_every_lane_is_the_published_generator():
    state = np.repeat(np.arange(1, 5, dtype=np.uint64)[:, None], xoshiro.LANES, axis=1)
    blocks = words(state, 10 * xoshiro.WORDS).reshape(10, xoshiro.LANES)
    assert blocks[:, 0].tolist() == PUBLISHED
    assert np.all(blocks == blocks[:, :1])


def test_only_whole_blocks_that_are_needed_are_filled():
    buffer = np.zeros(64, np.uint64)
    xoshiro.fill(xoshiro.lanes(stream(1, "a")), buffer, 33)
    assert np.all(buffer[:32])
    assert not np.any(buffer[32:])


def test_lanes_depend_on_the_stream_alone():
    first = words(xoshiro.lanes(stream(1, "noise")), 2048)
    rng = stream(1, "noise")
    rng.random(100)
    np.testing.assert_array_equal(first, words(xoshiro.lanes(rng), 2048))
    again = words(xoshiro.lanes(rng), 2048)  # a second set of lanes
    other = words(xoshiro.lanes(stream(1, "synapses")), 2048)
    sets = [set(x.tolist()) for x in (first, again, other)]
    assert len(sets[0] | sets[1] | sets[2]) == 3 * 1024


def test_words_are_uniform_and_uncorrelated():
    buffer = words(xoshiro.lanes(stream(2, "test")), 2**20)
    narrow = buffer.view(np.uint32)
    for shift in (0, 12, 24):  # lower, middle and upper bits
        counts = np.bincount((narrow >> np.uint32(shift)) & np.uint32(255), minlength=256)
        assert stats.chisquare(counts).pvalue > FALSE_ALARM
    u = narrow / 2.0**32 - 0.5
    bound = stats.norm.isf(FALSE_ALARM / 2 / 66) / 12
    for distance in (*range(1, 65), 511, 1024):  # neighbours are other lanes, 32 further is the same one
        assert abs(np.mean(u[distance:] * u[:-distance])) * np.sqrt(u.size - distance) < bound
