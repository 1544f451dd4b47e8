"""A fit as a labelled Dataset."""

import json
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from largen.datasets import versions
from largen.fitting.check import Check
from largen.fitting.measured import Data
from largen.fitting.problem import End, Problem
from largen.fitting.quality import Goodness
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
    """
    free, data = problem.free, problem.data
    error = np.sqrt(np.diag(end.covariance))
    wide = 1.959963984540054 if end.dof is None else float(stats.t.ppf(0.975, end.dof))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = end.covariance / np.outer(error, error)
    one, two = ("parameter",), ("parameter", "parameter_")
    count = len(free.names)
    variables: dict[str, Any] = {
        "value": (one, end.value, "fitted value"),
        "standard_error": (one, error, "standard error"),
        "ci_low": (one, end.value - wide * error, "lower end of the 95 % interval"),
        "ci_high": (one, end.value + wide * error, "upper end of the 95 % interval"),
        "start": (one, free.value, "value in the starting model"),
        "covariance": (two, end.covariance, "covariance of the parameters"),
        "correlation": (two, correlation, "correlation of the parameters"),
        "singular_value": (("direction",), end.found.singular, "singular value of the weighted derivatives"),
        "direction": (("direction", "parameter"), end.found.directions, "change of the parameters"),
        "target": (("datum",), data.value, "target"),
        "fitted": (("datum",), end.fitted + end.shift, "the fitted theory"),
        "cost": (("attempt",), minimum.cost, "half the weighted sum of squares of each start"),
        "outcome": (("attempt",), np.array(minimum.outcome), "how each start ended"),
    }
    if data.error is not None:
        variables["target_error"] = (("datum",), data.error, "standard error of the target")
    if check is not None:
        variables["network"] = (("datum",), check.value, "the fitted model's network")
        variables["network_error"] = (("datum",), check.error, "its standard error")
        variables["network_z"] = (("datum",), check.z, "difference from the target in standard errors")
    coords = {
        "parameter": list(free.names),
        "parameter_": list(free.names),
        "unit": ("parameter", list(free.units)),
        "direction_": ("direction", np.arange(count)),
        "datum": list(data.labels),
        "attempt": np.arange(len(minimum.cost)),
    }
    del coords["direction_"]
    attrs: dict[str, Any] = {
        "kind": "fit",
        "system": fitted.system,
        "parameters": json.dumps(to_plain(fitted, strict=False)),
        "through": through,
        "status": end.outcome,
        "evaluations": minimum.iterations,
        "rounds": rounds,
        "cost": end.cost,
        "fit": end.quality.goodness.value,
        "fit_message": end.quality.message,
        "degrees_of_freedom": end.quality.dof,
        "identifiability": end.found.message,
        "condition_number": end.found.condition,
        "flat_directions": end.found.flat,
        "standard_errors": _source(data, end.dof),
        "versions": versions(),
    }
    if end.quality.goodness is not Goodness.UNTESTED:
        attrs["chi_squared"], attrs["tail_probability"] = end.quality.chi_squared, end.quality.tail
        attrs["chi_squared_per_degree"] = end.quality.chi_squared / end.quality.dof
    if check is not None:
        attrs |= {"verdict": check.agreement.value, "check": check.message}
    labelled = {name: (dims, values, {"long_name": text}) for name, (dims, values, text) in variables.items()}
    labelled["directions"] = labelled.pop("direction")
    return xr.Dataset(labelled, coords, attrs)


def _source(data: Data, dof: int | None) -> str:
    if data.samples is not None:
        return f"from the target's {len(data.samples)} realisations, correlations included (t with {dof} degrees)"
    if data.error is not None:
        return "from the standard errors given, taken as independent"
    return "from the residuals: the target has no errors of its own"
