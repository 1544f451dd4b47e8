"""One step of the quadrature: families of neurons that share their pending input (numba).

State: per population, family f and cell k the three coefficients u_l of the density (S62) and the refractory pool r;
per channel the moments of X over the whole population, halfway through the release of a step: with q = 1 - exp(-dt/tau)
and p' = p (1 - q/2), nf being the spikes per neuron of the source in a step,

    mu <- (1 - q) mu + sum s p' N nf,      m_i <- (1 - q) m_i + sum s^i p' N nf  (i = 2, 3),
    v  <- (1 - q)^2 v + q (1 - q) m_2 + sum s^2 p' (1 - p') N nf.                                                (S63)

X of family j stands at mu + a sqrt(nu) z_j, a = m_3/m_2 the size of a jump and nu = v/a^2. In a step (1) its neurons
move as the network's do (S2), with X c as the charge of the channel, c = 2 q/(2 - q):

    V' = a V + phi(kappa) (sum_exc c X + lambda dt + V_I sum_inh c X/(M - V_I)) + noise,   a = exp(-kappa),
    kappa = dt/tau_m + sum_inh c X/(M - V_I);                                                                    (S64)

(2) what is above M spikes, goes to the refractory pool and comes back to V = 0 (S3); (3) X is released and spikes
arrive, which mixes the families (S61).

Why halfway: a spike that acts while it is pending, for its own time, brings a charge of mean s and variance s^2 (S1).
Counted at one moment of each step, the one until which a share 1 - q/2 of the spikes stays, the sum of s c over the
steps in which a spike is there has this mean and this variance, exactly, for any dt/tau (S65).

Source: largen's own, derived in docs/quadrature.md.
"""

import numpy as np
from numba import uint64

from largen.numerics.compiled import entry, inlined, part
from largen.systems.spiking.reduction.quadrature.cells import LANES, basis, fill_noise, move
from largen.systems.spiking.reduction.quadrature.nodes import (
    fill_mixing,
    fill_polynomials,
    find_nodes,
    follow_nodes,
)
from largen.systems.spiking.reduction.quadrature.state import MEAN, NU, SECOND, SIZE, THIRD, VARIANCE

_STILL = 1e-14
"""Relative change of nu below which the nodes stay."""


