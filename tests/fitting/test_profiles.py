"""Several minima, intervals from profiles, and fits that are stopped on their way."""

import numpy as np
import pytest
from scipy import stats

import largen as ln
from largen.commands.main import main
from largen.fitting import problem, unknowns
from largen.fitting.minima import sort_minima
from largen.numerics.least_squares import Minimum, Outcome

TIMES = np.arange(5.0)
FREE = ["kernel.variance", "gain", "noise"]
START = ln.RateNetwork().replace(**{"kernel.variance": 1.7, "gain": 0.9, "noise": 0.55})
WIDE = stats.norm.ppf(0.975)


def fit(target, model=START, free=FREE, **options):
    """All fits here of three parameters share one compiled program."""
    return ln.fit(model, target, free=free, times=TIMES, lags=1, check=False, **options)


@pytest.fixture(scope="module")
def target():
    """Means and covariances that fix the gain badly: its parabola is wrong."""
    limit = ln.solve_limit(ln.RateNetwork(), TIMES, lags=1)
    noise = 0.01 * np.random.default_rng(4).standard_normal(5)
    return {"mean": (limit["mean"].values + noise, 0.01), "covariance[0]": (limit["covariance"].values[0], 0.15)}


def test_a_profile_ends_where_the_best_fit_of_the_others_has_grown_by_its_level(target):
    """By fits of the other parameters with the gain held at the ends."""
    result = fit(target)
    assert result["interval"].values.tolist()[1] == "profile"
    assert "`gain`" in result.attrs["profile"]
    lowest = result.attrs["chi2"]
    for name in ("ci_low", "ci_high"):
        end = float(result[name].sel(parameter="gain"))
        start = START.replace(gain=end, noise=0.5)
        held = fit(target, start, ["kernel.variance", "noise"], starts=1, strict=False, profile=False)
        assert held.attrs["chi2"] - lowest == pytest.approx(WIDE**2, rel=0.03)
    plain = fit(target, profile=False)
    parabola = plain["value"] + WIDE * plain["standard_error"]
    np.testing.assert_allclose(plain["ci_high"], parabola, rtol=1e-9)
    assert abs(float((result["ci_high"] - parabola).sel(parameter="gain"))) > 0.05 * float(plain["standard_error"][1])
    seen = result.sel(parameter="gain")
    least = int(np.nanargmin(seen["profile_excess"]))
    assert float(seen["profile_value"][least]) == float(seen["value"])


def test_a_parabola_that_is_right_is_its_own_profile():
    limit = ln.solve_limit(ln.RateNetwork(), TIMES, lags=1)
    tight = {"mean": (limit["mean"].values, 1e-5), "covariance[0]": (limit["covariance"].values[0], 1e-4)}
    result = fit(tight)
    assert "profile" not in result.attrs
    asked = fit(tight, profile="noise")
    assert asked["interval"].values.tolist() == ["parabola", "parabola", "profile"]
    half = float((result["ci_high"] - result["value"]).sel(parameter="noise"))
    for name in ("ci_low", "ci_high"):
        assert float(asked[name][2]) == pytest.approx(float(result[name][2]), abs=0.02 * half)


def test_an_end_beyond_a_bound_is_the_bound(target):
    result = fit(target, bounds={"gain": (0.5, 1.05)}, starts=1)
    assert float(result["ci_high"][1]) == 1.05
    assert "(open at an end)" in result.attrs["profile"]


def test_bad_profiles_give_messages(target):
    with pytest.raises(ln.InputError, match="Unknown free parameter in `profile` `gian`"):
        fit(target, profile=["gian"])
    with pytest.raises(ln.InputError, match="`profile` must be None or False with through='network'"):
        fit(target, profile=True, through="network", n=100)


def test_minima_are_told_apart_by_values_and_errors():
    free = unknowns.Unknowns(("a", "b"), ((), ()), np.full(2, -np.inf), np.full(2, np.inf), np.ones(2), ("1", "1"))
    x = np.array([[1.0, 2.0], [1.02, 2.0], [3.0, 2.0], [1.0, 2.0], [9.0, 9.0], [5.0, 2.0]])
    cost = np.array([1.0, 1.0001, 2.0, 1.0, np.inf, 30.0])
    ends = [Outcome.CONVERGED] * 4 + [Outcome.UNDEFINED, Outcome.CONVERGED]
    minimum = Minimum(x, np.zeros((6, 3)), np.zeros((6, 3, 2)), cost, ends, 7)
    found = sort_minima(minimum, 0, free, np.array([0.1, 0.1]))
    assert found.number.tolist() == [0, 0, 1, 0, -1, 2]
    assert np.isnan(found.value[4]).all()
    assert found.message == (
        "3 of 6 starts ended at these values; 1 at `a` = 3, `b` = 2 (chi2 higher by 2, which fits as well); 1 at "
        "`a` = 5, `b` = 2 (chi2 higher by 58); 1 did not converge."
    )
    assert sort_minima(minimum, 0, free, np.full(2, np.nan)).number.tolist() == [0, 1, 2, 0, -1, 3]


