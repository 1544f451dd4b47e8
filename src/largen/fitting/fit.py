"""fit(): the parameters at which a limit gives a target's observables, and how well these fix them."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
import xarray as xr

from largen.checks import LimitError, increasing_times, integer, one_of, real, require
from largen.files import time_grid
from largen.fitting.check import Networks, judge, networks_like, rows_of, simulated
from largen.fitting.errors import Identifiability, covariance, identify
from largen.fitting.evaluation import evaluate
from largen.fitting.measured import Data, Measured, from_dataset, from_mapping, measure
from largen.fitting.unknowns import Unknowns, unknowns
from largen.limits import solve_limit
from largen.numerics.least_squares import CONVERGED, NOWHERE, Minimum, minimise
from largen.numerics.streams import stream
from largen.options import check_options, options_of
from largen.system import AbstractSmoothLimit, AbstractSystem

THROUGH = ("limit", "finite", "network")
ROUNDS = 8
RETREATS = 4
SETTLED = 0.3
"""Standard errors below which a further round of networks is not worth its time."""
LONGEST = 600.0
"""Of a stationary spiking network the limit is solved over this many ms at most."""


class Problem(NamedTuple):
    """What is fitted to what.

    Attributes:
        model: The model to start from.
        limit: Its differentiable limit.
        free: The free parameters.
        data: The target.
        weight: One over the standard error, or over the observable's size where there are none, shape (datum,).
    """

    model: AbstractSystem
    limit: AbstractSmoothLimit
    free: Unknowns
    data: Data
    weight: np.ndarray

    def defined(self, start: np.ndarray) -> np.ndarray:
        """Move starts at which there is no limit towards the model's own values, shape (S, p)."""
        start = start.copy()
        for _ in range(RETREATS if len(start) > 1 else 0):
            found = evaluate(self.limit, self.model, self.free, self.data.index, self.free.outside(start))
            lost = ~np.all(np.isfinite(found.value), axis=1)
            if not lost[1:].any():
                break
            start[lost] = 0.5 * (start[lost] + start[0])
        return start

    def solve(self, start: np.ndarray, shift: np.ndarray, iterations: int) -> Minimum:
        """Minimise the weighted squares of limit + shift - target from unbounded starts, shape (S, p)."""

        def residuals(inner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            found = evaluate(self.limit, self.model, self.free, self.data.index, self.free.outside(inner))
            slope = self.free.slope(inner)[:, None, :]
            weight = self.weight[:, None]
            return self.weight * (found.value + shift - self.data.value), weight * found.derivative * slope

        return minimise(residuals, start, iterations=iterations)


class End(NamedTuple):
    """Where a fit ended.

    Attributes:
        inner: Parameters in unbounded variables, shape (p,).
        value: Parameters, shape (p,).
        covariance: Their covariance, shape (p, p).
        found: What the target says about them.
        fitted: The limit's observables there, shape (datum,).
        shift: What networks showed beyond the limit, shape (datum,); 0 without `through="network"`.
        outcome: How it ended.
        cost: Half the weighted sum of squares.
        dof: Degrees of freedom of the standard errors, None for known ones.
    """

    inner: np.ndarray
    value: np.ndarray
    covariance: np.ndarray
    found: Identifiability
    fitted: np.ndarray
    shift: np.ndarray
    outcome: str
    cost: float
    dof: int | None


def fit(
    model: AbstractSystem,
    target: xr.Dataset | Mapping[str, Any],
    *,
    free: str | Iterable[str],
    observables: Iterable[str] | None = None,
    through: str = "limit",
    bounds: Mapping[str, tuple[float, float]] | None = None,
    times: Any = None,
    n: int | None = None,
    realisations: int | None = None,
    starts: int = 4,
    spread: float = 0.2,
    seed: int = 0,
    iterations: int = 60,
    check: bool = True,
    strict: bool = True,
    **options: Any,
) -> xr.Dataset:
    """Fit parameters of a model to observables, by derivatives through its limit.

    Least squares weighted by the target's standard errors (Levenberg-Marquardt, exact derivatives, several starts in
    one batch); bounds of the parameter table are respected by a change of variables.

    Args:
        model: Where to start; what is not free stays as it is.
        target: A network's Dataset with realisations (errors and their correlations come from these), a limit's
            Dataset, or a dict of values or (value, standard error) by observable (`mean`) or component (`rate[e]`).
            Balanced system: mean, variance, rate at the times; rate system: mean, covariance; spiking system: the
            statistics rate, synchrony (without self-count) and gamma_frequency.
        free: Names of the free parameters, such as `strength[e,i]`, `gain[e].slope`; a name without index stands for
            all entries.
        observables: Observables or components to use, such as `rate[e]`; all if None.
        through: "limit"; "finite" for the equations of the target's n (balanced system); or "network": the limit gives
            the derivatives, simulated networks the level, so that finite-size effects do not bias the parameters.
        bounds: (low, high) by name, within those of the parameter table.
        times: Times of a dict target, shape (time,); the system's default if None.
        n: Neurons of the networks that are simulated; those of the target if None.
        realisations: Realisations of these; as many as the target's, or 16.
        starts: Starting points: the model's own values and random ones around them.
        spread: Their standard deviation: relative, or in the transformed variable where there are bounds.
        seed: Seed of starts and networks (which never share a seed with the target).
        iterations: Evaluations after which a start is given up.
        check: Simulate the fitted model's network and compare it with the target.
        strict: Raise where no start converges; otherwise say so in `attrs["status"]`.
        options: The limit's own options, such as `bin_width`.

    Returns:
        Dataset. By `parameter`: value, standard_error, ci_low, ci_high, start; covariance and correlation (parameter,
        parameter_); singular_value and direction of each `direction`. By `datum`: target, target_error, fitted, and
        with a check network, network_error, network_z. By `start`: cost and outcome. `attrs`: status, identifiability,
        condition_number, check (a sentence), verdict, and the fitted model's parameters.
        `model.replace(**dict(zip(result.parameter.values, result.value.values)))` is the fitted model.

    Raises:
        InputError: An argument cannot be used; the sentence names it and the remedy.
        LimitError: The starting model has no limit, or no start converged.
    """
    one_of("through", through, THROUGH)
    starts, iterations = integer("starts", starts, low=1), integer("iterations", iterations, low=2)
    spread, seed = real("spread", spread, above=0.0), integer("seed", seed, low=0)
    check_options(model, "smooth", options)
    asked = (observables,) if isinstance(observables, str) else None if observables is None else tuple(observables)
    times = _times(model, target, times)
    networks = networks_like(model, target, times, n, realisations, seed)
    problem = _problem(model, target, times, free, asked, through, bounds or {}, n, networks.n, options)

    shift = np.zeros(len(problem.data.value))
    begin = problem.defined(problem.free.starts(starts, spread, stream(seed, "fit", "starts")))
    minimum = problem.solve(begin, shift, iterations)
    best = _best(minimum, strict)
    end = _end(problem, minimum, best, shift, [])
    rounds = 0
    if through == "network":
        end, rounds = _levelled(problem, networks, end, iterations, strict)
    fitted = problem.free.put(problem.model, end.value)
    verdict = None
    if check:
        network = simulated(fitted, networks, fresh=1)
        verdict = judge(fitted, target, network, problem.data, problem.limit.names)

    from largen.fitting.report import report

    return report(problem, end, minimum, verdict, fitted, through=through, rounds=rounds)


def _times(model: AbstractSystem, target: Any, times: Any) -> np.ndarray:
    """The target's times."""
    if isinstance(target, xr.Dataset):
        require(times is None, "times", "be left out where the target is a Dataset", times)
        system = target.attrs.get("system", "an unknown system")
        require(system == model.system, "target", f"be of the {model.system} system", system)
        kind = target.attrs.get("kind")
        require(kind in ("network", "limit"), "target", "be what `simulate` or `solve_limit` returned", kind)
        return increasing_times("times", target["time"].values)
    require(isinstance(target, Mapping), "target", "be a Dataset or a dict of observables", target)
    return time_grid(*model.default_times) if times is None else increasing_times("times", times)


def _problem(
    model: AbstractSystem,
    target: Any,
    times: np.ndarray,
    free: Any,
    asked: tuple[str, ...] | None,
    through: str,
    bounds: Mapping[str, tuple[float, float]],
    n: int | None,
    networks_n: int,
    options: dict[str, Any],
) -> Problem:
    """Measure the target, make the differentiable limit, and bring both to one vector of data."""
    measured = measure(model, target) if isinstance(target, xr.Dataset) else None
    if through == "finite":
        known = isinstance(target, xr.Dataset) and np.isfinite(float(target.attrs["n"]))
        require(known or n is not None, "n", "be given for through='finite' where the target has none", n)
    size = networks_n if through == "finite" or model.reference_size is not None else None
    given = _inherited(model, target, measured) | options
    sampled = measured is None or measured.samples is not None
    if model.system == "spiking" and sampled and not callable(model.external_rate):
        times = times[times <= times[0] + LONGEST]
    shared = {key: value for key, value in given.items() if key in options_of(model, "limit")}
    reference = solve_limit(model, times, n=size, **shared)
    limit = model.smooth(times, n=size, **given)
    model, unknown = unknowns(model, limit, free, bounds)
    if measured is None:
        require(asked is None, "observables", "be left out where the target is a dict", asked)
        data = from_mapping(reference, target, _shapes(limit, model))
    else:
        data = from_dataset(reference, target, measured, limit.names, asked)
    count = len(unknown.names)
    must = f"have at least as many numbers as there are free parameters ({count})"
    require(len(data.value) >= count, "target", must, len(data.value))
    return Problem(model, limit, unknown, data, 1.0 / _errors_or_sizes(data))


def _inherited(model: AbstractSystem, target: Any, measured: Measured | None) -> dict[str, Any]:
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
    if "gamma" in valid:
        gamma = measured.values.get("gamma_frequency") if measured else target.get("gamma_frequency")
        if gamma is not None:
            found["gamma"] = float(gamma[0] if isinstance(gamma, tuple) else gamma)
    return found


def _shapes(limit: AbstractSmoothLimit, model: AbstractSystem) -> dict[str, tuple[int, ...]]:
    with jax.enable_x64(True):
        values, _ = eqx.filter_eval_shape(limit, model)
    return {name: value.shape for name, value in values.items()}


def _errors_or_sizes(data: Data) -> np.ndarray:
    """Standard errors or, where there are none, the root mean square of each observable."""
    if data.error is not None:
        return data.error
    sizes, start = [], 0
    for entries in data.index.values():
        part = data.value[start : start + len(entries)]
        sizes.append(np.full(len(part), np.sqrt(np.mean(part**2)) or 1.0))
        start += len(entries)
    return np.concatenate(sizes)


def _best(minimum: Minimum, strict: bool) -> int:
    """The start that came lowest; refuses one that did not converge."""
    best = int(np.argmin(minimum.cost))
    outcome = minimum.outcome[best]
    if outcome == NOWHERE:
        raise LimitError(
            "The fit has nowhere to start: the limit cannot be differentiated there, at any start (it is lost on the "
            "way, or the series of the rate system or the step of the spiking system do not do). Start elsewhere."
        )
    if strict and outcome != CONVERGED:
        raise LimitError(
            f"The fit did not converge: after {minimum.iterations} evaluations the best of {len(minimum.outcome)} "
            f"starts is {outcome}, at half a sum of squares of {minimum.cost[best]:.3g}. Allow more iterations or "
            "starts, start nearer to the target, free fewer parameters, or look at the result with strict=False."
        )
    return best


def _end(problem: Problem, minimum: Minimum, best: int, shift: np.ndarray, more: list[np.ndarray]) -> End:
    """The fitted values and what is known about their errors; `more` are samples behind the shift."""
    free, data = problem.free, problem.data
    inner = minimum.x[best]
    value = free.outside(inner)
    jacobian = minimum.jacobian[best] / free.slope(inner)
    found = identify(jacobian, value, free)
    rows = ([] if data.samples is None else [data.samples * problem.weight]) + [part * problem.weight for part in more]
    spread = covariance(jacobian, minimum.residual[best], rows, data.error is not None, found)
    if data.samples is None and data.error is not None and more:
        spread = spread + covariance(jacobian, minimum.residual[best], [], True, found)
    return End(
        inner,
        value,
        spread,
        found,
        minimum.residual[best] / problem.weight + data.value - shift,
        shift,
        minimum.outcome[best],
        float(minimum.cost[best]),
        min((len(part) - 1 for part in rows), default=None),
    )


def _levelled(problem: Problem, networks: Networks, end: End, iterations: int, strict: bool) -> tuple[End, int]:
    """Add to the limit what networks at the fitted values show beyond it, and fit again, until nothing moves.

    All rounds draw the same random numbers, so that they come to rest.
    """
    moved = np.inf
    for count in range(1, ROUNDS + 1):
        network = simulated(problem.free.put(problem.model, end.value), networks)
        rows = rows_of(problem.data, measure(problem.model, network, problem.limit.names))
        shift = rows.mean(0) - end.fitted
        minimum = problem.solve(end.inner[None], shift, iterations)
        new = _end(problem, minimum, _best(minimum, strict), shift, [rows])
        error = np.sqrt(np.diag(new.covariance))
        moved = np.max(np.abs(new.value - end.value) / np.where(np.isfinite(error) & (error > 0), error, np.inf))
        end = new
        if moved <= SETTLED:
            return end, count
    if strict:
        raise LimitError(
            f"The fit did not settle: after {ROUNDS} rounds of networks a parameter still moves by {moved:.1g} of its "
            "standard error. The limit's derivatives are not those of the network here: take a larger n, more "
            "realisations, or through='limit'."
        )
    return end._replace(outcome=f"still moving by {moved:.1g} standard errors after {ROUNDS} rounds"), ROUNDS
