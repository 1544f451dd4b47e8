"""The main job on the spiking system: the truth is accepted, every coupling changed by a tenth is rejected."""

import numpy as np
import pytest

import largen as ln

TIMES = np.round(np.arange(801) * 0.5, 9)


@pytest.fixture(scope="module")
def network():
    return ln.simulate(ln.SpikingNetwork(), TIMES, realisations=16, seed=1)


def theories(model, **options):
    chain = {"finite_size": True, "realisations": 16, "seed": 2}
    return ln.solve_limit(model, TIMES, **options), ln.solve_limit(model, TIMES, **chain, **options)


def test_the_reduction_with_finite_size_noise_is_accepted(network):
    limit, finite = theories(ln.SpikingNetwork())
    report = ln.compare(network, limit, finite=finite, level=1e-3)
    assert report.attrs["verdict"] in ("within tolerance", "finite-size effect", "undecided")
    z = report["finite_difference"] / report["finite_standard_error"]
    assert float(np.abs(z).max()) < 5


@pytest.mark.parametrize("name", ["strength[e,e]", "strength[e,i]", "strength[i,e]", "strength[i,i]"])
def test_a_coupling_changed_by_a_tenth_is_rejected(network, name):
    model = ln.SpikingNetwork()
    limit, finite = theories(model.replace(**{name: 1.1 * model.value(name)}))
    with pytest.raises(ln.InputError, match="same parameters, but differ in `strength`"):
        ln.compare(network, limit, finite=finite)
    report = ln.compare(network, limit, finite=finite, strict=False, level=1e-3)
    assert report.attrs["verdict"] == "theory differs"


def test_a_network_of_four_million_neurons_runs_in_little_memory():
    model, times = ln.SpikingNetwork(), np.array([0.0, 0.5, 1.0])
    n = 4_000_000
    plan = model.plan(times, n=n, method=None, record=())
    assert plan.bytes <= 200 * n
    network = ln.simulate(model, times, n=n)
    assert network.attrs["sizes"].tolist() == [3_000_000, 1_000_000]
    assert np.isfinite(network["rate"]).all()


def test_times_must_fit_the_step():
    with pytest.raises(ln.InputError, match="multiples of dt"):
        ln.simulate(ln.SpikingNetwork(), [0.0, 0.15])
    with pytest.raises(ln.InputError, match="dt"):
        ln.solve_limit(ln.SpikingNetwork(), [0.0, 0.15])


def test_equal_bytes_for_equal_seeds_whatever_the_workers():
    times = TIMES[:40]
    one, two = (
        ln.simulate(ln.SpikingNetwork(), times, realisations=4, seed=5, record="spikes", workers=w) for w in (1, 2)
    )
    assert one.identical(two)
    for name in one.data_vars:
        assert one[name].values.tobytes() == two[name].values.tobytes()


def test_the_step_does_not_matter(network):
    # Deterministic mean rates over whole cycles, dt from .05 to .2: within half a per cent.
    model = ln.SpikingNetwork()
    rates = []
    for dt in (0.05, 0.1, 0.2):
        times = np.round(np.arange(round(1500 / dt) + 1) * dt, 9)
        rates.append(ln.analysis.summary(ln.solve_limit(model, times, dt=dt))["rate"].values)
    np.testing.assert_allclose(rates, np.broadcast_to(rates[1], (3, 2)), rtol=5e-3)


def test_the_voltage_density_of_network_and_reduction():
    model, times = ln.SpikingNetwork(), np.array([0.0, 5.0, 10.0])
    network = ln.simulate(model, times, n=40_000, seed=1, record="voltage_density")
    limit = ln.solve_limit(model, times, n=40_000, record="voltage_density", bin_width=4.0)
    ours, theirs = network["voltage_density"].isel(realisation=0, time=1), limit["voltage_density"].isel(time=1)
    np.testing.assert_allclose(ours["bin"], theirs["bin"])
    total = theirs.sum("bin") + limit["refractory_fraction"].isel(time=1)
    np.testing.assert_allclose(total, 1.0, atol=1e-12)
    # Binomial scatter of 10 000 neurons per bin is at most .005; six of those.
    np.testing.assert_allclose(ours, theirs, atol=0.03)
