"""Speed and memory of networks of the literature: Brunel's and the cortical microcircuit.

What:     one core, CPU time of the process per second of the network, lists and all; the largest resident memory.
Run time: about two minutes of CPU time on one core and 2.3 GB of memory.
Command:  OPENBLAS_NUM_THREADS=1 python benchmarks/published.py PART, one of those at the end of this file
"""

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "validation"))
from study import Results, main

RUN = """
import json, time
import numpy as np
import largen as ln
from memory import peak
model, stop = ln.SpikingNetwork.{preset}.replace(connectivity={connectivity!r}), {stop}
n = int(np.sum(model.size))
ln.simulate(model.scaled(n // {fewer}), np.arange(0.0, 2.0), realisations=1, record="spikes")  # compiles
began = time.process_time()
ln.simulate(model, np.arange(0.0, 1.5), realisations=1, record="spikes")
lists = time.process_time() - began
began = time.process_time()
run = ln.simulate(model, np.arange(0.0, stop + 0.5), realisations=1, record="spikes")
run_s = time.process_time() - began - lists
estimate = model.plan(np.arange(0.0, stop + 0.5), n=n, method=None, record=("spikes",)).bytes
print(json.dumps([n, lists, 1000.0 * run_s / (stop - 1.0), estimate / 1e9, peak()]))
"""


def networks(results: Results, small: bool) -> None:
    """CPU seconds to make the lists and to run a second of the network, and memory, each in a process of its own."""
    table = results.table(
        "networks", "network", "connectivity", "neurons", ("lists (s)", ".3g"), ("s per s", ".3g"),
        ("estimate (GB)", ".3g"), ("peak (GB)", ".3g"),
    )  # fmt: skip
    cases = (
        ("brunel(n_e=10_000)", "quenched", 1000.0),
        ("brunel(n_e=10_000)", "annealed", 1000.0),
        ("microcircuit(scale=0.1)", "quenched", 1000.0),
        ("microcircuit()", "annealed", 300.0),
        ("microcircuit()", "quenched", 500.0),
    )
    for preset, connectivity, stop in (("brunel(n_e=800)", "quenched", 20.0),) if small else cases:
        code = RUN.format(preset=preset, connectivity=connectivity, stop=stop, fewer=2 if small else 20)
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )  # fmt: skip
        table.add(preset, connectivity, *json.loads(done.stdout.splitlines()[-1]))


PARTS = (networks,)

if __name__ == "__main__":
    main(PARTS, __doc__)
