"""The limit on a grid of times: one sweep forward, population by population (eqs. P4 to P9).

Between the points of the grid the states follow the linear recursion of `systems.rate.recursion`. At each time the
order is: laws, rates and latent variables; input covariances with all earlier times; one step of means, filtered latent
variables and fields. In continuous time a step is implicit, and repeated until it no longer changes.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.checks import LimitError
from largen.numerics.compiled import njit
from largen.systems.rate.input_covariance import InputCovariance
from largen.systems.rate.kernels import Coupling
from largen.systems.rate.populations.expectations import Response, responses_of
from largen.systems.rate.populations.fields import Fields, fields_of
from largen.systems.rate.populations.numbers import Numbers, input_at, signals_at
from largen.systems.rate.recursion import Grid, continuous_grid, discrete_grid

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations

_MOST_CORRECTIONS = 60
_UNBOUNDED = 1e100


class Law(NamedTuple):
    """Means and covariances on the grid.

    Attributes:
        mean: Shape (population, point).
        rate: Mean rates, likewise.
        latent: Latent variables, shape (rank, point).
        fields: Covariances that the inputs bring, shape (field, point, point), lower triangle [t, s <= t].
        frozen: The part of them that two replicas share, likewise.
        private: Covariance at lag 0 from loadings, initial state and noise, shape (population, point, point).
        shared: The loadings' part of it, likewise.
        tail: Largest error bound of a Gaussian expectation.
    """

    mean: np.ndarray
    rate: np.ndarray
    latent: np.ndarray
    fields: np.ndarray
    frozen: np.ndarray
    private: np.ndarray
    shared: np.ndarray
    tail: float


class _Inputs(InputCovariance):
    """The series of one source population at all times."""

    def __init__(self, response: Response, weights: np.ndarray, pair: tuple[float, float] | None, points: int,
                 rtol: float, atol: float):  # fmt: skip
        series = len(weights)
        zeros = np.zeros((1, series))
        super().__init__(
            response, Coupling(zeros, np.zeros(series, np.int64), weights, np.zeros(1), 0.0, pair), points, rtol, atol
        )

    def sums(self, t: int, covariance: np.ndarray) -> np.ndarray:
        """Series at (s, t) for s = 0..t, from their covariances; shape (law * series, t + 1) in and out.

        The first row is lag 0 of one network, whose s = t is one and the same variable.
        """
        scale = np.sqrt(self.variance[: t + 1] * self.variance[t])
        with np.errstate(divide="ignore", invalid="ignore"):
            r = np.where(scale > 0.0, np.clip(covariance / scale, -1.0, 1.0), 0.0)
        r[0, t] = 0.0  # no series: the variance itself
        found = self._series(t, None, np.ascontiguousarray(r))
        found[0, t] = self.table.variance[t]
        return found

    def slope(self, t: int) -> float:
        """E phi' at a time."""
        if self.variance[t] <= 0.0:
            assert isinstance(self.activation, Response)
            return float(self.activation.derivative(self.mean[t : t + 1])[0])
        return float(self.table.coefficients[0, t]) / float(np.sqrt(self.variance[t]))


class Setting(NamedTuple):
    """A model prepared for a grid of times.

    Attributes:
        numbers: The model's numbers.
        fields: Its fields.
        responses: Activations by population.
        grids: The grid with the coefficients of every population.
        drive: Threshold means plus common input plus the patterns' means, shape (population, point).
        signals: s_p on the grid, shape (pattern, point).
        rtol: Relative tolerance.
        atol: Absolute tolerance.
    """

    numbers: Numbers
    fields: Fields
    responses: tuple[Response, ...]
    grids: tuple[Grid, ...]
    drive: np.ndarray
    signals: np.ndarray
    rtol: float
    atol: float

    @property
    def points(self) -> int:
        """Number of grid points."""
        return self.grids[0].points


def prepare(
    model: "RatePopulations", times: np.ndarray, *, step: float, refine: int, rtol: float, atol: float
) -> Setting:
    """Prepare a model; in discrete time `step` and `refine` are ignored."""
    numbers = Numbers.of(model)
    if numbers.discrete:
        pairs = zip(numbers.decay, numbers.noise, strict=True)
        grids = tuple(discrete_grid(len(times), float(gamma), float(sigma)) for gamma, sigma in pairs)
        grid_times = times
    else:
        pairs = zip(numbers.decay, numbers.noise, strict=True)
        grids = tuple(continuous_grid(times, float(tau), float(sigma), step, refine) for tau, sigma in pairs)
        counts = np.diff(grids[0].output)
        parts = [np.linspace(a, b, k, endpoint=False) for a, b, k in zip(times[:-1], times[1:], counts, strict=True)]
        grid_times = np.concatenate([*parts, times[-1:]])
    rank, signals = numbers.loadings.rank, signals_at(model, grid_times)
    drive = numbers.loadings.mean[:, rank : rank + 1] + input_at(model, grid_times)
    drive = drive + numbers.loadings.mean[:, rank + 1 :] @ signals
    return Setting(numbers, fields_of(numbers.kernels), responses_of(model), grids, drive, signals, rtol, atol)


