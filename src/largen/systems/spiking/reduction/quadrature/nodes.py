"""Gauss nodes of the law of the pending input, and how its families mix in a step (numba).

The input X of a channel has the marginal law X = mu + sqrt(v) z, where z is a Poisson number of mean nu, centred and of
variance 1. With g = 1/sqrt(nu) its orthonormal polynomials (Charlier's; Hermite's at g = 0) obey

    sqrt(n + 1) p_(n+1) = (z - n g) p_n - sqrt(n) p_(n-1),   p_0 = 1,                                             (S60)

and the N + 1 families of order N stand at the zeros z_j of p_(N+1), with the weights w_j = 1/sum_n p_n(z_j)^2.

In a step every pending spike stays with probability 1 - q and others arrive. In this basis the coefficient of order n
of a Poisson number is multiplied by rho^n, rho = (1 - q) sqrt(nu_old/nu_new), and nothing else happens: families mix by

    u_i <- sum_j W_ij u_j,   W_ij = w'_i sum_n p'_n(z'_i) rho^n p_n(z_j),                                         (S61)

with the primed nodes, weights and polynomials of the new law. The columns of W add up to 1.

Source: discrete ordinates (Chandrasekhar, Radiative Transfer, 1950, ch. 2) at Gauss-Charlier nodes; derived in
docs/quadrature.md. The zeros: Golub & Welsch, Math. Comp. 23 (1969), here by bisection of the Jacobi matrix, followed
from step to step by Newton's method.
"""

import math

import numpy as np

from largen.numerics.compiled import entry, part

MOST_NODES = 13
"""Nodes of a channel at most: orders 0 to 12."""
_CLOSE = 1e-9
"""A Newton step this small is followed by rounding alone."""
_TRIES = 12


def floor_of(order: int) -> float:
    """Smallest nu of an order: below it the polynomials at the nodes lose all digits in double precision."""
    return max(1e-3, (math.factorial(order) * 1e-14) ** (1.0 / order)) if order else 1e-3


@part
def _ratio(z, count, g):
    """p_count(z) over its derivative, by (S60)."""
    before, value, slope_before, slope = 0.0, 1.0, 0.0, 0.0
    for n in range(count):
        up, down = 1.0 / np.sqrt(n + 1.0), np.sqrt(float(n))
        shift = z - n * g
        nxt = (shift * value - down * before) * up
        slope_nxt = (value + shift * slope - down * slope_before) * up
        before, value, slope_before, slope = value, nxt, slope, slope_nxt
    return value / slope


@part
def _below(x, count, g):
    """Number of zeros of p_count below x: negative pivots of the Jacobi matrix less x (Sturm)."""
    found, pivot = 0, 1.0
    for n in range(count):
        pivot = n * g - x - (n / pivot if n > 0 else 0.0)
        if abs(pivot) < 1e-300:
            pivot = -1e-300
        found += pivot < 0.0
    return found


@entry
def find_nodes(z, count, g):
    """Write the zeros of p_count to z[:count], by bisection and a last Newton step."""
    reach = 2.0 * np.sqrt(float(count)) + count * abs(g) + 1.0
    for j in range(count):
        low, high = -reach, reach
        for _ in range(200):
            middle = 0.5 * (low + high)
            if not low < middle < high:
                break
            if _below(middle, count, g) > j:
                high = middle
            else:
                low = middle
        z[j] = 0.5 * (low + high)
        for _ in range(2):
            step = _ratio(z[j], count, g)
            if abs(step) < 1e-6 * (1.0 + abs(z[j])):
                z[j] -= step


@entry
def follow_nodes(z, count, g):
    """Bring the zeros z[:count] of a nearby law to this one's; False where they are not all found."""
    trace, total, size = 0.0, 0.0, 0.0
    for j in range(count):
        x, close = z[j], False
        for _ in range(_TRIES):
            step = _ratio(x, count, g)
            x -= step
            if abs(step) <= _CLOSE * (1.0 + abs(x)):
                close = True
                break
        if not close or (j > 0 and not x > z[j - 1]):
            return False
        z[j] = x
        trace += j * g
        total += x
        size += abs(x)
    return abs(total - trace) <= 1e-10 * (1.0 + size)


@entry
def fill_polynomials(z, weight, values, count, g):
    """The polynomials at the nodes, values[n, j], and the weights of the nodes."""
    for j in range(count):
        values[0, j] = 1.0
        square, before, value = 1.0, 0.0, 1.0
        for n in range(count - 1):
            nxt = ((z[j] - n * g) * value - np.sqrt(float(n)) * before) / np.sqrt(n + 1.0)
            before, value = value, nxt
            values[n + 1, j] = value
            square += value * value
        weight[j] = 1.0 / square


@entry
def fill_mixing(mixing, count, rho, old, weight, values):
    """W of (S61) from the polynomials at the old nodes to the new ones; its columns add up to 1, exactly.

    Args:
        mixing: W, shape (new node, old node), written.
        count: Number of nodes.
        rho: What is left of order 1.
        old: Polynomials at the old nodes, shape (order, node).
        weight: New weights.
        values: Polynomials at the new nodes.
    """
    for j in range(count):
        total = 0.0
        for i in range(count):
            power, found = 1.0, 0.0
            for n in range(count):
                found += values[n, i] * power * old[n, j]
                power *= rho
            mixing[i, j] = weight[i] * found
            total += mixing[i, j]
        for i in range(count):  # what rounding left over
            mixing[i, j] += weight[i] * (1.0 - total)
