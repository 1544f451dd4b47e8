"""Parts of a network of populations: the low-rank part of its weights, and frozen patterns of its input."""

from typing import Any

import numpy as np

from largen.checks import require
from largen.parameters import AbstractComponent, TimeSeries, parameter


def _shaped(name: str, value: Any, wanted: tuple[int, ...], words: str) -> None:
    require(np.shape(value) == wanted, name, f"have shape {wanted} ({words})", np.shape(value))


class LowRank(AbstractComponent):
    """The structured part (1/N) sum_r m_i^r n_j^r of the weights from j to i (eq. P1 of docs/rate-populations.md).

    The loadings (m^1..m^R, n^1..n^R) of a neuron are jointly Gaussian, with a mean and a covariance by population.
    """

    left_mean: Any = parameter(
        ((1.0,),), symbol=r"\bar m", dims=("population", "rank"), doc="Mean of the loadings m, the output direction."
    )
    right_mean: Any = parameter(
        ((1.0,),), symbol=r"\bar n", dims=("population", "rank"), doc="Mean of the loadings n, which select the input."
    )
    covariance: Any = parameter(
        None,
        symbol=r"\Sigma",
        dims=("population", "loading", "loading"),
        optional=True,
        doc="Covariance of (m^1..m^R, n^1..n^R) in each population; None for loadings without variance.",
    )

    def __check_init__(self):
        if np.ndim(self.left_mean) != 2:
            return  # reported by the general check
        count, rank = np.shape(self.left_mean)
        require(rank >= 1, "left_mean", "have at least one column, the rank", (count, rank))
        _shaped("right_mean", self.right_mean, (count, rank), "population, rank")
        if self.covariance is not None:
            _shaped("covariance", self.covariance, (count, 2 * rank, 2 * rank), "population, 2 rank, 2 rank")

    @property
    def rank(self) -> int:
        """Rank R."""
        return int(np.shape(self.left_mean)[1])


class Patterns(AbstractComponent):
    """Input sum_p w_i^p s_p(t): frozen patterns over the neurons times signals (eq. P2 of docs/rate-populations.md).

    The loadings w^1..w^p of a neuron are jointly Gaussian, with a mean and a covariance by population.
    """

    mean: Any = parameter(((1.0,),), symbol=r"\bar w", dims=("population", "pattern"), doc="Mean of the patterns w.")
    covariance: Any = parameter(
        None,
        symbol=r"\Sigma^{ww}",
        dims=("population", "pattern", "pattern"),
        optional=True,
        doc="Covariance of (w^1..w^p) in each population; None for 0.",
    )
    with_loadings: Any = parameter(
        None,
        symbol=r"\Sigma^{w,(m,n,h)}",
        dims=("population", "pattern", "loading"),
        optional=True,
        doc="Covariance of w with (m^1..m^R, n^1..n^R, h), shape (population, pattern, 2 rank + 1); None for 0.",
    )
    signals: Any = parameter(
        TimeSeries((0.0,), ((1.0,),)),
        symbol="s_p",
        kind="component",
        components=(TimeSeries,),
        doc="The signals s_p(t), one column per pattern.",
    )

    def __check_init__(self):
        if np.ndim(self.mean) != 2:
            return  # reported by the general check
        count, patterns = np.shape(self.mean)
        require(patterns >= 1, "mean", "have at least one column, the patterns", (count, patterns))
        if self.covariance is not None:
            _shaped("covariance", self.covariance, (count, patterns, patterns), "population, pattern, pattern")
        if self.with_loadings is not None:
            good = np.shape(self.with_loadings)[:2] == (count, patterns)
            require(
                good, "with_loadings", f"have shape ({count}, {patterns}, 2 rank + 1)", np.shape(self.with_loadings)
            )
        if isinstance(self.signals, TimeSeries):
            columns = self.signals.values.shape[1]
            require(columns == patterns, "signals", f"have one column per pattern ({patterns})", columns)

    @property
    def count(self) -> int:
        """Number of patterns."""
        return int(np.shape(self.mean)[1])
