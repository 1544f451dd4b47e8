"""Fluctuations of neuron averages: sqrt(N)(network - limit) in discrete time, and its part frozen by the weights.

sqrt(N)(empirical - limit) -> Z(g) = W(g) + D_g (1 - DF)^{-1} w. W is the central limit of the limit field; w is W at
the order parameters (mean rates, input covariances); F is one sweep of the limit on the order parameters, whose
Jacobian DF is strictly causal; D_g is the derivative of E g with respect to them. Cov(W(g), W(h)) = sum_k cov(g, h
shifted by k) is known for the state's mean and products and sampled for the rest, on a ring of the limit field with
those as control variates. Two replicas of one network give the frozen part: Z of one against Z of the other.
All of it is the law averaged over the weights; most of a fluctuation is frozen in J.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError, integer, require
from largen.numerics.streams import stream
from largen.systems.rate import limit_jax
from largen.systems.rate.activations import Activation
from largen.systems.rate.input_covariance import Sources
from largen.systems.rate.kernels import Coupling, TableKernel
from largen.systems.rate.limit import by_lag, discrete_times
from largen.systems.rate.recursion import Moments, Problem, discrete_grid, forward

MOST_ORDERS = 1500
_CHUNK = 500


class Fluctuations(NamedTuple):
    """N times the variance of neuron averages as N grows; divide by n for a network of n neurons.

    Attributes:
        mean: Of the mean state, shape (time,).
        covariance: Of the covariance over neurons, shape (lag, time, time).
        second_moment: Of the second moment (1/N) sum_j U^j_s U^{j+k}_t, likewise.
        mean_frozen: The part shared by two replicas of one draw of the weights.
        covariance_frozen: Likewise.
        second_moment_frozen: Likewise.
        mean_error: Standard error of `mean` from sampling the field.
        covariance_error: Likewise.
        second_moment_error: Likewise.
        mean_field: `mean` without the feedback of the order parameters (W alone).
        covariance_field: Likewise.
        second_moment_field: Likewise.
    """

    mean: np.ndarray
    covariance: np.ndarray
    second_moment: np.ndarray
    mean_frozen: np.ndarray
    covariance_frozen: np.ndarray
    second_moment_frozen: np.ndarray
    mean_error: np.ndarray
    covariance_error: np.ndarray
    second_moment_error: np.ndarray
    mean_field: np.ndarray
    covariance_field: np.ndarray
    second_moment_field: np.ndarray


class _Limit(NamedTuple):
    """The limit law and what the sweep needs."""

    law: Moments
    coupling: Coupling
    terms: int
    times: int


def solve(
    model: Any, times: np.ndarray, *, lags: int = 2, samples: int = 5000, ring: int | None = None, seed: int = 0
) -> Fluctuations:
    """N times the variances of the mean, the covariances and the second moments of a network, as N grows.

    Args:
        model: A RateNetwork in discrete time.
        times: Consecutive whole numbers.
        lags: Largest lag on the ring.
        samples: Samples of the limit field (and half as many to fit the control variates).
        ring: Neurons of a sample; None chooses by the kernel's reach.
        seed: Seed of the samples.

    Raises:
        InputError: Continuous time, or too many times for the Jacobian.
    """
    lags, samples = integer("lags", lags, low=0), integer("samples", samples, low=100)
    theory = _prepare(model, times, lags, samples, ring, seed)
    return _estimate(theory)


def of_averages(
    model: Any,
    times: np.ndarray,
    weights: Mapping[str, np.ndarray],
    *,
    replicas: int,
    samples: int = 4000,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """N times the covariance of weighted sums of one network's `mean` and `covariance`, as N grows.

    Args:
        model: A RateNetwork in discrete time.
        times: Consecutive whole numbers.
        weights: For "mean" shape (sum, time), for "covariance" (sum, lag, time, time).
        replicas: Replicas over which the network averages: they share what the weights freeze.
        samples: As in `solve`.
        seed: As in `solve`.

    Returns:
        By observable, shape (sum, sum).
    """
    lags = weights["covariance"].shape[1] - 1 if "covariance" in weights else 0
    theory = _prepare(model, times, lags, samples, None, seed)
    count = len(times)
    s, t = _pairs(count)
    columns, ends = [], [0]
    for name, weight in weights.items():
        column = np.zeros((count + (lags + 1) * len(s), len(weight)))
        if name == "mean":
            column[:count] = weight.T
        else:
            both = weight + weight.transpose(0, 1, 3, 2) * (1.0 - np.eye(count))
            column[count:] = both[:, :, s, t].reshape(len(weight), -1).T
        columns.append(column)
        ends.append(ends[-1] + len(weight))
    total, frozen = _joint(theory, np.concatenate(columns, axis=1))
    found = (total + (replicas - 1) * frozen) / replicas
    return {name: found[a:b, a:b] for name, (a, b) in zip(weights, itertools.pairwise(ends), strict=True)}


def order_parameters(model: Any, times: int) -> int:
    """How many order parameters the feedback has at this many times."""
    return (times - 1) * (1 + len(model.kernel.coupling().total) * times // 2)


class _Theory(NamedTuple):
    """What the estimates need.

    Attributes:
        limit: The limit law.
        lags: Largest lag.
        ring: Neurons of a sample.
        draw: Gives the chunks of fresh samples (see `_draws`).
        beta: Coefficients of the controls, shape (control, observable).
        centres: Means of the observables and of the controls.
        total: Ring size times the covariance of the controls.
        frozen: The same between two replicas.
    """

    limit: "_Limit"
    lags: int
    ring: int
    draw: Callable[[], Any]
    beta: np.ndarray
    centres: list[np.ndarray]
    total: np.ndarray
    frozen: np.ndarray


def _prepare(model: Any, times: np.ndarray, lags: int, samples: int, ring: int | None, seed: int) -> _Theory:
    require(model.dynamics == "discrete", "dynamics", "be 'discrete' for fluctuations", model.dynamics)
    discrete_times(times)
    count = order_parameters(model, len(times))
    if count > MOST_ORDERS:
        raise InputError(
            f"Argument `times` must give at most {MOST_ORDERS} order parameters, but gives {count}. Take fewer times."
        )
    limit = _limit(model, len(times))
    size = _ring_size(model, lags) if ring is None else integer("ring", ring, low=2 * lags + 2)
    feedback = _feedback(model, limit, lags)
    factors = _field_factors(model, limit, size)
    rng = stream(seed, "fluctuations")

    def draw(number: int) -> Any:
        return _draws(model, limit, factors, feedback, lags, size, number, rng)

    # the coefficients are fitted on separate draws: in-sample fits give error bars far too small
    beta, *centres = _fitted(draw(samples // 2))
    law = limit.law
    total = _exact(_ring_lags(law.driven, law.private, limit.coupling, size), lags)
    frozen = _exact(_ring_lags(law.frozen, law.shared, limit.coupling, size), lags)
    return _Theory(limit, lags, size, lambda: draw(samples), beta, centres, total, frozen)


def _limit(model: Any, times: int) -> _Limit:
    coupling = model.kernel.coupling()
    sources = Sources(Activation(model.activation, float(model.gain)), coupling, times, 1e-10, 1e-12)
    problem = Problem(
        float(model.mean_weight),
        float(model.threshold_mean),
        float(model.threshold_variance),
        float(model.initial_mean),
        float(model.initial_variance),
    )
    law = forward(problem, discrete_grid(times, float(model.gamma), float(model.noise)), sources)
    return _Limit(law, coupling, len(sources.table.coefficients), times)


def _ring_size(model: Any, lags: int) -> int:
    if isinstance(model.kernel, TableKernel):
        return max(4 * max(model.kernel.reach) + 4, 4 * lags + 4, 24)
    coupling = model.kernel.coupling()
    slow = max(abs(coupling.beyond), abs(coupling.pair[0]) if coupling.pair else 0.0)
    reach = 16.0 if slow == 0.0 else np.log(1e-6) / np.log(slow)
    return int(np.clip(2 * np.ceil(reach), max(24, 4 * lags + 4), 512))


# Feedback -----------------------------------------------------------------------------------------------------


def _pairs(times: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices s <= t."""
    return np.triu_indices(times)


