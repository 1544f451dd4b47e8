"""Networks of populations of rate neurons against their limit, extrapolated in 1/N to infinitely many neurons.

What:     Averages over draws of the weights at several N, with the pooled standard deviation (it falls as N^-1/2), a
          line in 1/N through them, and Student's test of its end against the limit. `family` puts all these p-values
          together: none may be significant at a family-wise 1 % (Holm).
Models:   chaos: one population, tanh, g = 1.5, 2, 3. excitation_inhibition: the default model. static: rank one.
          transient: two populations, rank one, noise, an oscillating input. discrete: exponents in discrete time.
          correlated_ring: weights correlated around a ring, near the onset of chaos and further from it. outliers: the
          leading eigenvalue of drawn Jacobians. dimension: participation ratio by products of two runs of one draw.
Source:   Sompolinsky, Crisanti & Sommers 1988; Mastrogiuseppe & Ostojic 2018; Clark, Abbott & Litwin-Kumar 2023.
Run time: on one core, in CPU minutes: chaos 10, excitation_inhibition 10, static 3, transient 3, discrete 2,
          correlated_ring 9, outliers 3, dimension 14; family none.
Command:  OPENBLAS_NUM_THREADS=1 python validation/rate_populations.py chaos|excitation_inhibition|static|transient|
          discrete|correlated_ring|outliers|dimension|family
"""

import functools
import json
import math

import numpy as np
from scipy import stats
from study import DATA, Results, estimate, main

import largen as ln
from largen.numerics.hypothesis_tests import holm
from largen.numerics.streams import stream
from largen.systems.rate.populations.network import Network

LEVEL = 0.01
SMALL = {60: 3, 120: 3}

# Problem --------------------------------------------------------------------------------------------------------


def one_population(g, **changes):
    return ln.RatePopulations.chaotic().replace(weight_variance=((g**2,),), **changes)


def ring(variance):
    kernel = ln.SeparableKernel(variance, 0.5, 0.4)
    return ln.RatePopulations.chaotic().replace(kernels=((kernel,),))


def structured(g, left, right, covariance, **changes):
    low_rank = ln.LowRank(((left,),), ((right,),), (covariance,))
    return ln.RatePopulations.rank_one().replace(weight_variance=((g**2,),), low_rank=low_rank, **changes)


def sine(t):
    return np.array([0.8, -0.4]) * np.sin(2.0 * t)


TRANSIENT = ln.RatePopulations(
    fractions=(0.7, 0.3), tau=(1.0, 0.6), weight_variance=((1.96, 1.0), (1.44, 0.64)),
    mean_weight=((0.8, -1.5), (1.2, -0.9)),
    low_rank=ln.LowRank(((1.0,), (0.4,)), ((1.2,), (-0.6,)), (((0.4, 0.2), (0.2, 0.6)), ((0.3, -0.1), (-0.1, 0.4)))),
    threshold_mean=(0.2, -0.1), threshold_variance=(0.09, 0.04), threshold_covariance=((0.1, 0.15), (0.0, 0.1)),
    initial_mean=(0.5, 0.1), initial_variance=(0.3, 0.2), noise=(0.3, 0.2), input=sine,
)  # fmt: skip


# Networks against the limit -------------------------------------------------------------------------------------


def against_limit(results, names, limits, samples, fitted_from=0):
    """A table of means by size, the line's end, the limit and the p-value of each statistic.

    Args:
        results: The part's results.
        names: Of the statistics.
        limits: Their limits.
        samples: By N the values of every draw, shape (draw, statistic).
        fitted_from: Smallest N of the line.
    """
    table = results.table(
        "networks", "quantity", ("limit", ".5f"),
        *((f"N = {n} ({len(values)})", ".4f", ".4f") for n, values in samples.items()),
        ("line at N to infinity", ".4f", ".4f"), ("z", "+.2f"), ("p", ".3g"),
    )  # fmt: skip
    for k, (name, limit) in enumerate(zip(names, limits, strict=True)):
        values = {n: drawn[:, k] for n, drawn in samples.items()}
        dof = sum(len(x) - 1 for x in values.values())
        spread = math.sqrt(sum(n * (len(x) - 1) * x.var(ddof=1) for n, x in values.items()) / dof)
        error = {n: spread / math.sqrt(n * len(x)) for n, x in values.items()}
        used = [n for n in values if n >= fitted_from]
        design = np.array([[1.0, 1.0 / n] for n in used]) / np.array([[error[n]] for n in used])
        means = np.array([values[n].mean() / error[n] for n in used])
        inverse = np.linalg.inv(design.T @ design)
        end, se = float(inverse[0] @ design.T @ means), math.sqrt(inverse[0, 0])
        z = (end - limit) / se
        p = 2.0 * float(stats.t.sf(abs(z), dof))
        cells = [estimate(values[n].mean(), error[n]) for n in values]
        table.add(name, limit, *cells, estimate(end, se), z, p)


