"""The law of the spiking network's kernels against the plain kernel of the tests.

Shows: rates and synchrony (SSI) of the six parameter sets of the specification, 40 seeds of 5 s each, with the fast
kernel (single precision, alias rows, lanes of random words) and the plain one (double precision, inverse CDFs, NumPy's
generators); the same at N = 4000, where the strengths are scaled by 400/N; quenched graphs against annealed synapses.
Source: Chang, Li, Wang, Tao & Xiao 2024 (arXiv 2411.14801).
Run time: about 8 minutes of CPU time on one core.
Command: python benchmarks/network_law.py [FILE], by default docs/network-law.md
"""

import sys
import time
from pathlib import Path

import numpy as np

import largen as ln

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from systems.spiking import plain_kernel  # noqa: E402

STEPS = 50_000
SKIP = 5_000  # the first 500 ms
SETS = {
    "defaults": {},
    "s_ee 1.05": {"strength[e,e]": 1.05},
    "p_ei .5": {"probability[e,i]": 0.5},
    "p_ei 1.0": {"probability[e,i]": 1.0},
    "lambda 4": {"external_rate": 4.0},
    "tau_ee 2.0": {"decay[e,e]": 2.0},
}


def statistics(rate, size, dt=0.1):
    """Rates (Hz) and SSI of E and I from the rates of every step, shape (population, step)."""
    counts = np.rint(rate * size[:, None] * dt / 1000.0)[:, SKIP:]
    near = np.array([np.convolve(row, np.ones(11), "same") for row in counts])[:, 5:-5]
    inside = counts[:, 5:-5]
    return np.concatenate([rate[:, SKIP:].mean(1), (inside * near).sum(1) / size / inside.sum(1)])


def fast(model, n, seeds, steps=STEPS):
    run = ln.simulate(model, np.arange(steps + 1) * 0.1, n=n, realisations=seeds, seed=11)
    return np.array([statistics(rate[:, 1:], model.sizes(n)) for rate in run["rate"].values])


def plain(model, n, seeds, steps=STEPS):
    scaled = model.scaled(n)
    return np.array([statistics(plain_kernel.run(scaled, 0.1 * steps, seed=s)[0], scaled.size) for s in range(seeds)])


def row(name, a, b):
    """One row: both values with their standard errors and z, for the four statistics."""
    cells = []
    for k, digits in enumerate((2, 2, 4, 4)):
        errors = [x[:, k].std(ddof=1) / np.sqrt(len(x)) for x in (a, b)]
        z = (a[:, k].mean() - b[:, k].mean()) / np.hypot(*errors)
        shown = [f"{x[:, k].mean():.{digits}f} ± {e:.{digits}f}" for x, e in zip((a, b), errors, strict=True)]
        cells += [*shown, f"{z:+.1f}"]
    return f"| {name} | {' | '.join(cells)} |"


def head(first, second):
    names = [f"{what} {which} | " for what in ("E Hz", "I Hz", "SSI_E", "SSI_I") for which in (first, second, "z")]
    return [
        "| set | " + "".join(names).replace("Hz z", "z").replace("_E z", "_E, z").replace("_I z", "_I, z"),
        "|---" * 13 + "|",
    ]


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs" / "network-law.md")
    began = time.process_time()
    model = ln.SpikingNetwork()
    annealed = {name: fast(model.replace(**changes), 400, 40) for name, changes in SETS.items()}
    lines = [
        "# The law of the spiking network's kernels",
        "",
        "Written by `python benchmarks/network_law.py`. Fast: the kernel of `largen.systems.spiking` (single "
        "precision, alias rows, lanes of random words). Plain: `tests/systems/spiking/plain_kernel.py` (double "
        "precision, inverse CDFs, NumPy's generators). Rates and synchrony (SSI, self-count included) after the "
        "first 500 ms; value ± standard error over seeds; z is the difference in combined standard errors.",
        "",
        "## Six sets, N = 400, annealed, 40 seeds of 5 s each",
        "",
        *head("fast", "plain"),
    ]
    for name, changes in SETS.items():
        lines.append(row(name, annealed[name], plain(model.replace(**changes), 400, 40)))
        print(lines[-1], flush=True)
    lines += ["", "## N = 4000, 10 seeds of 2.5 s each", "", *head("fast", "plain")]
    lines.append(row("defaults", fast(model, 4000, 10, 25_000), plain(model, 4000, 10, 25_000)))
    print(lines[-1], flush=True)
    lines += [
        "",
        "## Quenched against annealed, N = 400, 40 graphs and seeds of 5 s each",
        "",
        *head("quenched", "annealed"),
    ]
    for name, changes in SETS.items():
        quenched = fast(model.replace(connectivity="quenched", **changes), 400, 40)
        lines.append(row(name, quenched, annealed[name]))
        print(lines[-1], flush=True)
    lines += ["", f"The whole script took {time.process_time() - began:.0f} s of CPU time."]
    out.parent.mkdir(exist_ok=True)
    out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
