"""The limit's linear recursion: means and covariances of a state driven by a Gaussian input, on a grid of times.

The state follows U_{i+1} = e_i U_i + p_i H_i + q_i H_{i+1} + noise of variance v_i, where H is the input plus the
threshold. In discrete time e = gamma, p = 1, q = 0, v = sigma^2; in continuous time the coefficients are exact for
an input that is linear between grid points (exponential trapezoid), and H_{i+1} makes each step implicit.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from largen.checks import LimitError
from largen.systems.rate.sources import Sources

_MOST_CORRECTIONS = 60
_UNBOUNDED = 1e100


class Grid(NamedTuple):
    """Coefficients of the recursion, shape (point - 1,) each, and where the output times lie.

    Attributes:
        decay: e.
        now: p.
        next: q; all zero for an explicit recursion.
        noise: v.
        output: Indices of the output times, shape (time,).
    """

    decay: np.ndarray
    now: np.ndarray
    next: np.ndarray
    noise: np.ndarray
    output: np.ndarray

    @property
    def points(self) -> int:
        """Number of grid points."""
        return len(self.decay) + 1


def discrete_grid(count: int, gamma: float, sigma: float) -> Grid:
    """The grid of the map U_{t+1} = gamma U_t + H_t + sigma B_t at `count` times."""
    one = np.ones(count - 1)
    return Grid(gamma * one, one, 0.0 * one, sigma**2 * one, np.arange(count))


def continuous_grid(times: np.ndarray, tau: float, sigma: float, step: float, refine: int) -> Grid:
    """The grid of dU = (-U/tau + H) dt + sigma dW: every output interval in equal steps of at most step/refine."""
    widths = np.diff(times)
    counts = refine * np.maximum(np.ceil(widths / step - 1e-9), 1).astype(np.int64)
    h = np.repeat(widths / counts, counts)
    z = h / tau
    decay = np.exp(-z)
    share = -np.expm1(-z) / z
    small = z < 1e-3  # the differences below cancel there
    now = tau * np.where(small, z * (0.5 - z / 3 + z**2 / 8 - z**3 / 30), share - decay)
    then = tau * np.where(small, z * (0.5 - z / 6 + z**2 / 24 - z**3 / 120), 1.0 - share)
    noise = sigma**2 * tau * -np.expm1(-2.0 * z) / 2.0
    return Grid(decay, now, then, noise, np.concatenate([[0], np.cumsum(counts)]))


class Moments(NamedTuple):
    """Means and covariances on the grid.

    Attributes:
        mean: Mean of the state, shape (point,).
        driven: Covariance that the input brings, by field, lower triangle [field, t, s <= t].
        frozen: The part of it that two replicas share, likewise.
        private: Covariance at lag 0 from the threshold, the initial state and the noise, shape (point, point).
        shared: The threshold's part of it.
        changes: Largest change in each sweep of the fixed point, empty for the forward recursion.
    """

    mean: np.ndarray
    driven: np.ndarray
    frozen: np.ndarray
    private: np.ndarray
    shared: np.ndarray
    changes: np.ndarray


def private_parts(grid: Grid, initial_variance: float, threshold_variance: float) -> tuple[np.ndarray, np.ndarray]:
    """Covariance of the state without coupling, and the threshold's part of it, shape (point, point) each."""
    points = grid.points
    ramp, start, noise = np.zeros(points), np.ones(points), np.zeros((points, points))
    for i in range(points - 1):
        ramp[i + 1] = grid.decay[i] * ramp[i] + grid.now[i] + grid.next[i]
        start[i + 1] = grid.decay[i] * start[i]
        noise[i + 1, : i + 1] = grid.decay[i] * noise[i, : i + 1]
        noise[: i + 1, i + 1] = noise[i + 1, : i + 1]
        noise[i + 1, i + 1] = grid.decay[i] ** 2 * noise[i, i] + grid.noise[i]
    shared = threshold_variance * np.outer(ramp, ramp)
    return shared + initial_variance * np.outer(start, start) + noise, shared


