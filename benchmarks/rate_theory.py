"""The rate system's theory against its networks: every claim of docs/rate-theory.md, as tables.

What: second moments of networks with explicit weights extrapolated in 1/N; convergence of one draw; fluctuations of
neuron averages against N Var of networks; the error bars of `compare` for one realisation; frozen and dynamic
correlations of correlated and of independent weights; the rate function; figures.
Source: issue 4 (rate system), "Must be shown"; models D2 (the defaults), D3, and the chaotic network.
Run time: about 5 minutes on one core.
Command: OPENBLAS_NUM_THREADS=1 python benchmarks/rate_theory.py [SECTION ...] (all without one)
Writes tables in Markdown to standard output; `figures` writes docs/rate-*.png.
"""

import sys
import time

import numpy as np

import largen as ln
from largen import analysis, comparison, plot
from largen.systems.rate import fluctuations
from largen.systems.rate import limit as rate_limit

TIMES = np.arange(9.0)
D2 = ln.RateNetwork()
D3 = ln.RateNetwork(
    gamma=0.0, activation="tanh", kernel=ln.UncorrelatedKernel(2.25), noise=0.1, initial_mean=0.5,
    initial_variance=1.0, mean_weight=0.0, threshold_mean=0.0, threshold_variance=0.0,
)  # fmt: skip
LAST = {"time": -1, "time_": -1}


