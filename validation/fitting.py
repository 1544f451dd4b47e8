"""Fits by derivatives through the limit: recovery of known parameters, derivatives, coverage of the standard errors.

Source:   the worked sets of the three systems.
Run time: about 20 minutes of one core for all parts.
Command:  python validation/fitting.py recovery|command|derivatives|coverage|goodness|pair|level
"""

import itertools
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
from scipy import stats
from study import Results, Table, main

import largen as ln
from largen.commands.main import main as main_of_largen
from largen.fitting.check import _by_comparison
from largen.fitting.errors import covariance
from largen.fitting.evaluation import evaluate
from largen.fitting.unknowns import unknowns
from largen.numerics.goodness_of_fit import GoodnessOfFit, goodness_of_fit, pooled_dof

FIRST = 100
"""Seed of the first target."""


def worked():
    """Name: (model, true values, times of the limit, options of the target, options of the fit)."""
    s1 = {f"gain[{p}].{f}": v for p, row in (("e", (1.0, 1.0, 0.2)), ("i", (2.5, 1.5, 0.6)))
          for f, v in zip(("maximum", "slope", "threshold"), row, strict=True)}  # fmt: skip
    s1 |= {"input[e]": 0.6, "tau[e]": 1.0, "tau[i]": 1.0}
    # With coupling[e,e] too one combination would be open: the pinned rates give two equations for three numbers.
    s3 = {"coupling[e,i]": 2.0, "gain[e].slope": 1.0, "gain[i].threshold": 0.3}
    s3 |= {"tau[e]": 1.0, "tau[i]": 1.0, "drive[e]": 0.65}
    d2 = {"kernel.variance": 1.5, "kernel.post": 0.5, "kernel.pre": 0.4, "gain": 1.0, "noise": 0.5, "gamma": 0.7}
    d2 |= {"mean_weight": -0.8}
    c3 = {"kernel.variance": 1.5, "kernel.post": 0.5, "kernel.pre": 0.4, "gain": 2.0, "noise": 0.5, "tau": 0.5}
    b = {"strength[e,e]": 0.95, "strength[e,i]": 2.71, "strength[i,e]": 1.25, "strength[i,i]": 2.45}
    tight = {"rtol": 1e-11, "atol": 1e-12}
    short = np.linspace(0.0, 3.0, 13)
    return {
        "balanced S1": (ln.BalancedNetwork.rank_one(), s1, short, tight, tight),
        "balanced S3": (ln.BalancedNetwork(), s3, short, tight, tight),
        "rate D2 (discrete)": (ln.RateNetwork(), d2, np.arange(9.0), tight, {}),
        "rate (continuous)": (ln.RateNetwork.diffusion(), c3, np.linspace(0, 2, 9), tight, {"step": 0.05}),
        "spiking defaults": (ln.SpikingNetwork(), b, np.arange(4001) * 0.1, {"bin_width": 10.0}, {}),
    }


def chosen(small):
    """Worked sets; a quick one where `small`."""
    sets = worked()
    return {"rate D2 (discrete)": sets["rate D2 (discrete)"]} if small else sets


def recovery(results: Results, small: bool) -> None:
    """Noise-free observables of `solve_limit`, start 3 to 10 % off: largest relative error of the parameters."""
    table = results.table(
        "recovery", "set", "free parameters", ("start off by", ".0%"), ("largest error", ".1e"), "evaluations",
        ("CPU s", ".0f"),
    )  # fmt: skip
    for name, (model, true, times, of_target, of_fit) in chosen(small).items():
        target = ln.solve_limit(model, times, **of_target)
        start, off = moved(name, model, true)
        begin = time.process_time()
        result = ln.fit(start, target, free=list(true), starts=1, check=False, **of_fit)
        error = np.max(np.abs(result.value.values / list(true.values()) - 1))
        spent = time.process_time() - begin
        table.add(name, code(true), off, error, result.attrs["evaluations"], spent)


def code(names):
    """Names as code, one after another."""
    return ", ".join(f"`{name}`" for name in names)


def command(results: Results, small: bool) -> None:
    """The same by `largen fit` on files."""
    table = results.table("command", "`largen fit`", "free parameters", ("largest error", ".1e"))
    for name, (model, true, times, of_target, of_fit) in chosen(small).items():
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            ln.write_model(moved(name, model, true)[0], place / "model.yaml")
            ln.save(ln.solve_limit(model, times, **of_target), place / "target.nc")
            words = [str(place / "model.yaml"), str(place / "target.nc"), "--out", str(place / "fit"), "--no-check"]
            words += [word for key in true for word in ("--free", key)]
            words += [word for key, value in of_fit.items() for word in ("--option", f"{key}={value}")]
            assert main_of_largen(["fit", *words, "--starts", "1", "--json"]) == 0
            result = ln.load(place / "fit" / "fit.nc")
        table.add(name, len(true), np.max(np.abs(result.value.values / list(true.values()) - 1)))


