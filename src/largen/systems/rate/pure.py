"""The discrete-time limit as pure JAX functions: for jit, vmap and derivatives, and as a second engine.

The state's law is linear in the order parameters (mean rates and input covariances), the order parameters are
expectations under that law; one application of both is a sweep, and as many sweeps as steps are exact.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError
from largen.systems.rate.activations import jax_function
from largen.systems.rate.kernels import SeparableKernel, TableKernel

_REACH = 12.0


class Pure(NamedTuple):
    """The limit in JAX.

    Attributes:
        mean: Mean, shape (time,).
        covariance: Covariance, shape (lag, time, time).
        tail: Bound of what the series leave out: must be small, else ask for more terms.
    """

    mean: jax.Array
    covariance: jax.Array
    tail: jax.Array


class Frame(NamedTuple):
    """What the sweep needs beside the order parameters; traced where the model is.

    Attributes:
        response: U_t = ... + sum_u response[t, u] H_u, shape (time, time).
        mean: Mean without coupling, shape (time,).
        private: Covariance at lag 0 without coupling, shape (time, time).
        mean_weight: Jbar.
        mix: See `kernels.Coupling`, shape (field, series).
        field: Likewise, static.
        weights: Likewise, shape (series, term).
        total: Likewise, shape (field,).
        beyond: Likewise.
    """

    response: Any
    mean: Any
    private: Any
    mean_weight: Any
    mix: Any
    field: tuple[int, ...]
    weights: Any
    total: Any
    beyond: Any


@functools.lru_cache(maxsize=8)
def _hermite_table(nodes: int, terms: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes, weights, and normalised Hermite polynomials of degree 1..terms times the weights, shape (term, node)."""
    xi = np.linspace(-_REACH, _REACH, nodes)
    weights = np.exp(-0.5 * xi**2)
    weights /= math.fsum(weights)
    table = np.empty((terms, nodes))
    below, here = np.ones(nodes), xi.copy()
    for n in range(1, terms + 1):
        table[n - 1] = weights * here
        below, here = here, (xi * here - math.sqrt(n) * below) / math.sqrt(n + 1)
    return xi, weights, table


def frame(model: Any, times: int, terms: int) -> Frame:
    """The frame of a model at `times` times 0, 1, ...; its numbers may be traced."""
    gamma = jnp.asarray(model.gamma, float)
    apart = np.arange(times)[:, None] - 1 - np.arange(times)
    response = jnp.where(apart >= 0, gamma ** np.maximum(apart, 0), 0.0)
    start = gamma ** np.arange(times)
    ramp = response @ jnp.ones(times)
    noise = model.noise**2 * response @ response.T
    shared = model.threshold_variance * jnp.outer(ramp, ramp)
    private = shared + model.initial_variance * jnp.outer(start, start) + noise
    mean = model.initial_mean * start + model.threshold_mean * ramp
    kernel = model.kernel
    n = np.arange(1.0, terms + 1.0)
    if isinstance(kernel, TableKernel):
        coupling = kernel.coupling()  # a table's entries are traced only as numbers, its shape never
        field = tuple(int(f) for f in coupling.field)
        weights, mix, total, beyond = jnp.ones((len(field), terms)), coupling.mix, coupling.total, 0.0
    elif isinstance(kernel, SeparableKernel):
        power = kernel.pre * jnp.asarray(kernel.post) ** n
        weights, field = jnp.stack([jnp.ones(terms), 2.0 * power / (1.0 - power)]), (0, 0)
        mix = kernel.variance * jnp.ones((1, 2))
        total, beyond = jnp.reshape(kernel.variance * (1.0 + kernel.pre) / (1.0 - kernel.pre), (1,)), kernel.post
    else:
        weights, field = jnp.ones((1, terms)), (0,)
        mix, total, beyond = jnp.reshape(kernel.variance, (1, 1)), jnp.reshape(kernel.variance, (1,)), 0.0
    return Frame(response, mean, private, model.mean_weight, mix, field, weights, total, beyond)


def law(frame: Frame, rates: Any, inputs: Any) -> tuple[jax.Array, jax.Array]:
    """Mean (time,) and driven covariance (field, time, time) of the state, from the order parameters."""
    mean = frame.mean + frame.mean_weight * frame.response @ rates
    return mean, frame.response @ inputs @ frame.response.T


