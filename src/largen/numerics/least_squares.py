"""Nonlinear least squares by Levenberg and Marquardt, from several starts side by side.

The caller evaluates residuals and Jacobians of the starts that are still on their way; what is left here is small
linear algebra.
Source: Moré, "The Levenberg-Marquardt algorithm: implementation and theory" (1978), for the scaling; Nielsen,
"Damping parameter in Marquardt's method" (IMM-REP-1999-05), for the damping; Bates & Watts, Technometrics 23 (1981)
179, for the end: the part of the residuals that a change of the unknowns could still take away is small.
"""

import enum
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Outcome(enum.StrEnum):
    """How the search from one start ended."""

    CONVERGED = "converged"
    KINK = "settled where the observables are not smooth"
    LED = "led to a minimum that another start had found"
    STUCK = "stuck"
    MAX_ITERATIONS_REACHED = "out of iterations"
    UNDEFINED = "not defined at the start"


_STEP = 1e-10
_PATIENCE, _NO_GAIN = 10, 1e-4  # evaluations, and the relative gain over all of them that counts as none
_OFFSET = 1e-4
_RETREATS = 4  # times that a start without residuals is moved half the way to the first one
_LINEAR = 0.1  # relative error of the change of residuals up to which they are linear between a start and a minimum
_OFFSET_REFUSED = 1e-2  # where steps are refused: at a point where the residuals are not smooth


class Minimum(NamedTuple):
    """Where each start ended; S starts, p unknowns, d residuals.

    Attributes:
        x: Unknowns, shape (S, p).
        residual: Residuals there, shape (S, d).
        jacobian: Their derivatives, shape (S, d, p).
        cost: Half the sum of squares, shape (S,); infinite where the residuals were not defined at the start.
        outcome: How each start ended, S of them.
        iterations: Evaluations of the start that took most.
    """

    x: np.ndarray
    residual: np.ndarray
    jacobian: np.ndarray
    cost: np.ndarray
    outcome: list[Outcome]
    iterations: int

    @property
    def best(self) -> int:
        """The start that came lowest; of equal ones the one that searched."""
        return min(range(len(self.cost)), key=lambda s: (self.cost[s], self.outcome[s] is Outcome.LED))


Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def minimise(
    evaluate: Evaluate,
    start: np.ndarray,
    *,
    iterations: int = 60,
    floor: float = 1e-26,
    same: bool = False,
    each: Callable[[Minimum], None] = lambda so_far: None,
) -> Minimum:
    """Minimise the sum of squares from every start.

    Args:
        evaluate: Maps unknowns, shape (active, p), and which starts these are, shape (active,), to residuals, shape
            (active, d), and Jacobians, shape (active, d, p). Where it is not defined, residuals are not finite: such a
            step is refused and a shorter one tried.
        start: Shape (S, p).
        iterations: Evaluations after which the search ends.
        floor: Mean square of the residuals below which there is nothing to gain.
        same: Whether all starts search the minima of one and the same problem. Then a start where the residuals are
            not defined is moved towards the first one, and a start ends where it is led to a minimum that is known.
        each: Called after every evaluation with where each start is.
    """
    x = np.array(start, float)
    residual, jacobian = evaluate(x, np.arange(len(x)))
    cost = _cost(residual, jacobian)
    for _ in range(_RETREATS if same else 0):
        lost = np.flatnonzero(~np.isfinite(cost[1:])) + 1
        if not len(lost):
            break
        x[lost] = 0.5 * (x[lost] + x[0])
        residual[lost], jacobian[lost] = evaluate(x[lost], lost)
        cost = _cost(residual, jacobian)
    outcome: list[Outcome | None] = [None if np.isfinite(c) else Outcome.UNDEFINED for c in cost]
    damping, growth = np.full(len(x), 1e-3), np.full(len(x), 2.0)
    scale = np.zeros_like(x)
    history = [cost.copy()]
    done = 1

    def now() -> Minimum:
        ended = [end or Outcome.MAX_ITERATIONS_REACHED for end in outcome]
        return Minimum(x.copy(), residual.copy(), jacobian.copy(), cost.copy(), ended, done)

    each(now())
    while done < iterations and None in outcome:
        step = np.zeros_like(x)
        predicted = np.zeros(len(x))
        active = np.array([s for s, end in enumerate(outcome) if end is None])
        for s in active:
            scale[s] = np.maximum(scale[s], np.linalg.norm(jacobian[s], axis=0))
            step[s], predicted[s] = _step(residual[s], jacobian[s], scale[s], float(damping[s]))
        new_residual, new_jacobian = residual.copy(), jacobian.copy()
        new_residual[active], new_jacobian[active] = evaluate((x + step)[active], active)
        new_cost = _cost(new_residual, new_jacobian)
        done += 1
        for s in active:
            small = np.all(np.abs(step[s]) <= _STEP * (1.0 + np.abs(x[s])))
            gain = (cost[s] - new_cost[s]) / predicted[s] if predicted[s] > 0 and np.isfinite(new_cost[s]) else -1.0
            if gain > 0:
                x[s] += step[s]
                residual[s], jacobian[s], cost[s] = new_residual[s], new_jacobian[s], new_cost[s]
                damping[s] = max(damping[s] * max(1.0 / 3.0, 1.0 - (2.0 * gain - 1.0) ** 3), 1e-14)
                growth[s] = 2.0
            else:
                damping[s] *= growth[s]
                growth[s] *= 2.0
            full = gain > 0 or damping[s] <= 1.0  # a step is not small because it was damped
            done_enough = _offset(residual[s], jacobian[s]) <= (_OFFSET if gain > 0 else _OFFSET_REFUSED)
            if (small and full) or done_enough or cost[s] <= 0.5 * floor * len(residual[s]):
                outcome[s] = Outcome.CONVERGED
            elif done > _PATIENCE and history[-_PATIENCE][s] - cost[s] <= _NO_GAIN * cost[s]:
                outcome[s] = Outcome.KINK
            elif damping[s] > 1e12:
                outcome[s] = Outcome.STUCK
        ended = [s for s, end in enumerate(outcome) if end is Outcome.CONVERGED and same]
        for s in (s for s in active if outcome[s] is None):
            for known in (k for k in ended if cost[k] < cost[s] and _linear_between(k, s, x, residual, jacobian)):
                x[s], residual[s], jacobian[s], cost[s] = x[known], residual[known], jacobian[known], cost[known]
                outcome[s] = Outcome.LED
                break
        history.append(cost.copy())
        each(now())
    return now()


