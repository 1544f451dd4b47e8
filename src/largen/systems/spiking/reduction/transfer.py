"""Exact transfer of the bins' densities through one Euler step with Gaussian noise (numba, vectorised over bins).

In a bin of width w only the number n of neurons and the mean of V are known. `reconstruct` puts a density there, and a
step shifts and stretches it and adds a normal variable e of variance sigma^2. Of the new potential V' an edge l needs

    F(l)  = density of V' at l,          G0(l) = P(V' < l),          U(l) = E[max(l - V', 0)],
    W(l)  = E[(l - V')^2; V' < l],       F'(l) = dF/dl.

On the support (a, b) of length L the density is (1 - t + 2 t (v - a)/L)/L, with the tilt t. With z_a = (l - a)/sigma,
z_b = (l - b)/sigma and i_n the n-th iterated integral of the normal density phi (i_0 = Phi, n i_n = z i_(n-1) +
i_(n-2)), [x] = (1 - t) x(z_a) - (1 + t) x(z_b) and {x} = x(z_a) - x(z_b):

    F     = ([i_0] + 2 t sigma/L {i_1}) / L            G0 = sigma/L   ([i_1] + 2 t sigma/L {i_2})
    U     = sigma^2/L ([i_2] + 2 t sigma/L {i_3})      W  = 2 sigma^3/L ([i_3] + 2 t sigma/L {i_4})
    F'    = ([phi] + 2 t sigma/L {i_0}) / (L sigma)                                                              (S12)

Every edge is seen from its nearer side: below the mean V' < l is rare, above it V' > l is, and there the same formulas
give P(V' > l) and so on with the signs of z reversed. So all of them are small where little crosses.

All potentials are relative to the centre of the source bin. Everything about the bins of one population stands in
one array of rows of `ROW` numbers, so that the compiler knows the distance between any two rows and turns the loops
over bins into vector instructions. Indices are unsigned for the same reason.

Source: CLWTX 2024 (arXiv 2411.14801) for the uniform density; the linear density, the affine drift and the moments of
pending spikes are largen's own. Derived in docs/spiking.md.
"""

import numpy as np
from numba import uint64

from largen.numerics.compiled import entry, njit, part
from largen.numerics.normal_distribution import normal_pair
from largen.systems.spiking.discretisation import MOST_BINS

TAIL = 7.5
"""Normal tails beyond this many standard deviations (3e-14) count as 0."""
LANES = uint64(8)
"""Bins that the innermost loops take at once."""
ROW = MOST_BINS + int(LANES)

# The rows of a table of bins. CENTRE is absolute, in the units of the potential; MEAN, LENGTH, TILT describe the
# density before the step; DRIFT (per ms), VARIANCE (per ms, by the synapses), RELAXATION (kappa) and SLOPE_TERM the
# step; STEP, phi(kappa), MEAN_DRIFTED, the support LOWER to UPPER, and SIGMA what it makes of them.
(
    CENTRE,
    NUMBER,
    MEAN,
    INVERSE_NUMBER,
    LENGTH,
    TILT,
    DRIFT,
    VARIANCE,
    RELAXATION,
    SLOPE_TERM,
    DRIVING_FORCE,
    STEP,
    MEAN_DRIFTED,
    LOWER,
    UPPER,
    SIGMA,
    INVERSE_SIGMA,
    SIGMA_OVER_LENGTH,
) = (uint64(row * ROW) for row in range(18))
BIN_ROWS = 18
# The rows of one edge of the band: its integrals for the neurons of each bin; DF is F'.
G0, U, F, W, DF = (uint64(row * ROW) for row in range(5))
EDGE_ROWS = 5


