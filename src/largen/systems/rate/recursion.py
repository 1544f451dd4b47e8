"""The limit's linear recursion: means and covariances of a state driven by a Gaussian input, on a grid of times.

On the grid the state follows (eq. R7 of docs/rate.md)

    U_{i+1} = e_i U_i + p_i H_i + q_i H_{i+1} + noise of variance v_i,

where H is the input plus the threshold. In discrete time e = gamma, p = 1, q = 0, v = sigma^2 (eq. R1). In continuous
time the coefficients are exact for an input that is linear between grid points (exponential trapezoid, eq. R8), and
H_{i+1} makes each step implicit. Covariances obey the same recursion in each of their two times: with
X_ts = cov(U_t, U_s) and Y_ts = cov(H_t, U_s), both sides of the recursion are multiplied by U_s or by H_s.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.checks import LimitError
from largen.numerics.compiled import njit
from largen.runtime.memory import require_memory
from largen.systems.rate.input_covariance import InputCovariance

if TYPE_CHECKING:
    from largen.systems.rate.model import RateNetwork

_MOST_CORRECTIONS = 60
_UNBOUNDED = 1e100


class Grid(NamedTuple):
    """Coefficients of the recursion, and where the output times lie.

    Attributes:
        decay: e, shape (point - 1,).
        now: p, shape (point - 1,).
        next: q, shape (point - 1,); all zero for an explicit recursion.
        noise: v, shape (point - 1,).
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


def grid_points(times: np.ndarray, step: float, refine: int) -> float:
    """Number of points that `continuous_grid` will have."""
    return 1.0 + refine * float(np.maximum(np.ceil(np.diff(times) / step - 1e-9), 1.0).sum())


def continuous_grid(times: np.ndarray, tau: float, sigma: float, step: float, refine: int) -> Grid:
    """The grid of dU = (-U/tau + H) dt + sigma dW: every output interval in equal steps of at most step/refine.

    With z = h/tau (eq. R8): e = exp(-z), p = tau ((1 - e)/z - e), q = tau (1 - (1 - e)/z),
    v = sigma^2 tau (1 - e^2)/2.
    """
    total = grid_points(times, step, refine)
    require_memory(200.0 * total, f"A grid of {total:.3g} time steps", "Take shorter times or longer steps.")
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
        driven: Covariance that the input brings, by field (see `kernels.Coupling`), shape (field, point, point), of
            which the lower triangle [field, t, s <= t] is filled.
        frozen: The part of it that two replicas share, likewise.
        private: Covariance at lag 0 from the threshold, the initial state and the noise, shape (point, point).
        shared: The threshold's part of it, likewise.
        changes: Largest change in each sweep of the fixed point, shape (sweep,), empty for the forward recursion.
    """

    mean: np.ndarray
    driven: np.ndarray
    frozen: np.ndarray
    private: np.ndarray
    shared: np.ndarray
    changes: np.ndarray


def private_parts(grid: Grid, initial_variance: float, threshold_variance: float) -> np.ndarray:
    """Covariance of the state without coupling, and the threshold's part of it, shape (2, point, point)."""
    points = grid.points
    ramp, start, noise = np.zeros(points), np.ones(points), np.zeros((points, points))
    for i in range(points - 1):
        ramp[i + 1] = grid.decay[i] * ramp[i] + grid.now[i] + grid.next[i]
        start[i + 1] = grid.decay[i] * start[i]
        noise[i + 1, : i + 1] = grid.decay[i] * noise[i, : i + 1]
        noise[: i + 1, i + 1] = noise[i + 1, : i + 1]
        noise[i + 1, i + 1] = grid.decay[i] ** 2 * noise[i, i] + grid.noise[i]
    shared = threshold_variance * np.outer(ramp, ramp)
    return np.stack([shared + initial_variance * np.outer(start, start) + noise, shared])


@njit(cache=True, error_model="numpy")
def _respond(source_next, decay, now, nxt, t, response_out):
    """cov(state at s, input at t + 1) for all fields.

    Args:
        source_next: Input covariance at (t + 1, s), shape (field, >= t + 2).
        decay: e.
        now: p.
        nxt: q.
        t: The time.
        response_out: cov(state at s, input at t + 1), shape (field, >= t + 2).
    """
    for j in range(source_next.shape[0]):
        value = 0.0
        response_out[j, 0] = 0.0
        for s in range(t + 1):
            value = decay[s] * value + now[s] * source_next[j, s] + nxt[s] * source_next[j, s + 1]
            response_out[j, s + 1] = value


