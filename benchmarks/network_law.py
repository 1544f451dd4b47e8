"""The law of the networks' kernels against plain ones.

Shows: (1) the spiking network: rates and synchrony (SSI) of the six parameter sets of the specification, 40 seeds of
5 s each, with the fast kernel (single precision, alias rows, lanes of random words) and the plain one (double
precision, inverse CDFs, NumPy's generators); the same at N = 4000, where the strengths are scaled by 400/N; quenched
graphs against annealed synapses; (2) the balanced network: means, variances and third cumulants over 500
replicates, with Kolmogorov-Smirnov tests; (3) what
states in single precision would do to it at 10^6 neurons a population.
Source: Chang, Li, Wang, Tao & Xiao 2024 (arXiv 2411.14801); MacLaurin & Vilanova 2024 (arXiv 2412.17273).
Run time: about 12 minutes of CPU time on one core.
Command: python benchmarks/network_law.py [all|balanced] [FILE], by default docs/network-law.md; `balanced` leaves the
spiking part of the page as it is.
"""

import sys
import time
from functools import partial
from pathlib import Path

import jax
import numpy as np
from scipy import stats

import largen as ln
from largen.numerics.streams import stream
from largen.numerics.xoshiro import lanes
from largen.systems.balanced.network import alias_tau_leaping
from largen.systems.balanced.network import run as balanced_run
from largen.systems.balanced.network.constants import constants_of, drive_response_of
from largen.systems.balanced.network.state import cumulants, intensities

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


# The balanced network -------------------------------------------------------------------------------------------

REPLICATES = 500
TIMES = np.array([0.0, 0.1, 3.0])  # in the boundary layer, and after it


def replicates(method, seed, vectorised=True, n=400):
    """Mean, variance and third cumulant of every replicate, shape (replicate, cumulant, population, time)."""
    model, keep = ln.BalancedNetwork(), balanced_run._vectorised
    balanced_run._vectorised = keep if vectorised else (lambda constants: False)
    options = balanced_run.Options(method, (), None if method == "exact" else 0.01, 1, 1e9)
    found = []
    for r in range(REPLICATES):
        run = balanced_run.run(model, TIMES, n, options, rng=partial(stream, seed, r), tick=lambda _: None)
        found.append([run.values[name][:, 1:] for name in ("mean", "variance", "third_cumulant")])
    balanced_run._vectorised = keep
    return np.array(found)


def balanced_rows():
    """One row per method, population and time: both values, z and the p-value of Kolmogorov and Smirnov."""
    what = ("mean", "variance", "third cumulant")
    names = "".join(f"{name} fast | plain | z | KS p | " for name in what)
    lines = [f"| method | population | t | {names}", "|---" * 15 + "|"]
    for method in ("exact", "tau_leap"):
        a, b = replicates(method, 1), replicates(method, 2, vectorised=False)
        for population in range(2):
            for i, t in enumerate(TIMES[1:]):
                cells = []
                for k in range(3):
                    x, y = a[:, k, population, i], b[:, k, population, i]
                    errors = [values.std(ddof=1) / np.sqrt(REPLICATES) for values in (x, y)]
                    cells += [f"{v.mean():.4f} ± {e:.4f}" for v, e in zip((x, y), errors, strict=True)]
                    cells.append(f"{(x.mean() - y.mean()) / np.hypot(*errors):+.1f}")
                    cells.append(f"{stats.ks_2samp(x, y).pvalue:.2f}")
                lines.append(f"| {method} | {'ei'[population]} | {t:g} | {' | '.join(cells)} |")
                print(lines[-1], flush=True)
    return lines