@entry
def reconstruct(x, bins, number, moment, a, width, min_support, uniform, empty):
    """Read a population's bins and put a density into each, from its number and mean (S4).

    The density rises linearly from (1 - TILT)/LENGTH to (1 + TILT)/LENGTH over the support, and has the mean
    exactly. The linear one fills the bin while it is positive, then becomes a triangle at the nearer edge; the
    uniform one (the paper) touches the nearer edge. A support is never shorter than `min_support`, and then may leave
    the bin by less than that. In a bin that counts as empty the mean is the centre.

    Args:
        x: Table of bins; NUMBER, MEAN, INVERSE_NUMBER (1/number or 0), LENGTH, TILT are written.
        bins: Number of bins.
        number: Neurons per bin, shape (population, bin).
        moment: Sum of V - centre, shape (population, bin).
        a: The population.
        width: Width w of the bins.
        min_support: Shortest support.
        uniform: Whether the density is uniform.
        empty: Number up to which a bin counts as empty.
    """
    half = 0.5 * width
    spread, steep = (2.0, 0.0) if uniform else (3.0, 6.0 / width)
    for k in range(uint64(bins)):
        n = number[a, k]
        per = 1.0 / n if n > empty else 0.0
        mean = min(max(moment[a, k] * per, -half), half)
        x[NUMBER + k] = n
        x[INVERSE_NUMBER + k] = per
        x[MEAN + k] = mean
        x[LENGTH + k] = min(max(spread * (half - abs(mean)), min_support), width)
        x[TILT + k] = min(max(steep * mean, -1.0), 1.0)


@entry
def apply_drift(x, bins, dt, leak, variance, affine, min_support, min_contraction):
    """Drift and stretch the densities (S5): STEP, MEAN_DRIFTED, the support and SIGMA.

    1 - exp(-kappa) is made of an eighth of kappa by doubling, with errors of 1e-13 for kappa up to 1, of 1e-6 beyond.

    Args:
        x: Table of bins: RELAXATION, DRIFT, VARIANCE and SLOPE_TERM are read.
        bins: Number of bins.
        dt: Step (ms).
        leak: 1/tau_m (1/ms).
        variance: Variance of V by the external drive (per ms).
        affine: Whether the drift is linear within a bin, else only the leak contracts it.
        min_support: Shortest support.
        min_contraction: Smallest factor of a support in a step.
    """
    min_sigma = 0.1 * min_support
    by_leak = np.exp(-dt * leak)
    for k in range(uint64(bins)):
        kappa = x[RELAXATION + k]
        z = min(0.125 * kappa, 3.0)
        square = z * z
        even = 1.0 + square * (1.0 / 12.0 + square * (-1.0 / 720.0 + square * (1.0 / 30240.0)))
        phi = 1.0 / (even + 0.5 * z)
        ended = z * phi
        phi *= 1.0 - 0.5 * ended
        ended *= 2.0 - ended
        phi *= 1.0 - 0.5 * ended
        ended *= 2.0 - ended
        phi *= 1.0 - 0.5 * ended
        ended *= 2.0 - ended
        phi = min(phi, 1.0 / max(kappa, 1.0))
        x[STEP + k] = phi
        ka = (1.0 - ended) + phi * x[SLOPE_TERM + k] if affine else by_leak
        mean = x[MEAN + k] + dt * phi * x[DRIFT + k]
        length = x[LENGTH + k] * max(ka, min_contraction)
        square = dt * phi * ((1.0 - 0.5 * ended) * variance + phi * x[VARIANCE + k])
        sigma = max(np.sqrt(max(square, 0.0)), min_sigma)
        lower = mean - (x[TILT + k] * (1.0 / 6.0) + 0.5) * length
        x[MEAN_DRIFTED + k] = mean
        x[LOWER + k] = lower
        upper = lower + length
        x[UPPER + k] = upper
        x[SIGMA + k] = sigma
        x[INVERSE_SIGMA + k] = 1.0 / sigma
        x[SIGMA_OVER_LENGTH + k] = sigma / (upper - lower)


@entry
def apply_euler_drift(x, bins, dt, leak, variance, min_support):
    """The same for the paper: an explicit Euler step."""
    min_sigma = 0.1 * min_support
    for k in range(uint64(bins)):
        mean = x[MEAN + k] + dt * x[DRIFT + k]
        length = x[LENGTH + k] * (1.0 - dt * leak)
        sigma = max(np.sqrt(dt * (variance + x[VARIANCE + k])), min_sigma)
        lower = mean - (x[TILT + k] * (1.0 / 6.0) + 0.5) * length
        x[MEAN_DRIFTED + k] = mean
        x[LOWER + k] = lower
        upper = lower + length
        x[UPPER + k] = upper
        x[SIGMA + k] = sigma
        x[INVERSE_SIGMA + k] = 1.0 / sigma
        x[SIGMA_OVER_LENGTH + k] = sigma / (upper - lower)


