"""One step of the spiking reduction in JAX.

One step moves the neurons of every voltage bin by a drift affine in V and a Gaussian increment. What crosses an
edge l follows from three integrals of the law of V' = V + increment: its density F(l), its distribution G0(l), and
U(l) = E[(l - V')+], each the derivative of the next. With a density linear in the bin they are combinations of the
iterated integrals i1, i2, i3 of the normal distribution function i0. The step is then a finite-volume scheme: bins
exchange number, first moment and pending spikes by fluxes through their edges, so that mass is conserved whatever
the fluxes are.

All arrays carry a last axis `set` (parameter sets, 1 for a single model), which is contiguous.
Source: CLWTX 2024 (see `model`), secs. 3 and 4; the linear density and the `joint` closure are largen's own (docs).
Times in ms, V in the paper's units, numbers in neurons.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# Standard deviations beyond which a Gaussian carries nothing (one-sided tail 3e-14).
_TAIL = 7.5
# Bins with less than this fraction of a population have no meaningful mean: their density is uniform.
_DUST = 1e-20
# Bins with less than this fraction of a population have no slope of pending spikes.
_SPARSE = 1e-8


class State(NamedTuple):
    """State of the reduction.

    Attributes:
        number: Neurons per bin, shape (bin, population).
        moment: Sum over the bin's neurons of V minus the bin's centre, shape (bin, population).
        refractory: Refractory neurons, shape (population,).
        excess: Sum over the bin's neurons of X minus its population mean, X = sum of s H over the sources of a
            channel, shape (bin, population, channel); no channels for the white closure.
        refractory_excess: The same over the refractory neurons, shape (population, channel).
        pending: Mean of the pending spikes H, shape (population, source).
        variance: Variance of H, shape (population, source).
        fault: 0, or what makes the solution wrong: 1 neurons moved beyond `Scheme.reach` in a step, 2 the drift
            of one step turned a bin inside out (dt is too long); shape ().
    """

    number: Any
    moment: Any
    refractory: Any
    excess: Any
    refractory_excess: Any
    pending: Any
    variance: Any
    fault: Any


class Scheme(NamedTuple):
    """What is fixed when the program is compiled.

    Attributes:
        width: Bin width.
        bins: Number of bins.
        reset: Index of the bin [0, width).
        channels: Channel of every class, [target][source]: sources of one target with equal decay and sign.
        signs: Sign of every channel, [target][channel]: +1, -1, or 0 where the target has fewer channels.
        reach: How far below and above a bin its neurons may move in a step, in bins.
        joint: Whether the synaptic noise is carried with its correlation time (closure "joint").
        linear: Whether the carried pending spikes are linear in the bin.
        stretched: Whether the drift varies within a bin (closure "joint"), else it is constant there.
    """

    width: float
    bins: int
    reset: int
    channels: tuple[tuple[int, ...], ...]
    signs: tuple[tuple[int, ...], ...]
    reach: tuple[int, int]
    joint: bool
    linear: bool
    stretched: bool


class Parameters(NamedTuple):
    """The model's numbers, each with a last axis `set`; shapes (population,), (population, source) or ()."""

    size: Any
    strength: Any
    probability: Any
    decay: Any
    leak: Any
    external_scale: Any
    release: Any
    reversal: Any
    threshold: Any
    narrowest: Any
    dt: Any


# The normal distribution and its iterated integrals ------------------------------------------------------------

_NUMERATOR = (
    3.52624965998911e-2,
    0.700383064443688,
    6.37396220353165,
    33.912866078383,
    112.079291497871,
    221.213596169931,
    220.206867912376,
)
_DENOMINATOR = (
    8.83883476483184e-2,
    1.75566716318264,
    16.064177579207,
    86.7807322029461,
    296.564248779674,
    637.333633378831,
    793.826512519948,
    440.413735824752,
)


