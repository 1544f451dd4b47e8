"""Compiled series: Hermite coefficients of a function, and power series with as many terms as they need."""

import math

import numpy as np

from largen.numerics.compiled import njit


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def expansion(xi, weights, values, terms, tolerance):
    """Expand a function from its values on a rule, if it and that of every second node agree; as `bivariate.expand`.

    The coefficients are those of the coarser rule.

    Args:
        xi: Nodes, symmetric, shape (node,).
        weights: Their weights.
        values: The function there.
        terms: Largest number of coefficients; those after the variance left is within the tolerance are 0.
        tolerance: Absolute tolerance of the variance.

    Returns:
        Whether the rules agree; mean, variance, coefficients and the variance left after each, as in `Expansion`.
    """
    count = xi.size
    middle, half = count // 2, count // 4
    fine, coarse, mass = 0.0, 0.0, 0.0
    for i in range(count):
        fine += weights[i] * values[i]
    for i in range(0, count, 2):
        coarse += weights[i] * values[i]
        mass += weights[i]
    coarse /= mass
    second, rough = 0.0, 0.0
    for i in range(count):
        second += weights[i] * (values[i] - fine) ** 2
    for i in range(0, count, 2):
        rough += weights[i] * (values[i] - coarse) ** 2
    rough /= mass
    coefficients, remainder = np.zeros(terms), np.empty(terms + 1)
    change = max(abs(second - rough), (fine - coarse) ** 2, 1e-3 * abs(fine - coarse))
    if not change <= max(tolerance, 1e-14 * (second + 1e-2 * abs(fine))):
        return False, fine, second, coefficients, remainder
    even, odd, below, here, node = np.empty((5, half + 1))
    for k in range(half + 1):
        right, left = middle + 2 * k, middle - 2 * k
        one, two = weights[right] / mass * (values[right] - coarse), weights[left] / mass * (values[left] - coarse)
        even[k], odd[k] = one + two, one - two
        node[k], below[k], here[k] = xi[right], 1.0, xi[right]
    even[0] *= 0.5
    remainder[0] = second
    for n in range(1, terms + 1):
        b = 1.0 / math.sqrt(n + 1.0)
        a = math.sqrt(n) * b
        total = 0.0
        if n % 2:
            for k in range(half + 1):
                total += odd[k] * here[k]
        else:
            for k in range(half + 1):
                total += even[k] * here[k]
        for k in range(half + 1):
            below[k] = b * (node[k] * here[k]) - a * below[k]
        coefficients[n - 1] = total
        remainder[n] = max(remainder[n - 1] - total * total, 1e-17 * second)
        below, here = here, below
        if remainder[n] <= tolerance:
            remainder[n:] = remainder[n]
            break
    return True, fine, second, coefficients, remainder


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def power_series(coefficients, r, tolerance):
    """sum_{n>=1} c_n r^n, each block of values with as many terms as its largest needs.

    Args:
        coefficients: c_n, shape (term,).
        r: Values in [-1, 1], shape (value,).
        tolerance: Largest tail left out.

    Returns:
        Sums, shape (value,).
    """
    count = coefficients.size
    tail = np.zeros(count + 1)
    for n in range(count - 1, -1, -1):
        tail[n] = tail[n + 1] + abs(coefficients[n])
    out = np.empty(r.size)
    for start in range(0, r.size, 16):
        stop = min(start + 16, r.size)
        largest = 0.0
        for i in range(start, stop):
            largest = max(largest, abs(r[i]))
        low, high = 0, count
        if largest == 0.0:
            high = 0
        log = math.log(largest) if largest > 0.0 else 0.0
        while low < high:
            middle = (low + high) // 2
            if math.exp(log * (middle + 1)) * tail[middle] <= tolerance:
                high = middle
            else:
                low = middle + 1
        for i in range(start, stop):
            out[i] = 0.0
        for n in range(high - 1, -1, -1):
            c = coefficients[n]
            for i in range(start, stop):
                out[i] = out[i] * r[i] + c
        for i in range(start, stop):
            out[i] *= r[i]
    return out
