"""Can fits and posteriors be believed? Coverage of 95 % intervals, ranks of true values among draws, misfits refused.

Source:   Talts et al., "Validating Bayesian inference algorithms with simulation-based calibration", arXiv 1804.06788.
Run time: on one core: ranks 30 to 60 minutes each, coverage 4 (balanced), 7 (rate) and 10 (spiking); refused as
          coverage, by their count of sets.
Command:  python validation/fit_calibration.py coverage_rate coverage_balanced coverage_spiking refused_rate
          refused_balanced refused_spiking ranks_rate ranks_balanced
"""

import sys
import time

import numpy as np
from scipy import stats
from study import Results, estimate, main

import largen as ln

FIRST = 20_000
"""Seed of the first data set."""
D2 = ln.RateNetwork()
S3 = ln.BalancedNetwork()
SPIKING = ln.SpikingNetwork()
SETS = {
    "rate D2, 40 x 20000": (
        D2, {"kernel.variance": 1.5, "gain": 1.0, "noise": 0.5},
        {"times": np.arange(9.0), "n": 20_000, "realisations": 40, "replicas": 1, "lags": 1}, {},
    ),
    "balanced S3, 40 x 2000, finite": (
        S3, {"gain[e].slope": 1.0, "gain[i].threshold": 0.3, "tau[e]": 1.0},
        {"times": np.linspace(0.0, 3.0, 13), "n": 2000, "realisations": 40, "method": "tau_leap"},
        {"through": "finite"},
    ),
    "spiking defaults, 16 x 400 x 0.6 s, network": (
        SPIKING, {"strength[e,e]": 0.95, "strength[e,i]": 2.71},
        {"times": np.arange(6001) * 0.1, "n": 400, "realisations": 16},
        {"through": "network", "bin_width": 10.0},
    ),
}  # fmt: skip
"""Data and fit: model, true values, options of `simulate`, options of `fit`."""


SHORT = {"times": np.arange(2001) * 0.1, "realisations": 6}
"""Options of `simulate` for the spiking network at small size."""


def fitted(name, seed, model=None, source=None, less=None):
    """One data set of the true model (or of `source`), fitted by it (or by `model`)."""
    true_model, true, simulate, fit = SETS[name]
    data = ln.simulate(source or true_model, seed=FIRST + seed, **(simulate | (less or {})))
    how = {"check": False, "strict": False, "starts": 1, "seed": seed} | fit
    return ln.fit(model or true_model, data, free=list(true), **how)


def covered(results: Results, name: str, count: int, less=None) -> None:
    """A row for each parameter: how often its interval covers the truth, and how often the test refuses the truth."""
    table = results.table(
        "coverage", "data and fit", "parameter", ("covered (%)", ".1f", ".1f"), ("of 95 %, p", ".2g"), "sets",
        ("refused at p < 0.01 (%)", ".1f"), "profiles", ("CPU s", ".0f"),
    )  # fmt: skip
    true, begin, inside, refused, profiled = SETS[name][1], time.process_time(), [], 0, 0
    for seed in range(count):
        found = fitted(name, seed, less=less)
        if found.attrs["verdict"] == "does not fit":
            refused += 1
            continue
        profiled += "profile" in found.attrs
        value = np.array(list(true.values()))
        inside.append((found["ci_low"].values <= value) & (value <= found["ci_high"].values))
        if seed % 20 == 0:
            print(seed, np.mean(inside, 0), refused, file=sys.stderr, flush=True)
    for parameter, column in zip(true, np.transpose(inside) if inside else [], strict=bool(inside)):
        share, trials = float(np.mean(column)), len(column)
        p = float(stats.binomtest(int(column.sum()), trials, 0.95).pvalue)
        error = 100 * np.sqrt(share * (1 - share) / trials)
        spent = time.process_time() - begin
        table.add(
            name, f"`{parameter}`", estimate(100 * share, error), p, trials, 100 * refused / count, profiled, spent
        )


def coverage_rate(results: Results, small: bool) -> None:
    """Coverage of 95 % intervals: D2 of the rate system, 400 data sets."""
    covered(results, "rate D2, 40 x 20000", 4 if small else 400)


def coverage_balanced(results: Results, small: bool) -> None:
    """Coverage of 95 % intervals: S3 of the balanced system, 400 data sets."""
    covered(results, "balanced S3, 40 x 2000, finite", 2 if small else 400)


def coverage_spiking(results: Results, small: bool) -> None:
    """Coverage of 95 % intervals: the default spiking network, 60 data sets."""
    covered(results, "spiking defaults, 16 x 400 x 0.6 s, network", 1 if small else 60, SHORT if small else None)


def misfits(results: Results, name: str, said: str, count: int, model=None, source=None, less=None, shown=None) -> None:
    """How often a model that is wrong is refused."""
    table = results["refused"] if "refused" in results else results.table(
        "refused", "data and fit", "wrong", ("refused at p < 0.01 (%)", ".0f", ".0f"), "sets", ("CPU s", ".0f")
    )  # fmt: skip
    begin = time.process_time()
    found = [fitted(name, seed, model, source, less).attrs["verdict"] == "does not fit" for seed in range(count)]
    share = float(np.mean(found))
    error = 100 * np.sqrt(share * (1 - share) / count)
    table.add(shown or name, said, estimate(100 * share, error), count, time.process_time() - begin)


