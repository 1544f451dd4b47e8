"""One step of the spiking reduction in JAX.

One step moves the neurons of every voltage bin by a drift affine in V and a Gaussian increment. It is a
finite-volume scheme: bins exchange number, first moment and pending spikes by fluxes through their edges
(`transfer_jax`), so that mass is conserved whatever the fluxes are.

All arrays carry a last axis `set` (parameter sets, 1 for a single model), which is contiguous.
Source: CLWTX 2024 (see `model`), secs. 3 and 4; the linear density and the `joint` closure are largen's own (docs).
Times in ms, V in the paper's units, numbers in neurons.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from largen.systems.spiking.transfer_jax import Band, Cells, Scheme, arrive, band, spread
from largen.systems.spiking.transfer_jax import iterated_normal as iterated_normal

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


# One step ------------------------------------------------------------------------------------------------------


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
    reached = band(cells, p.size, scheme)
    flux, surplus, *rest = spread(cells, reached, carried, scheme)

    def ends(x):
        return jnp.pad(x, [(1, 1)] + [(0, 0)] * (x.ndim - 1))

    flux, surplus = ends(flux), ends(surplus)
    number, below, spikes = arrive(state.number, jnp.diff(flux, axis=0), reached.by, scheme)
    shifted = state.number * (moved - reached.by * w)
    gained = 0.5 * w * (flux[1:] + flux[:-1]) - jnp.diff(surplus, axis=0)
    moment, below_moment, _ = arrive(shifted, gained, reached.by, scheme)
    # Below the lowest edge there is nothing: what is there stays in the lowest bin, at its potential.
    place = np.arange(len(below)).reshape(-1, 1, 1) - scheme.reach[0] - 1 + reached.by
    number = number.at[0].add(jnp.sum(below, axis=0))
    moment = moment.at[0].add(jnp.sum(below_moment + below * place * w, axis=0))
    refractory = state.refractory + spikes
    back = refractory * p.release
    number = number.at[scheme.reset].add(back)
    moment = moment.at[scheme.reset].add(-0.5 * w * back)
    excess, refractory_excess = state.excess, state.refractory_excess
    if scheme.joint:
        fading = 1.0 - dt / x.decay
        excess, below, brought = arrive(state.excess, jnp.diff(ends(rest[0]), axis=0), reached.by, scheme)
        excess = excess.at[0].add(jnp.sum(below, axis=0)) * fading
        refractory_excess = (refractory_excess + brought) * fading
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
        jnp.maximum(state.fault, _fault(cells, stretch, reached, p.size, scheme)),
    )
    return new, (spikes, pending)


def _fault(cells: Cells, stretch: jax.Array, reached: Band, size: jax.Array, scheme: Scheme) -> jax.Array:
    """What is wrong in this step, shape (set,); see `State`."""
    down, up = scheme.reach
    beyond = jnp.any((reached.begin - reached.by < -down) | (reached.end - reached.by > up + 2), axis=0)
    filled = cells.number > 1e-12 * size
    folded = jnp.any((stretch < 0.1) & filled, axis=(0, 1))
    return jnp.where(folded, 2, jnp.where(beyond, 1, 0)).astype(jnp.int32)
