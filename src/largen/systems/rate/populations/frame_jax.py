"""A model of populations on a grid of times as arrays that JAX can trace: what `limit_jax` needs beside the states."""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from largen.systems.rate.kernels import TableKernel, UncorrelatedKernel

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations


class Outside(NamedTuple):
    """What reaches the neurons from outside at the points of a grid, and cannot vary.

    Attributes:
        points: Times of the grid, shape (point,).
        input: Common input, shape (population, point), or None where it is a constant of the model.
        signals: s_p, shape (pattern, point).
    """

    points: np.ndarray
    input: np.ndarray | None
    signals: np.ndarray


class Form(NamedTuple):
    """What decides the form of the computation.

    Attributes:
        blocks: Of every field its target, source, post lag (0 of geometric ones) and whether it is geometric.
        lags: Presynaptic lags that are summed, 0 included.
        terms: Terms of the Mehler series.
        nodes: Nodes of the trapezoidal rule.
    """

    blocks: tuple[tuple[int, int, int, bool], ...]
    lags: int
    terms: int
    nodes: int


class Frame(NamedTuple):
    """The model's numbers on one grid; any may be traced.

    Attributes:
        response: L, shape (population, point, point).
        start: Decay of the initial state, shape (population, point).
        base: Covariance from initial state and noise, shape (population, point, point).
        drive: Threshold means, common input and patterns' means, shape (population, point).
        known: 1 and the signals, shape (1 + pattern, point).
        mean_weight: Jbar.
        left: Mean of m, shape (population, rank).
        right_mean: Mean of n, likewise.
        loadings: Covariance of (m, h, w), shape (population, driving, driving).
        right: Covariance of n with them, shape (population, rank, driving).
        fractions: Shape (population,).
        initial_mean: Shape (population,).
        weights: With which a source's lags enter a field, those of l and -l together, shape (field, lag).
        total: Sum over all lags, shape (field,).
        shapes: A field's share of the covariance at a lag on its ring, shape (field, lag).
        gain: Of the activations, shape (population,).
    """

    response: Any
    start: Any
    base: Any
    drive: Any
    known: Any
    mean_weight: Any
    left: Any
    right_mean: Any
    loadings: Any
    right: Any
    fractions: Any
    initial_mean: Any
    weights: Any
    total: Any
    shapes: Any
    gain: Any


def blocks_of(kernels: Any, count: int) -> tuple[tuple[int, int, int, bool], ...]:
    """The fields: one per block, or one per post lag of a table; kernels None are independent weights."""
    if kernels is None:
        return tuple((a, b, 0, False) for a in range(count) for b in range(count))
    found = []
    for a, row in enumerate(kernels):
        for b, kernel in enumerate(row):
            if isinstance(kernel, TableKernel):
                found += [(a, b, k, False) for k in range(kernel.reach[0] + 1)]
            else:
                found.append((a, b, 0, not isinstance(kernel, UncorrelatedKernel)))
    return tuple(found)


def frame(model: "RatePopulations", form: Form, outside: Outside) -> Frame:
    """The model's numbers on a grid."""
    count, points = len(model.fractions), outside.points

    def spread(value: Any) -> Any:
        return jnp.broadcast_to(jnp.asarray(value, float), (count,))

    noise, variance = spread(model.noise), spread(model.initial_variance)
    if model.dynamics == "discrete":
        response, start, private = _discrete(spread(model.gamma), noise, len(points))
    else:
        response, start, private = _continuous(spread(model.tau), noise, points)
    base = private + variance[:, None, None] * start[:, :, None] * start[:, None, :]
    rank, extra = (0 if part is None else part for part in _counts(model))
    mean, covariance, right_mean, right = _loadings(model, spread, rank, extra)
    common = _constant(model, spread)[:, None] if outside.input is None else outside.input
    drive = mean[:, rank : rank + 1] + common + mean[:, rank + 1 :] @ outside.signals
    known = jnp.concatenate([jnp.ones((1, len(points))), jnp.asarray(outside.signals).reshape(extra, len(points))])
    return Frame(
        response, start, base, drive, known, jnp.asarray(model.mean_weight, float), mean[:, :rank], right_mean,
        covariance, right, jnp.asarray(model.fractions, float), spread(model.initial_mean), *_mixing(model, form),
        spread(model.gain),
    )  # fmt: skip


def _counts(model: "RatePopulations") -> tuple[int | None, int | None]:
    return (
        None if model.low_rank is None else np.shape(model.low_rank.left_mean)[1],
        None if model.patterns is None else np.shape(model.patterns.mean)[1],
    )


def _constant(model: "RatePopulations", spread: Any) -> Any:
    return spread(0.0 if model.input is None else model.input)


def _discrete(gamma: Any, noise: Any, count: int) -> tuple[Any, Any, Any]:
    """L, the decay of the initial state, and the noise's covariance in discrete time."""
    apart = np.arange(count)[:, None] - 1 - np.arange(count)
    powers = gamma[:, None, None] ** np.maximum(apart, 0)
    response = jnp.where(apart >= 0, powers, 0.0)
    start = gamma[:, None] ** np.arange(count)
    return response, start, noise[:, None, None] ** 2 * (response @ response.transpose(0, 2, 1))


