"""Fluctuations of neuron averages over draws: sqrt(N)(network - limit) in discrete time, and its frozen part.

Given the order parameters y = (E phi_b(t), E phi_b(s) phi_b(t), kappa_r(t)) the states of a neuron are Gaussian, so
that (eq. P22 of docs/rate-populations.md)

    sqrt(N)(average of g over population a - limit) -> W_a(g) + D_g (1 - DF)^{-1} w,

F being one sweep of the limit on y, strictly causal. W_a are independent over populations, with covariance
cov(g, h)/f_a, and w is W at the order parameters, where the entry of kappa_r is sum_a f_a W_a(n_r phi_a). Covariances
over neurons are sampled. Two replicas of one network (same weights and loadings) give the frozen part.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.checks import InputError, integer, require, seed_number
from largen.numerics.streams import stream
from largen.systems.rate.limit import discrete_times
from largen.systems.rate.populations import recursion
from largen.systems.rate.populations.expectations import Law
from largen.systems.rate.populations.recursion import Setting

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations

MOST_ORDERS = 1500
"""Most order parameters for which the Jacobian is computed."""
_STEP = 1e-5  # of the central differences
_BATCHES = 20
_NAMES = ("mean", "rate", "second_moment", "covariance", "latent")


class Fluctuations(NamedTuple):
    """N times the variance of averages as N grows; divide by n for a network of n neurons.

    Attributes:
        total: By name: mean and rate (population, time), second_moment and covariance (population, time, time), latent
            (rank, time).
        frozen: The part shared by two replicas of one draw.
        field: Without the feedback of the order parameters.
        error: Monte Carlo error of `total`.
    """

    total: dict[str, np.ndarray]
    frozen: dict[str, np.ndarray]
    field: dict[str, np.ndarray]
    error: dict[str, np.ndarray]


class _Layout(NamedTuple):
    """Where everything stands: by population rates then products of rates; latent variables last."""

    populations: int
    times: int
    rank: int

    @property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices of all pairs of times s <= t."""
        return np.triu_indices(self.times)

    @property
    def block(self) -> int:
        """Entries of one population: one per time and one per pair of times."""
        return self.times + self.times * (self.times + 1) // 2

    @property
    def orders(self) -> int:
        """Number of order parameters."""
        return self.populations * self.block + self.rank * self.times

    def of(self, b: int) -> slice:
        """Entries of population b."""
        return slice(b * self.block, (b + 1) * self.block)


def solve(model: "RatePopulations", times: np.ndarray, *, samples: int = 100_000, seed: int = 0) -> Fluctuations:
    """N times the variances of averages over a network, as N grows.

    Args:
        model: A RatePopulations in discrete time with independent weights.
        times: Consecutive integers, shape (time,).
        samples: Samples of a neuron in each population.
        seed: Seed of the samples.

    Raises:
        InputError: Continuous time, correlated weights, or too many times for the Jacobian.
    """
    require(model.dynamics == "discrete", "dynamics", "be 'discrete' for fluctuations", model.dynamics)
    discrete_times(times)
    samples, seed = integer("samples", samples, low=100 * _BATCHES), seed_number("seed", seed)
    setting = recursion.prepare(model, times, step=1.0, refine=1, rtol=1e-11, atol=1e-13)
    if not setting.numbers.independent:
        raise InputError(
            "Argument `kernels` must be independent weights for fluctuations: others are not derived here."
        )
    theory = _Theory(setting)
    if theory.layout.orders > MOST_ORDERS:
        raise InputError(
            f"Argument `times` must give at most {MOST_ORDERS} order parameters, but gives {theory.layout.orders}. "
            "Take fewer times."
        )
    return theory.variances(samples, seed)


