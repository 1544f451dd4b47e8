"""The limit on a grid of times (eqs. P4 to P9): one sweep forward, or sweeps to a fixed point.

Between the points of the grid the states follow the linear recursion of `systems.rate.recursion`. At each time the
order is: laws, rates and latent variables; input covariances with all earlier times; one step of means, filtered latent
variables and fields. In continuous time a step is implicit, and repeated until it no longer changes.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.checks import LimitError
from largen.systems.rate.input_covariance import InputCovariance
from largen.systems.rate.kernels import Coupling
from largen.systems.rate.populations import recursion_kernels as kernels
from largen.systems.rate.populations.expectations import Response, responses_of
from largen.systems.rate.populations.fields import Fields, Source, fields_of
from largen.systems.rate.populations.numbers import Numbers, input_at, signals_at
from largen.systems.rate.recursion import Grid, continuous_grid, discrete_grid

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations

_MOST_CORRECTIONS = 60
_CHANGE = 3e-4  # largest error of an implicit step, as a share of the tolerance
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
        changes: Change of the law in each sweep to the fixed point, shape (sweep,), empty for the recursion.
    """

    mean: np.ndarray
    rate: np.ndarray
    latent: np.ndarray
    fields: np.ndarray
    frozen: np.ndarray
    private: np.ndarray
    shared: np.ndarray
    tail: float
    changes: np.ndarray


class _Inputs(InputCovariance):
    """The series of one source population at all times."""

    def __init__(self, response: Response, weights: np.ndarray, pair: tuple[float, float] | None, points: int,
                 rtol: float, atol: float):  # fmt: skip
        series = len(weights)
        zeros = np.zeros((1, series))
        super().__init__(
            response, Coupling(zeros, np.zeros(series, np.int64), weights, np.zeros(1), 0.0, pair), points, rtol, atol
        )

    def add(self, t: int, source: Source, covariance: np.ndarray, own: tuple[np.ndarray, np.ndarray],
            mix: np.ndarray, total: np.ndarray, out: np.ndarray) -> None:  # fmt: skip
        """Add this source's part of the input covariances at (t, s), s = 0..t, of both laws.

        Args:
            t: The later time.
            source: Its series; the first one is lag 0 of one network, whose s = t is one and the same variable.
            covariance: Covariance of the fields, shape (2, field, point, point).
            own: Covariance at lag 0 without coupling of the laws, shape (point, point) each.
            mix: Weights of the series in the fields, shape (field, series).
            total: Weights of the product of mean rates, shape (field,).
            out: Input covariances, shape (2, field, >= t + 1).
        """
        r = kernels.correlations(source.reads, covariance, *own, self.variance, t)
        found = self._series(t, None, r)
        found[0, t] = self.table.variance[t]
        kernels.add(found, mix, total, self.table.mean, t, out)

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
    model: "RatePopulations",
    times: np.ndarray,
    *,
    step: float,
    refine: int,
    rtol: float,
    atol: float,
    parts: tuple[Numbers, Fields] | None = None,
) -> Setting:
    """Prepare a model, with its parts (`parts_of`) if known; in discrete time `step` and `refine` are ignored."""
    numbers, fields = parts or parts_of(model)
    pairs = zip(numbers.decay, numbers.noise, strict=True)
    if numbers.discrete:
        grids = tuple(discrete_grid(len(times), float(gamma), float(sigma)) for gamma, sigma in pairs)
        grid_times = times
    else:
        grids = tuple(continuous_grid(times, float(tau), float(sigma), step, refine) for tau, sigma in pairs)
        grid_times = np.interp(np.arange(grids[0].points), grids[0].output, times)
    rank, signals = numbers.loadings.rank, signals_at(model, grid_times)
    drive = numbers.loadings.mean[:, rank : rank + 1] + input_at(model, grid_times)
    drive = drive + numbers.loadings.mean[:, rank + 1 :] @ signals
    return Setting(numbers, fields, responses_of(model), grids, drive, signals, rtol, atol)


