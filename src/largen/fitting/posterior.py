"""posterior(): what data say of a model's parameters, given what was known of them before."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from scipy import optimize

from largen.checks import FitError, InputError, integer, mapping, names, one_of, require, seed_number
from largen.fitting.check import Networks, networks_like, rows_of, simulated
from largen.fitting.fits import Search, search_for
from largen.fitting.likelihood import distance
from largen.fitting.measured import Data, in_order, measure
from largen.fitting.model_error import shares
from largen.fitting.posterior_report import label
from largen.fitting.priors import Laws, laws
from largen.fitting.problem import End, Problem, Request, errors_or_sizes, pose, times_of
from largen.fitting.report import report
from largen.fitting.sampling import Density, downhill, sample
from largen.fitting.watch import Watch
from largen.runtime.progress import showing_late
from largen.simulation import solve_limit
from largen.system import AbstractSystem, check_options, require_model

COVARIANCES = ("data", "network", "theory")
NETWORKS = 64
"""Realisations from which `covariance="network"` and "theory" take the data's covariance."""


def posterior(
    model: AbstractSystem,
    data: xr.Dataset | Mapping[str, Any],
    over: Mapping[str, Any],
    *,
    observables: Iterable[str] | None = None,
    through: str = "limit",
    covariance: str = "data",
    model_error: float | Mapping[str, float] | None = None,
    times: Any = None,
    n: int | None = None,
    realisations: int | None = None,
    draws: int = 1000,
    warmup: int = 500,
    chains: int = 4,
    seed: int = 0,
    starts: int = 4,
    strict: bool = True,
    progress: Any = None,
    **options: Any,
) -> xr.Dataset:
    """Sample the posterior of a model's parameters, by NUTS with the derivatives of its limit (extra `fit`).

    A fit comes first: it tests whether the model can have such data at all, and gives the sampler its scale.

    Args:
        model: The model; what is not in `over` stays as it is.
        data: As the target of `fit`.
        over: Priors by parameter, such as `{"gain": ln.priors.LogNormal(1, 0.3), "noise": (0.1, 1)}`. A name without
            index stands for all entries, each with that prior. A prior counts only within the parameter's bounds.
        observables: As in `fit`.
        through: "limit", or "finite" for the equations of the data's n (balanced system).
        covariance: What the covariance of the data comes from: their own errors or realisations ("data"); or, where
            they have too few, `realisations` runs at the fitted values of the network ("network") or of the system's
            finite-size theory ("theory": the spiking system's chain, the rate system's law of n neurons). A dict then
            counts as the values of one network.
        model_error: As in `fit`.
        times: As in `fit`.
        n: Neurons of the data; those of the Dataset if None.
        realisations: Runs of covariance="network" or "theory"; 64 if None.
        draws: Draws of each chain that are kept.
        warmup: Draws before them, which tune step size and scale; rounded up to a multiple of 50.
        chains: Independent chains; they share the machine's cores.
        seed: Seed; the same one gives the same draws.
        starts: As in `fit`.
        strict: Raise where the model does not fit; otherwise sample all the same and say so.
        progress: As in `fit`.
        options: The limit's own options, such as `bin_width`.

    Returns:
        Dataset of kind "posterior". `draw_value` (chain, draw, parameter); by `parameter` mean, sd, median, ci_low and
        ci_high (95 %, equal tails), r_hat, effective_draws, mode, unit and prior; by (chain, draw) log_density,
        diverging, tree_depth, acceptance, energy; by `datum` target and target_error. `attrs`: sampling (a message:
        r-hat, effective draws, divergences), status ("chains agree" or "chains do not agree"), verdict and fit_message
        of the fit, the covariance's source. `ln.to_arviz` makes of it what ArviZ reads.

    Raises:
        InputError: An argument cannot be used; the message names it and the remedy.
        LimitError: The model has no limit, or the fit did not converge.
        FitError: The model does not fit the data; its `partial` holds the Dataset of the fit.
    """
    one_of("through", through, ("limit", "finite"))
    one_of("covariance", covariance, COVARIANCES)
    if model_error is not None:
        shares(model_error)
    how = Sampling(
        integer("draws", draws, low=4), integer("warmup", warmup, low=10), integer("chains", chains, low=1),
        seed_number("seed", seed),
    )  # fmt: skip
    _require_sampler()
    check_options(require_model("model", model), "smooth", options)
    _require_source(covariance, model, realisations)
    over = {str(key): prior for key, prior in mapping("over", over).items()}
    require(len(over) > 0, "over", "name at least one parameter", over, "Such as over={'tau[e]': (0.5, 2)}.")
    infos = {name: model.locate(name).info for name in over}
    law, ends = laws(over, infos)
    times = times_of(model, data, times)
    target = in_order(model, data) if isinstance(data, xr.Dataset) else data
    count = NETWORKS if realisations is None and covariance != "data" else realisations
    networks = networks_like(model, target, times, n, count, how.seed)
    asked = None if observables is None else names("observables", observables)
    request = Request(
        model, target, times, list(over), asked, through, ends, n, networks.n, model_error, False, options
    )  # fmt: skip
    problem = pose(request)
    require(
        covariance != "data" or problem.data.error is not None or problem.model_error is not None, "data",
        "have errors for covariance='data'", "none",
        "Give realisations, (value, standard error), `model_error`, or covariance='network'.",
    )  # fmt: skip
    which = [list(over).index(name) for name in problem.free.asked]
    law = Laws(*(column[which] for column in law))
    search = Search(integer("starts", starts, low=1), 0.2, how.seed, 60, strict)
    problem, end = _fit(problem, networks, covariance, search, Watch(progress, None, through))
    density, mode = _density(problem, end, law)
    with showing_late(progress, "posterior", 5.0) as tick:
        found = sample(density, chains=how.chains, warmup=how.warmup, draws=how.draws, seed=how.seed, tick=tick)
    return label(problem, end, found, mode, [over[name] for name in problem.free.asked], covariance, how)