def test_starts_are_a_sobol_sequence_around_the_model():
    free = unknowns.Unknowns(("a", "b"), ((), ()), np.full(2, -np.inf), np.full(2, np.inf), np.full(2, 4.0), ("1", "1"))
    points = free.starts(257, 0.5, np.random.default_rng(1))
    np.testing.assert_array_equal(points[0], [4.0, 4.0])
    np.testing.assert_array_equal(points, free.starts(257, 0.5, np.random.default_rng(1)))
    assert not np.array_equal(points[1], free.starts(257, 0.5, np.random.default_rng(2))[1])
    ranks = stats.norm.cdf((points[1:] - 4.0) / 2.0)
    for column in ranks.T:  # one point in each of 256 strata, as no random sample has
        assert sorted(np.floor(256 * column).astype(int)) == list(range(256))
    assert [len(free.starts(count, 0.5, np.random.default_rng(1))) for count in (1, 2, 3, 4, 5)] == [1, 2, 3, 4, 5]


def stop_after(monkeypatch, count):
    """Ctrl-C in one of the evaluations of a search."""
    calls, real = [], problem.evaluate

    def evaluate(*arguments, **named):
        calls.append(0)
        if len(calls) > count:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(problem, "evaluate", evaluate)


def test_ctrl_c_leaves_the_best_so_far_without_errors(target, monkeypatch, tmp_path):
    stop_after(monkeypatch, 3)
    with pytest.raises(ln.Interrupted, match=r"the fit \(search\)") as raised:
        fit(target, starts=1, keep=tmp_path / "fit.nc")
    partial = raised.value.partial
    assert partial.attrs["status"] == "stopped after 3 evaluations"
    assert ln.load(tmp_path / "fit.nc").attrs["status"] == partial.attrs["status"]
    assert partial.attrs["verdict"] == "not tested"
    assert "not estimates, without errors" in partial.attrs["fit_message"]
    assert np.isnan(partial["standard_error"]).all()
    first = 0.5 * np.sum(((partial["fitted"] - partial["target"]) / partial["target_error"]).values ** 2)
    assert partial.attrs["cost"] == pytest.approx(first)
    stop_after(monkeypatch, 0)
    with pytest.raises(ln.Interrupted) as raised:
        fit(target, starts=1)
    assert raised.value.partial is None


def test_a_stopped_command_keeps_the_best_so_far_and_says_where(target, monkeypatch, tmp_path, capsys):
    values = tmp_path / "values.yaml"
    rows = {key: f"{{value: {np.asarray(v).tolist()}, error: {e}}}" for key, (v, e) in target.items()}
    values.write_text("\n".join(f"'{key}': {row}" for key, row in rows.items()))
    out = tmp_path / "fit"
    words = ["fit", "correlated", str(values), *(word for name in FREE for word in ("--free", name))]
    words += ["--times", "0:4:1", "--option", "lags=1", "--no-check", "--out", str(out)]
    stop_after(monkeypatch, 2)
    assert main(words) == 130
    said = capsys.readouterr().err
    assert "The fit: stopped after" in said
    assert f"What had finished is in `{out}.stopped`." in said
    assert ln.load(tmp_path / "fit.stopped" / "fit.nc").attrs["status"].startswith("stopped after")
    assert (tmp_path / "fit.stopped" / "model.yaml").exists()


def test_results_are_kept_as_they_come_and_progress_is_told(target, monkeypatch, tmp_path):
    from largen.fitting import watch

    monkeypatch.setattr(watch, "SOON", 0.0)
    seen, kept, file = [], [], tmp_path / "fit.nc"

    def progress(fraction):
        seen.append(fraction)
        if file.exists():
            kept.append(ln.load(file).attrs["status"])

    result = fit(target, starts=1, profile="gain", keep=file, progress=progress)
    assert kept[0].startswith("running after")
    assert ln.load(file).attrs["status"] == result.attrs["status"] == "converged"
    assert 0.0 < seen[0] < seen[1] < 1.0
    assert seen[-1] == 1.0
