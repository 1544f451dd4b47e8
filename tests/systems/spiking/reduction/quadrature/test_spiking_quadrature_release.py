"""Synapses that kick when they release: against a lattice of pending spikes, and against networks."""

import functools
import itertools

import numpy as np
import plain_quadrature as plain
import pytest
from quadrature_tools import quadrature
from scipy.special import binom, factorial

import largen as ln
from largen.systems.spiking.reduction.quadrature.drive import Inputs
from largen.systems.spiking.reduction.quadrature.release import run_released
from largen.systems.spiking.reduction.quadrature.state import MEAN, VARIANCE, new_output, new_state, new_work


class Lattice:
    """One population whose neurons have H = 0, 1, ... pending spikes from itself, all numbers apart.

    The number that arrives has the first two cumulants of a binomial one: the generating function
    exp(nf p x - nf p^2 x^2/2), x = z - 1, for any real nf.
    """

    def __init__(self, model, most, cells, below, dt):
        self.model, self.dt, self.below, self.cells = model, dt, below, cells + below
        self.width = float(model.threshold) / cells
        self.u, self.waiting = np.zeros((most, 3, self.cells)), np.zeros(most)
        self.u[0, :, below] = plain.basis(np.array(0.0))

    @functools.cache  # noqa: B019 (a lattice lives for one test)
    def matrix(self, j):
        """j kicks as a matrix on the coefficients, its last row the spikes; j = -1 is the flow."""
        count = 3 * self.cells
        out = np.zeros((count + 1, count))
        for k, unit in enumerate(np.eye(count)):
            moved, out[-1, k] = self.flow(unit.reshape(3, -1)) if j < 0 else self.kick(unit.reshape(3, -1), j)
            out[:-1, k] = moved.ravel()
        return out

    def apply(self, j, u):
        out = self.matrix(j) @ u.ravel()
        return out[:-1].reshape(u.shape), out[-1]

    def flow(self, u):
        model = self.model
        P = np.exp(-self.dt / float(model.membrane_time))
        sd = model.external_sd * np.sqrt(float(model.membrane_time) * (1 - P**2) / 2) / P / self.width
        drift = model.external_mean * float(model.membrane_time) * (1 - P) / self.width + (1 - P) * self.below
        return plain.move(u, sd, P, drift, int(np.ceil(6.5 * sd)))

    def kick(self, u, j):
        s, model = float(self.model.strength[0, 0]), self.model
        if not model.inhibitory[0]:
            return plain.move(u, 0.0, 1.0, j * s / self.width, 0)
        if model.inhibition == "current":
            return plain.move(u, 0.0, 1.0, -j * s / self.width, 0)
        a = (1 - s / (float(model.threshold) - model.reversal)) ** j
        return plain.move(u, 0.0, a, (1 - a) * (model.reversal / self.width + self.below), 0)

    def release(self, q):
        """Binomial releases; returns the spikes by H."""
        most = len(self.u)
        u, waiting, fired = np.zeros_like(self.u), np.zeros(most), np.zeros(most)
        for h in range(most):
            for j in range(h + 1):
                chance = binom(h, j) * q**j * (1 - q) ** (h - j)
                moved, above = self.apply(j, self.u[h])
                u[h - j] += chance * moved
                fired[h - j] += chance * above
                waiting[h - j] += chance * self.waiting[h]
        self.u, self.waiting = u, waiting
        return fired

    def step(self):
        model, dt, most = self.model, self.dt, len(self.u)
        q = 1 - np.exp(-dt / model.decay[0, 0])
        fired = np.zeros(most)
        if model.inhibitory[0]:
            self.release(q)
        for h in range(most):
            self.u[h], fired[h] = self.apply(-1, self.u[h])
        if not model.inhibitory[0]:
            lost = np.array([[binom(h, h - k) * q ** (h - k) * (1 - q) ** k if k <= h else 0.0 for h in range(most)]
                             for k in range(most)])  # fmt: skip
            fired = lost @ fired + self.release(q)
        pool = self.waiting + fired
        leave = 1 - np.exp(-dt / float(model.refractory_time))
        self.waiting = (1 - leave) * pool
        self.u[:, :, self.below] += leave * pool[:, None] * plain.basis(np.array(0.0))
        self.arrive(getattr(self, "sent", 0.0))
        self.sent = fired.sum()
        return self.sent

    def arrive(self, spikes):
        p, nf, most = float(self.model.probability[0, 0]), spikes * float(self.model.size[0]), len(self.u)
        beta, gamma = nf * p + nf * p**2, -0.5 * nf * p**2
        weight = np.zeros(most + 2)
        weight[0] = np.exp(gamma - nf * p)
        for k in range(1, most):
            weight[k] = (beta * weight[k - 1] + 2 * gamma * weight[k - 2]) / k
        full = np.array([[weight[k - h] if k >= h else 0.0 for h in range(most)] for k in range(most)])
        full[-1] += 1 - full.sum(0)
        self.u, self.waiting = np.tensordot(full, self.u, (1, 0)), full @ self.waiting


