"""The default spiking network in largen, quenched, one thread; prints one JSON line.

What:     CPU time of the network's own loop per biological second, from rest, spikes recorded.
Command:  python benchmarks/simulators/largen_spiking.py NEURONS MILLISECONDS
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from memory import peak
from networks import DT, Spiking

import largen


def run(n, duration):
    steps = round(duration / DT)
    Spiking(n, "quenched", warm=2, window=1, record=("spikes",))  # compiles
    spent = []
    for _ in range(3):
        network = Spiking(n, "quenched", warm=0, window=steps, record=("spikes",))
        began = time.process_time()
        network()
        spent.append(time.process_time() - began)
    step, neuron = (np.concatenate(column) for column in zip(*network.spikes, strict=True))
    late = neuron[step > steps / 5]
    counts = np.bincount(np.searchsorted(np.cumsum(network.size), late, side="right"), minlength=2)
    rates = counts / network.size / (0.8 * duration) * 1e3
    return {
        "simulator": f"largen {largen.__version__}",
        "n": n,
        "cpu_per_second": min(spent) / duration * 1e3,
        "rate": dict(zip("ei", rates.tolist(), strict=True)),
        "gb": peak(),
    }


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), float(sys.argv[2]))))
