"""Profile likelihood: intervals of parameters whose distance from the data is no parabola."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from largen.checks import InputError, known_keys
from largen.checks import names as words
from largen.fitting.likelihood import Distance, distance
from largen.fitting.problem import End, Problem
from largen.numerics.least_squares import minimise

OFF = 0.25
"""Relative error of the parabola at the ends of its interval from which it counts as wrong."""
CLOSE = 0.01
"""Share of the interval's half-width to which the ends of a profile are found."""
ROUNDS = 12
"""Values of a parameter that are tried for each end."""
ITERATIONS = 30
"""Evaluations for the other parameters at each of these."""
FARTHEST = 20.0
"""Half-widths of the parabola beyond which an end counts as open."""
_EDGE = 1e-6  # of the way to a bound: closer the change of variables has no slope left


class Profile(NamedTuple):
    """Intervals from profiles.

    Attributes:
        names: Parameters whose interval is from a profile.
        low: Lower ends by parameter, shape (p,); NaN where the parabola's stands.
        high: Upper ends, likewise.
        value: Values tried, shape (p, point); NaN beyond.
        excess: The distance there less that at the fit (chi2's growth), with the other parameters at their best.
        message: The same in words.
    """

    names: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    value: np.ndarray
    excess: np.ndarray
    message: str


