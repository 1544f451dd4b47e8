"""One sweep of the stationary regime: the law of the states whose input is that of another law (eqs. P13 to P16).

The unknowns are the means, the latent variables and, of every field, the static part and the dynamic covariance against
the time between. Static parts are frozen by weights and loadings; dynamic parts fluctuate in time.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.checks import InputError, LimitError
from largen.systems.rate.populations.expectations import Law, Response, responses_of
from largen.systems.rate.populations.fields import Fields, fields_of
from largen.systems.rate.populations.numbers import Numbers, input_at, is_steady, signals_at

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations

_UNBOUNDED = 1e100
_EXPANSION = 1e-14


class Filter(NamedTuple):
    """A population's linear neuron as a filter, on times 0, step, ..., count * step (periodic in 2 count).

    Attributes:
        noise: Autocovariance of the state under the noise alone, shape (time,).
        response: Fourier transform of the map from the input's to the state's autocovariance, real.
    """

    noise: np.ndarray
    response: np.ndarray


def filter_of(numbers: Numbers, a: int, count: int, step: float, exponent: float = 0.0) -> Filter:
    """The filter of population a, whose decay is faster by `exponent` (for tangent vectors).

    Without noise the autocovariance is smooth and the filter is that of continuous time, with noise the one that is
    exact for an input covariance linear between the points.
    """
    k = np.minimum(np.arange(2 * count), 2 * count - np.arange(2 * count)).astype(float)
    sigma2 = float(numbers.noise[a]) ** 2
    if numbers.discrete:
        gamma = float(numbers.decay[a])
        noise = sigma2 * gamma ** k[: count + 1] / (1.0 - gamma**2)
        turn = np.exp(1j * np.pi * np.arange(count + 1) / count)
        return Filter(noise, 1.0 / np.abs(np.exp(exponent) * turn - gamma) ** 2)
    tau = float(numbers.decay[a])
    noise = sigma2 * tau / 2.0 * np.exp(-k[: count + 1] * step / tau)
    faster = 1.0 / (exponent + 1.0 / tau)
    if not np.any(numbers.noise):
        frequency = np.pi * np.arange(count + 1) / (count * step)
        return Filter(noise, 1.0 / (1.0 / faster**2 + frequency**2))
    z = step / faster
    shape = faster**2 * np.exp(-k * z) * (np.cosh(z) - 1.0) / z
    shape[0] = faster**2 * (1.0 + np.expm1(-z) / z)
    return Filter(noise, np.fft.rfft(shape).real)


class Still(NamedTuple):
    """A model prepared for its stationary regime.

    Attributes:
        numbers: The model's numbers.
        fields: Its fields.
        responses: Activations by population.
        constant: Thresholds' means plus common input plus patterns' means, shape (population,).
        signals: Constant signals, shape (pattern,).
        gain: Response of a neuron to a constant input of 1, shape (population,).
    """

    numbers: Numbers
    fields: Fields
    responses: tuple[Response, ...]
    constant: np.ndarray
    signals: np.ndarray
    gain: np.ndarray

    def filtered(self, latent: np.ndarray) -> np.ndarray:
        """V: response to latent variables, 1 and signals, shape (population, driving)."""
        return self.gain[:, None] * np.concatenate([latent, [1.0], self.signals])

    def own(self, filtered: np.ndarray) -> np.ndarray:
        """Static variance that the loadings bring, shape (population,)."""
        return np.einsum("ad,ade,ae->a", filtered, self.numbers.loadings.covariance, filtered)

    def means(self, rates: np.ndarray, latent: np.ndarray) -> np.ndarray:
        """Means of the states, shape (population,)."""
        left = self.numbers.loadings.mean[:, : self.numbers.loadings.rank]
        return self.gain * (self.numbers.mean_weight @ rates + self.constant + left @ latent)

    def latents(self, laws: list[Law], filtered: np.ndarray) -> np.ndarray:
        """Latent variables, shape (rank,)."""
        loadings = self.numbers.loadings
        rates, slopes = np.array([law.rate for law in laws]), np.array([law.slope for law in laws])
        stein = np.einsum("ard,ad->ar", loadings.right, filtered) * slopes[:, None]
        return self.numbers.fractions @ (loadings.right_mean * rates[:, None] + stein)


def prepare(model: "RatePopulations") -> Still:
    """Prepare a model; refuses an input that changes in time and neurons without leak."""
    if not is_steady(model):
        raise InputError(
            "Arguments `input` and `patterns` must be constant in time for a stationary regime. Solve the limit "
            "in time (solve_limit)."
        )
    numbers = Numbers.of(model)
    if numbers.discrete and np.any(numbers.decay >= 1.0):
        raise LimitError("There is no stationary regime at gamma = 1: take gamma below 1.")
    rank, now = numbers.loadings.rank, np.zeros(1)
    signals = signals_at(model, now)[:, 0]
    mean = numbers.loadings.mean
    constant = mean[:, rank] + input_at(model, now)[:, 0] + mean[:, rank + 1 :] @ signals
    return Still(numbers, fields_of(numbers.kernels), responses_of(model), constant, signals, numbers.static_gain)


class Unknowns(NamedTuple):
    """The law.

    Attributes:
        mean: Shape (population,).
        latent: Shape (rank,).
        static: Static part of every field, shape (field,).
        dynamic: Dynamic part, shape (field, time).
    """

    mean: np.ndarray
    latent: np.ndarray
    static: np.ndarray
    dynamic: np.ndarray

    def pack(self) -> np.ndarray:
        """As one vector."""
        return np.concatenate([self.mean, self.latent, self.static, self.dynamic.ravel()])


class Sweep:
    """One sweep on a window of times.

    Args:
        still: The model.
        count: Intervals of the window.
        step: Their length.
    """

    def __init__(self, still: Still, count: int, step: float):
        self.still, self.count, self.step = still, count, step
        populations = len(still.responses)
        self.filters = [filter_of(still.numbers, a, count, step) for a in range(populations)]
        self.noise = np.array([found.noise for found in self.filters])
        self.response = np.array([found.response for found in self.filters])[still.fields.target]

    def unpack(self, x: np.ndarray) -> Unknowns:
        """The inverse of `Unknowns.pack`."""
        ends = np.cumsum([len(self.still.responses), self.still.numbers.loadings.rank, self.still.fields.count])
        mean, latent, static, dynamic = np.split(x, ends)
        return Unknowns(mean, latent, static, dynamic.reshape(self.still.fields.count, self.count + 1))

    def laws(self, now: Unknowns, own: np.ndarray) -> list[Law]:
        """Activations at the laws of the states, by population."""
        found = []
        for a, response in enumerate(self.still.responses):
            shape = self.still.fields.of(a)
            variance = float(shape @ (now.static + now.dynamic[:, 0]) + own[a] + self.noise[a, 0])
            if not (abs(now.mean[a]) < _UNBOUNDED and abs(variance) < _UNBOUNDED):
                raise LimitError(unbounded(self.still))
            found.append(Law(response, float(now.mean[a]), max(variance, 0.0), _EXPANSION))
        return found

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The law of the states whose input is that of the law x."""
        still, now = self.still, self.unpack(x)
        fields, filtered = still.fields, still.filtered(now.latent)
        own = still.own(filtered)
        laws = self.laws(now, own)
        rates = np.array([law.rate for law in laws])
        static = fields.total @ rates**2
        moving = np.zeros_like(now.dynamic)
        for b, (law, source, mix) in enumerate(zip(laws, fields.sources, fields.mix, strict=True)):
            at_rest, sums = self._series(law, source.reads, source.weights, now, own[b], self.noise[b])
            static += mix @ at_rest
            moving += mix @ (sums - at_rest[:, None])
        gain = still.gain[fields.target]
        whole = np.concatenate([moving, moving[:, -2:0:-1]], axis=1)
        answer = np.fft.irfft(np.fft.rfft(whole, axis=1) * self.response, 2 * self.count, axis=1)
        return Unknowns(
            still.means(rates, now.latent), still.latents(laws, filtered), gain**2 * static, answer[:, : self.count + 1]
        ).pack()

    def _series(
        self, law: Law, reads: np.ndarray, weights: np.ndarray, now: Unknowns, own: float, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The series of one source at the static covariance, shape (series,), and at all, shape (series, time)."""
        at_rest, sums = np.zeros(len(reads)), np.zeros((len(reads), self.count + 1))
        for i, read in enumerate(reads):
            still = float(read @ now.static) + (own if i == 0 else 0.0)
            moving = read @ now.dynamic + (noise if i == 0 else 0.0)
            r = law.correlations(np.append(still + moving, still))
            if i == 0:
                r[0] = 1.0
            ones = bool(np.all(weights[i, :4] == 1.0))
            found = law.pairs(r, None if ones else weights[i])
            at_rest[i], sums[i] = found[-1], found[:-1]
        return at_rest, sums


def radius_at_large(still: Still) -> float:
    """Spectral radius of g^2 <phi'^2> times the squared static gain at large variances: at 1 and above they grow."""
    far = np.array([-1e8, 1e8])
    with np.errstate(all="ignore"):
        slopes = np.array([np.mean((response(far) / far) ** 2) for response in still.responses])
    if not np.all(np.isfinite(slopes)):
        return np.inf
    return float(np.abs(np.linalg.eigvals(still.gain[:, None] ** 2 * still.numbers.variances * slopes)).max())


def unbounded(still: Still) -> str:
    """The message of a law without a finite variance."""
    return (
        f"The variance grows without bound: the spectral radius of g^2 <phi'^2> times the squared static gain is "
        f"{radius_at_large(still):.3g} at large variances. Take a bounded activation, a smaller gain, or "
        "smaller weights."
    )
