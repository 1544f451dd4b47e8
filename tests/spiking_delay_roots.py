"""Modes of Brunel's network A: the roots of its delay equation, and those of the reduction's linearised step."""

import numba
import numpy as np
from scipy.special import exprel

import largen as ln
from largen.systems.spiking.drive import Drive
from largen.systems.spiking.reduction.direct.bins import with_depth
from largen.systems.spiking.reduction.direct.layout import build_layout
from largen.systems.spiking.reduction.direct.state import new_output, new_state, new_work
from largen.systems.spiking.reduction.direct.step import run_steps

TAU, THETA, RESET, WAIT, J, C, DELAY = 20.0, 20.0, 10.0, 2.0, 0.1, 1000, 1.5


class DelayEquation:
    """Brunel's network A with both populations as one, by threshold integration of its linearised flux.

    Source: Brunel, J. Comput. Neurosci. 8 (2000), eq. 48; Richardson, Phys. Rev. E 76 (2007), eqs. 17 to 33.
    """

    def __init__(self, g, eta, steps=5_000):
        self.g, self.external = g, eta * THETA / (J * TAU)  # per ms
        self.v = np.linspace(-60.0, THETA, steps + 1)
        rate = 0.02
        for _ in range(200):
            change = self._settle(rate) - rate
            rate += 0.2 * change
            if abs(change) < 1e-14:
                break
        self.rate = rate

    def moments(self, rate):
        mean = J * TAU * (C * rate * (1.0 - 0.25 * self.g) + self.external)
        return mean, J**2 * TAU * (C * rate * (1.0 + 0.25 * self.g**2) + self.external)

    def _settle(self, rate):
        """The rate per ms at these moments; keeps density and moments for `response`."""
        self.mean, self.variance = self.moments(rate)
        density = self._integrate(0.0, np.zeros_like(self.v), 1.0, entry=1.0)[0].real
        found = 1.0 / (WAIT + np.sum(density) * (self.v[1] - self.v[0]))
        self.density = density * found
        return found

    def _integrate(self, root, source, flux, entry):
        """Density p and flux j from the threshold down: -j' = root p - entry delta(v - V_r),
        -p' = [2 tau (j - source) - 2 (mean - v) p]/variance."""
        v, h = self.v, self.v[1] - self.v[0]
        at_reset = round((RESET - v[0]) / h)
        slope = -2.0 * (self.mean - v + 0.5 * h) / self.variance  # between the points, as the source
        grow, area = np.exp(h * slope), h * exprel(h * slope) * 2.0 * TAU / self.variance
        middle = 0.5 * (source + np.roll(source, 1))
        return _integrate(h, grow, area, middle, complex(root), complex(flux), complex(entry), at_reset)

    def response(self, root):
        """Rate per unit of a change of the mean and of the variance, both like exp(root t)."""
        ahead = np.exp(-root * WAIT)
        own = self._integrate(root, np.zeros_like(self.v), 1.0, entry=ahead)[1]
        slope = np.gradient(self.density, self.v)
        by_mean = self._integrate(root, self.density / TAU, 0.0, entry=0.0)[1]
        by_variance = self._integrate(root, -0.5 * slope / TAU, 0.0, entry=0.0)[1]
        return -by_mean / own, -by_variance / own

    def residual(self, root):
        by_mean, by_variance = self.response(root)
        back = by_mean * J * C * TAU * (1.0 - 0.25 * self.g) + by_variance * J**2 * C * TAU * (1.0 + 0.25 * self.g**2)
        return np.exp(-root * DELAY) * back - 1.0


@numba.njit
def _integrate(h, grow, area, middle, root, j, entry, at_reset):
    """See `DelayEquation._integrate`; `grow` and `area` are the steps' factors."""
    out = np.zeros(len(grow), np.complex128)
    p = 0.0j
    for k in range(len(grow) - 1, 0, -1):
        before = p
        p = p * grow[k] + (j + 0.5 * h * root * p - middle[k]) * area[k]
        out[k - 1] = p
        j = j + 0.5 * h * root * (before + p)
        if k - 1 == at_reset:
            j -= entry
    return out, j


