"""How large a difference in an observable of populations matters."""

from typing import Any

from largen.system import Yardstick


def _diagonal(theory: Any) -> Any:
    """Variance of a neuron of each population, averaged over time: the diagonal of the covariance at lag 0."""
    both = theory["covariance"].sel(lag=0, drop=True)
    same = both["time"] == both["time_"]
    return both.where(same).sum("time_").mean("time")


def _averaged_variance(theory: Any) -> Any:
    """Covariance of a neuron with itself, averaged over all pairs of times as the covariances that are compared."""
    both = theory["covariance"].sel(lag=0, drop=True)
    return both.where(both["time_"] <= both["time"]).mean("time_").mean("time")


NEURON_SD = Yardstick(0.05, lambda theory: _diagonal(theory) ** 0.5, "a neuron's s.d.", needs=("mean", "covariance"))
VARIANCE = Yardstick(0.1, _averaged_variance, "covariance[0]", needs=("covariance",))
