"""Special points between two points of a curve: found by changes of sign, located by a root finder, then named.

Test functions: the parameter's component of the tangent (folds), the growth rate of every mode that changes sign
(branch points, Hopf and Neimark-Sacker points, period doublings), and the bordered determinant, which changes sign
at branch points only. Kuznetsov (1998), sec. 10.2.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize

from largen.numerics.continuation.core import AbstractProblem, NotConverged, Point, groups, land, point_at

NOT_SMOOTH = 0.05
"""A test function that is still this large, relative to its values on both sides, jumps instead of vanishing."""


class Special(NamedTuple):
    """What is special about a point.

    Attributes:
        kind: "fold", "branch_point", "hopf", ...; "unclassified" or "not_smooth" where it has no name.
        uncertainty: Of the parameter's value.
        value: The eigenvalue or multiplier that crosses.
        group: The group of the spectrum to which it belongs.
    """

    kind: str
    uncertainty: float
    value: complex
    group: str


class _Found(NamedTuple):
    s: float
    point: Point


class _Segment:
    """The curve from a to b, by the distance s along the tangent at a."""

    def __init__(self, a: Point, b: Point, tolerance: float):
        self.a, self.b = a, b
        self.row = a.problem.weights**2 * a.tangent
        self.length = float(self.row @ (b.z - a.z))
        self.tolerance = tolerance
        self.known = {0.0: a, self.length: b}
        self.named: list[_Found] = []

    def at(self, s: float) -> Point:
        """The point at s; next to it where Newton's method fails (a branch point makes the matrix singular)."""
        for shift in (0.0, 0.21, -0.37, 3.1, -5.3):
            place = s + shift * self.tolerance
            if s in self.known:
                break
            start = self.a.z + place / self.length * (self.b.z - self.a.z)
            try:
                z, tangent, linear, _ = land(self.a.problem, start, self.a.tangent)
            except NotConverged:
                continue
            self.known[s] = point_at(self.a.problem, z, tangent, linear)
        if s not in self.known:
            raise NotConverged(np.nan, 0)
        return self.known[s]

    def root(self, test: Callable[[Point], float]) -> tuple[float, Point]:
        """Where the test function changes sign."""
        brentq: Any = scipy.optimize.brentq
        s = brentq(lambda s: test(self.at(float(s))), 0.0, self.length, xtol=self.tolerance, rtol=1e-14)
        return float(s), self.at(float(s))

    def uncertainty(self, point: Point) -> float:
        """Of the parameter, from that of s: first and second order."""
        bend = abs(self.b.tangent[-1] - self.a.tangent[-1]) / self.length
        spacing = 4.0 * np.spacing(abs(point.z[-1]))
        return float(2.0 * self.tolerance * (abs(point.tangent[-1]) + bend * self.tolerance) + spacing)


def between(a: Point, b: Point, tolerance: float) -> Iterator[Point]:
    """Yield the special points on the curve from a to b (both of a's problem), in order.

    Args:
        a: A point.
        b: The next point, corrected in the hyperplane normal to a's tangent.
        tolerance: Length along the curve to which they are located.
    """
    problem = a.problem
    if problem.tuned(0.5 * (a.z + b.z)) is problem and problem.tuned(b.z) is problem:
        yield from _between(a, b, tolerance)
        return
    # First roughly, then once more in the problem that suits the place.
    rough = _Segment(a, b, tolerance).length
    for one in _between(a, b, max(0.02 * abs(rough), tolerance)):
        fitting = problem.tuned(one.z)
        if fitting is problem:
            yield from (p for p in _between(a, b, tolerance) if p.special.kind == one.special.kind)
            continue
        try:
            first, last = (_again(fitting, point, a.tangent) for point in (a, b))
        except NotConverged:
            yield one
            continue
        again = [p for p in _between(first, last, tolerance) if p.special.kind == one.special.kind]
        yield from again or [one]


def _again(problem: AbstractProblem, point: Point, along: np.ndarray) -> Point:
    """The same point in another problem."""
    z, tangent, linear, _ = land(problem, point.z, along)
    return point_at(problem, z, tangent, linear)


