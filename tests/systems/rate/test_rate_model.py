"""The rate network's model: parameters, files, presets, refusals."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import largen as ln
from largen.checks import InputError
from largen.parameters import parameters
from largen.parameters.plain import from_plain, to_plain
from largen.simulation import simulate, solve_limit
from largen.systems import system_class
from largen.systems.rate import RateNetwork, SeparableKernel, TableKernel, UncorrelatedKernel


def own(x):
    return jnp.tanh(x) ** 3


@pytest.mark.parametrize(
    "model",
    [
        RateNetwork(),
        RateNetwork.chaotic(),
        RateNetwork(activation="erf", kernel=TableKernel([[0.1, 0.2, 0.1], [0.3, 1.0, 0.3], [0.1, 0.2, 0.1]])),
        RateNetwork(activation=own, kernel=UncorrelatedKernel(0.5), gain=2.0),
    ],
)
def test_plain_values_and_files_keep_a_model(model, tmp_path):
    plain = to_plain(model)
    again = from_plain(RateNetwork, json.loads(json.dumps(plain)), functions=True)
    assert to_plain(again) == plain
    ln.write_model(model, tmp_path / "model.yaml")
    assert to_plain(ln.read_model(tmp_path / "model.yaml", functions=True)) == plain


def test_every_preset_has_a_limit_and_a_network():
    for name in RateNetwork.presets:
        model = getattr(RateNetwork, name)()
        times = np.arange(3.0)
        limit = solve_limit(model, times, rtol=1e-6, atol=1e-8)
        network = simulate(model, times, n=50, realisations=2, seed=0)
        assert set(network.data_vars) == set(limit.data_vars) == {"mean", "covariance", "frozen_covariance"}
        assert limit["covariance"].dims == ("lag", "time", "time_")
        assert network["covariance"].dims == ("realisation", "lag", "time", "time_")
    assert float(RateNetwork.chaotic().kernel.variance) == 1.5**2


def test_values_are_reached_by_name():
    model = RateNetwork().replace(**{"kernel.post": -0.2, "activation": "tanh", "gain": 1.5})
    assert float(model.value("kernel.post")) == -0.2
    assert model.activation == "tanh"
    assert all(info.doc for info in parameters(RateNetwork).values())
    assert system_class("rate") is RateNetwork
    assert model.reference_size is None
    assert model.populations == ()


def test_a_model_may_be_traced():
    def variance(gain, post):
        return RateNetwork(gain=gain, kernel=SeparableKernel(1.0, post, 0.1)).gain * post

    assert float(jax.jit(variance)(2.0, 0.25)) == 0.5


def test_the_finite_theory_is_sampled():
    one = solve_limit(RateNetwork(), np.arange(4.0), n=60, realisations=3, seed=4)
    two = solve_limit(RateNetwork(), np.arange(4.0), n=60, realisations=3, seed=4)
    network = simulate(RateNetwork(), np.arange(4.0), n=60, realisations=3, seed=4)
    assert one["mean"].dims == ("realisation", "time")
    np.testing.assert_array_equal(one["covariance"], two["covariance"])
    assert not np.any(one["mean"].values[:, 1:] == network["mean"].values[:, 1:])


def test_the_theory_beyond_the_limit_is_reached_from_the_model():
    model = RateNetwork()
    limit = solve_limit(model, np.arange(4.0), lags=40)

    def values(table, name):
        return np.asarray(table.variables[name][1])

    cost = model.rate_function(limit["mean"].values, limit["covariance"].values)
    assert abs(values(cost, "total")) < 1e-12
    assert abs(values(model.stationary(lags=0), "covariance")[0, 0] - 16.6604355581) < 1e-9
    found = model.fluctuations(n=10, times=np.arange(3.0), lags=0, samples=200)
    assert values(found, "mean").shape == (3,)
    assert values(found, "covariance_frozen").shape == (1, 3, 3)


def test_refusals():
    with pytest.raises(
        InputError, match="`activation` must be one of 'logistic', 'probit', 'tanh', 'erf', 'linear' or"
    ):
        RateNetwork(activation="relu")
    with pytest.raises(InputError, match="`kernel` must be SeparableKernel or TableKernel or UncorrelatedKernel"):
        RateNetwork(kernel=1.0)
    with pytest.raises(InputError, match="`gamma` must be at most 1"):
        RateNetwork(gamma=1.5)
    with pytest.raises(InputError, match="`dynamics` must be one of 'discrete', 'continuous'"):
        RateNetwork(dynamics="continous")
    with pytest.raises(InputError, match="`noise` must be at least 0"):
        RateNetwork(noise=-0.1)
    with pytest.raises(InputError, match="`n` must be given: a RateNetwork has no size of its own"):
        simulate(RateNetwork(), np.arange(3.0))
    with pytest.raises(InputError, match="`n` must be at least 2"):
        simulate(RateNetwork(), np.arange(3.0), n=1)
    with pytest.raises(InputError, match=r"Unknown option .* `replica`. Did you mean `replicas`"):
        simulate(RateNetwork(), np.arange(3.0), n=10, replica=2)
    with pytest.raises(InputError, match="must take at most 20000 time steps"):
        solve_limit(RateNetwork.diffusion(), np.array([0.0, 5000.0]))
