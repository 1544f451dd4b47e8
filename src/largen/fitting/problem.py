"""What is fitted to what, and where a fit ended."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import numpy as np
import xarray as xr

from largen.checks import InputError, LimitError, dataset, increasing_times, neurons_of, require
from largen.fitting.errors import Identifiability, covariance, identify
from largen.fitting.evaluation import evaluate
from largen.fitting.measured import Data, from_dataset, from_mapping, measure
from largen.fitting.model_error import model_errors, natural_scales
from largen.fitting.quality import FEWEST_TO_SCALE, Quality, Remainder, judge_fit
from largen.fitting.unknowns import Unknowns, unknowns
from largen.io.model_files import time_grid
from largen.numerics.least_squares import Minimum, Outcome, minimise
from largen.simulation import solve_limit
from largen.statistics.labels import network_sizes_of
from largen.system import AbstractSmoothLimit, AbstractSystem, FitData, options_of


class Problem(NamedTuple):
    """What is fitted to what.

    Attributes:
        model: The model to start from.
        limit: Its differentiable limit.
        free: The free parameters.
        data: The target.
        weight: One over the standard error, or over the observable's size where there are none, shape (datum,).
        scale: Natural size of a difference of each datum, shape (datum,); NaN where there is none.
        model_error: The theory's own error and that of the choice of recorded neurons, shape (datum,); None where there
            is neither. It is part of the weights.
        scaled: Whether a small misfit is to scale the parameters' errors.
        options: Options of the limit, asked for or said by the target.
        left_out: What of the target is not fitted, and why.
    """

    model: AbstractSystem
    limit: AbstractSmoothLimit
    free: Unknowns
    data: Data
    weight: np.ndarray
    scale: np.ndarray
    model_error: np.ndarray | None = None
    scaled: bool = False
    options: Mapping[str, Any] = {}
    left_out: str = ""

    @property
    def known(self) -> np.ndarray | None:
        """Weighted errors that do not come from the target's realisations, shape (datum,), or None."""
        if self.data.samples is None and self.data.error is not None:
            return np.ones(len(self.weight))
        return None if self.model_error is None else self.model_error * self.weight

    def residuals(
        self, inner: np.ndarray, shift: np.ndarray, *, compiled: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weighted limit + shift - target, shape (S, datum), at unbounded variables, and its derivatives by these."""
        at = self.free.outside(inner)
        found = evaluate(self.limit, self.model, self.free, self.data.index, at, compiled=compiled)
        slope = self.free.slope(inner)[:, None, :]
        return self.weight * (found.value + shift - self.data.value), self.weight[:, None] * found.derivative * slope

    def solve(
        self,
        start: np.ndarray,
        shift: np.ndarray,
        iterations: int,
        each: Callable[[Minimum], None] = lambda so_far: None,
    ) -> Minimum:
        """Minimise the weighted squares of limit + shift - target from unbounded starts, shape (S, p).

        Args:
            start: Starts; where there is no limit, they are moved towards the first. One that is led to a minimum
                that another has found ends there.
            shift: What is added to the limit, shape (datum,).
            iterations: Evaluations after which a start is given up.
            each: Called after every evaluation with where each start is.
        """
        floor = 1e-26 if self.data.error is None else 1e-12  # a millionth of a standard error
        first = iter([True])

        def residuals(inner: np.ndarray, _: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return self.residuals(inner, shift, compiled=not next(first, False))

        return minimise(residuals, start, iterations=iterations, floor=floor, same=True, each=each)


class End(NamedTuple):
    """Where a fit ended.

    Attributes:
        inner: Parameters in unbounded variables, shape (p,).
        value: Parameters, shape (p,).
        spread: Their covariance within the combinations of parameters that the target fixes, shape (p, p).
        found: What the target says about them.
        fitted: The limit's observables there, shape (datum,).
        shift: What networks showed beyond the limit, shape (datum,); 0 without `through="network"`.
        outcome: How it ended.
        cost: Half the weighted sum of squares.
        dof: Degrees of freedom of the standard errors, infinite for known ones.
        jacobian: Weighted derivatives by the parameters, shape (datum, p).
        quality: How good the fit is.
    """

    inner: np.ndarray
    value: np.ndarray
    spread: np.ndarray
    found: Identifiability
    fitted: np.ndarray
    shift: np.ndarray
    outcome: str
    cost: float
    dof: float
    jacobian: np.ndarray
    quality: Quality

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of the parameters, shape (p, p); the variance of those that are not fixed is infinite."""
        whole = self.spread.copy()
        whole[self.found.unfixed, self.found.unfixed] = np.inf
        return whole


def times_of(model: AbstractSystem, target: Any, times: Any) -> np.ndarray:
    """The target's times."""
    if isinstance(target, xr.Dataset):
        require(times is None, "times", "be left out where the target is a Dataset", times)
        system = target.attrs.get("system", "an unknown system")
        require(system == model.system, "target", f"be of the {model.system} system", system)
        dataset("target", target, kinds=("network", "limit"), dims=("time",), attrs=("n",))
        neurons_of("target", target)
        return increasing_times("times", target["time"].values)
    require(isinstance(target, Mapping), "target", "be a Dataset or a dict of observables", target)
    if times is None:
        return time_grid(*model.default_times)
    return increasing_times("times", times, unit=model.time_unit)


class Request(NamedTuple):
    """What is to be fitted to what, as `fit` was asked.

    Attributes:
        model: The model to start from.
        target: A Dataset or values by observable.
        times: Times of the target, shape (time,).
        free: Names of the free parameters.
        observables: Observables or components of the target to use; None for all.
        through: "limit", "finite" or "network".
        bounds: Bounds by name.
        n: Total number of neurons, or None for the target's.
        networks_n: Total number of neurons of the networks.
        model_error: The theory's own error as shares of the observables' scales, or None.
        scaled: Whether a small misfit is to scale the parameters' errors.
        options: The limit's own options.
    """

    model: AbstractSystem
    target: xr.Dataset | Mapping[str, Any]
    times: np.ndarray
    free: str | Iterable[str]
    observables: tuple[str, ...] | None
    through: str
    bounds: Mapping[str, tuple[float, float]]
    n: int | None
    networks_n: int
    model_error: Any
    scaled: bool
    options: dict[str, Any]


def pose(request: Request) -> Problem:
    """Measure the target, make the differentiable limit, and bring both to one vector of data."""
    model, target = request.model, request.target
    measured = measure(model, target) if isinstance(target, xr.Dataset) else None
    if request.n is None and isinstance(target, xr.Dataset) and target.attrs["kind"] == "recording":
        _require_own_sizes(model, target)
    finite = request.through == "finite"
    if finite:
        known = isinstance(target, xr.Dataset) and np.isfinite(float(target.attrs["n"]))
        must = "be given for through='finite' where the target has none"
        require(known or request.n is not None, "n", must, request.n)
    size = request.networks_n if finite or model.reference_size is not None else None
    given = _inherited(model, target, measured) | request.options
    times = model.fit_times(request.times, sampled=measured is None or measured.samples is not None)
    shared = {key: value for key, value in given.items() if key in options_of(model, "limit")}
    reference = solve_limit(model, times, n=size, **shared)
    limit = model.smooth(times, n=size, **given)
    model, unknown = unknowns(model, limit, request.free, request.bounds)
    if measured is None:
        must = "be left out where the target is a dict"
        require(request.observables is None, "observables", must, request.observables)
        data = from_mapping(reference, cast(Mapping[str, Any], target), _shapes(limit, model))
    else:
        data = from_dataset(reference, cast(xr.Dataset, target), measured, limit.names, request.observables)
    count = len(unknown.names)
    must = f"have at least as many numbers as there are free parameters ({count})"
    require(len(data.value) >= count, "target", must, len(data.value))
    scale = natural_scales(model, data, reference)
    theirs = None if request.model_error is None else model_errors(request.model_error, data, scale)
    theirs = _with_choice(theirs, measured, data)
    if request.scaled:
        _can_scale(data, theirs, count)
    weight = 1.0 / errors_or_sizes(data, theirs)
    return Problem(
        model, limit, unknown, data, weight, scale, theirs, request.scaled, shared,
        _left_out(measured, request.observables),
    )  # fmt: skip


def _with_choice(theirs: np.ndarray | None, measured: FitData | None, data: Data) -> np.ndarray | None:
    """The theory's error with that of the choice of recorded neurons, which realisations do not show either."""
    if measured is None or not measured.choice:
        return theirs
    none = {name: np.zeros(np.size(measured.values[name])) for name in data.index}
    each = {name: np.reshape(measured.choice.get(name, none[name]), -1) for name in data.index}
    chosen = np.concatenate([each[name][entries] for name, entries in data.index.items()])
    return chosen if theirs is None else np.hypot(theirs, chosen)


def _require_own_sizes(model: AbstractSystem, target: xr.Dataset) -> None:
    """Refuse a recording of another number of neurons than the model has, which would scale its synapses."""
    assert model.reference_size is not None
    ours = np.atleast_1d(model.sizes(model.reference_size)).tolist()
    theirs = network_sizes_of(target).tolist()
    if ours != theirs:
        counted = [
            ", ".join(f"{k} of {p}" for k, p in zip(ks, model.populations, strict=True)) for ks in (theirs, ours)
        ]
        raise InputError(
            f"Argument `target` records {counted[0]}, but the model has {counted[1]} neurons. If those are a sample of "
            "such a network, give `network_sizes` of recording or read_recording; if the network has no more, give "
            f"n={sum(theirs)}, to which the model's synapses are scaled."
        )


def _left_out(measured: FitData | None, asked: tuple[str, ...] | None) -> str:
    """What of a target is not fitted though it was not asked to be left out, and why."""
    absent = {} if measured is None or asked is not None else measured.absent
    return " ".join(f"`{name}` is not fitted: {why}" for name, why in absent.items())


def _can_scale(data: Data, model_error: np.ndarray | None, count: int) -> None:
    """Refuse to scale errors that there are not, or by a misfit that is not known."""
    if data.error is None and model_error is None:
        raise InputError(
            "Argument `errors` must be 'data' for a target without errors, but is 'scaled': what is left over is their "
            "only source already."
        )
    left = len(data.value) - count
    must = f"be 'data' where fewer than {FEWEST_TO_SCALE} data more than parameters are left (here {left})"
    require(left >= FEWEST_TO_SCALE, "errors", must, "scaled", "Add observables, or free fewer parameters.")


def _inherited(model: AbstractSystem, target: Any, measured: FitData | None) -> dict[str, Any]:
    """Options of the limit that the target says: those it was solved with, its lags, its gamma frequency."""
    valid = options_of(model, "smooth")
    found: dict[str, Any] = {}
    if isinstance(target, xr.Dataset):
        keys = ("dt", "bin_width", "closure") if target.attrs["kind"] == "limit" else ("dt",)
        found = {key: target.attrs[key] for key in keys if key in valid and key in target.attrs}
        if "linear_in_bin" in valid and "linear_in_bin" in target.attrs:
            found["linear_in_bin"] = str(target.attrs["linear_in_bin"]) == "true"
        if "lags" in valid and "lag" in target.sizes:
            found["lags"] = target.sizes["lag"] - 1
    if "derivatives" in valid:
        found["derivatives"] = "differences"  # good to eight digits, and nothing is compiled
    if "gamma" in valid:
        gamma = measured.values.get("gamma_frequency") if measured else target.get("gamma_frequency")
        if gamma is not None and not (measured and "gamma_frequency" in measured.absent):
            found["gamma"] = float(gamma[0] if isinstance(gamma, tuple) else gamma)
    return found


def _shapes(limit: AbstractSmoothLimit, model: AbstractSystem) -> dict[str, tuple[int, ...]]:
    with jax.enable_x64(True):
        values, _ = eqx.filter_eval_shape(limit, model)
    return {name: value.shape for name, value in values.items()}


def errors_or_sizes(data: Data, model_error: np.ndarray | None) -> np.ndarray:
    """Standard errors or, where there are none, the root mean square of each observable."""
    if data.error is not None or model_error is not None:
        parts = [error for error in (data.error, model_error) if error is not None]
        return np.sqrt(np.sum(np.square(parts), axis=0))
    sizes, start = [], 0
    for entries in data.index.values():
        part = data.value[start : start + len(entries)]
        sizes.append(np.full(len(part), np.sqrt(np.mean(part**2)) or 1.0))
        start += len(entries)
    return np.concatenate(sizes)


def lowest(minimum: Minimum, strict: bool) -> int:
    """The start that came lowest; refuses one that did not converge."""
    best = minimum.best
    outcome = minimum.outcome[best]
    if outcome == Outcome.UNDEFINED:
        raise LimitError(
            "The fit has nowhere to start: the limit cannot be differentiated there, at any start (it is lost on the "
            "way, or the series of the rate system or the step of the spiking system do not do). Start elsewhere."
        )
    if strict and outcome not in (Outcome.CONVERGED, Outcome.KINK):
        raise LimitError(
            f"The fit did not converge: after {minimum.iterations} evaluations the best of {len(minimum.outcome)} "
            f"starts is {outcome}, at half a sum of squares of {minimum.cost[best]:.3g}. Allow more iterations or "
            "starts, start nearer to the target, free fewer parameters, or look at the result with strict=False."
        )
    return best


def conclude(problem: Problem, minimum: Minimum, best: int, shift: np.ndarray, more: list[np.ndarray]) -> End:
    """The fitted values and what is known about their errors; `more` are samples behind the shift."""
    free, data = problem.free, problem.data
    inner = minimum.x[best]
    value = free.outside(inner)
    slope = free.slope(inner)  # 0 at a bound, to rounding
    jacobian = minimum.jacobian[best] / np.where(slope > 0, slope, np.inf)
    found = identify(jacobian, value, free)
    own = None if data.samples is None else data.samples * problem.weight
    rows = [part * problem.weight for part in more]
    residual = minimum.residual[best]
    left = Remainder(residual, jacobian, problem.weight, problem.model_error, found.flat, rows)
    return End(
        inner,
        value,
        covariance(jacobian, residual, own, rows, problem.known),
        found,
        residual / problem.weight + data.value - shift,
        shift,
        str(minimum.outcome[best]),
        float(minimum.cost[best]),
        _dof(problem, own, rows, found.flat),
        jacobian,
        judge_fit(data, left, free, value, problem.scaled),
    )


def _dof(problem: Problem, own: np.ndarray | None, more: list[np.ndarray], flat: int) -> float:
    """Degrees of freedom of the parameters' errors: of realisations, or of the residuals where these give them."""
    counts = [len(part) - 1 for part in (own, *more) if part is not None]
    if counts:
        return float(min(counts))
    left = len(problem.data.value) - len(problem.free.names) + flat
    return np.inf if problem.known is not None else float(max(left, 1))