def _continuous(tau: Any, noise: Any, points: Any) -> tuple[Any, Any, Any]:
    """The same in continuous time, for an input linear between the points."""
    apart, tau = points[:, None] - points, tau[:, None, None]
    z = jnp.diff(points) / tau
    now = tau * (-jnp.expm1(-z) / z - jnp.exp(-z))
    then = tau * (1.0 + jnp.expm1(-z) / z)
    later = np.tri(len(points), k=-1)[:, :-1]  # point i after point u + 1 or at it
    decay = jnp.where(later > 0, jnp.exp(-jnp.maximum(apart[:, 1:], 0.0) / tau), 0.0)
    response = jnp.zeros((*decay.shape[:2], len(points))).at[:, :, :-1].add(decay * now).at[:, :, 1:].add(decay * then)
    start = jnp.exp(-(points - points[0]) / tau[:, 0])
    both = start[:, :, None] * start[:, None, :]
    return response, start, 0.5 * noise[:, None, None] ** 2 * tau * (jnp.exp(-jnp.abs(apart) / tau) - both)


def _loadings(model: "RatePopulations", spread: Any, rank: int, extra: int) -> tuple[Any, Any, Any, Any]:
    """Mean and covariance of (m, h, w), mean of n, covariance of n with them."""
    count, driving = len(model.fractions), rank + 1 + extra
    mean = jnp.zeros((count, driving)).at[:, rank].set(spread(model.threshold_mean))
    whole = jnp.zeros((count, driving + rank, driving + rank)).at[:, rank, rank].set(spread(model.threshold_variance))
    drawn, low, patterns = np.r_[0:rank, driving : driving + rank], model.low_rank, model.patterns

    def put(whole: Any, rows: np.ndarray, columns: np.ndarray, block: Any) -> Any:
        whole = whole.at[:, rows[:, None], columns].set(block)
        return whole.at[:, columns[:, None], rows].set(jnp.swapaxes(jnp.asarray(block), 1, 2))

    right_mean = jnp.zeros((count, rank))
    if low is not None:
        mean, right_mean = mean.at[:, :rank].set(low.left_mean), jnp.asarray(low.right_mean, float)
        if low.covariance is not None:
            whole = whole.at[:, drawn[:, None], drawn].set(low.covariance)
    if model.threshold_covariance is not None:
        whole = put(whole, np.array([rank]), drawn, jnp.asarray(model.threshold_covariance)[:, None])
    if patterns is not None:
        at = np.arange(rank + 1, driving)
        mean = mean.at[:, at].set(patterns.mean)
        if patterns.covariance is not None:
            whole = whole.at[:, at[:, None], at].set(patterns.covariance)
        if patterns.with_loadings is not None:
            whole = put(whole, at, np.append(drawn, rank), patterns.with_loadings)
    return mean, whole[:, :driving, :driving], right_mean, whole[:, driving:, :driving]


def _mixing(model: "RatePopulations", form: Form) -> tuple[Any, Any, Any]:
    """Weights of a source's lags in every field, the sums over all lags, and the fields' shapes over lags."""
    lags, weights, totals, shapes = np.arange(form.lags), [], [], []
    double = np.where(lags == 0, 1.0, 2.0)
    for a, b, k, geometric in form.blocks:
        if model.kernels is None:
            variance: Any = 0.0 if model.weight_variance is None else jnp.asarray(model.weight_variance)[a, b]
            kernel: Any = None
        else:
            kernel = model.kernels[a][b]
            variance = None if isinstance(kernel, TableKernel) else kernel.variance
        if isinstance(kernel, TableKernel):
            row, reach = jnp.asarray(kernel.values)[kernel.reach[0] + k], kernel.reach[1]
            both = jnp.concatenate([row[reach : reach + 1], row[reach + 1 :] + row[:reach][::-1]])
            weights.append(jnp.zeros(form.lags).at[: reach + 1].set(both))
            totals.append(jnp.sum(row))
            shapes.append(jnp.asarray((lags == k).astype(float)))
        elif geometric:
            pre, post = jnp.asarray(kernel.pre, float), jnp.asarray(kernel.post, float)
            weights.append(variance * double * pre**lags)
            totals.append(variance * (1.0 + pre) / (1.0 - pre))
            shapes.append(post**lags)
        else:
            weights.append(variance * jnp.asarray((lags == 0).astype(float)))
            totals.append(jnp.asarray(variance, float))
            shapes.append(jnp.asarray((lags == 0).astype(float)))
    return jnp.stack(weights), jnp.stack(totals), jnp.stack(shapes)


def shapes_of(model: "RatePopulations", form: Form) -> Any:
    """A field's share of the covariance at lags 0, 1, ... on its ring, shape (field, lag)."""
    return _mixing(model, form)[2]
