"""The reduction's step: conservation, symmetries, reference values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from largen.systems.spiking.model import SpikingNetwork
from systems.spiking.reduction_tools import reduction, spikes_of, split

# Conservation and symmetry -------------------------------------------------------------------------------------


@given(
    excitation=st.floats(0.0, 1.5),
    inhibition=st.floats(0.0, 4.0),
    drive=st.floats(0.0, 20.0),
    decay=st.floats(0.5, 10.0),
    membrane=st.sampled_from([np.inf, 20.0]),
    closure=st.sampled_from(["paper", "white", "joint"]),
    refractory=st.sampled_from(["exponential", "fixed"]),
    width=st.sampled_from([4.0, 10.0, 100.0 / 7.0]),
)
@settings(max_examples=30, deadline=None)
def test_mass_is_conserved_and_positive(excitation, inhibition, drive, decay, membrane, closure, refractory, width):
    model = SpikingNetwork(
        strength=((excitation, inhibition), (excitation, inhibition)),
        decay=((decay, 4.5), (1.2, decay)),
        external_rate=(drive, drive),
        membrane_time=membrane,
        refractory=refractory,
    )
    spikes, state = spikes_of(model, 50.0, closure=closure, width=width)
    np.testing.assert_allclose(state.number.sum(1) + state.refractory, model.size, rtol=1e-12)
    assert np.all(state.number >= 0.0)
    assert np.all(state.pending >= 0.0)
    assert np.all(spikes >= 0.0)
    # Deviations are from the mean over all neurons.
    assert np.max(np.abs(state.deviation.sum(1) + state.refractory_deviation)) < 1e-8


@pytest.mark.parametrize("closure", ["white", "joint"])
def test_halves_are_as_the_whole(closure):
    whole, _ = spikes_of(SpikingNetwork(), 100.0, closure=closure)
    halves, _ = spikes_of(split(SpikingNetwork(), (2, 1)), 100.0, closure=closure)
    np.testing.assert_allclose(halves[:, 0], halves[:, 1], atol=1e-10)
    np.testing.assert_allclose(halves[:, :2].sum(1), whole[:, 0], atol=1e-7)
    np.testing.assert_allclose(halves[:, 2], whole[:, 1], atol=1e-7)


def test_permuting_populations_permutes_the_spikes():
    order = [2, 0, 1]
    model = split(SpikingNetwork(external_rate=(7.0, 6.0)), (2, 1)).replace(external_rate=(7.0, 8.0, 6.0))
    grid = np.ix_(order, order)
    fields = {name: np.array(getattr(model, name))[order] for name in ("size", "inhibitory", "external_rate")}
    fields |= {name: np.array(getattr(model, name))[grid] for name in ("strength", "probability", "decay")}
    spikes, _ = spikes_of(model, 100.0)
    permuted, _ = spikes_of(SpikingNetwork(**fields), 100.0)
    np.testing.assert_allclose(permuted, spikes[:, order], atol=1e-8)


def test_256_populations_share_the_code():
    model = split(SpikingNetwork(size=(12800, 12800), strength=SpikingNetwork().strength * (1 / 64)), (128, 128))
    layout, state, _ = reduction(model, width=10.0)
    assert len(layout.rate) == 512
    assert len(layout.source) == 256**2
    spikes, state = spikes_of(model, 20.0, width=10.0)
    np.testing.assert_allclose(spikes[:, :128], spikes[:, :1] * np.ones(128), atol=1e-9)
    np.testing.assert_allclose(state.number.sum(1) + state.refractory, model.size, rtol=1e-12)


def test_classes_that_cannot_be_reached_cost_nothing():
    layout, _, _ = reduction(SpikingNetwork(probability=((0.8, 0.0), (0.0, 0.8))))
    assert list(zip(layout.target, layout.source, strict=True)) == [(0, 0), (1, 1)]


# Reference values -----------------------------------------------------------------------------------------------


def test_reference_values_of_the_paper():
    """1 s from rest by the reference implementation: rates and SSI to all their digits."""
    spikes, _ = spikes_of(SpikingNetwork(), 1000.0, closure="paper")
    rates = spikes.sum(0) / SpikingNetwork().size
    np.testing.assert_allclose(rates, (44.10167, 61.21733), atol=6e-6)
    window = sum(spikes[i : len(spikes) - 10 + i] for i in range(11))
    ssi = (spikes[5:-5] * window).sum(0) / spikes[5:-5].sum(0) / SpikingNetwork().size
    np.testing.assert_allclose(ssi, (0.3236875, 0.45200), atol=6e-6)


@pytest.mark.parametrize(
    ("width", "linear", "reference", "tolerance"), [(4.0, False, 73.312110, 1e-5), (10.0, True, 76.977828, 1e-2)]
)
def test_reference_gradient_by_differences(width, linear, reference, tolerance):
    """d(mean E rate over 200 ms from rest)/d s_ee; both engines give the same.

    The slope's threshold makes 0.01 of the second one arbitrary.
    """

    def rate(strength):
        model = SpikingNetwork().replace(**{"strength[e,e]": strength})
        return spikes_of(model, 200.0, width=width, linear_in_bin=linear)[0][:, 0].sum() / 300 / 0.2

    gradient = (rate(0.95 + 1e-6) - rate(0.95 - 1e-6)) / 2e-6
    assert abs(gradient - reference) < tolerance
