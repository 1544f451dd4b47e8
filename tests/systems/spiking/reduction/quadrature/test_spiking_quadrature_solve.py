"""`solve_limit(closure="quadrature")`: choices, outputs, the estimate of its error, flags and refusals."""

import warnings

import numpy as np
import pytest
from quadrature_tools import quadrature, rates

import largen as ln
from largen.checks import InputError
from largen.systems.spiking.reduction.quadrature import choice
from largen.systems.spiking.reduction.quadrature import solve as solving
from largen.systems.spiking.reduction.quadrature.channels import channels_of, groups_of
from spiking_networks import SPARSE, network

TIMES = np.arange(0.0, 401.0)
ALONE = network([True], [7.78847], [39.3], [1.86589], np.inf, 2.3209)


def solve(model, times=TIMES, **options):
    return ln.solve_limit(model, times, closure="quadrature", **options)


@pytest.fixture(scope="module")
def alone():
    return solve(ALONE, record="voltage_density")


def test_outputs_are_those_of_the_reduction(alone):
    assert alone["rate"].dims == ("population", "time")
    assert float(alone["rate"][0, 0]) == 0.0
    assert alone["pending"].shape == (1, 1, 401)
    total = alone["voltage_density"].sum("bin") + alone["refractory_fraction"]
    np.testing.assert_allclose(total, 1.0, atol=1e-12)
    assert "voltage_density" not in solve(ALONE, TIMES[:3], error=False, orders=(0, 1), bin_width=10.0)
    about = alone.attrs
    assert (about["closure"], about["method"], about["engine"]) == (
        "quadrature",
        "quadrature of the pending input",
        "numba",
    )
    assert about["orders"].tolist() == [0, 8]
    assert about["bin_width"] == pytest.approx(100.0 / 13)
    assert about["lower_edge"] == pytest.approx(float(alone["bin"][0]) - 50.0 / 13)
    assert 0.0 <= about["lowest_cell_mass"] < 1e-5
    assert about["flags"] == ""


def test_the_rate_is_the_networks_and_the_estimate_says_how_well(alone):
    """One network of 20 000 neurons gave 7.444 ± 0.009 Hz (450 to 1000 ms)."""
    found = float(alone["rate"][0, 200:].mean())
    assert abs(found - 7.444) < 0.05
    assert 0.0 < alone.attrs["rate_error"][0] < 0.01 * found


def test_given_orders_and_width_are_taken():
    result = solve(ALONE, orders=(3, 2), bin_width=10.0, error=False)
    expected = quadrature(ALONE, 400.0, (3, 2), 10)
    np.testing.assert_allclose(result["rate"][:, 201:].mean("time"), rates(expected, 200.0))
    assert result.attrs["orders"].tolist() == [3, 2]
    assert "rate_error" not in result.attrs


def test_saved_results_keep_what_was_chosen(alone, tmp_path):
    ln.save(alone, tmp_path / "limit.nc")
    loaded = ln.load(tmp_path / "limit.nc")
    np.testing.assert_array_equal(loaded.attrs["orders"], alone.attrs["orders"])
    np.testing.assert_array_equal(np.atleast_1d(loaded.attrs["rate_error"]), alone.attrs["rate_error"])


def test_equal_runs_give_equal_bytes(alone):
    assert solve(ALONE, record="voltage_density").identical(alone)


def test_the_estimate_covers_the_error_of_low_orders():
    """At order 1 the sparse network's rate is 40 % too high: the estimate says so, and the order is flagged."""
    upper = pytest.warns(UserWarning, match="only an upper bound is known")
    with upper, pytest.warns(UserWarning, match="order limit reached"):
        low = solve(SPARSE, np.arange(0.0, 601.0), orders=(1, 1), bin_width=100.0 / 13)
    missed = np.abs(low["rate"][:, 300:].mean("time").values - [5.44, 11.70])
    assert np.all(low.attrs["rate_error"] > 0.5 * missed)


def test_a_nearly_silent_network_has_an_upper_bound_only():
    nearly = ALONE.replace(external_rate=85.0, membrane_time=5.0)
    with pytest.warns(UserWarning, match="only an upper bound is known"):
        result = solve(nearly, TIMES[:201])
    assert abs(float(result["rate"][0, 100:].mean())) < 0.1


def test_a_network_without_spikes_needs_no_flag():
    silent = ALONE.replace(external_rate=0.2, membrane_time=5.0)
    result = solve(silent, TIMES[:201])
    assert float(np.abs(result["rate"]).max()) == 0.0
    assert result.attrs["flags"] == ""


def test_cells_reach_as_low_as_the_potentials():
    deep = ln.SpikingNetwork(
        size=(100,), inhibitory=[False], strength=[[0.0]], probability=[[0.1]], decay=[[2.0]], threshold=1.0,
        reversal=-0.66, external_rate=0.07,
    )  # fmt: skip
    result = solve(deep, error=False)
    np.testing.assert_allclose(result["rate"][0, 250:].mean(), 52.75, atol=0.02)
    assert result.attrs["lower_edge"] < -4.0
    assert result.attrs["lowest_cell_mass"] <= 1e-5


