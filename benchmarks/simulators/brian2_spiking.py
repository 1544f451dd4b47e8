"""The default spiking network in Brian2, C++ standalone, one thread; prints one JSON line.

What:     CPU time of the network's own loop per biological second, by clock() around it in the generated program.
Differs:  a spike's pending part is released deterministically (an exponential synaptic variable), not spike by spike;
          the graph is quenched; spikes are recorded; double precision.
Run time: 12 to 20 s of C++ building, then the network.
Command:  PYTHON_WITH_BRIAN2 benchmarks/simulators/brian2_spiking.py NEURONS MILLISECONDS
"""

import json
import pathlib
import resource
import sys
import tempfile

import brian2 as b2
import numpy as np
from brian2 import ms


def run(n, duration):
    folder = tempfile.mkdtemp()
    b2.set_device("cpp_standalone", directory=folder, build_on_run=False)
    b2.prefs.devices.cpp_standalone.openmp_threads = 0
    b2.defaultclock.dt = 0.1 * ms
    b2.seed(1)
    scale = 400 / n
    sizes = {"e": 3 * n // 4, "i": n // 4}
    strength = {("e", "e"): 0.95, ("i", "e"): 1.25, ("e", "i"): 2.71, ("i", "i"): 2.45}  # (target, source)
    decay = {("e", "e"): 1.4, ("i", "e"): 1.2, ("e", "i"): 4.5, ("i", "i"): 4.5}
    probability = 0.8
    groups = {}
    for name, size in sizes.items():
        exciting, inhibiting = decay[name, "e"], decay[name, "i"]
        groups[name] = b2.NeuronGroup(
            size,
            f"""
            dv/dt = drift/ms + 7**0.5*xi/sqrt(ms) : 1 (unless refractory)
            drift = {strength[name, "e"] * scale / exciting}*he
                    - {strength[name, "i"] * scale / inhibiting}*hi*(v + 66)/166 + 7 : 1
            dhe/dt = -he/({exciting}*ms) : 1
            dhi/dt = -hi/({inhibiting}*ms) : 1
            """,
            threshold="v > 100",
            reset="v = 0",
            refractory="-4*ms*log(rand())",
            method="euler",
            name=f"neurons_{name}",
        )
    synapses = []
    for target in sizes:
        for source in sizes:
            link = b2.Synapses(
                groups[source], groups[target], on_pre=f"h{source}_post += 1", name=f"s_{target}{source}"
            )
            link.connect(p=probability)
            synapses.append(link)
    monitors = [b2.SpikeMonitor(group) for group in groups.values()]
    b2.device.insert_code("before_network_run", "std::clock_t largen_began = std::clock();")
    b2.device.insert_code(
        "after_network_run",
        'std::ofstream("cpu.txt") << double(std::clock() - largen_began) / CLOCKS_PER_SEC;',
    )
    network = b2.Network(*groups.values(), *synapses, *monitors)
    network.run(duration * ms)
    b2.device.build(directory=folder, compile=True, run=True, debug=False)
    cpu = float(pathlib.Path(folder, "cpu.txt").read_text())
    rates = {
        name: float(np.sum(np.asarray(m.t / ms) > duration / 5) / sizes[name] / (0.8 * duration) * 1e3)
        for name, m in zip(sizes, monitors, strict=True)
    }
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    return {
        "simulator": f"Brian2 {b2.__version__}",
        "n": n,
        "cpu_per_second": cpu / duration * 1e3,
        "rate": rates,
        "gb": memory,
    }


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), float(sys.argv[2]))))
