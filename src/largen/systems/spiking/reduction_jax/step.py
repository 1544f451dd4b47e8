"""One step of the spiking reduction in JAX.

One step moves the neurons of every voltage bin by a drift affine in V and a Gaussian increment (S5 to S8 of
docs/spiking.md). It is a finite-volume scheme: bins exchange number n, first moment S and deviations c by fluxes
through their edges (`transfer`; S9, S13), so that mass is conserved whatever the fluxes are.

All arrays carry a last axis `set` (parameter sets, 1 for a single model), which is contiguous.
Source: CLWTX 2024 (arXiv 2411.14801), secs. 3 and 4; the linear density and the `joint` closure are largen's own,
derived in docs/spiking.md. Times in ms, V in the paper's units, numbers in neurons.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from largen.systems.spiking.discretisation import (
    MIN_CONTRACTION,
    MIN_OCCUPANCY,
    MIN_OCCUPANCY_SLOPE,
)
from largen.systems.spiking.reduction_jax.transfer import Band, Densities, Scheme, band, fluxes, into_bins


class State(NamedTuple):
    """State of the reduction; the names are those of the numba engine. Each shape is followed by the axis `set`.

    Attributes:
        number: Neurons n per bin, shape (bin, population).
        moment: First moment S, the sum over the bin's neurons of V minus the bin's centre, shape (bin, population).
        refractory: The refractory pool, in neurons, shape (population,).
        deviation: Deviation c, the sum over the bin's neurons of X minus its population mean, X = sum of s H over the
            sources of a channel, shape (bin, population, channel); no channels for the white closure.
        refractory_deviation: The same over the refractory pool, shape (population, channel).
        pending: Mean of the pending spikes H, shape (population, source).
        variance: Variance of H, shape (population, source).
        fault: 0, or 1 where neurons moved beyond `Scheme.reach` in a step, which makes the solution wrong; shape ().
    """

    number: Any
    moment: Any
    refractory: Any
    deviation: Any
    refractory_deviation: Any
    pending: Any
    variance: Any
    fault: Any


class Parameters(NamedTuple):
    """The model's numbers. Each shape is followed by the axis `set`.

    Attributes:
        size: Neurons, shape (population,).
        strength: s, in units of the potential, shape (population, source).
        probability: p, shape (population, source).
        decay: tau (ms), shape (population, source).
        leak: 1/tau_m (1/ms), shape (population,).
        external_scale: Size of an external kick, shape (population,).
        release: Probability of leaving the refractory pool in a step, shape (population,).
        reversal: Reversal potential of inhibition, shape ().
        threshold: Threshold, shape ().
        min_support: Shortest support of the density in a bin, in units of the potential, shape ().
        dt: Step (ms), shape ().
    """

    size: Any
    strength: Any
    probability: Any
    decay: Any
    leak: Any
    external_scale: Any
    release: Any
    reversal: Any
    threshold: Any
    min_support: Any
    dt: Any


# What a step needs ---------------------------------------------------------------------------------------------


def _density(state: State, p: Parameters, scheme: Scheme) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean, length of the support and tilt of the density in each bin, from number and first moment (S4).

    Linear over the whole bin while the mean is within w/6 of the centre, then a triangle at the nearer edge.
    """
    w = scheme.width
    empty = state.number <= MIN_OCCUPANCY * p.size
    mean = jnp.where(empty, 0.0, state.moment / jnp.where(empty, 1.0, state.number))
    length = jnp.clip(3.0 * (0.5 * w - jnp.abs(mean)), p.min_support, w)
    tilt = jnp.clip(6.0 * mean / w, -1.0, 1.0)
    return mean, length, tilt


def _slope(number: jax.Array, mean: jax.Array, deviation: jax.Array, size: jax.Array, scheme: Scheme) -> jax.Array:
    """Slope in V of the mean deviation: van Leer's harmonic mean of the differences to both neighbours."""
    distance = jnp.maximum(scheme.width + jnp.diff(mean, axis=0), 0.25 * scheme.width)[:, :, None]
    difference = jnp.diff(deviation, axis=0) / distance
    left, right = difference[:-1], difference[1:]
    filled = number >= MIN_OCCUPANCY_SLOPE * size
    agree = (left * right > 0) & (filled[:-2] & filled[1:-1] & filled[2:])[:, :, None]
    slope = 2.0 * left * right / jnp.where(agree, left + right, 1.0)
    return jnp.pad(jnp.where(agree, slope, 0.0), ((1, 1), (0, 0), (0, 0), (0, 0)))


def sum_by_channel(classes: jax.Array, scheme: Scheme) -> jax.Array:
    """Sum classes, shape (population, source, set), over channels, shape (population, channel, set)."""
    members = np.asarray(scheme.channels)[:, :, None] == np.arange(len(scheme.signs[0]))
    return jnp.einsum("abx,abc->acx", classes, jnp.asarray(members, classes.dtype))


