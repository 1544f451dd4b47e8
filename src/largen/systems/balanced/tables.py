"""Theories of the balanced network as tables with names, units and meanings."""

from typing import Any

import numpy as np

from largen.system import Table
from largen.systems.balanced.fluctuations import Fluctuations
from largen.systems.balanced.stationary import FixedPoints

_PAIR = ("population", "source")
_COVARIANCES = {
    "mean_covariance": "covariance of the population means",
    "variance_covariance": "covariance of the population variances",
    "mean_variance_covariance": "covariance of a population's mean with a source population's variance",
    "pair_correlation": "correlation of two different neurons",
}


def of_fluctuations(found: Fluctuations, labels: tuple[str, ...]) -> Table:
    """Covariances over realisations, dims (population, source), and the state about which they are."""
    variables: dict[str, Any] = {name: (_PAIR, getattr(found, name), "1", text) for name, text in _COVARIANCES.items()}
    for name in ("mean", "variance"):
        variables[name] = (("population",), getattr(found, name), "1", f"stationary {name}")
    variables["sizes"] = (("population",), found.sizes, "1", "neurons")
    coords = {"population": (list(labels), "1", "population"), "source": (list(labels), "1", "source population")}
    return Table(variables, coords)


def of_stationary_states(found: FixedPoints, labels: tuple[str, ...]) -> Table:
    """Stationary states, dims (state, population), with their eigenvalues (state, mode)."""
    variables: dict[str, Any] = {
        name: (("state", "population"), getattr(found, name), "1", f"stationary {name}")
        for name in ("mean", "variance", "third_cumulant", "rate")
    }
    for name in ("fast", "slow"):
        values = np.asarray(getattr(found, name))
        for part, numbers in (("real", np.real(values)), ("imag", np.imag(values))):
            variables[f"{name}_{part}"] = (("state", f"{name}_mode"), numbers, "1", f"{name} eigenvalue, {part} part")
    variables["stable"] = (("state",), found.stable, "1", "whether all real parts are negative")
    coords = {"population": (list(labels), "1", "population")}
    return Table(variables, coords)
