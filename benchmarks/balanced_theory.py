"""The balanced network against its theory: finite-size equations, skewness, linear noise, asynchrony, couplings.

What:     the statistical claims of the balanced system, each a table of markdown on standard output.
Source:   MacLaurin & Vilanova 2024 (arXiv 2412.17273); the finite-size theory is largen's own.
Run time: about 12 CPU minutes for all studies.
Command:  python benchmarks/balanced_theory.py [law steps skewness stationary agreement fluctuations asynchrony
          coupling]
"""

import sys
import time

import jax
import numpy as np
from scipy import stats

import largen as ln
from largen import analysis
from largen.systems.balanced import BalancedNetwork, Logistic, Probit, finite_size, manifold
from largen.systems.balanced.fluctuations import linear_noise

FALSE_ALARM = 1e-6
OBSERVABLES = ("mean", "variance", "third_cumulant", "rate")


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


def law(seed=1):
    """Network against the finite-size equations at N = 2000, 400 replicates, ten times."""
    print(
        f"\n## Law at N = 2000: 400 replicates (tau-leaping, dt .002, seed {seed}), p of Hotelling's test, 10 times\n"
    )
    print("| set | fast eigenvalues at the end | mean | variance | third cumulant | mean without skewness | CPU s |")
    print("|---|---|---|---|---|---|---|")
    times = np.concatenate([[0.0], np.geomspace(0.02, 2.0, 10)])
    for name, model in sets().items():
        start = time.process_time()
        equations, plain = (ln.solve_limit(model, times, n=2000, skewness=s) for s in (True, False))
        limit = ln.solve_limit(model, times)
        network = ln.simulate(model, times, n=2000, realisations=400, seed=seed, dt=0.002)
        fast = limit.fast_eigenvalues_real.values[0, -1], limit.fast_eigenvalues_imag.values[0, -1]
        cells = [f"{distance(network, equations, o):.2g}" for o in ("mean", "variance", "third_cumulant")]
        cells += [f"{distance(network, plain, 'mean'):.2g}", f"{time.process_time() - start:.0f}"]
        print(f"| {name} | {fast[0]:.4f} +- {fast[1]:.4f}i | {' | '.join(cells)} |", flush=True)


def distance(network, theory, name):
    """p-value of Hotelling's test over populations and times; below 1e-6 the theory would be rejected."""
    samples = network[name].values[:, :, 1:].reshape(network.sizes["realisation"], -1)
    error = samples.mean(0) - theory[name].values[:, 1:].ravel()
    count, size = samples.shape
    statistic = count * error @ np.linalg.solve(np.cov(samples.T), error)
    return stats.f.sf(statistic * (count - size) / (size * (count - 1)), size, count - size)


def steps():
    """The bias of the mean from the step of tau-leaping, without noise: its moment map against the equations."""
    print("\n## Step bias of the mean at N = 2000: moments of tau-leaping's map minus the finite-size equations\n")
    print("| set | dt sqrt(n) | largest bias over 10 times | in standard errors of 400 replicates (linear noise) |")
    print("|---|---|---|---|")
    times = np.concatenate([[0.0], np.geomspace(0.02, 2.0, 10)])
    for name, model in sets().items():
        exact = ln.solve_limit(model, times, n=2000, rtol=1e-10, atol=1e-12)["mean"].values
        error = np.sqrt(np.diag(linear_noise(model, 2000).mean_covariance) / 400)[:, None]
        for scaled in (0.1, 0.063, 0.03):
            bias = leap_means(model, times, 2000, scaled) - exact
            print(f"| {name} | {scaled} | {np.abs(bias).max():.2g} | {np.abs(bias / error).max():.2f} |", flush=True)


def leap_means(model, times, n, scaled):
    """Means of the moment map of tau-leaping with dt sqrt(n) = scaled, shape (P, time)."""
    with jax.enable_x64(True):
        parts = manifold.balance(model, (0, 1), model.sizes(n).astype(float))
        nodes = manifold.structure(model).nodes
        rate = jax.jit(lambda v, k, c: finite_size.corrected_rate(model, v, k, c, nodes))
        first, second, third = (np.asarray(x) for x in (parts.first, parts.second, parts.third))
        root, tau = np.sqrt(n / 2), np.broadcast_to(model.tau, 2)
        v, k, c = np.array(model.initial_mean), np.array(model.initial_variance), np.zeros(2)
        means, past, before = [v], None, 1.0
        for gap in np.diff(times):
            count = int(np.ceil(gap * root / scaled))
            dt = gap / count
            kept = np.exp(-dt / tau)
            share = tau * (1 - kept)
            for _ in range(count):
                now = np.asarray(rate(v, k, c))
                g = now if past is None else now + 0.5 * dt / before * (now - past)
                past, before = now, dt
                v = kept * v + share * (model.input + root * (model.drive + first @ g))
                k = kept**2 * k + share**2 / dt * (second @ g)
                c = kept**3 * c + share**3 / dt**2 * (third @ g) / root
            means.append(v)
    return np.array(means).T


