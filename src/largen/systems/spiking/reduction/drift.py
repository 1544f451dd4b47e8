"""Drift, noise and the bin map of one step, and what each channel of pending spikes carries (numba).

`prepare_bins` fills the table of the bins of one population (`transfer` has its rows) before its neurons are moved.
With h the mean deviation and h' its slope in a bin (m + h is cut at 0 below: X is never negative), with the part
q = 1 - exp(-dt/tau) of its charge that a pending spike brings in a step, with k = 1 for excitation and -g(V) for
inhibition, and with phi(x) = (1 - exp(-x))/x, a step gives

    V -> mean + mu + ka (V - mean) + normal of variance sigma^2                                                 (S5)
    kappa   = dt/tau_m + sum_inh q (m + h)/(M - V_I)
    mu      = phi(kappa) [dt lambda - dt V/tau_m + sum k q (m + h)]                                             (S6)
    ka      = exp(-kappa) + phi(kappa) sum k q h'                                                               (S7)
    sigma^2 = phi(2 kappa) dt lambda + phi(kappa)^2 sum k^2 (q^2 R + u m2),  R = max(v - sum_k n_k h_k^2/N, 0)  (S8)
    deviations that cross an edge l, per bin:
    n (h - h' E V') G0 + n h' (l G0 - U) + n (h' sigma^2 - k phi(kappa) (q R + (dt/tau - q) m2)) F              (S13)

with m, v mean and variance of X, m2 the sum of s^2 E[H], u the variance of the part of its charge that a pending spike
brings, and the refractory pool included in the sum of R; white: v/dt in place of R. The paper: phi = 1, q = dt/tau,
u = 0. Source: CLWTX 2024 (arXiv 2411.14801) for mu and the white noise in the limit of small dt; the rest is largen's
own, derived in docs/spiking.md.
"""

from numba import uint64

from largen.numerics.compiled import inlined, part
from largen.systems.spiking.discretisation import MIN_CONTRACTION, MIN_OCCUPANCY, MIN_OCCUPANCY_SLOPE
from largen.systems.spiking.reduction.layout import JOINT, PAPER
from largen.systems.spiking.reduction.transfer import (
    CENTRE,
    DRIFT,
    DRIVING_FORCE,
    INVERSE_NUMBER,
    MEAN,
    MEAN_DRIFTED,
    NUMBER,
    RELAXATION,
    ROW,
    SIGMA,
    SLOPE_TERM,
    STEP,
    VARIANCE,
    apply_drift,
    apply_euler_drift,
    reconstruct,
)

# The rows of a channel: h = c/n and h'; then the coefficients of (S13): n (h - h' E V') at the bin's centre, n h',
# and the one of the density F.
MEAN_DEVIATION, DEVIATION_SLOPE, AT_CENTRE, ALONG, BY_DENSITY = (uint64(row * ROW) for row in range(5))
CHANNEL_ROWS = 5


@part(fastmath={"contract", "reassoc"})
def _mean_deviations(x, h, q, bins, deviation, c):
    """Mean deviation h of every bin; returns the sum of n h^2, the part of N v that lies between bins."""
    between = 0.0
    for k in range(uint64(bins)):
        mean = deviation[c, k] * x[INVERSE_NUMBER + k]
        h[q, MEAN_DEVIATION + k] = mean
        between += mean * deviation[c, k]
    return between


@part
def _van_leer(x, h, q, bins, width, least_number):
    """Slope h' over V: van Leer's harmonic mean of the left and right differences where their signs agree."""
    least = 0.25 * width
    for k in range(uint64(1), uint64(bins - 1)):
        above, below = k + uint64(1), k - uint64(1)
        mean, here = x[MEAN + k], h[q, MEAN_DEVIATION + k]
        left = max(width + mean - x[MEAN + below], least)
        right = max(width + x[MEAN + above] - mean, least)
        fall, rise = (here - h[q, MEAN_DEVIATION + below]) * right, (h[q, MEAN_DEVIATION + above] - here) * left
        filled = min(min(x[NUMBER + below], x[NUMBER + k]), x[NUMBER + above]) >= least_number
        agree = filled and fall * rise > 0.0
        h[q, DEVIATION_SLOPE + k] = 2.0 * fall * rise / ((fall + rise) * left * right) if agree else 0.0