def orders(
    frame: Frame, function: Any, mean: Any, driven: Any, own: Any, nodes: int, same: bool = True
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean rates (time,), input covariances (field, time, time) and the series' tail, under a Gaussian law.

    Args:
        frame: The frame.
        function: The activation, gain included.
        mean: Mean, shape (time,).
        driven: Covariance of the fields, shape (field, time, time).
        own: What the neuron itself adds at lag 0, shape (time, time).
        nodes: Nodes of the trapezoidal rule.
        same: Whether s = t at lag 0 is one variable (the variances are then those of `driven` and `own`).
    """
    terms = frame.weights.shape[1]
    xi, weights, table = _hermite_table(nodes, terms)
    lagged = driven[jnp.array(frame.field)]
    lagged = lagged.at[0].add(own)
    variance = jnp.diagonal(lagged[0])
    positive = variance > 0.0
    spread = jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), 0.0)
    values = function(mean[:, None] + spread[:, None] * xi)
    rates = values @ weights
    centred = values - rates[:, None]
    squares = centred**2 @ weights
    a = centred @ table.T
    inverse = jnp.where(positive, 1.0 / jnp.where(positive, spread, 1.0), 0.0)
    r = lagged * inverse[:, None] * inverse

    def horner(total: Any, term: Any) -> tuple[Any, None]:
        coefficients, weight = term
        return total * r + weight[:, None, None] * coefficients[:, None] * coefficients, None

    sums, _ = jax.lax.scan(horner, jnp.zeros_like(r), (a.T, frame.weights.T), reverse=True)
    sums = sums * r
    same_one = np.eye(len(variance), dtype=bool)
    sums = sums.at[0].set(jnp.where(same_one, squares, sums[0]))
    left = jnp.maximum(squares - jnp.sum(a**2, axis=1), 0.0)
    off = jnp.where(same_one, 0.0, jnp.abs(r[0]) ** (terms + 1))
    tail = jnp.max(off * jnp.sqrt(left[:, None] * left))
    inputs = jnp.tensordot(frame.mix, sums, 1) + frame.total[:, None, None] * rates[:, None] * rates
    return rates, inputs, tail


def activation_of(model: Any) -> Any:
    """The activation with its gain, as a JAX function."""
    base = jax_function(model.activation)
    return lambda x: base(model.gain * x)


def moments(model: Any, times: int, *, lags: int = 2, terms: int = 128, nodes: int = 961) -> Pure:
    """Mean and covariance in discrete time at times 0 ... times - 1, as a pure function of the model's numbers.

    Differentiable in every number of the model (kernel, gain, noise, ...), except at an initial variance of exactly
    0 with respect to that variance.

    Args:
        model: A RateNetwork in discrete time; its leaves may be traced.
        times: Number of times.
        lags: Largest lag on the ring.
        terms: Terms of the series; look at `tail`.
        nodes: Nodes of the trapezoidal rule.

    Raises:
        InputError: JAX is in single precision, or time is continuous.
    """
    if jnp.result_type(float) != jnp.float64:
        raise InputError("The limit needs double precision: wrap the call in `with jax.enable_x64(True):`.")
    if model.dynamics != "discrete":
        raise InputError("Argument `dynamics` must be 'discrete' for derivatives, but is 'continuous'.")
    part, function = frame(model, times, terms), activation_of(model)

    def sweep(state: Any, _: Any) -> tuple[Any, Any]:
        rates, inputs = state
        rates, inputs, tail = orders(part, function, *law(part, rates, inputs), part.private, nodes)
        return (rates, inputs), tail

    fields = len(part.total)
    start = (jnp.zeros(times), jnp.zeros((fields, times, times)))
    (rates, inputs), tails = jax.lax.scan(jax.checkpoint(sweep), start, None, length=times)
    mean, driven = law(part, rates, inputs)
    covariances = [driven[0] + part.private]
    for k in range(1, lags + 1):
        if fields == 1:
            covariances.append(part.beyond**k * driven[0])
        else:
            covariances.append(driven[k] if k < fields else jnp.zeros_like(driven[0]))
    return Pure(mean, jnp.stack(covariances), tails[-1])
