"""Mehler's series against closed forms and tensor quadrature."""

import numpy as np
import pytest
from scipy import special

from largen.checks import InputError
from largen.numerics.bivariate import (
    MOST_TERMS,
    ExpansionTable,
    expand,
    expand_probit,
    series_rows,
)
from largen.numerics.gaussian_pairs import covariance_by_smoothing, probit_covariance


def tensor(function, m, v, r, nodes=1601):
    z = np.linspace(-11, 11, nodes)
    w = np.exp(-0.5 * z * z)
    w /= w.sum()
    x = m[0] + np.sqrt(v[0]) * z[:, None]
    y = m[1] + np.sqrt(v[1]) * (r * z[:, None] + np.sqrt(1 - r * r) * z)
    fx, fy = function(x), function(y)
    return w @ (fx * fy) @ w - (w @ fx @ np.ones(1)) * (w @ fy @ w)


def by_series(expander, m, v, r, tolerance=1e-13):
    """Covariance at correlation r, the tail's bound, and whether the series was too short; the table too."""
    table = ExpansionTable(2, expander)
    for t in range(2):
        table.set(t, m[t], v[t], 1e-2 * tolerance)
    ones = np.ones((1, MOST_TERMS))
    out, short = np.zeros((1, 2)), np.zeros((1, 2), bool)
    tail, _ = series_rows(
        table.coefficients,
        table.remainder,
        table.envelope,
        1,
        np.array([[r, 0.0]]),
        ones,
        ones,
        tolerance,
        out,
        short,
    )
    return out[0, 0], tail, short[0, 0]


def of(function):
    return lambda m, v, terms: expand(function, m, v, terms, 0.0)


@pytest.mark.parametrize("function", [np.tanh, special.expit, lambda x: np.sin(x) + 0.1 * x])
@pytest.mark.parametrize("r", [-0.95, -0.3, 0.0, 0.5, 0.9])
def test_series_agrees_with_tensor_quadrature(function, r):
    m, v = (0.4, -0.7), (1.3, 4.0)
    value, tail, short = by_series(of(function), m, v, r)
    assert not short
    assert tail <= 1e-13
    assert abs(value - tensor(function, m, v, r)) < 1e-12


@pytest.mark.parametrize("slope", [0.3, 1.0, -2.0])
@pytest.mark.parametrize("r", [-0.8, 0.2, 0.97])
def test_probit_series_closed_form_and_owen_agree(slope, r):
    m, v = (0.4, -0.7), (1.3, 2.0)
    widths = [np.sqrt(1 + slope**2 * x) for x in v]
    a, b = (slope * m[k] / widths[k] for k in range(2))
    joint = slope**2 * r * np.sqrt(v[0] * v[1]) / (widths[0] * widths[1])
    s = np.sqrt(1 - joint**2)
    owen = special.owens_t(a, (b - joint * a) / (a * s)) + special.owens_t(b, (a - joint * b) / (b * s))
    product = special.ndtr(a) * special.ndtr(b)
    expected = 0.5 * (special.ndtr(a) + special.ndtr(b)) - owen - (0.5 if a * b < 0 else 0.0) - product
    value, _, short = by_series(lambda m, v, n: expand_probit(slope, m, v, n), m, v, r)
    assert not short
    assert abs(value - expected) < 1e-13
    assert abs(probit_covariance(a, b, joint) - expected) < 1e-13
    # and the general expansion finds the same coefficients
    general = expand(lambda x: special.ndtr(slope * x), m[0], v[0], 40, 0.0)
    closed = expand_probit(slope, m[0], v[0], 40)
    np.testing.assert_allclose(general.coefficients, closed.coefficients, atol=1e-13)
    assert abs(general.variance - closed.variance) < 1e-13


@pytest.mark.parametrize("r", [0.9, 0.995, 0.9951, 1 - 1e-5, 1 - 1e-9, 1.0])
def test_probit_covariance_near_correlation_one_by_panels_of_the_angle(r):
    """Panels of 30 nodes, each 0.6 times as long as the one before, from angle 0 to arcsin r."""
    nodes, weights = np.polynomial.legendre.leggauss(30)
    end = np.arccos(r)
    for side in (1, -1):
        for a, gap in ((0.3, 0.0), (-1.1, 1e-7), (0.02, 1e-3), (0.7, 0.08), (0.2, -1.0), (-2.0, 5.0)):
            b, total = side * (a + gap), 0.0
            edges = np.append(np.pi / 2 * 0.6 ** np.arange(70), 0.0)
            edges = np.append(edges[edges > end], end)
            for low, high in zip(edges[1:], edges[:-1], strict=True):
                distance = 0.5 * (low + high) + 0.5 * (high - low) * nodes
                rest = 2 * np.sin(distance / 2) ** 2
                total += 0.5 * (high - low) * weights @ np.exp(-(gap**2 / rest + 2 * a * (a + gap)) / (2 - rest) / 2)
            exact = side * total / (2 * np.pi)
            assert probit_covariance(a, b, side * r) == pytest.approx(exact, abs=2e-14), (side, a, gap)