@part
def _without_synapses(x, bins, drift, leak, dt, reversal, span):
    """Drift and relaxation by the drive and the leak alone; no noise of synapses."""
    for k in range(uint64(bins)):
        potential = x[CENTRE + k] + x[MEAN + k]
        x[DRIVING_FORCE + k] = (potential - reversal) / span
        x[DRIFT + k] = drift - leak * potential
        x[VARIANCE + k] = 0.0
        x[RELAXATION + k] = dt * leak
        x[SLOPE_TERM + k] = 0.0


@part
def _add_channel(x, h, q, bins, mean, rate, noise, inhibitory, stiffness, dt):
    """Add a channel to drift, noise, relaxation and ka; `stiffness` is dt/(M - V_I)."""
    plus, minus = (0.0, 1.0) if inhibitory else (1.0, 0.0)
    for k in range(uint64(bins)):
        current = rate * max(mean + h[q, MEAN_DEVIATION + k], 0.0)  # X is never negative; h of a bare bin is rounding
        kappa = plus - minus * x[DRIVING_FORCE + k]
        x[DRIFT + k] += kappa * current
        x[VARIANCE + k] += kappa * kappa * noise
        x[RELAXATION + k] += minus * stiffness * current
        x[SLOPE_TERM + k] += dt * rate * kappa * h[q, DEVIATION_SLOPE + k]


@part
def _flux_coefficients(x, h, q, bins, covariance, inhibitory):
    """The coefficients of (S13) for a channel; `covariance` is q R + (dt/tau - q) m2."""
    plus, minus = (0.0, 1.0) if inhibitory else (1.0, 0.0)
    for k in range(uint64(bins)):
        n = x[NUMBER + k]
        along = n * h[q, DEVIATION_SLOPE + k]
        kappa = (plus - minus * x[DRIVING_FORCE + k]) * x[STEP + k]
        h[q, ALONG + k] = along
        h[q, AT_CENTRE + k] = n * h[q, MEAN_DEVIATION + k] - along * x[MEAN_DRIFTED + k]
        h[q, BY_DENSITY + k] = along * x[SIGMA + k] * x[SIGMA + k] - n * kappa * covariance


@inlined
def prepare_bins(layout, state, work, a, drive):
    """Fill the table of the bins of a population: densities, drift, noise and what the channels carry."""
    x, bins, dt = work.bins, state.number.shape[1], layout.dt
    size, low, high = layout.size[a], layout.channels[a], layout.channels[a + 1]
    joint = layout.closure == JOINT
    reconstruct(
        x, bins, state.number, state.moment, a,
        layout.width, layout.min_support, layout.closure == PAPER, MIN_OCCUPANCY * size,
    )  # fmt: skip
    _without_synapses(x, bins, drive * layout.drive_mean[a], layout.leak[a], dt, layout.reversal, layout.span)
    for c in range(low, high):
        q, rate, inhibitory = c - low, layout.rate[c], layout.inhibitory[c] > 0
        noise = state.variance[c]
        if joint:
            between = _mean_deviations(x, work.channels, q, bins, state.deviation, c)
            if state.refractory[a] > MIN_OCCUPANCY * size:
                between += state.refractory_deviation[c] ** 2 / state.refractory[a]
            work.residual[c] = max(noise - between / size, 0.0)
            noise = dt * work.residual[c]
            if layout.linear_in_bin:
                _van_leer(x, work.channels, q, bins, layout.width, MIN_OCCUPANCY_SLOPE * size)
        noise = noise * rate * rate + layout.spread[c] * work.square[c]
        steep = dt if layout.affine_drift else 0.0
        _add_channel(x, work.channels, q, bins, work.mean[c], rate, noise, inhibitory, dt / layout.span, steep)
    variance = drive * layout.drive_variance[a]
    if layout.closure == PAPER:
        apply_euler_drift(x, bins, dt, layout.leak[a], variance, layout.min_support)
    else:
        affine = layout.affine_drift
        apply_drift(x, bins, dt, layout.leak[a], variance, affine, layout.min_support, MIN_CONTRACTION)
    if joint:
        for c in range(low, high):
            covariance = work.residual[c] * dt * layout.rate[c] + layout.cospread[c] * work.square[c]
            _flux_coefficients(x, work.channels, c - low, bins, covariance, layout.inhibitory[c] > 0)
