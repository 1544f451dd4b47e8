"""Posteriors: against a grid, against the fit's errors, priors, messages, what ArviZ reads."""

import re

import numpy as np
import pytest
from scipy import stats

import largen as ln
from largen.fitting import posterior_report
from largen.fitting.posterior_report import judge
from largen.fitting.priors import laws
from largen.fitting.sampling import Draws
from largen.numerics.chains import effective_draws, r_hat
from largen.parameters import parameters

TIMES = np.arange(4.0)
OVER = {"gain": (0.2, 3.0), "noise": ln.priors.LogNormal(0.5, 0.2)}
HOW = {"times": TIMES, "lags": 0, "warmup": 200, "draws": 500, "starts": 1}


@pytest.fixture(scope="module")
def target():
    """Values whose errors leave the gain's posterior far from normal."""
    limit = ln.solve_limit(ln.RateNetwork(), TIMES, lags=0)
    return {"mean": (limit["mean"].values, 0.03), "covariance[0]": (limit["covariance"].values[0], 0.3)}


@pytest.fixture(scope="module")
def sampled(target):
    return ln.posterior(ln.RateNetwork(), target, OVER, **HOW)


def on_grid(target):
    """Mean and s.d. of gain and noise by a sum over a grid of 40 x 30 limits: no derivative, no chain."""
    gains, noises = np.linspace(0.2, 3.0, 41), np.linspace(0.25, 0.95, 31)
    log = np.empty((41, 31))
    for i, gain in enumerate(gains):
        for j, noise in enumerate(noises):
            limit = ln.solve_limit(ln.RateNetwork(gain=gain, noise=noise), TIMES, lags=0)
            lower = np.tril_indices(4)
            pairs = (limit["mean"].values, 0.03, target["mean"][0]), (
                limit["covariance"].values[0][lower], 0.3, target["covariance[0]"][0][lower],
            )  # fmt: skip
            log[i, j] = sum(-0.5 * np.sum(((value - aim) / error) ** 2) for value, error, aim in pairs)
            log[i, j] += stats.lognorm.logpdf(noise, 0.2, scale=0.5)
    return gains, noises, np.exp(log - log.max())


def moments(values, weight):
    mean = np.average(values, weights=weight)
    return mean, np.sqrt(np.average((values - mean) ** 2, weights=weight))


@pytest.mark.long
def test_draws_have_the_moments_of_a_grid(target, sampled):
    """Within 5 standard errors of the draws (false alarm 1e-5 for all four) and the grid's own error."""
    gains, noises, weight = on_grid(target)
    for name, values, axis in (("gain", gains, 1), ("noise", noises, 0)):
        mean, sd = moments(values, weight.sum(axis))
        one = sampled.sel(parameter=name)
        allowed = 5.0 * sd / np.sqrt(float(one["effective_draws"])) + 0.01 * sd
        assert abs(float(one["mean"]) - mean) < allowed, name
        assert abs(float(one["sd"]) - sd) < allowed, name


def test_the_posterior_of_realisations_is_students_law_about_the_fit():
    """As long as the limit is straight within the errors; 4 x 400 draws give a width to 5 % or so (allowed: 20 %)."""
    data = ln.simulate(ln.RateNetwork(), TIMES, n=20_000, realisations=12, seed=1, lags=0, replicas=1)
    fit = ln.fit(ln.RateNetwork(), data, free=["gain", "noise"], starts=1, check=False, profile=False)
    wide = {"gain": (0.01, 10.0), "noise": (0.01, 5.0)}
    found = ln.posterior(ln.RateNetwork(), data, wide, warmup=200, draws=400, starts=1)
    assert found.attrs["status"] == "chains agree", found.attrs["sampling"]
    assert found.attrs["verdict"] == "no misfit found"
    for name in ("gain", "noise"):
        one, other = found.sel(parameter=name), fit.sel(parameter=name)
        error = float(other["standard_error"])
        assert abs(float(one["median"] - other["value"])) < 0.25 * error
        width = float(one["ci_high"] - one["ci_low"]) / float(other["ci_high"] - other["ci_low"])
        assert width == pytest.approx(1.0, abs=0.2)
    again = ln.posterior(ln.RateNetwork(), data, wide, warmup=200, draws=400, starts=1)
    np.testing.assert_array_equal(found["draw_value"], again["draw_value"])