def moved(name, model, true):
    """The start of a recovery: the model with its parameters off, where a limit exists; and by how much."""
    off = 0.03 if name in ("balanced S3", "spiking defaults") else 0.1
    signs = np.resize([-1.0, 1.0, 1.0, -1.0] if "spiking" in name else [1.0, -1.0, 1.0], len(true))
    return model.replace(**{k: v * (1 + s * off) for (k, v), s in zip(true.items(), signs, strict=True)}), off


def derivatives(results: Results, small: bool) -> None:
    """Automatic derivatives against central differences, largest error relative to each observable's largest."""
    table = results.table("derivatives", "set", "parameters", "observables", ("largest difference", ".1e"))
    for name, (model, true, times, _, of_fit) in chosen(small).items():
        options = {} if "continuous" in name else dict(of_fit)  # any step will do
        if "spiking" in name:
            options |= {"gamma": 66.0, "bin_width": 10.0}
        observables, error = largest_difference(model, true, model.smooth(times, **options), spiking="spiking" in name)
        table.add(name, len(true), observables, error)


def largest_difference(model, true, limit, *, spiking):
    """Observables of a limit, and the largest difference between their derivatives and central differences."""
    model, free = unknowns(model, limit, list(true))
    sizes = shapes(limit, model)
    index = {k: np.arange(sizes[k]) for k in sorted(limit.names)}
    exact = evaluate(limit, model, free, index, free.value[None]).derivative[0]
    step = 1e-6 if spiking else 1e-5
    worst, begin = 0.0, 0
    moved = [free.value + s * step * row for row in np.diag(np.abs(free.value)) for s in (1, -1)]
    values = np.concatenate([evaluate(limit, model, free, index, m[None]).value for m in moved])
    for key in index:
        part = slice(begin, begin + sizes[key])
        begin += sizes[key]
        for k, v in enumerate(np.abs(free.value)):
            difference = (values[2 * k, part] - values[2 * k + 1, part]) / (2 * step * v)
            scale = np.abs(exact[part]).max(0).max()
            worst = max(worst, np.abs(difference - exact[part, k]).max() / scale)
    return list(index), worst


def shapes(limit, model):
    """Number of entries of each observable."""
    with jax.enable_x64(True):
        values, _ = eqx.filter_eval_shape(limit, model)
    return {k: int(np.prod(v.shape)) for k, v in values.items()}


BALANCED = {"times": np.linspace(0.0, 3.0, 13), "n": 2000, "realisations": 40, "method": "tau_leap"}
COVERED = {
    "balanced S3, 40 x 2000, finite": (
        ln.BalancedNetwork(),
        {"gain[e].slope": 1.0, "gain[i].threshold": 0.3, "coupling[e,i]": 2.0, "tau[e]": 1.0},
        (0.1, -0.1, 0.05, 0.1), BALANCED, {"through": "finite"},
    ),
    "balanced S1, 40 x 2000, finite": (
        ln.BalancedNetwork.rank_one(),
        {"gain[e].slope": 1.0, "gain[i].maximum": 2.5, "input[e]": 0.6, "tau[i]": 1.0},
        (0.1, -0.1, 0.1, 0.1), BALANCED, {"through": "finite"},
    ),
    "rate D2, 40 x 20000, limit": (
        ln.RateNetwork(), {"kernel.variance": 1.5, "kernel.post": 0.5, "gain": 1.0, "noise": 0.5},
        (0.1, -0.1, 0.1, 0.1), {"times": np.arange(9.0), "n": 20_000, "realisations": 40, "replicas": 1}, {},
    ),
    "rate, continuous time, 20 x 2000, limit": (
        ln.RateNetwork.diffusion(), {"kernel.variance": 1.5, "gain": 2.0, "noise": 0.5, "tau": 0.5},
        (0.1, -0.1, 0.1, 0.1),
        {"times": np.linspace(0.0, 2.0, 9), "n": 2000, "replicas": 1, "lags": 1, "dt": 0.02, "realisations": 20},
        {"step": 0.05, "check": False},
    ),
    "spiking defaults, 12 x 400 x 1 s, network": (
        ln.SpikingNetwork(), {"strength[e,e]": 0.95, "strength[e,i]": 2.71}, (-0.03, 0.02),
        {"times": np.arange(10_001) * 0.1, "n": 400, "realisations": 12},
        {"through": "network", "bin_width": 10.0, "check": False},
    ),
}  # fmt: skip
"""Target and fit: model, true values, relative offsets of the start, options of `simulate`, options of `fit`."""


