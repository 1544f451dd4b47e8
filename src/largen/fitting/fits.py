"""fit(): the parameters at which a limit gives a target's observables, and how well these fix them."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy import linalg

from largen.checks import FitError, LimitError, integer, names, one_of, real, require, seed_number
from largen.comparison.rows import yardsticks
from largen.fitting.check import Networks, Tolerated, judge, networks_like, rows_of, simulated
from largen.fitting.errors import response
from largen.fitting.measured import in_order, measure
from largen.fitting.model_error import shares
from largen.fitting.problem import End, Problem, Request, conclude, lowest, pose, times_of
from largen.fitting.profile import asked_for, profiles
from largen.fitting.report import half_width, report
from largen.fitting.watch import Watch
from largen.io.paths import target_of
from largen.numerics.least_squares import Minimum
from largen.numerics.streams import stream
from largen.simulation import Interrupted
from largen.system import AbstractSystem, check_options, require_model

THROUGH = ("limit", "finite", "network")
ERRORS = ("data", "scaled")
ROUNDS = 10
PROBE = 5.0
"""Standard deviations by which parameters are moved along each principal axis to see how networks follow them."""

SETTLED = 0.3
"""Standard errors below which a further round of networks is not worth its time."""


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
    model_error: float | Mapping[str, float] | None = None,
    errors: str = "data",
    check: bool = True,
    tolerance: float | Mapping[str, float] | None = None,
    strict: bool = True,
    profile: bool | str | Iterable[str] | None = None,
    progress: Any = None,
    keep: str | os.PathLike | None = None,
    **options: Any,
) -> xr.Dataset:
    """Fit parameters of a model to observables, by derivatives through its limit.

    Least squares weighted by the target's standard errors (Levenberg-Marquardt, exact derivatives, several starts side
    by side); bounds of the parameter table are respected by a change of variables.

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
        starts: Starting points: the model's own values and a Sobol sequence around them.
        spread: Their standard deviation: relative, or in the transformed variable where there are bounds.
        seed: Seed of starts and networks (which never share a seed with the target).
        iterations: Evaluations after which a start is given up.
        model_error: The theory's own error, added in quadrature to the target's: a share of each observable's natural
            scale (its size; for a mean the standard deviation of a neuron, for a covariance the variance), or shares
            by observable.
        errors: "data"; or "scaled" to multiply the parameters' errors by the misfit, with t of as many degrees of
            freedom as are left, which needs 3 of these and a misfit of at most 3.
        check: Simulate the fitted model's network and compare it with the target.
        tolerance: Tolerated shares in this comparison, as in `compare`.
        strict: Raise where no start converges or the model does not fit; otherwise say so in `attrs["status"]` and
            `attrs["verdict"]`.
        profile: Parameters whose interval comes from a profile of the likelihood (True for all): the values at which
            chi2, with all others at their best, has grown as far as the interval's parabola should. None: those whose
            parabola is off by more than a quarter at an end of its interval, or meets a bound there (not with
            `through="network"`); False: none.
        progress: None, True for a bar with the time left, "lines", or a function of the fraction done of each stage
            (search, networks, profiles, check); a bar and lines come after 5 s.
        keep: File (.nc) that holds the best values so far while the search runs, and in the end the result.
        options: The limit's own options, such as `bin_width`.

    Returns:
        Dataset. By `parameter`: value, standard_error, ci_low, ci_high, start; covariance and correlation (parameter,
        parameter_); singular_value and directions (changes of the parameters) by `direction`. By `datum`: target,
        target_error, model_error, fitted, pull (fitted less target, in errors), and with a check network,
        network_error, network_z. By `attempt` (a start): cost, outcome, attempt_value (where it ended) and minimum (the
        number of the minimum that is, 0 the best, -1 none); where profiles were made, interval ("parabola" or
        "profile") by `parameter`, and profile_value and profile_excess (parameter, point). `attrs`: status;
        other_minima and profile (messages); verdict ("no misfit found"; "does not fit", p-value below 0.01, whose
        values are the least bad ones, not estimates, and have no errors; "not tested") and fit_message, the same in
        words;
        dof and, where it can be tested, chi2 or T2, p_value and misfit, the root of it per degree of freedom;
        identifiability, condition_number, check (a message), check_verdict (in the words of `compare`), and the fitted
        model's parameters.
        `model.replace(**dict(zip(result.parameter.values, result.value.values)))` is the fitted model.

    Raises:
        InputError: An argument cannot be used; the message names it and the remedy.
        LimitError: The starting model has no limit, or no start converged.
        FitError: The model does not fit; its `partial` holds the Dataset.
        Interrupted: Ctrl-C; its `partial` holds the Dataset of the best values so far, with a status that says so.
    """
    one_of("through", through, THROUGH)
    scaled = one_of("errors", errors, ERRORS) == "scaled"
    if model_error is not None:
        shares(model_error)
    yardsticks(tolerance, None)
    starts, iterations = integer("starts", starts, low=1), integer("iterations", iterations, low=2)
    spread, seed = real("spread", spread, above=0.0), seed_number("seed", seed)
    check_options(require_model("model", model), "smooth", options)
    asked = None if observables is None else names("observables", observables)
    file = None if keep is None else target_of("keep", keep)
    times = times_of(model, target, times)
    target = in_order(model, target) if isinstance(target, xr.Dataset) else target
    networks = networks_like(model, target, times, n, realisations, seed)
    request = Request(
        model, target, times, free, asked, through, bounds or {}, n, networks.n, model_error, scaled, options
    )  # fmt: skip
    problem = pose(request)
    profiled = _profiled(profile, problem, through)
    tolerated = Tolerated(tolerance, problem.scale) if check else None
    watch = Watch(progress, file, through)
    return _run(problem, target, networks, Search(starts, spread, seed, iterations, strict), watch, profiled, tolerated)


class Search(NamedTuple):
    """How a minimum is sought; see `fit`."""

    starts: int
    spread: float
    seed: int
    iterations: int
    strict: bool


def _profiled(profile: Any, problem: Problem, through: str) -> tuple[str, ...] | None:
    """Parameters whose profile was asked for; None to choose."""
    asked = asked_for(profile, problem.free.names)
    if through != "network":
        return asked
    must = "be None or False with through='network', whose errors come from networks"
    require(not asked, "profile", must, profile)
    return ()


def _run(
    problem: Problem,
    target: xr.Dataset | Mapping[str, Any],
    networks: Networks,
    how: Search,
    watch: Watch,
    profiled: tuple[str, ...] | None,
    tolerated: Tolerated | None,
) -> xr.Dataset:
    """Search, profiles and, where differences are tolerated, the check by networks; see `fit`."""
    try:
        end, minimum, rounds = _search(problem, networks, how, watch)
        fitted = problem.free.put(problem.model, end.value)
        with watch.stage("profiles") as tick:
            profile = profiles(problem, end, profiled, half_width(problem, end), tick)
        told = {"through": watch.through, "rounds": rounds, "profile": profile}
        result = report(problem, end, minimum, None, fitted, **told)
        watch.found(result)
        if how.strict and np.isnan(end.quality.factor):
            raise FitError(end.quality.message, partial=result)
        if tolerated is not None:
            with watch.stage("check by networks"):
                network = simulated(fitted, networks, fresh=1)
                checked = judge(fitted, target, network, problem.data, problem.limit.names, tolerated)
            result = report(problem, end, minimum, checked, fitted, **told)
            watch.found(result)
    except KeyboardInterrupt as stop:
        partial = watch.partial()
        watch.save(partial)
        raise Interrupted(f"the fit ({watch.doing})", partial) from stop
    return result


def _search(problem: Problem, networks: Networks, how: Search, watch: Watch) -> tuple[End, Minimum, int]:
    """The best minimum, all of them, and how many rounds of networks it took."""
    end, minimum = search_for(problem, how, watch)
    if watch.through == "network":
        watch.ended(minimum, end)
        with watch.stage("networks") as tick:
            end, rounds = _levelled(problem, networks, end, how.iterations, how.strict, tick)
    else:
        rounds = 0
    watch.ended(minimum, end)
    return end, minimum, rounds


def search_for(problem: Problem, how: Search, watch: Watch, inner: np.ndarray | None = None) -> tuple[End, Minimum]:
    """The best minimum through the limit, and all of them; from unbounded values, shape (p,), where they are given."""
    shift = np.zeros(len(problem.data.value))
    with watch.search(problem) as each:
        if inner is None:
            begin = problem.free.starts(how.starts, how.spread, stream(how.seed, "fit", "starts"))
        else:
            begin = inner[None]
        minimum = problem.solve(begin, shift, how.iterations, each)
    return conclude(problem, minimum, lowest(minimum, how.strict), shift, []), minimum


def _levelled(
    problem: Problem, networks: Networks, end: End, iterations: int, strict: bool, tick: Callable[[float], None]
) -> tuple[End, int]:
    """Add to the limit what networks at the fitted values show beyond it, and fit again, until nothing moves.

    What networks show beyond the limit varies little with the parameters, but is known with an error only: all rounds
    but the first are averaged, and their samples enter the covariance.
    """
    beyond: list[np.ndarray] = []
    moved = np.inf
    for count in range(1, ROUNDS + 1):
        model = problem.free.put(problem.model, end.value)
        network = simulated(model, networks, fresh=1 + count)
        rows = rows_of(problem.data, measure(problem.model, network, problem.limit.names)) - end.fitted
        beyond = [rows] if count <= 2 else [*beyond, rows]
        pooled = np.concatenate(beyond)
        shift = pooled.mean(0)
        minimum = problem.solve(end.inner[None], shift, iterations)
        new = conclude(problem, minimum, lowest(minimum, strict), shift, [pooled])
        error = np.sqrt(np.diag(new.covariance))
        moved = np.max(np.abs(new.value - end.value) / np.where(np.isfinite(error) & (error > 0), error, np.inf))
        end = new
        tick(0.5 * (1.0 - float(np.exp(-count / 3.0))))  # rounds, and then as many networks as `_by_networks` makes
        if moved <= SETTLED and count > 2:
            return _by_networks(problem, networks, end, strict, tick), count
    if strict:
        raise LimitError(
            f"The fit did not settle: after {ROUNDS} rounds of networks a parameter still moves by {moved:.1g} of its "
            "standard error. The limit's derivatives are not those of the network here: take a larger n, more "
            "realisations, or through='limit'."
        )
    return end._replace(outcome=f"still moving by {moved:.1g} standard errors after {ROUNDS} rounds"), ROUNDS


def _by_networks(problem: Problem, networks: Networks, end: End, strict: bool, tick: Callable[[float], None]) -> End:
    """Correct the covariance for networks that follow the parameters unlike the limit.

    At the end the fit's response R to the data holds R (network(p) - target) = 0, so that an error of the data moves p
    by M^-1 R times it, where M = R dnetwork/dp; for the limit's own derivative M would be 1. M is measured too: an
    error of it goes through the inverse into every standard error. So all networks serve for all parameters (a
    two-level design, folded over, Plackett & Burman, Biometrika 33 (1946) 305), and they are moved along the principal
    axes of the covariance: one parameter moved by itself leaves the direction that is least certain to the noise.
    """
    fixed = np.flatnonzero(np.isfinite(np.diag(end.covariance)))
    if not len(fixed):
        return end
    axes = _principal_axes(end.covariance[np.ix_(fixed, fixed)])
    half = linalg.hadamard(1 << (len(fixed) - 1).bit_length())[:, : len(fixed)]
    moves = PROBE * np.vstack([half, -half]) @ axes.T
    room = np.minimum(end.value - problem.free.low, problem.free.high - end.value)[fixed]
    moves *= min(1.0, float(np.min(0.5 * room / np.abs(moves).max(0))))
    rows, follow = [], response(end.jacobian)
    for number, move in enumerate(moves):
        value = end.value.copy()
        value[fixed] += move
        network = simulated(problem.free.put(problem.model, value), networks, fresh=2 + ROUNDS + number)
        found = rows_of(problem.data, measure(problem.model, network, problem.limit.names)).mean(0)
        rows.append((follow @ (problem.weight * found))[fixed])
        tick(0.5 + 0.5 * (number + 1) / len(moves))
    matrix = np.linalg.lstsq(moves, rows - np.mean(rows, axis=0), rcond=None)[0].T
    seen = np.linalg.svd(np.linalg.solve(axes, matrix @ axes), compute_uv=False)[-1]
    if strict and seen < 0.1:
        raise LimitError(
            "The standard errors cannot be found: some combination of the free parameters moves the limit but hardly "
            "the networks. Free fewer parameters, take a larger n, or through='limit'."
        )
    inverse = np.linalg.pinv(matrix)
    spread = end.spread.copy()
    spread[np.ix_(fixed, fixed)] = inverse @ spread[np.ix_(fixed, fixed)] @ inverse.T
    return end._replace(spread=spread)


def _principal_axes(covariance: np.ndarray) -> np.ndarray:
    """Principal axes of the correlations, in standard deviations and the parameters' units, as columns."""
    error = np.sqrt(np.diag(covariance))
    variance, axes = np.linalg.eigh(covariance / np.outer(error, error))
    return error[:, None] * axes * np.sqrt(np.maximum(variance, 1e-8))
