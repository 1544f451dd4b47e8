"""Fluxes of the spiking reduction through the edges of its bins, in JAX.

What crosses an edge l follows from three integrals of the law of V' = Y + e, with Y the potential after the drift and
e a normal variable of standard deviation sigma: its density F(l), its distribution G0(l) = P(V' < l), and U(l) =
E[max(l - V', 0)], each the derivative of the next. With a density of Y that goes linearly from (1 - t)/L to
(1 + t)/L on an interval (a, b) of length L, they are combinations of the iterated integrals i_n of the normal density
phi, z_a = (l - a)/sigma, z_b = (l - b)/sigma:

    F  = ((1 - t) i_0(z_a) - (1 + t) i_0(z_b) + 2 t sigma/L (i_1(z_a) - i_1(z_b))) / L
    G0 = sigma/L   (the same with i_1 and i_2),      U = sigma^2/L (the same with i_2 and i_3)                   (S12)

The neurons of a population first move by an integer number of bins, then cross the few edges that the noise can reach.

All arrays carry a last axis `set` (parameter sets, 1 for a single model), which is contiguous. Potentials are in the
units of the model, relative to the centre of the source bin. Derived in docs/spiking.md.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from largen.numerics.normal_distribution import DENOMINATOR, NUMERATOR
from largen.systems.spiking.discretisation import MIN_OCCUPANCY_FLUX

# Standard deviations beyond which a Gaussian carries nothing (one-sided tail 3e-14).
_TAIL = 7.5


class Scheme(NamedTuple):
    """What is fixed when the program is compiled.

    Attributes:
        width: Bin width, in units of the potential.
        bins: Number of bins.
        reset: Index of the bin [0, width).
        channels: Channel of every class, [target][source]: sources of one target with equal decay and sign.
        signs: Sign of every channel, [target][channel]: +1, -1, or 0 where the target has fewer channels.
        reach: How far below and above a bin its neurons may move in a step, in bins.
        joint: Whether the synaptic noise is carried with its correlation time (closure "joint").
        linear_in_bin: Whether the deviations of pending spikes are linear in the bin.
        affine_drift: Whether the drift varies within a bin (closure "joint"), else it is constant there.
    """

    width: float
    bins: int
    reset: int
    channels: tuple[tuple[int, ...], ...]
    signs: tuple[tuple[int, ...], ...]
    reach: tuple[int, int]
    joint: bool
    linear_in_bin: bool
    affine_drift: bool


# The normal distribution and its iterated integrals ------------------------------------------------------------


@jax.custom_jvp
def iterated_normal(z: jax.Array) -> tuple[jax.Array, ...]:
    """Return phi(z), Phi(z) and the next three iterated integrals of Phi from minus infinity.

    i0 = Phi, n i_n = z i_(n-1) + i_(n-2) with i_(-1) = phi. Phi by Hart's rational approximation 5666, absolute
    error 1e-15 (G. West, Better approximations to cumulative normal functions, Wilmott 2005).
    """
    far = jnp.minimum(jnp.abs(z), 38.0)
    above = below = jnp.zeros_like(z)
    for coefficient in NUMERATOR:
        above = above * far + coefficient
    for coefficient in DENOMINATOR:
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


# The law of a bin's neurons --------------------------------------------------------------------------------------


class EdgeIntegrals(NamedTuple):
    """The integrals at an edge l, seen from its nearer side; shape (bin, population, set).

    Attributes:
        G0: P(V' < l), or -P(V' > l) where l is above the mean.
        U: E[max(l - V', 0)], or E[max(V' - l, 0)] there.
        F: Density of V' at l.
    """

    G0: Any
    U: Any
    F: Any


def _edge_integrals(x, length, tilt, sigma):
    """The integrals; the same of the density 2u - 1, of which the law has `tilt`; sigma F' and sigma^2 F''."""
    side = jnp.where(x < 0.0, 1.0, -1.0)
    ratio, inverse, per = sigma / length, side / sigma, 1.0 / length
    low, high, tilted = 1.0 - tilt, 1.0 + tilt, 2.0 * tilt * ratio
    start = x + (tilt / 6.0 + 0.5) * length  # from the lower end of the density's support
    za, zb = inverse * start, inverse * (start - length)
    pa, a0, a1, a2, a3 = iterated_normal(za)
    pb, b0, b1, b2, b3 = iterated_normal(zb)
    d0, d1, d2, d3 = side * (a0 - b0), a1 - b1, side * (a2 - b2), a3 - b3
    values = EdgeIntegrals(
        ratio * (low * a1 - high * b1 + tilted * d2),
        sigma * ratio * (side * (low * a2 - high * b2) + tilted * d3),
        per * (side * (low * a0 - high * b0) + tilted * d1),
    )
    odd = EdgeIntegrals(
        ratio * (2.0 * ratio * d2 - a1 - b1),
        sigma * ratio * (2.0 * ratio * d3 - side * (a2 + b2)),
        per * (2.0 * ratio * d1 - side * (a0 + b0)),
    )
    steep = per * (low * pa - high * pb + tilted * d0)
    bent = per * (side * (high * zb * pb - low * za * pa) + tilted * (pa - pb))
    return values, odd, steep, bent