@njit(cache=True, error_model="numpy")
def _advance(row, response, source, source_next, response_next, decay, now, nxt, t, row_out):
    """One step of the covariances of all fields; where q = 0 nothing of time t + 1 counts.

    Args:
        row: Covariance at (t, s), shape (field, >= t + 1).
        response: cov(state at s, input at t), shape (field, >= t + 1).
        source: Input covariance at (t, s), likewise.
        source_next: Input covariance at (t + 1, s), shape (field, >= t + 2).
        response_next: cov(state at s, input at t + 1), likewise.
        decay: e.
        now: p.
        nxt: q.
        t: The time.
        row_out: Covariance at (t + 1, s), shape (field, >= t + 2).
    """
    e, p, q = decay[t], now[t], nxt[t]
    for j in range(row.shape[0]):
        latest = e * response[j, t] + p * source[j, t]
        for s in range(t + 1):
            row_out[j, s] = e * row[j, s] + p * response[j, s]
        if q != 0.0:
            latest += q * source_next[j, t]
            for s in range(t + 1):
                row_out[j, s] += q * response_next[j, s]
        row_out[j, t + 1] = e * row_out[j, t] + p * latest
        if q != 0.0:
            row_out[j, t + 1] += q * response_next[j, t + 1]


class _Rows:
    """The running rows of the covariances of all laws and fields: of one network and, below, of two replicas.

    Args:
        own: Covariance at lag 0 without coupling in each law, shape (law, point, point).
        fields: Number of fields.
    """

    def __init__(self, own: np.ndarray, fields: int):
        laws, points, _ = own.shape
        self.own, self.fields = own, fields
        self.covariance = np.zeros((laws * fields, points, points))
        self.response, self.spare, self.source, self.source_next = np.zeros((4, laws * fields, points))

    def evaluate(self, inputs: InputCovariance, t: int, covariance: np.ndarray | None = None) -> None:
        """Input covariance at (t, s), from the covariance there (its own, unless one is given)."""
        laws, count = len(self.own), t + 1
        driven = (self.covariance if covariance is None else covariance)[:, t, :count]
        found = inputs.row(t, driven.reshape(laws, self.fields, count), self.own[:, t, :count])
        self.source_next[:, :count] = found.reshape(laws * self.fields, count)

    def respond(self, grid: Grid, t: int) -> None:
        """What the input at t + 1 has in common with the state so far."""
        _respond(self.source_next, grid.decay, grid.now, grid.next, t, self.spare)

    def advance(self, grid: Grid, t: int) -> None:
        """Covariance at t + 1 from the input covariance at t and, where it counts, at t + 1."""
        arrays = self.covariance[:, t], self.response, self.source, self.source_next, self.spare
        _advance(*arrays, grid.decay, grid.now, grid.next, t, self.covariance[:, t + 1])

    def predict(self, grid: Grid, t: int, implicit: bool) -> None:
        """Advance with a guess of the input covariance at t + 1, that at t, where the step asks for it."""
        if implicit:
            self.source_next[:, : t + 1] = self.source[:, : t + 1]
            self.source_next[:, t + 1] = self.source[:, t]
            self.respond(grid, t)
        self.advance(grid, t)

    def correct(self, grid: Grid, t: int, implicit: bool) -> float:
        """Take in the input covariance found at t + 1 and return the largest change of the state's."""
        self.respond(grid, t)
        if not implicit:
            return 0.0
        old = self.covariance[:, t + 1, : t + 2].copy()
        self.advance(grid, t)
        return float(np.abs(self.covariance[:, t + 1, : t + 2] - old).max())

    def accept(self) -> None:
        """Make what was computed for t + 1 the present."""
        self.response, self.spare = self.spare, self.response
        self.source, self.source_next = self.source_next, self.source

    def moments(self, mean: np.ndarray, changes: np.ndarray) -> "Moments":
        """Labelled by law."""
        driven, frozen = self.covariance[: self.fields], self.covariance[self.fields :]
        return Moments(mean, driven, frozen, self.own[0], self.own[1], changes)


class Problem(NamedTuple):
    """The model's numbers that enter the recursion besides the grid and the kernel.

    Attributes:
        mean_weight: Jbar, N times the mean weight.
        threshold_mean: Mean of the thresholds.
        threshold_variance: Variance of the thresholds.
        initial_mean: Mean of the initial states.
        initial_variance: Variance of the initial states.
    """

    mean_weight: float
    threshold_mean: float
    threshold_variance: float
    initial_mean: float
    initial_variance: float

    @classmethod
    def of(cls, model: "RateNetwork") -> "Problem":
        """Those of a model."""
        return cls(*(float(getattr(model, name)) for name in cls._fields))


