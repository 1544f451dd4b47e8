"""The coarse-grained Markov chain of a finite network: the reduction's transfers as moves of integer counts.

From the same state the chain moves in the mean exactly as `markov.step`. Neurons of a bin are drawn into their new
bins by a multinomial (sequential binomials), each with the mean potential and pending spikes of its move; neurons
leave the refractory pool by a binomial; the mean pending spikes of a class have the noise of N targets. The cost does
not depend on N.

Source: largen's own, beyond CLWTX 2024 (arXiv 2411.14801).
"""

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
from largen.systems.spiking.transfer import normal_pairs


@njit(cache=True, error_model="numpy")
def _scatter(layout, state, work, a, rng):
    """Draw where the neurons of all bins of a population go; like `_move` in the mean."""
    bins = state.count.shape[1]
    w = layout.width
    joint = layout.closure == JOINT
    low, high = layout.channels[a], layout.channels[a + 1]
    work.count[:] = 0.0
    work.moment[:] = 0.0
    work.deviation[low:high] = 0.0
    slot = 0
    for k in range(bins):
        left = state.count[a, k]
        if left <= 0.0:
            continue
        below0 = below1 = below_f = 0.0
        first, stop = work.edges[0, k], work.edges[1, k]
        for j in range(first, stop + 1):
            if j < stop:
                if left <= 0.0:  # nobody left to move
                    slot += 2
                    continue
                g0, g1, f = transfer(layout, state, work, a, k, j, slot)
                g0 = min(max(g0, below0), 1.0)
                slot += 2
            else:
                g0, g1, f = 1.0, work.bins[3, k], 0.0
            if left <= 0.0:
                continue
            share = g0 - below0
            movers = left
            if j < stop:
                movers = float(rng.binomial(int(left), min(share / (1.0 - below0), 1.0))) if share > 0.0 else 0.0
            if movers > 0.0:
                left -= movers
                cell = min(j - 1, bins)
                # A mean over next to nobody is all rounding: it is kept within the cell.
                place = (g1 - below1) / share if share > 0.0 else 0.0
                place = min(place, (cell - k + 0.5) * w) if cell < bins else place
                place = max(place, (cell - k - 0.5) * w) if cell > 0 else place
                work.count[cell] += movers
                work.moment[cell] += movers * (place + (k - cell) * w)
                if joint:
                    for c in range(low, high):
                        carried = work.offset[c, k]
                        if share > 1e-9:
                            carried = (
                                deviation_below(layout, work, c, k, g0, g1, f)
                                - deviation_below(layout, work, c, k, below0, below1, below_f)
                            ) / share
                        work.deviation[c, cell] += movers * carried
            below0, below1, below_f = g0, g1, f


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
def chain_step(layout, state, work, drive, rng):
    """Advance the Markov chain of integer counts by one step; arguments as for `step`, and a Generator."""
    sum_classes(layout, state, work)
    for a in range(len(layout.size)):
        if layout.closure == JOINT:
            explain(layout, state, work, a)
        pairs = shift(layout, state, work, a, drive[a])
        normal_pairs(work.z, pairs, work.cdf, work.pdf)
        _scatter(layout, state, work, a, rng)
        if layout.delay[a] > 0:
            back = leaving(layout, state, work, a)
        else:
            back = float(rng.binomial(int(state.pool[a] + work.count[-1]), layout.leave[a]))
        refract(layout, state, work, a, back)
        store(layout, state, work, a)
    _receive(layout, state, work, rng)
    state.clock[0] += 1


@njit(cache=True, error_model="numpy")
def run_chain(layout, state, work, drive, steps, spikes, pending, occupied, refractory, rng):
    """Run one realisation of the chain; arguments as for `markov.run_steps`, and a Generator."""
    done = 0
    for i in range(len(steps)):
        while done < steps[i]:
            chain_step(layout, state, work, drive[min(done, len(drive) - 1)], rng)
            spikes[:, i] += state.spikes
            done += 1
        sample(layout, state, i, pending, occupied, refractory)
