"""Simulation-based inference of the default spiking network: the package sbi, with the chain as the fast simulator.

Source:   the program of docs/howto-fit.md; Greenberg, Nonnenmacher & Macke, "Automatic posterior transformation for
          likelihood-free inference", arXiv 1905.07488 (the neural posterior estimate).
Needs:    a Python that imports sbi, and with it PyTorch ($SBI_PYTHON).
Run time: some 20 minutes: 2000 runs of the chain, the training, 100 networks.
Command:  SBI_PYTHON=... python validation/bridge_to_sbi.py coverage
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from exported import version_of
from scipy import stats
from study import Results, cpu_seconds, main

import largen as ln

NAMES = ["strength[e,e]", "strength[e,i]"]
LOW, HIGH = np.array([0.8, 2.3]), np.array([1.1, 3.1])
"""The uniform prior."""
TIMES = np.arange(10_001) * 0.1
DRAWS = 1000
PROGRAM = """
import sys
import numpy as np
import torch
from sbi.inference import NPE
from sbi.utils import BoxUniform

torch.manual_seed(1)
torch.set_num_threads(1)
given, out = np.load(sys.argv[1]), sys.argv[2]
tensor = {name: torch.tensor(given[name], dtype=torch.float32) for name in ("low", "high", "theta", "x", "observed")}
density = NPE(prior=BoxUniform(low=tensor["low"], high=tensor["high"]))
density.append_simulations(tensor["theta"], tensor["x"]).train()
found = density.build_posterior()
count = int(given["draws"])
draws = [found.sample((count,), x=x, show_progress_bars=False).numpy() for x in tensor["observed"]]
np.savez(out, draws=np.stack(draws))
"""
"""Trains the density of parameters given statistics, and draws from it for each observed row."""


def statistics(run) -> np.ndarray:
    """What is known of a run: rates (Hz) and synchrony of both populations, shape (4,)."""
    row = ln.analysis.summary(run, self_count="removed")
    return np.concatenate([np.ravel(row["rate"].values), np.ravel(row["synchrony"].values)])


def moved(theta: np.ndarray) -> ln.SpikingNetwork:
    """The network at given parameters."""
    return ln.SpikingNetwork().replace(**dict(zip(NAMES, theta.tolist(), strict=True)))


def chain(theta: np.ndarray, seed: int) -> np.ndarray:
    """Statistics of one run of the chain of 400 neurons."""
    how = {"bin_width": 10.0, "finite_size": True, "realisations": 1}
    return statistics(ln.solve_limit(moved(theta), TIMES, n=400, seed=seed, **how))


def network(theta: np.ndarray, seed: int) -> np.ndarray:
    """Statistics of one run of the network of 400 neurons."""
    return statistics(ln.simulate(moved(theta), TIMES, n=400, seed=seed))


def coverage(results: Results, small: bool) -> None:
    """How often the 95 % interval holds the truth, for data of the chain itself and of networks."""
    count, sets = (60, 3) if small else (2000, 100)
    rng, python = np.random.default_rng(5), os.environ["SBI_PYTHON"]
    theta = rng.uniform(LOW, HIGH, (count, 2))
    inner = rng.uniform(LOW + 0.1 * (HIGH - LOW), HIGH - 0.1 * (HIGH - LOW), (sets, 2))
    begin = time.process_time()
    rows = np.stack([chain(values, seed) for seed, values in enumerate(theta)])
    spent = time.process_time() - begin
    observed = {
        "the chain": np.stack([chain(values, 90_000 + seed) for seed, values in enumerate(inner)]),
        "networks": np.stack([network(values, seed) for seed, values in enumerate(inner)]),
    }
    table = results.table(
        "coverage", "data", "parameter", ("covered (%)", ".1f", ".1f"), ("of 95 %, p", ".2g"), "sets",
        ("mean error, in sd", "+.2f", ".2f"), ("sd of the draws, in that of the prior", ".3f"),
    )  # fmt: skip
    costs = results.table("costs", "what", "count", ("CPU s", ".3g"))
    costs.add("runs of the chain, 1 s of 400 neurons", count, spent)
    with tempfile.TemporaryDirectory() as folder:
        program, given, out = (str(Path(folder) / name) for name in ("program.py", "given.npz", "out.npz"))
        Path(program).write_text(PROGRAM)
        every = np.concatenate(list(observed.values()))
        draws = 100 if small else DRAWS
        np.savez(given, low=LOW, high=HIGH, theta=theta, x=rows, observed=every, draws=draws)
        begin = cpu_seconds()
        subprocess.run([python, program, given, out], check=True, stdout=sys.stderr)
        costs.add(f"training and draws (sbi {version_of(python, 'sbi')})", draws * len(every), cpu_seconds() - begin)
        found = np.split(np.load(out)["draws"], len(observed))
    for name, part in zip(observed, found, strict=True):
        low, high = np.quantile(part, [0.025, 0.975], axis=1)
        inside = (low <= inner) & (inner <= high)
        away = (part.mean(1) - inner) / part.std(1)
        for k, parameter in enumerate(NAMES):
            share = float(inside[:, k].mean())
            p = float(stats.binomtest(int(inside[:, k].sum()), sets, 0.95).pvalue)
            covered = {"value": 100 * share, "error": 100 * np.sqrt(share * (1 - share) / sets)}
            mean = {"value": float(away[:, k].mean()), "error": float(away[:, k].std() / np.sqrt(sets))}
            spread = float(part[:, :, k].std(1).mean() / ((HIGH - LOW)[k] / np.sqrt(12.0)))
            table.add(name, f"`{parameter}`", covered, p, sets, mean, spread)


PARTS = (coverage,)

if __name__ == "__main__":
    if "SBI_PYTHON" not in os.environ:
        sys.exit("SBI_PYTHON must name a Python that imports sbi.")
    main(PARTS, __doc__)
