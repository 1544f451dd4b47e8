"""Static states of the noiseless limit: their laws, and the spectrum of the network's Jacobian around them.

The bulk of the spectrum ends at z_B (eq. P17); outliers come from means, loadings and the variance channel (eq. P18),
and are eigenvalues of the network where they lie outside the bulk only.
"""

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import optimize

from largen.checks import InputError, LimitError, integer, require
from largen.systems.rate.populations.expectations import Law
from largen.systems.rate.populations.sweep import Still, Unknowns, prepare

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations

_SAME = 1e-7  # two states nearer than this are one
_RESIDUAL = 1e-10


class StaticState(NamedTuple):
    """A static state and its stability.

    Attributes:
        mean: Shape (population,).
        rate: Shape (population,).
        latent: Shape (rank,).
        variance: Shape (population,).
        bulk_edge: Rightmost point of the bulk; in discrete time its largest modulus.
        outliers: Eigenvalues outside the bulk, complex, shape (outlier,), the leading one first.
        exponent: The leading one of all as a growth rate.
        discrete: Whether time is discrete.
    """

    mean: np.ndarray
    rate: np.ndarray
    latent: np.ndarray
    variance: np.ndarray
    bulk_edge: float
    outliers: np.ndarray
    exponent: float
    discrete: bool

    @property
    def stable(self) -> bool:
        """Whether small perturbations decay."""
        return self.exponent < 0.0

    @property
    def bulk_unstable(self) -> bool:
        """Whether perturbations in random directions grow."""
        return self.bulk_edge >= (1.0 if self.discrete else 0.0)


class Static:
    """The equations of static states: unknowns mean, latent, static part of every field."""

    def __init__(self, still: Still):
        self.still = still
        count = len(still.responses)
        ends = (0, count, count + still.numbers.loadings.rank, None)
        self._parts = [slice(*pair) for pair in itertools.pairwise(ends)]

    def split(self, x: np.ndarray) -> list[np.ndarray]:
        """Mean, latent and static part."""
        return [x[part] for part in self._parts]

    def laws(self, x: np.ndarray) -> tuple[list[Law], np.ndarray, np.ndarray]:
        """Activations by population, filtered latent variables, and variances of the states."""
        mean, latent, static = self.split(x)
        filtered = self.still.filtered(latent)
        driven = np.array([self.still.fields.of(a) @ static for a in range(len(mean))])
        variance = np.maximum(driven + self.still.own(filtered), 0.0)
        laws = [
            Law(response, float(m), float(v), 1e-13)
            for response, m, v in zip(self.still.responses, mean, variance, strict=True)
        ]
        return laws, filtered, variance

    def unknowns(self, state: StaticState) -> np.ndarray:
        """The unknowns at a state of independent weights."""
        driven = state.variance - self.still.own(self.still.filtered(state.latent))
        return np.concatenate([state.mean, state.latent, np.maximum(driven, 0.0)[self.still.fields.target]])

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """One sweep."""
        still, (_, latent, static) = self.still, self.split(x)
        laws, filtered, _ = self.laws(x)
        rates = np.array([law.rate for law in laws])
        new = still.fields.total @ rates**2
        for law, source, mix in zip(laws, still.fields.sources, still.fields.mix, strict=True):
            sums = np.full(len(source.reads), law.spread)  # at lag 0, and at other lags:
            for i, (read, weights) in enumerate(zip(source.reads[1:], source.weights[1:], strict=True), start=1):
                r = law.correlations(np.array([float(read @ static)]))
                sums[i] = law.pairs(r, None if np.all(weights[:4] == 1.0) else weights)[0]
            new += mix @ sums
        gain = still.gain[still.fields.target]
        return np.concatenate([still.means(rates, latent), still.latents(laws, filtered), gain**2 * new])