class Sampling(NamedTuple):
    """How much is sampled."""

    draws: int
    warmup: int
    chains: int
    seed: int


def _require_sampler() -> None:
    try:
        import blackjax  # noqa: F401
    except ImportError as error:
        raise InputError("`posterior` needs BlackJAX: pip install 'largen[fit]'.") from error


def _require_source(source: str, model: AbstractSystem, realisations: int | None) -> None:
    """Refuse a source of the data's covariance that there is not, and realisations that it does not use."""
    must = "be left out with covariance='data', which simulates nothing"
    require(source != "data" or realisations is None, "realisations", must, realisations)
    must = "be 'network' or 'data' for a system whose finite-size theory is not sampled"
    require(source != "theory" or model.finite_options(realisations=NETWORKS, seed=0), "covariance", must, source)


def _fit(problem: Problem, networks: Networks, source: str, search: Search, watch: Watch) -> tuple[Problem, End]:
    """The fit before the draws; the problem comes back with the errors that `source` gives to the data."""
    end, minimum = search_for(problem, search, watch)
    if source != "data":
        problem = problem._replace(data=_with_errors_of(problem, end, networks, source))
        problem = problem._replace(weight=1.0 / errors_or_sizes(problem.data, problem.model_error))
        end, minimum = search_for(problem, search._replace(starts=1), watch, end.inner)
    if search.strict and np.isnan(end.quality.factor):
        fitted = problem.free.put(problem.model, end.value)
        partial = report(problem, end, minimum, None, fitted, through=watch.through, rounds=0)
        raise FitError(f"No posterior: {end.quality.message[0].lower()}{end.quality.message[1:]}", partial=partial)
    return problem, end


def _with_errors_of(problem: Problem, end: End, networks: Networks, source: str) -> Data:
    """The data with errors and correlations of runs at the fitted values.

    The runs' deviations from their mean are scaled so that their mean has the variance of the data.
    """
    fitted = problem.free.put(problem.model, end.value)
    if source == "network":
        run = simulated(fitted, networks, fresh=1)
    else:
        sampled = fitted.finite_options(realisations=networks.realisations, seed=networks.seed + 7)
        run = solve_limit(fitted, networks.times, n=networks.n, **(dict(problem.options) | sampled))
        run = run.assign_attrs(kind="network")
    rows = rows_of(problem.data, measure(problem.model, run, problem.limit.names))
    count = 1 if problem.data.samples is None else len(problem.data.samples)
    away = (rows - rows.mean(0)) * np.sqrt(len(rows) / count)
    error = away.std(0, ddof=1) / np.sqrt(len(rows))
    must = "give every datum an error, but one does not vary over these runs: leave it out of `observables`"
    require(np.all(error > 0), "covariance", must, source)
    return problem.data._replace(error=error, samples=problem.data.value + away)


def _density(problem: Problem, end: End, law: Laws) -> tuple[Density, np.ndarray]:
    """The posterior in the scale of its mode, and the mode of the parameters."""
    left = problem.weight * (end.fitted - problem.data.value)
    independent = problem.data.samples is None
    ruler = distance(left, end.jacobian, end.spread, independent=independent)
    if ruler is None:
        raise InputError(
            "Argument `data` must have errors that are finite and not 0, also of combinations of the data."
        )
    free, count = problem.free, len(end.value)
    code, first, second = law
    density = Density(
        problem.limit, problem.model, free.places, dict(problem.data.index), problem.data.value, problem.weight,
        ruler.matrix, np.array(end.dof if not independent else np.inf), free.low, free.high, code, first, second,
        np.zeros(count), np.eye(count),
    )  # fmt: skip
    both = np.isfinite(free.low) & np.isfinite(free.high)
    start = np.where(both, np.clip(end.inner, -6.0, 6.0), end.inner)
    scale = _scale(problem, ruler.matrix, law, start)
    density = density._replace(centre=start, root=scale)

    def slope(unit: np.ndarray) -> tuple[float, np.ndarray]:
        with jax.enable_x64(True):
            value, gradient = downhill(density, jnp.asarray(unit))
        return (float(value) if np.isfinite(value) else 1e300), np.asarray(gradient)

    found = optimize.minimize(slope, np.zeros(count), jac=True, method="BFGS", options={"maxiter": 50})
    inner = start + scale @ found.x
    return density._replace(centre=inner, root=_scale(problem, ruler.matrix, law, inner)), free.outside(inner)


def _scale(problem: Problem, matrix: np.ndarray, law: Laws, inner: np.ndarray) -> np.ndarray:
    """Root of the covariance in unbounded variables of the normal law that touches the posterior, shape (p, p)."""
    free = problem.free
    _, jacobian = problem.residuals(inner[None], np.zeros(len(problem.data.value)))
    rows = matrix @ jacobian[0]
    slope = free.slope(inner)
    prior = law.residuals(free.outside(inner))[1] * slope
    both = np.isfinite(free.low) & np.isfinite(free.high)
    with np.errstate(invalid="ignore"):
        curve = np.where(both, 2.0 * slope / (free.high - free.low), 0.0)
    precision = np.nan_to_num(rows.T @ rows) + np.diag(prior**2 + curve)
    size = np.sqrt(np.maximum(np.diag(precision), 1e-12))
    variance, axes = np.linalg.eigh(precision / np.outer(size, size))
    return (axes / np.sqrt(np.maximum(variance, 1e-8))) / size[:, None]
