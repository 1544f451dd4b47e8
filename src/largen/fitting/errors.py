"""How well a target fixes the parameters: their covariance, and the direction in which it does not."""

from typing import NamedTuple

import numpy as np

from largen.fitting.unknowns import Unknowns

FLAT = 1e-7
"""A singular value below this part of the largest belongs to a direction that changes no observable."""

POOR = 1e4
"""Condition number from which the message warns."""

FEW = 8
"""Realisations below which one less leaves no weights to speak of: their chance is then left out of the errors."""


class Identifiability(NamedTuple):
    """What the observables can tell about the parameters; directions are in relative changes.

    Attributes:
        singular: Singular values of the weighted derivatives by relative changes, largest first, shape (p,).
        condition: Largest over smallest.
        directions: Changes of the parameters for each of them (units of the parameters), largest entry 1 where the
            largest relative change stands, shape (direction, p).
        flat: Number of directions that change no observable.
        unfixed: Which parameters take part in these, shape (p,).
        message: The same in words.
    """

    singular: np.ndarray
    condition: float
    directions: np.ndarray
    flat: int
    unfixed: np.ndarray
    message: str


def identify(jacobian: np.ndarray, value: np.ndarray, unknowns: Unknowns) -> Identifiability:
    """Decompose the weighted Jacobian, shape (datum, p), at the fitted values."""
    scale = np.where(value == 0, 1.0, np.abs(value))
    count = len(value)
    full = np.vstack([jacobian * scale, np.zeros((count, count))])
    _, singular, rows = np.linalg.svd(full, full_matrices=False)
    singular, rows = singular[:count], rows[:count]
    with np.errstate(divide="ignore"):
        condition = float(singular[0] / singular[-1]) if singular[0] > 0 else np.inf
    flat = int(np.sum(singular <= FLAT * singular[0]))
    unfixed = np.any(np.abs(rows[count - flat :]) > 1e-3, axis=0) if flat else np.zeros(count, bool)
    directions = rows * scale
    directions /= directions[np.arange(count), np.argmax(np.abs(rows), axis=1)][:, None]
    names = unknowns.names
    if flat:
        words = " and, apart from that, ".join(_direction(row, names, scale) for row in directions[count - flat :])
        which = "one combination" if flat == 1 else f"{flat} combinations"
        message = (
            f"Not identifiable: these observables say nothing about {which} of the parameters: {words} changes none of "
            f"them. Leave a parameter of each out of `free`, or add observables."
        )
    elif condition > POOR:
        message = (
            f"Poorly identifiable (condition number {condition:.2g}): {_direction(directions[-1], names, scale)} "
            "hardly changes the observables."
        )
    else:
        message = f"Identifiable: condition number {condition:.2g}" + (
            f"; least certain is {_direction(directions[-1], names, scale)}." if count > 1 else "."
        )
    return Identifiability(singular, condition, directions, flat, unfixed, message)


def _direction(row: np.ndarray, names: tuple[str, ...], scale: np.ndarray) -> str:
    """A direction as words: parameters whose relative change is at least a tenth of the largest."""
    relative = np.abs(row / scale)
    parts = [f"`{names[k]}` by {row[k]:+.3g}" for k in np.argsort(-relative) if relative[k] >= 0.1 * relative.max()]
    return "changing " + (" and ".join(parts) + " together" if len(parts) > 1 else f"{parts[0]} alone")


def response(jacobian: np.ndarray) -> np.ndarray:
    """How the fitted parameters follow small changes of the weighted data, shape (p, datum): H^-1 J'."""
    norm = np.linalg.norm(jacobian, axis=0)
    norm = np.where(norm > 0, norm, 1.0)
    return np.linalg.pinv(jacobian / norm, rcond=FLAT) / norm[:, None]


def jackknife(
    jacobian: np.ndarray, residual: np.ndarray, scores: np.ndarray, known: np.ndarray | float = 0.0
) -> np.ndarray:
    """Covariance of the parameters from fits without one realisation of the target each, shape (p, p).

    The weights come from the same realisations as the data, and their chance is the fit's too. So each fit, which is
    one Gauss-Newton step, has the weights that the other realisations give. Source: Miller, "The jackknife - a
    review", Biometrika 61 (1974) 1; it is not too small on average (Efron & Stein, Ann. Statist. 9 (1981) 586).

    Args:
        jacobian: Weighted derivatives, shape (datum, p).
        residual: Weighted residuals, shape (datum,).
        scores: Weighted data of each realisation, shape (realisation, datum).
        known: Weighted errors that the weights contain beside those of the realisations, shape (datum,).
    """
    count = len(scores)
    fits = []
    for one in range(count):
        others = np.delete(scores, one, axis=0)
        spread = np.sqrt(others.var(0, ddof=1) / count + known**2)  # of the mean, as large as with all of them
        weight = 1.0 / np.where(spread > 0, spread, 1.0)
        moved = residual - (others.mean(0) - scores.mean(0))
        fits.append(response(jacobian * weight[:, None]) @ (weight * moved))
    away = np.array(fits) - np.mean(fits, axis=0)
    return (count - 1) / count * away.T @ away


def covariance(
    jacobian: np.ndarray,
    residual: np.ndarray,
    own: np.ndarray | None,
    more: list[np.ndarray],
    known: np.ndarray | None,
) -> np.ndarray:
    """Gauss-Newton covariance of the parameters, shape (p, p), within the combinations that the data fix.

    With H = J'J of the weighted derivatives: (H^-1 J') S (J H^-1) with S the covariance of the weighted data as their
    realisations show it (they are correlated in time and between observables, so that their standard errors alone
    would not do), by the jackknife for the target itself; H^-1 where only standard errors are known; H^-1 times the
    mean square of the residuals where not even these are. Known errors (of the theory) add to those of realisations.

    Args:
        jacobian: Weighted derivatives, shape (datum, p).
        residual: Weighted residuals, shape (datum,).
        own: Weighted data of each realisation of the target, shape (realisation, datum), or None.
        more: Weighted data of other samples (each shape (sample, datum)) whose means enter the residuals.
        known: Weighted errors known beside the realisations', shape (datum,), or None.
    """
    inverse = response(jacobian)
    total = np.zeros((len(inverse), len(inverse)))
    if own is not None and len(own) >= FEW:
        total += jackknife(jacobian, residual, own, 0.0 if known is None else known)
    elif own is not None:
        total += _of_mean(own @ inverse.T)
    if known is not None:
        total += (inverse * known**2) @ inverse.T
    elif own is None and not more:
        spare = len(residual) - len(inverse)
        total += inverse @ inverse.T * (residual @ residual / spare if spare > 0 else np.nan)
    for rows in more:
        total = total + _of_mean(rows @ inverse.T)
    return total


def _of_mean(rows: np.ndarray) -> np.ndarray:
    """Covariance of the mean of independent rows."""
    away = rows - rows.mean(0)
    return away.T @ away / (len(rows) * (len(rows) - 1))
