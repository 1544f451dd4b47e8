"""Exact transfer of the bins' densities through one Euler step with Gaussian noise (numba, vectorised over bins).

In a bin of width w only the number of neurons and their mean potential are known. `reconstruct` puts a density
there; a step shifts and stretches it and adds a normal variable. What crosses an edge l follows from three
integrals of the law of V' = V + increment, its density F(l), its distribution G0(l) and U(l) = E[(l - V')+]: they are
combinations of the iterated integrals of the normal density at the two ends of the support. Every edge is seen from
its nearer side (V' < l below the mean, V' > l above it), so that all of them are small where little crosses.

All potentials are relative to the centre of the source bin. Everything about the bins of one population stands in
one array of rows of `ROW` numbers, so that the compiler knows the distance between any two rows and turns the loops
over bins into vector instructions. Indices are unsigned for the same reason.

Source: CLWTX 2024 (arXiv 2411.14801) for the uniform density; the linear density, the stretch and the moments of
pending spikes are largen's own.
"""

import numpy as np
from numba import njit, uint64

from largen.numerics.compiled import entry, part
from largen.numerics.normal_distribution import normal_pair

REACH = 7.5
"""Normal tails beyond this many standard deviations (3e-14) count as 0."""
LANES = uint64(8)
"""Bins that the innermost loops take at once."""
MOST_BINS = 2048
ROW = MOST_BINS + int(LANES)

# The rows of a table of bins; STEEPNESS is one over the noise, RATIO the noise over the length.
(
    CENTRE,
    COUNT,
    MEAN,
    PER,
    LENGTH,
    TILT,
    DRIFT,
    VARIANCE,
    PULL,
    STEEPENING,
    GATE,
    MOVED,
    LOWER,
    UPPER,
    NOISE,
    STEEPNESS,
    RATIO,
) = (uint64(row * ROW) for row in range(17))
BIN_ROWS = 17
# The rows of one edge of the band: what has crossed it, per neuron of each bin.
CROSSED, BEYOND, DENSITY, SQUARE, SLOPE = (uint64(row * ROW) for row in range(5))
EDGE_ROWS = 5


@entry
def reconstruct(x, bins, count, moment, a, width, narrowest, uniform, empty):
    """Read a population's bins and put a density into each, from its number and mean.

    The density rises linearly from (1 - TILT)/LENGTH to (1 + TILT)/LENGTH over the support, and has the mean
    exactly. The linear one fills the bin while it is positive, then becomes a triangle at the nearer edge; the
    uniform one (the paper) touches the nearer edge. A support is never shorter than `narrowest`, and then may leave
    the bin by less than that. In a bin that counts as empty the mean is the centre.

    Args:
        x: Table of bins; COUNT, MEAN, PER (1/number or 0), LENGTH, TILT are written.
        bins: Number of bins.
        count: Neurons per bin, shape (population, bin).
        moment: Sum of V - centre, shape (population, bin).
        a: The population.
        width: Width w of the bins.
        narrowest: Shortest support.
        uniform: Whether the density is uniform.
        empty: Number up to which a bin counts as empty.
    """
    half = 0.5 * width
    spread, steep = (2.0, 0.0) if uniform else (3.0, 6.0 / width)
    for k in range(uint64(bins)):
        n = count[a, k]
        per = 1.0 / n if n > empty else 0.0
        mean = min(max(moment[a, k] * per, -half), half)
        x[COUNT + k] = n
        x[PER + k] = per
        x[MEAN + k] = mean
        x[LENGTH + k] = min(max(spread * (half - abs(mean)), narrowest), width)
        x[TILT + k] = min(max(steep * mean, -1.0), 1.0)


@entry
def advance(x, bins, dt, narrowest, least_stretch):
    """Drift and stretch the densities: from DRIFT, VARIANCE, PULL and STEEPENING to MOVED and what follows it."""
    quietest = 0.1 * narrowest
    for k in range(uint64(bins)):
        moved = x[MEAN + k] + dt * x[DRIFT + k]
        length = x[LENGTH + k] * max(x[PULL + k] + x[STEEPENING + k], least_stretch)
        noise = max(np.sqrt(dt * x[VARIANCE + k]), quietest)
        lower = moved - (x[TILT + k] * (1.0 / 6.0) + 0.5) * length
        x[MOVED + k] = moved
        x[LOWER + k] = lower
        upper = lower + length
        x[UPPER + k] = upper
        x[NOISE + k] = noise
        x[STEEPNESS + k] = 1.0 / noise
        x[RATIO + k] = noise / (upper - lower)


