"""The rules for the bins: how wide, and how far down.

The width is at most half the stationary standard deviation of V that the noise alone makes, derived in docs/spiking.md
(S23). The lowest bin must hold hardly anybody, because nothing leaves it downwards.
"""

import warnings
from typing import TYPE_CHECKING

import numpy as np

from largen.systems.spiking.discretisation import BELOW_RESET, MAX_LOWEST, Discretisation
from largen.systems.spiking.reduction.layout import Layout, build_layout
from largen.systems.spiking.reduction.state import Work, new_output, new_state, new_work
from largen.systems.spiking.reduction.step import run_steps

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

DEFAULT_BINS = 25
"""Bins between reset and threshold unless the rule wants more: a width of 4 for a threshold of 100."""
DEFAULT_WIDTH = 0.04
"""The same as a width, in thresholds; it is the paper's."""
MOST_BINS = 200
TRIAL = 200.0
"""Time for which the rule looks at the network, from rest (ms); it averages over the second half."""


def with_bins(discretisation: Discretisation, model: "SpikingNetwork", drive: np.ndarray) -> Discretisation:
    """The discretisation with a bin width and a depth: as given, else the paper's for its closure, else by the rules.

    Args:
        discretisation: With or without a bin width and a depth.
        model: The network, scaled to its number of neurons.
        drive: External kicks per ms at every step, shape (step, P), or (1, P) for a constant.
    """
    if discretisation.closure == "paper":
        width = discretisation.bin_width or DEFAULT_WIDTH * float(model.threshold)
        return discretisation._replace(bin_width=width)
    widest, below = try_out(model, drive, discretisation.dt, discretisation.below)
    width = discretisation.bin_width
    if width is None:
        wanted = np.ceil(float(model.threshold) / widest - 1e-9)
        width = float(model.threshold) / float(np.clip(wanted, DEFAULT_BINS, MOST_BINS))
    return discretisation._replace(bin_width=width, below=below)


def automatic_width(model: "SpikingNetwork", drive: np.ndarray, dt: float) -> float:
    """Width by the rule, the threshold divided by an integer from 25 to 200; arguments as for `try_out`."""
    width = with_bins(Discretisation(dt=dt), model, drive).bin_width
    assert width is not None
    return width


def widest_good(model: "SpikingNetwork", drive: np.ndarray, dt: float) -> float:
    """The widest good bin of `try_out`."""
    return try_out(model, drive, dt, None)[0]


def try_out(model: "SpikingNetwork", drive: np.ndarray, dt: float, below: float | None) -> tuple[float, float | None]:
    """Run the reduction for a short time: the widest good bin, and how far the bins must reach below the reset.

    The widest good bin is half the stationary standard deviation of V, the smallest over populations; infinite without
    inhibition. Around its mean a potential relaxes at the rate kappa = 1/tau_m + sum_inh (release of s H)/(M - V_I),
    and is driven by white noise of intensity D = external + sum g^2 (that of the charges): its standard deviation would
    be sqrt(D / (2 kappa)) if there were no threshold (S23). Both are averages over the run. The depth is doubled until
    the lowest bin holds hardly anybody.

    Args:
        model: The network, scaled to its number of neurons.
        drive: External kicks per ms at every step, shape (step, P), or (1, P) for a constant.
        dt: Step (ms).
        below: Depth to begin with, in thresholds.
    """
    width = DEFAULT_WIDTH * float(model.threshold)
    while True:
        layout = build_layout(model, Discretisation(bin_width=width, dt=dt, below=below))
        work = new_work(layout)
        end = schedule_sampling(work, dt)
        run_steps(layout, new_state(layout, end), work, drive, new_output(layout, np.array([end])))
        if not reaches_too_low(work, layout, end):
            return widest_sampled(work), below
        below = deeper(below)


def reaches_too_low(work: Work, layout: Layout, steps: int) -> bool:
    """Whether the lowest bin held more than next to nobody, averaged over a run of so many steps."""
    return bool(np.any(work.lowest > MAX_LOWEST * layout.size * max(steps, 1)))


def deeper(below: float | None) -> float:
    """The next depth to try."""
    return 2.0 * (BELOW_RESET if below is None else below)


def schedule_sampling(work: Work, dt: float) -> int:
    """Let a run from rest sample its fluctuations for the rule; returns the number of steps that it must have."""
    every = max(round(1.0 / dt), 1)
    end = round(TRIAL / dt) // every * every
    work.sampling[:] = -(-(end // 2) // every) * every, end, every
    return end


def widest_sampled(work: Work) -> float:
    """The widest good bin, as `widest_good`, from a run that sampled its fluctuations."""
    first, last, every = work.sampling
    intensity, relaxation = work.fluctuation / ((last - first) // every + 1)
    # A population without noise has no width to resolve; without relaxation its width knows no bound.
    spread = np.full(len(intensity), np.inf)
    np.divide(intensity, 2.0 * relaxation, out=spread, where=(intensity > 0.0) & (relaxation > 0.0))
    return float(np.min(0.5 * np.sqrt(spread)))


def warn_of_width(discretisation: Discretisation, widest: float) -> None:
    """Warn where the bins are wider than the widest good ones; bins with linear deviations may be twice as wide."""
    width = discretisation.bin_width
    assert width is not None
    widest *= 2.0 if discretisation.linear_in_bin else 1.0
    if width > widest * (1.0 + 1e-9):
        warnings.warn(
            f"Argument `bin_width` should be at most {widest:.3g} to resolve this network's potentials, but is "
            f"{width:g}: rates may be off by several per cent.",
            stacklevel=2,
        )
