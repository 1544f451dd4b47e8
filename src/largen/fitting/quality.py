"""Whether a model fits its target: what is left over, against its errors; parameters at their bounds."""

import enum
from typing import NamedTuple

import numpy as np

from largen.fitting.measured import Data
from largen.fitting.unknowns import Unknowns
from largen.numerics.goodness_of_fit import GoodnessOfFit, Law, goodness_of_fit, pooled_dof

LEVEL = 0.01
"""p-value below which a model does not fit: the chance of saying so of a true one."""
SMALLEST = 1e-99
"""p-value below which only this is said."""
AT_BOUND = 1e-6
"""Share of a parameter's size (or of the distance of its bounds) within which it is at a bound."""
FEWEST_TO_SCALE = 3
"""Degrees of freedom from which the misfit may scale the errors."""
LARGEST_TO_SCALE = 3.0
"""Misfit beyond which it scales no errors: what the theory misses is then no noise."""


class Fits(enum.StrEnum):
    """What is left over says of the model; the value stands in `attrs["verdict"]`."""

    NO_MISFIT = "no misfit found"
    DOES_NOT_FIT = "does not fit"
    NOT_TESTED = "not tested"


class Remainder(NamedTuple):
    """What a fit leaves over.

    Attributes:
        residual: Weighted residuals, model less target, shape (datum,).
        jacobian: Weighted derivatives by the parameters, shape (datum, p).
        weight: One over the error of each datum (its size where the target has no errors), shape (datum,).
        model_error: The theory's own error, shape (datum,); None where none was said.
        flat: Directions of the parameters that change no datum.
        more: Weighted samples (each shape (sample, datum)) whose means enter the residuals.
    """

    residual: np.ndarray
    jacobian: np.ndarray
    weight: np.ndarray
    model_error: np.ndarray | None
    flat: int
    more: list[np.ndarray]


class Quality(NamedTuple):
    """How well a model fits.

    Attributes:
        test: The test of what is left over; its p-value is NaN where that cannot be tested.
        at_bound: Parameters that ended at a bound.
        verdict: What this says.
        factor: What the parameters' errors are multiplied by; NaN where there are none.
        pull: Model less target in errors, shape (datum,).
        message: The same in words.
    """

    test: GoodnessOfFit
    at_bound: tuple[str, ...]
    verdict: Fits
    factor: float
    pull: np.ndarray
    message: str


def judge_fit(data: Data, left: Remainder, free: Unknowns, value: np.ndarray, scaled: bool = False) -> Quality:
    """Test what a fit leaves over.

    Args:
        data: The target.
        left: What is left over.
        free: The free parameters.
        value: Their fitted values, shape (p,).
        scaled: Whether the misfit, where it is small, is to scale the errors.
    """
    fitted = len(value) - left.flat
    error, error_dof = _error(data, left)
    if data.error is None and left.model_error is None:
        dof = len(left.residual) - fitted
        law = Law.NOTHING_LEFT if dof <= 0 else Law.KNOWN_ERRORS
        test = GoodnessOfFit(law, np.nan, dof, np.nan, np.nan)
    else:
        test = goodness_of_fit(
            left.residual / error,
            left.jacobian / error[:, None],
            fitted,
            samples=[rows / error for rows in _samples(data, left)],
            error_dof=error_dof,
        )
    tested = not np.isnan(test.p_value)
    verdict = (Fits.DOES_NOT_FIT if test.p_value < LEVEL else Fits.NO_MISFIT) if tested else Fits.NOT_TESTED
    at_bound = _at_bounds(free, value)
    factor, pull = _factor(test, verdict, scaled), left.residual / error
    parts = [
        _sentence(data, left, fitted, test, verdict),
        _about_errors(test, verdict, factor, scaled),
        _largest_pulls(data.labels, pull) if verdict is Fits.DOES_NOT_FIT else "",
        _about_bounds(at_bound),
    ]
    return Quality(test, at_bound, verdict, factor, pull, " ".join(part for part in parts if part))


def _factor(test: GoodnessOfFit, verdict: Fits, scaled: bool) -> float:
    """What the parameters' errors are multiplied by; NaN where there are none."""
    if scaled:
        usable = test.dof >= FEWEST_TO_SCALE and test.misfit <= LARGEST_TO_SCALE
        return test.misfit if usable else np.nan
    return np.nan if verdict is Fits.DOES_NOT_FIT else 1.0