def runs(model, times, measure, draws, **options):
    """The statistics of every draw by N, each realisation run and measured for itself to keep memory low."""
    found = {}
    for n, count in draws.items():
        parts = [ln.simulate(model, times, n=n, realisations=1, seed=r + 1, **options) for r in range(count)]
        found[n] = np.array([measure(part.isel(realisation=0)) for part in parts])
    return found


def beside(samples, found):
    """The statistics of one more model as columns beside those of the models before, by N."""
    return {n: np.concatenate([samples.get(n, values[:, :0]), values], axis=1) for n, values in found.items()}


def stationary_statistics(run, start, step, lag_time):
    """Of each population mean, variance, covariance at a time difference, frozen covariance, over late times."""
    late = run.sel(time=slice(start, None), time_=slice(start, None))
    both = late["covariance"].transpose("population", "lag", "time", "time_").values
    shift = round(lag_time / step)
    diagonal = np.diagonal(both, axis1=2, axis2=3).mean(2)
    beside = np.diagonal(both, offset=shift, axis1=2, axis2=3).mean(2)
    out = {"mean": late["mean"].mean("time").values, "variance": diagonal, "later": beside}
    if "frozen_covariance" in late:
        frozen = late["frozen_covariance"].transpose("population", "lag", "time", "time_").values
        out["frozen"] = frozen.mean((2, 3))
    return out


def chaos(results: Results, small: bool) -> None:
    """One population at g = 1.5, 2, 3: variance, covariance 4 tau later, largest exponent."""
    draws = SMALL if small else {500: 32, 1000: 24, 2000: 10, 4000: 4}
    times, names, limits, samples = np.arange(0.0, 42.0 if small else 202.0, 2.0), [], [], {}
    for g in (2.0,) if small else (1.5, 2.0, 3.0):
        model = one_population(g)
        law = model.stationary()
        limits += [float(law["variance"][0]), float(law["covariance"].interp(time=4.0)[0]),
                   float(model.lyapunov_exponent())]  # fmt: skip
        names += [f"g = {g:g}: variance", f"g = {g:g}: covariance 4 tau later", f"g = {g:g}: exponent"]

        def measure(run):
            found = stationary_statistics(run, 0.2 * times[-1], 2.0, 4.0)
            return [found["variance"][0, 0], found["later"][0, 0], float(run["lyapunov"][-1])]

        found = runs(model, times, measure, draws, replicas=1, lags=0, record="lyapunov")
        samples = beside(samples, found)
    against_limit(results, names, limits, samples, 0 if small else 1000)


def excitation_inhibition(results: Results, small: bool) -> None:
    """Chaos on top of frozen heterogeneity: means, variances, frozen parts, largest exponent."""
    model, draws = ln.RatePopulations(), SMALL if small else {500: 24, 1000: 16, 2000: 8, 4000: 4}
    times = np.arange(0.0, 42.0 if small else 202.0, 2.0)
    law = model.stationary()
    names = [f"{what} {label}" for what in ("mean", "variance", "frozen") for label in ("e", "i")] + ["exponent"]
    limits = [*law["mean"].values, *law["variance"].values, *law["frozen"].values, float(model.lyapunov_exponent())]

    def measure(run):
        found = stationary_statistics(run, 0.2 * times[-1], 2.0, 4.0)
        return [*found["mean"], *found["variance"][:, 0], *found["frozen"][:, 0], float(run["lyapunov"][-1])]

    samples = runs(model, times, measure, draws, replicas=2, lags=0, record="lyapunov")
    against_limit(results, names, limits, samples, 0 if small else 1000)


