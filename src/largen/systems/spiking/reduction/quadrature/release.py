"""Synapses that kick when they release: orders of the joint law of potential and pending spikes (numba).

A class of synapses holds H pending spikes, of which a share q is released in a step, each a kick of V. Let H of the
whole population have the mean m and the variance m + d, and let the rows of the state be the coefficients a_n(V) of

    E[z^H; V] = exp(m x + d x^2/2) sum_n a_n(V) x^n/n!,   x = z - 1,                                            (S71)

so that a_0 is the density of V, and with Poisson arrivals (d = 0) nothing else is needed. A release puts
(1 - q) x + q y in place of x, y = u - 1, where u is the map of V by one kick: the law of the kicks of a step is that of
the generating function exp(m q y + d q^2 y^2/2), and

    a_k <- sum_i C(k, i) (c y)^i (1 - q)^(k - i) sum_j (q y)^j/j! a_(k - i + j),   c = d q (1 - q),              (S72)

to be cut off at an order. Arrivals leave a_n as it is; k of them with mean n and variance v_k make

    m <- (1 - q) m + n,   d <- (1 - q)^2 d + v_k - n.                                                            (S73)

Inhibition is released before the flow, excitation after it. All maps are affine and are projected exactly.
Source: largen's own, derived in docs/quadrature.md.
"""

import numpy as np
from numba import uint64

from largen.numerics.compiled import entry, part
from largen.systems.spiking.reduction.quadrature.cells import LANES, ROW, move
from largen.systems.spiking.reduction.quadrature.kicks import MOST_KICKS, NARROWEST, ROOM
from largen.systems.spiking.reduction.quadrature.state import MEAN, VARIANCE
from largen.systems.spiking.reduction.quadrature.step import (
    _move_families,
    _record,
    _refract,
    exchange,
    set_noise,
)

_TAIL = 1e-11
_LEAST = 1e-12
"""Numbers of kicks with a smaller weight count as none."""
_NEXT = uint64(3 * ROW)
"""From a degree of the density to the next, with room on both sides for what is read there and is 0."""
_SUM = (uint64(ROW), uint64(ROW) + _NEXT, uint64(ROW) + uint64(2) * _NEXT)
"""Where density is summed up, by degree."""
_ORDERS = uint64(ROW) + uint64(3) * _NEXT
"""Where the density of order 0 stands, followed by that of the other orders."""


@part
def _fill_kicks(work, mean, excess, q):
    """Coefficients of the powers of u in y^r exp(m q y + d q^2 y^2/2), at work.kicks[r]; returns how many there are."""
    kicks, gamma = work.kicks, 0.5 * excess * q * q
    beta, total, count = mean * q - 2.0 * gamma, 0.0, 0
    for j in range(MOST_KICKS):
        if j == 0:
            value = np.exp(gamma - mean * q)
        else:
            before = kicks[0, j - 2] if j > 1 else 0.0
            value = (beta * kicks[0, j - 1] + 2.0 * gamma * before) / j
        kicks[0, j] = value
        total += value
        count = j + 1
        if abs(1.0 - total) < _TAIL and j >= beta:
            break
    work.coarse[0] += int(count == MOST_KICKS)
    kicks[0, 0] += 1.0 - total
    for r in range(1, kicks.shape[0]):
        for j in range(count + r):
            here = kicks[r - 1, j] if j < count + r - 1 else 0.0
            kicks[r, j] = (kicks[r - 1, j - 1] if j > 0 else 0.0) - here
    return count


@part
def _fill_powers(work, order, q, excess):
    """What a_k takes of y^r a_n by (S72), work.powers[k, n, r]."""
    powers, c, stay = work.powers, excess * q * (1.0 - q), 1.0 - q
    powers[:] = 0.0
    for k in range(order + 1):
        choose = 1.0
        for i in range(k + 1):
            factor = choose * c**i * stay ** (k - i)
            for j in range(order + 1 - (k - i)):
                powers[k, k - i + j, i + j] += factor
                factor *= q / (j + 1.0)
            choose *= (k - i) / (i + 1.0)


