"""Tails and quantiles against scipy.stats, their other route."""

import numpy as np
import pytest
from scipy import stats

from largen.numerics import distributions as ours

DOF = np.array([0.5, 1, 2, 3.7, 15, 400, 1e6])
PROBABILITIES = np.array([0, 1e-12, 1e-4, 0.025, 0.5, 0.9, 0.999, 1])


@pytest.mark.parametrize("dof", [*DOF, np.inf, np.nan, 0.0, -1.0])
def test_students_distribution(dof):
    x = np.array([-np.inf, -30, -1.5, 0, 0.3, 2, 50, np.inf, np.nan])
    np.testing.assert_allclose(ours.t_sf(x, dof), stats.t.sf(x, dof), rtol=1e-12, atol=0)
    p = np.append(PROBABILITIES, [np.nan, -0.1, 1.1])
    np.testing.assert_allclose(ours.t_ppf(p, dof), stats.t.ppf(p, dof), rtol=1e-12, atol=0)


@pytest.mark.parametrize("dof", [*DOF, 0.0, np.nan])
def test_chi_squared_and_f(dof):
    x = np.array([-1, 0, 1e-3, 0.7, 4, 300, np.inf, np.nan])
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(ours.chi2_sf(x, dof), stats.chi2.sf(x, dof), rtol=1e-12, atol=0)
        for error_dof in (1.0, 4.5, 90.0):
            np.testing.assert_allclose(ours.f_sf(x, dof, error_dof), stats.f.sf(x, dof, error_dof), rtol=1e-12, atol=0)
    inside = PROBABILITIES[1:-1]
    np.testing.assert_allclose(ours.chi2_ppf(inside, dof), stats.chi2.ppf(inside, dof), rtol=1e-12)
    np.testing.assert_allclose(ours.f_ppf(inside, dof, 12.0), stats.f.ppf(inside, dof, 12.0), rtol=1e-10)
