"""CPU time of the spiking reduction per second of biological time, one core, compilation left out.

What:     The deterministic reduction (numba) at three bin widths, the finite-size chain, and many populations.
Source:   targets of the project's specification.
Run time: about 1 minute.
Command:  python benchmarks/spiking_reduction.py [--out docs/spiking-reduction.md]
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np

from largen.systems.spiking.limit import solve
from largen.systems.spiking.model import SpikingNetwork

# Parameters -----------------------------------------------------------------------------------------------------

CASES = {
    "joint, w = 4": {"bin_width": 4.0, "linear_in_bin": False},
    "joint, w = 4, linear_in_bin": {"bin_width": 4.0},
    "joint, w = 2": {"bin_width": 2.0, "linear_in_bin": False},
    "joint, w = 10, linear_in_bin": {"bin_width": 10.0},
    "white, w = 4": {"bin_width": 4.0, "closure": "white"},
    "paper, w = 4": {"bin_width": 4.0, "closure": "paper"},
    "chain, w = 4, linear_in_bin": {"bin_width": 4.0, "finite_size": True},
}


# Problem --------------------------------------------------------------------------------------------------------


def many(populations):
    """The default network cut into equal populations, densely coupled."""
    owner = np.arange(populations) % 2
    grid = np.ix_(owner, owner)
    base = SpikingNetwork()
    fields = {name: np.array(getattr(base, name))[grid] for name in ("probability", "decay")}
    return SpikingNetwork(
        size=np.array((300, 100))[owner],
        inhibitory=owner == 1,
        strength=np.array(base.strength)[grid] * 2.0 / populations,
        external_rate=7.0,
        **fields,
    )


def cpu_per_second(model, duration, **options):
    """CPU seconds per second of biological time, from two durations, so that set-up and bin rule cancel."""
    spent = []
    for end in (10.0, 10.0, 10.0 + duration):
        start = time.process_time()
        solve(model, np.array([0.0, end]), **options)
        spent.append(time.process_time() - start)
    return (spent[2] - spent[1]) / duration * 1e3


# Run ------------------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("docs/spiking-reduction.md"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    found = {name: cpu_per_second(SpikingNetwork(), 3000.0, **options) for name, options in CASES.items()}
    for populations in (2, 16, 64, 256):
        found[f"P = {populations} dense, w = 4"] = cpu_per_second(many(populations), 100.0, bin_width=4.0)
    lines = [
        "# Cost of the spiking reduction",
        "",
        "CPU seconds per biological second, one core, dt 0.1 ms. Written by `benchmarks/spiking_reduction.py`.",
        "",
        "| case | CPU s |",
        "|---|---|",
        *(f"| {name} | {value:.3f} |" for name, value in found.items()),
    ]
    arguments.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
