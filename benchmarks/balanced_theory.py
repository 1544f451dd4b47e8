"""The balanced network against its theory: finite-size equations, skewness, linear noise, special cases.

Source: MacLaurin & Vilanova 2024 (arXiv 2412.17273); the finite-size theory is largen's own.
Run time: about 12 minutes of one core for all studies.
Command: python benchmarks/balanced_theory.py [law skewness fluctuations cases convergence coupling]
"""

import sys
import time

import numpy as np
from scipy import stats

import largen as ln
from largen.systems.balanced import BalancedNetwork, Logistic, Probit

FALSE_ALARM = 1e-6


def sets():
    """The worked sets and two more: rank 1 with unequal rows and tau, full rank with complex fast eigenvalues."""
    unequal = BalancedNetwork(
        coupling=((1.0, 1.3), (0.8, 1.04)),
        tau=(1.0, 1.7),
        gain=(Logistic(1.0, 3.0, 0.2), Logistic(2.0, 4.0, 0.5)),
        drive=(0.2, 0.16),
        input=(0.4, 0.2),
        initial_mean=(0.3, 0.3),
        initial_variance=(0.3, 0.2),
    )
    spiral = BalancedNetwork(
        coupling=((1.0, 2.5), (1.8, 2.0)),
        gain=(Probit(1.5, 1.5, 0.4), Probit(2.0, 1.0, 0.3)),
        drive=(0.9, 0.54),
        initial_mean=(0.0, 0.0),
        initial_variance=(0.3, 0.5),
    )
    return {
        "S1 (rank 1)": BalancedNetwork.rank_one(),
        "S3 (rank 2)": BalancedNetwork.off_manifold(),
        "rank 1, unequal rows and tau": unequal,
        "rank 2, complex": spiral,
    }


def law():
    """Network against the finite-size equations at N = 2000, 400 replicates, ten times."""
    print("\n## Law at N = 2000: 400 replicates by tau-leaping, Mahalanobis distance over 10 times\n")
    print("| set | fast eigenvalues at the end | mean: p | variance: p | third cumulant: p | CPU s |")
    print("|---|---|---|---|---|---|")
    times = np.concatenate([[0.0], np.geomspace(0.02, 2.0, 10)])
    for name, model in sets().items():
        start = time.process_time()
        finite = ln.solve_limit(model, times, n=2000)
        limit = ln.solve_limit(model, times)
        network = ln.simulate(model, times, n=2000, realisations=400, seed=1, method="tau_leap")
        fast = limit.fast_eigenvalues_real.values[0, -1], limit.fast_eigenvalues_imag.values[0, -1]
        cells = [f"{distance(network, finite, o):.2g}" for o in ("mean", "variance", "third_cumulant")]
        print(f"| {name} | {fast[0]:.4f} +- {fast[1]:.4f}i | {' | '.join(cells)} | {time.process_time() - start:.0f} |")


def distance(network, finite, name):
    """p-value of Hotelling's test over populations and times; below 1e-6 the theory would be rejected."""
    samples = network[name].values[:, :, 1:].reshape(network.sizes["realisation"], -1)
    error = samples.mean(0) - finite[name].values[:, 1:].ravel()
    count, size = samples.shape
    statistic = count * error @ np.linalg.solve(np.cov(samples.T), error)
    return stats.f.sf(statistic * (count - size) / (size * (count - 1)), size, count - size)


def skewness():
    """The bias of the mean that the third cumulants remove in S3 at 200 neurons a population."""
    print("\n## Skewness: S3, 200 neurons a population, 2000 replicates, mean at time 6 (standard errors)\n")
    print("| population | network - equations with skewness | without |")
    print("|---|---|---|")
    model, times = BalancedNetwork.off_manifold(), np.array([0.0, 6.0])
    network = ln.simulate(model, times, n=400, realisations=2000, seed=2, method="tau_leap")["mean"][:, :, -1]
    error = network.std("realisation", ddof=1).values / np.sqrt(2000)
    z = [
        (network.mean("realisation").values - ln.solve_limit(model, times, n=400, skewness=s)["mean"].values[:, -1])
        / error
        for s in (True, False)
    ]
    for a, label in enumerate("ei"):
        print(f"| {label} | {z[0][a]:+.1f} | {z[1][a]:+.1f} |")


def fluctuations():
    """N Var(M) against linear noise at 1000 a population."""
    print("\n## n Var(M), n Cov(M) at 1000 neurons a population: network (8 runs of 130 time units), linear noise\n")
    print("| set | network e, i, e-i | standard errors | linear noise |")
    print("|---|---|---|---|")
    for name, model in {"S1": BalancedNetwork.rank_one(), "S3": BalancedNetwork.balanced()}.items():
        times = np.concatenate([[0.0], np.arange(6.0, 136.0, 0.25)])
        m = ln.simulate(model, times, n=2000, realisations=8, seed=3, method="tau_leap")["mean"].values[:, :, 1:]
        m = m - m.mean(axis=(0, 2), keepdims=True)
        products = 1000 * np.stack([m[:, 0] ** 2, m[:, 1] ** 2, m[:, 0] * m[:, 1]])
        blocks = products.reshape(3, -1, 40).mean(axis=2)
        error = blocks.std(axis=1, ddof=1) / np.sqrt(blocks.shape[1])
        theory = 1000 * model.fluctuations(2000).mean_covariance
        expected = show([theory[0, 0], theory[1, 1], theory[0, 1]])
        print(f"| {name} | {show(blocks.mean(axis=1))} | {show(error)} | {expected} |")


