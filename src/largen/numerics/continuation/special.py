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

STEEP = 0.2
"""Share of the parameter in the tangent below which (or near where it turns) a multiplier passes 1 at a fold."""
FINE = 0.01
"""A special point is located at least to this share of its step: steps are short where the curve turns sharply."""
COARSE = 0.02
"""Share of its step to which a special point is located before another problem takes over."""
WALK = 7
"""Steps, each twice as long, in which a special point of another problem is looked for on both sides."""
RETUNED = 2
"""Times that the place of a special point may suit yet another problem."""
HALVINGS = 6
"""Times that a step is halved to tell two crossings apart."""
DOUBTFUL = 0.01
"""Error of the multipliers beyond which a test function that does not vanish says nothing about the equations."""


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
        self.tolerance = min(tolerance, FINE * abs(self.length))
        self.landed: dict[float, tuple[np.ndarray, np.ndarray, Any]] = {
            0.0: (a.z, a.tangent, None),
            self.length: (b.z, b.tangent, None),
        }
        self.known = {0.0: a, self.length: b}
        self.named: list[_Found] = []

    def tangent(self, s: float) -> np.ndarray:
        """The tangent at s."""
        return self._land(s)[1]

    def at(self, s: float) -> Point:
        """The point at s."""
        if s not in self.known:
            z, tangent, linear = self._land(s)
            self.known[s] = point_at(self.a.problem, z, tangent, linear)
        return self.known[s]

    def _land(self, s: float) -> tuple[np.ndarray, np.ndarray, Any]:
        """Onto the curve at s; next to it where Newton's method fails (a branch point makes the matrix singular)."""
        for shift in (0.0, 0.21, -0.37, 3.1, -5.3):
            if s in self.landed:
                break
            start = self._guess(s + shift * self.tolerance)
            try:
                self.landed[s] = land(self.a.problem, start, self.a.tangent)[:3]
            except NotConverged:
                continue
        if s not in self.landed:
            raise NotConverged(np.nan, 0)
        return self.landed[s]

    def _guess(self, s: float) -> np.ndarray:
        """The cubic through the nearest known points on both sides, with their tangents."""
        low = max((k for k in self.landed if (k - s) * self.length <= 0.0), key=lambda k: k / self.length, default=0.0)
        high = min(
            (k for k in self.landed if (k - s) * self.length > 0.0), key=lambda k: k / self.length, default=self.length
        )
        if low == high:
            low = 0.0
        step, t = high - low, (s - low) / (high - low)
        (one, first, _), (two, last, _) = self.landed[low], self.landed[high]
        slopes = [step * tangent / (self.row @ tangent) for tangent in (first, last)]
        cubic = (1 + 2 * t) * (1 - t) ** 2 * one + t**2 * (3 - 2 * t) * two
        return cubic + t * (1 - t) ** 2 * slopes[0] - t**2 * (1 - t) * slopes[1]

    def root(self, test: Callable[[float], float]) -> tuple[float, Point]:
        """Where a test function of s changes sign."""
        brentq: Any = scipy.optimize.brentq
        s = brentq(lambda s: test(float(s)), 0.0, self.length, xtol=self.tolerance, rtol=1e-14)
        return float(s), self.at(float(s))

    def uncertainty(self, point: Point, doubt: float = 0.0) -> float:
        """Of the parameter, from that of s (itself in doubt where the test function is): first and second order."""
        bend = abs((self.b.tangent[-1] - self.a.tangent[-1]) / self.length)
        spacing = 4.0 * np.spacing(abs(point.z[-1]))
        reach = 2.0 * self.tolerance + doubt
        return float(reach * (abs(point.tangent[-1]) + 0.5 * bend * reach) + spacing)


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
    # First roughly, then once more nearby in the problem that suits the place.
    rough = COARSE * abs(_Segment(a, b, tolerance).length)
    for one in _between(a, b, rough):
        for _ in range(RETUNED):
            better = one.problem.tuned(one.z)
            if better is one.problem or one.problem.doubt > DOUBTFUL:
                break
            one = _closer(better, one, a, b, 3.0 * rough, tolerance)
        yield one


def _closer(problem: AbstractProblem, rough: Point, a: Point, b: Point, reach: float, tolerance: float) -> Point:
    """A special point on the curve from a to b, known roughly, located in another problem."""
    for ends in ([rough.z - reach * rough.tangent, rough.z + reach * rough.tangent], [a.z, b.z]):
        try:
            first, last = (_again(problem, z, rough.tangent) for z in ends)
        except NotConverged:
            continue
        found = _same(rough, first, last, tolerance)
        if found:
            return found
    return _walked(problem, rough, reach, tolerance)


def _walked(problem: AbstractProblem, rough: Point, step: float, tolerance: float) -> Point:
    """The same where it lies beyond the step (a sharp fold): steps lead away both ways until it is met."""
    try:
        start = _again(problem, rough.z, rough.tangent)
    except NotConverged:
        return rough
    ends = {1.0: start, -1.0: start}
    for _ in range(WALK):
        for side, a in list(ends.items()):
            try:
                b = _again(problem, a.z + side * step * a.tangent, a.tangent)
            except NotConverged:
                del ends[side]
                continue
            ends[side] = b
            found = _same(rough, *((a, b) if side > 0 else (b, a)), tolerance)
            if found:
                return found
        step *= 2.0
    return rough