class _Theory:
    """The limit as a function of its order parameters, and the response to them."""

    def __init__(self, setting: Setting):
        self.setting, numbers = setting, setting.numbers
        self.layout = _Layout(len(numbers.fractions), setting.points, numbers.loadings.rank)
        t, u = np.indices((setting.points, setting.points))
        gamma = numbers.decay[:, None, None]
        self.filters = np.where(u < t, gamma ** np.maximum(t - 1 - u, 0), 0.0)
        self.start = gamma[:, :, 0] ** np.arange(setting.points)
        square = numbers.noise[:, None, None] ** 2 * (self.filters @ self.filters.transpose(0, 2, 1))
        self.own = square + numbers.initial_variance[:, None, None] * self.start[:, :, None] * self.start[:, None, :]
        self.limit = recursion.forward(setting)

    def unpack(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rates (population, time), products of rates (population, time, time), latent variables (rank, time)."""
        layout = self.layout
        s, t = layout.pairs
        blocks = y[: layout.populations * layout.block].reshape(layout.populations, layout.block)
        products = np.zeros((layout.populations, layout.times, layout.times))
        products[:, s, t] = products[:, t, s] = blocks[:, layout.times :]
        latent = y[layout.populations * layout.block :].reshape(layout.rank, layout.times)
        return blocks[:, : layout.times], products, latent

    def law(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means (population, time), covariances (population, time, time), and V (population, driving, time)."""
        setting, numbers = self.setting, self.setting.numbers
        rates, products, latent = self.unpack(y)
        known = np.concatenate([latent, np.ones((1, self.layout.times)), setting.signals])
        filtered = np.einsum("atu,du->adt", self.filters, known)
        left = numbers.loadings.mean[:, : self.layout.rank]
        drive = numbers.mean_weight @ rates + setting.drive + left @ latent
        mean = numbers.initial_mean[:, None] * self.start + np.einsum("atu,au->at", self.filters, drive)
        inputs = np.einsum("ab,bst->ast", numbers.variances, products)
        covariance = self.filters @ inputs @ self.filters.transpose(0, 2, 1) + self.own
        covariance += np.einsum("ads,ade,aet->ast", filtered, numbers.loadings.covariance, filtered)
        return mean, covariance, filtered

    def sweep(self, y: np.ndarray) -> np.ndarray:
        """F: the order parameters of the law that y makes."""
        layout, numbers = self.layout, self.setting.numbers
        mean, covariance, filtered = self.law(y)
        s, t = layout.pairs
        out, latent = [], np.zeros((layout.rank, layout.times))
        for b, response in enumerate(self.setting.responses):
            laws = [Law(response, float(mean[b, k]), float(covariance[b, k, k])) for k in range(layout.times)]
            rates = np.array([law.rate for law in laws])
            products = [_product(laws[i], laws[j], covariance[b, i, j], i == j) for i, j in zip(s, t, strict=True)]
            out += [rates, np.array(products)]
            slopes = np.array([law.slope for law in laws])
            stein = numbers.loadings.right[b] @ filtered[b] * slopes
            latent += numbers.fractions[b] * (numbers.loadings.right_mean[b][:, None] * rates + stein)
        return np.concatenate([*out, latent.ravel()])

    def orders(self) -> np.ndarray:
        """The limit's order parameters: F repeated, each time exact for one time more."""
        y = np.zeros(self.layout.orders)
        for _ in range(self.layout.times + 1):
            y = self.sweep(y)
        return y

    def observed(self, y: np.ndarray) -> np.ndarray:
        """Means and second moments of the states by population, flat in the order of `_Layout`."""
        mean, covariance, _ = self.law(y)
        s, t = self.layout.pairs
        second = covariance[:, s, t] + mean[:, s] * mean[:, t]
        return np.concatenate([mean, second], axis=1).ravel()

    def responses(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(1 - DF)^{-1}, and D_g (1 - DF)^{-1} for the observables."""
        sweep, observed = [], []
        for k in range(len(y)):
            step = _STEP * max(1.0, abs(y[k]))
            ahead, behind = y.copy(), y.copy()
            ahead[k] += step
            behind[k] -= step
            sweep.append((self.sweep(ahead) - self.sweep(behind)) / (2.0 * step))
            observed.append((self.observed(ahead) - self.observed(behind)) / (2.0 * step))
        inverse = np.linalg.inv(np.eye(len(y)) - np.array(sweep).T)
        return inverse, np.array(observed).T @ inverse

    def variances(self, samples: int, seed: int) -> Fluctuations:
        """Total, frozen, without feedback, and the error of the first."""
        layout = self.layout
        y = self.orders()
        orders, states = self.responses(y)
        response = np.concatenate([states, orders])  # rows: observables, then order parameters
        rng = stream(seed, "fluctuations")
        change = self._covariance_rows(y)
        size = len(change)
        batches, frozen, field = (np.zeros(shape) for shape in ((_BATCHES, size), size, size))
        for b in range(layout.populations):
            rows = change @ self._rows(b, response)
            bare = change @ self._rows(b, np.zeros_like(response))
            for k, (one, two) in enumerate(self._moments(y, b, samples // _BATCHES, rng)):
                share = self.setting.numbers.fractions[b]
                batches[k] += np.sum((rows @ one) * rows, axis=1) / share
                frozen += np.sum((rows @ two) * rows, axis=1) / (share * _BATCHES)
                field += np.sum((bare @ one) * bare, axis=1) / (share * _BATCHES)
        total = batches.mean(0)
        error = batches.std(0, ddof=1) / np.sqrt(_BATCHES)
        return Fluctuations(*(self._named(x) for x in (total, frozen, field, error)))

    def _rows(self, b: int, response: np.ndarray) -> np.ndarray:
        """The combinations of one neuron's functions in population b that make up each row, without other populations.

        The functions are: states, their products, rates, their products, and n_r times the rates.
        """
        layout = self.layout
        states, width = layout.populations * layout.block, layout.block
        out = np.zeros((len(response), 2 * width + layout.rank * layout.times))
        out[:, width : 2 * width] = response[:, layout.of(b)]
        out[:, 2 * width :] = self.setting.numbers.fractions[b] * response[:, layout.populations * layout.block :]
        out[np.arange(b * width, (b + 1) * width), np.arange(width)] += 1.0
        if not np.any(response):  # without feedback the order parameters are themselves
            here = np.arange(width)
            out[states + b * width + here, width + here] = 1.0
            latent = np.arange(layout.rank * layout.times)
            out[states + states + latent, 2 * width + latent] = self.setting.numbers.fractions[b]
        return out

    def _covariance_rows(self, y: np.ndarray) -> np.ndarray:
        """The rows, followed by those of the covariances over neurons: second moment less the change of the means."""
        layout = self.layout
        mean = self.law(y)[0]
        s, t = layout.pairs
        size = layout.populations * layout.block + layout.orders
        extra = np.zeros((layout.populations * len(s), size))
        for b in range(layout.populations):
            rows = b * len(s) + np.arange(len(s))
            start = b * layout.block
            extra[rows, start + layout.times + np.arange(len(s))] = 1.0
            np.add.at(extra, (rows, start + s), -mean[b, t])
            np.add.at(extra, (rows, start + t), -mean[b, s])
        return np.concatenate([np.eye(size), extra])

    def _moments(
        self, y: np.ndarray, b: int, count: int, rng: np.random.Generator
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """By batch: covariance of the functions over neurons, and that between two replicas."""
        layout, loadings = self.layout, self.setting.numbers.loadings
        mean, covariance, filtered = self.law(y)
        rank, times = layout.rank, layout.times
        driving = loadings.mean.shape[1]
        joint = np.zeros((rank + 2 * times,) * 2)
        joint[:rank, :rank] = loadings.whole[b, driving:, driving:]
        cross = loadings.right[b] @ filtered[b]  # cov(n, x)
        frozen = _symmetric(self.setting.fields.of(b) @ self.limit.frozen.reshape(self.setting.fields.count, -1), times)
        frozen = frozen + _full(self.limit.shared[b])
        for k in range(2):
            part = slice(rank + k * times, rank + (k + 1) * times)
            joint[:rank, part], joint[part, :rank] = cross, cross.T
            joint[part, part] = covariance[b]
        joint[rank : rank + times, rank + times :] = joint[rank + times :, rank : rank + times] = frozen
        values, vectors = np.linalg.eigh(joint)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        for _ in range(_BATCHES):
            drawn = rng.standard_normal((count, len(joint))) @ root.T
            n = loadings.right_mean[b] + drawn[:, :rank]
            parts = [
                self._functions(mean[b] + drawn[:, rank + k * times : rank + (k + 1) * times], n, b) for k in range(2)
            ]
            parts = [part - part.mean(0) for part in parts]
            one = 0.5 * (parts[0].T @ parts[0] + parts[1].T @ parts[1]) / (count - 1)
            two = parts[0].T @ parts[1] / (count - 1)
            yield one, 0.5 * (two + two.T)

    def _functions(self, x: np.ndarray, n: np.ndarray, b: int) -> np.ndarray:
        s, t = self.layout.pairs
        rates = self.setting.responses[b](x)
        weighted = (n[:, :, None] * rates[:, None]).reshape(len(x), -1)
        return np.concatenate([x, x[:, s] * x[:, t], rates, rates[:, s] * rates[:, t], weighted], axis=1)

    def _named(self, x: np.ndarray) -> dict[str, np.ndarray]:
        layout = self.layout
        s, t = layout.pairs
        count, size = layout.populations, layout.populations * layout.block
        states, rates = (x[k * size : (k + 1) * size].reshape(count, layout.block) for k in range(2))
        latent = x[2 * size : size + layout.orders].reshape(layout.rank, layout.times)

        def square(rows: np.ndarray) -> np.ndarray:
            full = np.zeros((count, layout.times, layout.times))
            full[:, s, t] = full[:, t, s] = rows
            return full

        covariance = x[size + layout.orders :].reshape(count, len(s))
        parts = (states[:, : layout.times], rates[:, : layout.times], square(states[:, layout.times :]))
        return dict(zip(_NAMES, (*parts, square(covariance), latent), strict=True))


def _product(one: Law, two: Law, covariance: float, same: bool) -> float:
    """E phi(x) phi(y)."""
    if same:
        return one.spread + one.rate**2
    if one.variance <= 0.0 or two.variance <= 0.0:
        return one.rate * two.rate
    r = float(np.clip(covariance / np.sqrt(one.variance * two.variance), -1.0, 1.0))
    if one.response.kind == "relu":
        means, variances = (
            (np.array([a]), np.array([b])) for a, b in ((one.mean, two.mean), (one.variance, two.variance))
        )
        return float(one.response.covariance(means, variances, np.array([r]), 1e-12)[0][0]) + one.rate * two.rate
    terms = min(len(one.coefficients), len(two.coefficients))
    powers = r ** np.arange(1.0, terms + 1.0)
    return float(one.coefficients[:terms] * powers @ two.coefficients[:terms]) + one.rate * two.rate


def _full(lower: np.ndarray) -> np.ndarray:
    return np.tril(lower) + np.tril(lower, -1).T


def _symmetric(flat: np.ndarray, times: int) -> np.ndarray:
    return _full(flat.reshape(times, times))
