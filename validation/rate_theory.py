"""The rate system's theory against its networks.

What:     second moments of networks with explicit weights extrapolated in 1/N; convergence of one draw; fluctuations of
          neuron averages against N Var of networks; the error bars of `compare` for one realisation; frozen and dynamic
          correlations of correlated and of independent weights; sweeps of the fixed point; figures.
Source:   Faugeras, MacLaurin & Tanre 2019 (arXiv 1901.10248); models D2 (the defaults), D3, and the chaotic network.
Run time: about 5 minutes on one core.
Command:  OPENBLAS_NUM_THREADS=1 python validation/rate_theory.py PART, PART one of those at the end of this file;
          `figures` writes docs/validation/rate-*.png
"""

import time

import numpy as np
from study import ROOT, Results, estimate, main

import largen as ln
from largen import analysis, plot
from largen.systems.rate import fluctuations
from largen.systems.rate import limit as rate_limit

TIMES = np.arange(9.0)
D2 = ln.RateNetwork()
D3 = ln.RateNetwork(
    gamma=0.0, activation="tanh", kernel=ln.UncorrelatedKernel(2.25), noise=0.1, initial_mean=0.5,
    initial_variance=1.0, mean_weight=0.0, threshold_mean=0.0, threshold_variance=0.0,
)  # fmt: skip
LAST = {"time": -1, "time_": -1}


def second_moments(network, lag):
    """Second moment at the last time, one per realisation."""
    return (network["covariance"].sel(lag=lag).isel(LAST) + network["mean"].isel(time=-1) ** 2).values


def extrapolation(results: Results, small: bool) -> None:
    """Second moments at T = 8 of networks with explicit weights, 3000 draws a size, fitted in 1/N."""
    sizes, draws = np.array([64, 128, 256]), 40 if small else 3000
    table = results.table(
        "extrapolation", "lag", ("limit", ".4f"), ("extrapolated", ".4f"), ("standard errors apart", "+.2f"),
        ("slope in 1/N", ".1f"), *((f"N = {n}", ".4f") for n in sizes),
    )  # fmt: skip
    limit = ln.solve_limit(D2, TIMES)
    sets = [ln.simulate(D2, TIMES, n=int(n), realisations=draws, seed=3, weights="explicit", replicas=1) for n in sizes]
    for lag in range(3):
        samples = [second_moments(found, lag) for found in sets]
        means = np.array([s.mean() for s in samples])
        errors = np.array([s.std(ddof=1) for s in samples]) / np.sqrt(draws)
        design = np.stack([np.ones(3), 1.0 / sizes], axis=1) / errors[:, None]
        covariance = np.linalg.inv(design.T @ design)
        value, slope = covariance @ design.T @ (means / errors)
        exact = float(limit["covariance"].sel(lag=lag)[-1, -1] + limit["mean"][-1] ** 2)
        error, slope_error = np.sqrt(np.diag(covariance))
        table.add(lag, exact, estimate(value, error), (value - exact) / error, estimate(slope, slope_error), *means)


def one_draw(results: Results, small: bool) -> None:
    """The distance of one draw (explicit weights) from the limit, its root mean square over times, as N grows."""
    sizes, counts = [250, 500, 1000, 2000, 4000], [96, 96, 64, 48, 32]
    if small:
        sizes, counts = [50, 100, 200], [16, 16, 16]
    table = results.table(
        "one draw", "observable", ("distance ~ N^-a, a", ".3f"), ("95 % interval", ".3f"), ("lack of fit, p", ".2g"),
        "holds 1/2", *((f"N = {n}", ".4f") for n in sizes),
    )  # fmt: skip
    study = ln.convergence(D2, TIMES, n=sizes, realisations=counts, seed=5, weights="explicit", replicas=1)
    for name in ("mean", "covariance"):
        one = study.sel(observable=name)
        low, high = float(one["distance_exponent_low"]), float(one["distance_exponent_high"])
        p = float(one["distance_lack_of_fit"])
        table.add(name, float(one["distance_exponent"]), [low, high], p, low < 0.5 < high, *one["distance"].values)


