"""Stationary rates of a `SpikingNetwork` of largen by NNMT, the diffusion theory of neurons with exponential synapses.

What:     leaky neurons, exponential synapses with one time constant, a Poisson background through the same synapses:
          Siegert's formula with shifted threshold and reset (Fourcaud & Brunel 2002), self-consistent.
Command:  PYTHON_WITH_NNMT validation/simulators/nnmt_rates.py MODEL.json
          MODEL.json has the fields of the model as plain values; prints one JSON line.
Licence:  NNMT is GPL: this file runs in a process of its own, and nothing of largen imports it.
"""

import importlib.metadata
import json
import sys

import nnmt.lif
import numpy as np


def main(file):
    """Print version and rates (Hz)."""
    with open(file) as text:
        model = json.load(text)
    size, inhibits = np.asarray(model["size"], float), np.asarray(model["inhibitory"], bool)
    count, capacitance = len(size), float(np.ravel(model["capacitance"])[0])
    tau = np.unique(np.asarray(model["decay"], float))
    if len(tau) != 1 or np.any(np.asarray(model["external_decay"]) != tau[0]) or model["external"] != "poisson":
        raise ValueError("one synaptic time constant, and a Poisson background through it")
    if np.any(model.get("external_mean", 0.0)):
        raise ValueError("no constant drive")
    one = {name: np.broadcast_to(np.asarray(model[name], float), (count,)) for name in ONE}
    # A current of 1 pA that decays with tau moves the potential by tau/C in all; NNMT counts in V and s.
    jump = 1e-3 * tau[0] / capacitance * np.asarray(model["strength"], float)
    degree = np.asarray(model["synapses"], float) / size[:, None]
    rates = nnmt.lif.exp._firing_rates(
        J=np.where(inhibits, -jump, jump),
        K=degree,
        V_0_rel=1e-3 * (one["reset"] - one["rest"]),
        V_th_rel=1e-3 * (one["threshold"] - one["rest"]),
        tau_m=1e-3 * one["membrane_time"],
        tau_r=1e-3 * one["refractory_time"],
        tau_s=1e-3 * tau[0],
        J_ext=(1e-3 * tau[0] / capacitance * one["external_strength"])[:, None],
        K_ext=(one["external_rate"] / one["external_rate"].max())[:, None],
        nu_ext=np.array([1e3 * one["external_rate"].max()]),
        method="shift",
    )
    print(json.dumps({"simulator": f"NNMT {importlib.metadata.version('nnmt')}", "rates": np.ravel(rates).tolist()}))


ONE = (
    "reset", "rest", "threshold", "membrane_time", "refractory_time", "external_strength", "external_rate",
)  # fmt: skip

if __name__ == "__main__":
    main(sys.argv[1])
