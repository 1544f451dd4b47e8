"""Speed of continuation on the spiking reduction, on one core.

Run time: about 2 minutes.
Command:  OPENBLAS_NUM_THREADS=1 taskset -c 0 python benchmarks/bifurcation.py spiking
"""

import sys
import time
from pathlib import Path

import numpy as np

import largen as ln
from largen import analysis

sys.path.insert(0, str(Path(__file__).parents[1] / "validation"))
from diagrams import keep_compiled
from study import Results, main

P_EI = "probability[e,i]"
FORM = {"linear_in_bin": False, "affine_drift": False, "bin_width": 4.0}


def spiking(results: Results, small: bool) -> None:
    """CPU time, after compilation, of stationary states with their spectra and of orbits with their multipliers."""
    table = results.table("spiking", "what", ("CPU s", ".3g"), "target")
    model, form = ln.SpikingNetwork().replace(**{P_EI: 0.5}), FORM | ({"bin_width": 20.0} if small else {})
    clock: list[float] = []

    def each(point):
        clock.append(time.process_time())
        reached.append((point["parameter"], "special" in point))

    reached: list[tuple[float, bool]] = []
    to = 0.6 if small else 0.75
    analysis.follow(model, P_EI, to=to, cycles=False, largest_step=0.05, each=each, **form)
    table.add("a fixed point with its spectrum (median)", np.median(np.diff(clock)), "0.1 s")
    if small:
        return
    orbit = analysis.limit_cycle(model, settle=1000.0, window=100.0, **form)
    clock.clear()
    reached.clear()
    analysis.follow(
        model, P_EI, to=0.95, start=orbit, switch=False, cycles=False, points=60, largest_step=0.03,
        tolerance=1e-5, each=each, **form,
    )  # fmt: skip
    values, special = zip(*reached, strict=True)
    what = f"{len(clock)} points of cycles with multipliers, {sum(special)} of them special points located, "
    what += f"p_ei from {values[0]:g} to {max(values):.4f} and at last {values[-1]:.4f}"
    table.add(what, clock[-1] - clock[0], "40 s for 60")
    table.add("a plain point of them (median)", np.median(np.diff(clock)), None)


PARTS = (spiking,)

if __name__ == "__main__":
    keep_compiled()
    main(PARTS, __doc__)