def solve(model: "RatePopulations", starts: Any = None, *, count: int = 24) -> list[StaticState]:
    """All static states that Newton's method finds from many starts, the most stable first.

    Args:
        model: A RatePopulations without noise, with constant input and independent weights.
        starts: Starts (mean..., latent..., variance...), shape (start, 2 population + rank); None for the solver's own.
        count: Number of own starts.
    """
    if np.any(np.asarray(model.noise)):
        raise InputError("Argument `noise` must be 0 for static states.")
    still = prepare(model)
    _require_independent(still)
    static, found = Static(still), []
    points = []
    for start in _starts(still, starts, integer("count", count, low=1)):
        x = _root(static, start, damped=3)
        if x is not None and all(np.abs(x - other).max() > _SAME * (1.0 + np.abs(x).max()) for other in points):
            points.append(x)
            found.append(_judge(static, x))
    if not found:
        raise LimitError("No static state was found. Give `starts` nearer to one.")
    return sorted(found, key=lambda state: (state.exponent, tuple(state.mean)))


def judged(still: Still, law: Unknowns) -> StaticState | None:
    """A static law with its stability; None for correlated weights, where no theory of it exists."""
    if not still.numbers.independent:
        return None
    static = Static(still)
    x = np.concatenate([law.mean, law.latent, law.static])
    refined = _root(static, x)
    near = refined is not None and np.abs(refined - x).max() < 1e-5 * (1.0 + np.abs(x).max())
    return _judge(static, refined if near and refined is not None else x)


def refined(static: Static, near: StaticState) -> StaticState | None:
    """The static state near one of a nearby model, or None."""
    _require_independent(static.still)
    found = _root(static, static.unknowns(near))
    return None if found is None else _judge(static, found)


def _require_independent(still: Still) -> None:
    if not still.numbers.independent:
        raise LimitError(
            "Static states and their stability are derived for independent weights only. Solve the stationary regime "
            "(analysis.stationary), or give UncorrelatedKernel in every block."
        )


def _starts(still: Still, given: Any, count: int) -> np.ndarray:
    populations, rank = len(still.responses), still.numbers.loadings.rank
    target = still.fields.target
    if given is None:
        rng = np.random.default_rng(0)
        scale = 2.0 ** rng.uniform(-3.0, 3.0, (count, 1))
        drawn = scale * rng.standard_normal((count, 2 * populations + rank))
        drawn = np.concatenate([np.zeros((1, drawn.shape[1])), drawn])
    else:
        drawn = np.atleast_2d(np.asarray(given, dtype=float))
        good = drawn.ndim == 2 and drawn.shape[1] == 2 * populations + rank and np.all(np.isfinite(drawn))
        require(good, "starts", f"have rows of {2 * populations + rank} numbers: means, latent, variances", given)
    variance = np.abs(drawn[:, populations + rank :])
    return np.concatenate([drawn[:, : populations + rank], variance[:, target]], axis=1)


def _root(static: Static, start: np.ndarray, damped: int = 0) -> np.ndarray | None:
    """Newton's method after a few damped sweeps, which bring a start near what it leads to."""
    x = start
    for _ in range(damped):
        x = 0.5 * (x + static(x))
    if not np.all(np.isfinite(x)) or np.abs(x).max() > 1e12:
        return None
    found = optimize.root(lambda x: static(x) - x, x, method="hybr", options={"xtol": 1e-13})
    x = np.asarray(found.x)
    x[np.abs(x) < 1e-13] = 0.0
    residual = float(np.abs(static(x) - x).max())
    driven = static.laws(x)[2]
    good = residual <= _RESIDUAL * (1.0 + float(np.abs(x).max()))
    return x if good and np.all(np.isfinite(x)) and np.all(driven >= 0.0) else None


# Stability -------------------------------------------------------------------------------------------------------


def _judge(static: Static, x: np.ndarray) -> StaticState:
    still = static.still
    laws, filtered, variance = static.laws(x)
    mean, latent, _ = static.split(x)
    slopes = np.array([law.slope_square for law in laws])
    edge = bulk_edge(still, slopes)
    eigenvalues = np.linalg.eigvals(collective(still, laws, filtered))
    outside = np.array([_outside(still, slopes, z) for z in eigenvalues], dtype=bool)
    outliers = eigenvalues[outside] if len(eigenvalues) else np.zeros(0, complex)
    discrete = still.numbers.discrete
    size = np.abs(outliers) if discrete else np.real(outliers)
    outliers = outliers[np.argsort(-size, kind="stable")]
    leading = max([edge, *size.tolist()])
    exponent = float(np.log(max(leading, 1e-300))) if discrete else float(leading)
    rate = np.array([law.rate for law in laws])
    return StaticState(mean, rate, latent, variance, edge, outliers, exponent, discrete)