@jax.custom_jvp
def edge_integrals(x: jax.Array, length: jax.Array, tilt: jax.Array, sigma: jax.Array) -> EdgeIntegrals:
    """The integrals of a density that is linear on an interval, with a Gaussian added, at x = l - its mean (S12).

    The derivative: U' = G0 and G0' = F in l; G0, U and F are homogeneous of degree 0, 1 and -1 in (x, length, sigma);
    of any of them, d/d sigma = sigma d^2/dl^2; and the mean stays where it is when the density tilts.

    Args:
        x: Edge less mean; any shape, all alike.
        length: Length of the interval.
        tilt: The density goes from 1 - tilt to 1 + tilt, relative to a uniform one.
        sigma: Standard deviation of the Gaussian.
    """
    return _edge_integrals(x, length, tilt, sigma)[0]


@edge_integrals.defjvp
def _edge_integrals_jvp(primals, tangents):
    x, length, _, sigma = primals
    dx, dlength, dtilt, dsigma = tangents
    values, odd, steep, bent = _edge_integrals(*primals)
    g0, u, f = values
    scale = dlength / length
    dx, dsigma = dx - x * scale + length / 6.0 * dtilt, dsigma - sigma * scale
    return values, EdgeIntegrals(
        f * dx + steep * dsigma + odd.G0 * dtilt,
        g0 * dx + sigma * f * dsigma + u * scale + odd.U * dtilt,
        (steep * dx + bent * dsigma) / sigma - f * scale + odd.F * dtilt,
    )


# Fluxes ------------------------------------------------------------------------------------------------------


class Densities(NamedTuple):
    """The density of Y, the potential after the drift, in each bin; shape (bin, population, set).

    Attributes:
        number: Neurons.
        mean: E[Y] = E[V'] from the bin's centre.
        length: Length of the support.
        tilt: The density goes from 1 - tilt at the lower end to 1 + tilt at the upper, relative to a uniform one.
        sigma: Standard deviation of the noise that is added.
    """

    number: Any
    mean: Any
    length: Any
    tilt: Any
    sigma: Any


class Band(NamedTuple):
    """Where the neurons of a population go; shape (population, set).

    Attributes:
        begin: First edge, counted in bins from the neurons' own bin, whose lower end is 0.
        end: One more than the last edge.
        by: Bins by which the population moves on the whole.
    """

    begin: Any
    end: Any
    by: Any


def band(densities: Densities, size: jax.Array, scheme: Scheme) -> Band:
    """The edges that the noise can reach from the occupied bins."""
    half = 0.5 * densities.length + _TAIL * densities.sigma
    middle = densities.mean - densities.tilt / 6.0 * densities.length
    # In single precision what is left by rounding is no neuron.
    least = MIN_OCCUPANCY_FLUX if size.dtype == jnp.float64 else float(jnp.finfo(size.dtype).eps)
    filled = densities.number > least * size
    low = jnp.min(jnp.where(filled, middle - half, jnp.inf), axis=0)
    high = jnp.max(jnp.where(filled, middle + half, -jnp.inf), axis=0)
    most = float(scheme.bins)
    begin = jnp.clip(jnp.ceil(low / scheme.width + 0.5), -most, most)
    end = jnp.clip(jnp.floor(high / scheme.width + 0.5), begin - 1.0, most) + 1.0
    return lax.stop_gradient(Band(begin, end, jnp.floor(0.5 * (begin + end - 1.0))))


