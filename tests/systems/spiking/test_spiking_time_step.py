"""What a time step does to the model: network and limit take the same models, and hold them whatever dt.

Statistical tests have fixed seeds and a false-alarm probability of 1e-6 each.
"""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from largen.checks import InputError
from largen.numerics.streams import stream
from largen.systems.spiking import SpikingNetwork
from largen.systems.spiking.discretisation import Discretisation
from largen.systems.spiking.network import run as network
from largen.systems.spiking.time_step import release
from statistics_tools import assert_mean

ONE = {"inhibitory": [False], "strength": [[0.0]], "probability": [[0.0]], "decay": [[1.0]]}


def simulate(model, times, *, seed=0, record=(), dt=0.1):
    rng = lambda *names: stream(seed, *names)  # noqa: E731
    return network.run(model, times, rng=rng, record=record, tick=lambda fraction: None, dt=dt).values


def limit(model, times, **options):
    return model.limit(times, n=None, rtol=1e-8, atol=1e-10, **options).values


def batches(model, duration, length=100.0, **options):
    """Rates of the network over batches after the first two, shape (batch, population)."""
    return simulate(model, np.arange(0.0, duration + 1.0, length), **options)["rate"][:, 3:].T


def settled(model, duration, **options):
    return limit(model, np.array([0.0, 0.25 * duration, duration]), **options)["rate"][..., -1]


# The release -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [1e-300, 1e-3, 0.1, 1.4, 1e3, 1e12, 1e308])
def test_charge_of_a_pending_spike(decay):
    """A spike brings 1 in all: stays a step with probability 1 - q, else leaves."""
    x = release(0.1, np.array(decay))
    assert 0.0 <= x.leave <= 1.0
    assert x.probability == pytest.approx((1.0 - x.probability) * x.stay + x.probability * x.leave, rel=1e-9, abs=1e-12)
    assert x.variance >= 0.0


@pytest.mark.parametrize("decay", [0.01, 0.1])
def test_synapses_faster_than_a_step(decay):
    """Rates as for dt -> 0: 11.65 to 11.7 Hz, measured with steps of a hundredth to a tenth of this one."""
    model = SpikingNetwork(
        size=[400], inhibitory=[True], strength=[[2.0]], probability=[[0.8]], decay=[[decay]], external_rate=[7.0]
    )
    rates = batches(model, 2000.0)
    assert_mean(rates[:, 0], 11.7, what="network")
    np.testing.assert_allclose(rates.mean(0), 11.7, rtol=0.02)
    np.testing.assert_allclose(settled(model, 1000.0), 11.7, rtol=0.01)


# Strong inhibition -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [400.0, pytest.param(1e4, marks=pytest.mark.long)])
def test_strong_inhibition_silences(strength):
    pair = np.full((2, 2), 0.8)
    model = SpikingNetwork(
        size=(100, 100), strength=((0.0, strength), (0.0, 0.0)), probability=pair, decay=4.5 + 0 * pair,
        external_rate=(12.0, 6.0),
    )  # fmt: skip
    times = np.arange(0.0, 301.0, 0.1)
    values = simulate(model, times, record=("voltage",))
    assert values["rate"][0, 500:].max() == 0.0
    noise = 8.0 * np.sqrt(12.0 * 0.1)  # of the drive in one step
    assert values["voltage"].min() > -66.0 - noise
    for engine in ("numba", "jax"):
        assert limit(model, np.array([0.0, 50.0, 150.0]), engine=engine, bin_width=None)["rate"][0, -1] < 0.1


# The lowest bin --------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_bins_reach_as_low_as_the_potentials():
    """1/rate = M/drive + 3.95 ms + an overshoot of 0.58 s.d. of a step; a wall at -0.6 M would give 57.8 Hz."""
    model = SpikingNetwork(size=[4000], external_rate=[0.07], threshold=1.0, reversal=-0.66, **ONE)
    expected = 1000.0 / (1.0 / 0.07 + 3.95 + 0.5826 * np.sqrt(0.1 / 0.07))
    assert_mean(batches(model, 1500.0)[:, 0], expected, what="network")
    for options in ({}, {"bin_width": 0.04}, {"finite_size": True, "seed": 1}, {"engine": "jax"}):
        np.testing.assert_allclose(settled(model, 1000.0, **options), expected, rtol=5e-3)