def static(results: Results, small: bool) -> None:
    """A static state of rank one plus random weights: latent variable, mean, variance."""
    model = structured(0.8, 2.0, 1.0, ((1.0, 0.3), (0.3, 0.5)))
    law = model.stationary()

    def measure(run):
        last = run.isel(time=-1, time_=-1, lag=0)
        return [float(last["latent"][0]), float(last["mean"][0]), float(last["covariance"][0])]

    times = np.array([0.0, 40.0, 80.0])
    samples = runs(model, times, measure, SMALL if small else {500: 48, 1000: 24, 2000: 12, 4000: 6},
                   replicas=1, lags=0)  # fmt: skip
    limits = [float(law[name][0]) for name in ("latent", "mean", "variance")]
    against_limit(results, ["latent", "mean", "variance"], limits, samples)


def transient(results: Results, small: bool) -> None:
    """A transient of two populations with rank one, noise and an oscillating input, at times 2 and 4."""
    times = np.array([0.0, 2.0, 4.0])

    def measure(run):
        mean, late = run["mean"].values, run.isel(lag=0)
        both = [late[name].transpose("population", "time", "time_").values for name in
                ("covariance", "frozen_covariance")]  # fmt: skip
        second = [part[:, 2, 2] + mean[:, 2] ** 2 for part in both]
        return [*run["latent"].values[0, 1:], *mean[:, 1], *mean[:, 2], *second[0], *second[1],
                *(both[0][:, 1, 2] + mean[:, 1] * mean[:, 2])]  # fmt: skip

    names = ["latent(2)", "latent(4)"] + [
        f"{what} {label}"
        for what in ("mean(2)", "mean(4)", "second moment(4)", "its frozen part", "E x(2) x(4)")
        for label in ("e", "i")
    ]
    samples = runs(TRANSIENT, times, measure, SMALL if small else {300: 480, 600: 280, 1200: 90},
                   replicas=2, lags=0, dt=0.02)  # fmt: skip
    limits = measure(ln.solve_limit(TRANSIENT, times, lags=0))
    against_limit(results, names, limits, samples)


def discrete(results: Results, small: bool) -> None:
    """Largest exponents in discrete time, without memory and with memory and noise."""
    draws = SMALL if small else {300: 48, 600: 24, 1200: 16, 2400: 6}
    times = np.arange(0.0, 61.0 if small else 601.0)
    names, limits, samples = [], [], {}
    for words, model in (
        ("gamma 0", one_population(1.5, dynamics="discrete")),
        ("gamma 0.5, noise 0.3", one_population(1.5, dynamics="discrete", gamma=0.5, noise=0.3)),
    ):
        limits += [float(model.stationary()["variance"][0]), float(model.lyapunov_exponent())]
        names += [f"{words}: variance", f"{words}: exponent"]

        def measure(run):
            found = stationary_statistics(run, 0.2 * times[-1], 1.0, 1.0)
            return [found["variance"][0, 0], float(run["lyapunov"][-1])]

        found = runs(model, times, measure, draws, replicas=1, lags=0, record="lyapunov")
        samples = beside(samples, found)
    against_limit(results, names, limits, samples, 0 if small else 600)


def correlated_ring(results: Results, small: bool) -> None:
    """Weights correlated around a ring, near the onset of chaos (variance 1.5) and further from it (4)."""
    draws = SMALL if small else {500: 16, 1000: 10, 2000: 6, 4000: 4}
    times, names, limits, samples = np.arange(0.0, 42.0 if small else 202.0, 2.0), [], [], {}
    for variance in (1.5, 4.0):
        model = ring(variance)
        law = model.stationary(lags=1)
        lag_one = float(law["lag_covariance"].sel(lag=1).isel(time=0)[0])
        limits += [float(law["variance"][0]), lag_one, float(model.lyapunov_exponent())]
        words = f"variance of weights {variance:g}"
        names += [f"{words}: variance", f"{words}: covariance of neighbours", f"{words}: exponent"]

        def measure(run):
            found = stationary_statistics(run, 0.2 * times[-1], 2.0, 4.0)
            return [found["variance"][0, 0], found["variance"][0, 1], float(run["lyapunov"][-1])]

        found = runs(model, times, measure, draws, replicas=1, lags=1, record="lyapunov")
        samples = beside(samples, found)
    against_limit(results, names, limits, samples, 0 if small else 1000)


# Spectra and dimension ------------------------------------------------------------------------------------------