def fluxes(densities: Densities, band: Band, carried: tuple[jax.Array, ...], scheme: Scheme) -> tuple[jax.Array, ...]:
    """Fluxes of number, U and deviations through edges; all neurons of a population move by `band.by` bins first.

    `carried` are the coefficients of the flux of the deviations (S13 of docs/spiking.md): at the centre, along the
    potential, and by the density. Row 0 is the edge `scheme.reach[0]` bins below the lowest; edges count from where
    the bins move. Below the centre an edge is crossed downwards (side = +1: V' < l), above it upwards (side = -1:
    V' > l), so that every flux is a tail and small where little moves.
    """
    number, mean, length, tilt, sigma = densities

    def across(edge, side):
        ahead = edge - mean
        g0, u, f = edge_integrals(ahead, length, tilt, sigma)
        passed = 0.5 * (side - jnp.where(ahead < 0.0, 1.0, -1.0))
        g0 += passed
        u += passed * ahead
        flux, u_flux = number * g0, number * u
        if not carried:
            return flux, u_flux
        at_centre, along, by_density = carried
        deviation = (at_centre + edge[:, None] * along) * g0[:, :, None]
        deviation += by_density * f[:, :, None] - along * u[:, :, None]
        return flux, u_flux, deviation

    down, up = scheme.reach
    offsets = np.arange(-down, up + 2)
    rows = scheme.bins + len(offsets) - 1
    empty = tuple(jnp.zeros((rows, *x.shape[1:]), x.dtype) for x in (number, number, *carried[:1]))

    def add(totals, row):
        first, offset, side = row
        parts = across((offset + band.by - 0.5) * scheme.width, side)
        return tuple(
            lax.dynamic_update_slice_in_dim(total, lax.dynamic_slice_in_dim(total, first, scheme.bins) + part, first, 0)
            for total, part in zip(totals, parts, strict=True)
        )

    def body(totals, row):
        edge = row[1] + band.by
        reached = jnp.any((edge >= band.begin) & (edge < band.end))
        return lax.cond(reached, add, lambda totals, _: totals, totals, row), None

    edges = (
        jnp.arange(len(offsets)),
        jnp.asarray(offsets, number.dtype),
        jnp.asarray(np.where(offsets <= 0, 1.0, -1.0), number.dtype),
    )
    return lax.scan(body, empty, edges)[0]


def into_bins(moved: jax.Array, change: jax.Array, by: jax.Array, scheme: Scheme) -> tuple[jax.Array, ...]:
    """Add fluxes to what moved and put it into the bins where it is.

    Args:
        moved: What the bins held, shape (bin, population, ..., set).
        change: What the fluxes brought, shape (rows - 1, population, ..., set).
        by: Bins that it moves on the whole, shape (population, set).
        scheme: What is fixed.

    Returns:
        New bins; the part below the lowest bin, by rows; and the sum above the threshold.
    """
    down, up = scheme.reach[0] + 1, scheme.reach[1] + 1
    pads = [(down, up)] + [(0, 0)] * (moved.ndim - 1)
    cells = jnp.pad(moved, pads) + change
    place = np.arange(len(cells)).reshape(-1, 1, 1) - down + by
    wanted = np.arange(scheme.bins).reshape(-1, 1, 1) + down - by
    if moved.ndim == 4:
        place, wanted = place[:, :, None], wanted[:, :, None]
    inside = (wanted >= 0) & (wanted < len(cells))
    index = jnp.clip(wanted, 0, len(cells) - 1).astype(jnp.int32)
    index = jnp.broadcast_to(index, (scheme.bins, *moved.shape[1:]))
    new = jnp.where(inside, jnp.take_along_axis(cells, index, axis=0, mode="promise_in_bounds"), 0.0)
    below = jnp.where(place < 0, cells, 0.0)
    above = jnp.sum(jnp.where(place >= scheme.bins, cells, 0.0), axis=0)
    return new, below, above
