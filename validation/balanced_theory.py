"""The balanced network against its theory: finite-size equations, skewness, linear noise, asynchrony, couplings.

What:     the statistical claims of the balanced system.
Source:   MacLaurin & Vilanova 2024 (arXiv 2412.17273); the finite-size theory is largen's own.
Run time: about 12 CPU minutes for all parts.
Command:  python validation/balanced_theory.py PART, PART one of those at the end of this file
"""

import time

import jax
import numpy as np
from scipy import stats
from study import Results, estimate, main

import largen as ln
from largen import BalancedNetwork, analysis
from largen.systems.balanced import Logistic, Probit, finite_size, manifold
from largen.systems.balanced.fluctuations import linear_noise

PAIRS = ("e-e", "i-i", "e-i")
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


def law(results: Results, small: bool) -> None:
    """Network against the finite-size equations at N = 2000: p-values of Hotelling's test over ten times."""
    table = results.table(
        "law", "set", ("fast eigenvalue at the end, real part", ".4f"), ("imaginary part", ".4f"),
        ("mean", ".2g"), ("variance", ".2g"), ("third cumulant", ".2g"), ("mean without skewness", ".2g"),
        ("CPU s", ".0f"),
    )  # fmt: skip
    times = np.concatenate([[0.0], np.geomspace(0.02, 2.0, 10)])
    count, dt = (24, 0.01) if small else (400, 0.002)
    for name, model in chosen(sets(), small).items():
        start = time.process_time()
        equations, plain = (ln.solve_limit(model, times, n=2000, skewness=s) for s in (True, False))
        limit = ln.solve_limit(model, times)
        network = ln.simulate(model, times, n=2000, realisations=count, seed=1, dt=dt)
        fast = limit.fast_eigenvalues_real.values[0, -1], limit.fast_eigenvalues_imag.values[0, -1]
        p = [distance(network, equations, o) for o in ("mean", "variance", "third_cumulant")]
        table.add(name, *fast, *p, distance(network, plain, "mean"), time.process_time() - start)


def chosen(cases, small):
    """The first of the cases alone where `small`."""
    return dict(list(cases.items())[:1]) if small else cases


def distance(network, theory, name):
    """p-value of Hotelling's test over populations and times; below 1e-6 the theory would be rejected."""
    samples = network[name].values[:, :, 1:].reshape(network.sizes["realisation"], -1)
    error = samples.mean(0) - theory[name].values[:, 1:].ravel()
    count, size = samples.shape
    statistic = count * error @ np.linalg.solve(np.cov(samples.T), error)
    return stats.f.sf(statistic * (count - size) / (size * (count - 1)), size, count - size)


def steps(results: Results, small: bool) -> None:
    """The bias of the mean from the step of tau-leaping, without noise: its moment map against the equations."""
    table = results.table(
        "steps",
        "set",
        "dt sqrt(n)",
        ("largest bias over 10 times", ".2g"),
        ("in standard errors of 400 replicates", ".2f"),
    )
    times = np.concatenate([[0.0], np.geomspace(0.02, 2.0, 10)])
    for name, model in chosen(sets(), small).items():
        exact = ln.solve_limit(model, times, n=2000, rtol=1e-10, atol=1e-12)["mean"].values
        error = np.sqrt(np.diag(linear_noise(model, 2000).mean_covariance) / 400)[:, None]
        for scaled in (0.1, 0.063, 0.03):
            bias = leap_means(model, times, 2000, scaled) - exact
            table.add(name, scaled, np.abs(bias).max(), np.abs(bias / error).max())


def leap_means(model, times, n, scaled):
    """Means of the moment map of tau-leaping with dt sqrt(n) = scaled, shape (P, time)."""
    with jax.enable_x64(True):
        parts = manifold.balance(model, (0, 1), model.sizes(n).astype(float))
        nodes = manifold.structure(model).nodes
        rate = jax.jit(lambda v, k, c: finite_size.corrected_rate(model, v, k, c, nodes))
        first, second, third = (np.asarray(x) for x in (parts.coupling, parts.variance_coupling, parts.third_coupling))
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