def _cost(residual: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
    finite = np.all(np.isfinite(residual), axis=1) & np.all(np.isfinite(jacobian), axis=(1, 2))
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(finite, 0.5 * np.sum(np.where(finite[:, None], residual, 0.0) ** 2, axis=1), np.inf)


def _linear_between(one: int, two: int, x: np.ndarray, residual: np.ndarray, jacobian: np.ndarray) -> bool:
    """Whether the derivatives at either of two points tell the residuals at the other.

    If one is a minimum, then a step of Gauss and Newton leads from the other to it, but for the share `_LINEAR`.
    """
    change, away = residual[two] - residual[one], x[two] - x[one]
    told = [jacobian[s] @ away for s in (one, two)]
    return all(np.linalg.norm(change - linear) <= _LINEAR * np.linalg.norm(linear) for linear in told)


def _offset(residual: np.ndarray, jacobian: np.ndarray) -> float:
    """Share of the residuals' length that lies in the range of the Jacobian: zero at a minimum (Bates & Watts 1981)."""
    norm = np.linalg.norm(jacobian, axis=0)
    left, singular, _ = np.linalg.svd(jacobian / np.where(norm > 0, norm, 1.0), full_matrices=False)
    inside = left[:, singular > 1e-10 * max(singular[0], 1e-300)].T @ residual
    return float(np.linalg.norm(inside) / max(np.linalg.norm(residual), 1e-300))


def _step(residual: np.ndarray, jacobian: np.ndarray, scale: np.ndarray, damping: float) -> tuple[np.ndarray, float]:
    """Damped step and the decrease of the cost that the linear model predicts for it."""
    unit = np.where(scale > 0, scale, 1.0)
    scaled = jacobian / unit
    stacked = np.vstack([scaled, np.sqrt(damping) * np.eye(len(scale))])
    step, *_ = np.linalg.lstsq(stacked, np.concatenate([-residual, np.zeros(len(scale))]), rcond=None)
    linear = scaled @ step
    return step / unit, float(-(residual @ linear) - 0.5 * linear @ linear)
