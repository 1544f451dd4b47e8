"""Where Brunel's network A begins to oscillate: Hopf lines in eta at given g, in continuous time and of the reduction.

What:     The value of eta at which the leading mode of the network with a delay of 1.5 ms neither grows nor decays, and
          its frequency: by the delay equation of its diffusion limit, and by the reduction of delta synapses,
          linearised at its steady state, at four steps and extrapolated in the root of the step (four terms); 25 bins
          from reset to threshold (`slow`: 50). `fast`: the oscillation of about 1/(4 delay) at high eta; `slow`: that
          of some 30 Hz at low eta.
Source:   N. Brunel, J. Comput. Neurosci. 8 (2000), section 4 and figure 2 A (lines without numbers).
Run time: about 5 CPU minutes.
Command:  OPENBLAS_NUM_THREADS=1 python validation/delay_lines.py fast slow
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from study import Results, main

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from spiking_delay_roots import DelayEquation, LinearStep, in_units, secant

# Parameters -----------------------------------------------------------------------------------------------------

STEPS = (0.1, 0.05, 0.025, 0.0125)
FAST = ((8.0, 2.7, 160.0), (7.0, 3.0, 170.0), (6.0, 3.4, 180.0), (5.0, 4.6, 187.0))
SLOW = ((4.5, 0.91, 30.0), (5.0, 0.89, 29.0))
"""g, and where to look for eta and the frequency (Hz)."""

# Problem --------------------------------------------------------------------------------------------------------


def onset(mode_at: Callable[[float], Callable], eta: float, frequency: float) -> tuple[float, float]:
    """eta at which the growth of a mode is 0, and its frequency (Hz), by the secant method from a guess.

    Args:
        mode_at: The characteristic function of eta, a function of the root (1/ms).
        eta: A guess.
        frequency: A guess (Hz).
    """
    near = complex(0.0, 2e-3 * np.pi * frequency)

    def growth(eta: float) -> float:
        nonlocal near
        near = secant(mode_at(eta), near if near.real else near + 1e-4)
        return near.real

    a, b = eta, 1.02 * eta
    fa, fb = growth(a), growth(b)
    for _ in range(12):
        step = fb * (b - a) / (fb - fa)
        a, b, fa = b, b - float(np.clip(step, -0.1 * b, 0.1 * b)), fb
        if abs(b - a) < 1e-6:
            return b, float(in_units(near)[1])
        fb = growth(b)
    raise AssertionError(f"no onset near eta = {eta}")


# Run ------------------------------------------------------------------------------------------------------------


def fast(results: Results, small: bool) -> None:
    """Onset of the fast oscillation in eta, and its frequency: delay equation, and reduction at every step."""
    _lines(results, FAST[2:3] if small else FAST, STEPS[:1] if small else STEPS, 25)


def slow(results: Results, small: bool) -> None:
    """Onset of the slow oscillation, likewise."""
    _lines(results, SLOW[:1] if small else SLOW, STEPS[:1] if small else STEPS, 50)


def _lines(results, places, steps, bins):
    table = results.table("lines", "g", "of", ("eta", ".4f"), ("frequency (Hz)", ".1f"))
    for g, eta, frequency in places:
        theory = onset(lambda eta, g=g: DelayEquation(g, eta).residual, eta, frequency)
        table.add(g, "delay equation", *theory)
        found, near = [], theory
        for dt in steps:
            near = onset(lambda eta, g=g, dt=dt: LinearStep(g, eta, dt, above=bins).residual, *near)
            found.append(near)
            table.add(g, f"reduction, dt {dt:g}", *near)
        if len(steps) > 1:
            zero = np.polynomial.polynomial.polyfit(np.sqrt(steps), np.array(found), len(steps) - 1)[0]
            table.add(g, "reduction, dt to 0", *zero.tolist())


PARTS = (fast, slow)

if __name__ == "__main__":
    main(PARTS, __doc__)