def _same(rough: Point, a: Point, b: Point, tolerance: float) -> Point | None:
    """The special point between a and b that is the one known roughly."""
    try:
        return next(
            (p for p in _between(a, b, tolerance) if rough.special.kind in (p.special.kind, "not_smooth")), None
        )
    except NotConverged:
        return None


def _again(problem: AbstractProblem, z: np.ndarray, along: np.ndarray) -> Point:
    """The point near z in another problem."""
    z, tangent, linear, _ = land(problem, z, along)
    return point_at(problem, z, tangent, linear)


def _between(a: Point, b: Point, tolerance: float, halvings: int = HALVINGS) -> Iterator[Point]:
    """The special points on the curve from a to b, all in a's problem."""
    segment = _Segment(a, b, tolerance)
    if _hidden(a, b) and a.problem.doubt > DOUBTFUL:  # too coarse a step dt to tell them apart
        spread = abs(b.parameter - a.parameter)
        yield b._replace(special=Special("unclassified", spread, complex(np.nan), ""))
        return
    if halvings and _hidden(a, b) and abs(segment.length) > 4.0 * tolerance:
        middle = _try(segment, lambda s: s - 0.5 * segment.length)
        if middle:
            yield from _between(a, middle[1], tolerance, halvings - 1)
            yield from _between(middle[1], b, tolerance, halvings - 1)
            return
    found: list[_Found] = []
    turned = not a.problem.renumbered and a.tangent[-1] * b.tangent[-1] < 0
    flipped = a.orientation * b.orientation < 0
    fold = _try(segment, lambda s: segment.tangent(s)[-1]) if turned else None
    if fold:
        kind = "branch" if flipped else "fold"
        found.append(_named(segment, fold, _kind(a, "", kind), 0.0, ""))
    for group in groups(a):
        changed = _changed(a, b, group)
        if group == "" and fold and len(changed) == 1 and _critical(fold[1]):
            continue  # it is the zero eigenvalue of the fold itself
        crossings = [crossing for k in changed for crossing in _crossing(segment, group, k)]
        pluses = [c for c in crossings if c.point.special.kind == "plus"]
        if group == "" and fold and pluses:  # the zero eigenvalue of the fold itself
            pluses.remove(min(pluses, key=lambda c: abs(c.s - fold[0])))
        found += [c for c in crossings if c.point.special.kind != "plus"]
        for crossing in pluses:
            branching = group != "" or flipped or np.isnan(a.orientation * b.orientation)
            turns = _turns(a, b) or abs(crossing.point.tangent[-1]) < STEEP
            folded = group != "" or (a.problem.renumbered and turns)
            kind = _kind(a, group, "fold" if folded else "branch") if branching else "unclassified"
            found.append(crossing._replace(point=_rename(crossing.point, kind)))
    if flipped and not any(_is_branch(f.point) for f in found):
        place = _try(segment, lambda s: segment.at(s).orientation)
        if place:
            found.append(_named(segment, place, _kind(a, "", "branch"), 0.0, ""))
    for one in sorted(found, key=lambda f: f.s):
        if not _explained(one, found, segment):
            yield one.point


def _turns(a: Point, b: Point) -> bool:
    """Whether the parameter turns between a and b, or within a step of them if it goes on as from a to b."""
    return abs(a.tangent[-1] + b.tangent[-1]) < 3.0 * abs(b.tangent[-1] - a.tangent[-1])


def _hidden(a: Point, b: Point) -> bool:
    """Whether two modes cross between a and b in opposite directions, so that the number that grows is the same.

    Real multipliers above 1 come and go in pairs (out of a complex pair) unless one crosses 1; so do those below -1.
    """
    if not a.problem.renumbered or a.unstable != b.unstable:
        return False

    def odd(point: Point) -> list[bool]:
        values = point.spectrum[""]
        real = np.real(values[np.abs(np.imag(values)) < 1e-12])
        return [bool(np.sum(real > 1.0) % 2), bool(np.sum(real < -1.0) % 2)]

    return odd(a) != odd(b)


def _critical(point: Point) -> bool:
    """Whether an eigenvalue is nearly zero, or a multiplier nearly 1, for its neighbours."""
    values = point.spectrum[""]
    target = 1.0 if point.problem.discrete else 0.0
    away = np.sort(np.abs(values - target))
    return len(away) > 0 and bool(away[0] < 1e-3 * (away[1] if len(away) > 1 else 1.0))


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


def _try(segment: _Segment, test: Callable[[float], float]) -> tuple[float, Point] | None:
    """A root, or None where the curve cannot be followed there."""
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
        s, point = segment.root(lambda s: test(segment.at(s)))
    except NotConverged:
        spread = abs(segment.b.parameter - segment.a.parameter)
        special = Special("unclassified", spread, complex(np.nan), group)
        yield _Found(segment.length, segment.b._replace(special=special))
        return
    size = abs(test(point))
    problem = point.problem
    if size > sides:  # through infinity: no bifurcation of this group
        return
    value, kind = _value(point, group, k), "unclassified" if problem.doubt > DOUBTFUL else "not_smooth"
    if size <= NOT_SMOOTH * sides or size < 1e-9:
        if abs(value.imag) > 1e-9:
            kind = _kind(point, group, "complex")
        elif problem.discrete and value.real < 0:
            kind = _kind(point, group, "minus")
        else:
            kind = "plus"
    if kind == _kind(point, group, "complex") and value.imag < 0:
        value = value.conjugate()
    slope = abs(test(segment.b) - test(segment.a)) / abs(segment.length)
    uncertainty = segment.uncertainty(point, problem.doubt / slope)
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
