"""The networks' kernels against plain ones: the same distribution of what they simulate.

What:     the spiking network: rates and synchrony (SSI) of six parameter sets with the fast kernel (single precision,
          alias rows, lanes of random words) and the plain one of the tests (double precision, inverse distribution
          functions, NumPy's generators); the same at N = 4000, where the strengths are scaled by 400/N; quenched graphs
          against annealed synapses. The balanced network: means, variances and third cumulants over 500 replicates,
          with Kolmogorov-Smirnov tests, and what states in single precision would do to it.
Source:   Chang, Li, Wang, Tao & Xiao 2024 (arXiv 2411.14801); MacLaurin & Vilanova 2024 (arXiv 2412.17273).
Run time: about 12 minutes of CPU time on one core.
Command:  python validation/network_kernels.py sets|large|quenched|balanced|precision
"""

import functools
import sys
import time
from pathlib import Path

import jax
import numpy as np
from scipy import stats
from study import Results, estimate, main

import largen as ln
from largen.numerics.streams import stream
from largen.numerics.xoshiro import lanes
from largen.systems.balanced.network import alias_tau_leaping
from largen.systems.balanced.network import run as balanced_run
from largen.systems.balanced.network.constants import constants_of, drive_response_of
from largen.systems.balanced.network.state import cumulants, intensities

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from systems.spiking import plain_kernel

