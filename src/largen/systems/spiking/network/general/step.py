"""The general network's steps, in chunks of neurons that stay in the first cache.

Step n, which ends at n dt, for all neurons of a population a:

1. The spikes arrive whose delay ends with this step: along the lists (quenched), or drawn given their numbers
   (annealed), with the external kicks.
2. A neuron that is not refractory moves by its own flow under its channels, its pending spikes, the drift and the
   white noise; released inhibition comes before, kicks of V after. V and H of conductances are those of before the
   step. Of a refractory neuron the channels go on; kicks that reach V are lost.
3. Channels decay and take up what arrives; released spikes leave H before what arrives joins it, pending ones after.
4. A neuron at the threshold (with pending synapses: above it) spikes, is reset and waits, at 0 steps not at all.
5. Its spike is remembered, or counted, and acts in the steps n + d.

Steps 2 to 4 with exponential or delta synapses are those of NEST's iaf_psc_exp and iaf_psc_delta on the grid.
"""

import numpy as np
from numba import float32, uint64

from largen.numerics.alias import draw_all
from largen.numerics.compiled import inner, kernel
from largen.numerics.normal_numbers import normals
from largen.numerics.xoshiro import fill
from largen.systems.spiking.drive import Drive
from largen.systems.spiking.network.general import neurons
from largen.systems.spiking.network.general.arrivals import Classes, make_classes
from largen.systems.spiking.network.general.delivery import deliver, remember
from largen.systems.spiking.network.general.spray import Spray, scatter
from largen.systems.spiking.network.general.state import (
    CHUNK,
    CONDUCTANCE,
    CURRENT,
    KICK,
    LEAKY,
    MOST,
    PENDING,
    RELEASE,
    SHRINK,
    TOTAL,
    Constants,
    Scratch,
    State,
    Uneven,
    record_pending,
)
from largen.systems.spiking.network.general.wiring import Links
from largen.systems.spiking.network.state import Output, Streams, record_spikes, sample
from largen.systems.spiking.network.step import GENTLE, clear, draw_releases, spread_charges
from largen.systems.spiking.network.tables import Release as ReleaseRows


@kernel
def arrive(c: Constants, s: State, x: Classes, k: Scratch, lanes: np.ndarray, a: int, low: int, count: int) -> None:
    """Gather what arrives at a chunk, by row, and the kicks of V."""
    for r in range(c.rows[a]):
        if c.quenched:
            neurons.take(s.arriving[r], low, count, k.arrived[r])
        else:
            clear(k.arrived[r], count)
    for q in range(x.first[a], x.first[a + 1]):
        bits, least = x.bits[q], x.least[q]
        if bits == 0 and least == 0:
            continue
        if bits > 0:
            fill(lanes, k.lanes, count)
            draw_all(k.words, x.arrivals.rows if x.kept[q] else x.rows, x.start[q], bits, k.draw, k.entry, count)
        else:
            clear(k.draw, count)
        out = k.arrived[x.row[q]] if x.row[q] >= 0 else k.kicks
        neurons.add_draws(k.draw, least, x.weight[q], count, out)
        if x.spread[q] > 0.0:
            fill(lanes, k.lanes, count + 1)
            normals(k.words, k.normal, count)
            neurons.add_spread(k.draw, least, x.weight[q] * x.spread[q], count, k.normal, out)


@inner
def _count_pending(
    c: Constants, s: State, release: ReleaseRows, k: Scratch, lanes: np.ndarray, a: int, r: int, low: int, count: int,
    most: int,
) -> None:  # fmt: skip
    """Spikes of one row join, are released and act; most: the largest H of the row before the step."""
    pending, reach, leave = s.pending[r], s.reach[a, r], c.leave[a, r]
    early = c.kind[a, r] != PENDING
    inhibits, pulled = c.inhibitory[a, r], c.inhibitory[a, r] and c.conductance
    if early:
        out = k.shrink if pulled else (k.pull if inhibits else k.kicks)
    else:
        joined, total = neurons.join(pending, low, count, k.arrived[r])
        reach[MOST], reach[TOTAL] = max(reach[MOST], joined), reach[TOTAL] + total
        most, out = joined, k.pull if pulled else k.push
    if most > 0:
        neurons.note_pending(pending, low, count, k.rest)
        draw_releases(release, c.table[a, r], most, lanes, k, count)
        neurons.leave(pending, low, count, k.released, c.stay[a, r], leave, out)
        if c.spread[a, r]:
            spread_charges(k.released, count, 1.0 - c.row_keep[a, r], c.strength[a, r], leave, lanes, out)
    if early:
        joined, total = neurons.join(pending, low, count, k.arrived[r])
        reach[MOST], reach[TOTAL] = max(reach[MOST], joined), reach[TOTAL] + total