@njit(cache=True, error_model="numpy")
def _advance(row, response, source, source_next, decay, now, nxt, t, row_out, response_out):
    """One step of the covariances of all fields.

    Args:
        row: Covariance at (t, s), shape (field, >= t + 1).
        response: cov(state at s, input at t), shape (field, >= t + 1).
        source: Input covariance at (t, s), likewise.
        source_next: Input covariance at (t + 1, s), shape (field, >= t + 2).
        decay: e.
        now: p.
        nxt: q.
        t: The time.
        row_out: Covariance at (t + 1, s), shape (field, >= t + 2).
        response_out: cov(state at s, input at t + 1), likewise.
    """
    e, p, q = decay[t], now[t], nxt[t]
    for j in range(row.shape[0]):
        latest = e * response[j, t] + p * source[j, t] + q * source_next[j, t]
        value = 0.0
        response_out[j, 0] = 0.0
        for s in range(t + 1):
            value = decay[s] * value + now[s] * source_next[j, s] + nxt[s] * source_next[j, s + 1]
            response_out[j, s + 1] = value
        for s in range(t + 1):
            row_out[j, s] = e * row[j, s] + p * response[j, s] + q * response_out[j, s]
        row_out[j, t + 1] = e * row_out[j, t] + p * latest + q * response_out[j, t + 1]


class _Line:
    """The running rows of one covariance (averaged law, or two replicas)."""

    def __init__(self, fields: int, points: int, private: np.ndarray, same: bool):
        self.covariance = np.zeros((fields, points, points))
        self.response, self.spare = np.zeros((fields, points)), np.zeros((fields, points))
        self.source, self.source_next = np.zeros((fields, points)), np.zeros((fields, points))
        self.private, self.same = private, same

    def evaluate(self, sources: Sources, t: int) -> None:
        """Input covariance at (t, s), from the covariance there."""
        driven = np.ascontiguousarray(self.covariance[:, t, : t + 1])
        self.source_next[:, : t + 1] = sources.row(t, driven, self.private[t, : t + 1], self.same)

    def advance(self, grid: Grid, t: int) -> None:
        """Covariance at t + 1 from the input covariance at t and, where it counts, at t + 1."""
        _advance(
            self.covariance[:, t],
            self.response,
            self.source,
            self.source_next,
            grid.decay,
            grid.now,
            grid.next,
            t,
            self.covariance[:, t + 1],
            self.spare,
        )

    def predict(self, t: int, implicit: bool) -> None:
        """Guess the input covariance at t + 1 by that at t, where the step asks for it."""
        if implicit:
            self.source_next[:, : t + 1] = self.source[:, : t + 1]
            self.source_next[:, t + 1] = self.source[:, t]

    def correct(self, grid: Grid, t: int) -> float:
        """Advance again with the input covariance found at t + 1 and return the largest change."""
        old = self.covariance[:, t + 1, : t + 2].copy()
        self.advance(grid, t)
        return float(np.abs(self.covariance[:, t + 1, : t + 2] - old).max())

    def accept(self) -> None:
        """Make what was computed for t + 1 the present."""
        self.response, self.spare = self.spare, self.response
        self.source, self.source_next = self.source_next, self.source


class Problem(NamedTuple):
    """What the recursion needs of a model.

    Attributes:
        mean_weight: Jbar.
        threshold_mean: theta.
        threshold_variance: Variance of the thresholds.
        initial_mean: Mean of the initial states.
        initial_variance: Their variance.
    """

    mean_weight: float
    threshold_mean: float
    threshold_variance: float
    initial_mean: float
    initial_variance: float


