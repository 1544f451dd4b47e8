"""Compiling, starting again, two processes at once, and memory: each in processes of its own."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from report import CORES, MEMORY, START

PEERS = Path(__file__).parents[1] / "peers"
FIRST = """
import time
began = time.process_time()
import numpy as np
import largen as ln
times = np.arange(1001) * 0.1
{work}
print(time.process_time() - began, flush=True)
"""
OTHERS = "import jax, equinox, xarray, numba.np.linalg  # what largen stands on"
WORK = {
    "imports of JAX, Equinox, xarray, Numba alone": (OTHERS, None, None),
    "import largen and its model": ("ln.SpikingNetwork()", None, None),
    "simulate, spiking network": ("ln.simulate(ln.SpikingNetwork(), times)", 20.0, 1.5),
    "solve_limit, reduction": ("ln.solve_limit(ln.SpikingNetwork(), times, bin_width=4.0)", 20.0, 1.5),
    "solve_limit, chain": ("ln.solve_limit(ln.SpikingNetwork(), times, bin_width=4.0, finite_size=True)", None, 1.5),
    "simulate, balanced network": ("ln.simulate(ln.BalancedNetwork(), times[:11], n=400)", None, None),
}
LARGE = """
import json
import numpy as np
import largen as ln
model = ln.SpikingNetwork(connectivity={connectivity!r}).scaled({n})
times = np.arange({steps} + 1) * 0.1
estimate = model.plan(times, n={n}, method=None, record=(), dt=0.1).bytes
rate = ln.simulate(model, times, n={n})["rate"].values
from memory import peak
print(json.dumps([estimate / 1e9, peak(), float(np.isfinite(rate).all())]))
"""
PAIR = """
import sys
import time
import numpy as np
import largen as ln
times = np.arange(1001) * 0.1
ln.simulate(ln.SpikingNetwork(), times, n=4000)
print("ready", flush=True)
sys.stdin.readline()
began = time.perf_counter()
ln.simulate(ln.SpikingNetwork(), np.arange({steps} + 1) * 0.1, n=4000, seed=2)
print(time.perf_counter() - began)
"""


def process(code, **environment):
    """Wall time until a Python process prints its line, and the line."""
    began = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(PEERS)} | environment
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as running:
        line = running.stdout.readline()
        wall = time.perf_counter() - began
    assert running.returncode == 0
    return wall, line.strip()


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) for n in WORK])
def test_start(name, add, tmp_path):
    work, first_target, second_target = WORK[name]
    code = FIRST.format(work=work)
    _, cold = process(code, NUMBA_CACHE_DIR=str(tmp_path), JAX_COMPILATION_CACHE_DIR=str(tmp_path))
    runs = [process(code, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(5)]
    wall, cpu = min(run[0] for run in runs), min(float(run[1]) for run in runs)
    columns = {"first process, CPU": float(cold), "target": first_target}
    columns |= {"second process, CPU": cpu, "second process, wall": wall, "target ": second_target}
    add(START, work=name, **columns)
    assert cpu < float(cold) + 1.0


def together(count, steps):
    """Simulations per second of so many processes at once, all started and compiled."""
    code = PAIR.format(steps=steps)
    each = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES)
    running = [subprocess.Popen([sys.executable, "-c", code], **each) for _ in range(count)]
    os.sched_setaffinity(0, own)
    for p in running:
        assert p.stdout.readline().strip() == "ready"
    for p in running:
        p.stdin.write("\n")
        p.stdin.flush()
    return sum(1.0 / float(p.communicate()[0]) for p in running)


def test_two_processes(add, fast):
    steps = 50_000 if fast else 150_000
    turns = [together(2, steps) / together(1, steps) for _ in range(7)]
    work = "two networks of 4000 neurons at once: networks per second, over one alone (wall; median of 7 turns)"
    add(START, work=work, **{"second process, wall": statistics.median(turns), "target ": 1.9})
    print(f"turns: {[round(turn, 2) for turn in turns]}")
    assert min(turns) > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "connectivity", "steps"),
    [(100_000, "quenched", 100), (10_000_000, "annealed", 20), (100_000_000, "annealed", 5)],
)
def test_memory(n, connectivity, steps, add):
    _, line = process(LARGE.format(n=n, connectivity=connectivity, steps=steps))
    estimate, peak, finite = json.loads(line)
    add(MEMORY, network=connectivity, neurons=n, steps=steps, **{"estimate, GB": estimate, "peak, GB": peak})
    assert finite