@part
def reach(x, first, stop, width, bins, farthest):
    """Edges that the neurons of bins first ... stop - 1 can cross, in bins from their own: the lower end of a bin is 0.

    Beyond `farthest` standard deviations nothing crosses.

    Returns:
        First edge, the one above the last, and by how many bins the neurons move on the whole.
    """
    low, high = np.inf, -np.inf
    for k in range(uint64(first), uint64(stop)):
        tail = farthest * x[NOISE + k]
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
def _cross(x, y, row, first, blocks, edge, usual, squares):
    """See `cross`; SQUARE and SLOPE are written with `squares` only."""
    for k in range(uint64(first), uint64(first) + uint64(blocks) * LANES):
        moved, noise, steepness, tilt = x[MOVED + k], x[NOISE + k], x[STEEPNESS + k], x[TILT + k]
        side = 1.0 if edge < moved else -1.0
        passed = 0.5 * (usual - side)
        a = side * steepness * (edge - x[LOWER + k])
        b = side * steepness * (edge - x[UPPER + k])
        a0, pdf_a = normal_pair(a)
        b0, pdf_b = normal_pair(b)
        # Iterated integrals of the normal density from minus infinity to a and to b.
        a1, b1 = a * a0 + pdf_a, b * b0 + pdf_b
        a2, b2 = 0.5 * (a * a1 + a0), 0.5 * (b * b1 + b0)
        a3, b3 = (a * a2 + a1) * (1.0 / 3.0), (b * b2 + b1) * (1.0 / 3.0)
        ratio = x[RATIO + k]
        low, high, tilted = 1.0 - tilt, 1.0 + tilt, 2.0 * side * tilt * ratio
        y[row, CROSSED + k] = ratio * (low * a1 - high * b1 + tilted * (a2 - b2)) + passed
        y[row, BEYOND + k] = side * ratio * noise * (low * a2 - high * b2 + tilted * (a3 - b3)) + passed * (
            edge - moved
        )
        y[row, DENSITY + k] = side * ratio * steepness * (low * a0 - high * b0 + tilted * (a1 - b1))
        if squares:
            length = x[UPPER + k] - x[LOWER + k]
            a4, b4 = 0.25 * (a * a3 + a2), 0.25 * (b * b3 + b2)
            square = 2.0 * ratio * noise * noise * (low * a3 - high * b3 + tilted * (a4 - b4))
            whole = (edge - moved) ** 2 + noise * noise + length * length * (1.0 / 12.0) * (1.0 - tilt * tilt / 3.0)
            y[row, SQUARE + k] = square + passed * whole
            steps = low * pdf_a - high * pdf_b + tilted * (a0 - b0)
            y[row, SLOPE + k] = ratio * steepness * steepness * steps


@entry
def cross(x, y, row, first, blocks, edge, usual):
    """What crosses an edge: CROSSED, BEYOND and DENSITY of the neurons of each bin.

    Args:
        x: Table of bins.
        y: Edges of the band, shape (edge, rows), one of which is written. CROSSED is P(V' < l) and BEYOND is
            E[(l - V')+], or where V' is usually below the edge l, -P(V' > l) and E[(V' - l)+]; DENSITY is the
            density F of V' at l.
        row: The edge in `y`.
        first: First bin.
        blocks: Number of blocks of LANES bins.
        edge: Position l of the edge relative to the centre of each bin.
        usual: 1 if V' is usually above the edge, else -1.
    """
    _cross(x, y, row, first, blocks, edge, usual, False)


@entry
def cross_squares(x, y, row, first, blocks, edge, usual):
    """As `cross`, with SQUARE, E[(V' - l)^2; V' < l] or -E[(V' - l)^2; V' > l], and SLOPE = dF/dl too."""
    _cross(x, y, row, first, blocks, edge, usual, True)