def coverage(results: Results, small: bool) -> None:
    """Observables of 20 simulated networks fitted: how far the parameters are in their standard errors."""
    table = results.table(
        "coverage", "target, fit", "free parameters", ("mean relative standard errors (%)", ".2g"),
        "all within 3", "of", ("r.m.s. z", ".2f"), ("of each", ".2f"), "said not to fit", "network within tolerance",
        ("CPU s", ".0f"),
    )  # fmt: skip
    cases = {"rate D2, 40 x 20000, limit": COVERED["rate D2, 40 x 20000, limit"]} if small else COVERED
    for name, case in cases.items():
        add_coverage(table, name, *case, repetitions=2 if small else 20)


def add_coverage(table: Table, name, model, true, off, simulate, fit, *, repetitions: int) -> None:
    """A row: fit the observables of networks; count the fits whose parameters all lie within 3 standard errors."""
    start = model.replace(**{k: v * (1 + o) for (k, v), o in zip(true.items(), off, strict=True)})
    scores, errors, checks, refused = [], [], [], []
    begin = time.process_time()
    for seed in range(repetitions):
        target = ln.simulate(model, seed=FIRST + seed, **simulate)
        try:
            result = ln.fit(start, target, free=list(true), seed=7 + seed, starts=1, **fit)
        except ln.FitError:  # of a true model, at 1 %
            refused.append(seed)
            continue
        scores.append((result.value.values - list(true.values())) / result.standard_error.values)
        errors.append(result.standard_error.values / np.abs(list(true.values())))
        checks.append(result.attrs.get("check_verdict", ""))
        print(seed, np.round(scores[-1], 2), result.attrs["rounds"], checks[-1], file=sys.stderr, flush=True)
    inside = int(np.sum(np.all(np.abs(scores) <= 3, axis=1)))
    size = np.sqrt(np.mean(np.square(scores), 0))
    agree = checks.count("within tolerance") if any(checks) else "not asked"
    spent = time.process_time() - begin
    overall = np.sqrt(np.mean(size**2))
    table.add(
        name, code(true), 100 * np.mean(errors, 0), inside, len(scores), overall, size, len(refused), agree, spent
    )


DATA, LINEAR = 8, 3
"""Data and parameters of the linear models of `goodness`."""


