"""The coarse-grained Markov chain of a finite network: the reduction's transfers as moves of integer counts.

From the same state the chain moves in the mean exactly as `markov.step`. Neurons of a bin are drawn into their new
bins by a multinomial (sequential binomials); given the counts, the first moments of V and X that the movers carry are
drawn from their conditional law, holding fixed what the bin knew: its own first moments. Neurons leave the refractory
pool by a binomial; the mean pending spikes of a class have the noise of N targets. The cost does not depend on N.

The input noise of a class is not drawn bin by bin, although it belongs to the chain in principle: with it the chain
is too noisy, probably because positions within a bin are drawn afresh in every step (docs/spiking-truth.md has the
measurements, and says how this choice was made). Source: largen's own, beyond CLWTX 2024 (arXiv 2411.14801).
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from largen.systems.spiking.markov import (
    JOINT,
    deviation_below,
    explain,
    leaving,
    refract,
    sample,
    shift,
    store,
    sum_classes,
    transfer,
)
from largen.systems.spiking.transfer import normal_pairs, second_moments

NEGLIGIBLE = 1e-9
"""Of moves with less than this probability the conditional moments are lost in rounding."""


class Moves(NamedTuple):
    """Scratch space: where the neurons of one bin went."""

    movers: np.ndarray  # (K + 1,) by cell
    noise: np.ndarray  # (K + 1,) noise of a first moment they carry
    ahead: np.ndarray  # (K + 1,) mean of their V less that of the bin, before the noise of this step


def new_moves(bins: int) -> Moves:
    """Scratch space for `chain_step`."""
    return Moves(np.zeros(bins + 1), np.zeros(bins + 1), np.zeros(bins + 1))


@njit(cache=True, error_model="numpy")
def _scatter(layout, state, work, moves, a, rng):
    """Draw where the neurons of all bins of a population go; in the mean as `markov.step` moves them."""
    work.count[:] = 0.0
    work.moment[:] = 0.0
    work.deviation[layout.channels[a] : layout.channels[a + 1]] = 0.0
    slot = 0
    for k in range(state.count.shape[1]):
        if state.count[a, k] > 0.0:
            _scatter_bin(layout, state, work, moves, a, k, slot, rng)
        slot += 2 * (work.edges[1, k] - work.edges[0, k])


@njit(cache=True, error_model="numpy")
def _scatter_bin(layout, state, work, moves, a, k, slot, rng):
    """Draw where the neurons of bin k go, and what they carry there."""
    left = state.count[a, k]
    excess = 0.0  # of the drawn sum of V, before the noise of this step, over its known value
    first, stop = work.edges[0, k], work.edges[1, k]
    below = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    for j in range(first, stop + 1):
        above = _below(layout, state, work, a, k, j, slot, below[0])
        slot += 2
        cell = j - 1
        share = above[0] - below[0]
        movers = left
        if j < stop:
            movers = float(rng.binomial(int(left), min(share / (1.0 - below[0]), 1.0))) if share > 0.0 else 0.0
        moves.movers[cell] = movers
        moves.noise[cell] = moves.ahead[cell] = 0.0
        if movers > 0.0:
            if share > NEGLIGIBLE:
                excess += _draw_place(layout, work, moves, k, cell, share, below, above, rng)
            _carry(layout, work, a, k, cell, movers, share, below, above)
        left -= movers
        below = above
    _settle(layout, state, work, moves, a, k, first - 1, stop, excess, rng)


@njit(cache=True, error_model="numpy")
def _below(layout, state, work, a, k, j, slot, at_least):
    """G0, G1, F and the second moments of V and V' below edge j, per neuron of bin k; all of them above the last."""
    length, tilt, mean, noise = work.bins[1, k], work.bins[2, k], work.bins[3, k], work.bins[4, k]
    if j == work.edges[1, k]:
        square = mean * mean + length * length / 12.0 * (1.0 - (tilt * length) ** 2 / 12.0)
        return 1.0, mean, 0.0, square, square, square + noise * noise
    g0, g1, f = transfer(layout, state, work, a, k, j, slot)
    z, cdf, pdf = work.z, work.cdf, work.pdf
    before, product, after = second_moments(
        (j - k - 0.5) * layout.width, work.bins[0, k], length, tilt, noise,
        z[slot], z[slot + 1], cdf[slot], cdf[slot + 1], pdf[slot], pdf[slot + 1], g0, f,
    )  # fmt: skip
    return min(max(g0, at_least), 1.0), g1, f, before, product, after


