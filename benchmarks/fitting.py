"""Fits by derivatives through the limit: recovery of worked sets, derivatives, coverage of the standard errors.

Source: the worked sets of the three systems (see docs/fitting.md, which this script writes the tables of).
Run time: about 15 minutes of one core for all studies.
Command: python benchmarks/fitting.py [recovery[:SET] derivatives[:SET] balanced rate diffusion spiking pair]
"""

import sys
import time

import numpy as np

import largen as ln
from largen.fitting.evaluation import evaluate
from largen.fitting.unknowns import unknowns

REPETITIONS = 20


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
        "rate (continuous)": (ln.RateNetwork.diffusion(), c3, np.linspace(0, 2, 9), tight, {"step": 0.02}),
        "spiking defaults": (ln.SpikingNetwork(), b, np.arange(4001) * 0.1, {"bin_width": 10.0}, {}),
    }


def chosen(sets):
    """Worked sets whose names begin with one of these words; all without any."""
    return [(name, row) for name, row in worked().items() if not sets or name.startswith(sets)]


def recovery(*sets):
    """Noise-free observables of `solve_limit`, start 3 to 10 % off."""
    print("\n## Recovery from noise-free observables\n")
    print("| set | free parameters | start off by | largest relative error | evaluations | CPU s |")
    print("|---|---|---|---|---|---|")
    for name, (model, true, times, of_target, of_fit) in chosen(sets):
        target = ln.solve_limit(model, times, **of_target)
        off = (
            0.1 if name in ("balanced S1", "rate D2 (discrete)", "rate (continuous)") else 0.03
        )  # where a limit exists
        signs = np.resize([-1.0, 1.0, 1.0, -1.0] if "spiking" in name else [1.0, -1.0, 1.0], len(true))
        start = model.replace(**{k: v * (1 + s * off) for (k, v), s in zip(true.items(), signs, strict=True)})
        begin = time.process_time()
        result = ln.fit(start, target, free=list(true), starts=1, check=False, **of_fit)
        error = np.max(np.abs(result.value.values / list(true.values()) - 1))
        cells = f"{error:.1e} | {result.attrs['evaluations']} | {time.process_time() - begin:.0f}"
        print(f"| {name} | {', '.join(true)} | {off:.0%} | {cells} |", flush=True)


def derivatives(*sets):
    """Automatic derivatives against central differences, largest error relative to each observable's largest."""
    print("\n## Derivatives against central differences\n")
    print("| set | parameters | observables | largest relative difference |")
    print("|---|---|---|---|")
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
        print(f"| {name} | {len(true)} | {', '.join(index)} | {worst:.1e} |", flush=True)


def shapes(limit, model):
    """Number of entries of each observable."""
    import equinox as eqx
    import jax

    with jax.enable_x64(True):
        values, _ = eqx.filter_eval_shape(limit, model)
    return {k: int(np.prod(v.shape)) for k, v in values.items()}


def coverage(title, model, true, off, simulate, fit):
    """Fit the observables of 20 networks; count the fits whose parameters all lie within 3 standard errors."""
    start = model.replace(**{k: v * (1 + o) for (k, v), o in zip(true.items(), off, strict=True)})
    scores, errors, checks = [], [], []
    begin = time.process_time()
    for seed in range(REPETITIONS):
        target = ln.simulate(model, seed=100 + seed, **simulate)
        result = ln.fit(start, target, free=list(true), seed=7 + seed, starts=1, **fit)
        scores.append((result.value.values - list(true.values())) / result.standard_error.values)
        errors.append(result.standard_error.values / np.abs(list(true.values())))
        checks.append(result.attrs.get("verdict", ""))
        print(seed, np.round(scores[-1], 2), result.attrs["rounds"], result.attrs.get("check", ""), file=sys.stderr)
    scores = np.array(scores)
    inside = int(np.sum(np.all(np.abs(scores) <= 3, axis=1)))
    relative = ", ".join(f"{100 * e:.2g} %" for e in np.mean(errors, 0))
    agree = f"{checks.count('agrees')} of {len(checks)}" if checks[0] else "not asked"
    print(
        f"| {title} | {', '.join(true)} | {relative} | {inside} of {REPETITIONS} | {np.sqrt(np.mean(scores**2)):.2f} | "
        f"{agree} | {time.process_time() - begin:.0f} |",
        flush=True,
    )


