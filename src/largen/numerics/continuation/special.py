"""Special points between two points of a curve: detected by test functions, located by a root finder, classified.

Test functions: the parameter's component of the tangent (folds), the growth rate of every mode that changes sign
(branch points, Hopf and Neimark-Sacker points, period doublings), and the bordered determinant, which changes sign
at branch points only. Source: Kuznetsov (1998), sec. 10.2.2 and 10.2.4.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from largen.numerics.continuation.corrector import NotConverged, correct_across
from largen.numerics.continuation.kinds import Special, SpecialKind
from largen.numerics.continuation.problem import AbstractProblem, Point, groups, point_at
from largen.numerics.continuation.segment import Segment

JUMP = 0.05
"""A test function that is still this large, relative to its values on both sides, jumps instead of vanishing."""
STEEP = 0.2
"""Share of the parameter in the tangent below which (or near where it turns) a multiplier passes 1 at a fold."""
COARSE = 0.02
"""Share of its step to which a special point is located before another discretisation takes over."""
SEARCH_STEPS = 7
"""Steps, each twice as long, in which a special point of another discretisation is searched outward on both sides."""
RELOCATIONS = 2
"""Times that a special point is located again because yet another discretisation suits its place."""
HALVINGS = 6
"""Times that a step is halved to tell two crossings apart."""
EXTREMUM_STEPS = 5
"""Points at which an extremum of a test function between two points is looked for."""
LARGE_ERROR = 0.01
"""Error of the multipliers beyond which a test function that does not vanish says nothing about the equations."""


class _Zero(NamedTuple):
    """A zero of a test function.

    Attributes:
        s: Where it is on the segment.
        point: The special point there.
        real: Whether it is an eigenvalue 0 (a multiplier 1) not yet told to be a fold or a branch point.
    """

    s: float
    point: Point
    real: bool = False

    @property
    def special(self) -> Special:
        assert self.point.special is not None
        return self.point.special


def special_between(
    a: Point, b: Point, tolerance: float, before: Point | None = None, gap: float = 0.0
) -> Iterator[Point]:
    """Yield the special points on the curve from a to b (both of a's problem), in order.

    Two that lie between them leave the signs of the test functions as they are: they are looked for where a parabola
    through three points has an extremum towards zero.

    Args:
        a: A point.
        b: The next point, corrected in the hyperplane normal to a's tangent.
        tolerance: Length along the curve to which they are located.
        before: The point before a, or None.
        gap: Length of the step from it to a.
    """
    middle = None if before is None else _between_two(before, a, b, gap, tolerance)
    if middle is None:
        yield from _in_one_step(a, b, tolerance)
        return
    yield from _in_one_step(a, middle, tolerance)
    yield from _in_one_step(middle, b, tolerance)


# Two special points within a step ------------------------------------------------------------------------------


def _between_two(before: Point, a: Point, b: Point, gap: float, tolerance: float) -> Point | None:
    """A point between two zeros of one test function that lie between a and b; None where none are seen."""
    segment = Segment(a, b, tolerance)
    for test in _tests(a):
        values = [test(point) for point in (before, a, b)]
        if not np.all(np.isfinite(values)) or values[1] * values[2] <= 0 or not gap or not segment.length:
            continue
        s = _towards_zero(values, gap, segment.length)
        if s is None:
            continue
        for _ in range(EXTREMUM_STEPS):
            try:
                point = segment.at(s)
            except NotConverged:
                break
            value = test(point)
            if value * values[1] <= 0:
                return point
            if abs(value) > 0.5 * min(abs(values[1]), abs(values[2])):
                break  # it turns back long before zero
            better = _vertex([values[1], value, values[2]], [0.0, s, segment.length])
            if better is None or abs(better - s) < 10.0 * tolerance or not 0.0 < better / segment.length < 1.0:
                break
            s = better
    return None


def _tests(a: Point) -> list[Callable[[Point], float]]:
    """Test functions that may change sign twice beside a: the modes nearest to criticality, the tangent at last."""

    def growth(point: Point, group: str, k: int) -> float:
        if group not in point.spectrum or k >= len(point.spectrum[group]):
            return np.nan
        return float(np.sort(point.problem.growth(point.spectrum[group]))[::-1][k])

    tests: list[Callable[[Point], float]] = []
    if not a.problem.rediscretises:
        tests.append(lambda point: float(point.tangent[-1]))
    for group in groups(a):
        count = int(np.sum(a.problem.growth(a.spectrum[group]) > 0))
        tests += [partial(growth, group=group, k=k) for k in (count, count - 1) if k >= 0]
    return tests


def _towards_zero(values: list[float], gap: float, length: float) -> float | None:
    """Where the parabola through values at -gap, 0 and length is nearest to zero, if between 0 and length."""
    s = _vertex(values, [-gap, 0.0, length])
    if s is None or not 0.0 < s / length < 1.0:
        return None
    curve = np.polyfit([-gap, 0.0, length], values, 2)
    return s if np.polyval(curve, s) * np.sign(values[1]) < 0.5 * min(abs(values[1]), abs(values[2])) else None


def _vertex(values: list[float], places: list[float]) -> float | None:
    """Where the parabola through three values is nearest to zero; None where it curves away from it."""
    curve = np.polyfit(places, values, 2)
    towards = curve[0] * np.sign(values[1]) > 0
    return float(-curve[1] / (2.0 * curve[0])) if towards else None


# One step ------------------------------------------------------------------------------------------------------


def _in_one_step(a: Point, b: Point, tolerance: float) -> Iterator[Point]:
    """The special points between a and b that the signs of the test functions show."""
    problem = a.problem
    if problem.rediscretised(0.5 * (a.z + b.z)) is problem and problem.rediscretised(b.z) is problem:
        yield from _located(a, b, tolerance)
        return
    # First coarsely, then once more nearby in the discretisation that suits the place.
    coarse = COARSE * abs(Segment(a, b, tolerance).length)
    for point in _located(a, b, coarse):
        for _ in range(RELOCATIONS):
            better = point.problem.rediscretised(point.z)
            if better is point.problem or point.problem.eigenvalue_error > LARGE_ERROR:
                break
            point = _relocated(better, point, a, b, 3.0 * coarse, tolerance)
        yield point


# Another discretisation ----------------------------------------------------------------------------------------


def _relocated(problem: AbstractProblem, coarse: Point, a: Point, b: Point, reach: float, tolerance: float) -> Point:
    """A special point on the curve from a to b, known coarsely, located in another problem."""
    for ends in ([coarse.z - reach * coarse.tangent, coarse.z + reach * coarse.tangent], [a.z, b.z]):
        try:
            first, last = (_corrected(problem, z, coarse.tangent) for z in ends)
        except NotConverged:
            continue
        found = _counterpart(coarse, first, last, tolerance)
        if found:
            return found
    return _searched_outward(problem, coarse, reach, tolerance)


def _searched_outward(problem: AbstractProblem, coarse: Point, step: float, tolerance: float) -> Point:
    """The same where it lies beyond the step (a sharp fold): steps lead away both ways until it is met."""
    try:
        start = _corrected(problem, coarse.z, coarse.tangent)
    except NotConverged:
        return coarse
    ends = {1.0: start, -1.0: start}
    for _ in range(SEARCH_STEPS):
        for side, a in list(ends.items()):
            try:
                b = _corrected(problem, a.z + side * step * a.tangent, a.tangent)
            except NotConverged:
                del ends[side]
                continue
            ends[side] = b
            found = _counterpart(coarse, *((a, b) if side > 0 else (b, a)), tolerance)
            if found:
                return found
        step *= 2.0
    return coarse


def _counterpart(coarse: Point, a: Point, b: Point, tolerance: float) -> Point | None:
    """The special point between a and b that is the one known coarsely."""
    assert coarse.special is not None
    kind = coarse.special.kind
    try:
        for point in _located(a, b, tolerance):
            if point.special is not None and kind in (point.special.kind, SpecialKind.NOT_SMOOTH):
                return point
    except NotConverged:
        pass
    return None


def _corrected(problem: AbstractProblem, z: np.ndarray, direction: np.ndarray) -> Point:
    """The point near z in another problem."""
    z, tangent, jacobian, _ = correct_across(problem, z, direction)
    return point_at(problem, z, tangent, jacobian)


# One discretisation --------------------------------------------------------------------------------------------


def _located(a: Point, b: Point, tolerance: float, halvings: int = HALVINGS) -> Iterator[Point]:
    """The special points on the curve from a to b, all in a's problem."""
    segment = Segment(a, b, tolerance)
    hidden = _hides_crossings(a, b)
    if hidden and a.problem.eigenvalue_error > LARGE_ERROR:  # too long a step dt to tell them apart
        yield b._replace(special=_unclassified(a, b, ""))
        return
    if halvings and hidden and abs(segment.length) > 4.0 * tolerance:
        middle = segment.try_zero(lambda s: s - 0.5 * segment.length)
        if middle:
            yield from _located(a, middle[1], tolerance, halvings - 1)
            yield from _located(middle[1], b, tolerance, halvings - 1)
            return
    found = _zeros(segment)
    for one in sorted(found, key=lambda zero: zero.s):
        if not _passes_infinity(one, found, segment):
            yield one.point


def _zeros(segment: Segment) -> list[_Zero]:
    """The zeros of all test functions, each real one told to be a fold or a branch point."""
    a, b = segment.a, segment.b
    flipped = a.orientation * b.orientation < 0
    fold = _turning_point(segment)
    found: list[_Zero] = []
    located: list[_Zero] = []
    if fold:
        kinds = a.problem.kinds[""]
        found.append(_zero_of_curve(segment, fold, kinds.branch if flipped else kinds.fold))
    for group in groups(a):
        changed = _changed(a, b, group)
        if group == "" and fold and len(changed) == 1 and _critical(fold[1]):
            continue  # it is the zero eigenvalue of the fold itself
        crossings = _crossings(segment, group, changed, located)
        real = [crossing for crossing in crossings if crossing.real]
        if group == "" and fold and real:  # the zero eigenvalue of the fold itself
            real.remove(min(real, key=lambda crossing: abs(crossing.s - fold[0])))
        found += [crossing for crossing in crossings if not crossing.real]
        found += [_fold_or_branch(segment, crossing, group, flipped) for crossing in real]
    if flipped and not any(_may_be_branch(zero.special.kind) for zero in found):
        place = segment.try_zero(lambda s: segment.at(s).orientation)
        if place:
            found.append(_zero_of_curve(segment, place, a.problem.kinds[""].branch))
    return found


def _turning_point(segment: Segment) -> tuple[float, Point] | None:
    """Where the parameter turns, unless that depends on the discretisation."""
    a, b = segment.a, segment.b
    if a.problem.rediscretises or not a.tangent[-1] * b.tangent[-1] < 0:
        return None
    return segment.try_zero(lambda s: segment.tangent(s)[-1])


def _zero_of_curve(segment: Segment, place: tuple[float, Point], kind: SpecialKind) -> _Zero:
    """A zero of a test function of the curve itself, with the eigenvalue nearest to criticality."""
    s, point = place
    value, values = 0.0 + 0.0j, point.spectrum[""]
    if len(values):
        value = complex(values[np.argmin(np.abs(values - _critical_value(point)))])
    return _Zero(s, point._replace(special=Special(kind, segment.uncertainty(point), value, "")))


def _fold_or_branch(segment: Segment, zero: _Zero, group: str, flipped: bool) -> _Zero:
    """Classify an eigenvalue 0 (a multiplier 1) that is not at a turning point."""
    a, b = segment.a, segment.b
    kinds, kind = a.problem.kinds[group], SpecialKind.UNCLASSIFIED
    if group != "" or flipped or np.isnan(a.orientation * b.orientation):
        turns = _turns(a, b) or abs(zero.point.tangent[-1]) < STEEP
        kind = kinds.fold if group != "" or (a.problem.rediscretises and turns) else kinds.branch
    return _Zero(zero.s, zero.point._replace(special=zero.special._replace(kind=kind)))


def _turns(a: Point, b: Point) -> bool:
    """Whether the parameter turns between a and b, or within a step of them if it goes on as from a to b."""
    return abs(a.tangent[-1] + b.tangent[-1]) < 3.0 * abs(b.tangent[-1] - a.tangent[-1])


def _hides_crossings(a: Point, b: Point) -> bool:
    """Whether two modes cross between a and b in opposite directions, so that the number that grows is the same.

    Real multipliers above 1 come and go in pairs (out of a complex pair) unless one crosses 1; so do those below -1.
    """
    if not a.problem.rediscretises or a.unstable != b.unstable:
        return False

    def odd(point: Point) -> list[bool]:
        values = point.spectrum[""]
        real = np.real(values[np.abs(np.imag(values)) < 1e-12])
        return [bool(np.sum(real > 1.0) % 2), bool(np.sum(real < -1.0) % 2)]

    return odd(a) != odd(b)


def _critical_value(point: Point) -> float:
    """The eigenvalue (multiplier) of a mode that neither grows nor decays."""
    return 1.0 if point.problem.discrete else 0.0


def _critical(point: Point) -> bool:
    """Whether an eigenvalue is nearly 0, or a multiplier nearly 1, compared with the others."""
    away = np.sort(np.abs(point.spectrum[""] - _critical_value(point)))
    return len(away) > 0 and bool(away[0] < 1e-3 * (away[1] if len(away) > 1 else 1.0))


def _passes_infinity(one: _Zero, found: list[_Zero], segment: Segment) -> bool:
    """Whether a jump of one group is at a crossing of another group: the first goes through infinity there."""
    others = [other for other in found if other.special.group != one.special.group]
    near = any(abs(other.s - one.s) < 1e-2 * segment.length for other in others)
    return one.special.kind is SpecialKind.NOT_SMOOTH and near


def _may_be_branch(kind: SpecialKind) -> bool:
    return kind in (SpecialKind.BRANCH_POINT, SpecialKind.UNCLASSIFIED, SpecialKind.NOT_SMOOTH)


def _unclassified(a: Point, b: Point, group: str) -> Special:
    """A special point somewhere between a and b."""
    return Special(SpecialKind.UNCLASSIFIED, abs(b.parameter - a.parameter), complex(np.nan), group)


# Modes that change sign ----------------------------------------------------------------------------------------


def _changed(a: Point, b: Point, group: str) -> range:
    """Ranks (by growth) of the modes that change sign from a to b."""
    one, two = (int(np.sum(point.problem.growth(point.spectrum[group]) > 0)) for point in (a, b))
    most = min(len(a.spectrum[group]), len(b.spectrum[group]))
    return range(min(one, two, most), min(max(one, two), most))


def _crossings(segment: Segment, group: str, ranks: range, located: list[_Zero]) -> list[_Zero]:
    """Where the modes of these ranks change sign; a complex pair once. `located` has those of earlier groups, too."""
    found: list[_Zero] = []
    for k in ranks:
        try:
            zero = _crossing(segment, group, k)
        except NotConverged:
            special = _unclassified(segment.a, segment.b, group)
            found.append(_Zero(segment.length, segment.b._replace(special=special)))
            continue
        if zero is not None and not any(_conjugate(zero, other, segment) for other in located):
            located.append(zero)
            found.append(zero)
    return found


def _crossing(segment: Segment, group: str, k: int) -> _Zero | None:
    """Where the mode of rank k changes sign; None where it goes through infinity, which is no bifurcation.

    Raises:
        NotConverged: The curve cannot be followed there.
    """

    def test(point: Point) -> float:
        growth = np.sort(point.problem.growth(point.spectrum[group]))[::-1]
        return float(growth[k]) if k < len(growth) else -1.0

    sides = max(abs(test(segment.a)), abs(test(segment.b)))
    s, point = segment.zero(lambda s: test(segment.at(s)))
    size, problem, value = abs(test(point)), point.problem, _mode(point, group, k)
    if size > sides:
        return None
    vanishes = size <= JUMP * sides or size < 1e-9
    kind = _kind_of_crossing(point, value, group) if vanishes else None
    real = vanishes and kind is None
    if kind is None:
        unsure = problem.eigenvalue_error > LARGE_ERROR
        kind = SpecialKind.UNCLASSIFIED if unsure else SpecialKind.NOT_SMOOTH
    if kind is problem.kinds[group].pair and value.imag < 0:
        value = value.conjugate()
    slope = abs(test(segment.b) - test(segment.a)) / abs(segment.length)
    uncertainty = segment.uncertainty(point, problem.eigenvalue_error / slope)
    return _Zero(s, point._replace(special=Special(kind, uncertainty, value, group)), real)


def _kind_of_crossing(point: Point, value: complex, group: str) -> SpecialKind | None:
    """What the critical eigenvalue or multiplier says; None if it is 0 or 1: a fold or a branch point."""
    kinds = point.problem.kinds[group]
    if abs(value.imag) > 1e-9:
        return kinds.pair
    return kinds.doubling if point.problem.discrete and value.real < 0 else None


def _conjugate(one: _Zero, other: _Zero, segment: Segment) -> bool:
    """Whether the conjugate mode crosses at the same place."""
    same = one.special.kind is other.special.kind and not one.real and not other.real
    return same and abs(other.s - one.s) < 10 * segment.tolerance


def _mode(point: Point, group: str, k: int) -> complex:
    """The eigenvalue or multiplier of rank k by growth."""
    values = point.spectrum[group]
    growth = point.problem.growth(values)
    return complex(values[np.argsort(-growth, kind="stable")[k]])