def show(values):
    """Three digits each."""
    return ", ".join(f"{v:.3f}" for v in values)


def cases():
    """Blow-up at the saddle, the folded oscillation, shared synapses."""
    print("\n## Special cases\n")
    saddle = BalancedNetwork.saddle()
    ends = [ln.simulate(saddle, [0.0, 3.0], n=n, seed=1)["mean"].values[0, 0, -1] for n in (400, 1600, 6400, 25600)]
    print(f"- Saddle, mean[e] at time 3 divided by sqrt(n), n = 200, 800, 3200, 12800 a population: "
          f"{show(np.array(ends) / np.sqrt([200, 800, 3200, 12800]))}")  # fmt: skip
    times = np.arange(0.0, 60.0, 0.01)
    periods = []
    for data in (
        ln.solve_limit(BalancedNetwork.folded(), times, n=2000),
        ln.simulate(BalancedNetwork.folded(), times, n=2000, seed=1, method="tau_leap").isel(realisation=0),
    ):
        periods.append(period(times, data["mean"].values[0]))
    print(f"- Folded, 1000 a population: period {periods[0]:.3f} by the equations, {periods[1]:.3f} in the network")
    spread = []
    sizes = np.array([200, 800, 3200, 12800])
    for n in sizes:
        m = ln.simulate(BalancedNetwork.shared(), np.arange(0.0, 60.0, 0.1), n=2 * n, realisations=4, seed=2)
        spread.append(m["mean"].values[:, :, 100:].std(axis=2).mean())
    slope = np.polyfit(np.log(sizes), np.log(spread), 1)[0]
    print(f"- Shared synapses: standard deviation of means {show(spread)} at n = 200 ... 12800, exponent {slope:.2f}")


def period(times, x):
    """Mean period after the first quarter, from the falls of a smoothed trace through its middle."""
    x = np.convolve(x, np.ones(11) / 11, mode="same")[len(x) // 4 :]
    low, high = np.quantile(x, [0.1, 0.9])
    state, falls = False, []
    for t, value in zip(times[len(times) - len(x) :], x, strict=True):
        if value > high - 0.2 * (high - low):
            state = True
        elif value < low + 0.2 * (high - low) and state:
            state = False
            falls.append(t)
    return (falls[-1] - falls[0]) / (len(falls) - 1)


def convergence():
    """Largest distance of the means from the limit over [0, 2], projected start (expected: balanced.md)."""
    print("\n## E max |M - v| over populations and 21 times in [0, 2], projected start\n")
    print("| set | 50 | 200 | 800 | 3200 a population |")
    print("|---|---|---|---|---|")
    times = np.linspace(0.0, 2.0, 21)
    for name, model in {"S1": BalancedNetwork.rank_one(), "S3": BalancedNetwork.off_manifold()}.items():
        limit = ln.solve_limit(model, times)
        model = model.replace(initial_mean=limit["mean"].values[:, 0])
        cells = []
        for n, count in ((50, 300), (200, 160), (800, 80), (3200, 24)):
            m = ln.simulate(model, times, n=2 * n, realisations=count, seed=4, method="tau_leap")["mean"].values
            cells.append(f"{np.abs(m - limit['mean'].values).max(axis=(1, 2)).mean():.3f}")
        print(f"| {name} | {' | '.join(cells)} |")


def coupling():
    """Compare must reject S3 with one coupling changed by 10 %."""
    print("\n## S3 network, N = 2000, 16 realisations, against theories with one coupling changed by 10 %\n")
    print("| coupling changed | observables whose time average the theory at this n misses (p < 1e-6) |")
    print("|---|---|")
    times, model = np.linspace(0.0, 5.0, 51), BalancedNetwork.balanced()
    network = ln.simulate(model, times, n=2000, realisations=16, seed=1, method="tau_leap")
    for changed in (None, "coupling[e,e]", "coupling[e,i]", "coupling[i,e]", "coupling[i,i]"):
        theory = model if changed is None else model.replace(**{changed: 1.1 * model.value(changed)})
        finite = ln.solve_limit(theory, times, n=2000)
        rejected = [
            o for o in ("mean", "variance", "third_cumulant", "rate") if average_p(network, finite, o) < FALSE_ALARM
        ]
        print(f"| {changed or 'none'} | {', '.join(rejected) or 'none'} |")


def average_p(network, finite, name):
    """Hotelling's test on the time average of both populations (compare itself refuses other parameters)."""
    samples = network[name].values[:, :, 1:].mean(axis=2)
    error = samples.mean(0) - finite[name].values[:, 1:].mean(axis=1)
    count = len(samples)
    statistic = count * error @ np.linalg.solve(np.cov(samples.T), error)
    return stats.f.sf(statistic * (count - 2) / (2 * (count - 1)), 2, count - 2)


if __name__ == "__main__":
    studies = [law, skewness, fluctuations, cases, convergence, coupling]
    for study in studies:
        if len(sys.argv) == 1 or study.__name__ in sys.argv[1:]:
            study()
