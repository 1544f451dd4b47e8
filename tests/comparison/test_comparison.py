"""compare(): its labels, its power, its causes and its refusals, on a system with known answers."""

import itertools
import tracemalloc

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import largen as ln
from largen.comparison.samples import STRETCHES
from statistics_tools import assert_at_most
from toy import Toy

TIMES = np.arange(0.0, 3.0, 0.25)


def cases(model, count, realisations, n=200):
    """Yield networks of a few realisations each, cut from one simulation."""
    whole = ln.simulate(model, TIMES, n=n, realisations=count * realisations, seed=3)
    for k in range(count):
        yield whole.isel(realisation=slice(k * realisations, (k + 1) * realisations))


@pytest.mark.long
@pytest.mark.parametrize("realisations", [2, 4, 16])
def test_a_difference_of_exactly_the_tolerance_gets_no_label_in_nineteen_tables_of_twenty(realisations):
    # The time mean of each population is off by its tolerance: a false label in at most 5 % of tables (1e-6).
    model = Toy(start=(1.0, 1.0), tau=(1.0, 1.0), noise=0.05)
    limit = ln.solve_limit(model, TIMES)
    off = (limit + 0.1).assign_attrs(limit.attrs)
    false = 0
    for network in cases(model, 500, realisations):
        found = ln.compare(network, off, tolerance=0.1, scale={"mean": 1.0, "second": 1.0})
        means = ~found["component"].str.contains("in time").values
        false += bool(np.any(found["label"].values[means] != "undecided"))
    assert_at_most(false, 500, 0.05)


def test_an_injected_bias_is_beyond_tolerance_and_its_cause_is_not_separated():
    model = Toy(noise=0.01)
    wrong = ln.solve_limit(model.replace(**{"start[a]": 1.1}), TIMES)
    network = ln.simulate(model, TIMES, n=200, realisations=16, seed=1)
    report = ln.compare(network, wrong, strict=False)
    row = report.sel(component="mean[a]")
    assert row["label"] == "beyond tolerance"
    assert row["cause"] == "cause not separated"
    assert report.attrs["verdict"] == "beyond tolerance, cause not separated"
    assert "mean[a] is 9" in report.attrs["headline"] or "second[a] is 9" in report.attrs["headline"]
    assert "lower in the network than in the limit (tolerance 5 %)" in report.attrs["headline"]


def test_finite_size_is_told_from_a_wrong_theory():
    model = Toy(bias=40.0, noise=0.001)
    network = ln.simulate(model, TIMES, n=200, realisations=16, seed=1)
    limit, finite = ln.solve_limit(model, TIMES), ln.solve_limit(model, TIMES, n=200)
    assert ln.compare(network, limit).attrs["verdict"] == "beyond tolerance, cause not separated"
    found = ln.compare(network, limit, finite=finite)
    assert found.attrs["verdict"] == "finite-size effect"
    assert "a finite-size effect, the theory of 200 neurons predicts" in found.attrs["headline"]
    assert float(found["finite_share"].sel(component="mean[a]")) == pytest.approx(1.0, abs=0.15)
    assert ln.compare(network, finite).attrs["verdict"] == "within tolerance"
    wrong = ln.solve_limit(model.replace(bias=60.0), TIMES, n=200)
    assert ln.compare(network, limit, finite=wrong, strict=False).attrs["verdict"] == "theory differs"
    assert ln.compare(network, wrong, strict=False).attrs["verdict"] == "theory differs"
    row = ln.compare(network, limit).sel(component="mean[b]")
    assert abs(float(row["difference"]) - 40 / 200) < 0.02


def test_a_theory_of_this_size_that_differs_is_seen_behind_a_row_within_tolerance():
    model = Toy(noise=0.001)
    network = ln.simulate(model, TIMES, n=200, realisations=16, seed=1)
    limit = ln.solve_limit(model, TIMES)
    finite = ln.solve_limit(model, TIMES, n=200)
    finite["mean"] = finite["mean"] + 0.3 * (finite["population"] == "a")
    report = ln.compare(network, limit, finite=finite)
    row = report.sel(component="mean[a]")
    assert (row["label"].item(), row["cause"].item()) == ("within tolerance", "theory differs")
    assert report.attrs["verdict"] == "theory differs"
    assert "than in the theory of 200 neurons" in report.attrs["headline"]