def skewness():
    """The bias of the mean that the third cumulants remove in S3 at 200 neurons a population."""
    print("\n## Skewness: S3, 200 neurons a population, 2000 replicates (tau-leaping, dt .004), mean\n")
    print("In standard errors of the 2000 replicates; `both` is the square root of chi-square over e and i.\n")
    print("| start | time | n Var(M) e, i | with skewness e, i | without e, i | both with, without |")
    print("|---|---|---|---|---|---|")
    times = np.array([0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0])
    for label, model in (("projected", BalancedNetwork.balanced()), ("v = 0", BalancedNetwork.off_manifold())):
        network = ln.simulate(model, times, n=400, realisations=2000, seed=2, dt=0.004)
        samples = network["mean"].values
        pulls = []
        for with_it in (True, False):
            difference = samples.mean(0) - ln.solve_limit(model, times, n=400, skewness=with_it)["mean"].values
            pulls.append((difference, difference / (samples.std(0, ddof=1) / np.sqrt(2000))))
        for i in range(1, len(times)):
            covariance = np.cov(samples[:, :, i].T)
            both = [np.sqrt(2000 * d[:, i] @ np.linalg.solve(covariance, d[:, i])) for d, _ in pulls]
            cells = [show(200 * np.diag(covariance)), *(signed(z[:, i]) for _, z in pulls)]
            print(f"| {label} | {times[i]:g} | {' | '.join(cells)} | {both[0]:.1f}, {both[1]:.1f} |")
        for with_it in (True, False):
            theory = ln.solve_limit(model, times, n=400, skewness=with_it)
            print(f"\n{label}, all times at once, {'with' if with_it else 'without'} skewness: "
                  f"p = {distance(network, theory, 'mean'):.2g}\n", flush=True)  # fmt: skip


def stationary():
    """The same bias in time averages over the stationary regime, which tell more than one time does."""
    print("\n## Skewness: S3, 200 a population, means over times 4 to 40 of 160 networks (tau-leaping, dt .005)\n")
    print("| equations | mean e, i | network - equations e, i | in standard errors |")
    print("|---|---|---|---|")
    model, times = BalancedNetwork.balanced(), np.concatenate([[0.0], np.arange(4.0, 40.01, 0.2)])
    network = ln.simulate(model, times, n=400, realisations=160, seed=21, method="tau_leap", dt=0.005)
    means = network["mean"].values[:, :, 1:].mean(axis=2)
    error = means.std(0, ddof=1) / np.sqrt(160)
    for with_it in (True, False):
        theory = ln.solve_limit(model, [0.0, 20.0, 40.0], n=400, skewness=with_it)["mean"].values[:, -1]
        gap = means.mean(0) - theory
        words = ", ".join(f"{g:+.5f}({e:.5f})" for g, e in zip(gap, error, strict=True))
        print(f"| {'with' if with_it else 'without'} skewness | {theory[0]:.5f}, {theory[1]:.5f} | {words} | "
              f"{signed(gap / error)} |", flush=True)  # fmt: skip


def agreement():
    """Exact and tau-leaping networks at 200 a population: the smallest p over observables, times, populations."""
    print("\n## Exact against tau-leaping, 200 a population, 400 replicates each: smallest p of the tests\n")
    print("| set | start | tests | Welch | Brown-Forsythe (spread) | Kolmogorov-Smirnov | smallest, Bonferroni |")
    print("|---|---|---|---|---|---|---|")
    times = np.array([0.0, 0.05, 0.15, 0.4, 1.0])
    starts = {}
    for name, model in (("S1", BalancedNetwork.rank_one()), ("S3", BalancedNetwork.off_manifold())):
        projected = ln.solve_limit(model, times)["mean"].values[:, 0]
        starts[name] = {"projected": model.replace(initial_mean=projected), "off the manifold": model}
    for name, models in starts.items():
        for start, model in models.items():
            a, b = (
                ln.simulate(model, times, n=400, realisations=400, seed=s, method=method)
                for s, method in ((11, "exact"), (12, "tau_leap"))
            )
            p = np.array([tests(a, b, o, p, t) for o in OBSERVABLES for p in (0, 1) for t in range(1, len(times))])
            least = [f"{x:.2g}" for x in (*p.min(axis=0), min(1.0, p.min() * p.size))]
            print(f"| {name} | {start} | {p.size} | {' | '.join(least)} |", flush=True)


def tests(a, b, observable, population, time_index):
    """p of equal mean, equal spread and equal law of one observable over replicates."""
    x, y = (network[observable].values[:, population, time_index] for network in (a, b))
    return (
        stats.ttest_ind(x, y, equal_var=False).pvalue,
        stats.levene(x, y, center="median").pvalue,
        stats.ks_2samp(x, y).pvalue,
    )


