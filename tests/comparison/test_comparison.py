"""compare(): its level, its power, its verdicts and its refusals, on a system with known answers."""

import tracemalloc

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import largen as ln
from largen.comparison.report import Verdict
from statistics_tools import assert_frequency
from toy import Toy

TIMES = np.arange(0.0, 3.0, 0.25)


def cases(model, count, realisations, n=200):
    """Yield networks of a few realisations each, cut from one simulation."""
    whole = ln.simulate(model, TIMES, n=n, realisations=count * realisations, seed=3)
    for k in range(count):
        yield whole.isel(realisation=slice(k * realisations, (k + 1) * realisations))


@pytest.mark.long
def test_the_truth_is_accepted_at_the_stated_level():
    # 2000 cases with a known answer, two independent observables: Holm's level is exactly 5 % there up to
    # 0.0006; the count must lie in the binomial 95 % interval, widened to a false alarm of 1e-6 for the seed.
    model = Toy()
    limit = ln.solve_limit(model, TIMES)
    rejected = sum(bool((ln.compare(network, limit)["p_adjusted"] < 0.05).any()) for network in cases(model, 2000, 8))
    low, high = stats.binom.interval(0.95, 2000, 1 - (1 - 0.025) ** 2)
    assert low <= rejected <= high


def test_an_injected_bias_is_rejected():
    model = Toy(noise=0.01)
    wrong = ln.solve_limit(model.replace(**{"start[a]": 1.1}), TIMES)
    network = ln.simulate(model, TIMES, n=200, realisations=16, seed=1)
    report = ln.compare(network, wrong, strict=False)
    assert report["verdict"].sel(observable="mean") == Verdict.NOT_SEPARATED
    assert abs(report["z"].sel(component="mean[a]")) > 10


def test_finite_size_is_told_from_a_wrong_theory():
    model = Toy(bias=40.0, noise=0.01)
    network = ln.simulate(model, TIMES, n=200, realisations=16, seed=1)
    limit, finite = ln.solve_limit(model, TIMES), ln.solve_limit(model, TIMES, n=200)
    assert ln.compare(network, limit).attrs["verdict"] == Verdict.NOT_SEPARATED
    assert ln.compare(network, limit, finite=finite).attrs["verdict"] == Verdict.FINITE_SIZE
    assert ln.compare(network, finite).attrs["verdict"] == Verdict.AGREES
    wrong = ln.solve_limit(model.replace(bias=60.0), TIMES, n=200)
    assert ln.compare(network, limit, finite=wrong, strict=False).attrs["verdict"] == Verdict.THEORY_OFF
    bias = ln.compare(network, limit)["bias"].sel(component="mean[b]")
    assert abs(bias - 40 / 200) < 0.02


def test_the_sentence_quotes_the_component_that_its_verdict_is_about():
    model = Toy(bias=40.0, noise=0.01)
    network = ln.simulate(model, TIMES, n=200, realisations=16, seed=1)
    limit, finite = ln.solve_limit(model, TIMES), ln.solve_limit(model, TIMES, n=200)
    limit["mean"].loc[{"population": "b"}] += 1.0  # the largest difference, which the theory at this n explains
    finite["mean"].loc[{"population": "a"}] += 0.05  # a small one, which it does not
    report = ln.compare(network, limit, finite=finite).sel(observable="mean")
    row = ln.compare(network, limit, finite=finite).sel(component="mean[a]")
    assert report["verdict"] == Verdict.THEORY_OFF
    sentence = str(report["sentence"].item())
    assert "theory off; largest for mean[a], network - limit" in sentence
    assert f"network - theory at this n = {float(row['finite_bias']):+.3g}" in sentence
    assert abs(float(row["finite_z"])) > 5
    found = ln.compare(network, limit).sel(observable="mean")  # without that theory the limit is what differs
    assert "largest for mean[b]" in str(found["sentence"].item())


def test_a_difference_in_time_only_is_said_to_be_one():
    model = Toy(noise=0.01)
    network = ln.simulate(model, TIMES, n=200, realisations=16, seed=1)
    wave = np.zeros(len(TIMES))
    wave[[3, 8]] = 0.1, -0.1
    theory = ln.solve_limit(model, TIMES, n=200)
    away = (network["mean"].mean("realisation") - theory["mean"]).mean("time")
    theory["mean"] = theory["mean"] + away  # the time means agree to the last digit
    theory["mean"].loc[{"population": "b"}] += wave
    report = ln.compare(network, theory)
    assert abs(float(report["z"].sel(component="mean[b]"))) < 3
    sentence = str(report["sentence"].sel(observable="mean").item())
    start = "mean: theory off in its course over time, not in its time mean; largest for mean[b] at "
    assert sentence.startswith(start)
    assert float(sentence.removeprefix(start).split(",")[0]) in TIMES[[3, 8]]