def forward(problem: Problem, grid: Grid, inputs: InputCovariance) -> Moments:
    """Solve by one sweep forward in time: exact in discrete time, by corrected steps in continuous time."""
    points = grid.points
    own = private_parts(grid, problem.initial_variance, problem.threshold_variance)
    rows = _Rows(own, len(inputs.coupling.total))
    mean = np.zeros(points)
    mean[0] = problem.initial_mean
    drive = _set(problem, inputs, 0, mean[0], own[0, 0, 0])
    rows.evaluate(inputs, 0)
    rows.accept()
    implicit = bool(np.any(grid.next))
    for t in range(points - 1):
        fixed = grid.decay[t] * mean[t] + grid.now[t] * drive
        rows.predict(grid, t, implicit)
        before = np.inf
        for correction in range(_MOST_CORRECTIONS if implicit else 1):
            mean[t + 1] = fixed + grid.next[t] * drive
            variance = rows.covariance[0, t + 1, t + 1] + own[0, t + 1, t + 1]
            drive = _set(problem, inputs, t + 1, mean[t + 1], variance)
            rows.evaluate(inputs, t + 1)
            change = max(abs(fixed + grid.next[t] * drive - mean[t + 1]), rows.correct(grid, t, implicit))
            scale = 1.0 + abs(mean[t + 1]) + variance
            stalled = correction > 3 and change >= before and change <= 1e-11 * scale
            if change <= 1e-14 * scale or stalled:
                break
            before = change
        else:
            if implicit:
                raise LimitError(f"The step to point {t + 1} of {points} did not converge: give a smaller step.")
        mean[t + 1] = fixed + grid.next[t] * drive
        rows.accept()
    return rows.moments(mean, np.zeros(0))


def _set(problem: Problem, inputs: InputCovariance, t: int, mean: float, variance: float) -> float:
    """Set the law at a time and return the mean drive Jbar E f + theta."""
    if not (abs(mean) < _UNBOUNDED and variance < _UNBOUNDED):
        raise LimitError(
            f"The limit grows without bound: its variance is {variance:.2g} after {t} steps. "
            "Take a bounded activation, a smaller kernel, or shorter times."
        )
    return problem.mean_weight * inputs.set(t, mean, max(variance, 0.0)) + problem.threshold_mean


def fixed_point(problem: Problem, grid: Grid, inputs: InputCovariance, tolerance: float, most: int = 1000) -> Moments:
    """Solve by the source's iteration: input from the state's law, state from the input's law, on the whole horizon.

    It starts without coupling. Sweep n makes the first n steps exact in discrete time, so that the last needed is the
    number of steps. `changes` has the largest change of a mean or covariance in each sweep.
    """
    points, fields = grid.points, len(inputs.coupling.total)
    own = private_parts(grid, problem.initial_variance, problem.threshold_variance)
    implicit = bool(np.any(grid.next))
    mean = np.zeros(points)
    mean[0] = problem.initial_mean
    for t in range(points - 1):
        mean[t + 1] = grid.decay[t] * mean[t] + (grid.now[t] + grid.next[t]) * problem.threshold_mean
    old = np.zeros((len(own) * fields, points, points))
    changes: list[float] = []
    while len(changes) < most:
        drives = np.array([_set(problem, inputs, t, mean[t], old[0, t, t] + own[0, t, t]) for t in range(points)])
        new_mean = mean.copy()
        for t in range(points - 1):
            new_mean[t + 1] = grid.decay[t] * new_mean[t] + grid.now[t] * drives[t] + grid.next[t] * drives[t + 1]
        rows = _Rows(own, fields)
        for t in range(points):
            rows.evaluate(inputs, t, old)
            if t:
                rows.respond(grid, t - 1)
                rows.advance(grid, t - 1)
            rows.accept()
        changes.append(float(max(np.abs(new_mean - mean).max(), np.abs(rows.covariance - old).max())))
        mean, old = new_mean, rows.covariance
        if changes[-1] <= tolerance or (not implicit and len(changes) == points - 1):
            return rows.moments(mean, np.array(changes))
    raise LimitError(
        f"The fixed point was not reached: the last of {most} sweeps still changed the law by {changes[-1]:.2e}. "
        'Take method="recursion", or shorter times.'
    )