def test_a_model_that_does_not_fit_has_no_posterior(target):
    wrong = target | {"mean": (target["mean"][0] + np.array([0, 1.0, -1.0, 1.0]), 0.03)}
    with pytest.raises(ln.FitError, match="No posterior: the model does not fit"):
        ln.posterior(ln.RateNetwork(), wrong, OVER, **HOW)


def test_arviz_reads_a_tree_and_before_version_1_inference_data(sampled, monkeypatch, tmp_path):
    monkeypatch.setattr(posterior_report, "_old_arviz", lambda: None)
    tree = ln.to_arviz(sampled)
    assert tree["posterior"]["gain"].dims == ("chain", "draw")
    np.testing.assert_array_equal(tree["posterior"]["gain"], sampled["draw_value"].sel(parameter="gain"))
    assert tree["sample_stats"]["diverging"].dtype == bool

    class Old:
        @staticmethod
        def InferenceData(**groups):
            return groups

    monkeypatch.setattr(posterior_report, "_old_arviz", lambda: Old)
    assert set(ln.to_arviz(sampled)) == {"posterior", "sample_stats", "observed_data"}
    ln.save(sampled, tmp_path / "posterior.nc")
    assert ln.to_arviz(ln.load(tmp_path / "posterior.nc"))["posterior"]["noise"].shape == (4, 500)
    with pytest.raises(ln.InputError, match="`posterior` must"):
        ln.to_arviz(sampled.isel(chain=0))


def test_chains_that_do_not_agree_and_divergences_are_said():
    rng = np.random.default_rng(1)
    value = rng.standard_normal((4, 200, 1))
    value[0] += 5.0
    shape = (4, 200)
    lost = np.zeros(shape, bool)
    lost[2, 7] = True
    draws = Draws(value, np.zeros(shape), lost, *(np.zeros(shape) for _ in range(3)), np.ones(4))
    hats, worth = np.array([r_hat(value[..., 0])]), np.array([effective_draws(value[..., 0])])
    status, message = judge(draws, hats, worth)
    assert status == "chains do not agree"
    assert "1 diverging trajectory." in message
    assert "give more `warmup` and `draws`" in message


def test_r_hat_and_effective_draws_of_chains_that_are_known():
    """Independent draws; an AR(1) of coefficient 0.8, worth 1 in 9; false alarms below 1e-6 by the margins."""
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((4, 5000))
    assert r_hat(noise) < 1.005
    assert effective_draws(noise) == pytest.approx(20_000, rel=0.15)
    chain = noise.copy()
    for t in range(1, 5000):
        chain[:, t] = 0.8 * chain[:, t - 1] + 0.6 * noise[:, t]
    assert effective_draws(chain) == pytest.approx(20_000 / 9, rel=0.2)
    assert r_hat(noise + np.array([[0.0], [0.0], [0.0], [1.0]])) > 1.05
    assert r_hat(noise * np.array([[1.0], [1.0], [1.0], [3.0]])) > 1.05  # by the distance from the median


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({}, "name at least one parameter"),
        ({"gian": (0.0, 1.0)}, "Did you mean `gain`"),
        ({"gain": 1.0}, "The prior of `gain` must be ln.priors.Normal(mean, sd)"),
        ({"gain": (2.0, 1.0)}, "have low < high"),
        ({"gain": ln.priors.Normal(1.0, -1.0)}, "have a positive sd"),
        ({"gain": ln.priors.LogNormal(-1.0, 1.0)}, "have a positive median"),
        ({"gain": ln.priors.Normal("3 mV", 1.0)}, "be a pure number"),
        ({"noise": (-1.0, 1.0)}, "must lie within 0 and inf for `noise`"),
        ({"gain": (2.0, 3.0)}, "must lie within its bounds 2 and 3"),
    ],
)
def test_bad_priors_give_messages(target, over, words):
    with pytest.raises(ln.InputError, match=re.escape(words)):
        ln.posterior(ln.RateNetwork(), target, over, times=TIMES, lags=0)


def test_data_without_errors_need_another_source_of_them():
    with pytest.raises(ln.InputError, match="have errors for covariance='data'"):
        ln.posterior(ln.RateNetwork(), {"mean": np.zeros(4)}, {"gain": (0.2, 3.0)}, times=TIMES, lags=0, strict=False)


def test_units_of_priors_are_those_of_the_parameter():
    info = parameters(ln.SpikingNetwork())["refractory_time"]
    law, ends = laws({"refractory_time": ("0.002 s", "4 ms")}, {"refractory_time": info})
    assert ends == {"refractory_time": (2.0, 4.0)}
    assert law.code.tolist() == [2]
