"""What a step makes of a model: each constant against an integration, a sum or a sample without its formula."""

import numpy as np
import pytest

import largen as ln
from largen.systems.spiking import constants

PAIR = {"size": (80, 20), "inhibition": "current", "threshold": 20.0, "reset": 10.0}


def euler(leak, decay, dt, steps=400_000):
    """V and I after a step from I = 1, V = 0, by many small steps of Heun's method."""
    v, i, h = 0.0, 1.0, dt / steps
    for _ in range(steps):
        slope = i - leak * v
        ahead = i * (1.0 - h / decay + 0.5 * (h / decay) ** 2)
        v += 0.5 * h * (slope + ahead - leak * (v + h * slope))
        i = ahead
    return v, i


@pytest.mark.parametrize(("membrane", "decay"), [(20.0, 0.5), (10.0, 10.0), (np.inf, 2.0), (0.5, 40.0)])
def test_a_channel_brings_what_its_equations_integrate_to(membrane, decay):
    model = ln.SpikingNetwork(**PAIR, synapse="exponential", membrane_time=membrane, decay=np.full((2, 2), decay))
    made = constants.propagators(model, 0.1)
    v, i = euler(1.0 / membrane, decay, 0.1, 20_000)
    assert made.charge[0, 0] == pytest.approx(v, rel=1e-8)
    assert made.channel[0, 0] == pytest.approx(i, rel=1e-8)


def test_membrane_and_drive_without_and_with_a_leak():
    leaky = constants.propagators(ln.SpikingNetwork(**PAIR, membrane_time=20.0), 0.1)
    p = np.exp(-0.005)
    assert np.allclose([leaky.membrane[0], leaky.drive[0]], [p, 20.0 * (1.0 - p)], rtol=1e-13)
    assert leaky.noise[0] == pytest.approx(10.0 * (1.0 - p**2), rel=1e-12)
    plain = constants.propagators(ln.SpikingNetwork(**PAIR), 0.1)
    assert np.allclose([plain.membrane[0], plain.drive[0], plain.noise[0]], [1.0, 0.1, 0.1])


def test_a_charge_of_nearly_equal_time_constants_is_not_lost_in_rounding():
    equal = constants.channel_charge(0.1, 0.1, 10.0)
    assert equal == pytest.approx(0.1 * np.exp(-0.01), rel=1e-14)
    assert constants.channel_charge(0.1, 0.1 + 1e-13, 10.0) == pytest.approx(float(equal), rel=1e-12)


def test_weights_are_jumps_or_drifts_with_the_sign_of_the_source():
    strength = np.array([[1.0, 4.0], [2.0, 8.0]])
    delta = ln.SpikingNetwork(**PAIR, synapse="delta", strength=strength)
    assert np.array_equal(constants.weights(delta), [[1, -4], [2, -8]])
    slow = ln.SpikingNetwork(**PAIR, synapse="exponential", strength=strength, decay=np.full((2, 2), 2.0))
    assert np.array_equal(constants.weights(slow), [[0.5, -2], [1, -4]])
    current = slow.replace(capacitance=(250.0, 500.0))
    assert np.allclose(constants.weights(current), [[1 / 250, -4 / 250], [2 / 500, -8 / 500]])


def test_external_kicks_are_divided_by_the_membrane_time_by_default_only():
    model = ln.SpikingNetwork(**PAIR, membrane_time=20.0)
    assert np.allclose(constants.external_kicks(model).size, 0.05)
    assert np.allclose(constants.external_kicks(model.replace(external_strength=0.1)).size, 0.1)
    through = model.replace(external_strength=0.1, external_decay=(0.5, 2.0))
    assert np.allclose(constants.external_kicks(through).size, [0.2, 0.05])


def test_in_degrees_by_all_three_ways_of_connecting():
    k = [[60, 20], [50, 10]]
    by_degree = ln.SpikingNetwork(**PAIR, in_degree=k)
    by_total = ln.SpikingNetwork(**PAIR, synapses=np.array(k) * [[80], [20]])
    by_chance = ln.SpikingNetwork(**PAIR, probability=np.array(k) / [80, 20])
    for model in (by_degree, by_total, by_chance):
        assert np.allclose(constants.in_degrees(model), k)


def test_the_variance_of_arrivals_is_that_of_sampled_ones():
    # 200 000 draws: the standard error of a variance is its share sqrt(2/200 000) = 0.3 % for nearly normal counts;
    # five of them leave a false alarm of 6e-7 each.
    rng, n = np.random.default_rng(1), 200_000
    fired = np.array([8, 5])
    cases = {
        "probability": (np.full((2, 2), 0.3), rng.binomial(fired, 0.3, (n, 2))),
        "in_degree": ([[60, 20], [60, 20]], rng.binomial([60, 20], fired / [80, 20], (n, 2))),
        "synapses": ([[4800, 1600], [4800, 1600]], rng.poisson(np.array([60, 20]) * fired / [80, 20], (n, 2))),
    }
    for name, (value, sample) in cases.items():
        model = ln.SpikingNetwork(**PAIR, **{name: value})
        mean = constants.in_degrees(model) * fired / [80, 20]
        variance = constants.arrival_variance(model, mean)[0]
        assert np.allclose(mean[0], sample.mean(0), rtol=0.01), name
        assert np.allclose(variance, sample.var(0), rtol=5 * 0.0032 * 1.3), name


def test_delays_have_the_shares_of_drawn_ones():
    # One delay in 300 000 draws lies off by sqrt(P (1 - P)/n); five of these, over some 60 shares: 3e-5.
    model = ln.SpikingNetwork(**PAIR, delay=((1.5, 0.75), (0.0, 3.0)), delay_spread=((0.5, 0.5), (0.5, 0.0)))
    made = constants.delays(model, 0.1)
    assert np.allclose(made.shares.sum(2), 1.0, atol=1e-14)
    rng, n = np.random.default_rng(3), 300_000
    for a, b, mean in ((0, 0, 1.5), (0, 1, 0.75)):
        drawn = rng.normal(mean, 0.5 * mean, 2 * n)
        drawn = drawn[drawn >= 0.05][:n]
        steps = np.maximum(1, np.floor(drawn / 0.1 + 0.5)).astype(int)
        seen = np.bincount(steps, minlength=made.shares.shape[2] + 1)[1:] / len(drawn)
        error = np.sqrt(made.shares[a, b] / len(drawn)) + 1e-6
        assert np.all(np.abs(seen - made.shares[a, b]) < 5 * error)
    assert made.first.tolist() == [[1, 1], [1, 30]]
    assert made.last[1].tolist() == [1, 30]


def test_the_delay_of_a_spike_is_rounded_half_up_and_is_never_none():
    assert constants.nearest_step([0.0, 0.04, 0.75, 1.5, 0.15], 0.1).tolist() == [1, 1, 8, 15, 2]
    with pytest.raises(ln.InputError, match="`delay` must be at most"):
        constants.nearest_step(1e9, 0.1)


def test_a_delay_off_by_half_a_step_would_be_noticed():
    model = ln.SpikingNetwork(**PAIR, delay=1.5, delay_spread=0.5)
    shares = constants.delays(model, 0.1).shares[0, 0]
    d = np.arange(1, len(shares) + 1)
    # Mean of the truncated normal: mu + sd phi(z)/(1 - Phi(z)), z = (0.05 - 1.5)/0.75; the grid adds next to nothing.
    z = (0.05 - 1.5) / 0.75
    phi, tail = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi), 0.9734
    assert 0.1 * shares @ d == pytest.approx(1.5 + 0.75 * phi / tail, abs=0.001)
