"""Exported scripts in the real simulators beside largen's networks, under the rule of `compare`.

Source:   the scripts of `ln.to_brian2` and `ln.to_nest`, each run in a process of its own; spikes by `read_recording`.
Needs:    a Python that imports Brian2 ($BRIAN2_PYTHON), and one that imports NEST 3 ($NEST_PYTHON).
Run time: brian2 5 CPU minutes, brian2_more 8, nest 3.
Command:  BRIAN2_PYTHON=... NEST_PYTHON=... python validation/exported.py brian2 brian2_more nest
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from study import Results, main

import largen as ln

STEP, WARM = 0.1, 100.0  # ms
QUENCHED = {"connectivity": "quenched"}


def version_of(python: str, package: str) -> str:
    """Name and version of a simulator."""
    line = f"import {package}; print('VERSION', {package}.__version__)"
    said = subprocess.run([python, "-c", line], capture_output=True, text=True, check=True).stdout
    return next(part.split()[1] for part in said.splitlines() if part.startswith("VERSION"))


def in_simulator(python: str, script: str, model: ln.SpikingNetwork, duration: float, count: int) -> tuple:
    """The recording of `count` runs after `WARM` ms, and the wall time of one run (s)."""
    first = np.concatenate([[0], np.cumsum(model.size)])
    ids = {name: range(a, b) for name, a, b in zip(model.populations, first[:-1], first[1:], strict=True)}
    flags = zip(model.populations, model.inhibitory, strict=True)
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "script.py"
        program.write_text(script)
        began, files = time.perf_counter(), []
        for seed in range(1, count + 1):
            files.append(str(Path(folder) / f"{seed}.npz"))
            subprocess.run([python, str(program), str(duration), str(seed), files[-1]], capture_output=True, check=True)
        seconds = (time.perf_counter() - began) / count
        recorded = ln.read_recording(
            files, populations=ids, t_start=WARM, t_stop=duration, step=STEP,
            inhibitory=[name for name, flag in flags if flag],
        )  # fmt: skip
    return recorded, seconds


def beside(results: Results, simulator: str, cases: dict, write) -> None:
    """Add a row of every case to the table of a simulator."""
    python = os.environ[f"{simulator.upper()}_PYTHON"]
    package = {"brian2": "brian2", "nest": "nest"}[simulator]
    release = version_of(python, package)
    table = results.table(
        "verdicts", "network", "version", "runs", "ms", "verdict", "within", "undecided", "beyond",
        ("largest difference of a rate (%)", "+.2f"), ("from", "+.2f"), ("to", "+.2f"), ("s per run", ".3g"),
    )  # fmt: skip
    for name, (model, duration, count) in cases.items():
        theirs, seconds = in_simulator(python, write(model), model, duration, count)
        times = np.arange(round(duration / STEP) + 1) * STEP
        ours = ln.simulate(model, times, realisations=count, seed=1, record="spikes")
        report = ln.compare(ours.sel(time=times[times > WARM - STEP / 2]), theirs)
        labels = report["label"].values.tolist()
        counts = [labels.count(word) for word in ("within tolerance", "undecided", "beyond tolerance")]
        rates = [c for c in report["component"].values if c.startswith("rate[") and "over" not in c]
        chosen = report.sel(component=[c for c in rates if c.endswith("]")])
        parts = 100.0 * np.stack([chosen[key] / chosen["scale"] for key in ("difference", "ci_low", "ci_high")])
        worst = int(np.argmax(np.abs(parts[0])))
        table.add(name, release, count, duration, str(report.attrs["verdict"]), *counts, *parts[:, worst], seconds)


def brian2(results: Results, small: bool) -> None:
    """Shipped examples of pending and released spikes in Brian2, the defaults and their kicks."""
    short, runs = (200.0, 2) if small else (2500.0, 10)
    cases = {"gamma": (ln.SpikingNetwork.gamma(), short, runs)}
    if not small:
        cases["kicks"] = (ln.SpikingNetwork.kicks(), short, runs)
    beside(results, "brian2", cases, ln.to_brian2)


def brian2_more(results: Results, small: bool) -> None:
    """The other shipped examples in Brian2: a leak, full inhibition, fixed graphs, 40 000 neurons."""
    short, runs = (200.0, 2) if small else (2500.0, 10)
    cases = {"leaky": (ln.SpikingNetwork.leaky(), short, runs)}
    if not small:
        cases |= {
            "asynchronous": (ln.SpikingNetwork.asynchronous(), short, runs),
            "brunel, 1000 neurons": (ln.SpikingNetwork.brunel(n_e=800).replace(**QUENCHED), 1500.0, 8),
            "microcircuit, 2 %": (ln.SpikingNetwork.microcircuit(scale=0.02), 600.0, 4),
            "sheet_mean": (ln.SpikingNetwork.sheet_mean(), 300.0, 4),
        }
    beside(results, "brian2", cases, ln.to_brian2)


def nest(results: Results, small: bool) -> None:
    """Every shipped spiking example that NEST can express, with one fixed graph, at a smaller size."""
    short, runs = (200.0, 2) if small else (1500.0, 8)
    brunel = ln.SpikingNetwork.brunel(n_e=400 if small else 2000).replace(**QUENCHED)
    cases = {f"brunel, {brunel.reference_size} neurons": (brunel, short, runs)}
    if not small:
        cases["microcircuit, 10 %"] = (ln.SpikingNetwork.microcircuit(scale=0.1), 1000.0, 12)
    beside(results, "nest", cases, ln.to_nest)


PARTS = (brian2, brian2_more, nest)

if __name__ == "__main__":
    if not {"BRIAN2_PYTHON", "NEST_PYTHON"} & set(os.environ):
        sys.exit("BRIAN2_PYTHON must name a Python that imports Brian2, or NEST_PYTHON one that imports NEST 3.")
    main(PARTS, __doc__)