def parts_of(model: "RatePopulations") -> tuple[Numbers, Fields]:
    """What all grids of a model share."""
    numbers = Numbers.of(model)
    return numbers, fields_of(numbers.kernels)


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
        self.response, self.spare = np.zeros((2, 2, fields, points))
        self.source, self.source_next, self.source_before, self.source_earlier = np.zeros((4, 2, fields, points))
        self.totals = np.ascontiguousarray(setting.fields.total.T)
        self.inputs = tuple(
            _Inputs(response, source.weights, source.pair, points, setting.rtol, setting.atol)
            for response, source in zip(setting.responses, setting.fields.sources, strict=True)
        )

    def _filter_known(self) -> None:
        rank, signals = self.setting.numbers.loadings.rank, self.setting.signals
        known = np.concatenate([np.ones((1, self.setting.points)), signals])
        kernels.filter_known(self.e, self.p, self.q, known, rank, self.filtered)

    def _start_private(self) -> None:
        numbers = self.setting.numbers
        for a, grid in enumerate(self.setting.grids):
            kernels.start_private(grid.decay, grid.noise, float(numbers.initial_variance[a]), self.private[a])
        self.base = self.private.copy()
        loadings = numbers.loadings
        left = np.ascontiguousarray(loadings.mean[:, : loadings.rank])
        self.law = (
            numbers.fractions,
            numbers.mean_weight,
            left,
            loadings.right_mean,
            np.ascontiguousarray(loadings.right),
        )

    def own(self, t: int) -> None:
        """Covariance without coupling of the states at t and before, from what was filtered up to t."""
        kernels.own(self.filtered, self.setting.numbers.loadings.covariance, self.base, t, self.shared, self.private)

    def set_law(self, t: int) -> np.ndarray:
        """Set the laws at a time and return the drive of the means, shape (population,)."""
        self.own(t)
        variances = kernels.variances(self.setting.fields.at_zero, self.covariance, self.private, t)
        for a, (inputs, variance) in enumerate(zip(self.inputs, variances.tolist(), strict=True)):
            mean = float(self.mean[a, t])
            if not (abs(mean) < _UNBOUNDED and variance < _UNBOUNDED):
                raise LimitError(
                    f"The limit grows without bound: its variance is {variance:.2g} after {t} steps. Take a bounded "
                    "activation, smaller weights, or shorter times."
                )
            self.rate[a, t] = inputs.set(t, mean, max(variance, 0.0))
            self.slope[a, t] = inputs.slope(t)
        return kernels.drive(*self.law, self.filtered, self.rate, self.slope, self.setting.drive, t, self.latent)

    def evaluate(self, t: int) -> None:
        """Input covariances of all fields at (t, s), s <= t, of both laws."""
        fields, out = self.setting.fields, self.source_next
        out[:, :, : t + 1] = 0.0
        for b, (inputs, source, mix) in enumerate(zip(self.inputs, fields.sources, fields.mix, strict=True)):
            own = self.private[b], self.shared[b]
            inputs.add(t, source, self.covariance, own, mix, self.totals[b], out)

    def respond(self, t: int) -> None:
        """What the input at t + 1 has in common with the states so far."""
        kernels.respond(self.source_next, self.e, self.p, self.q, self.setting.fields.target, t, self.spare)

    def advance(self, t: int) -> tuple[float, float]:
        """Covariance of the fields at t + 1; returns its largest change and its size."""
        arrays = self.covariance, self.response, self.source, self.source_next, self.spare
        return kernels.advance(*arrays, self.e, self.p, self.q, self.setting.fields.target, t)

    def guess(self, t: int) -> None:
        """Input covariances at t + 1: those at t and before, continued."""
        kernels.guess(self.source, self.source_before, self.source_earlier, t, self.source_next)

    def accept(self) -> None:
        """Make what was computed for t + 1 the present."""
        self.response, self.spare = self.spare, self.response
        sources = self.source_next, self.source, self.source_before, self.source_earlier
        self.source, self.source_before, self.source_earlier, self.source_next = sources

    def at_end(self, changes: np.ndarray) -> Law:
        """The law at all times."""
        tail = max(inputs.tail for inputs in self.inputs)
        parts = self.covariance[0], self.covariance[1], self.private, self.shared
        return Law(self.mean, self.rate, self.latent, *parts, tail, changes)


