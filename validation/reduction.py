"""The quadrature of the pending input against random networks: its error, its own estimate of it, and today's closure.

What:     Networks drawn at random: one or two populations, 30 to 3000 inputs, decay 1 to 15 ms, leak 5 to 30 ms or
          none; pending synapses, also with delays, and exponential ones. For each the annealed network,
          `closure="quadrature"` with everything automatic, and `closure="joint"` where it can hold the network.
Law:      Kind: pending (half of them), pending with delays (a fifth), exponential (the rest). Inputs K per source:
          log-uniform. Decay: uniform, by source. Leak: none for half of them, else uniform. Strength times K: uniform
          in 20 to 110 (excitation), 100 to 400 (inhibition), times 0.8 to 1.3 by target. Drive: uniform in 1 to 6 per
          ms without leak, 100 to 145 with. One population: excitatory or inhibitory. Delays: uniform in 0.5 to 3 ms,
          with a spread of 0.5 for half of them. Inhibition of the last two kinds: a current for half of them, at half
          the strength. Exponential: in-degrees K, a spread of strengths of 0.2. All from seed 1. Networks that fire
          above 150 Hz are left out and said to be.
Run time: about 10 CPU minutes for 64 networks, 8 for `several`.
Command:  python validation/reduction.py networks several, or chosen and microcircuit (minutes), chain (about 60 CPU
          minutes), chain_few (about 10), sizes (about 12)
"""

import time
import warnings

import numpy as np
from spiking_reduction import DT, QUANTITIES, SETS, statistics
from study import Results, estimate, main

import largen as ln
from largen.systems.spiking.presets import PUBLISHED_RATES

# Parameters -----------------------------------------------------------------------------------------------------

SEED, COUNT = 1, 64
SEVERAL_SEED, SEVERAL = 11, 30
DURATION, START, BLOCK = 1000.0, 450.0, 50.0
FASTEST, HEARD = 150.0, 0.1
"""Rates (Hz) above which a network is left out, and below which errors are not given in per cent."""

# Problem --------------------------------------------------------------------------------------------------------


def draw(rng):
    """A network by the law above, and its kind."""
    kind = str(rng.choice(("pending", "delays", "exponential"), p=(0.5, 0.2, 0.3)))
    both = rng.random() < 0.7
    inhibitory = [False, True] if both else [bool(rng.random() < 0.5)]
    size = np.array([15_000, 5_000]) if both else np.array([20_000])
    count = len(size)
    inputs = np.exp(rng.uniform(np.log(30.0), np.log(3000.0), count))
    whole = np.where(inhibitory, rng.uniform(100.0, 400.0, count), rng.uniform(20.0, 110.0, count))
    leaky = rng.random() < 0.5
    fields = {
        "size": size,
        "inhibitory": inhibitory,
        "strength": whole / inputs * rng.uniform(0.8, 1.3, (count, 1)),
        "decay": np.tile(rng.uniform(1.0, 15.0, count), (count, 1)),
        "membrane_time": rng.uniform(5.0, 30.0) if leaky else np.inf,
        "external_rate": rng.uniform(100.0, 145.0) if leaky else rng.uniform(1.0, 6.0),
        "refractory_time": 2.0,
    }
    if kind != "pending":
        fields["delay"] = np.tile(rng.uniform(0.5, 3.0, count), (count, 1))
        fields["delay_spread"] = 0.5 * float(rng.random() < 0.5)
        if rng.random() < 0.5:
            fields["inhibition"] = "current"
            fields["strength"] = fields["strength"] * np.where(inhibitory, 0.5, 1.0)
    if kind == "exponential":
        fields |= {"synapse": "exponential", "strength_spread": 0.2}
        return ln.SpikingNetwork(**fields, in_degree=np.tile(np.rint(inputs).astype(int), (count, 1))), kind
    return ln.SpikingNetwork(**fields, probability=np.tile(inputs / size, (count, 1))), kind


