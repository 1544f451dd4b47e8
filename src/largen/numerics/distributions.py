"""Tails and quantiles of the t, chi-squared and F distributions.

`scipy.stats` has them too, by the same functions of `scipy.special`; its import alone takes longer (0.7 s of CPU time)
than a comparison. Arguments broadcast; degrees of freedom that are not positive give NaN, infinite ones of t the normal
distribution.
"""

from typing import Any

import numpy as np
from scipy import special


def t_sf(x: Any, dof: Any) -> Any:
    """P(T > x), T of Student's distribution with `dof` degrees of freedom."""
    below, finite = -np.asarray(x, float), _finite(dof)
    return np.where(np.isposinf(dof), special.ndtr(below), special.stdtr(finite, below))[()]


def t_ppf(p: Any, dof: Any) -> Any:
    """The value below which a probability `p` of Student's distribution with `dof` degrees of freedom lies."""
    p = np.asarray(p, float)
    inside = np.where((p > 0) & (p < 1), p, 0.5)
    value = np.where(np.isposinf(dof), special.ndtri(inside), special.stdtrit(_finite(dof), inside))
    ends = np.where(p == 0, -np.inf, np.where(p == 1, np.inf, np.nan))
    return np.where(inside == p, value, np.where(np.asarray(dof) > 0, ends, np.nan))[()]


def chi2_sf(x: Any, dof: Any) -> Any:
    """P(X > x), X chi-squared with `dof` degrees of freedom."""
    dof = _positive(dof)
    return np.where(np.isnan(dof), np.nan, special.chdtrc(dof, np.maximum(x, 0.0)))[()]  # not so in SciPy 1.15


def chi2_ppf(p: Any, dof: Any) -> Any:
    """The value below which a probability `p` of chi-squared with `dof` degrees of freedom lies."""
    return 2 * special.gammaincinv(_positive(dof) / 2, p)


def f_sf(x: Any, dof: Any, error_dof: Any) -> Any:
    """P(F > x), F with `dof` and `error_dof` degrees of freedom."""
    return special.fdtrc(_positive(dof), _positive(error_dof), np.maximum(x, 0.0))


def f_ppf(p: Any, dof: Any, error_dof: Any) -> Any:
    """The value below which a probability `p` of F with `dof` and `error_dof` degrees of freedom lies."""
    return special.fdtri(_positive(dof), _positive(error_dof), p)


def _positive(dof: Any) -> Any:
    dof = np.asarray(dof, float)
    return np.where(dof > 0, dof, np.nan)


def _finite(dof: Any) -> Any:
    """Degrees of freedom for `stdtr`; where they are infinite its value is not used."""
    dof = _positive(dof)
    return np.where(np.isinf(dof), 1.0, dof)
