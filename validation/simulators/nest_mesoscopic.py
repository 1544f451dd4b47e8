"""Populations of neurons with escape noise in NEST: their mesoscopic equation, or the network of its neurons.

What:     `gif_pop_psc_exp` (Schwalger, Deger & Gerstner, PLoS Comput. Biol. 13 (2017)) or `gif_psc_exp`, one thread.
Command:  PYTHON_WITH_NEST validation/simulators/nest_mesoscopic.py MODEL.json OUT.npz population|neurons MS SEED
          MODEL.json: size, strength [target][source] (mV, signed), in_degree, delay, membrane_time, threshold, reset,
          refractory_time, drive (mV), softness (Delta_V, mV), escape_rate (per s), synapse (ms). OUT.npz gets the
          spikes of each population in steps of 0.1 ms; one JSON line says the CPU time.
Licence:  NEST is GPL: this file runs in a process of its own, and nothing of largen imports it.
"""

import json
import sys
import time

import nest
import numpy as np

STEP, CAPACITANCE = 0.1, 250.0


def neurons_of(model, count):
    """Parameters of the neuron, for `count` in a population, or None for single ones."""
    tau = model["membrane_time"]
    own = {
        "C_m": CAPACITANCE, "E_L": 0.0, "V_reset": model["reset"], "V_T_star": model["threshold"],
        "Delta_V": model["softness"], "lambda_0": model["escape_rate"], "t_ref": model["refractory_time"],
        "I_e": model["drive"] * CAPACITANCE / tau, "tau_syn_ex": model["synapse"], "tau_syn_in": model["synapse"],
    }  # fmt: skip
    if count is None:
        return own | {"g_L": CAPACITANCE / tau, "tau_sfa": (), "q_sfa": (), "tau_stc": (), "q_stc": (), "V_m": 0.0}
    return own | {"tau_m": tau, "N": count, "tau_sfa": [100.0], "q_sfa": [0.0]}  # no adaptation


def build(model, kind):
    """Make and connect all; returns what is recorded."""
    degree, size = np.asarray(model["in_degree"]), model["size"]
    # A spike brings a current that moves the potential by its strength in all.
    weight = np.asarray(model["strength"]) * CAPACITANCE / model["synapse"]
    if kind == "population":
        cells = [nest.Create("gif_pop_psc_exp", 1, neurons_of(model, count)) for count in size]
        for a, b in np.ndindex(*degree.shape):
            how = {"weight": weight[a, b] * degree[a, b] / size[b], "delay": model["delay"]}
            nest.Connect(cells[b], cells[a], "all_to_all", how)
        recorders = [nest.Create("multimeter", {"record_from": ["n_events"], "interval": STEP}) for _ in size]
        for recorder, cell in zip(recorders, cells, strict=True):
            nest.Connect(recorder, cell)
        return recorders
    cells = [nest.Create("gif_psc_exp", count, neurons_of(model, None)) for count in size]
    for a, b in np.ndindex(*degree.shape):
        how = {"weight": weight[a, b], "delay": model["delay"]}
        nest.Connect(cells[b], cells[a], {"rule": "fixed_indegree", "indegree": int(degree[a, b])}, how)
    recorders = [nest.Create("spike_recorder") for _ in size]
    for recorder, cell in zip(recorders, cells, strict=True):
        nest.Connect(cell, recorder)
    return recorders


def main(model_file, out, kind, duration, seed):
    """Run, write the spikes, and print the CPU time."""
    with open(model_file) as file:
        model = json.load(file)
    nest.set_verbosity("M_ERROR")
    nest.ResetKernel()
    nest.SetKernelStatus({"resolution": STEP, "local_num_threads": 1, "rng_seed": seed})
    recorders = build(model, kind)
    nest.Prepare()
    began = time.process_time()
    nest.Run(duration)
    cpu = time.process_time() - began
    nest.Cleanup()
    steps = round(duration / STEP)
    spikes = np.zeros((len(recorders), steps), np.int64)
    for a, recorder in enumerate(recorders):
        found = recorder.get("events")
        place = np.rint(np.asarray(found["times"]) / STEP).astype(int) - 1
        kept = (place >= 0) & (place < steps)
        number = np.asarray(found["n_events"])[kept] if kind == "population" else 1
        np.add.at(spikes[a], place[kept], np.int64(number) if kind == "neurons" else number.astype(np.int64))
    np.savez(out, spikes=spikes)
    print(json.dumps({"simulator": f"NEST {nest.__version__}", "cpu_per_second": cpu / duration * 1e3}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5]))
