"""The reduction's slowest mode against the delay equation of Brunel's network, extrapolated to continuous time."""

import numpy as np
import pytest
from scipy.special import exprel

import largen as ln
from largen.systems.spiking.reduction.direct.bins import with_depth
from largen.systems.spiking.reduction.direct.layout import build_layout
from largen.systems.spiking.reduction.direct.state import Drive, new_output, new_state, new_work
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
            rate += 0.2 * (self._settle(rate) - rate)
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
        p, out = 0.0j, np.zeros(len(v), complex)
        j = complex(flux)
        at_reset = round((RESET - v[0]) / h)
        slope = -2.0 * (self.mean - v + 0.5 * h) / self.variance  # between the points, as the source
        grow, area = np.exp(h * slope), h * exprel(h * slope) * 2.0 * TAU / self.variance
        middle = 0.5 * (source + np.roll(source, 1))
        for k in range(len(v) - 1, 0, -1):
            before = p
            p = p * grow[k] + (j + 0.5 * h * root * p - middle[k]) * area[k]
            out[k - 1] = p
            j = j + 0.5 * h * root * (before + p) - (entry if k - 1 == at_reset else 0.0)
        return out, j

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

    def root(self, near):
        """The root near a guess (1/ms), by the secant method."""
        a, b = near, near * (1.0 + 1e-3)
        fa, fb = self.residual(a), self.residual(b)
        for _ in range(12):
            a, b, fa = b, b - fb * (b - a) / (fb - fa), fb
            fb = self.residual(b)
            if abs(b - a) < 1e-9:
                break
        return b


def pencil(series, dt, order=8):
    """Exponents (1/ms) of a sum of damped oscillations (Hua & Sarkar 1990)."""
    length = len(series) // 2
    rows = np.array([series[k : k + length + 1] for k in range(len(series) - length)])
    right = np.linalg.svd(rows, full_matrices=False)[2][:order]
    return np.log(np.linalg.eigvals(np.linalg.pinv(right[:, :-1].T) @ right[:, 1:].T).astype(complex)) / dt


def mode(g, eta, dt, above=25):
    """The slowest oscillation of the reduction (1/ms): what follows a small kick of the settled network.

    The delay equation is one of Gaussian noise, so kicks are Gaussian here whatever their size.
    """
    model = ln.SpikingNetwork.brunel(g=g, eta=eta)
    grid = with_depth(model, above, 2.0)
    layout = build_layout(model, dt, grid, gaussian=True)
    settled, window = round(250.0 / dt), np.arange(round(8.0 / dt), round(48.0 / dt) + 1, round(0.1 / dt))
    rate = np.full((settled + window[-1] + 1, 2), float(model.external_rate))
    rate[settled] *= 1.02
    drive = Drive(rate, np.zeros((1, 2)), np.zeros((1, 2)))
    steps = np.arange(settled + window[-1] + 1)
    output = new_output(layout, steps, density=False)
    run_steps(layout, new_state(model, layout, grid, len(steps)), new_work(layout), drive, output, np.zeros(4))
    spikes = output.spikes[0] - output.spikes[0, settled]
    found = pencil(spikes[settled + window], 0.1)
    found = found[found.imag > 0.3]
    return found[np.argmax(found.real)]


def extrapolated(values, steps):
    """Quadratic in the root of dt closest to the values, at dt = 0."""
    return np.polynomial.polynomial.polyfit(np.sqrt(steps), np.array(values), 2)[0]


@pytest.mark.long
def test_the_slowest_mode_of_brunels_network_is_the_root_of_its_delay_equation():
    theory = DelayEquation(8.0, 2.0)
    root = theory.root(-0.04 + 0.9j)
    assert 1e3 * root.real == pytest.approx(-40.8, abs=0.5)
    assert 1e3 * root.imag / (2.0 * np.pi) == pytest.approx(143.9, abs=0.3)
    steps = [0.1, 0.05, 0.025, 0.0125]
    found = [mode(8.0, 2.0, dt) for dt in steps]
    growth = 1e3 * extrapolated([value.real for value in found], steps)
    frequency = 1e3 / (2.0 * np.pi) * extrapolated([value.imag for value in found], steps)
    assert growth == pytest.approx(1e3 * root.real, abs=3.0)
    assert frequency == pytest.approx(1e3 * root.imag / (2.0 * np.pi), abs=1.0)
    # At a fixed step the growth is off by far more: the comparison needs the extrapolation.
    assert 1e3 * found[0].real == pytest.approx(-110.2, abs=1.0)
