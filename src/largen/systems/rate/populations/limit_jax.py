"""The limit of populations in JAX, forward in time: for derivatives, and as an engine apart from `recursion`.

With L the response of a neuron as a matrix, the covariance that a field brings is L K L^T (eq. P9 of
docs/rate-populations.md). One scan over the times finds row after row of the input covariances K; every block of the
weights has fields of its own, and lags on the ring are summed one by one. In continuous time a row is implicit and is
repeated until it no longer changes.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError
from largen.systems.rate.activations import jax_function
from largen.systems.rate.kernels import TableKernel, UncorrelatedKernel
from largen.systems.rate.limit_jax import hermite_table

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations

_MOST_CORRECTIONS = 80
_CHANGE = 1e-12


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


class Solution(NamedTuple):
    """The limit on a grid.

    Attributes:
        mean: Shape (population, point).
        rate: Likewise.
        latent: Shape (rank, point).
        fields: Covariance that every field brings, of one network and of two replicas, shape (2, field, point, point).
        own: Covariance at lag 0 from loadings, initial state and noise, and the loadings' part, shape
            (2, population, point, point).
        tail: Bound of what the series leave out.
        change: Largest change of a row in its last correction.
    """

    mean: Any
    rate: Any
    latent: Any
    fields: Any
    own: Any
    tail: Any
    change: Any


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


def functions_of(model: "RatePopulations") -> tuple[Any, ...]:
    """The activations at gain 1, by population."""
    kinds = model.activation if isinstance(model.activation, tuple) else (model.activation,) * len(model.fractions)
    by_kind = {kind: jax_function(kind) for kind in kinds}
    return tuple(by_kind[kind] for kind in kinds)


class _Row(NamedTuple):
    """What is new at one time: rates, latent variables, input covariances, and what they rest on."""

    rate: Any
    latent: Any
    inputs: Any
    mean: Any
    filtered: Any
    spread: Any
    coefficients: Any
    left: Any
    tail: Any


def solve(model: "RatePopulations", form: Form, outside: Outside) -> Solution:
    """Solve on one grid."""
    if jnp.result_type(float) != jnp.float64:
        raise InputError("The limit needs double precision: wrap the call in `with jax.enable_x64(True):`.")
    part, functions = frame(model, form, outside), functions_of(model)
    count, points = part.start.shape
    rank, driving, fields = part.left.shape[1], part.loadings.shape[1], len(form.blocks)
    implicit = model.dynamics != "discrete"
    target = np.array([block[0] for block in form.blocks])
    filters = part.response[target]  # by field

    def step(carry: Any, i: Any) -> tuple[Any, None]:
        done, inputs, tail, change = carry
        ahead = part.response[:, i]  # L[i, :], shape (population, point)
        before = inputs @ ahead[target][None, :, :, None]  # K L[i], shape (2, field, point, 1)

        def go(state: Any) -> Any:
            k, now, _ = state
            guess = _put(done, now, i)
            new = _evaluate(part, form, functions, guess, i, (filters, before[..., 0]), now.inputs)
            return k + 1, new, _difference(new, now) / (1.0 + jnp.max(jnp.abs(new.inputs)))

        if implicit:
            guess = _guess(done, i)
            _, row, last = jax.lax.while_loop(
                lambda state: (state[0] < _MOST_CORRECTIONS) & (state[2] > _CHANGE),
                go,
                (0, guess, jnp.asarray(jnp.inf)),
            )
            change = jnp.maximum(change, last)
        else:
            row = go((0, _guess(done, i), 0.0))[1]
        inputs = inputs.at[:, :, i, :].set(row.inputs).at[:, :, :, i].set(row.inputs)
        done = _put(done, row, i)
        return (done, inputs, jnp.maximum(tail, row.tail), change), None

    done = _Row(
        jnp.zeros((count, points)), jnp.zeros((rank, points)), jnp.zeros((2, fields, points)),
        jnp.zeros((count, points)), jnp.zeros((count, driving, points)), jnp.zeros((count, points)),
        jnp.zeros((form.terms, count, points)), jnp.zeros((count, points)), jnp.zeros(()),
    )  # fmt: skip
    begin = (done, jnp.zeros((2, fields, points, points)), jnp.zeros(()), jnp.zeros(()))
    (done, inputs, tail, change), _ = jax.lax.scan(step, begin, np.arange(points))
    brought = filters @ inputs @ jnp.swapaxes(filters, 1, 2)
    shared = jnp.einsum("ads,ade,aet->ast", done.filtered, part.loadings, done.filtered)
    return Solution(done.mean, done.rate, done.latent, brought, jnp.stack([part.base + shared, shared]), tail, change)


def _guess(done: _Row, i: Any) -> _Row:
    """The row before, with its last input covariance at s = i too."""
    names = ("rate", "latent", "mean", "filtered", "spread", "coefficients", "left")
    last = jnp.maximum(i - 1, 0)
    inputs = done.inputs.at[..., i].set(done.inputs[..., last])
    return done._replace(inputs=inputs, **{name: getattr(done, name)[..., last] for name in names})


def _difference(one: _Row, two: _Row) -> Any:
    parts = [jnp.max(jnp.abs(getattr(one, x) - getattr(two, x)), initial=0.0) for x in ("rate", "latent", "inputs")]
    return jnp.max(jnp.stack(parts))


def _put(done: _Row, row: _Row, i: Any) -> _Row:
    """All times, with those at i set; `inputs` is the guess of the next row."""
    names = ("rate", "latent", "mean", "filtered", "spread", "coefficients", "left")
    parts = {name: getattr(done, name).at[..., i].set(getattr(row, name)) for name in names}
    return done._replace(inputs=row.inputs, **parts)


def _evaluate(
    part: Frame, form: Form, functions: tuple[Any, ...], done: _Row, i: Any, known: tuple[Any, Any], guess: Any
) -> _Row:
    """Everything at time i, from all before it and a guess of the rates, latent variables and inputs at i.

    Args:
        part: The frame.
        form: The form.
        functions: Activations at gain 1.
        done: All times before i, with the guess of rates and latent variables at i.
        i: The time.
        known: L by field, and K L[i] over the times before i.
        guess: Input covariance between i and all times, shape (2, field, point).
    """
    filters, before = known
    count, points = done.rate.shape
    ahead = part.response[:, i]
    past, here = np.arange(points) <= i, np.arange(points) == i
    drive = part.drive + part.mean_weight @ done.rate + part.left @ done.latent
    mean = part.initial_mean * part.start[:, i] + jnp.sum(ahead * drive, axis=1)
    filtered = jnp.einsum("au,du->ad", ahead, jnp.concatenate([done.latent, part.known]))
    all_filtered = done.filtered.at[:, :, i].set(filtered)
    shared = jnp.einsum("ads,ade,ae->as", all_filtered, part.loadings, filtered)
    own = jnp.stack([part.base[:, i] + shared, shared])

    target = np.array([block[0] for block in form.blocks])
    mine = ahead[target]  # L[i, :] by field
    at_i = mine[:, i]
    along = jnp.where(
        here, jnp.sum(jnp.where(past, guess, 0.0) * mine, axis=2)[..., None], before + guess * at_i[:, None]
    )
    driven = jnp.einsum("fsu,lfu->lfs", filters, jnp.where(past, along, 0.0))  # D[i, s]
    by_lag = jnp.stack(
        [jnp.einsum("fk,lfs->lks", part.shapes * (target == b)[:, None], driven) for b in range(count)], axis=1
    )  # (law, population, lag, point)
    by_lag = by_lag.at[:, :, 0].add(own)

    variance = by_lag[0, :, 0, i]
    positive = variance > 0.0
    spread = jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), 0.0)
    xi, weights, table = hermite_table(form.nodes, form.terms)
    x = mean[:, None] + spread[:, None] * xi
    values, slopes = _activity(functions, part.gain, x, slopes=part.left.shape[1] > 0)
    rate, slope = values @ weights, slopes @ weights
    centred = values - rate[:, None]
    square, own_coefficients = centred**2 @ weights, (centred @ table.T).T  # (term, population)
    coefficients = done.coefficients.at[:, :, i].set(own_coefficients)
    left = jnp.maximum(square - jnp.sum(own_coefficients**2, axis=0), 0.0)
    all_left = done.left.at[:, i].set(left)

    spreads = done.spread.at[:, i].set(spread)
    inverse = jnp.where(spreads > 0.0, 1.0 / jnp.where(spreads > 0.0, spreads, 1.0), 0.0)
    r = jnp.where(past, by_lag * (inverse * inverse[:, i, None])[:, None], 0.0)

    def horner(total: Any, term: Any) -> tuple[Any, None]:
        one, all_ = term
        return total * r + (one[:, None] * all_)[:, None], None

    sums, _ = jax.lax.scan(horner, jnp.zeros_like(r), (own_coefficients, coefficients), reverse=True)
    sums = sums * r
    first = jnp.zeros(r.shape, bool).at[0, :, 0].set(here)
    sums = jnp.where(first, square[:, None, None], sums)
    off = jnp.where(first, 0.0, jnp.abs(r) ** (form.terms + 1))
    tail = jnp.max(off * jnp.sqrt(left[:, None] * all_left)[:, None])

    source = np.array([block[1] for block in form.blocks])
    rates = done.rate.at[:, i].set(rate)
    inputs = jnp.einsum("fk,lfks->lfs", part.weights, sums[:, source])
    inputs = inputs + part.total[:, None] * (rates * rate[:, None])[source]
    stein = jnp.einsum("ard,ad->ar", part.right, filtered) * slope[:, None]
    latent = part.fractions @ (part.right_mean * rate[:, None] + stein)
    return _Row(rate, latent, jnp.where(past, inputs, 0.0), mean, filtered, spread, own_coefficients, left, tail)


def _activity(functions: tuple[Any, ...], gain: Any, x: Any, slopes: bool) -> tuple[Any, Any]:
    """phi(x) and, where they are asked for, phi'(x), shape of x: (population, node)."""
    same = len(set(functions)) == 1

    def rates(x: Any) -> Any:
        x = gain[:, None] * x
        return functions[0](x) if same else jnp.stack([f(row) for f, row in zip(functions, x, strict=True)])

    if not slopes:
        return rates(x), jnp.zeros_like(x)
    value, slope = jax.jvp(rates, (x,), (jnp.ones_like(x),))
    return value, slope
