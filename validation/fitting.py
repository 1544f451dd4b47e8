"""Fits by derivatives through the limit: recovery of known parameters, derivatives, coverage of the standard errors.

Source:   the worked sets of the three systems.
Run time: about 20 minutes of one core for all parts.
Command:  python validation/fitting.py recovery|command|derivatives|coverage|pair|level
"""

import itertools
import sys
import tempfile
import time
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
from study import Results, Table, main

import largen as ln
from largen.commands.main import main as main_of_largen
from largen.fitting.check import _by_comparison
from largen.fitting.evaluation import evaluate
from largen.fitting.unknowns import unknowns

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
        "all within 3", "of", ("r.m.s. z", ".2f"), ("of each", ".2f"), "network agrees", ("CPU s", ".0f"),
    )  # fmt: skip
    cases = {"rate D2, 40 x 20000, limit": COVERED["rate D2, 40 x 20000, limit"]} if small else COVERED
    for name, case in cases.items():
        add_coverage(table, name, *case, repetitions=2 if small else 20)


def add_coverage(table: Table, name, model, true, off, simulate, fit, *, repetitions: int) -> None:
    """A row: fit the observables of networks; count the fits whose parameters all lie within 3 standard errors."""
    start = model.replace(**{k: v * (1 + o) for (k, v), o in zip(true.items(), off, strict=True)})
    scores, errors, checks = [], [], []
    begin = time.process_time()
    for seed in range(repetitions):
        target = ln.simulate(model, seed=FIRST + seed, **simulate)
        result = ln.fit(start, target, free=list(true), seed=7 + seed, starts=1, **fit)
        scores.append((result.value.values - list(true.values())) / result.standard_error.values)
        errors.append(result.standard_error.values / np.abs(list(true.values())))
        checks.append(result.attrs.get("verdict", ""))
        print(seed, np.round(scores[-1], 2), result.attrs["rounds"], checks[-1], file=sys.stderr, flush=True)
    inside = int(np.sum(np.all(np.abs(scores) <= 3, axis=1)))
    size = np.sqrt(np.mean(np.square(scores), 0))
    agree = checks.count("agrees") if checks[0] else "not asked"
    spent = time.process_time() - begin
    overall = np.sqrt(np.mean(size**2))
    table.add(name, code(true), 100 * np.mean(errors, 0), inside, repetitions, overall, size, agree, spent)


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
    """How often the check, a test at 5 %, parts two networks of one model: every pair of S1's targets."""
    table = results.table("level", "networks", "parted", "pairs", ("parted (%)", ".1f"))
    model, count = ln.BalancedNetwork.rank_one(), 3 if small else 24
    targets = [ln.simulate(model, seed=3000 + seed, **BALANCED) for seed in range(count)]
    words = [_by_comparison(model, one, two, "")[0] for one, two in itertools.combinations(targets, 2)]
    parted = words.count("differs")
    table.add(f"of the true S1, 40 x 2000, all pairs of {count}", parted, len(words), 100 * parted / len(words))


PARTS = (recovery, command, derivatives, coverage, pair, level)

if __name__ == "__main__":
    main(PARTS, __doc__)
