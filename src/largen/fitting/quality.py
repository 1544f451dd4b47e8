"""Whether a fit is a good one: what is left over, against its errors; parameters at their bounds."""

import enum
from typing import NamedTuple

import numpy as np
import scipy.linalg
from scipy import stats

from largen.fitting.measured import Data
from largen.fitting.unknowns import Unknowns
from largen.numerics.hypothesis_tests import hotelling

LEVEL = 1e-3
"""Tail probability below which a fit is called bad: the chance of calling a true model's fit so."""
MOST_GROUPS = 20
"""Groups of neighbouring data, beyond the free parameters, that are tested where realisations give the errors."""
AT_BOUND = 1e-6
"""Share of a parameter's size (or of the distance of its bounds) within which it is at a bound."""


class Goodness(enum.StrEnum):
    """What the misfit says; the value stands in `attrs["fit"]`."""

    GOOD = "good"
    BAD = "bad"
    UNTESTED = "untested"


class Quality(NamedTuple):
    """How good a fit is.

    Attributes:
        chi_squared: Weighted sum of squares, or Hotelling's T^2 where realisations give the errors; NaN where nothing
            is left over.
        dof: Its degrees of freedom: data (or groups of them) less parameters that these fix.
        tail: Probability of a larger one if the model is right; NaN where it cannot be tested.
        at_bound: Parameters that ended at a bound.
        goodness: What this says.
        message: The same in words.
    """

    chi_squared: float
    dof: int
    tail: float
    at_bound: tuple[str, ...]
    goodness: Goodness
    message: str


def judge_fit(
    data: Data, weight: np.ndarray, free: Unknowns, value: np.ndarray, residual: np.ndarray, jacobian: np.ndarray,
    flat: int, more: list[np.ndarray],
) -> Quality:  # fmt: skip
    """Test what a fit leaves over.

    Args:
        data: The target.
        weight: Inverse errors (sizes where there are none), shape (datum,).
        free: The free parameters.
        value: Their fitted values, shape (p,).
        residual: Weighted residuals, shape (datum,).
        jacobian: Weighted derivatives, shape (datum, p).
        flat: Directions of the parameters that change no datum.
        more: Weighted samples (each shape (sample, datum)) whose means enter the residuals.
    """
    fixed = len(value) - flat
    sets = [rows for rows in (None if data.samples is None else data.samples * weight, *more) if rows is not None]
    if data.error is None:
        chi_squared, dof, tail = np.nan, len(residual) - fixed, np.nan
    elif sets:
        chi_squared, dof, tail = _of_realisations(residual, jacobian, sets, fixed, data.samples is None)
    else:
        dof = len(residual) - fixed
        chi_squared = float(residual @ residual) if dof > 0 else np.nan
        tail = float(stats.chi2.sf(chi_squared, dof)) if dof > 0 else np.nan
    goodness = Goodness.UNTESTED if np.isnan(tail) else Goodness.BAD if tail < LEVEL else Goodness.GOOD
    at_bound = _at_bounds(free, value)
    message = _message(data, weight, residual, fixed, chi_squared, dof, tail)
    if at_bound:
        many = len(at_bound) > 1
        message += (
            f" {' and '.join(at_bound)} ended at {'bounds' if many else 'a bound'}, where {'their' if many else 'its'} "
            "standard error means nothing: widen `bounds`, or leave it out of `free`."
        )
    return Quality(chi_squared, dof, tail, at_bound, goodness, message)


def _of_realisations(
    residual: np.ndarray, jacobian: np.ndarray, sets: list[np.ndarray], fixed: int, exact: bool
) -> tuple[float, int, float]:
    """Hotelling's test of averages over groups of data, off all directions in which the parameters can move them.

    A combination q of the data that no parameter moves, q J = 0, has the mean 0 if the model is right, whatever the
    weights of the fit; few realisations know the covariance of few such combinations only.

    Args:
        residual: Weighted residuals, shape (datum,).
        jacobian: Weighted derivatives, shape (datum, p).
        sets: Weighted samples, shape (sample, datum) each.
        fixed: Parameters that the data fix.
        exact: Whether the target has independent errors of size 1 of its own besides.
    """
    spare = min(len(rows) for rows in sets) - 1
    count = min(len(residual), fixed + min(max(spare // 2, 1), MOST_GROUPS))
    if count <= fixed:
        return np.nan, len(residual) - fixed, np.nan
    groups = np.array([np.bincount(part, minlength=len(residual)) / np.sqrt(len(part)) for part in
                       np.array_split(np.arange(len(residual)), count)])  # fmt: skip
    left = scipy.linalg.null_space((groups @ jacobian).T, rcond=1e-7)
    tests = left.T @ groups
    spread = tests @ tests.T if exact else np.zeros((len(tests), len(tests)))
    for rows in sets:
        spread = spread + np.atleast_2d(np.cov(rows @ tests.T, rowvar=False)) / len(rows)
    found = hotelling(tests @ residual, spread, float(spare))
    return float(found.statistic), len(tests), float(found.p_value)


def _at_bounds(free: Unknowns, value: np.ndarray) -> tuple[str, ...]:
    """Names of the parameters that are at a bound, with the bound."""
    found = []
    with np.errstate(invalid="ignore"):
        width = np.where(
            np.isfinite(free.high - free.low), free.high - free.low, np.maximum(np.abs(free.value), 1e-300)
        )
    for name, v, low, high, size in zip(free.names, value, free.low, free.high, width, strict=True):
        for bound in (low, high):
            if np.isfinite(bound) and abs(v - bound) <= AT_BOUND * size:
                found.append(f"`{name}` = {v:.6g}")
    return tuple(found)


def _message(
    data: Data, weight: np.ndarray, residual: np.ndarray, fixed: int, chi_squared: float, dof: int, tail: float
) -> str:
    count = f"{len(residual)} data, {fixed} parameter{'s' if fixed != 1 else ''}"
    if dof <= 0:
        errors = "" if data.error is not None else " and there are no standard errors"
        return f"The fit cannot be judged{errors}: nothing is left over ({count}). Add observables, or free fewer."
    if data.error is None:
        size = float(np.sqrt(np.mean(residual**2)))
        return (
            f"The fit cannot be tested, for the target has no errors; what is left over is {100 * size:.2g} % of the "
            f"observables ({count})."
        )
    if np.isnan(tail):
        return f"The fit cannot be tested: there are too few realisations ({count})."
    numbers = (
        f"chi-squared {chi_squared:.4g} for {dof} degree{'s' if dof != 1 else ''} of freedom ({count}), "
        f"tail probability {tail:.2g}"
    )
    if tail >= LEVEL:
        return f"Good fit: {numbers}."
    k = int(np.argmax(np.abs(residual)))
    fitted = data.value[k] + residual[k] / weight[k]
    largest = f"{data.labels[k]}, {fitted:.4g} instead of {data.value[k]:.4g} ± {data.error[k]:.2g}"
    return (
        f"Bad fit: {numbers}. The theory cannot give this target, so that the parameters' standard errors are not to "
        f"be believed; the largest misfit is {largest}. Free other parameters, or ask whether this model can have such "
        "a target."
    )
