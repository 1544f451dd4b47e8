"""Cost of the quadrature: by order, its chain, its error estimate, many runs, synapses that kick at release; compiling.

What:     one core, CPU time of the process, the least of several rounds; set-up cancels by subtraction. The network has
          60 and 20 inputs, leak, 40 000 neurons in two populations; synapses that kick are those of
          `SpikingNetwork.kicks()`. A target is a number that the method must stay below on one core of today.
Run time: about 2 minutes of CPU time on one core.
Command:  OPENBLAS_NUM_THREADS=1 python benchmarks/quadrature.py speed many compiling
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from timing import best, clocked

import largen as ln

sys.path.insert(0, str(Path(__file__).parents[1] / "validation"))
from reduction import sparse
from study import Results, main

CASES = {
    "joint, as chosen": ({"closure": "joint"}, None),
    "orders (1, 1)": ({"orders": (1, 1)}, 0.08),
    "orders (2, 2)": ({"orders": (2, 2)}, None),
    "orders (3, 4)": ({"orders": (3, 4)}, 0.3),
    "orders (8, 8)": ({"orders": (8, 8)}, None),
    "chain, orders (4, 5)": ({"orders": (4, 5), "finite_size": True}, 1.5),
}
"""Options, and CPU seconds per biological second at most."""
WIDTH = 100.0 / 13.0


def per_second(model, rounds, duration, **options):
    """CPU seconds per biological second of a run with these options."""

    def run(end):
        ln.solve_limit(model, np.array([0.0, end]), **options)

    return (best(run, 10.0 + duration, rounds=rounds) - best(run, 10.0, rounds=rounds)) / duration * 1e3


def speed(results: Results, small: bool) -> None:
    """CPU seconds per biological second at given orders and cells of 1/13 of the threshold, without the estimate."""
    table = results.table("speed", "network", "method", ("CPU s per s", ".3g"), ("target", ".3g"))
    rounds, duration, model = (1, 20.0, sparse(40_000)) if small else (3, 500.0, sparse(40_000))
    for name, (options, target) in list(CASES.items())[: 2 if small else None]:
        more = {} if "closure" in options else {"closure": "quadrature", "error": False, "bin_width": WIDTH}
        table.add("60 and 20 inputs", name, per_second(model, rounds, duration, **(more | options)), target)
    kicking, closure = ln.SpikingNetwork.kicks(), {"closure": "quadrature", "error": False, "bin_width": WIDTH}
    for order in (0,) if small else (0, 1, 2, 4):
        name, options = f"orders ({order}, {order})", closure | {"orders": (order, order)}
        table.add("kicks at release, dt 0.1", name, per_second(kicking, rounds, duration, **options), None)


def many(results: Results, small: bool) -> None:
    """A thousand reductions of 1 s with everything chosen, and what the error estimate costs; CPU seconds."""
    table = results.table("many", "what", ("CPU s", ".3g"), ("target", ".3g"))
    model, times, count = sparse(40_000), np.arange(0.0, 51.0 if small else 1001.0), 1 if small else 5

    def run(error):
        ln.solve_limit(model, times, closure="quadrature", error=error)

    run(True)
    plain = sum(clocked(run, False) for _ in range(count)) / count
    table.add(f"a thousand, from {count}", 1000.0 * plain, None if small else 400.0)
    table.add("one with the estimate, times one without", clocked(run, True) / plain, None if small else 2.4)


WORK = """
import time
import numpy as np
import largen as ln
ln.solve_limit(ln.SpikingNetwork(), np.array([0.0, 1.0]), closure="joint")
options = {"closure": "quadrature", "orders": (1, 1), "bin_width": 10.0, "error": False}
began = time.process_time()
ln.solve_limit(ln.SpikingNetwork(), np.array([0.0, 1.0]), **options)
print(time.process_time() - began)
"""


def compiling(results: Results, small: bool) -> None:
    """The first run with an empty cache of compiled kernels, after one of the other reduction; CPU seconds."""
    table = results.table("compiling", "what", ("CPU s", ".3g"), ("target", ".3g"))
    with tempfile.TemporaryDirectory() as folder:
        for name, target in (("with an empty cache", 15.0), ("again", None)):
            environment = os.environ | {"NUMBA_CACHE_DIR": folder}
            done = subprocess.run(
                [sys.executable, "-c", WORK], env=environment, capture_output=True, text=True, check=True
            )
            table.add(name, float(done.stdout.split()[-1]), target)


PARTS = (speed, many, compiling)

if __name__ == "__main__":
    main(PARTS, __doc__)
