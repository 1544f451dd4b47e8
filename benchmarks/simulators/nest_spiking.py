"""A network of the default's sizes and strengths in NEST (iaf_psc_exp), one thread; prints one JSON line.

What:     CPU time of Simulate per biological second.
Differs:  current-based inhibition (iaf_psc_exp has no reversal potential), deterministic release, a fixed refractory
          period, spikes of a Poisson generator as drive; the graph is quenched; spikes are recorded; double precision.
Command:  PYTHON_WITH_NEST benchmarks/simulators/nest_spiking.py NEURONS MILLISECONDS
"""

import json
import sys
import time
from pathlib import Path

import nest

sys.path.insert(0, str(Path(__file__).parents[1]))
from memory import peak


def run(n, duration):
    nest.set_verbosity("M_ERROR")
    nest.ResetKernel()
    nest.SetKernelStatus({"resolution": 0.1, "local_num_threads": 1, "rng_seed": 1})
    scale = 400 / n
    sizes = {"e": 3 * n // 4, "i": n // 4}
    strength = {("e", "e"): 0.95, ("i", "e"): 1.25, ("e", "i"): 2.71, ("i", "i"): 2.45}  # (target, source)
    decay = {("e", "e"): 1.4, ("i", "e"): 1.2, ("e", "i"): 4.5, ("i", "i"): 4.5}
    cells = {
        name: nest.Create(
            "iaf_psc_exp",
            size,
            {
                "E_L": 0.0, "V_m": 0.0, "V_reset": 0.0, "V_th": 100.0, "C_m": 1.0, "tau_m": 1e5, "t_ref": 4.0,
                "tau_syn_ex": decay[name, "e"], "tau_syn_in": decay[name, "i"],
            },
        )
        for name, size in sizes.items()
    }  # fmt: skip
    drive = nest.Create("poisson_generator", params={"rate": 7000.0})
    recorder = nest.Create("spike_recorder")
    for target in sizes:
        nest.Connect(drive, cells[target], syn_spec={"weight": 1.0 / decay[target, "e"], "delay": 0.1})
        nest.Connect(cells[target], recorder)
        for source in sizes:
            sign = 1 if source == "e" else -0.5  # the mean of (V + 66) / 166 is about one half
            weight = sign * strength[target, source] * scale / decay[target, source]
            nest.Connect(
                cells[source], cells[target], {"rule": "pairwise_bernoulli", "p": 0.8}, {"weight": weight, "delay": 0.1}
            )
    nest.Prepare()
    began = time.process_time()
    nest.Run(duration)
    cpu = time.process_time() - began
    nest.Cleanup()
    spikes = nest.GetKernelStatus("local_spike_counter")
    rate = spikes / n / duration * 1e3
    return {
        "simulator": f"NEST {nest.__version__}",
        "n": n,
        "cpu_per_second": cpu / duration * 1e3,
        "rate": {"all": rate},
        "gb": peak(),
    }


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), float(sys.argv[2]))))