def forward(problem: Problem, grid: Grid, sources: Sources, frozen: bool = True) -> Moments:
    """Solve by one sweep forward in time: exact in discrete time, by corrected steps in continuous time."""
    points, fields = grid.points, len(sources.coupling.total)
    private, shared = private_parts(grid, problem.initial_variance, problem.threshold_variance)
    lines = [_Line(fields, points, private, True)]
    if frozen:
        lines.append(_Line(fields, points, shared, False))
    mean = np.zeros(points)
    mean[0] = problem.initial_mean
    drive = _set(problem, sources, 0, mean[0], private[0, 0])
    for line in lines:
        line.evaluate(sources, 0)
        line.accept()
    implicit = bool(np.any(grid.next))
    for t in range(points - 1):
        fixed = grid.decay[t] * mean[t] + grid.now[t] * drive
        for line in lines:
            line.predict(t, implicit)
            line.advance(grid, t)
        before = np.inf
        for correction in range(_MOST_CORRECTIONS if implicit else 1):
            mean[t + 1] = fixed + grid.next[t] * drive
            variance = lines[0].covariance[0, t + 1, t + 1] + private[t + 1, t + 1]
            drive = _set(problem, sources, t + 1, mean[t + 1], variance)
            change = abs(fixed + grid.next[t] * drive - mean[t + 1])
            for line in lines:
                line.evaluate(sources, t + 1)
                change = max(change, line.correct(grid, t))
            scale = 1.0 + abs(mean[t + 1]) + variance
            stalled = correction > 3 and change >= before and change <= 1e-11 * scale
            if change <= 1e-14 * scale or stalled:
                break
            before = change
        else:
            if implicit:
                raise LimitError(f"The step to point {t + 1} of {points} did not converge: give a smaller step.")
        mean[t + 1] = fixed + grid.next[t] * drive
        for line in lines:
            line.accept()
    last = lines[1].covariance if frozen else np.zeros((fields, 0, 0))
    return Moments(mean, lines[0].covariance, last, private, shared, np.zeros(0))


def _set(problem: Problem, sources: Sources, t: int, mean: float, variance: float) -> float:
    """Set the law at a time and return the mean drive Jbar E f + theta."""
    if not (abs(mean) < _UNBOUNDED and variance < _UNBOUNDED):
        raise LimitError(f"The limit grows without bound: its variance is {variance:.2g} after {t} steps.")
    return problem.mean_weight * sources.set(t, mean, max(variance, 0.0)) + problem.threshold_mean


def fixed_point(
    problem: Problem, grid: Grid, sources: Sources, tolerance: float, most: int = 1000, frozen: bool = True
) -> Moments:
    """Solve by the paper's iteration: input from the state's law, state from the input's law, on the whole horizon.

    Starts without coupling. Sweep n makes the first n steps exact in discrete time, so that the last needed is the
    number of steps. `changes` has the largest change of a mean or covariance in each sweep.
    """
    points, fields = grid.points, len(sources.coupling.total)
    private, shared = private_parts(grid, problem.initial_variance, problem.threshold_variance)
    implicit = bool(np.any(grid.next))
    mean = np.zeros(points)
    mean[0] = problem.initial_mean
    for t in range(points - 1):
        mean[t + 1] = grid.decay[t] * mean[t] + (grid.now[t] + grid.next[t]) * problem.threshold_mean
    pairs = [(private, True)] + ([(shared, False)] if frozen else [])
    covariances = [np.zeros((fields, points, points)) for _ in pairs]
    changes: list[float] = []
    while len(changes) < most:
        drives = np.array(
            [_set(problem, sources, t, mean[t], covariances[0][0, t, t] + private[t, t]) for t in range(points)]
        )
        new_mean = mean.copy()
        for t in range(points - 1):
            new_mean[t + 1] = grid.decay[t] * new_mean[t] + grid.now[t] * drives[t] + grid.next[t] * drives[t + 1]
        change = np.abs(new_mean - mean).max()
        for k, (own, same) in enumerate(pairs):
            line = _Line(fields, points, own, same)
            old = covariances[k]
            for t in range(points):
                driven = np.ascontiguousarray(old[:, t, : t + 1])
                line.source_next[:, : t + 1] = sources.row(t, driven, own[t, : t + 1], same)
                if t:
                    line.advance(grid, t - 1)
                line.accept()
            change = max(change, np.abs(line.covariance - old).max())
            covariances[k] = line.covariance
        mean = new_mean
        changes.append(float(change))
        if change <= tolerance or (not implicit and len(changes) == points - 1):
            last = covariances[1] if frozen else np.zeros((fields, 0, 0))
            return Moments(mean, covariances[0], last, private, shared, np.array(changes))
    raise LimitError(
        f"The fixed point was not reached: the last of {most} sweeps still changed the law by {changes[-1]:.2e}."
    )