def variances(results: Results, small: bool) -> None:
    """N Var of neuron averages at T = 8: theory against the source's values and 4000 networks of N = 1000."""
    table = results.table(
        "variances", "model, average", ("theory", ".5g", ".2g"), "source", ("networks", ".5g", ".2g"),
        ("standard errors apart", "+.2f"),
    )  # fmt: skip
    n, count = (100, 40) if small else (1000, 4000)
    for label, model, samples, sources in (
        ("D2", D2, 20_000, {"mean": 24.213, "second 0": 1011.7}),
        ("D3", D3, 400_000, {"mean": 0.8144, "second 0": 1.9182}),
    ):
        lags = 2 if label == "D2" else 0
        found = fluctuations.solve(model, TIMES, lags=lags, samples=1000 if small else samples)
        network = ln.simulate(model, TIMES, n=n, realisations=count, seed=11, replicas=1, lags=lags)
        rows = [("mean", found.mean[-1], found.mean_error[-1], network["mean"].isel(time=-1).values)]
        for lag in range(lags + 1):
            values = found.second_moment[lag, -1, -1], found.second_moment_error[lag, -1, -1]
            rows.append((f"second {lag}", *values, second_moments(network, lag)))
        for name, value, error, sample in rows:
            spread = variance_of(sample, n)
            apart = (spread["value"] - value) / np.hypot(spread["error"], error)
            table.add(f"{label}, {name}", estimate(value, error), sources.get(name), spread, apart)
        if label == "D2":
            table.add("D2, mean, frozen part", found.mean_frozen[-1], 23.285, None, None)
            table.add("D2, second 0, frozen part", found.second_moment_frozen[0, -1, -1], 935.7, None, None)


def variance_of(sample, n):
    """n times the variance of a sample, with the standard error that its kurtosis gives."""
    centred = sample - sample.mean()
    kurtosis = np.mean(centred**4) / np.mean(centred**2) ** 2
    spread = n * sample.var(ddof=1)
    return estimate(spread, spread * np.sqrt((kurtosis - 1) / len(sample)))


def rate_function(results: Results, small: bool) -> None:
    """Variance of the mean of the uncorrelated tanh network, from 1e5 samples, against the source's values."""
    table = results.table("rate function", "T", ("theory", ".5f", ".1g"), ("source", ".6f"))
    model = ln.RateNetwork(
        gamma=0.3, mean_weight=0.8, threshold_mean=-0.1, threshold_variance=0.0, noise=0.3, initial_mean=0.3,
        initial_variance=0.5, activation="tanh", kernel=ln.UncorrelatedKernel(1.5),
    )  # fmt: skip
    for steps, exact in ((1, 0.919715), (2, 1.473243), (3, 2.067753)):
        value = fluctuations.solve(model, np.arange(steps + 1.0), lags=0, samples=1000 if small else 100_000)
        table.add(steps, estimate(value.mean[-1], value.mean_error[-1]), exact)


def error_bars(results: Results, small: bool) -> None:
    """`compare` of one network of N = 1000 with its limit, T = 20, a thousand times: what its 95 % intervals cover."""
    table = results.table("error bars", "component", ("covered (%)", ".1f"), ("standard deviation of z", ".3f"))
    times, count = np.arange(6.0 if small else 21.0), 5 if small else 1000
    limit = ln.solve_limit(D2, times)
    network = ln.simulate(D2, times, n=100 if small else 1000, realisations=count, seed=5)
    began = time.process_time()
    report = ln.compare(network.isel(realisation=[0]), limit)
    seconds = time.process_time() - began
    # The theory's covariance of one realisation is the same for all networks: the first report's errors serve them all.
    errors = report["standard_error"]
    for name, part in (("mean", {}), ("covariance[0]", {"lag": 0}), ("covariance[1]", {"lag": 1})):
        x = (network[name.partition("[")[0]] - limit[name.partition("[")[0]]).sel(part)
        if "time_" in x.dims:
            x = x.where(x["time_"] <= x["time"]).mean("time_")
        z = x.mean("time").values / float(errors.sel(component=name))
        table.add(name, 100 * (np.abs(z) < 1.959964).mean(), z.std())
    results.table("compare", "error", ("CPU s of one `compare`", ".1f")).add(report.attrs["method"], seconds)


