"""Where the first-moment closure "joint" must not be believed: neurons driven to their spikes by synaptic noise.

"joint" knows of the pending spikes of a neuron their mean, given its potential, and not the rest of their law. That is
little where a neuron's potential is carried to the threshold by its mean, or by noise from outside; where it lies below
and is carried there by rare excursions of the synaptic input, the rate hangs on the tails of their joint law. Two
numbers tell, from the rates r of the run itself:

    rho = r t_m,  1/t_m = 1/tau_m + sum_inh s kappa r/(M - V_I):   spikes in a time for which the potential remembers,
    S = V_syn/(V_syn + D t_m/2),  V_syn = sum_c q_c t_m^2/(tau_c + t_m):  share of synapses in its variance,    (S70)

q_c and D as in (S66). Of 109 random networks (30 to 3000 inputs, or 20 to 200), measured by the quadrature, "joint"
is off by more than 5 % in 21, up to 35 %. All of these have a population with rho < 0.16 and S > 0.7, as have 18
others, of which 2 are off by less than 2 %. The law is of experience; on networks that oscillate it says nothing.
"""

from typing import TYPE_CHECKING

import numpy as np

from largen.systems.spiking import constants
from largen.systems.spiking.reduction.layout import drive_moments

if TYPE_CHECKING:
    from largen.systems.spiking.model import SpikingNetwork

FEW, MOST = 0.16, 0.7
"""Fewer spikes per memory than this, and a larger share of synapses in the variance, are doubtful."""
SILENT = 0.05
"""Rates below this (Hz) are as good as none."""
SHORTEST = 150.0
"""Runs shorter than this (ms) have no rates to judge by."""


def drive_of_rate(model: "SpikingNetwork", rates: np.ndarray, kicks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both numbers of (S70), each of shape (P,), at rates (Hz) and units of the drive, each of shape (P,)."""
    r = rates / 1000.0
    leak = 1.0 / constants.per_population(model, model.membrane_time)
    external = kicks * drive_moments(model)[1]
    strength, flow = np.array(model.strength), constants.in_degrees(model) * r
    pull = np.where(model.inhibitory, strength * flow, 0.0).sum(1) / float(model.threshold - model.reversal)
    with np.errstate(divide="ignore"):
        memory = np.minimum(1.0 / (leak + pull), 1e6)[:, None]
    synaptic = (strength**2 * flow * memory**2 / (np.array(model.decay) + memory)).sum(1)
    whole = synaptic + 0.5 * external * memory[:, 0]
    return r * memory[:, 0], synaptic / np.where(whole > 0.0, whole, 1.0)


def warning_for(model: "SpikingNetwork", rates: np.ndarray, kicks: np.ndarray) -> str:
    """What to say of a result of "joint" with these rates (Hz); empty where nothing speaks against it."""
    few, share = drive_of_rate(model, rates, kicks)
    named = np.asarray(model.populations)[(few < FEW) & (share > MOST) & (rates > SILENT)]
    if not len(named):
        return ""
    return (
        f"rates driven by synaptic noise ({', '.join(named.tolist())}): closure='joint' may be off by 2 to 30 per "
        "cent; closure='quadrature' says by how much"
    )
