"""Fluctuations of neuron averages: sqrt(N)(network - limit) in discrete time, and its part frozen by the weights.

As N grows (eq. R13 of docs/rate.md)

    sqrt(N)(average of g over the neurons - limit) -> Z(g) = W(g) + D_g (1 - DF)^{-1} w.

W is the central limit of the limit field; w is W at the order parameters (mean rates, input covariances); F is one
sweep of the limit on the order parameters, whose Jacobian DF is strictly causal; D_g is the derivative of E g with
respect to them. Cov(W(g), W(h)) = sum_k cov(g, h shifted by k) is known for the state's mean and products, and sampled
for the rest, on a ring of the limit field with those as control variates. Two replicas of one network give the frozen
part: Z of one against Z of the other. All of it is the law averaged over the weights; most of a fluctuation is frozen
in J.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError, integer, require, seed_number
from largen.numerics.streams import stream
from largen.systems.rate import limit_jax
from largen.systems.rate.limit import discrete_times
from largen.systems.rate.limit_field import LimitLaw, RingField, covariance_of_averages, limit_law, pairs

if TYPE_CHECKING:
    from largen.systems.rate.model import RateNetwork

MOST_ORDERS = 1500
"""Most order parameters for which the Jacobian is computed."""
_CHUNK = 500


class Fluctuations(NamedTuple):
    """N times the variance of neuron averages as N grows; divide by n for a network of n neurons.

    Attributes:
        mean: Of the mean state, shape (time,).
        covariance: Of the covariance over neurons, shape (lag, time, time).
        second_moment: Of the second moment (1/N) sum_j U^j_s U^{j+k}_t, shape (lag, time, time).
        mean_frozen: The part of `mean` shared by two replicas of one draw of the weights.
        covariance_frozen: That part of `covariance`.
        second_moment_frozen: That part of `second_moment`.
        mean_error: Standard error of `mean` from sampling the field.
        covariance_error: That of `covariance`.
        second_moment_error: That of `second_moment`.
        mean_field: `mean` without the feedback of the order parameters (W alone).
        covariance_field: `covariance` without it.
        second_moment_field: `second_moment` without it.
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


def solve(
    model: "RateNetwork",
    times: np.ndarray,
    *,
    lags: int = 2,
    samples: int = 5000,
    ring: int | None = None,
    seed: int = 0,
) -> Fluctuations:
    """N times the variances of the mean, the covariances and the second moments of a network, as N grows.

    Args:
        model: A RateNetwork in discrete time.
        times: Consecutive integers, shape (time,).
        lags: Largest lag on the ring.
        samples: Samples of the limit field (and half as many to fit the control variates).
        ring: Neurons of a sample; None chooses by the reach of the kernel.
        seed: Seed of the samples.

    Raises:
        InputError: Continuous time, or too many times for the Jacobian.
    """
    lags, samples = integer("lags", lags, low=0), integer("samples", samples, low=100)
    theory = _Theory(model, times, lags, samples, ring, seed_number("seed", seed))
    return _estimate(theory)


