import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from largen.numerics.streams import stream


@given(seed=st.integers(0, 2**128), number=st.integers(0, 10**9))
def test_a_stream_depends_on_seed_and_names_alone(seed, number):
    a = stream(seed, "realisation", number, "noise").integers(0, 2**63, 4)
    stream(seed, "other").random(3)
    assert a.tolist() == stream(seed, "realisation", number, "noise").integers(0, 2**63, 4).tolist()
    assert a.tolist() != stream(seed, "realisation", number, "initial").integers(0, 2**63, 4).tolist()
    assert a.tolist() != stream(seed + 1, "realisation", number, "noise").integers(0, 2**63, 4).tolist()


def test_names_do_not_run_together():
    first = {
        stream(1, *names).integers(0, 2**63) for names in (("ab", "c"), ("a", "bc"), ("abc",), (1, "c"), ("1", "c"))
    }
    assert len(first) == 5


def test_streams_are_independent():
    # Correlations of 200 pairs of streams of 1000 normals: a chi-square of 200 with false alarm 1e-6.
    rows = np.stack([stream(1, "realisation", k).standard_normal(1000) for k in range(400)])
    z = np.sqrt(1000) * np.mean(rows[::2] * rows[1::2], axis=1)
    assert stats.chi2.sf(np.sum(z**2), 200) > 1e-6