def test_narrower_cells_where_a_run_diverges(monkeypatch):
    """Cells that the rule chose are halved, which is said; given ones are refused."""
    real = solving.diverged
    monkeypatch.setattr(solving, "diverged", lambda done: done.layout.unit[0] > 5.0 or real(done))
    with pytest.raises(InputError, match="`bin_width` must be smaller for this network, but is 10"):
        solve(ALONE, orders=(0, 2), bin_width=10.0, error=False)
    with pytest.warns(UserWarning, match="cells were halved"):
        result = solve(ALONE, TIMES[:101], orders=(0, 2), error=False)
    assert result.attrs["bin_width"] == pytest.approx(100.0 / 26)


def test_a_result_that_is_no_number_has_diverged():
    done = quadrature(ALONE, 10.0, (0, 1), 10)
    assert not solving.diverged(done)
    for value in (np.nan, 400.0, -400.0):
        done.output.spikes[0, 5] = value
        assert solving.diverged(done)


def test_a_drive_may_be_a_function_of_time():
    wave = ALONE.replace(external_rate=lambda t: np.array([2.3 + np.sin(t / 20.0)]))
    result = solve(wave, orders=(0, 2), bin_width=10.0, error=False)
    constant = ALONE.replace(external_rate=lambda t: np.array([2.3209 + 0.0 * t]))
    same = solve(constant, orders=(0, 2), bin_width=10.0, error=False)
    expected = solve(ALONE, orders=(0, 2), bin_width=10.0, error=False)
    np.testing.assert_allclose(same["rate"], expected["rate"], atol=1e-9)
    assert float(result["rate"][0, 100:].std()) > 5.0 * float(expected["rate"][0, 100:].std())


def test_equal_populations_split_in_two_fire_as_one():
    """Two populations of each kind with the same parameters are one: channels add what comes from both."""
    split = network([False, True], [3.0, 9.0, 5.0, 10.0], [60.0, 20.0], [3.0, 10.0], 20.0, 100.0)
    both = np.array([0, 0, 1])
    doubled = ln.SpikingNetwork(
        size=(15000, 15000, 10000), inhibitory=[False, False, True], strength=split.strength[both][:, both],
        probability=split.probability[both][:, both], decay=split.decay[both][:, both], membrane_time=20.0,
        external_rate=100.0, refractory_time=2.0,
    )  # fmt: skip
    one = solve(split, TIMES[:201], orders=(2, 2), bin_width=10.0, error=False)["rate"].values
    two = solve(doubled, TIMES[:201], orders=(2, 2), bin_width=10.0, error=False)["rate"].values
    np.testing.assert_allclose(two, one[both], atol=1e-8)


def test_equal_decay_times_are_one_channel_and_others_multiply():
    decay = np.array([[3.0, 10.0], [3.0, 10.0]])
    model = ln.SpikingNetwork(size=(100, 100), inhibitory=(False, False), decay=decay)
    assert channels_of(model.replace(decay=np.full((2, 2), 3.0))).target.tolist() == [0, 1]
    assert channels_of(model).target.tolist() == [0, 0, 1, 1]
    with pytest.raises(InputError, match=r"`orders` must give at most 128 families .* gives 169: every decay time"):
        solve(model, orders=(12, 0), bin_width=10.0, error=False)


TWO_TIMES = {
    "size": (15_000, 15_000, 10_000), "inhibitory": (False, False, True), "external_rate": 130.0, "membrane_time": 15.0,
    "strength": np.tile([0.5, 1.0, 4.0], (3, 1)), "decay": np.tile([12.0, 2.0, 8.0], (3, 1)), "probability": 0.004,
}  # fmt: skip


def test_every_decay_time_of_a_sign_may_have_an_order_of_its_own():
    """Twelve and 2 ms of excitation: groups count from the shortest; equal orders are those of the sign."""
    model = ln.SpikingNetwork(**TWO_TIMES)
    channels = channels_of(model)
    group, counts = groups_of(channels)
    assert counts == (2, 1)
    assert dict(zip(channels.decay[:3].tolist(), group[:3].tolist(), strict=True)) == {2.0: 0, 8.0: 2, 12.0: 1}
    options = {"bin_width": 10.0, "error": False}
    one = solve(model, TIMES[:51], orders=(1, 2), **options)
    same = solve(model, TIMES[:51], orders=(1, 1, 2), **options)
    np.testing.assert_array_equal(one["rate"], same["rate"])
    assert one.attrs["orders"].tolist() == same.attrs["orders"].tolist() == [1, 2]
    apart = solve(model, TIMES[:51], orders=(2, 0, 2), **options)
    assert apart.attrs["orders"].tolist() == [2, 0, 2]
    assert np.any(apart["rate"].values != one["rate"].values)
    with pytest.raises(InputError, match="one for each decay time, the shortest first: 2 excitatory, 1 inhibitory"):
        solve(model, TIMES[:51], orders=(1, 2, 3, 4), **options)


