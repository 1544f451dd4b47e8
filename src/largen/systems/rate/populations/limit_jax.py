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
from largen.systems.rate.limit_jax import hermite_table
from largen.systems.rate.populations.frame_jax import Form, Frame, Outside, frame

if TYPE_CHECKING:
    from largen.systems.rate.populations.model import RatePopulations

_MOST_CORRECTIONS = 80
_CHANGE = 1e-12


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
