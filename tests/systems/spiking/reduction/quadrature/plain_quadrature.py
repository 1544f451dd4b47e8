"""The quadrature in plain NumPy: one step as docs/quadrature.md writes it, nothing shared with the kernels.

Nodes are eigenvalues of the Jacobi matrix; the density is moved by integrating it against the basis of every cell with
many Gauss points; a step is a sum over everything.
"""

import functools

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.linalg import eigh_tridiagonal

from largen.systems.spiking.reduction.quadrature.nodes import floor_of


def basis(y):
    """phi_l(y), shape (3, ...)."""
    return np.stack([np.ones_like(y), np.sqrt(3) * (2 * y - 1), np.sqrt(5) * (6 * y * y - 6 * y + 1)])


def nodes(order, g):
    """Zeros z, weights, and polynomials [n, j] of the law with this g."""
    n = np.arange(order + 1)
    z, vectors = eigh_tridiagonal(n * g, np.sqrt(n[1:]))
    vectors = vectors / np.sign(vectors[0])
    return z, vectors[0] ** 2, vectors / vectors[0]


def project(density, cells, breaks):
    """Coefficients of a piecewise smooth density of x, in cells from the lowest edge; and the mass above.

    Args:
        density: Function of x, shape (...) -> (...).
        cells: Number of cells.
        breaks: Where the density jumps.
    """
    points, weights = leggauss(6)
    low, high = np.floor(min(breaks[0], 0.0)), np.ceil(max(breaks[-1], cells))
    edges = np.unique(np.concatenate([breaks, np.arange(low, high + 1.0)]))
    length = np.diff(edges)[:, None]
    x = edges[:-1, None] + length * 0.5 * (1 + points)
    mass = density(x) * 0.5 * length * weights
    cell = np.floor(0.5 * (edges[1:] + edges[:-1])).astype(int)
    inside, out = (cell >= 0) & (cell < cells), np.zeros((cells, 3))
    parts = (basis(x - cell[:, None]) * mass).sum(2).T
    np.add.at(out, cell[inside], parts[inside])
    out[0, 0] += mass[cell < 0].sum()
    return out.T, mass[cell >= cells].sum()


def density_of(u):
    """The density with coefficients u, shape (3, cells), as a function of x."""

    def density(x):
        k = np.floor(x).astype(int)
        inside = (k >= 0) & (k < u.shape[1])
        k = np.clip(k, 0, u.shape[1] - 1)
        return np.where(inside, np.einsum("l...,l...", np.moveaxis(u.T[k], -1, 0), basis(x - k)), 0.0)

    return density


@functools.cache
def shifted(sd, beyond):
    """A cell's basis convolved with a normal law, on cells -beyond to beyond around it; shape (3, 3, 2 beyond + 1)."""
    points, weights = leggauss(40)
    shifts, mass = [], []
    for low in range(-beyond, beyond):  # the overlap of two cells is smooth between whole shifts
        start, stop = max(low, -6.5 * sd), min(low + 1.0, 6.5 * sd)
        if stop > start:
            shift = start + 0.5 * (stop - start) * (1 + points)
            shifts.append(shift)
            mass.append(0.5 * (stop - start) * weights * np.exp(-0.5 * (shift / sd) ** 2))
    shifts, mass = np.concatenate(shifts), np.concatenate(mass)
    out = np.zeros((3, 3, 2 * beyond + 1))
    for degree in range(3):
        density = density_of(np.eye(3)[degree][:, None])
        for shift, weight in zip(shifts, mass / mass.sum(), strict=True):
            middle = beyond + shift
            moved = project(lambda x, m=middle, d=density: d(x - m), 2 * beyond + 1, np.array([middle, middle + 1.0]))
            out[degree] += weight * moved[0]
    return out


def add_noise(u, sd, beyond):
    """Convolution with a normal law of standard deviation sd, projected onto cells -beyond to cells + beyond - 1."""
    cells = u.shape[1]
    wide, kernel = np.zeros((3, cells + 2 * beyond)), shifted(sd, beyond)
    for k in range(cells):
        wide[:, k : k + 2 * beyond + 1] += np.einsum("l,lmd->md", u[:, k], kernel)
    wide[0, beyond] += wide[0, :beyond].sum()
    wide[:, :beyond] = 0.0
    return wide


def move(u, sd, contraction, shift, beyond):
    """One family: noise, then x' = contraction x + shift; returns the coefficients and the spikes."""
    wide = add_noise(u, sd, beyond) if sd > 0 else np.pad(u, ((0, 0), (beyond, beyond)))
    density = density_of(wide)
    edges = np.arange(-beyond, u.shape[1] + beyond + 1)
    return project(
        lambda x: density((x - shift) / contraction + beyond) / contraction, u.shape[1], contraction * edges + shift
    )


