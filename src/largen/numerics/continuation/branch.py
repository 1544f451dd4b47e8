"""Follow one curve of solutions by pseudo-arclength, with a step that adapts."""

import enum
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from largen.numerics.continuation.core import AbstractProblem, NotConverged, Point, land, point_at
from largen.numerics.continuation.special import between

STRAIGHT = 0.9
"""Smallest cosine between the tangents of neighbouring points."""
STANDING, STANDS = 20, 1e-6
"""Steps, and the parameter's share of each, after which the parameter has stopped changing."""
FEW = 3
"""Newton iterations up to which the step may grow."""


class Stop(enum.Enum):
    """Why a curve ends; the value is the sentence the user sees."""

    REACHED = "The parameter reached {bound:g}, the end of its range."
    CLOSED = "The curve is closed: it returned to where it began."
    VERTICAL = "The parameter stops at {at:.6g} and the state runs on: the branch goes to infinity there."
    MOST_POINTS = "The curve was cut after {points} points. Give a larger `points` to follow it further."
    STEP_MINIMUM = (
        "The curve could not be followed beyond {at:.8g}: the step is at its minimum ({step:.2g}). {why} Try a smaller "
        "`smallest_step`, or look for a point there at which the equations are not smooth."
    )
    ENDED = "{why}"


class Ending(NamedTuple):
    """The end of a curve.

    Attributes:
        stop: Which of the endings.
        sentence: What to tell the user.
    """

    stop: Stop
    sentence: str


class Steps(NamedTuple):
    """Lengths of steps along the curve, as fractions of the parameter's range.

    Attributes:
        first: Of the first step.
        smallest: Below which the curve is given up.
        largest: Never exceeded.
        points: Points after which the curve is cut.
        tolerance: To which special points are located.
    """

    first: float = 0.01
    smallest: float = 1e-6
    largest: float = 0.04
    points: int = 300
    tolerance: float = 1e-7


def trace(
    problem: AbstractProblem,
    z: np.ndarray,
    along: np.ndarray,
    low: float,
    high: float,
    steps: Steps,
    *,
    leave: bool = False,
) -> Iterator[Point | Ending]:
    """Yield the points of a curve in order, special points among them, and last its `Ending`.

    Args:
        problem: What is on the curve.
        z: A point near the curve, shape (m + 1,).
        along: Direction in which to go, shape (m + 1,).
        low: Lowest value of the parameter.
        high: Highest value of the parameter.
        steps: Lengths of steps.
        leave: Whether z is a branch point, to be left along the given direction: the first point is a step away.

    Raises:
        NotConverged: There is no curve near z.
    """
    along = along / problem.length(along)
    z, tangent, linear = _begin(problem, z, along, steps, leave)
    a = first = point_at(problem, z, tangent, linear)
    yield a
    step, standing = steps.first, 0
    for count in range(1, steps.points):
        try:
            a, b, step, used = _advance(a, step, steps)
        except NotConverged as failure:
            sentence = Stop.STEP_MINIMUM.value.format(at=a.parameter, step=steps.smallest, why=failure)
            yield Ending(Stop.STEP_MINIMUM, sentence)
            return
        why = a.problem.end(a.z, b.z)
        if why:
            yield Ending(Stop.ENDED, Stop.ENDED.value.format(why=why))
            return
        outside = _bound(a, b, low, high)
        if outside is not None:
            b = _cut(a, b, outside, steps.tolerance)
        yield from between(a, b, steps.tolerance)
        yield b
        if outside is not None:
            yield Ending(Stop.REACHED, Stop.REACHED.value.format(bound=outside))
            return
        if count > 10 and _returned(first, b, used):
            yield Ending(Stop.CLOSED, Stop.CLOSED.value)
            return
        standing = standing + 1 if not b.problem.vertical and _stands(a, b) else 0
        if standing == STANDING:
            yield Ending(Stop.VERTICAL, Stop.VERTICAL.value.format(at=b.parameter))
            return
        a = b
    yield Ending(Stop.MOST_POINTS, Stop.MOST_POINTS.value.format(points=steps.points))