def skewness(results: Results, small: bool) -> None:
    """The bias of the mean that the third cumulants remove in S3 at 200 neurons a population, time by time."""
    table = results.table(
        "skewness", "start", ("time", "g"), ("n Var(M) e, i", ".3f"), ("with skewness e, i", "+.2f"),
        ("without e, i", "+.2f"), ("both with, without", ".1f"),
    )  # fmt: skip
    overall, count = [], 200 if small else 2000
    times = np.array([0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0])
    for label, model in (("projected", BalancedNetwork.balanced()), ("v = 0", BalancedNetwork.off_manifold())):
        network = ln.simulate(model, times, n=400, realisations=count, seed=2, dt=0.004)
        samples = network["mean"].values
        theories = [ln.solve_limit(model, times, n=400, skewness=with_it) for with_it in (True, False)]
        differences = [samples.mean(0) - theory["mean"].values for theory in theories]
        error = samples.std(0, ddof=1) / np.sqrt(count)
        for i in range(1, len(times)):
            covariance = np.cov(samples[:, :, i].T)
            both = [np.sqrt(count * d[:, i] @ np.linalg.solve(covariance, d[:, i])) for d in differences]
            z = [d[:, i] / error[:, i] for d in differences]
            table.add(label, times[i], 200 * np.diag(covariance), *z, both)
        overall.append((label, *(distance(network, theory, "mean") for theory in theories)))
    table = results.table("all times", "start", ("p with skewness", ".2g"), ("p without", ".2g"))
    for row in overall:
        table.add(*row)


def stationary(results: Results, small: bool) -> None:
    """The same bias in time averages over the stationary regime, which tell more than one time does."""
    table = results.table(
        "stationary", "equations", ("mean e, i", ".5f"), ("network - equations e, i", "+.5f", ".5f"),
        ("in standard errors", "+.2f"),
    )  # fmt: skip
    count = 8 if small else 160
    model, times = BalancedNetwork.balanced(), np.concatenate([[0.0], np.arange(4.0, 40.01, 0.2)])
    network = ln.simulate(model, times, n=400, realisations=count, seed=21, method="tau_leap", dt=0.005)
    means = network["mean"].values[:, :, 1:].mean(axis=2)
    error = means.std(0, ddof=1) / np.sqrt(count)
    for with_it in (True, False):
        theory = ln.solve_limit(model, [0.0, 20.0, 40.0], n=400, skewness=with_it)["mean"].values[:, -1]
        gap = means.mean(0) - theory
        table.add(f"{'with' if with_it else 'without'} skewness", theory, list(map(estimate, gap, error)), gap / error)


def agreement(results: Results, small: bool) -> None:
    """Exact and tau-leaping networks at 200 a population: the smallest p over observables, times, populations."""
    table = results.table(
        "agreement", "set", "start", "tests", ("Welch", ".2g"), ("Brown-Forsythe (spread)", ".2g"),
        ("Kolmogorov-Smirnov", ".2g"), ("smallest, Bonferroni", ".2g"),
    )  # fmt: skip
    times, count = np.array([0.0, 0.05, 0.15, 0.4, 1.0]), 20 if small else 400
    starts = {}
    for name, model in (("S1", BalancedNetwork.rank_one()), ("S3", BalancedNetwork.off_manifold())):
        projected = ln.solve_limit(model, times)["mean"].values[:, 0]
        starts[name] = {"projected": model.replace(initial_mean=projected), "off the manifold": model}
    for name, models in chosen(starts, small).items():
        for start, model in models.items():
            a, b = (
                ln.simulate(model, times, n=400, realisations=count, seed=s, method=method)
                for s, method in ((11, "exact"), (12, "tau_leap"))
            )
            p = np.array([tests(a, b, o, p, t) for o in OBSERVABLES for p in (0, 1) for t in range(1, len(times))])
            table.add(name, start, p.size, *p.min(axis=0), min(1.0, p.min() * p.size))


def tests(a, b, observable, population, time_index):
    """P of equal mean, equal spread and equal distribution of one observable over replicates."""
    x, y = (network[observable].values[:, population, time_index] for network in (a, b))
    return (
        stats.ttest_ind(x, y, equal_var=False).pvalue,
        stats.levene(x, y, center="median").pvalue,
        stats.ks_2samp(x, y).pvalue,
    )


def fluctuations(results: Results, small: bool) -> None:
    """N Var(M) against linear noise at 1000 a population."""
    table = results.table(
        "fluctuations", "set", *((name, ".3f") for name in
        ("network e, i, e-i", "standard errors", "linear noise", "network / linear noise")),
    )  # fmt: skip
    for name, model in {"S1": BalancedNetwork.rank_one(), "S3": BalancedNetwork.balanced()}.items():
        times = np.concatenate([[0.0], np.arange(6.0, 16.0 if small else 96.0, 0.25)])
        m = ln.simulate(model, times, n=2000, realisations=8, seed=3, method="tau_leap")["mean"].values[:, :, 1:]
        m = m - m.mean(axis=(0, 2), keepdims=True)
        products = 1000 * np.stack([m[:, 0] ** 2, m[:, 1] ** 2, m[:, 0] * m[:, 1]])
        blocks = products.reshape(3, -1, 40).mean(axis=2)
        error = blocks.std(axis=1, ddof=1) / np.sqrt(blocks.shape[1])
        theory = 1000 * linear_noise(model, 2000).mean_covariance
        expected = np.array([theory[0, 0], theory[1, 1], theory[0, 1]])
        found = blocks.mean(axis=1)
        table.add(name, found, error, expected, found / expected)