@inner
def _take_up(
    c: Constants, s: State, release: ReleaseRows, k: Scratch, lanes: np.ndarray, most: np.ndarray, a: int, low: int,
    count: int,
) -> None:  # fmt: skip
    """Let every row act on k.push, k.kicks, k.pull and k.shrink, and take up what arrives."""
    form = (c.reversal[a], c.slope[a])
    for r in range(c.rows[a]):
        kind = c.kind[a, r]
        if kind == CURRENT:
            neurons.pass_current(s.current[r], low, count, c.row_keep[a, r], c.row_act[a, r], k, r)
        elif kind == CONDUCTANCE:
            neurons.pass_conductance(
                s, s.current[r], low, count, c.row_keep[a, r], c.row_act[a, r], form, k, r
            )  # fmt: skip
        elif kind == KICK:
            neurons.add_row(k.arrived[r], count, k.kicks)
        elif kind == SHRINK:
            neurons.add_row(k.arrived[r], count, k.shrink)
        else:
            _count_pending(c, s, release, k, lanes, a, r, low, count, most[r])
    if s.adaptation.size:
        neurons.adapt(s.adaptation, low, count, c.adaptation[a], k.push)


@inner
def _move(c: Constants, s: State, k: Scratch, a: int, low: int, count: int, pulls: int, shrinks: int) -> None:
    """Move a chunk.

    Args:
        c: The model; likewise the other tuples.
        s: State.
        k: What acts on the chunk.
        a: Population.
        low: First neuron.
        count: Neurons.
        pulls: Whether k.pull is a relaxation towards V_I during the step (1) or a jump before it (2).
        shrinks: Whether V - V_I shrinks before (1) or after (2) the flow.
    """
    form = (c.reversal[a], c.slope[a])
    neurons.begin(s, low, count, k)
    if shrinks == 1:
        neurons.shrink(count, c.reversal[a], k)
    if pulls == 2:
        neurons.jump(count, k)
    if c.neuron != LEAKY:
        if pulls == 1:
            neurons.pull_back(count, form, k)
        neurons.flow_tabulated(count, c.flow[a], c.flow_from[a], c.flow_by[a], k)
    elif pulls == 1:
        neurons.flow_pulled(count, c.leak[a], form, k)
    else:
        neurons.flow_leaky(count, c.keep[a], k)
    if shrinks == 2:
        neurons.shrink(count, c.reversal[a], k)
    neurons.land(s, low, count, k)


@inner
def _external(c: Constants, drive: Drive, step: int, a: int, out: np.ndarray) -> None:
    """The Gaussian drive of a population in this step: drift and variance in the flow; mean and variance of kicks."""
    rate = drive.rate[min(step, drive.rate.shape[0] - 1), a]
    mean, sd = drive.mean[min(step, drive.mean.shape[0] - 1), a], drive.sd[min(step, drive.sd.shape[0] - 1), a]
    out[0], out[1], out[2], out[3] = mean * c.drive[a], sd * sd * c.noise[a], 0.0, 0.0
    if c.gaussian and c.diffuse[a]:
        out[0] += c.kick[a] * rate * c.drive[a]
        out[1] += c.kick[a] ** 2 * rate * c.noise[a]
    elif c.gaussian:
        out[2], out[3] = c.kick[a] * rate * c.dt, c.kick[a] ** 2 * rate * c.dt


@inner
def _special(c: Constants, a: int) -> tuple[int, int]:
    """What the inhibition of population a needs beside a plain flow: `pulls` and `shrinks` of `_move`."""
    pulls, shrinks = 0, 0
    for r in range(c.rows[a]):
        if c.inhibitory[a, r]:
            if c.kind[a, r] == SHRINK:
                shrinks = 2
            elif c.kind[a, r] == RELEASE:
                pulls, shrinks = (pulls, 1) if c.conductance else (2, shrinks)
            elif c.kind[a, r] == PENDING and c.conductance:
                pulls = 1
    return pulls, shrinks