class _Channels(NamedTuple):
    """Moments of X = sum of s H per channel, and its decay; shape (population, channel, set).

    Attributes:
        mean: Mean of X.
        variance: Variance of X.
        square: Sum of s^2 E[H].
        decay: tau (ms).
    """

    mean: Any
    variance: Any
    square: Any
    decay: Any


def _channels(state: State, p: Parameters, scheme: Scheme) -> _Channels:
    count = sum_by_channel(jnp.ones_like(p.decay[:, :, :1]), scheme)
    decay = sum_by_channel(p.decay, scheme) / jnp.maximum(count, 1.0)
    return _Channels(
        sum_by_channel(p.strength * state.pending, scheme),
        sum_by_channel(p.strength**2 * state.variance, scheme),
        sum_by_channel(p.strength**2 * state.pending, scheme),
        jnp.where(count > 0, decay, 1.0),
    )


class _Synapses(NamedTuple):
    """What the channels do to V in one step; shape (bin, population, channel, set) unless said otherwise.

    Attributes:
        kappa: What one unit of charge does to V: +1 or -g(V).
        released: q = 1 - exp(-dt/tau), shape (population, channel, set).
        charge: Mean charge q X of a bin in the step, in units of the potential.
        variance: Its variance times kappa^2, summed over channels, shape (bin, population, set).
        covariance: Covariance of the charge with the X that is left, over exp(-dt/tau), shape (population, channel,
            set); None for the white closure, like the next two.
        mean_deviation: h = c/n.
        slope: h', its slope in V.
    """

    kappa: Any
    released: Any
    charge: Any
    variance: Any
    covariance: Any = None
    mean_deviation: Any = None
    slope: Any = None


def _synapses(state: State, mean: jax.Array, kappa: jax.Array, p: Parameters, scheme: Scheme) -> _Synapses:
    """The charge of every bin in the step and its noise (S6, S8)."""
    x = _channels(state, p, scheme)
    part = p.dt / x.decay
    left = jnp.exp(-part)
    released = -jnp.expm1(-part)
    own = (1.0 - left**2 - 2.0 * part * left) * x.square
    if not scheme.joint:
        noise = released**2 * x.variance / p.dt + own
        charge = jnp.broadcast_to(released * x.mean, kappa.shape)
        return _Synapses(kappa, released, charge, jnp.sum(kappa**2 * noise, axis=2))
    empty = (state.number <= MIN_OCCUPANCY * p.size)[:, :, None]
    deviation = jnp.where(empty, 0.0, state.deviation / jnp.where(empty, 1.0, state.number[:, :, None]))
    idle = (state.refractory <= MIN_OCCUPANCY * p.size)[:, None]
    between = jnp.sum(state.deviation * deviation, axis=0) + jnp.where(
        idle, 0.0, state.refractory_deviation**2 / jnp.where(idle, 1.0, state.refractory[:, None])
    )
    residual = jnp.maximum(x.variance - between / p.size[:, None], 0.0)
    slope = jnp.zeros_like(deviation)
    if scheme.linear_in_bin:
        slope = _slope(state.number, mean, deviation, p.size, scheme)
    return _Synapses(
        kappa,
        released,
        released * jnp.maximum(x.mean + deviation, 0.0),  # X is never negative; h of a bare bin is rounding
        jnp.sum(kappa**2 * (released**2 * residual + own), axis=2),
        released * residual + (part - released) * x.square,
        deviation,
        slope,
    )


def _relaxed(kappa: jax.Array) -> jax.Array:
    """phi(kappa) = (1 - exp(-kappa))/kappa."""
    small = jnp.abs(kappa) < 1e-5
    other = jnp.where(small, 1.0, kappa)
    return jnp.where(small, 1.0 - 0.5 * kappa, -jnp.expm1(-other) / other)


# One step ------------------------------------------------------------------------------------------------------


