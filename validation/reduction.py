"""The quadrature of the pending input against random networks: its error, its own estimate of it, and today's closure.

What:     Networks drawn at random: one or two populations, 30 to 3000 inputs, decay 1 to 15 ms, leak 5 to 30 ms or
          none. For each the annealed network, `closure="quadrature"` with everything automatic, and `closure="joint"`.
Law:      Inputs K per source: log-uniform. Decay: uniform, by source. Leak: none for half of them, else uniform.
          Strength times K: uniform in 20 to 110 (excitation), 100 to 400 (inhibition), times 0.8 to 1.3 by target.
          Drive: uniform in 1 to 6 per ms without leak, 100 to 145 with. One population: excitatory or inhibitory. All
          from seed 1. Networks that fire above 150 Hz are left out and said to be.
Run time: about 10 CPU minutes for 60 networks.
Command:  python validation/reduction.py networks
"""

import warnings

import numpy as np
from study import Results, estimate, main

import largen as ln

# Parameters -----------------------------------------------------------------------------------------------------

SEED, COUNT = 1, 60
DURATION, START, BLOCK = 1000.0, 450.0, 50.0
FASTEST = 150.0

# Problem --------------------------------------------------------------------------------------------------------


def draw(rng):
    """A network by the law above."""
    both = rng.random() < 0.7
    inhibitory = [False, True] if both else [bool(rng.random() < 0.5)]
    size = np.array([15_000, 5_000]) if both else np.array([20_000])
    count = len(size)
    inputs = np.exp(rng.uniform(np.log(30.0), np.log(3000.0), count))
    whole = np.where(inhibitory, rng.uniform(100.0, 400.0, count), rng.uniform(20.0, 110.0, count))
    leaky = rng.random() < 0.5
    return ln.SpikingNetwork(
        size=size,
        inhibitory=inhibitory,
        strength=whole / inputs * rng.uniform(0.8, 1.3, (count, 1)),
        probability=np.tile(inputs / size, (count, 1)),
        decay=np.tile(rng.uniform(1.0, 15.0, count), (count, 1)),
        membrane_time=rng.uniform(5.0, 30.0) if leaky else np.inf,
        external_rate=rng.uniform(100.0, 145.0) if leaky else rng.uniform(1.0, 6.0),
        refractory_time=2.0,
    )


def late(run):
    """Mean rates of the second half (Hz), shape (P,)."""
    return run["rate"].sel(time=slice(START + 1e-6, None)).mean("time").values


def network_rates(model):
    """Rates of a network with standard errors from its blocks, which hide correlations longer than a block."""
    run = ln.simulate(model, np.arange(0.0, DURATION + 1e-6, BLOCK), seed=SEED)
    rate = run["rate"].values[0][:, round(START / BLOCK) + 1 :]
    return rate.mean(1), rate.std(1, ddof=1) / np.sqrt(rate.shape[1])


# Run ------------------------------------------------------------------------------------------------------------


def networks(results: Results, small: bool) -> None:
    """Errors of mean rates in per cent over random networks, and whether the estimate covers them."""
    rng, times = np.random.default_rng(SEED), np.arange(0.0, DURATION + 0.5)
    table = results.table(
        "networks", "network", "population", "orders", ("bin width", ".2f"), ("rate (Hz)", ".2f", ".2f"),
        ("quadrature, error (%)", "+.2f", ".2f"), ("its estimate (%)", ".2f"), ("joint, error (%)", "+.2f", ".2f"),
        "flags",
    )  # fmt: skip
    rows = []
    for k in range(2 if small else COUNT):
        model = draw(rng)
        truth, se = network_rates(model)
        if np.any(truth > FASTEST):
            table.add(k, "left out", "", None, None, None, None, None, "fires above 150 Hz")
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # flags are in the table
            ours = ln.solve_limit(model, times, closure="quadrature")
            joint = late(ln.solve_limit(model, times))
        found, error, about = late(ours), ours.attrs["rate_error"], ours.attrs
        for a, population in enumerate(model.populations):
            scale = 100.0 / max(truth[a], 1e-9)
            table.add(
                k, population, str(tuple(about["orders"].tolist())), about["bin_width"], estimate(truth[a], se[a]),
                estimate(scale * (found[a] - truth[a]), scale * se[a]), scale * error[a],
                estimate(scale * (joint[a] - truth[a]), scale * se[a]), about["flags"],
            )  # fmt: skip
            rows.append((truth[a], se[a], found[a], error[a], joint[a], bool(about["flags"])))
    _summary(results, np.array(rows, float))


def _summary(results, rows):
    """Means and extremes over the components above 0.1 Hz, and what the estimate covers of all."""
    table = results.table("summary", "what", ("value", ".2f"))
    truth, se, found, error, joint, flagged = rows.T
    heard = truth > 0.1
    for name, rate in (("quadrature", found), ("joint", joint)):
        relative = 100.0 * np.abs(rate - truth)[heard] / truth[heard]
        table.add(f"{name}: mean absolute error (%)", relative.mean())
        table.add(f"{name}: largest (%)", relative.max())
    table.add("mean standard error of the networks (%)", float(np.mean(100.0 * se[heard] / truth[heard])))
    covered = np.abs(found - truth) <= error + 2.0 * se
    table.add("share within the estimate and two standard errors", covered.mean())
    table.add("share flagged", flagged.mean())
    table.add("median estimate (%)", float(np.median(100.0 * error[heard] / truth[heard])))


PARTS = (networks,)

if __name__ == "__main__":
    main(PARTS, __doc__)