def asked_for(profile: bool | str | Iterable[str] | None, names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Parameters whose profile was asked for; None to choose by the parabola's error.

    Raises:
        InputError: A name that is not free.
    """
    if profile is None:
        return None
    if isinstance(profile, bool):
        return names if profile else ()
    chosen = words("profile", profile, like="profile='gain'")
    known_keys("free parameter in `profile`", chosen, names)
    return chosen


def profiles(
    problem: Problem,
    end: End,
    asked: tuple[str, ...] | None,
    wide: float,
    tick: Callable[[float], None],
) -> Profile | None:
    """Intervals from profiles for the parameters asked for, or for those whose parabola is wrong.

    Args:
        problem: What was fitted.
        end: Where the fit ended.
        asked: Parameters; None for those whose parabola is off by more than a quarter at the ends of its interval.
        wide: Half-width of intervals in standard errors.
        tick: Is told the fraction done.

    Raises:
        InputError: A parameter that was asked for has no parabola to start from, since the data do not fix it.
    """
    if asked == () or np.isnan(end.quality.factor):
        return None
    known = problem.data.error is not None or problem.model_error is not None
    if asked is None and not known:
        return None
    left = problem.weight * (end.fitted + end.shift - problem.data.value)
    factor = end.quality.factor
    if not known:
        spare = len(left) - len(end.value)
        factor = float(np.sqrt(left @ left / spare)) if spare > 0 else np.nan
    independent = problem.data.samples is None
    ruler = distance(left, end.jacobian, end.spread, independent=independent, factor=factor)
    if ruler is None:
        if asked:
            raise InputError("Argument `profile` must be left out where the fit has no errors, which give its level.")
        return None
    error = np.sqrt(np.diag(end.covariance)) * end.quality.factor
    fixed = np.isfinite(error) & (error > 0)
    names = problem.free.names
    unknown = [name for name in asked or () if not fixed[names.index(name)]]
    if unknown:
        raise InputError(
            f"Argument `profile` must name parameters that the data fix, but `{unknown[0]}` they do not: see "
            "`identifiability`."
        )
    path = _Path(problem, ruler, end.shift, end.value, end.covariance * end.quality.factor**2, error)
    chosen = _wrong(path, fixed, wide) if asked is None else [names.index(name) for name in asked]
    if not chosen:
        return None
    return _search(path, chosen, wide, tick, automatic=asked is None)


class _Path(NamedTuple):
    """The fit around its minimum: the distance at a point, and the best of all points where one parameter is held."""

    problem: Problem
    ruler: Distance
    shift: np.ndarray
    value: np.ndarray
    covariance: np.ndarray
    error: np.ndarray

    def inside(self, k: int, at: float) -> float:
        """A value of parameter k that is not beyond its bounds."""
        low, high, own = self.problem.free.low[k], self.problem.free.high[k], self.value[k]
        if at < own and np.isfinite(low):
            return max(at, low + _EDGE * (own - low))
        if at > own and np.isfinite(high):
            return min(at, high - _EDGE * (high - own))
        return at

    def along_parabola(self, point: np.ndarray, k: int, at: float) -> np.ndarray:
        """A point, shape (p,), moved until k has a value, the others with it as the parabola's best values move."""
        moved = point + self.covariance[:, k] / self.covariance[k, k] * (at - point[k])
        moved = np.where(np.isfinite(moved), moved, point)
        moved[k] = at
        return np.array([self.inside(j, v) for j, v in enumerate(moved)])

    def excess(self, points: np.ndarray) -> np.ndarray:
        """The distance's growth from the fit, shape (S,), at points, shape (S, p); infinite where there is no limit."""
        residual, _ = self.problem.residuals(self.problem.free.inside(points), self.shift)
        grown = self.ruler.excess(residual)
        return np.where(np.isfinite(grown), grown, np.inf)

    def best(self, held: list[int], points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same with all others at their best; one parameter is held at each point. Also these points."""
        kept = np.array(held)

        def residuals(inner: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            residual, jacobian = self.problem.residuals(inner, self.shift)
            jacobian[np.arange(len(which)), :, kept[which]] = 0.0
            return self.ruler.of(residual), np.einsum("kd,sdp->skp", self.ruler.matrix, jacobian)

        found = minimise(residuals, self.problem.free.inside(points), iterations=ITERATIONS, floor=1e-6)
        return 2.0 * found.cost - float(self.ruler.offset @ self.ruler.offset), self.problem.free.outside(found.x)


def _wrong(path: _Path, fixed: np.ndarray, wide: float) -> list[int]:
    """Parameters whose parabola misses the distance by more than `OFF` at an end of its interval, or meets a bound."""
    tried = [k for k in range(len(path.value)) if fixed[k]]
    ends = [(k, path.value[k] + side * wide * path.error[k]) for k in tried for side in (-1, 1)]
    beyond = [abs(path.inside(k, at) - at) > 1e-3 * path.error[k] for k, at in ends]
    grown = path.excess(np.array([path.along_parabola(path.value, k, path.inside(k, at)) for k, at in ends]))
    off = np.abs(grown / wide**2 - 1.0) > OFF
    return [k for j, k in enumerate(tried) if any(off[2 * j : 2 * j + 2]) or any(beyond[2 * j : 2 * j + 2])]


class _End:
    """One end of a parameter's interval while it is sought: the root of the distance less its level."""

    def __init__(self, path: _Path, k: int, side: int, wide: float):
        self.path, self.k, self.side, self.wide = path, k, side, wide
        self.unit = wide * path.error[k]
        self.inner, self.outer = (0.0, 0.0), None  # (half-widths away, root of the distance) below and above the level
        self.at = self._reachable(1.0)
        self.point = path.value
        self.done: float | None = None
        self.seen: list[tuple[float, float]] = []

    def value(self, away: float) -> float:
        return self.path.inside(self.k, self.path.value[self.k] + self.side * away * self.unit)

    def _reachable(self, away: float) -> float:
        return abs(self.value(away) - self.path.value[self.k]) / self.unit

    def start(self) -> np.ndarray:
        """Where to search from, shape (p,): the last best point moved along the parabola."""
        return self.path.along_parabola(self.point, self.k, self.value(self.at))

    def learn(self, excess: float, point: np.ndarray) -> None:
        """Take the distance at the value tried, and choose the next value or end."""
        root = np.sqrt(max(excess, 0.0)) / self.wide if np.isfinite(excess) else np.inf
        if np.isfinite(excess):
            self.seen.append((self.value(self.at), excess))
            self.point = point
        if abs(root - 1.0) <= CLOSE:
            self.done = self.value(self.at)
            return
        if root < 1.0:
            self.inner = (self.at, root)
        else:
            self.outer = (self.at, root)
        if self.outer is None:
            away = self.at * min(2.0, 1.05 / max(root, 1e-3))
            reach = self._reachable(away)
            if reach <= self.at * (1.0 + 1e-9) or away > FARTHEST:
                self.done = self._open()
            self.at = reach
        else:
            (a, low), (b, high) = self.inner, self.outer
            share = (1.0 - low) / (high - low) if np.isfinite(high) else 0.5
            self.at = a + (b - a) * float(np.clip(share, 0.1, 0.9))
            if b - a <= CLOSE * b:
                self.done = self.value(self.at)

    def _open(self) -> float:
        """The bound, or infinity: the distance does not reach its level on this side."""
        return float((self.path.problem.free.low if self.side < 0 else self.path.problem.free.high)[self.k])


def _search(path: _Path, chosen: list[int], wide: float, tick: Callable[[float], None], *, automatic: bool) -> Profile:
    ends = [_End(path, k, side, wide) for k in chosen for side in (-1, 1)]
    for count in range(ROUNDS):
        active = [one for one in ends if one.done is None]
        if not active:
            break
        grown, points = path.best([one.k for one in active], np.array([one.start() for one in active]))
        for one, excess, point in zip(active, grown, points, strict=True):
            one.learn(float(excess), point)
        tick((count + 1) / ROUNDS)
    tick(1.0)
    names = path.problem.free.names
    low, high = np.full(len(names), np.nan), np.full(len(names), np.nan)
    for one in ends:
        (low if one.side < 0 else high)[one.k] = one.side * np.inf if one.done is None else one.done
    seen = [sorted({(float(path.value[k]), 0.0), *(pair for one in ends if one.k == k for pair in one.seen)})
            if k in chosen else [] for k in range(len(names))]  # fmt: skip
    table = np.full((2, len(names), max(map(len, seen))), np.nan)
    for k, pairs in enumerate(seen):
        table[:, k, : len(pairs)] = np.array(pairs).T if pairs else 0.0
    said = _said(path, chosen, low, high, wide, automatic) + _better(path, table[1])
    return Profile(tuple(names[k] for k in chosen), low, high, table[0], table[1], said)


def _said(path: _Path, chosen: list[int], low: np.ndarray, high: np.ndarray, wide: float, automatic: bool) -> str:
    names = path.problem.free.names
    why = f" (the parabola is off by more than {100 * OFF:g} % at an end of theirs)" if automatic else ""
    parts = [f"Intervals from profiles of the likelihood{why}:"]
    for k in chosen:
        lo, hi = path.problem.free.low[k], path.problem.free.high[k]
        half = wide * path.error[k]
        end = "" if low[k] > lo and high[k] < hi and np.isfinite([low[k], high[k]]).all() else " (open at an end)"
        parts.append(
            f"`{names[k]}` {low[k]:.5g} to {high[k]:.5g}{end}, by its parabola {path.value[k] - half:.5g} to "
            f"{path.value[k] + half:.5g};"
        )
    return " ".join(parts).removesuffix(";") + "."


def _better(path: _Path, excess: np.ndarray) -> str:
    lowest = float(np.nanmin(excess))
    return (
        f" A better fit was met on the way (chi2 lower by {-lowest:.3g}): give more `starts`." if lowest < -0.1 else ""
    )
