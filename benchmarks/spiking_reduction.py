"""Cost of the spiking reduction: CPU time per second of biological time, its growth with populations, derivatives.

What:     The deterministic reduction (numba) at three bin widths, the finite-size chain, many populations, and the
          JAX engine: one set, 64 sets at once, a directional derivative. CPU time of the whole process, compilation
          left out and given apart; two durations are subtracted, so that set-up and the bin rule cancel.
Source:   targets of the project's specification.
Run time: about 5 minutes of CPU time.
Command:  XLA_FLAGS=--xla_cpu_multi_thread_eigen=false python benchmarks/spiking_reduction.py
          [--out docs/spiking-reduction.md] [--processes]   (the latter on an idle machine with two cores)
"""

import argparse
import os
import platform
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from largen.systems.spiking.channels import build_layout
from largen.systems.spiking.limit import solve
from largen.systems.spiking.markov import new_state, new_work, run_steps
from largen.systems.spiking.model import SpikingNetwork

# Parameters -----------------------------------------------------------------------------------------------------

CASES = {
    "joint, w = 4": ({"bin_width": 4.0, "linear_in_bin": False}, None),
    "joint, w = 4, linear_in_bin": ({"bin_width": 4.0}, 0.05),
    "joint, w = 2": ({"bin_width": 2.0, "linear_in_bin": False}, None),
    "joint, w = 10, linear_in_bin": ({"bin_width": 10.0}, 0.025),
    "white, w = 4": ({"bin_width": 4.0, "closure": "white"}, None),
    "paper, w = 4": ({"bin_width": 4.0, "closure": "paper"}, None),
    "chain, w = 4, linear_in_bin": ({"bin_width": 4.0, "finite_size": True}, 0.08),
    "chain, w = 10, linear_in_bin": ({"bin_width": 10.0, "finite_size": True}, None),
}
POPULATIONS = (2, 4, 8, 16, 32, 64, 128, 256)
SETS = 64


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
    """CPU seconds per second of biological time, from two durations."""
    spent = []
    for end in (10.0, 10.0, 10.0 + duration):
        start = time.process_time()
        solve(model, np.array([0.0, end]), **options)
        spent.append(time.process_time() - start)
    return (spent[2] - spent[1]) / duration * 1e3


def steps_cost(model, width, steps):
    """CPU seconds per biological second of the steps alone, from rest."""
    layout, edges = build_layout(model, 0.1, width)
    populations, bins = len(layout.size), len(edges) - 1
    state, work = new_state(layout, bins), new_work(layout, bins)
    drive = np.full((1, populations), 7.0)
    outputs = (np.zeros((populations, 2)), np.zeros((populations, populations, 2)))
    unused = (np.zeros((populations, bins, 0)), np.zeros((populations, 0)))
    run_steps(layout, state, work, drive, np.array([0, 10]), *outputs, *unused)
    start = time.process_time()
    run_steps(layout, state, work, drive, np.array([0, steps]), *outputs, *unused)
    return (time.process_time() - start) / steps * 1e4


def timed(function, *arguments):
    """Result and CPU seconds of a call of JAX."""
    import jax

    start = time.process_time()
    result = jax.block_until_ready(function(*arguments))
    return result, time.process_time() - start


def jax_costs(width, sets, model=None, duration=50.0):
    """CPU seconds per set and biological second of rates and of their derivative, and of compiling both."""
    import jax
    import jax.numpy as jnp

    from largen.systems.spiking import markov_jax

    base = SpikingNetwork() if model is None else model
    with jax.enable_x64(True):

        def rates(strength):
            if sets == 1:
                changed = base.replace(strength=strength * base.strength)
                return markov_jax.rates(changed, duration=duration, bin_width=width)
            varied = {"strength[e,e]": strength * np.linspace(0.8, 1.05, sets)}
            return markov_jax.rates(base, sets=varied, duration=duration, bin_width=width)

        value = jax.jit(rates)
        tangent = jax.jit(lambda s: jax.jvp(rates, (s,), (jnp.ones(()),)))
        one = jnp.ones(())
        found = []
        for function in (value, tangent):
            _, first = timed(function, one)
            best = min(timed(function, one)[1] for _ in range(3))
            found += [best / (sets * duration * 1e-3), first - best]
    return found