def goodness(results: Results, small: bool) -> None:
    """Linear models of 8 data and 3 parameters: false alarms of the test of a fit, misfits found, intervals."""
    repetitions = 100 if small else 2000
    table = results.table(
        "goodness", "correlation", "realisations", "law", ("true models accused (%)", ".1f"),
        ("by chi-squared with df (%)", ".1f"), ("misfit of 6 errors found (%)", ".0f"), ("of 12 (%)", ".0f"),
    )  # fmt: skip
    for correlation, realisations in itertools.product((0.0, 0.6), (4, 8, 11, 12, 16, 32)):
        fits = [linear_fit(correlation, realisations, seed) for seed in range(repetitions)]
        off = [[linear_fit(correlation, realisations, seed, wrong) for seed in range(repetitions // 4)]
               for wrong in (6.0, 12.0)]  # fmt: skip
        chi_squared = 100 * np.mean([fit.known < 0.01 for fit in fits])
        table.add(correlation, realisations, str(fits[0].test.law), accused(fits), chi_squared, *map(accused, off))
    table = results.table(
        "intervals", "errors", "realisations", ("true models accused (%)", ".1f"),
        ("95 % intervals that cover (%)", ".1f"), ("refused (%)", ".0f"),
    )  # fmt: skip
    for realisations, theory in itertools.product((4, 8, 16, 32), (0.0, 1.0, 3.0)):
        fits = [linear_fit(0.3, realisations, seed, theory=theory) for seed in range(repetitions)]
        name = f"of the data and the theory (`model_error`), {theory:g} times theirs" if theory else "of the data"
        table.add(name, realisations, accused(fits), covered(fits), 0.0)
    for factor in (0.5, 1.0, 2.0):
        fits = [linear_fit(0.0, np.inf, seed, factor=factor) for seed in range(repetitions)]
        kept = [f for f in fits if f.test.misfit <= 3]
        name = f'given, {1 / factor:g} of the true ones, `errors="scaled"`'
        table.add(name, "none", accused(fits), covered(kept), 100 * (1 - len(kept) / len(fits)))


class LinearFit(NamedTuple):
    """A linear model fitted: the test, p by chi-squared with df, and which 95 % intervals cover the truth."""

    test: GoodnessOfFit
    known: float
    covers: np.ndarray


def linear_fit(correlation, realisations, seed, wrong=0.0, theory=0.0, factor=None) -> LinearFit:
    """Fit one: `wrong` is a misfit and `theory` the theory's own random error, in errors of the data.

    With a `factor` only standard errors are known, and are too small by it.
    """
    rng = np.random.default_rng([seed, int(10 * correlation), 0 if factor else realisations])
    jacobian, root = rng.standard_normal((DATA, LINEAR)), np.sqrt(1 - correlation)
    samples = None if factor else root * rng.standard_normal((realisations, DATA))
    if samples is not None:
        samples += np.sqrt(correlation) * rng.standard_normal((realisations, 1))
        samples *= np.sqrt(realisations)
        mean, error = samples.mean(0), samples.std(0, ddof=1) / np.sqrt(realisations)
    else:
        mean, error = rng.standard_normal(DATA), np.full(DATA, 1.0 / factor)
    mean = mean + wrong * np.linalg.svd(jacobian)[0][:, LINEAR] + theory * rng.standard_normal(DATA)
    total = np.hypot(error, theory)
    weighted = jacobian / total[:, None]
    residual = weighted @ (value := np.linalg.lstsq(weighted, mean / total, rcond=None)[0]) - mean / total
    sampled = samples is not None
    dof = pooled_dof([error**2, np.full(DATA, theory**2)], [realisations - 1.0, np.inf]) if sampled else np.inf
    rows = [samples / total] if sampled and not theory else []
    test = goodness_of_fit(residual, weighted, LINEAR, samples=rows, error_dof=dof)
    known = np.full(DATA, theory) / total if sampled else np.ones(DATA)
    spread = covariance(weighted, residual, samples / total if sampled else None, [], known)
    scale, nu = (1.0, realisations - 1.0) if sampled else (test.misfit, test.dof)
    covers = np.abs(value) <= stats.t.ppf(0.975, nu) * scale * np.sqrt(np.diag(spread))
    return LinearFit(test, float(stats.chi2.sf(residual @ residual, test.dof)), covers)


def accused(fits) -> float:
    """Share of fits whose model is said not to fit, in %."""
    return 100 * float(np.mean([fit.test.p_value < 0.01 for fit in fits]))


def covered(fits) -> float:
    """Share of 95 % intervals that cover the truth, in %."""
    return 100 * float(np.mean([fit.covers for fit in fits]))


def pair(results: Results, small: bool) -> None:
    """What the limit cannot tell: a common input to both populations of S1; one coupling too many of S3."""
    table = results.table("pair", "fit", "what it says")
    short = np.linspace(0.0, 3.0, 13)
    model = ln.BalancedNetwork.rank_one()
    result = ln.fit(model, ln.solve_limit(model, short), free=["input", "gain[e].slope"], check=False)
    table.add("S1, free: `input[e]`, `input[i]`, `gain[e].slope`", result.attrs["identifiability"])
    if small:
        return
    _, true, times, of_target, of_fit = worked()["balanced S3"]
    model, free = ln.BalancedNetwork(), [*true, "coupling[e,e]"]
    result = ln.fit(model, ln.solve_limit(model, times, **of_target), free=free, check=False, **of_fit)
    table.add("S3 as above, and free as well: `coupling[e,e]`", result.attrs["identifiability"])


def level(results: Results, small: bool) -> None:
    """What the check says of two networks of one model, at a level of 5 %: every pair of S1's targets."""
    table = results.table("level", "networks", "pairs", "within tolerance", "undecided", "beyond tolerance")
    model, count = ln.BalancedNetwork.rank_one(), 3 if small else 24
    targets = [ln.simulate(model, seed=3000 + seed, **BALANCED) for seed in range(count)]
    words = [_by_comparison(model, one, two, None, "")[0] for one, two in itertools.combinations(targets, 2)]
    counts = [sum(word.startswith(label) for word in words) for label in ("within", "undecided", "beyond")]
    table.add(f"of the true S1, 40 x 2000, all pairs of {count}", len(words), *counts)


PARTS = (recovery, command, derivatives, coverage, goodness, pair, level)

if __name__ == "__main__":
    main(PARTS, __doc__)