class _State:
    """Everything that one sweep forward carries along."""

    def __init__(self, setting: Setting):
        self.setting, numbers, points = setting, setting.numbers, setting.points
        count, rank = len(numbers.fractions), numbers.loadings.rank
        grids = setting.grids
        self.e, self.p, self.q = (
            np.array([getattr(grid, name) for grid in grids]) for name in ("decay", "now", "next")
        )
        self.implicit = bool(np.any(self.q))
        self.mean, self.rate, self.slope = np.zeros((3, count, points))
        self.latent = np.zeros((rank, points))
        # V: filtered latent variables, filtered 1, filtered signals
        self.filtered = np.zeros((count, numbers.loadings.mean.shape[1], points))
        self._filter_known()
        self.private, self.shared = np.zeros((2, count, points, points))
        self._start_private()
        fields = setting.fields.count
        self.covariance = np.zeros((2, fields, points, points))  # of one network, of two replicas
        self.response, self.spare, self.source, self.source_next = np.zeros((4, 2, fields, points))
        self.inputs = tuple(
            _Inputs(response, source.weights, source.pair, points, setting.rtol, setting.atol)
            for response, source in zip(setting.responses, setting.fields.sources, strict=True)
        )

    def _filter_known(self) -> None:
        rank, signals = self.setting.numbers.loadings.rank, self.setting.signals
        known = np.concatenate([np.ones((1, self.setting.points)), signals])
        for t in range(self.setting.points - 1):
            now = self.p[:, None, t] * known[None, :, t] + self.q[:, None, t] * known[None, :, t + 1]
            self.filtered[:, rank:, t + 1] = self.e[:, None, t] * self.filtered[:, rank:, t] + now

    def _start_private(self) -> None:
        numbers = self.setting.numbers
        for a, grid in enumerate(self.setting.grids):
            start = np.concatenate([[1.0], np.cumprod(grid.decay)])
            noise = np.zeros((grid.points, grid.points))
            for i in range(grid.points - 1):
                noise[i + 1, : i + 1] = grid.decay[i] * noise[i, : i + 1]
                noise[: i + 1, i + 1] = noise[i + 1, : i + 1]
                noise[i + 1, i + 1] = grid.decay[i] ** 2 * noise[i, i] + grid.noise[i]
            self.private[a] = numbers.initial_variance[a] * np.outer(start, start) + noise
        self.base = self.private.copy()

    def own(self, t: int) -> None:
        """Covariance without coupling of the states at t and before, from what was filtered up to t."""
        covariance = self.setting.numbers.loadings.covariance
        shared = np.einsum("ads,ade,ae->as", self.filtered[:, :, : t + 1], covariance, self.filtered[:, :, t])
        self.shared[:, t, : t + 1] = shared
        self.private[:, t, : t + 1] = self.base[:, t, : t + 1] + shared

    def set_law(self, t: int) -> np.ndarray:
        """Set the laws at a time and return the drive of the means, shape (population,)."""
        numbers, fields = self.setting.numbers, self.setting.fields
        self.own(t)
        for a, inputs in enumerate(self.inputs):
            variance = float(fields.of(a) @ self.covariance[0, :, t, t] + self.private[a, t, t])
            mean = float(self.mean[a, t])
            if not (abs(mean) < _UNBOUNDED and variance < _UNBOUNDED):
                raise LimitError(
                    f"The limit grows without bound: its variance is {variance:.2g} after {t} steps. Take a bounded "
                    "activation, smaller weights, or shorter times."
                )
            self.rate[a, t] = inputs.set(t, mean, max(variance, 0.0))
            self.slope[a, t] = inputs.slope(t)
        loadings = numbers.loadings
        stein = np.einsum("ard,ad->ar", loadings.right, self.filtered[:, :, t]) * self.slope[:, t : t + 1]
        self.latent[:, t] = numbers.fractions @ (loadings.right_mean * self.rate[:, t : t + 1] + stein)
        drive = numbers.mean_weight @ self.rate[:, t] + self.setting.drive[:, t]
        return drive + loadings.mean[:, : loadings.rank] @ self.latent[:, t]

    def evaluate(self, t: int) -> None:
        """Input covariances of all fields at (t, s), s <= t, of both laws."""
        fields, count = self.setting.fields, t + 1
        out = np.zeros((2, fields.count, count))
        for b, (inputs, source, mix) in enumerate(zip(self.inputs, fields.sources, fields.mix, strict=True)):
            series = len(source.reads)
            covariance = source.reads @ self.covariance[:, :, t, :count]
            covariance[0, 0] += self.private[b, t, :count]
            covariance[1, 0] += self.shared[b, t, :count]
            sums = inputs.sums(t, covariance.reshape(2 * series, count)).reshape(2, series, count)
            out += mix @ sums + fields.total[:, b, None] * (self.rate[b, :count] * self.rate[b, t])
        self.source_next[:, :, :count] = out

    def respond(self, t: int) -> None:
        """What the input at t + 1 has in common with the states so far."""
        _respond(self.source_next, self.e, self.p, self.q, self.setting.fields.target, t, self.spare)

    def advance(self, t: int) -> None:
        """Covariance of the fields at t + 1."""
        arrays = self.covariance[:, :, t], self.response, self.source, self.source_next, self.spare
        _advance(*arrays, self.e, self.p, self.q, self.setting.fields.target, t, self.covariance[:, :, t + 1])

    def accept(self) -> None:
        """Make what was computed for t + 1 the present."""
        self.response, self.spare = self.spare, self.response
        self.source, self.source_next = self.source_next, self.source