def draw_several(rng, number):
    """A network of three or four populations, each with a decay time of its own; every third has exponential synapses.

    In-degrees 30 to 1500, drawn for each source; excitation and inhibition share their strengths times K among their
    populations; inhibition is a current for two fifths of the pending ones, at half the strength; else the law above.
    """
    count = 3 + number % 2
    inhibitory = np.array([False] * (count - count // 2) + [True] * (count // 2))
    size = np.where(inhibitory, 5_000, 15_000)
    inputs = np.exp(rng.uniform(np.log(30.0), np.log(1500.0), count))
    whole = np.where(inhibitory, rng.uniform(100.0, 400.0, count), rng.uniform(20.0, 110.0, count))
    whole = whole / np.where(inhibitory, inhibitory.sum(), (~inhibitory).sum())
    leaky = rng.random() < 0.5
    fields = {
        "size": size,
        "inhibitory": inhibitory.tolist(),
        "strength": whole / inputs * rng.uniform(0.8, 1.3, (count, 1)),
        "decay": np.tile(rng.uniform(1.0, 15.0, count), (count, 1)),
        "membrane_time": rng.uniform(5.0, 30.0) if leaky else np.inf,
        "external_rate": rng.uniform(100.0, 145.0) if leaky else rng.uniform(1.0, 6.0),
        "refractory_time": 2.0,
    }
    exponential = number % 3 == 2
    if exponential or rng.random() < 0.4:
        fields["inhibition"] = "current"
        fields["strength"] = fields["strength"] * np.where(inhibitory, 0.5, 1.0)
    if not exponential:
        return ln.SpikingNetwork(**fields, probability=np.tile(inputs / size, (count, 1))), "pending"
    fields |= {
        "synapse": "exponential",
        "strength_spread": 0.2,
        "delay": np.tile(rng.uniform(0.5, 3.0, count), (count, 1)),
    }
    return ln.SpikingNetwork(**fields, in_degree=np.tile(np.rint(inputs).astype(int), (count, 1))), "exponential"


def late(run):
    """Mean rates of the second half (Hz), shape (P,)."""
    return run["rate"].sel(time=slice(START + 1e-6, None)).mean("time").values


def network_rates(model):
    """Rates of a network with standard errors from its blocks, which hide correlations longer than a block."""
    run = ln.simulate(model, np.arange(0.0, DURATION + 1e-6, BLOCK), seed=SEED)
    rate = run["rate"].values[0][:, round(START / BLOCK) + 1 :]
    return rate.mean(1), rate.std(1, ddof=1) / np.sqrt(rate.shape[1])


def per_cent(rate, truth, error):
    """A rate's difference from the network's, with the network's error; nothing where the network hardly fires."""
    return estimate(100.0 * (rate - truth) / truth, 100.0 * error / truth) if truth > HEARD else None


# Run ------------------------------------------------------------------------------------------------------------


def networks(results: Results, small: bool) -> None:
    """Errors of mean rates in per cent over random networks, and whether the estimate covers them."""
    rng = np.random.default_rng(SEED)
    _beside_networks(results, [draw(rng) for _ in range(2 if small else COUNT)])


def several(results: Results, small: bool) -> None:
    """The same of networks with three or four populations, each with a decay time of its own."""
    rng = np.random.default_rng(SEVERAL_SEED)
    _beside_networks(results, [draw_several(rng, number) for number in range(1 if small else SEVERAL)])


def _beside_networks(results, drawn):
    times = np.arange(0.0, DURATION + 0.5)
    table = results.table(
        "networks", "network", "kind", "population", "orders", ("bin width", ".2f"), ("rate (Hz)", ".2f", ".2f"),
        ("quadrature, error (%)", "+.2f", ".2f"), ("its estimate (%)", ".2f"), ("joint, error (%)", "+.2f", ".2f"),
        "flags",
    )  # fmt: skip
    rows = []
    for k, (model, kind) in enumerate(drawn):
        truth, se = network_rates(model)
        if np.any(truth > FASTEST):
            table.add(k, kind, "left out", "", None, None, None, None, None, "fires above 150 Hz")
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # flags are in the table
            ours = ln.solve_limit(model, times, closure="quadrature")
            joint = late(ln.solve_limit(model, times, closure="joint")) if model.is_basic else None
        found, error, about = late(ours), ours.attrs["rate_error"], ours.attrs
        for a, population in enumerate(model.populations):
            rate, known = truth[a], truth[a] > HEARD
            table.add(
                k, kind, population, str(tuple(about["orders"].tolist())), about["bin_width"], estimate(rate, se[a]),
                per_cent(found[a], rate, se[a]), 100.0 * error[a] / rate if known else None,
                None if joint is None else per_cent(joint[a], rate, se[a]), about["flags"],
            )  # fmt: skip
            nothing = np.nan if joint is None else joint[a]
            rows.append((truth[a], se[a], found[a], error[a], nothing, bool(about["flags"])))
    _summary(results, np.array(rows, float))


def _summary(results, rows):
    """Means and extremes over the components above 0.1 Hz, and what the estimate covers of all."""
    table = results.table("summary", "what", ("value", ".2f"))
    truth, se, found, error, joint, flagged = rows.T
    heard = truth > HEARD
    for name, rate in (("quadrature", found), ("joint, pending only", joint)):
        here = heard & np.isfinite(rate)
        if not here.any():  # a small run may have no pending network
            continue
        relative = 100.0 * np.abs(rate - truth)[here] / truth[here]
        table.add(f"{name}: mean absolute error (%)", relative.mean())
        table.add(f"{name}: largest (%)", relative.max())
    table.add("mean standard error of the networks (%)", float(np.mean(100.0 * se[heard] / truth[heard])))
    covered = np.abs(found - truth) <= error + 2.0 * se
    table.add("share within the estimate and two standard errors", covered.mean())
    table.add("share flagged", flagged.mean())
    table.add("median estimate (%)", float(np.median(100.0 * error[heard] / truth[heard])))


# Chosen networks -----------------------------------------------------------------------------------------------

TWO = {"size": (30_000, 10_000), "inhibitory": (False, True)}
EXCITED, INHIBITED = {"size": (20_000,), "inhibitory": (False,)}, {"size": (20_000,), "inhibitory": (True,)}
CHOSEN = (
    (TWO, (0.98126, 3.792, 0.80776, 4.27006), (82.924, 62.659), (2.09382, 10.04174), np.inf, 4.7533),
    (EXCITED, (0.0631,), (1592.439,), (4.90293,), 9.8312, 111.7949),
    (TWO, (2.16198, 0.41645, 2.92626, 0.58235), (51.213, 350.578), (1.25702, 7.99576), 13.6552, 136.9289),
    (TWO, (0.20401, 8.84224, 0.25291, 10.52438), (354.45, 44.208), (12.73376, 1.17941), np.inf, 5.46),
    (INHIBITED, (7.78847,), (39.3,), (1.86589,), np.inf, 2.3209),
    (TWO, (1.51045, 4.17522, 1.88985, 5.19315), (54.57, 68.943), (1.35005, 1.32251), 21.9052, 132.3843),
    (TWO, (0.03803, 3.96538, 0.04094, 4.72682), (615.524, 30.177), (5.70953, 5.64212), np.inf, 1.4523),
    (TWO, (0.47775, 3.26562, 0.61054, 4.53314), (215.477, 38.674), (14.44981, 2.97576), np.inf, 5.6882),
    (INHIBITED, (1.02415,), (201.598,), (5.19133,), 9.9188, 141.2331),
)
"""Strengths [target, source], inputs and decay times (ms) by source, leak (ms), drive (kicks per ms)."""
MICROCIRCUIT_START, MICROCIRCUIT_END = 300.0, 1300.0


def chosen(results: Results, small: bool) -> None:
    """Nine networks at the corners of the law above, and a sparse one at which orders matter most; errors in %."""
    table = results.table(
        "chosen", "inputs", "decay (ms)", "leak (ms)", "orders", "bin width", ("network (Hz)", ".2f", ".2f"),
        ("quadrature, error (%)", "+.2f", ".2f"), ("its estimate (%)", ".2f"), ("joint, error (%)", "+.2f", ".2f"),
    )  # fmt: skip
    for fields, strength, inputs, decay, leak, drive in CHOSEN[4:5] if small else CHOSEN:
        count = len(inputs)
        model = ln.SpikingNetwork(
            **fields, strength=np.reshape(strength, (count, count)), membrane_time=leak, external_rate=drive,
            probability=np.tile(np.array(inputs) / fields["size"], (count, 1)), decay=np.tile(decay, (count, 1)),
            refractory_time=2.0,
        )  # fmt: skip
        _beside(table, model, inputs, network_rates(model), ({},))
    if not small:
        model = sparse(400_000)
        finer = {"orders": (8, 8), "bin_width": 4.0, "error": False}
        _beside(table, model, (60, 20), network_rates(model), ({}, finer))


def _beside(table, model, inputs, network, variants):
    """Rows of the quadrature with several options beside a network's rates, in lists of populations."""
    times, decay = np.arange(0.0, DURATION + 0.5), ", ".join(f"{tau:.1f}" for tau in np.asarray(model.decay)[0])
    leak = float(np.min(model.membrane_time))
    about = (", ".join(f"{x:.0f}" for x in inputs), decay, f"{leak:.1f}" if np.isfinite(leak) else "none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        joint = late(ln.solve_limit(model, times, closure="joint"))
    for options in variants:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours = ln.solve_limit(model, times, closure="quadrature", **options)
        error, attrs = ours.attrs.get("rate_error"), ours.attrs
        table.add(
            *about, str(tuple(attrs["orders"].tolist())), f"{attrs['bin_width']:.2f}",
            [estimate(*pair) for pair in zip(*network, strict=True)],
            [per_cent(*row) for row in zip(late(ours), *network, strict=True)],
            None if error is None else (100.0 * error / network[0]).tolist(),
            [per_cent(*row) for row in zip(joint, *network, strict=True)],
        )  # fmt: skip


def microcircuit(results: Results, small: bool) -> None:
    """The cortical microcircuit, its annealed network and the published rates; CPU seconds per biological second."""
    model = ln.SpikingNetwork.microcircuit(scale=0.05 if small else 1.0).replace(connectivity="annealed")
    start, end = (100.0, 300.0) if small else (MICROCIRCUIT_START, MICROCIRCUIT_END)
    times = np.arange(0.0, end + 0.5)
    found = []
    for seed in (1, 2):
        rate = ln.simulate(model, times, seed=seed)["rate"].sel(time=slice(start + 0.5, None))
        found.append(rate.mean(("realisation", "time")).values)
    ln.solve_limit(model, np.array([0.0, 1.0]), closure="quadrature", error=False)  # compiles
    cpu = time.process_time()
    run = ln.solve_limit(model, times, closure="quadrature", error=False)
    cpu = time.process_time() - cpu
    ours = run["rate"].sel(time=slice(start + 0.5, None)).mean("time").values
    table = results.table(
        "microcircuit", "population", ("quadrature (Hz)", ".2f"), ("annealed network (Hz)", ".2f", ".2f"),
        ("published, quenched (Hz)", ".2f"),
    )  # fmt: skip
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(2.0)
    for row in zip(model.populations, ours, mean, error, PUBLISHED_RATES, strict=True):
        table.add(row[0], float(row[1]), estimate(row[2], row[3]), row[4])
    table = results.table("microcircuit_cost", "orders", ("CPU s per s", ".2f"))
    table.add(str(tuple(run.attrs["orders"].tolist())), cpu / end * 1e3)


# The chain of a finite network ---------------------------------------------------------------------------------

CHAIN_N, CHAIN_SEEDS, CHAIN_DURATION = 4000, 40, 5000.0
FEW, FEW_SEEDS, FEW_DURATION = (400, 100), 12, 2500.0
SPARSE_SIZES = {4_000: 60, 40_000: 40, 400_000: 10}
"""Realisations of the sparse network by its number of neurons."""
SPARSE_DURATION, SPARSE_START = 1500.0, 500.0


def sparse(n):
    """60 and 20 inputs with leak, at any number of neurons: strongly recurrent, with a slow mode at 23 Hz."""
    size = np.array([3 * n // 4, n // 4])
    return ln.SpikingNetwork(
        size=size,
        strength=((3.0, 9.0), (5.0, 10.0)),
        probability=np.tile(np.array([60.0, 20.0]) / size, (2, 1)),
        decay=((3.0, 10.0), (3.0, 10.0)),
        external_rate=100.0,
        membrane_time=20.0,
        refractory_time=2.0,
    )


def chain(results: Results, small: bool) -> None:
    """The dense sets of `spiking_reduction.py` with 4000 neurons: chain on families and chain of bins; in %."""
    _chains(results, list(SETS)[:1] if small else list(SETS), 2 if small else CHAIN_SEEDS, small)


def chain_few(results: Results, small: bool) -> None:
    """The same sets with 400 and with 100 neurons."""
    for n in FEW[:1] if small else FEW:
        _chains(results, list(SETS)[:1] if small else list(SETS), 2 if small else FEW_SEEDS, small, n, FEW_DURATION)


def _chains(results, cases, seeds, small, n=CHAIN_N, duration=CHAIN_DURATION):
    duration, called = 300.0 if small else duration, "chain" if n == CHAIN_N else f"chain_{n}"
    times = np.arange(round(duration / DT) + 1) * DT
    columns = [c for name, digits in QUANTITIES for c in ((name, digits), (f"{name}, error (%)", "+.2f", ".2f"))]
    table, errors = results.table(called, "set", "of", *columns), {}
    for name in cases:
        model = ln.SpikingNetwork().replace(**SETS[name])
        scaled = model.scaled(n)
        shared = {"n": n, "finite_size": True, "realisations": seeds}
        runs = {
            "network": ln.simulate(model, times, n=n, realisations=seeds, seed=1, dt=DT),
            "families": ln.solve_limit(model, times, closure="quadrature", seed=2, error=False, **shared),
            "bins": ln.solve_limit(model, times, closure="joint", seed=2, bin_width=4.0, **shared),
        }
        found = {of: np.array([statistics(r, scaled, True) for r in run["rate"].values]) for of, run in runs.items()}
        truth, se = found["network"].mean(0), found["network"].std(0, ddof=1) / np.sqrt(seeds)
        table.add(name, "network", *(c for k in range(3) for c in (estimate(truth[k], se[k]), None)))
        for of in ("families", "bins"):
            mean, own = found[of].mean(0), found[of].std(0, ddof=1) / np.sqrt(seeds)
            relative, error = 100.0 * (mean / truth - 1.0), 100.0 * np.hypot(own, se) / truth
            table.add(name, of, *(c for k in range(3) for c in (mean[k], estimate(relative[k], error[k]))))
            errors.setdefault(of, []).append(np.abs(relative))
    table = results.table(f"{called}_errors", "of", *((f"{name} (%)", ".2f") for name, _ in QUANTITIES))
    for of, values in errors.items():
        table.add(of, *np.mean(values, axis=0))


def sizes(results: Results, small: bool) -> None:
    """The sparse network at three sizes: mean rates and their standard deviation in 1 ms, network and chain."""
    columns = [(f"{population} {what}", ".3f", ".3f") for what in ("rate (Hz)", "sd (Hz)") for population in "EI"]
    table = results.table("sizes", "neurons", "of", "orders", *columns)
    duration = 600.0 if small else SPARSE_DURATION
    times = np.arange(0.0, duration + 0.5)
    for n, count in {4_000: 2}.items() if small else SPARSE_SIZES.items():
        model = sparse(n)
        network = ln.simulate(model, times, realisations=count, seed=1)
        limit = ln.solve_limit(
            model, times, closure="quadrature", finite_size=True, realisations=count, seed=1, error=False
        )
        for of, run in (("network", network), ("chain", limit)):
            rate = run["rate"].sel(time=slice(SPARSE_START + 0.5, None))
            values = np.concatenate([rate.mean("time").values, rate.std("time").values], axis=1)
            se = values.std(0, ddof=1) / np.sqrt(count)
            orders = str(tuple(limit.attrs["orders"].tolist())) if of == "chain" else ""
            table.add(n, of, orders, *(estimate(*pair) for pair in zip(values.mean(0), se, strict=True)))


PARTS = (networks, several, chosen, microcircuit, chain, chain_few, sizes)

if __name__ == "__main__":
    main(PARTS, __doc__)