class Plain:
    """A model with one decay time for each sign, step by step; rows of `families` are u, shape (P, E, I, 3, cells)."""

    def __init__(self, model, orders, cells, below, dt):
        self.model, self.orders, self.dt, P = model, orders, dt, len(model.size)
        self.width, self.cells, self.lowest = 100.0 / cells, cells + below, -below * 100.0 / cells
        self.signs = np.array(model.inhibitory)
        self.moments = np.zeros((P, 2, 4))
        self.spread, self.steepest = np.zeros((P, 2)), [1.0 / np.sqrt(floor_of(order)) for order in orders]
        self.law = [[nodes(*pair) for pair in zip(orders, self.steepest, strict=True)] for _ in range(P)]
        self.u = np.zeros((P, *(np.array(orders) + 1), 3, self.cells))
        self.pool = np.zeros((P, *(np.array(orders) + 1)))
        weight = np.multiply.outer(self.law[0][0][1], self.law[0][1][1])
        self.u[..., below] = weight[..., None] * basis(np.array(0.0))
        self.below = below

    def step(self):
        """Advance by dt; returns spikes per neuron, shape (P,)."""
        model, dt, P = self.model, self.dt, len(self.u)
        q = 1 - np.exp(-dt / np.array([[model.decay[a][np.argmax(self.signs == s)] for s in (0, 1)] for a in range(P)]))
        fired = np.zeros_like(self.pool)
        for a in range(P):
            leak, lam = 1 / np.broadcast_to(model.membrane_time, P)[a], np.broadcast_to(model.external_rate, P)[a]
            gain = leak if leak > 0 else 1.0
            grown = np.expm1(2 * dt * leak) / (2 * dt * leak) if leak > 0 else 1.0
            sd = gain * np.sqrt(lam * dt * grown) / self.width
            for i, j in np.ndindex(*self.pool.shape[1:]):
                x = [self.moments[a, s, 0] + self.spread[a, s] * self.law[a][s][0][k]
                     for s, k in ((0, i), (1, j))]  # fmt: skip
                charge = [2 * q[a, s] / (2 - q[a, s]) * x[s] for s in (0, 1)]
                kappa = max(leak * dt + charge[1] / (100.0 - model.reversal), 0.0)
                phi = -np.expm1(-kappa) / kappa if kappa > 1e-12 else 1.0
                drift = phi * (charge[0] + lam * dt * gain + model.reversal * charge[1] / (100.0 - model.reversal))
                shift = (drift + (np.exp(-kappa) - 1) * self.lowest) / self.width
                u, fired[a, i, j] = move(self.u[a, i, j], sd, np.exp(-kappa), shift, int(np.ceil(6.5 * sd)))
                leave = 1 - np.exp(-dt / np.broadcast_to(model.refractory_time, P)[a])
                pool = self.pool[a, i, j] + fired[a, i, j]
                u[:, self.below] += leave * pool * basis(np.array(0.0))
                self.pool[a, i, j], self.u[a, i, j] = (1 - leave) * pool, u
        spikes = fired.sum((1, 2))
        for a, s in np.ndindex(P, 2):
            self._synapse(a, s, q[a, s], spikes)
        return spikes

    @property
    def jump(self):
        """Size of a jump of X, shape (P, 2)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            jump = self.moments[..., 2] / self.moments[..., 1]
        first = [[self.model.strength[a][np.argmax(self.signs == s)] for s in (0, 1)] for a in range(len(self.u))]
        return np.where(self.moments[..., 1] > 0, jump, first)

    def _synapse(self, a, s, q, spikes):
        mean, second, third, variance = self.moments[a, s]
        mean, variance, second, third = (
            (1 - q) * mean, (1 - q) ** 2 * variance + q * (1 - q) * second, (1 - q) * second, (1 - q) * third,
        )  # fmt: skip
        for b in np.flatnonzero(self.signs == s):
            strength, p = self.model.strength[a][b], self.model.probability[a][b] * (1 - q / 2)
            arrived = p * self.model.size[b] * spikes[b]
            mean, second, third = (
                mean + strength * arrived,
                second + strength**2 * arrived,
                third + strength**3 * arrived,
            )
            variance += strength**2 * (1 - p) * arrived
        self.moments[a, s] = mean, second, third, variance
        old, (_, _, before) = self.spread[a, s], self.law[a][s]
        self.spread[a, s] = new = max(np.sqrt(max(variance, 0.0)), (1 - q) * old, 1e-12)
        skew = min(self.jump[a, s] / new, self.steepest[s])
        self.law[a][s] = z, weight, values = nodes(self.orders[s], skew)
        rho = (1 - q) * old / new
        mixing = (weight[:, None] * values.T * rho ** np.arange(len(z))) @ before
        along = 0 if s == 0 else 1
        self.u[a] = np.moveaxis(np.tensordot(mixing, self.u[a], (1, along)), 0, along)
        self.pool[a] = np.moveaxis(np.tensordot(mixing, self.pool[a], (1, along)), 0, along)
