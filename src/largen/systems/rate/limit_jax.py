"""The limit as pure JAX functions: for jit, vmap and derivatives, and as a second engine, independent of `recursion`.

The law of the state is linear in the order parameters (mean rates and input covariances), the order parameters are
expectations under that law; one application of both is a sweep. With U = response H + ... (eq. R6 of docs/rate.md) the
mean is m0 + Jbar response E f and the driven covariance is response K response^T. In discrete time as many sweeps as
steps are exact; in continuous time (exponential trapezoid on two grids, extrapolated) sweeps converge faster than
geometrically.
"""

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from largen.checks import InputError, real
from largen.systems.rate.activations import jax_function
from largen.systems.rate.kernels import SeparableKernel, TableKernel
from largen.systems.rate.limit import discrete_times
from largen.systems.rate.recursion import continuous_grid

if TYPE_CHECKING:
    from largen.systems.rate.model import RateNetwork

_REACH = 12.0


class Solution(NamedTuple):
    """The limit in JAX.

    Attributes:
        mean: Mean, shape (time,).
        covariance: Covariance, shape (lag, time, time).
        tail: Bound of what the series leave out: must be small, else ask for more terms.
        change: Largest change of an order parameter in the last sweep: must be small, else ask for more sweeps.
    """

    mean: jax.Array
    covariance: jax.Array
    tail: jax.Array
    change: jax.Array


class Frame(NamedTuple):
    """What the sweep needs beside the order parameters; traced where the model is.

    Attributes:
        response: U_t = ... + sum_u response[t, u] H_u with H the input plus the threshold, shape (time, time).
        mean: Mean without coupling, shape (time,).
        private: Covariance at lag 0 without coupling, shape (time, time).
        mean_weight: Jbar.
        mix: See `kernels.Coupling`, shape (field, series).
        field: See there, static, (series,).
        weights: See there, shape (series, term).
        total: See there, shape (field,).
        beyond: See there.
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
def hermite_table(nodes: int, terms: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


def frame(model: "RateNetwork", times: int, terms: int) -> Frame:
    """The frame of a model in discrete time at `times` times 0, 1, ...; its numbers may be traced."""
    gamma = jnp.asarray(model.gamma, float)
    apart = np.arange(times)[:, None] - 1 - np.arange(times)
    response = jnp.where(apart >= 0, gamma ** np.maximum(apart, 0), 0.0)
    start = gamma ** np.arange(times)
    noise = model.noise**2 * response @ response.T
    return _frame(model, response, start, noise, terms)


def continuous_frame(model: "RateNetwork", points: np.ndarray, terms: int) -> Frame:
    """The frame of a model in continuous time on a grid of points; the input is linear between them."""
    tau, apart = jnp.asarray(model.tau, float), points[:, None] - points
    h = np.diff(points)
    z = h / tau
    now = tau * (-jnp.expm1(-z) / z - jnp.exp(-z))
    then = tau * (1.0 + jnp.expm1(-z) / z)
    later = np.tri(len(points), k=-1)[:, :-1]  # point i after point u + 1 or at it
    decay = jnp.where(later > 0, jnp.exp(-jnp.maximum(apart[:, 1:], 0.0) / tau), 0.0)
    response = jnp.zeros(apart.shape).at[:, :-1].add(decay * now).at[:, 1:].add(decay * then)
    start = jnp.exp(-(points - points[0]) / tau)
    noise = 0.5 * model.noise**2 * tau * (jnp.exp(-jnp.abs(apart) / tau) - jnp.outer(start, start))
    return _frame(model, response, start, noise, terms)


def _frame(model: "RateNetwork", response: Any, start: Any, noise: Any, terms: int) -> Frame:
    ramp = response @ jnp.ones(response.shape[1])
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
        own: Covariance at lag 0 without coupling, shape (time, time).
        nodes: Nodes of the trapezoidal rule.
        same: Whether s = t at lag 0 is one variable (the variances are then those of `driven` and `own`).
    """
    terms = frame.weights.shape[1]
    xi, weights, table = hermite_table(nodes, terms)
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


