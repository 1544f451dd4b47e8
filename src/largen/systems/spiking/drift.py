"""Drift, noise and stretch of the voltage bins in one step, and what each channel of pending spikes carries (numba).

`shift` fills the table of the bins of one population (`transfer` has its rows) before its neurons are moved.
Source: CLWTX 2024 (arXiv 2411.14801); the `joint` closure and its slope within a bin are largen's own.
"""

from numba import uint64

from largen.numerics.compiled import inlined, part
from largen.systems.spiking.layout import JOINT, PAPER
from largen.systems.spiking.transfer import (
    CENTRE,
    COUNT,
    DRIFT,
    GATE,
    MEAN,
    MOVED,
    NOISE,
    PER,
    PULL,
    ROW,
    STEEPENING,
    VARIANCE,
    advance,
    reconstruct,
)

EMPTY = 1e-20
"""A bin with at most this fraction of the population tells nothing of pending spikes: a mean over it is rounding."""
SPARSE = 1e-8
"""A bin with less than this fraction of the population has no slope of the pending spikes."""
LEAST_STRETCH = 0.1
"""A step may not press a bin together more than this."""

# The rows of a channel: X - mean per neuron and its slope in V; then, with N neurons, N (X - mean) at the bin's
# centre, its slope, and the part that goes with the density at an edge.
OFFSET, RISE, PLACE, ALONG, WIDEN = (uint64(row * ROW) for row in range(5))


@part(fastmath={"contract", "reassoc"})
def _explain(x, h, q, bins, deviation, c):
    """Mean deviation per bin; returns the sum of squares that it explains."""
    between = 0.0
    for k in range(uint64(bins)):
        offset = deviation[c, k] * x[PER + k]
        h[q, OFFSET + k] = offset
        between += offset * deviation[c, k]
    return between


@part
def _van_leer(x, h, q, bins, width, sparse):
    """Slope of the offset over V: harmonic mean of the left and right differences where their signs agree."""
    least = 0.25 * width
    for k in range(uint64(1), uint64(bins - 1)):
        above, below = k + uint64(1), k - uint64(1)
        mean, offset = x[MEAN + k], h[q, OFFSET + k]
        left = max(width + mean - x[MEAN + below], least)
        right = max(width + x[MEAN + above] - mean, least)
        fall, rise = (offset - h[q, OFFSET + below]) * right, (h[q, OFFSET + above] - offset) * left
        filled = min(min(x[COUNT + below], x[COUNT + k]), x[COUNT + above]) >= sparse
        agree = filled and fall * rise > 0.0
        h[q, RISE + k] = 2.0 * fall * rise / ((fall + rise) * left * right) if agree else 0.0


@part
def _drive(x, bins, drift, variance, leak, dt, reversal, span):
    """Drift, noise and stretch without synapses."""
    for k in range(uint64(bins)):
        potential = x[CENTRE + k] + x[MEAN + k]
        x[GATE + k] = (potential - reversal) / span
        x[DRIFT + k] = drift - leak * potential
        x[VARIANCE + k] = variance
        x[PULL + k] = 1.0 - dt * leak
        x[STEEPENING + k] = 0.0


@part
def _pull(x, h, q, bins, mean, rate, noise, inhibitory, stiffness, dt):
    """Add a channel to drift, noise and stretch; `stiffness` is dt over the span of inhibition, or 0 for none."""
    plus, minus = (0.0, 1.0) if inhibitory else (1.0, 0.0)
    for k in range(uint64(bins)):
        current = rate * (mean + h[q, OFFSET + k])
        sign = plus - minus * x[GATE + k]
        x[DRIFT + k] += sign * current
        x[VARIANCE + k] += sign * sign * noise
        x[PULL + k] -= minus * stiffness * current
        x[STEEPENING + k] += dt * rate * sign * h[q, RISE + k]


@part
def _carry(x, h, q, bins, shared, inhibitory):
    """What the fluxes of a channel need; `shared`: covariance of X and V' per unit of sign."""
    plus, minus = (0.0, 1.0) if inhibitory else (1.0, 0.0)
    for k in range(uint64(bins)):
        n = x[COUNT + k]
        along = n * h[q, RISE + k]
        sign = plus - minus * x[GATE + k]
        h[q, ALONG + k] = along
        h[q, PLACE + k] = n * h[q, OFFSET + k] - along * x[MOVED + k]
        h[q, WIDEN + k] = along * x[NOISE + k] * x[NOISE + k] - n * sign * shared


@part
def _folded(x, bins):
    """Number of neurons of the fullest bin that inhibition turns over in this step."""
    most = 0.0
    for k in range(uint64(bins)):
        if x[PULL + k] < LEAST_STRETCH:
            most = max(most, x[COUNT + k])
    return most


@inlined
def shift(layout, state, work, a, drive):
    """Fill the table of the bins of a population: densities, drift, noise and what the channels carry."""
    x, bins, dt = work.bins, state.count.shape[1], layout.dt
    size, low, high = layout.size[a], layout.channels[a], layout.channels[a + 1]
    joint = layout.closure == JOINT
    reconstruct(
        x, bins, state.count, state.moment, a,
        layout.width, layout.narrowest, layout.closure == PAPER, EMPTY * size,
    )  # fmt: skip
    _drive(
        x, bins, drive * layout.drive_mean[a], drive * layout.drive_variance[a], layout.leak[a],
        dt, layout.reversal, layout.span,
    )  # fmt: skip
    for c in range(low, high):
        q, rate, inhibitory = c - low, layout.rate[c], layout.inhibitory[c] > 0
        noise = state.variance[c]
        if joint:
            between = _explain(x, work.channels, q, bins, state.deviation, c)
            if state.pool[a] > EMPTY * size:
                between += state.pool_deviation[c] ** 2 / state.pool[a]
            work.unexplained[c] = max(noise - between / size, 0.0)
            noise = dt * work.unexplained[c]
            if layout.sloped:
                _van_leer(x, work.channels, q, bins, layout.width, SPARSE * size)
        stiffness = dt / layout.span if layout.stretched else 0.0
        steep = dt if layout.stretched else 0.0
        _pull(x, work.channels, q, bins, work.mean[c], rate, noise * rate * rate, inhibitory, stiffness, steep)
    work.lost[0] = max(work.lost[0], _folded(x, bins) / size)
    advance(x, bins, dt, layout.narrowest, LEAST_STRETCH)
    if joint:
        for c in range(low, high):
            shared = work.unexplained[c] * dt * layout.rate[c]
            _carry(x, work.channels, c - low, bins, shared, layout.inhibitory[c] > 0)
