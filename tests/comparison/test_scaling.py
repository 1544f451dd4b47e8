"""convergence(): four statements about networks whose law is known, injected faults, refusals."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import largen as ln
from largen.commands.tables import show_convergence
from largen.comparison import scaling
from toy import Toy

TIMES = np.arange(0.0, 2.0, 0.25)
SIZES = [100, 400, 1600]


class WrongLimit(Toy):
    """The toy, whose limit is off by a constant; a theory of n neurons has it too."""

    def limit(self, times, *, n, rtol, atol, stop=np.inf):
        arrays = super().limit(times, n=n, rtol=rtol, atol=atol, stop=stop)
        return arrays._replace(values={name: value + 0.05 for name, value in arrays.values.items()})


class Layered(Toy):
    """The toy with a boundary layer."""

    def limit(self, times, *, n, rtol, atol, stop=np.inf):
        arrays = super().limit(times, n=n, rtol=rtol, atol=atol, stop=stop)
        return arrays._replace(attrs={"layer": 12.0} if n is None else {})


class Sampled(Toy):
    """The toy, whose theory of n neurons needs options, as a sampled one does."""

    def finite_options(self, *, realisations, seed):
        return {"stop": np.inf}


class Silent(Toy):
    """The toy without one of its observables."""

    def network(self, times, *, n, rng, method, record, tick, fail=-1):
        arrays = super().network(times, n=n, rng=rng, method=method, record=record, tick=tick, fail=fail)
        return arrays._replace(values={"mean": arrays.values["mean"]})


class NoOrder(Toy):
    """The toy, of whose bias nothing is known."""

    bias_order: ClassVar[float | None] = None


@pytest.fixture(scope="module")
def study():
    return ln.convergence(Toy(bias=20.0), TIMES, n=SIZES, realisations=200, seed=1)


def within_errors(study, key, component, expected, count=5.0):
    """Whether an estimate lies within some standard errors of what is known; its interval is about 4 of them."""
    row = study.sel(component=component)
    half = (row[f"{key}_high"] - row[f"{key}_low"]).item() / 2
    return abs(row[key].item() - expected) < count / 1.96 * half


def test_a_network_of_independent_neurons_comes_nearer_as_the_root_of_n():
    # 5 standard errors: false alarm 1e-6.
    found = ln.convergence(Toy(), TIMES, n=[100, 400, 1600, 6400], realisations=100, seed=1).sel(observable="mean")
    half = (found["distance_exponent_high"] - found["distance_exponent"]).item()
    assert abs(found["distance_exponent"].item() - 0.5) < 5 / 1.96 * half
    assert half < 0.03
    assert found["distance_lack_of_fit"] > 1e-4
    np.testing.assert_allclose(found["distance_exponent_between"], 0.5, atol=0.3)


def test_bias_noise_and_what_is_left_are_those_of_the_toy(study):
    # Bias 20/n, noise n^-1/2, nothing left: each within 5 standard errors, false alarm 1e-6.
    for component in ("mean[a]", "mean[b]", "second[a]"):
        assert within_errors(study, "noise_exponent", component, 0.5)
        assert within_errors(study, "bias_exponent", component, 1.0)
        assert within_errors(study, "offset", component, 0.0)
        assert study["offset_high"].sel(component=component) - study["offset_low"].sel(component=component) < 0.05
        np.testing.assert_allclose(study["predicted"].sel(component=component), 20.0 / np.array(SIZES))


def test_the_rows_at_each_n_are_those_of_compare(study):
    network = ln.simulate(Toy(bias=20.0), TIMES, n=400, realisations=200, seed=1)
    limit, finite = (ln.solve_limit(Toy(bias=20.0), TIMES, n=n) for n in (None, 400))
    report = ln.compare(network, limit, finite=finite)
    at = study.sel(n=400)
    for key in ("difference", "ci_low", "ci_high", "label", "cause", "p_beyond"):
        assert at[key].sel(component=report["component"]).values.tolist() == report[key].values.tolist()


def test_a_limit_that_is_wrong_is_beyond_tolerance_at_infinite_n(study):
    # Injected: off by 0.05 where 0.024 and 0.017 are tolerated, 6 standard errors. The true limit is not called beyond.
    wrong = ln.convergence(WrongLimit(), TIMES, n=[50, 400], realisations=300, seed=2)
    assert wrong.attrs["verdict"] == "beyond tolerance"
    assert "BEYOND TOLERANCE at infinite n: mean, 2 of 2 beyond." in wrong.attrs["sentences"]
    assert within_errors(wrong, "offset", "mean[a]", -0.05)
    assert "beyond tolerance" not in study["offset_label"].values


def test_tolerance_and_scale_are_those_of_compare():
    options = {"n": [100, 400], "realisations": 6}
    wide = ln.convergence(Toy(), TIMES, **options, tolerance=1000.0)
    assert wide.attrs["verdict"] == "within tolerance"
    assert set(wide["offset_label"].values[:4]) == {"within tolerance"}
    large = ln.convergence(Toy(), TIMES, **options, scale={"mean": 1000.0})
    assert large["offset_label"].sel(component=["mean[a]", "second[a]"]).values.tolist()[0] == "within tolerance"
    ratio = large["distance"].sel(observable="mean") / large["distance"].sel(observable="second")
    assert np.all(ratio < 0.01)


def test_two_sizes_say_that_nothing_checks_the_power_law():
    found = ln.convergence(Toy(), TIMES, n=[100, 400], realisations=4)
    assert "two sizes: no check of the power law" in found.attrs["sentences"]
    assert np.isnan(found["distance_lack_of_fit"]).all()


def test_without_an_order_nothing_is_said_of_infinite_n():
    found = ln.convergence(NoOrder(), TIMES, n=[100, 400], realisations=4)
    assert "offset" not in found
    assert found.attrs["verdict"] == "undecided"
    assert "has no `bias_order`" in found.attrs["sentences"]


def test_networks_without_noise_give_no_noise_exponent():
    found = ln.convergence(Toy(noise=0.0, bias=20.0), TIMES, n=SIZES, realisations=2)
    assert np.isnan(found["noise_exponent"][:4]).all()
    assert found["distance_exponent"].values == pytest.approx(1.0)
    assert "too few realisations, or they do not differ" in found.attrs["sentences"]
    exact = ln.convergence(Toy(noise=0.0), TIMES, n=SIZES, realisations=2)
    assert "a network has no distance from the limit" in exact.attrs["sentences"]


def test_an_observable_is_chosen_by_name():
    found = ln.convergence(Toy(), TIMES, n=[100, 400], realisations=4, observable="second")
    assert found["observable"].values.tolist() == ["second"]
    assert all(str(name).startswith("second") for name in found["component"].values)


def test_the_times_that_count_are_those_of_every_n():
    # A boundary layer of 12/sqrt(n): 1.2 at the smallest n.
    found = ln.convergence(Layered(), TIMES, n=[100, 400], realisations=3)
    assert found.attrs["from_time"] == 1.25
    network, limit = ln.simulate(Layered(), TIMES, n=400, realisations=3), ln.solve_limit(Layered(), TIMES)
    late = {"time": slice(1.2, None)}
    means = (network - limit)["mean"].sel(late).mean(("realisation", "time"))
    np.testing.assert_allclose(found["difference"].sel(n=400, component=["mean[a]", "mean[b]"]), means)
    rms = np.sqrt(
        (((network - limit)["mean"].sel(late) / limit["mean"].sel(late).mean("time")) ** 2).mean(("time", "population"))
    )
    np.testing.assert_allclose(found["network_distance"].sel(n=400, observable="mean")[:3], rms)


def test_too_short_a_run_is_refused_before_anything_is_simulated():
    called = []
    with pytest.raises(ln.InputError, match="At n = 10 the network reaches the limit only"):
        ln.convergence(Layered(), TIMES, n=[10, 10_000], progress=called.append)
    assert not called


def test_a_sampled_theory_of_n_neurons_predicts_no_bias():
    assert "predicted" not in ln.convergence(Sampled(), TIMES, n=[40, 80], realisations=3)


def test_what_the_network_does_not_give_is_left_out():
    found = ln.convergence(Silent(), TIMES, n=[40, 80], realisations=3)
    assert found["observable"].values.tolist() == ["mean"]
    with pytest.raises(ln.InputError, match="Unknown observable `second`"):
        ln.convergence(Silent(), TIMES, n=[40, 80], realisations=3, observable="second")


def test_realisations_and_method_of_every_size():
    found = ln.convergence(Toy(), TIMES, n=[100, 200], realisations=[6, 4], method="exact")
    assert found["realisations"].values.tolist() == [6, 4]
    assert np.isnan(found["network_distance"].values[1, 4:]).all()


@pytest.mark.long
def test_the_same_numbers_whatever_the_workers():
    one, two = (ln.convergence(Toy(), TIMES, n=[40, 80], realisations=3, workers=count) for count in (1, 2))
    assert one.identical(two)


def test_the_workers_are_those_of_simulate(monkeypatch):
    # Whose realisations are the same bytes whatever their number.
    asked = []

    def simulated(*args, workers, **given):
        asked.append(workers)
        return ln.simulate(*args, **given)

    one = ln.convergence(Toy(), TIMES, n=[40, 80], realisations=3)
    monkeypatch.setattr(scaling, "simulate", simulated)
    assert ln.convergence(Toy(), TIMES, n=[40, 80], realisations=3, workers=7).identical(one)
    assert asked == [7, 7]


def test_networks_of_different_sizes_are_independent():
    model = Toy(start=(0.0, 0.0))
    a, b = (ln.simulate(model, TIMES, n=n, realisations=200, seed=1)["mean"].values[:, 0, -1] for n in (100, 200))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.35  # 5 standard errors of a correlation of 200 pairs


@pytest.mark.parametrize("everything", [False, True])
def test_what_is_printed_fits_into_100_columns_and_has_the_four_statements(study, everything, capsys):
    show_convergence(study, Path("results"), everything)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    for words in (
        "a single network's distance from the limit ~ n^-a",
        "the mean of networks minus the limit ~ n^-b",
        "what is left at infinite n, extrapolated with n^-1",
        "noise: s.d. of one network about the mean of networks ~ n^-a'",
    ):
        assert out.count(words) == (2 if everything else 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": [100]}, "at least two increasing sizes"),
        ({"n": [200, 100]}, "at least two increasing sizes"),
        ({"n": [100, 200], "realisations": 1}, "An error bar needs two"),
        ({"n": [100, 200], "realisations": [4, 4, 4]}, "one number or 2"),
        ({"n": [100, 200], "method": "euler"}, "`method` must be one of"),
        ({"n": [100, 200], "observable": "meen"}, "Did you mean `mean`"),
        ({"n": [100, 200], "stopp": 1}, "Did you mean `stop`"),
        ({"n": [100, 200], "tolerance": -1.0}, "tolerance"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ln.InputError, match=message):
        ln.convergence(Toy(), TIMES, **arguments)


def test_after_an_interrupt_the_finished_sizes_are_kept():
    calls = []

    def stop_late(done):
        calls.append(done)
        if done > 0.7:
            raise KeyboardInterrupt

    with pytest.raises(ln.Interrupted, match="2 of 3 sizes") as caught:
        ln.convergence(Toy(), TIMES, n=[100, 200, 400], realisations=4, progress=stop_late)
    assert caught.value.partial is not None
    assert caught.value.partial["n"].values.tolist() == [100, 200]


def test_finished_sizes_are_not_run_again_and_give_the_same_study(tmp_path, monkeypatch):
    options = {"n": [50, 100, 200], "realisations": [5, 4, 3], "seed": 3}
    whole, run = ln.convergence(Toy(bias=3.0), TIMES, **options), []

    def stop_late(done):
        if done > 0.7:
            raise KeyboardInterrupt

    with pytest.raises(ln.Interrupted) as caught:
        ln.convergence(Toy(bias=3.0), TIMES, **options, progress=stop_late)
    assert caught.value.partial is not None
    kept = ln.load(ln.save(caught.value.partial, tmp_path / "x.nc"))
    monkeypatch.setattr(
        scaling, "simulate", lambda *args, **given: run.append(given["n"]) or ln.simulate(*args, **given)
    )
    again = ln.convergence(Toy(bias=3.0), TIMES, **options, finished=kept)
    assert again.identical(whole)
    assert run == [200]
    with pytest.raises(ln.InputError, match="must come from a call with the same arguments and program"):
        ln.convergence(Toy(bias=2.0), TIMES, **options, finished=kept)