STEPS = 50_000
SKIP = 5_000  # the first 500 ms
SETS = {
    "defaults": {},
    "s_ee 1.05": {"strength[e,e]": 1.05},
    "p_ei 0.5": {"probability[e,i]": 0.5},
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


def comparison(results, name, first, second):
    """A table of two kernels: both values with their standard errors and z, for the four statistics."""
    columns = []
    for what, digits in (("E Hz", ".2f"), ("I Hz", ".2f"), ("SSI_E", ".4f"), ("SSI_I", ".4f")):
        columns += [
            (f"{what} {first}", digits),
            (f"{what} {second}", digits),
            (f"{what.removesuffix(' Hz')} z", "+.1f"),
        ]
    return results.table(name, "set", *columns)


def cells_of(a, b):
    """Cells of a row of `comparison` from the statistics of two kernels, each of shape (seed, statistic)."""
    cells = []
    for k in range(4):
        errors = [x[:, k].std(ddof=1) / np.sqrt(len(x)) for x in (a, b)]
        means = [x[:, k].mean() for x in (a, b)]
        cells += [*map(estimate, means, errors), (means[0] - means[1]) / np.hypot(*errors)]
    return cells


def chosen(small):
    """Sets, seeds and steps of a run."""
    return (list(SETS.items())[:1], 3, 8_000) if small else (list(SETS.items()), 40, STEPS)


def sets(results: Results, small: bool) -> None:
    """Six sets, N = 400, annealed, 40 seeds of 5 s each: fast against plain kernel."""
    table, (cases, seeds, steps) = comparison(results, "sets", "fast", "plain"), chosen(small)
    for name, changes in cases:
        model = ln.SpikingNetwork().replace(**changes)
        table.add(name, *cells_of(fast(model, 400, seeds, steps), plain(model, 400, seeds, steps)))


def large(results: Results, small: bool) -> None:
    """N = 4000, 10 seeds of 2.5 s each: fast against plain kernel."""
    table, model = comparison(results, "large", "fast", "plain"), ln.SpikingNetwork()
    shape = (1000, 2, 7_000) if small else (4000, 10, 25_000)
    table.add("defaults", *cells_of(fast(model, *shape), plain(model, *shape)))


def quenched(results: Results, small: bool) -> None:
    """Quenched graphs against annealed synapses, N = 400, 40 graphs and seeds of 5 s each."""
    table, (cases, seeds, steps) = comparison(results, "quenched", "quenched", "annealed"), chosen(small)
    for name, changes in cases:
        pair = (ln.SpikingNetwork(connectivity=kind).replace(**changes) for kind in ("quenched", "annealed"))
        table.add(name, *cells_of(*(fast(model, 400, seeds, steps) for model in pair)))


# The balanced network -------------------------------------------------------------------------------------------

TIMES = np.array([0.0, 0.1, 3.0])  # in the boundary layer, and after it
CUMULANTS = ("mean", "variance", "third cumulant")


def replicates(method, seed, count, vectorised=True, n=400):
    """Mean, variance and third cumulant of every replicate, shape (replicate, cumulant, population, time)."""
    model, keep = ln.BalancedNetwork(), balanced_run._vectorised
    balanced_run._vectorised = keep if vectorised else (lambda constants: False)
    options = balanced_run.Options(method, (), None if method == "exact" else 0.01, 1, 1e9)
    found = []
    for r in range(count):
        rng = functools.partial(stream, seed, r)
        run = balanced_run.run(model, TIMES, n, options, rng=rng, tick=lambda _: None)
        found.append([run.values[name][:, 1:] for name in ("mean", "variance", "third_cumulant")])
    balanced_run._vectorised = keep
    return np.array(found)


def balanced(results: Results, small: bool) -> None:
    """Balanced network, N = 400, 500 replicates: fast loops against plain ones, by method, population and time."""
    columns = []
    for name in CUMULANTS:
        columns += [(f"{name} {of}", ".4f") for of in ("fast", "plain")]
        columns += [(f"{name} z", "+.1f"), (f"{name} KS p", ".2f")]
    table, count = results.table("balanced", "method", "population", ("t", "g"), *columns), 20 if small else 500
    for method in ("exact", "tau_leap"):
        a, b = replicates(method, 1, count), replicates(method, 2, count, vectorised=False)
        for population in range(2):
            for i, t in enumerate(TIMES[1:]):
                cells = []
                for k in range(3):
                    x, y = a[:, k, population, i], b[:, k, population, i]
                    errors = [values.std(ddof=1) / np.sqrt(count) for values in (x, y)]
                    cells += [*map(estimate, (x.mean(), y.mean()), errors), (x.mean() - y.mean()) / np.hypot(*errors)]
                    cells.append(stats.ks_2samp(x, y).pvalue)
                table.add(method, "ei"[population], t, *cells)


def leaps(model, n, end, kind):
    """Cumulants (population, three) after tau-leaping with states of a kind, and CPU ns per neuron-step."""
    with jax.enable_x64(True):
        sizes = model.sizes(n)
        constants, times = constants_of(model, sizes, tables=False), np.array([0.0, end])
        response = drive_response_of(model, times, float(np.mean(sizes)))
    dt = 0.1 / np.sqrt(n / 2)
    steps = round(end / dt)
    start, z, intensity = stream(1, "initial"), np.empty(n), np.empty(n)
    slices = [slice(*pair) for pair in zip(constants.first[:-1], constants.first[1:], strict=True)]
    for a, own in enumerate(slices):
        normal = start.standard_normal(own.stop - own.start)
        z[own] = model.initial_mean[a] + np.sqrt(model.initial_variance[a]) * normal
    for a, own in enumerate(slices):
        intensities(constants, a, z[own], intensity[own])
    most = float(np.max(constants.bound * np.diff(constants.first))) * dt * 1.5
    workspace = alias_tau_leaping.workspace(constants, most)
    workspace.total[:] = np.add.reduceat(intensity, constants.first[:-1])
    past, words, state = np.zeros(3), lanes(stream(1, "spikes")), z.astype(kind)
    alias_tau_leaping.leaps(constants, response, state, past, workspace, 0.0, dt, 0, 1, words)
    began = time.process_time()
    alias_tau_leaping.leaps(constants, response, state, past, workspace, 0.0, dt, 1, steps, words)
    spent = 1e9 * (time.process_time() - began) / ((steps - 1) * n)
    return np.array([cumulants(state[own].astype(float)) for own in slices]), spent


def precision(results: Results, small: bool) -> None:
    """Balanced network, 10^6 neurons a population: states in single against double precision, same random numbers."""
    table = results.table(
        "precision", "strong drive, times the default", "population", ("mean, double", ".5f"),
        ("variance, double", ".5f"), ("mean: difference in standard errors", "+.2f"), ("variance: the same", "+.2f"),
        ("ns double", ".1f"), ("ns single", ".1f"),
    )  # fmt: skip
    model, n = ln.BalancedNetwork(), 2000 if small else 2_000_000
    for factor in (1.0, 4.0):
        driven = model.replace(drive=factor * np.asarray(model.drive))
        (double, slow), (single, quick) = (leaps(driven, n, 0.1, kind) for kind in (np.float64, np.float32))
        for a in range(2):
            mean, variance, _ = double[a]
            errors = np.sqrt([variance, 2 * variance**2]) / np.sqrt(n / 2)
            table.add(int(factor), "ei"[a], mean, variance, *(single[a, :2] - double[a, :2]) / errors, slow, quick)


PARTS = (sets, large, quenched, balanced, precision)

if __name__ == "__main__":
    main(PARTS, __doc__)