def radius(still: Still, slopes: np.ndarray, z: complex) -> float:
    """Spectral radius of [g_ab^2 <phi_b'^2>/|z + 1/tau_a|^2]; z - gamma_a in discrete time."""
    numbers = still.numbers
    shift = z - numbers.decay if numbers.discrete else z + 1.0 / numbers.decay
    with np.errstate(divide="ignore", invalid="ignore"):
        matrix = numbers.variances * slopes / np.abs(shift)[:, None] ** 2
    matrix = np.where(numbers.variances * slopes == 0.0, 0.0, matrix)
    if not np.all(np.isfinite(matrix)):
        return np.inf
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def bulk_edge(still: Still, slopes: np.ndarray) -> float:
    """z_B: the rightmost point of the bulk (eq. P17), real; its largest modulus in discrete time.

    Args:
        still: The model.
        slopes: <phi'^2> by population.
    """
    numbers = still.numbers
    low = float(numbers.decay.max()) if numbers.discrete else float(-1.0 / numbers.decay.max())
    rate = float(1.0 / numbers.decay.min()) if not numbers.discrete else 1.0
    high = low + rate
    while radius(still, slopes, high) >= 1.0:
        high = low + 2.0 * (high - low)
    start = low + 1e-13 * (high - low)
    if radius(still, slopes, start) < 1.0:
        return low
    return float(optimize.brentq(lambda z: np.log(radius(still, slopes, z)), start, high, xtol=1e-14, rtol=1e-14))  # type: ignore[arg-type]


def _outside(still: Still, slopes: np.ndarray, z: complex) -> bool:
    """Whether an eigenvalue of `collective` is one of the network: outside the bulk, and not of a bare neuron."""
    numbers = still.numbers
    bare = z - numbers.decay if numbers.discrete else z + 1.0 / numbers.decay
    return bool(np.abs(bare).min() > 1e-7) and radius(still, slopes, z) < 1.0 - 1e-9


def collective(still: Still, laws: list[Law], filtered: np.ndarray) -> np.ndarray:
    """The matrix whose eigenvalues are the roots of det(1 - A(z)) = 0 (eq. P18).

    Its unknowns are the perturbations dm of the means, c = cov(x, dx) over neurons, and the latent perturbations
    filtered by each population, y_a = dkappa/(z + 1/tau_a), of size 2 population + population * rank.

    Args:
        still: The model.
        laws: Activations at the static state.
        filtered: V at the static state, shape (population, driving).
    """
    numbers, loadings = still.numbers, still.numbers.loadings
    count, rank = len(laws), loadings.rank
    first, second, third, product, curvature = np.array([law.derivatives for law in laws]).T
    n_state = np.einsum("ard,ad->ar", loadings.right, filtered)  # cov(n, x)
    m_state = np.einsum("ard,ad->ar", loadings.covariance[:, :rank], filtered)  # cov(m, x)
    f = numbers.fractions
    latent = np.zeros((rank, 2 * count + count * rank))  # dkappa by the unknowns
    latent[:, :count] = (f[:, None] * (loadings.right_mean * first[:, None] + n_state * second[:, None])).T
    latent[:, count : 2 * count] = (f[:, None] * (loadings.right_mean * second[:, None] + n_state * third[:, None])).T
    for a in range(count):
        columns = slice(2 * count + a * rank, 2 * count + (a + 1) * rank)
        latent[:, columns] = f[a] * first[a] * loadings.right[a][:, :rank]
    leak = numbers.decay if numbers.discrete else -1.0 / numbers.decay
    matrix = np.zeros((2 * count + count * rank,) * 2)
    matrix[:count, :count] = numbers.mean_weight * first
    matrix[:count, count : 2 * count] = numbers.mean_weight * second
    matrix[:count] += loadings.mean[:, :rank] @ latent
    gain = still.gain[:, None]
    matrix[count : 2 * count, :count] = gain * numbers.variances * product
    matrix[count : 2 * count, count : 2 * count] = gain * numbers.variances * curvature
    matrix[count : 2 * count] += m_state @ latent
    matrix[2 * count :] = np.tile(latent, (count, 1))
    leaks = np.concatenate([leak, leak, np.repeat(leak, rank)])
    return matrix + np.diag(leaks)