def fluctuations():
    """N Var(M) against linear noise at 1000 a population."""
    print("\n## n Var(M), n Cov(M) at 1000 neurons a population: network (8 runs of 90 time units), linear noise\n")
    print("| set | network e, i, e-i | standard errors | linear noise | network / linear noise |")
    print("|---|---|---|---|---|")
    for name, model in {"S1": BalancedNetwork.rank_one(), "S3": BalancedNetwork.balanced()}.items():
        times = np.concatenate([[0.0], np.arange(6.0, 96.0, 0.25)])
        m = ln.simulate(model, times, n=2000, realisations=8, seed=3, method="tau_leap")["mean"].values[:, :, 1:]
        m = m - m.mean(axis=(0, 2), keepdims=True)
        products = 1000 * np.stack([m[:, 0] ** 2, m[:, 1] ** 2, m[:, 0] * m[:, 1]])
        blocks = products.reshape(3, -1, 40).mean(axis=2)
        error = blocks.std(axis=1, ddof=1) / np.sqrt(blocks.shape[1])
        theory = 1000 * linear_noise(model, 2000).mean_covariance
        expected = np.array([theory[0, 0], theory[1, 1], theory[0, 1]])
        found = blocks.mean(axis=1)
        print(f"| {name} | {show(found)} | {show(error)} | {show(expected)} | {show(found / expected)} |", flush=True)


def asynchrony():
    """Pair correlations and Gaussianity of single neurons against n."""
    print("\n## Propagation of chaos in S3: pair correlations against n, and the law of single neurons at the end\n")
    print("| N | pair correlation e-e, i-i, e-i | standard errors | linear noise | skewness e, i (se) | "
          "excess kurtosis e, i (se) | KS p e, i |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    model, times = BalancedNetwork.balanced(), np.concatenate([[0.0], np.arange(3.0, 5.1, 0.25)])
    counts = {200: 400, 800: 300, 3200: 50}
    networks = [
        ln.simulate(model, times, n=n, realisations=r, seed=5, method="tau_leap", record="state")
        for n, r in counts.items()
    ]
    found = analysis.asynchrony(networks, start=3.0)
    for n in counts:
        row = found.sel(n=n)
        theory = linear_noise(model, n).pair_correlation
        cells = [small(pairs(row[key].values)) for key in ("pair_correlation", "pair_correlation_se")]
        cells.append(small(pairs(theory)))
        for key in ("skewness", "excess_kurtosis"):
            cells.append(f"{signed(row[key].values)} ({row[f'{key}_se'].values[0]:.2f})")
        print(f"| {n} | {' | '.join(cells)} | {show(row['ks_p_value'].values)} |")
    print(f"\nExponents of the pair correlations against n, e-e, i-i, e-i: {show(pairs(found['exponent'].values))}, "
          f"standard errors {show(pairs(found['exponent_se'].values))}.", flush=True)  # fmt: skip


def coupling():
    """Compare must reject S3 with one coupling changed by 10 %."""
    print("\n## S3 network (N = 400, 24 realisations, times 0 to 6) against the theory of other couplings, compare()\n")
    print("| coupling, +10 % | verdict | smallest adjusted p against the limit | against the theory at this n |")
    print("|---|---|---|---|")
    times, model = np.linspace(0.0, 6.0, 31), BalancedNetwork.balanced()
    network = ln.simulate(model, times, n=400, realisations=24, seed=1, method="tau_leap")
    for changed in (None, "coupling[e,e]", "coupling[e,i]", "coupling[i,e]", "coupling[i,i]"):
        theory = model if changed is None else model.replace(**{changed: 1.1 * model.value(changed)})
        limit, equations = (ln.solve_limit(theory, times, n=n) for n in (None, 400))
        report = ln.compare(network, limit, finite=equations, strict=False)
        least = [f"{report[key].values.min():.2g}" for key in ("p_adjusted", "finite_p_adjusted")]
        print(f"| {changed or 'none'} | {report.attrs['verdict']} | {' | '.join(least)} |", flush=True)


def pairs(matrix):
    """Entries e-e, i-i, e-i."""
    return np.array([matrix[0, 0], matrix[1, 1], matrix[0, 1]])


def show(values):
    """Three digits each."""
    return ", ".join(f"{v:.3f}" for v in values)


def small(values):
    """Two significant digits each."""
    return ", ".join(f"{v:.2g}" for v in values)


def signed(values):
    """With sign, two digits."""
    return ", ".join(f"{v:+.2f}" for v in values)


if __name__ == "__main__":
    for study in (law, steps, skewness, stationary, agreement, fluctuations, asynchrony, coupling):
        if len(sys.argv) == 1 or study.__name__ in sys.argv[1:]:
            study()
