"""Follow one curve of solutions by pseudo-arclength continuation, with a step that adapts.

Source: H. Keller, in Applications of Bifurcation Theory (1977), 359; Kuznetsov (1998), sec. 10.2.1.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from largen.numerics.continuation.corrector import NotConverged, correct_across
from largen.numerics.continuation.kinds import Ending, Stop
from largen.numerics.continuation.problem import Point, Rejection, Start, point_at
from largen.numerics.continuation.special import special_between

MIN_COSINE = 0.9
"""Smallest cosine of the angle between the tangents of neighbouring points."""
VERTICAL_STEPS, VERTICAL_SHARE = 20, 1e-6
"""Steps, and the parameter's share of each, after which the parameter has stopped changing."""
FEW_ITERATIONS = 3
"""Newton iterations up to which the step may grow."""
LEAVING = (1.0, 0.3, 3.0, 0.1, 0.03)
"""Lengths of the step away from a special point that are tried, as multiples of the first step."""


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


def trace(start: Start, low: float, high: float, steps: Steps) -> Iterator[Point | Ending]:
    """Yield the points of a curve in order, special points among them, and last its `Ending`.

    Args:
        start: Where the curve begins.
        low: Lowest value of the parameter.
        high: Highest value of the parameter.
        steps: Lengths of steps.

    Raises:
        NotConverged: There is no curve near the start.
    """
    a = first = _first_point(start, steps)
    yield a
    step, vertical = steps.first, 0
    before, gap = None, 0.0
    for count in range(1, steps.points):
        try:
            a, b, step, used = _advance(a, step, steps)
        except NotConverged as failure:
            yield Stop.MIN_STEP.ending(at=a.parameter, step=steps.smallest, why=failure)
            return
        stop = a.problem.ends_between(a.z, b.z)
        if stop is not None:
            yield stop.ending(at=b.parameter)
            return
        bound = _passed_bound(a, b, low, high)
        if bound is not None:
            b = _at_bound(a, b, bound)
        yield from special_between(a, b, steps.tolerance, before, gap)
        yield b
        if bound is not None:
            yield Stop.REACHED.ending(bound=bound)
            return
        if count > 10 and _returned(first, b, used):
            yield Stop.CLOSED.ending()
            return
        vertical = vertical + 1 if not b.problem.follows_vertical and _is_vertical(a, b) else 0
        if vertical == VERTICAL_STEPS:
            yield Stop.VERTICAL.ending(at=b.parameter)
            return
        before, gap, a = a, used, b
    yield Stop.MAX_POINTS.ending(points=steps.points)


def _first_point(start: Start, steps: Steps) -> Point:
    """The first point of a curve; leaving a special point, shorter and longer steps are tried too."""
    problem = start.problem
    direction = start.direction / problem.length(start.direction)
    failure = NotConverged(np.nan, 0)
    for factor in LEAVING if start.leave else (0.0,):
        try:
            z, tangent, jacobian, _ = correct_across(problem, start.z + factor * steps.first * direction, direction)
        except NotConverged as error:
            failure = error
        else:
            return point_at(problem, z, tangent, jacobian)
    raise failure


def _adapt(a: Point, step: float) -> Point:
    problem, z, tangent = a.problem.adapted(a.z, a.tangent, step)
    return a._replace(problem=problem, z=z, tangent=tangent / problem.length(tangent))


def _advance(a: Point, step: float, steps: Steps) -> tuple[Point, Point, float, float]:
    """This point, the next one, the length of the step after it, and of the step to it.

    The adapted problem may have a curve that passes a little beside this point. A step that fails is tried again from
    the curve itself, for no step can be short against that distance. Near a special point, which lies elsewhere in
    the adapted problem (for another number of steps per period), there may be no such curve, or one that is past it
    already: the step is then made in the problem as it was.

    Raises:
        NotConverged: Not even the smallest step leads to a point.
    """
    origin, a, corrected = a, _adapt(a, step), False
    while True:
        try:
            z, tangent, jacobian, iterations = correct_across(a.problem, a.z + step * a.tangent, a.tangent)
            cosine = float((a.problem.weights**2 * a.tangent) @ tangent)
            rejection = _rejection(a, step, z, cosine)
            if rejection is None:
                b = point_at(a.problem, z, tangent, jacobian)
                if a.problem.rediscretises and a is not origin and b.unstable != a.unstable:
                    a, corrected = origin, True
                    continue
                return a, b, _next_step(step, iterations, cosine, steps), step
            failure = NotConverged(np.nan, iterations, rejection.value)
        except NotConverged as error:
            failure = error
        if not corrected:
            a, corrected = _onto_curve(a) or origin, True
            if a is origin:
                continue
        step *= 0.5
        if step < steps.smallest:
            raise failure


def _rejection(a: Point, step: float, z: np.ndarray, cosine: float) -> Rejection | None:
    """Why a corrected point is not accepted as the next one."""
    far = a.problem.length(z - (a.z + step * a.tangent)) > 0.5 * step
    rejection = a.problem.rejects_step(a.z, z)
    if rejection is None and far:
        return Rejection.FAR
    if rejection is None and not cosine >= MIN_COSINE:
        return Rejection.SHARP
    return rejection


def _next_step(step: float, iterations: int, cosine: float, steps: Steps) -> float:
    """Length of the step after one that took some iterations and turned by an angle of this cosine."""
    if iterations <= FEW_ITERATIONS and cosine > 0.97:
        return min(1.4 * step, steps.largest)
    return 0.7 * step if iterations > 5 else step


def _onto_curve(a: Point) -> Point | None:
    """The point moved onto the curve of its problem; None where that cannot be done."""
    try:
        z, tangent, _, _ = correct_across(a.problem, a.z, a.tangent)
    except NotConverged:
        return None
    return a._replace(z=z, tangent=tangent)


def _passed_bound(a: Point, b: Point, low: float, high: float) -> float | None:
    """The bound that the step from a to b passes."""
    slack = 1e-9 * (high - low)
    for bound, side in ((low, -1.0), (high, 1.0)):
        if side * (b.parameter - bound) > slack or (
            side * (b.parameter - bound) > -slack and side * (b.parameter - a.parameter) > 0
        ):
            return bound
    return None


def _at_bound(a: Point, b: Point, bound: float) -> Point:
    """The point of the step at which the parameter has the given value."""
    problem = a.problem
    row = np.zeros(len(a.z))
    row[-1] = 1.0
    share = (bound - a.parameter) / (b.parameter - a.parameter)
    start = a.z + share * (b.z - a.z)
    start[-1] = bound
    try:
        z, tangent, jacobian, _ = correct_across(problem, start, row)
    except NotConverged:
        return b
    if (problem.weights**2 * tangent) @ a.tangent < 0:
        tangent = -tangent
    return point_at(problem, z, tangent, jacobian)


def _is_vertical(a: Point, b: Point) -> bool:
    problem = b.problem
    return problem.weights[-1] * abs(b.parameter - a.parameter) < VERTICAL_SHARE * problem.length(b.z - a.z)


def _returned(first: Point, b: Point, step: float) -> bool:
    problem = b.problem
    if len(first.z) != len(b.z):  # on another mesh
        return False
    near = problem.length(b.z - first.z) < step
    return near and float((problem.weights**2 * first.tangent) @ b.tangent) > 0.5
