"""`solve`: options and their errors, outputs, engines, warnings of bins, the chain against published rates."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest

from largen.checks import InputError
from largen.systems.spiking.model import SpikingNetwork
from statistics_tools import assert_mean

MODEL = SpikingNetwork()
TIMES = np.arange(0.0, 101.0)


def solve(model, times, **options):
    """The public road to `solve.solve`."""
    return model.limit(times, n=None, rtol=1e-8, atol=1e-10, **options)


def mean_rates(arrays, start=0):
    return arrays.values["rate"][..., start + 1 :].mean(-1)


# Outputs -------------------------------------------------------------------------------------------------------


def test_outputs_and_resolved_options():
    arrays = solve(MODEL, TIMES, record=("voltage_density",))
    assert arrays.values["rate"].shape == (2, 101)
    assert arrays.values["pending"].shape == (2, 2, 101)
    assert np.all(arrays.values["rate"][:, 0] == 0.0)
    density, refractory = arrays.values["voltage_density"], arrays.values["refractory_fraction"]
    np.testing.assert_allclose(density.sum(1) + refractory, 1.0, rtol=1e-12)
    assert arrays.coords["bin"][0] == -58.0
    assert arrays.coords["bin"][-1] == 98.0
    assert density[0, 15, 0] == 1.0  # at rest in the bin [0, 4)
    assert arrays.attrs == {
        "method": "discrete-state reduction",
        "dt": 0.1,
        "bin_width": 4.0,
        "closure": "joint",
        "finite_size": False,
        "linear_in_bin": True,
        "engine": "numba",
    }


def test_rates_do_not_depend_on_the_output_times():
    fine = solve(MODEL, np.arange(0.0, 100.05, 0.1))
    coarse = solve(MODEL, np.array([0.0, 0.3, 40.0, 100.0]))
    counts = np.cumsum(fine.values["rate"] * 1e-4, axis=1)[:, [0, 3, 400, 1000]]
    np.testing.assert_allclose(np.diff(counts), coarse.values["rate"][:, 1:] * np.diff([0.0, 0.3, 40.0, 100.0]) / 1e3)
    np.testing.assert_array_equal(fine.values["pending"][..., [0, 3, 400, 1000]], coarse.values["pending"])


def test_starting_time_matters_only_to_the_drive():
    later = solve(MODEL, TIMES + 1234.5)
    np.testing.assert_array_equal(later.values["rate"], solve(MODEL, TIMES).values["rate"])
    wave = MODEL.replace(external_rate=lambda t: np.array([7.0, 7.0 + np.sin(t / 20.0)]))
    assert not np.array_equal(solve(wave, TIMES).values["rate"], solve(wave, TIMES + 20.0).values["rate"])


@pytest.mark.parametrize("finite_size", [False, True])
def test_constant_drive_as_function(finite_size):
    expected = solve(MODEL, TIMES, finite_size=finite_size, seed=3).values["rate"]
    for function in (lambda t: jnp.array([7.0, 7.0]), lambda t: np.array([7.0, 7.0 + 0.0 * np.floor(t)])):
        model = MODEL.replace(external_rate=function)
        np.testing.assert_array_equal(solve(model, TIMES, finite_size=finite_size, seed=3).values["rate"], expected)
    scalar = MODEL.replace(external_rate=7.0)
    np.testing.assert_array_equal(solve(scalar, TIMES, finite_size=finite_size, seed=3).values["rate"], expected)


# The two engines -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("closure", ["joint", "white"])
def test_engines_agree(closure):
    numba, other = (solve(MODEL, TIMES, closure=closure, engine=engine) for engine in ("numba", "jax"))
    np.testing.assert_allclose(numba.values["rate"], other.values["rate"], atol=1e-5)
    np.testing.assert_allclose(numba.values["pending"], other.values["pending"], atol=1e-6)
    assert other.attrs["engine"] == "jax"


# Numbers -------------------------------------------------------------------------------------------------------


def whole_cycles(rates, start=5000):
    """Mean over an even number of cycles (the orbit has two bursts), between upward crossings of the mean."""
    late = rates[:, start:]
    above = late[0] > late[0].mean()
    upward = np.flatnonzero(~above[:-1] & above[1:])
    upward = upward[: len(upward) - (len(upward) + 1) % 2]
    return late[:, upward[0] + 1 : upward[-1] + 1].mean(1)


@pytest.mark.parametrize(
    ("closure", "linear", "reference"),
    [("white", False, (44.6, 63.1)), ("joint", False, (46.7, 65.3)), ("joint", True, (47.1, 66.0))],
)
def test_rates_at_defaults(closure, linear, reference):
    """Windows of other lengths move these rates by 0.1 to 0.3 Hz."""
    arrays = solve(MODEL, np.arange(0.0, 2000.05, 0.1), closure=closure, linear_in_bin=linear)
    np.testing.assert_allclose(whole_cycles(arrays.values["rate"]), reference, atol=0.3)


def test_rates_do_not_depend_on_the_step():
    means = [
        whole_cycles(solve(MODEL, np.arange(0.0, 1500.0 + dt / 2, dt), dt=dt).values["rate"], round(500 / dt))
        for dt in (0.05, 0.1, 0.2)
    ]
    np.testing.assert_allclose(means, [means[1]] * 3, rtol=5e-3)


def test_fixed_refractory_period_limits_the_rate():
    """Under a very strong drive every neuron fires again at once: the rate is that of the refractory period."""
    model = SpikingNetwork(strength=np.zeros((2, 2)), external_rate=3000.0, refractory="fixed", refractory_time=2.0)
    for finite_size in (False, True):
        rates = mean_rates(solve(model, np.arange(0.0, 210.05, 0.1), finite_size=finite_size), 1050)
        np.testing.assert_allclose(rates, 1000.0 / 2.1, rtol=1e-3)  # 20 steps of rest, 1 to spike


def test_chain_at_defaults():
    """Rates of the chain of 400 neurons against the network's, 47.28 ± 0.03 and 65.88 Hz (1 % and 0.8 % allowed)."""
    arrays = solve(MODEL, np.arange(0.0, 1501.0), finite_size=True, realisations=6, seed=1)
    rates = mean_rates(arrays, 300)
    assert rates.shape == (6, 2)
    assert_mean(rates[:, 0], 47.28, what="E")
    assert_mean(rates[:, 1], 65.88, what="I")
    np.testing.assert_allclose(rates.mean(0), (47.28, 65.88), rtol=0.02)


