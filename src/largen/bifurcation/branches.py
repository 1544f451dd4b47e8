"""From a system's equations to branches: where they start, what leaves a special point, what that point means."""

from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
import scipy.linalg

from largen.checks import InputError, LimitError
from largen.numerics.continuation import collocation, shooting
from largen.numerics.continuation.kinds import FLOW, MAP, STEP, BranchKind, SpecialKind
from largen.numerics.continuation.problem import Equations, Point, Start
from largen.numerics.continuation.stationary import Stationary, newton
from largen.numerics.continuation.switching import crossing_direction
from largen.system import Dynamics, Form

UNFOLLOWED = {
    SpecialKind.BRANCH_POINT: "Another branch of orbits crosses this one. It is not followed: give `follow` an orbit "
    "on it (`limit_cycle` from a state beside this orbit) as `start`.",
    SpecialKind.TORUS: f"{SpecialKind.TORUS.meaning} Tori are not followed: simulate the limit beyond this point to "
    "see them.",
    SpecialKind.NEIMARK_SACKER: f"{SpecialKind.NEIMARK_SACKER.meaning} Such curves are not followed: simulate the "
    "limit beyond this point to see them.",
}
"""What special points mean from which no branch is started."""


class Branch(NamedTuple):
    """A branch to follow.

    Attributes:
        start: Where it begins.
        origin: Index of the special point from which it comes, or -1.
    """

    start: Start
    origin: int = -1

    @property
    def kind(self) -> BranchKind:
        """What its points are."""
        return self.start.problem.branch_kind


class OneStep(eqx.Module):
    """A step at its own dt, as a map."""

    rhs: Any
    dt: Any

    def __call__(self, x: Any, p: Any) -> Any:
        """The next state."""
        return self.rhs(x, p, self.dt)


def equations_of(dynamics: Dynamics, span: float) -> Equations:
    """The right-hand side with its scales, for orbits: f(x, p) of a flow, or f(x, p, dt) of a step."""
    rows = scipy.linalg.orth(dynamics.conserved.T).T
    return Equations(dynamics.rhs, dynamics.scale, rows, span, 1.0 if dynamics.dt is None else dynamics.dt)


def _stationary_equations(dynamics: Dynamics, span: float) -> Equations:
    """The same for stationary states: f as a function of state and parameter alone."""
    equations = equations_of(dynamics, span)
    if dynamics.dt is None:
        return equations
    return equations._replace(rhs=OneStep(dynamics.rhs, np.array(dynamics.dt)))


def stationary(dynamics: Dynamics, x: np.ndarray, span: float) -> Stationary:
    """The problem of stationary states through x."""
    kinds = dynamics.kinds or {"": {Form.FLOW: FLOW, Form.MAP: MAP, Form.STEP: STEP}[dynamics.form]}
    equations = _stationary_equations(dynamics, span)
    return Stationary(equations, x, discrete=dynamics.form.discrete, kinds=kinds, spectra=dynamics.spectra)


def states(dynamics: Dynamics, p: float, guesses: list[np.ndarray]) -> list[np.ndarray]:
    """Distinct stationary states to which Newton's method leads from the guesses, shape (m,) each."""
    found: list[np.ndarray] = []
    equations = _stationary_equations(dynamics, 1.0)
    for guess in guesses:
        if np.shape(guess) != dynamics.scale.shape:
            raise InputError(
                f"Argument `start` must be a state of {len(dynamics.scale)} numbers, but has shape {np.shape(guess)}."
            )
        x = newton(equations, guess, p, discrete=dynamics.form.discrete)
        same = any(np.linalg.norm((x - y) / dynamics.scale) < 1e-6 for y in found)
        if np.all(np.isfinite(x)) and not same:
            found.append(x)
    return found


def none_found(dynamics: Dynamics, p: float, guesses: list[np.ndarray], given: bool) -> LimitError:
    """The error where `states` found none, with what is known about why.

    Args:
        dynamics: The equations.
        p: The parameter's value.
        guesses: Where Newton's method started.
        given: Whether the user gave these as `start`.
    """
    rhs = _stationary_equations(dynamics, 1.0).rhs
    lost = [not np.all(np.isfinite(np.asarray(rhs(guess, p)))) for guess in guesses]
    where = "the state" if len(guesses) == 1 else f"any of the {len(guesses)} states"
    which = f"{where} given as `start`" if given else f"{where} from which the search starts"
    if all(lost):
        return LimitError(f"No stationary state was found: the right-hand side is not finite at {which}.")
    other = "Give another `start`, nearer to one." if given else "Give `start`, a state nearby."
    failed = f"Newton's method does not converge from {which}; there may be none near"
    return LimitError(f"No stationary state was found: {failed}. {other}")


# Special points ------------------------------------------------------------------------------------------------


def branches_from(dynamics: Dynamics, point: Point, near: Point, index: int) -> list[Branch]:
    """The branches that leave a special point; none where there are none, or none are known.

    Args:
        dynamics: The equations.
        point: The special point.
        near: A point on the same branch beside it.
        index: Number of the special point.
    """
    assert point.special is not None
    kind = point.special.kind
    if kind is SpecialKind.HOPF and dynamics.form.has_cycles:
        return [Branch(_from_hopf(dynamics, point), index)]
    if kind is SpecialKind.PERIOD_DOUBLING:
        return [Branch(point.problem.doubled(point.z), index)]
    if kind is SpecialKind.BRANCH_POINT and point.problem.switches:
        direction = crossing_direction(point, near)
        return [Branch(Start(point.problem, point.z, sign * direction, leave=True), index) for sign in (1.0, -1.0)]
    return []


def meaning(point: Point) -> str:
    """What a special point means, and what to do where its branches are not followed."""
    assert point.special is not None
    kind = point.special.kind
    if kind is SpecialKind.BRANCH_POINT and point.problem.switches:
        return kind.meaning
    return UNFOLLOWED.get(kind, kind.meaning)


def frequency_of(dynamics: Dynamics, point: Point) -> float:
    """Frequency of the oscillation born at a Hopf point, per unit of time (Hz where that is ms); NaN elsewhere."""
    if point.special is None or point.special.kind not in (SpecialKind.HOPF, SpecialKind.BALANCE_LOST):
        return np.nan
    value = point.special.value
    turn = abs(np.angle(value)) / (dynamics.dt or 1.0) if dynamics.form.discrete else abs(value.imag)
    return float(turn / (2.0 * np.pi) * (1e3 if dynamics.time_unit == "ms" else 1.0))


def _from_hopf(dynamics: Dynamics, point: Point) -> Start:
    problem, special = point.problem, point.special
    assert isinstance(problem, Stationary)
    assert special is not None
    mode = problem.eigenvector(point.z, special.value)
    equations = problem.equations._replace(rhs=dynamics.rhs)
    if dynamics.form is Form.FLOW:
        return collocation.near_hopf(equations, point.z, mode, special.value.imag)
    return shooting.near_hopf(equations, point.z, mode, abs(float(np.angle(special.value))))