def cut_row_sum(results: Results, small: bool) -> None:
    """An injected fault: a row sum cut at lag 2 (the classic mistake), one network of N = 1 000 000, T = 8."""
    heads = ("theory", ("difference in covariance[0] (%)", ".1f"), ("p of a difference within 2 %", ".1e"), "label")
    table = results.table("cut row sum", *heads)
    n = 10_000 if small else 1_000_000
    network = ln.simulate(D2, TIMES, n=n, seed=2)
    limit = ln.solve_limit(D2, TIMES)
    cut = D2.kernel.coupling()._replace(total=np.array([1.5 * (1 + 2 * (0.4 + 0.4**2))]))
    wrong = rate_limit.moments(D2, TIMES, cut, rate_limit.Options())
    injected = limit.assign(covariance=(limit["covariance"].dims, wrong.covariance)).drop_vars("frozen_covariance")
    for label, theory in (("right", limit.drop_vars("frozen_covariance")), ("cut", injected)):
        report = ln.compare(network, theory.assign_attrs(n=n), tolerance=0.02).sel(component="covariance[0]")
        share = 100 * float(report["difference"] / report["scale"])
        table.add(label, share, float(report["p_beyond"]), report["label"].item())


def stay_correlated(results: Results, small: bool) -> None:
    """Covariance of two neurons at T = 8, all, frozen and dynamic: limit, and 256 networks of N = 1000."""
    heads = [(f"{part}, {of}", ".4f") for part in ("all", "frozen", "dynamic") for of in ("limit", "networks")]
    table = results.table("stay correlated", "weights", "lag", *heads)
    parts = (
        lambda d: d["covariance"],
        lambda d: d["frozen_covariance"],
        lambda d: d["covariance"] - d["frozen_covariance"],
    )
    for label, model in (("correlated", ln.RateNetwork.correlated()), ("independent", ln.RateNetwork.independent())):
        limit = ln.solve_limit(model, TIMES)
        network = ln.simulate(
            model, TIMES, n=100 if small else 1000, realisations=8 if small else 256, seed=1, replicas=2
        )
        for lag in (0, 1, 2):
            cells = []
            at = [dataset.sel(lag=lag).isel(LAST) for dataset in (limit, network)]
            for part in parts:
                sample = part(at[1]).values
                cells += [float(part(at[0])), estimate(sample.mean(), sample.std(ddof=1) / np.sqrt(len(sample)))]
            table.add(label, lag, *cells)


def fixed_point(results: Results, small: bool) -> None:
    """Sweeps of the paper's fixed-point iteration to 1e-10 at T = 100, D2 with another activation."""
    table = results.table("fixed point", "activation", ("gain", "g"), "sweeps")
    for name, gain in (("logistic", 1.0), ("probit", 1.0), ("tanh", 1.0), ("tanh", 2.0)):
        model = ln.RateNetwork(activation=name, gain=gain)
        times = np.arange(11.0 if small else 101.0)
        found = ln.solve_limit(model, times, method="fixed_point").attrs["sweep_changes"]
        table.add(name, gain, int(np.argmax(np.asarray(found) <= 1e-10)) + 1)


def figures(results: Results, small: bool) -> None:
    """The pictures of the page: covariance surfaces; correlation against the lag, fixed point, chaotic variance."""
    times, steps = np.arange(21.0), 11 if small else 101
    limit = ln.solve_limit(D2, times, lags=5)
    network = ln.simulate(D2, times, n=100 if small else 1000, realisations=4 if small else 32, seed=1, lags=5)
    surfaces = plot.covariance_surfaces(network, limit)
    lines = plot.common.page(1, 3, height=3.6)
    axes = lines.subplots(1, 3)
    parts = [analysis.correlation_against_lag(part) for part in (limit, network)]
    plot.correlation_against_lag(parts[0], network=parts[1], ax=axes[0])
    sweeps = ln.solve_limit(ln.RateNetwork(activation="tanh", gain=2.0), np.arange(float(steps)), method="fixed_point")
    plot.fixed_point(sweeps, ax=axes[1])
    plot.chaotic_variance(analysis.chaotic_variance(np.linspace(0.5, 3.0, steps)), ax=axes[2])
    table = results.table("figures", "picture")
    for name, figure in (("rate-surfaces.png", surfaces), ("rate-theory.png", lines)):
        table.add(name)
        if not small:
            figure.savefig(ROOT / "docs" / "validation" / name, dpi=110)


PARTS = (
    extrapolation, one_draw, variances, rate_function, error_bars, cut_row_sum, stay_correlated, fixed_point, figures,
)  # fmt: skip

if __name__ == "__main__":
    main(PARTS, __doc__)
