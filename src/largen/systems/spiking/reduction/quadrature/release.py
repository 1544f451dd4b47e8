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

from largen.numerics.compiled import inlined, part
from largen.systems.spiking.reduction.quadrature.cells import move
from largen.systems.spiking.reduction.quadrature.state import MEAN, MOST_KICKS, VARIANCE

_TAIL = 1e-11


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


@inlined
def _kick(layout, a, c, j):
    """Contraction and shift of j kicks of a channel."""
    size = layout.charge[c]
    if layout.pulls[c] > 0:
        contraction = (1.0 - size) ** j
        return max(contraction, 1e-6), layout.reversal[a] * (1.0 - max(contraction, 1e-6))
    return 1.0, j * size


@part
def _release(layout, state, work, a, c):
    """(S72) of one channel: its kicks move the rows, and those of neurons that wait only lose pending spikes."""
    moments, q = state.moments[c], 1.0 - layout.stay[c]
    nodes, stride, width = layout.nodes[c], layout.stride[c], layout.row
    length, order = state.families.shape[2], layout.nodes[c] - 1
    count = _fill_kicks(work, moments[MEAN], moments[VARIANCE], q)
    _fill_powers(work, order, q, moments[VARIANCE])
    for f in range(layout.families[a]):
        if (f // stride) % nodes != 0:
            continue
        for n in range(nodes):
            row, base = state.families[a, f + n * stride], n * length
            for k in range(length):
                work.rows[base + k] = row[k]
            for k in range(3 * width):
                row[k] = 0.0
            left = (1.0 - q) ** n
            for k in range(3 * width, length):
                row[k] *= left
            work.spikes[f + n * stride] *= left
        for n in range(nodes):
            for j in range(count + 2 * order):
                contraction, shift = _kick(layout, a, c, float(j))
                for k in range(3 * width):
                    work.moved[k] = work.rows[n * length + k]
                above = move(
                    work.table, work.moved, work.still, 0, layout.cells, width, layout.reach, contraction, shift
                )  # fmt: skip
                for to in range(nodes):
                    weight = 0.0
                    for r in range(2 * order + 1):
                        if j < count + r:
                            weight += work.powers[to, n, r] * work.kicks[r, j]
                    if weight != 0.0:
                        row = state.families[a, f + to * stride]
                        for k in range(uint64(3 * width)):
                            row[k] += weight * work.moved[k]
                        work.spikes[f + to * stride] += weight * above


@part
def release_before(layout, state, work, a):
    """Release of inhibition, before the flow."""
    for f in range(layout.families[a]):
        work.spikes[f] = 0.0
    for c in range(layout.channels[a], layout.channels[a + 1]):
        if layout.early[c] > 0 and layout.charge[c] != 0.0:
            _release(layout, state, work, a, c)


@part
def release_after(layout, state, work, a):
    """Release of excitation, after the flow; its neurons above the threshold join the spikes."""
    for c in range(layout.channels[a], layout.channels[a + 1]):
        if layout.early[c] == 0 and layout.charge[c] != 0.0:
            _release(layout, state, work, a, c)


@part
def update_released(layout, state, work, c):
    """(S73) of one channel."""
    moments, stay = state.moments[c], layout.stay[c]
    mean = excess = 0.0
    for j in range(layout.classes[c], layout.classes[c + 1]):
        mean += work.mean_of[j]
        excess += work.variance_of[j] - work.mean_of[j]
    moments[MEAN] = stay * moments[MEAN] + mean
    moments[VARIANCE] = stay * stay * moments[VARIANCE] + excess
