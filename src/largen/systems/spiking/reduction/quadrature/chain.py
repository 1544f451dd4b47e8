"""The chain of a finite network on the quadrature's families: each step's mean, and the noise of N neurons (numba).

Between two steps the families' masses are means over the N neurons of a population. Whatever a step damps in them is
drawn again, of the size that N independent neurons have: of the potentials by `noise`; of the refractory pool, the
binomial variance of those who leave it; of the input of a channel, of which release and arrivals leave rho^n of order n
(S61) and change p_n of a neuron by sqrt(n) g p_(n-1),

    eta_n = sqrt(1 - rho^(2 n)) sum_j p_(n-1)(z_j) zeta_j,    N Var(zeta_j) = mass of family j in the cell,      (S77)

for arrivals, and for releases with 1 + g z_j times the mass and p_(n-1)(z_j - g), which is
p_(n-1)(z_j) - g sqrt(n - 1) p_(n-2)(z_j - g). Pending spikes have the two in turn. The spikes that are
so drawn drive the moments of the input (S63), and through them every family, as the mean's do.

All noise is Gaussian and is added to a linear step: nothing is cut off, mass is kept to rounding, and a rate of few
neurons may be negative for a step.

Source: largen's own, derived in docs/quadrature.md.
"""

from typing import NamedTuple

import numpy as np
from numba import uint64

from largen.numerics.compiled import entry, part
from largen.numerics.normal_numbers import normals
from largen.numerics.xoshiro import WORDS, fill, lanes
from largen.systems.spiking.reduction.quadrature.cells import (
    LANES,
    MOST_CELLS,
    SOURCE0,
    SOURCE1,
    SOURCE2,
    _drift,
    _drift_far,
    _settle,
    _smooth,
    basis,
    padded,
)
from largen.systems.spiking.reduction.quadrature.layout import Layout
from largen.systems.spiking.reduction.quadrature.noise import (
    MOST_COLUMNS,
    External,
    Owed,
    deviation,
    draw_drift,
    draw_external,
    draw_far,
    fill_factor,
    new_external,
    new_owed,
    settle_debt,
)
from largen.systems.spiking.reduction.quadrature.state import SKEW
from largen.systems.spiking.reduction.quadrature.step import (
    _four,
    _map_of,
    _place,
    _record,
    _update_channel,
    due,
    exchange,
    set_noise,
)


class Drawn(NamedTuple):
    """Scratch space of the chain; P populations, F families, C channels.

    Attributes:
        external: The external noise.
        rho: What is left of order 1 in a channel, shape (C,).
        owed: What the noise is owed.
        mass: Scratch space, shape (L,).
        counts: Masses that count for the noise of the input, shape (F, cells).
        left: Scratch space, shape (L,).
        modes: What the families of one population vary by themselves, flat, F rows of L.
        mixing: What of it becomes noise of a channel, shape (K, K).
        lanes: Generators of random words.
        words: Random words, uint64.
        halves: The same as uint32.
        normals: Standard normal numbers, float32.
    """

    external: External
    rho: np.ndarray
    owed: Owed
    mass: np.ndarray
    counts: np.ndarray
    left: np.ndarray
    modes: np.ndarray
    mixing: np.ndarray
    lanes: np.ndarray
    words: np.ndarray
    halves: np.ndarray
    normals: np.ndarray