def _between(a: Point, b: Point, tolerance: float) -> Iterator[Point]:
    """The special points on the curve from a to b, all in a's problem."""
    segment = _Segment(a, b, tolerance)
    found: list[_Found] = []
    turned = a.tangent[-1] * b.tangent[-1] < 0
    flipped = a.orientation * b.orientation < 0
    fold = _try(segment, lambda point: point.tangent[-1], "fold") if turned else None
    if fold:
        kind = "branch" if flipped else "fold"
        found.append(_named(segment, fold, _kind(a, "", kind), 0.0, ""))
    for group in groups(a):
        crossings = [crossing for k in _changed(a, b, group) for crossing in _crossing(segment, group, k)]
        pluses = [c for c in crossings if c.point.special.kind == "plus"]
        if group == "" and fold and pluses:  # the zero eigenvalue of the fold itself
            pluses.remove(min(pluses, key=lambda c: abs(c.s - fold[0])))
        found += [c for c in crossings if c.point.special.kind != "plus"]
        for crossing in pluses:
            branching = group != "" or flipped or np.isnan(a.orientation * b.orientation)
            kind = _kind(a, group, "branch" if group == "" else "fold") if branching else "unclassified"
            found.append(crossing._replace(point=_rename(crossing.point, kind)))
    if flipped and not any(_is_branch(f.point) for f in found):
        place = _try(segment, lambda point: point.orientation, "branch")
        if place:
            found.append(_named(segment, place, _kind(a, "", "branch"), 0.0, ""))
    for one in sorted(found, key=lambda f: f.s):
        if not _explained(one, found, segment):
            yield one.point


def _explained(one: _Found, found: list[_Found], segment: _Segment) -> bool:
    """A jump of one group where another group has its own crossing: the first goes through infinity there."""
    others = [other for other in found if other.point.special.group != one.point.special.group]
    near = any(abs(other.s - one.s) < 1e-2 * segment.length for other in others)
    return one.point.special.kind == "not_smooth" and near


def _kind(point: Point, group: str, key: str) -> str:
    return point.problem.kinds[group][key]


def _is_branch(point: Point) -> bool:
    return "branch_point" in point.special.kind or point.special.kind in ("unclassified", "not_smooth")


def _rename(point: Point, kind: str) -> Point:
    return point._replace(special=point.special._replace(kind=kind))


def _try(segment: _Segment, test: Callable[[Point], float], what: str) -> tuple[float, Point] | None:
    """A root, or the middle of the segment, marked as unclassified, where the curve cannot be followed there."""
    try:
        return segment.root(test)
    except NotConverged:
        return None


def _named(segment: _Segment, place: tuple[float, Point], kind: str, value: complex, group: str) -> _Found:
    s, point = place
    critical = point.spectrum[""]
    if len(critical):
        target = 1.0 if point.problem.discrete else 0.0
        value = complex(critical[np.argmin(np.abs(critical - target))])
    special = Special(kind, segment.uncertainty(point), value, group)
    return _Found(s, point._replace(special=special))


def _changed(a: Point, b: Point, group: str) -> range:
    """Ranks (by growth) of the modes that change sign from a to b."""
    one, two = (int(np.sum(point.problem.growth(point.spectrum[group]) > 0)) for point in (a, b))
    most = min(len(a.spectrum[group]), len(b.spectrum[group]))
    return range(min(one, two, most), min(max(one, two), most))


def _crossing(segment: _Segment, group: str, k: int) -> Iterator[_Found]:
    """Where the mode of rank k changes sign; its kind is still "plus" if it is real and fold and branch are open."""

    def test(point: Point) -> float:
        growth = np.sort(point.problem.growth(point.spectrum[group]))[::-1]
        return float(growth[k]) if k < len(growth) else -1.0

    sides = max(abs(test(segment.a)), abs(test(segment.b)))
    try:
        s, point = segment.root(test)
    except NotConverged:
        spread = abs(segment.b.parameter - segment.a.parameter)
        special = Special("unclassified", spread, complex(np.nan), group)
        yield _Found(segment.length, segment.b._replace(special=special))
        return
    size = abs(test(point))
    problem = point.problem
    if size > sides:  # through infinity: no bifurcation of this group
        return
    value, kind = _value(point, group, k), "not_smooth"
    if size <= NOT_SMOOTH * sides or size < 1e-9:
        if abs(value.imag) > 1e-9:
            kind = _kind(point, group, "complex")
        elif problem.discrete and value.real < 0:
            kind = _kind(point, group, "minus")
        else:
            kind = "plus"
    if kind == _kind(point, group, "complex") and value.imag < 0:
        value = value.conjugate()
    uncertainty = segment.uncertainty(point)
    if not any(_twin(other, kind, s, segment) for other in segment.named):
        found = _Found(s, point._replace(special=Special(kind, uncertainty, value, group)))
        segment.named.append(found)
        yield found


def _twin(other: _Found, kind: str, s: float, segment: _Segment) -> bool:
    """The conjugate mode crosses at the same place."""
    return other.point.special.kind == kind and kind != "plus" and abs(other.s - s) < 10 * segment.tolerance


def _value(point: Point, group: str, k: int) -> complex:
    values = point.spectrum[group]
    growth = point.problem.growth(values)
    return complex(values[np.argsort(-growth, kind="stable")[k]])