def _begin(
    problem: AbstractProblem, z: np.ndarray, along: np.ndarray, steps: Steps, leave: bool
) -> tuple[np.ndarray, np.ndarray, Any]:
    """The first point of a curve; leaving a branch point, shorter and longer steps are tried too."""
    failure = NotConverged(np.nan, 0)
    for factor in (1.0, 0.3, 3.0, 0.1, 0.03) if leave else (0.0,):
        try:
            return land(problem, z + factor * steps.first * along, along)[:3]
        except NotConverged as error:
            failure = error
    raise failure


def _adapt(a: Point, step: float) -> Point:
    problem, z, tangent = a.problem.adapted(a.z, a.tangent, step)
    return a._replace(problem=problem, z=z, tangent=tangent / problem.length(tangent))


def _advance(a: Point, step: float, steps: Steps) -> tuple[Point, Point, float, float]:
    """This point, the next one, the length of the step after it, and of the step to it.

    The adapted problem may have a curve that passes a little beside this point. A step that fails is tried again from
    the curve itself, for no step can be short against that distance. Near a special point, which lies elsewhere in
    the adapted problem (for another number of steps), there may be no such curve, or one that is past it already: the
    step is then made in the problem as it was.

    Raises:
        NotConverged: Not even the smallest step leads to a point.
    """
    origin, a, landed = a, _adapt(a, step), False
    while True:
        problem = a.problem
        try:
            guess = a.z + step * a.tangent
            z, tangent, linear, iterations = land(problem, guess, a.tangent)
            cosine = float((problem.weights**2 * a.tangent) @ tangent)
            far = problem.length(z - guess) > 0.5 * step
            objection = problem.objection(a.z, z)
            if cosine >= STRAIGHT and not far and not objection:
                b = point_at(problem, z, tangent, linear)
                if problem.renumbered and a is not origin and b.unstable != a.unstable:
                    a, landed = origin, True
                    continue
                if iterations <= FEW and cosine > 0.97:
                    return a, b, min(1.4 * step, steps.largest), step
                return a, b, 0.7 * step if iterations > 5 else step, step
            turns = "Newton's method ends far from its start." if far else "The curve turns too sharply."
            failure = NotConverged(np.nan, iterations, objection or turns)
        except NotConverged as error:
            failure = error
        if not landed:
            a, landed = _onto(a) or origin, True
            if a is origin:
                continue
        step *= 0.5
        if step < steps.smallest:
            raise failure


def _onto(a: Point) -> Point | None:
    """The point moved onto the curve of its problem; None where that cannot be done."""
    try:
        z, tangent, _, _ = land(a.problem, a.z, a.tangent)
    except NotConverged:
        return None
    return a._replace(z=z, tangent=tangent)


def _bound(a: Point, b: Point, low: float, high: float) -> float | None:
    """The bound that the step from a to b passes."""
    slack = 1e-9 * (high - low)
    for bound, side in ((low, -1.0), (high, 1.0)):
        if side * (b.parameter - bound) > slack or (
            side * (b.parameter - bound) > -slack and side * (b.parameter - a.parameter) > 0
        ):
            return bound
    return None


def _cut(a: Point, b: Point, bound: float, tolerance: float) -> Point:
    """The point of the step at which the parameter has the given value."""
    problem = a.problem
    row = np.zeros(len(a.z))
    row[-1] = 1.0
    share = (bound - a.parameter) / (b.parameter - a.parameter)
    start = a.z + share * (b.z - a.z)
    start[-1] = bound
    try:
        z, tangent, linear, _ = land(problem, start, row)
    except NotConverged:
        return b
    if (problem.weights**2 * tangent) @ a.tangent < 0:
        tangent = -tangent
    return point_at(problem, z, tangent, linear)


def _stands(a: Point, b: Point) -> bool:
    problem = b.problem
    return problem.weights[-1] * abs(b.parameter - a.parameter) < STANDS * problem.length(b.z - a.z)


def _returned(first: Point, b: Point, step: float) -> bool:
    problem = b.problem
    near = problem.length(b.z - first.z) < step
    return near and float((problem.weights**2 * first.tangent) @ b.tangent) > 0.5