@jax.custom_jvp
def iterated_normal(z: jax.Array) -> tuple[jax.Array, ...]:
    """Return phi(z), Phi(z) and the next three iterated integrals of Phi from minus infinity.

    i0 = Phi, n i_n = z i_(n-1) + i_(n-2) with i_(-1) = phi. Phi by Hart's rational approximation 5666, absolute
    error 1e-15 (G. West, Better approximations to cumulative normal functions, Wilmott 2005).
    """
    far = jnp.minimum(jnp.abs(z), 38.0)
    above = below = jnp.zeros_like(z)
    for coefficient in _NUMERATOR:
        above = above * far + coefficient
    for coefficient in _DENOMINATOR:
        below = below * far + coefficient
    bell = jnp.exp(-0.5 * z * z)
    tail = bell * above / below
    density = bell * (1.0 / math.sqrt(2.0 * math.pi))
    i0 = jnp.where(z > 0, 1.0 - tail, tail)
    i1 = z * i0 + density
    i2 = 0.5 * (z * i1 + i0)
    i3 = (z * i2 + i1) * (1.0 / 3.0)
    return density, i0, i1, i2, i3


@iterated_normal.defjvp
def _iterated_normal_jvp(primals, tangents):
    (z,), (dz,) = primals, tangents
    values = iterated_normal(z)
    density, i0, i1, i2, _ = values
    return values, (-z * density * dz, density * dz, i0 * dz, i1 * dz, i2 * dz)


# One step ------------------------------------------------------------------------------------------------------


class Cells(NamedTuple):
    """The law of V' of the neurons of each bin, before noise: all relative to the bin's centre."""

    number: Any
    mean: Any  # E[V']
    length: Any  # of the support
    tilt: Any  # density from 1 - tilt at the lower end to 1 + tilt at the upper, relative to uniform
    sigma: Any


def _density(state: State, p: Parameters, scheme: Scheme) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean, length of the support and tilt of the density in each bin, from number and first moment.

    Linear over the whole bin while the mean is within w/6 of the centre, then a triangle at the nearer edge.
    """
    w = scheme.width
    dust = state.number <= _DUST * p.size
    mean = jnp.where(dust, 0.0, state.moment / jnp.where(dust, 1.0, state.number))
    length = jnp.clip(3.0 * (0.5 * w - jnp.abs(mean)), p.narrowest, w)
    tilt = jnp.clip(6.0 * mean / w, -1.0, 1.0)
    return mean, length, tilt


def _slope(number: jax.Array, mean: jax.Array, excess: jax.Array, size: jax.Array, scheme: Scheme) -> jax.Array:
    """Slope in V of the excess per neuron: van Leer's harmonic mean of the differences to both neighbours."""
    distance = jnp.maximum(scheme.width + jnp.diff(mean, axis=0), 0.25 * scheme.width)[:, :, None]
    difference = jnp.diff(excess, axis=0) / distance
    left, right = difference[:-1], difference[1:]
    filled = number >= _SPARSE * size
    agree = (left * right > 0) & (filled[:-2] & filled[1:-1] & filled[2:])[:, :, None]
    slope = 2.0 * left * right / jnp.where(agree, left + right, 1.0)
    return jnp.pad(jnp.where(agree, slope, 0.0), ((1, 1), (0, 0), (0, 0), (0, 0)))