def test_a_difference_in_time_only_is_a_row_of_its_own():
    model = Toy(noise=0.001)
    network = ln.simulate(model, TIMES, n=200, realisations=16, seed=1)
    theory = ln.solve_limit(model, TIMES, n=200)
    wave = xr.DataArray(np.repeat([0.2, -0.2], len(TIMES) // 2), dims="time")
    theory["mean"] = theory["mean"] + wave * (theory["population"] == "b")
    report = ln.compare(network, theory)
    assert report["label"].sel(component="mean[b]") == "within tolerance"
    assert report["label"].sel(component="mean, in time") == "beyond tolerance"
    assert report["label"].sel(component="second, in time") == "within tolerance"
    assert "mean runs" in report.attrs["headline"]


def test_too_little_data_is_undecided_and_says_how_much_would_do():
    model = Toy(noise=100.0)
    network = ln.simulate(model, TIMES, n=20, realisations=8, seed=1)
    report = ln.compare(network, ln.solve_limit(model, TIMES))
    assert report.attrs["verdict"] == "undecided"
    assert float(report["needed"].max()) > 1000
    assert float(report["needed"].min()) > 8


def test_one_realisation_has_the_right_error_from_blocks_of_time():
    # From the stationary state the variance of a time mean of an OU process is known: 2 tau noise/(n_a T).
    model = Toy(start=(0.0, 0.0), tau=(0.05, 0.05))
    times = np.arange(0.0, 200.0, 0.05)
    limit = ln.solve_limit(model, times)
    scale = {"mean": 1.0, "second": 1.0}
    reports = [ln.compare(ln.simulate(model, times, n=20, seed=seed), limit, scale=scale) for seed in range(20)]
    assert reports[0].attrs["method"] == "one realisation, errors from 8 groups of its times, each left out in turn"
    assert "this one network" in reports[0].attrs["assumptions"]
    rho = np.exp(-1.0)
    exact = np.sqrt((1 + rho) / (1 - rho) / 10 / len(times))
    errors = np.concatenate([r["standard_error"].values for r in reports])
    assert np.sqrt(np.mean(errors**2)) / exact == pytest.approx(1.0, abs=0.25)  # 80 of 7 degrees of freedom: 6 %
    z = np.concatenate([(r["difference"] / r["standard_error"]).values for r in reports])
    assert stats.kstest(z, stats.t(7).cdf).pvalue > 1e-6


def test_one_realisation_that_is_too_short_is_undecided_with_how_much_longer_it_must_be():
    model = Toy(tau=(100.0, 100.0), start=(1.0, 1.0))
    report = ln.compare(ln.simulate(model, TIMES, n=20, seed=1), ln.solve_limit(model, TIMES))
    assert report.attrs["verdict"] == "undecided"
    assert np.isnan(report["standard_error"].values).all()
    assert np.all(report["needed"].values > 1)
    assert report.attrs["method"] == "one realisation, too short for an error"


def test_a_sampled_theory_brings_its_own_error():
    model = Toy()
    network = ln.simulate(model, TIMES, n=200, realisations=16, seed=1)
    sample = ln.simulate(model, TIMES, n=200, realisations=16, seed=2).assign_attrs(kind="limit")
    alone = ln.compare(network, ln.solve_limit(model, TIMES))["standard_error"]
    both = ln.compare(network, sample)["standard_error"]
    assert float((both / alone).mean()) == pytest.approx(np.sqrt(2), rel=0.25)


def test_two_networks_are_compared_as_two_samples():
    model = Toy(noise=0.001)
    one = ln.simulate(model, TIMES, n=200, realisations=12, seed=1)
    two = ln.simulate(model.replace(bias=30.0), TIMES, n=200, realisations=7, seed=2)
    report = ln.compare(one, two, strict=False)
    assert report.attrs["verdict"] == "beyond tolerance"
    assert "in the network than in the second network" in report.attrs["headline"]
    row = report.sel(component="mean[a]")
    x, y = (part["mean"].sel(population="a").mean("time").values for part in (one, two))
    low, high = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
    assert [float(row["ci_low"]), float(row["ci_high"])] == pytest.approx([low, high], abs=1e-12)
    same = ln.compare(one, ln.simulate(model, TIMES, n=200, realisations=7, seed=3))
    assert same.attrs["verdict"] == "within tolerance"
    assert same.attrs["headline"].startswith("12 networks of 200 neurons and the second network do not differ")
    assert same.attrs["theory_realisations"] == 7


def test_tolerances_and_scales_may_be_given_for_all_rows_or_by_name():
    model = Toy(noise=0.01)
    network, limit = ln.simulate(model, TIMES, n=100, realisations=6), ln.solve_limit(model, TIMES)
    report = ln.compare(network, limit, tolerance={"mean": 0.02, "second, in time": 0.5}, scale={"second": 2.0})
    share = dict(zip(report["component"].values, report["tolerance"].values, strict=True))
    assert (share["mean[a]"], share["mean, in time"]) == (0.02, 0.04)
    assert (share["second[a]"], share["second, in time"]) == (0.05, 0.5)
    assert float(report["scale"].sel(component="second[b]")) == 2.0
    everywhere = ln.compare(network, limit, tolerance=0.2)["tolerance"].values
    assert sorted(set(everywhere.tolist())) == [0.2, 0.4]
    for tolerance, message in (
        (0.0, "must be greater than 0"),
        ({"mean": -1}, r"tolerance\[mean\]"),
        ({"maen": 0.1}, "mean"),
        ("wide", "tolerance"),
    ):
        with pytest.raises(ln.InputError, match=message):
            ln.compare(network, limit, tolerance=tolerance)


def test_a_theory_of_zero_needs_a_scale_and_what_is_zero_on_both_sides_is_left_out():
    model = Toy(noise=0.01)
    network, limit = ln.simulate(model, TIMES, n=100, realisations=6), ln.solve_limit(model, TIMES)
    nothing = limit.assign(second=0 * limit["second"])
    with pytest.raises(ln.InputError, match=r'no natural scale .* scale=\{"second": 1.0\}'):
        ln.compare(network, nothing)
    found = ln.compare(network, nothing, scale={"second": 1.0})
    assert found["label"].sel(component="second[a]") == "beyond tolerance"
    both = ln.compare(network.assign(second=0 * network["second"]), nothing)
    assert both.attrs["not_compared"] == "second (0 on both sides)"
    assert "second[a]" not in both["component"].values
    silent = (0 * network).assign_attrs(network.attrs)
    nothing_at_all = ln.compare(silent, (0 * limit).assign_attrs(limit.attrs))
    assert nothing_at_all.attrs["verdict"] == "within tolerance"
    assert nothing_at_all.attrs["headline"] == "the network and the limit are both 0 throughout."
    half = limit.copy(deep=True)
    half["second"].loc[{"population": "a"}] = 0.0
    row = ln.compare(network, half).sel(component="second[a]")
    assert float(row["scale"]) == pytest.approx(float(abs(limit["second"].sel(population="b").mean())))


def test_equal_values_by_chance_are_no_certainty():
    model = Toy(noise=0.0)
    network, limit = ln.simulate(model, TIMES, n=100, realisations=3), ln.solve_limit(model, TIMES)
    same = ln.compare(network, limit)  # every series is the same in all realisations: the difference is exact
    assert same.attrs["verdict"] == "within tolerance"
    wave = np.zeros((3, 1, len(TIMES)))
    wave[:, :, 1], wave[:, :, 2] = [[0.1], [0.2], [0.3]], [[-0.1], [-0.2], [-0.3]]
    exact = xr.zeros_like(network["mean"]).round() + wave  # other series with equal time means
    found = ln.compare(network.assign(mean=exact), limit.assign(mean=0 * limit["mean"] + 1.0))
    assert np.isnan(found["standard_error"].sel(component="mean[a]"))
    assert found["label"].sel(component="mean[a]") == "undecided"


def test_the_course_is_cut_at_rounded_edges():
    model = Toy(noise=0.01)
    network, limit = ln.simulate(model, TIMES, n=100, realisations=6), ln.solve_limit(model, TIMES)
    report = ln.compare(network, limit).sel(component="mean, in time")
    edges = np.round(np.linspace(0, len(TIMES), STRETCHES + 1)).astype(int)
    away = (network["mean"] - limit["mean"]).transpose("realisation", "population", "time").values
    cells = [away[..., a:b].mean(-1) - away.mean(-1) for a, b in itertools.pairwise(edges)]
    values = np.stack(cells, -1).mean(0) / abs(limit["mean"].mean("time").values)[:, None]
    worst = values.ravel()[np.argmax(np.abs(values))]
    assert float(report["difference"] / report["scale"]) == pytest.approx(worst, rel=1e-12)


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
        (lambda d: d.assign_attrs(kind="network"), "`limit` must have the dim `realisation`"),
        (lambda d: d.assign_attrs(kind="fit"), "`limit` must be what `solve_limit`"),
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
    report = ln.compare(network, cut)
    mean = network["mean"].isel(time=slice(0, 5)).mean(("realisation", "time")).values
    assert report["network"].values[:2] == pytest.approx(mean)


@pytest.fixture(scope="module")
def pair():
    model = Toy(noise=0.01)
    return ln.simulate(model, TIMES, n=100, realisations=6), ln.solve_limit(model, TIMES)


SELECTIONS = {
    "populations turned": lambda d: d.sel(population=["b", "a"]),
    "sorted by label": lambda d: d.sortby("population", ascending=False),
    "dims turned": lambda d: d.transpose(),
}


@pytest.mark.parametrize("kind", list(SELECTIONS))
def test_a_selection_is_compared_by_its_labels_to_the_last_bit(pair, kind):
    network, limit = pair
    whole, part = ln.compare(network, limit), ln.compare(SELECTIONS[kind](network), limit)
    xr.testing.assert_identical(part.sortby("component").drop_attrs(), whole.sortby("component").drop_attrs())
    turned = ln.compare(network, SELECTIONS[kind](limit))
    xr.testing.assert_identical(turned, whole)


def test_fewer_populations_are_compared_where_both_sides_have_the_same(pair):
    network, limit = pair
    whole, part = ln.compare(network, limit), ln.compare(network.sel(population=["b"]), limit.sel(population=["b"]))
    assert part["difference"].sel(component="mean[b]") == whole["difference"].sel(component="mean[b]")
    for one, two in ((network.sel(population=["b"]), limit), (network, limit.sel(population=["b"]))):
        with pytest.raises(ln.InputError, match=r"labels along `population`, .*but has .*Select the same ones"):
            ln.compare(one, two)


def test_one_realisation_and_one_population_may_be_selected_by_number(pair):
    network, limit = pair
    one = ln.compare(network.isel(realisation=0), limit)
    xr.testing.assert_identical(one, ln.compare(network.isel(realisation=[0]), limit))
    alone = ln.compare(network.sel(population="b"), limit.sel(population="b"))
    whole = ln.compare(network.sel(population=["b"]), limit.sel(population=["b"]))
    assert alone["difference"].values.tolist() == whole["difference"].values.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n, l: (n, l.sel(population=["a"])), "must have the network's labels along `population`"),
        (lambda n, l: (n.sel(population=["a"]), l.sel(population=["b"])), "labels along `population`"),
        (lambda n, l: (n.drop_vars("population"), l), "with its labels in both"),
        (lambda n, l: (n.drop_vars("population").isel(population=[0]), l), "with its labels in both"),
        (lambda n, l: (n.mean("realisation", keep_attrs=True), l), "must have the dim `realisation`"),
        (lambda n, l: (n.isel(realisation=[]), l), "must have entries along `realisation`"),
        (lambda n, l: (n.isel(population=[]), l), "labels along `population`"),
        (lambda n, l: (n.isel(population=[]), l.isel(population=[])), "must have entries in `mean`"),
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
    part = ln.compare(network.sel(lag=[0, 1]), limit.sel(lag=[0, 1])).sel(component="covariance[1]")
    assert float(part["theory"]) == float(whole["theory"].sel(component="covariance[1]"))
    with pytest.raises(ln.InputError, match="no natural scale for a difference in `mean`"):
        ln.compare(network.sel(lag=[1]), limit.sel(lag=[1]))


def test_one_realisation_of_many_times_needs_little_memory(monkeypatch):
    """The weights with which a theory of fluctuations is asked are made only where there is one."""
    times = np.arange(0.0, 300.0, 0.1)
    model = ln.SpikingNetwork(size=(30, 10))
    network, limit = ln.simulate(model, times), ln.solve_limit(model, times, bin_width=25.0)
    tracemalloc.start()
    ln.compare(network, limit)
    assert tracemalloc.get_traced_memory()[1] < 1e8  # 1.1 GB of weights otherwise
    tracemalloc.stop()
