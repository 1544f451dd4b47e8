"""compare() of one network: error bars from the theory of fluctuations, their level, and what they reject."""

import jax.numpy as jnp
import numpy as np
import pytest

import largen as ln
from largen.comparison import samples
from largen.systems.rate import limit as rate_limit
from statistics_tools import assert_frequency

TIMES = np.arange(9.0)
ALL = np.ones(9, bool)


@pytest.fixture(scope="module")
def limit():
    return ln.solve_limit(ln.RateNetwork(), TIMES)


@pytest.fixture(scope="module")
def errors():
    """What the theory says of the time means of one network of 1000 neurons, by observable."""
    network = ln.simulate(ln.RateNetwork(), TIMES, n=1000, seed=1)
    return samples._law(network, ["mean", "covariance", "frozen_covariance"], ALL)


@pytest.fixture
def known(errors, monkeypatch):
    """The same at any size, without computing it anew."""

    def found(network, names, counted):
        return {name: error * np.sqrt(1000 / float(network.attrs["n"])) for name, error in errors.items()}

    monkeypatch.setattr(samples, "_law", found)


def test_the_theory_knows_the_mean_and_the_covariance(errors):
    assert set(errors) == {"mean", "covariance"}
    assert errors["mean"].shape == (1,)
    assert errors["covariance"].shape == (3,)
    network = ln.simulate(ln.RateNetwork(), TIMES, n=1000, seed=1)
    last = samples._law(network, ["mean"], np.arange(9) == 8)["mean"][0] ** 2
    # two replicas average what they do not share: (total + frozen)/2 of the source's N Var, 24.213 and 23.285
    assert abs(1000 * last / (0.5 * (24.213 + 23.285)) - 1) < 0.01


def test_one_true_interval_in_twenty_leaves_out_the_truth(known, limit):
    # 100 networks; the Gaussian law holds up to 1/sqrt(n), so the frequency is tested against 5 % with 1e-6
    network = ln.simulate(ln.RateNetwork(), TIMES, n=1000, realisations=100, seed=5)
    reports = [ln.compare(network.isel(realisation=[k]), limit) for k in range(100)]
    for name in ("mean", "covariance[0]", "covariance[1]"):
        rows = [report.sel(component=name) for report in reports]
        outside = sum(not float(row["ci_low"]) <= 0 <= float(row["ci_high"]) for row in rows)
        assert_frequency(outside, 100, 0.05)
    z = np.array([(report["difference"] / report["standard_error"]).values[:4] for report in reports])
    assert np.all(np.abs(z.std(0) - 1) < 0.35)  # five standard errors of a standard deviation of 100
    assert reports[0].attrs["method"] == "one realisation, errors from the rate system's theory of fluctuations"
    assert np.all(np.isinf(reports[0]["dof"].sel(component=["mean", "covariance[0]"])))


def truncated(limit):
    """The limit with the row sum over presynaptic lags cut at 2."""
    model = ln.RateNetwork()
    cut = model.kernel.coupling()._replace(total=np.array([1.5 * (1 + 2 * (0.4 + 0.4**2))]))
    wrong = rate_limit.moments(model, TIMES, cut, rate_limit.Options())
    dims = limit["covariance"].dims
    return limit.assign(covariance=(dims, wrong.covariance), frozen_covariance=(dims, wrong.frozen))


def test_a_truncated_row_sum_is_off_by_one_network(known, limit):
    network = ln.simulate(ln.RateNetwork(), TIMES, n=1_000_000, seed=2)
    right = ln.compare(network, limit.assign_attrs(n=1_000_000), tolerance=0.02)
    wrong = ln.compare(network, truncated(limit).assign_attrs(n=1_000_000), tolerance=0.02)
    row = "covariance[0]"
    assert right["label"].sel(component=row) == "within tolerance"
    assert wrong["label"].sel(component=row) == "beyond tolerance"
    assert wrong.attrs["verdict"] == "theory differs"
    assert float(wrong["p_beyond"].sel(component=row)) < 1e-6


def test_a_truncated_row_sum_is_off_by_many_networks(limit):
    network = ln.simulate(ln.RateNetwork(), TIMES, n=4000, realisations=120, seed=7, replicas=2)
    finite = ln.solve_limit(ln.RateNetwork(), TIMES, n=4000, realisations=120, seed=7)
    assert finite.sizes["realisation"] == 120
    asked = {"covariance": 0.03, "frozen_covariance": 0.03}
    assert "theory differs" not in ln.compare(network, limit, finite=finite, tolerance=asked)["cause"].values
    wrong = truncated(limit)
    shifted = finite.copy()
    for name in ("covariance", "frozen_covariance"):
        shifted[name] = finite[name] + (wrong[name] - limit[name])  # the same mistake in the theory of 4000 neurons
    report = ln.compare(network, wrong, finite=shifted, tolerance=asked)
    assert report.attrs["verdict"] == "theory differs"
    assert report["cause"].sel(component="covariance[0]") == "theory differs"


def own(x):
    return jnp.tanh(x) ** 3


def test_where_the_theory_has_nothing_to_say_the_error_is_another():
    # continuous time, more times than the theory takes, a user's own activation
    cases = (
        (ln.RateNetwork.diffusion(), np.linspace(0.0, 1.0, 5), {"dt": 0.1}),
        (ln.RateNetwork(activation=own), TIMES, {}),
        (ln.RateNetwork(), np.arange(70.0), {}),
    )
    for model, times, options in cases:
        network = ln.simulate(model, times, n=20, seed=1, **options)
        assert samples._law(network, ["mean", "covariance"], np.ones(len(times), bool)) == {}