@pytest.mark.long
def test_a_reversal_far_below_is_the_same_model_for_network_and_limit():
    """Inhibition without a floor in sight: potentials fall to seven thresholds below the reset; 4000 neurons."""
    weak = {
        "strength": [[0.0, 0.001], [0.0, 0.0]],
        "probability": [[0.0, 0.8], [0.0, 0.0]],
        "decay": np.full((2, 2), 4.5),
    }
    model = SpikingNetwork(size=[4000, 1000], external_rate=[0.07, 0.07], threshold=1.0, reversal=-1e6, **weak)
    rates = batches(model, 1500.0)[:, 0]
    assert_mean(rates, settled(model, 1000.0)[0], what="network")


def test_one_smallest_support_for_limit_and_branches():
    """Of the density in a bin: what `follow` takes is what `solve_limit` takes."""
    default = inspect.signature(SpikingNetwork.dynamics).parameters["min_support"].default
    assert default == Discretisation().min_support == 0.05


# No input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [1e-6, 1e-3, 100.0, 1e6])
def test_a_population_without_input_rests(threshold):
    model = SpikingNetwork(size=[50], external_rate=[0.0], threshold=threshold, reversal=-0.66 * threshold, **ONE)
    times = np.array([0.0, 100.0, 300.0])
    assert not simulate(model, times)["rate"].any()
    for options in ({}, {"finite_size": True}, {"closure": "white"}):
        assert not limit(model, times, **options)["rate"].any()


# Fixed refractory periods ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [0.02, 0.1, 4.04])
def test_fixed_refractory_periods_between_steps(period):
    """The mean interval is longer by the period than without one, in network, limit and chain."""
    base = SpikingNetwork(size=[4000], external_rate=[50.0], **ONE).replace(refractory="fixed")
    free = 1000.0 / settled(base.replace(refractory_time=1e-9), 600.0)[0]
    model = base.replace(refractory_time=period)
    expected = 1000.0 / (free + period)
    np.testing.assert_allclose(batches(model, 1000.0).mean(), expected, rtol=5e-3)
    np.testing.assert_allclose(settled(model, 600.0), expected, rtol=5e-3)
    np.testing.assert_allclose(settled(model, 600.0, finite_size=True).ravel(), expected, rtol=5e-3)


@pytest.mark.parametrize("law", ["fixed", "exponential"])
def test_a_refractory_period_beyond_the_run_takes_no_memory(law):
    model = SpikingNetwork(refractory=law, refractory_time=1e12)
    times = np.array([0.0, 20.0, 60.0])
    assert simulate(model, times)["rate"][:, -1].max() < 20.0
    for finite_size in (False, True):
        rates = limit(model, times, finite_size=finite_size)["rate"]
        np.testing.assert_allclose((rates * [0.0, 0.02, 0.04]).sum(-1), 1.0, atol=0.05)  # everybody fired once


# The same models -------------------------------------------------------------------------------------------------


def outcome(run):
    """The message of a refusal, or None."""
    try:
        run()
    except InputError as error:
        return str(error)
    return None


@given(
    decay=st.floats(-4.0, 3.0),
    membrane=st.one_of(st.just(np.inf), st.floats(-2.0, 2.0).map(lambda x: 10.0**x)),
    period=st.floats(-3.0, 12.0),
    refractory=st.sampled_from(["fixed", "exponential"]),
    strength=st.floats(0.0, 3.0),
    dt=st.sampled_from([0.05, 0.1, 0.25]),
)
@settings(max_examples=25, deadline=None)
@pytest.mark.filterwarnings("ignore:Argument `bin_width` should be at most")
def test_network_and_limit_take_the_same_models(decay, membrane, period, refractory, strength, dt):
    model = SpikingNetwork(
        decay=np.full((2, 2), 10.0**decay), membrane_time=membrane, refractory_time=10.0**period,
        refractory=refractory, strength=np.full((2, 2), 10.0**strength), external_rate=7.0 * min(membrane, 1.0),
    )  # fmt: skip
    times = np.array([0.0, 5.0])
    words = outcome(lambda: simulate(model, times, dt=dt))
    assert outcome(lambda: limit(model, times, dt=dt, bin_width=10.0)) == words
    if words is not None:
        assert f"`dt` must be less than the shortest membrane time ({membrane:g} ms)" in words
        assert outcome(lambda: model.dynamics(None, n=None, dt=dt)) == words


@pytest.mark.parametrize("times", [[0.0, 1.0, 1.25], [0.0, 1e5 + 0.05]])
def test_output_times_between_steps_are_refused_alike(times):
    times = np.array(times)
    words = outcome(lambda: network.plan(SpikingNetwork(), times, record=(), dt=0.1))
    assert words == outcome(lambda: limit(SpikingNetwork(), times))
    assert "times[0] plus multiples of dt = 0.1 ms" in str(words)
