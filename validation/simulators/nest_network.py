"""A `SpikingNetwork` of largen in NEST, one thread; writes its spikes and prints one JSON line.

What:     leaky neurons with delta or exponential synapses, current inhibition, fixed refractory periods, a Poisson
          background, quenched graphs: iaf_psc_delta and iaf_psc_exp, spikes on the grid of steps.
Command:  PYTHON_WITH_NEST validation/simulators/nest_network.py MODEL.json SPIKES.npz MILLISECONDS SEED [STEP]
          MODEL.json has the fields of the model as plain values, such as `largen.parameters.plain.to_plain` gives.
Licence:  NEST is GPL: this file runs in a process of its own, and nothing of largen imports it.
"""

import json
import sys
import time

import nest
import numpy as np

ANY_CAPACITANCE = 250.0  # pF, where the model gives potentials: it cancels


def pairs(value, count):
    """[target][source] from such a table or one number for all."""
    return np.broadcast_to(np.asarray(value, float), (count, count))


def each(value, count):
    """One number for each population."""
    return np.broadcast_to(np.asarray(value, float), (count,))


def build(model, dt):
    """Make neurons, background and synapses; returns the neurons of each population and the recorder."""
    count, size = len(model["size"]), model["size"]
    one = {name: each(model.get(name, default), count) for name, default in ONE.items()}
    start = model.get("initial_mean")
    start = one["reset"] if start is None else each(start, count)
    delta = model["synapse"] == "delta"
    if not delta and model["synapse"] != "exponential":
        raise ValueError(f"synapse {model['synapse']!r}: only delta and exponential ones are in NEST")
    if model["inhibition"] != "current" or model["refractory"] != "fixed" or model.get("neuron", "leaky") != "leaky":
        raise ValueError("only leaky neurons with current inhibition and a fixed refractory period")
    capacitance = each(model.get("capacitance") or ANY_CAPACITANCE, count)
    decay, inhibits = pairs(model["decay"], count), np.asarray(model["inhibitory"], bool)
    cells = []
    for a in range(count):
        own = {"E_L": one["rest"][a], "V_reset": one["reset"][a], "V_th": one["threshold"][a], "C_m": capacitance[a],
               "tau_m": one["membrane_time"][a], "t_ref": one["refractory_time"][a],
               "I_e": capacitance[a] * one["external_mean"][a]}  # fmt: skip
        if not delta:
            for name, sources in (("tau_syn_ex", ~inhibits), ("tau_syn_in", inhibits)):
                found = np.unique(decay[a, sources])
                if len(found) > 1:
                    raise ValueError("one time constant for excitation and one for inhibition")
                own[name] = found[0] if len(found) else 1.0
        cells.append(nest.Create("iaf_psc_delta" if delta else "iaf_psc_exp", int(size[a]), own))
        if one["initial_spread"][a] > 0.0:
            cells[a].V_m = nest.random.normal(mean=start[a], std=one["initial_spread"][a])
        else:
            cells[a].V_m = start[a]
    background(model, cells, one, capacitance, delta, dt)
    strength, scale = pairs(model["strength"], count), np.ones((count, count))
    if not delta and model.get("capacitance") is None:
        scale = capacitance[:, None] / decay
    for a in range(count):
        for b in range(count):
            connect(model, cells, a, b, scale[a, b] * strength[a, b] * (-1.0 if inhibits[b] else 1.0), count, dt)
    recorder = nest.Create("spike_recorder")
    for population in cells:
        nest.Connect(population, recorder)
    return cells, recorder


ONE = {"rest": 0.0, "reset": 0.0, "threshold": 100.0, "membrane_time": 20.0, "refractory_time": 0.0,
       "external_mean": 0.0, "external_rate": 0.0, "external_decay": 0.0, "initial_spread": 0.0}  # fmt: skip


def background(model, cells, one, capacitance, delta, dt):
    """Independent Poisson spikes for every neuron."""
    kick = model.get("external_strength")
    for a, population in enumerate(cells):
        if one["external_rate"][a] == 0.0:
            continue
        if model.get("external") != "poisson" or kick is None:
            raise ValueError("only a Poisson background with an external_strength")
        size = each(kick, len(cells))[a]
        if not delta and model.get("capacitance") is None:
            size = size * capacitance[a] / one["external_decay"][a]
        drive = nest.Create("poisson_generator", params={"rate": 1e3 * one["external_rate"][a]})
        nest.Connect(drive, population, syn_spec={"weight": size, "delay": dt})


def connect(model, cells, a, b, weight, count, dt):
    """All synapses from population b to population a."""
    if weight == 0.0:
        return
    if model.get("in_degree") is not None:
        rule = {"rule": "fixed_indegree", "indegree": int(pairs(model["in_degree"], count)[a, b])}
    elif model.get("synapses") is not None:
        rule = {"rule": "fixed_total_number", "N": int(pairs(model["synapses"], count)[a, b])}
    else:
        rule = {"rule": "pairwise_bernoulli", "p": float(pairs(model["probability"], count)[a, b])}
    if list(rule.values())[1] == 0:
        return
    delay = pairs(model.get("delay", 0.0), count)[a, b]
    spread = pairs(model.get("delay_spread", 0.0), count)[a, b]
    how = {"weight": weight, "delay": max(1, int(delay / dt + 0.5 + 1e-9)) * dt}
    if spread > 0.0:
        how["delay"] = nest.math.redraw(nest.random.normal(mean=delay, std=spread * delay), min=dt / 2, max=np.inf)
    sd = pairs(model.get("strength_spread", 0.0), count)[a, b] * abs(weight)
    if sd > 0.0:
        ends = {"min": 0.0, "max": np.inf} if weight > 0.0 else {"min": -np.inf, "max": 0.0}
        how["weight"] = nest.math.redraw(nest.random.normal(mean=weight, std=sd), **ends)
    nest.Connect(cells[b], cells[a], rule, how)


def main(model_file, spikes_file, duration, seed, dt=0.1):
    """Run, write the spikes, and print rates and CPU time."""
    with open(model_file) as file:
        model = json.load(file)
    nest.set_verbosity("M_ERROR")
    nest.ResetKernel()
    nest.SetKernelStatus({"resolution": dt, "local_num_threads": 1, "rng_seed": seed})
    began = time.process_time()
    cells, recorder = build(model, dt)
    nest.Prepare()
    built = time.process_time()
    nest.Run(duration)
    ran = time.process_time()
    nest.Cleanup()
    found = recorder.get("events")
    firsts = [population[0].global_id for population in cells]
    np.savez(spikes_file, times=found["times"], senders=found["senders"], firsts=firsts, sizes=model["size"])
    said = {
        "simulator": f"NEST {nest.__version__}",
        "synapses": int(nest.num_connections),
        "building": built - began,
        "cpu_per_second": (ran - built) / duration * 1e3,
        "spikes": len(found["times"]),
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), *map(float, sys.argv[5:]))