def forward(setting: Setting) -> Law:
    """Solve by one sweep forward in time: exact in discrete time, by corrected steps in continuous time."""
    state, numbers = _State(setting), setting.numbers
    rank, points = numbers.loadings.rank, setting.points
    state.mean[:, 0] = numbers.initial_mean
    drive = state.set_law(0)
    state.evaluate(0)
    state.accept()
    for t in range(points - 1):
        e, p, q = state.e[:, t], state.p[:, t], state.q[:, t]
        fixed = e * state.mean[:, t] + p * drive
        fixed_latent = e[:, None] * state.filtered[:, :rank, t] + p[:, None] * state.latent[:, t]
        latent = state.latent[:, t]
        if state.implicit:  # a guess of the input covariance at t + 1: that at t
            state.source_next[:, :, : t + 1] = state.source[:, :, : t + 1]
            state.source_next[:, :, t + 1] = state.source[:, :, t]
            state.respond(t)
        state.advance(t)
        before = np.inf
        for correction in range(_MOST_CORRECTIONS):
            state.mean[:, t + 1] = fixed + q * drive
            state.filtered[:, :rank, t + 1] = fixed_latent + q[:, None] * latent
            drive = state.set_law(t + 1)
            change = float(np.abs(fixed + q * drive - state.mean[:, t + 1]).max())
            latent = state.latent[:, t + 1]
            state.evaluate(t + 1)
            state.respond(t)
            if not state.implicit:
                break
            old = state.covariance[:, :, t + 1, : t + 2].copy()
            state.advance(t)
            change = max(change, float(np.abs(state.covariance[:, :, t + 1, : t + 2] - old).max()))
            scale = 1.0 + float(np.abs(state.mean[:, t + 1]).max() + np.abs(old).max())
            stalled = correction > 3 and change >= before and change <= 1e-11 * scale
            if change <= max(1e-14, 1e-4 * setting.rtol) * scale or stalled:
                break
            before = change
        else:
            raise LimitError(f"The step to point {t + 1} of {points} did not converge: give a smaller step.")
        state.mean[:, t + 1] = fixed + q * drive
        state.accept()
    tail = max(inputs.tail for inputs in state.inputs)
    parts = state.covariance[0], state.covariance[1], state.private, state.shared
    return Law(state.mean, state.rate, state.latent, *parts, tail)


@njit(cache=True, error_model="numpy")
def _respond(source_next, decay, now, nxt, target, t, response_out):
    """cov(state at s, input at t + 1) for all laws and fields.

    Args:
        source_next: Input covariance at (t + 1, s), shape (law, field, >= t + 2).
        decay: e, shape (population, point - 1).
        now: p, likewise.
        nxt: q, likewise.
        target: Population of a field, shape (field,).
        t: The time.
        response_out: Shape (law, field, >= t + 2).
    """
    for law in range(source_next.shape[0]):
        for f in range(source_next.shape[1]):
            a, value = target[f], 0.0
            response_out[law, f, 0] = 0.0
            for s in range(t + 1):
                value = (
                    decay[a, s] * value + now[a, s] * source_next[law, f, s] + nxt[a, s] * source_next[law, f, s + 1]
                )
                response_out[law, f, s + 1] = value


@njit(cache=True, error_model="numpy")
def _advance(row, response, source, source_next, response_next, decay, now, nxt, target, t, row_out):
    """One step of the covariances of all laws and fields; where q = 0 nothing of time t + 1 counts.

    Args:
        row: Covariance at (t, s), shape (law, field, >= t + 1).
        response: cov(state at s, input at t), likewise.
        source: Input covariance at (t, s), likewise.
        source_next: Input covariance at (t + 1, s), shape (law, field, >= t + 2).
        response_next: cov(state at s, input at t + 1), likewise.
        decay: e, shape (population, point - 1).
        now: p, likewise.
        nxt: q, likewise.
        target: Population of a field, shape (field,).
        t: The time.
        row_out: Covariance at (t + 1, s), shape (law, field, >= t + 2).
    """
    for law in range(row.shape[0]):
        for f in range(row.shape[1]):
            a = target[f]
            e, p, q = decay[a, t], now[a, t], nxt[a, t]
            latest = e * response[law, f, t] + p * source[law, f, t]
            for s in range(t + 1):
                row_out[law, f, s] = e * row[law, f, s] + p * response[law, f, s]
            if q != 0.0:
                latest += q * source_next[law, f, t]
                for s in range(t + 1):
                    row_out[law, f, s] += q * response_next[law, f, s]
            row_out[law, f, t + 1] = e * row_out[law, f, t] + p * latest
            if q != 0.0:
                row_out[law, f, t + 1] += q * response_next[law, f, t + 1]