def _feedback(model: Any, limit: _Limit, lags: int) -> np.ndarray:
    """D_g (1 - DF)^{-1}: how means (time,) and covariances (lag, s <= t) follow the order parameters' w.

    Order parameters: mean rates (step,), then input covariances (field, s <= t < steps), symmetric in s, t.
    """
    steps, fields = limit.times - 1, len(limit.coupling.total)
    rows, columns = _pairs(steps)
    upper_rows, upper_columns = _pairs(limit.times)
    with jax.enable_x64(True):
        part, function = limit_jax.frame(model, limit.times, limit.terms), limit_jax.activation_of(model)

        def unpack(theta: Any) -> tuple[Any, Any]:
            rates = jnp.zeros(limit.times).at[:steps].set(theta[:steps])
            upper = theta[steps:].reshape(fields, -1)
            inputs = jnp.zeros((fields, limit.times, limit.times))
            inputs = inputs.at[:, rows, columns].set(upper).at[:, columns, rows].set(upper)
            return limit_jax.law(part, rates, inputs)

        def sweep(theta: Any) -> Any:
            rates, inputs, _ = limit_jax.orders(part, function, *unpack(theta), part.private, 961)
            return jnp.concatenate([rates[:steps], inputs[:, rows, columns].ravel()])

        def observed(theta: Any) -> Any:
            mean, driven = unpack(theta)
            lagged = [driven[0]]
            for k in range(1, lags + 1):
                if fields == 1:
                    lagged.append(part.beyond**k * driven[0])
                else:
                    lagged.append(driven[k] if k < fields else jnp.zeros_like(driven[0]))
            return jnp.concatenate([mean, jnp.stack(lagged)[:, upper_rows, upper_columns].ravel()])

        count = steps + fields * len(rows)

        @jax.jit
        def jacobians() -> tuple[Any, Any]:
            theta = jnp.zeros(count)
            theta = jax.lax.fori_loop(0, limit.times, lambda _, x: sweep(x), theta)
            return jax.jacfwd(sweep)(theta), jax.jacfwd(observed)(theta)

        sweep_slope, observed_slope = (np.asarray(x) for x in jacobians())
    return np.linalg.solve(np.eye(count) - sweep_slope.T, observed_slope.T).T


