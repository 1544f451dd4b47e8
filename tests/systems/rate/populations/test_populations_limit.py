"""The two-time limit of populations: known numbers, a second route, and the one-ring system."""

import itertools

import numpy as np
import pytest

import largen as ln
from largen.systems.rate.populations.fields import fields_of
from largen.systems.rate.populations.numbers import loadings_of
from systems.rate.populations.cases import sine, transient
from systems.rate.populations.picard import FUNCTIONS, Picard, map_filter, trapezoid_filter

BLOCKS = ln.RatePopulations.correlated_blocks()


def test_correlated_blocks_have_the_known_means_and_covariances():
    found = ln.solve_limit(BLOCKS, np.arange(7.0)).isel(time=-1, time_=-1)
    assert found["mean"].values == pytest.approx([1.9069265245, 0.7429150292], abs=1e-9)
    known = [[17.5143679271, 6.9563020676, 3.2719887572], [3.9058041389, -0.4051915366, 0.7645171666]]
    assert found["covariance"].values == pytest.approx(np.array(known), abs=1e-9)
    frozen = [[16.4577569871, 6.7404702979, 3.1832271193], [3.6614162698, -0.4300706436, 0.7266041242]]
    assert found["frozen_covariance"].values == pytest.approx(np.array(frozen), abs=1e-9)


def separable(a, b, k, l):
    kernel = BLOCKS.kernels[a][b]
    s2, post, pre = (float(x) for x in (kernel.variance, kernel.post, kernel.pre))
    return s2 * post ** abs(k) * ((1 + pre) / (1 - pre) if l is None else pre ** abs(l))


def test_correlated_blocks_come_out_of_dense_matrices_with_explicit_lags():
    count = 5
    filters = np.array([map_filter(g, count) for g in (0.7, 0.4)])
    start = np.array([[g**t for t in range(count)] for g in (0.7, 0.4)])
    noise = np.array([s**2 * L @ L.T for s, L in zip((0.5, 0.3), filters, strict=True)])
    law = loadings_of(BLOCKS)
    route = Picard(
        np.array([2 / 3, 1 / 3]), filters, start, noise, np.asarray(BLOCKS.mean_weight), separable, 14, law.mean,
        law.covariance, law.right_mean, law.right, np.zeros((2, count)), np.zeros((0, count)),
        [FUNCTIONS["probit"], FUNCTIONS["tanh"]], np.array([-0.3, 0.2]), np.array([1.0, 0.5]), terms=90,
    )  # fmt: skip
    mean, _rate, _, covariance, frozen = route.solve(count)
    found = ln.solve_limit(BLOCKS, np.arange(float(count)), lags=2)
    assert found["mean"].values == pytest.approx(mean, abs=1e-9)
    assert found["frozen_covariance"].values == pytest.approx(frozen[:, 14:17], abs=2e-8)
    assert found["covariance"].values == pytest.approx(covariance[:, 14:17], abs=2e-8)


def test_a_continuous_transient_with_rank_one_has_the_known_numbers():
    found = ln.solve_limit(transient(), [0.0, 2.0, 4.0], rtol=1e-8, lags=0)
    mean = found["mean"].values
    assert found["latent"].values[0, 1:] == pytest.approx([0.463240, 0.425764], abs=1e-6)
    assert mean[:, 1:] == pytest.approx(np.array([[1.004034, 0.743026], [0.383505, 0.029735]]), abs=1e-6)
    square = mean[:, :, None] * mean[:, None]
    whole, frozen = (found[name].values[:, 0] + square for name in ("covariance", "frozen_covariance"))
    assert whole[:, 2, 2] == pytest.approx([1.668601, 0.286400], abs=1.5e-6)
    assert frozen[:, 2, 2] == pytest.approx([1.564176, 0.255592], abs=1.5e-6)
    assert whole[:, 2, 1] == pytest.approx([1.631114, 0.238271], abs=1.5e-6)