def test_too_little_data_is_said_to_be_too_little():
    model = Toy(noise=100.0)
    network = ln.simulate(model, TIMES, n=20, realisations=8, seed=1)
    assert ln.compare(network, ln.solve_limit(model, TIMES)).attrs["verdict"] == Verdict.TOO_SHORT


def test_one_realisation_uses_a_block_bootstrap_with_the_right_error():
    # From the stationary state the variance of a time mean of an OU process is known: 2 tau noise/(n_a T).
    model = Toy(start=(0.0, 0.0), tau=(0.05, 0.05))
    times = np.arange(0.0, 200.0, 0.05)
    limit = ln.solve_limit(model, times)
    reports = [ln.compare(ln.simulate(model, times, n=20, seed=seed), limit) for seed in range(20)]
    assert reports[0].attrs["error"] == "block bootstrap along time, 20 blocks"
    rho = np.exp(-1.0)
    exact = np.sqrt((1 + rho) / (1 - rho) / 10 / len(times))
    ratio = np.mean([r["standard_error"].values.mean() for r in reports]) / exact
    assert 0.93 < ratio < 1.07  # 80 estimates of 29 degrees of freedom each: 1.5 % standard error, 2 % known bias
    z = np.concatenate([r["z"].values for r in reports])
    assert stats.kstest(z, stats.t(28.5).cdf).pvalue > 1e-6


@pytest.mark.parametrize(
    "realisations", [pytest.param(2, marks=pytest.mark.long), 3, pytest.param(6, marks=pytest.mark.long)]
)
def test_few_realisations_keep_the_level(realisations):
    # 400 cases; the level is exact for Gaussian data whatever the correlations along time.
    model = Toy(tau=(3.0, 3.0))
    limit = ln.solve_limit(model, TIMES)
    rejected = sum(
        bool(ln.compare(network, limit)["p_value"].sel(observable="mean") < 0.05)
        for network in cases(model, 400, realisations)
    )
    assert_frequency(rejected, 400, 0.05)


def test_one_short_realisation_is_too_short_to_tell():
    model = Toy(tau=(100.0, 100.0), start=(1.0, 1.0))
    report = ln.compare(ln.simulate(model, TIMES, n=20, seed=1), ln.solve_limit(model, TIMES))
    assert report.attrs["verdict"] == Verdict.TOO_SHORT
    assert float(report["p_value"].min()) == 1.0


def test_a_sampled_theory_brings_its_own_error():
    model = Toy()
    network = ln.simulate(model, TIMES, n=200, realisations=16, seed=1)
    sample = ln.simulate(model, TIMES, n=200, realisations=16, seed=2).assign_attrs(kind="limit")
    alone = ln.compare(network, ln.solve_limit(model, TIMES))["standard_error"]
    both = ln.compare(network, sample)["standard_error"]
    assert float((both / alone).mean()) == pytest.approx(np.sqrt(2), rel=0.25)


def test_the_boundary_layer_is_left_out():
    model = Toy()
    network = ln.simulate(model, TIMES, n=100, realisations=8)
    limit = ln.solve_limit(model, TIMES).assign_attrs(layer=7.0)
    assert ln.compare(network, limit).attrs["from_time"] == 0.75
    with pytest.raises(ln.InputError, match="give times beyond"):
        ln.compare(network, limit.assign_attrs(layer=70.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.assign_attrs(system="other"), "same systems"),
        (lambda d: d.assign_attrs(parameters='{"start": 2}'), "same parameters, but differ in `start`"),
        (lambda d: d.isel(time=slice(1, None)), "share their times"),
        (lambda d: d.assign_attrs(n=50), "the network has n = 100"),
        (lambda d: d.drop_vars(["mean", "second"]), "no observable in common"),
        (lambda d: d.assign_attrs(kind="network"), "`limit` must be what `solve_limit` returned"),
    ],
)
def test_refusals(change, message):
    model = Toy()
    network = ln.simulate(model, TIMES, n=100, realisations=4)
    with pytest.raises(ln.InputError, match=message):
        ln.compare(network, change(ln.solve_limit(model, TIMES)))


def test_a_limit_cut_short_is_compared_up_to_there():
    model = Toy()
    network = ln.simulate(model, TIMES, n=100, realisations=8)
    with pytest.raises(ln.LimitError, match="lost at t = 1") as caught:
        ln.solve_limit(model, TIMES, stop=1.0)
    assert caught.value.t == 1.0
    assert caught.value.partial is not None
    cut = ln.solve_limit(model, TIMES, stop=1.0, strict=False)
    assert cut.sizes["time"] == 5
    assert ln.compare(network, cut).sizes["time"] == 5


