"""Statistics of spike trains beside Elephant's, of the same spikes.

What:     CV and LvR of the intervals, Fano factor, mean pairwise correlation: Brunel's network of 1000 neurons, 2 s.
Needs:    a Python that imports Elephant, named by $ELEPHANT_PYTHON, such as the one with NEST.
Run time: some seconds of CPU time.
Command:  ELEPHANT_PYTHON=... python validation/spike_trains.py elephant
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from study import Results, main

import largen as ln
from largen.statistics.spike_trains import read_trains

SCRIPT = Path(__file__).parent / "simulators" / "elephant_statistics.py"
SETTINGS = {"window": 100.0, "bin_width": 2.0, "fewest": 10, "refractoriness": 5.0}


def elephant(results: Results, small: bool) -> None:
    """The four statistics of each population by both; they agree to rounding."""
    model = ln.SpikingNetwork.brunel(n_e=80 if small else 800).replace(connectivity="quenched")
    stop = 600.0 if small else 2200.0
    run = ln.simulate(model, np.arange(0.0, stop + 0.5), realisations=1, seed=1, record="spikes")
    own = ln.analysis.spike_trains(run, start=200.0, **SETTINGS)
    table = results.table(
        "statistics", "population", "statistic", ("largen", ".6f"), ("Elephant", ".6f"), ("relative difference", ".1e")
    )
    for a, train in enumerate(read_trains(run, 200.0)[1][0]):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "trains.npz"
            np.savez(
                file, neuron=train.neuron, time=train.time, size=train.size, duration=train.duration, **SETTINGS
            )  # fmt: skip
            line = [os.environ["ELEPHANT_PYTHON"], str(SCRIPT), str(file)]
            done = subprocess.run(line, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        for name in ("cv", "lvr", "fano_factor", "correlation"):
            mine = float(own[name][a])
            table.add(model.populations[a], name, mine, found[name], abs(mine / found[name] - 1.0))


PARTS = (elephant,)

if __name__ == "__main__":
    if "ELEPHANT_PYTHON" not in os.environ:
        sys.exit("ELEPHANT_PYTHON must name a Python that imports Elephant.")
    main(PARTS, __doc__)
