"""One step of the quadrature: families of neurons that share their pending input (numba).

State: per population, family f and cell k the three coefficients u_l of the density (S62) and the refractory pool r;
per channel the moments of X over the whole population. Of k arriving spikes with mean n and variance v_k, of strength
s, a channel of pending spikes takes those that are there halfway through the step, a share h = 1 - q/2 with
q = 1 - exp(-dt/tau),

    mu <- (1 - q) mu + sum s h n,      m_i <- (1 - q) m_i + sum s^i h n  (i = 2, 3),
    v  <- (1 - q)^2 v + q (1 - q) m_2 + sum s^2 [h^2 v_k + h (1 - h) n],         g = m_3/(m_2 sqrt v),           (S63)

and a current that decays takes all, Q = exp(-dt/tau), c_v being the relative spread of strengths:

    mu <- Q mu + sum w n,   v <- Q^2 v + sum w^2 (v_k + c_v^2 n),   g = k_3/v^(3/2),
    k_3 <- Q^3 k_3 + sum w^3 (k_3[k] + 3 c_v^2 v_k).                                                            (S68)

X of family j stands at mu + sqrt(v) z_j with the nodes of (S60) at g. In a step (1) its neurons move as the network's
do: with X c as the charge of a channel (c = 2 q/(2 - q) of pending spikes, T of a current),

    V - E <- a (V - E) + phi(kappa) (sum c X + drive + (V_I - E) pull) + noise,   a = exp(-kappa),
    pull = sum_conductances c X/(M - V_I),   kappa = dt/tau_m + pull                                             (S64)

with pending spikes; currents and their conductances act as V was before the step,

    V - E <- P (V - E) + sum T X + D drive + T_I X_I (V_I - V)/(M - V_I) + noise,                                (S69)

and the neuron's own flow, where it is no leak, comes first; (2) what is above M spikes, goes to the refractory pool and
comes back to the reset (S3); (3) X decays and spikes arrive, which mixes the families (S61).

Why halfway: a spike that acts while it is pending, for its own time, brings a charge of mean s and variance s^2 (S1).
Counted at one moment of each step, the one until which a share 1 - q/2 of the spikes stays, the sum of s c over the
steps in which a spike is there has this mean and this variance, exactly, for any dt/tau (S65).

Source: largen's own, derived in docs/quadrature.md.
"""

import numpy as np
from numba import uint64

from largen.numerics.compiled import entry, inlined, part
from largen.systems.spiking.reduction.direct.arrivals import gather
from largen.systems.spiking.reduction.quadrature.cells import LANES, basis, fill_noise, move, move_along
from largen.systems.spiking.reduction.quadrature.drive import MOST_LOST
from largen.systems.spiking.reduction.quadrature.nodes import (
    fill_mixing,
    fill_polynomials,
    find_nodes,
    follow_nodes,
)
from largen.systems.spiking.reduction.quadrature.noise import deviation
from largen.systems.spiking.reduction.quadrature.state import MEAN, SECOND, SKEW, SPREAD, THIRD, VARIANCE

_STILL = 1e-14
"""Change of g below which the nodes stay."""
_NOTHING = 1e-12
"""Least standard deviation of X, in cells."""
_FINE = 2e-4
_LEAST = 1e-3
"""A step contracts potentials to this part at most."""