def _fluxes(cells: Cells, carried: tuple[jax.Array, ...], scheme: Scheme) -> tuple[jax.Array, ...]:
    """Fluxes of number, moment and excess through the edges 0 ... bins, shape (bin + 1, population, ..., set).

    Below a bin's centre an edge is crossed downwards (side = +1: V' < l), above it upwards (side = -1: V' > l), so
    that every flux is a tail and small where little moves.
    """
    number, mean, length, tilt, sigma = cells
    lower = mean - (tilt / 6.0 + 0.5) * length
    upper = lower + length
    ratio = sigma / length
    tilted = 2.0 * tilt * ratio
    low, high = 1.0 - tilt, 1.0 + tilt
    inverse = 1.0 / sigma

    def across(edge, usual):
        side = jnp.where(edge < mean, 1.0, -1.0)
        passed = 0.5 * (usual - side)
        _, a0, a1, a2, a3 = iterated_normal(side * inverse * (edge - lower))
        _, b0, b1, b2, b3 = iterated_normal(side * inverse * (edge - upper))
        crossing = ratio * (low * a1 - high * b1 + side * tilted * (a2 - b2))
        beyond = sigma * ratio * (side * (low * a2 - high * b2) + tilted * (a3 - b3))
        crossing += passed
        beyond += passed * (edge - mean)
        flux, surplus = number * crossing, number * beyond
        if not carried:
            return flux, surplus
        at_edge, along, by_density = carried
        density = (side * (low * a0 - high * b0) + tilted * (a1 - b1)) / length
        excess = (at_edge + edge * along) * crossing[:, :, None]
        excess += by_density * density[:, :, None] - along * beyond[:, :, None]
        return flux, surplus, excess

    down, up = scheme.reach
    offsets = np.arange(-down, up + 2)
    rows = scheme.bins + len(offsets) - 1
    empty = tuple(jnp.zeros((rows, *x.shape[1:]), x.dtype) for x in (number, number, *carried[:1]))

    def body(totals, row):
        first, edge, side = row
        parts = across(edge, side)
        added = tuple(
            lax.dynamic_update_slice_in_dim(total, lax.dynamic_slice_in_dim(total, first, scheme.bins) + part, first, 0)
            for total, part in zip(totals, parts, strict=True)
        )
        return added, None

    rows_of_edges = (
        jnp.arange(len(offsets)),
        jnp.asarray((offsets - 0.5) * scheme.width, number.dtype),
        jnp.asarray(np.where(offsets <= 0, 1.0, -1.0), number.dtype),
    )
    totals, _ = lax.scan(body, empty, rows_of_edges)
    inside = (total[down : down + scheme.bins + 1] for total in totals)
    return tuple(total.at[0].set(0.0) for total in inside)


def _by_channel(classes: jax.Array, scheme: Scheme) -> jax.Array:
    """Sum classes, shape (population, source, set), over channels, shape (population, channel, set)."""
    members = np.asarray(scheme.channels)[:, :, None] == np.arange(len(scheme.signs[0]))
    return jnp.einsum("abx,abc->acx", classes, jnp.asarray(members, classes.dtype))


class _Channels(NamedTuple):
    """Mean and variance of X = sum of s H per channel, and its decay; shape (population, channel, set)."""

    mean: Any
    variance: Any
    decay: Any


def _channels(state: State, p: Parameters, scheme: Scheme) -> _Channels:
    count = _by_channel(jnp.ones_like(p.decay[:, :, :1]), scheme)
    decay = _by_channel(p.decay, scheme) / jnp.maximum(count, 1.0)
    return _Channels(
        _by_channel(p.strength * state.pending, scheme),
        _by_channel(p.strength**2 * state.variance, scheme),
        jnp.where(count > 0, decay, 1.0),
    )


