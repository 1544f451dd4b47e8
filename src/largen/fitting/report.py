"""A fit as a labelled Dataset."""

import json
from typing import Any

import numpy as np
import xarray as xr

from largen.datasets import versions
from largen.fitting.check import Check
from largen.fitting.minima import sort_minima
from largen.fitting.problem import End, Problem
from largen.fitting.profile import Profile
from largen.fitting.quality import statistic_name
from largen.numerics.distributions import t_ppf
from largen.numerics.least_squares import Minimum
from largen.parameters.plain import to_plain
from largen.system import AbstractSystem


def report(
    problem: Problem,
    end: End,
    minimum: Minimum,
    check: Check | None,
    fitted: AbstractSystem,
    *,
    through: str,
    rounds: int,
    profile: Profile | None = None,
) -> xr.Dataset:
    """Label what a fit found; see `fit`.

    Args:
        problem: The fit's Problem.
        end: Its End.
        minimum: Where every start came to.
        check: The network's comparison with the target, or None.
        fitted: The fitted model.
        through: As asked.
        rounds: Rounds of networks.
        profile: Intervals from profiles, or None.
    """
    free, data = problem.free, problem.data
    test, factor = end.quality.test, end.quality.factor
    covariance = end.covariance * factor**2
    error = np.sqrt(np.diag(covariance))
    wide = half_width(problem, end)
    where = "the minimum from which networks led to these values" if through == "network" else "these values"
    minima = sort_minima(minimum, minimum.best, free, error, where)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = covariance / np.outer(error, error)
    one, two = ("parameter",), ("parameter", "parameter_")
    variables: dict[str, Any] = {
        "value": (one, end.value, "fitted value"),
        "standard_error": (one, error, "standard error"),
        "ci_low": (one, end.value - wide * error, "lower end of the 95 % interval"),
        "ci_high": (one, end.value + wide * error, "upper end of the 95 % interval"),
        "start": (one, free.value, "value in the starting model"),
        "covariance": (two, covariance, "covariance of the parameters"),
        "correlation": (two, correlation, "correlation of the parameters"),
        "directions": (("direction", "parameter"), end.found.directions, "change of the parameters"),
        "singular_value": (("direction",), end.found.singular, "singular value of the weighted derivatives"),
        "target": (("datum",), data.value, "target"),
        "fitted": (("datum",), end.fitted + end.shift, "the fitted theory"),
        "cost": (("attempt",), minimum.cost, "half the weighted sum of squares of each start"),
        "outcome": (("attempt",), np.array(minimum.outcome), "how each start ended"),
        "attempt_value": (("attempt", "parameter"), minima.value, "parameters where each start ended"),
        "minimum": (("attempt",), minima.number, "which minimum that is: 0 the best, -1 none"),
    }
    if profile is not None:
        variables |= _profiled(profile, variables, free.names)
    if data.error is not None:
        variables["target_error"] = (("datum",), data.error, "standard error of the target")
    if problem.model_error is not None:
        variables["model_error"] = (
            ("datum",),
            problem.model_error,
            "error of the theory, and of the choice of recorded neurons",
        )
    if not np.isnan(test.p_value):
        variables["pull"] = (("datum",), end.quality.pull, "fitted less target, in errors")
    if check is not None:
        variables["network"] = (("datum",), check.value, "the fitted model's network")
        variables["network_error"] = (("datum",), check.error, "its standard error")
        variables["network_z"] = (("datum",), check.z, "difference from the target in standard errors")
    coords = {
        "parameter": list(free.names),
        "parameter_": list(free.names),
        "unit": ("parameter", list(free.units)),
        "datum": list(data.labels),
        "attempt": np.arange(len(minimum.cost)),
    }
    attrs: dict[str, Any] = {
        "kind": "fit",
        "system": fitted.system,
        "parameters": json.dumps(to_plain(fitted, strict=False)),
        "through": through,
        "status": end.outcome,
        "evaluations": minimum.iterations,
        "rounds": rounds,
        "cost": end.cost,
        "verdict": end.quality.verdict.value,
        "fit_message": end.quality.message,
        "dof": test.dof,
        "identifiability": end.found.message,
        "condition_number": end.found.condition,
        "flat_directions": end.found.flat,
        "standard_errors": _source(problem, end),
        "other_minima": minima.message,
        "versions": versions(),
    }
    if not np.isnan(test.p_value):
        attrs |= {statistic_name(test): test.statistic, "p_value": test.p_value, "misfit": test.misfit}
    if profile is not None:
        attrs["profile"] = profile.message
    if problem.left_out:
        attrs["left_out"] = problem.left_out
    if check is not None:
        attrs |= {"check_verdict": check.verdict, "check": check.message}
    labelled = {name: (dims, values, {"long_name": text}) for name, (dims, values, text) in variables.items()}
    return xr.Dataset(labelled, coords, attrs)


def half_width(problem: Problem, end: End) -> float:
    """Half-width of the parabola's 95 % intervals in standard errors."""
    return float(t_ppf(0.975, end.quality.test.dof if problem.scaled else end.dof))


def _profiled(profile: Profile, variables: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Intervals with those of profiles in place, where they come from, and the profiles."""
    one, points = ("parameter",), ("parameter", "point")
    origin = np.array(["profile" if name in profile.names else "parabola" for name in names])
    found: dict[str, Any] = {}
    for key, ends in (("ci_low", profile.low), ("ci_high", profile.high)):
        found[key] = (one, np.where(np.isnan(ends), variables[key][1], ends), variables[key][2])
    return found | {
        "interval": (one, origin, "what the 95 % interval comes from"),
        "profile_value": (points, profile.value, "values at which the parameter was held"),
        "profile_excess": (points, profile.excess, "growth of chi2 there, all others at their best"),
    }


def _source(problem: Problem, end: End) -> str:
    """Where the parameters' errors come from."""
    data = problem.data
    theirs = "" if problem.model_error is None else ", with the theory's own"
    if np.isnan(end.quality.factor):
        return "none: the model does not fit"
    if problem.scaled:
        return f"the data's{theirs}, times the misfit (t with {end.quality.test.dof} degrees)"
    if data.samples is not None:
        count = len(data.samples)
        return f"from the target's {count} realisations, correlations included{theirs} (t with {end.dof:g} degrees)"
    if data.error is not None:
        return f"from the standard errors given, taken as independent{theirs}"
    if problem.model_error is not None:
        return "from the theory's own error alone, taken as independent"
    return "from the residuals: the target has no errors of its own"
