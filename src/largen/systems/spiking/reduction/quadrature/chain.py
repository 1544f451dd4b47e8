"""The chain of a finite network on the quadrature's families: each step's mean, and the noise of N neurons (numba).

Between two steps the families' masses are means over the N neurons of a population. Whatever a step damps in them is
drawn again, of the size that N independent neurons have: of the potentials by `noise`; of the pending input, where
release leaves rho^n of order n (S61),

    Cov(new coefficient of p_n phi_l in a cell) = (d/N) (1 - prod rho_c^(2 n_c)),                                (S77)

d being the mass of the cell; of the refractory pool, the binomial variance of those who leave it. The spikes that are
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
    deviation,
    draw_drift,
    draw_external,
    draw_far,
    fill_factor,
    new_external,
)
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
        left: Cells' masses of one population, with its refractory pool, shape (L,).
        modes: Noise of the pending input by order, then by family, shape (F, L).
        rows: Rows of the families that mix, flat.
        lanes: Generators of random words.
        words: Random words, uint64.
        halves: The same as uint32.
        normals: Standard normal numbers, float32.
    """

    external: External
    rho: np.ndarray
    left: np.ndarray
    modes: np.ndarray
    rows: np.ndarray
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
        external=new_external(len(layout.size), layout.reach),
        rho=np.ones(len(layout.nodes)),
        left=np.zeros(length),
        modes=np.zeros((F, length)),
        rows=np.zeros(int(layout.nodes.max(initial=1)) * length),
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
def _move(x, row, work, drawn, a, z, cells, width, reach, contraction, shift, size):
    """As `cells.move`, with the noise of both halves of the step; returns the spikes."""
    noise, near = work.noise[a], work.near[a]
    for k in range(uint64(cells)):
        to = k + uint64(2 * reach)
        x[SOURCE0 + to] = row[k]
        x[SOURCE1 + to] = row[uint64(width) + k]
        x[SOURCE2 + to] = row[uint64(2 * width) + k]
    _smooth(x, noise, cells, reach, near)
    draw_external(x, drawn.external, a, z, drawn.left, cells, reach, near, size)
    z = z[drawn.external.columns[a] * cells + MOST_COLUMNS :]
    slope = contraction - 1.0
    end = shift + slope * (cells + reach)
    by = np.rint(0.5 * (shift + end))
    if abs(shift - by) < 1.0 and abs(end - by) < 1.0:
        by = min(max(by, -4.0 * MOST_CELLS), 4.0 * MOST_CELLS)
        _drift(x, (cells + 2 * reach + 2 + LANES - 1) // LANES, contraction, slope, shift - by)
        draw_drift(x, z, cells, reach, contraction, slope, shift - by, size)
        return _settle(x, row, cells, cells, width, reach, int(by))
    above = _drift_far(x, row, cells, cells, width, reach, contraction, shift)
    return above + draw_far(x, row, z, cells, width, reach, contraction, shift, size)


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
            work.table, row, work, drawn, a, z, cells, layout.row, layout.reach, contraction, shift, layout.size[a]
        )
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
def _amplitudes(layout, state, drawn, a):
    """The root of d/N of every cell, for each degree, and of every slot of the refractory pool, into `left`."""
    left, size = drawn.left, layout.size[a]
    for k in range(len(left)):
        left[k] = 0.0
    for f in range(layout.families[a]):
        row = state.families[a, f]
        for k in range(uint64(layout.cells)):
            left[k] += row[k]
        for slot in range(layout.slots):
            left[3 * layout.row + slot] += row[3 * layout.row + slot]
    for k in range(uint64(len(left))):
        left[k] = deviation(left[k], size)
    for degree in range(1, 3):
        for k in range(uint64(layout.cells)):
            left[uint64(degree * layout.row) + k] = left[k]


@part
def _spread(layout, state, drawn, a, c):
    """Noise by order of a channel becomes noise by family: sum over n of w_j p_n(z_j) times it."""
    nodes, stride, x = layout.nodes[c], layout.stride[c], drawn.rows
    values, weights = state.values[c], state.weights[c]
    length = drawn.modes.shape[1]
    for f in range(layout.families[a]):
        if (f // stride) % nodes != 0:
            continue
        for n in range(nodes):
            row, base = drawn.modes[f + n * stride], uint64(n * length)
            for k in range(uint64(length)):
                x[base + k] = row[k]
        for j in range(nodes):
            row = drawn.modes[f + j * stride]
            for n in range(0, nodes, 4):
                add = 0.0 if n == 0 else 1.0
                _four(row, x, n * length, length, length // LANES, values.T, j, n, nodes, add)
            for k in range(uint64(length)):
                row[k] *= weights[j]


@part
def _draw_input(layout, state, drawn, a):
    """The noise of release and arrivals (S77) of all families of a population."""
    families, length = layout.families[a], drawn.modes.shape[1]
    if families == 1:
        return
    _amplitudes(layout, state, drawn, a)
    _draw(drawn, families * length)
    for f in range(families):
        kept = 1.0
        for c in range(layout.channels[a], layout.channels[a + 1]):
            for _ in range((f // layout.stride[c]) % layout.nodes[c]):
                kept *= drawn.rho[c] * drawn.rho[c]
        scale, base, row = np.sqrt(1.0 - kept), uint64(f * length), drawn.modes[f]
        for k in range(uint64(length)):
            row[k] = scale * drawn.left[k] * float(drawn.normals[base + k])
    for c in range(layout.channels[a], layout.channels[a + 1]):
        if layout.nodes[c] > 1:
            _spread(layout, state, drawn, a, c)
    for f in range(families):
        row, more = state.families[a, f], drawn.modes[f]
        for k in range(uint64(length)):
            row[k] += more[k]


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
        for c in range(layout.channels[a], layout.channels[a + 1]):
            drawn.rho[c] = _update_channel(layout, state, work, a, c, kicks)
        _draw_input(layout, state, drawn, a)


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
