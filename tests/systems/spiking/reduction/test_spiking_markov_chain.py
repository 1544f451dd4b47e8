"""The finite-size chain: its mean is the reduction's step, its numbers are integers, its noise is the network's."""

import numpy as np
import pytest
from scipy import stats

from largen.systems.spiking.model import SpikingNetwork
from largen.systems.spiking.reduction.markov_chain import chain_step, new_chain_work
from largen.systems.spiking.reduction.step import step
from systems.spiking.reduction_tools import DT, drive_of, reduction


def copied(state):
    return type(state)(*(np.array(x) for x in state))


@pytest.mark.parametrize(
    "refractory",
    [
        pytest.param(("exponential", 4.0), marks=pytest.mark.long),
        pytest.param(("fixed", 4.0), marks=pytest.mark.long),
        ("fixed", 0.23),
    ],
)
@pytest.mark.parametrize("linear", [False, True])
def test_chain_moves_in_the_mean_as_the_reduction(linear, refractory):
    """From one state, the mean over many draws of every count, moment and deviation is the deterministic step."""
    law, period = refractory
    model = SpikingNetwork(refractory=law, refractory_time=period)
    layout, state, work = reduction(model, linear_in_bin=linear)
    rng = np.random.default_rng(11)
    chain = new_chain_work(layout, rng)
    while state.clock[0] < 200 or state.spikes.sum() < 10:
        chain_step(layout, state, work, chain, drive_of(model), rng)
    expected = copied(state)
    step(layout, expected, work, drive_of(model))
    draws, names = 4000, ("number", "moment", "refractory", "deviation", "refractory_deviation", "pending")
    total = {name: np.zeros_like(getattr(state, name)) for name in names}
    square = {name: np.zeros_like(getattr(state, name)) for name in names}
    for _ in range(draws):
        drawn = copied(state)
        chain_step(layout, drawn, work, chain, drive_of(model), rng)
        for name in names:
            change = getattr(drawn, name) - getattr(expected, name)
            total[name] += change
            square[name] += change**2
    for name in names:
        mean = total[name] / draws
        error = np.sqrt(np.maximum(square[name] / draws - mean**2, 0.0) / draws)
        # Entries visited by a handful of draws have no normal mean; they are held by the totals.
        often = square[name] > 30.0 * np.max(np.abs(square[name])) / draws
        z = np.abs(mean[often]) / np.maximum(error[often], 1e-12)
        assert np.max(z) < stats.norm.isf(0.5e-6 / (len(names) * z.size)), name


def test_chain_keeps_integer_numbers():
    model = SpikingNetwork()
    layout, state, work = reduction(model)
    rng = np.random.default_rng(2)
    chain = new_chain_work(layout, rng)
    for _ in range(3000):
        chain_step(layout, state, work, chain, drive_of(model), rng)
        assert np.array_equal(state.number.sum(1) + state.refractory, layout.size)
    assert np.array_equal(state.number, np.round(state.number))
    assert np.all(state.number >= 0.0)
    assert np.all(state.pending >= 0.0)


def test_noise_of_pending_spikes_is_that_of_the_network():
    """Stationary variance over realisations of the mean of H, no spikes arriving but a constant number."""
    model = SpikingNetwork(external_rate=(0.0, 0.0))
    layout, state, work = reduction(model)
    rng = np.random.default_rng(4)
    chain = new_chain_work(layout, rng)
    j = 0
    target = layout.target[j]
    stay = np.exp(-DT / model.decay[target, layout.source[j]])
    state.pending[:] = 50.0
    draws = np.empty(20000)
    for i in range(len(draws)):
        drawn = copied(state)
        drawn.spikes[:] = 0.0
        chain_step(layout, drawn, work, chain, drive_of(model), rng)
        arrived = layout.probability[j] * drawn.spikes[layout.source[j]]
        draws[i] = drawn.pending[j] - 50.0 * stay - arrived
    released = 50.0 * stay * (1.0 - stay) / model.size[target]
    z = (draws.var() / released - 1.0) / np.sqrt(2.0 / len(draws))
    assert abs(z) < stats.norm.isf(0.5e-6)
    assert abs(draws.mean()) < stats.norm.isf(0.5e-6) * np.sqrt(released / len(draws))