def new_drawn(layout: Layout, rng: np.random.Generator) -> Drawn:
    """Scratch space with random numbers of its own seeded from `rng`."""
    F, length = int(layout.families.max()), 3 * layout.row + padded(layout.slots)
    most = F * max((MOST_COLUMNS + 3) * layout.cells + MOST_COLUMNS, length) + 1
    count = -(-most // WORDS) * WORDS + WORDS
    words = np.zeros(count // 2, np.uint64)
    return Drawn(
        external=new_external(len(layout.size), F, layout.reach),
        rho=np.ones(len(layout.nodes)),
        owed=new_owed(len(layout.size), F, layout.cells, layout.dt),
        mass=np.zeros(length),
        counts=np.zeros((F, layout.cells)),
        left=np.zeros(length),
        modes=np.zeros(F * length),
        mixing=np.zeros(2 * [int(layout.nodes.max(initial=1))]),
        lanes=lanes(rng),
        words=words,
        halves=words.view(np.uint32),
        normals=np.zeros(count, np.float32),
    )


@part
def _draw(drawn, count):
    """Draw standard normal numbers into `drawn.normals`."""
    fill(drawn.lanes, drawn.words, count + 1)
    normals(drawn.halves, drawn.normals, count)


@part
def _move(x, row, work, drawn, a, f, z, cells, width, reach, contraction, shift, size, clock):
    """As `cells.move`, with the noise of both halves of the step; returns the spikes."""
    noise, near = work.noise[a], work.near[a]
    for k in range(uint64(cells)):
        to = k + uint64(2 * reach)
        x[SOURCE0 + to] = row[k]
        x[SOURCE1 + to] = row[uint64(width) + k]
        x[SOURCE2 + to] = row[uint64(2 * width) + k]
    _smooth(x, noise, cells, reach, near)
    owed, mass = drawn.owed, drawn.mass
    draw_external(x, drawn.external, owed, a, f, z, mass, drawn.left, cells, reach, near, size, clock)
    debt, mean = owed.mass[1, a, f], owed.last[1, a, f]
    z = z[drawn.external.columns[a] * cells + MOST_COLUMNS :]
    slope = contraction - 1.0
    end = shift + slope * (cells + reach)
    by = np.rint(0.5 * (shift + end))
    if abs(shift - by) < 1.0 and abs(end - by) < 1.0:
        by = min(max(by, -4.0 * MOST_CELLS), 4.0 * MOST_CELLS)
        _drift(x, (cells + 2 * reach + 2 + LANES - 1) // LANES, contraction, slope, shift - by)
        draw_drift(x, z, debt, mean, owed.fresh, mass, cells, reach, contraction, slope, shift - by, size)
        return _settle(x, row, cells, cells, width, reach, int(by))
    above = _drift_far(x, row, cells, cells, width, reach, contraction, shift)
    return above + draw_far(x, row, z, debt, mean, owed.fresh, mass, cells, width, reach, contraction, shift, size)


@part
def _move_families(layout, state, work, drawn, a, push, jump):
    """As `step._move_families`, with noise."""
    total, cells = 0.0, layout.cells
    count = (drawn.external.columns[a] + 3) * cells + MOST_COLUMNS
    _draw(drawn, layout.families[a] * count)
    for f in range(layout.families[a]):
        contraction, shift = _map_of(layout, a, work.push[f] + push, work.pull[f], jump)
        row, z = state.families[a, f], drawn.normals[f * count :]
        spikes = _move(
            work.table, row, work, drawn, a, f, z, cells, layout.row, layout.reach, contraction, shift, layout.size[a],
            state.clock[0],
        )  # fmt: skip
        work.spikes[f] = spikes
        work.lowest[a] += row[0]
        total += spikes
    return total


@part
def _refract(layout, state, work, drawn, a):
    """As `step._refract`, with noise."""
    clock, reset = state.clock[0], layout.reset[a]
    _draw(drawn, layout.families[a])
    for f in range(layout.families[a]):
        row = state.families[a, f]
        back = due(layout, row, a, clock, work.spikes[f], drawn.normals[f])
        for degree in range(3):
            row[degree * layout.row + reset] += back * basis(degree, 0.0)


@part
def _vary(layout, state, drawn, a, c, released):
    """What the neurons of every family of a population vary by themselves, into `drawn.modes`: N Cov = their masses.

    With `released` the masses are those of the pending spikes, of which a family has 1 + g z times the mean.
    """
    length, size = len(drawn.left), layout.size[a]
    nodes, stride, second, third = layout.nodes[c], layout.stride[c], uint64(layout.row), uint64(2 * layout.row)
    _draw(drawn, layout.families[a] * length)
    for f in range(layout.families[a]):
        row, base, per = state.families[a, f], uint64(f * length), 1.0 / size
        out = drawn.modes[base : base + uint64(length)]
        if released:
            per *= max(1.0 + state.moments[c, SKEW] * state.nodes[c, (f // stride) % nodes], 0.0)
        for k in range(uint64(layout.cells)):
            amount = np.sqrt(drawn.counts[f, k] * per)
            out[k] = amount * float(drawn.normals[base + k])
            out[second + k] = amount * float(drawn.normals[base + second + k])
            out[third + k] = amount * float(drawn.normals[base + third + k])
        for slot in range(layout.slots):
            k = uint64(3 * layout.row + slot)
            out[k] = np.sqrt(per * size) * deviation(row[k], size) * float(drawn.normals[base + k])


@part
def _fill_source(state, drawn, c, nodes, released):
    """Matrix of (S77), from what families vary by themselves to the noise of a channel, into `drawn.mixing`."""
    values, weights, g, rho = state.values[c], state.weights[c], state.moments[c, SKEW], drawn.rho[c]
    for j in range(nodes):
        for i in range(nodes):
            drawn.mixing[i, j] = 0.0
        below, kept = 0.0, 1.0
        for n in range(1, nodes):
            below = values[n - 1, j] - (g * np.sqrt(n - 1.0) * below if released else 0.0)
            kept *= rho * rho
            scale = np.sqrt(1.0 - kept) * below
            for i in range(nodes):
                drawn.mixing[i, j] += scale * weights[i] * values[n, i]


@part
def _draw_input(layout, state, drawn, a, c):
    """The noise of a channel (S77), of arrivals and of releases in turn, for all families of a population."""
    released = layout.counts[c] > 0 and state.clock[0] % 2 == 1
    nodes, stride, length = layout.nodes[c], layout.stride[c], len(drawn.left)
    _vary(layout, state, drawn, a, c, released)
    _fill_source(state, drawn, c, nodes, released)
    for f in range(layout.families[a]):
        if (f // stride) % nodes != 0:
            continue
        for i in range(nodes):
            row = state.families[a, f + i * stride]
            for j in range(0, nodes, 4):
                start = (f + j * stride) * length
                _four(row, drawn.modes, start, stride * length, length // LANES, drawn.mixing, i, j, nodes, 1.0)


@part
def chain_step(layout, state, work, drawn, inputs, now):
    """Advance the chain by one step, as `step.step`."""
    for a in range(len(layout.size)):
        _place(layout, state, work, a)
        push = inputs.push[min(now, len(inputs.push) - 1), a]
        jump = inputs.jump[min(now, len(inputs.jump) - 1), a]
        work.fired[a] = _move_families(layout, state, work, drawn, a, push, jump)
        _refract(layout, state, work, drawn, a)
    exchange(layout, state, work)
    for a in range(len(layout.size)):
        kicks = inputs.number[min(now, len(inputs.number) - 1), a]
        if layout.families[a] > 1:
            for f in range(layout.families[a]):
                debt = drawn.owed.mass[2, a, f]
                settle_debt(state.families[a, f], 0, debt, drawn.counts[f], layout.cells, layout.size[a])
        for c in range(layout.channels[a], layout.channels[a + 1]):
            drawn.rho[c] = _update_channel(layout, state, work, a, c, kicks)
            if layout.nodes[c] > 1:
                _draw_input(layout, state, drawn, a, c)


@part
def set_factors(layout, work, drawn):
    """The factors of the external noise of a step, after `step.set_noise`."""
    e, reach = drawn.external, layout.reach
    for a in range(len(work.near)):
        sd = work.drawn[a, 0]
        if sd != e.sd[a]:
            e.sd[a] = sd
            e.columns[a] = fill_factor(e.factor[a], e.squares[a], e.scratch, work.noise[a], sd, reach, work.near[a])


@entry
def run_chain(layout, state, work, drawn, inputs, output):
    """Run one realisation from a state; arguments as of `step.run_steps`, and the chain's scratch space."""
    done = np.int64(0)  # see `step.run_steps`
    for i in range(len(output.steps)):
        while done < output.steps[i]:
            set_noise(layout, state, work, inputs, done)
            set_factors(layout, work, drawn)
            chain_step(layout, state, work, drawn, inputs, done)
            for a in range(len(layout.size)):
                output.spikes[a, i] += state.spikes[a]
            done += 1
        _record(layout, state, i, output)
