"""The published networks: their numbers against those of the papers, computed here in another way."""

import numpy as np
import pytest

import largen as ln
from largen.io.model_files import model_text, parse_model
from largen.systems.spiking import constants, flow, presets


@pytest.mark.parametrize("name", ["brunel", "microcircuit", "kicks", "sheet_mean", "sheet", "ring"])
def test_presets_survive_a_file(name):
    model = getattr(ln.SpikingNetwork, name)()
    again = parse_model(model_text(model), "x")[0]
    assert str(again) == str(model)
    assert model_text(again) == model_text(model)
    model.require_moderate()


def test_brunels_network_has_twenty_kicks_a_millisecond_at_g_5_eta_2():
    model = ln.SpikingNetwork.brunel()
    assert model.in_degree.tolist() == [[1000, 250], [1000, 250]]
    assert float(model.external_rate) == pytest.approx(20.0)
    # mu = C_E J tau (nu_ext + nu (1 - g gamma)) in mV, here at nu = 37.95 Hz: 21.03 and sigma 7.68 (Brunel 2000, 3-4).
    kappa, weight = constants.in_degrees(model)[0], constants.weights(model)[0]
    nu, kick = 37.95e-3, constants.external_kicks(model)
    mean = 20.0 * (kappa @ weight * nu + kick.size[0] * kick.rate[0])
    sigma = np.sqrt(20.0 * (kappa @ weight**2 * nu + kick.size[0] ** 2 * kick.rate[0]))
    assert np.allclose([mean, sigma], [21.03, 7.68], atol=0.01)


def test_the_microcircuit_has_the_synapses_and_currents_of_its_code():
    model = ln.SpikingNetwork.microcircuit()
    assert model.reference_size == 77_169
    assert float(np.sum(model.synapses)) == pytest.approx(298.9e6, abs=0.05e6)
    assert float(model.strength[1, 0]) == pytest.approx(87.8085, abs=1e-4)
    assert float(constants.weights(model)[1, 0]) == pytest.approx(0.351234, abs=1e-6)
    assert float(model.strength[0, 2] / model.strength[0, 0]) == pytest.approx(2.0)
    # The potential that one spike evokes, by many small steps of both equations: 0.15 mV at its peak.
    v, i, h, peak = 0.0, 87.8085 / 250.0, 1e-4, 0.0
    for _ in range(50_000):
        v, i = v + h * (i - v / 10.0), i * (1.0 - h / 0.5)
        peak = max(peak, v)
    assert peak == pytest.approx(0.15, abs=2e-5)


@pytest.mark.parametrize("background", ["poisson", "dc"])
def test_a_smaller_microcircuit_keeps_the_mean_and_the_variance_of_the_input(background):
    rates = 1e-3 * np.array(presets.PUBLISHED_RATES)

    def moments(model):
        kappa, weight, kick = constants.in_degrees(model), constants.weights(model), constants.external_kicks(model)
        mean = (0.5 * weight * kappa) @ rates + model.external_mean
        variance = (weight**2 * kappa) @ rates
        if background == "poisson":
            mean = mean + 0.5 * kick.size * kick.rate
            variance = variance + kick.size**2 * kick.rate
        return mean, variance

    full, small = (ln.SpikingNetwork.microcircuit(scale, background) for scale in (1.0, 0.3))
    for one, other in zip(moments(full), moments(small), strict=True):
        assert np.allclose(one, other, rtol=2e-3)  # the sizes and synapses of the small one are integers


def test_a_small_microcircuit_without_noise_from_outside_comes_with_a_warning():
    with pytest.warns(UserWarning, match="`scale` should be at least 0.3"):
        ln.SpikingNetwork.microcircuit(0.1, "dc")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda cls: cls.brunel(n_e=10), "`n_e` must be a multiple of 4"),
        (lambda cls: cls.brunel(epsilon=1e-9), "`epsilon` must give every neuron"),
        (lambda cls: cls.brunel(J=0.0), "`J` must be greater than 0"),
        (lambda cls: cls.microcircuit(2.0), "`scale` must be at most 1"),
        (lambda cls: cls.microcircuit(background="poison"), "Did you mean `poisson`"),
        (lambda cls: cls.microcircuit(delays="none"), "`delays` must be one of"),
    ],
)
def test_wrong_arguments_of_a_preset_are_refused(call, message):
    with pytest.raises(ln.InputError, match=message):
        call(ln.SpikingNetwork)


NEURONS = {
    "exponential": {"neuron": "exponential", "slope": 2.0, "soft_threshold": -50.0, "rest": -65.0, "threshold": -30.0,
                    "reset": -60.0, "external_mean": 1.2},
    "quadratic": {"neuron": "quadratic", "slope": 1.0, "soft_threshold": 0.7, "rest": -0.7, "threshold": 20.0,
                  "reset": -20.0},
}  # fmt: skip


@pytest.mark.parametrize("name", list(NEURONS))
def test_the_tabulated_flow_takes_the_time_that_the_speed_says(name):
    model = ln.SpikingNetwork(**NEURONS[name], membrane_time=10.0, inhibition="current", synapse="delta")
    low = np.full(2, float(model.reset) - 10.0)
    made = flow.flow_tables(model, 0.1, low)
    speed = flow.speed(model, 0)
    for start in (low[0], float(model.reset), 0.3 * float(model.reset) + 0.7 * float(model.threshold)):
        cell = int((start - made.first[0]) / made.by[0])
        v, end = made.first[0] + cell * made.by[0], made.values[0, cell]
        if end < model.threshold and abs(speed(np.array(v))) > 1e-3:
            grid = np.linspace(v, end, 20_001)
            taken = np.trapezoid(1.0 / speed(grid), grid)
            assert taken == pytest.approx(0.1, rel=1e-5)
    assert np.all(np.diff(made.values[0]) >= 0.0)
