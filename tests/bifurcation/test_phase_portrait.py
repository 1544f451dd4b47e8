"""Phase portraits: exact nullclines and states, the folded manifold, the pictures of them."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import optimize, stats

import largen as ln
from largen import analysis, plot
from largen.checks import InputError
from spiking_datasets import dataset


def cubic(p):
    """FitzHugh & Nagumo: nullclines y = x - x^3/3 + 1/2 and y = (x + .7)/.8; one unstable state."""
    return jnp.stack([p[0] - p[0] ** 3 / 3 - p[1] + 0.5, 0.08 * (p[0] + 0.7 - 0.8 * p[1])])


@pytest.fixture(scope="module")
def folded():
    model = ln.BalancedNetwork.folded()
    return model, analysis.phase_portrait(model, n=2000, variance=(0.6, 0.35), points=81)


def test_nullclines_and_equilibria_of_a_function():
    found = analysis.phase_portrait(cubic, window=((-2.5, 2.5), (-2.0, 3.0)), points=64)
    x, y = found["nullcline"].values.T
    first = found["nullcline_of"].values == 0
    np.testing.assert_allclose(y[first], (x - x**3 / 3 + 0.5)[first], atol=1e-9)
    np.testing.assert_allclose(y[~first], ((x + 0.7) / 0.8)[~first], atol=1e-9)
    root = optimize.brentq(lambda x: x - x**3 / 3 + 0.5 - (x + 0.7) / 0.8, -2, 2)
    np.testing.assert_allclose(found["state"], [[root, (root + 0.7) / 0.8]], atol=1e-9)
    assert found["state_stable"].values.tolist() == [False]
    with pytest.raises(InputError, match="`window` must be given"):
        analysis.phase_portrait(cubic)


def test_the_folded_manifold_and_both_its_sheets(folded):
    """Rank one: F_e and F_i on a straight line; the folds where 1.32 F_e' = .173536 F_i', found independently."""
    _, found = folded
    variance = np.array([0.6, 0.35])
    slope = np.array([10.3, 2.3]) / np.sqrt(1 + np.array([10.3, 2.3]) ** 2 * variance)
    most, threshold = np.array([1.0, 5.7]), np.array([1.0, 1.1])

    def rate(v):
        return most * stats.norm.cdf(slope * (v - threshold))

    on = found["manifold"].values
    balance = 1.32 * rate(on)[:, 0] - 0.352 * rate(on)[:, 1] + 0.48
    np.testing.assert_allclose(balance, 0.0, atol=1e-9)

    def margin(v):
        steep = most * slope * stats.norm.pdf(slope * (v - threshold))
        return 1.32 * steep[..., 0] - 0.173536 * steep[..., 1]

    np.testing.assert_allclose(found["manifold_margin"], margin(on), atol=1e-9)
    assert found["fold"].sizes["fold_number"] == 2

    def at(share):  # the point of the manifold at this F_e
        rates = np.array([share, (1.32 * share + 0.48) / 0.352])
        return threshold + stats.norm.ppf(rates / most) / slope

    exact = [at(optimize.brentq(lambda s: margin(at(s)), low, high)) for low, high in ((0.02, 0.4), (0.6, 0.98))]
    np.testing.assert_allclose(np.sort(found["fold"].values, axis=0), exact, atol=1e-8)
    unstable = ~found["manifold_stable"].values
    inside = (on[:, 0] > exact[0][0]) & (on[:, 0] < exact[1][0])
    assert np.array_equal(unstable, inside)
    assert found.attrs["variance_from"] == "given"
    # Its only stationary state lies on the unstable sheet: hence the oscillation.
    assert found["state_stable"].values.tolist() == [False]
    # The means' nullclines at finite n: both velocities are of order sqrt(n) off the manifold.
    assert set(found["nullcline_of"].values) == {0, 1}


def test_portrait_of_a_spiking_run_has_orbits_only():
    time = 1e-4 * np.arange(3_001)
    rate = np.stack([60 + 40 * np.sin(300 * time), 60 + 30 * np.sin(300 * time - 0.5)])
    found = analysis.phase_portrait(ln.SpikingNetwork(), network=dataset(rate[None]), limit=dataset(rate, kind="limit"))
    assert found["network_orbit"].dims == ("realisation", "axis", "network_time")
    assert "no nullclines" in found.attrs["status"]
    assert found["limit_orbit"].attrs["units"] == "Hz"
    ax = plot.phase_portrait(found, ax=Figure().subplots())
    assert ax.get_xlabel() == "rate of e (Hz)"
    with pytest.raises(InputError, match="orbits only"):
        analysis.phase_portrait(ln.SpikingNetwork())
    with pytest.raises(InputError, match="rate system has no phase portrait"):
        analysis.phase_portrait(ln.RateNetwork())


def test_the_picture_tells_the_sheets_apart(folded):
    _, found = folded
    ax = plot.phase_portrait(found, ax=Figure().subplots())
    drawn = {line.get_label(): line for line in ax.lines}
    assert drawn["balanced manifold, unstable"].get_linestyle() == "--"
    assert drawn["balanced manifold, stable"].get_linestyle() == "-"
    assert len(drawn["fold"].get_xdata()) == 2
    assert {"nullcline of e", "nullcline of i"} <= set(drawn)


def test_pictures_of_dwell_times_and_events():
    rng = np.random.default_rng(1)
    level = np.repeat(rng.choice([10.0, 100.0], (3, 40)), 500, axis=1)
    found = analysis.metastability(dataset(np.stack([level, level], 1)), thresholds=(30.0, 60.0), gap=0.0)
    ax = plot.dwell_times(found, ax=Figure().subplots())
    assert ax.get_yscale() == "log"
    assert any("bursting, mean" in text.get_text() for text in ax.get_legend().get_texts())
    wave = np.exp(8 * np.cos(400 * 1e-4 * np.arange(9_000))) / 10
    events = analysis.event_statistics(dataset(np.stack([wave, wave])[None]))
    ax = plot.event_sizes(events, ax=Figure().subplots())
    assert ax.get_title(loc="left").startswith("alternation")