@pytest.fixture(scope="module")
def pair():
    model = Toy(noise=0.01)
    return ln.simulate(model, TIMES, n=100, realisations=6), ln.solve_limit(model, TIMES)


SELECTIONS = {
    "populations turned": lambda d: d.sel(population=["b", "a"]),
    "one population": lambda d: d.sel(population=["b"]),
    "dims turned": lambda d: d.transpose(),
    "realisations turned": lambda d: d.isel(realisation=slice(None, None, -1)),
}


@pytest.mark.parametrize("kind", list(SELECTIONS))
def test_a_selection_is_compared_by_its_labels(pair, kind):
    network, limit = pair
    whole, part = ln.compare(network, limit), ln.compare(SELECTIONS[kind](network), limit)
    assert set(part["component"].values) <= set(whole["component"].values)
    for name in part["component"].values:
        for key in ("network", "limit", "bias", "z"):
            assert float(part[key].sel(component=name)) == pytest.approx(float(whole[key].sel(component=name)))
    turned = ln.compare(network, limit.sel(population=["b", "a"]).transpose())
    xr.testing.assert_allclose(turned, whole)


def test_one_realisation_and_one_population_may_be_selected_by_number(pair):
    network, limit = pair
    one = ln.compare(network.isel(realisation=0), limit)
    xr.testing.assert_identical(one, ln.compare(network.isel(realisation=[0]), limit))
    alone = ln.compare(network.sel(population="b"), limit)
    whole = ln.compare(network.sel(population=["b"]), limit)
    assert alone["z"].values.tolist() == whole["z"].values.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n, l: (n, l.sel(population=["a"])), "must have the network's labels along `population`"),
        (lambda n, l: (n.sel(population=["a"]), l.sel(population=["b"])), "labels along `population`"),
        (lambda n, l: (n.drop_vars("population"), l), "with its labels in both"),
        (lambda n, l: (n.drop_vars("population").isel(population=[0]), l), "with its labels in both"),
        (lambda n, l: (n.mean("realisation", keep_attrs=True), l), "must have the dim `realisation`"),
        (lambda n, l: (n.isel(realisation=[]), l), "must have entries along `realisation`"),
        (lambda n, l: (n.isel(population=[]), l), "must have entries in `mean`"),
        (lambda n, l: (n.isel(time=0), l), "must have the dim `time`"),
        (lambda n, l: (n.isel(time=slice(None, None, -1)), l), "must share their times"),
        (lambda n, l: (n.where(n["mean"] > 0), l), "must have finite values in `mean`"),
        (lambda n, l: (n.astype(str), l), "must have numbers in `mean`"),
        (lambda n, l: (n.assign_attrs(n="many"), l), "a number of neurons"),
        (lambda n, l: (n.assign_attrs(parameters="?"), l), "must be of the same parameters"),
        (lambda n, l: (n["mean"], l), "`network` must be a Dataset, but is a DataArray"),
        (
            lambda n, l: ("network.nc", l),
            r"`network` must be a Dataset, but is 'network.nc'. Open a file with largen.load",
        ),
        (lambda n, l: (n, None), "`limit` must be a Dataset, but is None"),
        (lambda n, l: (xr.Dataset({"mean": 1.0}), l), "`network` must be what `simulate` returned"),
        (lambda n, l: (xr.Dataset(attrs={"kind": "network"}), l), "must have the dim `time`"),
    ],
)
def test_what_cannot_be_aligned_is_refused(pair, change, message):
    network, limit = change(*pair)
    with pytest.raises(ln.InputError, match=message):
        ln.compare(network, limit)


def test_lags_are_compared_by_label():
    model, times = ln.RateNetwork(), np.arange(4.0)
    network, limit = ln.simulate(model, times, n=100, realisations=3), ln.solve_limit(model, times)
    whole = ln.compare(network, limit)
    turned = ln.compare(network.isel(lag=[2, 0, 1]), limit.isel(lag=[1, 0, 2]))
    xr.testing.assert_allclose(turned, whole)
    part = ln.compare(network.sel(lag=[1]), limit).sel(component="covariance[1]")
    assert float(part["limit"]) == float(whole["limit"].sel(component="covariance[1]"))


def test_one_realisation_of_many_times_needs_little_memory(monkeypatch):
    """The weights with which a theory of fluctuations is asked are made only where there is one."""
    times = np.arange(0.0, 300.0, 0.1)
    model = ln.SpikingNetwork(size=(30, 10))
    network, limit = ln.simulate(model, times), ln.solve_limit(model, times, bin_width=25.0)
    tracemalloc.start()
    ln.compare(network, limit)
    assert tracemalloc.get_traced_memory()[1] < 1e8  # 1.1 GB of weights otherwise
    tracemalloc.stop()
