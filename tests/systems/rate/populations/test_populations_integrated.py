"""Networks of populations without their weights: the law of the inputs exactly, and that of the network by draws."""

import itertools

import numpy as np
import pytest
from scipy import stats

import largen as ln
from largen.numerics.streams import stream
from largen.systems.rate.integrated_weights import IntegratedWeights

TABLE = ln.TableKernel(((0.1, 0.25, -0.1), (0.3, 1.2, 0.3), (-0.1, 0.25, 0.1)))
KERNELS = (
    (ln.SeparableKernel(1.5, 0.5, 0.4), ln.UncorrelatedKernel(0.8)),
    (ln.SeparableKernel(0.9, -0.4, 0.4), TABLE),
)
MEANS = np.array([[0.6, -0.4], [0.0, 1.1]])
SIZES = (7, 9)


def distance(lag, size):
    return min(lag % size, -lag % size)


def covariance(kernel, k, l, post, pre):
    """Lambda(k, l) on the torus post x pre, term by term."""
    if isinstance(kernel, ln.UncorrelatedKernel):
        return float(kernel.variance) * (k % post == 0) * (l % pre == 0)
    if isinstance(kernel, ln.SeparableKernel):
        return float(kernel.variance * kernel.post ** distance(k, post) * kernel.pre ** distance(l, pre))
    lags = itertools.product((-1, 0, 1), repeat=2)
    return sum(TABLE.values[i + 1][j + 1] for i, j in lags if (i - k) % post == 0 and (j - l) % pre == 0)


def test_inputs_of_blocks_given_fixed_rates_have_their_covariance_term_by_term():
    # false alarm 1e-6 over all entries (Bonferroni)
    n, inputs, draws = sum(SIZES), 3, 700
    rates = stream(2, "rates").standard_normal((inputs, n)) + 0.3
    rates[2] = 2.0 * rates[0] - rates[1]  # nothing new: no noise of its own
    sample = np.empty((draws, inputs, n))
    for r in range(draws):
        couple = IntegratedWeights(KERNELS, MEANS, SIZES, lambda a, b, r=r: stream(3, r, a, b), inputs)
        sample[r] = [couple(rates[t][:, None])[:, 0] for t in range(inputs)]
    parts = (slice(0, SIZES[0]), slice(SIZES[0], n))
    mean, expected = np.zeros((inputs, n)), np.zeros((inputs, n, inputs, n))
    for a, b in itertools.product(range(2), repeat=2):
        first, pre = parts[a].start, SIZES[b]
        mean[:, parts[a]] += MEANS[a, b] * rates[:, parts[b]].mean(1)[:, None]
        for i, k in itertools.product(range(SIZES[a]), repeat=2):
            whole = np.array([[covariance(KERNELS[a][b], k - i, l - j, SIZES[a], pre) for l in range(pre)]
                              for j in range(pre)])  # fmt: skip
            for s, t in itertools.product(range(inputs), repeat=2):
                expected[s, first + i, t, first + k] += rates[s, parts[b]] @ whole @ rates[t, parts[b]] / pre
    centred = (sample - mean).reshape(draws, -1)
    expected = expected.reshape(inputs * n, -1)
    found = centred.T @ centred / draws
    error = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / draws)
    assert (np.abs(found - expected) / error).max() < stats.norm.isf(0.5e-6 / expected.size)
    np.testing.assert_allclose(centred[:, 2 * n :], 2 * centred[:, :n] - centred[:, n : 2 * n], atol=1e-6)


def moments(weights, record=()):
    """Statistics of the last time of draws of a small network with a low-rank part, shape (draw, statistic)."""
    low_rank = ln.LowRank(left_mean=((0.8,), (0.3,)), right_mean=((0.9,), (-0.5,)))
    model = ln.RatePopulations.correlated_blocks().replace(low_rank=low_rank)
    found = ln.simulate(
        model, np.arange(4.0), n=30, realisations=800, seed=len(weights), weights=weights, record=record
    )
    assert found.attrs["weights"] == weights
    last = found.isel(time=-1, time_=-1)
    names = ("mean", "rate", "covariance", "frozen_covariance", "latent", *record)
    columns = [last[name].transpose("realisation", ...).values.reshape(800, -1) for name in names]
    return np.concatenate(columns, axis=1)


@pytest.mark.long
@pytest.mark.parametrize("record", [(), ("lyapunov",)])
def test_networks_without_weights_have_the_law_of_those_with_them(record):
    # false alarm 1e-4 in all (Bonferroni), means and variances
    explicit, without = moments("explicit", record), moments("integrated", record)
    level = stats.norm.isf(0.5e-4 / (2 * explicit.shape[1]))

    def largest(a, b):
        both = [(x, y) for x, y in ((a, b), ((a - a.mean(0)) ** 2, (b - b.mean(0)) ** 2))]
        return max(np.abs((x.mean(0) - y.mean(0)) / np.sqrt((x.var(0) + y.var(0)) / len(x))).max() for x, y in both)

    assert explicit.shape[1] >= 15
    assert largest(explicit, without) < level
    assert largest(explicit, 1.1 * without) > level  # a tenth too much is seen


def test_the_theory_of_n_neurons_is_the_law_of_networks_and_goes_to_the_limit():
    model, times = ln.RatePopulations.correlated_blocks(), np.arange(4.0)
    finite = ln.solve_limit(model, times, n=200, realisations=20, seed=1)
    assert finite.sizes["realisation"] == 20
    assert finite.attrs["method"] == "samples of the finite network"
    limit = ln.solve_limit(model, times)
    # two means at three times (the start has no error): false alarm 1e-4
    z = (finite["mean"].mean("realisation") - limit["mean"]) / finite["mean"].std("realisation", ddof=1) * np.sqrt(20)
    assert np.abs(z.isel(time=slice(1, None))).max() < stats.t.isf(0.5e-4 / 6, 19)
    network = ln.simulate(model, times, n=200, realisations=20, seed=1)
    assert not np.array_equal(network["mean"], finite["mean"])  # streams of its own
    report = ln.compare(network, limit, finite=finite)
    assert "theory differs" not in str(report.attrs["verdict"])


def test_weights_are_integrated_out_where_that_is_faster():
    model = ln.RatePopulations.correlated_blocks()
    found = ln.simulate(model, np.arange(4.0), n=1200, realisations=1, weights="auto")
    assert found.attrs["weights"] == "integrated"
    found = ln.simulate(ln.RatePopulations(), np.linspace(0, 40, 5), n=60, realisations=1, weights="auto")
    assert found.attrs["weights"] == "explicit"
