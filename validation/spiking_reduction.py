"""The spiking reduction against the network it stands for: errors over eleven parameter sets.

What:     Network of 400 neurons (annealed), the finite-size chain with and without `linear_in_bin`, and the
          deterministic reduction: E rate, I rate, synchrony SSI_E (fraction of E firing within 0.5 ms of a spike).
Source:   Chang, Li, Wang, Tao & Xiao 2024 (arXiv 2411.14801): the first six sets; the others are largen's own.
Run time: about 9 CPU minutes for 40 seeds of 5 s.
Command:  python validation/spiking_reduction.py sets
"""

from typing import Any

import numpy as np
from study import Results, estimate, main

import largen as ln

# Parameters -----------------------------------------------------------------------------------------------------

DT, DURATION, SEEDS = 0.1, 5000.0, 40
SETS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "s_ee 1.05": {"strength[e,e]": 1.05},
    "p_ei 0.5": {"probability[e,i]": 0.5},
    "p_ei 1": {"probability[e,i]": 1.0},
    "lambda 4": {"external_rate": (4.0, 4.0)},
    "tau_ee 2": {"decay[e,e]": 2.0},
    "s_ee 0.80": {"strength[e,e]": 0.8},
    "p_ei 0.65": {"probability[e,i]": 0.65},
    "lambda 12": {"external_rate": (12.0, 12.0)},
    "tau_ee 1": {"decay[e,e]": 1.0},
    "tau_m 20, lambda 160": {"membrane_time": 20.0, "external_rate": (160.0, 160.0)},
}
CHAINS = {"chain": False, "chain, linear_in_bin": True}
LIMITS: dict[str, dict[str, Any]] = {
    "paper": {"closure": "paper"},
    "white": {"closure": "white"},
    "joint": {"linear_in_bin": False},
    "joint, linear_in_bin": {"linear_in_bin": True},
}
QUANTITIES = (("E rate", ".2f"), ("I rate", ".2f"), ("SSI_E", ".4f"))

# Problem --------------------------------------------------------------------------------------------------------


def statistics(rate, model, self_count):
    """E rate, I rate (Hz) and SSI_E of one run, from the rate at every step."""
    counts = rate[:, 1:] * np.array(model.size)[:, None] * DT * 1e-3
    e, n = counts[0], float(model.size[0])
    near = sum(e[i : len(e) - 10 + i] for i in range(11))
    ssi = (e[5:-5] * near).sum() / e[5:-5].sum() / n
    return np.array([rate[0, 1:].mean(), rate[1, 1:].mean(), ssi + (0.0 if self_count else 1.0 / n)])


def network_runs(model, times, seeds):
    """Statistics of the network, shape (seed, quantity)."""
    run = ln.simulate(model, times, n=400, realisations=seeds, seed=1, dt=DT)
    return np.array([statistics(rate, model, True) for rate in run["rate"].values])


def chain_runs(model, times, seeds, linear):
    """Statistics of the chain, shape (seed, quantity)."""
    options = {"finite_size": True, "realisations": seeds, "seed": 2, "linear_in_bin": linear, "bin_width": 4.0}
    run = ln.solve_limit(model, times, **options)
    return np.array([statistics(rate, model, True) for rate in run["rate"].values])


def limit_run(model, times, options):
    """Statistics of the deterministic reduction, whose SSI lacks the count of a neuron with itself."""
    rate = ln.solve_limit(model, times, bin_width=4.0, **options)["rate"].values
    return statistics(rate, model, False)


# Run ------------------------------------------------------------------------------------------------------------


def sets(results: Results, small: bool) -> None:
    """Every set: network, four closures and two chains; errors in per cent of the network's value."""
    seeds, cases = (3, list(SETS)[:1]) if small else (SEEDS, list(SETS))
    times = np.arange(round((500.0 if small else DURATION) / DT) + 1) * DT
    columns = [
        column for name, digits in QUANTITIES for column in ((name, digits), (f"{name}, error (%)", "+.1f", ".1f"))
    ]
    every, errors = results.table("sets", "set", "of", *columns), {name: [] for name in (*LIMITS, *CHAINS)}

    def add(name, kind, found, error, mean):
        relative = None if mean is None else found / mean - 1.0
        cells = []
        for k in range(3):
            if relative is None:
                cells += [estimate(found[k], error[k]), None]
            else:
                cells += [found[k], estimate(100 * relative[k], 100 * error[k] / found[k])]
        every.add(name, kind, *cells)
        if relative is not None:
            errors[kind].append(relative)

    for name in cases:
        model = ln.SpikingNetwork().replace(**SETS[name])
        truth = network_runs(model, times, seeds)
        mean, square = truth.mean(0), truth.var(0, ddof=1) / seeds
        add(name, "network", mean, np.sqrt(square), None)
        for kind, options in LIMITS.items():
            add(name, kind, limit_run(model, times, options), np.sqrt(square), mean)
        for kind, linear in CHAINS.items():
            chain = chain_runs(model, times, seeds, linear)
            add(name, kind, chain.mean(0), np.sqrt(square + chain.var(0, ddof=1) / seeds), mean)
    table = results.table("errors", "of", *((name, ".2f") for name, _ in QUANTITIES))
    for kind, values in errors.items():
        table.add(kind, *(100 * np.abs(values).mean(0)))


PARTS = (sets,)

if __name__ == "__main__":
    main(PARTS, __doc__)
