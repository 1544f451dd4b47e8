"""The transfer of one bin: its integrals against quadrature, and the density that is put into a bin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from largen.systems.spiking.reduction.transfer import (
    BIN_ROWS,
    DF,
    DRIFT,
    EDGE_ROWS,
    G0,
    LENGTH,
    LOWER,
    MEAN,
    MEAN_DRIFTED,
    RELAXATION,
    ROW,
    SIGMA,
    TILT,
    UPPER,
    F,
    U,
    W,
    apply_drift,
    edge_integrals,
    edge_integrals_second,
    reconstruct,
)


def table_of(means, noise, uniform=False, min_support=1e-2):
    """Table of bins of width 4 with these means and this noise, after a step without drift."""
    means = np.atleast_1d(means)
    x, bins = np.zeros(BIN_ROWS * ROW), len(means)
    reconstruct(x, bins, np.ones((1, bins)), means[None].astype(float), 0, 4.0, min_support, uniform, 0.0)
    assert not np.any(x[int(DRIFT) : int(DRIFT) + bins])
    apply_drift(x, bins, 1.0, 0.0, noise**2, True, min_support, 0.1)
    return x


@pytest.mark.parametrize("kappa", [0.0, 1e-9, 1e-3, 0.03, 0.4, 1.0, 3.0, 20.0, 1e3, 1e9])
def test_drift_is_the_exact_relaxation(kappa):
    """dV = (drift - kappa V) dt + noise dW over a step of 1, from V = 1: mean, contraction, s.d. in closed form."""
    x, bins, drift, noise = np.zeros(BIN_ROWS * ROW), 8, 0.7, 0.9
    reconstruct(x, bins, np.ones((1, bins)), np.ones((1, bins)), 0, 4.0, 1e-2, False, 0.0)
    x[int(DRIFT) : int(DRIFT) + bins] = drift - kappa
    x[int(RELAXATION) : int(RELAXATION) + bins] = kappa
    before = x[int(LENGTH)]
    apply_drift(x, bins, 1.0, 0.0, noise**2, True, 1e-6, 1e-9)
    part, twice = (-np.expm1(-k) / k if k > 0 else 1.0 for k in (kappa, 2 * kappa))
    tolerance = 1e-12 if kappa <= 1.0 else 1e-5
    assert x[int(MEAN_DRIFTED)] == pytest.approx(1.0 + part * (drift - kappa), abs=tolerance * max(1.0, kappa * part))
    assert x[int(SIGMA)] == pytest.approx(noise * np.sqrt(twice), rel=tolerance)
    assert (x[int(UPPER)] - x[int(LOWER)]) / before == pytest.approx(np.exp(-kappa), abs=tolerance)


@given(
    mean=st.floats(-1.99, 1.99),
    noise=st.floats(0.2, 3.0),
    edge=st.floats(-8.0, 8.0),
    uniform=st.booleans(),
    side=st.sampled_from([1.0, -1.0]),
)
@settings(max_examples=40, deadline=None)
def test_edge_integrals_against_quadrature(mean, noise, edge, uniform, side):
    x, y = table_of(np.full(8, mean), noise, uniform), np.zeros((1, EDGE_ROWS * ROW))
    left, length, tilt = x[int(LOWER)], x[int(LENGTH)], x[int(TILT)]

    def integral(f, sign):
        """Expectation over V of f(z, V' - l) on one side of the edge, in closed form of the normal part."""

        def integrand(v):
            return (1.0 + 2.0 * tilt * (v - left - 0.5 * length) / length) / length * f(sign * (edge - v) / noise)

        return integrate.quad(integrand, left, left + length, epsabs=1e-13)[0]

    cdf, pdf = stats.norm.cdf, stats.norm.pdf
    expected = {
        G0: side * integral(cdf, side),
        U: noise * integral(lambda z: z * cdf(z) + pdf(z), side),
        F: integral(pdf, side) / noise,
        W: side * noise**2 * integral(lambda z: (z**2 + 1.0) * cdf(z) + z * pdf(z), side),
        DF: -side * integral(lambda z: z * pdf(z), side) / noise**2,
    }
    edge_integrals_second(x, y, 0, 0, 1, edge, side)
    for row, value in expected.items():
        assert y[0, int(row)] == pytest.approx(value, abs=1e-9)
    before = y[0, [int(G0), int(U), int(F)]]
    edge_integrals(x, y, 0, 0, 1, edge, side)
    # Another compilation rounds otherwise; a support short against the noise amplifies it by the square of their ratio.
    rounding = 1e-15 * (1.0 + noise / length) ** 2
    np.testing.assert_allclose(y[0, [int(G0), int(U), int(F)]], before, rtol=1e-12, atol=rounding)


@given(mean=st.floats(-2.0, 2.0), uniform=st.booleans(), min_support=st.sampled_from([1e-2, 5e-2]))
@settings(deadline=None)
def test_reconstruction_is_a_density_with_the_mean(mean, uniform, min_support):
    x = table_of(mean, 1.0, uniform, min_support)
    left, length, tilt = x[int(LOWER)], x[int(UPPER)] - x[int(LOWER)], x[int(TILT)]
    assert min_support - 1e-12 <= length <= 4.0 + 1e-12
    assert abs(tilt) <= 1.0
    middle = left + 0.5 * length
    assert middle + tilt * length / 6.0 == pytest.approx(mean, abs=1e-12)
    assert x[int(MEAN)] == mean
    assert abs(middle) + 0.5 * length <= 2.0 + min_support