def table(title, *columns):
    print(f"\n{title}\n\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns), flush=True)


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def second_moments(network, lag):
    """Second moment at the last time, one per realisation."""
    return (network["covariance"].sel(lag=lag).isel(LAST) + network["mean"].isel(time=-1) ** 2).values


def extrapolation(draws=3000):
    """Second moments of networks with explicit weights, extrapolated in 1/N."""
    sizes = np.array([64, 128, 256])
    limit = ln.solve_limit(D2, TIMES)
    sets = [ln.simulate(D2, TIMES, n=int(n), realisations=draws, seed=3, weights="explicit", replicas=1) for n in sizes]
    title = f"Second moments at T = 8, explicit weights, {draws} draws each at N = 64, 128, 256, fitted in 1/N"
    table(title, "lag", "limit", "extrapolated", "standard errors apart", "slope in 1/N", *(f"N = {n}" for n in sizes))
    for lag in range(3):
        samples = [second_moments(found, lag) for found in sets]
        means = np.array([s.mean() for s in samples])
        errors = np.array([s.std(ddof=1) for s in samples]) / np.sqrt(draws)
        design = np.stack([np.ones(3), 1.0 / sizes], axis=1) / errors[:, None]
        covariance = np.linalg.inv(design.T @ design)
        value, slope = covariance @ design.T @ (means / errors)
        exact = float(limit["covariance"].sel(lag=lag)[-1, -1] + limit["mean"][-1] ** 2)
        error, slope_error = np.sqrt(np.diag(covariance))
        row(lag, f"{exact:.4f}", f"{value:.4f} +- {error:.4f}", f"{(value - exact) / error:+.2f}",
            f"{slope:.1f} +- {slope_error:.1f}", *(f"{m:.4f}" for m in means))  # fmt: skip


def one_draw():
    """The distance of one network from the limit as it grows."""
    sizes = [250, 500, 1000, 2000, 4000]
    counts = [96, 96, 64, 48, 32]
    table("Distance of one draw (explicit weights) from the limit, largest over times: exponent in N",
          "observable", "exponent", "95 % interval", "holds -1/2", *(f"N = {n}" for n in sizes))  # fmt: skip
    for name in ("mean", "covariance"):
        study = ln.convergence(
            D2, TIMES, n=sizes, realisations=counts, seed=5, observable=name, weights="explicit", replicas=1
        )
        low, high = float(study["exponent_low"]), float(study["exponent_high"])
        row(name, f"{float(study['exponent']):.3f}", f"[{low:.3f}, {high:.3f}]", low < -0.5 < high,
            *(f"{e:.3f}" for e in study["error"].values))  # fmt: skip


def variances():
    """N Var of neuron averages: theory against the source's values and against networks."""
    title = "N Var at T = 8: theory, the source's value, 4000 networks of N = 1000 (one replica)"
    table(title, "model, average", "theory", "source", "networks", "standard errors apart")
    for label, model, samples, sources in (
        ("D2", D2, 20_000, {"mean": 24.213, "second 0": 1011.7}),
        ("D3", D3, 400_000, {"mean": 0.8144, "second 0": 1.9182}),
    ):
        lags = 2 if label == "D2" else 0
        found = fluctuations.solve(model, TIMES, lags=lags, samples=samples)
        network = ln.simulate(model, TIMES, n=1000, realisations=4000, seed=11, replicas=1, lags=lags)
        rows = [("mean", found.mean[-1], found.mean_error[-1], network["mean"].isel(time=-1).values)]
        for lag in range(lags + 1):
            values = found.second_moment[lag, -1, -1], found.second_moment_error[lag, -1, -1]
            rows.append((f"second {lag}", *values, second_moments(network, lag)))
        for name, value, error, sample in rows:
            centred = sample - sample.mean()
            spread = 1000 * sample.var(ddof=1)
            kurtosis = np.mean(centred**4) / np.mean(centred**2) ** 2
            spread_error = spread * np.sqrt((kurtosis - 1) / len(sample))
            apart = (spread - value) / np.hypot(spread_error, error)
            row(f"{label}, {name}", f"{value:.5g} +- {error:.2g}", sources.get(name, ""),
                f"{spread:.5g} +- {spread_error:.2g}", f"{apart:+.2f}")  # fmt: skip
        if label == "D2":
            row("D2, mean, frozen part", f"{found.mean_frozen[-1]:.5g}", 23.285, "", "")
            second = found.second_moment_frozen[0, -1, -1]
            row("D2, second 0, frozen part", f"{second:.5g}", 935.7, "", "")
    table("Rate function: variance of the mean of the uncorrelated tanh network, 1e5 samples", "T", "theory", "source")
    small = ln.RateNetwork(
        gamma=0.3, mean_weight=0.8, threshold_mean=-0.1, threshold_variance=0.0, noise=0.3, initial_mean=0.3,
        initial_variance=0.5, activation="tanh", kernel=ln.UncorrelatedKernel(1.5),
    )  # fmt: skip
    for steps, exact in ((1, 0.919715), (2, 1.473243), (3, 2.067753)):
        value = fluctuations.solve(small, np.arange(steps + 1.0), lags=0, samples=100_000)
        row(steps, f"{value.mean[-1]:.5f} +- {value.mean_error[-1]:.1g}", exact)


def error_bars(count=1000):
    """`compare` with one realisation: rejections of the true limit, and of a truncated row sum."""
    title = f"`compare` of one network of N = 1000 with the limit, T = 20, {count} networks"
    table(title, "observable", "rejected at 5 %", "at 1 %", "standard deviation of z")
    times = np.arange(21.0)
    limit = ln.solve_limit(D2, times)
    network = ln.simulate(D2, times, n=1000, realisations=count, seed=5)
    start = time.process_time()
    report = ln.compare(network.isel(realisation=[0]), limit)
    seconds = time.process_time() - start
    laws = comparison._own_laws(network.isel(realisation=[0]), 21, ["mean", "covariance"])
    inside = np.ones(21, bool)
    for name, law in laws.items():
        found = [comparison._difference(network.isel(realisation=[k]), limit, name, inside, law) for k in range(count)]
        p = np.array([d.p_value for d in found])
        z = np.concatenate([d.mean / d.error for d in found])
        row(name, f"{100 * (p < 0.05).mean():.1f} %", f"{100 * (p < 0.01).mean():.1f} %", f"{z.std():.3f}")
    print(f"\nError: {report.attrs['error']}; one `compare` takes {seconds:.1f} CPU s.")
    table("A row sum cut at lag 2 (the classic mistake), one network of N = 100 000, T = 8",
          "theory", "largest z of the covariance", "p", "verdict")  # fmt: skip
    network = ln.simulate(D2, TIMES, n=100_000, seed=2)
    limit = ln.solve_limit(D2, TIMES)
    cut = D2.kernel.coupling()._replace(total=np.array([1.5 * (1 + 2 * (0.4 + 0.4**2))]))
    wrong = rate_limit.moments(D2, TIMES, cut, rate_limit.Options())
    planted = limit.assign(covariance=(limit["covariance"].dims, wrong.covariance)).drop_vars("frozen_covariance")
    for label, theory in (("right", limit.drop_vars("frozen_covariance")), ("cut", planted)):
        report = ln.compare(network, theory.assign_attrs(n=100_000)).sel(observable="covariance")
        z = report["z"].values[report["observable_of"].values == "covariance"]
        row(label, f"{np.abs(z).max():.1f}", f"{float(report['p_adjusted']):.1e}", report["verdict"].item())


def stay_correlated():
    """Lag covariance of correlated and of independent weights, frozen and dynamic, in limit and network."""
    title = "Covariance of two neurons at T = 8: limit | 256 networks of N = 1000 (two replicas each)"
    table(title, "weights", "lag", "all", "frozen", "dynamic")
    for label, model in (("correlated", ln.RateNetwork.correlated()), ("independent", ln.RateNetwork.independent())):
        limit = ln.solve_limit(model, TIMES)
        network = ln.simulate(model, TIMES, n=1000, realisations=256, seed=1, replicas=2)
        for lag in (0, 1, 2):
            cells = []
            at = [dataset.sel(lag=lag).isel(LAST) for dataset in (limit, network)]
            for part in (
                lambda d: d["covariance"],
                lambda d: d["frozen_covariance"],
                lambda d: d["covariance"] - d["frozen_covariance"],
            ):
                exact, sample = float(part(at[0])), part(at[1]).values
                cells.append(f"{exact:.4f}, {sample.mean():.4f} +- {sample.std(ddof=1) / np.sqrt(len(sample)):.4f}")
            row(label, lag, *cells)


def figures():
    """The pictures of docs/rate-theory.md."""
    times = np.arange(21.0)
    limit = ln.solve_limit(D2, times, lags=5)
    network = ln.simulate(D2, times, n=1000, realisations=32, seed=1, lags=5)
    plot.covariance_surfaces(network, limit).savefig("docs/rate-surfaces.png", dpi=110)
    figure = plot.common.page(1, 3, height=3.6)
    axes = figure.subplots(1, 3)
    parts = [analysis.correlation_against_lag(part) for part in (limit, network)]
    plot.correlation_against_lag(parts[0], network=parts[1], ax=axes[0])
    sweeps = ln.solve_limit(ln.RateNetwork(activation="tanh", gain=2.0), np.arange(101.0), method="fixed_point")
    plot.fixed_point(sweeps, ax=axes[1])
    plot.chaotic_variance(analysis.chaotic_variance(np.linspace(0.5, 3.0, 101)), ax=axes[2])
    figure.savefig("docs/rate-theory.png", dpi=110)
    table("Fixed point to 1e-10 (T = 100)", "activation", "sweeps")
    for name, gain in (("logistic", 1.0), ("probit", 1.0), ("tanh", 1.0), ("tanh", 2.0)):
        model = ln.RateNetwork(activation=name, gain=gain)
        found = ln.solve_limit(model, np.arange(101.0), method="fixed_point").attrs["sweep_changes"]
        row(f"{name}, gain {gain:g}", int(np.argmax(np.asarray(found) <= 1e-10)) + 1)


SECTIONS = {f.__name__: f for f in (extrapolation, one_draw, variances, error_bars, stay_correlated, figures)}

if __name__ == "__main__":
    for section in sys.argv[1:] or SECTIONS:
        SECTIONS[section]()
