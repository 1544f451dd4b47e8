"""The limit as a Gaussian random field around a ring of neurons: covariances, samples, averages over its neurons.

A ring of a few tens of neurons is long enough, because correlations of the limit decay with the lag. Two replicas of
one network (the same weights and thresholds, their own noise and initial states) share the frozen part of the field.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.checks import integer
from largen.systems.rate.activations import Activation
from largen.systems.rate.input_covariance import InputCovariance
from largen.systems.rate.kernels import Coupling, TableKernel
from largen.systems.rate.limit import by_lag
from largen.systems.rate.recursion import Moments, Problem, discrete_grid, forward

if TYPE_CHECKING:
    from largen.systems.rate.model import RateNetwork


class LimitLaw(NamedTuple):
    """The limit in discrete time and how it was computed.

    Attributes:
        moments: Means and covariances.
        coupling: The kernel as the limit sees it.
        terms: Terms of the Mehler series.
        times: Number of times.
    """

    moments: Moments
    coupling: Coupling
    terms: int
    times: int


def limit_law(model: "RateNetwork", times: int) -> LimitLaw:
    """Solve the limit at times 0, 1, ..., times - 1."""
    coupling = model.kernel.coupling()
    inputs = InputCovariance(Activation.of(model), coupling, times, 1e-10, 1e-12)
    moments = forward(Problem.of(model), discrete_grid(times, float(model.gamma), float(model.noise)), inputs)
    return LimitLaw(moments, coupling, len(inputs.table.coefficients), times)


def pairs(times: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of all pairs of times s <= t, shape (pair,) each."""
    return np.triu_indices(times)