def leaps(model, n, end, kind):
    """Cumulants (population, three) after tau-leaping with states of a kind, and CPU ns per neuron-step."""
    with jax.enable_x64(True):
        sizes = model.sizes(n)
        constants, times = constants_of(model, sizes, tables=False), np.array([0.0, end])
        response = drive_response_of(model, times, float(np.mean(sizes)))
    dt = 0.1 / np.sqrt(n / 2)
    steps = round(end / dt)
    start, z = stream(1, "initial"), np.empty(n)
    for a, (low, high) in enumerate(zip(constants.first[:-1], constants.first[1:], strict=True)):
        z[low:high] = model.initial_mean[a] + np.sqrt(model.initial_variance[a]) * start.standard_normal(high - low)
    intensity = np.empty(n)
    for a, (low, high) in enumerate(zip(constants.first[:-1], constants.first[1:], strict=True)):
        intensities(constants, a, z[low:high], intensity[low:high])
    most = float(np.max(constants.bound * np.diff(constants.first))) * dt * 1.5
    workspace = alias_tau_leaping.workspace(constants, most)
    workspace.total[:] = np.add.reduceat(intensity, constants.first[:-1])
    past, words, state = np.zeros(3), lanes(stream(1, "spikes")), z.astype(kind)
    alias_tau_leaping.leaps(constants, response, state, past, workspace, 0.0, dt, 0, 1, words)
    began = time.process_time()
    alias_tau_leaping.leaps(constants, response, state, past, workspace, 0.0, dt, 1, steps, words)
    spent = 1e9 * (time.process_time() - began) / ((steps - 1) * n)
    parts = [state[low:high].astype(float) for low, high in zip(constants.first[:-1], constants.first[1:], strict=True)]
    return np.array([cumulants(part) for part in parts]), spent


def precision_rows(n=2_000_000, end=0.1):
    """States in single against double precision, from the same random numbers; differences in standard errors."""
    lines = [
        "| strong drive | population | mean, double | variance, double | mean: difference in standard errors "
        "| variance: the same | ns double | ns single |",
        "|---" * 8 + "|",
    ]
    model = ln.BalancedNetwork()
    for factor in (1.0, 4.0):
        driven = model.replace(drive=factor * np.asarray(model.drive))
        (double, slow), (single, quick) = (leaps(driven, n, end, kind) for kind in (np.float64, np.float32))
        for a in range(2):
            mean, variance, _ = double[a]
            errors = np.sqrt([variance, 2 * variance**2]) / np.sqrt(n / 2)
            z = (single[a, :2] - double[a, :2]) / errors
            lines.append(
                f"| {factor:g} times the default | {'ei'[a]} | {mean:.5f} | {variance:.5f} | {z[0]:+.2f} | {z[1]:+.2f} "
                f"| {slow:.1f} | {quick:.1f} |"
            )
            print(lines[-1], flush=True)
    return lines


def spiking_part():
    """The page up to the balanced network."""
    model = ln.SpikingNetwork()
    annealed = {name: fast(model.replace(**changes), 400, 40) for name, changes in SETS.items()}
    lines = [
        "# The law of the networks' kernels",
        "",
        "Written by `python benchmarks/network_law.py`. Spiking network first. Fast: the kernel of "
        "`largen.systems.spiking` (single precision, alias rows, lanes of random words). Plain: "
        "`tests/systems/spiking/plain_kernel.py` (double precision, inverse CDFs, NumPy's generators). Rates and "
        "synchrony (SSI, self-count included) after the first 500 ms; value ± standard error over seeds; z is the "
        "difference in combined standard errors.",
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
    return lines


BALANCED = f"## Balanced network, N = 400, {REPLICATES} replicates"


def balanced_part():
    """The rest of the page."""
    return [
        BALANCED,
        "",
        "Cumulants over the neurons of a population (k-statistics), default model. Fast: `systems/balanced/fast.py`; "
        "plain: the loops of `systems/balanced/kernels.py`; tau-leaping by steps of .01 in both.",
        "",
        *balanced_rows(),
        "",
        "## Balanced network, single against double precision, 10^6 neurons a population",
        "",
        "All states and sums of the balanced network are in double precision. This is what states in single precision "
        "would do, from the same random numbers, after t = .1 (1000 steps of 1e-4); the drive is multiplied by "
        "n^(1/2) = 1000. Standard errors are those of the population's own mean and variance.",
        "",
        *precision_rows(),
    ]


def main():
    part = sys.argv[1] if len(sys.argv) > 1 else "all"
    out = Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / "docs" / "network-law.md")
    kept = out.read_text().split(BALANCED)[0].rstrip().splitlines() if part == "balanced" else spiking_part()
    out.write_text("\n".join([*kept, "", *balanced_part()]) + "\n")


if __name__ == "__main__":
    main()
