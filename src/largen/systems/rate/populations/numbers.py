"""A model of populations as plain arrays, with everything that follows from its fields alone."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from largen.checks import InputError, require
from largen.parameters import TimeSeries, entries
from largen.systems.rate.kernels import AbstractKernel, UncorrelatedKernel

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations

_NEGATIVE = 1e-12


class Loadings(NamedTuple):
    """The Gaussian law of (m^1..m^R, h, w^1..w^p, n^1..n^R) of a neuron, by population.

    The first R + 1 + p of them drive the neuron: they are called driving loadings below.

    Attributes:
        mean: Mean of the driving loadings, shape (population, driving).
        covariance: Their covariance, shape (population, driving, driving).
        right_mean: Mean of n, shape (population, rank).
        right: Covariance of n with the driving loadings, shape (population, rank, driving).
        whole: Covariance of all of them, shape (population, all, all).
    """

    mean: np.ndarray
    covariance: np.ndarray
    right_mean: np.ndarray
    right: np.ndarray
    whole: np.ndarray

    @property
    def rank(self) -> int:
        """R."""
        return self.right_mean.shape[1]

    @property
    def patterns(self) -> int:
        """P."""
        return self.mean.shape[1] - self.rank - 1


class Numbers(NamedTuple):
    """Arrays of the model that enter the theory.

    Attributes:
        discrete: Whether time is discrete.
        fractions: Shape (population,), of sum 1.
        decay: gamma in discrete time, tau in continuous time, shape (population,).
        mean_weight: Jbar, [target][source].
        kernels: Kernels, [target][source].
        loadings: Law of the loadings and thresholds.
        noise: sigma, shape (population,).
        initial_mean: Shape (population,).
        initial_variance: Shape (population,).
    """

    discrete: bool
    fractions: np.ndarray
    decay: np.ndarray
    mean_weight: np.ndarray
    kernels: tuple[tuple[AbstractKernel, ...], ...]
    loadings: Loadings
    noise: np.ndarray
    initial_mean: np.ndarray
    initial_variance: np.ndarray

    @classmethod
    def of(cls, model: "RatePopulations", fractions: np.ndarray | None = None) -> "Numbers":
        """Those of a model; with the fractions of one network where they are given."""
        discrete = model.dynamics == "discrete"
        shares = np.asarray(model.fractions) if fractions is None else fractions
        count = len(shares)
        fields = (model.noise, model.initial_mean, model.initial_variance)
        return cls(
            discrete,
            shares / shares.sum(),
            spread(model.gamma if discrete else model.tau, count),
            np.asarray(model.mean_weight, dtype=float),
            kernels_of(model),
            loadings_of(model),
            *(spread(value, count) for value in fields),
        )

    @property
    def static_gain(self) -> np.ndarray:
        """Response of a neuron to a constant input of 1: tau or 1/(1 - gamma), shape (population,)."""
        return 1.0 / (1.0 - self.decay) if self.discrete else self.decay

    @property
    def variances(self) -> np.ndarray:
        """g_ab^2, [target][source]: N_b times the variance of a weight."""
        return np.array([[variance_of(kernel) for kernel in row] for row in self.kernels])

    @property
    def independent(self) -> bool:
        """Whether all weights are independent of each other."""
        return all(is_independent(kernel) for row in self.kernels for kernel in row)


def spread(value: Any, count: int) -> np.ndarray:
    """One number for all populations written out, shape (population,)."""
    return np.array(np.broadcast_to(np.asarray(value, dtype=float), (count,)))


def variance_of(kernel: AbstractKernel) -> float:
    """Lambda(0, 0)."""
    values: Any = getattr(kernel, "values", None)
    if values is None:
        return float(getattr(kernel, "variance"))  # noqa: B009 (kernels without a table have a variance)
    return float(values[values.shape[0] // 2, values.shape[1] // 2])


def is_independent(kernel: AbstractKernel) -> bool:
    """Whether the weights of a block are independent."""
    if isinstance(kernel, UncorrelatedKernel):
        return True
    values: Any = getattr(kernel, "values", None)
    if values is None:
        still = float(getattr(kernel, "variance")) == 0.0  # noqa: B009
        return still or (float(getattr(kernel, "post")) == 0.0 and float(getattr(kernel, "pre")) == 0.0)  # noqa: B009
    return np.count_nonzero(values) == (1 if variance_of(kernel) else 0)


def kernels_of(model: "RatePopulations") -> tuple[tuple[AbstractKernel, ...], ...]:
    """The kernels by block, [target][source]; those of independent weights where only variances are given."""
    if model.kernels is not None:
        return model.kernels
    count = len(model.fractions)
    variances = np.zeros((count, count)) if model.weight_variance is None else np.asarray(model.weight_variance)
    return tuple(tuple(UncorrelatedKernel(float(value)) for value in row) for row in variances)


def loadings_of(model: "RatePopulations") -> Loadings:
    """Law of the loadings, thresholds and patterns by population."""
    count, low, patterns = len(model.fractions), model.low_rank, model.patterns
    rank, extra = (0 if low is None else low.rank), (0 if patterns is None else patterns.count)
    driving = rank + 1 + extra
    mean = np.zeros((count, driving))
    whole = np.zeros((count, driving + rank, driving + rank))
    left, right = slice(0, rank), slice(driving, driving + rank)
    drawn = np.r_[0:rank, driving : driving + rank]  # (m, n)
    mean[:, rank] = spread(model.threshold_mean, count)
    whole[:, rank, rank] = spread(model.threshold_variance, count)
    right_mean = np.zeros((count, rank))
    if low is not None:
        mean[:, left], right_mean = low.left_mean, np.array(low.right_mean)
        if low.covariance is not None:
            whole[:, drawn[:, None], drawn] = low.covariance
    if model.threshold_covariance is not None:
        _put(whole, [rank], drawn, np.asarray(model.threshold_covariance)[:, None])
    if patterns is not None:
        at = np.arange(rank + 1, driving)
        mean[:, at] = patterns.mean
        if patterns.covariance is not None:
            whole[:, at[:, None], at] = patterns.covariance
        if patterns.with_loadings is not None:
            _put(whole, at, np.append(drawn, rank), np.asarray(patterns.with_loadings))
    return Loadings(mean, whole[:, :driving, :driving], right_mean, whole[:, right, :driving], whole)


def _put(whole: np.ndarray, rows: Any, columns: np.ndarray, block: np.ndarray) -> None:
    rows = np.asarray(rows)
    whole[:, rows[:, None], columns] = block
    whole[:, columns[:, None], rows] = block.transpose(0, 2, 1)


def check_loadings(model: "RatePopulations", labels: tuple[str, ...]) -> None:
    """Refuse shapes that do not fit each other and covariances that are none; the message names the population."""
    count = len(labels)
    rank = 0 if model.low_rank is None else model.low_rank.rank
    for name, part, field in (
        ("low_rank", model.low_rank, "left_mean"),
        ("patterns", model.patterns, "mean"),
    ):
        if part is not None:
            rows = len(getattr(part, field))
            require(rows == count, f"{name}.{field}", f"have one row per population ({count})", rows)
    if model.threshold_covariance is not None:
        shape, wanted = np.shape(model.threshold_covariance), (count, 2 * rank)
        must = f"have shape {wanted} (population, 2 rank)"
        require(shape == wanted and rank > 0, "threshold_covariance", must, shape, "Its columns are (m, n).")
    if model.patterns is not None and model.patterns.with_loadings is not None:
        shape, wanted = np.shape(model.patterns.with_loadings), (count, model.patterns.count, 2 * rank + 1)
        must = f"have shape {wanted} (population, pattern, 2 rank + 1)"
        require(shape == wanted, "patterns.with_loadings", must, shape, "Its columns are (m, n, h).")
    _check_covariances(model, labels)


def _check_covariances(model: "RatePopulations", labels: tuple[str, ...]) -> None:
    if model.low_rank is not None and model.low_rank.covariance is not None:
        _refuse_indefinite("low_rank.covariance", model.low_rank.covariance, labels, "covariance")
    if model.patterns is not None and model.patterns.covariance is not None:
        _refuse_indefinite("patterns.covariance", model.patterns.covariance, labels, "covariance")
    if model.threshold_covariance is not None or (
        model.patterns is not None and model.patterns.with_loadings is not None
    ):
        name = "threshold_covariance" if model.threshold_covariance is not None else "patterns.with_loadings"
        _refuse_indefinite(name, loadings_of(model).whole, labels, "joint covariance of (m, h, w, n)")


def _refuse_indefinite(name: str, covariances: Any, labels: tuple[str, ...], words: str) -> None:
    for label, matrix in zip(labels, np.asarray(covariances), strict=True):
        if not np.allclose(matrix, matrix.T, rtol=1e-12, atol=1e-14):
            raise InputError(f"Argument `{name}` must be symmetric in population {label}, but is {matrix.tolist()}.")
        lowest = float(np.linalg.eigvalsh(matrix).min())
        if lowest < -_NEGATIVE * max(1.0, float(np.trace(matrix))):
            raise InputError(
                f"Argument `{name}` must make the {words} of population {label} positive semi-definite, but its "
                f"smallest eigenvalue is {lowest:.3g}. Make the entries off the diagonal smaller."
            )


def input_at(model: "RatePopulations", times: np.ndarray) -> np.ndarray:
    """Common input I_a(t), shape (population, time)."""
    count, given = len(model.fractions), model.input
    if given is None:
        return np.zeros((count, len(times)))
    if not callable(given):
        return np.repeat(spread(given, count)[:, None], len(times), axis=1)
    if isinstance(given, TimeSeries):
        return _series_at(given, times)
    values = np.array([np.asarray(given(float(t)), dtype=float) for t in times])
    if values.shape != (len(times), count) or not np.all(np.isfinite(values)):
        raise InputError(
            f"Argument `input` must give {count} finite numbers, one per population, at every time, but gives shape "
            f"{values.shape[1:]} at time {times[0]:g}."
        )
    return values.T


def signals_at(model: "RatePopulations", times: np.ndarray) -> np.ndarray:
    """Signals s_p(t), shape (pattern, time)."""
    if model.patterns is None:
        return np.zeros((0, len(times)))
    return _series_at(model.patterns.signals, times)


def _series_at(series: TimeSeries, times: np.ndarray) -> np.ndarray:
    return np.array([np.interp(times, series.times, column) for column in series.values.T])


def is_steady(model: "RatePopulations") -> bool:
    """Whether input and signals are constant in time."""
    given = [model.input] if model.patterns is None else [model.input, model.patterns.signals]
    for value in given:
        if isinstance(value, TimeSeries):
            if np.any(value.values != value.values[:1]):
                return False
        elif callable(value):
            return False
    return True


def check_kernels(kernels: Any, labels: tuple[str, ...]) -> None:
    """Refuse a kernel that is no covariance on a large ring; the message names the block."""
    for (a, b), kernel in entries(kernels):
        try:
            kernel.coupling()
        except InputError as error:
            block = f"kernels[{labels[a]},{labels[b]}]"
            raise InputError(str(error).replace("Argument `kernel`", f"Argument `{block}`")) from error