@part
def _fill_weights(work, order, count):
    """Weight of j kicks in what order `to` takes of order n, work.weights[to, n, j]."""
    for to in range(order + 1):
        for n in range(order + 1):
            largest = 0.0
            for j in range(count + 2 * order):
                weight = 0.0
                for r in range(2 * order + 1):
                    if j < count + r:
                        weight += work.powers[to, n, r] * work.kicks[r, j]
                if j > 0 and abs(weight) < _LEAST:
                    work.weights[to, n, 0] += weight
                    weight = 0.0
                work.weights[to, n, j] = weight
                largest = max(largest, abs(weight))
            work.largest[to, n] = max(largest, abs(work.weights[to, n, 0]))


@part
def _take(layout, state, work, a, f, c, left):
    """The density of all orders into `work.orders`; neurons that wait or have just spiked only lose pending spikes."""
    nodes, stride, x, width, share = layout.nodes[c], layout.stride[c], work.orders, layout.row, 1.0
    for n in range(nodes):
        row = state.families[a, f + n * stride]
        base = _ORDERS + uint64(3 * n) * _NEXT
        for k in range(uint64(layout.cells)):
            x[base + k] = row[k]
            x[base + _NEXT + k] = row[uint64(width) + k]
            x[base + uint64(2) * _NEXT + k] = row[uint64(2 * width) + k]
        for k in range(3 * width):
            row[k] = 0.0
        for k in range(3 * width, len(row)):
            row[k] *= share
        work.spikes[f + n * stride] *= share
        share *= left


@part
def _fill_shifts(kicks, kernel, weight, c, count, cells):
    """The matrices kernel[cells + 1 + shift] of the kicks of a step that only shift; returns the shifts they reach."""
    low, high = min(kicks.low[c, 0], kicks.low[c, count - 1]), max(kicks.low[c, 0], kicks.low[c, count - 1]) + 1
    kernel[low + cells + 1 : high + cells + 2] = 0.0
    for j in range(count):
        if weight[j] == 0.0:
            continue
        at, image = kicks.low[c, j] + cells + 1, kicks.image[c, j]
        for i in range(9):
            kernel[at, i] += weight[j] * image[i]
            kernel[at + 1, i] += weight[j] * image[9 + i]
    return low, high


@part
def _add_shifts(x, kernel, n, low, high, cells):
    """Add order n, moved by the matrices of `_fill_shifts`, to the sum; returns what comes to lie above and below."""
    lanes, (s0, s1, s2) = uint64((cells + LANES - 1) // LANES) * uint64(LANES), _SUM
    base = _ORDERS + uint64(3 * n) * _NEXT
    for d in range(max(low, 1 - cells), min(high, cells - 1) + 1):
        m = kernel[d + cells + 1]
        a0, a1, a2, b0, b1, b2, c0, c1, c2 = m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8]
        start = uint64(int(base) - d)
        for i in range(lanes):
            u0, u1, u2 = x[start + i], x[start + _NEXT + i], x[start + uint64(2) * _NEXT + i]
            x[s0 + i] += a0 * u0 + a1 * u1 + a2 * u2
            x[s1 + i] += b0 * u0 + b1 * u1 + b2 * u2
            x[s2 + i] += c0 * u0 + c1 * u1 + c2 * u2
    above = _beyond(x, kernel, base, high, cells, 1) if high > 0 else 0.0
    below = _beyond(x, kernel, base, low, cells, -1) if low < 0 else 0.0
    return above, below


@part
def _beyond(x, kernel, base, far, cells, sign):
    """Mass that shifts up to `far` take beyond the cells, upwards or downwards by the sign."""
    found = t0 = t1 = t2 = 0.0
    for d in range(abs(far), 0, -1):  # from the last cell but d - 1 it goes beyond by d or more
        m = kernel[sign * d + cells + 1]
        t0, t1, t2 = t0 + m[0], t1 + m[1], t2 + m[2]
        if d <= cells:
            k = base + uint64(cells - d if sign > 0 else d - 1)
            found += t0 * x[k] + t1 * x[k + _NEXT] + t2 * x[k + uint64(2) * _NEXT]
    return found