def step(state: State, external: jax.Array, p: Parameters, scheme: Scheme) -> tuple[State, tuple[jax.Array, jax.Array]]:
    """One step of length dt; returns the new state, the spikes and the mean of the pending spikes after it."""
    w, dt = scheme.width, p.dt
    mean, length, tilt = _density(state, p, scheme)
    centre = ((np.arange(scheme.bins) - scheme.reset + 0.5) * w)[:, None, None]
    v = centre + mean
    inhibition = (v - p.reversal) / (p.threshold - p.reversal)
    sign = jnp.asarray(np.asarray(scheme.signs, float)[:, :, None], mean.dtype)
    # What one unit of X/tau does to V per ms: +1 or -g(V); shape (bin, population, channel, set).
    kick = jnp.maximum(sign, 0.0) - jnp.maximum(-sign, 0.0) * inhibition[:, :, None]
    x = _channels(state, p, scheme)

    if scheme.joint:
        dust = (state.number <= _DUST * p.size)[:, :, None]
        excess = jnp.where(dust, 0.0, state.excess / jnp.where(dust, 1.0, state.number[:, :, None]))
        idle = (state.refractory <= _DUST * p.size)[:, None]
        explained = jnp.sum(state.excess * excess, axis=0) + jnp.where(
            idle, 0.0, state.refractory_excess**2 / jnp.where(idle, 1.0, state.refractory[:, None])
        )
        noise = jnp.maximum(x.variance - explained / p.size[:, None], 0.0)
        current = (x.mean + excess) / x.decay
        synaptic = dt**2 * jnp.sum(kick**2 * noise / x.decay**2, axis=2)
        slope = jnp.zeros_like(excess)
        if scheme.linear:
            slope = _slope(state.number, mean, excess, p.size, scheme)
    else:
        current = x.mean / x.decay
        synaptic = dt * jnp.sum(kick**2 * x.variance / x.decay**2, axis=2)
        slope = None
    stretch = jnp.broadcast_to(1.0 - dt * p.leak, mean.shape)
    if slope is not None and scheme.stretched:
        by_conductance = jnp.maximum(-sign, 0.0) * current / (p.threshold - p.reversal)
        stretch += dt * jnp.sum(kick * slope / x.decay - by_conductance, axis=2)
    shift = dt * (external * p.external_scale - p.leak * v + jnp.sum(kick * current, axis=2))
    variance = dt * external * p.external_scale**2 + synaptic
    sigma = jnp.sqrt(jnp.maximum(variance, (0.1 * p.narrowest) ** 2))

    moved = mean + shift
    cells = Cells(state.number, moved, length * stretch, tilt, sigma)
    carried = ()
    if scheme.joint:
        number = state.number[:, :, None]
        along = number * slope
        by_density = along * (sigma**2)[:, :, None] - number * kick * noise * dt / x.decay
        carried = (number * excess - along * moved[:, :, None], along, by_density)
    flux, surplus, *rest = _fluxes(cells, carried, scheme)

    spikes = -flux[-1]
    number = state.number + jnp.diff(flux, axis=0)
    moment = state.number * moved + 0.5 * w * (flux[1:] + flux[:-1]) - jnp.diff(surplus, axis=0)
    refractory = state.refractory + spikes
    back = refractory * p.release
    number = number.at[scheme.reset].add(back)
    moment = moment.at[scheme.reset].add(-0.5 * w * back)
    excess, refractory_excess = state.excess, state.refractory_excess
    if scheme.joint:
        fading = 1.0 - dt / x.decay
        excess = (excess + jnp.diff(rest[0], axis=0)) * fading
        refractory_excess = (refractory_excess - rest[0][-1]) * fading
        back_excess = refractory_excess * p.release[:, None]
        excess = excess.at[scheme.reset].add(back_excess)
        refractory_excess = refractory_excess - back_excess

    h, var, hit = state.pending, state.variance, p.probability
    pending = h - h * dt / p.decay + hit * spikes
    new = State(
        number,
        moment,
        refractory - back,
        excess,
        refractory_excess,
        pending,
        var + (h - 2.0 * var) * dt / p.decay + hit * (1.0 - hit) * spikes,
        jnp.maximum(state.fault, _fault(cells, stretch, p.size, scheme)),
    )
    return new, (spikes, pending)


def _fault(cells: Cells, stretch: jax.Array, size: jax.Array, scheme: Scheme) -> jax.Array:
    """What is wrong in this step, shape (set,); see `State`. Bins below 1e-12 of a population do not count."""
    down, up = scheme.reach
    half = (0.5 + jnp.abs(cells.tilt) / 6.0) * cells.length + _TAIL * cells.sigma
    rows = np.arange(scheme.bins)[:, None, None]
    # Nothing crosses the lowest edge, and what is above the threshold need not be told apart.
    below = (cells.mean - half < -(down + 1.5) * scheme.width) & jnp.asarray(rows > down + 1)
    above = (cells.mean + half > (up + 1.5) * scheme.width) & jnp.asarray(rows < scheme.bins - 1 - up)
    filled = cells.number > 1e-12 * size
    beyond = jnp.any((below | above) & filled, axis=(0, 1))
    folded = jnp.any((stretch < 0.1) & filled, axis=(0, 1))
    return jnp.where(folded, 2, jnp.where(beyond, 1, 0)).astype(jnp.int32)
