"""Fits by derivatives through the limit: recovery of worked sets, derivatives, coverage of the standard errors.

Source: the worked sets of the three systems. Run time: about 20 minutes of one core for all studies.
Command: python benchmarks/fitting.py [STUDY ...] [--repetitions 20] [--write], where STUDY is recovery[:SET],
command[:SET], derivatives[:SET], s1, s3, rate, diffusion[:REALISATIONS], spiking, pair or level; --write puts the rows
into docs/fitting.md.
"""

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rows

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


def chosen(sets):
    """Worked sets whose names begin with one of these words; all without any."""
    return [(name, row) for name, row in worked().items() if not sets or name.startswith(sets)]


def recovery(*sets):
    """Noise-free observables of `solve_limit`, start 3 to 10 % off."""
    for name, (model, true, times, of_target, of_fit) in chosen(sets):
        target = ln.solve_limit(model, times, **of_target)
        start, off = moved(name, model, true)
        begin = time.process_time()
        result = ln.fit(start, target, free=list(true), starts=1, check=False, **of_fit)
        error = np.max(np.abs(result.value.values / list(true.values()) - 1))
        free = ", ".join(f"`{word}`" for word in true)
        seconds = f"{time.process_time() - begin:.0f}"
        yield f"recovery, {name}", free, f"{off:.0%}", f"{error:.1e}", str(result.attrs["evaluations"]), seconds


def command(*sets):
    """The same as `recovery` by `largen fit`: the model a YAML file, the target a netCDF file."""
    for name, (model, true, times, of_target, of_fit) in chosen(sets):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            ln.write_model(moved(name, model, true)[0], place / "model.yaml")
            ln.save(ln.solve_limit(model, times, **of_target), place / "target.nc")
            words = [str(place / "model.yaml"), str(place / "target.nc"), "--out", str(place / "fit"), "--no-check"]
            words += [word for key in true for word in ("--free", key)]
            words += [word for key, value in of_fit.items() for word in ("--option", f"{key}={value}")]
            assert main_of_largen(["fit", *words, "--starts", "1", "--json"]) == 0
            result = ln.load(place / "fit" / "fit.nc")
        error = np.max(np.abs(result.value.values / list(true.values()) - 1))
        yield f"`largen fit`, {name}", str(len(true)), f"{error:.1e}"


def moved(name, model, true):
    """The start of a recovery: the model with its parameters off, where a limit exists; and by how much."""
    off = 0.03 if name in ("balanced S3", "spiking defaults") else 0.1
    signs = np.resize([-1.0, 1.0, 1.0, -1.0] if "spiking" in name else [1.0, -1.0, 1.0], len(true))
    return model.replace(**{k: v * (1 + s * off) for (k, v), s in zip(true.items(), signs, strict=True)}), off


def derivatives(*sets):
    """Automatic derivatives against central differences, largest error relative to each observable's largest."""
    for name, (model, true, times, _, of_fit) in chosen(sets):
        options = {} if "continuous" in name else dict(of_fit)  # any step will do
        if "spiking" in name:
            options |= {"gamma": 66.0, "bin_width": 10.0}
        limit = model.smooth(times, **options)
        model, free = unknowns(model, limit, list(true))
        sizes = shapes(limit, model)
        index = {k: np.arange(sizes[k]) for k in sorted(limit.names)}
        exact = evaluate(limit, model, free, index, free.value[None]).derivative[0]
        step = 1e-6 if "spiking" in name else 1e-5
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
        yield f"derivatives, {name}", str(len(true)), ", ".join(index), f"{worst:.1e}"


def shapes(limit, model):
    """Number of entries of each observable."""
    import equinox as eqx
    import jax

    with jax.enable_x64(True):
        values, _ = eqx.filter_eval_shape(limit, model)
    return {k: int(np.prod(v.shape)) for k, v in values.items()}


def coverage(title, model, true, off, simulate, fit, repetitions):
    """Fit the observables of networks; count the fits whose parameters all lie within 3 standard errors."""
    start = model.replace(**{k: v * (1 + o) for (k, v), o in zip(true.items(), off, strict=True)})
    scores, errors, checks = [], [], []
    begin = time.process_time()
    for seed in range(repetitions):
        target = ln.simulate(model, seed=FIRST + seed, **simulate)
        result = ln.fit(start, target, free=list(true), seed=7 + seed, starts=1, **fit)
        scores.append((result.value.values - list(true.values())) / result.standard_error.values)
        errors.append(result.standard_error.values / np.abs(list(true.values())))
        checks.append(result.attrs.get("verdict", ""))
        words = np.round(scores[-1], 2), result.attrs["rounds"], result.attrs.get("check", "")
        print(seed, *words, file=sys.stderr, flush=True)
    inside = int(np.sum(np.all(np.abs(scores) <= 3, axis=1)))
    free = ", ".join(f"`{name}` {100 * e:.2g} %" for name, e in zip(true, np.mean(errors, 0), strict=True))
    size = np.sqrt(np.mean(np.square(scores), 0))
    agree = f"{checks.count('agrees')} of {len(checks)}" if checks[0] else "not asked"
    seconds = f"{time.process_time() - begin:.0f}"
    overall = f"{np.sqrt(np.mean(size**2)):.2f} ({', '.join(f'{x:.2f}' for x in size)})"
    yield title, free, f"{inside} of {repetitions}", overall, agree, seconds


