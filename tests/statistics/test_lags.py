"""Correlation against lag, autocorrelation time, the chaotic variance; and their pictures."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import largen as ln
from largen import analysis, plot

TIMES = np.arange(9.0)
STILL = {"mean_weight": 0.0, "threshold_mean": 0.0, "threshold_variance": 0.0}


@pytest.fixture(scope="module")
def run():
    model = ln.RateNetwork()
    return ln.simulate(model, TIMES, n=500, realisations=8, seed=1), ln.solve_limit(model, TIMES)


def test_correlations_split_into_frozen_and_dynamic(run):
    network, limit = (analysis.correlation_against_lag(dataset) for dataset in run)
    assert float(limit["correlation"][0]) == 1.0
    np.testing.assert_allclose(limit["frozen"] + limit["dynamic"], limit["correlation"], atol=1e-15)
    # the source's numbers at T = 8, lag 1: 5.6339700649 of 5.7611249292
    np.testing.assert_allclose(limit["correlation"][1], 5.7611249292 / 13.9875341048, rtol=1e-9)
    np.testing.assert_allclose(limit["frozen"][1] / limit["correlation"][1], 0.977929, atol=1e-6)
    z = (network["correlation"] - limit["correlation"])[1:] / network["correlation_se"][1:]
    assert np.abs(z).max() < 10
    early = analysis.correlation_against_lag(run[1], time=3.0)
    assert float(early["frozen"][0]) < float(limit["frozen"][0])


def test_both_times_of_a_covariance_must_be_the_same(run):
    for other in (run[1].isel(time_=slice(3, None)), run[1].assign_coords(time_=TIMES + 1)):
        with pytest.raises(ln.InputError, match="the same entries along `time` and `time_`"):
            analysis.correlation_against_lag(other)


def test_a_stationary_regime_has_correlations_and_a_time():
    found = analysis.stationary(ln.RateNetwork())
    parts = analysis.correlation_against_lag(found)
    assert float(parts["frozen"][0]) == pytest.approx(16.0178283544 / 16.6604355581, rel=1e-9)
    times = analysis.autocorrelation_time(found)
    assert float(times["frozen_share"]) == float(parts["frozen"][0])
    assert np.all(times["autocorrelation_time"] > 0)


def test_uncoupled_neurons_have_their_own_autocorrelation_time():
    free = {"kernel": ln.UncorrelatedKernel(0.0), "activation": "tanh", **STILL}
    step = analysis.autocorrelation_time(analysis.stationary(ln.RateNetwork(gamma=0.6, **free)))
    assert float(step["autocorrelation_time"][0]) == pytest.approx(1.6 / 0.8, abs=1e-6)
    assert np.isnan(step["autocorrelation_time"][1])
    model = ln.RateNetwork(dynamics="continuous", tau=0.8, **free)
    flow = analysis.autocorrelation_time(analysis.stationary(model))
    assert float(flow["autocorrelation_time"][0]) == pytest.approx(0.8, abs=2e-5)


def test_the_chaotic_variance_against_the_gain():
    curve = analysis.chaotic_variance([0.5, 1.0, 1.5, 2.0])
    np.testing.assert_allclose(curve["variance"], [0.0, 0.0, 0.7476863806, 1.9248054137], atol=1e-9)


def test_refusals(run):
    with pytest.raises(ln.InputError, match="must have the variable `frozen_covariance`"):
        analysis.correlation_against_lag(run[0].drop_vars("frozen_covariance"))
    with pytest.raises(ln.InputError, match=r"`time` must be one of the output times, but is 3\.5"):
        analysis.correlation_against_lag(run[1], time=3.5)
    with pytest.raises(ln.InputError, match=r"be what `analysis\.stationary` returned"):
        analysis.autocorrelation_time(run[1])
    with pytest.raises(ln.InputError, match="`gain` must be at least 0"):
        analysis.chaotic_variance(-1.0)
    with pytest.raises(ln.InputError, match="method="):
        plot.fixed_point(run[1], ax=Figure().subplots())


def test_pictures_draw_what_they_were_given(run):
    network, limit = run
    figure = plot.covariance_surfaces(network, limit)
    titles = [ax.get_title(loc="left") for ax in figure.axes[:6]]
    assert titles[:3] == ["limit: one neuron", "network: one neuron", "network - limit"]
    drawn = [np.asarray(ax.collections[0].get_array()).reshape(9, 9) for ax in figure.axes[3:6]]
    theory = limit["covariance"].sel(lag=1).values
    np.testing.assert_allclose(drawn[0], theory)
    np.testing.assert_allclose(drawn[2], drawn[1] - theory, atol=1e-12)

    lines = {
        line.get_label(): line.get_ydata() for line in plot.against_lag(network, limit, ax=Figure().subplots()).lines
    }
    last = {name: limit[name].isel(time=-1, time_=-1).values for name in ("covariance", "frozen_covariance")}
    np.testing.assert_array_equal(lines["limit, all"], last["covariance"])
    np.testing.assert_array_equal(lines["limit, dynamic"], last["covariance"] - last["frozen_covariance"])

    parts = [analysis.correlation_against_lag(dataset) for dataset in (limit, network)]
    ax = plot.correlation_against_lag(parts[0], network=parts[1], ax=Figure().subplots())
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), parts[0]["correlation"])

    swept = ln.solve_limit(ln.RateNetwork(), TIMES, method="fixed_point")
    ax = plot.fixed_point(swept, ax=Figure().subplots())
    changes = np.asarray(swept.attrs["sweep_changes"])
    assert len(changes) == 8
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), changes[changes > 0])
    assert ax.get_yscale() == "log"

    curve = analysis.chaotic_variance(np.linspace(0.5, 2.0, 7))
    ax = plot.chaotic_variance(curve, ax=Figure().subplots())
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), curve["variance"])
    assert ax.get_xlabel() == "gain g"
