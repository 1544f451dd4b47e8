"""Where the starts of a fit ended: which of them at the same minimum, and which minima there are beside the best."""

from typing import NamedTuple

import numpy as np

from largen.fitting.unknowns import Unknowns
from largen.numerics.least_squares import Minimum, Outcome

SAME_ERRORS = 0.3
"""Standard errors within which two ends are one minimum."""
SAME_SHARE = 1e-3
"""Share of a parameter's value within which they are, too: that of a search that ends at a relative offset."""
MOST_NAMED = 3
"""Other minima that the sentence names."""
AS_GOOD = 3.84
"""Difference of chi2 below which another minimum fits as well, at 95 % of one parameter."""


class Minima(NamedTuple):
    """Minima that were found.

    Attributes:
        value: Parameters where each start ended, shape (attempt, p); NaN where it had nowhere to start.
        number: Which minimum that is, 0 the best, shape (attempt,); -1 where a start did not converge.
        message: The same in words.
    """

    value: np.ndarray
    number: np.ndarray
    message: str


def sort_minima(minimum: Minimum, best: int, free: Unknowns, error: np.ndarray, where: str = "these values") -> Minima:
    """Tell the minima apart at which the starts ended.

    Args:
        minimum: Where each start ended.
        best: The start that counts.
        free: The free parameters.
        error: Their standard errors, shape (p,); not finite where there are none.
        where: What the best minimum is called.
    """
    value = np.where(np.isfinite(minimum.cost)[:, None], free.outside(minimum.x), np.nan)
    done = np.array([outcome in (Outcome.CONVERGED, Outcome.LED, Outcome.KINK) for outcome in minimum.outcome])
    done[best] = True
    number = np.full(len(done), -1)
    order = [best, *(int(k) for k in np.argsort(minimum.cost, kind="stable") if k != best and done[k])]
    chosen: list[int] = []
    for k in order:
        same = [m for m, other in enumerate(chosen) if _same(value[k], value[other], error)]
        number[k] = same[0] if same else len(chosen)
        if not same:
            chosen.append(k)
    return Minima(value, number, _words(minimum, value, number, chosen, free, where))


def _same(one: np.ndarray, two: np.ndarray, error: np.ndarray) -> bool:
    near = np.abs(one - two) <= SAME_SHARE * np.maximum(np.abs(one), np.abs(two))
    with np.errstate(invalid="ignore"):
        return bool(np.all(near | (np.abs(one - two) <= SAME_ERRORS * error)))


def _words(
    minimum: Minimum, value: np.ndarray, number: np.ndarray, chosen: list[int], free: Unknowns, best: str
) -> str:
    count, lost = len(number), int(np.sum(number < 0))
    if count == 1:
        return "One start: whether there are other minima is not known."
    reached = int(np.sum(number == 0))
    parts = [f"{reached} of {count} starts ended at {best}"]
    for which, k in list(enumerate(chosen))[1 : 1 + MOST_NAMED]:
        where = ", ".join(f"`{name}` = {v:.6g}" for name, v in zip(free.names, value[k], strict=True))
        more = 2.0 * (minimum.cost[k] - minimum.cost[chosen[0]])
        good = ", which fits as well" if more < AS_GOOD else ""
        parts.append(f"{int(np.sum(number == which))} at {where} (chi2 higher by {more:.3g}{good})")
    beyond = len(chosen) - 1 - MOST_NAMED
    if beyond > 0:
        parts.append(f"others at {beyond} more minima")
    if lost:
        parts.append(f"{lost} did not converge")
    return "; ".join(parts) + "."