def of_averages(
    model: "RateNetwork",
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
        times: Consecutive integers, shape (time,).
        weights: For "mean" shape (sum, time), for "covariance" (sum, lag, time, time).
        replicas: Replicas over which the network averages: they share what the weights freeze.
        samples: As in `solve`.
        seed: As in `solve`.

    Returns:
        By observable, shape (sum, sum).
    """
    lags = weights["covariance"].shape[1] - 1 if "covariance" in weights else 0
    theory = _Theory(model, times, lags, samples, None, seed)
    count = len(times)
    s, t = pairs(count)
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


def order_parameters(model: "RateNetwork", times: int) -> int:
    """Number of order parameters at this many times: mean rates and input covariances."""
    return (times - 1) * (1 + len(model.kernel.coupling().total) * times // 2)


class _Theory:
    """The feedback, the exact covariance of the controls, and the coefficients by which they stand for the rest.

    Args:
        model: The model.
        times: Output times, shape (time,).
        lags: Largest lag on the ring.
        samples: Samples of the limit field.
        ring: Neurons of a sample, or None.
        seed: Seed of the samples.

    Attributes:
        limit: The limit.
        field: It on a ring, of which the averages are the controls.
        beta: Coefficients of the controls, shape (control, observable).
        centres: Means of the observables and of the controls, shape (observable,) each.
        total: Ring size times the covariance of the controls, shape (control, control).
        frozen: The same between two replicas.
    """

    def __init__(self, model: "RateNetwork", times: np.ndarray, lags: int, samples: int, ring: int | None, seed: int):
        require(model.dynamics == "discrete", "dynamics", "be 'discrete' for fluctuations", model.dynamics)
        discrete_times(times)
        count = order_parameters(model, len(times))
        if count > MOST_ORDERS:
            raise InputError(
                f"Argument `times` must give at most {MOST_ORDERS} order parameters, but gives {count}. "
                "Take fewer times."
            )
        self.limit, self.lags, self.samples = limit_law(model, len(times)), lags, samples
        self.field = RingField(model, self.limit, lags, ring)
        self._feedback = feedback(model, self.limit, lags)
        self._rng = stream(seed, "fluctuations")
        # the coefficients are fitted on separate draws: in-sample fits give error bars far too small
        self.beta, *self.centres = _fitted(self.draws(samples // 2))
        self.total = covariance_of_averages(self.field.total, lags)
        self.frozen = covariance_of_averages(self.field.frozen, lags)

    def draws(self, samples: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Chunks of fresh samples: the averages with feedback, and without it; shape (sample, replica, observable).

        The observables are the means, then the covariances by lag and s <= t, not centred; those without feedback
        are the controls.
        """
        for start in range(0, samples, _CHUNK):
            z, controls = [], []
            for x in self.field.replicas(min(_CHUNK, samples - start), self._rng):
                direct = self.field.averages(x)
                z.append(direct + self.field.order_parameters(x) @ self._feedback.T)
                controls.append(direct)
            yield np.stack(z, axis=1), np.stack(controls, axis=1)


def feedback(model: "RateNetwork", limit: LimitLaw, lags: int) -> np.ndarray:
    """D_g (1 - DF)^{-1}: response of means and covariances to w, shape (observable, order parameter).

    Observables: means (time), then covariances (lag, s <= t). Order parameters: mean rates (step), then input
    covariances (field, s <= t < step), symmetric in s, t.
    """
    steps, fields = limit.times - 1, len(limit.coupling.total)
    rows, columns = pairs(steps)
    upper_rows, upper_columns = pairs(limit.times)
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


# Variances ----------------------------------------------------------------------------------------------------


def _fitted(draws: Iterator[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients of the controls (control, observable), and the means of the observables and of the controls."""
    pieces = list(draws)
    z, controls = (np.concatenate([piece[k] for piece in pieces]) for k in range(2))
    z, controls = (x.reshape(-1, x.shape[-1]) for x in (z, controls))
    centres = z.mean(0), controls.mean(0)
    z, controls = z - centres[0], controls - centres[1]
    return np.linalg.lstsq(controls.T @ controls, controls.T @ z, rcond=1e-13)[0], *centres


def _estimate(theory: _Theory) -> Fluctuations:
    """N Var of means, covariances, second moments, total and frozen: exact for the controls, sampled for the rest."""
    limit, lags, ring, beta = theory.limit, theory.lags, theory.field.ring, theory.beta

    def widen(x: np.ndarray) -> np.ndarray:
        return _with_second_moments(x, limit.moments.mean, lags)

    alone, both = widen(np.eye(len(beta))), widen(beta)
    field = np.sum(alone * (theory.total @ alone), axis=0)
    total = np.sum(both * (theory.total @ both), axis=0)
    frozen = np.sum(both * (theory.frozen @ both), axis=0)
    count, size = 0, both.shape[1]
    first, first_fitted, rest, square, joint = (np.zeros(size) for _ in range(5))
    for z, controls in theory.draws(theory.samples):
        z, fitted = widen(z - theory.centres[0]), widen((controls - theory.centres[1]) @ beta)
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
    for z, controls in theory.draws(theory.samples):
        z, fitted = (z - theory.centres[0]) @ weights, (controls - theory.centres[1]) @ both
        count += len(z)
        first += z.mean(1).sum(0)
        first_fitted += fitted.mean(1).sum(0)
        for sign, (a, b) in ((1.0, (z[:, 0], z[:, 1])), (-1.0, (fitted[:, 0], fitted[:, 1]))):
            rest += sign * 0.5 * (a.T @ a + b.T @ b)
            joint += sign * 0.5 * (a.T @ b + b.T @ a)
    off = (np.outer(first, first) - np.outer(first_fitted, first_fitted)) / count**2
    return total + theory.field.ring * (rest / count - off), frozen + theory.field.ring * (joint / count - off)


def _with_second_moments(x: np.ndarray, mean: np.ndarray, lags: int) -> np.ndarray:
    """Append the second moments, cov + m_s mean_t + m_t mean_s, along the last axis."""
    times = len(mean)
    s, t = pairs(times)
    change = mean[s] * x[..., t] + mean[t] * x[..., s]
    covariance = x[..., times:].reshape(*x.shape[:-1], lags + 1, len(s))
    second = covariance + change[..., None, :]
    return np.concatenate([x, second.reshape(*x.shape[:-1], -1)], axis=-1)


def _split(x: np.ndarray, times: int, lags: int) -> list[np.ndarray]:
    """Means (time,), covariances and second moments (lag, time, time) of a flat row of observables."""
    s, t = pairs(times)
    blocks = x[times:].reshape(2, lags + 1, len(s))
    full = np.zeros((2, lags + 1, times, times))
    full[..., s, t] = blocks
    full[..., t, s] = blocks
    return [x[:times], full[0], full[1]]