class LinearStep:
    """The reduction's step of `dt` at the steady state of Brunel's network A, linearised; per neuron of a population.

    Both populations are alike. With y the numbers and moments of the bins, f the spikes per neuron that arrive and
    b those that leave the refractory pool, y' = A y + B f + E b, and c y + d f spike. In an eigenmode z^n the spikes f
    are those of `DELAY` before, b those of `WAIT` before, so that one number is left to be 0, as in `DelayEquation`.
    Kicks are Gaussian whatever their size, as in that equation.
    """

    def __init__(self, g, eta, dt, above=25):
        model = ln.SpikingNetwork.brunel(g=g, eta=eta)
        self.dt, grid = dt, with_depth(model, above, 2.0)
        self.layout = build_layout(model, dt, grid, gaussian=True)
        self.state, self.work = new_state(model, self.layout, grid, 10**6), new_work(self.layout)
        self.drive = Drive(np.full((1, 2), float(model.external_rate)), np.zeros((1, 2)), np.zeros((1, 2)))
        self.rate = self._settle()
        self._differentiate()

    def _step(self, arriving, leaving):
        """One step with these spikes per neuron; returns those of population 0."""
        self.state.sent[:], self.state.queue[:] = arriving, leaving * self.layout.size[:, None]
        output = new_output(self.layout, np.array([self.state.clock[0] + 1]), density=False)
        run_steps(self.layout, self.state, self.work, self.drive, output, np.zeros(4))
        return self.state.spikes[0] / self.layout.size[0]

    def _settle(self, follow=100.0):
        """The steady state, also where it is unstable: what arrives follows the rate within 100 ms only."""
        arriving, past = 0.03 * self.dt, np.zeros(round(WAIT / self.dt))
        for k in range(round(40.0 * follow / self.dt)):
            sent = self._step(arriving, past[k % len(past)])
            past[k % len(past)] = sent
            arriving += self.dt / follow * (sent - arriving)
            if k * self.dt > 5.0 * follow and abs(sent - arriving) < 1e-12 * arriving:
                break
        assert abs(sent - arriving) <= 1e-9 * arriving
        return arriving

    def _differentiate(self):
        state, bins, size = self.state, self.layout.bins, self.layout.size[0]
        start = np.stack([state.number, state.moment]).copy()
        at = start[:, 0].ravel() / size

        def change(y, arriving, leaving):
            state.number[:], state.moment[:] = start
            state.number[0], state.moment[0] = size * y[:bins], size * y[bins:]
            spikes = self._step(arriving, leaving)
            return np.concatenate([state.number[0] / size, state.moment[0] / size, [spikes]])

        columns, f = [], self.rate
        for j, unit in enumerate(np.eye(2 * bins)):
            e = 1e-6 * at[j % bins]
            both = (change(at + e * unit, f, f) - change(at - e * unit, f, f)) if e > 1e-19 else np.zeros(2 * bins + 1)
            columns.append(both / (2.0 * max(e, 1e-19)))
        e = 1e-5 * f
        columns.append((change(at, f + e, f) - change(at, f - e, f)) / (2.0 * e))
        columns.append((change(at, f, f + e) - change(at, f, f - e)) / (2.0 * e))
        self.matrix = np.stack(columns, axis=1)

    def residual(self, root):
        z, count = np.exp(root * self.dt), 2 * self.layout.bins
        a, b, e = self.matrix[:count, :count], self.matrix[:count, count], self.matrix[:count, count + 1]
        arriving, leaving = z ** -round(DELAY / self.dt), z ** -round(WAIT / self.dt)
        y = np.linalg.solve(z * np.eye(count) - a, b * arriving + e * leaving)
        return self.matrix[count, :count] @ y + self.matrix[count, count] * arriving - 1.0


def secant(residual, near):
    """The root near a guess (1/ms)."""
    a, b = near, near * (1.0 + 1e-3)
    fa, fb = residual(a), residual(b)
    for _ in range(30):
        a, b, fa = b, b - fb * (b - a) / (fb - fa), fb
        if abs(b - a) < 1e-10:
            return b
        fb = residual(b)
    raise AssertionError("no root near")


def in_units(root):
    """Growth per second and frequency in Hz."""
    return np.array([1e3 * root.real, 1e3 / (2.0 * np.pi) * root.imag])