def test_chain_of_many_neurons_is_the_reduction():
    arrays = solve(MODEL.scaled(40_000_000), TIMES, finite_size=True, bin_width=4.0)
    limit = solve(MODEL.scaled(40_000_000), TIMES, bin_width=4.0)
    peak = limit.values["rate"].max()
    assert np.max(np.abs(arrays.values["rate"][0] - limit.values["rate"])) < 0.02 * peak


def test_the_seed_decides_every_byte():
    one = solve(MODEL, TIMES, finite_size=True, seed=5, realisations=3)
    two = solve(MODEL, TIMES, finite_size=True, seed=5, realisations=2)
    other = solve(MODEL, TIMES, finite_size=True, seed=6)
    assert one.attrs["realisations"] == 3
    for name, values in one.values.items():
        assert values[:2].tobytes() == two.values[name].tobytes()
        assert values[0].tobytes() != other.values[name][0].tobytes()
        assert values[0].tobytes() != values[1].tobytes()


# Bin width -----------------------------------------------------------------------------------------------------


def test_width_too_wide_warns():
    with pytest.warns(UserWarning, match="`bin_width` should be at most"):
        solve(MODEL, TIMES, bin_width=20.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve(MODEL, TIMES, bin_width=10.0)


# Errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"closure": "jiont"}, r"`closure` must be one of .* Did you mean `joint`\?"),
        ({"engine": "cuda"}, "`engine` must be one of"),
        ({"bin_width": 3.0}, "`bin_width` must be the threshold 100 divided by an integer"),
        ({"bin_width": -4.0}, "`bin_width` must be greater than 0"),
        ({"dt": 0.6, "closure": "paper"}, "`dt` must be less than half the shortest synaptic decay"),
        ({"dt": 0.3}, r"`times` must be times\[0\] plus multiples of dt = 0.3 ms, but times\[1\]"),
        ({"realisations": 2}, "`realisations` must be 1 without finite_size"),
        ({"realisations": 0}, "`realisations` must be at least 1"),
        ({"closure": "paper", "finite_size": True}, "`closure` must be 'joint' or 'white' with finite_size"),
        ({"engine": "jax", "finite_size": True}, "`engine` must be 'numba' with finite_size"),
        ({"engine": "jax", "closure": "paper"}, "`closure` must be 'joint' or 'white' with engine"),
        ({"record": ("spikes",)}, "`record` must be one of 'voltage_density'"),
        ({"record": ("voltage_density",), "engine": "jax"}, "`record` must be empty with engine='jax'"),
        ({"finite_size": "yes"}, "`finite_size` must be True or False"),
        ({"seed": -1}, "`seed` must be at least 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        solve(MODEL, TIMES, **options)


def test_the_paper_takes_no_fixed_refractory_period():
    with pytest.raises(InputError, match="`closure` must be 'joint' or 'white' with a fixed refractory"):
        solve(SpikingNetwork(refractory="fixed"), TIMES, closure="paper")


@pytest.mark.filterwarnings("ignore:Argument `bin_width` should be at most")
def test_a_nearly_empty_bin_does_not_break_the_leaky_network():
    # Bins with 1e-152 neurons once gave mean deviations of 1e120; the independent engine showed it.
    model, times = SpikingNetwork.leaky(), np.arange(0, 1001) * 0.1
    options = {"bin_width": 10.0, "linear_in_bin": False, "closure": "joint", "dt": 0.1, "record": ()}
    options |= {"finite_size": False, "seed": 0, "realisations": 1}
    one, two = (solve(model, times, engine=engine, **options) for engine in ("numba", "jax"))
    np.testing.assert_allclose(one.values["rate"], two.values["rate"], atol=1e-5)
