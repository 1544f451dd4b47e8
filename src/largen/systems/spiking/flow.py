"""How a quadratic or an exponential neuron moves in a step without noise: a table, the same for network and reduction.

Between spikes such a neuron follows V' = F(V) + m with the constant drive m and

    exponential   F = [E - V + Delta_T exp((V - V_T)/Delta_T)]/tau_m                                             (S26)
    quadratic     F = (V - E) (V - V_T)/(tau_m Delta_T)                                                          (S27)

and one step is V <- phi(V), the flow over dt, then noise and kicks. phi is tabulated on equidistant points, linear
between them and beyond their ends, and ends at a cap far above the threshold, which stands for every potential above.
Sources: Fourcaud-Trocme, Hansel, van Vreeswijk & Brunel, J. Neurosci. 23 (2003), eq. 4; Ermentrout & Kopell, SIAM J.
Appl. Math. 46 (1986).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from largen.systems.spiking.constants import per_population

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

POINTS = 4001
CAP = 2.0
"""The cap lies this many times the span from reset to threshold above the threshold."""
_STEEPEST = 0.25
"""A substep is at most this part of the shortest time in which a difference of potentials grows e-fold."""
_FEWEST, _MOST = 64, 20_000


class Flow(NamedTuple):
    """phi of every population.

    Attributes:
        values: phi at the points, shape (P, point).
        first: First point, shape (P,).
        by: Distance of the points, shape (P,).
    """

    values: np.ndarray
    first: np.ndarray
    by: np.ndarray


def flow_tables(model: "SpikingNetwork", dt: float, lowest: np.ndarray) -> Flow:
    """Tabulate the flow of a step dt (ms) from a lowest potential, shape (P,), to the threshold."""
    high, reset = per_population(model, model.threshold), per_population(model, model.reset)
    points = np.linspace(lowest, high, POINTS, axis=1)
    cap = high + CAP * (high - reset)
    moved = [flow_of(speed(model, a), points[a], dt, high[a], cap[a]) for a in range(len(high))]
    return Flow(np.array(moved), np.array(lowest, np.float64), (high - lowest) / (POINTS - 1))


def speed(model: "SpikingNetwork", a: int) -> Callable[[np.ndarray], np.ndarray]:
    """V' of population a as a function of V (unit/ms), the constant drive included (S26, S27)."""
    numbers = (model.rest, model.soft_threshold, model.slope, model.membrane_time, model.external_mean)
    rest, soft, slope, membrane, drive = (float(per_population(model, value)[a]) for value in numbers)
    if model.neuron == "exponential":
        return lambda v: (rest - v + slope * np.exp((v - soft) / slope)) / membrane + drive
    return lambda v: (v - rest) * (v - soft) / (membrane * slope) + drive


def flow_of(function: Callable[[np.ndarray], np.ndarray], v: np.ndarray, dt: float, high: float, cap: float):
    """Potentials after dt from v, by Runge-Kutta steps of fourth order; above the cap they stay there.

    Args:
        function: V' of V; shape as v.
        v: Potentials, increasing.
        dt: Time (ms).
        high: Up to here the steps are short enough for what V' does.
        cap: Largest potential.
    """
    grid = np.linspace(v[0], high, 2001)
    steepest = float(np.max(np.abs(np.gradient(function(grid), grid))))
    steps = int(np.clip(np.ceil(dt * steepest / _STEEPEST), _FEWEST, _MOST))
    h, v = dt / steps, np.array(v, np.float64)
    for _ in range(steps):
        k1 = function(v)
        k2 = function(np.minimum(v + 0.5 * h * k1, cap))
        k3 = function(np.minimum(v + 0.5 * h * k2, cap))
        k4 = function(np.minimum(v + h * k3, cap))
        v = np.minimum(v + h * ((k1 + k4) / 6.0 + (k2 + k3) / 3.0), cap)
    return v
