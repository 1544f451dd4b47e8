"""Posteriors: against a grid, against the fit's errors, priors, messages, what ArviZ reads."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy import stats

import largen as ln
from largen.fitting import posterior_report
from largen.fitting.errors import covariance
from largen.fitting.likelihood import distance
from largen.fitting.posterior_report import judge
from largen.fitting.priors import laws
from largen.fitting.sampling import Density, Draws, sample
from largen.numerics.chains import effective_draws, r_hat
from largen.parameters import parameters

TIMES = np.arange(4.0)
OVER = {"gain": (0.2, 3.0), "noise": ln.priors.LogNormal(0.5, 0.2)}
HOW = {"times": TIMES, "lags": 0, "warmup": 100, "draws": 250, "starts": 1}


@pytest.fixture(scope="module")
def target():
    """Values whose errors leave the gain's posterior far from normal."""
    limit = ln.solve_limit(ln.RateNetwork(), TIMES, lags=0)
    return {"mean": (limit["mean"].values, 0.03), "covariance[0]": (limit["covariance"].values[0], 0.3)}


class Pair(eqx.Module):
    """A model of two numbers."""

    a: jax.Array
    b: jax.Array


class Curved(eqx.Module):
    """A limit of two data that bends within their errors."""

    def __call__(self, model):
        return {"y": jnp.stack([model.a * model.b, model.a + model.b**2])}, model.a + model.b > 0.2


AIM, ERROR = np.array([1.0, 2.0]), np.array([0.3, 0.4])


def curved(dof):
    """The posterior of `Curved`: a uniform on (0.2, 3), b log-normal about 0.9."""
    return Density(
        Curved(), Pair(jnp.ones(()), jnp.ones(())), ((("a",), ()), (("b",), ())), {"y": np.arange(2)}, AIM, 1.0 / ERROR,
        np.eye(2), np.array(dof), np.array([0.2, 0.0]), np.array([3.0, np.inf]), np.array([2, 1]),
        np.array([0.2, np.log(0.9)]), np.array([3.0, 0.4]), np.array([0.0, 0.0]), np.diag([0.8, 0.3]),
    )  # fmt: skip


@pytest.mark.long  # 10 CPU seconds, mostly compilation
@pytest.mark.parametrize("dof", [np.inf, 7.0])
def test_draws_have_the_moments_of_a_sum_over_a_grid(dof):
    """No derivative and no chain there; 5 standard errors for each of 4 numbers: false alarm 3e-6."""
    a, b = np.meshgrid(np.linspace(0.2, 3.0, 801), np.linspace(0.05, 3.5, 801), indexing="ij")
    square = ((a * b - AIM[0]) / ERROR[0]) ** 2 + ((a + b**2 - AIM[1]) / ERROR[1]) ** 2
    chance = np.exp(-0.5 * square) if np.isinf(dof) else (1.0 + square / dof) ** (-0.5 * (dof + 2))
    weight = chance * stats.lognorm.pdf(b, 0.4, scale=0.9)
    found = sample(curved(dof), chains=4, warmup=200, draws=1000, seed=3, tick=lambda done: None)
    for k, values in enumerate((a, b)):
        draws = found.value[..., k]
        mean = np.average(values, weights=weight)
        sd = np.sqrt(np.average((values - mean) ** 2, weights=weight))
        worth = effective_draws(draws)
        assert r_hat(draws) < 1.02
        assert abs(draws.mean() - mean) < 5.0 * sd / np.sqrt(worth)
        assert abs(draws.std() - sd) < 5.0 * sd * np.sqrt(stats.kurtosis(draws.ravel()) + 2.0) / np.sqrt(4.0 * worth)
    again = sample(curved(dof), chains=4, warmup=200, draws=1000, seed=3, tick=lambda done: None)
    np.testing.assert_array_equal(found.value, again.value)


@pytest.fixture
def sampled():
    """What `posterior` returns, made by hand."""
    each = ("chain", "draw")
    shape = np.arange(1000.0).reshape(4, 250)
    variables = {name: (each, shape) for name in ("log_density", "tree_depth", "acceptance", "energy")}
    variables |= {"diverging": (each, np.zeros((4, 250), np.int8)), "target": ("datum", np.ones(3))}
    variables |= {"draw_value": ((*each, "parameter"), np.stack([shape, -shape], -1))}
    coords = {"parameter": ["gain", "noise"], "unit": ("parameter", ["1", "1"]), "datum": ["x", "y", "z"]}
    words = dict.fromkeys(("system", "sampling", "verdict", "fit_message", "sampler"), "said")
    return xr.Dataset(variables, coords, {"kind": "posterior"} | words)


@pytest.mark.long
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


@pytest.mark.long
def test_a_model_that_does_not_fit_has_no_posterior(target):
    wrong = target | {"mean": (target["mean"][0] + np.array([0, 1.0, -1.0, 1.0]), 0.03)}
    with pytest.raises(ln.FitError, match="No posterior: the model does not fit") as raised:
        ln.posterior(ln.RateNetwork(), wrong, OVER, **HOW)
    assert raised.value.partial.attrs["kind"] == "fit"


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
    assert ln.to_arviz(ln.load(tmp_path / "posterior.nc"))["posterior"]["noise"].shape == (4, 250)
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


def test_sources_of_the_covariance_that_are_not_there_and_realisations_that_are_not_used_are_refused():
    with pytest.raises(ln.InputError, match="`realisations` must be left out with covariance='data'"):
        ln.posterior(ln.RateNetwork(), {"mean": (np.zeros(4), 1.0)}, {"gain": (0.2, 3.0)}, realisations=20)
    with pytest.raises(ln.InputError, match="`covariance` must be 'network' or 'data' for a system whose"):
        ln.posterior(ln.BalancedNetwork(), {"rate[e]": 0.2}, {"tau[e]": (0.2, 3.0)}, covariance="theory")


def test_the_distance_of_realisations_holds_a_combination_whose_parameters_are_not_fixed_one_by_one():
    """Two parameters that act alike tell of their sum what one in their place tells of itself."""
    rng = np.random.default_rng(5)
    jacobian = rng.standard_normal((6, 2))
    samples = rng.standard_normal((12, 6)) @ rng.standard_normal((6, 6))
    residual = rng.standard_normal(6)
    residual -= jacobian @ np.linalg.lstsq(jacobian, residual, rcond=None)[0]
    away = np.array([0.3, -0.2])
    twice = np.hstack([jacobian[:, :1], jacobian])
    spreads = [covariance(each, residual, samples, [], None) for each in (jacobian, twice)]
    one, two = (distance(residual, j, s, independent=False) for j, s in zip((jacobian, twice), spreads, strict=True))
    assert one is not None
    assert two is not None
    moved = residual + jacobian @ away
    assert one.excess(moved) == pytest.approx(away @ np.linalg.solve(spreads[0], away))
    assert two.excess(moved) == pytest.approx(one.excess(moved))


def test_units_of_priors_are_those_of_the_parameter():
    info = parameters(ln.SpikingNetwork())["refractory_time"]
    law, ends = laws({"refractory_time": ("0.002 s", "4 ms")}, {"refractory_time": info})
    assert ends == {"refractory_time": (2.0, 4.0)}
    assert law.code.tolist() == [2]