def test_orders_go_to_the_decay_times_that_make_the_noise():
    channels = channels_of(ln.SpikingNetwork(**TWO_TIMES))
    assert choice.most_families(channels) == 28
    assert choice.choose_orders(channels, choice.Noise(np.array([0.4, 0.0, 0.5]), 0.1), 3) == (3, 0, 6)
    assert choice.choose_orders(channels, choice.Noise(np.array([0.06, 0.6, 0.3]), 0.1), 3) == (1, 3, 2)


def test_quiet_channels_get_low_orders():
    channels = channels_of(SPARSE)
    noise = choice.Noise(np.array([0.01, 0.9]), 0.1)
    assert choice.choose_orders(channels, noise, 2) == (1, 8)
    assert choice.choose_orders(channels, choice.Noise(np.array([0.5, 0.5]), 0.1), 2) == (3, 4)
    assert choice.choose_cells(choice.Noise(noise.share, 0.05)) == 25
    assert choice.choose_cells(choice.Noise(noise.share, np.inf)) == 13
    assert choice.one_less((1, 8), noise) == (1, 7)
    assert choice.one_less((2, 0), noise) == (1, 0)
    assert choice.one_less((0, 0), noise) == (0, 0)


@pytest.mark.parametrize(
    ("p", "change", "expected"),
    [(0.001, 0.0, 0), (0.006, 0.0, 1), (0.25, 0.0, 1), (0.25, 0.01, 1), (0.25, 0.03, 2), (0.5, 0.0, 2), (0.7, 0.0, 3),
     (0.7, 10.0, 4), (1.0, 0.0, 4)],
)  # fmt: skip
def test_synapses_that_kick_at_release_get_the_orders_that_their_probability_and_trial_runs_ask_for(
    p, change, expected
):
    """`change`: by how much the rates of a trial run change from order 0 to order 1."""
    model = ln.SpikingNetwork(size=(500,), inhibitory=[True], strength=[[2.0]], probability=[[p]], decay=[[3.0]],
                              synapse="release", external_rate=0.0)  # fmt: skip

    def rates_at(orders):
        return np.array([10.0 * (1.0 - change * 0.1 ** orders[1])])

    assert choice.choose_orders_of_release(model, channels_of(model), rates_at) == (0, expected)


def test_orders_of_release_are_lowered_until_the_families_are_few():
    """Each of eight sources with a strength of its own is a channel."""
    count = 8
    strength = np.tile(np.linspace(1.0, 2.0, count), (count, 1))
    model = ln.SpikingNetwork(
        size=(500,) * count, inhibitory=[False] * count, strength=strength, synapse="release", external_rate=0.0,
        probability=np.full((count, count), 0.5), decay=np.full((count, count), 3.0),
    )  # fmt: skip

    def silent(orders):
        return np.zeros(count)

    found = choice.choose_orders_of_release(model, channels_of(model), silent)
    assert sorted(found) == [0, 0, 1, 1, 1, 1, 1, 1, 1]
    assert solve(ln.SpikingNetwork.kicks(), TIMES[:2], error=False).attrs["orders"].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"orders": "high"}, "`orders` must be 'auto' or"),
        ({"orders": (1, 2, 3)}, "`orders` must be 'auto' or"),
        ({"orders": (1, -1)}, "`orders`"),
        ({"orders": (0, 13), "bin_width": 10.0}, "`orders` must be at most 12"),
        ({"bin_width": 3.0}, "`bin_width` must be the 100 from reset to threshold divided by an integer"),
        ({"bin_width": 0.1}, "`bin_width`"),
        ({"error": "yes"}, "`error`"),
        ({"engine": "jax"}, "`engine` must be 'numba' with closure='quadrature'"),
        ({"realisations": 2}, "`realisations` must be 1"),
        ({"linear_in_bin": False}, "`linear_in_bin` must be absent"),
        ({"record": "spikes"}, "`record`"),
        ({"dt": 0.3}, "`times` must be times"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        solve(ALONE, TIMES[:3], **options)


def test_other_closures_refuse_its_options():
    with pytest.raises(InputError, match="`orders` must be absent with closure='joint'"):
        ln.solve_limit(ALONE, TIMES[:3], orders=(1, 1))
    with pytest.raises(InputError, match="`error` must be absent with closure='joint'"):
        ln.solve_limit(ALONE, TIMES[:3], error=False)


def test_what_it_does_not_have_is_refused():
    with pytest.raises(InputError, match="`synapse` must not be 'delta'"):
        solve(ALONE.replace(synapse="delta"))


def test_no_warning_without_a_flag():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert solve(ALONE, TIMES).attrs["flags"] == ""