def refused_rate(results: Results, small: bool) -> None:
    """Another activation: D2 of the rate system."""
    name = "rate D2, 40 x 20000"
    misfits(results, name, "another activation: erf", 3 if small else 100, D2.replace(activation="erf"))


def refused_balanced(results: Results, small: bool) -> None:
    """Logistic gains of the same greatest slope for probit ones, at four times the data: S3 of the balanced system."""
    alike = 4.0 / np.sqrt(2.0 * np.pi)
    gains = tuple(ln.Logistic(gain.maximum, alike * gain.slope, gain.threshold) for gain in S3.gain)
    name, count, more = "balanced S3, 40 x 2000, finite", 2 if small else 100, {"realisations": 160}
    for said, model in (("another gain: logistic", S3.replace(gain=gains)), ("nothing", S3)):
        misfits(results, name, said, count, model, less=more, shown="balanced S3, 160 x 2000, finite")


def refused_spiking(results: Results, small: bool) -> None:
    """Another synapse law: the default spiking network fitted to networks of exponential synapses."""
    name = "spiking defaults, 16 x 400 x 0.6 s, network"
    said, count = "the data's synapses: exponential, not released at random", 1 if small else 30
    other = SPIKING.replace(synapse="exponential")
    misfits(results, name, said, count, source=other, less=SHORT if small else None)


PRIORS = {
    "rate D2, 40 x 20000": {
        "kernel.variance": ln.priors.Normal(1.5, 0.2),
        "gain": ln.priors.LogNormal(1.0, 0.2),
        "noise": (0.3, 0.7),
    },
    "balanced S3, 40 x 2000, finite": {
        "gain[e].slope": ln.priors.LogNormal(1.0, 0.1),
        "gain[i].threshold": ln.priors.Normal(0.3, 0.05),
        "tau[e]": ln.priors.LogNormal(1.0, 0.1),
    },
}
"""What is known before: the true values of the ranks are drawn from it."""
KEPT = 19
"""Draws of each posterior among which a true value has its rank: 20 ranks."""
DRAWN = {"chains": 2, "warmup": 50, "draws": 50}
"""How each posterior is sampled: of its 100 draws every fifth is kept, so that those kept are nearly independent."""


def drawn(prior, rng) -> float:
    """A value from a prior."""
    if isinstance(prior, tuple):
        return float(rng.uniform(*prior))
    if isinstance(prior, ln.priors.LogNormal):
        return float(prior.median * np.exp(prior.sd * rng.standard_normal()))
    return float(rng.normal(prior.mean, prior.sd))


def ranked(results: Results, name: str, count: int) -> None:
    """A row for each parameter: are the ranks of true values among draws uniform?"""
    table = results.table(
        "ranks", "data", "parameter", ("uniform, p", ".2g"), "lowest fifth to highest fifth", "sets", "refused",
        "diverging", ("CPU s", ".0f"),
    )  # fmt: skip
    model, true, simulate, fit = SETS[name]
    begin, ranks, refused, lost = time.process_time(), [], 0, 0
    for seed in range(count):
        rng = np.random.default_rng([seed, 77])
        value = {parameter: drawn(PRIORS[name][parameter], rng) for parameter in true}
        data = ln.simulate(model.replace(**value), seed=FIRST + 1000 + seed, **simulate)
        found = ln.posterior(model, data, PRIORS[name], seed=seed, starts=1, strict=False, **fit, **DRAWN)
        refused += found.attrs["verdict"] == "does not fit"
        lost += int(found["diverging"].sum())
        draws = found["draw_value"].values.reshape(-1, len(true))
        kept = draws[np.linspace(0, len(draws) - 1, KEPT).astype(int)]
        ranks.append(np.sum(kept < np.array(list(value.values())), axis=0))
        if seed % 20 == 0:
            print(seed, ranks[-1], lost, round(time.process_time() - begin), file=sys.stderr, flush=True)
    for parameter, column in zip(true, np.transpose(ranks), strict=True):
        counts = np.bincount(column // 4, minlength=5)
        p = float(stats.chisquare(np.bincount(column, minlength=KEPT + 1)).pvalue)
        table.add(name, f"`{parameter}`", p, counts.tolist(), count, refused, lost, time.process_time() - begin)


def ranks_rate(results: Results, small: bool) -> None:
    """Simulation-based calibration of `posterior`: D2 of the rate system, 100 data sets."""
    ranked(results, "rate D2, 40 x 20000", 3 if small else 100)


def ranks_balanced(results: Results, small: bool) -> None:
    """Simulation-based calibration of `posterior`: S3 of the balanced system, 400 data sets."""
    name = "balanced S3, 40 x 2000, finite"
    ranked(results, name, 1 if small else 400)


PARTS = (
    coverage_rate,
    coverage_balanced,
    coverage_spiking,
    refused_rate,
    refused_balanced,
    refused_spiking,
    ranks_rate,
    ranks_balanced,
)

if __name__ == "__main__":
    main(PARTS, __doc__)