@part
def band(x, first, stop, width, bins, farthest):
    """The edges that the neurons of bins first ... stop - 1 can cross.

    Edges are counted in bins from the neurons' own bin, whose lower end is 0. Beyond `farthest` standard deviations
    nothing crosses.

    Returns:
        First edge, the one above the last, and by how many bins the population moves on the whole.
    """
    low, high = np.inf, -np.inf
    for k in range(uint64(first), uint64(stop)):
        tail = farthest * x[SIGMA + k]
        low = min(low, x[LOWER + k] - tail)
        high = max(high, x[UPPER + k] + tail)
    # Bins further away than `bins` hold no edge to cross. Where a potential is not a number there is no edge either,
    # and it stays in the state.
    if not (low >= -np.inf and high <= np.inf and low <= high):
        return 1, 1, 0
    low = np.ceil(min(max(low / width + 0.5, 1.0 - bins), bins + 1.0))
    high = np.floor(min(max(high / width + 0.5, low - 1.0), float(bins)))
    begin, end = int(low), int(high) + 1
    return begin, end, (begin + end - 1) // 2


@njit(error_model="numpy", fastmath={"contract"}, inline="always")
def _edge_integrals(x, y, row, first, blocks, edge, side, second):
    """See `edge_integrals`; W and DF are written with `second` only."""
    for k in range(uint64(first), uint64(first) + uint64(blocks) * LANES):
        mean, sigma, inverse, tilt = x[MEAN_DRIFTED + k], x[SIGMA + k], x[INVERSE_SIGMA + k], x[TILT + k]
        near = 1.0 if edge < mean else -1.0
        passed = 0.5 * (side - near)  # 0, or what the other side gives has to be taken from the whole
        a = near * inverse * (edge - x[LOWER + k])
        b = near * inverse * (edge - x[UPPER + k])
        a0, pdf_a = normal_pair(a)
        b0, pdf_b = normal_pair(b)
        # Iterated integrals of the normal density from minus infinity to a and to b.
        a1, b1 = a * a0 + pdf_a, b * b0 + pdf_b
        a2, b2 = 0.5 * (a * a1 + a0), 0.5 * (b * b1 + b0)
        a3, b3 = (a * a2 + a1) * (1.0 / 3.0), (b * b2 + b1) * (1.0 / 3.0)
        ratio = x[SIGMA_OVER_LENGTH + k]
        low, high, tilted = 1.0 - tilt, 1.0 + tilt, 2.0 * near * tilt * ratio
        y[row, G0 + k] = ratio * (low * a1 - high * b1 + tilted * (a2 - b2)) + passed
        y[row, U + k] = near * ratio * sigma * (low * a2 - high * b2 + tilted * (a3 - b3)) + passed * (edge - mean)
        y[row, F + k] = near * ratio * inverse * (low * a0 - high * b0 + tilted * (a1 - b1))
        if second:
            length = x[UPPER + k] - x[LOWER + k]
            a4, b4 = 0.25 * (a * a3 + a2), 0.25 * (b * b3 + b2)
            square = 2.0 * ratio * sigma * sigma * (low * a3 - high * b3 + tilted * (a4 - b4))
            whole = (edge - mean) ** 2 + sigma * sigma + length * length * (1.0 / 12.0) * (1.0 - tilt * tilt / 3.0)
            y[row, W + k] = square + passed * whole
            steps = low * pdf_a - high * pdf_b + tilted * (a0 - b0)
            y[row, DF + k] = ratio * inverse * inverse * steps


@entry
def edge_integrals(x, y, row, first, blocks, edge, side):
    """The integrals G0, U and F of the neurons of each bin at one edge (S12).

    The neurons of a population move by an integer number of bins together; what an edge then needs is seen from the
    side of the moved bin. With side = 1 (the bin lies above the edge) G0 is P(V' < l) and U is E[max(l - V', 0)]; with
    side = -1 they are -P(V' > l) and E[max(V' - l, 0)], less by 1 and by l - E V'.

    Args:
        x: Table of bins.
        y: Edges of the band, shape (edge, rows), one of which is written.
        row: The edge in `y`.
        first: First bin.
        blocks: Number of blocks of LANES bins.
        edge: Position l of the edge relative to the centre of each bin.
        side: 1 if the moved bin lies above the edge, else -1.
    """
    _edge_integrals(x, y, row, first, blocks, edge, side, False)


@entry
def edge_integrals_second(x, y, row, first, blocks, edge, side):
    """As `edge_integrals`, with W, E[(V' - l)^2; V' < l] or -E[(V' - l)^2; V' > l], and F' too."""
    _edge_integrals(x, y, row, first, blocks, edge, side, True)