@part
def _place(layout, state, work, a):
    """What the channels bring to every family of a population: push and pull."""
    for f in range(layout.families[a]):
        work.push[f] = work.pull[f] = 0.0
    for c in range(layout.channels[a], layout.channels[a + 1]):
        nodes, stride, moments = layout.nodes[c], layout.stride[c], state.moments[c]
        charge = work.pull if layout.pulls[c] > 0 else work.push
        for f in range(layout.families[a]):
            j = (f // stride) % nodes
            x = moments[MEAN] + moments[SPREAD] * state.nodes[c, j] if nodes > 1 else moments[MEAN]
            charge[f] += layout.charge[c] * x


@inlined
def _map_of(layout, a, push, pull, jump):
    """Contraction and shift of a family, in cells: (S64) or (S69)."""
    rest, reversal = layout.rest[a], layout.reversal[a]
    if not layout.relaxes:
        contraction = min(max(layout.keep[a] - pull, _LEAST), 1.0)
        pull = layout.keep[a] - contraction
        return contraction, rest * (1.0 - layout.keep[a]) + pull * reversal + push + jump
    leak = layout.leak[a]
    kappa = max(leak + pull, 0.0)
    contraction = np.exp(-kappa)
    phi = -np.expm1(-kappa) / kappa if kappa > 1e-12 else 1.0
    free = -np.expm1(-leak) / leak if leak > 1e-12 else 1.0
    shift = rest * (1.0 - contraction) + phi * (push / free + (reversal - rest) * pull)
    return contraction, shift + jump


@part
def _move_families(layout, state, work, a, push, jump):
    """Drift and spikes of every family; also counts what the lowest cell holds."""
    width, total = layout.row, 0.0
    for f in range(layout.families[a]):
        contraction, shift = _map_of(layout, a, work.push[f] + push, work.pull[f], jump)
        x, row, near, cells = work.table, state.families[a, f], work.near[a], layout.cells
        if layout.flow.above > 0:
            spikes = move_along(x, row, layout.flow, a, work.noise[a], near, cells, width, layout.reach, shift)
        else:
            spikes = move(x, row, work.noise[a], near, cells, width, layout.reach, contraction, shift)
        work.spikes[f] = spikes
        if f < layout.shown[a]:
            work.lowest[a] += row[0]
            total += spikes
    return total


@part
def due(layout, row, a, clock, spikes, z):
    """What leaves a family's pool in this step, its spikes included (S3), with noise z; the pool is changed."""
    pool, size = 3 * layout.row, layout.size[a]
    if layout.delay[a] < 0:
        held, q = row[pool] + spikes, layout.leave[a]
        back = q * held + float(z) * np.sqrt(q * (1.0 - q)) * deviation(held, size)
        row[pool] = held - back
        return back
    slots, delay, longer = layout.slots, layout.delay[a], layout.longer[a]
    row[pool + clock % slots] = spikes
    place = pool + (clock - delay) % slots
    held = row[place]
    back = (1.0 - longer) * held + float(z) * np.sqrt(longer * (1.0 - longer)) * deviation(held, size)
    row[place] -= back
    if longer > 0.0:
        place = pool + (clock - delay - 1) % slots
        back += row[place]
        row[place] = 0.0
    return back


@part
def _refract(layout, state, work, a):
    """The pool takes the spikes, and returns those that are due to the reset potential."""
    clock, reset = state.clock[0], layout.reset[a]
    for f in range(layout.families[a]):
        row = state.families[a, f]
        back = due(layout, row, a, clock, work.spikes[f], 0.0)
        for degree in range(3):
            row[degree * layout.row + reset] += back * basis(degree, 0.0)


@part
def _update_pending(layout, moments, work, c):
    """(S63) of one channel; returns the typical size of a jump of X."""
    stay = layout.stay[c]
    mean = second = third = fresh = 0.0
    for j in range(layout.classes[c], layout.classes[c + 1]):
        s, h = layout.weight[j], layout.halfway[j]
        arrived = h * work.mean_of[j]
        mean += s * arrived
        second += s * s * arrived
        third += s * s * s * arrived
        fresh += s * s * (h * h * work.variance_of[j] + (1.0 - h) * arrived)
    moments[VARIANCE] = stay * stay * moments[VARIANCE] + (1.0 - stay) * stay * moments[SECOND] + fresh
    moments[MEAN] = stay * moments[MEAN] + mean
    moments[SECOND] = stay * moments[SECOND] + second
    moments[THIRD] = stay * moments[THIRD] + third
    typical, least, most = layout.jump[c]
    return min(max(moments[THIRD] / moments[SECOND], least), most) if moments[SECOND] > 0.0 else typical


@part
def _update_current(layout, moments, work, c, kicks):
    """(S68) of one channel."""
    stay = layout.stay[c]
    mean = third = fresh = 0.0
    for j in range(layout.classes[c], layout.classes[c + 1]):
        w, arrived, variance, spread = layout.weight[j], work.mean_of[j], work.variance_of[j], layout.spread[j]
        thin = 1.0 - variance / arrived if arrived > 0.0 else 0.0
        mean += w * arrived
        fresh += w * w * (variance + spread * arrived)
        third += w * w * w * (arrived * (1.0 - thin) * (1.0 - 2.0 * thin) + 3.0 * spread * variance)
    w = layout.outside[c]
    third += w * w * w * kicks if layout.poisson else 0.0
    moments[MEAN] = stay * moments[MEAN] + mean + w * kicks
    moments[VARIANCE] = stay * stay * moments[VARIANCE] + fresh + w * w * kicks
    moments[THIRD] = stay * stay * stay * moments[THIRD] + third


@part
def _update_moments(layout, state, work, c, kicks):
    """Decay and arrivals of one channel; returns what is left of order 1, rho."""
    moments, stay = state.moments[c], layout.stay[c]
    old, jump = moments[SPREAD], 0.0
    if layout.counts[c] > 0:
        jump = _update_pending(layout, moments, work, c)
    else:
        _update_current(layout, moments, work, c, kicks)
    spread = max(np.sqrt(max(moments[VARIANCE], 0.0)), stay * old, _NOTHING)
    skew = jump / spread if layout.counts[c] > 0 else moments[THIRD] / (spread * spread * spread)
    moments[SPREAD] = spread
    moments[SKEW] = min(max(skew, -layout.steepest[c]), layout.steepest[c])
    return min(stay * old / spread, 1.0)


@part
def _four(row, x, base, step, blocks, w, i, j, last, add):
    """Row <- add * row + sum of up to four old rows, each times its weight."""
    w0 = w[i, j]
    w1 = w[i, j + 1] if j + 1 < last else 0.0
    w2 = w[i, j + 2] if j + 2 < last else 0.0
    w3 = w[i, j + 3] if j + 3 < last else 0.0
    a0 = uint64(base)
    a1 = uint64(base + step if j + 1 < last else base)
    a2 = uint64(base + 2 * step if j + 2 < last else base)
    a3 = uint64(base + 3 * step if j + 3 < last else base)
    for k in range(uint64(blocks) * uint64(LANES)):
        row[k] = add * row[k] + w0 * x[a0 + k] + w1 * x[a1 + k] + w2 * x[a2 + k] + w3 * x[a3 + k]


@part
def _mix(layout, state, work, a, c):
    """Families mix along a channel (S61), their refractory pools too."""
    nodes, stride, w, x = layout.nodes[c], layout.stride[c], work.mixing, work.rows
    length = state.families.shape[2]
    for f in range(layout.families[a]):
        if (f // stride) % nodes != 0:
            continue
        for j in range(nodes):
            row = state.families[a, f + j * stride]
            base = uint64(j * length)
            for k in range(uint64(length)):
                x[base + k] = row[k]
        for i in range(nodes):
            row = state.families[a, f + i * stride]
            for j in range(0, nodes, 4):
                _four(row, x, j * length, length, length // LANES, w, i, j, nodes, 0.0 if j == 0 else 1.0)


@part
def _update_channel(layout, state, work, a, c, kicks):
    """Decay and arrivals of a channel: its moments, its nodes, and the mixing of the families; returns rho."""
    before = state.moments[c, SKEW]
    rho = _update_moments(layout, state, work, c, kicks)
    nodes, g = layout.nodes[c], state.moments[c, SKEW]
    if nodes == 1:
        return rho
    values = state.values[c]
    if abs(g - before) <= _STILL * (1.0 + abs(g)):
        fill_mixing(work.mixing, nodes, rho, values, state.weights[c], values)
    else:
        for n in range(nodes):
            for j in range(nodes):
                work.values[n, j] = values[n, j]
        place_nodes(state, c, nodes, g)
        fill_mixing(work.mixing, nodes, rho, work.values, state.weights[c], values)
    _mix(layout, state, work, a, c)
    return rho


@part
def place_nodes(state, c, nodes, g):
    """Nodes, weights and polynomials of a channel for a new g, from those of a nearby one or from none."""
    z = state.nodes[c]
    if not follow_nodes(z, nodes, g):
        find_nodes(z, nodes, g)
    fill_polynomials(z, state.weights[c], state.values[c], nodes, g)


@entry
def start(layout, state):
    """The first potentials, no spike pending, no current."""
    for c in range(len(layout.nodes)):
        jump = layout.jump[c, 0]
        g = layout.steepest[c] if jump > 0.0 else -layout.steepest[c]
        state.moments[c, SKEW] = g
        find_nodes(state.nodes[c], layout.nodes[c], g)
        place_nodes(state, c, layout.nodes[c], g)
    for a in range(len(layout.size)):
        for f in range(layout.families[a]):
            weight = 1.0
            for c in range(layout.channels[a], layout.channels[a + 1]):
                weight *= state.weights[c, (f // layout.stride[c]) % layout.nodes[c]]
            if layout.releases:
                weight = 1.0 if f == 0 else 0.0
            for k in range(3 * layout.row):
                state.families[a, f, k] = weight * layout.first[a, k]


@inlined
def _count_pending(layout, state, work):
    """Mean number of pending spikes at the end of a step, as the network counts them (S10)."""
    for c in range(len(layout.nodes)):
        for j in range(layout.classes[c], layout.classes[c + 1]):
            state.pending[j] = layout.stay[c] * state.pending[j] + work.mean_of[j]


@inlined
def _send(layout, state, work):
    """Note the spikes of this step and that it is done."""
    place = state.clock[0] % state.sent.shape[1]
    for a in range(len(layout.size)):
        state.spikes[a] = state.sent[a, place] = work.fired[a]
    state.clock[0] += 1


@inlined
def exchange(layout, state, work):
    """Send the spikes of a step and gather those that arrive. A current takes its arrivals a step later (S24)."""
    if layout.counted and not layout.releases:
        _send(layout, state, work)
        gather(layout, state, work)
        _count_pending(layout, state, work)
    else:
        gather(layout, state, work)
        _send(layout, state, work)
        _count_pending(layout, state, work)


@inlined
def step(layout, state, work, inputs, now):
    """Advance by one step; `now` counts the steps of the drive."""
    for a in range(len(layout.size)):
        _place(layout, state, work, a)
        push = inputs.push[min(now, len(inputs.push) - 1), a]
        jump = inputs.jump[min(now, len(inputs.jump) - 1), a]
        work.fired[a] = _move_families(layout, state, work, a, push, jump)
        _refract(layout, state, work, a)
    exchange(layout, state, work)
    for a in range(len(layout.size)):
        kicks = inputs.number[min(now, len(inputs.number) - 1), a]
        for c in range(layout.channels[a], layout.channels[a + 1]):
            _update_channel(layout, state, work, a, c, kicks)


@inlined
def _lost(layout, state, a):
    """By how much more than the leak conductances (S69) contract in the mean, in steps of `_FINE`; noise is first."""
    if layout.relaxes or layout.releases:
        return 1.0
    pull = 0.0
    for c in range(layout.channels[a], layout.channels[a + 1]):
        if layout.pulls[c] > 0:
            pull += layout.charge[c] * state.moments[c, MEAN]
    ratio = layout.keep[a] / max(layout.keep[a] - pull, layout.keep[a] / MOST_LOST)
    return 1.0 + _FINE * np.rint((ratio - 1.0) / _FINE)


@part
def set_noise(layout, state, work, inputs, now):
    """The matrices of the external noise of a step, where they have changed."""
    for a in range(len(work.near)):
        lost = _lost(layout, state, a)
        sd = inputs.sd[min(now, len(inputs.sd) - 1), a] * lost
        number = inputs.number[min(now, len(inputs.number) - 1), a] if layout.kick[a] != 0.0 else 0.0
        drawn = work.drawn[a]
        if sd != drawn[0] or number != drawn[1] or lost != drawn[2]:
            drawn[0], drawn[1], drawn[2] = sd, number, lost
            work.near[a] = fill_noise(work.noise[a], sd, layout.kick[a] * lost, number, layout.reach)


@inlined
def _record(layout, state, i, output):
    for j in range(len(layout.source)):
        output.pending[layout.target[j], layout.source[j], i] = state.pending[j]
    if output.refractory.shape[1] == 0:
        return
    for a in range(len(layout.size)):
        output.refractory[a, i] = 0.0
        for k in range(layout.cells):
            output.density[a, k, i] = 0.0
        for f in range(layout.shown[a]):
            row = state.families[a, f]
            for k in range(layout.cells):
                output.density[a, k, i] += row[k]
            for slot in range(layout.slots):
                output.refractory[a, i] += row[3 * layout.row + slot]


@entry
def run_steps(layout, state, work, inputs, output):
    """Run from a state.

    Args:
        layout: Constants.
        state: Where to start; changed in place.
        work: Scratch space.
        inputs: The external drive.
        output: What is recorded.
    """
    done = np.int64(0)  # no literal, for which numba would compile the step once more
    for i in range(len(output.steps)):
        while done < output.steps[i]:
            set_noise(layout, state, work, inputs, done)
            step(layout, state, work, inputs, done)
            for a in range(len(layout.size)):
                output.spikes[a, i] += state.spikes[a]
            done += 1
        _record(layout, state, i, output)