def realisation(seed):
    """One chain, for the test of two processes."""
    solve(SpikingNetwork(), np.array([0.0, 20_000.0]), finite_size=True, bin_width=4.0, seed=seed)


def throughput():
    """Chains per second of wall time with two processes over that with one."""
    found = []
    for processes in (1, 2):
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            list(pool.map(realisation, range(processes)))
            start = time.perf_counter()
            list(pool.map(realisation, range(8)))
            found.append(8.0 / (time.perf_counter() - start))
    return found[1] / found[0]


def growth_plot(populations, costs, slope, path):
    """Cost against the number of populations, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.0, 3.6), layout="constrained")
    axes.loglog(populations, costs, "o", label="measured")
    late = costs[-1] * (np.array(populations) / populations[-1]) ** slope
    axes.loglog(populations, late, label=f"slope {slope:.2f} (P >= 16)")
    axes.set(xlabel="populations P, densely coupled", ylabel="CPU s per biological second")
    axes.legend()
    figure.savefig(path, dpi=120)


# Run ------------------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("docs/spiking-reduction.md"))
    parser.add_argument("--processes", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    load = os.getloadavg()[0]
    rows = []
    for name, (options, target) in CASES.items():
        rows.append((name, min(cpu_per_second(SpikingNetwork(), 2000.0, **options) for _ in range(2)), target))
        print(rows[-1], flush=True)
    costs = []
    for count in POPULATIONS:
        costs.append(steps_cost(many(count), 4.0, max(200, 20_000 // count)))
        rows.append((f"P = {count} dense, w = 4", costs[-1], 8.0 if count == 256 else None))
        print(rows[-1], flush=True)
    late = np.array(POPULATIONS) >= 16
    slope = np.polyfit(np.log(np.array(POPULATIONS)[late]), np.log(np.array(costs)[late]), 1)[0]
    growth_plot(POPULATIONS, costs, slope, arguments.out.with_suffix(".png"))
    for width, target in ((4.0, 0.15), (10.0, 0.05)):
        for sets in (1, SETS):
            value, compiling, tangent, more = jax_costs(width, sets)
            label = f"JAX, w = {width:g}, {sets} set{'s' if sets > 1 else ''}"
            rows.append((f"{label}, per set", value, target if sets > 1 else None))
            rows.append((f"{label}: derivative over value", tangent / value, 3.0))
            rows.append((f"{label}: compiling value / derivative, CPU s", f"{compiling:.1f} / {more:.1f}", 10.0))
            print(rows[-3:], flush=True)
    rows.append(("JAX, P = 256 dense, w = 4", jax_costs(4.0, 1, many(256), 4.0)[0], 8.0))
    if arguments.processes:
        rows.append(("chains per second, two processes over one", throughput(), 1.9))
    shown = [(name, value if isinstance(value, str) else f"{value:.4f}", target) for name, value, target in rows]
    lines = [
        "# Cost of the spiking reduction",
        "",
        f"CPU seconds per biological second, one core, dt 0.1 ms; {platform.machine()}, load {load:.1f} at the start "
        "(other processes on the same cores inflate these figures). Written by `benchmarks/spiking_reduction.py`.",
        "",
        "| case | CPU s | target |",
        "|---|---|---|",
        *(f"| {name} | {value} | {'' if target is None else f'{target:g}'} |" for name, value, target in shown),
        "",
        f"Growth with the number of populations, all coupled to all: slope {slope:.2f} for P >= 16.",
        "",
        f"![cost against the number of populations]({arguments.out.with_suffix('.png').name})",
    ]
    arguments.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