def test_probit_covariance_at_zero_mean_is_the_arcsine_law():
    r = np.array([-1.0, -0.999, -0.4, 0.0, 0.3, 0.9999, 1.0])
    np.testing.assert_allclose(probit_covariance(0.0, 0.0, r), np.arcsin(r) / (2 * np.pi), atol=1e-15)
    assert abs(float(probit_covariance(0.7, 0.7, 1.0)) - special.ndtr(0.7) * special.ndtr(-0.7)) < 1e-12
    # -0.7 and 0.7, correlation 1: X <= -0.7 implies X <= 0.7
    assert abs(float(probit_covariance(-0.7, 0.7, 1.0)) - special.ndtr(-0.7) ** 2) < 1e-9


def test_the_bound_holds_and_the_number_of_terms_follows_the_variance():
    lengths = []
    for v in (1.0, 4.0, 25.0):
        expansion = expand(special.expit, 0.3, v, 256, 1e-13)
        lengths.append(np.argmax(0.9 ** np.arange(1, 258) * expansion.remainder < 1e-8))
        exact = tensor(special.expit, (0.3, 0.3), (v, v), 0.9, 3201)
        for terms in (4, 12, 30):
            part = np.sum(expansion.coefficients[:terms] ** 2 * 0.9 ** np.arange(1, terms + 1))
            assert abs(exact - part) <= 0.9 ** (terms + 1) * expansion.remainder[terms] + 1e-13
    assert lengths == sorted(lengths)
    assert lengths[0] <= 12


def test_a_steep_activation_near_correlation_one_goes_to_smoothing():
    def steep(x):
        return np.tanh(30.0 * x)

    m, v = (0.1, 0.2), (1.0, 1.1)
    assert by_series(of(steep), m, v, 0.9995)[2]
    assert covariance_by_smoothing(steep, m, v, 0.9995, 1e-12)[1] <= 1e-12
    # at 0.95 both ways work
    value, _, short = by_series(of(steep), m, v, 0.95)
    assert not short
    assert value == pytest.approx(covariance_by_smoothing(steep, m, v, 0.95, 1e-12)[0], abs=1e-7)


@pytest.mark.parametrize("r", [0.0, 1e-11, 1e-5, 0.4, -0.7, 0.97, -0.999, 1 - 1e-5, -1 + 1e-9, 1 - 1e-13, 1.0])
@pytest.mark.parametrize("slope", [0.3, 4.0, 60.0, 1000.0])
def test_smoothing_has_the_closed_form_of_the_probit_function(slope, r):
    m, v = (0.3, -0.4), (1.3, 0.6)
    found, error = covariance_by_smoothing(lambda x: special.ndtr(slope * x), m, v, r, 1e-11)
    a, b = (slope * mean / np.sqrt(1 + slope**2 * variance) for mean, variance in zip(m, v, strict=True))
    joint = slope**2 * r * np.sqrt(v[0] * v[1] / (1 + slope**2 * v[0]) / (1 + slope**2 * v[1]))
    exact = float(probit_covariance(a, b, joint))
    assert abs(found - exact) <= max(error, 1e-13)
    assert error <= 1e-11 or 1 - abs(r) < 1e-8
    assert error < 1e-7 * max(slope, 1.0)


def test_zero_variance_gives_zero_covariance():
    assert expand(np.tanh, 0.3, 0.0, 4, 1e-14).mean == np.tanh(0.3)
    assert by_series(of(np.tanh), (0.3, 0.3), (0.0, 1.0), 0.5)[0] == 0.0


def test_bad_functions_are_refused_with_the_place():
    with pytest.raises(InputError, match=r"must be finite, but is nan at x = -"):
        expand(np.sqrt, 0.0, 1.0, 8, 1e-12)
    with pytest.raises(InputError, match="too steep or rough"):
        expand(lambda x: np.sign(x - 0.1234), 0.0, 1.0, 8, 1e-13)