class RingField:
    """The limit field on a ring.

    Args:
        model: The model, in discrete time.
        limit: Its limit.
        lags: Largest lag of the averages.
        ring: Neurons on the ring; so many that correlations around it are below 1e-6 if None.

    Attributes:
        total: Covariance by lag 0..ring-1 around the ring, shape (ring, time, time).
        frozen: The part of it that two replicas share, likewise.
    """

    def __init__(self, model: "RateNetwork", limit: LimitLaw, lags: int, ring: int | None = None):
        self.model, self.limit, self.lags = model, limit, lags
        self.ring = _ring_size(model, lags) if ring is None else integer("ring", ring, low=2 * lags + 2)
        self.activation = Activation.of(model)
        law = limit.moments
        self.total = _around(law.driven, law.private, limit.coupling, self.ring)
        self.frozen = _around(law.frozen, law.shared, limit.coupling, self.ring)
        self._roots = _roots(self.frozen), _roots(self.total - self.frozen)

    def replicas(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Centred states of two replicas, shape (sample, time, ring) each."""
        shared, own = self._roots
        common = _sample(shared, self.ring, count, rng)
        first = common + _sample(own, self.ring, count, rng)
        return first, common + _sample(own, self.ring, count, rng)

    def averages(self, x: np.ndarray) -> np.ndarray:
        """Ring averages of centred states, shape (sample, observable): means (time), products by lag and s <= t."""
        s, t = pairs(self.limit.times)
        products = np.stack([_lagged(x, k)[:, s, t] for k in range(self.lags + 1)], axis=1)
        return np.concatenate([x.mean(2), products.reshape(len(x), -1)], axis=1)

    def order_parameters(self, x: np.ndarray) -> np.ndarray:
        """Ring averages that drive the network: mean rates (step), then input covariances by field and s <= t.

        Shape (sample, order parameter).
        """
        steps = self.limit.times - 1
        rows, columns = pairs(steps)
        rates = self.activation(self.limit.moments.mean[:, None] + x)[:, :steps]
        inputs = self._inputs(rates)
        return np.concatenate([rates.mean(2), inputs[:, :, rows, columns].reshape(len(x), -1)], axis=1)

    def _inputs(self, rates: np.ndarray) -> np.ndarray:
        """Empirical input covariances K^k_st, symmetric in s and t, shape (sample, field, step, step)."""
        kernel, ring = self.model.kernel, self.ring
        factors = kernel.factors(ring)
        if factors is not None:
            pre = factors[1][: ring // 2 + 1] * float(kernel.variance)
            filtered = [np.fft.irfft(np.fft.rfft(rates, axis=2) * pre, ring, axis=2)]
        else:
            above, beside = kernel.reach
            filtered = []
            for k in range(len(self.limit.coupling.total)):
                row = kernel.values[above + k]
                filtered.append(sum(row[beside + l] * np.roll(rates, -l, axis=2) for l in range(-beside, beside + 1)))
        products = [rates @ part.transpose(0, 2, 1) / ring for part in filtered]
        return np.stack([0.5 * (p + p.transpose(0, 2, 1)) for p in products], axis=1)


def _ring_size(model: "RateNetwork", lags: int) -> int:
    if isinstance(model.kernel, TableKernel):
        return max(4 * max(model.kernel.reach) + 4, 4 * lags + 4, 24)
    coupling = model.kernel.coupling()
    slow = max(abs(coupling.beyond), abs(coupling.pair[0]) if coupling.pair else 0.0)
    reach = 16.0 if slow == 0.0 else np.log(1e-6) / np.log(slow)
    return int(np.clip(2 * np.ceil(reach), max(24, 4 * lags + 4), 512))


def _around(driven: np.ndarray, own: np.ndarray, coupling: Coupling, ring: int) -> np.ndarray:
    """Covariance by lag 0..ring-1 around a ring, shape (ring, time, time)."""
    full = [np.tril(field) + np.tril(field, -1).T for field in driven]
    half = by_lag(full, own, coupling.beyond, ring // 2)
    distance = np.minimum(np.arange(ring), ring - np.arange(ring))
    return half[distance]


def _roots(covariance: np.ndarray) -> np.ndarray:
    """Square roots of the spectral matrices of a stationary field, shape (frequency, time, time)."""
    values, vectors = np.linalg.eigh(np.fft.rfft(covariance, axis=0).real)
    return vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]


def _sample(root: np.ndarray, ring: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Samples of a centred stationary Gaussian field, shape (sample, time, ring)."""
    white = np.fft.rfft(rng.standard_normal((count, root.shape[1], ring)), axis=2)
    return np.fft.irfft(np.einsum("pts,csp->ctp", root, white, optimize=True), ring, axis=2)


def _lagged(x: np.ndarray, lag: int) -> np.ndarray:
    """Ring average of x_s^j x_t^{j + lag}, symmetric in s and t, shape (sample, time, time)."""
    product = x @ np.roll(x, -lag, axis=2).transpose(0, 2, 1) / x.shape[2]
    return 0.5 * (product + product.transpose(0, 2, 1))


def covariance_of_averages(covariance: np.ndarray, lags: int) -> np.ndarray:
    """Ring size times the covariance of `RingField.averages`, exact, shape (observable, observable).

    For the means it is sum_k C^k. For products it follows from Isserlis' theorem (eq. R14 of docs/rate.md):

        sum_k cov(x^0_s x^a_t, x^k_u x^{k+b}_v) = sum_k (C^k_su C^{k+b-a}_tv + C^{k+b}_sv C^{k-a}_tu),

    symmetric in s, t and in u, v. Means and products are uncorrelated.

    Args:
        covariance: C by lag around the ring, shape (ring, time, time).
        lags: Largest lag of the products.
    """
    c = covariance
    ring, times = len(c), c.shape[1]
    s, t = pairs(times)
    count, blocks = len(s), lags + 1
    out = np.zeros((times + blocks * count, times + blocks * count))
    out[:times, :times] = c.sum(0)
    for a in range(blocks):
        for b in range(blocks):
            block = np.zeros((count, count))
            near, far, later = np.roll(c, a - b, axis=0), np.roll(c, a, axis=0), np.roll(c, -b, axis=0)
            for one, two in ((s, t), (t, s)):
                for u, v in ((s, t), (t, s)):
                    for k in range(ring):
                        block += c[k][np.ix_(one, u)] * near[k][np.ix_(two, v)]
                        block += later[k][np.ix_(one, v)] * far[k][np.ix_(two, u)]
            rows = slice(times + a * count, times + (a + 1) * count)
            out[rows, times + b * count : times + (b + 1) * count] = block / 4.0
    return out