def transient_by_matrices(points):
    model, times = transient(), np.linspace(0.0, 2.0, points)
    filters = np.array([trapezoid_filter(tau, times)[0] for tau in (1.0, 0.6)])
    start = np.array([np.exp(-times / tau) for tau in (1.0, 0.6)])
    noise = np.array(
        [s**2 * tau / 2 * (np.exp(-abs(times[:, None] - times) / tau) - np.exp(-(times[:, None] + times) / tau))
         for s, tau in ((0.3, 1.0), (0.2, 0.6))]
    )  # fmt: skip
    law, variance = loadings_of(model), np.asarray(model.weight_variance)
    route = Picard(
        np.array([0.7, 0.3]), filters, start, noise, np.asarray(model.mean_weight),
        lambda a, b, k, l: variance[a, b] * (k == 0 and l in (0, None)), 0, law.mean, law.covariance, law.right_mean,
        law.right, np.array([sine(t) for t in times]).T, np.zeros((0, points)), [FUNCTIONS["tanh"]] * 2,
        np.array([0.5, 0.1]), np.array([0.3, 0.2]), terms=100,
    )  # fmt: skip
    mean, _rate, latent, _covariance, frozen = route.solve(18)
    at = slice(None, None, (points - 1) // 2)
    return [mean[:, at], latent[:, at], frozen[:, 0, at, at]]


def test_a_continuous_transient_comes_out_of_dense_matrices():
    parts = [transient_by_matrices(points) for points in (11, 21, 41)]
    first = [[(4 * b - a) / 3 for a, b in zip(*pair, strict=True)] for pair in itertools.pairwise(parts)]
    mean, latent, frozen = ((16 * b - a) / 15 for a, b in zip(*first, strict=True))
    found = ln.solve_limit(transient(), [0.0, 1.0, 2.0], rtol=1e-8, lags=0)
    assert found["mean"].values == pytest.approx(mean, abs=2e-6)
    assert found["latent"].values == pytest.approx(latent, abs=2e-6)
    assert found["frozen_covariance"].values[:, 0] == pytest.approx(frozen, abs=1e-5)


@pytest.mark.parametrize(
    "ring",
    [
        ln.RateNetwork(),
        ln.RateNetwork(kernel=ln.TableKernel(), activation="tanh"),
        ln.RateNetwork(kernel=ln.SeparableKernel(1.5, -0.5, 0.4), gamma=0.2),
        ln.RateNetwork.diffusion(),
    ],
    ids=["separable", "table", "negative", "continuous"],
)
def test_one_population_is_the_ring(ring):
    times = np.arange(6.0)
    one, two = ln.solve_limit(ring, times, lags=3), ln.solve_limit(ring.as_populations(), times, lags=3)
    for name in ("mean", "covariance", "frozen_covariance"):
        assert two[name].values[0] == pytest.approx(one[name].values, abs=1e-8), name


def test_one_population_of_the_long_run_is_the_ring():
    found = ln.solve_limit(ln.RateNetwork().as_populations(), np.arange(9.0)).isel(time=-1, time_=-1, lag=0)
    assert float(found["covariance"][0]) == pytest.approx(13.9875341048, abs=2e-7)
    assert float(found["frozen_covariance"][0]) == pytest.approx(13.241334, abs=1e-6)


def test_the_geometric_sum_over_lags_is_the_sum():
    kernels = ((ln.SeparableKernel(1.0, 0.5, 0.4), ln.SeparableKernel(0.7, 0.5, 0.4)),) * 2
    closed = BLOCKS.replace(kernels=kernels)
    assert fields_of(kernels).sources[0].pair == (0.4, 0.5)
    nearly = ((kernels[0][0], ln.SeparableKernel(0.7, 0.5 + 1e-12, 0.4)),) * 2
    assert fields_of(nearly).sources[0].pair is None
    one, two = (ln.solve_limit(m, np.arange(6.0)) for m in (closed, BLOCKS.replace(kernels=nearly)))
    assert two["covariance"].values == pytest.approx(one["covariance"].values, abs=1e-8)


def test_a_table_beside_a_separable_kernel_is_their_sum_over_lags():
    table = np.zeros((27, 27))
    lags = np.abs(np.arange(-13, 14))
    table[:] = 0.8 * 0.1 ** lags[:, None] * 0.1**lags
    kernels = [list(row) for row in BLOCKS.kernels]
    kernels[0][1] = ln.SeparableKernel(0.8, 0.1, 0.1)
    one = ln.solve_limit(BLOCKS.replace(kernels=tuple(map(tuple, kernels))), np.arange(5.0))
    kernels[0][1] = ln.TableKernel(table)
    two = ln.solve_limit(BLOCKS.replace(kernels=tuple(map(tuple, kernels))), np.arange(5.0))
    assert two["covariance"].values == pytest.approx(one["covariance"].values, abs=1e-8)


def test_identical_populations_are_one():
    one = ln.RatePopulations.rank_one().replace(noise=0.3)
    low_rank = ln.LowRank(((2.3,), (2.3,)), ((1.0,), (1.0,)))
    two = ln.RatePopulations(
        fractions=(0.3, 0.7), tau=1.0, mean_weight=np.zeros((2, 2)), weight_variance=((1.2, 2.8), (1.2, 2.8)),
        low_rank=low_rank, threshold_mean=0.0, threshold_variance=0.0, initial_mean=1.0, noise=0.3,
    )  # fmt: skip
    a, b = (ln.solve_limit(model, [0.0, 1.0, 3.0], rtol=1e-6) for model in (one, two))
    assert b["latent"].values == pytest.approx(a["latent"].values, abs=1e-5)
    assert b["covariance"].values[1] == pytest.approx(a["covariance"].values[0], abs=1e-5)


def test_the_variance_of_the_right_loadings_does_not_enter():
    model = transient()
    low_rank = ln.LowRank(
        model.low_rank.left_mean, model.low_rank.right_mean,
        (((0.4, 0.2), (0.2, 5.0)), ((0.3, -0.1), (-0.1, 9.0))),
    )  # fmt: skip
    a, b = (ln.solve_limit(m, [0.0, 1.0], rtol=1e-5) for m in (model, model.replace(low_rank=low_rank)))
    assert np.array_equal(a["mean"].values, b["mean"].values)
    assert np.array_equal(a["covariance"].values, b["covariance"].values)


def test_a_pattern_of_one_value_is_a_common_input():
    signal = ln.TimeSeries(np.linspace(0, 2, 21), np.sin(np.linspace(0, 2, 21))[:, None])
    base = ln.RatePopulations.rank_one()
    patterns = ln.Patterns(mean=((0.6,),), signals=signal)
    common = ln.TimeSeries(signal.times, 0.6 * signal.values)
    a = ln.solve_limit(base.replace(patterns=patterns), [0.0, 1.0, 2.0], rtol=1e-5)
    b = ln.solve_limit(base.replace(input=common), [0.0, 1.0, 2.0], rtol=1e-5)
    assert a["mean"].values == pytest.approx(b["mean"].values, abs=1e-9)


def test_a_pattern_correlated_with_the_loadings_and_a_constant_signal_is_a_threshold():
    low_rank = ln.LowRank(((1.0,),), ((0.8,),), (((0.4, 0.1), (0.1, 0.5)),))
    base = ln.RatePopulations.rank_one().replace(low_rank=low_rank)
    patterns = ln.Patterns(((0.6,),), (((0.3,),),), (((0.2, 0.1, 0.0),),), ln.TimeSeries((0.0,), ((1.0,),)))
    a = ln.solve_limit(base.replace(patterns=patterns), [0.0, 1.0, 2.0], rtol=1e-5)
    threshold = base.replace(threshold_mean=0.6, threshold_variance=0.3, threshold_covariance=((0.2, 0.1),))
    b = ln.solve_limit(threshold, [0.0, 1.0, 2.0], rtol=1e-5)
    for name in ("mean", "latent", "covariance", "frozen_covariance"):
        assert a[name].values == pytest.approx(b[name].values, abs=1e-9), name


def test_a_limit_without_bounds_is_refused():
    with pytest.raises(ln.LimitError, match="grows without bound"):
        ln.solve_limit(BLOCKS.replace(activation="linear", gain=1e20), np.arange(9.0))


@pytest.mark.parametrize(
    ("model", "times", "options", "apart"),
    [
        (BLOCKS, np.arange(9.0), {"lags": 2}, 1e-11),
        (transient(), np.linspace(0.0, 2.0, 5), {"lags": 0, "rtol": 1e-6, "atol": 1e-8}, 1e-7),
    ],
    ids=["discrete", "continuous"],
)
def test_recursion_and_fixed_point_agree(model, times, options, apart):
    one = ln.solve_limit(model, times, **options)
    two = ln.solve_limit(model, times, method="fixed_point", **options)
    assert (one.attrs["method"], two.attrs["method"]) == ("forward recursion", "fixed point")
    for name, variable in one.data_vars.items():
        np.testing.assert_allclose(two[name].values, variable.values, rtol=0, atol=apart, err_msg=name)
    changes = two.attrs["sweep_changes"]
    assert two.attrs["sweeps"] == len(changes)
    if model is BLOCKS:
        assert len(changes) == 8
    else:
        assert np.all(np.diff(changes[3:]) < 0.0)


@pytest.mark.parametrize("system", [ln.RatePopulations, ln.RateNetwork])
@pytest.mark.parametrize("n", [None, 60])
def test_a_wrong_method_of_the_limit_is_refused(system, n):
    with pytest.raises(ln.InputError, match="Argument `method` must be"):
        ln.solve_limit(system(), np.arange(3.0), n=n, method="picard")