def asynchrony(results: Results, small: bool) -> None:
    """Propagation of chaos in S3: pair correlations against N, and the distribution of single neurons at the end."""
    model, times = BalancedNetwork.balanced(), np.concatenate([[0.0], np.arange(3.0, 5.1, 0.25)])
    counts = {200: 40, 800: 10} if small else {200: 400, 800: 300, 3200: 50}
    networks = [
        ln.simulate(model, times, n=n, realisations=r, seed=5, method="tau_leap", record="state")
        for n, r in counts.items()
    ]
    found = analysis.asynchrony(networks, start=3.0)
    table = results.table(
        "asynchrony", "N", ("pair correlation e-e, i-i, e-i", ".2g"), ("standard errors", ".2g"),
        ("linear noise", ".2g"), ("skewness e, i", "+.2f", ".2f"), ("excess kurtosis e, i", "+.2f", ".2f"),
        ("KS p e, i", ".3f"),
    )  # fmt: skip
    for n in counts:
        row = found.sel(n=n)
        cells = [pairs(row[key].values) for key in ("pair_correlation", "pair_correlation_se")]
        cells.append(pairs(linear_noise(model, n).pair_correlation))
        for key in ("skewness", "excess_kurtosis"):
            cells.append(list(map(estimate, row[key].values, row[f"{key}_se"].values)))
        table.add(n, *cells, row["ks_p_value"].values)
    table = results.table("exponents", "pair", ("exponent of the pair correlation in N", ".3f"))
    for pair, *value in zip(PAIRS, pairs(found["exponent"].values), pairs(found["exponent_se"].values), strict=True):
        table.add(pair, estimate(*value))


def coupling(results: Results, small: bool) -> None:
    """`compare` of an S3 network (N = 400, 24 realisations, times 0 to 6) with the theory of other couplings."""
    table = results.table(
        "coupling", "coupling, +10 %", "verdict", ("smallest p of a difference within tolerance of the limit", ".2g"),
        ("of the theory at this n", ".2g"),
    )  # fmt: skip
    times, model = np.linspace(0.0, 6.0, 31), BalancedNetwork.balanced()
    network = ln.simulate(model, times, n=400, realisations=24, seed=1, method="tau_leap")
    for changed in (None, "coupling[e,e]", "coupling[e,i]", "coupling[i,e]", "coupling[i,i]")[: 2 if small else 5]:
        theory = model if changed is None else model.replace(**{changed: 1.1 * model.value(changed)})
        limit, equations = (ln.solve_limit(theory, times, n=n) for n in (None, 400))
        report = ln.compare(network, limit, finite=equations, strict=False)
        least = [report[key].values.min() for key in ("p_beyond", "finite_p_beyond")]
        table.add(changed or "none", report.attrs["verdict"], *least)


def pairs(matrix):
    """Entries e-e, i-i, e-i."""
    return np.array([matrix[0, 0], matrix[1, 1], matrix[0, 1]])


def convergence(results: Results, small: bool) -> None:
    """Distance of one network's means from the limit over times 0 to 1 from a projected start, as N grows."""
    table = results.table("convergence", "set", "N", ("distance, s.d. of a neuron", ".5f"), ("95 % interval", ".3g"))
    exponents = results.table(
        "exponents", "set", ("distance ~ N^-a, a", ".3f"), ("95 % interval", ".3f"), ("lack of fit, p", ".2g")
    )
    projected = BalancedNetwork.rank_one().replace(initial_mean=(-0.19763375058, -0.29763375058))
    cases = {
        "S3": (BalancedNetwork.balanced(), {1600: 400, 3200: 400, 6400: 400, 12800: 60, 25600: 30}),
        "S1": (projected, {1600: 400, 3200: 400, 12800: 60, 25600: 30}),
    }
    for name, (model, counts) in cases.items():
        if small:
            counts = {100: 8, 200: 8, 400: 8}
        options = {"n": list(counts), "realisations": list(counts.values()), "method": "tau_leap", "seed": 1}
        found = ln.convergence(model, np.linspace(0.0, 1.0, 21), **options).sel(observable="mean")
        for n in counts:
            one = found.sel(n=n)
            interval = [float(one[f"distance_{side}"]) for side in ("low", "high")]
            table.add(name, n, float(one["distance"]), interval)
        interval = [float(found[f"distance_exponent_{side}"]) for side in ("low", "high")]
        exponents.add(name, float(found["distance_exponent"]), interval, float(found["distance_lack_of_fit"]))


PARTS = (law, steps, convergence, skewness, stationary, agreement, fluctuations, asynchrony, coupling)

if __name__ == "__main__":
    main(PARTS, __doc__)
