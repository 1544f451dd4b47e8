"""The default spiking network in plain numba loops (the reference of the tests), quenched; prints one JSON line.

What:     CPU time per biological second, from rest, by the difference of two durations (the graph drops out).
Differs:  no spikes recorded, only rates and pending spikes at every step; double precision.
Command:  python benchmarks/simulators/plain_numba_spiking.py NEURONS MILLISECONDS
"""

import json
import sys
import time
from pathlib import Path

import largen as ln

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from memory import peak

from systems.spiking import plain_kernel


def run(n, duration):
    model = ln.SpikingNetwork(connectivity="quenched").scaled(n)
    plain_kernel.run(model, 1.0, seed=1)
    spent = []
    for end in (0.1, duration):
        began = time.process_time()
        rate = plain_kernel.run(model, end, seed=1)[0]
        spent.append(time.process_time() - began)
    late = rate[:, rate.shape[1] // 5 :].mean(axis=1)
    return {
        "simulator": "plain numba",
        "n": n,
        "cpu_per_second": (spent[1] - spent[0]) / duration * 1e3,
        "rate": dict(zip("ei", late.tolist(), strict=True)),
        "gb": peak(),
    }


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), float(sys.argv[2]))))
