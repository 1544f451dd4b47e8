"""Cost of space: networks on a sheet, the reduction of its patches, its dispersion relation, and a graph by distance.

What:     one core, CPU time of the process; set-up and compilation cancel by subtraction. The sheet is that of Chang et
          al., 40 000 neurons in 11 x 11 patches; 400 000 neurons have the same in-degrees, and ten times the patches'
          neurons. A target is a number that largen must stay below on one core of today.
Run time: about 6 CPU minutes in all.
Command:  OPENBLAS_NUM_THREADS=1 python benchmarks/space.py networks reductions dispersion graph
"""

import sys
from pathlib import Path

import numpy as np
from timing import best, clocked

import largen as ln
from largen import analysis

sys.path.insert(0, str(Path(__file__).parents[1] / "validation"))
from study import Results, main

START = 100.0
"""Length (ms) of what is taken away: past the first volley."""


def sheet(small: bool, times: int = 1, side: int = 11, **changes: object) -> ln.SpikingNetwork:
    """The sheet with so many times its neurons, at the same in-degrees; `small`: 1600 neurons in 3 x 3 patches."""
    model = ln.SpikingNetwork.sheet("source", side)
    if small:
        few, wide = ln.Torus(3, length=10.0**0.5), ln.GaussianKernel(1.0)
        model = model.replace(size=(1200, 400), probability=np.full((2, 2), 0.05), space=few, kernel=wide)
    size, p = np.array(model.size), np.array(model.probability)
    return model.replace(size=tuple((times * size).tolist()), probability=p / times, **changes)


def per_second(run, duration: float, rounds: int) -> float:
    """CPU seconds per biological second of run(end)."""
    first = START if duration > START else 0.5 * duration
    run(first)
    whole = min(clocked(run, first + duration) for _ in range(rounds))
    return (whole - min(clocked(run, first) for _ in range(rounds))) / duration * 1e3


def networks(results: Results, small: bool) -> None:
    """CPU seconds per biological second of networks."""
    table = results.table("networks", "neurons", "connectivity", ("CPU s per s", ".3g"), ("target", ".3g"))
    cases = [(1, "annealed", 4.0), (1, "quenched", 4.0), (1, "neurons", 4.0), (10, "annealed", 40.0),
             (10, "quenched", 40.0)]  # fmt: skip
    for times, connectivity, target in cases[:1] if small else cases:
        model = sheet(small, times, connectivity=connectivity)

        def run(end, model=model):
            ln.simulate(model, np.array([0.0, end]), seed=1)

        seconds = per_second(run, 20.0 if small else 500.0 / times, 1 if small or times > 1 else 2)
        table.add(int(np.sum(model.size)), connectivity, seconds, target)


def reductions(results: Results, small: bool) -> None:
    """CPU seconds per biological second of the reduction of all patches, made unlike by a perturbation."""
    table = results.table("reductions", "patches", "closure", ("CPU s per s", ".3g"), ("target", ".3g"))
    cases = [(3, "joint", None)] if small else [(11, "joint", 6.0), (64, "joint", 200.0), (11, "quadrature", None)]
    for side, closure, target in cases:
        model = sheet(small, side=side)
        options = {"closure": closure, "bin_width": 4.0} if closure == "joint" else {"closure": closure, "error": False}

        def run(end, model=model, options=options):
            ln.solve_limit(model, np.array([0.0, end]), perturbation=(0.01, (1, 0)), **options)

        table.add(f"{side} x {side}", closure, per_second(run, 10.0 if small or side > 11 else 200.0, 1), target)


def dispersion(results: Results, small: bool) -> None:
    """The 50 modes of lowest wave number, compiled before; CPU seconds."""
    table = results.table("dispersion", "what", ("CPU s", ".3g"), ("target", ".3g"))
    model, modes = sheet(small), 3 if small else 50
    table.add(f"{modes} modes", best(lambda: analysis.dispersion(model, modes=modes), rounds=1), 60.0)


def graph(results: Results, small: bool) -> None:
    """Drawing a graph by distance, from an empty network to its first step; CPU seconds."""
    table = results.table("graph", "synapses", ("CPU s", ".3g"), ("target", ".3g"))
    model = sheet(small, connectivity="neurons")
    mean = float(np.sum(np.array(model.probability) * np.outer(model.size, model.size)))
    table.add(f"{mean:.2g}", best(lambda: ln.simulate(model, np.array([0.0, 0.1]), seed=1), rounds=3), 1.0)


PARTS = (networks, reductions, dispersion, graph)

if __name__ == "__main__":
    main(PARTS, __doc__)