def leading(n, rng):
    """Leading eigenvalue of one drawn Jacobian at its static state, by power iteration."""
    m, loading = rng.multivariate_normal([1.2, 1.0], [[0.3, 0.2], [0.2, 0.3]], size=n).T
    weights = math.sqrt(0.25 / n) * rng.standard_normal((n, n)) + np.outer(m, loading) / n
    x = 0.8 * np.ones(n)
    for _ in range(150):
        x = weights @ np.tanh(x)
    jacobian, vector = weights / np.cosh(x) ** 2, rng.standard_normal(n)
    for _ in range(150):
        vector = jacobian @ vector
        vector /= np.linalg.norm(vector)
    return float(vector @ jacobian @ vector) - 1.0


def outliers(results: Results, small: bool) -> None:
    """The leading eigenvalue of drawn Jacobians of rank one plus random weights, against the predicted outlier."""
    model = structured(0.5, 1.2, 1.0, ((0.3, 0.2), (0.2, 0.3)))
    state = model.static_states().isel(state=0)
    sizes = SMALL if small else {200: 400, 400: 300, 800: 120}
    samples = {n: np.array([[leading(n, stream(1, "outliers", n, r))] for r in range(k)]) for n, k in sizes.items()}
    against_limit(results, ["leading eigenvalue"], [float(state["outlier_real"][0])], samples)


def products(model, n, draw, duration, transient):
    """tr C1, tr C2 and tr C1 C2 over N of rates in two runs of one draw: unbiased in the length of time."""
    network = Network(model, n, functools.partial(stream, draw, "dimension", n), np.float64)
    start = stream(draw, "dimension", n, "initial").standard_normal((n, 2))
    x, step, kept = start, 0.2, []

    def slope(x):
        return network.couple(network.rates(x)) - x

    for k in range(round(duration / step)):
        one = slope(x)
        two = slope(x + 0.5 * step * one)
        three = slope(x + 0.5 * step * two)
        x = x + step / 6.0 * (one + 2.0 * two + 2.0 * three + slope(x + step * three))
        if k * step >= transient and k % 5 == 0:
            kept.append(network.rates(x))
    rates = np.array(kept)  # (time, neuron, run); their mean is 0 by symmetry: that of a run would take away slow modes
    first, second = rates[:, :, 0], rates[:, :, 1]
    trace = [float((part**2).sum() / len(part)) / n for part in (first, second)]
    return [*trace, float(((first @ second.T) ** 2).sum()) / len(first) ** 2 / n]


def dimension(results: Results, small: bool) -> None:
    """Participation ratio of the covariance of rates at g = 3, by products of covariances of two runs of one draw."""
    model = one_population(3.0)
    limit = float(model.dimension()["dimension"])
    table = results.table("networks", "N", "draws", ("participation ratio over N", ".4f", ".4f"), ("limit", ".5f"),
                          ("z", "+.2f"), ("p", ".3g"))  # fmt: skip
    for n, count in ({60: 3} if small else {800: 32, 1600: 24, 3200: 16}).items():
        found = np.array([products(model, n, r, 60.0 if small else 500.0, 40.0) for r in range(count)])

        def ratio(part):
            one, two, both = part.mean(0)
            return one * two / both

        value = ratio(found)
        without = np.array([ratio(np.delete(found, r, 0)) for r in range(count)])
        error = math.sqrt((count - 1) * np.mean((without - without.mean()) ** 2))  # jackknife over draws
        z = (value - limit) / error
        table.add(n, count, estimate(value, error), limit, z, 2.0 * float(stats.t.sf(abs(z), count - 1)))


def family(results: Results, small: bool) -> None:
    """All p-values of the other parts together, raised by Holm's correction."""
    table = results.table("family", "part", "tests", ("smallest p", ".3g"), ("after Holm's correction", ".3g"),
                          "significant at 1 %")  # fmt: skip
    found = {}
    for part in (chaos, excitation_inhibition, static, transient, discrete, correlated_ring, outliers, dimension):
        file = DATA / "validation" / "rate_populations" / f"{part.__name__}.json"
        if file.is_file():
            rows = json.loads(file.read_text())["tables"]["networks"]["rows"]
            found[part.__name__] = [row[-1] for row in rows]
    if not found:
        return
    raised = holm(np.concatenate(list(found.values())))
    ends = np.cumsum([len(p) for p in found.values()])
    for (name, p), after in zip(found.items(), np.split(raised, ends[:-1]), strict=True):
        table.add(name, len(p), min(p), float(after.min()), bool(after.min() < LEVEL))


PARTS = (chaos, excitation_inhibition, static, transient, discrete, correlated_ring, outliers, dimension, family)

if __name__ == "__main__":
    main(PARTS, __doc__)