BALANCED = {"times": np.linspace(0.0, 3.0, 13), "n": 2000, "realisations": 40, "method": "tau_leap"}


def s3(repetitions):
    """Balanced networks of 2000 neurons, 40 realisations, through the equations of 2000 neurons."""
    true = {"gain[e].slope": 1.0, "gain[i].threshold": 0.3, "coupling[e,i]": 2.0, "tau[e]": 1.0}
    name, off, fit = "balanced S3, 40 x 2000, finite", (0.1, -0.1, 0.05, 0.1), {"through": "finite"}
    yield from coverage(name, ln.BalancedNetwork(), true, off, BALANCED, fit, repetitions)


def s1(repetitions):
    """The set of rank one."""
    true = {"gain[e].slope": 1.0, "gain[i].maximum": 2.5, "input[e]": 0.6, "tau[i]": 1.0}
    name, off, fit = "balanced S1, 40 x 2000, finite", (0.1, -0.1, 0.1, 0.1), {"through": "finite"}
    yield from coverage(name, ln.BalancedNetwork.rank_one(), true, off, BALANCED, fit, repetitions)


def rate(repetitions):
    """Rate networks of 20 000 neurons, 40 draws of the weights, through the limit."""
    run = {"times": np.arange(9.0), "n": 20_000, "realisations": 40, "replicas": 1}
    true = {"kernel.variance": 1.5, "kernel.post": 0.5, "gain": 1.0, "noise": 0.5}
    name, off = "rate D2, 40 x 20000, limit", (0.1, -0.1, 0.1, 0.1)
    yield from coverage(name, ln.RateNetwork(), true, off, run, {}, repetitions)


def diffusion(repetitions, realisations="20"):
    """Rate networks in continuous time, 2000 neurons, draws of the weights, through the limit."""
    run = {"times": np.linspace(0.0, 2.0, 9), "n": 2000, "replicas": 1, "lags": 1, "dt": 0.02}
    run["realisations"] = int(realisations)
    true = {"kernel.variance": 1.5, "gain": 2.0, "noise": 0.5, "tau": 0.5}
    name, off, fit = f"rate, continuous time, {realisations} x 2000, limit", (0.1, -0.1, 0.1, 0.1), {"step": 0.05}
    model = ln.RateNetwork.diffusion()
    yield from coverage(name, model, true, off, run, fit | {"check": False}, repetitions)


def spiking(repetitions):
    """Spiking networks of 400 neurons, 12 runs of 1 s, through the reduction with its level from networks."""
    run = {"times": np.arange(10_001) * 0.1, "n": 400, "realisations": 12}
    true = {"strength[e,e]": 0.95, "strength[e,i]": 2.71}
    name, fit = "spiking defaults, 12 x 400 x 1 s, network", {"through": "network", "bin_width": 10.0, "check": False}
    yield from coverage(name, ln.SpikingNetwork(), true, (-0.03, 0.02), run, fit, repetitions)


def pair():
    """What the limit cannot tell: a common input to both populations of S1; one coupling too many of S3."""
    short = np.linspace(0.0, 3.0, 13)
    model = ln.BalancedNetwork.rank_one()
    result = ln.fit(model, ln.solve_limit(model, short), free=["input", "gain[e].slope"], check=False)
    yield "S1, free: `input[e]`, `input[i]`, `gain[e].slope`", result.attrs["identifiability"]
    _, true, times, of_target, of_fit = worked()["balanced S3"]
    model, free = ln.BalancedNetwork(), [*true, "coupling[e,e]"]
    result = ln.fit(model, ln.solve_limit(model, times, **of_target), free=free, check=False, **of_fit)
    yield "S3 as above, and free as well: `coupling[e,e]`", result.attrs["identifiability"]


def level(count=24):
    """How often the check parts two networks of one model: every pair of S1's targets."""
    model = ln.BalancedNetwork.rank_one()
    targets = [ln.simulate(model, seed=3000 + seed, **BALANCED) for seed in range(count)]
    words = [_by_comparison(model, one, two, "")[0] for one, two in itertools.combinations(targets, 2)]
    parted = f"{words.count('differs')} of {len(words)} ({100 * words.count('differs') / len(words):.1f} %)"
    yield f"networks of the true S1, 40 x 2000, all pairs of {count}", parted


STUDIES = {
    study.__name__: study for study in (recovery, command, derivatives, s3, s1, rate, diffusion, spiking, pair, level)
}


def main():
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", default=list(STUDIES))
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    for word in given.studies:
        name, *sets = word.split(":")  # such as "recovery:rate (continuous)"
        more = () if name in ("recovery", "command", "derivatives", "pair", "level") else (given.repetitions,)
        for cells in STUDIES[name](*more, *sets):
            print(f"| {' | '.join(cells)} |", flush=True)
            if given.write:
                rows.write("fitting.md", [cells])


if __name__ == "__main__":
    main()
