"""compare() of one network: error bars from the theory of fluctuations, their level, and what they reject."""

import jax.numpy as jnp
import numpy as np
import pytest

import largen as ln
from largen.comparison.difference import own_laws
from largen.comparison.report import Verdict
from largen.systems.rate import limit as rate_limit
from statistics_tools import assert_frequency

TIMES = np.arange(9.0)


@pytest.fixture(scope="module")
def limit():
    return ln.solve_limit(ln.RateNetwork(), TIMES)


@pytest.fixture(scope="module")
def laws():
    """What the theory says of one network of 1000 neurons, by observable."""
    network = ln.simulate(ln.RateNetwork(), TIMES, n=1000, seed=1)
    return own_laws(network, len(TIMES), ["mean", "covariance", "frozen_covariance"])


@pytest.fixture
def known(laws, monkeypatch):
    """The same at any size, without computing it anew."""

    def found(network, length, names):
        factor = 1000 / float(network.attrs["n"])
        return {name: factor * law for name, law in laws.items()} if network.sizes["realisation"] == 1 else {}

    monkeypatch.setattr("largen.comparison.report.own_laws", found)


def test_the_theory_knows_the_mean_and_the_covariance(laws):
    assert set(laws) == {"mean", "covariance"}
    assert laws["mean"].shape == (9, 9)
    assert laws["covariance"].shape == (27, 27)
    # two replicas average what they do not share: (total + frozen)/2 of the source's N Var, 24.213 and 23.285
    assert abs(1000 * laws["mean"][-1, -1] / (0.5 * (24.213 + 23.285)) - 1) < 0.01


def test_one_true_network_in_twenty_is_rejected_at_five_per_cent(known, limit):
    # 100 networks; the Gaussian law holds up to 1/sqrt(n), so the frequency is tested against 5 % with 1e-6
    network = ln.simulate(ln.RateNetwork(), TIMES, n=1000, realisations=100, seed=5)
    reports = [ln.compare(network.isel(realisation=[k]), limit) for k in range(100)]
    for name in ("mean", "covariance"):
        p = np.array([float(report["p_value"].sel(observable=name)) for report in reports])
        assert_frequency(int(np.sum(p < 0.05)), 100, 0.05)
    z = np.array([report["z"].values[:4] for report in reports])
    assert np.all(np.abs(z.std(0) - 1) < 0.35)  # five standard errors of a standard deviation of 100
    assert reports[0].attrs["error"] == "the rate system's theory of fluctuations"
    assert reports[0]["covariance_standard_error"].dims == ("lag", "time")


def truncated(limit):
    """The limit with the row sum over presynaptic lags cut at 2."""
    model = ln.RateNetwork()
    cut = model.kernel.coupling()._replace(total=np.array([1.5 * (1 + 2 * (0.4 + 0.4**2))]))
    wrong = rate_limit.moments(model, TIMES, cut, rate_limit.Options())
    dims = limit["covariance"].dims
    return limit.assign(covariance=(dims, wrong.covariance), frozen_covariance=(dims, wrong.frozen))


def test_a_truncated_row_sum_is_off_by_one_network(known, limit):
    network = ln.simulate(ln.RateNetwork(), TIMES, n=100_000, seed=2)
    right = ln.compare(network, limit.assign_attrs(n=100_000)).sel(observable="covariance")
    wrong = ln.compare(network, truncated(limit).assign_attrs(n=100_000)).sel(observable="covariance")
    assert float(right["p_adjusted"]) > 1e-3
    assert wrong["verdict"] == Verdict.THEORY_OFF
    assert float(wrong["p_adjusted"]) < 1e-6


def test_a_truncated_row_sum_is_off_by_many_networks(limit):
    network = ln.simulate(ln.RateNetwork(), TIMES, n=4000, realisations=120, seed=7, replicas=2)
    finite = ln.solve_limit(ln.RateNetwork(), TIMES, n=4000, realisations=120, seed=7)
    assert finite.sizes["realisation"] == 120
    assert Verdict.THEORY_OFF not in ln.compare(network, limit, finite=finite)["verdict"].values
    wrong = truncated(limit)
    shifted = finite.copy()
    for name in ("covariance", "frozen_covariance"):
        shifted[name] = finite[name] + (wrong[name] - limit[name])  # the same mistake in the theory of 4000 neurons
    report = ln.compare(network, wrong, finite=shifted)
    assert report.attrs["verdict"] == Verdict.THEORY_OFF
    assert report["verdict"].sel(observable="covariance") == Verdict.THEORY_OFF


def own(x):
    return jnp.tanh(x) ** 3


def test_where_the_theory_has_nothing_to_say_the_error_is_a_bootstrap():
    # continuous time, more times than the theory takes, a user's own activation
    cases = (
        (ln.RateNetwork.diffusion(), np.linspace(0.0, 1.0, 5), {"dt": 0.1}),
        (ln.RateNetwork(activation=own), TIMES, {}),
        (ln.RateNetwork(), np.arange(70.0), {}),
    )
    for model, times, options in cases:
        network = ln.simulate(model, times, n=20, seed=1, **options)
        assert own_laws(network, len(times), ["mean", "covariance"]) == {}
