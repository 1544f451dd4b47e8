"""How large a difference in an observable of populations matters."""

from collections.abc import Callable
from typing import Any

from largen.checks import InputError
from largen.system import Yardstick

BRANCH, UNSTABLE = "symmetric_branch", "unstable"
"""Attribute of a limit that stays at mean 0 by symmetry, although networks leave it."""


def _refuse_unstable(theory: Any) -> None:
    """Refuse a limit on an unstable symmetric branch: networks leave it to either side, and their average cancels."""
    if theory.attrs.get(BRANCH) == UNSTABLE:
        raise InputError(
            "The limit stays on a symmetric branch that is unstable, whereas every network leaves it to one of two "
            "sides: averages of mean, rate and latent over networks say nothing. Start with initial_mean other than 0, "
            "or compare the covariances alone (drop_vars on both Datasets)."
        )


def _diagonal(theory: Any) -> Any:
    """Variance of a neuron of each population, averaged over time: the diagonal of the covariance at lag 0."""
    both = theory["covariance"].sel(lag=0, drop=True)
    same = both["time"] == both["time_"]
    return both.where(same).sum("time_").mean("time")


def _averaged_variance(theory: Any) -> Any:
    """Covariance of a neuron with itself, averaged over all pairs of times as the covariances that are compared."""
    both = theory["covariance"].sel(lag=0, drop=True)
    return both.where(both["time_"] <= both["time"]).mean("time_").mean("time")


def _neuron_sd(theory: Any) -> Any:
    _refuse_unstable(theory)
    return _diagonal(theory) ** 0.5


def _own_size(name: str) -> Callable[[Any], Any]:
    def size(theory: Any) -> Any:
        _refuse_unstable(theory)
        return abs(theory[name].mean("time"))

    return size


NEURON_SD = Yardstick(0.05, _neuron_sd, "a neuron's s.d.", needs=("mean", "covariance"))
RATE = Yardstick(0.05, _own_size("rate"), needs=("rate",))
LATENT = Yardstick(0.05, _own_size("latent"), needs=("latent",))
VARIANCE = Yardstick(0.1, _averaged_variance, "covariance[0]", needs=("covariance",))