def forward(setting: Setting) -> Law:
    """Solve by one sweep forward in time: exact in discrete time, by corrected steps in continuous time."""
    state = _State(setting)
    state.mean[:, 0] = setting.numbers.initial_mean
    with np.errstate(all="ignore"):
        before = drive = state.set_law(0)
        state.evaluate(0)
        state.accept()
        for t in range(setting.points - 1):
            before, drive = drive, _step(state, t, drive, 2.0 * drive - before if state.implicit else drive)
    return state.at_end(np.zeros(0))


def _step(state: _State, t: int, first: np.ndarray, drive: np.ndarray) -> np.ndarray:
    """Go from t to t + 1, given the drive of the means at t and a guess of that at t + 1; returns the latter."""
    rtol = state.setting.rtol
    steps = state.e, state.p, state.q
    first_latent, latent = state.latent[:, t].copy(), state.latent[:, t]
    if state.implicit:
        state.guess(t)
        state.respond(t)
    state.advance(t)
    before = np.inf
    for correction in range(_MOST_CORRECTIONS):
        kernels.set_linear(*steps, t, first, drive, first_latent, latent, state.mean, state.filtered)
        drive = state.set_law(t + 1)
        latent = state.latent[:, t + 1]
        state.evaluate(t + 1)
        state.respond(t)
        if not state.implicit:
            break
        change, size = state.advance(t)
        moved, mean = kernels.set_linear(*steps, t, first, drive, first_latent, latent, state.mean, state.filtered)
        change, scale = max(change, moved), 1.0 + mean + size
        stalled = correction > 3 and change >= before and change <= 1e-11 * scale
        left = change * min(1.0, change / before) if np.isfinite(before) else change  # what further corrections change
        if left <= max(1e-14, _CHANGE * rtol) * scale or stalled:
            break
        before = change
    else:
        raise LimitError(f"The step to point {t + 1} of {state.setting.points} did not converge: give a smaller step.")
    state.accept()
    return drive


def fixed_point(setting: Setting, tolerance: float, most: int = 1000) -> Law:
    """Solve by iteration on the whole horizon: inputs from the states' law, states from the inputs' law.

    It starts without coupling. Sweep n makes the first n steps exact in discrete time, so that the last needed is the
    number of steps.
    """
    state, points = _State(setting), setting.points
    steps = state.e, state.p, state.q
    state.mean[:, 0] = setting.numbers.initial_mean
    for t in range(points - 1):
        alone = setting.drive[:, t], setting.drive[:, t + 1], state.latent[:, t], state.latent[:, t + 1]
        kernels.set_linear(*steps, t, *alone, state.mean, state.filtered)
    sources = np.zeros((points, *state.source.shape))
    changes: list[float] = []
    with np.errstate(all="ignore"):
        while True:
            drives = []
            for t in range(points):
                drives.append(state.set_law(t))
                state.source_next = sources[t]
                state.evaluate(t)
            if changes and (changes[-1] <= tolerance or (not state.implicit and len(changes) == points - 1)):
                return state.at_end(np.array(changes))
            if len(changes) == most:
                break
            before = [part.copy() for part in (state.mean, state.filtered, state.covariance)]
            latent = state.latent.copy()
            state.response[:] = 0.0
            for t in range(points - 1):
                state.source, state.source_next = sources[t], sources[t + 1]
                state.respond(t)
                state.advance(t)
                known = drives[t], drives[t + 1], latent[:, t], latent[:, t + 1]
                kernels.set_linear(*steps, t, *known, state.mean, state.filtered)
                state.response, state.spare = state.spare, state.response
            now = state.mean, state.filtered, state.covariance
            changes.append(max(float(np.abs(new - old).max(initial=0.0)) for new, old in zip(now, before, strict=True)))
    raise LimitError(
        f"The fixed point was not reached: the last of {most} sweeps still changed the law by {changes[-1]:.2e}. "
        'Take method="recursion", or shorter times.'
    )