@part
def _shift(layout, state, work, a, c, count):
    """The kicks of a channel that only shift: a convolution for every two orders."""
    nodes, stride, x, cells, width = layout.nodes[c], layout.stride[c], work.orders, layout.cells, layout.row
    left, table = layout.stay[c], c % len(layout.kicks.known)
    for to in range(nodes):
        for n in range(nodes):
            low, high = _fill_shifts(layout.kicks, work.kernel[to, n], work.weights[to, n], table, count, cells)
    s0, s1, s2 = _SUM
    for f in range(layout.families[a]):
        if (f // stride) % nodes != 0:
            continue
        _take(layout, state, work, a, f, c, left)
        for to in range(nodes):
            for k in range(uint64(width)):
                x[s0 + k] = x[s1 + k] = x[s2 + k] = 0.0
            above = below = 0.0
            for n in range(nodes):
                if work.largest[to, n] >= _LEAST:
                    up, down = _add_shifts(x, work.kernel[to, n], n, low, high, cells)
                    above, below = above + up, below + down
            row = state.families[a, f + to * stride]
            for k in range(uint64(cells)):
                row[k] = x[s0 + k]
                row[uint64(width) + k] = x[s1 + k]
                row[uint64(2 * width) + k] = x[s2 + k]
            row[0] += below
            work.spikes[f + to * stride] += above


@part
def _add_image(x, kicks, piece, n):
    """Add a piece of the image of order n to the sum."""
    values, (s0, s1, s2) = kicks.values, _SUM
    start, p, room = uint64(kicks.start[piece]), uint64(kicks.place[piece]), uint64(ROOM)
    source = uint64(int(_ORDERS + uint64(3 * n) * _NEXT) + kicks.start[piece] + kicks.delta[piece])
    s0, s1, s2 = s0 + start, s1 + start, s2 + start
    for i in range(uint64(kicks.blocks[piece]) * uint64(LANES)):
        u0, u1, u2, v = x[source + i], x[source + _NEXT + i], x[source + uint64(2) * _NEXT + i], p + i
        x[s0 + i] += values[v] * u0 + values[room + v] * u1 + values[uint64(2) * room + v] * u2
        x[s1 + i] += (
            values[uint64(3) * room + v] * u0 + values[uint64(4) * room + v] * u1 + values[uint64(5) * room + v] * u2
        )
        x[s2 + i] += (
            values[uint64(6) * room + v] * u0 + values[uint64(7) * room + v] * u1 + values[uint64(8) * room + v] * u2
        )


@part
def _pull_far(layout, work, a, c, j, n):
    """The image of order n under j kicks of a conductance that has no table, into the sum."""
    x, cells, width, row = work.orders, layout.cells, layout.row, work.moved
    base, (s0, s1, s2) = _ORDERS + uint64(3 * n) * _NEXT, _SUM
    for k in range(uint64(cells)):
        row[k] = x[base + k]
        row[uint64(width) + k] = x[base + _NEXT + k]
        row[uint64(2 * width) + k] = x[base + uint64(2) * _NEXT + k]
    contraction = max((1.0 - layout.charge[c]) ** float(j), NARROWEST)
    shift = layout.reversal[a] * (1.0 - contraction)
    move(work.table, row, work.still, np.int64(0), cells, width, layout.reach, contraction, shift)
    for k in range(uint64(cells)):
        x[s0 + k] = row[k]
        x[s1 + k] = row[uint64(width) + k]
        x[s2 + k] = row[uint64(2 * width) + k]


@part
def _pull(layout, state, work, a, c, count):
    """The kicks of a conductance: every number of them has an image of its own."""
    nodes, stride, x, width, kicks = layout.nodes[c], layout.stride[c], work.orders, layout.row, layout.kicks
    left, table, (s0, s1, s2) = layout.stay[c], c % len(layout.kicks.known), _SUM
    for f in range(layout.families[a]):
        if (f // stride) % nodes != 0:
            continue
        _take(layout, state, work, a, f, c, left)
        for n in range(nodes):
            for j in range(count):
                needed = False
                for to in range(nodes):
                    needed |= work.weights[to, n, j] != 0.0
                if not needed:
                    continue
                t0 = _ORDERS + uint64(3 * n) * _NEXT if j == 0 else s0
                if 0 < j < kicks.known[table]:
                    for k in range(uint64(width)):
                        x[s0 + k] = x[s1 + k] = x[s2 + k] = 0.0
                    for piece in range(kicks.first[table, j], kicks.first[table, j + 1]):
                        _add_image(x, kicks, piece, n)
                elif j > 0:
                    _pull_far(layout, work, a, c, j, n)
                for to in range(nodes):
                    weight = work.weights[to, n, j]
                    if weight == 0.0:
                        continue
                    row = state.families[a, f + to * stride]
                    for k in range(uint64(layout.cells)):
                        row[k] += weight * x[t0 + k]
                        row[uint64(width) + k] += weight * x[t0 + _NEXT + k]
                        row[uint64(2 * width) + k] += weight * x[t0 + uint64(2) * _NEXT + k]


@part
def _release(layout, state, work, a, c):
    """(S72) of one channel: its kicks move the rows, and those of neurons that wait only lose pending spikes."""
    moments, q, order = state.moments[c], 1.0 - layout.stay[c], layout.nodes[c] - 1
    count = _fill_kicks(work, moments[MEAN], moments[VARIANCE], q)
    _fill_powers(work, order, q, moments[VARIANCE])
    _fill_weights(work, order, count)
    if layout.pulls[c] > 0:
        _pull(layout, state, work, a, c, count + 2 * order)
    else:
        _shift(layout, state, work, a, c, count + 2 * order)


@part
def _update_released(layout, state, work, c):
    """(S73) of one channel."""
    moments, stay = state.moments[c], layout.stay[c]
    mean = excess = 0.0
    for j in range(layout.classes[c], layout.classes[c + 1]):
        mean += work.mean_of[j]
        excess += work.variance_of[j] - work.mean_of[j]
    moments[MEAN] = stay * moments[MEAN] + mean
    moments[VARIANCE] = stay * stay * moments[VARIANCE] + excess


@part
def _step(layout, state, work, inputs, now):
    """Advance by one step: inhibition is released before the flow, excitation after it."""
    for a in range(len(layout.size)):
        for f in range(layout.families[a]):
            work.push[f] = work.pull[f] = work.spikes[f] = 0.0
        push = inputs.push[min(now, len(inputs.push) - 1), a]
        jump = inputs.jump[min(now, len(inputs.jump) - 1), a]
        for early in (1, 0):
            for c in range(layout.channels[a], layout.channels[a + 1]):
                if layout.early[c] == early and layout.charge[c] != 0.0:
                    _release(layout, state, work, a, c)
            if early == 1:
                _move_families(layout, state, work, a, push, jump)
        work.fired[a] = work.spikes[0]
        _refract(layout, state, work, a)
    exchange(layout, state, work)
    for c in range(len(layout.nodes)):
        _update_released(layout, state, work, c)


@entry
def run_released(layout, state, work, inputs, output):
    """Run from a state; arguments as of `step.run_steps`."""
    done = np.int64(0)  # see `step.run_steps`
    for i in range(len(output.steps)):
        while done < output.steps[i]:
            set_noise(layout, state, work, inputs, done)
            _step(layout, state, work, inputs, done)
            for a in range(len(layout.size)):
                output.spikes[a, i] += state.spikes[a]
            done += 1
        _record(layout, state, i, output)
