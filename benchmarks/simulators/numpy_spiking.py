"""The default spiking network in NumPy, whole populations at a time; prints one JSON line.

What:     CPU time of the loop per biological second, from rest.
Differs:  synapses drawn afresh (a stored graph would take N^2 additions a step); no spikes recorded; double precision.
Command:  python benchmarks/simulators/numpy_spiking.py NEURONS MILLISECONDS
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from memory import peak


def run(n, duration, dt=0.1):
    rng = np.random.default_rng(1)
    sizes = np.array([3 * n // 4, n // 4])
    strength = np.array([[0.95, 2.71], [1.25, 2.45]]) * 400 / n  # [target][source]
    decay = np.array([[1.4, 4.5], [1.2, 4.5]])
    leave = -np.expm1(-dt / 4.0)
    voltage = [np.zeros(size) for size in sizes]
    resting = [np.zeros(size, bool) for size in sizes]
    pending = [[np.zeros(size, np.int64) for _ in sizes] for size in sizes]
    steps, total = round(duration / dt), np.zeros(2)
    began = time.process_time()
    for step in range(steps):
        spikes = []
        for a, v in enumerate(voltage):
            (he, hi), (te, ti) = pending[a], decay[a]
            drift = strength[a, 0] * he / te - strength[a, 1] * hi / ti * (v + 66.0) / 166.0
            moved = v + dt * drift + 7.0 * dt + np.sqrt(7.0 * dt) * rng.standard_normal(len(v))
            v[~resting[a]] = moved[~resting[a]]
            fired = v > 100.0
            v[fired] = 0.0
            resting[a] |= fired
            resting[a] &= rng.random(len(v)) >= leave
            spikes.append(int(fired.sum()))
        for a, size in enumerate(sizes):
            for b in range(2):
                h = pending[a][b]
                np.maximum(h - rng.poisson(h * (dt / decay[a, b])), 0, out=h)
                if spikes[b]:
                    h += rng.binomial(spikes[b], 0.8, size)
        if step >= steps // 5:
            total += spikes
    cpu = time.process_time() - began
    rates = total / sizes / (0.8 * duration) * 1e3
    return {
        "simulator": f"NumPy {np.__version__}",
        "n": n,
        "cpu_per_second": cpu / duration * 1e3,
        "rate": dict(zip("ei", rates.tolist(), strict=True)),
        "gb": peak(),
    }


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), float(sys.argv[2]))))