def activation_of(model: "RateNetwork") -> Any:
    """The activation with its gain, as a JAX function."""
    base = jax_function(model.activation)
    return lambda x: base(model.gain * x)


def moments(
    model: "RateNetwork",
    times: Any,
    *,
    lags: int = 2,
    terms: int = 128,
    nodes: int = 961,
    sweeps: int | None = None,
    step: float | None = None,
) -> Solution:
    """Mean and covariance as a pure function of the model's numbers.

    Differentiable in every number of the model (kernel, gain, noise, ...), except at an initial variance of exactly
    0 with respect to that variance.

    Args:
        model: A RateNetwork; its leaves may be traced.
        times: Output times, concrete, shape (time,); consecutive integers in discrete time, where their number
            alone is enough.
        lags: Largest lag on the ring.
        terms: Terms of the series; check `tail`.
        nodes: Nodes of the trapezoidal rule.
        sweeps: Sweeps; the number of times (exact) in discrete time, 40 in continuous time, if None. Check `change`.
        step: Largest time step of the coarser grid in continuous time; a twentieth of the span if None. The error
            falls with its fourth power.

    Raises:
        InputError: JAX is in single precision.
    """
    if jnp.result_type(float) != jnp.float64:
        raise InputError("The limit needs double precision: wrap the call in `with jax.enable_x64(True):`.")
    whole = np.arange(float(times)) if np.ndim(times) == 0 else np.asarray(times, float)
    if model.dynamics == "discrete":
        discrete_times(whole)
        part = frame(model, len(whole), terms)
        return _solved(model, part, np.arange(len(whole)), lags, nodes, len(whole) if sweeps is None else sweeps)
    width = float(whole[-1] - whole[0]) / 20.0 if step is None else real("step", step, above=0.0)
    levels = []
    for refine in (1, 2):
        grid = continuous_grid(whole, 1.0, 0.0, width, refine)
        points = np.interp(np.arange(grid.points), grid.output, whole)
        part = continuous_frame(model, points, terms)
        levels.append(_solved(model, part, grid.output, lags, nodes, 40 if sweeps is None else sweeps))
    coarse, fine = levels
    mean, covariance = ((4.0 * getattr(fine, x) - getattr(coarse, x)) / 3.0 for x in ("mean", "covariance"))
    return Solution(mean, covariance, fine.tail, fine.change)


def _solved(model: "RateNetwork", part: Frame, output: np.ndarray, lags: int, nodes: int, sweeps: int) -> Solution:
    """Iterate the sweep on one frame and read the law at the output points."""
    function = activation_of(model)

    def sweep(state: Any, _: Any) -> tuple[Any, Any]:
        rates, inputs = state
        new, driven, tail = orders(part, function, *law(part, rates, inputs), part.private, nodes)
        change = jnp.maximum(jnp.max(jnp.abs(new - rates)), jnp.max(jnp.abs(driven - inputs)))
        return (new, driven), (tail, change)

    fields, points = len(part.total), len(part.mean)
    start = (jnp.zeros(points), jnp.zeros((fields, points, points)))
    (rates, inputs), (tails, changes) = jax.lax.scan(jax.checkpoint(sweep), start, None, length=sweeps)
    mean, driven = law(part, rates, inputs)
    at = np.ix_(output, output)
    driven, private = driven[(slice(None), *at)], part.private[at]
    covariances = [driven[0] + private]
    for k in range(1, lags + 1):
        if fields == 1:
            covariances.append(part.beyond**k * driven[0])
        else:
            covariances.append(driven[k] if k < fields else jnp.zeros_like(driven[0]))
    return Solution(mean[output], jnp.stack(covariances), tails[-1], changes[-1])
