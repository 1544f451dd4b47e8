"""The rule for the bin width: at most half the stationary standard deviation of V that the noise alone makes.

Derived in docs/spiking.md (S23).
"""

import warnings
from typing import TYPE_CHECKING

import numpy as np

from largen.systems.spiking.discretisation import Discretisation
from largen.systems.spiking.reduction.layout import build_layout
from largen.systems.spiking.reduction.state import Work, new_output, new_state, new_work
from largen.systems.spiking.reduction.step import run_steps

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

DEFAULT_BINS = 25
"""Bins between reset and threshold unless the rule wants more: a width of 4 for a threshold of 100."""
MOST_BINS = 200
TRIAL = 200.0
"""Time for which the rule looks at the network, from rest (ms); it averages over the second half."""


def with_bin_width(discretisation: Discretisation, model: "SpikingNetwork", drive: np.ndarray) -> Discretisation:
    """The discretisation with a bin width: as given, else the paper's for its closure, else by the rule.

    Args:
        discretisation: With or without a bin width.
        model: The network, scaled to its number of neurons.
        drive: External kicks per ms at every step, shape (step, P), or (1, P) for a constant.
    """
    width = discretisation.bin_width
    if width is None:
        paper = discretisation.closure == "paper"
        width = 0.04 * float(model.threshold) if paper else automatic_width(model, drive, discretisation.dt)
    return discretisation._replace(bin_width=width)


def automatic_width(model: "SpikingNetwork", drive: np.ndarray, dt: float) -> float:
    """Width by the rule, the threshold divided by an integer from 25 to 200; arguments as for `widest_good`."""
    threshold = float(model.threshold)
    wanted = np.ceil(threshold / widest_good(model, drive, dt) - 1e-9)
    return threshold / float(np.clip(wanted, DEFAULT_BINS, MOST_BINS))


def widest_good(model: "SpikingNetwork", drive: np.ndarray, dt: float) -> float:
    """Half the stationary standard deviation of V, the smallest over populations; infinite without inhibition.

    Around its mean a potential relaxes at the rate kappa = 1/tau_m + sum_inh (release of s H)/(M - V_I), and is
    driven by white noise of intensity D = external + sum g^2 2 Var[s H]/tau: its standard deviation would be
    sqrt(D / (2 kappa)) if there were no threshold (S23). Both are averages over a short trial of the reduction.

    Args:
        model: The network, scaled to its number of neurons.
        drive: External kicks per ms at every step, shape (step, P), or (1, P) for a constant.
        dt: Step (ms).
    """
    layout = build_layout(model, Discretisation(bin_width=0.04 * float(model.threshold), dt=dt))
    work = new_work(layout)
    end = schedule_sampling(work, dt)
    run_steps(layout, new_state(layout), work, drive, new_output(layout, np.array([end])))
    return widest_sampled(work)


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