@njit(cache=True, error_model="numpy")
def _draw_place(layout, work, moves, k, cell, share, below, above, rng):
    """Draw the noise of the sum of V' over the movers into a cell, with the sum of V that it comes with.

    Given their number, V (before the noise of this step) and V' of those who move into one cell have known means and
    covariance; over many movers the sums are normal.

    Returns:
        Sum of V minus its mean over the whole bin.
    """
    movers, noise = moves.movers[cell], work.bins[4, k]
    mean_after = (above[1] - below[1]) / share
    mean_before = mean_after + noise * noise * (above[2] - below[2]) / share
    before = max((above[3] - below[3]) / share - mean_before**2, 0.0)
    product = (above[4] - below[4]) / share - mean_before * mean_after
    after = max((above[5] - below[5]) / share - mean_after**2, 0.0)
    root = np.sqrt(movers)
    first, second = rng.standard_normal(), rng.standard_normal()
    along = product / np.sqrt(after) if after > 0.0 else 0.0
    moves.noise[cell] = root * np.sqrt(after) * first
    own = root * (along * first + np.sqrt(max(before - along * along, 0.0)) * second)
    moves.ahead[cell] = mean_before - work.bins[3, k]
    return movers * moves.ahead[cell] + own


@njit(cache=True, error_model="numpy")
def _carry(layout, work, a, k, cell, movers, share, below, above):
    """Count the movers into a cell, with the mean of V and X that they carry."""
    w, bins = layout.width, len(work.count) - 1
    place = (above[1] - below[1]) / share if share > 0.0 else 0.0
    # A mean over next to nobody is all rounding: it is kept within the cell.
    place = min(place, (cell - k + 0.5) * w) if cell < bins else place
    place = max(place, (cell - k - 0.5) * w) if cell > 0 else place
    work.count[cell] += movers
    work.moment[cell] += movers * (place + (k - cell) * w)
    if layout.closure != JOINT:
        return
    for c in range(layout.channels[a], layout.channels[a + 1]):
        carried = work.offset[c, k]
        if share > NEGLIGIBLE:
            gained = deviation_below(layout, work, c, k, above[0], above[1], above[2])
            carried = (gained - deviation_below(layout, work, c, k, below[0], below[1], below[2])) / share
        work.deviation[c, cell] += movers * carried


@njit(cache=True, error_model="numpy")
def _settle(layout, state, work, moves, a, k, first, stop, excess, rng):
    """Add the noise of the first moments, so that the sums of V and X over all neurons of the bin stay known.

    Every neuron takes off its share of what the others drew too much; with its own it would change the mean.
    """
    n = state.count[a, k]
    for cell in range(first, stop):
        work.moment[cell] += moves.noise[cell] - moves.movers[cell] / n * (excess - moves.ahead[cell])
    if layout.closure != JOINT:
        return
    for c in range(layout.channels[a], layout.channels[a + 1]):
        spread = np.sqrt(work.unexplained[c])
        total = 0.0
        for cell in range(first, stop):
            noise = spread * np.sqrt(moves.movers[cell]) * rng.standard_normal()
            moves.noise[cell] = noise
            total += noise
        for cell in range(first, stop):
            work.deviation[c, cell] += moves.noise[cell] - moves.movers[cell] / n * total


@njit(cache=True, error_model="numpy")
def _receive(layout, state, work, rng):
    """Pending spikes as in the mean, with the noise of their mean over the N neurons of the target."""
    for a in range(len(layout.size)):
        for c in range(layout.channels[a], layout.channels[a + 1]):
            part = layout.dt * layout.rate[c]
            fresh = 0.0
            for j in range(layout.classes[c], layout.classes[c + 1]):
                p, s = layout.probability[j], layout.strength[j]
                arrived = p * state.spikes[layout.source[j]]
                fresh += s * s * (1.0 - p) * arrived
                released = part * state.pending[j]
                noise = np.sqrt(((1.0 - p) * arrived + released) / layout.size[a]) * rng.standard_normal()
                state.pending[j] = max(state.pending[j] + arrived - released + noise, 0.0)
            state.variance[c] += (work.square[c] - 2.0 * state.variance[c]) * part + fresh


@njit(cache=True, error_model="numpy")
def chain_step(layout, state, work, moves, drive, rng):
    """Advance the chain by one step; arguments as for `markov.step`, more scratch space and a Generator."""
    sum_classes(layout, state, work)
    for a in range(len(layout.size)):
        if layout.closure == JOINT:
            explain(layout, state, work, a)
        pairs = shift(layout, state, work, a, drive[a])
        normal_pairs(work.z, pairs, work.cdf, work.pdf)
        _scatter(layout, state, work, moves, a, rng)
        if layout.delay[a] > 0:
            back = leaving(layout, state, work, a)
        else:
            back = float(rng.binomial(int(state.pool[a] + work.count[-1]), layout.leave[a]))
        refract(layout, state, work, a, back)
        store(layout, state, work, a)
    _receive(layout, state, work, rng)
    state.clock[0] += 1


@njit(cache=True, error_model="numpy")
def run_chain(layout, state, work, moves, drive, steps, spikes, pending, occupied, refractory, rng):
    """Run one realisation of the chain; arguments as for `markov.run_steps` and `chain_step`."""
    done = 0
    for i in range(len(steps)):
        while done < steps[i]:
            chain_step(layout, state, work, moves, drive[min(done, len(drive) - 1)], rng)
            spikes[:, i] += state.spikes
            done += 1
        sample(layout, state, i, pending, occupied, refractory)
