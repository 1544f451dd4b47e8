"""Random bit rows and counts by bit planes.

Statistical tests have fixed seeds and a false-alarm probability of 1e-6 each (FALSE_ALARM).
"""

import numpy as np
import pytest
from scipy import stats

from largen.numerics import bits
from largen.numerics.streams import stream
from largen.numerics.xoshiro import LANES, fill, lanes

FALSE_ALARM = 1e-6
KEY = np.array([0x0123456789ABCDEF, 0xFEDCBA9876543210], np.uint64)


def as_bits(words):
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=-1, bitorder="little")


def links(p, blocks, seed=1):
    state = lanes(stream(seed, "links"))
    out, work = np.empty((blocks, LANES), np.uint64), np.empty(LANES, np.uint64)
    for block in out:
        bits.draw_links(state, bits.fraction_bits(p), block, work)
    return as_bits(out)


@pytest.mark.parametrize("p", [0.8, 0.5, 0.03, 1e-5])
def test_links_have_their_probability(p):
    got = links(p, 1000)
    assert stats.binomtest(int(got.sum()), got.size, p).pvalue > FALSE_ALARM
    per_bit = got.reshape(-1, 64).sum(0, dtype=np.int64)  # and so has every place
    assert np.all(stats.binom(got.size // 64, p).sf(per_bit - 1) > FALSE_ALARM / 64)


def test_links_certain_and_impossible():
    assert links(1.0, 3).all()
    assert not links(0.0, 3).any()


def test_links_compare_the_digits_of_p():
    """The same lanes' words, read as binary fractions first digit first, lie below p where there is a link."""
    p, state = 0.3, lanes(stream(2, "links"))
    words = np.empty(LANES * 62, np.uint64)
    fill(state.copy(), words, 2 * words.size)
    got, work = np.empty(LANES, np.uint64), np.empty(LANES, np.uint64)
    bits.draw_links(state, bits.fraction_bits(p), got, work)
    digits = as_bits(words.reshape(62, LANES))  # (digit, place)
    fraction = (digits * 0.5 ** np.arange(1, 63)[:, None]).sum(0)
    np.testing.assert_array_equal(as_bits(got), fraction < p)


def row(source, edge, fractions, key=KEY):
    state, out, work = (
        np.empty((4, LANES), np.uint64),
        np.empty(-(-edge[-1] // 64), np.uint64),
        np.empty((2, LANES), np.uint64),
    )
    bits.seed_row(key, source, state)
    bits.draw_row(state, np.array(edge), bits.fraction_bits(fractions), out, work)
    return as_bits(out)


def test_rows_keep_to_their_populations():
    edge = [0, 70, 71, 3000, 3000 + 128]
    got = np.array([row(j, edge, [1.0, 0.0, 0.25, 1.0]) for j in range(40)])
    assert got[:, :70].all()
    assert not got[:, 70].any()
    assert stats.binomtest(int(got[:, 71:3000].sum()), 40 * 2929, 0.25).pvalue > FALSE_ALARM
    assert got[:, 3000:3128].all()
    assert not got[:, 3128:].any()


def test_rows_depend_on_key_and_source_alone():
    edge, p = [0, 1000], [0.5]
    np.testing.assert_array_equal(row(7, edge, p), row(7, edge, p))
    rows = np.array([row(j, edge, p) for j in range(64)] + [row(j, edge, p, KEY + np.uint64(5)) for j in range(64)])
    signs = 2.0 * rows[:, :1000] - 1.0
    overlap = (signs @ signs.T)[np.triu_indices(128, 1)] / np.sqrt(1000)
    assert np.abs(overlap).max() < stats.norm.isf(FALSE_ALARM / 2 / overlap.size)
    assert stats.kstest(overlap[::7], "norm").pvalue > FALSE_ALARM


@pytest.mark.parametrize("count", [1, 8, 23, 200])
def test_planes_count(count):
    rng = np.random.default_rng(count)
    rows = rng.integers(0, 2**64, (count + 1, 5), dtype=np.uint64)
    rows[-1] = 0
    planes, work = np.zeros((bits.PLANES, 5), np.uint64), np.empty((4, 5), np.uint64)
    depth = max(3, count.bit_length())
    order = np.concatenate([np.arange(count), np.full(-count % 8, count)])
    for eight in order.reshape(-1, 8):
        bits.add_eight(rows, eight, planes, depth, work)
    counts = np.full(320, -1, np.int32)
    bits.expand(planes, depth, counts)
    np.testing.assert_array_equal(counts, as_bits(rows).sum(0, dtype=np.int64))