@part
def _place(layout, state, work, a):
    """Contraction and drift of every family of a population, without the external drive (S64)."""
    for f in range(layout.families[a]):
        work.excitation[f] = work.inhibition[f] = 0.0
    for c in range(layout.channels[a], layout.channels[a + 1]):
        nodes, stride, moments = layout.nodes[c], layout.stride[c], state.moments[c]
        scale = moments[SIZE] * np.sqrt(moments[NU])
        charge = work.inhibition if layout.inhibitory[c] > 0 else work.excitation
        for f in range(layout.families[a]):
            j = (f // stride) % nodes
            x = moments[MEAN] + scale * state.nodes[c, j] if nodes > 1 else moments[MEAN]
            charge[f] += layout.charge[c] * x


@part
def _move_families(layout, state, work, a, drive):
    """(S64) and the spikes of every family; also counts what the lowest cell holds."""
    width, total = layout.width, 0.0
    for f in range(layout.families[a]):
        pull = work.inhibition[f] / layout.span
        kappa = max(layout.leak[a] + pull, 0.0)
        contraction = np.exp(-kappa)
        phi = -np.expm1(-kappa) / kappa if kappa > 1e-12 else 1.0
        charge = work.excitation[f] + drive * layout.dt * layout.gain[a] + layout.reversal * pull
        shift = (phi * charge + (contraction - 1.0) * layout.lowest) / width
        row = state.families[a, f]
        near, cells = work.near[a], layout.cells
        spikes = move(work.table, row, work.noise[a], near, cells, layout.row, layout.reach, contraction, shift)
        work.spikes[f] = spikes
        work.lowest[a] += row[0]
        total += spikes
    return total


@part
def _due(layout, row, a, clock, spikes):
    """What leaves a family's pool in this step, its spikes included (S3); the pool is changed."""
    pool = 3 * layout.row
    if layout.delay[a] < 0:
        held = row[pool] + spikes
        back = layout.leave[a] * held
        row[pool] = held - back
        return back
    slots, delay, longer = layout.slots, layout.delay[a], layout.longer[a]
    row[pool + clock % slots] = spikes
    place = pool + (clock - delay) % slots
    back = (1.0 - longer) * row[place]
    row[place] -= back
    if longer > 0.0:
        place = pool + (clock - delay - 1) % slots
        back += row[place]
        row[place] = 0.0
    return back


@part
def _refract(layout, state, work, a):
    """The pool takes the spikes, and returns those that are due to the reset potential."""
    clock, reset = state.clock[0], layout.reset
    for f in range(layout.families[a]):
        row = state.families[a, f]
        back = _due(layout, row, a, clock, work.spikes[f])
        for degree in range(3):
            row[degree * layout.row + reset] += back * basis(degree, 0.0)


@part
def _update_moments(layout, state, c):
    """(S63) of one channel, and the size of a jump and nu that follow; returns the old nu."""
    moments, q = state.moments[c], layout.release[c]
    mean = second = third = fresh = 0.0
    for j in range(layout.classes[c], layout.classes[c + 1]):
        source, s, p = layout.source[j], layout.strength[j], layout.halfway[j]
        arrived = p * layout.size[source] * state.spikes[source]
        mean += s * arrived
        second += s * s * arrived
        third += s * s * s * arrived
        fresh += s * s * (1.0 - p) * arrived
    stay, old = 1.0 - q, moments[NU]
    moments[VARIANCE] = stay * stay * moments[VARIANCE] + q * stay * moments[SECOND] + fresh
    moments[MEAN] = stay * moments[MEAN] + mean
    moments[SECOND] = stay * moments[SECOND] + second
    moments[THIRD] = stay * moments[THIRD] + third
    typical, least, most = layout.jump[c]
    size = typical
    if moments[SECOND] > 0.0:
        size = min(max(moments[THIRD] / moments[SECOND], least), most)
    moments[SIZE] = size
    moments[NU] = max(moments[VARIANCE] / (size * size), stay * stay * old, layout.floor[c])
    return old


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
def _update_channel(layout, state, work, a, c):
    """Release and arrivals of a channel: its moments, its nodes, and the mixing of the families."""
    old = _update_moments(layout, state, c)
    nodes, nu = layout.nodes[c], state.moments[c, NU]
    if nodes == 1:
        return
    rho = min((1.0 - layout.release[c]) * np.sqrt(old / nu), 1.0)
    values = state.values[c]
    if abs(nu - old) <= _STILL * nu:
        fill_mixing(work.mixing, nodes, rho, values, state.weights[c], values)
    else:
        for n in range(nodes):
            for j in range(nodes):
                work.values[n, j] = values[n, j]
        place_nodes(state, c, nodes, nu)
        fill_mixing(work.mixing, nodes, rho, work.values, state.weights[c], values)
    _mix(layout, state, work, a, c)


@part
def place_nodes(state, c, nodes, nu):
    """Nodes, weights and polynomials of a channel for a new nu, from those of a nearby one or from none."""
    g, z = 1.0 / np.sqrt(nu), state.nodes[c]
    if not follow_nodes(z, nodes, g):
        find_nodes(z, nodes, g)
    fill_polynomials(z, state.weights[c], state.values[c], nodes, g)


@entry
def start(layout, state):
    """Everybody at the reset potential, no spike pending."""
    for c in range(len(layout.nodes)):
        moments = state.moments[c]
        moments[NU], moments[SIZE] = layout.floor[c], layout.jump[c, 0]
        find_nodes(state.nodes[c], layout.nodes[c], 1.0 / np.sqrt(layout.floor[c]))
        place_nodes(state, c, layout.nodes[c], layout.floor[c])
    for a in range(len(layout.size)):
        for f in range(layout.families[a]):
            weight = 1.0
            for c in range(layout.channels[a], layout.channels[a + 1]):
                weight *= state.weights[c, (f // layout.stride[c]) % layout.nodes[c]]
            for degree in range(3):
                state.families[a, f, degree * layout.row + layout.reset] = weight * basis(degree, 0.0)


@inlined
def _update_pending(layout, state):
    """Mean number of pending spikes at the end of a step, as the network counts them (S10)."""
    for c in range(len(layout.nodes)):
        for j in range(layout.classes[c], layout.classes[c + 1]):
            arrived = layout.arrivals[j] * state.spikes[layout.source[j]]
            state.pending[j] += arrived - layout.release[c] * state.pending[j]


@part
def step(layout, state, work, drive):
    """Advance by one step."""
    for a in range(len(layout.size)):
        _place(layout, state, work, a)
        work.fired[a] = _move_families(layout, state, work, a, drive[a])
        _refract(layout, state, work, a)
    for a in range(len(layout.size)):
        state.spikes[a] = work.fired[a]
    for a in range(len(layout.size)):
        for c in range(layout.channels[a], layout.channels[a + 1]):
            _update_channel(layout, state, work, a, c)
    _update_pending(layout, state)
    state.clock[0] += 1


@part
def set_noise(layout, work, sd):
    """The matrices of the external noise for its standard deviations, shape (P,), in units of the potential."""
    for a in range(len(sd)):
        if sd[a] != work.sd[a]:
            work.sd[a] = sd[a]
            work.near[a] = fill_noise(work.noise[a], sd[a] / layout.width, layout.reach)


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
        for f in range(layout.families[a]):
            row = state.families[a, f]
            for k in range(layout.cells):
                output.density[a, k, i] += row[k]
            for slot in range(layout.slots):
                output.refractory[a, i] += row[3 * layout.row + slot]


@entry
def run_steps(layout, state, work, drive, sd, output):
    """Run from a state.

    Args:
        layout: Constants.
        state: Where to start; changed in place.
        work: Scratch space.
        drive: External kicks per ms at every step, shape (step, P), or (1, P) for a constant.
        sd: Standard deviations of the external noise of a step, likewise.
        output: What is recorded.
    """
    done = 0
    for i in range(len(output.steps)):
        while done < output.steps[i]:
            now = min(done, len(drive) - 1)
            set_noise(layout, work, sd[now])
            step(layout, state, work, drive[now])
            for a in range(len(layout.size)):
                output.spikes[a, i] += state.spikes[a]
            done += 1
        _record(layout, state, i, output)