@pytest.mark.parametrize("kind", ["excitation", "conductance", "current"])
def test_orders_converge_to_the_lattice(kind):
    """From rest through a volley; the error falls by a factor of 3 or more with every order."""
    model = ln.SpikingNetwork(
        size=(6,), inhibitory=[kind != "excitation"], strength=[[6.0]], probability=[[0.6]], decay=[[3.0]],
        external_mean=12.0, external_sd=6.0, external_rate=0.0, membrane_time=15.0, refractory_time=1.0,
        synapse="release", inhibition="current" if kind == "current" else "conductance",
    )  # fmt: skip
    lattice = Lattice(model, 12, 8, 6, 0.5)
    expected = np.array([lattice.step() for _ in range(36)])
    assert expected.max() > 0.06
    errors = []
    for order in (0, 1, 2, 3):
        spikes = quadrature(model, 18.0, (order, order), 8, depth=0.75, dt=0.5, every=1).output.spikes[0, 1:]
        errors.append(np.abs(spikes - expected).max())
    assert errors[0] > 5e-4
    assert all(b < max(a / 3, 1e-7) for a, b in itertools.pairwise(errors)), errors


def weights(mean, excess, q, order, most):
    """Weight [to, n, j] of j kicks in what order `to` takes of order n, from (S71) by a discrete Fourier transform.

    With x -> (1-q) x + q y it reads exp((1-q) m x + (1-q)^2 d x^2/2) times G exp(d q (1-q) x y) sum_n a_n ((1-q) x +
    q y)^n/n!, G = exp(m q y + d q^2 y^2/2), of which the coefficient of x^k/k! is wanted, as a function of u = 1 + y.
    """
    points = 1024
    y = np.exp(2j * np.pi * np.arange(points) / points) - 1.0
    out = np.zeros((order + 1, order + 1, points))
    for k, n in np.ndindex(order + 1, order + 1):
        terms = []
        for i in range(max(k - n, 0), k + 1):
            mixed, moved = (excess * q * (1 - q) * y) ** i / factorial(i), (q * y) ** (n - k + i)
            terms.append(mixed * moved * binom(n, k - i) * (1 - q) ** (k - i))
        found = np.exp(mean * q * y + excess * (q * y) ** 2 / 2) * sum(terms) * factorial(k) / factorial(n)
        out[k, n] = np.fft.fft(found).real / points
    return out[:, :, :most]


@pytest.mark.parametrize("kind", ["excitation", "conductance", "current"])
@pytest.mark.parametrize(("strength", "mean"), [(6.0, 5.0), (0.07, 300.0), (48.0, 4.0)])
def test_a_release_is_the_sum_over_all_numbers_of_kicks(kind, strength, mean):
    """Weak kicks, many of them (more than have images in advance), and kicks of half of the threshold; to 2e-10."""
    tau, order, cells, below, dt = 3.0, 2, 10, 7, 0.5
    model = ln.SpikingNetwork(
        size=(50,), inhibitory=[kind != "excitation"], strength=[[strength]], probability=[[0.6]], decay=[[tau]],
        external_rate=0.0, refractory_time=0.0, synapse="release",
        inhibition="current" if kind == "current" else "conductance",
    )  # fmt: skip
    result = quadrature(model, dt, (order, order), cells, depth=0.7, dt=dt, every=1)
    layout, rng = result.layout, np.random.default_rng(3)
    width, q, excess = layout.row, 1 - np.exp(-dt / tau), -0.4 * mean
    state, work = new_state(layout), new_work(layout)
    before = rng.normal(size=(order + 1, 3, cells + below))
    for degree in range(3):
        state.families[0, :, degree * width : degree * width + cells + below] = before[:, degree]
    state.moments[0, MEAN], state.moments[0, VARIANCE] = mean, excess
    inputs = Inputs(*(np.zeros((1, 1)) for _ in range(4)))
    run_released(layout, state, work, inputs, new_output(layout, np.array([1])))

    lattice = Lattice(model, 1, cells, below, dt)
    expected, share = np.zeros_like(before), weights(mean, excess, q, order, 160)
    for n, j in np.ndindex(order + 1, 160):
        if np.abs(share[:, n, j]).max() > 1e-15:
            moved, above = lattice.kick(before[n], j)
            moved[:, below] += above * plain.basis(np.array(0.0))  # no refractory period
            expected += share[:, n, j, None, None] * moved
    found = state.families[0, :, : 3 * width].reshape(order + 1, 3, width)
    np.testing.assert_allclose(found[:, :, : cells + below], expected, rtol=0, atol=2e-10 * np.abs(expected).max())
    assert not found[:, :, cells + below :].any()