def step(state: State, external: jax.Array, p: Parameters, scheme: Scheme) -> tuple[State, tuple[jax.Array, jax.Array]]:
    """One step of length dt; returns the new state, the spikes and the mean of the pending spikes after it.

    Args:
        state: State before it.
        external: External kicks per ms, shape (population, set).
        p: The model's numbers.
        scheme: What is fixed.
    """
    w, dt = scheme.width, p.dt
    mean, length, tilt = _density(state, p, scheme)
    centre = ((np.arange(scheme.bins) - scheme.reset + 0.5) * w)[:, None, None]
    v = centre + mean
    g = (v - p.reversal) / (p.threshold - p.reversal)
    sign = jnp.asarray(np.asarray(scheme.signs, float)[:, :, None], mean.dtype)
    kappa = jnp.maximum(sign, 0.0) - jnp.maximum(-sign, 0.0) * g[:, :, None]
    synapses = _synapses(state, mean, kappa, p, scheme)

    by_inhibition = jnp.maximum(-sign, 0.0) * synapses.charge / (p.threshold - p.reversal)
    relaxation = dt * p.leak + jnp.sum(by_inhibition, axis=2)
    phi = _relaxed(relaxation)
    ka = jnp.broadcast_to(jnp.exp(-dt * p.leak), mean.shape)
    if scheme.joint and scheme.affine_drift:
        ka = jnp.exp(-relaxation) + phi * jnp.sum(kappa * synapses.released * synapses.slope, axis=2)
    drift = dt * (external * p.external_scale - p.leak * v) + jnp.sum(kappa * synapses.charge, axis=2)
    mu = phi * drift
    outside = dt * external * p.external_scale**2 * (1.0 - 0.5 * relaxation * phi)
    variance = phi * (outside + phi * synapses.variance)
    sigma = jnp.sqrt(jnp.maximum(variance, (0.1 * p.min_support) ** 2))
    densities = Densities(state.number, mean + mu, length * jnp.maximum(ka, MIN_CONTRACTION), tilt, sigma)
    reached = band(densities, p.size, scheme)

    number, moment, flux_of_deviation, spikes = _transfer(densities, synapses, phi, reached, scheme)
    refractory = state.refractory + spikes
    back = refractory * p.release
    number = number.at[scheme.reset].add(back)
    moment = moment.at[scheme.reset].add(-0.5 * w * back)
    deviation, refractory_deviation = state.deviation, state.refractory_deviation
    if scheme.joint:
        deviation, refractory_deviation = _deviations(
            state, flux_of_deviation, 1.0 - synapses.released, reached, p, scheme
        )

    h, hit = state.pending, p.probability
    left = jnp.exp(-dt / p.decay)
    pending = h * left + hit * spikes
    new = State(
        number,
        moment,
        refractory - back,
        deviation,
        refractory_deviation,
        pending,
        left**2 * state.variance + left * (1.0 - left) * h + hit * (1.0 - hit) * spikes,
        jnp.maximum(state.fault, _fault(reached, scheme)),
    )
    return new, (spikes, pending)


def _ends(x: jax.Array) -> jax.Array:
    """Fluxes with those through the outermost edges, which are 0."""
    return jnp.pad(x, [(1, 1)] + [(0, 0)] * (x.ndim - 1))


def _transfer(
    densities: Densities, synapses: _Synapses, phi: jax.Array, reached: Band, scheme: Scheme
) -> tuple[jax.Array, jax.Array, Any, jax.Array]:
    """Numbers and first moments after the transfers (S9), the flux of the deviations (S13), and the spikes."""
    w = scheme.width
    carried = ()
    if scheme.joint:
        number = densities.number[:, :, None]
        along = number * synapses.slope
        by_noise = number * phi[:, :, None] * synapses.kappa * synapses.covariance
        by_density = along * (densities.sigma**2)[:, :, None] - by_noise
        at_centre = number * synapses.mean_deviation - along * densities.mean[:, :, None]
        carried = (at_centre, along, by_density)
    flux, u_flux, *rest = fluxes(densities, reached, carried, scheme)
    flux, u_flux = _ends(flux), _ends(u_flux)
    number, below, spikes = into_bins(densities.number, jnp.diff(flux, axis=0), reached.by, scheme)
    shifted = densities.number * (densities.mean - reached.by * w)
    gained = 0.5 * w * (flux[1:] + flux[:-1]) - jnp.diff(u_flux, axis=0)
    moment, below_moment, _ = into_bins(shifted, gained, reached.by, scheme)
    # Below the lowest edge there is nothing: what is there stays in the lowest bin, at its potential.
    place = np.arange(len(below)).reshape(-1, 1, 1) - scheme.reach[0] - 1 + reached.by
    number = number.at[0].add(jnp.sum(below, axis=0))
    moment = moment.at[0].add(jnp.sum(below_moment + below * place * w, axis=0))
    return number, moment, rest[0] if rest else None, spikes


def _deviations(
    state: State, flux: jax.Array, fading: jax.Array, reached: Band, p: Parameters, scheme: Scheme
) -> tuple[jax.Array, jax.Array]:
    """Deviations in the bins and in the refractory pool after the transfers, the decay and the return."""
    deviation, below, spiking = into_bins(state.deviation, jnp.diff(_ends(flux), axis=0), reached.by, scheme)
    deviation = deviation.at[0].add(jnp.sum(below, axis=0)) * fading
    refractory_deviation = (state.refractory_deviation + spiking) * fading
    back = refractory_deviation * p.release[:, None]
    return deviation.at[scheme.reset].add(back), refractory_deviation - back


def _fault(reached: Band, scheme: Scheme) -> jax.Array:
    """Whether neurons moved beyond the reach in this step, shape (set,); see `State`."""
    down, up = scheme.reach
    beyond = jnp.any((reached.begin - reached.by < -down) | (reached.end - reached.by > up + 2), axis=0)
    return beyond.astype(jnp.int32)