# The limit field on a ring ------------------------------------------------------------------------------------


def _ring_lags(driven: np.ndarray, own: np.ndarray, coupling: Coupling, ring: int) -> np.ndarray:
    """Covariance by lag 0..ring-1 around a ring, shape (ring, time, time)."""
    full = [np.tril(field) + np.tril(field, -1).T for field in driven]
    half = by_lag(full, own, coupling.beyond, ring // 2)
    distance = np.minimum(np.arange(ring), ring - np.arange(ring))
    return half[distance]


def _field_factors(model: Any, limit: _Limit, ring: int) -> tuple[np.ndarray, np.ndarray]:
    """Square roots by frequency of what two replicas share and of each one's own, shape (frequency, time, time)."""
    law = limit.law
    shared = _ring_lags(law.frozen, law.shared, limit.coupling, ring)
    whole = _ring_lags(law.driven, law.private, limit.coupling, ring)
    return _roots(np.fft.rfft(shared, axis=0).real), _roots(np.fft.rfft(whole - shared, axis=0).real)


def _roots(spectra: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(spectra)
    return vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]


def _sample(root: np.ndarray, ring: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Samples of a centred stationary Gaussian field, shape (sample, time, ring)."""
    white = np.fft.rfft(rng.standard_normal((count, root.shape[1], ring)), axis=2)
    return np.fft.irfft(np.einsum("pts,csp->ctp", root, white, optimize=True), ring, axis=2)


def _draws(
    model: Any,
    limit: _Limit,
    factors: tuple[np.ndarray, np.ndarray],
    feedback: np.ndarray,
    lags: int,
    ring: int,
    samples: int,
    rng: Any,
):
    """Chunks of (the averages with feedback, the averages), neither centred; (sample, replica, observable) each.

    The observables are the means, then the covariances by lag and s <= t; without feedback they are the controls.
    """
    activation, mean = Activation(model.activation, float(model.gain)), limit.law.mean
    steps = limit.times - 1
    rows, columns = _pairs(steps)
    s, t = _pairs(limit.times)
    for start in range(0, samples, _CHUNK):
        count = min(_CHUNK, samples - start)
        shared = _sample(factors[0], ring, count, rng)
        z, features = [], []
        for _ in range(2):
            x = shared + _sample(factors[1], ring, count, rng)
            rates = activation(mean[:, None] + x)[:, :steps]
            inputs = _inputs(model, limit.coupling, rates, ring)
            theta = np.concatenate([rates.mean(2), inputs[:, :, rows, columns].reshape(count, -1)], axis=1)
            products = np.stack([_lagged(x, k)[:, s, t] for k in range(lags + 1)], axis=1)
            direct = np.concatenate([x.mean(2), products.reshape(count, -1)], axis=1)
            z.append(direct + theta @ feedback.T)
            features.append(direct)
        yield np.stack(z, axis=1), np.stack(features, axis=1)


def _lagged(x: np.ndarray, lag: int) -> np.ndarray:
    """Ring average of x_s^j x_t^{j + lag}, symmetric in s and t, shape (sample, time, time)."""
    product = x @ np.roll(x, -lag, axis=2).transpose(0, 2, 1) / x.shape[2]
    return 0.5 * (product + product.transpose(0, 2, 1))


def _inputs(model: Any, coupling: Coupling, rates: np.ndarray, ring: int) -> np.ndarray:
    """Empirical input covariances K^k_st, symmetric in s and t, shape (sample, field, step, step)."""
    factors = model.kernel.factors(ring)
    if factors is not None:
        pre = factors[1][: ring // 2 + 1] * float(model.kernel.variance)
        filtered = [np.fft.irfft(np.fft.rfft(rates, axis=2) * pre, ring, axis=2)]
    else:
        above, beside = model.kernel.reach
        filtered = []
        for k in range(len(coupling.total)):
            row = model.kernel.values[above + k]
            filtered.append(sum(row[beside + l] * np.roll(rates, -l, axis=2) for l in range(-beside, beside + 1)))
    products = [rates @ part.transpose(0, 2, 1) / ring for part in filtered]
    return np.stack([0.5 * (p + p.transpose(0, 2, 1)) for p in products], axis=1)


# Variances ----------------------------------------------------------------------------------------------------


def _fitted(draws: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients of the controls (control, observable), and the means of the observables and of the controls."""
    pieces = list(draws)
    z, features = (np.concatenate([piece[k] for piece in pieces]) for k in range(2))
    z, features = (x.reshape(-1, x.shape[-1]) for x in (z, features))
    centres = z.mean(0), features.mean(0)
    z, features = z - centres[0], features - centres[1]
    return np.linalg.lstsq(features.T @ features, features.T @ z, rcond=1e-13)[0], *centres


def _exact(c: np.ndarray, lags: int) -> np.ndarray:
    """Ring size times the covariance of the controls, from the covariance c around the ring (lag, time, time)."""
    ring, times = len(c), c.shape[1]
    s, t = _pairs(times)
    count, blocks = len(s), lags + 1
    out = np.zeros((times + blocks * count, times + blocks * count))
    out[:times, :times] = c.sum(0)
    for a in range(blocks):
        for b in range(blocks):
            # sum_k cov(x^0_s x^a_t, x^k_u x^{k+b}_v) by Isserlis, both sides symmetric in their two times
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


def _estimate(theory: _Theory) -> Fluctuations:
    """N Var of means, covariances, second moments, total and frozen: exact for the controls, sampled for the rest."""
    limit, lags, ring, beta = theory.limit, theory.lags, theory.ring, theory.beta

    def widen(x: np.ndarray) -> np.ndarray:
        return _with_second_moments(x, limit.law.mean, lags)

    alone, both = widen(np.eye(len(beta))), widen(beta)
    field = np.sum(alone * (theory.total @ alone), axis=0)
    total = np.sum(both * (theory.total @ both), axis=0)
    frozen = np.sum(both * (theory.frozen @ both), axis=0)
    count, size = 0, both.shape[1]
    first, first_fitted, rest, square, joint = (np.zeros(size) for _ in range(5))
    for z, features in theory.draw():
        z, fitted = widen(z - theory.centres[0]), widen((features - theory.centres[1]) @ beta)
        mine = (z**2 - fitted**2).mean(1)
        count += len(z)
        first += z.mean(1).sum(0)
        first_fitted += fitted.mean(1).sum(0)
        rest += mine.sum(0)
        square += (mine**2).sum(0)
        joint += (z[:, 0] * z[:, 1] - fitted[:, 0] * fitted[:, 1]).sum(0)
    off = (first / count) ** 2 - (first_fitted / count) ** 2
    error = ring * np.sqrt(np.maximum(square / count - (rest / count) ** 2, 0.0) / count)
    total += ring * (rest / count - off)
    frozen += ring * (joint / count - off)
    parts = [_split(x, limit.times, lags) for x in (total, frozen, error, field)]
    return Fluctuations(*parts[0], *parts[1], *parts[2], *parts[3])


def _joint(theory: _Theory, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """N times the covariance of weighted sums (weights: (observable, sum)), all of it and what two replicas share."""
    both = theory.beta @ weights
    total, frozen = both.T @ theory.total @ both, both.T @ theory.frozen @ both
    count, rest, joint = 0, np.zeros_like(total), np.zeros_like(total)
    first, first_fitted = np.zeros((2, len(total)))
    for z, features in theory.draw():
        z, fitted = (z - theory.centres[0]) @ weights, (features - theory.centres[1]) @ both
        count += len(z)
        first += z.mean(1).sum(0)
        first_fitted += fitted.mean(1).sum(0)
        for sign, (a, b) in ((1.0, (z[:, 0], z[:, 1])), (-1.0, (fitted[:, 0], fitted[:, 1]))):
            rest += sign * 0.5 * (a.T @ a + b.T @ b)
            joint += sign * 0.5 * (a.T @ b + b.T @ a)
    off = (np.outer(first, first) - np.outer(first_fitted, first_fitted)) / count**2
    return total + theory.ring * (rest / count - off), frozen + theory.ring * (joint / count - off)


def _with_second_moments(x: np.ndarray, mean: np.ndarray, lags: int) -> np.ndarray:
    """Append the second moments, cov + m_s mean_t + m_t mean_s, along the last axis."""
    times = len(mean)
    s, t = _pairs(times)
    change = mean[s] * x[..., t] + mean[t] * x[..., s]
    covariance = x[..., times:].reshape(*x.shape[:-1], lags + 1, len(s))
    second = covariance + change[..., None, :]
    return np.concatenate([x, second.reshape(*x.shape[:-1], -1)], axis=-1)


def _split(x: np.ndarray, times: int, lags: int) -> list[np.ndarray]:
    """Means (time,), covariances and second moments (lag, time, time) of a flat row of observables."""
    s, t = _pairs(times)
    blocks = x[times:].reshape(2, lags + 1, len(s))
    full = np.zeros((2, lags + 1, times, times))
    full[..., s, t] = blocks
    full[..., t, s] = blocks
    return [x[:times], full[0], full[1]]