@inner
def _population(
    c: Constants, s: State, streams: Streams, release: ReleaseRows, x: Classes, k: Scratch, external: np.ndarray,
    uneven: Uneven, step: int, most: np.ndarray, a: int, fired: int,
) -> int:  # fmt: skip
    """Move population a in a step; returns the spikes listed so far."""
    pulls, shrinks = _special(c, a)
    plain = c.neuron == LEAKY and not pulls and not shrinks
    gentle = c.gentle and c.neuron == LEAKY and pulls == 1 and not shrinks
    noise, kick_noise = np.sqrt(external[1]), np.sqrt(external[3])
    for low in range(c.edge[a], c.edge[a + 1], CHUNK):
        high = min(low + CHUNK, c.edge[a + 1])
        count, drift = high - low, float32(external[0])
        for i in range(uint64(count)):
            k.push[i] = drift
        if uneven.cell.size:
            row = min(step, uneven.value.shape[0]) - 1
            for i in range(count):
                k.push[i] += uneven.value[row, uneven.cell[low + i]]
        clear(k.kicks, count)
        if pulls:
            clear(k.pull, count)
        arrive(c, s, x, k, streams.synapses, a, low, count)
        if external[2] > 0.0 or kick_noise > 0.0:
            fill(streams.noise, k.lanes, count + 1)
            normals(k.words, k.normal, count)
            out = k.arrived[c.kick_row[a]] if c.kick_row[a] >= 0 else k.kicks
            neurons.add_normals(external[2], kick_noise, count, k.normal, out)
        _take_up(c, s, release, k, streams.synapses, most, a, low, count)
        if noise > 0.0:
            fill(streams.noise, k.lanes, count + 1)
            normals(k.words, k.normal, count)
            if plain:
                neurons.add_normals(0.0, noise, count, k.normal, k.kicks)
            else:
                neurons.scale(k.normal, noise, count)
        elif not plain:
            clear(k.normal, count)
        if plain:
            neurons.move_leaky(s, low, count, c.keep[a], k)
        elif gentle and c.leak[a] + c.slope[a] * neurons.most_pull(count, k) <= GENTLE:
            neurons.move_gently(s, low, count, c.leak[a], (c.reversal[a], c.slope[a]), k)
        else:
            _move(c, s, k, a, low, count, pulls, shrinks)
        fired = neurons.fire(c, s, a, low, high, fired, streams.refractory)
    return fired


@kernel
def advance(
    c: Constants, s: State, streams: Streams, release: ReleaseRows, x: Classes, links: Links, spray: Spray, k: Scratch,
    drive: Drive, uneven: Uneven, out: Output, step: int, stop: int, last: bool, work: np.ndarray,
) -> int:  # fmt: skip
    """Take the steps step + 1..stop, fewer if the space for spikes runs out; returns the last step taken.

    Args:
        c: The model; likewise the other tuples.
        s: State.
        streams: Random numbers.
        release: Rows of the releases.
        x: Classes of what arrives by chance.
        links: The fixed graph.
        spray: Where annealed spikes go between patches.
        k: Room for a chunk.
        drive: The external drive.
        uneven: What it adds where it depends on place.
        out: What is recorded.
        step: Step that was taken last.
        stop: Step to reach.
        last: Whether to let the last step's spikes arrive, which ends the run.
        work: Room, float64, shape (4,).
    """
    populations = c.rows.size
    while step < stop or last:
        if out.spike_step.size and out.spike_step.size - out.cursor[1] < s.voltage.size:
            return step
        step += 1
        fired = np.int64(0)
        if c.quenched:
            deliver(s, links, k, step)
            scatter(s, spray, streams.synapses, step)
        for a in range(populations):
            _external(c, drive, step - 1, a, work)
            rate = drive.rate[min(step - 1, drive.rate.shape[0] - 1), a]
            make_classes(x, s.history, step, a, 0.0 if c.gaussian else rate * c.dt)
            for r in range(c.rows[a]):
                k.before[r] = s.reach[a, r, MOST]
                s.reach[a, r, MOST], s.reach[a, r, TOTAL] = 0, 0
            fired = _population(c, s, streams, release, x, k, work, uneven, step, k.before, a, fired)
            s.fired_to[a + 1] = fired
        if out.steps[out.cursor[0] - 1] == step - 1:
            record_pending(c, s, out, True)
        if last:
            return step - 1
        if c.quenched:
            remember(s, step)
        else:
            for b in range(populations):
                s.history[step % s.history.shape[0], b] = s.fired_to[b + 1] - s.fired_to[b]
        record_spikes(s, out, step)
        if step == out.steps[out.cursor[0]]:
            sample(c.edge, s.wait, s.voltage, out)
            record_pending(c, s, out, False)
    return step