def _samples(data: Data, left: Remainder) -> list[np.ndarray]:
    """Weighted samples that all errors come from; none where some errors are known otherwise."""
    if data.samples is None or left.model_error is not None:
        return []
    return [data.samples * left.weight, *left.more]


def _error(data: Data, left: Remainder) -> tuple[np.ndarray, float]:
    """Errors of the weighted residuals, shape (datum,), and their degrees of freedom."""
    variances, dofs = [], []
    if data.error is not None:
        variances.append((data.error * left.weight) ** 2)
        dofs.append(np.inf if data.samples is None else len(data.samples) - 1.0)
    if left.model_error is not None:
        variances.append((left.model_error * left.weight) ** 2)
        dofs.append(np.inf)
    for rows in left.more:
        variances.append(rows.var(0, ddof=1) / len(rows))
        dofs.append(len(rows) - 1.0)
    if not variances:
        return np.ones(len(left.residual)), np.inf
    return np.sqrt(np.sum(variances, axis=0)), pooled_dof(variances, dofs)


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


# Words --------------------------------------------------------------------------------------------------------


def _sentence(data: Data, left: Remainder, fitted: int, test: GoodnessOfFit, verdict: Fits) -> str:
    count = f"{_counted(len(left.residual), 'datum', 'data')} and {_counted(fitted, 'parameter')}"
    if test.law is Law.NOTHING_LEFT:
        return f"No data left to test the fit ({count}): add observables, or free fewer parameters."
    if verdict is Fits.NOT_TESTED:
        size = float(np.sqrt(np.mean(left.residual**2)))
        return (
            f"The fit cannot be tested, for the target has no errors; what is left over is {100 * size:.2g} % of the "
            f"observables ({count})."
        )
    found = "The model does not fit" if verdict is Fits.DOES_NOT_FIT else "No misfit found"
    numbers = f"{statistic_name(test)} = {test.statistic:.4g} for {count}, {p_text(test.p_value)}"
    realisations = 0 if data.samples is None else len(data.samples)
    return f"{found} ({numbers}): {_assumed(test, realisations)}."


def _about_errors(test: GoodnessOfFit, verdict: Fits, factor: float, scaled: bool) -> str:
    if scaled and np.isnan(factor):
        return (
            f"No errors: the misfit {test.misfit:.3g} is above {LARGEST_TO_SCALE:g}, so that errors='scaled' is "
            "refused: the values are the least bad ones, not estimates."
        )
    if scaled:
        return (
            f"All errors are multiplied by the misfit {factor:.3g}, with t of {test.dof} degrees of freedom: right "
            "only if what the theory misses is as random as the noise."
        )
    if verdict is Fits.DOES_NOT_FIT:
        return "The values are the least bad ones, not estimates, and have no errors."
    return ""


def _largest_pulls(labels: tuple[str, ...], pull: np.ndarray) -> str:
    largest = ", ".join(f"{labels[k]} {pull[k]:+.3g}" for k in np.argsort(-np.abs(pull), kind="stable")[:3])
    return (
        f"Largest pulls (model - target, in errors): {largest}. Free other parameters, give the theory's own error as "
        "`model_error`, or ask whether this model can have such a target."
    )


def _about_bounds(at_bound: tuple[str, ...]) -> str:
    if not at_bound:
        return ""
    many = len(at_bound) > 1
    return (
        f"{' and '.join(at_bound)} ended at {'bounds' if many else 'a bound'}, where {'their' if many else 'its'} "
        "standard error means nothing: widen `bounds`, or leave it out of `free`."
    )


def statistic_name(test: GoodnessOfFit) -> str:
    """What the statistic is called."""
    return "T2" if test.law is Law.CONTRASTS else "chi2"


def p_text(p: float) -> str:
    """A p-value in words: `p = 0.03`, `p < 1e-99`."""
    return f"p < {SMALLEST:g}" if p < SMALLEST else f"p = {p:.2g}"


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _assumed(test: GoodnessOfFit, realisations: int) -> str:
    if test.law is Law.CONTRASTS:
        return f"for Gaussian data, correlated or not, of {realisations} realisations"
    if test.law is Law.KNOWN_ERRORS:
        return "assumes independent data"
    return "approximate: errors from few realisations"