def header():
    print("\n## Coverage of the standard errors\n")
    print(
        "| target, fit | free parameters | standard errors (mean, relative) | all within 3 | r.m.s. z | "
        "network agrees | CPU s |"
    )
    print("|---|---|---|---|---|---|---|")


def balanced():
    """Balanced networks of 2000 neurons, 40 realisations, through the equations of 2000 neurons."""
    header()
    times = np.linspace(0.0, 3.0, 13)
    run = {"times": times, "n": 2000, "realisations": 40, "method": "tau_leap"}
    true = {"gain[e].slope": 1.0, "gain[i].threshold": 0.3, "coupling[e,i]": 2.0, "tau[e]": 1.0}
    coverage("S3, 40 x 2000, finite", ln.BalancedNetwork(), true, (0.1, -0.1, 0.05, 0.1), run, {"through": "finite"})
    true = {"gain[e].slope": 1.0, "gain[i].maximum": 2.5, "input[e]": 0.6, "tau[i]": 1.0}
    fit = {"through": "finite"}
    coverage("S1, 40 x 2000, finite", ln.BalancedNetwork.rank_one(), true, (0.1, -0.1, 0.1, 0.1), run, fit)


def rate():
    """Rate networks of 20 000 neurons, 40 draws of the weights, through the limit."""
    header()
    run = {"times": np.arange(9.0), "n": 20_000, "realisations": 40, "replicas": 1}
    true = {"kernel.variance": 1.5, "kernel.post": 0.5, "gain": 1.0, "noise": 0.5}
    coverage("D2, 40 x 20000, limit", ln.RateNetwork(), true, (0.1, -0.1, 0.1, 0.1), run, {})


def diffusion():
    """Rate networks in continuous time, 2000 neurons, 20 draws of the weights, through the limit."""
    header()
    run = {"times": np.linspace(0.0, 2.0, 9), "n": 2000, "realisations": 20, "replicas": 1, "lags": 1, "dt": 0.02}
    true = {"kernel.variance": 1.5, "gain": 2.0, "noise": 0.5, "tau": 0.5}
    fit = {"check": False, "step": 0.05}
    coverage("diffusion, 20 x 2000, limit", ln.RateNetwork.diffusion(), true, (0.1, -0.1, 0.1, 0.1), run, fit)


def spiking():
    """Spiking networks of 400 neurons, 12 runs of 1 s, through the reduction with its level from networks."""
    header()
    run = {"times": np.arange(10_001) * 0.1, "n": 400, "realisations": 12}
    true = {"strength[e,e]": 0.95, "strength[e,i]": 2.71}
    fit = {"through": "network", "bin_width": 10.0, "check": False}
    coverage("defaults, 12 x 400 x 1 s, network", ln.SpikingNetwork(), true, (-0.03, 0.02), run, fit)


def pair():
    """What the limit cannot tell: a common input to both populations of S1."""
    print("\n## An unidentifiable pair\n")
    model, times = ln.BalancedNetwork.rank_one(), np.linspace(0.0, 3.0, 13)
    target = ln.solve_limit(model, times)
    result = ln.fit(model, target, free=["input", "gain[e].slope"], check=False)
    print(f"S1, free input[e], input[i], gain[e].slope: {result.attrs['identifiability']}")


if __name__ == "__main__":
    studies = sys.argv[1:] or ("recovery", "derivatives", "balanced", "rate", "diffusion", "spiking", "pair")
    for study in studies:
        name, *sets = study.split(":")  # such as "recovery:rate (continuous)"
        globals()[name](*sets)
