"""The curve between two neighbouring points, on which zeros of test functions are located."""

from collections.abc import Callable
from typing import Any

import numpy as np

from largen.numerics.continuation.corrector import NotConverged, correct_across
from largen.numerics.continuation.linear import AbstractJacobian
from largen.numerics.continuation.problem import Point, point_at

FINEST = 0.01
"""A zero is located at least to this share of the segment: steps are short where the curve turns sharply."""
SHIFTS = (0.0, 0.21, -0.37, 3.1, -5.3)
"""Shifts of the start of Newton's method, in tolerances, where it fails (a branch point makes the matrix singular)."""


class Segment:
    """The curve from a to b, both of a's problem, by the distance s along the tangent at a."""

    def __init__(self, a: Point, b: Point, tolerance: float):
        """Keep the ends, b being corrected in the hyperplane normal to a's tangent.

        Args:
            a: A point.
            b: The next point.
            tolerance: Length along the curve to which zeros are located.
        """
        self.a, self.b = a, b
        self.row = a.problem.weights**2 * a.tangent
        self.length = float(self.row @ (b.z - a.z))
        self.tolerance = min(tolerance, FINEST * abs(self.length))
        self.corrected: dict[float, tuple[np.ndarray, np.ndarray, AbstractJacobian | None]] = {
            0.0: (a.z, a.tangent, None),
            self.length: (b.z, b.tangent, None),
        }
        self.points = {0.0: a, self.length: b}

    def tangent(self, s: float) -> np.ndarray:
        """The tangent at s."""
        return self._correct(s)[1]

    def at(self, s: float) -> Point:
        """The point at s."""
        if s not in self.points:
            z, tangent, jacobian = self._correct(s)
            assert jacobian is not None
            self.points[s] = point_at(self.a.problem, z, tangent, jacobian)
        return self.points[s]

    def _correct(self, s: float) -> tuple[np.ndarray, np.ndarray, AbstractJacobian | None]:
        """Onto the curve at s, or next to it."""
        for shift in SHIFTS:
            if s in self.corrected:
                break
            guess = self._interpolated(s + shift * self.tolerance)
            try:
                self.corrected[s] = correct_across(self.a.problem, guess, self.a.tangent)[:3]
            except NotConverged:
                continue
        if s not in self.corrected:
            raise NotConverged(np.nan, 0)
        return self.corrected[s]

    def _interpolated(self, s: float) -> np.ndarray:
        """The cubic Hermite interpolant through the nearest known points on both sides, with their tangents."""
        known, length = self.corrected, self.length
        low = max((k for k in known if (k - s) * length <= 0.0), key=lambda k: k / length, default=0.0)
        high = min((k for k in known if (k - s) * length > 0.0), key=lambda k: k / length, default=length)
        if low == high:
            low = 0.0
        step, t = high - low, (s - low) / (high - low)
        (one, first, _), (two, last, _) = known[low], known[high]
        slopes = [step * tangent / (self.row @ tangent) for tangent in (first, last)]
        cubic = (1 + 2 * t) * (1 - t) ** 2 * one + t**2 * (3 - 2 * t) * two
        return cubic + t * (1 - t) ** 2 * slopes[0] - t**2 * (1 - t) * slopes[1]

    def zero(self, test: Callable[[float], float]) -> tuple[float, Point]:
        """Where a test function of s changes sign."""
        import scipy.optimize  # a tenth of a second to import, and seldom wanted

        brentq: Any = scipy.optimize.brentq
        s = brentq(lambda s: test(float(s)), 0.0, self.length, xtol=self.tolerance, rtol=1e-14)
        return float(s), self.at(float(s))

    def try_zero(self, test: Callable[[float], float]) -> tuple[float, Point] | None:
        """The same, or None where the curve cannot be followed there."""
        try:
            return self.zero(test)
        except NotConverged:
            return None

    def uncertainty(self, point: Point, error: float = 0.0) -> float:
        """Of the parameter at a point, from the error of s, to first and second order.

        Args:
            point: The point.
            error: Error of s beyond the tolerance, from the error of the test function.
        """
        bend = abs((self.b.tangent[-1] - self.a.tangent[-1]) / self.length)
        spacing = 4.0 * np.spacing(abs(point.z[-1]))
        reach = 2.0 * self.tolerance + error
        return float(reach * (abs(point.tangent[-1]) + 0.5 * bend * reach) + spacing)
